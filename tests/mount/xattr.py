"""A znode's Stat and path as extended attributes: what Kazoo sees, never older; their sizes, errors and names as xattr(7) has it."""
import ctypes
import subprocess
import threading

from zktest import *

require('getfattr')

COUNTS = {'version': 'version', 'cversion': 'cversion', 'aversion': 'aversion', 'dataLength': 'dataLength',
          'numChildren': 'numChildren', 'ctime': 'ctime', 'mtime': 'mtime'}
IDS = {'czxid': 'czxid', 'mzxid': 'mzxid', 'pzxid': 'pzxid', 'ephemeralOwner': 'ephemeralOwner'}
NAMES = {f'user.zk.{name}' for name in [*COUNTS, *IDS, 'path', 'acl']}

libc = ctypes.CDLL(None, use_errno=True)


def value(where, name):
    return os.getxattr(where, f'user.zk.{name}').decode()


def values(where):
    return {name: value(where, name) for name in [*COUNTS, *IDS]}


def expected(znode):
    return {**{name: str(getattr(znode, field)) for name, field in COUNTS.items()},
            **{name: hex(getattr(znode, field)) for name, field in IDS.items()}}


def check_values(znode, file):
    expect_eq(values(f'{top}{file}'), expected(zk.exists(znode)), f'attributes of {file}')
    expect_eq(value(f'{top}{file}', 'path'), znode, f'path of {file}')
    expect_eq(set(os.listxattr(f'{top}{file}')), NAMES, f'list of {file}')


def call(function, *args):
    """The result of getxattr(2) or listxattr(2), or the error's name."""
    result = function(*args)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result


