/* Ephemeral and sequential znodes: made, and found again when the reply was lost.
 *
 * As in change.c we look only when nothing of the request can be on its way any more, which the answer to a transaction that changes
 * nothing tells; what was not made is sent again. What must not happen is that two are made for one, so it must be certain which
 * of what we see then is ours:
 *  - An ephemeral belongs to the session that made it, and nobody but us makes any in ours. One of our session, with the right name
 *    and number, that no other making of ours claims (they all start out the same, so it does not matter which of several
 *    in doubt gets which), is the one. With another session by now, the one in doubt is gone with the old.
 *  - A persistent sequential node has no owner. The number that a name gets is how many children were ever made in its directory
 *    (PrepRequestProcessor: the parent's cversion, of which a client's Stat shows twice that less num_children); so if only
 *    those were made since that other makings claim, ours was not. Else -EIO: one that looks like ours may be somebody else's who
 *    is about to write to it, and if it was made it may have been taken already. (A node of our own in the same transaction would
 *    tell by its mzxid, but there is no place in the tree where we are sure to be permitted one.)
 *
 * For the same reason one in doubt looks only when no other making of the same name waits for its answer, one after the other, and
 * new ones wait until nothing is in doubt: else one could take what another is about to be told of.
 *
 * An empty persistent node would be a directory (DESIGN.md section 2, rule 4). A transaction cannot name what a sequential step in it
 * makes, so a second one sets the data. What others did is told of only after that, so that nobody here takes it for what it is
 * not going to be. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/parts.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"

enum { DIGITS = 10 };

/* A node that another making of the same name has made. */
struct claim {
	int64_t czxid;
	uint32_t number;
};

enum stage {
	MAKING_READS,  /* of its directory */
	MAKING_QUEUED, /* to be sent */
	MAKING_SENT,
	MAKING_DOUBT, /* the answer was lost */
	MAKING_LOOKS, /* for what became of it; and sends it again if it was not made */
	MAKING_KNOWS, /* what it has made */
};

struct making {
	struct making *prev, *next; /* under makings->lock, as the next five */
	uint64_t id;
	enum stage stage;
	struct claim *claims;
	size_t claim_count;
	bool has_lost_claims; /* there was no memory for them */

	struct cache *cache;
	struct cache_making what;   /* its path and data are ours */
	char *parent;		    /* of a sequential one */
	uint32_t first;		    /* a lower bound of the number that it gets */
	struct stream_mark passed;  /* before it was sent */
	struct tree_mark mark;	    /* of the znode then, unless it is sequential */
	struct own_change *own;	    /* until it is made, or not */
	struct write_result result; /* the last answer; its path is not to be used */
	char *made;		    /* the path of what it made */
	struct node_stat stat;	    /* of that */
	int64_t deadline;	    /* ms: an unknown outcome is -EIO */
	bool is_abandoned;	    /* done was called with -EIO; what was made is to be removed */
};

/* What others did and what is not told yet. */
struct untold {
	struct untold *prev, *next;
	uint64_t until; /* the last making to be waited for */
	enum cache_change change;
	char path[];
};

struct makings {
	pthread_mutex_t lock;	  /* a leaf, over the members below */
	struct making *under_way; /* sequential ones and ephemerals */
	uint64_t last_id;
	struct untold *untold; /* oldest first */
	bool is_telling;
};

struct makings *makings_new(void)
{
	struct makings *makings = calloc(1, sizeof(*makings));

	if (makings)
		pthread_mutex_init(&makings->lock, NULL);
	return makings;
}

void makings_free(struct makings *makings)
{
	struct untold *untold, *next;

	if (!makings)
		return;
	DL_FOREACH_SAFE (makings->untold, untold, next) {
		DL_DELETE(makings->untold, untold);
		free(untold);
	}
	pthread_mutex_destroy(&makings->lock);
	free(makings);
}

/* --- What others did meanwhile --- */

/* The number behind the name. False: the path is not that of a sequential node with this beginning. */
static bool parse_number(const char *path, const char *beginning, uint32_t *number)
{
	size_t size = strlen(beginning);
	const char *digits = path + size;
	uint64_t value = 0;

	if (strncmp(path, beginning, size) != 0 || strlen(digits) != DIGITS)
		return false;
	for (int i = 0; i < DIGITS; i++) {
		if (!isdigit((unsigned char)digits[i]))
			return false;
		value = value * 10 + (uint64_t)(digits[i] - '0');
	}
	*number = (uint32_t)value;
	return value <= INT32_MAX;
}

