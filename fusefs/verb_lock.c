/* Two processes. This one runs the command (supervise.h), and does nothing that could touch the mount: in a call that a daemon which
 * was stopped does not answer it would hang, even at its own end, for that closes files. The keeper, its child, does that: it takes the
 * lock, and from then on reads .zkfs/lease again and again, and notes when it has begun the last reading that was answered. That is in
 * memory which both have, so that nothing old is in the way of news when one of them was stopped for a while. The session lives for at
 * least its timeout from then on, and with it the lock, so the command is ended after two thirds of that, and dead after three
 * quarters: a server that has taken our request, but is then cut off, told the leader of us up to half a tick before (the timeout is
 * two ticks at least).
 *
 * On their socket the keeper says a byte of zero when it has the lock, and before and after that only why it can't have it, in words.
 * It is told the number of the command's group, and 0 when the command has ended. If this process is killed, the keeper ends
 * the group before it lets go of the lock. */
#include "fusefs/verb_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fusefs/supervise.h"

enum {
	LOOKS = 6,	    /* times that the keeper reads the lease in a timeout */
	KILL_MS = 5000,	    /* between SIGTERM and SIGKILL at most, if nothing else is said */
	LEAVE_MS = 5000,    /* how long the keeper may take to let go of the lock, */
	DIE_MS = 1000,	    /* and to die */
	ID_ROOM = 32,	    /* of a session's id */
	TEXT_ROOM = 4096,   /* of what the keeper says */
	SIGNAL_STATUS = 128 /* added to the number of a signal */
};

/* What both processes see. */
struct shared {
	/* ms of supervise_now: when the keeper began to read what has shown that the session lives. */
	_Atomic(int64_t) contact;
	int64_t timeout; /* ms: the session's. Set once, before the lock is had */
};

struct lock {
	const struct verb *verb;
	const char *path;
	char **command;
	bool is_shared, is_impatient;
	int64_t patience, mercy; /* ms; -1: -w was not given */
	bool needs_parent;

	struct shared *shared;
	int socket;
	int parent; /* a pidfd; -1: it may die */

	/* Who runs the command's */
	int keeper;	     /* a pidfd */
	char why[TEXT_ROOM]; /* the lock was lost; "": it was not */
	bool has_lost_parent;

	/* The keeper's */
	int fd, lease, state;
	char session[ID_ROOM]; /* that the lock belongs to */
	pid_t group;	       /* the command's; 0: there is none yet */
};

