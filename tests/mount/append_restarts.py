"""Three mounts, a shell on each that appends lines: each line is there once. While the server is killed and restarted, twice: every
line whose shell saw success is there exactly once, and none is there twice."""
import subprocess

from zktest import *

COUNT = int(500 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))
# dash looks at no close, so "echo x >>file" ends well whatever happens: a program that does look appends the line.
SHELL = '''
i=0
while [ $i -lt $2 ]; do
	i=$((i + 1))
	if [ "$4" = echo ]; then
		echo "$1-$i" >>"$3" && echo "$1-$i"
	else
		echo "$1-$i" | dd of="$3" oflag=append conv=notrunc status=none 2>/dev/null && echo "$1-$i"
	fi
done
exit 0
'''


def append(mounts, how):
    return [subprocess.Popen(['/bin/sh', '-c', SHELL, 'sh', f'{how}{i}', str(COUNT), f'{mnt.path}/{how}', how],
                             stdout=subprocess.PIPE, text=True)
            for i, mnt in enumerate(mounts)]


def lines_of(shells):
    return [line for shell in shells for line in shell.communicate()[0].split()]


with Servers() as own:
    with mount('one') as one, mount('two') as two, mount('three') as three:
        mounts = (one, two, three)
        with client() as zk:
            zk.create('/echo', b'first\n')
            zk.create('/dd', b'first\n')
            told = lines_of(append(mounts, 'echo'))
            there = zk.get('/echo')[0].decode().split()[1:]
            expect_eq(len(told), 3 * COUNT, 'lines written')
            expect_eq(sorted(there), sorted(told), 'lines, each once')

        shells = append(mounts, 'dd')
        for restart in range(2):
            with client() as zk:
                length = (restart + 1) * COUNT // 2
                wait_until(60, lambda: zk.get('/dd')[0].count(b'\n') > length, 'appending')
            own('kill', 1)
            own('restart', 1)
        told = lines_of(shells)
        with client() as zk:
            there = zk.get('/dd')[0].decode().split()[1:]
        expect_eq(len(there), len(set(there)), 'lines that are there once')
        expect_eq(set(told) - set(there), set(), 'lines that were told to be there')
        print(f'{len(told)} told, {len(there)} there, of {3 * COUNT}')
        # Those between are appends that failed, and yet may be there.
        expect_eq(len(told) > COUNT, True, f'enough went well: {len(told)}')
