#include "fusefs/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* --- Helpers --- */

static void check_invariant(const struct draft *draft)
{
	ck_assert_uint_le(draft->extent_count, draft->extent_capacity);
	ck_assert(draft->extents || draft->extent_capacity == 0);
	ck_assert(!draft->appended.failed);
	for (size_t i = 0; i < draft->extent_count; i++) {
		const struct draft_extent *extent = &draft->extents[i];

		ck_assert_uint_gt(extent->size, 0);
		ck_assert_uint_le(extent->size, extent->capacity);
		ck_assert_ptr_nonnull(extent->data);
		if (i > 0)
			ck_assert_uint_lt(extent[-1].offset + extent[-1].size, extent->offset);
	}
	if (draft->extent_count > 0 || draft->appended.size > 0 || draft->base_limit != SIZE_MAX)
		ck_assert(draft->is_dirty);
}

/* The contents over base, by draft_compose, are these size bytes; draft_size agrees, and draft_read whole. */
static void check_contents(const struct draft *draft, const char *base, size_t base_size, const char *expected,
	size_t size)
{
	struct buf out = BUF_INIT;
	char *copy = malloc(size + 1);

	ck_assert_uint_eq(draft_size(draft, base_size), size);
	ck_assert_int_eq(draft_compose(draft, base, base_size, &out), 0);
	ck_assert_uint_eq(out.size, size);
	ck_assert(size == 0 || memcmp(out.data, expected, size) == 0);
	ck_assert_uint_eq(draft_read(draft, base, base_size, 0, copy, size + 1), size);
	ck_assert(size == 0 || memcmp(copy, expected, size) == 0);
	free(copy);
	buf_release(&out);
}

#define CHECK_CONTENTS(draft, base, expected) \
	check_contents(draft, base, sizeof(base) - 1, expected, sizeof(expected) - 1)

/* --- One behaviour each --- */

START_TEST(clean_draft_is_the_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert(!draft.is_dirty);
	ck_assert(!draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "hello", "hello");
	CHECK_CONTENTS(&draft, "", "");
	check_contents(&draft, NULL, 0, NULL, 0);
	check_invariant(&draft);
	draft_release(&draft);
}
END_TEST

START_TEST(write_lies_over_any_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 1, "EL", 2, 5), 0);
	ck_assert(draft.is_dirty);
	ck_assert(!draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "hello", "hELlo");
	CHECK_CONTENTS(&draft, "goodbye", "gELdbye");
	CHECK_CONTENTS(&draft, "", "\0EL");
	draft_release(&draft);
}
END_TEST

START_TEST(write_behind_the_end_leaves_zeros)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 4, "x", 1, 2), 0);
	CHECK_CONTENTS(&draft, "ab", "ab\0\0x");
	CHECK_CONTENTS(&draft, "abcdef", "abcdxf");
	draft_release(&draft);
}
END_TEST

START_TEST(writes_that_touch_become_one)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 0, "aa", 2, 0), 0);
	ck_assert_int_eq(draft_write(&draft, 4, "cc", 2, 0), 0);
	ck_assert_int_eq(draft_write(&draft, 8, "ee", 2, 0), 0);
	check_invariant(&draft);
	ck_assert_uint_eq(draft.extent_count, 3);
	ck_assert_int_eq(draft_write(&draft, 6, "dd", 2, 0), 0);
	check_invariant(&draft);
	ck_assert_uint_eq(draft.extent_count, 2);
	ck_assert_int_eq(draft_write(&draft, 2, "bb", 2, 0), 0);
	check_invariant(&draft);
	ck_assert_uint_eq(draft.extent_count, 1);
	CHECK_CONTENTS(&draft, "", "aabbccddee");
	draft_release(&draft);
}
END_TEST

