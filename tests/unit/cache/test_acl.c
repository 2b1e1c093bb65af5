#include "cache/acl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* --- Helpers --- */

enum { ENTRIES_MAX = 4 };

/* An ACL whose strings are the caller's, held once. */
static struct acl_list *make(const struct acl_entry *entries, uint32_t count)
{
	struct acl_list *acl = malloc(sizeof(*acl) + count * sizeof(acl->list[0]));

	atomic_init(&acl->refs, 1);
	acl->count = count;
	memcpy(acl->list, entries, count * sizeof(acl->list[0]));
	return acl;
}

static int parse(const char *text, size_t size, struct acl_list **acl, char *reason, size_t reason_size)
{
	char *exact = unit_exact_copy(text, size);
	int err = acl_parse(exact, size, acl, reason, reason_size);

	free(exact);
	return err;
}

static bool equals(const struct acl_list *a, const struct acl_list *b)
{
	bool are_equal = a->count == b->count;

	for (uint32_t i = 0; are_equal && i < a->count; i++)
		are_equal = a->list[i].perms == b->list[i].perms && strcmp(a->list[i].scheme, b->list[i].scheme) == 0 &&
			strcmp(a->list[i].id, b->list[i].id) == 0;
	return are_equal;
}

/* The ACL has this text (NULL: whichever), and the text means the ACL. */
static void check_both_ways(const struct acl_list *acl, const char *expected)
{
	struct buf text = BUF_INIT;
	struct acl_list *back;
	char reason[128];

	acl_format(acl, &text);
	ck_assert(!text.failed);
	if (expected && (text.size != strlen(expected) || memcmp(text.data, expected, text.size) != 0))
		ck_abort_msg("'%.*s', not '%s'", (int)text.size, text.data, expected);
	if (parse(text.data, text.size, &back, reason, sizeof(reason)) != 0)
		ck_abort_msg("'%.*s': %s", (int)text.size, text.data, reason);
	if (!equals(acl, back))
		ck_abort_msg("'%.*s' means another ACL", (int)text.size, text.data);
	acl_list_put(back);
	buf_release(&text);
}

static void check_one(int32_t perms, const char *scheme, const char *id, const char *expected)
{
	const struct acl_entry entry = { perms, scheme, id };
	struct acl_list *acl = make(&entry, 1);

	check_both_ways(acl, expected);
	acl_list_put(acl);
}

/* --- Both ways --- */

START_TEST(every_scheme_has_its_text)
{
	check_one(31, "world", "anyone", "world:anyone:cdrwa");
	check_one(1, "auth", "", "auth::r");
	check_one(3, "digest", "bob:2RRGBzOkkJcT+Q3LMBFQEGFRgCY=", "digest:bob:2RRGBzOkkJcT+Q3LMBFQEGFRgCY=:rw");
	check_one(1, "ip", "10.0.0.0/8", "ip:10.0.0.0/8:r");
	check_one(16, "ip", "2001:db8::/32", "ip:2001:db8::/32:a");
	check_one(12, "x509", "CN=bob,OU=a b,O=\"x\\y\"", "x509:CN=bob%2COU=a b%2CO=\"x\\y\":cd");
	check_one(1, "sasl", "zk/host.example@EXAMPLE.ORG", "sasl:zk/host.example@EXAMPLE.ORG:r");
	check_one(1, "sasl", "100%", "sasl:100%25:r");
	check_one(1, "sasl", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "sasl:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80:r");
	check_one(1, "sasl", "a\nb\x7f", "sasl:a%0Ab%7F:r");
	check_one(1, "own:scheme,", ":", "own%3Ascheme%2C:::r");
}
END_TEST

START_TEST(every_combination_of_permissions)
{
	static const char letters[] = "cdrwa";
	static const int32_t bits[] = { 4, 8, 1, 2, 16 };

	for (int32_t perms = 0; perms < 32; perms++) {
		char expected[32] = "world:anyone:";
		size_t size = strlen(expected);

		for (int i = 0; letters[i]; i++) {
			if (perms & bits[i])
				expected[size++] = letters[i];
		}
		check_one(perms, "world", "anyone", expected);
	}
}
END_TEST

/* A server takes any number. */
START_TEST(permissions_without_a_letter)
{
	check_one(32, "world", "anyone", "world:anyone:0x20");
	check_one(-1, "world", "anyone", "world:anyone:0xffffffff");
	check_one(INT32_MIN, "world", "anyone", "world:anyone:0x80000000");
}
END_TEST

START_TEST(several_entries_keep_their_order)
{
	const struct acl_entry entries[] = { { 1, "world", "anyone" }, { 31, "digest", "bob:h" },
		{ 0, "ip", "1.2.3.4" }, { 1, "world", "anyone" } };
	struct acl_list *acl = make(entries, 4);

	check_both_ways(acl, "world:anyone:r,digest:bob:h:cdrwa,ip:1.2.3.4:,world:anyone:r");
	acl_list_put(acl);
}
END_TEST

