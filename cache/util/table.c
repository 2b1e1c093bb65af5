#include "cache/util/table.h"

#include <stdlib.h>
#include <string.h>

enum { CHAINS_MIN = 16, PER_CHAIN = 2 }; /* elements, on average and at most */

/* Each bit of the hash moves some of the lower ones (the finaliser of MurmurHash3, but for its last step). */
static size_t place(uint64_t hash, size_t mask)
{
	hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
	hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
	return (size_t)(hash >> 32) & mask;
}

static struct table_link **chain_at(struct table *table, size_t at)
{
	return table->chains ? &table->chains[at] : &table->first;
}

static struct table_link *first_at(const struct table *table, size_t at)
{
	return table->chains ? table->chains[at] : table->first;
}

static void append(struct table_link **chain, struct table_link *link)
{
	while (*chain)
		chain = &(*chain)->next;
	link->next = NULL;
	*chain = link;
}

static void grow(struct table *table)
{
	size_t count = table->chains ? 2 * (table->mask + 1) : CHAINS_MIN;
	struct table_link **chains = calloc(count, sizeof(struct table_link *));

	if (!chains)
		return;
	for (size_t i = 0; i <= table->mask; i++) {
		struct table_link *link = first_at(table, i);

		while (link) {
			struct table_link *next = link->next;

			append(&chains[place(table->hash(table, link), count - 1)], link);
			link = next;
		}
	}
	free(table->chains);
	table->chains = chains;
	table->first = NULL;
	table->mask = count - 1;
}

void table_release(struct table *table)
{
	free(table->chains);
	*table = (struct table){ .hash = table->hash };
}

struct table_link *table_chain(const struct table *table, uint64_t hash)
{
	return first_at(table, place(hash, table->mask));
}

void table_add(struct table *table, struct table_link *link)
{
	if (++table->count > PER_CHAIN * (table->mask + 1))
		grow(table);
	append(chain_at(table, place(table->hash(table, link), table->mask)), link);
}

void table_remove(struct table *table, struct table_link *link)
{
	struct table_link **at = chain_at(table, place(table->hash(table, link), table->mask));

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	table->count--;
}

static struct table_link *first_from(const struct table *table, size_t at)
{
	for (; at <= table->mask; at++) {
		struct table_link *link = first_at(table, at);

		if (link)
			return link;
	}
	return NULL;
}

struct table_link *table_first(const struct table *table)
{
	return first_from(table, 0);
}

struct table_link *table_next(const struct table *table, const struct table_link *link)
{
	if (link->next)
		return link->next;
	return first_from(table, place(table->hash(table, link), table->mask) + 1);
}
