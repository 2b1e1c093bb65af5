"""Lines appended at once through two mounts and by Kazoo: none is lost, none is torn, each writer's in order."""
import threading

from kazoo.exceptions import BadVersionError

from zktest import *

COUNT = int(100 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))


def append(path, who):
    for i in range(COUNT):
        with open(path, 'a') as file:
            file.write(f'{who} {i}\n')
    done.append(who)


def append_by_kazoo(who):
    for i in range(COUNT):
        while True:
            data, stat = zk.get('/log')
            try:
                zk.set('/log', data + f'{who} {i}\n'.encode(), stat.version)
                break
            except BadVersionError:
                pass
    done.append(who)


done = []
with mount('one') as one, mount('two') as two, client() as zk:
    zk.create('/log', b'first\n')
    threads = [threading.Thread(target=append, args=(f'{mnt.path}/log', f'{mnt.path[-3:]}-{i}'))
               for mnt in (one, two) for i in range(2)]
    threads.append(threading.Thread(target=append_by_kazoo, args=('kazoo',)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_eq(len(done), 5, 'writers that ended well')
    lines = zk.get('/log')[0].decode().splitlines()
    expect_eq(lines[0], 'first', 'the first line')
    for who in done:
        expect_eq([line for line in lines if line.startswith(who + ' ')], [f'{who} {i}' for i in range(COUNT)],
                  f'lines of {who}')
    expect_eq(len(lines), 1 + 5 * COUNT, 'lines')
