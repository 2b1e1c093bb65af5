"""user.zk.acl: every ACL that Kazoo can make goes through getfattr and setfattr unchanged; a bad text changes nothing, and the log names
what is bad in it; what cannot be set says why."""
# timeout: 300
import itertools
import re
import subprocess
import threading

from kazoo.security import ACL, Id, make_acl, make_digest_acl, make_digest_acl_credential

from zktest import *

require('getfattr', 'setfattr')

PERMISSIONS = ('create', 'delete', 'read', 'write', 'admin')
SUPER = make_digest_acl_credential('super', 'witness')     # whom no ACL keeps out
FLAGS = (f'DigestAuthenticationProvider.superDigest={SUPER}',
         'authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider',
         'authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider')


def get(path):
    return subprocess.run(['getfattr', '--absolute-names', '--only-values', '-n', 'user.zk.acl', path], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def set_acl(path, text):
    """None, or what setfattr says."""
    done = subprocess.run(['setfattr', '-n', 'user.zk.acl', '-v', text, path], check=False, stderr=subprocess.PIPE, text=True)
    return done.stderr.strip().rpartition(': ')[2] if done.returncode else None


def pairs(acls):
    return [(acl.perms, acl.id.scheme, acl.id.id) for acl in acls]


def combinations():
    for count in range(len(PERMISSIONS) + 1):
        for chosen in itertools.combinations(PERMISSIONS, count):
            yield {name: True for name in chosen}, ''.join(letter for letter in 'cdrwa' if any(
                name.startswith(letter) for name in chosen))


def round_trip(acls, expected):
    """Kazoo makes it, getfattr shows it, setfattr gives it to another znode, and Kazoo finds it there; with an entry that lets us read
    it back, and without."""
    if zk.exists('/made'):
        zk.delete('/made')
    zk.create('/made', b'', acl=[*acls, ours])
    mnt.settle()
    text = get(f'{top}/made')
    expect_eq(text, ','.join([*expected, ours_text]), f'text of {acls}')
    zk.set_acls('/target', [make_acl('world', 'anyone', all=True)])
    expect_eq(set_acl(f'{top}/target', text), None, f'setting {text}')
    expect_eq(pairs(zk.get_acls('/target')[0]), pairs(zk.get_acls('/made')[0]), f'what Kazoo finds of {text}')
    expect_eq(get(f'{top}/target'), text, 'what getfattr finds')
    zk.set_acls('/target', [make_acl('world', 'anyone', all=True)])
    expect_eq(set_acl(f'{top}/target', ','.join(expected)), None, f'setting {expected}')
    expect_eq(pairs(zk.get_acls('/target')[0]), pairs(acls), f'what Kazoo finds of {expected}')


def check_permissions():
    digest = make_digest_acl_credential('bob', 'secret:word')
    for allowed, letters in combinations():
        for scheme, name in (('world', 'anyone'), ('digest', digest), ('ip', '10.1.2.0/24')):
            round_trip([make_acl(scheme, name, **allowed)], [f'{scheme}:{name}:{letters}'])


def check_ids():
    everything = []
    for scheme, name, text in (
            ('digest', 'bob:a:', 'bob:a:'), ('digest', 'b,o%b:h', 'b%2Co%25b:h'), ('digest', 'b\\o"b:=', 'b\\o"b:='),
            ('digest', '\u00e4\u20ac:h', '\u00e4\u20ac:h'), ('digest', 'a b\n:h', 'a b%0A:h'), ('ip', '127.0.0.1', '127.0.0.1'), ('x509', 'CN=bob, OU="a, b", O=100%', 'CN=bob%2C OU="a%2C b"%2C O=100%25'),
            ('sasl', 'zk/host.example@EXAMPLE.ORG', 'zk/host.example@EXAMPLE.ORG')):
        acl, entry = make_acl(scheme, name, read=True, write=True), f'{scheme}:{text}:rw'
        round_trip([acl], [entry])
        everything.append((acl, entry))
    round_trip([acl for acl, _ in everything], [entry for _, entry in everything])
    odd = ACL(-7, Id('world', 'anyone'))      # no server minds
    round_trip([odd], ['world:anyone:0xfffffff9'])


def check_auth():
    """Becomes whoever sets it."""
    hashed = make_digest_acl_credential('alice', 'open')
    for allowed, letters in combinations():
        zk.set_acls('/target', [make_acl('world', 'anyone', all=True)])
        expect_eq(set_acl(f'{top}/target', f'auth::{letters}'), None, f'auth::{letters}')
        expect_eq(pairs(zk.get_acls('/target')[0]), pairs([make_acl('digest', hashed, **allowed)]), f'of auth::{letters}')
        zk.set_acls('/target', [make_acl('world', 'anyone', all=True)])
        alice.set_acls('/target', [make_acl('auth', '', **allowed), ours])
        expect_eq(get(f'{top}/target'), f'digest:{hashed}:{letters},{ours_text}', 'of Kazoo\'s auth')


def logged(what):
    """Awaits a line of the log, and takes all that is there."""
    wait_until(10, lambda: what in mnt.log()[logged.at:], f"'{what}' in the log")
    logged.at = len(mnt.log())


def check_bad():
    zk.set_acls('/target', [make_acl('world', 'anyone', all=True)])
    before = zk.exists('/target')
    for text, named in (('world:anyone:rx', "'rx'"), ('world:anyone', "'world:anyone'"), ('nonsense', "'nonsense'"),
                        ('world:anyone:r,,ip:::1:r', 'empty'), ('world:anyone:r,world:all:r', "'world:all:r'"),
                        ('digest:bob:r', "'digest:bob:r'"), ('sasl:100%:r', "'100%'"), ('digest:bob:x:r', "'digest:bob:x:r'"),
                        ('world:anyone:r\n', "'r\\x0a'"),
                        # What only the servers know:
                        ('world:anyone:cdrwa,ip:nowhere:r', 'ip:nowhere:r'), ('unheard:of:r', 'unheard:of:r'),
                        ('x509:bob:r', 'x509:bob:r')):
        expect_eq(set_acl(f'{top}/target', text), 'Invalid argument', f'setting {text!r}')
        logged(named)
    with expect_error(errno.EINVAL, 'an empty text'):
        os.setxattr(f'{top}/target', 'user.zk.acl', b'')
    logged('empty')
    with expect_error(errno.EINVAL, 'a NUL byte'):
        os.setxattr(f'{top}/target', 'user.zk.acl', b'world:anyone:r\0')
    logged("'r\\x00'")
    with expect_error(errno.EINVAL, 'no UTF-8'):
        os.setxattr(f'{top}/target', 'user.zk.acl', b'digest:\xff:h:r')
    logged('\\xff')
    expect_eq(zk.exists('/target').aversion, before.aversion, 'version of the ACL after all these')


def check_denied():
    """Not ours to administer: the servers hide digests, and refuse."""
    other = make_digest_acl('carol', 'x', all=True)
    zk.create('/theirs', b'', acl=[other, make_acl('world', 'anyone', read=True)])
    zk.create('/closed', b'', acl=[other])
    mnt.settle()
    text = get(f'{top}/theirs')
    expect_eq(text, 'digest:carol:x:cdrwa,world:anyone:r', 'a hidden digest')
    expect_eq(set_acl(f'{top}/theirs', 'world:anyone:cdrwa'), 'Permission denied', 'setting what is not ours')
    expect_eq(set_acl(f'{top}/target', text), 'Invalid argument', 'setting a hidden digest')
    with expect_error(errno.EACCES, 'reading what is not ours'):
        os.getxattr(f'{top}/closed', 'user.zk.acl')
    expect_eq(os.getxattr(f'{top}/closed', 'user.zk.aversion'), b'0', 'the Stat of what is not ours')


def check_unsaved():
    """What was written before an ACL that forbids it is saved; and what an old one forbade can be when the new one lets it."""
    zk.create('/written', b'old')
    mnt.settle()
    with open(f'{top}/written', 'w', encoding='utf-8') as file:
        file.write('new')
        file.flush()
        os.setxattr(file.fileno(), 'user.zk.acl', b'world:anyone:ra')
    expect_eq(zk.get('/written')[0], b'new', 'written before the ACL')
    fd = os.open(f'{top}/written', os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b'newer')
    os.setxattr(fd, 'user.zk.acl', b'world:anyone:cdrwa')
    os.close(fd)
    expect_eq(zk.get('/written')[0], b'newer', 'written before the ACL that allows it')


def check_seen():
    """At once, for setting makes no event: readable, and not."""
    zk.create('/seen', b'contents', acl=[make_digest_acl('alice', 'open', all=True)])
    mnt.settle()
    path = f'{top}/seen'
    for _ in range(20):
        os.setxattr(path, 'user.zk.acl', f'digest:{make_digest_acl_credential("alice", "open")}:a'.encode())
        with expect_error(errno.EACCES, 'reading what may not be read any more'):
            os.close(os.open(path, os.O_RDONLY))
        os.setxattr(path, 'user.zk.acl', b'world:anyone:cdrwa')
        with open(path, encoding='utf-8') as file:
            expect_eq(file.read(), 'contents', 'reading what may be read again')


def check_many_at_once():
    """Here and elsewhere: nobody fails for it, and each counts."""
    zk.create('/busy', b'')
    mnt.settle()
    failures = []

    def work(act):
        try:
            for i in range(25):
                act(i)
        except Exception as error:      # pylint: disable=broad-except
            failures.append(error)

    def here(i):
        os.setxattr(f'{top}/busy', 'user.zk.acl', f'world:anyone:cdrwa,ip:10.0.0.{i}:r'.encode())

    def there(i):
        zk.set_acls('/busy', [make_acl('world', 'anyone', all=True), make_acl('ip', f'10.1.0.{i}', read=True)])

    threads = [threading.Thread(target=work, args=(act,)) for act in (here, here, here, there)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_eq((failures, zk.exists('/busy').aversion), ([], 100), 'setting at once')


with Servers(*[word for flag in FLAGS for word in ('--option', f'-Dzookeeper.{flag}')]):
    with client() as zk, client() as alice:
        with os.fdopen(os.open('auth', os.O_CREAT | os.O_WRONLY, 0o600), 'w') as auth:
            auth.write('digest alice:open\n')
        logged.at = 0
        mnt = LoggedMount('mnt', '-o', f'auth_file={SCRATCH}/auth')
        top = mnt.path
        ours = make_digest_acl('alice', 'open', all=True)
        ours_text = f'digest:{ours.id.id}:cdrwa'
        zk.add_auth('digest', 'super:witness')
        alice.add_auth('digest', 'alice:open')
        zk.create('/target', b'')
        mnt.settle()
        check_permissions()
        check_ids()
        check_auth()
        check_bad()
        check_denied()
        check_unsaved()
        check_seen()
        check_many_at_once()
        expect_eq(re.findall('Sanitizer', mnt.log()), [], 'the log')
        mnt.unmount()
