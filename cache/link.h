/* One TCP connection that carries frames, without blocking: bytes in, whole frames out. Knows nothing of what the frames
 * say. Used by the stream's thread only. */
#ifndef ZKFS_CACHE_LINK_H
#define ZKFS_CACHE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "cache/util/buf.h"
#include "cache/wire.h"

/* A reply may hold a whole listing or a batch of contents, so this bounds only nonsense. */
enum { LINK_FRAME_MAX = 256 << 20 };

struct link {
	int fd; /* -1: closed */
	bool is_connecting;
	struct buf in;	/* bytes received */
	size_t taken;	/* of in: frames already given out */
	struct buf out; /* bytes to send */
};

void link_init(struct link *link);

/* Begins to connect; link_flush completes it once the socket is writable. 0 or -errno. */
int link_open(struct link *link, const struct sockaddr *address, socklen_t size);

/* Closes and drops what was in the buffers. Nothing happens when it is closed. */
void link_close(struct link *link);

/* Sends what out holds, as far as the socket takes it. 0, or -errno: the connection failed. */
int link_flush(struct link *link);

/* Whether it waits for the socket to become writable. */
bool link_wants_write(const struct link *link);

/* Receives what is there. 0, or -errno: the connection failed (-ECONNRESET when the server closed it). */
int link_fill(struct link *link);

/* The next whole frame that was received, without its length. 1: frame points into the link until the next link_fill or
 * link_close. 0: none yet. -EBADMSG: not a frame. */
int link_next_frame(struct link *link, struct wire_in *frame);

#endif
