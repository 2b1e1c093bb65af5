"""The mount follows its session when its server is killed: a find that runs meanwhile is complete, and writing
goes on."""
import subprocess
import threading

from sample import create_many
from zktest import *

DIRECTORIES, FILES = 20, 200


def connected_servers():
    """Numbers of the servers to which the daemon has connections."""
    ports = [server.rpartition(':')[2] for server in own.connect.split(',')]
    shown = subprocess.run(['ss', '-Htnp', 'state', 'established'], check=True, stdout=subprocess.PIPE, text=True)
    return {ports.index(line.split()[3].rpartition(':')[2]) + 1 for line in shown.stdout.splitlines()
            if f'pid={mnt.pid},' in line and line.split()[3].rpartition(':')[2] in ports}


def find_until(stopped):
    while not stopped.is_set():
        found = subprocess.run(['find', mnt.path, '-type', 'f', '-size', '-2'], check=False, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        finds.append((found.returncode, len([line for line in found.stdout.splitlines() if '/f' in line]),
                      [line for line in found.stdout.splitlines() if line.startswith('find:')][:3]))


def write_until(stopped):
    count = 0
    while not stopped.is_set():
        count += 1
        try:
            with open(f'{mnt.path}/d00/f000', 'w', encoding='utf-8') as file:
                file.write(f'{count:06}')
        except OSError as error:
            refused.append(error)
        else:
            written.append(count)


require('ss')
finds, written, refused = [], [], []
with Servers('--ensemble', '3') as own, mount('mnt', '-o', 'session_timeout=6,timeout=20') as mnt:
    with client() as zk:
        create_many(zk, [(f'/d{i:02}', b'') for i in range(DIRECTORIES)])
        create_many(zk, [(f'/d{i:02}/f{j:03}', b'data') for i in range(DIRECTORIES) for j in range(FILES)])

    killed = None
    for _ in range(2):
        stopped = threading.Event()
        threads = [threading.Thread(target=what, args=(stopped,)) for what in (find_until, write_until)]
        for thread in threads:
            thread.start()
        wait_until(10, lambda: len(finds) >= 1 and written, 'the first find and write')
        now = connected_servers()
        expect_eq(len(now), 1, f'servers that the session and the stream are at ({now})')
        if killed:
            own('restart', killed)
        killed = now.pop()
        own('kill', killed)
        wait_until(20, lambda: len(connected_servers()) == 1, 'connections to another server')
        before = len(finds), len(written)
        wait_until(20, lambda: len(finds) > before[0] + 1 and len(written) > before[1] + 10, 'work to go on')
        stopped.set()
        for thread in threads:
            thread.join()

    for found in finds:
        expect_eq(found, (0, DIRECTORIES * FILES, []), 'find (exit status, files, errors)')
    # What was under way when the server died has an unknown outcome.
    if len(refused) > 2 or any(error.errno not in (errno.ETIMEDOUT, errno.EIO) for error in refused):
        fail(f'writes failed: {refused}')
    with client() as zk:
        expect_eq(int(zk.get('/d00/f000')[0]), written[-1], 'what was written last')
    expect_eq(int(open(f'{mnt.path}/d00/f000').read()), written[-1], 'and what is read')
