#include "fusefs/survey.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/util/clock.h"
#include "fusefs/inode.h"

enum {
	WINDOW = 64,   /* directories asked for at once */
	LOOK_MS = 100, /* how often to look whether to end */
};

/* A directory that the kernel knows. */
struct place {
	struct survey *survey;
	const char *path;
	bool is_hidden;			 /* it may not be listed */
	struct cache_children *children; /* NULL: not there any more, or hidden */
	const struct cache_child **by_name;
};

struct survey {
	struct mount *mount;
	int64_t from, to;
	struct inode_view *known; /* by path */
	size_t known_count;
	struct place *places; /* the directories of known, in its order */
	size_t place_count;
	survey_found_cb *found;
	void *arg;

	pthread_mutex_t lock; /* over the members below */
	pthread_cond_t news;
	size_t under_way;
	int error;
};

/* --- What there is --- */

static int compare_children(const void *a, const void *b)
{
	return strcmp((*(const struct cache_child *const *)a)->name, (*(const struct cache_child *const *)b)->name);
}

static bool sort_by_name(struct place *place)
{
	const struct cache_children *children = place->children;

	place->by_name = malloc((children->count + 1) * sizeof(struct cache_child *));
	if (!place->by_name)
		return false;
	for (size_t i = 0; i < children->count; i++)
		place->by_name[i] = &children->list[i];
	if (children->count)
		qsort(place->by_name, children->count, sizeof(struct cache_child *), compare_children);
	return true;
}

static void listed(int error, struct cache_children *children, void *arg)
{
	struct place *place = arg;
	struct survey *survey = place->survey;

	if (!error) {
		place->children = cache_children_get(children);
		if (!sort_by_name(place))
			error = -ENOMEM;
	}
	place->is_hidden = error == -EACCES;
	pthread_mutex_lock(&survey->lock);
	if (error && error != -ENOENT && error != -EACCES)
		survey->error = error;
	survey->under_way--;
	pthread_cond_signal(&survey->news);
	pthread_mutex_unlock(&survey->lock);
}

/* Until at most so many are under way. All of them end: the cache gives each an answer in time. */
static void await(struct survey *survey, size_t most, const _Atomic(bool) *is_stopping)
{
	pthread_mutex_lock(&survey->lock);
	while (survey->under_way > most) {
		const struct timespec at = clock_at(clock_now() + LOOK_MS);

		(void)pthread_cond_timedwait(&survey->news, &survey->lock, &at);
		if (*is_stopping)
			survey->error = -ECANCELED;
	}
	pthread_mutex_unlock(&survey->lock);
}

static void synced(int error, const struct node_stat *stat, void *arg)
{
	struct survey *survey = arg;

	(void)stat;
	pthread_mutex_lock(&survey->lock);
	survey->error = error;
	survey->under_way--;
	pthread_cond_signal(&survey->news);
	pthread_mutex_unlock(&survey->lock);
}

/* Until when the gap may have lasted. */
static int find_end(struct survey *survey, const _Atomic(bool) *is_stopping)
{
	int err;

	survey->under_way++; /* nobody else knows it yet */
	err = cache_sync(survey->mount->cache, synced, survey);
	if (err)
		synced(err, NULL, survey);
	await(survey, 0, is_stopping);
	survey->to = cache_passed(survey->mount->cache);
	return survey->error || survey->to ? survey->error : -EAGAIN;
}

static int list_all(struct survey *survey, const _Atomic(bool) *is_stopping)
{
	int error = 0;

	for (size_t i = 0; i < survey->place_count && !error; i++) {
		struct place *place = &survey->places[i];
		int err;

		await(survey, WINDOW - 1, is_stopping);
		pthread_mutex_lock(&survey->lock);
		error = survey->error;
		survey->under_way += error ? 0 : 1;
		pthread_mutex_unlock(&survey->lock);
		if (error)
			break;
		err = cache_list(survey->mount->cache, place->path, listed, place);
		if (err)
			listed(err, NULL, place);
	}
	await(survey, 0, is_stopping);
	return survey->error;
}

/* --- What the kernel knows --- */

static int compare_views(const void *a, const void *b)
{
	return strcmp(((const struct inode_view *)a)->path, ((const struct inode_view *)b)->path);
}

static int gather(struct survey *survey)
{
	ssize_t count = inodes_living(survey->mount->inodes, &survey->known);

	if (count < 0)
		return (int)count;
	survey->known_count = (size_t)count;
	if (count)
		qsort(survey->known, survey->known_count, sizeof(*survey->known), compare_views);
	survey->places = calloc(survey->known_count + 1, sizeof(*survey->places));
	if (!survey->places)
		return -ENOMEM;
	for (size_t i = 0; i < survey->known_count; i++) {
		if (survey->known[i].kind == KIND_DIRECTORY && !survey->known[i].is_dead)
			survey->places[survey->place_count++] =
				(struct place){ .survey = survey, .path = survey->known[i].path };
	}
	return 0;
}

/* --- The difference --- */

struct parent {
	const char *path; /* of a child */
	size_t size;	  /* of its parent's */
};

static int compare_parent(const void *key, const void *element)
{
	const struct parent *parent = key;
	const char *path = ((const struct place *)element)->path;
	int order = strncmp(parent->path, path, parent->size);

	return order ? order : (path[parent->size] ? -1 : 0);
}

/* The directory that the path is in; NULL: the kernel does not know it. */
static const struct place *find_parent(const struct survey *survey, const char *path)
{
	const char *slash = strrchr(path, '/');
	const struct parent parent = { .path = path, .size = slash == path ? 1 : (size_t)(slash - path) };

	return bsearch(&parent, survey->places, survey->place_count, sizeof(*survey->places), compare_parent);
}

