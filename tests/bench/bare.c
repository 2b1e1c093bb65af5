/* The bare program that zkfs is measured beside; it uses libzookeeper_mt alone.
 *
 *     bare HOST:PORT walk PATH WINDOW
 *
 * walks a tree, keeping WINDOW requests in flight: Stat and data of every znode (a program that wants to know what is a
 * directory needs the Stat too), and the children of those whose Stat says that they have some. Prints the seconds from the
 * session being connected to the last answer, the seconds of the whole program, and how many znodes and bytes it saw.
 *
 *     bare HOST:PORT set PATH COUNT
 *     bare HOST:PORT create DIRECTORY COUNT
 *
 * set the data of a znode that is there, or create new ones in one that is there, by asynchronous requests each of which is
 * awaited before the next: what tests/bench/files.c does through a mount. Print what one took, in seconds: median and mean. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "tests/bench/timing.h"

struct job {
	struct job *next;
	char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Protected by lock. */
static struct job *lists, *reads;
static int in_flight;
static bool connected;
static long nodes, bytes;

static void push_locked(struct job **queue, const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	struct job *job = malloc(sizeof(*job) + size);

	if (!job)
		abort();
	(void)snprintf(job->path, size, "%s%s%s", dir, strcmp(dir, "/") == 0 || !*name ? "" : "/", name);
	job->next = *queue;
	*queue = job;
}

static void answered_locked(void)
{
	in_flight--;
	pthread_cond_signal(&changed);
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
	(void)zh;
	(void)path;
	(void)arg;
	pthread_mutex_lock(&lock);
	connected = type == ZOO_SESSION_EVENT && state == ZOO_CONNECTED_STATE;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *arg)
{
	const struct job *job = arg;

	(void)value;
	pthread_mutex_lock(&lock);
	if (rc == ZOK) {
		nodes++;
		bytes += len > 0 ? len : 0;
		if (stat->numChildren > 0)
			push_locked(&lists, job->path, "");
	}
	answered_locked();
	pthread_mutex_unlock(&lock);
	free((void *)job);
}

static void on_children(int rc, const struct String_vector *names, const struct Stat *stat, const void *arg)
{
	const struct job *job = arg;

	(void)stat;
	pthread_mutex_lock(&lock);
	if (rc == ZOK) {
		for (int i = 0; i < names->count; i++)
			push_locked(&reads, job->path, names->data[i]);
	}
	answered_locked();
	pthread_mutex_unlock(&lock);
	free((void *)job);
}

/* Prints what it found. */
static void walk(zhandle_t *zh, const char *top, int window, double started)
{
	double begun = timing_now();

	pthread_mutex_lock(&lock);
	push_locked(&reads, top, "");
	while (lists || reads || in_flight > 0) {
		struct job *job;
		bool list = lists != NULL;

		if (in_flight >= window || (!lists && !reads)) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		job = list ? lists : reads;
		*(list ? &lists : &reads) = job->next;
		in_flight++;
		pthread_mutex_unlock(&lock);
		if (list) {
			if (zoo_aget_children2(zh, job->path, 0, on_children, job) != ZOK)
				abort();
		} else {
			if (zoo_aget(zh, job->path, 0, on_data, job) != ZOK)
				abort();
		}
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	printf("%.6f %.6f %ld %ld\n", timing_now() - begun, timing_now() - started, nodes, bytes);
}

static void written(int rc)
{
	if (rc != ZOK) {
		(void)fprintf(stderr, "bare: %s\n", zerror(rc));
		exit(1);
	}
	pthread_mutex_lock(&lock);
	answered_locked();
	pthread_mutex_unlock(&lock);
}

static void on_set(int rc, const struct Stat *stat, const void *arg)
{
	(void)stat;
	(void)arg;
	written(rc);
}

static void on_created(int rc, const char *path, const void *arg)
{
	(void)path;
	(void)arg;
	written(rc);
}

struct target {
	zhandle_t *zh;
	const char *path;
};

static void await_write(void)
{
	pthread_mutex_lock(&lock);
	while (in_flight > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void set_one(int number, void *arg)
{
	const struct target *target = arg;
	char data[TIMING_SIZE];

	timing_fill(data, number);
	in_flight = 1;
	if (zoo_aset(target->zh, target->path, data, sizeof(data), -1, on_set, NULL) != ZOK)
		abort();
	await_write();
}

static void create_one(int number, void *arg)
{
	const struct target *target = arg;
	char data[TIMING_SIZE], path[4096];

	timing_fill(data, number);
	(void)snprintf(path, sizeof(path), "%s/%06d", target->path, number);
	in_flight = 1;
	if (zoo_acreate(target->zh, path, data, sizeof(data), &ZOO_OPEN_ACL_UNSAFE, 0, on_created, NULL) != ZOK)
		abort();
	await_write();
}

int main(int argc, char **argv)
{
	double started = timing_now();
	const char *mode = argc == 5 ? argv[2] : "";
	int count = argc == 5 ? atoi(argv[4]) : 0;
	bool walks = strcmp(mode, "walk") == 0, sets = strcmp(mode, "set") == 0;
	struct target target;

	if (count < 1 || (!walks && !sets && strcmp(mode, "create") != 0)) {
		(void)fprintf(stderr, "usage: bare HOST:PORT walk|set|create PATH WINDOW|COUNT\n");
		return 2;
	}
	target.path = argv[3];
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	target.zh = zookeeper_init(argv[1], on_session, 30000, NULL, NULL, 0);
	if (!target.zh) {
		perror("zookeeper_init");
		return 1;
	}
	zoo_set_servers_resolution_delay(target.zh, -1);
	pthread_mutex_lock(&lock);
	while (!connected)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	if (walks)
		walk(target.zh, target.path, count, started);
	else
		timing_print(count, sets ? set_one : create_one, &target);
	zookeeper_close(target.zh);
	return 0;
}
