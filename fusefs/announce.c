#include "fusefs/announce.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "cache/lock.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"
#include "fusefs/files.h"
#include "fusefs/inode.h"
#include "fusefs/names.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/readonly.h"
#include "fusefs/survey.h"

enum {
	BATCH_MAX = 64,	     /* announcements while the root is open */
	QUEUE_MAX = 1 << 18, /* announcements waiting; beyond, they are lost, and the log says so */
	TRIES = 5,	     /* until the kernel asks us, while others look the name up */
};

/* Something to announce. */
struct item {
	struct item *prev, *next;
	struct announce *announce;
	enum cache_change change;
	bool is_read; /* under announce->lock, as the next two: the cache has answered */
	int error;
	struct node_info info; /* of the znode now */
	enum kind kind;	       /* CACHE_DELETED: of what died, as far as is known */
	int64_t again;	       /* CACHE_CREATED: the czxid of what was made here and told of too early; 0: it was not */
	int64_t from; /* CACHE_UNSURE: a gap, to be looked into; -1: no event of what was found in one is still to come */
	int64_t since;		/* ms */
	bool is_state;		/* ".zkfs/state" has changed */
	struct inode_news news; /* not of a gap or the state, as the next */
	char *path;		/* as it was when the thread began with it; only the thread uses it */
};

/* A birth or death that was found after a gap and told. It may have been after the gap: then its event is still to come. */
struct found {
	UT_hash_handle hh;
	enum cache_change change;
	char path[];
};

/* What the thread's next requests are about. */
enum phase { PHASE_IDLE, PHASE_MAKING, PHASE_REMOVING, PHASE_TOUCHING };

struct announce {
	struct mount *mount;
	pthread_t thread;
	_Atomic(bool) is_stopping; /* set under lock */
	_Atomic(pid_t) tid;	   /* 0: the thread does not run */
	dev_t device;		   /* the thread's own, as the next: the mount's */
	struct found *found;	   /* as are these */
	int64_t missed;		   /* where the gap begins that could not be looked into; 0: there is none */

	pthread_mutex_t lock; /* a leaf, over the members below */
	pthread_cond_t news;
	pthread_cond_t unused; /* users is 0 */
	struct item *queue;
	size_t count; /* of those in it, and of those that the kernel does not know of yet */
	bool is_running;
	bool has_overflowed; /* and the log says so */
	bool is_busy;
	int64_t busy_since; /* ms: when what it is busy with came there */
	uint64_t done, lost;
	enum phase phase;
	const struct item *item;
	unsigned users; /* requests at work with item, even if the kernel has given them up (umount -f) */
	enum kind kind; /* of what is made */
	bool was_looked_up;
	bool was_done;
	int64_t successor; /* what stands where something is removed, if the kernel has told of it; as struct item's again */
};

struct announce *announce_new(struct mount *mount)
{
	struct announce *announce = calloc(1, sizeof(*announce));

	if (!announce)
		return NULL;
	announce->mount = mount;
	pthread_mutex_init(&announce->lock, NULL);
	pthread_cond_init(&announce->news, NULL);
	pthread_cond_init(&announce->unused, NULL);
	return announce;
}

/* --- From any thread: what is to be announced --- */

/* path: NULL for what is of none. NULL: no memory. */
static struct item *item_new(struct announce *announce, enum cache_change change, const char *path)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->announce = announce;
	item->since = clock_now();
	item->change = change;
	item->kind = KIND_FILE;
	if (!path ||
		inodes_expect(announce->mount->inodes, &item->news, path, change == CACHE_CREATED,
			change == CACHE_DELETED))
		return item;
	free(item);
	return NULL;
}

static void item_free(struct item *item)
{
	inodes_told(item->announce->mount->inodes, &item->news);
	node_info_release(&item->info);
	free(item->path);
	free(item);
}

/* The kernel knows of the change. */
static void push(void *arg)
{
	struct item *item = arg;
	struct announce *announce = item->announce;

	pthread_mutex_lock(&announce->lock);
	DL_APPEND(announce->queue, item);
	pthread_cond_signal(&announce->news);
	pthread_mutex_unlock(&announce->lock);
}

static void item_read(int error, const struct node_info *info, void *arg)
{
	struct item *item = arg;
	struct announce *announce = item->announce;

	pthread_mutex_lock(&announce->lock);
	item->is_read = true;
	item->error = error;
	if (info)
		node_info_copy(&item->info, info);
	pthread_cond_signal(&announce->news);
	pthread_mutex_unlock(&announce->lock);
}

