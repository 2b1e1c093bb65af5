#include "cache/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int add(struct credentials *credentials, const char *scheme, const char *id)
{
	struct credential *list = realloc(credentials->list, (credentials->count + 1) * sizeof(*list));
	struct credential *last;

	if (!list)
		return -ENOMEM;
	credentials->list = list;
	last = &list[credentials->count];
	last->scheme = strdup(scheme);
	last->id = strdup(id);
	if (!last->scheme || !last->id) {
		free(last->scheme);
		free(last->id);
		return -ENOMEM;
	}
	credentials->count++;
	return 0;
}

/* 1: the line says nothing. -EINVAL: not of the form. */
static int add_line(struct credentials *credentials, char *line)
{
	char *scheme = line + strspn(line, " \t");
	char *id;

	line[strcspn(line, "\r\n")] = '\0';
	if (*scheme == '\0' || *scheme == '#')
		return 1;
	id = scheme + strcspn(scheme, " \t");
	if (*id == '\0')
		return -EINVAL;
	*id++ = '\0';
	id += strspn(id, " \t");
	if (*id == '\0' || (strcmp(scheme, "digest") == 0 && !strchr(id, ':')))
		return -EINVAL;
	return add(credentials, scheme, id);
}

static int read_lines(FILE *in, const char *file, struct credentials *credentials, char *reason, size_t reason_size)
{
	char *line = NULL;
	size_t size = 0;
	unsigned number = 0;
	int err = 0;

	while (err >= 0 && getline(&line, &size, in) >= 0) {
		number++;
		err = add_line(credentials, line);
	}
	if (err >= 0 && ferror(in))
		err = -errno;
	if (err == -EINVAL)
		(void)snprintf(reason, reason_size,
			"line %u of auth_file '%s' is not of the form 'digest USER:PASSWORD'", number, file);
	else if (err < 0)
		(void)snprintf(reason, reason_size, "cannot read auth_file '%s': %s", file, strerror(-err));
	else if (credentials->count == 0) {
		(void)snprintf(reason, reason_size, "auth_file '%s' holds no credential", file);
		err = -EINVAL;
	}
	if (line)
		explicit_bzero(line, size);
	free(line);
	return err < 0 ? err : 0;
}

/* Where cores go to a program, no limit counts; and what may not be dumped may not be looked into by other processes of the user. */
static void make_no_cores(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

int credentials_read(const char *file, struct credentials *credentials, char *reason, size_t reason_size)
{
	struct stat stat;
	FILE *in;
	int err;

	make_no_cores();
	memset(credentials, 0, sizeof(*credentials));
	in = fopen(file, "re");
	if (!in || fstat(fileno(in), &stat) < 0) {
		err = -errno;
		(void)snprintf(reason, reason_size, "cannot read auth_file '%s': %s", file, strerror(-err));
	} else if (!S_ISREG(stat.st_mode) && !S_ISFIFO(stat.st_mode)) { /* a shell's <(…) is a pipe */
		err = S_ISDIR(stat.st_mode) ? -EISDIR : -EINVAL;
		(void)snprintf(reason, reason_size, "auth_file '%s' is not a regular file", file);
	} else if (stat.st_mode & (S_IRWXG | S_IRWXO)) {
		err = -EPERM;
		(void)snprintf(reason, reason_size,
			"others may read auth_file '%s': make it private with 'chmod 600 %s'", file, file);
	} else {
		err = read_lines(in, file, credentials, reason, reason_size);
	}
	if (in)
		(void)fclose(in);
	if (err)
		credentials_release(credentials);
	return err;
}

void credentials_release(struct credentials *credentials)
{
	for (size_t i = 0; i < credentials->count; i++) {
		explicit_bzero(credentials->list[i].id, strlen(credentials->list[i].id));
		free(credentials->list[i].scheme);
		free(credentials->list[i].id);
	}
	free(credentials->list);
	memset(credentials, 0, sizeof(*credentials));
}