def refused(what, *args, **options):
    try:
        what(*args, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'done'


def check_fields():
    zk.create('/file', b'contents')
    zk.set('/file', b'other contents')
    zk.set_acls('/file', zk.get_acls('/file')[0])
    zk.create('/dir', b'its data')
    zk.create('/dir/child', b'')
    zk.create('/ephemeral', b'x', ephemeral=True)
    mnt.settle()
    for znode, file in (('/file', '/file'), ('/dir', '/dir'), ('/dir', '/dir/.data'), ('/dir/child', '/dir/child'),
                        ('/ephemeral', '/ephemeral'), ('/', '/')):
        check_values(znode, file)
    expect_eq(value(f'{top}/ephemeral', 'ephemeralOwner'), hex(zk.client_id[0]), 'the owner of an ephemeral')
    listed = subprocess.run(['getfattr', '--absolute-names', '-d', f'{top}/file'], check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    expect_eq(listed.stderr, '', 'what getfattr -d complains of')
    expect_eq({line.split('=')[0] for line in listed.stdout.splitlines() if '=' in line}, NAMES, 'getfattr -d')


def check_freshness():
    """Each time at once: what makes no event (setACL), what others do, what this machine does."""
    for i in range(20):
        zk.set_acls('/file', zk.get_acls('/file')[0])
        zk.set('/file', b'%d' % i)
        zk.create(f'/dir/{i}', b'')
        expect_eq(values(f'{top}/file'), expected(zk.exists('/file')), 'after changes by others')
        expect_eq(values(f'{top}/dir'), expected(zk.exists('/dir')), 'after a birth by others')
        before = int(value(f'{top}/file', 'version'))
        with open(f'{top}/file', 'w', encoding='utf-8') as file:
            file.write('here')
        expect_eq(int(value(f'{top}/file', 'version')), before + 1, 'after writing here')


def check_sizes():
    path = f'{top}/file'.encode()
    data = value(path, 'czxid').encode()
    room = ctypes.create_string_buffer(4096)
    get = lambda size: call(libc.getxattr, path, b'user.zk.czxid', room, size)     # noqa: E731
    expect_eq(get(0), len(data), 'size of a value')
    expect_eq(get(len(data) - 1), 'ERANGE', 'too little room for a value')
    room[:len(data) + 1] = b'-' * (len(data) + 1)
    expect_eq((get(len(data)), room[:len(data) + 1]), (len(data), data + b'-'), 'just enough room for a value')
    expect_eq(get(4096), len(data), 'room for a value')
    list_size = sum(len(name) + 1 for name in NAMES)
    lists = lambda size: call(libc.listxattr, path, room, size)     # noqa: E731
    expect_eq([lists(0), lists(list_size - 1), lists(list_size), lists(4096)], [list_size, 'ERANGE', list_size, list_size],
              'sizes of the list')
    for i in range(len(data) + 1):
        expect_eq(call(libc.setxattr, path, b'user.zk.acl', data, i, 0), 'EINVAL', 'a number as ACL')


def check_refusals():
    file = f'{top}/file'
    for name in ('user.other', 'user.zk.', 'user.zk.ver', 'user.zk.versions', 'user.zk.ACL', 'security.selinux',
                 'security.capability', 'system.posix_acl_access'):
        expect_eq(refused(os.getxattr, file, name), 'ENOTSUP', f'get {name}')
        if name.startswith('user.'):    # for others the kernel's own opinion comes first
            expect_eq(refused(os.setxattr, file, name, b'x'), 'ENOTSUP', f'set {name}')
            expect_eq(refused(os.removexattr, file, name), 'ENOTSUP', f'remove {name}')
    before = expected(zk.exists('/file'))
    for name in NAMES:
        expect_eq(refused(os.setxattr, file, name, b'world:anyone:cdrwa', os.XATTR_CREATE), 'EEXIST', f'create {name}')
        expect_eq(refused(os.removexattr, file, name), 'done', f'remove {name}')
        if name != 'user.zk.acl':
            expect_eq(refused(os.setxattr, file, name, b'7'), 'done', f'set {name}')
            expect_eq(refused(os.setxattr, file, name, b'7', os.XATTR_REPLACE), 'done', f'replace {name}')
    expect_eq(values(file), before, 'after all this')
    check_values('/file', '/file')
    expect_eq(refused(os.setxattr, file, 'user.zk.acl', b'world:anyone:cdrwa', os.XATTR_REPLACE), 'done', 'replace the ACL')
    with mount('strict', '-o', 'strict') as strict:
        for name in NAMES:
            expect_eq(refused(os.removexattr, f'{strict.path}/file', name), 'EPERM', f'remove {name}, strict')
            if name != 'user.zk.acl':
                expect_eq(refused(os.setxattr, f'{strict.path}/file', name, b'7'), 'EPERM', f'set {name}, strict')
        os.setxattr(f'{strict.path}/file', 'user.zk.acl', b'world:anyone:cdrwa')
    with mount('readonly', '-o', 'ro') as readonly:
        for name in NAMES:
            expect_eq(refused(os.setxattr, f'{readonly.path}/file', name, b'world:anyone:cdrwa'), 'EROFS', f'set {name}, ro')
            expect_eq(refused(os.removexattr, f'{readonly.path}/file', name), 'EROFS', f'remove {name}, ro')
        expect_eq(values(f'{readonly.path}/file'), expected(zk.exists('/file')), 'attributes, read-only')


def check_unborn():
    """A file that has no znode yet has a path; setting its ACL is a reason to make it."""
    with open(f'{top}/unborn', 'w', encoding='utf-8') as file:
        fd = file.fileno()
        expect_eq(os.listxattr(fd), ['user.zk.path'], 'list of an unborn file')
        expect_eq(value(fd, 'path'), '/unborn', 'path of an unborn file')
        for name in NAMES - {'user.zk.path'}:
            expect_eq(refused(os.getxattr, fd, name), 'ENODATA', f'{name} of an unborn file')
        file.write('first')
        file.flush()
        expect_eq(zk.exists('/unborn'), None, 'it is not born yet')
        os.setxattr(fd, 'user.zk.acl', b'world:anyone:cdra')
        data, znode = zk.get('/unborn')
        expect_eq((data, znode.aversion), (b'first', 1), 'it is born with what it had')
        expect_eq(values(fd), expected(znode), 'attributes once it is')
    os.chdir(top)
    fd = os.open('removed', os.O_CREAT | os.O_WRONLY)
    os.unlink('removed')
    expect_eq(refused(os.setxattr, fd, 'user.zk.acl', b'world:anyone:r'), 'ESTALE', 'the ACL of what will not be born')
    os.close(fd)
    os.chdir('/')
    expect_eq(zk.exists('/removed'), None, 'what was removed before it was born')


def check_gone():
    zk.create('/gone', b'last')
    mnt.settle()
    with open(f'{top}/gone', 'rb') as file:
        expect_eq(file.read(), b'last', 'contents')
        fd, last = file.fileno(), expected(zk.exists('/gone'))
        zk.delete('/gone')
        mnt.settle()
        expect_eq(values(fd), last, 'last seen of an open file that was removed')
        expect_eq(value(fd, 'path'), '/gone', 'path of an open file that was removed')
        expect_eq(refused(os.getxattr, fd, 'user.zk.acl'), 'ESTALE', 'ACL of what was removed')
        expect_eq(refused(os.setxattr, fd, 'user.zk.acl', b'world:anyone:cdrwa'), 'ESTALE', 'setting it')
        for name in NAMES:
            expect_eq(refused(os.getxattr, f'{top}/gone', name), 'ENOENT', f'{name} by name')
        zk.create('/gone', b'another')
        mnt.settle()
        expect_eq(values(fd), last, 'last seen, with another in its place')
        expect_eq(refused(os.setxattr, fd, 'user.zk.acl', b'world:anyone:r'), 'ESTALE', 'setting it, with another there')
        check_values('/gone', '/gone')
    zk.create('/gone-dir', b'')
    mnt.settle()
    fd = os.open(f'{top}/gone-dir', os.O_RDONLY | os.O_DIRECTORY)
    last = expected(zk.exists('/gone-dir'))
    os.listdir(fd)
    zk.delete('/gone-dir')
    expect_eq(values(fd), last, 'last seen of an open directory that was removed')
    expect_eq(refused(os.getxattr, fd, 'user.zk.acl'), 'ESTALE', 'ACL of a directory that was removed')
    os.close(fd)


def check_comes_and_goes():
    """By its name it is there or not, whatever happens in between."""
    told = {True: set(), False: set()}      # by name, by descriptor
    done = threading.Event()

    def look(i):
        name = ('version', 'acl', 'path')[i]
        while not done.is_set():
            told[True].add(refused(os.getxattr, f'{top}/churn', f'user.zk.{name}'))
            told[True].add(refused(os.listxattr, f'{top}/churn'))
            told[True].add(refused(os.setxattr, f'{top}/churn', 'user.zk.acl', b'world:anyone:cdrwa'))
            try:
                fd = os.open(f'{top}/churn', os.O_RDONLY)
            except OSError as error:
                told[True].add(errno.errorcode[error.errno])
                continue
            told[False].add(refused(os.getxattr, fd, f'user.zk.{name}'))
            told[False].add(refused(os.setxattr, fd, 'user.zk.acl', b'world:anyone:cdrwa'))
            os.close(fd)

    threads = [threading.Thread(target=look, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        zk.create('/churn', b'x')
        zk.exists('/churn')
        zk.delete('/churn')
    done.set()
    for thread in threads:
        thread.join()
    expect_eq((told[True] - {'done', 'ENOENT'}, told[False] - {'done', 'ESTALE'}), (set(), set()), 'while it comes and goes')


def check_moves_and_links():
    with open(f'{top}/from', 'w', encoding='utf-8') as file:
        file.write('x')
    with open(f'{top}/from', 'rb') as file:
        os.rename(f'{top}/from', f'{top}/to')
        expect_eq(value(file.fileno(), 'path'), '/to', 'path after a rename')
        expect_eq(values(file.fileno()), expected(zk.exists('/to')), 'attributes after a rename')
    os.symlink('to', f'{top}/link')
    expect_eq(os.listxattr(f'{top}/link', follow_symlinks=False), [], 'list of a symbolic link')
    expect_eq(value(f'{top}/link', 'path'), '/to', 'through a symbolic link')
    with mount('plain', '-o', 'nosymlinks') as plain:
        expect_eq(value(f'{plain.path}/link', 'path'), '/link', 'of the file that keeps a symbolic link')
    zk.create('/.data', b'x')
    zk.set('/', b'of the root')
    mnt.settle()
    check_values('/.data', '/.data=')
    check_values('/', '/.data')


with mount() as mnt, client() as zk:
    top = mnt.path
    check_fields()
    check_freshness()
    check_sizes()
    check_refusals()
    check_unborn()
    check_gone()
    check_comes_and_goes()
    check_moves_and_links()
