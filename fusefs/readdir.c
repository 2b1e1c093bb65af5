/* Open directories, and what is in them.
 *
 * The kernel keeps a directory's names, too (FOPEN_CACHE_DIR; fs/fuse/readdir.c): the entries of READDIR replies, in the order of
 * their offsets, which whoever reads it from the start at that time fills in, and whoever opens it next gets without asking.
 * So an offset must mean the same in each listing of a directory: it is made of the child's czxid, in whose order they are
 * listed. Where two children have the same one, born in one transaction, offsets are places in the listing that was opened,
 * and the kernel keeps nothing; nor where there are files without a znode.
 *
 * Whether what the kernel has is still right is said at each OPENDIR. */
#include "fusefs/readdir.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/util/clock.h"
#include "fusefs/files.h"
#include "fusefs/names.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/pending.h"
#include "fusefs/symlink.h"

/* An open directory: its entries as they were when it was opened, or when somebody began to read it anew. Offsets: "." is 0,
 * ".." 1, ".data" 2, then the children, then the files that have no znode yet. */
struct directory {
	struct directories *all;
	struct directory *prev, *next; /* under the lock of all */
	fuse_ino_t number;
	_Atomic(unsigned) refs; /* the kernel's, and one for each request that waits for a newer listing */
	char **unborn;		/* names of files that had no znode when it was opened; never changes */
	ssize_t unborn_count;
	bool is_kept;	      /* the kernel may keep what it reads; never changes */
	pthread_mutex_t lock; /* a leaf, over the members below */
	struct cache_children *children;
	uint64_t print; /* of these children */
	bool was_read;
};

enum { PLACE_SELF, PLACE_PARENT, PLACE_DATA, PLACE_CHILDREN };

/* What the kernel was last given from the start of a directory on. */
struct kept {
	fuse_ino_t number;
	uint64_t print;
	int64_t time; /* ms */
};

/* One for each inode number modulo this; where two directories share one, the kernel asks more often. */
enum { KEPT_MAX = 1 << 10 };

struct directories {
	pthread_mutex_t lock; /* taken before a directory's */
	struct directory *list;
	struct kept kept[KEPT_MAX];
};

struct directories *directories_new(void)
{
	struct directories *directories = calloc(1, sizeof(*directories));

	if (directories)
		pthread_mutex_init(&directories->lock, NULL);
	return directories;
}

static void directory_free(struct directory *directory)
{
	cache_children_put(directory->children);
	directory_free_names(directory->unborn, directory->unborn_count);
	pthread_mutex_destroy(&directory->lock);
	free(directory);
}

void directories_free(struct directories *directories)
{
	struct directory *directory, *next;

	if (!directories)
		return;
	DL_FOREACH_SAFE (directories->list, directory, next) {
		DL_DELETE(directories->list, directory);
		directory_free(directory);
	}
	pthread_mutex_destroy(&directories->lock);
	free(directories);
}

bool directories_last_stat(struct directories *directories, fuse_ino_t number, struct node_stat *stat)
{
	struct directory *directory;

	pthread_mutex_lock(&directories->lock);
	DL_SEARCH_SCALAR(directories->list, directory, number, number);
	if (directory) {
		pthread_mutex_lock(&directory->lock);
		*stat = directory->children->stat;
		pthread_mutex_unlock(&directory->lock);
	}
	pthread_mutex_unlock(&directories->lock);
	return directory != NULL;
}

/* --- What the kernel keeps --- */

/* Of what a listing says: which children, and what they are. */
static uint64_t print_of(const struct cache_children *children)
{
	const uint64_t prime = 0x100000001b3;
	uint64_t print = 0xcbf29ce484222325 ^ (children->stat.data_length > 0);

	for (size_t i = 0; i < children->count; i++) {
		const struct cache_child *child = &children->list[i];
		const char *target;
		size_t size;
		bool is_link = child->data && symlink_decode(child->data->data, child->data->size, &target, &size);

		print = (print ^ (uint64_t)child->stat.czxid) * prime;
		print = (print ^ (uint64_t)(is_link ? KIND_SYMLINK : kind_of(&child->stat, false))) * prime;
	}
	return print;
}