START_TEST(write_may_cover_several)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 2, "aa", 2, 0), 0);
	ck_assert_int_eq(draft_write(&draft, 6, "bb", 2, 0), 0);
	ck_assert_int_eq(draft_write(&draft, 10, "ccc", 3, 0), 0);
	ck_assert_int_eq(draft_write(&draft, 1, "XXXXXXXXXX", 10, 0), 0);
	check_invariant(&draft);
	ck_assert_uint_eq(draft.extent_count, 1);
	CHECK_CONTENTS(&draft, "-------------", "-XXXXXXXXXXcc");
	draft_release(&draft);
}
END_TEST

START_TEST(writing_nothing_changes_nothing)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 100, "", 0, 5), 0);
	ck_assert_int_eq(draft_append(&draft, "", 0), 0);
	ck_assert(!draft.is_dirty);
	CHECK_CONTENTS(&draft, "hello", "hello");
	draft_release(&draft);
}
END_TEST

START_TEST(appended_bytes_follow_any_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "one\n", 4), 0);
	ck_assert_int_eq(draft_append(&draft, "two\n", 4), 0);
	ck_assert(draft.is_dirty);
	ck_assert(!draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "zero\n", "zero\none\ntwo\n");
	CHECK_CONTENTS(&draft, "zero\nother\n", "zero\nother\none\ntwo\n");
	CHECK_CONTENTS(&draft, "", "one\ntwo\n");
	draft_release(&draft);
}
END_TEST

START_TEST(appended_bytes_follow_what_was_written_behind_the_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 3, "def", 3, 3), 0);
	ck_assert_int_eq(draft_append(&draft, "!", 1), 0);
	CHECK_CONTENTS(&draft, "abc", "abcdef!");
	CHECK_CONTENTS(&draft, "abcdefghi", "abcdefghi!");
	draft_release(&draft);
}
END_TEST

START_TEST(write_into_appended_bytes_changes_them)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "1234", 4), 0);
	ck_assert_int_eq(draft_write(&draft, 4, "XX", 2, 3), 0);
	check_invariant(&draft);
	CHECK_CONTENTS(&draft, "abc", "abc1XX4");
	CHECK_CONTENTS(&draft, "abc+other", "abc+other1XX4");
	draft_release(&draft);
}
END_TEST

START_TEST(write_across_the_border_changes_both)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "1234", 4), 0);
	ck_assert_int_eq(draft_write(&draft, 2, "XYZ", 3, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abXYZ34");
	CHECK_CONTENTS(&draft, "abcd", "abXdYZ34");
	ck_assert_int_eq(draft_write(&draft, 1, "------------", 12, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "a------------");
	draft_release(&draft);
}
END_TEST

START_TEST(write_behind_appended_bytes_extends_them)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "12", 2), 0);
	ck_assert_int_eq(draft_write(&draft, 7, "X", 1, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abc12\0\0X");
	CHECK_CONTENTS(&draft, "abcd", "abcd12\0\0X");
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_to_nothing_replaces)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_truncate(&draft, 0, 5), 0);
	ck_assert(draft.is_dirty);
	ck_assert(draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "hello", "");
	ck_assert_int_eq(draft_append(&draft, "new", 3), 0);
	ck_assert(draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "whatever others wrote", "new");
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_of_an_empty_file_replaces)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_truncate(&draft, 0, 0), 0);
	ck_assert(draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "late", "");
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_cuts_base_and_extents)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 1, "XX", 2, 8), 0);
	ck_assert_int_eq(draft_write(&draft, 4, "YYY", 3, 8), 0);
	ck_assert_int_eq(draft_truncate(&draft, 5, 8), 0);
	check_invariant(&draft);
	CHECK_CONTENTS(&draft, "abcdefgh", "aXXdY");
	CHECK_CONTENTS(&draft, "", "\0XX\0Y");
	ck_assert_int_eq(draft_truncate(&draft, 3, 8), 0);
	check_invariant(&draft);
	CHECK_CONTENTS(&draft, "abcdefgh", "aXX");
	ck_assert_int_eq(draft_truncate(&draft, 1, 8), 0);
	ck_assert_uint_eq(draft.extent_count, 0);
	CHECK_CONTENTS(&draft, "abcdefgh", "a");
	ck_assert(!draft_is_whole(&draft));
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_upwards_fills_with_zeros)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_truncate(&draft, 6, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abc\0\0\0");
	CHECK_CONTENTS(&draft, "", "\0\0\0\0\0\0");
	draft_release(&draft);
}
END_TEST

