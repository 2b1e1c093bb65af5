"""zkfs hold: an ephemeral for as long as a command runs, however either ends; signals, exit statuses, and what becomes of the command
when the znode cannot be kept."""
import signal
import subprocess
import sys
import time

from zktest import *


def hold(*words):
    return start_verb('hold', *words)


def gone(path):
    wait_until(10, lambda: zk.exists(path) is None, f'the end of {path}')


def statuses():
    # The znode is there, with its data, before the command begins.
    process = hold(f'{top}/a', 'data', '--', 'sh', '-c', f'cat {top}/a; echo " $ZKFS_HELD"; exit 7')
    out, _ = expect_end(process, 7)
    expect_eq(out, f'data {top}/a\n', 'what the command sees')
    gone('/a')
    expect_end(hold(f'{top}/a', '--', 'sh', '-c', 'kill -USR1 $$'), 128 + signal.SIGUSR1)
    expect_end(hold(f'{top}/a', '--', 'true', '--', 'x'), 0)
    expect_end(hold(f'{top}/a', '--', './no-such-command'), 127)
    expect_end(hold(f'{top}/a', '--', top), 126)
    for words in ((), ('x',), ('--', 'true'), ('x', '--'), ('a', 'b', 'c', '--', 'true'), ('-x', 'a', '--', 'true')):
        _, err = expect_end(hold(*words), 2)
        expect_eq(err.endswith("Try 'zkfs hold --help' for more information.\n"), True, err)
    zk.create('/taken', b'')
    _, err = expect_end(hold(f'{top}/taken', '--', 'touch', f'{SCRATCH}/ran'), 125)
    expect_eq(err, f"zkfs hold: cannot hold '{top}/taken': it is there already\n", 'the reason')
    for name, why in (('no/parent', 'its parent is not there'), ('taken/', 'its name must not end with /'),
                      ('\U0001f600', 'ZooKeeper refuses a character in its name'), ('n' * 1025, 'its name or path is too long')):
        _, err = expect_end(hold(f'{top}/{name}', '--', 'touch', f'{SCRATCH}/ran'), 125)
        expect_eq(err.endswith(f"': {why}\n"), True, err)
    expect_end(hold(f'{SCRATCH}/x', '--', 'touch', f'{SCRATCH}/ran'), 125)
    expect_eq(os.path.exists(f'{SCRATCH}/ran'), False, 'no command ran')
    # Nothing of it is inherited.
    out, _ = expect_end(hold(f'{top}/a', '--', 'sh', '-c', 'ls -l /proc/self/fd; grep Sig /proc/self/status'), 0)
    expect_eq(top in out or 'inotify' in out, False, f'descriptors {out}')
    expect_eq(out.split('SigBlk:')[1].split()[0], '0' * 16, 'blocked signals')


# Ends with 3 by SIGTERM. (One process: a shell's child may lose a signal that comes before it has run what it is to run.)
PATIENT = f"""exec {sys.executable} -SEc 'import os, signal
signal.signal(15, lambda *_: os._exit(3))
print(os.getpid(), flush=True)
while True: signal.pause()'"""


def waiting(name, *options, script=PATIENT):
    """One whose command has begun: the command's pid, and so its group."""
    process = hold(*options, f'{top}/{name}', 'here', '--', 'sh', '-c', script)
    return process, int(process.stdout.readline())


def signals():
    process, group = waiting('s')
    expect_eq(zk.get('/s')[1].ephemeralOwner != 0, True, 'ephemeral')
    process.send_signal(signal.SIGTERM)
    expect_end(process, 3)
    await_group_end(group)
    gone('/s')
    process, group = waiting('s', script='trap "echo usr1; exit 4" USR1; echo $$; while :; do sleep 0.05; done')
    process.send_signal(signal.SIGUSR1)
    expect_eq(expect_end(process, 4)[0], 'usr1\n', 'SIGUSR1')
    gone('/s')
    # Killed, it takes its command along, and the znode goes at once.
    process, group = waiting('s')
    process.kill()
    process.wait()
    gone('/s')
    wait_until(10, lambda: state_of(group) in 'ZX', 'its command')
    process.communicate()


def stopped():
    """Both stop, and go on."""
    process, group = waiting('s')
    process.send_signal(signal.SIGTSTP)
    wait_until(10, lambda: (state_of(process.pid), state_of(group)) == ('T', 'T'), 'both to stop')
    process.send_signal(signal.SIGCONT)
    wait_until(10, lambda: 'T' not in (state_of(process.pid), state_of(group)), 'both to go on')
    process.send_signal(signal.SIGTERM)
    expect_end(process, 3)


