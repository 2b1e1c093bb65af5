#include "fusefs/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <utlist.h>

#include "cache/util/log.h"
#include "fusefs/announce.h"
#include "fusefs/inode.h"
#include "fusefs/notify.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/report.h"
#include "fusefs/submit.h"

static const char DIRECTORY_NAME[] = ".zkfs";

enum {
	DIRECTORY_NUMBER = FUSE_ROOT_ID + 1,
	FIRST_NUMBER, /* of the first of controls[] */
	TEXT_MAX =
		5 << 20, /* bytes written and not submitted: a packet whose every byte is written as \xHH, and more */
	IO_BLOCK = 4096,
	REWRITE_MS = 4000, /* more than tail waits before it looks again */
};

static const double FOREVER = 86400; /* s */

/* A control file. */
struct control {
	const char *name;
	void (*render)(const struct mount *mount, struct buf *out); /* NULL: it is leased, or written */
	mode_t mode;
	bool is_leased; /* each read from the start asks the servers */
	bool is_live;	/* who has it open is told when it changes, and it has a size */
};

static const struct control controls[] = {
	{ .name = "state", .render = report_state, .mode = 0444, .is_live = true },
	{ .name = "session", .render = report_session, .mode = 0444 },
	{ .name = "metrics", .render = report_metrics, .mode = 0444 },
	{ .name = "transaction", .mode = 0600 },
	{ .name = "lease", .mode = 0444, .is_leased = true },
};

enum { CONTROLS = sizeof(controls) / sizeof(controls[0]) };

/* What waits for its turn to be submitted. */
struct turn {
	struct turn *prev, *next;
	struct pending *pending;
	struct opened *opened;
	struct buf text;
	int broken; /* 0, or -errno: instead of submitting it */
};

/* An open control file. */
struct opened {
	struct opened *prev, *next; /* under virtuals->lock, */
	unsigned refs;		    /* and so is this */
	struct virtuals *virtuals;
	const struct control *control;

	pthread_mutex_t lock; /* a leaf, over the members below */
	struct buf text;      /* what is read: as it was made last, or the result */
	size_t at;	      /* of it: where the next read of a result goes on */
	uint64_t serial;      /* what of it is in the text, see below; 0: nothing */
	struct buf written;   /* and not submitted */
	uint64_t owner;	      /* who wrote first of it (the kernel's lock_owner); 0: not known */
	int broken;	      /* 0, or the -errno of the write that failed */
	struct turn *turns;   /* the first is being submitted */
	struct fuse_pollhandle *poll;
};

struct virtuals {
	struct mount *mount;
	int64_t began;		  /* ms since 1970 */
	_Atomic(uint64_t) serial; /* of what `state` says, from 1 */
	_Atomic(int64_t) changed; /* ms since 1970: when it did */

	pthread_mutex_t lock; /* a leaf, over the members below */
	struct opened *open;
	struct stat root; /* as it was told last */
};

