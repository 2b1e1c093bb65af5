"""Symbolic links through what programs do with them: every way to make, read, follow, replace, rename and copy one."""
import hashlib
import stat
import subprocess

from zktest import *

TARGETS = {
    'relative': b'dir/file',
    'absolute': b'/etc/passwd',
    'up': b'../mnt/dir/../dir/file',
    'dangling': b'nothing/here',
    'utf8': 'grüße/日本語/😀'.encode(),
    'not-utf8': b'\xff\xfe\n\x01 ',
    'one': b'x',
    'nearly-longest': b'y' * 1023,
    'longest': b'z' * 1024,
}


def form(target):
    """What fs/smb/client/link.c of Linux writes."""
    head = b'XSym\n%04d\n%s\n' % (len(target), hashlib.md5(target).hexdigest().encode())
    return (head + target + b'\n').ljust(1067, b' ')[:1067]


def run(*command, **options):
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, **options)
    if done.returncode:
        fail(f'{command} failed')
    return done.stdout


def links_in(top):
    """name: target of every link there, by way of getdents, lstat and readlink, which must agree."""
    top = os.fsencode(top)
    links = {}
    for entry in os.scandir(top):
        attributes = os.lstat(entry.path)
        is_link = stat.S_ISLNK(attributes.st_mode)
        expect_eq(entry.is_symlink(), is_link, f'd_type of {entry.name}')
        expect_eq(entry.inode(), attributes.st_ino, f'd_ino of {entry.name}')
        if is_link:
            expect_eq(attributes.st_mode, stat.S_IFLNK | 0o777, f'mode of {entry.name}')
            links[entry.name.decode()] = os.readlink(entry.path)
            expect_eq(attributes.st_size, len(links[entry.name.decode()]), f'st_size of {entry.name}')
    found = run('find', top, '-mindepth', '1', '-maxdepth', '1', '-type', 'l', '-printf', r'%f\0')
    expect_eq(set(found.decode().split('\0')[:-1]), set(links), 'find -type l')
    return links


def stored(top):
    """name: data of every znode in the form of a link."""
    data = {name: zk.get(f'{top}/{name}')[0] for name in zk.get_children(top)}
    return {name: bytes for name, bytes in data.items() if bytes and bytes.startswith(b'XSym\n')}


FORMS = {name: form(target) for name, target in TARGETS.items()}

