"""A file that is opened here to be made, and made by somebody else at the same time, is told of as born once, whoever looks at it."""
import threading

from zktest import *
from watching import *

ROUNDS = max(10, int(100 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))


def look():
    while not done.is_set():
        os.path.exists(f'{mnt.path}/file')


done = threading.Event()
with mount() as mnt, client() as zk:
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Watch(mnt.path, '/') as watch:
            for _ in range(ROUNDS):
                with open(f'{mnt.path}/file', 'w', encoding='utf-8') as file:
                    file.write('x')
                    result = zk.create_async('/file', b'theirs')
                result.wait()
                mnt.settle()
                os.unlink(f'{mnt.path}/file')
                got = [event.split()[0] for event in watch.take(zk, 'a file')]
                while got[-1] in ('MODIFY', 'CLOSE_WRITE') and 'DELETE' in got:
                    got.pop()       # the announcer had it open when it was removed, and goes on as any writer does
                expect_eq((got.count('CREATE'), got[0], got.count('DELETE'), got[-1]), (1, 'CREATE', 1, 'DELETE'), f'{got}')
    finally:
        done.set()
        for thread in threads:
            thread.join()
