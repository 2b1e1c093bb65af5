/* The contents are the fixed part (base up to base_limit, zeros up to min_size, extents over both) and behind it the
 * appended bytes. Where the one ends and the other begins depends on the base, which may have grown since. */
#include "fusefs/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t extent_end(const struct draft_extent *extent)
{
	return extent->offset + extent->size;
}

static size_t fixed_size(const struct draft *draft, size_t base_size)
{
	size_t size = max(min(base_size, draft->base_limit), draft->min_size);

	if (draft->extent_count > 0)
		size = max(size, extent_end(&draft->extents[draft->extent_count - 1]));
	return size;
}

/* The first extent that ends at offset or behind it; extent_count if none does. */
static size_t find_extent(const struct draft *draft, size_t offset)
{
	size_t low = 0;
	size_t high = draft->extent_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (extent_end(&draft->extents[middle]) < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void draft_init(struct draft *draft)
{
	*draft = (struct draft){ .base_limit = SIZE_MAX, .appended = BUF_INIT };
}

void draft_release(struct draft *draft)
{
	for (size_t i = 0; i < draft->extent_count; i++)
		free(draft->extents[i].data);
	free(draft->extents);
	buf_release(&draft->appended);
	draft_init(draft);
}

void draft_move(struct draft *to, struct draft *from)
{
	draft_release(to);
	*to = *from;
	draft_init(from);
}

/* Makes room for the extents to be one more. */
static int reserve_extent(struct draft *draft)
{
	size_t capacity = max(draft->extent_capacity * 2, 4);
	struct draft_extent *extents;

	if (draft->extent_count < draft->extent_capacity)
		return 0;
	extents = reallocarray(draft->extents, capacity, sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	draft->extents = extents;
	draft->extent_capacity = capacity;
	return 0;
}

static int insert_extent(struct draft *draft, size_t at, size_t offset, const void *data, size_t size)
{
	struct draft_extent extent = { .offset = offset, .size = size, .capacity = size };

	if (reserve_extent(draft) < 0)
		return -ENOMEM;
	extent.data = malloc(size);
	if (!extent.data)
		return -ENOMEM;
	memcpy(extent.data, data, size);
	memmove(&draft->extents[at + 1], &draft->extents[at], (draft->extent_count - at) * sizeof(extent));
	draft->extents[at] = extent;
	draft->extent_count++;
	return 0;
}

static void remove_extents(struct draft *draft, size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++)
		free(draft->extents[i].data);
	if (end < draft->extent_count)
		memmove(&draft->extents[begin], &draft->extents[end],
			(draft->extent_count - end) * sizeof(draft->extents[0]));
	draft->extent_count -= end - begin;
}

/* Lets the extent reach from offset to end, which it lies within; the bytes it gains are for the caller to fill in.
 * Doubles the memory, so that a file written from front to back in small pieces is copied a few times only. */
static int widen_extent(struct draft_extent *extent, size_t offset, size_t end)
{
	size_t size = end - offset;

	if (size > extent->capacity) {
		size_t capacity = max(size, extent->capacity * 2);
		char *data = realloc(extent->data, capacity);

		if (!data)
			return -ENOMEM;
		extent->data = data;
		extent->capacity = capacity;
	}
	if (offset < extent->offset)
		memmove(extent->data + (extent->offset - offset), extent->data, extent->size);
	extent->offset = offset;
	extent->size = size;
	return 0;
}

/* Merges the extents from first to before behind, each of which overlaps or touches the bytes, with them into one. */
static int merge_extents(struct draft *draft, size_t first, size_t behind, size_t offset, const void *data, size_t size)
{
	struct draft_extent *into = &draft->extents[first];
	const struct draft_extent *last = &draft->extents[behind - 1];
	size_t end = offset + size;
	size_t last_end = extent_end(last);

	if (widen_extent(into, min(offset, into->offset), max(end, last_end)) < 0)
		return -ENOMEM;
	if (last != into && last_end > end)
		memcpy(into->data + (end - into->offset), last->data + (end - last->offset), last_end - end);
	memcpy(into->data + (offset - into->offset), data, size);
	remove_extents(draft, first + 1, behind);
	return 0;
}

static int write_fixed(struct draft *draft, size_t offset, const void *data, size_t size)
{
	size_t first = find_extent(draft, offset);
	size_t behind = first;

	while (behind < draft->extent_count && draft->extents[behind].offset <= offset + size)
		behind++;
	if (first == behind)
		return insert_extent(draft, first, offset, data, size);
	return merge_extents(draft, first, behind, offset, data, size);
}

/* Makes the appended bytes at least size long, with zeros. */
static int fill_appended(struct draft *draft, size_t size)
{
	size_t had = draft->appended.size;
	char *gained;

	if (size <= had)
		return 0;
	gained = buf_extend(&draft->appended, size - had);
	if (!gained) {
		draft->appended.failed = false; /* nothing changed: a smaller write may still succeed */
		return -ENOMEM;
	}
	memset(gained, 0, size - had);
	return 0;
}

int draft_write(struct draft *draft, size_t offset, const void *data, size_t size, size_t base_size)
{
	size_t fixed = draft->appended.size ? fixed_size(draft, base_size) : SIZE_MAX;
	size_t had = draft->appended.size;
	size_t in_fixed = offset < fixed ? min(size, fixed - offset) : 0;
	size_t end;

	if (size == 0)
		return 0;
	if (__builtin_add_overflow(offset, size, &end))
		return -ENOMEM;
	if (in_fixed < size && fill_appended(draft, end - fixed) < 0)
		return -ENOMEM;
	if (in_fixed > 0 && write_fixed(draft, offset, data, in_fixed) < 0) {
		draft->appended.size = had;
		return -ENOMEM;
	}
	if (in_fixed < size) {
		char *to = draft->appended.data + (offset + in_fixed - fixed);

		memcpy(to, (const char *)data + in_fixed, size - in_fixed);
	}
	draft->is_dirty = true;
	return 0;
}

int draft_append(struct draft *draft, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	if (!buf_append(&draft->appended, data, size)) {
		draft->appended.failed = false;
		return -ENOMEM;
	}
	draft->is_dirty = true;
	return 0;
}

static void cut_extents(struct draft *draft, size_t size)
{
	size_t at = find_extent(draft, size);

	if (at < draft->extent_count && draft->extents[at].offset < size) {
		draft->extents[at].size = size - draft->extents[at].offset;
		at++;
	}
	remove_extents(draft, at, draft->extent_count);
}

int draft_truncate(struct draft *draft, size_t size, size_t base_size)
{
	size_t fixed = fixed_size(draft, base_size);

	/* As long as the cut leaves all of the base, what others append to it meanwhile is not ours to cut. */
	if (draft->appended.size > 0 && size >= fixed) {
		if (fill_appended(draft, size - fixed) < 0)
			return -ENOMEM;
		draft->appended.size = size - fixed;
	} else {
		cut_extents(draft, size);
		draft->base_limit = min(draft->base_limit, size);
		draft->min_size = size;
		draft->appended.size = 0;
	}
	draft->is_dirty = true;
	return 0;
}

int draft_overlay(struct draft *draft, const struct draft *over, size_t base_size)
{
	int err = 0;

	if (over->base_limit < draft_size(draft, base_size))
		err = draft_truncate(draft, over->base_limit, base_size);
	if (!err && over->min_size > draft_size(draft, base_size))
		err = draft_truncate(draft, over->min_size, base_size);
	for (size_t i = 0; !err && i < over->extent_count; i++) {
		const struct draft_extent *extent = &over->extents[i];

		err = draft_write(draft, extent->offset, extent->data, extent->size, base_size);
	}
	if (!err && over->appended.size)
		err = draft_append(draft, over->appended.data, over->appended.size);
	return err;
}

size_t draft_size(const struct draft *draft, size_t base_size)
{
	size_t size;

	if (__builtin_add_overflow(fixed_size(draft, base_size), draft->appended.size, &size))
		return SIZE_MAX;
	return size;
}

bool draft_is_whole(const struct draft *draft)
{
	return draft->base_limit == 0;
}

/* Copies bytes that lie within the fixed part. */
static void read_fixed(const struct draft *draft, const char *base, size_t base_size, size_t offset, char *to,
	size_t size)
{
	size_t base_end = min(base_size, draft->base_limit);
	size_t from_base = offset < base_end ? min(size, base_end - offset) : 0;
	size_t end = offset + size;

	if (from_base > 0)
		memcpy(to, base + offset, from_base);
	memset(to + from_base, 0, size - from_base);
	for (size_t i = find_extent(draft, offset); i < draft->extent_count && draft->extents[i].offset < end; i++) {
		const struct draft_extent *extent = &draft->extents[i];
		size_t from = max(offset, extent->offset);
		size_t count = min(end, extent_end(extent)) - from;

		memcpy(to + (from - offset), extent->data + (from - extent->offset), count);
	}
}

size_t draft_read(const struct draft *draft, const char *base, size_t base_size, size_t offset, char *to, size_t size)
{
	size_t fixed = fixed_size(draft, base_size);
	size_t total = draft_size(draft, base_size);
	size_t in_fixed;

	if (offset >= total)
		return 0;
	size = min(size, total - offset);
	in_fixed = offset < fixed ? min(size, fixed - offset) : 0;
	if (in_fixed > 0)
		read_fixed(draft, base, base_size, offset, to, in_fixed);
	if (in_fixed < size)
		memcpy(to + in_fixed, draft->appended.data + (offset + in_fixed - fixed), size - in_fixed);
	return size;
}

int draft_compose(const struct draft *draft, const char *base, size_t base_size, struct buf *out)
{
	size_t size = draft_size(draft, base_size);
	char *to = buf_extend(out, size);

	if (!to)
		return -ENOMEM;
	(void)draft_read(draft, base, base_size, 0, to, size);
	return 0;
}
