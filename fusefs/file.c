/* Files from open to release: FUSE's requests onto files.h, which says what goes through the kernel's page cache. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache/util/log.h"
#include "fusefs/announce.h"
#include "fusefs/files.h"
#include "fusefs/flock.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/readonly.h"
#include "fusefs/special.h"

static bool may_write(const struct fuse_file_info *info)
{
	return (info->flags & O_ACCMODE) != O_RDONLY;
}

static void set_handle(const struct mount *mount, struct fuse_file_info *info, fuse_ino_t number, struct file *file)
{
	info->fh = (uintptr_t)file;
	info->direct_io = !file_is_paged(file);
	/* A reader's close has nothing to say, but that fcntl locks go. */
	info->noflush = !may_write(info) && !flocks_has_records(mount->flocks, number);
}

/* --- open, create --- */

/* -EACCES: the contents may not be read, and this way of opening needs them. */
static int check_readable(const struct fuse_file_info *info, const struct node_info *node)
{
	if (node->data || (info->flags & O_ACCMODE) == O_WRONLY)
		return 0;
	return node->data_error;
}

/* On one of libfuse's threads, in op_open: other threads have no time to wait for a page. */
static _Thread_local bool is_in_open;

/* Puts the contents of a paged file into the page cache before the kernel asks, which saves it a READ. The page is not
 * believed before the size is (fuse_notify_store), and whoever opens the file next puts it there anew or drops it. It waits
 * for a read of the page that is on its way; there is none when nobody else has the file open, but for one that opens it now,
 * so a few of our threads may be waiting and the others answer. */
static bool store_page(struct pending *pending, struct file *file)
{
	enum { AT_ONCE = 2 };
	static _Atomic(int) storing;
	struct bytes *contents = NULL;
	bool is_stored = false;

	if (atomic_fetch_add(&storing, 1) < AT_ONCE && is_in_open && file_is_paged(file) && file_is_alone(file))
		contents = file_contents(file);
	if (contents && contents->size > 0) {
		struct fuse_bufvec page = FUSE_BUFVEC_INIT(contents->size);

		page.buf[0].mem = contents->data;
		is_stored =
			fuse_lowlevel_notify_store(pending->mount->session, pending->inode.number, 0, &page, 0) == 0;
	}
	atomic_fetch_sub(&storing, 1);
	bytes_put(contents);
	return is_stored;
}

/* The kernel knows by now whatever the cache knew when the file was opened. */
static void open_told(void *arg)
{
	struct pending *pending = arg;
	struct file *file = file_of(&pending->file);

	pending->file.keep_cache = store_page(pending, file);

	if (!pending_reply_open(pending))
		file_put(file);
}

static void open_node(struct pending *pending, const struct node_info *node)
{
	int error = check_readable(&pending->file, node);
	struct file *file;

	if (error) {
		pending_fail(pending, error);
		return;
	}
	file = file_open(pending->mount->files, &pending->inode, node, pending->file.flags);
	if (!file) {
		pending_fail(pending, -ENOMEM);
		return;
	}
	set_handle(pending->mount, &pending->file, pending->inode.number, file);
	notify_after(pending->mount->notify, open_told, pending);
}

static void open_read(int error, const struct node_info *node, void *arg)
{
	struct pending *pending = arg;
	struct inode_view *inode = &pending->inode;
	struct node_info unborn = { 0 };

	if (error == -ENOENT && inode->czxid == INODE_UNBORN &&
		files_unborn(pending->mount->files, inode->number, &unborn)) {
		open_node(pending, &unborn);
		node_info_release(&unborn);
		return;
	}
	if (error == -ENOENT || (!error && !inodes_match(pending->mount->inodes, inode, &node->stat, node->data)))
		pending_fail_stale(pending);
	else if (error)
		pending_fail(pending, error);
	else
		open_node(pending, node);
}

static void open_settled(int error, void *arg)
{
	struct pending *pending = arg;

	if (!error)
		error = cache_recall(pending->mount->cache, pending->inode.path, open_read, pending);
	if (error)
		pending_fail(pending, error);
}

