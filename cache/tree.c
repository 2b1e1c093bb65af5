#include "cache/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "cache/util/paths.h"

enum { READ_BIT = 1 << 0, ACCESS_UNIT = 100 /* ms */ };

enum part {
	PART_STAT = 1,	   /* stat is what the server has */
	PART_DATA = 2,	   /* and so is data */
	PART_CHILDREN = 4, /* and so are children */
	PART_ABSENT = 8,   /* there is no such znode */
	PART_SECRET = 16,  /* its data cannot be read */
	PART_NAMES = 32,   /* every child is among children, or is a node here */
	PART_ACCESS = 64,  /* it is known who may read it, */
	PART_PUBLIC = 128, /* and that is everybody */
};

enum {
	MISSES_MIN = 2,	     /* names not found in a directory, until its names are read, */
	NAMES_MAX = 1 << 14, /* if it has no more children than this */
};

/* A read on its way and who waits for it. Its node is not forgotten meanwhile. */
struct fetch {
	struct table_link link;
	struct node *node;
	enum tree_query query;
	struct tree_waiter *waiters;
};

/* What is known of a znode's children, where there is something to know. */
struct directory {
	int64_t pzxid; /* of its Stat, and so are the counts */
	int32_t cversion, num_children;
	struct listing *children;
	const char **sorted; /* the names in children; NULL: not needed yet */
	int64_t changed;     /* ms: the newest change seen among the children */
	uint64_t listing;    /* the number among tree->news of the reading of children */
	int64_t listed : 48; /* ms: when that was */
	uint8_t misses;	     /* names asked for and not found in it, up to MISSES_MIN */
	bool is_partial;     /* a child was born or died since */
};

/* There are many, so what few need is elsewhere, and what is left stands so that it fits. */
struct node {
	struct paths_entry place;
	struct node *prev, *next;    /* least recently used first */
	struct bytes *data;	     /* kept while unverified: the znode may turn out unchanged */
	struct directory *directory; /* NULL: it is not known to have had children */
	uint64_t serial;	     /* no other node has it, ever */
	uint64_t died;		     /* the number of the news that it is not there; 0: it is, or may be */
	int64_t checked : 48;	     /* ms: when PART_ABSENT or PART_SECRET, or anything in ttl mode, was last read */
	uint8_t parts;
	uint8_t fetches; /* bit by query: it is among tree->fetches */
	/* Its Stat, without what is in the directory: where there is none, pzxid is the czxid and the counts are 0. */
	int64_t czxid, mzxid, ctime, mtime, ephemeral_owner;
	int32_t version, aversion, data_length;
	uint32_t epoch;	      /* in which parts was learned */
	uint32_t events;      /* that the node was told of, or its children's births and deaths */
	uint32_t sets;	      /* those of them that told of its data */
	uint32_t access_read; /* in ACCESS_UNITs: when PART_ACCESS was */
	char name[];
};

struct tree {
	pthread_mutex_t lock; /* a leaf, over everything */
	struct paths nodes;
	struct table fetches; /* by node and query */
	struct node *lru;
	size_t limit, bytes; /* bytes: of nodes and what is in them */
	int ttl;
	bool is_watching;
	bool with_access;
	bool may_recall;
	bool is_broken; /* there is no connection, and no epoch; */
	bool is_outage; /* and that for a while */
	uint32_t epoch;
	uint32_t distrusted; /* the last epoch of which nothing may be recalled */
	int64_t old_from;    /* ms: when the last one ended, */
	int64_t old_until;   /* ms: and until when it may be recalled */
	uint64_t hits, misses, recalled;
	uint64_t last_serial;
	uint64_t news; /* counts absences learned, and listings */
};

static uint64_t hash_of(const struct node *node, enum tree_query query)
{
	return (uintptr_t)node + query;
}

static uint64_t hash_fetch(const struct table *table, const struct table_link *link)
{
	const struct fetch *fetch = table_element(link, struct fetch, link);

	(void)table;
	return hash_of(fetch->node, fetch->query);
}

struct tree *tree_new(size_t limit, int ttl)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	tree->fetches = (struct table)TABLE_INIT(hash_fetch);
	if (!paths_init(&tree->nodes, offsetof(struct node, name))) {
		free(tree);
		return NULL;
	}
	pthread_mutex_init(&tree->lock, NULL);
	tree->limit = limit;
	tree->ttl = ttl;
	tree->epoch = 1;
	return tree;
}

void tree_want_access(struct tree *tree)
{
	tree->with_access = true;
}

void tree_let_recall(struct tree *tree)
{
	tree->may_recall = true;
}

/* --- Nodes and memory --- */

static size_t node_size(const struct node *node)
{
	return offsetof(struct node, name) + strlen(node->name) + 1;
}

static size_t bytes_locked(const struct tree *tree)
{
	return tree->bytes + tree->nodes.bytes;
}

