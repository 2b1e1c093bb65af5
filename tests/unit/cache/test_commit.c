/* Transactions whose reply is lost. In place of the writer, the stream and the session stands an ensemble in memory, which makes all of
 * a transaction or nothing, and whose transactions can get lost, before they were made or after. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "tests/unit/unit.h"

/* --- The ensemble --- */

enum { NODES = 16, OURS = 7, OTHERS = 8 /* sessions */ };

enum fate { ARRIVES, LOST, LOST_BUT_MADE };

struct znode {
	char path[32];
	bool is_there;
	char data[32];
	struct node_stat stat;
};

static struct {
	struct znode nodes[NODES];
	int64_t zxid, passed;
	enum fate fate[4];	 /* of the transactions to come */
	void (*meanwhile)(void); /* what others do before the session's next connection answers, once */
	int fence_error, read_error, refusals;
	int64_t session;
	int sent, made, settled;
} ensemble;

/* The node at the path, perhaps of one that is not there. */
static struct znode *at(const char *path)
{
	for (int i = 0; i < NODES; i++) {
		struct znode *node = &ensemble.nodes[i];

		if (!node->path[0])
			strcpy(node->path,
				path); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): tests' paths are short */
		if (strcmp(node->path, path) == 0)
			return node;
	}
	ck_abort_msg("too many nodes");
	return NULL;
}

static void touch_parent(const char *path)
{
	char parent[32];
	size_t size = (size_t)(strrchr(path, '/') - path);

	memcpy(parent, path, size ? size : 1);
	parent[size ? size : 1] = '\0';
	at(parent)->stat.pzxid = ensemble.zxid;
}

static void put(const char *path, const char *data, int64_t owner)
{
	struct znode *node = at(path);

	if (!node->is_there) {
		node->stat = (struct node_stat){ .czxid = ensemble.zxid,
			.pzxid = ensemble.zxid,
			.version = -1,
			.ephemeral_owner = owner };
		touch_parent(path);
	}
	node->is_there = true;
	node->stat.mzxid = ensemble.zxid;
	node->stat.version++;
	memcpy(node->data, data, strlen(data) + 1);
}

static void others_put(const char *path, const char *data)
{
	ensemble.zxid++;
	put(path, data, 0);
}

static void others_remove(const char *path)
{
	ensemble.zxid++;
	at(path)->is_there = false;
	touch_parent(path);
}

static int check_step(const struct write_step *step)
{
	const struct znode *node = at(step->path);

	if (step->verb == WRITE_CREATE)
		return node->is_there && !step->is_sequential ? -EEXIST : 0;
	if (!node->is_there)
		return -ENOENT;
	return step->version != -1 && step->version != node->stat.version ? -EAGAIN : 0;
}

static void make_step(const struct write_step *step)
{
	char text[32] = "";

	if (step->data)
		memcpy(text, step->data->data, step->data->size);
	if (step->verb == WRITE_CREATE && step->is_sequential)
		put("/q/n0000000001", text, 0);
	else if (step->verb == WRITE_CREATE)
		put(step->path, text, step->mode == WRITE_EPHEMERAL ? ensemble.session : 0);
	else if (step->verb == WRITE_SET)
		put(step->path, text, 0);
	else if (step->verb == WRITE_DELETE) {
		at(step->path)->is_there = false;
		touch_parent(step->path);
	}
}

