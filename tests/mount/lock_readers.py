"""Shared and exclusive locks of a directory, by flock of its .data on two mounts, by Kazoo and by Curator: readers have it at once,
a writer alone, whoever they are, and writers get it however many readers come and go. (ZKFS_TEST_SCALE=5: more turns.)

Kazoo and Curator do not see each other; and Kazoo's plain Lock does not see its own readers, so its writer is a WriteLock."""
# timeout: 600
from locking import *
from zktest import *

ROUNDS = max(3, int(10 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
LOCK = 'flock(fd, LOCK_EX | LOCK_NB)'
SHARED = 'flock(fd, LOCK_SH | LOCK_NB)'


def make(name):
    with open(name, 'w', encoding='utf-8'):
        pass


def all_at_once():
    """Eight readers have it, and nobody else until the last one has let go; who comes after a writer waits for it."""
    turns = Turns()
    enough = os.path.abspath('enough')
    for mnt in mounts:
        for _ in range(2):
            turns.zkfs(f'{mnt.path}/dir/.data', rounds=1, shared=True, hold=enough)
    for _ in range(2):
        turns.kazoo('ReadLock', '/dir', rounds=1, hold=enough)
    turns.curator('read', '/dir', threads=2, rounds=1, hold=enough)
    turns.go()
    wait_until(90, lambda: turns.begun() == 8, 'eight readers to have it at once')
    with Agent() as writer, Agent() as late:
        for agent in (writer, late):
            agent(f'fd = os.open("{mounts[0].path}/dir/.data", os.O_RDWR | os.O_CREAT)')
        writer.expect(LOCK, 'EAGAIN', 'while there are readers')
        late.expect(SHARED, what='as they do')
        late.expect('flock(fd, LOCK_UN)')
        before = len(zk.get_children('/dir'))
        writer.begin('flock(fd, LOCK_EX)')
        wait_until(60, lambda: len(zk.get_children('/dir')) > before, 'the writer to be in the queue')
        late.expect(SHARED, 'EAGAIN', 'behind a writer that waits')
        make(enough)
        turns.end()
        expect_eq(writer.answer(), 'None', 'the writer')
        late.expect(SHARED, 'EAGAIN', 'while a writer has it')
        writer.expect('flock(fd, LOCK_UN)')
        late.expect(SHARED, what='when it has not')


def come_and_go():
    turns = Turns()
    until = os.path.abspath('stop')
    for mnt in mounts:
        for player in range(2):
            turns.zkfs(f'{mnt.path}/dir/.data', whose='zkfs reads', rounds=3, shared=True, hold=0.01, until=until, reopens=player == 1)
        turns.zkfs(f'{mnt.path}/dir/.data', f'{mnt.path}/kazoo', f'{mnt.path}/curator', whose='zkfs writes', rounds=ROUNDS)
    for _ in range(2):
        turns.kazoo('ReadLock', '/dir', whose='Kazoo reads', rounds=1, hold=0.01, until=until)
    turns.kazoo('WriteLock', '/dir', '/kazoo', whose='Kazoo writes', rounds=ROUNDS)
    turns.curator('read', '/dir', whose='Curator reads', threads=2, rounds=1, hold=0.01, until=until)
    turns.curator('write', '/dir', '/curator', whose='Curator writes', rounds=ROUNDS)
    turns.go()
    wanted = {'zkfs writes': 2 * ROUNDS, 'Kazoo writes': ROUNDS, 'Curator writes': ROUNDS}
    wait_until(200, lambda: wanted.items() <= count_turns(turns.log()).items(), 'all turns of the writers, while readers go on')
    make(until)
    log = turns.end()
    print(count_turns(log))
    for whose in ('zkfs', 'Kazoo', 'Curator'):
        writes, reads = log[f'{whose} writes'], log[f'{whose} reads']
        for one, other in ((writes, writes), (writes, reads), (writes, log['zkfs writes']), (writes, log['zkfs reads']),
                           (reads, log['zkfs writes'])):
            expect_apart(one, other, f'{whose} and zkfs')
    expect_eq(most_at_once(log['zkfs reads']) > 1, True, 'readers at once')
    expect_eq(int(zk.get('/kazoo')[0]), 3 * ROUNDS, 'the counter of zkfs and Kazoo')
    expect_eq(int(zk.get('/curator')[0]), 3 * ROUNDS, 'the counter of zkfs and Curator')


with mount('one') as one, mount('two') as two, client() as zk:
    mounts = (one, two)
    zk.create('/dir')
    zk.create('/dir/child')
    zk.create('/kazoo', b'0')
    zk.create('/curator', b'0')
    all_at_once()
    come_and_go()
    wait_until(30, lambda: zk.get_children('/dir') == ['child'], 'no lock left')
