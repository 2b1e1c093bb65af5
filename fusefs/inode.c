#include "fusefs/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_hashed = false)
#include <uthash.h>
#include <utlist.h>

#include "fusefs/names.h"

/* What makes an inode the one it is. */
struct key {
	enum inode_type type;
	enum kind kind;
	int64_t czxid;
	const char *path;
};

/* A path that inodes stand for: one that lives, and those before it that the kernel has not forgotten. */
struct place {
	UT_hash_handle hh;
	struct inode *inodes;
	bool is_hashed;
	char path[];
};

struct inode {
	UT_hash_handle hh;
	struct inode *prev, *next;		 /* in place->inodes */
	struct inode *unborn_prev, *unborn_next; /* in inodes->unborn, while its czxid is INODE_UNBORN */
	struct place *place;
	fuse_ino_t number;
	uint64_t lookups;
	struct key key; /* its path is the place's */
	bool is_dead;
	bool is_mourned;   /* dead, and that is to be announced, */
	bool is_buried;	   /* or has been */
	bool is_announced; /* its birth was */
	bool is_seen;	   /* somebody but the announcer has looked it up */
	bool is_hashed;
};

struct inodes {
	pthread_mutex_t lock; /* a leaf, over everything */
	struct inode *by_number;
	struct place *places;
	struct inode *unborn;  /* that no znode is known of; dead ones too */
	uint64_t unborn_count; /* ever, and of those entered dead */
	bool with_symlinks;    /* never changes */
};

enum kind inodes_kind(const struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data)
{
	if (type == INODE_DATA)
		return KIND_FILE;
	return kind_of_data(stat, inodes->with_symlinks ? data : NULL, inode_path_is_root(path));
}

static struct key key_of(const struct inodes *inodes, enum inode_type type, const char *path,
	const struct node_stat *stat, const struct bytes *data)
{
	bool is_root = inode_path_is_root(path);

	return (struct key){
		.type = type,
		.kind = inodes_kind(inodes, type, path, stat, data),
		.czxid = is_root ? 0 : stat->czxid, /* the root stays the root even if its znode is made anew */
		.path = path,
	};
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->czxid == b->czxid && a->type == b->type && a->kind == b->kind && strcmp(a->path, b->path) == 0;
}

/* FNV-1a over the path, then the finaliser of MurmurHash3 over all. */
static fuse_ino_t hash_key(const struct key *key)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *c = key->path; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
	hash ^= (uint64_t)key->czxid * 0x9e3779b97f4a7c15u + (uint64_t)key->type * 3 + (uint64_t)key->kind;
	hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
	hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
	return hash ^ (hash >> 33);
}

static struct inode *find_locked(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;

	HASH_FIND(hh, inodes->by_number, &number, sizeof(number), inode);
	return inode;
}

static struct place *find_place_locked(struct inodes *inodes, const char *path)
{
	struct place *place;

	HASH_FIND(hh, inodes->places, path, strlen(path), place);
	return place;
}

/* The file at this place that waits for its znode; NULL: there is none. */
static struct inode *find_unborn_locked(struct place *place)
{
	struct inode *inode = NULL;

	if (!place)
		return NULL;
	DL_FOREACH (place->inodes, inode) {
		if (inode->key.czxid == INODE_UNBORN && !inode->is_dead)
			break;
	}
	return inode;
}

/* The file has a znode now, or never will. */
static void born_locked(struct inodes *inodes, struct inode *inode, int64_t czxid)
{
	inode->key.czxid = czxid;
	DL_DELETE2(inodes->unborn, inode, unborn_prev, unborn_next);
}

/* The inode with this key at its place. A file that waits for its znode becomes this one. */
static struct inode *find_at_locked(struct inodes *inodes, struct place *place, const struct key *key)
{
	struct inode *inode = NULL;

	if (!place)
		return NULL;
	DL_FOREACH (place->inodes, inode) {
		if (same_key(&inode->key, key))
			return inode;
	}
	inode = key->type == INODE_NODE && key->kind == KIND_FILE ? find_unborn_locked(place) : NULL;
	if (inode)
		born_locked(inodes, inode, key->czxid);
	return inode;
}

