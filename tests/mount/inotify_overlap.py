"""What others do while a change of ours of the same znode is under way: whoever watches is told last what it is in the end."""
import signal
import subprocess
import threading

from proxy import Proxy
from zktest import *

require('inotifywait')


def last_event(name):
    lines = open('events', encoding='utf-8').read().splitlines()
    events = [line.replace(',', ' ').split()[0] for line in lines if line.endswith(f' {name}')]
    return events[-1] if events else None


def during(call, meanwhile, name):
    """The call is answered after what happens meanwhile, right behind it."""
    proxy.arm('slow')
    caller = threading.Thread(target=call)
    caller.start()
    expect_eq(proxy.fired.wait(20), True, f'{name}: the change is made')
    meanwhile()
    proxy.go.set()
    caller.join()
    mnt.settle()
    zk.create(f'/mark-{name}')
    wait_until(10, lambda: f'CREATE,ISDIR mark-{name}' in open('events', encoding='utf-8').read(), f'the mark after {name}')
    expect_eq(last_event(name), 'CREATE' if zk.exists(f'/{name}') else 'DELETE', f'{name}: the last event')
    expect_eq(os.path.exists(f'{mnt.path}/{name}'), bool(zk.exists(f'/{name}')), f'{name}: what the mount shows')


def again(name):
    zk.delete(f'/{name}')
    zk.create(f'/{name}')


def shortly(name):
    zk.create(f'/{name}')
    zk.delete(f'/{name}')


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = Proxy((host, int(port)))
    direct, os.environ['ZK'] = os.environ['ZK'], proxy.address
    with mount() as mnt:
        os.environ['ZK'] = direct
        os.listdir(mnt.path)
        with open('events', 'w', encoding='utf-8') as log, open('watch', 'w', encoding='utf-8') as err:
            watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create,delete', '--format', '%e %f', mnt.path], stdout=log, stderr=err)
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watch')
        during(lambda: os.mkdir(f'{mnt.path}/made'), lambda: again('made'), 'made')
        os.mkdir(f'{mnt.path}/removed')
        during(lambda: os.rmdir(f'{mnt.path}/removed'), lambda: shortly('removed'), 'removed')
        watch.send_signal(signal.SIGTERM)
        watch.wait()
