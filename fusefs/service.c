/* One datagram, in a protocol that systemd keeps stable for programs that do without its library, which would bring six others into
 * the daemon. */
#include "fusefs/service.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/util/log.h"

/* Gives the size of the address; 0: it is none. */
static socklen_t make_address(const char *name, struct sockaddr_un *address)
{
	size_t size = strlen(name);

	if ((*name != '/' && *name != '@') || size < 2 || size >= sizeof(address->sun_path))
		return 0;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, size);
	if (*name == '@')
		address->sun_path[0] = '\0'; /* one that is in no directory */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

static int tell(const char *name, const char *state)
{
	struct sockaddr_un address;
	socklen_t size = make_address(name, &address);
	int err = 0;
	int fd;

	if (!size)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
		err = -errno;
	(void)close(fd);
	return err;
}

void service_tell(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int err;

	if (!name || !*name)
		return;
	err = tell(name, state);
	if (err)
		log_warning("cannot tell '%s' to the service manager at '%s': %s", state, name, strerror(-err));
}
