"""A server that takes connections and neither answers nor closes them, as ZooKeeper 3.8.0 does with those that it gets while it
loads its tree: new ones are tried long before the session's timeout would end the wait, and the session is still the same."""
import time

from cable import Cable
from zktest import *

SESSION = 36    # s; libzookeeper would wait 24 for an answer


class LoadingCable(Cable):
    """While is_loading, connections are taken, and nothing is ever done with them."""

    def __init__(self, upstream):
        self.is_loading = False
        self.held = []          # so that nobody closes them
        self.sessions = set()   # that they were for
        super().__init__(upstream)

    def pump(self, pair, source, target):
        if not self.is_loading:
            super().pump(pair, source, target)
            return
        self.held.append(pair)
        if source is pair[0]:
            request = source.recv(65536)    # length, protocol, zxid, timeout, session
            self.sessions.add('0x' + request[20:28].hex().lstrip('0'))


def session():
    with open(f'{mnt.path}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.rstrip('\n').split(' ', 1) for line in file)


direct = servers()
host, port = direct.split(':')
cable = LoadingCable((host, int(port)))
os.environ['ZK'] = cable.address
mnt = mount('mnt', '-o', f'stale=never,session_timeout={SESSION},timeout={SESSION}')
os.environ['ZK'] = direct
with mnt, client() as zk:
    first = session()
    expect_eq(first['timeout'], str(SESSION * 1000), 'the timeout that the server grants')
    zk.create('/file', b'data')
    mnt.settle()
    with open(f'{mnt.path}/file', encoding='utf-8') as file:
        expect_eq(file.read(), 'data', 'before')
    for round in range(2):
        cable.cut()
        cable.is_loading = True
        cable.sessions.clear()
        cable.mend()
        wait_until(20, lambda: first['id'] in cable.sessions and len(cable.sessions) >= 2, 'both connections to be stuck')
        zk.set('/file', b'round %d' % round)
        cable.is_loading = False
        began = time.monotonic()
        with open(f'{mnt.path}/file', encoding='utf-8') as file:
            expect_eq(file.read(), f'round {round}', 'what is read')
        read = time.monotonic() - began
        os.mkdir(f'{mnt.path}/made{round}')
        written = time.monotonic() - began
        print(f'read {read:.2f} s, changed {written:.2f} s after the server was there again')
        if written > SESSION / 3:
            fail(f'changed {written:.1f} s after the server was there again')
        expect_eq(session()['id'], first['id'], 'the session')
