/* The FUSE operations, grouped by the file that holds them. Each handler's comment, where it is defined, says its valid replies.
 * All are called on libfuse's worker threads, must not wait, and answer each request exactly once (pending.h). */
#ifndef ZKFS_FUSEFS_OPS_H
#define ZKFS_FUSEFS_OPS_H

#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include "fusefs/inode.h"
#include "fusefs/mount.h"

/* The whole table, for fuse_session_new. */
extern const struct fuse_lowlevel_ops ops;

/* attr.c */
void op_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file);
void op_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set, struct fuse_file_info *file);
void op_access(fuse_req_t req, fuse_ino_t number, int mask);
void op_statfs(fuse_req_t req, fuse_ino_t number);

/* What stat(2) says of an inode, of this number, that the znode's info is shown as. changed: as in struct node_info. Unsaved
 * bytes of its open files count (files.h). Gives for how long the kernel may keep it, in s.
 * data: the znode's; only that of a symlink matters. access: where other users are let in, they are shown to be able to read what
 * everybody may read; NULL: not known, so nobody may, and the kernel is to ask again. */
double attr_fill(struct mount *mount, fuse_ino_t number, enum inode_type type, enum kind kind,
	const struct node_stat *stat, const struct bytes *data, int64_t changed, const struct node_access *access,
	struct stat *attr);

/* The znode that this inode shows has another ACL by now: the kernel is to ask again before it lets another user in. May be called
 * before any reply, for attributes alone are taken back without any lock (fuse_reverse_inval_inode in fs/fuse/inode.c). */
void attr_forget_access(struct mount *mount, fuse_ino_t number);

/* xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t number, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t number, const char *name, const char *value, size_t size, int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t number, const char *name);

/* connection.c */
void op_init(void *userdata, struct fuse_conn_info *connection);

/* dir.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t number, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_readlink(fuse_req_t req, fuse_ino_t number);
void op_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t new_parent, const char *new_name);

/* file.c */
void op_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *info);
void op_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info);
void op_write(fuse_req_t req, fuse_ino_t number, const char *data, size_t size, off_t offset,
	struct fuse_file_info *info);
void op_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
void op_fsync(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info);
void op_fsyncdir(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info);
void op_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);

void op_poll(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct fuse_pollhandle *handle);

/* Makes the contents of the open file (info, or NULL: of the inode at once) size long, then answers with its attributes. */
void file_truncate(fuse_req_t req, fuse_ino_t number, size_t size, struct fuse_file_info *info);

/* Sets the contents as they are, so that the time moves and watchers are told; then answers with the attributes. */
void file_touch(fuse_req_t req, fuse_ino_t number);

/* readdir.c */
void op_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file);
void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void op_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file);

/* rename.c */
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
	unsigned flags);

/* flock.c */
void op_flock(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, int operation);
void op_getlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock, int sleep);

#endif