static bool have_offsets(const struct cache_children *children)
{
	for (size_t i = 0; i < children->count; i++) {
		int64_t czxid = children->list[i].stat.czxid;

		if (czxid < 0 || czxid >= INT64_MAX - PLACE_CHILDREN ||
			(i > 0 && czxid <= children->list[i - 1].stat.czxid))
			return false;
	}
	return true;
}

static struct kept *kept_of(struct directories *directories, fuse_ino_t number)
{
	return &directories->kept[number % KEPT_MAX];
}

/* Whether that is what the kernel has; not for longer than names and attributes, which come with it (READDIRPLUS). */
static bool is_up_to_date(struct directories *directories, fuse_ino_t number, uint64_t print)
{
	const struct kept *kept = kept_of(directories, number);
	bool is_it;

	pthread_mutex_lock(&directories->lock);
	is_it = kept->number == number && kept->print == print &&
		(double)(clock_now() - kept->time) < NOTIFY_KERNEL_TIMEOUT * 1000;
	pthread_mutex_unlock(&directories->lock);
	return is_it;
}

/* The kernel is given a part of this listing, with what is at its start or not. False: it is not the one that it was given the
 * start of. */
static bool note_kept(struct directories *directories, fuse_ino_t number, uint64_t print, bool is_start)
{
	struct kept *kept = kept_of(directories, number);
	bool is_it;

	pthread_mutex_lock(&directories->lock);
	if (is_start)
		*kept = (struct kept){ .number = number, .print = print, .time = clock_now() };
	is_it = kept->number == number && kept->print == print;
	if (!is_it)
		kept->number = 0; /* it may now have a bit of both */
	pthread_mutex_unlock(&directories->lock);
	return is_it;
}

/* --- Opening --- */

/* As libfuse says it: 0 would hide the name. */
enum { UNKNOWN_INODE = 0x7fffffff };

static struct directory *directory_of(const struct fuse_file_info *file)
{
	return (struct directory *)(uintptr_t)file->fh; /* NOLINT(performance-no-int-to-ptr): libfuse keeps it so */
}

void directory_free_names(char **names, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static void directory_put(struct directory *directory)
{
	struct directories *all = directory->all;

	if (atomic_fetch_sub(&directory->refs, 1) != 1)
		return;
	pthread_mutex_lock(&all->lock);
	DL_DELETE(all->list, directory);
	pthread_mutex_unlock(&all->lock);
	directory_free(directory);
}

static void opendir_told(void *arg)
{
	struct pending *pending = arg;
	struct directory *directory = directory_of(&pending->file);

	pending->file.cache_readdir = directory->is_kept;
	pending->file.keep_cache =
		directory->is_kept && is_up_to_date(directory->all, directory->number, directory->print);
	if (!pending_reply_open(pending))
		directory_put(directory);
}

static void opendir_listed(int error, struct cache_children *children, void *arg)
{
	struct pending *pending = arg;
	struct directory *directory = NULL;

	if (error == -ENOENT ||
		(!error && !inodes_match(pending->mount->inodes, &pending->inode, &children->stat, NULL))) {
		pending_fail_stale(pending);
		return;
	}
	if (!error) {
		directory = calloc(1, sizeof(*directory));
		error = directory ? 0 : -ENOMEM;
	}
	if (error) {
		pending_fail(pending, error);
		return;
	}
	directory->all = pending->mount->directories;
	directory->number = pending->inode.number;
	atomic_init(&directory->refs, 1);
	pthread_mutex_init(&directory->lock, NULL);
	directory->children = cache_children_get(children);
	directory->print = print_of(children);
	directory->unborn_count = inodes_unborn_in(pending->mount->inodes, pending->inode.path, &directory->unborn);
	directory->is_kept =
		cache_is_watching(pending->mount->cache) && directory->unborn_count == 0 && have_offsets(children);
	pthread_mutex_lock(&directory->all->lock);
	DL_APPEND(directory->all->list, directory);
	pthread_mutex_unlock(&directory->all->lock);
	pending->file.fh = (uintptr_t)directory;
	notify_after(pending->mount->notify, opendir_told, pending);
}

/* Replies: open, error. What cannot be listed cannot be opened. */
void op_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file)
{
	struct pending *pending = pending_start(req);
	int err;

	if (!pending)
		return;
	pending->file = *file;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err && pending->inode.kind != KIND_DIRECTORY)
		err = -ENOTDIR;
	if (!err)
		err = cache_recall_list(pending->mount->cache, pending->inode.path, opendir_listed, pending);
	if (err)
		pending_fail(pending, err);
}