/* The inode with this key, or NULL and the number it is to have. */
static struct inode *find_key_locked(struct inodes *inodes, const struct key *key, fuse_ino_t *number)
{
	struct inode *inode;

	if (key->type == INODE_NODE && inode_path_is_root(key->path)) {
		*number = FUSE_ROOT_ID;
		return find_locked(inodes, *number);
	}
	inode = find_at_locked(inodes, find_place_locked(inodes, key->path), key);
	if (inode) {
		*number = inode->number;
		return inode;
	}
	for (*number = hash_key(key);; (*number)++) {
		if (*number <= FUSE_ROOT_ID)
			continue;
		if (!find_locked(inodes, *number))
			return NULL;
	}
}

static struct place *place_locked(struct inodes *inodes, const char *path)
{
	struct place *place = find_place_locked(inodes, path);
	size_t size = strlen(path);

	if (place)
		return place;
	place = calloc(1, sizeof(*place) + size + 1);
	if (!place)
		return NULL;
	memcpy(place->path, path, size);
	place->is_hashed = true;
	HASH_ADD_KEYPTR(hh, inodes->places, place->path, size, place);
	if (place->is_hashed)
		return place;
	free(place);
	return NULL;
}

static void put_place_locked(struct inodes *inodes, struct place *place)
{
	if (place->inodes)
		return;
	HASH_DEL(inodes->places, place);
	free(place);
}

static struct inode *add_locked(struct inodes *inodes, const struct key *key, fuse_ino_t number)
{
	struct place *place = place_locked(inodes, key->path);
	struct inode *inode = calloc(1, sizeof(*inode));

	if (place && inode) {
		inode->number = number;
		inode->place = place;
		inode->key = *key;
		inode->key.path = place->path;
		inode->is_hashed = true;
		HASH_ADD(hh, inodes->by_number, number, sizeof(inode->number), inode);
		if (inode->is_hashed) {
			DL_APPEND(place->inodes, inode);
			return inode;
		}
	}
	if (place)
		put_place_locked(inodes, place);
	free(inode);
	return NULL;
}

static void remove_locked(struct inodes *inodes, struct inode *inode)
{
	HASH_DEL(inodes->by_number, inode);
	if (inode->key.czxid == INODE_UNBORN)
		DL_DELETE2(inodes->unborn, inode, unborn_prev, unborn_next);
	DL_DELETE(inode->place->inodes, inode);
	put_place_locked(inodes, inode->place);
	free(inode);
}

struct inodes *inodes_new(bool with_symlinks)
{
	const struct key root = { .type = INODE_NODE, .kind = KIND_DIRECTORY, .path = "/" };
	struct inodes *inodes = calloc(1, sizeof(*inodes));
	struct inode *inode;

	if (!inodes)
		return NULL;
	inodes->with_symlinks = with_symlinks;
	pthread_mutex_init(&inodes->lock, NULL);
	inode = add_locked(inodes, &root, FUSE_ROOT_ID);
	if (!inode) {
		inodes_free(inodes);
		return NULL;
	}
	inode->lookups = 1; /* the kernel never forgets the root */
	inode->is_seen = true;
	return inodes;
}

void inodes_free(struct inodes *inodes)
{
	struct inode *inode, *next;

	if (!inodes)
		return;
	HASH_ITER (hh, inodes->by_number, inode, next)
		remove_locked(inodes, inode);
	pthread_mutex_destroy(&inodes->lock);
	free(inodes);
}

int inodes_look(struct inodes *inodes, fuse_ino_t number, struct inode_view *view)
{
	const struct inode *inode;
	int err = -ESTALE;

	memset(view, 0, sizeof(*view));
	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode) {
		*view = (struct inode_view){ .number = number,
			.type = inode->key.type,
			.kind = inode->key.kind,
			.is_dead = inode->is_dead,
			.czxid = inode->key.czxid,
			.path = strdup(inode->key.path) };
		err = view->path ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&inodes->lock);
	return err;
}

