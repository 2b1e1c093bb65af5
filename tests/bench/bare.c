/* The bare program that zkfs is measured beside: it walks a tree with libzookeeper_mt alone, keeping a number of requests in
 * flight: Stat and data of every znode (a program that wants to know what is a directory needs the Stat too), and the children
 * of those whose Stat says that they have some.
 *
 *     bare HOST:PORT PATH WINDOW
 *
 * Prints the seconds from the session being connected to the last answer, the seconds of the whole program, and how many
 * znodes and bytes it saw. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

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

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

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

int main(int argc, char **argv)
{
	double started = now();
	double begun;
	int window = argc == 4 ? atoi(argv[3]) : 0;
	zhandle_t *zh;

	if (window < 1) {
		(void)fprintf(stderr, "usage: bare HOST:PORT PATH WINDOW\n");
		return 2;
	}
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	zh = zookeeper_init(argv[1], on_session, 30000, NULL, NULL, 0);
	if (!zh) {
		perror("zookeeper_init");
		return 1;
	}
	zoo_set_servers_resolution_delay(zh, -1);
	pthread_mutex_lock(&lock);
	while (!connected)
		pthread_cond_wait(&changed, &lock);
	begun = now();
	push_locked(&reads, argv[2], "");
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
	printf("%.6f %.6f %ld %ld\n", now() - begun, now() - started, nodes, bytes);
	zookeeper_close(zh);
	return 0;
}
