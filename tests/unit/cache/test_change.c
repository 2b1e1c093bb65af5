/* Changes of one znode and what becomes of them when the connection breaks. In place of the writer, the stream and cache.c's
 * reading stands one znode in memory, whose transactions can get lost, before they were made or after. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "tests/unit/unit.h"

/* --- The ensemble --- */

/* What happens to a transaction. */
enum fate { ARRIVES, LOST, LOST_BUT_MADE, OVERTAKEN /* by somebody else, and arrives */ };

static struct {
	bool is_there;
	struct node_stat stat;
	struct bytes *data;
	int64_t zxid;

	enum fate fate[4];	 /* of the transactions to come */
	void (*meanwhile)(void); /* what somebody else does before the session's next connection answers, once */
	void (*faster)(void);	 /* what somebody else does who overtakes; NULL: changes it twice, or makes it */
	int fence_error, read_error;

	int sent, made; /* transactions */
	struct write_step last;
} ensemble;

static void leave(const char *text)
{
	bytes_put(ensemble.data);
	ensemble.data = bytes_new(text, strlen(text));
	ensemble.stat.mzxid = ++ensemble.zxid;
	ensemble.stat.data_length = (int32_t)strlen(text);
}

static void others_write(const char *text)
{
	leave(text);
	ensemble.stat.version++;
}

static void others_make(const char *text)
{
	ensemble.is_there = true;
	ensemble.stat = (struct node_stat){ 0 };
	leave(text);
	ensemble.stat.czxid = ensemble.zxid;
}

static void overtake(void)
{
	if (ensemble.faster) {
		ensemble.faster();
		return;
	}
	if (!ensemble.is_there) {
		others_make("faster");
		return;
	}
	others_write("faster");
	others_write("twice");
}

static int make_step(const struct write_step *step)
{
	bool is_create = step->verb == WRITE_CREATE;
	char text[64] = "";

	if (ensemble.is_there == is_create)
		return is_create ? -EEXIST : -ENOENT;
	if (!is_create && step->version != -1 && step->version != ensemble.stat.version)
		return -EAGAIN;
	if (step->verb == WRITE_DELETE) {
		ensemble.is_there = false;
		return 0;
	}
	if (step->data)
		memcpy(text, step->data->data, step->data->size);
	if (is_create)
		others_make(text);
	else
		others_write(text);
	return 0;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	struct write_result result = { 0 };
	enum fate fate = ensemble.fate[0];

	(void)writer;
	if (steps[0].verb == WRITE_CHECK) { /* the session's next connection */
		if (ensemble.meanwhile)
			ensemble.meanwhile();
		ensemble.meanwhile = NULL;
		done(&result, arg);
		return 0;
	}
	memmove(ensemble.fate, ensemble.fate + 1, sizeof(ensemble.fate) - sizeof(ensemble.fate[0]));
	ensemble.sent++;
	ensemble.last = steps[0];
	if (fate == OVERTAKEN)
		overtake();
	for (int i = 0; i < count && fate != LOST && !result.error; i++)
		result.error = make_step(&steps[i]);
	ensemble.made += fate != LOST && !result.error;
	result.zxid = ensemble.zxid;
	result.stat = ensemble.stat;
	if (fate == LOST || fate == LOST_BUT_MADE)
		result = (struct write_result){ .error = -EIO, .is_unknown = true };
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
	return (struct stream_mark){ 0 };
}

void stream_note(struct stream *stream, int64_t zxid, const struct stream_mark *mark)
{
	(void)stream;
	(void)zxid;
	(void)mark;
}

void stream_probe(struct stream *stream)
{
	(void)stream;
}

int cache_read(struct cache *cache, const char *path, cache_node_cb *done, void *arg)
{
	struct node_info info = { .stat = ensemble.stat };
	int error = ensemble.read_error;

	(void)cache;
	ck_assert_str_eq(path, "/n");
	if (!error && !ensemble.is_there)
		error = -ENOENT;
	if (!error)
		info.data = bytes_get(ensemble.data);
	done(error, error ? NULL : &info, arg);
	bytes_put(info.data);
	return 0;
}

/* --- The cache --- */

static struct cache cache;

static void no_foreign(enum wire_event_type type, const char *path, void *arg)
{
	(void)type;
	(void)path;
	(void)arg;
}

static void setup(void)
{
	cache = (struct cache){ .timeout = 60000, .tree = tree_new(1 << 20, 0), .own = own_new(1, no_foreign, NULL) };
	pthread_mutex_init(&cache.changes_lock, NULL);
	memset(&ensemble, 0, sizeof(ensemble));
	ensemble.zxid = 100;
}

