"""What waits at a mountpoint for who comes first (x-systemd.automount, through the kernel's autofs) can have it mounted."""
import fcntl
import struct
import subprocess

from zktest import *

IOC_READY, IOC_FAIL, IOC_CATATONIC = 0x9360, 0x9361, 0x9362
MISSING_DIRECT = 5
PACKET = struct.Struct('=iiI')  # the beginning of struct autofs_v5_packet

path = f'{SCRATCH}/mnt'
os.mkdir(path)
os.symlink(ZKFS, f'{SCRATCH}/mount.zkfs')
with open('/proc/filesystems', encoding='utf-8') as file:
    if os.geteuid() != 0 or '\tautofs\n' not in file.read():
        skip('needs root and autofs')
with client() as zk:
    zk.create('/file', b'data')

# As systemd's first process does: it, and what it calls to mount, are one process group, which the kernel lets pass.
from_kernel, to_us = os.pipe2(os.O_CLOEXEC)
os.set_inheritable(to_us, True)
options = f'fd={to_us},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct'
done = subprocess.run(['mount', '-i', '-t', 'autofs', '-o', options, 'systemd-1', path], close_fds=False, check=False)
if done.returncode:
    skip('cannot mount an autofs')
os.close(to_us)
trigger = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

reader = subprocess.Popen(['cat', f'{path}/file'], stdout=subprocess.PIPE, start_new_session=True)
packet = os.read(from_kernel, 4096)
_, kind, token = PACKET.unpack(packet[:PACKET.size])
expect_eq(kind, MISSING_DIRECT, 'what the kernel asks for')
try:
    done = subprocess.run([f'{SCRATCH}/mount.zkfs', servers() + ROOT, path, '-o', 'rw,x-systemd.automount'], check=False, timeout=60)
except subprocess.TimeoutExpired:
    fcntl.ioctl(trigger, IOC_CATATONIC, 0)
    fail('it waits for itself')
fcntl.ioctl(trigger, IOC_FAIL if done.returncode else IOC_READY, token)
expect_eq(done.returncode, 0, 'exit status')
expect_eq(reader.communicate(timeout=60)[0], b'data', 'what the one reads who came first')

# A second one is refused as anywhere.
done = subprocess.run([ZKFS, servers() + ROOT, path], stderr=subprocess.PIPE, text=True, check=False)
expect_eq(done.stderr, f"zkfs: something is mounted on '{path}' already\n", 'what zkfs says')

os.close(trigger)
subprocess.run(['fusermount3', '-u', path], check=True)
subprocess.run(['umount', path], check=True)
