"""A daemon is stopped while zkfs lock runs a command by it: that is dead before its session has expired, and so before another mount has
the lock and begins, by one clock."""
# timeout: 600
import signal
import sys
import threading
import time

from zktest import *

ROUNDS = max(4, int(6 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
WORKERS = 3

# Notes when it begins, and again and again that it is there; every other one does not care for SIGTERM.
BEATING = """import os, signal, sys, time
if sys.argv[2] == '1':
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
print(os.getpid(), flush=True)
while True:
    os.pwrite(log, b'%20d' % time.monotonic_ns(), 0)
    time.sleep(0.001)"""
BEGINNING = 'import time; print(time.monotonic_ns())'


class Stopped:
    """Anything that touches the mount would hang meanwhile."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def session(top):
    with open(f'{top}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.split() for line in file)


def play(name, mnt, other, is_stubborn):
    """ms from the last sign of life of the first command to the beginning of the second."""
    beats = f'{SCRATCH}/{name}.beats'
    known = session(mnt.path)['id']
    first = start_verb('lock', '-k', '60', f'{mnt.path}/{name}', '--', sys.executable, '-SEc', BEATING, beats, str(is_stubborn))
    group = int(first.stdout.readline())
    with Stopped(mnt.pid):
        second = start_verb('lock', '-w', '100', f'{other.path}/{name}', '--', sys.executable, '-SEc', BEGINNING)
        began = int(expect_end(second, 0, 120)[0])
        with open(beats, encoding='utf-8') as file:
            last = int(file.read())
        expect_eq(state_of(group) in 'ZX', True, 'the first command is dead')
        expect_eq(last < began, True, f'{name}: the last sign of life, {last}, is before {began}')
        _, err = expect_end(first, 74)
        expect_eq('was lost: no contact with the servers' in err, True, err)
    wait_until(60, lambda: session(mnt.path)['state'] == 'connected' and session(mnt.path)['id'] != known, 'another session')
    return (began - last) / 1e6


def play_waiting(mnt, other, zk):
    """One that waits for the lock while the session expires has it in the next, and keeps it."""
    known = session(mnt.path)['id']
    first = start_verb('lock', f'{other.path}/wait', '--', 'sh', '-c', 'echo $$; exec sleep 100')
    group = int(first.stdout.readline())
    second = start_verb('lock', f'{mnt.path}/wait', '--', 'sleep', '2')
    wait_until(30, lambda: len(zk.get_children('/.zkfs-locks/wait')) == 2, 'it waits')
    with Stopped(mnt.pid):
        wait_until(60, lambda: known not in sessions(), 'the session to expire')
    os.kill(group, signal.SIGTERM)
    expect_end(first, 128 + signal.SIGTERM)
    expect_end(second, 0, 60)


def work(number, rounds, other, gaps):
    with mount(f'stopped{number}', '-o', 'session_timeout=4') as mnt:
        for turn in range(rounds):
            gaps.append(play(f'w{number}', mnt, other, turn % 2))


def main():
    gaps = []
    with Servers(), mount('other', '-o', 'session_timeout=10') as other, client() as zk:
        workers = [threading.Thread(target=work, args=(number, len(range(number, ROUNDS, WORKERS)), other, gaps))
                   for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        with mount('waiting', '-o', 'session_timeout=4') as mnt:
            play_waiting(mnt, other, zk)
    expect_eq(len(gaps), ROUNDS, 'rounds')
    print(f'{ROUNDS} rounds: dead {min(gaps):.0f} to {max(gaps):.0f} ms before')


main()
