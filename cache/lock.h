/* Locks that hold across the cluster: ZooKeeper's lock recipe on ephemeral sequential nodes (contender.h has their names and who of
 * them holds). Fair, in order of arrival; who waits is woken by the event of the one node before it; a lock is lost with the
 * session, or with its node.
 *
 * A file's lock nodes lie below "/.zkfs-locks", in a container of its own, which ZooKeeper removes when it is empty; it goes by the
 * file's path, so that a file which is removed and made again has the same lock. A directory's lie in itself.
 *
 * Everything happens in turn, whatever thread it comes from: a message that finds another being handled is left to that thread.
 * Nothing is held while a message is handled, so callbacks may call here. Safe from any thread. */
#ifndef ZKFS_CACHE_LOCK_H
#define ZKFS_CACHE_LOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/contender.h"

struct cache;
struct locks;

/* The znode, in the root of the mount, that locks of files lie below. */
#define LOCK_ROOT "/.zkfs-locks"

/* Who locks what. */
struct lock_place {
	const char *path; /* the znode's: of the file, or of the directory. Copied */
	enum lock_scope scope;
	uint64_t owner; /* any number that is this owner's alone, for this path and scope */
};

struct lock_request {
	struct lock_place place;
	bool is_exclusive;
	uint64_t first, last; /* LOCK_RECORD: bytes, both included, up to LOCK_END; else not looked at */
	bool waits;	      /* until it can be had; else -EAGAIN if it cannot be at once */
	uint64_t ticket;      /* for cache_unwait: any number that no other request has */
	pid_t pid;	      /* whom the log and lock_test are to name */
	/* Once, on any of the cache's threads or before the call returns. 0: it is held, and the stream has passed all that was done
	 * by whoever held it before. -EAGAIN; -EINTR: cache_unwait; -ETIMEDOUT (only if it does not wait); -EACCES; -ENOENT: the
	 * directory is gone; -ECANCELED: the cache is being stopped. */
	void (*done)(int error, void *arg);
	void *arg;
};

/* An owner has lost what it held there: the session has expired, or somebody has removed the node. On any of the cache's threads. */
typedef void locks_lost_cb(const struct lock_place *place, pid_t pid, void *arg);

/* For cache.c: made with it, stopped with it before its sessions are closed, and freed with it. NULL: no memory. */
struct locks *locks_new(struct cache *cache);
void locks_stop(struct locks *locks);
void locks_free(struct locks *locks);

/* Who is to hear of losses; before the first lock. */
void cache_watch_locks(struct cache *cache, locks_lost_cb *lost, void *arg);

/* For cache.c, on the stream's thread: a znode was made; removed; the stream is broken, so that nothing is told any more; it is back. */
void locks_created(struct locks *locks, const char *path);
void locks_deleted(struct locks *locks, const char *path);
void locks_broken(struct locks *locks);
void locks_resumed(struct locks *locks);

/* For cache.c: there is a session, or another, or none any more. On libzookeeper's thread. */
void locks_session(struct locks *locks);

/* Locks. What the owner holds there already is replaced: a record lock byte by byte, and is kept until then; another one is given up
 * first if it is not strong enough, as flock(2) has it. 0 or -ENOMEM. */
int cache_lock(struct cache *cache, const struct lock_request *request);

/* Nobody waits for it any more: it ends with -EINTR, unless it is over or as good as had. Its node is removed. No effect on what is
 * not known yet. */
void cache_unwait(struct cache *cache, uint64_t ticket);

typedef void cache_unlocked_cb(int error, void *arg);

/* Gives up what the owner holds there of these bytes. done (may be NULL) is called when others can have it, or, with the connection
 * broken, when it is certain that they will; -ETIMEDOUT: a part of a range, and no server. */
void cache_unlock(struct cache *cache, const struct lock_place *place, uint64_t first, uint64_t last,
	cache_unlocked_cb *done, void *arg);

/* For a done of cache_lock or cache_unlock that was told of no error, and for nobody else: the session that what is held lives as long
 * as, and whether the owner holds anything there. */
int64_t cache_lock_session(struct cache *cache);
bool cache_has_lock(struct cache *cache, const struct lock_place *place);

/* What stands in the way of a lock. */
struct lock_obstacle {
	bool is_any;
	bool is_exclusive;
	uint64_t first, last;
	pid_t pid; /* 0: of another mount */
};

typedef void cache_tested_cb(int error, const struct lock_obstacle *obstacle, void *arg);

/* Who holds what the request would have to wait for; its done and arg are not looked at. 0 or -ENOMEM. */
int cache_test_lock(struct cache *cache, const struct lock_request *request, cache_tested_cb *done, void *arg);

/* How many locks are held here, and how many are waited for. */
void cache_count_locks(struct cache *cache, size_t *held, size_t *waiting);

#endif