/* Replies: open, error. O_TRUNC comes here too (FUSE_CAP_ATOMIC_O_TRUNC): it takes effect with the first save. */
void op_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct pending *pending;
	int err;

	if (announce_open(req, info) || readonly_refuses_open(req, info->flags))
		return;
	if (openflags_want_new(info->flags)) {
		(void)fuse_reply_err(req, EEXIST);
		return;
	}
	pending = pending_start(req);
	if (!pending)
		return;
	pending->file = *info;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (err)
		pending_fail(pending, err);
	else {
		is_in_open = true;
		files_settle(pending->mount->files, number, open_settled, pending);
		is_in_open = false;
	}
}

static void reply_create(struct pending *pending, const struct node_info *node)
{
	struct inode_view *inode = &pending->inode;
	struct mount *mount = pending->mount;
	struct stat attr;
	struct file *file;
	double keep;

	inode->path = pending->path;
	pending->path = NULL;
	inode->kind = inodes_kind(mount->inodes, INODE_NODE, inode->path, &node->stat, node->data);
	inode->czxid = inode_path_is_root(inode->path) ? 0 : node->stat.czxid;
	if ((inode->type == INODE_DATA) != (inode->kind == KIND_DIRECTORY)) {
		pending_fail(pending, inode->type == INODE_DATA ? -ENOTDIR : -EISDIR);
		return;
	}
	if (inode->kind == KIND_SYMLINK) {
		pending_fail_stale(pending); /* the kernel follows it */
		return;
	}
	inode->kind = KIND_FILE;
	inode->number = inodes_enter(mount->inodes, inode->type, inode->path, &node->stat, node->data);
	file = inode->number ? file_open(mount->files, inode, node, pending->file.flags) : NULL;
	if (!file) {
		if (inode->number)
			inodes_forget(mount->inodes, inode->number, 1);
		pending_fail(pending, -ENOMEM);
		return;
	}
	if (pending->flag) /* it was made by this request */
		inodes_announced(mount->inodes, inode->number);
	set_handle(mount, &pending->file, inode->number, file);
	keep = attr_fill(mount, inode->number, inode->type, KIND_FILE, &node->stat, NULL, node->changed, &node->access,
		&attr);
	/* A ".data" without data is there as long as somebody has it open. */
	if (!pending_reply_create(pending, &attr, inode->type == INODE_DATA ? 0 : keep))
		file_put(file);
}

/* It is there: somebody made it since the kernel looked, or it is the data of a directory. Then it is opened, unless it was to
 * be made by us; but a directory's data is made when there is none. */
static void create_read(int error, const struct node_info *node, void *arg)
{
	struct pending *pending = arg;

	if (!error && (pending->file.flags & O_EXCL) && node->stat.data_length > 0)
		error = -EEXIST;
	if (!error)
		error = check_readable(&pending->file, node);
	if (error)
		pending_fail(pending, error);
	else
		reply_create(pending, node);
}

static void created(int error, const struct node_stat *stat, void *arg)
{
	struct pending *pending = arg;

	if (error) {
		pending_fail(pending, error);
		return;
	}
	pending->file.flags &= ~O_TRUNC; /* it is empty, and known to be so */
	pending->flag = true;
	reply_create(pending, &(struct node_info){ .stat = *stat, .changed = stat->mtime });
}

