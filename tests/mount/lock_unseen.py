"""What locks are made of is nobody's file: no listing shows where the locks of files lie, and no event tells of lock nodes, those in a
locked directory either; Kazoo's there are told of as any znodes."""
import fcntl
import subprocess

from zktest import *

with mount() as mnt, mount('other') as other, client() as zk:
    zk.create('/file', b'x')
    zk.create('/dir', b'x')
    zk.delete(zk.create('/dir/child'))      # it had one: it is a directory
    os.listdir(f'{mnt.path}/dir')
    with open('events', 'w', encoding='utf-8') as out, open('watch', 'w', encoding='utf-8') as errors:
        watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create,delete', '--format', '%e %f', mnt.path, f'{mnt.path}/dir'],
                                 stdout=out, stderr=errors)
    wait_until(30, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watch')
    for top in (mnt.path, other.path):
        for name in ('file', 'dir/.data'):
            with open(f'{top}/{name}', 'rb') as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                fcntl.flock(file, fcntl.LOCK_UN)
    with zk.Lock('/dir'):
        kazoo, = zk.get_children('/dir')
    zk.create('/last')
    wait_until(30, lambda: 'last' in open('events', encoding='utf-8').read(), 'the last event')
    expect_eq(sorted(set(open('events', encoding='utf-8').read().splitlines())),
              sorted(['CREATE,ISDIR last', f'CREATE {kazoo}', f'DELETE {kazoo}']), 'the events')
    expect_eq(zk.exists('/.zkfs-locks') is not None, True, 'that the locks lie there')
    expect_eq(sorted(os.listdir(mnt.path)), ['dir', 'file', 'last'], 'what is listed')
    watch.terminate()
    watch.wait()
