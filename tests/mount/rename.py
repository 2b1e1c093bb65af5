"""rename: one transaction, that keeps what a znode is (czxid and ACL of a replaced file, ACLs, kinds, descendants), follows
open files, loses nothing that is added meanwhile, and says what POSIX says where it cannot be."""
import ctypes
import threading

from kazoo.exceptions import NoNodeError
from kazoo.security import make_acl, make_digest_acl

from zktest import *

NOREPLACE, EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def rename(old, new, flags=0):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), old)


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def tree(path):
    """Everything from a znode down: path, data, ACL."""
    data, stat = zk.get(path)
    found = {'': (data, stat.cversion > 0 or (stat.version == 0 and not data), zk.get_acls(path)[0])}
    for child in zk.get_children(path):
        found.update({f'/{child}{below}': what for below, what in tree(f'{path}/{child}').items()})
    return found


def files():
    write(f'{top}/new', 'new')
    zk.create('/target', b'old', acl=[make_acl('world', 'anyone', all=True), make_acl('ip', '127.0.0.1', read=True)])
    before, acl = zk.get('/target')[1], zk.get_acls('/target')[0]
    reader = open(f'{top}/target', encoding='utf-8')
    number = os.stat(f'{top}/new').st_ino
    rename(f'{top}/new', f'{top}/target')
    expect_eq(zk.get('/target')[0], b'new', 'what replaced')
    after = zk.get('/target')[1]
    expect_eq((after.czxid, after.version), (before.czxid, before.version + 1), 'the target')
    expect_eq(zk.get_acls('/target')[0], acl, 'its ACL')
    expect_eq(zk.exists('/new'), None, 'the source')
    expect_eq(os.stat(f'{top}/target').st_ino, number, 'the inode number')
    expect_eq(reader.read(), 'old', 'what the replaced one shows to who has it open')
    reader.close()
    expect_eq(read(f'{top}/target'), 'new', 'what the new one shows')

    rename(f'{top}/target', f'{top}/elsewhere')
    expect_eq((zk.get('/elsewhere')[0], zk.get_acls('/elsewhere')[0]), (b'new', acl), 'at a new name')
    write(f'{top}/target', 'again')
    expect_eq(sorted(os.listdir(top)), ['elsewhere', 'target'], 'what is there')
    expect_eq((read(f'{top}/target'), read(f'{top}/elsewhere')), ('again', 'new'), 'contents')

    write(f'{top}/empty', '')
    rename(f'{top}/empty', f'{top}/nothing')
    expect_eq(os.path.isfile(f'{top}/nothing'), True, 'an empty file stays one')
    expect_eq(zk.get('/nothing')[1].version, 1, 'its version')
    for name in ('elsewhere', 'target', 'nothing'):
        os.unlink(f'{top}/{name}')


def open_files():
    with open(f'{top}/a', 'w', encoding='utf-8') as file:
        file.write('first')
        file.flush()
        rename(f'{top}/a', f'{top}/b')
        expect_eq(zk.get('/b')[0], b'first', 'what was unsaved')
        file.write(' second')
    expect_eq(zk.get('/b')[0], b'first second', 'what was written after it')
    with open(f'{top}/b', 'r+', encoding='utf-8') as file:
        os.mkdir(f'{top}/d')
        rename(f'{top}/b', f'{top}/d/b')
        rename(f'{top}/d', f'{top}/e')
        expect_eq(file.read(), 'first second', 'read after two moves')
        file.write('!')
    expect_eq(zk.get('/e/b')[0], b'first second!', 'written after two moves')
    os.unlink(f'{top}/e/b')
    os.rmdir(f'{top}/e')


