#include "cache/own.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_hashed = false)
#include <uthash.h>
#include <utlist.h>

/* An event that waits. */
struct own_held {
	struct own_held *prev, *next;
	struct place *place;
	enum wire_event_type type;
	int64_t after; /* its zxid is greater than this */
	bool is_ready;
	bool is_taken; /* out of its place, before it was ready */
};

enum { TYPES = WIRE_DATA_CHANGED + 1 };

/* A znode that changes of ours are under way for, or whose events are being handed on. */
struct place {
	UT_hash_handle hh;
	unsigned under_way;
	unsigned marked; /* those of them that give it data of the marked size */
	bool is_handing_on;
	unsigned made[TYPES];  /* events that are our own, among those held */
	struct own_held *held; /* oldest first */
	bool is_hashed;
	char path[];
};

/* What one step makes of its znode. */
struct made {
	struct place *place;
	enum wire_event_type type;
	bool is_marked;
};

struct own_change {
	size_t count;
	struct made steps[];
};

struct own {
	own_foreign_cb *foreign;
	void *arg;
	size_t marked_size;
	pthread_mutex_t lock; /* a leaf, over the members below */
	struct place *places;
	int64_t ours[OWN_REMEMBERED]; /* zxids, */
	size_t ours_next;	      /* and where the next one goes */
};

struct own *own_new(size_t marked_size, own_foreign_cb *foreign, void *arg)
{
	struct own *own = calloc(1, sizeof(*own));

	if (!own)
		return NULL;
	own->foreign = foreign;
	own->arg = arg;
	own->marked_size = marked_size;
	pthread_mutex_init(&own->lock, NULL);
	return own;
}

/* Gives after which zxid the first of them came; INT64_MAX: there were none. */
static int64_t drop_held(struct place *place)
{
	struct own_held *held, *next;
	int64_t after = place->held ? place->held->after : INT64_MAX;

	DL_FOREACH_SAFE (place->held, held, next) {
		DL_DELETE(place->held, held);
		free(held);
	}
	return after;
}

void own_free(struct own *own)
{
	struct place *place, *next;

	if (!own)
		return;
	HASH_ITER (hh, own->places, place, next) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow utlist through drop_held */
		HASH_DEL(own->places, place);
		(void)drop_held(place);
		free(place);
	}
	pthread_mutex_destroy(&own->lock);
	free(own);
}

/* --- Changes --- */

static struct place *find_locked(struct own *own, const char *path)
{
	struct place *place;

	HASH_FIND(hh, own->places, path, strlen(path), place);
	return place;
}

/* One more change is under way there. NULL: no memory. */
static struct place *place_locked(struct own *own, const char *path)
{
	struct place *place = find_locked(own, path);
	size_t size = strlen(path);

	if (!place) {
		place = calloc(1, sizeof(*place) + size + 1);
		if (!place)
			return NULL;
		memcpy(place->path, path, size);
		place->is_hashed = true;
		HASH_ADD_KEYPTR(hh, own->places, place->path, size, place);
		if (!place->is_hashed) {
			free(place);
			return NULL;
		}
	}
	place->under_way++;
	return place;
}

static void put_locked(struct own *own, struct place *place)
{
	if (place->under_way || place->is_handing_on || place->held)
		return;
	HASH_DEL(own->places, place);
	free(place);
}

struct own_change *own_begin(struct own *own, const struct write_step *steps, size_t count)
{
	static const enum wire_event_type types[] = {
		[WRITE_CREATE] = WIRE_CREATED,
		[WRITE_SET] = WIRE_DATA_CHANGED,
		[WRITE_DELETE] = WIRE_DELETED,
	};
	struct own_change *change = malloc(sizeof(*change) + count * sizeof(change->steps[0]));

	if (!change)
		return NULL;
	change->count = 0;
	pthread_mutex_lock(&own->lock);
	for (size_t i = 0; i < count; i++) {
		bool has_event = steps[i].verb != WRITE_CHECK && steps[i].verb != WRITE_SET_ACL && !steps[i].is_told;
		struct place *place = has_event ? place_locked(own, steps[i].path) : NULL;
		bool is_marked = steps[i].data && steps[i].data->size == own->marked_size;

		if (place) {
			place->marked += is_marked ? 1 : 0;
			change->steps[change->count++] =
				(struct made){ .place = place, .type = types[steps[i].verb], .is_marked = is_marked };
		}
	}
	pthread_mutex_unlock(&own->lock);
	return change;
}

