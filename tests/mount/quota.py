"""What the server's quota refuses is EDQUOT, at close."""
from zktest import *

with Servers('--option', '-Dzookeeper.enforceQuota=true') as own, client() as zk, mount() as mnt:
    with client(root='') as servers_root:
        servers_root.ensure_path(f'/zookeeper/quota{ROOT}/limited')
        zk.create('/limited', b'')
        servers_root.create(f'/zookeeper/quota{ROOT}/limited/zookeeper_limits',
                            b'count=-1,bytes=-1=;byteHardLimit=100;countHardLimit=3')
        servers_root.create(f'/zookeeper/quota{ROOT}/limited/zookeeper_stats', b'count=1,bytes=0')
    mnt.settle()
    with open(f'{mnt.path}/limited/small', 'wb') as file:
        file.write(b'x' * 50)
    fd = os.open(f'{mnt.path}/limited/small', os.O_WRONLY)
    os.write(fd, b'x' * 200)
    with expect_error(errno.EDQUOT, 'close'):
        os.close(fd)
    expect_eq(zk.get('/limited/small')[0], b'x' * 50, 'data')
    os.mkdir(f'{mnt.path}/limited/two')
    with expect_error(errno.EDQUOT, 'mkdir'):
        os.mkdir(f'{mnt.path}/limited/three')
