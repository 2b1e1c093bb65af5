#include "fusefs/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache/util/paths.h"
#include "cache/util/table.h"
#include "fusefs/names.h"

/* As a czxid: of an inode whose znode another inode stands for now. */
#define INODE_REPLACED INT64_C(-2)

/* What makes an inode the one it is. */
struct key {
	enum inode_type type;
	enum kind kind;
	int64_t czxid;
	const char *path;
};

/* There are as many as the kernel has looked up, so they are small. Several may stand for a path: one that lives, and those before it
 * that the kernel has not forgotten, the oldest first. */
struct inode {
	struct paths_entry place;
	struct table_link by_number;
	fuse_ino_t number;
	int64_t czxid;
	uint64_t lookups : 48;
	enum inode_type type : 1;
	enum kind kind : 2;
	bool is_dead : 1;
	bool is_mourned : 1;   /* dead, and that is to be announced, */
	bool is_buried : 1;    /* or has been */
	bool is_announced : 1; /* its birth was, */
	bool is_ours : 1;      /* and by the kernel, for it was made or moved here */
	bool is_foretold : 1;  /* that was before its znode was found, which somebody else may have made */
	bool is_seen : 1;      /* somebody but the announcer has looked it up */
	char name[];
};

/* An inode that no znode is known of, while its czxid is INODE_UNBORN; dead ones too. */
struct unborn {
	struct table_link link;
	struct inode *inode;
};

struct inodes {
	pthread_mutex_t lock; /* a leaf, over everything */
	struct table by_number;
	struct paths by_path;
	struct table news;     /* by path */
	struct table unborn;   /* by number */
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

static bool has_key(const struct inode *inode, const struct key *key)
{
	return inode->czxid == key->czxid && inode->type == key->type && inode->kind == key->kind;
}

/* Of the path, then the finaliser of MurmurHash3 over all. */
static fuse_ino_t hash_key(const struct key *key)
{
	uint64_t hash = paths_hash(key->path);

	hash ^= (uint64_t)key->czxid * 0x9e3779b97f4a7c15u + (uint64_t)key->type * 3 + (uint64_t)key->kind;
	hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
	hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
	return hash ^ (hash >> 33);
}

static uint64_t number_of(const struct table *table, const struct table_link *link)
{
	(void)table;
	return table_element(link, struct inode, by_number)->number;
}

static uint64_t number_of_unborn(const struct table *table, const struct table_link *link)
{
	(void)table;
	return table_element(link, struct unborn, link)->inode->number;
}

static uint64_t hash_of_news(const struct table *table, const struct table_link *link)
{
	(void)table;
	return paths_hash(table_element(link, struct inode_news, link)->path);
}

static struct inode *find_locked(const struct inodes *inodes, fuse_ino_t number)
{
	struct table_link *link = table_chain(&inodes->by_number, number);

	for (; link; link = link->next) {
		struct inode *inode = table_element(link, struct inode, by_number);

		if (inode->number == number)
			return inode;
	}
	return NULL;
}

/* Those that stand for the path: the first, and the one after another. NULL: there is none. */
static struct inode *first_locked(const struct inodes *inodes, const char *path)
{
	return paths_find(&inodes->by_path, path, strlen(path));
}

static struct inode *next_locked(const struct inodes *inodes, const struct inode *inode)
{
	return paths_next(&inodes->by_path, inode);
}

/* --- Without a znode --- */

static bool is_unborn(const struct inode *inode)
{
	return inode->czxid == INODE_UNBORN;
}

/* Among the inodes of a path, the file that waits for its znode; NULL: there is none. */
static struct inode *find_unborn_locked(const struct inodes *inodes, struct inode *first)
{
	struct inode *inode = first;