/* A page of a listing being filled. */
struct page {
	struct pending *pending;
	const struct directory *directory;
	const struct cache_children *children;
	bool with_attributes;
	char *data;
	size_t used;
	struct buf entered; /* the inodes looked up so */
	char name[NAMES_MAX + 1];
};

/* False: it does not fit any more. */
static bool page_add_name(struct page *page, const char *name, const struct stat *attr, off_t next)
{
	fuse_req_t req = page->pending->req;
	size_t left = page->pending->size - page->used;
	size_t size = fuse_add_direntry(req, page->data + page->used, left, name, attr, next);

	if (size > left)
		return false;
	page->used += size;
	return true;
}

static mode_t type_of(enum kind kind)
{
	static const mode_t types[] = { [KIND_FILE] = S_IFREG, [KIND_DIRECTORY] = S_IFDIR, [KIND_SYMLINK] = S_IFLNK };

	return types[kind];
}

/* The same with a looked-up entry; "." and ".." count no lookup (fuse_add_direntry_plus). */
static bool page_add_entry(struct page *page, const char *name, enum inode_type type, const struct cache_child *child,
	const char *path, off_t next)
{
	struct mount *mount = page->pending->mount;
	size_t left = page->pending->size - page->used;
	struct fuse_entry_param entry = { 0 };
	enum kind kind = inodes_kind(mount->inodes, type, path, &child->stat, child->data);
	double keep;

	if (fuse_add_direntry_plus(page->pending->req, NULL, 0, name, &entry, 0) > left)
		return false;
	entry.attr.st_ino = inodes_number(mount->inodes, type, path, &child->stat, child->data);
	entry.attr.st_mode = type_of(kind);
	/* Attributes that may be stale, or that no paged file was told of, are left out: then it is just a name, no lookup. */
	if (page->children->moment != cache_moment(mount->cache) || files_are_paged(mount->files, entry.attr.st_ino)) {
		page->used +=
			fuse_add_direntry_plus(page->pending->req, page->data + page->used, left, name, &entry, next);
		return true;
	}
	entry.ino = inodes_enter(mount->inodes, type, path, &child->stat, child->data);
	if (entry.ino == 0)
		return false;
	if (!buf_append(&page->entered, &entry.ino, sizeof(entry.ino))) {
		inodes_forget(mount->inodes, entry.ino, 1);
		return false;
	}
	keep = attr_fill(mount, entry.ino, type, kind, &child->stat, child->data, child->stat.mtime, &child->access,
		&entry.attr);
	entry.entry_timeout = keep;
	entry.attr_timeout =
		type == INODE_NODE && kind != KIND_DIRECTORY ? keep : 0; /* a directory's times: see node_info */
	page->used += fuse_add_direntry_plus(page->pending->req, page->data + page->used, left, name, &entry, next);
	return true;
}

