/* Each time before it looks, inotify is asked for news of every directory on the way to each path that is there by then, so whatever
 * happens after the look is told. A look asks the servers; without one it says nothing, and the mount's state is watched as well.
 *
 * Not everything is told: nobody tells of znodes that may not be read, -o notify=invalidate tells of nothing, and what a symbolic link
 * on the way leads to is not watched. So it looks every few seconds in any case, as often as the mount itself does. */
#include "fusefs/verb_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOK_MS = 5000,	      /* DESIGN.md section 4, rule 6 */
	LOOK_AGAIN_MS = 1000, /* after a look that said nothing */
	REMIND_US = 50000,    /* how often a call that waits is interrupted when the time is up */
	EVENTS = IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF |
		IN_MOVE_SELF,
};

enum condition { EXISTS, GONE, CHANGED, EQUALS };

/* What a look found. */
enum verdict { NO, YES, UNKNOWN };

/* What tells a version of a file or directory from others; empty: it is not there. */
struct version {
	char marks[3][32]; /* czxid, mzxid, pzxid */
};

struct awaited {
	const char *path;
	char *root;
	dev_t device;
	enum verdict verdict;
	int error; /* why no look will ever tell, when one has found that out; 0 */
	bool has_first;
	struct version first; /* as it was when first looked at */
};

struct wait {
	const struct verb *verb;
	enum condition condition;
	const char *text;
	size_t text_size;
	double timeout; /* s; < 0: none */
	int64_t end;	/* ms */
	int inotify;
	struct awaited *awaited;
	int count;
};

static int64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* --- Watching --- */

/* Only directories on the mount: another's news would say nothing. */
static int watch(const struct wait *wait, const char *path, dev_t device)
{
	struct stat stat;
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[64];
	int err = 0;

	if (fd < 0)
		return 0; /* the look will tell */
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (fstat(fd, &stat) == 0 && stat.st_dev == device && inotify_add_watch(wait->inotify, name, EVENTS) < 0)
		err = errno == ENOSPC || errno == ENOMEM ? -errno : 0;
	(void)close(fd);
	return err;
}

/* From the root of the path to itself, so that what appears below one that is watched is seen. */
static int watch_all(const struct wait *wait, const struct awaited *awaited)
{
	char *path = strdup(awaited->path);
	char *state;
	int err = path ? 0 : -ENOMEM;

	if (!err && path[0] != '/')
		err = watch(wait, ".", awaited->device);
	for (size_t i = 0; !err && path[i]; i++) {
		if (path[i] == '/' && path[i + 1]) {
			char next = path[i + 1];

			path[i + 1] = '\0';
			err = watch(wait, path, awaited->device);
			path[i + 1] = next;
		}
	}
	if (!err)
		err = watch(wait, path, awaited->device);
	free(path);
	if (!err && asprintf(&state, "%s/.zkfs/state", awaited->root) >= 0) {
		(void)inotify_add_watch(wait->inotify, state, IN_MODIFY | IN_CLOSE_WRITE);
		free(state);
	}
	return err;
}

/* --- Looking --- */

static bool is_absence(int error)
{
	return error == ENOENT || error == ENOTDIR;
}

/* The kernel keeps what it knows while there is no server, so an answer from it counts only when there is one. */
static bool is_connected(const struct awaited *awaited)
{
	static const char connected[] = "connected\n";
	struct buf state = BUF_INIT;
	bool is_connected = verb_read_control(awaited->root, "state", &state) == 0 &&
		state.size == sizeof(connected) - 1 && memcmp(state.data, connected, state.size) == 0;

	buf_release(&state);
	return is_connected;
}

/* Whether waiting does not help: it is no znode, or not for this user. */
static bool is_final(int error)
{
	return error == EACCES || error == EPERM || error == ENOTSUP || error == ELOOP || error == ENAMETOOLONG;
}

/* What a look that failed with errno says of a file. */
static enum verdict look_failed(struct awaited *awaited)
{
	if (is_final(errno))
		awaited->error = errno;
	return is_absence(errno) && is_connected(awaited) ? NO : UNKNOWN;
}

/* NO: it is not there. */
static enum verdict look_there(struct awaited *awaited, struct stat *stat)
{
	return lstat(awaited->path, stat) < 0 ? look_failed(awaited) : YES;
}

