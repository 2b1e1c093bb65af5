"""Listings, which the kernel keeps, of directories that others change while many read them, in pieces: nobody misses a name that
is there all the time, gets one twice, misses one that is known to be there, or gets one that is known to be gone."""
import ctypes
import struct
import threading

from zktest import *

STEADY = 1000
ROUNDS = int(80 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))
READERS = 4

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
SYS_GETDENTS64 = 217 if os.uname().machine == 'x86_64' else 61


def read_names(fd, size):
    """What is left of an open directory."""
    names = []
    buffer = ctypes.create_string_buffer(size)
    while True:
        got = libc.syscall(SYS_GETDENTS64, fd, buffer, size)
        if got < 0:
            raise OSError(ctypes.get_errno(), 'getdents64')
        if got == 0:
            return names
        at = 0
        while at < got:
            length, = struct.unpack_from('H', buffer, at + 16)
            names.append(ctypes.string_at(ctypes.addressof(buffer) + at + 19).decode())
            at += length


class Reader(threading.Thread):
    def __init__(self, path, size, changes):
        super().__init__()
        self.path, self.size, self.changes, self.count, self.wrong = path, size, changes, 0, None

    def run(self):
        try:
            while not self.changes.is_over:
                self.look()
        except BaseException as error:
            self.wrong = self.wrong or repr(error)
            raise

    def look(self):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for again in (False, True):
                made, removed = self.changes.made, self.changes.removed
                if again:
                    os.lseek(fd, 0, os.SEEK_SET)
                elif self.count % 2:
                    continue        # opened a while before it is read
                self.check(read_names(fd, self.size), made, removed)
        finally:
            os.close(fd)
        self.count += 1

    def check(self, names, made, removed):
        """made, removed: how many were known before. More may have been since."""
        begun = self.changes.begun
        counts = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        twice = [name for name, count in counts.items() if count > 1]
        missed = [f'steady-{i}' for i in range(STEADY) if f'steady-{i}' not in counts]
        missed += [f'new-{i}' for i in range(begun, made) if f'new-{i}' not in counts]
        left = [f'new-{i}' for i in range(removed) if f'new-{i}' in counts]
        if twice or missed or left:
            self.wrong = f'twice {twice}, missed {missed}, left over {left}'
            fail(self.wrong)


class Changes:
    """new-I is there from before made > I until after begun > I, and not any more when removed > I."""
    made = begun = removed = 0
    is_over = False


with client() as zk, mount() as m, mount('other') as other:
    zk.create('/dir', b'')
    for i in range(0, STEADY, 500):
        for result in [zk.create_async(f'/dir/steady-{j}', b'') for j in range(i, i + 500)]:
            result.get()
    changes = Changes()
    readers = [Reader(f'{m.path}/dir', size, changes) for size in (32768, 32768, 2048, 700)[:READERS]]
    for reader in readers:
        reader.start()
    try:
        for i in range(ROUNDS):
            if i % 3 == 0:
                zk.create(f'/dir/new-{i}', b'')
            elif i % 3 == 1:
                os.mkdir(f'{other.path}/dir/new-{i}')
            else:
                os.mkdir(f'{m.path}/dir/new-{i}')
            m.settle()
            changes.made = i + 1
            if i >= 5:
                changes.begun = i - 4
                if i % 3 == 0:
                    zk.delete(f'/dir/new-{i - 5}')
                else:
                    os.rmdir(f'{(other if i % 3 == 1 else m).path}/dir/new-{i - 5}')
                m.settle()
                changes.removed = i - 4
            if any(reader.wrong for reader in readers):
                break
    finally:
        changes.is_over = True
        for reader in readers:
            reader.join()
    for reader in readers:
        if reader.wrong:
            fail(reader.wrong)
        if reader.count < 3:
            fail(f'only {reader.count} listings were read {reader.size} bytes at a time')
    expect_eq(sorted(os.listdir(f'{m.path}/dir')), sorted(zk.get_children('/dir')), 'the last listing')
    # Once more from what the kernel keeps.
    expect_eq(sorted(os.listdir(f'{m.path}/dir')), sorted(zk.get_children('/dir')), 'the last listing again')
