#include "cache/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/acl.h"
#include "tests/unit/unit.h"

static const struct tree_mark no_mark;

enum { NO_LIMIT = 1 << 30, TTL = 1000, LARGE = 5000 };

/* As an assertion, but without a system call each time. */
static void must(bool is_true, const char *what)
{
	if (!is_true)
		ck_abort_msg("not so: %s", what);
}

static struct listing *make_listing(const char *const *names, uint32_t count)
{
	size_t size = sizeof(struct listing) + count * sizeof(char *);
	struct listing *listing = malloc(size);

	atomic_init(&listing->refs, 1);
	listing->count = count;
	listing->size = size;
	for (uint32_t i = 0; i < count; i++)
		listing->names[i] = names[i];
	return listing;
}

/* But for pzxid, which events do not tell. */
static bool same_stat(const struct node_stat *a, const struct node_stat *b)
{
	return a->czxid == b->czxid && a->mzxid == b->mzxid && a->ctime == b->ctime && a->mtime == b->mtime &&
		a->ephemeral_owner == b->ephemeral_owner && a->version == b->version && a->cversion == b->cversion &&
		a->aversion == b->aversion && a->data_length == b->data_length && a->num_children == b->num_children;
}

/* --- Case by case: one tree, one question at a time --- */

static struct tree *tree;
static int64_t now;

/* What the last tree_ask or tree_reply said. */
static enum stream_read read_asked;
static int error;
static struct node_info info;

static struct tree_waiter waiters[4];

static void setup(void)
{
	memset(waiters, 0, sizeof(waiters));
	tree = tree_new(NO_LIMIT, TTL);
	tree_connected(tree, true);
	now = 100000;
	memset(&info, 0, sizeof(info));
}

static void teardown(void)
{
	node_info_release(&info);
	tree_free(tree);
}

static int ask_as(int waiter, const char *path, enum tree_query query)
{
	node_info_release(&info);
	error = 1;
	return tree_ask(tree, path, query, now, &waiters[waiter], &read_asked, &error, &info);
}

static int ask(const char *path, enum tree_query query)
{
	return ask_as(0, path, query);
}

static void check_fetches(const char *path, enum tree_query query, enum stream_read read)
{
	ck_assert_int_eq(ask(path, query), TREE_FETCH);
	ck_assert_int_eq(read_asked, read);
}

static void check_ready(const char *path, enum tree_query query, int expected)
{
	ck_assert_int_eq(ask(path, query), TREE_READY);
	ck_assert_int_eq(error, expected);
}

/* Gives how many were answered; -1: it must be read again. */
static int reply_with(const char *path, enum tree_query query, const struct stream_reply *reply)
{
	struct tree_waiter *answered;
	bool again;
	int count;

	node_info_release(&info);
	answered = tree_reply(tree, path, query, &read_asked, reply, now, &again, &error, &info);
	LL_COUNT(answered, answered, count);
	if (again)
		ck_assert_int_eq(count, 0);
	return again ? -1 : count;
}

static int reply_error(const char *path, enum tree_query query, int code)
{
	const struct stream_reply reply = { .error = code };

	return reply_with(path, query, &reply);
}

static int reply_stat(const char *path, const struct node_stat *stat)
{
	const struct stream_reply reply = { .stat = *stat };

	return reply_with(path, TREE_NODE, &reply);
}

static int reply_data(const char *path, const struct node_stat *stat, size_t size)
{
	char data[LARGE];
	const struct stream_reply reply = { .stat = *stat, .data = data, .data_size = size };

	memset(data, (int)stat->mzxid, sizeof(data));
	return reply_with(path, TREE_NODE, &reply);
}

static int reply_children(const char *path, const struct node_stat *stat, const char *name)
{
	struct stream_reply reply = { .stat = *stat, .children = make_listing(&name, 1) };
	int answered = reply_with(path, TREE_CHILDREN, &reply);

	listing_put(reply.children);
	return answered;
}

static const struct node_stat some_stat = { .czxid = 10, .mzxid = 20, .pzxid = 30, .ctime = 1000, .mtime = 2000 };

/* Of a znode that never had children. */
static const struct node_stat leaf_stat = { .czxid = 10, .mzxid = 20, .pzxid = 10, .ctime = 1000, .mtime = 2000 };

/* Asks for it and gets it. */
static void learn_data(const char *path, const struct node_stat *stat, size_t size)
{
	ck_assert_int_eq(ask(path, TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(reply_data(path, stat, size), 1);
}

static void learn_children(const char *path, const struct node_stat *stat, const char *name)
{
	ck_assert_int_eq(ask(path, TREE_CHILDREN), TREE_FETCH);
	ck_assert_int_eq(reply_children(path, stat, name), 1);
}

static void learn_absent(const char *path)
{
	ck_assert_int_eq(ask(path, TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(reply_error(path, TREE_NODE, -ENOENT), 1);
}

static void learn_secret(const char *path, const struct node_stat *stat)
{
	check_fetches(path, TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error(path, TREE_NODE, -EACCES), -1);
	ck_assert_int_eq(read_asked, STREAM_EXISTS);
	ck_assert_int_eq(reply_stat(path, stat), 1);
}

static void reconnect(void)
{
	tree_broken(tree, 0, 0);
	tree_connected(tree, true);
}

/* --- Recalling --- */

static void lose_server(int64_t until)
{
	tree_broken(tree, now, until);
	tree_outage(tree);
}

static int recall_as(int waiter, const char *path, enum tree_query query)
{
	waiters[waiter].takes_old = true;
	return ask_as(waiter, path, query);
}

static void check_recalled(const char *path, enum tree_query query, int expected)
{
	ck_assert_int_eq(recall_as(0, path, query), TREE_READY);
	ck_assert_int_eq(error, expected);
}

/* It is not known, and the reader is told so. */
static void check_forgotten(const char *path, enum tree_query query)
{
	ck_assert_int_eq(recall_as(0, path, query), TREE_FETCH);
	ck_assert_ptr_null(tree_recall(tree, path, query, now));
	ck_assert_int_eq(reply_error(path, query, -ETIMEDOUT), 1);
}

START_TEST(what_was_known_is_recalled_in_an_outage)
{
	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	learn_children("/d", &some_stat, "child");
	learn_absent("/nothing");
	learn_secret("/secret", &leaf_stat);
	now += 100 + TREE_UNSEEN_MS; /* no time is too long */
	lose_server(now + 1000);
	check_recalled("/a", TREE_NODE, 0);
	ck_assert_uint_eq(info.data->size, 7);
	check_recalled("/d", TREE_CHILDREN, 0);
	ck_assert_str_eq(info.children->names[0], "child");
	check_recalled("/nothing", TREE_NODE, -ENOENT);
	check_recalled("/secret", TREE_NODE, 0);
	ck_assert_int_eq(info.data_error, -EACCES);
	check_recalled("/d/other", TREE_NODE, -ENOENT); /* by the names in its directory */
	ck_assert_uint_eq(tree_stats(tree).recalled, 5);
	check_forgotten("/d/child", TREE_NODE);
	check_forgotten("/a", TREE_CHILDREN);
	now += 1000;
	ck_assert_int_eq(recall_as(0, "/a", TREE_NODE), TREE_FETCH);
}
END_TEST

START_TEST(nothing_is_recalled_for_who_does_not_take_it)
{
	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	lose_server(INT64_MAX);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_ptr_null(tree_recall(tree, "/a", TREE_NODE, now));
	ck_assert_ptr_null(tree_recall(tree, NULL, TREE_NODE, now));
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ETIMEDOUT), 1);
}
END_TEST

START_TEST(nothing_is_recalled_unless_it_is_let)
{
	learn_data("/a", &leaf_stat, 7);
	lose_server(INT64_MAX);
	check_forgotten("/a", TREE_NODE);
}
END_TEST

START_TEST(who_waits_when_the_outage_begins_is_answered)
{
	struct tree_answer *answers;

	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	tree_broken(tree, now, INT64_MAX);
	ck_assert_int_eq(recall_as(0, "/a", TREE_NODE), TREE_FETCH); /* there may be another server soon */
	ck_assert_int_eq(recall_as(1, "/unknown", TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(ask_as(2, "/a", TREE_NODE), TREE_WAITING);
	tree_outage(tree);
	answers = tree_recall(tree, NULL, TREE_NODE, now);
	ck_assert_ptr_nonnull(answers);
	ck_assert_ptr_null(answers->next);
	ck_assert_ptr_eq(answers->waiters, &waiters[0]);
	ck_assert_ptr_null(answers->waiters->next);
	ck_assert_uint_eq(answers->info.data->size, 7);
	node_info_release(&answers->info);
	free(answers);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ETIMEDOUT), 1);
	ck_assert_int_eq(reply_error("/unknown", TREE_NODE, -ETIMEDOUT), 1);
}
END_TEST

START_TEST(what_is_too_old_is_an_error)
{
	struct tree_answer *answer;

	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	lose_server(now + 1000);
	now += 1000;
	ck_assert_int_eq(recall_as(0, "/a", TREE_NODE), TREE_FETCH);
	answer = tree_recall(tree, "/a", TREE_NODE, now);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->error, -EIO);
	ck_assert_ptr_eq(answer->waiters, &waiters[0]);
	free(answer);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ETIMEDOUT), 0);
}
END_TEST

START_TEST(what_changed_is_not_recalled)
{
	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	learn_data("/dead", &leaf_stat, 7);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	tree_event(tree, WIRE_DELETED, "/dead", 0);
	lose_server(INT64_MAX);
	check_forgotten("/a", TREE_NODE);
	check_forgotten("/dead", TREE_NODE);
}
END_TEST

START_TEST(only_the_last_epoch_is_recalled)
{
	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	learn_data("/b", &leaf_stat, 7);
	reconnect();
	learn_data("/b", &leaf_stat, 7);
	lose_server(INT64_MAX);
	check_recalled("/b", TREE_NODE, 0);
	check_forgotten("/a", TREE_NODE);
	tree_connected(tree, true);
	ck_assert_int_eq(recall_as(0, "/b", TREE_NODE), TREE_FETCH); /* there is a server again */
	ck_assert_int_eq(reply_data("/b", &leaf_stat, 7), 1);
}
END_TEST

