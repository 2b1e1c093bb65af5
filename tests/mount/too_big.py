"""A write past max_data is EFBIG at write() and at close(), sends nothing, and leaves the node and the mount as they were."""
from zktest import *

LIMIT = 1_000_000


def refuse(path, flags, write, breaks=True):
    before = zk.get('/file')
    fd = os.open(path, flags)
    with expect_error(errno.EFBIG, 'write past max_data'):
        write(fd)
    if breaks:
        with expect_error(errno.EFBIG, 'close after it'):
            os.close(fd)
    else:
        os.close(fd)
    after = zk.get('/file')
    expect_eq(after[1].version, before[1].version, 'version after EFBIG')
    expect_eq(len(after[0]), len(before[0]), 'size after EFBIG')


def fill(fd):
    """write() may take a part and must then refuse the rest: here the part was written before."""
    data = b'x' * (LIMIT + 1)
    while data:
        data = data[os.write(fd, data):]


with mount() as mnt, client() as zk:
    path = f'{mnt.path}/file'
    zk.create('/file', b'x' * LIMIT)
    mnt.settle()
    refuse(path, os.O_WRONLY, lambda fd: os.pwrite(fd, b'y', LIMIT))
    refuse(path, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b'y'))
    refuse(path, os.O_WRONLY, lambda fd: os.ftruncate(fd, LIMIT + 1), breaks=False)
    refuse(path, os.O_WRONLY, lambda fd: os.pwrite(fd, b'y', 1 << 40))
    with expect_error(errno.EFBIG, 'truncate past max_data'):
        os.truncate(path, LIMIT + 1)
    expect_eq(zk.get('/file')[1].version, 0, 'version after truncate past max_data')

    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    with expect_error(errno.EFBIG, 'filling a file'):
        fill(fd)
    os.ftruncate(fd, 0)
    os.write(fd, b'short')
    os.close(fd)
    expect_eq(zk.get('/file')[0], b'short', 'what was written after EFBIG')

with mount('small', '-o', 'max_data=10') as mnt, client() as zk:
    with open(f'{mnt.path}/ten', 'wb') as file:
        file.write(b'0123456789')
    expect_eq(zk.get('/ten')[0], b'0123456789', 'max_data bytes')
    with expect_error(errno.EFBIG, 'write past -o max_data'):
        with open(f'{mnt.path}/eleven', 'wb', buffering=0) as file:
            file.write(b'0123456789a')
