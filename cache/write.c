#include "cache/write.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>
#include <zookeeper/zookeeper.h>

#include "cache/util/clock.h"
#include "cache/util/log.h"
#include "cache/zkerror.h"

/* Under jute.maxbuffer's default (1 MiB - 1), with room for the records around names and contents. A larger packet makes the
 * server drop the connection and fail every request in flight. */
enum { PACKET_MAX = 0xfffff - 4096, STEP_OVERHEAD = 128 };

enum { MOMENT = 100 /* ms: see writer_waiting */ };

enum { DIGITS_MAX = 11 }; /* of a sequential name: "%010d", beyond 2^31 with a sign */

struct change {
	struct change *prev, *next;
	struct writer *writer;
	int64_t asked_at; /* ms */
	int64_t sent_at;  /* and this */
	write_cb *done;
	void *arg;
	zoo_op_result_t *results; /* count of them, as of stats; in the same allocation */
	struct Stat *stats;
	char **names; /* count of what libzookeeper says was made, and as many of what that is to us; NULL: nothing sequential */
	int count;
	struct write_step steps[]; /* whole paths, data and ACLs are our own */
};

struct writer {
	char *chroot;
	struct acl_list *acl; /* of new nodes; NULL: open */
	int timeout;
	struct session *session;

	pthread_mutex_t lock;	/* a leaf, over the members below */
	struct change *waiting; /* for a connection */
	struct change *sent;
	int64_t lost_at; /* ms: when there was a connection last; 0: there is one, or never was */
	bool is_closed;
};

struct writer *writer_new(const struct writer_config *config)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->chroot = strdup(config->chroot);
	if (!writer->chroot) {
		free(writer);
		return NULL;
	}
	writer->acl = acl_list_get(config->acl);
	writer->timeout = config->timeout;
	pthread_mutex_init(&writer->lock, NULL);
	return writer;
}

void writer_attach(struct writer *writer, struct session *session)
{
	writer->session = session;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_destroy(&writer->lock);
	acl_list_put(writer->acl);
	free(writer->chroot);
	free(writer);
}

/* --- A change and its end --- */

static struct change *change_new(size_t count)
{
	size_t size = sizeof(struct change) + count * sizeof(struct write_step);
	size_t behind = (size + 15) / 16 * 16;
	char *memory = calloc(1, behind + count * (sizeof(struct Stat) + sizeof(zoo_op_result_t)));
	struct change *change = (struct change *)memory;

	if (change) {
		change->stats = (struct Stat *)(memory + behind);
		change->results = (zoo_op_result_t *)(change->stats + count);
	}
	return change;
}

static void change_free(struct change *change)
{
	for (int i = 0; i < change->count; i++) {
		free((char *)change->steps[i].path);
		bytes_put(change->steps[i].data);
		acl_list_put(change->steps[i].acl);
		if (change->names)
			free(change->names[i]);
	}
	free(change->names);
	free(change);
}

/* The change is in no list any more. */
static void end(struct change *change, const struct write_result *result)
{
	change->done(result, change->arg);
	change_free(change);
}

static void end_with_error(struct change *change, int error, bool is_unknown)
{
	const struct write_result result = { .error = error,
		.is_unknown = is_unknown,
		.failed = (size_t)change->count };

	end(change, &result);
}

/* Takes it out of the sent ones. It is there: completions are called at most once, and none after writer_closed. */
static void take_sent(struct change *change)
{
	struct writer *writer = change->writer;

	pthread_mutex_lock(&writer->lock);
	DL_DELETE(writer->sent, change);
	pthread_mutex_unlock(&writer->lock);
}

