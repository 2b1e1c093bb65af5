#include "fusefs/connection.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fusefs/ops.h"
#include "fusefs/requests.h"

enum { MAX_BACKGROUND = 1024 };

/* In flags2: files that bypass the page cache may be mapped all the same, MAP_SHARED too (Linux 6.6; older headers and kernels do
 * not know it, and it does nothing there: such a mapping is ENODEV). */
static const uint32_t DIRECT_IO_ALLOW_MMAP = UINT32_C(1) << (36 - 32);

/* No reply. */
void op_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	connection->want |= connection->capable &
		(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	connection->max_background = MAX_BACKGROUND;
	connection->congestion_threshold = MAX_BACKGROUND;
}

static ssize_t read_request(int fd, void *to, size_t size, void *userdata)
{
	const struct mount *mount = userdata;
	ssize_t got = read(fd, to, size);

	if (got > 0)
		requests_came(mount->requests, to, (size_t)got);
	return got;
}

/* The first thing that is ever written is the answer to FUSE_INIT, for the kernel sends nothing else before it has that. */
static ssize_t write_reply(int fd, struct iovec *parts, int count, void *userdata)
{
	static _Atomic(bool) has_answered_init;
	const struct mount *mount = userdata;

	if (!atomic_exchange(&has_answered_init, true) && count == 2 &&
		parts[1].iov_len == sizeof(struct fuse_init_out)) {
		struct fuse_init_out *init = parts[1].iov_base;

		init->flags |= FUSE_PARALLEL_DIROPS | FUSE_INIT_EXT;
		init->flags2 |= DIRECT_IO_ALLOW_MMAP;
	}
	requests_answered(mount->requests, parts, count);
	return writev(fd, parts, count);
}

int connection_allow_parallel(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = read_request, .writev = write_reply };

	return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}
