/* One step of a transaction. Plain data, no I/O. */
#ifndef ZKFS_CACHE_STEP_H
#define ZKFS_CACHE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/node.h"

enum write_verb {
	WRITE_CREATE,
	WRITE_SET,
	WRITE_DELETE,
	WRITE_CHECK,
	WRITE_SET_ACL, /* only alone: ZooKeeper has no transaction with it */
};

/* What a CREATE makes. */
enum write_mode { WRITE_PERSISTENT, WRITE_EPHEMERAL, WRITE_CONTAINER /* only alone: libzookeeper aborts otherwise */ };

/* The path is the mount's ("/" is the chroot's node). Who is given a step copies the path and takes references. */
struct write_step {
	enum write_verb verb;
	enum write_mode mode; /* CREATE */
	const char *path;
	struct bytes *data;   /* CREATE, SET; NULL is empty, never null */
	struct acl_list *acl; /* CREATE, where NULL is the one of new nodes; SET_ACL */
	int64_t ttl;	      /* CREATE, persistent: ms until the servers remove it; 0: they never do. Only alone */
	int32_t version;      /* SET, DELETE, CHECK; SET_ACL: of the ACL (aversion). -1 any */
	bool is_sequential;   /* CREATE: ZooKeeper appends ten digits to the name */
	bool is_told;	      /* it passes for others' (own.h) */
	int64_t session; /* of the first step: the transaction is made in this session or not at all (-EIO); 0: in any */
};

#endif
