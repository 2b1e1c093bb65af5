/* Who waits until the stream has passed a change (DESIGN.md section 4, rule 2), and which request on the stream would tell.
 * A reply with header zxid z follows every event up to z, because the server triggers watches before it advances
 * lastProcessedZxid (DataTree.processTxn), so: a ping's reply not older than the change is enough; if it is older, this
 * server lags behind the one that made the change, and a sync brings it up. A change whose zxid is not known (a delete's
 * reply has none) needs a sync at once. Used by the stream's thread only; no I/O. */
#ifndef ZKFS_CACHE_FENCE_H
#define ZKFS_CACHE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

/* 0, or -errno: the stream ended before it could pass. */
typedef void fence_cb(int error, void *arg);

enum fence_probe { FENCE_NO_PROBE, FENCE_PING, FENCE_SYNC };

struct fence;

struct fences {
	struct fence *waiting;
	int64_t passed; /* the newest header zxid of a reply on this connection */
	bool ping_is_out;
	bool sync_is_out;
};

/* zxid 0: not known. NULL: no memory. The caller gives it to fences_add or frees it with free(). */
struct fence *fence_new(int64_t zxid, int64_t deadline, fence_cb *done, void *arg);

/* Appends a fence to a list of those that are to be added. */
void fence_queue(struct fence **list, struct fence *fence);

/* The newest zxid that a fence of such a list waits for; 0: none. */
int64_t fence_max_zxid(const struct fence *list);

/* Takes the fences of such a list (NULL: none); may call their callbacks before it returns. */
void fences_add(struct fences *fences, struct fence *list);

/* The probe to be sent now, which is then counted as sent. Call until FENCE_NO_PROBE. */
enum fence_probe fences_next_probe(struct fences *fences);

/* A reply with this header zxid has been handled (all before it too); probe says whether it answers one. */
void fences_reply(struct fences *fences, int64_t zxid, enum fence_probe probe);

/* The server refused the probe (it is throttling, say): it tells nothing, and must be sent again. */
void fences_refused(struct fences *fences, enum fence_probe probe);

/* The connection ended: what was sent will not be answered. Who waits goes on waiting. */
void fences_broken(struct fences *fences);

/* Ends those whose deadline (in the caller's clock) is not after now, with error; INT64_MAX: all. */
void fences_expire(struct fences *fences, int64_t now, int error);

/* The earliest deadline, INT64_MAX if none. */
int64_t fences_deadline(const struct fences *fences);

#endif