/* Counts one more. */
static bool may_queue(struct announce *announce)
{
	bool may, complains;

	pthread_mutex_lock(&announce->lock);
	may = announce->is_running && announce->count < QUEUE_MAX;
	complains = announce->is_running && !may && !announce->has_overflowed;
	announce->has_overflowed |= complains;
	announce->lost += announce->is_running && !may ? 1 : 0;
	announce->count += may ? 1 : 0;
	pthread_mutex_unlock(&announce->lock);
	if (complains)
		log_warning("changes come faster than they can be announced: inotify will miss some");
	return may;
}

/* Puts it into the queue, which has counted it. */
static void enqueue(struct item *item)
{
	notify_after(item->announce->mount->notify, push, item);
}

/* NULL: there is no memory, or no room for more. */
static struct item *item_counted(struct announce *announce, enum cache_change change, const char *path)
{
	struct item *item;

	if (!may_queue(announce))
		return NULL;
	item = item_new(announce, change, path);
	if (!item) {
		pthread_mutex_lock(&announce->lock);
		announce->count--;
		pthread_mutex_unlock(&announce->lock);
	}
	return item;
}

static void enqueue_death(struct announce *announce, const char *path)
{
	struct item *item = item_counted(announce, CACHE_DELETED, path);

	if (!item)
		return;
	inodes_mourn(announce->mount->inodes, path, &item->kind);
	item->is_read = true;
	enqueue(item);
}

/* What it looks like is asked for at once, and so many at a time. */
static void enqueue_change(struct announce *announce, enum cache_change change, const char *path, int64_t again)
{
	struct item *item = item_counted(announce, change, path);
	int err;

	if (!item)
		return;
	item->again = again;
	err = cache_read(announce->mount->cache, path, item_read, item);
	if (err)
		item_read(err, NULL, item);
	enqueue(item);
}

