"""flock: what its calls give, within a mount and between two, of a file and of a directory's .data; who has a lock, and when it ends."""
import signal
import subprocess
import time

from locking import *
from zktest import *

EX, SH, UN = 'flock(fd, LOCK_EX)', 'flock(fd, LOCK_SH)', 'flock(fd, LOCK_UN)'
EX_NB, SH_NB = 'flock(fd, LOCK_EX | LOCK_NB)', 'flock(fd, LOCK_SH | LOCK_NB)'


def opens(agent, mnt, name, flags='os.O_RDWR | os.O_CREAT'):
    agent.expect(f'fd = os.open("{mnt.path}/{name}", {flags})')
    return agent


def locks(name):
    """Nodes of those that have the lock or wait for it."""
    return sorted([child for child in zk.get_children('/dir') if child != 'child'] if name == 'dir/.data' else locks_of_files(zk))


def expect_queue(name, length, what):
    """So many have it or wait for it; of a directory, each has three nodes."""
    wait_until(30, lambda: len(locks(name)) == (3 if name == 'dir/.data' else 1) * length, what)


def shared_and_not(name, mnt_a, mnt_b):
    """Shared ones are had at once, exclusive ones alone; LOCK_NB; conversion, up and down."""
    with Agent() as a, Agent() as b:
        opens(a, mnt_a, name)
        opens(b, mnt_b, name)
        a.expect(EX_NB)
        a.expect(EX_NB, what='once more')
        for call in (EX_NB, SH_NB):
            b.expect(call, 'EAGAIN')
        a.expect(UN)
        a.expect(UN, what='without a lock')
        b.expect(SH_NB)
        a.expect(SH_NB)
        b.expect(EX_NB, 'EAGAIN', 'while another reads')
        a.expect(SH_NB, what='and still does')
        a.expect(UN)
        b.expect('[flock(fd, LOCK_UN), flock(fd, LOCK_SH), flock(fd, LOCK_EX | LOCK_NB)]', '[None, None, None]', 'alone')
        a.expect(SH_NB, 'EAGAIN')
        b.expect(SH_NB, what='downgrade')
        a.expect(SH_NB)
        a.begin(EX)
        expect_queue(name, 2, 'who upgrades')
        b.expect(UN)
        expect_eq(a.answer(), 'None', 'the upgrade')
        b.expect(SH_NB, 'EAGAIN', 'after the upgrade')
        # Who waits is woken by a downgrade, too.
        b.begin(SH)
        expect_queue(name, 2, 'a reader')
        a.expect(SH, what='downgrade with a reader that waits')
        expect_eq(b.answer(), 'None', 'the reader')


def in_line(name, mnt_a, mnt_b):
    """First come, first served, on whichever mount."""
    agents = [Agent() for _ in range(6)]
    order = []
    for number, agent in enumerate(agents):
        opens(agent, (mnt_a, mnt_b)[number % 2], name)
        agent.begin(EX)
        expect_queue(name, number + 1, 'another in the queue')
    for agent in agents:
        expect_eq(agent.answer(), 'None', 'the next one')
        order.append(agent('__import__("time").monotonic_ns()'))
        agent.end()
    expect_eq(order, sorted(order, key=int), 'the order in which they got it')


def copies(name, mnt_a, mnt_b):
    """A lock is the open file's, not the descriptor's nor the process's: it ends with the last copy, also in a child."""
    with Agent() as a, Agent() as b:
        opens(a, mnt_a, name)
        opens(b, mnt_b, name)
        a.expect(EX)
        a.expect('copy = os.dup(fd)')
        a.expect('flock(copy, LOCK_EX | LOCK_NB)', what='through a copy')
        a.expect('os.close(fd)')
        b.expect(EX_NB, 'EAGAIN', 'while there is a copy')
        a.expect('child = subprocess.Popen(["sleep", "1000"], pass_fds=[copy])')
        a.expect('os.close(copy)')
        b.expect(EX_NB, 'EAGAIN', 'while a child has it open')
        b.begin(EX)
        a.expect('child.kill()')
        a.expect('child.wait()', '-9')
        expect_eq(b.answer(), 'None', 'after the death of the child')
        # A second open file of the same process is somebody else.
        opens(a, mnt_a, name)
        b.expect('other = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)')
        b.expect('flock(other, LOCK_EX | LOCK_NB)', 'EAGAIN', 'of another open file of the same process')
        b.expect('os.close(other)')
        a.expect(EX_NB, 'EAGAIN', 'after another was closed')
        # Any copy unlocks.
        b.expect('copy = os.dup(fd)')
        b.expect('flock(copy, LOCK_UN)')
        a.expect(EX_NB, what='after it was unlocked through a copy')


def ends(name, mnt_a, mnt_b):
    """A close and any death let it go."""
    for how in ('close', signal.SIGTERM, signal.SIGKILL):
        with Agent() as b:
            a = opens(Agent(), mnt_a, name)
            opens(b, mnt_b, name)
            a.expect(EX)
            b.begin(EX)
            expect_queue(name, 2, 'the next one')
            if how == 'close':
                a.expect('os.close(fd)')
                expect_eq(b.answer(), 'None', 'after a close')
                a.end()
            else:
                a.end(how)
                expect_eq(b.answer(), 'None', f'after {how!r}')


