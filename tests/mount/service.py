"""A service manager is told when the mount is there and when it ends; the installed unit is one that systemd takes."""
import re
import shutil
import signal
import socket
import subprocess

from zktest import *


def manager(address):
    """Where it listens for what services tell."""
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(address)
    heard.settimeout(60)
    return heard


def is_silent(heard):
    heard.setblocking(False)
    try:
        return heard.recv(4096) is None
    except BlockingIOError:
        return True
    finally:
        heard.settimeout(60)


def environment(address):
    return dict(os.environ, NOTIFY_SOCKET=address.replace('\0', '@'))


def start(path, address, connect=None):
    os.makedirs(path, exist_ok=True)
    with open(f'{path}.err', 'wb') as err:
        return subprocess.Popen([ZKFS, '-f', connect or servers() + ROOT, path], env=environment(address),
                                stdin=subprocess.DEVNULL, stdout=err, stderr=err)


path = f'{SCRATCH}/mnt'
for address in (f'{SCRATCH}/notify', f'\0zkfs-test-{os.getpid()}'):
    with manager(address) as heard:
        daemon = start(path, address)
        expect_eq(heard.recv(4096), b'READY=1', 'the first thing that it says')
        expect_eq(os.path.ismount(path), True, 'whether it is mounted by then')
        expect_eq(is_silent(heard), True, 'whether it says no more')
        daemon.send_signal(signal.SIGTERM)
        expect_eq(heard.recv(4096), b'STOPPING=1', 'when it ends')
        expect_eq(daemon.wait(timeout=60), 0, 'exit status')

        # When somebody unmounts it, too.
        daemon = start(path, address)
        expect_eq(heard.recv(4096), b'READY=1', 'the first thing that it says')
        wait_until(30, lambda: subprocess.run(['fusermount3', '-u', path], check=False).returncode == 0, 'unmounting')
        expect_eq(heard.recv(4096), b'STOPPING=1', 'when it is unmounted')
        expect_eq(daemon.wait(timeout=60), 0, 'exit status')

        # One that cannot start does not say so.
        expect_eq(start(path, address, '127.0.0.1:1').wait(timeout=60), 1, 'exit status without a server')
        expect_eq(is_silent(heard), True, 'whether it says nothing')

# In the background it is nobody's service, but may have been started by one. That nobody listens is no reason not to serve.
with manager(f'{SCRATCH}/silent') as heard:
    os.environ['NOTIFY_SOCKET'] = f'{SCRATCH}/silent'
    with mount():
        pass
    del os.environ['NOTIFY_SOCKET']
    expect_eq(is_silent(heard), True, 'whether it says nothing')
daemon = start(path, f'{SCRATCH}/nobody')
wait_until(60, lambda: os.path.ismount(path), 'the mount')
daemon.send_signal(signal.SIGTERM)
expect_eq(daemon.wait(timeout=60), 0, 'exit status')
with open(f'{path}.err', encoding='utf-8') as file:
    expect_eq("to the service manager" in file.read(), True, 'whether it is told')

# The unit: what systemd takes, without any setting that would hide the mount from the others (systemd.exec(5), PrivateMounts=).
with open(f'{TOP}/scripts/zkfs@.service', encoding='utf-8') as file:
    unit = file.read().replace('@bin@', SCRATCH)
hiding = re.findall(r'^(?:Private(?!Users|Network)|Protect(?!Clock|Hostname)|.*Paths|Root|Bind|Temporary|Mount|Dynamic).*=', unit, re.M)
expect_eq(hiding, [], 'what would hide the mount')

if os.geteuid() == 0:
    # With the rights that it leaves to root.
    rights = re.search('^CapabilityBoundingSet=(.*)$', unit, re.M)[1].lower().replace('cap_', '').split()
    setpriv = ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all,+' + ',+'.join(rights)]
    for _ in range(2):  # the second one cleans up behind the first
        with manager(f'{SCRATCH}/limited') as heard:
            daemon = subprocess.Popen([*setpriv, ZKFS, '-f', servers() + ROOT, path], env=environment(f'{SCRATCH}/limited'))
            expect_eq(heard.recv(4096), b'READY=1', 'the first thing that it says')
            os.unlink(f'{SCRATCH}/limited')
        watch = subprocess.Popen(['inotifywait', '-q', '-e', 'create', '--format', '%f', path], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        with client() as zk:
            wait_until(60, lambda: zk.create('/born-', b'', sequence=True) and watch.poll() is not None, 'an event')
        expect_eq(watch.stdout.read()[:5], 'born-', 'what inotify tells')
        with open(f'{path}/file', 'w', encoding='utf-8') as file:
            file.write('data')
        daemon.kill()
        daemon.wait()
    subprocess.run(['fusermount3', '-u', path], check=True)

if shutil.which('systemd-analyze'): # where systemd is installed anyhow
    os.symlink(ZKFS, f'{SCRATCH}/zkfs')
    with open(f'{SCRATCH}/zkfs@.service', 'w', encoding='utf-8') as file:
        file.write(unit)
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', f'{SCRATCH}/zkfs@mnt-app.service'], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    expect_eq((done.returncode, done.stdout), (0, ''), 'what systemd says of the unit')
