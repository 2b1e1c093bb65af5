#include "fusefs/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cache/util/clock.h"

/* A caller with a signal to handle may wait so much longer for what it asked for: most answers come in that time, and few
 * programs expect EINTR of a file. One that is being killed is let go at once. */
enum { INTERRUPT_GRACE_MS = 1000 };

/* Requests that a thread makes one right after the other are one call of its program: if one has waited, the next may wait for what is
 * left of the timeout. That is always enough for a server that answers; and together it is no second more than the timeout. */
enum {
	LONG_MS = 200,	     /* what is less was no waiting */
	SAME_CALL_MS = 100,  /* from one to the next */
	LEFT_MS = 800,	     /* may be left at least, beyond the timeout, */
	LEFT_LEAST_MS = 100, /* and in any case */
	WAITS_MAX = 64,	     /* are remembered, the latest */
};

/* A thread whose request was answered after some time. */
struct wait {
	pid_t caller; /* a thread id */
	int64_t since, ended;
};

/* So many are remembered, the latest. */
enum { STALE_MAX = 64 };

/* A thread that was told ESTALE, and has opened nothing since. The kernel may not keep the names it looks up, so that an inode it
 * asks about is one that it has looked up within the same system call, if it is this one. */
struct stale {
	pid_t caller; /* a thread id; 0: nobody */
	fuse_ino_t found;
};

struct pendings {
	int timeout;
	pthread_t thread;

	/* A leaf, over the members below, and in a struct pending over the last six, let_go apart. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pending *starting;    /* libfuse still has their requests in hand: nobody may answer */
	struct pending *waiting;     /* those not answered; earliest deadline first, */
	struct pending *interrupted; /* and so here; */
	struct pending *patient;     /* or without any */
	size_t count;		     /* of those that their completion has not ended */
	uint64_t last_id;
	bool is_idle; /* the thread must be told when there is something in waiting */
	bool is_stopping;
	struct wait waits[WAITS_MAX];
	unsigned int last_wait;
	int64_t waited_at; /* ms: when the last of them ended */
	struct stale stale[STALE_MAX];
	unsigned int last_stale;

	atomic_int stale_count;
};

/* --- Exactly one answer --- */

static struct pending **list_of(struct pendings *pendings, const struct pending *pending)
{
	if (pending->let_go)
		return &pendings->patient;
	return pending->is_interrupted ? &pendings->interrupted : &pendings->waiting;
}

/* The caller is the one to answer, and nobody else will. */
static void claim_locked(struct pendings *pendings, struct pending *pending)
{
	struct pending **list = list_of(pendings, pending);

	DL_DELETE(*list, pending);
	pending->is_answered = true;
}

/* One that is patient waits for another program, and not for a server. */
static void note_wait_locked(struct pendings *pendings, const struct pending *pending)
{
	int64_t now = clock_now();

	if (!pending->caller || pending->let_go || now - pending->started < LONG_MS)
		return;
	pendings->waits[pendings->last_wait++ % WAITS_MAX] =
		(struct wait){ .caller = pending->caller, .since = pending->since, .ended = now };
	pendings->waited_at = now;
}

/* Since when the call of a program waits that the request is part of, which comes now. */
static int64_t call_began_locked(const struct pendings *pendings, const struct pending *pending, int64_t now)
{
	int64_t since = now;

	if (now - pendings->waited_at > SAME_CALL_MS)
		return since;
	for (size_t i = 0; i < WAITS_MAX; i++) {
		const struct wait *wait = &pendings->waits[i];

		if (wait->caller == pending->caller && now - wait->ended <= SAME_CALL_MS && wait->since < since)
			since = wait->since;
	}
	return since;
}

static int64_t deadline_locked(const struct pendings *pendings, int64_t since, int64_t now)
{
	int64_t deadline = since + pendings->timeout;

	if (since == now)
		return deadline;
	if (deadline < now + LEFT_MS)
		deadline = now < since + pendings->timeout ? now + LEFT_MS : since + pendings->timeout + LEFT_MS;
	return deadline < now + LEFT_LEAST_MS ? now + LEFT_LEAST_MS : deadline;
}

