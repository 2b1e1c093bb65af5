"""-o stale: what is cached is read on while no server answers: until the session would have expired, never, or for as long as it
lasts; never anything older than what was written, and all that is new once there is a server again."""
import subprocess
import threading
import time

from cable import Cable
from zktest import *

ADD_WATCH = b'\0\0\0\x6a'   # ZooDefs.OpCode


class HoldingCable(Cable):
    """While `holds`, nothing comes back from the server on the connection that has asked for a watch (the stream)."""

    def __init__(self, upstream):
        self.streams = set()
        self.holds = False
        super().__init__(upstream)

    def pump(self, pair, source, target):
        super().pump(pair, source, _End(self, pair, target, source is pair[0]))


class _End:
    def __init__(self, cable, pair, sock, is_server):
        self.cable, self.pair, self.sock, self.is_server = cable, pair, sock, is_server

    def sendall(self, data):
        if self.is_server and data[8:12] == ADD_WATCH:
            self.cable.streams.add(self.pair)
        while not self.is_server and self.cable.holds and self.pair in self.cable.streams:
            time.sleep(0.01)
            if not self.cable.is_whole:
                raise OSError
        self.sock.sendall(data)

    def shutdown(self, how):
        self.sock.shutdown(how)


def read(name):
    with open(f'{mnt.path}/{name}', encoding='utf-8') as file:
        return file.read()


def state():
    return read('.zkfs/state').strip()


def error_of(act):
    try:
        act()
        return 0
    except OSError as error:
        return error.errno


def make_tree(zk):
    for name in ('one', 'two', 'three'):
        zk.create(f'/dir/{name}', b'old ' + name.encode(), makepath=True)
    zk.create('/far/unread', b'nobody has read this', makepath=True)
    zk.create('/written', b'none')


def read_all():
    os.symlink('dir/one', f'{mnt.path}/link')
    subprocess.run(['ls', '-l', f'{mnt.path}/dir'], check=True, stdout=subprocess.DEVNULL)
    for name in ('one', 'two', 'three'):
        expect_eq(read(f'dir/{name}'), f'old {name}', 'before')
    expect_eq(error_of(lambda: os.stat(f'{mnt.path}/dir/nothing')), errno.ENOENT, 'what is not there')
    return os.stat(f'{mnt.path}/dir/one')


def cut(cable):
    cable.cut()
    wait_until(20, lambda: state() != 'connected', 'the loss to be noticed')


def expect_old(stat, what):
    expect_eq(read('dir/two'), 'old two', f'{what}: contents')
    expect_eq(subprocess.run(['cat', f'{mnt.path}/link'], check=True, stdout=subprocess.PIPE).stdout, b'old one', f'{what}: a link')
    expect_eq(sorted(os.listdir(f'{mnt.path}/dir')), ['one', 'three', 'two'], f'{what}: a listing')
    now = os.stat(f'{mnt.path}/dir/one')
    expect_eq((now.st_ino, now.st_size, now.st_mtime_ns), (stat.st_ino, stat.st_size, stat.st_mtime_ns), f'{what}: attributes')
    expect_eq(error_of(lambda: os.stat(f'{mnt.path}/dir/nothing')), errno.ENOENT, f'{what}: what is not there')


def change_all(zk):
    zk.set('/dir/two', b'new two')
    zk.set('/dir/one', b'new and longer')
    zk.delete('/dir/three')
    zk.create('/dir/nothing', b'something')


def expect_new(what):
    expect_eq(read('dir/two'), 'new two', f'{what}: contents')
    expect_eq(sorted(os.listdir(f'{mnt.path}/dir')), ['nothing', 'one', 'two'], f'{what}: a listing')
    expect_eq(os.stat(f'{mnt.path}/dir/one').st_size, len('new and longer'), f'{what}: attributes')
    expect_eq(error_of(lambda: os.stat(f'{mnt.path}/dir/three')), errno.ENOENT, f'{what}: what is gone')


def go_back(cable, what):
    """The first that the mount reads anew is new, whatever was recalled."""
    cable.mend()
    wait_until(60, lambda: 'watch recursive' in read('.zkfs/session'), f'{what}: the stream')
    expect_new(what)
    wait_until(60, lambda: state() == 'connected', f'{what}: the session')
    with open(f'{mnt.path}/written', 'w', encoding='utf-8') as file:
        file.write(what)


