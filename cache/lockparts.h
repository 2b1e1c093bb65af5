/* What lock.c (attempts, and what wakes them), lockdir.c (queues), lockhold.c (what is held) and litter.c (nodes that are to go) share.
 * For nobody else. All functions but locks_post and locks_tick are called while a message is handled, so there is only one at a time. */
#ifndef ZKFS_CACHE_LOCKPARTS_H
#define ZKFS_CACHE_LOCKPARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "cache/lock.h"
#include "cache/lockdir.h"
#include "cache/parts.h"

/* Something to be handled in turn. It is part of what it is about. */
struct lock_message;
typedef void lock_handler(struct lock_message *message);

struct lock_message {
	struct lock_message *prev, *next;
	lock_handler *handle;
};

/* Handles it and whatever has come meanwhile, or leaves it to the thread that is doing so. Any thread. */
void locks_post(struct locks *locks, struct lock_message *message);

/* What an owner has, by one node or three. */
struct hold {
	struct hold *prev, *next;
	struct lock_node node; /* the first */
	char *paths[LOCK_NODES_MAX];
	int64_t session;
	bool is_leaving; /* a swap that is under way removes it */
	bool is_there;	 /* a swap that is under way need not make its node */
	bool is_gone;	 /* somebody has removed a node of it */
};

/* An owner at a place. It is there as long as somebody has it (claimant_get) or it holds something. */
struct claimant {
	UT_hash_handle hh;
	struct locks *locks;
	enum lock_scope scope;
	uint64_t owner;
	pid_t pid;
	char *path;
	struct lockdir *dir; /* where its nodes lie */
	struct hold *holds;
	unsigned users;
	struct swap *swap;	       /* that is under way */
	bool is_busy;		       /* what it holds is being swapped: nothing else about it is done meanwhile, */
	struct lock_message *deferred; /* but later */
	bool is_hashed;
	size_t key_size;
	char key[];
};

/* A message about all. */
struct lock_call {
	struct lock_message message; /* first */
	struct locks *locks;
	bool is_posted;
};

struct litter;

struct locks {
	struct cache *cache;
	uint64_t instance;
	struct acl_list *open_acl; /* lock nodes are everybody's: who may not read one is not told that it goes */
	locks_lost_cb *lost;
	void *lost_arg;
	_Atomic(bool) is_used;
	_Atomic(bool) has_missed; /* an event, for want of memory */
	_Atomic(size_t) held, waiting;

	pthread_mutex_t lock; /* a leaf, over the members below, and tick.is_posted */
	pthread_cond_t changed;
	struct lock_message *inbox;
	bool is_handling;
	pthread_t thread;
	bool has_thread, is_ticking, is_ending;

	/* Of whoever handles messages. */
	struct lock_call tick, stop;
	uint32_t last_serial;
	struct claimant *claimants;
	struct attempt *attempts;
	struct litter *litter;
	struct lockdir *dirs;
	struct lockdir *unused_dirs;
	size_t unused_dir_count;
	bool is_stopping;
};

/* From now on the thread looks now and then after those who wait, and after litter, until there is none. */
void locks_tick(struct locks *locks);

/* The session that nodes belong to; 0: it has expired, and there is no other yet. */
int64_t locks_session_id(struct locks *locks);

/* The caller frees them. NULL: no memory. */
char *lock_parent(const struct lock_place *place);
char *lock_path(const char *parent, const char *name);

/* --- lock.c: attempts --- */

enum attempt_stage {
	ATTEMPT_MAKING,	  /* its nodes */
	ATTEMPT_AWAITING, /* the events of their births */
	ATTEMPT_LISTING,  /* the queue */
	ATTEMPT_WAITING,  /* for the blocker to go */
	ATTEMPT_STALLED,  /* for a server */
	ATTEMPT_SWAPPING,
};

/* A request to lock, until it is granted or given up. */
struct attempt {
	struct lock_message message; /* first */
	struct attempt *prev, *next;
	struct locks *locks;
	struct claimant *claimant;
	struct lock_place place; /* until there is a claimant */
	enum attempt_stage stage;
	uint64_t ticket;
	struct lock_node what; /* but for the number */
	bool waits;
	pid_t pid;
	int64_t deadline; /* ms, if it does not wait */
	void (*done)(int error, void *arg);
	void *arg;

	bool is_unwanted;
	bool is_made;	  /* its nodes are there, as far as is known, */
	bool is_in_doubt; /* or may be */
	bool has_synced;  /* so a listing is not old */
	int64_t session;
	int64_t looked_at; /* ms: when the queue was last listed, or its events began to be awaited */
	unsigned parents_tries;
	char *paths[LOCK_NODES_MAX];
	char *blocker; /* path */
	int error;     /* of the last answer, as the next */
	struct listing *listing;
	struct node_stat stat; /* the directory's */
	bool is_told;	       /* events tell of what becomes of the listing */
};

/* It is over. With an error its nodes go. */
void attempt_end(struct attempt *attempt, int error);

/* It has to begin anew, for its nodes have gone with their session. */
void attempt_again(struct attempt *attempt);

/* --- lockhold.c --- */

/* The one of this place. NULL: no memory. */
struct claimant *claimant_get(struct locks *locks, const struct lock_place *place);
void claimant_put(struct claimant *claimant);

/* The message is handled so once the claimant is not busy any more. */
void claimant_defer(struct claimant *claimant, struct lock_message *message, lock_handler *handle);

/* Who that is; 0: not known. */
pid_t claimant_pid(struct locks *locks, uint64_t owner);

/* Before nodes are made: what the owner holds may be enough, or can be made so at once. True: the attempt is ended, or will be. */
bool hold_has(struct attempt *attempt);

/* The attempt's nodes (own, in no order) stand first in their queues. rank: as in struct lock_verdict. Ends it, now or later. */
void hold_grant(struct attempt *attempt, const struct lock_node *own, size_t count, uint32_t rank);

/* A node is gone, and if it was held, so is that. */
void holds_deleted(struct locks *locks, const char *path);

/* So is all that was held in another session than this. */
void holds_check(struct locks *locks);

/* All that it holds is given up. */
void holds_give_up(struct claimant *claimant);

void holds_free(struct locks *locks);

/* --- litter.c: nodes that nobody needs --- */

/* Removes the nodes with this id: those of these paths (LOCK_NODES_MAX of them, some NULL; taken, and NULL then), or, with paths NULL
 * or if something goes wrong, those that are found below parent; again and again, until they are gone or their session is. done (may
 * be NULL) is called when they are gone, or when that is a matter of time. */
void litter_add(struct locks *locks, const char *parent, const struct lock_id *id, char **paths, int64_t session,
	cache_unlocked_cb *done, void *arg);

/* Tries again what was left. */
void litter_again(struct locks *locks);

void litter_free(struct locks *locks);

#endif
