/* Directories: finding, making and removing what is in them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* --- lookup, forget --- */

/* Answers with the entry of a znode at pending->path, of the type in pending->inode.type. is_new: it was made by this request. */
static void reply_entry(struct pending *pending, const struct node_info *info, bool is_new)
{
	const struct node_stat *stat = &info->stat;
	struct mount *mount = pending->mount;
	enum inode_type type = pending->inode.type;
	fuse_ino_t number;
	struct stat attr;
	double keep;

	if (type == INODE_DATA && kind_of(stat, inode_path_is_root(pending->path)) != KIND_DIRECTORY) {
		pending_fail(pending, -ENOENT);
		return;
	}
	number = inodes_enter(mount->inodes, type, pending->path, stat, info->data);
	if (number == 0) {
		pending_fail(pending, -ENOMEM);
		return;
	}
	if (is_new && type == INODE_NODE)
		inodes_announced(mount->inodes, number);
	files_told(mount->files, number, info);
	keep = attr_fill(mount, number, type, inodes_kind(mount->inodes, type, pending->path, stat, info->data), stat,
		info->data, info->changed, &info->access, &attr);
	if (type == INODE_DATA && stat->data_length == 0 && !is_new)
		keep = 0; /* there only while it is open */
	pending_reply_entry(pending, &attr, keep);
}

/* Whether there is a ".data" to be found: not where there is no data, or tar, cp and rsync could not make it (they use O_EXCL); but
 * while somebody has made one and not written to it yet. */
static bool has_data(struct pending *pending, const struct node_info *info)
{
	struct mount *mount = pending->mount;
	struct node_stat last;

	return info->stat.data_length > 0 ||
		files_last_stat(mount->files,
			inodes_number(mount->inodes, INODE_DATA, pending->path, &info->stat, NULL), &last);
}

/* Answers with a file that has no znode yet. False: there is none at pending->path. */
static bool reply_unborn(struct pending *pending)
{
	struct mount *mount = pending->mount;
	fuse_ino_t number = pending->inode.type == INODE_NODE ? inodes_unborn(mount->inodes, pending->path, true) : 0;
	struct node_stat stat;
	struct stat attr;

	if (!number)
		return false;
	if (!files_last_stat(mount->files, number, &stat)) {
		inodes_forget(mount->inodes, number, 1);
		return false;
	}
	(void)attr_fill(mount, number, INODE_NODE, KIND_FILE, &stat, NULL, stat.mtime, NULL, &attr);
	pending_reply_entry(pending, &attr, 0);
	return true;
}

/* To the announcer, what it has told of is there until it has told of its end. */
static bool reply_announced(struct pending *pending)
{
	struct mount *mount = pending->mount;
	const struct node_stat gone = { 0 };
	enum kind kind = KIND_FILE;
	fuse_ino_t number = 0;
	struct stat attr;

	if (announce_is_thread(mount->announce, pending->caller) && pending->inode.type == INODE_NODE) {
		inodes_mourn_announced(mount->inodes, pending->path);
		number = inodes_mourned(mount->inodes, pending->path, &kind);
	}
	if (!number)
		return false;
	(void)attr_fill(mount, number, INODE_NODE, kind, &gone, NULL, 0, NULL, &attr);
	pending_reply_entry(pending, &attr, 0);
	return true;
}

/* For how long the kernel may answer by itself that there is no such name. What the announcer asks for is of the past, and comes in the
 * middle of what others do with the name. */
static double absence_timeout(const struct pending *pending)
{
	return announce_is_thread(pending->mount->announce, pending->caller) ? 0 : NOTIFY_KERNEL_TIMEOUT;
}

