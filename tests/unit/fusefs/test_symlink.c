#include "fusefs/symlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static char form[SYMLINK_SIZE];
static char longest[SYMLINK_TARGET_MAX + 2];

static void check_decodes(const char *target)
{
	char *copy = unit_exact_copy(form, SYMLINK_SIZE);
	const char *found;
	size_t size;

	ck_assert(symlink_decode(copy, SYMLINK_SIZE, &found, &size));
	ck_assert_uint_eq(size, strlen(target));
	ck_assert_mem_eq(found, target, size);
	free(copy);
}

static bool is_link(void)
{
	const char *target;
	size_t size;

	return symlink_decode(form, SYMLINK_SIZE, &target, &size);
}

START_TEST(has_the_form_of_others)
{
	/* printf abc | md5sum */
	static const char head[] = "XSym\n0003\n900150983cd24fb0d6963f7d28e17f72\nabc\n";

	ck_assert_int_eq(symlink_encode("abc", form), 0);
	ck_assert_mem_eq(form, head, sizeof(head) - 1);
	for (size_t i = sizeof(head) - 1; i < SYMLINK_SIZE; i++)
		ck_assert_int_eq(form[i], ' ');
	check_decodes("abc");
}
END_TEST

START_TEST(every_length)
{
	memset(longest, 0, sizeof(longest));
	ck_assert_int_eq(symlink_encode("", form), -ENOENT);
	for (size_t size = 1; size <= SYMLINK_TARGET_MAX; size++) {
		longest[size - 1] = (char)(size % 255 + 1);
		ck_assert_int_eq(symlink_encode(longest, form), 0);
		check_decodes(longest);
	}
	longest[SYMLINK_TARGET_MAX] = 'x';
	ck_assert_int_eq(symlink_encode(longest, form), -ENAMETOOLONG);
}
END_TEST

START_TEST(another_size_is_no_link)
{
	char more[SYMLINK_SIZE + 1];
	const char *target;
	size_t size;

	ck_assert_int_eq(symlink_encode("abc", form), 0);
	memcpy(more, form, SYMLINK_SIZE);
	more[SYMLINK_SIZE] = ' ';
	ck_assert(!symlink_decode(more, SYMLINK_SIZE + 1, &target, &size));
	ck_assert(!symlink_decode(more, SYMLINK_SIZE - 1, &target, &size));
	ck_assert(!symlink_decode(NULL, 0, &target, &size));
}
END_TEST

/* Each byte up to the target's end counts, and none behind it. */
START_TEST(every_byte_counts)
{
	enum { END = 43 + 3 };

	for (size_t i = 0; i < SYMLINK_SIZE; i++) {
		ck_assert_int_eq(symlink_encode("abc", form), 0);
		form[i] ^= 1;
		ck_assert_msg(is_link() == (i >= END), "byte %zu", i);
	}
}
END_TEST

static const struct {
	const char *what, *head;
} wrong[] = {
	{ "length 0", "XSym\n0000\nd41d8cd98f00b204e9800998ecf8427e\n" },
	{ "length with a blank", "XSym\n   3\n900150983cd24fb0d6963f7d28e17f72\nabc\n" },
	{ "length too large", "XSym\n1025\n900150983cd24fb0d6963f7d28e17f72\nabc\n" },
	{ "capital digits", "XSym\n0003\n900150983CD24FB0D6963F7D28E17F72\nabc\n" },
	{ "another's MD5", "XSym\n0003\nd41d8cd98f00b204e9800998ecf8427e\nabc\n" },
};

enum { WRONG = sizeof(wrong) / sizeof(wrong[0]) };

START_TEST(wrong_head)
{
	memset(form, ' ', sizeof(form));
	memcpy(form, wrong[_i].head, strlen(wrong[_i].head));
	ck_assert_msg(!is_link(), "%s", wrong[_i].what);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("symlink");
	TCase *tcase = tcase_create("symlink");

	tcase_add_test(tcase, has_the_form_of_others);
	tcase_add_test(tcase, every_length);
	tcase_add_test(tcase, another_size_is_no_link);
	tcase_add_test(tcase, every_byte_counts);
	tcase_add_loop_test(tcase, wrong_head, 0, WRONG);
	suite_add_tcase(suite, tcase);
	return suite;
}
