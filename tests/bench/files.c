/* Writes small files one after the other, as tests/bench/bare.c does without a filesystem.
 *
 *     files overwrite FILE COUNT       open(O_WRONLY | O_TRUNC), write, close of a file that is there
 *     files create DIRECTORY COUNT     open(O_WRONLY | O_CREAT), write, close of new names
 *
 * Prints what one took, in seconds: median and mean. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/timing.h"

static void write_one(const char *path, int flags, int number)
{
	char data[TIMING_SIZE];
	int fd;

	timing_fill(data, number);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	if (fd < 0 || write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || close(fd)) {
		perror(path);
		exit(1);
	}
}

static void overwrite_one(int number, void *arg)
{
	write_one(arg, O_TRUNC, number);
}

static void create_one(int number, void *arg)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%06d", (const char *)arg, number);
	write_one(path, O_CREAT, number);
}

int main(int argc, char **argv)
{
	const char *mode = argc == 4 ? argv[1] : "";
	int count = argc == 4 ? atoi(argv[3]) : 0;
	bool overwrites = strcmp(mode, "overwrite") == 0;

	if (count < 1 || (!overwrites && strcmp(mode, "create") != 0)) {
		(void)fprintf(stderr, "usage: files overwrite|create PATH COUNT\n");
		return 2;
	}
	timing_print(count, overwrites ? overwrite_one : create_one, argv[2]);
	return 0;
}