static int64_t wall_clock(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct virtuals *virtuals_new(struct mount *mount)
{
	struct virtuals *virtuals = calloc(1, sizeof(*virtuals));

	if (!virtuals)
		return NULL;
	virtuals->mount = mount;
	virtuals->began = wall_clock();
	atomic_init(&virtuals->serial, 1);
	atomic_init(&virtuals->changed, virtuals->began);
	pthread_mutex_init(&virtuals->lock, NULL);
	return virtuals;
}

/* --- Inodes --- */

static bool is_virtual(fuse_ino_t number)
{
	return number != FUSE_ROOT_ID && number < INODE_FIRST;
}

/* NULL: the directory. */
static const struct control *control_at(fuse_ino_t number)
{
	return number >= FIRST_NUMBER && number < FIRST_NUMBER + CONTROLS ? &controls[number - FIRST_NUMBER] : NULL;
}

static bool is_written(const struct control *control)
{
	return !control->render && !control->is_leased;
}

/* 0: there is no such file. */
static fuse_ino_t find_name(const char *name)
{
	for (fuse_ino_t i = 0; i < CONTROLS; i++) {
		if (strcmp(controls[i].name, name) == 0)
			return FIRST_NUMBER + i;
	}
	return 0;
}

static struct virtuals *virtuals_of(fuse_req_t req)
{
	const struct mount *mount = fuse_req_userdata(req);

	return mount->virtuals;
}

/* On FUSE, tail -F reads as much as a file has grown. So that it sees a new state though that may be as long as the old one, there is
 * no size for a moment: as when a file is rewritten. */
static off_t size_of(const struct virtuals *virtuals, const struct control *control)
{
	struct buf text = BUF_INIT;
	off_t size;

	if (!control->is_live || !control->render || wall_clock() < atomic_load(&virtuals->changed) + REWRITE_MS)
		return 0;
	control->render(virtuals->mount, &text);
	size = (off_t)text.size;
	buf_release(&text);
	return size;
}

static struct stat attr_of(const struct virtuals *virtuals, fuse_ino_t number)
{
	const struct control *control = control_at(number);
	int64_t time = control ? atomic_load(&virtuals->changed) : virtuals->began;
	struct stat attr = {
		.st_ino = number,
		.st_mode = control ? S_IFREG | control->mode : S_IFDIR | 0755,
		.st_nlink = 1,
		.st_uid = virtuals->mount->uid,
		.st_gid = virtuals->mount->gid,
		.st_size = control ? size_of(virtuals, control) : 0,
		.st_blksize = IO_BLOCK,
	};

	if (control && !control->is_live)
		time = wall_clock();
	attr.st_mtim = (struct timespec){ .tv_sec = time / 1000, .tv_nsec = time % 1000 * 1000000 };
	attr.st_atim = attr.st_ctim = attr.st_mtim;
	return attr;
}

bool virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = FOREVER };

	if (parent == FUSE_ROOT_ID && strcmp(name, DIRECTORY_NAME) == 0)
		entry.ino = DIRECTORY_NUMBER;
	else if (parent == DIRECTORY_NUMBER)
		entry.ino = find_name(name);
	else
		return false;
	if (entry.ino) {
		entry.attr = attr_of(virtuals_of(req), entry.ino);
		(void)fuse_reply_entry(req, &entry);
	} else {
		(void)fuse_reply_err(req, ENOENT);
	}
	return true;
}

static void reply_attr(fuse_req_t req, fuse_ino_t number)
{
	const struct stat attr = attr_of(virtuals_of(req), number);

	(void)fuse_reply_attr(req, &attr, 0);
}

void virtual_saw_root(struct mount *mount, const struct stat *attr)
{
	pthread_mutex_lock(&mount->virtuals->lock);
	mount->virtuals->root = *attr;
	pthread_mutex_unlock(&mount->virtuals->lock);
}

static bool reply_old_root(fuse_req_t req)
{
	struct virtuals *virtuals = virtuals_of(req);
	const struct mount *mount = virtuals->mount;
	struct cache_view view;
	struct stat attr;

	if (!mount->options->allow_other || cache_is_watching(mount->cache))
		return false;
	cache_look(mount->cache, &view);
	pthread_mutex_lock(&virtuals->lock);
	attr = virtuals->root;
	pthread_mutex_unlock(&virtuals->lock);
	if (view.is_reading)
		return false;
	if (!attr.st_ino)
		attr = attr_of(virtuals, DIRECTORY_NUMBER);
	attr.st_ino = FUSE_ROOT_ID;
	(void)fuse_reply_attr(req, &attr, 0);
	return true;
}

bool virtual_getattr(fuse_req_t req, fuse_ino_t number)
{
	if (number == FUSE_ROOT_ID)
		return reply_old_root(req);
	if (!is_virtual(number))
		return false;
	reply_attr(req, number);
	return true;
}

static struct opened *opened_of(const struct fuse_file_info *info)
{
	return (struct opened *)(uintptr_t)info->fh; /* NOLINT(performance-no-int-to-ptr): libfuse keeps it so */
}

