/* Changes of one znode: sent through the session, ended when the stream has passed them; contents under a version check, again
 * until nobody was in between.
 *
 * When the connection breaks with a change in flight, we look whether it was made, once nothing of it can be on its way (settle.c).
 * What was not made is sent again, so that it could not be made twice even then: under the version check, or as a create. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

/* --- Changes --- */

/* A transaction of ours on one znode, from its sending until the stream has passed it. Once the answer is here, that is told by a
 * fence or by the change's own event, whichever comes first. */
struct change {
	struct change *prev, *next; /* under cache->changes_lock, as the next three */
	bool is_waiting;	    /* for its event: among cache->changes, */
	bool is_due;		    /* and for all to be told of it */
	bool is_over;
	_Atomic(int) refs;

	struct cache *cache;
	char *path;
	bool is_birth_or_death;
	struct stream_mark passed; /* taken before the next */
	struct tree_mark mark;	   /* of the znode before */
	uint32_t events;	   /* that the change makes of it; 0: not to be remembered */
	struct bytes *data;	   /* what it leaves */
	struct own_change *own;	   /* until it is over */
	struct write_result result;
	int64_t deadline; /* ms: an unknown outcome stays unknown */
	bool is_settled;  /* nothing of it is on its way any more, and the stream has passed it */
	cache_done_cb *done;
	void *arg;
};

/* Whether it is the very next transaction after what the stream had passed before, and makes events. Nobody's was between then:
 * zxids of one leader have no gaps (ZooKeeperServer.getNextZxid). */
static bool is_next(const struct change *change)
{
	return change->events && change->passed.passed && change->result.zxid == change->passed.passed + 1;
}

/* Whether its events will tell that the stream has passed it. They do where they can be told from others': a setData by its
 * version, and what is_next. */
static bool may_be_told(const struct change *change)
{
	return change->mark.czxid || is_next(change);
}

static bool is_known_to_tree(const struct change *change)
{
	struct tree *tree = change->cache->tree;
	const struct write_result *result = &change->result;

	if (is_next(change) && tree_events_since(tree, change->path, &change->mark) >= change->events)
		return true;
	return tree_has_passed(tree, change->path, &change->mark, &result->stat);
}

/* The tree is the first to know of an event; not before the others know it too, the kernel's notifier above all, may the change end. */
static bool has_been_told(const struct change *change)
{
	return is_known_to_tree(change) && !atomic_load(&change->cache->is_telling);
}

static void change_put(struct change *change)
{
	if (atomic_fetch_sub(&change->refs, 1) > 1)
		return;
	bytes_put(change->data);
	free(change->path);
	free(change);
}

/* True for the first caller alone. */
static bool change_claim(struct change *change)
{
	struct cache *cache = change->cache;
	bool is_first;

	pthread_mutex_lock(&cache->changes_lock);
	is_first = !change->is_over;
	change->is_over = true;
	if (change->is_waiting)
		DL_DELETE(cache->changes, change);
	change->is_waiting = false;
	pthread_mutex_unlock(&cache->changes_lock);
	return is_first;
}

static void change_tell(struct change *change)
{
	const struct write_result *result = &change->result;
	int error = result->error;

	own_end(change->cache->own, change->own, !error ? OWN_MADE : result->is_unknown ? OWN_UNKNOWN : OWN_NOT_MADE);
	change->own = NULL;
	if (error && result->is_unknown)
		error = change->is_settled ? CHANGE_UNKNOWN : -EIO;
	change->done(error, result->error ? NULL : &result->stat, change->arg);
}

static bool tells_state(const struct write_result *result);

/* The change stands whatever became of the fence. */
static void change_fenced(int error, void *arg)
{
	struct change *change = arg;
	const struct write_result *result = &change->result;
	struct tree *tree = change->cache->tree;

	if (change_claim(change)) {
		change->is_settled = !error;
		if (error && tells_state(result))
			tree_distrust(change->cache->tree);
		tree_changed_by_us(tree, change->path, &change->mark, result->zxid, change->is_birth_or_death);
		if (!error && !result->error && change->events)
			tree_fill(tree, change->path, &change->mark, change->events, &result->stat, change->data,
				clock_now());
		change_tell(change);
	}
	change_put(change);
}

static void change_told(struct change *change)
{
	stream_note(change->cache->stream, change->result.zxid, &change->passed);
	change_fenced(0, change);
}

/* Whether the stream has passed it; if not yet, but its event is being told, changes_told will look again. */
static bool look_for_event(struct change *change)
{
	struct cache *cache = change->cache;

	if (!is_known_to_tree(change))
		return false;
	pthread_mutex_lock(&cache->changes_lock);
	change->is_due = true;
	pthread_mutex_unlock(&cache->changes_lock);
	return !atomic_load(&cache->is_telling);
}

