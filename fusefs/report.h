/* How things are, as the text of files in ".zkfs". Any thread; none of them waits. What has no memory is noted in out->failed. */
#ifndef ZKFS_FUSEFS_REPORT_H
#define ZKFS_FUSEFS_REPORT_H

#include "cache/util/buf.h"
#include "fusefs/mount.h"

/* "connected", "suspended" or "lost", and a newline. */
void report_state(const struct mount *mount, struct buf *out);

/* Lines of a key and its value. */
void report_session(const struct mount *mount, struct buf *out);

/* Prometheus' text format. */
void report_metrics(const struct mount *mount, struct buf *out);

#endif
