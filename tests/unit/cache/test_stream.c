#include "cache/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/util/log.h"
#include "tests/fake/server.h"
#include "tests/unit/unit.h"

enum {
	SESSION = 0x5e55,
	SESSION_TIMEOUT = 60000, /* long enough that no ping comes by itself */
	TIMEOUT = 60000,
	NO_NODE = -101,
	AUTH_FAILED = -115,
	THROTTLED = -127,
	UNIMPLEMENTED = -6,
	RECURSIVE = 1,
};

/* --- Everything that the stream says, in one order --- */

enum { LINES_MAX = 8192, LINE_SIZE = 96 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char lines[LINES_MAX][LINE_SIZE];
	int count, taken;
} said = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&said.lock);
	if (said.count < LINES_MAX)
		(void)vsnprintf(said.lines[said.count++], LINE_SIZE, format, args);
	pthread_cond_signal(&said.changed);
	pthread_mutex_unlock(&said.lock);
	va_end(args);
}

/* The next line, waited for. */
static const char *next_line(void)
{
	const char *line = NULL;
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SERVER_PATIENCE;
	pthread_mutex_lock(&said.lock);
	while (said.taken == said.count && pthread_cond_timedwait(&said.changed, &said.lock, &until) == 0)
		;
	if (said.taken < said.count)
		line = said.lines[said.taken++];
	pthread_mutex_unlock(&said.lock);
	return line;
}

static void expect(const char *text)
{
	const char *line = next_line();

	if (!line || strcmp(line, text) != 0)
		ck_abort_msg("'%s', not '%s'", line ? line : "(nothing)", text);
}

/* Nothing was said but what was taken. */
static void expect_silence(void)
{
	pthread_mutex_lock(&said.lock);
	if (said.taken < said.count)
		ck_abort_msg("'%s' too early", said.lines[said.taken]);
	pthread_mutex_unlock(&said.lock);
}

static void on_epoch(bool watching, int64_t zxid, void *arg)
{
	(void)zxid;
	(void)arg;
	say("%s", watching ? "watching" : "blind");
}

static void on_broken(int64_t zxid, int64_t gone, int session, void *arg)
{
	(void)gone;
	(void)session;
	(void)zxid;
	(void)arg;
	say("broken");
}

/* Keeps the stream's thread busy while the test holds it. */
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

static void on_event(enum wire_event_type type, const char *path, void *arg)
{
	(void)arg;
	say("%s %s", type == WIRE_CREATED ? "created" : type == WIRE_DELETED ? "deleted" : "changed", path);
	if (strcmp(path, "/busy") == 0) {
		pthread_mutex_lock(&busy);
		pthread_mutex_unlock(&busy);
	}
}

static void on_auth_failed(void *arg)
{
	(void)arg;
	say("auth failed");
}

static void say_children(const char *label, const struct listing *children)
{
	char names[LINE_SIZE] = "";

	for (uint32_t i = 0; i < children->count; i++) {
		size_t size = strlen(names);

		(void)snprintf(names + size, sizeof(names) - size, " %s", children->names[i]);
	}
	say("%s: children%s", label, names);
}

static void on_reply(const struct stream_reply *reply, void *label)
{
	if (reply->error)
		say("%s: %s", (const char *)label, strerrorname_np(-reply->error));
	else if (reply->children)
		say_children(label, reply->children);
	else if (reply->data)
		say("%s: data %.*s", (const char *)label, (int)reply->data_size, reply->data);
	else
		say("%s: stat %lld", (const char *)label, (long long)reply->stat.mzxid);
}

static void on_fence(int error, void *label)
{
	say("%s: %s", (const char *)label, error ? strerrorname_np(-error) : "passed");
}

/* --- A stream and its server --- */

static const struct node_stat some_stat = { .czxid = 1, .mzxid = 77, .pzxid = 3, .data_length = 5, .num_children = 2 };

static struct server server;
static struct credentials credentials;
static struct stream_config config;
static struct stream *stream;
static struct server_connect hello;
static struct server_request request;

static void setup(void)
{
	log_open(LOG_LEVEL_ERROR, false);
	server_init(&server);
	credentials = (struct credentials){ 0 };
	config = (struct stream_config){
		.chroot = "",
		.credentials = &credentials,
		.session_timeout = SESSION_TIMEOUT,
		.timeout = TIMEOUT,
		.handlers = { on_epoch, on_broken, NULL, on_event, on_auth_failed, NULL },
	};
}

static void teardown(void)
{
	stream_free(stream);
	server_release(&server);
}

static void start(void)
{
	stream = stream_new(&config);
	ck_assert_ptr_nonnull(stream);
}