def waiters(name, mnt_a, mnt_b):
    """Who waits and is interrupted gets EINTR, or goes on to wait if its handler says so; it leaves no node, nor does who is killed.
    What it had before, it still has."""
    with Agent() as a, Agent() as b, Agent() as c:
        opens(a, mnt_a, name)
        for mnt in (mnt_a, mnt_b):
            a.expect(EX)
            had = locks(name)
            for agent in (b, c):
                opens(agent, mnt, name)
            b.begin(EX)
            expect_queue(name, 2, 'one to wait')
            b.process.send_signal(signal.SIGUSR1)
            expect_eq(b.answer(), 'EINTR', 'who was interrupted')
            wait_until(30, lambda: locks(name) == had, 'its node to go')
            killed = opens(Agent(), mnt, name)
            killed.begin(SH)
            expect_queue(name, 2, 'another')
            killed.end(signal.SIGKILL)
            wait_until(30, lambda: locks(name) == had, 'the node of who was killed to go')
            # Who is behind those is not in their way, nor they in its.
            b.begin(EX)
            expect_queue(name, 2, 'one to wait')
            c.begin(EX)
            expect_queue(name, 3, 'one behind it')
            b.process.send_signal(signal.SIGUSR1)
            expect_eq(b.answer(), 'EINTR', 'who was in the middle')
            expect_queue(name, 2, 'its node to go')
            a.expect(UN)
            expect_eq(c.answer(), 'None', 'who was behind it')
            c.expect(UN)
        wait_until(30, lambda: not locks(name), 'no node')
        # A handler that returns: the system call is begun again.
        a.expect(EX)
        b.expect('signal.signal(signal.SIGUSR1, lambda *_: None) and None')
        b.begin(EX)
        expect_queue(name, 2, 'one to wait')
        b.process.send_signal(signal.SIGUSR1)
        a.expect(UN)
        expect_eq(b.answer(), 'None', 'after a signal')
    wait_until(30, lambda: not locks(name), 'no node')


def tool(name, mnt_a, mnt_b):
    """flock(1) of util-linux."""
    path_a, path_b = f'{mnt_a.path}/{name}', f'{mnt_b.path}/{name}'
    with Agent() as a:
        opens(a, mnt_a, name)
        a.expect(EX)
        had = locks(name)
        expect_eq(subprocess.run(['flock', '-n', path_b, 'true'], check=False).returncode, 1, 'flock -n')
        began = time.monotonic()
        expect_eq(subprocess.run(['flock', '-w', '0.3', '-E', '7', path_b, 'true'], check=False).returncode, 7, 'flock -w')
        expect_eq(time.monotonic() - began >= 0.3, True, 'that flock -w waited')
        wait_until(30, lambda: locks(name) == had, 'its node to go')
        waiting = subprocess.Popen(['flock', path_b, 'echo', 'had it'], stdout=subprocess.PIPE, text=True)
        expect_queue(name, 2, 'flock')
        expect_eq(waiting.poll(), None, 'that flock waits')
        a.expect(UN)
        expect_eq(waiting.communicate(), ('had it\n', None), 'what the command said')
        expect_eq(waiting.returncode, 0, 'its exit status')
    expect_eq(subprocess.run(['flock', '-s', path_a, 'flock', '-s', '-n', path_b, 'true'], check=False).returncode, 0, 'both -s')
    expect_eq(subprocess.run(['flock', '-s', path_a, 'flock', '-n', path_b, 'true'], check=False).returncode, 1, '-s, then not')


def sorts_of_files():
    """Descriptors for reading and writing only; a file that is locked before it is saved; one that is removed while it is locked."""
    with Agent() as a, Agent() as b:
        for flags in ('os.O_RDONLY', 'os.O_WRONLY'):
            opens(a, one, 'file', flags)
            opens(b, two, 'file', flags)
            a.expect(EX_NB, what=flags)
            b.expect(EX_NB, 'EAGAIN', flags)
            a.expect(UN)
            b.expect(EX_NB, what=flags)
            for agent in (a, b):
                agent.expect('os.close(fd)')
            wait_until(30, lambda: not locks_of_files(zk), 'no lock left')
        opens(a, one, 'new')
        expect_eq(zk.exists('/new'), None, 'a file that is not saved')
        a.expect(EX_NB)
        a.expect('os.write(fd, b"contents")', '8')
        a.expect('os.fsync(fd)')
        opens(b, two, 'new', 'os.O_RDONLY')
        b.expect('os.read(fd, 10)', "b'contents'")
        b.expect(EX_NB, 'EAGAIN', 'of a file that was locked before it was saved')
        a.expect('os.write(fd, b" more")', '5')
        a.expect(UN)
        b.expect(EX, what='when it is free')
        expect_eq(zk.get('/new')[0], b'contents more', 'what was written under the lock, before it was unlocked')
        b.expect(UN)
        a.expect(EX)
        a.expect(f'os.unlink("{one.path}/new")')
        a.expect(UN, what='of a removed file')
        a.expect('os.close(fd)')
    wait_until(30, lambda: not locks_of_files(zk), 'no lock left')


require('flock')
with mount('one') as one, mount('two') as two, client() as zk:
    zk.create('/file', b'x')
    zk.create('/dir')
    zk.create('/dir/child')
    for scene in (shared_and_not, in_line, copies, ends, waiters, tool):
        for which in ('file', 'dir/.data'):
            for pair in ((one, two), (one, one)):
                scene(which, *pair)
                wait_until(30, lambda: not locks(which), f'no lock left: {scene.__name__}')
            print(scene.__name__, which)
    sorts_of_files()
    expect_eq('.zkfs-locks' in os.listdir(one.path), False, 'that locks are listed')
    expect_eq(zk.get_children('/dir'), ['child'], 'what is left in the directory')
