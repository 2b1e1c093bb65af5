/* The text that says where ZooKeeper is, "HOST:PORT[,HOST:PORT…][/CHROOT]", and what can be said of why nobody answers there. */
#ifndef ZKFS_CACHE_SERVERS_H
#define ZKFS_CACHE_SERVERS_H

#include <stddef.h>

struct servers {
	char *hosts;  /* "HOST:PORT,…" as libzookeeper takes it: an IPv6 address without its brackets */
	char *chroot; /* "" or "/app": no slash at its end */
};

/* Takes the text apart; IPv6 addresses are in brackets there, and a port is mandatory as libzookeeper has it. 0, or -EINVAL or
 * -ENOMEM with one line for the user in reason. On failure servers is empty. Pure. */
int servers_parse(const char *text, struct servers *servers, char *reason, size_t reason_size);

void servers_release(struct servers *servers);

/* Tries each of hosts once and says in reason why none can be reached: "cannot connect to 'zk1:2181': connection refused".
 * Gives 0 when at least one accepts connections or has not answered within ms. -errno of the last otherwise. Blocks. */
int servers_diagnose(const char *hosts, int ms, char *reason, size_t reason_size);

#endif
