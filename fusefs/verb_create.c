/* A transaction with a step for the znode, and with -p for each parent that is missing, too. */
#include "fusefs/verb_create.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fusefs/transaction.h"

enum { TRIES = 8 }; /* while others remove its parents */

struct creation {
	const struct verb *verb;
	char *path;
	char *root;
	bool is_ephemeral, is_sequential, is_container, with_parents;
	long long ttl; /* ms; 0: none */
	struct buf data;
};

static void put(struct buf *out, const char *text)
{
	(void)buf_append(out, text, strlen(text));
}

static void put_step(struct buf *text, const char *znode, size_t size, const struct buf *data)
{
	put(text, "create ");
	transaction_put_word(text, znode, size);
	put(text, " ");
	transaction_put_word(text, data->data, data->size);
}

/* Where the component that begins behind at ends. */
static size_t component_end(const char *znode, size_t at)
{
	at = znode[at] == '/' ? at + 1 : at;
	return at + strcspn(znode + at, "/");
}

/* The missing ones. */
static void put_parents(const char *znode, size_t there, struct buf *text)
{
	const struct buf nothing = BUF_INIT;
	size_t end = component_end(znode, there == 1 ? 0 : there);

	while (znode[end]) {
		put_step(text, znode, end, &nothing);
		put(text, "\n");
		end = component_end(znode, end);
	}
}

static void put_itself(const struct creation *creation, const char *znode, struct buf *text)
{
	char ttl[32];

	put_step(text, znode, strlen(znode), &creation->data);
	if (creation->is_ephemeral)
		put(text, " ephemeral");
	if (creation->is_container)
		put(text, " container");
	if (creation->ttl) {
		(void)snprintf(ttl, sizeof(ttl), " ttl=%lld", creation->ttl);
		put(text, ttl);
	}
	if (creation->is_sequential)
		put(text, " sequential");
	put(text, "\n");
}

/* Whether it is to be tried again: the parent in that line is there by now, which *there then tells, */
static bool has_come(const char *znode, unsigned line, size_t *there)
{
	size_t end = *there == 1 ? 0 : *there;

	for (unsigned i = 0; i < line && znode[end]; i++)
		end = component_end(znode, end);
	*there = end;
	return znode[end] != '\0';
}

/* What is wrong with a path for a znode to be made. */
static const char *reason_of(const char *path, int error)
{
	char *znode = NULL;
	bool is_root = verb_znode(path, &znode) == 0 && strcmp(znode, "/") == 0;

	free(znode);
	if (is_root)
		return "it is the root of the mount";
	return error == -ENOTSUP || error == -EPERM ? "no znode can have that name" : verb_why(error);
}

/* 0 or -errno, and then *is_gone: somebody has removed what was there. */
static int try(const struct creation *creation, bool *is_gone)
{
	struct buf result = BUF_INIT;
	struct buf text = BUF_INIT;
	char *znode = NULL;
	char *made = NULL;
	char *file = NULL;
	unsigned line = 0;
	bool is_alone = creation->is_container || creation->ttl; /* cannot be in a transaction with others */
	bool is_last;
	size_t there;
	const char *why = "";
	int err = verb_new_znode(creation->path, creation->is_sequential, &znode, &there);

	*is_gone = false;
	if (err) {
		verb_error(creation->verb, "cannot create '%s': %s", creation->path, reason_of(creation->path, err));
		return err;
	}
	do {
		buf_release(&text);
		buf_release(&result);
		if (creation->with_parents)
			put_parents(znode, there, &text);
		is_last = !text.size || !is_alone;
		if (is_last)
			put_itself(creation, znode, &text);
		err = verb_submit(creation->root, &text, &result);
		if (!err && !is_last)
			there = (size_t)(strrchr(znode, '/') - znode);
		why = err ? verb_reason(&result, err, &line) : "";
	} while (err ? err == -EEXIST && creation->with_parents && line && has_come(znode, line, &there) : !is_last);
	*is_gone = err == -ENOENT && creation->with_parents && line;
	if (!err) {
		made = verb_made(&result);
		file = made ? verb_sibling(creation->path, made) : NULL;
		(void)puts(file ? file : creation->path);
	} else if (!*is_gone) {
		verb_error(creation->verb, "cannot create '%s': %s", creation->path, why);
	}
	free(file);
	free(made);
	free(znode);
	buf_release(&text);
	buf_release(&result);
	return err;
}

