#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/parts.h"
#include "tests/bench/timing.h"

struct job {
	struct job *next;
	char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Protected by lock. */
static struct job *lists, *looks;
static int in_flight;
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

static void on_stat(int rc, const struct Stat *stat, const void *arg)
{
	const struct job *job = arg;

	pthread_mutex_lock(&lock);
	if (rc == ZOK) {
		nodes++;
		bytes += stat->dataLength;
		if (stat->numChildren > 0)
			push_locked(&lists, job->path, "");
	}
	answered_locked();
	pthread_mutex_unlock(&lock);
	free((void *)job);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *arg)
{
	(void)value;
	(void)len;
	on_stat(rc, stat, arg);
}

static void on_children(int rc, const struct String_vector *names, const struct Stat *stat, const void *arg)
{
	const struct job *job = arg;

	(void)stat;
	pthread_mutex_lock(&lock);
	if (rc == ZOK) {
		for (int i = 0; i < names->count; i++)
			push_locked(&looks, job->path, names->data[i]);
	}
	answered_locked();
	pthread_mutex_unlock(&lock);
	free((void *)job);
}

void walk(zhandle_t *zh, const char *top, int window, int limit, bool with_data)
{
	double begun = timing_now();

	pthread_mutex_lock(&lock);
	push_locked(&looks, top, "");
	while ((nodes < limit && (lists || looks)) || in_flight > 0) {
		struct job *job;
		bool is_list = lists != NULL;
		int rc;

		if (in_flight >= window || nodes >= limit || (!lists && !looks)) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		job = is_list ? lists : looks;
		*(is_list ? &lists : &looks) = job->next;
		in_flight++;
		pthread_mutex_unlock(&lock);
		if (is_list)
			rc = zoo_aget_children2(zh, job->path, 0, on_children, job);
		else if (with_data)
			rc = zoo_aget(zh, job->path, 0, on_data, job);
		else
			rc = zoo_aexists(zh, job->path, 0, on_stat, job);
		if (rc != ZOK)
			abort();
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	printf("%.9f %ld %ld\n", timing_now() - begun, nodes, bytes);
}
