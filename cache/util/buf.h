/* A growable run of bytes: frames being built, contents being composed. Not safe from two threads at once. */
#ifndef ZKFS_CACHE_UTIL_BUF_H
#define ZKFS_CACHE_UTIL_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t size;	 /* bytes in use */
	size_t capacity; /* bytes allocated */
	bool failed; /* an append found no memory; later appends do nothing, so a caller may check once at the end */
};

#define BUF_INIT                  \
	{                         \
		NULL, 0, 0, false \
	}

/* Appends size bytes. False, and failed is set: no memory (what was there stays). */
bool buf_append(struct buf *buf, const void *data, size_t size);

/* Appends size bytes for the caller to fill in and gives where they begin, valid until the next call. NULL: no memory. */
void *buf_extend(struct buf *buf, size_t size);

/* Drops the first size bytes (at most all). */
void buf_consume(struct buf *buf, size_t size);

/* Empties it and frees its memory; it can be used again. */
void buf_release(struct buf *buf);

#endif
