#include "cache/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/lock.h"
#include "cache/parts.h"
#include "cache/servers.h"
#include "cache/util/clock.h"
#include "cache/util/log.h"

enum {
	LIST_WINDOW = 512, /* children of one listing asked for at once */
	DIAGNOSE_MS = 300, /* without a connection for so long at the start, we look why */
};

/* --- Asking the tree, and the stream where the tree does not know --- */

/* Somebody who waits for an answer. Embedded in whatever they remember. */
struct ask {
	struct tree_waiter waiter; /* first */
	void (*done)(struct ask *ask, int error, const struct node_info *info);
};

/* A read under way. */
struct fetch {
	struct cache *cache;
	enum tree_query query;
	enum stream_read read;
	char path[];
};

static void answer_all(struct tree_waiter *waiters, int error, const struct node_info *info)
{
	while (waiters) {
		struct ask *ask = (struct ask *)waiters;

		waiters = waiters->next;
		ask->done(ask, error, error ? NULL : info);
	}
}

/* Whoever is content with it is given what was known before. path NULL: of anything. */
static void recall(struct cache *cache, const char *path, enum tree_query query)
{
	struct tree_answer *answers = tree_recall(cache->tree, path, query, clock_now());

	while (answers) {
		struct tree_answer *answer = answers;

		answers = answer->next;
		answer_all(answer->waiters, answer->error, &answer->info);
		if (!answer->error)
			node_info_release(&answer->info);
		free(answer);
	}
}

/* Gives the reply to the tree and to those it answers. True: *read must be sent first. */
static bool deliver(struct cache *cache, const char *path, enum tree_query query, enum stream_read *read,
	const struct stream_reply *reply)
{
	struct node_info info = { 0 };
	struct tree_waiter *waiters;
	bool again;
	int error;

	if (reply->error == -ETIMEDOUT)
		recall(cache, path, query);
	waiters = tree_reply(cache->tree, path, query, read, reply, clock_now(), &again, &error, &info);
	answer_all(waiters, error, &info);
	node_info_release(&info);
	return again;
}

static int send_fetch(struct cache *cache, const char *path, enum tree_query query, enum stream_read read);

/* A name was not there: see tree_wants_names. */
static void fetch_names(struct cache *cache, const char *path)
{
	struct stream_reply failed = { .error = 0 };
	enum stream_read read;
	char *parent;

	if (!tree_wants_names(cache->tree, path, clock_now(), &read, &parent))
		return;
	failed.error = send_fetch(cache, parent, TREE_CHILDREN, read);
	if (failed.error)
		(void)deliver(cache, parent, TREE_CHILDREN, &read, &failed);
	free(parent);
}

static void fetch_done(const struct stream_reply *reply, void *arg)
{
	const struct stream_reply failed = { .error = -ENOMEM };
	struct fetch *fetch = arg;
	struct cache *cache = fetch->cache;

	if (deliver(cache, fetch->path, fetch->query, &fetch->read, reply)) {
		if (stream_send(cache->stream, fetch->read, fetch->path, fetch_done, fetch) == 0)
			return;
		(void)deliver(cache, fetch->path, fetch->query, &fetch->read, &failed);
	}
	if (reply->error == -ENOENT && fetch->query == TREE_NODE)
		fetch_names(cache, fetch->path);
	free(fetch);
}

static void access_done(const struct stream_reply *reply, void *arg)
{
	struct fetch *fetch = arg;

	tree_access(fetch->cache->tree, fetch->path, reply, clock_now());
	free(fetch);
}

static struct fetch *fetch_new(struct cache *cache, const char *path, enum tree_query query, enum stream_read read)
{
	size_t size = strlen(path) + 1;
	struct fetch *fetch = malloc(sizeof(*fetch) + size);

	if (!fetch)
		return NULL;
	fetch->cache = cache;
	fetch->query = query;
	fetch->read = read;
	memcpy(fetch->path, path, size);
	return fetch;
}

