/* Changes on their way through the session. In place of the session, libzookeeper and the clock stands the test, which answers when
 * it likes. */
#include "cache/write.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "cache/util/clock.h"
#include "tests/unit/unit.h"

enum { TIMEOUT = 1000, SENT_MAX = 16 };

/* --- Below the writer --- */

static struct {
	int64_t now;
	bool is_connected;
	int users;   /* of the handle */
	int refusal; /* the code of the next call; 0: it is sent */

	struct {
		stat_completion_t stat;
		void_completion_t nothing;
		const void *data;
		char path[32];
	} sent[SENT_MAX];
	int count, answered;
	char acl[64]; /* of the last create, as "SCHEME:ID:BITS,…" */
} below;

int64_t clock_now(void)
{
	return below.now;
}

void *session_get(struct session *session)
{
	(void)session;
	below.users += below.is_connected ? 1 : 0;
	return below.is_connected ? &below : NULL;
}

void session_put(struct session *session)
{
	(void)session;
	below.users--;
}

bool session_is_connected(struct session *session)
{
	(void)session;
	return below.is_connected;
}

static int take(const char *path, stat_completion_t stat, void_completion_t nothing, const void *data)
{
	int refusal = below.refusal;

	ck_assert_int_gt(below.users, 0);
	below.refusal = 0;
	if (refusal)
		return refusal;
	ck_assert_int_lt(below.count, SENT_MAX);
	below.sent[below.count].stat = stat;
	below.sent[below.count].nothing = nothing;
	below.sent[below.count].data = data;
	(void)strncpy(below.sent[below.count].path, path, sizeof(below.sent[0].path) - 1);
	below.count++;
	return ZOK;
}

int zoo_aset(zhandle_t *zh, const char *path, const char *buffer, int buflen, int version, stat_completion_t completion,
	const void *data)
{
	(void)zh;
	(void)buffer;
	(void)buflen;
	(void)version;
	return take(path, completion, NULL, data);
}

int zoo_adelete(zhandle_t *zh, const char *path, int version, void_completion_t completion, const void *data)
{
	(void)zh;
	(void)version;
	return take(path, NULL, completion, data);
}

static void note_acl(const struct ACL_vector *acl)
{
	size_t size = 0;

	for (int i = 0; i < acl->count; i++)
		size += (size_t)snprintf(below.acl + size, sizeof(below.acl) - size, "%s%s:%s:%d", i ? "," : "",
			acl->data[i].id.scheme, acl->data[i].id.id, acl->data[i].perms);
}

int zoo_acreate2(zhandle_t *zh, const char *path, const char *value, int valuelen, const struct ACL_vector *acl,
	int mode, string_stat_completion_t completion, const void *data)
{
	(void)zh;
	(void)value;
	(void)valuelen;
	(void)mode;
	(void)completion;
	note_acl(acl);
	return take(path, NULL, NULL, data);
}

int zoo_amulti(zhandle_t *zh, int count, const zoo_op_t *ops, zoo_op_result_t *results, void_completion_t completion,
	const void *data)
{
	(void)zh;
	(void)results;
	for (int i = 0; i < count; i++) {
		if (ops[i].type == ZOO_CREATE_OP)
			note_acl(ops[i].create_op.acl);
	}
	return take(ops[0].create_op.path, NULL, completion, data);
}

/* Answers the oldest. */
static void answer(int code, const struct Stat *stat)
{
	int next = below.answered++;

	ck_assert_int_lt(next, below.count);
	if (below.sent[next].stat)
		below.sent[next].stat(code, stat, below.sent[next].data);
	else
		below.sent[next].nothing(code, below.sent[next].data);
}

static void check_sent(int count, const char *last)
{
	ck_assert_int_eq(below.count, count);
	if (count)
		ck_assert_str_eq(below.sent[count - 1].path, last);
}

/* --- The writer --- */

static struct writer *writer;

/* How a change ended. */
struct end {
	int times;
	struct write_result result;
};

static void note(const struct write_result *result, void *arg)
{
	struct end *end = arg;

	end->times++;
	end->result = *result;
}

static void check_end(const struct end *end, int error, bool is_unknown)
{
	ck_assert_int_eq(end->times, 1);
	ck_assert_msg(end->result.error == error, "%d, not %d", end->result.error, error);
	ck_assert_int_eq(end->result.is_unknown, is_unknown);
}

static void make_writer(struct acl_list *acl)
{
	const struct writer_config config = { .chroot = "/app", .acl = acl, .timeout = TIMEOUT };

	writer = writer_new(&config);
	ck_assert_ptr_nonnull(writer);
	writer_attach(writer, NULL);
}

static void setup(void)
{
	memset(&below, 0, sizeof(below));
	below.now = 5000;
	below.is_connected = true;
	make_writer(NULL);
}

