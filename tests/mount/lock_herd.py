"""However many wait for a lock, its release costs the server the same: it wakes one of them."""
import fcntl
import socket
import threading

from locking import *
from zktest import *

FEW, MANY = 20, 200


def packets():
    """Those that the server has received and sent so far."""
    host, port = servers().split(':')
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b'mntr')
        text = b''
        while piece := connection.recv(65536):
            text += piece
    words = dict(line.split('\t')[:2] for line in text.decode().splitlines() if '\t' in line)
    return int(words['zk_packets_received']), int(words['zk_packets_sent'])


def wait_in_line(path):
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)


def cost(path, locks, count):
    """Packets received and sent for each release, while all count of them wait and get it one by one."""
    with open(path, 'r+', encoding='utf-8') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        each = len(locks())
        threads = [threading.Thread(target=wait_in_line, args=(path,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        wait_until(100, lambda: len(locks()) == each * (count + 1), f'{count} to wait')
        mnt.settle()
        before = packets()
    for thread in threads:
        thread.join(100)
        expect_eq(thread.is_alive(), False, 'that it still waits')
    after = packets()
    wait_until(30, lambda: not locks(), 'no lock left')
    return [(now - ago) / count for now, ago in zip(after, before)]


def check(path, locks):
    few, many = (cost(path, locks, count) for count in (FEW, MANY))
    print(f'{os.path.basename(path)}: received and sent for each release with {FEW} waiting {few}, with {MANY} {many}')
    for number, what in enumerate(('received', 'sent')):
        if many[number] > 1.5 * few[number] + 1:
            fail(f'packets {what} for each release, with {FEW} and {MANY} waiting: {few[number]}, {many[number]}')


with Servers(), mount() as mnt, client() as zk:
    zk.create('/file', b'x')
    zk.create('/dir', b'x')
    zk.delete(zk.create('/dir/child'))      # it had one: it is a directory
    check(f'{mnt.path}/file', lambda: locks_of_files(zk))
    check(f'{mnt.path}/dir/.data', lambda: zk.get_children('/dir'))