def directories():
    zk.create('/tree', b'top')
    zk.create('/tree/a', b'', acl=[make_acl('world', 'anyone', all=True)])
    zk.create('/tree/a/file', b'x' * 1000)
    zk.create('/tree/a/none')
    zk.set('/tree/a/none', b'')
    zk.create('/tree/past', b'data of a directory')
    zk.create('/tree/past/child')
    zk.delete('/tree/past/child')
    zk.create('/tree/hidden', b'', acl=[make_digest_acl('bob', 'secret', all=True), make_acl('world', 'anyone', all=True)])
    mnt.settle()
    before = tree('/tree')
    number = os.stat(f'{top}/tree/a/file').st_ino
    zxid = zk.last_zxid
    rename(f'{top}/tree', f'{top}/moved')
    expect_eq(tree('/moved'), before, 'the tree')
    expect_eq(zk.exists('/tree'), None, 'the old tree')
    expect_eq(len({zk.get(f'/moved{path}')[1].czxid for path in before}), 1, 'transactions')
    expect_eq(zk.get('/moved')[1].czxid > zxid, True, 'a newer one')
    expect_eq(os.stat(f'{top}/moved/a/file').st_ino, number, 'the inode number of a file below')
    expect_eq(read(f'{top}/moved/.data'), 'top', 'data')

    os.mkdir(f'{top}/empty')
    rename(f'{top}/moved', f'{top}/empty')
    expect_eq(tree('/empty'), before, 'over an empty directory')
    os.mkdir(f'{top}/full')
    write(f'{top}/full/x', 'x')
    write(f'{top}/file', 'x')
    for old, new, error in (('empty', 'full', errno.ENOTEMPTY), ('empty', 'file', errno.ENOTDIR),
                            ('file', 'full', errno.EISDIR), ('empty', 'empty/a/b', errno.EINVAL),
                            ('nowhere', 'somewhere', errno.ENOENT)):
        with expect_error(error, f'{old} to {new}'):
            rename(f'{top}/{old}', f'{top}/{new}')
    with expect_error(errno.EEXIST, 'not to replace'):
        rename(f'{top}/file', f'{top}/full', NOREPLACE)
    rename(f'{top}/file', f'{top}/free', NOREPLACE)
    rename(f'{top}/free', f'{top}/file', NOREPLACE)
    zk.delete('/file')
    zk.delete('/full', recursive=True)
    zk.delete('/empty', recursive=True)


def exchange():
    write(f'{top}/one', 'one')
    write(f'{top}/two', 'two')
    os.mkdir(f'{top}/dir')
    write(f'{top}/dir/x', 'x')
    numbers = [os.stat(f'{top}/{name}').st_ino for name in ('one', 'two', 'dir', 'dir/x')]
    rename(f'{top}/one', f'{top}/two', EXCHANGE)
    expect_eq((zk.get('/one')[0], zk.get('/two')[0]), (b'two', b'one'), 'exchanged files')
    rename(f'{top}/one', f'{top}/dir', EXCHANGE)
    expect_eq((zk.get('/dir')[0], zk.get('/one/x')[0]), (b'two', b'x'), 'a file for a directory')
    expect_eq([os.stat(f'{top}/{name}').st_ino for name in ('two', 'dir', 'one', 'one/x')], numbers, 'inode numbers')
    expect_eq((read(f'{top}/two'), read(f'{top}/dir'), read(f'{top}/one/x')), ('one', 'two', 'x'), 'contents')
    with expect_error(errno.ENOENT, 'with nothing'):
        rename(f'{top}/two', f'{top}/none', EXCHANGE)
    for path in ('/one', '/two', '/dir'):
        zk.delete(path, recursive=True)


def data_of_directories():
    os.mkdir(f'{top}/d')
    write(f'{top}/new', 'contents')
    rename(f'{top}/new', f'{top}/d/.data')
    expect_eq((zk.get('/d')[0], os.path.isdir(f'{top}/d')), (b'contents', True), 'a file moved to .data')
    write(f'{top}/d/.data.tmp', 'newer')
    rename(f'{top}/d/.data.tmp', f'{top}/d/.data')
    expect_eq((read(f'{top}/d/.data'), os.listdir(f'{top}/d')), ('newer', ['.data']), 'and again')
    rename(f'{top}/d/.data', f'{top}/d/file')
    expect_eq((zk.get('/d')[0], zk.get('/d/file')[0]), (b'', b'newer'), '.data moved to a file')
    expect_eq((read(f'{top}/d/file'), os.listdir(f'{top}/d')), ('newer', ['file']), 'what is there')
    os.unlink(f'{top}/d/file')
    os.rmdir(f'{top}/d')


