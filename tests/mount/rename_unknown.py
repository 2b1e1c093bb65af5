"""The connection breaks with a rename in flight, or somebody else is faster: what the program is told is true."""
import ctypes

from proxy import LOSSES, Proxy
from zktest import *

EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


def rename(flags=0, old='f', new='g'):
    if libc.renameat2(-100, os.fsencode(f'{top}/{old}'), -100, os.fsencode(f'{top}/{new}'), flags):
        return errno.errorcode[ctypes.get_errno()]
    return 'ok'


def data(path):
    return zk.get(path)[0] if zk.exists(path) else None


def gone():
    zk.delete('/f')


def gone_and_there():
    zk.delete('/f')
    zk.create('/g', b'kazoo')


def there():
    zk.create('/g', b'kazoo')


def touch():
    zk.set('/f', b'touched')


def write_over():
    zk.set('/g', b'kazoo')


def both():
    zk.set('/f', b'kazoo f')
    zk.set('/g', b'kazoo g')


# (what, /f and /g before, flags, Kazoo's change meanwhile, then for each of LOSSES what is told, /f and /g; None: not to be tried)
CASES = [
    ('to a new name', b'f', None, 0, None, *[('ok', None, b'f')] * 3),
    ('of an empty file', b'', None, 0, None, *[('ok', None, b'')] * 3),
    ('over a file', b'f', b'g', 0, None, *[('ok', None, b'f')] * 3),
    ('exchange', b'f', b'g', EXCHANGE, None, *[('ok', b'g', b'f')] * 3),
    ('changed meanwhile', b'f', None, 0, touch, None, *[('ok', None, b'touched')] * 2),
    ('target made meanwhile', b'f', None, 0, there, None, *[('ok', None, b'f')] * 2),
    ('gone meanwhile', b'f', b'g', 0, gone, None, *[('ENOENT', None, b'g')] * 2),
    # Somebody may have moved it, and it may have been us: who can tell?
    ('gone meanwhile, and another there', b'f', None, 0, gone_and_there, None, *[('EIO', None, b'kazoo')] * 2),
    ('and written to at once', b'f', b'g', 0, write_over, ('EIO', None, b'kazoo'), *[('ok', None, b'f')] * 2),
    ('exchange, one changed meanwhile', b'f', b'g', EXCHANGE, touch, ('EIO', b'touched', b'f'),
     *[('ok', b'g', b'touched')] * 2),
    ('exchange, both changed meanwhile', b'f', b'g', EXCHANGE, both, None, *[('EIO', b'kazoo f', b'kazoo g')] * 2),
]


def run(case, lost, told, *left):
    what, before, target, flags, meanwhile = case[:5]
    name = f'{what}, {lost} lost'
    print(name, flush=True)
    for path, text in (('/f', before), ('/g', target)):
        if zk.exists(path):
            zk.delete(path)
        if text is not None:
            zk.create(path, text)
            zk.set(path, text)  # an empty one is a file
    mnt.settle()
    os.stat(f'{top}/f')
    proxy.arm(lost, meanwhile)
    expect_eq(rename(flags), told, name)
    expect_eq(proxy.fired.is_set(), True, f'{name}: the proxy has struck')
    expect_eq([data('/f'), data('/g')], list(left), name)
    mnt.settle()    # through the new connection: nothing is on its way on the old one
    expect_eq([data('/f'), data('/g')], list(left), f'{name}: afterwards')
    for path, text in (('f', left[0]), ('g', left[1])):
        seen = open(f'{top}/{path}', 'rb').read() if os.path.exists(f'{top}/{path}') else None
        expect_eq(seen, text, f'{name}: what the mount shows of {path}')


def into_what_goes_away():
    zk.ensure_path('/f')
    zk.set('/f', b'f')
    zk.create('/d')
    mnt.settle()
    os.stat(f'{top}/d')
    proxy.arm('no', lambda: zk.delete('/d'))
    began = proxy.changes
    expect_eq(rename(new='d/g'), 'ENOENT', 'rename into a directory that is removed meanwhile')
    expect_eq(data('/f'), b'f', 'what was to be moved there')
    if proxy.changes > began + 5:
        fail(f'{proxy.changes - began} attempts')


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = Proxy((host, int(port)))
    direct, os.environ['ZK'] = os.environ['ZK'], proxy.address
    with mount() as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        for case in CASES:
            for lost, expected in zip(LOSSES, case[5:]):
                if expected:
                    run(case, lost, *expected)
        into_what_goes_away()
