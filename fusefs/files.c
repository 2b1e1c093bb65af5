#include "fusefs/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cache/util/clock.h"
#include "cache/util/log.h"
#include "fusefs/draft.h"

enum {
	BUCKETS = 256,	  /* of open files, by inode */
	PAGED_MAX = 4096, /* bytes of a paged file: one page on every machine */
	/* For a release to arrive after its close: it was sent before whatever waits for it, but another thread may have it. */
	RELEASE_MS = 100,
	QUIET_MS = 2000, /* without a change, by the server's clock, before it is paged */
	/* What an open file holds is saved after so long without a further write (DESIGN.md section 3), */
	REST_MS = 1000,
	APPEND_MS = 5000, /* or, of an O_APPEND writer, so long after the first unsaved byte; */
	RETRY_MS = 5000,  /* and again after a failure. */
};

/* Somebody who waits until what was unsaved when he came is saved. */
struct saver {
	struct saver *prev, *next;
	bool keep;
	bool is_told; /* of what was lost before, too */
	file_saved_cb *done;
	void *arg;
};

struct file {
	struct file *prev, *next; /* under files->lock, */
	unsigned refs;		  /* and so is this, */
	bool is_held;		  /* and this: the znode lives as long as somebody has the inode open; */
	bool has_let_go;	  /* and this: it is closed */
	bool tells_all;		  /* never changes once it can be written to, */
	bool is_paged;		  /* never changes, */
	bool is_writer;		  /* nor does this, */
	struct files *files;	  /* nor this, */
	fuse_ino_t number;	  /* nor this */
	_Atomic(char *) path;	  /* of the znode; who has it open may use it until the file is freed */

	_Atomic(int64_t) put_off_at; /* ms: when its owner closed it though a truncation is unsaved; 0: has not */
	_Atomic(int64_t) due;	     /* ms: when it is to be saved by itself; 0: never */
	_Atomic(bool) has_changed;   /* since it was last read */
	_Atomic(bool) is_unlinked;
	_Atomic(bool) is_forfeit; /* see file_forfeit; it is broken, too, and stays so; set under lock */
	_Atomic(bool) is_released;
	_Atomic(bool) is_underway; /* as is_saving, a hint without lock */
	_Atomic(bool) is_unsaved;  /* there is something to save, or being saved; set under lock, a hint without it */
	_Atomic(uint64_t) turn;	   /* is_unsaved: which files it became so before; set under lock */

	pthread_mutex_t lock;	 /* a leaf, over the members below, but for `saving` while is_saving */
	struct inode_view inode; /* its path is the one below, or an older one */
	char **old_paths;	 /* freed with the file */
	size_t old_path_count;
	const char *saving_path; /* where the save under way goes; */
	bool saves_data;	 /* it is a directory's data */
	bool is_saving;
	bool is_written;	      /* something was written since the file was last saved */
	bool needs_birth;	      /* it was opened to make its znode, and has not yet */
	int64_t session;	      /* that saves are bound to; 0: to none */
	bool wants_newest;	      /* the next read, wherever it is, looks for newer contents */
	int broken;		      /* 0, or the -errno of the write that failed */
	int lost;		      /* 0, or the -errno of a save that cannot be tried again, to be told */
	int64_t written_at;	      /* ms: when the first of what is unsaved was written */
	struct node_stat stat;	      /* of base */
	struct bytes *base;	      /* the version it reads */
	uint64_t owner;		      /* 0: not known yet */
	struct draft draft;	      /* unsaved, over base */
	struct draft saving;	      /* on its way; the save under way alone uses it */
	struct bytes *old_base;	      /* while is_saving: what base was before it was taken to be saved */
	struct saver *savers;	      /* for the save under way */
	struct saver *next_savers;    /* for the one after it */
	struct fuse_pollhandle *poll; /* who waits for has_changed; NULL: nobody */
};

struct files {
	struct cache *cache;
	struct inodes *inodes;
	size_t max_data;
	pthread_t thread;
	_Atomic(int64_t) wakes_at; /* ms: when the thread looks for files that are due; INT64_MAX: it must be told */
	_Atomic(uint64_t) turns;   /* that were given out */

	pthread_mutex_t lock; /* a leaf, over the members below */
	pthread_cond_t news;  /* a save ended, a file was released, or written after its release was awaited */
	pthread_cond_t has_due;
	bool is_stopping;
	bool is_flushed; /* what files_flush found has been saved, or cannot be */
	size_t saves;	 /* under way */
	struct file *open[BUCKETS];
};

static void note_unsaved_locked(struct file *file)
{
	bool is_unsaved = file->draft.is_dirty || file->is_saving || file->needs_birth;

	atomic_store(&file->is_underway, file->is_saving);
	if (is_unsaved && !file->is_unsaved)
		atomic_store(&file->turn, atomic_fetch_add(&file->files->turns, 1));
	atomic_store(&file->is_unsaved, is_unsaved);
}

/* --- Life --- */

static void *files_main(void *arg);

struct files *files_new(struct cache *cache, struct inodes *inodes, size_t max_data)
{
	struct files *files = calloc(1, sizeof(*files));
	int err;

	if (!files)
		return NULL;
	files->cache = cache;
	files->inodes = inodes;
	files->max_data = max_data;
	pthread_mutex_init(&files->lock, NULL);
	clock_init_condition(&files->news);
	clock_init_condition(&files->has_due);
	err = pthread_create(&files->thread, NULL, files_main, files);
	if (!err)
		return files;
	free(files);
	errno = err;
	return NULL;
}

void files_stop(struct files *files)
{
	pthread_mutex_lock(&files->lock);
	files->is_stopping = true;
	pthread_cond_signal(&files->has_due);
	pthread_mutex_unlock(&files->lock);
	(void)pthread_join(files->thread, NULL);
}

static void file_free(struct file *file);

