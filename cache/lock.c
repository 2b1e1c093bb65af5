#include "cache/lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

#include "cache/acl.h"
#include "cache/lockparts.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"

/* Attempts: from the request to the grant. What is held, and changed while it is held, is in lockhold.c. */

enum {
	TICK_MS = 1000,	   /* how often who waits is looked after, */
	LOOK_MS = 5000,	   /* and looks again, for it may not be told of all nodes (DESIGN.md section 4, rule 6) */
	PARENTS_TRIES = 5, /* a container may go before the first node is in it */
};

/* --- Messages --- */

void locks_post(struct locks *locks, struct lock_message *message)
{
	pthread_mutex_lock(&locks->lock);
	DL_APPEND(locks->inbox, message);
	if (locks->is_handling) {
		pthread_mutex_unlock(&locks->lock);
		return;
	}
	locks->is_handling = true;
	while ((message = locks->inbox) != NULL) {
		DL_DELETE(locks->inbox, message);
		pthread_mutex_unlock(&locks->lock);
		message->handle(message);
		pthread_mutex_lock(&locks->lock);
	}
	locks->is_handling = false;
	pthread_mutex_unlock(&locks->lock);
}

static void attempt_post(struct attempt *attempt, lock_handler *handle)
{
	attempt->message.handle = handle;
	locks_post(attempt->locks, &attempt->message);
}

static struct attempt *attempt_of(struct lock_message *message)
{
	return (struct attempt *)message;
}

/* --- Life of an attempt --- */

static void attempt_free(struct attempt *attempt)
{
	for (size_t i = 0; i < LOCK_NODES_MAX; i++)
		free(attempt->paths[i]);
	listing_put(attempt->listing);
	free(attempt->blocker);
	free(attempt);
}

/* Its nodes, or what may be there of it, are not needed any more. */
static void attempt_drop(struct attempt *attempt)
{
	if (attempt->is_made)
		litter_add(attempt->locks, attempt->claimant->dir->path, &attempt->what.id, attempt->paths,
			attempt->session, NULL, NULL);
	else if (attempt->is_in_doubt)
		litter_add(attempt->locks, attempt->claimant->dir->path, &attempt->what.id, NULL, attempt->session,
			NULL, NULL);
	attempt->is_made = attempt->is_in_doubt = false;
}

void attempt_end(struct attempt *attempt, int error)
{
	struct locks *locks = attempt->locks;

	if (error)
		attempt_drop(attempt);
	DL_DELETE(locks->attempts, attempt);
	atomic_fetch_sub(&locks->waiting, 1);
	attempt->done(error, attempt->arg);
	claimant_put(attempt->claimant);
	attempt_free(attempt);
}

/* It cannot go on now: for no server answers. */
static void attempt_stall(struct attempt *attempt, int error)
{
	if (!attempt->waits && clock_now() >= attempt->deadline) {
		attempt_end(attempt, error);
	} else {
		attempt->stage = ATTEMPT_STALLED;
		locks_tick(attempt->locks);
	}
}

/* True: it has been ended, because nobody wants it any more. */
static bool attempt_is_over(struct attempt *attempt)
{
	int error = attempt->locks->is_stopping ? -ECANCELED : attempt->is_unwanted ? -EINTR : 0;

	if (error)
		attempt_end(attempt, error);
	return error != 0;
}

static void attempt_make(struct attempt *attempt);
static void attempt_list(struct attempt *attempt);

void attempt_again(struct attempt *attempt)
{
	attempt_drop(attempt); /* the one or other of them may be left */
	attempt_make(attempt);
}

/* --- Looking at the queue --- */

static void listed(struct lock_message *message);
static void go_on(struct lock_message *message);

static void list_done(const struct stream_reply *reply, void *arg)
{
	struct attempt *attempt = arg;

	attempt->error = reply->error;
	listing_put(attempt->listing);
	attempt->listing = reply->error ? NULL : listing_get(reply->children);
	attempt->stat = reply->stat;
	attempt->is_told = cache_is_watching(attempt->locks->cache);
	attempt_post(attempt, listed);
}

