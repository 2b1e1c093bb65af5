"""zkfs lock: one command at a time over two mounts, on files and directories, as flock(1) has it; exit statuses, signals, and that nobody
else has the lock before the command is dead, whoever is killed."""
import pty
import signal
import subprocess
import sys
import time

from zktest import *


def lock(*words):
    return start_verb('lock', *words)


def begun(*words):
    """One whose command has begun, and has said its pid, which is its group's."""
    process = lock(*words)
    return process, int(process.stdout.readline())


SLEEP = ('--', 'sh', '-c', 'echo $$; exec sleep 100')
# Says that it is there, and goes on saying when, in a file, whatever it is sent.
STUBBORN = f"""import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
log = os.open('{SCRATCH}/beats', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
print(os.getpid(), flush=True)
while True:
    os.pwrite(log, b'%20d' % time.monotonic_ns(), 0)"""
NOW = 'import time; print(time.monotonic_ns())'


def last_beat():
    with open(f'{SCRATCH}/beats', encoding='utf-8') as file:
        return int(file.read())


def end(process, group):
    process.send_signal(signal.SIGTERM)
    expect_end(process, 128 + signal.SIGTERM)
    await_group_end(group)


def is_free(path):
    expect_end(lock('-w', '60', path, '--', 'true'), 0, 90)


def statuses():
    # The file is made, and nothing of ours is inherited.
    expect_eq(expect_end(lock(f'{one}/a', '--', 'sh', '-c', 'echo out; exit 7'), 7)[0], 'out\n', 'its output')
    expect_eq(zk.get('/a')[0], b'', 'the file')
    out, _ = expect_end(lock(f'{one}/a', '--', 'sh', '-c', 'ls -l /proc/self/fd; grep Sig /proc/self/status'), 0)
    expect_eq([word for word in (one, 'socket', 'anon_inode') if word in out], [], f'descriptors {out}')
    expect_eq(out.split('SigBlk:')[1].split()[0], '0' * 16, 'blocked signals')
    expect_end(lock(f'{one}/a', '--', 'sh', '-c', 'kill -USR1 $$'), 128 + signal.SIGUSR1)
    expect_end(lock(f'{one}/a', '--', './no-such-command'), 127)
    expect_end(lock(f'{one}/a', '--', one), 126)
    for path in (f'{one}/no/parent', f'{SCRATCH}/x'):
        expect_end(lock(path, '--', 'touch', f'{SCRATCH}/ran'), 125)
    for words in ((), ('x',), ('--', 'true'), ('x', '--'), ('a', 'b', '--', 'true'), ('-x', 'a', '--', 'true'),
                  ('-n', '-w', '1', 'a', '--', 'true'), ('-w', '-1', 'a', '--', 'true'), ('-k', 'x', 'a', '--', 'true')):
        _, err = expect_end(lock(*words), 2)
        expect_eq(err.endswith("Try 'zkfs lock --help' for more information.\n"), True, err)
    expect_eq(os.path.exists(f'{SCRATCH}/ran'), False, 'no command ran')


def excluded():
    process, group = begun(f'{one}/a', *SLEEP)
    for mnt in (one, two):
        for options in (['-n'], ['-w', '0'], ['-w', '0.3'], ['-n', '-s']):
            out, err = expect_end(lock(*options, f'{mnt}/a', '--', 'echo', 'ran'), 75)
            expect_eq((out, err), ('', ''), f'{options}')
    expect_eq(subprocess.run(['flock', '-n', f'{two}/a', 'true'], check=False).returncode, 1, 'flock(1)')
    waiting = lock('-w', '60', f'{two}/a', '--', 'echo', 'ran')
    given_up = lock(f'{two}/a', '--', 'touch', f'{SCRATCH}/ran')
    expect_eq((waiting.poll(), given_up.poll()), (None, None), 'both wait')
    given_up.send_signal(signal.SIGINT)
    expect_end(given_up, -signal.SIGINT)
    end(process, group)
    expect_eq(expect_end(waiting, 0)[0], 'ran\n', 'who waited')
    expect_eq(subprocess.run(['flock', '-n', f'{two}/a', 'true'], check=False).returncode, 0, 'flock(1)')
    expect_eq(os.path.exists(f'{SCRATCH}/ran'), False, 'who has given up')


def shared():
    readers = [begun('-s', f'{mnt}/a', *SLEEP) for mnt in (one, two)]
    expect_end(lock('-n', f'{two}/a', '--', 'true'), 75)
    for reader in readers:
        end(*reader)
    is_free(f'{one}/a')


def directory():
    os.mkdir(f'{one}/dir')
    zk.create('/dir/child', b'')
    process, group = begun(f'{one}/dir', *SLEEP)
    for path in (f'{two}/dir', f'{two}/dir/', f'{two}/dir/.data', f'{one}/dir'):
        expect_end(lock('-n', path, '--', 'true'), 75)
    expect_eq(subprocess.run(['flock', '-n', f'{two}/dir/.data', 'true'], check=False).returncode, 1, 'flock(1)')
    expect_end(lock('-n', f'{two}/dir/child', '--', 'true'), 0)
    end(process, group)
    is_free(f'{two}/dir')


