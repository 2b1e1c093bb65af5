"""What the tests of locks have in common: processes that take turns at a lock and log when they had it, and processes that do
one call after the other as they are told."""
import contextlib
import fcntl
import json
import subprocess
import sys

from zktest import *

__all__ = ['Agent', 'Turns', 'count_turns', 'expect_apart', 'locks_of_files', 'most_at_once', 'try_lock']

SCALE = float(os.environ.get('ZKFS_TEST_SCALE', 1))
JARS = ':'.join(f'/usr/share/java/{name}.jar' for name in (
    'curator-recipes', 'curator-framework', 'curator-client', 'guava', 'slf4j-api', 'slf4j-nop', 'zookeeper', 'zookeeper-jute'))
COMPILER = '/usr/share/java/ecj.jar'

# Takes a lock of a mount round after round, and adds one to each counter, a file, meanwhile. What fails is tried again: only who
# has lost the lock, or finds a counter written by somebody else, gives up.
WITH_ZKFS = r'''
import errno, fcntl, json, os, sys, time
task = json.loads(sys.argv[1])

def again(what, *args):
    while True:
        try:
            return what(*args)
        except OSError as error:
            if not task['patient'] or error.errno == errno.ENOLCK:
                raise
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.05)

def read(path):
    with open(path) as file:
        return int(file.read())

def write(path, value):
    with open(path, 'w') as file:
        file.write(str(value))

def write_if(path, old):
    if read(path) == old:
        write(path, old + 1)

def add_one(path):
    old = again(read, path)
    again(write_if, path, old)
    if again(read, path) != old + 1:
        sys.exit(f'{path} was changed by somebody else')

def add_in_place(fd):
    """As a program does that has the file open anyhow, and saves it by no other means than that it unlocks."""
    old = int(os.pread(fd, 8, 0))
    os.pwrite(fd, b'%08d' % (old + 1), 0)

def keep():
    if isinstance(task['hold'], str):
        while not os.path.exists(task['hold']):
            time.sleep(0.01)
    else:
        time.sleep(task['hold'])

def is_over(done):
    return done >= task['rounds'] and (not task['until'] or os.path.exists(task['until']))

take = fcntl.flock if task['how'] == 'flock' else fcntl.lockf
mode = fcntl.LOCK_SH if task['shared'] else fcntl.LOCK_EX
flags = os.O_RDWR | os.O_CREAT
fd = os.open(task['lock'], flags)
print('ready', flush=True)
sys.stdin.readline()
done = 0
while not is_over(done):
    if fd is None:
        fd = again(os.open, task['lock'], flags)
    again(take, fd, mode)
    begin = time.monotonic_ns()
    print('has it', flush=True)
    for counter in task['counters']:
        add_one(counter)
    if task['in_place']:
        add_in_place(fd)
    keep()
    if task['patient']:
        os.pread(fd, 1, 0)      # EIO, had it been lost
    print(begin, time.monotonic_ns(), flush=True)
    if task['reopens']:
        os.close(fd)
        fd = None
    else:
        again(take, fd, fcntl.LOCK_UN)
    done += 1
'''

# Kazoo 2.8's ReadLock waits for writers that are behind it in the queue, and they for it (its issue 649): hence the limit of time.
WITH_KAZOO = r'''
import json, logging, os, sys, time
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout
logging.getLogger('kazoo').setLevel(logging.CRITICAL)
task = json.loads(sys.argv[1])

def add_one(path):
    zk.set(path, b'%d' % (int(zk.get(path)[0]) + 1))

def keep():
    if isinstance(task['hold'], str):
        while not os.path.exists(task['hold']):
            time.sleep(0.01)
    else:
        time.sleep(task['hold'])

def is_over(done):
    return done >= task['rounds'] and (not task['until'] or os.path.exists(task['until']))

zk = KazooClient(task['servers'], timeout=30)
zk.start(timeout=60)
lock = getattr(zk, task['kind'])(task['lock'])
print('ready', flush=True)
sys.stdin.readline()
done = 0
while not is_over(done):
    try:
        if not lock.acquire(timeout=0.5 if task['kind'] == 'ReadLock' else None):
            continue
    except LockTimeout:
        continue
    begin = time.monotonic_ns()
    print('has it', flush=True)
    for counter in task['counters']:
        add_one(counter)
    keep()
    print(begin, time.monotonic_ns(), flush=True)
    lock.release()
    done += 1
zk.stop()
zk.close()
'''


