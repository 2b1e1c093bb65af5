#include "fusefs/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fusefs/symlink.h"
#include "tests/unit/unit.h"

static struct inodes *inodes;

static const struct node_stat file_stat = { .czxid = 10, .mzxid = 20, .version = 1, .data_length = 5 };
static const struct node_stat directory_stat = { .czxid = 10, .mzxid = 20, .cversion = 1 };

static void setup(void)
{
	inodes = inodes_new(true);
}

static void teardown(void)
{
	inodes_free(inodes);
}

static fuse_ino_t enter(const char *path, const struct node_stat *stat)
{
	fuse_ino_t number = inodes_enter(inodes, INODE_NODE, path, stat, NULL);

	ck_assert_uint_ne(number, 0);
	return number;
}

static void check_known(fuse_ino_t number, const char *path, enum inode_type type, enum kind kind)
{
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
	ck_assert_uint_eq(view.number, number);
	ck_assert_str_eq(view.path, path);
	ck_assert_int_eq(view.type, type);
	ck_assert_int_eq(view.kind, kind);
	inode_view_release(&view);
	ck_assert_ptr_null(view.path);
}

static void check_forgotten(fuse_ino_t number)
{
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), -ESTALE);
	inode_view_release(&view);
}

START_TEST(root_is_always_there)
{
	static const struct node_stat any = { .czxid = 99, .data_length = 7, .version = 3 };

	check_known(FUSE_ROOT_ID, "/", INODE_NODE, KIND_DIRECTORY);
	ck_assert_uint_eq(enter("/", &any), FUSE_ROOT_ID);
	ck_assert_uint_eq(inodes_number(inodes, INODE_NODE, "/", &file_stat, NULL), FUSE_ROOT_ID);
	inodes_forget(inodes, FUSE_ROOT_ID, 1000);
	check_known(FUSE_ROOT_ID, "/", INODE_NODE, KIND_DIRECTORY);
	ck_assert(inode_path_is_root("/"));
	ck_assert(!inode_path_is_root("/a"));
	ck_assert(!inode_path_is_root(""));
}
END_TEST

START_TEST(lookups_are_counted)
{
	fuse_ino_t number = enter("/a", &file_stat);

	ck_assert_uint_eq(enter("/a", &file_stat), number);
	ck_assert_uint_eq(enter("/a", &file_stat), number);
	inodes_forget(inodes, number, 2);
	check_known(number, "/a", INODE_NODE, KIND_FILE);
	inodes_forget(inodes, number, 1);
	check_forgotten(number);
	inodes_forget(inodes, number, 1);
	ck_assert_uint_eq(enter("/a", &file_stat), number);
	inodes_forget(inodes, number, 5);
	check_forgotten(number);
}
END_TEST

START_TEST(link_is_another_inode_unless_there_are_none)
{
	struct inodes *plain = inodes_new(false);
	struct node_stat stat = file_stat;
	char form[SYMLINK_SIZE];
	struct bytes *data;
	struct inode_view view;
	fuse_ino_t file = enter("/a", &stat), link;

	ck_assert_int_eq(symlink_encode("b", form), 0);
	data = bytes_new(form, sizeof(form));
	stat.data_length = SYMLINK_SIZE;
	link = inodes_enter(inodes, INODE_NODE, "/a", &stat, data);
	ck_assert_uint_ne(link, file);
	check_known(link, "/a", INODE_NODE, KIND_SYMLINK);
	ck_assert_int_eq(inodes_look(inodes, link, &view), 0);
	ck_assert(inodes_match(inodes, &view, &stat, data));
	ck_assert(!inodes_match(inodes, &view, &stat, NULL));
	inode_view_release(&view);
	ck_assert_int_eq(inodes_kind(inodes, INODE_DATA, "/a", &stat, data), KIND_FILE);
	ck_assert_int_eq(inodes_kind(plain, INODE_NODE, "/a", &stat, data), KIND_FILE);
	ck_assert_uint_eq(inodes_enter(plain, INODE_NODE, "/a", &stat, data), file);
	inodes_free(plain);
	bytes_put(data);
}
END_TEST

START_TEST(number_is_known_before_and_counts_nothing)
{
	fuse_ino_t number = inodes_number(inodes, INODE_NODE, "/a", &file_stat, NULL);

	check_forgotten(number);
	ck_assert_uint_eq(enter("/a", &file_stat), number);
	ck_assert_uint_eq(inodes_number(inodes, INODE_NODE, "/a", &file_stat, NULL), number);
	inodes_forget(inodes, number, 1);
	check_forgotten(number);
}
END_TEST

START_TEST(number_is_the_same_on_every_mount)
{
	struct inodes *other = inodes_new(true);
	fuse_ino_t number = enter("/a/b", &file_stat);

	(void)inodes_enter(other, INODE_NODE, "/other", &file_stat, NULL);
	ck_assert_uint_eq(inodes_enter(other, INODE_NODE, "/a/b", &file_stat, NULL), number);
	inodes_free(other);
}
END_TEST

START_TEST(what_is_written_stays_the_same_inode)
{
	struct node_stat stat = file_stat;
	fuse_ino_t number = enter("/a", &stat);

	stat.mzxid = stat.pzxid = 99;
	stat.version = 77;
	stat.data_length = 0;
	ck_assert_uint_eq(enter("/a", &stat), number);
}
END_TEST

START_TEST(what_is_made_anew_is_another_inode)
{
	struct node_stat stat = file_stat;
	fuse_ino_t old = enter("/a", &stat);
	fuse_ino_t new;

	stat.czxid++;
	new = enter("/a", &stat);
	ck_assert_uint_ne(new, old);
	check_known(old, "/a", INODE_NODE, KIND_FILE);
	check_known(new, "/a", INODE_NODE, KIND_FILE);
}
END_TEST

START_TEST(what_changes_its_kind_is_another_inode)
{
	fuse_ino_t file = enter("/a", &file_stat);
	fuse_ino_t directory = enter("/a", &directory_stat);
	fuse_ino_t data = inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL);

	ck_assert_uint_ne(file, directory);
	ck_assert_uint_ne(file, data);
	ck_assert_uint_ne(directory, data);
	check_known(file, "/a", INODE_NODE, KIND_FILE);
	check_known(directory, "/a", INODE_NODE, KIND_DIRECTORY);
	check_known(data, "/a", INODE_DATA, KIND_FILE);
}
END_TEST