/* Nothing is kept, but that a transaction's file can be cut to nothing. */
bool virtual_setattr(fuse_req_t req, fuse_ino_t number, int to_set, const struct fuse_file_info *info)
{
	const struct mount *mount = fuse_req_userdata(req);
	const struct control *control = control_at(number);
	struct opened *opened = info ? opened_of(info) : NULL;
	bool is_refused = !control || !is_written(control);
	int error = mount->options->is_read_only ? EROFS : is_refused ? EPERM : 0;

	if (!is_virtual(number))
		return false;
	if (error && !announce_is_caller(req)) {
		(void)fuse_reply_err(req, error);
		return true;
	}
	if (opened && (to_set & FUSE_SET_ATTR_SIZE)) {
		pthread_mutex_lock(&opened->lock);
		buf_release(&opened->written);
		opened->broken = 0;
		pthread_mutex_unlock(&opened->lock);
	}
	reply_attr(req, number);
	return true;
}

bool virtual_access(fuse_req_t req, fuse_ino_t number, int mask)
{
	const struct mount *mount = fuse_req_userdata(req);
	const struct control *control = control_at(number);
	bool may_write = control && is_written(control);
	int error = 0;

	if (!is_virtual(number))
		return false;
	if ((mask & W_OK) && mount->options->is_read_only)
		error = EROFS;
	else if (((mask & W_OK) && !may_write) || ((mask & X_OK) && control))
		error = EACCES;
	(void)fuse_reply_err(req, error);
	return true;
}

bool virtual_xattr(fuse_req_t req, fuse_ino_t number)
{
	if (is_virtual(number))
		(void)fuse_reply_err(req, ENOTSUP);
	return is_virtual(number);
}

bool virtual_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	if (!is_virtual(number))
		return false;
	if (size)
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_xattr(req, 0);
	return true;
}

/* --- The directory --- */

bool virtual_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!is_virtual(number))
		return false;
	if (control_at(number))
		(void)fuse_reply_err(req, ENOTDIR);
	else
		(void)fuse_reply_open(req, info);
	return true;
}

/* With attributes it is just the name all the same, no lookup. */
static size_t add_entry(fuse_req_t req, char *to, size_t left, off_t place, bool with_attributes)
{
	static const char *const dots[] = { ".", ".." };
	const char *name = place < 2 ? dots[place] : controls[place - 2].name;
	struct fuse_entry_param entry = { 0 };

	entry.attr.st_ino = place == 0 ? DIRECTORY_NUMBER
		: place == 1
		? FUSE_ROOT_ID
		: (fuse_ino_t)place - 2 + FIRST_NUMBER;
	entry.attr.st_mode = place < 2 ? S_IFDIR : S_IFREG;
	if (with_attributes)
		return fuse_add_direntry_plus(req, to, left, name, &entry, place + 1);
	return fuse_add_direntry(req, to, left, name, &entry.attr, place + 1);
}

bool virtual_readdir(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, bool with_attributes)
{
	char page[1024];
	size_t used = 0;

	if (!is_virtual(number))
		return false;
	if (size > sizeof(page))
		size = sizeof(page);
	for (off_t place = offset; place >= 0 && place < 2 + CONTROLS; place++) {
		size_t entry = add_entry(req, page + used, size - used, place, with_attributes);

		if (entry > size - used)
			break;
		used += entry;
	}
	(void)fuse_reply_buf(req, page, used);
	return true;
}

bool virtual_releasedir(fuse_req_t req, fuse_ino_t number)
{
	if (is_virtual(number))
		(void)fuse_reply_err(req, 0);
	return is_virtual(number);
}

bool virtual_fsyncdir(fuse_req_t req, fuse_ino_t number)
{
	return virtual_releasedir(req, number);
}

/* --- Open files --- */

static void opened_free(struct opened *opened)
{
	buf_release(&opened->text);
	buf_release(&opened->written);
	if (opened->poll)
		fuse_pollhandle_destroy(opened->poll);
	pthread_mutex_destroy(&opened->lock);
	free(opened);
}

static void opened_get(struct opened *opened)
{
	pthread_mutex_lock(&opened->virtuals->lock);
	opened->refs++;
	pthread_mutex_unlock(&opened->virtuals->lock);
}

static void opened_put(struct opened *opened)
{
	struct virtuals *virtuals = opened->virtuals;
	bool is_last;

	pthread_mutex_lock(&virtuals->lock);
	is_last = --opened->refs == 0;
	if (is_last)
		DL_DELETE(virtuals->open, opened);
	pthread_mutex_unlock(&virtuals->lock);
	if (is_last)
		opened_free(opened);
}

