/* The lock engine against an ensemble in memory: several mounts (hosts), each with a session, whose requests are answered in order and can
 * be lost with the connection, and with a stream, whose answers and events come in order and may lag behind; Kazoo's and Curator's
 * contenders as simple models; expired sessions, containers that go, nodes that somebody removes. What happens next is random, and
 * after each step no two owners have conflicting locks. At the end everybody has had what he waited for, and no node is left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/acl.h"
#include "cache/lock.h"
#include "cache/lockparts.h"
#include "cache/util/clock.h"
#include "tests/unit/unit.h"

enum { HOSTS = 3, OWNERS = 3, PLACES = 3, BYTES = 8, FOREIGNERS = 3, NODES = 256, PATH_SIZE = 176, WISHES = 256 };

/* --- Time --- */

static int64_t now;

int64_t clock_now(void)
{
	return now;
}

struct timespec clock_at(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms };
}

void clock_init_condition(pthread_cond_t *condition)
{
	pthread_cond_init(condition, NULL);
}

/* --- What the servers store --- */

struct znode {
	char path[PATH_SIZE];
	int64_t session; /* 0: not ephemeral */
	bool is_container;
	uint32_t births, children;
};

struct world {
	size_t count;
	struct znode nodes[NODES];
};

struct record {
	bool is_birth;
	struct znode node;
	size_t commit;
};

static struct world world;
static struct record *history;
static size_t records, commits;

static struct znode *find_node(struct world *in, const char *path)
{
	for (size_t i = 0; i < in->count; i++) {
		if (strcmp(in->nodes[i].path, path) == 0)
			return &in->nodes[i];
	}
	return NULL;
}

static struct znode *find_parent(struct world *in, const char *path)
{
	char parent[PATH_SIZE];
	size_t size = (size_t)(strrchr(path, '/') - path);

	memcpy(parent, path, size ? size : 1);
	parent[size ? size : 1] = '\0';
	return find_node(in, parent);
}

static void apply(struct world *to, const struct record *record)
{
	struct znode *parent = find_parent(to, record->node.path), *node;

	if (record->is_birth) {
		ck_assert_uint_lt(to->count, NODES);
		to->nodes[to->count++] = record->node;
		parent->births++;
		parent->children++;
	} else {
		parent->children--;
		node = find_node(to, record->node.path);
		*node = to->nodes[--to->count];
	}
}

static void note(bool is_birth, const struct znode *node)
{
	if (records % 256 == 0)
		history = reallocarray(history, records + 256, sizeof(*history));
	history[records] = (struct record){ .is_birth = is_birth, .node = *node, .commit = commits };
	apply(&world, &history[records++]);
}

/* --- Hosts --- */

struct step {
	enum write_verb verb;
	bool is_ephemeral, is_container, is_sequential;
	char path[PATH_SIZE];
};

struct request {
	struct request *prev, *next;
	size_t count;
	struct step *steps;
	write_cb *done;
	void *arg;
	int64_t session;
	bool is_processed;
	int error;
	char made[LOCK_NODES_MAX][PATH_SIZE];
};

struct read {
	struct read *prev, *next;
	char path[PATH_SIZE]; /* "": a fence */
	size_t mark;
	stream_reply_cb *done;
	fence_cb *passed;
	void *arg;
};

struct host {
	struct cache cache;
	struct session_info session;
	bool has_expired; /* and does not know */
	struct request *waiting, *sent, *limbo;
	bool is_broken; /* the stream */
	size_t seen;	/* records */
	struct world view;
	struct read *reads;
};

static struct host hosts[HOSTS];
static int64_t sessions;
static bool with_faults, with_removals, with_threads;
static int run_number; /* for debuggers */

static bool happens(size_t times, size_t in)
{
	return unit_random(in) < times;
}

static int make_step(struct world *trial, const struct step *step, int64_t session, struct znode *made)
{
	const struct znode *node, *parent;

	*made = (struct znode){ .session = step->is_ephemeral ? session : 0, .is_container = step->is_container };
	strcpy(made->path, step->path); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it is as long */
	if (step->verb == WRITE_CREATE) {
		parent = find_parent(trial, step->path);
		if (!parent)
			return -ENOENT;
		if (step->is_sequential)
			(void)snprintf(made->path, PATH_SIZE, "%.160s%010u", step->path, parent->births);
		if (find_node(trial, made->path))
			return -EEXIST;
		apply(trial, &(struct record){ .is_birth = true, .node = *made });
		return 0;
	}
	node = find_node(trial, step->path);
	if (!node)
		return -ENOENT;
	if (step->verb == WRITE_DELETE && node->children)
		return -ENOTEMPTY;
	if (step->verb == WRITE_DELETE)
		apply(trial, &(struct record){ .node = *made });
	return 0;
}