/* The last making whose birth this may be; 0: none. */
static uint64_t find_maker_locked(const struct makings *makings, const char *path)
{
	const struct making *making;
	uint64_t last = 0;
	uint32_t number;

	DL_FOREACH (makings->under_way, making) {
		if (making->what.is_sequential && parse_number(path, making->what.path, &number))
			last = making->id;
	}
	return last;
}

static bool is_any_until_locked(const struct makings *makings, const struct untold *untold)
{
	const struct making *making;
	uint32_t number;

	DL_FOREACH (makings->under_way, making) {
		if (making->id <= untold->until && parse_number(untold->path, making->what.path, &number))
			return true;
	}
	return false;
}

static struct untold *find_untold_locked(struct makings *makings, const char *path)
{
	struct untold *untold;

	DL_FOREACH (makings->untold, untold) {
		if (strcmp(untold->path, path) == 0)
			break;
	}
	return untold;
}

/* The oldest that waits for nobody; of one path only the oldest can be it. */
static struct untold *next_to_tell_locked(struct makings *makings)
{
	struct untold *untold;

	DL_FOREACH (makings->untold, untold) {
		if (!is_any_until_locked(makings, untold) && find_untold_locked(makings, untold->path) == untold)
			break;
	}
	return untold;
}

/* One thread tells; what comes meanwhile joins, so that it keeps its order. */
static void tell_untold(struct cache *cache)
{
	struct makings *makings = cache->makings;
	struct untold *untold;

	pthread_mutex_lock(&makings->lock);
	while (!makings->is_telling && (untold = next_to_tell_locked(makings)) != NULL) {
		makings->is_telling = true;
		pthread_mutex_unlock(&makings->lock);
		cache->foreign(untold->change, untold->path, cache->foreign_arg);
		pthread_mutex_lock(&makings->lock);
		makings->is_telling = false;
		DL_DELETE(makings->untold, untold);
		free(untold);
	}
	pthread_mutex_unlock(&makings->lock);
}

void makings_tell(struct cache *cache, enum cache_change change, const char *path)
{
	struct makings *makings = cache->makings;
	struct untold *untold = NULL;
	bool must_wait;

	if (!cache->foreign)
		return;
	pthread_mutex_lock(&makings->lock);
	must_wait = find_untold_locked(makings, path) ||
		((change == CACHE_CREATED || change == CACHE_CREATED_HERE) && find_maker_locked(makings, path));
	if (must_wait)
		untold = malloc(sizeof(*untold) + strlen(path) + 1);
	if (untold) {
		untold->until = find_maker_locked(makings, path);
		untold->change = change;
		memcpy(untold->path, path, strlen(path) + 1);
		DL_APPEND(makings->untold, untold);
	}
	pthread_mutex_unlock(&makings->lock);
	if (!untold)
		cache->foreign(change, path, cache->foreign_arg);
}

/* --- Whose is what --- */

static bool is_newer(const struct making *making, uint32_t number)
{
	return ((number - making->first) & INT32_MAX) < (UINT32_C(1) << 30);
}

static void note_claim_locked(struct making *making, const struct claim *claim)
{
	struct claim *claims = reallocarray(making->claims, making->claim_count + 1, sizeof(*claims));

	if (claims) {
		making->claims = claims;
		claims[making->claim_count++] = *claim;
	} else {
		making->has_lost_claims = true;
	}
}

static bool is_claimed_locked(const struct making *making, int64_t czxid)
{
	for (size_t i = 0; i < making->claim_count; i++) {
		if (making->claims[i].czxid == czxid)
			return true;
	}
	return false;
}

/* --- One after the other --- */

/* Whether another making of the same name is at this stage or that. */
static bool is_any_other_locked(const struct makings *makings, const struct making *making, enum stage stage,
	enum stage or)
{
	const struct making *other;

	DL_FOREACH (makings->under_way, other) {
		if (other != making && (other->stage == stage || other->stage == or) &&
			strcmp(other->what.path, making->what.path) == 0)
			return true;
	}
	return false;
}

/* One that may go on. */
static struct making *next_locked(struct makings *makings)
{
	struct making *making;

	DL_FOREACH (makings->under_way, making) {
		if (making->stage == MAKING_QUEUED && !is_any_other_locked(makings, making, MAKING_DOUBT, MAKING_LOOKS))
			break;
		if (making->stage == MAKING_DOUBT && !is_any_other_locked(makings, making, MAKING_SENT, MAKING_LOOKS))
			break;
	}
	return making;
}