static int answer_settling(write_cb *done, void *arg)
{
	struct write_result result = { .error = ensemble.refusals > 0 ? -EIO : 0, .is_unknown = ensemble.refusals > 0 };

	ensemble.settled++;
	ensemble.refusals--;
	if (ensemble.meanwhile)
		ensemble.meanwhile();
	ensemble.meanwhile = NULL;
	done(&result, arg);
	return 0;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	static const char *const made[] = { NULL, "/q/n0000000001" };
	struct write_result result = { .failed = (size_t)count };
	enum fate fate = ensemble.fate[0];

	(void)writer;
	if (count == 1 && steps[0].verb == WRITE_CHECK && strcmp(steps[0].path, "/") == 0)
		return answer_settling(done, arg);
	memmove(ensemble.fate, ensemble.fate + 1, sizeof(ensemble.fate) - sizeof(ensemble.fate[0]));
	ensemble.sent++;
	for (int i = 0; i < count && !result.error; i++) {
		result.error = check_step(&steps[i]);
		result.failed = result.error ? (size_t)i : (size_t)count;
	}
	if (fate != LOST && !result.error) {
		ensemble.zxid++;
		ensemble.made++;
		for (int i = 0; i < count; i++)
			make_step(&steps[i]);
		if (count == 2 && steps[1].is_sequential)
			result.made = made;
	}
	if (fate != ARRIVES)
		result = (struct write_result){ .error = -EIO, .is_unknown = true, .failed = (size_t)count };
	done(&result, arg);
	return 0;
}

int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg)
{
	(void)haste;
	(void)stream;
	(void)zxid;
	done(ensemble.fence_error, arg);
	return 0;
}

struct stream_mark stream_mark(struct stream *stream)
{
	(void)stream;
	return (struct stream_mark){ .passed = ensemble.passed ? ensemble.passed : ensemble.zxid };
}

int stream_send(struct stream *stream, enum stream_read read, const char *path, stream_reply_cb *done, void *arg)
{
	const struct znode *node = at(path);
	struct stream_reply reply = { .error = ensemble.read_error };

	(void)stream;
	if (!reply.error && !node->is_there)
		reply.error = -ENOENT;
	if (!reply.error) {
		reply.stat = node->stat;
		if (read == STREAM_GET) {
			reply.data = node->data;
			reply.data_size = strlen(node->data);
		}
	}
	done(&reply, arg);
	return 0;
}

int64_t session_id(struct session *session)
{
	(void)session;
	return ensemble.session;
}

/* --- The cache --- */

static struct cache cache;

static void setup(void)
{
	cache = (struct cache){ .timeout = 60000, .tree = tree_new(1 << 20, 0) };
	memset(&ensemble, 0, sizeof(ensemble));
	ensemble.zxid = 100;
	ensemble.session = OURS;
	put("/q", "", 0);
	put("/a", "a", 0);
	put("/b", "b", 0);
	at("/")->is_there = true;
	ensemble.zxid++;
}

static void teardown(void)
{
	tree_free(cache.tree);
}

static struct write_step steps[4];
static size_t count;

static void step(enum write_verb verb, const char *path, const char *data, int32_t version)
{
	steps[count++] = (struct write_step){ .verb = verb,
		.path = path,
		.data = data ? bytes_new(data, strlen(data)) : NULL,
		.version = version };
}

static struct {
	int times, error;
	size_t failed;
	char made[32];
} end;

static void ended(const struct cache_outcome *outcome, void *arg)
{
	(void)arg;
	end.times++;
	end.error = outcome->error;
	end.failed = outcome->failed;
	if (outcome->made && outcome->made[1])
		memcpy(end.made, outcome->made[1], strlen(outcome->made[1]) + 1);
}

/* Makes a transaction of the steps, and forgets them. */
static void commit(int error, int sent, int made)
{
	memset(&end, 0, sizeof(end));
	ensemble.sent = ensemble.made = 0;
	ck_assert_int_eq(cache_commit(&cache, steps, count, ended, NULL), 0);
	for (size_t i = 0; i < count; i++)
		bytes_put(steps[i].data);
	count = 0;
	ck_assert_int_eq(end.times, 1);
	ck_assert_msg(end.error == error, "%d, not %d", end.error, error);
	ck_assert_int_eq(ensemble.sent, sent);
	ck_assert_int_eq(ensemble.made, made);
}

