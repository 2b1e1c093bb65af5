/* What counts as a sign of life of the session. In place of the writer and the session stand a session that expires and servers that
 * answer or do not. */
#include <errno.h>
#include <string.h>

#include "cache/parts.h"
#include "cache/util/clock.h"
#include "tests/unit/unit.h"

enum { OURS = 7, NEXT = 8, TIMEOUT = 4000 };

static struct cache cache;

static struct {
	struct session_info session;
	struct write_result answers[4]; /* those to come, */
	int64_t sessions[4];		/* and the session's id by then */
	int refused;			/* -errno of the call itself */
	int sent;
} ensemble;

void session_look(struct session *session, struct session_info *info)
{
	(void)session;
	*info = ensemble.session;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	int turn = ensemble.sent++;

	(void)writer;
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(steps[0].verb, WRITE_CHECK);
	ck_assert_str_eq(steps[0].path, "/");
	ck_assert_int_eq(steps[0].version, -1);
	if (ensemble.refused)
		return ensemble.refused;
	ensemble.session.id = ensemble.sessions[turn];
	done(&ensemble.answers[turn], arg);
	return 0;
}

static void setup(void)
{
	cache = (struct cache){ .timeout = 60000 };
	memset(&ensemble, 0, sizeof(ensemble));
	ensemble.session = (struct session_info){ .id = OURS, .timeout = TIMEOUT };
	for (int i = 0; i < 4; i++)
		ensemble.sessions[i] = OURS;
}

static struct {
	int times, error;
	struct cache_lease lease;
} end;

static void ended(int error, const struct cache_lease *lease, void *arg)
{
	(void)arg;
	ck_assert_int_eq(error == 0, lease != NULL);
	end.times++;
	end.error = error;
	if (lease)
		end.lease = *lease;
}

static void lease(int error, int sent)
{
	int64_t before = clock_now();

	memset(&end, 0, sizeof(end));
	ensemble.sent = 0;
	ck_assert_int_eq(cache_lease(&cache, ended, NULL), 0);
	ck_assert_int_eq(end.times, 1);
	ck_assert_msg(end.error == error, "%d, not %d", end.error, error);
	ck_assert_int_eq(ensemble.sent, sent);
	if (!error) {
		ck_assert_int_eq(end.lease.timeout, TIMEOUT);
		ck_assert_int_ge(end.lease.contact, before);
		ck_assert_int_le(end.lease.contact, clock_now());
	}
}

START_TEST(an_answer_is_one)
{
	lease(0, 1);
	ck_assert_int_eq(end.lease.session, OURS);
	/* A root that is not there or may not be read makes no difference. */
	ensemble.answers[0].error = -EACCES;
	lease(0, 1);
	ensemble.answers[0].error = -ENOENT;
	lease(0, 1);
}
END_TEST

START_TEST(another_session_s_answer_is_none)
{
	ensemble.sessions[0] = ensemble.sessions[1] = ensemble.sessions[2] = NEXT;
	lease(0, 2);
	ck_assert_int_eq(end.lease.session, NEXT);
	ensemble.session.id = 0;
	lease(0, 2);
	ck_assert_int_eq(end.lease.session, NEXT);
	/* It expires, and says so. */
	ensemble.session.id = OURS;
	ensemble.answers[0].error = -EIO;
	ensemble.sessions[0] = 0;
	lease(0, 3);
	ck_assert_int_eq(end.lease.session, NEXT);
	ensemble.answers[0].error = 0;
	/* It has expired meanwhile. */
	ensemble.sessions[0] = 0;
	lease(0, 3);
}
END_TEST

START_TEST(no_answer)
{
	ensemble.answers[0] = ensemble.answers[1] = (struct write_result){ .error = -EIO, .is_unknown = true };
	lease(0, 3);
	cache.timeout = 0;
	lease(-ETIMEDOUT, 1);
	ensemble.answers[0] = (struct write_result){ .error = -ETIMEDOUT };
	lease(-ETIMEDOUT, 1);
	cache.timeout = 60000;
	lease(-ETIMEDOUT, 1);
	ensemble.refused = -ENOMEM;
	ck_assert_int_eq(cache_lease(&cache, ended, NULL), -ENOMEM);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("lease");
	TCase *asking = tcase_create("asking");

	tcase_add_checked_fixture(asking, setup, NULL);
	tcase_add_test(asking, an_answer_is_one);
	tcase_add_test(asking, another_session_s_answer_is_none);
	tcase_add_test(asking, no_answer);
	suite_add_tcase(suite, asking);
	return suite;
}
