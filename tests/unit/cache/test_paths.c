#include "cache/util/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

struct thing {
	struct paths_entry entry;
	int number;
	char name[];
};

static struct paths paths;

static void setup(void)
{
	ck_assert(paths_init(&paths, offsetof(struct thing, name)));
}

static void drop(struct thing *thing)
{
	paths_remove(&paths, thing);
	free(thing);
}

static void teardown(void)
{
	struct thing *thing;

	while ((thing = paths_first(&paths)))
		drop(thing);
	ck_assert_uint_eq(paths_count(&paths), 0);
	ck_assert_uint_eq(paths.bytes, 0);
	ck_assert_uint_eq(paths.stems.count, 0);
	paths_release(&paths);
}

static struct thing *add(const char *path, int number)
{
	struct thing *thing = malloc(sizeof(*thing) + paths_name_size(path));

	thing->number = number;
	ck_assert(paths_add(&paths, thing, path));
	return thing;
}

static struct thing *find(const char *path)
{
	return paths_find(&paths, path, strlen(path));
}

static const char *const some[] = { "/", "/a", "/b", "/a/a", "/a/b", "/b/a", "/a/b/c", "/ab", "/a/bc", "/aa/b",
	"/a b/\xc3\xa9", "/a/ab" };
enum { SOME = sizeof(some) / sizeof(*some) };

START_TEST(each_is_found_by_its_path_alone)
{
	struct thing *things[SOME];

	for (int i = 0; i < SOME; i++)
		things[i] = add(some[i], i);
	ck_assert_uint_eq(paths_count(&paths), SOME);
	for (int i = 0; i < SOME; i++) {
		char *path = paths_path(&paths, things[i]);
		char *exact = unit_exact_copy(some[i], strlen(some[i]));

		ck_assert_ptr_eq(paths_find(&paths, exact, strlen(some[i])), things[i]);
		ck_assert_ptr_null(paths_next(&paths, things[i]));
		ck_assert_str_eq(path, some[i]);
		ck_assert_uint_eq(paths_hash(some[i]), paths_hash_of(&paths, things[i]));
		free(exact);
		free(path);
	}
	ck_assert_ptr_null(find("/c"));
	ck_assert_ptr_null(find("/a/c"));
	ck_assert_ptr_null(find("/a/a/a"));
	ck_assert_ptr_null(find("/b/c"));
	ck_assert_ptr_null(paths_find(&paths, "/a/b", 3));
}
END_TEST

START_TEST(parents_are_found)
{
	static const char *const parents[SOME] = { NULL, "/", "/", "/a", "/a", "/b", "/a/b", "/", "/a", NULL, NULL,
		"/a" };

	for (int i = 0; i < SOME; i++)
		(void)add(some[i], i);
	for (int i = 0; i < SOME; i++)
		ck_assert_ptr_eq(paths_find_parent(&paths, find(some[i])), parents[i] ? find(parents[i]) : NULL);
}
END_TEST

START_TEST(directories_know_what_is_in_them)
{
	(void)add("/", 0);
	(void)add("/a", 1);
	(void)add("/a/b", 2);
	ck_assert(!paths_is_in(&paths, find("/"), "/"));
	ck_assert(paths_is_in(&paths, find("/a"), "/"));
	ck_assert(!paths_is_in(&paths, find("/a"), "/a"));
	ck_assert(paths_is_in(&paths, find("/a/b"), "/a"));
	ck_assert(!paths_is_in(&paths, find("/a/b"), "/"));
	ck_assert(!paths_is_in(&paths, find("/a/b"), "/b"));
}
END_TEST

START_TEST(several_may_have_one_path)
{
	struct thing *things[100];
	struct thing *thing;
	char path[32];

	for (int i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "/a/%d", i); /* so that the tables grow meanwhile */
		(void)add(path, -1);
		things[i] = add("/a/same", i);
	}
	drop(things[0]);
	drop(things[50]);
	thing = find("/a/same");
	for (int i = 1; i < 100; i++) {
		if (i == 50)
			continue;
		ck_assert_ptr_eq(thing, things[i]);
		ck_assert_ptr_eq(paths_same(&paths, thing), things[1]);
		thing = paths_next(&paths, thing);
	}
	ck_assert_ptr_null(thing);
}
END_TEST

START_TEST(directory_is_kept_once_and_while_it_is_needed)
{
	struct thing *a = add("/long-directory/a", 0);
	size_t bytes = paths.bytes;
	struct thing *b = add("/long-directory/b", 1);

	ck_assert_uint_gt(bytes, strlen("/long-directory"));
	ck_assert_uint_eq(paths.bytes, bytes);
	drop(a);
	ck_assert_ptr_eq(find("/long-directory/b"), b);
	ck_assert_uint_eq(paths.bytes, bytes);
	drop(b);
	ck_assert_uint_eq(paths.bytes, 0);
	(void)add("/", 2);
	(void)add("/a", 3);
	ck_assert_uint_eq(paths.bytes, 0);
}
END_TEST

START_TEST(all_are_gone_through)
{
	int seen[SOME] = { 0 };
	struct thing *thing;

	for (int i = 0; i < SOME; i++)
		(void)add(some[i], i);
	for (thing = paths_first(&paths); thing; thing = paths_behind(&paths, thing))
		seen[thing->number]++;
	for (int i = 0; i < SOME; i++)
		ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(lack_of_memory_changes_nothing)
{
	struct thing *thing = malloc(sizeof(*thing) + 2);
	bool is_added;

	(void)add("/a", 0);
	unit_fail_allocation(1);
	is_added = paths_add(&paths, thing, "/a/b");
	ck_assert(unit_end_failure());
	ck_assert(!is_added);
	ck_assert_uint_eq(paths_count(&paths), 1);
	ck_assert_ptr_null(find("/a/b"));
	ck_assert(paths_add(&paths, thing, "/a/b"));
	ck_assert_ptr_eq(find("/a/b"), thing);

	unit_fail_allocation(1);
	is_added = paths_init(&(struct paths){ 0 }, 0);
	ck_assert(unit_end_failure());
	ck_assert(!is_added);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("paths");
	TCase *tests = tcase_create("paths");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, each_is_found_by_its_path_alone);
	tcase_add_test(tests, parents_are_found);
	tcase_add_test(tests, directories_know_what_is_in_them);
	tcase_add_test(tests, several_may_have_one_path);
	tcase_add_test(tests, directory_is_kept_once_and_while_it_is_needed);
	tcase_add_test(tests, all_are_gone_through);
	tcase_add_test(tests, lack_of_memory_changes_nothing);
	suite_add_tcase(suite, tests);
	return suite;
}
