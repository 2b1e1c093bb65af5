"""A proxy between zkfs and the server that breaks a connection with a change in flight."""
import socket
import struct
import threading
import time

__all__ = ['LOSSES', 'Proxy']

LOSSES = ('reply', 'request', 'late')
CHANGES = {1, 2, 5, 7, 14, 15}      # create, delete, setData, setACL, multi, create2 (ZooDefs.OpCode)


class Proxy:
    """Between zkfs and the server. arm('reply') or arm('request'): that of the next change is lost; arm('late'): its request comes to
    the server on the old connection when the client has begun a new one; arm('no'): nothing is lost, but somebody else is faster; arm('slow'): the
    reply, once it has fired, waits for the event go; arm('kept'): its request is lost, and brought to the server on the old connection
    by deliver(). Of several servers, the next one gets the connections from then on."""

    def __init__(self, *upstreams):
        self.upstreams = list(upstreams)
        self.armed = self.what = None
        self.meanwhile = None       # called when it is gone, before the connection breaks
        self.late = None            # (the old connection to the server, what it has still to bring)
        self.hold = 0               # s that nobody is let in, once it has struck
        self.expired = 0            # sessions that were found to be
        self.changes = 0            # that came by
        self.answer = None          # to what was late
        self.fired = threading.Event()
        self.answered = threading.Event()
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, what, meanwhile=None, hold=0):
        self.fired.clear()
        self.answered.clear()
        self.go.clear()
        self.meanwhile = meanwhile
        self.hold = hold
        self.armed = self.what = what

    def accept(self):
        while True:
            client_side, _ = self.listener.accept()
            if self.late and self.what == 'late':
                (old, frame), self.late = self.late, None
                old.sendall(frame)
                self.answered.wait(5)   # the server has done it before it hears of the new connection
            if self.fired.is_set() and self.hold:
                time.sleep(self.hold)
                self.hold = 0
            server_side = socket.create_connection(self.upstreams[0])
            pair = {'client': client_side, 'server': server_side, 'doomed': None, 'slow': None, 'late': None}
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
                elif first and source == 'server' and struct.unpack('>i', body[4:8])[0] <= 0:
                    self.expired += 1   # so says its ConnectResponse
                first = False
                pair[target].sendall(head + body)
        except OSError:
            if source == 'server' and pair['late']:
                self.answer = 'closed'
                self.answered.set()
        for sock in (pair['client'], pair['server']):
            if sock is pair['late']:
                continue
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def passes(self, pair, source, frame):
        """False: the connection is to break instead."""
        if source == 'server' and pair['late']:
            self.answer, = struct.unpack('>i', frame[16:20])
            self.answered.set()
            return True     # to nobody
        if source == 'server':
            xid, = struct.unpack('>i', frame[4:8])
            if xid == pair['slow']:
                self.fired.set()
                self.go.wait(60)
            if xid != pair['doomed']:
                return True
        else:
            xid, kind = struct.unpack('>ii', frame[4:12])
            with self.lock:
                self.changes += kind in CHANGES
                if kind not in CHANGES or not self.armed:
                    return True
                what, self.armed = self.armed, None
            if what == 'slow':
                pair['slow'] = xid
                return True
            if what == 'reply':
                pair['doomed'] = xid
                return True
            if what == 'no':
                self.meanwhile()
                self.fired.set()
                return True
            if what in ('late', 'kept'):
                pair['late'] = pair['server']
                self.late = (pair['server'], frame)
        if self.meanwhile:
            self.meanwhile()
        self.upstreams.append(self.upstreams.pop(0))
        self.fired.set()
        return False

    def deliver(self):
        """What the server answers: an error code, or that it has closed the connection."""
        (old, frame), self.late = self.late, None
        try:
            old.sendall(frame)
        except OSError:
            return 'closed'
        if not self.answered.wait(20):
            raise TimeoutError
        return self.answer
