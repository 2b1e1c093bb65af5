"""What lies between zkfs and a server, and can be cut."""
import contextlib
import socket
import threading
import time

__all__ = ['Cable']


class Cable:
    """Between zkfs and the server; cut() breaks all connections and refuses new ones until mend().

    Bytes in `stops_at` go no further to the server, nor what follows them, until they are taken from it; after bytes in
    `cuts_after` have come from the server, it is cut."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.pairs = set()
        self.lock = threading.Lock()
        self.is_whole = True
        self.stops_at = b''
        self.cuts_after = b''
        self.has_met = threading.Event()    # one of both
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client_side, _ = self.listener.accept()
            with self.lock:
                if not self.is_whole:
                    client_side.close()
                    continue
                try:
                    pair = (client_side, socket.create_connection(self.upstream))
                except OSError:
                    client_side.close()
                    continue
                self.pairs.add(pair)
            for source, target in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(pair, source, target), daemon=True).start()

    def pump(self, pair, source, target):
        try:
            while data := source.recv(65536):
                while source is pair[0] and self.stops_at and self.stops_at in data:
                    self.has_met.set()
                    time.sleep(0.01)
                target.sendall(data)
                if source is pair[1] and self.cuts_after and self.cuts_after in data:
                    self.cuts_after = b''
                    self.cut()
                    self.has_met.set()
        except OSError:
            pass
        for sock in (source, target):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with self.lock:
            self.pairs.discard(pair)

    def is_in_use(self):
        with self.lock:
            return bool(self.pairs)

    def cut(self):
        with self.lock:
            self.is_whole = False
            for pair in self.pairs:
                for sock in pair:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            self.pairs.clear()

    def mend(self):
        with self.lock:
            self.is_whole = True
