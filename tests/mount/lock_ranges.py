"""fcntl: ranges of a file, read and write locks, F_GETLK, locks of open file descriptions, and how they end; within a mount and
between two."""
import signal

from locking import *
from zktest import *

READ, WRITE, NONE = 'fcntl.F_RDLCK', 'fcntl.F_WRLCK', 'fcntl.F_UNLCK'


def lock(agent, kind, start, length, expected='None', command='fcntl.F_SETLK', what=''):
    expect_eq(agent(f'record({command}, fd, {kind}, {start}, {length}) and None'), expected, f'{kind} at {start}, {length} bytes {what}')


def opens(agent, mnt, name='file', flags='os.O_RDWR | os.O_CREAT'):
    agent.expect(f'fd = os.open("{mnt.path}/{name}", {flags})')
    return agent


def blocked_by(agent, start, length, kind=WRITE, command='fcntl.F_GETLK'):
    """Kind, start, length and pid."""
    found = agent(f'record({command}, fd, {kind}, {start}, {length})').strip('()').split(', ')
    return (found[0].strip("'"), int(found[1]), int(found[2]), int(found[3])) if found[0] != "'none'" else None


def expect_blocked(agent, start, length, expected, owner, what, kind=WRITE):
    """By a lock of an agent on the same machine: its pid, or 0 where nobody can know it."""
    found = blocked_by(agent, start, length, kind)
    expect_eq(found and found[:3], expected, f'F_GETLK: {what}')
    if found:
        expect_eq(found[3] in (owner.pid, 0), True, f'F_GETLK: pid {found[3]}, {owner.pid} has it')


def ranges(a, b):
    """Of different places nobody waits; a partial unlock splits a lock in two; to the end of the file is 0 bytes."""
    lock(a, WRITE, 0, 100)
    lock(b, WRITE, 50, 10, 'EAGAIN')
    lock(b, READ, 99, 1, 'EAGAIN')
    lock(b, WRITE, 100, 10)
    lock(a, WRITE, 100, 1, 'EAGAIN')
    expect_blocked(b, 50, 10, ('write', 0, 100), a, 'a lock')
    expect_eq(blocked_by(b, 100, 10), None, 'F_GETLK of what is its own')
    lock(a, NONE, 40, 20)
    lock(b, WRITE, 40, 20, what='after that part was unlocked')
    expect_blocked(b, 0, 100, ('write', 0, 40), a, 'the first half')
    expect_blocked(b, 60, 0, ('write', 60, 40), a, 'the second half')
    lock(a, READ, 70, 10, what='within a write lock')
    lock(b, READ, 70, 10, what='of both')
    lock(b, READ, 69, 2, 'EAGAIN')
    expect_blocked(b, 70, 10, ('read', 70, 10), a, 'a read lock')
    expect_eq(blocked_by(b, 70, 10, READ), None, 'F_GETLK for reading, beside a read lock')
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)
    lock(a, WRITE, 10, 0, what='to the end')
    lock(b, WRITE, 1 << 40, 1, 'EAGAIN', what='far behind the end')
    lock(b, WRITE, 0, 10)
    expect_blocked(b, 5, 0, ('write', 10, 0), a, 'to the end')
    lock(a, WRITE, 0, 0, 'EAGAIN')
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)
    # Side by side they are one.
    lock(a, WRITE, 0, 10)
    lock(a, WRITE, 10, 10)
    expect_blocked(b, 0, 0, ('write', 0, 20), a, 'two side by side')
    lock(a, NONE, 5, 10)
    lock(b, WRITE, 5, 10)
    expect_blocked(b, 0, 0, ('write', 0, 5), a, 'what is left of the first')
    expect_blocked(b, 5, 0, ('write', 15, 5), a, 'and of the second')
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)
    # Over each other, and over somebody's own of the other sort.
    lock(a, READ, 0, 10)
    lock(a, WRITE, 5, 10)
    lock(a, READ, 12, 10)
    lock(b, READ, 0, 5)
    lock(b, READ, 5, 1, 'EAGAIN')
    lock(b, READ, 11, 1, 'EAGAIN')
    lock(b, READ, 12, 10)
    lock(b, WRITE, 22, 0)
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)


def conversion(a, b):
    lock(a, READ, 0, 10)
    lock(b, READ, 5, 10)
    lock(a, WRITE, 0, 10, 'EAGAIN')
    lock(a, WRITE, 0, 5, what='of the part that is its alone')
    lock(b, READ, 0, 15, 'EAGAIN')
    lock(b, NONE, 5, 10)
    lock(a, WRITE, 0, 10)
    lock(a, READ, 0, 10, what='downgrade')
    lock(b, READ, 0, 10)
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)


def waiting(a, b):
    """F_SETLKW: the range becomes free by parts; who is interrupted leaves nothing; those who wait for other ranges go first."""
    lock(a, WRITE, 0, 10)
    lock(a, WRITE, 20, 10)
    count = len(locks_of_files(zk))
    b.begin(f'record(fcntl.F_SETLKW, fd, {WRITE}, 5, 20) and None')
    wait_until(30, lambda: len(locks_of_files(zk)) > count, 'one to wait')
    lock(a, NONE, 0, 10)
    lock(a, NONE, 20, 10)
    expect_eq(b.answer(), 'None', 'who waited for both parts')
    expect_blocked(a, 0, 0, ('write', 5, 20), b, 'what it waited for')
    lock(b, NONE, 0, 0)

    lock(a, WRITE, 0, 10)
    before = sorted(locks_of_files(zk))
    b.begin(f'record(fcntl.F_SETLKW, fd, {WRITE}, 0, 10)')
    wait_until(30, lambda: len(locks_of_files(zk)) > len(before), 'one to wait')
    b.process.send_signal(signal.SIGUSR1)
    expect_eq(b.answer(), 'EINTR', 'who was interrupted')
    wait_until(30, lambda: sorted(locks_of_files(zk)) == before, 'its node to go')
    lock(b, WRITE, 10, 10, what='elsewhere')
    expect_eq(blocked_by(a, 10, 10) is not None, True, 'that it has that')
    lock(a, NONE, 0, 0)
    lock(b, NONE, 0, 0)