def one_at_a_time():
    """What one has written, the next one reads."""
    with open(f'{one}/count', 'w', encoding='utf-8') as file:
        file.write('0\n')
    script = 'for i in 1 2 3 4 5; do "$0" lock $1/b -- sh -c "read n <$1/count; echo \\$((n + 1)) >$1/count" || exit; done'
    for process in [subprocess.Popen(['sh', '-c', script, ZKFS, mnt]) for mnt in (one, two, one, two)]:
        expect_eq(process.wait(100), 0, 'a loop')
    expect_eq(zk.get('/count')[0], b'20\n', 'the count')


def signals():
    process, _ = begun(f'{one}/a', '--', 'sh', '-c', 'trap "echo usr1; exit 4" USR1; echo $$; while :; do sleep 0.05; done')
    process.send_signal(signal.SIGUSR1)
    expect_eq(expect_end(process, 4)[0], 'usr1\n', 'SIGUSR1')
    process, group = begun(f'{one}/a', *SLEEP)
    process.send_signal(signal.SIGTSTP)
    wait_until(10, lambda: (state_of(process.pid), state_of(group)) == ('T', 'T'), 'both to stop')
    expect_end(lock('-n', f'{two}/a', '--', 'true'), 75)
    process.send_signal(signal.SIGCONT)
    wait_until(10, lambda: 'T' not in (state_of(process.pid), state_of(group)), 'both to go on')
    end(process, group)


def terminal():
    """The command has the terminal: it is stopped from there, and this zkfs with it, and interrupted."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(ZKFS, [ZKFS, 'lock', f'{one}/a', *SLEEP])
    with os.fdopen(fd, 'r+b', buffering=0) as tty:
        group = int(tty.read(100))
        wait_until(10, lambda: os.tcgetpgrp(fd) == group, 'the terminal')
        tty.write(b'\x1a')
        wait_until(10, lambda: (state_of(pid), state_of(group)) == ('T', 'T'), 'both to stop')
        expect_end(lock('-n', f'{two}/a', '--', 'true'), 75)
        os.kill(pid, signal.SIGCONT)
        wait_until(10, lambda: 'T' not in (state_of(pid), state_of(group)) and os.tcgetpgrp(fd) == group, 'both to go on')
        tty.write(b'\x03')
        expect_eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 128 + signal.SIGINT, 'interrupted')
    is_free(f'{two}/a')


def next_one_starts_later(group, path):
    out, _ = expect_end(lock('-w', '60', path, '--', sys.executable, '-SEc', NOW), 0, 90)
    expect_eq(last_beat() < int(out), True, f'the last sign of life, {last_beat()}, is before {out}')
    await_group_end(group)


def killed():
    """It has a child that does not care, which the lock is kept for."""
    process, group = begun('-k', '0.5', f'{one}/a', '--', 'sh', '-c', f'{sys.executable} -SEc "$0" & exec sleep 100', STUBBORN)
    process.kill()
    process.wait()
    next_one_starts_later(os.getpgid(group), f'{two}/a')
    process.communicate()


def parent_dies():
    script = '"$0" lock $1 "$2" -- sh -c "echo \\$\\$; exec sleep 100" & wait'
    for option, runs_on in (('--pdeathsig', False), ('-k5', True)):
        parent = subprocess.Popen(['sh', '-c', script, ZKFS, option, f'{one}/a'], stdout=subprocess.PIPE, text=True)
        group = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        if runs_on:
            expect_end(lock('-n', f'{two}/a', '--', 'true'), 75)
            os.kill(group, signal.SIGTERM)
        is_free(f'{two}/a')
        await_group_end(group)
        parent.communicate()


def removed():
    """By hand: it is known a sixth of the session timeout later at most."""
    process, group = begun(f'{one}/a', *SLEEP)
    holder, = zk.get_children('/.zkfs-locks/a')
    zk.delete(f'/.zkfs-locks/a/{holder}')
    _, err = expect_end(process, 74)
    expect_eq('was lost: somebody has removed its znode' in err, True, err)
    await_group_end(group)
    is_free(f'{two}/a')


def lost():
    """The daemon is killed: who holds the lock by it knows at once."""
    third = mount('third', '-o', 'session_timeout=4')
    polite = begun(f'{third.path}/c', '--', 'sh', '-c', 'trap "echo term; exit 9" TERM; echo $$; while :; do sleep 0.05; done')
    process, group = begun('-k', '0.5', f'{third.path}/a', '--', sys.executable, '-SEc', STUBBORN)
    os.kill(third.pid, signal.SIGKILL)
    _, err = expect_end(process, 74)
    expect_eq(err, f"zkfs lock: the lock on '{third.path}/a' was lost: the mount has ended; the command was ended\n", 'the reason')
    next_one_starts_later(group, f'{two}/a')
    expect_eq(expect_end(polite[0], 74)[0], 'term\n', 'one that cares')
    subprocess.run(['fusermount3', '-uz', third.path], check=True)


def cut_off():
    """No server answers; whether the session lives is then not known."""
    with Servers() as own, mount('cut', '-o', 'session_timeout=3') as mnt:
        process, group = begun(f'{mnt.path}/a', *SLEEP)
        own('pause', 1)
        _, err = expect_end(process, 74)
        expect_eq('was lost: no contact with the servers for' in err, True, err)
        await_group_end(group)
        own('resume', 1)
        is_free(f'{mnt.path}/a')


with mount('one') as first, mount('two') as second, client() as zk:
    one, two = first.path, second.path
    for scene in (statuses, excluded, shared, directory, one_at_a_time, signals, terminal, killed, parent_dies, removed, lost):
        before = time.monotonic()
        scene()
        print(f'{scene.__name__}: {time.monotonic() - before:.1f} s')
cut_off()