void virtuals_free(struct virtuals *virtuals)
{
	struct opened *opened, *next;

	if (!virtuals)
		return;
	DL_FOREACH_SAFE (virtuals->open, opened, next) { /* the kernel never released them */
		DL_DELETE(virtuals->open, opened);
		opened_free(opened);
	}
	pthread_mutex_destroy(&virtuals->lock);
	free(virtuals);
}

static int check_open(const struct mount *mount, const struct control *control, int flags)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);

	if (!control)
		return EISDIR;
	if (writes && mount->options->is_read_only)
		return EROFS;
	return writes && !is_written(control) ? EACCES : 0;
}

bool virtual_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct virtuals *virtuals = virtuals_of(req);
	struct opened *opened = NULL;
	int error;

	if (!is_virtual(number))
		return false;
	if (announce_open(req, info))
		return true;
	error = check_open(virtuals->mount, control_at(number), info->flags);
	if (!error)
		opened = calloc(1, sizeof(*opened));
	if (!opened) {
		(void)fuse_reply_err(req, error ? error : ENOMEM);
		return true;
	}
	pthread_mutex_init(&opened->lock, NULL);
	opened->refs = 1;
	opened->virtuals = virtuals;
	opened->control = control_at(number);
	pthread_mutex_lock(&virtuals->lock);
	DL_APPEND(virtuals->open, opened);
	pthread_mutex_unlock(&virtuals->lock);
	info->fh = (uintptr_t)opened;
	info->direct_io = true;
	info->noflush = !is_written(opened->control);
	if (fuse_reply_open(req, info) < 0)
		opened_put(opened);
	return true;
}

bool virtual_release(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info)
{
	struct opened *opened = opened_of(info);

	if (!is_virtual(number))
		return false;
	if (opened && opened->written.size) /* no close that the kernel told of was its writer's */
		log_warning(
			"a transaction was written and not submitted, for its file was never closed by who wrote it");
	if (opened) /* the announcer's is none */
		opened_put(opened);
	(void)fuse_reply_err(req, 0);
	return true;
}

/* --- Reading --- */

static void give(struct buf *to, struct buf *from)
{
	buf_release(to);
	*to = *from;
	*from = (struct buf)BUF_INIT;
}

/* A read from the start makes the text anew. False: no memory. */
static bool renew(struct opened *opened, size_t offset)
{
	uint64_t serial = atomic_load(&opened->virtuals->serial); /* before it is made */
	struct buf made = BUF_INIT;
	bool is_known, has_memory;

	pthread_mutex_lock(&opened->lock);
	is_known = offset > 0 && opened->serial;
	pthread_mutex_unlock(&opened->lock);
	if (is_known)
		return true;
	opened->control->render(opened->virtuals->mount, &made);
	has_memory = !made.failed;
	pthread_mutex_lock(&opened->lock);
	give(&opened->text, &made);
	opened->serial = serial;
	pthread_mutex_unlock(&opened->lock);
	return has_memory;
}

/* What of the text is at offset; of a result, what comes next: who wrote it is somewhere behind it. */
static char *take_text_locked(struct opened *opened, size_t size, size_t offset, size_t *got)
{
	char *copy;

	if (is_written(opened->control))
		offset = offset > 0 ? opened->at : 0;
	*got = offset < opened->text.size ? opened->text.size - offset : 0;
	if (*got > size)
		*got = size;
	copy = malloc(*got + 1);
	if (copy && *got)
		memcpy(copy, opened->text.data + offset, *got);
	opened->at = offset + *got;
	return copy;
}

static char *take_text(struct opened *opened, size_t size, size_t offset, size_t *got)
{
	char *copy;

	pthread_mutex_lock(&opened->lock);
	copy = take_text_locked(opened, size, offset, got);
	pthread_mutex_unlock(&opened->lock);
	return copy;
}