static char *parent_path(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* Whether anybody can watch the directory: not one that was announced itself, and that nobody has looked up since. */
static bool is_seen(struct announce *announce, const char *path)
{
	struct inode_at *list;
	ssize_t count = inodes_at(announce->mount->inodes, path, &list);
	bool is_seen = false;

	for (ssize_t i = 0; i < count; i++)
		is_seen |= list[i].is_seen;
	if (count > 0)
		free(list);
	return is_seen;
}

/* Of a znode in a directory that somebody may watch. */
/* What locks are made of is nobody's file, and comes and goes with each. (No listing has the one.) */
static bool is_of_locks(const char *path)
{
	return strcmp(path, LOCK_ROOT) == 0 || lock_is_in_directory(strrchr(path, '/') + 1);
}

static void announce_child(struct announce *announce, enum cache_change change, const char *parent, const char *path)
{
	struct inodes *inodes = announce->mount->inodes;

	if (change == CACHE_DELETED) {
		enqueue_death(announce, path);
		return;
	}
	if (change == CACHE_CREATED && inodes_mourn_kind(inodes, parent, KIND_DIRECTORY)) {
		enqueue_death(announce, parent); /* a file before its first child was born */
		enqueue_change(announce, CACHE_CREATED, parent, 0);
	}
	if (change == CACHE_CREATED && inodes_foretold(inodes, path))
		change = CACHE_CHANGED;
	enqueue_change(announce, change == CACHE_CHANGED_PLAIN ? CACHE_CHANGED : change, path, 0);
}

void announce_foreign(enum cache_change change, const char *path, void *arg)
{
	struct announce *announce = arg;
	char *parent;

	if (inode_path_is_root(path)) {
		if (change == CACHE_CHANGED || change == CACHE_CHANGED_PLAIN)
			enqueue_change(announce, CACHE_CHANGED, path,
				0); /* its data; it has no name to be told of otherwise */
		return;
	}
	if (is_of_locks(path))
		return;
	parent = parent_path(path);
	if (parent && is_seen(announce, parent))
		announce_child(announce, change, parent, path);
	free(parent);
}

void announce_resumed(int64_t from, void *arg)
{
	struct item *item = item_counted(arg, CACHE_UNSURE, NULL);

	if (!item)
		return;
	item->is_read = true;
	item->from = from;
	enqueue(item);
}

void announce_state(struct announce *announce)
{
	struct item *item = announce ? item_counted(announce, CACHE_CHANGED, NULL) : NULL;

	if (!item)
		return;
	item->is_state = true;
	item->is_read = true;
	/* Ahead of what may have to wait for a server. */
	pthread_mutex_lock(&announce->lock);
	DL_PREPEND(announce->queue, item);
	pthread_cond_signal(&announce->news);
	pthread_mutex_unlock(&announce->lock);
}

void announce_look(struct announce *announce, struct queue_view *view)
{
	int64_t now = clock_now();
	int64_t since = now;

	*view = (struct queue_view){ 0 };
	if (!announce)
		return;
	pthread_mutex_lock(&announce->lock);
	view->depth = announce->count + announce->is_busy;
	if (announce->queue)
		since = announce->queue->since;
	if (announce->is_busy)
		since = announce->busy_since;
	view->done = announce->done;
	view->lost = announce->lost;
	pthread_mutex_unlock(&announce->lock);
	view->lag = now > since ? (uint64_t)(now - since) : 0;
}

/* --- The requests that come of it, on libfuse's threads --- */

static struct announce *announce_of(fuse_req_t req)
{
	const struct mount *mount = fuse_req_userdata(req);

	return mount->announce;
}

bool announce_is_thread(struct announce *announce, pid_t thread)
{
	pid_t tid = announce ? atomic_load(&announce->tid) : 0;

	return tid && thread == tid;
}

bool announce_is_caller(fuse_req_t req)
{
	return announce_is_thread(announce_of(req), fuse_req_ctx(req)->pid);
}

/* The request has no use for the item any more. */
static void let_go(struct announce *announce)
{
	pthread_mutex_lock(&announce->lock);
	if (--announce->users == 0)
		pthread_cond_signal(&announce->unused);
	pthread_mutex_unlock(&announce->lock);
}

/* Whether a request names what is being announced, or, as INODE_DATA, its data. *path is then the znode's, or another's; the
 * caller frees it. If so the thread keeps the item until let_go. */
static bool names_item(fuse_req_t req, fuse_ino_t parent, const char *name, enum inode_type type, char **path)
{
	struct announce *announce = announce_of(req);
	struct inodes *inodes = announce->mount->inodes;
	const struct item *item;
	enum inode_type named;
	bool is_it;

	if (inodes_child_of_dead(inodes, parent, name, &named, path) < 0 || named != type) {
		free(*path);
		*path = NULL;
		return false;
	}
	pthread_mutex_lock(&announce->lock);
	item = announce->item;
	announce->users += item ? 1 : 0;
	pthread_mutex_unlock(&announce->lock);
	is_it = item && inodes_news_is_at(inodes, &item->news, *path);
	if (item && !is_it)
		let_go(announce);
	return is_it;
}

static void reply_dead(fuse_req_t req, fuse_ino_t number, enum kind kind)
{
	struct mount *mount = fuse_req_userdata(req);
	const struct node_stat gone = { 0 };
	struct fuse_entry_param entry = { .ino = number };

	(void)attr_fill(mount, number, INODE_NODE, kind, &gone, NULL, 0, NULL, &entry.attr);
	if (fuse_reply_entry(req, &entry) < 0)
		inodes_forget(mount->inodes, number, 1);
}

/* A directory's ".data" is there for whoever tells of its change, even if that was its end. */
static bool lookup_data(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct announce *announce = announce_of(req);
	struct mount *mount = announce->mount;
	struct fuse_entry_param entry = { 0 };
	struct node_stat stat;
	char *path;

	if (names_item(req, parent, name, INODE_DATA, &path)) {
		bool is_touched;

		pthread_mutex_lock(&announce->lock);
		is_touched = announce->phase == PHASE_TOUCHING;
		stat = announce->item->info.stat;
		pthread_mutex_unlock(&announce->lock);
		if (is_touched)
			entry.ino = inodes_enter(mount->inodes, INODE_DATA, path, &stat, NULL);
		let_go(announce);
	}
	free(path);
	if (!entry.ino)
		return false;
	(void)attr_fill(mount, entry.ino, INODE_DATA, KIND_FILE, &stat, NULL, 0, NULL, &entry.attr);
	if (fuse_reply_entry(req, &entry) < 0)
		inodes_forget(mount->inodes, entry.ino, 1);
	return true;
}

bool announce_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct announce *announce;
	enum phase phase = PHASE_IDLE;
	fuse_ino_t dead = 0;
	enum kind kind = KIND_FILE;
	char *path;

	if (!announce_is_caller(req))
		return false;
	if (lookup_data(req, parent, name))
		return true;
	announce = announce_of(req);
	if (names_item(req, parent, name, INODE_NODE, &path)) {
		int64_t successor = inodes_made_here(announce->mount->inodes, path); /* the kernel will forget it */

		pthread_mutex_lock(&announce->lock);
		phase = announce->phase;
		announce->was_looked_up = true;
		if (successor)
			announce->successor = successor;
		pthread_mutex_unlock(&announce->lock);
		let_go(announce);
	}
	/* On the way there, too, it goes through what is dead and not announced yet. */
	if (path && phase != PHASE_MAKING)
		dead = inodes_mourned(announce->mount->inodes, path, &kind);
	free(path);
	if (phase == PHASE_MAKING)
		(void)fuse_reply_err(req, ENOENT);
	else if (dead)
		reply_dead(req, dead, kind);
	return phase == PHASE_MAKING || dead;
}

