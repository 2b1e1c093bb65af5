"""Threads of one process lock and unlock the same and neighbouring ranges of a file, of which each is the process's own lock, and others those of
open file descriptions, which are not: nobody waits for ever, and who has a range for writing is alone."""
import fcntl
import struct
import sys
import threading

from zktest import *

ROUNDS = max(20, int(100 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
F_OFD_SETLKW = 38


def lock(fd, command, kind, start, length):
    fcntl.fcntl(fd, command, struct.pack('@hhqqi4x', kind, os.SEEK_SET, start, length, 0))


def of_process(number):
    """Reads; what one thread unlocks another has lost too, as it is one process."""
    fd = os.open(path, os.O_RDWR)
    for step in range(ROUNDS):
        start = 10 * (number % 3) + step % 7
        lock(fd, fcntl.F_SETLKW, fcntl.F_RDLCK, start, 10)
        lock(fd, fcntl.F_SETLKW, fcntl.F_UNLCK, start + step % 3, 5)
        lock(fd, fcntl.F_SETLKW, fcntl.F_UNLCK, 0, 0)
    done.append(fd)     # a close would end the others' locks


def of_open_file(number):
    """Writes."""
    fd = os.open(path, os.O_RDWR)
    for step in range(ROUNDS):
        start = 10 * (number % 3) + step % 5
        lock(fd, F_OFD_SETLKW, fcntl.F_WRLCK, start, 10)
        with alone:
            if any(start < end and begin < start + 10 for begin, end in writers.values()):
                wrong.append((number, start, dict(writers)))
            writers[number] = (start, start + 10)
        with alone:
            del writers[number]
        lock(fd, F_OFD_SETLKW, fcntl.F_UNLCK, 0, 0)
    done.append(fd)


done, wrong, writers, alone = [], [], {}, threading.Lock()
with mount() as mnt, client() as zk:
    zk.create('/file', b'x' * 100)
    path = f'{mnt.path}/file'
    threads = [threading.Thread(target=what, args=(number,), daemon=True) for what in (of_process, of_open_file) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        if thread.is_alive():
            print('FAILED: a thread waits for ever', file=sys.stderr, flush=True)
            os._exit(1)     # it cannot be ended otherwise
    expect_eq(len(done), len(threads), 'threads that have ended well')
    expect_eq(wrong, [], 'writers of the same bytes at once')
    for each in done:
        os.close(each)