START_TEST(distrust_ends_what_is_recalled)
{
	tree_let_recall(tree);
	learn_data("/a", &leaf_stat, 7);
	lose_server(INT64_MAX);
	check_recalled("/a", TREE_NODE, 0);
	tree_distrust(tree);
	check_forgotten("/a", TREE_NODE);
	tree_connected(tree, true);
	learn_data("/a", &leaf_stat, 7);
	lose_server(INT64_MAX);
	check_recalled("/a", TREE_NODE, 0);
	tree_connected(tree, true);
	learn_data("/a", &leaf_stat, 7);
	tree_distrust(tree); /* before it broke */
	lose_server(INT64_MAX);
	check_forgotten("/a", TREE_NODE);
}
END_TEST

START_TEST(what_only_nobody_vouches_for_is_recalled_from_a_silent_server)
{
	struct tree_answer *answer;

	tree_let_recall(tree);
	learn_children("/d", &some_stat, "child");
	now += TREE_UNSEEN_MS;
	ck_assert_int_eq(recall_as(0, "/d", TREE_CHILDREN), TREE_FETCH);
	answer = tree_recall(tree, "/d", TREE_CHILDREN, now); /* its time is up */
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->error, 0);
	node_info_release(&answer->info);
	free(answer);
	ck_assert_int_eq(reply_error("/d", TREE_CHILDREN, -ETIMEDOUT), 0);
}
END_TEST

START_TEST(name_that_is_asked_for_is_remembered_not_to_be_there)
{
	struct tree_answer *answer;

	tree_let_recall(tree);
	learn_children("/d", &some_stat, "child");
	tree_broken(tree, now, INT64_MAX);
	ck_assert_int_eq(recall_as(0, "/d/other", TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(recall_as(1, "/d/child", TREE_NODE), TREE_FETCH); /* of which nothing is known but the name */
	tree_outage(tree);
	answer = tree_recall(tree, NULL, TREE_NODE, now);
	ck_assert_ptr_nonnull(answer);
	ck_assert_ptr_null(answer->next);
	ck_assert_ptr_eq(answer->waiters, &waiters[0]);
	ck_assert_int_eq(answer->error, -ENOENT);
	free(answer);
	ck_assert_int_eq(reply_error("/d/other", TREE_NODE, -ETIMEDOUT), 0);
	ck_assert_int_eq(reply_error("/d/child", TREE_NODE, -ETIMEDOUT), 1);
}
END_TEST

START_TEST(newer_names_know_better_than_an_absence)
{
	tree_let_recall(tree);
	learn_absent("/d/child");
	now += TREE_UNSEEN_MS;
	learn_children("/d", &some_stat, "child"); /* it may not be read, so no event told of its birth */
	lose_server(INT64_MAX);
	check_forgotten("/d/child", TREE_NODE);
}
END_TEST

/* The reply to a reading of the ACL, which is this text, or an error. */
static struct stream_reply acl_reply(const char *text, const struct node_stat *stat, int code)
{
	struct stream_reply reply = { .error = code };
	char reason[64];

	if (!code) {
		reply.stat = *stat;
		ck_assert_int_eq(acl_parse(text, strlen(text), &reply.acl, reason, sizeof(reason)), 0);
	}
	return reply;
}

static int reply_acl(const char *path, const char *text, const struct node_stat *stat, int code)
{
	struct stream_reply reply = acl_reply(text, stat, code);
	int answered = reply_with(path, TREE_NODE, &reply);

	acl_list_put(reply.acl);
	return answered;
}

/* The same, ahead of what was asked for. */
static void get_acl(const char *path, const char *text, const struct node_stat *stat, int code)
{
	struct stream_reply reply = acl_reply(text, stat, code);

	tree_access(tree, path, &reply, now);
	acl_list_put(reply.acl);
}

static void check_access(bool is_public, int64_t until)
{
	ck_assert_int_eq(info.access.is_public, is_public);
	ck_assert_int_eq(info.access.until, until);
}

/* Asks for it and gets it. */
static void learn_with_access(const char *path, const char *text)
{
	check_fetches(path, TREE_NODE, STREAM_GET);
	get_acl(path, text, &leaf_stat, 0);
	ck_assert_int_eq(reply_data(path, &leaf_stat, 7), 1);
}

/* Asks for it, gets it, and is told that its ACL is to be read as well. */
static void learn_without_access(const char *path, const struct node_stat *stat)
{
	check_fetches(path, TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data(path, stat, 7), -1);
	ck_assert_int_eq(read_asked, STREAM_ACL);
}

START_TEST(access_is_not_told_unless_wanted)
{
	learn_data("/a", &leaf_stat, 7);
	check_access(false, 0);
}
END_TEST

START_TEST(access_comes_with_the_node)
{
	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	ck_assert_uint_eq(info.data->size, 7);
	check_access(true, now + TREE_UNSEEN_MS);
	learn_without_access("/b", &leaf_stat);
	ck_assert_int_eq(reply_acl("/b", "ip:::1:cdrwa", &leaf_stat, 0), 1);
	ck_assert_uint_eq(info.data->size, 7);
	check_access(false, now + TREE_UNSEEN_MS);
	check_ready("/a", TREE_NODE, 0);
	check_access(true, now + TREE_UNSEEN_MS);
	learn_children("/a", &leaf_stat, "x"); /* which need none */
}
END_TEST

START_TEST(access_is_trusted_for_a_while)
{
	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_NODE, 0);
	check_access(true, now + 1);
	now += 1;
	check_fetches("/a", TREE_NODE, STREAM_ACL);
	ck_assert_int_eq(ask_as(1, "/a", TREE_NODE), TREE_WAITING);
	read_asked = STREAM_ACL;
	ck_assert_int_eq(reply_acl("/a", "auth::cdrwa", &leaf_stat, 0), 2);
	ck_assert_uint_eq(info.data->size, 7); /* from memory */
	check_access(false, now + TREE_UNSEEN_MS);
}
END_TEST

START_TEST(public_is_what_anyone_may_read)
{
	static const struct {
		const char *acl;
		bool is_public;
	} cases[] = {
		{ "world:anyone:r", true },
		{ "world:anyone:cdrwa", true },
		{ "auth::cdrwa,world:anyone:,world:anyone:r", true },
		{ "world:anyone:cdwa", false },
		{ "ip:0.0.0.0/0:r,digest:bob:H=:cdrwa", false },
		{ "sasl:anyone:r", false },
	};

	tree_want_access(tree);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		learn_with_access("/a", cases[i].acl);
		ck_assert_msg(info.access.is_public == cases[i].is_public, "%s", cases[i].acl);
		tree_event(tree, WIRE_DELETED, "/a", 0);
	}
}
END_TEST

/* Whatever was known of one znode says nothing of another. */
START_TEST(access_is_that_of_the_very_znode)
{
	const struct node_stat other = { .czxid = 11, .mzxid = 20, .pzxid = 11 };

	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	tree_event(tree, WIRE_DELETED, "/a", 0);
	tree_event(tree, WIRE_CREATED, "/a", 0);
	learn_without_access("/a", &other);
	ck_assert_int_eq(reply_acl("/a", "auth::cdrwa", &other, 0), 1);
	check_access(false, now + TREE_UNSEEN_MS);

	check_fetches("/b", TREE_NODE, STREAM_GET);
	get_acl("/b", "world:anyone:r", &leaf_stat, 0);
	ck_assert_int_eq(reply_data("/b", &other, 7), -1);
	ck_assert_int_eq(read_asked, STREAM_ACL);
	ck_assert_int_eq(reply_acl("/b", "auth::cdrwa", &other, 0), 1);
	check_access(false, now + TREE_UNSEEN_MS);
}
END_TEST

START_TEST(access_is_learned_anew_after_a_gap)
{
	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	reconnect();
	learn_without_access("/a", &leaf_stat);
	ck_assert_int_eq(reply_acl("/a", "auth::cdrwa", &leaf_stat, 0), 1);
	check_access(false, now + TREE_UNSEEN_MS);
	reconnect();
	learn_with_access("/a", "world:anyone:r");
	check_access(true, now + TREE_UNSEEN_MS);
}
END_TEST

START_TEST(access_outlives_data_but_not_another_acl_of_ours)
{
	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &leaf_stat, 7), 1);
	check_access(true, now + TREE_UNSEEN_MS);
	tree_access_changed(tree, "/a");
	tree_access_changed(tree, "/nothing");
	check_fetches("/a", TREE_NODE, STREAM_ACL);
	ck_assert_int_eq(reply_acl("/a", "auth::cdrwa", &leaf_stat, 0), 1);
	check_access(false, now + TREE_UNSEEN_MS);
}
END_TEST

/* The data changed while the ACL was being read. */
START_TEST(data_is_read_again_for_an_answer)
{
	tree_want_access(tree);
	learn_with_access("/a", "world:anyone:r");
	now += TREE_UNSEEN_MS;
	check_fetches("/a", TREE_NODE, STREAM_ACL);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	ck_assert_int_eq(reply_acl("/a", "world:anyone:r", &some_stat, 0), -1);
	ck_assert_int_eq(read_asked, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 8), 1);
	ck_assert_uint_eq(info.data->size, 8);
	check_access(true, now + TREE_UNSEEN_MS);
}
END_TEST

START_TEST(access_to_what_we_may_not_read_is_nobodys)
{
	tree_want_access(tree);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	get_acl("/a", NULL, NULL, -EACCES);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -EACCES), -1);
	ck_assert_int_eq(read_asked, STREAM_EXISTS);
	ck_assert_int_eq(reply_stat("/a", &leaf_stat), -1);
	ck_assert_int_eq(read_asked, STREAM_ACL);
	ck_assert_int_eq(reply_acl("/a", NULL, NULL, -EACCES), 1);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(info.data_error, -EACCES);
	check_access(false, now + TREE_UNSEEN_MS);
}
END_TEST