static void take_stat(struct write_result *result, const struct Stat *stat)
{
	result->stat = (struct node_stat){
		.czxid = stat->czxid,
		.mzxid = stat->mzxid,
		.pzxid = stat->pzxid,
		.ctime = stat->ctime,
		.mtime = stat->mtime,
		.ephemeral_owner = stat->ephemeralOwner,
		.version = stat->version,
		.cversion = stat->cversion,
		.aversion = stat->aversion,
		.data_length = stat->dataLength,
		.num_children = stat->numChildren,
	};
	result->zxid = stat->mzxid;
}

static bool is_alone(const struct change *change)
{
	return change->count == 1 && change->steps[0].verb != WRITE_CHECK; /* a check alone is a transaction of one */
}

static size_t failed_step(const struct change *change, int rc)
{
	size_t count = (size_t)change->count;
	size_t i = 0;

	if (is_alone(change) || zkerror_is_unknown_outcome(rc))
		return is_alone(change) && !zkerror_is_unknown_outcome(rc) ? 0 : count;
	/* Those before it are said to be fine, and those behind it to be inconsistent with it. */
	while (i < count && (change->results[i].err == ZOK || change->results[i].err == ZRUNTIMEINCONSISTENCY))
		i++;
	return i;
}

static const char *const *names_made(const struct change *change)
{
	size_t chroot = strlen(change->writer->chroot);
	char **made = change->names ? change->names + change->count : NULL;

	for (int i = 0; made && i < change->count; i++)
		made[i] = change->names[i] ? change->names[i] + chroot : NULL;
	return (const char *const *)made;
}

static void answered(struct change *change, int rc, const struct Stat *stat)
{
	struct write_result result = { .error = zkerror_to_errno(rc), .is_unknown = zkerror_is_unknown_outcome(rc) };

	take_sent(change);
	if (rc == ZOK && stat)
		take_stat(&result, stat);
	if (rc == ZOK)
		result.made = names_made(change);
	else
		result.failed = failed_step(change, rc);
	end(change, &result);
}

/* Bytes for the name that the step makes, terminated; 0: it is not needed. */
static size_t name_size(const struct change *change, int index)
{
	bool is_needed = change->names && change->names[index];

	return is_needed ? strlen(change->steps[index].path) + DIGITS_MAX + 1 : 0;
}

static void stat_done(int rc, const struct Stat *stat, const void *arg)
{
	answered((struct change *)arg, rc, stat);
}

static void create_done(int rc, const char *name, const struct Stat *stat, const void *arg)
{
	struct change *change = (struct change *)arg;

	if (rc == ZOK && change->names)
		(void)snprintf(change->names[0], name_size(change, 0), "%s", name);
	answered(change, rc, stat);
}

static void void_done(int rc, const void *arg)
{
	struct change *change = (struct change *)arg;
	const struct Stat *stat = NULL;

	for (int i = 0; i < change->count; i++) {
		if (change->steps[i].verb == WRITE_SET)
			stat = &change->stats[i];
	}
	answered(change, rc, stat);
}

/* --- Sending --- */

static const char *data_of(const struct write_step *step)
{
	return step->data ? step->data->data : "";
}

static int size_of(const struct write_step *step)
{
	return step->data ? (int)step->data->size : 0;
}

/* A step's ACL as libzookeeper wants it, in *list, which the caller frees when it is sent. False: no memory. */
static bool make_acl(const struct write_step *step, struct ACL_vector *acl, struct ACL **list)
{
	*list = NULL;
	*acl = ZOO_OPEN_ACL_UNSAFE;
	if (!step->acl)
		return true;
	*list = calloc(step->acl->count + 1, sizeof(**list));
	if (!*list)
		return false;
	for (uint32_t i = 0; i < step->acl->count; i++) {
		const struct acl_entry *entry = &step->acl->list[i];

		(*list)[i] = (struct ACL){ .perms = entry->perms,
			.id = { .scheme = (char *)entry->scheme, .id = (char *)entry->id } };
	}
	*acl = (struct ACL_vector){ .count = (int32_t)step->acl->count, .data = *list };
	return true;
}