static size_t data_size(const struct bytes *data)
{
	return data->size ? sizeof(*data) + data->size : 0;
}

static void drop_data(struct tree *tree, struct node *node)
{
	if (node->data)
		tree->bytes -= data_size(node->data);
	bytes_put(node->data);
	node->data = NULL;
	node->parts &= (uint8_t)~PART_DATA;
}

static void drop_children(struct tree *tree, struct node *node)
{
	struct directory *directory = node->directory;

	node->parts &= (uint8_t) ~(PART_CHILDREN | PART_NAMES);
	if (!directory)
		return;
	if (directory->children)
		tree->bytes -= directory->children->size;
	listing_put(directory->children);
	directory->children = NULL;
	free(directory->sorted);
	directory->sorted = NULL;
}

static void drop_directory(struct tree *tree, struct node *node)
{
	drop_children(tree, node);
	if (node->directory)
		tree->bytes -= sizeof(*node->directory);
	free(node->directory);
	node->directory = NULL;
}

/* The node's, made if it has none. NULL: no memory. */
static struct directory *directory_locked(struct tree *tree, struct node *node)
{
	if (node->directory)
		return node->directory;
	node->directory = calloc(1, sizeof(*node->directory));
	if (node->directory) {
		node->directory->pzxid = node->czxid;
		tree->bytes += sizeof(*node->directory);
	}
	return node->directory;
}

static int64_t pzxid_of(const struct node *node)
{
	return node->directory ? node->directory->pzxid : node->czxid;
}

static struct node_stat stat_of(const struct node *node)
{
	const struct directory *directory = node->directory;

	return (struct node_stat){ .czxid = node->czxid,
		.mzxid = node->mzxid,
		.pzxid = pzxid_of(node),
		.ctime = node->ctime,
		.mtime = node->mtime,
		.ephemeral_owner = node->ephemeral_owner,
		.version = node->version,
		.cversion = directory ? directory->cversion : 0,
		.aversion = node->aversion,
		.data_length = node->data_length,
		.num_children = directory ? directory->num_children : 0 };
}

/* False: no memory, nothing has changed. */
static bool set_stat_locked(struct tree *tree, struct node *node, const struct node_stat *stat)
{
	bool is_as_born = stat->pzxid == stat->czxid && stat->cversion == 0 && stat->num_children == 0;
	struct directory *directory = is_as_born ? node->directory : directory_locked(tree, node);

	if (!directory && !is_as_born)
		return false;
	if (directory) {
		directory->pzxid = stat->pzxid;
		directory->cversion = stat->cversion;
		directory->num_children = stat->num_children;
	}
	node->czxid = stat->czxid;
	node->mzxid = stat->mzxid;
	node->ctime = stat->ctime;
	node->mtime = stat->mtime;
	node->ephemeral_owner = stat->ephemeral_owner;
	node->version = stat->version;
	node->aversion = stat->aversion;
	node->data_length = stat->data_length;
	return true;
}

static void node_free(struct tree *tree, struct node *node)
{
	drop_data(tree, node);
	drop_directory(tree, node);
	tree->bytes -= node_size(node);
	paths_remove(&tree->nodes, node);
	DL_DELETE(tree->lru, node);
	free(node);
}

void tree_free(struct tree *tree)
{
	struct table_link *fetch;
	struct node *node, *next;

	if (!tree)
		return;
	while ((fetch = table_first(&tree->fetches))) {
		table_remove(&tree->fetches, fetch);
		free(table_element(fetch, struct fetch, link));
	}
	DL_FOREACH_SAFE (tree->lru, node, next)
		node_free(tree, node);
	table_release(&tree->fetches);
	paths_release(&tree->nodes);
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

static struct node *find_locked(const struct tree *tree, const char *path)
{
	return paths_find(&tree->nodes, path, strlen(path));
}

static struct node *add_locked(struct tree *tree, const char *path)
{
	struct node *node = calloc(1, offsetof(struct node, name) + paths_name_size(path));

	if (!node)
		return NULL;
	node->epoch = tree->epoch;
	node->serial = ++tree->last_serial;
	if (!paths_add(&tree->nodes, node, path)) {
		free(node);
		return NULL;
	}
	DL_APPEND(tree->lru, node);
	tree->bytes += node_size(node);
	return node;
}

static void used_locked(struct tree *tree, struct node *node)
{
	if (tree->lru->prev == node)
		return;
	DL_DELETE(tree->lru, node);
	DL_APPEND(tree->lru, node);
}

static struct node *parent_locked(const struct tree *tree, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash[1] == '\0')
		return NULL; /* the root has none */
	return paths_find(&tree->nodes, path, slash == path ? 1 : (size_t)(slash - path));
}

