"""Names that ZooKeeper cannot hold are refused before anything is sent."""
from zktest import *

NAMES = {
    'emoji': '😀'.encode(),
    'newline': b'two\nlines',
    'tab': b'a\tb',
    'DEL': b'\x7f',
    'C1 control': '\x85'.encode(),
    'private use': '\ue000'.encode(),
    'last of the private use': '\uf8ff'.encode(),
    'specials': '\ufff0'.encode(),
    'replacement character': '\ufffd'.encode(),
    'not UTF-8': b'caf\xe9',
    'cut UTF-8': b'\xc3',
    'overlong UTF-8': b'\xc0\xaf',
    'surrogate': b'\xed\xa0\x80',
}


def attempts(path):
    yield 'open', lambda: os.open(path, os.O_CREAT | os.O_WRONLY)
    yield 'open O_EXCL', lambda: os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    yield 'mkdir', lambda: os.mkdir(path)
    yield 'mknod', lambda: os.mknod(path)


with mount() as mnt, client() as zk:
    os.mkdir(f'{mnt.path}/dir')
    directory = os.fsencode(f'{mnt.path}/dir')
    before = zk.exists('/dir')

    for what, name in NAMES.items():
        for how, attempt in attempts(directory + b'/' + name):
            with expect_error(errno.EILSEQ, f'{how} of {what}'):
                attempt()
        with expect_error(errno.ENOENT, f'stat of {what}'):
            os.stat(directory + b'/' + name)
        with expect_error(errno.ENOENT, f'unlink of {what}'):
            os.unlink(directory + b'/' + name)
    for name in (b'n' * 1025, 'é'.encode() * 513):
        for how, attempt in attempts(directory + b'/' + name):
            with expect_error(errno.ENAMETOOLONG, f'{how} of {len(name)} bytes'):
                attempt()
        with expect_error(errno.ENAMETOOLONG, f'stat of {len(name)} bytes'):
            os.stat(directory + b'/' + name)
    expect_eq(zk.exists('/dir'), before, 'Stat of the directory')
    expect_eq(os.listdir(directory), [], 'listing')

    os.mkdir(directory + b'/' + b'n' * 1024)
    expect_eq(zk.get_children('/dir'), ['n' * 1024], 'a name of 1024 bytes')
    expect_eq(os.listdir(f'{mnt.path}/dir'), ['n' * 1024], 'and its listing')
