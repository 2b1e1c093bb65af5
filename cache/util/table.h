/* A hash table whose elements hold the link themselves: a pointer in each and half of one to one for its chain, a sixth of what uthash
 * takes. It knows no keys: who looks up goes through the chain of those that may be equal and compares. Adding never fails, for
 * without memory the chains only get longer. Not safe from two threads at once. */
#ifndef ZKFS_CACHE_UTIL_TABLE_H
#define ZKFS_CACHE_UTIL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table;

struct table_link {
	struct table_link *next; /* in its chain */
};

/* The hash of an element in the table; the same as long as it is there. Any bits of it may be the ones that differ. */
typedef uint64_t table_hash(const struct table *table, const struct table_link *link);

struct table {
	table_hash *hash;
	struct table_link **chains; /* mask + 1 of them; NULL: only the first, below */
	struct table_link *first;
	size_t mask;
	size_t count; /* of elements */
};

#define TABLE_INIT(hash_function)       \
	{                               \
		.hash = (hash_function) \
	}

/* The element that holds this link; not for NULL. */
#define table_element(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

/* Frees what the table has allocated and empties it; the elements are their owners'. */
void table_release(struct table *table);

/* The first that may have this hash; those behind it (next) may have it as well. Equal ones are in the order of their adding. */
struct table_link *table_chain(const struct table *table, uint64_t hash);

void table_add(struct table *table, struct table_link *link);

/* It must be in the table, and its hash what it was. */
void table_remove(struct table *table, struct table_link *link);

/* To go through all, in no order: the first, and the one behind another; NULL: there is none. Who removes one asks for the next
 * before, and adds none meanwhile. */
struct table_link *table_first(const struct table *table);
struct table_link *table_next(const struct table *table, const struct table_link *link);

#endif
