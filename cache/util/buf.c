#include "cache/util/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

/* Doubles, so that appending is amortised. 0: more than any object can have. */
static size_t wanted_capacity(const struct buf *buf, size_t more)
{
	size_t capacity = buf->capacity ? buf->capacity * 2 : FIRST_CAPACITY;
	size_t needed;

	if (__builtin_add_overflow(buf->size, more, &needed) || needed > PTRDIFF_MAX)
		return 0;
	return needed > capacity ? needed : capacity;
}

static bool reserve(struct buf *buf, size_t more)
{
	size_t capacity;
	char *data;

	if (buf->failed)
		return false;
	if (buf->data && more <= buf->capacity - buf->size)
		return true;
	capacity = wanted_capacity(buf, more);
	data = capacity ? realloc(buf->data, capacity) : NULL;
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

bool buf_append(struct buf *buf, const void *data, size_t size)
{
	void *to = buf_extend(buf, size);

	if (to && size)
		memcpy(to, data, size);
	return to != NULL;
}

void *buf_extend(struct buf *buf, size_t size)
{
	char *to;

	if (!reserve(buf, size))
		return NULL;
	to = buf->data + buf->size;
	buf->size += size;
	return to;
}

void buf_consume(struct buf *buf, size_t size)
{
	if (size >= buf->size) {
		buf->size = 0;
		return;
	}
	if (size)
		memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT;
}
