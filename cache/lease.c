/* Whether the session lives, and since when that is known: a transaction that changes nothing is sent, which takes a quorum. The pings
 * of libzookeeper do not tell: a server that has lost the others goes on answering them. */
#include <errno.h>
#include <stdlib.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

struct asking {
	struct cache *cache;
	int64_t deadline;
	struct cache_lease lease; /* as it will be when this is answered */
	cache_leased_cb *done;
	void *arg;
};

static void end(struct asking *asking, int error)
{
	asking->done(error, error ? NULL : &asking->lease, asking->arg);
	free(asking);
}

static int ask(struct asking *asking);

static void answered(const struct write_result *result, void *arg)
{
	struct asking *asking = arg;
	bool is_answer = !result->error || result->error == -ENOENT || result->error == -EACCES;
	struct session_info now;
	bool is_same; /* and was the session's id all the time: none comes back */

	session_look(asking->cache->session, &now);
	is_same = now.id == asking->lease.session;
	if (is_answer && is_same && now.id)
		end(asking, 0);
	else if (!is_answer && is_same && !result->is_unknown)
		end(asking, result->error);
	else if (clock_now() >= asking->deadline || ask(asking) != 0)
		end(asking, -ETIMEDOUT);
}

static int ask(struct asking *asking)
{
	const struct write_step nothing = { .verb = WRITE_CHECK, .path = "/", .version = -1 };
	struct session_info now;

	session_look(asking->cache->session, &now);
	asking->lease = (struct cache_lease){ .session = now.id, .timeout = now.timeout, .contact = clock_now() };
	return writer_submit(asking->cache->writer, &nothing, 1, answered, asking);
}

int cache_lease(struct cache *cache, cache_leased_cb *done, void *arg)
{
	struct asking *asking = malloc(sizeof(*asking));
	int err;

	if (!asking)
		return -ENOMEM;
	*asking = (struct asking){ .cache = cache, .deadline = clock_now() + cache->timeout, .done = done, .arg = arg };
	err = ask(asking);
	if (err)
		free(asking);
	return err;
}
