"""A gap in the connection, and what is not plain about it: changes of kind, directories that may not be listed, what happens at
its edges, who looks first when it is over."""
from kazoo.security import make_digest_acl

from cable import Cable
from zktest import *
from watching import *


def expect_told(what, *expected):
    mnt.settle()        # it is connected again, and what comes now is told after the gap
    expect_eq(sorted(watch.take(zk, what)), sorted(expected), what)


def kinds_and_data():
    cable.cut()
    zk.create('/d/file/child')
    zk.set('/d/empty', b'data')
    zk.set('/', b'data')
    cable.mend()
    expect_told('kinds and data', 'DELETE /d/file', 'CREATE,ISDIR /d/file', 'DELETE,ISDIR /d/empty', 'CREATE /d/empty', *written('/d/empty'),
                *written('/.data'))


def not_to_be_listed():
    os.stat(f'{top}/d/secret')
    os.stat(f'{top}/d/secret/inside')
    secret = make_digest_acl('somebody', 'else', all=True)
    zk.set_acls('/d/secret', [secret])
    cable.cut()
    zk.create('/d/born')
    zk.delete('/d/dies')
    cable.mend()
    expect_told('where a directory may not be listed', 'CREATE,ISDIR /d/born', 'DELETE,ISDIR /d/dies')


def looked_up_first():
    """Whoever watches a directory, or holds a file, makes the kernel remember what was there."""
    file = os.open(f'{top}/d/again', os.O_PATH)
    with hold:
        cable.cut()
        zk.delete('/d/again')
        zk.create('/d/again', b'x')
        cable.mend()
        mnt.settle()
        os.stat(f'{top}/d/again')
    expect_told('of one made anew', 'DELETE /d/again', 'CREATE /d/again', *written('/d/again'))
    os.close(file)


def died_after_it():
    cable.stops_at = b'/d/late'
    cable.cut()
    cable.mend()
    expect_eq(cable.has_met.wait(20), True, 'that it looks')
    cable.has_met.clear()
    zk.delete('/d/late')
    cable.stops_at = b''
    expect_told('what died when it was over', 'DELETE,ISDIR /d/late')


def died_in_it():
    cable.cuts_after = b'/d/victim'
    zk.create('/d/victim', b'x')
    expect_eq(cable.has_met.wait(20), True, 'that it was told')
    cable.has_met.clear()
    zk.delete('/d/victim')
    cable.mend()
    expect_told('born before it, died in it', 'CREATE /d/victim', 'DELETE /d/victim')


def begun_before_it():
    """What it looked like could not be asked before the server was gone for longer than anybody waits."""
    cable.cuts_after = b'/d/slow'
    zk.create('/d/slow')
    expect_eq(cable.has_met.wait(20), True, 'that it was told')
    cable.has_met.clear()
    wait_until(20, lambda: not can_read('/d/again'), 'the end of the timeout')
    cable.mend()
    wait_until(20, lambda: can_read('/d/again'), 'the connection')
    expect_told('born before it, looked at after it', 'CREATE,ISDIR /d/slow')
    watch.add('/d/slow')
    zk.create('/d/slow/child')
    expect_told('in it', 'CREATE,ISDIR /d/slow/child')


def can_read(path):
    try:
        with open(top + path, 'rb') as file:
            file.read()
        return True
    except OSError:
        return False


with client() as zk:
    zk.create('/hold', b'x')
    host, port = servers().split(',')[0].split(':')
    cable = Cable((host, int(port)))
    os.environ['ZK'], direct = cable.address, os.environ['ZK']
    with mount('mnt', '-o', 'timeout=2') as mnt:
        os.environ['ZK'] = direct
        top = mnt.path
        zk.create('/d/file', b'x', makepath=True)
        zk.create('/d/again', b'x')
        for name in ('empty', 'dies', 'late', 'secret'):
            zk.create(f'/d/{name}')
        zk.create('/d/secret/inside', b'x')
        mnt.settle()
        hold = Hold(zk, top, '/hold')
        with Watch(top, '/', '/d') as watch:
            for name in os.listdir(f'{top}/d'):
                os.stat(f'{top}/d/{name}')
            for case in (kinds_and_data, not_to_be_listed, looked_up_first, died_after_it, died_in_it, begun_before_it):
                print(case.__name__, flush=True)
                case()
        hold.close()