/* What the znode is now; or what it may have been, if it is gone. Not to be kept by the kernel: it is as old as the announcement is
 * late. 0: no memory. */
static fuse_ino_t enter_made(struct mount *mount, const struct item *item, enum kind kind, const char *path,
	struct stat *attr)
{
	struct node_stat stat = item->info.stat;
	fuse_ino_t number;

	if (item->again && item->error) {
		number = inodes_unborn(mount->inodes, path, true);
		if (number)
			(void)files_last_stat(mount->files, number, &stat);
	} else if (item->error) {
		number = inodes_enter_dead(mount->inodes, path, kind);
	} else {
		number = inodes_enter_announced(mount->inodes, path, &stat, item->info.data);
	}
	if (!number)
		return 0;
	(void)attr_fill(mount, number, INODE_NODE, kind, &stat, item->info.data, item->info.changed, &item->info.access,
		attr);
	return number;
}

bool announce_make(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { 0 };
	struct announce *announce;
	bool is_it = false;
	char *path;

	if (!announce_is_caller(req))
		return false;
	announce = announce_of(req);
	if (names_item(req, parent, name, INODE_NODE, &path)) {
		const struct item *item;
		enum kind kind;

		pthread_mutex_lock(&announce->lock);
		is_it = announce->phase == PHASE_MAKING;
		item = announce->item;
		kind = announce->kind;
		pthread_mutex_unlock(&announce->lock);
		if (is_it)
			entry.ino = enter_made(announce->mount, item, kind, path, &entry.attr);
		let_go(announce);
	}
	free(path);
	pthread_mutex_lock(&announce->lock);
	announce->was_done |= entry.ino != 0;
	pthread_mutex_unlock(&announce->lock);
	if (!entry.ino)
		(void)fuse_reply_err(req, is_it ? ENOMEM : ESTALE);
	else if (fuse_reply_entry(req, &entry) < 0)
		inodes_forget(announce->mount->inodes, entry.ino, 1);
	return true;
}

bool announce_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct announce *announce;
	bool is_it = false;
	char *path;

	if (!announce_is_caller(req))
		return false;
	announce = announce_of(req);
	if (names_item(req, parent, name, INODE_NODE, &path)) {
		pthread_mutex_lock(&announce->lock);
		/* Without a LOOKUP it may be the successor's entry; the kernel then comes back with one (retry_estale). */
		is_it = announce->phase == PHASE_REMOVING && announce->was_looked_up;
		announce->was_done |= is_it;
		pthread_mutex_unlock(&announce->lock);
		let_go(announce);
	}
	free(path);
	(void)fuse_reply_err(req, is_it ? 0 : ESTALE);
	return true;
}

bool announce_open(fuse_req_t req, struct fuse_file_info *info)
{
	if (!announce_is_caller(req))
		return false;
	info->fh = 0;
	info->direct_io = true;
	info->keep_cache = true;
	info->noflush = true;
	(void)fuse_reply_open(req, info);
	return true;
}

/* --- The system calls --- */

/* What the thread has open in a batch. */
struct place {
	int root;
	int parent; /* of the znode last announced, at parent_path; -1: none */
	char *parent_path;
};

static void begin(struct announce *announce, enum phase phase, const struct item *item, enum kind kind)
{
	pthread_mutex_lock(&announce->lock);
	announce->phase = phase;
	announce->item = item;
	announce->kind = kind;
	announce->was_looked_up = announce->was_done = false;
	pthread_mutex_unlock(&announce->lock);
}

static bool end(struct announce *announce)
{
	bool was_done;

	pthread_mutex_lock(&announce->lock);
	announce->phase = PHASE_IDLE;
	while (announce->users > 0)
		(void)pthread_cond_wait(&announce->unused, &announce->lock);
	announce->item = NULL;
	was_done = announce->was_done;
	pthread_mutex_unlock(&announce->lock);
	return was_done;
}

