#include "cache/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

static char file[] = "/tmp/zkfs-test-credentials-XXXXXX";
static struct credentials credentials;
static char reason[256];

/* mkstemp makes it private. */
static void setup(void)
{
	int fd;

	memset(&credentials, 0, sizeof(credentials));
	memset(reason, 0, sizeof(reason));
	memcpy(file + sizeof(file) - 7, "XXXXXX", 6);
	fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
}

static void teardown(void)
{
	credentials_release(&credentials);
	(void)unlink(file);
}

static void write_text(const char *text, size_t size)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(text, 1, size, out), size);
	ck_assert_int_eq(fclose(out), 0);
}

static int read_text(const char *text)
{
	write_text(text, strlen(text));
	return credentials_read(file, &credentials, reason, sizeof(reason));
}

static bool has_in_reason(const char *text)
{
	return strstr(reason, text) != NULL;
}

static bool is_empty(void)
{
	return credentials.count == 0 && !credentials.list;
}

static void check_credential(size_t at, const char *scheme, const char *id)
{
	ck_assert_str_eq(credentials.list[at].scheme, scheme);
	ck_assert_str_eq(credentials.list[at].id, id);
}

/* Files with one credential. */
static const struct {
	const char *text, *scheme, *id;
} single[] = {
	{ "digest bob:secret\n", "digest", "bob:secret" },
	{ "digest bob:secret", "digest", "bob:secret" },
	{ "digest bob:secret\r\n", "digest", "bob:secret" },
	{ "  digest \t bob:secret\n", "digest", "bob:secret" },
	{ "\n\n# who we are\n \t\n  # indented\ndigest bob:secret\n\n", "digest", "bob:secret" },
	{ "digest bob:sec:ret\n", "digest", "bob:sec:ret" },
	{ "digest bob:\n", "digest", "bob:" },
	/* what is in a password is the user's: blanks and # too */
	{ "digest bob:my secret #1 \n", "digest", "bob:my secret #1 " },
	{ "digest b\303\266b:s\303\251cret\n", "digest", "b\303\266b:s\303\251cret" },
	{ "x509 anything goes\n", "x509", "anything goes" },
};

START_TEST(reads_a_credential)
{
	int err = read_text(single[_i].text);

	ck_assert_msg(err == 0, "%s", reason);
	ck_assert_uint_eq(credentials.count, 1);
	check_credential(0, single[_i].scheme, single[_i].id);
	ck_assert_str_eq(reason, "");
}
END_TEST

START_TEST(reads_several_in_order)
{
	ck_assert_int_eq(read_text("digest a:1\n# and\ndigest b:2\n\nip 10.0.0.1\n"), 0);
	ck_assert_uint_eq(credentials.count, 3);
	check_credential(0, "digest", "a:1");
	check_credential(1, "digest", "b:2");
	check_credential(2, "ip", "10.0.0.1");
}
END_TEST

START_TEST(reads_long_lines)
{
	enum { SIZE = 100000 };
	char *text = malloc(SIZE + 1);

	memset(text, 'x', SIZE);
	memcpy(text, "digest bob:", 11);
	text[SIZE - 1] = '\n';
	text[SIZE] = '\0';
	ck_assert_int_eq(read_text(text), 0);
	ck_assert_uint_eq(strlen(credentials.list[0].id), SIZE - 1 - strlen("digest "));
	free(text);
}
END_TEST

/* Files that are not of the form; said: what the reason must name. */
static const struct {
	const char *text, *said;
} bad[] = {
	{ "digest\n", "line 1 " },
	{ "digest \n", "line 1 " },
	{ "digest bob\n", "line 1 " },
	{ "bob:secret\n", "line 1 " },
	{ "digest a:1\n\n# x\ndigest b\n", "line 4 " },
	{ "digest a:1\nx", "line 2 " },
	{ "", "no credential" },
	{ "\n", "no credential" },
	{ "# digest bob:secret\n \n", "no credential" },
};

START_TEST(says_which_line_is_wrong)
{
	ck_assert_int_eq(read_text(bad[_i].text), -EINVAL);
	ck_assert_msg(has_in_reason(bad[_i].said), "no \"%s\" in \"%s\"", bad[_i].said, reason);
	ck_assert_msg(has_in_reason(file), "%s", reason);
	ck_assert(is_empty());
}
END_TEST