START_TEST(what_was_cut_does_not_come_back)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 4, "X", 1, 6), 0);
	ck_assert_int_eq(draft_truncate(&draft, 2, 6), 0);
	ck_assert_int_eq(draft_truncate(&draft, 6, 6), 0);
	CHECK_CONTENTS(&draft, "abcdef", "ab\0\0\0\0");
	ck_assert_int_eq(draft_write(&draft, 5, "Y", 1, 6), 0);
	CHECK_CONTENTS(&draft, "abcdef", "ab\0\0\0Y");
	draft_release(&draft);
}
END_TEST

START_TEST(truncated_contents_have_that_size_over_any_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_truncate(&draft, 4, 8), 0);
	CHECK_CONTENTS(&draft, "abcdefgh", "abcd");
	CHECK_CONTENTS(&draft, "ab", "ab\0\0");
	CHECK_CONTENTS(&draft, "abcdefghijkl", "abcd");
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_within_appended_bytes_spares_the_base)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "1234", 4), 0);
	ck_assert_int_eq(draft_truncate(&draft, 5, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abc12");
	CHECK_CONTENTS(&draft, "abc+other", "abc+other12");
	ck_assert_int_eq(draft_truncate(&draft, 7, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abc12\0\0");
	ck_assert_int_eq(draft_truncate(&draft, 3, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "abc");
	CHECK_CONTENTS(&draft, "abc+other", "abc+other");
	draft_release(&draft);
}
END_TEST

START_TEST(truncate_before_appended_bytes_drops_them)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_append(&draft, "1234", 4), 0);
	ck_assert_int_eq(draft_truncate(&draft, 2, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "ab");
	ck_assert_int_eq(draft_truncate(&draft, 4, 3), 0);
	CHECK_CONTENTS(&draft, "abc", "ab\0\0");
	draft_release(&draft);
}
END_TEST

START_TEST(reads_any_part)
{
	struct draft draft;
	char to[8] = "-------";

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, 5, "XY", 2, 3), 0);
	ck_assert_int_eq(draft_append(&draft, "12", 2), 0);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, 2, to, 4), 4);
	ck_assert_mem_eq(to, "c\0\0X---", 7);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, 6, to, 7), 3);
	ck_assert_mem_eq(to, "Y12X---", 7);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, 8, to, 1), 1);
	ck_assert_mem_eq(to, "212X---", 7);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, 9, to, 7), 0);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, SIZE_MAX, to, 7), 0);
	ck_assert_uint_eq(draft_read(&draft, "abc", 3, 0, to, 0), 0);
	draft_release(&draft);
}
END_TEST

START_TEST(compose_appends_to_what_is_there)
{
	struct buf out = BUF_INIT;
	struct draft draft;

	draft_init(&draft);
	ck_assert(buf_append(&out, "before ", 7));
	ck_assert_int_eq(draft_write(&draft, 0, "A", 1, 3), 0);
	ck_assert_int_eq(draft_compose(&draft, "abc", 3, &out), 0);
	ck_assert_uint_eq(out.size, 10);
	ck_assert_mem_eq(out.data, "before Abc", 10);
	draft_release(&draft);
	buf_release(&out);
}
END_TEST

START_TEST(move_leaves_a_clean_one)
{
	struct draft from, to;

	draft_init(&from);
	draft_init(&to);
	ck_assert_int_eq(draft_truncate(&from, 2, 5), 0);
	ck_assert_int_eq(draft_write(&from, 1, "X", 1, 5), 0);
	ck_assert_int_eq(draft_append(&from, "!", 1), 0);
	draft_move(&to, &from);
	ck_assert(!from.is_dirty);
	ck_assert(to.is_dirty);
	CHECK_CONTENTS(&from, "hello", "hello");
	CHECK_CONTENTS(&to, "hello", "hX!");
	check_invariant(&from);
	check_invariant(&to);
	ck_assert_int_eq(draft_append(&from, "?", 1), 0);
	CHECK_CONTENTS(&to, "hello", "hX!");
	draft_release(&from);
	draft_release(&to);
}
END_TEST

