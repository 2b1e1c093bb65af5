/* The queues of lock nodes, as the stream tells of them: a directory is listed once, and from then on kept by the events of births and
 * deaths, so that to lock takes no listing. Called while a message is handled (lock.h).
 *
 * Of a znode that may not be read no event tells, and others' might be such. That none was missed which stands before a sequential
 * node says its number: it is how many children were ever made in the directory (PrepRequestProcessor: the parent's cversion,
 * of which a client's Stat shows twice that less num_children). */
#ifndef ZKFS_CACHE_LOCKDIR_H
#define ZKFS_CACHE_LOCKDIR_H

#include <uthash.h>

#include "cache/contender.h"
#include "cache/node.h"

struct locks;

/* Lock nodes, in no order. */
struct lock_queue {
	size_t count, room;
	struct lock_node *nodes;
	char **names;
};

/* The lock nodes among those names; what was in the queue is not any more. False: no memory, and it is empty. */
bool lock_queue_fill(struct lock_queue *queue, const struct listing *names);
void lock_queue_release(struct lock_queue *queue);

struct lockdir {
	UT_hash_handle hh;
	struct lockdir *prev, *next; /* of those that nobody uses, the oldest first */
	unsigned users;
	bool is_known; /* the queue is as new as what the stream has told */
	uint32_t births;
	struct lock_queue queue;
	bool is_hashed;
	char path[];
};

/* NULL: no memory. */
struct lockdir *lockdir_get(struct locks *locks, const char *path);
void lockdir_put(struct locks *locks, struct lockdir *dir);

/* What a reply of the stream says. is_told: events tell of what becomes of it. False: no memory. */
bool lockdir_fill(struct lockdir *dir, const struct listing *names, const struct node_stat *stat, bool is_told);

/* A birth or death, of any znode. */
void lockdirs_created(struct locks *locks, const char *path);
void lockdirs_deleted(struct locks *locks, const char *path);

/* The stream is broken: nothing is known any more. */
void lockdirs_forget(struct locks *locks);

void lockdirs_free(struct locks *locks);

#endif
