/* <zkfs.h>: flags for open(2) on a zkfs mount, for what the file functions have no words for. They are ordinary flags of Linux, so
 * programs in every language can give them: os.open(path, os.O_CREAT | os.O_WRONLY | os.O_ASYNC) makes an ephemeral znode,
 * dd oflag=direct a sequential one.
 *
 * They count together with O_CREAT, when open makes something. It is made at once, and by this open alone: where the name is there
 * already, the error is EEXIST, with O_EXCL or without; but ZKFS_O_SEQUENTIAL, for which the name is only the beginning, does not
 * mind what else there is. What is written is saved as in any file (close, fsync, a second of rest), so what is saved
 * before the first close is there when close returns.
 *
 *	int fd = open("/mnt/zk/members/me", O_WRONLY | O_CREAT | ZKFS_O_EPHEMERAL | ZKFS_O_HELD, 0644);
 *	int fd = open("/mnt/zk/queue/item-", O_WRONLY | O_CREAT | ZKFS_O_SEQUENTIAL, 0644);
 *
 * Why these flags (found by experiment with Linux 6.18 and libfuse 3.14): the kernel hands all three to a FUSE server with the request
 * that makes a file, and with every request for the open file, as long as the file has them. O_ASYNC does nothing at open(2)
 * otherwise. O_DIRECT asks for nothing that FUSE would refuse: no alignment, any size, from dd as from Python. O_NOATIME is
 * permitted to the file's owner only, and the kernel checks it when the file has been made: who is neither the one who mounted
 * nor root gets EPERM before that.
 * Where the kernel knows that the name is there, the request is not the one that makes a file, and does not tell of O_CREAT. So
 * - an open of a file that is there is EEXIST if it has O_ASYNC, whether it has O_CREAT or not, for nothing else asks for that;
 * - an open with O_DIRECT alone opens what has exactly the requested name (with O_EXCL: EEXIST): sequential names need a beginning
 *   that is not the name of a file, as "item-".
 *
 * A sequential file's name is not the requested one, and only the real one exists: the requested name is not found, not even
 * right after open. /proc/self/fd shows it all the same, marked as deleted once it was looked for; the real name is
 * fgetxattr(fd, "user.zk.path"), or that of the entry with the inode number that fstat tells. Those who watch the directory with
 * inotify see what the kernel tells of an open that makes a file, IN_CREATE and IN_OPEN with the requested name, before anybody
 * can hinder it, and events of that descriptor (IN_MODIFY, IN_CLOSE_WRITE) with the same name; from zkfs they get IN_DELETE of the
 * requested name, and, once each, IN_CREATE of the real one, and IN_MODIFY and IN_CLOSE_WRITE of it when it is saved.
 *
 * It is made empty, and others see it so until it is saved: who takes items from a queue leaves empty ones alone. (One that is
 * sequential and not ephemeral is even an empty directory for a moment: it becomes a file by its data being set, and a transaction
 * cannot name what a sequential step in it makes.)
 *
 * If the connection to ZooKeeper breaks before the answer is here, an ephemeral is looked for, by its owner, which is the mount's
 * session alone, its name and its number; nothing is made twice. A sequential node that is not ephemeral carries nothing that tells
 * whose it is. It is made again if nothing else was born in the directory since, by the count that ZooKeeper keeps; else the error is
 * EIO, and an empty one may be left. A guard, a node of ours in the same transaction, could tell, but only where we may make
 * nodes, which need not be anywhere but there, for everybody to see.
 *
 * In C, O_DIRECT and O_NOATIME need _GNU_SOURCE to be defined before the first #include.
 *
 * Without O_CREAT, or on other filesystems, the flags mean what open(2) says. */
#ifndef ZKFS_H
#define ZKFS_H

#include <fcntl.h>

/* An ephemeral znode: it lives until it is unlinked or the mount's session with ZooKeeper ends. It can have no children. */
#define ZKFS_O_EPHEMERAL O_ASYNC

/* ZooKeeper appends ten digits to the name, which only grow in a directory. */
#define ZKFS_O_SEQUENTIAL O_DIRECT

/* With ZKFS_O_EPHEMERAL (without, nothing special): it lives for as long as somebody on this mount has it open, so exactly as long as
 * the process that made it if that keeps it open and to itself, however it ends. It is removed right after the last close. If the
 * session expires while it is open, it is made again under the next one, with the same name, a sequential one too, and with
 * the contents that were saved last. */
#define ZKFS_O_HELD O_NOATIME

#endif