/* The node is about to be forgotten, and may be the only one to tell that the name is taken. */
static void forget_name_locked(struct tree *tree, const struct node *node)
{
	struct node *parent = paths_find_parent(&tree->nodes, node);

	if (parent)
		parent->parts &= (uint8_t)~PART_NAMES;
}

/* Down to the limit; keep and those somebody waits for stay. */
static void evict_locked(struct tree *tree, const struct node *keep)
{
	struct node *node, *next;

	if (bytes_locked(tree) <= tree->limit)
		return;
	DL_FOREACH_SAFE (tree->lru, node, next) {
		if (bytes_locked(tree) <= tree->limit)
			break;
		if (node != keep && !node->fetches) {
			forget_name_locked(tree, node);
			node_free(tree, node);
		}
	}
}

/* --- Validity --- */

/* Whether it ever had one, perhaps an older. "/" was not made by a transaction. */
static bool has_stat(const struct node *node)
{
	return node->czxid || pzxid_of(node);
}

/* Whether the parts may be served now. */
static bool is_valid_locked(const struct tree *tree, const struct node *node, unsigned parts, int64_t now)
{
	if (node->epoch != tree->epoch || (node->parts & parts) != parts)
		return false;
	if (!tree->is_watching) {
		int64_t read = parts & PART_CHILDREN ? node->directory->listed : node->checked;

		return now - read < tree->ttl;
	}
	if (parts & (PART_CHILDREN | PART_NAMES))
		return now - node->directory->listed < TREE_UNSEEN_MS;
	if (parts & (PART_ABSENT | PART_SECRET))
		return now - node->checked < TREE_UNSEEN_MS;
	return true;
}

static int64_t access_end(const struct node *node)
{
	return (int64_t)node->access_read * ACCESS_UNIT + TREE_UNSEEN_MS;
}

/* Whether it is known who may read it, as far as anybody wants to know. */
static bool has_access_locked(const struct tree *tree, const struct node *node, int64_t now)
{
	if (!tree->with_access)
		return true;
	return node->epoch == tree->epoch && (node->parts & PART_ACCESS) && now < access_end(node);
}

static void fill_locked(const struct tree *tree, const struct node *node, enum tree_query query, struct node_info *info)
{
	const struct directory *directory = node->directory;

	memset(info, 0, sizeof(*info));
	info->stat = stat_of(node);
	if (tree->with_access && (node->parts & PART_ACCESS))
		info->access = (struct node_access){ (node->parts & PART_PUBLIC) != 0, access_end(node) };
	info->changed = directory && directory->changed > node->mtime ? directory->changed : node->mtime;
	if (query == TREE_CHILDREN)
		info->children = directory ? listing_get(directory->children) : NULL;
	else if (node->parts & PART_SECRET)
		info->data_error = -EACCES;
	else
		info->data = bytes_get(node->data);
}

static bool is_known_locked(const struct tree *tree, const struct node *node, int64_t now)
{
	return is_valid_locked(tree, node, PART_STAT | PART_DATA, now) ||
		is_valid_locked(tree, node, PART_STAT | PART_SECRET, now);
}

