"""With -o allow_other, what anonymous may not read other users of the machine may not read: neither the data nor the listing nor
where a link leads, nor what a permitted reader left in the kernel's caches. Another ACL is noticed: ours at once, others' soon."""
import stat
import subprocess

from kazoo.security import make_acl, make_digest_acl

from zktest import *

require('setpriv', 'getfattr', 'setfattr')
if os.getuid() != 0:
    skip('needs root, to be someone else')
os.chmod(SCRATCH, 0o711)
os.chmod(os.path.dirname(SCRATCH), 0o711)

ALICE = make_digest_acl('alice', 'open', all=True)
OPEN = make_acl('world', 'anyone', all=True)
OTHERS_WRITE = make_acl('world', 'anyone', write=True, create=True, delete=True)
IP_READS = make_acl('ip', '127.0.0.1', read=True)


def other(*command):
    """As another user: what it printed, or None if that was not permitted."""
    done = subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', *command], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 0:
        return done.stdout
    if 'Permission denied' not in done.stderr:
        fail(f'{command}: exit status {done.returncode}: {done.stderr}')
    return None


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def mode(path):
    return f'{stat.S_IMODE(os.lstat(path).st_mode):o}'


def set_acl(path, text):
    subprocess.run(['setfattr', '-n', 'user.zk.acl', '-v', text, path], check=True)


def check_data():
    for name in ('secret', 'by_ip', 'writable'):
        for _ in range(3):      # it is in the page cache then
            expect_eq(read(f'{top}/{name}'), 'treasure', f'{name}, by who mounted')
        expect_eq(other('cat', f'{top}/{name}'), None, f'{name}, by another')
        expect_eq(mode(f'{top}/{name}'), '600', f'mode of {name}')
        expect_eq(other('getfattr', '-n', 'user.zk.acl', f'{top}/{name}'), None, f'ACL of {name}, by another')
    # Their attributes come with the listing then.
    listed = other('ls', '-l', top)
    expect_eq([line.split()[0] for line in listed.splitlines() if line.endswith(('public', 'secret'))],
              ['-rw-r--r--', '-rw-------'], 'modes in the listing')
    expect_eq(other('cat', f'{top}/secret'), None, 'after the listing')
    expect_eq(other('cat', f'{top}/public'), 'treasure', 'what everybody may read')
    expect_eq(read(f'{top}/public'), 'treasure', 'by who mounted')
    expect_eq(other('sh', '-c', f'echo x >>{top}/public'), None, 'others write nothing')


def check_directory():
    for _ in range(2):
        expect_eq(sorted(os.listdir(f'{top}/dir')), ['.data', 'public', 'secret'], 'a listing, by who mounted')
    expect_eq(mode(f'{top}/dir'), '711', 'mode of a directory')
    expect_eq(other('ls', f'{top}/dir'), None, 'a listing, by another')
    expect_eq(read(f'{top}/dir/.data'), 'data', 'its data')
    expect_eq(other('cat', f'{top}/dir/.data'), None, 'its data, by another')
    expect_eq(other('cat', f'{top}/dir/secret'), None, 'a secret child')
    expect_eq(other('cat', f'{top}/dir/public'), 'treasure', 'a child that everybody may read, as with ZooKeeper')
    expect_eq(other('ls', f'{top}/open_dir'), 'child\n', 'a listing for everybody')


def check_made():
    """What the mount makes (-o acl=creator): its writer leaves it in the kernel's caches."""
    write(f'{top}/made', 'by us')
    expect_eq(other('cat', f'{top}/made'), None, 'a new file')
    expect_eq(read(f'{top}/made'), 'by us', 'by who mounted')
    expect_eq(other('cat', f'{top}/made'), None, 'after it was read')
    os.mkdir(f'{top}/made_dir')
    expect_eq(other('ls', f'{top}/made_dir'), None, 'a new directory')
    with open(f'{top}/unsaved', 'w', encoding='utf-8') as file:
        file.write('not there yet')
        expect_eq(other('cat', f'{top}/unsaved'), None, 'a file that has no znode yet')
    os.symlink('/where', f'{top}/link')
    expect_eq(os.readlink(f'{top}/link'), '/where', 'a link, by who mounted')
    expect_eq(other('readlink', '-v', f'{top}/link'), None, 'a link, by another')
    set_acl(f'{top}/made', 'auth::cdrwa,world:anyone:r')
    expect_eq(other('cat', f'{top}/made'), 'by us', 'once everybody may')


