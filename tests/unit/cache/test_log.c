#include "cache/util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/util/clock.h"
#include "tests/unit/unit.h"

enum { BURST = 20, MANY = 200, MINUTE = 60000, DAY = 86400000 };

static int64_t now = 1;
static FILE *said;
static int terminal;

int64_t clock_now(void)
{
	return now;
}

static void setup(void)
{
	said = tmpfile();
	ck_assert_ptr_nonnull(said);
	(void)fflush(stderr);
	terminal = dup(STDERR_FILENO);
	(void)dup2(fileno(said), STDERR_FILENO);
}

static void teardown(void)
{
	(void)fflush(stderr);
	(void)dup2(terminal, STDERR_FILENO);
	(void)close(terminal);
	(void)fclose(said);
}

/* How many lines were said, and the last of them. */
static int count_lines(char *last, size_t size)
{
	int count = 0;

	(void)fflush(stderr);
	rewind(said);
	while (fgets(last, (int)size, said))
		count++;
	return count;
}

static void say(int number)
{
	log_warning("message %d", number);
}

START_TEST(messages_of_a_kind_are_few)
{
	char last[256];

	for (int i = 0; i < MANY; i++)
		say(i);
	ck_assert_int_eq(count_lines(last, sizeof(last)), BURST);
	ck_assert_str_eq(last, "zkfs: message 19\n");
	log_warning("another kind");
	ck_assert_int_eq(count_lines(last, sizeof(last)), BURST + 1);
	now += MINUTE;
	for (int i = 0; i < BURST; i++)
		say(1000 + i);
	ck_assert_int_eq(count_lines(last, sizeof(last)), BURST + 2);
	ck_assert_str_eq(last, "zkfs: message 1000 (and 180 more like this since the last)\n");
}
END_TEST

START_TEST(quiet_earns_no_more_than_a_burst)
{
	char last[256];

	for (int i = 0; i < MANY; i++)
		say(i);
	now += DAY;
	for (int i = 0; i < MANY; i++)
		say(i);
	ck_assert_int_eq(count_lines(last, sizeof(last)), BURST + BURST);
}
END_TEST

START_TEST(debug_log_has_all)
{
	char last[256];

	log_open(LOG_LEVEL_DEBUG, false);
	for (int i = 0; i < MANY; i++)
		say(i);
	ck_assert_int_eq(count_lines(last, sizeof(last)), MANY);
	log_open(LOG_LEVEL_INFO, false);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, messages_of_a_kind_are_few);
	tcase_add_test(tcase, quiet_earns_no_more_than_a_burst);
	tcase_add_test(tcase, debug_log_has_all);
	suite_add_tcase(suite, tcase);
	return suite;
}
