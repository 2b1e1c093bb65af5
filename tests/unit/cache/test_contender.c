#include "cache/contender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { ROUNDS = 20000, NAME_SIZE = LOCK_NAME_MAX + 16 };

static const enum lock_scope scopes[] = { LOCK_FLOCK, LOCK_RECORD, LOCK_DIRECTORY };

/* --- Names --- */

static uint64_t random_word(void)
{
	static const uint64_t ends[] = { 0, 1, INT32_MAX, UINT32_MAX, LOCK_END, UINT64_MAX };

	if (unit_random(4) == 0)
		return ends[unit_random(sizeof(ends) / sizeof(ends[0]))];
	return (uint64_t)unit_random(UINT32_MAX) << 32 | unit_random(UINT32_MAX);
}

static struct lock_node random_node(enum lock_scope scope)
{
	bool is_record = scope == LOCK_RECORD;

	return (struct lock_node){ .is_exclusive = unit_random(2) == 0,
		.first = is_record ? random_word() : 0,
		.last = is_record ? random_word() : LOCK_END,
		.id = { .instance = random_word() | 1, .owner = random_word(), .serial = (uint32_t)random_word() },
		.number = (uint32_t)unit_random(INT32_MAX) };
}

static enum lock_order order_of(enum lock_scope scope, size_t index)
{
	if (scope == LOCK_DIRECTORY)
		return (enum lock_order)(LOCK_ORDER_KAZOO + index);
	return scope == LOCK_FLOCK ? LOCK_ORDER_FLOCK : LOCK_ORDER_RECORD;
}

/* What the server makes of the name of a sequential node (PrepRequestProcessor). */
static void make_sequential(enum lock_scope scope, size_t index, const struct lock_node *node, char name[NAME_SIZE])
{
	char bare[LOCK_NAME_MAX];

	lock_name(scope, index, node, bare);
	ck_assert_uint_lt(strlen(bare) + 10, LOCK_NAME_MAX);
	(void)snprintf(name, NAME_SIZE, "%s%010d", bare, (int)node->number);
}

START_TEST(name_says_it_all)
{
	unit_seed("name_says_it_all");
	for (int i = 0; i < ROUNDS; i++) {
		enum lock_scope scope = scopes[i % 3];
		size_t index = unit_random(lock_nodes_of(scope));
		struct lock_node node = random_node(scope), parsed;
		char name[NAME_SIZE], same[LOCK_NAME_MAX];

		make_sequential(scope, index, &node, name);
		lock_name_with_number(scope, index, &node, same);
		ck_assert_str_eq(name, same);
		ck_assert_msg(lock_parse(name, &parsed), "%s", name);
		ck_assert_int_eq(parsed.order, order_of(scope, index));
		ck_assert(parsed.is_exclusive == node.is_exclusive);
		ck_assert_uint_eq(parsed.first, node.first);
		ck_assert_uint_eq(parsed.last, node.last);
		ck_assert_uint_eq(parsed.id.instance, node.id.instance);
		ck_assert_uint_eq(parsed.id.owner, node.id.owner);
		ck_assert_uint_eq(parsed.id.serial, node.id.serial);
		ck_assert_uint_eq(parsed.number, node.number);
		ck_assert(lock_is_in_directory(name) == (scope == LOCK_DIRECTORY));
	}
}
END_TEST

/* A name of a file's lock in which a character is another, or which ends early, is no lock's, or says so. */
START_TEST(damaged_name)
{
	unit_seed("damaged_name");
	for (int i = 0; i < ROUNDS; i++) {
		enum lock_scope scope = scopes[i % 2];
		struct lock_node node = random_node(scope), parsed;
		char name[NAME_SIZE], again[LOCK_NAME_MAX], *copy;
		size_t at;

		make_sequential(scope, 0, &node, name);
		at = unit_random(strlen(name));
		name[at] = (char)(unit_random(2) == 0 ? 1 + unit_random(255) : 0);
		copy = unit_exact_copy(name, strlen(name) + 1);
		if (lock_parse(copy, &parsed)) {
			scope = parsed.order == LOCK_ORDER_FLOCK ? LOCK_FLOCK : LOCK_RECORD;
			lock_name_with_number(scope, 0, &parsed, again);
			ck_assert_str_eq(again, name);
		}
		free(copy);
	}
}
END_TEST

#define UUID "0123456789abcdef0123456789abcdef"
#define DASHED "01234567-89ab-cdef-0123-456789abcdef"

static const struct {
	const char *name;
	enum lock_order order;
	bool is_exclusive;
	uint32_t number;
} foreign[] = {
	{ UUID "__lock__0000000007", LOCK_ORDER_KAZOO, true, 7 },
	{ UUID "__rlock__2147483647", LOCK_ORDER_KAZOO, false, INT32_MAX },
	{ "__lock__0000000000", LOCK_ORDER_KAZOO, true, 0 },
	{ "_c_" DASHED "-lock-0000000012", LOCK_ORDER_MUTEX, true, 12 },
	{ "lock-0000000012", LOCK_ORDER_MUTEX, true, 12 },
	{ "_c_" DASHED "-__READ__0000000013", LOCK_ORDER_READ_WRITE, false, 13 },
	{ "_c_" DASHED "-__WRIT__0000000014", LOCK_ORDER_READ_WRITE, true, 14 },
	{ "__WRIT__0000000014", LOCK_ORDER_READ_WRITE, true, 14 },
};