/* Whether the query can be answered from memory; if so, how. */
static bool is_answered_locked(const struct tree *tree, const struct node *node, enum tree_query query, int64_t now,
	int *error)
{
	*error = 0;
	if (is_valid_locked(tree, node, PART_ABSENT, now)) {
		*error = -ENOENT;
		return true;
	}
	if (query == TREE_CHILDREN)
		return is_valid_locked(tree, node, PART_STAT | PART_CHILDREN, now);
	return is_known_locked(tree, node, now) && has_access_locked(tree, node, now);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_named(struct directory *directory, const char *name)
{
	const struct listing *children = directory->children;
	size_t count = children->count;

	if (!directory->sorted) {
		directory->sorted = malloc((count + 1) * sizeof(*directory->sorted));
		if (!directory->sorted)
			return true; /* as far as we know */
		memcpy(directory->sorted, children->names, count * sizeof(*directory->sorted));
		qsort(directory->sorted, count, sizeof(*directory->sorted), compare_names);
	}
	return bsearch(&name, directory->sorted, count, sizeof(*directory->sorted), compare_names) != NULL;
}

/* Whether the path is known not to be there by the names in its directory. Its node here, if there is one, has died. */
static bool is_absent_locked(struct tree *tree, const struct node *node, const char *path, int64_t now)
{
	struct node *parent = tree->is_watching ? parent_locked(tree, path) : NULL;

	if (!parent || !is_valid_locked(tree, parent, PART_NAMES, now))
		return false;
	return (node && node->died > parent->directory->listing) ||
		!is_named(parent->directory, strrchr(path, '/') + 1);
}

/* --- Recalling --- */

/* The one that can be recalled: while the server only does not answer, it is this. */
static uint32_t last_epoch_locked(const struct tree *tree)
{
	return tree->is_broken ? tree->epoch - 1 : tree->epoch;
}

/* Whether what is known of the node is from that. */
static bool is_of_last_epoch_locked(const struct tree *tree, const struct node *node)
{
	return tree->may_recall && node->epoch == last_epoch_locked(tree) && node->epoch > tree->distrusted;
}

/* Whether it is remembered that the name is not there. The names of its directory know better than the node if they are newer. */
static bool is_remembered_absent_locked(const struct tree *tree, const struct node *node, const struct node *parent,
	const char *name)
{
	if (!parent || !is_of_last_epoch_locked(tree, parent) || !(parent->parts & PART_NAMES))
		return node && is_of_last_epoch_locked(tree, node) && (node->parts & PART_ABSENT);
	if (node && node->died > parent->directory->listing)
		return true;
	return (!node || node->died) && !is_named(parent->directory, name);
}

/* Whether the query can be answered by what is remembered; if so, how. node may be NULL, and so may parent. */
static bool is_remembered_locked(const struct tree *tree, const struct node *node, const struct node *parent,
	const char *name, enum tree_query query, int *error)
{
	unsigned parts = query == TREE_CHILDREN ? PART_CHILDREN : PART_DATA | PART_SECRET;
	bool is_absent = is_remembered_absent_locked(tree, node, parent, name);

	*error = is_absent ? -ENOENT : 0;
	return is_absent ||
		(node && is_of_last_epoch_locked(tree, node) && (node->parts & PART_STAT) && (node->parts & parts));
}

/* As fill_locked. Who may read it is trusted as long as nothing tells better, if it was when the server was gone; else nobody may but
 * who always may. */
static void fill_old_locked(struct tree *tree, const struct node *node, enum tree_query query, int64_t now,
	struct node_info *info)
{
	int64_t gone = tree->is_broken ? tree->old_from : now;
	bool is_trusted = (node->parts & PART_ACCESS) && gone < access_end(node);

	fill_locked(tree, node, query, info);
	if (tree->with_access)
		info->access = (struct node_access){ .is_public = is_trusted && (node->parts & PART_PUBLIC),
			.until = now + TREE_UNSEEN_MS };
}

/* Answers at once, as tree_ask. False: that cannot be. */
static bool recall_locked(struct tree *tree, struct node *node, const char *path, enum tree_query query, int64_t now,
	int *error, struct node_info *info)
{
	if (!tree->is_outage || now >= tree->old_until ||
		!is_remembered_locked(tree, node, parent_locked(tree, path), strrchr(path, '/') + 1, query, error))
		return false;
	if (node && *error == 0)
		fill_old_locked(tree, node, query, now, info);
	tree->recalled++;
	return true;
}

/* Contents that are probably still good and not small are verified rather than fetched again. */
static enum stream_read choose_read(const struct tree *tree, const struct node *node, enum tree_query query,
	int64_t now)
{
	enum { SMALL = 4096 };

	if (query == TREE_CHILDREN)
		return STREAM_CHILDREN;
	if (tree->with_access && is_known_locked(tree, node, now))
		return STREAM_ACL;
	return node->data && node->data->size > SMALL ? STREAM_EXISTS : STREAM_GET;
}

/* --- Asking --- */

static struct fetch *find_fetch_locked(const struct tree *tree, const struct node *node, enum tree_query query)
{
	struct table_link *link = table_chain(&tree->fetches, hash_of(node, query));

	for (; link; link = link->next) {
		struct fetch *fetch = table_element(link, struct fetch, link);

		if (fetch->node == node && fetch->query == query)
			return fetch;
	}
	return NULL;
}

static bool is_fetched(const struct node *node, enum tree_query query)
{
	return node->fetches & (1u << query);
}

/* NULL: no memory. */
static struct fetch *begin_fetch_locked(struct tree *tree, struct node *node, enum tree_query query)
{
	struct fetch *fetch = malloc(sizeof(*fetch));

	if (!fetch)
		return NULL;
	*fetch = (struct fetch){ .node = node, .query = query };
	table_add(&tree->fetches, &fetch->link);
	node->fetches |= (uint8_t)(1u << query);
	return fetch;
}

/* Gives who waited. */
static struct tree_waiter *end_fetch_locked(struct tree *tree, struct node *node, enum tree_query query)
{
	struct fetch *fetch = find_fetch_locked(tree, node, query);
	struct tree_waiter *waiters = fetch->waiters;

	node->fetches &= (uint8_t) ~(1u << query);
	table_remove(&tree->fetches, &fetch->link);
	free(fetch);
	return waiters;
}

static int wait_locked(struct tree *tree, struct node *node, enum tree_query query, int64_t now,
	struct tree_waiter *waiter, enum stream_read *read)
{
	int step = is_fetched(node, query) ? TREE_WAITING : TREE_FETCH;
	struct fetch *fetch =
		step == TREE_WAITING ? find_fetch_locked(tree, node, query) : begin_fetch_locked(tree, node, query);

	if (!fetch)
		return -ENOMEM;
	LL_PREPEND(fetch->waiters, waiter);
	if (step == TREE_FETCH)
		*read = choose_read(tree, node, query, now);
	return step;
}

/* A node for what is asked for. If the names of its directory tell that it was not there, that is remembered. */
static struct node *add_asked_locked(struct tree *tree, const char *path)
{
	bool is_absent = is_remembered_absent_locked(tree, NULL, parent_locked(tree, path), strrchr(path, '/') + 1);
	struct node *node = add_locked(tree, path);

	if (node && is_absent)
		node->died = ++tree->news;
	return node;
}

int tree_ask(struct tree *tree, const char *path, enum tree_query query, int64_t now, struct tree_waiter *waiter,
	enum stream_read *read, int *error, struct node_info *info)
{
	struct node *node;
	int step = -ENOMEM;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if ((!node || node->died) && is_absent_locked(tree, node, path, now)) {
		tree->hits++;
		*error = -ENOENT;
		step = TREE_READY;
		node = NULL;
	} else if (waiter->takes_old && recall_locked(tree, node, path, query, now, error, info)) {
		tree->hits++;
		step = TREE_READY;
		if (node)
			used_locked(tree, node);
		node = NULL;
	} else if (!node) {
		node = add_asked_locked(tree, path);
	}
	if (node) {
		used_locked(tree, node);
		if (is_answered_locked(tree, node, query, now, error)) {
			tree->hits++;
			step = TREE_READY;
			if (*error == 0)
				fill_locked(tree, node, query, info);
		} else {
			tree->misses++;
			step = wait_locked(tree, node, query, now, waiter, read);
		}
	}
	pthread_mutex_unlock(&tree->lock);
	return step;
}

/* --- Replies --- */

static void note_listing_locked(struct tree *tree, struct node *node, int64_t now)
{
	node->parts |= PART_CHILDREN | PART_NAMES;
	node->directory->listed = now;
	node->directory->listing = ++tree->news;
}

/* Takes a Stat read from the server, and with it decides what of an older epoch is still true. False: no memory. */
static bool take_stat_locked(struct tree *tree, struct node *node, const struct node_stat *stat, int64_t now)
{
	bool same = node->czxid == stat->czxid;
	bool same_data = same && node->mzxid == stat->mzxid;
	bool same_children = same && pzxid_of(node) == stat->pzxid;
	struct directory *directory;

	if (!same || node->epoch != tree->epoch)
		node->parts &= (uint8_t) ~(PART_ACCESS | PART_PUBLIC);
	if (!set_stat_locked(tree, node, stat)) {
		node->parts = 0;
		return false;
	}
	if (!same_data)
		drop_data(tree, node);
	else if (node->data)
		node->parts |= PART_DATA;
	directory = node->directory;
	if (directory && directory->is_partial)
		same_children = same && node->epoch == tree->epoch;
	if (!same_children)
		drop_children(tree, node);
	else if (directory && directory->children && node->epoch != tree->epoch)
		note_listing_locked(tree, node, now);
	if (directory && !same)
		directory->changed = 0;
	node->parts &= (uint8_t) ~(PART_ABSENT | PART_SECRET);
	node->parts |= PART_STAT;
	node->died = 0;
	node->epoch = tree->epoch;
	node->checked = now;
	return true;
}

static void take_absence_locked(struct tree *tree, struct node *node, int64_t now)
{
	drop_data(tree, node);
	drop_directory(tree, node);
	(void)set_stat_locked(tree, node, &(struct node_stat){ 0 }); /* which takes no memory */
	node->parts = PART_ABSENT;
	node->died = ++tree->news;
	node->epoch = tree->epoch;
	node->checked = now;
}

/* False: no memory. */
static bool take_data_locked(struct tree *tree, struct node *node, const struct stream_reply *reply)
{
	drop_data(tree, node);
	node->data = bytes_new(reply->data, reply->data_size);
	if (!node->data)
		return false;
	tree->bytes += data_size(node->data);
	node->parts |= PART_DATA;
	return true;
}

/* False: no memory. */
static bool take_children_locked(struct tree *tree, struct node *node, struct listing *children, int64_t now)
{
	struct directory *directory = directory_locked(tree, node);

	drop_children(tree, node);
	if (!directory)
		return false;
	directory->children = listing_get(children);
	directory->is_partial = false;
	tree->bytes += children->size;
	note_listing_locked(tree, node, now);
	return true;
}

static bool is_public(const struct acl_list *acl)
{
	for (uint32_t i = 0; acl && i < acl->count; i++) {
		if ((acl->list[i].perms & READ_BIT) && strcmp(acl->list[i].scheme, "world") == 0 &&
			strcmp(acl->list[i].id, "anyone") == 0)
			return true;
	}
	return false;
}

/* Takes the reply to a reading of the ACL, by which we may be kept out: then so is everybody. 0 or the error. */
static int take_access_locked(struct tree *tree, struct node *node, const struct stream_reply *reply, int64_t now)
{
	if (reply->error && reply->error != -EACCES)
		return reply->error;
	if (!reply->error && !take_stat_locked(tree, node, &reply->stat, now))
		return -ENOMEM;
	node->parts &= (uint8_t)~PART_PUBLIC;
	node->parts |= PART_ACCESS;
	if (!reply->error && is_public(reply->acl))
		node->parts |= PART_PUBLIC;
	node->access_read = (uint32_t)(now / ACCESS_UNIT);
	return 0;
}

/* What is to be read next for an answer, as take_reply_locked gives it: the data, or who may read it. */
static int read_rest_locked(struct tree *tree, struct node *node, enum stream_read *read, int64_t now)
{
	unsigned known = node->epoch == tree->epoch ? node->parts : 0;

	if (*read == STREAM_ACL && !((known & PART_STAT) && (known & (PART_DATA | PART_SECRET)))) {
		*read = STREAM_GET;
		return 1;
	}
	if (*read != STREAM_ACL && !has_access_locked(tree, node, now)) {
		*read = STREAM_ACL;
		return 1;
	}
	return 0;
}

/* Gives the error for the waiters, or 1: *read must be sent first. */
static int take_reply_locked(struct tree *tree, struct node *node, enum tree_query query, enum stream_read *read,
	const struct stream_reply *reply, int64_t now)
{
	if (reply->error == -ENOENT)
		take_absence_locked(tree, node, now);
	if (*read == STREAM_ACL) {
		int error = take_access_locked(tree, node, reply, now);

		return error ? error : read_rest_locked(tree, node, read, now);
	}
	if (reply->error == -EACCES && *read == STREAM_GET) {
		/* Who may not read the data may still see the Stat (exists needs no permission). */
		drop_data(tree, node);
		*read = STREAM_EXISTS;
		node->parts =
			PART_SECRET | (node->epoch == tree->epoch ? node->parts & (PART_ACCESS | PART_PUBLIC) : 0);
		node->epoch = tree->epoch;
		return 1;
	}
	if (reply->error)
		return reply->error;
	if (*read == STREAM_EXISTS && (node->parts & PART_SECRET) && node->epoch == tree->epoch && !node->data) {
		if (!take_stat_locked(tree, node, &reply->stat, now))
			return -ENOMEM;
		node->parts |= PART_SECRET;
		return read_rest_locked(tree, node, read, now);
	}
	if (!take_stat_locked(tree, node, &reply->stat, now))
		return -ENOMEM;
	if (*read == STREAM_GET && !take_data_locked(tree, node, reply))
		return -ENOMEM;
	if (query == TREE_CHILDREN && !take_children_locked(tree, node, reply->children, now))
		return -ENOMEM;
	if (*read == STREAM_EXISTS && !(node->parts & PART_DATA)) {
		*read = STREAM_GET; /* it has changed meanwhile */
		return 1;
	}
	return query == TREE_NODE ? read_rest_locked(tree, node, read, now) : 0;
}

struct tree_waiter *tree_reply(struct tree *tree, const char *path, enum tree_query query, enum stream_read *read,
	const struct stream_reply *reply, int64_t now, bool *again, int *error, struct node_info *info)
{
	struct tree_waiter *waiters = NULL;
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path); /* it is there: a fetch keeps it */
	*error = take_reply_locked(tree, node, query, read, reply, now);
	*again = *error == 1;
	if (!*again) {
		if (*error == 0)
			fill_locked(tree, node, query, info);
		waiters = end_fetch_locked(tree, node, query);
		evict_locked(tree, node);
	}
	pthread_mutex_unlock(&tree->lock);
	return waiters;
}

