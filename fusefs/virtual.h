/* The control directory ".zkfs" in the mount's root: never listed, always there, and answered without a server. Its inodes have numbers
 * that no znode's can have (INODE_FIRST), the kernel may keep its names for good, and no lookups are counted.
 *
 * What is read is made when it is read from its start (of `lease`, by servers that are asked then); it has no size, as in /proc, but
 * for `state`. What is written to `transaction` collects in the open file, wherever it is written to, and is submitted when it is
 * closed or synced; the result is what is read then. */
#ifndef ZKFS_FUSEFS_VIRTUAL_H
#define ZKFS_FUSEFS_VIRTUAL_H

#include <stdbool.h>
#include <sys/stat.h>

#include <fuse_lowlevel.h>

#include "fusefs/mount.h"

struct virtuals;

/* mount: borrowed. NULL: no memory. */
struct virtuals *virtuals_new(struct mount *mount);

/* When no more requests come, and after cache_stop. NULL is fine. */
void virtuals_free(struct virtuals *virtuals);

/* A cache_state_cb, with the struct mount as its argument: who polls `state` is told, and the announcer. */
void virtual_state_changed(void *arg);

/* The kernel is told this of the mount's root. Where it checks modes (allow_other), it asks for them before it lets anybody in, and
 * while there is no server it is answered by what was told last: or nobody could read `state` just then. */
void virtual_saw_root(struct mount *mount, const struct stat *attr);

/* For ops.c: true when the request is about a control file, and has been answered or will be. */
bool virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool virtual_getattr(fuse_req_t req, fuse_ino_t number);
bool virtual_setattr(fuse_req_t req, fuse_ino_t number, int to_set, const struct fuse_file_info *info);
bool virtual_access(fuse_req_t req, fuse_ino_t number, int mask);
bool virtual_xattr(fuse_req_t req, fuse_ino_t number); /* to get, set or remove one: there are none */
bool virtual_listxattr(fuse_req_t req, fuse_ino_t number, size_t size);
bool virtual_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
bool virtual_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, bool with_attributes);
bool virtual_releasedir(fuse_req_t req, fuse_ino_t number);
bool virtual_fsyncdir(fuse_req_t req, fuse_ino_t number);
bool virtual_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
bool virtual_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, const struct fuse_file_info *info);
bool virtual_write(fuse_req_t req, fuse_ino_t number, const char *data, size_t size, const struct fuse_file_info *info);
bool virtual_poll(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info, struct fuse_pollhandle *handle);
bool virtual_flush(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info);
bool virtual_fsync(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info);
bool virtual_release(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info);

#endif
