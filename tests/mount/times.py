"""A file's mtime is its Stat's; a directory's moves when something changes in it, and not by being read."""
import time

from sample import create_many
from zktest import *


def times(name):
    attributes = os.stat(f'{mnt.path}/{name}')
    return attributes.st_mtime_ns, attributes.st_ctime_ns


with client() as zk:
    zk.create('/dir', b'')
    time.sleep(0.05)
    create_many(zk, [(f'/dir/{i}', b'x') for i in range(20)])
    zk.create('/file', b'x')
    time.sleep(0.05)
    zk.set('/file', b'y')
    with mount() as mnt:
        mtime = zk.exists('/file').mtime * 1_000_000
        expect_eq(times('file'), (mtime, mtime), "a file's times")

        before = times('dir')
        listed = [entry.stat().st_mtime_ns for entry in os.scandir(mnt.path) if entry.name == 'dir']
        expect_eq(listed, [before[0]], 'mtime as the listing of its parent has it')
        for entry in os.scandir(f'{mnt.path}/dir'):
            entry.stat()
            open(entry.path, 'rb').close()
        expect_eq(times('dir'), before, "a directory's times after it was read")
        zk.set('/dir/1', b'z')
        wait_until(5, lambda: open(f'{mnt.path}/dir/1').read() == 'z', 'the change')
        expect_eq(times('dir'), before, "a directory's times after a file in it was written")

        time.sleep(0.05)
        zk.create('/dir/new', b'x')
        wait_until(5, lambda: times('dir') > before, "a directory's times to move when a file is made in it")
        before = times('dir')
        time.sleep(0.05)
        os.unlink(f'{mnt.path}/dir/new')
        if not times('dir') > before:
            fail("a directory's times do not move when a file is removed from it")
