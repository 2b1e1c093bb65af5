/* Works with small files, one after the other, as tests/bench/bare.c does without a filesystem.
 *
 *     files make TOP FILES                   the tree of tests/bench/tree.h
 *     files stat TOP COUNT FILES             stat() of files of that tree
 *     files absent TOP COUNT FILES           stat() of names beside them that are not there
 *     files read TOP COUNT FILES             open, read, close of them
 *     files pread TOP COUNT FILES            pread() of one that is open
 *     files list TOP COUNT FILES             rewinddir() and readdir() to the end of one open directory of them
 *     files overwrite FILE COUNT             open(O_WRONLY | O_TRUNC), write, close of a file that is there
 *     files create DIRECTORY COUNT           open(O_WRONLY | O_CREAT), write, close of new names
 *     files unlink DIRECTORY COUNT           removes what create made
 *     files lock FILE COUNT                  flock(LOCK_EX) and flock(LOCK_UN) of one that is open, and made if need be
 *
 * Prints what one took, in seconds: median, 99th percentile and mean. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/timing.h"
#include "tests/bench/tree.h"

struct target {
	const char *path;
	int files;
	int fd;
	DIR *directory;
};

static void die(const char *path)
{
	(void)fprintf(stderr, "files: ");
	perror(path);
	exit(1);
}

static void write_one(const char *path, int flags, int number)
{
	char data[TIMING_SIZE];
	int fd;

	timing_fill(data, number);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	if (fd < 0 || write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || close(fd))
		die(path);
}

static void stat_one(int number, void *arg)
{
	const struct target *target = arg;
	char path[TREE_PATH];
	struct stat st;

	tree_pick(path, target->path, number, target->files);
	if (stat(path, &st))
		die(path);
}

static void read_one(int number, void *arg)
{
	const struct target *target = arg;
	char path[TREE_PATH], data[2 * TIMING_SIZE];
	int fd;

	tree_pick(path, target->path, number, target->files);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, data, sizeof(data)) != TIMING_SIZE || close(fd))
		die(path);
}

static void absent_one(int number, void *arg)
{
	const struct target *target = arg;
	char path[TREE_PATH + 1];
	struct stat st;

	tree_pick(path, target->path, number, target->files);
	if (stat(strcat(path, "-"), &st) == 0 || errno != ENOENT)
		die(path);
}

static void pread_one(int number, void *arg)
{
	const struct target *target = arg;
	char data[2 * TIMING_SIZE];

	(void)number;
	if (pread(target->fd, data, sizeof(data), 0) != TIMING_SIZE)
		die(target->path);
}

static void list_one(int number, void *arg)
{
	const struct target *target = arg;
	int entries = 0;

	(void)number;
	rewinddir(target->directory);
	while (readdir(target->directory))
		entries++;
	if (entries != TREE_FANOUT + 2)
		die(target->path);
}

/* What pread and list work on. */
static void open_target(struct target *target)
{
	char path[TREE_PATH];

	tree_file(path, target->path, 0);
	target->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (target->fd < 0)
		die(path);
	tree_directory(path, target->path, 0);
	target->directory = opendir(path);
	if (!target->directory)
		die(path);
}

static void overwrite_one(int number, void *arg)
{
	const struct target *target = arg;

	write_one(target->path, O_TRUNC, number);
}

static void create_one(int number, void *arg)
{
	const struct target *target = arg;
	char path[TREE_PATH];

	tree_new(path, target->path, number);
	write_one(path, O_CREAT, number);
}

static void unlink_one(int number, void *arg)
{
	const struct target *target = arg;
	char path[TREE_PATH];

	tree_new(path, target->path, number);
	if (unlink(path))
		die(path);
}

static void lock_one(int number, void *arg)
{
	const struct target *target = arg;

	(void)number;
	if (flock(target->fd, LOCK_EX) || flock(target->fd, LOCK_UN))
		die(target->path);
}

static void open_locked(struct target *target)
{
	target->fd = open(target->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (target->fd < 0)
		die(target->path);
}

static void make(const char *top, int files)
{
	char path[TREE_PATH];

	for (int i = 0; i < files; i++) {
		if (i % TREE_FANOUT == 0) {
			tree_directory(path, top, i / TREE_FANOUT);
			if (mkdir(path, 0755))
				die(path);
		}
		tree_file(path, top, i);
		write_one(path, O_CREAT, i);
	}
}

static const struct mode {
	const char *name;
	int words;
	void (*open)(struct target *target);
	void (*one)(int number, void *arg);
} modes[] = {
	{ "make", 4, NULL, NULL },
	{ "stat", 5, open_target, stat_one },
	{ "absent", 5, open_target, absent_one },
	{ "read", 5, open_target, read_one },
	{ "pread", 5, open_target, pread_one },
	{ "list", 5, open_target, list_one },
	{ "overwrite", 4, NULL, overwrite_one },
	{ "create", 4, NULL, create_one },
	{ "unlink", 4, NULL, unlink_one },
	{ "lock", 4, open_locked, lock_one },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct target target;
		int count;

		if (argc != modes[i].words || strcmp(argv[1], modes[i].name) != 0)
			continue;
		target.path = argv[2];
		count = atoi(argv[3]);
		target.files = argc > 4 ? atoi(argv[4]) : 1;
		if (count < 1 || target.files < 1)
			break;
		if (modes[i].open)
			modes[i].open(&target);
		if (modes[i].one)
			timing_run(count, modes[i].one, &target);
		else
			make(target.path, count);
		return 0;
	}
	(void)fprintf(stderr,
		"usage: files make|overwrite|create|unlink|lock PATH COUNT\n"
		"       files stat|absent|read|pread|list PATH COUNT FILES\n");
	return 2;
}
