#include "tests/fake/server.h"

#include <arpa/inet.h>
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { EVENT_XID = -1, CONNECTED = 3, RESULT_ERROR = -1, RESULT_DATA = 4 };

void server_init(struct server *server)
{
	socklen_t size = sizeof(server->address);

	*server = (struct server){ .fd = -1, .out = BUF_INIT };
	server->address.sin_family = AF_INET;
	server->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server->listener, 0);
	ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&server->address, size), 0);
	ck_assert_int_eq(listen(server->listener, 16), 0);
	ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&server->address, &size), 0);
}

void server_release(struct server *server)
{
	server_close(server);
	(void)close(server->listener);
	buf_release(&server->out);
}

void server_accept(struct server *server)
{
	const struct timeval patience = { .tv_sec = SERVER_PATIENCE };
	struct pollfd ready = { .fd = server->listener, .events = POLLIN };

	server_close(server);
	if (poll(&ready, 1, SERVER_PATIENCE * 1000) != 1)
		ck_abort_msg("nobody connects");
	server->fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(server->fd, 0);
	ck_assert_int_eq(setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
}

void server_close(struct server *server)
{
	if (server->fd >= 0)
		(void)close(server->fd);
	server->fd = -1;
}

void server_reset(struct server *server)
{
	const struct linger now = { .l_onoff = 1 };

	ck_assert_int_eq(setsockopt(server->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	server_close(server);
}

/* --- Requests --- */

/* False: the connection has ended. */
static bool receive(struct server *server, void *to, size_t size)
{
	ssize_t got = size ? recv(server->fd, to, size, MSG_WAITALL) : 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		ck_abort_msg("no request comes");
	return got == (ssize_t)size;
}

void server_await_close(struct server *server)
{
	char byte;

	while (receive(server, &byte, 1))
		;
}

void server_finish(struct server *server)
{
	(void)shutdown(server->fd, SHUT_WR);
	server_await_close(server);
	server_close(server);
}

/* A frame without its length, in memory of the caller's. False: the connection has ended. */
static bool take_frame(struct server *server, char **frame, struct wire_in *in)
{
	uint32_t length;

	if (!receive(server, &length, sizeof(length)))
		return false;
	length = be32toh(length);
	ck_assert_uint_lt(length, 1 << 20); /* jute.maxbuffer */
	*frame = malloc(length + 1);
	*in = (struct wire_in){ *frame, *frame + length };
	if (receive(server, *frame, length))
		return true;
	free(*frame);
	return false;
}

static const char *take(struct wire_in *in, size_t size)
{
	const char *from = in->next;

	if ((size_t)(in->end - in->next) < size)
		ck_abort_msg("a request that is too short");
	in->next += size;
	return from;
}

static int32_t take_int(struct wire_in *in)
{
	uint32_t wire;

	memcpy(&wire, take(in, sizeof(wire)), sizeof(wire));
	return (int32_t)be32toh(wire);
}

static int64_t take_long(struct wire_in *in)
{
	uint64_t wire;

	memcpy(&wire, take(in, sizeof(wire)), sizeof(wire));
	return (int64_t)be64toh(wire);
}

/* Into to, of size max, with a terminator. */
static int32_t take_string(struct wire_in *in, char *to, int32_t max)
{
	int32_t size = take_int(in);

	if (size < 0 || size >= max)
		ck_abort_msg("a string of %d bytes", size);
	memcpy(to, take(in, (size_t)size), (size_t)size);
	to[size] = '\0';
	return size;
}

void server_take_connect(struct server *server, struct server_connect *connect)
{
	struct wire_in in;
	char *frame;

	memset(connect, 0, sizeof(*connect));
	if (!take_frame(server, &frame, &in))
		ck_abort_msg("the client has closed");
	connect->version = take_int(&in);
	connect->last_zxid = take_long(&in);
	connect->timeout = take_int(&in);
	connect->session = take_long(&in);
	connect->password_size = take_string(&in, connect->password, WIRE_PASSWORD_MAX);
	free(frame);
}

static void take_multi(struct wire_in *in, struct server_request *request)
{
	for (;;) {
		int32_t op = take_int(in);
		bool is_end = *take(in, 1) != 0;

		(void)take_int(in);
		if (is_end)
			break;
		if (op != WIRE_GET_DATA || request->count >= SERVER_PATHS_MAX)
			ck_abort_msg("a multiRead of %d with %d paths", op, request->count);
		(void)take_string(in, request->paths[request->count++], SERVER_PATH_SIZE);
		request->has_watch |= *take(in, 1) != 0;
	}
}

static void take_body(struct wire_in *in, struct server_request *request)
{
	switch (request->op) {
	case WIRE_PING:
	case WIRE_CLOSE:
		break;
	case WIRE_AUTH:
		(void)take_int(in);
		(void)take_string(in, request->paths[request->count++], SERVER_PATH_SIZE);
		(void)take_string(in, request->paths[request->count++], SERVER_PATH_SIZE);
		break;
	case WIRE_MULTI_READ:
		take_multi(in, request);
		break;
	default:
		(void)take_string(in, request->paths[request->count++], SERVER_PATH_SIZE);
		if (request->op == WIRE_ADD_WATCH)
			request->watch_mode = take_int(in);
		else if (request->op != WIRE_SYNC)
			request->has_watch = *take(in, 1) != 0;
	}
	if (in->next != in->end)
		ck_abort_msg("%d bytes too many in a request %d", (int)(in->end - in->next), request->op);
}

bool server_try_take(struct server *server, struct server_request *request)
{
	struct wire_in in;
	char *frame;

	memset(request, 0, sizeof(*request));
	if (!take_frame(server, &frame, &in))
		return false;
	request->xid = take_int(&in);
	request->op = take_int(&in);
	take_body(&in, request);
	free(frame);
	return true;
}

void server_take(struct server *server, struct server_request *request)
{
	if (!server_try_take(server, request))
		ck_abort_msg("the client has closed");
}

/* --- Replies --- */

void server_send(struct server *server, const void *bytes, size_t size)
{
	const char *from = bytes;

	while (size > 0) {
		ssize_t sent = send(server->fd, from, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return; /* the client has closed: it may */
		from += sent;
		size -= (size_t)sent;
	}
}

void server_add_int(struct server *server, int32_t value)
{
	uint32_t wire = htobe32((uint32_t)value);

	(void)buf_append(&server->out, &wire, sizeof(wire));
}

static void add_long(struct server *server, int64_t value)
{
	uint64_t wire = htobe64((uint64_t)value);

	(void)buf_append(&server->out, &wire, sizeof(wire));
}

static void add_byte(struct server *server, char value)
{
	(void)buf_append(&server->out, &value, 1);
}

static void add_string(struct server *server, const char *text)
{
	server_add_int(server, (int32_t)strlen(text));
	(void)buf_append(&server->out, text, strlen(text));
}

void server_add_stat(struct server *server, const struct node_stat *stat)
{
	add_long(server, stat->czxid);
	add_long(server, stat->mzxid);
	add_long(server, stat->ctime);
	add_long(server, stat->mtime);
	server_add_int(server, stat->version);
	server_add_int(server, stat->cversion);
	server_add_int(server, stat->aversion);
	add_long(server, stat->ephemeral_owner);
	server_add_int(server, stat->data_length);
	server_add_int(server, stat->num_children);
	add_long(server, stat->pzxid);
}

void server_begin(struct server *server, int32_t xid, int64_t zxid, int32_t error)
{
	server->out.size = 0;
	server_add_int(server, 0);
	server_add_int(server, xid);
	add_long(server, zxid);
	server_add_int(server, error);
}

void server_end(struct server *server)
{
	uint32_t length = htobe32((uint32_t)(server->out.size - sizeof(length)));

	memcpy(server->out.data, &length, sizeof(length));
	server_send(server, server->out.data, server->out.size);
}

void server_grant(struct server *server, int64_t session, int32_t timeout)
{
	server->out.size = 0;
	server_add_int(server, 0);
	server_add_int(server, 0); /* protocolVersion */
	server_add_int(server, timeout);
	add_long(server, session);
	add_string(server, "sixteen byte key");
	add_byte(server, 0); /* readOnly */
	server_end(server);
}

void server_reply(struct server *server, int32_t xid, int64_t zxid, int32_t error)
{
	server_begin(server, xid, zxid, error);
	server_end(server);
}

void server_reply_stat(struct server *server, int32_t xid, int64_t zxid, const struct node_stat *stat)
{
	server_begin(server, xid, zxid, 0);
	server_add_stat(server, stat);
	server_end(server);
}

void server_reply_data(struct server *server, int32_t xid, int64_t zxid, const char *text, const struct node_stat *stat)
{
	server_begin(server, xid, zxid, 0);
	add_string(server, text);
	server_add_stat(server, stat);
	server_end(server);
}

void server_reply_children(struct server *server, int32_t xid, int64_t zxid, const char *const *names, int count,
	const struct node_stat *stat)
{
	server_begin(server, xid, zxid, 0);
	server_add_int(server, count);
	for (int i = 0; i < count; i++)
		add_string(server, names[i]);
	server_add_stat(server, stat);
	server_end(server);
}

void server_event(struct server *server, int32_t type, const char *path)
{
	server_begin(server, EVENT_XID, -1, 0);
	server_add_int(server, type);
	server_add_int(server, CONNECTED);
	add_string(server, path);
	server_end(server);
}

static void add_result_header(struct server *server, int32_t type, char is_end, int32_t error)
{
	server_add_int(server, type);
	add_byte(server, is_end);
	server_add_int(server, error);
}

void server_add_result(struct server *server, int32_t error, const char *text, const struct node_stat *stat)
{
	if (error) {
		add_result_header(server, RESULT_ERROR, 0, error);
		server_add_int(server, error);
	} else {
		add_result_header(server, RESULT_DATA, 0, 0);
		add_string(server, text);
		server_add_stat(server, stat);
	}
}

void server_end_results(struct server *server)
{
	add_result_header(server, RESULT_ERROR, 1, -1);
	server_end(server);
}
