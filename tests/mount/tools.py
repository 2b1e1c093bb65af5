"""What ordinary tools make on the mount is what they make on the local filesystem: each scenario runs in both, and the trees, the
output and the exit status must be the same. (Modes and times are not ZooKeeper's to keep.)"""
import hashlib
import subprocess

from zktest import *

require('vim', 'rsync', 'git', 'sqlite3', 'patch')

GIT = '''
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD GIT_AUTHOR_DATE="2026-01-01 00:00 +0000" GIT_COMMITTER_DATE="2026-01-01 00:00 +0000"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
'''
TREE = '''
mkdir -p src/a/b src/empty && echo one >src/one && echo two >src/a/two && : >src/a/none && seq 20000 >src/a/b/numbers
'''
SCENARIOS = {
    'cp': TREE + 'cp src/one copy; cp -r src to; cp src/a/two to/one; cp -r src to; cp -p src/one to/p',
    'mv': TREE + 'mv src/one first; mv src/a src/c; mv first src/c/two; mv src/c src/empty; mv src moved; '
                 'echo x >y; mv -n y moved/empty/c/two; mv -b y moved/empty/c/two',
    'sed': TREE + 'sed -i s/one/1/ src/one; sed -i.bak s/two/2/ src/a/two; sed -i "5,10000d" src/a/b/numbers',
    # Below /tmp it makes no backup, however it is asked to, unless backupskip says otherwise.
    'vim': ''.join(f'printf "a\\nb\\nc\\n" >f{i}; '
                   f'vim -es -u NONE -i NONE -n -c "set backupskip= backupcopy={how}" -c "2s/b/{how}/" -c wq f{i};'
                   f'vim -es -u NONE -i NONE -c "set backupskip= backup backupcopy={how}" -c "1d" -c wq f{i};'
                   for i, how in enumerate(('yes', 'no', 'auto'))),
    'rsync': TREE + 'rsync -a src/ to/ && rsync -a -c --out-format="%n" src/ to/ | grep -v "/$"; echo more >>src/one; '
                    'rsync -a -c --out-format=%n src/ to/ | grep -v "/$"; rsync -a --inplace -c src/a/b/numbers to/one; '
                    'rsync -a --delete -c src/a/ to/',
    'tar': TREE + 'mkdir out && tar c src | tar x -C out && tar c -C out src | tar t | sort && tar xf - <<E 2>/dev/null || :\nE\n',
    'git': TREE + GIT + '''
git init -q -b main repo && cd repo && cp -r ../src . && git add . && git commit -qm first && git rev-parse HEAD
echo changed >src/one && git commit -qam second && git checkout -q -b side HEAD~1 && echo side >src/side && git add . &&
git commit -qm side && git checkout -q main && git merge -q -m merged side && git log --format=%s && cd .. &&
git clone -q repo clone && cd clone && git checkout -q HEAD~1 && git status --short && git fsck 2>/dev/null
cd .. && git -C repo gc -q && git -C repo log --format=%H
find repo clone -name index -o -name "*.pack" -o -name "*.idx" -o -name "*.rev" -o -name config -o -name logs -prune | xargs rm -rf''',
    # Locks come with issue 6: until then SQLite is told to use a lock file, or none.
    'sqlite': '''
sqlite3 "file:db?vfs=unix-dotfile" "create table t(a, b); insert into t values (1, 'one'); insert into t values (2, 'two')"
sqlite3 "file:db?vfs=unix-dotfile" "begin; update t set b = 'zwei' where a = 2; delete from t where a = 1; commit; select * from t"
sqlite3 "file:db?vfs=unix-none" "pragma journal_mode = truncate; insert into t select a + 10, b from t; vacuum; pragma integrity_check"
''',
    'links': TREE + 'ln -s a/two src/link; ln -s nowhere src/dangling; ln -s a src/dir; cat src/link src/dir/two; cp -a src to; '
             'rsync -a src/ there/; mkdir out; tar c src | tar x -C out; ln -sfn one src/link; mv src/link moved; readlink moved; '
             'find . -type l | sort; mv src/one src/dangling; rm src/dir; echo x >new; ln -sf new new2; echo y >new2',
    'dd': 'seq 1000 >f; printf XXXX | dd of=f bs=1 seek=100 conv=notrunc status=none; dd if=/dev/zero of=f bs=10 seek=1000 count=2 '
          'conv=notrunc status=none; dd if=f of=g bs=7 skip=3 count=9 status=none; dd if=f of=h bs=4k conv=fsync status=none',
    'truncate': 'seq 100 >f; truncate -s 50 f; truncate -s +50 f; : >g; truncate -s 10 g; truncate -s 0 f; truncate -s 5 new',
    'append': 'for i in 1 2 3; do echo $i >>f; done; echo t | tee -a f; { echo a; echo b; } >>f; exec 3>>f; echo x >&3; echo y >>f; '
              'echo z >&3; exec 3>&-; cat f',
    'renames': TREE + 'for i in 1 2 3; do mv -T src/a src/b; mv -T src/b src/c; mv -T src/c src/a; done; '
                      'echo a >a; echo b >b; mv a t; mv b a; mv t b; mv -f a b; mkdir e; mv -T src e; mv e/a/b e/b; mv -T e/b e/empty; '
                      'mv e e/a; mv b e; mv -T b e; mv nothing e; echo x >e/a/x; cat e/a/x e/empty/numbers | tail -1',
    'diff': TREE + 'cp -r src to; diff -r src to; echo more >>to/a/two; rm to/one; : >to/src; diff -r src to; cmp src/a/two to/a/two',
    'head': 'head -c 100000 /dev/zero >f; head -c 900000 /dev/zero | tr "\\0" x >large; head -c 5 large >>f; tail -c +899999 large; '
            'split -b 300000 large part; cat parta? | cmp - large; cp large again; comm -12 <(sort large) <(sort again) | wc -c; '
            'gzip large; gunzip -c large.gz | cmp - again; rm large.gz',
    'patch': 'seq 10 >f; sed s/5/five/ f >g; diff -u f g >p; patch -s f <p; cmp f g; patch -s -R -b f <p; rm p',
    'install': 'echo x >x; install -m 600 x y; install -D x d/e/f; ln -f x l 2>/dev/null || cp x l',
    'shell': 'echo a >f; cat <f >g; cat f f >>g; (echo sub; sleep 0.1; echo shell) >h; sh -c "echo 1; echo 2 >&2" >i 2>&1; '
             'cat >j <<E\nhere\nE\nset -C; (echo no >f) 2>/dev/null || echo refused; echo yes >|f',
    'python': '''exec python3 - <<E
import dbm.dumb, mmap, os, shelve
with shelve.Shelf(dbm.dumb.open('shelf')) as shelf:
    shelf['a'] = [1, 2, 3]
    shelf['b'] = 'text'
with shelve.Shelf(dbm.dumb.open('shelf')) as shelf:
    shelf['a'] += [4]
    print(sorted(shelf.items()))
with open('mapped', 'wb') as file:
    file.write(bytes(range(256)) * 100)
with open('mapped', 'r+b') as file, mmap.mmap(file.fileno(), 0) as pages:
    print(pages[1000:1010])
    pages[5000:5005] = b'HELLO'
    pages.flush()
    pages[-3:] = b'END'
with open('mapped', 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
    print(pages.find(b'HELLO'), pages[-3:])
fd = os.open('holes', os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b'x', 5000)
print(len(os.pread(fd, 10000, 0)), os.lseek(fd, 0, os.SEEK_END))
os.ftruncate(fd, 100)
os.close(fd)
os.replace('holes', 'mapped.2')
E''',
}


