/* The tree of znodes as the filesystem sees it. Answers from memory while the stream vouches for it, else asks ZooKeeper; sends
 * changes through the session and ends them only once the stream has passed them, so that what is read next is never older.
 * Safe from any thread.
 *
 * Calls taking a callback: a return of -errno means it will not be called; 0 means it is called once, on one of the cache's
 * threads or before the call returns. Its arguments are the cache's; copy to keep. It must not block. Errors are -errno:
 * those of zkerror, -ETIMEDOUT when there was no answer in time, -ECANCELED when the cache is being stopped. A change whose reply
 * is lost with the connection is looked for: -EIO means that whether it was made cannot be known.
 *
 * Paths are ZooKeeper's, "/" being the mount's root. */
#ifndef ZKFS_CACHE_CACHE_H
#define ZKFS_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/credentials.h"
#include "cache/node.h"
#include "cache/state.h"
#include "cache/step.h"
#include "cache/util/buf.h"

struct cache;

/* What became of a znode. */
enum cache_change {
	CACHE_CREATED,
	CACHE_CREATED_HERE, /* the same, perhaps by us; else CACHE_CREATED follows */
	CACHE_CHANGED,	    /* its data */
	CACHE_CHANGED_PLAIN, /* the same, perhaps by us, and then its data is not CACHE_CHILD_DATA long; else CACHE_CHANGED follows */
	CACHE_DELETED,
	CACHE_UNSURE, /* anything may have happened anywhere (path is "/"): the stream was broken */
};

/* Called on the stream's thread, which it must not block, in ZooKeeper's order: after it, and before any answer that is newer,
 * the cache answers nothing older than the change. Changes of our own are told like anybody's. */
typedef void cache_changed_cb(enum cache_change change, const char *path, void *arg);

/* The stream is back after a gap, which began after the transaction with zxid `from`. It ended before what is passed (cache_passed)
 * after a cache_sync. (The reply to addWatch has the zxid of a transaction before the watch, but perhaps not of the last one:
 * the server applies a transaction before it counts it.) On the stream's thread. */
typedef void cache_resumed_cb(int64_t from, void *arg);

/* The session's state is another now (cache_look). On any of the cache's threads. */
typedef void cache_state_cb(void *arg);

/* For how long after the servers are gone what was known before is given to who recalls it. */
enum cache_stale {
	CACHE_STALE_SESSION, /* until the session would have expired */
	CACHE_STALE_NEVER,
	CACHE_STALE_FOREVER, /* as long as it lasts */
};

struct cache_config {
	const char *servers;		       /* "host:port,…" */
	const char *chroot;		       /* "" or "/app" */
	const struct credentials *credentials; /* borrowed until cache_free */
	struct acl_list *acl;		       /* of new znodes; NULL: open to everybody. A reference is taken */
	int session_timeout;		       /* ms */
	int timeout;			       /* ms a call may wait for the server */
	int ttl;			       /* ms, where the server takes no watch */
	enum cache_stale stale;
	size_t size;	  /* bytes of memory for what is cached */
	bool with_access; /* tell of each znode who may read it: takes a reading of its ACL at least every 5 s */
	cache_changed_cb *changed;
	void *changed_arg;
	/* The same for what others did alone: CREATED, CHANGED, DELETED, each znode's in order, after changed was called for it, on
	 * any of the cache's threads. May be NULL. */
	cache_changed_cb *foreign;
	cache_resumed_cb *resumed;     /* may be NULL */
	void *foreign_arg;	       /* of both */
	cache_state_cb *state_changed; /* may be NULL */
	void *state_arg;
	/* The session is connected, for the first time, again, or another one (cache_session_id). On libzookeeper's thread, which it
	 * must not block. May be NULL. */
	void (*connected)(void *arg);
	void *connected_arg;
};

/* NULL: no memory or no threads; errno says which. */
struct cache *cache_new(const struct cache_config *config);

/* Connects and waits until reads and changes work and the chroot was found. 0, or -errno and one line for the user in reason.
 * Blocks for at most the timeout. */
int cache_start(struct cache *cache, char *reason, size_t reason_size);

/* Closes the sessions; every call under way ends. Nothing may be called any more. Blocks. */
void cache_stop(struct cache *cache);

/* After cache_stop. NULL is fine. */
void cache_free(struct cache *cache);

/* How many changes have been told of. What was learned at one moment is the newest there is while the moment is the same. */
uint64_t cache_moment(struct cache *cache);

/* All changes up to this zxid have been told of, but for those in a gap. 0: not known, for there is no stream. */
int64_t cache_passed(struct cache *cache);

