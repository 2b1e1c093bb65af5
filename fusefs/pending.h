/* FUSE requests that wait for an answer. Each gets exactly one reply: from its completion, from an interrupt (the caller is being
 * killed), or because its time is up. Whoever comes first wins; the completion, which always comes, frees. So nothing that
 * waits for ZooKeeper can hang a process for good.
 *
 * A handler calls pending_start, starts something asynchronous with the struct pending as its argument, and ends with one
 * pending_reply_… or pending_fail, from any thread; the struct is gone then. */
#ifndef ZKFS_FUSEFS_PENDING_H
#define ZKFS_FUSEFS_PENDING_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fusefs/inode.h"
#include "fusefs/mount.h"

/* Who waits under this id (struct pending) is not to wait any longer: the completion is to come soon. */
typedef void pending_let_go_cb(struct mount *mount, uint64_t id);

struct flocker;

struct pending {
	struct mount *mount;
	struct inode_view inode;    /* what the request is about, if the handler looked it up */
	char *path;		    /* a znode's, if the handler made one */
	struct fuse_file_info file; /* for open, create, opendir; else fh only */
	size_t size;		    /* of a read or a directory's page; for an attribute's value */
	off_t offset;
	struct flocker *flocker; /* a flush's: whose locks go with it */
	bool flag;		 /* the handler's own */
	/* The rest is pending.c's. */
	fuse_req_t req;
	uint64_t id;
	pid_t caller;		   /* a thread id; 0: in another pid namespace */
	int64_t since;		   /* ms: when the first request of its call came, */
	int64_t started;	   /* and when this one did; */
	int64_t deadline;	   /* and until when it may wait */
	pending_let_go_cb *let_go; /* NULL: it is not patient */
	bool is_unwanted;	   /* was interrupted, and is patient */
	bool is_interrupted;	   /* is in the list of those, or, while it starts, will be */
	bool is_answered;
	struct pending *prev, *next;
};

struct pendings;

/* timeout: ms that a request may wait, and a call of a program with all its requests together, but for a second. Starts a thread. NULL: errno says why. */
struct pendings *pendings_new(int timeout);

/* Ends the thread. No request may be pending. NULL is fine. */
void pendings_free(struct pendings *pendings);

/* How many wait now. */
size_t pendings_count(struct pendings *pendings);

/* NULL: there was no memory, and the request has been answered so. */
struct pending *pending_start(fuse_req_t req);

/* As pending_start, for a request that waits as long as it takes, such as one for a lock. An interrupt calls let_go, and is answered by
 * the completion; only who is being killed is answered at once. */
struct pending *pending_start_patient(fuse_req_t req, pending_let_go_cb *let_go);

/* What let_go is about is under way from now on: calls it if there was an interrupt before. The pending may be gone. */
void pending_waits(struct mount *mount, uint64_t id, pending_let_go_cb *let_go);

/* error: -errno, or 0 for requests that are answered by success alone. */
void pending_fail(struct pending *pending, int error);

/* The kernel asks about an inode that is dead: ESTALE, upon which it looks the path up again and asks once more (retry_estale in
 * include/linux/namei.h), but only once. If what it found then has died as well, open(2) would give ESTALE, so that answer
 * is ENOENT: the name was there within the call, and then not. */
void pending_fail_stale(struct pending *pending);

/* As pending_fail. False: the kernel has been answered before. */
bool pending_tell(struct pending *pending, int error);

void pending_reply_lock(struct pending *pending, const struct flock *lock);

/* keep: for how long the kernel may, in s. */
void pending_reply_attr(struct pending *pending, const struct stat *attr, double keep);

/* False: the kernel was not told. */
bool pending_reply_data(struct pending *pending, const void *data, size_t size);

/* The value of an attribute (xattr.c), or only its size if that is all the caller asked for: pending->size is what it has room
 * for, 0 asks. */
void pending_reply_xattr(struct pending *pending, const void *value, size_t size);

/* These count a lookup of attr->st_ino, which inodes_enter has noted; if the kernel never hears of it, it is taken back. */
void pending_reply_entry(struct pending *pending, const struct stat *attr, double keep);

/* There is nothing of that name, as the kernel may believe for keep s. */
void pending_reply_absent(struct pending *pending, double keep);

/* False: the kernel was not told, and will not release pending->file.fh; the caller must. */
bool pending_reply_create(struct pending *pending, const struct stat *attr, double keep);
bool pending_reply_open(struct pending *pending);

#endif
