"""A small cache: a tree much larger than it can be read, again and again, in bounded memory."""
from sample import create_many
from zktest import *

COUNT, SIZE = 5000, 2048


def resident():
    """KiB."""
    with open(f'/proc/{mnt.pid}/status', encoding='utf-8') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS:'))


def is_sanitized():
    with open(f'/proc/{mnt.pid}/maps', encoding='utf-8') as file:
        maps = file.read()
    return 'libasan' in maps or 'libtsan' in maps


def read_all():
    for directory, _, files in os.walk(mnt.path):
        for name in files:
            with open(f'{directory}/{name}', 'rb') as file:
                if file.read() != contents(name):
                    fail(f'{directory}/{name} holds something else')
            seen.append(name)


def contents(name):
    return (name.encode() * SIZE)[:SIZE]


with client() as zk:
    create_many(zk, [(f'/{i:02}', b'') for i in range(50)])
    create_many(zk, [(f'/{i % 50:02}/{i:04}', contents(f'{i:04}')) for i in range(COUNT)], at_once=200)
with mount('mnt', '-o', 'cache_size=1M') as mnt:
    sizes = []
    for _ in range(3):
        seen = []
        read_all()
        expect_eq(len(set(seen)), COUNT, 'files read')
        sizes.append(resident())
    print(f'resident: {sizes} KiB')
    if not is_sanitized() and sizes[-1] > 20 * 1024:
        fail(f'it uses {sizes} KiB')
    if not is_sanitized() and sizes[2] > sizes[0] * 1.3 + 1024:
        fail(f'it grows: {sizes} KiB')
