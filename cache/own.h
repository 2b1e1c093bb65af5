/* Which events are our own doing. The stream tells of our changes as of anybody's and does not say whose they are (before 3.9 an
 * event carries no zxid: ZOOKEEPER-4655), so while a change of ours is under way, events of its znodes are held; once the
 * stream has passed the change its own are taken out, and what is left was done by others. What the stream did not tell, because
 * it was broken, is told by its zxid.
 *
 * Safe from any thread; holds no lock while it calls. */
#ifndef ZKFS_CACHE_OWN_H
#define ZKFS_CACHE_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/step.h"
#include "cache/wire.h"

struct own;
struct own_change;

/* A held event turned out not to be our doing. Those of one znode come in order, from whichever thread calls here. */
typedef void own_foreign_cb(enum wire_event_type type, const char *path, void *arg);

/* marked_size: of data, in bytes; whose changes give so much are marked. NULL: no memory. */
struct own *own_new(size_t marked_size, own_foreign_cb *foreign, void *arg);

/* No change may be under way. NULL is fine. */
void own_free(struct own *own);

/* Before a transaction is sent. NULL: no memory; its events will pass for others'. */
struct own_change *own_begin(struct own *own, const struct write_step *steps, size_t count);

enum own_outcome { OWN_NOT_MADE, OWN_MADE, OWN_UNKNOWN };

/* Once the stream has passed it. NULL is fine. OWN_UNKNOWN: events that it would have made count as its own. */
void own_end(struct own *own, struct own_change *change, enum own_outcome outcome);

/* A transaction of ours with this zxid (0: not known) was made. */
void own_made(struct own *own, int64_t zxid);

/* Whether that was one of ours; the last OWN_REMEMBERED are remembered. */
enum { OWN_REMEMBERED = 1024 };
bool own_is_ours(struct own *own, int64_t zxid);

enum own_event {
	OWN_FOREIGN, /* it is not ours */
	OWN_PERHAPS, /* it is held: foreign will be told when the changes under way have ended, if it is not theirs */
	OWN_PERHAPS_MARKED, /* the same, and one of those is marked */
};

struct own_held;

/* Whose an event is, on the stream's thread, before anybody can know that the stream has passed it: a change that ends looks for
 * its events here. after: the zxid up to which everything had been told before. *held, if it is held, is to be given to own_ready. */
enum own_event own_event(struct own *own, enum wire_event_type type, const char *path, int64_t after,
	struct own_held **held);

/* The event has been applied everywhere else, and may be handed on. NULL is fine. */
void own_ready(struct own *own, struct own_held *held);

/* The stream broke: what is held is dropped, for there is a gap now, and who needs to know what happened must look. Gives the zxid
 * after which all that came that was dropped; INT64_MAX: nothing was. */
int64_t own_break(struct own *own);

#endif
