/* -o ro: what would change something is refused here and not by the kernel, whose refusal would hit the announcer too. Where the
 * daemon may, the visible mount is read-only for the kernel as well, and the announcer's copy of it is not. */
#ifndef ZKFS_FUSEFS_READONLY_H
#define ZKFS_FUSEFS_READONLY_H

#include <stdbool.h>

#include <fuse_lowlevel.h>

#include "fusefs/options.h"

/* For the handlers, first of all: true when the request would change something that may not be, and has been answered EROFS. */
bool readonly_refuses(fuse_req_t req);

/* The same for an open with these flags. */
bool readonly_refuses_open(fuse_req_t req, int flags);

/* Once it is mounted: lets the kernel show and enforce it, as far as we may. */
void readonly_mark(const struct options *options);

/* Takes that back for a detached copy of the mount. */
void readonly_unmark(int copy);

#endif