START_TEST(any_ids_come_back)
{
	static const char bytes[] = "a:,%\\\"x= \n\t/@0\xc3\xa4";

	unit_seed("any_ids_come_back");
	for (int round = 0; round < 20000; round++) {
		struct acl_entry entries[ENTRIES_MAX];
		char strings[2 * ENTRIES_MAX][12] = { "" };
		size_t count = unit_random(ENTRIES_MAX) + 1;
		struct acl_list *acl;

		for (size_t i = 0; i < 2 * count; i++) {
			size_t size = unit_random(10);

			for (size_t at = 0; at < size; at++) {
				strings[i][at] = bytes[unit_random(sizeof(bytes) - 3)];
				if (unit_random(20) == 0 && at + 1 < size)
					memcpy(strings[i] + at++, "\xc3\xa4", 2);
			}
		}
		for (size_t i = 0; i < count; i++) {
			if (!strings[2 * i][0])
				strings[2 * i][0] = 's';
			entries[i] = (struct acl_entry){ (int32_t)unit_random(32), strings[2 * i], strings[2 * i + 1] };
		}
		acl = make(entries, (uint32_t)count);
		check_both_ways(acl, NULL);
		acl_list_put(acl);
	}
}
END_TEST

START_TEST(other_ways_to_write_it)
{
	struct acl_list *acl;
	char reason[128];

	ck_assert_int_eq(parse("sasl:%61%2c%3A:awdcr", 20, &acl, reason, sizeof(reason)), 0);
	ck_assert_str_eq(acl->list[0].id, "a,:");
	ck_assert_int_eq(acl->list[0].perms, 31);
	acl_list_put(acl);
	ck_assert_int_eq(parse("ip:::1:0x3", 10, &acl, reason, sizeof(reason)), 0);
	ck_assert_str_eq(acl->list[0].id, "::1");
	ck_assert_int_eq(acl->list[0].perms, 3);
	acl_list_put(acl);
}
END_TEST

/* --- Bad texts --- */

static void check_bad(const char *text, size_t size, const char *named)
{
	struct acl_list *acl = NULL;
	char reason[128] = "";

	if (parse(text, size, &acl, reason, sizeof(reason)) != -EINVAL)
		ck_abort_msg("'%s' is taken", text);
	if (!strstr(reason, named))
		ck_abort_msg("'%s' is refused because '%s', which does not name '%s'", text, reason, named);
	ck_assert_ptr_null(acl);
	for (const char *at = reason; *at; at++)
		ck_assert_msg(*at >= 0x20 && *at < 0x7f, "a line for a log: '%s'", reason);
}

