/* What every handler gets as its request's user data, instead of globals. Made by main.c before the first request and
 * unchanged after it; what it points to is safe from any thread. */
#ifndef ZKFS_FUSEFS_MOUNT_H
#define ZKFS_FUSEFS_MOUNT_H

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include "cache/cache.h"

struct holder;
struct inodes;
struct announce;
struct notify;
struct files;
struct directories;
struct flocks;
struct pendings;
struct requests;
struct virtuals;
struct options;

struct mount {
	struct fuse_session *session;
	struct cache *cache;
	struct inodes *inodes;
	struct notify *notify;
	struct announce *announce; /* NULL: nothing is announced */
	struct files *files;
	struct holder *holder;
	struct directories *directories;
	struct flocks *flocks;
	struct pendings *pendings;
	struct requests *requests;
	struct virtuals *virtuals;
	const struct options *options;
	uid_t uid; /* whose everything appears to be: who mounted */
	gid_t gid;
};

#endif
