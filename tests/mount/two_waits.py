"""A call that waits twice, first for what is read and then for a change, takes the timeout and a second at most, as one that waits
once does; and so do those that the kernel lets wait for each other, in one directory."""
import struct
import threading
import time

from cable import Cable
from zktest import *

TIMEOUT = 5
MUCH = 8    # s; the two waits would take 9.5


class SlowCable(Cable):
    """While `holds_session`, nothing more comes back from the server on connections that do not watch; while `holds_stream`, on those
    that do."""

    def __init__(self, upstream):
        self.watching = set()
        self.holds_session = self.holds_stream = False
        self.held = threading.Event()   # something of the stream's is
        super().__init__(upstream)

    def pump(self, pair, source, target):
        super().pump(pair, source, _End(self, pair, source is pair[0], target))

    def must_wait(self, pair):
        return self.is_whole and (self.holds_stream if pair in self.watching else self.holds_session)


class _End:
    def __init__(self, cable, pair, is_server, sock):
        self.cable, self.pair, self.is_server, self.sock = cable, pair, is_server, sock

    def sendall(self, data):
        if self.is_server and len(data) >= 12 and struct.unpack('>i', data[8:12]) == (106,):   # addWatch
            self.cable.watching.add(self.pair)
        while not self.is_server and self.cable.must_wait(self.pair):
            if self.pair in self.cable.watching:
                self.cable.held.set()
            time.sleep(0.01)
        self.sock.sendall(data)

    def shutdown(self, how):
        self.sock.shutdown(how)


def timed(act):
    """How long it took, and the number of the error."""
    began = time.monotonic()
    error = 0
    try:
        act()
    except OSError as failure:
        error = failure.errno
    return time.monotonic() - began, error


direct = servers()
host, port = direct.split(':')
cable = SlowCable((host, int(port)))
os.environ['ZK'] = cable.address
mnt = mount('mnt', '-o', f'session_timeout=30,timeout={TIMEOUT}')
os.environ['ZK'] = direct
with mnt, client() as zk:
    # The name is looked up for nearly as long as may be waited, and then the change gets no answer.
    cable.holds_session = cable.holds_stream = True
    results = []
    maker = threading.Thread(target=lambda: results.append(timed(lambda: os.mkdir(f'{mnt.path}/made'))))
    began = time.monotonic()
    maker.start()
    cable.held.wait(20)
    time.sleep(max(0.0, TIMEOUT - 0.5 - (time.monotonic() - began)))    # part of what is measured
    cable.holds_stream = False
    maker.join()
    took, error = results.pop()
    print(f'looked and changed: {took:.2f} s')
    expect_eq(error, errno.ETIMEDOUT, 'a change without an answer')
    if took > MUCH:
        fail(f'it took {took:.1f} s')
    cable.holds_session = False
    wait_until(30, lambda: timed(lambda: os.listdir(mnt.path))[1] == 0, 'the mount to work again')

    # Each holds the lock of the directory while it waits.
    cable.cut()
    wait_until(20, lambda: 'suspended' in open(f'{mnt.path}/.zkfs/state').read(), 'the loss to be noticed')
    makers = [threading.Thread(target=lambda i=i: results.append(timed(lambda: os.mkdir(f'{mnt.path}/at-once{i}')))) for i in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    print('in one directory:', ', '.join(f'{took:.2f} s' for took, _ in sorted(results)))
    expect_eq({error for _, error in results}, {errno.ETIMEDOUT}, 'changes without a server')
    if max(results)[0] > MUCH:
        fail(f'they took {max(results)[0]:.1f} s')
    cable.mend()
    wait_until(30, lambda: timed(lambda: os.mkdir(f'{mnt.path}/afterwards'))[1] in (0, errno.EEXIST), 'the mount to work again')
