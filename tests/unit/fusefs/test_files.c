#include "fusefs/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/util/clock.h"
#include "fusefs/inode.h"
#include "tests/fake/cache.h"
#include "tests/unit/unit.h"

enum { MAX_DATA = 1000, INODE = 77, OWNER = 1 };

static struct cache *cache;
static struct inodes *inodes;
static struct files *files;

static void setup(void)
{
	cache = fake_cache_new();
	inodes = inodes_new(true);
	files = files_new(cache, inodes, MAX_DATA);
	fake_cache_create(cache, "/f", "hello");
}

static void teardown(void)
{
	ck_assert_int_le(fake_cache_counts(cache).most_for_one, 1);
	files_stop(files);
	files_free(files);
	inodes_free(inodes);
	fake_cache_free(cache);
}

static struct file *open_as(enum inode_type type, int flags)
{
	struct inode_view view = { .number = INODE, .type = type, .kind = KIND_FILE };
	struct node_info info;
	struct file *file;

	ck_assert(fake_cache_look(cache, "/f", &info));
	view.czxid = info.stat.czxid;
	view.path = strdup("/f");
	file = file_open(files, &view, &info, flags);
	ck_assert_ptr_nonnull(file);
	inode_view_release(&view);
	node_info_release(&info);
	return file;
}

static struct file *open_file(int flags)
{
	return open_as(INODE_NODE, flags);
}

static void check_text(const struct bytes *bytes, const char *text)
{
	ck_assert_ptr_nonnull(bytes);
	ck_assert_msg(bytes->size == strlen(text) && memcmp(bytes->data, text, bytes->size) == 0, "'%.*s', not '%s'",
		(int)bytes->size, bytes->data, text);
}

/* What the ensemble holds. */
static void check_stored(const char *text)
{
	struct node_info info;

	ck_assert(fake_cache_look(cache, "/f", &info));
	check_text(info.data, text);
	node_info_release(&info);
}

/* What a reader of the file sees, in whole and in part. */
static void check_read(struct file *file, const char *text)
{
	size_t size = strlen(text);
	char got[MAX_DATA + 1];

	ck_assert_uint_eq(file_read(file, 0, got, sizeof(got)), size);
	ck_assert_msg(memcmp(got, text, size) == 0, "'%.*s', not '%s'", (int)size, got, text);
	ck_assert_uint_eq(file_read(file, size, got, 1), 0);
	if (size > 1) {
		ck_assert_uint_eq(file_read(file, 1, got, 1), 1);
		ck_assert_int_eq(got[0], text[1]);
	}
}

static void renew(struct file *file, size_t offset)
{
	struct node_info info;

	ck_assert(fake_cache_look(cache, "/f", &info));
	file_renew(file, offset, &info);
	node_info_release(&info);
}

static void write_text(struct file *file, size_t offset, const char *text)
{
	ck_assert_int_eq(file_write(file, OWNER, offset, false, text, strlen(text)), 0);
}

static void append_text(struct file *file, const char *text)
{
	ck_assert_int_eq(file_write(file, OWNER, 0, true, text, strlen(text)), 0);
}

/* One who waits for a save. */
struct told {
	atomic_int times;
	int error;
};

static void tell(int error, void *arg)
{
	struct told *told = arg;

	told->error = error;
	atomic_fetch_add(&told->times, 1);
}

static void save(struct file *file, bool keep, int error)
{
	struct told told = { .error = 1 };

	file_save(file, keep, tell, &told);
	ck_assert_int_eq(told.times, 1);
	ck_assert_int_eq(told.error, error);
}

static void check_told(const struct told *told, int times, int error)
{
	ck_assert_int_eq(told->times, times);
	if (times)
		ck_assert_int_eq(told->error, error);
}

static void finish(void)
{
	while (fake_cache_step(cache))
		;
}

/* --- Reading --- */

START_TEST(last_of_a_held_inode_lets_go)
{
	struct file *plain = open_file(O_RDONLY); /* opened before it was held, */
	struct file *first = open_file(O_RDWR);
	struct file *second;

	ck_assert(!file_lets_go(plain)); /* it does not count */
	file_hold(first);
	second = open_file(O_RDONLY);
	ck_assert(!file_lets_go(first));
	file_put(first);
	ck_assert(file_lets_go(second));
	first = open_file(O_RDONLY); /* comes too late */
	ck_assert(!file_lets_go(first));
	file_put(second);
	file_put(first);
	file_put(plain);
}
END_TEST

START_TEST(knows_what_was_saved_last)
{
	struct file *reader = open_file(O_RDONLY), *file = open_file(O_RDWR);
	struct bytes *saved;

	write_text(file, 0, "J");
	saved = files_saved(files, INODE);
	check_text(saved, "hello");
	bytes_put(saved);
	save(file, true, 0);
	write_text(file, 0, "K");
	saved = files_saved(files, INODE);
	check_text(saved, "Jello");
	bytes_put(saved);
	ck_assert_ptr_null(files_saved(files, INODE + 1));
	ck_assert(!fake_cache_counts(cache).last.is_told);
	file_tell_all(file);
	save(file, true, 0);
	ck_assert(fake_cache_counts(cache).last.is_told);
	file_put(reader);
	file_put(file);
}
END_TEST

START_TEST(reads_what_it_was_opened_with)
{
	struct file *file = open_file(O_RDONLY);
	struct bytes *contents;

	fake_cache_set(cache, "/f", "other");
	check_read(file, "hello");
	contents = file_contents(file);
	check_text(contents, "hello");
	bytes_put(contents);
	ck_assert_str_eq(file_path(file), "/f");
	file_put(file);
}
END_TEST

START_TEST(truncating_open_is_unsaved)
{
	struct file *file = open_file(O_WRONLY | O_TRUNC);
	size_t size = 1;

	check_read(file, "");
	ck_assert_ptr_null(file_contents(file));
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 0);
	check_stored("hello");
	save(file, false, 0);
	check_stored("");
	file_put(file);
}
END_TEST

/* A file whose contents the opener may not read. */
START_TEST(opens_without_contents)
{
	struct inode_view view = { .number = INODE, .kind = KIND_FILE, .path = strdup("/f") };
	struct node_info info = { .data_error = -EACCES };
	struct file *file = file_open(files, &view, &info, O_WRONLY);

	check_read(file, "");
	info.stat = (struct node_stat){ .mzxid = 1, .version = 1 };
	file_renew(file, 0, &info);
	check_read(file, "");
	file_put(file);
	inode_view_release(&view);
}
END_TEST

START_TEST(wants_newer_at_the_start_and_from_the_end_on)
{
	struct file *file = open_file(O_RDWR);

	ck_assert(file_wants_newer(file, 0));
	ck_assert(!file_wants_newer(file, 1));
	ck_assert(!file_wants_newer(file, 4));
	ck_assert(file_wants_newer(file, 5));
	ck_assert(file_wants_newer(file, 6));
	write_text(file, 0, "J");
	ck_assert(!file_wants_newer(file, 0));
	ck_assert(!file_wants_newer(file, 5));
	fake_cache_hold(cache, true);
	file_save(file, false, tell, &(struct told){ .error = 0 });
	ck_assert(!file_wants_newer(file, 0)); /* on its way */
	finish();
	ck_assert(file_wants_newer(file, 0));
	file_put(file);
}
END_TEST

START_TEST(renews_at_the_start)
{
	struct file *file = open_file(O_RDONLY);
	struct node_stat stat;

	fake_cache_set(cache, "/f", "a");
	renew(file, 3);
	check_read(file, "hello");
	renew(file, 0);
	check_read(file, "a");
	ck_assert(files_last_stat(files, INODE, &stat));
	ck_assert_int_eq(stat.version, 1);
	ck_assert_int_eq(stat.data_length, 1);
	file_put(file);
}
END_TEST