START_TEST(view_knows_whether_it_still_is)
{
	struct inode_view view;
	struct node_stat stat = file_stat;

	ck_assert_int_eq(inodes_look(inodes, enter("/a", &stat), &view), 0);
	stat.mzxid++;
	ck_assert(inodes_match(inodes, &view, &stat, NULL));
	stat.czxid++;
	ck_assert(!inodes_match(inodes, &view, &stat, NULL));
	ck_assert(!inodes_match(inodes, &view, &directory_stat, NULL));
	inode_view_release(&view);

	ck_assert_int_eq(inodes_look(inodes, inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL), &view), 0);
	ck_assert(inodes_match(inodes, &view, &file_stat, NULL));
	ck_assert(!inodes_match(inodes, &view, &stat, NULL));
	inode_view_release(&view);

	ck_assert_int_eq(inodes_look(inodes, FUSE_ROOT_ID, &view), 0);
	ck_assert(inodes_match(inodes, &view, &stat, NULL));
	ck_assert(inodes_match(inodes, &view, &directory_stat, NULL));
	inode_view_release(&view);
}
END_TEST

static int compare(const void *a, const void *b)
{
	fuse_ino_t first = *(const fuse_ino_t *)a, second = *(const fuse_ino_t *)b;

	return first < second ? -1 : first > second;
}

START_TEST(numbers_are_unique)
{
	enum { PATHS = 2000, BIRTHS = 5, KINDS = 3, ALL = PATHS * BIRTHS * KINDS };
	static fuse_ino_t numbers[ALL];
	size_t count = 0;

	for (int path = 0; path < PATHS; path++) {
		for (int birth = 0; birth < BIRTHS; birth++) {
			struct node_stat file = file_stat, directory = directory_stat;
			char name[32];

			(void)snprintf(name, sizeof(name), "/a/%d", path);
			file.czxid = directory.czxid = birth;
			numbers[count++] = inodes_enter(inodes, INODE_NODE, name, &file, NULL);
			numbers[count++] = inodes_enter(inodes, INODE_NODE, name, &directory, NULL);
			numbers[count++] = inodes_enter(inodes, INODE_DATA, name, &directory, NULL);
		}
	}
	qsort(numbers, ALL, sizeof(*numbers), compare);
	ck_assert_uint_gt(numbers[0], FUSE_ROOT_ID);
	for (size_t i = 1; i < ALL; i++) {
		if (numbers[i] == numbers[i - 1])
			ck_abort_msg("twice %lu", numbers[i]);
	}
}
END_TEST

/* --- Two with the same hash --- */

static uint64_t fnv(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *c = path; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
	return hash;
}

/* The birth that gives another path the number of file_stat's at path, because the hash can be undone: see inode.c. */
static struct node_stat collide(const char *path, const char *other)
{
	const uint64_t factor = 0x9e3779b97f4a7c15u;
	struct node_stat stat = file_stat;
	uint64_t inverse = 1;

	for (int i = 0; i < 6; i++) /* Newton: each step doubles the digits that are right */
		inverse *= 2 - factor * inverse;
	stat.czxid = (int64_t)((fnv(path) ^ fnv(other) ^ ((uint64_t)file_stat.czxid * factor)) * inverse);
	return stat;
}

START_TEST(later_of_two_takes_the_next_free_number)
{
	const struct node_stat other = collide("/a", "/b");
	fuse_ino_t first = enter("/a", &file_stat);

	ck_assert_uint_eq(inodes_number(inodes, INODE_NODE, "/b", &other, NULL), first + 1);
	ck_assert_uint_eq(enter("/b", &other), first + 1);
	ck_assert_uint_eq(enter("/b", &other), first + 1);
	ck_assert_uint_eq(enter("/a", &file_stat), first);
	check_known(first, "/a", INODE_NODE, KIND_FILE);
	check_known(first + 1, "/b", INODE_NODE, KIND_FILE);
}
END_TEST

/* --- By path --- */

static bool has(const struct inode_at *list, ssize_t count, fuse_ino_t number, enum inode_type type, enum kind kind)
{
	for (ssize_t i = 0; i < count; i++) {
		if (list[i].number == number)
			return list[i].type == type && list[i].kind == kind;
	}
	return false;
}

START_TEST(all_inodes_of_a_path_are_found)
{
	fuse_ino_t file = enter("/a", &file_stat);
	fuse_ino_t directory = enter("/a", &directory_stat);
	fuse_ino_t data = inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL);
	struct inode_at *list;

	(void)enter("/ab", &file_stat);
	ck_assert_int_eq(inodes_at(inodes, "/a", &list), 3);
	ck_assert(has(list, 3, file, INODE_NODE, KIND_FILE));
	ck_assert(has(list, 3, directory, INODE_NODE, KIND_DIRECTORY));
	ck_assert(has(list, 3, data, INODE_DATA, KIND_FILE));
	free(list);
	inodes_forget(inodes, file, 1);
	inodes_forget(inodes, data, 1);
	ck_assert_int_eq(inodes_at(inodes, "/a", &list), 1);
	ck_assert(has(list, 1, directory, INODE_NODE, KIND_DIRECTORY));
	free(list);
	inodes_forget(inodes, directory, 1);
	ck_assert_int_eq(inodes_at(inodes, "/a", &list), 0);
	free(list);
	ck_assert_int_eq(inodes_at(inodes, "/", &list), 1);
	free(list);
}
END_TEST

static int count_path(char **list, ssize_t count, const char *path)
{
	int found = 0;

	for (ssize_t i = 0; i < count; i++)
		found += strcmp(list[i], path) == 0;
	return found;
}

