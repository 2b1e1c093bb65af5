"""/.zkfs/transaction: all or nothing, the result of each step read back from the file descriptor that wrote it, errors that name the
step, two writers that do not mix; Kazoo sees what was done, and so do the kernel and inotify."""
import subprocess
import threading

from kazoo.security import OPEN_ACL_UNSAFE

from zktest import *


def submit(text, mode=os.O_RDWR):
    """What fsync said, and what can be read then."""
    fd = os.open(f'{top}/.zkfs/transaction', mode)
    try:
        os.write(fd, text.encode())
        try:
            os.fsync(fd)
            said = 'ok'
        except OSError as error:
            said = errno.errorcode[error.errno]
        return said, os.read(fd, 100_000).decode()
    finally:
        os.close(fd)


def tree(path='/'):
    """Everything, with data and versions."""
    data, stat = zk.get(path)
    found = {path: (data, stat.version)}
    for name in zk.get_children(path):
        if path + name not in ('/zookeeper', '/.zkfs-locks'):
            found.update(tree(f'{path.rstrip("/")}/{name}'))
    return found


def expect_nothing(text, said, result, what):
    before = tree()
    expect_eq(submit(text), (said, result), what)
    expect_eq(tree(), before, f'{what}: nothing has changed')


def check_success():
    text = ('# what the design shows\n'
            'check /node1 1\n\n'
            'create /node2/child "a value" ephemeral sequential\n'
            'set /config "x\\n" 2\n'
            'delete /old -1\n')
    expect_eq(submit(text), ('ok', 'ok /node1\nok /node2/child0000000000\nok /config\nok /old\n'), 'the example')
    data, stat = zk.get('/node2/child0000000000')
    expect_eq((data, stat.ephemeralOwner != 0), (b'a value', True), 'what was made')
    expect_eq(zk.get_acls('/node2/child0000000000')[0], OPEN_ACL_UNSAFE, 'its ACL')
    expect_eq((zk.get('/config')[0], zk.get('/config')[1].version), (b'x\n', 3), 'what was set')
    expect_eq(zk.exists('/old'), None, 'what was deleted')
    # What is read next is never older, though the kernel knew it before.
    expect_eq(open(f'{top}/config', encoding='utf-8').read(), 'x\n', 'what the mount shows')
    expect_eq((os.path.exists(f'{top}/old'), os.listdir(f'{top}/node2')), (False, ['child0000000000']), 'names on the mount')
    expect_eq(submit('create /queue/ a sequential\ncreate "/queue/b c-" "" sequential\ncreate /queue/plain ""\ncreate /queue/plain/x 1'),
              ('ok', 'ok /queue/0000000000\nok "/queue/b c-0000000001"\nok /queue/plain\nok /queue/plain/x\n'), 'names that are made')
    expect_eq(sorted(zk.get_children('/queue')), ['0000000000', 'b c-0000000001', 'plain'], 'the queue')
    expect_eq(submit('create /queue/ \xe4\n'), ('EINVAL', 'error 1 EINVAL the path has an empty component\n'),
              'not sequential')
    expect_eq(submit('set /config "\\x00\\xff\\"\\\\"\n'), ('ok', 'ok /config\n'), 'any bytes')
    expect_eq(zk.get('/config')[0], b'\0\xff"\\', 'any bytes there')
    expect_eq(submit('# nothing\n\n'), ('ok', ''), 'nothing to do')
    expect_eq(submit('check /config'), ('ok', 'ok /config\n'), 'one check, the last line without its end')
    expect_eq(submit('set /config one'), ('ok', 'ok /config\n'), 'one step')
    expect_eq(submit('create /config/one- x sequential'), ('ok', 'ok /config/one-0000000000\n'), 'one sequential step')


def check_failures():
    expect_nothing('check /config\nset /config new\ncheck /node1 17\ndelete /node1\n', 'EAGAIN',
                   'error 3 EAGAIN check /node1: it has another version\n', 'a wrong version')
    expect_nothing('\n\ncreate /made x\nset /config new 99\n', 'EAGAIN', 'error 4 EAGAIN set /config: it has another version\n', 'set')
    expect_nothing('create /made x\ncreate "/config" y\n', 'EEXIST', 'error 2 EEXIST create /config: it is there already\n', 'create')
    expect_nothing('create /made x\ncreate "/no where/y" y\n', 'ENOENT',
                   'error 2 ENOENT create "/no where/y": its parent is not there\n', 'no parent')
    expect_nothing('create /made x\ndelete /nothing\n', 'ENOENT', 'error 2 ENOENT delete /nothing: it is not there\n', 'delete')
    expect_nothing('create /made x\ndelete /queue\n', 'ENOTEMPTY', 'error 2 ENOTEMPTY delete /queue: it has children\n', 'children')
    expect_nothing('create /e x ephemeral\ncreate /e/f y\n', 'ENOTDIR', 'error 2 ENOTDIR create /e/f: its parent is ephemeral\n',
                   'below an ephemeral')
    expect_nothing('delete /nothing', 'ENOENT', 'error 1 ENOENT delete /nothing: it is not there\n', 'one step')
    expect_nothing('create /made x\n\nsett /config y\n', 'EINVAL',
                   "error 3 EINVAL neither check, create, set nor delete: 'sett'\n", 'syntax')
    expect_nothing('set /config {"a": 1}\n', 'EINVAL', 'error 1 EINVAL a word with a " must be in quotes\n', 'quotes')


