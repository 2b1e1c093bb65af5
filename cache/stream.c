/* How the thread works: it takes what other threads queued (the part of struct stream under the lock), brings the
 * connection one step further, sends what the window allows, sleeps in poll, and handles the frames that came, in order.
 * All else belongs to the thread alone. */
#include "cache/stream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "cache/link.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"
#include "cache/zkerror.h"

enum {
	WINDOW_MAX = 256,	       /* reads sent and not answered */
	BATCH_MAX = 64,		       /* gets in one multiRead */
	BATCH_BYTES = 512 << 10,       /* expected of a multiRead's reply */
	WINDOW_BYTES = 8 << 20,	       /* expected of all answers under way */
	FIRST_GUESS = 64 << 10,	       /* expected of an answer before any was seen */
	REQUEST_FRAME_MAX = 512 << 10, /* bytes; well under jute.maxbuffer (1 MiB - 1) */
	MOMENT = 100,		       /* ms: see struct stream_config, timeout */
	PROBE_NS = 40000,	       /* for a change to be on its way before the ping that is to follow it */
	RETRY_FIRST = 20,	       /* ms to the next attempt to connect, doubled up to RETRY_MAX */
	RETRY_MAX = 500,
	ANSWER_FIRST = 400,	/* ms that a server may take to take us in, doubled each time that it has not */
	MARSHALLING_ERROR = -5, /* KeeperException.Code, what a server may say to a request that it does not know; */
	UNIMPLEMENTED = -6,	/* to this it also closes the connection */
	BAD_ARGUMENTS = -8,
};

enum state {
	STATE_IDLE,	  /* no connection */
	STATE_CONNECTING, /* the ConnectRequest is on its way */
	STATE_READY,	  /* the session stands; addWatch went out before any read */
};

struct request {
	struct request *prev, *next;
	enum wire_op op;
	int32_t xid;
	bool in_batch;	       /* sent as a part of a multiRead */
	int64_t asked_at;      /* ms */
	stream_reply_cb *done; /* NULL: nobody waits (any more) */
	void *arg;
	char path[]; /* with the chroot */
};

struct stream {
	pthread_t thread;
	int wake_fd, probe_timer;
	_Atomic(int64_t) passed; /* the newest zxid known to be passed on this connection; 0: none. Set under lock */
	char *chroot;
	size_t chroot_size;
	const struct credentials *credentials;
	int session_timeout, timeout, patience;
	struct stream_handlers handlers;

	pthread_mutex_t lock; /* a leaf, over the members up to the blank line */
	struct request *incoming;
	struct fence *incoming_fences;
	struct sockaddr_storage next_server;
	socklen_t next_server_size; /* 0: no news */
	int corked;
	int64_t noted_zxid;
	uint64_t connection; /* counts them */
	bool has_probe;	     /* probe_timer runs: a ping is to be sent then */
	bool is_asleep;	     /* about to poll or in it */
	bool is_stopping;

	/* The thread's own, from here. */
	enum state state;
	struct link link;
	struct sockaddr_storage server;
	socklen_t server_size; /* 0: not known yet */
	struct wire_session session;
	int64_t last_zxid; /* the newest ever shown to anyone */
	int64_t retry_at, retry_delay, heard_at, sent_at;
	int64_t connected_at; /* when the connection was announced */
	int64_t outage_at;    /* when it has been gone for long; INT64_MAX: it has not, or that was told */
	int64_t answer_delay;
	int64_t silent_since;				 /* INT64_MAX: the server answers */
	uint32_t pings_sent, pings_answered, fence_ping; /* fence_ping: the count at which the fences' was sent */
	int32_t xid;
	bool probes;	     /* a ping is to be sent ahead */
	bool is_announced;   /* the handlers know of this connection */
	bool has_complained; /* the log knows of the outage */
	bool can_multi_read;
	bool refuses_watch;	 /* this server ends the connection on addWatch */
	bool refuses_multi_read; /* this server does not know it */
	struct request *queue;	 /* to be sent; oldest first, as in sent */
	struct request *sent;
	int sent_count;
	size_t answer_size; /* bytes: what to expect of an answer */
	struct fences fences;
	struct buf scratch;
};

/* --- From any thread --- */

static void wake(struct stream *stream)
{
	uint64_t one = 1;

	(void)!write(stream->wake_fd, &one, sizeof(one));
}

