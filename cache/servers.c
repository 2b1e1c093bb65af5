#include "cache/servers.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for a host name (253), a port and brackets. */
enum { SERVER_MAX = 300 };

static bool is_port(const char *text)
{
	char *end;
	unsigned long port;

	/* libzookeeper would take one that begins with a 0 as octal */
	if (*text < '1' || *text > '9')
		return false;
	port = strtoul(text, &end, 10);
	return *end == '\0' && port <= 65535;
}

/* Copies the server that begins at text to server and gives where it ends. */
static const char *next_server(const char *text, char *server)
{
	size_t size = strcspn(text, ",");
	size_t copied = size < SERVER_MAX ? size : SERVER_MAX - 1;

	memcpy(server, text, copied);
	server[copied] = '\0';
	return text + size;
}

/* Whether the host before colon is an address in brackets. */
static bool is_bracketed(const char *server, const char *colon)
{
	size_t inside = strcspn(server + 1, "[]");

	return *server == '[' && inside > 0 && server + 1 + inside == colon - 1 && *(colon - 1) == ']';
}

static bool is_host(const char *server, const char *colon)
{
	if (colon == server || strpbrk(server, " \t\n") || strlen(server) == SERVER_MAX - 1)
		return false;
	return is_bracketed(server, colon) || !strpbrk(server, "[]");
}

static int check_server(const char *server, char *reason, size_t reason_size)
{
	const char *colon = strrchr(server, ':');

	if (*server == '\0')
		(void)snprintf(reason, reason_size, "the list of servers has an empty place");
	else if (!colon || strchr(colon, ']'))
		(void)snprintf(reason, reason_size, "server '%s' has no port (ZooKeeper's usual one is '%s:2181')",
			server, server);
	else if (!is_host(server, colon))
		(void)snprintf(reason, reason_size, "'%s' is not a server's name and port", server);
	else if (!is_port(colon + 1))
		(void)snprintf(reason, reason_size, "'%s' is not a port, in server '%s'", colon + 1, server);
	else if (strchr(server, ':') != colon && *server != '[')
		(void)snprintf(reason, reason_size, "an IPv6 address needs brackets, '[%.*s]%s'", (int)(colon - server),
			server, colon);
	else
		return 0;
	return -EINVAL;
}

static int check_servers(const char *hosts, char *reason, size_t reason_size)
{
	for (const char *at = hosts;; at++) {
		char server[SERVER_MAX];
		int err;

		at = next_server(at, server);
		err = check_server(server, reason, reason_size);
		if (err || *at == '\0')
			return err;
	}
}

/* libzookeeper takes what is before the last colon as it is, and getaddrinfo() knows no brackets. */
static void strip_brackets(char *hosts)
{
	char *to = hosts;

	for (const char *from = hosts; *from; from++) {
		if (*from != '[' && *from != ']')
			*to++ = *from;
	}
	*to = '\0';
}

static int check_chroot(const char *chroot, char *reason, size_t reason_size)
{
	const char *part = chroot;

	while (*part == '/' && part[1] != '\0') {
		size_t size = strcspn(++part, "/");

		if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.')) {
			(void)snprintf(reason, reason_size, "'%s' is not a path of a znode", chroot);
			return -EINVAL;
		}
		part += size;
	}
	return 0;
}

static void strip_last_slash(char *chroot)
{
	size_t size = strlen(chroot);

	if (size > 0 && chroot[size - 1] == '/')
		chroot[size - 1] = '\0';
}

/* What is wrong at first sight, before the parts are looked at. */
static int check_form(const char *text, const char *chroot, char *reason, size_t reason_size)
{
	const char *comma = strchr(chroot, ',');

	if (*text == '\0')
		(void)snprintf(reason, reason_size, "no server is named: ''");
	else if (strstr(text, "://"))
		(void)snprintf(reason, reason_size, "'%s' is a URL: give HOST:PORT[,HOST:PORT...][/CHROOT]", text);
	else if (comma && strchr(comma, ':') && strchr(comma, '/'))
		(void)snprintf(reason, reason_size,
			"a chroot goes once, after the last server, and holds for all of them: '%s'", text);
	else
		return 0;
	return -EINVAL;
}

int servers_parse(const char *text, struct servers *servers, char *reason, size_t reason_size)
{
	size_t size = strcspn(text, "/");
	int err = check_form(text, text + size, reason, reason_size);

	memset(servers, 0, sizeof(*servers));
	if (err)
		return err;
	servers->hosts = strndup(text, size);
	servers->chroot = strdup(text + size);
	if (!servers->hosts || !servers->chroot) {
		err = -ENOMEM;
		(void)snprintf(reason, reason_size, "no memory");
	}
	if (!err)
		err = check_servers(servers->hosts, reason, reason_size);
	if (!err)
		err = check_chroot(servers->chroot, reason, reason_size);
	if (err) {
		servers_release(servers);
		return err;
	}
	strip_brackets(servers->hosts);
	strip_last_slash(servers->chroot);
	return 0;
}

void servers_release(struct servers *servers)
{
	free(servers->hosts);
	free(servers->chroot);
	memset(servers, 0, sizeof(*servers));
}

/* --- Diagnosis --- */

static int try_address(const struct addrinfo *address, int ms)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		err = errno;
		if (err == EINPROGRESS && poll(&poll_fd, 1, ms) > 0)
			(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
	}
	(void)close(fd);
	return err == EINPROGRESS ? 0 : -err;
}

static int try_server(char *server, int ms, char *reason, size_t reason_size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *addresses = NULL;
	char whole[SERVER_MAX];
	char *colon = strrchr(server, ':');
	int err;

	(void)snprintf(whole, sizeof(whole), "%s", server);
	*colon = '\0';
	err = getaddrinfo(server, colon + 1, &hints, &addresses);
	if (err) {
		(void)snprintf(reason, reason_size, "cannot find host '%s': %s", server, gai_strerror(err));
		return -EHOSTUNREACH;
	}
	err = -EHOSTUNREACH;
	for (const struct addrinfo *address = addresses; address && err; address = address->ai_next)
		err = try_address(address, ms);
	freeaddrinfo(addresses);
	if (err)
		(void)snprintf(reason, reason_size, "cannot connect to '%s': %s", whole, strerror(-err));
	return err;
}

int servers_diagnose(const char *hosts, int ms, char *reason, size_t reason_size)
{
	int err = 0;

	for (const char *at = hosts;; at++) {
		char server[SERVER_MAX];

		at = next_server(at, server);
		err = try_server(server, ms, reason, reason_size);
		if (!err || *at == '\0')
			return err;
	}
}
