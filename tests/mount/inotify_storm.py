"""Creates, changes and deletes of many files in many watched directories, by others, here, and both at once: every birth and every
death is told once, and in order; a change after the last of each file's; nothing twice."""
import collections
import re
import signal
import subprocess
import threading

from zktest import *

# timeout: 400
FILES = int(10_000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))
DIRECTORIES = 50
EVENTS = 'create,delete,modify,close_write'


def paths(prefix):
    return [f'/{index % DIRECTORIES}/{prefix}{index}' for index in range(FILES)]


def by_kazoo(prefix):
    for act in (lambda path: zk.create_async(path, b'1'), lambda path: zk.set_async(path, b'22'), zk.delete_async):
        for result in [act(path) for path in paths(prefix)]:
            result.get()


def here(prefix):
    for data in ('1', '22'):
        for path in paths(prefix):
            with open(top + path, 'w', encoding='utf-8') as file:
                file.write(data)
    for path in paths(prefix):
        os.unlink(top + path)


def check(what, expected_prefixes):
    """Of each file: one CREATE, then at least one CLOSE_WRITE, then one DELETE."""
    told = collections.defaultdict(list)
    order = collections.defaultdict(list)
    with open('events', encoding='utf-8') as log:
        for line in log:
            directory, events, name = re.fullmatch(r'(.*/) (\S+) (.*)', line.rstrip('\n')).groups()
            directory = directory.replace(top, '')
            told[directory + name].append(events.split(',')[0])
            if events == 'CREATE':
                order[directory, name[0]].append(name)
    for prefix in expected_prefixes:
        for path in paths(prefix):
            got = told.pop(path, [])
            if (got.count('CREATE'), got.count('DELETE'), got[:1], got[-1:]) != (1, 1, ['CREATE'], ['DELETE']) or \
                    'CLOSE_WRITE' not in got:
                fail(f'{what}: {path}: {got}')
        for index in range(DIRECTORIES):
            names = [path.split('/')[2] for path in paths(prefix) if path.startswith(f'/{index}/')]
            expect_eq(order[f'/{index}/', prefix], names, f'{what}: order in directory {index}')
    expect_eq({path: events for path, events in told.items() if 'end' not in path}, {}, f'{what}: what else was told')


with mount() as mnt, client() as zk:
    top = mnt.path
    for i in range(DIRECTORIES):
        zk.create(f'/{i}')
    mnt.settle()
    for what, workers in (('by others', [(by_kazoo, 'k')]), ('here', [(here, 'l')]), ('both', [(by_kazoo, 'm'), (here, 'n')])):
        print(what, flush=True)
        with open('events', 'w', encoding='utf-8') as out, open('watch', 'w', encoding='utf-8') as errors:
            watch = subprocess.Popen(['inotifywait', '-m', '-e', EVENTS, *[f'{top}/{i}' for i in range(DIRECTORIES)]],
                                     stdout=out, stderr=errors)
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watches')
        threads = [threading.Thread(target=work, args=(prefix,)) for work, prefix in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        zk.create(f'/0/end{what}')      # comes last
        wait_until(60, lambda: f'end{what}' in open('events', encoding='utf-8').read(), 'the last event')
        watch.send_signal(signal.SIGTERM)
        watch.wait()
        check(what, [prefix for _, prefix in workers])