def clean(zk):
    for path in ('/dir', '/far', '/written', '/link'):
        zk.delete(path, recursive=True)


def mounted(cable, *options):
    own_servers = servers()
    os.environ['ZK'] = cable.address
    try:
        return mount('mnt', '-o', ','.join(options))
    finally:
        os.environ['ZK'] = own_servers


def metric(name):
    return next(float(line.split()[1]) for line in read('.zkfs/metrics').splitlines() if line.startswith(f'{name} '))


with client(timeout=30) as zk:
    host, port = servers().split(':')
    cable = HoldingCable((host, int(port)))
    make_tree(zk)
    with mounted(cable, 'session_timeout=30,timeout=60') as mnt:
        stat = read_all()
        cut(cable)
        change_all(zk)
        began = time.monotonic()
        expect_old(stat, 'session')
        first = time.monotonic()
        expect_old(stat, 'session, again')
        print(f'the first reads took {first - began:.2f} s, the next {time.monotonic() - first:.3f} s')
        expect_eq(metric('zkfs_cache_recalled_total') > 0, True, 'it was counted')
        # A change waits for a server all the same.
        writer = threading.Thread(target=lambda: os.mkdir(f'{mnt.path}/made'))
        writer.start()
        go_back(cable, 'session')
        writer.join()
        expect_eq(zk.exists('/made') is not None, True, 'what was made meanwhile')
        zk.delete('/made')
    clean(zk)

    make_tree(zk)
    with mounted(cable, 'session_timeout=3,timeout=3') as mnt:
        stat = read_all()
        cut(cable)
        change_all(zk)
        # Until the session would have expired, and then no more.
        expect_eq(wait_until(60, lambda: error_of(lambda: read('dir/two')), 'the end of what is old'), errno.EIO, 'after a session timeout')
        expect_eq(error_of(lambda: os.stat(f'{mnt.path}/dir/one')), errno.EIO, 'attributes, after it')
        expect_eq(error_of(lambda: os.listdir(f'{mnt.path}/dir')), errno.EIO, 'a listing, after it')
        go_back(cable, 'after the end')
    clean(zk)

    make_tree(zk)
    with mounted(cable, 'stale=forever,session_timeout=1,timeout=1') as mnt:
        stat = read_all()
        cut(cable)
        change_all(zk)
        until = time.monotonic() + 6        # beyond the session, and what the kernel keeps names for
        while time.monotonic() < until:
            expect_old(stat, 'forever')
            expect_eq(error_of(lambda: read('far/unread')), errno.ETIMEDOUT, 'what was not read')
        go_back(cable, 'forever')
    clean(zk)

    make_tree(zk)
    with mounted(cable, 'stale=never,session_timeout=30,timeout=1') as mnt:
        read_all()
        cut(cable)
        expect_eq(error_of(lambda: read('dir/two')), errno.ETIMEDOUT, 'never')
        cable.mend()
        wait_until(60, lambda: not error_of(lambda: read('dir/two')), 'never: afterwards')
    clean(zk)

    # A change of ours that the stream could not pass: whoever closes the file knows of it, so nothing older may be read.
    make_tree(zk)
    with mounted(cable, 'stale=forever,session_timeout=6,timeout=2') as mnt:
        read_all()
        fd = os.open(f'{mnt.path}/written', os.O_WRONLY)
        cable.holds = True
        os.write(fd, b'mine')
        wait_until(30, lambda: zk.get('/written')[0] == b'mine', 'it to be saved by itself')
        wait_until(30, lambda: 'waiting_for="answer"} 0' in read('.zkfs/metrics'), 'the answer')
        cut(cable)
        wait_until(30, lambda: metric('zkfs_saves') == 0, 'the save to end without the stream')
        os.close(fd)
        expect_eq(error_of(lambda: read('written')), errno.ETIMEDOUT, 'what was written is not read as it was')
        expect_eq(error_of(lambda: read('dir/two')), errno.ETIMEDOUT, 'nor is what others may have written before it')
        cable.holds = False
        cable.mend()
        wait_until(60, lambda: not error_of(lambda: read('written')), 'the stream')
        expect_eq(read('written'), 'mine', 'afterwards')