START_TEST(renews_further_on_only_what_was_appended_to)
{
	struct file *file = open_file(O_RDONLY);

	fake_cache_set(cache, "/f", "hello world");
	renew(file, 5);
	check_read(file, "hello world");
	fake_cache_set(cache, "/f", "HELLO world, and more");
	renew(file, 11);
	check_read(file, "hello world");
	fake_cache_set(cache, "/f", "hello");
	renew(file, 11);
	check_read(file, "hello world");
	fake_cache_set(cache, "/f", "hello world");
	renew(file, 11);
	check_read(file, "hello world");
	file_put(file);
}
END_TEST

START_TEST(does_not_renew_what_is_unsaved)
{
	struct told told = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	fake_cache_set(cache, "/f", "other");
	renew(file, 0);
	check_read(file, "Jello");
	fake_cache_hold(cache, true);
	file_save(file, false, tell, &told);
	renew(file, 0);
	check_read(file, "Jello");
	finish();
	check_told(&told, 1, 0);
	check_read(file, "Jther");
	file_put(file);
}
END_TEST

/* Two reads of one open file may be answered in the wrong order, or one that was asked before a save after it. */
START_TEST(does_not_renew_to_what_is_older)
{
	struct file *file = open_file(O_RDWR);
	struct node_info older;

	fake_cache_set(cache, "/f", "older");
	ck_assert(fake_cache_look(cache, "/f", &older));
	fake_cache_set(cache, "/f", "newer");
	renew(file, 0);
	file_renew(file, 0, &older);
	check_read(file, "newer");
	write_text(file, 0, "N");
	save(file, false, 0);
	file_renew(file, 0, &older);
	check_read(file, "Newer");
	node_info_release(&older);
	file_put(file);
}
END_TEST

START_TEST(removed_file_stays_readable)
{
	struct file *file = open_file(O_RDONLY);

	fake_cache_create(cache, "/f", "another");
	renew(file, 0);
	check_read(file, "hello");
	file_put(file);
}
END_TEST

/* Not an older reply either than what is known already, where the version says so: the same version changes nothing. */
START_TEST(same_version_renews_nothing)
{
	struct file *file = open_file(O_RDONLY);
	struct node_info info;

	ck_assert(fake_cache_look(cache, "/f", &info));
	bytes_put(info.data);
	info.data = bytes_new("XXXXX", 5);
	file_renew(file, 0, &info);
	check_read(file, "hello");
	node_info_release(&info);
	file_put(file);
}
END_TEST

/* --- Writing --- */

START_TEST(writes_over_what_it_reads)
{
	struct file *file = open_file(O_RDWR);

	write_text(file, 1, "E");
	check_read(file, "hEllo");
	append_text(file, " all");
	check_read(file, "hEllo all");
	ck_assert_int_eq(file_cut(file, 3), 0);
	check_read(file, "hEl");
	ck_assert_ptr_null(file_contents(file));
	check_stored("hello");
	file_put(file);
}
END_TEST

START_TEST(refuses_what_is_too_large)
{
	struct file *file = open_file(O_RDWR);
	static char much[MAX_DATA];

	memset(much, 'x', sizeof(much));
	ck_assert_int_eq(file_write(file, OWNER, MAX_DATA, false, "x", 1), -EFBIG);
	ck_assert_int_eq(file_write(file, OWNER, 1, false, much, MAX_DATA), -EFBIG);
	ck_assert_int_eq(file_write(file, OWNER, SIZE_MAX, false, "xx", 2), -EFBIG);
	ck_assert_int_eq(file_write(file, OWNER, 0, true, much, MAX_DATA - 4), -EFBIG);
	ck_assert_int_eq(file_cut(file, MAX_DATA + 1), -EFBIG);
	check_read(file, "hello");
	ck_assert(!files_unsaved_size(files, INODE, &(size_t){ 0 }));
	ck_assert_int_eq(file_write(file, OWNER, 0, true, much, MAX_DATA - 5), 0);
	ck_assert_int_eq(file_write(file, OWNER, 0, true, "x", 1), -EFBIG);
	ck_assert_int_eq(file_write(file, OWNER, MAX_DATA - 1, false, "y", 1), 0);
	ck_assert_int_eq(file_cut(file, MAX_DATA), 0);
	file_put(file);
}
END_TEST

START_TEST(lack_of_memory_leaves_what_was_written)
{
	struct file *file = open_file(O_RDWR);
	int err;

	unit_fail_allocation(1);
	err = file_write(file, OWNER, 0, false, "J", 1);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(err, -ENOMEM);
	check_read(file, "hello");
	save(file, true, -ENOMEM);
	check_stored("hello");
	file_put(file);
	file = open_file(O_RDWR);
	write_text(file, 0, "J");
	for (int number = 1; number <= 3; number++) { /* the saver, what was composed, the new base */
		struct told told = { .error = 1 };

		unit_fail_allocation(number);
		file_save(file, true, tell, &told);
		ck_assert(unit_end_failure());
		check_told(&told, 1, -ENOMEM);
		check_read(file, "Jello");
	}
	files_flush(files, 60000); /* counted them as ended */
	save(file, true, 0);
	check_stored("Jello");
	file_put(file);
}
END_TEST

START_TEST(lack_of_memory_opens_nothing)
{
	struct inode_view view = { .number = INODE, .kind = KIND_FILE, .path = strdup("/f") };
	const struct node_info info = { .changed = 0 };
	struct file *file = NULL;

	for (int number = 1; number <= 2; number++) { /* the file, its path */
		unit_fail_allocation(number);
		file = file_open(files, &view, &info, O_RDWR);
		ck_assert(unit_end_failure());
		ck_assert_ptr_null(file);
	}
	inode_view_release(&view);
}
END_TEST

/* --- Saving --- */

START_TEST(saves_once_what_was_written)
{
	struct file *file = open_file(O_RDWR);

	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 0);
	write_text(file, 0, "J");
	save(file, false, 0);
	check_stored("Jello");
	check_read(file, "Jello");
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 1);
	file_put(file);
}
END_TEST

START_TEST(are_saved_in_the_order_of_writing)
{
	struct file *first = open_file(O_RDWR);
	struct file *second = open_file(O_RDWR);
	struct file *third;

	write_text(first, 0, "HELL");
	append_text(second, " there");
	save(second, false, 0);
	check_stored("HELLo there");
	third = open_file(O_RDWR | O_TRUNC); /* before the next two are written to */
	write_text(third, 0, "new");
	write_text(first, 0, "0");
	append_text(second, "!");
	save(second, false, 0);
	check_stored("0ew!");
	save(first, false, 0); /* nothing is left to be saved */
	check_stored("0ew!");
	file_put(first);
	file_put(second);
	file_put(third);
}
END_TEST

START_TEST(replace_what_others_wrote)
{
	struct file *first = open_file(O_RDWR);
	struct file *whole = open_file(O_RDWR | O_TRUNC);

	write_text(first, 0, "HELL");
	write_text(whole, 0, "new");
	save(whole, false, 0);
	check_stored("new");
	ck_assert_int_eq(fake_cache_counts(cache).updates, 1);
	file_put(first);
	file_put(whole);
}
END_TEST