def check_sizes():
    """max_data is 1000 here, a packet what it is."""
    expect_nothing(f'check /config\nset /config {"x" * 1001}\n', 'EFBIG',
                   'error 2 EFBIG set /config: the data is larger than max_data\n', 'too much data')
    expect_eq(submit(f'set /config {"x" * 1000}\n')[0], 'ok', 'just enough')
    expect_eq(submit('set /config "' + '\\x41' * 1000 + '"\n')[0], 'ok', 'the same, escaped')
    expect_eq(zk.get('/config')[0], b'A' * 1000, 'escaped')
    many = ''.join(f'create /many-{i} {"x" * 900}\n' for i in range(1100))
    expect_nothing(many, 'E2BIG', 'error 0 E2BIG the transaction is too large for one packet\n', 'too many')
    text = b'# ' + b'x' * (6 << 20)
    fd = os.open(f'{top}/.zkfs/transaction', os.O_RDWR)
    with expect_error(errno.EFBIG, 'more than is taken'):
        while text:
            text = text[os.write(fd, text):]
    with expect_error(errno.EFBIG, 'what was not written whole'):
        os.fsync(fd)
    expect_eq(os.read(fd, 1000), b'error 0 EFBIG it is larger than a transaction can be\n', 'its result')
    os.write(fd, b'check /config\n')
    os.fsync(fd)
    expect_eq(os.pread(fd, 1000, 0), b'ok /config\n', 'and after it')
    os.close(fd)
    some = ''.join(f'create /some-{i} {"x" * 900}\n' for i in range(500))
    said, result = submit(some)
    expect_eq((said, result.count('ok /some-')), ('ok', 500), 'many')
    mnt.settle()


def check_close():
    """close commits, and tells; a copy that another process inherited does not."""
    fd = os.open(f'{top}/.zkfs/transaction', os.O_WRONLY)
    os.write(fd, b'set /config closed\n')
    expect_eq(zk.get('/config')[0] == b'closed', False, 'not before it is closed')
    subprocess.run(['true'], check=True, pass_fds=[fd])
    expect_eq(zk.get('/config')[0] == b'closed', False, 'nor when somebody who inherited it ends')
    os.close(fd)
    expect_eq(zk.get('/config')[0], b'closed', 'closed')
    fd = os.open(f'{top}/.zkfs/transaction', os.O_WRONLY)
    os.write(fd, b'set /config wrong 1234\n')
    with expect_error(errno.EAGAIN, 'the result of close'):
        os.close(fd)
    fd = os.open(f'{top}/.zkfs/transaction', os.O_RDWR)
    os.write(fd, b'set /config one\n')
    os.close(os.dup(fd))
    expect_eq((zk.get('/config')[0], os.read(fd, 100), os.read(fd, 100)), (b'one', b'ok /config\n', b''), 'a copy of it closed')
    os.write(fd, b'set /config two')
    os.write(fd, b'\ncheck /config\n')
    os.fsync(fd)
    expect_eq((os.read(fd, 3), os.read(fd, 100), os.pread(fd, 100, 0)), (b'ok ', b'/config\nok /config\n', b'ok /config\nok /config\n'),
              'read in pieces, and again')
    os.fsync(fd)
    expect_eq(os.pread(fd, 100, 0), b'ok /config\nok /config\n', 'nothing new')
    os.close(fd)
    expect_eq(zk.get('/config')[0], b'two', 'the second')
    with open(f'{top}/.zkfs/transaction', 'r+', encoding='utf-8') as file:
        file.write('set /config three\n')
        file.flush()
        os.fsync(file.fileno())
        expect_eq(file.read(), 'ok /config\n', "Python's file")


