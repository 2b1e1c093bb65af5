"""A working directory, or an open one, that others removed: as on a local filesystem it can be looked at, without links; nothing is
found or made in it, and nothing of a namesake shows."""
from zktest import *

with mount() as mnt, client() as zk:
    zk.create('/gone', b'')
    zk.create('/gone/file', b'data')
    mnt.settle()
    before = os.getcwd()
    os.chdir(f'{mnt.path}/gone')
    fd = os.open('.', os.O_RDONLY)
    expect_eq(os.listdir('.'), ['file'], 'listing')
    number = os.fstat(fd).st_ino
    zk.delete('/gone/file')
    zk.delete('/gone')
    mnt.settle()
    for again in (False, True):
        if again:
            zk.create('/gone', b'')
            zk.create('/gone/namesake', b'')
            mnt.settle()
        for what, attempt in (('stat', lambda: os.stat('file')),
                              ('open', lambda: os.open('file', os.O_RDONLY)),
                              ('create', lambda: os.open('new', os.O_CREAT | os.O_WRONLY)),
                              ('mkdir', lambda: os.mkdir('new'))):
            try:
                attempt()
                fail(f"{what} in a vanished directory succeeded ({'namesake' if again else 'nothing'} there)")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESTALE):
                    fail(f'{what} in a vanished directory: {error}')
        for what, stat in (('stat of itself', os.stat('.')), ('fstat', os.fstat(fd))):
            expect_eq((stat.st_ino, stat.st_nlink), (number, 0), f'{what} in a vanished directory')
    os.close(fd)
    os.chdir(before)
    expect_eq(zk.get_children('/gone'), ['namesake'], 'children of the namesake')
    expect_eq(os.listdir(f'{mnt.path}/gone'), ['namesake'], 'listing of the namesake')