/* All or nothing. */
static void process(struct request *request, int64_t session)
{
	static struct world trial;
	struct znode *made = calloc(request->count, sizeof(*made));

	trial = world;
	request->is_processed = true;
	for (size_t i = 0; i < request->count && !request->error; i++)
		request->error = make_step(&trial, &request->steps[i], session, &made[i]);
	if (!request->error)
		commits++;
	for (size_t i = 0; i < request->count && !request->error; i++) {
		if (request->steps[i].verb != WRITE_CHECK)
			note(request->steps[i].verb == WRITE_CREATE, &made[i]);
		if (request->steps[i].is_sequential)
			memcpy(request->made[i], made[i].path, PATH_SIZE);
	}
	free(made);
}

static void answer(struct request *request, int error, bool is_unknown)
{
	const char *made[LOCK_NODES_MAX] = { NULL };
	struct write_result result = { .error = error, .is_unknown = is_unknown, .failed = request->count };

	for (size_t i = 0; i < LOCK_NODES_MAX && !error; i++) {
		if (request->made[i][0]) {
			made[i] = request->made[i];
			result.made = made;
		}
	}
	if (request->done)
		request->done(&result, request->arg);
	free(request->steps);
	free(request);
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	struct host *host = (struct host *)writer;
	struct request *request = calloc(1, sizeof(*request));

	*request = (struct request){ .count = (size_t)count,
		.steps = calloc((size_t)count, sizeof(struct step)),
		.done = done,
		.arg = arg,
		.session = steps[0].session };
	for (int i = 0; i < count; i++) {
		request->steps[i] = (struct step){ .verb = steps[i].verb,
			.is_ephemeral = steps[i].mode == WRITE_EPHEMERAL,
			.is_container = steps[i].mode == WRITE_CONTAINER,
			.is_sequential = steps[i].is_sequential };
		ck_assert_uint_lt(strlen(steps[i].path), PATH_SIZE - 10);
		(void)stpcpy(request->steps[i].path, steps[i].path);
	}
	if (host->session.state != SESSION_CONNECTED)
		DL_APPEND(host->waiting, request);
	else if (request->session && request->session != host->session.id)
		answer(request, -EIO, false);
	else if (with_faults && happens(1, 200))
		answer(request, -ETIMEDOUT, false); /* the oldest is overdue */
	else
		DL_APPEND(host->sent, request);
	return 0;
}

int stream_send(struct stream *stream, enum stream_read kind, const char *path, stream_reply_cb *done, void *arg)
{
	struct host *host = (struct host *)stream;
	struct read *read = calloc(1, sizeof(*read));

	ck_assert_int_eq(kind, STREAM_CHILDREN);
	*read = (struct read){ .done = done, .arg = arg };
	(void)stpcpy(read->path, path);
	DL_APPEND(host->reads, read);
	return 0;
}

int stream_fence(struct stream *stream, int64_t zxid, enum stream_haste haste, fence_cb *done, void *arg)
{
	struct host *host = (struct host *)stream;
	struct read *read = calloc(1, sizeof(*read));

	(void)haste;
	ck_assert_int_eq(zxid, 0);
	*read = (struct read){ .passed = done, .arg = arg, .mark = records };
	DL_APPEND(host->reads, read);
	return 0;
}

void session_look(struct session *session, struct session_info *info)
{
	*info = ((struct host *)session)->session;
}

bool cache_is_watching(struct cache *cache)
{
	return atomic_load(&cache->is_watching);
}

/* --- What can happen to a host --- */