def check_shell():
    script = f'''
        exec 3<>{top}/.zkfs/transaction
        printf 'set /config shell\\n' >&3
        cat <&3
        cat >&3 <<-end
            create /shell- one sequential
            create /shell- two sequential
        end
        cat <&3
        printf 'check /config 0\\n' >&3
        cat <&3
        exec 3>&-
        echo 'create /from-cp x' >text
        cp text {top}/.zkfs/transaction && echo copied
        cp text {top}/.zkfs/transaction || echo refused
        dd if=text of={top}/.zkfs/transaction status=none || echo refused
        rm text
    '''.replace('<<-end', "<<'end'").replace('        end\n', 'end\n')
    done = subprocess.run(['bash', '-c', script], check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    made = [f'ok /{name}' for name in sorted(zk.get_children('/')) if name.startswith('shell-')]
    expect_eq(done.stdout.split('\n')[:-1],
              ['ok /config', *made, 'error 1 EAGAIN check /config: it has another version', 'copied', 'refused', 'refused'],
              f'a shell ({done.stderr})')
    expect_eq(len(made), 2, 'what it made')


def check_writers():
    """Each descriptor has its own transaction, whoever writes at the same time."""
    errors = []

    def write(number):
        fd = os.open(f'{top}/.zkfs/transaction', os.O_RDWR)
        for i in range(50):
            for j in range(4):
                os.write(fd, f'create /writers/{number}-{i}-{j} {number}\n'.encode())
            os.fsync(fd)
            expected = ''.join(f'ok /writers/{number}-{i}-{j}\n' for j in range(4))
            if os.pread(fd, 1000, 0).decode() != expected:
                errors.append((number, i))
        os.close(fd)

    zk.create('/writers')
    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_eq(errors, [], 'results')
    expect_eq(len(zk.get_children('/writers')), 8 * 50 * 4, 'what they made')
    stats = {name: zk.exists(f'/writers/{name}').czxid for name in zk.get_children('/writers')}
    expect_eq(all(len({stats[f'{n}-{i}-{j}'] for j in range(4)}) == 1 for n in range(8) for i in range(50)), True, 'each at once')


def check_together():
    """Of those who take the same version, one wins, and the others change nothing."""
    zk.create('/counter', b'0')
    zk.create('/taken')

    def count(number):
        for i in range(25):
            while True:
                data, stat = clients[number].get('/counter')
                said, _ = submit(f'set /counter {int(data) + 1} {stat.version}\ncreate /taken/{int(data)} {number}-{i}\n')
                if said == 'ok':
                    break
                if said != 'EAGAIN':
                    wrong.append(said)
                    return

    wrong = []
    clients = [zk] * 4
    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_eq((wrong, zk.get('/counter')[0], len(zk.get_children('/taken'))), ([], b'100', 100), 'all were counted')


def check_announced():
    """The kernel made none of it, so it is told as if others had."""
    with open('events', 'w', encoding='utf-8') as out:
        watch = subprocess.Popen(['inotifywait', '-m', '-e', 'create,close_write,delete', f'{top}/watched'], stdout=out, stderr=out)
    wait_until(10, lambda: 'established' in open('events', encoding='utf-8').read(), 'the watch')
    os.listdir(f'{top}/watched')
    expect_eq(submit('create /watched/new ""\nset /watched/file x\ndelete /watched/gone\n')[0], 'ok', 'a transaction')

    def told():
        return {tuple(line.split(' ')[1:]) for line in open('events', encoding='utf-8').read().split('\n') if line.startswith(top)}

    expected = {('CREATE,ISDIR', 'new'), ('CLOSE_WRITE,CLOSE', 'file'), ('DELETE', 'gone')}
    wait_until(10, lambda: told() >= expected, 'inotify')
    watch.terminate()
    watch.wait()


with mount('mnt', '-o', 'max_data=1000') as mnt, client() as zk:
    top = mnt.path
    for path, data in (('/node1', b'1'), ('/node2', b''), ('/config', b''), ('/old', b'old'), ('/queue', b''),
                       ('/watched/file', b'x'), ('/watched/gone', b'x')):
        zk.create(path, data, makepath=True)
    zk.set('/node1', b'1')
    for text in (b'a', b'b'):
        zk.set('/config', text)
    mnt.settle()
    expect_eq((open(f'{top}/config', encoding='utf-8').read(), os.path.exists(f'{top}/old')), ('b', True), 'before')
    check_success()
    check_failures()
    check_close()
    check_shell()
    check_sizes()
    check_writers()
    check_together()
    check_announced()
# Below a chroot, paths are the mount's there and back.
with mount('below', root=f'{ROOT}/node2') as mnt:
    top = mnt.path
    expect_eq(submit('create /in- x sequential\nset / y\ncheck /\n'), ('ok', 'ok /in-0000000001\nok /\nok /\n'), 'in a chroot')