/* The completion has come. Whether it is the one to answer. */
static bool claim(struct pending *pending)
{
	struct pendings *pendings = pending->mount->pendings;
	bool is_ours;

	pthread_mutex_lock(&pendings->lock);
	is_ours = !pending->is_answered;
	if (is_ours) {
		claim_locked(pendings, pending);
		note_wait_locked(pendings, pending);
	}
	pthread_mutex_unlock(&pendings->lock);
	return is_ours;
}

static void end(struct pending *pending)
{
	struct pendings *pendings = pending->mount->pendings;

	pthread_mutex_lock(&pendings->lock);
	pendings->count--;
	pthread_mutex_unlock(&pendings->lock);
	inode_view_release(&pending->inode);
	free(pending->path);
	free(pending);
}

/* --- Interrupts --- */

/* Whether the thread will not come back to its program: a signal is pending that is neither caught nor ignored. (For most fatal
 * signals the kernel makes that SIGKILL: complete_signal in kernel/signal.c.) */
static bool is_dying(pid_t thread)
{
	enum {
		HARMLESS_BY_DEFAULT =
			1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 21 | 1u << 22 | 1u << 27
	};
	unsigned long long pending = 0, mask, ignored = 0;
	char name[64];
	char line[256];
	FILE *status;

	(void)snprintf(name, sizeof(name), "/proc/%d/status", (int)thread);
	status = thread ? fopen(name, "re") : NULL;
	if (!status)
		return true; /* gone, or not to be seen: nobody to ask for patience */
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "SigPnd: %llx", &mask) == 1 || sscanf(line, "ShdPnd: %llx", &mask) == 1)
			pending |= mask;
		else if (sscanf(line, "SigBlk: %llx", &mask) == 1 || sscanf(line, "SigIgn: %llx", &mask) == 1 ||
			sscanf(line, "SigCgt: %llx", &mask) == 1)
			ignored |= mask;
	}
	(void)fclose(status);
	return (pending & ~ignored & ~(unsigned long long)HARMLESS_BY_DEFAULT) != 0;
}

static struct pending *find_locked(struct pending *list, uint64_t id)
{
	struct pending *pending;

	DL_FOREACH (list, pending) {
		if (pending->id == id)
			return pending;
	}
	return NULL;
}

/* Who waits as long as it takes. */
static void interrupt_patient(struct pendings *pendings, uint64_t id)
{
	pending_let_go_cb *let_go = NULL;
	struct mount *mount = NULL;
	struct pending *pending;
	fuse_req_t req = NULL;
	pid_t caller = 0;
	bool dies;

	pthread_mutex_lock(&pendings->lock);
	pending = find_locked(pendings->patient, id);
	if (pending) {
		pending->is_unwanted = true;
		caller = pending->caller;
		mount = pending->mount;
		let_go = pending->let_go;
	}
	pthread_mutex_unlock(&pendings->lock);
	if (!let_go)
		return;
	dies = is_dying(caller);

	pthread_mutex_lock(&pendings->lock);
	pending = dies ? find_locked(pendings->patient, id) : NULL;
	if (pending) {
		claim_locked(pendings, pending);
		req = pending->req;
	}
	pthread_mutex_unlock(&pendings->lock);
	if (req)
		(void)fuse_reply_err(req, EINTR);
	let_go(mount, id);
}

static void interrupt(struct pendings *pendings, uint64_t id)
{
	struct pending *pending;
	fuse_req_t req = NULL;
	pid_t caller = 0;
	bool dies;

	pthread_mutex_lock(&pendings->lock);
	pending = find_locked(pendings->starting, id);
	if (pending)
		pending->is_interrupted = true; /* pending_start sees to it */
	pending = find_locked(pendings->waiting, id);
	if (pending)
		caller = pending->caller;
	pthread_mutex_unlock(&pendings->lock);
	if (!pending) {
		interrupt_patient(pendings, id);
		return;
	}
	dies = is_dying(caller);

	pthread_mutex_lock(&pendings->lock);
	pending = find_locked(pendings->waiting, id);
	if (pending && dies) {
		claim_locked(pendings, pending);
		req = pending->req;
	} else if (pending) {
		DL_DELETE(pendings->waiting, pending);
		pending->is_interrupted = true;
		pending->deadline = clock_now() + INTERRUPT_GRACE_MS;
		DL_APPEND(pendings->interrupted, pending);
		pthread_cond_signal(&pendings->changed);
	}
	pthread_mutex_unlock(&pendings->lock);
	if (req)
		(void)fuse_reply_err(req, EINTR);
}