START_TEST(access_that_cannot_be_learned_is_an_error)
{
	tree_want_access(tree);
	learn_without_access("/a", &leaf_stat);
	ck_assert_int_eq(reply_acl("/a", NULL, NULL, -ETIMEDOUT), 1);
	ck_assert_int_eq(error, -ETIMEDOUT);
	check_fetches("/a", TREE_NODE, STREAM_ACL);
	ck_assert_int_eq(reply_acl("/a", NULL, NULL, -ENOENT), 1);
	ck_assert_int_eq(error, -ENOENT);
	check_ready("/a", TREE_NODE, -ENOENT);
	check_fetches("/b", TREE_NODE, STREAM_GET);
	get_acl("/b", NULL, NULL, -ENOENT);
	ck_assert_int_eq(reply_error("/b", TREE_NODE, -ENOENT), 1);
	ck_assert_int_eq(error, -ENOENT);
}
END_TEST

START_TEST(one_read_serves_all_who_ask)
{
	ck_assert_int_eq(ask_as(0, "/a", TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(ask_as(1, "/a", TREE_NODE), TREE_WAITING);
	ck_assert_int_eq(ask_as(2, "/a", TREE_NODE), TREE_WAITING);
	ck_assert_int_eq(ask_as(3, "/a", TREE_CHILDREN), TREE_FETCH);
	ck_assert_int_eq(read_asked, STREAM_CHILDREN);

	read_asked = STREAM_GET;
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 3);
	ck_assert_int_eq(error, 0);
	ck_assert(same_stat(&info.stat, &some_stat));
	ck_assert_uint_eq(info.data->size, 7);
	ck_assert_int_eq(info.data->data[6], 20);
	ck_assert_ptr_null(info.children);

	read_asked = STREAM_CHILDREN;
	ck_assert_int_eq(reply_children("/a", &some_stat, "x"), 1);
	ck_assert_uint_eq(info.children->count, 1);
	ck_assert_str_eq(info.children->names[0], "x");
	ck_assert_ptr_null(info.data);
}
END_TEST

START_TEST(serves_from_memory_without_end)
{
	learn_data("/a", &some_stat, 7);
	now += INT64_C(1) << 40;
	check_ready("/a", TREE_NODE, 0);
	ck_assert(same_stat(&info.stat, &some_stat));
	ck_assert_uint_eq(info.data->size, 7);
	ck_assert_uint_eq(tree_stats(tree).hits, 1);
	ck_assert_uint_eq(tree_stats(tree).misses, 1);
	ck_assert_uint_eq(tree_stats(tree).nodes, 1);
}
END_TEST

START_TEST(listing_is_trusted_for_a_while)
{
	learn_children("/a", &some_stat, "x");
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_CHILDREN, 0);
	ck_assert_str_eq(info.children->names[0], "x");
	now += 1;
	check_fetches("/a", TREE_CHILDREN, STREAM_CHILDREN);
	ck_assert_int_eq(reply_children("/a", &some_stat, "y"), 1);
	ck_assert_str_eq(info.children->names[0], "y");
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_CHILDREN, 0);
}
END_TEST

START_TEST(absence_is_trusted_for_a_while)
{
	learn_absent("/a");
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_NODE, -ENOENT);
	check_ready("/a", TREE_CHILDREN, -ENOENT);
	now += 1;
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
	ck_assert_int_eq(error, 0);
	check_ready("/a", TREE_NODE, 0);
}
END_TEST

START_TEST(birth_ends_absence)
{
	learn_absent("/a");
	tree_event(tree, WIRE_CREATED, "/a", 5000);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ENOENT), 1);
}
END_TEST

START_TEST(unreadable_node_has_its_stat)
{
	learn_secret("/a", &some_stat);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(info.data_error, -EACCES);
	ck_assert_ptr_null(info.data);
	ck_assert(same_stat(&info.stat, &some_stat));

	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_NODE, 0);
	ck_assert_int_eq(info.data_error, -EACCES);
	now += 1;
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
	ck_assert_int_eq(info.data_error, 0);
	ck_assert_uint_eq(info.data->size, 7);
	check_ready("/a", TREE_NODE, 0);
	ck_assert_int_eq(info.data_error, 0);
}
END_TEST

START_TEST(readable_node_becomes_unreadable)
{
	learn_data("/a", &some_stat, LARGE);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 5000);
	learn_secret("/a", &some_stat);
	ck_assert_int_eq(info.data_error, -EACCES);
	ck_assert_ptr_null(info.data);
}
END_TEST

START_TEST(unreadable_node_that_changes_is_read_again)
{
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -EACCES), -1);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 5000);
	ck_assert_int_eq(reply_stat("/a", &some_stat), -1);
	ck_assert_int_eq(read_asked, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
	ck_assert_int_eq(info.data_error, 0);
}
END_TEST

START_TEST(unreadable_node_goes_while_it_is_looked_at)
{
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -EACCES), -1);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ENOENT), 1);
	ck_assert_int_eq(error, -ENOENT);
	check_ready("/a", TREE_NODE, -ENOENT);
}
END_TEST

START_TEST(other_errors_are_not_remembered)
{
	static const int errors[] = { -EIO, -ETIMEDOUT, -ECANCELED };

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		ck_assert_int_eq(ask("/a", TREE_NODE), TREE_FETCH);
		ck_assert_int_eq(reply_error("/a", TREE_NODE, errors[i]), 1);
		ck_assert_int_eq(error, errors[i]);
	}
	ck_assert_int_eq(ask("/a", TREE_CHILDREN), TREE_FETCH);
	ck_assert_int_eq(reply_error("/a", TREE_CHILDREN, -EACCES), 1);
	ck_assert_int_eq(error, -EACCES);
	ck_assert_int_eq(ask("/a", TREE_CHILDREN), TREE_FETCH);
	ck_assert_int_eq(reply_children("/a", &some_stat, "x"), 1);
}
END_TEST

/* --- Events --- */

START_TEST(change_of_data_leaves_the_listing)
{
	struct node_stat stat = some_stat;
	const struct listing *listing;

	learn_data("/a", &stat, 7);
	learn_children("/a", &stat, "x");
	listing = info.children;
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 5000);
	stat.mzxid = 40;
	learn_data("/a", &stat, 8);
	ck_assert_uint_eq(info.data->size, 8);
	check_ready("/a", TREE_CHILDREN, 0);
	ck_assert_ptr_eq(info.children, listing);
	ck_assert_int_eq(info.stat.mzxid, 40);
}
END_TEST

START_TEST(birth_of_a_child_leaves_the_data)
{
	struct node_stat stat = some_stat;

	learn_data("/a", &stat, LARGE);
	learn_children("/a", &stat, "x");
	tree_event(tree, WIRE_CREATED, "/a/y", 5000);
	ck_assert_int_eq(ask_as(1, "/a", TREE_CHILDREN), TREE_FETCH);
	check_fetches("/a", TREE_NODE, STREAM_EXISTS);
	stat.pzxid = 50;
	ck_assert_int_eq(reply_stat("/a", &stat), 1);
	ck_assert_uint_eq(info.data->size, LARGE);
	ck_assert_int_eq(info.changed, 5000);
	read_asked = STREAM_CHILDREN;
	ck_assert_int_eq(reply_children("/a", &stat, "y"), 1);
	ck_assert_str_eq(info.children->names[0], "y");
}
END_TEST

START_TEST(death_of_a_child_is_a_change_of_its_parent)
{
	const struct node_stat root = { .mtime = 100 };

	learn_children("/", &root, "a");
	ck_assert_int_eq(info.changed, 100);
	tree_event(tree, WIRE_DELETED, "/a", 5000);
	learn_children("/", &root, "b");
	ck_assert_int_eq(info.changed, 5000);
	tree_event(tree, WIRE_DELETED, "/b", 4000);
	learn_children("/", &root, "c");
	ck_assert_int_eq(info.changed, 5000);
}
END_TEST

START_TEST(death_drops_everything)
{
	learn_data("/a", &some_stat, LARGE);
	learn_children("/a", &some_stat, "x");
	tree_event(tree, WIRE_DELETED, "/a", 5000);
	ck_assert_int_eq(ask_as(1, "/a", TREE_CHILDREN), TREE_FETCH);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ENOENT), 1);
	read_asked = STREAM_CHILDREN;
	ck_assert_int_eq(reply_error("/a", TREE_CHILDREN, -ENOENT), 1);
}
END_TEST

START_TEST(event_of_another_changes_nothing)
{
	learn_data("/a", &some_stat, 7);
	learn_children("/a", &some_stat, "x");
	tree_event(tree, WIRE_DATA_CHANGED, "/a/x", 5000);
	tree_event(tree, WIRE_CREATED, "/a/x/y", 5000);
	tree_event(tree, WIRE_DELETED, "/ab", 5000);
	tree_event(tree, WIRE_DATA_CHANGED, "/", 5000);
	check_ready("/a", TREE_NODE, 0);
	check_ready("/a", TREE_CHILDREN, 0);
}
END_TEST

/* --- Epochs --- */

START_TEST(nothing_is_served_once_the_stream_broke)
{
	learn_data("/a", &some_stat, 7);
	learn_absent("/b");
	learn_children("/c", &some_stat, "x");
	tree_broken(tree, 0, 0);
	ck_assert_int_eq(ask_as(0, "/a", TREE_NODE), TREE_FETCH);
	ck_assert_int_eq(ask_as(1, "/b", TREE_NODE), TREE_FETCH);
	tree_connected(tree, true);
	ck_assert_int_eq(ask_as(2, "/c", TREE_CHILDREN), TREE_FETCH);
	read_asked = STREAM_CHILDREN;
	ck_assert_int_eq(reply_children("/c", &some_stat, "x"), 1);
	read_asked = STREAM_GET;
	ck_assert_int_eq(reply_data("/b", &some_stat, 7), 1);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
}
END_TEST

START_TEST(unchanged_contents_are_verified)
{
	const struct bytes *data;

	learn_data("/a", &some_stat, LARGE);
	data = info.data;
	reconnect();
	check_fetches("/a", TREE_NODE, STREAM_EXISTS);
	ck_assert_int_eq(reply_stat("/a", &some_stat), 1);
	ck_assert_ptr_eq(info.data, data);
	check_ready("/a", TREE_NODE, 0);
}
END_TEST

