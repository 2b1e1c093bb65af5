"""ZKFS_O_SEQUENTIAL (O_DIRECT): ZooKeeper appends a number; only the real name exists, and inotify tells of it as of anybody's."""
import shutil
import signal
import subprocess

from zktest import *

SEQUENTIAL = os.O_DIRECT
MAKE = os.O_CREAT | os.O_WRONLY | SEQUENTIAL
EVENTS = 'create,delete,modify,close_write,moved_from,moved_to'


def real_name(fd, directory):
    """By its inode number, which the entry has, too."""
    number = os.fstat(fd).st_ino
    names = [entry.name for entry in os.scandir(directory) if entry.inode() == number]
    expect_eq(len(names), 1, 'entries with the inode of the open file')
    expect_eq(os.stat(f'{directory}/{names[0]}').st_ino, number, 'inode of the real name')
    return names[0]


def expect_absent(path):
    for call in (os.stat, os.lstat, os.unlink, lambda path: os.open(path, os.O_RDWR)):
        with expect_error(errno.ENOENT, f'{call.__name__} of the requested name'):
            call(path)


def one(flags, ephemeral, data):
    requested = f'{top}/q/item-'
    fd = os.open(requested, flags, 0o644)
    expect_absent(requested)
    expect_eq(os.readlink(f'/proc/self/fd/{fd}'), f'{requested} (deleted)', 'what the kernel calls the open file')
    name = real_name(fd, f'{top}/q')
    expect_eq((name[:5], len(name), name[5:].isdigit()), ('item-', 15, True), f'the name {name}')
    expect_eq(os.getxattr(fd, 'user.zk.path'), f'/q/{name}'.encode(), 'the path that the open file tells')
    stat = zk.exists(f'/q/{name}')
    expect_eq((stat.ephemeralOwner != 0, stat.dataLength), (ephemeral, 0), 'it is there when open returns')
    if not ephemeral:
        expect_eq(stat.version, 1, 'version, which tells that it is a file')
    if data:
        os.write(fd, data)
        expect_eq(zk.get(f'/q/{name}')[0], b'', 'data before the close')
    copy = os.dup(fd)
    os.close(fd)    # the first close
    expect_eq(zk.get(f'/q/{name}')[0], data, 'data after the first close')
    os.pwrite(copy, b'X', 0)
    os.close(copy)
    expect_eq(zk.get(f'/q/{name}')[0], b'X' + data[1:], 'data after the last close')
    expect_absent(requested)
    return name


def watch_events():
    log = open('events', 'w+', encoding='utf-8')
    watch = subprocess.Popen(['inotifywait', '-m', '-e', EVENTS, '--format', '%e %f', f'{top}/w'], stdout=log,
                             stderr=open('watch', 'w', encoding='utf-8'))
    wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watch')
    return watch


def lines():
    return open('events', encoding='utf-8').read().splitlines()


def watched():
    os.mkdir(f'{top}/w')
    watch = watch_events()
    made = []
    for i in range(20):
        flags = MAKE | (os.O_ASYNC if i % 2 else 0) | (os.O_EXCL if i % 3 else 0)
        fd = os.open(f'{top}/w/item-', flags, 0o644)
        if i % 4 == 0:
            made.append(real_name(fd, f'{top}/w'))    # somebody has looked before it is announced
        os.write(fd, b'data')
        os.close(fd)
    zk.create('/w/item-', b'kazoo', sequence=True)      # its birth is held back while ours are under way, and not lost
    zk.create('/w/end')
    wait_until(20, lambda: 'CREATE,ISDIR end' in lines(), 'the mark')
    names = sorted(zk.get_children('/w'))[1:]
    expect_eq(len(names), 21, 'items')
    got = lines()
    for name in names:
        births = [line for line in got if line.startswith('CREATE') and line.split()[1] == name]
        expect_eq(births, [f'CREATE {name}'], f'births of {name} that were told')
        expect_eq(f'CLOSE_WRITE,CLOSE {name}' in got, True, f'that {name} was written is told')
    requested = [line.split()[0] for line in got if line.endswith(' item-')]
    expect_eq(set(requested), {'CREATE', 'MODIFY', 'CLOSE_WRITE,CLOSE', 'DELETE'}, 'events of the requested name')
    expect_eq((requested.count('CREATE'), requested.count('DELETE')), (20, 20), 'its births, and that they were none')
    watch.send_signal(signal.SIGTERM)
    watch.wait()


with mount() as mnt, mount('other') as other, client() as zk:
    top = mnt.path
    os.mkdir(f'{top}/q')
    os.listdir(f'{top}/q')
    names = [one(flags | excl, flags & os.O_ASYNC != 0, data)
             for flags in (MAKE, MAKE | os.O_ASYNC)
             for excl in (0, os.O_EXCL, os.O_TRUNC)
             for data in (b'', b'contents')
             if data or not excl]
    expect_eq(names, sorted(names), 'the numbers grow')
    expect_eq(sorted(zk.get_children('/q')), names, 'nothing else was made')
    expect_eq(sorted(os.listdir(f'{other.path}/q')), names, 'what another mount sees')

    # dd, whose first close is that of a copy.
    subprocess.run(['dd', 'oflag=direct', f'of={top}/q/item-', 'status=none'], input=b'from dd', check=True)
    newest = sorted(zk.get_children('/q'))[-1]
    expect_eq(zk.get(f'/q/{newest}')[0], b'from dd', 'what dd wrote')

    # What is there cannot be meant, and .data has one name.
    os.close(os.open(f'{top}/q/.data', MAKE, 0o644))
    expect_eq(len(zk.get_children('/q')), len(names) + 1, 'children after opening .data')
    with expect_error(errno.ENAMETOOLONG):
        os.open(f'{top}/q/' + 'x' * 1015, MAKE, 0o644)
    os.close(os.open(f'{top}/q/' + 'x' * 1014, MAKE, 0o644))
    expect_eq(max(map(len, os.listdir(f'{top}/q'))), 1024, 'the longest name')
    with expect_error(errno.ENOENT):
        os.open(f'{top}/nowhere/item-', MAKE, 0o644)
    if shutil.which('inotifywait'):
        watched()
