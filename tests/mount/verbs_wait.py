"""zkfs wait: each condition, without a race between looking and waiting, while there is no server, and until its time is up."""
import random
import subprocess
import threading
import time

from zktest import *


def start(*words):
    return start_verb('wait', *words)


def started(*words):
    """One that waits by now: it has looked, and sleeps until there is news."""
    process = start(*words)

    def sleeps():
        with open(f'/proc/{process.pid}/wchan', encoding='utf-8') as file:
            return 'poll' in file.read() or process.poll() is not None

    def watches():
        try:
            for fd in os.listdir(f'/proc/{process.pid}/fdinfo'):
                with open(f'/proc/{process.pid}/fdinfo/{fd}', encoding='utf-8') as file:
                    if 'inotify wd' in file.read():
                        return True
        except OSError:
            pass
        return False
    wait_until(20, watches, 'a watch')
    wait_until(20, sleeps, 'its sleep')
    expect_eq(process.poll(), None, f'zkfs wait {words}: it waits')
    return process


def ended(process, status=0, seconds=4.5):
    """Before it would look by itself."""
    return expect_end(process, status, seconds)[1]


def now(*words, status=0):
    return ended(start(*words), status, 30)


def conditions():
    zk.create('/a', b'1')
    now(f'{top}/a')
    now('--gone', f'{top}/b')
    now('--equals=1', f'{top}/a')
    for remote in (True, False):
        waiting = started('--exists', f'{top}/a', f'{top}/b')
        zk.create('/b', b'') if remote else os.mkdir(f'{top}/b')
        ended(waiting)
        waiting = started('--gone', f'{top}/b')
        zk.delete('/b') if remote else os.rmdir(f'{top}/b')
        ended(waiting)
        waiting = started('--changed', f'{top}/a')
        zk.set('/a', b'2') if remote else open(f'{top}/a', 'w', encoding='utf-8').write('2')
        ended(waiting)
        waiting = started('--equals', 'three', f'{top}/a')
        zk.set('/a', b'threes')
        zk.set('/a', b'three\n') if remote else open(f'{top}/a', 'w', encoding='utf-8').write('three')
        ended(waiting)

    # Parents that are not there; directories, by their entries and their data.
    waiting = started(f'{top}/p/q/r/s')
    zk.ensure_path('/p/q/r/s')
    ended(waiting)
    waiting = started('--changed', f'{top}/p/q')
    zk.create('/p/q/new')
    ended(waiting)
    waiting = started('--changed', f'{top}/p/q')
    zk.set('/p/q', b'data')
    ended(waiting)
    waiting = started('--equals', 'more', f'{top}/p/q')
    zk.set('/p/q', b'more')
    ended(waiting)
    waiting = started('--gone', f'{top}/p/q/r/s')
    zk.delete('/p/q/r', recursive=True)
    ended(waiting)
    # Seen from inside.
    process = subprocess.Popen([ZKFS, 'wait', 'in/side'], cwd=f'{top}/p', stderr=subprocess.PIPE, text=True)
    zk.ensure_path('/p/in/side')
    ended(process)
    # For all of them at once.
    waiting = started(f'{top}/x', f'{top}/y')
    zk.create('/x')
    zk.create('/y')
    ended(waiting)


def times():
    began = time.monotonic()
    err = now('--timeout=0.5', f'{top}/a', f'{top}/never', status=124)
    expect_eq(err, f"zkfs wait: timed out waiting for '{top}/never'\n", 'which one')
    expect_eq(time.monotonic() - began >= 0.5, True, 'not before')
    now('--timeout', '0', f'{top}/never', status=124)
    now('--timeout', '0', f'{top}/a')
    for words in (('--timeout', 'x', 'a'), ('--timeout', '.', 'a'), ('--exists', '--gone', 'a'), ('--equals',)):
        now(*words, status=2)


def races():
    """Those who begin to wait just when it happens."""
    for i in range(60):
        def happen():
            time.sleep(random.uniform(0, 0.02))    # to hit any point of what it does: nothing is awaited by it
            zk.create(f'/race{i}', b'x')
        thread = threading.Thread(target=happen)
        waiting = start(f'{top}/race{i}')
        thread.start()
        ended(waiting)
        thread.join()


def suspended():
    zk.create('/outage')
    gone = started('--gone', f'{top}/outage/x/y', f'{top}/a')
    waiting = started(f'{top}/outage/x/y')
    outage = started('--equals=suspended', f'{top}/.zkfs/state')
    own('kill', 1)
    ended(outage, seconds=20)
    expect_eq(waiting.poll(), None, 'it waits on')
    began = time.monotonic()
    now('--timeout=1', f'{top}/outage/x/y', status=124)
    expect_eq(time.monotonic() - began < 8, True, 'the time counts without a server')
    expect_eq(now('--timeout=0.2', '--gone', f'{top}/none', status=124).endswith('could not be looked at\n'), True,
              'nobody can say that it is not there')
    late = start(f'{top}/outage/x/y')    # begins without a server
    own('restart', 1)
    wait_until(40, lambda: zk.connected, 'the server')
    zk.retry(zk.ensure_path, '/outage/x/y')
    ended(waiting, seconds=30)
    ended(late, seconds=30)
    gone.kill()
    gone.communicate()


def never():
    """What cannot come is not waited for."""
    for name, why in (('.zkfs/no', 'no znode can have that name'), ('\U0001f600', 'ZooKeeper refuses a character in its name'),
                      ('p/\x01/q', 'ZooKeeper refuses a character in its name'), ('n' * 1025, 'its name or path is too long'),
                      ('n/' * 5000, 'its name or path is too long')):
        for condition in ('--exists', '--changed', '--equals=x'):
            err = now(condition, f'{top}/{name}', status=1)
            expect_eq(err, f"zkfs wait: cannot wait for '{top}/{name}': {why}\n", f'{condition} {name}')
    err = now('--gone', f'{top}/p/..', status=1)
    expect_eq(err.endswith(': it is the root of the mount\n'), True, err)
    now('--gone', f'{top}/\U0001f600')
    now(top)


def control_files():
    state = f'{top}/.zkfs/state'
    now(state)
    now(f'{top}/.zkfs')
    now('--equals=connected', state)
    for condition in ('--gone', '--changed'):
        err = now(condition, state, status=1)
        expect_eq(err, f"zkfs wait: cannot wait for '{state}': it is no znode\n", condition)


def unmounted():
    waiting = started(f'{second.path}/never')
    second.unmount()
    err = ended(waiting, 1)
    expect_eq('ended' in err, True, err)


with Servers() as own, mount('mnt', '-o', 'timeout=5') as mnt, client() as zk:
    top = mnt.path
    second = mount('second')
    for scene in (conditions, times, races, never, control_files, unmounted, suspended):
        scene()
        print(scene.__name__)
