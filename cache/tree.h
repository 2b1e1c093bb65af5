/* The cached znodes by path, and the one place that decides what of them may still be served.
 *
 * What makes an entry stale, and what records it:
 *  - an event of the recursive watch: tree_event clears the parts it concerns. (A child's birth or death leaves a directory's Stat
 *    good but for pzxid: the counts follow from the event.) Because replies and events reach the tree in
 *    the stream's order, a reply that arrives later is newer, always; nothing else must be remembered about a read under way.
 *  - a break of the stream: tree_broken begins a new epoch. Entries of an older epoch are served again only once a reply of
 *    this one has shown that mzxid (data) or pzxid (children) are what they were; but while there is no connection, what the last
 *    epoch knew may be recalled, see below.
 *  - a change of our own that made no event (we may not read the znode, or there is no watch): tree_changed_by_us.
 *  - time: what no event would tell of (listings, absent names, unreadable znodes, who may read one: rule 6) is trusted for TREE_UNSEEN_MS, and
 *    everything for ttl where the server took no watch (rule 7).
 *
 * tree_ask is for any thread, and so is what a change of ours does once the stream has passed it. Everything else that changes what
 * is cached is called on the stream's thread only. The tree calls
 * nobody: it gives back who is to be told and what is to be asked, and the caller does it. Its lock is a leaf.
 *
 * A name that is not there is known not to be as long as the directory's names are: those last listed, and the nodes made here
 * by the events of births since, but for those that died since.
 *
 * Recalling: while no server answers, whoever takes it (tree_waiter) may be given what was known when the stream broke, until the time
 * that tree_broken was given. All of it is from one epoch, the last, and so nobody is given anything older than what he was given before;
 * nor than what he has written, for tree_distrust ends it.
 *
 * Memory is bounded by the limit, least recently used first; a znode that somebody waits for stays. */
#ifndef ZKFS_CACHE_TREE_H
#define ZKFS_CACHE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/node.h"
#include "cache/stream.h"

enum { TREE_UNSEEN_MS = 5000 };

enum tree_query {
	TREE_NODE,     /* Stat and data, or the error that tells why there are none */
	TREE_CHILDREN, /* Stat and names of the children */
	TREE_QUERIES
};

/* What somebody waits for. The caller allocates it, the tree links it, and it comes back from tree_reply. */
struct tree_waiter {
	struct tree_waiter *next;
	bool takes_old; /* is content with what can be recalled */
};

/* What can be recalled for some who wait. The caller frees it, and releases info if error is 0. */
struct tree_answer {
	struct tree_answer *next;
	struct tree_waiter *waiters;
	int error;
	struct node_info info;
};

enum tree_step {
	TREE_READY,   /* answered: *error and *info */
	TREE_WAITING, /* the waiter was taken; a read under way will answer it */
	TREE_FETCH,   /* the waiter was taken, and the caller must send *read for this path on the stream */
};

struct tree;

struct tree_stats {
	size_t nodes, bytes;
	uint64_t hits, misses;
	uint64_t recalled; /* answers, among the hits */
};

/* limit: bytes; ttl: ms, for a server that takes no watch. NULL: no memory. */
struct tree *tree_new(size_t limit, int ttl);

/* From now on no answer to TREE_NODE is given without the access (struct node_info), which is trusted for TREE_UNSEEN_MS: nothing tells
 * of another ACL. So what tree_ask wants to be read may be the ACL, and for anything else of a TREE_NODE the caller may send a
 * STREAM_ACL right before, whose reply goes to tree_access. Before the first question. */
void tree_want_access(struct tree *tree);

/* From now on what was known may be recalled; else nothing ever is. Before the first question. */
void tree_let_recall(struct tree *tree);

/* No waiter may be left. NULL is fine. */
void tree_free(struct tree *tree);

/* Asks for a znode at time now (ms, any monotonic clock, the same for all calls). Gives a step, or -ENOMEM (nothing taken).
 * On TREE_READY *error is 0 or -errno (-ENOENT, -EACCES), and with 0 *info holds references that the caller releases. */
