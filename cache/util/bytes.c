#include "cache/util/bytes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Many znodes are empty. It is never freed: the reference is the program's. */
static struct bytes nothing = { .refs = 1 };

struct bytes *bytes_new(const void *data, size_t size)
{
	struct bytes *bytes;

	if (size == 0)
		return bytes_get(&nothing);
	bytes = malloc(sizeof(*bytes) + size);
	if (!bytes)
		return NULL;
	atomic_init(&bytes->refs, 1);
	bytes->size = size;
	memcpy(bytes->data, data, size);
	return bytes;
}

struct bytes *bytes_get(struct bytes *bytes)
{
	if (bytes)
		atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
	return bytes;
}

void bytes_put(struct bytes *bytes)
{
	if (bytes && atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) == 1)
		free(bytes);
}
