"""The mount can be unmounted at any moment while it announces what others do: never busy, and the directory underneath is not
touched."""
import itertools
import subprocess
import threading

from zktest import *
from zktest import is_running

# timeout: 3000
ROUNDS = max(5, int(60 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))


def storm():
    """Births, changes and deaths without end."""
    for number in itertools.count():
        if done.is_set():
            return
        results = [zk.create_async(f'/d/{number % 50}-{i}', b'x') for i in range(20)]
        results += [zk.set_async(f'/d/{number % 50}-{i}', b'yy') for i in range(20)]
        results += [zk.delete_async(f'/d/{number % 50}-{i}') for i in range(20)]
        for result in results:
            result.wait()


done = threading.Event()
with client() as zk:
    zk.create('/d')
    thread = threading.Thread(target=storm)
    thread.start()
    try:
        underneath = f'{SCRATCH}/mnt'
        os.makedirs(f'{underneath}/d')
        for number in range(50):
            with open(f'{underneath}/d/{number}-0', 'w', encoding='utf-8') as file:
                file.write('mine')
        before = {name: os.stat(f'{underneath}/d/{name}').st_mtime_ns for name in os.listdir(f'{underneath}/d')}
        for _ in range(ROUNDS):
            mnt = mount()
            inotify = subprocess.Popen(['inotifywait', '-e', 'close_write', f'{mnt.path}/d'], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            inotify.wait(20)    # it announces
            expect_eq(inotify.returncode, 0, 'inotifywait')
            status = subprocess.run(['fusermount3', '-u', mnt.path], check=False, capture_output=True, text=True)
            expect_eq((status.returncode, status.stderr), (0, ''), 'unmounting at the first attempt')
            wait_until(10, lambda pid=mnt.pid: not is_running(pid), 'the end of the daemon')
            after = {name: os.stat(f'{underneath}/d/{name}').st_mtime_ns for name in os.listdir(f'{underneath}/d')}
            expect_eq(after, before, 'the directory underneath')
    finally:
        done.set()
        thread.join()