/* The ACL, right before the znode is read: both are answered in one turn. If it cannot be sent, it is read after. */
static void send_access(struct cache *cache, const char *path)
{
	struct fetch *fetch = fetch_new(cache, path, TREE_NODE, STREAM_ACL);

	if (fetch && stream_send(cache->stream, STREAM_ACL, path, access_done, fetch) < 0)
		free(fetch);
}

static int send_fetch(struct cache *cache, const char *path, enum tree_query query, enum stream_read read)
{
	struct fetch *fetch = fetch_new(cache, path, query, read);
	int err = -ENOMEM;

	if (!fetch)
		return err;
	if (cache->with_access && query == TREE_NODE && read != STREAM_ACL)
		send_access(cache, path);
	err = stream_send(cache->stream, read, path, fetch_done, fetch);
	if (err)
		free(fetch);
	return err;
}

/* Answers from the tree (TREE_READY, *error and *info as tree_ask), or takes ask and calls it later (TREE_WAITING). */
static int ask_tree(struct cache *cache, const char *path, enum tree_query query, struct ask *ask, int *error,
	struct node_info *info)
{
	enum stream_read read;
	struct stream_reply failed = { .error = 0 };
	int step = tree_ask(cache->tree, path, query, clock_now(), &ask->waiter, &read, error, info);

	if (step != TREE_FETCH)
		return step;
	failed.error = send_fetch(cache, path, query, read);
	if (failed.error)
		(void)deliver(cache, path, query, &read, &failed);
	return TREE_WAITING;
}

/* --- One znode --- */

struct node_ask {
	struct ask ask;
	cache_node_cb *done;
	void *arg;
};

static void node_asked(struct ask *ask, int error, const struct node_info *info)
{
	struct node_ask *node = (struct node_ask *)ask;

	node->done(error, info, node->arg);
	free(node);
}

static int ask_node(struct cache *cache, const char *path, enum tree_query query, bool takes_old, cache_node_cb *done,
	void *arg)
{
	struct node_ask *node = malloc(sizeof(*node));
	struct node_info info;
	int error;
	int step;

	if (!node)
		return -ENOMEM;
	*node = (struct node_ask){ .ask = { .waiter.takes_old = takes_old, .done = node_asked },
		.done = done,
		.arg = arg };
	step = ask_tree(cache, path, query, &node->ask, &error, &info);
	if (step < 0) {
		free(node);
		return step;
	}
	if (step == TREE_READY) {
		node_asked(&node->ask, error, error ? NULL : &info);
		if (!error)
			node_info_release(&info);
	}
	return 0;
}

uint64_t cache_moment(struct cache *cache)
{
	return atomic_load(&cache->moment);
}

int64_t cache_passed(struct cache *cache)
{
	return stream_mark(cache->stream).passed;
}

bool cache_is_watching(struct cache *cache)
{
	return atomic_load(&cache->is_watching);
}

int cache_read(struct cache *cache, const char *path, cache_node_cb *done, void *arg)
{
	return ask_node(cache, path, TREE_NODE, false, done, arg);
}

int cache_recall(struct cache *cache, const char *path, cache_node_cb *done, void *arg)
{
	return ask_node(cache, path, TREE_NODE, true, done, arg);
}

/* --- A znode's children --- */

struct list;

struct child_ask {
	struct ask ask;
	struct list *list;
	size_t index;
};

/* A listing being put together. Whoever brings refs to zero ends it: one for each child that is not known yet, one for each
 * thread at work in list_ask_more. */
struct list {
	struct cache *cache;
	char *path;
	cache_children_cb *done;
	void *arg;
	struct cache_children *children; /* each place is written by the one who asked for it */
	struct child_ask *asks;
	uint64_t moment;
	bool takes_old;
	_Atomic(size_t) next; /* the first child not asked for */
	_Atomic(size_t) refs;
	_Atomic(int) error;
};

enum { NO_CHILD = -1 }; /* as data_length: it has gone meanwhile */

