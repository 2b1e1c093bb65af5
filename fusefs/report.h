/* How things are, as the text of files in ".zkfs". Any thread; none of them waits. What has no memory is noted in out->failed. */
#ifndef ZKFS_FUSEFS_REPORT_H
#define ZKFS_FUSEFS_REPORT_H

#include "cache/cache.h"
#include "cache/util/buf.h"
#include "fusefs/mount.h"

/* "connected", "suspended" or "lost", and a newline. */
void report_state(const struct mount *mount, struct buf *out);

/* Lines of a key and its value. */
void report_session(const struct mount *mount, struct buf *out);

/* The same, of what the servers have confirmed. */
void report_lease(const struct cache_lease *lease, struct buf *out);

/* Prometheus' text format. */
void report_metrics(const struct mount *mount, struct buf *out);

#endif
