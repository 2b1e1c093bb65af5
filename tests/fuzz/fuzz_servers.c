/* The text that says where ZooKeeper is: any string gives hosts and a chroot that libzookeeper takes, or one clear line. */
#include <errno.h>
#include <string.h>

#include "cache/servers.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	char reason[512] = "";
	struct servers servers;
	int err = text ? servers_parse(text, &servers, reason, sizeof(reason)) : -ENOMEM;

	if (err) {
		MUST(err != -EINVAL || *reason);
		MUST(!text || (!servers.hosts && !servers.chroot));
	} else {
		MUST(*servers.hosts && strchr(servers.hosts, ':') && !strchr(servers.hosts, '/'));
		MUST(!*servers.chroot || servers.chroot[0] == '/');
		MUST(!*servers.chroot || servers.chroot[strlen(servers.chroot) - 1] != '/');
		servers_release(&servers);
	}
	free(text);
	return 0;
}