START_TEST(says_what_it_replaces)
{
	struct file *file = open_file(O_RDWR);
	struct file *data = open_as(INODE_DATA, O_RDWR);
	struct file *truncated;
	struct node_info info;

	ck_assert(fake_cache_look(cache, "/f", &info));
	write_text(file, 0, "J");
	save(file, false, 0);
	ck_assert(!fake_cache_counts(cache).last.is_whole);
	ck_assert(!fake_cache_counts(cache).last.is_directory);
	ck_assert_int_eq(fake_cache_counts(cache).last.czxid, info.stat.czxid);
	truncated = open_file(O_RDWR | O_TRUNC);
	write_text(truncated, 0, "new");
	save(truncated, false, 0);
	ck_assert(fake_cache_counts(cache).last.is_whole);
	check_stored("new");
	append_text(truncated, "er"); /* now it is as any other */
	save(truncated, false, 0);
	ck_assert(!fake_cache_counts(cache).last.is_whole);
	append_text(data, "x");
	save(data, false, 0);
	ck_assert(fake_cache_counts(cache).last.is_directory);
	node_info_release(&info);
	file_put(file);
	file_put(truncated);
	file_put(data);
}
END_TEST

START_TEST(writes_to_different_ranges_both_survive)
{
	struct file *one = open_file(O_RDWR);
	struct file *other = open_file(O_RDWR);

	write_text(one, 0, "H");
	write_text(other, 4, "O");
	save(one, false, 0);
	save(other, false, 0);
	check_stored("HellO");
	check_read(one, "Hello");
	check_read(other, "HellO");
	renew(one, 0);
	check_read(one, "HellO");
	file_put(one);
	file_put(other);
}
END_TEST

/* Somebody is faster between composing and writing, twice. */
START_TEST(composes_again_when_somebody_was_faster)
{
	struct told told = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	append_text(file, "+mine");
	file_save(file, false, tell, &told);
	ck_assert(fake_cache_step(cache));
	fake_cache_set(cache, "/f", "hello+first");
	ck_assert(fake_cache_step(cache));
	ck_assert(fake_cache_step(cache));
	fake_cache_set(cache, "/f", "hello+first+second");
	check_told(&told, 0, 0);
	check_read(file, "hello+mine");
	finish();
	check_told(&told, 1, 0);
	ck_assert_int_eq(fake_cache_counts(cache).composed, 3);
	check_stored("hello+first+second+mine");
	check_read(file, "hello+first+second+mine");
	file_put(file);
}
END_TEST

/* What is written while a save is under way lies over what it brings. */
START_TEST(writes_during_a_save_are_unsaved)
{
	struct told first = { .error = 1 };
	struct told second = { .error = 1 };
	struct file *file = open_file(O_RDWR);
	size_t size = 0;

	fake_cache_hold(cache, true);
	append_text(file, "1");
	file_save(file, false, tell, &first);
	ck_assert(fake_cache_step(cache));
	append_text(file, "2");
	check_read(file, "hello12");
	fake_cache_set(cache, "/f", "hello0");
	file_save(file, false, tell, &second);
	for (int steps = 0; steps < 3; steps++)
		ck_assert(fake_cache_step(cache));
	check_told(&first, 1, 0);
	check_told(&second, 0, 0);
	check_stored("hello01");
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 8);
	finish();
	check_told(&first, 1, 0);
	check_told(&second, 1, 0);
	check_stored("hello012");
	check_read(file, "hello012");
	ck_assert_int_eq(fake_cache_counts(cache).updates, 2);
	file_put(file);
}
END_TEST

START_TEST(one_save_serves_who_comes_meanwhile)
{
	struct told told[3] = { { .error = 1 }, { .error = 1 }, { .error = 1 } };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	write_text(file, 0, "J");
	for (int i = 0; i < 3; i++) {
		file_save(file, i == 1, tell, &told[i]);
		check_told(&told[i], 0, 0);
	}
	finish();
	for (int i = 0; i < 3; i++)
		check_told(&told[i], 1, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 1);
	file_put(file);
}
END_TEST

START_TEST(next_save_serves_all_who_wait_for_it)
{
	struct told told[4] = { { .error = 1 }, { .error = 1 }, { .error = 1 }, { .error = 1 } };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	append_text(file, "1");
	file_save(file, false, tell, &told[0]);
	for (int i = 1; i < 4; i++) {
		append_text(file, "x");
		file_save(file, false, tell, &told[i]);
	}
	finish();
	for (int i = 0; i < 4; i++)
		check_told(&told[i], 1, 0);
	check_stored("hello1xxx");
	ck_assert_int_eq(fake_cache_counts(cache).updates, 2);
	file_put(file);
}
END_TEST

START_TEST(failed_save_drops_what_nobody_keeps)
{
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	fake_cache_fail(cache, -EACCES);
	save(file, false, -EACCES);
	check_read(file, "hello");
	check_stored("hello");
	ck_assert(!files_unsaved_size(files, INODE, &(size_t){ 0 }));
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 1);
	file_put(file);
}
END_TEST

START_TEST(failed_save_keeps_for_another_try)
{
	struct file *file = open_file(O_RDWR);
	size_t size = 0;

	append_text(file, " world");
	fake_cache_fail(cache, -ETIMEDOUT);
	save(file, true, -ETIMEDOUT);
	check_read(file, "hello world");
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 11);
	fake_cache_refuse(cache, -ENOMEM);
	save(file, true, -ENOMEM);
	check_read(file, "hello world");
	save(file, false, 0);
	check_stored("hello world");
	file_put(file);
}
END_TEST

/* It may be there already. */
START_TEST(append_of_unknown_outcome_is_not_tried_again)
{
	struct file *file = open_file(O_RDWR);
	struct told told = { .error = 1 };

	append_text(file, " world");
	fake_cache_fail(cache, -EIO);
	save(file, true, -EIO);
	check_read(file, "hello");
	ck_assert(!files_unsaved_size(files, INODE, &(size_t){ 0 }));
	save(file, false, 0);
	append_text(file, "1");
	fake_cache_fail(cache, -EIO);
	files_save(files, INODE, tell, &told); /* somebody else */
	check_told(&told, 1, -EIO);
	append_text(file, "2");
	told = (struct told){ .error = 1 };
	files_save(files, INODE, tell, &told);
	check_told(&told, 1, 0);
	check_stored("hello2");
	save(file, false, -EIO);
	save(file, false, 0);
	append_text(file, "3");
	fake_cache_fail(cache, -EIO);
	told = (struct told){ .error = 1 };
	files_save(files, INODE, tell, &told);
	append_text(file, "4");
	save(file, false, -EIO);
	check_stored("hello24");
	save(file, false, 0);
	file_put(file);
}
END_TEST

START_TEST(refused_save_drops_what_nobody_keeps)
{
	struct file *file = open_file(O_RDWR);

	append_text(file, " world");
	fake_cache_refuse(cache, -ENAMETOOLONG);
	save(file, false, -ENAMETOOLONG);
	check_read(file, "hello");
	ck_assert(!files_unsaved_size(files, INODE, &(size_t){ 0 }));
	files_flush(files, 60000); /* counted it as ended */
	file_put(file);
}
END_TEST

/* One of several who wait for the same save wants to keep. */
START_TEST(failed_save_keeps_if_anybody_does)
{
	struct told told[2] = { { .error = 1 }, { .error = 1 } };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	write_text(file, 0, "J");
	file_save(file, false, tell, &told[0]);
	file_save(file, true, tell, &told[1]);
	fake_cache_fail(cache, -EIO);
	finish();
	check_told(&told[0], 1, -EIO);
	check_told(&told[1], 1, -EIO);
	check_read(file, "Jello");
	file_put(file);
}
END_TEST

/* A failed save is followed by the next one all the same. */
START_TEST(next_save_follows_a_failed_one)
{
	struct told first = { .error = 1 };
	struct told second = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	write_text(file, 0, "J");
	file_save(file, false, tell, &first);
	write_text(file, 4, "O");
	file_save(file, false, tell, &second);
	fake_cache_fail(cache, -EACCES);
	finish();
	check_told(&first, 1, -EACCES);
	check_told(&second, 1, 0);
	check_stored("hellO");
	file_put(file);
}
END_TEST