static void attempt_list(struct attempt *attempt)
{
	int err = stream_send(attempt->locks->cache->stream, STREAM_CHILDREN, attempt->claimant->dir->path, list_done,
		attempt);

	attempt->stage = ATTEMPT_LISTING;
	attempt->looked_at = clock_now();
	if (err)
		attempt_end(attempt, err);
}

static void go_on(struct lock_message *message)
{
	attempt_list(attempt_of(message));
}

/* It looks again once the claimant is not busy any more. Until then it is not idle, for its message is in use. */
static void attempt_defer(struct attempt *attempt)
{
	attempt->stage = ATTEMPT_LISTING;
	claimant_defer(attempt->claimant, &attempt->message, go_on);
}

static void fence_done(int error, void *arg)
{
	(void)error; /* the listing tells */
	attempt_post(arg, go_on);
}

static bool is_of(const struct lock_node *node, const struct attempt *attempt)
{
	return lock_has_same_owner(node, &attempt->what) && node->id.serial == attempt->what.id.serial;
}

/* Our nodes in the queue, in own. Gives how many; their paths are noted. */
static size_t find_own(struct attempt *attempt, struct lock_node own[LOCK_NODES_MAX])
{
	const struct lock_queue *queue = &attempt->claimant->dir->queue;
	size_t count = 0;

	for (size_t i = 0; i < queue->count && count < LOCK_NODES_MAX; i++) {
		if (!is_of(&queue->nodes[i], attempt))
			continue;
		free(attempt->paths[count]);
		attempt->paths[count] = lock_path(attempt->claimant->dir->path, queue->names[i]);
		own[count++] = queue->nodes[i];
	}
	return count;
}

/* What its owner holds and keeps until this is had, as lock_judge wants it. NULL: no memory. */
static struct lock_node *held_nodes(const struct claimant *claimant, size_t *count)
{
	const struct hold *hold;
	struct lock_node *nodes;

	DL_COUNT(claimant->holds, hold, *count);
	nodes = calloc(*count + 1, sizeof(*nodes));
	*count = 0;
	DL_FOREACH (claimant->holds, hold) {
		if (nodes && claimant->scope == LOCK_RECORD)
			nodes[(*count)++] = hold->node;
	}
	return nodes;
}

static void wait_for(struct attempt *attempt, const char *name)
{
	if (!attempt->waits) {
		attempt_end(attempt, -EAGAIN);
		return;
	}
	free(attempt->blocker);
	attempt->blocker = lock_path(attempt->claimant->dir->path, name);
	if (!attempt->blocker) {
		attempt_end(attempt, -ENOMEM);
		return;
	}
	attempt->stage = ATTEMPT_WAITING;
	locks_tick(attempt->locks);
}