static void leased(int error, const struct cache_lease *lease, void *arg)
{
	struct pending *pending = arg;
	struct opened *opened = opened_of(&pending->file);
	struct buf made = BUF_INIT;
	char *text = NULL;
	size_t got = 0;

	if (lease)
		report_lease(lease, &made);
	if (!error && !made.failed) {
		pthread_mutex_lock(&opened->lock);
		give(&opened->text, &made);
		opened->serial = 1;
		text = take_text_locked(opened, pending->size, (size_t)pending->offset, &got);
		pthread_mutex_unlock(&opened->lock);
	}
	buf_release(&made);
	if (text)
		(void)pending_reply_data(pending, text, got);
	else
		pending_fail(pending, error ? error : -ENOMEM);
	free(text);
	opened_put(opened);
}

static void lease(fuse_req_t req, struct opened *opened, size_t size, off_t offset)
{
	struct pending *pending = pending_start(req);
	int err;

	if (!pending)
		return;
	pending->file.fh = (uintptr_t)opened;
	pending->size = size;
	pending->offset = offset;
	opened_get(opened);
	err = cache_lease(pending->mount->cache, leased, pending);
	if (err)
		leased(err, NULL, pending);
}

/* It is to be asked for, not only the rest of it to be read. */
static bool is_to_be_leased(struct opened *opened, off_t offset)
{
	bool is_known;

	pthread_mutex_lock(&opened->lock);
	is_known = offset > 0 && opened->serial;
	pthread_mutex_unlock(&opened->lock);
	return opened->control->is_leased && !is_known;
}

/* Replies: read, error. */
bool virtual_read(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, const struct fuse_file_info *info)
{
	struct opened *opened = opened_of(info);
	bool has_memory;
	char *text = NULL;
	size_t got;

	if (!is_virtual(number))
		return false;
	if (is_to_be_leased(opened, offset)) {
		lease(req, opened, size, offset);
		return true;
	}
	has_memory = !opened->control->render || renew(opened, (size_t)offset);
	if (has_memory)
		text = take_text(opened, size, (size_t)offset, &got);
	if (text)
		(void)fuse_reply_buf(req, text, got);
	else
		(void)fuse_reply_err(req, ENOMEM);
	free(text);
	return true;
}

/* --- What is told of --- */

static void wake(struct opened *opened)
{
	struct fuse_pollhandle *handle;

	pthread_mutex_lock(&opened->lock);
	handle = opened->poll;
	opened->poll = NULL;
	pthread_mutex_unlock(&opened->lock);
	if (handle) {
		(void)fuse_lowlevel_notify_poll(handle);
		fuse_pollhandle_destroy(handle);
	}
}

/* The open file after this one, held; NULL: it was the last. */
static struct opened *next_open(struct virtuals *virtuals, struct opened *opened)
{
	struct opened *next;

	pthread_mutex_lock(&virtuals->lock);
	next = opened ? opened->next : virtuals->open;
	if (next)
		next->refs++;
	pthread_mutex_unlock(&virtuals->lock);
	return next;
}

void virtual_state_changed(void *arg)
{
	const struct mount *mount = arg;
	struct virtuals *virtuals = mount->virtuals;
	struct opened *opened;

	atomic_store(&virtuals->changed, wall_clock());
	atomic_fetch_add(&virtuals->serial, 1);
	for (opened = next_open(virtuals, NULL); opened;) {
		struct opened *next = next_open(virtuals, opened);

		if (opened->control->is_live)
			wake(opened);
		opened_put(opened);
		opened = next;
	}
	announce_state(mount->announce);
}

/* Replies: poll. POLLPRI: it has changed since it was last read. */
bool virtual_poll(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info, struct fuse_pollhandle *handle)
{
	unsigned events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	struct opened *opened = opened_of(info);
	struct fuse_pollhandle *old = handle;

	if (!is_virtual(number))
		return false;
	pthread_mutex_lock(&opened->lock);
	if (handle) {
		old = opened->poll;
		opened->poll = handle;
	}
	pthread_mutex_unlock(&opened->lock);
	if (old)
		fuse_pollhandle_destroy(old);
	/* After the handle is in place: who changes it from here on finds it. */
	pthread_mutex_lock(&opened->lock);
	if (opened->control->is_live && opened->serial && opened->serial != atomic_load(&opened->virtuals->serial))
		events |= POLLPRI;
	pthread_mutex_unlock(&opened->lock);
	(void)fuse_reply_poll(req, events);
	return true;
}

/* --- Transactions --- */

