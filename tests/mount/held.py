"""ZKFS_O_EPHEMERAL | ZKFS_O_HELD: the znode lives exactly as long as somebody has it open, also beyond the end of its session."""
import signal
import subprocess
import sys

from zktest import *

HELD = os.O_CREAT | os.O_WRONLY | os.O_ASYNC | os.O_NOATIME


def holder(*names, text='', flags=0):
    """A process that makes them, says so and keeps them open."""
    code = f"""
import os, signal
for name in {names!r}:
    fd = os.open(name, {HELD | flags}, 0o644)
    os.write(fd, {text!r}.encode())
    os.fsync(fd)
print('ready', flush=True)
signal.pause()
"""
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, cwd=top)
    expect_eq(process.stdout.readline(), 'ready\n', 'the holder')
    return process


def end(process, how):
    process.send_signal(how)
    process.wait()
    process.stdout.close()


def is_gone(path):
    return lambda: zk.exists(path) is None


def closes():
    fd = os.open(f'{top}/held', HELD, 0o644)
    os.write(fd, b'contents')
    second = os.open(f'{top}/held', os.O_RDONLY)    # whoever else opens it holds it, too
    copy = os.dup(fd)
    os.close(fd)
    expect_eq(zk.get('/held')[0], b'contents', 'after a first close, which saves')
    os.close(copy)
    os.close(os.open(f'{top}/other', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))     # the release has come by then, or soon
    expect_eq(os.read(second, 10), b'contents', 'what the second holder reads')
    expect_eq(zk.exists('/held') is not None, True, 'while somebody has it open')
    os.close(second)
    wait_until(10, is_gone('/held'), 'its end after the last close')

    # Only with O_ASYNC; only for those who may.
    os.close(os.open(f'{top}/plain', os.O_CREAT | os.O_WRONLY | os.O_NOATIME, 0o644))
    expect_eq(zk.exists('/plain').ephemeralOwner, 0, 'O_NOATIME alone')


def killed():
    for how in (signal.SIGKILL, signal.SIGTERM):
        process = holder('member', text='here')
        expect_eq(zk.get('/member')[0], b'here', 'while the process lives')
        sequential = holder('seq-', 'seq-', flags=os.O_DIRECT)
        expect_eq(len([name for name in zk.get_children('/') if name.startswith('seq-')]), 2, 'sequential ones')
        end(process, how)
        wait_until(10, is_gone('/member'), f'the end of a process by {how!r}')
        end(sequential, how)
        wait_until(10, lambda: not [name for name in zk.get_children('/') if name.startswith('seq-')], 'and of the sequential ones')


def removed():
    """What was removed stays so, and its name is free for others."""
    for remove in (lambda: os.unlink(f'{top}/gone'), lambda: zk.delete('/gone')):
        fd = os.open(f'{top}/gone', HELD, 0o644)
        remove()
        mnt.settle()
        zk.create('/gone', b'another')
        os.close(fd)
        os.mkdir(f'{top}/later')
        os.rmdir(f'{top}/later')
        expect_eq(zk.get('/gone')[0], b'another', 'who came after it')
        zk.delete('/gone')
        mnt.settle()
    fd = os.open(f'{top}/before', HELD, 0o644)
    os.rename(f'{top}/before', f'{top}/after')
    expect_eq(zk.exists('/after').ephemeralOwner != 0, True, 'a renamed one')
    os.close(fd)
    wait_until(10, is_gone('/after'), 'the end of a renamed one')


def owner(path):
    stat = zk.exists(path)
    return stat.ephemeralOwner if stat else 0


def expired():
    text = 'contents'
    process = holder('one', 'seq-', text=text, flags=0)
    fd = os.open(f'{top}/num-', HELD | os.O_DIRECT, 0o644)
    name = next(name for name in zk.get_children('/') if name.startswith('num-'))
    os.write(fd, b'saved')
    os.fsync(fd)
    orphan = os.open(f'{top}/dropped', HELD, 0o644)
    zk.delete('/dropped')   # while the session lives: not to come back
    mnt.settle()
    plain = os.open(f'{top}/ephemeral', HELD & ~os.O_NOATIME, 0o644)
    held = ('/one', '/seq-', '/' + name)
    for _ in range(2):
        before = {path: owner(path) for path in held}
        expect_eq(all(before.values()), True, f'owners {before}')
        known = {f'0x{owner:x}' for owner in before.values()}
        os.kill(mnt.pid, signal.SIGSTOP)
        wait_until(30, lambda: not sessions() & known, 'the session to expire')
        wait_until(10, lambda: not any(owner(path) for path in held), 'the znodes to go with it')
        os.kill(mnt.pid, signal.SIGCONT)
        wait_until(20, lambda: all(owner(path) for path in held), 'the held ones to be made again')
        expect_eq([owner(path) != before[path] for path in held], [True] * 3, 'that the session is another')
    expect_eq([zk.get(path)[0] for path in held], [text.encode()] * 2 + [b'saved'], 'the same contents')
    expect_eq(is_gone('/ephemeral')(), True, 'an ephemeral that nobody holds is gone')
    expect_eq(is_gone('/dropped')(), True, 'one that was removed before is not made again')
    # The open file goes on, and is the one with that name.
    wait_until(10, lambda: os.fstat(fd).st_nlink == 1 and os.stat(f'{top}/{name}').st_ino == os.fstat(fd).st_ino, 'the inode')
    os.pwrite(fd, b'new', 0)
    os.fsync(fd)
    expect_eq(zk.get('/' + name)[0], b'newed', 'what is written after that')
    for other in (orphan, plain, fd):
        os.close(other)
    end(process, signal.SIGKILL)
    for path in held:
        wait_until(10, is_gone(path), f'the end of {path}')


with Servers() as own, mount('mnt', '-o', 'session_timeout=2') as mnt:
    top = mnt.path
    with client() as zk:
        for scene in (closes, killed, removed, expired):
            scene()
            print(scene.__name__)