void files_free(struct files *files)
{
	if (!files)
		return;
	for (int i = 0; i < BUCKETS; i++) {
		struct file *file, *next;

		DL_FOREACH_SAFE (files->open[i], file, next)
			file_free(file);
	}
	pthread_cond_destroy(&files->has_due);
	pthread_cond_destroy(&files->news);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

static void count_save(struct files *files, bool begins)
{
	pthread_mutex_lock(&files->lock);
	files->saves += begins ? 1 : -(size_t)1;
	if (files->saves == 0)
		pthread_cond_broadcast(&files->news);
	pthread_mutex_unlock(&files->lock);
}

static struct file **bucket(struct files *files, fuse_ino_t inode)
{
	return &files->open[inode % BUCKETS];
}

static void file_free(struct file *file)
{
	draft_release(&file->draft);
	draft_release(&file->saving);
	bytes_put(file->base);
	bytes_put(file->old_base);
	inode_view_release(&file->inode);
	for (size_t i = 0; i < file->old_path_count; i++)
		free(file->old_paths[i]);
	free(file->old_paths);
	if (file->poll)
		fuse_pollhandle_destroy(file->poll);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

/* Not a hot file: for two changes in the time between a question for the size and one for the page the kernel's answer to the
 * first is dropped (fuse_change_attributes compares attr_version), and then the two might not fit. */
static bool is_quiet(const struct node_stat *stat)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return stat->mtime + QUIET_MS < (int64_t)now.tv_sec * 1000;
}

static bool has_writer_locked(struct files *files, fuse_ino_t inode)
{
	const struct file *file;

	DL_FOREACH (*bucket(files, inode), file) {
		if (file->number == inode && file->is_writer)
			return true;
	}
	return false;
}

static bool has_forfeit_locked(struct files *files, fuse_ino_t inode)
{
	const struct file *file;

	DL_FOREACH (*bucket(files, inode), file) {
		if (file->number == inode && atomic_load(&file->is_forfeit))
			return true;
	}
	return false;
}

static bool has_holder_locked(struct files *files, fuse_ino_t inode)
{
	const struct file *file;

	DL_FOREACH (*bucket(files, inode), file) {
		if (file->number == inode && file->is_held && !file->has_let_go)
			return true;
	}
	return false;
}

struct file *file_open(struct files *files, const struct inode_view *inode, const struct node_info *info, int flags)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	pthread_mutex_init(&file->lock, NULL);
	draft_init(&file->draft);
	draft_init(&file->saving);
	file->refs = 1;
	file->files = files;
	file->number = inode->number;
	file->inode = *inode;
	file->inode.path = strdup(inode->path);
	atomic_init(&file->path, file->inode.path);
	file->stat = info->stat;
	if (file->inode.czxid == INODE_UNBORN)
		file->inode.czxid = info->stat.czxid;
	file->needs_birth = file->inode.czxid == INODE_UNBORN && (flags & O_CREAT);
	file->is_writer = (flags & O_ACCMODE) != O_RDONLY;
	/* Of an empty one the kernel would never ask us, who might have to refuse (file_forfeit). */
	file->is_paged = !file->is_writer && info->data && info->data->size > 0 && info->data->size <= PAGED_MAX &&
		is_quiet(&info->stat);
	file->base = info->data ? bytes_get(info->data) : bytes_new(NULL, 0);
	if (!file->inode.path || !file->base ||
		((flags & O_TRUNC) && draft_truncate(&file->draft, 0, file->base->size) < 0)) {
		file_free(file);
		return NULL;
	}
	note_unsaved_locked(file); /* nobody else knows it yet */
	pthread_mutex_lock(&files->lock);
	/* The kernel's size may be that of what is unsaved; and what is read through a forfeit one must come here. */
	if (has_writer_locked(files, inode->number) || has_forfeit_locked(files, inode->number))
		file->is_paged = false;
	file->is_held = has_holder_locked(files, inode->number);
	DL_APPEND(*bucket(files, inode->number), file);
	pthread_mutex_unlock(&files->lock);
	return file;
}

void file_get(struct file *file)
{
	pthread_mutex_lock(&file->files->lock);
	file->refs++;
	pthread_mutex_unlock(&file->files->lock);
}

/* Whether some other open file of the inode may still make its znode. */
static bool has_other_parent(const struct file *file)
{
	struct files *files = file->files;
	const struct file *other;

	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, file->number), other) {
		if (other != file && other->number == file->number && other->is_unsaved && !other->is_unlinked)
			break;
	}
	pthread_mutex_unlock(&files->lock);
	return other != NULL;
}

/* This file will not make the inode's znode; if nobody will, it is not there any more. */
static void give_up_birth(struct file *file)
{
	if (!has_other_parent(file))
		inodes_abandon(file->files->inodes, file->number);
}

void file_put(struct file *file)
{
	struct files *files = file->files;
	bool is_last;

	pthread_mutex_lock(&files->lock);
	is_last = --file->refs == 0;
	if (is_last)
		DL_DELETE(*bucket(files, file->number), file);
	pthread_mutex_unlock(&files->lock);
	if (!is_last)
		return;
	if (file->inode.czxid == INODE_UNBORN)
		give_up_birth(file);
	file_free(file);
}

void file_hold(struct file *file)
{
	pthread_mutex_lock(&file->files->lock);
	file->is_held = true;
	pthread_mutex_unlock(&file->files->lock);
}

bool file_lets_go(struct file *file)
{
	struct files *files = file->files;
	bool lets_go;

	pthread_mutex_lock(&files->lock);
	file->has_let_go = true;
	lets_go = file->is_held && !has_holder_locked(files, file->number);
	pthread_mutex_unlock(&files->lock);
	return lets_go;
}

void file_tell_all(struct file *file)
{
	file->tells_all = true;
}