/* fsync failed and may be tried again; what was written meanwhile must not cost what it was for. */
START_TEST(failed_save_keeps_beside_newer_writes)
{
	struct told told = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	write_text(file, 0, "J");
	file_save(file, true, tell, &told);
	write_text(file, 4, "O");
	fake_cache_fail(cache, -ETIMEDOUT);
	finish();
	check_told(&told, 1, -ETIMEDOUT);
	check_read(file, "JellO");
	fake_cache_hold(cache, false);
	save(file, true, 0);
	check_stored("JellO");
	file_put(file);
}
END_TEST

/* --- Many savers --- */

struct again {
	struct file *file;
	struct told told;
	struct told *next;
};

static void tell_and_save_again(int error, void *arg)
{
	struct again *again = arg;

	tell(error, &again->told);
	file_save(again->file, false, tell, again->next);
}

/* Who is told of one save asks for another before the one that is due has begun: that one serves him as well. */
START_TEST(saver_comes_between_two_saves)
{
	struct told second = { .error = 1 };
	struct told third = { .error = 1 };
	struct file *file = open_file(O_RDWR);
	struct again first = { .file = file, .next = &third };

	fake_cache_hold(cache, true);
	append_text(file, "1");
	file_save(file, false, tell_and_save_again, &first);
	append_text(file, "2");
	file_save(file, false, tell, &second);
	finish();
	check_told(&first.told, 1, 0);
	check_told(&second, 1, 0);
	check_told(&third, 1, 0);
	check_stored("hello12");
	ck_assert_int_eq(fake_cache_counts(cache).most_for_one, 1);
	file_put(file);
}
END_TEST

enum { WRITERS = 4, ROUNDS = 300 };

struct hammer {
	struct file *file;
	int first;
	bool is_append;
	atomic_int failures;
};

static void count_failure(int error, void *arg)
{
	struct hammer *hammer = arg;

	if (error)
		atomic_fetch_add(&hammer->failures, 1);
}

/* What a save reported as saved is there, and stays. */
static void check_is_saved(struct hammer *hammer, char letter)
{
	struct node_info info;

	if (!fake_cache_look(cache, "/f", &info))
		abort();
	if (hammer->is_append ? !memchr(info.data->data, letter, info.data->size)
			      : info.data->data[hammer->first] != letter)
		atomic_fetch_add(&hammer->failures, 1);
	node_info_release(&info);
}

static void *write_and_save(void *arg)
{
	struct hammer *hammer = arg;

	for (int round = 0; round < ROUNDS; round++) {
		char letter = (char)('a' + round % 26);

		if (file_write(hammer->file, OWNER, (size_t)hammer->first, false, &letter, 1) < 0)
			abort();
		file_save(hammer->file, true, count_failure, hammer);
	}
	return NULL;
}

static void run_writers(struct hammer *hammers, void *(*writer)(void *))
{
	pthread_t threads[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, writer, &hammers[i]), 0);
	for (int i = 0; i < WRITERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

/* As when several processes close what they inherited: saves are asked for at once, and never may two be under way. */
START_TEST(threads_save_one_open_file)
{
	struct file *file = open_file(O_RDWR);
	struct hammer hammers[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		hammers[i] = (struct hammer){ .file = file, .first = i };
	run_writers(hammers, write_and_save);
	files_flush(files, 60000);
	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(hammers[i].failures, 0);
		check_is_saved(&hammers[i], (char)('a' + (ROUNDS - 1) % 26));
		ck_assert_int_eq(hammers[i].failures, 0);
	}
	ck_assert_int_eq(fake_cache_counts(cache).most_for_one, 1);
	file_put(file);
}
END_TEST

static void *open_append_save(void *arg)
{
	struct hammer *hammer = arg;

	for (int round = 0; round < 50; round++) {
		char letter = (char)('A' + hammer->first);
		struct file *file = open_file(O_RDWR | O_APPEND);

		if (file_write(file, OWNER, 0, true, &letter, 1) < 0)
			abort();
		file_save(file, false, count_failure, hammer);
		file_put(file);
	}
	return NULL;
}

START_TEST(threads_append_and_lose_nothing)
{
	struct hammer hammers[WRITERS];
	struct node_info info;
	int counts[WRITERS] = { 0 };

	for (int i = 0; i < WRITERS; i++)
		hammers[i] = (struct hammer){ .first = i, .is_append = true };
	run_writers(hammers, open_append_save);
	ck_assert(fake_cache_look(cache, "/f", &info));
	ck_assert_uint_eq(info.data->size, 5 + WRITERS * 50);
	for (size_t i = 5; i < info.data->size; i++)
		counts[info.data->data[i] - 'A']++;
	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(counts[i], 50);
		ck_assert_int_eq(hammers[i].failures, 0);
	}
	node_info_release(&info);
}
END_TEST

/* Everything at once, for the thread sanitizer; whatever comes out, it is of one piece. */
static void *do_anything(void *arg)
{
	struct hammer *hammer = arg;
	struct node_stat stat;
	char got[16];
	size_t size;

	for (int round = 0; round < ROUNDS; round++) {
		struct bytes *contents = file_contents(hammer->file);

		bytes_put(contents);
		(void)file_read(hammer->file, 0, got, sizeof(got));
		if (file_wants_newer(hammer->file, 0))
			renew(hammer->file, 0);
		if (file_write(hammer->file, OWNER, (size_t)hammer->first, false, "x", 1) < 0)
			abort();
		(void)files_unsaved_size(files, INODE, &size);
		(void)files_last_stat(files, INODE, &stat);
		if (round % 5 == hammer->first)
			file_save(hammer->file, round % 2, count_failure, hammer);
		if (round == ROUNDS - 10 && hammer->first == 0)
			files_unlinked(files, INODE);
	}
	return NULL;
}

START_TEST(threads_do_anything)
{
	struct file *file = open_file(O_RDWR);
	struct hammer hammers[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		hammers[i] = (struct hammer){ .file = file, .first = i };
	run_writers(hammers, do_anything);
	files_flush(files, 60000);
	check_read(file, "xxxxo");
	file_put(file);
}
END_TEST

/* --- Unlinked --- */

START_TEST(unlinked_file_is_not_saved)
{
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	files_unlinked(files, INODE + 256); /* of the same bucket */
	files_unlinked(files, INODE);
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 0);
	check_read(file, "Jello");
	file_put(file);
}
END_TEST

START_TEST(unlinking_another_changes_nothing)
{
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	files_unlinked(files, INODE + 256);
	save(file, false, 0);
	check_stored("Jello");
	file_put(file);
}
END_TEST

START_TEST(file_unlinked_during_its_save_keeps_its_bytes)
{
	struct told told = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	fake_cache_hold(cache, true);
	write_text(file, 0, "J");
	file_save(file, false, tell, &told);
	fake_cache_remove(cache, "/f");
	files_unlinked(files, INODE);
	finish();
	check_told(&told, 1, 0);
	check_read(file, "Jello");
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 1);
	file_put(file);
}
END_TEST

/* Removed by somebody else: that is an error, for the bytes are gone. */
START_TEST(file_removed_elsewhere_cannot_be_saved)
{
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	fake_cache_remove(cache, "/f");
	save(file, false, -ENOENT);
	write_text(file, 0, "J");
	fake_cache_create(cache, "/f", "another");
	save(file, false, -ESTALE);
	check_stored("another");
	file_put(file);
}
END_TEST

/* --- What an inode's open files know --- */

static void close_by(struct file *file, uint64_t owner, int error)
{
	struct told told = { .error = 1 };

	file_close(file, owner, true, tell, &told);
	check_told(&told, 1, error);
}

static void release(struct file *file)
{
	struct told told = { .error = 1 };

	file_release(file, tell, &told);
	check_told(&told, 1, 0);
	file_put(file);
}

