"""A znode whose kind changes while mounted is another inode of another type at the next look."""
from sample import mode_type
from zktest import *


def look(name):
    mnt.settle()
    attributes = os.stat(f'{mnt.path}/{name}')
    listed = next(entry for entry in os.scandir(mnt.path) if entry.name == name)
    expect_eq(mode_type(attributes.st_mode), 'd' if listed.is_dir() else 'f', f'd_type of {name}')
    expect_eq(listed.inode(), attributes.st_ino, f'd_ino of {name}')
    return mode_type(attributes.st_mode), attributes.st_ino


with mount() as mnt, client() as zk:
    zk.create('/node', b'data')
    type, file_number = look('node')
    expect_eq(type, 'f', 'type with data')
    held = open(f'{mnt.path}/node', 'rb')

    zk.create('/node/child', b'')
    type, directory_number = look('node')
    expect_eq(type, 'd', 'type with a child')
    expect_eq(sorted(os.listdir(f'{mnt.path}/node')), ['.data', 'child'], 'listing')
    if directory_number == file_number:
        fail('the directory has the inode number of the file')
    expect_eq(held.read(), b'data', 'the file that was opened before')
    held.close()

    zk.delete('/node/child')
    expect_eq(look('node'), ('d', directory_number), 'without its child')
    zk.delete('/node')
    zk.create('/node', b'data')
    type, number = look('node')
    expect_eq(type, 'f', 'type when made anew')
    if number in (file_number, directory_number):
        fail('a node made anew has an old inode number')

    # An empty directory that gets data from somebody is a file (rule 3).
    os.mkdir(f'{mnt.path}/given')
    expect_eq(look('given')[0], 'd', 'type of a new directory')
    number = look('given')[1]
    zk.set('/given', b'data')
    expect_eq(look('given')[0], 'f', 'type when given data')
    if look('given')[1] == number:
        fail('the file has the inode number of the directory')
    zk.set('/given', b'')
    expect_eq(look('given')[0], 'f', 'type when emptied')
