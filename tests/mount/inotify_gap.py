"""What others do while the mount has no connection is told once it has one again; what was told before, or done here, is not told
twice."""
import signal
import subprocess

from cable import Cable
from zktest import *

EVENTS = 'create,delete,modify,close_write'


def lines():
    return [line.rstrip('\n').replace(top, '') for line in open('events', encoding='utf-8')]


def expect_told(what, *expected):
    for _ in range(2):      # the first may be told among what happened in a gap; the second then comes after all that
        mark = f'mark{len(marks)}'
        marks.append(mark)
        zk.create(f'/{mark}')
        wait_until(20, lambda mark=mark: f'/ CREATE,ISDIR {mark}' in lines(), f'the mark after: {what}')
    got = lines()
    new = [line for line in got[len(seen):] if 'mark' not in line]
    seen[:] = got
    expect_eq(sorted(new), sorted(expected), what)


def written(name):
    return [f'/d/ MODIFY {name}', f'/d/ CLOSE_WRITE,CLOSE {name}']


marks, seen = [], []
with client() as zk:
    host, port = servers().split(',')[0].split(':')
    cable = Cable((host, int(port)))
    os.environ['ZK'], direct = cable.address, os.environ['ZK']
    with mount('mnt', '-o', 'timeout=20') as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        for name in ('stays', 'changes', 'dies', 'anew', 'local'):
            zk.create(f'/d/{name}', b'old', makepath=True)
        zk.create('/d/dir/sub', b'x', makepath=True)
        mnt.settle()
        with open('events', 'w', encoding='utf-8') as out, open('watch', 'w', encoding='utf-8') as errors:
            watch = subprocess.Popen(['inotifywait', '-m', '-r', '-e', EVENTS, top], stdout=out, stderr=errors)
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watches')
        os.listdir(f'{top}/d/dir')
        zk.create('/d/before', b'told before')
        with open(f'{top}/d/mine', 'w', encoding='utf-8') as file:
            file.write('made here')
        os.unlink(f'{top}/d/local')
        expect_told('before', '/d/ CREATE before', *written('before'), '/d/ CREATE mine', *written('mine'), '/d/ DELETE local')
        cable.cut()
        zk.set('/d/changes', b'new')
        zk.delete('/d/dies')
        zk.delete('/d/anew')
        zk.create('/d/anew', b'again')
        zk.create('/d/born', b'x')
        zk.create('/d/empty')
        zk.delete('/d/dir', recursive=True)
        cable.mend()
        expect_told('in the gap', *written('changes'), '/d/ DELETE dies', '/d/ DELETE anew', '/d/ CREATE anew', *written('anew'),
                    '/d/ CREATE born', *written('born'), '/d/ CREATE,ISDIR empty', '/d/dir/ DELETE sub', '/d/ DELETE,ISDIR dir')
        cable.cut()
        cable.mend()
        expect_told('in a gap where nothing happened')
        zk.set('/d/born', b'y')
        expect_told('afterwards', *written('born'))
        expect_eq(sorted(os.listdir(f'{top}/d')), ['anew', 'before', 'born', 'changes', 'empty', 'mine', 'stays'], 'the listing')
        watch.send_signal(signal.SIGTERM)
        watch.wait()