/* Whether the thread must be woken to see what was queued; says so once. */
static bool needs_wake_locked(struct stream *stream)
{
	bool needs = stream->is_asleep && stream->corked == 0;

	if (needs)
		stream->is_asleep = false;
	return needs;
}

static struct request *request_new(struct stream *stream, enum wire_op op, const char *path)
{
	size_t path_size = strcmp(path, "/") == 0 && stream->chroot_size ? 0 : strlen(path);
	struct request *request = malloc(sizeof(*request) + stream->chroot_size + path_size + 1);

	if (!request)
		return NULL;
	*request = (struct request){ .op = op, .asked_at = clock_now() };
	memcpy(request->path, stream->chroot, stream->chroot_size);
	memcpy(request->path + stream->chroot_size, path, path_size);
	request->path[stream->chroot_size + path_size] = '\0';
	return request;
}

int stream_send(struct stream *stream, enum stream_read read, const char *path, stream_reply_cb *done, void *arg)
{
	static const enum wire_op ops[] = {
		[STREAM_GET] = WIRE_GET_DATA,
		[STREAM_EXISTS] = WIRE_EXISTS,
		[STREAM_CHILDREN] = WIRE_GET_CHILDREN2,
		[STREAM_ACL] = WIRE_GET_ACL,
	};
	struct request *request = request_new(stream, ops[read], path);
	bool needs_wake, is_stopping;

	if (!request)
		return -ENOMEM;
	request->done = done;
	request->arg = arg;
	pthread_mutex_lock(&stream->lock);
	is_stopping = stream->is_stopping;
	if (!is_stopping)
		DL_APPEND(stream->incoming, request);
	needs_wake = needs_wake_locked(stream);
	pthread_mutex_unlock(&stream->lock);
	if (needs_wake)
		wake(stream);
	if (is_stopping)
		free(request);
	return is_stopping ? -ECANCELED : 0;
}

/* Whether the timer is to be started, by set_probe_timer: it does not run. */
static bool wants_probe_locked(struct stream *stream)
{
	bool had_probe = stream->has_probe;

	stream->has_probe = true;
	return !had_probe;
}

static void set_probe_timer(struct stream *stream)
{
	const struct itimerspec soon = { .it_value.tv_nsec = PROBE_NS };

	(void)timerfd_settime(stream->probe_timer, 0, &soon, NULL);
}

int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg)
{
	bool needs_timer = false;
	bool needs_wake = false;
	struct fence *fence;
	bool is_stopping;

	if (zxid && zxid <= atomic_load(&stream->passed)) {
		done(0, arg);
		return 0;
	}
	fence = fence_new(zxid, clock_now() + stream->timeout, done, arg);
	if (!fence)
		return -ENOMEM;
	pthread_mutex_lock(&stream->lock);
	is_stopping = stream->is_stopping;
	if (!is_stopping)
		fence_queue(&stream->incoming_fences, fence);
	if (haste == STREAM_AT_ONCE)
		needs_wake = needs_wake_locked(stream);
	else
		needs_timer = wants_probe_locked(stream);
	pthread_mutex_unlock(&stream->lock);
	if (needs_wake)
		wake(stream);
	if (needs_timer)
		set_probe_timer(stream);
	if (is_stopping)
		free(fence);
	return is_stopping ? -ECANCELED : 0;
}

struct stream_mark stream_mark(struct stream *stream)
{
	struct stream_mark mark;

	pthread_mutex_lock(&stream->lock);
	mark = (struct stream_mark){ .passed = stream->passed, .connection = stream->connection };
	pthread_mutex_unlock(&stream->lock);
	return mark;
}

static void pass_locked(struct stream *stream, int64_t zxid)
{
	if (zxid > stream->passed)
		atomic_store(&stream->passed, zxid);
}

void stream_note(struct stream *stream, int64_t zxid, const struct stream_mark *mark)
{
	pthread_mutex_lock(&stream->lock);
	if (zxid > stream->noted_zxid)
		stream->noted_zxid = zxid;
	if (stream->connection == mark->connection)
		pass_locked(stream, zxid);
	pthread_mutex_unlock(&stream->lock);
}

