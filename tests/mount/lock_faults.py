"""Twelve processes on three mounts, of which each reads a counter and writes it under flock, while the server is restarted; while the server
of an ensemble that a mount is connected to is killed; and while others, who wait for the lock too, are killed -9. No round is
lost, and no lock is left. (ZKFS_TEST_SCALE=5: 250 rounds each.)"""
# timeout: 600
import signal
import subprocess
import sys

from locking import *
from zktest import *

ROUNDS = max(10, int(50 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
RESTARTS = 1 if ROUNDS < 100 else 3
# Long enough that no session is lost, which would be another test.
OPTIONS = ('-o', 'session_timeout=20')
WAITS = 'import fcntl, sys; fd = open(sys.argv[1], "r+")\nwhile True: fcntl.flock(fd, fcntl.LOCK_EX); fcntl.flock(fd, fcntl.LOCK_UN)'


def server_of(mnt):
    """The number of the server that it is connected to; None while it has none."""
    try:
        with open(f'{mnt.path}/.zkfs/session', encoding='utf-8') as file:
            server = dict(line.split() for line in file)['server']
    except OSError:
        return None
    return own.connect.split(',').index(server) + 1 if server in own.connect else None


def restarted():
    own('kill', 1)
    own('restart', 1)


def server_killed():
    number = wait_until(60, lambda: server_of(mounts[0]), 'a connection')
    own('kill', number)
    wait_until(60, lambda: server_of(mounts[0]) not in (None, number), 'a connection to another')
    own('restart', number)


def waiter_killed():
    """Wherever it is just then, when all others have had a turn or so."""
    waiters = [subprocess.Popen([sys.executable, '-ISc', WAITS, f'{mnt.path}/dir/.data']) for mnt in mounts]
    enough = turns.begun() + 12
    wait_until(60, lambda: turns.begun() > enough, 'turns beside those that wait')
    for waiter in waiters:
        waiter.send_signal(signal.SIGKILL)
        waiter.wait()


def take_turns(fault, times):
    """It comes so often, spread over the turns."""
    global turns    # pylint: disable=global-statement
    with client() as zk:
        zk.create('/dir/file', b'x')
        zk.create('/counter', b'0')
    turns = Turns()
    for mnt in mounts:
        for player in range(4):
            turns.zkfs(f'{mnt.path}/dir/{"file" if fault != waiter_killed else ".data"}', f'{mnt.path}/counter', rounds=ROUNDS,
                       patient=True, reopens=player % 2 == 1)
    turns.go()
    for number in range(times):
        wait_until(120, lambda: turns.begun() > 12 * ROUNDS * number // times + 12, 'turns')
        fault()
    had = turns.end()['zkfs']
    print(f'{fault.__name__}: {len(had)} turns in {(max(had)[1] - min(had)[0]) / 1e9:.1f} s')
    expect_apart(had, had, fault.__name__)
    with client() as zk:
        expect_eq((len(had), int(zk.get('/counter')[0])), (12 * ROUNDS, 12 * ROUNDS), f'{fault.__name__}: turns, and the counter')
        wait_until(60, lambda: not locks_of_files(zk) and zk.get_children('/dir') == ['file'], 'no lock left')
        zk.delete('/counter')
        zk.delete('/dir/file')


for options, faults in (((), ((restarted, RESTARTS), (waiter_killed, 5))), (('--ensemble', '3'), ((server_killed, RESTARTS),))):
    with Servers(*options) as own:
        with client() as zk:
            zk.create('/dir')
        with mount('one', *OPTIONS) as one, mount('two', *OPTIONS) as two, mount('three', *OPTIONS) as three:
            mounts = (one, two, three)
            for each in faults:
                take_turns(*each)
