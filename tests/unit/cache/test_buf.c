#include "cache/util/buf.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static void check_invariant(const struct buf *buf)
{
	ck_assert_uint_le(buf->size, buf->capacity);
	ck_assert(buf->data || buf->capacity == 0);
}

START_TEST(starts_empty)
{
	struct buf buf = BUF_INIT;

	check_invariant(&buf);
	ck_assert_uint_eq(buf.size, 0);
	ck_assert(!buf.failed);
	buf_release(&buf);
}
END_TEST

START_TEST(appends_in_order)
{
	struct buf buf = BUF_INIT;

	ck_assert(buf_append(&buf, "ab", 2));
	ck_assert(buf_append(&buf, "", 0));
	ck_assert(buf_append(&buf, NULL, 0));
	ck_assert(buf_append(&buf, "c\0d", 3));
	check_invariant(&buf);
	ck_assert_uint_eq(buf.size, 5);
	ck_assert_mem_eq(buf.data, "abc\0d", 5);
	buf_release(&buf);
}
END_TEST

START_TEST(extends_for_the_caller_to_fill)
{
	struct buf buf = BUF_INIT;
	char *to = buf_extend(&buf, 3);

	ck_assert_ptr_eq(to, buf.data);
	memcpy(to, "abc", 3);
	to = buf_extend(&buf, 1000);
	ck_assert_ptr_eq(to, buf.data + 3);
	memset(to, 'x', 1000);
	check_invariant(&buf);
	ck_assert_uint_eq(buf.size, 1003);
	ck_assert_mem_eq(buf.data, "abcx", 4);
	buf_release(&buf);
}
END_TEST

START_TEST(extends_an_empty_one_by_nothing)
{
	struct buf buf = BUF_INIT;

	ck_assert_ptr_nonnull(buf_extend(&buf, 0));
	ck_assert_uint_eq(buf.size, 0);
	buf_release(&buf);
}
END_TEST

START_TEST(consumes_from_the_front)
{
	struct buf buf = BUF_INIT;

	buf_consume(&buf, 0);
	buf_consume(&buf, 7);
	ck_assert(buf_append(&buf, "abcdef", 6));
	buf_consume(&buf, 0);
	ck_assert_uint_eq(buf.size, 6);
	buf_consume(&buf, 2);
	ck_assert_uint_eq(buf.size, 4);
	ck_assert_mem_eq(buf.data, "cdef", 4);
	buf_consume(&buf, 4);
	ck_assert_uint_eq(buf.size, 0);
	ck_assert(buf_append(&buf, "gh", 2));
	buf_consume(&buf, 100);
	ck_assert_uint_eq(buf.size, 0);
	check_invariant(&buf);
	buf_release(&buf);
}
END_TEST

START_TEST(lack_of_memory_keeps_what_was_there)
{
	struct buf buf = BUF_INIT;
	char *to;

	ck_assert(buf_append(&buf, "abc", 3));
	unit_fail_allocation(1);
	to = buf_extend(&buf, 100000);
	ck_assert(unit_end_failure());
	ck_assert_ptr_null(to);
	ck_assert(buf.failed);
	ck_assert(!buf_append(&buf, "d", 1));
	ck_assert(!buf_append(&buf, "", 0));
	ck_assert_ptr_null(buf_extend(&buf, 0));
	check_invariant(&buf);
	ck_assert_uint_eq(buf.size, 3);
	ck_assert_mem_eq(buf.data, "abc", 3);
	buf_release(&buf);
}
END_TEST

START_TEST(a_size_that_overflows_fails)
{
	struct buf buf = BUF_INIT;

	ck_assert(buf_append(&buf, "abc", 3));
	ck_assert_ptr_null(buf_extend(&buf, SIZE_MAX));
	ck_assert(buf.failed);
	ck_assert_uint_eq(buf.size, 3);
	buf_release(&buf);
	ck_assert_ptr_null(buf_extend(&buf, SIZE_MAX / 2 + 2));
	ck_assert(buf.failed);
	buf_release(&buf);
}
END_TEST

START_TEST(can_be_used_again_after_release)
{
	struct buf buf = BUF_INIT;

	ck_assert(buf_append(&buf, "abc", 3));
	buf.failed = true;
	buf_release(&buf);
	ck_assert_ptr_null(buf.data);
	ck_assert_uint_eq(buf.size, 0);
	ck_assert_uint_eq(buf.capacity, 0);
	ck_assert(!buf.failed);
	buf_release(&buf);
	ck_assert(buf_append(&buf, "d", 1));
	ck_assert_mem_eq(buf.data, "d", 1);
	buf_release(&buf);
}
END_TEST

START_TEST(grows_by_doubling)
{
	struct buf buf = BUF_INIT;
	size_t growths = 0;

	for (size_t i = 0; i < 1 << 20; i++) {
		size_t before = buf.capacity;

		ck_assert(buf_append(&buf, "x", 1));
		growths += buf.capacity != before;
	}
	ck_assert_uint_le(growths, 25);
	ck_assert_uint_le(buf.capacity, (size_t)2 << 20);
	buf_release(&buf);
}
END_TEST

START_TEST(agrees_with_a_plain_array)
{
	char model[20000];
	size_t size = 0;
	struct buf buf = BUF_INIT;

	unit_seed("agrees_with_a_plain_array");
	for (int i = 0; i < 20000; i++) {
		char piece[300];
		size_t count = unit_random(sizeof(piece));

		memset(piece, 'a' + (int)unit_random(26), sizeof(piece));
		if (unit_random(2) && size + count <= sizeof(model)) {
			memcpy(model + size, piece, count);
			size += count;
			ck_assert(buf_append(&buf, piece, count));
		} else {
			buf_consume(&buf, count);
			count = count < size ? count : size;
			size -= count;
			memmove(model, model + count, size);
		}
		check_invariant(&buf);
		ck_assert_uint_eq(buf.size, size);
		ck_assert(size == 0 || memcmp(buf.data, model, size) == 0);
	}
	buf_release(&buf);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("buf");
	TCase *tcase = tcase_create("buf");

	tcase_add_test(tcase, starts_empty);
	tcase_add_test(tcase, appends_in_order);
	tcase_add_test(tcase, extends_for_the_caller_to_fill);
	tcase_add_test(tcase, extends_an_empty_one_by_nothing);
	tcase_add_test(tcase, consumes_from_the_front);
	tcase_add_test(tcase, lack_of_memory_keeps_what_was_there);
	tcase_add_test(tcase, a_size_that_overflows_fails);
	tcase_add_test(tcase, can_be_used_again_after_release);
	tcase_add_test(tcase, grows_by_doubling);
	tcase_add_test(tcase, agrees_with_a_plain_array);
	suite_add_tcase(suite, tcase);
	return suite;
}
