#include "fusefs/held.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/util/log.h"
#include "fusefs/files.h"
#include "fusefs/inode.h"

struct held {
	struct held *prev, *next; /* under holder->lock, as the rest */
	unsigned refs;		  /* one is the list's */
	bool is_listed;
	fuse_ino_t number; /* never changes */
	int64_t owner;	   /* the session that the znode belongs to, or belonged to */
	char *path;	   /* once it is_closed: what is to be removed, */
	int64_t czxid;	   /* and this */
	bool is_closed;	   /* nobody has it open any more */
	bool is_busy;	   /* it is being made or removed */
	int64_t dead; /* the czxid of what somebody removed while the session lived: not to be made again; 0: none */
	bool is_over; /* nothing is to be done for it any more */

	struct holder *holder; /* never changes */
};

struct holder {
	struct mount *mount;
	_Atomic(size_t) count; /* of held, set under lock */

	pthread_mutex_t lock; /* a leaf, over the next */
	struct held *held;
};

struct holder *holder_new(struct mount *mount)
{
	struct holder *holder = calloc(1, sizeof(*holder));

	if (!holder)
		return NULL;
	holder->mount = mount;
	pthread_mutex_init(&holder->lock, NULL);
	return holder;
}

static void held_free(struct held *held)
{
	free(held->path);
	free(held);
}

void holder_free(struct holder *holder)
{
	struct held *held, *next;

	if (!holder)
		return;
	DL_FOREACH_SAFE (holder->held, held, next) {
		DL_DELETE(holder->held, held);
		held_free(held);
	}
	pthread_mutex_destroy(&holder->lock);
	free(holder);
}

static void held_put(struct held *held)
{
	struct holder *holder = held->holder;
	bool is_last;

	pthread_mutex_lock(&holder->lock);
	is_last = --held->refs == 0;
	pthread_mutex_unlock(&holder->lock);
	if (is_last)
		held_free(held);
}

int holder_add(struct holder *holder, fuse_ino_t number, const struct node_stat *stat)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return -ENOMEM;
	held->holder = holder;
	held->refs = 1;
	held->is_listed = true;
	held->number = number;
	held->owner = stat->ephemeral_owner;
	pthread_mutex_lock(&holder->lock);
	DL_APPEND(holder->held, held);
	atomic_fetch_add(&holder->count, 1);
	pthread_mutex_unlock(&holder->lock);
	/* Its session may have ended before anybody could know of it here. */
	if (cache_session_id(holder->mount->cache) != stat->ephemeral_owner)
		holder_connected(holder);
	return 0;
}

/* --- Making and removing --- */

static void made(int error, const char *path, const struct node_stat *stat, void *arg);
static void removed(int error, const struct node_stat *stat, void *arg);

/* As an error, in here only. */
enum { WAS_REMOVED = -EIDRM };

/* Whether somebody has removed what the inode stands for: it has not been moved since. */
static bool was_removed(struct held *held, const struct inode_view *inode)
{
	bool was_removed;

	pthread_mutex_lock(&held->holder->lock);
	was_removed = held->dead && held->dead == inode->czxid;
	pthread_mutex_unlock(&held->holder->lock);
	return was_removed;
}

static int make_again(struct held *held)
{
	struct mount *mount = held->holder->mount;
	struct cache_making what = { .is_ephemeral = true, .is_told = true, .done = made, .arg = held };
	struct inode_view inode;
	int err = inodes_look(mount->inodes, held->number, &inode);

	what.path = inode.path;
	what.data = files_saved(mount->files, held->number);
	if (!err && was_removed(held, &inode))
		err = WAS_REMOVED;
	if (!err)
		err = cache_make(mount->cache, &what);
	bytes_put(what.data);
	inode_view_release(&inode);
	return err;
}

static void remove_read(int error, const struct node_info *info, void *arg)
{
	struct held *held = arg;

	if (!error && info->stat.czxid != held->czxid) /* nobody changes that while it is_busy */
		error = -ENOENT;		       /* it is another's */
	if (!error)
		error = cache_remove(held->holder->mount->cache, held->path, held->czxid, -1, removed, held);
	if (error)
		removed(error, NULL, held);
}