START_TEST(changed_contents_are_read_again)
{
	struct node_stat stat = some_stat;

	for (int i = 0; i < 2; i++) {
		learn_data("/a", &stat, LARGE);
		reconnect();
		check_fetches("/a", TREE_NODE, STREAM_EXISTS);
		*(i ? &stat.czxid : &stat.mzxid) += 20;
		ck_assert_int_eq(reply_stat("/a", &stat), -1);
		ck_assert_int_eq(read_asked, STREAM_GET);
		ck_assert_int_eq(reply_data("/a", &stat, 9), 1);
		ck_assert_uint_eq(info.data->size, 9);
		tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	}
}
END_TEST

START_TEST(listing_is_verified_by_any_stat)
{
	struct node_stat stat = some_stat;

	learn_children("/a", &stat, "x");
	reconnect();
	now += TREE_UNSEEN_MS;
	stat.mzxid = 40;
	learn_data("/a", &stat, 7);
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_CHILDREN, 0);
	ck_assert_str_eq(info.children->names[0], "x");
	ck_assert_int_eq(info.stat.mzxid, 40);

	reconnect();
	stat.pzxid = 40;
	learn_data("/a", &stat, 7);
	check_fetches("/a", TREE_CHILDREN, STREAM_CHILDREN);
	ck_assert_int_eq(reply_children("/a", &stat, "y"), 1);
}
END_TEST

START_TEST(data_is_verified_by_a_listing)
{
	struct node_stat stat = some_stat;

	learn_data("/a", &stat, 7);
	reconnect();
	stat.pzxid = 40;
	learn_children("/a", &stat, "x");
	check_ready("/a", TREE_NODE, 0);
	ck_assert_uint_eq(info.data->size, 7);
	reconnect();
	stat.mzxid = 40;
	learn_children("/a", &stat, "x");
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &stat, 7), 1);
}
END_TEST

/* --- Without a watch --- */

START_TEST(without_a_watch_everything_is_trusted_for_the_ttl)
{
	tree_broken(tree, 0, 0);
	tree_connected(tree, false);
	learn_data("/a", &some_stat, 7);
	learn_absent("/b");
	learn_children("/c", &some_stat, "x");
	learn_secret("/d", &some_stat);
	now += TTL - 1;
	check_ready("/a", TREE_NODE, 0);
	check_ready("/b", TREE_NODE, -ENOENT);
	check_ready("/c", TREE_CHILDREN, 0);
	check_ready("/d", TREE_NODE, 0);
	now += 1;
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
	check_fetches("/b", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/b", TREE_NODE, -ENOENT), 1);
	check_fetches("/c", TREE_CHILDREN, STREAM_CHILDREN);
	ck_assert_int_eq(reply_children("/c", &some_stat, "x"), 1);
	check_fetches("/d", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/d", &some_stat, 7), 1);
	now += TTL - 1;
	check_ready("/a", TREE_NODE, 0);
	check_ready("/b", TREE_NODE, -ENOENT);
	check_ready("/c", TREE_CHILDREN, 0);
}
END_TEST

START_TEST(ttl_of_contents_begins_anew_when_verified)
{
	tree_broken(tree, 0, 0);
	tree_connected(tree, false);
	learn_data("/a", &some_stat, LARGE);
	now += TTL;
	check_fetches("/a", TREE_NODE, STREAM_EXISTS);
	ck_assert_int_eq(reply_stat("/a", &some_stat), 1);
	ck_assert_uint_eq(info.data->size, LARGE);
	now += TTL - 1;
	check_ready("/a", TREE_NODE, 0);
}
END_TEST

/* --- Our own changes --- */

START_TEST(own_change_drops_what_is_older)
{
	learn_data("/a", &some_stat, 7);
	learn_children("/a", &some_stat, "x");
	tree_changed_by_us(tree, "/a", &no_mark, 20, false);
	check_ready("/a", TREE_NODE, 0);
	check_ready("/a", TREE_CHILDREN, 0);
	tree_changed_by_us(tree, "/a", &no_mark, 21, false);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
	tree_changed_by_us(tree, "/a", &no_mark, 0, false);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
}
END_TEST

START_TEST(own_set_has_been_passed_with_the_last_of_its_events)
{
	struct node_stat stat = some_stat;
	struct node_stat after = some_stat;
	struct tree_mark mark;

	stat.version = 7;
	learn_data("/a", &stat, 3);
	mark = tree_mark(tree, "/a");
	after.version = 9; /* another was in between */
	ck_assert(!tree_has_passed(tree, "/a", &mark, &after));
	tree_event(tree, WIRE_CREATED, "/a/b", 0);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	ck_assert(!tree_has_passed(tree, "/a", &mark, &after));
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	ck_assert(tree_has_passed(tree, "/a", &mark, &after));
	after.czxid++;
	ck_assert(!tree_has_passed(tree, "/a", &mark, &after));
}
END_TEST

START_TEST(events_are_counted_from_the_mark)
{
	struct tree_mark mark;

	tree_event(tree, WIRE_CREATED, "/a", 0);
	mark = tree_mark(tree, "/a");
	ck_assert_uint_eq(tree_events_since(tree, "/a", &mark), 0);
	tree_event(tree, WIRE_DELETED, "/a", 0);
	tree_event(tree, WIRE_CREATED, "/a", 0);
	tree_event(tree, WIRE_DATA_CHANGED, "/b", 0);
	ck_assert_uint_eq(tree_events_since(tree, "/a", &mark), 2);
	ck_assert_uint_eq(tree_events_since(tree, "/a", &no_mark), 0);
	reconnect();
	ck_assert_uint_eq(tree_events_since(tree, "/a", &mark), 0);
}
END_TEST

START_TEST(names_of_a_new_directory_are_wanted)
{
	enum stream_read read;
	char *parent = NULL;

	learn_data("/new", &some_stat, 0);
	tree_event(tree, WIRE_CREATED, "/new/a", 0); /* the first child: its Stat is not known any more */
	ck_assert(!tree_wants_names(tree, "/new/b", now, &read, &parent));
	ck_assert(tree_wants_names(tree, "/new/c", now, &read, &parent));
	ck_assert_str_eq(parent, "/new");
	free(parent);
	ck_assert(!tree_wants_names(tree, "/new/d", now, &read, &parent)); /* they are on their way */
}
END_TEST

START_TEST(what_has_died_is_known_not_to_be_there)
{
	now += 10000;
	learn_children("/", &some_stat, "a");
	learn_data("/a", &some_stat, 1);
	tree_event(tree, WIRE_DELETED, "/a", 0);
	check_ready("/a", TREE_NODE, -ENOENT); /* though it was listed */
	tree_event(tree, WIRE_CREATED, "/a", 0);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_error("/a", TREE_NODE, -ENOENT), 1);
	learn_children("/", &some_stat, "a"); /* it was made again, and nothing told us: we may not read it */
	now += TREE_UNSEEN_MS - 1;
	check_ready("/a", TREE_NODE, -ENOENT);
	now += 1;
	check_fetches("/a", TREE_NODE, STREAM_GET);
}
END_TEST

START_TEST(own_set_is_not_known_to_be_passed)
{
	struct node_stat stat = some_stat;
	struct node_stat after = some_stat;
	struct tree_mark unknown, before_the_break;

	after.version = 1;
	unknown = tree_mark(tree, "/a");
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	ck_assert(!tree_has_passed(tree, "/a", &unknown, &after));
	learn_data("/a", &stat, 3);
	before_the_break = tree_mark(tree, "/a");
	reconnect();
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	ck_assert(!tree_has_passed(tree, "/a", &before_the_break, &after));
}
END_TEST

START_TEST(own_birth_drops_absence)
{
	learn_absent("/a");
	tree_changed_by_us(tree, "/a", &no_mark, 40, true);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
}
END_TEST

START_TEST(own_birth_drops_an_older_listing_of_the_parent)
{
	static const struct {
		int64_t zxid;
		bool is_birth;
		int step;
	} cases[] = {
		{ 31, false, TREE_READY },
		{ 30, true, TREE_READY },
		{ 31, true, TREE_FETCH },
		{ 0, true, TREE_FETCH },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (ask("/a", TREE_CHILDREN) == TREE_FETCH)
			ck_assert_int_eq(reply_children("/a", &some_stat, "x"), 1);
		tree_changed_by_us(tree, "/a/y", &no_mark, cases[i].zxid, cases[i].is_birth);
		ck_assert_int_eq(ask("/a", TREE_CHILDREN), cases[i].step);
		if (cases[i].step == TREE_FETCH)
			ck_assert_int_eq(reply_children("/a", &some_stat, "y"), 1);
	}
	tree_changed_by_us(tree, "/", &no_mark, 0, true);
	tree_changed_by_us(tree, "/unknown/x", &no_mark, 0, true);
}
END_TEST

/* --- Our own changes, as the stream passes them --- */

START_TEST(own_change_that_was_told_drops_nothing)
{
	struct node_stat stat = some_stat;
	struct tree_mark mark;

	learn_data("/a", &some_stat, 3);
	mark = tree_mark(tree, "/a");
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	learn_data("/a", &some_stat, 3); /* what is read from here on is newer than the change, whatever its zxid */
	tree_changed_by_us(tree, "/a", &mark, stat.mzxid + 1, false);
	check_ready("/a", TREE_NODE, 0);

	mark = tree_mark(tree, "/a"); /* no event since */
	tree_changed_by_us(tree, "/a", &mark, stat.mzxid + 1, false);
	learn_data("/a", &some_stat, 3);

	mark = tree_mark(tree, "/a");
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	reconnect(); /* the event may have been another's */
	learn_data("/a", &some_stat, 3);
	tree_changed_by_us(tree, "/a", &mark, stat.mzxid + 1, false);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 3), 1);
}
END_TEST