static int create(const struct creation *creation)
{
	bool is_gone = true;
	int err = -ENOENT;

	for (int i = 0; err && is_gone && i < TRIES; i++)
		err = try(creation, &is_gone);
	if (err && is_gone)
		verb_error(creation->verb, "cannot create '%s': its parents are being removed", creation->path);
	return err ? VERB_FAILED : verb_finish(creation->verb);
}

/* -1: go on; else the exit status. */
static int check(const struct creation *creation)
{
	const char *wrong = NULL;

	if (creation->is_container && (creation->is_ephemeral || creation->is_sequential || creation->ttl))
		wrong = "a container can be neither ephemeral nor sequential, nor have a time to live";
	else if (creation->ttl && creation->is_ephemeral)
		wrong = "what is ephemeral can have no time to live";
	if (!wrong)
		return -1;
	verb_error(creation->verb, "%s", wrong);
	return verb_misused(creation->verb);
}

static int parse(struct creation *creation, int argc, char **argv)
{
	enum { TTL_MAX = 0x7fffffff };
	static const struct option options[] = {
		{ "ephemeral", no_argument, NULL, 'e' },
		{ "sequential", no_argument, NULL, 's' },
		{ "container", no_argument, NULL, 'c' },
		{ "parents", no_argument, NULL, 'p' },
		{ "ttl", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+escph", options, NULL)) != -1) {
		if (option == 'h')
			return verb_help(creation->verb);
		if (option == '?')
			return verb_misused(creation->verb);
		if (option == 't' && (!verb_number(optarg, TTL_MAX, &creation->ttl) || !creation->ttl)) {
			verb_error(creation->verb, "invalid time to live '%s': expected milliseconds", optarg);
			return verb_misused(creation->verb);
		}
		creation->is_ephemeral |= option == 'e';
		creation->is_sequential |= option == 's';
		creation->is_container |= option == 'c';
		creation->with_parents |= option == 'p';
	}
	if (argc - optind == 1 || argc - optind == 2)
		return check(creation);
	verb_error(creation->verb, "%s", argc == optind ? "missing path" : "too many operands");
	return verb_misused(creation->verb);
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct creation creation = { .verb = verb };
	int status = parse(&creation, argc, argv);
	size_t length;

	if (status >= 0)
		return status;
	creation.path = argv[optind];
	length = strlen(creation.path);
	while (!creation.is_sequential && length > 1 && creation.path[length - 1] == '/')
		creation.path[--length] = '\0';
	status = VERB_FAILED;
	creation.root = verb_mount(verb, creation.path, NULL);
	if (creation.root && (argc - optind == 1 || verb_data(verb, argv[optind + 1], &creation.data)))
		status = create(&creation);
	free(creation.root);
	buf_release(&creation.data);
	return status;
}

const struct verb verb_create = {
	.name = "create",
	.usage = "Usage: zkfs create [OPTION]... PATH [DATA|-]\n"
		 "Make a znode, with its data, in one transaction, and print its path. PATH is the\n"
		 "file that it is going to be on a mounted zkfs.\n"
		 "\n"
		 "  -e, --ephemeral   until it is removed or the mount's session ends\n"
		 "  -s, --sequential  append ZooKeeper's ten digits to the name, which may be empty\n"
		 "  -c, --container   the servers remove it when its last child has gone\n"
		 "      --ttl=MS      the servers remove it when it has no children and was not\n"
		 "                      changed for so long\n"
		 "  -p, --parents     make the parents that are missing, in the same transaction\n"
		 "  -h, --help        display this help and exit\n"
		 "\n"
		 "DATA - is standard input. Without data it is a directory, unless it is ephemeral.\n"
		 "\n"
		 "Exit status is 0 if it was made, 1 if not, 2 for wrong usage.\n",
	.run = run,
};
