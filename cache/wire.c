#include "cache/wire.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ZooDefs.OpCode.error: what a multi's header bears where an operation failed, and at its end. */
enum { OP_ERROR = -1 };

/* AddWatchMode.PERSISTENT_RECURSIVE */
enum { PERSISTENT_RECURSIVE = 1 };

enum { EVENT_NONE = -1 }; /* Watcher.Event.EventType.None: news of the session */

/* --- Encoding --- */

static void put_int(struct buf *out, int32_t value)
{
	uint32_t wire = htobe32((uint32_t)value);

	(void)buf_append(out, &wire, sizeof(wire));
}

static void put_long(struct buf *out, int64_t value)
{
	uint64_t wire = htobe64((uint64_t)value);

	(void)buf_append(out, &wire, sizeof(wire));
}

static void put_bool(struct buf *out, bool value)
{
	char wire = value ? 1 : 0;

	(void)buf_append(out, &wire, sizeof(wire));
}

/* A size over INT32_MAX makes the frame too large, so end_frame drops it. */
static void put_buffer(struct buf *out, const void *data, size_t size)
{
	put_int(out, (int32_t)size);
	(void)buf_append(out, data, size);
}

static void put_string(struct buf *out, const char *string)
{
	put_buffer(out, string, strlen(string));
}

/* Leaves room for the length. Gives where the frame starts, for end_frame. */
static size_t begin_frame(struct buf *out)
{
	size_t start = out->size;

	put_int(out, 0);
	return start;
}

static size_t begin_request(struct buf *out, int32_t xid, int32_t type)
{
	size_t start = begin_frame(out);

	put_int(out, xid);
	put_int(out, type);
	return start;
}

/* Sets the length; a frame that did not find room is taken out again, so that out holds whole frames always. */
static void end_frame(struct buf *out, size_t start)
{
	size_t length = out->failed ? 0 : out->size - start - sizeof(int32_t);
	uint32_t wire = htobe32((uint32_t)length);

	if (length > INT32_MAX)
		out->failed = true;
	if (out->failed)
		out->size = start;
	else
		memcpy(out->data + start, &wire, sizeof(wire));
}

void wire_put_connect(struct buf *out, const struct wire_session *session, int64_t last_zxid_seen)
{
	size_t start = begin_frame(out);

	put_int(out, 0); /* protocolVersion */
	put_long(out, last_zxid_seen);
	put_int(out, session->timeout);
	put_long(out, session->id);
	put_buffer(out, session->password, (size_t)session->password_size);
	put_bool(out, false); /* readOnly */
	end_frame(out, start);
}

void wire_put_auth(struct buf *out, const char *scheme, const void *credential, size_t size)
{
	size_t start = begin_request(out, WIRE_XID_AUTH, WIRE_AUTH);

	put_int(out, 0); /* AuthPacket.type, not in use */
	put_string(out, scheme);
	put_buffer(out, credential, size);
	end_frame(out, start);
}

void wire_put_ping(struct buf *out)
{
	end_frame(out, begin_request(out, WIRE_XID_PING, WIRE_PING));
}

void wire_put_close(struct buf *out, int32_t xid)
{
	end_frame(out, begin_request(out, xid, WIRE_CLOSE));
}

void wire_put_read(struct buf *out, int32_t xid, enum wire_op op, const char *path)
{
	size_t start = begin_request(out, xid, op);

	put_string(out, path);
	if (op == WIRE_EXISTS || op == WIRE_GET_DATA || op == WIRE_GET_CHILDREN2)
		put_bool(out, false); /* watch: never, DESIGN.md section 4 rule 5 */
	end_frame(out, start);
}

static void put_multi_header(struct buf *out, int32_t type, bool is_end)
{
	put_int(out, type);
	put_bool(out, is_end);
	put_int(out, -1); /* err */
}

void wire_put_multi_read(struct buf *out, int32_t xid, const char *const *paths, size_t count)
{
	size_t start = begin_request(out, xid, WIRE_MULTI_READ);

	for (size_t i = 0; i < count; i++) {
		put_multi_header(out, WIRE_GET_DATA, false);
		put_string(out, paths[i]);
		put_bool(out, false); /* watch */
	}
	put_multi_header(out, OP_ERROR, true);
	end_frame(out, start);
}

void wire_put_add_watch(struct buf *out, int32_t xid, const char *path)
{
	size_t start = begin_request(out, xid, WIRE_ADD_WATCH);

	put_string(out, path);
	put_int(out, PERSISTENT_RECURSIVE);
	end_frame(out, start);
}

