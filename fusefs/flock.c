/* Locks. Until they hold across the cluster they are refused: a lock that only this machine respects is worse than none. */
#include <errno.h>

#include "fusefs/ops.h"

/* Replies: error. */
void op_flock(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, int operation)
{
	(void)number;
	(void)info;
	(void)operation;
	(void)fuse_reply_err(req, ENOLCK);
}

/* Replies: error. */
void op_getlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock)
{
	(void)number;
	(void)info;
	(void)lock;
	(void)fuse_reply_err(req, ENOLCK);
}

/* Replies: error. */
void op_setlk(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info, struct flock *lock, int sleep)
{
	(void)number;
	(void)info;
	(void)lock;
	(void)sleep;
	(void)fuse_reply_err(req, ENOLCK);
}
