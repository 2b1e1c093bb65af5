#include "fusefs/flock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <utlist.h>

#include "cache/lock.h"
#include "cache/util/log.h"
#include "fusefs/files.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"

/* An owner's locks on an inode: held, asked for, or perhaps neither any more. */
struct flocker {
	struct flocker *prev, *next;
	fuse_ino_t number;
	uint64_t key;		 /* an open file, or the kernel's lock_owner: another's once this one is closed */
	struct lock_place place; /* its path is ours, and its owner nobody else's, ever */
	struct file **files;	 /* through which it locks; each is held */
	size_t file_count;
	unsigned requests; /* under way: what they are granted is still to be given up */
};

struct flocks {
	struct mount *mount;
	_Atomic(size_t) count; /* of the list, set under lock */

	pthread_mutex_t lock; /* a leaf, over the next */
	struct flocker *list;
	uint64_t last_owner;
};

struct flocks *flocks_new(struct mount *mount)
{
	struct flocks *flocks = calloc(1, sizeof(*flocks));

	if (!flocks)
		return NULL;
	flocks->mount = mount;
	pthread_mutex_init(&flocks->lock, NULL);
	return flocks;
}

/* It is in no list any more. */
static void flocker_free(struct flocker *flocker)
{
	for (size_t i = 0; i < flocker->file_count; i++)
		file_put(flocker->files[i]);
	free(flocker->files);
	free((char *)flocker->place.path);
	free(flocker);
}

void flocks_free(struct flocks *flocks)
{
	struct flocker *flocker, *next;

	if (!flocks)
		return;
	DL_FOREACH_SAFE (flocks->list, flocker, next) {
		DL_DELETE(flocks->list, flocker);
		flocker_free(flocker);
	}
	pthread_mutex_destroy(&flocks->lock);
	free(flocks);
}

/* --- Who locks what --- */

static struct flocker *find_locked(struct flocks *flocks, fuse_ino_t number, enum lock_scope scope, uint64_t key)
{
	struct flocker *flocker;

	DL_FOREACH (flocks->list, flocker) {
		if (flocker->number == number && flocker->place.scope == scope && flocker->key == key)
			break;
	}
	return flocker;
}

/* Where others on this mount lock the inode, should it have been moved since. */
static const char *path_locked(struct flocks *flocks, const struct inode_view *inode, enum lock_scope scope)
{
	const struct flocker *flocker;

	DL_FOREACH (flocks->list, flocker) {
		if (flocker->number == inode->number && flocker->place.scope == scope)
			return flocker->place.path;
	}
	return inode->path;
}

static struct flocker *flocker_new_locked(struct flocks *flocks, const struct inode_view *inode, enum lock_scope scope,
	uint64_t key)
{
	struct flocker *flocker = calloc(1, sizeof(*flocker));

	if (!flocker)
		return NULL;
	flocker->number = inode->number;
	flocker->key = key;
	flocker->place = (struct lock_place){ .path = strdup(path_locked(flocks, inode, scope)),
		.scope = scope,
		.owner = ++flocks->last_owner };
	if (!flocker->place.path) {
		free(flocker);
		return NULL;
	}
	DL_APPEND(flocks->list, flocker);
	atomic_fetch_add(&flocks->count, 1);
	return flocker;
}

static bool has_file(const struct flocker *flocker, const struct file *file)
{
	for (size_t i = 0; i < flocker->file_count; i++) {
		if (flocker->files[i] == file)
			return true;
	}
	return false;
}

/* The caller holds the file once more, for it; gives whether that is needed. False too: no memory. */
static bool add_file(struct flocker *flocker, struct file *file)
{
	struct file **files;

	if (has_file(flocker, file))
		return false;
	files = reallocarray(flocker->files, flocker->file_count + 1, sizeof(struct file *));
	if (!files)
		return false;
	flocker->files = files;
	files[flocker->file_count++] = file;
	return true;
}

/* The place that is to be locked through this file; its path is the caller's. -ENOMEM. */
static int enter(struct flocks *flocks, const struct inode_view *inode, enum lock_scope scope, uint64_t key,
	struct file *file, struct lock_place *place)
{
	struct flocker *flocker;
	bool is_kept = false;

