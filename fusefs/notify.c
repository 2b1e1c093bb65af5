#include "fusefs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/util/clock.h"
#include "cache/util/log.h"
#include "fusefs/files.h"
#include "fusefs/inode.h"
#include "fusefs/names.h"

/* More changes than this waiting are taken together as "anything may have changed", which costs no more than telling of every
 * inode once. */
enum { QUEUE_MAX = 50000 };

/* A change to tell of, or somebody to call. */
struct item {
	struct item *prev, *next;
	notify_cb *done; /* NULL: a change */
	void *arg;
	enum cache_change change;
	int64_t since; /* ms */
	char path[];
};

struct notify {
	struct inodes *inodes;
	struct fuse_session *session;
	struct files *files;
	pthread_t thread;

	pthread_mutex_t lock; /* a leaf, over the members below */
	pthread_cond_t has_work;
	struct item *queue;
	size_t count;	    /* changes in the queue */
	bool is_busy;	    /* with an item taken from the queue */
	int64_t busy_since; /* ms: when that came there */
	uint64_t done, widened;
	bool is_unsure; /* an item could not be queued: begin with CACHE_UNSURE */
	bool is_running;
	bool is_stopping;
};

struct notify *notify_new(struct inodes *inodes)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (!notify)
		return NULL;
	notify->inodes = inodes;
	pthread_mutex_init(&notify->lock, NULL);
	pthread_cond_init(&notify->has_work, NULL);
	return notify;
}

/* --- From any thread --- */

static struct item *item_new(const char *path)
{
	size_t size = strlen(path) + 1;
	struct item *item = calloc(1, sizeof(*item) + size);

	if (item) {
		memcpy(item->path, path, size);
		item->since = clock_now();
	}
	return item;
}

/* Everything in the queue is covered by "anything may have changed", but for those who are to be called. */
static void widen_locked(struct notify *notify)
{
	struct item *item, *next;

	DL_FOREACH_SAFE (notify->queue, item, next) {
		if (!item->done) {
			DL_DELETE(notify->queue, item);
			free(item);
		}
	}
	notify->count = 0;
	notify->is_unsure = true;
	notify->widened++;
}

