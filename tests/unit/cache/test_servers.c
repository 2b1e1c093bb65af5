#include "cache/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

static struct servers servers;
static char reason[256];

static void setup(void)
{
	memset(&servers, 0, sizeof(servers));
	memset(reason, 0, sizeof(reason));
}

static void teardown(void)
{
	servers_release(&servers);
}

/* In memory of its own size, so that a sanitizer sees a step over its ends. */
static int parse(const char *text)
{
	char *copy = unit_exact_copy(text, strlen(text) + 1);
	int err;

	servers_release(&servers);
	err = servers_parse(copy, &servers, reason, sizeof(reason));
	free(copy);
	return err;
}

static const struct {
	const char *text, *hosts, *chroot;
} good[] = {
	{ "localhost:2181", "localhost:2181", "" },
	{ "zk1:1", "zk1:1", "" },
	{ "zk1:65535", "zk1:65535", "" },
	{ "127.0.0.1:2181", "127.0.0.1:2181", "" },
	{ "a:1,b:2,c:3", "a:1,b:2,c:3", "" },
	{ "zk-1.example.com:2181,zk-2.example.com:2182", "zk-1.example.com:2181,zk-2.example.com:2182", "" },
	{ "zk1:2181/", "zk1:2181", "" },
	{ "zk1:2181/app", "zk1:2181", "/app" },
	{ "zk1:2181/app/", "zk1:2181", "/app" },
	{ "zk1:2181/a/b c/\303\251", "zk1:2181", "/a/b c/\303\251" },
	{ "zk1:2181/...", "zk1:2181", "/..." },
	{ "zk1:2181/.a/..b", "zk1:2181", "/.a/..b" },
	{ "zk1:2181/[x],y:z", "zk1:2181", "/[x],y:z" },
	{ "a:1,b:2/app", "a:1,b:2", "/app" },
	/* libzookeeper knows no brackets: getaddrinfo() would look for a host of that name */
	{ "[::1]:2181", "::1:2181", "" },
	{ "[fe80::1%eth0]:2181/app", "fe80::1%eth0:2181", "/app" },
	{ "a:1,[2001:db8::1]:2,[::ffff:10.0.0.1]:3/x", "a:1,2001:db8::1:2,::ffff:10.0.0.1:3", "/x" },
};

START_TEST(takes_servers_apart)
{
	int err = parse(good[_i].text);

	ck_assert_msg(err == 0, "'%s': %s", good[_i].text, reason);
	ck_assert_str_eq(servers.hosts, good[_i].hosts);
	ck_assert_str_eq(servers.chroot, good[_i].chroot);
	ck_assert_str_eq(reason, "");
}
END_TEST

