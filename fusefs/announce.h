/* Announces to inotify what others did anywhere in the cluster (DESIGN.md section 5). The kernel makes no inotify events for a FUSE
 * server's invalidations, so the announcer's thread does to our own mount, by ordinary system calls, what was done to the znodes.
 * The requests that come of it are known by the thread that makes them, and answered here, without ZooKeeper:
 *
 *   born      mknodat, mkdirat, symlinkat: its LOOKUP finds nothing, then it is what the cache has.  IN_CREATE
 *   changed   openat(O_WRONLY), futimens of mtime alone, close (of a link: utimensat).   IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE
 *   dead      unlinkat, rmdirat: its LOOKUP finds the dead inode.   IN_DELETE (and IN_DELETE_SELF, IN_IGNORED)
 *
 * A file that is born with data is also told of as changed, as one made here by a program that writes is.
 *
 * Only what is in directories that somebody has looked up is announced: nobody can watch another. It is announced in order, after the
 * notifier has taken back what it made stale, and looks like what it was then: of a znode that is born and dies before it is
 * announced, both are told. What is done here meanwhile the kernel tells of at once, and so before it: the birth of what was
 * removed here since is told no more, one that was told before its predecessor's death is told again after it, and what
 * happened in a directory is told where that has been moved. While it works it has the mount's root open, a batch at a time,
 * and looks each time whether that is still ours: an unmounted mountpoint's files are nobody's business. */
#ifndef ZKFS_FUSEFS_ANNOUNCE_H
#define ZKFS_FUSEFS_ANNOUNCE_H

#include <stdbool.h>

#include "cache/cache.h"
#include "cache/util/metrics.h"
#include "fusefs/mount.h"

struct announce;

/* mount: borrowed; its inodes, notify, cache and options are used from announce_start on. NULL: no memory. */
struct announce *announce_new(struct mount *mount);

/* The mount is served from now on, or soon. 0 or -errno. */
int announce_start(struct announce *announce);

/* Ends the thread. What it does then may wait for answers of ours: the session's loop must still run, or the connection be
 * closed. NULL is fine. */
void announce_stop(struct announce *announce);

/* After announce_stop and cache_stop. NULL is fine. */
void announce_free(struct announce *announce);

/* What others did, as a cache_changed_cb with the struct announce as its argument. */
void announce_foreign(enum cache_change change, const char *path, void *arg);

/* What they did in a gap, as a cache_resumed_cb: looked for by a survey (survey.h). */
void announce_resumed(int64_t from, void *arg);

/* The contents of ".zkfs/state" have changed. Any thread. NULL is fine. */
void announce_state(struct announce *announce);

/* How far the thread is. Any thread. NULL is fine. */
void announce_look(struct announce *announce, struct queue_view *view);

/* For the handlers: true when the request was the announcer's and has been answered. */
bool announce_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announce_make(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announce_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announce_open(fuse_req_t req, struct fuse_file_info *info);

/* Whether the request is the announcer's; the same by the thread that made it. announce may be NULL. */
bool announce_is_caller(fuse_req_t req);
bool announce_is_thread(struct announce *announce, pid_t thread);

#endif