/* --- Decoding --- */

static bool take(struct wire_in *in, size_t size, const char **data)
{
	if ((size_t)(in->end - in->next) < size)
		return false;
	*data = in->next;
	in->next += size;
	return true;
}

static bool take_int(struct wire_in *in, int32_t *value)
{
	const char *data;
	uint32_t wire;

	if (!take(in, sizeof(wire), &data))
		return false;
	memcpy(&wire, data, sizeof(wire));
	*value = (int32_t)be32toh(wire);
	return true;
}

static bool take_long(struct wire_in *in, int64_t *value)
{
	const char *data;
	uint64_t wire;

	if (!take(in, sizeof(wire), &data))
		return false;
	memcpy(&wire, data, sizeof(wire));
	*value = (int64_t)be64toh(wire);
	return true;
}

static bool take_bool(struct wire_in *in, bool *value)
{
	const char *data;

	if (!take(in, 1, &data))
		return false;
	*value = *data != 0;
	return true;
}

int64_t wire_frame_size(const char *data, size_t size, size_t max)
{
	uint32_t wire;
	int32_t length;

	if (size < sizeof(wire))
		return 0;
	memcpy(&wire, data, sizeof(wire));
	length = (int32_t)be32toh(wire);
	if (length < 0 || (size_t)length > max)
		return -EBADMSG;
	return (int64_t)sizeof(length) + length;
}

int wire_get_connect(struct wire_in *in, struct wire_session *session)
{
	struct wire_session got = { 0 };
	const char *password;
	bool is_read_only;
	int32_t version;

	if (!take_int(in, &version) || !take_int(in, &got.timeout) || !take_long(in, &got.id))
		return -EBADMSG;
	if (wire_get_buffer(in, &password, &got.password_size) < 0 || got.password_size > WIRE_PASSWORD_MAX)
		return -EBADMSG;
	if (got.password_size > 0)
		memcpy(got.password, password, (size_t)got.password_size);
	else
		got.password_size = 0;
	if (in->next < in->end)
		(void)take_bool(in, &is_read_only);
	*session = got;
	return 0;
}

int wire_get_header(struct wire_in *in, struct wire_header *header)
{
	if (!take_int(in, &header->xid) || !take_long(in, &header->zxid) || !take_int(in, &header->error))
		return -EBADMSG;
	return header->error <= 0 ? 0 : -EBADMSG;
}

int wire_get_stat(struct wire_in *in, struct node_stat *stat)
{
	bool is_whole = take_long(in, &stat->czxid) && take_long(in, &stat->mzxid) && take_long(in, &stat->ctime) &&
		take_long(in, &stat->mtime) && take_int(in, &stat->version) && take_int(in, &stat->cversion) &&
		take_int(in, &stat->aversion) && take_long(in, &stat->ephemeral_owner) &&
		take_int(in, &stat->data_length) && take_int(in, &stat->num_children) && take_long(in, &stat->pzxid);

	return is_whole && stat->data_length >= 0 && stat->num_children >= 0 ? 0 : -EBADMSG;
}

int wire_get_buffer(struct wire_in *in, const char **data, int32_t *size)
{
	*data = NULL;
	if (!take_int(in, size) || *size < -1)
		return -EBADMSG;
	if (*size >= 0 && !take(in, (size_t)*size, data))
		return -EBADMSG;
	return 0;
}

static bool is_node_name(const char *name, int32_t size)
{
	if (size <= 0 || memchr(name, '/', (size_t)size) || memchr(name, '\0', (size_t)size))
		return false;
	return name[0] != '.' || !(size == 1 || (size == 2 && name[1] == '.'));
}

/* Counts the names worth keeping among count strings, and their bytes with a terminator each. */
static int measure_names(struct wire_in in, int32_t count, uint32_t *kept, size_t *bytes)
{
	*kept = 0;
	*bytes = 0;
	for (int32_t i = 0; i < count; i++) {
		const char *name;
		int32_t size;

		if (wire_get_buffer(&in, &name, &size) < 0)
			return -EBADMSG;
		if (is_node_name(name, size)) {
			*kept += 1;
			*bytes += (size_t)size + 1;
		}
	}
	return 0;
}

/* For so many names with size bytes of text. NULL: no memory. */
static struct listing *listing_new(uint32_t count, size_t size)
{
	struct listing *listing;

