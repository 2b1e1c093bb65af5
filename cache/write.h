/* Changes: one asynchronous ZooKeeper transaction per call, of one step or several (libzookeeper_mt underneath). While there
 * is no connection they wait, in order, for at most the timeout; what was sent and lost its connection has an unknown
 * outcome and says so. Knows nothing of the stream: the caller fences. */
#ifndef ZKFS_CACHE_WRITE_H
#define ZKFS_CACHE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/node.h"
#include "cache/session.h"
#include "cache/step.h"

struct write_result {
	int error;	       /* 0 or -errno by zkerror; -ETIMEDOUT; -EFBIG: too large for one packet */
	bool is_unknown;       /* with an error: it may have been made all the same */
	int64_t zxid;	       /* of the transaction; 0: not known */
	struct node_stat stat; /* of the last step that has one (a CREATE alone, a SET) */
	size_t failed; /* with an error: the step that cannot be made; as many as there are: none in particular */
	const char *const
		*made; /* by step, what a sequential CREATE has made, else NULL; NULL: there is no such step */
};

typedef void write_cb(const struct write_result *result, void *arg);

struct writer;

struct writer_config {
	const char *chroot; /* "" or "/app"; copied */
	struct acl_list
		*acl; /* of what a CREATE makes that names none; NULL: open to everybody. A reference is taken */
	int timeout;  /* ms; once there has been no server for so long, changes wait for it only for a moment */
};

/* NULL: no memory. The session must be given by writer_attach before the first change. */
struct writer *writer_new(const struct writer_config *config);
void writer_attach(struct writer *writer, struct session *session);

/* After the session was stopped: ends whatever still waits, and every later change, with -EIO. */
void writer_stop(struct writer *writer);

/* After writer_stop. NULL is fine. */
void writer_free(struct writer *writer);

/* Makes the change. 0: done is called once, on libzookeeper's or the session's thread, or before the call returns; -ENOMEM,
 * -EFBIG, -ENAMETOOLONG, -EINVAL (a SET_ACL among other steps, or without an ACL): it is not called and nothing was sent. Any thread. */
int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg);

/* How many changes wait for a connection, and how many for their answer. Any thread. */
void writer_count(struct writer *writer, size_t *waiting, size_t *sent);

/* What the session tells (see session_handlers). */
void writer_connected(struct writer *writer);
void writer_lost(struct writer *writer); /* the connection */
void writer_closed(struct writer *writer);
void writer_waiting(struct writer *writer);

#endif