START_TEST(own_birth_that_was_told_leaves_the_listing)
{
	struct tree_mark mark;

	learn_children("/d", &some_stat, "x");
	mark = tree_mark(tree, "/d/y");
	tree_event(tree, WIRE_CREATED, "/d/y", 0);
	learn_children("/d", &some_stat, "y");
	tree_changed_by_us(tree, "/d/y", &mark, some_stat.pzxid + 1, true);
	check_ready("/d", TREE_CHILDREN, 0);

	mark = tree_mark(tree, "/d/z");
	tree_changed_by_us(tree, "/d/z", &mark, some_stat.pzxid + 1, true);
	learn_children("/d", &some_stat, "z");
}
END_TEST

/* What our change left, with so many events of its own and of others since the mark. */
static void change(const char *path, const struct tree_mark *mark, uint32_t own, uint32_t events, struct bytes *data)
{
	struct node_stat stat = some_stat;

	stat.mzxid = 40;
	stat.version = 1;
	stat.data_length = data ? (int32_t)data->size : 0;
	for (uint32_t i = 0; i < events; i++)
		tree_event(tree, WIRE_DATA_CHANGED, path, 0);
	tree_changed_by_us(tree, path, mark, 40, false);
	tree_fill(tree, path, mark, own, &stat, data, now);
}

START_TEST(what_we_wrote_is_remembered)
{
	struct bytes *data = bytes_new("ours", 4);
	struct tree_mark mark;

	learn_data("/a", &some_stat, 3);
	mark = tree_mark(tree, "/a");
	ck_assert_int_eq(mark.czxid, some_stat.czxid);
	change("/a", &mark, 1, 1, data);
	check_ready("/a", TREE_NODE, 0);
	ck_assert_int_eq(info.stat.version, 1);
	ck_assert_int_eq(info.stat.mzxid, 40);
	ck_assert_uint_eq(info.data->size, 4);
	ck_assert_mem_eq(info.data->data, "ours", 4);
	mark = tree_mark(tree, "/a");
	change("/a", &mark, 2, 2, NULL);
	check_ready("/a", TREE_NODE, 0);
	ck_assert_uint_eq(info.data->size, 0);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 3), 1);
	bytes_put(data);
}
END_TEST

START_TEST(what_we_made_is_remembered)
{
	struct bytes *data = bytes_new("ours", 4);
	struct tree_mark mark = tree_mark(tree, "/new"); /* nothing was known of it */

	ck_assert_int_eq(mark.czxid, 0);
	tree_event(tree, WIRE_CREATED, "/new", 0);
	tree_changed_by_us(tree, "/new", &mark, 40, true);
	tree_fill(tree, "/new", &mark, 1, &some_stat, data, now);
	check_ready("/new", TREE_NODE, 0);
	ck_assert_mem_eq(info.data->data, "ours", 4);
	bytes_put(data);
}
END_TEST