int64_t file_czxid(struct file *file)
{
	int64_t czxid;

	pthread_mutex_lock(&file->lock);
	czxid = file->inode.czxid;
	pthread_mutex_unlock(&file->lock);
	return czxid;
}

bool file_is_paged(const struct file *file)
{
	return file->is_paged;
}

bool file_is_alone(const struct file *file)
{
	struct files *files = file->files;
	const struct file *other;

	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, file->number), other) {
		if (other != file && other->number == file->number)
			break;
	}
	pthread_mutex_unlock(&files->lock);
	return other == NULL;
}

const char *file_path(const struct file *file)
{
	return atomic_load(&file->path);
}

/* --- Reading --- */

struct bytes *file_contents(struct file *file)
{
	struct bytes *contents = NULL;

	pthread_mutex_lock(&file->lock);
	if (!file->draft.is_dirty)
		contents = bytes_get(file->base);
	pthread_mutex_unlock(&file->lock);
	return contents;
}

size_t file_read(struct file *file, size_t offset, char *to, size_t size)
{
	size_t got;

	pthread_mutex_lock(&file->lock);
	got = draft_read(&file->draft, file->base->data, file->base->size, offset, to, size);
	pthread_mutex_unlock(&file->lock);
	return got;
}

bool file_wants_newer(struct file *file, size_t offset)
{
	bool wants;

	atomic_store(&file->has_changed, false); /* what changes from here on may be missed by this read */
	pthread_mutex_lock(&file->lock);
	wants = !file->draft.is_dirty && !file->is_saving &&
		(file->is_paged || file->wants_newest || offset == 0 || offset >= file->base->size);
	pthread_mutex_unlock(&file->lock);
	return wants;
}

static bool continues(const struct bytes *longer, const struct bytes *shorter)
{
	return longer->size > shorter->size && memcmp(longer->data, shorter->data, shorter->size) == 0;
}

void file_renew(struct file *file, size_t offset, const struct node_info *info)
{
	bool fits;

	if (!info->data)
		return;
	pthread_mutex_lock(&file->lock);
	/* A paged file's page must not be longer than the size that the kernel knows; if it is shorter, the kernel finds out. */
	fits = file->is_paged
		? info->data->size <= file->base->size
		: offset == 0 || file->wants_newest || continues(info->data, file->base);
	if (!file->is_saving)
		file->wants_newest = false;
	if (fits && inodes_match(file->files->inodes, &file->inode, &info->stat, info->data) && !file->draft.is_dirty &&
		!file->is_saving && file->stat.mzxid < info->stat.mzxid) { /* answers may come in the wrong order */
		bytes_put(file->base);
		file->base = bytes_get(info->data);
		file->stat = info->stat;
	}
	pthread_mutex_unlock(&file->lock);
}

void file_bind(struct file *file, int64_t session)
{
	pthread_mutex_lock(&file->lock);
	file->session = session;
	pthread_mutex_unlock(&file->lock);
}

void file_forfeit(struct file *file)
{
	pthread_mutex_lock(&file->lock);
	atomic_store(&file->is_forfeit, true);
	file->broken = -EIO;
	atomic_store(&file->due, 0);
	pthread_mutex_unlock(&file->lock);
}

bool file_is_forfeit(struct file *file)
{
	return atomic_load(&file->is_forfeit);
}

/* --- Writing --- */

/* Who waits in has_released looks again. */
static void tell_news(struct files *files)
{
	pthread_mutex_lock(&files->lock);
	pthread_cond_broadcast(&files->news);
	pthread_mutex_unlock(&files->lock);
}

/* --- Saving by itself --- */

/* Something was written: when it is to be saved if nothing more comes. Gives that. */
static int64_t note_written_locked(struct file *file, bool is_append)
{
	int64_t now = clock_now();
	int64_t due = now + REST_MS;

	if (!file->is_written)
		file->written_at = now;
	file->is_written = true;
	if (is_append && file->written_at + APPEND_MS < due)
		due = file->written_at + APPEND_MS;
	atomic_store(&file->due, due);
	return due;
}

/* The thread is told when it would come too late; mostly it wakes in time by itself, for an older file's sake. */
static void plan(struct files *files, int64_t due)
{
	if (atomic_load(&files->wakes_at) <= due)
		return;
	pthread_mutex_lock(&files->lock);
	pthread_cond_signal(&files->has_due);
	pthread_mutex_unlock(&files->lock);
}

/* A file that is due, held; NULL: none, and *next is when one will be. */
static struct file *find_due_locked(struct files *files, int64_t now, int64_t *next)
{
	struct file *file;

	*next = INT64_MAX;
	for (int i = 0; i < BUCKETS; i++) {
		DL_FOREACH (files->open[i], file) {
			int64_t due = file->due;

			if (due && due <= now) {
				file->refs++;
				return file;
			}
			if (due && due < *next)
				*next = due;
		}
	}
	return NULL;
}

/* Whoever closes the file is told of an error, by another try. */
static void rested(int error, void *arg)
{
	struct file *file = arg;
	int64_t due = clock_now() + RETRY_MS;

	if (error && atomic_load(&file->is_unsaved)) {
		atomic_store(&file->due, due);
		plan(file->files, due);
	}
	file_put(file);
}

static void save_in_order(struct file *file, const struct saver *who);

