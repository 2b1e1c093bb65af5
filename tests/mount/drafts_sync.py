"""fsync through any descriptor of a file saves what is unsaved in all of them (sync FILE opens its own); that of a directory,
what is unsaved below it."""
import subprocess

from zktest import *

with mount() as mnt, client() as zk:
    zk.create('/old', b'old')
    mnt.settle()
    descriptors = [os.open(f'{mnt.path}/{name}', os.O_CREAT | os.O_WRONLY, 0o644) for name in ('new', 'old')]
    for fd in descriptors:
        os.write(fd, b'text')
    subprocess.run(['sync', 'new', 'old'], cwd=mnt.path, check=True)
    for name in ('new', 'old'):
        expect_eq(zk.get(f'/{name}')[0], b'text', f'{name} after sync')
    for fd in descriptors:
        os.close(fd)
    for name in ('new', 'old'):
        expect_eq(zk.get(f'/{name}')[0], b'text', f'{name} after close')

    zk.create('/dir/sub', b'', makepath=True)
    zk.create('/dirt')
    mnt.settle()
    names = ('dir/a', 'dir/sub/b', 'dirt/c', 'd')
    descriptors = [os.open(f'{mnt.path}/{name}', os.O_CREAT | os.O_WRONLY, 0o644) for name in names]
    for fd in descriptors:
        os.write(fd, b'text')
    subprocess.run(['sync', f'{mnt.path}/dir'], check=True)
    expect_eq([zk.exists(f'/{name}') is not None for name in names], [True, True, False, False], 'saved by sync of a directory')
    subprocess.run(['sync', mnt.path], check=True)
    expect_eq([zk.get(f'/{name}')[0] for name in names], [b'text'] * 4, 'saved by sync of the root')
    for fd in descriptors:
        os.close(fd)
