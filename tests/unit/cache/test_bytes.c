#include "cache/util/bytes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { THREADS = 4, ROUNDS = 20000 };

START_TEST(copies_what_it_is_given)
{
	char text[] = "a\0b";
	struct bytes *bytes = bytes_new(text, 3);

	text[0] = 'x';
	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(bytes->size, 3);
	ck_assert_mem_eq(bytes->data, "a\0b", 3);
	bytes_put(bytes);
}
END_TEST

START_TEST(may_be_empty)
{
	struct bytes *bytes = bytes_new(NULL, 0);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(bytes->size, 0);
	bytes_put(bytes);
}
END_TEST

START_TEST(empty_ones_take_no_memory)
{
	struct bytes *all[10];

	unit_fail_allocation(1);
	for (int i = 0; i < 10; i++)
		all[i] = bytes_new("", 0);
	ck_assert(!unit_end_failure());
	for (int i = 0; i < 10; i++) {
		ck_assert_ptr_nonnull(all[i]);
		ck_assert_uint_eq(all[i]->size, 0);
		bytes_put(all[i]);
	}
}
END_TEST

START_TEST(null_may_be_got_and_put)
{
	ck_assert_ptr_null(bytes_get(NULL));
	bytes_put(NULL);
}
END_TEST

/* A sanitizer reports a put too few (leak) or too many (use after free). */
START_TEST(lives_until_the_last_put)
{
	struct bytes *bytes = bytes_new("abc", 3);

	ck_assert_uint_eq(bytes->refs, 1);
	ck_assert_ptr_eq(bytes_get(bytes), bytes);
	ck_assert_uint_eq(bytes->refs, 2);
	bytes_put(bytes);
	ck_assert_uint_eq(bytes->refs, 1);
	ck_assert_mem_eq(bytes->data, "abc", 3);
	bytes_put(bytes);
}
END_TEST

START_TEST(no_memory_gives_null)
{
	struct bytes *bytes;

	unit_fail_allocation(1);
	bytes = bytes_new("abc", 3);
	ck_assert(unit_end_failure());
	ck_assert_ptr_null(bytes);
}
END_TEST

static void *get_read_put(void *arg)
{
	struct bytes *bytes = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct bytes *mine = bytes_get(bytes);

		if (memcmp(mine->data, "abc", 3) != 0)
			abort();
		bytes_put(mine);
	}
	bytes_put(bytes);
	return NULL;
}

START_TEST(threads_share_it)
{
	struct bytes *bytes = bytes_new("abc", 3);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, get_read_put, bytes_get(bytes)), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(bytes->refs, 1);
	bytes_put(bytes);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tcase = tcase_create("bytes");

	tcase_add_test(tcase, copies_what_it_is_given);
	tcase_add_test(tcase, may_be_empty);
	tcase_add_test(tcase, empty_ones_take_no_memory);
	tcase_add_test(tcase, null_may_be_got_and_put);
	tcase_add_test(tcase, lives_until_the_last_put);
	tcase_add_test(tcase, no_memory_gives_null);
	tcase_add_test(tcase, threads_share_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
