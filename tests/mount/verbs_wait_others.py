"""zkfs wait of a user who may not read what he waits for: whether it is there he is told, of the rest that he may not. It never waits
for what cannot come."""
import shutil
import subprocess

from kazoo.security import make_acl, make_digest_acl

from zktest import *

require('setpriv')
if os.getuid() != 0:
    skip('needs root, to be someone else')
os.chmod(SCRATCH, 0o711)
os.chmod(os.path.dirname(SCRATCH), 0o711)
shutil.copy(ZKFS, 'program')    # the other one need not reach ours


def start(*words):
    return subprocess.Popen(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', f'{SCRATCH}/program', 'wait', *words],
                            cwd='/', stderr=subprocess.PIPE, text=True)


def ended(process, status=0):
    try:
        _, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        fail(f'{process.args} waits on')
    expect_eq(process.returncode, status, f'{process.args} ({err.strip()})')
    return err


def refused(*words):
    expect_eq(ended(start(*words), 1), f"zkfs wait: cannot wait for '{words[-1]}': Permission denied\n", f'{words}')


ours = [make_digest_acl('alice', 'open', all=True)]
with open('auth', 'w', encoding='utf-8') as file:
    file.write('digest alice:open\n')
os.chmod('auth', 0o600)
with mount('mnt', '-o', 'allow_other,auth_file=auth') as mnt, mount('private') as private, client() as zk:
    zk.add_auth('digest', 'alice:open')
    zk.create('/secret', b'treasure', acl=ours)
    zk.create('/dir', b'', acl=ours)
    zk.create('/dir/public', b'x', acl=[*ours, make_acl('world', 'anyone', read=True)])
    for name in ('secret', 'dir', 'dir/public'):
        ended(start(f'{mnt.path}/{name}'))
    for name in ('secret', 'dir'):
        for condition in ('--changed', '--equals=treasure'):
            refused(condition, f'{mnt.path}/{name}')
    waiting = start('--gone', f'{mnt.path}/secret')
    late = start(f'{mnt.path}/late')
    expect_eq(ended(start('--timeout=0.5', '--gone', f'{mnt.path}/secret'), 124),
              f"zkfs wait: timed out waiting for '{mnt.path}/secret'\n", 'it is there')
    zk.delete('/secret')
    zk.create('/late', b'treasure', acl=ours)
    ended(waiting)
    ended(late)
    for condition in ('--exists', '--gone', '--changed'):
        refused(condition, f'{private.path}/late')
