#include "cache/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* --- Helpers: an encoder of our own for what a server sends. Without assertions: each costs a system call. --- */

static void add_byte(struct buf *buf, unsigned value)
{
	char byte = (char)value;

	(void)buf_append(buf, &byte, 1);
}

static void add_number(struct buf *buf, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		add_byte(buf, (unsigned)(value >> (8 * bytes)) & 0xff);
}

static void add_int(struct buf *buf, int32_t value)
{
	add_number(buf, (uint32_t)value, 4);
}

static void add_long(struct buf *buf, int64_t value)
{
	add_number(buf, (uint64_t)value, 8);
}

static void add_buffer(struct buf *buf, const void *data, size_t size)
{
	add_int(buf, (int32_t)size);
	(void)buf_append(buf, data, size);
}

static void add_string(struct buf *buf, const char *string)
{
	add_buffer(buf, string, strlen(string));
}

static void add_multi_header(struct buf *buf, int32_t type, unsigned done, int32_t err)
{
	add_int(buf, type);
	add_byte(buf, done);
	add_int(buf, err);
}

static const struct node_stat some_stat = {
	.czxid = 0x100000001,
	.mzxid = 0x200000002,
	.ctime = 1700000000001,
	.mtime = 1700000000002,
	.version = 3,
	.cversion = -4,
	.aversion = 5,
	.ephemeral_owner = INT64_MIN,
	.data_length = 7,
	.num_children = 8,
	.pzxid = 0x300000003,
};

/* In the order of zookeeper.jute. */
static void add_stat(struct buf *buf, const struct node_stat *stat)
{
	add_long(buf, stat->czxid);
	add_long(buf, stat->mzxid);
	add_long(buf, stat->ctime);
	add_long(buf, stat->mtime);
	add_int(buf, stat->version);
	add_int(buf, stat->cversion);
	add_int(buf, stat->aversion);
	add_long(buf, stat->ephemeral_owner);
	add_int(buf, stat->data_length);
	add_int(buf, stat->num_children);
	add_long(buf, stat->pzxid);
}

static void check_some_stat(const struct node_stat *stat)
{
	ck_assert_int_eq(stat->czxid, some_stat.czxid);
	ck_assert_int_eq(stat->mzxid, some_stat.mzxid);
	ck_assert_int_eq(stat->ctime, some_stat.ctime);
	ck_assert_int_eq(stat->mtime, some_stat.mtime);
	ck_assert_int_eq(stat->version, some_stat.version);
	ck_assert_int_eq(stat->cversion, some_stat.cversion);
	ck_assert_int_eq(stat->aversion, some_stat.aversion);
	ck_assert_int_eq(stat->ephemeral_owner, some_stat.ephemeral_owner);
	ck_assert_int_eq(stat->data_length, some_stat.data_length);
	ck_assert_int_eq(stat->num_children, some_stat.num_children);
	ck_assert_int_eq(stat->pzxid, some_stat.pzxid);
}

/* Decodes the first size bytes of buf, in memory of exactly that size. */
static int decode(const struct buf *buf, size_t size, int (*get)(struct wire_in *))
{
	char *copy = unit_exact_copy(buf->data, size);
	struct wire_in in = { copy, copy + size };
	int result = get(&in);

	if (in.next < copy || in.next > copy + size)
		ck_abort_msg("read behind the end");
	free(copy);
	return result;
}

/* get takes the whole reply, and nothing shorter. */
static void check_truncations(const struct buf *reply, int (*get)(struct wire_in *))
{
	ck_assert(!reply->failed);
	for (size_t size = 0; size < reply->size; size++)
		ck_assert_msg(decode(reply, size, get) == -EBADMSG, "%zu of %zu bytes", size, reply->size);
	ck_assert_int_eq(decode(reply, reply->size, get), 0);
}

/* --- Requests, byte for byte --- */

#define CHECK_BYTES(buf, expected)                                    \
	do {                                                          \
		ck_assert(!(buf)->failed);                            \
		ck_assert_uint_eq((buf)->size, sizeof(expected) - 1); \
		ck_assert_mem_eq((buf)->data, expected, (buf)->size); \
		buf_release(buf);                                     \
	} while (0)

START_TEST(puts_connect)
{
	struct wire_session session = { .id = 0x0102030405060708, .timeout = 30000 };
	struct buf out = BUF_INIT;

	session.password_size = 3;
	memcpy(session.password, "pwd", 3);
	wire_put_connect(&out, &session, 0x1122334455667788);
	CHECK_BYTES(&out,
		"\0\0\0\x20"			   /* length */
		"\0\0\0\0"			   /* protocolVersion */
		"\x11\x22\x33\x44\x55\x66\x77\x88" /* lastZxidSeen */
		"\0\0\x75\x30"			   /* timeOut */
		"\x01\x02\x03\x04\x05\x06\x07\x08" /* sessionId */
		"\0\0\0\x03pwd"			   /* passwd */
		"\0");				   /* readOnly */
}
END_TEST