static char *parent_path(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (inode_path_is_root(path))
		return NULL;
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* Two things that are told at once, on the stream's thread, so that whoever did them need not wait for ours: to take back attributes
 * alone waits for nothing (fuse_reverse_inval_inode with a negative offset). */

/* What was made here has its entry already, from the request that made it; only its directory's times are stale. False: there
 * is more to tell. */
static bool tell_of_birth_here(struct notify *notify, const char *path)
{
	char *parent = parent_path(path);
	struct inode_at *list = NULL;
	ssize_t count = parent ? inodes_at(notify->inodes, parent, &list) : -ENOMEM;
	bool is_all = count >= 0;

	for (ssize_t i = 0; i < count; i++)
		is_all &= list[i].type == INODE_DATA || list[i].kind == KIND_DIRECTORY;
	for (ssize_t i = 0; is_all && i < count; i++)
		(void)fuse_lowlevel_notify_inval_inode(notify->session, list[i].number, -1, 0);
	if (count > 0)
		free(list);
	free(parent);
	return is_all;
}

/* Data that cannot make a link of a file, nor, where there was none, a file of a link, leaves the name as it is; and where nobody
 * has the page cache's pages open there are none to take back. False: there is more to tell. */
static bool tell_of_plain_data(struct notify *notify, const char *path)
{
	struct inode_at *list;
	ssize_t count = inodes_at(notify->inodes, path, &list);
	bool is_all = count >= 0;

	for (ssize_t i = 0; i < count; i++)
		is_all &= list[i].kind == KIND_FILE && list[i].type == INODE_NODE &&
			!files_are_paged(notify->files, list[i].number);
	for (ssize_t i = 0; is_all && i < count; i++) {
		files_changed(notify->files, list[i].number);
		(void)fuse_lowlevel_notify_inval_inode(notify->session, list[i].number, -1, 0);
		files_wake_polls(notify->files, list[i].number);
	}
	if (count > 0)
		free(list);
	return is_all;
}

static bool is_running(struct notify *notify)
{
	bool is_running;

	pthread_mutex_lock(&notify->lock);
	is_running = notify->is_running;
	pthread_mutex_unlock(&notify->lock);
	return is_running;
}

void notify_changed(enum cache_change change, const char *path, void *arg)
{
	struct notify *notify = arg;
	struct item *item;

	if (change == CACHE_CREATED_HERE && is_running(notify) && tell_of_birth_here(notify, path))
		return;
	if (change == CACHE_CHANGED_PLAIN && is_running(notify) && tell_of_plain_data(notify, path))
		return;
	item = item_new(path);
	if (change == CACHE_DELETED)
		inodes_died(notify->inodes, path);
	if (item)
		item->change = change;
	pthread_mutex_lock(&notify->lock);
	if (!notify->is_running) {
		free(item);
	} else if (item && notify->count < QUEUE_MAX && change != CACHE_UNSURE) {
		DL_APPEND(notify->queue, item);
		notify->count++;
	} else {
		free(item);
		widen_locked(notify);
	}
	pthread_cond_signal(&notify->has_work);
	pthread_mutex_unlock(&notify->lock);
}

void notify_after(struct notify *notify, notify_cb *done, void *arg)
{
	struct item *item = NULL;
	bool must_wait;

	pthread_mutex_lock(&notify->lock);
	must_wait = notify->is_running && (notify->queue || notify->is_busy || notify->is_unsure);
	if (must_wait)
		item = item_new("");
	if (item) {
		item->done = done;
		item->arg = arg;
		DL_APPEND(notify->queue, item);
	}
	pthread_mutex_unlock(&notify->lock);
	if (!item) /* without memory to wait, the answer is right and only what follows may trail */
		done(arg);
}

void notify_look(struct notify *notify, struct queue_view *view)
{
	int64_t now = clock_now();
	const struct item *item;
	int64_t since = now;

	*view = (struct queue_view){ 0 };
	pthread_mutex_lock(&notify->lock);
	DL_COUNT(notify->queue, item, view->depth);
	if (notify->queue)
		since = notify->queue->since;
	if (notify->is_busy) {
		view->depth++;
		since = notify->busy_since;
	}
	view->done = notify->done;
	view->lost = notify->widened;
	pthread_mutex_unlock(&notify->lock);
	view->lag = now > since ? (uint64_t)(now - since) : 0;
}

/* --- Telling the kernel --- */

/* Errors are expected here: the kernel may have forgotten the inode or the name, or be unmounting. */

/* The kernel looks the name up again before it believes it. (To take it out altogether would also hit a successor: the call waits
 * for the directory's lock, perhaps until somebody has made one.) */
static void expire_entry(struct notify *notify, fuse_ino_t directory, const char *name)
{
	static _Atomic(bool) has_no_expire;

	if (!has_no_expire &&
		fuse_lowlevel_notify_expire_entry(notify->session, directory, name, strlen(name),
			FUSE_LL_EXPIRE_ONLY) != -ENOSYS)
		return;
	has_no_expire = true; /* Linux before 6.2 */
	(void)fuse_lowlevel_notify_inval_entry(notify->session, directory, name, strlen(name));
}

/* Attributes and pages. */
static void expire_inode(struct notify *notify, fuse_ino_t number)
{
	(void)fuse_lowlevel_notify_inval_inode(notify->session, number, 0, 0);
}

static void expire_contents(struct notify *notify, fuse_ino_t number)
{
	files_changed(notify->files, number);
	expire_inode(notify, number);
	files_wake_polls(notify->files, number);
}

static void expire_inodes(struct notify *notify, const char *path)
{
	struct inode_at *list;
	ssize_t count = inodes_at(notify->inodes, path, &list);

	for (ssize_t i = 0; i < count; i++)
		expire_inode(notify, list[i].number);
	if (count > 0)
		free(list);
}

/* The path's name in whatever inodes its parent has, and the attributes of its own inodes. */
static void tell_of(struct notify *notify, const char *path)
{
	char *parent = parent_path(path);
	char name[NAMES_MAX + 1];
	struct inode_at *list;
	ssize_t count = parent ? inodes_at(notify->inodes, parent, &list) : 0;

	for (ssize_t i = 0; i < count; i++) {
		if (list[i].type == INODE_NODE && list[i].kind == KIND_DIRECTORY &&
			name_escape(strrchr(path, '/') + 1, inode_path_is_root(parent), name) > 0)
			expire_entry(notify, list[i].number, name);
	}
	if (count > 0)
		free(list);
	free(parent);
	count = inodes_at(notify->inodes, path, &list);
	for (ssize_t i = 0; i < count; i++) {
		if (list[i].type == INODE_NODE && list[i].kind == KIND_DIRECTORY)
			expire_entry(notify, list[i].number, ".data");
		expire_contents(notify, list[i].number);
	}
	if (count > 0)
		free(list);
}

/* Names stay: whoever uses one has its inode's attributes checked first, and a name that is gone is looked up again then. To take
 * them back would mean to wait for lookups, which without a server take long, and to let every other lookup wait behind. */
static void tell_of_all(struct notify *notify)
{
	char **paths;
	ssize_t count = inodes_paths(notify->inodes, &paths);

	files_changed(notify->files, 0);
	for (ssize_t i = 0; i < count; i++) {
		expire_inodes(notify, paths[i]);
		free(paths[i]);
	}
	if (count >= 0)
		free(paths);
	files_wake_polls(notify->files, 0);
}

/* A child was born or died: the times change; and a file has become a directory, once and for good. */
static void tell_of_parent(struct notify *notify, const char *path)
{
	struct inode_at *list;
	ssize_t count = inodes_at(notify->inodes, path, &list);
	bool was_file = false;

	for (ssize_t i = 0; i < count; i++) {
		was_file |= list[i].type == INODE_NODE && list[i].kind != KIND_DIRECTORY;
		expire_inode(notify, list[i].number);
	}
	if (count > 0)
		free(list);
	if (was_file)
		tell_of(notify, path);
}

static void tell(struct notify *notify, const struct item *item)
{
	char *parent;

	tell_of(notify,
		item->path); /* the name too: data may make a link of a file, and readlink(2) does not ask then */
	if (item->change == CACHE_CHANGED || item->change == CACHE_CHANGED_PLAIN)
		return;
	parent = parent_path(item->path);
	if (parent)
		tell_of_parent(notify, parent);
	free(parent);
}

/* --- The thread --- */

static void work(struct notify *notify, struct item *item, bool is_unsure)
{
	if (is_unsure)
		tell_of_all(notify);
	if (item && item->done)
		item->done(item->arg);
	else if (item)
		tell(notify, item);
	free(item);
}

static void *run(void *arg)
{
	struct notify *notify = arg;

	pthread_mutex_lock(&notify->lock);
	while (!notify->is_stopping) {
		struct item *item = notify->queue;
		bool is_unsure = notify->is_unsure;

		if (!item && !is_unsure) {
			(void)pthread_cond_wait(&notify->has_work, &notify->lock);
			continue;
		}
		if (item) {
			DL_DELETE(notify->queue, item);
			notify->count -= item->done ? 0 : 1;
			notify->busy_since = item->since;
		} else {
			notify->busy_since = clock_now();
		}
		notify->is_unsure = false;
		notify->is_busy = true;
		pthread_mutex_unlock(&notify->lock);
		work(notify, item, is_unsure);
		pthread_mutex_lock(&notify->lock);
		notify->is_busy = false;
		notify->done++;
	}
	pthread_mutex_unlock(&notify->lock);
	return NULL;
}

int notify_start(struct notify *notify, struct fuse_session *session, struct files *files)
{
	int err;

	notify->session = session;
	notify->files = files;
	err = pthread_create(&notify->thread, NULL, run, notify);
	pthread_mutex_lock(&notify->lock);
	notify->is_running = !err;
	pthread_mutex_unlock(&notify->lock);
	return -err;
}

void notify_stop(struct notify *notify)
{
	struct item *queue, *item, *next;
	bool was_running;

	pthread_mutex_lock(&notify->lock);
	was_running = notify->is_running;
	notify->is_running = false;
	notify->is_stopping = true;
	pthread_cond_signal(&notify->has_work);
	pthread_mutex_unlock(&notify->lock);
	if (!was_running)
		return;
	(void)pthread_join(notify->thread, NULL);
	pthread_mutex_lock(&notify->lock);
	queue = notify->queue;
	notify->queue = NULL;
	pthread_mutex_unlock(&notify->lock);
	DL_FOREACH_SAFE (queue, item, next) {
		DL_DELETE(queue, item);
		if (item->done)
			item->done(item->arg);
		free(item);
	}
}

void notify_free(struct notify *notify)
{
	if (!notify)
		return;
	pthread_cond_destroy(&notify->has_work);
	pthread_mutex_destroy(&notify->lock);
	free(notify);
}
