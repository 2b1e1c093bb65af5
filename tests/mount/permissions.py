"""What a znode's ACL refuses is EACCES, and a listing shows it all the same."""
from kazoo.security import make_acl, make_digest_acl

from zktest import *


def can_read(path):
    try:
        return open(path).read() == 'closed'
    except PermissionError:
        return False


with mount() as mnt, client() as zk:
    top = mnt.path
    zk.add_auth('digest', 'alice:secret')
    mine = make_digest_acl('alice', 'secret', all=True)
    reading = make_acl('world', 'anyone', read=True)
    zk.create('/closed', b'closed', acl=[mine])
    zk.create('/closed-dir', b'', acl=[mine])
    zk.create('/closed-dir/child', b'', acl=[mine])
    zk.create('/readable', b'readable', acl=[mine, reading])
    zk.create('/readable-dir', b'', acl=[mine, reading])
    zk.create('/readable-dir/child', b'child', acl=[mine, reading])
    mnt.settle()

    expect_eq(sorted(os.listdir(top)), ['closed', 'closed-dir', 'readable', 'readable-dir'], 'listing')
    expect_eq(os.stat(f'{top}/closed').st_size, 6, 'size of a file that may not be read')
    with expect_error(errno.EACCES, 'reading'):
        os.open(f'{top}/closed', os.O_RDONLY)
    with expect_error(errno.EACCES, 'truncate'):
        os.truncate(f'{top}/closed', 0)
    with expect_error(errno.EACCES, 'listing'):
        os.listdir(f'{top}/closed-dir')
    with expect_error(errno.EACCES, 'create'):
        os.mkdir(f'{top}/closed-dir/new')

    expect_eq(open(f'{top}/readable').read(), 'readable', 'a readable file')
    fd = os.open(f'{top}/readable', os.O_WRONLY)
    os.write(fd, b'x')
    with expect_error(errno.EACCES, 'close after writing'):
        os.close(fd)
    fd = os.open(f'{top}/readable', os.O_WRONLY)
    os.write(fd, b'x')
    with expect_error(errno.EACCES, 'fsync'):
        os.fsync(fd)
    os.ftruncate(fd, 0)
    os.write(fd, b'y')
    with expect_error(errno.EACCES, 'close after truncating'):
        os.close(fd)
    expect_eq(os.listdir(f'{top}/readable-dir'), ['child'], 'listing of a readable directory')
    with expect_error(errno.EACCES, 'mkdir in a readable directory'):
        os.mkdir(f'{top}/readable-dir/new')
    with expect_error(errno.EACCES, 'unlink in a readable directory'):
        os.unlink(f'{top}/readable-dir/child')
    expect_eq(zk.get('/readable')[0], b'readable', 'after all this')

    # setACL makes no event: permission given is seen within 5 s.
    zk.set_acls('/closed', [mine, reading])
    wait_until(6, lambda: can_read(f'{top}/closed'), 'reading after setACL')
