#!/bin/bash
# mv of a file and of a tree ends right, though the filesystem may make it copy and remove.
. "$(dirname "$0")/lib.sh"

zk "put('/file', 'file'); put('/tree/a/b', 'b'); put('/tree/a', 'a'); put('/tree', 'top'); put('/to/x', 'x')"
mount_zk

mv "$MNT/file" "$MNT/moved"
mv "$MNT/tree" "$MNT/other"
mv "$MNT/moved" "$MNT/to/x"
mv "$MNT/other" "$MNT/to"
zk "
expect_eq(tree(), ['/to', '/to/other', '/to/other/a', '/to/other/a/b', '/to/x'], 'what is there')
expect_eq([cat(path) for path in tree()], ['', 'top', 'a', 'b', 'file'], 'data')"
unmount_zk