static void lookup_read(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;

	if (error == -ENOENT && (reply_unborn(pending) || reply_announced(pending)))
		return;
	if (error == -ENOENT && pending->flag) { /* it was unborn a moment ago, so it may have been born */
		pending->flag = false;
		error = cache_recall(pending->mount->cache, pending->path, lookup_read, pending);
		if (!error)
			return;
	}
	if (!error && pending->inode.type == INODE_DATA && !has_data(pending, info))
		error = -ENOENT;
	if (error == -ENOENT && cache_is_watching(pending->mount->cache))
		pending_reply_absent(pending, absence_timeout(pending));
	else if (error)
		pending_fail(pending, error);
	else
		reply_entry(pending, info, false);
}

/* Replies: entry, error. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pending *pending;
	int err;

	if (announce_lookup(req, parent, name))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	err = inodes_child(pending->mount->inodes, parent, name, &pending->inode.type, &pending->path);
	if (err == -EILSEQ || err == -EPERM)
		err = -ENOENT; /* there can be no such znode; who tries to make one is told why */
	if (!err) {
		pending->flag = inodes_unborn(pending->mount->inodes, pending->path, false) != 0;
		err = cache_recall(pending->mount->cache, pending->path, lookup_read, pending);
	}
	if (err)
		pending_fail(pending, err);
}

/* Replies: none. */
void op_forget(fuse_req_t req, fuse_ino_t number, uint64_t count)
{
	struct mount *mount = fuse_req_userdata(req);

	inodes_forget(mount->inodes, number, count);
	fuse_reply_none(req);
}

/* Replies: none. */
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *mount = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		inodes_forget(mount->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* --- Making --- */

static void made(int error, const struct node_stat *stat, void *arg)
{
	struct pending *pending = arg;

	if (error)
		pending_fail(pending, error);
	else
		reply_entry(pending, &(struct node_info){ .stat = *stat, .changed = stat->mtime }, true);
}

/* Looks at the name and starts a request to make it; NULL: it has been answered. may_be_data: also the data of a directory. */
static struct pending *start_making(fuse_req_t req, fuse_ino_t parent, const char *name, bool may_be_data)
{
	struct pending *pending = pending_start(req);
	int err;

	if (!pending)
		return NULL;
	err = inodes_child(pending->mount->inodes, parent, name, &pending->inode.type, &pending->path);
	if (!err && pending->inode.type == INODE_DATA && !may_be_data)
		err = -EPERM; /* the name is ours */
	if (!err)
		return pending;
	pending_fail(pending, err);
	return NULL;
}

/* Empty data is none, so nothing is to be made. But for a moment the kernel knows of the file: tar --xattrs makes it so, sets its
 * attributes, and only then opens it. */
static void data_looked(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;

	if (!error && has_data(pending, info))
		error = -EEXIST;
	if (error)
		pending_fail(pending, error);
	else
		reply_entry(pending, info, true);
}

/* Replies: entry, error. */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct pending *pending;
	int err;

	(void)mode;
	if (readonly_refuses(req) || announce_make(req, parent, name))
		return;
	pending = start_making(req, parent, name, false);
	if (!pending)
		return;
	err = cache_mkdir(pending->mount->cache, pending->path, made, pending);
	if (err)
		pending_fail(pending, err);
}

/* Replies: entry, error. Regular files only. */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	struct pending *pending;
	int err;

	(void)device;
	if (readonly_refuses(req) || announce_make(req, parent, name))
		return;
	if (!S_ISREG(mode)) {
		(void)fuse_reply_err(req, EPERM);
		return;
	}
	pending = start_making(req, parent, name, true);
	if (!pending)
		return;
	if (pending->inode.type == INODE_DATA)
		err = cache_read(pending->mount->cache, pending->path, data_looked, pending);
	else
		err = cache_create(pending->mount->cache, pending->path, NULL, made, pending);
	if (err)
		pending_fail(pending, err);
}

/* A link being made. */
struct linking {
	struct pending *pending;
	struct bytes *data;
};

static void linked(int error, const struct node_stat *stat, void *arg)
{
	struct linking *linking = arg;

	if (error)
		pending_fail(linking->pending, error);
	else
		reply_entry(linking->pending,
			&(struct node_info){ .stat = *stat, .changed = stat->mtime, .data = linking->data }, true);
	bytes_put(linking->data);
	free(linking);
}