/* The file is there for this machine; the znode is born with its contents (files.h). */
static void reply_unborn(struct pending *pending)
{
	struct inode_view *inode = &pending->inode;
	struct mount *mount = pending->mount;
	struct node_info node = { .stat = { .czxid = INODE_UNBORN, .version = 1 } };
	struct stat attr;
	struct timespec now;
	struct file *file;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	node.stat.ctime = node.stat.mtime = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	inode->path = pending->path;
	pending->path = NULL;
	inode->kind = KIND_FILE;
	inode->czxid = INODE_UNBORN;
	inode->number = inodes_enter_unborn(mount->inodes, inode->path);
	file = inode->number ? file_open(mount->files, inode, &node, pending->file.flags | O_CREAT) : NULL;
	if (!file) {
		if (inode->number)
			inodes_forget(mount->inodes, inode->number, 1);
		pending_fail(pending, -ENOMEM);
		return;
	}
	set_handle(mount, &pending->file, inode->number, file);
	(void)attr_fill(mount, inode->number, INODE_NODE, KIND_FILE, &node.stat, NULL, node.stat.mtime, NULL, &attr);
	if (!pending_reply_create(pending, &attr, 0))
		file_put(file);
}

static void create_looked(int error, const struct node_info *node, void *arg)
{
	if (error == -ENOENT)
		reply_unborn(arg);
	else
		create_read(error, node, arg);
}

/* Replies: create, error. With O_EXCL the znode is made at once, for that is how programs take a name; so it is with the flags of
 * zkfs.h. */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *info)
{
	struct openflags special = openflags_of(info->flags);
	struct pending *pending;
	int err;

	(void)mode;
	if (readonly_refuses(req) || special_refuses(req, special))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	pending->file = *info;
	err = inodes_child(pending->mount->inodes, parent, name, &pending->inode.type, &pending->path);
	if (!err && openflags_are_special(special) && (special.is_ephemeral || pending->inode.type != INODE_DATA)) {
		special_create(pending, special);
		return;
	}
	if (!err && pending->inode.type == INODE_DATA)
		err = cache_read(pending->mount->cache, pending->path, create_read, pending);
	else if (!err && !(info->flags & O_EXCL))
		err = cache_read(pending->mount->cache, pending->path, create_looked, pending);
	else if (!err)
		err = cache_create(pending->mount->cache, pending->path, NULL, created, pending);
	if (err)
		pending_fail(pending, err);
}

/* --- read, write --- */

/* Gives back the hold that op_read took. */
static void reply_read(struct pending *pending)
{
	struct file *file = file_of(&pending->file);
	size_t offset = (size_t)pending->offset;
	struct bytes *contents = file_contents(file);
	size_t left = contents && offset < contents->size ? contents->size - offset : 0;
	char *copy;

	if (contents) {
		size_t size = left < pending->size ? left : pending->size;

		pending_reply_data(pending, size ? contents->data + offset : NULL, size);
		bytes_put(contents);
		file_put(file);
		return;
	}
	copy = malloc(pending->size);
	if (copy)
		pending_reply_data(pending, copy, file_read(file, offset, copy, pending->size));
	else
		pending_fail(pending, -ENOMEM);
	free(copy);
	file_put(file);
}

static bool refuses_forfeit(struct file *file, fuse_req_t req)
{
	bool refuses = file_is_forfeit(file);

	if (refuses)
		(void)fuse_reply_err(req, EIO);
	return refuses;
}

static void read_newest(int error, const struct node_info *node, void *arg)
{
	struct pending *pending = arg;
	struct file *file = file_of(&pending->file);

	if (!error)
		file_renew(file, (size_t)pending->offset, node);
	if (error && error != -ENOENT) { /* a removed file stays readable */
		pending_fail(pending, error);
		file_put(file);
	} else {
		reply_read(pending);
	}
}

/* Replies: buf, error. */
void op_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct file *file = file_of(info);
	struct pending *pending;
	int err;

	(void)number;
	if (refuses_forfeit(file, req))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	pending->file.fh = info->fh;
	pending->size = size;
	pending->offset = offset;
	file_get(file); /* whoever is interrupted may close it before the answer is here */
	if (!file_wants_newer(file, (size_t)offset)) {
		reply_read(pending);
		return;
	}
	err = cache_recall(pending->mount->cache, file_path(file), read_newest, pending);
	if (err) {
		pending_fail(pending, err);
		file_put(file);
	}
}

