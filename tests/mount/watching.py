"""What the tests of inotify use: events as a program sees them, and a hold on the announcer.

    from watching import *

    with Watch(top, '/', '/d') as watch:
        zk.create('/d/file')
        watch.expect(zk, 'a birth', 'CREATE,ISDIR /d/file')
"""
import ctypes
import os
import select
import struct
import time

from zktest import expect_eq, fail, skip, wait_until

__all__ = ['Hold', 'Watch', 'written']

LIBC = ctypes.CDLL(None, use_errno=True)
IN_ISDIR = 0x40000000
IN_IGNORED = 0x8000
EVENTS = {0x2: 'MODIFY', 0x8: 'CLOSE_WRITE', 0x40: 'MOVED_FROM', 0x80: 'MOVED_TO', 0x100: 'CREATE', 0x200: 'DELETE', 0x400: 'DELETE_SELF'}


def written(name):
    return [f'MODIFY {name}', f'CLOSE_WRITE {name}']


class Watch:
    """Events in some directories and of some files, as "CREATE,ISDIR /path"; each path is from top."""

    def __init__(self, top, *paths):
        self.top = top
        self.paths = {}
        self.told = []
        self.fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for path in paths:
            self.add(path)

    def add(self, path):
        number = LIBC.inotify_add_watch(self.fd, os.fsencode(self.top + path), sum(EVENTS))
        if number < 0:
            fail(f'inotify_add_watch {path}: {os.strerror(ctypes.get_errno())}')
        self.paths[number] = path

    def read(self):
        """Takes what has been told meanwhile. Gives all."""
        while select.select([self.fd], [], [], 0)[0]:
            data = os.read(self.fd, 1 << 16)
            while data:
                number, mask, _, size = struct.unpack_from('iIII', data)
                name = os.fsdecode(data[16:16 + size].rstrip(b'\0'))
                data = data[16 + size:]
                if mask & IN_IGNORED:
                    continue
                path = self.paths[number].rstrip('/') + ('/' + name if name else '')
                suffix = ',ISDIR' if mask & IN_ISDIR else ''
                self.told += [f'{event}{suffix} {path}' for bit, event in EVENTS.items() if mask & bit]
        return self.told

    def await_told(self, event, what='an event'):
        wait_until(20, lambda: event in self.read(), f'{what}: {event}')

    def take(self, zk, what):
        """What was told until now, before that of a directory made in the root (which is watched) as a mark."""
        mark = f'/mark{time.monotonic_ns()}'
        zk.create(mark)
        self.await_told(f'CREATE,ISDIR {mark}', f'the mark after: {what}')
        told = [event for event in self.told if not any(name in event for name in ('/mark', '/hold', '/.settle'))]
        self.told = []
        return told

    def expect(self, zk, what, *expected):
        expect_eq(self.take(zk, what), list(expected), what)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)


class Hold:
    """While it holds, the announcer is in open(2) of a file that has changed, which fanotify has to allow, and tells nothing.
    The file must be older than the mount: nothing of it may still be to be told of."""
    FAN_OPEN_PERM = 0x10000

    def __init__(self, zk, top, path):
        self.zk = zk
        self.path = path
        self.group = LIBC.fanotify_init(0x4, os.O_RDONLY)      # FAN_CLASS_CONTENT
        if self.group < 0 or LIBC.fanotify_mark(self.group, 1, ctypes.c_uint64(self.FAN_OPEN_PERM), -100, os.fsencode(top + path)) < 0:
            skip(f'fanotify: {os.strerror(ctypes.get_errno())}')

    def __enter__(self):
        self.zk.set(self.path, b'held')
        self.catch()
        return self

    def catch(self):
        if not select.select([self.group], [], [], 20)[0]:
            fail('the announcer does not open what has changed')
        self.event = os.read(self.group, 4096)

    def let_go(self):
        file, = struct.unpack_from('i', self.event, 16)
        os.write(self.group, struct.pack('iI', file, 1))
        os.close(file)

    def until_next(self):
        """Until it opens the file again for the next change of it."""
        self.let_go()
        self.catch()

    def __exit__(self, *_):
        self.let_go()

    def close(self):
        os.close(self.group)