void inode_view_release(struct inode_view *view)
{
	free(view->path);
	view->path = NULL;
}

bool inode_path_is_root(const char *path)
{
	return path[0] == '/' && path[1] == '\0';
}

bool inodes_match(const struct inodes *inodes, const struct inode_view *view, const struct node_stat *stat,
	const struct bytes *data)
{
	const struct key key = key_of(inodes, view->type, view->path, stat, data);

	/* A directory's data stays what it is for as long as the znode exists. */
	return key.kind == view->kind && (key.czxid == view->czxid || view->czxid == INODE_UNBORN);
}

static void bury_locked(struct place *place)
{
	struct inode *inode;

	DL_FOREACH (place->inodes, inode) {
		if (inode->key.czxid != INODE_UNBORN) /* that one it cannot have been */
			inode->is_dead = true;
	}
}

/* What stood in this place before the one that is entered is dead; unless somebody knows a younger one there already. */
static void replace_locked(struct place *place, struct inode *entered)
{
	struct inode *inode;

	DL_FOREACH (place->inodes, inode) {
		if (inode->key.type == entered->key.type && inode->key.czxid > entered->key.czxid)
			return;
	}
	DL_FOREACH (place->inodes, inode) {
		if (inode->key.type == entered->key.type)
			inode->is_dead = inode != entered;
	}
}

