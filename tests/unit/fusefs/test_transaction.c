#include "fusefs/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct transaction transaction;
static struct transaction_error error;

/* From memory that ends where the text does. */
static int parse(const char *text, size_t size)
{
	char *copy = unit_exact_copy(text, size);
	int err = transaction_parse(copy, size, &transaction, &error);

	free(copy);
	if (err) {
		ck_assert_uint_eq(transaction.count, 0);
		ck_assert_ptr_null(transaction.steps);
	}
	return err;
}

static void takes(const char *text)
{
	int err = parse(text, strlen(text));

	if (err)
		ck_abort_msg("'%s': line %u: %s", text, error.line, error.message);
}

static void refuses_bytes(const char *text, size_t size, unsigned line, const char *why)
{
	ck_assert_int_eq(parse(text, size), -EINVAL);
	if (error.line != line || !strstr(error.message, why))
		ck_abort_msg("'%s': line %u: %s", text, error.line, error.message);
}

static void refuses(const char *text, unsigned line, const char *why)
{
	refuses_bytes(text, strlen(text), line, why);
}

static void check_step(size_t i, enum write_verb verb, const char *path, const char *data, int32_t version)
{
	const struct write_step *step = &transaction.steps[i];

	ck_assert_uint_lt(i, transaction.count);
	ck_assert_int_eq(step->verb, verb);
	ck_assert_str_eq(step->path, path);
	ck_assert_int_eq(step->version, version);
	ck_assert_uint_eq(step->data ? step->data->size : 0, data ? strlen(data) : 0);
	if (step->data && data)
		ck_assert_mem_eq(step->data->data, data, strlen(data));
	ck_assert_ptr_null(step->acl);
}

static void check_flags(size_t i, enum write_mode mode, bool is_sequential)
{
	ck_assert_int_eq(transaction.steps[i].mode, mode);
	ck_assert_int_eq(transaction.steps[i].is_sequential, is_sequential);
}

START_TEST(example_of_the_design)
{
	takes("check /node1 3\n"
	      "create /node2/child \"a value\" ephemeral sequential\n"
	      "set /config \"x\\n\" 7\n"
	      "delete /old -1\n");
	ck_assert_uint_eq(transaction.count, 4);
	check_step(0, WRITE_CHECK, "/node1", NULL, 3);
	check_step(1, WRITE_CREATE, "/node2/child", "a value", -1);
	check_flags(1, WRITE_EPHEMERAL, true);
	check_step(2, WRITE_SET, "/config", "x\n", 7);
	check_step(3, WRITE_DELETE, "/old", NULL, -1);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(transaction.lines[i], i + 1);
	transaction_release(&transaction);
	transaction_release(&transaction);
}
END_TEST

START_TEST(lines_are_counted)
{
	takes("\n# nothing\n  \t\r\n\tcheck\t/a  \r\n  # set /x y\n\nset /b c");
	ck_assert_uint_eq(transaction.count, 2);
	ck_assert_uint_eq(transaction.lines[0], 4);
	ck_assert_uint_eq(transaction.lines[1], 7);
	check_step(0, WRITE_CHECK, "/a", NULL, -1);
	check_step(1, WRITE_SET, "/b", "c", -1);
	transaction_release(&transaction);
	takes("");
	ck_assert_uint_eq(transaction.count, 0);
	takes("\n#");
	ck_assert_uint_eq(transaction.count, 0);
	transaction_release(&transaction);
}
END_TEST

START_TEST(words)
{
	takes("set / \"\\\"\\\\\\n\\r\\t\\x41\\xe4\\x7F # no comment\"\n");
	check_step(0, WRITE_SET, "/", "\"\\\n\r\tA\xe4\x7f # no comment", -1);
	transaction_release(&transaction);
	takes("set /a# #x 1\nset \"/a b\" \"\" -1\ncreate /ephemeral ephemeral\ncreate /q/ \"sequential\" sequential\n"
	      "set /\xc3\xa4 \xff\n");
	check_step(0, WRITE_SET, "/a#", "#x", 1);
	check_step(1, WRITE_SET, "/a b", "", -1);
	check_step(2, WRITE_CREATE, "/ephemeral", "ephemeral", -1);
	check_flags(2, WRITE_PERSISTENT, false);
	check_step(3, WRITE_CREATE, "/q/", "sequential", -1);
	check_flags(3, WRITE_PERSISTENT, true);
	check_step(4, WRITE_SET, "/\xc3\xa4", "\xff", -1);
	transaction_release(&transaction);
}
END_TEST