	*place = (struct lock_place){ 0 };
	file_get(file);
	pthread_mutex_lock(&flocks->lock);
	flocker = find_locked(flocks, inode->number, scope, key);
	if (!flocker)
		flocker = flocker_new_locked(flocks, inode, scope, key);
	if (flocker)
		is_kept = add_file(flocker, file);
	if (flocker && has_file(flocker, file)) {
		*place = flocker->place;
		place->path = strdup(place->path);
		flocker->requests += place->path ? 1 : 0;
	}
	pthread_mutex_unlock(&flocks->lock);
	if (!is_kept)
		file_put(file);
	return place->path ? 0 : -ENOMEM;
}

/* The request at this place, which enter has given, is over. */
static void leave(struct flocks *flocks, const struct lock_place *place)
{
	struct flocker *flocker;

	pthread_mutex_lock(&flocks->lock);
	DL_FOREACH (flocks->list, flocker) {
		if (flocker->place.owner == place->owner)
			break;
	}
	if (flocker) /* the file may have been closed for good, if who asked was killed */
		flocker->requests--;
	pthread_mutex_unlock(&flocks->lock);
}

/* The place that would be locked; its path is the caller's. -ENOMEM. */
static int find_place(struct flocks *flocks, const struct inode_view *inode, enum lock_scope scope, uint64_t key,
	struct lock_place *place)
{
	const struct flocker *flocker;

	pthread_mutex_lock(&flocks->lock);
	flocker = find_locked(flocks, inode->number, scope, key);
	*place = (struct lock_place){ .path = strdup(flocker ? flocker->place.path : path_locked(flocks, inode, scope)),
		.scope = scope,
		.owner = flocker ? flocker->place.owner : ++flocks->last_owner };
	pthread_mutex_unlock(&flocks->lock);
	return place->path ? 0 : -ENOMEM;
}

/* --- Losing --- */

static void warn_of_loss(const struct lock_place *place, pid_t pid)
{
	log_error("the lock on '%s%s' is lost, which process %d held: its znode is gone, as after an expired session",
		place->path, place->scope == LOCK_DIRECTORY ? "/.data" : "", (int)pid);
}

/* The files are forfeit. Their pages, which the kernel could answer from, are taken back. */
void flocks_lost(const struct lock_place *place, pid_t pid, void *arg)
{
	struct mount *mount = arg;
	struct flocks *flocks = mount->flocks;
	struct flocker *flocker;

	warn_of_loss(place, pid);
	pthread_mutex_lock(&flocks->lock);
	DL_FOREACH (flocks->list, flocker) {
		if (flocker->place.scope != place->scope || flocker->place.owner != place->owner ||
			strcmp(flocker->place.path, place->path) != 0)
			continue;
		for (size_t i = 0; i < flocker->file_count; i++)
			file_forfeit(flocker->files[i]);
	}
	pthread_mutex_unlock(&flocks->lock);
	notify_changed(CACHE_CHANGED, place->path, mount->notify);
}

/* --- Closing --- */

static void remove_locked(struct flocks *flocks, struct flocker *flocker)
{
	if (!flocker)
		return;
	DL_DELETE(flocks->list, flocker);
	atomic_fetch_sub(&flocks->count, 1);
}

bool flocks_has_records(struct flocks *flocks, fuse_ino_t number)
{
	const struct flocker *flocker;

	if (atomic_load(&flocks->count) == 0)
		return false;
	pthread_mutex_lock(&flocks->lock);
	DL_FOREACH (flocks->list, flocker) {
		if (flocker->number == number && flocker->place.scope == LOCK_RECORD)
			break;
	}
	pthread_mutex_unlock(&flocks->lock);
	return flocker != NULL;
}

/* One that is in no list, to give up what is held now. NULL: no memory. */
static struct flocker *flocker_copy(const struct flocker *flocker)
{
	struct flocker *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->place = flocker->place;
	copy->place.path = strdup(flocker->place.path);
	if (copy->place.path)
		return copy;
	free(copy);
	return NULL;
}

struct flocker *flocks_close(struct flocks *flocks, fuse_ino_t number, uint64_t owner)
{
	struct flocker *flocker;

