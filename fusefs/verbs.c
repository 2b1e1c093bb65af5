#include "fusefs/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fusefs/verb.h"
#include "fusefs/verb_create.h"
#include "fusefs/verb_hold.h"
#include "fusefs/verb_lock.h"
#include "fusefs/verb_set.h"
#include "fusefs/verb_stat.h"
#include "fusefs/verb_wait.h"

static const struct verb *const verbs[] = {
	&verb_create,
	&verb_hold,
	&verb_lock,
	&verb_set,
	&verb_stat,
	&verb_status,
	&verb_txn,
	&verb_wait,
};

static const struct verb *find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	}
	return NULL;
}

static bool is_directory(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0 && S_ISDIR(stat.st_mode);
}

bool verbs_has(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	bool is_helper = argc > 0 && strcmp(slash ? slash + 1 : argv[0], "mount.zkfs") == 0;

	return argc > 1 && !is_helper && find(argv[1]) && !(argc == 2 && is_directory(argv[1]));
}

int verbs_run(int argc, char **argv)
{
	const struct verb *verb = find(argv[1]);
	char *name;
	int status;

	if (asprintf(&name, "zkfs %s", verb->name) < 0) {
		verb_error(verb, "%s", strerror(errno));
		return VERB_FAILED;
	}
	argv[1] = name;
	status = verb->run(verb, argc - 1, argv + 1);
	free(name);
	return status;
}