START_TEST(puts_auth)
{
	struct buf out = BUF_INIT;

	wire_put_auth(&out, "digest", "me:\0x", 5);
	CHECK_BYTES(&out,
		"\0\0\0\x1f"
		"\xff\xff\xff\xfc\0\0\0\x64" /* xid -4, type 100 */
		"\0\0\0\0"
		"\0\0\0\x06"
		"digest"
		"\0\0\0\x05me:\0x");
}
END_TEST

START_TEST(puts_ping)
{
	struct buf out = BUF_INIT;

	wire_put_ping(&out);
	CHECK_BYTES(&out, "\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b");
}
END_TEST

START_TEST(puts_close)
{
	struct buf out = BUF_INIT;

	wire_put_close(&out, 0x01020304);
	CHECK_BYTES(&out, "\0\0\0\x08\x01\x02\x03\x04\xff\xff\xff\xf5");
}
END_TEST

START_TEST(puts_reads)
{
	struct buf out = BUF_INIT;

	wire_put_read(&out, 1, WIRE_EXISTS, "/a");
	CHECK_BYTES(&out, "\0\0\0\x0f\0\0\0\x01\0\0\0\x03\0\0\0\x02/a\0");
	wire_put_read(&out, 2, WIRE_GET_DATA, "/b");
	CHECK_BYTES(&out, "\0\0\0\x0f\0\0\0\x02\0\0\0\x04\0\0\0\x02/b\0");
	wire_put_read(&out, 3, WIRE_GET_CHILDREN2, "/c");
	CHECK_BYTES(&out, "\0\0\0\x0f\0\0\0\x03\0\0\0\x0c\0\0\0\x02/c\0");
	wire_put_read(&out, 4, WIRE_GET_ACL, "/d");
	CHECK_BYTES(&out, "\0\0\0\x0e\0\0\0\x04\0\0\0\x06\0\0\0\x02/d");
	wire_put_read(&out, 5, WIRE_SYNC, "/");
	CHECK_BYTES(&out, "\0\0\0\x0d\0\0\0\x05\0\0\0\x09\0\0\0\x01/");
}
END_TEST

START_TEST(puts_add_watch)
{
	struct buf out = BUF_INIT;

	wire_put_add_watch(&out, 6, "/e");
	CHECK_BYTES(&out, "\0\0\0\x12\0\0\0\x06\0\0\0\x6a\0\0\0\x02/e\0\0\0\x01");
}
END_TEST

START_TEST(puts_multi_read)
{
	const char *paths[] = { "/a", "/bc" };
	struct buf out = BUF_INIT;

	wire_put_multi_read(&out, 7, paths, 2);
	CHECK_BYTES(&out,
		"\0\0\0\x32\0\0\0\x07\0\0\0\x16"
		"\0\0\0\x04\0\xff\xff\xff\xff"
		"\0\0\0\x02/a\0"
		"\0\0\0\x04\0\xff\xff\xff\xff"
		"\0\0\0\x03/bc\0"
		"\xff\xff\xff\xff\x01\xff\xff\xff\xff");
	wire_put_multi_read(&out, 8, NULL, 0);
	CHECK_BYTES(&out, "\0\0\0\x11\0\0\0\x08\0\0\0\x16\xff\xff\xff\xff\x01\xff\xff\xff\xff");
}
END_TEST

START_TEST(requests_follow_one_another)
{
	struct buf out = BUF_INIT;

	wire_put_ping(&out);
	wire_put_read(&out, 5, WIRE_SYNC, "/");
	wire_put_ping(&out);
	CHECK_BYTES(&out,
		"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b"
		"\0\0\0\x0d\0\0\0\x05\0\0\0\x09\0\0\0\x01/"
		"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b");
}
END_TEST

/* Wherever memory ends, what is in the buffer are whole frames. */
START_TEST(lack_of_memory_leaves_no_half_frame)
{
	char path[5000] = "/";
	struct buf out = BUF_INIT;

	memset(path + 1, 'x', sizeof(path) - 2);
	unit_fail_allocation(1);
	wire_put_ping(&out);
	ck_assert(unit_end_failure());
	ck_assert(out.failed);
	ck_assert_uint_eq(out.size, 0);
	buf_release(&out);

	wire_put_ping(&out);
	unit_fail_allocation(1);
	wire_put_read(&out, 1, WIRE_GET_DATA, path);
	ck_assert(unit_end_failure());
	ck_assert(out.failed);
	ck_assert_uint_eq(out.size, 12);
	wire_put_ping(&out);
	ck_assert_uint_eq(out.size, 12);
	buf_release(&out);
}
END_TEST

/* --- Replies --- */

