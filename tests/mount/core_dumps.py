"""A daemon that has credentials leaves no core when it crashes, wherever cores go, and other processes of its user cannot look into
it; one without credentials is as any program."""
import resource
import shutil
import signal
import subprocess

from zktest import *

NOBODY = 65534


def start(name, *options):
    """Mounts, with cores allowed; gives the process, which is ours."""
    os.mkdir(name)
    process = subprocess.Popen([ZKFS, '-f', *options, servers() + ROOT, f'{SCRATCH}/{name}'], stdin=subprocess.DEVNULL,
                               stderr=open(f'{name}.err', 'wb'), preexec_fn=allow_cores)   # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
    wait_until(30, lambda: os.path.ismount(name), 'the mount')
    return process


def allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def core_limit(process):
    with open(f'/proc/{process.pid}/limits', encoding='utf-8') as file:
        return next(line.split()[4:6] for line in file if line.startswith('Max core file size'))


def crash(name, process):
    """Whether it has left a core."""
    os.kill(process.pid, signal.SIGTRAP)    # which no sanitizer catches
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = status
    expect_eq(os.WTERMSIG(status), signal.SIGTRAP, 'how it ended')
    subprocess.run(['fusermount3', '-uz', name], check=True)
    for file in os.listdir('.'):
        if file.startswith('core'):
            os.unlink(file)
    return os.WCOREDUMP(status)


def nobody_can(*command):
    return subprocess.run(['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups', *command],
                          check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def is_open_to_its_user(pid):
    return nobody_can('cat', f'/proc/{pid}/environ')


with open(os.open('credentials', os.O_CREAT | os.O_WRONLY, 0o600), 'w', encoding='utf-8') as file:
    file.write('digest alice:secret\n')

plain = start('plain')
limit = core_limit(plain)
leaves_cores = crash('plain', plain)
secret = start('secret', '-o', 'auth_file=credentials')
expect_eq(core_limit(secret), ['0', '0'], 'the limit of cores')
expect_eq(crash('secret', secret), False, 'a core of a daemon with credentials')
print(f'without credentials: limit {limit}, {"a" if leaves_cores else "no"} core')

# What the limit does not tell: whether it could be dumped at all. A pipe as the file lets it wait where it has nothing but that.
if os.getuid() == 0 and shutil.which('setpriv') and nobody_can('test', '-x', ZKFS):
    os.mkfifo('pipe', 0o600)
    os.chown('pipe', NOBODY, NOBODY)
    os.chmod('.', 0o711)
    os.chmod('..', 0o711)
    user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': [], 'stdin': subprocess.DEVNULL, 'stdout': subprocess.DEVNULL,
            'stderr': subprocess.DEVNULL}
    with subprocess.Popen(['sleep', '1000'], **user) as other, \
            subprocess.Popen([ZKFS, '-f', '-o', 'auth_file=pipe', servers(), '/'], **user) as reader:
        writer = os.open('pipe', os.O_WRONLY)   # once it reads
        expect_eq(is_open_to_its_user(other.pid), True, 'any process of the user')
        expect_eq(is_open_to_its_user(reader.pid), False, 'a daemon with credentials')
        os.close(writer)
        other.kill()
