/* Setting an ACL under a check of its version, and what becomes of it when others are faster or the answer gets lost. In place of
 * the stream and change.c stands one znode in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/acl.h"
#include "cache/parts.h"
#include "tests/unit/unit.h"

/* --- The ensemble --- */

/* What happens to a change. */
enum fate { ARRIVES, LOST, LOST_BUT_MADE, OVERTAKEN /* by somebody else, and arrives */ };

static struct {
	struct node_stat stat;
	struct acl_list *acl;

	enum fate fate[4];	 /* of the changes to come */
	void (*meanwhile)(void); /* what somebody else does when one was lost, once */
	int stat_error, acl_error, set_error;
	int stat_refused, change_refused; /* -errno of the call itself */

	int stats, acls, changes;
	int forgotten; /* times that who may read it was */
} ensemble;

static struct acl_list *acl_of(const char *text)
{
	struct acl_list *acl = NULL;
	char reason[128];

	ck_assert_int_eq(acl_parse(text, strlen(text), &acl, reason, sizeof(reason)), 0);
	return acl;
}

static void others_set(const char *text)
{
	acl_list_put(ensemble.acl);
	ensemble.acl = acl_of(text);
	ensemble.stat.aversion++;
}

int stream_send(struct stream *stream, enum stream_read read, const char *path, stream_reply_cb *done, void *arg)
{
	struct stream_reply reply = { .stat = ensemble.stat };

	(void)stream;
	ck_assert_str_eq(path, "/n");
	if (read == STREAM_EXISTS && ensemble.stat_refused)
		return ensemble.stat_refused;
	if (read == STREAM_ACL) {
		ensemble.acls++;
		reply.error = ensemble.acl_error;
		reply.acl = ensemble.acl;
	} else {
		ck_assert_int_eq(read, STREAM_EXISTS);
		ensemble.stats++;
		reply.error = ensemble.stat_error;
	}
	done(&reply, arg);
	return 0;
}

void tree_access_changed(struct tree *tree, const char *path)
{
	(void)tree;
	ck_assert_str_eq(path, "/n");
	ensemble.forgotten++;
}

int change_submit(struct cache *cache, const char *path, const struct write_step *steps, int count, cache_done_cb *done,
	void *arg)
{
	enum fate fate = ensemble.fate[0];
	int error = ensemble.set_error;

	(void)cache;
	if (ensemble.change_refused)
		return ensemble.change_refused;
	ck_assert_str_eq(path, "/n");
	ck_assert_str_eq(steps[0].path, "/n");
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(steps[0].verb, WRITE_SET_ACL);
	memmove(ensemble.fate, ensemble.fate + 1, sizeof(ensemble.fate) - sizeof(ensemble.fate[0]));
	ensemble.changes++;
	if (fate == OVERTAKEN)
		others_set("ip:6.6.6.6:r");
	if (!error && steps[0].version != ensemble.stat.aversion)
		error = -EAGAIN;
	if (!error && fate != LOST) {
		acl_list_put(ensemble.acl);
		ensemble.acl = acl_list_get(steps[0].acl);
		ensemble.stat.aversion++;
	}
	if (fate == LOST || fate == LOST_BUT_MADE)
		error = CHANGE_UNKNOWN;
	if (error == CHANGE_UNKNOWN && ensemble.meanwhile) {
		ensemble.meanwhile();
		ensemble.meanwhile = NULL;
	}
	done(error, NULL, arg);
	return 0;
}

/* --- The cache --- */

static struct cache cache;

static void setup(void)
{
	cache = (struct cache){ .timeout = 60000 };
	memset(&ensemble, 0, sizeof(ensemble));
	ensemble.stat = (struct node_stat){ .czxid = 7, .aversion = 3 };
	ensemble.acl = acl_of("world:anyone:cdrwa");
}

static void teardown(void)
{
	acl_list_put(ensemble.acl);
}

static struct {
	int times, error;
} end;

static void ended(int error, const struct node_stat *stat, void *arg)
{
	(void)arg;
	ck_assert_ptr_null(stat);
	end.times++;
	end.error = error;
}

