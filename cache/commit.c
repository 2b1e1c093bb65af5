/* Transactions that a program makes as it likes (cache_commit). Unlike those of transact.c, nobody here knows what they mean.
 *
 * When the connection breaks with one in flight, we look whether it was made, once nothing of it can be on its way any more (see
 * change.c). All its steps have one zxid, which is newer than whatever the stream had passed before it was sent:
 *
 *  - It was not made if what one step must have changed is older than that, or if others made the version that it was to make. Then it
 *    is sent again.
 *  - It was made if everything that it would have left is there, with one zxid, and something in it can only be ours: the next version
 *    of what we gave the version of, or an ephemeral of our session.
 *  - Otherwise that cannot be known: others may have changed it since, or have done the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

struct place {
	struct tree_mark mark;
};

struct commit {
	struct cache *cache;
	struct write_result result;
	int64_t before;	  /* zxid: newer is what was sent; 0: not known */
	int64_t session;  /* that sent it */
	int64_t deadline; /* ms */
	size_t at;	  /* the step that is looked at */
	int64_t zxid;	  /* that those before it have; 0: none yet */
	bool is_ours;	  /* one of those can only be ours, */
	bool is_anyones;  /* or may be anybody's */
	char *parent;	  /* of what a step creates, while it is looked at */
	cache_committed_cb *done;
	void *arg;
	struct place *places;
	size_t count;
	struct write_step steps[]; /* paths and references are our own */
};

static void commit_free(struct commit *commit)
{
	for (size_t i = 0; i < commit->count; i++) {
		free((char *)commit->steps[i].path);
		bytes_put(commit->steps[i].data);
		acl_list_put(commit->steps[i].acl);
	}
	free(commit->parent);
	free(commit->places);
	free(commit);
}

static void tell(struct commit *commit, int error, size_t failed)
{
	const struct cache_outcome outcome = { .error = error, .failed = failed };

	commit->done(&outcome, commit->arg);
	commit_free(commit);
}

static int submit(struct commit *commit);

/* --- Looking what became of it --- */

static void look_at_step(struct commit *commit);

/* It cannot be on its way any more, and has changed nothing. */
static void send_again(struct commit *commit)
{
	int err = clock_now() < commit->deadline ? submit(commit) : -ETIMEDOUT;

	if (err)
		tell(commit, err, commit->count);
}

/* The step has left something with this zxid. */
static void found(struct commit *commit, int64_t zxid, bool is_ours, bool is_anyones)
{
	if (zxid && commit->zxid && zxid != commit->zxid) {
		tell(commit, -EIO, commit->count);
		return;
	}
	if (zxid)
		commit->zxid = zxid;
	commit->is_ours |= is_ours;
	commit->is_anyones |= is_anyones;
	commit->at++;
	look_at_step(commit);
}

static bool has_data(const struct write_step *step, const struct stream_reply *reply)
{
	size_t size = step->data ? step->data->size : 0;

	return reply->data_size == size && (size == 0 || memcmp(reply->data, step->data->data, size) == 0);
}

static void looked_at_set(struct commit *commit, const struct write_step *step, const struct stream_reply *reply)
{
	const struct node_stat *stat = &reply->stat;
	bool is_versioned = step->version != -1;
	bool is_next = is_versioned && stat->version == step->version + 1;
	bool was_others = is_next && stat->czxid <= commit->before && !has_data(step, reply);

	if (!reply->error && (stat->mzxid <= commit->before || was_others))
		send_again(commit);
	else if (reply->error || !has_data(step, reply) || is_versioned != is_next)
		tell(commit, -EIO, commit->count);
	else
		found(commit, stat->mzxid, is_versioned, false);
}

static void looked_at_delete(struct commit *commit, const struct stream_reply *reply)
{
	if (!reply->error && reply->stat.czxid <= commit->before)
		send_again(commit);
	else if (reply->error != -ENOENT)
		tell(commit, -EIO, commit->count);
	else
		found(commit, 0, false, false);
}

/* A child that was born there would have made it newer. */
static void looked_at_parent(const struct stream_reply *reply, void *arg)
{
	struct commit *commit = arg;

	if (!reply->error && reply->stat.pzxid <= commit->before)
		send_again(commit);
	else
		tell(commit, -EIO, commit->count);
}

static void look_at_parent(struct commit *commit, const char *path)
{
	const char *slash = strrchr(path, '/');
	int err = -ENOMEM;

	free(commit->parent);
	commit->parent = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (commit->parent)
		err = stream_send(commit->cache->stream, STREAM_EXISTS, commit->parent, looked_at_parent, commit);
	if (err)
		tell(commit, -EIO, commit->count);
}

static void looked_at_create(struct commit *commit, const struct write_step *step, const struct stream_reply *reply)
{
	const struct node_stat *stat = &reply->stat;
	bool is_ephemeral = step->mode == WRITE_EPHEMERAL;
	bool is_ours = is_ephemeral && commit->session && stat->ephemeral_owner == commit->session;

	if (!reply->error && stat->czxid <= commit->before)
		send_again(commit); /* it will be told that this is there */
	else if (reply->error == -ENOENT)
		look_at_parent(commit, step->path);
	else if (reply->error || !has_data(step, reply) || stat->version != 0 || is_ephemeral != is_ours)
		tell(commit, -EIO, commit->count);
	else
		found(commit, stat->czxid, is_ours, !is_ours);
}