START_TEST(frame_size)
{
	ck_assert_int_eq(wire_frame_size(NULL, 0, 100), 0);
	ck_assert_int_eq(wire_frame_size("\0\0\0", 3, 100), 0);
	ck_assert_int_eq(wire_frame_size("\0\0\0\0", 4, 100), 4);
	ck_assert_int_eq(wire_frame_size("\0\0\0\x64", 4, 100), 104);
	ck_assert_int_eq(wire_frame_size("\0\0\0\x64xyz", 7, 100), 104);
	ck_assert_int_eq(wire_frame_size("\0\0\0\x65", 4, 100), -EBADMSG);
	ck_assert_int_eq(wire_frame_size("\xff\xff\xff\xff", 4, 100), -EBADMSG);
	ck_assert_int_eq(wire_frame_size("\x80\0\0\0", 4, SIZE_MAX), -EBADMSG);
	ck_assert_int_eq(wire_frame_size("\x7f\xff\xff\xff", 4, SIZE_MAX), INT64_C(0x7fffffff) + 4);
	ck_assert_int_eq(wire_frame_size("HTTP/1.1 400", 12, 256 << 20), -EBADMSG);
}
END_TEST

static int get_header(struct wire_in *in)
{
	struct wire_header header;

	return wire_get_header(in, &header);
}

START_TEST(gets_header)
{
	struct wire_header header;
	struct buf reply = BUF_INIT;
	struct wire_in in;

	add_int(&reply, -2);
	add_long(&reply, 0x1122334455667788);
	add_int(&reply, -101);
	check_truncations(&reply, get_header);
	add_byte(&reply, 'x');
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_header(&in, &header), 0);
	ck_assert_int_eq(header.xid, -2);
	ck_assert_int_eq(header.zxid, 0x1122334455667788);
	ck_assert_int_eq(header.error, -101);
	ck_assert_ptr_eq(in.next, reply.data + 16);
	buf_release(&reply);
}
END_TEST

/* ZooKeeper's codes are 0 and negative. */
START_TEST(refuses_positive_errors_in_header)
{
	static const struct {
		int32_t error;
		int result;
	} rows[] = { { 0, 0 }, { -1, 0 }, { INT32_MIN, 0 }, { 1, -EBADMSG }, { INT32_MAX, -EBADMSG } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, 1);
		add_long(&reply, 1);
		add_int(&reply, rows[i].error);
		ck_assert_int_eq(decode(&reply, reply.size, get_header), rows[i].result);
		buf_release(&reply);
	}
}
END_TEST

static int get_stat(struct wire_in *in)
{
	struct node_stat stat;

	return wire_get_stat(in, &stat);
}

START_TEST(gets_stat)
{
	struct node_stat stat = some_stat;
	struct buf reply = BUF_INIT;
	struct wire_in in;

	add_stat(&reply, &some_stat);
	ck_assert_uint_eq(reply.size, 68);
	check_truncations(&reply, get_stat);
	memset(&stat, 0x55, sizeof(stat));
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_stat(&in, &stat), 0);
	check_some_stat(&stat);
	ck_assert_ptr_eq(in.next, in.end);
	buf_release(&reply);
}
END_TEST

START_TEST(refuses_negative_lengths_in_stat)
{
	static const struct {
		int32_t data_length, num_children;
		int result;
	} rows[] = { { 0, 0, 0 }, { INT32_MAX, INT32_MAX, 0 }, { -1, 0, -EBADMSG }, { 0, -1, -EBADMSG },
		{ INT32_MIN, 5, -EBADMSG } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node_stat stat = some_stat;
		struct buf reply = BUF_INIT;

		stat.data_length = rows[i].data_length;
		stat.num_children = rows[i].num_children;
		add_stat(&reply, &stat);
		ck_assert_int_eq(decode(&reply, reply.size, get_stat), rows[i].result);
		buf_release(&reply);
	}
}
END_TEST

static int get_buffer(struct wire_in *in)
{
	const char *data;
	int32_t size;

	return wire_get_buffer(in, &data, &size);
}

START_TEST(gets_buffer)
{
	struct buf reply = BUF_INIT;
	struct wire_in in;
	const char *data;
	int32_t size;

	add_buffer(&reply, "a\0b", 3);
	check_truncations(&reply, get_buffer);
	add_buffer(&reply, "", 0);
	add_int(&reply, -1);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_buffer(&in, &data, &size), 0);
	ck_assert_int_eq(size, 3);
	ck_assert_ptr_eq(data, reply.data + 4);
	ck_assert_int_eq(wire_get_buffer(&in, &data, &size), 0);
	ck_assert_int_eq(size, 0);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(wire_get_buffer(&in, &data, &size), 0);
	ck_assert_int_eq(size, -1);
	ck_assert_ptr_null(data);
	ck_assert_ptr_eq(in.next, in.end);
	buf_release(&reply);
}
END_TEST

