/* Things found by their path. Each keeps its name alone; the path of the directory it is in is kept once for all that are there,
 * with a count of them. Several may have the same path. Not safe from two threads at once.
 *
 * Paths are ZooKeeper's: they begin with '/', and only "/" ends with it. */
#ifndef ZKFS_CACHE_UTIL_PATHS_H
#define ZKFS_CACHE_UTIL_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/util/table.h"

/* A directory's path that others begin with. */
struct paths_stem;

/* What stands for a path begins with this, and somewhere has its name: an array at its end, for paths_name_size bytes. */
struct paths_entry {
	struct table_link link;
	struct paths_stem *stem;
};

struct paths {
	struct table entries, stems;
	struct paths_stem *root; /* what the children of "/", and itself, begin with */
	size_t name_at;
	size_t bytes; /* of memory that stems take, the root's aside */
};

/* name_at: where the name is in the things to be added (offsetof). False: no memory. */
bool paths_init(struct paths *paths, size_t name_at);

/* No entry may be left. */
void paths_release(struct paths *paths);

/* How many entries there are. */
size_t paths_count(const struct paths *paths);

/* How large the name of this path is, in bytes, its terminator included. */
size_t paths_name_size(const char *path);

/* The first added of those with this path, which is size bytes long; and the one added next. NULL: there is none. */
void *paths_find(const struct paths *paths, const char *path, size_t size);
void *paths_next(const struct paths *paths, const void *entry);

/* The first added of those with the entry's path. */
void *paths_same(const struct paths *paths, const void *entry);

/* Of those with the path of the directory that the entry is in; NULL also for "/", which is in none. */
void *paths_find_parent(const struct paths *paths, const void *entry);

/* Writes the name and adds. False: no memory, nothing has changed. */
bool paths_add(struct paths *paths, void *entry, const char *path);

void paths_remove(struct paths *paths, void *entry);

/* Whether the entry is in the directory with this path. */
bool paths_is_in(const struct paths *paths, const void *entry, const char *directory);

/* The entry's whole path, which the caller frees. NULL: no memory. */
char *paths_path(const struct paths *paths, const void *entry);

/* A hash of a path, and of that of an entry, which is the same: FNV-1a, wherever and whenever. */
uint64_t paths_hash(const char *path);
uint64_t paths_hash_of(const struct paths *paths, const void *entry);

/* To go through all, in no order: see table.h. */
void *paths_first(const struct paths *paths);
void *paths_behind(const struct paths *paths, const void *entry);

#endif
