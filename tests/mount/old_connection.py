"""What is still on its way on the connection that broke is refused once the session has answered on another one, on the same server
or on another: that is what the search for unknown outcomes rests on."""
from proxy import Proxy
from zktest import *

SESSION_MOVED = -118


def overwrite():
    with open(f'{mnt.path}/f', 'w', encoding='utf-8') as file:
        file.write('new')


def data():
    return zk.get('/f')[0] if zk.exists('/f') else None


def run(what, before, call, then, after):
    """The call's request is kept back; then somebody changes what it has made; then it comes after all."""
    print(what, flush=True)
    if zk.exists('/f'):
        zk.delete('/f')
    if before is not None:
        zk.create('/f', before)
    mnt.settle()
    proxy.arm('kept')
    call()
    expect_eq(proxy.fired.is_set(), True, f'{what}: the proxy has struck')
    then()
    expect_eq(data(), after, what)
    answer = proxy.deliver()
    print(answer)
    expect_eq(answer in ('closed', SESSION_MOVED), True, f'{what}: the answer to what comes late, {answer}')
    mnt.settle()
    expect_eq(data(), after, f'{what}: after what came late')


def run_all():
    path = f'{mnt.path}/f'
    run('an overwrite', b'old', overwrite, lambda: zk.set('/f', b'kazoo'), b'kazoo')
    run('a birth', None, overwrite, lambda: zk.delete('/f'), None)
    run('mkdir', None, lambda: os.mkdir(path), lambda: zk.delete('/f'), None)
    run('unlink', b'old', lambda: os.unlink(path), lambda: zk.create('/f', b'kazoo'), b'kazoo')
    run('rename', b'old', lambda: os.rename(path, f'{mnt.path}/g'), lambda: (zk.delete('/g'), zk.create('/f', b'old')), b'old')


def addresses():
    return [(host, int(port)) for host, port in (server.split(':') for server in os.environ['ZK'].split(','))]


for options in ([], ['--ensemble', '3']):
    with Servers(*options) as own, client() as zk:
        proxy = Proxy(*addresses())
        direct, os.environ['ZK'] = os.environ['ZK'], proxy.address
        with mount('mnt') as mnt:
            os.environ['ZK'] = direct
            run_all()
