/* Files that live as long as somebody has them open (ZKFS_O_HELD in zkfs.h): their ephemeral znodes are removed after the last close
 * and made again under a new session when the old one has expired. One that somebody removes, here or elsewhere, while its session
 * lives is held no longer, as an unlinked file is on any filesystem. Safe from any thread; holds no lock while it calls. */
#ifndef ZKFS_FUSEFS_HELD_H
#define ZKFS_FUSEFS_HELD_H

#include <stdint.h>

#include <fuse_lowlevel.h>

#include "fusefs/mount.h"

struct holder;

/* mount: borrowed; its cache, inodes and files are used while there is something held. NULL: no memory. */
struct holder *holder_new(struct mount *mount);

/* After cache_stop. NULL is fine. */
void holder_free(struct holder *holder);

/* From now on the inode's znode, an ephemeral with this Stat, is held. 0 or -ENOMEM. */
int holder_add(struct holder *holder, fuse_ino_t number, const struct node_stat *stat);

/* Nobody has the inode open any more. Its znode, which is the one at this path with this czxid, is removed: at once, or when there
 * is a connection. No effect if it is not held. */
void holder_closed(struct holder *holder, fuse_ino_t number, const char *path, int64_t czxid);

/* A znode at this path was removed, by whomever. On the stream's thread. */
void holder_deleted(struct holder *holder, const char *path);

/* The session is connected (cache_config.connected), with the struct holder as its argument. */
void holder_connected(void *arg);

#endif