enum errand { NOTHING, MAKE, REMOVE, FORGET };

/* What is to be done for it in this session (0: there is none now, and when there is, we are told). */
static enum errand errand_locked(const struct held *held, int64_t session)
{
	if (held->is_busy)
		return NOTHING;
	if (held->is_over)
		return FORGET;
	if (!session)
		return NOTHING;
	if (held->is_closed)
		return held->owner == session ? REMOVE : FORGET;
	return held->owner == session ? NOTHING : MAKE;
}

/* Does what is to be done next. */
static void advance(struct held *held)
{
	struct holder *holder = held->holder;
	int64_t session = cache_session_id(holder->mount->cache);
	enum errand errand;
	int err;

	pthread_mutex_lock(&holder->lock);
	errand = errand_locked(held, session);
	if (errand == MAKE || errand == REMOVE) {
		held->is_busy = true;
		held->refs++;
	} else if (errand == FORGET && held->is_listed) {
		DL_DELETE(holder->held, held);
		atomic_fetch_sub(&holder->count, 1);
		held->is_listed = false;
		held->refs--; /* not the last: the caller has one */
	}
	pthread_mutex_unlock(&holder->lock);
	if (errand == MAKE) {
		err = make_again(held);
		if (err)
			made(err, NULL, NULL, held);
	} else if (errand == REMOVE) {
		err = cache_read(holder->mount->cache, held->path, remove_read, held);
		if (err)
			removed(err, NULL, held);
	}
}

/* The servers have not decided, so it is to be tried again. */
static bool is_passing(int error)
{
	return error == -ETIMEDOUT || error == -EIO || error == -ECANCELED || error == -EBUSY;
}

static void end_errand(struct held *held, bool is_over)
{
	pthread_mutex_lock(&held->holder->lock);
	held->is_busy = false;
	held->is_over |= is_over;
	pthread_mutex_unlock(&held->holder->lock);
	advance(held);
	held_put(held);
}

static void removed(int error, const struct node_stat *stat, void *arg)
{
	struct held *held = arg;
	bool is_done = !is_passing(error);

	(void)stat;
	if (error && error != -ENOENT && is_done)
		log_error("nobody holds '%s' any more, but it stays until the session ends: %s", held->path,
			strerror(-error));
	end_errand(held, is_done);
}

/* Somebody else has taken the name; or a making of ours whose outcome was unknown, which removes it. */
static void occupied(int error, const struct node_info *info, void *arg)
{
	struct held *held = arg;
	bool is_taken = !error && info->stat.ephemeral_owner != cache_session_id(held->holder->mount->cache) &&
		info->stat.ephemeral_owner != held->owner;

	if (is_taken)
		log_error(
			"somebody else has made the file with inode %llu, which was held, after the session had expired",
			(unsigned long long)held->number);
	end_errand(held, is_taken);
}

static int look_who(struct held *held)
{
	struct mount *mount = held->holder->mount;
	struct inode_view inode;
	int err = inodes_look(mount->inodes, held->number, &inode);

	if (!err)
		err = cache_read(mount->cache, inode.path, occupied, held);
	inode_view_release(&inode);
	return err;
}

static void take_made(struct held *held, const char *path, const struct node_stat *stat)
{
	struct holder *holder = held->holder;
	char *copy = NULL;

	log_info("made '%s' again, under the new session", path);
	inodes_reborn(holder->mount->inodes, held->number, stat->czxid);
	files_follow(holder->mount->files);
	pthread_mutex_lock(&holder->lock);
	held->owner = stat->ephemeral_owner;
	held->czxid = stat->czxid;
	if (held->is_closed)
		copy = strdup(path);
	if (copy) {
		free(held->path);
		held->path = copy;
	}
	pthread_mutex_unlock(&holder->lock);
}