static void send_first(struct making *making);
static void look_first(struct making *making);

/* Lets those go on that may, after a stage has changed. */
static void proceed(struct cache *cache)
{
	struct makings *makings = cache->makings;
	struct making *making;

	pthread_mutex_lock(&makings->lock);
	while ((making = next_locked(makings)) != NULL) {
		bool is_new = making->stage == MAKING_QUEUED;

		making->stage = is_new ? MAKING_SENT : MAKING_LOOKS;
		pthread_mutex_unlock(&makings->lock);
		if (is_new)
			send_first(making);
		else
			look_first(making);
		pthread_mutex_lock(&makings->lock);
	}
	pthread_mutex_unlock(&makings->lock);
}

/* The making may be gone when this returns. */
static void enter_stage(struct making *making, enum stage stage)
{
	struct cache *cache = making->cache;

	pthread_mutex_lock(&cache->makings->lock);
	making->stage = stage;
	pthread_mutex_unlock(&cache->makings->lock);
	proceed(cache);
}

/* The making has made this one. False: no, another has, or that cannot be told. */
static bool take(struct making *making, const char *path, const struct node_stat *stat, bool is_certain)
{
	struct makings *makings = making->cache->makings;
	struct claim claim = { .czxid = stat->czxid };
	char *copy = strdup(path);
	struct making *other;
	bool is_ours;

	(void)parse_number(path, making->what.path, &claim.number);
	pthread_mutex_lock(&makings->lock);
	is_ours = copy && (is_certain || (!making->has_lost_claims && !is_claimed_locked(making, stat->czxid)));
	DL_FOREACH (makings->under_way, other) {
		if (is_ours && other != making && strcmp(other->what.path, making->what.path) == 0)
			note_claim_locked(other, &claim);
	}
	if (is_ours)
		making->stage = MAKING_KNOWS;
	pthread_mutex_unlock(&makings->lock);
	if (!is_ours) {
		free(copy);
		return false;
	}
	making->made = copy;
	making->stat = *stat;
	proceed(making->cache);
	return true;
}

/* --- The end --- */

static void making_free(struct making *making)
{
	free(making->claims);
	bytes_put(making->what.data);
	free((char *)making->what.path);
	free(making->parent);
	free(making->made);
	free(making);
}

static void leave(struct making *making)
{
	struct makings *makings = making->cache->makings;

	pthread_mutex_lock(&makings->lock);
	DL_DELETE(makings->under_way, making);
	pthread_mutex_unlock(&makings->lock);
}

static void end_own(struct making *making, enum own_outcome outcome)
{
	own_end(making->cache->own, making->own, outcome);
	making->own = NULL;
}

static void end(struct making *making, int error)
{
	struct cache *cache = making->cache;

	end_own(making, !error ? OWN_MADE : making->result.is_unknown ? OWN_UNKNOWN : OWN_NOT_MADE);
	leave(making);
	if (!making->is_abandoned)
		making->what.done(error, error ? NULL : making->made, error ? NULL : &making->stat, making->what.arg);
	tell_untold(cache);
	making_free(making);
	proceed(cache);
}

static void removed(int error, const struct node_stat *stat, void *arg)
{
	struct making *making = arg;

	(void)stat;
	if (error && error != -ENOENT)
		log_warning("'%s' was made and is of no use to anybody: %s", making->made, strerror(-error));
	end(making, making->result.error);
}

/* What was made must not stay. */
static void unmake(struct making *making, int error)
{
	making->result.error = error;
	end_own(making, OWN_MADE);
	if (cache_remove(making->cache, making->made, making->stat.czxid, -1, removed, making) < 0)
		removed(-ENOMEM, NULL, making);
}

static int fill_compose(const struct node_info *old, struct buf *out, void *arg)
{
	(void)out;
	(void)arg;
	return old->stat.version != 0 || old->stat.data_length > 0 ? 1 : 0;
}

static void filled(int error, const struct node_stat *stat, struct bytes *data, void *arg)
{
	struct making *making = arg;

	(void)data;
	if (!error)
		making->stat = *stat;
	if (error == -ENOENT || error == -ESTALE) { /* somebody was fast, and has taken it */
		making->stat.version = 1;
		error = 0;
	}
	if (error)
		unmake(making, error);
	else
		end(making, 0);
}