/* said: what the reason must name. */
static const struct {
	const char *text, *said;
} bad[] = {
	{ "", "no server is named" },
	{ "/app", "empty place" },
	{ "zk://h:2181", "is a URL" },
	{ "h:1/a,h:2/b", "after the last server" },
	{ ",", "empty place" },
	{ "a:1,", "empty place" },
	{ ",a:1", "empty place" },
	{ "a:1,,b:2", "empty place" },
	{ "a:1,/app", "empty place" },
	{ "zk1", "server 'zk1' has no port" },
	{ "zk1/app", "server 'zk1' has no port" },
	{ "2181", "server '2181' has no port" },
	{ "a:1,zk2,c:3", "server 'zk2' has no port" },
	{ "[::1]", "'[::1]:2181'" },
	{ "zk1:", "'' is not a port, in server 'zk1:'" },
	{ "zk1:0", "'0' is not a port" },
	{ "zk1:65536", "'65536' is not a port" },
	{ "zk1:99999999999999999999", "'99999999999999999999' is not a port" },
	{ "zk1:-1", "'-1' is not a port" },
	{ "zk1:+1", "'+1' is not a port" },
	{ "zk1:2181x", "'2181x' is not a port" },
	{ "zk1:http", "'http' is not a port" },
	{ "zk1:02181", "'02181' is not a port" }, /* octal to libzookeeper, which then finds no port */
	{ "zk1:0x885", "'0x885' is not a port" },
	{ ":2181", "':2181' is not" },
	{ "a:1,:2181", "':2181' is not" },
	{ "zk 1:2181", "'zk 1:2181' is not" },
	{ "zk1: 2181", "'zk1: 2181' is not" },
	{ "zk1:2181 ", "'zk1:2181 ' is not" },
	{ "a:1, b:2", "' b:2' is not" },
	{ "zk1:2181\n", "is not" },
	{ "zk1:2181:2182", "brackets" },
	{ "::1:2181", "brackets" },
	{ "2001:db8::1:2181", "'[2001:db8::1]:2181'" },
	{ "[]:2181", "'[]:2181' is not" },
	{ "[::1:2181", "'[::1:2181' is not" },
	{ "[::1[:2181", "'[::1[:2181' is not" },
	{ "::1]:2181", "'::1]:2181' is not" },
	{ "[::1]x:2181", "'[::1]x:2181' is not" },
	{ "x[::1]:2181", "'x[::1]:2181' is not" },
	{ "[[::1]]:2181", "'[[::1]]:2181' is not" },
	{ "[::1]2181", "has no port" },
	{ "[::1]:", "'' is not a port" },
	{ "zk1:2181//", "'//'" },
	{ "zk1:2181//app", "'//app'" },
	{ "zk1:2181/a//b", "'/a//b'" },
	{ "zk1:2181/a//", "'/a//'" },
	{ "zk1:2181/.", "'/.'" },
	{ "zk1:2181/..", "'/..'" },
	{ "zk1:2181/a/../b", "'/a/../b'" },
	{ "zk1:2181/a/./", "'/a/./'" },
	{ "zk1:2181/a/..", "'/a/..'" },
};

static bool is_empty(void)
{
	return !servers.hosts && !servers.chroot;
}

START_TEST(says_what_is_wrong)
{
	ck_assert_int_eq(parse(bad[_i].text), -EINVAL);
	ck_assert_msg(strstr(reason, bad[_i].said) != NULL, "'%s': no \"%s\" in \"%s\"", bad[_i].text, bad[_i].said,
		reason);
	ck_assert(is_empty());
}
END_TEST

/* A host name has at most 253 characters. */
START_TEST(long_hosts)
{
	char text[1024];

	memset(text, 'a', sizeof(text));
	strcpy(text + 253, ":2181");
	ck_assert_int_eq(parse(text), 0);
	ck_assert_str_eq(servers.hosts, text);
	memset(text, 'a', sizeof(text));
	strcpy(text + 1000, ":2181");
	ck_assert_int_eq(parse(text), -EINVAL);
	ck_assert(is_empty());
	memset(text, 'a', sizeof(text));
	strcpy(text + 400, ":2181,b:1");
	ck_assert_int_eq(parse(text), -EINVAL);
	for (size_t size = 290; size < 300; size++) { /* cut off anywhere in the port */
		memset(text, 'a', sizeof(text));
		strcpy(text + size, ":21811");
		ck_assert_int_eq(parse(text), size + 6 < 299 ? 0 : -EINVAL);
	}
}
END_TEST

START_TEST(reason_fits_its_room)
{
	char small[8];

	ck_assert_int_eq(servers_parse("a-server-without-a-port", &servers, small, sizeof(small)), -EINVAL);
	ck_assert_str_eq(small, "server ");
}
END_TEST

START_TEST(no_memory)
{
	for (int number = 1; number <= 2; number++) {
		int err;

		unit_fail_allocation(number);
		err = servers_parse("zk1:2181/app", &servers, reason, sizeof(reason));
		ck_assert(unit_end_failure());
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_str_eq(reason, "no memory");
		ck_assert(is_empty());
	}
}
END_TEST