/* Grants it, or finds who must go first. */
static void judge(struct attempt *attempt, const struct lock_node *own, size_t count)
{
	const struct lock_queue *queue = &attempt->claimant->dir->queue;
	size_t held_count;
	struct lock_node *held = held_nodes(attempt->claimant, &held_count);
	struct lock_verdict verdict = { .blocker = queue->count, .rank = UINT32_MAX };

	if (!held) {
		attempt_end(attempt, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < count && verdict.blocker == queue->count; i++)
		verdict = lock_judge(&own[i], held, held_count, queue->nodes, queue->count);
	free(held);
	if (verdict.blocker == queue->count) {
		hold_grant(attempt, own, count, verdict.rank);
		return;
	}
	/* Another thread's, through the same open file: who blocks may wait for it. */
	if (attempt->claimant->scope != LOCK_RECORD)
		holds_give_up(attempt->claimant);
	wait_for(attempt, queue->names[verdict.blocker]);
}

/* The nodes are not in the listing: the server that the stream reads from may be behind; or they are gone with the session; or
 * somebody has removed them. */
static void miss(struct attempt *attempt)
{
	struct locks *locks = attempt->locks;
	bool may_lag = attempt->is_made && !attempt->has_synced && locks_session_id(locks) == attempt->session;

	attempt->has_synced = true;
	if (may_lag && stream_fence(locks->cache->stream, 0, STREAM_AT_ONCE, fence_done, attempt) == 0)
		return;
	attempt->is_in_doubt = false; /* what was not made will not be: see settle.c */
	attempt_again(attempt);
}

/* True: its nodes are all in the queue as it is known, and that has decided. */
static bool attempt_decide(struct attempt *attempt)
{
	struct lock_node own[LOCK_NODES_MAX];
	size_t count = find_own(attempt, own);

	attempt->is_made |= count > 0;
	if (count != lock_nodes_of(attempt->claimant->scope))
		return false;
	attempt->is_in_doubt = false;
	judge(attempt, own, count);
	return true;
}

/* Its nodes are there, or were: decides by what is known of the queue, if it is known, and once the stream has told of all of them. */
static void attempt_look(struct attempt *attempt, bool waits_for_events)
{
	if (atomic_exchange(&attempt->locks->has_missed, false))
		lockdirs_forget(attempt->locks);
	if (attempt->claimant->is_busy) {
		attempt_defer(attempt);
	} else if (!attempt->claimant->dir->is_known) {
		attempt_list(attempt);
	} else if (!attempt_decide(attempt)) {
		if (!waits_for_events) {
			attempt_list(attempt);
			return;
		}
		attempt->stage = ATTEMPT_AWAITING;
		attempt->looked_at = clock_now();
		locks_tick(attempt->locks);
	}
}

static void take_listing(struct attempt *attempt)
{
	if (!lockdir_fill(attempt->claimant->dir, attempt->listing, &attempt->stat, attempt->is_told))
		attempt_end(attempt, -ENOMEM);
	else if (!attempt_decide(attempt))
		miss(attempt);
}

static void listed(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);

	if (attempt_is_over(attempt))
		return;
	if (attempt->error == -ENOENT)
		miss(attempt);
	else if (attempt->error == -ETIMEDOUT)
		attempt_stall(attempt, -ETIMEDOUT);
	else if (attempt->error)
		attempt_end(attempt, attempt->error);
	else if (attempt->claimant->is_busy)
		attempt_defer(attempt);
	else
		take_listing(attempt);
}

/* --- Making the nodes --- */

static void settled(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);

	if (attempt_is_over(attempt))
		return;
	if (attempt->error)
		attempt_stall(attempt, -ETIMEDOUT);
	else
		attempt_list(attempt);
}

static void settle_done(bool is_settled, void *arg)
{
	struct attempt *attempt = arg;

	attempt->error = is_settled ? 0 : -ETIMEDOUT;
	attempt_post(attempt, settled);
}

/* Whether its nodes were made, is not known. */
static void attempt_settle(struct attempt *attempt)
{
	struct cache *cache = attempt->locks->cache;

	attempt->stage = ATTEMPT_MAKING;
	if (settle(cache, clock_now() + cache->timeout, settle_done, attempt) < 0)
		attempt_end(attempt, -ENOMEM);
}

static void parents_made(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);

	if (attempt_is_over(attempt))
		return;
	/* -ENOENT: the one above has gone again */
	if (attempt->error == 0 || attempt->error == -EEXIST || attempt->error == -ENOENT)
		attempt_make(attempt);
	else if (attempt->error == -ETIMEDOUT)
		attempt_stall(attempt, -ETIMEDOUT);
	else
		attempt_end(attempt, attempt->error);
}

static void parent_done(const struct write_result *result, void *arg)
{
	struct attempt *attempt = arg;

	/* Of unknown outcome: it is there, or it will be missed again. */
	attempt->error = result->is_unknown ? 0 : result->error;
	attempt_post(attempt, parents_made);
}

