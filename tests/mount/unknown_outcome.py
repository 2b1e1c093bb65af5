"""The connection breaks with a change in flight: a proxy takes away the reply, or the request before the server has it, or lets the
request arrive late, when the client connects anew. What the program is told is the truth and stays it, nothing is made twice, and
EIO is said only where the truth cannot be known."""
# timeout: 300
import itertools

from kazoo.security import make_acl

from proxy import LOSSES, Proxy
from zktest import *


def attempt(call):
    try:
        call()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]


def write(name, text, mode='w'):
    with open(f'{top}/{name}', mode, encoding='utf-8') as file:
        file.write(text)


def pwrite(name):
    fd = os.open(f'{top}/{name}', os.O_WRONLY)
    try:
        os.pwrite(fd, b'XX', 1)
    finally:
        os.close(fd)


def special(name, flags):
    os.close(os.open(f'{top}/{name}', os.O_CREAT | os.O_WRONLY | flags, 0o644))


def data(path):
    return zk.get(path)[0] if zk.exists(path) else None


# (what, before, the program's call, Kazoo's change meanwhile, then (told, there) for each of LOSSES; None: not to be tried)
DIRECTORIES = ('mkdir', 'rmdir', 'sequential')
OUR_ACL = b'world:anyone:cdrwa,ip:10.0.0.1:r'
THEIR_ACL = [make_acl('world', 'anyone', all=True), make_acl('ip', '10.0.0.2', read=True)]


def cases():
    put = lambda text: lambda: zk.set('/f', text)     # noqa: E731
    make = lambda text: lambda: zk.create('/f', text)   # noqa: E731
    gone = lambda: zk.delete('/f')     # noqa: E731
    add = lambda: zk.set('/f', zk.get('/f')[0] + b'kazoo\n')   # noqa: E731
    append = lambda: write('f', 'two\n', 'a')   # noqa: E731
    overwrite = lambda: write('f', 'new')   # noqa: E731
    take = lambda: write('f', '', 'x')   # noqa: E731
    mkdir = lambda: os.mkdir(f'{top}/f')   # noqa: E731
    rmdir = lambda: os.rmdir(f'{top}/f')   # noqa: E731
    unlink = lambda: os.unlink(f'{top}/f')   # noqa: E731

    set_acl = lambda: os.setxattr(f'{top}/f', 'user.zk.acl', OUR_ACL)  # noqa: E731
    others_set_acl = lambda: zk.set_acls('/f', THEIR_ACL)   # noqa: E731
    ephemeral = lambda: special('f', os.O_ASYNC)    # noqa: E731
    sequential = lambda: special('f/item-', os.O_DIRECT)    # noqa: E731
    both = lambda: special('f/item-', os.O_ASYNC | os.O_DIRECT)     # noqa: E731
    item = lambda: zk.create('/f/item-', b'', sequence=True, ephemeral=True)    # noqa: E731

    def anew():
        gone()
        zk.create('/f', b'kazoo')

    def submit(text):
        with open(f'{top}/.zkfs/transaction', 'w', encoding='utf-8') as file:
            file.write(text)

    version = lambda: submit('check /\nset /f new 0\n')     # noqa: E731
    name = lambda: submit('create /f new\n')   # noqa: E731

    def append_to_born():   # opened before it was there
        with open(f'{top}/f', 'a', encoding='utf-8') as file:
            file.write('two\n')
            armed, proxy.armed = proxy.armed, None
            zk.create('/f', b'one\n')
            mnt.settle()
            proxy.armed = armed

    yield ('append', b'one\n', append, None, *[('ok', b'one\ntwo\n')] * 3)
    yield ('append, another too', b'one\n', append, add,
           ('EIO', b'one\ntwo\nkazoo\n'), *[('ok', b'one\nkazoo\ntwo\n')] * 2)
    yield ('overwrite', b'old', overwrite, None, *[('ok', b'new')] * 3)
    yield ('overwrite, another too', b'old', overwrite, put(b'kazoo'), ('EIO', b'kazoo'), *[('ok', b'new')] * 2)
    yield ('in the middle', b'abcd', lambda: pwrite('f'), None, *[('ok', b'aXXd')] * 3)
    yield ('in the middle, another too', b'abcd', lambda: pwrite('f'), put(b'ABCDE'),
           ('EIO', b'ABCDE'), *[('ok', b'AXXDE')] * 2)
    yield ('a new file', None, overwrite, None, *[('ok', b'new')] * 3)
    yield ('a new empty file', None, lambda: write('f', ''), None, *[('ok', b'')] * 3)
    yield ('a new file to append to, another too', None, append, make(b'kazoo\n'), None, *[('ok', b'kazoo\ntwo\n')] * 2)
    yield ('a new empty file, another too', None, lambda: write('f', ''), make(b'kazoo'), None, ('ok', b''), None)
    yield ('a new file, changed at once', None, append, add, ('EIO', b'two\nkazoo\n'), None, None)
    yield ('a file made since, another in its place', None, append_to_born, anew, *[('EIO', b'kazoo')] * 2, None)
    yield ('a name to take', None, take, None, ('EIO', b''), ('ok', b''), ('EIO', b''))
    yield ('a name to take, another too', None, take, make(b'kazoo'), None, *[('EEXIST', b'kazoo')] * 2)
    yield ('mkdir', None, mkdir, None, ('EIO', b''), ('ok', b''), ('EIO', b''))
    yield ('mkdir, another too', None, mkdir, make(b'kazoo'), None, *[('EEXIST', b'kazoo')] * 2)
    yield ('rmdir', b'', rmdir, None, *[('ok', None)] * 3)
    yield ('rmdir, made anew', b'', rmdir, make(b'kazoo'), ('ok', b'kazoo'), None, None)
    yield ('rmdir, gone', b'', rmdir, gone, None, *[('ok', None)] * 2)
    yield ('rmdir, no longer empty', b'', rmdir, lambda: zk.create('/f/c', b''), None, *[('ENOTEMPTY', b'')] * 2)
    yield ('unlink', b'x', unlink, None, *[('ok', None)] * 3)
    yield ('unlink, made anew', b'x', unlink, make(b'kazoo'), ('ok', b'kazoo'), None, None)
    yield ('unlink, gone', b'x', unlink, gone, None, *[('ok', None)] * 2)
    # A delete knows its znode by the version only. It removes the new one, and has done so before the program is told.
    yield ('unlink, another in its place', b'x', unlink, anew, None, ('ok', b'kazoo'), ('ok', None))
    yield ('ACL', b'x', set_acl, None, *[('ok', b'x')] * 3)
    yield ('ACL, another too', b'x', set_acl, others_set_acl, ('EIO', b'x'), *[('ok', b'x')] * 2)
    yield ('transaction', b'old', version, None, *[('ok', b'new')] * 3)
    yield ('transaction, another too', b'old', version, put(b'kazoo'), ('EIO', b'kazoo'), *[('EAGAIN', b'kazoo')] * 2)
    yield ('transaction, another in its place', b'old', version, anew, *[('EIO', b'kazoo')] * 2, None)
    yield ('transaction that creates', None, name, None, ('EIO', b'new'), ('ok', b'new'), ('EIO', b'new'))
    yield ('transaction that creates, another too', None, name, make(b'kazoo'), None, *[('EIO', b'kazoo')] * 2)
    yield ('an ephemeral', None, ephemeral, None, *[('ok', b'')] * 3)
    yield ('an ephemeral, another too', None, ephemeral, make(b'kazoo'), None, *[('EEXIST', b'kazoo')] * 2)
    # In a directory; how many there are in the end is looked at, too.
    yield ('sequential ephemeral', b'', both, None, *[('ok', b'')] * 3)
    yield ('sequential ephemeral, another too', b'', both, item, *[('ok', b'')] * 3)
    yield ('sequential', b'', sequential, None, ('EIO', b''), ('ok', b''), ('EIO', b''))
    yield ('sequential, another too', b'', sequential, item, *[('EIO', b'')] * 3)
    yield ('rename', b'x', lambda: os.rename(f'{top}/f', f'{top}/g'), None, *[('ok', None)] * 3)


