/* Two threads. This one runs the command (supervise.h). The keeper looks after the file, which may take as long as the servers take
 * to answer.
 *
 * The daemon makes the znode again after an expired session, so that it is not there for a while says nothing. It cannot be kept if
 * somebody has removed it, which is so if it is not there and the session to which it belonged still does something afterwards; if
 * it is not back a session timeout after there is another session; or if there is no mount any more. */
#include "fusefs/verb_hold.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fusefs/names.h"
#include "fusefs/supervise.h"
#include "fusefs/zkfs.h"

enum {
	LOOK_MS = 5000,	     /* how often the keeper looks without news */
	LOOK_AGAIN_MS = 100, /* while it does not know */
	REMOVED_MS = 500,    /* how long it is missing until that is so: an old session's end may be told late */
	KILL_MS = 5000,	     /* between SIGTERM and SIGKILL */
	LEAVE_MS = 5000,
	TIMEOUT_MS = 10000,   /* a session's, if the mount does not tell it */
	PATH_ROOM = 65536 + 1 /* of a path in an extended attribute */
};

struct hold {
	const struct verb *verb;
	const char *path;
	char *file; /* the path, with its real name */
	char *root;
	bool is_sequential;
	const char *data;
	char **command;
	int fd;

	/* The keeper's */
	int inotify;
	int lost[2];	      /* a pipe: written when it cannot be kept; */
	const char *why;      /* and this is why, set before */
	char session[32];     /* the one that it was seen with last */
	int64_t missing;      /* ms: since when it is missing in another session; 0: it is not */
	int64_t patience;     /* ms: how long it may */
	pthread_mutex_t lock; /* over the use of fd by the keeper, and its end */
	bool is_left;
};

/* --- Making it --- */

/* The path that the open file has by now, below the mount's root. False: no memory, or there is no mount. */
static bool read_znode(const struct hold *hold, char **znode)
{
	ssize_t size = -1;

	*znode = malloc(PATH_ROOM);
	if (*znode)
		size = fgetxattr(hold->fd, "user.zk.path", *znode, PATH_ROOM - 1);
	if (size <= 0) {
		free(*znode);
		*znode = NULL;
		return false;
	}
	(*znode)[size] = '\0';
	return true;
}

static const char *reason_of(int error)
{
	switch (error) {
	case EEXIST:
		return "it is there already";
	case ENOENT:
		return "its parent is not there";
	case ENOTDIR:
		return "its parent is a file";
	case EISDIR: /* of "dir/", whatever is there */
		return "its name must not end with /";
	case ENOTSUP:
		return "no znode can have that name";
	default:
		return verb_why(error);
	}
}

static bool make(struct hold *hold)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | ZKFS_O_EPHEMERAL | ZKFS_O_HELD |
		(hold->is_sequential ? ZKFS_O_SEQUENTIAL : 0);
	size_t size = hold->data ? strlen(hold->data) : 0;
	char *znode;

	hold->fd = open(hold->path, flags, 0644);
	if (hold->fd < 0) {
		verb_error(hold->verb, "cannot hold '%s': %s", hold->path, reason_of(errno));
		return false;
	}
	if (size && (write(hold->fd, hold->data, size) != (ssize_t)size || fsync(hold->fd) < 0)) {
		verb_error(hold->verb, "cannot write '%s': %s", hold->path, strerror(errno));
		return false;
	}
	if (read_znode(hold, &znode)) {
		hold->file = verb_sibling(hold->path, znode);
		free(znode);
	}
	if (!hold->file)
		verb_error(hold->verb, "cannot hold '%s': its name cannot be known", hold->path);
	return hold->file != NULL;
}

/* --- Keeping it --- */

/* Where the znode is on the mount; the caller frees it. */
static char *file_of(const struct hold *hold, char *znode)
{
	char *file = NULL;
	char *path = NULL;
	size_t size = 1;
	FILE *out = open_memstream(&file, &size);
	bool in_root = true;

	if (!out)
		return NULL;
	(void)fputs(hold->root, out);
	for (char *rest = znode + 1; rest; in_root = false) {
		char name[NAMES_MAX + 1];

		path = strsep(&rest, "/");
		if (name_escape(path, in_root, name) >= 0)
			(void)fprintf(out, "/%s", name);
	}
	(void)fclose(out);
	return file;
}

