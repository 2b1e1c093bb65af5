/* The map from FUSE's operations to their handlers. */
#include "fusefs/ops.h"

const struct fuse_lowlevel_ops ops = {
	/* connection.c */
	.init = op_init,

	/* attr.c */
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = op_access,
	.statfs = op_statfs,

	/* xattr.c */
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,

	/* dir.c */
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.mkdir = op_mkdir,
	.mknod = op_mknod,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.readlink = op_readlink,
	.link = op_link,

	/* file.c */
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fsyncdir = op_fsyncdir,
	.release = op_release,
	.poll = op_poll,

	/* readdir.c */
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,

	/* rename.c */
	.rename = op_rename,

	/* flock.c */
	.flock = op_flock,
	.getlk = op_getlk,
	.setlk = op_setlk,
};
