/* A text that was written to ".zkfs/transaction": made, all of it or nothing, and what came of it as text.
 *
 * Of a transaction that was made, a line for each step, in their order: "ok PATH", with the path that was made. Of any other, one
 * line: "error LINE ERRNO MESSAGE", LINE being that of the step in the text, 0 if it is none in particular. */
#ifndef ZKFS_FUSEFS_SUBMIT_H
#define ZKFS_FUSEFS_SUBMIT_H

#include <stddef.h>

#include "cache/util/buf.h"
#include "fusefs/mount.h"

/* error: 0 or -errno, what close(2) or fsync(2) is to say. result: the callee may take its memory, and leave it empty. */
typedef void submit_cb(int error, struct buf *result, void *arg);

/* The text is only read before it returns. done is called once, then or later, on any thread. -EINVAL: what is wrong with the text is
 * in the result; -EFBIG: data beyond max_data; -E2BIG: too much for one packet; -EIO also: whether it was made cannot be known;
 * else what the step that failed says. */
void submit(const struct mount *mount, const char *text, size_t size, submit_cb *done, void *arg);

/* The result of what was not submitted for this reason. */
void submit_put_error(struct buf *result, unsigned line, int error, const char *message);

#endif
