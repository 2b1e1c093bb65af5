"""Names that are not there, which the kernel remembers for seconds: whoever makes one, here or elsewhere, it is found."""
from zktest import *

ROUNDS = 100


def is_there(path):
    return os.path.lexists(path)


with client() as zk, mount() as m, mount('other') as other:
    zk.create('/dir', b'')
    zk.create('/dir/child', b'')
    zk.create('/bare', b'data')
    here, there = f'{m.path}/dir', f'{other.path}/dir'

    # Elsewhere. What the kernel remembers would hide it for 5 s.
    for i in range(ROUNDS):
        for name in (f'node-{i}', f'made-{i}', f'moved-{i}', f'link-{i}', f'twice-{i}'):
            expect_eq((is_there(f'{here}/{name}'), is_there(f'{here}/{name}')), (False, False), f'{name} before')
        zk.create(f'/dir/node-{i}', b'')
        os.mkdir(f'{there}/made-{i}')
        os.rename(f'{there}/made-{i}', f'{there}/moved-{i}')
        os.symlink('target', f'{there}/link-{i}')
        transaction = zk.transaction()
        transaction.create(f'/dir/twice-{i}', b'1')
        transaction.delete(f'/dir/twice-{i}')
        transaction.create(f'/dir/twice-{i}', b'2')
        transaction.commit()
        for name in (f'node-{i}', f'moved-{i}', f'link-{i}', f'twice-{i}'):
            wait_until(2, lambda name=name: is_there(f'{here}/{name}'), f'{name} is found')
        expect_eq(is_there(f'{here}/made-{i}'), False, 'the old name')

    # A file becomes a directory with data in it.
    with expect_error(errno.ENOTDIR, 'data of a file'):
        os.stat(f'{m.path}/bare/.data')
    zk.create('/bare/child', b'')
    wait_until(2, lambda: is_there(f'{m.path}/bare/.data'), 'the data is a file now')
    expect_eq(is_there(f'{here}/.data'), False, 'a directory without data')
    zk.set('/dir', b'some')
    wait_until(2, lambda: is_there(f'{here}/.data'), 'it has data now')

    # Here, at once.
    for i in range(ROUNDS):
        for what, make in (('file', lambda path: open(path, 'x').close()), ('directory', os.mkdir),
                           ('link', lambda path: os.symlink('target', path)),
                           ('unborn', lambda path: open(path, 'w').close()),
                           ('renamed', lambda path, i=i: os.rename(f'{here}/node-{i}', path))):
            path = f'{here}/here-{what}-{i}'
            expect_eq(is_there(path), False, f'{path} before')
            make(path)
            expect_eq(is_there(path), True, f'{path} after')
        os.rmdir(path)
        expect_eq(is_there(path), False, f'{path} removed')
        os.mkdir(path)
        expect_eq(is_there(path), True, f'{path} again')
