"""flock of a directory's .data, Kazoo's Lock and Curator's InterProcessMutex of that directory: those of zkfs, on three mounts, and
any one of the others never have it at once. (ZKFS_TEST_SCALE=5: 250 rounds each.)

Kazoo and Curator do not see each other, so there is a counter of zkfs and Kazoo, and one of zkfs and Curator."""
# timeout: 600
from locking import *
from zktest import *

ROUNDS = max(5, int(50 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))

with mount('one') as one, mount('two') as two, mount('three') as three, client() as zk:
    zk.create('/dir')
    zk.create('/dir/child')
    zk.create('/kazoo', b'0')
    zk.create('/curator', b'0')
    turns = Turns()
    for mnt in (one, two, three):
        for player in range(4):
            turns.zkfs(f'{mnt.path}/dir/.data', f'{mnt.path}/kazoo', f'{mnt.path}/curator', rounds=ROUNDS, reopens=player % 2 == 1)
    for _ in range(4):
        turns.kazoo('Lock', '/dir', '/kazoo', rounds=ROUNDS)
    turns.curator('mutex', '/dir', '/curator', rounds=ROUNDS)
    log = turns.go().end()
    print(count_turns(log))
    expect_eq(count_turns(log), {'zkfs': 12 * ROUNDS, 'Kazoo': 4 * ROUNDS, 'Curator': ROUNDS}, 'turns')
    for whose, turn in log.items():
        expect_apart(turn, turn, f'{whose} and {whose}')
        expect_apart(log['zkfs'], turn, f'zkfs and {whose}')
    expect_eq(int(zk.get('/kazoo')[0]), 16 * ROUNDS, 'the counter of zkfs and Kazoo')
    expect_eq(int(zk.get('/curator')[0]), 13 * ROUNDS, 'the counter of zkfs and Curator')
    wait_until(30, lambda: zk.get_children('/dir') == ['child'], 'no lock left')
