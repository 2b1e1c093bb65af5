"""inotify tells of every change of data: of the mount's root, of a directory that is left without, of a link."""
from zktest import *
from watching import *

with mount() as mnt, client() as zk:
    zk.create('/d/file', b'', makepath=True)
    os.symlink('one', f'{mnt.path}/d/link')
    os.symlink('two', f'{mnt.path}/d/other')
    mnt.settle()
    with Watch(mnt.path, '/', '/d') as watch:
        zk.set('/', b'data')
        watch.expect(zk, 'data of the root', *written('/.data'))
        zk.set('/', b'')
        watch.expect(zk, 'no data of the root', *written('/.data'))
        zk.set('/d', b'data')
        watch.expect(zk, 'data of a directory', *written('/d/.data'))
        zk.set('/d', b'')
        watch.expect(zk, 'no data of a directory', *written('/d/.data'))
        expect_eq(os.path.exists(f'{mnt.path}/d/.data'), False, 'that there is a .data')
        zk.set('/d/link', zk.get('/d/other')[0])
        watch.expect(zk, 'a link', 'MODIFY /d/link')
        expect_eq(os.readlink(f'{mnt.path}/d/link'), 'two', 'what the link says')
