/* A transaction whose reply was lost with the connection: until when to wait before looking whether it was made.
 *
 * Nothing of it can be on its way any more once the session's next connection has answered: the server closes a session's old one
 * before it takes it up again (ZooKeeperServer.processConnectRequest), or refuses what comes from it (SessionMovedException). The
 * stream alone cannot tell that, its connection may never have broken. */
#include <errno.h>
#include <stdlib.h>

#include "cache/parts.h"
#include "cache/util/clock.h"

struct settle {
	struct cache *cache;
	int64_t deadline;
	settled_cb *done;
	void *arg;
};

static void end(int error, void *arg)
{
	struct settle *settle = arg;

	settle->done(!error, settle->arg);
	free(settle);
}

static int ask(struct settle *settle);

/* Whatever the answer is, it came on the new connection. */
static void answered(const struct write_result *result, void *arg)
{
	struct settle *settle = arg;
	bool is_answer = !result->error || result->error == -ENOENT || result->error == -EACCES;

	if (is_answer && stream_fence(settle->cache->stream, 0, STREAM_AT_ONCE, end, settle) == 0)
		return;
	if (result->is_unknown && clock_now() < settle->deadline && ask(settle) == 0)
		return;
	end(-ETIMEDOUT, settle);
}

/* A transaction that changes nothing waits for the session's next connection and its answer. */
static int ask(struct settle *settle)
{
	const struct write_step nothing = { .verb = WRITE_CHECK, .path = "/", .version = -1 };

	return writer_submit(settle->cache->writer, &nothing, 1, answered, settle);
}

int settle(struct cache *cache, int64_t deadline, settled_cb *done, void *arg)
{
	struct settle *settle = malloc(sizeof(*settle));
	int err;

	if (!settle)
		return -ENOMEM;
	*settle = (struct settle){ .cache = cache, .deadline = deadline, .done = done, .arg = arg };
	err = ask(settle);
	if (err)
		free(settle);
	return err;
}