/* A shell's "echo x >file" closes a copy of the descriptor before it writes. */
static struct file *open_at(int64_t mtime, int flags)
{
	struct inode_view inode = { .number = INODE, .kind = KIND_FILE, .path = "/f" };
	struct node_info info;
	struct file *file;

	ck_assert(fake_cache_look(cache, "/f", &info));
	inode.czxid = info.stat.czxid;
	info.stat.mtime = mtime;
	file = file_open(files, &inode, &info, flags);
	ck_assert_ptr_nonnull(file);
	node_info_release(&info);
	return file;
}

/* The page and the size that the kernel knows must fit together. */
START_TEST(paged_file_reads_what_was_told)
{
	struct file *file = open_at(0, O_RDONLY);
	struct node_info info;

	ck_assert(file_is_paged(file));
	ck_assert(files_are_paged(files, INODE));
	fake_cache_set(cache, "/f", "longer than it was");
	ck_assert(file_wants_newer(file, 0));
	renew(file, 0);
	check_read(file, "hello");
	ck_assert(fake_cache_look(cache, "/f", &info));
	files_told(files, INODE, &info);
	check_read(file, "longer than it was");
	node_info_release(&info);
	fake_cache_set(cache, "/f", "short");
	renew(file, 0);
	check_read(file, "short");
	file_put(file);
	ck_assert(!files_are_paged(files, INODE));
}
END_TEST

START_TEST(only_quiet_files_without_writers_are_paged)
{
	struct file *hot = open_at((int64_t)time(NULL) * 1000, O_RDONLY);
	struct file *quiet = open_at(0, O_RDONLY);
	struct file *writer = open_at(0, O_RDWR);
	struct file *reader = open_at(0, O_RDONLY);

	ck_assert(!file_is_paged(hot));
	ck_assert(file_is_paged(quiet));
	ck_assert(!file_is_paged(writer));
	ck_assert(!file_is_paged(reader));
	ck_assert(!file_is_alone(quiet));
	file_put(hot);
	file_put(writer);
	file_put(reader);
	ck_assert(file_is_alone(quiet));
	file_put(quiet);
}
END_TEST

START_TEST(truncation_alone_is_not_saved_by_a_close)
{
	struct file *file = open_file(O_WRONLY | O_TRUNC);

	close_by(file, OWNER, 0);
	check_stored("hello");
	write_text(file, 0, "x");
	close_by(file, OWNER, 0);
	check_stored("x");
	ck_assert_int_eq(file_cut(file, 0), 0);
	close_by(file, OWNER, 0);
	check_stored("x");
	release(file);
	check_stored("");
}
END_TEST

/* What a child inherited and closes says nothing of whether the contents are complete. */
START_TEST(close_by_another_process_saves_nothing)
{
	struct file *file = open_file(O_WRONLY | O_TRUNC);

	write_text(file, 0, "half");
	close_by(file, OWNER + 1, 0);
	check_stored("hello");
	ck_assert_int_eq(file_write(file, OWNER + 1, 4, false, " more", 5), 0);
	close_by(file, OWNER + 1, 0);
	check_stored("hello");
	close_by(file, OWNER, 0);
	check_stored("half more");
	ck_assert_int_eq(file_write(file, OWNER + 1, 9, false, "!", 1), 0);
	close_by(file, OWNER + 1, 0);
	check_stored("half more");
	release(file);
	check_stored("half more!");
}
END_TEST

START_TEST(write_that_failed_breaks_the_file)
{
	struct file *file = open_file(O_WRONLY | O_TRUNC);

	write_text(file, 0, "begin");
	ck_assert_int_eq(file_write(file, OWNER, MAX_DATA, false, "x", 1), -EFBIG);
	write_text(file, 5, "ning");
	close_by(file, OWNER, -EFBIG);
	close_by(file, OWNER + 1, -EFBIG);
	save(file, true, -EFBIG);
	check_stored("hello");
	ck_assert_int_eq(file_cut(file, 0), 0);
	write_text(file, 0, "anew");
	close_by(file, OWNER, 0);
	check_stored("anew");
	release(file);
}
END_TEST

START_TEST(who_opens_next_waits_for_what_was_released)
{
	struct file *file = open_file(O_WRONLY | O_TRUNC);
	struct told released = { .error = 1 };
	struct told settled = { .error = 1 };

	close_by(file, OWNER, 0);
	files_settle(files, INODE, tell, &settled); /* it may be written yet: nobody can wait for that */
	check_told(&settled, 1, 0);
	check_stored("hello");
	fake_cache_hold(cache, true);
	file_release(file, tell, &released);
	settled = (struct told){ .error = 1 };
	files_settle(files, INODE + 256, tell, &settled);
	check_told(&settled, 1, 0);
	settled = (struct told){ .error = 1 };
	files_settle(files, INODE, tell, &settled);
	ck_assert_int_eq(settled.times, 0);
	finish();
	check_told(&released, 1, 0);
	check_told(&settled, 1, 0);
	check_stored("");
	file_put(file);
}
END_TEST

/* In whichever order they were opened and written to. */
START_TEST(who_opens_next_waits_for_all_that_was_released)
{
	for (int first = 0; first < 2; first++) {
		struct file *opened[] = { open_file(O_WRONLY | O_APPEND), open_file(O_WRONLY | O_APPEND) };
		struct told released[2] = { { .error = 1 }, { .error = 1 } };
		struct told settled = { .error = 1 };
		int ended = fake_cache_counts(cache).ended;

		append_text(opened[first], " one");
		append_text(opened[!first], " two");
		fake_cache_hold(cache, true);
		for (int i = 0; i < 2; i++)
			file_release(opened[i], tell, &released[i]);
		files_settle(files, INODE, tell, &settled);
		while (fake_cache_step(cache))
			ck_assert(!settled.times || fake_cache_counts(cache).ended == ended + 2);
		check_told(&settled, 1, 0);
		check_stored("hello one two");
		fake_cache_hold(cache, false);
		fake_cache_set(cache, "/f", "hello");
		for (int i = 0; i < 2; i++) {
			check_told(&released[i], 1, 0);
			file_put(opened[i]);
		}
	}
}
END_TEST

START_TEST(unsaved_size_is_the_writers)
{
	struct file *reader = open_file(O_RDONLY);
	struct file *writer = open_file(O_RDWR);
	struct told told = { .error = 1 };
	size_t size = 0;

	ck_assert(!files_unsaved_size(files, INODE, &size));
	append_text(writer, "12345");
	ck_assert(!files_unsaved_size(files, INODE + 256, &size));
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 10);
	fake_cache_hold(cache, true);
	file_save(writer, false, tell, &told);
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 10);
	ck_assert_int_eq(file_cut(writer, 2), 0);
	ck_assert(files_unsaved_size(files, INODE, &size));
	ck_assert_uint_eq(size, 2);
	finish();
	fake_cache_hold(cache, false);
	save(writer, false, 0);
	ck_assert(!files_unsaved_size(files, INODE, &size));
	check_stored("he");
	file_put(reader);
	file_put(writer);
	ck_assert(!files_unsaved_size(files, INODE, &size));
}
END_TEST

START_TEST(last_stat_is_an_open_files)
{
	struct file *file = open_file(O_RDWR);
	struct node_stat stat;

	ck_assert(!files_last_stat(files, INODE + 256, &stat));
	append_text(file, "!");
	ck_assert(files_last_stat(files, INODE, &stat));
	ck_assert_int_eq(stat.data_length, 6);
	ck_assert_int_eq(stat.version, 0);
	save(file, false, 0);
	ck_assert(files_last_stat(files, INODE, &stat));
	ck_assert_int_eq(stat.version, 1);
	file_put(file);
	ck_assert(!files_last_stat(files, INODE, &stat));
}
END_TEST

