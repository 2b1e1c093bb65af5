/* The session's life. libzookeeper is the test: its thread tells of states in whichever order. */
#include "cache/session.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include "cache/util/log.h"
#include "tests/unit/unit.h"

/* --- libzookeeper --- */

static const int connected_state = 3;

static struct {
	watcher_fn watcher;
	void *context;
	pthread_t thread;	  /* its completion thread */
	_Atomic(pid_t) thread_id; /* the same */
	_Atomic(bool) is_closing;
	_Atomic(bool) tells; /* that it is connected, over and over */
	_Atomic(int) told;
} library;

static void *tell(void *arg)
{
	library.thread_id = gettid();
	while (!library.is_closing) {
		if (library.tells) {
			library.watcher((zhandle_t *)&library, ZOO_SESSION_EVENT, connected_state, "", library.context);
			atomic_fetch_add(&library.told, 1);
		} else {
			(void)sched_yield();
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

static const struct credentials credentials = { 0 };
static const struct session_config config = { .servers = "server:1",
	.session_timeout = 1000,
	.credentials = &credentials,
	.handlers = { .connected = on_connected,
		.closed = on_nothing,
		.waiting = on_nothing,
		.auth_failed = on_nothing } };

/* One that is connected. */
static struct session *start(void)
{
	struct session *session = session_new(&config);
	int told = library.told;

	ck_assert_ptr_nonnull(session);
	library.tells = true;
	ck_assert_int_eq(session_start(session), 0);
	while (library.told == told)
		(void)sched_yield();
	return session;
}

/* What the library still tells while the handle is being closed does not count: nobody would ever take it back. */
START_TEST(closed_session_is_not_connected)
{
	log_open(LOG_LEVEL_ERROR, false);
	for (int i = 0; i < 500; i++) {
		struct session *session = start();

		session_stop(session);
		ck_assert_msg(!session_is_connected(session), "round %d", i);
		ck_assert_ptr_null(session_get(session));
		session_free(session);
	}
}
END_TEST

/* How it is: 'S' asleep; and *switches, how often it has gone to sleep. */
static char look_at_thread(pid_t thread, long *switches)
{
	static const char key[] = "voluntary_ctxt_switches:";
	char path[64], line[256], state = '?';
	FILE *in;

	*switches = -1;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)thread);
	in = fopen(path, "re");
	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in)) {
		if (strncmp(line, "State:", 6) == 0)
			state = line[6 + strspn(line + 6, " \t")];
		else if (strncmp(line, key, sizeof(key) - 1) == 0)
			*switches = strtol(line + sizeof(key) - 1, NULL, 10);
	}
	(void)fclose(in);
	ck_assert_int_ge(*switches, 0);
	return state;
}

/* The thread that is neither this one nor libzookeeper's. (Sanitizers may have one, older than it.) */
static pid_t find_keeper(void)
{
	DIR *directory = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t found = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory))) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread != getpid() && thread != library.thread_id && thread > found)
			found = thread;
	}
	(void)closedir(directory);
	ck_assert_int_gt(found, 0);
	return found;
}

/* The keeper has nothing to do with changes that are made. */
START_TEST(changes_wake_nobody)
{
	enum { CHANGES = 2000, FEW = 20 };
	struct session *session;
	long before, after;
	pid_t keeper;

	log_open(LOG_LEVEL_ERROR, false);
	session = start();
	library.tells = false;
	keeper = find_keeper();
	while (look_at_thread(keeper, &before) != 'S')
		(void)sched_yield();
	for (int i = 0; i < CHANGES; i++) {
		ck_assert_ptr_nonnull(session_get(session));
		session_put(session);
		(void)sched_yield();
	}
	(void)look_at_thread(keeper, &after);
	ck_assert_msg(after - before <= FEW, "it woke %ld times in %d changes", after - before, CHANGES);
	session_stop(session);
	session_free(session);
}
END_TEST

static void *stop(void *session)
{
	session_stop(session);
	return NULL;
}

/* Nor does it close the handle under a change. */
START_TEST(close_waits_for_changes)
{
	struct session *session;
	pthread_t stopper;

	log_open(LOG_LEVEL_ERROR, false);
	session = start();
	library.tells = false;
	ck_assert_ptr_nonnull(session_get(session));
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop, session), 0);
	while (session_get(session))
		session_put(session);
	ck_assert_int_eq(library.is_closing, false);
	session_put(session);
	ck_assert_int_eq(pthread_join(stopper, NULL), 0);
	ck_assert_int_eq(library.is_closing, true);
	session_free(session);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("session");

	tcase_add_test(tcase, closed_session_is_not_connected);
	tcase_add_test(tcase, changes_wake_nobody);
	tcase_add_test(tcase, close_waits_for_changes);
	suite_add_tcase(suite, tcase);
	return suite;
}
