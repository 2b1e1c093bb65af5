/* A dead mount is unmounted by a descriptor of itself, so that nothing else can be hit which got there meanwhile; where only
 * fusermount3 may, it goes by the path. Therefore, too, only one zkfs at a time does it, which the lock of the directory above sees to:
 * the second one would unmount what the first has mounted by then. */
#include "fusefs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/util/log.h"

enum { LOCK_MS = 5000, LOCK_STEP_MS = 20, MOUNTS_MAX = 64 };

static const char TYPE[] = "fuse.zkfs";

/* --- What is mounted --- */

/* A line of /proc/self/mountinfo. */
struct line {
	int id, parent;
	char *path, *type, *options;
};

static void line_release(struct line *line)
{
	free(line->path);
	free(line->type);
	free(line->options);
	*line = (struct line){ 0 };
}

/* Blanks and such are written as \040. */
static void unescape(char *text)
{
	char *to = text;
	char octal[4] = "";

	while (*text) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			memcpy(octal, text + 1, 3);
			*to++ = (char)strtol(octal, NULL, 8);
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

static bool line_parse(const char *text, struct line *line)
{
	const char *rest = strstr(text, " - "); /* behind a number of fields that differs */

	*line = (struct line){ 0 };
	if (rest && sscanf(text, "%d %d %*s %*s %ms", &line->id, &line->parent, &line->path) == 3 &&
		sscanf(rest + 3, "%ms %*s %ms", &line->type, &line->options) == 2) {
		unescape(line->path);
		return true;
	}
	line_release(line);
	return false;
}

/* Reads them until visit says that it has seen enough, which it gives back. */
static bool visit_lines(bool (*visit)(struct line *line, void *arg), void *arg)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	bool has_enough = false;
	char *text = NULL;
	size_t size = 0;

	while (in && !has_enough && getline(&text, &size, in) > 0) {
		struct line line;

		if (line_parse(text, &line))
			has_enough = visit(&line, arg);
		line_release(&line);
	}
	free(text);
	if (in)
		(void)fclose(in);
	return has_enough;
}

struct search {
	int id;
	struct line *found;
};

static bool take_if_it(struct line *line, void *arg)
{
	struct search *search = arg;

	if (line->id != search->id)
		return false;
	*search->found = *line;
	*line = (struct line){ 0 };
	return true;
}

static bool is_below(struct line *line, void *arg)
{
	return line->parent == *(int *)arg;
}

/* The mount that is on top at place (or path below it); -1: nothing is mounted there itself. Without asking for any attribute, which
 * another user's filesystem would refuse even to root, and which a dead one cannot tell. */
static int mount_at(int place, const char *path, int flags)
{
	struct statx stat;

	if (statx(place, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | flags, STATX_MNT_ID, &stat) < 0 ||
		!(stat.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -1;
	return (int)stat.stx_mnt_id;
}

bool mountpoint_is_taken(const char *path)
{
	struct line line = { 0 };
	int id = mount_at(AT_FDCWD, path, 0);
	bool is_trigger;

	if (id < 0)
		return false;
	is_trigger = visit_lines(take_if_it, &(struct search){ id, &line }) && strcmp(line.type, "autofs") == 0;
	line_release(&line);
	return !is_trigger;
}

/* --- What is dead --- */

/* From the filesystem itself: the kernel still has what it cached of one whose daemon is gone. */
static bool is_dead(int place, const char *path, int flags)
{
	struct statx stat;

	return statx(place, path, AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC | flags, STATX_TYPE | STATX_MODE, &stat) < 0 &&
		errno == ENOTCONN;
}

static bool is_ours(const struct line *line)
{
	static const char key[] = "user_id=";
	const char *option = line->options;

	while (option && strncmp(option, key, sizeof(key) - 1) != 0) {
		option = strchr(option, ',');
		option = option ? option + 1 : NULL;
	}
	return option && strtoul(option + sizeof(key) - 1, NULL, 10) == getuid();
}

/* Why a dead mount at path is to stay; NULL: it may go. */
static const char *judge(int id, const char *path)
{
	const char *reason = NULL;
	struct line line = { 0 };

	if (!visit_lines(take_if_it, &(struct search){ id, &line }) || strcmp(line.path, path) != 0)
		reason = "it is not in '/proc/self/mountinfo'";
	else if (strcmp(line.type, TYPE) != 0)
		reason = "it is not a zkfs";
	else if (!is_ours(&line))
		reason = "another user mounted it";
	else if (visit_lines(is_below, &id))
		reason = "something is mounted below it";
	line_release(&line);
	return reason;
}

static int run_fusermount(const char *path)
{
	char *const args[] = { "fusermount3", "-u", "-z", "--", (char *)path, NULL };
	pid_t child;
	int status;
	int err = posix_spawnp(&child, args[0], NULL, NULL, args, environ);

	if (err)
		return -err;
	if (waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* Lazily, for what has its files open has them for nothing. EINVAL: another zkfs has done it just now. */
static int unmount(int place, const char *path)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", place);
	if (umount2(name, MNT_DETACH) == 0 || errno == EINVAL)
		return 0;
	return errno == EPERM ? run_fusermount(path) : -errno;
}

static int refuse(const char *path, const char *reason, int err)
{
	log_error("the daemon of the mount on '%s' is gone, and %s: unmount it with 'fusermount3 -u %s' first", path,
		reason, path);
	return err;
}

/* 1: it is gone; 0: there is none. */
static int clear_one(int place, const char *path)
{
	int id = mount_at(place, "", AT_EMPTY_PATH);
	const char *reason;
	int err;

	if (id < 0 || !is_dead(place, "", AT_EMPTY_PATH))
		return 0; /* not any more */
	reason = judge(id, path);
	if (reason)
		return refuse(path, reason, -EBUSY);
	err = unmount(place, path);
	if (err)
		return refuse(path, strerror(-err), err);
	log_info("unmounted what a zkfs that was killed has left on '%s'", path);
	return 1;
}

/* One may be mounted on another. */
static int clear_all(const char *path)
{
	int done = 1;

	for (int i = 0; i < MOUNTS_MAX && done > 0; i++) {
		int place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (place < 0)
			return 0;
		done = clear_one(place, path);
		(void)close(place);
	}
	return done < 0 ? done : 0;
}

/* --- The lock --- */

static int lock_above(const char *path)
{
	const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int ms = 0;

	/* Anybody may hold it for as long as they like. */
	while (fd >= 0 && ms < LOCK_MS && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		(void)nanosleep(&step, NULL);
		ms += LOCK_STEP_MS;
	}
	free(copy);
	return fd;
}

/* NULL: there is no such path, or no memory. */
static char *real_path(const char *path)
{
	size_t size = strlen(path);
	char *copy, *real;

	while (size > 1 && path[size - 1] == '/') /* "mnt/" would have the dead asked whether it is a directory */
		size--;
	copy = strndup(path, size);
	real = copy ? realpath(copy, NULL) : NULL;
	free(copy);
	return real;
}

int mountpoint_clear(const char *path)
{
	char *real;
	int err, lock;

	if (!is_dead(AT_FDCWD, path, 0))
		return 0;
	real = real_path(path);
	if (!real)
		return 0;
	lock = lock_above(real);
	err = clear_all(real);
	if (lock >= 0)
		(void)close(lock);
	free(real);
	return err;
}
