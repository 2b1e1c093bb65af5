"""What the daemon remembers of 100,000 empty files that somebody has walked over: at most 400 bytes of each, all included."""
import subprocess

from sample import create_many
from zktest import *

DIRECTORIES, FILES, MOST = 100, 1000, 400
COUNT = DIRECTORIES * FILES


def resident():
    """Bytes."""
    with open(f'/proc/{mnt.pid}/status', encoding='utf-8') as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith('VmRSS:'))


def is_sanitized():
    with open(f'/proc/{mnt.pid}/maps', encoding='utf-8') as file:
        maps = file.read()
    return 'libasan' in maps or 'libtsan' in maps


def walk():
    """Asks for the size of each."""
    found = subprocess.run(['find', mnt.path, '-type', 'f', '-size', '-1', '-printf', '.'], check=True,
                           stdout=subprocess.PIPE).stdout
    expect_eq(len(found), COUNT, 'files found')


def make_empty(zk, paths):
    """An empty file has been written once (DESIGN.md section 2)."""
    transaction = zk.transaction()
    for path in paths:
        transaction.create(path, b'')
        transaction.set_data(path, b'')
    return transaction.commit_async()


with mount() as mnt:
    has_sanitizer = is_sanitized()
if has_sanitizer:
    skip('a sanitizer takes memory of its own')
with client() as zk:
    create_many(zk, [(f'/{i:04}', b'') for i in range(DIRECTORIES)])
    results = [make_empty(zk, [f'/{i:04}/node{j:06}' for j in range(start, start + 250)])
               for i in range(DIRECTORIES) for start in range(0, FILES, 250)]
    for result in results:
        expect_eq([one for one in result.get() if isinstance(one, Exception)], [], 'failures')
with mount() as mnt:
    before = resident()
    sizes = []
    for _ in range(2):
        walk()
        sizes.append(round((resident() - before) / COUNT))
    print(f'bytes of each: {sizes}')
    if max(sizes) > MOST:
        fail(f'it remembers {sizes} bytes of each, more than {MOST}')
