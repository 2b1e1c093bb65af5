"""Symbolic links: files of the form that CIFS and macOS write, for everybody else; -o nosymlinks shows them so."""
import hashlib
import stat
import subprocess

from zktest import *

require('rsync', 'tar')


def form(target):
    """As fs/smb/client/link.c of Linux writes it."""
    data = b'XSym\n%04u\n%s\n%s' % (len(target), hashlib.md5(target).hexdigest().encode(), target)
    return (data if len(target) == 1024 else data + b'\n').ljust(1067, b' ')


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def links(top):
    return {os.path.relpath(path, top): os.readlink(path)
            for path in run('find', top, '-type', 'l').splitlines()}


with mount() as mnt, client() as zk:
    top = f'{mnt.path}/d'
    os.mkdir(top)
    with open(f'{top}/file', 'w', encoding='utf-8') as file:
        file.write('contents')

    # Ours, as others see them.
    run('ln', '-s', 'file', f'{top}/ours')
    expect_eq(zk.get('/d/ours')[0], form(b'file'), 'what ln -s makes')
    expect_eq(zk.get('/d/ours')[1].version, 0, 'it was made in one step')
    attributes = os.lstat(f'{top}/ours')
    expect_eq((attributes.st_mode, attributes.st_size), (stat.S_IFLNK | 0o777, 4), 'lstat')
    expect_eq(run('cat', f'{top}/ours'), 'contents', 'what it leads to')
    with expect_error(errno.EEXIST, 'a link where something is'):
        os.symlink('elsewhere', f'{top}/ours')
    with expect_error(errno.EEXIST, 'a link where a file is'):
        os.symlink('elsewhere', f'{top}/file')
    with expect_error(errno.EPERM, 'a link called .data'):
        os.symlink('elsewhere', f'{top}/.data')
    for length in (1, 1023, 1024):
        target = 'é' * (length // 2) + 't' * (length % 2)
        os.symlink(target, f'{top}/long')
        expect_eq(zk.get('/d/long')[0], form(target.encode()), f'a target of {length} bytes')
        expect_eq(os.readlink(f'{top}/long'), target, f'readlink of {length} bytes')
        expect_eq(os.lstat(f'{top}/long').st_size, length, 'its size')
        os.unlink(f'{top}/long')
        expect_eq(zk.exists('/d/long'), None, 'an unlinked link')
    with expect_error(errno.ENAMETOOLONG, 'a target of 1025 bytes'):
        os.symlink('t' * 1025, f'{top}/long')
    run('ln', '-sfn', 'nowhere', f'{top}/ours')
    expect_eq(os.readlink(f'{top}/ours'), 'nowhere', 'after ln -sf')
    with expect_error(errno.ENOENT, 'a link to nowhere'):
        os.stat(f'{top}/ours')
    run('touch', '-h', f'{top}/ours')
    expect_eq(zk.get('/d/ours')[0], form(b'nowhere'), 'after touch -h')

    # Others', as we see them.
    zk.create('/d/theirs', form(b'file'))
    zk.create('/d/almost', form(b'file').replace(b'file', b'fill'))
    zk.create('/d/up', form(b'../d'))
    mnt.settle()
    expect_eq(run('cat', f'{top}/up/theirs'), 'contents', 'their links are followed')
    kinds = {entry.name: (entry.is_symlink(), entry.is_file(follow_symlinks=False))
             for entry in os.scandir(top)}
    expect_eq(kinds, {'file': (False, True), 'almost': (False, True), 'ours': (True, False),
                      'theirs': (True, False), 'up': (True, False)}, 'd_type of each')
    expected = {'ours': 'nowhere', 'theirs': 'file', 'up': '../d'}
    expect_eq(links(top), expected, 'find -type l')
    expect_eq(os.stat(f'{top}/almost').st_size, 1067, 'size of what only looks like one')

    # A link becomes a file and a link again.
    for round in range(3):
        zk.set('/d/theirs', b'plain')
        mnt.settle()
        expect_eq(stat.S_ISREG(os.lstat(f'{top}/theirs').st_mode), True, 'a link set to other data')
        expect_eq(run('cat', f'{top}/theirs'), 'plain', 'its contents')
        zk.set('/d/theirs', form(b'../d/file'))
        mnt.settle()
        expect_eq(os.readlink(f'{top}/theirs'), '../d/file', 'a file set to the form of a link')
        expect_eq(run('cat', f'{top}/theirs'), 'contents', 'what it leads to')
    expected['theirs'] = '../d/file'

    # Copies keep them, from here, back, and within.
    local = f'{SCRATCH}/local'
    os.mkdir(local)
    run('cp', '-a', top, f'{local}/cp')
    run('rsync', '-a', f'{top}/', f'{local}/rsync')
    run('tar', '-cf', f'{local}.tar', '-C', top, '.')
    os.mkdir(f'{mnt.path}/tar')
    run('tar', '-xf', f'{local}.tar', '-C', f'{mnt.path}/tar')
    run('cp', '-a', f'{local}/cp', f'{mnt.path}/cp')
    run('rsync', '-a', f'{local}/rsync/', f'{mnt.path}/rsync')
    for copy in (f'{local}/cp', f'{local}/rsync', f'{mnt.path}/tar', f'{mnt.path}/cp', f'{mnt.path}/rsync'):
        expect_eq(links(copy), expected, f'links in {copy}')
    expect_eq(zk.get('/tar/theirs')[0], form(b'../d/file'), 'a link from a tar')
    os.rename(f'{top}/up', f'{top}/renamed')
    expect_eq(os.readlink(f'{top}/renamed'), '../d', 'a renamed link')

    with mount('plain', '-o', 'nosymlinks') as plain:
        expect_eq(links(plain.path), {}, 'links with nosymlinks')
        with open(f'{plain.path}/d/theirs', 'rb') as file:
            expect_eq(file.read(), form(b'../d/file'), 'a link read as a file')
        with expect_error(errno.EPERM, 'symlink with nosymlinks'):
            os.symlink('file', f'{plain.path}/d/new')
        with open(f'{plain.path}/d/written', 'wb') as file:
            file.write(form(b'file'))
        expect_eq(os.path.islink(f'{plain.path}/d/written'), False, 'a link written with nosymlinks')
    mnt.settle()
    expect_eq(os.readlink(f'{top}/written'), 'file', 'the same with symlinks')