/* That file is in, which is changed meanwhile. */
static void watch_directory(int inotify, char *file)
{
	char *slash = strrchr(file, '/');

	*slash = '\0';
	(void)inotify_add_watch(inotify, file, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
	*slash = '/';
}

/* What the open file's path leads to. */
enum sight { THERE, MISSING, ENDED, UNKNOWN };

/* The directory is watched before it is looked at. */
static enum sight look(const struct hold *hold)
{
	struct stat open_file, found;
	enum sight sight = UNKNOWN;
	char *znode, *file;

	if (!read_znode(hold, &znode))
		return errno == ENOTCONN || errno == ECONNABORTED ? ENDED : UNKNOWN;
	file = file_of(hold, znode);
	if (file && fstat(hold->fd, &open_file) == 0) {
		watch_directory(hold->inotify, file);
		if (lstat(file, &found) == 0)
			sight = found.st_ino == open_file.st_ino && found.st_dev == open_file.st_dev ? THERE : MISSING;
		else
			sight = errno == ENOENT ? MISSING : errno == ENOTCONN ? ENDED : UNKNOWN;
	}
	free(file);
	free(znode);
	return sight;
}

/* The mount's session, and its timeout (ms). False: there is none that a server knows of right now. */
static bool read_session(const struct hold *hold, char *id, size_t room, int64_t *timeout)
{
	static const char connected[] = "connected";
	struct buf session = BUF_INIT;
	const char *value = NULL;
	size_t size = 0;
	bool is_connected = false;

	if (verb_read_control(hold->root, "session", &session) == 0 && session.size) {
		value = verb_value(&session, "state", &size);
		is_connected = value && size == strlen(connected) && memcmp(value, connected, size) == 0;
		value = verb_value(&session, "timeout", &size);
		*timeout = value ? strtoll(value, NULL, 10) : 0;
		value = verb_value(&session, "id", &size);
		(void)snprintf(id, room, "%.*s", value ? (int)size : 0, value ? value : "");
	}
	buf_release(&session);
	return is_connected && *id;
}

/* Whether a session does something: it is asked to. The one that it was seen with may have ended without knowing it. */
static bool does_something(const struct hold *hold)
{
	static const char check[] = "check /\n";
	struct buf result = BUF_INIT;
	struct buf text = BUF_INIT;
	int err;

	(void)buf_append(&text, check, sizeof(check) - 1);
	err = verb_submit(hold->root, &text, &result);
	buf_release(&text);
	buf_release(&result);
	return !err;
}

/* The session that the znode belongs to, or, if it is not there, belonged to. Empty: the servers do not tell. */
static void read_owner(const struct hold *hold, char *id, size_t room)
{
	ssize_t size = fgetxattr(hold->fd, "user.zk.ephemeralOwner", id, room - 1);

	id[size > 0 ? size : 0] = '\0';
}

/* It is there, and this is the mount's session. False: it may be gone with the session before. */
static bool is_in(struct hold *hold, const char *session)
{
	char owner[sizeof(hold->session)];

	if (strcmp(session, hold->session) != 0) {
		read_owner(hold, owner, sizeof(owner));
		if (strcmp(session, owner) != 0)
			return false;
		(void)snprintf(hold->session, sizeof(hold->session), "%s", owner);
	}
	hold->missing = 0;
	return true;
}

/* Why it cannot be kept, or NULL. *is_sure: it is there. */
static const char *judge(struct hold *hold, bool *is_sure)
{
	char id[sizeof(hold->session)] = "";
	int64_t timeout = 0;
	enum sight sight = look(hold);
	bool is_same;

	*is_sure = false;
	if (sight == ENDED)
		return "the mount has ended";
	if (sight == UNKNOWN || (sight == MISSING && !does_something(hold)))
		return NULL;
	if (!read_session(hold, id, sizeof(id), &timeout))
		return NULL;
	if (timeout)
		hold->patience = timeout;
	if (sight == MISSING)
		sight = look(hold); /* it may have been made again meanwhile */
	if (sight == THERE)
		*is_sure = is_in(hold, id);
	if (sight != MISSING)
		return NULL;
	is_same = strcmp(id, hold->session) == 0;
	if (!hold->missing)
		hold->missing = supervise_now();
	if (supervise_now() - hold->missing <= (is_same ? REMOVED_MS : hold->patience))
		return NULL;
	return is_same ? "somebody has removed it" : "it was not made again after the session had expired";
}

/* False: it is over, because the znode cannot be kept, and hold->why says why, or need not be. */
static bool look_after(struct hold *hold, bool *is_sure)
{
	bool is_over;

	pthread_mutex_lock(&hold->lock);
	if (!hold->is_left)
		hold->why = judge(hold, is_sure);
	is_over = hold->is_left || hold->why;
	pthread_mutex_unlock(&hold->lock);
	return !is_over;
}

static void *keeper_main(void *arg)
{
	_Alignas(struct inotify_event) char events[8192];
	struct hold *hold = arg;
	struct pollfd news = { .fd = hold->inotify, .events = POLLIN };
	bool is_sure;

	while (look_after(hold, &is_sure)) {
		(void)poll(&news, 1, is_sure ? LOOK_MS : LOOK_AGAIN_MS);
		while (read(hold->inotify, events, sizeof(events)) > 0)
			;
	}
	if (hold->why)
		(void)!write(hold->lost[1], "", 1);
	return NULL;
}

static bool keep(struct hold *hold)
{
	pthread_t keeper;

	hold->patience = TIMEOUT_MS;
	read_owner(hold, hold->session, sizeof(hold->session));
	hold->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (hold->inotify < 0 || pipe2(hold->lost, O_CLOEXEC | O_NONBLOCK) < 0 ||
		pthread_create(&keeper, NULL, keeper_main, hold) != 0 || pthread_detach(keeper) != 0) {
		verb_error(hold->verb, "cannot look after '%s': %s", hold->file, strerror(errno));
		return false;
	}
	return true;
}

/* --- The command --- */

/* A may_run of struct supervised. */
static bool may_run(void *arg, int64_t *when)
{
	struct hold *hold = arg;
	char byte;

	if (read(hold->lost[0], &byte, 1) != 1)
		return true;
	verb_error(hold->verb, "cannot keep '%s': %s: ending the command", hold->file, hold->why);
	*when = supervise_now() + KILL_MS;
	return false;
}

/* Lets the znode go, and waits for that, so that whoever waited for us can take the name. Not without a server: it goes when there is
 * one. */
static void leave(struct hold *hold)
{
	int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd news = { .fd = inotify, .events = POLLIN };
	char id[sizeof(hold->session)];
	int64_t end = supervise_now() + LEAVE_MS;
	int64_t timeout;
	struct stat held, found;
	char *znode = NULL;
	char *file = NULL;

	if (read_znode(hold, &znode))
		file = file_of(hold, znode);
	if (file && inotify >= 0 && fstat(hold->fd, &held) == 0) {
		watch_directory(inotify, file);
		pthread_mutex_lock(&hold->lock);
		hold->is_left = true;
		(void)close(hold->fd);
		pthread_mutex_unlock(&hold->lock);
		while (supervise_now() < end && lstat(file, &found) == 0 && found.st_ino == held.st_ino &&
			read_session(hold, id, sizeof(id), &timeout))
			(void)poll(&news, 1, LOOK_AGAIN_MS);
	}
	free(file);
	free(znode);
}

static int run_held(struct hold *hold)
{
	struct supervised supervised = { .verb = hold->verb,
		.command = hold->command,
		.may_run = may_run,
		.arg = hold,
		.failed = VERB_CANNOT_HOLD };
	int status;

	if (!make(hold) || setenv("ZKFS_HELD", hold->file, 1) < 0 || !supervise_prepare(&supervised) || !keep(hold))
		return VERB_CANNOT_HOLD;
	supervised.news[0] = (struct pollfd){ .fd = hold->lost[0], .events = POLLIN };
	supervised.news[1].fd = -1;
	status = supervise_run(&supervised);
	leave(hold);
	return status == SUPERVISE_ENDED ? VERB_CANNOT_HOLD : status;
}

/* --- The command line --- */

/* -1: go on; else the exit status. */
static int parse(struct hold *hold, int argc, char **argv)
{
	static const struct option options[] = {
		{ "sequential", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+sh", options, NULL)) != -1) {
		if (option != 's')
			return option == 'h' ? verb_help(hold->verb) : verb_misused(hold->verb);
		hold->is_sequential = true;
	}
	hold->command = verb_command(hold->verb, argc, argv, 2);
	if (!hold->command)
		return VERB_MISUSED;
	hold->path = argv[optind];
	hold->data = argv + optind + 2 < hold->command ? argv[optind + 1] : NULL;
	return -1;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct hold hold = { .verb = verb,
		.path = "",
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.fd = -1,
		.inotify = -1,
		.lost = { -1, -1 } };
	int status = parse(&hold, argc, argv);

	if (status >= 0 || !hold.path)
		return status;
	status = VERB_CANNOT_HOLD;
	hold.root = verb_mount(verb, hold.path, NULL);
	if (hold.root)
		status = run_held(&hold);
	(void)fflush(NULL);
	_exit(status); /* the keeper may be in a call that takes its time, with what is not to be freed yet */
}

const struct verb verb_hold = {
	.name = "hold",
	.usage = "Usage: zkfs hold [OPTION]... PATH [DATA] -- COMMAND [ARGUMENT]...\n"
		 "Run a command, and have the file PATH on a mounted zkfs be an ephemeral znode for as\n"
		 "long as it runs, or until this process ends, however that happens.\n"
		 "\n"
		 "  -s, --sequential  append ZooKeeper's ten digits to the name; the command finds the\n"
		 "                    real one in $ZKFS_HELD\n"
		 "  -h, --help        display this help and exit\n"
		 "\n"
		 "Signals are handed on to the command's process group. After an expired session the\n"
		 "znode is made again. If it cannot be kept, for somebody has removed it, the group is\n"
		 "sent SIGTERM, and 5 seconds later SIGKILL.\n"
		 "\n"
		 "Exit status is the command's, 128+N if signal N ended it, 125 if the znode cannot be\n"
		 "made or kept, 126 if the command cannot be run, 127 if it is not found, 2 for wrong\n"
		 "usage.\n",
	.run = run,
};