static void follow(const struct server *to)
{
	stream_follow(stream, (const struct sockaddr *)&to->address, sizeof(to->address));
}

static void take(enum wire_op op, const char *path)
{
	server_take(&server, &request);
	if (request.op != (int32_t)op || strcmp(request.paths[0], path) != 0)
		ck_abort_msg("request %d for '%s', not %d for '%s'", request.op, request.paths[0], op, path);
	ck_assert(!request.has_watch);
}

static void take_hello(void)
{
	server_accept(&server);
	server_take_connect(&server, &hello);
	server_grant(&server, SESSION, SESSION_TIMEOUT);
}

static void take_watch(void)
{
	take(WIRE_ADD_WATCH, "/");
	server_reply(&server, request.xid, 1, 0);
	expect("watching");
}

/* The connection after another, up to where requests are answered. */
static void reconnect(void)
{
	take_hello();
	take_watch();
}

static void start_ready(void)
{
	start();
	follow(&server);
	reconnect();
}

static void get(const char *path)
{
	ck_assert_int_eq(stream_send(stream, STREAM_GET, path, on_reply, (void *)path), 0);
}

static void reply_data(const char *text)
{
	server_reply_data(&server, request.xid, 10, text, &some_stat);
}

static void ask_stat(const char *path)
{
	ck_assert_int_eq(stream_send(stream, STREAM_EXISTS, path, on_reply, (void *)path), 0);
}

static void reply_stat(void)
{
	server_reply_stat(&server, request.xid, 10, &some_stat);
}

/* Answers what was taken, data being the path. */
static void serve_one(void)
{
	if (request.op == WIRE_ADD_WATCH) {
		server_reply(&server, request.xid, 1, 0);
	} else if (request.op == WIRE_GET_DATA) {
		reply_data(request.paths[0]);
	} else if (request.op == WIRE_MULTI_READ) {
		server_begin(&server, request.xid, 10, 0);
		for (int32_t i = 0; i < request.count; i++)
			server_add_result(&server, 0, request.paths[i], &some_stat);
		server_end_results(&server);
	}
}

/* Asks and is answered: the connection is in order. */
static void check_works(void)
{
	get("/works");
	take(WIRE_GET_DATA, "/works");
	reply_data("yes");
	expect("/works: data yes");
}

/* What is asked for between these waits to be sent together. */
static void begin_busy(void)
{
	pthread_mutex_lock(&busy);
	server_event(&server, WIRE_CREATED, "/busy");
	expect("created /busy");
}

static void end_busy(void)
{
	pthread_mutex_unlock(&busy);
}

/* --- Connecting --- */

START_TEST(begins_a_session_and_watches_first)
{
	start();
	get("/a");
	follow(&server);
	take_hello();
	ck_assert_int_eq(hello.version, 0);
	ck_assert_int_eq(hello.last_zxid, 0);
	ck_assert_int_eq(hello.timeout, SESSION_TIMEOUT);
	ck_assert_int_eq(hello.session, 0);
	take(WIRE_ADD_WATCH, "/");
	ck_assert_int_eq(request.watch_mode, RECURSIVE);
	server_reply(&server, request.xid, 1, 0);
	expect("watching");
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
}
END_TEST

START_TEST(authenticates_before_all_else)
{
	struct credential list[] = { { "digest", "bob:secret" }, { "ip", "" } };

	credentials = (struct credentials){ .count = 2, .list = list };
	start();
	follow(&server);
	take_hello();
	take(WIRE_AUTH, "digest");
	ck_assert_str_eq(request.paths[1], "bob:secret");
	ck_assert_int_eq(request.xid, WIRE_XID_AUTH);
	take(WIRE_AUTH, "ip");
	server_reply(&server, WIRE_XID_AUTH, 0, 0);
	server_reply(&server, WIRE_XID_AUTH, 0, AUTH_FAILED);
	expect("auth failed");
	take_watch();
	check_works();
}
END_TEST

START_TEST(waits_for_a_server_that_comes_later)
{
	struct server other;

	server_init(&other);
	start();
	get("/a");
	(void)shutdown(other.listener, SHUT_RDWR);
	follow(&other);
	follow(&server);
	reconnect();
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
	server_release(&other);
}
END_TEST

START_TEST(follows_to_another_server)
{
	struct server other;

	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	server_init(&other);
	follow(&other);
	server_await_close(&server);
	expect("broken");
	server_release(&server);
	server = other;
	reconnect();
	ck_assert_int_eq(hello.session, SESSION);
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
	follow(&server);
	check_works();
}
END_TEST