static void teardown(void)
{
	bytes_put(ensemble.data);
	pthread_mutex_destroy(&cache.changes_lock);
	own_free(cache.own);
	tree_free(cache.tree);
}

/* How a change ended. */
static struct {
	int times, error;
	int32_t version;
	char data[64];
} end;

static void ended(int error, const struct node_stat *stat, void *arg)
{
	(void)arg;
	end.times++;
	end.error = error;
	end.version = stat ? stat->version : -1;
}

static void check_end(int error)
{
	ck_assert_int_eq(end.times, 1);
	ck_assert_msg(end.error == error, "%d, not %d", end.error, error);
	memset(&end, 0, sizeof(end));
}

static void check_text(const char *text)
{
	ck_assert_int_eq(ensemble.is_there, text != NULL);
	if (text) {
		ck_assert_uint_eq(ensemble.data->size, strlen(text));
		ck_assert_mem_eq(ensemble.data->data, text, strlen(text));
	}
}

/* --- Making --- */

static void make_directory(int error)
{
	ck_assert_int_eq(cache_mkdir(&cache, "/n", ended, NULL), 0);
	check_end(error);
}

static void make_file(const char *text, int error)
{
	struct bytes *data = bytes_new(text, strlen(text));

	ck_assert_int_eq(cache_create(&cache, "/n", data, ended, NULL), 0);
	bytes_put(data);
	check_end(error);
}

static void others_make_file(void)
{
	others_make("theirs");
}

static void others_make_directory(void)
{
	others_make("");
}

static void others_remove(void)
{
	ensemble.is_there = false;
}

static void others_make_anew(void)
{
	others_make("anew");
}

START_TEST(node_is_made)
{
	make_directory(0);
	ck_assert_int_eq(ensemble.stat.version, 0);
	make_directory(-EEXIST);
	make_file("x", -EEXIST);
	others_remove();
	make_file("", 0);
	ck_assert_int_eq(ensemble.stat.version, 1); /* a file */
	ck_assert_int_eq(ensemble.sent, 4);
}
END_TEST

START_TEST(making_that_got_lost_is_sent_again)
{
	ensemble.fate[0] = ensemble.fate[1] = LOST;
	make_directory(0);
	ck_assert_int_eq(ensemble.sent, 3);
	check_text("");
	others_remove();
	ensemble.fate[0] = LOST;
	make_file("ours", 0);
	check_text("ours");
}
END_TEST

/* It may be another's. */
START_TEST(whose_it_is_is_not_known)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	make_directory(-EIO);
	others_remove();
	ensemble.fate[0] = LOST_BUT_MADE;
	make_file("ours", -EIO);
	others_remove();
	ensemble.fate[0] = LOST_BUT_MADE;
	make_file("", -EIO);
	ck_assert_int_eq(ensemble.sent, 3);
}
END_TEST

START_TEST(what_was_never_ours_exists)
{
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_file;
	make_directory(-EEXIST);
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_file;
	make_file("ours", -EEXIST);
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_file;
	make_file("", -EEXIST);
	check_text("theirs");
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_directory;
	make_file("", -EEXIST);
}
END_TEST

/* It is known not to have been made when it is sent again, and the answer to that says who was first. */
START_TEST(what_others_make_since_it_got_lost_exists)
{
	ensemble.faster = others_make_directory;
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	make_directory(-EEXIST);
	ck_assert_int_eq(ensemble.sent, 2);
	ensemble.faster = others_remove;
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	ck_assert_int_eq(cache_remove(&cache, "/n", ensemble.stat.czxid, ensemble.stat.version, ended, NULL), 0);
	check_end(0); /* it is gone, as was asked for */
}
END_TEST

START_TEST(making_that_cannot_be_looked_for_is_unknown)
{
	ensemble.fate[0] = LOST;
	ensemble.read_error = -ETIMEDOUT;
	make_directory(-EIO);
	ensemble.read_error = 0;
	ensemble.fate[0] = LOST;
	ensemble.fence_error = -ETIMEDOUT; /* what is read may be older */
	make_directory(-EIO);
	ck_assert_int_eq(ensemble.sent, 2);
}
END_TEST

/* --- Removing --- */

static void take_away(int error)
{
	ck_assert_int_eq(cache_remove(&cache, "/n", ensemble.stat.czxid, ensemble.stat.version, ended, NULL), 0);
	check_end(error);
}