void stream_probe(struct stream *stream)
{
	bool needs_timer;

	pthread_mutex_lock(&stream->lock);
	needs_timer = wants_probe_locked(stream);
	pthread_mutex_unlock(&stream->lock);
	if (needs_timer)
		set_probe_timer(stream);
}

void stream_cork(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->corked++;
	pthread_mutex_unlock(&stream->lock);
}

void stream_uncork(struct stream *stream)
{
	bool needs_wake;

	pthread_mutex_lock(&stream->lock);
	stream->corked--;
	needs_wake = (stream->incoming || stream->incoming_fences) && needs_wake_locked(stream);
	pthread_mutex_unlock(&stream->lock);
	if (needs_wake)
		wake(stream);
}

void stream_follow(struct stream *stream, const struct sockaddr *server, socklen_t size)
{
	pthread_mutex_lock(&stream->lock);
	memcpy(&stream->next_server, server, size);
	stream->next_server_size = size;
	pthread_mutex_unlock(&stream->lock);
	wake(stream);
}

/* --- The connection --- */

static void answer(struct request *request, const struct stream_reply *reply)
{
	if (request->done)
		request->done(reply, request->arg);
	free(request);
}

/* Back to the queue, in front, goes what was sent and is still waited for. */
static void requeue_sent(struct stream *stream)
{
	struct request *request, *next;

	DL_FOREACH_SAFE (stream->sent, request, next) {
		if (!request->done) {
			DL_DELETE(stream->sent, request);
			free(request);
		}
	}
	DL_CONCAT(stream->sent, stream->queue);
	stream->queue = stream->sent;
	stream->sent = NULL;
	stream->sent_count = 0;
}

static void note_silence(struct stream *stream, int64_t since)
{
	if (stream->silent_since == INT64_MAX)
		stream->silent_since = since;
}

/* When the request has waited long enough. */
static int64_t deadline_of(const struct stream *stream, const struct request *request)
{
	int64_t deadline = request->asked_at + stream->timeout;

	if (stream->silent_since != INT64_MAX && stream->silent_since + stream->timeout < deadline)
		deadline = stream->silent_since + stream->timeout;
	return deadline > request->asked_at + MOMENT ? deadline : request->asked_at + MOMENT;
}

/* When to connect again. A connection that did not last is none to begin at once for. */
static void plan_retry(struct stream *stream, int64_t now, bool was_silent)
{
	bool has_lasted = stream->is_announced && now >= stream->connected_at + RETRY_MAX;

	if (stream->state == STATE_CONNECTING && was_silent)
		stream->answer_delay *= 2;
	stream->retry_delay = has_lasted ? RETRY_FIRST : stream->retry_delay * 2;
	if (stream->retry_delay > RETRY_MAX)
		stream->retry_delay = RETRY_MAX;
	stream->retry_at = now + stream->retry_delay;
}

/* error: -errno, or 0 when it is we who leave this server. */
static void disconnect(struct stream *stream, int error)
{
	bool was_announced = stream->is_announced;
	int64_t now = clock_now();
	int64_t passed, gone;

	if (error == 0)
		log_info("reading from another server now: the session has moved");
	else if (was_announced)
		log_warning("lost the connection for reads: %s", strerror(-error));
	else if (!stream->has_complained) /* once an outage: the attempts go on */
		log_warning("cannot connect for reads: %s", strerror(-error));
	stream->has_complained = error != 0;
	link_close(&stream->link);
	requeue_sent(stream);
	fences_broken(&stream->fences);
	pthread_mutex_lock(&stream->lock);
	stream->connection++;
	passed = stream->passed;
	atomic_store(&stream->passed, 0);
	pthread_mutex_unlock(&stream->lock);
	gone = was_announced && error != -ETIMEDOUT ? now : stream->heard_at;
	note_silence(stream, gone);
	plan_retry(stream, now, error == -ETIMEDOUT);
	stream->state = STATE_IDLE;
	stream->is_announced = false;
	stream->can_multi_read = false;
	if (!was_announced)
		return;
	stream->outage_at = now + stream->patience;
	stream->handlers.broken(passed, gone, stream->session.timeout, stream->handlers.arg);
}