/* Takes those out of the fetch that are content with what is old. */
static struct tree_waiter *take_content_locked(struct fetch *fetch)
{
	struct tree_waiter *content = NULL;
	struct tree_waiter *waiter, *next;

	LL_FOREACH_SAFE (fetch->waiters, waiter, next) {
		if (waiter->takes_old) {
			LL_DELETE(fetch->waiters, waiter);
			LL_PREPEND(content, waiter);
		}
	}
	return content;
}

/* is_over: the time for it is. NULL: nobody wants it, nothing is known, or there is no memory. */
static struct tree_answer *recall_for_locked(struct tree *tree, struct fetch *fetch, int64_t now, bool is_over)
{
	const struct node *node = fetch->node;
	struct tree_answer *answer;
	int error;

	if (!is_remembered_locked(tree, node, paths_find_parent(&tree->nodes, node), node->name, fetch->query, &error))
		return NULL;
	answer = calloc(1, sizeof(*answer));
	if (!answer)
		return NULL;
	answer->error = is_over ? -EIO : error;
	answer->waiters = take_content_locked(fetch);
	if (!answer->waiters) {
		free(answer);
		return NULL;
	}
	if (!answer->error)
		fill_old_locked(tree, node, fetch->query, now, &answer->info);
	tree->recalled += is_over ? 0 : 1;
	return answer;
}

