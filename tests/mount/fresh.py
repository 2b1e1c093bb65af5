"""Three mounts, and somebody who changes files 500 times a second: who opens one and reads it sees nothing older than what was known
on that mount when it was opened, and sees it whole; stat trails by moments, and not at all once it is quiet."""
import multiprocessing
import random
import time

from zktest import *

SECONDS = 5 * float(os.environ.get('ZKFS_TEST_SCALE', 1))
# timeout: 600
FILES, RATE = 40, 500
BASE, STEPS = 200, 4000      # a file is BASE + (its number modulo STEPS) bytes long
MOUNTS, READERS = 3, 2


def contents(number):
    text = b'%d ' % number
    size = BASE + number % STEPS
    return text + b'x' * (size - len(text))


class Known:
    """What is seen by all processes: of each file, the newest number that a reader has seen, and when each was acknowledged."""

    def __init__(self):
        self.seen = [[multiprocessing.RawArray('q', FILES) for _ in range(READERS)] for _ in range(MOUNTS)]
        self.acknowledged = [multiprocessing.RawArray('d', STEPS) for _ in range(FILES)]
        self.sent = multiprocessing.RawArray('q', FILES)
        self.is_over = multiprocessing.RawValue('b', 0)

    def at(self, mount, number):
        return max(seen[number] for seen in self.seen[mount])


def write_all(known, zk):
    """Some in flight at a time; in the order of sending per file."""
    begun = time.monotonic()
    count, waiting = 0, []
    while time.monotonic() - begun < SECONDS:
        while count > (time.monotonic() - begun) * RATE or len(waiting) > 50:
            if waiting:
                file, number, result = waiting.pop(0)
                result.get()
                known.acknowledged[file][number % STEPS] = time.monotonic()
            else:
                time.sleep(0.001)       # the rate
        file = random.randrange(FILES)
        known.sent[file] += 1
        number = known.sent[file]
        known.acknowledged[file][(number + 1) % STEPS] = 0
        waiting.append((file, number, zk.set_async(f'/f{file}', contents(number))))
        count += 1
    for file, number, result in waiting:
        result.get()
        known.acknowledged[file][number % STEPS] = time.monotonic()
    return count


def read_all(known, mount, reader, top, results):
    reads, ages, wrong = 0, [], None
    while not known.is_over.value and not wrong:
        file = random.randrange(FILES)
        path = f'{top}/f{file}'
        before = known.at(mount, file)
        if random.random() < 0.5:
            with open(path, 'rb', buffering=0) as opened:
                data = opened.read()
            number = int(data.split()[0]) if data else -1
            if number < before:
                wrong = f'read {number} of f{file}, where {before} was known'
            elif data != contents(number):
                wrong = f'read {data[:20]!r}, {len(data)} bytes, of f{file}'
            known.seen[mount][reader][file] = max(number, known.seen[mount][reader][file])
            reads += 1
        else:
            now = time.monotonic()
            size = os.stat(path).st_size
            newest = known.sent[file]
            number = newest - (newest - (size - BASE)) % STEPS
            next_one = known.acknowledged[file][(number + 1) % STEPS] if number < newest else 0
            ages.append(max(0, now - next_one) if next_one else 0)
    results.put((wrong, reads, ages))


with client() as zk, mount('one') as one, mount('two') as two, mount('three') as three:
    known, results = Known(), multiprocessing.Queue()
    for number in range(FILES):
        known.sent[number] = random.randrange(STEPS)
        zk.create(f'/f{number}', contents(known.sent[number]))
    mounts = (one, two, three)
    for each in mounts:
        each.settle()
    readers = [multiprocessing.Process(target=read_all, args=(known, m, r, mounts[m].path, results))
               for m in range(MOUNTS) for r in range(READERS)]
    for process in readers:
        process.start()
    count = write_all(known, zk)
    time.sleep(1)       # the quiet after which nothing may be stale
    sizes = [[os.stat(f'{each.path}/f{number}').st_size for number in range(FILES)] for each in mounts]
    known.is_over.value = 1
    gathered = [results.get(timeout=60) for _ in readers]
    for process in readers:
        process.join()
    for wrong, _, _ in gathered:
        if wrong:
            fail(wrong)
    expect_eq(sizes, [[BASE + known.sent[number] % STEPS for number in range(FILES)]] * MOUNTS, 'sizes after a second of quiet')
    reads, ages = sum(g[1] for g in gathered), sorted(age for g in gathered for age in g[2])
    print(f'{count} changes, {reads} reads, {len(ages)} stats; stale by {ages[len(ages) // 2] * 1000:.2f} ms (median), '
          f'{ages[len(ages) * 99 // 100] * 1000:.2f} ms (99 %), {ages[-1] * 1000:.2f} ms (most)')
    if min(reads, len(ages)) < count / 10:
        fail('too few were read')