static void free_paths(char **list, ssize_t count)
{
	for (ssize_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

START_TEST(every_path_is_listed_once)
{
	fuse_ino_t b = enter("/b", &file_stat);
	char **list;
	ssize_t count;

	(void)enter("/a", &file_stat);
	(void)enter("/a", &directory_stat);
	count = inodes_paths(inodes, &list);
	ck_assert_int_eq(count, 3);
	ck_assert_int_eq(count_path(list, count, "/"), 1);
	ck_assert_int_eq(count_path(list, count, "/a"), 1);
	ck_assert_int_eq(count_path(list, count, "/b"), 1);
	free_paths(list, count);
	inodes_forget(inodes, b, 1);
	count = inodes_paths(inodes, &list);
	ck_assert_int_eq(count, 2);
	ck_assert_int_eq(count_path(list, count, "/b"), 0);
	free_paths(list, count);
}
END_TEST

/* --- Children --- */

static void check_child(fuse_ino_t directory, const char *name, enum inode_type type, const char *path)
{
	enum inode_type got;
	char *child;

	ck_assert_int_eq(inodes_child(inodes, directory, name, &got, &child), 0);
	ck_assert_int_eq(got, type);
	ck_assert_str_eq(child, path);
	free(child);
}

static void check_no_child(fuse_ino_t directory, const char *name, int error)
{
	enum inode_type type;
	char *child;

	ck_assert_int_eq(inodes_child(inodes, directory, name, &type, &child), error);
	ck_assert_ptr_null(child);
}

START_TEST(child_is_a_path)
{
	fuse_ino_t directory = enter("/a", &directory_stat);

	check_child(FUSE_ROOT_ID, "a", INODE_NODE, "/a");
	check_child(directory, "b", INODE_NODE, "/a/b");
	check_child(directory, "\xc3\xa9 x", INODE_NODE, "/a/\xc3\xa9 x");
}
END_TEST

START_TEST(child_names_are_unescaped)
{
	fuse_ino_t directory = enter("/a", &directory_stat);

	check_child(directory, ".data", INODE_DATA, "/a");
	check_child(FUSE_ROOT_ID, ".data", INODE_DATA, "/");
	check_child(directory, ".data=", INODE_NODE, "/a/.data");
	check_child(directory, ".data==", INODE_NODE, "/a/.data=");
	check_child(directory, ".zkfs", INODE_NODE, "/a/.zkfs");
	check_no_child(FUSE_ROOT_ID, ".zkfs", -EPERM);
	check_child(FUSE_ROOT_ID, ".zkfs=", INODE_NODE, "/.zkfs");
	check_child(FUSE_ROOT_ID, ".zkfs==", INODE_NODE, "/.zkfs=");
}
END_TEST

START_TEST(child_is_refused)
{
	fuse_ino_t file = enter("/f", &file_stat);
	fuse_ino_t data = inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL);
	char name[1026];

	check_no_child(file, "x", -ENOTDIR);
	check_no_child(data, "x", -ENOTDIR);
	check_no_child(12345, "x", -ESTALE);
	check_no_child(FUSE_ROOT_ID, "\x01", -EILSEQ);
	check_no_child(FUSE_ROOT_ID, "..", -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	check_no_child(FUSE_ROOT_ID, name, -ENAMETOOLONG);
}
END_TEST

/* --- Death --- */

static bool is_dead(fuse_ino_t number)
{
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
	inode_view_release(&view);
	return view.is_dead;
}

START_TEST(removed_node_is_dead)
{
	fuse_ino_t directory = enter("/a", &directory_stat);
	fuse_ino_t data = inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL);
	fuse_ino_t other = enter("/ab", &directory_stat);

	ck_assert(!is_dead(directory));
	inodes_died(inodes, "/a");
	inodes_died(inodes, "/unknown");
	inodes_died(inodes, "/");
	ck_assert(is_dead(directory));
	ck_assert(is_dead(data));
	ck_assert(!is_dead(other));
	ck_assert(!is_dead(FUSE_ROOT_ID));
	check_no_child(directory, "x", -ENOENT);
	check_child(other, "x", INODE_NODE, "/ab/x");
	ck_assert_uint_eq(enter("/a", &directory_stat), directory);
	ck_assert(!is_dead(directory));
}
END_TEST

START_TEST(who_takes_the_place_leaves_the_other_dead)
{
	struct node_stat anew = directory_stat;
	fuse_ino_t file = enter("/a", &file_stat);
	fuse_ino_t directory = enter("/a", &directory_stat);
	fuse_ino_t data = inodes_enter(inodes, INODE_DATA, "/a", &directory_stat, NULL);

	ck_assert(is_dead(file));
	ck_assert(!is_dead(directory));
	ck_assert(!is_dead(data));
	anew.czxid++;
	ck_assert(!is_dead(enter("/a", &anew)));
	ck_assert(is_dead(directory));
	(void)inodes_number(inodes, INODE_NODE, "/a", &file_stat, NULL);
	ck_assert(is_dead(file));
}
END_TEST

/* --- Memory, threads --- */

START_TEST(lack_of_memory_leaves_nothing_behind)
{
	bool failed = true;

	for (int number = 1; failed; number++) {
		fuse_ino_t entered;
		struct inode_at *list;

		unit_fail_allocation(number);
		entered = inodes_enter(inodes, INODE_NODE, "/d/a", &file_stat, NULL);
		failed = unit_end_failure();
		ck_assert(failed == (entered == 0));
		ck_assert_int_eq(inodes_at(inodes, "/d/a", &list), failed ? 0 : 1);
		free(list);
	}
}
END_TEST

START_TEST(lack_of_memory_leaves_nothing_unborn)
{
	bool failed = true;

	for (int number = 1; failed; number++) {
		fuse_ino_t entered;
		char **names;

		unit_fail_allocation(number);
		entered = inodes_enter_unborn(inodes, "/d/a");
		failed = unit_end_failure();
		ck_assert(failed == (entered == 0));
		ck_assert_uint_eq(inodes_unborn(inodes, "/d/a", false), entered);
		ck_assert_int_eq(inodes_unborn_in(inodes, "/d", &names), failed ? 0 : 1);
		if (!failed) {
			ck_assert_str_eq(names[0], "a");
			free(names[0]);
			free(names);
			inodes_forget(inodes, entered, 1);
		}
	}
}
END_TEST

START_TEST(lack_of_memory_is_told)
{
	struct inode_view view;
	enum inode_type type;
	struct inode_at *list = NULL;
	char **paths = NULL;
	char *path;
	ssize_t at, all;
	int look, child;

	unit_fail_allocation(1);
	look = inodes_look(inodes, FUSE_ROOT_ID, &view);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(look, -ENOMEM);
	unit_fail_allocation(1);
	at = inodes_at(inodes, "/", &list);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(at, -ENOMEM);
	unit_fail_allocation(1);
	all = inodes_paths(inodes, &paths);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(all, -ENOMEM);
	for (int number = 1; number <= 2; number++) {
		unit_fail_allocation(number);
		child = inodes_child(inodes, FUSE_ROOT_ID, "a", &type, &path);
		ck_assert(unit_end_failure());
		ck_assert_int_eq(child, -ENOMEM);
		ck_assert_ptr_null(path);
	}
}
END_TEST

static void *enter_and_forget(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		char path[16];
		fuse_ino_t number;

		(void)snprintf(path, sizeof(path), "/%d", i % 7);
		number = inodes_enter(inodes, INODE_NODE, path, i % 2 ? &file_stat : &directory_stat, NULL);
		inodes_forget(inodes, number, 1);
	}
	return arg;
}