static void *files_main(void *arg)
{
	struct files *files = arg;
	int64_t next;

	pthread_mutex_lock(&files->lock);
	while (!files->is_stopping) {
		struct file *file;

		atomic_store(&files->wakes_at, INT64_MAX); /* who writes from here on either is seen below or tells */
		file = find_due_locked(files, clock_now(), &next);
		if (file) {
			pthread_mutex_unlock(&files->lock);
			atomic_store(&file->due, 0);
			save_in_order(file, &(struct saver){ .keep = true, .done = rested, .arg = file });
			pthread_mutex_lock(&files->lock);
		} else if (next == INT64_MAX) {
			(void)pthread_cond_wait(&files->has_due, &files->lock);
		} else {
			const struct timespec at = clock_at(next);

			atomic_store(&files->wakes_at, next);
			(void)pthread_cond_timedwait(&files->has_due, &files->lock, &at);
		}
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

/* --- Writing, as its callers see it --- */

static void meet_owner_locked(struct file *file, uint64_t owner)
{
	if (!file->owner)
		file->owner = owner;
}

int file_write(struct file *file, uint64_t owner, size_t offset, bool is_append, const char *data, size_t size)
{
	size_t max = file->files->max_data;
	size_t begin = offset;
	int64_t due;
	bool was_put_off;
	int err = -EFBIG;

	pthread_mutex_lock(&file->lock);
	if (file->is_forfeit) {
		pthread_mutex_unlock(&file->lock);
		return -EIO;
	}
	meet_owner_locked(file, owner);
	if (is_append)
		begin = draft_size(&file->draft, file->base->size);
	if (begin <= max && size <= max - begin)
		err = is_append ? draft_append(&file->draft, data, size)
				: draft_write(&file->draft, offset, data, size, file->base->size);
	if (err)
		file->broken = err;
	due = note_written_locked(file, is_append);
	was_put_off = atomic_exchange(&file->put_off_at, 0) != 0;
	note_unsaved_locked(file);
	pthread_mutex_unlock(&file->lock);
	plan(file->files, due);
	if (was_put_off)
		tell_news(file->files);
	return err;
}

int file_cut(struct file *file, size_t size)
{
	int64_t due = INT64_MAX;
	int err;

	if (size > file->files->max_data)
		return -EFBIG;
	pthread_mutex_lock(&file->lock);
	err = file->is_forfeit ? -EIO : draft_truncate(&file->draft, size, file->base->size);
	if (!err && size == 0) {
		file->broken = 0;
		file->is_written = false;
		atomic_store(&file->due, 0);
	} else if (!err) {
		due = note_written_locked(file, false);
	}
	note_unsaved_locked(file);
	pthread_mutex_unlock(&file->lock);
	plan(file->files, due);
	return err;
}

/* --- Saving --- */

static int take_lost_locked(struct file *file)
{
	int lost = file->lost;

	file->lost = 0;
	return lost;
}

static void tell_savers(struct file *file, struct saver *savers, int error)
{
	struct saver *saver, *next;

	DL_FOREACH_SAFE (savers, saver, next) {
		int lost = 0;

		if (saver->is_told) {
			pthread_mutex_lock(&file->lock);
			lost = take_lost_locked(file);
			pthread_mutex_unlock(&file->lock);
		}
		DL_DELETE(savers, saver);
		saver->done(error ? error : lost, saver->arg);
		free(saver);
	}
}

/* Lets the unsaved bytes be on their way: readers of this file see them as saved from now on. 0 or -ENOMEM. */
static int begin_saving_locked(struct file *file)
{
	struct buf composed = BUF_INIT;
	struct bytes *base = NULL;

	if (draft_compose(&file->draft, file->base->data, file->base->size, &composed) == 0)
		base = bytes_new(composed.data, composed.size);
	buf_release(&composed);
	if (!base)
		return -ENOMEM;
	file->old_base = file->base;
	file->base = base;
	draft_move(&file->saving, &file->draft);
	file->is_saving = true;
	file->is_written = false;
	file->needs_birth = false;
	atomic_store(&file->due, 0);
	note_unsaved_locked(file);
	return 0;
}

/* Whether bytes that could not be saved are still wanted. */
static bool wants_keep_locked(struct file *file)
{
	const struct saver *saver;

	if (atomic_load(&file->is_unlinked))
		return true;
	DL_FOREACH (file->savers, saver) {
		if (saver->keep)
			return true;
	}
	return false;
}

/* Whether it would be there twice if it were saved again: appended, and perhaps there already. */
static bool may_double_locked(const struct file *file, int error)
{
	return error == -EIO && file->saving.appended.size > 0 && !atomic_load(&file->is_unlinked);
}

static void end_saving_locked(struct file *file, int error, const struct node_stat *stat, struct bytes *data)
{
	bytes_put(error ? file->base : file->old_base);
	if (error)
		file->base = file->old_base;
	file->old_base = NULL;
	if (may_double_locked(file, error))
		file->lost = error;
	else if (error && wants_keep_locked(file) &&
		draft_overlay(&file->saving, &file->draft, file->base->size) == 0) {
		draft_move(&file->draft, &file->saving);
		file->needs_birth = file->inode.czxid == INODE_UNBORN;
	}
	draft_release(&file->saving);
	file->is_saving = false;
	note_unsaved_locked(file);
	if (error)
		return;
	/* What the ensemble has may be more than we wrote: others' changes were merged. */
	bytes_put(file->base);
	file->base = bytes_get(data);
	file->stat = *stat;
	if (file->inode.czxid == INODE_UNBORN)
		file->inode.czxid = stat->czxid;
}

static void save(struct file *file);

static bool save_elsewhere(struct file *file);

static void saved(int error, const struct node_stat *stat, struct bytes *data, void *arg)
{
	struct file *file = arg;
	struct saver *savers;
	bool goes_on, is_lost;

	if ((error == -ENOENT || error == -ESTALE) && save_elsewhere(file))
		return;
	if (!error)
		inodes_born(file->files->inodes, file->number, stat->czxid);
	pthread_mutex_lock(&file->lock);
	end_saving_locked(file, error, stat, data);
	is_lost = error && file->inode.czxid == INODE_UNBORN && !file->is_unsaved;
	if (error && atomic_load(&file->is_unlinked))
		error = 0; /* as with any unlinked file: it has nowhere to be kept */
	savers = file->savers;
	file->savers = file->next_savers;
	file->next_savers = NULL;
	goes_on = file->savers != NULL;
	pthread_mutex_unlock(&file->lock);
	if (is_lost)
		give_up_birth(file);
	tell_savers(file, savers, error);
	if (goes_on)
		save(file);
	count_save(file->files, false);
	file_put(file);
}

static int compose(const struct node_info *old, struct buf *out, void *arg)
{
	const struct file *file = arg;

	if (old->stat.czxid && !file->saving.is_dirty)
		return 1; /* only to be made, and somebody has */
	if (old->stat.czxid && !file->saves_data && kind_of(&old->stat, false) == KIND_DIRECTORY)
		return -EISDIR;
	return draft_compose(&file->saving, old->data ? old->data->data : NULL, old->data ? old->data->size : 0, out);
}

/* What the save under way is to do. */
static struct cache_edit edit_locked(struct file *file)
{
	file->saving_path = atomic_load(&file->path);
	file->saves_data = file->inode.type == INODE_DATA;
	return (struct cache_edit){
		.compose = compose,
		.done = saved,
		.arg = file,
		.is_whole = draft_is_whole(&file->saving),
		.is_directory = file->saves_data,
		.may_create = file->inode.czxid == INODE_UNBORN,
		.is_told = file->tells_all,
		.session = file->session,
		.czxid = file->inode.czxid == INODE_UNBORN ? 0 : file->inode.czxid,
	};
}

/* There was no such znode: it may have been moved meanwhile, and the file with it. False: it was not. */
static bool save_elsewhere(struct file *file)
{
	struct cache_edit edit;
	const char *path;
	bool has_moved;

	pthread_mutex_lock(&file->lock);
	has_moved = file->saving_path != atomic_load(&file->path);
	edit = edit_locked(file);
	path = file->saving_path;
	pthread_mutex_unlock(&file->lock);
	return has_moved && cache_update(file->files->cache, path, &edit) == 0;
}

/* Saves for those in file->savers. No save is under way. */
static void save(struct file *file)
{
	struct cache_edit edit;
	struct saver *savers = NULL;
	const char *path = NULL;
	int err;

	file_get(file);
	count_save(file->files, true);
	pthread_mutex_lock(&file->lock);
	err = begin_saving_locked(file);
	edit = edit_locked(file);
	path = file->saving_path;
	if (err) {
		savers = file->savers;
		file->savers = NULL;
	}
	pthread_mutex_unlock(&file->lock);
	if (err) {
		tell_savers(file, savers, err);
		count_save(file->files, false);
		file_put(file);
		return;
	}
	err = cache_update(file->files->cache, path, &edit);
	if (err)
		saved(err, NULL, NULL, file);
}

/* Puts the saver where he belongs. True: a save is to be begun. Where there are savers already, somebody is about to. */
static bool join_savers_locked(struct file *file, struct saver *saver)
{
	bool is_first = !file->savers;

	if (file->is_saving && file->draft.is_dirty) {
		DL_APPEND(file->next_savers, saver);
		return false;
	}
	DL_APPEND(file->savers, saver);
	return is_first && !file->is_saving;
}

/* As save_in_order, whatever other open files of the inode have. */
static void save_alone(struct file *file, const struct saver *who)
{
	struct saver *saver = malloc(sizeof(*saver));
	bool has_work;
	bool begins = false;
	int error = 0;

	if (!saver) {
		who->done(-ENOMEM, who->arg);
		return;
	}
	*saver = *who;
	pthread_mutex_lock(&file->lock);
	/* An unlinked file keeps what was written for as long as it is open, and for nobody else. */
	has_work = !file->broken &&
		(file->is_saving || ((file->draft.is_dirty || file->needs_birth) && !atomic_load(&file->is_unlinked)));
	if (has_work)
		begins = join_savers_locked(file, saver);
	else if (file->broken)
		error = file->broken;
	else if (who->is_told)
		error = take_lost_locked(file);
	pthread_mutex_unlock(&file->lock);
	if (!has_work) {
		free(saver);
		who->done(error, who->arg);
	} else if (begins) {
		save(file);
	}
}

/* --- Several open files --- */

/* Some open files, held, and what became of them. */
struct save_all {
	struct file **files;
	size_t count, saved;
	bool keep;
	void (*save)(struct file *file, const struct saver *who);
	int error;
	file_saved_cb *done;
	void *arg;
};

static void save_next(struct save_all *all);

static void one_saved(int error, void *arg)
{
	struct save_all *all = arg;

	file_put(all->files[all->saved++]);
	if (!all->error)
		all->error = error;
	save_next(all);
}

static void save_next(struct save_all *all)
{
	if (all->saved < all->count) {
		all->save(all->files[all->saved], &(struct saver){ .keep = all->keep, .done = one_saved, .arg = all });
		return;
	}
	all->done(all->error, all->arg);
	free(all->files);
	free(all);
}

/* Which open files are meant: all without either. */
struct choice {
	fuse_ino_t inode;
	const char *path; /* at it, and below */
	bool is_unsaved;
	bool is_written;	       /* not merely emptied, or to be made */
	bool is_released;	       /* and not unlinked */
	const struct file *older_than; /* of the same inode, and became unsaved before */
};

static bool is_older(const struct file *file, const struct file *than)
{
	return file != than && file->number == than->number && !file->is_unlinked && file->turn < than->turn;
}

static bool is_chosen(const struct file *file, const struct choice *choice)
{
	const char *path = atomic_load(&file->path);
	size_t size = choice->path && !inode_path_is_root(choice->path) ? strlen(choice->path) : 0;

	if (choice->is_unsaved && !file->is_unsaved)
		return false;
	if (choice->is_released && (!file->is_released || file->is_unlinked))
		return false;
	if (choice->older_than)
		return is_older(file, choice->older_than);
	if (choice->path)
		return strncmp(path, choice->path, size) == 0 && (path[size] == '\0' || path[size] == '/');
	return !choice->inode || file->number == choice->inode;
}

static int compare_turns(const void *a, const void *b)
{
	uint64_t turns[] = { (*(struct file *const *)a)->turn, (*(struct file *const *)b)->turn };

	return (turns[0] > turns[1]) - (turns[0] < turns[1]);
}

/* Those, held, in *list, which the caller frees. Gives how many; -ENOMEM. */
static ssize_t gather(struct files *files, const struct choice *choice, struct file ***list)
{
	struct file *file;
	size_t chosen = 0;
	ssize_t count = 0;

	pthread_mutex_lock(&files->lock);
	for (int i = 0; i < BUCKETS; i++) {
		DL_FOREACH (files->open[i], file)
			chosen += is_chosen(file, choice) ? 1 : 0;
	}
	*list = calloc(chosen + 1, sizeof(struct file *));
	for (int i = 0; *list && i < BUCKETS; i++) {
		DL_FOREACH (files->open[i], file) {
			if ((size_t)count < chosen && is_chosen(file, choice)) {
				file->refs++;
				(*list)[count++] = file;
			}
		}
	}
	pthread_mutex_unlock(&files->lock);
	return *list ? count : -ENOMEM;
}

static void save_written(struct file *file, const struct saver *who)
{
	if (file_is_bare(file))
		who->done(0, who->arg);
	else
		save_alone(file, who);
}

/* In the order in which they became unsaved: each is merged with what was saved before it. */
static void save_chosen(struct files *files, const struct choice *choice, file_saved_cb *done, void *arg)
{
	struct save_all *all = calloc(1, sizeof(*all));
	bool has_memory = all != NULL;

	if (all) {
		ssize_t count = gather(files, choice, &all->files);

		has_memory = count >= 0;
		all->count = has_memory ? (size_t)count : 0;
		if (all->count)
			qsort(all->files, all->count, sizeof(struct file *), compare_turns);
		/* What nobody can save any more is dropped if it cannot be now, and does not overtake what is older. */
		all->save = choice->is_released ? save_in_order : choice->is_written ? save_written : save_alone;
		all->keep = !choice->is_released;
		all->done = done;
		all->arg = arg;
	}
	if (has_memory) {
		save_next(all);
	} else {
		free(all);
		done(-ENOMEM, arg);
	}
}

struct late_save {
	struct file *file;
	struct saver who;
};

/* An error is kept for those whose bytes they are. */
static void older_saved(int error, void *arg)
{
	struct late_save *late = arg;

	(void)error;
	save_alone(late->file, &late->who);
	file_put(late->file);
	free(late);
}

/* Whether it is to be merged with what another open file of the inode had to save before. One that replaces the contents is not:
 * there the last close wins. */
static bool has_older(struct file *file)
{
	struct files *files = file->files;
	const struct file *other = NULL;
	bool merges;

	pthread_mutex_lock(&file->lock);
	merges = file->is_unsaved && !file->broken && !draft_is_whole(&file->draft);
	pthread_mutex_unlock(&file->lock);
	if (!merges)
		return false;
	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, file->number), other) {
		if (other->is_unsaved && is_older(other, file))
			break;
	}
	pthread_mutex_unlock(&files->lock);
	return other != NULL;
}