START_TEST(release_leaves_a_clean_one)
{
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_truncate(&draft, 0, 5), 0);
	ck_assert_int_eq(draft_write(&draft, 1, "X", 1, 5), 0);
	draft_release(&draft);
	ck_assert(!draft.is_dirty);
	ck_assert(!draft_is_whole(&draft));
	CHECK_CONTENTS(&draft, "hello", "hello");
	draft_release(&draft);
}
END_TEST

START_TEST(sizes_that_overflow_change_nothing)
{
	struct buf out = BUF_INIT;
	struct draft draft;

	draft_init(&draft);
	ck_assert_int_eq(draft_write(&draft, SIZE_MAX - 1, "abc", 3, 3), -ENOMEM);
	ck_assert(!draft.is_dirty);
	ck_assert_int_eq(draft_append(&draft, "1", 1), 0);
	ck_assert_int_eq(draft_write(&draft, SIZE_MAX - 3, "abc", 3, 3), -ENOMEM);
	ck_assert_int_eq(draft_truncate(&draft, SIZE_MAX, 3), -ENOMEM);
	check_invariant(&draft);
	CHECK_CONTENTS(&draft, "abc", "abc1");
	ck_assert_int_eq(draft_truncate(&draft, 1, 3), 0);
	ck_assert_int_eq(draft_truncate(&draft, SIZE_MAX, 3), 0);
	ck_assert_int_eq(draft_append(&draft, "1", 1), 0);
	ck_assert_int_eq(draft_compose(&draft, "abc", 3, &out), -ENOMEM);
	draft_release(&draft);
	buf_release(&out);
}
END_TEST

/* --- Against a naive model --- */

enum { MODEL_MAX = 600, BASE_MAX = 120 };

/* Every byte of the fixed part says for itself whether it was written; the rest follows from the words of draft.h. */
struct model {
	size_t base_limit, min_size;
	bool is_written[MODEL_MAX];
	char bytes[MODEL_MAX];
	char appended[MODEL_MAX];
	size_t appended_size;
};

static size_t model_fixed(const struct model *model, size_t base_size)
{
	size_t size = base_size < model->base_limit ? base_size : model->base_limit;

	if (size < model->min_size)
		size = model->min_size;
	for (size_t i = size; i < MODEL_MAX; i++) {
		if (model->is_written[i])
			size = i + 1;
	}
	return size;
}

static size_t model_contents(const struct model *model, const char *base, size_t base_size, char *to)
{
	size_t fixed = model_fixed(model, base_size);

	for (size_t i = 0; i < fixed; i++) {
		if (model->is_written[i])
			to[i] = model->bytes[i];
		else if (i < base_size && i < model->base_limit)
			to[i] = base[i];
		else
			to[i] = '\0';
	}
	memcpy(to + fixed, model->appended, model->appended_size);
	return fixed + model->appended_size;
}

static void model_write(struct model *model, size_t offset, const char *data, size_t size, size_t base_size)
{
	size_t fixed = model->appended_size ? model_fixed(model, base_size) : MODEL_MAX;

	for (size_t i = offset; i < offset + size; i++, data++) {
		if (i < fixed) {
			model->is_written[i] = true;
			model->bytes[i] = *data;
			continue;
		}
		while (model->appended_size < i - fixed + 1)
			model->appended[model->appended_size++] = '\0';
		model->appended[i - fixed] = *data;
	}
}