/* libfuse also calls this from inside fuse_req_interrupt_func when the interrupt came first, and still uses the request after it
 * (lib/fuse_lowlevel.c): that is what starting is for. */
static void on_interrupt(fuse_req_t req, void *id)
{
	struct mount *mount = fuse_req_userdata(req);

	interrupt(mount->pendings, (uint64_t)(uintptr_t)id);
}

/* --- Time --- */

/* Whose time is up; it is claimed. NULL: nobody's. */
static struct pending *take_late_locked(struct pendings *pendings, int64_t now)
{
	struct pending *late = pendings->interrupted;

	if (!late || late->deadline > now)
		late = pendings->waiting;
	if (!late || late->deadline > now)
		return NULL;
	claim_locked(pendings, late);
	return late;
}

static void sleep_locked(struct pendings *pendings)
{
	int64_t until = INT64_MAX;
	struct timespec at;

	if (pendings->waiting)
		until = pendings->waiting->deadline;
	if (pendings->interrupted && pendings->interrupted->deadline < until)
		until = pendings->interrupted->deadline;
	pendings->is_idle = !pendings->waiting;
	at = clock_at(until);
	if (until == INT64_MAX)
		(void)pthread_cond_wait(&pendings->changed, &pendings->lock);
	else
		(void)pthread_cond_timedwait(&pendings->changed, &pendings->lock, &at);
	pendings->is_idle = false;
}

static void *watch_time(void *arg)
{
	struct pendings *pendings = arg;

	pthread_mutex_lock(&pendings->lock);
	while (!pendings->is_stopping) {
		struct pending *late = take_late_locked(pendings, clock_now());

		if (late) {
			/* Its completion may free it as soon as the lock is open, but will not answer any more. */
			fuse_req_t req = late->req;
			int error = late->is_interrupted ? EINTR : ETIMEDOUT;

			pthread_mutex_unlock(&pendings->lock);
			(void)fuse_reply_err(req, error);
			pthread_mutex_lock(&pendings->lock);
		} else {
			sleep_locked(pendings);
		}
	}
	pthread_mutex_unlock(&pendings->lock);
	return NULL;
}

/* --- Life --- */

struct pendings *pendings_new(int timeout)
{
	struct pendings *pendings = calloc(1, sizeof(*pendings));

	if (!pendings)
		return NULL;
	pendings->timeout = timeout;
	pthread_mutex_init(&pendings->lock, NULL);
	clock_init_condition(&pendings->changed);
	errno = pthread_create(&pendings->thread, NULL, watch_time, pendings);
	if (errno == 0)
		return pendings;
	free(pendings);
	return NULL;
}

void pendings_free(struct pendings *pendings)
{
	if (!pendings)
		return;
	pthread_mutex_lock(&pendings->lock);
	pendings->is_stopping = true;
	pthread_cond_signal(&pendings->changed);
	pthread_mutex_unlock(&pendings->lock);
	(void)pthread_join(pendings->thread, NULL);
	pthread_cond_destroy(&pendings->changed);
	pthread_mutex_destroy(&pendings->lock);
	free(pendings);
}

size_t pendings_count(struct pendings *pendings)
{
	size_t count;

	pthread_mutex_lock(&pendings->lock);
	count = pendings->count;
	pthread_mutex_unlock(&pendings->lock);
	return count;
}

