/* Attributes: what stat(2) says of a znode, and what can be set of it, which is the size. */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cache/util/clock.h"
#include "fusefs/announce.h"
#include "fusefs/files.h"
#include "fusefs/names.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/readdir.h"
#include "fusefs/readonly.h"
#include "fusefs/symlink.h"
#include "fusefs/virtual.h"

enum { BLOCK = 512, IO_BLOCK = 4096 };

static struct timespec time_of(int64_t ms)
{
	return (struct timespec){ .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
}

/* Others may go through any directory, for to ZooKeeper only the ACL of what they reach matters; and look where a link leads is
 * op_readlink's, for the kernel asks nothing of its mode. Gives for how long that is known, in s. */
static double restrict_mode(const struct mount *mount, const struct node_access *access, struct stat *attr)
{
	int64_t left = access ? access->until - clock_now() : 0;

	if (!mount->options->allow_other)
		return NOTIFY_KERNEL_TIMEOUT;
	if ((left <= 0 || !access->is_public) && !S_ISLNK(attr->st_mode))
		attr->st_mode &= (mode_t) ~(S_IRGRP | S_IROTH);
	return left > 0 ? (double)left / 1000 : 0;
}

double attr_fill(struct mount *mount, fuse_ino_t number, enum inode_type type, enum kind kind,
	const struct node_stat *stat, const struct bytes *data, int64_t changed, const struct node_access *access,
	struct stat *attr)
{
	static const mode_t modes[] = { [KIND_FILE] = S_IFREG | 0644,
		[KIND_DIRECTORY] = S_IFDIR | 0755,
		[KIND_SYMLINK] = S_IFLNK | 0777 };
	bool is_directory = type == INODE_NODE && kind == KIND_DIRECTORY;
	size_t size = is_directory ? 0 : (size_t)stat->data_length;
	bool is_unsaved = !is_directory && kind != KIND_SYMLINK && files_unsaved_size(mount->files, number, &size);
	const char *target;
	double keep;

	if (kind == KIND_SYMLINK && data)
		(void)symlink_decode(data->data, data->size, &target, &size);
	*attr = (struct stat){
		.st_ino = number,
		.st_mode = modes[type == INODE_DATA ? KIND_FILE : kind],
		.st_nlink = 1,
		.st_uid = mount->uid,
		.st_gid = mount->gid,
		.st_size = (off_t)size,
		.st_blocks = (blkcnt_t)((size + BLOCK - 1) / BLOCK),
		.st_blksize = IO_BLOCK,
		.st_mtim = time_of(is_directory ? changed : stat->mtime),
	};
	attr->st_ctim = attr->st_atim = attr->st_mtim;
	keep = restrict_mode(mount, access, attr);
	return cache_is_watching(mount->cache) && !is_unsaved ? keep : 0;
}

void attr_forget_access(struct mount *mount, fuse_ino_t number)
{
	if (mount->options->allow_other)
		(void)fuse_lowlevel_notify_inval_inode(mount->session, number, -1, 0);
}

/* The inode's file or directory is open here, though its znode is gone or another: it stays as it was. Or there is none yet. */
static bool reply_last_seen(struct pending *pending)
{
	struct inode_view *inode = &pending->inode;
	struct node_stat last;
	struct stat attr;

	if (!files_last_stat(pending->mount->files, inode->number, &last) &&
		!directories_last_stat(pending->mount->directories, inode->number, &last))
		return false;
	(void)attr_fill(pending->mount, inode->number, inode->type, inode->kind, &last, NULL, last.mtime, NULL, &attr);
	attr.st_nlink = inode->czxid == INODE_UNBORN && !inode->is_dead ? 1 : 0;
	pending_reply_attr(pending, &attr, 0);
	return true;
}

/* is_kept: the kernel may keep it. */
static void reply_attr(struct pending *pending, int error, const struct node_info *info, bool is_kept)
{
	struct inode_view *inode = &pending->inode;
	struct stat attr;
	double keep;

	if (error == -ENOENT || (!error && !inodes_match(pending->mount->inodes, inode, &info->stat, info->data))) {
		if (!reply_last_seen(pending))
			pending_fail_stale(pending);
		return;
	}
	if (error) {
		pending_fail(pending, error);
		return;
	}
	files_told(pending->mount->files, inode->number, info);
	keep = attr_fill(pending->mount, inode->number, inode->type, inode->kind, &info->stat, info->data,
		info->changed, &info->access, &attr);
	if (pending->flag) /* a paged reader asks, before it reads: for it, the size is that of what is saved */
		attr.st_size = info->stat.data_length;
	if (inode->number == FUSE_ROOT_ID)
		virtual_saw_root(pending->mount, &attr);
	pending_reply_attr(pending, &attr, is_kept ? keep : 0);
}

static void getattr_read(int error, const struct node_info *info, void *arg)
{
	reply_attr(arg, error, info, true);
}

static void ask_attr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file, cache_node_cb *done)
{
	bool is_paged = file && file_is_paged(file_of(file)); /* who is killed may close it once there is a pending */
	struct pending *pending = pending_start(req);
	int err;

	if (!pending)
		return;
	pending->flag = is_paged;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err)
		err = cache_recall(pending->mount->cache, pending->inode.path, done, pending);
	if (err)
		pending_fail(pending, err);
}