START_TEST(removal_that_got_lost_is_looked_for)
{
	others_make("x");
	ensemble.fate[0] = LOST_BUT_MADE;
	take_away(0);
	ck_assert_int_eq(ensemble.sent, 1);
	others_make("x");
	ensemble.fate[0] = LOST;
	take_away(0);
	ck_assert_int_eq(ensemble.sent, 3);
	check_text(NULL);
	take_away(-ENOENT);
}
END_TEST

START_TEST(what_was_made_since_is_not_removed)
{
	others_make("x");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_anew;
	take_away(0);
	check_text("anew");
	ck_assert_int_eq(ensemble.sent, 1);
}
END_TEST

/* --- Changing --- */

static int composed;

/* Appends "+". */
static int compose(const struct node_info *old, struct buf *out, void *arg)
{
	(void)arg;
	composed++;
	if (old->data)
		(void)buf_append(out, old->data->data, old->data->size);
	(void)buf_append(out, "+", 1);
	return 0;
}

static int compose_nothing(const struct node_info *old, struct buf *out, void *arg)
{
	(void)old;
	(void)out;
	(void)arg;
	composed++;
	return 0;
}

static int compose_whole(const struct node_info *old, struct buf *out, void *arg)
{
	(void)old;
	(void)arg;
	composed++;
	(void)buf_append(out, "whole", 5);
	return 0;
}

static void updated(int error, const struct node_stat *stat, struct bytes *data, void *arg)
{
	ended(error, stat, arg);
	ck_assert_int_eq(data == NULL, error != 0);
	if (data)
		memcpy(end.data, data->data, data->size);
}

static void update_as(struct cache_edit edit, int error, const char *left)
{
	edit.done = updated;
	if (!edit.compose)
		edit.compose = compose;
	composed = 0;
	ck_assert_int_eq(cache_update(&cache, "/n", &edit), 0);
	if (!error)
		ck_assert_str_eq(end.data, left);
	check_end(error);
	check_text(left);
}

static void update(int error, const char *left)
{
	update_as((struct cache_edit){ 0 }, error, left);
}

static void others_write_once(void)
{
	others_write("theirs");
}

static void others_write_twice(void)
{
	others_write("theirs");
	others_write("more");
}

static void others_write_the_same(void)
{
	others_write("theirs");
	others_write("whole");
}

START_TEST(contents_are_changed)
{
	update(-ENOENT, NULL);
	others_make("a");
	update(0, "a+");
	ck_assert_int_eq(ensemble.last.version, 0);
	update_as((struct cache_edit){ .is_whole = true, .compose = compose_whole }, 0, "whole");
	ck_assert_int_eq(ensemble.last.version, -1);
	update_as((struct cache_edit){ .czxid = 7 }, -ESTALE, "whole");
	others_remove();
	update_as((struct cache_edit){ .may_create = true }, 0, "+");
}
END_TEST

START_TEST(change_that_was_made_is_found)
{
	others_make("a");
	ensemble.fate[0] = LOST_BUT_MADE;
	update(0, "a+");
	ck_assert_int_eq(composed, 1);
	ck_assert_int_eq(ensemble.sent, 1);
}
END_TEST

START_TEST(change_that_was_not_made_is_sent_again)
{
	others_make("a");
	ensemble.fate[0] = ensemble.fate[1] = LOST;
	update(0, "a+");
	ck_assert_int_eq(composed, 1);
	ck_assert_int_eq(ensemble.sent, 3);
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = LOST_BUT_MADE;
	update(0, "a++");
	ck_assert_int_eq(composed, 1);
	ck_assert_int_eq(ensemble.made, 2);
}
END_TEST

/* So that a first one that comes through after all shows as such. */
START_TEST(whole_contents_are_sent_again_under_a_version_check)
{
	others_make("a");
	ensemble.fate[0] = LOST;
	update_as((struct cache_edit){ .is_whole = true, .compose = compose_whole }, 0, "whole");
	ck_assert_int_eq(ensemble.last.version, 0);
}
END_TEST

START_TEST(change_that_others_forestalled_is_composed_again)
{
	others_make("a");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_write_once;
	update(0, "theirs+");
	ck_assert_int_eq(composed, 2);
	ck_assert_int_eq(ensemble.made, 1);
}
END_TEST

START_TEST(change_that_others_overtake_is_composed_again)
{
	others_make("a");
	ensemble.fate[0] = ensemble.fate[1] = OVERTAKEN;
	update(0, "twice+");
	ck_assert_int_eq(composed, 3);
	others_remove();
	ensemble.fate[0] = OVERTAKEN;
	update_as((struct cache_edit){ .may_create = true }, 0, "faster+");
	/* Also after one that got lost, and that is known not to have been made. */
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	ensemble.meanwhile = others_write_once;
	update(0, "twice+");
	ck_assert_int_eq(composed, 3);
}
END_TEST