def check_acl_set():
    """By us it counts at once, by others within seconds, in both directions."""
    for _ in range(3):
        set_acl(f'{top}/turns', 'auth::cdrwa')
        expect_eq(other('cat', f'{top}/turns'), None, 'once we have closed it')
        expect_eq(read(f'{top}/turns'), 'treasure', 'by who mounted')
        set_acl(f'{top}/turns', 'auth::cdrwa,world:anyone:r')
        expect_eq(other('cat', f'{top}/turns'), 'treasure', 'once we have opened it')
    zk.set_acls('/turns', [ALICE])
    wait_until(30, lambda: other('cat', f'{top}/turns') is None, 'what another client closed to be closed')
    expect_eq(read(f'{top}/turns'), 'treasure', 'by who mounted')
    zk.set_acls('/turns', [OPEN])
    wait_until(30, lambda: other('cat', f'{top}/turns') == 'treasure', 'what another client opened to be open')
    zk.set_acls('/open_dir', [ALICE])
    wait_until(30, lambda: other('ls', f'{top}/open_dir') is None, 'a directory that another client closed to be closed')


def check_replaced():
    """Another znode of the same name is another znode, at once."""
    expect_eq(other('cat', f'{top}/replaced'), 'treasure', 'what everybody may read')
    zk.delete('/replaced')
    zk.create('/replaced', b'treasure', acl=[ALICE])
    mnt.settle()
    expect_eq(other('cat', f'{top}/replaced'), None, 'what replaced it')
    zk.set('/replaced', b'changed')
    mnt.settle()
    expect_eq(read(f'{top}/replaced'), 'changed', 'changed data, by who mounted')
    expect_eq(other('cat', f'{top}/replaced'), None, 'changed data')


def check_renamed():
    """What replaces a file gets its ACL, and the inode that everybody might read is one that they may not."""
    zk.create('/target', b'secret', acl=[ALICE])
    zk.create('/source', b'public', acl=[OPEN])
    mnt.settle()
    expect_eq(other('cat', f'{top}/source'), 'public', 'what everybody may read')
    os.rename(f'{top}/source', f'{top}/target')
    expect_eq(zk.get_acls('/target')[0], [ALICE], 'ACL of what was replaced')
    expect_eq(other('cat', f'{top}/target'), None, 'under the name of what only we may read')
    expect_eq(read(f'{top}/target'), 'public', 'by who mounted')


def check_alien():
    """What we may not read ourselves nobody reads through us."""
    with expect_error(errno.EACCES):
        read(f'{top}/alien')
    expect_eq(other('cat', f'{top}/alien'), None, 'what we may not read')
    expect_eq(mode(f'{top}/alien'), '600', 'its mode')


with os.fdopen(os.open('auth', os.O_CREAT | os.O_WRONLY, 0o600), 'w') as auth:
    auth.write('digest alice:open\n')
with client() as zk:
    zk.add_auth('digest', 'alice:open')
    for name, acl in (('secret', [ALICE]), ('by_ip', [ALICE, IP_READS]), ('writable', [ALICE, OTHERS_WRITE]),
                      ('public', [OPEN]), ('turns', [OPEN]), ('replaced', [OPEN])):
        zk.create(f'/{name}', b'treasure', acl=acl)
    zk.create('/alien', b'theirs', acl=[make_digest_acl('bob', 'other', all=True)])
    zk.create('/dir', b'data', acl=[ALICE])
    zk.create('/dir/secret', b'treasure', acl=[ALICE])
    zk.create('/dir/public', b'treasure', acl=[OPEN])
    zk.create('/open_dir', b'', acl=[OPEN])
    zk.create('/open_dir/child', b'x', acl=[OPEN])
    with mount('mnt', '-o', f'allow_other,auth_file={SCRATCH}/auth,acl=creator') as mnt:
        top = mnt.path
        check_data()
        check_directory()
        check_made()
        check_acl_set()
        check_replaced()
        check_renamed()
        check_alien()
