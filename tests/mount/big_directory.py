"""20,000 children: each listed once, in creation order, with its type, at once and in pieces."""
import ctypes
import struct

from sample import create_many
from zktest import *

COUNT = 20000


def compare(listed, what):
    if listed != expected:
        fail(f'{what}: {len(listed)} names, {len(set(listed))} different, expected {len(expected)}')


def getdents(fd, size):
    """Names and types as the system call gives them, a piece at a time."""
    libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(size)
    while True:
        got = libc.syscall(ctypes.c_long(217), fd, buffer, ctypes.c_long(size))     # x86_64: getdents64
        if got <= 0:
            expect_eq(got, 0, 'getdents64')
            return
        at = 0
        while at < got:
            _, _, length, type = struct.unpack_from('=QqHB', buffer, at)
            name = buffer.raw[at + 19:at + length].split(b'\0')[0].decode()
            if name not in ('.', '..'):
                yield name, type
            at += length


with mount() as mnt, client() as zk:
    # In an order that no sorting of names would give; what one transaction makes is as old, so sorted.
    names = [f'{i * 7919 % COUNT:05}' for i in range(COUNT)]
    expected = [name for start in range(0, COUNT, 500) for name in sorted(names[start:start + 500])]
    zk.create('/big', b'')
    create_many(zk, ((f'/big/{name}', b'x' if int(name) % 2 else b'') for name in names), at_once=500)
    mnt.settle()

    compare(os.listdir(f'{mnt.path}/big'), 'listing')
    if os.uname().machine == 'x86_64':
        fd = os.open(f'{mnt.path}/big', os.O_RDONLY)
        listed = list(getdents(fd, 300))
        os.close(fd)
        compare([name for name, _ in listed], 'getdents64')
        expect_eq({type for name, type in listed if int(name) % 2}, {8}, 'd_type of files')
        expect_eq({type for name, type in listed if not int(name) % 2}, {4}, 'd_type of directories')

    os.unlink(f'{mnt.path}/big/00001')
    zk.create('/big/last', b'')
    mnt.settle()
    expected.remove('00001')
    expected.append('last')
    compare(os.listdir(f'{mnt.path}/big'), 'listing after changes')
    entries = list(os.scandir(f'{mnt.path}/big'))
    numbers = {entry.inode() for entry in entries} | {os.stat(mnt.path).st_ino}
    expect_eq(len(numbers), COUNT + 1, 'different inode numbers')