static void made(int error, const char *path, const struct node_stat *stat, void *arg)
{
	struct held *held = arg;

	if (error == -EEXIST && look_who(held) == 0)
		return;
	if (stat)
		take_made(held, path, stat);
	else if (!is_passing(error) && error != WAS_REMOVED)
		log_error(
			"the file with inode %llu, which was held, cannot be made again after the session has expired: %s",
			(unsigned long long)held->number, strerror(-error));
	end_errand(held, error && !is_passing(error));
}

/* --- News --- */

void holder_closed(struct holder *holder, fuse_ino_t number, const char *path, int64_t czxid)
{
	char *copy = strdup(path);
	struct held *held;

	pthread_mutex_lock(&holder->lock);
	DL_FOREACH (holder->held, held) {
		if (held->number == number && !held->is_closed)
			break;
	}
	if (held) {
		held->refs++;
		held->is_closed = true;
		held->is_over |= !copy; /* no memory: it stays until the session ends */
		held->path = copy;
		held->czxid = czxid;
		copy = NULL;
	}
	pthread_mutex_unlock(&holder->lock);
	free(copy);
	if (held) {
		advance(held);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): our reference kept it */
		held_put(held);
	}
}

/* Those that somebody has open, or all, each with a reference, in *list, which the caller frees. Gives how many. */
static size_t gather(struct holder *holder, bool even_closed, struct held ***list)
{
	struct held *held;
	size_t count = 0;

	pthread_mutex_lock(&holder->lock);
	*list = calloc(atomic_load(&holder->count) + 1, sizeof(struct held *));
	DL_FOREACH (holder->held, held) {
		if (*list && (even_closed || !held->is_closed)) {
			held->refs++;
			(*list)[count++] = held;
		}
	}
	pthread_mutex_unlock(&holder->lock);
	return count;
}

void holder_connected(void *arg)
{
	struct holder *holder = arg;
	struct held **list;
	size_t count;

	if (atomic_load(&holder->count) == 0)
		return;
	count = gather(holder, true, &list);
	for (size_t i = 0; i < count; i++) {
		advance(list[i]);
		held_put(list[i]);
	}
	free(list);
}

/* --- Removed by somebody, or by the end of its session? --- */

struct death {
	struct held *held;
	int64_t owner;
	struct inode_view inode;
};

static void death_free(struct death *death)
{
	inode_view_release(&death->inode);
	held_put(death->held);
	free(death);
}

/* The session has answered, or not. */
static void death_judged(int error, bool is_unknown, void *arg)
{
	struct death *death = arg;
	struct held *held = death->held;
	struct holder *holder = held->holder;

	(void)is_unknown;
	if (!error && cache_session_id(holder->mount->cache) == death->owner) {
		pthread_mutex_lock(&holder->lock);
		if (held->owner == death->owner)
			held->dead = death->inode.czxid;
		pthread_mutex_unlock(&holder->lock);
	}
	death_free(death);
}

/* A session that has expired may not know it yet: one that can still do something lives. */
static void judge(struct held *held, const char *path)
{
	const struct write_step nothing = { .verb = WRITE_CHECK, .path = "/", .version = -1 };
	struct holder *holder = held->holder;
	struct death *death = calloc(1, sizeof(*death));

	if (!death) {
		held_put(held);
		return;
	}
	death->held = held;
	pthread_mutex_lock(&holder->lock);
	death->owner = held->owner;
	pthread_mutex_unlock(&holder->lock);
	if (inodes_look(holder->mount->inodes, held->number, &death->inode) < 0 ||
		strcmp(death->inode.path, path) != 0 ||
		cache_transact(holder->mount->cache, &nothing, 1, death_judged, death) < 0)
		death_free(death);
}

void holder_deleted(struct holder *holder, const char *path)
{
	struct held **list;
	size_t count;

	if (atomic_load(&holder->count) == 0)
		return;
	count = gather(holder, false, &list);
	for (size_t i = 0; i < count; i++)
		judge(list[i], path);
	free(list);
}