START_TEST(bad_texts_name_their_part)
{
	static const struct {
		const char *text, *named;
	} cases[] = {
		{ "", "empty" },
		{ ",", "empty" },
		{ "world:anyone:r,", "empty" },
		{ ",world:anyone:r", "empty" },
		{ "world:anyone:r,,ip:1.2.3.4:r", "empty" },
		{ "world", "'world'" },
		{ "world:anyone", "'world:anyone'" },
		{ "world:anyone:r,bob:r,ip:1.2.3.4:r", "'bob:r'" },
		{ "world:anyone:rx", "'rx'" },
		{ "world:anyone:R", "'R'" },
		{ "world:anyone:r ", "'r '" },
		{ "world:anyone:r\n", "'r\\x0a'" },
		{ "world:anyone:31", "'31'" },
		{ "world:anyone:0x", "'0x'" },
		{ "world:anyone:0xg", "'0xg'" },
		{ "world:anyone:0x123456789", "'0x123456789'" },
		{ "ip:1.2.3.4:r, world:anyone:r,world:everyone:r", "'world:everyone:r'" },
		{ ":anyone:r", "':anyone:r'" },
		{ "digest:bob:r", "'digest:bob:r'" },
		{ "digest:bob::r", "'digest:bob::r'" },
		{ "digest:bob:x:r", "'digest:bob:x:r'" },
		{ "sasl:100%:r", "'100%'" },
		{ "sasl:%2:r", "'%2'" },
		{ "sasl:%2g:r", "'%2g'" },
		{ "sasl:%%:r", "'%%'" },
		{ "sasl:%00:r", "'%00'" },
		{ "%zz:x:r", "'%zz'" },
		{ "sasl:\xff:r", "'\\xff'" },
		{ "sasl:\xc0\x80:r", "'\\xc0\\x80'" },
		{ "sasl:\xed\xa0\x80:r", "'\\xed\\xa0\\x80'" },
		{ "sasl:\xf5\x80\x80\x80:r", "'\\xf5" },
		{ "sasl:%C3:r", "'%C3'" },
		{ "sasl:\xe2\x82:r", "'\\xe2\\x82'" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_bad(cases[i].text, strlen(cases[i].text), cases[i].named);
	check_bad("world:any\0one:r", 15, "'any\\x00one'");
	check_bad("world:anyone:r\0", 15, "'r\\x00'");
}
END_TEST

START_TEST(a_long_bad_part_is_cut)
{
	char text[2000];
	struct acl_list *acl;
	char reason[128], all[1000];

	memset(text, '\1', sizeof(text));
	ck_assert_int_eq(parse(text, sizeof(text), &acl, all, sizeof(all)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(all, "...'"));
	ck_assert_int_eq(parse(text, sizeof(text), &acl, reason, sizeof(reason)), -EINVAL);
	ck_assert_uint_eq(strlen(reason), sizeof(reason) - 1);
}
END_TEST

/* What was taken means what it is written as. */
START_TEST(nonsense_is_taken_or_refused)
{
	static const char pieces[][8] = { "world", "anyone", "digest", "ip", ":", ":", ":", ",", "%", "%2C", "r",
		"cdrwa", "0x", "x", "\xc3", "\xa4", "\n", "1" };
	int taken = 0;

	unit_seed("nonsense_is_taken_or_refused");
	for (int round = 0; round < 50000; round++) {
		struct acl_list *acl;
		char text[128] = "";
		char reason[64];
		int err;

		for (size_t count = unit_random(14); count > 0; count--)
			strcat(text, pieces[unit_random(sizeof(pieces) / sizeof(pieces[0]))]);
		err = parse(text, strlen(text), &acl, reason, sizeof(reason));
		if (err == 0) {
			check_both_ways(acl, NULL);
			acl_list_put(acl);
			taken++;
		} else if (err != -EINVAL) {
			ck_abort_msg("'%s': %d", text, err);
		}
	}
	ck_assert_int_gt(taken, 10);
}
END_TEST

START_TEST(without_memory)
{
	const struct acl_entry entry = { 1, "world", "anyone" };
	struct acl_list *acl = make(&entry, 1);
	struct acl_list *back;
	struct buf text = BUF_INIT;
	char reason[64];
	int err;

	unit_fail_allocation(1);
	err = acl_parse("world:anyone:r", 14, &back, reason, sizeof(reason));
	ck_assert(unit_end_failure());
	ck_assert_int_eq(err, -ENOMEM);
	unit_fail_allocation(1);
	acl_format(acl, &text);
	ck_assert(unit_end_failure());
	ck_assert(text.failed);
	buf_release(&text);
	acl_list_put(acl);
}
END_TEST

/* --- What the server makes of it --- */

static bool may_become(const char *set, const char *got)
{
	struct acl_list *from, *to;
	char reason[64];
	bool may;

	ck_assert_int_eq(parse(set, strlen(set), &from, reason, sizeof(reason)), 0);
	ck_assert_int_eq(parse(got, strlen(got), &to, reason, sizeof(reason)), 0);
	may = acl_may_become(from, to);
	acl_list_put(from);
	acl_list_put(to);
	return may;
}

START_TEST(what_is_read_after_setting)
{
	ck_assert(may_become("world:anyone:r", "world:anyone:r"));
	ck_assert(may_become("world:anyone:r,world:anyone:r", "world:anyone:r"));
	ck_assert(may_become("auth::cdrwa,world:anyone:r", "digest:bob:h:cdrwa,ip:1.2.3.4:cdrwa,world:anyone:r"));
	ck_assert(!may_become("auth::cdrwa,world:anyone:r", "digest:bob:h:cdrw,world:anyone:r"));
	ck_assert(!may_become("world:anyone:r", "world:anyone:rw"));
	ck_assert(!may_become("world:anyone:r", "world:anyone:r,ip:1.2.3.4:r"));
	ck_assert(!may_become("world:anyone:r,ip:1.2.3.4:r", "world:anyone:r"));
	ck_assert(!may_become("ip:1.2.3.4:r", "ip:1.2.3.5:r"));
	ck_assert(!may_become("ip:x:r", "sasl:x:r"));
}
END_TEST

START_TEST(hidden_digests)
{
	ck_assert(acl_is_hidden(&(struct acl_entry){ 1, "digest", "bob:x" }));
	ck_assert(!acl_is_hidden(&(struct acl_entry){ 1, "digest", "bob:xx" }));
	ck_assert(!acl_is_hidden(&(struct acl_entry){ 1, "digest", "x" }));
	ck_assert(!acl_is_hidden(&(struct acl_entry){ 1, "sasl", "bob:x" }));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("acl");
	TCase *both = tcase_create("both ways");
	TCase *bad = tcase_create("bad texts");
	TCase *server = tcase_create("the server");

	tcase_add_test(both, every_scheme_has_its_text);
	tcase_add_test(both, every_combination_of_permissions);
	tcase_add_test(both, permissions_without_a_letter);
	tcase_add_test(both, several_entries_keep_their_order);
	tcase_add_test(both, any_ids_come_back);
	tcase_add_test(both, other_ways_to_write_it);
	suite_add_tcase(suite, both);
	tcase_add_test(bad, bad_texts_name_their_part);
	tcase_add_test(bad, a_long_bad_part_is_cut);
	tcase_add_test(bad, nonsense_is_taken_or_refused);
	tcase_add_test(bad, without_memory);
	suite_add_tcase(suite, bad);
	tcase_add_test(server, what_is_read_after_setting);
	tcase_add_test(server, hidden_digests);
	suite_add_tcase(suite, server);
	return suite;
}
