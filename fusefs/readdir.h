/* The directories that somebody has open on this mount. The handlers of readdir.c keep them; all here is safe from any thread. */
#ifndef ZKFS_FUSEFS_READDIR_H
#define ZKFS_FUSEFS_READDIR_H

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "cache/cache.h"

struct directories;

/* NULL: no memory. */
struct directories *directories_new(void);

/* When no more requests come. Directories that the kernel never released go with it. NULL is fine. */
void directories_free(struct directories *directories);

/* The Stat of an open directory, by its inode's number, as it was when it was listed; fstat(2) gives it when the directory is gone,
 * as for any removed file that is open. False: nobody has it open. */
bool directories_last_stat(struct directories *directories, fuse_ino_t number, struct node_stat *stat);

/* Frees what inodes_unborn_in gave. */
void directory_free_names(char **names, ssize_t count);

#endif
