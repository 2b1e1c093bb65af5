"""A node that comes and goes all the time: whoever opens, looks at or lists it finds it or does not, and gets no other error.
(The kernel asks again once after ESTALE; what it found then may have died as well.)"""
import collections
import errno
import threading

from zktest import *

CYCLES = int(2000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))

answers = collections.Counter()
is_over = threading.Event()


def note(what, call):
    try:
        call()
        answers[what, 'there'] += 1
    except OSError as error:
        answers[what, errno.errorcode[error.errno]] += 1


def read_whole(path):
    with open(path, 'rb', buffering=0) as file:
        data = file.read()
    if not data.startswith(b'contents '):
        fail(f'it never had the contents {data!r}')


def open_it(path):
    while not is_over.is_set():
        note('open', lambda: read_whole(path))


def look_at_it(path):
    while not is_over.is_set():
        note('stat', lambda: os.stat(path))
        note('readlink', lambda: os.readlink(path))


def list_it(path):
    while not is_over.is_set():
        note('listdir', lambda: os.listdir(path))


with client() as zk, mount() as m:
    zk.create('/file', b'contents of the first')
    zk.create('/directory', b'')
    zk.create('/directory/child', b'')
    threads = [threading.Thread(target=target, args=(f'{m.path}/{name}',))
               for target, name in ((open_it, 'file'), (open_it, 'file'), (look_at_it, 'file'), (list_it, 'directory'))]
    for thread in threads:
        thread.start()
    try:
        for i in range(CYCLES):
            zk.delete('/file')
            zk.create('/file', b'contents %d' % i)
            if i % 8 == 0:
                transaction = zk.transaction()
                transaction.delete('/directory/child')
                transaction.delete('/directory')
                transaction.commit()
                transaction = zk.transaction()
                transaction.create('/directory', b'')
                transaction.create('/directory/child', b'')
                transaction.commit()
    finally:
        is_over.set()
    for thread in threads:
        thread.join()

    expected = {('open', 'there'), ('open', 'ENOENT'), ('stat', 'there'), ('stat', 'ENOENT'), ('readlink', 'EINVAL'),
                ('readlink', 'ENOENT'), ('listdir', 'there'), ('listdir', 'ENOENT')}
    if set(answers) - expected:
        fail(f'it was answered {dict(answers)}')
    if answers['open', 'there'] < 100 or answers['open', 'ENOENT'] < 10:
        fail(f'it was not looked at while it came and went: {dict(answers)}')