/* Whether changes are told of: there is a stream with a watch. Where not, nothing may be remembered of an answer. */
bool cache_is_watching(struct cache *cache);

/* info: NULL on error. */
typedef void cache_node_cb(int error, const struct node_info *info, void *arg);

/* The znode's Stat (of a directory pzxid may be an older one: events tell no zxid) and its data; -ENOENT. Data that may not be read: success with info->data NULL and info->data_error. */
int cache_read(struct cache *cache, const char *path, cache_node_cb *done, void *arg);

/* As cache_read, but while no server answers, what was known before: by who has waited for CACHE_PATIENCE_MS (half of the timeout, if that is less),
 * or for as long as any call may, and once servers have been gone for so long, at once. It is never older than what anybody was told, of changes of ours
 * too. -EIO: it was known, but is too old now (struct cache_config, stale). */
enum { CACHE_PATIENCE_MS = 1000 };
int cache_recall(struct cache *cache, const char *path, cache_node_cb *done, void *arg);

/* The one length of data that a listing keeps: that of a symbolic link (fusefs/symlink.h). */
enum { CACHE_CHILD_DATA = 1067 };

/* A znode's children with the Stat of each, in creation order (czxid, then name). Immutable and counted: take a reference to
 * keep it. */
struct cache_child {
	const char *name;
	struct node_stat stat;
	struct bytes *data; /* if it is CACHE_CHILD_DATA long and can be read, else NULL */
	struct node_access access;
};

struct cache_children {
	_Atomic(unsigned) refs;
	uint64_t moment;       /* cache_moment when it was asked for */
	struct node_stat stat; /* the parent's */
	struct listing *names; /* what the names point into */
	size_t count;
	struct cache_child list[];
};

struct cache_children *cache_children_get(struct cache_children *children);
void cache_children_put(struct cache_children *children);

typedef void cache_children_cb(int error, struct cache_children *children, void *arg);

/* Asks for all that is not known at once (data included), each thing once. */
int cache_list(struct cache *cache, const char *path, cache_children_cb *done, void *arg);

/* The same, as cache_recall. */
int cache_recall_list(struct cache *cache, const char *path, cache_children_cb *done, void *arg);

typedef void cache_done_cb(int error, const struct node_stat *stat, void *arg);

/* Makes a znode that is a directory. stat is the new znode's. -EEXIST, -ENOENT (no parent), -EACCES, -ENOTDIR (the parent
 * is ephemeral), … */
int cache_mkdir(struct cache *cache, const char *path, cache_done_cb *done, void *arg);

/* Makes a znode that is a file with these contents (NULL: empty, which takes a second step in the same transaction to make
 * its version 1). As cache_mkdir. stat is the new znode's. */
int cache_create(struct cache *cache, const char *path, struct bytes *data, cache_done_cb *done, void *arg);

/* A znode to be made that is a file. */
struct cache_making {
	const char *path;   /* to which ten digits are appended if it is_sequential */
	struct bytes *data; /* NULL: empty */
	bool is_ephemeral;  /* the session's; else is_sequential */
	bool is_sequential;
	bool is_told; /* its birth is told of as if others had done it, as a sequential one's always is: no program of ours knows */
	/* Once, at the end. path, stat: the znode's, NULL on error. */
	void (*done)(int error, const char *path, const struct node_stat *stat, void *arg);
	void *arg;
};

/* Makes it. Errors as cache_mkdir's; -EIO: whether it was made cannot be known (make.c says when). If it turns out later that
 * an ephemeral was made, it is removed. Everything is copied. */
int cache_make(struct cache *cache, const struct cache_making *what);

/* Removes the znode if its version is this (-1: any). czxid: of the one that is meant (should the reply get lost, one made since
 * is left alone). -EAGAIN: it has another version; -ENOTEMPTY: it has children. stat is NULL. */
int cache_remove(struct cache *cache, const char *path, int64_t czxid, int32_t version, cache_done_cb *done, void *arg);

/* What cache_update is to make of a znode. */
struct cache_edit {
	/* Appends to out what the contents shall be when they are now old. 0, -errno to give up, or 1: they are right as they
	 * are. Called again whenever somebody else was faster; on any thread. */
	int (*compose)(const struct node_info *old, struct buf *out, void *arg);
	/* Once, at the end. stat: the znode's after the change, NULL on error. data: what it holds now (borrowed). */
	void (*done)(int error, const struct node_stat *stat, struct bytes *data, void *arg);
	void *arg;
	int64_t czxid; /* the znode must still be the one created by this; 0: whichever */
	/* It is made in this session or not at all (-EIO): who relies on an ephemeral of it, such as a lock, has that until then. 0: in
	 * any. */
	int64_t session;
	bool is_whole;	   /* the old contents do not matter: no version check, the last one wins */
	bool is_directory; /* the znode is a directory and must stay one (DESIGN.md section 2: data for a directory) */
	bool is_told;	   /* the change is told of as if others had done it, too */
	bool may_create; /* where there is no znode, one that is a file is made (compose is given a Stat of zeros, no data) */
};