	size += sizeof(*listing) + count * sizeof(listing->names[0]);
	listing = malloc(size);
	if (!listing)
		return NULL;
	atomic_init(&listing->refs, 1);
	listing->count = count;
	listing->size = size;
	return listing;
}

/* Only after measure_names accepted the same strings. */
static void copy_names(struct wire_in *in, int32_t count, struct listing *listing)
{
	char *to = (char *)&listing->names[listing->count];
	uint32_t kept = 0;

	for (int32_t i = 0; i < count; i++) {
		const char *name;
		int32_t size;

		if (wire_get_buffer(in, &name, &size) < 0 || !is_node_name(name, size))
			continue;
		memcpy(to, name, (size_t)size);
		to[size] = '\0';
		listing->names[kept++] = to;
		to += (size_t)size + 1;
	}
}

int wire_get_names(struct wire_in *in, struct listing **listing)
{
	struct listing *made;
	uint32_t kept;
	int32_t count;
	size_t size;

	if (!take_int(in, &count) || count < -1)
		return -EBADMSG;
	if (count > 0 && (size_t)count > (size_t)(in->end - in->next) / sizeof(int32_t))
		return -EBADMSG;
	if (measure_names(*in, count, &kept, &size) < 0)
		return -EBADMSG;
	made = kept ? listing_new(kept, size) : listing_of_none();
	if (!made)
		return -ENOMEM;
	copy_names(in, count, made);
	*listing = made;
	return 0;
}

/* A string as it is in an ACL: not null, without a NUL byte. */
static int take_string(struct wire_in *in, const char **string, size_t *size)
{
	int32_t length;

	if (wire_get_buffer(in, string, &length) < 0 || length < 0 || memchr(*string, '\0', (size_t)length))
		return -EBADMSG;
	*size = (size_t)length;
	return 0;
}

static int take_acl_entry(struct wire_in *in, int32_t *perms, const char *strings[2], size_t sizes[2])
{
	if (!take_int(in, perms) || take_string(in, &strings[0], &sizes[0]) < 0 ||
		take_string(in, &strings[1], &sizes[1]) < 0)
		return -EBADMSG;
	return 0;
}

int wire_get_acl(struct wire_in *in, struct acl_list **acl)
{
	struct wire_in measured;
	struct acl_list *made;
	const char *strings[2];
	size_t sizes[2];
	int32_t perms, count;
	size_t size = 0;
	char *to;

	if (!take_int(in, &count) || count < -1)
		return -EBADMSG;
	measured = *in;
	for (int32_t i = 0; i < count; i++) {
		if (take_acl_entry(&measured, &perms, strings, sizes) < 0)
			return -EBADMSG;
		size += sizes[0] + sizes[1] + 2;
	}
	count = count < 0 ? 0 : count;
	made = malloc(sizeof(*made) + (size_t)count * sizeof(made->list[0]) + size);
	if (!made)
		return -ENOMEM;
	atomic_init(&made->refs, 1);
	made->count = (uint32_t)count;
	to = (char *)&made->list[count];
	for (int32_t i = 0; i < count; i++) {
		(void)take_acl_entry(in, &made->list[i].perms, strings, sizes);
		for (int part = 0; part < 2; part++) {
			*(part == 0 ? &made->list[i].scheme : &made->list[i].id) = to;
			memcpy(to, strings[part], sizes[part]);
			to[sizes[part]] = '\0';
			to += sizes[part] + 1;
		}
	}
	*acl = made;
	return 0;
}

int wire_get_event(struct wire_in *in, int32_t *type, int32_t *state, const char **path, size_t *path_size)
{
	int32_t size;

	if (!take_int(in, type) || !take_int(in, state) || wire_get_buffer(in, path, &size) < 0)
		return -EBADMSG;
	*path_size = size > 0 ? (size_t)size : 0;
	if (*path_size == 0)
		return *type == EVENT_NONE ? 0 : -EBADMSG;
	return **path == '/' && !memchr(*path, '\0', *path_size) ? 0 : -EBADMSG;
}

int wire_get_multi_result(struct wire_in *in, int32_t *error)
{
	bool is_end;
	int32_t type;

	if (!take_int(in, &type) || !take_bool(in, &is_end) || !take_int(in, error))
		return -EBADMSG;
	if (is_end)
		return 1;
	if (type == WIRE_GET_DATA) {
		*error = 0;
		return 0;
	}
	if (type != OP_ERROR || !take_int(in, error))
		return -EBADMSG;
	return *error < 0 ? 0 : -EBADMSG; /* 0 would promise data that does not follow */
}
