/* Tells the kernel what of its caches became stale: a queue of changes and the thread that works through it, in order. Only this
 * thread takes anything back: fuse_lowlevel_notify_expire_entry waits for lookups in flight in the parent directory
 * (fuse_reverse_inval_entry in fs/fuse/dir.c takes its lock), so no answer to a request that holds a directory's lock may ever
 * wait for it. (The one other call of that family is file.c's store_page, which says why it may be made where it is.)
 *
 * Waiting for those lookups is also what makes the order right: an answer that was decided before the change has reached the
 * kernel's cache before it is taken back, and one that comes later is decided by a cache that knows the change. */
#ifndef ZKFS_FUSEFS_NOTIFY_H
#define ZKFS_FUSEFS_NOTIFY_H

#include <stdbool.h>

#include "cache/cache.h"
#include "cache/util/metrics.h"
#include "fusefs/mount.h"

struct files;
struct notify;

/* For how long the kernel may keep what it was told, in s. Bounded, because not every change makes an event (DESIGN.md section 4,
 * rule 6). */
#define NOTIFY_KERNEL_TIMEOUT 5.0

/* inodes: borrowed until notify_free. Nothing is told before notify_start. NULL: no memory. */
struct notify *notify_new(struct inodes *inodes);

/* Begins to tell session's kernel, and who polls files (borrowed until notify_stop). 0 or -errno. */
int notify_start(struct notify *notify, struct fuse_session *session, struct files *files);

/* Ends the thread; who waits is called, and so is, at once, whoever comes later. While it is told something, the kernel may wait
 * for an answer of ours: the session's loop must still run, or the connection be closed. */
void notify_stop(struct notify *notify);

/* After notify_stop. NULL is fine. */
void notify_free(struct notify *notify);

/* A change, as a cache_changed_cb with the struct notify as its argument. */
void notify_changed(enum cache_change change, const char *path, void *arg);

/* How far the thread is. Any thread. */
void notify_look(struct notify *notify, struct queue_view *view);

/* Calls done once the kernel knows of every change until now: before it returns if it does already, else on the notifier's
 * thread, which it must not block. For answers to requests that hold no lock of a directory, nor of an inode that
 * could be waited for with one (open, opendir, flush). */
typedef void notify_cb(void *arg);
void notify_after(struct notify *notify, notify_cb *done, void *arg);

#endif
