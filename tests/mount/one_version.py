"""A reader sees one version of a file until it begins anew; who follows a growing file sees it grow."""
import subprocess

from zktest import *

SIZE = 400_000

with mount() as mnt, client() as zk:
    path = f'{mnt.path}/file'
    zk.create('/file', b'a' * SIZE)
    mnt.settle()
    with open(path, 'rb', buffering=0) as file:
        expect_eq(file.read(100_000), b'a' * 100_000, 'the beginning')
        zk.set('/file', b'b' * (SIZE + 5))
        mnt.settle()
        rest = file.read()
        if rest[:SIZE - 100_000] != b'a' * (SIZE - 100_000):
            fail('the rest is of another version')
        file.seek(0)
        if file.read() != b'b' * (SIZE + 5):
            fail('begun anew, the file is not the new version')

    zk.create('/log', b'one\n')
    mnt.settle()
    tail = subprocess.Popen(['tail', '-n', '+1', '-s', '0.05', '-f', f'{mnt.path}/log'], stdout=subprocess.PIPE)
    expect_eq(tail.stdout.readline(), b'one\n', 'tail -f')
    zk.set('/log', b'one\ntwo\n')
    expect_eq(tail.stdout.readline(), b'two\n', 'tail -f of what Kazoo appended')
    with open(f'{mnt.path}/log', 'ab') as file:
        file.write(b'three\n')
    expect_eq(tail.stdout.readline(), b'three\n', 'tail -f of what was appended here')
    tail.kill()
    tail.wait()
    with open(f'{mnt.path}/log', 'rb', buffering=0) as file:
        expect_eq(file.read(100), b'one\ntwo\nthree\n', 'the log')
        expect_eq(file.read(100), b'', 'its end')
        zk.set('/log', b'one\ntwo\nthree\nfour\n')
        mnt.settle()
        expect_eq(file.read(100), b'four\n', 'after it has grown')
