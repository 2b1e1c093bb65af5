/* Files made with the open flags of zkfs.h: ephemeral, sequential, held. */
#ifndef ZKFS_FUSEFS_SPECIAL_H
#define ZKFS_FUSEFS_SPECIAL_H

#include "fusefs/openflags.h"
#include "fusefs/pending.h"

/* True when the caller may not make such a file, and has been answered EPERM. */
bool special_refuses(fuse_req_t req, struct openflags flags);

/* Makes the znode at pending->path (or, if sequential, at one that begins so) and answers the request, which is a create. */
void special_create(struct pending *pending, struct openflags flags);

/* The open file with this handle is closed for good: if it was the last of a held one, gives its hold back and says so. */
bool special_release(struct mount *mount, struct fuse_file_info *info, fuse_ino_t number);

#endif