/* It is there. An empty persistent one has still to become a file. */
static void end_made(struct making *making)
{
	const struct cache_edit
		edit = { .compose = fill_compose, .done = filled, .arg = making, .czxid = making->stat.czxid };
	int err;

	end_own(making, OWN_MADE);
	if (making->is_abandoned) {
		unmake(making, -EIO);
		return;
	}
	if (making->what.is_ephemeral || making->stat.data_length > 0 || making->stat.version > 0) {
		end(making, 0);
		return;
	}
	err = cache_update(making->cache, making->made, &edit);
	if (err)
		unmake(making, err);
}

/* --- Sending and looking --- */

static int submit(struct making *making);
static int settle_making(struct making *making);

/* Whether it was made cannot be known. An ephemeral that may be there is looked for until the session has an answer. */
static void end_unknown(struct making *making)
{
	bool was_abandoned = making->is_abandoned;

	making->result.is_unknown = true;
	if (!making->what.is_ephemeral || was_abandoned) {
		end(making, -EIO);
		return;
	}
	making->what.done(-EIO, NULL, NULL, making->what.arg);
	making->is_abandoned = true;
	if (settle_making(making) < 0)
		end(making, -EIO);
}

/* There is no answer yet, but there may be one when the session is connected again. */
static void wait_for_answer(struct making *making)
{
	if ((!making->is_abandoned && clock_now() >= making->deadline) || settle_making(making) < 0)
		end_unknown(making);
}

static void send_again(struct making *making)
{
	int err;

	making->result.is_unknown = false;
	if (making->is_abandoned) {
		end(making, -EIO);
		return;
	}
	if (clock_now() >= making->deadline)
		err = -ETIMEDOUT;
	else
		err = submit(making);
	if (err)
		end(making, err);
}

static void ephemeral_looked(int error, const struct node_info *info, void *arg)
{
	struct making *making = arg;
	int64_t session = cache_session_id(making->cache);

	if (error == -ETIMEDOUT || !session) {
		wait_for_answer(making);
	} else if (error == -ENOENT) {
		send_again(making);
	} else if (error) {
		end_unknown(making);
	} else if (info->stat.ephemeral_owner == session && take(making, making->what.path, &info->stat, false)) {
		end_made(making);
	} else {
		making->result.is_unknown = false;
		end(making, -EEXIST);
	}
}

static uint32_t births_in(const struct node_stat *stat)
{
	return ((uint32_t)stat->cversion + (uint32_t)stat->num_children) / 2;
}

static char *child_path(const struct making *making, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", making->parent[1] ? making->parent : "", name) < 0)
		return NULL;
	return path;
}

/* Whether the child may be the ephemeral that was to be made. */
static bool is_candidate(const struct making *making, const struct cache_child *child, const char *path,
	int64_t session)
{
	uint32_t number;

	return parse_number(path, making->what.path, &number) && is_newer(making, number) &&
		child->stat.czxid > making->passed.passed && child->stat.ephemeral_owner == session;
}

/* Whether all that was born in the directory since is claimed. */
static bool are_all_claimed(struct making *making, const struct node_stat *parent)
{
	struct makings *makings = making->cache->makings;
	uint32_t born = (births_in(parent) - making->first) & INT32_MAX;
	uint32_t claimed = 0;
	bool are_all;

	pthread_mutex_lock(&makings->lock);
	for (size_t i = 0; i < making->claim_count; i++)
		claimed += is_newer(making, making->claims[i].number) ? 1 : 0;
	are_all = !making->has_lost_claims && born == claimed;
	pthread_mutex_unlock(&makings->lock);
	return are_all;
}

static void sequential_looked(int error, struct cache_children *children, void *arg)
{
	struct making *making = arg;
	int64_t session = cache_session_id(making->cache);
	bool is_found = false;

	if (error == -ETIMEDOUT || !session) {
		wait_for_answer(making);
		return;
	}
	for (size_t i = 0; !error && making->what.is_ephemeral && !is_found && i < children->count; i++) {
		char *path = child_path(making, children->list[i].name);

		is_found = path && is_candidate(making, &children->list[i], path, session) &&
			take(making, path, &children->list[i].stat, false);
		free(path);
	}
	if (is_found)
		end_made(making);
	else if (!error && (making->what.is_ephemeral || are_all_claimed(making, &children->stat)))
		send_again(making);
	else
		end_unknown(making);
}

static void look(int error, void *arg)
{
	struct making *making = arg;

	if (!error && making->what.is_sequential)
		error = cache_list(making->cache, making->parent, sequential_looked, making);
	else if (!error)
		error = cache_read(making->cache, making->what.path, ephemeral_looked, making);
	if (error)
		end_unknown(making);
}

