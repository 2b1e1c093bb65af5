"""Whoever watches sees a file's contents whole, once per save, whatever program saves it: no part of them, and a new file never
empty first, unless its program takes the name with O_EXCL before it writes (cp, git, and whatever makes a temporary file)."""
# timeout: 600
import collections
import hashlib
import random
import subprocess
import threading

from kazoo.exceptions import NoNodeError
from kazoo.protocol.serialization import int_struct, write_string

from zktest import *

require('vim', 'rsync', 'git')

# Files; each is saved some dozen times.
COUNT = max(5, int(100 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
LARGEST = 900_000
GIT = ('git', '-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'core.checkStat=minimal', '-c', 'gc.auto=0')


def contents_of(number, letter):
    """Of 1 byte to 900 KB, small ones more often; as large and as random whichever letter they begin with."""
    size = int(LARGEST ** (number / (COUNT - 1)))
    body = hashlib.shake_256(b'%d' % number).hexdigest(size // 2 + 1).encode()
    lines = b'\n'.join(body[start:start + 79] for start in range(0, size, 80))
    return letter + lines[:size - 2] + b'\n' if size > 1 else letter


class AddWatch(collections.namedtuple('AddWatch', 'path')):
    """The request for a recursive watch that stays, which Debian's Kazoo (2.8) does not know yet."""
    type = 106

    def serialize(self):
        return write_string(self.path) + int_struct.pack(1)

    @classmethod
    def deserialize(cls, *_):
        return None


class Watchers(collections.defaultdict):
    """Stands in for Kazoo's own: each event is the watcher's, and none is its last."""

    def __init__(self, watcher):
        super().__init__(set)
        self.watcher = watcher

    def pop(self, *_):
        return [self.watcher]


class Watcher:
    """Sees every event below a directory and reads the file each time."""

    def __init__(self, zk, top):
        self.zk = zk
        self.top = top
        self.lock = threading.Lock()
        self.unread = 0
        self.reset()
        zk._data_watchers = Watchers(self.seen)     # pylint: disable=protected-access
        result = zk.handler.async_result()
        zk._call(AddWatch(ROOT + top), result)      # pylint: disable=protected-access
        result.get()

    def reset(self):
        self.events = collections.defaultdict(list)     # name: types
        self.read = collections.defaultdict(list)       # name: (digest, size) of what was there, without repetitions

    def seen(self, event):
        name = event.path[len(self.top) + 1:]
        with self.lock:
            self.events[name].append(event.type)
            if event.type not in ('CREATED', 'CHANGED'):
                return
            self.unread += 1
        self.zk.get_async(event.path).rawlink(lambda result: self.check(name, result))

    def check(self, name, result):
        try:
            data = result.get()[0]
            found = (hashlib.sha256(data).hexdigest(), len(data))
        except NoNodeError:
            found = None
        with self.lock:
            self.unread -= 1
            if found and found not in self.read[name]:
                self.read[name].append(found)

    def catch_up(self):
        """An event of our own comes after all that was done until now."""
        self.zk.create(f'{self.top}/.last', b'')
        self.zk.delete(f'{self.top}/.last')
        wait_until(20, lambda: 'DELETED' in self.events['.last'] and not self.unread, 'the watcher')
        del self.events['.last']
        self.read.pop('.last', None)


def whole(data):
    return hashlib.sha256(data).hexdigest(), len(data)


def transactions():
    """How many the server has made."""
    answer = zk.command(b'srvr')
    return int(answer.partition('Zxid: 0x')[2].split()[0], 16)


def expect_saves(how, old, new, save, *, events=('CHANGED',), each=1, exclusive=False):
    """The files named in new (name: contents) are saved by save(). events: what each of them sees. each: transactions that one
    of them takes, at most. exclusive: they are made with O_EXCL, hence empty for a moment."""
    watcher.catch_up()
    watcher.reset()
    begun = transactions()
    save()
    took = transactions() - begun
    watcher.catch_up()
    known = {whole(data) for data in [*old.values(), *new.values()]}
    empty = whole(b'')
    for name, data in new.items():
        if zk.get(f'/w/{name}')[0] != data:
            wrong.append(f'{how}: {name} does not hold what was saved')
        if tuple(watcher.events[name]) != events:
            wrong.append(f'{how}: {name}, {len(data)} bytes: {watcher.events[name]}, expected {events}')
        allowed = {whole(old[name])} if name in old else set()
        if exclusive:
            allowed.add(empty)
        for found in watcher.read[name]:
            if found not in allowed | {whole(data)}:
                wrong.append(f'{how}: {name}, {len(data)} bytes, was seen with {found[1]} bytes')
        if whole(data) not in watcher.read[name]:
            wrong.append(f'{how}: {name} was never seen as saved')
    for name in watcher.read.keys() - new.keys():       # temporary and backup files
        for found in watcher.read[name]:
            if found not in known | {empty}:
                wrong.append(f'{how}: {name} was seen with {found[1]} bytes')
        changes = watcher.events[name].count('CHANGED')
        if changes > 2 * watcher.events[name].count('CREATED'):     # the one that makes its version, and its contents
            wrong.append(f'{how}: {name} changed {changes} times')
    if took > each * len(new):
        wrong.append(f'{how}: {took} transactions for {len(new)} files, {each} each would do')
    print(f'{how}: {len(new)} files, {took} transactions', flush=True)


def run(*command, **options):
    subprocess.run(command, check=True, cwd=f'{mnt.path}/w', stdin=subprocess.DEVNULL, **options)


def write_all(files):
    """As a simple program does: no O_EXCL, several writes."""
    for name, data in files.items():
        with open(f'{mnt.path}/w/{name}', 'wb', buffering=0) as file:
            for start in range(0, len(data), 100_000):
                file.write(data[start:start + 100_000])


def written_outside(directory, files):
    os.makedirs(f'{SCRATCH}/{directory}')
    for name, data in files.items():
        with open(f'{SCRATCH}/{directory}/{name}', 'wb') as file:
            file.write(data)
    return [f'{SCRATCH}/{directory}/{name}' for name in files]


def version(letter, prefix='f'):
    return {f'{prefix}{number:04}': contents_of(number, letter) for number in numbers}


def commit(files, message):
    for name, data in {**files, 'same': b'same'}.items():
        with open(f'{SCRATCH}/repository/{name}', 'wb') as file:
            file.write(data)
    subprocess.run([*GIT, '-C', f'{SCRATCH}/repository', 'add', '.'], check=True)
    subprocess.run([*GIT, '-C', f'{SCRATCH}/repository', 'commit', '-qm', message], check=True)
    subprocess.run([*GIT, '-C', f'{SCRATCH}/repository', 'tag', message], check=True)


wrong = []
numbers = list(range(COUNT))
random.Random(3).shuffle(numbers)
# The server keeps all contents in memory, and at a larger scale that is more than its usual heap.
with Servers('--option', f'-Xmx{max(256, 2 * COUNT)}m') as own, mount() as mnt, client() as zk:
    zk.create('/w', b'')
    mnt.settle()
    os.listdir(f'{mnt.path}/w')
    watcher = Watcher(zk, '/w')

    a, b, c = version(b'a'), version(b'b'), version(b'c')
    expect_saves('new files', {}, a, lambda: write_all(a), events=('CREATED',))
    nothing = {f'empty{number}': b'' for number in range(5)}
    # One transaction, which also makes the version that says that it is a file.
    expect_saves('new empty files', {}, nothing, lambda: write_all(nothing), events=('CREATED', 'CHANGED'))
    expect_saves('overwriting', a, b, lambda: write_all(b))
    sources = written_outside('c', c)
    expect_saves('cp onto files', b, c, lambda: run('cp', *sources, '.'))
    for name in c:
        os.unlink(f'{mnt.path}/w/{name}')
    expect_saves('cp of new files', {}, c, lambda: run('cp', *sources, '.'), events=('CREATED', 'CHANGED', 'CHANGED'), each=2,
                 exclusive=True)

    # A temporary file is made, and filled, and renamed onto the file.
    d = version(b'd')
    expect_saves('sed -i', c, d, lambda: run('sed', '-i', '1s/^c/d/', *d), each=3)
    e = version(b'e')
    written_outside('e', e)
    expect_saves('rsync onto files', d, e, lambda: run('rsync', '-a', '-I', f'{SCRATCH}/e/', '.'), each=3)
    new = version(b'n', 'n')
    written_outside('new', new)
    expect_saves('rsync of new files', {}, new, lambda: run('rsync', '-a', f'{SCRATCH}/new/', '.'), events=('CREATED',), each=3)

    # It copies the old file, or renames it, to a backup that is removed in the end. (It makes none below /tmp if not told to.)
    old = e
    renamed = ('DELETED', 'CREATED')
    for letter, how, events, each in ((b'x', 'yes', ('CHANGED',), 4), (b'y', 'no', renamed, 3), (b'z', 'auto', renamed, 5)):
        saved = dict(list(version(letter).items())[:max(5, COUNT // 3)])
        vim = ('vim', '-es', '-u', 'NONE', '-i', 'NONE', '-n', '-c', f'set backupcopy={how} backupskip= nofixeol',
               '-c', f'argdo 1s/^./{letter.decode()}/ | update', '-c', 'qa!', *saved)
        expect_saves(f'vim, backupcopy={how}', old, saved, lambda command=vim: run(*command), events=events, each=each)
        old = {**old, **saved}

    # git removes what it checks out, and makes it anew.
    os.mkdir(f'{SCRATCH}/repository')
    subprocess.run([*GIT, 'init', '-q', f'{SCRATCH}/repository'], check=True)
    first, second = version(b'1', 'g'), version(b'2', 'g')
    commit(first, 'first')
    commit(second, 'second')
    checkout = [*GIT, f'--git-dir={SCRATCH}/repository/.git', '--work-tree=.', 'checkout', '-q', '-f']
    expect_saves('git checkout of new files', {}, {**first, 'same': b'same'}, lambda: run(*checkout, 'first'),
                 events=('CREATED', 'CHANGED', 'CHANGED'), each=2, exclusive=True)
    expect_saves('git checkout of another version', first, second, lambda: run(*checkout, 'second'),
                 events=('DELETED', 'CREATED', 'CHANGED', 'CHANGED'), each=3, exclusive=True)
    if wrong:
        fail('\n'.join([*wrong[:20], f'{len(wrong)} in all']))