static int64_t earlier(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

/* When the command has to be dead if there has been no contact since. */
static int64_t last_moment(const struct lock *lock)
{
	return atomic_load(&lock->shared->contact) + lock->shared->timeout * 3 / 4;
}

/* --- The keeper: the lock --- */

/* What is locked: the file, which is made if it is not there, or a directory's data, for flock(2) on a directory does not reach
 * the daemon. -1: the user has been told. */
static int open_path(const struct lock *lock)
{
	enum { FLAGS = O_RDONLY | O_CREAT | O_NOCTTY | O_CLOEXEC };
	int fd = open(lock->path, FLAGS, 0666);
	char *data;

	if (fd < 0 && errno == EISDIR && asprintf(&data, "%s/.data", lock->path) > 0) {
		fd = open(data, FLAGS, 0666);
		free(data);
	}
	if (fd < 0)
		verb_error(lock->verb, "cannot open '%s': %s", lock->path, strerror(errno));
	return fd;
}

static int operation(const struct lock *lock)
{
	return lock->is_shared ? LOCK_SH : LOCK_EX;
}

/* 0, or the exit status. */
static int lock_file(struct lock *lock)
{
	int err;

	if (lock->fd >= 0) {
		(void)flock(lock->fd, LOCK_UN);
		(void)close(lock->fd);
	}
	lock->fd = open_path(lock);
	if (lock->fd < 0)
		return VERB_CANNOT_HOLD;
	do
		err = flock(lock->fd, operation(lock) | (lock->is_impatient ? LOCK_NB : 0)) < 0 ? errno : 0;
	while (err == EINTR); /* it was stopped and went on */
	if (err == EWOULDBLOCK)
		return VERB_NOT_HAD;
	if (err)
		verb_error(lock->verb, "cannot lock '%s': %s", lock->path, strerror(err));
	return err ? VERB_CANNOT_HOLD : 0;
}

static void take_value(const struct buf *text, const char *key, char *value, size_t room)
{
	size_t size = 0;
	const char *found = verb_value(text, key, &size);

	(void)snprintf(value, room, "%.*s", found ? (int)size : 0, found ? found : "");
}

/* Has the servers confirm that the session lives; its id and its timeout in ms. 0 or -errno. */
static int read_lease(const struct lock *lock, char *id, size_t room, int64_t *timeout)
{
	char number[ID_ROOM];
	char space[256];
	struct buf text = { .data = space };
	ssize_t size;

	do
		size = pread(lock->lease, space, sizeof(space), 0);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	text.size = (size_t)size;
	take_value(&text, "id", id, room);
	take_value(&text, "timeout", number, sizeof(number));
	*timeout = strtoll(number, NULL, 10);
	return 0;
}

/* The id of the mount's session; "": it is not known. */
static void read_session(const char *root, char *id, size_t room)
{
	struct buf session = BUF_INIT;

	(void)verb_read_control(root, "session", &session);
	take_value(&session, "id", id, room);
	buf_release(&session);
}

/* Takes the lock until one session was there before and after: it is that one's then. 0, or the exit status. */
static int take_under(struct lock *lock, const char *root)
{
	char before[ID_ROOM];
	int64_t asked, timeout;
	int status, err;

	do {
		read_session(root, before, sizeof(before));
		status = lock_file(lock);
		if (status)
			return status;
		asked = supervise_now();
		err = read_lease(lock, lock->session, sizeof(lock->session), &timeout);
	} while (!err && strcmp(before, lock->session) != 0);
	if (err) {
		verb_error(lock->verb, "cannot lock '%s': the session cannot be relied on: %s", lock->path,
			strerror(-err));
		return VERB_CANNOT_HOLD;
	}
	lock->shared->timeout = timeout;
	atomic_store(&lock->shared->contact, asked);
	return 0;
}

/* 0, or the exit status. */
static int take(struct lock *lock)
{
	char *root = verb_mount(lock->verb, lock->path, NULL);
	int status = VERB_CANNOT_HOLD;

	if (!root)
		return status;
	lock->lease = verb_open_control(root, "lease", O_RDONLY);
	lock->state = verb_open_control(root, "state", O_RDONLY);
	if (lock->lease >= 0 && lock->state >= 0)
		status = take_under(lock, root);
	else
		verb_error(lock->verb, "cannot read '%s/.zkfs/lease': %s", root, strerror(errno));
	free(root);
	return status;
}

/* --- The keeper: keeping it --- */

/* Whether the daemon knows that it has not got the lock any more. What it has is not taken once more. (A read need not reach it: the
 * kernel knows when a file is empty.) */
static bool has_lost(const struct lock *lock)
{
	return flock(lock->fd, operation(lock) | LOCK_NB) < 0 && (errno == EIO || errno == EWOULDBLOCK);
}

/* Why the lock is lost, or NULL. That there is no contact shows by the time. */
static const char *look(struct lock *lock)
{
	char id[ID_ROOM];
	int64_t asked = supervise_now();
	int64_t timeout;
	int err = read_lease(lock, id, sizeof(id), &timeout);

	if (err == -ENOTCONN || err == -ECONNABORTED)
		return "the mount has ended";
	if (!err && strcmp(id, lock->session) != 0)
		return "the session has expired";
	if (!err && has_lost(lock))
		return "somebody has removed its znode";
	if (!err)
		atomic_store(&lock->shared->contact, asked);
	return NULL;
}

/* Until it has been read, there is no news of it; and none any more if it cannot be. */
static void read_state(struct lock *lock)
{
	char state[64];

	if (pread(lock->state, state, sizeof(state), 0) < 0 && errno != EINTR)
		lock->state = -1;
}

/* How long to wait until then, for poll; -1: for ever. */
static int rest(int64_t end)
{
	int64_t left = end - supervise_now();

	if (end < 0)
		return -1;
	return left > 0 ? (int)earlier(left + 1, INT32_MAX) : 0;
}

/* Waits for what the other process says, until then (-1: for ever) also for news of the session. False: the command has ended. */
static bool listen_for(struct lock *lock, int64_t end)
{
	struct pollfd waits[] = { { .fd = lock->socket, .events = POLLIN }, { .fd = lock->state, .events = POLLPRI } };
	pid_t group = 0;
	ssize_t size;

	if (poll(waits, end < 0 ? 1 : 2, rest(end)) <= 0)
		return true;
	if (waits[1].revents)
		read_state(lock);
	if (!waits[0].revents)
		return true;
	size = recv(lock->socket, &group, sizeof(group), MSG_WAITALL);
	if (size == (ssize_t)sizeof(group) && group > 0) {
		lock->group = group;
		return true;
	}
	if (size != (ssize_t)sizeof(group) && lock->group) /* it was killed */
		supervise_end(lock->group, earlier(supervise_now() + lock->mercy, last_moment(lock)));
	return false;
}

static void keep(struct lock *lock)
{
	int64_t interval = lock->shared->timeout / LOOKS;
	int64_t next = atomic_load(&lock->shared->contact) + interval;
	const char *why = NULL;

	read_state(lock);
	while (listen_for(lock, why ? -1 : next)) {
		if (why)
			continue;
		next = supervise_now() + interval;
		why = look(lock);
		if (why)
			(void)send(lock->socket, why, strlen(why), MSG_NOSIGNAL);
	}
}

/* Nothing of what others wait for the end of stays open; what is said goes to the other process. */
static bool enter(struct lock *lock, int socket)
{
	int null = open("/dev/null", O_RDWR);

	socket = fcntl(socket, F_DUPFD, STDERR_FILENO + 1);
	return null >= 0 && socket >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
		(lock->socket = dup2(socket, STDERR_FILENO)) >= 0 && close_range(STDERR_FILENO + 1, ~0U, 0) == 0;
}

_Noreturn static void keeper_main(struct lock *lock, int socket, pid_t parent)
{
	int status = VERB_CANNOT_HOLD;

	(void)setsid(); /* the terminal's signals are not for us */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent && enter(lock, socket))
		status = take(lock);
	if (status)
		_exit(status);
	(void)prctl(PR_SET_PDEATHSIG, 0); /* the end of the socket tells, and there is something to be done then */
	(void)!chdir("/");
	(void)send(lock->socket, "", 1, MSG_NOSIGNAL);
	keep(lock);
	(void)flock(lock->fd, LOCK_UN); /* the end alone would not wait for it */
	_exit(EXIT_SUCCESS);
}

