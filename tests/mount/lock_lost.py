"""Who has lost its lock, because the session has expired or somebody removed the lock's node, gets EIO for every read and write through that
descriptor, and the log says whose lock of what it was. Others get the lock; who waits goes on to wait under the new session."""
import signal

from locking import *
from zktest import *

EX, EX_NB = 'flock(fd, LOCK_EX)', 'flock(fd, LOCK_EX | LOCK_NB)'
SORTS = (
    # How it is taken, and given back.
    ('flock(fd, LOCK_EX)', 'flock(fd, LOCK_UN)'),
    ('flock(fd, LOCK_SH)', 'flock(fd, LOCK_UN)'),
    ('record(fcntl.F_SETLKW, fd, fcntl.F_WRLCK, 10, 20) and None', 'record(fcntl.F_SETLK, fd, fcntl.F_UNLCK, 0, 0) and None'),
)


def opens(agent, mnt, name):
    agent.expect(f'fd = os.open("{mnt.path}/{name}", os.O_RDWR | os.O_CREAT)')
    return agent


def locks(name):
    return sorted([child for child in zk.get_children('/dir') if child != 'child'] if name == 'dir/.data' else locks_of_files(zk))


def messages(agent, name):
    """Lines of the log that name the process and the file."""
    return [line for line in one.log().splitlines() if 'lock' in line and f'/{name}\'' in line and str(agent.pid) in line.split()]


def expect_lost(agent, name, unlock):
    """For good, until it opens the file anew."""
    wait_until(30, lambda: agent('os.pread(fd, 10, 0)') == 'EIO', 'reading to fail')
    for _ in range(2):
        agent.expect('os.pwrite(fd, b"lost", 0)', 'EIO')
        agent.expect('os.pread(fd, 10, 0)', 'EIO')
        agent(unlock)
    wait_until(30, lambda: messages(agent, name), 'a message')
    with open(f'{one.path}/{name}', encoding='utf-8') as file:
        expect_eq(file.read(), 'contents', 'what others read')
    agent('os.close(fd)')   # which may tell it as well
    opens(agent, one, name)
    agent.expect('os.pread(fd, 10, 0)', "b'contents'", 'of a new descriptor')


def expire():
    before = session_of(one)
    os.kill(one.pid, signal.SIGSTOP)
    wait_until(60, lambda: before not in sessions(), 'the session to expire')


def session_of(mnt):
    with open(f'{mnt.path}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.split() for line in file)['id']


def expired(name, take, unlock):
    with Agent() as holder, Agent() as waiter, Agent() as other, Agent() as beside:
        for agent, mnt in ((holder, one), (waiter, one), (other, two), (beside, one)):
            opens(agent, mnt, name)
        holder.expect(take)
        had = len(locks(name))
        is_ranges = 'record' in take
        ask = take if is_ranges else EX
        for number, agent in enumerate((other, waiter)):
            agent.begin(ask)
            wait_until(30, lambda: len(locks(name)) == (number + 2) * had, 'another to wait')
        expire()
        expect_eq(other.answer(), 'None', 'another gets it, when the session has expired')
        os.kill(one.pid, signal.SIGCONT)
        expect_lost(holder, name, unlock)
        beside.expect('os.pread(fd, 10, 0)', "b'contents'", 'of who had no lock')
        other.expect(unlock)
        expect_eq(waiter.answer(), 'None', 'who waited all the while')
        waiter.expect('os.pread(fd, 10, 0)', "b'contents'", 'of who has the lock')
        waiter.expect(unlock)
        # It can be had again.
        holder.expect(take)
        holder.expect('os.pread(fd, 10, 0)', "b'contents'")
        holder.expect(unlock)


def removed(name, take, unlock):
    """By hand, any of its nodes."""
    with Agent() as holder, Agent() as other:
        opens(holder, one, name)
        opens(other, two, name)
        holder.expect(take)
        first = locks(name)[0]
        zk.delete(f'/dir/{first}' if name == 'dir/.data' else first)
        expect_lost(holder, name, unlock)
        other.expect(take)
        other.expect(unlock)


with Servers() as own, LoggedMount('one', '-o', 'session_timeout=2') as one, mount('two', '-o', 'session_timeout=20') as two, client() as zk:
    zk.create('/file', b'contents')
    zk.create('/dir', b'contents')
    zk.create('/dir/child')
    for how, undo in SORTS:
        for which in ('file', 'dir/.data') if 'record' not in how else ('file',):
            for scene in (expired, removed):
                scene(which, how, undo)
                wait_until(30, lambda: not locks(which), 'no lock left')
                print(scene.__name__, which, how)
