/* Changes of one znode: sent through the session, ended when the stream has passed them; contents under a version check, again
 * until nobody was in between. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

/* --- Changes --- */

/* A transaction of ours on one znode, from its sending until the stream has passed it. */
struct change {
	struct cache *cache;
	char *path;
	bool is_birth_or_death;
	struct tree_mark mark; /* of the znode before */
	uint32_t events;       /* that the change makes of it; 0: not to be remembered */
	struct bytes *data;    /* what it leaves */
	struct write_result result;
	cache_done_cb *done;
	void *arg;
};

static void change_end(struct change *change)
{
	const struct write_result *result = &change->result;

	change->done(result->error, result->error ? NULL : &result->stat, change->arg);
	bytes_put(change->data);
	free(change->path);
	free(change);
}

/* The change stands whatever became of the fence: without a connection nothing old is served anyway. */
static void change_fenced(int error, void *arg)
{
	struct change *change = arg;
	const struct write_result *result = &change->result;
	struct tree *tree = change->cache->tree;

	tree_changed_by_us(tree, change->path, &change->mark, result->zxid, change->is_birth_or_death);
	if (!error && !result->error && change->events)
		tree_fill(tree, change->path, &change->mark, change->events, &result->stat, change->data, clock_now());
	change_end(change);
}

/* An error that says what the ensemble holds is fenced too: after EEXIST the node must be there to be seen. */
static bool tells_state(const struct write_result *result)
{
	switch (result->error) {
	case 0:
	case -EEXIST:
	case -ENOENT:
	case -ENOTEMPTY:
	case -ENOTDIR:
	case -EAGAIN:
		return true;
	default:
		return result->is_unknown;
	}
}

static void change_done(const struct write_result *result, void *arg)
{
	struct change *change = arg;

	change->result = *result;
	if (!tells_state(result) || stream_fence(change->cache->stream, result->zxid, change_fenced, change) < 0)
		change_end(change);
}

/* What a change of one znode's data alone leaves is known. */
static void note_what_is_left(struct change *change, const struct write_step *steps, int count)
{
	const struct write_step *last = &steps[count - 1];

	change->mark = tree_mark(change->cache->tree, change->path);
	for (int i = 0; i < count; i++) {
		if (steps[i].verb == WRITE_DELETE || strcmp(steps[i].path, change->path) != 0)
			return;
	}
	change->events = change->mark.serial ? (uint32_t)count : 0;
	change->data = bytes_get(last->data);
}

static int change_submit(struct cache *cache, const char *path, const struct write_step *steps, int count,
	cache_done_cb *done, void *arg)
{
	struct change *change = calloc(1, sizeof(*change));
	int err = -ENOMEM;

	if (!change)
		return err;
	*change = (struct change){ .cache = cache,
		.path = strdup(path),
		.done = done,
		.arg = arg,
		.is_birth_or_death = steps[0].verb != WRITE_SET };
	if (change->path) {
		note_what_is_left(change, steps, count);
		err = writer_submit(cache->writer, steps, count, change_done, change);
	}
	if (err) {
		bytes_put(change->data);
		free(change->path);
		free(change);
	} else {
		stream_probe(cache->stream);
	}
	return err;
}

int cache_mkdir(struct cache *cache, const char *path, cache_done_cb *done, void *arg)
{
	const struct write_step step = { .verb = WRITE_CREATE, .path = path };

	return change_submit(cache, path, &step, 1, done, arg);
}

int cache_create(struct cache *cache, const char *path, struct bytes *data, cache_done_cb *done, void *arg)
{
	const struct write_step steps[] = {
		{ .verb = WRITE_CREATE, .path = path, .data = data },
		{ .verb = WRITE_SET, .path = path, .version = -1 },
	};

	return change_submit(cache, path, steps, data && data->size ? 1 : 2, done, arg);
}

int cache_remove(struct cache *cache, const char *path, int32_t version, cache_done_cb *done, void *arg)
{
	const struct write_step step = { .verb = WRITE_DELETE, .path = path, .version = version };

	return change_submit(cache, path, &step, 1, done, arg);
}

/* --- Changing contents --- */

struct update {
	struct cache *cache;
	char *path;
	struct cache_edit edit;
	struct bytes *data; /* what was composed last */
	int64_t deadline;   /* ms: no further try after it */
};

static void update_end(struct update *update, int error, const struct node_stat *stat)
{
	update->edit.done(error, error ? NULL : stat, error ? NULL : update->data, update->edit.arg);
	bytes_put(update->data);
	free(update->path);
	free(update);
}

