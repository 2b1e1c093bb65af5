"""What others did is told right though much has been done since, here and elsewhere: at the same name, by whoever looks, to the
directory that it is in."""
from zktest import *
from watching import *


def removed_here_since():
    with hold:
        zk.create('/d/file', b'x')
        zk.create('/d/dir')
        mnt.settle()
        os.unlink(f'{top}/d/file')
        os.rmdir(f'{top}/d/dir')
    watch.expect(zk, 'what was removed here before its birth was told', 'DELETE /d/file', 'DELETE,ISDIR /d/dir')
    with hold:
        zk.create('/d/file', b'x')
        zk.delete('/d/file')
        zk.create('/d/file', b'x')
        mnt.settle()
        os.unlink(f'{top}/d/file')
    got = watch.take(zk, 'the second of that name')
    expect_eq((got[0], got[1:2], got[-1], len(got) < 7), ('DELETE /d/file', ['CREATE /d/file'], 'DELETE /d/file', True), f'{got}')


def moved_away_since():
    with hold:
        zk.create('/d/file', b'x')
        mnt.settle()
        os.rename(f'{top}/d/file', f'{top}/d/moved')
        zk.set('/d/moved', b'y')
    watch.expect(zk, 'what was moved here before its birth was told', 'MOVED_FROM /d/file', 'MOVED_TO /d/moved', *written('/d/moved'))
    with hold:
        zk.set('/d/moved', b'z')
        mnt.settle()
        os.rename(f'{top}/d/moved', f'{top}/d/again')
    watch.expect(zk, 'what changed before it was moved', 'MOVED_FROM /d/moved', 'MOVED_TO /d/again', *written('/d/again'))
    zk.delete('/d/again')
    watch.expect(zk, 'its end', 'DELETE /d/again')


def made_here_since():
    zk.create('/d/file', b'x')
    zk.create('/d/dir')
    watch.expect(zk, 'births', 'CREATE /d/file', *written('/d/file'), 'CREATE,ISDIR /d/dir')
    os.listdir(f'{top}/d/dir')
    with hold:
        zk.delete('/d/file')
        zk.delete('/d/dir')
        mnt.settle()
        with open(f'{top}/d/file', 'w', encoding='utf-8') as file:
            file.write('mine')
        os.mkdir(f'{top}/d/dir')
        inside = os.open(f'{top}/d/dir', os.O_RDONLY)
    watch.expect(zk, 'what was made here before the death was told', 'CREATE /d/file', *written('/d/file'), 'CREATE,ISDIR /d/dir',
                 'DELETE /d/file', 'DELETE,ISDIR /d/dir', 'CREATE /d/file', 'CREATE,ISDIR /d/dir')
    os.mkdir('sub', dir_fd=inside)
    expect_eq(os.listdir(f'{top}/d/dir'), ['sub'], 'in the new directory')
    os.close(inside)
    zk.delete('/d/file')
    zk.delete('/d/dir', recursive=True)
    watch.expect(zk, 'their ends', 'DELETE /d/file', 'DELETE,ISDIR /d/dir')


def there_again():
    """Whoever opens a new directory in the moment when it is told of as born holds it while its predecessor's death is told."""
    with hold:
        for result in [zk.create_async('/d/dir'), zk.set_async('/hold', b'next'), zk.delete_async('/d/dir'), zk.create_async('/d/dir')]:
            result.get()
        mnt.settle()
        hold.until_next()
        inside = os.open(f'{top}/d/dir', os.O_RDONLY)
    got = [event.replace(',ISDIR', '') for event in watch.take(zk, 'born again')]   # what the first was nobody can know
    expect_eq(got, ['CREATE /d/dir', 'DELETE /d/dir', 'CREATE /d/dir'], 'born again')
    os.mkdir(f'{top}/d/dir/sub')
    watch.add('/d/dir')
    zk.create('/d/dir/other')
    watch.expect(zk, 'in the directory that was born again', 'CREATE,ISDIR /d/dir/other')
    os.close(inside)
    zk.delete('/d/dir', recursive=True)
    expect_eq(sorted(watch.take(zk, 'its end')), ['DELETE,ISDIR /d/dir', 'DELETE,ISDIR /d/dir/other', 'DELETE,ISDIR /d/dir/sub',
                                                  'DELETE_SELF /d/dir'], 'its end')