START_TEST(what_is_answered)
{
	step(WRITE_CHECK, "/a", NULL, 0);
	step(WRITE_CREATE, "/q/n", "x", -1);
	steps[1].is_sequential = true;
	commit(0, 1, 1);
	ck_assert_str_eq(end.made, "/q/n0000000001");
	step(WRITE_SET, "/a", "new", 0);
	step(WRITE_CHECK, "/b", NULL, 9);
	commit(-EAGAIN, 1, 0);
	ck_assert_uint_eq(end.failed, 1);
	ck_assert_str_eq(at("/a")->data, "a");
	ensemble.fence_error = -ETIMEDOUT; /* it stands */
	step(WRITE_DELETE, "/a", NULL, 0);
	commit(0, 1, 1);
	ck_assert_int_eq(ensemble.settled, 0);
}
END_TEST

/* Each kind of step shows by itself that nothing was made. */
START_TEST(what_got_lost_is_sent_again)
{
	ensemble.fate[0] = ensemble.fate[1] = LOST;
	step(WRITE_SET, "/a", "new", -1);
	commit(0, 3, 1);
	ck_assert_int_eq(ensemble.settled, 2);
	ck_assert_str_eq(at("/a")->data, "new");
	ensemble.fate[0] = LOST;
	step(WRITE_CHECK, "/a", NULL, 1);
	step(WRITE_CREATE, "/new", "x", -1);
	commit(0, 2, 1);
	ensemble.fate[0] = LOST;
	step(WRITE_CREATE, "/q/new", "x", -1);
	commit(0, 2, 1);
	ensemble.fate[0] = LOST;
	step(WRITE_DELETE, "/b", NULL, -1);
	commit(0, 2, 1);
	ensemble.fate[0] = LOST;
	step(WRITE_CHECK, "/a", NULL, 1);
	step(WRITE_CREATE, "/q/n", "x", -1);
	steps[1].is_sequential = true;
	commit(0, 2, 1);
	ck_assert_str_eq(end.made, "/q/n0000000001");
}
END_TEST

/* What cannot be made is said as it is when it is sent again. */
START_TEST(what_fails_after_it_got_lost)
{
	ensemble.fate[0] = LOST;
	step(WRITE_SET, "/b", "new", -1);
	step(WRITE_CREATE, "/a", "x", -1);
	commit(-EEXIST, 2, 0);
	ck_assert_uint_eq(end.failed, 1);
	ensemble.fate[0] = LOST;
	step(WRITE_CREATE, "/a", "x", -1);
	commit(-EEXIST, 2, 0);
}
END_TEST

START_TEST(what_can_only_be_ours_was_made)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_SET, "/a", "new", 0);
	commit(0, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_CREATE, "/me", "x", -1);
	steps[0].mode = WRITE_EPHEMERAL;
	step(WRITE_CHECK, "/b", NULL, 0);
	commit(0, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_SET, "/a", "newer", 1);
	step(WRITE_SET, "/q", "any", -1);
	step(WRITE_DELETE, "/b", NULL, -1);
	commit(0, 1, 1);
}
END_TEST

/* Others may have done it. */
START_TEST(whose_it_is_is_not_known)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_CREATE, "/new", "x", -1);
	commit(-EIO, 1, 1);
	ck_assert_uint_eq(end.failed, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_SET, "/a", "x", -1);
	commit(-EIO, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_DELETE, "/new", NULL, -1);
	commit(-EIO, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_SET, "/a", "y", 1);
	step(WRITE_CREATE, "/q/n", "x", -1);
	steps[1].is_sequential = true; /* its name would not be known */
	commit(-EIO, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_SET, "/a", "z", 2);
	step(WRITE_CREATE, "/new", "x", -1);
	commit(-EIO, 1, 1);
	ensemble.fate[0] = LOST_BUT_MADE;
	step(WRITE_CHECK, "/a", NULL, 3);
	commit(-EIO, 1, 1);
}
END_TEST

