"""A server that was killed and comes back, again and again: reads and changes go on as soon as it answers anybody."""
import socket
import struct
import threading
import time

from zktest import *

ROUNDS = 3
SESSION = 36    # s; libzookeeper waits two thirds of it for a server that took its connection and never answers


def answers():
    """Whether the server takes in a new session."""
    host, port = servers().split(':')
    request = struct.pack('>iqiqi16s?', 0, 0, 1000, 0, 16, b'', False)
    try:
        with socket.create_connection((host, int(port)), timeout=0.3) as connection:
            connection.settimeout(0.3)
            connection.sendall(struct.pack('>i', len(request)) + request)
            return len(connection.recv(64)) > 8
    except OSError:
        return False


def session():
    with open(f'{mnt.path}/.zkfs/session', encoding='utf-8') as file:
        return dict(line.rstrip('\n').split(' ', 1) for line in file)


def timed(times, what, act):
    act()
    times[what] = time.monotonic()


with Servers() as own, mount('mnt', '-o', f'stale=never,session_timeout={SESSION},timeout={SESSION}') as mnt:
    for round in range(ROUNDS):
        os.mkdir(f'{mnt.path}/before{round}')
        before = session()
        own('kill', 1)
        wait_until(20, lambda: session()['state'] == 'suspended' and session()['reads'] == 'none', 'the loss to be noticed')
        times = {}
        waiting = [threading.Thread(target=timed, args=args) for args in (
            (times, 'read', lambda: os.listdir(mnt.path)), (times, 'changed', lambda: os.mkdir(f'{mnt.path}/after{round}')))]   # pylint: disable=cell-var-from-loop
        restart = threading.Thread(target=own, args=('restart', 1))
        for thread in (restart, *waiting):
            thread.start()
        wait_until(60, answers, 'the server to answer')
        began = time.monotonic()
        for thread in (restart, *waiting):
            thread.join()
        print(', '.join(f'{what} {end - began:.2f} s' for what, end in sorted(times.items())), 'after the server answers again')
        if len(times) < 2 or max(times.values()) - began > SESSION / 3:
            fail('that took too long')
        expect_eq(session()['id'], before['id'], 'the session')