static void announce(struct stream *stream, bool watching, int64_t zxid)
{
	stream->is_announced = true;
	stream->silent_since = stream->outage_at = INT64_MAX;
	stream->connected_at = clock_now();
	stream->answer_delay = ANSWER_FIRST;
	if (stream->has_complained)
		log_info("connected for reads again");
	stream->has_complained = false;
	stream->can_multi_read = watching && !stream->refuses_multi_read; /* came with the same release */
	stream->handlers.epoch(watching, zxid, stream->handlers.arg);
}

static void connect_now(struct stream *stream)
{
	int err = link_open(&stream->link, (struct sockaddr *)&stream->server, stream->server_size);

	if (err) {
		disconnect(stream, err);
		return;
	}
	stream->state = STATE_CONNECTING;
	stream->heard_at = stream->sent_at = clock_now(); /* silent_since remembers what it was */
	stream->pings_sent = stream->pings_answered = stream->fence_ping = 0;
	stream->session.timeout = stream->session_timeout;
	wire_put_connect(&stream->link.out, &stream->session, stream->last_zxid);
}

/* Never one of ZooKeeper's own, which are negative. */
static int32_t next_xid(struct stream *stream)
{
	stream->xid = stream->xid < INT32_MAX ? stream->xid + 1 : 1;
	return stream->xid;
}

/* Any request of our own that takes its place among the reads. False: no memory. */
static bool put_own_request(struct stream *stream, enum wire_op op)
{
	struct request *request = request_new(stream, op, "/");

	if (!request)
		return false;
	request->xid = next_xid(stream);
	DL_APPEND(stream->sent, request);
	if (op == WIRE_ADD_WATCH)
		wire_put_add_watch(&stream->link.out, request->xid, request->path);
	else
		wire_put_read(&stream->link.out, request->xid, op, request->path);
	return true;
}

static int handle_connect(struct stream *stream, struct wire_in *in)
{
	struct wire_session session = { 0 };
	int err = wire_get_connect(in, &session);

	if (err)
		return err;
	if (session.timeout <= 0) {
		memset(&stream->session, 0, sizeof(stream->session));
		stream->retry_delay = RETRY_FIRST / 2;
		return -ESTALE;
	}
	stream->session = session;
	stream->state = STATE_READY;
	stream->xid = 0;
	for (size_t i = 0; i < stream->credentials->count; i++) {
		const struct credential *credential = &stream->credentials->list[i];

		wire_put_auth(&stream->link.out, credential->scheme, credential->id, strlen(credential->id));
	}
	if (stream->refuses_watch)
		announce(stream, false, 0);
	else if (!put_own_request(stream, WIRE_ADD_WATCH))
		return -ENOMEM;
	return 0;
}

/* --- Replies and events --- */

static int decode(enum wire_op op, struct wire_in *in, struct stream_reply *reply)
{
	int32_t size = 0;
	int err = 0;

	if (op == WIRE_GET_DATA) {
		err = wire_get_buffer(in, &reply->data, &size);
		reply->data_size = size > 0 ? (size_t)size : 0;
	} else if (op == WIRE_GET_CHILDREN2) {
		err = wire_get_names(in, &reply->children);
	} else if (op == WIRE_GET_ACL) {
		err = wire_get_acl(in, &reply->acl);
	}
	return err ? err : wire_get_stat(in, &reply->stat);
}

static struct request *pop_sent(struct stream *stream)
{
	struct request *request = stream->sent;

	DL_DELETE(stream->sent, request);
	if (request->op != WIRE_ADD_WATCH && request->op != WIRE_SYNC)
		stream->sent_count--;
	return request;
}

/* Answers the oldest request with what in holds. -EBADMSG: it makes no sense, and the request stays. */
static int answer_oldest(struct stream *stream, int error, struct wire_in *in)
{
	struct stream_reply reply = { .error = zkerror_to_errno(error) };
	int err = error ? 0 : decode(stream->sent->op, in, &reply);

	if (!err)
		answer(pop_sent(stream), &reply);
	listing_put(reply.children);
	acl_list_put(reply.acl);
	return err;
}

static int answer_batch(struct stream *stream, int32_t xid, int error, struct wire_in *in)
{
	int err = 0;

	if (error == UNIMPLEMENTED || error == MARSHALLING_ERROR || error == BAD_ARGUMENTS) {
		log_info("the server refuses multiRead (error %d); reading one by one", error);
		stream->refuses_multi_read = true;
		return -EPROTO; /* on a new connection they are sent again */
	}
	while (!err && stream->sent && stream->sent->xid == xid) {
		int32_t code = error;

		err = error ? 0 : wire_get_multi_result(in, &code);
		if (!err)
			err = answer_oldest(stream, code, in);
	}
	return err > 0 ? -EBADMSG : err;
}

