#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/client.h"
#include "tests/bench/parts.h"
#include "tests/bench/timing.h"
#include "tests/bench/tree.h"

#define DEADLINE 2.0
/* Between two looks at a file: short beside what is measured, and yet leaves a processor to the others. */
#define PAUSE_NS 20000

/* Makes change number, and says whether it was seen before the deadline. */
struct sight {
	void (*change)(struct sight *sight, int number);
	bool (*is_seen)(struct sight *sight, int number, double deadline);
	zhandle_t *zh, *other;
	const char *znode, *file;
	const char *name; /* in the directory that is watched; NULL: the number's */
	uint32_t mask;
	int inotify;
	bool with_data;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void measure(struct sight *sight, int count)
{
	double *took = calloc((size_t)count, sizeof(*took));

	if (!took)
		abort();
	for (int i = 0; i < count; i++) {
		double begun = timing_now();

		sight->change(sight, i);
		if (!sight->is_seen(sight, i, begun + DEADLINE)) {
			client_await();
			puts("none");
			free(took);
			return;
		}
		took[i] = timing_now() - begun;
		client_await();
	}
	timing_print(took, count);
	free(took);
}

static void set_it(struct sight *sight, int number)
{
	char data[TIMING_SIZE];

	timing_fill(data, number);
	client_begin(1);
	client_sent(zoo_aset(sight->zh, sight->znode, data, sizeof(data), -1, client_on_stat, NULL));
}

static void create_it(struct sight *sight, int number)
{
	char path[TREE_PATH];

	tree_new(path, sight->znode, number);
	client_begin(1);
	client_sent(zoo_acreate(sight->zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, client_on_string, NULL));
}

/* --- Looking again and again --- */

static bool has_data(struct sight *sight, int number, double deadline)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	char expected[TIMING_SIZE], data[TIMING_SIZE] = { 0 };

	timing_fill(expected, number);
	while (timing_now() < deadline) {
		int fd = open(sight->file, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, data, sizeof(data)) < 0)
			die(sight->file);
		close(fd);
		if (memcmp(data, expected, sizeof(data)) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

void until_visible(zhandle_t *zh, const char *znode, const char *file, int count)
{
	struct sight sight = { .change = set_it, .is_seen = has_data, .zh = zh, .znode = znode, .file = file };

	measure(&sight, count);
}

/* --- inotify --- */

static bool has_event(struct sight *sight, int number, double deadline)
{
	char name[TREE_PATH], events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	if (sight->name)
		(void)snprintf(name, sizeof(name), "%s", sight->name);
	else
		(void)snprintf(name, sizeof(name), "%06d", number);
	for (;;) {
		struct pollfd waiting = { .fd = sight->inotify, .events = POLLIN };
		double left = deadline - timing_now();
		ssize_t size;

		if (left <= 0 || poll(&waiting, 1, (int)(left * 1000) + 1) < 1)
			return false;
		size = read(sight->inotify, events, sizeof(events));
		if (size < 0)
			die("inotify");
		for (const char *p = events; p < events + size;) {
			const struct inotify_event *event = (const void *)p;

			if (event->len > 0 && (event->mask & sight->mask) && strcmp(event->name, name) == 0)
				return true;
			p += sizeof(*event) + event->len;
		}
	}
}

static void measure_inotify(struct sight *sight, const char *directory, int count)
{
	sight->inotify = inotify_init1(IN_CLOEXEC);
	sight->is_seen = has_event;
	if (sight->inotify < 0 || inotify_add_watch(sight->inotify, directory, sight->mask) < 0)
		die(directory);
	measure(sight, count);
	close(sight->inotify);
}

void until_modified(zhandle_t *zh, const char *znode, const char *file, int count)
{
	struct sight sight = { .change = set_it, .zh = zh, .znode = znode, .mask = IN_MODIFY };
	char *copy = strdup(file), *other_copy = strdup(file);

	if (!copy || !other_copy)
		abort();
	sight.name = basename(other_copy);
	measure_inotify(&sight, dirname(copy), count);
	free(copy);
	free(other_copy);
}

void until_created(zhandle_t *zh, const char *znode, const char *directory, int count)
{
	struct sight sight = { .change = create_it, .zh = zh, .znode = znode, .mask = IN_CREATE };
	char path[TREE_PATH];

	measure_inotify(&sight, directory, count);
	for (int i = 0; i < count; i++) {
		tree_new(path, znode, i);
		client_begin(count + 1);
		/* Those after a "none" were never made. */
		client_sent(zoo_adelete(zh, path, -1, client_on_removed, NULL));
	}
	client_await();
}

/* --- The other session --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_told, is_armed; /* protected by lock */

static void tell(bool *fact)
{
	pthread_mutex_lock(&lock);
	*fact = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static bool await_fact(bool *fact, double deadline)
{
	struct timespec until = { .tv_sec = (time_t)deadline + 1 };
	bool is_true;

	pthread_mutex_lock(&lock);
	while (!*fact && !pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until))
		;
	is_true = *fact;
	*fact = false;
	pthread_mutex_unlock(&lock);
	return is_true;
}

static void on_armed(int rc, const char *value, int len, const struct Stat *stat, const void *arg)
{
	client_on_data(rc, value, len, stat, arg);
	tell(&is_armed);
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
	(void)zh;
	(void)state;
	(void)path;
	(void)arg;
	if (type == ZOO_CHANGED_EVENT)
		tell(&is_told);
}

/* Reads and watches anew. */
static void arm(struct sight *sight)
{
	client_begin(2);
	client_sent(zoo_awget(sight->other, sight->znode, on_event, NULL, on_armed, NULL));
}

static bool is_told_by_watch(struct sight *sight, int number, double deadline)
{
	(void)number;
	if (!await_fact(&is_told, deadline))
		return false;
	arm(sight);
	return !sight->with_data || await_fact(&is_armed, deadline);
}

void until_watched(zhandle_t *zh, zhandle_t *other, const char *znode, int count, bool with_data)
{
	struct sight sight = { .change = set_it,
		.is_seen = is_told_by_watch,
		.zh = zh,
		.other = other,
		.znode = znode,
		.with_data = with_data };

	arm(&sight);
	client_await();
	is_armed = false;
	measure(&sight, count);
}