/* Puts it where it belongs: mostly last. */
static void wait_locked(struct pendings *pendings, struct pending *pending)
{
	struct pending *later = NULL;

	if (pendings->waiting && pendings->waiting->prev->deadline > pending->deadline)
		DL_FOREACH (pendings->waiting, later) {
			if (later->deadline > pending->deadline)
				break;
		}
	if (later)
		DL_PREPEND_ELEM(pendings->waiting, later, pending);
	else
		DL_APPEND(pendings->waiting, pending);
}

static struct pending *start(fuse_req_t req, pending_let_go_cb *let_go)
{
	struct mount *mount = fuse_req_userdata(req);
	struct pendings *pendings = mount->pendings;
	struct pending *pending = calloc(1, sizeof(*pending));
	bool came_early;
	uint64_t id;

	if (!pending) {
		(void)fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	pending->mount = mount;
	pending->req = req;
	pending->caller = fuse_req_ctx(req)->pid;
	pending->let_go = let_go;
	pthread_mutex_lock(&pendings->lock);
	id = pending->id = ++pendings->last_id;
	pendings->count++;
	DL_APPEND(pendings->starting, pending);
	pthread_mutex_unlock(&pendings->lock);

	/* NOLINTNEXTLINE(performance-no-int-to-ptr): an id rather than a pointer, for the pending may be gone by then */
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)id);

	pthread_mutex_lock(&pendings->lock);
	came_early = pending->is_interrupted;
	pending->is_interrupted = false;
	pending->started = clock_now();
	pending->since = call_began_locked(pendings, pending, pending->started);
	pending->deadline = deadline_locked(pendings, pending->since, pending->started);
	DL_DELETE(pendings->starting, pending);
	if (let_go)
		DL_APPEND(pendings->patient, pending);
	else
		wait_locked(pendings, pending);
	if (!let_go && (pendings->is_idle || pendings->waiting == pending))
		pthread_cond_signal(&pendings->changed);
	pthread_mutex_unlock(&pendings->lock);
	if (came_early)
		interrupt(pendings, id);
	return pending;
}

struct pending *pending_start(fuse_req_t req)
{
	return start(req, NULL);
}

struct pending *pending_start_patient(fuse_req_t req, pending_let_go_cb *let_go)
{
	return start(req, let_go);
}

void pending_waits(struct mount *mount, uint64_t id, pending_let_go_cb *let_go)
{
	struct pendings *pendings = mount->pendings;
	const struct pending *pending;
	bool is_unwanted;

	pthread_mutex_lock(&pendings->lock);
	pending = find_locked(pendings->patient, id);
	is_unwanted = !pending || pending->is_unwanted;
	pthread_mutex_unlock(&pendings->lock);
	if (is_unwanted)
		let_go(mount, id);
}

/* --- Who was told that something is stale --- */

static bool is_any_stale(const struct pending *pending)
{
	return pending->caller &&
		atomic_load_explicit(&pending->mount->pendings->stale_count, memory_order_relaxed) > 0;
}

static struct stale *find_stale_locked(struct pendings *pendings, pid_t caller)
{
	for (size_t i = 0; i < STALE_MAX; i++) {
		if (pendings->stale[i].caller == caller)
			return &pendings->stale[i];
	}
	return NULL;
}

static void forget_stale(const struct pending *pending)
{
	struct pendings *pendings = pending->mount->pendings;
	struct stale *stale;

	if (!is_any_stale(pending))
		return;
	pthread_mutex_lock(&pendings->lock);
	stale = find_stale_locked(pendings, pending->caller);
	if (stale) {
		stale->caller = 0;
		atomic_fetch_sub(&pendings->stale_count, 1);
	}
	pthread_mutex_unlock(&pendings->lock);
}

/* Whether the caller was told that something is stale, and now looks again. */
static bool looks_again(const struct pending *pending, fuse_ino_t found)
{
	struct pendings *pendings = pending->mount->pendings;
	struct stale *stale;

	if (!is_any_stale(pending))
		return false;
	pthread_mutex_lock(&pendings->lock);
	stale = find_stale_locked(pendings, pending->caller);
	if (stale)
		stale->found = found;
	pthread_mutex_unlock(&pendings->lock);
	return stale != NULL;
}