static bool page_add_node(struct page *page, const char *name, enum inode_type type, const struct cache_child *child,
	const char *path, off_t next)
{
	const struct inodes *inodes = page->pending->mount->inodes;
	struct stat attr = { 0 };

	if (page->with_attributes)
		return page_add_entry(page, name, type, child, path, next);
	attr.st_ino = inodes_number(page->pending->mount->inodes, type, path, &child->stat, child->data);
	attr.st_mode = type_of(inodes_kind(inodes, type, path, &child->stat, child->data));
	return page_add_name(page, name, &attr, next);
}

static bool page_add_dots(struct page *page, off_t place)
{
	const struct stat attr = { .st_ino = page->pending->inode.number, .st_mode = S_IFDIR };
	const char *name = place == PLACE_SELF ? "." : "..";
	struct fuse_entry_param entry = { .attr = attr };
	size_t left = page->pending->size - page->used;
	size_t size;

	if (!page->with_attributes)
		return page_add_name(page, name, &attr, place + 1);
	size = fuse_add_direntry_plus(page->pending->req, page->data + page->used, left, name, &entry, place + 1);
	if (size <= left)
		page->used += size;
	return size <= left;
}

static bool page_add_child(struct page *page, const struct cache_child *child, off_t next)
{
	const char *directory = page->pending->inode.path;
	bool in_root = inode_path_is_root(directory);
	size_t size = strlen(directory) + strlen(child->name) + 2;
	bool fits;
	char *path;

	if (name_escape(child->name, in_root, page->name) < 0)
		return true; /* too long to be a file's name: cannot be shown */
	path = malloc(size);
	if (!path)
		return false;
	(void)snprintf(path, size, "%s/%s", in_root ? "" : directory, child->name);
	fits = page_add_node(page, page->name, INODE_NODE, child, path, next);
	free(path);
	return fits;
}