static int flags_of(const struct write_step *step)
{
	int sequence = step->is_sequential ? ZOO_SEQUENCE : 0;

	if (step->mode == WRITE_EPHEMERAL)
		return ZOO_EPHEMERAL | sequence;
	return step->mode == WRITE_CONTAINER ? ZOO_CONTAINER : sequence;
}

static int send_one(zhandle_t *handle, struct change *change)
{
	struct write_step *step = &change->steps[0];
	struct ACL_vector acl;
	struct ACL *list;
	int rc;

	if (step->verb == WRITE_CREATE) {
		if (!make_acl(step, &acl, &list))
			return ZSYSTEMERROR;
		if (step->ttl)
			rc = zoo_acreate2_ttl(handle, step->path, data_of(step), size_of(step), &acl,
				step->is_sequential ? ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL : ZOO_PERSISTENT_WITH_TTL,
				step->ttl, create_done, change);
		else
			rc = zoo_acreate2(handle, step->path, data_of(step), size_of(step), &acl, flags_of(step),
				create_done, change);
		free(list);
		return rc;
	}
	if (step->verb == WRITE_SET_ACL) {
		if (!make_acl(step, &acl, &list))
			return ZSYSTEMERROR;
		rc = zoo_aset_acl(handle, step->path, step->version, &acl, void_done, change);
		free(list);
		return rc;
	}
	if (step->verb == WRITE_SET)
		return zoo_aset(handle, step->path, data_of(step), size_of(step), step->version, stat_done, change);
	return zoo_adelete(handle, step->path, step->version, void_done, change);
}

/* False: no memory. */
static bool make_op(struct change *change, int index, zoo_op_t *op, struct ACL_vector *acl, struct ACL **list)
{
	struct write_step *step = &change->steps[index];

	switch (step->verb) {
	case WRITE_CREATE:
		if (!make_acl(step, acl, list))
			return false;
		zoo_create_op_init(op, step->path, data_of(step), size_of(step), acl, flags_of(step),
			change->names ? change->names[index] : NULL, (int)name_size(change, index));
		break;
	case WRITE_SET:
		zoo_set_op_init(op, step->path, data_of(step), size_of(step), step->version, &change->stats[index]);
		break;
	case WRITE_DELETE:
		zoo_delete_op_init(op, step->path, step->version);
		break;
	case WRITE_CHECK:
		zoo_check_op_init(op, step->path, step->version);
		break;
	case WRITE_SET_ACL:
		return false; /* writer_submit lets none through */
	}
	return true;
}

static int send_multi(zhandle_t *handle, struct change *change)
{
	size_t count = (size_t)change->count;
	zoo_op_t *ops = calloc(count + 1, sizeof(*ops));
	struct ACL_vector *acls = calloc(count + 1, sizeof(*acls));
	struct ACL **lists = calloc(count + 1, sizeof(struct ACL *));
	bool has_memory = ops && acls && lists;
	int rc = ZSYSTEMERROR;

	for (int i = 0; has_memory && i < change->count; i++)
		has_memory = make_op(change, i, &ops[i], &acls[i], &lists[i]);
	if (has_memory)
		rc = zoo_amulti(handle, (int)count, ops, change->results, void_done, change);
	for (size_t i = 0; lists && i < count; i++)
		free(lists[i]);
	free(lists);
	free(acls);
	free(ops);
	return rc;
}

/* Sends a change that is in writer->sent. The handle is held, so writer_closed cannot come in between. */
static void send_change(struct writer *writer, zhandle_t *handle, struct change *change)
{
	int rc = is_alone(change) ? send_one(handle, change) : send_multi(handle, change);

	if (rc == ZOK)
		return; /* the change may be freed already */
	take_sent(change);
	if (rc != ZINVALIDSTATE) {
		end_with_error(change, zkerror_to_errno(rc), false);
		return;
	}
	/* The session has expired and we are about to hear it: nothing was sent, and the next session will. */
	pthread_mutex_lock(&writer->lock);
	DL_APPEND(writer->waiting, change);
	pthread_mutex_unlock(&writer->lock);
}

