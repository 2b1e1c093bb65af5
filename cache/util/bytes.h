/* Immutable bytes with a reference count: what a znode holds, shared by the tree, open files and answers under way
 * without copying. Safe from any thread. */
#ifndef ZKFS_CACHE_UTIL_BYTES_H
#define ZKFS_CACHE_UTIL_BYTES_H

#include <stddef.h>

struct bytes {
	_Atomic(unsigned) refs; /* bytes_get and bytes_put only */
	size_t size;		/* of data, in bytes */
	char data[];		/* not terminated; may hold any byte */
};

/* A copy of size bytes at data (data may be NULL when size is 0), held once by the caller. NULL: no memory.
 * Of size 0 there is only one, which takes none. */
struct bytes *bytes_new(const void *data, size_t size);

/* One more reference. bytes may be NULL. Gives bytes back. */
struct bytes *bytes_get(struct bytes *bytes);

/* One reference less; the last frees. bytes may be NULL. */
void bytes_put(struct bytes *bytes);

#endif
