/* The unsaved bytes of one open file: what was written, cut and appended since the file's contents were last saved, kept so
 * that it can be laid over whatever the contents are by then (DESIGN.md section 3). Pure: knows no file, no lock, no I/O.
 * Sizes and offsets are bytes. */
#ifndef ZKFS_FUSEFS_DRAFT_H
#define ZKFS_FUSEFS_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/util/buf.h"

/* A run of written bytes. */
struct draft_extent {
	size_t offset;
	size_t size;
	size_t capacity; /* of data: more than size where writes go on at its end */
	char *data;
};

struct draft {
	/* How much of the base still counts: everything (SIZE_MAX) until a truncation cuts it. 0: replaced altogether. */
	size_t base_limit;
	/* The contents are at least this long, zeros where nothing else says so (a truncation upwards). */
	size_t min_size;
	/* Sorted by offset, never touching or overlapping. */
	struct draft_extent *extents;
	size_t extent_count, extent_capacity;
	/* Bytes of O_APPEND writers: they come after the end of the newest base, whatever that is. */
	struct buf appended;
	bool is_dirty;
};

void draft_init(struct draft *draft);
void draft_release(struct draft *draft);

/* Moves from's contents to to (which must be initialised and clean) and leaves from clean. */
void draft_move(struct draft *to, struct draft *from);

/* Lays size bytes at offset, base_size being the size of the base as the writer sees it. Bytes at an offset at or behind
 * where appended bytes begin change those (the writer saw them there). 0 or -ENOMEM (nothing changed). */
int draft_write(struct draft *draft, size_t offset, const void *data, size_t size, size_t base_size);

/* Adds size bytes after everything. 0 or -ENOMEM (nothing changed). */
int draft_append(struct draft *draft, const void *data, size_t size);

/* Makes the contents exactly size long: cuts base, extents and appended bytes behind it, or fills up with zeros.
 * 0 or -ENOMEM (nothing changed). */
int draft_truncate(struct draft *draft, size_t size, size_t base_size);

/* Lays what over holds, which was written over this draft's contents, on this draft. 0 or -ENOMEM (part of it is there). */
int draft_overlay(struct draft *draft, const struct draft *over, size_t base_size);

/* The size of the contents over a base of base_size. */
size_t draft_size(const struct draft *draft, size_t base_size);

/* Whether the base plays no part (opened with O_TRUNC or cut to nothing, and not merely appended to). */
bool draft_is_whole(const struct draft *draft);

/* Copies up to size bytes of the contents at offset, over base (base_size bytes), to to. Gives how many (0 at or behind
 * the end). */
size_t draft_read(const struct draft *draft, const char *base, size_t base_size, size_t offset, char *to, size_t size);

/* The whole contents over base, appended to out. 0 or -ENOMEM. */
int draft_compose(const struct draft *draft, const char *base, size_t base_size, struct buf *out);

#endif
