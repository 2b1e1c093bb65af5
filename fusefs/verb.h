/* What the verbs (verbs.h) share: messages, the mount that a path is on, its control files, znodes by the names of their files. A
 * verb is a program of its own that uses a mount as any other does: by file calls alone. One thread, but where it says otherwise. */
#ifndef ZKFS_FUSEFS_VERB_H
#define ZKFS_FUSEFS_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cache/util/buf.h"

/* Exit statuses; the manual page says them. */
enum {
	VERB_FAILED = 1,
	VERB_MISUSED = 2,
	VERB_DIFFERS = 3,     /* set: another version; status: not connected */
	VERB_LOST = 74,	      /* EX_IOERR of sysexits.h: lock's */
	VERB_NOT_HAD = 75,    /* EX_TEMPFAIL: lock's */
	VERB_TIMED_OUT = 124, /* these are timeout(1)'s */
	VERB_CANNOT_HOLD = 125,
	VERB_CANNOT_RUN = 126,
	VERB_NOT_FOUND = 127,
};

struct verb {
	const char *name;
	const char *usage; /* what --help shows */
	/* Gives the exit status. argv[0] is "zkfs VERB", for getopt_long's messages. */
	int (*run)(const struct verb *verb, int argc, char **argv);
};

/* Writes one line to standard error. Any thread. */
__attribute__((format(printf, 2, 3))) void verb_error(const struct verb *verb, const char *format, ...);

/* What the errno (or -errno) of a call on a path means to whoever gave the path. */
const char *verb_why(int error);

/* Says where help is; VERB_MISUSED. */
int verb_misused(const struct verb *verb);

/* Shows the help; the exit status. */
int verb_help(const struct verb *verb);

/* The exit status of a verb that has printed what it had to and succeeded so far: that may have had nowhere to go. */
int verb_finish(const struct verb *verb);

/* A decimal number of 0 to max. False: it is none. */
bool verb_number(const char *text, long long max, long long *number);

/* Seconds, which may have decimals. False: it is no such number. */
bool verb_seconds(const char *text, double *seconds);

/* Appends what text is, or standard input if that is "-". False: it could not be read, and the user has been told. */
bool verb_data(const struct verb *verb, const char *text, struct buf *data);

/* The command behind "--", with 1 to max operands before that, from argv[optind] on. NULL: there is none, and the user has been told. */
char **verb_command(const struct verb *verb, int argc, char **argv, int max);

/* --- Mounts --- */

/* Where the root is of the mount that path, or the nearest directory above it that is there, lies on; the caller frees it.
 * *device (may be NULL) is what stat gives of what is on it. NULL: it is on none, and the user has been told. Asks no server. */
char *verb_mount(const struct verb *verb, const char *path, dev_t *device);

/* Opens a control file; -1 and errno. */
int verb_open_control(const char *root, const char *name, int flags);

/* Appends what the control file (".zkfs/NAME") holds. 0 or -errno. Any thread. */
int verb_read_control(const char *root, const char *name, struct buf *text);

/* The value of the key in the text of .zkfs/session, its size in *size. NULL: it has none. */
const char *verb_value(const struct buf *session, const char *key, size_t *size);

/* Submits the text of a transaction (transaction.h). 0, or -errno: nothing was done; *result is what can be read of it then, if
 * anything. Any thread. */
int verb_submit(const char *root, const struct buf *text, struct buf *result);

/* Of a result that tells of an error: the line it is in (0: none), and why in words, of *result's. */
const char *verb_reason(struct buf *result, int error, unsigned *line);

/* The same of one that tells of success: the path in the last line, which the caller frees. NULL: there is none. */
char *verb_made(const struct buf *result);

/* --- Znodes --- */

/* The path of the znode that the file is; the caller frees it. 0 or -errno: -ENOTSUP: it is none. */
int verb_znode(const char *path, char **znode);

/* The path of the znode that would be made as the file path, and how much of it is there (at least "/"). A znode's name is taken as
 * it is where is_prefix, for which path may also end with '/'. 0 or -errno. */
int verb_new_znode(const char *path, bool is_prefix, char **znode, size_t *there);

/* The file in the same directory as path that a znode with this path is; the caller frees it. NULL: no memory. */
char *verb_sibling(const char *path, const char *znode);

#endif
