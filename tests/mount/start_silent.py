"""A server that accepts connections and says nothing, or garbage: an error within the timeout."""
import socket
import subprocess
import threading
import time

from zktest import *


def serve(listener, word):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if word:
            connection.sendall(word)
        kept.append(connection)


def start(word):
    listener = socket.create_server(('127.0.0.1', 0))
    threading.Thread(target=serve, args=(listener, word), daemon=True).start()
    os.makedirs(f'{SCRATCH}/mnt', exist_ok=True)
    began = time.monotonic()
    done = subprocess.run([ZKFS, '-o', 'timeout=1', f'127.0.0.1:{listener.getsockname()[1]}', f'{SCRATCH}/mnt'],
                          check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    listener.close()
    expect_eq(done.returncode, 1, f'exit status for {word} ({done.stderr})')
    expect_eq(len(done.stderr.splitlines()), 1, f'lines of message for {word}')
    if time.monotonic() - began > 4:
        fail(f'it took {time.monotonic() - began:.1f} s to give up a server that says {word}')


kept = []
start(b'')
start(b'HTTP/1.1 400 Bad Request\r\n\r\n')
start(b'\0\0\0\4\0\0\0\0')
start(b'\xff' * 100)