/* Replies: write, error. Only memory is touched: contents go out whole, at close or fsync. */
void op_write(fuse_req_t req, fuse_ino_t number, const char *data, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	bool is_append = (info->flags & O_APPEND) && !info->writepage; /* a mapping's pages have their places */
	int err = file_write(file_of(info), info->lock_owner, (size_t)offset, is_append, data, size);

	(void)number;
	if (err)
		(void)fuse_reply_err(req, -err);
	else
		(void)fuse_reply_write(req, size);
}

/* --- poll --- */

/* Replies: poll. Reading and writing never wait; POLLPRI: the data has changed since it was last read. */
void op_poll(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct fuse_pollhandle *handle)
{
	unsigned events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;

	(void)number;
	if (file_poll(file_of(info), handle))
		events |= POLLPRI;
	(void)fuse_reply_poll(req, events);
}

/* --- truncate --- */

static void truncate_compose_zeros(struct buf *out, size_t count)
{
	char *zeros = count ? buf_extend(out, count) : NULL;

	for (size_t i = 0; zeros && i < count; i++)
		zeros[i] = 0;
}

static int truncate_compose(const struct node_info *old, struct buf *out, void *arg)
{
	const struct pending *pending = arg;
	size_t old_size = old->data ? old->data->size : 0;
	size_t kept = old_size < pending->size ? old_size : pending->size;

	if (kept)
		(void)buf_append(out, old->data->data, kept);
	truncate_compose_zeros(out, pending->size - kept);
	return out->failed ? -ENOMEM : 0;
}

static void truncated(int error, const struct node_stat *stat, struct bytes *data, void *arg)
{
	struct pending *pending = arg;
	struct inode_view *inode = &pending->inode;
	struct stat attr;

	if (error) {
		pending_fail(pending, error);
		return;
	}
	(void)attr_fill(pending->mount, inode->number, inode->type, inode->kind, stat, data, stat->mtime, NULL, &attr);
	/* Not to be kept: the kernel takes this answer even if something newer was told meanwhile (fuse_do_setattr). */
	pending_reply_attr(pending, &attr, 0);
}

static void truncate_saved(int error, void *arg)
{
	struct pending *pending = arg;
	const struct cache_edit edit = {
		.compose = truncate_compose,
		.done = truncated,
		.arg = pending,
		.czxid = pending->inode.czxid == INODE_UNBORN ? 0 : pending->inode.czxid, /* it is born by now */
		.is_whole = pending->size == 0,
		.is_directory = pending->inode.type == INODE_DATA,
	};

	if (!error)
		error = cache_update(pending->mount->cache, pending->inode.path, &edit);
	if (error)
		pending_fail(pending, error);
}

/* What others have written and not saved comes before the cut. */
static void truncate_settled(int error, void *arg)
{
	struct pending *pending = arg;

	if (error)
		pending_fail(pending, error);
	else
		files_save(pending->mount->files, pending->inode.number, truncate_saved, pending);
}

void file_truncate(fuse_req_t req, fuse_ino_t number, size_t size, struct fuse_file_info *info)
{
	struct mount *mount = fuse_req_userdata(req);
	struct pending *pending;
	int err;

	if (info) {
		err = file_cut(file_of(info), size);
		if (err)
			(void)fuse_reply_err(req, -err);
		else
			op_getattr(req, number, info);
		return;
	}
	pending = pending_start(req);
	if (!pending)
		return;
	pending->size = size;
	err = size > mount->options->max_data ? -EFBIG : inodes_look(mount->inodes, number, &pending->inode);
	if (!err && pending->inode.kind == KIND_DIRECTORY)
		err = -EISDIR;
	if (err)
		pending_fail(pending, err);
	else
		files_settle(mount->files, number, truncate_settled, pending);
}

/* --- touch --- */

static int compose_same(const struct node_info *old, struct buf *out, void *arg)
{
	(void)arg;
	if (old->data)
		(void)buf_append(out, old->data->data, old->data->size);
	return out->failed ? -ENOMEM : 0;
}

