#include "fusefs/requests.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct requests *requests;

static void setup(void)
{
	requests = requests_new();
}

static void teardown(void)
{
	requests_free(requests);
}

static void came(uint32_t opcode, uint64_t unique)
{
	const struct fuse_in_header header = { .len = sizeof(header), .opcode = opcode, .unique = unique };

	requests_came(requests, &header, sizeof(header));
}

static void answered(uint64_t unique, int error)
{
	struct fuse_out_header header = { .len = sizeof(header), .error = -error, .unique = unique };
	const struct iovec parts[] = { { .iov_base = &header, .iov_len = sizeof(header) } };

	requests_answered(requests, parts, 1);
}

/* Whether a line of what is told is this. */
static bool tells(const char *line)
{
	struct buf out = BUF_INIT;
	char text[256];
	bool is_there;

	(void)snprintf(text, sizeof(text), "\n%s\n", line);
	requests_render(requests, &out);
	ck_assert(buf_append(&out, "", 1));
	is_there = strstr(out.data, text) != NULL;
	buf_release(&out);
	return is_there;
}

START_TEST(what_came_and_was_answered)
{
	came(FUSE_LOOKUP, 2);
	came(FUSE_LOOKUP, 4);
	came(FUSE_READ, 6);
	answered(2, 0);
	answered(4, ENOENT);
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"lookup\"} 2"));
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"read\"} 1"));
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"lookup\"} 2"));
	ck_assert(tells("zkfs_fuse_errors_total{operation=\"lookup\",error=\"ENOENT\"} 1"));
	ck_assert(!tells("zkfs_fuse_request_duration_seconds_count{operation=\"read\"} 1")); /* not yet */
	answered(6, 0);
	answered(6, EIO); /* twice, which no handler does */
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"read\"} 1"));
	ck_assert(!tells("zkfs_fuse_errors_total{operation=\"read\",error=\"EIO\"} 1"));
}
END_TEST

START_TEST(what_has_no_answer)
{
	for (uint64_t i = 0; i < 100000; i++) {
		came(FUSE_FORGET, 2 * i);
		came(FUSE_BATCH_FORGET, 2 * i);
		came(FUSE_INTERRUPT, 2 * i + 1);
	}
	answered(0, 0); /* a notification */
	came(FUSE_OPEN, 2);
	answered(2, 0);
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"forget\"} 100000"));
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"open\"} 1"));
	ck_assert(tells("zkfs_fuse_notifications_total 1"));
}
END_TEST

START_TEST(what_nobody_knows)
{
	const struct iovec none = { .iov_base = NULL, .iov_len = 0 };

	requests_came(requests, "short", 5);
	requests_answered(requests, &none, 0);
	requests_answered(requests, &none, 1);
	came(4096, 2); /* CUSE_INIT, or of a newer kernel */
	came(60, 4);
	answered(2, 0);
	answered(4, 4000);
	answered(8, 0);
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"0\"} 1"));
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"60\"} 1"));
	ck_assert(tells("zkfs_fuse_errors_total{operation=\"60\",error=\"other\"} 1"));
}
END_TEST

/* More than there is room for are counted, and the rest is timed again when room is there. */
START_TEST(too_many)
{
	enum { MANY = 1 << 14 };

	for (uint64_t i = 1; i <= MANY; i++)
		came(FUSE_GETATTR, 2 * i);
	for (uint64_t i = 1; i <= MANY; i++)
		answered(2 * i, 0);
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"getattr\"} 16384"));
	came(FUSE_STATFS, 2);
	answered(2, 0);
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"statfs\"} 1"));
}
END_TEST

/* As many as the kernel has under way are all timed, however it counts. */
START_TEST(a_thousand_are_timed)
{
	for (uint64_t by = 2; by <= 2048; by *= 4) {
		char line[128];

		requests_free(requests);
		requests = requests_new();
		for (uint64_t i = 1; i <= 1200; i++)
			came(FUSE_WRITE, by * i);
		for (uint64_t i = 1; i <= 1200; i++)
			answered(by * i, 0);
		(void)snprintf(line, sizeof(line),
			"zkfs_fuse_request_duration_seconds_count{operation=\"write\"} 1200");
		ck_assert_msg(tells(line), "by %d", (int)by);
	}
}
END_TEST

static void *work(void *arg)
{
	uint64_t first = *(const uint64_t *)arg;

	for (uint64_t i = 0; i < 20000; i++) {
		came(FUSE_READ, first + 8 * i);
		answered(first + 8 * i, i % 2 ? EIO : 0);
	}
	return NULL;
}

START_TEST(many_threads)
{
	static const uint64_t firsts[] = { 2, 4, 6, 8 };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)&firsts[i]), 0);
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert(tells("zkfs_fuse_requests_total{operation=\"read\"} 80000"));
	ck_assert(tells("zkfs_fuse_request_duration_seconds_count{operation=\"read\"} 80000"));
	ck_assert(tells("zkfs_fuse_errors_total{operation=\"read\",error=\"EIO\"} 40000"));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("requests");
	TCase *tcase = tcase_create("requests");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_came_and_was_answered);
	tcase_add_test(tcase, what_has_no_answer);
	tcase_add_test(tcase, what_nobody_knows);
	tcase_add_test(tcase, too_many);
	tcase_add_test(tcase, a_thousand_are_timed);
	tcase_add_test(tcase, many_threads);
	suite_add_tcase(suite, tcase);
	return suite;
}
