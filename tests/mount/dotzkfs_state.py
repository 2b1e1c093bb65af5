"""/.zkfs/state and session: what cat, grep, tail and Python read there through an outage and an expired session, told of by poll
and inotify, without a server."""
import select
import signal
import subprocess

from zktest import *

FILES = ['lease', 'metrics', 'session', 'state', 'transaction']


def state():
    with open(f'{top}/.zkfs/state', encoding='utf-8') as file:
        return file.read()


def session():
    with open(f'{top}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.rstrip('\n').split(' ', 1) for line in file)


def metric(name):
    with open(f'{top}/.zkfs/metrics', encoding='utf-8') as file:
        return next(float(line.split()[1]) for line in file if line.startswith(f'{name} '))


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def lines(name):
    with open(name, encoding='utf-8') as file:
        return file.read().split('\n')[:-1]


def start(output_name, *command, stderr=subprocess.STDOUT):
    """Its output goes to a file."""
    with open(output_name, 'w', encoding='utf-8') as out:
        return subprocess.Popen(command, stdout=out, stderr=stderr)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait()


class Watched:
    """Who has the state open and polls."""

    def __init__(self):
        self.fd = os.open(f'{top}/.zkfs/state', os.O_RDONLY)
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLPRI)
        os.read(self.fd, 100)
        expect_eq(self.poll.poll(0), [], 'nothing has changed')

    def expect(self, expected, what):
        while True:
            expect_eq(self.poll.poll(20_000), [(self.fd, select.POLLPRI)], f'poll: {what}')
            got = os.pread(self.fd, 100, 0).decode()
            if got == f'{expected}\n':
                return


def check_reading():
    expect_eq(sorted(os.listdir(f'{top}/.zkfs')), FILES, 'the control directory')
    expect_eq([name for name in os.listdir(top) if 'zkfs' in name], [], 'it is not listed')
    for command in (['cat'], ['head', '-n', '1'], ['tail', '-n', '1'], ['grep', ''], ['dd', 'status=none', 'bs=1', 'if=/dev/stdin']):
        with open(f'{top}/.zkfs/state', encoding='utf-8') as file:
            got = subprocess.run(command, stdin=file, stdout=subprocess.PIPE, text=True, check=True).stdout
        expect_eq(got, 'connected\n', f'{command[0]}')
    expect_eq(output('grep', '-c', 'connected', f'{top}/.zkfs/state'), '1\n', 'grep by name')
    subprocess.run(['cp', f'{top}/.zkfs/session', 'copy'], check=True)
    expect_eq(dict(line.split(' ', 1) for line in lines('copy')), session(), 'cp')
    with open(f'{top}/.zkfs/state', 'rb', buffering=0) as file:
        expect_eq((file.read(), file.read()), (b'connected\n', b''), 'to its end')
        file.seek(0)
        expect_eq(file.read(), b'connected\n', 'again from the start')
    wait_until(10, lambda: os.stat(f'{top}/.zkfs/state').st_size == len('connected\n'), 'its size')
    expect_eq(os.listxattr(f'{top}/.zkfs/state'), [], 'its extended attributes')
    with expect_error(errno.ENOTSUP, 'an extended attribute'):
        os.getxattr(f'{top}/.zkfs/state', 'user.zk.acl')
    expect_eq(len({os.stat(f'{top}/.zkfs/{name}').st_ino for name in ['.', *FILES]}), 6, 'inodes')


def check_refusals():
    for name in ('state', 'session', 'metrics', 'lease'):
        with expect_error(errno.EACCES, f'writing {name}'):
            os.open(f'{top}/.zkfs/{name}', os.O_WRONLY)
    for what, act in (('unlink', lambda: os.unlink(f'{top}/.zkfs/state')),
                      ('rmdir', lambda: os.rmdir(f'{top}/.zkfs')),
                      ('mkdir', lambda: os.mkdir(f'{top}/.zkfs/dir')),
                      ('create', lambda: os.close(os.open(f'{top}/.zkfs/new', os.O_CREAT | os.O_WRONLY))),
                      ('symlink', lambda: os.symlink('x', f'{top}/.zkfs/new')),
                      ('chmod', lambda: os.chmod(f'{top}/.zkfs/state', 0o600)),
                      ('from it', lambda: os.rename(f'{top}/.zkfs/state', f'{top}/here')),
                      ('into it', lambda: os.rename(f'{top}/file', f'{top}/.zkfs/file')),
                      ('over it', lambda: os.rename(f'{top}/dir', f'{top}/.zkfs'))):
        with expect_error(errno.EPERM, what):
            act()
    with expect_error(errno.EEXIST, 'mkdir of itself'):
        os.mkdir(f'{top}/.zkfs')
    for name in ('nothing', '.data', '.zkfs'):
        with expect_error(errno.ENOENT, name):
            os.stat(f'{top}/.zkfs/{name}')
    with expect_error(errno.ENOENT, 'elsewhere'):
        os.stat(f'{top}/dir/.zkfs')


