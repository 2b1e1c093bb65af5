"""-o ro: nothing can be changed, EROFS says so, and mount(8) shows it; what others do shows as inotify events all the same."""
import fcntl
import signal
import subprocess

from zktest import *


def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'done'


def changes(top):
    yield 'create', lambda: open(f'{top}/new', 'w', encoding='utf-8').close()
    yield 'exclusively', lambda: open(f'{top}/new', 'x', encoding='utf-8').close()
    yield 'open to write', lambda: open(f'{top}/file', 'a', encoding='utf-8').close()
    yield 'truncate', lambda: os.truncate(f'{top}/file', 0)
    yield 'unlink', lambda: os.unlink(f'{top}/file')
    yield 'mkdir', lambda: os.mkdir(f'{top}/new')
    yield 'rmdir', lambda: os.rmdir(f'{top}/dir')
    yield 'symlink', lambda: os.symlink('x', f'{top}/new')
    yield 'link', lambda: os.link(f'{top}/file', f'{top}/new')
    yield 'mknod', lambda: os.mknod(f'{top}/new')
    yield 'rename', lambda: os.rename(f'{top}/file', f'{top}/new')
    yield 'touch', lambda: os.utime(f'{top}/file')
    yield 'chmod', lambda: os.chmod(f'{top}/file', 0o600)


with client() as zk:
    zk.create('/file', b'data')
    zk.create('/dir')
    for how in ('inotify', 'invalidate'):
        with mount(how, '-o', f'ro,notify={how}') as mnt:
            top = mnt.path
            for what, act in changes(top):
                expect_eq(attempt(act), 'EROFS', f'{how}: {what}')
            with open(f'{top}/file', 'rb') as file, expect_error(errno.ENOLCK, f'{how}: flock'):
                fcntl.flock(file, fcntl.LOCK_SH)
            expect_eq(os.access(f'{top}/file', os.W_OK), False, f'{how}: access')
            expect_eq(open(f'{top}/file', encoding='utf-8').read(), 'data', f'{how}: reading')
            with open('/proc/self/mountinfo', encoding='utf-8') as mounts:
                options = next(line.split()[5] for line in mounts if line.split()[4] == top)
            expect_eq('ro' in options.split(','), True, f'{how}: mount says {options}')
            expect_eq((sorted(zk.get_children('/')), zk.get('/file')[0]), (['dir', 'file'], b'data'), f'{how}: the tree')
    with mount('watched', '-o', 'ro') as mnt:
        with open('events', 'w', encoding='utf-8') as out, open('watch', 'w', encoding='utf-8') as errors:
            watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create,close_write,delete', mnt.path], stdout=out, stderr=errors)
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watch')
        zk.create('/born', b'x')
        zk.set('/file', b'new')
        zk.delete('/born')
        expected = ['CREATE born', 'CLOSE_WRITE,CLOSE born', 'CLOSE_WRITE,CLOSE file', 'DELETE born']
        wait_until(10, lambda: 'DELETE born' in open('events', encoding='utf-8').read(), 'the events')
        got = [line.split(' ', 1)[1].rstrip('\n') for line in open('events', encoding='utf-8')]
        expect_eq([line for line in got if line != 'CLOSE_WRITE,CLOSE born'], [line for line in expected if line != 'CLOSE_WRITE,CLOSE born'],
                  'events on a read-only mount')
        watch.send_signal(signal.SIGTERM)
        watch.wait()