/* Sets, and compares what comes of it. */
static void set(const char *text, int error)
{
	struct acl_list *acl = acl_of(text);
	int err;

	memset(&end, 0, sizeof(end));
	err = cache_set_acl(&cache, "/n", 7, acl, ended, NULL);
	acl_list_put(acl);
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(end.times, 1);
	ck_assert_int_gt(ensemble.forgotten, 0);
	ck_assert_msg(end.error == error, "%d, not %d", end.error, error);
}

static void check_acl(const char *text, int32_t aversion)
{
	struct buf now = BUF_INIT;

	acl_format(ensemble.acl, &now);
	ck_assert_uint_eq(now.size, strlen(text));
	ck_assert_mem_eq(now.data, text, now.size);
	ck_assert_int_eq(ensemble.stat.aversion, aversion);
	buf_release(&now);
}

static void others_make_anew(void)
{
	ensemble.stat = (struct node_stat){ .czxid = 8 };
}

START_TEST(it_is_set_under_its_version)
{
	set("ip:1.2.3.4:r", 0);
	check_acl("ip:1.2.3.4:r", 4);
	ck_assert_int_eq(ensemble.changes, 1);
}
END_TEST

START_TEST(who_was_faster_is_replaced)
{
	ensemble.fate[0] = ensemble.fate[1] = OVERTAKEN;
	set("ip:1.2.3.4:r", 0);
	check_acl("ip:1.2.3.4:r", 6);
	ck_assert_int_eq(ensemble.changes, 3);
}
END_TEST

START_TEST(not_for_ever)
{
	cache.timeout = -1;
	ensemble.fate[0] = OVERTAKEN;
	set("ip:1.2.3.4:r", -ETIMEDOUT);
	check_acl("ip:6.6.6.6:r", 4);
}
END_TEST

START_TEST(another_znode_is_left_alone)
{
	ensemble.stat.czxid = 8;
	set("ip:1.2.3.4:r", -ESTALE);
	check_acl("world:anyone:cdrwa", 3);
	ensemble.stat_error = -ENOENT;
	set("ip:1.2.3.4:r", -ENOENT);
	ck_assert_int_eq(ensemble.changes, 0);
}
END_TEST

START_TEST(whichever_is_there)
{
	struct acl_list *acl = acl_of("ip:1.2.3.4:r");

	memset(&end, 0, sizeof(end));
	ck_assert_int_eq(cache_set_acl(&cache, "/n", 0, acl, ended, NULL), 0);
	ck_assert_int_eq(end.times, 1);
	ck_assert_int_eq(end.error, 0);
	check_acl("ip:1.2.3.4:r", 4);
	/* But the same all the time. */
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_anew;
	ck_assert_int_eq(cache_set_acl(&cache, "/n", 0, acl, ended, NULL), 0);
	ck_assert_int_eq(end.error, -ESTALE);
	acl_list_put(acl);
}
END_TEST

START_TEST(errors_are_handed_on)
{
	ensemble.set_error = -EACCES;
	set("ip:1.2.3.4:r", -EACCES);
	ensemble.set_error = 0;
	ensemble.change_refused = -EFBIG;
	set("ip:1.2.3.4:r", -EFBIG);
	check_acl("world:anyone:cdrwa", 3);
}
END_TEST

START_TEST(what_got_lost_is_sent_again)
{
	ensemble.fate[0] = ensemble.fate[1] = LOST;
	set("ip:1.2.3.4:r", 0);
	check_acl("ip:1.2.3.4:r", 4);
	ck_assert_int_eq(ensemble.changes, 3);
	ck_assert_int_eq(ensemble.acls, 0);
}
END_TEST

START_TEST(what_was_made_all_the_same_is_found)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	set("ip:1.2.3.4:r", 0);
	check_acl("ip:1.2.3.4:r", 4);
	ck_assert_int_eq(ensemble.changes, 1);
}
END_TEST

static void others_set_once(void)
{
	others_set("ip:6.6.6.6:r");
}

/* So ours cannot have been made, nor will it be. */
START_TEST(another_in_its_place_is_replaced)
{
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_set_once;
	set("ip:1.2.3.4:r", 0);
	check_acl("ip:1.2.3.4:r", 5);
	ck_assert_int_eq(ensemble.changes, 2);
}
END_TEST

START_TEST(what_is_buried_cannot_be_known)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.meanwhile = others_set_once;
	set("ip:1.2.3.4:r", -EIO);
	check_acl("ip:6.6.6.6:r", 5);
	ck_assert_int_eq(ensemble.changes, 1);
}
END_TEST