static void watch_answered(struct stream *stream, const struct wire_header *header)
{
	free(pop_sent(stream));
	if (header->error)
		stream->refuses_watch = header->error == UNIMPLEMENTED;
	announce(stream, header->error == 0, header->zxid);
}

/* Bytes per answer: rises at once, sinks slowly. */
static void learn_size(struct stream *stream, size_t size, int answers)
{
	size_t each = answers > 0 ? size / (size_t)answers : 0;

	if (each > stream->answer_size)
		stream->answer_size = each;
	else if (answers > 0)
		stream->answer_size = (stream->answer_size * 3 + each) / 4;
}

static int handle_reply(struct stream *stream, const struct wire_header *header, struct wire_in *in)
{
	struct request *oldest = stream->sent;
	size_t size = (size_t)(in->end - in->next);
	int count = stream->sent_count;
	int err = 0;

	if (!oldest || oldest->xid != header->xid)
		return -EBADMSG;
	if (oldest->op == WIRE_ADD_WATCH)
		watch_answered(stream, header);
	else if (oldest->op == WIRE_SYNC)
		free(pop_sent(stream));
	else if (oldest->in_batch)
		err = answer_batch(stream, header->xid, header->error, in);
	else
		err = answer_oldest(stream, header->error, in);
	learn_size(stream, size, count - stream->sent_count);
	return err;
}

static int handle_event(struct stream *stream, struct wire_in *in)
{
	size_t skip = stream->chroot_size;
	int32_t type, state;
	const char *path;
	size_t size;
	int err = wire_get_event(in, &type, &state, &path, &size);

	if (err || type < WIRE_CREATED || type > WIRE_DATA_CHANGED)
		return err;
	if (size < skip || memcmp(path, stream->chroot, skip) != 0 || (size > skip && path[skip] != '/'))
		return 0; /* not ours: a sibling of the chroot's node */
	stream->scratch.size = 0;
	(void)buf_append(&stream->scratch, path + skip, size - skip);
	if (size == skip)
		(void)buf_append(&stream->scratch, "/", 1);
	if (!buf_append(&stream->scratch, "", 1))
		return -ENOMEM; /* an event must not be missed: begin a new epoch */
	stream->handlers.event((enum wire_event_type)type, stream->scratch.data, stream->handlers.arg);
	return 0;
}

/* All up to this zxid has been handed on. */
static void reply_passed(struct stream *stream, int64_t zxid, enum fence_probe probe)
{
	pthread_mutex_lock(&stream->lock);
	pass_locked(stream, zxid);
	pthread_mutex_unlock(&stream->lock);
	fences_reply(&stream->fences, zxid, probe);
}

static int handle_frame(struct stream *stream, struct wire_in *in)
{
	struct wire_header header;
	enum fence_probe probe = FENCE_NO_PROBE;
	int err;

	if (stream->state == STATE_CONNECTING)
		return handle_connect(stream, in);
	err = wire_get_header(in, &header);
	if (err)
		return err;
	if (header.xid == WIRE_XID_EVENT)
		return handle_event(stream, in);
	if (header.xid == WIRE_XID_PING) {
		if (++stream->pings_answered == stream->fence_ping)
			probe = FENCE_PING;
	} else if (header.xid == WIRE_XID_AUTH) {
		if (header.error)
			stream->handlers.auth_failed(stream->handlers.arg);
		return 0;
	} else {
		if (stream->sent && stream->sent->op == WIRE_SYNC)
			probe = FENCE_SYNC;
		err = handle_reply(stream, &header, in);
	}
	if (header.zxid > stream->last_zxid)
		stream->last_zxid = header.zxid;
	if (!err && header.error && probe != FENCE_NO_PROBE)
		fences_refused(&stream->fences, probe);
	else if (!err)
		reply_passed(stream, header.zxid, probe);
	return err;
}

static int receive(struct stream *stream)
{
	struct wire_in frame;
	int err = link_fill(&stream->link);
	int got;

	if (err)
		return err;
	stream->heard_at = clock_now();
	if (stream->is_announced)
		stream->silent_since = INT64_MAX;
	while ((got = link_next_frame(&stream->link, &frame)) > 0) {
		err = handle_frame(stream, &frame);
		if (err)
			return err;
	}
	return got;
}