START_TEST(what_we_wrote_is_not_remembered_beside_others)
{
	static const struct {
		uint32_t own, events;
		bool breaks, is_unmarked;
	} cases[] = {
		{ 1, 1, false, true },
		{ 1, 2, false, false }, /* another's, before ours or after it */
		{ 2, 1, false, false }, /* one of ours is still to come */
		{ 1, 0, false, false },
		{ 1, 1, true, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes *data = bytes_new("ours", 4);
		struct tree_mark mark;

		if (ask("/a", TREE_NODE) == TREE_FETCH)
			ck_assert_int_eq(reply_data("/a", &some_stat, 3), 1);
		mark = cases[i].is_unmarked ? no_mark : tree_mark(tree, "/a");
		if (cases[i].breaks)
			reconnect();
		change("/a", &mark, cases[i].own, cases[i].events, data);
		ck_assert_msg(ask("/a", TREE_NODE) == TREE_FETCH, "case %zu", i);
		ck_assert_int_eq(reply_data("/a", &some_stat, 3), 1);
		bytes_put(data);
	}
}
END_TEST

START_TEST(nothing_is_marked_without_a_watch)
{
	struct bytes *data = bytes_new("ours", 4);
	struct tree_mark mark;

	tree_broken(tree, 0, 0);
	tree_connected(tree, false);
	mark = tree_mark(tree, "/a");
	ck_assert_uint_eq(mark.serial, 0);
	change("/a", &mark, 0, 0, data);
	check_fetches("/a", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/a", &some_stat, 3), 1);
	bytes_put(data);
}
END_TEST

/* --- Names that are not there --- */

static bool wants_names(const char *path, const char *expected)
{
	enum stream_read read = STREAM_GET;
	char *parent;
	bool wants = tree_wants_names(tree, path, now, &read, &parent);

	ck_assert_int_eq(wants, parent != NULL);
	if (wants) {
		ck_assert_int_eq(read, STREAM_CHILDREN);
		ck_assert_str_eq(parent, expected);
	}
	free(parent);
	return wants;
}

/* The directory has one child, x, and its names are known because two were looked up in vain. */
static void learn_names(const char *directory, const char *one, const char *two)
{
	if (ask(directory, TREE_NODE) == TREE_FETCH)
		ck_assert_int_eq(reply_data(directory, &some_stat, 0), 1);
	ck_assert(!wants_names(one, directory));
	ck_assert(wants_names(two, directory));
	ck_assert_int_eq(reply_children(directory, &some_stat, "x"), 0); /* nobody waits */
}

START_TEST(directory_answers_for_its_names)
{
	size_t nodes;

	learn_names("/d", "/d/1", "/d/2");
	nodes = tree_stats(tree).nodes;
	check_ready("/d/1", TREE_NODE, -ENOENT);
	check_ready("/d/3", TREE_NODE, -ENOENT);
	check_ready("/d/3", TREE_CHILDREN, -ENOENT);
	ck_assert_uint_eq(tree_stats(tree).nodes, nodes);
	check_ready("/d", TREE_CHILDREN, 0);
	learn_data("/d/x", &some_stat, 1);
	learn_absent("/d/x/y"); /* a grandchild is not its business */
	learn_absent("/dd");
	ck_assert(!wants_names("/d/4", NULL)); /* they are known */
}
END_TEST

START_TEST(birth_adds_to_the_names)
{
	learn_names("/d", "/d/1", "/d/2");
	tree_event(tree, WIRE_CREATED, "/d/new", 0);
	check_ready("/d/3", TREE_NODE, -ENOENT); /* still */
	check_fetches("/d/new", TREE_NODE, STREAM_GET);
	ck_assert_int_eq(reply_data("/d/new", &some_stat, 1), 1);
	tree_event(tree, WIRE_DELETED, "/d/new", 0);
	check_ready("/d/new", TREE_NODE, -ENOENT);
}
END_TEST

START_TEST(names_are_trusted_for_a_while)
{
	learn_names("/d", "/d/1", "/d/2");
	now += TREE_UNSEEN_MS - 1;
	check_ready("/d/3", TREE_NODE, -ENOENT);
	now += 1;
	learn_absent("/d/3");
}
END_TEST

START_TEST(names_of_before_a_break_are_not_trusted)
{
	learn_names("/d", "/d/1", "/d/2");
	reconnect();
	ck_assert(!wants_names("/d/3", NULL)); /* whether it is still there is not known either */
	learn_absent("/d/3");
}
END_TEST

START_TEST(own_birth_without_event_ends_the_names)
{
	learn_names("/d", "/d/1", "/d/2");
	tree_changed_by_us(tree, "/d/secret", &no_mark, some_stat.pzxid + 1, true);
	learn_absent("/d/3");
}
END_TEST

START_TEST(names_are_not_wanted_of_whom_they_are_of_no_use)
{
	struct node_stat large = some_stat;

	ck_assert(!wants_names("/unknown/1", NULL));
	ck_assert(!wants_names("/unknown/2", NULL));
	ck_assert(!wants_names("/", NULL));
	large.num_children = 1 << 20;
	learn_data("/large", &large, 0);
	for (int i = 0; i < 5; i++)
		ck_assert(!wants_names("/large/1", NULL));
	tree_broken(tree, 0, 0);
	tree_connected(tree, false);
	learn_data("/d", &some_stat, 0);
	for (int i = 0; i < 5; i++)
		ck_assert(!wants_names("/d/1", NULL));
}
END_TEST

START_TEST(who_lists_meanwhile_waits_for_the_names)
{
	learn_data("/d", &some_stat, 0);
	ck_assert(!wants_names("/d/1", NULL));
	ck_assert(wants_names("/d/2", "/d"));
	ck_assert_int_eq(ask("/d", TREE_CHILDREN), TREE_WAITING);
	ck_assert_int_eq(reply_children("/d", &some_stat, "x"), 1);
	check_ready("/d/2", TREE_NODE, -ENOENT);
}
END_TEST

/* --- Memory --- */

static const char *numbered(int number)
{
	static char path[16];

	(void)snprintf(path, sizeof(path), "/%06d", number);
	return path;
}

/* What one node with data of this size takes. */
static size_t measure(size_t size)
{
	struct tree *real = tree;
	size_t bytes;

	tree = tree_new(NO_LIMIT, TTL);
	tree_connected(tree, true);
	learn_data(numbered(0), &some_stat, size);
	bytes = tree_stats(tree).bytes;
	tree_free(tree);
	tree = real;
	return bytes;
}

static void start_limited(size_t limit)
{
	tree_free(tree);
	tree = tree_new(limit, TTL);
	tree_connected(tree, true);
}

START_TEST(forgets_what_was_not_used_for_longest)
{
	start_limited(10 * measure(100));
	for (int i = 0; i < 10; i++)
		learn_data(numbered(i), &some_stat, 100);
	check_ready(numbered(0), TREE_NODE, 0);
	for (int i = 10; i < 14; i++)
		learn_data(numbered(i), &some_stat, 100);
	ck_assert_uint_eq(tree_stats(tree).nodes, 10);
	check_ready(numbered(0), TREE_NODE, 0);
	for (int i = 5; i < 14; i++)
		check_ready(numbered(i), TREE_NODE, 0);
	for (int i = 1; i < 5; i++) {
		ck_assert_int_eq(ask_as(0, numbered(i), TREE_NODE), TREE_FETCH);
		ck_assert_int_eq(reply_error(numbered(i), TREE_NODE, -EIO), 1);
	}
}
END_TEST

START_TEST(stays_within_its_limit)
{
	size_t limit = 20 * measure(100);

	start_limited(limit);
	for (int i = 0; i < 1000; i++) {
		learn_data(numbered(i), &some_stat, (size_t)i % LARGE);
		learn_children(numbered(i), &some_stat, "x");
		ck_assert_uint_le(tree_stats(tree).bytes, limit);
	}
	for (int i = 0; i < 1000; i++) {
		learn_absent(numbered(2000 + i));
		ck_assert_uint_le(tree_stats(tree).bytes, limit);
	}
}
END_TEST

START_TEST(keeps_what_is_waited_for)
{
	start_limited(1);
	ck_assert_int_eq(ask_as(1, "/waited", TREE_CHILDREN), TREE_FETCH);
	ck_assert_int_eq(ask_as(2, "/waited", TREE_NODE), TREE_FETCH);
	for (int i = 0; i < 10; i++)
		learn_data(numbered(i), &some_stat, 100);
	ck_assert_uint_eq(tree_stats(tree).nodes, 2); /* and the one answered last */
	read_asked = STREAM_GET;
	ck_assert_int_eq(reply_data("/waited", &some_stat, 7), 1);
	learn_data(numbered(0), &some_stat, 100);
	ck_assert_int_eq(ask_as(3, "/waited", TREE_CHILDREN), TREE_WAITING);
	read_asked = STREAM_CHILDREN;
	ck_assert_int_eq(reply_children("/waited", &some_stat, "x"), 2);
	learn_data(numbered(0), &some_stat, 100);
	ck_assert_uint_eq(tree_stats(tree).nodes, 1);
}
END_TEST

START_TEST(counts_what_it_frees)
{
	size_t empty;

	learn_absent("/a");
	empty = tree_stats(tree).bytes;
	tree_event(tree, WIRE_CREATED, "/a", 0);
	learn_data("/a", &some_stat, 100);
	learn_children("/a", &some_stat, "x");
	ck_assert_uint_gt(tree_stats(tree).bytes, empty + 100);
	tree_event(tree, WIRE_DATA_CHANGED, "/a", 0);
	learn_data("/a", &some_stat, 50);
	tree_event(tree, WIRE_DELETED, "/a", 0);
	ck_assert_uint_eq(tree_stats(tree).bytes, empty);
}
END_TEST

START_TEST(lack_of_memory_takes_no_waiter)
{
	bool failed = true;

	for (int number = 1; failed; number++) {
		int step;

		start_limited(NO_LIMIT);
		unit_fail_allocation(number);
		step = ask("/a", TREE_NODE);
		failed = unit_end_failure();
		ck_assert_int_eq(step, failed ? -ENOMEM : TREE_FETCH);
		if (failed)
			ck_assert_int_eq(ask("/a", TREE_NODE), TREE_FETCH);
		ck_assert_int_eq(reply_data("/a", &some_stat, 7), 1);
		ck_assert_int_eq(error, 0);
	}
}
END_TEST

START_TEST(lack_of_memory_for_data_is_told)
{
	int answered;

	ck_assert_int_eq(ask("/a", TREE_NODE), TREE_FETCH);
	unit_fail_allocation(1);
	answered = reply_data("/a", &some_stat, 7);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(answered, 1);
	ck_assert_int_eq(error, -ENOMEM);
	learn_data("/a", &some_stat, 7);
	ck_assert_uint_eq(info.data->size, 7);
}
END_TEST

START_TEST(lack_of_memory_for_a_listing_is_told)
{
	int answered;

	learn_data("/a", &leaf_stat, 7);
	ck_assert_int_eq(ask("/a", TREE_CHILDREN), TREE_FETCH);
	unit_fail_allocation(2); /* the first is that of the listing that comes */
	answered = reply_children("/a", &leaf_stat, "x");
	ck_assert(unit_end_failure());
	ck_assert_int_eq(answered, 1);
	ck_assert_int_eq(error, -ENOMEM);
	learn_children("/a", &leaf_stat, "x");
	ck_assert_uint_eq(info.children->count, 1);
	check_ready("/a", TREE_CHILDREN, 0);
}
END_TEST

START_TEST(lack_of_memory_for_a_stat_is_told)
{
	int answered;

	learn_data("/a", &leaf_stat, LARGE);
	reconnect();
	check_fetches("/a", TREE_NODE, STREAM_EXISTS);
	unit_fail_allocation(1);
	answered = reply_stat("/a", &some_stat); /* it has had children meanwhile */
	ck_assert(unit_end_failure());
	ck_assert_int_eq(answered, 1);
	ck_assert_int_eq(error, -ENOMEM);
	check_fetches("/a", TREE_NODE, STREAM_EXISTS);
	ck_assert_int_eq(reply_stat("/a", &some_stat), 1);
	ck_assert(same_stat(&info.stat, &some_stat));
	ck_assert_int_eq(info.stat.pzxid, some_stat.pzxid);
	ck_assert_uint_eq(info.data->size, LARGE);
}
END_TEST

START_TEST(stat_is_told_as_it_was_read)
{
	const struct node_stat stats[] = {
		leaf_stat,
		{ .czxid = 1,
			.mzxid = 2,
			.pzxid = 3,
			.ctime = 4,
			.mtime = 5,
			.ephemeral_owner = 6,
			.version = 7,
			.cversion = 8,
			.aversion = 9,
			.data_length = 10,
			.num_children = 11 },
		{ .czxid = 1, .mzxid = 2, .pzxid = 1, .ephemeral_owner = -6, .aversion = 9 },
		{ .czxid = 1, .mzxid = 2, .pzxid = 1, .cversion = 1 },
		{ .czxid = 1, .mzxid = 2, .pzxid = 1, .num_children = 1 }, { .czxid = 1, .mzxid = 2, .pzxid = 3 },
		{ .pzxid = 3, .cversion = -1 }, /* as the root's */
	};

	for (size_t i = 0; i < sizeof(stats) / sizeof(*stats); i++) {
		const struct node_stat *stat = &stats[i];

		learn_data("/a", stat, 1);
		check_ready("/a", TREE_NODE, 0);
		ck_assert(same_stat(&info.stat, stat));
		ck_assert_int_eq(info.stat.pzxid, stat->pzxid);
		tree_event(tree, i % 2 ? WIRE_DATA_CHANGED : WIRE_CREATED, "/a", 0);
	}
}
END_TEST

START_TEST(lack_of_memory_for_the_names_of_a_directory_leaves_it_unread)
{
	enum stream_read read;
	char *parent = NULL;
	bool failed = true;

	for (int number = 1; failed; number++) {
		bool wants;

		start_limited(NO_LIMIT);
		learn_data("/d", &some_stat, 0);
		ck_assert(!tree_wants_names(tree, "/d/1", now, &read, &parent));
		unit_fail_allocation(number);
		wants = tree_wants_names(tree, "/d/2", now, &read, &parent);
		failed = unit_end_failure();
		ck_assert_int_eq(wants, !failed);
		ck_assert_int_eq(parent != NULL, wants);
		if (failed)
			ck_assert(tree_wants_names(tree, "/d/3", now, &read, &parent));
		free(parent);
		ck_assert_int_eq(reply_children("/d", &some_stat, "x"), 0);
	}
}
END_TEST

START_TEST(lack_of_memory_for_a_birth_drops_the_listing)
{
	learn_data("/a", &leaf_stat, 7);
	unit_fail_allocation(1);
	tree_event(tree, WIRE_CREATED, "/a/x", 5000);
	ck_assert(unit_end_failure());
	learn_data("/a", &some_stat, 7);
	learn_children("/a", &some_stat, "x");
	check_ready("/a", TREE_CHILDREN, 0);
	tree_event(tree, WIRE_CREATED, "/a/y", 6000);
	learn_children("/a", &some_stat, "y");
	ck_assert_int_eq(info.changed, 6000);
}
END_TEST

/* --- Any order of everything: a tree over a model of a server ---
 *
 * The server's znodes change; replies and events wait in one queue, as they would in the socket, and are handed to the tree
 * one at a time. Each knows the server's state when it was sent, so the state at the stream's position is the one of what
 * was handed on last. What the tree says must be that state, exactly. */

enum { PATHS = 7, ASKERS = 24 };

static const char *const paths[PATHS] = { "/", "/a", "/a/x", "/a/y", "/b", "/b/z", "/b/z/w" };
static const int parents[PATHS] = { -1, 0, 1, 1, 0, 4, 5 };

struct state {
	struct node_stat stats[PATHS];
	bool exists[PATHS];
};

struct item {
	struct item *next;
	bool is_event;
	int path;
	enum wire_event_type type;
	enum tree_query query;
	struct state state;
};

struct asker {
	struct tree_waiter waiter; /* first */
	bool is_waiting;
	int path;
	enum tree_query query;
};

/* A read that the tree called for. */
struct asked {
	bool is_out;
	bool is_handled; /* its reply is in the queue */
	enum stream_read read;
};

static struct model {
	struct state state;
	int64_t zxid;
	bool is_connected, is_watching;
	bool has_secrets;
	struct item *queue;
	struct asked asked[PATHS][TREE_QUERIES];
	struct asker askers[ASKERS];
	/* Of this connection: */
	bool has_replied;
	struct state seen;	  /* at the stream's position */
	struct state read[PATHS]; /* when each znode was read last, and */
	int64_t read_at[PATHS];	  /* when that was handed on */
	int last_path;		  /* of an event; -1: none yet */
	enum wire_event_type last_type;
	int64_t last_zxid;
} model;

/* Some nodes cannot be read; which, depends on their birth. */
static bool is_secret(const struct node_stat *stat)
{
	return model.has_secrets && stat->czxid % 5 == 4;
}

/* The data depends on the transaction that wrote it. */
static size_t data_of(const struct node_stat *stat, char *data)
{
	size_t size = stat->mzxid % 3 ? 8 : LARGE;

	memset(data, (int)(stat->mzxid & 0x7f), size);
	return size;
}

static uint32_t names_of(const struct state *state, int path, const char **names)
{
	uint32_t count = 0;

	for (int i = 0; i < PATHS; i++) {
		if (parents[i] == path && state->exists[i])
			names[count++] = strrchr(paths[i], '/') + 1;
	}
	return count;
}

static void emit(bool is_event, int path, enum wire_event_type type, enum tree_query query)
{
	struct item *item;

	if (!model.is_connected || (is_event && !model.is_watching))
		return;
	item = malloc(sizeof(*item));
	*item = (struct item){ .is_event = is_event, .path = path, .type = type, .query = query, .state = model.state };
	LL_APPEND(model.queue, item);
}

static void change_parent(int path, int by)
{
	struct node_stat *parent = &model.state.stats[parents[path]];

	parent->num_children += by;
	parent->cversion++;
	parent->pzxid = model.zxid;
}

static void change_something(void)
{
	int path = (int)unit_random(PATHS);
	struct node_stat *stat = &model.state.stats[path];
	bool *exists = &model.state.exists[path];

	if (!*exists && model.state.exists[parents[path]]) {
		model.zxid++;
		*exists = true;
		*stat = (struct node_stat){ .czxid = model.zxid, .mzxid = model.zxid, .pzxid = model.zxid };
		change_parent(path, 1);
		emit(true, path, WIRE_CREATED, 0);
	} else if (*exists && unit_random(2)) {
		stat->mzxid = ++model.zxid;
		stat->version++;
		emit(true, path, WIRE_DATA_CHANGED, 0);
	} else if (*exists && path != 0 && stat->num_children == 0) {
		model.zxid++;
		*exists = false;
		change_parent(path, -1);
		emit(true, path, WIRE_DELETED, 0);
	}
}

static void check_listing(const struct state *state, int path, const struct listing *listing)
{
	const char *names[PATHS];
	uint32_t count = names_of(state, path, names);

	must(listing && listing->count == count, "as many children");
	for (uint32_t i = 0; listing && i < count; i++)
		must(strcmp(listing->names[i], names[i]) == 0, "the same children");
}

static void check_data(const struct node_stat *stat, const struct node_info *got)
{
	char data[LARGE];
	size_t size = data_of(stat, data);

	must(got->data_error == (is_secret(stat) ? -EACCES : 0), "unreadable as it should be");
	must((got->data == NULL) == is_secret(stat), "data if it can be read");
	if (got->data) {
		must(got->data->size == size, "the size");
		must(memcmp(got->data->data, data, size) == 0, "the data");
	}
}

/* An answer is what this state tells. */
static void check_answer(const struct state *state, int path, enum tree_query query, int code,
	const struct node_info *got)
{
	const struct node_stat *stat = &state->stats[path];
	int expected = state->exists[path] ? 0 : -ENOENT;

	if (state->exists[path] && query == TREE_CHILDREN && is_secret(stat))
		expected = -EACCES;
	if (code != expected)
		ck_abort_msg("%s, query %d: %d instead of %d", paths[path], query, code, expected);
	if (code)
		return;
	must(same_stat(&got->stat, stat), "the Stat");
	must(got->changed >= stat->mtime, "changed not before mtime");
	if (query == TREE_CHILDREN)
		check_listing(state, path, got->children);
	else
		check_data(stat, got);
}

static void ask_something(void)
{
	struct asker *asker = &model.askers[unit_random(ASKERS)];
	struct node_info got = { 0 };
	enum stream_read read;
	struct asked *asked;
	int code = 0;
	int step;

	if (asker->is_waiting)
		return;
	asker->path = (int)unit_random(PATHS);
	asker->query = unit_random(3) ? TREE_NODE : TREE_CHILDREN;
	asked = &model.asked[asker->path][asker->query];
	step = tree_ask(tree, paths[asker->path], asker->query, now, &asker->waiter, &read, &code, &got);
	if (step == TREE_READY) {
		must(model.has_replied, "nothing is served before it was read on this connection");
		if (!model.is_watching)
			must(now - model.read_at[asker->path] < TTL, "read within the ttl");
		check_answer(model.is_watching ? &model.seen : &model.read[asker->path], asker->path, asker->query,
			code, &got);
		node_info_release(&got);
		return;
	}
	must(step == (asked->is_out ? TREE_WAITING : TREE_FETCH), "asked once");
	asker->is_waiting = true;
	if (step == TREE_FETCH)
		*asked = (struct asked){ .is_out = true, .read = read };
}

static void handle_some_request(void)
{
	size_t start = unit_random((size_t)PATHS * TREE_QUERIES);

	if (!model.is_connected)
		return;
	for (size_t i = 0; i < (size_t)PATHS * TREE_QUERIES; i++) {
		size_t at = (start + i) % ((size_t)PATHS * TREE_QUERIES);
		struct asked *asked = &model.asked[at / TREE_QUERIES][at % TREE_QUERIES];

		if (asked->is_out && !asked->is_handled) {
			asked->is_handled = true;
			emit(false, (int)(at / TREE_QUERIES), 0, (enum tree_query)(at % TREE_QUERIES));
			return;
		}
	}
}

static void end_waiting(struct tree_waiter *answered, int path, enum tree_query query)
{
	for (struct tree_waiter *next; answered; answered = next) {
		struct asker *asker = (struct asker *)answered;

		next = answered->next;
		must(asker->is_waiting, "answered once");
		must(asker->path == path && asker->query == query, "answered what was asked");
		asker->is_waiting = false;
	}
	for (int i = 0; i < ASKERS; i++) {
		if (model.askers[i].is_waiting)
			must(model.askers[i].path != path || model.askers[i].query != query, "all are answered");
	}
}

static void hand_on_reply(const struct item *item)
{
	struct asked *asked = &model.asked[item->path][item->query];
	const struct node_stat *stat = &item->state.stats[item->path];
	struct stream_reply reply = { .error = item->state.exists[item->path] ? 0 : -ENOENT };
	struct tree_waiter *answered;
	struct node_info got = { 0 };
	const char *names[PATHS];
	char data[LARGE];
	bool again = false;
	int code = 1;

	if (!reply.error && asked->read != STREAM_EXISTS && is_secret(stat))
		reply.error = -EACCES;
	if (!reply.error)
		reply.stat = *stat;
	if (!reply.error && asked->read == STREAM_GET) {
		reply.data_size = data_of(stat, data);
		reply.data = data;
	}
	if (!reply.error && asked->read == STREAM_CHILDREN)
		reply.children = make_listing(names, names_of(&item->state, item->path, names));
	if (reply.error != -EACCES) {
		model.read[item->path] = item->state;
		model.read_at[item->path] = now;
	}
	asked->is_handled = false;
	answered = tree_reply(tree, paths[item->path], item->query, &asked->read, &reply, now, &again, &code, &got);
	listing_put(reply.children);
	model.has_replied = true;
	if (again) {
		must(!answered, "nobody is answered yet");
		return;
	}
	asked->is_out = false;
	must(answered != NULL, "somebody waited");
	check_answer(&item->state, item->path, item->query, code, &got);
	if (!code)
		node_info_release(&got);
	end_waiting(answered, item->path, item->query);
}

static void hand_on(void)
{
	struct item *item = model.queue;

	if (!item)
		return;
	LL_DELETE(model.queue, item);
	model.seen = item->state;
	if (item->is_event) {
		tree_event(tree, item->type, paths[item->path], now);
		model.last_path = item->path;
		model.last_type = item->type;
		model.last_zxid = item->state.stats[item->path].mzxid;
	} else {
		hand_on_reply(item);
	}
	free(item);
}

static void lose_connection(void)
{
	struct item *item, *next;

	LL_FOREACH_SAFE (model.queue, item, next)
		free(item);
	model.queue = NULL;
	for (int i = 0; i < PATHS * TREE_QUERIES; i++)
		model.asked[i / TREE_QUERIES][i % TREE_QUERIES].is_handled = false;
	if (model.is_connected)
		tree_broken(tree, 0, 0);
	model.is_connected = false;
	model.has_replied = false;
	model.last_path = -1;
}

static void connect_again(bool watching)
{
	if (model.is_connected)
		return;
	model.is_connected = true;
	model.is_watching = watching;
	tree_connected(tree, watching);
}

/* The write that made the last event was ours. */
static void claim_last_event(void)
{
	bool is_birth_or_death = model.last_type != WIRE_DATA_CHANGED;

	if (model.last_path >= 0)
		tree_changed_by_us(tree, paths[model.last_path], &no_mark,
			model.last_type == WIRE_DELETED ? 0 : model.last_zxid, is_birth_or_death);
}

static void start_model(size_t limit, bool has_secrets)
{
	start_limited(limit);
	tree_broken(tree, 0, 0);
	lose_connection();
	memset(&model, 0, sizeof(model));
	model.state.exists[0] = true;
	model.has_secrets = has_secrets;
	model.last_path = -1;
}

static void do_something(bool watching, unsigned breaks)
{
	size_t what = unit_random(1000);

	if (what < breaks)
		lose_connection();
	else if (what < 20)
		now += (int64_t)unit_random(2500);
	else if (what < 30)
		claim_last_event();
	else if (what < 60)
		connect_again(watching);
	else if (what < 160)
		change_something();
	else if (what < 500)
		ask_something();
	else if (what < 700)
		handle_some_request();
	else
		hand_on();
}

static void finish_model(bool watching)
{
	connect_again(watching);
	for (int i = 0; i < 1000; i++) {
		handle_some_request();
		hand_on();
	}
	for (int i = 0; i < ASKERS; i++)
		must(!model.askers[i].is_waiting, "everybody is answered in the end");
	lose_connection();
}

static const struct {
	size_t limit;
	unsigned breaks; /* of 1000 steps */
	bool watching;
	bool has_secrets; /* without a watch, that a node is one may be old news */
} orders[] = {
	{ NO_LIMIT, 0, true, true },
	{ NO_LIMIT, 10, true, true },
	{ NO_LIMIT, 10, false, false },
	{ 2000, 0, true, true },
	{ 2000, 2, true, true },
	{ 2000, 2, false, false },
};

START_TEST(any_order_tells_the_truth)
{
	uint64_t hits = 0;

	unit_seed("any_order_tells_the_truth");
	for (int round = 0; round < 60; round++) {
		start_model(orders[_i].limit, orders[_i].has_secrets);
		for (int i = 0; i < 3000; i++)
			do_something(orders[_i].watching, orders[_i].breaks);
		finish_model(orders[_i].watching);
		hits += tree_stats(tree).hits;
	}
	ck_assert_uint_gt(hits, 1000); /* it is a cache */
}
END_TEST

/* --- Threads: anybody asks, one answers --- */

enum { THREADS = 4, ROUNDS = 500, THREAD_PATHS = 3 };

struct thread_ask {
	struct tree_waiter waiter; /* first */
	atomic_int answers;
};

struct thread_read {
	struct thread_read *next;
	int path;
	enum stream_read read;
};

static pthread_mutex_t reads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t reads_changed = PTHREAD_COND_INITIALIZER;
static struct thread_read *reads;
static const char *const thread_paths[THREAD_PATHS] = { "/a", "/b", "/c" };
static struct thread_ask asks[THREADS][ROUNDS];
static atomic_int askers_left;

static void *ask_a_lot(void *arg)
{
	struct thread_ask *mine = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct node_info got = { 0 };
		int path = i % THREAD_PATHS;
		enum stream_read read;
		int code;
		int step = tree_ask(tree, thread_paths[path], TREE_NODE, 0, &mine[i].waiter, &read, &code, &got);

		if (step == TREE_READY) {
			atomic_fetch_add(&mine[i].answers, 1);
			node_info_release(&got);
		} else if (step == TREE_FETCH) {
			struct thread_read *new = malloc(sizeof(*new));

			*new = (struct thread_read){ .path = path, .read = read };
			pthread_mutex_lock(&reads_lock);
			LL_APPEND(reads, new);
			pthread_cond_signal(&reads_changed);
			pthread_mutex_unlock(&reads_lock);
		}
	}
	pthread_mutex_lock(&reads_lock);
	atomic_fetch_sub(&askers_left, 1);
	pthread_cond_signal(&reads_changed);
	pthread_mutex_unlock(&reads_lock);
	return NULL;
}

/* NULL: there will be no more. */
static struct thread_read *next_read(void)
{
	struct thread_read *read;

	pthread_mutex_lock(&reads_lock);
	while (!reads && atomic_load(&askers_left) > 0)
		pthread_cond_wait(&reads_changed, &reads_lock);
	read = reads;
	if (read)
		LL_DELETE(reads, read);
	pthread_mutex_unlock(&reads_lock);
	return read;
}

static void answer_read(struct thread_read *read)
{
	const struct stream_reply reply = { .stat = some_stat, .data = "data", .data_size = 4 };
	struct node_info got = { 0 };
	struct tree_waiter *answered;
	bool again;
	int code;

	answered = tree_reply(tree, thread_paths[read->path], TREE_NODE, &read->read, &reply, 0, &again, &code, &got);
	for (struct tree_waiter *next; answered; answered = next) {
		next = answered->next;
		atomic_fetch_add(&((struct thread_ask *)answered)->answers, 1);
	}
	node_info_release(&got);
	tree_event(tree, WIRE_DATA_CHANGED, thread_paths[read->path], 0);
}

START_TEST(threads_ask_at_once)
{
	pthread_t threads[THREADS];
	struct thread_read *read;

	atomic_store(&askers_left, THREADS);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_a_lot, asks[i]), 0);
	while ((read = next_read())) {
		answer_read(read);
		free(read);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS * ROUNDS; i++)
		must(atomic_load(&asks[i / ROUNDS][i % ROUNDS].answers) == 1, "answered once");
}
END_TEST

