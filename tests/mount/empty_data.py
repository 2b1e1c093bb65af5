"""The file .data of a directory without data is not there; it can be made, as tar, cp and touch make files."""
from zktest import *


def make(flags, data):
    """Writes it; what is there while it is open but not saved counts, too."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | flags, 0o600)
    expect_eq(os.fstat(fd).st_size, 0, 'size when made')
    os.utime(path)
    os.write(fd, data)
    os.fchmod(fd, 0o644)
    os.close(fd)
    expect_eq(zk.get('/dir')[0], data, 'data')
    # Its last close is known a moment later.
    wait_until(1, lambda: os.path.exists(path) == (data != b''), '.data to be there only with data')
    expect_eq(os.listdir(f'{mnt.path}/dir'), ['.data'] if data else [], 'listing')
    if data:
        expect_eq(open(path, 'rb').read(), data, 'contents')
        os.unlink(path)


with mount() as mnt, client() as zk:
    os.mkdir(f'{mnt.path}/dir')
    path = f'{mnt.path}/dir/.data'
    for round in range(2):      # a directory that never had data, and one that had some
        with expect_error(errno.ENOENT, 'stat'):
            os.stat(path)
        with expect_error(errno.ENOENT, 'open'):
            os.open(path, os.O_RDONLY)
        with expect_error(errno.ENOENT, 'unlink'):
            os.unlink(path)
        for flags in (0, os.O_TRUNC, os.O_EXCL, os.O_APPEND):
            before = zk.exists('/dir').version
            make(flags, b'')
            expect_eq(zk.exists('/dir').version, before, 'version after nothing was written')
            make(flags, b'some data')
    os.rmdir(f'{mnt.path}/dir')
