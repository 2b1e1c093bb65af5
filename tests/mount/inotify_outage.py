"""1,000 changes by others while the mount's connection is cut, its server is paused, and its server is killed: afterwards all
that was cached is right, and inotify has told of every difference."""
import collections
import random
import re
import signal
import subprocess

from cable import Cable
from sample import create_many
from zktest import *

# timeout: 300
DIRECTORIES, FILES, CHANGES = 10, 60, 1000


def paths_of(zk):
    """Path: (czxid, mzxid, data), of all files."""
    found = {}
    for i in range(DIRECTORIES):
        names = zk.get_children(f'/d{i}')
        for name, result in [(name, zk.get_async(f'/d{i}/{name}')) for name in names]:
            data, stat = result.get()
            found[f'd{i}/{name}'] = (stat.czxid, stat.mzxid, data)
    return found


def change_many(zk, known):
    """Births, changes, deaths, and deaths with a birth of the same name after it."""
    known, results = set(known), []
    for number in range(CHANGES):
        kind = random.randrange(5)
        path = random.choice(sorted(known))
        if kind == 0:
            path = f'd{random.randrange(DIRECTORIES)}/new{number}-{random.randrange(1 << 30)}'
            results.append(zk.create_async(f'/{path}', b'born %d' % number))
            known.add(path)
        elif kind == 1 and len(known) > FILES:
            results.append(zk.delete_async(f'/{path}'))
            known.remove(path)
        elif kind == 2:
            results.append(zk.delete_async(f'/{path}'))
            results.append(zk.create_async(f'/{path}', b'born again %d' % number))
        else:
            results.append(zk.set_async(f'/{path}', b'changed %d' % number))
    for result in results:
        result.get()


def told():
    """Path: its events, in order."""
    events = collections.defaultdict(list)
    for line in open('events', encoding='utf-8'):
        where, what, name = line.rstrip('\n').split(' ', 2)
        events[where[len(mnt.path) + 1:] + name].extend(re.findall('CREATE|DELETE|MODIFY', what))
    return events


def check_told(before, after, seen, what):
    events = told()
    for path in before.keys() | after.keys():
        new = events[path][len(seen[path]):]
        was, now = before.get(path), after.get(path)
        lives = ''.join(event[0] for event in new if event != 'MODIFY')
        if was == now:
            wrong = lives
        elif was and now and was[0] == now[0]:
            wrong = lives or 'MODIFY' not in new
        else:
            # In turns, from what it was to what it is. What was born in the gap and died after it may be told to have died.
            wrong = not re.fullmatch(('(DC)*D' if not now else '(DC)+') if was else 'D?(CD)*C', lives)
        if wrong:
            fail(f'{what}: {path} was {was}, is {now}; told: {new}')


def check_cached(after, what):
    found = {}
    for i in range(DIRECTORIES):
        for name in os.listdir(f'{mnt.path}/d{i}'):
            with open(f'{mnt.path}/d{i}/{name}', 'rb') as file:
                found[f'd{i}/{name}'] = file.read()
    expect_eq(found, {path: node[2] for path, node in after.items()}, f'{what}: what is there')


def outages():
    """What it is called, the server that only others can do without (0: none), how it begins and ends."""
    yield 'cut', 0, lambda: [cable.cut() for cable in cables], lambda: [cable.mend() for cable in cables]
    for what, begin, end in (('paused', 'pause', 'resume'), ('killed', 'kill', 'restart')):
        number = [cable.is_in_use() for cable in cables].index(True) + 1
        yield what, number, lambda begin=begin, number=number: own(begin, number), lambda end=end, number=number: own(end, number)


with Servers('--ensemble', '3') as own:
    direct = own.connect
    upstreams = [(server.split(':')[0], int(server.split(':')[1])) for server in direct.split(',')]
    cables = [Cable(upstream) for upstream in upstreams]
    os.environ['ZK'] = ','.join(cable.address for cable in cables)
    mnt = mount('mnt', '-o', 'session_timeout=6,timeout=30')
    os.environ['ZK'] = direct
    with mnt:
        with client(timeout=30) as zk:
            create_many(zk, [(f'/d{i}', b'') for i in range(DIRECTORIES)])
            create_many(zk, [(f'/d{i}/f{j}', b'first') for i in range(DIRECTORIES) for j in range(FILES)])
        mnt.settle()
        wait_until(30, lambda: sum(cable.is_in_use() for cable in cables) == 1, 'connections to one server')
        with open('events', 'w', encoding='utf-8') as out, open('watch', 'w', encoding='utf-8') as errors:
            watch = subprocess.Popen(['inotifywait', '-m', '-r', '-e', 'create,delete,modify', mnt.path], stdout=out, stderr=errors)
        wait_until(20, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watches')
        for what, server, begin, end in outages():
            wait_until(30, lambda: sum(cable.is_in_use() for cable in cables) == 1, 'connections to one server')
            with client(timeout=30) as zk:
                before = paths_of(zk)
            mnt.settle()
            check_cached(before, f'before it was {what}')
            seen = told()
            begin()
            os.environ['ZK'] = ','.join(name for i, name in enumerate(direct.split(','), 1) if i != server)
            with client(timeout=30) as zk:
                zk.retry(zk.create, f'/begun-{what}', b'')     # it may have been the leader
                change_many(zk, before)
                end()
                after = paths_of(zk)
                for i in range(2):  # the first may be told among what happened in the gap; the second then comes after all that
                    zk.retry(zk.create, f'/mark-{what}-{i}', b'x')
                    wait_until(60, lambda i=i: told()[f'mark-{what}-{i}'], f'{what}: a mark that comes after all')
            os.environ['ZK'] = direct
            mnt.settle()
            check_cached(after, what)
            check_told(before, after, seen, what)
        watch.send_signal(signal.SIGTERM)
        watch.wait()