START_TEST(threads_enter_and_forget)
{
	pthread_t threads[4];
	char **list;
	ssize_t count;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, enter_and_forget, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	count = inodes_paths(inodes, &list);
	ck_assert_int_eq(count, 1);
	free_paths(list, count);
}
END_TEST

/* --- Files that wait for their znode --- */

static fuse_ino_t enter_unborn(const char *path)
{
	fuse_ino_t number = inodes_enter_unborn(inodes, path);

	ck_assert_uint_ne(number, 0);
	return number;
}

static void check_state(fuse_ino_t number, const char *path, int64_t czxid, bool is_dead)
{
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
	ck_assert_str_eq(view.path, path);
	ck_assert_int_eq(view.czxid, czxid);
	ck_assert_int_eq(view.is_dead, is_dead);
	inode_view_release(&view);
}

/* The names of the unborn in the directory: one, or none (NULL). */
static void check_unborn_in(const char *directory, const char *name)
{
	char **list;
	ssize_t count = inodes_unborn_in(inodes, directory, &list);

	ck_assert_int_eq(count, name ? 1 : 0);
	if (name) {
		ck_assert_str_eq(list[0], name);
		free(list[0]);
	}
	free(list);
}

START_TEST(unborn_file_is_one_for_all_who_look)
{
	fuse_ino_t number = enter_unborn("/a");

	check_known(number, "/a", INODE_NODE, KIND_FILE);
	check_state(number, "/a", INODE_UNBORN, false);
	ck_assert_uint_eq(enter_unborn("/a"), number);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", true), number);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", false), number); /* counts nothing */
	ck_assert_uint_eq(inodes_unborn(inodes, "/b", true), 0);
	ck_assert_uint_ne(enter_unborn("/b"), number);
	inodes_forget(inodes, number, 2);
	check_state(number, "/a", INODE_UNBORN, false);
	inodes_forget(inodes, number, 1);
	check_forgotten(number);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", false), 0);
	check_unborn_in("/", "b");
}
END_TEST

START_TEST(every_unborn_file_has_a_number_of_its_own)
{
	fuse_ino_t first = enter_unborn("/a"), second;

	inodes_forget(inodes, first, 1);
	second = enter_unborn("/a");
	ck_assert_uint_ne(second, first);
}
END_TEST

START_TEST(unborn_file_buries_what_was_there)
{
	fuse_ino_t old = enter("/a", &file_stat);
	fuse_ino_t number = enter_unborn("/a");

	check_state(old, "/a", file_stat.czxid, true);
	check_state(number, "/a", INODE_UNBORN, false);
	inodes_died(inodes, "/a"); /* not this one: it has no znode that could have been removed */
	check_state(number, "/a", INODE_UNBORN, false);
}
END_TEST

START_TEST(unborn_file_becomes_what_is_made)
{
	fuse_ino_t number = enter_unborn("/a");

	inodes_born(inodes, number, file_stat.czxid);
	check_state(number, "/a", file_stat.czxid, false);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", false), 0);
	check_unborn_in("/", NULL);
	ck_assert_uint_eq(enter("/a", &file_stat), number);
	inodes_born(inodes, number, 999); /* is known already */
	inodes_abandon(inodes, number);	  /* so is this */
	check_state(number, "/a", file_stat.czxid, false);
	inodes_born(inodes, 12345, 1); /* no such inode */
	inodes_abandon(inodes, 12345);
}
END_TEST

START_TEST(unborn_file_becomes_the_first_file_that_is_found)
{
	struct node_stat directory = directory_stat;
	fuse_ino_t number = enter_unborn("/a"), data, node;

	data = inodes_enter(inodes, INODE_DATA, "/a", &file_stat, NULL);
	ck_assert_uint_ne(data, number);
	check_state(number, "/a", INODE_UNBORN, false);
	node = enter("/a", &file_stat);
	ck_assert_uint_eq(node, number);
	check_state(number, "/a", file_stat.czxid, false);
	check_unborn_in("/", NULL);
	inodes_born(inodes, number, file_stat.czxid); /* its own save ends later */
	check_state(number, "/a", file_stat.czxid, false);

	number = enter_unborn("/d");
	directory.czxid = 30;
	ck_assert_uint_ne(enter("/d", &directory), number);
	check_state(number, "/d", INODE_UNBORN, true);
}
END_TEST

START_TEST(listing_a_file_gives_it_the_number_of_the_unborn)
{
	fuse_ino_t number = enter_unborn("/a");

	ck_assert_uint_eq(inodes_number(inodes, INODE_NODE, "/a", &file_stat, NULL), number);
	check_state(number, "/a", file_stat.czxid, false);
}
END_TEST

/* Two inodes for one znode: who was found by the name first is the one. */
START_TEST(birth_of_what_is_known_already_is_dead)
{
	fuse_ino_t old = enter("/a", &file_stat), number;

	number = enter_unborn("/a");
	inodes_born(inodes, number, file_stat.czxid);
	check_state(number, "/a", file_stat.czxid, true);
	(void)enter("/a", &file_stat);
	check_state(old, "/a", file_stat.czxid, false);
}
END_TEST

START_TEST(abandoned_file_is_dead)
{
	fuse_ino_t number = enter_unborn("/a"), next;

	inodes_abandon(inodes, number);
	check_state(number, "/a", INODE_UNBORN, true);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", true), 0);
	check_unborn_in("/", NULL);
	next = enter_unborn("/a");
	ck_assert_uint_ne(next, number);
	check_unborn_in("/", "a");
	inodes_forget(inodes, number, 1);
	check_forgotten(number);
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", false), next);
	ck_assert_uint_eq(enter("/a", &file_stat), next);
}
END_TEST

