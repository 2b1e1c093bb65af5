/* The session with ZooKeeper that changes go through: connect, suspended, expired and made anew by itself. Hides zhandle_t's
 * life (only write.c is handed one). One thread of its own, the keeper, does what may block: making a handle resolves
 * names, closing one joins libzookeeper's threads.
 *
 * zoo_set_servers_resolution_delay(zh, -1) right after init: libzookeeper otherwise runs getaddrinfo twice per call. */
#ifndef ZKFS_CACHE_SESSION_H
#define ZKFS_CACHE_SESSION_H

#include <stdbool.h>
#include <sys/socket.h>

#include "cache/credentials.h"
#include "cache/state.h"

struct session_handlers {
	/* Connected, for the first time or again, to this server. On libzookeeper's completion thread. */
	void (*connected)(const struct sockaddr *server, socklen_t size, void *arg);
	/* A handle has been closed for good: no completion of its requests will be called any more. On the keeper's thread. */
	void (*closed)(void *arg);
	/* Now and then while there is no connection. On the keeper's thread. */
	void (*waiting)(void *arg);
	/* The state is another (session_look). On libzookeeper's completion thread. May be NULL. */
	void (*state_changed)(void *arg);
	/* A server refused a credential. On libzookeeper's completion thread. */
	void (*auth_failed)(void *arg);
	void *arg;
};

struct session_config {
	const char *servers;		       /* "host:port,host:port", no chroot; copied */
	int session_timeout;		       /* ms, asked of the server */
	const struct credentials *credentials; /* borrowed until session_free */
	struct session_handlers handlers;
};

struct session;

/* Makes it; it connects once session_start was called. NULL: no memory. */
struct session *session_new(const struct session_config *config);

/* Starts the keeper, which connects. 0 or -errno. */
int session_start(struct session *session);

/* Closes the session at the server (its ephemerals go) and ends the keeper; handlers.closed is called. */
void session_stop(struct session *session);

/* After session_stop, or instead of session_start. NULL is fine. */
void session_free(struct session *session);

/* Its id at the server; 0: none now. Any thread. */
int64_t session_id(struct session *session);

/* How it is. Any thread. */
void session_look(struct session *session, struct session_info *info);

bool session_is_connected(struct session *session);

/* The libzookeeper handle (a zhandle_t) while connected, else NULL. It stays valid until session_put, which must follow soon:
 * only to call asynchronous zoo_ functions in between. Any thread. */
void *session_get(struct session *session);
void session_put(struct session *session);

#endif