static bool is_listed(const struct cache_children *children, const char *name)
{
	for (size_t i = 0; i < children->count; i++) {
		if (strcmp(children->list[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A name alone, unless it has been born before the listing. */
static bool page_add_unborn(struct page *page, const char *name, off_t next)
{
	struct fuse_entry_param entry = { .attr = { .st_mode = S_IFREG, .st_ino = UNKNOWN_INODE } };
	size_t left = page->pending->size - page->used;
	size_t size;

	if (is_listed(page->children, name) ||
		name_escape(name, inode_path_is_root(page->pending->inode.path), page->name) < 0)
		return true;
	if (!page->with_attributes)
		return page_add_name(page, page->name, &entry.attr, next);
	size = fuse_add_direntry_plus(page->pending->req, page->data + page->used, left, page->name, &entry, next);
	if (size <= left)
		page->used += size;
	return size <= left;
}

/* Adds what is at the place, counted without gaps. */
static bool page_add(struct page *page, off_t place)
{
	const struct cache_children *children = page->children;
	const struct cache_child data = { .stat = children->stat };
	off_t behind = PLACE_CHILDREN + (off_t)children->count;
	const struct cache_child *child;

	if (place >= behind)
		return page_add_unborn(page, page->directory->unborn[place - behind], place + 1);
	if (place < PLACE_DATA)
		return page_add_dots(page, place);
	if (place == PLACE_DATA)
		return children->stat.data_length == 0 ||
			page_add_node(page, ".data", INODE_DATA, &data, page->pending->inode.path, place + 1);
	child = &children->list[place - PLACE_CHILDREN];
	return page_add_child(page, child,
		page->directory->is_kept ? PLACE_CHILDREN + child->stat.czxid + 1 : place + 1);
}

/* The place to go on from. */
static off_t place_of(const struct directory *directory, const struct cache_children *children, off_t offset)
{
	size_t low = 0, high = children->count;

	if (!directory->is_kept || offset <= PLACE_CHILDREN)
		return offset;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (PLACE_CHILDREN + children->list[middle].stat.czxid < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return PLACE_CHILDREN + (off_t)low;
}

static void page_take_back(struct mount *mount, const struct page *page)
{
	for (size_t at = 0; at < page->entered.size; at += sizeof(fuse_ino_t)) {
		fuse_ino_t number;

		memcpy(&number, page->entered.data + at, sizeof(number));
		inodes_forget(mount->inodes, number, 1);
	}
}

static void reply_page(struct pending *pending, const struct cache_children *children)
{
	struct mount *mount = pending->mount;
	struct page page = { .pending = pending,
		.directory = directory_of(&pending->file),
		.children = children,
		.with_attributes = pending->flag };
	off_t end = PLACE_CHILDREN + (off_t)children->count + page.directory->unborn_count;

	page.data = malloc(pending->size);
	if (!page.data) {
		pending_fail(pending, -ENOMEM);
		return;
	}
	for (off_t place = place_of(page.directory, children, pending->offset); place < end; place++) {
		if (!page_add(&page, place))
			break;
	}
	if (!pending_reply_data(pending, page.data, page.used))
		page_take_back(mount, &page);
	buf_release(&page.entered);
	free(page.data);
}

static void relisted(int error, struct cache_children *children, void *arg)
{
	struct pending *pending = arg;
	struct directory *directory = directory_of(&pending->file);

	if (error) {
		pending_fail(pending, error);
	} else {
		uint64_t print = print_of(children);
		struct cache_children *old;

		pthread_mutex_lock(&directory->lock);
		old = directory->children;
		directory->children = cache_children_get(children);
		directory->print = print;
		pthread_mutex_unlock(&directory->lock);
		cache_children_put(old);
		if (directory->is_kept)
			(void)note_kept(directory->all, directory->number, print, pending->offset == 0);
		reply_page(pending, children);
	}
	directory_put(directory);
}

/* Whether the kernel may add what comes at the offset to what it keeps; then that is noted. */
static bool may_be_kept(struct cache *cache, const struct directory *directory, const struct cache_children *children,
	uint64_t print, off_t offset)
{
	if (offset == 0 && children->moment != cache_moment(cache))
		return false; /* who opens it next relies on its being the newest */
	return note_kept(directory->all, directory->number, print, offset == 0);
}

static void read_directory(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file,
	bool with_attributes)
{
	struct directory *directory = directory_of(file);
	struct pending *pending = pending_start(req);
	struct cache_children *children = NULL;
	uint64_t print = 0;
	int err;

	if (!pending)
		return;
	pending->file.fh = file->fh;
	pending->size = size;
	pending->offset = offset;
	pending->flag = with_attributes;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (err) {
		pending_fail(pending, err);
		return;
	}
	pthread_mutex_lock(&directory->lock);
	if (offset > 0 || !directory->was_read) {
		children = cache_children_get(directory->children);
		print = directory->print;
	}
	directory->was_read = true;
	pthread_mutex_unlock(&directory->lock);
	if (children && directory->is_kept && !may_be_kept(pending->mount->cache, directory, children, print, offset)) {
		cache_children_put(children);
		children = NULL;
	}
	if (children) {
		reply_page(pending, children);
		cache_children_put(children);
		return;
	}
	atomic_fetch_add(&directory->refs, 1); /* rewinddir(3): whoever is interrupted may close it before the answer */
	err = cache_recall_list(pending->mount->cache, pending->inode.path, relisted, pending);
	if (err) {
		pending_fail(pending, err);
		directory_put(directory);
	}
}

/* Replies: buf, error. */
void op_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	read_directory(req, number, size, offset, file, false);
}

/* Replies: buf, error. Each entry but "." and ".." counts as a lookup. */
void op_readdirplus(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	read_directory(req, number, size, offset, file, true);
}

/* Replies: error. */
void op_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	directory_put(directory_of(file));
	(void)fuse_reply_err(req, 0);
}
