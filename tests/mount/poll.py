"""poll and epoll on an open file say POLLPRI when its data has changed since it was last read, whoever changed it."""
import select
import threading

from zktest import *


def events(fd, ms=0):
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    return poll.poll(ms)


def expect_change(fd, what):
    expect_eq(events(fd, 10_000), [(fd, select.POLLPRI)], what)


with mount() as mnt, client() as zk:
    zk.create('/file', b'one')
    zk.create('/dir/child', b'', makepath=True)
    mnt.settle()
    fd = os.open(f'{mnt.path}/file', os.O_RDONLY)
    os.read(fd, 10)
    expect_eq(events(fd), [], 'nothing has changed')
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLOUT)
    expect_eq(poll.poll(0), [(fd, select.POLLIN | select.POLLOUT)], 'it can always be read')

    zk.set('/file', b'two')
    expect_change(fd, 'changed before poll')
    expect_change(fd, 'still, for it was not read')
    expect_eq(os.pread(fd, 10, 0), b'two', 'what is read then')
    expect_eq(events(fd), [], 'it has been read')

    # Who waits already is woken.
    woken = []
    thread = threading.Thread(target=lambda: woken.extend(events(fd, 10_000)))
    thread.start()
    zk.set('/file', b'three')
    thread.join()
    expect_eq(woken, [(fd, select.POLLPRI)], 'changed while polled')
    os.pread(fd, 10, 0)

    with open(f'{mnt.path}/file', 'w', encoding='utf-8') as file:
        file.write('four')
    expect_change(fd, 'changed here')
    expect_eq(os.pread(fd, 10, 0), b'four', 'what was written here')

    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLPRI)
        expect_eq(epoll.poll(0), [], 'epoll: nothing')
        for text in (b'five', b'six'):
            zk.set('/file', text)
            expect_eq(epoll.poll(10), [(fd, select.EPOLLPRI)], 'epoll')
            expect_eq(os.pread(fd, 10, 0), text, 'what is read after epoll')
            expect_eq(epoll.poll(0), [], 'epoll: it has been read')

    zk.delete('/file')
    expect_change(fd, 'removed')
    os.close(fd)

    zk.set('/dir', b'data')
    mnt.settle()
    fd = os.open(f'{mnt.path}/dir/.data', os.O_RDONLY)
    os.read(fd, 10)
    zk.create('/dir/other')
    mnt.settle()
    expect_eq(events(fd), [], 'a child does not change the data')
    zk.set('/dir', b'other data')
    expect_change(fd, 'data of a directory')
    os.close(fd)
