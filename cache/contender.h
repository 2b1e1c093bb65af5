/* Lock nodes: how their names tell who wants what, and which of them hold. Pure; used by lock.c and its tests.
 *
 * A contender is who wants a lock, by one node or three, each ephemeral and sequential: the number that ZooKeeper appends is its place
 * in the queue. It holds once none of its nodes is behind another's that conflicts with it.
 *
 * Locks of files are between zkfs and itself, and a node's name says it all: kind, mode, the first and the last byte, whose it is.
 *
 *     fcntl-w-0000000000000000-7fffffffffffffff-INSTANCE.OWNER.SERIAL-0000000012
 *
 * The lock of a directory is also Kazoo's and Curator's, whose nodes lie in the directory itself, and each looks at other names:
 *  - Kazoo (kazoo/recipe/lock.py): "__lock__" (Lock, WriteLock) and "__rlock__" (ReadLock) before the digits, ordered by these;
 *  - Curator's InterProcessMutex (LockInternals, StandardLockInternalsDriver): all children, ordered as strings by what follows the last
 *    "lock-" in the name, or else by the whole name;
 *  - Curator's InterProcessReadWriteLock: the same with "__READ__" and "__WRIT__".
 * No one name is in its place for all three, so a contender has a node for each, made in one transaction; all that is in their names
 * before comes behind Curator's digits, for it begins with a letter. The numbers are from one directory, so the order is the same
 * for all, and nobody waits in a circle.
 *
 * What somebody holds can be changed without leaving the queue (a part of a range unlocked, an exclusive lock made a shared one):
 * other nodes are made in the same transaction with the number of the old one in their names. */
#ifndef ZKFS_CACHE_CONTENDER_H
#define ZKFS_CACHE_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lock_scope {
	LOCK_FLOCK,	/* of a file, by flock(2) */
	LOCK_RECORD,	/* of bytes of a file, by fcntl(2) */
	LOCK_DIRECTORY, /* of a directory, by flock(2) on its data; Kazoo's and Curator's too */
};

/* In which order a node stands: a contender's nodes are of different ones, and only those of the same one conflict. */
enum lock_order {
	LOCK_ORDER_FLOCK,
	LOCK_ORDER_RECORD,
	LOCK_ORDER_KAZOO,
	LOCK_ORDER_MUTEX,
	LOCK_ORDER_READ_WRITE,
};

enum { LOCK_NODES_MAX = 3, LOCK_NAME_MAX = 128 };

/* The last byte that a lock can be on: to the end, wherever that is. */
#define LOCK_END INT64_MAX

/* Whose a node is. */
struct lock_id {
	uint64_t instance; /* of zkfs: random, never 0; 0: it is not ours */
	uint64_t owner;	   /* in it: an open file, a process */
	uint32_t serial;   /* of the request */
};

struct lock_node {
	enum lock_order order;
	bool is_exclusive;
	uint64_t first, last; /* bytes */
	struct lock_id id;
	uint32_t number;
};

/* How many nodes a contender has. */
size_t lock_nodes_of(enum lock_scope scope);

/* The name of its node at this index, without the number, which ZooKeeper appends. */
void lock_name(enum lock_scope scope, size_t index, const struct lock_node *what, char name[LOCK_NAME_MAX]);

/* The same with the number. */
void lock_name_with_number(enum lock_scope scope, size_t index, const struct lock_node *what, char name[LOCK_NAME_MAX]);

/* False: it is no lock node. */
bool lock_parse(const char *name, struct lock_node *node);

/* Whether it is one of ours in a directory, among its children. */
bool lock_is_in_directory(const char *name);

/* Whether both cannot be held by different owners. */
bool lock_conflicts(const struct lock_node *a, const struct lock_node *b);

bool lock_has_same_owner(const struct lock_node *a, const struct lock_node *b);

/* Who stands in the way. */
struct lock_verdict {
	size_t blocker; /* index of the last node that must go first; count: none, it holds */
	/* When it holds: the lowest number of what its owner holds already that somebody queued before it waits for. It is ahead of
	 * those, so it must get that number. UINT32_MAX: there is no such node. */
	uint32_t rank;
};

/* Whether a contender's node holds in the queue, or who stands in its way. held: what its owner holds already (count nodes): who
 * cannot hold before that goes is not waited for, or none of both would ever hold. */
struct lock_verdict lock_judge(const struct lock_node *mine, const struct lock_node *held, size_t held_count,
	const struct lock_node *queue, size_t count);

#endif