START_TEST(expired_session_begins_another)
{
	start_ready();
	server_close(&server);
	expect("broken");
	server_accept(&server);
	server_take_connect(&server, &hello);
	ck_assert_int_eq(hello.session, SESSION);
	ck_assert_int_eq(hello.password_size, 16);
	ck_assert_str_eq(hello.password, "sixteen byte key");
	server_grant(&server, 0, 0);
	server_await_close(&server);
	reconnect();
	ck_assert_int_eq(hello.session, 0);
	check_works();
}
END_TEST

START_TEST(tells_the_newest_zxid_it_has_shown)
{
	start();
	ck_assert_int_eq(stream_fence(stream, 0x99, STREAM_AT_ONCE, on_fence, "fence"), 0);
	follow(&server);
	reconnect();
	ck_assert_int_eq(hello.last_zxid, 0x99);
	take(WIRE_PING, "");
	server_reply(&server, request.xid, 0x123, 0);
	expect("fence: passed");
	get("/a");
	take(WIRE_GET_DATA, "/a");
	server_reply_data(&server, request.xid, 0x120, "x", &some_stat);
	expect("/a: data x");
	server_close(&server);
	expect("broken");
	reconnect();
	ck_assert_int_eq(hello.last_zxid, 0x123);
}
END_TEST

/* --- Reads --- */

START_TEST(decodes_every_kind_of_answer)
{
	static const char *const names[] = { "x", "y" };

	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
	ck_assert_int_eq(stream_send(stream, STREAM_EXISTS, "/b", on_reply, "b"), 0);
	take(WIRE_EXISTS, "/b");
	server_reply_stat(&server, request.xid, 10, &some_stat);
	expect("b: stat 77");
	ck_assert_int_eq(stream_send(stream, STREAM_CHILDREN, "/c", on_reply, "c"), 0);
	take(WIRE_GET_CHILDREN2, "/c");
	server_reply_children(&server, request.xid, 10, names, 2, &some_stat);
	expect("c: children x y");
	get("/none");
	take(WIRE_GET_DATA, "/none");
	server_reply(&server, request.xid, 10, NO_NODE);
	expect("/none: ENOENT");
}
END_TEST

START_TEST(sends_without_waiting_for_answers)
{
	static const char *const paths[] = { "/a", "/b", "/c" };
	int32_t first = 0;

	start_ready();
	for (int i = 0; i < 3; i++)
		ask_stat(paths[i]);
	for (int i = 0; i < 3; i++) {
		take(WIRE_EXISTS, paths[i]);
		if (i == 0)
			first = request.xid;
		ck_assert_int_eq(request.xid, first + i);
	}
	expect_silence();
	for (int i = 0; i < 3; i++)
		server_reply_stat(&server, first + i, 1, &some_stat);
	expect("/a: stat 77");
	expect("/b: stat 77");
	expect("/c: stat 77");
}
END_TEST

/* A server that refuses it may close the connection, and a reset would lose the refusal if requests of ours were unread. */
START_TEST(asks_nothing_before_the_watch_is_answered)
{
	start();
	get("/a");
	follow(&server);
	take_hello();
	take(WIRE_ADD_WATCH, "/");
	expect_silence();
	server_reply(&server, request.xid, 1, 0);
	expect("watching");
	take(WIRE_GET_DATA, "/a");
	reply_data("one");
	expect("/a: data one");
}
END_TEST

START_TEST(gets_that_wait_travel_together)
{
	start_ready();
	begin_busy();
	get("/a");
	get("/b");
	get("/c");
	ck_assert_int_eq(stream_send(stream, STREAM_EXISTS, "/d", on_reply, "/d"), 0);
	get("/e");
	end_busy();
	take(WIRE_MULTI_READ, "/a");
	ck_assert_int_eq(request.count, 3);
	ck_assert_str_eq(request.paths[1], "/b");
	ck_assert_str_eq(request.paths[2], "/c");
	server_begin(&server, request.xid, 10, 0);
	server_add_result(&server, 0, "one", &some_stat);
	server_add_result(&server, NO_NODE, NULL, NULL);
	server_add_result(&server, 0, "three", &some_stat);
	server_end_results(&server);
	take(WIRE_EXISTS, "/d");
	server_reply_stat(&server, request.xid, 10, &some_stat);
	take(WIRE_GET_DATA, "/e");
	reply_data("five");
	expect("/a: data one");
	expect("/b: ENOENT");
	expect("/c: data three");
	expect("/d: stat 77");
	expect("/e: data five");
}
END_TEST

static void get_two(void)
{
	begin_busy();
	get("/a");
	get("/b");
	end_busy();
}

