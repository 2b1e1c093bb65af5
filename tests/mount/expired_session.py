"""A session that has expired while the server was away is replaced; the mount goes on."""
import signal

from zktest import *


def can_read(expected):
    try:
        with open(f'{mnt.path}/file', encoding='utf-8') as file:
            return file.read() == expected
    except OSError:
        return False


def can_write():
    try:
        with open(f'{mnt.path}/file', 'w', encoding='utf-8') as file:
            file.write('written')
        return True
    except OSError:
        return False


with Servers() as own, mount('mnt', '-o', 'session_timeout=1') as mnt:
    with client() as zk:
        zk.create('/file', b'data')
    expect_eq(open(f'{mnt.path}/file').read(), 'data', 'before')
    for round in range(2):
        before = sessions()
        # Frozen from outside, the daemon cannot keep its sessions alive.
        os.kill(mnt.pid, signal.SIGSTOP)
        wait_until(20, lambda: not sessions() & before, 'the sessions to expire')
        os.kill(mnt.pid, signal.SIGCONT)
        with client() as zk:
            zk.set('/file', b'changed %d' % round)
            wait_until(10, lambda: can_read(f'changed {round}'), 'the change to be read')
            wait_until(10, can_write, 'writing')
            expect_eq(zk.get('/file')[0], b'written', 'what was written')
