"""-o acl=: what is made, in every way that something can be made, gets the ACL asked for, as Kazoo sees it; renaming keeps the one that
is there; another client is kept out; a bad text is one line at the start."""
import subprocess

from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, Id, make_acl, make_digest_acl

from zktest import *

EPHEMERAL, SEQUENTIAL, HELD = os.O_ASYNC, os.O_DIRECT, os.O_NOATIME
ALICE = make_digest_acl('alice', 'open', all=True)
ANYONE_READS = make_acl('world', 'anyone', read=True)
OPEN = make_acl('world', 'anyone', all=True)


def write(path, text, flags=os.O_CREAT | os.O_WRONLY):
    fd = os.open(path, flags, 0o644)
    os.write(fd, text)
    os.close(fd)
    return path


def commit(top, text):
    with open(f'{top}/.zkfs/transaction', 'w+', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def real_path(fd):
    return os.getxattr(fd, 'user.zk.path').decode()


def make_all(top, name):
    """Makes something in every way, below the directory; gives the paths of all that is there then, and of files still open."""
    base = f'{top}/{name}'
    os.mkdir(base)
    os.makedirs(f'{base}/deep/er')
    write(f'{base}/born', b'whole')
    write(f'{base}/empty', b'')
    write(f'{base}/exclusive', b'taken', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.symlink('born', f'{base}/link')
    os.mknod(f'{base}/node')
    write(f'{base}/deep/.data', b'of a directory')
    write(f'{base}/deep/er/.data', b'of another')
    write(f'{base}/draft', b'saved by fsync')
    fds = []
    for file, flags in (('ephemeral', EPHEMERAL), ('held', EPHEMERAL | HELD), ('sequential-', SEQUENTIAL),
                        ('both-', EPHEMERAL | SEQUENTIAL)):
        fds.append(os.open(f'{base}/{file}', os.O_CREAT | os.O_WRONLY | flags, 0o644))
        os.write(fds[-1], b'special')
        os.fsync(fds[-1])
        expect_eq(real_path(fds[-1]).startswith(f'/{name}/{file}'), True, 'the real name')
    commit(top, f'create /{name}/txn data\ncreate /{name}/txn_empty ""\ncreate /{name}/txn- "" sequential\n'
                f'create /{name}/txn_ephemeral x ephemeral\n')
    write(f'{base}/temporary', b'to be renamed')
    os.rename(f'{base}/temporary', f'{base}/renamed')
    os.mkdir(f'{base}/old')
    os.rename(f'{base}/old', f'{base}/moved')
    return fds


def below(path):
    """The path, and all that Kazoo sees below it."""
    return [path] + [node for child in zk.get_children(path) for node in below(f'{path}/{child}')]


def check_all(name, expected, option):
    with mount(f'mnt_{name}', '-o', f'auth_file={SCRATCH}/auth' + (f',acl={option}' if option else '')) as mnt:
        fds = make_all(mnt.path, name)
        paths = below(f'/{name}')
        expect_eq(len(paths), 19, f'what was made: {paths}')
        for path in paths:
            expect_eq(sorted(zk.get_acls(path)[0]), sorted(expected), f'ACL of {path} with acl={option}')
        check_kept(mnt.path, name)
        for fd in fds:
            os.close(fd)


def check_kept(top, name):
    """What others made keeps its ACL: when it is renamed, when it is replaced, when it is written."""
    theirs = [make_acl('world', 'anyone', read=True, write=True, delete=True), ALICE]
    for file in ('theirs', 'replaced', 'written'):
        zk.create(f'/{name}/{file}', b'theirs', acl=theirs)
    mnt_path = f'{top}/{name}'
    os.listdir(mnt_path)
    os.rename(f'{mnt_path}/theirs', f'{mnt_path}/ours')
    write(f'{mnt_path}/new', b'new')
    os.rename(f'{mnt_path}/new', f'{mnt_path}/replaced')
    write(f'{mnt_path}/written', b'written', os.O_WRONLY | os.O_TRUNC)
    for file, data in (('ours', b'theirs'), ('replaced', b'new'), ('written', b'written')):
        expect_eq(zk.get(f'/{name}/{file}')[0], data, f'data of {file}')
        expect_eq(sorted(zk.get_acls(f'/{name}/{file}')[0]), sorted(theirs), f'ACL of {file}')


def check_kept_out():
    for action in (lambda: anonymous.get('/creator/born'), lambda: anonymous.set('/read/born', b'x'),
                   lambda: anonymous.delete('/read/deep/er'), lambda: anonymous.create('/creator/x')):
        try:
            action()
            fail('anonymous was let in')
        except NoAuthError:
            pass
    expect_eq(anonymous.get('/read/born')[0], b'whole', 'what everybody may read')
    with mount('anonymous') as other:
        with expect_error(errno.EACCES, 'another mount'):
            open(f'{other.path}/creator/born', encoding='utf-8').read()
        with open(f'{other.path}/read/born', encoding='utf-8') as file:
            expect_eq(file.read(), 'whole', 'by another mount')


def check_text():
    """One that does not let us write: contents are born, what takes a second step is refused, and nothing is left."""
    with mount('text', '-o', r'acl=world:anyone:cdr\,ip:127.0.0.1:r') as mnt:
        expected = [make_acl('world', 'anyone', create=True, delete=True, read=True), make_acl('ip', '127.0.0.1', read=True)]
        os.mkdir(f'{mnt.path}/dir')
        write(f'{mnt.path}/dir/file', b'contents')
        for path in ('/dir', '/dir/file'):
            expect_eq(sorted(zk.get_acls(path)[0]), sorted(expected), f'ACL of {path}')
        with expect_error(errno.EACCES, 'an empty file'):
            os.mknod(f'{mnt.path}/dir/empty')
        with expect_error(errno.EACCES, 'what was made'):
            write(f'{mnt.path}/dir/file', b'other', os.O_WRONLY | os.O_TRUNC)
        expect_eq(zk.get_children('/dir'), ['file'], 'what is there')


def refused(option, expected):
    os.makedirs('refused', exist_ok=True)
    done = subprocess.run([ZKFS, '-o', option, servers() + ROOT, 'refused'], check=False, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    expect_eq((done.returncode, done.stderr.count('\n')), (2, 1), f'{option}: status and lines of {done.stderr!r}')
    expect_eq(expected in done.stderr, True, f'{expected!r} in {done.stderr!r}')
    expect_eq(os.path.ismount('refused'), False, 'mounted')


with os.fdopen(os.open('auth', os.O_CREAT | os.O_WRONLY, 0o600), 'w') as auth:
    auth.write('digest alice:open\n')
with client() as zk, client() as anonymous:
    zk.add_auth('digest', 'alice:open')
    check_all('creator', [ALICE], 'creator')
    check_all('read', [ALICE, ANYONE_READS], 'read')
    check_all('open', [OPEN], 'open')
    check_all('none', [OPEN], None)
    check_all('text', [ACL(31, Id('digest', ALICE.id.id)), make_acl('ip', '10.0.0.0/8', read=True)],
              r'auth::cdrwa\,ip:10.0.0.0/8:r')
    check_kept_out()
    check_text()
refused('acl=creator', "'acl=creator' needs credentials")
refused('acl=read', "'acl=read' needs credentials")
refused(r'acl=world:anyone:r\,bob', "'bob' is not of the form SCHEME:ID:PERMISSIONS")
refused('acl=digest:bob:x:r', "'digest:bob:x:r': this is no hash")
