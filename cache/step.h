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

/* What a CREATE makes. A sequential one, which must be alone in its transaction, gets ten digits behind its name. */
enum write_mode {
	WRITE_PERSISTENT,
	WRITE_EPHEMERAL,
	WRITE_CONTAINER,
	WRITE_PERSISTENT_SEQUENTIAL,
	WRITE_EPHEMERAL_SEQUENTIAL
};

/* The path is the mount's ("/" is the chroot's node). Who is given a step copies the path and takes references. */
struct write_step {
	enum write_verb verb;
	const char *path;
	struct bytes *data;   /* CREATE, SET; NULL is empty, never null */
	int32_t version;      /* SET, DELETE, CHECK; SET_ACL: of the ACL (aversion). -1 any */
	enum write_mode mode; /* CREATE */
	struct acl_list *acl; /* CREATE, where NULL is the one of new nodes; SET_ACL */
	bool is_told;	      /* it passes for others' (own.h) */
};

#endif