static int make_link(struct pending *pending, const char *form)
{
	struct linking *linking = malloc(sizeof(*linking));
	struct bytes *data = bytes_new(form, SYMLINK_SIZE);
	int err = -ENOMEM;

	if (linking && data) {
		*linking = (struct linking){ .pending = pending, .data = data };
		err = cache_create(pending->mount->cache, pending->path, data, linked, linking);
	}
	if (err) {
		bytes_put(data);
		free(linking);
	}
	return err;
}

/* Replies: entry, error. */
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	const struct mount *mount = fuse_req_userdata(req);
	int err = mount->options->with_symlinks ? 0 : -EPERM;
	struct pending *pending;
	char form[SYMLINK_SIZE];

	if (readonly_refuses(req) || announce_make(req, parent, name))
		return;
	if (!err)
		err = symlink_encode(target, form);
	if (err) {
		(void)fuse_reply_err(req, -err);
		return;
	}
	pending = start_making(req, parent, name, false);
	if (!pending)
		return;
	err = make_link(pending, form);
	if (err)
		pending_fail(pending, err);
}

/* The kernel lets everybody ask. */
static bool may_read(const struct pending *pending, const struct node_info *info)
{
	const struct fuse_ctx *caller = fuse_req_ctx(pending->req);

	return !pending->mount->options->allow_other || info->access.is_public || caller->uid == 0 ||
		caller->uid == pending->mount->uid;
}

static void readlink_read(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;
	const char *target;
	size_t size;

	if (error == -ENOENT ||
		(!error && !inodes_match(pending->mount->inodes, &pending->inode, &info->stat, info->data))) {
		pending_fail_stale(pending);
		return;
	}
	if (!error && (!info->data || !symlink_decode(info->data->data, info->data->size, &target, &size)))
		error = -EINVAL;
	if (!error && !may_read(pending, info))
		error = -EACCES;
	if (error)
		pending_fail(pending, error);
	else
		(void)pending_reply_data(pending, target, size);
}

/* Replies: readlink (which is as buf, without the terminator), error. */
void op_readlink(fuse_req_t req, fuse_ino_t number)
{
	struct pending *pending = pending_start(req);
	int err;

	if (!pending)
		return;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err)
		err = cache_recall(pending->mount->cache, pending->inode.path, readlink_read, pending);
	if (err)
		pending_fail(pending, err);
}

/* Replies: error. A znode has one path. */
void op_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t new_parent, const char *new_name)
{
	(void)number;
	(void)new_parent;
	(void)new_name;
	if (!readonly_refuses(req))
		(void)fuse_reply_err(req, EPERM);
}

/* --- Removing --- */

static void data_emptied(int error, const struct node_stat *stat, struct bytes *data, void *arg)
{
	(void)stat;
	(void)data;
	pending_fail(arg, error);
}

static int compose_nothing(const struct node_info *old, struct buf *out, void *arg)
{
	(void)out;
	(void)arg;
	return old->stat.data_length == 0 ? 1 : 0;
}

/* To remove ".data" is to empty the directory's data. */
static int empty_data(struct pending *pending)
{
	const struct cache_edit edit = { .compose = compose_nothing,
		.done = data_emptied,
		.arg = pending,
		.is_whole = true,
		.is_directory = true };

	return cache_update(pending->mount->cache, pending->path, &edit);
}

static void unlinked(int error, const struct node_stat *stat, void *arg)
{
	struct pending *pending = arg;

	(void)stat;
	if (error == -ENOTEMPTY)
		error = -EISDIR; /* it has become a directory since the kernel looked */
	if (!error && pending->inode.number) {
		files_unlinked(pending->mount->files, pending->inode.number);
		inodes_buried(pending->mount->inodes, pending->inode.number);
	}
	pending_fail(pending, error);
}

