"""A working directory, or an open one, that others removed: errors, no hang, nothing of a namesake."""
from zktest import *

with mount() as mnt, client() as zk:
    zk.create('/gone', b'')
    zk.create('/gone/file', b'data')
    mnt.settle()
    before = os.getcwd()
    os.chdir(f'{mnt.path}/gone')
    fd = os.open('.', os.O_RDONLY)
    expect_eq(os.listdir('.'), ['file'], 'listing')
    zk.delete('/gone/file')
    zk.delete('/gone')
    mnt.settle()
    for again in (False, True):
        if again:
            zk.create('/gone', b'')
            zk.create('/gone/namesake', b'')
            mnt.settle()
        for what, attempt in (('stat', lambda: os.stat('file')),
                              ('stat of itself', lambda: os.stat('.')),
                              ('open', lambda: os.open('file', os.O_RDONLY)),
                              ('create', lambda: os.open('new', os.O_CREAT | os.O_WRONLY)),
                              ('mkdir', lambda: os.mkdir('new')),
                              ('fstat', lambda: os.fstat(fd))):
            try:
                attempt()
                fail(f"{what} in a vanished directory succeeded ({'namesake' if again else 'nothing'} there)")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ESTALE):
                    fail(f'{what} in a vanished directory: {error}')
    os.close(fd)
    os.chdir(before)
    expect_eq(zk.get_children('/gone'), ['namesake'], 'children of the namesake')
    expect_eq(os.listdir(f'{mnt.path}/gone'), ['namesake'], 'listing of the namesake')