with mount() as mnt, client() as zk:
    top = mnt.path
    zk.create('/dir', b'')
    zk.create('/dir/file', b'contents')
    for name, target in TARGETS.items():
        os.symlink(target, f'{top}/dir/{name}')
    expect_eq(stored('/dir'), FORMS, 'what symlink(2) stored')
    expect_eq({zk.exists(f'/dir/{name}').version for name in TARGETS}, {0}, 'changes after the creation')
    expect_eq(links_in(f'{top}/dir'), TARGETS, 'links just made')

    # What others have written is the same.
    zk.create('/foreign', b'')
    zk.create('/foreign/dir', b'')
    zk.create('/foreign/dir/file', b'followed')
    for name, data in FORMS.items():
        zk.create(f'/foreign/{name}', data)
    zk.create('/foreign/bare-padding', form(b'dir/file')[:51].ljust(1067, b'\0'))
    zk.create('/foreign/damaged', form(b'dir/file').replace(b'dir', b'bir'))
    zk.create('/foreign/longer', form(b'dir/file') + b' ')
    zk.create('/foreign/parent', form(b'dir/file'))
    zk.create('/foreign/parent/child', b'')
    zk.create('/foreign/ephemeral', form(b'dir/file'), ephemeral=True)
    mnt.settle()
    expect_eq(links_in(f'{top}/foreign'), dict(TARGETS, **{'bare-padding': b'dir/file'}), 'links made by others')
    for name in 'relative', 'bare-padding':
        with open(f'{top}/foreign/{name}', 'rb') as file:
            expect_eq(file.read(), b'followed', f'through {name}')
    expect_eq(os.path.getsize(f'{top}/foreign/damaged'), 1067, 'size of a damaged one')
    with open(f'{top}/foreign/parent/.data', 'rb') as file:
        expect_eq(file.read(), form(b'dir/file'), '.data in the form of a link')
    expect_eq(stat.S_IFMT(os.lstat(f'{top}/foreign/parent/.data').st_mode), stat.S_IFREG, 'type of that')

    # Following, and not.
    os.symlink('../foreign', f'{top}/dir/other')
    expect_eq(set(os.listdir(f'{top}/dir/other')), set(os.listdir(f'{top}/foreign')), 'through a directory')
    with open(f'{top}/dir/other/made', 'wb') as file:
        file.write(b'through a link')
    expect_eq(zk.get('/foreign/made')[0], b'through a link', 'a file made through a link')
    with expect_error(errno.ELOOP, 'O_NOFOLLOW'):
        os.open(f'{top}/dir/other', os.O_RDONLY | os.O_NOFOLLOW)
    with expect_error(errno.ENOENT, 'a dangling link'):
        os.stat(f'{top}/dir/dangling')
    os.symlink('loop', f'{top}/loop')
    with expect_error(errno.ELOOP, 'a loop'):
        os.stat(f'{top}/loop')
    with expect_error(errno.EINVAL, 'readlink of a file'):
        os.readlink(f'{top}/dir/file')
    with expect_error(errno.ENAMETOOLONG, 'a target that is too long'):
        os.symlink(b'x' * 1025, f'{top}/too-long')
    for name in 'file', 'relative', 'dangling', 'other':
        with expect_error(errno.EEXIST, f'symlink where {name} is'):
            os.symlink('x', f'{top}/dir/{name}')
    zk.create('/unseen', b'')
    with expect_error(errno.EEXIST, 'symlink where somebody just made something'):
        os.symlink('x', f'{top}/unseen')
    with expect_error(errno.EPERM, 'symlink called .data'):
        os.symlink('x', f'{top}/dir/.data')
    os.utime(f'{top}/dir/relative', (1, 1), follow_symlinks=False)
    os.chown(f'{top}/dir/relative', 1, 1, follow_symlinks=False)
    run('touch', '-h', f'{top}/dir/relative')
    expect_eq(os.readlink(f'{top}/dir/relative'), 'dir/file', 'target after touch -h')
    expect_eq(os.lstat(f'{top}/dir/relative').st_size, 8, 'st_size after touch -h')

    # Removing, renaming, replacing.
    os.unlink(f'{top}/dir/other')
    expect_eq(zk.exists('/dir/other'), None, 'an unlinked link')
    expect_eq(zk.exists('/foreign/made') is not None, True, 'what it led to')
    os.rename(f'{top}/dir/relative', f'{top}/dir/moved')
    expect_eq(zk.get('/dir/moved')[0], form(b'dir/file'), 'a renamed link')
    expect_eq(os.readlink(f'{top}/dir/moved'), 'dir/file', 'a renamed link')
    run('ln', '-sfn', 'other target', f'{top}/dir/moved')
    expect_eq(os.readlink(f'{top}/dir/moved'), 'other target', 'after ln -sf')
    os.symlink('over', f'{top}/dir/over')
    os.rename(f'{top}/dir/over', f'{top}/dir/file')
    expect_eq(os.readlink(f'{top}/dir/file'), 'over', 'a link renamed over a file')
    with open(f'{top}/dir/new', 'wb') as file:
        file.write(b'new')
    os.rename(f'{top}/dir/new', f'{top}/dir/file')
    expect_eq(stat.S_IFMT(os.lstat(f'{top}/dir/file').st_mode), stat.S_IFREG, 'a file renamed over a link')
    with open(f'{top}/dir/file', 'rb') as file:
        expect_eq(file.read(), b'new', 'a file renamed over a link')

    # A file that gets the form of a link is one, with another inode, and back.
    def look(name='changing'):
        mnt.settle()
        attributes = os.lstat(f'{top}/{name}')
        listed = next(entry for entry in os.scandir(top) if entry.name == name)
        expect_eq((listed.is_symlink(), listed.inode()), (stat.S_ISLNK(attributes.st_mode), attributes.st_ino),
                  f'{name} as listed')
        return stat.S_IFMT(attributes.st_mode), attributes.st_ino

    zk.create('/changing', b'data')
    type, as_file = look()
    expect_eq(type, stat.S_IFREG, 'type before')
    zk.set('/changing', form(b'dir/file'))
    type, as_link = look()
    expect_eq(type, stat.S_IFLNK, 'type in the form of a link')
    expect_eq(as_link != as_file, True, 'another inode number')
    expect_eq(open(f'{top}/changing', 'rb').read(), b'new', 'what it leads to')
    zk.set('/changing', form(b'foreign/dir/file'))
    expect_eq(look(), (stat.S_IFLNK, as_link), 'with another target')
    expect_eq(os.readlink(f'{top}/changing'), 'foreign/dir/file', 'the other target')
    expect_eq(os.lstat(f'{top}/changing').st_size, 16, 'its length')
    zk.set('/changing', b'data')
    expect_eq(look(), (stat.S_IFREG, as_file), 'a file again')
    with open(f'{top}/changing', 'wb') as file:
        file.write(form(b'written'))
    expect_eq(look()[0], stat.S_IFLNK, 'written through the mount')
    expect_eq(os.readlink(f'{top}/changing'), 'written', 'written through the mount')
    with open(f'{top}/born', 'wb') as file:
        file.write(form(b'born'))
    expect_eq((look('born')[0], os.readlink(f'{top}/born')), (stat.S_IFLNK, 'born'), 'born as a link')

    # Copies.
    require('rsync', 'git')
    # (Not of files in the form of a link that are none here, for the copy would be one.)
    zk.delete('/foreign/ephemeral')
    zk.delete('/foreign/parent', recursive=True)
    zk.create('/copies', b'')
    mnt.settle()
    copied = links_in(f'{top}/foreign')
    run('cp', '-a', f'{top}/foreign', f'{SCRATCH}/out')
    expect_eq(links_in(f'{SCRATCH}/out'), copied, 'cp -a to another filesystem')
    run('cp', '-a', f'{SCRATCH}/out', f'{top}/copies/cp')
    run('rsync', '-a', f'{SCRATCH}/out/', f'{top}/copies/rsync')
    run('tar', '-C', f'{SCRATCH}/out', '-cf', f'{SCRATCH}/tar', '.')
    os.mkdir(f'{top}/copies/tar')
    run('tar', '-C', f'{top}/copies/tar', '-xf', f'{SCRATCH}/tar')
    for how in 'cp', 'rsync', 'tar':
        expect_eq(links_in(f'{top}/copies/{how}'), copied, how)
        expect_eq({name: stored(f'/copies/{how}')[name] for name in copied},
                  {name: form(target) for name, target in copied.items()}, f'as {how} stored them')
    again = run('rsync', '-ai', f'{SCRATCH}/out/', f'{top}/copies/rsync').decode()
    expect_eq([line for line in again.splitlines() if line.startswith('cL')], [], 'links that a second rsync makes')
    run('mv', f'{top}/copies/cp', f'{SCRATCH}/moved')
    expect_eq(links_in(f'{SCRATCH}/moved'), copied, 'mv to another filesystem')

    git = 'git', '-C', f'{top}/git', '-c', 'user.name=x', '-c', 'user.email=x@example.org'
    run('git', 'init', '-q', f'{top}/git')
    os.symlink('nothing', f'{top}/git/link')
    run(*git, 'add', '-A')
    run(*git, 'commit', '-qm', 'link')
    expect_eq(run(*git, 'ls-files', '-s').decode().split()[0], '120000', 'mode that git sees')
    os.unlink(f'{top}/git/link')
    run(*git, 'checkout', '-q', '--', 'link')
    expect_eq(os.readlink(f'{top}/git/link'), 'nothing', 'after git checkout')
    expect_eq(run(*git, 'status', '--porcelain'), b'', 'git status')

    # Another mount, with nothing but files.
    with mount('plain', '-o', 'nosymlinks') as plain:
        expect_eq(links_in(f'{plain.path}/foreign'), {}, 'links with -o nosymlinks')
        for name, data in FORMS.items():
            path = f'{plain.path}/foreign/{name}'
            expect_eq(os.lstat(path).st_size, 1067, f'size of {name} with -o nosymlinks')
            with open(path, 'rb') as file:
                expect_eq(file.read(), data, f'contents of {name} with -o nosymlinks')
        with expect_error(errno.EPERM, 'symlink with -o nosymlinks'):
            os.symlink('x', f'{plain.path}/new')
        expect_eq(zk.exists('/new'), None, 'what was not made')
        run('cp', f'{plain.path}/foreign/relative', f'{plain.path}/copy')
    mnt.settle()
    expect_eq(os.readlink(f'{top}/copy'), 'dir/file', 'what was copied there')
