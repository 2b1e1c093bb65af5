"""The folders of the locks of files are containers, which the server removes when they are empty: they go, they come again, and nobody who is just
taking a lock is disturbed."""
import time

from locking import *
from zktest import *

SECONDS = 3 * float(os.environ.get('ZKFS_TEST_SCALE', 1))
FILES = 8


def containers():
    return zk.get_children('/.zkfs-locks') if zk.exists('/.zkfs-locks') else []


with Servers('--option', '-Dznode.container.checkIntervalMs=10', '--option', '-Dznode.container.maxPerMinute=100000') as own:
    with mount('one') as one, mount('two') as two, client() as zk:
        for number in range(FILES):
            zk.create(f'/file{number}', b'x')
        zk.create('/counter', b'0')
        with Agent() as a:
            a.expect(f'fd = os.open("{one.path}/file0", os.O_RDWR)')
            for _ in range(3):
                a.expect('flock(fd, LOCK_EX)')
                expect_eq(len(containers()) > 0, True, 'a folder of a lock')
                with try_lock(f'{two.path}/file0') as has_it:
                    expect_eq(has_it, False, 'that another has it')
                a.expect('flock(fd, LOCK_UN)')
                wait_until(30, lambda: not containers(), 'the folder to go')

        # Each takes locks all the time, and the folders come and go.
        turns = Turns()
        enough = os.path.abspath('enough')
        for mnt in (one, two):
            for number in range(FILES):
                turns.zkfs(f'{mnt.path}/file{number}', whose=str(number), rounds=5, until=enough)
        turns.go()
        gone, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            gone += len(containers()) < FILES
        with open(enough, 'w', encoding='utf-8'):
            pass
        log = turns.end()
        print(f'{sum(count_turns(log).values())} turns; {gone} times a folder was missing')
        for had in log.values():
            expect_apart(had, had, 'of one file')
        expect_eq(gone > 0, True, 'that a folder was missing meanwhile')
        wait_until(30, lambda: not containers(), 'the folders to go')
