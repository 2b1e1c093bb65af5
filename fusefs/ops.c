/* The map from FUSE's operations to their handlers. What is about the control directory goes to virtual.c before the file that is named
 * for the operation sees it. */
#include "fusefs/ops.h"

#include "fusefs/virtual.h"

static void route_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!virtual_lookup(req, parent, name))
		op_lookup(req, parent, name);
}

static void route_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_getattr(req, number))
		op_getattr(req, number, info);
}

static void route_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set, struct fuse_file_info *info)
{
	if (!virtual_setattr(req, number, to_set, info))
		op_setattr(req, number, attr, to_set, info);
}

static void route_access(fuse_req_t req, fuse_ino_t number, int mask)
{
	if (!virtual_access(req, number, mask))
		op_access(req, number, mask);
}

static void route_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_opendir(req, number, info))
		op_opendir(req, number, info);
}

static void route_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	if (!virtual_readdir(req, number, size, offset, false))
		op_readdir(req, number, size, offset, info);
}

static void route_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	if (!virtual_readdir(req, number, size, offset, true))
		op_readdirplus(req, number, size, offset, info);
}

static void route_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_releasedir(req, number))
		op_releasedir(req, number, info);
}

static void route_fsyncdir(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info)
{
	if (!virtual_fsyncdir(req, number))
		op_fsyncdir(req, number, datasync, info);
}

static void route_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_open(req, number, info))
		op_open(req, number, info);
}

static void route_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	if (!virtual_read(req, number, size, offset, info))
		op_read(req, number, size, offset, info);
}

static void route_write(fuse_req_t req, fuse_ino_t number, const char *data, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	if (!virtual_write(req, number, data, size, info))
		op_write(req, number, data, size, offset, info);
}

static void route_poll(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct fuse_pollhandle *handle)
{
	if (!virtual_poll(req, number, info, handle))
		op_poll(req, number, info, handle);
}

static void route_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_flush(req, number, info))
		op_flush(req, number, info);
}

static void route_fsync(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info)
{
	if (!virtual_fsync(req, number, info))
		op_fsync(req, number, datasync, info);
}

static void route_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!virtual_release(req, number, info))
		op_release(req, number, info);
}

static void route_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	if (!virtual_xattr(req, number))
		op_getxattr(req, number, name, size);
}

static void route_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	if (!virtual_listxattr(req, number, size))
		op_listxattr(req, number, size);
}

static void route_setxattr(fuse_req_t req, fuse_ino_t number, const char *name, const char *value, size_t size,
	int flags)
{
	if (!virtual_xattr(req, number))
		op_setxattr(req, number, name, value, size, flags);
}

static void route_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	if (!virtual_xattr(req, number))
		op_removexattr(req, number, name);
}

const struct fuse_lowlevel_ops ops = {
	/* connection.c */
	.init = op_init,

	/* attr.c */
	.getattr = route_getattr,
	.setattr = route_setattr,
	.access = route_access,
	.statfs = op_statfs,

	/* xattr.c */
	.getxattr = route_getxattr,
	.listxattr = route_listxattr,
	.setxattr = route_setxattr,
	.removexattr = route_removexattr,

	/* dir.c */
	.lookup = route_lookup,
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
	.open = route_open,
	.create = op_create,
	.read = route_read,
	.write = route_write,
	.flush = route_flush,
	.fsync = route_fsync,
	.fsyncdir = route_fsyncdir,
	.release = route_release,
	.poll = route_poll,

	/* readdir.c */
	.opendir = route_opendir,
	.readdir = route_readdir,
	.readdirplus = route_readdirplus,
	.releasedir = route_releasedir,

	/* rename.c */
	.rename = op_rename,

	/* flock.c */
	.flock = op_flock,
	.getlk = op_getlk,
	.setlk = op_setlk,
};