def expiring_cases():
    return [case for case in cases() if case[0] in ('append', 'append, another too', 'overwrite', 'a new file', 'mkdir', 'unlink', 'ACL',
                                                    'transaction', 'an ephemeral', 'sequential ephemeral')]


def run(case, lost, expected, mnt, hold=0):
    what, before, call, meanwhile = case[:4]
    name = f'{what}, {lost} lost'
    print(name, flush=True)
    for path in ('/f', '/g'):
        if zk.exists(path):
            zk.delete(path, recursive=True)
    if before is not None:
        zk.create('/f', before)
    mnt.settle()
    attempt(lambda: os.stat(f'{top}/f'))
    proxy.arm(lost, meanwhile, hold)
    told = attempt(call)
    expect_eq(proxy.fired.is_set(), True, f'{name}: the proxy has struck')
    expect_eq((told, data('/f')), expected, name)
    if what.startswith('ACL'):
        shown = os.getxattr(f'{top}/f', 'user.zk.acl')
        expect_eq((len(zk.get_acls('/f')[0]), shown), (2, OUR_ACL if told == 'ok' else OUR_ACL.replace(b'.1:', b'.2:')),
                  f'{name}: the ACL')
    if what.startswith('sequential'):
        # None is lost, or doubled; of a persistent one nobody may know.
        others = 1 if meanwhile else 0
        made = len(zk.get_children('/f')) - others
        expect_eq(made in ((1,) if told == 'ok' else (0, 1)), True, f'{name}: {made} made')
    if what == 'rename':
        expect_eq(data('/g'), b'x', f'{name}: the target')
    mnt.settle()    # through the new connection: nothing is on its way on the old one
    expect_eq(data('/f'), expected[1], f'{name}: afterwards')
    seen = open(f'{top}/f', 'rb').read() if os.path.isfile(f'{top}/f') else None
    is_directory = what.startswith(DIRECTORIES) and not expected[1]
    expect_eq(seen, None if is_directory else expected[1], f'{name}: what the mount shows')


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = Proxy((host, int(port)))
    through, direct = proxy.address, os.environ['ZK']
    os.environ['ZK'] = through
    with mount() as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        for case, lost in itertools.product(cases(), LOSSES):
            expected = case[4 + LOSSES.index(lost)]
            if expected:
                run(case, lost, expected, mnt)
    # The same when the session has expired before anybody is let in again.
    os.environ['ZK'] = through
    with mount('expiring', '-o', 'session_timeout=1,timeout=20') as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        for case, lost in itertools.product(expiring_cases(), LOSSES[:2]):
            run(case, lost, case[4 + LOSSES.index(lost)], mnt, hold=3)
        expect_eq(proxy.expired >= 2 * len(expiring_cases()), True, f'{proxy.expired} sessions have expired: one a case')
