"""Twelve processes on three mounts read a counter, write it and let the next one do so, under flock of a file, flock of a directory
(its .data), and fcntl: no round is lost. (ZKFS_TEST_SCALE=5: 250 rounds each.)"""
# timeout: 600
from locking import *
from zktest import *

ROUNDS = max(5, int(50 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
VARIANTS = (
    # How, what is locked, whether that is the counter.
    ('flock', 'file', False),
    ('flock', 'dir/.data', False),
    ('lockf', 'file', False),
    ('flock', 'place', True),
    ('lockf', 'place', True),
)

with mount('one') as one, mount('two') as two, mount('three') as three, client() as zk:
    zk.create('/file', b'x')
    zk.create('/dir')
    zk.create('/dir/child')     # a directory, whatever is locked in it
    for number, (how, locked, in_place) in enumerate(VARIANTS):
        zk.create(f'/counter{number}', b'0')
        zk.ensure_path('/place')
        zk.set('/place', b'%08d' % 0)
        turns = Turns()
        for mnt in (one, two, three):
            for player in range(4):
                turns.zkfs(f'{mnt.path}/{locked}', *[] if in_place else [f'{mnt.path}/counter{number}'], rounds=ROUNDS, how=how,
                           in_place=in_place, reopens=player % 2 == 1)
        had = turns.go().end()['zkfs']
        what = f'{how} of {locked}'
        expect_eq(int(zk.get('/place' if in_place else f'/counter{number}')[0]), 12 * ROUNDS, f'{what}, the counter')
        expect_eq(len(had), 12 * ROUNDS, f'{what}, turns')
        expect_apart(had, had, what)
        print(f'{what}: {len(had)} turns in {(max(had)[1] - min(had)[0]) / 1e9:.1f} s')
    # A close that ends a lock is not waited for.
    wait_until(30, lambda: not locks_of_files(zk) and zk.get_children('/dir') == ['child'], 'no lock left')
