/* What ZooKeeper tells of a znode, as both rooms pass it around. Plain data and references, no I/O. */
#ifndef ZKFS_CACHE_NODE_H
#define ZKFS_CACHE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/util/bytes.h"

/* The fields of ZooKeeper's Stat (zookeeper.jute), under their own names. Times are milliseconds since 1970 by the
 * server's clock; zxids are transaction ids. */
struct node_stat {
	int64_t czxid, mzxid, pzxid;
	int64_t ctime, mtime;
	int64_t ephemeral_owner; /* session id of the owner; 0: not ephemeral (special values: container, TTL) */
	int32_t version, cversion, aversion;
	int32_t data_length, num_children;
};

/* The names of a znode's children as the server gave them, in no order. Immutable, counted like struct bytes. */
struct listing {
	_Atomic(unsigned) refs;
	uint32_t count;
	size_t size;	     /* of the whole allocation, in bytes; 0: it takes none */
	const char *names[]; /* terminated strings in the same allocation */
};

/* The one that has no names, held once more for the caller. Takes no memory. */
struct listing *listing_of_none(void);

struct listing *listing_get(struct listing *listing);
void listing_put(struct listing *listing);

/* One entry of a znode's ACL: who (scheme and id as ZooKeeper names them) and what (the ZOO_PERM_ bits). */
struct acl_entry {
	int32_t perms;
	const char *scheme;
	const char *id;
};

/* A znode's ACL. Immutable, counted like struct bytes. */
struct acl_list {
	_Atomic(unsigned) refs;
	uint32_t count;
	struct acl_entry list[]; /* the strings are in the same allocation */
};

struct acl_list *acl_list_get(struct acl_list *acl);
void acl_list_put(struct acl_list *acl);

/* Whether everybody may read a znode, by its ACL (world:anyone:r), and until when that may be trusted (ms, clock_now): no event tells
 * of another ACL. All zero: not known. */
struct node_access {
	bool is_public;
	int64_t until;
};

/* One answer about a znode. Who is given one by a callback borrows it. */
struct node_info {
	struct node_stat stat;
	int64_t changed;    /* ms: mtime, for a parent when a child's birth or death was last seen, if that is later */
	struct bytes *data; /* NULL where it was not asked for or cannot be read */
	struct listing *children;  /* NULL where not asked for */
	struct node_access access; /* known where the cache was asked to (cache_config), with data */
	int data_error;		   /* 0, or -errno why data cannot be read though the znode is there (-EACCES) */
};

/* Takes references of its own: to is a copy of from that must be released. */
void node_info_copy(struct node_info *to, const struct node_info *from);

/* Gives the references back and empties it. */
void node_info_release(struct node_info *info);

#endif
