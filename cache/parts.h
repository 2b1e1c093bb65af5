/* What the files behind cache.h share: cache.c (reading, life), change.c (one znode's changes), transact.c (those of several),
 * permit.c (ACLs), make.c (ephemeral and sequential births), commit.c (a program's own transactions), lease.c, settle.c, lock.c and
 * what it is made of (lockparts.h). For nobody else. */
#ifndef ZKFS_CACHE_PARTS_H
#define ZKFS_CACHE_PARTS_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/own.h"
#include "cache/session.h"
#include "cache/stream.h"
#include "cache/tree.h"
#include "cache/write.h"

struct locks;
struct makings;

struct cache {
	struct tree *tree;
	struct stream *stream;
	struct session *session;
	struct writer *writer;
	struct own *own;
	struct makings *makings;
	struct locks *locks;
	char *hosts, *chroot;
	int timeout;
	cache_changed_cb *changed;
	void *changed_arg;
	cache_changed_cb *foreign;
	cache_resumed_cb *resumed;
	void *foreign_arg;
	void (*connected)(void *arg); /* may be NULL, as foreign and resumed */
	void *connected_arg;
	int64_t told;	/* the stream's thread's own: changes up to this have been told of; 0: not known; */
	bool is_outage; /* and this: what was known before is recalled */
	cache_state_cb *state_changed;
	void *state_arg;
	size_t size;
	enum cache_stale stale;
	bool with_access;
	_Atomic(bool) is_watching;
	_Atomic(bool) is_reading;
	_Atomic(uint64_t) events[WIRE_DATA_CHANGED + 1], gaps;
	_Atomic(bool) is_telling; /* the tree knows of an event, and not yet everybody else */
	_Atomic(uint64_t) moment;
	_Atomic(bool)
		is_quiet; /* our last change came right behind what the stream had passed: nobody else changes much */

	pthread_mutex_t changes_lock; /* a leaf, over the next */
	struct change *changes;	      /* those whose event would tell that the stream has passed them (change.c) */

	pthread_mutex_t lock; /* a leaf, over the members below */
	pthread_cond_t news;
	char reads_from[SERVER_TEXT_MAX];
	bool is_connected; /* the session, at least once */
	bool is_announced; /* the stream */
	bool has_auth_failed;
	bool was_unwatched; /* and the log says so */
};

/* settle.c: calls done once nothing of a transaction whose reply was lost is on its way any more and the stream has passed whatever
 * became of it, so that a look tells; or, is_settled false, that could not be awaited (no further try after the deadline, ms). 0:
 * done is called once, on any of the cache's threads or before the call returns; -ENOMEM: it is not. Any thread. */
typedef void settled_cb(bool is_settled, void *arg);
int settle(struct cache *cache, int64_t deadline, settled_cb *done, void *arg);

/* change.c: an event of the znode has been applied. On the stream's thread. */
void changes_told(struct cache *cache, const char *path);

/* As the error of a change, in here only: whether it was made is not known, and what is read now tells. */
enum { CHANGE_UNKNOWN = -EREMOTEIO };

/* Sends a transaction on the znode at this path, its other steps being about children that nobody sees. done is called once the
 * stream has passed it; stat is that of the last step that has one. As the calls of cache.h. */
int change_submit(struct cache *cache, const char *path, const struct write_step *steps, int count, cache_done_cb *done,
	void *arg);

/* make.c: those under way. NULL: no memory; NULL is fine for the second, when none is. */
struct makings *makings_new(void);
void makings_free(struct makings *makings);

/* What others did is told of, now or, when it may be the birth of a sequential node that is being made here, once that is what it is
 * to be. Each znode's in order; on the stream's thread, or own.h's. */
void makings_tell(struct cache *cache, enum cache_change change, const char *path);

#endif
