"""Each failure is the errno that a program expects."""
from zktest import *

with mount() as mnt, client() as zk:
    top = mnt.path

    def create(name):
        os.close(os.open(f'{top}/{name}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    zk.create('/file', b'data')
    zk.create('/dir/child', b'child', makepath=True)
    zk.create('/session', b'', ephemeral=True)
    mnt.settle()

    with expect_error(errno.ENOENT, 'open of nothing'):
        os.open(f'{top}/nothing', os.O_RDONLY)
    with expect_error(errno.ENOENT, 'unlink of nothing'):
        os.unlink(f'{top}/nothing')
    with expect_error(errno.ENOENT, 'rmdir of nothing'):
        os.rmdir(f'{top}/nothing')
    with expect_error(errno.ENOENT, 'create in nothing'):
        create('nothing/file')
    with expect_error(errno.EEXIST, 'create of a file'):
        create('file')
    with expect_error(errno.EEXIST, 'create of a directory'):
        create('dir')
    with expect_error(errno.EEXIST, 'mkdir of a file'):
        os.mkdir(f'{top}/file')
    with expect_error(errno.EEXIST, 'mkdir of a directory'):
        os.mkdir(f'{top}/dir')
    with expect_error(errno.ENOTEMPTY, 'rmdir of a parent'):
        os.rmdir(f'{top}/dir')
    with expect_error(errno.ENOTDIR, 'rmdir of a file'):
        os.rmdir(f'{top}/file')
    with expect_error(errno.EISDIR, 'unlink of a directory'):
        os.unlink(f'{top}/dir')
    with expect_error(errno.EISDIR, 'writing a directory'):
        os.open(f'{top}/dir', os.O_WRONLY)
    with expect_error(errno.EISDIR, 'truncate of a directory'):
        os.truncate(f'{top}/dir', 0)
    with expect_error(errno.ENOTDIR, 'listing a file'):
        os.listdir(f'{top}/file')
    with expect_error(errno.ENOTDIR, 'create in a file'):
        create('file/child')
    with expect_error(errno.ENOTDIR, 'mkdir in an ephemeral'):
        os.mkdir(f'{top}/session/child')
    with expect_error(errno.EACCES, 'executing a file'):
        os.execv(f'{top}/file', ['file'])
    expect_eq(sorted(zk.get_children('/')), ['dir', 'file', 'session'], 'what is there')