/* The path from the mount's root of the znode at this path; NULL: it has none, or no memory. */
static char *mount_path(const char *path)
{
	struct buf out = BUF_INIT;
	char name[NAMES_MAX + 1];
	bool in_root = true;

	(void)buf_append(&out, ".", 1);
	while (*path) {
		size_t size = strcspn(path + 1, "/");
		char *node = strndup(path + 1, size);
		int length = node && size ? name_escape(node, in_root, name) : -EINVAL;

		free(node);
		if (length < 0 && size) {
			buf_release(&out);
			return NULL;
		}
		if (size) {
			(void)buf_append(&out, "/", 1);
			(void)buf_append(&out, name, (size_t)length);
		}
		in_root = false;
		path += 1 + size;
	}
	(void)buf_append(&out, "", 1);
	if (out.failed)
		buf_release(&out);
	return out.data;
}

static void leave_parent(struct place *place)
{
	if (place->parent >= 0)
		(void)close(place->parent);
	free(place->parent_path);
	place->parent = -1;
	place->parent_path = NULL;
}

/* A directory of ours; -1: it is not there any more, or something else is mounted on the way. */
static int open_ours(const struct place *place, const char *name)
{
	const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };

	return (int)syscall(SYS_openat2, place->root, name, &how, sizeof(how));
}

/* The same for that of a znode. */
static int open_directory(const struct place *place, const char *path)
{
	char *name = mount_path(path);
	int fd = name ? open_ours(place, name) : -1;

	free(name);
	return fd;
}

static bool enter_parent(struct place *place, const char *path)
{
	char *parent = parent_path(path);

	if (parent && place->parent >= 0 && strcmp(parent, place->parent_path) == 0) {
		free(parent);
		return true;
	}
	leave_parent(place);
	place->parent = parent ? open_directory(place, parent) : -1;
	place->parent_path = parent;
	return place->parent >= 0;
}

/* The kernel asks us again before it believes the name. */
static void expire(struct announce *announce, const struct item *item, const char *name)
{
	char *parent = parent_path(item->path);
	struct inode_at *list = NULL;
	ssize_t count = parent ? inodes_at(announce->mount->inodes, parent, &list) : 0;

	for (ssize_t i = 0; i < count; i++) {
		if (list[i].type == INODE_NODE && list[i].kind == KIND_DIRECTORY)
			(void)fuse_lowlevel_notify_expire_entry(announce->mount->session, list[i].number, name,
				strlen(name), FUSE_LL_EXPIRE_ONLY);
	}
	if (count > 0)
		free(list);
	free(parent);
}

/* Mtime alone is a modification to inotify (fsnotify_change). */
static const struct timespec modified[] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

