#include "cache/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* One read takes at most this much, so that a flood of replies cannot keep the thread from sending. */
enum { FILL_SIZE = 256 << 10, KEEP_SIZE = 1 << 20 };

void link_init(struct link *link)
{
	*link = (struct link){ .fd = -1, .in = BUF_INIT, .out = BUF_INIT };
}

int link_open(struct link *link, const struct sockaddr *address, socklen_t size)
{
	int one = 1;
	int err;

	link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -errno;
	(void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	link->is_connecting = true;
	if (connect(link->fd, address, size) < 0 && errno != EINPROGRESS) {
		err = -errno;
		link_close(link);
		return err;
	}
	return 0;
}

void link_close(struct link *link)
{
	if (link->fd >= 0)
		(void)close(link->fd);
	buf_release(&link->in);
	buf_release(&link->out);
	link_init(link);
}

static int finish_connecting(struct link *link)
{
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		return -errno;
	if (err)
		return -err;
	if (getpeername(link->fd, (struct sockaddr *)&peer, &peer_size) == 0)
		link->is_connecting = false;
	return 0;
}

int link_flush(struct link *link)
{
	int err = link->out.failed ? -ENOMEM : 0;

	if (!err && link->is_connecting)
		err = finish_connecting(link);
	while (!err && !link->is_connecting && link->out.size > 0) {
		ssize_t sent = send(link->fd, link->out.data, link->out.size, MSG_NOSIGNAL);

		if (sent >= 0)
			buf_consume(&link->out, (size_t)sent);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			err = -errno;
	}
	return err;
}

bool link_wants_write(const struct link *link)
{
	return link->is_connecting || link->out.size > 0;
}

int link_fill(struct link *link)
{
	ssize_t got;
	char *to;

	buf_consume(&link->in, link->taken);
	link->taken = 0;
	if (link->in.size == 0 && link->in.capacity > KEEP_SIZE)
		buf_release(&link->in);
	to = buf_extend(&link->in, FILL_SIZE);
	if (!to)
		return -ENOMEM;
	got = recv(link->fd, to, FILL_SIZE, 0);
	link->in.size -= (size_t)(FILL_SIZE - (got > 0 ? got : 0));
	if (got == 0)
		return -ECONNRESET;
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

int link_next_frame(struct link *link, struct wire_in *frame)
{
	const char *data = link->in.data + link->taken;
	size_t size = link->in.size - link->taken;
	int64_t frame_size;

	if (size == 0)
		return 0;
	frame_size = wire_frame_size(data, size, LINK_FRAME_MAX);
	if (frame_size < 0)
		return (int)frame_size;
	if (frame_size == 0 || (size_t)frame_size > size)
		return 0;
	frame->next = data + sizeof(int32_t);
	frame->end = data + frame_size;
	link->taken += (size_t)frame_size;
	return 1;
}