/* The container of all may be there; that of the file comes behind it in any case, for answers come in order. */
static void ignore(const struct write_result *result, void *arg)
{
	(void)result;
	(void)arg;
}

static void make_parents(struct attempt *attempt)
{
	struct locks *locks = attempt->locks;
	struct write_step
		step = { .verb = WRITE_CREATE, .mode = WRITE_CONTAINER, .path = LOCK_ROOT, .acl = locks->open_acl };
	int err = writer_submit(locks->cache->writer, &step, 1, ignore, NULL);

	step.path = attempt->claimant->dir->path;
	if (!err)
		err = writer_submit(locks->cache->writer, &step, 1, parent_done, attempt);
	if (err)
		attempt_end(attempt, err);
}

static void made(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);
	bool has_containers = attempt->claimant->scope != LOCK_DIRECTORY;

	if (attempt->error && attempt->is_in_doubt) {
		attempt_settle(attempt);
		return;
	}
	if (attempt_is_over(attempt))
		return;
	if (!attempt->error) {
		attempt->parents_tries = 0;
		attempt_look(attempt, true);
	} else if (attempt->session != locks_session_id(attempt->locks)) {
		attempt_make(attempt);
	} else if (attempt->error == -ENOENT && has_containers && attempt->parents_tries++ < PARENTS_TRIES) {
		make_parents(attempt);
	} else if (attempt->error == -ETIMEDOUT) {
		attempt_stall(attempt, -ETIMEDOUT);
	} else {
		attempt_end(attempt, attempt->error);
	}
}

static void make_done(const struct write_result *result, void *arg)
{
	struct attempt *attempt = arg;
	size_t count = lock_nodes_of(attempt->claimant->scope);

	attempt->error = result->error;
	attempt->is_made = !result->error;
	attempt->is_in_doubt = result->error && result->is_unknown;
	for (size_t i = 0; i < count; i++) {
		free(attempt->paths[i]);
		attempt->paths[i] = result->made ? strdup(result->made[i]) : NULL;
	}
	attempt_post(attempt, made);
}

static void attempt_make(struct attempt *attempt)
{
	struct locks *locks = attempt->locks;
	const struct claimant *claimant = attempt->claimant;
	size_t count = lock_nodes_of(claimant->scope);
	struct write_step steps[LOCK_NODES_MAX];
	char *paths[LOCK_NODES_MAX];
	char name[LOCK_NAME_MAX];
	int err = 0;

	attempt->stage = ATTEMPT_MAKING;
	attempt->has_synced = false;
	attempt->session = locks_session_id(locks);
	if (!attempt->session) {
		attempt_stall(attempt, -ETIMEDOUT);
		return;
	}
	attempt->what.id.serial = ++locks->last_serial;
	for (size_t i = 0; i < count; i++) {
		lock_name(claimant->scope, i, &attempt->what, name);
		paths[i] = lock_path(claimant->dir->path, name);
		steps[i] = (struct write_step){ .verb = WRITE_CREATE,
			.mode = WRITE_EPHEMERAL,
			.path = paths[i],
			.acl = locks->open_acl,
			.is_sequential = true };
		err = paths[i] ? err : -ENOMEM;
	}
	steps[0].session = attempt->session; /* which tells until when the nodes are there */
	if (!err)
		err = writer_submit(locks->cache->writer, steps, (int)count, make_done, attempt);
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	if (err)
		attempt_end(attempt, err);
}

/* --- The beginning --- */

static void attempt_begin(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);

	if (attempt_is_over(attempt))
		return;
	if (attempt->claimant->is_busy)
		claimant_defer(attempt->claimant, message, attempt_begin);
	else if (!hold_has(attempt))
		attempt_make(attempt);
}