	while (inode && !(is_unborn(inode) && !inode->is_dead))
		inode = next_locked(inodes, inode);
	return inode;
}

/* False: no memory. */
static bool note_unborn_locked(struct inodes *inodes, struct inode *inode)
{
	struct unborn *unborn = malloc(sizeof(*unborn));

	if (!unborn)
		return false;
	unborn->inode = inode;
	table_add(&inodes->unborn, &unborn->link);
	return true;
}

static void forget_unborn_locked(struct inodes *inodes, const struct inode *inode)
{
	struct table_link *link = table_chain(&inodes->unborn, inode->number);

	while (link && table_element(link, struct unborn, link)->inode != inode)
		link = link->next;
	if (!link)
		return;
	table_remove(&inodes->unborn, link);
	free(table_element(link, struct unborn, link));
}

/* The file has a znode now, or never will. */
static void born_locked(struct inodes *inodes, struct inode *inode, int64_t czxid)
{
	forget_unborn_locked(inodes, inode);
	inode->czxid = czxid;
}

/* --- Finding, adding, removing --- */

/* The inode with this key among those of its path. A file that waits for its znode becomes this one. */
static struct inode *find_at_locked(struct inodes *inodes, struct inode *first, const struct key *key)
{
	struct inode *inode = first;

	while (inode && !has_key(inode, key))
		inode = next_locked(inodes, inode);
	if (inode || key->type != INODE_NODE || key->kind != KIND_FILE)
		return inode;
	inode = find_unborn_locked(inodes, first);
	if (inode) {
		born_locked(inodes, inode, key->czxid);
		inode->is_announced = inode->is_ours = inode->is_foretold = true; /* when it was opened to be made */
	}
	return inode;
}

/* The inode with this key, or NULL and the number it is to have. first: of its path. */
static struct inode *find_key_locked(struct inodes *inodes, struct inode *first, const struct key *key,
	fuse_ino_t *number)
{
	struct inode *inode;

	if (key->type == INODE_NODE && inode_path_is_root(key->path)) {
		*number = FUSE_ROOT_ID;
		return find_locked(inodes, *number);
	}
	inode = find_at_locked(inodes, first, key);
	if (inode) {
		*number = inode->number;
		return inode;
	}
	for (*number = hash_key(key);; (*number)++) {
		if (*number < INODE_FIRST)
			continue;
		if (!find_locked(inodes, *number))
			return NULL;
	}
}

static struct inode *inode_new(const char *path)
{
	return calloc(1, offsetof(struct inode, name) + paths_name_size(path));
}

static struct inode *add_locked(struct inodes *inodes, const struct key *key, fuse_ino_t number)
{
	struct inode *inode = inode_new(key->path);

