/* What is agreed with the kernel when the mount begins (FUSE_INIT). */
#ifndef ZKFS_FUSEFS_CONNECTION_H
#define ZKFS_FUSEFS_CONNECTION_H

#include <fuse_lowlevel.h>

/* Makes sure that the kernel is told of parallel directory operations, which libfuse before 3.17 forgets (libfuse #861): without
 * them it holds a mutex per directory while a lookup waits for its answer, and whoever else looks there cannot even be killed.
 * After fuse_session_mount, before the loop. 0 or -errno. */
int connection_allow_parallel(struct fuse_session *session);

#endif
