"""A server that takes no recursive watch: what others change is seen when the ttl is over, our own at once."""
from zktest import *

TTL = 1

with Servers('--option', '-Dzookeeper.watchManagerName='
             'org.apache.zookeeper.server.watch.WatchManagerOptimized') as own, \
        client() as zk, mount('mnt', '-o', f'ttl={TTL}') as mnt:
    def read(name):
        with open(f'{mnt.path}/{name}', encoding='utf-8') as file:
            return file.read()

    expect_eq('watch ttl\n' in read('.zkfs/session'), True, 'what the mount says of itself')
    zk.create('/file', b'first')
    expect_eq(read('file'), 'first', 'contents')
    expect_eq(os.listdir(mnt.path), ['file'], 'listing')
    for i in range(3):
        zk.set('/file', b'change %d' % i)
        wait_until(TTL + 0.5, lambda: read('file') == f'change {i}', 'the change')
        zk.create(f'/new-{i}', b'x')
        wait_until(TTL + 0.5, lambda: f'new-{i}' in os.listdir(mnt.path), 'the new file')
        wait_until(TTL + 0.5, lambda: os.path.exists(f'{mnt.path}/new-{i}'), 'the new file')
        zk.delete(f'/new-{i}')
        wait_until(TTL + 0.5, lambda: not os.path.exists(f'{mnt.path}/new-{i}'), 'the end of the new file')

    for i in range(50):
        with open(f'{mnt.path}/file', 'w', encoding='utf-8') as file:
            file.write(f'our own {i}')
        expect_eq(read('file'), f'our own {i}', 'what was just written')
        os.mkdir(f'{mnt.path}/made-{i}')
        expect_eq(f'made-{i}' in os.listdir(mnt.path), True, 'what was just made is listed')
        os.rmdir(f'{mnt.path}/made-{i}')
        expect_eq(os.path.exists(f'{mnt.path}/made-{i}'), False, 'what was just removed')
