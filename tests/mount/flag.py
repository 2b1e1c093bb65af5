"""Write the data, then make a flag: whoever sees the flag, on another mount, reads that data. The flag is a file, a directory or a
link, and is looked for by stat, by open or in a listing."""
import multiprocessing

from zktest import *

ROUNDS = int(2000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))
# timeout: 600

MAKERS = (lambda path: open(path, 'x', encoding='ascii').close(), os.mkdir, lambda path: os.symlink('x', path),
          lambda path: open(path, 'w', encoding='ascii').close())


def can_open(path):
    try:
        os.close(os.open(path, os.O_PATH | os.O_NOFOLLOW))
        return True
    except FileNotFoundError:
        return False


def is_listed(path):
    return os.path.basename(path) in os.listdir(os.path.dirname(path))


LOOKS = (os.path.lexists, can_open, is_listed)


def write_all(top):
    for number in range(ROUNDS):
        with open(f'{top}/data', 'w', encoding='ascii') as file:
            file.write(f'{number}\n' * (1 + number % 7 * 200))
        MAKERS[number % len(MAKERS)](f'{top}/flag')
        while os.path.lexists(f'{top}/flag'):
            os.sched_yield()


def read_all(top, wrong):
    for number in range(ROUNDS):
        while not LOOKS[number % len(LOOKS)](f'{top}/flag'):
            os.sched_yield()
        with open(f'{top}/data', encoding='ascii') as file:
            data = file.read()
        if data != f'{number}\n' * (1 + number % 7 * 200):
            wrong.put(f'round {number}: read {data[:40]!r}, {len(data)} bytes')
        (os.rmdir if os.path.isdir(f'{top}/flag') else os.unlink)(f'{top}/flag')


with client() as zk, mount('one') as one, mount('two') as two:
    zk.create('/data', b'-1\n')
    two.settle()
    wrong = multiprocessing.Queue()
    parts = [multiprocessing.Process(target=write_all, args=(one.path,)),
             multiprocessing.Process(target=read_all, args=(two.path, wrong))]
    for part in parts:
        part.start()
    while any(part.is_alive() for part in parts):
        parts[0].join(0.2)
        if any(part.exitcode for part in parts):
            break
    if any(part.exitcode != 0 for part in parts) or not wrong.empty():
        for part in parts:
            part.kill()
            part.join()
        fail(f'{[part.exitcode for part in parts]}' if wrong.empty() else wrong.get())
