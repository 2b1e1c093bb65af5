"""The stream breaks with the event of a change of our data: it shows as inotify events once all the same. One of somebody else is
looked for."""
import signal
import struct
import subprocess

from proxy import Proxy
from zktest import *

require('inotifywait')


class EventProxy(Proxy):
    """Breaks the connection that brings the next event, which is lost."""

    is_armed = False

    def passes(self, pair, source, frame):
        if source == 'server' and self.is_armed and struct.unpack('>i', frame[4:8])[0] == -1:
            self.is_armed = False
            self.fired.set()
            return False
        return super().passes(pair, source, frame)


def seen():
    return open('events', encoding='utf-8').read().splitlines()


def overwrite():
    with open(f'{mnt.path}/f', 'w', encoding='utf-8') as file:
        file.write('22')


with client() as zk:
    host, port = servers().split(',')[0].split(':')
    proxy = EventProxy((host, int(port)))
    direct, os.environ['ZK'] = os.environ['ZK'], proxy.address
    with mount() as mnt:
        os.environ['ZK'] = direct
        zk.create('/f', b'1')
        mnt.settle()
        os.listdir(mnt.path)
        os.stat(f'{mnt.path}/f')
        with open('events', 'w', encoding='utf-8') as log, open('watch', 'w', encoding='utf-8') as err:
            watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create,delete,modify,close_write', '--format', '%e %f',
                                      mnt.path], stdout=log, stderr=err)
        wait_until(10, lambda: 'Watches established' in open('watch', encoding='utf-8').read(), 'the watch')
        for round in range(5):
            print(round, flush=True)
            proxy.fired.clear()
            proxy.is_armed = True
            began = len(seen())
            overwrite()
            expect_eq(proxy.fired.is_set(), True, 'the proxy has struck')
            zk.create(f'/mark{round}')
            wait_until(10, lambda: f'CREATE,ISDIR mark{round}' in seen(), 'the mark')
            expect_eq([line for line in seen()[began:] if line.startswith('CLOSE_WRITE')], ['CLOSE_WRITE,CLOSE f'], 'our change')
        proxy.fired.clear()
        proxy.is_armed = True
        zk.set('/f', b'kazoo')
        wait_until(10, lambda: seen()[-1] == 'CLOSE_WRITE,CLOSE f', "somebody else's")
        watch.send_signal(signal.SIGTERM)
        watch.wait()
