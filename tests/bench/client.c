#include "tests/bench/client.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSION_TIMEOUT 30000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* Protected by lock. */
static int in_flight;
static bool connected;

static void check(int rc)
{
	if (rc == ZOK)
		return;
	(void)fprintf(stderr, "bare: %s\n", zerror(rc));
	exit(1);
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

zhandle_t *client_connect(const char *servers)
{
	zhandle_t *zh;

	connected = false;
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	zh = zookeeper_init(servers, on_session, SESSION_TIMEOUT, NULL, NULL, 0);
	if (!zh) {
		perror("bare: zookeeper_init");
		exit(1);
	}
	zoo_set_servers_resolution_delay(zh, -1);
	pthread_mutex_lock(&lock);
	while (!connected)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return zh;
}

void client_begin(int window)
{
	pthread_mutex_lock(&lock);
	while (in_flight >= window)
		pthread_cond_wait(&changed, &lock);
	in_flight++;
	pthread_mutex_unlock(&lock);
}

void client_sent(int rc)
{
	check(rc);
}

void client_answered(int rc)
{
	check(rc);
	pthread_mutex_lock(&lock);
	in_flight--;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

void client_await(void)
{
	pthread_mutex_lock(&lock);
	while (in_flight > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

void client_on_void(int rc, const void *arg)
{
	(void)arg;
	client_answered(rc);
}

void client_on_removed(int rc, const void *arg)
{
	client_on_void(rc == ZNONODE ? ZOK : rc, arg);
}

void client_on_stat(int rc, const struct Stat *stat, const void *arg)
{
	(void)stat;
	(void)arg;
	client_answered(rc);
}

void client_on_string(int rc, const char *path, const void *arg)
{
	(void)path;
	(void)arg;
	client_answered(rc);
}

void client_on_data(int rc, const char *value, int len, const struct Stat *stat, const void *arg)
{
	(void)value;
	(void)len;
	(void)stat;
	(void)arg;
	client_answered(rc);
}
