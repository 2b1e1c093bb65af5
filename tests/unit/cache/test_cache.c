/* What cache.c makes of the stream's news while changes are under way. The stream, the session and the writer are the test itself,
 * which lets things come in whichever order it likes. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "tests/unit/unit.h"

/* --- Below the cache --- */

static struct {
	struct stream_handlers handlers;
	struct stream_mark mark;
	fence_cb *fence; /* waits for the stream to pass; NULL: none */
	void *fence_arg;
	int64_t noted;

	write_cb *done; /* of the transaction under way */
	void *arg;
} below;

struct stream *stream_new(const struct stream_config *config)
{
	below.handlers = config->handlers;
	return (struct stream *)&below;
}

void stream_free(struct stream *stream)
{
	(void)stream;
}

void stream_follow(struct stream *stream, const struct sockaddr *server, socklen_t size)
{
	(void)stream;
	(void)server;
	(void)size;
}

int stream_send(struct stream *stream, enum stream_read read, const char *path, stream_reply_cb *done, void *arg)
{
	const struct stream_reply reply = { .error = -ENOENT };

	(void)stream;
	(void)read;
	(void)path;
	done(&reply, arg);
	return 0;
}

void stream_cork(struct stream *stream)
{
	(void)stream;
}

void stream_uncork(struct stream *stream)
{
	(void)stream;
}

void stream_probe(struct stream *stream)
{
	(void)stream;
}

int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg)
{
	(void)stream;
	(void)zxid;
	(void)haste;
	ck_assert_ptr_null(below.fence);
	below.fence = done;
	below.fence_arg = arg;
	return 0;
}

struct stream_mark stream_mark(struct stream *stream)
{
	(void)stream;
	return below.mark;
}

void stream_note(struct stream *stream, int64_t zxid, const struct stream_mark *mark)
{
	(void)stream;
	(void)mark;
	below.noted = zxid;
}

struct writer *writer_new(const struct writer_config *config)
{
	(void)config;
	return (struct writer *)&below;
}

void writer_attach(struct writer *writer, struct session *session)
{
	(void)writer;
	(void)session;
}

void writer_stop(struct writer *writer)
{
	(void)writer;
}

void writer_free(struct writer *writer)
{
	(void)writer;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	(void)writer;
	(void)steps;
	(void)count;
	ck_assert_ptr_null(below.done);
	below.done = done;
	below.arg = arg;
	return 0;
}

void writer_connected(struct writer *writer)
{
	(void)writer;
}

void writer_lost(struct writer *writer)
{
	(void)writer;
}

void writer_closed(struct writer *writer)
{
	(void)writer;
}

void writer_waiting(struct writer *writer)
{
	(void)writer;
}

struct session *session_new(const struct session_config *config)
{
	(void)config;
	return (struct session *)&below;
}

int session_start(struct session *session)
{
	(void)session;
	return 0;
}

void session_stop(struct session *session)
{
	(void)session;
}

void session_free(struct session *session)
{
	(void)session;
}

bool session_is_connected(struct session *session)
{
	(void)session;
	return true;
}

void session_look(struct session *session, struct session_info *info)
{
	(void)session;
	*info = (struct session_info){ .state = SESSION_CONNECTED };
}

void writer_count(struct writer *writer, size_t *waiting, size_t *sent)
{
	(void)writer;
	*waiting = *sent = 0;
}

int64_t session_id(struct session *session)
{
	(void)session;
	return 1;
}

/* --- The cache, and what it tells --- */

static struct cache *cache;

static struct {
	char events[256];	  /* what was told, in order: "changed S/a", "foreign S/a", "ended 0" */
	void (*in_changed)(void); /* what comes while it is told of a change, once */
	int64_t from;		  /* of the gap */
} told;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	size_t size = strlen(told.events);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(told.events + size, sizeof(told.events) - size, format, args);
	va_end(args);
}

static void check_told(const char *events)
{
	ck_assert_str_eq(told.events, events);
	told.events[0] = '\0';
}

static char letter(enum cache_change change)
{
	static const char letters[] = { [CACHE_CREATED] = 'C',
		[CACHE_CREATED_HERE] = 'c',
		[CACHE_CHANGED] = 'S',
		[CACHE_CHANGED_PLAIN] = 's',
		[CACHE_DELETED] = 'D',
		[CACHE_UNSURE] = 'U' };

	return letters[change];
}

static void changed(enum cache_change change, const char *path, void *arg)
{
	void (*in_changed)(void) = told.in_changed;

	(void)arg;
	told.in_changed = NULL;
	if (in_changed)
		in_changed();
	say("changed %c%s, ", letter(change), path);
}