START_TEST(may_be_released_twice)
{
	ck_assert_int_eq(parse("zk1:2181/app"), 0);
	servers_release(&servers);
	ck_assert(is_empty());
	servers_release(&servers);
}
END_TEST

/* --- Diagnosis --- */

/* A port of 127.0.0.1 that nobody else has; listens if asked to, else refuses. Gives the socket. */
static int take_port(bool listens, unsigned *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	if (listens)
		ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(names_who_refuses)
{
	char hosts[64], expected[128];
	unsigned port;
	int fd = take_port(false, &port);

	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1:%u", port);
	(void)snprintf(expected, sizeof(expected), "cannot connect to '%s': Connection refused", hosts);
	ck_assert_int_eq(servers_diagnose(hosts, 1000, reason, sizeof(reason)), -ECONNREFUSED);
	ck_assert_str_eq(reason, expected);
	(void)close(fd);
}
END_TEST

START_TEST(one_who_accepts_is_enough)
{
	char hosts[64];
	unsigned port, open_port;
	int fd = take_port(false, &port);
	int open_fd = take_port(true, &open_port);

	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1:%u,127.0.0.1:%u", port, open_port);
	ck_assert_int_eq(servers_diagnose(hosts, 1000, reason, sizeof(reason)), 0);
	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1:%u", open_port);
	ck_assert_int_eq(servers_diagnose(hosts, 1000, reason, sizeof(reason)), 0);
	(void)close(fd);
	(void)close(open_fd);
}
END_TEST

START_TEST(names_the_last_who_refuses)
{
	char hosts[64];
	unsigned port, other;
	int fd = take_port(false, &port);
	int other_fd = take_port(false, &other);

	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1:%u", other);
	ck_assert_int_eq(servers_diagnose(hosts, 1000, reason, sizeof(reason)), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(reason, hosts));
	(void)snprintf(hosts, sizeof(hosts), "127.0.0.1:%u,127.0.0.1:%u", other, port);
	ck_assert_int_eq(servers_diagnose(hosts, 1000, reason, sizeof(reason)), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(reason, strchr(hosts, ',') + 1));
	(void)close(fd);
	(void)close(other_fd);
}
END_TEST

/* A name that no resolver may know (RFC 6761); with a port that may be anything. */
START_TEST(names_an_unknown_host)
{
	ck_assert_int_eq(servers_diagnose("nobody.invalid:2181", 1000, reason, sizeof(reason)), -EHOSTUNREACH);
	ck_assert_msg(strncmp(reason, "cannot find host 'nobody.invalid': ", 35) == 0, "%s", reason);
}
END_TEST

/* As servers_parse leaves IPv6 addresses. */
START_TEST(ipv6_needs_no_name)
{
	ck_assert_int_eq(parse("[::1]:1"), 0);
	ck_assert_int_lt(servers_diagnose(servers.hosts, 1000, reason, sizeof(reason)), 0);
	ck_assert_msg(strncmp(reason, "cannot connect to '::1:1': ", 27) == 0, "%s", reason);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("servers");
	TCase *tcase = tcase_create("servers");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, takes_servers_apart, 0, COUNT(good));
	tcase_add_loop_test(tcase, says_what_is_wrong, 0, COUNT(bad));
	tcase_add_test(tcase, long_hosts);
	tcase_add_test(tcase, reason_fits_its_room);
	tcase_add_test(tcase, no_memory);
	tcase_add_test(tcase, may_be_released_twice);
	tcase_add_test(tcase, names_who_refuses);
	tcase_add_test(tcase, one_who_accepts_is_enough);
	tcase_add_test(tcase, names_the_last_who_refuses);
	tcase_add_test(tcase, names_an_unknown_host);
	tcase_add_test(tcase, ipv6_needs_no_name);
	suite_add_tcase(suite, tcase);
	return suite;
}