/* False: the file cannot be opened. */
static bool tell_changed(int directory, const char *name)
{
	int fd = openat(directory, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	(void)futimens(fd, modified);
	(void)close(fd);
	return true;
}

static int make(int directory, const char *name, const struct item *item, enum kind kind)
{
	static const char form[] = "-"; /* what the link says is what READLINK tells */

	if (kind == KIND_DIRECTORY)
		return mkdirat(directory, name, 0755);
	if (kind == KIND_SYMLINK)
		return symlinkat(form, directory, name);
	(void)item;
	return mknodat(directory, name, S_IFREG | 0644, 0);
}

/* Whether nobody is to hear of it any more: it was removed here, and the kernel has told of that. */
static bool is_late(const struct item *item)
{
	struct inodes *inodes = item->announce->mount->inodes;

	if (item->again && item->error)
		return !inodes_unborn(inodes, item->path, false);
	if (item->again && item->again != INODE_UNBORN && item->info.stat.czxid != item->again)
		return true;
	return inodes_news_is_late(inodes, &item->news, item->error ? 0 : item->info.stat.czxid);
}

static void announce_birth(struct announce *announce, struct place *place, const struct item *item, const char *name)
{
	enum kind kind = KIND_FILE;
	int err = -1;

	if (is_late(item))
		return;
	if (!item->error)
		kind = inodes_kind(announce->mount->inodes, INODE_NODE, item->path, &item->info.stat, item->info.data);
	begin(announce, PHASE_MAKING, item, kind);
	for (int i = 0; err && i < TRIES; i++) {
		if (i > 0)
			expire(announce, item, name);
		err = make(place->parent, name, item, kind);
		if (err && errno != EEXIST && errno != ESTALE)
			break;
	}
	(void)end(announce);
	if (!err)
		inodes_kind_told(announce->mount->inodes, &item->news, kind);
	if (!err && kind == KIND_FILE && item->info.stat.data_length > 0 && !item->again)
		(void)tell_changed(place->parent, name);
}

static void announce_death(struct announce *announce, struct place *place, const struct item *item, const char *name)
{
	struct inodes *inodes = announce->mount->inodes;
	enum kind kind = KIND_FILE;
	bool was_done = false;
	fuse_ino_t dying;

	inodes_mourn_announced(inodes, item->path); /* it may have died before it was announced */
	dying = inodes_mourned(inodes, item->path, &kind);
	if (!dying)
		dying = inodes_enter_dead(inodes, item->path, kind = item->kind);
	if (!dying)
		return;
	announce->successor = 0;
	for (int i = 0; !was_done && i < TRIES; i++) {
		int err;

		begin(announce, PHASE_REMOVING, item, kind);
		if (i > 0)
			expire(announce, item, name);
		err = unlinkat(place->parent, name, kind == KIND_DIRECTORY ? AT_REMOVEDIR : 0);
		was_done = end(announce);
		/* It is a directory, or none: a successor. */
		if (err && errno != ENOENT && errno != ESTALE && errno != EISDIR && errno != ENOTDIR)
			break;
	}
	inodes_death_told(inodes, dying);
	inodes_forget(inodes, dying, 1);
	/* What was made here at the same name was told of by the kernel, too early; so that all ends well it is told of again. */
	if (announce->successor)
		enqueue_change(announce, CACHE_CREATED, item->path, announce->successor);
	if (kind == KIND_DIRECTORY)
		leave_parent(place); /* it may have been this one */
}

/* Whether it was known as something else before its data changed, which is to be announced as that one's death then. */
static bool has_other_kind(struct item *item, enum kind now)
{
	struct inodes *inodes = item->announce->mount->inodes;
	bool was_other = inodes_news_kind(inodes, &item->news, &item->kind) && item->kind != now;

	if (inode_path_is_root(item->path))
		return false;
	was_other |= inodes_mourn_kind(inodes, item->path, now);
	inodes_kind_told(inodes, &item->news, now);
	return was_other;
}

static void announce_data(struct announce *announce, struct place *place, struct item *item, const char *name)
{
	struct inodes *inodes = announce->mount->inodes;
	enum kind kind = KIND_FILE;
	fuse_ino_t dead;
	int directory;

	if (item->error) { /* it has died since: the last change is told all the same */
		inodes_mourn_announced(inodes, item->path);
		dead = inodes_mourned(inodes, item->path, &kind);
		if (dead && kind == KIND_FILE)
			(void)tell_changed(place->parent, name);
		if (dead)
			inodes_forget(inodes, dead, 1);
		return;
	}
	kind = inodes_kind(inodes, INODE_NODE, item->path, &item->info.stat, item->info.data);
	if (has_other_kind(item, kind)) { /* it has become something else */
		announce_death(announce, place, item, name);
		if (enter_parent(place, item->path))
			announce_birth(announce, place, item, name);
	} else if (kind == KIND_DIRECTORY) {
		directory = open_directory(place, item->path);
		if (directory >= 0) {
			begin(announce, PHASE_TOUCHING, item, kind);
			(void)tell_changed(directory, ".data");
			(void)end(announce);
			(void)close(directory);
		}
	} else if (kind == KIND_FILE) {
		(void)tell_changed(place->parent, name);
	} else {
		(void)utimensat(place->parent, name, modified, AT_SYMLINK_NOFOLLOW);
	}
}

static void forget_found(struct announce *announce, struct found *found)
{
	HASH_DEL(announce->found, found);
	free(found);
}

static void forget_all_found(struct announce *announce)
{
	struct found *found = announce->found;
	struct found *next;

	HASH_CLEAR(hh, announce->found); /* those in it stay in a row */
	for (; found; found = next) {
		next = found->hh.next;
		free(found);
	}
}

static struct found *find_found(struct announce *announce, const char *path)
{
	struct found *found;

	HASH_FIND_STR(announce->found, path, found);
	return found;
}

static void note_found(struct announce *announce, enum cache_change change, const char *path)
{
	size_t size = strlen(path) + 1;
	struct found *found = find_found(announce, path);

	if (!found) {
		found = calloc(1, sizeof(*found) + size);
		if (!found)
			return;
		memcpy(found->path, path, size);
		HASH_ADD_KEYPTR(hh, announce->found, found->path, size - 1, found);
	}
	found->change = change;
}

/* Whether this event is of something that was found and told already. */
static bool was_told(struct announce *announce, const struct item *item)
{
	struct inodes *inodes = announce->mount->inodes;
	char *path = announce->found && !item->is_state ? inodes_news_path(inodes, &item->news) : NULL;
	struct found *found = path ? find_found(announce, path) : NULL;
	fuse_ino_t dying = 0;
	enum kind kind;
	bool is_same;

	bool was_told = false;

	if (found && (item->change == CACHE_DELETED || item->change == CACHE_CREATED)) {
		is_same = found->change == item->change;
		forget_found(announce, found);
		if (is_same && item->change == CACHE_DELETED)
			dying = inodes_mourned(inodes, path, &kind); /* it was made anew here */
		if (dying)
			inodes_forget(inodes, dying, 1);
		was_told = is_same && !dying;
	}
	free(path);
	return was_told;
}

/* Where the file may not be opened for writing (allow_other, not root), its time is set by its name. */
static void announce_new_state(const struct place *place)
{
	int directory = open_ours(place, ".zkfs");

	if (directory < 0)
		return;
	if (!tell_changed(directory, "state"))
		(void)utimensat(directory, "state", modified, AT_SYMLINK_NOFOLLOW);
	(void)close(directory);
}

/* False: its directory is not there any more. */
static bool enter_place(struct place *place, struct item *item)
{
	bool was_same;

	do {
		char *path = inodes_news_path(item->announce->mount->inodes, &item->news);

		was_same = path && item->path && strcmp(path, item->path) == 0;
		free(item->path);
		item->path = path;
		if (path && (inode_path_is_root(path) || enter_parent(place, path)))
			return true;
	} while (item->path && !was_same); /* its directory may have been moved meanwhile */
	return false;
}

/* Nobody can be told. */
static void drop_death(const struct item *item)
{
	struct inodes *inodes = item->announce->mount->inodes;
	char *path = inodes_news_path(inodes, &item->news);
	enum kind kind;
	fuse_ino_t dying = path ? inodes_mourned(inodes, path, &kind) : 0;

	free(path);
	inodes_death_told(inodes, dying);
	inodes_forget(inodes, dying, 1);
}

static void announce_item(struct announce *announce, struct place *place, struct item *item)
{
	char name[NAMES_MAX + 1] = "";
	bool is_root, can_tell;

	if (item->is_state) {
		announce_new_state(place);
		return;
	}
	can_tell = enter_place(place, item);
	is_root = can_tell && inode_path_is_root(item->path);
	if (can_tell && !is_root) {
		const char *node = strrchr(item->path, '/') + 1;

		can_tell = name_escape(node, node == item->path + 1, name) > 0;
	}
	if (!can_tell && item->change == CACHE_DELETED)
		drop_death(item);
	else if (!can_tell || (is_root && item->error))
		return;
	else if (item->change == CACHE_CREATED)
		announce_birth(announce, place, item, name);
	else if (item->change == CACHE_DELETED)
		announce_death(announce, place, item, name);
	else
		announce_data(announce, place, item, name);
}

/* --- The mount's root --- */

/* Where it may, a copy of the mount that is nowhere attached: an open file of the mount itself would keep it from being
 * unmounted. */
static int open_mountpoint(const char *path)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);

	if (fd < 0)
		return open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	readonly_unmark(fd);
	return fd;
}

