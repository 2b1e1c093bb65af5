#include "fusefs/requests.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/util/metrics.h"

enum {
	OPERATIONS = 64,   /* more than the kernel has */
	SLOTS = 1 << 13,   /* more than it has under way at once; one that finds none is not timed */
	PROBES = 16,	   /* slots that are looked at for one request */
	ERRNO_COUNT = 134, /* EHWPOISON is the last */
};

static const char *const names[OPERATIONS] = {
	[FUSE_LOOKUP] = "lookup",
	[FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr",
	[FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink",
	[FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod",
	[FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink",
	[FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename",
	[FUSE_LINK] = "link",
	[FUSE_OPEN] = "open",
	[FUSE_READ] = "read",
	[FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs",
	[FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync",
	[FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr",
	[FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr",
	[FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init",
	[FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir",
	[FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir",
	[FUSE_GETLK] = "getlk",
	[FUSE_SETLK] = "setlk",
	[FUSE_SETLKW] = "setlkw",
	[FUSE_ACCESS] = "access",
	[FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt",
	[FUSE_BMAP] = "bmap",
	[FUSE_DESTROY] = "destroy",
	[FUSE_IOCTL] = "ioctl",
	[FUSE_POLL] = "poll",
	[FUSE_NOTIFY_REPLY] = "notify_reply",
	[FUSE_BATCH_FORGET] = "batch_forget",
	[FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus",
	[FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek",
	[FUSE_COPY_FILE_RANGE] = "copy_file_range",
};

/* A request under way. */
struct slot {
	_Atomic(uint64_t) unique; /* 0: the slot is free */
	_Atomic(int64_t) began;	  /* ns */
	_Atomic(uint32_t) operation;
};

struct requests {
	_Atomic(uint64_t) came[OPERATIONS];
	_Atomic(uint64_t) failed[OPERATIONS][ERRNO_COUNT];
	_Atomic(uint64_t) notifications;
	struct histogram latencies[OPERATIONS];
	struct slot slots[SLOTS];
};

struct requests *requests_new(void)
{
	return calloc(1, sizeof(struct requests));
}

void requests_free(struct requests *requests)
{
	free(requests);
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Kernels count by two, or by two for each processor (fuse_get_unique): either way the numbers in use are spread by this. */
static struct slot *slot_at(struct requests *requests, uint64_t unique, unsigned probe)
{
	uint64_t hash = (unique * UINT64_C(0x9e3779b97f4a7c15)) >> 40;

	return &requests->slots[(hash + probe) % SLOTS];
}

static bool is_answered(uint32_t operation)
{
	return operation != FUSE_FORGET && operation != FUSE_BATCH_FORGET && operation != FUSE_INTERRUPT &&
		operation != FUSE_NOTIFY_REPLY;
}

void requests_came(struct requests *requests, const void *message, size_t size)
{
	struct fuse_in_header header;
	uint32_t operation;

	if (size < sizeof(header))
		return;
	memcpy(&header, message, sizeof(header));
	operation = header.opcode < OPERATIONS ? header.opcode : 0;
	atomic_fetch_add_explicit(&requests->came[operation], 1, memory_order_relaxed);
	for (unsigned i = 0; is_answered(operation) && i < PROBES; i++) {
		struct slot *slot = slot_at(requests, header.unique, i);
		uint64_t none = 0;

		if (atomic_compare_exchange_strong(&slot->unique, &none, header.unique)) {
			/* Nobody else looks at it before it is answered. */
			atomic_store_explicit(&slot->operation, operation, memory_order_relaxed);
			atomic_store_explicit(&slot->began, now_ns(), memory_order_relaxed);
			break;
		}
	}
}

static void answered(struct requests *requests, struct slot *slot, int error)
{
	uint32_t operation = atomic_load_explicit(&slot->operation, memory_order_relaxed);
	int64_t took = now_ns() - atomic_load_explicit(&slot->began, memory_order_relaxed);

	atomic_store(&slot->unique, 0);
	histogram_observe(&requests->latencies[operation], took > 0 ? (uint64_t)took : 0);
	if (error > 0)
		atomic_fetch_add_explicit(&requests->failed[operation][error < ERRNO_COUNT ? error : 0], 1,
			memory_order_relaxed);
}

void requests_answered(struct requests *requests, const struct iovec *parts, int count)
{
	struct fuse_out_header header;

	if (count < 1 || parts[0].iov_len < sizeof(header))
		return;
	memcpy(&header, parts[0].iov_base, sizeof(header));
	if (header.unique == 0) {
		atomic_fetch_add_explicit(&requests->notifications, 1, memory_order_relaxed);
		return;
	}
	for (unsigned i = 0; i < PROBES; i++) {
		struct slot *slot = slot_at(requests, header.unique, i);

		if (atomic_load(&slot->unique) == header.unique) {
			answered(requests, slot, -header.error);
			break;
		}
	}
}

/* --- As text --- */

static void label_operation(char *to, size_t size, int operation)
{
	if (names[operation])
		(void)snprintf(to, size, "operation=\"%s\"", names[operation]);
	else
		(void)snprintf(to, size, "operation=\"%d\"", operation);
}

static void render_errors(struct requests *requests, struct buf *out)
{
	static const char name[] = "zkfs_fuse_errors_total";
	char labels[128];

	metrics_family(out, name, "counter", "Requests of the kernel that were answered by an error, by its name.");
	for (int i = 0; i < OPERATIONS; i++) {
		for (int error = 0; error < ERRNO_COUNT; error++) {
			uint64_t count = atomic_load_explicit(&requests->failed[i][error], memory_order_relaxed);
			const char *error_name = strerrorname_np(error);
			size_t size;

			if (!count)
				continue;
			label_operation(labels, sizeof(labels), i);
			size = strlen(labels);
			(void)snprintf(labels + size, sizeof(labels) - size, ",error=\"%s\"",
				error && error_name ? error_name : "other");
			metrics_put(out, name, labels, count);
		}
	}
}

void requests_render(struct requests *requests, struct buf *out)
{
	static const char came[] = "zkfs_fuse_requests_total";
	static const char latency[] = "zkfs_fuse_request_duration_seconds";
	char labels[64];

	metrics_family(out, came, "counter", "Requests of the kernel.");
	for (int i = 0; i < OPERATIONS; i++) {
		uint64_t count = atomic_load_explicit(&requests->came[i], memory_order_relaxed);

		label_operation(labels, sizeof(labels), i);
		if (count)
			metrics_put(out, came, labels, count);
	}
	metrics_family(out, latency, "histogram",
		"How long requests of the kernel took, from when they were read until they were answered.");
	for (int i = 0; i < OPERATIONS; i++) {
		label_operation(labels, sizeof(labels), i);
		if (histogram_count(&requests->latencies[i]))
			metrics_put_histogram(out, latency, labels, &requests->latencies[i]);
	}
	render_errors(requests, out);
	metrics_put_alone(out, "zkfs_fuse_notifications_total", "counter",
		"Messages that told the kernel what became stale, or who polls.",
		atomic_load_explicit(&requests->notifications, memory_order_relaxed));
}
