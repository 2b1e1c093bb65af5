/* A ZooKeeper server on a loopback socket that says what the test tells it to: the test itself is the server's thread. It has one
 * connection at a time, takes its frames in order and sends what it is given, sense or nonsense. Whatever it waits for
 * must come within SERVER_PATIENCE seconds, or the test fails. */
#ifndef ZKFS_TESTS_FAKE_SERVER_H
#define ZKFS_TESTS_FAKE_SERVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/util/buf.h"
#include "cache/wire.h"

enum { SERVER_PATIENCE = 30, SERVER_PATHS_MAX = 64, SERVER_PATH_SIZE = 64 };

/* A request as it came. */
struct server_request {
	int32_t xid, op;
	int32_t count;					/* of paths: 1, or a multiRead's */
	char paths[SERVER_PATHS_MAX][SERVER_PATH_SIZE]; /* for WIRE_AUTH: scheme and credential */
	bool has_watch;					/* asks for an ordinary one */
	int32_t watch_mode;				/* WIRE_ADD_WATCH */
};

struct server_connect {
	int32_t version, timeout;
	int64_t last_zxid, session;
	char password[WIRE_PASSWORD_MAX];
	int32_t password_size;
};

struct server {
	int listener, fd; /* -1: none */
	struct sockaddr_in address;
	struct buf out; /* the frame being made */
};

void server_init(struct server *server);
void server_release(struct server *server);

/* Waits for the next connection; an older one is closed. */
void server_accept(struct server *server);
void server_close(struct server *server);

/* Closes once the client has: what was sent before arrives, as it may not if requests were left unread. */
void server_finish(struct server *server);

/* Closes so that the other side gets an error (RST). */
void server_reset(struct server *server);

/* Waits until the client has closed; frames that come before are dropped. */
void server_await_close(struct server *server);

void server_take_connect(struct server *server, struct server_connect *connect);

/* Waits for the next request. */
void server_take(struct server *server, struct server_request *request);

/* The same; false: the client has closed. */
bool server_try_take(struct server *server, struct server_request *request);

/* timeout 0: the session has expired. */
void server_grant(struct server *server, int64_t session, int32_t timeout);

/* Only a header; what a ping, sync, addWatch or a failure gets. */
void server_reply(struct server *server, int32_t xid, int64_t zxid, int32_t error);

void server_reply_stat(struct server *server, int32_t xid, int64_t zxid, const struct node_stat *stat);
void server_reply_data(struct server *server, int32_t xid, int64_t zxid, const char *text,
	const struct node_stat *stat);
void server_reply_children(struct server *server, int32_t xid, int64_t zxid, const char *const *names, int count,
	const struct node_stat *stat);
void server_event(struct server *server, int32_t type, const char *path);

/* Any other frame: begin, parts, end. */
void server_begin(struct server *server, int32_t xid, int64_t zxid, int32_t error);
void server_add_int(struct server *server, int32_t value);
void server_add_stat(struct server *server, const struct node_stat *stat);
void server_add_result(struct server *server, int32_t error, const char *text, const struct node_stat *stat);
void server_end_results(struct server *server); /* of a multiRead, and the frame */
void server_end(struct server *server);

void server_send(struct server *server, const void *bytes, size_t size);

#endif
