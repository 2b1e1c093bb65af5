/* What owners hold: kept until it is given up or lost. What of it changes while it is held (another range, another mode) is swapped
 * in one transaction for nodes with the old one's number, so that nobody who waits gets in between. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_hashed = false)
#include "cache/lockparts.h"
#include "cache/util/clock.h"

/* --- Places --- */

int64_t locks_session_id(struct locks *locks)
{
	struct session_info session;

	session_look(locks->cache->session, &session);
	return session.id;
}

char *lock_path(const char *parent, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", parent[1] ? parent : "", name) < 0)
		return NULL;
	return path;
}

/* "/a/b" is "a%2Fb" below the root of all. */
char *lock_parent(const struct lock_place *place)
{
	static const char root[] = LOCK_ROOT "/";
	char *parent, *to;

	if (place->scope == LOCK_DIRECTORY)
		return strdup(place->path);
	parent = malloc(sizeof(root) + 3 * strlen(place->path));
	if (!parent)
		return NULL;
	to = stpcpy(parent, root);
	for (const char *from = place->path + 1; *from; from++) {
		if (*from == '/')
			to = stpcpy(to, "%2F");
		else if (*from == '%')
			to = stpcpy(to, "%25");
		else
			*to++ = *from;
	}
	*to = '\0';
	return parent;
}

/* --- Claimants --- */

static struct claimant *claimant_new(struct locks *locks, const struct lock_place *place, size_t key_size)
{
	struct claimant *claimant = calloc(1, sizeof(*claimant) + key_size + 1);
	char *parent = lock_parent(place);

	if (claimant && parent)
		claimant->dir = lockdir_get(locks, parent);
	free(parent);
	if (!claimant)
		return NULL;
	claimant->locks = locks;
	claimant->scope = place->scope;
	claimant->owner = place->owner;
	claimant->path = strdup(place->path);
	claimant->key_size = key_size;
	claimant->is_hashed = true;
	return claimant;
}

static void claimant_free(struct claimant *claimant)
{
	lockdir_put(claimant->locks, claimant->dir);
	free(claimant->path);
	free(claimant);
}

static size_t make_key(const struct lock_place *place, char **key)
{
	int size = asprintf(key, "%d %llx %s", (int)place->scope, (unsigned long long)place->owner, place->path);

	if (size < 0)
		*key = NULL;
	return size < 0 ? 0 : (size_t)size;
}

static struct claimant *claimant_find(struct locks *locks, const struct lock_place *place)
{
	struct claimant *claimant = NULL;
	char *key;
	size_t size = make_key(place, &key);

	if (key)
		HASH_FIND(hh, locks->claimants, key, size, claimant);
	free(key);
	return claimant;
}

struct claimant *claimant_get(struct locks *locks, const struct lock_place *place)
{
	struct claimant *claimant = claimant_find(locks, place);
	char *key;
	size_t size;

	if (!claimant) {
		size = make_key(place, &key);
		claimant = key ? claimant_new(locks, place, size) : NULL;
		if (claimant) {
			memcpy(claimant->key, key, size + 1);
			HASH_ADD_KEYPTR(hh, locks->claimants, claimant->key, size, claimant);
		}
		free(key);
		if (claimant && (!claimant->is_hashed || !claimant->path || !claimant->dir)) {
			if (claimant->is_hashed)
				HASH_DEL(locks->claimants, claimant);
			claimant_free(claimant);
			return NULL;
		}
	}
	if (claimant)
		claimant->users++;
	return claimant;
}

void claimant_put(struct claimant *claimant)
{
	if (--claimant->users > 0 || claimant->holds)
		return;
	HASH_DEL(claimant->locks->claimants, claimant);
	claimant_free(claimant);
}

void claimant_defer(struct claimant *claimant, struct lock_message *message, lock_handler *handle)
{
	message->handle = handle;
	DL_APPEND(claimant->deferred, message);
}

static void claimant_ready(struct claimant *claimant)
{
	struct lock_message *message, *next;

	claimant->is_busy = false;
	DL_FOREACH_SAFE (claimant->deferred, message, next) {
		DL_DELETE(claimant->deferred, message);
		locks_post(claimant->locks, message);
	}
}