/* The same. Links have no attributes, and are never told of as changed. */
static enum verdict look_version(struct awaited *awaited, struct version *version)
{
	static const char *const names[] = { "user.zk.czxid", "user.zk.mzxid", "user.zk.pzxid" };
	enum verdict verdict;
	struct stat stat;

	memset(version, 0, sizeof(*version));
	verdict = look_there(awaited, &stat);
	if (verdict != YES)
		return verdict;
	for (int i = 0; i < 3 && !S_ISLNK(stat.st_mode); i++) {
		if (lgetxattr(awaited->path, names[i], version->marks[i], sizeof(version->marks[i]) - 1) < 0) {
			memset(version, 0, sizeof(*version));
			return errno == ENODATA
				? NO
				: look_failed(awaited); /* one that is not saved nobody else sees */
		}
	}
	if (!S_ISLNK(stat.st_mode))
		return YES;
	(void)snprintf(version->marks[0], sizeof(version->marks[0]), "%llu", (unsigned long long)stat.st_ino);
	return is_connected(awaited) ? YES : UNKNOWN;
}

/* Attributes are not for everybody, nor does a control file have any; then the name has to do. */
static enum verdict look_existence(struct awaited *awaited, enum condition condition)
{
	struct version version;
	enum verdict verdict = look_version(awaited, &version);
	bool is_control = awaited->error == ENOTSUP;
	struct stat stat;

	if (awaited->error != EACCES && !(is_control && condition == EXISTS))
		return verdict;
	awaited->error = 0;
	verdict = look_there(awaited, &stat);
	return verdict == YES && !is_control && !is_connected(awaited) ? UNKNOWN : verdict;
}

static enum verdict look_changed(struct awaited *awaited)
{
	struct version version;
	enum verdict verdict = look_version(awaited, &version);

	if (verdict == UNKNOWN)
		return UNKNOWN;
	if (!awaited->has_first) {
		awaited->first = version;
		awaited->has_first = true;
	}
	return memcmp(&version, &awaited->first, sizeof(version)) != 0 ? YES : NO;
}

/* Of a directory, what its .data holds. */
static int open_contents(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat stat;

	if (fd >= 0 && fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode)) {
		int data = openat(fd, ".data", O_RDONLY | O_CLOEXEC);

		(void)close(fd);
		fd = data;
	}
	return fd;
}

/* At most one byte more than can be equal, a newline included. */
static ssize_t read_contents(int fd, char *to, size_t size)
{
	size_t got = 0;
	ssize_t more;

	while (got < size && (more = read(fd, to + got, size - got)) != 0) {
		if (more < 0)
			return -1;
		got += (size_t)more;
	}
	return (ssize_t)got;
}

/* What is open is no znode: what it holds needs no server. */
static bool is_control(int fd)
{
	return fgetxattr(fd, "user.zk.path", NULL, 0) < 0 && errno == ENOTSUP;
}

static enum verdict look_equal(const struct wait *wait, struct awaited *awaited)
{
	size_t room = wait->text_size + 2;
	char *contents = malloc(room);
	int fd = contents ? open_contents(awaited->path) : -1;
	enum verdict verdict = contents && fd < 0 ? look_failed(awaited) : UNKNOWN;
	bool is_certain = fd >= 0 && is_control(fd);

	if (fd >= 0) {
		ssize_t got = read_contents(fd, contents, room);
		size_t size = got < 0 ? 0 : (size_t)got;

		if (size == wait->text_size + 1 && contents[size - 1] == '\n')
			size--;
		if (got >= 0)
			verdict = size == wait->text_size && memcmp(contents, wait->text, size) == 0 ? YES : NO;
		(void)close(fd);
	}
	free(contents);
	return verdict == YES && !is_certain && !is_connected(awaited) ? UNKNOWN : verdict;
}

static enum verdict look(const struct wait *wait, struct awaited *awaited)
{
	enum verdict verdict;

	if (wait->condition == CHANGED)
		return look_changed(awaited);
	if (wait->condition == EQUALS)
		return look_equal(wait, awaited);
	verdict = look_existence(awaited, wait->condition);
	if (verdict == UNKNOWN)
		return UNKNOWN;
	return verdict == (wait->condition == EXISTS ? YES : NO) ? YES : NO;
}

/* --- Waiting --- */