static struct tree_answer *recall_all_locked(struct tree *tree, int64_t now)
{
	struct tree_answer *answers = NULL;
	struct table_link *link;

	for (link = table_first(&tree->fetches); link; link = table_next(&tree->fetches, link)) {
		struct fetch *fetch = table_element(link, struct fetch, link);
		struct tree_answer *answer = recall_for_locked(tree, fetch, now, false);

		if (answer)
			LL_PREPEND(answers, answer);
	}
	return answers;
}

struct tree_answer *tree_recall(struct tree *tree, const char *path, enum tree_query query, int64_t now)
{
	struct tree_answer *answers = NULL;
	struct fetch *fetch;
	bool is_over;

	pthread_mutex_lock(&tree->lock);
	is_over = tree->is_broken && now >= tree->old_until;
	if (path) { /* its fetch is there: we were called for it */
		fetch = find_fetch_locked(tree, find_locked(tree, path), query);
		answers = recall_for_locked(tree, fetch, now, is_over);
	} else if (!is_over) {
		answers = recall_all_locked(tree, now);
	}
	pthread_mutex_unlock(&tree->lock);
	return answers;
}

void tree_access(struct tree *tree, const char *path, const struct stream_reply *reply, int64_t now)
{
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if (node)
		(void)take_access_locked(tree, node, reply, now); /* what is missing then is read again */
	evict_locked(tree, node);
	pthread_mutex_unlock(&tree->lock);
}