/* --- Who runs the command --- */

/* False: the user has been told. */
static bool start_keeper(struct lock *lock)
{
	pid_t self = getpid();
	int pair[2] = { -1, -1 };
	pid_t keeper = -1;

	lock->shared = mmap(NULL, sizeof(*lock->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lock->shared != MAP_FAILED && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
		keeper = fork();
	if (keeper == 0)
		keeper_main(lock, pair[1], self);
	if (keeper > 0)
		lock->keeper = pidfd_open(keeper, 0);
	if (lock->keeper < 0) {
		verb_error(lock->verb, "cannot start a process: %s", strerror(errno));
		return false;
	}
	(void)close(pair[1]);
	lock->socket = pair[0];
	return true;
}

/* Waits for the keeper's end, and if that does not come, has it killed. Its exit status, or what it would be if that does not come
 * either: the daemon has been stopped. */
static int dismiss(const struct lock *lock, int ms)
{
	struct pollfd end = { .fd = lock->keeper, .events = POLLIN };
	siginfo_t info = { 0 };

	if (poll(&end, 1, ms) <= 0) {
		(void)pidfd_send_signal(lock->keeper, SIGKILL, NULL, 0);
		(void)poll(&end, 1, DIE_MS);
	}
	(void)waitid(P_PIDFD, (id_t)lock->keeper, &info, WEXITED | WNOHANG);
	return info.si_code == CLD_EXITED ? info.si_status : VERB_CANNOT_HOLD;
}

/* What the keeper says to the user. */
static void hand_on(const char *text, ssize_t size)
{
	while (size > 0) {
		ssize_t written = write(STDERR_FILENO, text, (size_t)size);

		if (written <= 0)
			return;
		text += written;
		size -= written;
	}
}

/* Until the lock is had: -1. Else the exit status. */
static int await_lock(struct lock *lock)
{
	struct pollfd waits[] = { { .fd = lock->socket, .events = POLLIN }, { .fd = lock->parent, .events = POLLIN } };
	int64_t end = lock->patience < 0 ? -1 : supervise_now() + lock->patience;
	char text[TEXT_ROOM];
	ssize_t size;

	for (;;) {
		if (poll(waits, 2, rest(end)) <= 0) {
			if (end < 0 || supervise_now() < end)
				continue; /* it was stopped and went on */
			(void)dismiss(lock, 0);
			return VERB_NOT_HAD;
		}
		if (waits[1].revents) {
			(void)dismiss(lock, 0);
			return SIGNAL_STATUS + SIGTERM;
		}
		if (!waits[0].revents)
			continue;
		size = recv(lock->socket, text, sizeof(text), 0);
		if (size <= 0)
			return dismiss(lock, LEAVE_MS);
		if (text[size - 1] == '\0')
			return -1;
		hand_on(text, size);
	}
}

/* A begun of struct supervised. */
static void tell_group(void *arg, pid_t group)
{
	const struct lock *lock = arg;

	(void)send(lock->socket, &group, sizeof(group), MSG_NOSIGNAL);
}

static bool has_ended(int process)
{
	struct pollfd end = { .fd = process, .events = POLLIN };

	return poll(&end, 1, 0) > 0;
}

/* A may_run of struct supervised. Says nothing before the command is dead: that may take its time. */
static bool may_run(void *arg, int64_t *when)
{
	struct lock *lock = arg;
	int64_t silence = lock->shared->timeout * 2 / 3;
	int64_t end = atomic_load(&lock->shared->contact) + silence;
	ssize_t size = recv(lock->socket, lock->why, sizeof(lock->why) - 1, MSG_DONTWAIT);
	int64_t now = supervise_now();

	lock->why[size > 0 ? size : 0] = '\0';
	if (size == 0)
		(void)snprintf(lock->why, sizeof(lock->why), "the process that keeps it has ended");
	else if (size < 0 && now >= end)
		(void)snprintf(lock->why, sizeof(lock->why), "no contact with the servers for %" PRId64 " ms",
			now - end + silence);
	lock->has_lost_parent = !lock->why[0] && lock->parent >= 0 && has_ended(lock->parent);
	*when = end;
	if (!lock->why[0] && !lock->has_lost_parent)
		return true;
	*when = earlier(now + lock->mercy, last_moment(lock));
	return false;
}

static int run_locked(struct lock *lock)
{
	struct supervised supervised = { .verb = lock->verb,
		.command = lock->command,
		.may_run = may_run,
		.begun = tell_group,
		.arg = lock,
		.failed = VERB_CANNOT_HOLD };
	static const pid_t done = 0;
	int status;

	if (!supervise_prepare(&supervised))
		return VERB_CANNOT_HOLD;
	supervised.news[0] = (struct pollfd){ .fd = lock->socket, .events = POLLIN };
	supervised.news[1] = (struct pollfd){ .fd = lock->parent, .events = POLLIN };
	status = supervise_run(&supervised);
	(void)send(lock->socket, &done, sizeof(done), MSG_NOSIGNAL);
	(void)dismiss(lock, lock->why[0] ? 0 : LEAVE_MS);
	if (status != SUPERVISE_ENDED)
		return status;
	if (lock->has_lost_parent)
		return SIGNAL_STATUS + SIGTERM;
	verb_error(lock->verb, "the lock on '%s' was lost: %s; the command was ended", lock->path, lock->why);
	return VERB_LOST;
}

/* False: the user has been told, or there is nobody who could be. */
static bool find_parent(struct lock *lock)
{
	pid_t parent = getppid();

	if (!lock->needs_parent)
		return true;
	lock->parent = parent ? pidfd_open(parent, 0) : -1;
	if (lock->parent >= 0 && getppid() == parent)
		return true;
	if (getppid() == parent)
		verb_error(lock->verb, "cannot look after the parent: %s",
			parent ? strerror(errno) : "it is in another pid namespace");
	return false;
}

/* --- The command line --- */

enum { PDEATHSIG_OPTION = 256 };

/* False: the user has been told. */
static bool take_seconds(const struct lock *lock, int64_t *ms)
{
	double seconds;

	if (!verb_seconds(optarg, &seconds)) {
		verb_error(lock->verb, "invalid time '%s': expected seconds", optarg);
		return false;
	}
	*ms = (int64_t)(seconds * 1000);
	return true;
}

/* False: it is wrong, or none. */
static bool take_option(struct lock *lock, int option)
{
	switch (option) {
	case 's':
		lock->is_shared = true;
		return true;
	case 'n':
		lock->is_impatient = true;
		return true;
	case 'w':
		return take_seconds(lock, &lock->patience);
	case 'k':
		return take_seconds(lock, &lock->mercy);
	case PDEATHSIG_OPTION:
		lock->needs_parent = true;
		return true;
	default:
		return false;
	}
}

/* -1: go on; else the exit status. */
static int parse(struct lock *lock, int argc, char **argv)
{
	static const struct option options[] = {
		{ "shared", no_argument, NULL, 's' },
		{ "nonblock", no_argument, NULL, 'n' },
		{ "wait", required_argument, NULL, 'w' },
		{ "kill", required_argument, NULL, 'k' },
		{ "pdeathsig", no_argument, NULL, PDEATHSIG_OPTION },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+snw:k:h", options, NULL)) != -1) {
		if (!take_option(lock, option))
			return option == 'h' ? verb_help(lock->verb) : verb_misused(lock->verb);
	}
	if (lock->is_impatient && lock->patience >= 0) {
		verb_error(lock->verb, "only one of -n and -w can be given");
		return verb_misused(lock->verb);
	}
	lock->command = verb_command(lock->verb, argc, argv, 1);
	lock->path = argv[optind];
	return lock->command ? -1 : VERB_MISUSED;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct lock lock = { .verb = verb, .patience = -1, .mercy = KILL_MS, .parent = -1, .keeper = -1, .fd = -1 };
	int status = parse(&lock, argc, argv);

	if (status >= 0)
		return status;
	if (lock.patience == 0) {
		lock.is_impatient = true; /* as flock(1) */
		lock.patience = -1;
	}
	if (!find_parent(&lock) || !start_keeper(&lock))
		return VERB_CANNOT_HOLD;
	status = await_lock(&lock);
	return status >= 0 ? status : run_locked(&lock);
}

const struct verb verb_lock = {
	.name = "lock",
	.usage = "Usage: zkfs lock [OPTION]... PATH -- COMMAND [ARGUMENT]...\n"
		 "Run a command while this process has the lock on PATH, a file on a mounted zkfs, which\n"
		 "is made if it is not there, or a directory: the lock that flock(2) takes, of which there\n"
		 "is one in the cluster.\n"
		 "\n"
		 "  -s, --shared     take a lock that others can have at the same time, if all are such\n"
		 "  -n, --nonblock   do not wait for it\n"
		 "  -w, --wait=S     wait S seconds at most, which may have decimals\n"
		 "  -k, --kill=S     if the lock is lost, send SIGKILL S seconds after SIGTERM (5), or\n"
		 "                   sooner, as the session requires\n"
		 "      --pdeathsig  if the parent of this process dies, end the command\n"
		 "  -h, --help       display this help and exit\n"
		 "\n"
		 "Signals are handed on to the command's process group. If there is no contact with the\n"
		 "servers for two thirds of the session timeout, the lock counts as lost and the group is\n"
		 "ended, so that no two commands ever run at once, on whichever machine.\n"
		 "\n"
		 "Exit status is the command's, 128+N if signal N ended it, 75 if the lock was not had in\n"
		 "time, 74 if it was lost, 125 if it cannot be taken at all, 126 if the command cannot be\n"
		 "run, 127 if it is not found, 2 for wrong usage.\n",
	.run = run,
};
