"""What a znode cannot be or keep: links, devices, modes. Locks come with another issue."""
import fcntl
import stat

from zktest import *


def unchanged(what):
    attributes = os.stat(f'{mnt.path}/file')
    now = attributes.st_mode, attributes.st_uid, attributes.st_gid, attributes.st_mtime_ns
    expect_eq((now, zk.exists('/file')), before, what)


with mount() as mnt, client() as zk:
    top = mnt.path
    zk.create('/file', b'data')
    mnt.settle()
    attributes = os.stat(f'{top}/file')
    before = ((attributes.st_mode, attributes.st_uid, attributes.st_gid, attributes.st_mtime_ns),
              zk.exists('/file'))
    with expect_error(errno.EPERM, 'link'):
        os.link(f'{top}/file', f'{top}/link')
    with expect_error(errno.EPERM, 'mkfifo'):
        os.mkfifo(f'{top}/fifo')
    with expect_error(errno.EPERM, 'mknod of a device'):
        os.mknod(f'{top}/device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with open(f'{top}/.zkfs/transaction', 'rb+') as file:
        with expect_error(errno.ENOLCK, 'flock of a control file'):
            fcntl.flock(file, fcntl.LOCK_EX)
        with expect_error(errno.ENOLCK, 'fcntl lock of a control file'):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    expect_eq(zk.get_children('/'), ['file'], 'what is there')

    os.chmod(f'{top}/file', 0o400)
    unchanged('after chmod')
    os.chown(f'{top}/file', 12345, 12345)
    unchanged('after chown')
    os.utime(f'{top}/file', (1, 1))
    unchanged('after utimens')
    expect_eq(os.statvfs(top).f_namemax, 1024, 'NAME_MAX')
    expect_eq(os.pathconf(top, 'PC_NAME_MAX'), 1024, 'pathconf')


with mount('strict', '-o', 'strict') as mnt, client() as zk:
    path = f'{mnt.path}/file'
    with expect_error(errno.EPERM, 'chmod with -o strict'):
        os.chmod(path, 0o400)
    with expect_error(errno.EPERM, 'chown with -o strict'):
        os.chown(path, 12345, 12345)
    with expect_error(errno.EPERM, 'utimens with -o strict'):
        os.utime(path, (1, 1))
    os.utime(path)
    os.truncate(path, 1)
    expect_eq(zk.get('/file')[0], b'd', 'after truncate')