static void attempt_enter(struct lock_message *message)
{
	struct attempt *attempt = attempt_of(message);
	struct locks *locks = attempt->locks;

	attempt->claimant = claimant_get(locks, &attempt->place);
	free((char *)attempt->place.path);
	attempt->place.path = NULL;
	if (!attempt->claimant) {
		attempt->done(-ENOMEM, attempt->arg);
		attempt_free(attempt);
		return;
	}
	attempt->claimant->pid = attempt->pid;
	DL_APPEND(locks->attempts, attempt);
	atomic_fetch_add(&locks->waiting, 1);
	attempt_begin(message);
}

int cache_lock(struct cache *cache, const struct lock_request *request)
{
	struct locks *locks = cache->locks;
	struct attempt *attempt = calloc(1, sizeof(*attempt));
	bool is_whole = request->place.scope != LOCK_RECORD;
	static const enum lock_order orders[] = {
		[LOCK_FLOCK] = LOCK_ORDER_FLOCK,
		[LOCK_RECORD] = LOCK_ORDER_RECORD,
		[LOCK_DIRECTORY] = LOCK_ORDER_KAZOO,
	};

	if (!attempt)
		return -ENOMEM;
	*attempt = (struct attempt){ .locks = locks,
		.place = request->place,
		.ticket = request->ticket,
		.what = { .order = orders[request->place.scope],
			.is_exclusive = request->is_exclusive,
			.first = is_whole ? 0 : request->first,
			.last = is_whole ? LOCK_END : request->last,
			.id = { .instance = locks->instance, .owner = request->place.owner } },
		.waits = request->waits,
		.pid = request->pid,
		.deadline = clock_now() + cache->timeout,
		.done = request->done,
		.arg = request->arg };
	attempt->place.path = strdup(request->place.path);
	if (!attempt->place.path) {
		free(attempt);
		return -ENOMEM;
	}
	atomic_store(&locks->is_used, true);
	attempt_post(attempt, attempt_enter);
	return 0;
}

/* --- What wakes who waits --- */

/* Goes on where it stands. */
static void attempt_go_on(struct attempt *attempt)
{
	if (attempt_is_over(attempt))
		return;
	if (attempt->stage == ATTEMPT_STALLED && attempt->is_in_doubt)
		attempt_settle(attempt);
	else if (attempt->stage == ATTEMPT_STALLED && !attempt->is_made)
		attempt_make(attempt);
	else
		attempt_list(attempt);
}

static bool is_idle(const struct attempt *attempt)
{
	return attempt->stage == ATTEMPT_WAITING || attempt->stage == ATTEMPT_AWAITING ||
		attempt->stage == ATTEMPT_STALLED;
}

/* A message of its own. */
struct note {
	struct lock_message message;
	struct locks *locks;
	uint64_t ticket;
	char path[];
};

static struct note *note_of(struct lock_message *message)
{
	return (struct note *)message;
}

static void note_post(struct locks *locks, lock_handler *handle, const char *path, uint64_t ticket)
{
	size_t size = strlen(path) + 1;
	struct note *note = malloc(sizeof(*note) + size);

	if (!note) {
		atomic_store(&locks->has_missed, true); /* who waits looks again after LOOK_MS */
		return;
	}
	*note = (struct note){ .message.handle = handle, .locks = locks, .ticket = ticket };
	memcpy(note->path, path, size);
	locks_post(locks, &note->message);
}

static void created(struct lock_message *message)
{
	struct note *note = note_of(message);
	struct attempt *attempt, *next;

	lockdirs_created(note->locks, note->path);
	DL_FOREACH_SAFE (note->locks->attempts, attempt, next) {
		if (attempt->stage == ATTEMPT_AWAITING && !attempt_is_over(attempt))
			attempt_look(attempt, true);
	}
	free(note);
}

void locks_created(struct locks *locks, const char *path)
{
	if (atomic_load_explicit(&locks->is_used, memory_order_relaxed))
		note_post(locks, created, path, 0);
}