static void add_own_and_names(TCase *tcase)
{
	tcase_add_test(tcase, own_change_that_was_told_drops_nothing);
	tcase_add_test(tcase, own_birth_that_was_told_leaves_the_listing);
	tcase_add_test(tcase, what_we_wrote_is_remembered);
	tcase_add_test(tcase, what_we_made_is_remembered);
	tcase_add_test(tcase, what_we_wrote_is_not_remembered_beside_others);
	tcase_add_test(tcase, nothing_is_marked_without_a_watch);
	tcase_add_test(tcase, directory_answers_for_its_names);
	tcase_add_test(tcase, birth_adds_to_the_names);
	tcase_add_test(tcase, names_are_trusted_for_a_while);
	tcase_add_test(tcase, names_of_before_a_break_are_not_trusted);
	tcase_add_test(tcase, own_birth_without_event_ends_the_names);
	tcase_add_test(tcase, names_are_not_wanted_of_whom_they_are_of_no_use);
	tcase_add_test(tcase, who_lists_meanwhile_waits_for_the_names);
}

static void add_access_tests(TCase *tcase)
{
	tcase_add_test(tcase, access_is_not_told_unless_wanted);
	tcase_add_test(tcase, access_comes_with_the_node);
	tcase_add_test(tcase, access_is_trusted_for_a_while);
	tcase_add_test(tcase, public_is_what_anyone_may_read);
	tcase_add_test(tcase, access_is_that_of_the_very_znode);
	tcase_add_test(tcase, access_is_learned_anew_after_a_gap);
	tcase_add_test(tcase, access_outlives_data_but_not_another_acl_of_ours);
	tcase_add_test(tcase, data_is_read_again_for_an_answer);
	tcase_add_test(tcase, access_to_what_we_may_not_read_is_nobodys);
	tcase_add_test(tcase, access_that_cannot_be_learned_is_an_error);
}