def of_another_kind():
    zk.create('/d/node')
    watch.expect(zk, 'a directory', 'CREATE,ISDIR /d/node')
    os.stat(f'{top}/d/node')
    with hold:
        zk.set('/d/node', b'text')
        zk.set('/d/node', b'more text')
        mnt.settle()
        os.stat(f'{top}/d/node')
    watch.expect(zk, 'a directory that becomes a file', 'DELETE,ISDIR /d/node', 'CREATE /d/node', *written('/d/node'), *written('/d/node'))
    with hold:
        zk.create('/d/node/child')
        zk.create('/d/node/second')
        mnt.settle()
        os.stat(f'{top}/d/node')
    watch.expect(zk, 'and back', 'DELETE /d/node', 'CREATE,ISDIR /d/node')
    zk.delete('/d/node', recursive=True)
    watch.expect(zk, 'its end', 'DELETE,ISDIR /d/node')


def looked_up_while_it_dies():
    zk.create('/d/dir')
    watch.expect(zk, 'a directory', 'CREATE,ISDIR /d/dir')
    os.stat(f'{top}/d/dir')
    with hold:
        zk.delete('/d/dir')
        mnt.settle()
        expect_eq(os.path.exists(f'{top}/d/dir'), False, 'that it is there')
    watch.expect(zk, 'its end', 'DELETE,ISDIR /d/dir')


def changed_and_gone():
    zk.create('/d/file', b'x')
    watch.expect(zk, 'a birth', 'CREATE /d/file', *written('/d/file'))
    with hold:
        zk.set('/d/file', b'y')
        mnt.settle()
        zk.delete('/d/file')
        mnt.settle()
    watch.expect(zk, 'a change and the end', *written('/d/file'), 'DELETE /d/file')


def lookups():
    with open(f'{top}/.zkfs/metrics', encoding='utf-8') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('zkfs_fuse_requests_total{operation="lookup"}'))


def absent_when_told():
    """That the announcer did not find a name is not kept for others, as it would be had they asked."""
    zk.create('/d/file', b'x')
    watch.expect(zk, 'a birth', 'CREATE /d/file', *written('/d/file'))
    with hold:
        zk.set('/d/file', b'y')
        mnt.settle()
        os.unlink(f'{top}/d/file')
    watch.expect(zk, 'what changed before it was removed here', 'DELETE /d/file')
    directory = os.open(f'{top}/d', os.O_PATH)
    before = lookups()
    with expect_error(errno.ENOENT):
        os.stat('file', dir_fd=directory)
    expect_eq(lookups() > before, True, 'that the kernel asks')
    os.close(directory)


def in_a_moved_directory():
    zk.create('/d/dir/deep/file', b'x', makepath=True)
    watch.expect(zk, 'a directory', 'CREATE,ISDIR /d/dir')
    os.stat(f'{top}/d/dir/deep/file')
    watch.add('/d/dir')
    watch.add('/d/dir/deep')
    with hold:
        zk.create('/d/dir/x', b'1')
        zk.delete('/d/dir/deep/file')
        zk.create('/d/dir/deep/y')
        mnt.settle()
        os.rename(f'{top}/d/dir', f'{top}/d/elsewhere')
    watch.expect(zk, 'what others did in a directory before it was moved here', 'MOVED_FROM,ISDIR /d/dir', 'MOVED_TO,ISDIR /d/elsewhere',
                 'CREATE /d/dir/x', *written('/d/dir/x'), 'DELETE /d/dir/deep/file', 'CREATE,ISDIR /d/dir/deep/y')


with client() as zk:
    zk.create('/hold', b'x')
    with mount() as mnt:
        top = mnt.path
        zk.create('/d')
        mnt.settle()
        hold = Hold(zk, top, '/hold')
        with Watch(top, '/', '/d') as watch:
            for case in (removed_here_since, moved_away_since, made_here_since, there_again, of_another_kind, looked_up_while_it_dies,
                         changed_and_gone, absent_when_told, in_a_moved_directory):
                print(case.__name__, flush=True)
                case()
        hold.close()
