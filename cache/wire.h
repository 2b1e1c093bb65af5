/* The few records of ZooKeeper's protocol (zookeeper.jute) that the stream speaks: encoding requests, decoding replies and
 * events. No I/O, no state, no ZooKeeper library. Everything a server sends is checked here: a decoder never reads past
 * its input, never trusts a length or a count, and says -EBADMSG for what it cannot take.
 *
 * Requests are appended to a struct buf as whole frames (4-byte length, RequestHeader, record); like buf_append they
 * note a lack of memory in buf->failed. */
#ifndef ZKFS_CACHE_WIRE_H
#define ZKFS_CACHE_WIRE_H

#include <stdint.h>

#include "cache/node.h"
#include "cache/util/buf.h"

/* Request types (ZooDefs.OpCode). */
enum wire_op {
	WIRE_EXISTS = 3,
	WIRE_GET_DATA = 4,
	WIRE_GET_ACL = 6,
	WIRE_SYNC = 9,
	WIRE_PING = 11,
	WIRE_GET_CHILDREN2 = 12,
	WIRE_MULTI_READ = 22, /* since 3.6 (ZOOKEEPER-1416's companion, multiRead) */
	WIRE_AUTH = 100,
	WIRE_ADD_WATCH = 106, /* since 3.6 (ZOOKEEPER-1416) */
	WIRE_CLOSE = -11,
};

/* Reserved xids (ClientCnxn): replies bearing them answer no numbered request. */
enum { WIRE_XID_EVENT = -1, WIRE_XID_PING = -2, WIRE_XID_AUTH = -4 };

/* Event types (Watcher.Event.EventType). */
enum wire_event_type {
	WIRE_CREATED = 1,
	WIRE_DELETED = 2,
	WIRE_DATA_CHANGED = 3,
	WIRE_CHILDREN_CHANGED = 4,
};

enum { WIRE_PASSWORD_MAX = 64 };

/* What identifies a session to a server (ConnectRequest and ConnectResponse). */
struct wire_session {
	int64_t id;	 /* 0: none yet */
	int32_t timeout; /* ms: asked for, then what the server grants; 0 or less granted: the session has expired */
	int32_t password_size;
	char password[WIRE_PASSWORD_MAX];
};

/* The part of a frame not yet decoded. Points into the caller's memory. */
struct wire_in {
	const char *next;
	const char *end;
};

struct wire_header {
	int32_t xid;
	int64_t zxid;
	int32_t error; /* ZooKeeper's code, 0 or negative */
};

/* --- Requests. Paths are whole paths as the server sees them. --- */

void wire_put_connect(struct buf *out, const struct wire_session *session, int64_t last_zxid_seen);
void wire_put_auth(struct buf *out, const char *scheme, const void *credential, size_t size);
void wire_put_ping(struct buf *out);
void wire_put_close(struct buf *out, int32_t xid);

/* op: WIRE_EXISTS, WIRE_GET_DATA, WIRE_GET_CHILDREN2 (without a watch), WIRE_GET_ACL or WIRE_SYNC. */
void wire_put_read(struct buf *out, int32_t xid, enum wire_op op, const char *path);

/* One multiRead of getData for each of count paths. */
void wire_put_multi_read(struct buf *out, int32_t xid, const char *const *paths, size_t count);

/* addWatch, mode PERSISTENT_RECURSIVE. */
void wire_put_add_watch(struct buf *out, int32_t xid, const char *path);

/* --- Replies. Each takes from in and returns 0 or -EBADMSG. What they point to lies inside the frame. --- */

/* The size of the frame that begins at data, its 4-byte length included; 0: fewer than 4 bytes there; -EBADMSG: a
 * negative length or one over max. */
int64_t wire_frame_size(const char *data, size_t size, size_t max);

/* in: a ConnectResponse (with or without the readOnly byte that 3.4 added). */
int wire_get_connect(struct wire_in *in, struct wire_session *session);

int wire_get_header(struct wire_in *in, struct wire_header *header);
int wire_get_stat(struct wire_in *in, struct node_stat *stat);

/* A buffer (jute: length, bytes). *size -1: null. */
int wire_get_buffer(struct wire_in *in, const char **data, int32_t *size);

/* A vector of strings as a listing held once by the caller. Leaves out names that no znode can have and that would be
 * dangerous in a path: empty, ".", "..", with '/' or a NUL byte. -ENOMEM too. */
int wire_get_names(struct wire_in *in, struct listing **listing);

/* A vector of ACLs as a list held once by the caller. -ENOMEM too. */
int wire_get_acl(struct wire_in *in, struct acl_list **acl);

/* A WatcherEvent. *path is not terminated: path_size bytes. -EBADMSG for a path that does not begin with '/', is empty or
 * holds a NUL byte (session events, of type -1, have an empty path and are given with path_size 0). */
int wire_get_event(struct wire_in *in, int32_t *type, int32_t *state, const char **path, size_t *path_size);

/* The next result in a multiRead's reply: *error 0 and then a GetDataResponse (buffer and Stat) follows in in, or
 * ZooKeeper's code and nothing follows. 1: there was none, the end marker is consumed. */
int wire_get_multi_result(struct wire_in *in, int32_t *error);

#endif
