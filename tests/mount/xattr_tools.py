"""Programs that copy files with their extended attributes, out of a mount, into it and within, say nothing and copy the ACLs; those that
do not care about attributes are not disturbed by them."""
import subprocess

from kazoo.security import make_acl

from zktest import *

require('cp', 'mv', 'rsync', 'tar', 'git', 'install')


def run(*command, **options):
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    expect_eq((done.returncode, done.stdout), (0, ''), f'exit status and output of {command}')


def tar(source, target, *options):
    run('tar', *options, '-cf', f'{SCRATCH}/copy.tar', '-C', os.path.dirname(source), os.path.basename(source))
    os.mkdir(target)
    run('tar', *options, '-xf', f'{SCRATCH}/copy.tar', '-C', target, '--strip-components=1')


COPIES = {      # (source, target), and whether the ACLs come with it
    'cp -a': (lambda source, target: run('cp', '-a', source, target), True),
    'cp -r --preserve=all': (lambda source, target: run('cp', '-r', '--preserve=all', source, target), True),
    'cp -r': (lambda source, target: run('cp', '-r', source, target), False),
    'rsync -aX': (lambda source, target: run('rsync', '-aX', f'{source}/', f'{target}/'), True),
    'rsync -a': (lambda source, target: run('rsync', '-a', f'{source}/', f'{target}/'), False),
    'tar --xattrs': (lambda source, target: tar(source, target, '--xattrs'), True),
    'tar': (tar, False),
}


def acl_of(path):
    return [(acl.perms, acl.id.scheme, acl.id.id) for acl in zk.get_acls(path)[0]]


def check_copy(what, path, with_acls):
    for name, data in (('file', b'contents'), ('sub/file', b'below'), ('sub', b'of a directory')):
        expect_eq(zk.get(f'{path}/{name}')[0], data, f'data of {name}, {what}')
        acl = acl_of(f'/source/{name}') if with_acls else [(31, 'world', 'anyone')]
        expect_eq(acl_of(f'{path}/{name}'), acl, f'ACL of {name}, {what}')


with mount() as mnt, client() as zk:
    everybody = make_acl('world', 'anyone', all=True)
    zk.create('/source', b'', acl=[everybody, make_acl('ip', '10.0.0.1', read=True)])
    zk.create('/source/file', b'contents', acl=[everybody, make_acl('ip', '10.0.0.2', read=True)])
    zk.create('/source/sub', b'of a directory', acl=[everybody, make_acl('ip', '10.0.0.3', read=True)])
    zk.create('/source/sub/file', b'below', acl=[make_acl('world', 'anyone', read=True, write=True, admin=True)])
    mnt.settle()
    os.mkdir('plain')
    with open('plain/file', 'w', encoding='utf-8') as file:
        file.write('plain')
    try:
        os.setxattr('plain/file', 'user.test', b'x')
        os.removexattr('plain/file', 'user.test')
        keeps = True
    except OSError:
        keeps = False   # this test's own directory can have none
    for i, (what, (copy, with_acls)) in enumerate(COPIES.items()):
        copy(f'{mnt.path}/source', f'{mnt.path}/within{i}')
        check_copy(f'{what} within the mount', f'/within{i}', with_acls)
        if keeps or not with_acls:
            copy(f'{mnt.path}/source', f'{SCRATCH}/out{i}')
            copy(f'{SCRATCH}/out{i}', f'{mnt.path}/back{i}')
            check_copy(f'{what} out and back', f'/back{i}', with_acls)
        # Of what has no attributes, onto what is there too.
        for _ in range(2):
            if what.startswith('rsync'):
                copy('plain', f'{mnt.path}/plain{i}')
        if what.startswith('rsync'):
            expect_eq(zk.get(f'/plain{i}/file')[0], b'plain', f'{what} of a plain file')
            expect_eq(acl_of(f'/plain{i}/file'), [(31, 'world', 'anyone')], f'its ACL, {what}')
    if keeps:
        run('mv', f'{mnt.path}/within0', f'{SCRATCH}/moved')
        expect_eq(zk.exists('/within0'), None, 'what was moved out')
        run('mv', f'{SCRATCH}/moved', f'{mnt.path}/moved')
        check_copy('mv out and back', '/moved', True)
    # A copy has the ACL of its source, also where it replaces.
    with open(f'{mnt.path}/target', 'w', encoding='utf-8') as file:
        file.write('old')
    run('cp', '-a', f'{mnt.path}/source/file', f'{mnt.path}/target')
    expect_eq((zk.get('/target')[0], acl_of('/target')), (b'contents', acl_of('/source/file')), 'cp -a onto a file')
    run('install', '-p', f'{mnt.path}/source/file', f'{mnt.path}/installed')
    env = dict(os.environ, GIT_AUTHOR_NAME='x', GIT_AUTHOR_EMAIL='x', GIT_COMMITTER_NAME='x', GIT_COMMITTER_EMAIL='x')
    for command in (('init', '-q'), ('add', '.'), ('commit', '-qm', 'x'), ('diff', '--exit-code'), ('fsck', '--no-progress')):
        run('git', '-c', 'safe.directory=*', *command, cwd=f'{mnt.path}/source', env=env)