static void answer_two_singly(void)
{
	take(WIRE_GET_DATA, "/a");
	reply_data("one");
	take(WIRE_GET_DATA, "/b");
	reply_data("two");
	expect("/a: data one");
	expect("/b: data two");
}

START_TEST(refused_multi_read_is_remembered)
{
	static const int errors[] = { -6, -5, -8 };
	struct server other;

	start_ready();
	get_two();
	take(WIRE_MULTI_READ, "/a");
	server_reply(&server, request.xid, 10, errors[_i]);
	server_await_close(&server);
	expect("broken");
	for (int i = 0; i < 2; i++) {
		reconnect();
		if (i)
			get_two();
		answer_two_singly();
		server_close(&server);
		expect("broken");
	}
	server_init(&other);
	server_release(&server);
	server = other;
	follow(&server);
	reconnect();
	get_two();
	take(WIRE_MULTI_READ, "/a");
}
END_TEST

START_TEST(failed_multi_read_fails_all_in_it)
{
	start_ready();
	get_two();
	take(WIRE_MULTI_READ, "/a");
	server_reply(&server, request.xid, 10, NO_NODE);
	expect("/a: ENOENT");
	expect("/b: ENOENT");
	check_works();
}
END_TEST

START_TEST(keeps_the_order_of_events_and_replies)
{
	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	server_event(&server, WIRE_DATA_CHANGED, "/a");
	server_event(&server, WIRE_CREATED, "/a/b");
	reply_data("new");
	server_event(&server, WIRE_DELETED, "/a/b");
	server_event(&server, WIRE_CHILDREN_CHANGED, "/a");
	server_event(&server, -1, "");
	server_event(&server, WIRE_CREATED, "/");
	expect("changed /a");
	expect("created /a/b");
	expect("/a: data new");
	expect("deleted /a/b");
	expect("created /");
}
END_TEST

START_TEST(adds_and_strips_the_chroot)
{
	config.chroot = "/app";
	start();
	follow(&server);
	take_hello();
	take(WIRE_ADD_WATCH, "/app");
	server_reply(&server, request.xid, 1, 0);
	expect("watching");
	get("/");
	take(WIRE_GET_DATA, "/app");
	reply_data("root");
	expect("/: data root");
	get("/a/b");
	take(WIRE_GET_DATA, "/app/a/b");
	reply_data("leaf");
	expect("/a/b: data leaf");
	server_event(&server, WIRE_CREATED, "/application");
	server_event(&server, WIRE_CREATED, "/ap");
	server_event(&server, WIRE_CREATED, "/other/app/a");
	server_event(&server, WIRE_DATA_CHANGED, "/app");
	server_event(&server, WIRE_CREATED, "/app/a/b");
	expect("changed /");
	expect("created /a/b");
}
END_TEST

/* --- Watches that are refused --- */

START_TEST(server_without_add_watch_is_not_asked_again)
{
	start();
	follow(&server);
	take_hello();
	take(WIRE_ADD_WATCH, "/");
	server_reply(&server, request.xid, 1, UNIMPLEMENTED);
	server_finish(&server);
	expect("blind");
	expect("broken");
	for (int i = 0; i < 2; i++) {
		take_hello();
		expect("blind");
		get_two();
		answer_two_singly();
		server_close(&server);
		expect("broken");
	}
}
END_TEST

START_TEST(refused_watch_is_tried_again_on_the_next_connection)
{
	start();
	follow(&server);
	take_hello();
	take(WIRE_ADD_WATCH, "/");
	server_reply(&server, request.xid, 1, NO_NODE);
	expect("blind");
	get_two();
	answer_two_singly();
	server_close(&server);
	expect("broken");
	reconnect();
	check_works();
}
END_TEST

/* --- Fences --- */

static void fence(int64_t zxid, const char *label)
{
	ck_assert_int_eq(stream_fence(stream, zxid, STREAM_AT_ONCE, on_fence, (void *)label), 0);
}

START_TEST(fence_passes_with_a_ping_that_is_new_enough)
{
	start_ready();
	fence(5, "five");
	take(WIRE_PING, "");
	server_event(&server, WIRE_DATA_CHANGED, "/a");
	server_reply(&server, WIRE_XID_PING, 5, 0);
	expect("changed /a");
	expect("five: passed");
	fence(4, "four");
	expect("four: passed");
	check_works();
}
END_TEST

START_TEST(fence_on_a_server_behind_needs_a_sync)
{
	start_ready();
	fence(5, "five");
	take(WIRE_PING, "");
	server_reply(&server, WIRE_XID_PING, 4, 0);
	take(WIRE_SYNC, "/");
	expect_silence();
	server_reply(&server, request.xid, 5, 0);
	expect("five: passed");
}
END_TEST

