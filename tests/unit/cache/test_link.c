#include "cache/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { PATIENCE_MS = 30000 };

static struct link near; /* the one that is tested */
static int far = -1;	 /* its peer */
static int listener;
static struct sockaddr_in address;

static void setup(void)
{
	socklen_t size = sizeof(address);

	link_init(&near);
	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
}

static void teardown(void)
{
	link_close(&near);
	if (far >= 0)
		(void)close(far);
	far = -1;
	(void)close(listener);
}

static void await(short events)
{
	struct pollfd ready = { .fd = near.fd, .events = events };

	ck_assert_int_eq(poll(&ready, 1, PATIENCE_MS), 1);
}

static void connect_both(void)
{
	ck_assert_int_eq(link_open(&near, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert(link_wants_write(&near));
	far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(far, 0);
	await(POLLOUT);
	ck_assert_int_eq(link_flush(&near), 0);
	ck_assert(!link_wants_write(&near));
}

static void send_far(const void *bytes, size_t size)
{
	ck_assert_int_eq(send(far, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void fill(void)
{
	await(POLLIN);
	ck_assert_int_eq(link_fill(&near), 0);
}

static void check_frame(const char *text)
{
	struct wire_in frame;

	ck_assert_int_eq(link_next_frame(&near, &frame), 1);
	if ((size_t)(frame.end - frame.next) != strlen(text) || memcmp(frame.next, text, strlen(text)) != 0)
		ck_abort_msg("'%.*s', not '%s'", (int)(frame.end - frame.next), frame.next, text);
}

static void check_no_frame(void)
{
	struct wire_in frame;

	ck_assert_int_eq(link_next_frame(&near, &frame), 0);
}

START_TEST(closed_link_holds_nothing)
{
	ck_assert_int_eq(near.fd, -1);
	ck_assert(!link_wants_write(&near));
	check_no_frame();
	link_close(&near);
	ck_assert_int_eq(near.fd, -1);
}
END_TEST

START_TEST(sends_what_was_put_before_it_is_connected)
{
	char got[5];

	ck_assert_int_eq(link_open(&near, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert(buf_append(&near.out, "hello", 5));
	far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	await(POLLOUT);
	ck_assert_int_eq(link_flush(&near), 0);
	ck_assert(!link_wants_write(&near));
	ck_assert_int_eq(recv(far, got, 5, MSG_WAITALL), 5);
	ck_assert_int_eq(memcmp(got, "hello", 5), 0);
}
END_TEST

START_TEST(refused_connection_is_told)
{
	int err;

	(void)close(listener);
	err = link_open(&near, (struct sockaddr *)&address, sizeof(address));
	if (!err) {
		await(POLLOUT);
		err = link_flush(&near);
	}
	ck_assert_int_eq(err, -ECONNREFUSED);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}
END_TEST

START_TEST(failed_open_leaves_it_closed)
{
	const struct sockaddr_in wrong = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_BROADCAST) };
	const struct sockaddr unknown = { .sa_family = 9999 };

	ck_assert_int_lt(link_open(&near, (const struct sockaddr *)&wrong, sizeof(wrong)), 0);
	ck_assert_int_eq(near.fd, -1);
	ck_assert_int_eq(link_open(&near, &unknown, sizeof(unknown)), -EAFNOSUPPORT);
	ck_assert_int_eq(near.fd, -1);
	connect_both();
}
END_TEST

/* However the bytes come, the same frames come out. */
START_TEST(frames_are_put_together)
{
	static const char bytes[] = "\0\0\0\5hello\0\0\0\0\0\0\0\1x";
	const size_t size = sizeof(bytes) - 1;

	connect_both();
	for (size_t split = 1; split < size; split++) {
		static const char *const frames[] = { "hello", "", "x" };
		const size_t ends[] = { 9, 13, 18 };
		int next = 0;

		send_far(bytes, split);
		for (size_t here = 0; here < split; here = near.in.size)
			fill();
		for (; next < 3 && ends[next] <= split; next++)
			check_frame(frames[next]);
		check_no_frame();
		send_far(bytes + split, size - split);
		while (near.in.size - near.taken < size - (next ? ends[next - 1] : 0))
			fill();
		for (; next < 3; next++)
			check_frame(frames[next]);
		check_no_frame();
		ck_assert_uint_eq(near.taken, near.in.size);
	}
}
END_TEST

START_TEST(frames_come_byte_by_byte)
{
	static const char bytes[] = "\0\0\0\5hello";

	connect_both();
	for (size_t i = 0; i < 9; i++) {
		check_no_frame();
		send_far(bytes + i, 1);
		fill();
	}
	check_frame("hello");
	check_no_frame();
}
END_TEST

START_TEST(large_frame_is_put_together)
{
	enum { SIZE = 3 << 20 };
	const uint32_t length = htonl(SIZE);
	char *sent = malloc(SIZE);
	struct wire_in frame;
	size_t done = 0;
	int got = 0;

	unit_seed("large_frame_is_put_together");
	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (char)unit_random(256);
	connect_both();
	send_far(&length, sizeof(length));
	while (!got) {
		ssize_t now = send(far, sent + done, SIZE - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		done += now > 0 ? (size_t)now : 0;
		fill();
		got = link_next_frame(&near, &frame);
	}
	ck_assert_int_eq(got, 1);
	ck_assert_int_eq(frame.end - frame.next, SIZE);
	ck_assert_int_eq(memcmp(frame.next, sent, SIZE), 0);
	check_no_frame();
	send_far("\0\0\0\1x", 5);
	fill();
	check_frame("x");
	free(sent);
}
END_TEST

START_TEST(impossible_length_is_no_frame)
{
	static const char *const lengths[] = { "\xff\xff\xff\xff", "\x80\0\0\0", "\x7f\xff\xff\xff", "\x10\0\0\1" };
	struct wire_in frame;

	connect_both();
	send_far(lengths[_i], 4);
	fill();
	ck_assert_int_eq(link_next_frame(&near, &frame), -EBADMSG);
}
END_TEST

START_TEST(largest_length_may_come)
{
	connect_both();
	send_far("\x10\0\0\0", 4);
	fill();
	check_no_frame();
}
END_TEST

START_TEST(close_by_the_peer_is_told_after_its_frames)
{
	connect_both();
	send_far("\0\0\0\1x\0\0\0\5hel", 12);
	(void)close(far);
	far = -1;
	fill();
	check_frame("x");
	check_no_frame();
	await(POLLIN);
	ck_assert_int_eq(link_fill(&near), -ECONNRESET);
}
END_TEST

START_TEST(nothing_there_is_no_error)
{
	connect_both();
	ck_assert_int_eq(link_fill(&near), 0);
	check_no_frame();
}
END_TEST

START_TEST(reset_by_the_peer_is_told)
{
	const struct linger now = { .l_onoff = 1 };

	connect_both();
	ck_assert_int_eq(setsockopt(far, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(far);
	far = -1;
	await(POLLIN);
	ck_assert(buf_append(&near.out, "hello", 5));
	ck_assert_int_lt(link_flush(&near), 0);
}
END_TEST

START_TEST(sends_as_much_as_the_socket_takes)
{
	enum { SIZE = 16 << 20 };
	char *sent = buf_extend(&near.out, SIZE);
	char *got = malloc(SIZE);
	size_t done = 0;

	memset(sent, 'a', SIZE / 2);
	memset(sent + SIZE / 2, 'b', SIZE / 2);
	ck_assert_int_eq(link_open(&near, (struct sockaddr *)&address, sizeof(address)), 0);
	far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	await(POLLOUT);
	ck_assert_int_eq(link_flush(&near), 0);
	ck_assert(link_wants_write(&near));
	while (done < SIZE) {
		ssize_t now = recv(far, got + done, SIZE - done, 0);

		ck_assert_int_gt(now, 0);
		done += (size_t)now;
		ck_assert_int_eq(link_flush(&near), 0);
	}
	ck_assert(!link_wants_write(&near));
	for (size_t i = 0; i < SIZE; i++) {
		if (got[i] != (i < SIZE / 2 ? 'a' : 'b'))
			ck_abort_msg("wrong at %zu", i);
	}
	free(got);
}
END_TEST

START_TEST(lack_of_memory_is_told)
{
	int err;

	connect_both();
	near.out.failed = true;
	ck_assert_int_eq(link_flush(&near), -ENOMEM);
	send_far("x", 1);
	await(POLLIN);
	unit_fail_allocation(1);
	err = link_fill(&near);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(err, -ENOMEM);
}
END_TEST

START_TEST(closing_drops_everything)
{
	connect_both();
	send_far("\0\0\0\1x", 5);
	fill();
	ck_assert(buf_append(&near.out, "hello", 5));
	link_close(&near);
	ck_assert_int_eq(near.fd, -1);
	ck_assert(!link_wants_write(&near));
	check_no_frame();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("link");
	TCase *tcase = tcase_create("link");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, closed_link_holds_nothing);
	tcase_add_test(tcase, sends_what_was_put_before_it_is_connected);
	tcase_add_test(tcase, refused_connection_is_told);
	tcase_add_test(tcase, failed_open_leaves_it_closed);
	tcase_add_test(tcase, frames_are_put_together);
	tcase_add_test(tcase, frames_come_byte_by_byte);
	tcase_add_test(tcase, large_frame_is_put_together);
	tcase_add_loop_test(tcase, impossible_length_is_no_frame, 0, 4);
	tcase_add_test(tcase, largest_length_may_come);
	tcase_add_test(tcase, close_by_the_peer_is_told_after_its_frames);
	tcase_add_test(tcase, nothing_there_is_no_error);
	tcase_add_test(tcase, reset_by_the_peer_is_told);
	tcase_add_test(tcase, sends_as_much_as_the_socket_takes);
	tcase_add_test(tcase, lack_of_memory_is_told);
	tcase_add_test(tcase, closing_drops_everything);
	suite_add_tcase(suite, tcase);
	return suite;
}