static void deleted(struct lock_message *message)
{
	struct note *note = note_of(message);
	struct attempt *attempt, *next;

	lockdirs_deleted(note->locks, note->path);
	DL_FOREACH_SAFE (note->locks->attempts, attempt, next) {
		if (attempt->stage == ATTEMPT_WAITING && strcmp(attempt->blocker, note->path) == 0 &&
			!attempt_is_over(attempt))
			attempt_look(attempt, false);
	}
	holds_deleted(note->locks, note->path);
	free(note);
}

void locks_deleted(struct locks *locks, const char *path)
{
	if (atomic_load_explicit(&locks->is_used, memory_order_relaxed))
		note_post(locks, deleted, path, 0);
}

static void broken(struct lock_message *message)
{
	struct note *note = note_of(message);

	lockdirs_forget(note->locks);
	free(note);
}

void locks_broken(struct locks *locks)
{
	if (atomic_load(&locks->is_used))
		note_post(locks, broken, "", 0);
}

static void unwanted(struct lock_message *message)
{
	struct note *note = note_of(message);
	struct attempt *attempt;

	DL_SEARCH_SCALAR(note->locks->attempts, attempt, ticket, note->ticket);
	if (attempt) {
		attempt->is_unwanted = true;
		if (is_idle(attempt))
			(void)attempt_is_over(attempt);
	}
	free(note);
}

void cache_unwait(struct cache *cache, uint64_t ticket)
{
	note_post(cache->locks, unwanted, "", ticket);
}

/* The session may be another. */
static void session_changed(struct lock_message *message)
{
	struct note *note = note_of(message);
	struct locks *locks = note->locks;
	struct attempt *attempt, *next;

	holds_check(locks);
	litter_again(locks);
	DL_FOREACH_SAFE (locks->attempts, attempt, next) {
		if (is_idle(attempt))
			attempt_go_on(attempt);
	}
	free(note);
}

void locks_session(struct locks *locks)
{
	if (atomic_load(&locks->is_used))
		note_post(locks, session_changed, "", 0);
}

void locks_resumed(struct locks *locks)
{
	locks_session(locks);
}

/* Now and then. */
static void ticked(struct lock_message *message)
{
	struct locks *locks = ((struct lock_call *)message)->locks;
	int64_t patience = cache_is_watching(locks->cache) ? LOOK_MS : TICK_MS;
	int64_t now = clock_now();
	struct attempt *attempt, *next;
	bool is_any = false;

	DL_FOREACH_SAFE (locks->attempts, attempt, next) {
		is_any = true;
		if (attempt->stage == ATTEMPT_STALLED ||
			(attempt->stage == ATTEMPT_AWAITING && now >= attempt->looked_at + TICK_MS) ||
			(attempt->stage == ATTEMPT_WAITING && now >= attempt->looked_at + patience))
			attempt_go_on(attempt);
	}
	litter_again(locks);
	pthread_mutex_lock(&locks->lock);
	locks->tick.is_posted = false;
	locks->is_ticking = is_any || locks->litter;
	pthread_cond_signal(&locks->changed);
	pthread_mutex_unlock(&locks->lock);
}

static void *tick(void *arg)
{
	struct locks *locks = arg;

	pthread_mutex_lock(&locks->lock);
	while (!locks->is_ending) {
		const struct timespec at = clock_at(clock_now() + TICK_MS);
		int err = 0;

		if (!locks->is_ticking || locks->tick.is_posted) {
			pthread_cond_wait(&locks->changed, &locks->lock);
			continue;
		}
		while (!locks->is_ending && err != ETIMEDOUT)
			err = pthread_cond_timedwait(&locks->changed, &locks->lock, &at);
		if (locks->is_ending)
			break;
		locks->tick.is_posted = true;
		pthread_mutex_unlock(&locks->lock);
		locks_post(locks, &locks->tick.message);
		pthread_mutex_lock(&locks->lock);
	}
	pthread_mutex_unlock(&locks->lock);
	return NULL;
}

