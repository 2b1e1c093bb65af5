#include "tests/fake/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cache/util/clock.h"

enum { NODES_MAX = 8 };

struct update {
	struct update *next;
	char *path;
	struct cache_edit edit;
	bool is_waiting; /* for a step */
	bool is_composed;
	int64_t czxid;	 /* of what was composed over; 0: nothing was there */
	int32_t version; /* and its version */
	struct bytes *data;
};

struct node {
	char *path; /* NULL: free */
	struct node_stat stat;
	struct bytes *data;
};

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t ended; /* an update */
	struct node nodes[NODES_MAX];
	struct update *updates; /* under way; oldest first */
	bool is_held;
	int refuse, fail;
	int64_t zxid;
	struct fake_cache_counts counts;
};

struct cache *fake_cache_new(void)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	clock_init_condition(&cache->ended);
	cache->zxid = 100;
	return cache;
}

static void clear(struct node *node)
{
	free(node->path);
	bytes_put(node->data);
	memset(node, 0, sizeof(*node));
}

void fake_cache_free(struct cache *cache)
{
	for (int i = 0; i < NODES_MAX; i++)
		clear(&cache->nodes[i]);
	pthread_cond_destroy(&cache->ended);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

/* --- Znodes --- */

static struct node *find_locked(struct cache *cache, const char *path)
{
	for (int i = 0; i < NODES_MAX; i++) {
		if (path ? cache->nodes[i].path && strcmp(cache->nodes[i].path, path) == 0 : !cache->nodes[i].path)
			return &cache->nodes[i];
	}
	return NULL;
}

static void set_locked(struct cache *cache, struct node *node, struct bytes *data)
{
	bytes_put(node->data);
	node->data = data;
	node->stat.mzxid = ++cache->zxid;
	node->stat.mtime = (int64_t)time(NULL) * 1000; /* just now: not quiet enough for the page cache */
	node->stat.version++;
	node->stat.data_length = (int32_t)data->size;
}

static struct node *create_locked(struct cache *cache, const char *path, struct bytes *data)
{
	struct node *node = find_locked(cache, NULL);

	node->path = strdup(path);
	set_locked(cache, node, data);
	node->stat.czxid = node->stat.mzxid;
	node->stat.version = 0;
	return node;
}

void fake_cache_create(struct cache *cache, const char *path, const char *text)
{
	fake_cache_remove(cache, path);
	pthread_mutex_lock(&cache->lock);
	(void)create_locked(cache, path, bytes_new(text, strlen(text)));
	pthread_mutex_unlock(&cache->lock);
}

void fake_cache_set(struct cache *cache, const char *path, const char *text)
{
	pthread_mutex_lock(&cache->lock);
	set_locked(cache, find_locked(cache, path), bytes_new(text, strlen(text)));
	pthread_mutex_unlock(&cache->lock);
}

void fake_cache_remove(struct cache *cache, const char *path)
{
	struct node *node;

	pthread_mutex_lock(&cache->lock);
	node = find_locked(cache, path);
	if (node)
		clear(node);
	pthread_mutex_unlock(&cache->lock);
}

bool fake_cache_look(struct cache *cache, const char *path, struct node_info *info)
{
	const struct node *node;

	memset(info, 0, sizeof(*info));
	pthread_mutex_lock(&cache->lock);
	node = find_locked(cache, path);
	if (node)
		*info = (struct node_info){ .stat = node->stat, .data = bytes_get(node->data) };
	pthread_mutex_unlock(&cache->lock);
	return node != NULL;
}

/* --- Updates --- */

static void end(struct cache *cache, struct update *update, int error, const struct node_stat *stat)
{
	pthread_mutex_lock(&cache->lock);
	LL_DELETE(cache->updates, update);
	pthread_mutex_unlock(&cache->lock);
	update->edit.done(error, error ? NULL : stat, error ? NULL : update->data, update->edit.arg);
	bytes_put(update->data);
	free(update->path);
	free(update);
	pthread_mutex_lock(&cache->lock);
	cache->counts.ended++;
	pthread_cond_broadcast(&cache->ended);
	pthread_mutex_unlock(&cache->lock);
}

/* 0, -errno, or 1: nothing is to be written. */
static int compose(struct cache *cache, struct update *update, struct node_stat *stat)
{
	struct buf composed = BUF_INIT;
	struct node_info info;
	int err = 0;

	if (!fake_cache_look(cache, update->path, &info) && !update->edit.may_create)
		return -ENOENT;
	if (update->edit.czxid && update->edit.czxid != info.stat.czxid)
		err = -ESTALE;
	if (!err)
		err = update->edit.compose(&info, &composed, update->edit.arg);
	bytes_put(update->data);
	update->data = err ? bytes_get(info.data) : bytes_new(composed.data, composed.size);
	update->czxid = info.stat.czxid;
	update->version = info.stat.version;
	update->is_composed = true;
	*stat = info.stat;
	buf_release(&composed);
	node_info_release(&info);
	pthread_mutex_lock(&cache->lock);
	cache->counts.composed++;
	pthread_mutex_unlock(&cache->lock);
	return err;
}

/* 0 or -errno, -EAGAIN: somebody was faster. */
static int write_locked(struct cache *cache, struct update *update, struct node_stat *stat)
{
	struct node *node = find_locked(cache, update->path);
	int err = cache->fail;

	cache->fail = 0;
	if (err)
		return err;
	if (!node && !update->edit.may_create)
		return -ENOENT;
	if (node && update->edit.czxid && node->stat.czxid != update->edit.czxid)
		return -ESTALE;
	/* Who composed over nothing makes a new one, and none other. */
	if (update->czxid ? !node : node != NULL)
		return -EAGAIN;
	if (node && !update->edit.is_whole &&
		(node->stat.czxid != update->czxid || node->stat.version != update->version))
		return -EAGAIN;
	if (node)
		set_locked(cache, node, bytes_get(update->data));
	else
		node = create_locked(cache, update->path, bytes_get(update->data));
	cache->counts.written++;
	*stat = node->stat;
	return 0;
}

/* True: the update has ended. */
static bool go_on(struct cache *cache, struct update *update)
{
	struct node_stat stat;
	int err;

	if (!update->is_composed) {
		err = compose(cache, update, &stat);
		if (!err)
			return false;
		end(cache, update, err == 1 ? 0 : err, &stat);
		return true;
	}
	pthread_mutex_lock(&cache->lock);
	err = write_locked(cache, update, &stat);
	pthread_mutex_unlock(&cache->lock);
	update->is_composed = err != -EAGAIN;
	if (err == -EAGAIN)
		return false;
	end(cache, update, err, &stat);
	return true;
}

static void count_locked(struct cache *cache, const struct cache_edit *edit)
{
	const struct update *other;
	int same = 1;

	LL_FOREACH (cache->updates, other)
		same += other->edit.arg == edit->arg;
	if (same > cache->counts.most_for_one)
		cache->counts.most_for_one = same;
	cache->counts.updates++;
	cache->counts.last = *edit;
}

int cache_update(struct cache *cache, const char *path, const struct cache_edit *edit)
{
	struct update *update = calloc(1, sizeof(*update));
	bool is_held;
	int err;

	*update = (struct update){ .path = strdup(path), .edit = *edit };
	pthread_mutex_lock(&cache->lock);
	err = cache->refuse;
	cache->refuse = 0;
	is_held = cache->is_held;
	update->is_waiting = is_held;
	if (!err) {
		count_locked(cache, edit);
		LL_APPEND(cache->updates, update);
	}
	pthread_mutex_unlock(&cache->lock);
	if (err) {
		free(update->path);
		free(update);
	} else if (!is_held) {
		while (!go_on(cache, update))
			;
	}
	return err;
}

void fake_cache_hold(struct cache *cache, bool is_held)
{
	pthread_mutex_lock(&cache->lock);
	cache->is_held = is_held;
	pthread_mutex_unlock(&cache->lock);
}

bool fake_cache_step(struct cache *cache)
{
	struct update *update;

	pthread_mutex_lock(&cache->lock);
	LL_SEARCH_SCALAR(cache->updates, update, is_waiting, true);
	if (update)
		update->is_waiting = false;
	pthread_mutex_unlock(&cache->lock);
	if (!update)
		return false;
	if (go_on(cache, update))
		return true;
	pthread_mutex_lock(&cache->lock);
	update->is_waiting = true;
	pthread_mutex_unlock(&cache->lock);
	return true;
}

bool fake_cache_await(struct cache *cache, int ended, int ms)
{
	const struct timespec until = clock_at(clock_now() + ms);
	bool have_ended;
	int err = 0;

	pthread_mutex_lock(&cache->lock);
	while (cache->counts.ended < ended && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&cache->ended, &cache->lock, &until);
	have_ended = cache->counts.ended >= ended;
	pthread_mutex_unlock(&cache->lock);
	return have_ended;
}

void fake_cache_refuse(struct cache *cache, int error)
{
	pthread_mutex_lock(&cache->lock);
	cache->refuse = error;
	pthread_mutex_unlock(&cache->lock);
}

void fake_cache_fail(struct cache *cache, int error)
{
	pthread_mutex_lock(&cache->lock);
	cache->fail = error;
	pthread_mutex_unlock(&cache->lock);
}

struct fake_cache_counts fake_cache_counts(struct cache *cache)
{
	struct fake_cache_counts counts;

	pthread_mutex_lock(&cache->lock);
	counts = cache->counts;
	pthread_mutex_unlock(&cache->lock);
	return counts;
}