enum { FOREIGN = sizeof(foreign) / sizeof(foreign[0]) };

START_TEST(names_of_others)
{
	struct lock_node node;

	ck_assert(lock_parse(foreign[_i].name, &node));
	ck_assert_int_eq(node.order, foreign[_i].order);
	ck_assert(node.is_exclusive == foreign[_i].is_exclusive);
	ck_assert_uint_eq(node.number, foreign[_i].number);
	ck_assert_uint_eq(node.id.instance, 0);
	ck_assert_uint_eq(node.first, 0);
	ck_assert_uint_eq(node.last, LOCK_END);
}
END_TEST

static const char *const no_locks[] = {
	"",
	"0",
	"0000000012",
	"readme",
	".data",
	"lock",
	"lock-",
	"lock-12",
	"lock-000000001",
	"lock-0000000001x",
	"lock-2147483648",
	"lock--000000001",
	"block_0000000001",
	UUID "__lock__",
	UUID "_lock_0000000001",
	"_c_" DASHED "-latch-0000000001",
	"_c_" DASHED "-lease-0000000001",
	"item0000000001",
};

enum { NO_LOCKS = sizeof(no_locks) / sizeof(no_locks[0]) };

START_TEST(what_is_no_lock)
{
	struct lock_node node;

	ck_assert_msg(!lock_parse(no_locks[_i], &node), "%s", no_locks[_i]);
}
END_TEST

/* --- Where ours stand among Curator's --- */

/* StandardLockInternalsDriver.standardFixForSorting */
static const char *fixed(const char *name, const char *mark)
{
	const char *rest = name;

	for (const char *at = name; (at = strstr(at, mark)) != NULL; at++)
		rest = at + strlen(mark);
	return rest;
}

static const char *mutex_key(const char *name)
{
	return fixed(name, "lock-");
}

/* InterProcessReadWriteLock.SortingLockInternalsDriver */
static const char *read_write_key(const char *name)
{
	return fixed(fixed(name, "__READ__"), "__WRIT__");
}

/* For each of Curator's orders one of our nodes stands where its number says, and the other two behind whatever number. */
START_TEST(curator_sorts_one_by_its_number)
{
	unit_seed("curator_sorts_one_by_its_number");
	for (int i = 0; i < ROUNDS; i++) {
		const struct lock_node node = random_node(LOCK_DIRECTORY);
		size_t index = (size_t)i % LOCK_NODES_MAX;
		enum lock_order order = order_of(LOCK_DIRECTORY, index);
		char name[NAME_SIZE], digits[11];

		(void)snprintf(digits, sizeof(digits), "%010d", (int)node.number);
		make_sequential(LOCK_DIRECTORY, index, &node, name);
		if (order == LOCK_ORDER_MUTEX)
			ck_assert_str_eq(mutex_key(name), digits);
		else
			ck_assert_str_gt(mutex_key(name), "9999999999");
		if (order == LOCK_ORDER_READ_WRITE)
			ck_assert_str_eq(read_write_key(name), digits);
		else
			ck_assert_str_gt(read_write_key(name), "9999999999");
		/* Kazoo's regular expressions, and Curator's search for a writer */
		ck_assert((strstr(name, "__lock__") != NULL) == (order == LOCK_ORDER_KAZOO && node.is_exclusive));
		ck_assert((strstr(name, "__rlock__") != NULL) == (order == LOCK_ORDER_KAZOO && !node.is_exclusive));
		ck_assert((strstr(name, "__WRIT__") != NULL) == (order == LOCK_ORDER_READ_WRITE && node.is_exclusive));
	}
}
END_TEST

/* --- Who holds --- */

static struct lock_node record(char mode, uint64_t first, uint64_t last, uint64_t owner, uint32_t number)
{
	return (struct lock_node){ .order = LOCK_ORDER_RECORD,
		.is_exclusive = mode == 'w',
		.first = first,
		.last = last,
		.id = { .instance = 1, .owner = owner },
		.number = number };
}

START_TEST(conflicts)
{
	const struct lock_node read = record('r', 2, 4, 1, 1), write = record('w', 2, 4, 2, 2);
	struct lock_node other;

	ck_assert(!lock_conflicts(&read, &read));
	ck_assert(lock_conflicts(&read, &write));
	ck_assert(lock_conflicts(&write, &read));
	ck_assert(lock_conflicts(&write, &write));
	other = record('w', 5, 9, 3, 3);
	ck_assert(!lock_conflicts(&write, &other));
	other = record('w', 0, 1, 3, 3);
	ck_assert(!lock_conflicts(&write, &other));
	other = record('w', 4, 9, 3, 3);
	ck_assert(lock_conflicts(&write, &other));
	other = record('w', 0, LOCK_END, 3, 3);
	ck_assert(lock_conflicts(&read, &other));
	other.order = LOCK_ORDER_FLOCK;
	ck_assert(!lock_conflicts(&read, &other));
}
END_TEST