START_TEST(refuses_lengths_of_buffer)
{
	static const int32_t lengths[] = { -2, INT32_MIN, 6, 1000, INT32_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, lengths[i]);
		ck_assert(buf_append(&reply, "12345", 5));
		ck_assert_int_eq(decode(&reply, reply.size, get_buffer), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

static void add_connect(struct buf *reply, int32_t timeout, int64_t id, const char *password, size_t size)
{
	add_int(reply, 0);
	add_int(reply, timeout);
	add_long(reply, id);
	add_buffer(reply, password, size);
}

static int get_connect(struct wire_in *in)
{
	struct wire_session session;

	return wire_get_connect(in, &session);
}

START_TEST(gets_connect)
{
	struct wire_session session;
	struct buf reply = BUF_INIT;
	struct wire_in in;

	add_connect(&reply, 4000, 0x0102030405060708, "0123456789abcdef", 16);
	check_truncations(&reply, get_connect); /* as before 3.4 */
	for (int with_read_only = 0; with_read_only < 2; with_read_only++) {
		memset(&session, 0x55, sizeof(session));
		in = (struct wire_in){ reply.data, reply.data + reply.size };
		ck_assert_int_eq(wire_get_connect(&in, &session), 0);
		ck_assert_int_eq(session.timeout, 4000);
		ck_assert_int_eq(session.id, 0x0102030405060708);
		ck_assert_int_eq(session.password_size, 16);
		ck_assert_mem_eq(session.password, "0123456789abcdef", 16);
		ck_assert_ptr_eq(in.next, in.end);
		add_byte(&reply, 0);
	}
	buf_release(&reply);
}
END_TEST

START_TEST(gets_connect_of_an_expired_session)
{
	struct wire_session session;
	struct buf reply = BUF_INIT;
	struct wire_in in;

	add_connect(&reply, 0, 0, "", 0);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_connect(&in, &session), 0);
	ck_assert_int_eq(session.timeout, 0);
	ck_assert_int_eq(session.password_size, 0);
	buf_release(&reply);

	add_int(&reply, 0);
	add_int(&reply, -1);
	add_long(&reply, 0);
	add_int(&reply, -1); /* null */
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_connect(&in, &session), 0);
	ck_assert_int_eq(session.timeout, -1);
	ck_assert_int_eq(session.password_size, 0);
	buf_release(&reply);
}
END_TEST

START_TEST(password_may_be_of_1_byte)
{
	struct wire_session session;
	struct buf reply = BUF_INIT;
	struct wire_in in;

	add_connect(&reply, 1, 2, "p", 1);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_connect(&in, &session), 0);
	ck_assert_int_eq(session.password_size, 1);
	ck_assert_int_eq(session.password[0], 'p');
	buf_release(&reply);
}
END_TEST

START_TEST(password_may_be_of_64_bytes_at_most)
{
	char password[WIRE_PASSWORD_MAX + 1];
	struct wire_session session = { .id = 5 };
	struct buf reply = BUF_INIT;
	struct wire_in in;

	memset(password, 'p', sizeof(password));
	add_connect(&reply, 1, 2, password, WIRE_PASSWORD_MAX);
	ck_assert_int_eq(decode(&reply, reply.size, get_connect), 0);
	buf_release(&reply);
	add_connect(&reply, 1, 2, password, WIRE_PASSWORD_MAX + 1);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_connect(&in, &session), -EBADMSG);
	ck_assert_int_eq(session.id, 5);
	buf_release(&reply);
}
END_TEST

static int get_names(struct wire_in *in)
{
	struct listing *listing = NULL;
	int err = wire_get_names(in, &listing);

	if ((err == 0) != (listing != NULL))
		ck_abort_msg("%d with%s a listing", err, listing ? "" : "out");
	listing_put(listing);
	return err;
}

static struct listing *names_of(const struct buf *reply)
{
	char *copy = unit_exact_copy(reply->data, reply->size);
	struct wire_in in = { copy, copy + reply->size };
	struct listing *listing = NULL;

	ck_assert_int_eq(wire_get_names(&in, &listing), 0);
	ck_assert_ptr_eq(in.next, in.end);
	free(copy); /* the listing has its own memory */
	return listing;
}

START_TEST(gets_names)
{
	struct buf reply = BUF_INIT;
	struct listing *listing;

	add_int(&reply, 3);
	add_string(&reply, "one");
	add_string(&reply, "zwei €");
	add_string(&reply, "...");
	check_truncations(&reply, get_names);
	listing = names_of(&reply);
	ck_assert_uint_eq(listing->refs, 1);
	ck_assert_uint_eq(listing->count, 3);
	ck_assert_str_eq(listing->names[0], "one");
	ck_assert_str_eq(listing->names[1], "zwei €");
	ck_assert_str_eq(listing->names[2], "...");
	ck_assert_uint_eq(listing->size, sizeof(*listing) + 3 * sizeof(char *) + 4 + 9 + 4);
	listing_put(listing);
	buf_release(&reply);
}
END_TEST

