"""/.zkfs/lease: that the session lives and since when, as a quorum of the servers confirms at each reading; not what a server says that
has lost the others."""
import signal
import time

from zktest import *


def lease():
    with open(f'{mnt.path}/.zkfs/lease', encoding='utf-8') as file:
        return dict(line.split() for line in file)


def session():
    with open(f'{mnt.path}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.split() for line in file)


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def check_contact(read, what):
    before = now()
    got = read()
    expect_eq(before <= int(got['contact']) <= now(), True, f'{what}: {before} <= {got["contact"]} <= {now()}')
    expect_eq({key: got[key] for key in ('id', 'timeout')}, {key: session()[key] for key in ('id', 'timeout')}, what)


def parse(text):
    return dict(line.split() for line in text.decode().splitlines())


def reading():
    check_contact(lease, 'by name')
    fd = os.open(f'{mnt.path}/.zkfs/lease', os.O_RDONLY)
    check_contact(lambda: parse(os.read(fd, 100)), 'opened')
    expect_eq(os.read(fd, 100), b'', 'its end')
    for _ in range(3):
        check_contact(lambda: parse(os.pread(fd, 100, 0)), 'again')
    whole = b''.join(os.pread(fd, 1, at) for at in range(100))
    check_contact(lambda: dict(parse(whole), contact=now()), 'piece by piece')
    os.close(fd)


def expired():
    known = session()['id']
    os.kill(mnt.pid, signal.SIGSTOP)
    wait_until(30, lambda: known not in sessions(), 'the session to expire')
    os.kill(mnt.pid, signal.SIGCONT)
    wait_until(30, lambda: lease()['id'] != known, 'another session')
    check_contact(lease, 'another session')


def try_lease():
    try:
        return lease()
    except OSError as error:
        expect_eq(error.errno in (errno.ETIMEDOUT, errno.EIO), True, f'{error}')
        return None


with Servers(), mount('mnt', '-o', 'session_timeout=2') as mnt:
    reading()
    expired()

with Servers('--ensemble', '3') as own, mount('alone', '-o', 'session_timeout=4,timeout=2') as mnt:
    check_contact(lease, 'an ensemble')
    others = [number for number, address in enumerate(servers().split(','), 1) if address != session()['server']]
    expect_eq(len(others), 2, 'others')
    own('pause', *others)
    expect_eq(try_lease(), None, 'of a server that is alone')
    # Not just resumed: now and then ZooKeeper 3.8.0 then has a leader and two followers, and serves nobody.
    own('kill', 1, 2, 3)
    own('restart', 1, 2, 3)
    wait_until(60, try_lease, 'a lease again')
    check_contact(lease, 'after that')