def curator():
    """The folder of the compiled Curator.java; all tests of a run share it."""
    base = os.path.dirname(SCRATCH)
    classes = os.path.join(base, 'curator')
    with open(classes + '.lock', 'w', encoding='utf-8') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not os.path.exists(classes):
            made = os.path.join(SCRATCH, 'classes')
            subprocess.run(['java', '-cp', COMPILER, 'org.eclipse.jdt.internal.compiler.batch.Main', '-source', '11', '-target', '11',
                            '-cp', JARS, '-d', made, os.path.join(TOP, 'tests/mount/Curator.java')], check=True)
            os.rename(made, classes)
    return classes


class Turns:
    """Processes that are started, then begin together by go(), and have ended after end(). Counters of zkfs are files, those of Kazoo
    and Curator znodes."""

    def __init__(self):
        self.players = []       # (whose, process, name of its log)

    def start(self, whose, command):
        name = os.path.join(SCRATCH, f'turns-{len(self.players)}-{id(self)}')
        with open(name, 'w', encoding='utf-8') as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log)
        self.players.append((whose, process, name))

    def zkfs(self, lock, *counters, rounds=0, whose='zkfs', how='flock', shared=False, hold=0, until=None, **more):
        """hold: seconds, or a file that it waits for while it has the lock; until: one that must be there before it ends. reopens:
        it unlocks by closing; in_place: the locked file is a counter of eight digits; patient: what fails is tried again."""
        task = {'lock': lock, 'counters': counters, 'rounds': rounds, 'how': how, 'shared': shared, 'hold': hold, 'until': until,
                'reopens': False, 'in_place': False, 'patient': False, **more}
        self.start(whose, [sys.executable, '-ISc', WITH_ZKFS, json.dumps(task)])

    def kazoo(self, kind, lock, *counters, rounds=0, whose='Kazoo', hold=0, until=None):
        task = {'servers': servers(), 'kind': kind, 'lock': ROOT + lock, 'counters': [ROOT + counter for counter in counters],
                'rounds': rounds, 'hold': hold, 'until': until}
        self.start(whose, [sys.executable, '-c', WITH_KAZOO, json.dumps(task)])

    def curator(self, kind, lock, counter=None, rounds=0, whose='Curator', threads=1, hold=0, until=None):
        self.start(whose, ['java', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData', '-cp', f'{curator()}:{JARS}',
                           'Curator', servers(), ROOT + lock, kind, str(threads), str(rounds),
                           ROOT + counter if counter else '-', str(hold), until or '-'])

    def go(self):
        for whose, process, name in self.players:
            wait_until(90, lambda: process.poll() is not None or os.path.getsize(name) > 5, f'{whose} to be ready')
            expect_eq(process.poll(), None, f'exit status of {whose} before it began')
        for _, process, _ in self.players:
            process.stdin.write(b'\n')
            process.stdin.close()
        return self

    def lines(self):
        for whose, _, name in self.players:
            with open(name, encoding='utf-8') as log:
                yield from ((whose, line) for line in log if line.endswith('\n'))

    def log(self):
        """{whose: [(begin, end)]} so far."""
        found = {whose: [] for whose, *_ in self.players}
        for whose, line in self.lines():
            if line[0].isdigit():
                found[whose].append(tuple(map(int, line.split())))
        return found

    def begun(self):
        """How often somebody had it so far, or has it."""
        return [line for _, line in self.lines()].count('has it\n')

    def end(self, seconds=200):
        try:
            for whose, process, _ in self.players:
                expect_eq(process.wait(seconds), 0, f'exit status of {whose}')
        except subprocess.TimeoutExpired:
            fail(f'{whose}: not within {seconds} s; turns so far: {count_turns(self.log())}')
        return self.log()


