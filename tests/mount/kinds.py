"""What is a file and what a directory, as stat, readdir, find and cat see it (DESIGN.md section 2)."""
import subprocess

from sample import *
from zktest import *

with mount() as mnt, client() as zk:
    make_kinds(zk)
    mnt.settle()
    listed = {entry.name: 'd' if entry.is_dir(follow_symlinks=False) else
                          'f' if entry.is_file(follow_symlinks=False) else '?'
              for entry in os.scandir(mnt.path)}
    expect_eq(listed, {name: type for name, (_, type, _) in KINDS.items()}, 'd_type of each')
    found = subprocess.run(['find', mnt.path, '-mindepth', '1', '-maxdepth', '1', '-printf', '%y %f\n'],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
    expect_eq(sorted(found.splitlines()), sorted(f'{type} {name}' for name, (_, type, _) in KINDS.items()),
              'find')

    for name, (how, type, data) in KINDS.items():
        path = f'{mnt.path}/{name}'
        attributes = os.stat(path)
        expect_eq(mode_type(attributes.st_mode), type, f'type of {name} ({how})')
        expect_eq(attributes.st_nlink, 1, f'st_nlink of {name}')
        if type == 'd':
            expect_eq('.data' in os.listdir(path), data != b'', f'.data listed in {name}')
            expect_eq(os.path.exists(f'{path}/.data'), data != b'', f'.data found in {name}')
            if not data:
                continue
            path += '/.data'
        with open(path, 'rb') as file:
            expect_eq(file.read(), data, f'contents of {name}')
        expect_eq(os.stat(path).st_size, len(data), f'size of {name}')
        expect_eq(subprocess.run(['cat', path], check=True, stdout=subprocess.PIPE).stdout, data,
                  f'cat {name}')
