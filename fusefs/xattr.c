/* Extended attributes (DESIGN.md section 7): a znode's Stat, path and ACL as user.zk.…, one row each in a table. Values are read
 * from the servers each time, through the stream, so they are never older than what anybody here has seen. Other names are none
 * of ours, and answered at once: programs that copy or list files ask for them all the time. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "cache/acl.h"
#include "cache/util/buf.h"
#include "cache/util/log.h"
#include "fusefs/files.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/readdir.h"
#include "fusefs/readonly.h"

struct attribute;

/* A request for a value. */
struct get {
	struct pending *pending;
	const struct attribute *attribute;
};

/* A request to set the ACL. */
struct set {
	struct pending *pending;
	struct acl_list *acl;
};

/* One attribute. */
struct attribute {
	const char *name;
	/* Answers the request; 0 or -errno: it has not. */
	int (*get)(struct get *get);
	/* Starts to set it to size bytes of value; as get. NULL: nobody can set it. */
	int (*set)(struct set *set, const char *value, size_t size);
	/* What get_stat shows: a member of struct node_stat, and how. */
	void (*format)(const void *member, struct buf *out);
	size_t member;
};

static void fail(struct pending *pending, int error)
{
	if (error == -ESTALE)
		pending_fail_stale(pending);
	else
		pending_fail(pending, error);
}

static void get_end(struct get *get, int error, const struct buf *value)
{
	if (!error && value->failed)
		error = -ENOMEM;
	if (error)
		fail(get->pending, error);
	else
		pending_reply_xattr(get->pending, value->data, value->size);
	free(get);
}

/* Whether the znode of this Stat is another than the inode stands for, whatever kind it is by now. */
static bool is_other(const struct inode_view *inode, const struct node_stat *stat)
{
	return stat->czxid != inode->czxid && !inode_path_is_root(inode->path);
}

/* The Stat of what is open here, as it was seen last. */
static bool last_stat(const struct pending *pending, struct node_stat *stat)
{
	const struct mount *mount = pending->mount;
	fuse_ino_t number = pending->inode.number;

	return files_last_stat(mount->files, number, stat) || directories_last_stat(mount->directories, number, stat);
}

/* --- Fields of the Stat --- */

__attribute__((format(printf, 2, 3))) static void append_number(struct buf *out, const char *format, ...)
{
	char text[32];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	(void)buf_append(out, text, (size_t)size);
}

static void as_id(const void *member, struct buf *out)
{
	append_number(out, "0x%" PRIx64, *(const int64_t *)member);
}

static void as_time(const void *member, struct buf *out)
{
	append_number(out, "%" PRId64, *(const int64_t *)member);
}

static void as_count(const void *member, struct buf *out)
{
	append_number(out, "%" PRId32, *(const int32_t *)member);
}

static void stat_read(int error, const struct node_stat *stat, void *arg)
{
	struct get *get = arg;
	const struct pending *pending = get->pending;
	struct buf value = BUF_INIT;
	struct node_stat last;

	if (error == -ENOENT || (!error && is_other(&pending->inode, stat))) {
		/* The kernel knew the inode. Is it open here, it stays as it was; else its path is to be looked up again. */
		error = last_stat(pending, &last) ? 0 : -ESTALE;
		stat = &last;
	}
	if (!error)
		get->attribute->format((const char *)stat + get->attribute->member, &value);
	get_end(get, error, &value);
	buf_release(&value);
}

static int get_stat(struct get *get)
{
	if (get->pending->inode.czxid == INODE_UNBORN)
		return -ENODATA;
	return cache_read_stat(get->pending->mount->cache, get->pending->inode.path, stat_read, get);
}

/* --- The path --- */

static int get_path(struct get *get)
{
	const char *path = get->pending->inode.path;
	struct buf value = BUF_INIT;

	(void)buf_append(&value, path, strlen(path));
	get_end(get, 0, &value);
	buf_release(&value);
	return 0;
}

/* --- The ACL --- */

static void acl_read(int error, const struct node_stat *stat, struct acl_list *acl, void *arg)
{
	struct get *get = arg;
	struct buf value = BUF_INIT;

	if (error == -ENOENT || (!error && is_other(&get->pending->inode, stat)))
		error = -ESTALE;
	if (!error)
		acl_format(acl, &value);
	get_end(get, error, &value);
	buf_release(&value);
}

static int get_acl(struct get *get)
{
	if (get->pending->inode.czxid == INODE_UNBORN)
		return -ENODATA;
	return cache_read_acl(get->pending->mount->cache, get->pending->inode.path, acl_read, get);
}

static void set_end(struct set *set, int error)
{
	fail(set->pending, error);
	acl_list_put(set->acl);
	free(set);
}

/* Which entry it is they do not tell; it is none of those that are always right. */
static void log_refused(const struct set *set)
{
	struct buf text = BUF_INIT;

	acl_format(set->acl, &text);
	log_warning(
		"the servers do not take the ACL '%.*s' for '%s': a scheme they do not know, an id that is none of its scheme, "
		"or nobody that 'auth' could mean",
		(int)text.size, text.data ? text.data : "", set->pending->inode.path);
	buf_release(&text);
}

static void acl_set(int error, const struct node_stat *stat, void *arg)
{
	struct set *set = arg;

	(void)stat;
	if (error == -EINVAL)
		log_refused(set);
	attr_forget_access(set->pending->mount,
		set->pending->inode.number); /* whom it keeps out is kept out when this call returns */
	set_end(set, error == -ENOENT ? -ESTALE : error);
}

