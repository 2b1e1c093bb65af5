"""An open file stays readable after its znode is gone, whoever removed it."""
from zktest import *

SIZE = 300_000

with mount() as mnt, client() as zk:
    top = mnt.path
    data = os.urandom(SIZE)
    for who, remove in (('here', lambda name: os.unlink(f'{top}/{name}')),
                        ('by Kazoo', lambda name: zk.delete(f'/{name}'))):
        zk.create('/file', data)
        mnt.settle()
        fd = os.open(f'{top}/file', os.O_RDONLY)
        expect_eq(os.read(fd, 1000), data[:1000], 'the beginning')
        remove('file')
        mnt.settle()
        with expect_error(errno.ENOENT, f'stat of a file removed {who}'):
            os.stat(f'{top}/file')
        got = b''
        while piece := os.read(fd, 65536):
            got += piece
        expect_eq(len(got), SIZE - 1000, f'the rest of a file removed {who}')
        if got != data[1000:]:
            fail(f'the rest of a file removed {who} is something else')
        expect_eq(os.fstat(fd).st_size, SIZE, f'st_size of a file removed {who}')
        expect_eq(os.fstat(fd).st_nlink, 0, f'st_nlink of a file removed {who}')
        zk.create('/file', b'namesake')
        mnt.settle()
        expect_eq(os.pread(fd, 10, 0), data[:10], f'a file removed {who}, with a namesake')
        os.close(fd)
        expect_eq(open(f'{top}/file').read(), 'namesake', 'the namesake')
        zk.delete('/file')

    # A temporary file: written after its unlink, kept to itself.
    with open(f'{top}/temporary', 'w+') as file:
        os.unlink(f'{top}/temporary')
        file.write('scratch')
        file.flush()
        file.seek(0)
        expect_eq(file.read(), 'scratch', 'what an unlinked file was written')
        os.fsync(file.fileno())
    expect_eq(zk.get_children('/'), [], 'what is there')
