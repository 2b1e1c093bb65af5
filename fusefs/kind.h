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

enum kind kind_of(const struct node_stat *stat, bool is_root);

#endif