static void foreign(enum cache_change change, const char *path, void *arg)
{
	(void)arg;
	say("foreign %c%s, ", letter(change), path);
}

static void resumed(int64_t from, void *arg)
{
	(void)arg;
	told.from = from;
}

static void setup(void)
{
	static const struct credentials credentials = { 0 };
	const struct cache_config config = { .servers = "",
		.chroot = "",
		.credentials = &credentials,
		.timeout = 60000,
		.size = 1 << 20,
		.changed = changed,
		.foreign = foreign,
		.resumed = resumed };

	memset(&below, 0, sizeof(below));
	memset(&told, 0, sizeof(told));
	cache = cache_new(&config);
	ck_assert_ptr_nonnull(cache);
	below.handlers.epoch(true, 100, cache);
	below.mark = (struct stream_mark){ .passed = 100, .connection = 1 };
}

static void teardown(void)
{
	cache_free(cache);
}

static void event(enum wire_event_type type, const char *path)
{
	below.handlers.event(type, path, cache);
}

static void ended(int error, const struct node_stat *stat, void *arg)
{
	(void)stat;
	(void)arg;
	say("ended %d, ", error);
}

/* The transaction under way is answered. */
static void answer(int64_t zxid)
{
	const struct write_result result = { .zxid = zxid,
		.stat = { .czxid = zxid, .mzxid = zxid, .pzxid = zxid, .data_length = 1 } };
	write_cb *done = below.done;

	below.done = NULL;
	done(&result, below.arg);
}

/* The stream has passed. */
static void pass(void)
{
	fence_cb *fence = below.fence;

	below.fence = NULL;
	fence(0, below.fence_arg);
}

static void begin_create(void)
{
	struct bytes *data = bytes_new("x", 1);

	ck_assert_int_eq(cache_create(cache, "/n", data, ended, NULL), 0);
	bytes_put(data);
}

START_TEST(change_ends_with_its_event_or_its_fence)
{
	begin_create();
	answer(101); /* the very next transaction: its event is the znode's next */
	check_told("");
	event(WIRE_CREATED, "/n");
	check_told("changed c/n, ended 0, ");
	ck_assert_int_eq(below.noted, 101);
	pass(); /* nobody is told again */
	check_told("");
	begin_create();
	answer(150); /* somebody else's may be in between */
	event(WIRE_CREATED, "/n");
	check_told("changed c/n, ");
	pass();
	check_told("ended 0, ");
}
END_TEST

static void answer_the_next(void)
{
	answer(101);
}

/* Whoever was told that the change is made expects the kernel to have been told what it changed. */
START_TEST(change_ends_after_all_were_told_of_its_event)
{
	begin_create();
	told.in_changed = answer_the_next;
	event(WIRE_CREATED, "/n");
	check_told("changed c/n, ended 0, ");
	pass();
	check_told("");
}
END_TEST

START_TEST(events_of_others_are_told_after_the_change)
{
	begin_create();
	event(WIRE_CREATED, "/n");
	event(WIRE_DATA_CHANGED, "/n");
	event(WIRE_DATA_CHANGED, "/m");
	check_told("changed c/n, changed s/n, changed S/m, foreign S/m, ");
	answer(150);
	pass();
	check_told("changed S/n, foreign S/n, ended 0, ");
}
END_TEST

/* Those held when the connection breaks are looked for with what the gap hides. */
START_TEST(gap_begins_before_what_was_not_told)
{
	below.handlers.broken(110, 0, 0, cache);
	below.handlers.epoch(true, 120, cache);
	ck_assert_int_eq(told.from, 110);
	below.mark.passed = 120;
	begin_create();
	event(WIRE_DATA_CHANGED, "/n");
	below.mark.passed = 130;
	event(WIRE_DATA_CHANGED, "/n");
	told.events[0] = '\0';
	below.handlers.broken(140, 0, 0, cache);
	check_told("changed U/, ");
	below.handlers.epoch(true, 150, cache);
	ck_assert_int_eq(told.from, 120);
	answer(160);
	pass();
	check_told("ended 0, ");
	below.handlers.broken(170, 0, 0, cache);
	below.handlers.epoch(true, 180, cache);
	ck_assert_int_eq(told.from, 170);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("cache");
	TCase *tcase = tcase_create("cache");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, change_ends_with_its_event_or_its_fence);
	tcase_add_test(tcase, change_ends_after_all_were_told_of_its_event);
	tcase_add_test(tcase, events_of_others_are_told_after_the_change);
	tcase_add_test(tcase, gap_begins_before_what_was_not_told);
	suite_add_tcase(suite, tcase);
	return suite;
}
