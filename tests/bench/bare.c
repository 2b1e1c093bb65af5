/* The bare program that zkfs is measured beside: it uses libzookeeper_mt alone. The parts are in tests/bench/parts.h.
 *
 *     bare HOST:PORT find|cat PATH WINDOW LIMIT
 *     bare HOST:PORT exists|get PATH COUNT WINDOW FILES
 *     bare HOST:PORT set|create|delete PATH COUNT WINDOW
 *     bare HOST:PORT lock|lock3 PATH COUNT
 *     bare HOST:PORT visible|modified|created PATH COUNT FILE
 *     bare HOST:PORT watched|reread PATH COUNT
 *     bare HOST:PORT make|remove PATH FILES
 *
 * WINDOW is the number of requests in flight, LIMIT a number of znodes. Times begin when the session is connected. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/client.h"
#include "tests/bench/parts.h"

struct words {
	zhandle_t *zh;
	const char *servers, *mode, *path, *file;
	int numbers[3];
};

static void run_walk(const struct words *words)
{
	walk(words->zh, words->path, words->numbers[0], words->numbers[1], strcmp(words->mode, "cat") == 0);
}

static void run_requests(const struct words *words)
{
	static const char *const names[] = { [REQUEST_EXISTS] = "exists",
		[REQUEST_GET] = "get",
		[REQUEST_SET] = "set",
		[REQUEST_CREATE] = "create",
		[REQUEST_DELETE] = "delete" };
	enum request request = REQUEST_EXISTS;

	while (strcmp(words->mode, names[request]) != 0)
		request++;
	requests(words->zh, request, words->path, words->numbers[0], words->numbers[1], words->numbers[2]);
}

static void run_lock(const struct words *words)
{
	take_lock(words->zh, words->path, words->numbers[0], strcmp(words->mode, "lock3") == 0);
}

static void run_visible(const struct words *words)
{
	until_visible(words->zh, words->path, words->file, words->numbers[0]);
}

static void run_modified(const struct words *words)
{
	until_modified(words->zh, words->path, words->file, words->numbers[0]);
}

static void run_created(const struct words *words)
{
	until_created(words->zh, words->path, words->file, words->numbers[0]);
}

static void run_watched(const struct words *words)
{
	zhandle_t *other = client_connect(words->servers);

	until_watched(words->zh, other, words->path, words->numbers[0], strcmp(words->mode, "reread") == 0);
	zookeeper_close(other);
}

static void run_make(const struct words *words)
{
	make_tree(words->zh, words->path, words->numbers[0]);
}

static void run_remove(const struct words *words)
{
	remove_tree(words->zh, words->path, words->numbers[0]);
}

static const struct mode {
	const char *name;
	void (*run)(const struct words *words);
	int numbers;
	bool has_file;
} modes[] = {
	{ "find", run_walk, 2, false },
	{ "cat", run_walk, 2, false },
	{ "exists", run_requests, 3, false },
	{ "get", run_requests, 3, false },
	{ "set", run_requests, 2, false },
	{ "create", run_requests, 2, false },
	{ "delete", run_requests, 2, false },
	{ "lock", run_lock, 1, false },
	{ "lock3", run_lock, 1, false },
	{ "visible", run_visible, 1, true },
	{ "modified", run_modified, 1, true },
	{ "created", run_created, 1, true },
	{ "watched", run_watched, 1, false },
	{ "reread", run_watched, 1, false },
	{ "make", run_make, 1, false },
	{ "remove", run_remove, 1, false },
};

static const struct mode *mode_of(struct words *words, int argc, char **argv)
{
	for (size_t i = 0; argc > 4 && i < sizeof(modes) / sizeof(*modes); i++) {
		const struct mode *mode = &modes[i];

		if (strcmp(argv[2], mode->name) != 0 || argc != 4 + mode->numbers + mode->has_file)
			continue;
		*words = (struct words){ .servers = argv[1], .mode = argv[2], .path = argv[3], .file = argv[argc - 1] };
		for (int number = 0; number < mode->numbers; number++) {
			words->numbers[number] = atoi(argv[4 + number]);
			if (words->numbers[number] < 1)
				return NULL;
		}
		return mode;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct words words;
	const struct mode *mode = mode_of(&words, argc, argv);

	if (!mode) {
		(void)fprintf(stderr, "usage: bare HOST:PORT MODE PATH NUMBER... [FILE], see tests/bench/bare.c\n");
		return 2;
	}
	words.zh = client_connect(words.servers);
	mode->run(&words);
	zookeeper_close(words.zh);
	return 0;
}