static void save_in_order(struct file *file, const struct saver *who)
{
	const struct choice older = { .older_than = file, .is_unsaved = true };
	struct late_save *late;

	if (!has_older(file)) {
		save_alone(file, who);
		return;
	}
	late = malloc(sizeof(*late));
	if (!late) {
		who->done(-ENOMEM, who->arg);
		return;
	}
	*late = (struct late_save){ .file = file, .who = *who };
	file_get(file);
	save_chosen(file->files, &older, older_saved, late);
}

void file_save(struct file *file, bool keep, file_saved_cb *done, void *arg)
{
	save_in_order(file, &(struct saver){ .keep = keep, .is_told = true, .done = done, .arg = arg });
}

static bool is_bare_locked(const struct file *file)
{
	if (file->is_written)
		return false;
	return file->draft.is_dirty ? draft_is_whole(&file->draft) : file->needs_birth;
}

bool file_is_bare(struct file *file)
{
	bool is_bare;

	pthread_mutex_lock(&file->lock);
	is_bare = is_bare_locked(file);
	pthread_mutex_unlock(&file->lock);
	return is_bare;
}

void file_close(struct file *file, uint64_t owner, bool has_copy, file_saved_cb *done, void *arg)
{
	bool is_put_off;

	pthread_mutex_lock(&file->lock);
	meet_owner_locked(file, owner);
	is_put_off = file->owner != owner;
	if (!is_put_off && has_copy && is_bare_locked(file)) {
		is_put_off = true;
		atomic_store(&file->put_off_at, clock_now());
	}
	is_put_off = is_put_off && !file->broken;
	pthread_mutex_unlock(&file->lock);
	if (is_put_off)
		done(0, arg);
	else
		file_save(file, false, done, arg);
}