static void others_append_the_same(void)
{
	others_write("a+");
}

/* One that got lost, is known not to have been made, and that others overtake when it is sent again. */
START_TEST(change_that_is_sent_again_and_overtaken_is_composed_again)
{
	others_make("a");
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN; /* by two at once */
	update(0, "twice+");
	ck_assert_int_eq(composed, 2);
	others_remove();
	others_make("a");
	ensemble.faster = others_append_the_same;
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	update(0, "a++");
	ensemble.faster = NULL;
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	update_as((struct cache_edit){ .is_whole = true, .compose = compose_whole }, 0, "whole");
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = OVERTAKEN;
	update_as((struct cache_edit){ .may_create = true }, 0, "faster+");
}
END_TEST

START_TEST(change_below_those_of_others_is_unknown)
{
	others_make("a");
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.meanwhile = others_write_once;
	update(-EIO, "theirs");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_write_twice;
	update(-EIO, "more");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_anew;
	update(-EIO, "anew");
	ck_assert_int_eq(ensemble.sent, 3);
}
END_TEST

/* Whoever made them so: they are what they were to be. */
START_TEST(whole_contents_that_are_there_are_well)
{
	others_make("a");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_write_the_same;
	update_as((struct cache_edit){ .is_whole = true, .compose = compose_whole }, 0, "whole");
	ck_assert_int_eq(ensemble.sent, 1);
}
END_TEST

START_TEST(change_of_what_is_gone_since)
{
	struct cache_edit edit = { 0 };

	others_make("a");
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_remove;
	update(-ENOENT, NULL);
	others_make("a");
	edit.czxid = ensemble.stat.czxid;
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_anew;
	update_as(edit, -ESTALE, "anew");
}
END_TEST

START_TEST(birth_that_got_lost_is_looked_for)
{
	static const struct cache_edit edit = { .may_create = true };

	ensemble.fate[0] = LOST_BUT_MADE;
	update_as(edit, 0, "+");
	ck_assert_int_eq(ensemble.sent, 1);
	others_remove();
	ensemble.fate[0] = LOST;
	update_as(edit, 0, "+");
	ck_assert_int_eq(ensemble.sent, 3);
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_file;
	update_as(edit, 0, "theirs+");
	ck_assert_int_eq(ensemble.sent, 5);
	others_remove();
	ensemble.fate[0] = LOST;
	ensemble.meanwhile = others_make_directory; /* an empty file of ours would not be of version 0 */
	update_as((struct cache_edit){ .may_create = true, .compose = compose_nothing }, 0, "");
	ck_assert_int_eq(composed, 2);
}
END_TEST

START_TEST(change_that_cannot_be_looked_for_is_unknown)
{
	others_make("a");
	ensemble.fate[0] = LOST;
	ensemble.fence_error = -ETIMEDOUT;
	update(-EIO, "a");
	ck_assert_int_eq(ensemble.sent, 1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("change");
	TCase *tcase = tcase_create("change");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, node_is_made);
	tcase_add_test(tcase, making_that_got_lost_is_sent_again);
	tcase_add_test(tcase, whose_it_is_is_not_known);
	tcase_add_test(tcase, what_was_never_ours_exists);
	tcase_add_test(tcase, what_others_make_since_it_got_lost_exists);
	tcase_add_test(tcase, making_that_cannot_be_looked_for_is_unknown);
	tcase_add_test(tcase, removal_that_got_lost_is_looked_for);
	tcase_add_test(tcase, what_was_made_since_is_not_removed);
	tcase_add_test(tcase, contents_are_changed);
	tcase_add_test(tcase, change_that_was_made_is_found);
	tcase_add_test(tcase, change_that_was_not_made_is_sent_again);
	tcase_add_test(tcase, whole_contents_are_sent_again_under_a_version_check);
	tcase_add_test(tcase, change_that_others_forestalled_is_composed_again);
	tcase_add_test(tcase, change_that_others_overtake_is_composed_again);
	tcase_add_test(tcase, change_that_is_sent_again_and_overtaken_is_composed_again);
	tcase_add_test(tcase, change_below_those_of_others_is_unknown);
	tcase_add_test(tcase, whole_contents_that_are_there_are_well);
	tcase_add_test(tcase, change_of_what_is_gone_since);
	tcase_add_test(tcase, birth_that_got_lost_is_looked_for);
	tcase_add_test(tcase, change_that_cannot_be_looked_for_is_unknown);
	suite_add_tcase(suite, tcase);
	return suite;
}
