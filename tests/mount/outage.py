"""A server that is gone, or paused: each command ends within the timeout with an error, kill ends one at once,
and after the server's return the mount works again by itself."""
import signal
import subprocess
import time

from zktest import *

TIMEOUT = 2
WRITING = ['cp /etc/passwd file', 'cp /etc/passwd new', 'mkdir made', 'rm file', 'rmdir dir/empty',
           'truncate -s 1 file']
READING = ['ls -l', 'ls dir', 'cat file', 'stat file', 'stat .', 'find . -type f', 'cat nothing', 'touch file']
# Each has a directory of its own, for the kernel locks that while something is made or removed in it.
place = {command: index for index, command in enumerate(WRITING + READING)}


def start(command, directory):
    """It waits for a line on its standard input."""
    process = subprocess.Popen(['/bin/sh', '-c', f'echo ready && read go && {command}'], text=True,
                               cwd=f'{mnt.path}/{directory}', stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    expect_eq(process.stdout.readline(), 'ready\n', 'what sh says')
    return process


def run_all(what, commands, take_server_away=lambda: None):
    running = [(command, start(command, place[command])) for command in commands]
    take_server_away()
    began = time.monotonic()
    for _, process in running:
        process.stdin.write('go\n')
        process.stdin.flush()
    problems = []
    for command, process in running:
        try:
            said = process.communicate(timeout=max(0.1, began + TIMEOUT + 1 - time.monotonic()))[0]
            if process.returncode == 0 or 'timed out' not in said:
                problems.append(f'{command} ends with {process.returncode} and says {said!r}')
        except subprocess.TimeoutExpired:
            problems.append(f'{command} has not ended {TIMEOUT + 1} s after its start')
    if problems:
        fail('\n'.join([f'{what}:'] + problems))


def kill_one(what, command):
    process = subprocess.Popen(command.split(), cwd=mnt.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    wait_until(1, lambda: is_asleep(process.pid, command.split()[0]), f'{what}: {command} to block')
    began = time.monotonic()
    process.terminate()
    process.wait()
    if process.returncode != -signal.SIGTERM:
        fail(f'{what}: {command} ended with {process.returncode}, not by SIGTERM')
    if time.monotonic() - began > 0.5:
        fail(f'{what}: {command} ended {time.monotonic() - began:.1f} s after SIGTERM')


def is_asleep(pid, name):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        return f'({name}) S ' in file.read()


def works_again(what):
    """The first attempts may still fail, for reads and writes have connections of their own."""
    wait_until(15, lambda: succeeds(lambda: os.stat(f'{mnt.path}/file')), f'{what}: the file to be seen again')
    wait_until(15, lambda: succeeds(lambda: write('file', what)), f'{what}: writing')
    with client() as zk:
        expect_eq(zk.get('/file')[0].decode(), what, 'written after the return')
        zk.set('/file', b'by Kazoo')
        wait_until(5, lambda: open(f'{mnt.path}/file').read() == 'by Kazoo', f'{what}: news from Kazoo')
        zk.set('/file', b'data')


def write(name, data):
    with open(f'{mnt.path}/{name}', 'w', encoding='utf-8') as file:
        file.write(data)


def succeeds(attempt):
    try:
        attempt()
        return True
    except OSError:
        return False


with Servers() as own, mount('mnt', '-o', f'stale=never,timeout={TIMEOUT}') as mnt:
    with client() as zk:
        zk.create('/file', b'data')
        for index in place.values():
            zk.create(f'/{index}/dir/empty', b'', makepath=True)
            zk.create(f'/{index}/file', b'data')
    mnt.settle()
    subprocess.run(['grep', '-r', 'data', mnt.path], check=True, stdout=subprocess.DEVNULL)  # all is cached

    # In this order: what is cached counts as true until the mount knows that the server is gone.
    run_all('server killed', WRITING, lambda: own('kill', 1))
    run_all('server killed', READING)
    kill_one('server killed', 'cat file')
    kill_one('server killed', 'mkdir killed')
    own('restart', 1)
    works_again('after the restart')

    run_all('server paused', WRITING, lambda: own('pause', 1))
    own('resume', 1)
    works_again('after the first pause')
    with client() as zk:
        zk.create('/unseen/file', b'data', makepath=True)
    os.stat(f'{mnt.path}/unseen')
    own('pause', 1)     # anew: who comes after the timeout does not block for long
    kill_one('server paused', 'cat unseen/nothing')
    kill_one('server paused', 'mkdir killed')
    own('resume', 1)
    works_again('after the pause')
