/* Both print lines of a key and its value, or one flat object of JSON with the same keys. Ids of 64 bits are strings in it, in
 * hexadecimal as everywhere: many readers of JSON keep numbers as doubles. */
#include "fusefs/verb_stat.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

/* --- Output --- */

struct output {
	bool is_json;
	bool has_begun;
};

static void put_quoted(const char *text, size_t size)
{
	(void)putchar('"');
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			(void)printf("\\%c", c);
		else if (c < ' ')
			(void)printf("\\u%04x", c);
		else
			(void)putchar(c);
	}
	(void)putchar('"');
}

static bool is_number(const char *text, size_t size)
{
	size_t digits = *text == '-' ? size - 1 : size;

	return digits > 0 && strspn(text + (size - digits), "0123456789") >= digits;
}

/* The value has a terminator or something else that is no digit behind it. */
static void put_value(struct output *output, const char *key, const char *value, size_t size, bool is_text)
{
	if (!output->is_json) {
		(void)printf("%s %.*s\n", key, (int)size, value);
		return;
	}
	(void)printf("%s\"%s\": ", output->has_begun ? ", " : "{ ", key);
	output->has_begun = true;
	if (!is_text && is_number(value, size))
		(void)printf("%.*s", (int)size, value);
	else
		put_quoted(value, size);
}

static void put_end(const struct output *output)
{
	if (output->is_json)
		(void)puts(" }");
}

/* --json, --help and one operand. -1: go on; else the exit status. */
static int parse(const struct verb *verb, int argc, char **argv, const char *operand, struct output *output)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option != 'j')
			return option == 'h' ? verb_help(verb) : verb_misused(verb);
		output->is_json = true;
	}
	if (argc - optind == 1)
		return -1;
	if (argc == optind)
		verb_error(verb, "missing %s", operand);
	else
		verb_error(verb, "too many operands");
	return verb_misused(verb);
}

/* --- stat --- */

enum { VALUE_MAX = 32 }; /* bytes of a number */

/* The first ones tell whether all are of one time. */
static const char *const fields[] = { "czxid", "mzxid", "pzxid", "aversion", "ctime", "mtime", "version", "cversion",
	"ephemeralOwner", "dataLength", "numChildren" };

enum { FIELDS = sizeof(fields) / sizeof(fields[0]), MARKS = 4, TRIES = 100 };

struct values {
	char of[FIELDS][VALUE_MAX];
};

static int read_fields(const char *path, int count, struct values *values)
{
	char name[64];

	for (int i = 0; i < count; i++) {
		ssize_t size;

		(void)snprintf(name, sizeof(name), "user.zk.%s", fields[i]);
		size = getxattr(path, name, values->of[i], VALUE_MAX - 1);
		if (size < 0)
			return -errno;
		values->of[i][size] = '\0';
	}
	return 0;
}

static bool is_same(const struct values *a, const struct values *b)
{
	for (int i = 0; i < MARKS; i++) {
		if (strcmp(a->of[i], b->of[i]) != 0)
			return false;
	}
	return true;
}

/* Each attribute is a request of its own: what changes meanwhile is read again. */
static int read_stat(const char *path, struct values *values)
{
	struct values after = { 0 };
	int err;

	for (int i = 0; i < TRIES; i++) {
		err = read_fields(path, FIELDS, values);
		if (!err)
			err = read_fields(path, MARKS, &after);
		if (err || is_same(values, &after))
			return err;
	}
	return -EAGAIN;
}

static int run_stat(const struct verb *verb, int argc, char **argv)
{
	struct output output = { 0 };
	int status = parse(verb, argc, argv, "path", &output);
	struct values values;
	char *znode = NULL;
	const char *path;
	char *root;
	int err;

	if (status >= 0)
		return status;
	path = argv[optind];
	root = verb_mount(verb, path, NULL);
	if (!root)
		return VERB_FAILED;
	free(root);
	err = verb_znode(path, &znode);
	if (!err)
		err = read_stat(path, &values);
	if (err) {
		verb_error(verb, "cannot stat '%s': %s", path,
			err == -EAGAIN ? "it changes all the time" : verb_why(err));
		free(znode);
		return VERB_FAILED;
	}
	put_value(&output, "path", znode, strlen(znode), true);
	for (int i = 0; i < FIELDS; i++)
		put_value(&output, fields[i], values.of[i], strlen(values.of[i]), false);
	put_end(&output);
	free(znode);
	return verb_finish(verb);
}

const struct verb verb_stat = {
	.name = "stat",
	.usage = "Usage: zkfs stat [OPTION]... PATH\n"
		 "Show what ZooKeeper tells of the znode that is the file or directory PATH on a\n"
		 "mounted zkfs: its path, below the mount's root, and its Stat.\n"
		 "\n"
		 "      --json  one object; ids of 64 bits are strings in it (\"0x1f\")\n"
		 "  -h, --help  display this help and exit\n"
		 "\n"
		 "Exit status is 0 if all is well, 1 if not, 2 for wrong usage.\n",
	.run = run_stat,
};

/* --- status --- */

static void put_session(struct output *output, const struct buf *session)
{
	const char *line = session->data;
	const char *end = line + session->size;

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *blank = newline ? memchr(line, ' ', (size_t)(newline - line)) : NULL;
		char key[32];

		if (!blank)
			return;
		(void)snprintf(key, sizeof(key), "%.*s", (int)(blank - line), line);
		put_value(output, key, blank + 1, (size_t)(newline - blank) - 1, false);
		line = newline + 1;
	}
}

static int run_status(const struct verb *verb, int argc, char **argv)
{
	static const char connected[] = "connected";
	struct buf session = BUF_INIT;
	struct output output = { 0 };
	int status = parse(verb, argc, argv, "mount", &output);
	const char *state = NULL;
	size_t size = 0;
	char *root;
	int err;

	if (status >= 0)
		return status;
	root = verb_mount(verb, argv[optind], NULL);
	if (!root)
		return VERB_FAILED;
	err = verb_read_control(root, "session", &session);
	if (!err)
		state = session.size ? verb_value(&session, "state", &size) : NULL;
	if (err || !state)
		verb_error(verb, "cannot tell the status of '%s': %s", root,
			err ? verb_why(err) : "it does not tell it");
	status = VERB_FAILED;
	if (state) {
		put_value(&output, "mount", root, strlen(root), true);
		put_session(&output, &session);
		put_end(&output);
		status = verb_finish(verb);
		if (status == EXIT_SUCCESS && (size != strlen(connected) || memcmp(state, connected, size) != 0))
			status = VERB_DIFFERS;
	}
	buf_release(&session);
	free(root);
	return status;
}

const struct verb verb_status = {
	.name = "status",
	.usage = "Usage: zkfs status [OPTION]... MOUNT\n"
		 "Show how the session of a mounted zkfs is, which MOUNT is or lies on, as its file\n"
		 ".zkfs/session does.\n"
		 "\n"
		 "      --json  one object\n"
		 "  -h, --help  display this help and exit\n"
		 "\n"
		 "Exit status is 0 if it is connected, 3 if it is suspended or lost, 1 if that cannot\n"
		 "be told, 2 for wrong usage.\n",
	.run = run_status,
};