/* Throws the news away: that there was some is all that counts. -errno: there can be no more. */
static int drain(const struct wait *wait)
{
	_Alignas(struct inotify_event) char events[8192];
	ssize_t size;

	while ((size = read(wait->inotify, events, sizeof(events))) > 0) {
		for (const char *at = events; at < events + size;) {
			const struct inotify_event *event = (const void *)at;

			if (event->mask & IN_UNMOUNT)
				return -ENOTCONN;
			at += sizeof(*event) + event->len;
		}
	}
	return 0;
}

/* *all: whether the condition holds for all; *soon: whether a look said nothing. */
static int look_at_all(const struct wait *wait, bool *all, bool *soon)
{
	*all = true;
	*soon = false;
	for (int i = 0; i < wait->count; i++) {
		struct awaited *awaited = &wait->awaited[i];
		int err = watch_all(wait, awaited);

		if (err) {
			verb_error(wait->verb, "cannot watch '%s': %s%s", awaited->path, strerror(-err),
				err == -ENOSPC ? " (see fs.inotify.max_user_watches)" : "");
			return err;
		}
		awaited->verdict = look(wait, awaited);
		if (awaited->error) {
			verb_error(wait->verb, "cannot wait for '%s': %s", awaited->path, verb_why(awaited->error));
			return -awaited->error;
		}
		*all &= awaited->verdict == YES;
		*soon |= awaited->verdict == UNKNOWN;
	}
	return 0;
}

static int timed_out(const struct wait *wait)
{
	for (int i = 0; i < wait->count; i++) {
		const struct awaited *awaited = &wait->awaited[i];

		if (awaited->verdict != YES)
			verb_error(wait->verb, "timed out waiting for '%s'%s", awaited->path,
				awaited->verdict == UNKNOWN ? ", which could not be looked at" : "");
	}
	return VERB_TIMED_OUT;
}

/* Whether the mount still answers: its root and control files never wait for a server. */
static bool is_mounted(const struct wait *wait)
{
	for (int i = 0; i < wait->count; i++) {
		struct buf state = BUF_INIT;
		int err = verb_read_control(wait->awaited[i].root, "state", &state);

		buf_release(&state);
		if (err == -ENOTCONN || err == -ENOENT || err == -ENOTDIR) {
			verb_error(wait->verb, "the mount on '%s' has ended", wait->awaited[i].root);
			return false;
		}
	}
	return true;
}

/* How long until the next look, or the end, in ms. */
static int time_left(const struct wait *wait, bool soon)
{
	int64_t left = soon ? LOOK_AGAIN_MS : LOOK_MS;
	int64_t rest = wait->timeout < 0 ? left : wait->end - now();

	if (rest < left)
		left = rest;
	return left > 0 ? (int)left : 0;
}

static int wait_for_all(const struct wait *wait)
{
	struct pollfd news = { .fd = wait->inotify, .events = POLLIN };
	bool all, soon;

	for (;;) {
		int err = drain(wait); /* what is told of from here on is looked at again */

		if (err || !is_mounted(wait)) {
			if (err)
				verb_error(wait->verb, "the mount has ended");
			return VERB_FAILED;
		}
		if (look_at_all(wait, &all, &soon) < 0)
			return VERB_FAILED;
		if (all)
			return EXIT_SUCCESS;
		if (wait->timeout >= 0 && now() >= wait->end)
			return timed_out(wait);
		(void)poll(&news, 1, time_left(wait, soon));
	}
}

/* --- The command line --- */

static void on_alarm(int number)
{
	(void)number;
}

/* A call that waits for a server is interrupted when the time is up, and again, should it not have begun to wait by then. */
static void set_alarm(double timeout)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval timer = { .it_interval.tv_usec = REMIND_US };

	timer.it_value.tv_sec = (time_t)timeout;
	timer.it_value.tv_usec = (suseconds_t)((timeout - (double)timer.it_value.tv_sec) * 1e6) + 1000;
	if (timer.it_value.tv_usec >= 1000000) {
		timer.it_value.tv_sec++;
		timer.it_value.tv_usec -= 1000000;
	}
	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* -1: go on; else the exit status. */