/* --- Sending --- */

/* How many of the oldest in the queue may travel as one multiRead. */
static int batch_size(const struct stream *stream, int room)
{
	size_t fits = BATCH_BYTES / (stream->answer_size + 1) + 1;
	size_t frame = 0;
	int count = 0;
	const struct request *request;

	if (!stream->can_multi_read || fits < 2)
		return 1;
	DL_FOREACH (stream->queue, request) {
		frame += strlen(request->path) + 32;
		if (request->op != WIRE_GET_DATA || count >= room || count >= BATCH_MAX || (size_t)count >= fits ||
			frame > REQUEST_FRAME_MAX)
			break;
		count++;
	}
	return count > 1 ? count : 1;
}

static void send_batch(struct stream *stream, int count)
{
	const char *paths[BATCH_MAX] = { NULL };

	(void)next_xid(stream);
	for (int i = 0; i < count; i++) {
		struct request *request = stream->queue;

		DL_DELETE(stream->queue, request);
		DL_APPEND(stream->sent, request);
		request->xid = stream->xid;
		request->in_batch = count > 1;
		paths[i] = request->path;
	}
	if (count > 1)
		wire_put_multi_read(&stream->link.out, stream->xid, paths, (size_t)count);
	else
		wire_put_read(&stream->link.out, stream->xid, stream->sent->prev->op, paths[0]);
	stream->sent_count += count;
}

static void send_reads(struct stream *stream)
{
	size_t fits = WINDOW_BYTES / (stream->answer_size + 1) + 1;
	int window = fits < WINDOW_MAX ? (int)fits : WINDOW_MAX;

	while (stream->queue && stream->sent_count < window)
		send_batch(stream, batch_size(stream, window - stream->sent_count));
}

static void send_ping(struct stream *stream)
{
	wire_put_ping(&stream->link.out);
	stream->pings_sent++;
}

static void send_probes(struct stream *stream)
{
	enum fence_probe probe;

	while ((probe = fences_next_probe(&stream->fences)) != FENCE_NO_PROBE) {
		if (probe == FENCE_PING) {
			send_ping(stream);
			stream->fence_ping = stream->pings_sent;
		} else if (!put_own_request(stream, WIRE_SYNC)) {
			stream->link.out.failed = true;
		}
	}
	if (stream->probes && stream->pings_answered == stream->pings_sent) /* else who waits asks by itself */
		send_ping(stream);
	stream->probes = false;
}

/* Everything that may be sent now is put into link.out and sent as far as the socket takes it. */
static int send_all(struct stream *stream, int64_t now)
{
	/* Until the server has answered addWatch nothing else is sent: one that refuses it closes the connection, and with requests
	 * of ours unread that could lose the refusal (TCP's reset discards what was received). */
	if (stream->is_announced) {
		send_reads(stream);
		send_probes(stream);
	}
	if (stream->state == STATE_READY) {
		if (now >= stream->sent_at + stream->session.timeout / 3)
			send_ping(stream);
		if (stream->link.out.size > 0)
			stream->sent_at = now;
	}
	return link_flush(&stream->link);
}

/* --- The thread --- */

static void take_server_locked(struct stream *stream, bool *moved)
{
	if (!stream->next_server_size)
		return;
	*moved = stream->next_server_size != stream->server_size ||
		memcmp(&stream->next_server, &stream->server, stream->server_size) != 0;
	memcpy(&stream->server, &stream->next_server, stream->next_server_size);
	stream->server_size = stream->next_server_size;
	stream->next_server_size = 0;
	stream->retry_at = 0;
}

