"""A queue of sequential nodes: four programs, in C, Python and with dd through the open flags of <zkfs.h>, and zkfs create -s, fill it,
four others empty it through two mounts and with Kazoo, and each item comes out exactly once, whole."""
# timeout: 300
import re
import subprocess
import sys
import time

from kazoo.exceptions import BadVersionError, NoNodeError

from zktest import *

ITEMS = int(500 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))      # of each producer

PRODUCER_C = r"""
#include <zkfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int i = 0; argc == 4 && i < atoi(argv[3]); i++) {
		int fd = open(argv[1], O_WRONLY | O_CREAT | ZKFS_O_SEQUENTIAL, 0644);

		if (fd < 0 || dprintf(fd, "%s %d\n", argv[2], i) < 0 || close(fd) < 0) {
			perror(argv[1]);
			return 1;
		}
	}
	return 0;
}
"""

PRODUCER_PYTHON = """
import os, sys
for i in range(int(sys.argv[3])):
    with open(sys.argv[1], 'w', opener=lambda path, flags: os.open(path, flags | os.O_DIRECT, 0o644)) as file:
        file.write(f'{sys.argv[2]} {i}\\n')
"""

PRODUCER_DD = """
i=0
while [ $i -lt $3 ]; do
    echo "$2 $i" | dd oflag=direct of="$1" status=none || exit 1
    i=$((i + 1))
done
"""

# Its second operand is data as well as -: every other item.
PRODUCER_CREATE = """
i=0
while [ $i -lt $3 ]; do
    if [ $((i % 2)) = 0 ]; then "$ZKFS" create -s "$1" "$2 $i
"; else echo "$2 $i" | "$ZKFS" create -s "$1" -; fi || exit 1
    i=$((i + 1))
done
"""

# An item that is still empty is being written: what it holds comes whole.
CONSUMER = """
import os, sys
os.chdir(sys.argv[1])
while not os.path.exists('../stop') or os.listdir('.'):
    for name in os.listdir('.'):
        try:
            with open(name) as file:
                text = file.read()
            if text:
                os.unlink(name)
        except (FileNotFoundError, IsADirectoryError):
            continue
        if text:
            print(text, end='')
"""


def consume_with_kazoo(got):
    """One of the four. Until nothing is left."""
    while True:
        is_over = zk.exists('/stop') is not None
        names = zk.get_children('/queue')
        if is_over and not names:
            return
        for name in names:
            try:
                data, stat = zk.get(f'/queue/{name}')
                if data:
                    zk.delete(f'/queue/{name}', version=stat.version)
                    got.append(data.decode().rstrip('\n'))
            except (NoNodeError, BadVersionError):
                pass


def compile_producer():
    with open('producer.c', 'w', encoding='utf-8') as file:
        file.write(PRODUCER_C)
    subprocess.run(['cc', '-D_GNU_SOURCE', '-I', f'{TOP}/fusefs', '-Wall', '-Werror', '-o', 'producer', 'producer.c'], check=True)
    return os.path.abspath('producer')


require('cc', 'dd')
with mount() as mnt, mount('other') as other, client() as zk:
    zk.create('/queue')
    item = f'{mnt.path}/queue/item-'
    program = compile_producer()
    began = time.monotonic()
    told = open('told', 'w+', encoding='utf-8')
    producers = [subprocess.Popen([*command, item, name, str(ITEMS)], stdout=told) for name, command in (
        ('C', [program]), ('Python', [sys.executable, '-c', PRODUCER_PYTHON]), ('dd', ['sh', '-c', PRODUCER_DD, 'sh']),
        ('create', ['sh', '-c', PRODUCER_CREATE, 'sh']))]
    outputs = [open(f'consumed{i}', 'w+', encoding='utf-8') for i in range(3)]
    consumers = [subprocess.Popen([sys.executable, '-c', CONSUMER, f'{where.path}/queue'], stdout=output)
                 for where, output in zip((mnt, mnt, other), outputs)]
    watcher = subprocess.Popen([sys.executable, '-c', """
import os, sys, time
while not all(not os.path.exists(f'/proc/{pid}') or open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] == 'Z' for pid in sys.argv[2:]):
    time.sleep(0.05)
os.mkdir(sys.argv[1])
""", f'{mnt.path}/stop', *[str(producer.pid) for producer in producers]])
    got = []
    consume_with_kazoo(got)
    for process in (*producers, *consumers, watcher):
        expect_eq(process.wait(), 0, 'exit status')
    shares = [len(got)]
    for output in outputs:
        output.seek(0)
        lines = output.read().splitlines()
        shares.append(len(lines))
        got += lines
    print(f'{len(got)} items in {time.monotonic() - began:.1f} s; shares {shares}')
    expected = sorted(f'{name} {i}' for name in ('C', 'Python', 'dd', 'create') for i in range(ITEMS))
    expect_eq(len(got), len(expected), 'items that came out')
    expect_eq(sorted(got) == expected, True, 'that each item came out once')
    expect_eq(zk.get_children('/queue'), [], 'what is left')
    told.seek(0)
    paths = told.read().splitlines()
    expect_eq([path for path in paths if not re.fullmatch(re.escape(item) + r'\d{10}', path)], [], 'other paths that zkfs create told')
    expect_eq(len(set(paths)), ITEMS, 'paths that it told')
