"""SIGTERM: what was written to open files is saved, the session is closed, it is unmounted, the exit status is 0; also without a server,
in no more than the timeout, and with files open."""
import signal
import subprocess
import time

from zktest import *


def start(name, *options):
    path = f'{SCRATCH}/{name}'
    os.makedirs(path, exist_ok=True)
    with open(f'{path}.err', 'wb') as err:
        daemon = subprocess.Popen([ZKFS, '-f', *options, servers() + ROOT, path], stdin=subprocess.DEVNULL, stdout=err,
                                  stderr=err)
    wait_until(60, lambda: os.path.ismount(path) or daemon.poll() is not None, 'the mount')
    return path, daemon


def terminate(path, daemon):
    daemon.send_signal(signal.SIGTERM)
    expect_eq(daemon.wait(timeout=60), 0, 'exit status')
    expect_eq(os.path.ismount(path), False, 'whether it is mounted')


def messages(path):
    with open(f'{path}.err', encoding='utf-8') as err:
        return err.read()


# The session timeout is longer than the test: nothing but closing the session removes an ephemeral in time.
with client() as zk:
    zk.create('/log', b'one\n')
    zk.create('/kept', b'old')
    path, daemon = start('mnt', '-o', 'session_timeout=40')
    ephemeral = os.open(f'{path}/ephemeral', os.O_CREAT | os.O_WRONLY | os.O_ASYNC)
    os.open(f'{path}/held', os.O_CREAT | os.O_WRONLY | os.O_ASYNC | os.O_NOATIME)
    wait_until(30, lambda: zk.exists('/held') and zk.exists('/ephemeral'), 'the ephemerals')
    new = os.open(f'{path}/new', os.O_CREAT | os.O_WRONLY)
    log = os.open(f'{path}/log', os.O_WRONLY | os.O_APPEND)
    os.open(f'{path}/kept', os.O_WRONLY | os.O_TRUNC)       # as a shell does before it runs what writes
    os.open(f'{path}/never', os.O_CREAT | os.O_WRONLY)
    os.chdir(path)                                          # it is busy
    os.write(new, b'draft')
    os.write(log, b'two\n')
    terminate(path, daemon)
    expect_eq(zk.get('/new')[0], b'draft', 'the new file')
    expect_eq(zk.get('/log')[0], b'one\ntwo\n', 'what was appended')
    expect_eq(zk.get('/kept')[0], b'old', 'what was only emptied')
    expect_eq([zk.exists(f'/{name}') for name in ('ephemeral', 'held', 'never')], [None] * 3, 'what is gone')
    with expect_error(errno.ENOTCONN, 'a descriptor of the old mount'):
        os.write(new, b'more')
    os.chdir(SCRATCH)
    expect_eq(len(messages(path).splitlines()), 1, f'lines said: {messages(path)!r}')

with Servers() as own:
    path, daemon = start('cut', '-o', 'timeout=2')
    file = os.open(f'{path}/file', os.O_CREAT | os.O_WRONLY)
    own('pause', 1)
    os.write(file, b'draft')
    begin = time.monotonic()
    terminate(path, daemon)
    if time.monotonic() - begin > 30:
        fail('it took more than the timeout')
    if 'is lost' not in messages(path):
        fail(f'nobody is told what is lost: {messages(path)!r}')
    own('resume', 1)

    # With no server at all, and nothing to save.
    path, daemon = start('alone', '-o', 'timeout=2')
    own('kill', 1)
    terminate(path, daemon)
