"""ZKFS_O_EPHEMERAL (O_ASYNC) makes an ephemeral znode of the mount's session at once, and never opens what is there."""
import stat

from zktest import *

EPHEMERAL = os.O_ASYNC
MAKE = os.O_CREAT | os.O_WRONLY | EPHEMERAL

with mount('ro', '-o', 'ro') as ro, client() as zk:
    mnt = mount()
    top = mnt.path
    fd = os.open(f'{top}/member', MAKE, 0o644)
    born = zk.exists('/member')
    expect_eq(born is not None and born.ephemeralOwner != 0, True, 'an ephemeral is there when open returns')
    expect_eq(os.stat(f'{top}/member').st_ino, os.fstat(fd).st_ino, 'inode of the name and of the open file')
    expect_eq(stat.S_ISREG(os.stat(f'{top}/member').st_mode), True, 'it is a file')
    os.write(fd, b'10.0.0.1:80\n')
    expect_eq(zk.get('/member')[0], b'', 'data before the close')
    os.close(fd)
    expect_eq(zk.get('/member')[0], b'10.0.0.1:80\n', 'data after the close')
    expect_eq(zk.exists('/member').czxid, born.czxid, 'it is the same znode')

    # Always exclusively, whether the kernel knows the name, or not yet, or knows that it is not there.
    for flags in (MAKE, MAKE | os.O_EXCL, MAKE | os.O_TRUNC, os.O_CREAT | EPHEMERAL):
        with expect_error(errno.EEXIST, f'flags {flags:#o} of one that is there'):
            os.open(f'{top}/member', flags, 0o644)
    zk.create('/theirs', b'theirs')
    with expect_error(errno.EEXIST, 'another has made it'):
        os.open(f'{top}/theirs', MAKE | os.O_TRUNC, 0o644)
    expect_eq(zk.get('/theirs')[0], b'theirs', 'data of what was there')
    with expect_error(errno.ENOENT):
        os.stat(f'{top}/absent')
    os.close(os.open(f'{top}/absent', MAKE | os.O_EXCL, 0o644))
    expect_eq(zk.exists('/absent').ephemeralOwner, born.ephemeralOwner, 'owner of one whose name was not there')

    # An ephemeral has no children, and the kernel knows it for a file.
    with expect_error(errno.ENOTDIR, 'a child'):
        os.mkdir(f'{top}/member/child')
    with expect_error(errno.ENOTDIR, 'an ephemeral child'):
        os.open(f'{top}/member/child', MAKE, 0o644)
    # Of one that the kernel takes for a directory because it was one.
    os.mkdir(f'{top}/changes')
    directory = os.open(f'{top}/changes', os.O_PATH)
    zk.delete('/changes')
    zk.create('/changes', b'', ephemeral=True)
    try:
        os.open('child', MAKE, 0o644, dir_fd=directory)
        fail('a child of an ephemeral was made')
    except OSError as error:
        expect_eq(error.errno in (errno.ENOTDIR, errno.ENOENT), True, f'a child of an ephemeral: {error}')
    os.close(directory)

    with expect_error(errno.EROFS, 'a read-only mount'):
        os.open(f'{ro.path}/new', MAKE, 0o644)
    with expect_error(errno.ENOENT, 'no such directory'):
        os.open(f'{top}/nowhere/new', MAKE, 0o644)

    os.unlink(f'{top}/absent')
    expect_eq(zk.exists('/absent'), None, 'after unlink')
    # Renaming keeps it one of ours.
    os.rename(f'{top}/member', f'{top}/renamed')
    expect_eq(zk.exists('/renamed').ephemeralOwner, born.ephemeralOwner, 'owner after a rename')
    with expect_error(errno.EEXIST):
        os.open(f'{top}/.data', MAKE, 0o644)

    zk.delete('/changes')
    mnt.unmount()
    wait_until(10, lambda: zk.exists('/renamed') is None, 'the ephemeral to go with the session')
    expect_eq(sorted(zk.get_children('/')), ['theirs'], 'what is left')