static void model_truncate(struct model *model, size_t size, size_t base_size)
{
	size_t fixed = model_fixed(model, base_size);

	if (model->appended_size > 0 && size >= fixed) {
		while (model->appended_size < size - fixed)
			model->appended[model->appended_size++] = '\0';
		model->appended_size = size - fixed;
		return;
	}
	for (size_t i = size; i < MODEL_MAX; i++)
		model->is_written[i] = false;
	if (model->base_limit > size)
		model->base_limit = size;
	model->min_size = size;
	model->appended_size = 0;
}

struct play {
	struct draft draft;
	struct model model;
	char base[BASE_MAX]; /* as the writer sees it */
	size_t base_size;
	char plain[MODEL_MAX]; /* the file as POSIX has it, while nobody else changes the base */
	size_t plain_size;
};

static void play_begin(struct play *play)
{
	memset(&play->model, 0, sizeof(play->model));
	play->model.base_limit = SIZE_MAX;
	draft_init(&play->draft);
	play->base_size = unit_random(BASE_MAX);
	for (size_t i = 0; i < play->base_size; i++)
		play->base[i] = (char)('a' + unit_random(26));
	memcpy(play->plain, play->base, play->base_size);
	play->plain_size = play->base_size;
}

static void plain_resize(struct play *play, size_t size)
{
	if (size > play->plain_size)
		memset(play->plain + play->plain_size, 0, size - play->plain_size);
	play->plain_size = size;
}

static void fill_randomly(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)('A' + unit_random(26));
}

static void step_write(struct play *play)
{
	size_t offset = unit_random(200);
	size_t size = unit_random(40);
	char data[40];

	if (unit_random(3) == 0)
		offset = play->plain_size < 200 ? play->plain_size : 0; /* sequential */
	fill_randomly(data, size);
	ck_assert_int_eq(draft_write(&play->draft, offset, data, size, play->base_size), 0);
	model_write(&play->model, offset, data, size, play->base_size);
	if (size > 0 && offset + size > play->plain_size)
		plain_resize(play, offset + size);
	memcpy(play->plain + offset, data, size);
}

static void step_append(struct play *play)
{
	size_t size = unit_random(20);
	char data[20];

	if (play->plain_size > 250)
		return;
	fill_randomly(data, size);
	ck_assert_int_eq(draft_append(&play->draft, data, size), 0);
	memcpy(play->model.appended + play->model.appended_size, data, size);
	play->model.appended_size += size;
	memcpy(play->plain + play->plain_size, data, size);
	play->plain_size += size;
}

static void step_truncate(struct play *play)
{
	size_t size = unit_random(4) ? unit_random(play->plain_size + 20) : unit_random(3);

	if (size > 250)
		return;
	ck_assert_int_eq(draft_truncate(&play->draft, size, play->base_size), 0);
	model_truncate(&play->model, size, play->base_size);
	plain_resize(play, size);
}

static void check_part(const struct play *play)
{
	size_t offset = unit_random(play->plain_size + 5);
	size_t size = unit_random(60);
	size_t there = offset < play->plain_size ? play->plain_size - offset : 0;
	size_t expected = size < there ? size : there;
	char *to = malloc(size);
	size_t got = draft_read(&play->draft, play->base, play->base_size, offset, to, size);

	ck_assert_uint_eq(got, expected);
	ck_assert(got == 0 || memcmp(to, play->plain + offset, got) == 0);
	free(to);
}

static void check_over_another_base(const struct play *play)
{
	char contents[MODEL_MAX + BASE_MAX];
	char other[BASE_MAX];
	size_t other_size = unit_random(BASE_MAX);

	for (size_t i = 0; i < other_size; i++)
		other[i] = (char)('0' + unit_random(10));
	check_contents(&play->draft, other, other_size, contents,
		model_contents(&play->model, other, other_size, contents));
}

static void play_step(struct play *play)
{
	switch (unit_random(8)) {
	case 0:
	case 1:
		step_append(play);
		break;
	case 2:
		step_truncate(play);
		break;
	case 3: /* saved and taken up again, as a commit that failed does */
		if (unit_random(4) == 0) {
			struct draft other;

			draft_init(&other);
			draft_move(&other, &play->draft);
			draft_move(&play->draft, &other);
		}
		break;
	default:
		step_write(play);
	}
}