void file_release(struct file *file, file_saved_cb *done, void *arg)
{
	atomic_store(&file->is_released, true);
	tell_news(file->files);
	file_save(file, false, done, arg);
}

/* Until when to wait for a release that may be on its way; 0: there is none. */
static int64_t release_due_locked(struct files *files, fuse_ino_t inode)
{
	const struct file *file;
	int64_t due = 0;

	DL_FOREACH (*bucket(files, inode), file) {
		int64_t put_off_at = file->put_off_at;

		if (file->number == inode && put_off_at && !file->is_released && put_off_at + RELEASE_MS > due)
			due = put_off_at + RELEASE_MS;
	}
	return due > clock_now() ? due : 0;
}

/* Whether a released file of the inode has something unsaved. */
static bool has_released(struct files *files, fuse_ino_t inode)
{
	const struct choice choice = { .inode = inode, .is_unsaved = true, .is_released = true };
	const struct file *file;
	int64_t due;

	pthread_mutex_lock(&files->lock);
	while ((due = release_due_locked(files, inode)) != 0) {
		const struct timespec at = clock_at(due);

		(void)pthread_cond_timedwait(&files->news, &files->lock, &at);
	}
	DL_FOREACH (*bucket(files, inode), file) {
		if (is_chosen(file, &choice))
			break;
	}
	pthread_mutex_unlock(&files->lock);
	return file != NULL;
}