def ephemerals():
    zk.create('/mine', b'kazoo', ephemeral=True)
    write(f'{top}/file', 'x')
    mnt.settle()
    for old, new in (('mine', 'yours'), ('mine', 'file'), ('file', 'mine')):
        with expect_error(errno.EPERM, f'{old} to {new}'):
            rename(f'{top}/{old}', f'{top}/{new}')
    expect_eq((zk.get('/mine')[0], zk.get('/file')[0]), (b'kazoo', b'x'), 'both as they were')
    zk.delete('/mine')
    zk.delete('/file')


def all_or_nothing():
    zk.create('/many')
    for result in [zk.create_async(f'/many/{i:04}', b'%d' % i) for i in range(1000)]:
        result.get()
    os.listdir(f'{top}/many')
    seen, stop = [], threading.Event()

    def count(asker, path):
        try:
            return len(asker.get_children(path))
        except NoNodeError:
            return 0

    def watch():
        with client() as other:
            while not stop.is_set():
                seen.append((count(other, '/many'), count(other, '/lots')))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    names = ['many', 'lots']
    while len(seen) < 200:
        rename(f'{top}/{names[0]}', f'{top}/{names[1]}')
        names.reverse()
        expect_eq((count(zk, f'/{names[0]}'), count(zk, f'/{names[1]}')), (1000, 0), 'after a move')
    stop.set()
    thread.join()
    # Two questions are no snapshot: both may find it, or neither, but never a part.
    expect_eq({number for pair in seen for number in pair} <= {0, 1000}, True, f'all or nothing: {set(seen)}')
    zk.delete(f'/{names[0]}', recursive=True)


def too_large():
    zk.create('/big')
    for i in range(3):
        zk.create(f'/big/{i}', b'%d' % i * 400000)
    mnt.settle()
    with expect_error(errno.EXDEV, 'too much for a packet'):
        rename(f'{top}/big', f'{top}/other')
    expect_eq((len(zk.get_children('/big')), zk.exists('/other')), (3, None), 'nothing has moved')
    zk.delete('/big', recursive=True)


def born_meanwhile():
    """Children made by Kazoo in a directory that is moved: each is in the old or the new one, none is lost."""
    zk.create('/from')
    for i in range(10):
        zk.create(f'/from/{i}')
    mnt.settle()    # else the mount may know a listing of before, for as long as the event takes
    made, stop = [], threading.Event()

    def bear():
        with client() as other:
            number = 0
            while not stop.wait(0.03):      # a pace at which moves come through
                for path in ('/from', '/to'):
                    try:
                        other.create(f'{path}/new{number}', b'x')
                        made.append(f'new{number}')
                        number += 1
                    except NoNodeError:
                        pass

    thread = threading.Thread(target=bear, daemon=True)
    thread.start()
    names = ['from', 'to']
    moves = 0
    while moves < 10 or len(made) < 5:
        try:
            rename(f'{top}/{names[0]}', f'{top}/{names[1]}')
            names.reverse()
            moves += 1
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ETIMEDOUT):
                raise
    stop.set()
    thread.join()
    there = [name for path in ('/from', '/to') if zk.exists(path) for name in zk.get_children(path)]
    expect_eq(set(made) <= set(there), True, f'lost: {set(made) - set(there)}')
    expect_eq(moves > 0 and len(made) > 0, True, f'{moves} moves, {len(made)} births')
    for path in ('/from', '/to'):
        if zk.exists(path):
            zk.delete(path, recursive=True)


with mount() as mnt, client() as zk:
    top = mnt.path
    for scenario in (files, open_files, directories, exchange, data_of_directories, ephemerals, all_or_nothing, too_large,
                     born_meanwhile):
        print(scenario.__name__, flush=True)
        scenario()
        mnt.settle()
        expect_eq(os.listdir(top), [], f'left by {scenario.__name__}')
