/* Transactions over several znodes, all or nothing; our own session's id, which tells what may be in one; and which ones were
 * ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

/* A znode that a transaction is about. */
struct place {
	char *path;
	bool is_birth_or_death;
	struct tree_mark mark;
};

struct transaction {
	struct cache *cache;
	struct own_change *own;
	struct write_result result;
	int64_t deadline; /* ms: an unknown outcome stays unknown */
	bool is_settled;  /* nothing of it is on its way any more, and the stream has passed it */
	cache_transacted_cb *done;
	void *arg;
	size_t count;
	struct place places[];
};

static void transaction_free(struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->count; i++)
		free(transaction->places[i].path);
	free(transaction);
}

static void transaction_end(struct transaction *transaction)
{
	const struct write_result *result = &transaction->result;

	own_end(transaction->cache->own, transaction->own,
		!result->error ? OWN_MADE
			: result->is_unknown
			? OWN_UNKNOWN
			: OWN_NOT_MADE);
	if (result->is_unknown && !transaction->is_settled)
		transaction->done(-EIO, false, transaction->arg);
	else
		transaction->done(result->error, result->is_unknown, transaction->arg);
	transaction_free(transaction);
}

static void transaction_fenced(int error, void *arg)
{
	struct transaction *transaction = arg;

	transaction->is_settled = !error;
	if (error && !transaction->result.is_unknown) /* it stands whatever became of the fence */
		tree_distrust(transaction->cache->tree);
	for (size_t i = 0; i < transaction->count; i++) {
		const struct place *place = &transaction->places[i];

		tree_changed_by_us(transaction->cache->tree, place->path, &place->mark, 0, place->is_birth_or_death);
	}
	transaction_end(transaction);
}

static void transaction_settled(bool is_settled, void *arg)
{
	transaction_fenced(is_settled ? 0 : -ETIMEDOUT, arg);
}

/* Whatever the answer tells of the ensemble, what is read next shows it. */
static void transaction_done(const struct write_result *result, void *arg)
{
	struct transaction *transaction = arg;

	transaction->result = *result;
	if (!result->error)
		own_made(transaction->cache->own, result->zxid);
	if (result->error && result->is_unknown) {
		if (settle(transaction->cache, transaction->deadline, transaction_settled, transaction) < 0)
			transaction_fenced(-ENOMEM, transaction);
		return;
	}
	if (stream_fence(transaction->cache->stream, result->zxid, STREAM_AT_ONCE, transaction_fenced, transaction) < 0)
		transaction_end(transaction);
}

int cache_transact(struct cache *cache, const struct write_step *steps, size_t count, cache_transacted_cb *done,
	void *arg)
{
	struct transaction *transaction = calloc(1, sizeof(*transaction) + count * sizeof(struct place));
	int err = 0;

	if (!transaction)
		return -ENOMEM;
	transaction->cache = cache;
	transaction->deadline = clock_now() + 2 * (int64_t)cache->timeout; /* to be sent, and to be looked for */
	transaction->done = done;
	transaction->arg = arg;
	for (size_t i = 0; !err && i < count; i++) {
		struct place *place = &transaction->places[transaction->count++];

		place->path = strdup(steps[i].path);
		place->is_birth_or_death = steps[i].verb == WRITE_CREATE || steps[i].verb == WRITE_DELETE;
		if (place->path)
			place->mark = tree_mark(cache->tree, place->path);
		else
			err = -ENOMEM;
	}
	if (!err) {
		transaction->own = own_begin(cache->own, steps, count);
		err = writer_submit(cache->writer, steps, (int)count, transaction_done, transaction);
	}
	if (err) {
		own_end(cache->own, transaction->own, OWN_NOT_MADE);
		transaction_free(transaction);
	}
	return err;
}

bool cache_is_ours(struct cache *cache, int64_t zxid)
{
	return own_is_ours(cache->own, zxid);
}

int64_t cache_session_id(struct cache *cache)
{
	return session_id(cache->session);
}