/* Puts the change, which is in no list, where it belongs. 0 or -errno. */
static int queue_change(struct writer *writer, struct change *change, bool is_connected)
{
	int64_t now = clock_now();
	int err = 0;

	pthread_mutex_lock(&writer->lock);
	change->sent_at = now;
	if (writer->is_closed)
		err = -EIO;
	else if (!is_connected)
		DL_APPEND(writer->waiting, change);
	else if (writer->sent && writer->sent->sent_at + writer->timeout < now)
		err = -ETIMEDOUT; /* answers come in order, and the oldest is overdue: who waits several times must not */
	else
		DL_APPEND(writer->sent, change);
	pthread_mutex_unlock(&writer->lock);
	return err;
}

/* Whether it was to be made in a session that is not this handle's (NULL: it is not known yet). */
static bool is_too_late(const struct change *change, zhandle_t *handle)
{
	int64_t session = change->count > 0 ? change->steps[0].session : 0;

	return session && handle && zoo_client_id(handle)->client_id != session;
}

/* Sends, or lets it wait for a connection. The change is in no list. */
static void send_or_wait(struct writer *writer, struct change *change)
{
	zhandle_t *handle = session_get(writer->session);
	int err = is_too_late(change, handle) ? -EIO : queue_change(writer, change, handle != NULL);

	if (handle && !err)
		send_change(writer, handle, change);
	if (handle)
		session_put(writer->session);
	if (err)
		end_with_error(change, err, false);
	else if (!handle && session_is_connected(writer->session)) /* since a moment ago: nobody else would look */
		writer_connected(writer);
}

/* Room for what sequential steps make. False: no memory. */
static bool make_names(struct change *change)
{
	bool is_needed = false;

	for (int i = 0; i < change->count; i++)
		is_needed |= change->steps[i].is_sequential;
	if (!is_needed)
		return true;
	change->names = calloc(2 * (size_t)change->count, sizeof(*change->names));
	for (int i = 0; change->names && i < change->count; i++) {
		if (change->steps[i].is_sequential)
			change->names[i] = calloc(1, strlen(change->steps[i].path) + DIGITS_MAX + 1);
		if (change->steps[i].is_sequential && !change->names[i])
			return false;
	}
	return change->names != NULL;
}

static char *whole_path(const struct writer *writer, const char *path)
{
	size_t chroot = strlen(writer->chroot);
	size_t size = chroot && strcmp(path, "/") == 0 ? 0 : strlen(path);
	char *whole = malloc(chroot + size + 1);

	if (!whole)
		return NULL;
	memcpy(whole, writer->chroot, chroot);
	memcpy(whole + chroot, path, size);
	whole[chroot + size] = '\0';
	return whole;
}

/* Bytes in a packet. */
static size_t acl_size(const struct acl_list *acl)
{
	size_t size = 0;

	for (uint32_t i = 0; acl && i < acl->count; i++)
		size += strlen(acl->list[i].scheme) + strlen(acl->list[i].id) + 3 * sizeof(int32_t);
	return size;
}

static struct acl_list *acl_of(const struct writer *writer, const struct write_step *step)
{
	return step->verb == WRITE_CREATE && !step->acl ? writer->acl : step->acl;
}

