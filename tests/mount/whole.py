"""New contents appear at once and whole, whoever writes them: a shell's redirection, which closes a copy of the descriptor
before it writes; a group of commands, each of which closes the copy that it inherited; a program whose child does. And what
could not be written to its end replaces nothing."""
import subprocess

from zktest import *


def shell(script):
    return subprocess.run(['/bin/bash', '-c', script], cwd=mnt.path, check=False, capture_output=True, text=True)


def seen_by_watcher(path, act):
    """All contents that a Kazoo watch of the znode's data sees while something is done, the old ones left out."""
    seen = []
    old = zk.get(path)[1].version
    zk.DataWatch(path, lambda data, stat: seen.append((stat.version, data)) if stat.version > old else None)
    act()
    last = zk.get(path)[1].version
    wait_until(5, lambda: seen and seen[-1][0] == last, f'the watcher of {path}')
    return [data for _, data in seen], last - old


with mount() as mnt, client() as zk:
    for name, script, contents in (
            ('echo', 'echo new >echo', b'new\n'),
            ('printf', 'printf %s abc >printf', b'abc'),
            ('dd', 'dd if=/dev/zero of=dd bs=10 count=2 status=none', bytes(20)),
            ('group', '{ echo 1; /bin/echo 2; echo 3; } >group', b'1\n2\n3\n'),
            ('subshell', '(for i in 1 2 3; do /bin/echo $i; done) >subshell', b'1\n2\n3\n'),
            ('append', '{ /bin/echo 1; /bin/echo 2; } >>append', b'old1\n2\n')):
        zk.create(f'/{name}', b'old')
        seen, versions = seen_by_watcher(f'/{name}', lambda s=script: shell(s))
        expect_eq((seen, versions), ([contents], 1), f'{script}: what a watcher sees')

    zk.create('/child', b'old')

    def with_child():
        with open(f'{mnt.path}/child', 'w', encoding='utf-8') as file:
            file.write('a')
            file.flush()
            subprocess.run(['/bin/true'], check=True, pass_fds=[file.fileno()])
            file.write('b')

    expect_eq(seen_by_watcher('/child', with_child), ([b'ab'], 1), 'a program with a child: what a watcher sees')

    # Nothing but a truncation: whoever looks next on this mount finds it, and everybody in the end.
    zk.create('/empty', b'old')
    for _ in range(50):
        zk.set('/empty', b'old')
        wait_until(5, lambda: shell('cat empty').stdout == 'old', 'the old contents')
        expect_eq(shell(': >empty; cat empty').stdout, '', 'read after a truncation')
    wait_until(5, lambda: zk.get('/empty')[0] == b'', 'the truncation at the server')

    # Too large: the old contents stay, and the program is told, also at close and fsync.
    zk.create('/precious', b'precious')
    for script in ('head -c 2000000 /dev/zero >precious', 'cp <(head -c 2000000 /dev/zero) precious',
                   'dd if=/dev/zero of=precious bs=100000 count=20 conv=fsync'):
        said = shell(script)
        if said.returncode == 0 or 'File too large' not in said.stderr:
            fail(f'{script}: ended with {said.returncode} and said {said.stderr!r}')
        expect_eq(zk.get('/precious')[0], b'precious', f'{script}: what is left')
    expect_eq(shell('echo short >precious; cat precious').stdout, 'short\n', 'written anew')
    expect_eq(zk.get('/precious')[0], b'short\n', 'at the server')