START_TEST(same_owner)
{
	struct lock_node a = record('r', 0, 1, 7, 1), b = record('w', 5, 6, 7, 2);

	ck_assert(lock_has_same_owner(&a, &b));
	b.id.owner = 8;
	ck_assert(!lock_has_same_owner(&a, &b));
	b.id = (struct lock_id){ .instance = 2, .owner = 7 };
	ck_assert(!lock_has_same_owner(&a, &b));
	a.id = b.id = (struct lock_id){ 0 }; /* others' */
	ck_assert(!lock_has_same_owner(&a, &b));
}
END_TEST

static struct lock_verdict judge(const struct lock_node *mine, const struct lock_node *queue, size_t count)
{
	return lock_judge(mine, NULL, 0, queue, count);
}

START_TEST(the_last_before_is_waited_for)
{
	const struct lock_node queue[] = {
		record('w', 0, 9, 1, 5),
		record('r', 0, 9, 2, 3),
		record('r', 0, 9, 3, 7),
		record('r', 0, 9, 4, 6),
		record('w', 0, 9, 5, 9),
		record('w', 20, 30, 6, 1),
	};

	ck_assert_uint_eq(judge(&queue[5], queue, 6).blocker, 6);
	ck_assert_uint_eq(judge(&queue[1], queue, 6).blocker, 6);
	ck_assert_uint_eq(judge(&queue[0], queue, 6).blocker, 1);
	ck_assert_uint_eq(judge(&queue[3], queue, 6).blocker, 0); /* readers overlap */
	ck_assert_uint_eq(judge(&queue[2], queue, 6).blocker, 0);
	ck_assert_uint_eq(judge(&queue[4], queue, 6).blocker, 2);
	ck_assert_uint_eq(judge(&queue[4], queue, 6).rank, UINT32_MAX);
}
END_TEST

START_TEST(own_nodes_are_passed)
{
	const struct lock_node queue[] = { record('r', 0, 9, 1, 1), record('w', 0, 9, 1, 2) };

	ck_assert_uint_eq(judge(&queue[1], queue, 2).blocker, 2);
	ck_assert_uint_eq(lock_judge(&queue[1], queue, 1, queue, 2).rank, UINT32_MAX);
}
END_TEST

/* Who waits for what is held already is passed by, and the place is taken that it waits for. */
START_TEST(who_waits_for_what_is_held_is_passed)
{
	const struct lock_node queue[] = {
		record('w', 0, 4, 1, 3), record('w', 3, 9, 2, 5),			      /* waits for it */
		record('w', 5, 9, 1, 7), record('r', 20, 29, 1, 2), record('w', 8, 25, 4, 6), /* waits for that */
	};
	const struct lock_node held[] = { queue[0], queue[3] };

	ck_assert_uint_eq(judge(&queue[2], queue, 3).blocker, 1);
	ck_assert_uint_eq(lock_judge(&queue[2], held, 1, queue, 3).blocker, 3);
	ck_assert_uint_eq(lock_judge(&queue[2], held, 1, queue, 3).rank, 3);
	ck_assert_uint_eq(lock_judge(&queue[2], held, 2, queue, 5).blocker, 5);
	ck_assert_uint_eq(lock_judge(&queue[2], held, 2, queue, 5).rank, 2);
}
END_TEST

START_TEST(who_holds_too_is_not_passed)
{
	const struct lock_node queue[] = {
		record('r', 0, 9, 1, 3), /* both read, */
		record('r', 0, 9, 2, 4),
		record('w', 0, 9, 1, 5), /* and want to write */
		record('w', 0, 9, 2, 6),
	};

	ck_assert_uint_eq(lock_judge(&queue[2], &queue[0], 1, queue, 4).blocker, 1);
	ck_assert_uint_eq(lock_judge(&queue[3], &queue[1], 1, queue, 4).blocker, 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("contender");
	TCase *tcase = tcase_create("contender");

	tcase_add_test(tcase, name_says_it_all);
	tcase_add_test(tcase, damaged_name);
	tcase_add_loop_test(tcase, names_of_others, 0, FOREIGN);
	tcase_add_loop_test(tcase, what_is_no_lock, 0, NO_LOCKS);
	tcase_add_test(tcase, curator_sorts_one_by_its_number);
	tcase_add_test(tcase, conflicts);
	tcase_add_test(tcase, same_owner);
	tcase_add_test(tcase, the_last_before_is_waited_for);
	tcase_add_test(tcase, own_nodes_are_passed);
	tcase_add_test(tcase, who_waits_for_what_is_held_is_passed);
	tcase_add_test(tcase, who_holds_too_is_not_passed);
	suite_add_tcase(suite, tcase);
	return suite;
}