	if (atomic_load(&flocks->count) == 0)
		return NULL;
	pthread_mutex_lock(&flocks->lock);
	flocker = find_locked(flocks, number, LOCK_RECORD, owner);
	if (flocker && flocker->requests > 0) /* of other threads, by other descriptors */
		flocker = flocker_copy(flocker);
	else
		remove_locked(flocks, flocker);
	pthread_mutex_unlock(&flocks->lock);
	return flocker;
}

void flocks_give_up(struct flocks *flocks, struct flocker *flocker)
{
	if (!flocker)
		return;
	cache_unlock(flocks->mount->cache, &flocker->place, 0, LOCK_END, NULL, NULL);
	flocker_free(flocker);
}

/* The first of those that lock through the file, out of the list: fcntl locks through any descriptor go when one is closed. */
static struct flocker *take(struct flocks *flocks, const struct file *file)
{
	struct flocker *flocker;

	pthread_mutex_lock(&flocks->lock);
	DL_FOREACH (flocks->list, flocker) {
		if (has_file(flocker, file))
			break;
	}
	remove_locked(flocks, flocker);
	pthread_mutex_unlock(&flocks->lock);
	return flocker;
}

void flocks_released(struct flocks *flocks, const struct file *file)
{
	struct flocker *flocker;

	while (atomic_load(&flocks->count) > 0 && (flocker = take(flocks, file)) != NULL)
		flocks_give_up(flocks, flocker);
}

/* --- Requests --- */

/* A request to lock or unlock. */
struct errand {
	struct pending *pending;
	struct mount *mount;
	struct file *file;	  /* held; NULL: none yet */
	struct lock_request lock; /* its path is ours */
	bool unlocks;
};

static void errand_free(struct errand *errand)
{
	if (errand->lock.place.path)
		leave(errand->mount->flocks, &errand->lock.place);
	if (errand->file)
		file_put(errand->file);
	free((char *)errand->lock.place.path);
	free(errand);
}

static void errand_end(struct errand *errand, int error)
{
	pending_fail(errand->pending, error);
	errand_free(errand);
}

/* Everything that was done under the lock before has been told to the kernel. Who asked may be gone: then nobody has it. */
static void lock_told(void *arg)
{
	struct errand *errand = arg;

	if (!pending_tell(errand->pending, 0))
		cache_unlock(errand->mount->cache, &errand->lock.place, errand->lock.first, errand->lock.last, NULL,
			NULL);
	errand_free(errand);
}

static void lock_done(int error, void *arg)
{
	struct errand *errand = arg;

	if (error) {
		errand_end(errand, error == -ECANCELED ? -EINTR : error);
		return;
	}
	file_bind(errand->file, cache_lock_session(errand->mount->cache));
	files_refresh(errand->mount->files, errand->pending->inode.number);
	notify_after(errand->mount->notify, lock_told, errand);
}

static void unlock_done(int error, void *arg)
{
	struct errand *errand = arg;

	if (!error && !cache_has_lock(errand->mount->cache, &errand->lock.place))
		file_bind(errand->file, 0);
	errand_end(errand, error);
}

static void let_go(struct mount *mount, uint64_t id)
{
	cache_unwait(mount->cache, id);
}

/* Of an error of saving, close(2) tells. */
static void saved(int error, void *arg)
{
	struct errand *errand = arg;
	struct mount *mount = errand->mount;
	uint64_t id = errand->pending->id;
	bool waits = errand->lock.waits;

	(void)error;
	if (errand->unlocks) {
		cache_unlock(mount->cache, &errand->lock.place, errand->lock.first, errand->lock.last, unlock_done,
			errand);
		return;
	}
	error = cache_lock(mount->cache, &errand->lock);
	if (error)
		errand_end(errand, error);
	else if (waits)
		pending_waits(mount, id, let_go);
}

/* What is answered at once, or NULL. */
static struct errand *errand_new(fuse_req_t req, fuse_ino_t number, bool waits)
{
	struct errand *errand = calloc(1, sizeof(*errand));
	struct pending *pending;
	int err;

