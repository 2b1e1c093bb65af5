/* rename(2) as one ZooKeeper transaction (DESIGN.md section 3). A file that replaces another sets its contents, so that the target's
 * czxid, ACL and watchers live on, and is deleted; everything else is made anew at its new place, with data, ACLs and all
 * descendants, and deleted at the old one, bottom up and under a check of each version. Whoever changes something or adds a
 * child meanwhile makes the transaction fail, and it is planned anew. What does not fit into one packet is EXDEV.
 *
 * How it goes: what is unsaved below is saved; both sides are looked at (struct side), the whole source too where it must be
 * made anew; the steps are planned and sent; then the inodes and open files are told of their new paths. Everything is
 * asynchronous, one step after the other. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cache/acl.h"
#include "cache/util/clock.h"
#include "fusefs/files.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/readonly.h"

enum {
	NO_REPLACE = 1, /* RENAME_NOREPLACE, */
	EXCHANGE = 2,	/* RENAME_EXCHANGE of linux/fs.h, which does not go together with stdio.h everywhere */
	/* No transaction has more nodes: each takes more than so many bytes of its packet (write.c). */
	PACKET_MAX = 1 << 20,
	NODES_MAX = PACKET_MAX / 128,
};

/* A znode as it was looked at. */
struct looked {
	char *path;
	struct node_info info; /* data is there */
	struct acl_list *acl;
	size_t children; /* of those that were looked at too */
};

/* What is at one of the two paths. */
struct side {
	char *path;	      /* of the znode; for INODE_DATA, the directory's */
	enum inode_type type; /* INODE_DATA: the directory's ".data" */
	bool exists;
	enum kind kind;	    /* of what the kernel sees there */
	struct looked *all; /* the znode, and behind it all below, parents first */
	size_t count, capacity, at;
	size_t data_size; /* of all */
};

struct rename {
	struct pending *pending;
	unsigned flags;
	struct side from, to;
	struct side *looks; /* which of them is being looked at */
	bool is_set;	    /* the contents go into what is at the target */
	bool was_unknown;   /* the outcome must be found out */
	bool was_not_there; /* something that the transaction needs: the directory, perhaps */
	int64_t deadline;   /* ms: no further try after it */
	struct write_step *steps;
	size_t step_count, step_capacity;
	char **paths; /* of steps, where made for them */
	size_t path_count, path_capacity;
	_Atomic(unsigned) turns; /* see is_second */
	int deep_error;		 /* of the znode looked at last */
	_Atomic(size_t) awaited; /* ACLs, */
	_Atomic(int) error;	 /* and the last error of those */
};

static void look(struct rename *rename);

/* --- Life --- */

static void side_clear(struct side *side)
{
	for (size_t i = 0; i < side->count; i++) {
		free(side->all[i].path);
		node_info_release(&side->all[i].info);
		acl_list_put(side->all[i].acl);
	}
	free(side->all);
	side->all = NULL;
	side->count = side->capacity = side->at = side->data_size = 0;
	side->exists = false;
}

static void clear_steps(struct rename *rename)
{
	for (size_t i = 0; i < rename->path_count; i++)
		free(rename->paths[i]);
	free(rename->paths);
	free(rename->steps);
	rename->paths = NULL;
	rename->steps = NULL;
	rename->path_count = rename->path_capacity = rename->step_count = rename->step_capacity = 0;
}

static void rename_end(struct rename *rename, int error)
{
	pending_fail(rename->pending, error);
	clear_steps(rename);
	side_clear(&rename->from);
	side_clear(&rename->to);
	free(rename->from.path);
	free(rename->to.path);
	free(rename);
}

/* Looks at everything again and plans anew, if there is time. */
static void again(struct rename *rename)
{
	if (clock_now() < rename->deadline)
		look(rename);
	else
		rename_end(rename, -ETIMEDOUT);
}