/* Changes a znode's contents as the edit says, under a version check, again until nobody was in between. -ENOENT; -ESTALE:
 * there is another znode of that name now. The edit is copied. */
int cache_update(struct cache *cache, const char *path, const struct cache_edit *edit);

/* Makes all steps or none, in one transaction; what is read next shows it. The error is that of the first step that cannot be
 * made; -EFBIG at once: too large for one packet. is_unknown, with an error: the connection broke and it may have been made; by now
 * nothing of it is on its way, and what is read next tells. */
typedef void cache_transacted_cb(int error, bool is_unknown, void *arg);
int cache_transact(struct cache *cache, const struct write_step *steps, size_t count, cache_transacted_cb *done,
	void *arg);

/* What became of a program's own transaction. */
struct cache_outcome {
	int error; /* 0, or -errno of the step that cannot be made; -EIO also: whether it was made cannot be known */
	size_t failed; /* with an error: that step; as many as there are: none in particular */
	const char *const
		*made; /* by step, what a sequential CREATE has made, else NULL; NULL: no step is sequential */
};

typedef void cache_committed_cb(const struct cache_outcome *outcome, void *arg);

/* As cache_transact, for what the kernel does not know to be ours: what it does is told of like what others do. One whose reply is
 * lost is looked for, and made again if it was not made. -EFBIG at once, as there. */
int cache_commit(struct cache *cache, const struct write_step *steps, size_t count, cache_committed_cb *done,
	void *arg);

/* The znode's ACL, never from memory, for it changes without an event. The server hides digests ("user:x") from who may not
 * administer the znode. */
typedef void cache_acl_cb(int error, const struct node_stat *stat, struct acl_list *acl, void *arg);
int cache_read_acl(struct cache *cache, const char *path, cache_acl_cb *done, void *arg);

/* The znode's whole Stat, never from memory: aversion changes without an event, and events tell nothing of cversion and pzxid. */
int cache_read_stat(struct cache *cache, const char *path, cache_done_cb *done, void *arg);

/* Gives the znode this ACL (not empty), in place of the one it has now: under a check of aversion, again until nobody was in
 * between. czxid: the znode must still be the one created by this (0: whichever is there now). -ESTALE: it is not; -ENOENT; -EACCES; -EINVAL: the servers do
 * not know one of the schemes, or not such an id, or there is nobody that "auth" could stand for. stat is NULL. */
int cache_set_acl(struct cache *cache, const char *path, int64_t czxid, struct acl_list *acl, cache_done_cb *done,
	void *arg);

/* Whether the transaction with this zxid set data here, as far as is known and remembered (the last thousand or so). */
bool cache_is_ours(struct cache *cache, int64_t zxid);

/* The session that owns the ephemerals we make; 0: there is none now. */
int64_t cache_session_id(struct cache *cache);

/* What a quorum of the servers has just confirmed. */
struct cache_lease {
	int64_t session; /* its id */
	int timeout;	 /* ms, as the servers granted it */
	int64_t contact; /* ms of clock_now, before they were asked: until timeout later the session has not expired */
};

typedef void cache_leased_cb(int error, const struct cache_lease *lease, void *arg);

/* Asks, by a transaction that changes nothing, whether the session lives; contact is not before the call. lease: NULL on error. */
int cache_lease(struct cache *cache, cache_leased_cb *done, void *arg);

/* What cache_look tells. */
struct cache_view {
	struct session_info session;
	bool is_reading;		    /* there is a stream */
	bool is_watching;		    /* and it tells of changes */
	char reads_from[SERVER_TEXT_MAX];   /* "": from no server yet */
	uint64_t created, changed, deleted; /* events of the watch */
	uint64_t gaps;			    /* times that it was broken */
	size_t nodes, bytes, bytes_max;	    /* cached */
	uint64_t hits, misses, recalled;
	size_t changes_waiting, changes_sent; /* for a connection, for an answer */
};

/* How things are, for who watches over us. Does not wait. */
void cache_look(struct cache *cache, struct cache_view *view);

/* Ends when what is read next is at least as new as the ensemble was at the call. */
int cache_sync(struct cache *cache, cache_done_cb *done, void *arg);

#endif