int writer_submit(struct writer *writer, const struct write_step *steps, int count, write_cb *done, void *arg)
{
	struct change *change;
	size_t size = 0;

	for (int i = 0; i < count; i++) {
		if (steps[i].verb == WRITE_SET_ACL && (count > 1 || !steps[i].acl))
			return -EINVAL;
	}
	change = change_new((size_t)count);
	if (!change)
		return -ENOMEM;
	change->writer = writer;
	change->asked_at = clock_now();
	change->done = done;
	change->arg = arg;
	for (int i = 0; i < count; i++) {
		change->steps[i] = steps[i];
		change->steps[i].path = whole_path(writer, steps[i].path);
		change->steps[i].data = bytes_get(steps[i].data);
		change->steps[i].acl = acl_list_get(acl_of(writer, &steps[i]));
		change->count++;
		if (!change->steps[i].path) {
			change_free(change);
			return -ENOMEM;
		}
		size += strlen(change->steps[i].path) + (size_t)size_of(&steps[i]) + acl_size(change->steps[i].acl) +
			STEP_OVERHEAD;
	}
	if (size > PACKET_MAX || !make_names(change)) {
		change_free(change);
		return size > PACKET_MAX ? -EFBIG : -ENOMEM;
	}
	send_or_wait(writer, change);
	return 0;
}

void writer_count(struct writer *writer, size_t *waiting, size_t *sent)
{
	const struct change *change;

	*waiting = *sent = 0;
	pthread_mutex_lock(&writer->lock);
	DL_FOREACH (writer->waiting, change)
		++*waiting;
	DL_FOREACH (writer->sent, change)
		++*sent;
	pthread_mutex_unlock(&writer->lock);
}

/* --- What the session tells --- */

void writer_connected(struct writer *writer)
{
	struct change *waiting, *change, *next;

	pthread_mutex_lock(&writer->lock);
	waiting = writer->waiting;
	writer->waiting = NULL;
	writer->lost_at = 0;
	pthread_mutex_unlock(&writer->lock);
	DL_FOREACH_SAFE (waiting, change, next) {
		DL_DELETE(waiting, change);
		send_or_wait(writer, change);
	}
}

void writer_lost(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	if (!writer->lost_at)
		writer->lost_at = clock_now();
	pthread_mutex_unlock(&writer->lock);
}

/* When it has waited long enough. Nobody waits for a mere question (settle.c), and it is only to be asked once there is a connection. */
static int64_t deadline_of(const struct change *change)
{
	const struct writer *writer = change->writer;
	bool is_question = change->count == 1 && change->steps[0].verb == WRITE_CHECK;
	int64_t deadline = change->asked_at + writer->timeout;

	if (!is_question && writer->lost_at && writer->lost_at + writer->timeout < deadline)
		deadline = writer->lost_at + writer->timeout;
	return deadline > change->asked_at + MOMENT ? deadline : change->asked_at + MOMENT;
}

void writer_waiting(struct writer *writer)
{
	int64_t now = clock_now();
	struct change *late;

	do {
		pthread_mutex_lock(&writer->lock);
		DL_FOREACH (writer->waiting, late) {
			if (deadline_of(late) <= now)
				break;
		}
		if (late)
			DL_DELETE(writer->waiting, late);
		pthread_mutex_unlock(&writer->lock);
		if (late)
			end_with_error(late, -ETIMEDOUT, false);
	} while (late);
}

void writer_stop(struct writer *writer)
{
	struct change *waiting, *change, *next;

	pthread_mutex_lock(&writer->lock);
	writer->is_closed = true;
	waiting = writer->waiting;
	writer->waiting = NULL;
	pthread_mutex_unlock(&writer->lock);
	DL_FOREACH_SAFE (waiting, change, next) {
		DL_DELETE(waiting, change);
		end_with_error(change, -EIO, false);
	}
}

/* zookeeper_close leaks some completions (500 of 2000, measured), so whoever is left is told from here. */
void writer_closed(struct writer *writer)
{
	struct change *sent, *change, *next;

	pthread_mutex_lock(&writer->lock);
	sent = writer->sent;
	writer->sent = NULL;
	pthread_mutex_unlock(&writer->lock);
	DL_FOREACH_SAFE (sent, change, next) {
		DL_DELETE(sent, change);
		end_with_error(change, -EIO, true);
	}
}
