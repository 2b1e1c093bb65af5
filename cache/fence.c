#include "cache/fence.h"

#include <stdlib.h>
#include <utlist.h>

enum stage {
	STAGE_NEW,     /* nothing sent since it came */
	STAGE_PINGED,  /* a ping that was sent after it came is out */
	STAGE_LAGGING, /* the server is behind, or the zxid unknown: needs a sync */
	STAGE_SYNCING, /* such a sync is out */
};

struct fence {
	struct fence *prev, *next;
	int64_t zxid;
	int64_t deadline;
	enum stage stage;
	fence_cb *done;
	void *arg;
};

struct fence *fence_new(int64_t zxid, int64_t deadline, fence_cb *done, void *arg)
{
	struct fence *fence = malloc(sizeof(*fence));

	if (fence)
		*fence = (struct fence){ .zxid = zxid,
			.deadline = deadline,
			.done = done,
			.arg = arg,
			.stage = zxid ? STAGE_NEW : STAGE_LAGGING };
	return fence;
}

static void end(struct fence *fence, int error)
{
	fence->done(error, fence->arg);
	free(fence);
}

void fence_queue(struct fence **list, struct fence *fence)
{
	DL_APPEND(*list, fence);
}

int64_t fence_max_zxid(const struct fence *list)
{
	int64_t max = 0;

	for (const struct fence *fence = list; fence; fence = fence->next)
		max = fence->zxid > max ? fence->zxid : max;
	return max;
}

void fences_add(struct fences *fences, struct fence *list)
{
	struct fence *fence, *next;

	DL_FOREACH_SAFE (list, fence, next) {
		DL_DELETE(list, fence);
		if (fence->zxid && fence->zxid <= fences->passed)
			end(fence, 0);
		else
			DL_APPEND(fences->waiting, fence);
	}
}

static bool advance(struct fences *fences, enum stage from, enum stage to)
{
	struct fence *fence;
	bool any = false;

	DL_FOREACH (fences->waiting, fence) {
		if (fence->stage == from) {
			fence->stage = to;
			any = true;
		}
	}
	return any;
}

enum fence_probe fences_next_probe(struct fences *fences)
{
	if (!fences->waiting)
		return FENCE_NO_PROBE;
	if (!fences->ping_is_out && advance(fences, STAGE_NEW, STAGE_PINGED)) {
		fences->ping_is_out = true;
		return FENCE_PING;
	}
	if (!fences->sync_is_out && advance(fences, STAGE_LAGGING, STAGE_SYNCING)) {
		fences->sync_is_out = true;
		return FENCE_SYNC;
	}
	return FENCE_NO_PROBE;
}

void fences_reply(struct fences *fences, int64_t zxid, enum fence_probe probe)
{
	struct fence *fence, *next;
	struct fence *passed = NULL;

	if (zxid > fences->passed)
		fences->passed = zxid;
	if (probe == FENCE_PING)
		fences->ping_is_out = false;
	if (probe == FENCE_SYNC)
		fences->sync_is_out = false;
	DL_FOREACH_SAFE (fences->waiting, fence, next) {
		bool synced = probe == FENCE_SYNC && fence->stage == STAGE_SYNCING;

		if (fence->zxid ? fence->zxid <= fences->passed : synced) {
			DL_DELETE(fences->waiting, fence);
			DL_APPEND(passed, fence);
		} else if (synced || (probe == FENCE_PING && fence->stage == STAGE_PINGED)) {
			fence->stage = STAGE_LAGGING;
		}
	}
	DL_FOREACH_SAFE (passed, fence, next) {
		DL_DELETE(passed, fence);
		end(fence, 0);
	}
}

void fences_refused(struct fences *fences, enum fence_probe probe)
{
	if (probe == FENCE_PING) {
		fences->ping_is_out = false;
		(void)advance(fences, STAGE_PINGED, STAGE_NEW);
	} else if (probe == FENCE_SYNC) {
		fences->sync_is_out = false;
		(void)advance(fences, STAGE_SYNCING, STAGE_LAGGING);
	}
}

void fences_broken(struct fences *fences)
{
	struct fence *fence;

	fences->passed = 0;
	fences->ping_is_out = false;
	fences->sync_is_out = false;
	DL_FOREACH (fences->waiting, fence)
		fence->stage = fence->zxid ? STAGE_NEW : STAGE_LAGGING;
}

void fences_expire(struct fences *fences, int64_t now, int error)
{
	struct fence *fence, *next;
	struct fence *expired = NULL;

	DL_FOREACH_SAFE (fences->waiting, fence, next) {
		if (fence->deadline <= now) {
			DL_DELETE(fences->waiting, fence);
			DL_APPEND(expired, fence);
		}
	}
	DL_FOREACH_SAFE (expired, fence, next) {
		DL_DELETE(expired, fence);
		end(fence, error);
	}
}

int64_t fences_deadline(const struct fences *fences)
{
	return fences->waiting ? fences->waiting->deadline : INT64_MAX;
}