/* What could not be saved stays unsaved: the new ACL may be what it needs. */
static void acl_saved(int error, void *arg)
{
	struct set *set = arg;
	struct pending *pending = set->pending;
	fuse_ino_t number = pending->inode.number;
	int err;

	inode_view_release(&pending->inode);
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (!err && pending->inode.czxid == INODE_UNBORN)
		err = error ? error : -ESTALE; /* it was removed, and is not going to be born */
	if (!err)
		err = cache_set_acl(pending->mount->cache, pending->inode.path, pending->inode.czxid, set->acl, acl_set,
			set);
	if (err)
		set_end(set, err);
}

/* What is unsaved goes out first: after it nobody may be left to write it. So a file that has no znode yet gets one. */
static int set_acl(struct set *set, const char *value, size_t size)
{
	struct pending *pending = set->pending;
	char reason[256];
	int err = acl_parse(value, size, &set->acl, reason, sizeof(reason));

	if (err == -EINVAL)
		log_warning("cannot set the ACL of '%s': %s", pending->inode.path, reason);
	if (!err)
		files_save(pending->mount->files, pending->inode.number, acl_saved, set);
	return err;
}

/* --- The table --- */

#define STAT(name, field, as)                                                          \
	{                                                                              \
		"user.zk." name, get_stat, NULL, as, offsetof(struct node_stat, field) \
	}

static const struct attribute attributes[] = {
	{ .name = "user.zk.path", .get = get_path },
	STAT("czxid", czxid, as_id),
	STAT("mzxid", mzxid, as_id),
	STAT("pzxid", pzxid, as_id),
	STAT("ctime", ctime, as_time),
	STAT("mtime", mtime, as_time),
	STAT("version", version, as_count),
	STAT("cversion", cversion, as_count),
	STAT("aversion", aversion, as_count),
	STAT("ephemeralOwner", ephemeral_owner, as_id),
	STAT("dataLength", data_length, as_count),
	STAT("numChildren", num_children, as_count),
	{ .name = "user.zk.acl", .get = get_acl, .set = set_acl },
};

enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };

/* NULL: it is none of ours. */
static const struct attribute *find(const char *name)
{
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		if (strcmp(attributes[i].name, name) == 0)
			return &attributes[i];
	}
	return NULL;
}

/* --- Handlers --- */

/* Replies: xattr, buf, error. */
void op_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	const struct attribute *attribute = find(name);
	struct pending *pending;
	struct get *get;
	int err;

	if (!attribute) {
		(void)fuse_reply_err(req, ENOTSUP);
		return;
	}
	pending = pending_start(req);
	if (!pending)
		return;
	pending->size = size;
	get = malloc(sizeof(*get));
	err = get ? inodes_look(pending->mount->inodes, number, &pending->inode) : -ENOMEM;
	if (!err) {
		*get = (struct get){ .pending = pending, .attribute = attribute };
		err = attribute->get(get);
	}
	if (err) {
		pending_fail(pending, err);
		free(get);
	}
}

/* Replies: xattr, buf, error. */
void op_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	struct pending *pending = pending_start(req);
	struct buf list = BUF_INIT;
	size_t count = ATTRIBUTES;
	int err;

	if (!pending)
		return;
	pending->size = size;
	err = inodes_look(pending->mount->inodes, number, &pending->inode);
	if (pending->inode.kind == KIND_SYMLINK)
		count = 0; /* the kernel lets links have none of these (xattr_permission) */
	else if (pending->inode.czxid == INODE_UNBORN)
		count = 1; /* its path */
	for (size_t i = 0; i < count; i++)
		(void)buf_append(&list, attributes[i].name, strlen(attributes[i].name) + 1);
	if (!err && list.failed)
		err = -ENOMEM;
	if (err)
		pending_fail(pending, err);
	else
		pending_reply_xattr(pending, list.data, list.size);
	buf_release(&list);
}

static int begin_set(struct set *set, const struct attribute *attribute, fuse_ino_t number, const char *value,
	size_t size)
{
	int err = inodes_look(set->pending->mount->inodes, number, &set->pending->inode);

	return err ? err : attribute->set(set, value, size);
}

/* What nobody can set, programs set all the same, where they copy a file with its attributes: mv from another filesystem, tar, rsync.
 * So that succeeds and changes nothing, as chmod does, unless -o strict. */
static int ignore(const struct mount *mount)
{
	return mount->options->is_strict ? EPERM : 0;
}

/* Replies: error. */
void op_setxattr(fuse_req_t req, fuse_ino_t number, const char *name, const char *value, size_t size, int flags)
{
	const struct attribute *attribute = find(name);
	struct pending *pending;
	struct set *set;
	int err;

	if (!attribute) {
		(void)fuse_reply_err(req, ENOTSUP);
		return;
	}
	if (readonly_refuses(req))
		return;
	if ((flags & XATTR_CREATE) || !attribute->set) {
		(void)fuse_reply_err(req, flags & XATTR_CREATE ? EEXIST : ignore(fuse_req_userdata(req)));
		return;
	}
	pending = pending_start(req);
	if (!pending)
		return;
	set = calloc(1, sizeof(*set));
	if (set)
		set->pending = pending;
	err = set ? begin_set(set, attribute, number, value, size) : -ENOMEM;
	if (err) {
		pending_fail(pending, err);
		free(set);
	}
}

/* Replies: error. A znode always has its Stat and an ACL; as with setting what nobody can set. */
void op_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	(void)number;
	if (!readonly_refuses(req))
		(void)fuse_reply_err(req, find(name) ? ignore(fuse_req_userdata(req)) : ENOTSUP);
}