pid_t claimant_pid(struct locks *locks, uint64_t owner)
{
	struct claimant *claimant, *next;

	HASH_ITER (hh, locks->claimants, claimant, next) {
		if (claimant->owner == owner && claimant->scope == LOCK_RECORD)
			return claimant->pid;
	}
	return 0;
}

/* --- Holds --- */

static struct hold *hold_new(const struct lock_node *node, int64_t session)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return NULL;
	hold->node = *node;
	hold->session = session;
	return hold;
}

static void hold_free(struct hold *hold)
{
	for (size_t i = 0; i < LOCK_NODES_MAX; i++)
		free(hold->paths[i]);
	free(hold);
}

static void hold_add(struct claimant *claimant, struct hold *hold)
{
	DL_APPEND(claimant->holds, hold);
	atomic_fetch_add(&claimant->locks->held, 1);
}

static void hold_remove(struct claimant *claimant, struct hold *hold)
{
	DL_DELETE(claimant->holds, hold);
	atomic_fetch_sub(&claimant->locks->held, 1);
}

/* Its nodes go. */
static void hold_release(struct claimant *claimant, struct hold *hold, cache_unlocked_cb *done, void *arg)
{
	hold_remove(claimant, hold);
	litter_add(claimant->locks, claimant->dir->path, &hold->node.id, hold->paths, hold->session, done, arg);
	hold_free(hold);
}

void holds_give_up(struct claimant *claimant)
{
	while (claimant->holds)
		hold_release(claimant, claimant->holds, NULL, NULL);
}

static bool overlaps(const struct hold *hold, uint64_t first, uint64_t last)
{
	return hold->node.first <= last && first <= hold->node.last;
}

static bool is_within(const struct hold *hold, uint64_t first, uint64_t last)
{
	return first <= hold->node.first && hold->node.last <= last;
}

/* --- Swaps --- */

struct swap {
	struct lock_message message; /* first */
	struct locks *locks;
	struct claimant *claimant;
	struct attempt *attempt; /* that it is for; NULL: something is unlocked */
	bool takes_node;	 /* the attempt's own node is swapped as well */
	struct hold *fresh;	 /* what is held then, beside what stays */
	int64_t session;
	int64_t deadline;
	int error;
	bool is_unknown;
	bool was_made; /* as a look has told */
	cache_unlocked_cb *done;
	void *arg;
};

static void swap_end(struct swap *swap, int error)
{
	struct claimant *claimant = swap->claimant;
	struct hold *hold, *next;

	DL_FOREACH_SAFE (swap->fresh, hold, next) {
		DL_DELETE(swap->fresh, hold);
		hold_free(hold);
	}
	claimant->swap = NULL;
	claimant_ready(claimant);
	if (swap->attempt)
		attempt_end(swap->attempt, error);
	else if (swap->done)
		swap->done(error, swap->arg);
	claimant_put(claimant);
	free(swap);
}

static void swap_made(struct swap *swap)
{
	struct claimant *claimant = swap->claimant;
	struct attempt *attempt = swap->attempt;
	struct locks *locks = swap->locks;
	struct hold *hold, *next;

	DL_FOREACH_SAFE (claimant->holds, hold, next) {
		if (hold->is_leaving) {
			hold_remove(claimant, hold);
			hold_free(hold);
		}
	}
	DL_FOREACH_SAFE (swap->fresh, hold, next) {
		DL_DELETE(swap->fresh, hold);
		hold->is_there = false;
		hold_add(claimant, hold);
	}
	if (attempt)
		attempt->is_made = false; /* its node is held, or gone */
	swap_end(swap, 0);
	holds_check(locks);
}

/* Nothing was changed. */
static void swap_failed(struct swap *swap, int error)
{
	struct locks *locks = swap->locks;
	struct hold *hold;

	DL_FOREACH (swap->claimant->holds, hold)
		hold->is_leaving = false;
	swap_end(swap, error);
	holds_check(locks);
}

/* A node that it was to remove is gone: somebody has removed it, or the session is over. Or it had been made, and somebody has removed
 * another since, so that it did not look like it. Nothing is held that can be relied on. */