START_TEST(fence_of_unknown_zxid_needs_a_sync)
{
	start_ready();
	fence(0, "all");
	take(WIRE_SYNC, "/");
	get("/a");
	server_event(&server, WIRE_DELETED, "/gone");
	server_reply(&server, request.xid, 9, 0);
	expect("deleted /gone");
	expect("all: passed");
	take(WIRE_GET_DATA, "/a");
	reply_data("x");
	expect("/a: data x");
}
END_TEST

START_TEST(refused_sync_passes_no_fence)
{
	start_ready();
	fence(0, "all");
	for (int i = 0; i < 3; i++) {
		take(WIRE_SYNC, "/");
		expect_silence();
		server_reply(&server, request.xid, 9, THROTTLED);
	}
	take(WIRE_SYNC, "/");
	expect_silence();
	server_reply(&server, request.xid, 9, 0);
	expect("all: passed");
}
END_TEST

START_TEST(any_reply_new_enough_passes_a_fence)
{
	int32_t read_xid;

	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	read_xid = request.xid;
	fence(10, "ten");
	take(WIRE_PING, "");
	server_reply_data(&server, read_xid, 10, "x", &some_stat);
	expect("/a: data x");
	expect("ten: passed");
	server_reply(&server, WIRE_XID_PING, 10, 0);
	check_works();
}
END_TEST

START_TEST(fence_outlives_the_connection)
{
	start_ready();
	fence(0, "all");
	fence(5, "five");
	server_take(&server, &request);
	server_close(&server);
	expect("broken");
	reconnect();
	for (int i = 0; i < 2; i++) {
		server_take(&server, &request);
		server_reply(&server, request.xid, 5, 0);
		expect(request.op == WIRE_PING ? "five: passed" : "all: passed");
		if (request.op == WIRE_SYNC && i == 0) {
			expect("five: passed");
			break;
		}
	}
}
END_TEST

/* --- Connections that break --- */

START_TEST(unanswered_requests_are_sent_again)
{
	start_ready();
	ask_stat("/a");
	ask_stat("/b");
	ask_stat("/c");
	take(WIRE_EXISTS, "/a");
	reply_stat();
	take(WIRE_EXISTS, "/b");
	take(WIRE_EXISTS, "/c");
	expect("/a: stat 77");
	if (_i)
		server_reset(&server);
	else
		server_close(&server);
	expect("broken");
	take_hello();
	ck_assert_int_eq(hello.last_zxid, 10);
	take_watch();
	take(WIRE_EXISTS, "/b");
	reply_stat();
	take(WIRE_EXISTS, "/c");
	reply_stat();
	expect("/b: stat 77");
	expect("/c: stat 77");
	check_works();
}
END_TEST

START_TEST(broken_batch_is_sent_again)
{
	start_ready();
	get_two();
	take(WIRE_MULTI_READ, "/a");
	server_close(&server);
	expect("broken");
	reconnect();
	take(WIRE_MULTI_READ, "/a");
	serve_one();
	expect("/a: data /a");
	expect("/b: data /b");
	check_works();
}
END_TEST

/* --- Nonsense --- */

static void send_hex(const char *hex)
{
	char bytes[256];
	size_t size = 0;
	int digits;
	unsigned byte;

	while (sscanf(hex, " %2x%n", &byte, &digits) == 1) {
		bytes[size++] = (char)byte;
		hex += digits;
	}
	server_send(&server, bytes, size);
}

/* What no server says while the first request, xid 2 for the data of /a, is out. */
static const char *const nonsense[] = {
	"ffffffff",								     /* a negative length */
	"7fffffff 00000000",							     /* one over any bound */
	"00000000",								     /* an empty frame */
	"00000003 000000",							     /* less than a header */
	"0000000f 00000002 000000000000000a 000000",				     /* nearly a header */
	"00000010 00000002 000000000000000a 00000001",				     /* an error that is none */
	"00000010 00000003 000000000000000a 00000000",				     /* a request that was not sent */
	"00000010 00000001 000000000000000a 00000000",				     /* one that is answered already */
	"00000010 00000000 000000000000000a 00000000",				     /* none */
	"00000010 80000000 000000000000000a 00000000",				     /* none */
	"00000010 00000002 000000000000000a 00000000",				     /* no data */
	"00000014 00000002 000000000000000a 00000000 7fffffff",			     /* much data */
	"00000014 00000002 000000000000000a 00000000 fffffffe",			     /* less than none */
	"00000014 00000002 000000000000000a 00000000 00000000",			     /* no Stat */
	"00000014 ffffffff ffffffffffffffff 00000000 00000001",			     /* less than an event */
	"0000001c ffffffff ffffffffffffffff 00000000 00000001 00000003 00000000",    /* an event for nobody */
	"0000001d ffffffff ffffffffffffffff 00000000 00000001 00000003 00000001 61", /* not a path */
	"0000001e ffffffff ffffffffffffffff 00000000 00000001 00000003 00000002 2f00", /* not a path */
	"0000001c ffffffff ffffffffffffffff 00000000 00000001 00000003 7fffffff",      /* a long path */
};