def count_turns(log):
    return {whose: len(turns) for whose, turns in log.items()}


def expect_apart(turns, others, what):
    """None of turns overlaps one of others; the same list: none overlaps another."""
    latest = [(0, 0), (0, 0)]       # of those begun so far, of either side, the one that ends last
    for turn, side in sorted([(turn, 0) for turn in turns] + [(turn, 1) for turn in others if others is not turns]):
        other = latest[side if others is turns else 1 - side]
        if other[1] > turn[0]:
            fail(f'{what}: {turn} and {other} overlap')
        latest[side] = max(latest[side], turn, key=lambda turn: turn[1])


def most_at_once(turns):
    now = most = 0
    for _, step in sorted([(begin, 1) for begin, _ in turns] + [(end, -1) for _, end in turns]):
        now += step
        most = max(most, now)
    return most


# --- One call after the other -----------------------------------------------------------------

AGENT = r'''
import errno, fcntl, os, signal, struct, subprocess, sys
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock, lockf
OFD_GETLK, OFD_SETLK, OFD_SETLKW = 36, 37, 38
KINDS = {fcntl.F_RDLCK: 'read', fcntl.F_WRLCK: 'write', fcntl.F_UNLCK: 'none'}

def interrupted(*_):
    raise InterruptedError(errno.EINTR, 'interrupted')

def record(command, fd, kind, start, length):
    """What fcntl makes of a struct flock: (kind, start, length, pid)."""
    reply = fcntl.fcntl(fd, command, struct.pack('@hhqqi4x', kind, os.SEEK_SET, start, length, 0))
    kind, _, start, length, pid = struct.unpack('@hhqqi4x', reply)
    return KINDS[kind], start, length, pid

def get(fd, kind, start, length):
    return record(fcntl.F_GETLK, fd, kind, start, length)

signal.signal(signal.SIGUSR1, interrupted)
while line := sys.stdin.readline():
    try:
        try:
            code = compile(line, 'agent', 'eval')
        except SyntaxError:
            exec(line)
            result = None
        else:
            result = eval(code)
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(result, flush=True)
'''


class Agent:
    """A process: agent('flock(fd, LOCK_EX | LOCK_NB)') gives what that gave, in words, or the name of its error, or 'None'.
    begin() does not wait for that, and answer() does. SIGUSR1 interrupts (EINTR)."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, '-ISc', AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def begin(self, code):
        self.process.stdin.write(code + '\n')
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().rstrip('\n')

    def __call__(self, code):
        self.begin(code)
        return self.answer()

    def expect(self, code, expected='None', what=''):
        expect_eq(self(code), expected, f'{code} {what}')

    def end(self, number=None):
        """By a signal, or the end of its input."""
        if number:
            self.process.send_signal(number)
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.end(*[9] * (kind is not None))


@contextlib.contextmanager
def try_lock(path, operation=fcntl.LOCK_EX, how=fcntl.flock):
    """Whether somebody who does not wait has it, until the end of the block."""
    fd = os.open(path, os.O_RDWR)
    try:
        how(fd, operation | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


# --- What Kazoo sees ----------------------------------------------------------------------------

def locks_of_files(zk, top='/.zkfs-locks'):
    """Paths of the ephemerals there."""
    try:
        names = zk.get_children(top)
    except NoNodeError:
        return []
    found = []
    for name in names:
        stat = zk.exists(f'{top}/{name}')
        if stat and stat.ephemeralOwner:
            found.append(f'{top}/{name}')
        elif stat:
            found += locks_of_files(zk, f'{top}/{name}')
    return found