def removed():
    for remove in (lambda: zk.delete('/r'), lambda: os.unlink(f'{top}/r')):
        process, group = waiting('r')
        remove()
        _, err = expect_end(process, 125)
        expect_eq(err, f"zkfs hold: cannot keep '{top}/r': somebody has removed it: ending the command\n", 'the reason')
        await_group_end(group)
    # One that does not care for SIGTERM.
    process, group = waiting('r', script='trap "" TERM; echo $$; while :; do sleep 1; done')
    zk.delete('/r')
    expect_end(process, 125)
    await_group_end(group)
    # A moved one is held on.
    process, group = waiting('r')
    os.rename(f'{top}/r', f'{top}/moved')
    mnt.settle()
    zk.create('/r', b'another')
    expect_eq(process.poll(), None, 'it runs on')
    zk.delete('/moved')
    expect_end(process, 125)
    expect_eq(zk.get('/r')[0], b'another', 'the other one')
    zk.delete('/r')


def owner(path):
    stat = zk.exists(path)
    return stat.ephemeralOwner if stat else 0


def session_now():
    with open(f'{top}/.zkfs/session', encoding='utf-8') as file:
        return int(dict(line.split() for line in file)['id'], 16)


def expire(while_gone=lambda: None):
    known = session_now()
    os.kill(mnt.pid, signal.SIGSTOP)
    wait_until(30, lambda: f'{known:#x}' not in sessions(), 'the session to expire')
    while_gone()
    os.kill(mnt.pid, signal.SIGCONT)


def members_remain(names, since, what):
    """Until they are these, of which none is ever missing while the session lives."""
    session = session_now()

    def check():
        found = set(zk.get_children('/group'))
        if not found.issuperset(names) and f'{session:#x}' in sessions():
            fail(f'{what}: {len(found)} are left')
        return found == set(names)
    wait_until(30, check, what)
    print(f'{what}: {(time.monotonic() - since) * 1000:.0f} ms')


def members_are_back(names, session_before, what):
    since = time.monotonic()
    wait_until(30, lambda: set(zk.get_children('/group')) == set(names) and
               {owner(f'/group/{name}') for name in names}.isdisjoint({session_before, 0}), what)
    print(f'{what}: {(time.monotonic() - since) * 1000:.0f} ms')


def end_members(members):
    for process, _ in members:
        process.terminate()
    for process, _ in members:
        expect_end(process, 3)


def kill_members(members):
    for process, _ in members:
        process.kill()
    return time.monotonic()


def group_membership():
    """50 members, of which 20 are killed, and then the session expires, and 5 more are killed meanwhile."""
    zk.create('/group')
    members = []
    names = []
    for _ in range(50):
        members.append(waiting('group/m-', '-s'))
        names.append(f'm-{len(names):010}')
    expect_eq(sorted(zk.get_children('/group')), names, 'members')
    since = kill_members(members[:20])
    members_remain(names[20:], since, '30 remain after 20 were killed')
    before = owner(f'/group/{names[20]}')
    expire()
    members_are_back(names[20:], before, 'all 30 are back in the next session')
    expect_eq([process.poll() for process, _ in members[20:]], [None] * 30, 'they run on')
    before = owner(f'/group/{names[20]}')
    expire(lambda: kill_members(members[20:25]))
    members_are_back(names[25:], before, '25 are back after 5 more were killed without a session')
    mnt.settle()
    expect_eq(sorted(zk.get_children('/group')), names[25:], 'members in the end')
    end_members(members[25:])
    for process, _ in members[:25]:
        process.communicate()
    wait_until(10, lambda: not zk.get_children('/group'), 'the end of the rest')


def taken():
    """Somebody else takes the name while there is no session."""
    process, group = waiting('t')

    def take():
        gone('/t')
        zk.create('/t', b'mine')
    expire(take)
    _, err = expect_end(process, 125)
    await_group_end(group)
    expect_eq(zk.get('/t')[0], b'mine', f'what they made ({err})')


def unmounted():
    second = mount('second')
    process = hold(f'{second.path}/u', '--', 'sh', '-c', 'echo $$; exec sleep 100')
    group = int(process.stdout.readline())
    os.kill(second.pid, signal.SIGKILL)
    _, err = expect_end(process, 125)
    expect_eq('the mount has ended' in err, True, err)
    await_group_end(group)
    subprocess.run(['fusermount3', '-uz', second.path], check=True)


with Servers() as own, mount('mnt', '-o', 'session_timeout=2') as mnt, client() as zk:
    top = mnt.path
    for scene in (statuses, signals, stopped, removed, taken, group_membership, unmounted):
        scene()
        print(scene.__name__)
