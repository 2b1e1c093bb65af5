"""What others do shows as inotify events, as if it had been done here, each once; what is done here shows once, too."""
import signal
import subprocess

from zktest import *

EVENTS = 'create,delete,delete_self,modify,close_write,moved_from,moved_to'


class Watch:
    """inotifywait -m -r on the mount; lines "path EVENTS name"."""

    def __init__(self, top, *options):
        self.top = top
        self.log = open('events', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(['inotifywait', '-m', '-r', '-e', EVENTS, *options, top], stdout=self.log,
                                        stderr=open('watch', 'w', encoding='utf-8'))
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watches')
        self.seen = 0

    def lines(self):
        return open('events', encoding='utf-8').read().replace(self.top, '').splitlines()

    def expect(self, what, *expected):
        """Exactly these, since the last time, before that of a directory made as a mark. What "again" was, nobody can know who
        comes too late."""
        mark = f'mark{self.seen}'
        zk.create(f'/{mark}')
        wait_until(10, lambda: f'/ CREATE,ISDIR {mark}' in self.lines(), f'the mark after: {what}')
        got = self.lines()
        new = [line.replace(',ISDIR again', ' again') for line in got[self.seen:] if 'mark' not in line and '/again/' not in line and not line.endswith(' child')]
        expect_eq(new, list(expected), what)
        self.seen = len(got)

    def await_watch(self, path):
        """inotifywait adds one for a new directory in its own time, as on any filesystem."""
        inode = f'{os.stat(self.top + path).st_ino:x}'
        fdinfo = f'/proc/{self.process.pid}/fdinfo'
        wait_until(10, lambda: any(f'ino:{inode} ' in open(f'{fdinfo}/{fd}', encoding='utf-8').read() for fd in os.listdir(fdinfo)),
                   f'a watch on {path}')

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


WRITTEN = ('{} MODIFY {}', '{} CLOSE_WRITE,CLOSE {}')


def written(directory, name):
    return [line.format(directory, name) for line in WRITTEN]


def by_others():
    zk.create('/d/file', b'1')
    watch.expect('a birth', '/d/ CREATE file', *written('/d/', 'file'))
    zk.set('/d/file', b'2')
    watch.expect('a change', *written('/d/', 'file'))
    zk.delete('/d/file')
    watch.expect('a death', '/d/ DELETE file')
    zk.create('/d/dir')
    watch.expect('a directory', '/d/ CREATE,ISDIR dir')
    watch.await_watch('/d/dir')
    zk.create('/d/dir/sub')
    watch.expect('one in it', '/d/dir/ CREATE,ISDIR sub')
    watch.await_watch('/d/dir/sub')
    zk.delete('/d/dir', recursive=True)
    watch.expect('their end', '/d/dir/sub/ DELETE_SELF ', '/d/dir/ DELETE,ISDIR sub', '/d/dir/ DELETE_SELF ', '/d/ DELETE,ISDIR dir')
    for _ in range(3):      # nobody looks in between
        zk.create('/d/again', b'')
        zk.delete('/d/again')
    lines = [line for _ in range(3) for line in ('/d/ CREATE again', '/d/ DELETE again')]
    watch.expect('short lives', *lines)
    transaction = zk.transaction()
    transaction.create('/d/new', b'x')
    transaction.delete('/d/old')
    transaction.commit()
    watch.expect('moved by another', '/d/ CREATE new', *written('/d/', 'new'), '/d/ DELETE old')
    zk.set('/d', b'data')
    watch.expect('data of a directory', *written('/d/', '.data'))
    zk.create('/d/.data', b'x')
    watch.expect('a child of that name', '/d/ CREATE .data=', *written('/d/', '.data='))
    zk.delete('/d/.data')
    watch.expect('its end', '/d/ DELETE .data=')


def becomes_a_directory():
    zk.create('/d/kind', b'text')
    watch.expect('a file', '/d/ CREATE kind', *written('/d/', 'kind'))
    zk.create('/d/kind/child', b'')
    watch.expect('its first child', '/d/ DELETE kind', '/d/ CREATE,ISDIR kind')
    watch.await_watch('/d/kind')
    zk.create('/d/kind/second', b'')
    watch.expect('its second child', '/d/kind/ CREATE,ISDIR second')


def done_here():
    with open(f'{top}/d/here', 'w', encoding='utf-8') as file:
        file.write('text')
    watch.expect('a new file', '/d/ CREATE here', *written('/d/', 'here'))
    with open(f'{top}/d/here', 'a', encoding='utf-8') as file:
        file.write('more')
    watch.expect('appended to', *written('/d/', 'here'))
    os.rename(f'{top}/d/here', f'{top}/d/there')
    watch.expect('renamed', '/d/ MOVED_FROM here', '/d/ MOVED_TO there')
    os.unlink(f'{top}/d/there')
    watch.expect('unlinked', '/d/ DELETE there')
    os.mkdir(f'{top}/d/dir')
    watch.await_watch('/d/dir')
    os.rmdir(f'{top}/d/dir')
    watch.expect('a directory', '/d/ CREATE,ISDIR dir', '/d/dir/ DELETE_SELF ', '/d/ DELETE,ISDIR dir')


with mount() as mnt, client() as zk:
    top = mnt.path
    zk.create('/d/old', b'old', makepath=True)
    mnt.settle()
    watch = Watch(top)
    for case in (by_others, becomes_a_directory, done_here):
        print(case.__name__, flush=True)
        case()
    watch.end()
with mount('quiet', '-o', 'notify=invalidate') as mnt, client() as zk:
    top = mnt.path
    watch = Watch(top)
    zk.create('/d/unseen', b'x')
    mnt.settle()
    open(f'{top}/d/seen', 'w', encoding='utf-8').close()
    wait_until(10, lambda: '/d/ CREATE seen' in watch.lines(), 'what is done here')
    expect_eq([line for line in watch.lines() if 'unseen' in line], [], 'with notify=invalidate')
    watch.end()