/* The mount's root, and whose device it is on, by what the kernel knows without asking whoever that is. -1: none. */
static int open_root(const struct announce *announce, dev_t *device)
{
	int fd = open_mountpoint(announce->mount->options->mountpoint);
	struct statx stat;

	if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MODE, &stat) == 0) {
		*device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
		return fd;
	}
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

static void enter_root(const struct announce *announce, struct place *place)
{
	dev_t device;

	*place = (struct place){ .parent = -1, .root = open_root(announce, &device) };
	if (place->root >= 0 && device != announce->device) {
		(void)close(place->root);
		place->root = -1;
	}
}

static void leave_root(struct place *place)
{
	leave_parent(place);
	if (place->root >= 0)
		(void)close(place->root);
}

/* The mount's root is open for one announcement only: there may be many, and hours between two gaps. */
static void found_in_gap(enum cache_change change, const char *path, enum kind kind, const struct node_info *info,
	void *arg)
{
	struct announce *announce = arg;
	struct item *item = is_of_locks(path) ? NULL : item_new(announce, change, path);
	struct place place;

	if (!item)
		return;
	item->kind = kind;
	if (info)
		node_info_copy(&item->info, info);
	if (change == CACHE_DELETED)
		inodes_mourn(announce->mount->inodes, path, &item->kind); /* if it is not yet */
	enter_root(announce, &place);
	if (place.root >= 0)
		announce_item(announce, &place, item);
	leave_root(&place);
	item_free(item);
	if (change == CACHE_DELETED || change == CACHE_CREATED)
		note_found(announce, change, path);
}