static void swap_broken(struct swap *swap)
{
	struct claimant *claimant = swap->claimant;
	struct locks *locks = swap->locks;
	const struct lock_place place = { .path = claimant->path, .scope = claimant->scope, .owner = claimant->owner };

	const struct hold *hold;

	DL_FOREACH (swap->fresh, hold) /* it may have been made */
		litter_add(locks, claimant->dir->path, &hold->node.id, NULL, swap->session, NULL, NULL);
	holds_give_up(claimant);
	if (locks->lost)
		locks->lost(&place, claimant->pid, locks->lost_arg);
	swap_end(swap, swap->attempt ? -EIO : 0);
}

static int swap_submit(struct swap *swap);

static void swap_looked(struct lock_message *message)
{
	struct swap *swap = (struct swap *)message;
	int err;

	if (swap->error || locks_session_id(swap->locks) != swap->session) {
		swap_broken(swap);
	} else if (swap->was_made) {
		swap_made(swap);
	} else {
		err = swap_submit(swap);
		if (err)
			swap_failed(swap, err);
	}
}

static bool has_name(const struct listing *listing, const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (uint32_t i = 0; i < listing->count; i++) {
		if (strcmp(listing->names[i], name) == 0)
			return true;
	}
	return false;
}

/* Made: all that is new is there, and what was to go is not. */
static void swap_listed(const struct stream_reply *reply, void *arg)
{
	struct swap *swap = arg;
	const struct hold *hold;
	bool has_new = true, has_old = false;

	swap->error = reply->error;
	if (!reply->error) {
		DL_FOREACH (swap->fresh, hold) /* nobody else touches them: the claimant is busy */
			has_new = has_new && has_name(reply->children, hold->paths[0]);
		DL_FOREACH (swap->claimant->holds, hold)
			has_old = has_old || (hold->is_leaving && has_name(reply->children, hold->paths[0]));
		swap->was_made = has_new && !has_old;
	}
	swap->message.handle = swap_looked;
	locks_post(swap->locks, &swap->message);
}

static void swap_settled(bool is_settled, void *arg)
{
	struct swap *swap = arg;

	if (is_settled &&
		stream_send(swap->locks->cache->stream, STREAM_CHILDREN, swap->claimant->dir->path, swap_listed,
			swap) == 0)
		return;
	swap->error = -ETIMEDOUT;
	swap->message.handle = swap_looked;
	locks_post(swap->locks, &swap->message);
}

static void swap_answered(struct lock_message *message)
{
	struct swap *swap = (struct swap *)message;

	if (!swap->error)
		swap_made(swap);
	else if (swap->is_unknown && settle(swap->locks->cache, swap->deadline, swap_settled, swap) == 0)
		return;
	else if (swap->error == -ENOENT || swap->error == -EEXIST || swap->is_unknown ||
		swap->session != locks_session_id(swap->locks))
		swap_broken(swap);
	else
		swap_failed(swap, swap->error);
}

static void swap_done(const struct write_result *result, void *arg)
{
	struct swap *swap = arg;

	swap->error = result->error;
	swap->is_unknown = result->error && result->is_unknown;
	swap->message.handle = swap_answered;
	locks_post(swap->locks, &swap->message);
}

static int swap_submit(struct swap *swap)
{
	const struct claimant *claimant = swap->claimant;
	const struct hold *hold;
	struct write_step *steps;
	size_t count, more, at = 0;
	int err;

	DL_COUNT(claimant->holds, hold, count);
	DL_COUNT(swap->fresh, hold, more);
	steps = calloc(count + more + 1, sizeof(*steps));
	if (!steps)
		return -ENOMEM;
	/* First what is new: the events come one by one, and in between nobody must find that nothing is held. */
	DL_FOREACH (swap->fresh, hold) {
		if (!hold->is_there)
			steps[at++] = (struct write_step){ .verb = WRITE_CREATE,
				.mode = WRITE_EPHEMERAL,
				.path = hold->paths[0],
				.acl = swap->locks->open_acl };
	}
	DL_FOREACH (claimant->holds, hold) {
		if (hold->is_leaving)
			steps[at++] =
				(struct write_step){ .verb = WRITE_DELETE, .path = hold->paths[0], .version = -1 };
	}
	if (swap->takes_node)
		steps[at++] =
			(struct write_step){ .verb = WRITE_DELETE, .path = swap->attempt->paths[0], .version = -1 };
	steps[0].session = swap->session;
	err = writer_submit(swap->locks->cache->writer, steps, (int)at, swap_done, swap);
	free(steps);
	return err;
}

