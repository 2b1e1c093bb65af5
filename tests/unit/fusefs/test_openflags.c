/* What programs ask for with the flags of zkfs.h. */
#include <stdlib.h>

#include "fusefs/openflags.h"
#include "fusefs/zkfs.h"
#include "tests/unit/unit.h"

#define MAKE (O_CREAT | O_WRONLY)

static const struct {
	int flags;
	bool is_ephemeral, is_sequential, is_held;
} cases[] = {
	{ MAKE, false, false, false }, { MAKE | O_EXCL | O_TRUNC | O_APPEND | O_CLOEXEC, false, false, false },
	{ MAKE | O_ASYNC, true, false, false }, { MAKE | O_DIRECT, false, true, false },
	{ MAKE | O_ASYNC | O_DIRECT, true, true, false },
	{ MAKE | O_NOATIME, false, false, false },	     /* means nothing alone, */
	{ MAKE | O_NOATIME | O_DIRECT, false, true, false }, /* nor with this */
	{ MAKE | O_NOATIME | O_ASYNC, true, false, true }, { MAKE | O_NOATIME | O_ASYNC | O_DIRECT, true, true, true },
	{ MAKE | O_EXCL | ZKFS_O_EPHEMERAL | ZKFS_O_SEQUENTIAL | ZKFS_O_HELD, true, true, true },
	{ O_RDONLY | O_CREAT | O_ASYNC, true, false, false },
	{ O_RDWR | O_CREAT | O_SYNC, false, false, false }, /* some systems know O_SYNC as more than one bit */
};

START_TEST(flags_ask_for_kinds_of_znodes)
{
	struct openflags flags = openflags_of(cases[_i].flags);

	ck_assert_int_eq(flags.is_ephemeral, cases[_i].is_ephemeral);
	ck_assert_int_eq(flags.is_sequential, cases[_i].is_sequential);
	ck_assert_int_eq(flags.is_held, cases[_i].is_held);
	ck_assert_int_eq(openflags_are_special(flags), cases[_i].is_ephemeral || cases[_i].is_sequential);
	ck_assert_int_eq(openflags_want_new(cases[_i].flags), cases[_i].is_ephemeral);
}
END_TEST

START_TEST(the_open_file_is_not_told_to_make_or_to_cut)
{
	ck_assert_int_eq(openflags_without(MAKE | O_EXCL | O_TRUNC | O_APPEND | O_ASYNC),
		O_WRONLY | O_APPEND | O_ASYNC);
	ck_assert_int_eq(openflags_without(O_RDONLY), O_RDONLY);
}
END_TEST

/* No two can mean the same, nor what every program gives. */
START_TEST(flags_are_apart)
{
	const int all[] = { ZKFS_O_EPHEMERAL, ZKFS_O_SEQUENTIAL, ZKFS_O_HELD,
		O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW |
			O_SYNC };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t j = 0; j < i; j++)
			ck_assert_int_eq(all[i] & all[j], 0);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("openflags");
	TCase *tests = tcase_create("flags");

	tcase_add_loop_test(tests, flags_ask_for_kinds_of_znodes, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tests, the_open_file_is_not_told_to_make_or_to_cut);
	tcase_add_test(tests, flags_are_apart);
	suite_add_tcase(suite, tests);
	return suite;
}