/* Whether the caller has looked it up in this system call. */
static bool is_found_again(const struct pending *pending)
{
	struct pendings *pendings = pending->mount->pendings;
	struct stale *stale;
	bool is_it;

	if (!pending->caller)
		return false;
	pthread_mutex_lock(&pendings->lock);
	stale = find_stale_locked(pendings, pending->caller);
	is_it = stale && stale->found == pending->inode.number;
	if (!stale) {
		stale = &pendings->stale[pendings->last_stale++ % STALE_MAX];
		if (!stale->caller)
			atomic_fetch_add(&pendings->stale_count, 1);
		*stale = (struct stale){ .caller = pending->caller };
	}
	pthread_mutex_unlock(&pendings->lock);
	return is_it;
}

/* --- Replies --- */

void pending_fail(struct pending *pending, int error)
{
	if (claim(pending))
		(void)fuse_reply_err(pending->req, -error);
	end(pending);
}

bool pending_tell(struct pending *pending, int error)
{
	bool is_told = claim(pending) && fuse_reply_err(pending->req, -error) == 0;

	end(pending);
	return is_told;
}

void pending_reply_lock(struct pending *pending, const struct flock *lock)
{
	if (claim(pending))
		(void)fuse_reply_lock(pending->req, lock);
	end(pending);
}

void pending_fail_stale(struct pending *pending)
{
	int error = is_found_again(pending) ? ENOENT : ESTALE;

	if (claim(pending))
		(void)fuse_reply_err(pending->req, error);
	end(pending);
}

void pending_reply_attr(struct pending *pending, const struct stat *attr, double keep)
{
	if (claim(pending))
		(void)fuse_reply_attr(pending->req, attr, keep);
	end(pending);
}

bool pending_reply_data(struct pending *pending, const void *data, size_t size)
{
	bool is_told;

	forget_stale(pending);
	is_told = claim(pending) && fuse_reply_buf(pending->req, data, size) == 0;
	end(pending);
	return is_told;
}

void pending_reply_xattr(struct pending *pending, const void *value, size_t size)
{
	if (pending->size > 0 && size > pending->size) {
		pending_fail(pending, -ERANGE);
		return;
	}
	forget_stale(pending);
	if (claim(pending)) {
		if (pending->size == 0)
			(void)fuse_reply_xattr(pending->req, size);
		else
			(void)fuse_reply_buf(pending->req, value, size);
	}
	end(pending);
}

static struct fuse_entry_param entry_of(const struct stat *attr, double keep)
{
	return (struct fuse_entry_param){ .ino = attr->st_ino,
		.attr = *attr,
		.attr_timeout = keep,
		.entry_timeout = keep };
}

void pending_reply_entry(struct pending *pending, const struct stat *attr, double keep)
{
	struct fuse_entry_param entry = entry_of(attr, keep);

	if (looks_again(pending, attr->st_ino))
		entry.entry_timeout = 0;
	if (!claim(pending) || fuse_reply_entry(pending->req, &entry) < 0)
		inodes_forget(pending->mount->inodes, attr->st_ino, 1);
	end(pending);
}

void pending_reply_absent(struct pending *pending, double keep)
{
	const struct fuse_entry_param absent = { .entry_timeout = keep };

	if (claim(pending))
		(void)fuse_reply_entry(pending->req, &absent);
	end(pending);
}

bool pending_reply_create(struct pending *pending, const struct stat *attr, double keep)
{
	const struct fuse_entry_param entry = entry_of(attr, keep);
	bool is_told;

	forget_stale(pending);
	is_told = claim(pending) && fuse_reply_create(pending->req, &entry, &pending->file) == 0;
	if (!is_told)
		inodes_forget(pending->mount->inodes, attr->st_ino, 1);
	end(pending);
	return is_told;
}

bool pending_reply_open(struct pending *pending)
{
	bool is_told;

	forget_stale(pending);
	is_told = claim(pending) && fuse_reply_open(pending->req, &pending->file) == 0;
	end(pending);
	return is_told;
}
