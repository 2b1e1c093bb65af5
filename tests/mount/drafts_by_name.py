"""A new file that is not saved yet is there for whoever names it on this mount: to rename it, to replace it, to remove it; and
what is saved when it is closed goes where the file is by then."""
from zktest import *


def create(name, data=b'12345'):
    fd = os.open(f'{top}/{name}', os.O_CREAT | os.O_RDWR, 0o644)
    os.write(fd, data)
    return fd


def node(name):
    """Data, as Kazoo sees it; None: not there."""
    return zk.get(f'/{name}')[0] if zk.exists(f'/{name}') else None


def expect_nodes(what, **nodes):
    """Children of the root and their data, and the same on the mount."""
    expect_eq({name: node(name) for name in zk.get_children('/')}, nodes, what)
    expect_eq({name: open(f'{top}/{name}', 'rb').read() for name in os.listdir(top) if os.path.isfile(f'{top}/{name}')},
              {name: data for name, data in nodes.items() if os.path.isfile(f'{top}/{name}')}, f'{what}, on the mount')


def renamed():
    fd = create('a')
    os.rename(f'{top}/a', f'{top}/b')
    expect_eq(os.listdir(top), ['b'], 'listing')
    os.write(fd, b'67')
    os.close(fd)
    expect_nodes('renamed', b=b'1234567')


def renamed_onto_another():
    zk.create('/old', b'old')
    mnt.settle()
    czxid = zk.exists('/old').czxid
    fd = create('a')
    os.rename(f'{top}/a', f'{top}/old')
    os.close(fd)
    expect_nodes('renamed onto a file', old=b'12345')
    expect_eq(zk.exists('/old').czxid, czxid, 'czxid of the file that was there')


def replaced():
    zk.create('/other', b'other')
    mnt.settle()
    fd = create('a')
    os.rename(f'{top}/other', f'{top}/a')
    expect_eq(os.fstat(fd).st_size, 5, 'size of the file that has no name any more')
    os.close(fd)
    expect_nodes('replaced', a=b'other')


def made_again_while_the_first_is_open():
    first = create('a', b'first')
    os.unlink(f'{top}/a')
    second = create('a', b'second')
    expect_eq(os.stat(f'{top}/a').st_ino, os.fstat(second).st_ino, 'the name is the second file')
    os.rename(f'{top}/a', f'{top}/b')
    os.close(first)
    os.close(second)
    expect_nodes('removed while open, and made again', b=b'second')


def with_its_directory():
    os.mkdir(f'{top}/one')
    fd = create('one/a')
    os.rename(f'{top}/one', f'{top}/two')
    os.close(fd)
    expect_eq((zk.get_children('/'), zk.get_children('/two'), node('two/a')), (['two'], ['a'], b'12345'), 'in a renamed directory')
    expect_eq(os.listdir(f'{top}/two'), ['a'], 'listing of it')


def name_taken():
    fd = create('a')
    with expect_error(errno.EEXIST, 'mkdir'):
        os.mkdir(f'{top}/a')
    with expect_error(errno.EEXIST, 'mknod'):
        os.mknod(f'{top}/a')
    with expect_error(errno.EEXIST, 'symlink'):
        os.symlink('x', f'{top}/a')
    with expect_error(errno.ENOTDIR, 'rmdir'):
        os.rmdir(f'{top}/a')
    os.close(fd)
    expect_nodes('whose name was asked for', a=b'12345')


def removed_and_made_again():
    first = create('a', b'first')
    os.unlink(f'{top}/a')
    second = create('a', b'second')
    os.close(second)
    os.close(first)
    expect_nodes('removed, and made again', a=b'second')


def attributes():
    fd = create('a')
    os.chmod(f'{top}/a', 0o600)
    os.utime(f'{top}/a', (1, 1))
    os.chown(f'{top}/a', os.getuid(), os.getgid())
    expect_eq(os.access(f'{top}/a', os.R_OK | os.W_OK), True, 'access')
    os.close(fd)
    expect_nodes('with other attributes', a=b'12345')


with mount() as mnt, client() as zk:
    top = mnt.path
    for scenario in (renamed, renamed_onto_another, replaced, with_its_directory, name_taken, removed_and_made_again,
                     made_again_while_the_first_is_open, attributes):
        print(scenario.__name__, flush=True)
        scenario()
        for name in zk.get_children('/'):
            zk.delete(f'/{name}', recursive=True)
        mnt.settle()
