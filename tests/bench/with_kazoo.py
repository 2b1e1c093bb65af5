"""The steps as a Python program does them that uses Kazoo, one request after the other; see contenders.py."""
import contextlib
import logging
import statistics
import threading
import time

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from contenders import FANOUT, SIZE, Failure

OPERATIONS, CHANGES = 500, 100
STRIDE = 7919  # tree.c's
DEADLINE = 2  # remote.c's

# What matters of it comes as an exception as well.
logging.getLogger("kazoo").addHandler(logging.NullHandler())


@contextlib.contextmanager
def connected(servers):
    client = KazooClient(hosts=servers, timeout=30)
    try:
        client.start()
    except KazooTimeoutError:
        raise Failure("cannot connect to '%s'" % servers) from None
    try:
        yield client
    finally:
        client.stop()
        client.close()


def timed(count, one):
    """Does one(0), one(1), …"""
    took, cpu = [], time.process_time()
    for number in range(count):
        begun = time.perf_counter()
        one(number)
        took.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(took), "cpu": (time.process_time() - cpu) / count,
            "p99": sorted(took)[count * 99 // 100]}


def contents(number):
    return b"%03d " % (number % 1000) * (SIZE // 4)


class Kazoo:
    def __init__(self, setting):
        self.setting = setting

    def measure(self, step):
        method = getattr(self, step.replace("+", "_").replace("-", "_"), None)
        if not method:
            return None
        with connected(self.setting.servers) as client:
            return method(client)

    def walk(self, client, look):
        """look() gives the Stat of a znode; the children of those that have some are asked for, too."""
        begun, cpu, nodes, todo = time.perf_counter(), time.process_time(), 0, [self.setting.znode + "/tree"]
        while todo and nodes < self.setting.patience:
            path = todo.pop()
            nodes += 1
            if look(path).numChildren:
                todo.extend(path + "/" + name for name in client.get_children(path))
        seconds = time.perf_counter() - begun
        if nodes != self.setting.patience:
            raise Failure("Kazoo saw %d znodes" % nodes)
        seconds *= self.setting.nodes / nodes
        return {"seconds": seconds, "warm": seconds, "cpu": (time.process_time() - cpu) / nodes}

    def find(self, client):
        return self.walk(client, client.exists)

    def cat(self, client):
        return self.walk(client, lambda path: client.get(path)[1])

    def pick(self, number):
        file = number * STRIDE % self.setting.files
        return "%s/tree/d%04d/f%02d" % (self.setting.znode, file // FANOUT, file % FANOUT)

    def new(self, number):
        return "%s/new/Kazoo/%06d" % (self.setting.znode, number)

    def stat(self, client):
        return timed(OPERATIONS, lambda number: client.exists(self.pick(number)))

    def open_read_close(self, client):
        return timed(OPERATIONS, lambda number: client.get(self.pick(number)))

    def overwrite(self, client):
        return timed(OPERATIONS, lambda number: client.set(self.setting.znode + "/file", contents(number)))

    def create(self, client):
        return timed(OPERATIONS, lambda number: client.create(self.new(number), contents(number)))

    def unlink(self, client):
        return timed(OPERATIONS, lambda number: client.delete(self.new(number)))

    def lock_directory_1(self, client):
        def take(_number):
            lock.acquire()
            lock.release()

        lock = client.Lock(self.setting.znode + "/locks/Kazoo")
        return timed(OPERATIONS, take)

    def watched(self, client, with_data):
        """From a change by one client until another's watch was called, or it has read the new data, too."""
        path, told, took = self.setting.znode + "/file", threading.Event(), []
        with connected(self.setting.servers) as other:
            other.get(path, watch=lambda event: told.set())
            for number in range(CHANGES):
                begun = time.perf_counter()
                changed = client.set_async(path, contents(number))
                if not told.wait(DEADLINE):
                    return {"seconds": None, "p99": None}
                told.clear()
                seen = time.perf_counter()
                other.get(path, watch=lambda event: told.set())
                took.append((time.perf_counter() if with_data else seen) - begun)
                changed.get()
        return {"seconds": statistics.median(took), "p99": sorted(took)[CHANGES * 99 // 100]}

    def visible(self, client):
        return self.watched(client, True)

    def modified(self, client):
        return self.watched(client, False)
