"""A night without a server: programs go on asking and writing, and the daemon's log stays small and its processor idle; it is right at
once when the server is back. At full size (ZKFS_TEST_SCALE=100) it takes ten minutes."""
# timeout: 900
import socket
import subprocess
import threading
import time

from zktest import *

SECONDS = max(3.0, 6 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))
NIGHT = 600


class Flapper:
    """In the server's place: takes connections, and breaks them at once or after their first request."""

    def __init__(self, address):
        host, port = address.split(':')
        self.listener = socket.create_server((host, int(port)), backlog=64)
        self.count = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            with connection:
                if self.count % 2:
                    connection.settimeout(1)
                    try:
                        connection.recv(100)
                    except OSError:
                        pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def processor():
    """s of it that the daemon has used."""
    with open(f'/proc/{mnt.pid}/stat', encoding='utf-8') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def attempt(act):
    try:
        return act()
    except OSError:
        return None


def write(name, text):
    with open(f'{mnt.path}/{name}', 'w', encoding='utf-8') as file:
        file.write(text)


def read(name):
    with open(f'{mnt.path}/{name}', encoding='utf-8') as file:
        return file.read()


def use(until):
    """As programs do that look at their configuration now and then, and save something."""
    number = 0
    while time.monotonic() < until:
        number += 1
        attempt(lambda: read('config'))
        attempt(lambda: os.listdir(f'{mnt.path}/many'))
        attempt(lambda: os.stat(f'{mnt.path}/nothing{number}'))     # pylint: disable=cell-var-from-loop
        attempt(lambda: write('state', f'{number}'))                # pylint: disable=cell-var-from-loop
        time.sleep(0.5)


class Foreground(Mount):
    """Its log goes to a file."""

    def __init__(self, name, *options):     # pylint: disable=super-init-not-called
        self.path = os.path.join(SCRATCH, name)
        os.makedirs(self.path)
        self.log = self.path + '.err'
        with open(self.log, 'wb') as file:
            self.process = subprocess.Popen([ZKFS, '-f', *options, servers() + ROOT, self.path], stdin=subprocess.DEVNULL,
                                            stdout=file, stderr=file)
        self.pid = self.process.pid
        wait_until(30, lambda: os.path.ismount(self.path), 'the mount')

    def unmount(self):
        wait_until(30, lambda: subprocess.run(['fusermount3', '-u', self.path], check=False).returncode == 0, 'unmounting')
        self.process.wait()


with Servers() as own, client() as zk, Foreground('mnt', '-o', 'timeout=2,stale=forever') as mnt:
    zk.create('/config', b'as it was')
    zk.create('/state', b'0')
    zk.create('/many', b'')
    for i in range(20):
        zk.create(f'/many/{i}', b'data')
    mnt.settle()
    os.listdir(f'{mnt.path}/many')
    expect_eq(read('config'), 'as it was', 'before')
    zk.stop()
    own('kill', 1)
    began, used, said = time.monotonic(), processor(), os.path.getsize(mnt.log)
    use(began + SECONDS / 2)
    flapper = Flapper(servers())
    use(began + SECONDS)
    flapper.stop()
    took = time.monotonic() - began
    used, said = processor() - used, os.path.getsize(mnt.log) - said
    print(f'{took:.0f} s: {said} bytes of log, {100 * used / took:.2f} % of a core, {flapper.count} connections')
    expect_eq(read('config'), 'as it was', 'what was cached')
    own('restart', 1)
    with client(timeout=30) as back:
        back.set('/config', b'as it is')
        back.create('/many/new', b'x')
        wait_until(60, lambda: read('.zkfs/state').strip() == 'connected', 'the session')
        wait_until(60, lambda: attempt(lambda: read('config')) == 'as it is', 'the new contents')
        expect_eq(len(os.listdir(f'{mnt.path}/many')), 21, 'the new listing')
        write('state', 'after')
        expect_eq(back.get('/state')[0], b'after', 'what is written afterwards')
    # Messages are bounded for good, but the first of each kind come at once.
    if said > 100_000 + 1_000_000 * took / NIGHT:
        fail(f'{said} bytes of log in {took:.0f} s')
    if took > 60 and used / took > 0.01:
        fail(f'{100 * used / took:.2f} % of a core')