void tree_access_changed(struct tree *tree, const char *path)
{
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if (node)
		node->parts &= (uint8_t) ~(PART_ACCESS | PART_PUBLIC);
	pthread_mutex_unlock(&tree->lock);
}

/* --- What makes stale --- */

/* The names last listed stay as they are, and the new one gets a node. */
static void children_changed_locked(struct tree *tree, enum wire_event_type type, const char *path, int64_t wall)
{
	struct node *parent = parent_locked(tree, path);
	struct directory *directory;

	if (!parent)
		return;
	if (type == WIRE_CREATED && (parent->parts & PART_NAMES) && !find_locked(tree, path) && !add_locked(tree, path))
		parent->parts &= (uint8_t)~PART_NAMES;
	if (!(parent->parts & PART_NAMES))
		drop_children(tree, parent);
	parent->parts &= (uint8_t)~PART_CHILDREN;
	parent->events++;
	directory = directory_locked(tree, parent);
	if (!directory || directory->cversion == 0)
		parent->parts &= (uint8_t)~PART_STAT; /* with the first child more may change; the root has no counts */
	if (!directory)
		return;	       /* its time will be an older one */
	directory->cversion++; /* DataNode.copyStat: 2 * births - children */
	directory->num_children += type == WIRE_CREATED ? 1 : -1;
	directory->is_partial = true;
	if (wall > directory->changed)
		directory->changed = wall;
}

void tree_event(struct tree *tree, enum wire_event_type type, const char *path, int64_t wall)
{
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if (node) {
		node->events++;
		node->died = type == WIRE_DELETED ? ++tree->news : 0;
	}
	if (node && type == WIRE_DATA_CHANGED) {
		node->sets++;
		node->parts &= (uint8_t) ~(PART_STAT | PART_SECRET);
		drop_data(tree, node);
	} else if (node) {
		node->parts = 0;
		drop_data(tree, node);
		drop_directory(tree, node);
	}
	if (type != WIRE_DATA_CHANGED)
		children_changed_locked(tree, type, path, wall);
	evict_locked(tree, NULL);
	pthread_mutex_unlock(&tree->lock);
}

void tree_connected(struct tree *tree, bool watching)
{
	pthread_mutex_lock(&tree->lock);
	tree->is_watching = watching;
	tree->is_broken = tree->is_outage = false;
	pthread_mutex_unlock(&tree->lock);
}

void tree_broken(struct tree *tree, int64_t now, int64_t until)
{
	pthread_mutex_lock(&tree->lock);
	tree->old_from = now;
	tree->old_until = until;
	tree->is_broken = true;
	tree->epoch++;
	tree->is_watching = false;
	pthread_mutex_unlock(&tree->lock);
}

void tree_outage(struct tree *tree)
{
	pthread_mutex_lock(&tree->lock);
	tree->is_outage = tree->is_broken;
	pthread_mutex_unlock(&tree->lock);
}

