"""What a Python test of a real mount uses; the shell's counterpart is lib.sh, whose zk runs this.

    from zktest import *

    with mount() as mnt, client() as zk:
        open(f'{mnt.path}/greeting', 'w').write('hello')
        expect_eq(zk.get('/greeting')[0], b'hello', 'data of the node')

The runner (run) gives each test its program, servers, znode and scratch directory.
"""

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

__all__ = ['ROOT', 'SCRATCH', 'TOP', 'ZKFS', 'LoggedMount', 'Mount', 'Servers', 'await_group_end', 'client', 'errno', 'expect_end', 'expect_eq',
           'expect_error', 'fail', 'mount', 'os', 'require', 'servers', 'sessions', 'skip', 'start_verb', 'state_of', 'wait_until']

try:
    ZKFS = os.environ['ZKFS']           # the program to test
    ROOT = os.environ['ROOT']           # this test's znode
    SCRATCH = os.environ['SCRATCH']     # this test's directory
    TOP = os.environ['TOP']             # the repository
    os.environ['ZK']
except KeyError as missing:
    raise SystemExit(f'{missing} is not set: tests/mount/run runs the tests') from None


def fail(message):
    sys.stdout.flush()
    print(f'FAILED: {message}', file=sys.stderr)
    sys.exit(1)


def skip(message):
    print(message)
    sys.stdout.flush()
    sys.exit(77)


def require(*commands):
    for command in commands:
        if not shutil.which(command):
            skip(f'{command} is missing')


def expect_eq(actual, expected, what):
    if actual != expected:
        fail(f'{what}: got {actual!r}, expected {expected!r}')


@contextlib.contextmanager
def expect_error(number, what=''):
    """with expect_error(errno.ENOENT): …"""
    name = errno.errorcode[number]
    try:
        yield
    except OSError as error:
        if error.errno != number:
            fail(f'{what}: got {error}, expected {name}')
    else:
        fail(f'{what}: succeeded, expected {name}')


def wait_until(seconds, condition, what='condition'):
    """For what cannot be awaited otherwise. Returns condition's first true result."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            fail(f'{what}: not within {seconds} s')
        time.sleep(0.02)


def servers():
    """The connect string: the run's servers, or this test's own since Servers.start()."""
    return os.environ['ZK']


# --- ZooKeeper ------------------------------------------------------------------------------------

@contextlib.contextmanager
def client(root=ROOT, **options):
    """A started KazooClient whose '/' is the test's root; root='' for the servers' own."""
    zk = KazooClient(servers() + root, **dict({'timeout': 10}, **options))
    zk.start(timeout=30)
    try:
        yield zk
    finally:
        zk.stop()
        zk.close()


def sessions():
    """Ids of the sessions that the server has, as its 'dump' says: {'0x…'}. There must be one server."""
    host, port = servers().split(':')
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b'dump')
        text = b''
        while piece := connection.recv(65536):
            text += piece
    return {word for word in text.decode().replace('\t', '\n').split('\n') if word.startswith('0x')}


class Servers:
    """Servers of this test alone, which it may kill: with Servers('--ensemble', '3') as own: …

    Everything after it mounts and asks these; own('kill', 2), own('pause', 1, 2) and so on are
    scripts/zookeeper's commands.
    """

    def __init__(self, *options):
        self.dir = os.path.join(SCRATCH, 'servers')
        self.shared = servers()
        self.connect = os.environ['ZK'] = self('start', *options).strip()
        with client(root='') as zk:
            zk.create(ROOT, b'')

    def __call__(self, *command):
        done = subprocess.run(
            [os.path.join(TOP, 'scripts', 'zookeeper'), *map(str, command), '--dir', self.dir],
            stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode and command[0] != 'status':
            fail(f'zookeeper {command[0]}: exit status {done.returncode}')
        return done.stdout

    def stop(self):
        self('stop')
        os.environ['ZK'] = self.shared

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()


# --- zkfs -----------------------------------------------------------------------------------------

def stat_of(pid):
    """The process's state, parent and group; of one that is not there, 'X'."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            state, parent, group = file.read().rpartition(')')[2].split()[:3]
            return state, int(parent), int(group)
    except OSError:
        return 'X', 0, 0


def state_of(pid):
    return stat_of(pid)[0]


def is_running(pid):
    return state_of(pid) not in 'ZX'