Suite *unit_suite(void)
{
	Suite *suite = suite_create("tree");
	TCase *tcase = tcase_create("tree");

	tcase_add_checked_fixture(tcase, setup, teardown);
	add_access_tests(tcase);
	tcase_add_test(tcase, one_read_serves_all_who_ask);
	tcase_add_test(tcase, serves_from_memory_without_end);
	tcase_add_test(tcase, listing_is_trusted_for_a_while);
	tcase_add_test(tcase, absence_is_trusted_for_a_while);
	tcase_add_test(tcase, birth_ends_absence);
	tcase_add_test(tcase, unreadable_node_has_its_stat);
	tcase_add_test(tcase, readable_node_becomes_unreadable);
	tcase_add_test(tcase, unreadable_node_that_changes_is_read_again);
	tcase_add_test(tcase, unreadable_node_goes_while_it_is_looked_at);
	tcase_add_test(tcase, other_errors_are_not_remembered);
	tcase_add_test(tcase, change_of_data_leaves_the_listing);
	tcase_add_test(tcase, birth_of_a_child_leaves_the_data);
	tcase_add_test(tcase, death_of_a_child_is_a_change_of_its_parent);
	tcase_add_test(tcase, death_drops_everything);
	tcase_add_test(tcase, event_of_another_changes_nothing);
	tcase_add_test(tcase, nothing_is_served_once_the_stream_broke);
	tcase_add_test(tcase, unchanged_contents_are_verified);
	tcase_add_test(tcase, what_was_known_is_recalled_in_an_outage);
	tcase_add_test(tcase, nothing_is_recalled_for_who_does_not_take_it);
	tcase_add_test(tcase, nothing_is_recalled_unless_it_is_let);
	tcase_add_test(tcase, who_waits_when_the_outage_begins_is_answered);
	tcase_add_test(tcase, what_is_too_old_is_an_error);
	tcase_add_test(tcase, what_changed_is_not_recalled);
	tcase_add_test(tcase, only_the_last_epoch_is_recalled);
	tcase_add_test(tcase, distrust_ends_what_is_recalled);
	tcase_add_test(tcase, what_only_nobody_vouches_for_is_recalled_from_a_silent_server);
	tcase_add_test(tcase, name_that_is_asked_for_is_remembered_not_to_be_there);
	tcase_add_test(tcase, newer_names_know_better_than_an_absence);
	tcase_add_test(tcase, changed_contents_are_read_again);
	tcase_add_test(tcase, listing_is_verified_by_any_stat);
	tcase_add_test(tcase, data_is_verified_by_a_listing);
	tcase_add_test(tcase, without_a_watch_everything_is_trusted_for_the_ttl);
	tcase_add_test(tcase, ttl_of_contents_begins_anew_when_verified);
	tcase_add_test(tcase, own_change_drops_what_is_older);
	tcase_add_test(tcase, own_set_has_been_passed_with_the_last_of_its_events);
	tcase_add_test(tcase, what_has_died_is_known_not_to_be_there);
	tcase_add_test(tcase, own_set_is_not_known_to_be_passed);
	tcase_add_test(tcase, events_are_counted_from_the_mark);
	tcase_add_test(tcase, names_of_a_new_directory_are_wanted);
	tcase_add_test(tcase, own_birth_drops_absence);
	tcase_add_test(tcase, own_birth_drops_an_older_listing_of_the_parent);
	add_own_and_names(tcase);
	tcase_add_test(tcase, forgets_what_was_not_used_for_longest);
	tcase_add_test(tcase, stays_within_its_limit);
	tcase_add_test(tcase, keeps_what_is_waited_for);
	tcase_add_test(tcase, counts_what_it_frees);
	tcase_add_test(tcase, lack_of_memory_takes_no_waiter);
	tcase_add_test(tcase, lack_of_memory_for_data_is_told);
	tcase_add_test(tcase, stat_is_told_as_it_was_read);
	tcase_add_test(tcase, lack_of_memory_for_a_stat_is_told);
	tcase_add_test(tcase, lack_of_memory_for_a_listing_is_told);
	tcase_add_test(tcase, lack_of_memory_for_the_names_of_a_directory_leaves_it_unread);
	tcase_add_test(tcase, lack_of_memory_for_a_birth_drops_the_listing);
	tcase_add_loop_test(tcase, any_order_tells_the_truth, 0, sizeof(orders) / sizeof(*orders));
	tcase_add_test(tcase, threads_ask_at_once);
	suite_add_tcase(suite, tcase);
	return suite;
}