static bool take_incoming(struct stream *stream)
{
	struct request *incoming;
	struct fence *fences;
	int64_t passed;
	bool goes_on;
	bool moved = false;

	pthread_mutex_lock(&stream->lock);
	stream->is_asleep = false;
	passed = stream->passed;
	goes_on = !stream->is_stopping;
	incoming = stream->incoming;
	stream->incoming = NULL;
	fences = stream->incoming_fences;
	stream->incoming_fences = NULL;
	take_server_locked(stream, &moved);
	if (stream->noted_zxid > stream->last_zxid)
		stream->last_zxid = stream->noted_zxid;
	pthread_mutex_unlock(&stream->lock);

	DL_CONCAT(stream->queue, incoming);
	if (fence_max_zxid(fences) > stream->last_zxid)
		stream->last_zxid = fence_max_zxid(fences);
	if (passed > stream->fences.passed)
		fences_reply(&stream->fences, passed, FENCE_NO_PROBE);
	fences_add(&stream->fences, fences);
	if (moved) {
		stream->refuses_watch = stream->refuses_multi_read = false;
		if (stream->state != STATE_IDLE)
			disconnect(stream, 0);
		stream->retry_at = 0;
	}
	return goes_on;
}

/* Tells those whose time is up. What was sent keeps its place, for its reply will come or the connection end. */
static void expire(struct stream *stream, int64_t now)
{
	const struct stream_reply late = { .error = -ETIMEDOUT };
	struct request *request;

	while (stream->queue && deadline_of(stream, stream->queue) <= now) {
		request = stream->queue;
		DL_DELETE(stream->queue, request);
		answer(request, &late);
	}
	DL_FOREACH (stream->sent, request) {
		stream_reply_cb *done = request->done;

		if (done && deadline_of(stream, request) > now)
			break;
		request->done = NULL;
		if (done) {
			note_silence(stream, request->asked_at);
			done(&late, request->arg);
		}
	}
	fences_expire(&stream->fences, now, -ETIMEDOUT);
}

static int64_t earliest_deadline(const struct stream *stream)
{
	int64_t earliest = fences_deadline(&stream->fences);
	const struct request *request;

	if (stream->queue && deadline_of(stream, stream->queue) < earliest)
		earliest = deadline_of(stream, stream->queue);
	DL_FOREACH (stream->sent, request) {
		if (request->done) {
			if (deadline_of(stream, request) < earliest)
				earliest = deadline_of(stream, request);
			break;
		}
	}
	return earliest;
}

static int64_t next_ping_or_death(const struct stream *stream)
{
	int64_t ping = stream->sent_at + stream->session.timeout / 3;
	int64_t death = stream->heard_at + (int64_t)stream->session.timeout * 2 / 3 + 1;

	return ping < death ? ping : death;
}

/* When a server that has not taken us in yet is given up. One that gets the connection while it loads its tree never does, nor
 * closes it (ZooKeeper 3.8.0); one that is only slow is given more time each time. */
static int64_t answer_due(const struct stream *stream)
{
	int64_t most = (int64_t)stream->session_timeout * 2 / 3;

	return stream->heard_at + (stream->answer_delay < most ? stream->answer_delay : most);
}

/* ms until the thread has something to do by itself; -1: nothing. */
static int sleep_time(const struct stream *stream, int64_t now)
{
	int64_t until = earliest_deadline(stream);
	int64_t other = INT64_MAX;

	if (stream->state == STATE_IDLE)
		other = stream->server_size ? stream->retry_at : INT64_MAX;
	else if (stream->state == STATE_CONNECTING)
		other = answer_due(stream);
	else
		other = next_ping_or_death(stream);
	if (other < until)
		until = other;
	if (stream->outage_at < until)
		until = stream->outage_at;
	if (until == INT64_MAX)
		return -1;
	if (until <= now)
		return 0;
	return until - now < 60000 ? (int)(until - now) + 1 : 60000;
}

/* Whether the server has been silent for too long. It answers our pings, so silence is never normal. */
static bool is_dead(const struct stream *stream, int64_t now)
{
	if (stream->state == STATE_CONNECTING)
		return now > answer_due(stream);
	return stream->state == STATE_READY && now > stream->heard_at + (int64_t)stream->session.timeout * 2 / 3 + 1;
}

static void tell_of_outage(struct stream *stream, int64_t now)
{
	if (now < stream->outage_at)
		return;
	stream->outage_at = INT64_MAX;
	if (stream->handlers.outage)
		stream->handlers.outage(stream->handlers.arg);
}

static void take_probe(struct stream *stream)
{
	uint64_t count;

	(void)!read(stream->probe_timer, &count, sizeof(count));
	pthread_mutex_lock(&stream->lock);
	stream->has_probe = false;
	pthread_mutex_unlock(&stream->lock);
	stream->probes = true;
}