void files_refresh(struct files *files, fuse_ino_t inode)
{
	struct file **list;
	ssize_t count = gather(files, &(struct choice){ .inode = inode }, &list);

	for (ssize_t i = 0; i < count; i++) {
		pthread_mutex_lock(&list[i]->lock);
		list[i]->wants_newest = true;
		pthread_mutex_unlock(&list[i]->lock);
		file_put(list[i]);
	}
	if (count >= 0)
		free(list);
}

struct settle {
	file_saved_cb *done;
	void *arg;
};

static void settled(int error, void *arg)
{
	struct settle *settle = arg;

	(void)error; /* the log has it; who opens the file now finds what there is */
	settle->done(0, settle->arg);
	free(settle);
}

void files_settle(struct files *files, fuse_ino_t inode, file_saved_cb *done, void *arg)
{
	const struct choice released = { .inode = inode, .is_unsaved = true, .is_released = true };
	struct settle *settle;

	if (!has_released(files, inode)) {
		done(0, arg);
		return;
	}
	settle = malloc(sizeof(*settle));
	if (!settle) {
		done(-ENOMEM, arg);
		return;
	}
	*settle = (struct settle){ .done = done, .arg = arg };
	save_chosen(files, &released, settled, settle);
}

/* --- All open files of an inode --- */

void files_save(struct files *files, fuse_ino_t inode, file_saved_cb *done, void *arg)
{
	const struct choice choice = { .inode = inode, .is_unsaved = true };

	save_chosen(files, &choice, done, arg);
}

void files_save_below(struct files *files, const char *path, file_saved_cb *done, void *arg)
{
	const struct choice choice = { .path = path, .is_unsaved = true };

	save_chosen(files, &choice, done, arg);
}

static void flushed(int error, void *arg)
{
	struct files *files = arg;

	if (error)
		log_error("what was written to files that are still open is lost: %s", strerror(-error));
	pthread_mutex_lock(&files->lock);
	files->is_flushed = true;
	pthread_cond_broadcast(&files->news);
	pthread_mutex_unlock(&files->lock);
}

void files_flush(struct files *files, int ms)
{
	const struct choice written = { .is_unsaved = true, .is_written = true };
	const struct timespec until = clock_at(clock_now() + ms);
	int err = 0;

	save_chosen(files, &written, flushed, files);
	pthread_mutex_lock(&files->lock);
	while ((!files->is_flushed || files->saves > 0) && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&files->news, &files->lock, &until);
	pthread_mutex_unlock(&files->lock);
	if (err)
		log_error("what was written to files that are still open is lost: no server has answered in time");
}

static void follow(struct file *file)
{
	struct inode_view now;
	char **paths;

	if (inodes_look(file->files->inodes, file->number, &now) < 0)
		return;
	pthread_mutex_lock(&file->lock);
	file->inode.czxid = now.czxid;
	file->inode.type = now.type;
	paths = strcmp(now.path, file->path) != 0
		? reallocarray(file->old_paths, file->old_path_count + 1, sizeof(char *))
		: NULL;
	if (paths) {
		file->old_paths = paths;
		paths[file->old_path_count++] = now.path;
		atomic_store(&file->path, now.path);
		now.path = NULL;
	}
	pthread_mutex_unlock(&file->lock);
	inode_view_release(&now);
}

void files_follow(struct files *files)
{
	const struct choice everything = { 0 };
	struct file **list;
	ssize_t count = gather(files, &everything, &list);

	for (ssize_t i = 0; i < count; i++) {
		follow(list[i]);
		file_put(list[i]);
	}
	if (count >= 0)
		free(list);
}

static void take_saved(struct file *file, int64_t *mzxid, struct bytes **newest)
{
	struct bytes *base;

	pthread_mutex_lock(&file->lock);
	base = file->is_saving ? file->old_base : file->base;
	if (!*newest || file->stat.mzxid > *mzxid) {
		bytes_put(*newest);
		*newest = bytes_get(base);
		*mzxid = file->stat.mzxid;
	}
	pthread_mutex_unlock(&file->lock);
}

struct bytes *files_saved(struct files *files, fuse_ino_t inode)
{
	const struct choice choice = { .inode = inode };
	struct bytes *newest = NULL;
	int64_t mzxid = 0;
	struct file **list;
	ssize_t count = gather(files, &choice, &list);

	for (ssize_t i = 0; i < count; i++) {
		take_saved(list[i], &mzxid, &newest);
		file_put(list[i]);
	}
	if (count >= 0)
		free(list);
	return newest;
}

/* --- poll --- */

bool file_poll(struct file *file, struct fuse_pollhandle *handle)
{
	struct fuse_pollhandle *old = NULL;

	if (handle) {
		pthread_mutex_lock(&file->lock);
		old = file->poll;
		file->poll = handle;
		pthread_mutex_unlock(&file->lock);
	}
	if (old)
		fuse_pollhandle_destroy(old);
	return atomic_load(&file->has_changed); /* after the handle is where who changes it finds it */
}

/* The open files of the inode, or of all for 0, as gather does; asked for every change, so mostly there are none. */
static ssize_t gather_open(struct files *files, fuse_ino_t inode, struct file ***list)
{
	const struct choice choice = { .inode = inode };
	const struct file *file = NULL;

	if (inode) {
		pthread_mutex_lock(&files->lock);
		DL_SEARCH_SCALAR(*bucket(files, inode), file, number, inode);
		pthread_mutex_unlock(&files->lock);
	}
	return inode && !file ? -ENOENT : gather(files, &choice, list);
}

