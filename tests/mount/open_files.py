"""Positions, truncation, appending, holes, duplicates: an open file is as any file, its unsaved bytes included."""
from zktest import *

with mount() as mnt, client() as zk:
    path = f'{mnt.path}/file'

    def fresh(data, flags):
        if zk.exists('/file'):
            zk.delete('/file')
        zk.create('/file', data)
        mnt.settle()
        return os.open(path, flags)

    fd = fresh(b'0123456789', os.O_RDWR)
    os.pwrite(fd, b'ab', 2)
    expect_eq(os.pread(fd, 20, 0), b'01ab456789', 'reading unsaved bytes')
    expect_eq(os.pread(fd, 3, 3), b'b45', 'reading across unsaved bytes')
    expect_eq(os.pread(fd, 5, 10), b'', 'reading at the end')
    os.pwrite(fd, b'end', 15)
    expect_eq(os.fstat(fd).st_size, 18, 'fstat with unsaved bytes')
    expect_eq(os.stat(path).st_size, 18, 'stat with unsaved bytes')
    expect_eq(os.lseek(fd, 0, os.SEEK_END), 18, 'SEEK_END with unsaved bytes')
    expect_eq(os.pread(fd, 20, 8), b'89' + bytes(5) + b'end', 'a hole')
    os.ftruncate(fd, 4)
    expect_eq(os.pread(fd, 20, 0), b'01ab', 'after ftruncate')
    os.ftruncate(fd, 6)
    expect_eq(os.pread(fd, 20, 0), b'01ab\0\0', 'after a longer ftruncate')
    expect_eq(zk.get('/file')[0], b'0123456789', 'data before close')
    os.close(fd)
    expect_eq(zk.get('/file')[0], b'01ab\0\0', 'data after close')

    fd = fresh(b'old', os.O_WRONLY | os.O_TRUNC)
    expect_eq(os.fstat(fd).st_size, 0, 'fstat after O_TRUNC')
    os.write(fd, b'n')
    os.close(fd)
    expect_eq(zk.get('/file')[0], b'n', 'O_TRUNC')

    fd = fresh(b'start', os.O_RDWR | os.O_APPEND)
    os.write(fd, b' one')
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b' two')
    expect_eq(os.pread(fd, 50, 0), b'start one two', 'reading what was appended')
    zk.set('/file', b'start of another length')
    os.close(fd)
    expect_eq(zk.get('/file')[0], b'start of another length one two', 'O_APPEND over a remote change')

    # Duplicates share the position; each close saves, and the last one is not special.
    fd = fresh(b'-', os.O_WRONLY | os.O_TRUNC)
    twin = os.dup(fd)
    os.write(fd, b'one ')
    os.close(fd)
    expect_eq(zk.get('/file')[0], b'one ', 'after the first close')
    os.write(twin, b'two')
    os.close(twin)
    expect_eq(zk.get('/file')[0], b'one two', 'after the second close')

    # Two handles, different ranges: both survive. Kazoo's, too.
    first = fresh(b'.' * 30, os.O_RDWR)
    second = os.open(path, os.O_RDWR)
    os.pwrite(first, b'first', 0)
    os.pwrite(second, b'second', 10)
    os.close(first)
    zk.set('/file', zk.get('/file')[0][:20] + b'kazoo')
    os.close(second)
    expect_eq(zk.get('/file')[0], b'first.....second....kazoo', 'different ranges')

    for size in (0, 3, 12):
        os.close(fresh(b'0123456789', os.O_RDONLY))
        os.truncate(path, size)
        expect_eq(zk.get('/file')[0], b'0123456789\0\0'[:size], f'truncate to {size}')
        expect_eq(os.stat(path).st_size, size, f'size after truncate to {size}')
