/* The kernel's requests as they pass by, counted and timed from when they are read until they are answered, for `.zkfs/metrics`. Looks
 * at the headers of the messages alone, so no handler need know of it. Safe from any thread, without a lock. */
#ifndef ZKFS_FUSEFS_REQUESTS_H
#define ZKFS_FUSEFS_REQUESTS_H

#include <stddef.h>
#include <sys/uio.h>

#include "cache/util/buf.h"

struct requests;

/* NULL: no memory. */
struct requests *requests_new(void);

/* NULL is fine. */
void requests_free(struct requests *requests);

/* A message of size bytes from the kernel. */
void requests_came(struct requests *requests, const void *message, size_t size);

/* A message to the kernel is about to be written: an answer, or a notification. */
void requests_answered(struct requests *requests, const struct iovec *parts, int count);

/* Appends what was counted in Prometheus' text format. */
void requests_render(struct requests *requests, struct buf *out);

#endif