START_TEST(agrees_with_the_models)
{
	struct play *play = malloc(sizeof(*play));

	unit_seed("agrees_with_the_models");
	for (int round = 0; round < 2000; round++) {
		play_begin(play);
		for (size_t steps = 1 + unit_random(40); steps > 0; steps--) {
			play_step(play);
			check_invariant(&play->draft);
			ck_assert(draft_is_whole(&play->draft) == (play->model.base_limit == 0));
			check_contents(&play->draft, play->base, play->base_size, play->plain, play->plain_size);
			check_part(play);
			check_over_another_base(play);
		}
		draft_release(&play->draft);
	}
	free(play);
}
END_TEST

/* As above, but the writer gets to see new bases meanwhile. */
START_TEST(agrees_with_the_model_while_the_base_changes)
{
	struct play *play = malloc(sizeof(*play));
	char contents[MODEL_MAX + BASE_MAX];

	unit_seed("agrees_with_the_model_while_the_base_changes");
	for (int round = 0; round < 2000; round++) {
		play_begin(play);
		for (size_t steps = 1 + unit_random(30); steps > 0; steps--) {
			if (unit_random(3) == 0)
				play->base_size = unit_random(BASE_MAX);
			fill_randomly(play->base, play->base_size);
			play->plain_size = model_contents(&play->model, play->base, play->base_size, play->plain);
			if (play->plain_size > 350)
				break;
			play_step(play);
			check_invariant(&play->draft);
			check_contents(&play->draft, play->base, play->base_size, contents,
				model_contents(&play->model, play->base, play->base_size, contents));
			check_over_another_base(play);
		}
		draft_release(&play->draft);
	}
	free(play);
}
END_TEST

/* --- Lack of memory --- */

static int change(struct draft *draft, int which)
{
	static const char data[] = "0123456789abcdefghijklmnopqrstuvwxyz";

	switch (which) {
	case 0: /* a new extent, in a new array */
		return draft_write(draft, 100, data, 1, 5);
	case 1: /* in front of all */
		return draft_write(draft, 0, data, 36, 5);
	case 2: /* goes on at the end of an extent */
		return draft_write(draft, 22, data, 36, 5);
	case 3: /* covers all extents */
		return draft_write(draft, 9, data, 36, 5);
	case 4:
		return draft_append(draft, data, 36);
	case 5: /* no appended bytes yet: never needs memory */
		return draft_truncate(draft, 500, 5);
	default:
		abort();
	}
}

static int change_with_appended(struct draft *draft, int which)
{
	char data[300];

	memset(data, 'z', sizeof(data));
	switch (which) {
	case 0: /* only into appended bytes, beyond them */
		return draft_write(draft, 50, data, 300, 5);
	case 1: /* across the border, where both need memory */
		return draft_write(draft, 0, data, 300, 5);
	case 2:
		return draft_truncate(draft, 1000, 5);
	case 3:
		return draft_append(draft, data, 300);
	default:
		abort();
	}
}

static void make_draft(struct draft *draft, bool with_appended)
{
	draft_init(draft);
	ck_assert_int_eq(draft_write(draft, 10, "aa", 2, 5), 0);
	ck_assert_int_eq(draft_write(draft, 20, "bb", 2, 5), 0);
	ck_assert_int_eq(draft_write(draft, 30, "cc", 2, 5), 0);
	ck_assert_int_eq(draft_write(draft, 40, "dd", 2, 5), 0);
	if (with_appended)
		ck_assert_int_eq(draft_append(draft, "1234", 4), 0);
}

/* Fails each allocation of a change in turn: it says so and changes nothing, and works when tried again. */
static void check_lack_of_memory(int (*make_change)(struct draft *, int), int which, bool with_appended)
{
	struct buf before = BUF_INIT;
	struct draft draft;
	int err = -ENOMEM;

	make_draft(&draft, with_appended);
	ck_assert_int_eq(draft_compose(&draft, "hello", 5, &before), 0);
	for (int number = 1; err; number++) {
		unit_fail_allocation(number);
		err = make_change(&draft, which);
		ck_assert_int_eq(err, unit_end_failure() ? -ENOMEM : 0);
		if (err)
			check_contents(&draft, "hello", 5, before.data, before.size);
		check_invariant(&draft);
	}
	draft_release(&draft);
	buf_release(&before);
}