START_TEST(gets_no_names)
{
	struct buf reply = BUF_INIT;
	struct listing *listing;

	add_int(&reply, 0);
	check_truncations(&reply, get_names);
	listing = names_of(&reply);
	ck_assert_uint_eq(listing->count, 0);
	listing_put(listing);
	buf_release(&reply);

	add_int(&reply, -1); /* null */
	listing = names_of(&reply);
	ck_assert_uint_eq(listing->count, 0);
	listing_put(listing);
	buf_release(&reply);
}
END_TEST

START_TEST(leaves_out_dangerous_names)
{
	struct buf reply = BUF_INIT;
	struct listing *listing;

	add_int(&reply, 12);
	add_string(&reply, "");
	add_string(&reply, "a");
	add_string(&reply, ".");
	add_string(&reply, "..");
	add_string(&reply, "../../etc/passwd");
	add_string(&reply, "/");
	add_string(&reply, "x/");
	add_buffer(&reply, "b\0c", 3);
	add_buffer(&reply, "\0", 1);
	add_int(&reply, -1); /* null */
	add_string(&reply, ".b");
	add_string(&reply, "..c");
	check_truncations(&reply, get_names);
	listing = names_of(&reply);
	ck_assert_uint_eq(listing->count, 3);
	ck_assert_str_eq(listing->names[0], "a");
	ck_assert_str_eq(listing->names[1], ".b");
	ck_assert_str_eq(listing->names[2], "..c");
	listing_put(listing);
	buf_release(&reply);
}
END_TEST

/* As many as the bytes can possibly hold. */
START_TEST(gets_nothing_but_empty_names)
{
	struct buf reply = BUF_INIT;
	struct listing *listing;

	add_int(&reply, 3);
	for (int i = 0; i < 3; i++)
		add_string(&reply, "");
	check_truncations(&reply, get_names);
	listing = names_of(&reply);
	ck_assert_uint_eq(listing->count, 0);
	listing_put(listing);
	buf_release(&reply);
}
END_TEST

