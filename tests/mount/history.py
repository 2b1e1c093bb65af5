"""Checks that no party (a mount, Kazoo) ever reads older things than it has written or seen before.

Each file and directory has one owner, who alone makes, changes and removes it; everybody reads everything.
So an item's states are a list, and a reader's knowledge of it is an index into that list, which may only
rise. What is written tells what its writer knew of all items, and whoever reads it knows that, too: thus
an item must not be older than what the reader learned about it by way of another item.
"""

import json
import os
import random
import threading

from zktest import fail

from kazoo.exceptions import NoNodeError

__all__ = ['History', 'KazooParty', 'MountParty']

ABSENT, DIRECTORY = 'absent', 'directory'


class Item:
    def __init__(self, name, is_directory):
        self.name = name
        self.is_directory = is_directory
        self.states = [ABSENT]      # the owner appends before it acts


class Party:
    """What it knows and how it acts. Subclasses do make, write, remove, read, size, list."""

    def __init__(self, name):
        self.name = name
        self.items = []
        self.known = {}

    def learn(self, item, fits, what):
        """The reader has seen a state that fits: it is the oldest such one that it may have seen."""
        for index in range(self.known[item.name], len(item.states)):
            if fits(item.states[index]):
                self.known[item.name] = index
                return item.states[index]
        age = [index for index, state in enumerate(item.states) if fits(state)]
        fail(f'{self.name} sees {what} of {item.name}, which is state {age} of {len(item.states) - 1}, '
             f'but knows of state {self.known[item.name]}')

    def learn_contents(self, item, data):
        try:
            self.learn(item, lambda state: state == data, f'{len(data)} bytes ({data[:60]!r})')
        except SystemExit:
            if data and data not in item.states:
                fail(f'{self.name} reads torn contents of {item.name}: {data[:60]!r}…{data[-60:]!r}')
            raise
        if data:
            for name, index in json.loads(data.split(b'\n', 1)[0])['known'].items():
                self.known[name] = max(self.known[name], index)

    def compose(self, item, random):
        head = json.dumps({'item': item.name, 'state': len(item.states), 'known': self.known}).encode()
        size = random.choice((0, 10, 500, 500, 4096, 4096, 70_000, 200_000))
        line = b'%s %d\n' % (item.name.encode(), len(item.states))
        return head + b'\n' + line * (size // len(line))

    # As the owner.

    def change(self, item, random):
        if item.states[-1] == ABSENT:
            if item.is_directory:
                item.states.append(DIRECTORY)
                self.make_directory(item.name)
            else:
                self.create(item, self.compose(item, random))
        elif item.is_directory or random.random() < 0.2:
            item.states.append(ABSENT)
            self.remove(item.name, item.is_directory)
        else:
            data = self.compose(item, random)
            item.states.append(data)
            self.write(item.name, data)
        self.known[item.name] = len(item.states) - 1

    def create(self, item, data):
        item.states.append(data)
        self.make_file(item.name, data)

    # As anybody.

    def look(self, item, random):
        if not item.is_directory and random.random() < 0.6:
            data = self.read(item.name)
            if data is None:
                self.learn(item, lambda state: state == ABSENT, 'absence (open)')
            else:
                self.learn_contents(item, data)
            return
        size = self.size(item.name)
        if size is None:
            self.learn(item, lambda state: state == ABSENT, 'absence (stat)')
        elif item.is_directory:
            self.learn(item, lambda state: state == DIRECTORY, 'presence (stat)')
        else:
            self.learn(item, lambda state: state != ABSENT and len(state) == size, f'st_size {size}')

    def look_at_all(self, items):
        names = self.list()
        if len(names) != len(set(names)):
            fail(f'{self.name} lists a name twice: {sorted(names)}')
        for item in items:
            here = item.name in names
            self.learn(item, lambda state, here=here: (state != ABSENT) == here,
                       'presence (list)' if here else 'absence (list)')


class MountParty(Party):
    def __init__(self, name, path):
        super().__init__(name)
        self.path = path

    def create(self, item, data):
        item.states.append(b'')     # the node may be there, empty, before it is closed
        super().create(item, data)

    def make_file(self, name, data):
        self.write(name, data)

    def write(self, name, data):
        with open(f'{self.path}/{name}', 'wb', buffering=0) as file:
            while data:
                data = data[file.write(data):]

    def make_directory(self, name):
        os.mkdir(f'{self.path}/{name}')

    def remove(self, name, is_directory):
        (os.rmdir if is_directory else os.unlink)(f'{self.path}/{name}')

    def read(self, name):
        try:
            with open(f'{self.path}/{name}', 'rb', buffering=0) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def size(self, name):
        try:
            return os.stat(f'{self.path}/{name}').st_size
        except FileNotFoundError:
            return None

    def list(self):
        return os.listdir(self.path)


class KazooParty(Party):
    def __init__(self, name, zk):
        super().__init__(name)
        self.zk = zk

    def make_file(self, name, data):
        self.zk.create(f'/{name}', data)

    def write(self, name, data):
        self.zk.set(f'/{name}', data)

    def make_directory(self, name):
        self.zk.create(f'/{name}', b'')

    def remove(self, name, _):
        self.zk.delete(f'/{name}')

    def read(self, name):
        try:
            return self.zk.get(f'/{name}')[0]
        except NoNodeError:
            return None

    def size(self, name):
        stat = self.zk.exists(f'/{name}')
        return stat and stat.dataLength

    def list(self):
        return self.zk.get_children('/')


class History:
    def __init__(self, *parties, files=6, directories=2):
        self.parties = parties
        for party in parties:
            party.items = [Item(f'{party.name}-{i}', False) for i in range(files)]
            party.items += [Item(f'{party.name}-dir-{i}', True) for i in range(directories)]
        self.items = [item for party in parties for item in party.items]
        for party in parties:
            party.known = {item.name: 0 for item in self.items}
        self.seed = int(os.environ.get('ZKFS_TEST_SEED') or random.randrange(1 << 30))
        print(f'ZKFS_TEST_SEED={self.seed}')
        self.failed = threading.Event()

    def step(self, party, random):
        chance = random.random()
        if chance < 0.35:
            party.change(random.choice(party.items), random)
        elif chance < 0.9:
            party.look(random.choice(self.items), random)
        else:
            party.look_at_all(self.items)

    def run_in_turns(self, count):
        numbers = random.Random(self.seed)
        for _ in range(count):
            self.step(numbers.choice(self.parties), numbers)

    def run_at_once(self, count):
        threads = [threading.Thread(target=self.run_party, args=(party, count // len(self.parties)))
                   for party in self.parties]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed.is_set():
            fail('see above')

    def run_party(self, party, count):
        numbers = random.Random(f'{self.seed} {party.name}')
        try:
            for _ in range(count):
                if self.failed.is_set():
                    return
                self.step(party, numbers)
        except BaseException:
            self.failed.set()
            raise
