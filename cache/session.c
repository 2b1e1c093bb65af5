#include "cache/session.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

#include "cache/util/clock.h"
#include "cache/util/log.h"

enum {
	WAITING_MS = 100,
	RETRY_MS = 1000,
	ANSWER_FIRST = 400, /* ms that a server may take to take us in, doubled each time that it has not */
};

struct session {
	char *servers;
	int session_timeout;
	const struct credentials *credentials;
	struct session_handlers handlers;
	pthread_t keeper;

	pthread_mutex_t lock; /* a leaf, over the members below */
	pthread_cond_t changed;
	zhandle_t *handle;
	zhandle_t *closing; /* being closed: what it still tells does not count */
	int users;	    /* of handle, by session_get */
	struct session_info info;
	clientid_t client; /* of the session info.id */
	bool is_connected;
	bool has_expired;
	bool is_stopping;
	bool is_running; /* the keeper */
};

static void log_library(const char *message)
{
	log_debug("libzookeeper: %s", message);
}

struct session *session_new(const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->servers = strdup(config->servers);
	if (!session->servers) {
		free(session);
		return NULL;
	}
	session->session_timeout = config->session_timeout;
	session->credentials = config->credentials;
	session->handlers = config->handlers;
	session->info.state = SESSION_SUSPENDED;
	pthread_mutex_init(&session->lock, NULL);
	clock_init_condition(&session->changed);
	return session;
}

/* --- libzookeeper's completion thread --- */

/* False: the handle is being closed, and what it still tells does not count. */
static bool set_state(struct session *session, zhandle_t *handle, bool connected, bool expired)
{
	bool is_closing;

	pthread_mutex_lock(&session->lock);
	is_closing = session->closing == handle;
	if (!is_closing) {
		if (connected)
			session->handle = handle; /* zookeeper_init may not have returned yet */
		session->is_connected = connected;
		session->has_expired = expired;
		pthread_cond_broadcast(&session->changed);
	}
	pthread_mutex_unlock(&session->lock);
	return !is_closing;
}

/* What session_look tells, and whoever wants to know hears of it. */
static void tell_state(struct session *session, enum session_state state)
{
	struct session_info *info = &session->info;

	pthread_mutex_lock(&session->lock);
	info->state = state;
	info->suspended += state == SESSION_SUSPENDED ? 1 : 0;
	info->lost += state == SESSION_LOST ? 1 : 0;
	if (state != SESSION_CONNECTED)
		info->server[0] = '\0';
	if (state == SESSION_LOST)
		info->id = 0;
	pthread_mutex_unlock(&session->lock);
	if (session->handlers.state_changed)
		session->handlers.state_changed(session->handlers.arg);
}

