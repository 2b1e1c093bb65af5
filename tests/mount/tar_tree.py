"""A tree packed and unpacked by tar is equal: data of every znode, directories' own included."""
import subprocess

from sample import *
from zktest import *


def run(*command):
    if subprocess.run(command, check=False).returncode:
        fail(f'{command[0]} failed')


def listing(top):
    found = subprocess.run(['find', f'{mnt.path}{top}', '-mindepth', '1', '-printf', '%y %P %s\n'], check=True,
                           stdout=subprocess.PIPE).stdout
    return sorted(found.splitlines())


def compare(top, how):
    tree = snapshot(zk, top)
    for path in sorted(set(expected) | set(tree)):
        if expected.get(path) != tree.get(path):
            fail(f'{how}: {path!r} holds {str(tree.get(path))[:50]}, not {str(expected.get(path))[:50]}')
    expect_eq(listing(top), listing('/sample'), f'{how}: kinds and sizes')


with mount() as mnt, client() as zk:
    make_sample(zk, '/sample')
    mnt.settle()
    expected = snapshot(zk, '/sample')
    run('tar', '-C', f'{mnt.path}/sample', '-cf', f'{SCRATCH}/tar', '.')
    os.mkdir(f'{mnt.path}/untarred')
    run('tar', '-C', f'{mnt.path}/untarred', '-xf', f'{SCRATCH}/tar')
    compare('/untarred', 'tar')