/* --- Files that are not made yet --- */

enum { DEADLINE_MS = 100000 };

/* One that has no znode yet, at this path; its inode is known. */
static struct file *open_unborn(const char *path, int flags, fuse_ino_t *number)
{
	struct node_info info = { .stat.czxid = INODE_UNBORN };
	struct inode_view view;
	struct file *file;

	*number = inodes_enter_unborn(inodes, path);
	ck_assert_int_eq(inodes_look(inodes, *number, &view), 0);
	if (!(flags & O_CREAT))
		ck_assert(files_unborn(files, *number, &info));
	file = file_open(files, &view, &info, flags);
	ck_assert_ptr_nonnull(file);
	inode_view_release(&view);
	node_info_release(&info);
	return file;
}

/* NULL: it is not there. */
static void check_stored_at(const char *path, const char *text)
{
	struct node_info info;
	bool is_there = fake_cache_look(cache, path, &info);

	ck_assert_int_eq(is_there, text != NULL);
	if (text)
		check_text(info.data, text);
	node_info_release(&info);
}

static int64_t czxid_of(const char *path)
{
	struct node_info info;
	int64_t czxid;

	ck_assert(fake_cache_look(cache, path, &info));
	czxid = info.stat.czxid;
	node_info_release(&info);
	return czxid;
}

static void check_inode(fuse_ino_t number, int64_t czxid, bool is_dead)
{
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
	ck_assert_int_eq(view.czxid, czxid);
	ck_assert_int_eq(view.is_dead, is_dead);
	inode_view_release(&view);
}

START_TEST(new_file_is_born_with_its_contents)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_WRONLY, &number);

	ck_assert(file_is_bare(file));
	write_text(file, 0, "text");
	ck_assert(!file_is_bare(file));
	check_stored_at("/new", NULL);
	check_inode(number, INODE_UNBORN, false);
	save(file, false, 0);
	ck_assert(fake_cache_counts(cache).last.may_create);
	ck_assert_int_eq(fake_cache_counts(cache).last.czxid, 0);
	ck_assert_int_eq(fake_cache_counts(cache).written, 1);
	check_stored_at("/new", "text");
	check_inode(number, czxid_of("/new"), false);
	write_text(file, 4, "s");
	save(file, false, 0);
	ck_assert(!fake_cache_counts(cache).last.may_create);
	ck_assert_int_eq(fake_cache_counts(cache).last.czxid, czxid_of("/new"));
	check_stored_at("/new", "texts");
	release(file);
	check_inode(number, czxid_of("/new"), false);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 2);
}
END_TEST

START_TEST(new_file_is_born_though_nothing_was_written)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_WRONLY, &number);

	ck_assert(file_is_bare(file));
	close_by(file, OWNER, 0); /* another descriptor may be written to yet */
	check_stored_at("/new", NULL);
	release(file);
	check_stored_at("/new", "");
	check_inode(number, czxid_of("/new"), false);
}
END_TEST

/* With a failure that comes from the ensemble, and one before. */
START_TEST(birth_that_fails_is_given_up)
{
	for (int is_refused = 0; is_refused < 2; is_refused++) {
		fuse_ino_t number;
		struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);
		struct node_info info;

		write_text(file, 0, "text");
		if (is_refused)
			fake_cache_refuse(cache, -EACCES);
		else
			fake_cache_fail(cache, -EACCES);
		save(file, false, -EACCES);
		check_stored_at("/new", NULL);
		check_inode(number, INODE_UNBORN, true);
		ck_assert_uint_eq(inodes_unborn(inodes, "/new", false), 0);
		ck_assert(!files_unborn(files, number, &info));
		save(file, false, 0);
		check_stored_at("/new", NULL);
		file_put(file);
		inodes_forget(inodes, number, 1);
	}
}
END_TEST

START_TEST(birth_that_fails_is_tried_again_if_it_is_kept)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	fake_cache_fail(cache, -ETIMEDOUT);
	save(file, true, -ETIMEDOUT); /* also without any bytes */
	check_inode(number, INODE_UNBORN, false);
	write_text(file, 0, "text");
	fake_cache_refuse(cache, -EAGAIN);
	save(file, true, -EAGAIN);
	check_inode(number, INODE_UNBORN, false);
	check_read(file, "text");
	save(file, false, 0);
	check_stored_at("/new", "text");
	check_inode(number, czxid_of("/new"), false);
	release(file);
}
END_TEST

START_TEST(birth_is_not_given_up_while_another_may_make_it)
{
	fuse_ino_t number, same;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);
	struct file *other = open_unborn("/new", O_CREAT | O_RDWR, &same);

	ck_assert_uint_eq(same, number);
	fake_cache_fail(cache, -EACCES);
	write_text(file, 0, "1");
	save(file, false, -EACCES);
	file_put(file);
	check_inode(number, INODE_UNBORN, false);
	save(other, false, 0);
	check_inode(number, czxid_of("/new"), false);
	release(other);
}
END_TEST

START_TEST(file_that_goes_unsaved_gives_up_its_birth)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	file_get(file);
	file_put(file);
	check_inode(number, INODE_UNBORN, false);
	file_put(file);
	check_inode(number, INODE_UNBORN, true);
}
END_TEST

START_TEST(file_that_somebody_else_made_is_taken)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	fake_cache_create(cache, "/new", "theirs");
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).written, 0);
	check_read(file, "theirs");
	check_inode(number, czxid_of("/new"), false);
	release(file);
}
END_TEST

START_TEST(file_is_not_born_over_a_directory)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	fake_cache_create(cache, "/new", ""); /* of version 0 and without data: a directory */
	write_text(file, 0, "text");
	save(file, false, -EISDIR);
	check_stored_at("/new", "");
	check_inode(number, INODE_UNBORN, true);
	file_put(file);
}
END_TEST

START_TEST(birth_meets_that_of_another)
{
	struct told told = { .error = 1 };
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	append_text(file, "ours");
	fake_cache_hold(cache, true);
	file_save(file, false, tell, &told);
	ck_assert(fake_cache_step(cache)); /* composed over nothing */
	fake_cache_create(cache, "/new", "theirs, ");
	finish();
	check_told(&told, 1, 0);
	check_stored_at("/new", "theirs, ours");
	check_read(file, "theirs, ours");
	check_inode(number, czxid_of("/new"), false);
	file_put(file);
}
END_TEST

START_TEST(second_opener_sees_what_is_unsaved)
{
	fuse_ino_t number, same;
	struct file *file = open_unborn("/new", O_CREAT | O_WRONLY, &number), *reader;
	struct node_info info;

	ck_assert(files_unborn(files, number, &info));
	check_text(info.data, "");
	node_info_release(&info);
	write_text(file, 0, "text");
	ck_assert(!files_unborn(files, number + 256, &info));
	ck_assert(files_unborn(files, number, &info));
	check_text(info.data, "text");
	ck_assert_int_eq(info.stat.data_length, 4);
	node_info_release(&info);
	reader = open_unborn("/new", O_RDONLY, &same);
	ck_assert_uint_eq(same, number);
	check_read(reader, "text");
	save(reader, false, 0); /* nothing of it is to be saved */
	check_stored_at("/new", NULL);
	save(file, false, 0);
	ck_assert(!files_unborn(files, number, &info));
	write_text(file, 0, "T"); /* unsaved, but of a file that is there */
	ck_assert(!files_unborn(files, number, &info));
	file_put(reader);
	release(file);
}
END_TEST

START_TEST(unborn_file_that_is_unlinked_is_never_made)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);
	struct node_info info;

	write_text(file, 0, "text");
	files_unlinked(files, number);
	ck_assert(!files_unborn(files, number, &info));
	close_by(file, OWNER, 0);
	save(file, true, 0);
	check_read(file, "text");
	write_text(file, 4, "s");
	release(file);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 0);
	check_stored_at("/new", NULL);
	check_inode(number, INODE_UNBORN, true);
}
END_TEST

