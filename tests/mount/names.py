"""Every name that ZooKeeper allows is one here, unchanged but for those that the filesystem itself uses."""
import subprocess

from sample import *
from zktest import *

with mount() as mnt, client() as zk:
    for name in AWKWARD_NAMES:
        zk.create(f'/{name}', name.encode())
    mnt.settle()
    shown = {called or name: name for name, called in AWKWARD_NAMES.items()}
    expect_eq(sorted(os.listdir(mnt.path)), sorted(shown), 'listing')
    for called, name in shown.items():
        with open(f'{mnt.path}/{called}', 'rb') as file:
            expect_eq(file.read(), name.encode(), f'contents of {called!r}')
    cat = subprocess.run(['sh', '-c', 'cat -- *'], cwd=mnt.path, check=True, stdout=subprocess.PIPE)
    expect_eq(len(cat.stdout), sum(len(name.encode()) for name in AWKWARD_NAMES
                                   if name != '...' and not name.startswith('.')), 'cat of all')

    # Below the root .zkfs is nothing special, .data is. Written through the mount they are the same znodes.
    os.mkdir(f'{mnt.path}/dir')
    for called, name in shown.items():
        called = called.rstrip('=') if called.startswith('.zkfs') else called
        with open(f'{mnt.path}/dir/{called}', 'w') as file:
            file.write(called)
    expect_eq(sorted(zk.get_children('/dir')), sorted(set(AWKWARD_NAMES) - {'.zkfs='}), 'made here')
    for name in zk.get_children('/dir'):
        called = AWKWARD_NAMES[name] if name.startswith('.data') else None
        expect_eq(zk.get(f'/dir/{name}')[0].decode(), called or name, f'data of {name!r}')
    for name in os.listdir(f'{mnt.path}/dir'):
        os.unlink(f'{mnt.path}/dir/{name}')
    expect_eq(zk.get_children('/dir'), [], 'left after unlink')
