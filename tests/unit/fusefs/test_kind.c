#include "fusefs/kind.h"

#include "fusefs/symlink.h"

#include "tests/unit/unit.h"

#define SESSION INT64_C(0x1000abcdef00001)
#define CONTAINER INT64_MIN
#define TTL_1_MS ((int64_t)UINT64_C(0xff00000000000001))
#define TTL_MAX ((int64_t)UINT64_C(0xff0000ffffffffff))
#define SESSION_OF_SERVER_255 ((int64_t)UINT64_C(0xff019a1234560000))
#define SESSION_OF_SERVER_200 ((int64_t)UINT64_C(0xc8019a1234560000))

static const struct {
	const char *what;
	struct node_stat stat;
	bool is_root;
	enum kind kind;
} rows[] = {
	/* 1. the root, and what has or ever had children */
	{ "root, nothing in it", { 0 }, true, KIND_DIRECTORY },
	{ "root with data", { .data_length = 5, .version = 3 }, true, KIND_DIRECTORY },
	{ "root written empty", { .version = 3 }, true, KIND_DIRECTORY },
	{ "root, an ephemeral", { .ephemeral_owner = SESSION }, true, KIND_DIRECTORY },
	{ "has a child", { .cversion = 1, .num_children = 1 }, false, KIND_DIRECTORY },
	{ "has a child and data", { .cversion = 1, .num_children = 1, .data_length = 9, .version = 1 }, false,
		KIND_DIRECTORY },
	{ "had a child, has data", { .cversion = 2, .data_length = 9, .version = 1 }, false, KIND_DIRECTORY },
	{ "had a child, written empty", { .cversion = 2, .version = 7 }, false, KIND_DIRECTORY },
	{ "made by the server (/zookeeper)", { .cversion = -2, .num_children = 2 }, false, KIND_DIRECTORY },
	{ "cversion 0 with a child", { .cversion = 0, .num_children = 1, .data_length = 3 }, false, KIND_DIRECTORY },
	{ "cversion wrapped", { .cversion = INT32_MIN, .data_length = 3 }, false, KIND_DIRECTORY },
	{ "container that had children", { .cversion = 4, .ephemeral_owner = CONTAINER }, false, KIND_DIRECTORY },
	/* 2. an ephemeral */
	{ "ephemeral, never written", { .ephemeral_owner = SESSION }, false, KIND_FILE },
	{ "ephemeral with data", { .ephemeral_owner = SESSION, .data_length = 1 }, false, KIND_FILE },
	{ "ephemeral, server id 200", { .ephemeral_owner = SESSION_OF_SERVER_200 }, false, KIND_FILE },
	{ "ephemeral, server id 255", { .ephemeral_owner = SESSION_OF_SERVER_255 }, false, KIND_FILE },
	{ "container is no ephemeral", { .ephemeral_owner = CONTAINER }, false, KIND_DIRECTORY },
	{ "TTL is no ephemeral", { .ephemeral_owner = TTL_1_MS }, false, KIND_DIRECTORY },
	{ "longest TTL is no ephemeral", { .ephemeral_owner = TTL_MAX }, false, KIND_DIRECTORY },
	{ "TTL with data", { .ephemeral_owner = TTL_1_MS, .data_length = 2 }, false, KIND_FILE },
	/* 3. data */
	{ "made with data", { .data_length = 1 }, false, KIND_FILE },
	{ "written", { .data_length = 1, .version = 1 }, false, KIND_FILE },
	/* 4. no data, never written */
	{ "made empty", { .czxid = 5, .mzxid = 5, .pzxid = 5, .ctime = 1, .mtime = 1 }, false, KIND_DIRECTORY },
	{ "made empty, ACL changed", { .aversion = 3 }, false, KIND_DIRECTORY },
	/* 5. no data, written */
	{ "written empty", { .version = 1 }, false, KIND_FILE },
	{ "emptied", { .version = 12 }, false, KIND_FILE },
	{ "version wrapped", { .version = INT32_MIN }, false, KIND_FILE },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(row)
{
	ck_assert_msg(kind_of(&rows[_i].stat, rows[_i].is_root) == rows[_i].kind, "%s", rows[_i].what);
}
END_TEST

START_TEST(symlink_is_a_file_with_its_form)
{
	static const struct node_stat
		file = { .data_length = SYMLINK_SIZE },
		parent = { .cversion = 1, .data_length = SYMLINK_SIZE },
		ephemeral = { .ephemeral_owner = SESSION, .data_length = SYMLINK_SIZE },
		ttl = { .ephemeral_owner = TTL_1_MS, .data_length = SYMLINK_SIZE };
	char form[SYMLINK_SIZE];
	struct bytes *link, *other;

	ck_assert_int_eq(symlink_encode("target", form), 0);
	link = bytes_new(form, sizeof(form));
	form[0] = 'x';
	other = bytes_new(form, sizeof(form));
	ck_assert_int_eq(kind_of_data(&file, link, false), KIND_SYMLINK);
	ck_assert_int_eq(kind_of_data(&file, other, false), KIND_FILE);
	ck_assert_int_eq(kind_of_data(&file, NULL, false), KIND_FILE);
	ck_assert_int_eq(kind_of_data(&file, link, true), KIND_DIRECTORY);
	ck_assert_int_eq(kind_of_data(&parent, link, false), KIND_DIRECTORY);
	ck_assert_int_eq(kind_of_data(&ephemeral, link, false), KIND_FILE);
	ck_assert_int_eq(kind_of_data(&ttl, link, false), KIND_SYMLINK);
	bytes_put(link);
	bytes_put(other);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("kind");
	TCase *tcase = tcase_create("kind");

	tcase_add_loop_test(tcase, row, 0, ROWS);
	tcase_add_test(tcase, symlink_is_a_file_with_its_form);
	suite_add_tcase(suite, tcase);
	return suite;
}