/* --- Several open files --- */

/* Opens the file at this path by its inode, which is known. */
static struct file *open_path(const char *path, enum inode_type type, fuse_ino_t *number)
{
	struct inode_view view;
	struct node_info info;
	struct file *file;

	ck_assert(fake_cache_look(cache, path, &info));
	*number = inodes_enter(inodes, type, path, &info.stat, NULL);
	ck_assert_int_eq(inodes_look(inodes, *number, &view), 0);
	file = file_open(files, &view, &info, O_RDWR);
	inode_view_release(&view);
	node_info_release(&info);
	return file;
}

START_TEST(all_open_files_of_an_inode_are_saved)
{
	struct told told = { .error = 1 };
	struct file *first = open_file(O_RDWR), *second = open_file(O_RDWR), *other;
	fuse_ino_t number;

	fake_cache_create(cache, "/g", "other");
	other = open_path("/g", INODE_NODE, &number);
	files_save(files, INODE, tell, &told);
	check_told(&told, 1, 0);
	ck_assert_int_eq(fake_cache_counts(cache).updates, 0);
	write_text(first, 0, "J");
	write_text(second, 4, "y");
	write_text(other, 0, "O");
	told = (struct told){ .error = 1 };
	files_save(files, INODE, tell, &told);
	check_told(&told, 1, 0);
	check_stored("Jelly");
	check_stored_at("/g", "other");
	file_put(first);
	file_put(second);
	file_put(other);
}
END_TEST

START_TEST(what_cannot_be_saved_is_told_and_kept)
{
	struct told told = { .error = 1 };
	struct file *first = open_file(O_RDWR), *second = open_file(O_RDWR);

	write_text(first, 0, "J");
	write_text(second, 4, "y");
	fake_cache_fail(cache, -ETIMEDOUT);
	files_save(files, INODE, tell, &told);
	check_told(&told, 1, -ETIMEDOUT);
	ck_assert_int_eq(fake_cache_counts(cache).written, 1); /* the other one was saved */
	told = (struct told){ .error = 1 };
	files_save(files, INODE, tell, &told);
	check_told(&told, 1, 0);
	check_stored("Jelly");
	file_put(first);
	file_put(second);
}
END_TEST

START_TEST(what_is_below_a_path_is_saved)
{
	static const char *const paths[] = { "/d", "/d/x", "/dx", "/d/x/y", "/e" };
	enum { COUNT = sizeof(paths) / sizeof(*paths) };
	struct told told = { .error = 1 };
	struct file *opened[COUNT];
	fuse_ino_t number;

	for (int i = 0; i < COUNT; i++) {
		fake_cache_create(cache, paths[i], "old");
		opened[i] = open_path(paths[i], i == 0 ? INODE_DATA : INODE_NODE, &number);
		write_text(opened[i], 0, "new");
	}
	files_save_below(files, "/d/x", tell, &told);
	check_told(&told, 1, 0);
	check_stored_at("/d", "old");
	check_stored_at("/d/x", "new");
	check_stored_at("/d/x/y", "new");
	told = (struct told){ .error = 1 };
	files_save_below(files, "/d", tell, &told);
	check_told(&told, 1, 0);
	check_stored_at("/d", "new");
	check_stored_at("/dx", "old");
	check_stored_at("/e", "old");
	ck_assert_int_eq(fake_cache_counts(cache).updates, 3);
	told = (struct told){ .error = 1 };
	files_save_below(files, "/", tell, &told);
	check_told(&told, 1, 0);
	check_stored_at("/dx", "new");
	check_stored_at("/e", "new");
	ck_assert_int_eq(fake_cache_counts(cache).updates, COUNT);
	for (int i = 0; i < COUNT; i++)
		file_put(opened[i]);
}
END_TEST

/* --- Moved --- */

/* Somebody moves the znode, and its inode with it. */
static void move(const char *from, const char *to, const char *text)
{
	struct inode_place source = { .path = from, .czxid = czxid_of(from) };
	struct inode_place target = { .path = to };

	fake_cache_remove(cache, from);
	fake_cache_create(cache, to, text);
	target.czxid = czxid_of(to);
	inodes_moved(inodes, &source, &target);
}

START_TEST(open_file_follows_its_inode)
{
	fuse_ino_t number, other_number;
	struct file *file = open_path("/f", INODE_NODE, &number), *other;
	const char *old;

	fake_cache_create(cache, "/o", "other");
	other = open_path("/o", INODE_NODE, &other_number);
	old = file_path(file);
	write_text(file, 0, "J");
	move("/f", "/g", "hello");
	ck_assert_str_eq(file_path(file), "/f");
	files_follow(files);
	ck_assert_str_eq(file_path(file), "/g");
	ck_assert_str_eq(file_path(other), "/o");
	ck_assert_str_eq(old, "/f"); /* somebody may still use it */
	save(file, false, 0);
	ck_assert_int_eq(fake_cache_counts(cache).last.czxid, czxid_of("/g"));
	check_stored_at("/g", "Jello");
	check_stored_at("/f", NULL);
	move("/g", "/h", "Jello");
	files_follow(files);
	files_follow(files);
	write_text(file, 4, "y");
	save(file, false, 0);
	check_stored_at("/h", "Jelly");
	file_put(file);
	file_put(other);
}
END_TEST

/* It is at the old place when it finds out: it goes on at the new one. */
START_TEST(save_under_way_follows_its_inode)
{
	for (int steps = 0; steps < 2; steps++) {
		struct told told = { .error = 1 };
		fuse_ino_t number;
		struct file *file;

		fake_cache_create(cache, "/f", "hello");
		file = open_path("/f", INODE_NODE, &number);
		write_text(file, 0, "J");
		fake_cache_hold(cache, true);
		file_save(file, false, tell, &told);
		for (int i = 0; i < steps; i++)
			ck_assert(fake_cache_step(cache));
		move("/f", "/g", "hello");
		files_follow(files);
		if (steps)
			fake_cache_create(cache, "/f", "another"); /* not the one that is meant */
		finish();
		check_told(&told, 1, 0);
		check_stored_at("/g", "Jello");
		check_stored_at("/f", steps ? "another" : NULL);
		fake_cache_hold(cache, false);
		file_put(file);
		fake_cache_remove(cache, "/g");
	}
}
END_TEST

/* --- Saving by itself --- */

enum { REST_MS = 1000 }; /* as in files.c */

START_TEST(rested_file_is_saved_by_itself)
{
	struct file *file = open_file(O_RDWR);
	struct node_info info = { 0 };
	int64_t written_at;

	write_text(file, 0, "J");
	(void)fake_cache_await(cache, 1, 50);
	written_at = clock_now();
	write_text(file, 4, "y");
	/* On a slow machine the first write may have been saved alone. */
	for (int saved = 1; !info.data || memcmp(info.data->data, "Jelly", 5) != 0; saved++) {
		node_info_release(&info);
		ck_assert(fake_cache_await(cache, saved, DEADLINE_MS));
		ck_assert(fake_cache_look(cache, "/f", &info));
	}
	node_info_release(&info);
	ck_assert_int_ge(clock_now() - written_at, REST_MS);
	ck_assert(!files_unsaved_size(files, INODE, &(size_t){ 0 }));
	file_put(file);
}
END_TEST

START_TEST(unborn_file_rests_until_it_is_born)
{
	fuse_ino_t number;
	struct file *file = open_unborn("/new", O_CREAT | O_RDWR, &number);

	append_text(file, "text");
	ck_assert(fake_cache_await(cache, 1, DEADLINE_MS));
	check_stored_at("/new", "text");
	check_inode(number, czxid_of("/new"), false);
	file_put(file);
}
END_TEST

