"""What is written through the mount is what Kazoo reads, byte for byte, and the reverse."""
from zktest import *

SIZES = [0, 1, 4095, 4096, 4097, 128 * 1024, 128 * 1024 + 1, 999_999, 1_000_000]


def content(size, seed):
    """All byte values, aperiodic in blocks and pages."""
    block = bytes((i * i * 7 + i // 256 + seed) % 256 for i in range(5003))
    return (block * (size // len(block) + 1))[:size]


with mount() as mnt, client() as zk:
    for size in SIZES:
        path = f'{mnt.path}/of-{size}'
        for seed in (1, 2):             # a new file, and one that exists
            data = content(size, seed)
            with open(path, 'wb') as file:
                file.write(data)
            if zk.get(f'/of-{size}')[0] != data:
                fail(f'Kazoo reads something else than the {size} bytes written')
            with open(path, 'rb') as file:
                if file.read() != data:
                    fail(f'the mount reads something else than the {size} bytes written')
        data = content(size, 3)
        zk.set(f'/of-{size}', data)
        mnt.settle()
        expect_eq(os.stat(path).st_size, size, 'size of what Kazoo has set')
        with open(path, 'rb') as file:
            if file.read() != data:
                fail(f'the mount reads something else than the {size} bytes that Kazoo has set')

    # Small and odd pieces, out of order, into an existing file.
    data = content(200_000, 4)
    fd = os.open(f'{mnt.path}/of-4096', os.O_WRONLY | os.O_TRUNC)
    for start in reversed(range(0, len(data), 7001)):
        os.pwrite(fd, data[start:start + 7001], start)
    os.close(fd)
    if zk.get('/of-4096')[0] != data:
        fail('pieces written backwards make something else')
