#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_hashed = false)
#include "cache/lockdir.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "cache/lockparts.h"

enum { UNUSED_MAX = 64 /* directories that are kept though nobody locks there now */ };

/* --- Queues --- */

static void clear(struct lock_queue *queue)
{
	for (size_t i = 0; i < queue->count; i++)
		free(queue->names[i]);
	queue->count = 0;
}

void lock_queue_release(struct lock_queue *queue)
{
	clear(queue);
	free(queue->nodes);
	free(queue->names);
	*queue = (struct lock_queue){ 0 };
}

static bool make_room(struct lock_queue *queue)
{
	size_t room = queue->room ? 2 * queue->room : 8;
	struct lock_node *nodes;
	char **names;

	if (queue->count < queue->room)
		return true;
	nodes = reallocarray(queue->nodes, room, sizeof(*nodes));
	if (nodes)
		queue->nodes = nodes;
	names = reallocarray(queue->names, room, sizeof(*names));
	if (names)
		queue->names = names;
	if (!nodes || !names)
		return false;
	queue->room = room;
	return true;
}

/* Whatever is no lock node is left out. False: no memory. */
static bool add(struct lock_queue *queue, const char *name)
{
	struct lock_node node;
	char *copy;

	if (!lock_parse(name, &node))
		return true;
	if (!make_room(queue))
		return false;
	copy = strdup(name);
	if (!copy)
		return false;
	queue->nodes[queue->count] = node;
	queue->names[queue->count++] = copy;
	return true;
}

/* Its place; the count: it is not there. */
static size_t find(const struct lock_queue *queue, const char *name)
{
	size_t i = 0;

	while (i < queue->count && strcmp(queue->names[i], name) != 0)
		i++;
	return i;
}

bool lock_queue_fill(struct lock_queue *queue, const struct listing *names)
{
	clear(queue);
	for (uint32_t i = 0; i < names->count; i++) {
		if (!add(queue, names->names[i])) {
			clear(queue);
			return false;
		}
	}
	return true;
}

/* --- Directories --- */

static void forget(struct lockdir *dir)
{
	dir->is_known = false;
	clear(&dir->queue);
}

static void lockdir_free(struct locks *locks, struct lockdir *dir)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow uthash through HASH_ITER */
	HASH_DEL(locks->dirs, dir);
	lock_queue_release(&dir->queue);
	free(dir);
}

static struct lockdir *find_dir(struct locks *locks, const char *path, size_t size)
{
	struct lockdir *dir;

	HASH_FIND(hh, locks->dirs, path, size, dir);
	return dir;
}

static struct lockdir *lockdir_new(struct locks *locks, const char *path, size_t size)
{
	struct lockdir *dir = calloc(1, sizeof(*dir) + size + 1);

	if (!dir)
		return NULL;
	memcpy(dir->path, path, size + 1);
	dir->is_hashed = true;
	HASH_ADD_KEYPTR(hh, locks->dirs, dir->path, size, dir);
	if (dir->is_hashed)
		return dir;
	free(dir);
	return NULL;
}

struct lockdir *lockdir_get(struct locks *locks, const char *path)
{
	size_t size = strlen(path);
	struct lockdir *dir = find_dir(locks, path, size);

	if (!dir)
		dir = lockdir_new(locks, path, size);
	else if (dir->users == 0) {
		DL_DELETE(locks->unused_dirs, dir);
		locks->unused_dir_count--;
	}
	if (dir)
		dir->users++;
	return dir;
}

void lockdir_put(struct locks *locks, struct lockdir *dir)
{
	if (!dir || --dir->users > 0)
		return;
	DL_APPEND(locks->unused_dirs, dir);
	if (++locks->unused_dir_count > UNUSED_MAX) {
		dir = locks->unused_dirs;
		DL_DELETE(locks->unused_dirs, dir);
		locks->unused_dir_count--;
		lockdir_free(locks, dir);
	}
}

bool lockdir_fill(struct lockdir *dir, const struct listing *names, const struct node_stat *stat, bool is_told)
{
	dir->births = ((uint32_t)stat->cversion + (uint32_t)stat->num_children) / 2;
	dir->is_known = lock_queue_fill(&dir->queue, names) && is_told;
	return dir->is_known || !is_told;
}

/* The directory that the znode is in, and the name that it has there; NULL: it is none of ours. */
static struct lockdir *dir_of(struct locks *locks, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');

	*name = slash + 1;
	return find_dir(locks, path, slash == path ? 1 : (size_t)(slash - path));
}

void lockdirs_created(struct locks *locks, const char *path)
{
	const char *name;
	struct lockdir *dir = dir_of(locks, path, &name);
	struct lock_node node;

	if (!dir || !dir->is_known || find(&dir->queue, name) < dir->queue.count)
		return;
	dir->births++;
	if (!lock_parse(name, &node))
		return;
	if (dir->births < node.number + 1 || !add(&dir->queue, name))
		forget(dir);
}

static void drop(struct lock_queue *queue, const char *name)
{
	size_t i = find(queue, name);

	if (i == queue->count)
		return;
	free(queue->names[i]);
	queue->count--;
	queue->names[i] = queue->names[queue->count];
	queue->nodes[i] = queue->nodes[queue->count];
}

void lockdirs_deleted(struct locks *locks, const char *path)
{
	const char *name;
	struct lockdir *dir = dir_of(locks, path, &name);

	if (dir)
		drop(&dir->queue, name);
	dir = find_dir(locks, path, strlen(path));
	if (dir) /* if it is made again, births begin anew */
		forget(dir);
}

void lockdirs_forget(struct locks *locks)
{
	struct lockdir *dir, *next;

	HASH_ITER (hh, locks->dirs, dir, next)
		forget(dir);
}

void lockdirs_free(struct locks *locks)
{
	struct lockdir *dir, *next;

	HASH_ITER (hh, locks->dirs, dir, next)
		lockdir_free(locks, dir);
}
