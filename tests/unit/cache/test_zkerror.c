#include "cache/zkerror.h"

#include <errno.h>
#include <zookeeper/zookeeper.h>

#include "tests/unit/unit.h"

static const struct {
	int code;
	int err;
} rows[] = {
	{ ZOK, 0 },
	{ ZSYSTEMERROR, EIO },
	{ ZRUNTIMEINCONSISTENCY, EIO },
	{ ZDATAINCONSISTENCY, EIO },
	{ ZCONNECTIONLOSS, ETIMEDOUT },
	{ ZMARSHALLINGERROR, EIO },
	{ ZUNIMPLEMENTED, EOPNOTSUPP },
	{ ZOPERATIONTIMEOUT, ETIMEDOUT },
	{ ZBADARGUMENTS, EINVAL },
	{ ZINVALIDSTATE, EIO },
	{ -12, EIO }, /* UNKNOWNSESSION */
	{ ZNEWCONFIGNOQUORUM, EBUSY },
	{ ZRECONFIGINPROGRESS, EBUSY },
	{ ZSSLCONNECTIONERROR, EIO },
	{ ZAPIERROR, EIO },
	{ ZNONODE, ENOENT },
	{ ZNOAUTH, EACCES },
	{ ZBADVERSION, EAGAIN },
	{ ZNOCHILDRENFOREPHEMERALS, ENOTDIR },
	{ ZNODEEXISTS, EEXIST },
	{ ZNOTEMPTY, ENOTEMPTY },
	{ ZSESSIONEXPIRED, EIO },
	{ ZINVALIDCALLBACK, EINVAL },
	{ ZINVALIDACL, EINVAL },
	{ ZAUTHFAILED, EACCES },
	{ ZCLOSING, EIO },
	{ ZNOTHING, EIO },
	{ ZSESSIONMOVED, EIO },
	{ ZNOTREADONLY, EROFS },
	{ ZEPHEMERALONLOCALSESSION, EOPNOTSUPP },
	{ ZNOWATCHER, ENOENT },
	{ -122, ETIMEDOUT }, /* REQUESTTIMEOUT */
	{ ZRECONFIGDISABLED, EOPNOTSUPP },
	{ ZSESSIONCLOSEDREQUIRESASLAUTH, EACCES },
	{ -125, EDQUOT }, /* QUOTAEXCEEDED */
	{ ZTHROTTLEDOP, EBUSY },
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(code_has_its_errno)
{
	ck_assert_int_eq(zkerror_to_errno(rows[_i].code), -rows[_i].err);
}
END_TEST

START_TEST(unknown_codes_are_eio)
{
	static const int codes[] = { 1, 42, -10, -11, -99, -104, -109, -126, -128, -1000, INT32_MAX, INT32_MIN };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		ck_assert_int_eq(zkerror_to_errno(codes[i]), -EIO);
}
END_TEST

START_TEST(no_failure_looks_like_success)
{
	for (int code = -200; code < 0; code++)
		ck_assert_int_lt(zkerror_to_errno(code), 0);
}
END_TEST

/* Whether the request was under way when the connection ended. */
START_TEST(outcome_is_unknown_only_after_a_broken_connection)
{
	for (int code = -200; code <= 0; code++) {
		bool expected = code == ZCONNECTIONLOSS || code == ZOPERATIONTIMEOUT || code == -122 ||
			code == ZCLOSING || code == ZAUTHFAILED;

		ck_assert_msg(!zkerror_is_unknown_outcome(code) == !expected, "code %d", code);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("zkerror");
	TCase *tcase = tcase_create("zkerror");

	tcase_add_loop_test(tcase, code_has_its_errno, 0, ROWS);
	tcase_add_test(tcase, unknown_codes_are_eio);
	tcase_add_test(tcase, no_failure_looks_like_success);
	tcase_add_test(tcase, outcome_is_unknown_only_after_a_broken_connection);
	suite_add_tcase(suite, tcase);
	return suite;
}
