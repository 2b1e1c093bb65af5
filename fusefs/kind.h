/* Is a znode a file or a directory? A function of its Stat alone, so that every mount in the cluster agrees always
 * (DESIGN.md section 2). Pure. */
#ifndef ZKFS_FUSEFS_KIND_H
#define ZKFS_FUSEFS_KIND_H

#include <stdbool.h>

#include "cache/node.h"

enum kind {
	KIND_FILE,
	KIND_DIRECTORY,
};

/* Whose a znode is, as its Stat's ephemeralOwner says (EphemeralType.java). */
enum owner {
	OWNER_NONE,
	OWNER_SESSION, /* it is ephemeral */
	OWNER_CONTAINER,
	OWNER_TTL,
};

enum owner kind_owner(const struct node_stat *stat);

enum kind kind_of(const struct node_stat *stat, bool is_root);

#endif