static fuse_ino_t enter(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data, bool by_announcer)
{
	const struct key key = key_of(inodes, type, path, stat, data);
	fuse_ino_t number;
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_key_locked(inodes, &key, &number);
	if (!inode)
		inode = add_locked(inodes, &key, number);
	if (inode) {
		inode->lookups++;
		inode->is_buried = false; /* its death is of what it stood for before (inodes_reborn) */
		inode->is_seen |= !by_announcer;
		inode->is_announced |= by_announcer;
		replace_locked(inode->place, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
	return inode ? number : 0;
}

fuse_ino_t inodes_enter(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data)
{
	return enter(inodes, type, path, stat, data, false);
}

fuse_ino_t inodes_enter_announced(struct inodes *inodes, const char *path, const struct node_stat *stat,
	const struct bytes *data)
{
	return enter(inodes, INODE_NODE, path, stat, data, true);
}

void inodes_died(struct inodes *inodes, const char *path)
{
	struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place && !inode_path_is_root(path))
		bury_locked(place);
	pthread_mutex_unlock(&inodes->lock);
}

/* --- Moving --- */

/* As a czxid: of an inode whose znode another inode stands for now. */
#define INODE_REPLACED INT64_C(-2)

static void replace_all_locked(struct inodes *inodes, struct place *place, enum inode_type type)
{
	struct inode *inode;

	DL_FOREACH (place->inodes, inode) {
		if (type == INODE_DATA && inode->key.type != INODE_DATA)
			continue;
		if (inode->key.czxid == INODE_UNBORN)
			born_locked(inodes, inode, INODE_REPLACED);
		inode->key.czxid = INODE_REPLACED;
		inode->is_dead = true;
	}
}

static void move_locked(struct inode *inode, struct place *to, enum inode_type type, int64_t czxid)
{
	DL_DELETE(inode->place->inodes, inode);
	DL_APPEND(to->inodes, inode);
	inode->place = to;
	inode->key.path = to->path;
	inode->key.czxid = czxid;
	inode->key.type = type;
	inode->is_dead = inode->is_mourned = inode->is_buried = false;
	inode->is_announced = true;
}

void inodes_moved(struct inodes *inodes, const struct inode_place *from, const struct inode_place *to)
{
	struct place *old, *new;
	struct inode *inode, *next;

	pthread_mutex_lock(&inodes->lock);
	old = find_place_locked(inodes, from->path);
	new = place_locked(inodes, to->path);
	if (new &&old)
		replace_all_locked(inodes, new, to->type);
	if (old) {
		DL_FOREACH_SAFE (old->inodes, inode, next) {
			bool is_whole = from->type == INODE_NODE && to->type == INODE_NODE;

			if (inode->key.czxid != from->czxid || (!is_whole && inode->key.type != from->type))
				continue;
			inode->is_dead = true;
			if (new)
				move_locked(inode, new, is_whole ? inode->key.type : to->type, to->czxid);
		}
		put_place_locked(inodes, old);
	}
	if (new)
		put_place_locked(inodes, new);
	pthread_mutex_unlock(&inodes->lock);
}

/* --- Files that wait for their znode --- */

fuse_ino_t inodes_enter_unborn(struct inodes *inodes, const char *path)
{
	const struct key key = { .type = INODE_NODE, .kind = KIND_FILE, .czxid = INODE_UNBORN, .path = path };
	struct inode *inode;
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	inode = find_unborn_locked(find_place_locked(inodes, path));
	if (!inode) {
		number = hash_key(&key) + inodes->unborn_count++;
		while (number <= FUSE_ROOT_ID || find_locked(inodes, number))
			number++;
		inode = add_locked(inodes, &key, number);
		if (inode) {
			bury_locked(inode->place);
			DL_APPEND2(inodes->unborn, inode, unborn_prev, unborn_next);
		}
	}
	if (inode)
		inode->lookups++;
	number = inode ? inode->number : 0;
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

fuse_ino_t inodes_unborn(struct inodes *inodes, const char *path, bool is_lookup)
{
	fuse_ino_t number = 0;
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_unborn_locked(find_place_locked(inodes, path));
	if (inode) {
		inode->lookups += is_lookup ? 1 : 0;
		number = inode->number;
	}
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

void inodes_born(struct inodes *inodes, fuse_ino_t number, int64_t czxid)
{
	struct inode *inode, *other;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && inode->key.czxid == INODE_UNBORN) {
		born_locked(inodes, inode, czxid);
		inode->is_announced = true;
		DL_FOREACH (inode->place->inodes, other) {
			if (other != inode && same_key(&other->key, &inode->key))
				inode->is_dead = true; /* it was found by its name first */
		}
	}
	pthread_mutex_unlock(&inodes->lock);
}

void inodes_reborn(struct inodes *inodes, fuse_ino_t number, int64_t czxid)
{
	struct inode *inode, *other;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && inode->key.czxid != INODE_UNBORN) {
		inode->key.czxid = czxid;
		inode->is_dead = inode->is_buried = false;
		DL_FOREACH (inode->place->inodes, other) {
			if (other != inode && same_key(&other->key, &inode->key))
				inode->is_dead = true; /* it was found by its name first */
		}
	}
	pthread_mutex_unlock(&inodes->lock);
}

void inodes_abandon(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && inode->key.czxid == INODE_UNBORN)
		inode->is_dead = true;
	pthread_mutex_unlock(&inodes->lock);
}

static bool is_child_locked(const struct inode *inode, const char *directory, size_t size)
{
	const char *path = inode->key.path;

	return !inode->is_dead && strncmp(path, directory, size) == 0 && path[size] == '/' &&
		!strchr(path + size + 1, '/');
}

