#include "cache/util/table.h"

#include <stdbool.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { THINGS = 1000 };

struct thing {
	uint64_t number;
	struct table_link link; /* not first: see table_element */
	bool is_in;
	int seen;
};

static struct thing things[THINGS];
static struct table table;

static struct thing *thing_of(const struct table_link *link)
{
	return table_element(link, struct thing, link);
}

static uint64_t hash_number(const struct table *of, const struct table_link *link)
{
	ck_assert_ptr_eq(of, &table);
	return thing_of(link)->number;
}

static void setup(void)
{
	memset(things, 0, sizeof(things));
	table = (struct table)TABLE_INIT(hash_number);
}

static void teardown(void)
{
	table_release(&table);
}

static struct thing *find(uint64_t number)
{
	struct table_link *link = table_chain(&table, number);

	while (link && thing_of(link)->number != number)
		link = link->next;
	return link ? thing_of(link) : NULL;
}

static void add(struct thing *thing)
{
	table_add(&table, &thing->link);
	thing->is_in = true;
}

static void drop(struct thing *thing)
{
	table_remove(&table, &thing->link);
	thing->is_in = false;
}

/* Everything that is in is found, counted, and gone through once; nothing else is. */
static void check_invariant(void)
{
	struct table_link *link;
	size_t count = 0;

	for (size_t i = 0; i < THINGS; i++) {
		ck_assert_ptr_eq(find(things[i].number), things[i].is_in ? &things[i] : NULL);
		count += things[i].is_in ? 1 : 0;
		things[i].seen = 0;
	}
	ck_assert_uint_eq(table.count, count);
	for (link = table_first(&table); link; link = table_next(&table, link))
		thing_of(link)->seen++;
	for (size_t i = 0; i < THINGS; i++)
		ck_assert_int_eq(things[i].seen, things[i].is_in ? 1 : 0);
}

static size_t longest_chain(void)
{
	size_t longest = 0;

	for (size_t i = 0; i <= table.mask; i++) {
		const struct table_link *link = table.chains ? table.chains[i] : table.first;
		size_t length = 0;

		for (; link; link = link->next)
			length++;
		longest = length > longest ? length : longest;
	}
	return longest;
}

START_TEST(empty_table_has_nothing)
{
	ck_assert_ptr_null(table_first(&table));
	ck_assert_ptr_null(table_chain(&table, 0));
	ck_assert_uint_eq(table.count, 0);
}
END_TEST

START_TEST(anything_may_come_and_go)
{
	unit_seed("anything_may_come_and_go");
	for (size_t i = 0; i < THINGS; i++)
		things[i].number = i << 40; /* they differ high up alone */
	for (int i = 0; i < 20000; i++) {
		/* Mostly in, then mostly out. */
		struct thing *thing = &things[unit_random(THINGS)];
		bool shall_be_in = unit_random(10) < (i < 10000 ? 9 : 1);

		if (shall_be_in && !thing->is_in)
			add(thing);
		else if (!shall_be_in && thing->is_in)
			drop(thing);
		if (i % 500 == 0)
			check_invariant();
	}
	check_invariant();
}
END_TEST

START_TEST(chains_are_short)
{
	for (size_t i = 0; i < THINGS; i++) {
		things[i].number = i << 40;
		add(&things[i]);
	}
	ck_assert_uint_lt(longest_chain(), 12);
	ck_assert_uint_le(table.mask + 1, THINGS);
}
END_TEST

START_TEST(equal_ones_keep_their_order)
{
	struct table_link *link;
	size_t at = 0;

	for (size_t i = 0; i < THINGS; i++) {
		things[i].number = i % 100 ? i : 7;
		add(&things[i]);
	}
	drop(&things[200]);
	for (link = table_chain(&table, 7); link; link = link->next) {
		if (thing_of(link)->number != 7)
			continue;
		while (things[at].number != 7 || !things[at].is_in)
			at++;
		ck_assert_ptr_eq(thing_of(link), &things[at++]);
	}
	ck_assert_uint_eq(at, 901);
}
END_TEST

START_TEST(one_may_be_removed_while_going_through)
{
	struct table_link *link, *next;
	size_t count = 0;

	for (size_t i = 0; i < THINGS; i++) {
		things[i].number = i;
		add(&things[i]);
	}
	for (link = table_first(&table); link; link = next) {
		next = table_next(&table, link);
		drop(thing_of(link));
		count++;
	}
	ck_assert_uint_eq(count, THINGS);
	check_invariant();
}
END_TEST

START_TEST(lack_of_memory_only_makes_it_slower)
{
	for (size_t i = 0; i < THINGS; i++) {
		things[i].number = i;
		unit_fail_allocation(1);
		add(&things[i]);
		(void)unit_end_failure();
	}
	ck_assert_uint_eq(longest_chain(), THINGS);
	check_invariant();
	drop(&things[0]);
	add(&things[0]);
	ck_assert_uint_lt(longest_chain(), THINGS);
	check_invariant();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("table");
	TCase *tests = tcase_create("table");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, empty_table_has_nothing);
	tcase_add_test(tests, anything_may_come_and_go);
	tcase_add_test(tests, chains_are_short);
	tcase_add_test(tests, equal_ones_keep_their_order);
	tcase_add_test(tests, one_may_be_removed_while_going_through);
	tcase_add_test(tests, lack_of_memory_only_makes_it_slower);
	suite_add_tcase(suite, tests);
	return suite;
}
