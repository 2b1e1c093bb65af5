"""A thousand requests that wait for a paused server need no thread each, and all end when it goes on. (notify=invalidate: what is
announced is read for that, and the requests are to find nothing in memory.)"""
import subprocess
import threading

from sample import create_many
from zktest import *

COUNT = int(1000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))


def thread_count():
    with open(f'/proc/{mnt.pid}/status', encoding='utf-8') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Threads:'))


def waiting():
    """Requests that the kernel waits for, as its control filesystem says, if we may mount that."""
    if not os.path.isdir(f'{CONTROL}/{os.minor(device)}'):
        return len(begun)
    with open(f'{CONTROL}/{os.minor(device)}/waiting', encoding='utf-8') as file:
        return int(file.read())


def work(index):
    """Each in a directory of its own, for the kernel locks that while something is made in it."""
    begun.append(index)
    if index % 4 == 0:
        os.mkdir(f'{mnt.path}/{index}/made-{index}')
    elif index % 4 == 1:
        with open(f'{mnt.path}/{index}/written-{index}', 'w', encoding='utf-8') as file:
            file.write(str(index))
    elif index % 4 == 2:
        with open(f'{mnt.path}/{index}/file', encoding='utf-8') as file:
            assert file.read() == 'data'
    else:
        assert not os.path.lexists(f'{mnt.path}/{index}/nothing')
    ended.append(index)


threading.stack_size(64 * 1024)
CONTROL = f'{SCRATCH}/fusectl'
os.mkdir(CONTROL)
has_control = subprocess.run(['mount', '-t', 'fusectl', 'fusectl', CONTROL], check=False).returncode == 0
begun, ended = [], []
with Servers() as own, mount('mnt', '-o', 'session_timeout=40,timeout=60,notify=invalidate') as mnt:
    with client() as zk:
        create_many(zk, [(f'/{i}', b'') for i in range(COUNT)])
        create_many(zk, [(f'/{i}/file', b'data') for i in range(COUNT)])
    mnt.settle()
    device = os.stat(mnt.path).st_dev
    own('pause', 1)
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(COUNT)]
    for thread in threads:
        thread.start()
    wait_until(20, lambda: waiting() >= COUNT, 'the requests to be in flight')
    expect_eq(ended, [], 'what ended though the server is paused')
    if thread_count() >= 32:
        fail(f'{thread_count()} threads for {COUNT} requests')
    own('resume', 1)
    for thread in threads:
        thread.join()
    expect_eq(len(ended), COUNT, 'operations that ended well')
    with client() as zk:
        made = sum(len(zk.get_children(f'/{i}')) - 1 for i in range(COUNT))
        expect_eq(made, sum(index % 4 < 2 for index in range(COUNT)), 'znodes made')
if has_control:
    subprocess.run(['umount', CONTROL], check=True)
