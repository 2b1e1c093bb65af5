#include "fusefs/special.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cache/util/log.h"
#include "fusefs/announce.h"
#include "fusefs/files.h"
#include "fusefs/held.h"
#include "fusefs/names.h"
#include "fusefs/ops.h"

enum { NUMBER_SIZE = 10 }; /* that ZooKeeper appends to a name */

static void unmade(int error, const struct node_stat *stat, void *arg)
{
	(void)stat;
	(void)arg;
	if (error && error != -ENOENT)
		log_warning("cannot remove what nobody could open: %s", strerror(-error));
}

/* Whoever asked for it has not got it. */
static void unmake(struct mount *mount, const char *path, const struct node_stat *stat)
{
	(void)cache_remove(mount->cache, path, stat->czxid, -1, unmade, NULL);
}

/* What the kernel tells those who watch the directory is the requested name, and it cannot be kept from that: it was there before
 * we were asked (fsnotify_create in fs/namei.c, for every open that FUSE is asked to create). So it is taken back, and the birth of
 * the real one, as what is saved into it, told of as if others had done it. */
struct requested {
	struct mount *mount;
	char path[];
};

static void requested_read(int error, const struct node_info *info, void *arg)
{
	struct requested *requested = arg;

	(void)info;
	if (error == -ENOENT) /* else there is such a name after all */
		announce_foreign(CACHE_DELETED, requested->path, requested->mount->announce);
	free(requested);
}

static void take_back_name(struct mount *mount, const char *path)
{
	size_t size = strlen(path) + 1;
	struct requested *requested = mount->announce ? malloc(sizeof(*requested) + size) : NULL;

	if (!requested)
		return;
	requested->mount = mount;
	memcpy(requested->path, path, size);
	if (cache_read(mount->cache, path, requested_read, requested) < 0)
		free(requested);
}

static struct file *open_made(struct mount *mount, struct inode_view *inode, const struct node_stat *stat, int flags)
{
	const struct node_info node = { .stat = *stat, .changed = stat->mtime };
	struct openflags special = openflags_of(flags);
	struct file *file;

	inode->kind = KIND_FILE;
	inode->czxid = stat->czxid;
	inode->number = inodes_enter(mount->inodes, INODE_NODE, inode->path, stat, NULL);
	if (!inode->number)
		return NULL;
	file = file_open(mount->files, inode, &node, openflags_without(flags));
	if (file && special.is_held && holder_add(mount->holder, inode->number, stat) < 0) {
		file_put(file);
		file = NULL;
	}
	if (!file) {
		inodes_forget(mount->inodes, inode->number, 1);
		return NULL;
	}
	if (special.is_held)
		file_hold(file);
	if (special.is_sequential)
		file_tell_all(file);
	else
		inodes_announced(mount->inodes, inode->number);
	return file;
}

static void made(int error, const char *path, const struct node_stat *stat, void *arg)
{
	struct pending *pending = arg;
	struct mount *mount = pending->mount;
	struct inode_view *inode = &pending->inode;
	bool is_sequential = openflags_of(pending->file.flags).is_sequential;
	char *requested = pending->path;
	struct file *file = NULL;
	struct stat attr;
	double keep;

	if (error) {
		pending_fail(pending, error);
		return;
	}
	pending->path = NULL;
	inode->path = strdup(path);
	if (inode->path)
		file = open_made(mount, inode, stat, pending->file.flags);
	if (!file) {
		unmake(mount, path, stat);
		pending_fail(pending, -ENOMEM);
		free(requested);
		return;
	}
	pending->file.fh = (uintptr_t)file;
	pending->file.direct_io = true;
	pending->file.noflush = (pending->file.flags & O_ACCMODE) == O_RDONLY;
	keep = attr_fill(mount, inode->number, INODE_NODE, KIND_FILE, stat, NULL, stat->mtime, NULL, &attr);
	/* With no time to keep it, the kernel asks again whenever it comes across the requested name, and is told that it is not there. */
	if (pending_reply_create(pending, &attr, is_sequential ? 0 : keep)) {
		if (is_sequential)
			take_back_name(mount, requested);
	} else if (file_lets_go(file)) {
		special_release(mount, file, (fuse_ino_t)attr.st_ino);
	} else {
		unmake(mount, path, stat);
		file_put(file);
	}
	free(requested);
}

bool special_refuses(fuse_req_t req, struct openflags flags)
{
	const struct mount *mount = fuse_req_userdata(req);
	uid_t caller = fuse_req_ctx(req)->uid;

	/* The kernel would find out when it is made (may_open in fs/namei.c). */
	if (!flags.is_held || caller == mount->uid || caller == 0)
		return false;
	(void)fuse_reply_err(req, EPERM);
	return true;
}

void special_create(struct pending *pending, struct openflags flags)
{
	const struct cache_making what = {
		.path = pending->path,
		.is_ephemeral = flags.is_ephemeral,
		.is_sequential = flags.is_sequential,
		.done = made,
		.arg = pending,
	};
	int err = 0;

	if (pending->inode.type == INODE_DATA)
		err = -EEXIST; /* a directory always has data, if only none */
	else if (flags.is_sequential && strlen(strrchr(pending->path, '/') + 1) + NUMBER_SIZE > NAMES_MAX)
		err = -ENAMETOOLONG; /* nobody could look it up */
	if (!err)
		err = cache_make(pending->mount->cache, &what);
	if (err)
		pending_fail(pending, err);
}

void special_release(struct mount *mount, struct file *file, fuse_ino_t number)
{
	holder_closed(mount->holder, number, file_path(file), file_czxid(file));
	file_put(file);
}
