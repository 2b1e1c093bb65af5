/* What the files behind cache.h share: cache.c (reading, life), change.c (one znode's changes). For nobody else. */
#ifndef ZKFS_CACHE_PARTS_H
#define ZKFS_CACHE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/own.h"
#include "cache/session.h"
#include "cache/stream.h"
#include "cache/tree.h"
#include "cache/write.h"

struct cache {
	struct tree *tree;
	struct stream *stream;
	struct session *session;
	struct writer *writer;
	struct own *own;
	char *hosts, *chroot;
	int timeout;
	cache_changed_cb *changed;
	void *changed_arg;
	cache_changed_cb *foreign;
	cache_resumed_cb *resumed;
	void *foreign_arg;
	int64_t told; /* the stream's thread's own: changes up to this have been told of; 0: not known */
	cache_state_cb *state_changed;
	void *state_arg;
	size_t size;
	_Atomic(bool) is_watching;
	_Atomic(bool) is_reading;
	_Atomic(uint64_t) events[WIRE_DATA_CHANGED + 1], gaps;
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

/* change.c: an event of the znode has been applied. On the stream's thread. */
void changes_told(struct cache *cache, const char *path);

#endif
