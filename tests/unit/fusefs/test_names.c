#include "fusefs/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

enum { NONE = -1 };

/* What a file name means. size: of the znode's name, for NAME_NODE. */
static const struct {
	const char *name;
	bool in_root;
	int err;
	int class;
	size_t size;
} names[] = {
	{ "a", false, 0, NAME_NODE, 1 },
	{ "hello world", false, 0, NAME_NODE, 11 },
	{ "...", false, 0, NAME_NODE, 3 },
	{ "..a", false, 0, NAME_NODE, 3 },
	{ ".a", true, 0, NAME_NODE, 2 },
	{ "=", true, 0, NAME_NODE, 1 },
	{ "a=", true, 0, NAME_NODE, 2 },
	{ "a\\b*?[]\"'|<>:", true, 0, NAME_NODE, 13 },
	/* the directory's own data, and children of that name */
	{ ".data", false, 0, NAME_DATA, 5 },
	{ ".data", true, 0, NAME_DATA, 5 },
	{ ".data=", false, 0, NAME_NODE, 5 },
	{ ".data==", false, 0, NAME_NODE, 6 },
	{ ".data===", true, 0, NAME_NODE, 7 },
	{ ".data=x", false, 0, NAME_NODE, 7 },
	{ ".data=x=", false, 0, NAME_NODE, 8 },
	{ ".datax", false, 0, NAME_NODE, 6 },
	{ ".dat", false, 0, NAME_NODE, 4 },
	{ "data", false, 0, NAME_NODE, 4 },
	{ "x.data", false, 0, NAME_NODE, 6 },
	{ ".DATA", false, 0, NAME_NODE, 5 },
	/* the control directory */
	{ ".zkfs", true, 0, NAME_CONTROL, 5 },
	{ ".zkfs=", true, 0, NAME_NODE, 5 },
	{ ".zkfs==", true, 0, NAME_NODE, 6 },
	{ ".zkfsx", true, 0, NAME_NODE, 6 },
	{ ".zkfs-locks", true, 0, NAME_NODE, 11 },
	{ ".zkfs", false, 0, NAME_NODE, 5 },
	{ ".zkfs=", false, 0, NAME_NODE, 6 },
	{ ".zkfs==", false, 0, NAME_NODE, 7 },
	/* no names at all */
	{ "", false, -EINVAL, NONE, 0 },
	{ ".", false, -EINVAL, NONE, 0 },
	{ "..", true, -EINVAL, NONE, 0 },
	{ "a/b", false, -EINVAL, NONE, 0 },
	{ "/", false, -EINVAL, NONE, 0 },
	/* control characters: C0, DEL, C1, and their neighbours */
	{ "\x01", false, -EILSEQ, NONE, 0 },
	{ "a\tb", false, -EILSEQ, NONE, 0 },
	{ "a\n", false, -EILSEQ, NONE, 0 },
	{ "\x1f", false, -EILSEQ, NONE, 0 },
	{ " ", false, 0, NAME_NODE, 1 },
	{ "~", false, 0, NAME_NODE, 1 },
	{ "\x7f", false, -EILSEQ, NONE, 0 },
	{ "\xc2\x80", false, -EILSEQ, NONE, 0 },
	{ "a\xc2\x85", false, -EILSEQ, NONE, 0 },
	{ "\xc2\x9f", false, -EILSEQ, NONE, 0 },
	{ "\u00a0", false, 0, NAME_NODE, 2 },
	/* every length of character that is taken */
	{ "äöü€", false, 0, NAME_NODE, 9 },
	{ "\u07ff\u0800", false, 0, NAME_NODE, 5 },
	{ "日本語", false, 0, NAME_NODE, 9 },
	{ "\u200b", false, 0, NAME_NODE, 3 },
	/* private use and specials, and their neighbours */
	{ "\xed\x9f\xbf" /* U+D7FF */, false, 0, NAME_NODE, 3 },
	{ "\ue000", false, -EILSEQ, NONE, 0 },
	{ "\uf8ff", false, -EILSEQ, NONE, 0 },
	{ "\uf900", false, 0, NAME_NODE, 3 },
	{ "\ufeff", false, 0, NAME_NODE, 3 },
	{ "\uffef", false, 0, NAME_NODE, 3 },
	{ "\ufff0", false, -EILSEQ, NONE, 0 },
	{ "\ufffd", false, -EILSEQ, NONE, 0 },
	{ "\uffff", false, -EILSEQ, NONE, 0 },
	/* beyond the BMP */
	{ "\U00010000", false, -EILSEQ, NONE, 0 },
	{ "party \U0001f389", false, -EILSEQ, NONE, 0 },
	{ "\U0010ffff", false, -EILSEQ, NONE, 0 },
	{ "\xf4\x90\x80\x80" /* U+110000 */, false, -EILSEQ, NONE, 0 },
	/* surrogates written as UTF-8 */
	{ "\xed\xa0\x80" /* U+D800 */, false, -EILSEQ, NONE, 0 },
	{ "\xed\xbf\xbf" /* U+DFFF */, false, -EILSEQ, NONE, 0 },
	{ "\xed\xa0\xbd\xed\xb8\x80" /* CESU-8 of U+1F600 */, false, -EILSEQ, NONE, 0 },
	/* overlong forms */
	{ "\xc0\xaf" /* of '/' */, false, -EILSEQ, NONE, 0 },
	{ "\xc1\xbf", false, -EILSEQ, NONE, 0 },
	{ "\xc0\x80" /* of NUL: Java's modified UTF-8 */, false, -EILSEQ, NONE, 0 },
	{ "\xe0\x80\xaf", false, -EILSEQ, NONE, 0 },
	{ "\xe0\x9f\xbf" /* of U+07FF */, false, -EILSEQ, NONE, 0 },
	{ "\xf0\x80\x80\xaf", false, -EILSEQ, NONE, 0 },
	{ "\xf0\x8f\xbf\xbf", false, -EILSEQ, NONE, 0 },
	/* not UTF-8 */
	{ "caf\xe9", false, -EILSEQ, NONE, 0 },
	{ "\x80", false, -EILSEQ, NONE, 0 },
	{ "a\xbf", false, -EILSEQ, NONE, 0 },
	{ "\xc3", false, -EILSEQ, NONE, 0 },
	{ "\xc3(", false, -EILSEQ, NONE, 0 },
	{ "\xc3\xc3", false, -EILSEQ, NONE, 0 },
	{ "\xe2\x82", false, -EILSEQ, NONE, 0 },
	{ "\xe2", false, -EILSEQ, NONE, 0 },
	{ "\xe2(\xa1", false, -EILSEQ, NONE, 0 },
	{ "\xe2\x82(", false, -EILSEQ, NONE, 0 },
	{ "\xf8\x88\x80\x80\x80", false, -EILSEQ, NONE, 0 },
	{ "\xfe", false, -EILSEQ, NONE, 0 },
	{ "\xff", false, -EILSEQ, NONE, 0 },
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

START_TEST(parses)
{
	char *name = unit_exact_copy(names[_i].name, strlen(names[_i].name) + 1);
	enum name_class class;
	size_t size;

	ck_assert_int_eq(name_parse(name, names[_i].in_root, &class, &size), names[_i].err);
	if (!names[_i].err) {
		ck_assert_int_eq((int)class, names[_i].class);
		ck_assert_uint_eq(size, names[_i].size);
	}
	free(name);
}
END_TEST

/* How a znode is shown. NULL: with -EILSEQ, not at all. */
static const struct {
	const char *node;
	bool in_root;
	const char *name;
} nodes[] = {
	{ "a", true, "a" },
	{ "...", true, "..." },
	{ "=", true, "=" },
	{ "日本語", false, "日本語" },
	{ ".data", false, ".data=" },
	{ ".data=", false, ".data==" },
	{ ".data==", true, ".data===" },
	{ ".data=x", false, ".data=x" },
	{ ".datax", false, ".datax" },
	{ ".zkfs", true, ".zkfs=" },
	{ ".zkfs=", true, ".zkfs==" },
	{ ".zkfs==", true, ".zkfs===" },
	{ ".zkfs", false, ".zkfs" },
	{ ".zkfs=", false, ".zkfs=" },
	{ ".zkfs-locks", true, ".zkfs-locks" },
	{ "", false, NULL },
	{ ".", false, NULL },
	{ "..", false, NULL },
	{ "a/b", false, NULL },
	{ "a\n", false, NULL },
	{ "\xc2\x85", false, NULL },
	{ "\xff", false, NULL },
	{ "\xc0\xaf", false, NULL },
	{ "\xed\xa0\x80", false, NULL },
	{ "\U0001f389", false, NULL },
	{ "\ue000", false, NULL },
};

enum { NODES = sizeof(nodes) / sizeof(nodes[0]) };

static void check_round_trip(const char *node, bool in_root)
{
	char name[NAMES_MAX + 1];
	int length = name_escape(node, in_root, name);
	enum name_class class;
	size_t size;

	ck_assert_int_gt(length, 0);
	ck_assert_uint_eq(strlen(name), (size_t)length);
	ck_assert_int_eq(name_parse(name, in_root, &class, &size), 0);
	ck_assert_int_eq(class, NAME_NODE);
	ck_assert_uint_eq(size, strlen(node));
	ck_assert_mem_eq(name, node, size);
}

START_TEST(escapes)
{
	char name[NAMES_MAX + 1];
	int length = name_escape(nodes[_i].node, nodes[_i].in_root, name);

	if (!nodes[_i].name) {
		ck_assert_int_eq(length, -EILSEQ);
		return;
	}
	ck_assert_int_eq(length, (int)strlen(nodes[_i].name));
	ck_assert_str_eq(name, nodes[_i].name);
	check_round_trip(nodes[_i].node, nodes[_i].in_root);
}
END_TEST

static void fill(char *name, size_t size, const char *start)
{
	memset(name, '=', size);
	memcpy(name, start, strlen(start));
	name[size] = '\0';
}

START_TEST(names_of_1024_bytes_are_taken)
{
	char name[NAMES_MAX + 2];
	enum name_class class;
	size_t size;

	fill(name, NAMES_MAX, "a");
	ck_assert_int_eq(name_parse(name, false, &class, &size), 0);
	ck_assert_uint_eq(size, NAMES_MAX);
	check_round_trip(name, false);

	fill(name, NAMES_MAX, ".data");
	ck_assert_int_eq(name_parse(name, false, &class, &size), 0);
	ck_assert_uint_eq(size, NAMES_MAX - 1);
	fill(name, NAMES_MAX - 1, ".data");
	check_round_trip(name, false);
	fill(name, NAMES_MAX - 1, ".zkfs");
	check_round_trip(name, true);
}
END_TEST

START_TEST(names_of_1025_bytes_are_too_long)
{
	char name[NAMES_MAX + 2];
	char shown[NAMES_MAX + 1];
	enum name_class class;
	size_t size;

	fill(name, NAMES_MAX + 1, "a");
	ck_assert_int_eq(name_parse(name, false, &class, &size), -ENAMETOOLONG);
	ck_assert_int_eq(name_escape(name, false, shown), -ENAMETOOLONG);
	name[10] = '\n';
	ck_assert_int_eq(name_parse(name, false, &class, &size), -ENAMETOOLONG);
	fill(name, NAMES_MAX + 1, ".data");
	ck_assert_int_eq(name_parse(name, false, &class, &size), -ENAMETOOLONG);
	/* The escape would make it too long. */
	fill(name, NAMES_MAX, ".data");
	ck_assert_int_eq(name_escape(name, false, shown), -ENAMETOOLONG);
	fill(name, NAMES_MAX, ".zkfs");
	ck_assert_int_eq(name_escape(name, true, shown), -ENAMETOOLONG);
	ck_assert_int_eq(name_escape(name, false, shown), NAMES_MAX);
}
END_TEST

START_TEST(length_counts_bytes)
{
	char name[NAMES_MAX + 4] = "";
	enum name_class class;
	size_t size;

	for (int i = 0; i < 341; i++)
		strcat(name, "€");
	ck_assert_int_eq(name_parse(name, false, &class, &size), 0);
	ck_assert_uint_eq(size, 1023);
	strcat(name, "€");
	ck_assert_int_eq(name_parse(name, false, &class, &size), -ENAMETOOLONG);
}
END_TEST

/* Encodes any number below 2^21 by the rule of UTF-8, allowed or not. */
static void encode(unsigned character, char *to)
{
	size_t size = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	to[size] = '\0';
	for (size_t i = size - 1; i > 0; i--, character >>= 6)
		to[i] = (char)(0x80 | (character & 0x3f));
	to[0] = (char)(leads[size] | character);
}

/* Against PathUtils.validatePath, for every character there is. */
START_TEST(every_character)
{
	for (unsigned c = 1; c < 0x110000; c++) {
		bool refused = c <= 0x1f || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xdfff) ||
			(c >= 0xe000 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xffff) || c > 0xffff;
		char name[8] = "x";
		enum name_class class;
		size_t size;

		if (c == '/')
			continue;
		encode(c, name + 1);
		if (name_parse(name, false, &class, &size) != (refused ? -EILSEQ : 0))
			ck_abort_msg("U+%04X", c);
	}
}
END_TEST