def closes(a, b):
    """All of a process's locks of a file end when it closes any descriptor of that file, however it got it; a copy in a child has none;
    and they end with the process."""
    where = a('os.readlink(f"/proc/self/fd/{fd}")')
    lock(a, WRITE, 0, 10)
    a.expect(f'os.close(os.open("{where}", os.O_RDONLY))')
    lock(b, WRITE, 0, 10, command='fcntl.F_SETLKW', what='after another descriptor was closed')
    lock(b, NONE, 0, 0)
    lock(a, WRITE, 0, 10)
    a.expect('os.close(os.dup(fd))')
    lock(b, WRITE, 0, 10, command='fcntl.F_SETLKW', what='after a copy was closed')
    lock(b, NONE, 0, 0)
    lock(a, WRITE, 0, 10)
    a.expect('child = subprocess.Popen(["sleep", "1000"], pass_fds=[fd])')
    lock(b, WRITE, 0, 10, 'EAGAIN')
    a.expect('child.kill()')
    a.expect('child.wait()', '-9')
    lock(b, WRITE, 0, 10, 'EAGAIN', what='after the end of a child')
    for how in (signal.SIGTERM, signal.SIGKILL):
        with Agent() as c:
            expect_eq(c(f'fd = os.open("{where}", os.O_RDWR)'), 'None', 'open')
            lock(c, WRITE, 100, 10)
            c.end(how)
            lock(b, WRITE, 100, 10, command='fcntl.F_SETLKW', what=f'after {how!r}')
            lock(b, NONE, 100, 10)
    lock(a, NONE, 0, 0)


def of_open_files(a, b):
    """F_OFD_SETLK: the open file has it: a second one of the same process is somebody else, and the close of another does not matter."""
    ofd = {'command': 'OFD_SETLK'}
    where = a('os.readlink(f"/proc/self/fd/{fd}")')
    lock(a, WRITE, 0, 10, **ofd)
    a.expect(f'other = os.open("{where}", os.O_RDWR)')
    a.expect(f'record(OFD_SETLK, other, {WRITE}, 0, 10)', 'EAGAIN', 'a second open file')
    a.expect(f'record(fcntl.F_SETLK, other, {WRITE}, 0, 10)', 'EAGAIN', 'the process that has it by an open file')
    a.expect('os.close(other)')
    lock(b, WRITE, 0, 10, 'EAGAIN', **ofd)
    lock(b, WRITE, 0, 10, 'EAGAIN', what='of a process, beside one of an open file')
    found = blocked_by(b, 0, 10, command='OFD_GETLK')
    expect_eq(found and found[:3], ('write', 0, 10), 'F_OFD_GETLK')
    lock(a, NONE, 5, 5, **ofd)
    lock(b, WRITE, 5, 5, **ofd)
    lock(b, NONE, 0, 0, **ofd)
    a.expect('copy = os.dup(fd)')
    a.expect('os.close(fd)')
    lock(b, WRITE, 0, 5, 'EAGAIN', what='while there is a copy', **ofd)
    b.begin(f'record(OFD_SETLKW, fd, {WRITE}, 0, 5) and None')
    a.expect('os.close(copy)')
    expect_eq(b.answer(), 'None', 'after the last close')
    lock(b, NONE, 0, 0, **ofd)
    a.expect(f'fd = os.open("{where}", os.O_RDWR | os.O_CREAT)')


def others(a, b):
    """flock and fcntl are strangers, as on a local filesystem; descriptors that may not."""
    a.expect('flock(fd, LOCK_EX | LOCK_NB)')
    lock(b, WRITE, 0, 0)
    lock(a, WRITE, 0, 0, 'EAGAIN')
    a.expect('flock(fd, LOCK_UN)')
    lock(b, NONE, 0, 0)
    where = a('os.readlink(f"/proc/self/fd/{fd}")')
    a.expect(f'reads, writes = os.open("{where}", os.O_RDONLY), os.open("{where}", os.O_WRONLY)')
    a.expect(f'record(fcntl.F_SETLK, reads, {WRITE}, 0, 1)', 'EBADF')
    a.expect(f'record(fcntl.F_SETLK, writes, {READ}, 0, 1)', 'EBADF')
    a.expect(f'record(fcntl.F_SETLK, reads, {READ}, 0, 1) and None')
    lock(b, WRITE, 0, 1, 'EAGAIN', what='beside a reader')
    a.expect('[os.close(each) for each in (reads, writes)]', '[None, None]')
    lock(b, WRITE, 0, 1, command='fcntl.F_SETLKW')
    lock(b, NONE, 0, 0)


with mount('one') as one, mount('two') as two, client() as zk:
    zk.create('/file', b'x')
    zk.create('/dir')
    zk.create('/dir/child')
    for pair in ((one, two), (one, one)):
        for locked in ('file', 'dir/.data'):
            for scene in (ranges, conversion, waiting, closes, of_open_files, others):
                if scene == waiting and locked != 'file':
                    continue    # it looks at the nodes
                with Agent() as first, Agent() as second:
                    scene(opens(first, pair[0], locked), opens(second, pair[1], locked))
        print([each.path for each in pair])
    wait_until(30, lambda: not locks_of_files(zk) and zk.get_children('/dir') == ['child'], 'no lock left')