/* What was unsaved is saved now, and that moved the time. */
static void touch_saved(int error, void *arg)
{
	struct pending *pending = arg;
	struct node_stat stat;
	struct stat attr;

	if (error || !files_last_stat(pending->mount->files, pending->inode.number, &stat)) {
		pending_fail(pending, error ? error : -ESTALE);
		return;
	}
	(void)attr_fill(pending->mount, pending->inode.number, pending->inode.type, KIND_FILE, &stat, NULL, stat.mtime,
		NULL, &attr);
	pending_reply_attr(pending, &attr, 0);
}

/* Not of a directory, whatever it was when the kernel asked: set to nothing, one that never had children would be a file. */
static int touch_compose(const struct node_info *old, struct buf *out, void *arg)
{
	const struct pending *pending = arg;

	if (pending->inode.type == INODE_NODE && kind_of(&old->stat, false) == KIND_DIRECTORY)
		return 1;
	return compose_same(old, out, NULL);
}

void file_touch(fuse_req_t req, fuse_ino_t number)
{
	struct pending *pending = pending_start(req);
	struct cache_edit edit = { .compose = touch_compose, .done = truncated, .arg = pending };
	struct mount *mount;
	size_t unsaved;
	int err;

	if (!pending)
		return;
	mount = pending->mount;
	err = inodes_look(mount->inodes, number, &pending->inode);
	if (!err && files_unsaved_size(mount->files, number, &unsaved)) {
		files_save(mount->files, number, touch_saved, pending);
		return;
	}
	edit.czxid = pending->inode.czxid;
	edit.is_directory = pending->inode.type == INODE_DATA;
	if (!err)
		err = cache_update(mount->cache, pending->inode.path, &edit);
	if (err)
		pending_fail(pending, err);
}

/* --- flush, fsync, release --- */

/* The number of the inode that a descriptor of a process belongs to; 0: not told (by Linux before 5.14). */
static fuse_ino_t inode_of(int fdinfo, const char *descriptor)
{
	int fd = openat(fdinfo, descriptor, O_RDONLY | O_CLOEXEC);
	FILE *info = fd >= 0 ? fdopen(fd, "r") : NULL;
	unsigned long long number = 0;
	char line[256];

	while (info && number == 0 && fgets(line, sizeof(line), info))
		(void)sscanf(line, "ino: %llu", &number);
	if (info)
		(void)fclose(info);
	return number;
}

/* Whether the thread that closes has, in its process, another descriptor of the inode. (A process that ends has none left by
 * then.) Where it cannot be seen, in another pid namespace or of another user, we say that it has: then it is saved at the last
 * close. */
static bool closer_has_copy(pid_t closer, fuse_ino_t number)
{
	struct dirent *entry;
	bool has_copy;
	char name[64];
	DIR *dir;

	(void)snprintf(name, sizeof(name), "/proc/%d/fdinfo", (int)closer);
	dir = closer ? opendir(name) : NULL;
	has_copy = !dir;
	while (dir && !has_copy && (entry = readdir(dir)) != NULL)
		has_copy = entry->d_name[0] != '.' && inode_of(dirfd(dir), entry->d_name) == number;
	if (dir)
		(void)closedir(dir);
	return has_copy;
}

/* What was saved, and what it was merged with, is seen by whoever looks next. */
static void saved_told(void *arg)
{
	pending_fail(arg, 0);
}

static void flushed(int error, void *arg)
{
	struct pending *pending = arg;

	flocks_give_up(pending->mount->flocks, pending->flocker);
	if (error)
		pending_fail(pending, error);
	else
		notify_after(pending->mount->notify, saved_told, pending);
}

/* Replies: error. One close(2) of perhaps several; its result is this. */
void op_flush(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct file *file = file_of(info);
	struct pending *pending;
	bool has_copy;
	pid_t closer;

	if (!file) { /* the announcer's, from Linux before 5.16 */
		(void)fuse_reply_err(req, 0);
		return;
	}
	closer = fuse_req_ctx(req)->pid;
	file_get(file); /* who is killed is answered at once, and closes it for good before we are through */
	pending = pending_start(req);
	if (pending) {
		pending->flocker = flocks_close(pending->mount->flocks, number, info->lock_owner);
		has_copy = file_is_bare(file) && closer_has_copy(closer, number);
		file_close(file, info->lock_owner, has_copy, flushed, pending);
	}
	file_put(file);
}

