/* What is known of the session with ZooKeeper. Plain data, no I/O. */
#ifndef ZKFS_CACHE_STATE_H
#define ZKFS_CACHE_STATE_H

#include <stdint.h>

/* As Kazoo names them. */
enum session_state {
	SESSION_CONNECTED,
	SESSION_SUSPENDED, /* no server answers; the session may live */
	SESSION_LOST,	   /* it has expired, and there is no other yet */
};

enum { SERVER_TEXT_MAX = 64 }; /* bytes of "address:port", terminated */

struct session_info {
	enum session_state state;
	int64_t id;		      /* 0: there is none */
	int timeout;		      /* ms, as the servers granted it */
	char server[SERVER_TEXT_MAX]; /* "": connected to none */
	uint64_t suspended, lost;     /* how often it was */
};

#endif
