"""An append of which nobody can know whether it was made (its answer is lost, and others have appended since) is not made again, though
the file stays open; who looks at fsync or close is told, and what is appended afterwards gets there."""
from proxy import Proxy
from zktest import *


def data():
    return zk.get('/f')[0]


def add():
    zk.set('/f', data() + b'kazoo\n')


def attempt(call, *args):
    try:
        call(*args)
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]


def begin(name):
    print(name, flush=True)
    if zk.exists('/f'):
        zk.delete('/f')
    zk.create('/f', b'one\n')
    mnt.settle()
    fd = os.open(f'{mnt.path}/f', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'two\n')
    proxy.arm('reply', add)
    return fd


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = Proxy((host, int(port)))
    direct, os.environ['ZK'] = os.environ['ZK'], proxy.address
    with mount() as mnt:
        os.environ['ZK'] = direct

        fd = begin('fsync')
        expect_eq(attempt(os.fsync, fd), 'EIO', 'fsync')
        expect_eq(data(), b'one\ntwo\nkazoo\n', 'after fsync')
        os.write(fd, b'three\n')
        expect_eq(attempt(os.fsync, fd), 'ok', 'fsync of what came then')
        expect_eq(attempt(os.close, fd), 'ok', 'close')
        expect_eq(data(), b'one\ntwo\nkazoo\nthree\n', 'after close')

        fd = begin('left alone')
        expect_eq(proxy.fired.wait(20), True, 'it is saved by itself')
        expect_eq(attempt(os.close, fd), 'EIO', 'close')
        expect_eq(data(), b'one\ntwo\nkazoo\n', 'after close')

        fd = begin('left alone, and written to again')
        expect_eq(proxy.fired.wait(20), True, 'it is saved by itself')
        mnt.settle()
        os.write(fd, b'three\n')
        wait_until(20, lambda: data() == b'one\ntwo\nkazoo\nthree\n', 'that to be saved by itself')
        expect_eq(attempt(os.fsync, fd), 'EIO', 'fsync')
        expect_eq(attempt(os.fsync, fd), 'ok', 'fsync again')
        expect_eq(attempt(os.close, fd), 'ok', 'close')
        expect_eq(data(), b'one\ntwo\nkazoo\nthree\n', 'after close')