static void passed_found(int error, const struct node_stat *stat, void *arg)
{
	(void)error;
	(void)stat;
	announce_resumed(-1, arg);
}

/* What cannot be looked into now, because the stream is gone again, is part of the next gap. */
static void look_into_gap(struct announce *announce, const struct item *gap)
{
	int64_t from = announce->missed ? announce->missed : gap->from;
	int err;

	forget_all_found(announce);
	if (gap->from < 0)
		return;
	err = survey(announce->mount, from, &announce->is_stopping, found_in_gap, announce);
	if (announce->found)
		(void)cache_sync(announce->mount->cache, passed_found, announce);
	announce->missed = err ? from : 0;
	if (err && err != -ECANCELED)
		log_info("cannot look yet for what happened meanwhile: %s", strerror(-err));
}

/* --- The thread --- */

/* What there was no server to ask about is asked for again: it is not lost, and nothing could be told of meanwhile either. */
static void read_again_locked(struct announce *announce, struct item *item)
{
	char *path;
	int err = -ENOMEM;

	item->is_read = false;
	pthread_mutex_unlock(&announce->lock);
	path = inodes_news_path(announce->mount->inodes, &item->news);
	if (path)
		err = cache_read(announce->mount->cache, path, item_read, item);
	if (err)
		item_read(err, NULL, item);
	free(path);
	pthread_mutex_lock(&announce->lock);
}

/* The first of the queue, if the cache has answered for it; NULL: not yet, or stopping. */
static struct item *take_locked(struct announce *announce)
{
	struct item *item = announce->queue;

	while (item && item->is_read && item->error == -ETIMEDOUT && !announce->is_stopping)
		read_again_locked(announce, item);
	if (!item || !item->is_read || announce->is_stopping)
		return NULL;
	DL_DELETE(announce->queue, item);
	announce->count--;
	announce->is_busy = true;
	announce->busy_since = item->since;
	return item;
}

static void work(struct announce *announce, struct item *item)
{
	struct place place;
	int done = 0;

	enter_root(announce, &place);
	while (item) {
		if (item->change == CACHE_UNSURE) {
			leave_root(&place);
			look_into_gap(announce, item);
			enter_root(announce, &place);
		} else if (place.root >= 0 && !was_told(announce, item)) {
			announce_item(announce, &place, item);
		} else if (item->change == CACHE_DELETED) {
			drop_death(item);
		}
		item_free(item);
		pthread_mutex_lock(&announce->lock);
		announce->is_busy = false;
		announce->done++;
		item = ++done < BATCH_MAX ? take_locked(announce) : NULL;
		pthread_mutex_unlock(&announce->lock);
	}
	leave_root(&place);
}

static void *run(void *arg)
{
	struct announce *announce = arg;
	int root;

	atomic_store(&announce->tid, (pid_t)syscall(SYS_gettid));
	root = open_root(announce, &announce->device);
	if (root >= 0)
		(void)close(root);
	pthread_mutex_lock(&announce->lock);
	while (!announce->is_stopping) {
		struct item *item = take_locked(announce);

		if (item) {
			pthread_mutex_unlock(&announce->lock);
			work(announce, item);
			pthread_mutex_lock(&announce->lock);
		} else {
			(void)pthread_cond_wait(&announce->news, &announce->lock);
		}
	}
	pthread_mutex_unlock(&announce->lock);
	return NULL;
}

int announce_start(struct announce *announce)
{
	int err = pthread_create(&announce->thread, NULL, run, announce);

	pthread_mutex_lock(&announce->lock);
	announce->is_running = !err;
	pthread_mutex_unlock(&announce->lock);
	return -err;
}

void announce_stop(struct announce *announce)
{
	bool was_running;

	if (!announce)
		return;
	pthread_mutex_lock(&announce->lock);
	was_running = announce->is_running;
	announce->is_running = false;
	announce->is_stopping = true;
	pthread_cond_signal(&announce->news);
	pthread_mutex_unlock(&announce->lock);
	if (was_running)
		(void)pthread_join(announce->thread, NULL);
	atomic_store(&announce->tid, 0);
}

void announce_free(struct announce *announce)
{
	struct item *item, *next;

	if (!announce)
		return;
	DL_FOREACH_SAFE (announce->queue, item, next) {
		DL_DELETE(announce->queue, item);
		item_free(item);
	}
	forget_all_found(announce);
	pthread_cond_destroy(&announce->unused);
	pthread_cond_destroy(&announce->news);
	pthread_mutex_destroy(&announce->lock);
	free(announce);
}
