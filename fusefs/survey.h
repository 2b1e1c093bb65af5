/* What others did while there was no stream to tell of it: compares what the kernel knows with what there is. A birth or a change
 * shows by its zxid; a death because the kernel knows an inode that is not there any more. So the deaths of what it never
 * looked up or has forgotten, and of what lived in the gap alone, are not found; nor is what happened in a directory that may
 * not be listed. What happened just after the stream came back may be found as well, and its event come later. */
#ifndef ZKFS_FUSEFS_SURVEY_H
#define ZKFS_FUSEFS_SURVEY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "fusefs/kind.h"
#include "fusefs/mount.h"

/* One thing that happened; info is of the znode now, NULL for a death, and kind what the kernel knew it as (KIND_FILE for a birth).
 * On survey's thread. */
typedef void survey_found_cb(enum cache_change change, const char *path, enum kind kind, const struct node_info *info,
	void *arg);

/* Finds what happened after the transaction with zxid `from`, in the directories that the kernel knows: deaths first,
 * children before parents, then births and changes, parents before children. Blocks; ends early once *is_stopping. 0 or
 * -errno: it could not see everything, and has told nothing. */
int survey(struct mount *mount, int64_t from, const _Atomic(bool) *is_stopping, survey_found_cb *found, void *arg);

#endif
