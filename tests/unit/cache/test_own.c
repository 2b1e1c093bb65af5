#include "cache/own.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { MARKED = 1067 };

static struct own *own;

/* What was handed on: "C/a" for a birth of /a, and so on. */
static char told[1024];

static _Atomic(int64_t) zxid; /* up to which all had been told before the last event */

static void note(enum wire_event_type type, const char *path, void *arg)
{
	static const char letters[] = { [WIRE_CREATED] = 'C', [WIRE_DELETED] = 'D', [WIRE_DATA_CHANGED] = 'S' };
	size_t size = strlen(told);

	ck_assert_ptr_eq(arg, told);
	(void)snprintf(told + size, sizeof(told) - size, "%c%s ", letters[type], path);
}

static void setup(void)
{
	told[0] = '\0';
	zxid = 0;
	own = own_new(MARKED, note, told);
}

static void teardown(void)
{
	own_free(own);
}

static struct own_change *begin(enum write_verb verb, const char *path)
{
	const struct write_step step = { .verb = verb, .path = path };
	struct own_change *change = own_begin(own, &step, 1);

	ck_assert_ptr_nonnull(change);
	return change;
}

/* An event, applied at once. */
static enum own_event event(struct own *table, enum wire_event_type type, const char *path)
{
	struct own_held *held;
	enum own_event whose = own_event(table, type, path, ++zxid, &held);

	own_ready(table, held);
	return whose;
}

/* Events as note writes them; each is to be held, or none. */
static void events(const char *list, bool are_held)
{
	for (const char *c = list; *c; c += 3) {
		const char path[] = { c[1], c[2], '\0' };
		enum wire_event_type type = *c == 'C' ? WIRE_CREATED : *c == 'D' ? WIRE_DELETED : WIRE_DATA_CHANGED;

		ck_assert_int_eq(event(own, type, path), are_held ? OWN_PERHAPS : OWN_FOREIGN);
	}
}

START_TEST(nothing_is_ours_when_nothing_is_under_way)
{
	own_end(own, begin(WRITE_CREATE, "/a"), OWN_NOT_MADE);
	own_end(own, NULL, OWN_MADE);
	events("C/aS/aD/a", false);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(own_events_are_taken_out)
{
	struct own_change *change = begin(WRITE_SET, "/a");

	events("S/b", false);
	events("S/a", true);
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "");
	events("S/a", false);
}
END_TEST

START_TEST(events_of_others_are_handed_on_afterwards)
{
	struct own_change *change = begin(WRITE_CREATE, "/a");

	events("C/aD/aC/aS/a", true);
	ck_assert_str_eq(told, "");
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "D/a C/a S/a ");
}
END_TEST

/* Whichever of several of one type was ours. */
START_TEST(what_is_left_ends_with_what_has_become)
{
	const struct write_step birth[] = {
		{ .verb = WRITE_CREATE, .path = "/a" },
		{ .verb = WRITE_SET, .path = "/a" },
	};
	struct own_change *change = own_begin(own, birth, 2);

	events("C/aS/aD/aC/aS/a", true);
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "D/a C/a S/a ");
	told[0] = '\0';
	change = begin(WRITE_DELETE, "/a");
	events("D/aC/aD/a", true);
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "C/a D/a ");
}
END_TEST

START_TEST(what_was_not_made_made_no_event)
{
	struct own_change *change = begin(WRITE_CREATE, "/a");

	events("C/a", true);
	own_end(own, change, OWN_NOT_MADE);
	ck_assert_str_eq(told, "C/a ");
}
END_TEST

START_TEST(what_may_have_been_made_explains_an_event)
{
	struct own_change *change = begin(WRITE_CREATE, "/a");

	events("C/aS/a", true);
	own_end(own, change, OWN_UNKNOWN);
	ck_assert_str_eq(told, "S/a ");
	change = begin(WRITE_DELETE, "/a");
	own_end(own, change, OWN_UNKNOWN);
	change = begin(WRITE_SET, "/a");
	events("D/a", true);
	own_end(own, change, OWN_NOT_MADE);
	ck_assert_str_eq(told, "S/a D/a "); /* the one before explains nothing any more */
}
END_TEST

START_TEST(waits_for_all_that_are_under_way)
{
	struct own_change *first = begin(WRITE_SET, "/a");
	struct own_change *second = begin(WRITE_SET, "/a");

	events("S/aS/aS/a", true);
	own_end(own, second, OWN_MADE);
	ck_assert_str_eq(told, "");
	events("D/a", true);
	own_end(own, first, OWN_MADE);
	ck_assert_str_eq(told, "S/a D/a ");
}
END_TEST

START_TEST(every_step_counts)
{
	const struct write_step steps[] = {
		{ .verb = WRITE_CREATE, .path = "/a" },
		{ .verb = WRITE_SET, .path = "/a" },
		{ .verb = WRITE_CHECK, .path = "/c" },
		{ .verb = WRITE_DELETE, .path = "/b" },
	};
	struct own_change *change = own_begin(own, steps, 4);

	events("S/c", false);
	events("C/aS/aS/aD/b", true);
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "S/a ");
}
END_TEST

