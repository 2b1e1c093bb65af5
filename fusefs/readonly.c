#include "fusefs/readonly.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "fusefs/announce.h"
#include "fusefs/mount.h"

bool readonly_refuses(fuse_req_t req)
{
	const struct mount *mount = fuse_req_userdata(req);

	if (!mount->options->is_read_only || announce_is_caller(req))
		return false;
	(void)fuse_reply_err(req, EROFS);
	return true;
}

bool readonly_refuses_open(fuse_req_t req, int flags)
{
	return ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) && readonly_refuses(req);
}

void readonly_mark(const struct options *options)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	if (options->is_read_only)
		(void)mount_setattr(AT_FDCWD, options->mountpoint, AT_SYMLINK_NOFOLLOW, &attr, sizeof(attr));
}

void readonly_unmark(int copy)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

	(void)mount_setattr(copy, "", AT_EMPTY_PATH, &attr, sizeof(attr));
}
