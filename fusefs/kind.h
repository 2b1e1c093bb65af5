/* Is a znode a file, a directory or a symbolic link? A function of its Stat and data alone, so that every mount in the cluster
 * agrees always (DESIGN.md section 2). Pure. */
#ifndef ZKFS_FUSEFS_KIND_H
#define ZKFS_FUSEFS_KIND_H

#include <stdbool.h>

#include "cache/node.h"

enum kind {
	KIND_FILE,
	KIND_DIRECTORY,
	KIND_SYMLINK, /* a file whose data has the form of one (symlink.h) */
};

/* Whose a znode is, as its Stat's ephemeralOwner says (EphemeralType.java). */
enum owner {
	OWNER_NONE,
	OWNER_SESSION, /* it is ephemeral */
	OWNER_CONTAINER,
	OWNER_TTL,
};

enum owner kind_owner(const struct node_stat *stat);

/* By the Stat alone, which tells what is a directory and what is not: a link is a KIND_FILE here. */
enum kind kind_of(const struct node_stat *stat, bool is_root);

/* By its data too; NULL, because it cannot be read, has the form of no link. */
enum kind kind_of_data(const struct node_stat *stat, const struct bytes *data, bool is_root);

#endif