bool virtual_write(fuse_req_t req, fuse_ino_t number, const char *data, size_t size, const struct fuse_file_info *info)
{
	struct opened *opened = opened_of(info);
	int error;

	if (!is_virtual(number))
		return false;
	pthread_mutex_lock(&opened->lock);
	error = opened->broken;
	if (!error && opened->written.size + size > TEXT_MAX)
		error = -EFBIG;
	if (!error && opened->written.size == 0)
		opened->owner = info->lock_owner;
	if (!error && !buf_append(&opened->written, data, size))
		error = -ENOMEM;
	opened->broken = error;
	pthread_mutex_unlock(&opened->lock);
	if (error)
		(void)fuse_reply_err(req, -error);
	else
		(void)fuse_reply_write(req, size);
	return true;
}

static void begin_turn(struct turn *turn);

static void turn_told(void *arg)
{
	pending_fail(arg, 0);
}

/* Gives the turn to the next in line. */
static void end_turn(struct turn *turn, int error)
{
	struct opened *opened = turn->opened;
	struct pending *pending = turn->pending;
	struct turn *next;

	pthread_mutex_lock(&opened->lock);
	DL_DELETE(opened->turns, turn);
	next = opened->turns;
	pthread_mutex_unlock(&opened->lock);
	buf_release(&turn->text);
	free(turn);
	if (error)
		pending_fail(pending, error);
	else
		notify_after(pending->mount->notify, turn_told, pending);
	if (next)
		begin_turn(next);
	opened_put(opened);
}

static void submitted(int error, struct buf *result, void *arg)
{
	struct turn *turn = arg;
	struct opened *opened = turn->opened;

	pthread_mutex_lock(&opened->lock);
	give(&opened->text, result);
	opened->at = 0;
	pthread_mutex_unlock(&opened->lock);
	end_turn(turn, error);
}

static void begin_turn(struct turn *turn)
{
	const struct mount *mount = turn->opened->virtuals->mount;
	struct buf result = BUF_INIT;

	if (turn->broken) {
		submit_put_error(&result, 0, turn->broken,
			turn->broken == -EFBIG ? "it is larger than a transaction can be" : strerror(-turn->broken));
		submitted(turn->broken, &result, turn);
		buf_release(&result);
	} else if (turn->text.size) {
		submit(mount, turn->text.data, turn->text.size, submitted, turn);
	} else {
		end_turn(turn, 0); /* it was all submitted before */
	}
}

/* Submits what was written by then, after what was submitted before. */
static void submit_written(fuse_req_t req, struct opened *opened)
{
	struct pending *pending = pending_start(req);
	struct turn *turn = pending ? calloc(1, sizeof(*turn)) : NULL;
	bool is_first;

	if (!turn) {
		if (pending)
			pending_fail(pending, -ENOMEM);
		return;
	}
	turn->pending = pending;
	turn->opened = opened;
	opened_get(opened);
	pthread_mutex_lock(&opened->lock);
	turn->broken = opened->broken;
	opened->broken = 0;
	give(&turn->text, &opened->written);
	is_first = !opened->turns;
	DL_APPEND(opened->turns, turn);
	pthread_mutex_unlock(&opened->lock);
	if (is_first)
		begin_turn(turn);
}

/* Replies: error. A copy that another process inherited may be closed in the middle of the text. */
bool virtual_flush(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info)
{
	struct opened *opened = opened_of(info);
	bool is_foreign = false;

	if (!is_virtual(number))
		return false;
	if (opened && is_written(opened->control)) {
		pthread_mutex_lock(&opened->lock);
		is_foreign = opened->written.size && opened->owner && opened->owner != info->lock_owner;
		pthread_mutex_unlock(&opened->lock);
	}
	if (opened && is_written(opened->control) && !is_foreign)
		submit_written(req, opened);
	else /* also the announcer's, from Linux before 5.16 */
		(void)fuse_reply_err(req, 0);
	return true;
}

/* Replies: error. */
bool virtual_fsync(fuse_req_t req, fuse_ino_t number, const struct fuse_file_info *info)
{
	struct opened *opened = opened_of(info);

	if (!is_virtual(number))
		return false;
	if (opened && is_written(opened->control))
		submit_written(req, opened);
	else
		(void)fuse_reply_err(req, 0);
	return true;
}