/* What is told of a line must not tell the password. */
START_TEST(says_no_secrets)
{
	ck_assert_int_eq(read_text("digest bob secret\n"), -EINVAL);
	ck_assert(!has_in_reason("secret") && !has_in_reason("bob"));
	ck_assert_int_eq(read_text("secret\n"), -EINVAL);
	ck_assert(!has_in_reason("secret"));
}
END_TEST

START_TEST(others_must_not_read_it)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0601, 0644, 0777 };

	for (int i = 0; i < COUNT(modes); i++) {
		write_text("digest bob:secret\n", 18);
		ck_assert_int_eq(chmod(file, modes[i]), 0);
		ck_assert_int_eq(credentials_read(file, &credentials, reason, sizeof(reason)), -EPERM);
		ck_assert_msg(has_in_reason("chmod 600") && has_in_reason(file), "%s", reason);
		ck_assert(is_empty());
	}
}
END_TEST

START_TEST(its_owner_may_have_any_mode)
{
	static const mode_t modes[] = { 0400, 0600, 0700 };

	write_text("digest bob:secret\n", 18);
	for (int i = 0; i < COUNT(modes); i++) {
		ck_assert_int_eq(chmod(file, modes[i]), 0);
		ck_assert_int_eq(credentials_read(file, &credentials, reason, sizeof(reason)), 0);
		credentials_release(&credentials);
	}
}
END_TEST

START_TEST(must_be_there)
{
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(credentials_read(file, &credentials, reason, sizeof(reason)), -ENOENT);
	ck_assert_msg(has_in_reason(file) && has_in_reason("No such file"), "%s", reason);
	ck_assert(is_empty());
}
END_TEST

START_TEST(must_be_a_file)
{
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	ck_assert_int_eq(credentials_read(file, &credentials, reason, sizeof(reason)), -EISDIR);
	ck_assert_msg(has_in_reason("is not a regular file"), "%s", reason);
	ck_assert(is_empty());
	ck_assert_int_eq(rmdir(file), 0);
}
END_TEST

static int lowest_free_fd(void)
{
	int fd = dup(STDIN_FILENO);

	(void)close(fd);
	return fd;
}

START_TEST(leaves_nothing_open)
{
	int fd = lowest_free_fd();

	ck_assert_int_eq(read_text("digest a:1\n"), 0);
	ck_assert_int_eq(lowest_free_fd(), fd);
	credentials_release(&credentials);
	ck_assert_int_eq(read_text("digest\n"), -EINVAL);
	ck_assert_int_eq(lowest_free_fd(), fd);
}
END_TEST

/* Each allocation of it fails once; a sanitizer sees what is not given back. */
START_TEST(no_memory)
{
	int number = 0;
	bool has_failed;

	write_text("digest a:1\ndigest b:2\n", 22);
	do {
		int err;

		unit_fail_allocation(++number);
		err = credentials_read(file, &credentials, reason, sizeof(reason));
		has_failed = unit_end_failure();
		if (has_failed) {
			ck_assert_int_eq(err, -ENOMEM);
			ck_assert_msg(has_in_reason(file), "%s", reason);
			ck_assert(is_empty());
		} else {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_eq(credentials.count, 2);
		}
	} while (has_failed);
	ck_assert_int_eq(number, 7);
}
END_TEST

START_TEST(may_be_released_twice)
{
	ck_assert_int_eq(read_text("digest a:1\n"), 0);
	credentials_release(&credentials);
	ck_assert(is_empty());
	credentials_release(&credentials);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("credentials");
	TCase *tcase = tcase_create("credentials");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, reads_a_credential, 0, COUNT(single));
	tcase_add_test(tcase, reads_several_in_order);
	tcase_add_test(tcase, reads_long_lines);
	tcase_add_loop_test(tcase, says_which_line_is_wrong, 0, COUNT(bad));
	tcase_add_test(tcase, says_no_secrets);
	tcase_add_test(tcase, others_must_not_read_it);
	tcase_add_test(tcase, its_owner_may_have_any_mode);
	tcase_add_test(tcase, must_be_there);
	tcase_add_test(tcase, must_be_a_file);
	tcase_add_test(tcase, leaves_nothing_open);
	tcase_add_test(tcase, no_memory);
	tcase_add_test(tcase, may_be_released_twice);
	suite_add_tcase(suite, tcase);
	return suite;
}