/* server NULL: the connection is gone again. */
static void note_session(struct session *session, zhandle_t *handle, const struct sockaddr *server, socklen_t size)
{
	char host[SERVER_TEXT_MAX - 8], port[8];
	char text[SERVER_TEXT_MAX] = "";

	if (server &&
		getnameinfo(server, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(text, sizeof(text), server->sa_family == AF_INET6 ? "[%.53s]:%s" : "%.55s:%s", host,
			port);
	pthread_mutex_lock(&session->lock);
	session->client = *zoo_client_id(handle);
	session->info.id = session->client.client_id;
	session->info.timeout = zoo_recv_timeout(handle);
	memcpy(session->info.server, text, sizeof(text));
	pthread_mutex_unlock(&session->lock);
}

static void connected(struct session *session, zhandle_t *handle)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	const struct sockaddr *server;

	if (!set_state(session, handle, true, false))
		return;
	/* NULL: the connection is gone again, and the next event says so */
	server = zookeeper_get_connected_host(handle, (struct sockaddr *)&address, &size);
	note_session(session, handle, server, size);
	tell_state(session, SESSION_CONNECTED);
	log_info("connected, session 0x%llx", (unsigned long long)zoo_client_id(handle)->client_id);
	if (server)
		session->handlers.connected(server, size, session->handlers.arg);
}

static void on_session_event(zhandle_t *handle, int type, int state, const char *path, void *arg)
{
	struct session *session = arg;

	(void)path;
	if (type != ZOO_SESSION_EVENT)
		return;
	if (state == ZOO_CONNECTED_STATE) {
		connected(session, handle);
	} else if (state == ZOO_EXPIRED_SESSION_STATE) {
		log_warning("the session has expired; making a new one");
		if (set_state(session, handle, false, true))
			tell_state(session, SESSION_LOST);
	} else if (state == ZOO_AUTH_FAILED_STATE) {
		if (set_state(session, handle, false, true))
			tell_state(session, SESSION_LOST);
		session->handlers.auth_failed(session->handlers.arg);
	} else if (session_is_connected(session)) {
		log_warning("lost the connection to ZooKeeper; the session is suspended");
		if (set_state(session, handle, false, false))
			tell_state(session, SESSION_SUSPENDED);
	}
}

/* --- The keeper --- */

/* For the session that there is, if there is one. */
static void open_handle(struct session *session)
{
	clientid_t client = { 0 };
	zhandle_t *handle;

	pthread_mutex_lock(&session->lock);
	if (session->info.id)
		client = session->client;
	pthread_mutex_unlock(&session->lock);
	handle = zookeeper_init2(session->servers, on_session_event, session->session_timeout,
		client.client_id ? &client : NULL, session, 0, log_library);
	if (!handle) {
		log_debug("zookeeper_init failed for '%s': %s", session->servers, strerror(errno));
		return;
	}
	(void)zoo_set_servers_resolution_delay(handle, -1);
	for (size_t i = 0; i < session->credentials->count; i++) {
		const struct credential *credential = &session->credentials->list[i];

		(void)zoo_add_auth(handle, credential->scheme, credential->id, (int)strlen(credential->id), NULL, NULL);
	}
	pthread_mutex_lock(&session->lock);
	session->handle = handle;
	pthread_mutex_unlock(&session->lock);
}

static void close_handle(struct session *session)
{
	zhandle_t *handle;

	pthread_mutex_lock(&session->lock);
	handle = session->handle;
	session->handle = NULL;
	session->closing = handle;
	session->is_connected = false;
	session->has_expired = false;
	while (session->users > 0)
		pthread_cond_wait(&session->changed, &session->lock);
	pthread_mutex_unlock(&session->lock);
	if (handle)
		(void)zookeeper_close(handle);
	pthread_mutex_lock(&session->lock);
	session->closing = NULL;
	pthread_mutex_unlock(&session->lock);
	session->handlers.closed(session->handlers.arg);
}

/* How long a server may take to take us in, and since when one does; 0: none does. */
struct patience {
	int64_t since;
	int ms;
};

/* Whether the server has had its time. One that gets the connection while it loads its tree never answers, nor closes it (ZooKeeper
 * 3.8.0), and libzookeeper would wait for two thirds of the session's timeout. One that is only slow has more time each time. */
static bool is_stuck(struct session *session, struct patience *patience)
{
	int64_t now = clock_now();
	bool is_asking;

	pthread_mutex_lock(&session->lock);
	is_asking = session->handle && zoo_state(session->handle) == ZOO_ASSOCIATING_STATE;
	pthread_mutex_unlock(&session->lock);
	if (!is_asking || !patience->since)
		patience->since = is_asking ? now : 0;
	if (!is_asking || now - patience->since < patience->ms)
		return false;
	patience->since = 0;
	patience->ms *= 2;
	return patience->ms < session->session_timeout;
}

static void wait_locked(struct session *session, int ms)
{
	const struct timespec until = clock_at(clock_now() + ms);

	(void)pthread_cond_timedwait(&session->changed, &session->lock, &until);
}

static void *keep(void *arg)
{
	struct session *session = arg;
	struct patience patience = { 0, ANSWER_FIRST };
	int retry_ms = 0;

	pthread_mutex_lock(&session->lock);
	while (!session->is_stopping) {
		bool is_useless = !session->handle || session->has_expired;

		if (session->is_connected) {
			retry_ms = 0;
			patience = (struct patience){ 0, ANSWER_FIRST };
			pthread_cond_wait(&session->changed, &session->lock);
			continue;
		}
		pthread_mutex_unlock(&session->lock);
		session->handlers.waiting(session->handlers.arg);
		if ((is_useless && retry_ms <= 0) || (!is_useless && is_stuck(session, &patience))) {
			close_handle(session);
			open_handle(session);
			retry_ms = RETRY_MS;
		}
		pthread_mutex_lock(&session->lock);
		if (!session->is_connected && !session->is_stopping)
			wait_locked(session, WAITING_MS);
		retry_ms -= WAITING_MS;
	}
	pthread_mutex_unlock(&session->lock);
	close_handle(session);
	return NULL;
}

int session_start(struct session *session)
{
	int err;

	zoo_set_debug_level(log_is_on(LOG_LEVEL_DEBUG) ? ZOO_LOG_LEVEL_WARN : (ZooLogLevel)0);
	err = pthread_create(&session->keeper, NULL, keep, session);
	session->is_running = !err;
	return -err;
}

void session_stop(struct session *session)
{
	if (!session->is_running)
		return;
	pthread_mutex_lock(&session->lock);
	session->is_stopping = true;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
	(void)pthread_join(session->keeper, NULL);
	session->is_running = false;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	pthread_cond_destroy(&session->changed);
	pthread_mutex_destroy(&session->lock);
	free(session->servers);
	free(session);
}

/* --- Any thread --- */

void session_look(struct session *session, struct session_info *info)
{
	pthread_mutex_lock(&session->lock);
	*info = session->info;
	pthread_mutex_unlock(&session->lock);
}

bool session_is_connected(struct session *session)
{
	bool is_connected;

	pthread_mutex_lock(&session->lock);
	is_connected = session->is_connected;
	pthread_mutex_unlock(&session->lock);
	return is_connected;
}

void *session_get(struct session *session)
{
	zhandle_t *handle = NULL;

	pthread_mutex_lock(&session->lock);
	if (session->is_connected && session->handle) {
		handle = session->handle;
		session->users++;
	}
	pthread_mutex_unlock(&session->lock);
	return handle;
}

int64_t session_id(struct session *session)
{
	zhandle_t *handle = session_get(session);
	int64_t id = handle ? zoo_client_id(handle)->client_id : 0;

	if (handle)
		session_put(session);
	return id;
}

void session_put(struct session *session)
{
	pthread_mutex_lock(&session->lock);
	/* Whoever closes it waits for that; nobody else is to be woken at each change that is made. */
	if (--session->users == 0 && session->closing)
		pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
}
