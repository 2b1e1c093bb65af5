"""Two programs on one mount write one file, neither has closed it: what is merged comes in the order of writing, as in any local
file; what replaces the contents wins with its close."""
from zktest import *


def start(name, flags, data=b''):
    fd = os.open(f'{top}/{name}', flags | os.O_CREAT, 0o644)
    if data:
        os.write(fd, data)
    return fd


def finish(*fds):
    for fd in fds:
        os.close(fd)


def expect(name, data, what):
    expect_eq(zk.get(f'/{name}')[0], data, what)
    expect_eq(open(f'{top}/{name}', 'rb').read(), data, f'{what}, on the mount')


def appended_to_new():
    first = start('new', os.O_WRONLY, b'12345')
    finish(start('new', os.O_WRONLY | os.O_APPEND, b'more'))
    expect('new', b'12345more', 'the first is not closed yet')
    os.write(first, b'6')
    finish(first)
    expect('new', b'123456ore', 'as a local file: the first writes on where it was')


def appended_to_old():
    zk.create('/old', b'old.')
    first = start('old', os.O_WRONLY | os.O_APPEND, b'one.')
    second = start('old', os.O_WRONLY | os.O_APPEND, b'two.')
    third = start('old', os.O_WRONLY | os.O_APPEND, b'three.')
    finish(second, third, first)
    expect('old', b'old.one.two.three.', 'in the order of writing, not of closing')


def appended_to_truncated():
    zk.create('/cut', b'old')
    first = start('cut', os.O_WRONLY | os.O_TRUNC)
    finish(start('cut', os.O_WRONLY | os.O_APPEND, b'new'))
    finish(first)
    expect('cut', b'new', 'cut, then appended to')


def overlapping():
    zk.create('/over', b'........')
    first = start('over', os.O_RDWR)
    os.pwrite(first, b'aaaa', 0)
    second = start('over', os.O_RDWR)
    os.pwrite(second, b'bbbb', 2)
    os.fsync(second)
    expect('over', b'aabbbb..', 'the later one is on top')
    finish(first, second)
    expect('over', b'aabbbb..', 'and stays it')


def replaced():
    zk.create('/whole', b'old')
    before = zk.exists('/whole').version
    first = start('whole', os.O_WRONLY | os.O_TRUNC, b'first')
    finish(start('whole', os.O_WRONLY | os.O_TRUNC, b'second'))
    expect('whole', b'second', 'who replaces waits for nobody')
    finish(first)
    expect('whole', b'first', 'the last close wins')
    expect_eq(zk.exists('/whole').version - before, 2, 'saves')


with mount() as mnt, client() as zk:
    top = mnt.path
    for case in (appended_to_new, appended_to_old, appended_to_truncated, overlapping, replaced):
        print(case.__name__, flush=True)
        case()
        mnt.settle()