static void update_read(int error, const struct node_info *info, void *arg);

static void update_written(int error, const struct node_stat *stat, void *arg)
{
	struct update *update = arg;

	if (error == -EAGAIN) {
		error = -ETIMEDOUT;
		if (clock_now() < update->deadline)
			error = cache_read(update->cache, update->path, update_read, update);
		if (!error)
			return;
	}
	update_end(update, error, stat);
}

/* A directory that never had children would become a file by having data (DESIGN.md section 2, rules 1 and 3), so the same
 * transaction lets it have had one. Nobody can see the child; its name only must not be taken. */
static int submit_directory_data(struct update *update, int32_t version)
{
	char *child = NULL;
	uint64_t salt = 0;
	int err = -ENOMEM;

	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	if (asprintf(&child, "%s/zkfs-%016llx", update->path, (unsigned long long)salt) >= 0) {
		const struct write_step steps[] = {
			{ .verb = WRITE_SET, .path = update->path, .data = update->data, .version = version },
			{ .verb = WRITE_CREATE, .path = child },
			{ .verb = WRITE_DELETE, .path = child, .version = -1 },
		};

		err = change_submit(update->cache, update->path, steps, 3, update_written, update);
		free(child);
	}
	return err;
}

static int update_submit(struct update *update, const struct node_info *info)
{
	const struct write_step step = { .verb = WRITE_SET,
		.path = update->path,
		.data = update->data,
		.version = update->edit.is_whole ? -1 : info->stat.version };

	if (update->edit.is_directory && info->stat.cversion == 0 && update->path[1] != '\0')
		return submit_directory_data(update, step.version);
	return change_submit(update->cache, update->path, &step, 1, update_written, update);
}

/* 0, -errno, or 1: nothing needs to be written. */
static int update_compose(struct update *update, const struct node_info *info)
{
	struct buf composed = BUF_INIT;
	int err = 0;

	if (update->edit.czxid && update->edit.czxid != info->stat.czxid)
		return -ESTALE;
	if (!info->data && !update->edit.is_whole)
		return info->data_error;
	err = update->edit.compose(info, &composed, update->edit.arg);
	bytes_put(update->data);
	update->data = NULL;
	if (err == 1)
		update->data = bytes_get(info->data);
	else if (err == 0)
		update->data = bytes_new(composed.data, composed.size);
	buf_release(&composed);
	if (err == 0 && !update->data)
		err = -ENOMEM;
	/* An empty directory that is given no data must not be written: its version would make it a file (rule 5). */
	if (err == 0 && update->edit.is_directory && update->data->size == 0 && info->stat.data_length == 0)
		err = 1;
	return err;
}

/* One that somebody else makes at the same time is changed, like any that was there. */
static void update_created(int error, const struct node_stat *stat, void *arg)
{
	update_written(error == -EEXIST ? -EAGAIN : error, stat, arg);
}

static int update_create(struct update *update)
{
	const struct node_info none = { 0 };
	struct buf composed = BUF_INIT;
	int err = update->edit.compose(&none, &composed, update->edit.arg);

	bytes_put(update->data);
	update->data = err ? NULL : bytes_new(composed.data, composed.size);
	buf_release(&composed);
	if (!err && !update->data)
		err = -ENOMEM;
	return err ? err : cache_create(update->cache, update->path, update->data, update_created, update);
}

static void update_read(int error, const struct node_info *info, void *arg)
{
	struct update *update = arg;

	if (error == -ENOENT && update->edit.may_create) {
		error = update_create(update);
		if (error)
			update_end(update, error, NULL);
		return;
	}
	if (!error)
		error = update_compose(update, info);
	if (error == 1) {
		update_end(update, 0, &info->stat);
		return;
	}
	if (!error)
		error = update_submit(update, info);
	if (error)
		update_end(update, error, NULL);
}

int cache_update(struct cache *cache, const char *path, const struct cache_edit *edit)
{
	struct update *update = calloc(1, sizeof(*update));
	int err = -ENOMEM;

	if (!update)
		return err;
	*update = (struct update){ .cache = cache,
		.path = strdup(path),
		.edit = *edit,
		.deadline = clock_now() + cache->timeout };
	if (update->path)
		err = cache_read(cache, path, update_read, update);
	if (err) {
		free(update->path);
		free(update);
	}
	return err;
}