	if (!inode)
		return NULL;
	inode->number = number;
	inode->czxid = key->czxid;
	inode->type = key->type;
	inode->kind = key->kind;
	if (!paths_add(&inodes->by_path, inode, key->path)) {
		free(inode);
		return NULL;
	}
	table_add(&inodes->by_number, &inode->by_number);
	return inode;
}

static void remove_locked(struct inodes *inodes, struct inode *inode)
{
	if (is_unborn(inode))
		forget_unborn_locked(inodes, inode);
	table_remove(&inodes->by_number, &inode->by_number);
	paths_remove(&inodes->by_path, inode);
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
	inodes->by_number = (struct table)TABLE_INIT(number_of);
	inodes->news = (struct table)TABLE_INIT(hash_of_news);
	inodes->unborn = (struct table)TABLE_INIT(number_of_unborn);
	if (!paths_init(&inodes->by_path, offsetof(struct inode, name))) {
		free(inodes);
		return NULL;
	}
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
	struct inode *inode;

	if (!inodes)
		return;
	while ((inode = paths_first(&inodes->by_path)))
		remove_locked(inodes, inode);
	paths_release(&inodes->by_path);
	table_release(&inodes->by_number);
	table_release(&inodes->news);
	table_release(&inodes->unborn);
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
			.type = inode->type,
			.kind = inode->kind,
			.is_dead = inode->is_dead,
			.czxid = inode->czxid,
			.path = paths_path(&inodes->by_path, inode) };
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

/* first: of a path, here and below. */
static void bury_locked(struct inodes *inodes, struct inode *first)
{
	for (struct inode *inode = first; inode; inode = next_locked(inodes, inode)) {
		if (!is_unborn(inode)) /* that one it cannot have been */
			inode->is_dead = true;
	}
}

/* What stood for this path before the one that is entered is dead; unless somebody knows a younger one there already. */
static void replace_locked(struct inodes *inodes, struct inode *first, const struct inode *entered)
{
	struct inode *inode;

	for (inode = first; inode; inode = next_locked(inodes, inode)) {
		if (inode->type == entered->type && inode->czxid > entered->czxid)
			return;
	}
	for (inode = first; inode; inode = next_locked(inodes, inode)) {
		if (inode->type == entered->type)
			inode->is_dead = inode != entered;
	}
}

static fuse_ino_t enter(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data, bool by_announcer)
{
	const struct key key = key_of(inodes, type, path, stat, data);
	struct inode *inode, *first;
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	first = first_locked(inodes, path);
	inode = find_key_locked(inodes, first, &key, &number);
	if (!inode)
		inode = add_locked(inodes, &key, number);
	if (inode) {
		inode->lookups++;
		inode->is_buried = false; /* its death is of what it stood for before (inodes_reborn) */
		inode->is_seen |= !by_announcer;
		inode->is_announced |= by_announcer;
		replace_locked(inodes, first ? first : inode, inode);
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

size_t inodes_count(struct inodes *inodes)
{
	size_t count;

	pthread_mutex_lock(&inodes->lock);
	count = inodes->by_number.count;
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

void inodes_died(struct inodes *inodes, const char *path)
{
	if (inode_path_is_root(path))
		return;
	pthread_mutex_lock(&inodes->lock);
	bury_locked(inodes, first_locked(inodes, path));
	pthread_mutex_unlock(&inodes->lock);
}

/* --- What is to be announced at a path --- */

static struct inode_news *news_from(struct table_link *link, const char *path)
{
	while (link && strcmp(table_element(link, struct inode_news, link)->path, path) != 0)
		link = link->next;
	return link ? table_element(link, struct inode_news, link) : NULL;
}

/* The oldest, and the one after another. NULL: there is none. */
static struct inode_news *first_news_locked(const struct inodes *inodes, const char *path)
{
	return news_from(table_chain(&inodes->news, paths_hash(path)), path);
}

static struct inode_news *next_news_locked(const struct inode_news *news)
{
	return news_from(news->link.next, news->path);
}

/* What was born there and not told of was removed or moved here, and nobody is to hear of its birth any more. */
static void end_news_locked(struct inodes *inodes, const char *path, int64_t czxid)
{
	struct inode_news *news, *birth = NULL;

	for (news = first_news_locked(inodes, path); news; news = next_news_locked(news)) {
		if (news->is_death)
			birth = NULL; /* of an earlier one */
		else if (news->is_birth && !news->ended && !birth)
			birth = news;
	}
	if (birth)
		birth->ended = czxid;
}

/* path: the news' from now on. Without memory (NULL) it stays. */
static void move_news_locked(struct inodes *inodes, struct inode_news *news, char *path)
{
	if (!path)
		return;
	table_remove(&inodes->news, &news->link);
	free(news->path);
	news->path = path;
	table_add(&inodes->news, &news->link);
}

/* Changes of its data that are not told of yet. */
static void move_changes_locked(struct inodes *inodes, const char *from, const char *to)
{
	struct inode_news *news, *next, *first = NULL;

	for (news = first_news_locked(inodes, from); news; news = next_news_locked(news)) {
		if (news->is_birth || news->is_death)
			first = NULL;
		else if (!first)
			first = news;
	}
	for (news = first; news; news = next) {
		next = next_news_locked(news);
		move_news_locked(inodes, news, strdup(to));
	}
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

static bool is_below(const char *path, const char *directory, size_t size)
{
	return strncmp(path, directory, size) == 0 && path[size] == '/';
}

void inodes_moved_below(struct inodes *inodes, const char *from, const char *to)
{
	size_t size = strlen(from);
	struct table_link *link, *next;
	struct inode_news *news;
	struct table_link *all = NULL;
	struct table_link **end = &all;

	pthread_mutex_lock(&inodes->lock);
	for (link = table_first(&inodes->news); link; link = next) {
		next = table_next(&inodes->news, link);
		news = table_element(link, struct inode_news, link);
		if (!is_below(news->path, from, size))
			continue;
		table_remove(&inodes->news, link);
		*end = link; /* in their order */
		end = &link->next;
	}
	*end = NULL;
	for (link = all; link; link = next) {
		char *path;

		next = link->next;
		news = table_element(link, struct inode_news, link);
		path = join(to, news->path + size + 1, strlen(news->path + size + 1));
		if (path) {
			free(news->path);
			news->path = path;
		}
		table_add(&inodes->news, link);
	}
	pthread_mutex_unlock(&inodes->lock);
}

/* --- Moving --- */

static void replace_all_locked(struct inodes *inodes, const struct inode_place *place)
{
	struct inode *inode = first_locked(inodes, place->path);

	for (; inode; inode = next_locked(inodes, inode)) {
		if (place->type == INODE_DATA && inode->type != INODE_DATA)
			continue;
		if (is_unborn(inode))
			born_locked(inodes, inode, INODE_REPLACED);
		inode->czxid = INODE_REPLACED;
		inode->is_dead = true;
	}
}

/* Its name is a part of it, so what arrives is another of the same number. Without memory it stays, dead. */
static void move_locked(struct inodes *inodes, struct inode *from, const struct inode_place *to, enum inode_type type)
{
	struct inode *inode = inode_new(to->path);

	from->is_dead = true;
	if (!inode)
		return;
	memcpy(inode, from, offsetof(struct inode, name));
	if (!paths_add(&inodes->by_path, inode, to->path)) {
		free(inode);
		return;
	}
	inode->czxid = to->czxid;
	inode->type = type;
	inode->is_dead = inode->is_mourned = inode->is_buried = false;
	inode->is_announced = inode->is_ours = true;
	remove_locked(inodes, from);
	table_add(&inodes->by_number, &inode->by_number);
}

void inodes_moved(struct inodes *inodes, const struct inode_place *from, const struct inode_place *to)
{
	bool is_whole = from->type == INODE_NODE && to->type == INODE_NODE;
	struct inode *inode, *next;

	pthread_mutex_lock(&inodes->lock);
	inode = first_locked(inodes, from->path);
	if (inode)
		replace_all_locked(inodes, to);
	for (; inode; inode = next) {
		next = next_locked(inodes, inode);
		if (inode->czxid == from->czxid && (is_whole || inode->type == from->type))
			move_locked(inodes, inode, to, is_whole ? inode->type : to->type);
	}
	if (from->type == INODE_NODE)
		end_news_locked(inodes, from->path, from->czxid);
	if (is_whole)
		move_changes_locked(inodes, from->path, to->path);
	pthread_mutex_unlock(&inodes->lock);
}

/* --- Files that wait for their znode --- */

static struct inode *add_unborn_locked(struct inodes *inodes, const char *path)
{
	const struct key key = { .type = INODE_NODE, .kind = KIND_FILE, .czxid = INODE_UNBORN, .path = path };
	fuse_ino_t number = hash_key(&key) + inodes->unborn_count++;
	struct inode *inode;

	while (number < INODE_FIRST || find_locked(inodes, number))
		number++;
	inode = add_locked(inodes, &key, number);
	if (!inode)
		return NULL;
	if (!note_unborn_locked(inodes, inode)) {
		remove_locked(inodes, inode);
		return NULL;
	}
	bury_locked(inodes, first_locked(inodes, path));
	return inode;
}

fuse_ino_t inodes_enter_unborn(struct inodes *inodes, const char *path)
{
	fuse_ino_t number = 0;
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_unborn_locked(inodes, first_locked(inodes, path));
	if (!inode)
		inode = add_unborn_locked(inodes, path);
	if (inode) {
		inode->lookups++;
		number = inode->number;
	}
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

fuse_ino_t inodes_unborn(struct inodes *inodes, const char *path, bool is_lookup)
{
	fuse_ino_t number = 0;
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_unborn_locked(inodes, first_locked(inodes, path));
	if (inode) {
		inode->lookups += is_lookup ? 1 : 0;
		number = inode->number;
	}
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

bool inodes_foretold(struct inodes *inodes, const char *path)
{
	bool is_foretold = false;
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		if (inode->is_dead)
			continue;
		is_foretold |= is_unborn(inode) || inode->is_foretold;
		inode->is_foretold = false;
	}
	pthread_mutex_unlock(&inodes->lock);
	return is_foretold;
}

/* Somebody else may have been shown the same by another inode. */
static void give_way_locked(struct inodes *inodes, struct inode *inode)
{
	struct inode *other;

	for (other = paths_same(&inodes->by_path, inode); other; other = next_locked(inodes, other)) {
		if (other != inode && other->czxid == inode->czxid && other->type == inode->type &&
			other->kind == inode->kind)
			inode->is_dead = true; /* it was found by its name first */
	}
}

void inodes_born(struct inodes *inodes, fuse_ino_t number, int64_t czxid)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && is_unborn(inode)) {
		born_locked(inodes, inode, czxid);
		inode->is_announced = inode->is_ours = true;
		give_way_locked(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
}

void inodes_reborn(struct inodes *inodes, fuse_ino_t number, int64_t czxid)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && !is_unborn(inode)) {
		inode->czxid = czxid;
		inode->is_dead = inode->is_buried = false;
		inode->is_ours = true;
		give_way_locked(inodes, inode);
	}
	pthread_mutex_unlock(&inodes->lock);
}

void inodes_abandon(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	if (inode && is_unborn(inode))
		inode->is_dead = true;
	pthread_mutex_unlock(&inodes->lock);
}

ssize_t inodes_unborn_in(struct inodes *inodes, const char *directory, char ***list)
{
	const struct table *all = &inodes->unborn;
	struct table_link *link;
	ssize_t count = 0;

	*list = NULL;
	pthread_mutex_lock(&inodes->lock);
	if (all->count > 0) {
		*list = calloc(all->count, sizeof(**list));
		count = *list ? 0 : -ENOMEM;
	}
	for (link = *list ? table_first(all) : NULL; link; link = table_next(all, link)) {
		const struct inode *inode = table_element(link, struct unborn, link)->inode;
		bool is_there = !inode->is_dead && paths_is_in(&inodes->by_path, inode, directory);
		char *name = is_there ? strdup(inode->name) : NULL;

		if (name)
			(*list)[count++] = name;
	}
	pthread_mutex_unlock(&inodes->lock);
	if (count <= 0) {
		free(*list);
		*list = NULL;
	}
	return count;
}

/* --- Deaths that are to be announced --- */

static bool is_node_locked(const struct inode *inode)
{
	return inode->type == INODE_NODE && !is_unborn(inode) && !inode->is_mourned && !inode->is_buried;
}

bool inodes_expect(struct inodes *inodes, struct inode_news *news, const char *path, bool is_birth, bool is_death)
{
	const struct inode *inode;

	*news = (struct inode_news){ .path = strdup(path), .is_birth = is_birth, .is_death = is_death };
	if (!news->path)
		return false;
	pthread_mutex_lock(&inodes->lock);
	table_add(&inodes->news, &news->link);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		if (!inode->is_dead && is_node_locked(inode)) {
			news->has_kind = true;
			news->kind = inode->kind;
		}
	}
	pthread_mutex_unlock(&inodes->lock);
	return true;
}

void inodes_told(struct inodes *inodes, struct inode_news *news)
{
	pthread_mutex_lock(&inodes->lock); /* who moves inodes moves their news */
	if (news->path)
		table_remove(&inodes->news, &news->link);
	free(news->path);
	news->path = NULL;
	pthread_mutex_unlock(&inodes->lock);
}

char *inodes_news_path(struct inodes *inodes, const struct inode_news *news)
{
	char *path;

	pthread_mutex_lock(&inodes->lock);
	path = strdup(news->path);
	pthread_mutex_unlock(&inodes->lock);
	return path;
}

bool inodes_news_is_at(struct inodes *inodes, const struct inode_news *news, const char *path)
{
	bool is_at;

	pthread_mutex_lock(&inodes->lock);
	is_at = strcmp(news->path, path) == 0;
	pthread_mutex_unlock(&inodes->lock);
	return is_at;
}

bool inodes_news_is_late(struct inodes *inodes, const struct inode_news *news, int64_t czxid)
{
	bool is_late;

	pthread_mutex_lock(&inodes->lock);
	is_late = news->ended && czxid <= news->ended;
	pthread_mutex_unlock(&inodes->lock);
	return is_late;
}

bool inodes_news_kind(struct inodes *inodes, const struct inode_news *news, enum kind *kind)
{
	bool has_kind;

	pthread_mutex_lock(&inodes->lock);
	has_kind = news->has_kind;
	*kind = news->kind;
	pthread_mutex_unlock(&inodes->lock);
	return has_kind;
}

void inodes_kind_told(struct inodes *inodes, const struct inode_news *news, enum kind kind)
{
	struct inode_news *later;

	pthread_mutex_lock(&inodes->lock);
	for (later = first_news_locked(inodes, news->path); later; later = next_news_locked(later))
		later->kind = kind;
	pthread_mutex_unlock(&inodes->lock);
}

void inodes_mourn(struct inodes *inodes, const char *path, enum kind *kind)
{
	struct inode *inode, *youngest = NULL;

	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		if (inode->is_dead && is_node_locked(inode))
			youngest = inode;
	}
	if (youngest) {
		youngest->is_mourned = true;
		*kind = youngest->kind;
	}
	pthread_mutex_unlock(&inodes->lock);
}

bool inodes_mourn_kind(struct inodes *inodes, const char *path, enum kind now)
{
	struct inode *inode, *youngest = NULL;

	if (inode_path_is_root(path))
		return false;
	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		if (is_node_locked(inode))
			youngest = inode;
	}
	if (youngest && youngest->kind == now)
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
		inode->is_announced = inode->is_ours = true;
	pthread_mutex_unlock(&inodes->lock);
}

bool inodes_is_announced(struct inodes *inodes, const char *path, int64_t czxid)
{
	const struct inode *inode;
	bool is_announced = false;

	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode))
		is_announced |= inode->is_announced && inode->czxid == czxid;
	pthread_mutex_unlock(&inodes->lock);
	return is_announced;
}