static void acl_becomes_unreadable(void)
{
	ensemble.acl_error = -EACCES;
}

START_TEST(what_cannot_be_read_cannot_be_known)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.meanwhile = acl_becomes_unreadable;
	set("ip:1.2.3.4:", -EIO);
	ck_assert_int_eq(ensemble.changes, 1);
	ensemble.acl_error = 0;
	ensemble.fate[0] = LOST;
	ensemble.stat_error = 0;
	ensemble.meanwhile = acl_becomes_unreadable; /* which does not matter: the version tells */
	set("ip:1.2.3.5:", 0);
	ck_assert_int_eq(ensemble.acls, 1);
}
END_TEST

START_TEST(made_anew_meanwhile)
{
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_anew;
	set("ip:1.2.3.4:r", -ESTALE);
	ck_assert_int_eq(ensemble.changes, 1);
}
END_TEST

START_TEST(without_memory)
{
	for (int number = 1; number <= 3; number++) {
		struct acl_list *acl = acl_of("ip:1.2.3.4:r");
		int err;

		memset(&end, 0, sizeof(end));
		unit_fail_allocation(number);
		err = cache_set_acl(&cache, "/n", 7, acl, ended, NULL);
		ck_assert(unit_end_failure());
		acl_list_put(acl);
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_int_eq(end.times, 0);
		ck_assert_int_eq(ensemble.changes, 0);
	}
	ensemble.stat_refused = -ECANCELED;
	ck_assert_int_eq(cache_set_acl(&cache, "/n", 7, ensemble.acl, ended, NULL), -ECANCELED);
}
END_TEST

/* --- Reading --- */

static int read_times;

static void stat_was_read(int error, const struct node_stat *stat, void *arg)
{
	ck_assert_int_eq(error, *(int *)arg);
	ck_assert_int_eq(stat ? stat->aversion : -1, error ? -1 : 3);
	read_times++;
}

static void acl_was_read(int error, const struct node_stat *stat, struct acl_list *acl, void *arg)
{
	ck_assert_int_eq(error, *(int *)arg);
	ck_assert_int_eq(stat ? stat->czxid : -1, error ? -1 : 7);
	if (!error)
		ck_assert_ptr_eq(acl, ensemble.acl);
	read_times++;
}

START_TEST(reading)
{
	int expected = 0;

	read_times = 0;
	ck_assert_int_eq(cache_read_stat(&cache, "/n", stat_was_read, &expected), 0);
	ck_assert_int_eq(cache_read_acl(&cache, "/n", acl_was_read, &expected), 0);
	expected = ensemble.stat_error = ensemble.acl_error = -EACCES;
	ck_assert_int_eq(cache_read_stat(&cache, "/n", stat_was_read, &expected), 0);
	ck_assert_int_eq(cache_read_acl(&cache, "/n", acl_was_read, &expected), 0);
	ck_assert_int_eq(read_times, 4);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("permit");
	TCase *setting = tcase_create("setting");
	TCase *lost = tcase_create("answers that get lost");
	TCase *reads = tcase_create("reading");

	tcase_add_checked_fixture(setting, setup, teardown);
	tcase_add_test(setting, it_is_set_under_its_version);
	tcase_add_test(setting, who_was_faster_is_replaced);
	tcase_add_test(setting, not_for_ever);
	tcase_add_test(setting, another_znode_is_left_alone);
	tcase_add_test(setting, whichever_is_there);
	tcase_add_test(setting, errors_are_handed_on);
	tcase_add_test(setting, without_memory);
	suite_add_tcase(suite, setting);
	tcase_add_checked_fixture(lost, setup, teardown);
	tcase_add_test(lost, what_got_lost_is_sent_again);
	tcase_add_test(lost, what_was_made_all_the_same_is_found);
	tcase_add_test(lost, another_in_its_place_is_replaced);
	tcase_add_test(lost, what_is_buried_cannot_be_known);
	tcase_add_test(lost, what_cannot_be_read_cannot_be_known);
	tcase_add_test(lost, made_anew_meanwhile);
	suite_add_tcase(suite, lost);
	tcase_add_checked_fixture(reads, setup, teardown);
	tcase_add_test(reads, reading);
	suite_add_tcase(suite, reads);
	return suite;
}
