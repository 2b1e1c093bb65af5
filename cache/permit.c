/* A znode's ACL and its Stat, read from the servers each time, for ACLs change without an event; and setting the ACL. ZooKeeper
 * replaces it as a whole, under a check of its version (aversion). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/acl.h"
#include "cache/parts.h"
#include "cache/util/clock.h"

/* --- Reading --- */

struct ask {
	cache_acl_cb *acl_done; /* one of the two */
	cache_done_cb *stat_done;
	void *arg;
};

static void answered(const struct stream_reply *reply, void *arg)
{
	const struct node_stat *stat = reply->error ? NULL : &reply->stat;
	struct ask *ask = arg;

	if (ask->acl_done)
		ask->acl_done(reply->error, stat, reply->acl, ask->arg);
	else
		ask->stat_done(reply->error, stat, ask->arg);
	free(ask);
}

static int send_ask(struct cache *cache, const char *path, enum stream_read read, const struct ask *what)
{
	struct ask *ask = malloc(sizeof(*ask));
	int err;

	if (!ask)
		return -ENOMEM;
	*ask = *what;
	err = stream_send(cache->stream, read, path, answered, ask);
	if (err)
		free(ask);
	return err;
}

int cache_read_acl(struct cache *cache, const char *path, cache_acl_cb *done, void *arg)
{
	return send_ask(cache, path, STREAM_ACL, &(struct ask){ .acl_done = done, .arg = arg });
}

int cache_read_stat(struct cache *cache, const char *path, cache_done_cb *done, void *arg)
{
	return send_ask(cache, path, STREAM_EXISTS, &(struct ask){ .stat_done = done, .arg = arg });
}

/* --- Setting --- */

struct permit {
	struct cache *cache;
	char *path;
	int64_t czxid;
	struct acl_list *acl;
	int32_t aversion; /* of what was to be replaced last */
	bool was_unknown; /* the answer to that was lost */
	int64_t deadline; /* ms: no further try after it */
	cache_done_cb *done;
	void *arg;
};

static void permit_free(struct permit *permit)
{
	acl_list_put(permit->acl);
	free(permit->path);
	free(permit);
}

static void permit_end(struct permit *permit, int error)
{
	tree_access_changed(permit->cache->tree, permit->path); /* perhaps, whatever the error */
	permit->done(error, NULL, permit->arg);
	permit_free(permit);
}

static void permit_looked(int error, const struct node_stat *stat, void *arg);

static void permit_set(int error, const struct node_stat *stat, void *arg)
{
	struct permit *permit = arg;

	(void)stat;
	if (error == CHANGE_UNKNOWN && !permit->was_unknown) {
		permit->was_unknown = true;
		permit->deadline = clock_now() + permit->cache->timeout; /* it is only to be looked at */
	}
	if (error == CHANGE_UNKNOWN || error == -EAGAIN) {
		error = error == CHANGE_UNKNOWN ? -EIO : -ETIMEDOUT;
		if (clock_now() < permit->deadline)
			error = cache_read_stat(permit->cache, permit->path, permit_looked, permit);
		if (!error)
			return;
	}
	permit_end(permit, error);
}

static void permit_submit(struct permit *permit, int32_t aversion)
{
	const struct write_step
		step = { .verb = WRITE_SET_ACL, .path = permit->path, .version = aversion, .acl = permit->acl };
	int err;

	permit->aversion = aversion;
	err = change_submit(permit->cache, permit->path, &step, 1, permit_set, permit);
	if (err)
		permit_end(permit, err);
}

/* The ACL was set once since, by us or by somebody else. (What both may have meant is as good as ours.) */
static void permit_compared(int error, const struct node_stat *stat, struct acl_list *acl, void *arg)
{
	struct permit *permit = arg;

	if (error || stat->czxid != permit->czxid || stat->aversion != permit->aversion + 1) {
		permit_end(permit, -EIO);
	} else if (acl_may_become(permit->acl, acl)) {
		permit_end(permit, 0);
	} else { /* it was somebody else, and ours failed for it */
		permit->was_unknown = false;
		permit_submit(permit, stat->aversion);
	}
}

static void permit_looked(int error, const struct node_stat *stat, void *arg)
{
	struct permit *permit = arg;

	if (!error && permit->czxid == 0)
		permit->czxid = stat->czxid;
	else if (!error && permit->czxid != stat->czxid)
		error = -ESTALE;
	if (!error && permit->was_unknown && stat->aversion != permit->aversion) {
		error = -EIO;
		if (stat->aversion == permit->aversion + 1)
			error = cache_read_acl(permit->cache, permit->path, permit_compared, permit);
		if (!error)
			return;
	}
	if (error)
		permit_end(permit, error);
	else
		permit_submit(permit, stat->aversion);
}

int cache_set_acl(struct cache *cache, const char *path, int64_t czxid, struct acl_list *acl, cache_done_cb *done,
	void *arg)
{
	struct permit *permit = malloc(sizeof(*permit));
	int err = -ENOMEM;

	if (!permit)
		return err;
	*permit = (struct permit){ .cache = cache,
		.path = strdup(path),
		.czxid = czxid,
		.acl = acl_list_get(acl),
		.deadline = clock_now() + cache->timeout,
		.done = done,
		.arg = arg };
	if (permit->path)
		err = cache_read_stat(cache, path, permit_looked, permit);
	if (err)
		permit_free(permit);
	return err;
}