static void others_do_the_same_in_two(void)
{
	others_put("/a", "new");
	others_put("/b", "new");
}

static void others_change(void)
{
	others_put("/a", "theirs");
}

static void others_make_mine(void)
{
	ensemble.zxid++;
	put("/me", "x", OTHERS);
}

static void others_make_and_remove(void)
{
	others_put("/new", "x");
	others_remove("/new");
}

static void session_is_another(void)
{
	ensemble.session = OTHERS;
}

START_TEST(what_others_did_meanwhile)
{
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_do_the_same_in_two;
	step(WRITE_SET, "/a", "new", 0);
	step(WRITE_SET, "/b", "new", 0);
	commit(-EIO, 1, 0); /* it has not one zxid */
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_change; /* which took the version */
	step(WRITE_SET, "/a", "new", 1);
	commit(-EAGAIN, 2, 0);
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_change;
	step(WRITE_SET, "/a", "new", -1);
	commit(-EIO, 1, 0);
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.meanwhile = others_change;
	step(WRITE_SET, "/a", "new", 3);
	commit(-EIO, 1, 1);
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_mine;
	step(WRITE_CREATE, "/me", "x", -1);
	steps[0].mode = WRITE_EPHEMERAL;
	commit(-EIO, 1, 0);
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_and_remove; /* as one of ours may have been */
	step(WRITE_CREATE, "/new", "x", -1);
	commit(-EIO, 1, 0);
	others_remove("/me");
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.meanwhile = session_is_another; /* it was made by the old one */
	step(WRITE_CREATE, "/me", "x", -1);
	steps[0].mode = WRITE_EPHEMERAL;
	commit(0, 1, 1);
}
END_TEST

START_TEST(what_cannot_be_looked_for_is_unknown)
{
	ensemble.fate[0] = LOST;
	ensemble.read_error = -ETIMEDOUT;
	step(WRITE_SET, "/a", "new", 0);
	commit(-EIO, 1, 0);
	ensemble.read_error = 0;
	ensemble.fate[0] = LOST;
	ensemble.fence_error = -ETIMEDOUT; /* what is read may be older */
	step(WRITE_SET, "/a", "new", 0);
	commit(-EIO, 1, 0);
	ensemble.fence_error = 0;
	ensemble.fate[0] = LOST;
	ensemble.refusals = 3; /* until there is a connection */
	step(WRITE_SET, "/a", "new", 0);
	commit(0, 2, 1);
	ensemble.fate[0] = LOST;
	ensemble.passed = 50; /* long ago: what is there is newer, whoever did it */
	step(WRITE_SET, "/a", "newer", 1);
	commit(-EIO, 1, 0);
}
END_TEST

static int count_copies(struct cache *of, int number)
{
	int err;

	step(WRITE_SET, "/a", "new", -1);
	step(WRITE_CHECK, "/b", NULL, -1);
	memset(&end, 0, sizeof(end));
	unit_fail_allocation(number);
	err = cache_commit(of, steps, count, ended, NULL);
	if (!unit_end_failure())
		number = 0;
	bytes_put(steps[0].data);
	count = 0;
	ck_assert_int_eq(end.times, err ? 0 : 1);
	return number;
}

START_TEST(no_memory)
{
	for (int number = 1; count_copies(&cache, number); number++)
		;
	ck_assert_int_eq(end.error, 0);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("commit");
	TCase *tcase = tcase_create("commit");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_is_answered);
	tcase_add_test(tcase, what_got_lost_is_sent_again);
	tcase_add_test(tcase, what_fails_after_it_got_lost);
	tcase_add_test(tcase, what_can_only_be_ours_was_made);
	tcase_add_test(tcase, whose_it_is_is_not_known);
	tcase_add_test(tcase, what_others_did_meanwhile);
	tcase_add_test(tcase, what_cannot_be_looked_for_is_unknown);
	tcase_add_test(tcase, no_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}