/* Waits for no notification: the kernel holds the inode's lock (fuse_fsync), for which whoever removes the file waits with its
 * directory's, and one of that directory's entries may be next. */
static void fsync_synced(int error, const struct node_stat *stat, void *arg)
{
	(void)stat;
	pending_fail(arg, error);
}

static void fsync_saved_all(int error, void *arg)
{
	struct pending *pending = arg;

	if (!error)
		error = cache_sync(pending->mount->cache, fsync_synced, pending);
	if (error)
		pending_fail(pending, error);
}

/* As fsync of a local file, through whichever descriptor. */
static void fsync_saved(int error, void *arg)
{
	struct pending *pending = arg;

	if (error)
		pending_fail(pending, error);
	else
		files_save(pending->mount->files, pending->inode.number, fsync_saved_all, pending);
}

/* Replies: error. Also waits until this mount is as new as the ensemble was. */
void op_fsync(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info)
{
	struct file *file = file_of(info);
	struct pending *pending;

	(void)datasync;
	file_get(file); /* as in op_flush */
	pending = pending_start(req);
	if (pending) {
		pending->inode.number = number;
		file_save(file, true, fsync_saved, pending);
	}
	file_put(file);
}

/* Waits for no notification: the kernel holds the directory's lock (fuse_dir_fsync), and one of its entries may be next. */
static void fsyncdir_synced(int error, const struct node_stat *stat, void *arg)
{
	(void)stat;
	pending_fail(arg, error);
}

static void fsyncdir_saved(int error, void *arg)
{
	struct pending *pending = arg;

	if (!error)
		error = cache_sync(pending->mount->cache, fsyncdir_synced, pending);
	if (error)
		pending_fail(pending, error);
}

/* Replies: error. What is unsaved in the directory and below it is saved; of the mount's root, everything. (FUSE_SYNCFS comes to
 * no ordinary mount: fuse_sync_fs asks fc->sync_fs, which only virtiofs sets.) */
void op_fsyncdir(fuse_req_t req, fuse_ino_t number, int datasync, struct fuse_file_info *info)
{
	struct pending *pending = pending_start(req);
	int err;

	(void)datasync;
	(void)info;
	if (!pending)
		return;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (err)
		pending_fail(pending, err);
	else
		files_save_below(pending->mount->files, pending->inode.path, fsyncdir_saved, pending);
}

/* Without memory for more, its locks have gone before. */
static void release_alone(int error, void *arg)
{
	struct file *file = arg;

	if (error)
		log_error("what was written to '%s' is lost: %s", file_path(file), strerror(-error));
	file_put(file);
}

/* A file's last close. */
struct closing {
	struct mount *mount;
	struct file *file;
};

static void release_saved(int error, void *arg)
{
	struct closing *closing = arg;

	flocks_released(closing->mount->flocks, closing->file);
	release_alone(error, closing->file);
	free(closing);
}

/* Replies: error. Nobody waits for it; what a close could not save any more (the writer was killed) is saved now. */
void op_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct mount *mount = fuse_req_userdata(req);
	struct file *file = file_of(info);
	struct closing *closing = file ? malloc(sizeof(*closing)) : NULL;

	if (file && file_lets_go(file)) {
		flocks_released(mount->flocks, file);
		special_release(mount, file, number);
	} else if (closing) {
		*closing = (struct closing){ .mount = mount, .file = file };
		file_release(file, release_saved, closing);
		closing = NULL;
	} else if (file) { /* the announcer's is none */
		flocks_released(mount->flocks, file);
		file_release(file, release_alone, file);
	}
	free(closing);
	(void)fuse_reply_err(req, 0);
}