	if (!errand) {
		(void)fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	pending = waits ? pending_start_patient(req, let_go) : pending_start(req);
	if (!pending) {
		free(errand);
		return NULL;
	}
	errand->pending = pending;
	errand->mount = pending->mount;
	errand->lock = (struct lock_request){ .waits = waits, .ticket = pending->id, .done = lock_done, .arg = errand };
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err)
		return errand;
	errand_end(errand, err);
	return NULL;
}

/* Locks, or unlocks, through the file, for who has this key. */
static void errand_run(struct errand *errand, enum lock_scope scope, uint64_t key, struct file *file)
{
	struct mount *mount = errand->mount;
	int err = enter(mount->flocks, &errand->pending->inode, scope, key, file, &errand->lock.place);

	file_get(file);
	errand->file = file;
	if (!err && file_is_forfeit(file) && !errand->unlocks)
		err = -EIO;
	if (err)
		errand_end(errand, err);
	else
		files_save(mount->files, errand->pending->inode.number, saved, errand);
}

/* To lock is to make a znode, and a control file has no path that all mounts share. */
static bool refuses(fuse_req_t req, fuse_ino_t number)
{
	const struct mount *mount = fuse_req_userdata(req);
	bool refuses = mount->options->is_read_only || (number != FUSE_ROOT_ID && number < INODE_FIRST);

	if (refuses)
		(void)fuse_reply_err(req, ENOLCK);
	return refuses;
}

/* Replies: error. */
void op_flock(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, int operation)
{
	int what = operation & ~LOCK_NB;
	struct errand *errand;

	if (refuses(req, number))
		return;
	errand = errand_new(req, number, what != LOCK_UN && !(operation & LOCK_NB));
	if (!errand)
		return;
	errand->unlocks = what == LOCK_UN;
	errand->lock.is_exclusive = what == LOCK_EX;
	errand->lock.last = LOCK_END;
	errand->lock.pid = fuse_req_ctx(req)->pid;
	errand_run(errand, errand->pending->inode.type == INODE_DATA ? LOCK_DIRECTORY : LOCK_FLOCK, info->fh,
		file_of(info));
}

/* Both ends included; libfuse has turned the kernel's end into a length. */
static void set_range(struct lock_request *request, const struct flock *lock)
{
	request->first = (uint64_t)lock->l_start;
	request->last = lock->l_len ? (uint64_t)(lock->l_start + lock->l_len - 1) : LOCK_END;
}

/* Replies: error. */
void op_setlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock, int sleep)
{
	struct errand *errand;

	if (refuses(req, number))
		return;
	errand = errand_new(req, number, sleep && lock->l_type != F_UNLCK);
	if (!errand)
		return;
	errand->unlocks = lock->l_type == F_UNLCK;
	errand->lock.is_exclusive = lock->l_type == F_WRLCK;
	errand->lock.pid = lock->l_pid;
	set_range(&errand->lock, lock);
	errand_run(errand, LOCK_RECORD, info->lock_owner, file_of(info));
}

static void tested(int error, const struct lock_obstacle *obstacle, void *arg)
{
	struct pending *pending = arg;
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (error) {
		pending_fail(pending, error);
		return;
	}
	if (obstacle->is_any) {
		lock.l_type = obstacle->is_exclusive ? F_WRLCK : F_RDLCK;
		lock.l_start = (off_t)obstacle->first;
		lock.l_len = obstacle->last == LOCK_END ? 0 : (off_t)(obstacle->last - obstacle->first + 1);
		lock.l_pid = obstacle->pid;
	}
	pending_reply_lock(pending, &lock);
}

/* Replies: lock, error. */
void op_getlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock)
{
	struct lock_request request = { .is_exclusive = lock->l_type == F_WRLCK };
	struct pending *pending;
	int err;

	if (refuses(req, number))
		return;
	pending = pending_start(req);
	if (!pending)
		return;
	set_range(&request, lock);
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err)
		err = find_place(pending->mount->flocks, &pending->inode, LOCK_RECORD, info->lock_owner,
			&request.place);
	if (!err)
		err = cache_test_lock(pending->mount->cache, &request, tested, pending);
	free((char *)request.place.path);
	if (err)
		pending_fail(pending, err);
}