ssize_t inodes_unborn_in(struct inodes *inodes, const char *directory, char ***list)
{
	size_t size = inode_path_is_root(directory) ? 0 : strlen(directory);
	const struct inode *inode;
	ssize_t count = 0;

	*list = NULL;
	pthread_mutex_lock(&inodes->lock);
	DL_FOREACH2 (inodes->unborn, inode, unborn_next)
		count += is_child_locked(inode, directory, size) ? 1 : 0;
	if (count > 0)
		*list = calloc((size_t)count, sizeof(**list));
	count = count > 0 && !*list ? -ENOMEM : 0;
	if (*list) {
		DL_FOREACH2 (inodes->unborn, inode, unborn_next) {
			char *name =
				is_child_locked(inode, directory, size) ? strdup(inode->key.path + size + 1) : NULL;

			if (name)
				(*list)[count++] = name;
		}
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

/* --- Deaths that are to be announced --- */

static bool is_node_locked(const struct inode *inode)
{
	return inode->key.type == INODE_NODE && inode->key.czxid != INODE_UNBORN && !inode->is_mourned &&
		!inode->is_buried;
}

void inodes_mourn(struct inodes *inodes, const char *path)
{
	struct inode *inode, *youngest = NULL;
	struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place) {
		DL_FOREACH (place->inodes, inode) {
			if (inode->is_dead && is_node_locked(inode))
				youngest = inode;
		}
	}
	if (youngest)
		youngest->is_mourned = true;
	pthread_mutex_unlock(&inodes->lock);
}

bool inodes_mourn_kind(struct inodes *inodes, const char *path, enum kind now)
{
	struct inode *inode, *youngest = NULL;
	struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place && !inode_path_is_root(path)) {
		DL_FOREACH (place->inodes, inode) {
			if (is_node_locked(inode))
				youngest = inode;
		}
	}
	if (youngest && youngest->key.kind == now)
		youngest = NULL;
	if (youngest)
		youngest->is_dead = youngest->is_mourned = true;
	pthread_mutex_unlock(&inodes->lock);
	return youngest != NULL;
}

void inodes_announced(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode)
		inode->is_announced = true;
	pthread_mutex_unlock(&inodes->lock);
}

bool inodes_is_announced(struct inodes *inodes, const char *path, int64_t czxid)
{
	const struct inode *inode;
	bool is_announced = false;
	struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place) {
		DL_FOREACH (place->inodes, inode)
			is_announced |= inode->is_announced && inode->key.czxid == czxid;
	}
	pthread_mutex_unlock(&inodes->lock);
	return is_announced;
}

ssize_t inodes_living(struct inodes *inodes, struct inode_view **list)
{
	struct inode *inode, *next;
	ssize_t count = 0;

	pthread_mutex_lock(&inodes->lock);
	*list = calloc(HASH_COUNT(inodes->by_number) + 1, sizeof(**list));
	if (!*list)
		count = -ENOMEM;
	HASH_ITER (hh, inodes->by_number, inode, next) {
		char *path = *list && !inode->is_dead && is_node_locked(inode) ? strdup(inode->key.path) : NULL;

		if (path)
			(*list)[count++] = (struct inode_view){ .number = inode->number,
				.type = inode->key.type,
				.kind = inode->key.kind,
				.czxid = inode->key.czxid,
				.path = path };
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

void inodes_mourn_announced(struct inodes *inodes, const char *path)
{
	struct inode *inode, *youngest = NULL;
	struct place *place;
	bool is_mourned = false;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place) {
		DL_FOREACH (place->inodes, inode) {
			is_mourned |= inode->is_mourned;
			if (inode->is_announced && !inode->is_buried)
				youngest = inode;
		}
	}
	if (youngest && !is_mourned)
		youngest->is_dead = youngest->is_mourned = true;
	pthread_mutex_unlock(&inodes->lock);
}

fuse_ino_t inodes_mourned(struct inodes *inodes, const char *path, enum kind *kind)
{
	struct inode *inode = NULL;
	fuse_ino_t number = 0;
	struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place)
		DL_SEARCH_SCALAR(place->inodes, inode, is_mourned, true);
	if (inode) {
		inode->lookups++;
		*kind = inode->key.kind;
		number = inode->number;
	}
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

bool inodes_is_mourned(struct inodes *inodes, const char *path)
{
	const struct inode *inode = NULL;
	const struct place *place;

	pthread_mutex_lock(&inodes->lock);
	place = find_place_locked(inodes, path);
	if (place)
		DL_SEARCH_SCALAR(place->inodes, inode, is_mourned, true);
	pthread_mutex_unlock(&inodes->lock);
	return inode != NULL;
}

fuse_ino_t inodes_enter_dead(struct inodes *inodes, const char *path, enum kind kind)
{
	const struct key key = { .type = INODE_NODE, .kind = kind, .czxid = INODE_REPLACED, .path = path };
	struct inode *inode;
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	number = hash_key(&key) + inodes->unborn_count++;
	while (number <= FUSE_ROOT_ID || find_locked(inodes, number))
		number++;
	inode = add_locked(inodes, &key, number);
	if (inode) {
		inode->lookups = 1;
		inode->is_dead = inode->is_mourned = inode->is_announced = true;
	}
	pthread_mutex_unlock(&inodes->lock);
	return inode ? number : 0;
}

void inodes_buried(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode) {
		inode->is_mourned = false;
		inode->is_dead = inode->is_buried = true;
	}
	pthread_mutex_unlock(&inodes->lock);
}