static const struct cache_child *find_child(const struct place *place, const char *path)
{
	const struct cache_child child = { .name = strrchr(path, '/') + 1 };
	const struct cache_child *key = &child;
	const struct cache_child **found = NULL;

	if (place->children)
		found = bsearch(&key, place->by_name, place->children->count, sizeof(struct cache_child *),
			compare_children);
	return found ? *found : NULL;
}

/* Deaths since the stream is back have been told of by it, before the listing without them came. */
static void find_deaths(struct survey *survey)
{
	struct inodes *inodes = survey->mount->inodes;

	for (size_t i = survey->known_count; i-- > 0;) {
		const struct inode_view *known = &survey->known[i];
		const struct place *parent = inode_path_is_root(known->path) ? NULL : find_parent(survey, known->path);
		const struct cache_child *child = parent ? find_child(parent, known->path) : NULL;

		if (known->is_dead ||
			(parent && !parent->is_hidden && (!child || child->stat.czxid != known->czxid) &&
				inodes_lost(inodes, known->number)))
			survey->found(CACHE_DELETED, known->path, known->kind, NULL, survey->arg);
	}
}

static bool is_in_gap(const struct survey *survey, int64_t zxid)
{
	return zxid > survey->from && zxid <= survey->to;
}

/* Not by our doing, of which the kernel knows. */
static bool has_new_data(const struct survey *survey, const struct node_stat *stat)
{
	return is_in_gap(survey, stat->mzxid) && !cache_is_ours(survey->mount->cache, stat->mzxid);
}

/* As what the kernel knows the znode at this path; NULL: not at all. */
static const struct inode_view *find_known(const struct survey *survey, const char *path)
{
	const struct inode_view key = { .path = (char *)path };
	const struct inode_view *end = survey->known + survey->known_count;
	const struct inode_view *known = NULL;

	if (survey->known_count)
		known = bsearch(&key, survey->known, survey->known_count, sizeof(key), compare_views);
	while (known && known > survey->known && compare_views(known - 1, &key) == 0)
		known--;
	while (known && known < end && known->is_dead && compare_views(known, &key) == 0)
		known++; /* those before it */
	return known && known < end && compare_views(known, &key) == 0 ? known : NULL;
}

/* Whether its data changed, or it became something else, as a file does that is given a child. */
static bool has_changed(const struct survey *survey, const struct inode_view *known, const struct node_info *info)
{
	return has_new_data(survey, &info->stat) ||
		(known && known->czxid == info->stat.czxid &&
			!inodes_match(survey->mount->inodes, known, &info->stat, info->data));
}

static void find_news_of(struct survey *survey, const struct place *place, const struct cache_child *child)
{
	const struct node_info info = { .stat = child->stat, .data = child->data, .changed = child->stat.mtime };
	bool in_root = inode_path_is_root(place->path);
	size_t size = strlen(place->path);
	size_t name_size = strlen(child->name) + 1;
	char *path = malloc(size + 1 + name_size);
	const struct inode_view *known;

	if (!path)
		return;
	memcpy(path, place->path, size);
	path[size] = '/';
	memcpy(path + size + (in_root ? 0 : 1), child->name, name_size);
	known = find_known(survey, path);
	if (is_in_gap(survey, child->stat.czxid)) {
		/* Where an event told of a death that is not announced yet, it told of the birth after it, too. */
		if (!inodes_is_announced(survey->mount->inodes, path, child->stat.czxid) &&
			!inodes_is_mourned(survey->mount->inodes, path))
			survey->found(CACHE_CREATED, path, KIND_FILE, &info, survey->arg);
	} else if (has_changed(survey, known, &info)) {
		survey->found(CACHE_CHANGED, path, known ? known->kind : KIND_FILE, &info, survey->arg);
	}
	free(path);
}

/* The root is nobody's child. */
static void find_news_of_root(struct survey *survey, const struct place *root)
{
	const struct node_info info = { .stat = root->children->stat, .changed = root->children->stat.mtime };

	if (has_new_data(survey, &info.stat))
		survey->found(CACHE_CHANGED, root->path, KIND_DIRECTORY, &info, survey->arg);
}

static void find_news(struct survey *survey)
{
	for (size_t i = 0; i < survey->place_count; i++) {
		const struct place *place = &survey->places[i];

		if (place->children && inode_path_is_root(place->path))
			find_news_of_root(survey, place);
		for (size_t j = 0; place->children && j < place->children->count; j++)
			find_news_of(survey, place, &place->children->list[j]);
	}
}

int survey(struct mount *mount, int64_t from, const _Atomic(bool) *is_stopping, survey_found_cb *found, void *arg)
{
	struct survey survey = { .mount = mount, .from = from, .found = found, .arg = arg };
	int err;

	pthread_mutex_init(&survey.lock, NULL);
	clock_init_condition(&survey.news);
	err = gather(&survey);
	if (!err)
		err = find_end(&survey, is_stopping);
	if (!err)
		err = list_all(&survey, is_stopping);
	if (!err) {
		find_deaths(&survey);
		find_news(&survey);
	}
	for (size_t i = 0; i < survey.place_count; i++) {
		cache_children_put(survey.places[i].children);
		free(survey.places[i].by_name);
	}
	free(survey.places);
	for (size_t i = 0; i < survey.known_count; i++)
		inode_view_release(&survey.known[i]);
	free(survey.known);
	pthread_cond_destroy(&survey.news);
	pthread_mutex_destroy(&survey.lock);
	return err;
}
