"""What is stored through a shared map is the file's: at msync, when the map is gone, and for a program that maps the file too;
also when the descriptor was closed before anything was stored. A map that is only read saves nothing."""
import mmap
import subprocess
import sys

from zktest import *

SIZE = 5 * mmap.PAGESIZE + 100
OTHER = '''
import mmap, sys
with open(sys.argv[1], 'r+b') as file, mmap.mmap(file.fileno(), 0) as pages:
    pages[20480:20485] = b'other'
    pages.flush()
'''


def data():
    return zk.get('/mapped')[0]


def map_file(flags=os.O_RDWR):
    fd = os.open(f'{mnt.path}/mapped', flags)
    pages = mmap.mmap(fd, 0, mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return fd, pages


with mount() as mnt, client() as zk:
    zk.create('/mapped', b'.' * SIZE)
    mnt.settle()
    expected = bytearray(b'.' * SIZE)

    fd, pages = map_file()
    pages[3:6] = expected[3:6] = b'one'
    pages.flush()
    os.fsync(fd)
    expect_eq(data() == expected, True, 'after msync and fsync')
    expect_eq(pages[:10], b'...one....', 'as mapped')
    pages[10:13] = expected[10:13] = b'two'
    pages.close()
    os.close(fd)
    wait_until(5, lambda: data() == expected, 'after munmap and close')

    # As linkers and databases do.
    fd, pages = map_file()
    os.close(fd)
    pages[5000:5005] = expected[5000:5005] = b'three'
    # Unsaved bytes are other programs' when they are saved, those of a map like those of write().
    wait_until(5, lambda: open(f'{mnt.path}/mapped', 'rb').read() == expected, 'read on the mount while mapped')
    pages.close()
    wait_until(5, lambda: data() == expected, 'closed before anything was stored')
    version = zk.get('/mapped')[1].version

    fd, pages = map_file()
    expect_eq(pages[:] == bytes(expected), True, 'as mapped')
    pages.close()
    os.close(fd)
    mnt.settle()
    expect_eq(zk.get('/mapped')[1].version, version, 'version after a map that was only read')

    fd, pages = map_file()
    pages[0:5] = expected[0:5] = b'first'
    subprocess.run([sys.executable, '-c', OTHER, f'{mnt.path}/mapped'], check=True)
    expected[20480:20485] = b'other'
    expect_eq(pages[20480:20485], b'other', "another program's store, as mapped")
    pages.close()
    os.close(fd)
    wait_until(5, lambda: data() == expected, 'after two programs')

    # Its last page is longer than the file.
    expect_eq(len(data()), SIZE, 'size')
    fd = os.open(f'{mnt.path}/new', os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 10)
    with mmap.mmap(fd, 10) as pages:
        pages[5:10] = b'grown'
    os.close(fd)
    wait_until(5, lambda: zk.exists('/new') and zk.get('/new')[0] == bytes(5) + b'grown', 'a new file, filled by a map')