/* The other is still open, so that the kernel has not forgotten it. */
START_TEST(unborn_file_is_found_behind_an_abandoned_one)
{
	fuse_ino_t next;

	inodes_abandon(inodes, enter_unborn("/a"));
	next = enter_unborn("/a");
	ck_assert_uint_eq(inodes_unborn(inodes, "/a", false), next);
	ck_assert_uint_eq(enter_unborn("/a"), next);
	ck_assert_uint_eq(enter("/a", &file_stat), next);
	check_state(next, "/a", file_stat.czxid, false);
}
END_TEST

START_TEST(unborn_files_are_listed_in_their_directory)
{
	char **list;
	ssize_t count;

	check_unborn_in("/", NULL);
	(void)enter_unborn("/d/x");
	check_unborn_in("/", NULL);
	check_unborn_in("/d", "x");
	check_unborn_in("/dd", NULL);
	check_unborn_in("/d/x", NULL);
	(void)enter_unborn("/dd/y");
	(void)enter_unborn("/d/sub/z");
	(void)enter_unborn("/w");
	check_unborn_in("/d", "x");
	check_unborn_in("/", "w");
	(void)enter_unborn("/d/v");
	count = inodes_unborn_in(inodes, "/d", &list);
	ck_assert_int_eq(count, 2);
	ck_assert_str_eq(list[0], "x");
	ck_assert_str_eq(list[1], "v");
	free_paths(list, count);
}
END_TEST

START_TEST(view_of_an_unborn_file_matches_any_file)
{
	fuse_ino_t number = enter_unborn("/a");
	struct inode_view view;

	ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
	ck_assert(inodes_match(inodes, &view, &file_stat, NULL));
	ck_assert(!inodes_match(inodes, &view, &directory_stat, NULL));
	inode_view_release(&view);
}
END_TEST

/* --- Moving --- */

static void move(const char *from, int64_t from_czxid, const char *to, int64_t to_czxid)
{
	inodes_moved(inodes, &(struct inode_place){ .path = from, .czxid = from_czxid },
		&(struct inode_place){ .path = to, .czxid = to_czxid });
}

START_TEST(moved_file_keeps_its_number)
{
	struct node_stat stat = file_stat;
	fuse_ino_t number = enter("/a", &stat);
	char **list;
	ssize_t count;

	move("/a", stat.czxid, "/b", 50);
	check_state(number, "/b", 50, false);
	count = inodes_paths(inodes, &list);
	ck_assert_int_eq(count, 2); /* with the root: nothing is left of the old one */
	free_paths(list, count);
	stat.czxid = 50;
	ck_assert_uint_eq(enter("/b", &stat), number);
	stat.czxid = 60;
	ck_assert_uint_ne(enter("/a", &stat), number);
	inodes_forget(inodes, number, 2);
	check_forgotten(number);
}
END_TEST

START_TEST(move_of_what_nobody_knows_does_nothing)
{
	fuse_ino_t there = enter("/b", &file_stat);
	char **list;
	ssize_t count;

	move("/a", 10, "/c", 50);
	count = inodes_paths(inodes, &list);
	ck_assert_int_eq(count, 2); /* with the root */
	free_paths(list, count);
	check_state(there, "/b", file_stat.czxid, false);
}
END_TEST

START_TEST(moved_file_replaces_what_was_there)
{
	struct node_stat stat = file_stat;
	fuse_ino_t moved = enter("/a", &stat), replaced, unborn;

	stat.czxid = 70; /* younger than what comes */
	replaced = enter("/b", &stat);
	unborn = enter_unborn("/b");
	move("/a", file_stat.czxid, "/b", 50);
	check_state(moved, "/b", 50, false);
	check_known(replaced, "/b", INODE_NODE, KIND_FILE);
	ck_assert_uint_eq(inodes_unborn(inodes, "/b", false), 0);
	check_unborn_in("/", NULL);
	stat.czxid = 50;
	ck_assert_uint_eq(enter("/b", &stat), moved);
	check_state(moved, "/b", 50, false); /* nobody younger is in the way */
	inodes_forget(inodes, unborn, 1);
	check_forgotten(unborn);
	check_unborn_in("/", NULL);
	inodes_forget(inodes, replaced, 1);
	check_forgotten(replaced);
}
END_TEST

START_TEST(replaced_inodes_are_dead)
{
	struct node_stat stat = file_stat;
	struct inode_view view;
	fuse_ino_t replaced, unborn;

	(void)enter("/a", &stat);
	stat.czxid = 70;
	replaced = enter("/b", &stat);
	unborn = enter_unborn("/b");
	move("/a", file_stat.czxid, "/b", 50);
	ck_assert_int_eq(inodes_look(inodes, replaced, &view), 0);
	ck_assert(view.is_dead);
	inode_view_release(&view);
	ck_assert_int_eq(inodes_look(inodes, unborn, &view), 0);
	ck_assert(view.is_dead);
	ck_assert_int_ne(view.czxid, INODE_UNBORN);
	inode_view_release(&view);
}
END_TEST

START_TEST(only_the_znode_that_was_moved_moves)
{
	struct node_stat stat = file_stat;
	fuse_ino_t old = enter("/a", &stat), now;

	stat.czxid = 20;
	now = enter("/a", &stat);
	move("/a", 20, "/b", 50);
	check_state(now, "/b", 50, false);
	check_state(old, "/a", file_stat.czxid, true);
}
END_TEST

START_TEST(moved_directory_takes_its_data_along)
{
	struct node_stat stat = directory_stat;
	fuse_ino_t node = enter("/d", &stat), data;

	data = inodes_enter(inodes, INODE_DATA, "/d", &stat, NULL);
	move("/d", stat.czxid, "/e", 50);
	check_known(node, "/e", INODE_NODE, KIND_DIRECTORY);
	check_state(node, "/e", 50, false);
	check_known(data, "/e", INODE_DATA, KIND_FILE);
	check_state(data, "/e", 50, false);
}
END_TEST