/* One more node: of these bytes, with this number. */
static bool swap_add(struct swap *swap, const struct lock_node *like, uint64_t first, uint64_t last)
{
	struct hold *hold = hold_new(like, swap->session);
	char name[LOCK_NAME_MAX];

	if (!hold)
		return false;
	hold->node.first = first;
	hold->node.last = last;
	hold->node.id.serial = ++swap->locks->last_serial;
	lock_name_with_number(swap->claimant->scope, 0, &hold->node, name);
	hold->paths[0] = lock_path(swap->claimant->dir->path, name);
	DL_APPEND(swap->fresh, hold);
	return hold->paths[0] != NULL;
}

/* What of the hold lies outside stays; NULL as change: that is all, else what lies inside becomes like that, but keeps its number. */
static bool swap_cut(struct swap *swap, struct hold *hold, uint64_t first, uint64_t last, const bool *is_exclusive)
{
	struct lock_node node = hold->node;
	bool is_fine = true;

	hold->is_leaving = true;
	if (node.first < first)
		is_fine = swap_add(swap, &hold->node, node.first, first - 1);
	if (is_fine && node.last > last)
		is_fine = swap_add(swap, &hold->node, last + 1, node.last);
	if (!is_exclusive)
		return is_fine;
	node.is_exclusive = *is_exclusive;
	return is_fine &&
		swap_add(swap, &node, node.first > first ? node.first : first, node.last < last ? node.last : last);
}

static struct swap *swap_new(struct claimant *claimant, struct attempt *attempt)
{
	struct locks *locks = claimant->locks;
	struct swap *swap = calloc(1, sizeof(*swap));

	if (!swap)
		return NULL;
	swap->locks = locks;
	swap->claimant = claimant;
	swap->attempt = attempt;
	swap->session = locks_session_id(locks);
	swap->deadline = clock_now() + locks->cache->timeout;
	claimant->users++;
	claimant->is_busy = true;
	claimant->swap = swap;
	if (attempt)
		attempt->stage = ATTEMPT_SWAPPING;
	return swap;
}

/* is_fine: there was memory for all. */
static void swap_begin(struct swap *swap, bool is_fine)
{
	int err = is_fine ? swap_submit(swap) : -ENOMEM;

	if (err)
		swap_failed(swap, err);
}

/* --- Locking what is held in part, or held otherwise --- */

/* Whether all of the bytes are held strongly enough, and whether some more strongly. */
static bool covers(const struct claimant *claimant, const struct lock_node *what, bool *is_stronger)
{
	uint64_t at = what->first;
	const struct hold *hold;

	*is_stronger = false;
	while (true) {
		DL_FOREACH (claimant->holds, hold) {
			if (hold->node.first <= at && at <= hold->node.last &&
				(hold->node.is_exclusive || !what->is_exclusive))
				break;
		}
		if (!hold)
			return false;
		*is_stronger |= hold->node.is_exclusive && !what->is_exclusive;
		if (hold->node.last >= what->last)
			return true;
		at = hold->node.last + 1;
	}
}

/* What is held exclusively becomes shared. */
static void weaken(struct attempt *attempt)
{
	const struct lock_node *what = &attempt->what;
	struct swap *swap = swap_new(attempt->claimant, attempt);
	bool is_fine = true;
	struct hold *hold;

	if (!swap) {
		attempt_end(attempt, -ENOMEM);
		return;
	}
	DL_FOREACH (attempt->claimant->holds, hold) {
		if (overlaps(hold, what->first, what->last) && hold->node.is_exclusive)
			is_fine = is_fine && swap_cut(swap, hold, what->first, what->last, &what->is_exclusive);
	}
	swap_begin(swap, is_fine);
}

bool hold_has(struct attempt *attempt)
{
	struct claimant *claimant = attempt->claimant;
	bool is_stronger;
	bool is_covered = claimant->holds && covers(claimant, &attempt->what, &is_stronger);

	if (is_covered && !is_stronger) {
		attempt_end(attempt, 0);
		return true;
	}
	if (is_covered && claimant->scope != LOCK_DIRECTORY) {
		weaken(attempt);
		return true;
	}
	if (claimant->scope != LOCK_RECORD)
		holds_give_up(claimant); /* flock(2): the existing lock is first removed */
	return false;
}