/* The thread exists only once somebody has waited. */
void locks_tick(struct locks *locks)
{
	pthread_mutex_lock(&locks->lock);
	if (!locks->has_thread && !locks->is_ending)
		locks->has_thread = pthread_create(&locks->thread, NULL, tick, locks) == 0;
	locks->is_ticking = true;
	pthread_cond_signal(&locks->changed);
	pthread_mutex_unlock(&locks->lock);
}

/* --- Who holds --- */

struct test {
	struct locks *locks;
	char *parent;
	struct lock_node what;
	cache_tested_cb *done;
	void *arg;
	struct lock_message message;
	struct lock_obstacle obstacle;
	struct lock_id id;
};

static void test_free(struct test *test)
{
	free(test->parent);
	free(test);
}

static void test_fail(struct test *test, int error)
{
	test->done(error, NULL, test->arg);
	test_free(test);
}

static void tested(struct lock_message *message)
{
	struct test *test = (struct test *)((char *)message - offsetof(struct test, message));

	if (test->id.instance == test->locks->instance)
		test->obstacle.pid = claimant_pid(test->locks, test->id.owner);
	test->done(0, &test->obstacle, test->arg);
	test_free(test);
}

static bool is_holding(const struct lock_queue *queue, size_t index)
{
	return lock_judge(&queue->nodes[index], NULL, 0, queue->nodes, queue->count).blocker == queue->count;
}

/* It waits for what the owner holds, who has therefore nothing to fear from it. */
static bool waits_for_owner(const struct lock_queue *queue, size_t index, const struct lock_node *owner)
{
	const struct lock_node *node = &queue->nodes[index];

	for (size_t i = 0; i < queue->count; i++) {
		const struct lock_node *other = &queue->nodes[i];

		if (lock_has_same_owner(other, owner) && other->number < node->number && lock_conflicts(other, node))
			return true;
	}
	return false;
}

/* The one of those who hold that begins first, or, should there be none, of those who wait and would be served before. */
static size_t find_obstacle(const struct lock_queue *queue, const struct lock_node *what)
{
	size_t best = queue->count;
	bool best_holds = false;

	for (size_t i = 0; i < queue->count; i++) {
		const struct lock_node *node = &queue->nodes[i];
		bool holds;

		if (!lock_conflicts(node, what) || lock_has_same_owner(node, what) || waits_for_owner(queue, i, what))
			continue;
		holds = is_holding(queue, i);
		if (best == queue->count || (holds && !best_holds) ||
			(holds == best_holds && node->first < queue->nodes[best].first)) {
			best = i;
			best_holds = holds;
		}
	}
	return best;
}

/* Several nodes of one owner side by side are one lock to whoever asks. */
static struct lock_node whole_of(const struct lock_queue *queue, size_t index)
{
	struct lock_node whole = queue->nodes[index];
	bool grows = true;

	while (grows) {
		grows = false;
		for (size_t i = 0; i < queue->count; i++) {
			const struct lock_node *node = &queue->nodes[i];

			if (node->order != whole.order || node->is_exclusive != whole.is_exclusive ||
				!lock_has_same_owner(node, &whole) || node->first > whole.last + 1 ||
				whole.first > node->last + 1 || !is_holding(queue, i) ||
				(node->first >= whole.first && node->last <= whole.last))
				continue;
			whole.first = node->first < whole.first ? node->first : whole.first;
			whole.last = node->last > whole.last ? node->last : whole.last;
			grows = true;
		}
	}
	return whole;
}