/* A tree is moved znode by znode, in whatever order. */
START_TEST(moved_tree_keeps_its_numbers)
{
	fuse_ino_t directory = enter("/d", &directory_stat), file = enter("/d/x", &file_stat);
	fuse_ino_t beside = enter("/dx", &file_stat);
	enum inode_type type;
	char *path;

	move("/d", directory_stat.czxid, "/e", 50);
	check_state(file, "/d/x", file_stat.czxid, false);
	move("/d/x", file_stat.czxid, "/e/x", 51);
	check_state(directory, "/e", 50, false);
	check_state(file, "/e/x", 51, false);
	check_state(beside, "/dx", file_stat.czxid, false);
	ck_assert_int_eq(inodes_child(inodes, directory, "x", &type, &path), 0);
	ck_assert_str_eq(path, "/e/x");
	free(path);
}
END_TEST

/* "mv file dir/.data", and back. */
START_TEST(moved_file_becomes_data_and_data_a_file)
{
	struct node_stat stat = directory_stat;
	fuse_ino_t file = enter("/a", &file_stat), directory, data;

	stat.czxid = 30;
	directory = enter("/d", &stat);
	data = inodes_enter(inodes, INODE_DATA, "/d", &stat, NULL);
	inodes_moved(inodes, &(struct inode_place){ .path = "/a", .czxid = file_stat.czxid },
		&(struct inode_place){ .path = "/d", .type = INODE_DATA, .czxid = 30 });
	check_known(file, "/d", INODE_DATA, KIND_FILE);
	check_state(file, "/d", 30, false);
	check_state(directory, "/d", 30, false);
	ck_assert_uint_eq(inodes_enter(inodes, INODE_DATA, "/d", &stat, NULL), file);
	ck_assert_uint_ne(data, file);

	inodes_moved(inodes, &(struct inode_place){ .path = "/d", .type = INODE_DATA, .czxid = 30 },
		&(struct inode_place){ .path = "/b", .czxid = 60 });
	check_known(file, "/b", INODE_NODE, KIND_FILE);
	check_state(file, "/b", 60, false);
	check_state(directory, "/d", 30, false);
}
END_TEST

START_TEST(moved_file_is_mourned_no_more)
{
	fuse_ino_t number = enter("/a", &file_stat);
	enum kind kind;

	inodes_died(inodes, "/a"); /* the event of our own move came first */
	inodes_mourn(inodes, "/a", &kind);
	move("/a", file_stat.czxid, "/b", 50);
	check_state(number, "/b", 50, false);
	ck_assert_uint_eq(inodes_mourned(inodes, "/a", &kind), 0);
	ck_assert_uint_eq(inodes_mourned(inodes, "/b", &kind), 0);
}
END_TEST

/* --- What is to be announced --- */

START_TEST(news_alone_make_no_inodes)
{
	struct inode_news news;
	struct inode_at *list;

	ck_assert(inodes_expect(inodes, &news, "/a", true, false));
	ck_assert_int_eq(inodes_at(inodes, "/a", &list), 0);
	ck_assert_ptr_null(list);
	ck_assert(inodes_news_is_at(inodes, &news, "/a"));
	inodes_told(inodes, &news);
}
END_TEST

START_TEST(removal_here_ends_the_birth_that_is_not_told)
{
	struct inode_news death, birth, next;
	fuse_ino_t number;

	ck_assert(inodes_expect(inodes, &death, "/a", false, true)); /* of an earlier one */
	ck_assert(inodes_expect(inodes, &birth, "/a", true, false));
	number = enter("/a", &file_stat);
	inodes_buried(inodes, number);
	ck_assert(inodes_expect(inodes, &next, "/a", true, false)); /* of a later one */
	ck_assert(!inodes_news_is_late(inodes, &death, 0));
	ck_assert(inodes_news_is_late(inodes, &birth, file_stat.czxid));
	ck_assert(inodes_news_is_late(inodes, &birth, 0));
	ck_assert(!inodes_news_is_late(inodes, &birth, file_stat.czxid + 1));
	ck_assert(!inodes_news_is_late(inodes, &next, file_stat.czxid + 1));
	inodes_told(inodes, &death);
	inodes_told(inodes, &birth);
	inodes_told(inodes, &next);
}
END_TEST

START_TEST(news_follow_their_directory_and_a_change_its_file)
{
	struct inode_news below, beside, change, birth;
	char *path;

	(void)enter("/d/f", &file_stat);
	ck_assert(inodes_expect(inodes, &below, "/d/x/y", true, false));
	ck_assert(inodes_expect(inodes, &beside, "/dx", true, false));
	inodes_moved_below(inodes, "/d", "/e");
	path = inodes_news_path(inodes, &below);
	ck_assert_str_eq(path, "/e/x/y");
	free(path);
	ck_assert(inodes_news_is_at(inodes, &beside, "/dx"));
	ck_assert(!inodes_news_is_late(inodes, &below, 0));

	ck_assert(inodes_expect(inodes, &birth, "/d/f", true, false));
	ck_assert(inodes_expect(inodes, &change, "/d/f", false, false));
	move("/d/f", file_stat.czxid, "/g", 50);
	ck_assert(inodes_news_is_late(inodes, &birth, file_stat.czxid));
	ck_assert(inodes_news_is_at(inodes, &birth, "/d/f"));
	ck_assert(inodes_news_is_at(inodes, &change, "/g"));
	inodes_told(inodes, &below);
	inodes_told(inodes, &beside);
	inodes_told(inodes, &birth);
	inodes_told(inodes, &change);
}
END_TEST

START_TEST(death_of_what_is_there_again_leaves_it_another_inode)
{
	enum kind kind;
	fuse_ino_t number = inodes_enter_announced(inodes, "/a", &file_stat, NULL);

	inodes_mourn_announced(inodes, "/a");
	ck_assert_uint_eq(inodes_mourned(inodes, "/a", &kind), number);
	inodes_death_told(inodes, number);
	ck_assert_uint_ne(enter("/a", &file_stat), number);
}
END_TEST

START_TEST(what_was_made_here_is_not_taken_for_what_died)
{
	enum kind kind;
	fuse_ino_t number = enter("/a", &file_stat);

	ck_assert_int_eq(inodes_made_here(inodes, "/a"), 0);
	inodes_announced(inodes, number);
	inodes_mourn_announced(inodes, "/a");
	ck_assert_uint_eq(inodes_mourned(inodes, "/a", &kind), 0);
	ck_assert_int_eq(inodes_made_here(inodes, "/a"), file_stat.czxid);
}
END_TEST

