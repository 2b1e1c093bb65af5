/* What the command line asks for: the option table, its checks, the usage text. The manual page beside it, zkfs.8, says the same
 * in full (scripts/check-manpage compares them). */
#ifndef ZKFS_FUSEFS_OPTIONS_H
#define ZKFS_FUSEFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/cache.h"
#include "cache/credentials.h"
#include "cache/node.h"
#include "cache/servers.h"
#include "cache/util/log.h"

struct fuse_args;

struct options {
	struct servers servers;
	char *mountpoint; /* absolute and real */
	bool foreground;
	bool is_strict;	    /* refuse what ZooKeeper cannot hold: chmod, chown, explicit times */
	bool with_symlinks; /* show files that have the form of one as symbolic links */
	bool allow_other;
	bool is_read_only;
	bool announces;	    /* what others do, to inotify */
	bool is_fake;	    /* mount -f: do everything but mount */
	int failure_status; /* what to exit with when the mount fails later: 1, or mount(8)'s 32 */
	enum log_level log_level;
	int session_timeout; /* ms */
	int timeout;	     /* ms; by default session_timeout */
	int ttl;	     /* ms */
	enum cache_stale stale;
	size_t cache_size; /* bytes */
	size_t max_data;   /* bytes */
	struct credentials credentials;
	struct acl_list *acl; /* of new znodes; NULL: open to everybody */
};

enum options_outcome {
	OPTIONS_MOUNT, /* go on */
	OPTIONS_DONE,  /* --help or --version was answered: exit 0 */
	OPTIONS_WRONG, /* a line was written to standard error: exit with *status */
};

/* Takes the command line apart, in the form of zkfs or, when args names a program called mount.zkfs, of mount(8)'s helpers. What
 * is for libfuse replaces what was in args (the mount flags, fsname, subtype and default_permissions); they are the caller's
 * to free in any case. Nothing is mounted or connected yet; auth_file, the mountpoint and /dev/fuse have been looked at. Verbs
 * ("zkfs create …") are not known here: a caller that has some looks at argv[1] before.
 *
 * *status is the exit status unless OPTIONS_MOUNT: on OPTIONS_WRONG 2 for wrong usage and 1 for what was found to be wrong
 * outside of the command line; mount(8)'s 1 and 32 for its helper. options is empty then. Before any other thread exists. */
enum options_outcome options_parse(struct options *options, struct fuse_args *args, int *status);

void options_release(struct options *options);

#endif