def check_allow_other():
    """Where the kernel checks modes, it asks for the root's before it lets anybody in."""
    global top     # pylint: disable=global-statement
    with Servers() as own, mount('checked', '-o', 'allow_other,timeout=60,session_timeout=60') as mnt:
        top = mnt.path
        expect_eq(state(), 'connected\n', 'with allow_other')
        watched = Watched()
        inotify = start('events', 'inotifywait', '-m', '-e', 'modify', f'{top}/.zkfs/state')
        wait_until(10, lambda: any('established' in line for line in lines('events')), 'the watch')
        own('kill', 1)
        watched.expect('suspended', 'allow_other, no server')
        expect_eq(state(), 'suspended\n', 'allow_other, no server')
        wait_until(20, lambda: any('MODIFY' in line for line in lines('events')), 'inotify: allow_other, no server')
        own('restart', 1)
        watched.expect('connected', 'allow_other, a server again')
        os.close(watched.fd)
        stop(inotify)


with Servers() as own, mount('mnt', '-o', 'stale=never,session_timeout=2,timeout=2') as mnt:
    top = mnt.path
    with client() as zk:
        zk.create('/file', b'data')
        zk.create('/dir/child', b'', makepath=True)
    check_reading()
    check_refusals()

    first = session()
    expect_eq({key: first[key] for key in ('state', 'server', 'reads', 'watch', 'timeout')},
              {'state': 'connected', 'server': servers(), 'reads': servers(), 'watch': 'recursive', 'timeout': '2000'}, 'the session')
    expect_eq(first['id'] in sessions(), True, f'{first["id"]} is a session of the server')

    watched = Watched()
    inotify = start('events', 'inotifywait', '-m', '-e', 'modify,close_write', f'{top}/.zkfs/state')
    wait_until(10, lambda: any('established' in line for line in lines('events')), 'the watch')
    with open('tail', 'w', encoding='utf-8') as errors:
        tail = start('tailed', 'tail', '-F', f'{top}/.zkfs/state', stderr=errors)
    wait_until(10, lambda: lines('tailed') == ['connected'], 'tail: the first')

    own('kill', 1)
    watched.expect('suspended', 'no server')
    expect_eq((state(), session()['state'], session()['server'], session()['id']), ('suspended\n', 'suspended', 'none', first['id']),
              'without a server')
    wait_until(20, lambda: session()['reads'] == 'none' and session()['watch'] == 'none', 'the reads to end')
    wait_until(20, lambda: any('MODIFY' in line for line in lines('events')), 'inotify: no server')
    wait_until(20, lambda: any('CLOSE_WRITE' in line for line in lines('events')), 'inotify: it was written')
    wait_until(20, lambda: 'suspended' in lines('tailed'), 'tail: no server')
    # That it is always there is not for want of asking.
    with expect_error(errno.ETIMEDOUT, 'a file that nobody looked at'):
        os.stat(f'{top}/dir/child')

    seen = len(lines('events'))
    own('restart', 1)
    watched.expect('connected', 'a server again')
    wait_until(20, lambda: len(lines('events')) > seen, 'inotify: a server again')
    wait_until(20, lambda: lines('tailed')[:2] == ['connected', 'suspended'] and lines('tailed')[-1] == 'connected', 'tail: a server again')
    wait_until(20, lambda: session()['watch'] == 'recursive', 'the watch again')
    stop(inotify)
    stop(tail)
    expect_eq(metric('zkfs_session_suspended_total') >= 1, True, 'it was counted')

    before, lost = session()['id'], metric('zkfs_session_lost_total')    # the outage may have been too long for the first
    os.read(watched.fd, 100)
    # Frozen from outside, the daemon cannot keep its sessions alive.
    os.kill(mnt.pid, signal.SIGSTOP)
    wait_until(20, lambda: before not in sessions(), 'the session to expire')
    os.kill(mnt.pid, signal.SIGCONT)
    wait_until(20, lambda: session()['state'] == 'connected' and session()['id'] not in (before, '0x0'), 'a new session')
    watched.expect('connected', 'the new session')
    expect_eq(metric('zkfs_session_lost_total') > lost, True, 'the old one was lost')
    expect_eq(session()['id'] in sessions(), True, 'the server knows the new one')
    os.close(watched.fd)

with client() as zk:
    zk.create('/file', b'data')
for how in ('inotify', 'invalidate'):
    with mount(how, '-o', f'ro,notify={how}') as mnt:
        top = mnt.path
        expect_eq((state(), session()['state']), ('connected\n', 'connected'), f'read-only, notify={how}')
        expect_eq(metric('zkfs_watching'), 1, 'metrics of a read-only mount')
        with expect_error(errno.EROFS, 'a transaction'):
            os.open(f'{top}/.zkfs/transaction', os.O_RDWR)
        with expect_error(errno.EROFS, 'writing the state'):
            os.open(f'{top}/.zkfs/state', os.O_WRONLY)
if os.geteuid() == 0:
    check_allow_other()
    with mount('shared', '-o', 'allow_other') as mnt:
        os.chdir(mnt.path)     # the directories above it are not for others
        nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
        expect_eq(output(*nobody, 'cat', '.zkfs/state'), 'connected\n', 'another user')
        shell = 'echo "delete /file" >.zkfs/transaction'
        expect_eq(subprocess.run([*nobody, 'sh', '-c', shell], stderr=subprocess.DEVNULL, check=False).returncode != 0, True,
                  'the transaction of another user')
        with client() as zk:
            expect_eq(zk.exists('/file') is not None, True, 'the file')
        os.chdir(SCRATCH)