static bool has_held(const struct place *place, enum wire_event_type type, unsigned more_than)
{
	const struct own_held *held;
	unsigned count = 0;

	DL_FOREACH (place->held, held)
		count += held->type == type ? 1 : 0;
	return count > more_than;
}

/* Takes our own out, the oldest first: of several of one type each could be ours, and whichever it was, the last that is left
 * tells what the znode has become. */
static void take_out_made(struct place *place)
{
	struct own_held *held, *next;

	DL_FOREACH_SAFE (place->held, held, next) {
		if (!place->made[held->type])
			continue;
		place->made[held->type]--;
		DL_DELETE(place->held, held);
		held->is_taken = true;
		if (held->is_ready)
			free(held);
	}
	memset(place->made, 0, sizeof(place->made));
}

/* Nothing of ours is under way there any more: hands on what is held, without the lock in between. Events that come meanwhile
 * join, so that they keep their order. */
static void hand_on_locked(struct own *own, struct place *place)
{
	struct own_held *held;

	place->is_handing_on = true;
	while ((held = place->held) != NULL && held->is_ready && !place->under_way) {
		DL_DELETE(place->held, held);
		pthread_mutex_unlock(&own->lock);
		own->foreign(held->type, place->path, own->arg);
		free(held);
		pthread_mutex_lock(&own->lock);
	}
	place->is_handing_on = false;
}

void own_end(struct own *own, struct own_change *change, enum own_outcome outcome)
{
	if (!change)
		return;
	pthread_mutex_lock(&own->lock);
	for (size_t i = 0; i < change->count; i++) {
		struct place *place = change->steps[i].place;
		enum wire_event_type type = change->steps[i].type;

		if (outcome == OWN_MADE || (outcome == OWN_UNKNOWN && has_held(place, type, place->made[type])))
			place->made[type]++;
	}
	for (size_t i = 0; i < change->count; i++) {
		struct place *place = change->steps[i].place;

		place->marked -= change->steps[i].is_marked ? 1 : 0;
		if (--place->under_way == 0) {
			take_out_made(place);
			if (!place->is_handing_on)
				hand_on_locked(own, place);
			put_locked(own, place);
		}
	}
	pthread_mutex_unlock(&own->lock);
	free(change);
}

void own_made(struct own *own, int64_t zxid)
{
	if (!zxid)
		return;
	pthread_mutex_lock(&own->lock);
	own->ours[own->ours_next] = zxid;
	own->ours_next = (own->ours_next + 1) % OWN_REMEMBERED;
	pthread_mutex_unlock(&own->lock);
}

bool own_is_ours(struct own *own, int64_t zxid)
{
	bool is_ours = false;

	pthread_mutex_lock(&own->lock);
	for (size_t i = 0; zxid && !is_ours && i < OWN_REMEMBERED; i++)
		is_ours = own->ours[i] == zxid;
	pthread_mutex_unlock(&own->lock);
	return is_ours;
}

/* --- Events --- */

enum own_event own_event(struct own *own, enum wire_event_type type, const char *path, int64_t after,
	struct own_held **held)
{
	enum own_event event = OWN_FOREIGN;
	struct place *place;

	*held = NULL;
	pthread_mutex_lock(&own->lock);
	place = find_locked(own, path);
	if (place)
		*held = malloc(sizeof(**held));
	if (*held) {
		**held = (struct own_held){ .place = place, .type = type, .after = after };
		DL_APPEND(place->held, *held);
		event = place->marked ? OWN_PERHAPS_MARKED : OWN_PERHAPS;
	}
	pthread_mutex_unlock(&own->lock);
	return event;
}

void own_ready(struct own *own, struct own_held *held)
{
	struct place *place;

	if (!held)
		return;
	pthread_mutex_lock(&own->lock);
	if (held->is_taken) {
		free(held);
	} else {
		place = held->place;
		held->is_ready = true;
		if (!place->is_handing_on)
			hand_on_locked(own, place);
		put_locked(own, place);
	}
	pthread_mutex_unlock(&own->lock);
}

int64_t own_break(struct own *own)
{
	struct place *place, *next;
	int64_t first = INT64_MAX;

	pthread_mutex_lock(&own->lock);
	HASH_ITER (hh, own->places, place, next) {
		int64_t after = drop_held(place);

		first = after < first ? after : first;
		memset(place->made, 0, sizeof(place->made)); /* those were among what is dropped */
		put_locked(own, place);
	}
	pthread_mutex_unlock(&own->lock);
	return first;
}