static void looked(const struct stream_reply *reply, void *arg)
{
	struct commit *commit = arg;
	const struct write_step *step = &commit->steps[commit->at];

	if (step->verb == WRITE_SET)
		looked_at_set(commit, step, reply);
	else if (step->verb == WRITE_DELETE)
		looked_at_delete(commit, reply);
	else
		looked_at_create(commit, step, reply);
}

/* From commit->at on. All that is asked is asked on the stream, for the tree knows only what events tell, which is no zxid. */
static void look_at_step(struct commit *commit)
{
	const struct write_step *step;

	while (commit->at < commit->count && commit->steps[commit->at].verb == WRITE_CHECK)
		commit->at++;
	if (commit->at == commit->count) {
		bool was_made = commit->is_ours && !commit->is_anyones && commit->zxid > commit->before;

		tell(commit, was_made ? 0 : -EIO, commit->count);
		return;
	}
	step = &commit->steps[commit->at];
	if (step->is_sequential)
		look_at_parent(commit, step->path);
	else if (stream_send(commit->cache->stream, STREAM_GET, step->path, looked, commit) < 0)
		tell(commit, -EIO, commit->count);
}

static void settled(bool is_settled, void *arg)
{
	struct commit *commit = arg;

	commit->at = 0;
	commit->zxid = 0;
	commit->is_ours = commit->is_anyones = false;
	if (!is_settled || !commit->before)
		tell(commit, -EIO, commit->count);
	else
		look_at_step(commit);
}

/* --- Sending it --- */

/* The answer, until the stream has passed it. */
struct answer {
	struct commit *commit;
	int error;
	size_t failed;
	size_t count;
	char *made[]; /* count, and then as many that are NULL */
};

static void answer_free(struct answer *answer)
{
	for (size_t i = 0; answer && i < answer->count; i++)
		free(answer->made[i]);
	free(answer);
}

static void passed(int error, void *arg)
{
	struct answer *answer = arg;
	struct commit *commit = answer->commit;
	const struct cache_outcome outcome = { .error = answer->error,
		.failed = answer->failed,
		.made = answer->count ? (const char *const *)answer->made : NULL };

	if (error) /* it stands all the same */
		tree_distrust(commit->cache->tree);
	for (size_t i = 0; i < commit->count; i++) {
		const struct write_step *step = &commit->steps[i];

		tree_changed_by_us(commit->cache->tree, step->path, &commit->places[i].mark, 0,
			step->verb == WRITE_CREATE || step->verb == WRITE_DELETE);
	}
	commit->done(&outcome, commit->arg);
	answer_free(answer);
	commit_free(commit);
}

static struct answer *answer_new(struct commit *commit, const struct write_result *result)
{
	size_t count = result->made ? commit->count : 0;
	struct answer *answer = calloc(1, sizeof(*answer) + count * sizeof(answer->made[0]));

	if (!answer)
		return NULL;
	*answer = (struct answer){ .commit = commit, .error = result->error, .failed = result->failed, .count = count };
	for (size_t i = 0; i < count; i++)
		answer->made[i] = result->made[i] ? strdup(result->made[i]) : NULL;
	return answer;
}

/* Whatever it tells of the ensemble, what is read next shows it. */
static void submitted(const struct write_result *result, void *arg)
{
	struct commit *commit = arg;
	struct answer *answer;

	if (result->error && result->is_unknown) {
		if (settle(commit->cache, commit->deadline, settled, commit) < 0)
			tell(commit, -EIO, commit->count);
		return;
	}
	answer = answer_new(commit, result);
	if (answer && stream_fence(commit->cache->stream, result->zxid, STREAM_AT_ONCE, passed, answer) == 0)
		return;
	if (answer) {
		passed(0, answer);
	} else { /* it stands all the same */
		const struct cache_outcome outcome = { .error = result->error,
			.failed = result->failed,
			.made = result->made };

		commit->done(&outcome, commit->arg);
		commit_free(commit);
	}
}

static int submit(struct commit *commit)
{
	struct cache *cache = commit->cache;

	commit->before = stream_mark(cache->stream).passed;
	commit->session = session_id(cache->session);
	for (size_t i = 0; i < commit->count; i++)
		commit->places[i].mark = tree_mark(cache->tree, commit->steps[i].path);
	return writer_submit(cache->writer, commit->steps, (int)commit->count, submitted, commit);
}

int cache_commit(struct cache *cache, const struct write_step *steps, size_t count, cache_committed_cb *done, void *arg)
{
	struct commit *commit = calloc(1, sizeof(*commit) + count * sizeof(commit->steps[0]));
	int err = 0;

	if (!commit)
		return -ENOMEM;
	commit->cache = cache;
	commit->deadline = clock_now() + 2 * (int64_t)cache->timeout; /* to be sent, and to be looked for */
	commit->done = done;
	commit->arg = arg;
	commit->places = calloc(count + 1, sizeof(*commit->places));
	if (!commit->places)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		struct write_step *step = &commit->steps[commit->count++];

		*step = steps[i];
		step->path = strdup(steps[i].path);
		(void)bytes_get(step->data);
		(void)acl_list_get(step->acl);
		if (!step->path)
			err = -ENOMEM;
	}
	if (!err)
		err = submit(commit);
	if (err)
		commit_free(commit);
	return err;
}