START_TEST(waits_until_an_event_has_been_applied)
{
	struct own_change *change = begin(WRITE_SET, "/a");
	struct own_held *held[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(own_event(own, WIRE_DATA_CHANGED, "/a", 1, &held[i]), OWN_PERHAPS);
	own_end(own, change, OWN_MADE); /* one of them is taken out, the other is handed on when it can be */
	ck_assert_str_eq(told, "");
	for (int i = 0; i < 2; i++)
		own_ready(own, held[i]);
	ck_assert_str_eq(told, "S/a ");
	events("S/a", false);
}
END_TEST

START_TEST(marked_data_is_told)
{
	char text[MARKED] = "";
	struct bytes *data = bytes_new(text, MARKED);
	const struct write_step step = { .verb = WRITE_SET, .path = "/a", .data = data };
	struct own_change *plain = begin(WRITE_SET, "/a");
	struct own_change *marked = own_begin(own, &step, 1);

	ck_assert_int_eq(event(own, WIRE_DATA_CHANGED, "/a"), OWN_PERHAPS_MARKED);
	own_end(own, marked, OWN_MADE);
	ck_assert_int_eq(event(own, WIRE_DATA_CHANGED, "/a"), OWN_PERHAPS);
	own_end(own, plain, OWN_MADE);
	ck_assert_str_eq(told, "");
	bytes_put(data);
}
END_TEST

START_TEST(a_break_drops_what_is_held)
{
	struct own_change *change = begin(WRITE_SET, "/a");

	ck_assert_int_eq(own_break(own), INT64_MAX);
	events("D/bC/b", false);
	events("D/aC/a", true);
	ck_assert_int_eq(own_break(own), 3);
	ck_assert_int_eq(own_break(own), INT64_MAX);
	own_end(own, change, OWN_MADE);
	ck_assert_str_eq(told, "");
	events("S/a", false);
}
END_TEST

/* Those of a change that had ended were among what was dropped. */
START_TEST(a_break_ends_the_search_for_own_events)
{
	struct own_change *ended = begin(WRITE_SET, "/a");
	struct own_change *change = begin(WRITE_SET, "/a");

	events("S/a", true);
	own_end(own, ended, OWN_MADE);
	(void)own_break(own);
	events("S/a", true);
	own_end(own, change, OWN_NOT_MADE);
	ck_assert_str_eq(told, "S/a ");
}
END_TEST

START_TEST(ours_are_remembered)
{
	ck_assert(!own_is_ours(own, 0));
	own_made(own, 0);
	ck_assert(!own_is_ours(own, 0));
	for (int64_t made = 1; made <= OWN_REMEMBERED + 1; made++)
		own_made(own, 2 * made);
	ck_assert(!own_is_ours(own, 2)); /* long ago */
	ck_assert(own_is_ours(own, 4));
	ck_assert(!own_is_ours(own, 5));
	ck_assert(own_is_ours(own, 2 * ((int64_t)OWN_REMEMBERED + 1)));
}
END_TEST

/* --- Threads --- */

enum { ROUNDS = 20000 };

static _Atomic(int) foreign;

static void count(enum wire_event_type type, const char *path, void *arg)
{
	(void)path;
	(void)arg;
	ck_assert_int_eq(type, WIRE_DATA_CHANGED);
	foreign++;
}

static _Atomic(int) unseen; /* own changes whose event has not come */

/* A thread that makes changes, each of which makes one event on the other. */
static void *make_changes(void *arg)
{
	struct own *table = arg;

	for (int i = 0; i < ROUNDS; i++) {
		const struct write_step step = { .verb = WRITE_SET, .path = "/a" };
		struct own_change *change = own_begin(table, &step, 1);

		unseen++;
		while (unseen > 0)
			sched_yield();
		own_end(table, change, OWN_MADE);
	}
	return NULL;
}

START_TEST(loses_and_doubles_nothing_between_threads)
{
	struct own *table = own_new(MARKED, count, NULL);
	pthread_t thread;

	foreign = 0;
	unseen = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, make_changes, table), 0);
	for (int i = 0; i < ROUNDS; i++) {
		while (unseen == 0)
			sched_yield();
		/* Ours; and then, perhaps, there is a change under way. */
		(void)event(table, WIRE_DATA_CHANGED, "/a");
		unseen--;
		if (event(table, WIRE_DATA_CHANGED, "/a") == OWN_FOREIGN)
			foreign++;
	}
	(void)pthread_join(thread, NULL);
	ck_assert_int_eq(foreign, ROUNDS);
	own_free(table);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("own");
	TCase *tcase = tcase_create("own");
	TCase *threads = tcase_create("threads");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, nothing_is_ours_when_nothing_is_under_way);
	tcase_add_test(tcase, own_events_are_taken_out);
	tcase_add_test(tcase, events_of_others_are_handed_on_afterwards);
	tcase_add_test(tcase, what_is_left_ends_with_what_has_become);
	tcase_add_test(tcase, what_was_not_made_made_no_event);
	tcase_add_test(tcase, what_may_have_been_made_explains_an_event);
	tcase_add_test(tcase, waits_for_all_that_are_under_way);
	tcase_add_test(tcase, every_step_counts);
	tcase_add_test(tcase, waits_until_an_event_has_been_applied);
	tcase_add_test(tcase, marked_data_is_told);
	tcase_add_test(tcase, a_break_drops_what_is_held);
	tcase_add_test(tcase, a_break_ends_the_search_for_own_events);
	tcase_add_test(tcase, ours_are_remembered);
	suite_add_tcase(suite, tcase);
	tcase_add_test(threads, loses_and_doubles_nothing_between_threads);
	suite_add_tcase(suite, threads);
	return suite;
}
