"""The connection breaks with a change in flight: a proxy takes away the reply, or the request before the server has it. What the
program is told is the truth, nothing is made twice, and EIO is said only where the truth cannot be known."""
import itertools
import socket
import struct
import threading

from zktest import *

CHANGES = {1, 2, 5, 14, 15}     # create, delete, setData, multi, create2 (ZooDefs.OpCode)


class Proxy:
    """Between zkfs and the server. arm('reply') or arm('request'): of the next change."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.armed = None
        self.meanwhile = None       # called when it is gone, before the connection breaks
        self.fired = threading.Event()
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, what, meanwhile):
        self.fired.clear()
        self.meanwhile = meanwhile
        self.armed = what

    def accept(self):
        while True:
            client_side, _ = self.listener.accept()
            server_side = socket.create_connection(self.upstream)
            pair = {'client': client_side, 'server': server_side, 'doomed': None}
            threading.Thread(target=self.pump, args=(pair, 'client', 'server'), daemon=True).start()
            threading.Thread(target=self.pump, args=(pair, 'server', 'client'), daemon=True).start()

    @staticmethod
    def read(sock, size):
        data = b''
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def pump(self, pair, source, target):
        first = True
        try:
            while True:
                head = self.read(pair[source], 4)
                body = self.read(pair[source], struct.unpack('>i', head)[0])
                if not first and not self.passes(pair, source, head + body):
                    break
                first = False
                pair[target].sendall(head + body)
        except OSError:
            pass
        for sock in (pair['client'], pair['server']):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def passes(self, pair, source, frame):
        """False: the connection is to break instead."""
        if source == 'server':
            if struct.unpack('>i', frame[4:8])[0] != pair['doomed']:
                return True
        else:
            xid, kind = struct.unpack('>ii', frame[4:12])
            with self.lock:
                if kind not in CHANGES or not self.armed:
                    return True
                what, self.armed = self.armed, None
            if what == 'reply':
                pair['doomed'] = xid
                return True
        if self.meanwhile:
            self.meanwhile()
        self.fired.set()
        return False


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


def data(path):
    return zk.get(path)[0] if zk.exists(path) else None


# (what, before, the program's call, what is there if it was made, Kazoo's change meanwhile and then:
#  (told, there) if the reply was lost, (told, there) if the request was)
def cases():
    put = lambda text: lambda: zk.set('/f', text)     # noqa: E731
    make = lambda text: lambda: zk.create('/f', text)   # noqa: E731
    gone = lambda: zk.delete('/f')     # noqa: E731
    add = lambda: zk.set('/f', zk.get('/f')[0] + b'kazoo\n')   # noqa: E731
    yield ('append', b'one\n', lambda: write('f', 'two\n', 'a'), None, ('ok', b'one\ntwo\n'), ('ok', b'one\ntwo\n'))
    yield ('append, another too', b'one\n', lambda: write('f', 'two\n', 'a'), add,
           ('EIO', b'one\ntwo\nkazoo\n'), ('ok', b'one\nkazoo\ntwo\n'))
    yield ('overwrite', b'old', lambda: write('f', 'new'), None, ('ok', b'new'), ('ok', b'new'))
    yield ('overwrite, another too', b'old', lambda: write('f', 'new'), put(b'kazoo'), ('EIO', b'kazoo'), ('ok', b'new'))
    yield ('in the middle', b'abcd', lambda: pwrite('f'), None, ('ok', b'aXXd'), ('ok', b'aXXd'))
    yield ('in the middle, another too', b'abcd', lambda: pwrite('f'), put(b'ABCDE'), ('EIO', b'ABCDE'), ('ok', b'AXXDE'))
    yield ('a new file', None, lambda: write('f', 'new'), None, ('ok', b'new'), ('ok', b'new'))
    yield ('a new empty file', None, lambda: write('f', ''), None, ('ok', b''), ('ok', b''))
    yield ('a new file to append to, another too', None, lambda: write('f', 'two\n', 'a'), make(b'kazoo\n'),
           None, ('ok', b'kazoo\ntwo\n'))
    yield ('a new file, changed at once', None, lambda: write('f', 'two\n', 'a'), add, ('EIO', b'two\nkazoo\n'), None)
    yield ('a name to take', None, lambda: write('f', '', 'x'), None, ('EIO', b''), ('ok', b''))
    yield ('a name to take, another too', None, lambda: write('f', '', 'x'), make(b'kazoo'), None, ('EEXIST', b'kazoo'))
    yield ('mkdir', None, lambda: os.mkdir(f'{top}/f'), None, ('EIO', b''), ('ok', b''))
    yield ('unlink', b'x', lambda: os.unlink(f'{top}/f'), None, ('ok', None), ('ok', None))
    yield ('unlink, made anew', b'x', lambda: os.unlink(f'{top}/f'), make(b'kazoo'), ('ok', b'kazoo'), None)
    yield ('unlink, gone', b'x', lambda: os.unlink(f'{top}/f'), gone, None, ('ok', None))
    yield ('rename', b'x', lambda: os.rename(f'{top}/f', f'{top}/g'), None, ('ok', None), ('ok', None))


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = Proxy((host, int(port)))
    os.environ['ZK'], direct = proxy.address, os.environ['ZK']
    with mount() as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        for (what, before, call, meanwhile, *results), lost in itertools.product(cases(), ('reply', 'request')):
            expected = results[lost == 'request']
            if not expected:
                continue
            name = f'{what}, {lost} lost'
            print(name, flush=True)
            for path in ('/f', '/g'):
                if zk.exists(path):
                    zk.delete(path)
            if before is not None:
                zk.create('/f', before)
            mnt.settle()
            attempt(lambda: os.stat(f'{top}/f'))
            proxy.arm(lost, meanwhile)
            told = attempt(call)
            expect_eq(proxy.fired.is_set(), True, f'{name}: the proxy has struck')
            expect_eq((told, data('/f')), expected, name)
            if what == 'rename':
                expect_eq(data('/g'), b'x', f'{name}: the target')
            mnt.settle()
            seen = open(f'{top}/f', 'rb').read() if os.path.isfile(f'{top}/f') else None
            there = data('/f') if not zk.exists('/f') or what != 'mkdir' else None
            expect_eq(seen, there, f'{name}: what the mount shows')