/* Replies: attr, error. The kernel gives a file when it needs the size to read it or to seek from its end. */
void op_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file)
{
	ask_attr(req, number, file, getattr_read);
}

/* To the announcer, which has opened the file to tell of its change: its time is what it is, and if it has gone meanwhile, it has
 * changed before. Not to be kept: the kernel takes it even if something newer was told meanwhile (fuse_do_setattr). */
static void touched_read(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;
	struct inode_view *inode = &pending->inode;
	const struct node_stat gone = { 0 };
	struct node_stat last;
	struct stat attr;

	bool has_gone =
		error == -ENOENT || (!error && !inodes_match(pending->mount->inodes, inode, &info->stat, info->data));

	if (has_gone && !files_last_stat(pending->mount->files, inode->number, &last)) {
		(void)attr_fill(pending->mount, inode->number, inode->type, inode->kind, &gone, NULL, 0, NULL, &attr);
		pending_reply_attr(pending, &attr, 0);
	} else {
		reply_attr(pending, error, info, false);
	}
}

/* Whether it asks to keep something that ZooKeeper cannot hold. */
static bool is_refused(const struct mount *mount, int to_set)
{
	int explicit = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;

	if (!(to_set & FUSE_SET_ATTR_MTIME_NOW) && !(to_set & FUSE_SET_ATTR_SIZE))
		explicit |= FUSE_SET_ATTR_MTIME;
	return mount->options->is_strict && (to_set & explicit);
}

static bool is_directory(const struct mount *mount, fuse_ino_t number)
{
	struct inode_view inode;
	bool is_directory = inodes_look(mount->inodes, number, &inode) == 0 && inode.kind == KIND_DIRECTORY;

	inode_view_release(&inode);
	return is_directory;
}

/* Replies: attr, error. Modes, owners and times are accepted and not kept, unless -o strict. */
void op_setattr(fuse_req_t req, fuse_ino_t number, struct stat *attr, int to_set, struct fuse_file_info *file)
{
	const struct mount *mount = fuse_req_userdata(req);

	if (readonly_refuses(req))
		return;
	if (announce_is_caller(req))
		ask_attr(req, number, NULL, touched_read);
	else if (is_refused(mount, to_set))
		(void)fuse_reply_err(req, EPERM);
	else if (to_set & FUSE_SET_ATTR_SIZE)
		file_truncate(req, number, attr->st_size < 0 ? 0 : (size_t)attr->st_size, file);
	else if ((to_set & FUSE_SET_ATTR_MTIME_NOW) && (to_set & FUSE_SET_ATTR_ATIME_NOW) &&
		!is_directory(mount, number))
		file_touch(req, number);
	else
		op_getattr(req, number, file);
}

/* Replies: error. What the ACL permits shows when it is done; here only that no file is a program. */
void op_access(fuse_req_t req, fuse_ino_t number, int mask)
{
	const struct mount *mount = fuse_req_userdata(req);
	struct inode_view inode;
	int err = inodes_look(mount->inodes, number, &inode);

	if (!err && (mask & X_OK) && inode.kind == KIND_FILE)
		err = -EACCES;
	if (!err && (mask & W_OK) && mount->options->is_read_only)
		err = -EROFS;
	inode_view_release(&inode);
	(void)fuse_reply_err(req, -err);
}

/* Replies: statfs. ZooKeeper tells of no size, so there is none to show; df leaves it out as it does /proc. */
void op_statfs(fuse_req_t req, fuse_ino_t number)
{
	const struct statvfs stat = { .f_bsize = IO_BLOCK, .f_frsize = IO_BLOCK, .f_namemax = NAMES_MAX };

	(void)number;
	(void)fuse_reply_statfs(req, &stat);
}