def find_daemon(path):
    """The pid of the zkfs that was started for this mountpoint."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.path.samefile(f'/proc/{pid}/exe', ZKFS):
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    if os.fsencode(path) in file.read().split(b'\0'):
                        return int(pid)
        except OSError:
            pass
    return None


def check_sanitizers():
    for file in os.listdir(SCRATCH):
        if file.startswith('sanitizer.'):
            fail('a sanitizer reported')    # the runner shows what


class Mount:
    """A mounted zkfs: path, pid, and unmount(), which a with statement calls at its end."""

    def __init__(self, name='mnt', *options, root=ROOT):
        self.path = os.path.join(SCRATCH, name)
        with contextlib.suppress(FileExistsError):  # (a dead mount's directory cannot be looked at)
            os.makedirs(self.path)
        with open(self.path + '.err', 'wb') as file:
            self.start([*options, servers() + root, self.path], {'stdin': subprocess.DEVNULL, 'stdout': file, 'stderr': file})
        if not os.path.ismount(self.path):
            fail(f"zkfs succeeded, but '{self.path}' is not mounted")
        self.pid = find_daemon(self.path)
        if not self.pid:
            fail(f"zkfs succeeded, but no daemon serves '{self.path}'")

    def start(self, words, files):
        status = subprocess.run([ZKFS, *words], check=False, **files).returncode
        if status:
            fail(f"cannot mount '{self.path}': exit status {status}")

    def settle(self):
        """Waits until the mount has seen all that others have done so far, for our own change comes after it,
        and has told the kernel, for that is what opening a directory waits for."""
        os.mkdir(f'{self.path}/.settle')
        os.rmdir(f'{self.path}/.settle')
        os.listdir(self.path)

    def unmount(self):
        """Waits until the daemon has exited; fails if it died or a sanitizer reported."""
        alive = is_running(self.pid)
        # Somebody may be just looking: the announcer, an inotify test's other half.
        wait_until(5, lambda: subprocess.run(
            ['fusermount3', '-u' if alive else '-uz', self.path], check=False,
            stderr=subprocess.DEVNULL).returncode == 0, f"unmounting '{self.path}'")
        if not alive:
            fail(f"zkfs has died (mountpoint '{self.path}')")
        wait_until(30, lambda: not is_running(self.pid), 'the end of the unmounted zkfs')
        check_sanitizers()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # After a failure the runner cleans up, and the failure is what matters.
        if kind is None:
            self.unmount()


class LoggedMount(Mount):
    """Stays in the foreground: its messages are in log() and not in the system's log."""

    def start(self, words, files):
        self.daemon = subprocess.Popen([ZKFS, '-f', *words], **files)   # pylint: disable=consider-using-with
        wait_until(60, lambda: os.path.ismount(self.path) or self.daemon.poll() is not None, f"mounting '{self.path}'")

    def log(self):
        with open(self.path + '.err', encoding='utf-8') as file:
            return file.read()

    def unmount(self):
        super().unmount()
        expect_eq(self.daemon.wait(30), 0, 'exit status')


def mount(name='mnt', *options, root=ROOT):
    """with mount() as mnt: …, or mount('second', '-o', 'strict')."""
    return Mount(name, *options, root=root)


# --- Verbs that run commands ----------------------------------------------------------------------

def start_verb(*words, **more):
    """zkfs VERB …, with its output in pipes."""
    return subprocess.Popen([ZKFS, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **more)


def expect_end(process, status, seconds=30):
    """Waits for it; its output and its messages."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        fail(f'{process.args} runs on')
    expect_eq(process.returncode, status, f'{process.args} ({err.strip()})')
    return out, err


def await_group_end(group):
    """Until no process of the group runs. (A zombie whose parent has died may wait for whoever is its parent then.)"""
    def is_gone():
        stats = [stat_of(pid) for pid in os.listdir('/proc') if pid.isdigit()]
        return not any(its == group and state not in 'ZX' for state, _, its in stats)
    wait_until(20, is_gone, f'the end of the process group {group}')


# --- lib.sh's zk ----------------------------------------------------------------------------------

def run_snippet(code, args):
    def put(path, data):
        zk.ensure_path(path.rpartition('/')[0] or '/')
        data = data.encode() if isinstance(data, str) else data
        try:
            zk.set(path, data)
        except NoNodeError:
            zk.create(path, data)

    def cat(path):
        return zk.get(path)[0].decode()

    def ls(path='/'):
        return sorted(zk.get_children(path))

    def tree(path='/'):
        below = [f"{path.rstrip('/')}/{name}" for name in ls(path)]
        return [node for child in below for node in [child] + tree(child)]

    def stat(path):
        return zk.get(path)[1]

    with client() as zk:
        exec(compile(textwrap.dedent(code), 'zk', 'exec'),      # pylint: disable=exec-used
             {'zk': zk, 'root': ROOT, 'args': args, 'put': put, 'cat': cat, 'ls': ls, 'tree': tree,
              'stat': stat, 'wait_until': wait_until, 'fail': fail, 'expect_eq': expect_eq,
              'os': os, 'sys': sys, 'time': time})


def main():
    if sys.argv[1] == '--make-root':
        with client(root='') as zk:
            zk.create(ROOT, b'')
    else:
        run_snippet(sys.argv[2], sys.argv[3:])


if __name__ == '__main__':
    main()
