"""A thread waits for a record lock while another closes the same file: what is granted then goes when the first one closes it."""
import fcntl
import subprocess
import sys
import threading

from zktest import *

HOLDER = '''
import fcntl, sys
file = open(sys.argv[1], 'r+')
fcntl.lockf(file, fcntl.LOCK_EX)
print('locked', flush=True)
sys.stdin.readline()
fcntl.lockf(file, fcntl.LOCK_UN)
print('unlocked', flush=True)
sys.stdin.readline()
fcntl.lockf(file, fcntl.LOCK_EX)
print('locked', flush=True)
'''

with mount() as mnt, client() as zk:
    path = f'{mnt.path}/file'
    with open(path, 'w', encoding='ascii') as file:
        file.write('x')
    with subprocess.Popen([sys.executable, '-c', HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, bufsize=1) as holder:
        expect_eq(holder.stdout.readline(), 'locked\n', 'the other process')
        first = os.open(path, os.O_RDWR)
        waiter = threading.Thread(target=fcntl.lockf, args=(first, fcntl.LOCK_EX))
        waiter.start()
        wait_until(30, lambda: len(zk.get_children('/.zkfs-locks/file')) == 2, 'the thread waits')
        os.close(os.open(path, os.O_RDWR))
        holder.stdin.write('\n')
        expect_eq(holder.stdout.readline(), 'unlocked\n', 'the other process')
        waiter.join()
        expect_eq(len(zk.get_children('/.zkfs-locks/file')), 1, 'the thread has it')
        os.close(first)
        holder.stdin.write('\n')
        expect_eq(holder.stdout.readline(), 'locked\n', 'the other process, again')