static void teardown(void)
{
	ck_assert_int_eq(below.users, 0);
	writer_stop(writer);
	writer_closed(writer);
	writer_free(writer);
}

static void submit(const char *path, struct end *end)
{
	const struct write_step step = { .verb = WRITE_SET, .path = path, .version = -1 };

	*end = (struct end){ 0 };
	ck_assert_int_eq(writer_submit(writer, &step, 1, note, end), 0);
}

START_TEST(change_is_sent_and_answered)
{
	const struct Stat stat = { .mzxid = 7, .czxid = 3, .version = 2 };
	const struct write_step delete = { .verb = WRITE_DELETE, .path = "/", .version = 4 };
	static struct end end;

	submit("/a", &end);
	check_sent(1, "/app/a");
	ck_assert_int_eq(end.times, 0);
	answer(ZOK, &stat);
	check_end(&end, 0, false);
	ck_assert_int_eq(end.result.zxid, 7);
	ck_assert_int_eq(end.result.stat.version, 2);
	end = (struct end){ 0 };
	ck_assert_int_eq(writer_submit(writer, &delete, 1, note, &end), 0);
	check_sent(2, "/app");
	answer(ZBADVERSION, NULL);
	check_end(&end, -EAGAIN, false);
}
END_TEST

START_TEST(answer_that_is_lost_is_unknown)
{
	static struct end lost, left;

	submit("/a", &lost);
	submit("/b", &left);
	answer(ZCONNECTIONLOSS, NULL);
	check_end(&lost, -ETIMEDOUT, true);
	below.is_connected = false;
	writer_closed(writer); /* and the library never answers */
	check_end(&left, -EIO, true);
}
END_TEST

START_TEST(change_waits_for_a_connection)
{
	static struct end first, second, late;

	below.is_connected = false;
	submit("/a", &first);
	submit("/b", &second);
	check_sent(0, NULL);
	writer_waiting(writer);
	below.is_connected = true;
	writer_connected(writer);
	check_sent(2, "/app/b");
	answer(ZOK, NULL);
	answer(ZOK, NULL);
	check_end(&first, 0, false);
	check_end(&second, 0, false);
	below.is_connected = false;
	submit("/c", &late);
	below.now += TIMEOUT - 1;
	writer_waiting(writer);
	ck_assert_int_eq(late.times, 0);
	below.now++;
	writer_waiting(writer);
	check_end(&late, -ETIMEDOUT, false);
}
END_TEST

START_TEST(change_waits_only_for_a_moment_in_a_long_outage)
{
	static struct end first, second, anew;

	below.is_connected = false;
	writer_lost(writer);
	below.now += TIMEOUT / 2;
	submit("/a", &first);
	below.now += TIMEOUT / 2;
	writer_waiting(writer);
	check_end(&first, -ETIMEDOUT, false);
	submit("/b", &second);
	writer_waiting(writer);
	ck_assert_int_eq(second.times, 0);
	below.now += 100;
	writer_waiting(writer);
	check_end(&second, -ETIMEDOUT, false);
	below.is_connected = true;
	writer_connected(writer);
	below.is_connected = false;
	writer_lost(writer);
	submit("/c", &anew);
	below.now += TIMEOUT - 1;
	writer_waiting(writer);
	ck_assert_int_eq(anew.times, 0);
	below.now++;
	writer_waiting(writer);
	check_end(&anew, -ETIMEDOUT, false);
}
END_TEST

START_TEST(change_that_an_expired_session_refuses_waits_for_the_next)
{
	static struct end end;

	below.refusal = ZINVALIDSTATE;
	submit("/a", &end);
	ck_assert_int_eq(end.times, 0);
	writer_connected(writer);
	check_sent(1, "/app/a");
	below.refusal = ZBADARGUMENTS;
	submit("/b", &end);
	check_end(&end, -EINVAL, false);
}
END_TEST

/* Whoever makes several changes in a row must not wait for each, when a server is silent. */
START_TEST(behind_an_overdue_answer_nothing_is_sent)
{
	static struct end first, second, third;

	submit("/a", &first);
	below.now += TIMEOUT;
	submit("/b", &second);
	check_sent(2, "/app/b");
	below.now++;
	submit("/c", &third);
	check_end(&third, -ETIMEDOUT, false);
	answer(ZOK, NULL);
	submit("/c", &third);
	check_sent(3, "/app/c");
}
END_TEST

/* The time without a connection is not the server's silence. */
START_TEST(answer_is_not_overdue_before_the_change_was_sent)
{
	static struct end first, second, third;

	below.is_connected = false;
	submit("/a", &first);
	below.now += TIMEOUT - 1;
	below.is_connected = true;
	writer_connected(writer);
	check_sent(1, "/app/a");
	below.now += 2;
	submit("/b", &second);
	ck_assert_int_eq(second.times, 0);
	check_sent(2, "/app/b");
	below.now += TIMEOUT - 1;
	submit("/c", &third);
	check_end(&third, -ETIMEDOUT, false);
}
END_TEST