START_TEST(nonsense_breaks_the_connection)
{
	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	ck_assert_int_eq(request.xid, 2);
	send_hex(nonsense[_i]);
	server_await_close(&server);
	expect("broken");
	reconnect();
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
}
END_TEST

/* The same of a multiRead's answer; the first is answered, the other is sent again. */
START_TEST(nonsense_in_a_batch_breaks_the_connection)
{
	start_ready();
	get_two();
	take(WIRE_MULTI_READ, "/a");
	server_begin(&server, request.xid, 10, 0);
	server_add_result(&server, 0, "one", &some_stat);
	if (_i == 0) {
		server_end_results(&server);
	} else if (_i == 1) {
		server_end(&server);
	} else {
		server_add_int(&server, 12345);
		server_end_results(&server);
	}
	server_await_close(&server);
	expect("/a: data one");
	expect("broken");
	reconnect();
	take(WIRE_GET_DATA, "/b");
	reply_data("two");
	expect("/b: data two");
}
END_TEST

START_TEST(answers_out_of_order_break_the_connection)
{
	start_ready();
	ask_stat("/a");
	ask_stat("/b");
	take(WIRE_EXISTS, "/a");
	take(WIRE_EXISTS, "/b");
	reply_stat();
	server_await_close(&server);
	expect("broken");
	reconnect();
	take(WIRE_EXISTS, "/a");
	reply_stat();
	take(WIRE_EXISTS, "/b");
	reply_stat();
	expect("/a: stat 77");
	expect("/b: stat 77");
}
END_TEST

START_TEST(nonsense_instead_of_a_session_is_no_connection)
{
	static const char *const greetings[] = {
		"ffffffff",
		"00000004 00000000",
		"00000013 00000000 00007530 0000000000005e55 000000",
		"00000054 00000000 00007530 0000000000005e55 00000041", /* too long a password */
		"00000014 00000000 00007530 0000000000005e55 7fffffff",
	};
	char rest[0x41] = { 0 };

	start();
	follow(&server);
	server_accept(&server);
	server_take_connect(&server, &hello);
	send_hex(greetings[_i]);
	server_send(&server, rest, sizeof(rest));
	server_await_close(&server);
	reconnect();
	ck_assert_int_eq(hello.session, 0);
	check_works();
}
END_TEST

/* Nonsense may be an answer, too. */
static void get_again_until_broken(void)
{
	const char *line;

	while ((line = next_line()) && strcmp(line, "broken") != 0) {
		if (strncmp(line, "/a: ", 4) == 0)
			get("/a");
	}
}

/* Whatever the bytes are, who asked is answered in the end. */
START_TEST(random_bytes_do_no_harm)
{
	unit_seed("random_bytes_do_no_harm");
	start_ready();
	get("/a");
	for (int round = 0; round < 40; round++) {
		char bytes[64];
		size_t size = unit_random(sizeof(bytes));

		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)unit_random(256);
		/* Often a length that fits, and a xid that might be right. */
		if (size >= 8 && unit_random(4)) {
			memcpy(bytes, "\0\0\0", 3);
			bytes[3] = (char)(size - 4);
			memset(bytes + 4, unit_random(2) ? 0 : 0xff, 3);
			bytes[7] = (char)(unit_random(2) ? unit_random(4) : 0xff);
		}
		take(WIRE_GET_DATA, "/a");
		server_send(&server, bytes, size);
		server_close(&server);
		get_again_until_broken();
		reconnect();
	}
	take(WIRE_GET_DATA, "/a");
	reply_data("hello");
	expect("/a: data hello");
}
END_TEST

/* --- Time --- */

START_TEST(nobody_waits_longer_than_the_timeout)
{
	config.timeout = 50;
	start();
	get("/a");
	expect("/a: ETIMEDOUT");
	fence(5, "fence");
	expect("fence: ETIMEDOUT");
}
END_TEST

START_TEST(late_answer_is_nobodys)
{
	int32_t late;

	config.timeout = 1000; /* enough for the request to go out, on any machine */
	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	late = request.xid;
	expect("/a: ETIMEDOUT");
	server_reply_data(&server, late, 10, "late", &some_stat);
	server_event(&server, WIRE_CREATED, "/b");
	expect("created /b");
	expect_silence();
}
END_TEST

