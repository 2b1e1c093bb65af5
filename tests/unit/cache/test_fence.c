#include "cache/fence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct fences fences;
static bool is_over; /* who was not told in the test does not hear of its end */

/* One who waits. */
struct told {
	int times;
	int error;
};

static void setup(void)
{
	memset(&fences, 0, sizeof(fences));
	is_over = false;
}

static void teardown(void)
{
	is_over = true;
	fences_expire(&fences, INT64_MAX, -ECANCELED);
	ck_assert_ptr_null(fences.waiting);
}

static void tell(int error, void *arg)
{
	struct told *told = arg;

	if (is_over)
		return;
	told->error = error;
	told->times++;
}

static void add_until(int64_t zxid, int64_t deadline, struct told *told)
{
	struct fence *list = NULL;

	fence_queue(&list, fence_new(zxid, deadline, tell, told));
	fences_add(&fences, list);
}

static void add(int64_t zxid, struct told *told)
{
	*told = (struct told){ .error = 1 };
	add_until(zxid, 1000, told);
}

static void check_told(const struct told *told, int times, int error)
{
	ck_assert_int_eq(told->times, times);
	if (times)
		ck_assert_int_eq(told->error, error);
}

static void check_probes(enum fence_probe first, enum fence_probe second)
{
	ck_assert_int_eq(fences_next_probe(&fences), first);
	ck_assert_int_eq(fences_next_probe(&fences), second);
	if (second != FENCE_NO_PROBE)
		ck_assert_int_eq(fences_next_probe(&fences), FENCE_NO_PROBE);
}

START_TEST(nobody_waits_at_first)
{
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
	ck_assert_int_eq(fences_deadline(&fences), INT64_MAX);
	fences_add(&fences, NULL);
	fences_reply(&fences, 5, FENCE_NO_PROBE);
	ck_assert_int_eq(fence_max_zxid(NULL), 0);
}
END_TEST

START_TEST(ping_passes_what_it_is_not_older_than)
{
	struct told five, six;

	add(5, &five);
	add(6, &six);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	fences_reply(&fences, 5, FENCE_PING);
	check_told(&five, 1, 0);
	check_told(&six, 0, 0);
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
	fences_reply(&fences, 6, FENCE_SYNC);
	check_told(&six, 1, 0);
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
}
END_TEST

START_TEST(what_was_passed_needs_no_probe)
{
	struct told told;

	fences_reply(&fences, 5, FENCE_NO_PROBE);
	fences_reply(&fences, 3, FENCE_NO_PROBE);
	add(5, &told);
	check_told(&told, 1, 0);
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
	add(6, &told);
	check_told(&told, 0, 0);
}
END_TEST

START_TEST(any_reply_passes)
{
	struct told told;

	add(5, &told);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	fences_reply(&fences, 4, FENCE_NO_PROBE);
	check_told(&told, 0, 0);
	fences_reply(&fences, 7, FENCE_NO_PROBE);
	check_told(&told, 1, 0);
}
END_TEST

/* However new the replies, they may have been sent before what the fence is for. */
START_TEST(unknown_zxid_passes_with_its_own_sync_only)
{
	struct told first, second;

	fences_reply(&fences, 100, FENCE_NO_PROBE);
	add(0, &first);
	check_told(&first, 0, 0);
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
	add(0, &second);
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
	fences_reply(&fences, 200, FENCE_NO_PROBE);
	fences_reply(&fences, 200, FENCE_PING);
	check_told(&first, 0, 0);
	fences_reply(&fences, 100, FENCE_SYNC);
	check_told(&first, 1, 0);
	check_told(&second, 0, 0);
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
	fences_reply(&fences, 100, FENCE_SYNC);
	check_told(&second, 1, 0);
	check_told(&first, 1, 0);
}
END_TEST

/* A ping sent before it came says nothing of it. */
START_TEST(late_comer_gets_a_ping_of_its_own)
{
	struct told five, six;

	add(5, &five);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	add(6, &six);
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
	fences_reply(&fences, 4, FENCE_PING);
	check_probes(FENCE_PING, FENCE_SYNC);
	fences_reply(&fences, 6, FENCE_PING);
	check_told(&five, 1, 0);
	check_told(&six, 1, 0);
	fences_reply(&fences, 6, FENCE_SYNC);
	check_told(&five, 1, 0);
}
END_TEST

START_TEST(sync_is_repeated_until_the_server_is_there)
{
	struct told told;

	add(5, &told);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	fences_reply(&fences, 1, FENCE_PING);
	for (int64_t zxid = 2; zxid < 5; zxid++) {
		check_probes(FENCE_SYNC, FENCE_NO_PROBE);
		fences_reply(&fences, zxid, FENCE_SYNC);
		check_told(&told, 0, 0);
	}
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
	fences_reply(&fences, 5, FENCE_SYNC);
	check_told(&told, 1, 0);
}
END_TEST

START_TEST(refused_probe_is_sent_again)
{
	struct told unknown, five;

	add(0, &unknown);
	add(5, &five);
	for (int i = 0; i < 3; i++) {
		check_probes(FENCE_PING, FENCE_SYNC);
		fences_refused(&fences, FENCE_PING);
		fences_refused(&fences, FENCE_SYNC);
		check_told(&unknown, 0, 0);
		check_told(&five, 0, 0);
	}
	check_probes(FENCE_PING, FENCE_SYNC);
	fences_reply(&fences, 4, FENCE_SYNC);
	check_told(&unknown, 1, 0);
	check_told(&five, 0, 0);
	fences_reply(&fences, 5, FENCE_PING);
	check_told(&five, 1, 0);
}
END_TEST

