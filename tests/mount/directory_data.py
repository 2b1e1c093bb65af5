"""The data of a directory is its file .data."""
import subprocess

from zktest import *

with mount() as mnt, mount('other') as other, client() as zk:
    top = mnt.path
    os.mkdir(f'{top}/dir')
    expect_eq(os.listdir(f'{top}/dir'), [], 'listing without data')
    open(f'{top}/dir/.data', 'a').close()
    expect_eq(zk.exists('/dir').version, 0, 'version after .data was opened')

    with open(f'{top}/dir/.data', 'w') as file:
        file.write('some data')
    node = zk.get('/dir')
    expect_eq(node[0], b'some data', 'data')
    if not node[1].cversion > 0:
        fail('another client cannot tell that it is a directory')
    expect_eq(node[1].numChildren, 0, 'children')
    other.settle()
    for path in (top, other.path):
        expect_eq(os.listdir(f'{path}/dir'), ['.data'], f'listing of {path}/dir')
        expect_eq(open(f'{path}/dir/.data').read(), 'some data', f'{path}/dir/.data')
    with open(f'{top}/dir/.data', 'a') as file:
        file.write(' and more')
    expect_eq(zk.get('/dir')[0], b'some data and more', 'data appended')

    with expect_error(errno.ENOTEMPTY, 'rmdir of a directory with data'):
        os.rmdir(f'{top}/dir')
    os.unlink(f'{top}/dir/.data')
    expect_eq(zk.get('/dir')[0], b'', 'data after unlink')
    other.settle()
    expect_eq(os.listdir(f'{other.path}/dir'), [], 'listing after unlink')
    expect_eq(os.path.isdir(f'{other.path}/dir'), True, 'still a directory')
    os.rmdir(f'{top}/dir')
    expect_eq(zk.exists('/dir'), None, 'after rmdir')

    # The root, a directory that others made, and rm -r of it all.
    with open(f'{top}/.data', 'w') as file:
        file.write('root')
    expect_eq(zk.get('/')[0], b'root', 'data of the root')
    os.unlink(f'{top}/.data')
    zk.create('/tree/a/b', b'b', makepath=True)
    zk.set('/tree/a', b'a')
    mnt.settle()
    expect_eq(open(f'{top}/tree/a/.data').read(), 'a', 'data of a parent')
    with expect_error(errno.ENOTDIR, '.data in a file'):
        os.stat(f'{top}/tree/a/b/.data')
    with expect_error(errno.EEXIST, 'mkdir .data'):
        os.mkdir(f'{top}/tree/a/.data')
    with expect_error(errno.EEXIST, 'O_EXCL of .data with data'):
        os.open(f'{top}/tree/a/.data', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    # As tar --xattrs makes a file: mknod, attributes, open.
    with expect_error(errno.EEXIST, 'mknod of .data with data'):
        os.mknod(f'{top}/tree/a/.data')
    os.mknod(f'{top}/tree/.data')
    expect_eq((os.stat(f'{top}/tree/.data').st_size, zk.get('/tree')[0]), (0, b''), 'made by mknod')
    with open(f'{top}/tree/.data', 'r+', encoding='utf-8') as file:
        file.write('made')
    expect_eq((zk.get('/tree')[0], os.stat(f'{top}/tree/.data').st_size), (b'made', 4), 'made by mknod, then written')
    os.unlink(f'{top}/tree/.data')
    subprocess.run(['rm', '-r', f'{top}/tree'], check=True)
    expect_eq(zk.get_children('/'), [], 'left after rm -r')