START_TEST(what_timed_out_is_not_sent_again)
{
	config.timeout = 1000; /* enough for the request to go out, on any machine */
	start_ready();
	get("/a");
	take(WIRE_GET_DATA, "/a");
	expect("/a: ETIMEDOUT");
	server_close(&server);
	expect("broken");
	reconnect();
	stream_free(stream);
	stream = NULL;
	take(WIRE_CLOSE, "");
}
END_TEST

START_TEST(pings_when_idle_and_leaves_a_silent_server)
{
	start();
	follow(&server);
	server_accept(&server);
	server_take_connect(&server, &hello);
	server_grant(&server, SESSION, 1500);
	take_watch();
	take(WIRE_PING, "");
	server_reply(&server, WIRE_XID_PING, 10, 0);
	take(WIRE_PING, "");
	expect("broken");
	reconnect();
	check_works();
}
END_TEST

START_TEST(leaves_a_server_that_does_not_greet)
{
	config.session_timeout = 150;
	start();
	follow(&server);
	server_accept(&server);
	server_take_connect(&server, &hello);
	server_await_close(&server);
	server_accept(&server);
	server_take_connect(&server, &hello);
}
END_TEST

/* --- The end --- */

START_TEST(free_answers_everybody)
{
	start_ready();
	get("/a");
	fence(0, "all");
	take(WIRE_GET_DATA, "/a");
	take(WIRE_SYNC, "/");
	stream_free(stream);
	stream = NULL;
	expect("/a: ECANCELED");
	expect("all: ECANCELED");
	expect_silence();
	take(WIRE_CLOSE, "");
	ck_assert(!server_try_take(&server, &request));
}
END_TEST

START_TEST(free_answers_what_was_never_sent)
{
	start();
	get("/a");
	fence(5, "five");
	stream_free(stream);
	stream = NULL;
	expect("/a: ECANCELED");
	expect("five: ECANCELED");
	stream_free(NULL);
}
END_TEST

START_TEST(lack_of_memory_is_told)
{
	int send, fenced;

	start();
	unit_fail_allocation(1);
	send = stream_send(stream, STREAM_GET, "/a", on_reply, "a");
	ck_assert(unit_end_failure());
	ck_assert_int_eq(send, -ENOMEM);
	unit_fail_allocation(1);
	fenced = stream_fence(stream, 5, STREAM_AT_ONCE, on_fence, "f");
	ck_assert(unit_end_failure());
	ck_assert_int_eq(fenced, -ENOMEM);
	stream_free(stream);
	stream = NULL;
	expect_silence();
}
END_TEST

/* --- Threads ask, the connection breaks now and then: everybody is answered once, with what was asked for --- */

enum { THREADS = 4, ASKS = 200 };

struct ask {
	char path[24];
	atomic_int answers;
	atomic_bool is_right;
};

static struct ask asks[THREADS][ASKS];
static atomic_int answered;

static void on_answer(const struct stream_reply *reply, void *arg)
{
	struct ask *ask = arg;

	/* Each node holds its own path. */
	atomic_store(&ask->is_right,
		!reply->error && reply->data_size == strlen(ask->path) &&
			memcmp(reply->data, ask->path, reply->data_size) == 0);
	atomic_fetch_add(&ask->answers, 1);
	if (atomic_fetch_add(&answered, 1) + 1 == THREADS * ASKS)
		say("done");
}

static void *ask_a_lot(void *arg)
{
	struct ask *mine = arg;

	for (int i = 0; i < ASKS; i++) {
		(void)snprintf(mine[i].path, sizeof(mine[i].path), "/%zu/%d", (size_t)(mine - asks[0]) / ASKS, i);
		if (i % 10 == 0)
			stream_cork(stream);
		(void)stream_send(stream, STREAM_GET, mine[i].path, on_answer, &mine[i]);
		if (i % 10 == 9)
			stream_uncork(stream);
	}
	return NULL;
}

/* More than may be under way: what was sent before the break comes before what was not. */
START_TEST(order_outlives_the_connection)
{
	enum { COUNT = 300 };
	static char labels[COUNT][8];

	start();
	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(labels[i], sizeof(labels[i]), "/%d", i);
		get(labels[i]);
	}
	follow(&server);
	reconnect();
	server_take(&server, &request);
	ck_assert_str_eq(request.paths[0], "/0");
	server_close(&server);
	expect("broken");
	reconnect();
	for (int i = 0; i < COUNT; i += request.count) {
		server_take(&server, &request);
		ck_assert_str_eq(request.paths[0], labels[i]);
		serve_one();
	}
	for (int i = 0; i < COUNT; i++) {
		char line[LINE_SIZE];

		(void)snprintf(line, sizeof(line), "/%d: data /%d", i, i);
		expect(line);
	}
}
END_TEST

