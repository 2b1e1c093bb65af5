"""Unsaved bytes: a new file is born with its contents and seen on this machine before; what rests a second is saved; errors show
at close, and leave things as they are."""
import stat as modes
import threading
import time

from kazoo.security import make_acl

from zktest import *


def create(name, flags=0, data=b''):
    fd = os.open(f'{top}/{name}', os.O_CREAT | os.O_WRONLY | flags, 0o644)
    if data:
        os.write(fd, data)
    return fd


def read(name):
    with open(f'{top}/{name}', 'rb') as file:
        return file.read()


def node(name):
    """Data and version, as Kazoo sees them; None: not there."""
    if not zk.exists(f'/{name}'):
        return None
    data, stat = zk.get(f'/{name}')
    return data, stat.version


def born_with_contents():
    fd = create('new', data=b'text')
    expect_eq(node('new'), None, 'a new file, before it is closed')
    expect_eq((os.stat(f'{top}/new').st_size, os.listdir(top), read('new')), (4, ['new'], b'text'), 'as the mount shows it')
    expect_eq(os.stat(f'{top}/new').st_ino, os.fstat(fd).st_ino, 'inode numbers')
    with expect_error(errno.EEXIST, 'another of the name'):
        os.close(create('new', os.O_EXCL))
    number = os.fstat(fd).st_ino
    os.close(fd)
    expect_eq(node('new'), (b'text', 0), 'after it was closed')
    expect_eq(os.stat(f'{top}/new').st_ino, number, 'the inode number then')
    os.close(create('empty'))
    expect_eq(node('empty'), (b'', 1), 'an empty one')
    for name, make in (('exclusive', lambda: os.close(create('exclusive', os.O_EXCL))),
                       ('mknod', lambda: os.mknod(f'{top}/mknod', modes.S_IFREG | 0o644))):
        make()
        expect_eq(node(name), (b'', 1), name)
    fd = create('taken', os.O_EXCL)
    expect_eq(node('taken'), (b'', 1), 'an exclusive one while open')
    os.close(fd)


def removed_before():
    fd = create('gone', data=b'x')
    os.unlink(f'{top}/gone')
    expect_eq(os.listdir(top), [], 'after unlink')
    os.close(fd)
    os.mkdir(f'{top}/d')
    fd = create('d/new', data=b'x')
    with expect_error(errno.ENOTEMPTY, 'rmdir'):
        os.rmdir(f'{top}/d')
    zk.delete('/d')
    with expect_error(errno.ENOENT, 'close without a directory'):
        os.close(fd)
    mnt.settle()
    expect_eq((os.listdir(top), zk.get_children('/')), ([], []), 'what is there')


def resting():
    fd = create('rests', data=b'one')
    os.fsync(fd)
    expect_eq(node('rests'), (b'one', 0), 'after fsync')
    os.write(fd, b'two')
    expect_eq(node('rests'), (b'one', 0), 'after a write')
    wait_until(5, lambda: node('rests') == (b'onetwo', 1), 'saved by itself')
    os.close(fd)
    expect_eq(node('rests'), (b'onetwo', 1), 'closed with nothing more to save')

    # A busy machine may let us rest between two writes: then nothing is said.
    fd = create('log', os.O_APPEND)
    began = last = time.monotonic()
    longest = 0
    while not node('log'):      # a writer that never rests
        os.write(fd, b'line\n')
        time.sleep(0.2)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if last - began > 10:
            fail('what is appended all the time is never saved')
    if last - began < 4 and longest < 0.8:
        fail('what is appended all the time is saved too soon')
    os.close(fd)

    fd = create('stream')
    began = last = time.monotonic()
    longest = 0
    while last - began < 2.5:
        os.write(fd, b'x' * 100)
        time.sleep(0.2)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    if longest < 0.8:
        expect_eq(node('stream'), None, 'what is being written')
    os.close(fd)
    expect_eq(len(node('stream')[0]) % 100, 0, 'written')


