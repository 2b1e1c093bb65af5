/* Ephemeral and sequential znodes, and whose is what when replies get lost. In place of the writer, the stream and the reading stands one
 * directory in memory, "/q", whose transactions can get lost, before they were made or after, and whose replies can be late. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "cache/util/clock.h"
#include "tests/unit/unit.h"

/* --- The ensemble --- */

enum { CHILDREN_MAX = 32, LATE_MAX = 8, OURS = 0x11, THEIRS = 0x22 };

enum fate { ARRIVES, LOST, LOST_BUT_MADE };

struct late {
	struct write_result result;
	write_cb *done;
	void *arg;
	char path[64];
};

static struct {
	struct {
		char name[64];
		struct node_stat stat;
	} children[CHILDREN_MAX];
	int count;
	int32_t births;
	int64_t zxid, session, now;

	enum fate fate[8]; /* of the creations to come */
	bool is_late;	   /* their replies wait */
	struct late late[LATE_MAX];
	int late_count;
	int look_errors; /* so many looks fail */
	int look_ms;	 /* a look takes so long */
	int update_error;

	int sent, looks, removed, filled;
} ensemble;

static int find(const char *name)
{
	for (int i = 0; i < ensemble.count; i++) {
		if (strcmp(ensemble.children[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* Gives its place. */
static int born(const char *beginning, bool is_sequential, int64_t owner)
{
	int place = ensemble.count++;
	int32_t number = ensemble.births++;

	ck_assert_int_lt(place, CHILDREN_MAX);
	(void)snprintf(ensemble.children[place].name, sizeof(ensemble.children[place].name),
		is_sequential ? "%s%010d" : "%s", beginning, number);
	ensemble.zxid++;
	ensemble.children[place].stat =
		(struct node_stat){ .czxid = ensemble.zxid, .mzxid = ensemble.zxid, .ephemeral_owner = owner };
	return place;
}

static void dies(int place)
{
	ensemble.zxid++;
	ensemble.children[place] = ensemble.children[--ensemble.count];
}

static void answer(const struct late *late)
{
	struct write_result result = late->result;
	const char *const made[] = { late->path };

	result.made = result.error ? NULL : made;
	late->done(&result, late->arg);
}

static void let_answers_come(void)
{
	ensemble.is_late = false;
	for (int i = 0; i < ensemble.late_count; i++)
		answer(&ensemble.late[i]);
	ensemble.late_count = 0;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	struct late late = { .done = done, .arg = arg };
	enum fate fate = ensemble.fate[0];
	bool is_sequential = steps[0].is_sequential;
	bool is_ephemeral = steps[0].mode == WRITE_EPHEMERAL;

	(void)writer;
	ck_assert_int_eq(count, 1);
	if (steps[0].verb == WRITE_CHECK) { /* the session's next connection */
		answer(&late);
		return 0;
	}
	ck_assert_int_eq(steps[0].verb, WRITE_CREATE);
	memmove(ensemble.fate, ensemble.fate + 1, sizeof(ensemble.fate) - sizeof(ensemble.fate[0]));
	ensemble.sent++;
	if (!is_sequential && find(steps[0].path + strlen("/q/")) >= 0) {
		late.result.error = -EEXIST;
	} else if (fate != LOST) {
		int place = born(steps[0].path + strlen("/q/"), is_sequential, is_ephemeral ? ensemble.session : 0);

		late.result.stat = ensemble.children[place].stat;
		late.result.zxid = ensemble.zxid;
		(void)snprintf(late.path, sizeof(late.path), "/q/%s", ensemble.children[place].name);
	}
	if (fate != ARRIVES)
		late.result = (struct write_result){ .error = -ETIMEDOUT, .is_unknown = true };
	if (ensemble.is_late)
		ensemble.late[ensemble.late_count++] = late;
	else
		answer(&late);
	return 0;
}

int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg)
{
	(void)stream;
	(void)zxid;
	(void)haste;
	done(0, arg);
	return 0;
}

struct stream_mark stream_mark(struct stream *stream)
{
	(void)stream;
	return (struct stream_mark){ .passed = ensemble.zxid };
}

void stream_probe(struct stream *stream)
{
	(void)stream;
}

int64_t clock_now(void)
{
	return ensemble.now;
}

static struct node_stat parent_stat(void)
{
	return (struct node_stat){ .cversion = 2 * ensemble.births - ensemble.count, .num_children = ensemble.count };
}

int cache_read(struct cache *cache, const char *path, cache_node_cb *done, void *arg)
{
	struct node_info info = { 0 };
	int place;

	(void)cache;
	if (strcmp(path, "/q") == 0) {
		info.stat = parent_stat();
		done(0, &info, arg);
		return 0;
	}
	ensemble.looks++;
	place = find(path + strlen("/q/"));
	if (ensemble.look_errors > 0) {
		ensemble.now += ensemble.look_ms;
		ensemble.look_errors--;
		done(-ETIMEDOUT, NULL, arg);
	} else if (place < 0) {
		done(-ENOENT, NULL, arg);
	} else {
		info.stat = ensemble.children[place].stat;
		done(0, &info, arg);
	}
	return 0;
}

int cache_list(struct cache *cache, const char *path, cache_children_cb *done, void *arg)
{
	struct cache_children *children;

	(void)cache;
	ck_assert_str_eq(path, "/q");
	ensemble.looks++;
	if (ensemble.look_errors > 0) {
		ensemble.now += ensemble.look_ms;
		ensemble.look_errors--;
		done(-ETIMEDOUT, NULL, arg);
		return 0;
	}
	children = calloc(1, sizeof(*children) + CHILDREN_MAX * sizeof(children->list[0]));
	children->stat = parent_stat();
	children->count = (size_t)ensemble.count;
	for (int i = 0; i < ensemble.count; i++)
		children->list[i] =
			(struct cache_child){ .name = ensemble.children[i].name, .stat = ensemble.children[i].stat };
	done(0, children, arg);
	free(children);
	return 0;
}

int cache_update(struct cache *cache, const char *path, const struct cache_edit *edit)
{
	int place = find(path + strlen("/q/"));
	struct node_info info = { 0 };
	struct buf out = BUF_INIT;

	(void)cache;
	if (ensemble.update_error) {
		edit->done(ensemble.update_error, NULL, NULL, edit->arg);
		return 0;
	}
	ck_assert_int_ge(place, 0);
	info.stat = ensemble.children[place].stat;
	ck_assert_int_eq(edit->czxid, info.stat.czxid);
	if (edit->compose(&info, &out, edit->arg) == 0) {
		ck_assert_uint_eq(out.size, 0);
		info.stat.version++;
		ensemble.children[place].stat = info.stat;
		ensemble.filled++;
	}
	edit->done(0, &info.stat, NULL, edit->arg);
	return 0;
}

int cache_remove(struct cache *cache, const char *path, int64_t czxid, int32_t version, cache_done_cb *done, void *arg)
{
	int place = find(path + strlen("/q/"));

	(void)cache;
	ck_assert_int_eq(version, -1);
	ck_assert_int_ge(place, 0);
	ck_assert_int_eq(ensemble.children[place].stat.czxid, czxid);
	dies(place);
	ensemble.removed++;
	done(0, NULL, arg);
	return 0;
}

int64_t cache_session_id(struct cache *cache)
{
	(void)cache;
	return ensemble.session;
}

/* --- The cache --- */

static struct cache cache;
static char told[256];

static void on_foreign(enum cache_change change, const char *path, void *arg)
{
	(void)arg;
	(void)strncat(told,
		change == CACHE_DELETED ? "-"
			: change == CACHE_CHANGED
			? "!"
			: "+",
		sizeof(told) - strlen(told) - 1);
	(void)strncat(told, path + strlen("/q/"), sizeof(told) - strlen(told) - 1);
	(void)strncat(told, " ", sizeof(told) - strlen(told) - 1);
}

static void check_told(const char *expected)
{
	ck_assert_str_eq(told, expected);
	told[0] = '\0';
}

static void own_foreign(enum wire_event_type type, const char *path, void *arg)
{
	(void)type;
	(void)path;
	(void)arg;
}

static void setup(void)
{
	cache = (struct cache){ .timeout = 60000,
		.tree = tree_new(1 << 20, 0),
		.own = own_new(1, own_foreign, NULL),
		.makings = makings_new(),
		.foreign = on_foreign };
	memset(&ensemble, 0, sizeof(ensemble));
	ensemble.session = OURS;
	ensemble.births = 5;
	ensemble.zxid = 100;
	told[0] = '\0';
}

static void teardown(void)
{
	makings_free(cache.makings);
	own_free(cache.own);
	tree_free(cache.tree);
}

/* How a making ended. */
struct end {
	int times, error;
	char name[64];
	struct node_stat stat;
};

static void ended(int error, const char *path, const struct node_stat *stat, void *arg)
{
	struct end *end = arg;

	end->times++;
	end->error = error;
	ck_assert_int_eq(path == NULL, error != 0);
	ck_assert_int_eq(stat == NULL, error != 0);
	if (!error) {
		(void)snprintf(end->name, sizeof(end->name), "%s", path + strlen("/q/"));
		end->stat = *stat;
	}
}

enum kind { EPHEMERAL = 1, SEQUENTIAL = 2 };

static void begin(const char *path, int kind, struct end *end)
{
	const struct cache_making what = { .path = path,
		.is_ephemeral = kind & EPHEMERAL,
		.is_sequential = kind & SEQUENTIAL,
		.done = ended,
		.arg = end };

	memset(end, 0, sizeof(*end));
	ck_assert_int_eq(cache_make(&cache, &what), 0);
}

static void check_end(const struct end *end, int error, const char *name)
{
	ck_assert_int_eq(end->times, 1);
	ck_assert_msg(end->error == error, "%d, not %d", end->error, error);
	if (name) {
		ck_assert_str_eq(end->name, name);
		ck_assert_int_ge(find(name), 0);
		ck_assert_int_eq(end->stat.czxid, ensemble.children[find(name)].stat.czxid);
	}
}

static void make(const char *path, int kind, int error, const char *name)
{
	struct end end;

	begin(path, kind, &end);
	check_end(&end, error, name);
}

/* --- Tests --- */

START_TEST(znodes_are_made)
{
	make("/q/e", EPHEMERAL, 0, "e");
	make("/q/e", EPHEMERAL, -EEXIST, NULL);
	make("/q/item-", EPHEMERAL | SEQUENTIAL, 0, "item-0000000006");
	ck_assert_int_eq(ensemble.children[1].stat.ephemeral_owner, OURS);
	ck_assert_int_eq(ensemble.filled, 0);
	make("/q/item-", SEQUENTIAL, 0, "item-0000000007");
	ck_assert_int_eq(ensemble.filled, 1); /* an empty one is a file by its version alone */
	ck_assert_int_eq(ensemble.children[2].stat.version, 1);
	ck_assert_int_eq(ensemble.looks, 0);
}
END_TEST

START_TEST(ephemeral_is_found_again)
{
	ensemble.fate[0] = LOST_BUT_MADE;
	make("/q/item-", EPHEMERAL | SEQUENTIAL, 0, "item-0000000005");
	ensemble.fate[0] = LOST_BUT_MADE;
	make("/q/e", EPHEMERAL, 0, "e");
	ck_assert_int_eq(ensemble.sent, 2);
	ck_assert_int_eq(ensemble.count, 2);
}
END_TEST

START_TEST(what_was_not_made_is_sent_again)
{
	ensemble.fate[0] = ensemble.fate[1] = LOST;
	make("/q/item-", EPHEMERAL | SEQUENTIAL, 0, "item-0000000005");
	ensemble.fate[0] = LOST;
	make("/q/e", EPHEMERAL, 0, "e");
	ensemble.fate[0] = LOST;
	make("/q/item-", SEQUENTIAL, 0, "item-0000000007");
	ck_assert_int_eq(ensemble.count, 3);
	ensemble.fate[0] = LOST;
	ensemble.fate[1] = LOST_BUT_MADE;
	make("/q/item-", EPHEMERAL | SEQUENTIAL, 0, "item-0000000008");
	ck_assert_int_eq(ensemble.count, 4);
}
END_TEST

/* Older ones of ours, others', other names, and what only looks like a number. */
START_TEST(what_is_not_ours_is_not_taken)
{
	struct end end;

	make("/q/item-", EPHEMERAL | SEQUENTIAL, 0, "item-0000000005");
	ensemble.is_late = true;
	ensemble.fate[0] = LOST;
	begin("/q/item-", EPHEMERAL | SEQUENTIAL, &end);
	(void)born("item-", true, THEIRS);
	(void)born("item-", true, 0);
	(void)born("other-", true, OURS);
	(void)born("item-000000009x", false, OURS);
	(void)born("item-00000000099", false, OURS);
	(void)born("item-", false, OURS);
	let_answers_come();
	check_end(&end, 0, "item-0000000012");
	ensemble.is_late = true;
	ensemble.fate[0] = LOST;
	begin("/q/e", EPHEMERAL, &end);
	(void)born("e", false, THEIRS);
	let_answers_come();
	check_end(&end, -EEXIST, NULL);
}
END_TEST

START_TEST(ephemerals_of_an_expired_session_are_nobodys)
{
	struct end end;

	ensemble.is_late = true;
	ensemble.fate[0] = LOST_BUT_MADE;
	begin("/q/item-", EPHEMERAL | SEQUENTIAL, &end);
	dies(0); /* with the session */
	ensemble.session = OURS + 1;
	let_answers_come();
	check_end(&end, 0, "item-0000000006");
	ck_assert_int_eq(end.stat.ephemeral_owner, OURS + 1);
	ck_assert_int_eq(ensemble.count, 1);
}
END_TEST

static int is_taken_by(const struct end *ends, int count, const char *name)
{
	int times = 0;

	for (int i = 0; i < count; i++)
		times += ends[i].error == 0 && strcmp(ends[i].name, name) == 0 ? 1 : 0;
	return times;
}

/* Several at once, of which any may get lost in either way: each gets one of its own. */
START_TEST(each_gets_its_own)
{
	enum { MAKERS = 4 };
	struct end ends[MAKERS];
	int fates = _i;

	ensemble.is_late = true;
	for (int i = 0; i < MAKERS; i++) {
		ensemble.fate[0] = (enum fate)(fates % 3);
		fates /= 3;
		begin("/q/item-", EPHEMERAL | SEQUENTIAL, &ends[i]);
	}
	let_answers_come();
	ck_assert_int_eq(ensemble.count, MAKERS);
	for (int i = 0; i < MAKERS; i++) {
		check_end(&ends[i], 0, ends[i].name);
		ck_assert_int_eq(is_taken_by(ends, MAKERS, ensemble.children[i].name), 1);
	}
}
END_TEST

/* The same of persistent ones: nothing is made twice, and each is somebody's, unless somebody was told EIO. */
START_TEST(nothing_persistent_is_doubled)
{
	enum { MAKERS = 4 };
	struct end ends[MAKERS];
	int fates = _i, made = 0, failed = 0;

	ensemble.is_late = true;
	for (int i = 0; i < MAKERS; i++) {
		ensemble.fate[0] = (enum fate)(fates % 3);
		fates /= 3;
		begin("/q/item-", SEQUENTIAL, &ends[i]);
	}
	let_answers_come();
	for (int i = 0; i < MAKERS; i++) {
		ck_assert_int_eq(ends[i].times, 1);
		ck_assert(ends[i].error == 0 || ends[i].error == -EIO);
		failed += ends[i].error ? 1 : 0;
		made += ends[i].error ? 0 : is_taken_by(ends, MAKERS, ends[i].name);
	}
	ck_assert_int_eq(made, MAKERS - failed);
	ck_assert_int_le(ensemble.count, MAKERS);
}
END_TEST

START_TEST(persistent_in_doubt)
{
	struct end end, other;

	ensemble.fate[0] = LOST_BUT_MADE;
	make("/q/item-", SEQUENTIAL, -EIO, NULL);
	ck_assert_int_eq(ensemble.sent, 1);

	/* Another of ours is accounted for. */
	ensemble.is_late = true;
	ensemble.fate[0] = LOST;
	begin("/q/item-", SEQUENTIAL, &end);
	begin("/q/item-", SEQUENTIAL, &other);
	answer(&ensemble.late[1]);
	check_end(&other, 0, "item-0000000006");
	ensemble.late_count = 1;
	let_answers_come();
	check_end(&end, 0, "item-0000000007");

	/* Somebody has made something, even if it is gone. */
	ensemble.is_late = true;
	ensemble.fate[0] = LOST;
	begin("/q/item-", SEQUENTIAL, &end);
	dies(born("item-", true, 0));
	let_answers_come();
	check_end(&end, -EIO, NULL);
}
END_TEST

/* Who waited is told when the time is up; what was made goes when it is found. */
START_TEST(what_nobody_waits_for_is_removed)
{
	int kind = _i ? EPHEMERAL | SEQUENTIAL : EPHEMERAL;

	ensemble.look_ms = cache.timeout;
	ensemble.fate[0] = LOST_BUT_MADE;
	ensemble.look_errors = 3;
	make("/q/item-", kind, -EIO, NULL);
	ck_assert_int_eq(ensemble.looks, 4);
	ck_assert_int_eq(ensemble.removed, 1);
	ck_assert_int_eq(ensemble.count, 0);
	ensemble.fate[0] = LOST;
	ensemble.look_errors = 3;
	make("/q/item-", kind, -EIO, NULL);
	ck_assert_int_eq(ensemble.count, 0);
}
END_TEST

START_TEST(one_that_cannot_become_a_file_is_removed)
{
	ensemble.update_error = -EACCES;
	make("/q/item-", SEQUENTIAL, -EACCES, NULL);
	ck_assert_int_eq(ensemble.removed, 1);
	ensemble.update_error = -ENOENT; /* taken by somebody by then */
	make("/q/item-", SEQUENTIAL, 0, NULL);
}
END_TEST

START_TEST(births_are_told_when_they_are_complete)
{
	struct end end, later;

	makings_tell(&cache, CACHE_CREATED, "/q/item-0000000004");
	check_told("+item-0000000004 ");
	ensemble.is_late = true;
	begin("/q/item-", SEQUENTIAL, &end);
	makings_tell(&cache, CACHE_CREATED, "/q/item-0000000005");
	makings_tell(&cache, CACHE_CREATED, "/q/item-0000000006"); /* another's, which cannot be known yet */
	check_told("");
	makings_tell(&cache, CACHE_DELETED, "/q/item-0000000004");
	makings_tell(&cache, CACHE_CREATED, "/q/item-x");
	check_told("-item-0000000004 +item-x ");
	makings_tell(&cache, CACHE_CHANGED, "/q/item-0000000006"); /* in order */
	makings_tell(&cache, CACHE_DELETED, "/q/item-0000000006");
	begin("/q/item-", SEQUENTIAL, &later); /* too late to be their maker, */
	makings_tell(&cache, CACHE_CREATED, "/q/item-0000000007");
	check_told("");
	answer(&ensemble.late[0]);
	check_end(&end, 0, "item-0000000005");
	check_told("+item-0000000005 +item-0000000006 !item-0000000006 -item-0000000006 ");
	answer(&ensemble.late[1]); /* but not of this */
	check_told("+item-0000000007 ");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("make");
	TCase *tests = tcase_create("make");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, znodes_are_made);
	tcase_add_test(tests, ephemeral_is_found_again);
	tcase_add_test(tests, what_was_not_made_is_sent_again);
	tcase_add_test(tests, what_is_not_ours_is_not_taken);
	tcase_add_test(tests, ephemerals_of_an_expired_session_are_nobodys);
	tcase_add_loop_test(tests, each_gets_its_own, 0, 81);
	tcase_add_loop_test(tests, nothing_persistent_is_doubled, 0, 81);
	tcase_add_test(tests, persistent_in_doubt);
	tcase_add_loop_test(tests, what_nobody_waits_for_is_removed, 0, 2);
	tcase_add_test(tests, one_that_cannot_become_a_file_is_removed);
	tcase_add_test(tests, births_are_told_when_they_are_complete);
	suite_add_tcase(suite, tests);
	return suite;
}
