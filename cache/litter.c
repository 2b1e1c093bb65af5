/* Lock nodes that nobody needs any more: removed by one transaction, if all goes well. If not, because the connection broke or one
 * of several was gone before, they are looked for by the id in their names, which nobody else's have. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/lockparts.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"

struct litter {
	struct lock_message message; /* first */
	struct litter *prev, *next;
	struct locks *locks;
	char *parent;
	struct lock_id id;
	int64_t session;
	char *paths[LOCK_NODES_MAX]; /* some may be NULL */
	bool is_busy;
	int error;
	cache_unlocked_cb *done; /* NULL: called, or nobody is to be */
	void *arg;
};

static struct litter *litter_of(struct lock_message *message)
{
	return (struct litter *)message;
}

static void forget_paths(struct litter *litter)
{
	for (size_t i = 0; i < LOCK_NODES_MAX; i++) {
		free(litter->paths[i]);
		litter->paths[i] = NULL;
	}
}

static void litter_delete(struct litter *litter)
{
	forget_paths(litter);
	free(litter->parent);
	free(litter);
}

static void tell(struct litter *litter)
{
	cache_unlocked_cb *done = litter->done;

	litter->done = NULL;
	if (done)
		done(0, litter->arg);
}

static void gone(struct litter *litter)
{
	DL_DELETE(litter->locks->litter, litter);
	tell(litter);
	litter_delete(litter);
}

/* Tried again when there is a connection, and now and then. */
static void left(struct litter *litter)
{
	litter->is_busy = false;
	forget_paths(litter);
	tell(litter);
	locks_tick(litter->locks);
}

static void look(struct litter *litter);

static size_t count_paths(const struct litter *litter)
{
	size_t count = 0;

	for (size_t i = 0; i < LOCK_NODES_MAX; i++)
		count += litter->paths[i] ? 1 : 0;
	return count;
}

static void removed(struct lock_message *message)
{
	struct litter *litter = litter_of(message);
	bool is_alone = count_paths(litter) == 1;

	if (!litter->error || (litter->error == -ENOENT && is_alone)) {
		gone(litter);
	} else if (litter->error == -ENOENT) { /* the others are there */
		look(litter);
	} else if (litter->error == -EACCES) {
		log_warning("a lock node below '%s' cannot be removed: %s", litter->parent, strerror(EACCES));
		gone(litter);
	} else {
		left(litter);
	}
}

static void remove_done(const struct write_result *result, void *arg)
{
	struct litter *litter = arg;

	litter->error = result->error && result->is_unknown ? -EIO : result->error;
	litter->message.handle = removed;
	locks_post(litter->locks, &litter->message);
}

static void remove_nodes(struct litter *litter)
{
	struct write_step steps[LOCK_NODES_MAX];
	int count = 0;

	for (size_t i = 0; i < LOCK_NODES_MAX; i++) {
		if (litter->paths[i])
			steps[count++] =
				(struct write_step){ .verb = WRITE_DELETE, .path = litter->paths[i], .version = -1 };
	}
	if (writer_submit(litter->locks->cache->writer, steps, count, remove_done, litter) < 0)
		left(litter);
}

/* --- By their id --- */

static void found(struct lock_message *message)
{
	struct litter *litter = litter_of(message);

	if (litter->error)
		left(litter);
	else if (count_paths(litter))
		remove_nodes(litter);
	else
		gone(litter);
}

static void take_names(struct litter *litter, const struct listing *names)
{
	struct lock_node node;
	size_t count = 0;

	for (uint32_t i = 0; i < names->count && count < LOCK_NODES_MAX; i++) {
		if (!lock_parse(names->names[i], &node) || node.id.instance != litter->id.instance ||
			node.id.owner != litter->id.owner || node.id.serial != litter->id.serial)
			continue;
		litter->paths[count] = lock_path(litter->parent, names->names[i]);
		count += litter->paths[count] ? 1 : 0;
	}
}

static void list_done(const struct stream_reply *reply, void *arg)
{
	struct litter *litter = arg;

	litter->error = reply->error == -ENOENT ? 0 : reply->error;
	if (!reply->error)
		take_names(litter, reply->children);
	litter->message.handle = found;
	locks_post(litter->locks, &litter->message);
}

static void settled(struct lock_message *message)
{
	struct litter *litter = litter_of(message);

	if (litter->error ||
		stream_send(litter->locks->cache->stream, STREAM_CHILDREN, litter->parent, list_done, litter) < 0)
		left(litter);
}

static void settle_done(bool is_settled, void *arg)
{
	struct litter *litter = arg;

	litter->error = is_settled ? 0 : -ETIMEDOUT;
	litter->message.handle = settled;
	locks_post(litter->locks, &litter->message);
}

static void look(struct litter *litter)
{
	forget_paths(litter);
	litter->is_busy = true;
	if (settle(litter->locks->cache, clock_now(), settle_done, litter) < 0)
		left(litter);
}

void litter_again(struct locks *locks)
{
	struct session_info session;
	struct litter *litter, *next;

	session_look(locks->cache->session, &session);
	DL_FOREACH_SAFE (locks->litter, litter, next) {
		if (litter->is_busy)
			continue;
		if (litter->session != session.id)
			gone(litter);
		else if (session.state == SESSION_CONNECTED)
			look(litter);
	}
}

void litter_add(struct locks *locks, const char *parent, const struct lock_id *id, char **paths, int64_t session,
	cache_unlocked_cb *done, void *arg)
{
	struct litter *litter = NULL;

	if (session == locks_session_id(locks))
		litter = calloc(1, sizeof(*litter));
	if (litter)
		litter->parent = strdup(parent);
	if (!litter || !litter->parent) { /* the session took them along, or will */
		free(litter);
		if (done)
			done(0, arg);
		return;
	}
	litter->locks = locks;
	litter->id = *id;
	litter->session = session;
	litter->done = done;
	litter->arg = arg;
	for (size_t i = 0; paths && i < LOCK_NODES_MAX; i++) {
		litter->paths[i] = paths[i];
		paths[i] = NULL;
	}
	litter->is_busy = true;
	DL_APPEND(locks->litter, litter);
	if (count_paths(litter))
		remove_nodes(litter);
	else
		look(litter);
}

void litter_free(struct locks *locks)
{
	struct litter *litter, *next;

	DL_FOREACH_SAFE (locks->litter, litter, next) {
		DL_DELETE(locks->litter, litter);
		litter_delete(litter);
	}
}
