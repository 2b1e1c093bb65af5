#include "cache/util/clock.h"

#include <errno.h>

#include "tests/unit/unit.h"

START_TEST(never_goes_back)
{
	int64_t last = clock_now();

	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_now();

		ck_assert_int_ge(now, last);
		last = now;
	}
}
END_TEST

START_TEST(timed_waits_go_by_it)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t condition;
	int64_t until = clock_now() + 20;
	struct timespec at = clock_at(until);
	int err = 0;

	clock_init_condition(&condition);
	pthread_mutex_lock(&lock);
	while (err == 0)
		err = pthread_cond_timedwait(&condition, &lock, &at);
	pthread_mutex_unlock(&lock);
	ck_assert_int_eq(err, ETIMEDOUT);
	ck_assert_int_ge(clock_now(), until);
	pthread_cond_destroy(&condition);
}
END_TEST

START_TEST(moments_are_whole)
{
	const struct timespec at = clock_at(1999);

	ck_assert_int_eq(at.tv_sec, 1);
	ck_assert_int_eq(at.tv_nsec, 999000000);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase = tcase_create("clock");

	tcase_add_test(tcase, never_goes_back);
	tcase_add_test(tcase, timed_waits_go_by_it);
	tcase_add_test(tcase, moments_are_whole);
	suite_add_tcase(suite, tcase);
	return suite;
}