/* Whatever the answer is, it came on the session's next connection. */
static void answered_anew(const struct write_result *result, void *arg)
{
	struct making *making = arg;
	bool is_answer = !result->error || result->error == -ENOENT || result->error == -EACCES;
	bool waits = result->is_unknown || (making->is_abandoned && result->error == -ETIMEDOUT);

	if (is_answer && stream_fence(making->cache->stream, 0, STREAM_AT_ONCE, look, making) == 0)
		return;
	if (waits && (making->is_abandoned || clock_now() < making->deadline) && settle_making(making) == 0)
		return;
	end_unknown(making);
}

/* A transaction that changes nothing waits for that connection. */
static int settle_making(struct making *making)
{
	const struct write_step nothing = { .verb = WRITE_CHECK, .path = "/", .version = -1 };

	return writer_submit(making->cache->writer, &nothing, 1, answered_anew, making);
}

/* What is read next shows it, or what stood in its way. */
static void passed(int error, void *arg)
{
	struct making *making = arg;
	const char *path = making->made ? making->made : making->what.path;

	if (error)
		tree_distrust(making->cache->tree);
	tree_changed_by_us(making->cache->tree, path, &making->mark, making->result.zxid, true);
	if (making->result.error)
		end(making, making->result.error);
	else
		end_made(making);
}

static void sent(const struct write_result *result, void *arg)
{
	struct making *making = arg;
	bool tells_state = !result->error || result->error == -EEXIST || result->error == -ENOENT;

	making->result = *result;
	making->result.made = NULL;
	if (result->error && result->is_unknown) {
		if (making->stage == MAKING_SENT) /* nobody else changes it then */
			enter_stage(making, MAKING_DOUBT);
		else
			look_first(making);
		return;
	}
	if (!result->error && !take(making, result->made ? result->made[0] : making->what.path, &result->stat, true)) {
		end(making, -ENOMEM);
		return;
	}
	if (!tells_state || stream_fence(making->cache->stream, result->zxid, STREAM_AT_ONCE, passed, making) < 0)
		passed(0, making);
}

static int submit(struct making *making)
{
	struct cache *cache = making->cache;
	const struct cache_making *what = &making->what;
	const struct write_step step = { .verb = WRITE_CREATE,
		.path = what->path,
		.data = what->data,
		.mode = what->is_ephemeral ? WRITE_EPHEMERAL : WRITE_PERSISTENT,
		.is_sequential = what->is_sequential,
		.is_told = what->is_sequential || what->is_told };
	int err;

	making->passed = stream_mark(making->cache->stream);
	if (!what->is_sequential)
		making->mark = tree_mark(making->cache->tree, what->path);
	if (!making->own)
		making->own = own_begin(making->cache->own, &step, 1);
	err = writer_submit(cache->writer, &step, 1, sent, making);
	if (!err) /* it may be over by now, and gone */
		stream_probe(cache->stream);
	return err;
}

static void send_first(struct making *making)
{
	int err = clock_now() < making->deadline ? submit(making) : -ETIMEDOUT;

	if (err)
		end(making, err);
}

static void look_first(struct making *making)
{
	if (settle_making(making) < 0)
		end_unknown(making);
}

/* --- The beginning --- */

static void parent_read(int error, const struct node_info *info, void *arg)
{
	struct making *making = arg;

	if (error) {
		end(making, error);
		return;
	}
	making->first = births_in(&info->stat) & INT32_MAX;
	enter_stage(making, MAKING_QUEUED);
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int cache_make(struct cache *cache, const struct cache_making *what)
{
	struct makings *makings = cache->makings;
	struct making *making = calloc(1, sizeof(*making));
	int err = -ENOMEM;

	if (!making)
		return err;
	making->cache = cache;
	making->what = *what;
	making->what.path = strdup(what->path);
	making->what.data = bytes_get(what->data);
	making->parent = parent_of(what->path);
	making->deadline = clock_now() + 2 * (int64_t)cache->timeout; /* to be sent, and to be looked for */
	if (!making->what.path || !making->parent) {
		making_free(making);
		return err;
	}
	pthread_mutex_lock(&makings->lock);
	making->id = ++makings->last_id;
	DL_APPEND(makings->under_way, making);
	pthread_mutex_unlock(&makings->lock);
	if (!what->is_sequential) {
		enter_stage(making, MAKING_QUEUED);
		return 0;
	}
	err = cache_read(cache, making->parent, parent_read, making);
	if (err) {
		leave(making);
		making_free(making);
	}
	return err;
}
