/* Who we say we are to the servers: the contents of -o auth_file=. Read once at start, then only read. */
#ifndef ZKFS_CACHE_CREDENTIALS_H
#define ZKFS_CACHE_CREDENTIALS_H

#include <stddef.h>

struct credential {
	char *scheme; /* "digest", … */
	char *id;     /* what the scheme takes: "user:password" for digest */
};

struct credentials {
	size_t count;
	struct credential *list;
};

/* Reads a file of lines "SCHEME CREDENTIAL" (the words of zkCli's addauth; blank lines and lines beginning with '#' are left
 * out). 0, or -errno with one line for the user in reason: the file cannot be read, others than its owner can (-EPERM),
 * or a line is not of the form (-EINVAL). On failure credentials is empty. From then on the process leaves no core when it crashes. */
int credentials_read(const char *file, struct credentials *credentials, char *reason, size_t reason_size);

/* Wipes and frees. */
void credentials_release(struct credentials *credentials);

#endif