static void sleep_until_news(struct stream *stream, int64_t now)
{
	struct pollfd fds[] = {
		{ .fd = stream->wake_fd, .events = POLLIN },
		{ .fd = stream->link.fd, .events = POLLIN },
		{ .fd = stream->probe_timer, .events = POLLIN },
	};
	bool has_news;
	uint64_t count;
	int err = 0;

	if (link_wants_write(&stream->link))
		fds[1].events |= POLLOUT;
	pthread_mutex_lock(&stream->lock);
	has_news = stream->incoming || stream->incoming_fences || stream->next_server_size || stream->is_stopping;
	stream->is_asleep = !has_news;
	pthread_mutex_unlock(&stream->lock);

	(void)poll(fds, sizeof(fds) / sizeof(fds[0]), has_news ? 0 : sleep_time(stream, now));
	if (fds[0].revents)
		(void)!read(stream->wake_fd, &count, sizeof(count));
	if (fds[2].revents)
		take_probe(stream);
	if (stream->link.fd >= 0 && (fds[1].revents & (POLLIN | POLLERR | POLLHUP)))
		err = link_flush(&stream->link); /* tells why a connection could not be made */
	if (!err && stream->link.fd >= 0 && (fds[1].revents & (POLLIN | POLLERR | POLLHUP)))
		err = receive(stream);
	if (err)
		disconnect(stream, err);
}

static void *stream_main(void *arg)
{
	struct stream *stream = arg;

	while (take_incoming(stream)) {
		int64_t now = clock_now();
		int err;

		if (is_dead(stream, now))
			disconnect(stream, -ETIMEDOUT);
		if (stream->state == STATE_IDLE && stream->server_size && now >= stream->retry_at)
			connect_now(stream);
		err = stream->state != STATE_IDLE ? send_all(stream, now) : 0;
		if (err)
			disconnect(stream, err);
		tell_of_outage(stream, now);
		expire(stream, now);
		sleep_until_news(stream, now);
	}
	if (stream->state == STATE_READY) {
		wire_put_close(&stream->link.out, next_xid(stream));
		(void)link_flush(&stream->link);
	}
	link_close(&stream->link);
	return NULL;
}

/* --- Life --- */

struct stream *stream_new(const struct stream_config *config)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	int err = ENOMEM;

	if (!stream)
		return NULL;
	link_init(&stream->link);
	stream->chroot = strdup(config->chroot);
	stream->chroot_size = strlen(config->chroot);
	stream->credentials = config->credentials;
	stream->session_timeout = config->session_timeout;
	stream->timeout = config->timeout;
	stream->handlers = config->handlers;
	stream->answer_size = FIRST_GUESS;
	stream->patience = config->patience;
	stream->silent_since = stream->outage_at = INT64_MAX;
	stream->retry_delay = RETRY_FIRST;
	stream->answer_delay = ANSWER_FIRST;
	stream->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	stream->probe_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	pthread_mutex_init(&stream->lock, NULL);
	if (stream->chroot && stream->wake_fd >= 0 && stream->probe_timer >= 0) {
		err = pthread_create(&stream->thread, NULL, stream_main, stream);
		if (!err)
			return stream;
	}
	if (stream->wake_fd >= 0)
		(void)close(stream->wake_fd);
	if (stream->probe_timer >= 0)
		(void)close(stream->probe_timer);
	free(stream->chroot);
	free(stream);
	errno = err;
	return NULL;
}

static void cancel_all(struct request **list)
{
	const struct stream_reply cancelled = { .error = -ECANCELED };

	while (*list) {
		struct request *request = *list;

		DL_DELETE(*list, request);
		answer(request, &cancelled);
	}
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->is_stopping = true;
	pthread_mutex_unlock(&stream->lock);
	wake(stream);
	(void)pthread_join(stream->thread, NULL);
	cancel_all(&stream->sent);
	cancel_all(&stream->queue);
	cancel_all(&stream->incoming); /* there can come no more: is_stopping */
	fences_add(&stream->fences, stream->incoming_fences);
	fences_expire(&stream->fences, INT64_MAX, -ECANCELED);
	buf_release(&stream->scratch);
	(void)close(stream->wake_fd);
	(void)close(stream->probe_timer);
	pthread_mutex_destroy(&stream->lock);
	free(stream->chroot);
	free(stream);
}