int tree_ask(struct tree *tree, const char *path, enum tree_query query, int64_t now, struct tree_waiter *waiter,
	enum stream_read *read, int *error, struct node_info *info);

/* Takes the reply to a read for path that tree_ask or tree_reply called for. Gives the waiters it answers, chained by next,
 * with *error and *info for all of them (*info as above). If *again: answers nobody, and *read must be sent for this path. */
struct tree_waiter *tree_reply(struct tree *tree, const char *path, enum tree_query query, enum stream_read *read,
	const struct stream_reply *reply, int64_t now, bool *again, int *error, struct node_info *info);

/* Takes the reply to a STREAM_ACL that was sent ahead of a read. */
void tree_access(struct tree *tree, const char *path, const struct stream_reply *reply, int64_t now);

/* We have given the znode another ACL. Any thread. */
void tree_access_changed(struct tree *tree, const char *path);

/* An event of the watch; wall is the time of day in ms. */
void tree_event(struct tree *tree, enum wire_event_type type, const char *path, int64_t wall);

/* The stream has a connection, with or without a watch. */
void tree_connected(struct tree *tree, bool watching);

/* The stream's connection ended. What was known then can be recalled until this time (ms, as now). */
void tree_broken(struct tree *tree, int64_t now, int64_t until);

/* No server has answered for some time: from now on, until tree_connected, tree_ask recalls at once. */
void tree_outage(struct tree *tree);

/* A change of ours stands, or the answer to one told us of another's, and the stream could not pass it: nothing from before it is
 * recalled. Called before anybody hears of it. */
void tree_distrust(struct tree *tree);

/* What can be recalled for those who wait for this query of path, or, path being NULL, for anything: they are answered, and those left
 * that do not take it or of which nothing is known. -EIO: it was known, but the time is over (not for NULL: they may wait). */
struct tree_answer *tree_recall(struct tree *tree, const char *path, enum tree_query query, int64_t now);

/* A znode as it is now, to tell later what has happened to it since. */
struct tree_mark {
	uint64_t serial; /* of its node; 0: nothing can be told */
	uint32_t epoch;
	uint32_t events, sets;
	int64_t czxid; /* 0: its Stat is not known */
	int32_t version;
};

struct tree_mark tree_mark(struct tree *tree, const char *path);

/* How many events the znode was told of since the mark; 0 also where that is not known. */
uint32_t tree_events_since(struct tree *tree, const char *path, const struct tree_mark *mark);

/* Whether the stream has passed the setData that left the znode with this Stat. The mark, taken before it was sent, tells how
 * many have made this version of that one, each makes one event, and events come in order: the last of so many is ours.
 * (DataTree.setData; for births there is no such count, another may have been born and died in between.) */
bool tree_has_passed(struct tree *tree, const char *path, const struct tree_mark *mark, const struct node_stat *stat);

/* A change of ours to path, with this zxid (0: not known), has been passed by the stream: drops what is older of the znode, and
 * where the change made or removed it (is_birth_or_death), of its parent's listing; unless there were events since the mark,
 * which was taken before the change was sent, for then all that is done. */
void tree_changed_by_us(struct tree *tree, const char *path, const struct tree_mark *mark, int64_t zxid,
	bool is_birth_or_death);

/* The stream has passed a change of ours that left the znode with this Stat and data (NULL: empty), and that made so many
 * events of it: if there were no others since the mark, which was taken before the change was sent, that is what it is now.
 * Called after tree_changed_by_us. */
void tree_fill(struct tree *tree, const char *path, const struct tree_mark *mark, uint32_t events,
	const struct node_stat *stat, struct bytes *data, int64_t now);

/* Whether to read the children of a directory, *parent, because names are looked up in it that are not there, as path just was:
 * who knows all names can say so by itself. If so a read of them (TREE_CHILDREN) counts as under way, and *read must be sent.
 * *parent is the caller's. */
bool tree_wants_names(struct tree *tree, const char *path, int64_t now, enum stream_read *read, char **parent);

struct tree_stats tree_stats(struct tree *tree);

#endif