START_TEST(break_forgets_what_was_sent_and_passed)
{
	struct told unknown, five, four;

	fences_reply(&fences, 4, FENCE_NO_PROBE);
	add(0, &unknown);
	add(5, &five);
	check_probes(FENCE_PING, FENCE_SYNC);
	fences_broken(&fences);
	check_told(&unknown, 0, 0);
	check_told(&five, 0, 0);
	add(4, &four);
	check_told(&four, 0, 0);
	check_probes(FENCE_PING, FENCE_SYNC);
	fences_reply(&fences, 4, FENCE_SYNC);
	check_told(&unknown, 1, 0);
	check_told(&four, 1, 0);
	fences_reply(&fences, 5, FENCE_PING);
	check_told(&five, 1, 0);
}
END_TEST

START_TEST(ends_at_the_deadline)
{
	struct told early = { .error = 1 }, late = { .error = 1 };

	add_until(5, 100, &early);
	add_until(0, 200, &late);
	ck_assert_int_eq(fences_deadline(&fences), 100);
	fences_expire(&fences, 99, -ETIMEDOUT);
	check_told(&early, 0, 0);
	fences_expire(&fences, 100, -ETIMEDOUT);
	check_told(&early, 1, -ETIMEDOUT);
	check_told(&late, 0, 0);
	ck_assert_int_eq(fences_deadline(&fences), 200);
	fences_expire(&fences, INT64_MAX, -ECANCELED);
	check_told(&late, 1, -ECANCELED);
	check_told(&early, 1, -ETIMEDOUT);
}
END_TEST

START_TEST(answer_to_who_has_gone_passes_nobody_else)
{
	struct told gone = { .error = 1 }, here;

	add_until(0, 100, &gone);
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
	fences_expire(&fences, 100, -ETIMEDOUT);
	add(0, &here);
	check_probes(FENCE_NO_PROBE, FENCE_NO_PROBE);
	fences_reply(&fences, 5, FENCE_SYNC);
	check_told(&here, 0, 0);
	check_probes(FENCE_SYNC, FENCE_NO_PROBE);
}
END_TEST

START_TEST(list_keeps_its_order_and_knows_its_newest)
{
	struct told told[3] = { { 0, 1 }, { 0, 1 }, { 0, 1 } };
	struct fence *list = NULL;

	fence_queue(&list, fence_new(3, 10, tell, &told[0]));
	fence_queue(&list, fence_new(7, 20, tell, &told[1]));
	fence_queue(&list, fence_new(0, 30, tell, &told[2]));
	ck_assert_int_eq(fence_max_zxid(list), 7);
	fences_add(&fences, list);
	ck_assert_int_eq(fences_deadline(&fences), 10);
	check_probes(FENCE_PING, FENCE_SYNC);
	fences_reply(&fences, 3, FENCE_PING);
	check_told(&told[0], 1, 0);
	check_told(&told[1], 0, 0);
	ck_assert_int_eq(fences_deadline(&fences), 20);
}
END_TEST

/* Who is told may want to wait again at once. */
static void add_another(int error, void *arg)
{
	tell(error, arg);
	if (((struct told *)arg)->times == 1) {
		struct fence *list = NULL;

		fence_queue(&list, fence_new(9, 1000, add_another, arg));
		fences_add(&fences, list);
	}
}

START_TEST(who_is_told_may_wait_again)
{
	struct told told = { 0, 1 };
	struct fence *list = NULL;

	fence_queue(&list, fence_new(5, 1000, add_another, &told));
	fences_add(&fences, list);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	fences_reply(&fences, 5, FENCE_PING);
	check_told(&told, 1, 0);
	check_probes(FENCE_PING, FENCE_NO_PROBE);
	fences_reply(&fences, 9, FENCE_PING);
	check_told(&told, 2, 0);
}
END_TEST

START_TEST(lack_of_memory_makes_none)
{
	struct fence *fence;

	unit_fail_allocation(1);
	fence = fence_new(5, 1000, tell, NULL);
	ck_assert(unit_end_failure());
	ck_assert_ptr_null(fence);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("fence");
	TCase *tcase = tcase_create("fence");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, nobody_waits_at_first);
	tcase_add_test(tcase, ping_passes_what_it_is_not_older_than);
	tcase_add_test(tcase, what_was_passed_needs_no_probe);
	tcase_add_test(tcase, any_reply_passes);
	tcase_add_test(tcase, unknown_zxid_passes_with_its_own_sync_only);
	tcase_add_test(tcase, late_comer_gets_a_ping_of_its_own);
	tcase_add_test(tcase, sync_is_repeated_until_the_server_is_there);
	tcase_add_test(tcase, refused_probe_is_sent_again);
	tcase_add_test(tcase, break_forgets_what_was_sent_and_passed);
	tcase_add_test(tcase, ends_at_the_deadline);
	tcase_add_test(tcase, answer_to_who_has_gone_passes_nobody_else);
	tcase_add_test(tcase, list_keeps_its_order_and_knows_its_newest);
	tcase_add_test(tcase, who_is_told_may_wait_again);
	tcase_add_test(tcase, lack_of_memory_makes_none);
	suite_add_tcase(suite, tcase);
	return suite;
}
