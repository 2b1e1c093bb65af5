/* The session's life. libzookeeper is the test: its thread tells of states in whichever order. */
#include "cache/session.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "cache/util/log.h"
#include "tests/unit/unit.h"

/* --- libzookeeper --- */

static const int connected_state = 3;

static struct {
	watcher_fn watcher;
	void *context;
	pthread_t thread; /* its completion thread */
	_Atomic(bool) is_closing;
	_Atomic(bool) tells; /* that it is connected, over and over */
	_Atomic(int) told;
} library;

static void *tell(void *arg)
{
	while (!library.is_closing) {
		if (library.tells) {
			library.watcher((zhandle_t *)&library, ZOO_SESSION_EVENT, connected_state, "", library.context);
			atomic_fetch_add(&library.told, 1);
		}
	}
	return arg;
}

zhandle_t *zookeeper_init2(const char *host, watcher_fn fn, int recv_timeout, const clientid_t *clientid, void *context,
	int flags, log_callback_fn log_callback)
{
	(void)host;
	(void)recv_timeout;
	(void)clientid;
	(void)flags;
	(void)log_callback;
	library.watcher = fn;
	library.context = context;
	library.is_closing = false;
	(void)pthread_create(&library.thread, NULL, tell, NULL);
	return (zhandle_t *)&library;
}

int zookeeper_close(zhandle_t *zh)
{
	(void)zh;
	library.is_closing = true;
	return pthread_join(library.thread, NULL);
}

const clientid_t *zoo_client_id(zhandle_t *zh)
{
	static const clientid_t id = { .client_id = 7 };

	(void)zh;
	return &id;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is the library's */
struct sockaddr *zookeeper_get_connected_host(zhandle_t *zh, struct sockaddr *addr, socklen_t *addr_len)
{
	(void)zh;
	(void)addr_len;
	return addr;
}

int zoo_set_servers_resolution_delay(zhandle_t *zh, int delay_ms)
{
	(void)zh;
	(void)delay_ms;
	return ZOK;
}

/* --- The session --- */

static void on_connected(const struct sockaddr *server, socklen_t size, void *arg)
{
	(void)server;
	(void)size;
	(void)arg;
}

static void on_nothing(void *arg)
{
	(void)arg;
}

/* What the library still tells while the handle is being closed does not count: nobody would ever take it back. */
START_TEST(closed_session_is_not_connected)
{
	static const struct credentials credentials = { 0 };
	const struct session_config config = { .servers = "server:1",
		.session_timeout = 1000,
		.credentials = &credentials,
		.handlers = { .connected = on_connected,
			.closed = on_nothing,
			.waiting = on_nothing,
			.auth_failed = on_nothing } };

	log_open(LOG_LEVEL_ERROR, false);
	library.tells = true;
	for (int i = 0; i < 500; i++) {
		struct session *session = session_new(&config);
		int told;

		ck_assert_ptr_nonnull(session);
		ck_assert_int_eq(session_start(session), 0);
		told = library.told;
		while (library.told == told)
			(void)sched_yield();
		session_stop(session);
		ck_assert_msg(!session_is_connected(session), "round %d", i);
		ck_assert_ptr_null(session_get(session));
		session_free(session);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("session");

	tcase_add_test(tcase, closed_session_is_not_connected);
	suite_add_tcase(suite, tcase);
	return suite;
}
