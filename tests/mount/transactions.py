"""Contents go out once per close or fsync, whatever number of writes; versions tell."""
from zktest import *

with mount() as mnt, client() as zk:
    def version(path):
        return zk.exists(path).version

    os.close(os.open(f'{mnt.path}/touched', os.O_CREAT | os.O_WRONLY))
    expect_eq(version('/touched'), 1, 'version of a new empty file')
    os.close(os.open(f'{mnt.path}/taken', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    expect_eq(version('/taken'), 1, 'version of a new empty file, made with O_EXCL')
    os.mknod(f'{mnt.path}/mknodded')
    expect_eq(version('/mknodded'), 1, "version of mknod's file")
    os.mkdir(f'{mnt.path}/dir')
    expect_eq(version('/dir'), 0, 'version of a new directory')
    expect_eq(zk.get('/dir')[0], b'', 'data of a new directory')

    zk.create('/file', b'old')
    zk.set('/file', b'older')
    mnt.settle()
    fd = os.open(f'{mnt.path}/file', os.O_RDWR)
    for i in range(100):
        os.pwrite(fd, b'%02d' % i, 2 * i)
        expect_eq(version('/file'), 1, 'version amid writes')
    expect_eq(os.fstat(fd).st_size, 200, 'size amid writes')
    os.fsync(fd)
    expect_eq(version('/file'), 2, 'version after fsync')
    os.fsync(fd)
    os.fdatasync(fd)
    expect_eq(version('/file'), 2, 'version after fsync without a write')
    os.write(fd, b'ab')
    expect_eq(zk.get('/file')[0][:2], b'00', 'data before close')
    os.close(fd)
    expect_eq(version('/file'), 3, 'version after close')
    expect_eq(zk.get('/file')[0][:4], b'ab01', 'data after close')

    os.close(os.open(f'{mnt.path}/file', os.O_RDWR))
    with open(f'{mnt.path}/file', 'rb') as file:
        file.read()
    expect_eq(version('/file'), 3, 'version after reading only')
    os.close(os.open(f'{mnt.path}/file', os.O_WRONLY | os.O_TRUNC))
    # A truncation alone goes out with the last close, whose reply nobody waits for; who opens next does.
    wait_until(5, lambda: version('/file') == 4, 'version after O_TRUNC')
    expect_eq(zk.get('/file')[0], b'', 'data after O_TRUNC')
    os.truncate(f'{mnt.path}/file', 5)
    expect_eq(version('/file'), 5, 'version after truncate')
    expect_eq(zk.get('/file')[0], bytes(5), 'data after truncate')