/* Until a sync comes. */
static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int left = 20 + (int)unit_random(30);

		take_hello();
		while (left-- > 0 && server_try_take(&server, &request)) {
			if (request.op == WIRE_SYNC)
				return NULL;
			serve_one();
		}
		server_finish(&server);
	}
}

START_TEST(threads_are_answered_once_each)
{
	pthread_t threads[THREADS];
	pthread_t serving;
	const char *line;

	unit_seed("threads_are_answered_once_each");
	start();
	follow(&server);
	ck_assert_int_eq(pthread_create(&serving, NULL, serve, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_a_lot, asks[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	do {
		line = next_line();
		ck_assert_ptr_nonnull(line);
	} while (strcmp(line, "done") != 0);
	ck_assert_int_eq(stream_fence(stream, 0, STREAM_AT_ONCE, on_fence, "end"), 0);
	pthread_join(serving, NULL);
	for (int i = 0; i < THREADS * ASKS; i++) {
		const struct ask *ask = &asks[i / ASKS][i % ASKS];

		if (atomic_load(&ask->answers) != 1 || !atomic_load(&ask->is_right))
			ck_abort_msg("%s: %d answers", ask->path, atomic_load(&ask->answers));
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("stream");
	TCase *tcase = tcase_create("stream");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, begins_a_session_and_watches_first);
	tcase_add_test(tcase, authenticates_before_all_else);
	tcase_add_test(tcase, waits_for_a_server_that_comes_later);
	tcase_add_test(tcase, follows_to_another_server);
	tcase_add_test(tcase, expired_session_begins_another);
	tcase_add_test(tcase, tells_the_newest_zxid_it_has_shown);
	tcase_add_test(tcase, decodes_every_kind_of_answer);
	tcase_add_test(tcase, sends_without_waiting_for_answers);
	tcase_add_test(tcase, asks_nothing_before_the_watch_is_answered);
	tcase_add_test(tcase, gets_that_wait_travel_together);
	tcase_add_loop_test(tcase, refused_multi_read_is_remembered, 0, 3);
	tcase_add_test(tcase, failed_multi_read_fails_all_in_it);
	tcase_add_test(tcase, keeps_the_order_of_events_and_replies);
	tcase_add_test(tcase, adds_and_strips_the_chroot);
	tcase_add_test(tcase, server_without_add_watch_is_not_asked_again);
	tcase_add_test(tcase, refused_watch_is_tried_again_on_the_next_connection);
	tcase_add_test(tcase, fence_passes_with_a_ping_that_is_new_enough);
	tcase_add_test(tcase, fence_on_a_server_behind_needs_a_sync);
	tcase_add_test(tcase, fence_of_unknown_zxid_needs_a_sync);
	tcase_add_test(tcase, refused_sync_passes_no_fence);
	tcase_add_test(tcase, any_reply_new_enough_passes_a_fence);
	tcase_add_test(tcase, fence_outlives_the_connection);
	tcase_add_loop_test(tcase, unanswered_requests_are_sent_again, 0, 2);
	tcase_add_test(tcase, broken_batch_is_sent_again);
	tcase_add_loop_test(tcase, nonsense_breaks_the_connection, 0, sizeof(nonsense) / sizeof(*nonsense));
	tcase_add_loop_test(tcase, nonsense_in_a_batch_breaks_the_connection, 0, 3);
	tcase_add_test(tcase, answers_out_of_order_break_the_connection);
	tcase_add_loop_test(tcase, nonsense_instead_of_a_session_is_no_connection, 0, 5);
	tcase_add_test(tcase, random_bytes_do_no_harm);
	tcase_add_test(tcase, nobody_waits_longer_than_the_timeout);
	tcase_add_test(tcase, late_answer_is_nobodys);
	tcase_add_test(tcase, what_timed_out_is_not_sent_again);
	tcase_add_test(tcase, pings_when_idle_and_leaves_a_silent_server);
	tcase_add_test(tcase, leaves_a_server_that_does_not_greet);
	tcase_add_test(tcase, free_answers_everybody);
	tcase_add_test(tcase, free_answers_what_was_never_sent);
	tcase_add_test(tcase, lack_of_memory_is_told);
	tcase_add_test(tcase, order_outlives_the_connection);
	tcase_add_test(tcase, threads_are_answered_once_each);
	suite_add_tcase(suite, tcase);
	return suite;
}