/* Two different znodes are never shown under one name, and what can be listed can be looked up. */
START_TEST(random_names_round_trip)
{
	static const char *const parts[] = { ".data", ".zkfs", "=", "==", "a", "€", ".", "\n", "\xff", "ä" };

	unit_seed("random_names_round_trip");
	for (int i = 0; i < 20000; i++) {
		char node[64] = "";
		char name[NAMES_MAX + 1];
		bool in_root = unit_random(2);
		enum name_class class;
		size_t size;

		for (size_t count = 1 + unit_random(4); count > 0; count--)
			strcat(node, parts[unit_random(sizeof(parts) / sizeof(parts[0]))]);
		if (name_escape(node, in_root, name) >= 0)
			check_round_trip(node, in_root);
		else
			ck_assert_int_lt(name_parse(node, in_root, &class, &size), 0);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("names");
	TCase *tcase = tcase_create("names");

	tcase_add_loop_test(tcase, parses, 0, NAMES);
	tcase_add_loop_test(tcase, escapes, 0, NODES);
	tcase_add_test(tcase, names_of_1024_bytes_are_taken);
	tcase_add_test(tcase, names_of_1025_bytes_are_too_long);
	tcase_add_test(tcase, length_counts_bytes);
	tcase_add_test(tcase, every_character);
	tcase_add_test(tcase, random_names_round_trip);
	suite_add_tcase(suite, tcase);
	return suite;
}