START_TEST(rested_file_is_saved_again_after_a_failure)
{
	struct file *file = open_file(O_RDWR);

	fake_cache_fail(cache, -ETIMEDOUT);
	write_text(file, 0, "J");
	ck_assert(fake_cache_await(cache, 1, DEADLINE_MS));
	check_stored("hello");
	check_read(file, "Jello");
	ck_assert(fake_cache_await(cache, 2, DEADLINE_MS));
	check_stored("Jello");
	file_put(file);
}
END_TEST

/* --- Life --- */

/* The save holds the file, as release needs it. */
START_TEST(save_outlives_the_last_hold)
{
	struct told told = { .error = 1 };
	struct file *file = open_file(O_RDWR);

	write_text(file, 0, "J");
	fake_cache_hold(cache, true);
	file_get(file);
	file_put(file);
	file_save(file, false, tell, &told);
	file_put(file);
	finish();
	check_told(&told, 1, 0);
	check_stored("Jello");
	ck_assert(!files_last_stat(files, INODE, &(struct node_stat){ 0 }));
}
END_TEST

static void *finish_later(void *arg)
{
	atomic_int *is_draining = arg;

	while (!atomic_load(is_draining))
		;
	finish();
	return NULL;
}

START_TEST(drain_waits_for_saves)
{
	struct told told = { .error = 1 };
	atomic_int is_draining = 0;
	struct file *file = open_file(O_RDWR);
	pthread_t thread;

	files_flush(files, 60000); /* nothing under way */
	write_text(file, 0, "J");
	fake_cache_hold(cache, true);
	file_save(file, false, tell, &told);
	ck_assert_int_eq(pthread_create(&thread, NULL, finish_later, &is_draining), 0);
	atomic_store(&is_draining, 1);
	files_flush(files, 60000);
	ck_assert_int_eq(atomic_load(&told.times), 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	file_put(file);
}
END_TEST

START_TEST(files_take_what_is_open_with_them)
{
	struct file *file = open_file(O_RDWR | O_TRUNC);

	append_text(file, "unsaved");
	(void)open_file(O_RDONLY);
}
END_TEST

static void add_unborn_and_several(TCase *tcase)
{
	tcase_add_test(tcase, new_file_is_born_with_its_contents);
	tcase_add_test(tcase, new_file_is_born_though_nothing_was_written);
	tcase_add_test(tcase, birth_that_fails_is_given_up);
	tcase_add_test(tcase, birth_that_fails_is_tried_again_if_it_is_kept);
	tcase_add_test(tcase, birth_is_not_given_up_while_another_may_make_it);
	tcase_add_test(tcase, file_that_goes_unsaved_gives_up_its_birth);
	tcase_add_test(tcase, file_that_somebody_else_made_is_taken);
	tcase_add_test(tcase, file_is_not_born_over_a_directory);
	tcase_add_test(tcase, birth_meets_that_of_another);
	tcase_add_test(tcase, second_opener_sees_what_is_unsaved);
	tcase_add_test(tcase, unborn_file_that_is_unlinked_is_never_made);
	tcase_add_test(tcase, all_open_files_of_an_inode_are_saved);
	tcase_add_test(tcase, what_cannot_be_saved_is_told_and_kept);
	tcase_add_test(tcase, what_is_below_a_path_is_saved);
	tcase_add_test(tcase, open_file_follows_its_inode);
	tcase_add_test(tcase, save_under_way_follows_its_inode);
}

Suite *unit_suite(void)
{
	Suite *suite = suite_create("files");
	TCase *tcase = tcase_create("files");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, reads_what_it_was_opened_with);
	tcase_add_test(tcase, last_of_a_held_inode_lets_go);
	tcase_add_test(tcase, knows_what_was_saved_last);
	tcase_add_test(tcase, truncating_open_is_unsaved);
	tcase_add_test(tcase, opens_without_contents);
	tcase_add_test(tcase, wants_newer_at_the_start_and_from_the_end_on);
	tcase_add_test(tcase, renews_at_the_start);
	tcase_add_test(tcase, renews_further_on_only_what_was_appended_to);
	tcase_add_test(tcase, does_not_renew_what_is_unsaved);
	tcase_add_test(tcase, does_not_renew_to_what_is_older);
	tcase_add_test(tcase, removed_file_stays_readable);
	tcase_add_test(tcase, same_version_renews_nothing);
	tcase_add_test(tcase, writes_over_what_it_reads);
	tcase_add_test(tcase, refuses_what_is_too_large);
	tcase_add_test(tcase, lack_of_memory_leaves_what_was_written);
	tcase_add_test(tcase, lack_of_memory_opens_nothing);
	tcase_add_test(tcase, saves_once_what_was_written);
	tcase_add_test(tcase, are_saved_in_the_order_of_writing);
	tcase_add_test(tcase, replace_what_others_wrote);
	tcase_add_test(tcase, says_what_it_replaces);
	tcase_add_test(tcase, writes_to_different_ranges_both_survive);
	tcase_add_test(tcase, composes_again_when_somebody_was_faster);
	tcase_add_test(tcase, writes_during_a_save_are_unsaved);
	tcase_add_test(tcase, one_save_serves_who_comes_meanwhile);
	tcase_add_test(tcase, next_save_serves_all_who_wait_for_it);
	tcase_add_test(tcase, failed_save_drops_what_nobody_keeps);
	tcase_add_test(tcase, failed_save_keeps_for_another_try);
	tcase_add_test(tcase, append_of_unknown_outcome_is_not_tried_again);
	tcase_add_test(tcase, refused_save_drops_what_nobody_keeps);
	tcase_add_test(tcase, failed_save_keeps_if_anybody_does);
	tcase_add_test(tcase, next_save_follows_a_failed_one);
	tcase_add_test(tcase, failed_save_keeps_beside_newer_writes);
	tcase_add_test(tcase, saver_comes_between_two_saves);
	tcase_add_test(tcase, threads_save_one_open_file);
	tcase_add_test(tcase, threads_append_and_lose_nothing);
	tcase_add_test(tcase, threads_do_anything);
	tcase_add_test(tcase, unlinked_file_is_not_saved);
	tcase_add_test(tcase, unlinking_another_changes_nothing);
	tcase_add_test(tcase, file_unlinked_during_its_save_keeps_its_bytes);
	tcase_add_test(tcase, file_removed_elsewhere_cannot_be_saved);
	tcase_add_test(tcase, paged_file_reads_what_was_told);
	tcase_add_test(tcase, only_quiet_files_without_writers_are_paged);
	tcase_add_test(tcase, truncation_alone_is_not_saved_by_a_close);
	tcase_add_test(tcase, close_by_another_process_saves_nothing);
	tcase_add_test(tcase, write_that_failed_breaks_the_file);
	tcase_add_test(tcase, who_opens_next_waits_for_what_was_released);
	tcase_add_test(tcase, who_opens_next_waits_for_all_that_was_released);
	tcase_add_test(tcase, unsaved_size_is_the_writers);
	tcase_add_test(tcase, last_stat_is_an_open_files);
	tcase_add_test(tcase, save_outlives_the_last_hold);
	tcase_add_test(tcase, drain_waits_for_saves);
	tcase_add_test(tcase, files_take_what_is_open_with_them);
	add_unborn_and_several(tcase);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("rest");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 2.0 * DEADLINE_MS / 1000 + 20);
	tcase_add_test(tcase, rested_file_is_saved_by_itself);
	tcase_add_test(tcase, unborn_file_rests_until_it_is_born);
	tcase_add_test(tcase, rested_file_is_saved_again_after_a_failure);
	suite_add_tcase(suite, tcase);
	return suite;
}