void files_changed(struct files *files, fuse_ino_t inode)
{
	struct file **list;
	ssize_t count = gather_open(files, inode, &list);

	for (ssize_t i = 0; i < count; i++) {
		atomic_store(&list[i]->has_changed, true);
		file_put(list[i]);
	}
	if (count >= 0)
		free(list);
}

static void wake_poll(struct file *file)
{
	struct fuse_pollhandle *handle;

	pthread_mutex_lock(&file->lock);
	handle = file->poll;
	file->poll = NULL;
	pthread_mutex_unlock(&file->lock);
	if (handle) {
		(void)fuse_lowlevel_notify_poll(handle);
		fuse_pollhandle_destroy(handle);
	}
}

void files_wake_polls(struct files *files, fuse_ino_t inode)
{
	struct file **list;
	ssize_t count = gather_open(files, inode, &list);

	for (ssize_t i = 0; i < count; i++) {
		wake_poll(list[i]);
		file_put(list[i]);
	}
	if (count >= 0)
		free(list);
}

/* --- What an inode's open files know --- */

bool files_are_saving(struct files *files, fuse_ino_t inode)
{
	bool are_saving = false;
	struct file *file;

	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, inode), file)
		are_saving |= file->number == inode && file->is_underway;
	pthread_mutex_unlock(&files->lock);
	return are_saving;
}

/* An open file of the inode, held: one with unsaved bytes if that is asked for. NULL: none. */
static struct file *find(struct files *files, fuse_ino_t inode, bool unsaved)
{
	struct file *file;

	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, inode), file) {
		if (file->number == inode && (!unsaved || atomic_load(&file->is_unsaved)))
			break;
	}
	if (file)
		file->refs++;
	pthread_mutex_unlock(&files->lock);
	return file;
}

/* The next paged file of the inode from this place in its bucket on, held; NULL: none. */
static struct file *next_paged_locked(struct file *from, fuse_ino_t inode)
{
	while (from && !(from->number == inode && from->is_paged))
		from = from->next;
	if (from)
		from->refs++;
	return from;
}

static void take_told(struct file *file, const struct node_info *info)
{
	pthread_mutex_lock(&file->lock);
	if (info->data && info->stat.mzxid > file->stat.mzxid) { /* two answers may come here in the wrong order */
		bytes_put(file->base);
		file->base = bytes_get(info->data);
		file->stat = info->stat;
	}
	pthread_mutex_unlock(&file->lock);
}

void files_told(struct files *files, fuse_ino_t inode, const struct node_info *info)
{
	struct file *file;

	pthread_mutex_lock(&files->lock);
	file = next_paged_locked(*bucket(files, inode), inode);
	pthread_mutex_unlock(&files->lock);
	while (file) {
		struct file *told = file;

		take_told(told, info);
		pthread_mutex_lock(&files->lock);
		file = next_paged_locked(told->next, inode);
		pthread_mutex_unlock(&files->lock);
		file_put(told);
	}
}

bool files_are_paged(struct files *files, fuse_ino_t inode)
{
	struct file *file;

	pthread_mutex_lock(&files->lock);
	file = next_paged_locked(*bucket(files, inode), inode);
	pthread_mutex_unlock(&files->lock);
	if (file)
		file_put(file);
	return file != NULL;
}

void files_unlinked(struct files *files, fuse_ino_t inode)
{
	struct file *file;

	pthread_mutex_lock(&files->lock);
	DL_FOREACH (*bucket(files, inode), file) {
		if (file->number == inode)
			atomic_store(&file->is_unlinked, true);
	}
	pthread_mutex_unlock(&files->lock);
}

bool files_unsaved_size(struct files *files, fuse_ino_t inode, size_t *size)
{
	struct file *file = find(files, inode, true);

	if (!file)
		return false;
	pthread_mutex_lock(&file->lock);
	*size = draft_size(&file->draft, file->base->size);
	pthread_mutex_unlock(&file->lock);
	file_put(file);
	return true;
}

void files_look(struct files *files, struct files_view *view)
{
	const struct file *file;

	*view = (struct files_view){ 0 };
	pthread_mutex_lock(&files->lock);
	view->saves = files->saves;
	for (int i = 0; i < BUCKETS; i++) {
		DL_FOREACH (files->open[i], file) {
			view->open++;
			view->unsaved += atomic_load(&file->is_unsaved) ? 1 : 0;
		}
	}
	pthread_mutex_unlock(&files->lock);
}

bool files_last_stat(struct files *files, fuse_ino_t inode, struct node_stat *stat)
{
	struct file *file = find(files, inode, false);

	if (!file)
		return false;
	pthread_mutex_lock(&file->lock);
	*stat = file->stat;
	stat->data_length = (int32_t)draft_size(&file->draft, file->base->size);
	pthread_mutex_unlock(&file->lock);
	file_put(file);
	return true;
}

bool files_unborn(struct files *files, fuse_ino_t inode, struct node_info *info)
{
	struct file *file = find(files, inode, true);
	struct buf composed = BUF_INIT;

	memset(info, 0, sizeof(*info));
	if (!file)
		return false;
	pthread_mutex_lock(&file->lock);
	info->stat = file->stat;
	if (!file->is_unlinked && file->inode.czxid == INODE_UNBORN &&
		draft_compose(&file->draft, file->base->data, file->base->size, &composed) == 0)
		info->data = bytes_new(composed.data, composed.size);
	pthread_mutex_unlock(&file->lock);
	buf_release(&composed);
	file_put(file);
	if (!info->data)
		return false;
	info->stat.data_length = (int32_t)info->data->size;
	info->changed = info->stat.mtime;
	return true;
}
