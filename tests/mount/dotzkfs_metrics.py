"""/.zkfs/metrics is what Prometheus takes, by a parser that forgives nothing, and counts what was done."""
import fcntl
import math
import re
import subprocess
import threading

from zktest import *

NAME = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*\Z')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r'([+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|[+-]?Inf|NaN)\Z')
SUFFIXES = {'histogram': ['_bucket', '_sum', '_count'], 'counter': [''], 'gauge': ['']}


def parse_labels(text, line):
    labels = {}
    while text:
        match = LABEL.match(text)
        if not match:
            fail(f'not labels: {line}')
        if match[1] in labels:
            fail(f'a label twice: {line}')
        labels[match[1]] = match[2]
        text = text[match.end():]
        if text.startswith(','):
            text = text[1:]
            expect_eq(bool(text), True, f'a label after the comma: {line}')
        else:
            expect_eq(text, '', f'after the labels: {line}')
    return labels


def parse_sample(line):
    match = re.match(r'([^ {]+)(?:\{([^}]*)\})? ([^ ]+)\Z', line)
    if not match or not NAME.match(match[1]) or not VALUE.match(match[3]):
        fail(f'not a sample: {line!r}')
    labels = parse_labels(match[2], line) if match[2] is not None else {}
    if match[2] == '':
        fail(f'no labels in braces: {line}')
    return match[1], labels, float(match[3])


def check_histogram(name, samples):
    """By labels without le: rising bounds, counts that never fall, +Inf last and as many as _count, one _sum."""
    series = {}
    for sample, labels, value in samples:
        key = frozenset((k, v) for k, v in labels.items() if k != 'le')
        series.setdefault(key, {'_bucket': [], '_sum': [], '_count': []})[sample[len(name):]].append((labels.get('le'), value))
    for parts in series.values():
        bounds = [float(le) for le, _ in parts['_bucket']]
        counts = [value for _, value in parts['_bucket']]
        expect_eq((bounds, bounds[-1]), (sorted(set(bounds)), math.inf), f'{name}: bounds')
        expect_eq((counts, len(parts['_sum'])), (sorted(counts), 1), f'{name}: counts')
        expect_eq([value for _, value in parts['_count']], [counts[-1]], f'{name}: its count')


def parse(text):
    """{(name, labels): value}"""
    if not text.endswith('\n') or '\r' in text or '\n\n' in text:
        fail('lines')
    families, values, current = {}, {}, None
    for line in text.split('\n')[:-1]:
        if line.startswith('# HELP '):
            name, _, words = line[7:].partition(' ')
            if not NAME.match(name) or name in families or not words or '\\' in words:
                fail(f'HELP: {line}')
            current = families[name] = {'name': name, 'type': None, 'samples': []}
        elif line.startswith('# TYPE '):
            name, kind = line[7:].split(' ')
            if name != current['name'] or current['type'] or kind not in SUFFIXES:
                fail(f'TYPE: {line}')
            current['type'] = kind
        else:
            name, labels, value = parse_sample(line)
            if not current['type'] or name not in [current['name'] + suffix for suffix in SUFFIXES[current['type']]]:
                fail(f'not with its family: {line}')
            key = (name, frozenset(labels.items()))
            if key in values:
                fail(f'twice: {line}')
            values[key] = value
            current['samples'].append((name, labels, value))
    for name, family in families.items():
        if family['type'] == 'counter':
            expect_eq(name.endswith('_total'), True, f'{name} is a counter')
        if family['type'] == 'histogram':
            check_histogram(name, family['samples'])
        if family['type'] != 'gauge':
            expect_eq([sample for sample in family['samples'] if not 0 <= sample[2] < math.inf], [], name)
    return values


class Metrics:
    def __init__(self):
        with open(f'{mnt.path}/.zkfs/metrics', encoding='utf-8') as file:
            self.values = parse(file.read())

    def __call__(self, name, **labels):
        return self.values.get((name, frozenset(labels.items())), 0)


def rises(before, after, least, name, **labels):
    got = after(name, **labels) - before(name, **labels)
    if got < least:
        fail(f'{name} {labels} rose by {got}, not by {least}')


def check_counts():
    before = Metrics()
    for i in range(20):
        with open(f'{mnt.path}/file-{i}', 'w', encoding='utf-8') as file:
            file.write('x' * i)
    for i in range(20):
        with expect_error(errno.ENOENT):
            os.stat(f'{mnt.path}/nothing-{i}')
        with expect_error(errno.ENOTEMPTY):
            os.rmdir(f'{mnt.path}/full')
    zk.set('/seen', b'new')
    zk.create('/born')
    mnt.settle()
    zk.delete('/born')
    mnt.settle()
    after = Metrics()
    for operation, least in (('create', 20), ('write', 19), ('flush', 20), ('lookup', 40), ('mkdir', 2), ('open', 1)):
        rises(before, after, least, 'zkfs_fuse_requests_total', operation=operation)
        rises(before, after, least, 'zkfs_fuse_request_duration_seconds_count', operation=operation)
        rises(before, after, 1e-6, 'zkfs_fuse_request_duration_seconds_sum', operation=operation)
    rises(before, after, 20, 'zkfs_fuse_errors_total', operation='rmdir', error='ENOTEMPTY')
    for change, least in (('created', 21), ('changed', 1), ('deleted', 1)):
        rises(before, after, least, 'zkfs_watch_events_total', change=change)
    for name in ('zkfs_cache_misses_total', 'zkfs_cache_hits_total', 'zkfs_cache_nodes', 'zkfs_cache_bytes',
                 'zkfs_fuse_notifications_total'):
        rises(before, after, 1, name)
    rises(before, after, 1, 'zkfs_queue_done_total', queue='notifier')
    for name, least in (('zkfs_inodes', 1), ('zkfs_cache_limit_bytes', 1 << 20), ('process_resident_memory_bytes', 1 << 20),
                        ('zkfs_session_timeout_seconds', 1), ('zkfs_watching', 1), ('zkfs_reads_connected', 1)):
        expect_eq(after(name) >= least, True, f'{name}: {after(name)}')
    expect_eq([after('zkfs_session_state', state=state) for state in ('connected', 'suspended', 'lost')], [1, 0, 0], 'the state')


def check_drafts():
    expect_eq((Metrics()('zkfs_drafts'), Metrics()('zkfs_open_files')), (0, 0), 'nothing is open')
    with open(f'{mnt.path}/draft', 'w', encoding='utf-8') as file:
        file.write('x')
        file.flush()
        now = Metrics()
        expect_eq((now('zkfs_open_files'), now('zkfs_drafts')) in ((1, 1), (1, 0)), True, 'a draft, unless it was slow')
        expect_eq(now('zkfs_open_files'), 1, 'an open file')
        fcntl.flock(file, fcntl.LOCK_EX)
        now = Metrics()
        expect_eq((now('zkfs_locks', state='held'), now('zkfs_locks', state='waiting')), (1, 0), 'a lock')
    wait_until(10, lambda: Metrics()('zkfs_open_files') == 0, 'the release')
    expect_eq(Metrics()('zkfs_drafts'), 0, 'saved')


def check_announced():
    before = Metrics()
    with open('events', 'w', encoding='utf-8') as out:
        watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create', mnt.path], stdout=out, stderr=out)
    wait_until(10, lambda: 'established' in open('events', encoding='utf-8').read(), 'the watch')
    zk.create('/announced')
    wait_until(10, lambda: 'CREATE' in open('events', encoding='utf-8').read(), 'the event')
    wait_until(10, lambda: Metrics()('zkfs_queue_done_total', queue='announcer') > before('zkfs_queue_done_total', queue='announcer'),
               'the announcement')
    watch.terminate()
    watch.wait()


def check_many_at_once():
    """While others work, what is read is whole, and no counter ever falls."""
    stop = threading.Event()

    def work(number):
        while not stop.is_set():
            with open(f'{mnt.path}/work-{number}', 'w', encoding='utf-8') as file:
                file.write('x')
            os.unlink(f'{mnt.path}/work-{number}')

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    last = Metrics()
    for _ in range(100):
        now = Metrics()
        fallen = [key for key, value in last.values.items() if key[0].endswith(('_total', '_count', '_bucket')) and now.values[key] < value]
        expect_eq(fallen, [], 'what fell')
        last = now
    stop.set()
    for thread in threads:
        thread.join()
    # What was asked has been answered, and what was not under way is not.
    mnt.settle()
    now = Metrics()
    for operation in ('create', 'unlink', 'lookup', 'flush'):
        expect_eq(now('zkfs_fuse_request_duration_seconds_count', operation=operation),
                  now('zkfs_fuse_requests_total', operation=operation), f'each {operation} was timed')


with mount() as mnt, client() as zk:
    zk.create('/seen', b'old')
    zk.create('/full/child', makepath=True)
    os.stat(f'{mnt.path}/seen')
    check_counts()
    check_drafts()
    check_announced()
    check_many_at_once()
