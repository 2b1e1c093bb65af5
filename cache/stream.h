/* The stream: our own connection for everything that is read (DESIGN.md section 4). One socket, one thread; requests are
 * pipelined, and replies and the events of one recursive watch on the mount's root come back in ZooKeeper's order and are
 * handed on in that order. That order is the whole point: no reply can be overtaken by the event that makes it stale.
 *
 * An unbroken run of the connection is an epoch. Recursive watches replay nothing after a reconnect, so every break means
 * that what was learned before is unverified; requests without an answer are sent again on the next connection.
 *
 * Several gets that wait to be sent travel as one multiRead, which spares the server most of its work per request.
 * Ordinary watches are never set here: they would destroy the recursive one on the same path (ZOOKEEPER-4466).
 *
 * All paths are the mount's ("/" is the chroot's node); the stream adds and strips the chroot. */
#ifndef ZKFS_CACHE_STREAM_H
#define ZKFS_CACHE_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "cache/credentials.h"
#include "cache/fence.h"
#include "cache/node.h"
#include "cache/wire.h"

enum stream_read {
	STREAM_GET,	 /* Stat and data */
	STREAM_EXISTS,	 /* Stat */
	STREAM_CHILDREN, /* Stat and the children's names */
	STREAM_ACL,	 /* Stat and ACL */
};

/* An answer; everything in it is the stream's, for the time of the callback. */
struct stream_reply {
	int error; /* 0; -errno by zkerror; -ETIMEDOUT no answer in time; -ECANCELED the stream is being freed */
	struct node_stat stat;
	const char *data; /* STREAM_GET */
	size_t data_size;
	struct listing *children; /* STREAM_CHILDREN */
	struct acl_list *acl;	  /* STREAM_ACL */
};

typedef void stream_reply_cb(const struct stream_reply *reply, void *arg);

/* News. All are called on the stream's thread, which they must not block. */
struct stream_handlers {
	/* A connection is ready; its replies follow. watching: the server took the recursive watch. If not, nothing will
	 * tell of changes (WatchManagerOptimized, servers before 3.6, lookalikes: rule 7). zxid: it tells of every one after
	 * this. */
	void (*epoch)(bool watching, int64_t zxid, void *arg);
	/* The connection ended, after any number of replies. zxid: every change up to this has been told of, if it was watching.
	 * gone: ms since when the server is, and session: ms after which it gives up those it does not hear of. */
	void (*broken)(int64_t zxid, int64_t gone, int session, void *arg);
	/* There has been no connection for as long as patience says. May be NULL. */
	void (*outage)(void *arg);
	/* type: WIRE_CREATED, WIRE_DELETED or WIRE_DATA_CHANGED. */
	void (*event)(enum wire_event_type type, const char *path, void *arg);
	/* A server refused a credential; said each time it happens. */
	void (*auth_failed)(void *arg);
	void *arg;
};

struct stream_config {
	const char *chroot;		       /* "" or "/app"; copied */
	const struct credentials *credentials; /* borrowed until stream_free */
	int session_timeout;		       /* ms, asked of the server */
	/* ms that a request waits for its answer. Once the server has been silent for so long, new ones wait only for a moment:
	 * whoever makes several in a row must not wait as many times. */
	int timeout;
	int patience; /* ms */
	struct stream_handlers handlers;
};

struct stream;

/* Makes it and starts its thread; it connects when told where to by stream_follow. NULL: errno says why. */
struct stream *stream_new(const struct stream_config *config);

/* Ends the thread, closes the session, and answers whoever waits with -ECANCELED from the calling thread. NULL is fine. */
void stream_free(struct stream *stream);

/* From now on be connected to this server: connects at once, away from another if need be. Any thread. */
void stream_follow(struct stream *stream, const struct sockaddr *server, socklen_t size);

/* Asks. 0: done is called once, on the stream's thread. -ENOMEM, -ECANCELED (it is being freed): it is not. Any thread. */
int stream_send(struct stream *stream, enum stream_read read, const char *path, stream_reply_cb *done, void *arg);

/* Between these, requests of any thread may wait to be sent together. They nest; keep it short. */
void stream_cork(struct stream *stream);
void stream_uncork(struct stream *stream);

/* A change has just been submitted: asks the server, ahead of its answer, how far it is. Where both go through one queue there
 * (a server alone) the reply comes right behind the change, and the change's fence need not ask. The question waits a moment,
 * for the session's thread to send the change first: asked before it, it would be answered in vain. Any thread. */
void stream_probe(struct stream *stream);

/* When a fence asks the server how far it is. */
enum stream_haste {
	STREAM_AT_ONCE,
	STREAM_SOON, /* after a moment, for the change's event may be here by then, and stream_note makes the question needless */
};

/* Calls done once the stream has passed the change with this zxid, or, for 0, everything that was acknowledged to anyone
 * before the call. Also noted as seen: no server that is behind it will be read from. Ends with -ETIMEDOUT after the
 * timeout. 0: done is called once, on the stream's thread or before the call returns; -ENOMEM, -ECANCELED: it is not. Any thread. */
int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg);

/* How far the stream was. */
struct stream_mark {
	int64_t passed;	     /* the zxid up to which it had told everything; 0: not known */
	uint64_t connection; /* for which that holds */
};

/* Any thread. */
struct stream_mark stream_mark(struct stream *stream);

/* It is known from elsewhere that the stream has passed the change with this zxid, on the mark's connection: noted as seen, as
 * stream_fence does, and as passed. Any thread. */
void stream_note(struct stream *stream, int64_t zxid, const struct stream_mark *mark);

#endif