/* Whether the death of what was there is in the queue. Without memory it is taken for so. */
static bool awaits_death_locked(const struct inodes *inodes, const struct inode *inode)
{
	const struct inode_news *news;
	char *path;
	bool awaits;

	if (inodes->news.count == 0)
		return false;
	path = paths_path(&inodes->by_path, inode);
	news = path ? first_news_locked(inodes, path) : NULL;
	while (news && !news->is_death)
		news = next_news_locked(news);
	awaits = !path || news;
	free(path);
	return awaits;
}

/* Dead, and to be told of, but nobody will: what it died of was in a gap. */
static bool is_orphan_locked(const struct inodes *inodes, const struct inode *inode)
{
	const struct inode *other;

	if (!inode->is_dead || inode->type != INODE_NODE || inode->is_buried || awaits_death_locked(inodes, inode))
		return false;
	if (inode->is_mourned)
		return true;
	if (is_unborn(inode) || inode->czxid == INODE_REPLACED)
		return false;
	for (other = paths_same(&inodes->by_path, inode); other; other = next_locked(inodes, other)) {
		if (other != inode && other->czxid == inode->czxid)
			return false; /* it is another kind of the same */
	}
	return true;
}

ssize_t inodes_living(struct inodes *inodes, struct inode_view **list)
{
	const struct inode *inode;
	ssize_t count = 0;

	pthread_mutex_lock(&inodes->lock);
	*list = calloc(paths_count(&inodes->by_path) + 1, sizeof(**list));
	if (!*list)
		count = -ENOMEM;
	for (inode = *list ? paths_first(&inodes->by_path) : NULL; inode;
		inode = paths_behind(&inodes->by_path, inode)) {
		bool is_meant = is_orphan_locked(inodes, inode) || (!inode->is_dead && is_node_locked(inode));
		char *path = is_meant ? paths_path(&inodes->by_path, inode) : NULL;

		if (path)
			(*list)[count++] = (struct inode_view){ .number = inode->number,
				.type = inode->type,
				.kind = inode->kind,
				.is_dead = inode->is_dead,
				.czxid = inode->czxid,
				.path = path };
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

bool inodes_lost(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode, *other;
	bool was_living;

	pthread_mutex_lock(&inodes->lock);
	inode = find_locked(inodes, number);
	was_living = !inode || !inode->is_dead;
	if (inode && was_living) {
		for (other = paths_same(&inodes->by_path, inode); other; other = next_locked(inodes, other)) {
			if (other->czxid == inode->czxid)
				other->is_dead = true; /* its data's, too */
		}
		inode->is_mourned = true;
	}
	pthread_mutex_unlock(&inodes->lock);
	return was_living;
}

void inodes_mourn_announced(struct inodes *inodes, const char *path)
{
	struct inode *inode, *youngest = NULL;
	bool is_mourned = false;

	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		is_mourned |= inode->is_mourned;
		if (inode->is_announced && is_node_locked(inode) && (inode->is_dead || !inode->is_ours))
			youngest = inode;
	}
	if (youngest && !is_mourned) {
		if (!youngest->is_dead)
			youngest->czxid = INODE_REPLACED; /* the kernel is to have no use for it any more */
		youngest->is_dead = youngest->is_mourned = true;
	}
	pthread_mutex_unlock(&inodes->lock);
}

/* The oldest of the path whose death is to be announced; NULL: there is none. */
static struct inode *find_mourned_locked(const struct inodes *inodes, const char *path)
{
	struct inode *inode = first_locked(inodes, path);

	while (inode && !inode->is_mourned)
		inode = next_locked(inodes, inode);
	return inode;
}

fuse_ino_t inodes_mourned(struct inodes *inodes, const char *path, enum kind *kind)
{
	struct inode *inode;
	fuse_ino_t number = 0;

	pthread_mutex_lock(&inodes->lock);
	inode = find_mourned_locked(inodes, path);
	if (inode) {
		inode->lookups++;
		*kind = inode->kind;
		number = inode->number;
	}
	pthread_mutex_unlock(&inodes->lock);
	return number;
}

bool inodes_is_mourned(struct inodes *inodes, const char *path)
{
	bool is_mourned;

	pthread_mutex_lock(&inodes->lock);
	is_mourned = find_mourned_locked(inodes, path) != NULL;
	pthread_mutex_unlock(&inodes->lock);
	return is_mourned;
}

fuse_ino_t inodes_enter_dead(struct inodes *inodes, const char *path, enum kind kind)
{
	const struct key key = { .type = INODE_NODE, .kind = kind, .czxid = INODE_REPLACED, .path = path };
	struct inode *inode;
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	number = hash_key(&key) + inodes->unborn_count++;
	while (number < INODE_FIRST || find_locked(inodes, number))
		number++;
	inode = add_locked(inodes, &key, number);
	if (inode) {
		inode->lookups = 1;
		inode->is_dead = inode->is_mourned = inode->is_announced = true;
	}
	pthread_mutex_unlock(&inodes->lock);
	return inode ? number : 0;
}

static struct inode *bury_one_locked(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode = find_locked(inodes, number);

	if (inode) {
		inode->is_mourned = false;
		inode->is_dead = inode->is_buried = true;
	}
	return inode;
}

void inodes_buried(struct inodes *inodes, fuse_ino_t number)
{
	struct inode *inode;
	char *path;

	pthread_mutex_lock(&inodes->lock);
	inode = bury_one_locked(inodes, number);
	path = inode && inodes->news.count > 0 ? paths_path(&inodes->by_path, inode) : NULL;
	if (path)
		end_news_locked(inodes, path, inode->czxid);
	pthread_mutex_unlock(&inodes->lock);
	free(path);
}

void inodes_death_told(struct inodes *inodes, fuse_ino_t number)
{
	pthread_mutex_lock(&inodes->lock);
	(void)bury_one_locked(inodes, number);
	pthread_mutex_unlock(&inodes->lock);
}

int64_t inodes_made_here(struct inodes *inodes, const char *path)
{
	const struct inode *inode;
	int64_t czxid = 0;

	pthread_mutex_lock(&inodes->lock);
	for (inode = first_locked(inodes, path); inode; inode = next_locked(inodes, inode)) {
		if (inode->type == INODE_NODE && !inode->is_dead && (inode->is_ours || is_unborn(inode)))
			czxid = inode->czxid;
	}
	pthread_mutex_unlock(&inodes->lock);
	return czxid;
}

fuse_ino_t inodes_number(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data)
{
	const struct key key = key_of(inodes, type, path, stat, data);
	fuse_ino_t number;

	pthread_mutex_lock(&inodes->lock);
	(void)find_key_locked(inodes, first_locked(inodes, path), &key, &number);
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
	const struct inode *inode, *first;
	ssize_t count = 0;

	*list = NULL;
	pthread_mutex_lock(&inodes->lock);
	first = first_locked(inodes, path);
	for (inode = first; inode; inode = next_locked(inodes, inode))
		count++;
	if (first) {
		*list = malloc((size_t)count * sizeof(**list));
		count = *list ? 0 : -ENOMEM;
	}
	for (inode = *list ? first : NULL; inode; inode = next_locked(inodes, inode))
		(*list)[count++] = (struct inode_at){ .number = inode->number,
			.type = inode->type,
			.kind = inode->kind,
			.is_dead = inode->is_dead,
			.is_seen = inode->is_seen };
	pthread_mutex_unlock(&inodes->lock);
	return count;
}

ssize_t inodes_paths(struct inodes *inodes, char ***list)
{
	const struct paths *all = &inodes->by_path;
	const struct inode *inode;
	ssize_t count = 0;

	pthread_mutex_lock(&inodes->lock);
	*list = malloc((paths_count(all) + 1) * sizeof(**list));
	if (!*list)
		count = -ENOMEM;
	for (inode = *list ? paths_first(all) : NULL; inode; inode = paths_behind(all, inode)) {
		char *path = paths_same(all, inode) == inode ? paths_path(all, inode) : NULL;

		if (path)
			(*list)[count++] = path;
	}
	pthread_mutex_unlock(&inodes->lock);
	return count;
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
	if (err && directory != FUSE_ROOT_ID && directory < INODE_FIRST)
		err = -EPERM;
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