START_TEST(birth_that_was_foretold_is_told_once)
{
	ck_assert_uint_ne(inodes_enter_unborn(inodes, "/a"), 0);
	(void)enter("/a", &file_stat); /* somebody looked it up first */
	ck_assert(inodes_foretold(inodes, "/a"));
	ck_assert(!inodes_foretold(inodes, "/a"));
}
END_TEST

static void check_living(const char *path, fuse_ino_t number, bool is_dead)
{
	struct inode_view *list;
	ssize_t count = inodes_living(inodes, &list);
	int found = 0;

	for (ssize_t i = 0; i < count; i++) {
		if (strcmp(list[i].path, path) == 0) {
			ck_assert_uint_eq(list[i].number, number);
			ck_assert_int_eq(list[i].is_dead, is_dead);
			found++;
		}
		inode_view_release(&list[i]);
	}
	free(list);
	ck_assert_int_eq(found, number ? 1 : 0);
}

START_TEST(death_that_nobody_told_of_is_found_once)
{
	fuse_ino_t number = enter("/d", &directory_stat), data;
	struct inode_view view;
	enum kind kind;

	data = inodes_enter(inodes, INODE_DATA, "/d", &directory_stat, NULL);
	check_living("/d", number, false);
	ck_assert(inodes_lost(inodes, number));
	ck_assert(!inodes_lost(inodes, number));
	ck_assert_int_eq(inodes_look(inodes, data, &view), 0);
	ck_assert(view.is_dead);
	inode_view_release(&view);
	ck_assert_uint_eq(inodes_mourned(inodes, "/d", &kind), number);
	inodes_death_told(inodes, number);
	check_living("/d", 0, false);
	ck_assert(inodes_lost(inodes, 4711)); /* nobody knows it any more, so nobody has told */
}
END_TEST

START_TEST(dead_inode_is_listed_unless_its_death_is_to_be_told)
{
	struct inode_news change, death;
	fuse_ino_t number = enter("/a", &file_stat);

	ck_assert(inodes_expect(inodes, &change, "/a", false, false));
	inodes_died(inodes, "/a");
	check_living("/a", number, true);
	ck_assert(inodes_expect(inodes, &death, "/a", false, true));
	check_living("/a", 0, false);
	inodes_told(inodes, &death);
	check_living("/a", number, true);
	inodes_buried(inodes, number);
	check_living("/a", 0, false);
	inodes_told(inodes, &change);
}
END_TEST

START_TEST(another_kind_of_what_is_there_is_not_dead)
{
	struct node_stat stat = file_stat;
	fuse_ino_t directory;

	(void)enter("/a", &stat);
	stat.data_length = 0;
	stat.num_children = 1;
	directory = enter("/a", &stat);
	check_living("/a", directory, false);
}
END_TEST

START_TEST(change_remembers_what_was_known_before)
{
	struct inode_news first, second, unknown;
	enum kind kind;

	(void)enter("/a", &file_stat);
	ck_assert(inodes_expect(inodes, &first, "/a", false, false));
	ck_assert(inodes_expect(inodes, &second, "/a", false, false));
	ck_assert(inodes_expect(inodes, &unknown, "/b", false, false));
	ck_assert(inodes_news_kind(inodes, &first, &kind));
	ck_assert_int_eq(kind, KIND_FILE);
	ck_assert(!inodes_news_kind(inodes, &unknown, &kind));
	inodes_kind_told(inodes, &first, KIND_DIRECTORY);
	inodes_told(inodes, &first);
	ck_assert(inodes_news_kind(inodes, &second, &kind));
	ck_assert_int_eq(kind, KIND_DIRECTORY);
	inodes_told(inodes, &second);
	inodes_told(inodes, &unknown);
}
END_TEST

START_TEST(without_memory_there_are_no_news)
{
	struct inode_news news;

	unit_fail_allocation(1);
	ck_assert(!inodes_expect(inodes, &news, "/a", true, false));
	ck_assert(unit_end_failure());
}
END_TEST

START_TEST(without_memory_what_was_moved_is_dead)
{
	for (int allocation = 1; allocation <= 2; allocation++) { /* the inode anew, its directory's path */
		fuse_ino_t number = enter("/a", &file_stat);
		struct inode_view view;

		unit_fail_allocation(allocation);
		move("/a", file_stat.czxid, "/d/b", 50);
		ck_assert(unit_end_failure());
		ck_assert_int_eq(inodes_look(inodes, number, &view), 0);
		ck_assert(view.is_dead);
		ck_assert_str_eq(view.path, "/a");
		inode_view_release(&view);
		inodes_forget(inodes, number, 1);
		check_forgotten(number);
	}
}
END_TEST

/* --- Kinds --- */

START_TEST(plain_mount_has_files_for_links)
{
	struct inodes *plain = inodes_new(false);
	struct node_stat stat = file_stat;
	char form[SYMLINK_SIZE];
	struct inode_view view;
	struct bytes *data;
	fuse_ino_t number;

	ck_assert_int_eq(symlink_encode("b", form), 0);
	data = bytes_new(form, sizeof(form));
	stat.data_length = SYMLINK_SIZE;
	ck_assert_int_eq(inodes_kind(inodes, INODE_NODE, "/a", &stat, data), KIND_SYMLINK);
	ck_assert_int_eq(inodes_kind(inodes, INODE_NODE, "/a", &stat, NULL), KIND_FILE);
	ck_assert_int_eq(inodes_kind(inodes, INODE_NODE, "/a", &directory_stat, NULL), KIND_DIRECTORY);
	ck_assert_int_eq(inodes_kind(plain, INODE_NODE, "/a", &directory_stat, data), KIND_DIRECTORY);
	ck_assert_int_eq(inodes_kind(plain, INODE_NODE, "/", &stat, data), KIND_DIRECTORY);
	ck_assert_int_eq(inodes_kind(inodes, INODE_DATA, "/", &stat, data), KIND_FILE);
	number = inodes_enter(plain, INODE_NODE, "/a", &stat, data);
	ck_assert_int_eq(inodes_look(plain, number, &view), 0);
	ck_assert_int_eq(view.kind, KIND_FILE);
	ck_assert(inodes_match(plain, &view, &stat, data));
	ck_assert(inodes_match(plain, &view, &stat, NULL));
	ck_assert(!inodes_match(inodes, &view, &stat, data));
	inode_view_release(&view);
	inodes_free(plain);
	bytes_put(data);
}
END_TEST