/* --- Granting --- */

static struct hold *hold_of(struct attempt *attempt, const struct lock_node *own, size_t count)
{
	struct hold *hold = hold_new(&own[0], attempt->session);

	for (size_t i = 0; hold && i < count; i++) {
		hold->paths[i] = attempt->paths[i];
		attempt->paths[i] = NULL;
	}
	return hold;
}

static bool overlaps_any(const struct claimant *claimant, const struct lock_node *what)
{
	const struct hold *hold;

	DL_FOREACH (claimant->holds, hold) {
		if (overlaps(hold, what->first, what->last))
			return true;
	}
	return false;
}

/* The attempt's node takes the place of what it overlaps; with a rank, under that number. */
static void grant_by_swap(struct attempt *attempt, const struct lock_node *own, uint32_t rank)
{
	struct swap *swap = swap_new(attempt->claimant, attempt);
	struct lock_node node = *own;
	bool is_fine = true;
	struct hold *hold;

	if (!swap) {
		attempt_end(attempt, -ENOMEM);
		return;
	}
	DL_FOREACH (attempt->claimant->holds, hold) {
		if (overlaps(hold, own->first, own->last))
			is_fine = is_fine && swap_cut(swap, hold, own->first, own->last, NULL);
	}
	if (is_fine && rank != UINT32_MAX) {
		node.number = rank;
		swap->takes_node = true;
		is_fine = swap_add(swap, &node, node.first, node.last);
	} else if (is_fine) {
		hold = hold_new(own, attempt->session);
		if (hold)
			hold->paths[0] = strdup(attempt->paths[0]);
		is_fine = hold && hold->paths[0];
		if (hold) {
			hold->is_there = true;
			DL_APPEND(swap->fresh, hold);
		}
	}
	swap_begin(swap, is_fine);
}

void hold_grant(struct attempt *attempt, const struct lock_node *own, size_t count, uint32_t rank)
{
	struct claimant *claimant = attempt->claimant;
	struct hold *hold;

	if (attempt->session != locks_session_id(claimant->locks)) {
		attempt_again(attempt);
		return;
	}
	if (claimant->scope == LOCK_RECORD && (rank != UINT32_MAX || overlaps_any(claimant, own))) {
		grant_by_swap(attempt, own, rank);
		return;
	}
	hold = hold_of(attempt, own, count);
	if (!hold) {
		attempt_end(attempt, -ENOMEM);
		return;
	}
	if (claimant->scope != LOCK_RECORD)
		holds_give_up(claimant); /* another thread's, through the same open file */
	hold_add(claimant, hold);
	attempt->is_made = false;
	attempt_end(attempt, 0);
}

/* --- Unlocking --- */

struct release {
	struct lock_message message; /* first */
	struct locks *locks;
	struct lock_place place;
	uint64_t first, last;
	cache_unlocked_cb *done;
	void *arg;
};

static void release_end(struct release *release, int error)
{
	if (release->done)
		release->done(error, release->arg);
	free((char *)release->place.path);
	free(release);
}

static void release_done(int error, void *arg)
{
	release_end(arg, error);
}

static void release_part(struct release *release, struct claimant *claimant)
{
	struct swap *swap = swap_new(claimant, NULL);
	bool is_fine = true;
	struct hold *hold;

	if (!swap) {
		release_end(release, -ENOMEM);
		return;
	}
	swap->done = release_done;
	swap->arg = release;
	DL_FOREACH (claimant->holds, hold) {
		if (overlaps(hold, release->first, release->last))
			is_fine = is_fine && swap_cut(swap, hold, release->first, release->last, NULL);
	}
	swap_begin(swap, is_fine);
}

/* Holds that go as a whole; the last one's end is the end. */
static void release_whole(struct release *release, struct claimant *claimant)
{
	struct hold *hold, *next, *last = NULL;

	DL_FOREACH (claimant->holds, hold) {
		if (overlaps(hold, release->first, release->last))
			last = hold;
	}
	DL_FOREACH_SAFE (claimant->holds, hold, next) {
		if (hold != last && overlaps(hold, release->first, release->last))
			hold_release(claimant, hold, NULL, NULL);
	}
	hold_release(claimant, last, release_done, release);
}