static void unlink_look(int error, void *arg);

/* A file without a znode: whoever has it open keeps it, and it will never get one. If it is getting it just now, that is
 * awaited. False: there is none. */
static bool unlink_unborn(struct pending *pending)
{
	struct mount *mount = pending->mount;
	fuse_ino_t number = inodes_unborn(mount->inodes, pending->path, false);

	if (!number)
		return false;
	if (files_are_saving(mount->files, number)) {
		files_save(mount->files, number, unlink_look, pending);
		return true;
	}
	files_unlinked(mount->files, number);
	inodes_abandon(mount->inodes, number);
	pending_fail(pending, 0);
	return true;
}

/* Remembers which inode is being removed, for its open files. */
static void unlink_read(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;
	struct mount *mount = pending->mount;

	if (error == -ENOENT && unlink_unborn(pending))
		return;
	if (!error && kind_of(&info->stat, false) == KIND_DIRECTORY)
		error = -EISDIR;
	if (!error) {
		pending->inode.number =
			inodes_number(mount->inodes, INODE_NODE, pending->path, &info->stat, info->data);
		error = cache_remove(mount->cache, pending->path, info->stat.czxid, -1, unlinked, pending);
	}
	if (error)
		pending_fail(pending, error);
}

static void unlink_look(int error, void *arg)
{
	struct pending *pending = arg;

	(void)error; /* of the save: told to whoever closes it */
	error = cache_read(pending->mount->cache, pending->path, unlink_read, pending);
	if (error)
		pending_fail(pending, error);
}

/* Replies: error. */
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pending *pending;
	int err;

	if (readonly_refuses(req) || announce_remove(req, parent, name))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	err = inodes_child(pending->mount->inodes, parent, name, &pending->inode.type, &pending->path);
	if (!err && pending->inode.type == INODE_DATA)
		err = empty_data(pending);
	else if (!err)
		unlink_look(0, pending);
	if (err)
		pending_fail(pending, err);
}

static void rmdir_read(int error, const struct node_info *info, void *arg);

static void rmdir_removed(int error, const struct node_stat *stat, void *arg)
{
	struct pending *pending = arg;

	(void)stat;
	if (error == -EAGAIN) { /* its data was changed meanwhile: look again */
		error = cache_read(pending->mount->cache, pending->path, rmdir_read, pending);
		if (!error)
			return;
	}
	if (!error)
		inodes_buried(pending->mount->inodes, pending->inode.number);
	pending_fail(pending, error);
}

static bool has_unborn(struct pending *pending)
{
	char **names;
	ssize_t count = inodes_unborn_in(pending->mount->inodes, pending->path, &names);

	directory_free_names(names, count);
	return count > 0;
}

/* A directory with data is not empty; the version keeps it from being given some unseen. */
static void rmdir_read(int error, const struct node_info *info, void *arg)
{
	struct pending *pending = arg;

	if (!error && kind_of(&info->stat, false) != KIND_DIRECTORY)
		error = -ENOTDIR;
	if (!error && (info->stat.data_length > 0 || has_unborn(pending)))
		error = -ENOTEMPTY;
	if (!error) {
		pending->inode.number =
			inodes_number(pending->mount->inodes, INODE_NODE, pending->path, &info->stat, info->data);
		error = cache_remove(pending->mount->cache, pending->path, info->stat.czxid, info->stat.version,
			rmdir_removed, pending);
	}
	if (error)
		pending_fail(pending, error);
}

/* Replies: error. */
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct pending *pending;
	int err;

	if (readonly_refuses(req) || announce_remove(req, parent, name))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	err = inodes_child(pending->mount->inodes, parent, name, &pending->inode.type, &pending->path);
	if (!err && pending->inode.type == INODE_DATA)
		err = -ENOTDIR;
	if (!err)
		err = cache_read(pending->mount->cache, pending->path, rmdir_read, pending);
	if (err)
		pending_fail(pending, err);
}
