/* Files made with the open flags of zkfs.h: ephemeral, sequential, held. */
#ifndef ZKFS_FUSEFS_SPECIAL_H
#define ZKFS_FUSEFS_SPECIAL_H

#include "fusefs/files.h"
#include "fusefs/openflags.h"
#include "fusefs/pending.h"

/* True when the caller may not make such a file, and has been answered EPERM. */
bool special_refuses(fuse_req_t req, struct openflags flags);

/* Makes the znode at pending->path (or, if sequential, at one that begins so) and answers the request, which is a create. */
void special_create(struct pending *pending, struct openflags flags);

/* The open file, the last of a held one (file_lets_go), is closed for good: its znode goes. Gives the file back. */
void special_release(struct mount *mount, struct file *file, fuse_ino_t number);

#endif