START_TEST(refuses_counts_of_names)
{
	static const int32_t counts[] = { -2, INT32_MIN, 3, 4, 1 << 20, INT32_MAX };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, counts[i]);
		add_string(&reply, "one");
		add_string(&reply, "two");
		ck_assert_int_eq(decode(&reply, reply.size, get_names), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

START_TEST(refuses_lengths_of_names)
{
	static const int32_t lengths[] = { -2, INT32_MIN, 8, INT32_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, 2);
		add_int(&reply, lengths[i]);
		add_string(&reply, "one");
		ck_assert_int_eq(decode(&reply, reply.size, get_names), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

/* One allocation: that it fails shows, that a second would fail does not. */
START_TEST(names_take_one_allocation)
{
	struct buf reply = BUF_INIT;
	struct listing *listing = NULL;
	struct wire_in in;
	int err;

	add_int(&reply, 100);
	for (int i = 0; i < 100; i++)
		add_string(&reply, "name");
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	unit_fail_allocation(1);
	err = wire_get_names(&in, &listing);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(err, -ENOMEM);
	ck_assert_ptr_null(listing);
	in.next = reply.data;
	unit_fail_allocation(2);
	err = wire_get_names(&in, &listing);
	ck_assert(!unit_end_failure());
	ck_assert_int_eq(err, 0);
	listing_put(listing);
	buf_release(&reply);
}
END_TEST

static void add_event(struct buf *reply, int32_t type, const char *path, size_t size)
{
	add_int(reply, type);
	add_int(reply, 3); /* SyncConnected */
	add_buffer(reply, path, size);
}

static int get_event(struct wire_in *in)
{
	int32_t type, state;
	const char *path;
	size_t size;

	return wire_get_event(in, &type, &state, &path, &size);
}

START_TEST(gets_event)
{
	struct buf reply = BUF_INIT;
	struct wire_in in;
	int32_t type, state;
	const char *path;
	size_t size;

	add_event(&reply, WIRE_DATA_CHANGED, "/a/b", 4);
	check_truncations(&reply, get_event);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_event(&in, &type, &state, &path, &size), 0);
	ck_assert_int_eq(type, WIRE_DATA_CHANGED);
	ck_assert_int_eq(state, 3);
	ck_assert_uint_eq(size, 4);
	ck_assert_mem_eq(path, "/a/b", 4);
	ck_assert_ptr_eq(in.next, in.end);
	buf_release(&reply);
}
END_TEST

START_TEST(gets_session_event)
{
	struct buf reply = BUF_INIT;
	struct wire_in in;
	int32_t type, state;
	const char *path;
	size_t size = 1;

	add_event(&reply, -1, "", 0);
	check_truncations(&reply, get_event);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_event(&in, &type, &state, &path, &size), 0);
	ck_assert_int_eq(type, -1);
	ck_assert_uint_eq(size, 0);
	buf_release(&reply);

	add_int(&reply, -1);
	add_int(&reply, 0);
	add_int(&reply, -1); /* null */
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	size = 1;
	ck_assert_int_eq(wire_get_event(&in, &type, &state, &path, &size), 0);
	ck_assert_uint_eq(size, 0);
	buf_release(&reply);
}
END_TEST

START_TEST(refuses_paths_of_events)
{
	static const struct {
		int32_t type;
		const char *path;
		size_t size;
	} rows[] = {
		{ WIRE_CREATED, "", 0 },
		{ WIRE_DELETED, "a", 1 },
		{ WIRE_DELETED, "../a", 4 },
		{ WIRE_CREATED, "/a\0b", 4 },
		{ WIRE_CREATED, "/\0", 2 },
		{ WIRE_CREATED, "\0/", 2 },
		{ -1, "a", 1 },
		{ 0, "", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf reply = BUF_INIT;

		add_event(&reply, rows[i].type, rows[i].path, rows[i].size);
		ck_assert_int_eq(decode(&reply, reply.size, get_event), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

static void add_multi_reply(struct buf *reply)
{
	add_multi_header(reply, WIRE_GET_DATA, 0, 0);
	add_buffer(reply, "data", 4);
	add_stat(reply, &some_stat);
	add_multi_header(reply, -1, 0, -101);
	add_int(reply, -101);
	add_multi_header(reply, WIRE_GET_DATA, 0, 0);
	add_int(reply, -1); /* null data */
	add_stat(reply, &some_stat);
	add_multi_header(reply, -1, 1, -1);
}

/* All results of a multiRead: 0, or what the first failing decoder said. */
static int get_multi(struct wire_in *in)
{
	struct node_stat stat;
	const char *data;
	int32_t error, size;
	int result;

	while ((result = wire_get_multi_result(in, &error)) == 0) {
		if (error)
			continue;
		if (wire_get_buffer(in, &data, &size) < 0 || wire_get_stat(in, &stat) < 0)
			return -EBADMSG;
	}
	return result == 1 ? 0 : result;
}

static int get_multi_result(struct wire_in *in)
{
	int32_t error;

	return wire_get_multi_result(in, &error);
}

START_TEST(gets_multi_results)
{
	struct node_stat stat;
	struct buf reply = BUF_INIT;
	struct wire_in in;
	int32_t error, size;
	const char *data;

	add_multi_reply(&reply);
	check_truncations(&reply, get_multi);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_multi_result(&in, &error), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(wire_get_buffer(&in, &data, &size), 0);
	ck_assert_int_eq(size, 4);
	ck_assert_int_eq(wire_get_stat(&in, &stat), 0);
	check_some_stat(&stat);
	ck_assert_int_eq(wire_get_multi_result(&in, &error), 0);
	ck_assert_int_eq(error, -101);
	ck_assert_int_eq(wire_get_multi_result(&in, &error), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(wire_get_buffer(&in, &data, &size), 0);
	ck_assert_int_eq(size, -1);
	ck_assert_int_eq(wire_get_stat(&in, &stat), 0);
	ck_assert_int_eq(wire_get_multi_result(&in, &error), 1);
	ck_assert_ptr_eq(in.next, in.end);
	ck_assert_int_eq(wire_get_multi_result(&in, &error), -EBADMSG);
	buf_release(&reply);
}
END_TEST

START_TEST(refuses_other_multi_results)
{
	static const struct {
		int32_t type, error;
	} rows[] = { { 1, 0 }, { 8, 0 }, { 0, 0 }, { -2, -101 }, { -1, 0 }, { -1, 101 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf reply = BUF_INIT;

		add_multi_header(&reply, rows[i].type, 0, rows[i].error);
		add_int(&reply, rows[i].error);
		add_multi_header(&reply, -1, 1, -1);
		ck_assert_int_eq(decode(&reply, reply.size, get_multi_result), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

/* --- ACLs --- */

static void add_acl_entry(struct buf *reply, int32_t perms, const char *scheme, const char *id)
{
	add_int(reply, perms);
	add_string(reply, scheme);
	add_string(reply, id);
}

static int get_acl(struct wire_in *in)
{
	struct acl_list *acl = NULL;
	int err = wire_get_acl(in, &acl);

	if (!err)
		acl_list_put(acl);
	else if (acl)
		ck_abort_msg("an error, and a list");
	return err;
}

/* Takes the whole reply; the bytes it was decoded from are gone. */
static struct acl_list *acl_of(const struct buf *reply)
{
	char *copy = unit_exact_copy(reply->data, reply->size);
	struct wire_in in = { copy, copy + reply->size };
	struct acl_list *acl = NULL;

	ck_assert_int_eq(wire_get_acl(&in, &acl), 0);
	ck_assert_ptr_eq(in.next, in.end);
	free(copy);
	ck_assert_uint_eq(acl->refs, 1);
	return acl;
}

START_TEST(gets_acl)
{
	struct buf reply = BUF_INIT;
	struct acl_list *acl;

	add_int(&reply, 3);
	add_acl_entry(&reply, 31, "world", "anyone");
	add_acl_entry(&reply, 1, "digest", "user:x=€");
	add_acl_entry(&reply, INT32_MIN, "auth", "");
	check_truncations(&reply, get_acl);
	acl = acl_of(&reply);
	ck_assert_uint_eq(acl->count, 3);
	ck_assert_int_eq(acl->list[0].perms, 31);
	ck_assert_str_eq(acl->list[0].scheme, "world");
	ck_assert_str_eq(acl->list[0].id, "anyone");
	ck_assert_int_eq(acl->list[1].perms, 1);
	ck_assert_str_eq(acl->list[1].scheme, "digest");
	ck_assert_str_eq(acl->list[1].id, "user:x=€");
	ck_assert_int_eq(acl->list[2].perms, INT32_MIN);
	ck_assert_str_eq(acl->list[2].scheme, "auth");
	ck_assert_str_eq(acl->list[2].id, "");
	acl_list_put(acl);
	buf_release(&reply);
}
END_TEST

START_TEST(gets_acl_and_leaves_what_follows)
{
	struct buf reply = BUF_INIT;
	struct acl_list *acl;
	struct node_stat stat;
	struct wire_in in;

	add_int(&reply, 1);
	add_acl_entry(&reply, 31, "world", "anyone");
	add_stat(&reply, &some_stat);
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	ck_assert_int_eq(wire_get_acl(&in, &acl), 0);
	ck_assert_int_eq(wire_get_stat(&in, &stat), 0);
	check_some_stat(&stat);
	ck_assert_ptr_eq(in.next, in.end);
	acl_list_put(acl);
	buf_release(&reply);
}
END_TEST

START_TEST(gets_empty_acl)
{
	for (int32_t count = -1; count <= 0; count++) {
		struct buf reply = BUF_INIT;
		struct acl_list *acl;

		add_int(&reply, count);
		check_truncations(&reply, get_acl);
		acl = acl_of(&reply);
		ck_assert_uint_eq(acl->count, 0);
		acl_list_put(acl);
		buf_release(&reply);
	}
}
END_TEST

START_TEST(refuses_counts_of_acl)
{
	static const int32_t counts[] = { -2, INT32_MIN, 2, 1 << 20, INT32_MAX };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, counts[i]);
		add_acl_entry(&reply, 31, "world", "anyone");
		ck_assert_int_eq(decode(&reply, reply.size, get_acl), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

/* Neither a scheme nor an id is null, longer than what there is, or holds a NUL byte. */
START_TEST(refuses_strings_of_acl)
{
	static const int32_t lengths[] = { -1, -2, INT32_MIN, 7, INT32_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (int is_id = 0; is_id < 2; is_id++) {
			struct buf reply = BUF_INIT;

			add_int(&reply, 1);
			add_int(&reply, 31);
			if (is_id)
				add_string(&reply, "world");
			add_int(&reply, lengths[i]);
			(void)buf_append(&reply, "anyone", is_id || lengths[i] > 0 ? 6 : 0);
			if (!is_id && lengths[i] < 0)
				add_string(&reply, "anyone");
			ck_assert_int_eq(decode(&reply, reply.size, get_acl), -EBADMSG);
			buf_release(&reply);
		}
	}
	for (int is_id = 0; is_id < 2; is_id++) {
		struct buf reply = BUF_INIT;

		add_int(&reply, 1);
		add_int(&reply, 31);
		add_buffer(&reply, is_id ? "world" : "wor\0d", 5);
		add_buffer(&reply, is_id ? "any\0ne" : "anyone", 6);
		ck_assert_int_eq(decode(&reply, reply.size, get_acl), -EBADMSG);
		buf_release(&reply);
	}
}
END_TEST

START_TEST(acl_takes_one_allocation)
{
	struct buf reply = BUF_INIT;
	struct acl_list *acl = NULL;
	struct wire_in in;
	int err;

	add_int(&reply, 50);
	for (int i = 0; i < 50; i++)
		add_acl_entry(&reply, i, "digest", "user:hash");
	in = (struct wire_in){ reply.data, reply.data + reply.size };
	unit_fail_allocation(1);
	err = wire_get_acl(&in, &acl);
	ck_assert(unit_end_failure());
	ck_assert_int_eq(err, -ENOMEM);
	ck_assert_ptr_null(acl);
	in.next = reply.data;
	unit_fail_allocation(2);
	err = wire_get_acl(&in, &acl);
	ck_assert(!unit_end_failure());
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(acl->list[49].perms, 49);
	acl_list_put(acl);
	buf_release(&reply);
}
END_TEST

/* --- Nonsense --- */

static int get_connect_or_frame(struct wire_in *in)
{
	(void)wire_frame_size(in->next, (size_t)(in->end - in->next), 1 << 20);
	return get_connect(in);
}

static int (*const getters[])(struct wire_in *) = {
	get_connect_or_frame,
	get_header,
	get_stat,
	get_buffer,
	get_names,
	get_acl,
	get_event,
	get_multi,
};

enum { GETTERS = sizeof(getters) / sizeof(getters[0]) };

static void add_some_reply(struct buf *reply)
{
	switch (unit_random(6)) {
	case 5:
		add_int(reply, 2);
		add_acl_entry(reply, 31, "world", "anyone");
		add_acl_entry(reply, 1, "digest", "a:b");
		break;
	case 0:
		add_connect(reply, 4000, 77, "0123456789abcdef", 16);
		break;
	case 1:
		add_stat(reply, &some_stat);
		break;
	case 2:
		add_int(reply, 5);
		for (int i = 0; i < 5; i++)
			add_string(reply, &"name"[i]);
		break;
	case 3:
		add_event(reply, WIRE_CREATED, "/a/b", 4);
		break;
	default:
		add_multi_reply(reply);
	}
}

/* Whatever comes, a decoder says so and stays inside (the sanitizers look): random bytes, small numbers that make
 * plausible lengths, and true replies with some bytes changed. */
START_TEST(takes_no_harm_from_nonsense)
{
	unit_seed("takes_no_harm_from_nonsense");
	for (int i = 0; i < 200000; i++) {
		struct buf reply = BUF_INIT;
		size_t size = unit_random(120);
		int result;

		if (unit_random(2)) {
			add_some_reply(&reply);
			for (size_t changes = unit_random(4); changes > 0; changes--)
				reply.data[unit_random(reply.size)] = (char)unit_random(256);
		} else {
			bool small = unit_random(2);

			while (reply.size < size)
				add_byte(&reply, small && unit_random(4) ? 0 : (unsigned)unit_random(small ? 9 : 256));
		}
		result = decode(&reply, reply.size, getters[unit_random(GETTERS)]);
		if (result != 0 && result != -EBADMSG)
			ck_abort_msg("%d in round %d", result, i);
		buf_release(&reply);
	}
}
END_TEST

static void add_tests(TCase *requests, TCase *replies)
{
	tcase_add_test(requests, puts_connect);
	tcase_add_test(requests, puts_auth);
	tcase_add_test(requests, puts_ping);
	tcase_add_test(requests, puts_close);
	tcase_add_test(requests, puts_reads);
	tcase_add_test(requests, puts_add_watch);
	tcase_add_test(requests, puts_multi_read);
	tcase_add_test(requests, requests_follow_one_another);
	tcase_add_test(requests, lack_of_memory_leaves_no_half_frame);
	tcase_add_test(replies, frame_size);
	tcase_add_test(replies, gets_header);
	tcase_add_test(replies, refuses_positive_errors_in_header);
	tcase_add_test(replies, gets_stat);
	tcase_add_test(replies, refuses_negative_lengths_in_stat);
	tcase_add_test(replies, gets_buffer);
	tcase_add_test(replies, refuses_lengths_of_buffer);
	tcase_add_test(replies, gets_connect);
	tcase_add_test(replies, gets_connect_of_an_expired_session);
	tcase_add_test(replies, password_may_be_of_1_byte);
	tcase_add_test(replies, password_may_be_of_64_bytes_at_most);
	tcase_add_test(replies, gets_names);
	tcase_add_test(replies, gets_no_names);
	tcase_add_test(replies, leaves_out_dangerous_names);
	tcase_add_test(replies, gets_nothing_but_empty_names);
	tcase_add_test(replies, refuses_counts_of_names);
	tcase_add_test(replies, refuses_lengths_of_names);
	tcase_add_test(replies, names_take_one_allocation);
	tcase_add_test(replies, gets_event);
	tcase_add_test(replies, gets_session_event);
	tcase_add_test(replies, refuses_paths_of_events);
	tcase_add_test(replies, gets_multi_results);
	tcase_add_test(replies, refuses_other_multi_results);
	tcase_add_test(replies, gets_acl);
	tcase_add_test(replies, gets_acl_and_leaves_what_follows);
	tcase_add_test(replies, gets_empty_acl);
	tcase_add_test(replies, refuses_counts_of_acl);
	tcase_add_test(replies, refuses_strings_of_acl);
	tcase_add_test(replies, acl_takes_one_allocation);
	tcase_add_test(replies, takes_no_harm_from_nonsense);
}

Suite *unit_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *requests = tcase_create("requests");
	TCase *replies = tcase_create("replies");

	add_tests(requests, replies);
	tcase_set_timeout(replies, 120); /* the nonsense, under a sanitizer on a busy machine */
	suite_add_tcase(suite, requests);
	suite_add_tcase(suite, replies);
	return suite;
}