/* A held file's znode, made again after its session: before its death is announced, or after its birth was. */
START_TEST(reborn_inode_stands_for_the_new_znode)
{
	struct node_stat again = file_stat;
	fuse_ino_t number = enter("/a", &file_stat);
	enum kind kind;

	again.czxid = 30;
	inodes_died(inodes, "/a");
	inodes_mourn(inodes, "/a", &kind);
	if (_i == 0) {
		inodes_reborn(inodes, number, 30);
		check_state(number, "/a", 30, false);
	}
	ck_assert_uint_eq(inodes_mourned(inodes, "/a", &kind), number);
	inodes_buried(inodes, number);
	if (_i == 1) {
		ck_assert_uint_ne(inodes_enter_announced(inodes, "/a", &again, NULL), number);
		inodes_reborn(inodes, number, 30);
		check_state(number, "/a", 30, true); /* until it is looked up by its name */
	}
	ck_assert_uint_eq(enter("/a", &again), number);
	check_state(number, "/a", 30, false);
	inodes_died(inodes, "/a"); /* it can die again, and that is announced */
	inodes_mourn(inodes, "/a", &kind);
	ck_assert_uint_ne(inodes_mourned(inodes, "/a", &kind), 0);
	inodes_reborn(inodes, 4711, 30); /* nobody */
}
END_TEST

START_TEST(unborn_inode_is_not_reborn)
{
	fuse_ino_t number = enter_unborn("/a");

	inodes_reborn(inodes, number, 30);
	check_state(number, "/a", INODE_UNBORN, false);
}
END_TEST

static void add_unborn_and_moved(TCase *tcase)
{
	tcase_add_test(tcase, unborn_file_is_one_for_all_who_look);
	tcase_add_test(tcase, every_unborn_file_has_a_number_of_its_own);
	tcase_add_test(tcase, unborn_file_buries_what_was_there);
	tcase_add_test(tcase, unborn_file_becomes_what_is_made);
	tcase_add_test(tcase, unborn_file_becomes_the_first_file_that_is_found);
	tcase_add_test(tcase, listing_a_file_gives_it_the_number_of_the_unborn);
	tcase_add_test(tcase, birth_of_what_is_known_already_is_dead);
	tcase_add_test(tcase, abandoned_file_is_dead);
	tcase_add_test(tcase, unborn_file_is_found_behind_an_abandoned_one);
	tcase_add_test(tcase, unborn_files_are_listed_in_their_directory);
	tcase_add_test(tcase, view_of_an_unborn_file_matches_any_file);
	tcase_add_test(tcase, moved_file_keeps_its_number);
	tcase_add_test(tcase, move_of_what_nobody_knows_does_nothing);
	tcase_add_test(tcase, moved_file_replaces_what_was_there);
	tcase_add_test(tcase, replaced_inodes_are_dead);
	tcase_add_test(tcase, only_the_znode_that_was_moved_moves);
	tcase_add_test(tcase, moved_directory_takes_its_data_along);
	tcase_add_test(tcase, moved_tree_keeps_its_numbers);
	tcase_add_test(tcase, moved_file_becomes_data_and_data_a_file);
	tcase_add_test(tcase, moved_file_is_mourned_no_more);
	tcase_add_loop_test(tcase, reborn_inode_stands_for_the_new_znode, 0, 2);
	tcase_add_test(tcase, unborn_inode_is_not_reborn);
	tcase_add_test(tcase, news_alone_make_no_inodes);
	tcase_add_test(tcase, removal_here_ends_the_birth_that_is_not_told);
	tcase_add_test(tcase, news_follow_their_directory_and_a_change_its_file);
	tcase_add_test(tcase, death_of_what_is_there_again_leaves_it_another_inode);
	tcase_add_test(tcase, what_was_made_here_is_not_taken_for_what_died);
	tcase_add_test(tcase, birth_that_was_foretold_is_told_once);
	tcase_add_test(tcase, death_that_nobody_told_of_is_found_once);
	tcase_add_test(tcase, dead_inode_is_listed_unless_its_death_is_to_be_told);
	tcase_add_test(tcase, another_kind_of_what_is_there_is_not_dead);
	tcase_add_test(tcase, change_remembers_what_was_known_before);
	tcase_add_test(tcase, without_memory_there_are_no_news);
	tcase_add_test(tcase, without_memory_what_was_moved_is_dead);
	tcase_add_test(tcase, plain_mount_has_files_for_links);
}

Suite *unit_suite(void)
{
	Suite *suite = suite_create("inode");
	TCase *tcase = tcase_create("inode");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, root_is_always_there);
	tcase_add_test(tcase, lookups_are_counted);
	tcase_add_test(tcase, link_is_another_inode_unless_there_are_none);
	tcase_add_test(tcase, number_is_known_before_and_counts_nothing);
	tcase_add_test(tcase, number_is_the_same_on_every_mount);
	tcase_add_test(tcase, what_is_written_stays_the_same_inode);
	tcase_add_test(tcase, what_is_made_anew_is_another_inode);
	tcase_add_test(tcase, what_changes_its_kind_is_another_inode);
	tcase_add_test(tcase, view_knows_whether_it_still_is);
	tcase_add_test(tcase, numbers_are_unique);
	tcase_add_test(tcase, later_of_two_takes_the_next_free_number);
	tcase_add_test(tcase, all_inodes_of_a_path_are_found);
	tcase_add_test(tcase, every_path_is_listed_once);
	tcase_add_test(tcase, child_is_a_path);
	tcase_add_test(tcase, child_names_are_unescaped);
	tcase_add_test(tcase, child_is_refused);
	tcase_add_test(tcase, removed_node_is_dead);
	tcase_add_test(tcase, who_takes_the_place_leaves_the_other_dead);
	tcase_add_test(tcase, lack_of_memory_leaves_nothing_behind);
	tcase_add_test(tcase, lack_of_memory_leaves_nothing_unborn);
	tcase_add_test(tcase, lack_of_memory_is_told);
	tcase_add_test(tcase, threads_enter_and_forget);
	add_unborn_and_moved(tcase);
	suite_add_tcase(suite, tcase);
	return suite;
}
