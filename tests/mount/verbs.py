"""zkfs create, set, stat, txn and status: what they print, what their exit statuses are, and what Kazoo sees of it."""
import json
import subprocess
import time

from zktest import *


def zkfs(*words, data=None, cwd=None):
    """Exit status, standard output, standard error."""
    done = subprocess.run([ZKFS, *words], input=data, capture_output=True, check=False, cwd=cwd, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def expect(words, status, output, what, **more):
    got = zkfs(*words, **more)
    expect_eq(got[:2], (status, output), f'{what} ({got[2].strip()})')
    expect_eq(bool(got[2]), status in (1, 2) and output == '', f'{what}: a message ({got[2].strip()})')
    return got[2]


def usage():
    for verb in ('create', 'set', 'stat', 'txn', 'status', 'wait', 'hold'):
        status, out, err = zkfs(verb, '--help')
        expect_eq((status, out.startswith(f'Usage: zkfs {verb} '), err), (0, True, ''), f'{verb} --help')
        expect_eq(max(map(len, out.splitlines())) <= 90, True, f'{verb} --help: width of lines')
        for words in ((verb,), (verb, '--nonsense', 'x')):
            if verb == 'hold':
                words += ('--', 'true')
            message = expect(words, 2, '', ' '.join(words))
            expect_eq(message.splitlines()[-1], f"Try 'zkfs {verb} --help' for more information.", f'{words}')
    expect(('create', 'a', 'b', 'c'), 2, '', 'too many operands')
    expect(('create', '--ttl', '0', f'{top}/x'), 2, '', 'no time to live')
    expect(('set', '--version', '-3', f'{top}/x', 'y'), 2, '', 'no version')
    # A word that is a verb's and nothing else is a mountpoint, if there is one.
    os.mkdir('stat')
    status, _, err = zkfs('127.0.0.1:1', 'nowhere')
    expect_eq((status, "'nowhere'" in err), (1, True), f'a mountpoint {err}')
    status = subprocess.run([ZKFS, 'stat'], env=dict(os.environ, ZKFS_SERVERS=servers() + ROOT), check=False, timeout=60).returncode
    expect_eq((status, os.path.ismount('stat')), (0, True), 'a mountpoint called stat')
    subprocess.run(['fusermount3', '-u', 'stat'], check=True)
    os.rmdir('stat')
    # What is no verb may have been meant as one.
    for words in (('crate',), ('crate', SCRATCH)):
        status, out, err = zkfs(*words)
        expect_eq((status in (1, 2), out, err.endswith("Try 'zkfs --help' for more information.\n")), (True, '', True), f'{words}: {err}')
    for verb in ('create', 'stat', 'status', 'wait'):
        message = expect((verb, SCRATCH), 1, '', f'{verb} of what is on no mount')
        expect_eq(message, f"zkfs {verb}: '{SCRATCH}' is not on a zkfs mount\n", verb)


def create():
    expect(('create', f'{top}/a', 'data'), 0, f'{top}/a\n', 'with data')
    expect_eq(zk.get('/a')[0], b'data', 'its data')
    expect_eq(zk.get('/a')[1].version, 0, 'in one transaction')
    message = expect(('create', f'{top}/a', 'other'), 1, '', 'what is there')
    expect_eq(message, f"zkfs create: cannot create '{top}/a': it is there already\n", 'the reason')
    expect_eq(open(f'{top}/a', encoding='utf-8').read(), 'data', 'on the mount')
    expect(('create', 'd'), 0, 'd\n', 'a relative path without data', cwd=top)
    expect_eq(os.path.isdir(f'{top}/d'), True, 'is a directory')
    expect(('create', './e', ''), 0, './e\n', 'with a dot', cwd=f'{top}/d')
    expect(('create', '.f', '-'), 0, '.f\n', 'standard input', cwd=f'{top}/d', data=bytes(range(256)) * 1000)
    expect_eq((zk.get('/d/.f')[0], zk.get('/d/e')[0]), (bytes(range(256)) * 1000, b''), 'any bytes')
    expect(('create', f'{top}/a/child', 'x'), 0, f'{top}/a/child\n', 'below a file')
    expect_eq((zk.get('/a/child')[0], os.path.isdir(f'{top}/a')), (b'x', True), 'which is a directory then')
    expect(('create', f'{top}/d/.data=', 'x'), 0, f'{top}/d/.data=\n', 'an escaped name')
    expect_eq(zk.get('/d/.data')[0], b'x', 'its znode')
    for name, why in (('d/.data', 'no znode can have that name'), ('.zkfs', 'no znode can have that name'),
                      ('.zkfs/x', 'no znode can have that name'), ('d/\U0001f600', 'ZooKeeper refuses a character in its name'),
                      ('', 'it is the root of the mount'), ('n' * 1025, 'its name or path is too long'),
                      ('n/' * 5000, 'its name or path is too long')):
        message = expect(('create', f'{top}/{name}', 'x'), 1, '', name)
        expect_eq(message.endswith(f"': {why}\n"), True, message)
    expect(('create', f'{top}/no/../such', 'x'), 1, '', 'no such directory on the way')
    message = expect(('create', '-s', top, 'x'), 1, '', 'beside the mount')
    expect_eq(message.endswith(': it is the root of the mount\n'), True, message)
    expect(('create', '-e', '--', f'{top}/eph', 'x'), 0, f'{top}/eph\n', 'ephemeral')
    expect_eq(zk.get('/eph')[1].ephemeralOwner, int(read_session()['id'], 16), 'its owner')
    expect(('create', f'{top}/eph/x', 'x'), 1, '', 'below an ephemeral')
    expect(('create', '-s', f'{top}/d/item-', '1'), 0, f'{top}/d/item-0000000003\n', 'sequential')
    expect(('create', '-es', f'{top}/d/', '2'), 0, f'{top}/d/0000000004\n', 'without a name')
    expect(('create', '-s', 'top-', '3'), 0, f'top-{len(zk.get_children("/")):010}\n', 'in the root', cwd=top)
    expect_eq((zk.get('/d/item-0000000003')[0], zk.get('/d/0000000004')[1].ephemeralOwner != 0), (b'1', True), 'sequential ones')

    message = expect(('create', f'{top}/p/q/r', 'x'), 1, '', 'no parent')
    expect_eq(message.endswith(': its parent is not there\n'), True, message)
    expect(('create', '-p', f'{top}/p/q/r', 'x'), 0, f'{top}/p/q/r\n', 'with parents')
    expect_eq(zk.get('/p')[1].czxid, zk.get('/p/q/r')[1].czxid, 'one transaction')
    expect(('create', '-p', f'{top}/p/q//s/', 'x'), 0, f'{top}/p/q//s\n', 'where they are there')
    expect(('create', '-ps', f'{top}/p/t/', 'x'), 0, f'{top}/p/t/0000000000\n', 'sequential, with parents')
    expect(('create', '-p', f'{top}/p/q', 'x'), 1, '', 'but not again')
    # What the kernel has not heard of yet.
    expect_eq(os.path.exists(f'{top}/late'), False, 'not yet')
    zk.create('/late')
    expect(('create', '-p', f'{top}/late/x/y', 'x'), 0, f'{top}/late/x/y\n', 'a parent of others')

    racers = [subprocess.Popen([ZKFS, 'create', '-p', f'{top}/race/to/the/{i}', str(i)], stdout=subprocess.DEVNULL) for i in range(8)]
    expect_eq([racer.wait(60) for racer in racers], [0] * 8, 'eight that make the same parents')
    expect_eq(sorted(zk.get_children('/race/to/the')), [str(i) for i in range(8)], 'and their own')


def kinds():
    """Containers and times to live: alone in their transaction."""
    expect(('create', '-c', f'{top}/box'), 0, f'{top}/box\n', 'a container')
    expect(('create', '-cp', f'{top}/k/l/m', 'data'), 0, f'{top}/k/l/m\n', 'with parents')
    expect_eq(zk.get('/k/l/m')[0], b'data', 'which it has')
    expect(('create', '-c', f'{top}/box'), 1, '', 'one that is there')
    for words in (('-c', '-s'), ('-c', '-e'), ('-c', '--ttl=5'), ('-e', '--ttl=5')):
        expect(('create', *words, f'{top}/x'), 2, '', f'{words}')
    status, out, _ = zkfs('txn', top, data=b'create /1 ""\ncreate /2 "" container\n')
    expect_eq((status, out.startswith('error 2 EINVAL '), zk.exists('/1')), (1, True, None), f'not alone: {out}')
    expect_eq(zkfs('txn', top, data=b'create /1 "" ttl=99999999999\n')[0], 1, 'too long')


def mortal():
    """With servers that remove what is a container or has a time to live, twice a second."""
    expect(('create', '-c', f'{top}/box'), 0, f'{top}/box\n', 'a container')
    expect(('create', '-cp', f'{top}/parent/box', 'x'), 0, f'{top}/parent/box\n', 'and one below a parent')
    for path in ('/box', '/parent/box'):
        zk.create(f'{path}/child')
        zk.delete(f'{path}/child')
    expect(('create', '--ttl', '100', f'{top}/short', 'x'), 0, f'{top}/short\n', 'a time to live')
    expect(('create', '-s', '--ttl', '100', f'{top}/parent/', 'x'), 0,
           f'{top}/parent/0000000001\n', 'and a sequential one')
    expect(('create', '--ttl', '3600000', f'{top}/long', 'x'), 0, f'{top}/long\n', 'a longer one')
    for path in ('/box', '/parent/box', '/short', '/parent/0000000001'):
        wait_until(20, lambda: zk.exists(path) is None, f'the end of {path}')    # pylint: disable=cell-var-from-loop
    expect_eq((zk.exists('/parent') is None, zk.exists('/long') is None), (False, False), 'the others live')


def set_and_stat():
    zk.create('/s', b'one')
    expect(('set', f'{top}/s', 'two'), 0, '', 'set')
    expect_eq((zk.get('/s')[0], open(f'{top}/s', encoding='utf-8').read()), (b'two', 'two'), 'data')
    expect_eq(zkfs('set', '--version=0', f'{top}/s', 'no')[0], 3, 'another version')
    expect_eq(zk.get('/s')[0], b'two', 'left alone')
    expect(('set', '--version=1', 's', '-'), 0, '', 'the right one', data=b'\0\n"\\\xff', cwd=top)
    expect_eq(zk.get('/s')[0], b'\0\n"\\\xff', 'any bytes')
    expect(('set', f'{top}/none', 'x'), 1, '', 'what is not there')
    expect(('set', f'{top}/.zkfs/state', 'x'), 1, '', 'a control file')
    message = expect(('set', f'{top}/s', '-'), 1, '', 'more than a packet', data=bytes(5 << 20))
    expect_eq(message, f"zkfs set: cannot set '{top}/s': it is larger than a transaction can be\n", 'the reason')

    zk.create('/s/c "h\u00e4"\\', b'12')
    for path in ('/s', '/s/c "h\u00e4"\\'):
        stat = zk.get(path)[1]
        status, out, err = zkfs('stat', '--json', top + path)
        expect_eq((status, err), (0, ''), 'stat --json')
        want = {'path': path, 'czxid': f'0x{stat.czxid:x}', 'mzxid': f'0x{stat.mzxid:x}', 'pzxid': f'0x{stat.pzxid:x}',
                'ctime': stat.ctime, 'mtime': stat.mtime, 'version': stat.version, 'cversion': stat.cversion,
                'aversion': stat.aversion, 'ephemeralOwner': f'0x{stat.ephemeralOwner:x}', 'dataLength': stat.dataLength,
                'numChildren': stat.numChildren}
        expect_eq(json.loads(out), want, 'what it says')
        lines = dict(line.split(' ', 1) for line in zkfs('stat', top + path)[1].splitlines())
        expect_eq(lines, {key: str(value) for key, value in want.items()}, 'the same in lines')
    expect(('stat', f'{top}/none'), 1, '', 'what is not there')
    expect(('stat', f'{top}/.zkfs/state'), 1, '', 'a control file')


def txn():
    expect(('txn', top), 0, 'ok /t\nok /t/0000000000\nok /t\n', 'a transaction',
           data=b'create /t ""\ncreate /t/ 1 sequential\nset /t x 0\n')
    expect_eq((zk.get('/t')[0], zk.get_children('/t')), (b'x', ['0000000000']), 'what it made')
    expect(('txn', f'{top}/t'), 1, 'error 2 EAGAIN set /t: it has another version\n', 'on a wrong version',
           data=b'create /u ""\nset /t y 7\n')
    expect_eq((zk.exists('/u'), zk.get('/t')[0]), (None, b'x'), 'nothing was done')
    status, out, _ = zkfs('txn', top, data=b'\nnonsense\n')
    expect_eq((status, out.startswith('error 2 EINVAL ')), (1, True), f'a wrong text: {out}')
    expect(('txn', top), 0, '', 'nothing to do', data=b'')


def read_session():
    with open(f'{top}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.split() for line in file)


def status_of_mount():
    want = {'mount': top, **read_session()}
    status, out, _ = zkfs('status', top)
    expect_eq((status, dict(line.split(' ', 1) for line in out.splitlines())), (0, want), 'status')
    status, out, _ = zkfs('status', '--json', f'{top}/s')
    expect_eq((status, json.loads(out)), (0, {**want, 'timeout': int(want['timeout'])}), 'status --json')


def silent():
    """What was sent may have been done."""
    own('pause', 1)
    began = time.monotonic()
    err = expect(('create', f'{top}/silent', 'x'), 1, '', 'without an answer')
    expect_eq(err in (f"zkfs create: cannot create '{top}/silent': no server answers: whether it was done cannot be known\n",
                      f"zkfs create: cannot create '{top}/silent': no server answers; it was not made\n"), True, err)
    expect_eq(time.monotonic() - began < 60, True, 'an end of waiting')
    own('resume', 1)
    wait_until(30, lambda: zkfs('status', top)[0] == 0, 'the server')


with mount('a mount') as mnt, client() as zk:
    top = mnt.path
    for scene in (usage, create, kinds, set_and_stat, txn, status_of_mount):
        scene()
        print(scene.__name__)

with Servers('--option', '-Dznode.container.checkIntervalMs=500') as own, mount('old age', '-o', 'timeout=2') as mnt, client() as zk:
    top = mnt.path
    mortal()
    silent()