def look(top):
    """What is there: kind, and contents or target."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                what = ('link', os.readlink(path))
            elif os.path.isdir(path):
                what = ('directory',)
            else:
                with open(path, 'rb') as file:
                    data = file.read()
                what = ('file', len(data), hashlib.sha256(data).hexdigest())
            found[os.path.relpath(path, top)] = what
    return found


def run(script, top):
    os.mkdir(top)
    done = subprocess.run(['/bin/bash', '-c', script], cwd=top, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    return done.returncode, done.stdout.decode(errors='replace').replace(top, 'TOP')


failed = []
with mount() as mnt, client() as zk:
    local = os.path.join(SCRATCH, 'local')
    os.mkdir(local)
    for name, script in SCENARIOS.items():
        print(name, flush=True)
        said = [run(script, f'{top}/{name}') for top in (local, mnt.path)]
        there = [look(f'{top}/{name}') for top in (local, mnt.path)]
        if said[0] != said[1]:
            failed.append(f'{name}: {said[1]!r}, locally {said[0]!r}')
        differing = {path for path in there[0].keys() | there[1].keys() if there[0].get(path) != there[1].get(path)}
        if differing:
            failed.append(f'{name}: ' + ', '.join(f'{path}: {there[1].get(path)}, locally {there[0].get(path)}'
                                                  for path in sorted(differing)))
        if not there[0]:
            failed.append(f'{name} made nothing: {said[0]}')
    if failed:
        fail('\n'.join(failed))