START_TEST(lack_of_memory_changes_nothing)
{
	check_lack_of_memory(change, _i, false);
}
END_TEST

START_TEST(lack_of_memory_changes_nothing_with_appended_bytes)
{
	check_lack_of_memory(change_with_appended, _i, true);
}
END_TEST

/* --- Cost --- */

/* Writes a megabyte in pieces, which must not copy what is there each time: counted as how often memory grows. */
START_TEST(sequential_writes_are_amortised)
{
	static const size_t pieces[] = { 512, 4096, 131072 };
	size_t piece = pieces[_i];
	char *data = calloc(1, piece);
	struct draft draft;
	size_t growths = 0;

	draft_init(&draft);
	for (size_t offset = 0; offset < 1 << 20; offset += piece) {
		size_t before = draft.extent_count ? draft.extents[0].capacity : 0;

		ck_assert_int_eq(draft_write(&draft, offset, data, piece, 0), 0);
		growths += draft.extents[0].capacity != before;
	}
	ck_assert_uint_eq(draft.extent_count, 1);
	ck_assert_uint_eq(draft.extents[0].size, 1 << 20);
	ck_assert_uint_le(draft.extents[0].capacity, 2 << 20);
	ck_assert_uint_le(growths, 13);
	draft_release(&draft);
	free(data);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("draft");
	TCase *tcase = tcase_create("draft");

	tcase_set_timeout(tcase, 120); /* the models, under a sanitizer on a busy machine */
	tcase_add_test(tcase, clean_draft_is_the_base);
	tcase_add_test(tcase, write_lies_over_any_base);
	tcase_add_test(tcase, write_behind_the_end_leaves_zeros);
	tcase_add_test(tcase, writes_that_touch_become_one);
	tcase_add_test(tcase, write_may_cover_several);
	tcase_add_test(tcase, writing_nothing_changes_nothing);
	tcase_add_test(tcase, appended_bytes_follow_any_base);
	tcase_add_test(tcase, appended_bytes_follow_what_was_written_behind_the_base);
	tcase_add_test(tcase, write_into_appended_bytes_changes_them);
	tcase_add_test(tcase, write_across_the_border_changes_both);
	tcase_add_test(tcase, write_behind_appended_bytes_extends_them);
	tcase_add_test(tcase, truncate_to_nothing_replaces);
	tcase_add_test(tcase, truncate_of_an_empty_file_replaces);
	tcase_add_test(tcase, truncate_cuts_base_and_extents);
	tcase_add_test(tcase, truncate_upwards_fills_with_zeros);
	tcase_add_test(tcase, what_was_cut_does_not_come_back);
	tcase_add_test(tcase, truncated_contents_have_that_size_over_any_base);
	tcase_add_test(tcase, truncate_within_appended_bytes_spares_the_base);
	tcase_add_test(tcase, truncate_before_appended_bytes_drops_them);
	tcase_add_test(tcase, reads_any_part);
	tcase_add_test(tcase, compose_appends_to_what_is_there);
	tcase_add_test(tcase, move_leaves_a_clean_one);
	tcase_add_test(tcase, release_leaves_a_clean_one);
	tcase_add_test(tcase, sizes_that_overflow_change_nothing);
	tcase_add_test(tcase, agrees_with_the_models);
	tcase_add_test(tcase, agrees_with_the_model_while_the_base_changes);
	tcase_add_loop_test(tcase, lack_of_memory_changes_nothing, 0, 6);
	tcase_add_loop_test(tcase, lack_of_memory_changes_nothing_with_appended_bytes, 0, 4);
	tcase_add_loop_test(tcase, sequential_writes_are_amortised, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite;
}
