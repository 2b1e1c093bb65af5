"""What a killed zkfs leaves is unmounted by the next one on the same place; what lives, or is not its own, is not."""
import contextlib
import ctypes
import signal
import subprocess
import sys

from zktest import *

MOUNTINFO = '/proc/self/mountinfo'


def kill(mnt):
    """Ends once the kernel knows."""
    os.kill(mnt.pid, signal.SIGKILL)
    wait_until(30, lambda: is_dead(mnt.path), 'the death of the mount')


def is_dead(path):
    try:
        os.statvfs(path)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def mounts_on(path):
    with open(MOUNTINFO, encoding='utf-8') as file:
        return [line.split(' - ')[1].split()[0] for line in file if line.split()[4] == path]


def refused(path, why):
    before = mounts_on(path)
    done = subprocess.run([ZKFS, servers() + ROOT, path], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=60)
    expect_eq((done.returncode, done.stdout, done.stderr), (1, '', f'zkfs: {why}\n'), f'what zkfs says on {path}')
    expect_eq(mounts_on(path), before, 'what is mounted')


def gone_and(why, path):
    return f"the daemon of the mount on '{path}' is gone, and {why}: unmount it with 'fusermount3 -u {path}' first"


def bury(path):
    subprocess.run(['umount', '-l', path], check=True)


def fake(name, kind, user=0):
    """A dead mount of that type: as a daemon's that was killed at once."""
    path = f'{SCRATCH}/{name}'
    with contextlib.suppress(FileExistsError):
        os.makedirs(path)
    device = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={device},rootmode=40000,user_id={user},group_id=0,allow_other'
    if ctypes.CDLL(None, use_errno=True).mount(b'127.0.0.1:2181', path.encode(), kind.encode(), 0, options.encode()):
        fail(f'cannot mount a {kind}: {os.strerror(ctypes.get_errno())}')
    os.close(device)
    wait_until(30, lambda: is_dead(path), f'the death of the {kind}')
    return path


# One that is in use, too, under a name that mountinfo escapes.
dead = mount('a dead\tone')
refused(dead.path, f"something is mounted on '{dead.path}' already")
with open(f'{dead.path}/file', 'w', encoding='utf-8') as file:
    file.write('data')
held = os.open(dead.path, os.O_RDONLY)
kill(dead)
with mount('a dead\tone') as mnt:
    expect_eq(mounts_on(mnt.path.replace(' ', '\\040').replace('\t', '\\011')), ['fuse.zkfs'], 'what is mounted')
    with open(f'{mnt.path}/file', encoding='utf-8') as file:
        expect_eq(file.read(), 'data', 'with the new daemon')
    with open(f'{mnt.path}.err', encoding='utf-8') as file:
        expect_eq(file.read(), f"zkfs: unmounted what a zkfs that was killed has left on '{mnt.path}'\n", 'what it says')
    with expect_error(errno.ENOTCONN, 'the old descriptor'):
        os.stat('file', dir_fd=held)
os.close(held)

# By any name of the place.
os.symlink('mnt', f'{SCRATCH}/link')
kill(mount())
subprocess.run([ZKFS, servers() + ROOT, 'link/'], check=True)
expect_eq(mounts_on(f'{SCRATCH}/mnt'), ['fuse.zkfs'], 'what is mounted')
subprocess.run(['fusermount3', '-u', 'mnt'], check=True)

# mount -f looks, and leaves it.
kill(mount())
os.symlink(ZKFS, f'{SCRATCH}/mount.zkfs')
subprocess.run([f'{SCRATCH}/mount.zkfs', servers() + ROOT, f'{SCRATCH}/mnt', '-f'], check=False, stderr=subprocess.DEVNULL)
expect_eq(mounts_on(f'{SCRATCH}/mnt'), ['fuse.zkfs'], 'what is mounted')
with mount():
    pass

if os.geteuid() != 0:
    sys.exit(0)

# Dead mounts on each other, of ours alone.
fake('twice', 'fuse.zkfs')
expect_eq(mounts_on(fake('twice', 'fuse.zkfs')), ['fuse.zkfs'] * 2, 'what is mounted')
with mount('twice') as mnt:
    expect_eq(mounts_on(mnt.path), ['fuse.zkfs'], 'what is mounted')

other = fake('other', 'fuse.sshfs')
refused(other, gone_and('it is not a zkfs', other))
bury(other)

theirs = fake('theirs', 'fuse.zkfs', user=65534)
refused(theirs, gone_and('another user mounted it', theirs))
bury(theirs)

# Unmounting it would take with it what is mounted below.
above = mount('above')
os.mkdir(f'{above.path}/below')
subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', f'{above.path}/below'], check=True)
kill(above)
refused(above.path, gone_and('something is mounted below it', above.path))
expect_eq(mounts_on(f'{above.path}/below'), ['tmpfs'], 'what is mounted below')
bury(above.path)