fuse_ino_t inodes_number(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data)
{
	const struct key key = key_of(inodes, type, path, stat, data);
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	(void)find_key_locked(inodes, &key, &number);
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

void inodes_forget(struct inodes *inodes, fuse_ino_t number, uint64_t count)
{
	struct inode *inode;

	if (number == FUSE_ROOT_ID)
		return;
	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && inode->lookups > count) {
		inode->lookups -= count;
	} else if (inode) {
		remove_locked(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
}

ssize_t inodes_at(struct inodes *inodes, const char *path, struct inode_at **list)
{
	const struct inode *inode;
	struct place *place;
	ssize_t count = 0;

	*list = NULL;
	pthread_mutex_lock(&inodes->lock);
	HASH_FIND(hh, inodes->places, path, strlen(path), place);
	if (place) {
		DL_COUNT(place->inodes, inode, count);
		*list = malloc(((size_t)count + 1) * sizeof(**list));
		count = *list ? 0 : -ENOMEM;
	}
	if (place && *list) {
		DL_FOREACH (place->inodes, inode)
			(*list)[count++] = (struct inode_at){ .number = inode->number,
				.type = inode->key.type,
				.kind = inode->key.kind,
				.is_dead = inode->is_dead,
				.is_seen = inode->is_seen };
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

ssize_t inodes_paths(struct inodes *inodes, char ***list)
{
	struct place *place, *next;
	ssize_t count = 0;

	pthread_mutex_lock(&inodes->lock);
	*list = malloc((HASH_COUNT(inodes->places) + 1) * sizeof(**list));
	if (!*list)
		count = -ENOMEM;
	HASH_ITER (hh, inodes->places, place, next) {
		char *path = *list ? strdup(place->path) : NULL;

		if (path)
			(*list)[count++] = path;
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

static char *join(const char *directory, const char *name, size_t name_size)
{
	size_t size = inode_path_is_root(directory) ? 0 : strlen(directory);
	char *path = malloc(size + name_size + 2);

	if (!path)
		return NULL;
	memcpy(path, directory, size);
	path[size] = '/';
	memcpy(path + size + 1, name, name_size);
	path[size + 1 + name_size] = '\0';
	return path;
}

static int child_of(struct inodes *inodes, fuse_ino_t directory, bool even_dead, const char *name,
	enum inode_type *type, char **path)
{
	struct inode_view view;
	enum name_class class = NAME_NODE;
	size_t size = 0;
	int err = inodes_look(inodes, directory, &view);

	*path = NULL;
	*type = INODE_NODE;
	if (!err && (view.type != INODE_NODE || view.kind != KIND_DIRECTORY))
		err = -ENOTDIR;
	if (!err && view.is_dead && !even_dead)
		err = -ENOENT;
	if (!err)
		err = name_parse(name, inode_path_is_root(view.path), &class, &size);
	if (!err && class == NAME_CONTROL)
		err = -EPERM;
	if (!err && class == NAME_DATA) {
		*type = INODE_DATA;
		*path = view.path;
		view.path = NULL;
	} else if (!err) {
		*path = join(view.path, name, size);
		if (!*path)
			err = -ENOMEM;
	}
	inode_view_release(&view);
	return err;
}

int inodes_child(struct inodes *inodes, fuse_ino_t directory, const char *name, enum inode_type *type, char **path)
{
	return child_of(inodes, directory, false, name, type, path);
}

int inodes_child_of_dead(struct inodes *inodes, fuse_ino_t directory, const char *name, enum inode_type *type,
	char **path)
{
	return child_of(inodes, directory, true, name, type, path);
}