static void test_listed(const struct stream_reply *reply, void *arg)
{
	struct test *test = arg;
	struct lock_queue queue = { 0 };
	size_t found;

	if (reply->error && reply->error != -ENOENT) {
		test_fail(test, reply->error);
		return;
	}
	if (!reply->error && lock_queue_fill(&queue, reply->children)) {
		found = find_obstacle(&queue, &test->what);
		if (found < queue.count) {
			const struct lock_node node = whole_of(&queue, found);

			test->obstacle = (struct lock_obstacle){ .is_any = true,
				.is_exclusive = node.is_exclusive,
				.first = node.first,
				.last = node.last };
			test->id = node.id;
		}
	}
	lock_queue_release(&queue);
	test->message.handle = tested;
	locks_post(test->locks, &test->message);
}

/* Everything that was done before somebody asked is in the listing now, whichever server it is from: locks, and the end of attempts. */
static void test_fenced(int error, void *arg)
{
	struct test *test = arg;

	if (!error)
		error = stream_send(test->locks->cache->stream, STREAM_CHILDREN, test->parent, test_listed, test);
	if (error)
		test_fail(test, error);
}

int cache_test_lock(struct cache *cache, const struct lock_request *request, cache_tested_cb *done, void *arg)
{
	struct test *test = calloc(1, sizeof(*test));
	int err = -ENOMEM;

	if (!test)
		return err;
	*test = (struct test){ .locks = cache->locks,
		.parent = lock_parent(&request->place),
		.what = { .order = LOCK_ORDER_RECORD,
			.is_exclusive = request->is_exclusive,
			.first = request->first,
			.last = request->last,
			.id = { .instance = cache->locks->instance, .owner = request->place.owner } },
		.done = done,
		.arg = arg };
	if (test->parent)
		err = stream_fence(cache->stream, 0, STREAM_AT_ONCE, test_fenced, test);
	if (err)
		test_free(test);
	return err;
}

/* --- Life --- */

static void stop(struct lock_message *message)
{
	struct locks *locks = ((struct lock_call *)message)->locks;
	struct attempt *attempt, *next;

	locks->is_stopping = true;
	DL_FOREACH_SAFE (locks->attempts, attempt, next) {
		if (is_idle(attempt))
			(void)attempt_is_over(attempt);
	}
}

struct locks *locks_new(struct cache *cache)
{
	static const char open[] = "world:anyone:cdrwa";
	struct locks *locks = calloc(1, sizeof(*locks));
	char reason[64];

	if (!locks)
		return NULL;
	locks->cache = cache;
	if (acl_parse(open, sizeof(open) - 1, &locks->open_acl, reason, sizeof(reason)) < 0) {
		free(locks);
		return NULL;
	}
	while (!locks->instance)
		if (getrandom(&locks->instance, sizeof(locks->instance), 0) < 0)
			locks->instance = (uint64_t)clock_now() << 20 | (uintptr_t)locks >> 4;
	locks->tick = (struct lock_call){ .message.handle = ticked, .locks = locks };
	locks->stop = (struct lock_call){ .message.handle = stop, .locks = locks };
	pthread_mutex_init(&locks->lock, NULL);
	clock_init_condition(&locks->changed);
	return locks;
}

void locks_stop(struct locks *locks)
{
	locks_post(locks, &locks->stop.message);
	pthread_mutex_lock(&locks->lock);
	locks->is_ending = true;
	pthread_cond_signal(&locks->changed);
	pthread_mutex_unlock(&locks->lock);
	if (locks->has_thread)
		(void)pthread_join(locks->thread, NULL);
	locks->has_thread = false;
}

void locks_free(struct locks *locks)
{
	if (!locks)
		return;
	holds_free(locks);
	acl_list_put(locks->open_acl);
	pthread_cond_destroy(&locks->changed);
	pthread_mutex_destroy(&locks->lock);
	free(locks);
}

void cache_watch_locks(struct cache *cache, locks_lost_cb *lost, void *arg)
{
	cache->locks->lost = lost;
	cache->locks->lost_arg = arg;
}

void cache_count_locks(struct cache *cache, size_t *held, size_t *waiting)
{
	*held = atomic_load(&cache->locks->held);
	*waiting = atomic_load(&cache->locks->waiting);
}