static int parse(struct wait *wait, int argc, char **argv)
{
	enum { EXISTS_OPTION = 256, TIMEOUT_OPTION = EXISTS_OPTION + EQUALS + 1 };
	static const struct option options[] = {
		{ "exists", no_argument, NULL, EXISTS_OPTION + EXISTS },
		{ "gone", no_argument, NULL, EXISTS_OPTION + GONE },
		{ "changed", no_argument, NULL, EXISTS_OPTION + CHANGED },
		{ "equals", required_argument, NULL, EXISTS_OPTION + EQUALS },
		{ "timeout", required_argument, NULL, TIMEOUT_OPTION },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool has_condition = false;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return verb_help(wait->verb);
		if (option == '?')
			return verb_misused(wait->verb);
		if (option == TIMEOUT_OPTION && !verb_seconds(optarg, &wait->timeout)) {
			verb_error(wait->verb, "invalid timeout '%s': expected seconds", optarg);
			return verb_misused(wait->verb);
		}
		if (option == TIMEOUT_OPTION)
			continue;
		if (has_condition) {
			verb_error(wait->verb, "only one of --exists, --gone, --changed and --equals can be awaited");
			return verb_misused(wait->verb);
		}
		has_condition = true;
		wait->condition = (enum condition)(option - EXISTS_OPTION);
		if (wait->condition == EQUALS)
			wait->text = optarg;
	}
	if (optind < argc)
		return -1;
	verb_error(wait->verb, "missing path");
	return verb_misused(wait->verb);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat of_a, of_b;

	return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* What can never be, so that waiting for it would have no end. NULL: it can. */
static const char *reason_never(const struct wait *wait, const struct awaited *awaited)
{
	const char *reason = NULL;
	char *znode = NULL;
	size_t there;
	int err;

	if (wait->condition == GONE)
		return is_same_file(awaited->path, awaited->root) ? "it is the root of the mount" : NULL;
	err = verb_new_znode(awaited->path, false, &znode, &there);
	if (err == -EILSEQ || err == -ENAMETOOLONG)
		reason = verb_why(err);
	else if (err == -ENOTSUP && access(awaited->path, F_OK) < 0) /* something in .zkfs */
		reason = "no znode can have that name";
	free(znode);
	return reason;
}

static bool may_be(const struct wait *wait)
{
	for (int i = 0; i < wait->count; i++) {
		const char *reason = reason_never(wait, &wait->awaited[i]);

		if (reason) {
			verb_error(wait->verb, "cannot wait for '%s': %s", wait->awaited[i].path, reason);
			return false;
		}
	}
	return true;
}

static int begin(struct wait *wait, char **paths)
{
	wait->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	wait->awaited = calloc((size_t)wait->count, sizeof(*wait->awaited));
	if (wait->inotify < 0 || !wait->awaited) {
		verb_error(wait->verb, "cannot wait: %s", strerror(errno));
		return VERB_FAILED;
	}
	for (int i = 0; i < wait->count; i++) {
		wait->awaited[i].path = paths[i];
		wait->awaited[i].verdict = UNKNOWN;
		wait->awaited[i].root = verb_mount(wait->verb, paths[i], &wait->awaited[i].device);
		if (!wait->awaited[i].root)
			return VERB_FAILED;
	}
	if (wait->timeout >= 0) {
		wait->end = now() + (int64_t)(wait->timeout * 1000);
		set_alarm(wait->timeout);
	}
	return may_be(wait) ? wait_for_all(wait) : VERB_FAILED;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct wait wait = { .verb = verb, .timeout = -1, .text = "", .inotify = -1 };
	int status = parse(&wait, argc, argv);

	if (status >= 0)
		return status;
	wait.text_size = strlen(wait.text);
	wait.count = argc - optind;
	status = begin(&wait, argv + optind);
	for (int i = 0; wait.awaited && i < wait.count; i++)
		free(wait.awaited[i].root);
	free(wait.awaited);
	if (wait.inotify >= 0)
		(void)close(wait.inotify);
	return status;
}

const struct verb verb_wait = {
	.name = "wait",
	.usage = "Usage: zkfs wait [OPTION]... PATH...\n"
		 "Wait until a condition holds for all files and directories PATH on a mounted zkfs,\n"
		 "whose parents need not be there yet.\n"
		 "\n"
		 "      --exists       they are there (the default)\n"
		 "      --gone         they are not there\n"
		 "      --changed      their data, or the entries of a directory, are others than when\n"
		 "                     the command began, or they have come or gone since\n"
		 "      --equals=TEXT  they hold TEXT, or that and a newline; also .zkfs/state\n"
		 "      --timeout=S    wait S seconds at most, which may have decimals\n"
		 "  -h, --help         display this help and exit\n"
		 "\n"
		 "Exit status is 0 if it holds, 124 if the time is up, 1 if it cannot be awaited, 2 for\n"
		 "wrong usage.\n",
	.run = run,
};
