"""A new file that is not saved yet can be cut by its name, as any that is there (truncate(2), which opens nothing)."""
from zktest import *

with mount() as mnt, client() as zk:
    for size, expected in ((2, b'12'), (0, b''), (7, b'12345\0\0')):
        path = f'{mnt.path}/to{size}'
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, b'12345')
        os.truncate(path, size)
        expect_eq(os.stat(path).st_size, size, 'size')
        os.close(fd)
        expect_eq(zk.get(f'/to{size}')[0], expected, f'data of a new file that was cut to {size}')