static void release_begin(struct lock_message *message)
{
	struct release *release = (struct release *)message;
	struct claimant *claimant = claimant_find(release->locks, &release->place);
	bool is_any = false, is_whole = true;
	const struct hold *hold;

	if (claimant && claimant->is_busy) {
		claimant_defer(claimant, message, release_begin);
		return;
	}
	if (claimant) {
		DL_FOREACH (claimant->holds, hold) {
			is_any |= overlaps(hold, release->first, release->last);
			is_whole &= !overlaps(hold, release->first, release->last) ||
				is_within(hold, release->first, release->last);
		}
	}
	if (!is_any) {
		release_end(release, 0);
		return;
	}
	claimant->users++;
	if (is_whole)
		release_whole(release, claimant);
	else
		release_part(release, claimant);
	claimant_put(claimant);
}

void cache_unlock(struct cache *cache, const struct lock_place *place, uint64_t first, uint64_t last,
	cache_unlocked_cb *done, void *arg)
{
	struct release *release = calloc(1, sizeof(*release));

	if (release) {
		*release = (struct release){ .message.handle = release_begin,
			.locks = cache->locks,
			.place = *place,
			.first = first,
			.last = last,
			.done = done,
			.arg = arg };
		release->place.path = strdup(place->path);
	}
	if (release && release->place.path) {
		locks_post(cache->locks, &release->message);
		return;
	}
	free(release);
	if (done)
		done(-ENOMEM, arg);
}

int64_t cache_lock_session(struct cache *cache)
{
	return locks_session_id(cache->locks);
}

bool cache_has_lock(struct cache *cache, const struct lock_place *place)
{
	const struct claimant *claimant = claimant_find(cache->locks, place);

	return claimant && claimant->holds;
}

/* --- Loss --- */

static bool has_path(const struct hold *hold, const char *path)
{
	for (size_t i = 0; i < LOCK_NODES_MAX; i++) {
		if (hold->paths[i] && strcmp(hold->paths[i], path) == 0)
			return true;
	}
	return false;
}

static bool note_gone(struct hold *holds, const char *path)
{
	struct hold *hold;

	DL_FOREACH (holds, hold) {
		if (has_path(hold, path)) {
			hold->is_gone = true;
			return true;
		}
	}
	return false;
}

/* Loses those whose nodes are gone, or of other sessions than this. */
static void lose(struct claimant *claimant, int64_t session)
{
	struct locks *locks = claimant->locks;
	const struct lock_place place = { .path = claimant->path, .scope = claimant->scope, .owner = claimant->owner };
	struct hold *hold, *next;
	bool is_any = false;

	claimant->users++;
	DL_FOREACH_SAFE (claimant->holds, hold, next) {
		if (hold->is_leaving || (!hold->is_gone && hold->session == session))
			continue;
		is_any = true;
		hold_release(claimant, hold, NULL, NULL);
	}
	if (is_any && locks->lost)
		locks->lost(&place, claimant->pid, locks->lost_arg);
	claimant_put(claimant);
}

void holds_deleted(struct locks *locks, const char *path)
{
	struct claimant *claimant, *next;

	HASH_ITER (hh, locks->claimants, claimant, next) {
		if (note_gone(claimant->holds, path))
			lose(claimant, locks_session_id(locks));
		else if (claimant->swap) /* and lost when that is over */
			(void)note_gone(claimant->swap->fresh, path);
	}
}

void holds_check(struct locks *locks)
{
	int64_t session = locks_session_id(locks);
	struct claimant *claimant, *next;

	HASH_ITER (hh, locks->claimants, claimant, next)
		lose(claimant, session);
}

void holds_free(struct locks *locks)
{
	struct claimant *claimant, *next;
	struct hold *hold;

	HASH_ITER (hh, locks->claimants, claimant, next) {
		while ((hold = claimant->holds) != NULL) {
			DL_DELETE(claimant->holds, hold);
			hold_free(hold);
		}
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow uthash through the table's end */
		HASH_DEL(locks->claimants, claimant);
		claimant_free(claimant);
	}
	litter_free(locks);
	lockdirs_free(locks);
}