/* The change is among those that wait for an event, unless the stream has passed it: then it is over. */
static void await_event(struct change *change)
{
	struct cache *cache = change->cache;
	bool is_over;

	pthread_mutex_lock(&cache->changes_lock);
	is_over = change->is_over;
	change->is_waiting = !is_over;
	if (!is_over)
		DL_APPEND(cache->changes, change);
	pthread_mutex_unlock(&cache->changes_lock);
	if (!is_over && look_for_event(change)) {
		atomic_fetch_add(&change->refs, 1);
		change_told(change);
	}
}

void changes_told(struct cache *cache, const char *path)
{
	struct change *told = NULL;
	struct change *change, *next;

	pthread_mutex_lock(&cache->changes_lock);
	DL_FOREACH_SAFE (cache->changes, change, next) {
		if (change->is_due || strcmp(change->path, path) == 0) {
			DL_DELETE(cache->changes, change);
			change->is_waiting = false;
			atomic_fetch_add(&change->refs, 1);
			DL_APPEND(told, change);
		}
	}
	pthread_mutex_unlock(&cache->changes_lock);
	while ((change = told) != NULL) {
		DL_DELETE(told, change);
		await_event(change);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): our reference kept it */
		change_put(change);
	}
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
		return false;
	}
}

static void change_settled(bool is_settled, void *arg)
{
	change_fenced(is_settled ? 0 : -ETIMEDOUT, arg);
}