/* Under jute.maxbuffer's default, whatever the chroot and the name are. */
START_TEST(what_is_too_large_is_not_sent)
{
	enum { MAX = 0xfffff - 4096 - 128 };
	struct write_step step = { .verb = WRITE_SET, .path = "/a", .version = -1 };
	char *zeros = calloc(1, MAX);
	static struct end end;

	step.data = bytes_new(zeros, MAX - strlen("/app/a"));
	ck_assert_int_eq(writer_submit(writer, &step, 1, note, &end), 0);
	check_sent(1, "/app/a");
	bytes_put(step.data);
	step.data = bytes_new(zeros, MAX - strlen("/app/a") + 1);
	ck_assert_int_eq(writer_submit(writer, &step, 1, note, &end), -EFBIG);
	check_sent(1, "/app/a");
	ck_assert_int_eq(end.times, 0);
	bytes_put(step.data);
	free(zeros);
}
END_TEST

/* An ACL of one entry, whose strings are the caller's, held once. */
static struct acl_list *acl_with(const char *scheme, const char *id, int32_t perms)
{
	struct acl_list *acl = malloc(sizeof(*acl) + sizeof(acl->list[0]));

	ck_assert_ptr_nonnull(acl);
	atomic_init(&acl->refs, 1);
	acl->count = 1;
	acl->list[0] = (struct acl_entry){ perms, scheme, id };
	return acl;
}

/* Submits a create, alone or with a set behind it, and gives what ACL was sent. */
static const char *acl_sent(struct acl_list *acl, int count)
{
	static struct end end;
	const struct write_step steps[] = { { .verb = WRITE_CREATE, .path = "/new", .acl = acl },
		{ .verb = WRITE_SET, .path = "/new", .version = -1 } };

	below.acl[0] = '\0';
	ck_assert_int_eq(writer_submit(writer, steps, count, note, &end), 0);
	return below.acl;
}

START_TEST(new_nodes_get_the_acl_of_new_nodes)
{
	struct acl_list *acl = acl_with("auth", "", 31), *other = acl_with("ip", "::1", 1);

	for (int count = 1; count <= 2; count++)
		ck_assert_str_eq(acl_sent(NULL, count), "world:anyone:31");
	teardown();
	make_writer(acl);
	acl_list_put(acl); /* it has one of its own */
	for (int count = 1; count <= 2; count++) {
		ck_assert_str_eq(acl_sent(NULL, count), "auth::31");
		ck_assert_str_eq(acl_sent(other, count), "ip:::1:1");
	}
	acl_list_put(other);
}
END_TEST

/* It is a part of the packet, which the server would drop the connection for. */
START_TEST(acl_of_new_nodes_counts)
{
	enum { LONG = 600000 };
	static char id[LONG + 1];
	struct acl_list *acl = acl_with("x", id, 1);
	const struct write_step steps[] = { { .verb = WRITE_CREATE, .path = "/a" },
		{ .verb = WRITE_CREATE, .path = "/b" } };
	struct end end;

	memset(id, 'x', LONG);
	teardown();
	make_writer(acl);
	acl_list_put(acl);
	ck_assert_int_eq(writer_submit(writer, steps, 2, note, &end), -EFBIG);
	check_sent(0, NULL);
}
END_TEST

START_TEST(stopped_writer_refuses)
{
	static struct end waiting, later;

	below.is_connected = false;
	submit("/a", &waiting);
	writer_stop(writer);
	check_end(&waiting, -EIO, false);
	submit("/b", &later);
	check_end(&later, -EIO, false);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("write");
	TCase *tcase = tcase_create("write");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, change_is_sent_and_answered);
	tcase_add_test(tcase, answer_that_is_lost_is_unknown);
	tcase_add_test(tcase, change_waits_for_a_connection);
	tcase_add_test(tcase, change_waits_only_for_a_moment_in_a_long_outage);
	tcase_add_test(tcase, change_that_an_expired_session_refuses_waits_for_the_next);
	tcase_add_test(tcase, behind_an_overdue_answer_nothing_is_sent);
	tcase_add_test(tcase, answer_is_not_overdue_before_the_change_was_sent);
	tcase_add_test(tcase, what_is_too_large_is_not_sent);
	tcase_add_test(tcase, stopped_writer_refuses);
	tcase_add_test(tcase, new_nodes_get_the_acl_of_new_nodes);
	tcase_add_test(tcase, acl_of_new_nodes_counts);
	suite_add_tcase(suite, tcase);
	return suite;
}