void tree_distrust(struct tree *tree)
{
	pthread_mutex_lock(&tree->lock);
	tree->distrusted = last_epoch_locked(tree);
	pthread_mutex_unlock(&tree->lock);
}

void tree_changed_by_us(struct tree *tree, const char *path, const struct tree_mark *mark, int64_t zxid,
	bool is_birth_or_death)
{
	struct node *node;
	bool was_told;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	was_told = node && tree->epoch == mark->epoch && node->serial == mark->serial && node->events != mark->events;
	if (node && !was_told && (zxid == 0 || node->mzxid < zxid))
		node->parts = 0;
	node = is_birth_or_death && !was_told ? parent_locked(tree, path) : NULL;
	if (node && (zxid == 0 || pzxid_of(node) < zxid))
		node->parts &= (uint8_t) ~(PART_STAT | PART_CHILDREN | PART_NAMES);
	pthread_mutex_unlock(&tree->lock);
}

struct tree_mark tree_mark(struct tree *tree, const char *path)
{
	struct tree_mark mark = { 0 };
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = tree->is_watching ? find_locked(tree, path) : NULL;
	if (tree->is_watching && !node)
		node = add_locked(tree, path);
	if (node)
		mark = (struct tree_mark){ .serial = node->serial,
			.epoch = tree->epoch,
			.events = node->events,
			.sets = node->sets };
	if (node && is_valid_locked(tree, node, PART_STAT, 0)) {
		mark.czxid = node->czxid;
		mark.version = node->version;
	}
	pthread_mutex_unlock(&tree->lock);
	return mark;
}

uint32_t tree_events_since(struct tree *tree, const char *path, const struct tree_mark *mark)
{
	const struct node *node;
	uint32_t events = 0;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if (node && mark->serial && tree->is_watching && tree->epoch == mark->epoch && node->serial == mark->serial)
		events = node->events - mark->events;
	pthread_mutex_unlock(&tree->lock);
	return events;
}

bool tree_has_passed(struct tree *tree, const char *path, const struct tree_mark *mark, const struct node_stat *stat)
{
	const struct node *node;
	bool has_passed;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	has_passed = mark->czxid && stat->czxid == mark->czxid && stat->version > mark->version && node &&
		tree->is_watching && tree->epoch == mark->epoch && node->serial == mark->serial &&
		node->sets - mark->sets >= (uint32_t)(stat->version - mark->version);
	pthread_mutex_unlock(&tree->lock);
	return has_passed;
}

void tree_fill(struct tree *tree, const char *path, const struct tree_mark *mark, uint32_t events,
	const struct node_stat *stat, struct bytes *data, int64_t now)
{
	const struct stream_reply reply = { .stat = *stat,
		.data = data ? data->data : "",
		.data_size = data ? data->size : 0 };
	struct node *node;

	pthread_mutex_lock(&tree->lock);
	node = find_locked(tree, path);
	if (node && tree->is_watching && tree->epoch == mark->epoch && node->serial == mark->serial &&
		node->events == mark->events + events) {
		if (!take_stat_locked(tree, node, stat, now) || !take_data_locked(tree, node, &reply))
			node->parts = 0;
	}
	evict_locked(tree, node);
	pthread_mutex_unlock(&tree->lock);
}

bool tree_wants_names(struct tree *tree, const char *path, int64_t now, enum stream_read *read, char **parent)
{
	struct directory *directory;
	struct node *node;

	*parent = NULL;
	pthread_mutex_lock(&tree->lock);
	node = tree->is_watching ? parent_locked(tree, path) : NULL;
	directory = node ? directory_locked(tree, node) : NULL;
	if (directory && directory->misses < MISSES_MIN)
		directory->misses++;
	if (directory && directory->misses >= MISSES_MIN && node->epoch == tree->epoch && has_stat(node) &&
		!is_valid_locked(tree, node, PART_NAMES, now) && directory->num_children < NAMES_MAX &&
		!is_fetched(node, TREE_CHILDREN)) {
		*parent = paths_path(&tree->nodes, node);
		if (*parent && !begin_fetch_locked(tree, node, TREE_CHILDREN)) {
			free(*parent);
			*parent = NULL;
		}
		*read = choose_read(tree, node, TREE_CHILDREN, now);
	}
	pthread_mutex_unlock(&tree->lock);
	return *parent != NULL;
}

struct tree_stats tree_stats(struct tree *tree)
{
	struct tree_stats stats;

	pthread_mutex_lock(&tree->lock);
	stats = (struct tree_stats){ .nodes = paths_count(&tree->nodes),
		.bytes = bytes_locked(tree),
		.hits = tree->hits,
		.misses = tree->misses,
		.recalled = tree->recalled };
	pthread_mutex_unlock(&tree->lock);
	return stats;
}