START_TEST(data_may_be_any_bytes)
{
	static const char text[] = "set /a \"\0\x01\xff\\x00\"";

	ck_assert_int_eq(parse(text, sizeof(text) - 1), 0);
	ck_assert_uint_eq(transaction.steps[0].data->size, 4);
	ck_assert_mem_eq(transaction.steps[0].data->data, "\0\x01\xff\0", 4);
	transaction_release(&transaction);
}
END_TEST

START_TEST(versions)
{
	takes("check /a 2147483647\ncheck /a -2147483648\ncheck /a 007\n");
	check_step(0, WRITE_CHECK, "/a", NULL, INT32_MAX);
	check_step(1, WRITE_CHECK, "/a", NULL, INT32_MIN);
	check_step(2, WRITE_CHECK, "/a", NULL, 7);
	transaction_release(&transaction);
	refuses("check /a 2147483648", 1, "not a version");
	refuses("check /a -2147483649", 1, "not a version");
	refuses("check /a 99999999999999999999999", 1, "not a version");
	refuses("check /a 1x", 1, "not a version");
	refuses("check /a +1", 1, "not a version");
	refuses("check /a 0x1", 1, "not a version");
	refuses("check /a \"1\"", 1, "not a version");
	refuses("check /a \"\"", 1, "not a version");
	refuses("check /a --1", 1, "not a version");
	refuses("set /a b 1.0", 1, "not a version");
}
END_TEST

START_TEST(what_is_made_alone)
{
	takes("create /a b container\n");
	ck_assert(transaction.count == 1 && transaction.steps[0].mode == WRITE_CONTAINER);
	transaction_release(&transaction);
	takes("create /a/ b sequential ttl=2147483647\n");
	ck_assert(transaction.steps[0].mode == WRITE_PERSISTENT && transaction.steps[0].is_sequential);
	ck_assert_int_eq(transaction.steps[0].ttl, INT32_MAX);
	transaction_release(&transaction);
}
END_TEST

START_TEST(what_is_wrong)
{
	refuses("check /a\n\nfoo /a\n", 3, "neither check");
	refuses("\"check\" /a\n", 1, "neither check");
	refuses("CHECK /a", 1, "neither check");
	refuses("check", 1, "needs a path");
	refuses("create /a", 1, "needs data");
	refuses("set /a", 1, "needs data");
	refuses("check /a 1 2", 1, "too many words");
	refuses("delete /a 1 2", 1, "too many words");
	refuses("set /a b 1 2", 1, "too many words");
	refuses("create /a b c", 1, "not a flag");
	refuses("create /a b \"ephemeral\"", 1, "not a flag");
	refuses("create /a b ephemeral ephemeral", 1, "not a flag");
	refuses("create /a b sequential sequential", 1, "not a flag");
	refuses("create /a b container container", 1, "not a flag");
	refuses("create /a b container ephemeral", 1, "not a flag");
	refuses("create /a b container sequential", 1, "neither");
	refuses("create /a b ttl=5 container", 1, "neither");
	refuses("create /a b ttl=5 ephemeral", 1, "no time to live");
	refuses("create /a b ttl=5 ttl=6", 1, "not a flag");
	refuses("create /a b \"ttl=5\"", 1, "not a flag");
	refuses("create /a b ttl=", 1, "not a time");
	refuses("create /a b ttl=0", 1, "not a time");
	refuses("create /a b ttl=-5", 1, "not a time");
	refuses("create /a b ttl=5s", 1, "not a time");
	refuses("create /a b ttl=2147483648", 1, "not a time");
	refuses("create /a b ttl=99999999999999999999", 1, "not a time");
	refuses("check /\ncreate /a b container", 2, "alone");
	refuses("create /a b ttl=5\ncheck /", 1, "alone");
	refuses("a b c d e f g h i", 1, "too many words");
	refuses("set /a \"b", 1, "closing");
	refuses("set /a \"", 1, "closing");
	refuses("set /a \"b\nc\"", 1, "closing");
	refuses("set /a \"b\"c", 1, "blank is missing");
	refuses("set /a \"b\"\"c\"", 1, "blank is missing");
	refuses("set /a b\"c", 1, "in quotes");
	refuses("set /a {\"a\":1}", 1, "in quotes");
	refuses("set /a b\\n", 1, "in quotes");
	refuses("set /a \"\\", 1, "not an escape");
	refuses("set /a \"\\q\"", 1, "not an escape");
	refuses("set /a \"\\x\"", 1, "not an escape");
	refuses("set /a \"\\x1\"", 1, "not an escape");
	refuses("set /a \"\\x1g\"", 1, "not an escape");
	refuses("set /a \"\\x", 1, "not an escape");
	refuses_bytes("set /a \"\\\0\"", 10, 1, "not an escape");
	refuses_bytes("set /a b\0", 9, 1, "in quotes");
	/* The reason is one line, whatever the word holds. */
	refuses("create /a b \"x\\ny\\x7f\"", 1, "not a flag here: 'x?y?'");
}
END_TEST