def touching():
    zk.create('/f', b'data')
    zk.create('/dir', b'')
    mnt.settle()
    before = os.stat(f'{top}/f').st_mtime
    os.utime(f'{top}/f')
    expect_eq(node('f'), (b'data', 1), 'touched')
    expect_eq(os.stat(f'{top}/f').st_mtime > before, True, 'the time')
    os.utime(f'{top}/f', (1, 1))
    expect_eq(node('f'), (b'data', 1), 'a time that is given')
    os.utime(f'{top}/dir')
    expect_eq((node('dir'), os.path.isdir(f'{top}/dir')), ((b'', 0), True), 'a directory')
    fd = create('new')
    os.utime(f'{top}/new')
    expect_eq(node('new'), (b'', 1), 'a new file, touched')
    os.close(fd)


def shells():
    """Nobody sees a file empty that a shell's > fills."""
    seen = []
    watched = threading.Event()

    def changed(event):
        data = zk.get('/out')[0] if event.type in ('CREATED', 'CHANGED') else None
        seen.append((event.type, data))
        watched.set()

    zk.exists('/out', watch=changed)
    expect_eq(os.system(f'cd {top} && (sleep 0.1; echo some; echo thing) >out'), 0, 'the shell')
    watched.wait(5)
    expect_eq(seen, [('CREATED', b'some\nthing\n')], 'what a watcher saw')
    expect_eq(os.system(f'cd {top} && sh -c "sleep 0.1; echo other" >out'), 0, 'the shell')
    expect_eq(node('out'), (b'other\n', 1), 'overwritten once')
    expect_eq(os.system(f': >{top}/out'), 0, 'the shell')
    expect_eq(node('out'), (b'', 2), 'emptied')


def two_writers():
    one, two = create('log', os.O_APPEND, b'one\n'), create('log', os.O_APPEND, b'two\n')
    zk.create('/log', b'kazoo\n')
    os.close(one)
    os.close(two)
    expect_eq(node('log'), (b'kazoo\none\ntwo\n', 2), 'appended to a file that another made meanwhile')
    fd = create('log', os.O_TRUNC, b'replaced')
    zk.set('/log', b'kazoo')
    os.close(fd)
    expect_eq(node('log'), (b'replaced', 4), 'replaced')
    fd = os.open(f'{top}/log', os.O_WRONLY)
    os.pwrite(fd, b'R', 0)
    zk.set('/log', b'zk wrote more')
    os.close(fd)
    expect_eq(node('log'), (b'Rk wrote more', 6), 'merged')
    expect_eq(read('log'), b'Rk wrote more', 'and shown')
    fd = create('becomes', data=b'x')
    zk.create('/becomes/directory', b'', makepath=True)
    with expect_error(errno.EISDIR, 'a directory came meanwhile'):
        os.close(fd)


def errors():
    read_only = [make_acl('world', 'anyone', read=True)]
    zk.create('/locked', b'old', acl=read_only)
    zk.create('/shut', b'', acl=read_only)
    mnt.settle()
    for flags in (os.O_TRUNC, os.O_APPEND, 0):
        fd = os.open(f'{top}/locked', os.O_WRONLY | flags)
        os.write(fd, b'new')
        with expect_error(errno.EACCES, 'close'):
            os.close(fd)
        expect_eq((node('locked'), read('locked')), ((b'old', 0), b'old'), 'as it was')
    fd = create('shut/new', data=b'x')
    with expect_error(errno.EACCES, 'close of a new file'):
        os.close(fd)
    expect_eq(os.listdir(f'{top}/shut'), [], 'a directory that takes none')
    with expect_error(errno.EACCES, 'an empty one'):
        os.close(create('shut/empty'))
    zk.create('/full', b'old')
    mnt.settle()
    fd = os.open(f'{top}/full', os.O_WRONLY | os.O_TRUNC)
    with expect_error(errno.EFBIG, 'write'):
        os.pwrite(fd, b'x', 1000000)
    with expect_error(errno.EFBIG, 'close'):
        os.close(fd)
    expect_eq((node('full'), read('full')), ((b'old', 0), b'old'), 'as it was')


with mount() as mnt, client() as zk:
    top = mnt.path
    for scenario in (born_with_contents, removed_before, resting, touching, shells, two_writers, errors):
        print(scenario.__name__, flush=True)
        scenario()
        for name in zk.get_children('/'):
            zk.delete(f'/{name}', recursive=True)
        mnt.settle()