static void read_end(struct host *host, struct read *read, int error)
{
	struct stream_reply reply = { .error = error };
	const struct znode *node;
	size_t count = 0, size = strlen(read->path);

	DL_DELETE(host->reads, read);
	if (read->passed) {
		read->passed(error, read->arg);
		free(read);
		return;
	}
	node = find_node(&host->view, read->path);
	if (!error && !node)
		reply.error = -ENOENT;
	if (!reply.error) {
		reply.children = calloc(1, sizeof(struct listing) + NODES * sizeof(char *));
		for (size_t i = 0; i < host->view.count; i++) {
			const char *path = host->view.nodes[i].path;

			if (strncmp(path, read->path, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/'))
				reply.children->names[count++] = path + size + 1;
		}
		ck_assert_uint_eq(count, node->children);
		reply.stat.cversion = (int32_t)(2 * node->births - node->children);
		reply.stat.num_children = (int32_t)count;
		reply.children->count = (uint32_t)count;
	}
	if (reply.children) { /* the names are not the view's */
		size_t bytes = 0;
		struct listing *copy;
		char *to;

		for (size_t i = 0; i < count; i++)
			bytes += strlen(reply.children->names[i]) + 1;
		copy = malloc(sizeof(*copy) + count * sizeof(char *) + bytes);
		atomic_init(&copy->refs, 1);
		copy->count = (uint32_t)count;
		copy->size = sizeof(*copy) + count * sizeof(char *) + bytes;
		to = (char *)(copy->names + count);
		for (size_t i = 0; i < count; i++) {
			copy->names[i] = to;
			to = stpcpy(to, reply.children->names[i]) + 1;
		}
		free(reply.children);
		reply.children = copy;
	}
	read->done(&reply, read->arg);
	listing_put(reply.children);
	free(read);
}

/* The next transaction reaches the stream. */
static bool see_next(struct host *host, bool tells)
{
	size_t commit;

	if (host->seen == records)
		return false;
	commit = history[host->seen].commit;
	while (host->seen < records && history[host->seen].commit == commit) {
		const struct record record = history[host->seen++];

		apply(&host->view, &record);
		if (!tells)
			continue;
		if (record.is_birth)
			locks_created(host->cache.locks, record.node.path);
		else
			locks_deleted(host->cache.locks, record.node.path);
	}
	return true;
}

/* One of those that can be answered now: the first to read, or any fence. */
static bool answer_read(struct host *host, bool in_order)
{
	struct read *read, *next;
	bool was_read = false;

	DL_FOREACH_SAFE (host->reads, read, next) {
		if (read->passed ? host->seen < read->mark : was_read)
			continue;
		was_read |= !read->passed;
		if (!in_order && happens(1, 2))
			continue;
		read_end(host, read, 0);
		return true;
	}
	return false;
}

static void break_stream(struct host *host)
{
	host->is_broken = true;
	locks_broken(host->cache.locks);
}

static void resume_stream(struct host *host)
{
	while (happens(3, 4) && see_next(host, false))
		;
	host->is_broken = false;
	locks_resumed(host->cache.locks);
}

static struct request *first_unprocessed(struct host *host)
{
	struct request *request;

	DL_FOREACH (host->sent, request) {
		if (!request->is_processed)
			return request;
	}
	return NULL;
}

static void break_session(struct host *host)
{
	struct request *request;

	host->session.state = SESSION_SUSPENDED;
	locks_session(host->cache.locks);
	while ((request = host->sent) != NULL) {
		DL_DELETE(host->sent, request);
		if (!request->is_processed) { /* and may be still */
			struct request *late = malloc(sizeof(*late));

			*late = *request;
			late->done = NULL;
			request->steps = NULL;
			DL_APPEND(host->limbo, late);
		}
		answer(request, -ETIMEDOUT, true);
	}
}

/* What was on its way arrives, up to somewhere. */
static void end_limbo(struct host *host)
{
	struct request *request;
	bool arrives = true;

	while ((request = host->limbo) != NULL) {
		DL_DELETE(host->limbo, request);
		arrives = arrives && happens(2, 3);
		if (arrives)
			process(request, host->session.id);
		answer(request, 0, false);
	}
}

static void flush(struct host *host)
{
	struct request *waiting = host->waiting, *request, *next;

	host->waiting = NULL;
	DL_FOREACH_SAFE (waiting, request, next) {
		DL_DELETE(waiting, request);
		if (request->session && request->session != host->session.id)
			answer(request, -EIO, false);
		else
			DL_APPEND(host->sent, request);
	}
}

static void connected(struct host *host)
{
	host->session.state = SESSION_CONNECTED;
	locks_session(host->cache.locks);
	flush(host);
	locks_session(host->cache.locks);
}

static void forget_grants(const struct host *host);

static void expire(struct host *host)
{
	end_limbo(host);
	commits++;
	for (size_t i = world.count; i-- > 0;) {
		const struct znode node = world.nodes[i];

		if (node.session == host->session.id)
			note(false, &node);
	}
	host->has_expired = true;
	forget_grants(host);
}

static void reconnect(struct host *host)
{
	if (host->session.state == SESSION_LOST) {
		host->session.id = ++sessions;
		host->has_expired = false;
		connected(host);
	} else if (host->has_expired) {
		host->session.state = SESSION_LOST;
		host->session.id = 0;
		locks_session(host->cache.locks);
	} else {
		end_limbo(host);
		connected(host);
	}
}

static void tick_once(struct host *host)
{
	struct locks *locks = host->cache.locks;

	if (locks->is_ticking)
		locks_post(locks, &locks->tick.message);
}

/* --- Who has what --- */

enum { NONE, SHARED, EXCLUSIVE };

static const struct lock_place places[PLACES] = {
	{ .path = "/f", .scope = LOCK_RECORD },
	{ .path = "/g", .scope = LOCK_FLOCK },
	{ .path = "/d", .scope = LOCK_DIRECTORY },
};

struct owner {
	unsigned char bytes[BYTES]; /* what it was told it has */
	bool is_robbed;		    /* somebody has removed a node: what it is told is not believed */
	int wishes;		    /* not answered */
};

static struct owner owners[PLACES][HOSTS][OWNERS];

struct wish {
	int place, host, owner;
	uint64_t first, last;
	bool is_exclusive, waits, is_answered, is_unwanted, is_vague;
};

static struct wish wishes[WISHES];
static size_t wish_count;

enum foreign_kind { KAZOO_WRITE, KAZOO_READ, CURATOR_MUTEX, CURATOR_READ, CURATOR_WRITE };

struct foreigner {
	char path[PATH_SIZE]; /* "": it does not want to */
	enum foreign_kind kind;
	bool holds;
};

static struct foreigner foreigners[FOREIGNERS];

static void forget_grants(const struct host *host)
{
	for (int place = 0; place < PLACES; place++) {
		for (int owner = 0; owner < OWNERS; owner++)
			memset(owners[place][host - hosts][owner].bytes, NONE, BYTES);
	}
}

static uint64_t owner_id(int host, int owner)
{
	return 16 * (uint64_t)host + (uint64_t)owner + 1;
}

static struct lock_place place_of(int place, int host, int owner)
{
	struct lock_place of = places[place];

	of.owner = owner_id(host, owner);
	return of;
}

static bool is_foreigner_shared(const struct foreigner *foreigner)
{
	return foreigner->kind == KAZOO_READ || foreigner->kind == CURATOR_READ;
}

/* For who has to find out why. */
static void show(void)
{
	for (size_t i = 0; i < world.count; i++)
		(void)fprintf(stderr, "%s session %lld\n", world.nodes[i].path, (long long)world.nodes[i].session);
	for (int i = 0; i < HOSTS; i++) {
		const struct attempt *attempt;
		const struct claimant *claimant, *next;
		const struct hold *hold;

		DL_FOREACH (hosts[i].cache.locks->attempts, attempt)
			(void)fprintf(stderr,
				"host %d session %lld: attempt %c %llu-%llu of %llu, stage %d, node %s, blocker %s\n",
				i, (long long)hosts[i].session.id, attempt->what.is_exclusive ? 'w' : 'r',
				(unsigned long long)attempt->what.first, (unsigned long long)attempt->what.last,
				(unsigned long long)attempt->what.id.owner, (int)attempt->stage,
				attempt->paths[0] ? attempt->paths[0] : "", attempt->blocker ? attempt->blocker : "");
		HASH_ITER (hh, hosts[i].cache.locks->claimants, claimant, next)
			DL_FOREACH (claimant->holds, hold)
				(void)fprintf(stderr, "host %d: hold %s\n", i, hold->paths[0]);
	}
	for (int i = 0; i < PLACES * HOSTS * OWNERS; i++) {
		(void)fprintf(stderr, "place %d host %d owner %x:", i / (HOSTS * OWNERS), i / OWNERS % HOSTS,
			i / OWNERS % HOSTS * 16 + i % OWNERS + 1);
		for (int j = 0; j < BYTES; j++)
			(void)fprintf(stderr, " %d",
				owners[i / (HOSTS * OWNERS)][i / OWNERS % HOSTS][i % OWNERS].bytes[j]);
		(void)fprintf(stderr, "\n");
	}
	(void)fprintf(stderr, "run %d, record %zu of history\n", run_number, records);
	for (size_t i = records > 40 ? records - 40 : 0; i < records; i++)
		(void)fprintf(stderr, "%zu: %c %s\n", history[i].commit, history[i].is_birth ? '+' : '-',
			history[i].node.path);
}

/* No two owners conflict. */
static void check_exclusion(void)
{
	for (int place = 0; place < PLACES; place++) {
		for (int byte = 0; byte < BYTES; byte++) {
			int shared = 0, exclusive = 0;

			for (int i = 0; i < HOSTS * OWNERS; i++) {
				int kind = owners[place][i / OWNERS][i % OWNERS].bytes[byte];

				shared += kind == SHARED;
				exclusive += kind == EXCLUSIVE;
			}
			for (int i = 0; i < FOREIGNERS && places[place].scope == LOCK_DIRECTORY; i++) {
				if (foreigners[i].holds && is_foreigner_shared(&foreigners[i]))
					shared++;
				else if (foreigners[i].holds)
					exclusive++;
			}
			if (exclusive > 1 || (exclusive && shared))
				show();
			ck_assert_msg(exclusive == 0 || (exclusive == 1 && shared == 0),
				"place %d byte %d: %d exclusive, %d shared", place, byte, exclusive, shared);
		}
	}
}

static bool is_overlapping(const struct wish *a, const struct wish *b)
{
	return a->place == b->place && a->host == b->host && a->owner == b->owner && a->first <= b->last &&
		b->first <= a->last;
}

/* Another request of the same owner's may change it before that is told. */
static bool has_rival(const struct wish *wish)
{
	for (size_t i = 0; i < wish_count; i++) {
		if (&wishes[i] != wish && !wishes[i].is_answered && is_overlapping(&wishes[i], wish))
			return true;
	}
	return false;
}

static void lock_done(int error, void *arg)
{
	struct wish *wish = arg;
	struct owner *owner = &owners[wish->place][wish->host][wish->owner];
	bool is_known = !hosts[wish->host].has_expired && !owner->is_robbed && !wish->is_vague && !has_rival(wish);

	ck_assert(!wish->is_answered);
	wish->is_answered = true;
	owner->wishes--;
	for (uint64_t i = wish->first; i <= wish->last && !error; i++)
		owner->bytes[i] = !is_known ? NONE : wish->is_exclusive ? EXCLUSIVE : SHARED;
	ck_assert_msg(error == 0 || (error == -EAGAIN && !wish->waits) || (error == -EINTR && wish->is_unwanted) ||
			(error == -ETIMEDOUT && with_faults) || (error == -EIO && (with_faults || with_removals)),
		"error %d", error);
	check_exclusion();
}

static void lost(const struct lock_place *place, pid_t pid, void *arg)
{
	const struct host *host = arg;

	(void)pid;
	for (int i = 0; i < PLACES; i++) {
		for (int j = 0; j < OWNERS; j++) {
			if (strcmp(places[i].path, place->path) == 0 &&
				owner_id((int)(host - hosts), j) == place->owner)
				memset(owners[i][host - hosts][j].bytes, NONE, BYTES);
		}
	}
}

static void unlock_range(int place, int host, int owner, uint64_t first, uint64_t last)
{
	const struct lock_place at = place_of(place, host, owner);
	const struct wish range = { .place = place, .host = host, .owner = owner, .first = first, .last = last };

	for (uint64_t i = first; i <= last; i++)
		owners[place][host][owner].bytes[i] = NONE;
	for (size_t i = 0; i < wish_count; i++)
		wishes[i].is_vague |= is_overlapping(&wishes[i], &range) && !wishes[i].is_answered;
	cache_unlock(&hosts[host].cache, &at, first, at.scope == LOCK_RECORD ? last : LOCK_END, NULL, NULL);
}

/* The next one. */
static void ask(struct wish *wish)
{
	owners[wish->place][wish->host][wish->owner].wishes++;
	wish_count++;
	ck_assert_int_eq(
		cache_lock(&hosts[wish->host].cache,
			&(struct lock_request){ .place = place_of(wish->place, wish->host, wish->owner),
				.is_exclusive = wish->is_exclusive,
				.first = wish->first,
				.last = wish->last,
				.waits = wish->waits,
				.ticket = wish_count,
				.done = lock_done,
				.arg = wish }),
		0);
}

static void lock_somewhere(void)
{
	struct wish *wish = &wishes[wish_count];
	struct owner *owner;
	bool is_whole;

	if (wish_count == WISHES)
		return;
	*wish = (struct wish){ .place = (int)unit_random(PLACES),
		.host = (int)unit_random(HOSTS),
		.owner = (int)unit_random(OWNERS),
		.first = unit_random(BYTES),
		.is_exclusive = happens(1, 2),
		.waits = happens(2, 3) };
	is_whole = places[wish->place].scope != LOCK_RECORD;
	wish->last = wish->first + unit_random(BYTES - wish->first);
	if (is_whole) {
		wish->first = 0;
		wish->last = BYTES - 1;
	}
	owner = &owners[wish->place][wish->host][wish->owner];
	if (owner->wishes > 0 && !with_threads)
		return;
	for (uint64_t i = wish->first; i <= wish->last; i++) {
		if (is_whole)
			owner->bytes[i] = NONE;
		else if (!wish->is_exclusive && owner->bytes[i] == EXCLUSIVE)
			owner->bytes[i] = SHARED;
	}
	ask(wish);
}

static void unlock_somewhere(void)
{
	int place = (int)unit_random(PLACES), host = (int)unit_random(HOSTS), owner = (int)unit_random(OWNERS);
	uint64_t first = unit_random(BYTES);
	bool is_whole = places[place].scope != LOCK_RECORD || happens(1, 3);

	if (owners[place][host][owner].wishes > 0 && !with_threads)
		return;
	if (is_whole)
		unlock_range(place, host, owner, 0, BYTES - 1);
	else
		unlock_range(place, host, owner, first, first + unit_random(BYTES - first));
}

static void unwait(struct wish *wish)
{
	wish->is_unwanted = true;
	cache_unwait(&hosts[wish->host].cache, (uint64_t)(wish - wishes) + 1);
}

static void unwait_somebody(void)
{
	if (wish_count)
		unwait(&wishes[unit_random(wish_count)]);
}

/* --- Others --- */

static const char *curator_key(const char *name, const char *mark)
{
	const char *key = name, *at = name;

	while ((at = strstr(at, mark)) != NULL)
		key = at += strlen(mark);
	return key;
}

static const char *curator_sort_key(const char *name, enum foreign_kind kind)
{
	return kind == CURATOR_MUTEX
		? curator_key(name, "lock-")
		: curator_key(curator_key(name, "__READ__"), "__WRIT__");
}

static bool is_kazoo(const char *name, const char *mark)
{
	size_t size = strlen(name), mark_size = strlen(mark);

	return size >= 10 + mark_size && strncmp(name + size - 10 - mark_size, mark, mark_size) == 0;
}

static bool is_before(const struct foreigner *foreigner, const char *other)
{
	const char *mine = strrchr(foreigner->path, '/') + 1;

	if (foreigner->kind == KAZOO_WRITE || foreigner->kind == KAZOO_READ)
		return (is_kazoo(other, "__lock__") ||
			       (foreigner->kind == KAZOO_WRITE && is_kazoo(other, "__rlock__"))) &&
			strcmp(other + strlen(other) - 10, mine + strlen(mine) - 10) < 0;
	if (foreigner->kind == CURATOR_READ && !strstr(other, "__WRIT__"))
		return false;
	return strcmp(curator_sort_key(other, foreigner->kind), curator_sort_key(mine, foreigner->kind)) < 0;
}

static bool may_hold(const struct foreigner *foreigner)
{
	for (size_t i = 0; i < world.count; i++) {
		const char *path = world.nodes[i].path;

		if (strncmp(path, "/d/", 3) == 0 && is_before(foreigner, path + 3))
			return false;
	}
	return true;
}

static void foreigner_acts(struct foreigner *foreigner, int family)
{
	static const char *const names[] = { "/d/%08zx__lock__%010u", "/d/%08zx__rlock__%010u",
		"/d/_c_%08zx-lock-%010u", "/d/_c_%08zx-__READ__%010u", "/d/_c_%08zx-__WRIT__%010u" };
	struct znode node = { .session = -1 };

	if (!foreigner->path[0]) {
		foreigner->kind = family == 1 ? (enum foreign_kind)unit_random(2)
			: family == 2
			? CURATOR_MUTEX
			: (enum foreign_kind)(CURATOR_READ + unit_random(2));
		(void)snprintf(node.path, PATH_SIZE, names[foreigner->kind], unit_random(UINT32_MAX),
			find_node(&world, "/d")->births);
		memcpy(foreigner->path, node.path, PATH_SIZE);
		commits++;
		note(true, &node);
	} else if (!foreigner->holds) {
		foreigner->holds = may_hold(foreigner);
		check_exclusion();
	} else {
		memcpy(node.path, foreigner->path, PATH_SIZE);
		commits++;
		note(false, &node);
		foreigner->holds = false;
		foreigner->path[0] = '\0';
	}
}

/* An empty one that had something in it. */
static void remove_container(void)
{
	for (size_t i = 0; i < world.count; i++) {
		struct znode node = world.nodes[i];

		if (node.is_container && node.births && !node.children) {
			commits++;
			note(false, &node);
			return;
		}
	}
}

static void remove_by_hand(void)
{
	struct znode node = world.nodes[unit_random(world.count)];
	struct lock_node what;

	if (node.session <= 0 || !lock_parse(strrchr(node.path, '/') + 1, &what))
		return;
	for (int i = 0; i < PLACES * HOSTS * OWNERS; i++) {
		struct owner *owner = &owners[i / (HOSTS * OWNERS)][i / OWNERS % HOSTS][i % OWNERS];

		if (what.id.owner != owner_id(i / OWNERS % HOSTS, i % OWNERS))
			continue;
		owner->is_robbed = true;
		memset(owner->bytes, NONE, BYTES);
	}
	commits++;
	note(false, &node);
}

/* --- Runs --- */

static void answer_next(struct host *host)
{
	struct request *request = host->sent;

	if (request && request->is_processed) {
		DL_DELETE(host->sent, request);
		answer(request, request->error, false);
	}
}

static void go_on(struct host *host)
{
	struct request *request;

	switch (unit_random(4)) {
	case 0:
		request = host->session.state == SESSION_CONNECTED ? first_unprocessed(host) : NULL;
		if (request)
			process(request, host->session.id);
		break;
	case 1:
		answer_next(host);
		break;
	case 2:
		if (!host->is_broken)
			(void)see_next(host, true);
		break;
	default:
		if (!host->is_broken)
			(void)answer_read(host, false);
		break;
	}
}

static void fault(struct host *host)
{
	struct request *request;

	switch (unit_random(8)) {
	case 0:
		if (host->session.state == SESSION_CONNECTED)
			break_session(host);
		break;
	case 1:
	case 2:
		if (host->session.state != SESSION_CONNECTED)
			reconnect(host);
		break;
	case 3:
		if (host->session.state == SESSION_SUSPENDED && !host->has_expired)
			expire(host);
		break;
	case 4:
		if (!host->is_broken)
			break_stream(host);
		break;
	case 5:
		if (host->is_broken)
			resume_stream(host);
		break;
	case 6:
		request = host->waiting;
		if (request && host->session.state != SESSION_CONNECTED) {
			DL_DELETE(host->waiting, request);
			answer(request, -ETIMEDOUT, false);
		}
		break;
	default:
		if (host->is_broken && host->reads)
			read_end(host, host->reads, -ETIMEDOUT);
		break;
	}
}

static void act(int family)
{
	size_t what = unit_random(100);

	if (what < 12)
		lock_somewhere();
	else if (what < 20)
		unlock_somewhere();
	else if (what < 22)
		unwait_somebody();
	else if (what < 26 && family)
		foreigner_acts(&foreigners[unit_random(FOREIGNERS)], family);
	else if (what < 27)
		remove_container();
	else if (what < 28 && with_removals)
		remove_by_hand();
	else if (what < 32 && with_faults)
		fault(&hosts[unit_random(HOSTS)]);
	else if (what < 33) {
		now += (int64_t)unit_random(3000);
		tick_once(&hosts[unit_random(HOSTS)]);
	} else
		go_on(&hosts[unit_random(HOSTS)]);
}

/* Everything that is under way ends. */
static bool drain_host(struct host *host)
{
	struct request *request;
	bool is_any = false;

	while (host->session.state != SESSION_CONNECTED)
		reconnect(host);
	if (host->is_broken)
		resume_stream(host);
	while (host->sent) {
		is_any = true;
		while ((request = first_unprocessed(host)) != NULL)
			process(request, host->session.id);
		answer_next(host);
	}
	while (see_next(host, true))
		is_any = true;
	while (answer_read(host, true))
		is_any = true;
	return is_any;
}

/* Whose node somebody has removed does not think that he holds it. (With the stream broken meanwhile nobody tells of it.) */
static void check_holds(void)
{
	const struct claimant *claimant, *next;
	const struct hold *hold;

	for (int i = 0; i < HOSTS && !with_faults; i++) {
		HASH_ITER (hh, hosts[i].cache.locks->claimants, claimant, next) {
			DL_FOREACH (claimant->holds, hold) {
				for (int j = 0; j < LOCK_NODES_MAX && hold->paths[j]; j++)
					ck_assert_msg(find_node(&world, hold->paths[j]) != NULL, "gone: %s",
						hold->paths[j]);
			}
		}
	}
}

/* Without looking again after a time: nothing may have been missed. */
static void drain(void)
{
	int ticks = 0;

	while (ticks < 4) {
		bool is_any = false;

		for (int i = 0; i < HOSTS; i++)
			is_any |= drain_host(&hosts[i]);
		if (is_any)
			continue;
		ticks++;
		now += 1000;
		for (int i = 0; i < HOSTS; i++) {
			struct attempt *attempt;

			DL_FOREACH (hosts[i].cache.locks->attempts, attempt) {
				if (attempt->stage == ATTEMPT_WAITING)
					attempt->looked_at = now;
			}
			tick_once(&hosts[i]);
		}
	}
	check_exclusion();
	check_holds();
}

static size_t count_waiting(void)
{
	size_t count = 0;

	for (size_t i = 0; i < wish_count; i++)
		count += !wishes[i].is_answered;
	return count;
}

static bool has_holds(void)
{
	for (int i = 0; i < HOSTS; i++) {
		size_t held, waiting;

		cache_count_locks(&hosts[i].cache, &held, &waiting);
		if (held)
			return true;
	}
	return false;
}

static bool is_foreigner_there(void)
{
	for (int i = 0; i < FOREIGNERS; i++) {
		if (foreigners[i].path[0])
			return true;
	}
	return false;
}

/* Whoever can goes on, until nobody waits. */
static void let_all_go_on(int family)
{
	for (int round = 0; count_waiting() > 0 || is_foreigner_there(); round++) {
		if (round == 300 || (!has_holds() && !is_foreigner_there()))
			show();
		ck_assert_msg(round < 300 && (has_holds() || is_foreigner_there()), "%zu are stuck", count_waiting());
		for (int i = 0; i < FOREIGNERS; i++) {
			if (foreigners[i].path[0])
				foreigner_acts(&foreigners[i], family);
		}
		for (int i = 0; i < PLACES * HOSTS * OWNERS; i++) {
			int place = i / (HOSTS * OWNERS), host = i / OWNERS % HOSTS, owner = i % OWNERS;

			if (owners[place][host][owner].wishes == 0 || happens(1, 8)) /* or they wait for each other */
				unlock_range(place, host, owner, 0, BYTES - 1);
		}
		drain();
	}
}

static void check_nothing_left(void)
{
	for (size_t i = 0; i < world.count; i++) {
		struct lock_node node;

		ck_assert_msg(!lock_parse(strrchr(world.nodes[i].path, '/') + 1, &node), "left: %s",
			world.nodes[i].path);
	}
	for (int i = 0; i < HOSTS; i++) {
		ck_assert_ptr_null(hosts[i].cache.locks->claimants);
		ck_assert_ptr_null(hosts[i].cache.locks->litter);
	}
}

static void begin(void)
{
	memset(owners, 0, sizeof(owners));
	memset(foreigners, 0, sizeof(foreigners));
	wish_count = records = commits = 0;
	sessions = 0;
	now = 1000000;
	world = (struct world){ .count = 2, .nodes = { { .path = "/" }, { .path = "/d" } } };
	for (int i = 0; i < HOSTS; i++) {
		struct host *host = &hosts[i];

		*host = (struct host){ .view = world, .session = { .state = SESSION_CONNECTED, .id = ++sessions } };
		host->cache.timeout = 4000;
		host->cache.stream = (struct stream *)host;
		host->cache.writer = (struct writer *)host;
		host->cache.session = (struct session *)host;
		atomic_store(&host->cache.is_watching, true);
		host->cache.locks = locks_new(&host->cache);
		host->cache.locks->has_thread = true; /* we tick */
		cache_watch_locks(&host->cache, lost, host);
	}
}

static void end(void)
{
	for (int i = 0; i < HOSTS; i++) {
		hosts[i].cache.locks->has_thread = false;
		locks_stop(hosts[i].cache.locks);
		locks_free(hosts[i].cache.locks);
	}
	free(history);
	history = NULL;
}

static void finish(void)
{
	for (int i = 0; i < PLACES * HOSTS * OWNERS; i++)
		unlock_range(i / (HOSTS * OWNERS), i / OWNERS % HOSTS, i % OWNERS, 0, BYTES - 1);
	drain();
	check_nothing_left();
	end();
}

static void run(int family)
{
	size_t steps = 100 + unit_random(600);

	begin();
	for (size_t i = 0; i < steps; i++)
		act(family);
	drain();
	let_all_go_on(family);
	finish();
}

static void run_many(const char *name)
{
	const char *given = getenv("ZKFS_TEST_RUNS");
	int runs = given ? atoi(given) : 200;

	unit_seed(name);
	for (int i = 0; i < runs; i++) {
		run_number = i;
		run(i % 4);
	}
}

START_TEST(all_goes_well)
{
	with_faults = with_removals = with_threads = false;
	run_many("all_goes_well");
}
END_TEST

START_TEST(several_threads)
{
	with_faults = with_removals = false;
	with_threads = true;
	run_many("several_threads");
}
END_TEST

START_TEST(connections_break_and_sessions_expire)
{
	with_faults = true;
	with_removals = with_threads = false;
	run_many("connections_break_and_sessions_expire");
}
END_TEST

START_TEST(nodes_are_removed)
{
	with_faults = with_threads = false;
	with_removals = true;
	run_many("nodes_are_removed");
}
END_TEST

/* Somebody removes what a swap has made, and the stream tells of that before the answer comes. */
START_TEST(node_is_gone_before_it_is_known)
{
	struct host *host = &hosts[0];
	struct znode node;

	with_faults = with_removals = with_threads = false;
	begin();
	wishes[0] = (struct wish){ .last = BYTES - 1, .is_exclusive = true, .waits = true };
	ask(&wishes[0]);
	drain();
	unlock_range(0, 0, 0, 2, 3);
	process(first_unprocessed(host), host->session.id);
	node = world.nodes[world.count - 1];
	ck_assert_int_eq(node.session, host->session.id);
	commits++;
	note(false, &node);
	while (see_next(host, true))
		;
	answer_next(host);
	drain();
	ck_assert_int_eq(owners[0][0][0].bytes[0], NONE); /* as it was told */
	finish();
}
END_TEST

START_TEST(everything_at_once)
{
	with_faults = with_removals = with_threads = true;
	run_many("everything_at_once");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("lock");
	TCase *tcase = tcase_create("lock");

	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, all_goes_well);
	tcase_add_test(tcase, several_threads);
	tcase_add_test(tcase, connections_break_and_sessions_expire);
	tcase_add_test(tcase, nodes_are_removed);
	tcase_add_test(tcase, node_is_gone_before_it_is_known);
	tcase_add_test(tcase, everything_at_once);
	suite_add_tcase(suite, tcase);
	return suite;
}