START_TEST(paths)
{
	char text[2 * 1024 + 64];

	refuses("check a", 1, "begin with /");
	refuses("check \"\"", 1, "begin with /");
	refuses("check /a/", 1, "empty component");
	refuses("check //", 1, "empty component");
	refuses("check //a", 1, "empty component");
	refuses("create /a/ b", 1, "empty component");
	refuses("create /a// b sequential", 1, "empty component");
	refuses("check /a/./b", 1, ". or ..");
	refuses("check /..", 1, ". or ..");
	refuses("check \"/a\\x01\"", 1, "refuses");
	refuses("check /\xff", 1, "refuses");
	refuses("check /\xf0\x9f\x98\x80", 1, "refuses");
	refuses("check \"/a\\x00b\"", 1, "NUL");
	takes("check /.data\ncheck /.data=\ncheck /.zkfs\n"); /* a znode's names */
	check_step(1, WRITE_CHECK, "/.data=", NULL, -1);
	transaction_release(&transaction);
	for (int size = 1024; size <= 1025; size++) {
		(void)snprintf(text, sizeof(text), "check /%0*d", size, 0);
		ck_assert_int_eq(parse(text, strlen(text)), size == 1024 ? 0 : -EINVAL);
		transaction_release(&transaction);
	}
}
END_TEST

/* What is put is what is read. */
START_TEST(words_are_put_as_they_are_read)
{
	unit_seed("words_are_put_as_they_are_read");
	for (int round = 0; round < 2000; round++) {
		struct buf text = BUF_INIT;
		char data[16];
		size_t size = unit_random(sizeof(data));

		for (size_t i = 0; i < size; i++)
			data[i] = (char)unit_random(round % 2 ? 256 : 128);
		(void)buf_append(&text, "set /a ", 7);
		transaction_put_word(&text, data, size);
		ck_assert_int_eq(parse(text.data, text.size), 0);
		ck_assert_uint_eq(transaction.count, 1);
		ck_assert_uint_eq(transaction.steps[0].data ? transaction.steps[0].data->size : 0, size);
		if (size)
			ck_assert_mem_eq(transaction.steps[0].data->data, data, size);
		transaction_release(&transaction);
		buf_release(&text);
	}
}
END_TEST

/* Pieces of the language in any order: nothing to be found but by a sanitizer. */
START_TEST(any_text_does_no_harm)
{
	static const char *const pieces[] = { "check", "create", "set", "delete", " ", "\t", "\n", "\r\n", "/a", "/",
		"\"", "\\", "\\x4", "\\n", "-1", "7", "ephemeral", "sequential", "container", "#", "\xc3\xa4", "\xff",
		"..", "99999999999" };

	unit_seed("any_text_does_no_harm");
	for (int round = 0; round < 20000; round++) {
		char text[256];
		size_t size = 0;

		for (size_t i = unit_random(24); i > 0; i--) {
			const char *piece = pieces[unit_random(sizeof(pieces) / sizeof(pieces[0]))];

			memcpy(text + size, piece, strlen(piece));
			size += strlen(piece);
			if (unit_random(8) == 0)
				text[size - 1] = (char)unit_random(256);
		}
		if (parse(text, size) == 0)
			transaction_release(&transaction);
		else
			ck_assert_uint_gt(strlen(error.message), 0);
	}
}
END_TEST

START_TEST(no_memory)
{
	static const char text[] =
		"check /a\ncreate /b c\nset /d e\nset /f g\nset /h i\nset /j k\nset /l m\nset /n o\nset /p q\n";
	int err = -ENOMEM;

	for (int number = 1; err; number++) {
		bool has_failed;

		unit_fail_allocation(number);
		err = transaction_parse(text, sizeof(text) - 1, &transaction, &error);
		has_failed = unit_end_failure();
		ck_assert_int_eq(err, has_failed ? -ENOMEM : 0);
	}
	ck_assert_uint_eq(transaction.count, 9);
	transaction_release(&transaction);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("transaction");
	TCase *tcase = tcase_create("transaction");

	tcase_add_test(tcase, example_of_the_design);
	tcase_add_test(tcase, lines_are_counted);
	tcase_add_test(tcase, words);
	tcase_add_test(tcase, data_may_be_any_bytes);
	tcase_add_test(tcase, versions);
	tcase_add_test(tcase, what_is_made_alone);
	tcase_add_test(tcase, what_is_wrong);
	tcase_add_test(tcase, paths);
	tcase_add_test(tcase, words_are_put_as_they_are_read);
	tcase_add_test(tcase, any_text_does_no_harm);
	tcase_add_test(tcase, no_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}