struct cache_children *cache_children_get(struct cache_children *children)
{
	if (children)
		atomic_fetch_add_explicit(&children->refs, 1, memory_order_relaxed);
	return children;
}

void cache_children_put(struct cache_children *children)
{
	if (!children || atomic_fetch_sub_explicit(&children->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < children->count; i++)
		bytes_put(children->list[i].data);
	listing_put(children->names);
	free(children);
}

static int compare_children(const void *a, const void *b)
{
	const struct cache_child *left = a;
	const struct cache_child *right = b;

	if (left->stat.czxid != right->stat.czxid)
		return left->stat.czxid < right->stat.czxid ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* What locks of files lie below is nobody's business. */
static bool is_hidden(const struct list *list, const char *name)
{
	return list->path[1] == '\0' && strcmp(name, &LOCK_ROOT[1]) == 0;
}

static void list_end(struct list *list)
{
	struct cache_children *children = list->children;
	int error = atomic_load(&list->error);
	size_t kept = 0;

	for (size_t i = 0; i < children->count; i++) {
		if (children->list[i].stat.data_length == NO_CHILD || is_hidden(list, children->list[i].name))
			bytes_put(children->list[i].data);
		else
			children->list[kept++] = children->list[i];
	}
	children->count = kept;
	qsort(children->list, kept, sizeof(children->list[0]), compare_children);
	list->done(error, error ? NULL : children, list->arg);
	cache_children_put(children);
	free(list->asks);
	free(list->path);
	free(list);
}

static void list_put(struct list *list)
{
	if (atomic_fetch_sub(&list->refs, 1) == 1)
		list_end(list);
}

static void list_take_child(struct list *list, size_t index, int error, const struct node_info *info)
{
	struct cache_child *child = &list->children->list[index];

	if (!error) {
		child->stat = info->stat;
		child->access = info->access;
		if (info->data && info->data->size == CACHE_CHILD_DATA)
			child->data = bytes_get(info->data);
	} else if (error != -ENOENT) {
		atomic_store(&list->error, error);
	}
	list_put(list);
}

static void list_ask_more(struct list *list, int count);

static void child_asked(struct ask *ask, int error, const struct node_info *info)
{
	struct child_ask *child = (struct child_ask *)ask;
	struct list *list = child->list;

	atomic_fetch_add(&list->refs, 1);
	list_take_child(list, child->index, error, info);
	list_ask_more(list, 1);
	list_put(list);
}

/* A step of the tree, or -ENOMEM. */
static int list_ask_child(struct list *list, size_t index)
{
	const char *name = list->children->list[index].name;
	bool is_root = list->path[1] == '\0';
	size_t size = strlen(list->path) + strlen(name) + 2;
	char *path = malloc(size);
	struct node_info info;
	int error;
	int step;

	if (!path)
		return -ENOMEM;
	(void)snprintf(path, size, "%s/%s", is_root ? "" : list->path, name);
	list->asks[index] = (struct child_ask){ .ask = { .waiter.takes_old = list->takes_old, .done = child_asked },
		.list = list,
		.index = index };
	step = ask_tree(list->cache, path, TREE_NODE, &list->asks[index].ask, &error, &info);
	free(path);
	if (step == TREE_READY) {
		list_take_child(list, index, error, &info);
		if (!error)
			node_info_release(&info);
	}
	return step;
}

/* Asks until count questions have gone to the server or there is nothing left to ask. The caller holds a reference. */
static void list_ask_more(struct list *list, int count)
{
	while (count > 0) {
		size_t index = atomic_fetch_add(&list->next, 1);
		int step;

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the caller's reference keeps it */
		if (index >= list->children->count)
			return;
		/* After an error the rest is not asked for: it would only fail as well, each inside the other. */
		step = atomic_load(&list->error);
		if (step == 0)
			step = list_ask_child(list, index);
		if (step < 0)
			list_take_child(list, index, step, NULL);
		if (step == TREE_WAITING)
			count--;
	}
}

static int list_begin(struct list *list, const struct node_info *info)
{
	size_t count = info->children->count;
	struct cache_children *children = malloc(sizeof(*children) + count * sizeof(children->list[0]));

	list->asks = malloc((count + 1) * sizeof(list->asks[0]));
	if (!children || !list->asks) {
		free(children);
		return -ENOMEM;
	}
	atomic_init(&children->refs, 1);
	children->moment = list->moment;
	children->stat = info->stat;
	children->names = listing_get(info->children);
	children->count = count;
	for (size_t i = 0; i < count; i++)
		children->list[i] =
			(struct cache_child){ .name = info->children->names[i], .stat.data_length = NO_CHILD };
	list->children = children;
	atomic_store(&list->refs, count + 1);
	return 0;
}

static void children_asked(int error, const struct node_info *info, void *arg)
{
	struct list *list = arg;

	if (!error)
		error = list_begin(list, info);
	if (error) {
		list->done(error, NULL, list->arg);
		free(list->asks);
		free(list->path);
		free(list);
		return;
	}
	stream_cork(list->cache->stream);
	list_ask_more(list, LIST_WINDOW);
	stream_uncork(list->cache->stream);
	list_put(list);
}

static int begin_list(struct cache *cache, const char *path, bool takes_old, cache_children_cb *done, void *arg)
{
	struct list *list = calloc(1, sizeof(*list));
	int err = -ENOMEM;

	if (!list)
		return err;
	list->cache = cache;
	list->moment = cache_moment(cache);
	list->takes_old = takes_old;
	list->done = done;
	list->arg = arg;
	list->path = strdup(path);
	if (list->path)
		err = ask_node(cache, path, TREE_CHILDREN, takes_old, children_asked, list);
	if (err) {
		free(list->path);
		free(list);
	}
	return err;
}

int cache_list(struct cache *cache, const char *path, cache_children_cb *done, void *arg)
{
	return begin_list(cache, path, false, done, arg);
}

int cache_recall_list(struct cache *cache, const char *path, cache_children_cb *done, void *arg)
{
	return begin_list(cache, path, true, done, arg);
}

/* --- sync --- */

struct sync {
	cache_done_cb *done;
	void *arg;
};

static void sync_fenced(int error, void *arg)
{
	struct sync *sync = arg;

	sync->done(error, NULL, sync->arg);
	free(sync);
}

int cache_sync(struct cache *cache, cache_done_cb *done, void *arg)
{
	struct sync *sync = malloc(sizeof(*sync));
	int err;

	if (!sync)
		return -ENOMEM;
	*sync = (struct sync){ .done = done, .arg = arg };
	err = stream_fence(cache->stream, 0, STREAM_AT_ONCE, sync_fenced, sync);
	if (err)
		free(sync);
	return err;
}

/* --- How things are --- */

void cache_look(struct cache *cache, struct cache_view *view)
{
	const struct tree_stats stats = tree_stats(cache->tree);

	*view = (struct cache_view){
		.is_reading = atomic_load(&cache->is_reading),
		.is_watching = atomic_load(&cache->is_watching),
		.created = atomic_load(&cache->events[WIRE_CREATED]),
		.changed = atomic_load(&cache->events[WIRE_DATA_CHANGED]),
		.deleted = atomic_load(&cache->events[WIRE_DELETED]),
		.gaps = atomic_load(&cache->gaps),
		.nodes = stats.nodes,
		.bytes = stats.bytes,
		.bytes_max = cache->size,
		.hits = stats.hits,
		.misses = stats.misses,
		.recalled = stats.recalled,
	};
	session_look(cache->session, &view->session);
	writer_count(cache->writer, &view->changes_waiting, &view->changes_sent);
	pthread_mutex_lock(&cache->lock);
	memcpy(view->reads_from, cache->reads_from, sizeof(view->reads_from));
	pthread_mutex_unlock(&cache->lock);
}

/* --- News from below --- */

static void note(struct cache *cache, bool *what)
{
	pthread_mutex_lock(&cache->lock);
	*what = true;
	pthread_cond_broadcast(&cache->news);
	pthread_mutex_unlock(&cache->lock);
}

static void on_epoch(bool watching, int64_t zxid, void *arg)
{
	struct cache *cache = arg;

	if (!watching && !cache->was_unwatched)
		log_warning("the server takes no recursive watch (it is older than 3.6 or has WatchManagerOptimized): "
			    "what is cached is trusted for the ttl only");
	cache->was_unwatched = !watching;
	tree_connected(cache->tree, watching);
	if (cache->is_outage) { /* the kernel may have been told what was recalled */
		atomic_fetch_add(&cache->moment, 1);
		cache->changed(CACHE_UNSURE, "/", cache->changed_arg);
	}
	cache->is_outage = false;
	atomic_store(&cache->is_watching, watching);
	atomic_store(&cache->is_reading, true);
	note(cache, &cache->is_announced);
	locks_resumed(cache->locks);
	if (!watching)
		return;
	if (cache->told && cache->resumed)
		cache->resumed(cache->told, cache->foreign_arg);
	cache->told = zxid;
}

/* Until when what was known before the servers were gone may be recalled. */
static int64_t end_of_recall(const struct cache *cache, int64_t gone, int session)
{
	return cache->stale == CACHE_STALE_FOREVER ? INT64_MAX : gone + session;
}

static void on_broken(int64_t zxid, int64_t gone, int session, void *arg)
{
	struct cache *cache = arg;

	int64_t untold = own_break(cache->own);

	if (atomic_load(&cache->is_watching) && zxid > cache->told)
		cache->told = zxid;
	if (untold < cache->told)
		cache->told = untold;
	atomic_store(&cache->is_watching, false);
	atomic_store(&cache->is_reading, false);
	atomic_fetch_add(&cache->gaps, 1);
	tree_broken(cache->tree, gone, end_of_recall(cache, gone, session));
	locks_broken(cache->locks);
	atomic_fetch_add(&cache->moment, 1);
	cache->changed(CACHE_UNSURE, "/", cache->changed_arg);
}

static void on_outage(void *arg)
{
	struct cache *cache = arg;

	if (cache->stale == CACHE_STALE_NEVER)
		return;
	log_warning("no server answers: what is cached is read as it was (mount option stale)");
	cache->is_outage = true;
	tree_outage(cache->tree);
	recall(cache, NULL, TREE_NODE);
}

static const enum cache_change changes[] = {
	[WIRE_CREATED] = CACHE_CREATED,
	[WIRE_DELETED] = CACHE_DELETED,
	[WIRE_DATA_CHANGED] = CACHE_CHANGED,
};

static void on_foreign(enum wire_event_type type, const char *path, void *arg)
{
	struct cache *cache = arg;

	if (type != WIRE_DELETED)
		cache->changed(changes[type], path, cache->changed_arg);
	makings_tell(cache, changes[type], path);
}

static void on_event(enum wire_event_type type, const char *path, void *arg)
{
	struct cache *cache = arg;
	enum cache_change change = changes[type];
	struct own_held *held;
	enum own_event whose;
	struct timespec now;

	atomic_store(&cache->is_telling, true);
	whose = own_event(cache->own, type, path, stream_mark(cache->stream).passed, &held);
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	tree_event(cache->tree, type, path, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	atomic_fetch_add(&cache->moment, 1);
	atomic_fetch_add_explicit(&cache->events[type], 1, memory_order_relaxed);
	if (change == CACHE_CHANGED && whose == OWN_PERHAPS)
		change = CACHE_CHANGED_PLAIN;
	if (change == CACHE_CREATED && whose != OWN_FOREIGN)
		change = CACHE_CREATED_HERE;
	cache->changed(change, path, cache->changed_arg);
	if (whose == OWN_FOREIGN)
		makings_tell(cache, change, path);
	own_ready(cache->own, held);
	atomic_store(&cache->is_telling, false);
	changes_told(cache, path);
	if (type == WIRE_CREATED)
		locks_created(cache->locks, path);
	else if (type == WIRE_DELETED)
		locks_deleted(cache->locks, path);
}

static void on_auth_failed(void *arg)
{
	struct cache *cache = arg;

	log_warning("the server refuses a credential of auth_file");
	note(cache, &cache->has_auth_failed);
}

static void on_state_changed(void *arg)
{
	struct cache *cache = arg;

	locks_session(cache->locks);
	if (!session_is_connected(cache->session))
		writer_lost(cache->writer);
	if (cache->state_changed)
		cache->state_changed(cache->state_arg);
}

static void on_connected(const struct sockaddr *server, socklen_t size, void *arg)
{
	struct cache *cache = arg;
	struct session_info session;

	session_look(cache->session, &session);
	pthread_mutex_lock(&cache->lock);
	if (session.server[0]) /* the stream follows it there */
		memcpy(cache->reads_from, session.server, sizeof(session.server));
	pthread_mutex_unlock(&cache->lock);
	stream_follow(cache->stream, server, size);
	note(cache, &cache->is_connected);
	writer_connected(cache->writer);
	locks_session(cache->locks);
	if (cache->connected)
		cache->connected(cache->connected_arg);
}

static void on_closed(void *arg)
{
	struct cache *cache = arg;

	writer_closed(cache->writer);
}

static void on_waiting(void *arg)
{
	struct cache *cache = arg;

	writer_waiting(cache->writer);
}

/* --- Life --- */

static bool make_parts(struct cache *cache, const struct cache_config *config)
{
	const struct stream_config stream = {
		.chroot = config->chroot,
		.credentials = config->credentials,
		.session_timeout = config->session_timeout,
		.timeout = config->timeout,
		/* well before who waits is told that his time is up */
		.patience = config->timeout / 2 < CACHE_PATIENCE_MS ? config->timeout / 2 : CACHE_PATIENCE_MS,
		.handlers = { .epoch = on_epoch,
			.broken = on_broken,
			.outage = on_outage,
			.event = on_event,
			.auth_failed = on_auth_failed,
			.arg = cache },
	};
	const struct session_config session = {
		.servers = config->servers,
		.session_timeout = config->session_timeout,
		.credentials = config->credentials,
		.handlers = { .connected = on_connected,
			.closed = on_closed,
			.waiting = on_waiting,
			.state_changed = on_state_changed,
			.auth_failed = on_auth_failed,
			.arg = cache },
	};
	const struct writer_config writer = { .chroot = config->chroot,
		.acl = config->acl,
		.timeout = config->timeout };

	cache->hosts = strdup(config->servers);
	cache->chroot = strdup(config->chroot);
	cache->tree = tree_new(config->size, config->ttl);
	cache->writer = writer_new(&writer);
	cache->session = session_new(&session);
	cache->own = own_new(CACHE_CHILD_DATA, on_foreign, cache);
	cache->makings = makings_new();
	cache->locks = locks_new(cache);
	if (!cache->hosts || !cache->chroot || !cache->tree || !cache->writer || !cache->session || !cache->own ||
		!cache->makings || !cache->locks)
		return false;
	if (config->with_access)
		tree_want_access(cache->tree);
	if (config->stale != CACHE_STALE_NEVER)
		tree_let_recall(cache->tree);
	writer_attach(cache->writer, cache->session);
	cache->stream = stream_new(&stream);
	return cache->stream != NULL;
}

struct cache *cache_new(const struct cache_config *config)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_mutex_init(&cache->changes_lock, NULL);
	clock_init_condition(&cache->news);
	cache->timeout = config->timeout;
	cache->with_access = config->with_access;
	cache->changed = config->changed;
	cache->foreign = config->foreign;
	cache->resumed = config->resumed;
	cache->foreign_arg = config->foreign_arg;
	cache->connected = config->connected;
	cache->connected_arg = config->connected_arg;
	cache->changed_arg = config->changed_arg;
	cache->state_changed = config->state_changed;
	cache->state_arg = config->state_arg;
	cache->size = config->size;
	cache->stale = config->stale;
	if (make_parts(cache, config))
		return cache;
	cache_free(cache);
	return NULL;
}

/* Waits until reads and changes can work, a credential was refused, or ms have passed. */
static bool wait_for_connection(struct cache *cache, int64_t until)
{
	const struct timespec at = clock_at(until);
	bool is_ready;
	int err = 0;

	pthread_mutex_lock(&cache->lock);
	while (!(cache->is_connected && cache->is_announced) && !cache->has_auth_failed && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&cache->news, &cache->lock, &at);
	is_ready = cache->is_connected && cache->is_announced;
	pthread_mutex_unlock(&cache->lock);
	return is_ready;
}

static bool auth_has_failed(struct cache *cache)
{
	bool failed;

	pthread_mutex_lock(&cache->lock);
	failed = cache->has_auth_failed;
	pthread_mutex_unlock(&cache->lock);
	return failed;
}

/* A call that somebody blocks for. */
struct blocking {
	struct cache *cache;
	bool is_done;
	int error;
};

static void blocking_done(int error, const struct node_info *info, void *arg)
{
	struct blocking *blocking = arg;

	(void)info;
	blocking->error = error;
	note(blocking->cache, &blocking->is_done);
}

static int check_chroot(struct cache *cache)
{
	struct blocking blocking = { .cache = cache };
	int err = cache_read(cache, "/", blocking_done, &blocking);

	if (err)
		return err;
	pthread_mutex_lock(&cache->lock);
	while (!blocking.is_done)
		pthread_cond_wait(&cache->news, &cache->lock);
	pthread_mutex_unlock(&cache->lock);
	return blocking.error;
}

int cache_start(struct cache *cache, char *reason, size_t reason_size)
{
	int64_t until = clock_now() + cache->timeout;
	int err = session_start(cache->session);

	(void)snprintf(reason, reason_size, "cannot start a thread: %s", strerror(-err));
	if (err)
		return err;
	if (!wait_for_connection(cache, clock_now() + (cache->timeout < DIAGNOSE_MS ? cache->timeout : DIAGNOSE_MS))) {
		if (!auth_has_failed(cache))
			err = servers_diagnose(cache->hosts, cache->timeout, reason, reason_size);
		if (err)
			return err;
		(void)wait_for_connection(cache, until);
	}
	if (auth_has_failed(cache)) {
		(void)snprintf(reason, reason_size, "'%s' refuses a credential of auth_file", cache->hosts);
		return -EACCES;
	}
	if (!wait_for_connection(cache, clock_now())) {
		(void)snprintf(reason, reason_size,
			"'%s' accepts connections but answered nothing for %g s; is it ZooKeeper's client port?",
			cache->hosts, cache->timeout / 1000.0);
		return -ETIMEDOUT;
	}
	err = check_chroot(cache);
	if (err == -ENOENT)
		(void)snprintf(reason, reason_size, "there is no znode '%s' at '%s' to mount (zkCli can 'create %s')",
			cache->chroot, cache->hosts, cache->chroot);
	else if (err)
		(void)snprintf(reason, reason_size, "cannot read '%s' at '%s': %s",
			*cache->chroot ? cache->chroot : "/", cache->hosts, strerror(-err));
	return err;
}

void cache_stop(struct cache *cache)
{
	locks_stop(cache->locks);
	session_stop(cache->session);
	writer_stop(cache->writer);
	stream_free(cache->stream);
	cache->stream = NULL;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	stream_free(cache->stream);
	session_free(cache->session);
	writer_free(cache->writer);
	tree_free(cache->tree);
	own_free(cache->own);
	makings_free(cache->makings);
	locks_free(cache->locks);
	pthread_cond_destroy(&cache->news);
	pthread_mutex_destroy(&cache->changes_lock);
	pthread_mutex_destroy(&cache->lock);
	free(cache->hosts);
	free(cache->chroot);
	free(cache);
}