/* Room for one more in an array. False: no memory. */
static bool reserve(void **array, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 16;
	void *grown;

	if (count < *capacity)
		return true;
	grown = reallocarray(*array, wanted, size);
	if (!grown)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

/* --- The steps --- */

static bool add_step(struct rename *rename, struct write_step step)
{
	if (!reserve((void **)&rename->steps, rename->step_count, &rename->step_capacity, sizeof(step)))
		return false;
	rename->steps[rename->step_count++] = step;
	return true;
}

/* A path made for a step; NULL: no memory. */
static const char *add_path(struct rename *rename, const char *directory, const char *rest)
{
	char *path;

	if (!reserve((void **)&rename->paths, rename->path_count, &rename->path_capacity, sizeof(char *)) ||
		asprintf(&path, "%s%s", directory, rest) < 0)
		return NULL;
	return rename->paths[rename->path_count++] = path;
}

/* Lets a directory have had a child, which makes it one for good though it has data or was written (section 2, rule 1). */
static bool add_past_child(struct rename *rename, const char *directory)
{
	const char *child;
	char name[32];
	uint64_t salt = 0;

	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	(void)snprintf(name, sizeof(name), "/zkfs-%016llx", (unsigned long long)salt);
	child = add_path(rename, directory, name);
	return child && add_step(rename, (struct write_step){ .verb = WRITE_CREATE, .path = child }) &&
		add_step(rename, (struct write_step){ .verb = WRITE_DELETE, .path = child, .version = -1 });
}

/* What is there gets this data; its version is as it was looked at. */
static bool add_set(struct rename *rename, const struct side *side, struct bytes *data)
{
	const struct node_stat *stat = &side->all[0].info.stat;
	bool is_fresh = side->type == INODE_DATA && stat->cversion == 0 && !inode_path_is_root(side->path);

	return add_step(rename,
		       (struct write_step){ .verb = WRITE_SET,
			       .path = side->path,
			       .data = data,
			       .version = stat->version }) &&
		(!is_fresh || add_past_child(rename, side->path));
}

static enum write_mode mode_of(const struct node_stat *stat)
{
	switch (kind_owner(stat)) {
	case OWNER_SESSION:
		return WRITE_EPHEMERAL;
	case OWNER_CONTAINER:
		return WRITE_CONTAINER;
	default:
		return WRITE_PERSISTENT;
	}
}

/* One znode made anew at this path, of the same kind as it was. */
static bool add_copy(struct rename *rename, const struct looked *node, const char *path)
{
	const struct node_stat *stat = &node->info.stat;
	bool is_directory = kind_of(stat, false) == KIND_DIRECTORY;
	bool is_empty = stat->data_length == 0;

	if (!add_step(rename,
		    (struct write_step){ .verb = WRITE_CREATE,
			    .path = path,
			    .data = node->info.data,
			    .mode = mode_of(stat),
			    .acl = node->acl }))
		return false;
	if (!is_directory && is_empty && kind_owner(stat) != OWNER_SESSION)
		return add_step(rename, (struct write_step){ .verb = WRITE_SET, .path = path, .version = -1 });
	return !is_directory || is_empty || node->children > 0 || add_past_child(rename, path);
}

static bool add_copies(struct rename *rename, const struct side *side, const char *to)
{
	size_t skip = strlen(side->path);

	for (size_t i = 0; i < side->count; i++) {
		const char *path = add_path(rename, to, side->all[i].path + skip);

		if (!path || !add_copy(rename, &side->all[i], path))
			return false;
	}
	return true;
}

/* Bottom up. The versions see to it that nothing is removed that was not looked at; a child that was not makes it fail too. */
static bool add_removals(struct rename *rename, const struct side *side)
{
	for (size_t i = side->count; i-- > 0;) {
		const struct looked *node = &side->all[i];

		if (!add_step(rename,
			    (struct write_step){ .verb = WRITE_DELETE,
				    .path = node->path,
				    .version = node->info.stat.version }))
			return false;
	}
	return true;
}

/* --- What is to be done --- */

static bool is_foreign(const struct rename *rename, const struct node_stat *stat)
{
	return kind_owner(stat) == OWNER_SESSION &&
		stat->ephemeral_owner != cache_session_id(rename->pending->mount->cache);
}

/* Whether setting its data is all that is needed to replace it. */
static bool is_plain(const struct side *side)
{
	return side->kind != KIND_DIRECTORY &&
		(side->type == INODE_DATA || kind_owner(&side->all[0].info.stat) != OWNER_SESSION);
}

/* 0 or the error that POSIX wants. */
static int check(const struct rename *rename)
{
	const struct side *from = &rename->from;
	const struct side *to = &rename->to;
	bool from_directory = from->kind == KIND_DIRECTORY;

	if (!from->exists || (!to->exists && (rename->flags & EXCHANGE)) || (to->type == INODE_DATA && to->count == 0))
		return -ENOENT;
	if (to->exists && (rename->flags & NO_REPLACE))
		return -EEXIST;
	if ((from->type == INODE_DATA || to->type == INODE_DATA) &&
		(from_directory || (to->exists && to->kind == KIND_DIRECTORY) ||
			kind_owner(&from->all[0].info.stat) == OWNER_SESSION))
		return -EPERM; /* contents of a directory are a file, and a lasting one */
	if (!to->exists || (rename->flags & EXCHANGE))
		return 0;
	if (!from_directory && to->kind == KIND_DIRECTORY)
		return -EISDIR;
	if (from_directory && to->kind != KIND_DIRECTORY)
		return -ENOTDIR;
	if (from_directory && (to->all[0].info.stat.num_children > 0 || to->all[0].info.stat.data_length > 0))
		return -ENOTEMPTY;
	return 0;
}

/* Nobody's ephemeral but ours; and nothing that would not be the same at its new place. */
static int check_nodes(const struct rename *rename, const struct side *side)
{
	for (size_t i = 0; i < side->count; i++) {
		const struct looked *node = &side->all[i];

		if (side->type == INODE_NODE &&
			(is_foreign(rename, &node->info.stat) || kind_owner(&node->info.stat) == OWNER_TTL))
			return -EPERM;
		for (uint32_t j = 0; node->acl && j < node->acl->count; j++) {
			/* Made anew it would let nobody in. */
			if (acl_is_hidden(&node->acl->list[j]))
				return -EPERM;
		}
	}
	return 0;
}

/* False: no memory. */
static bool plan_exchange(struct rename *rename)
{
	struct side *from = &rename->from;
	struct side *to = &rename->to;

	if (rename->is_set)
		return add_set(rename, from, to->all[0].info.data) && add_set(rename, to, from->all[0].info.data);
	return add_removals(rename, from) && add_removals(rename, to) && add_copies(rename, from, to->path) &&
		add_copies(rename, to, from->path);
}

static bool plan_move(struct rename *rename)
{
	struct side *from = &rename->from;
	struct side *to = &rename->to;
	struct bytes *data = from->all[0].info.data;

	if (rename->is_set) {
		if (!add_set(rename, to, data))
			return false;
	} else if (from->type == INODE_DATA) {
		const struct looked file = { .info = { .stat = { .data_length = 1 }, .data = data } };

		if (!add_copy(rename, &file, to->path))
			return false;
	} else {
		if (to->exists && !add_removals(rename, to))
			return false;
		if (!add_copies(rename, from, to->path))
			return false;
	}
	return from->type == INODE_DATA ? add_set(rename, from, NULL) : add_removals(rename, from);
}

/* --- Afterwards --- */

struct ended {
	struct rename *rename;
	struct node_stat to;
};

static void move_inodes(struct rename *rename, const struct side *from, const char *from_path, const struct side *to,
	const struct node_stat *top)
{
	struct inodes *inodes = rename->pending->mount->inodes;
	size_t skip = strlen(from->path);

	if (from->type == INODE_NODE && to->type == INODE_NODE)
		inodes_moved_below(inodes, from_path, to->path);
	for (size_t i = 0; i < from->count; i++) {
		const struct node_info *info = &from->all[i].info;
		struct inode_place source = { .type = from->type, .czxid = info->stat.czxid };
		struct inode_place target = { .type = to->type, .czxid = top->czxid };
		char *old = NULL;
		char *new = NULL;
		fuse_ino_t number;

		/* All that is made in one transaction has the same czxid. */
		if (asprintf(&old, "%s%s", from_path, from->all[i].path + skip) >= 0 &&
			asprintf(&new, "%s%s", to->path, from->all[i].path + skip) >= 0) {
			source.path = old;
			target.path = new;
			number = inodes_number(inodes, from->type, old, &info->stat, info->data);
			inodes_moved(inodes, &source, &target);
			attr_forget_access(rename->pending->mount, number); /* it has the ACL of what it replaced */
		}
		free(old);
		free(new);
	}
}

static void moved(struct rename *rename, const struct node_stat *to, const struct node_stat *from)
{
	static const char aside[] = "//"; /* no path begins so */
	struct mount *mount = rename->pending->mount;
	fuse_ino_t replaced = 0;
	fuse_ino_t unborn = inodes_unborn(mount->inodes, rename->to.path, false);

	if (rename->to.exists && !from)
		replaced = inodes_number(mount->inodes, rename->to.type, rename->to.path, &rename->to.all[0].info.stat,
			rename->to.all[0].info.data);
	if (!replaced && rename->to.type == INODE_NODE)
		replaced = unborn;
	if (from) {
		struct side there = { .path = (char *)aside, .type = rename->to.type };

		move_inodes(rename, &rename->to, rename->to.path, &there, from);
		move_inodes(rename, &rename->from, rename->from.path, &rename->to, to);
		for (size_t i = 0; i < rename->to.count; i++)
			rename->to.all[i].info.stat.czxid = from->czxid;
		move_inodes(rename, &rename->to, aside, &rename->from, from);
	} else {
		if (replaced)
			files_unlinked(mount->files, replaced);
		move_inodes(rename, &rename->from, rename->from.path, &rename->to, to);
	}
	files_follow(mount->files);
}

static void from_read(int error, const struct node_info *info, void *arg)
{
	struct ended *ended = arg;
	struct rename *rename = ended->rename;

	if (!error)
		moved(rename, &ended->to, &info->stat);
	free(ended);
	rename_end(rename, 0);
}

/* What stands at the target now tells its czxid. (If it is gone again already, lookups will tell.) */
static void to_read(int error, const struct node_info *info, void *arg)
{
	struct rename *rename = arg;
	struct ended *ended = NULL;

	if (!error && (rename->flags & EXCHANGE)) {
		ended = malloc(sizeof(*ended));
		if (ended) {
			*ended = (struct ended){ .rename = rename, .to = info->stat };
			if (cache_read(rename->pending->mount->cache, rename->from.path, from_read, ended) == 0)
				return;
		}
		free(ended);
	} else if (!error) {
		moved(rename, &info->stat, NULL);
	}
	rename_end(rename, 0);
}

static void succeeded(struct rename *rename)
{
	if (cache_read(rename->pending->mount->cache, rename->to.path, to_read, rename) < 0)
		rename_end(rename, 0);
}

/* --- Sending, and what came of it --- */

static void transacted(int error, bool is_unknown, void *arg)
{
	struct rename *rename = arg;

	clear_steps(rename);
	if (!error) {
		succeeded(rename);
	} else if (is_unknown) {
		rename->was_unknown = true;
		look(rename);
	} else if (error == -EAGAIN || error == -ENOENT || error == -EEXIST || error == -ENOTEMPTY) {
		rename->was_not_there = error == -ENOENT;
		again(rename); /* somebody was faster */
	} else {
		rename_end(rename, error);
	}
}

static void submit(struct rename *rename)
{
	int err = check_nodes(rename, &rename->from);
	bool has_memory = true;

	if (!err && (!rename->is_set || rename->to.type == INODE_DATA))
		err = check_nodes(rename, &rename->to);
	if (!err)
		has_memory = rename->flags & EXCHANGE ? plan_exchange(rename) : plan_move(rename);
	if (!has_memory)
		err = -ENOMEM;
	if (!err)
		err = cache_transact(rename->pending->mount->cache, rename->steps, rename->step_count, transacted,
			rename);
	if (err)
		rename_end(rename, err == -EFBIG ? -EXDEV : err);
}

/* --- Looking --- */

/* False: no memory. */
static bool side_add(struct side *side, const char *directory, const char *name)
{
	struct looked *node;

	if (!reserve((void **)&side->all, side->count, &side->capacity, sizeof(*node)))
		return false;
	node = &side->all[side->count];
	memset(node, 0, sizeof(*node));
	if (asprintf(&node->path, "%s%s%s", directory, *name ? "/" : "", name) < 0)
		return false;
	side->count++;
	return true;
}

static void look_deeper(struct rename *rename);

/* A side has been looked at altogether. */
static void looked_deep(struct rename *rename, int error)
{
	if (error == -ENOENT) {
		again(rename); /* it has changed meanwhile */
	} else if (error) {
		rename_end(rename, error);
	} else if (rename->looks == &rename->from && (rename->flags & EXCHANGE)) {
		rename->looks = &rename->to;
		look_deeper(rename);
	} else {
		submit(rename);
	}
}

/* Whoever comes last goes on: all ACLs are asked for at once. */
static void acl_came(struct rename *rename, int error)
{
	if (error)
		atomic_store(&rename->error, error);
	if (atomic_fetch_sub(&rename->awaited, 1) == 1)
		looked_deep(rename, atomic_load(&rename->error));
}

struct acl_wait {
	struct rename *rename;
	struct looked *node;
};

static void acl_read(int error, const struct node_stat *stat, struct acl_list *acl, void *arg)
{
	struct acl_wait *wait = arg;
	struct rename *rename = wait->rename;

	(void)stat;
	wait->node->acl = acl_list_get(acl);
	free(wait);
	acl_came(rename, error);
}

static void ask_acls(struct rename *rename)
{
	struct side *side = rename->looks;

	atomic_store(&rename->error, 0);
	atomic_store(&rename->awaited, side->count + 1);
	/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the one more, which the last line takes, keeps it */
	for (size_t i = 0; i < side->count; i++) {
		struct acl_wait *wait = malloc(sizeof(*wait));
		int err = -ENOMEM;

		if (wait) {
			*wait = (struct acl_wait){ .rename = rename, .node = &side->all[i] };
			err = cache_read_acl(rename->pending->mount->cache, side->all[i].path, acl_read, wait);
		}
		if (err) {
			free(wait);
			acl_came(rename, err);
		}
	}
	acl_came(rename, 0);
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
}

/* An answer may come before the question's call returns, on this thread, and then there are thousands of them, so that none may
 * ask the next question itself; or later, on another, and then it must. The second of the two to come here goes on. */
static bool is_second(struct rename *rename)
{
	return atomic_fetch_add(&rename->turns, 1) % 2 == 1;
}

/* The znode at side->at is known, with what is in it; or there was an error. */
static void deep_known(struct rename *rename, int error)
{
	rename->deep_error = error;
	if (!error)
		rename->looks->at++;
	if (is_second(rename))
		look_deeper(rename);
}

static void deep_listed(int error, struct cache_children *children, void *arg)
{
	struct rename *rename = arg;
	struct side *side = rename->looks;
	bool has_memory = true;

	if (!error && side->count + children->count > NODES_MAX)
		error = -EXDEV;
	for (size_t i = 0; !error && has_memory && i < children->count; i++) {
		side->all[side->at].children++;
		has_memory = side_add(side, side->all[side->at].path, children->list[i].name);
	}
	deep_known(rename, has_memory ? error : -ENOMEM);
}

static void deep_read(int error, const struct node_info *info, void *arg)
{
	struct rename *rename = arg;
	struct side *side = rename->looks;
	struct looked *node = &side->all[side->at];

	if (!error && !info->data)
		error = info->data_error;
	if (!error && info->data)
		side->data_size += info->data->size;
	if (!error && side->data_size > PACKET_MAX)
		error = -EXDEV;
	if (!error) {
		node_info_release(&node->info);
		node_info_copy(&node->info, info);
		if (kind_of(&info->stat, false) == KIND_DIRECTORY) {
			error = cache_list(rename->pending->mount->cache, node->path, deep_listed, rename);
			if (!error)
				return;
		}
	}
	deep_known(rename, error);
}

/* Everything from side->at on. */
static void look_deeper(struct rename *rename)
{
	struct side *side = rename->looks;

	do {
		int err = rename->deep_error;

		if (err || side->at == side->count) {
			rename->deep_error = 0;
			if (err)
				looked_deep(rename, err);
			else
				ask_acls(rename);
			return;
		}
		err = cache_read(rename->pending->mount->cache, side->all[side->at].path, deep_read, rename);
		if (err)
			deep_known(rename, err);
	} while (is_second(rename));
}

static void plan(struct rename *rename)
{
	rename->is_set = rename->to.exists && is_plain(&rename->to) &&
		(rename->from.type == INODE_DATA || is_plain(&rename->from));
	if (rename->to.type == INODE_DATA)
		rename->is_set = true;
	rename->looks = &rename->from;
	if (rename->is_set || rename->from.type == INODE_DATA)
		submit(rename);
	else
		look_deeper(rename);
}

static void directory_read(int error, const struct node_info *info, void *arg)
{
	(void)info;
	if (error)
		rename_end(arg, error);
	else
		plan(arg);
}

/* A directory that somebody else has removed since the kernel looked will not come back. */
static void look_at_directory(struct rename *rename)
{
	const char *path = rename->to.path;
	size_t size = (size_t)(strrchr(path, '/') - path);
	char *directory = size ? strndup(path, size) : strdup("/");
	int err = -ENOMEM;

	if (directory)
		err = cache_read(rename->pending->mount->cache, directory, directory_read, rename);
	free(directory);
	if (err)
		rename_end(rename, err);
}

/* Both are known: what is there, if anything, is all[0]. */
static void looked_at_both(struct rename *rename)
{
	int err = check(rename);

	if (err)
		rename_end(rename, err);
	else if (rename->was_not_there && !rename->to.count)
		look_at_directory(rename);
	else
		plan(rename);
}

static bool is_same(const struct node_stat *was, const struct node_stat *is)
{
	return is && is->czxid == was->czxid && is->mzxid == was->mzxid;
}

/* Whether it is as the data of the other has been set in it. */
static bool was_set(const struct side *was, const struct side *now, const struct side *other)
{
	const struct looked *node = &now->all[0];
	const struct bytes *data = other->all[0].info.data;

	return node->info.stat.czxid == was->all[0].info.stat.czxid &&
		node->info.stat.version == was->all[0].info.stat.version + 1 && node->info.data->size == data->size &&
		memcmp(node->info.data->data, data->data, data->size) == 0;
}

/* Whether it is as the other has been made anew in it. */
static bool was_made(const struct side *was, const struct side *now, const struct side *other)
{
	const struct looked *node = &now->all[0];
	const struct looked *source = &other->all[0];
	bool is_empty_file = other->kind == KIND_FILE && source->info.data->size == 0 &&
		kind_owner(&source->info.stat) != OWNER_SESSION;

	return (!was->count || node->info.stat.czxid != was->all[0].info.stat.czxid) &&
		node->info.stat.version == (is_empty_file ? 1 : 0) &&
		node->info.data->size == source->info.data->size &&
		memcmp(node->info.data->data, source->info.data->data, source->info.data->size) == 0;
}

/* The transaction's reply was lost: what is there now against what was there before. 1: it was made; 0: it was not; -EIO: that
 * cannot be known. */
static int find_out(const struct rename *rename, const struct side *old_from, const struct side *old_to)
{
	const struct node_stat *was_from = &old_from->all[0].info.stat;
	const struct node_stat *from = rename->from.count ? &rename->from.all[0].info.stat : NULL;
	bool (*has_become)(const struct side *was, const struct side *now, const struct side *other) =
		rename->is_set ? was_set : was_made;
	bool moves_node = old_from->type == INODE_NODE && !(rename->flags & EXCHANGE);
	bool has_left;

	/* It would have changed both. */
	if (is_same(was_from, from) ||
		(old_to->count && rename->to.count && is_same(&old_to->all[0].info.stat, &rename->to.all[0].info.stat)))
		return 0;
	if (moves_node && from && from->czxid == was_from->czxid)
		return 0;
	if (moves_node)
		has_left = true;
	else if (rename->flags & EXCHANGE)
		has_left = from && has_become(old_from, &rename->from, old_to);
	else
		has_left = from && from->czxid == was_from->czxid && from->version == was_from->version + 1 &&
			from->data_length == 0;
	return has_left && rename->to.count && has_become(old_to, &rename->to, old_from) ? 1 : -EIO;
}

struct look {
	struct rename *rename;
	struct side was_from, was_to;
	struct side *side;
};

static int look_at(struct look *look, struct side *side);

static void swap_sides(struct side *a, struct side *b)
{
	struct side other = *a;

	*a = *b;
	*b = other;
}

static void look_end(struct look *look, int error)
{
	struct rename *rename = look->rename;
	int outcome = 0;

	if (!error && rename->was_unknown && look->was_from.count)
		outcome = find_out(rename, &look->was_from, &look->was_to);
	if (outcome == 1) { /* the inodes are moved from where they were */
		swap_sides(&rename->from, &look->was_from);
		swap_sides(&rename->to, &look->was_to);
	}
	side_clear(&look->was_from);
	side_clear(&look->was_to);
	free(look);
	rename->was_unknown = false;
	if (!error && outcome < 0)
		error = outcome;
	if (error)
		rename_end(rename, error);
	else if (outcome == 1)
		succeeded(rename);
	else
		looked_at_both(rename);
}

static void top_read(int error, const struct node_info *info, void *arg)
{
	struct look *look = arg;
	struct side *side = look->side;
	struct rename *rename = look->rename;
	bool is_absent = error == -ENOENT;

	if (is_absent)
		error = 0;
	else if (!error && !info->data)
		error = info->data_error;
	if (!error && !is_absent) {
		if (side_add(side, side->path, "")) {
			node_info_copy(&side->all[0].info, info);
			side->kind = side->type == INODE_DATA ? KIND_FILE : kind_of(&info->stat, false);
			side->exists = side->type != INODE_DATA || info->stat.data_length > 0;
		} else {
			error = -ENOMEM;
		}
	}
	if (!error && side == &rename->from) {
		error = look_at(look, &rename->to);
		if (!error)
			return;
	}
	look_end(look, error);
}

static int look_at(struct look *look, struct side *side)
{
	look->side = side;
	return cache_read(look->rename->pending->mount->cache, side->path, top_read, look);
}

static void look(struct rename *rename)
{
	struct look *look = calloc(1, sizeof(*look));
	int err = -ENOMEM;

	if (look) {
		look->rename = rename;
		look->was_from = rename->from;
		look->was_to = rename->to;
		rename->from = (struct side){ .path = look->was_from.path, .type = look->was_from.type };
		rename->to = (struct side){ .path = look->was_to.path, .type = look->was_to.type };
		err = look_at(look, &rename->from);
	}
	if (err && look)
		look_end(look, err);
	else if (err)
		rename_end(rename, err);
}

static void saved(int error, void *arg)
{
	struct rename *rename = arg;

	if (error)
		rename_end(rename, error);
	else
		look(rename);
}

/* Replies: error. */
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
	unsigned flags)
{
	struct pending *pending;
	struct rename *rename;
	struct mount *mount;
	int err;

	if (readonly_refuses(req))
		return;
	pending = pending_start(req);
	rename = pending ? calloc(1, sizeof(*rename)) : NULL;
	if (!rename) {
		if (pending)
			pending_fail(pending, -ENOMEM);
		return;
	}
	mount = pending->mount;
	rename->pending = pending;
	rename->flags = flags;
	rename->deadline = clock_now() + mount->options->timeout;
	err = flags & ~(unsigned)(NO_REPLACE | EXCHANGE) ? -EINVAL : 0;
	if (!err)
		err = inodes_child(mount->inodes, parent, name, &rename->from.type, &rename->from.path);
	if (!err)
		err = inodes_child(mount->inodes, new_parent, new_name, &rename->to.type, &rename->to.path);
	if (err)
		rename_end(rename, err);
	else
		files_save_below(mount->files, rename->from.path, saved, rename);
}