static void change_done(const struct write_result *result, void *arg)
{
	struct change *change = arg;
	bool event_may_tell;

	change->result = *result;
	if (result->error && result->is_unknown) {
		if (settle(change->cache, change->deadline, change_settled, change) < 0)
			change_fenced(-ENOMEM, change);
		return;
	}
	if (!result->error) {
		own_made(change->cache->own, result->zxid);
		atomic_store(&change->cache->is_quiet, result->zxid == change->passed.passed + 1);
	}
	if (!result->error && has_been_told(change)) {
		change_told(change);
		return;
	}
	event_may_tell = !result->error && may_be_told(change);
	atomic_fetch_add(&change->refs, 1); /* the fence's */
	if (!tells_state(result) ||
		stream_fence(change->cache->stream, result->zxid, event_may_tell ? STREAM_SOON : STREAM_AT_ONCE,
			change_fenced, change) < 0) {
		change_tell(change);
		change_put(change);
	} else if (event_may_tell) {
		await_event(change);
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the first reference is still held */
	change_put(change);
}

/* What a change of one znode's data alone leaves is known. */
static void note_what_is_left(struct change *change, const struct write_step *steps, int count)
{
	const struct write_step *last = &steps[count - 1];

	if (last->verb == WRITE_SET_ACL)
		return; /* it makes no event, and without a mark what is known of the znode is dropped in any case */
	change->passed = stream_mark(change->cache->stream);
	change->mark = tree_mark(change->cache->tree, change->path);
	if (count > 1 || last->verb != WRITE_SET)
		change->mark.czxid = 0; /* its event alone does not tell */
	for (int i = 0; i < count; i++) {
		if (steps[i].verb == WRITE_DELETE || strcmp(steps[i].path, change->path) != 0)
			return;
	}
	change->events = change->mark.serial ? (uint32_t)count : 0;
	change->data = bytes_get(last->data);
}

int change_submit(struct cache *cache, const char *path, const struct write_step *steps, int count, cache_done_cb *done,
	void *arg)
{
	bool sets_acl = steps[0].verb == WRITE_SET_ACL;
	struct change *change = calloc(1, sizeof(*change));
	bool event_will_tell = false;
	int err = -ENOMEM;

	if (!change)
		return err;
	*change = (struct change){ .refs = 1,
		.cache = cache,
		.path = strdup(path),
		.deadline = clock_now() + 2 * (int64_t)cache->timeout, /* to be sent, and to be looked for */
		.done = done,
		.arg = arg,
		.is_birth_or_death = steps[0].verb != WRITE_SET && !sets_acl };
	if (change->path) {
		note_what_is_left(change, steps, count);
		event_will_tell = change->mark.czxid || (change->events && atomic_load(&cache->is_quiet));
		change->own = own_begin(cache->own, steps, (size_t)count);
		err = writer_submit(cache->writer, steps, count, change_done, change);
	}
	if (err) {
		own_end(cache->own, change->own, OWN_NOT_MADE);
		bytes_put(change->data);
		free(change->path);
		free(change);
	} else if (!event_will_tell && !sets_acl) { /* whose zxid is not told: it needs a sync */
		stream_probe(cache->stream);
	}
	return err;
}

/* --- Making and removing --- */

/* session: as in struct cache_edit. */
static int submit_file(struct cache *cache, const char *path, struct bytes *data, int64_t session, cache_done_cb *done,
	void *arg)
{
	const struct write_step steps[] = {
		{ .verb = WRITE_CREATE, .path = path, .data = data, .session = session },
		{ .verb = WRITE_SET, .path = path, .version = -1 },
	};

	return change_submit(cache, path, steps, data && data->size ? 1 : 2, done, arg);
}

enum attempt_kind { MAKE_DIRECTORY, MAKE_FILE, REMOVE };

/* A znode being made or removed, by one change, or by another if it turns out that the first was not made. */
struct attempt {
	struct cache *cache;
	enum attempt_kind kind;
	struct bytes *data; /* MAKE_FILE */
	int32_t version;    /* REMOVE, */
	int64_t czxid;	    /* and this */
	bool was_lost;	    /* an answer was, once */
	int64_t deadline;   /* ms */
	cache_done_cb *done;
	void *arg;
	char path[];
};

static void attempt_end(struct attempt *attempt, int error, const struct node_stat *stat)
{
	attempt->done(error, error ? NULL : stat, attempt->arg);
	bytes_put(attempt->data);
	free(attempt);
}

static void attempt_done(int error, const struct node_stat *stat, void *arg);

static int attempt_submit(struct attempt *attempt)
{
	const struct write_step make = { .verb = WRITE_CREATE, .path = attempt->path };
	const struct write_step remove = { .verb = WRITE_DELETE, .path = attempt->path, .version = attempt->version };

	if (attempt->kind == MAKE_FILE)
		return submit_file(attempt->cache, attempt->path, attempt->data, 0, attempt_done, attempt);
	return change_submit(attempt->cache, attempt->path, attempt->kind == REMOVE ? &remove : &make, 1, attempt_done,
		attempt);
}

static bool has_contents(const struct node_info *info, const struct bytes *data)
{
	size_t size = data ? data->size : 0;

	return info->data && info->data->size == size && (size == 0 || memcmp(info->data->data, data->data, size) == 0);
}

/* It was never as we would have made it. */
static bool is_others(const struct attempt *attempt, const struct node_info *info)
{
	bool is_empty_file = attempt->kind == MAKE_FILE && !(attempt->data && attempt->data->size);

	if (info->stat.ephemeral_owner)
		return true;
	return info->stat.version == 0 && (is_empty_file || !has_contents(info, attempt->data));
}

/* What is there after the reply was lost. Whose it is that was to be made by nobody but us cannot be known: two may be told
 * that the name is theirs, or none. If nothing is there it was not made, and is sent again. */
static void attempt_looked(int error, const struct node_info *info, void *arg)
{
	struct attempt *attempt = arg;
	bool is_there = !error;
	bool is_remove = attempt->kind == REMOVE;

	if (!is_remove && is_there && is_others(attempt, info)) {
		attempt_end(attempt, -EEXIST, NULL);
	} else if ((error && error != -ENOENT) || (!is_remove && is_there)) {
		attempt_end(attempt, -EIO, NULL);
	} else if (is_remove && (!is_there || info->stat.czxid != attempt->czxid)) {
		attempt_end(attempt, 0, NULL);
	} else {
		error = attempt_submit(attempt);
		if (error)
			attempt_end(attempt, error, NULL);
	}
}

static void attempt_done(int error, const struct node_stat *stat, void *arg)
{
	struct attempt *attempt = arg;

	if (error == CHANGE_UNKNOWN) {
		attempt->was_lost = true;
		error = -EIO;
		if (clock_now() < attempt->deadline &&
			cache_read(attempt->cache, attempt->path, attempt_looked, attempt) == 0)
			return;
	} else if (attempt->was_lost && attempt->kind == REMOVE && error == -ENOENT) {
		error = 0; /* it was there when it was called for */
	}
	attempt_end(attempt, error, stat);
}

static int attempt_start(struct cache *cache, const char *path, const struct attempt *what)
{
	size_t size = strlen(path) + 1;
	struct attempt *attempt = malloc(sizeof(*attempt) + size);
	int err;

	if (!attempt)
		return -ENOMEM;
	*attempt = *what;
	attempt->cache = cache;
	(void)bytes_get(attempt->data);
	attempt->deadline = clock_now() + 2 * (int64_t)cache->timeout; /* to be sent, and to be looked for */
	memcpy(attempt->path, path, size);
	err = attempt_submit(attempt);
	if (err) {
		bytes_put(attempt->data);
		free(attempt);
	}
	return err;
}

int cache_mkdir(struct cache *cache, const char *path, cache_done_cb *done, void *arg)
{
	return attempt_start(cache, path, &(struct attempt){ .kind = MAKE_DIRECTORY, .done = done, .arg = arg });
}

int cache_create(struct cache *cache, const char *path, struct bytes *data, cache_done_cb *done, void *arg)
{
	return attempt_start(cache, path,
		&(struct attempt){ .kind = MAKE_FILE, .data = data, .done = done, .arg = arg });
}

int cache_remove(struct cache *cache, const char *path, int64_t czxid, int32_t version, cache_done_cb *done, void *arg)
{
	return attempt_start(cache, path,
		&(struct attempt){ .kind = REMOVE, .czxid = czxid, .version = version, .done = done, .arg = arg });
}

/* --- Changing contents --- */

struct update {
	struct cache *cache;
	char *path;
	struct cache_edit edit;
	struct bytes *data; /* what was composed last */
	int64_t deadline;   /* ms: no further try after it */
	bool is_create;	    /* what was sent last, */
	int32_t version;    /* or the version that the znode had then, */
	int64_t czxid;	    /* and which znode that was */
	bool was_unknown;   /* it may have been made */
	bool was_lost;	    /* an answer was, once */
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

	if (error == CHANGE_UNKNOWN && !update->was_lost)
		update->deadline = clock_now() + update->cache->timeout; /* it is only to be looked at */
	if (error == CHANGE_UNKNOWN)
		update->was_unknown = update->was_lost = true;
	if (error == -EAGAIN || error == CHANGE_UNKNOWN) {
		error = error == CHANGE_UNKNOWN ? -EIO : -ETIMEDOUT;
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
			{ .verb = WRITE_SET,
				.path = update->path,
				.data = update->data,
				.version = version,
				.session = update->edit.session },
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
		.version = update->edit.is_whole && !update->was_lost ? -1 : info->stat.version,
		.session = update->edit.session,
		.is_told = update->edit.is_told };

	update->is_create = false;
	update->version = info->stat.version;
	update->czxid = info->stat.czxid;

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
	update->is_create = true;
	return err
		? err
		: submit_file(update->cache, update->path, update->data, update->edit.session, update_created, update);
}

enum outcome { WAS_MADE, WAS_NOT_MADE, WAS_NOT_AND_CANNOT, NOT_TO_BE_KNOWN };

/* What became of the change whose reply was lost, by what is there now. WAS_NOT_AND_CANNOT: somebody else was faster. */
static enum outcome find_out(const struct update *update, const struct node_info *info)
{
	int32_t first = update->is_create ? (update->data->size ? 0 : 1) : update->version + 1;

	if (info && !update->is_create &&
		info->stat.czxid != update->czxid) /* made since, perhaps from what we had changed */
		return update->edit.is_whole && has_contents(info, update->data) ? WAS_MADE : NOT_TO_BE_KNOWN;
	if (info && update->is_create && info->stat.version < first)
		return WAS_NOT_AND_CANNOT;
	if (info && info->stat.version == first)
		return has_contents(info, update->data) ? WAS_MADE : WAS_NOT_AND_CANNOT;
	if (update->is_create && !info)
		return WAS_NOT_MADE;
	if (!update->is_create && info && info->stat.version == update->version)
		return WAS_NOT_MADE;
	if (info && update->edit.is_whole && has_contents(info, update->data))
		return WAS_MADE;
	return NOT_TO_BE_KNOWN;
}

/* Sends again what was composed before. Now it is known not to have been made: who is faster than this one is somebody else. */
static int update_resend(struct update *update, const struct node_info *info)
{
	update->was_unknown = false;
	if (update->is_create)
		return submit_file(update->cache, update->path, update->data, update->edit.session, update_created,
			update);
	return update_submit(update, info);
}

/* True: that was all, or is under way again. */
static bool update_decide(struct update *update, int error, const struct node_info *info)
{
	if (error && error != -ENOENT) {
		update_end(update, -EIO, NULL);
		return true;
	}
	if (!error && update->edit.czxid && update->edit.czxid != info->stat.czxid) {
		update_end(update, -ESTALE, NULL);
		return true;
	}
	if (error && !update->is_create) {
		update_end(update, error, NULL);
		return true;
	}
	switch (find_out(update, error ? NULL : info)) {
	case WAS_MADE:
		own_made(update->cache->own, info->stat.mzxid);
		update_end(update, 0, &info->stat);
		return true;
	case WAS_NOT_MADE:
		error = update_resend(update, info);
		if (error)
			update_end(update, error, NULL);
		return true;
	case WAS_NOT_AND_CANNOT:
		update->was_unknown = false;
		return false;
	default:
		update_end(update, -EIO, NULL);
		return true;
	}
}

static void update_read(int error, const struct node_info *info, void *arg)
{
	struct update *update = arg;

	if (update->was_unknown && update_decide(update, error, info))
		return;
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
