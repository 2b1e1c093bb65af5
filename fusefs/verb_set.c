#include "fusefs/verb_set.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fusefs/transaction.h"

/* --- set --- */

static void put(struct buf *out, const char *text)
{
	(void)buf_append(out, text, strlen(text));
}

static int set(const struct verb *verb, const char *path, const struct buf *data, long long version)
{
	struct buf result = BUF_INIT;
	struct buf text = BUF_INIT;
	char *root = verb_mount(verb, path, NULL);
	char *znode = NULL;
	char number[32];
	unsigned line;
	int err;

	if (!root)
		return VERB_FAILED;
	err = verb_znode(path, &znode);
	if (err) {
		verb_error(verb, "cannot set '%s': %s", path, verb_why(err));
	} else {
		put(&text, "set ");
		transaction_put_word(&text, znode, strlen(znode));
		put(&text, " ");
		transaction_put_word(&text, data->data, data->size);
		(void)snprintf(number, sizeof(number), " %lld\n", version);
		put(&text, number);
		err = verb_submit(root, &text, &result);
		if (err)
			verb_error(verb, "cannot set '%s': %s", path, verb_reason(&result, err, &line));
	}
	buf_release(&text);
	buf_release(&result);
	free(znode);
	free(root);
	return !err ? EXIT_SUCCESS : err == -EAGAIN && version >= 0 ? VERB_DIFFERS : VERB_FAILED;
}

static int run_set(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "version", required_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct buf data = BUF_INIT;
	long long version = -1;
	int status = VERB_FAILED;
	int option;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (option == 'h')
			return verb_help(verb);
		if (option == '?')
			return verb_misused(verb);
		if (!verb_number(optarg, INT32_MAX, &version)) {
			verb_error(verb, "invalid version '%s'", optarg);
			return verb_misused(verb);
		}
	}
	if (argc - optind != 2) {
		verb_error(verb, "%s",
			argc == optind ? "missing path"
				: argc - optind == 1
				? "missing data"
				: "too many operands");
		return verb_misused(verb);
	}
	if (verb_data(verb, argv[optind + 1], &data))
		status = set(verb, argv[optind], &data, version);
	buf_release(&data);
	return status;
}

const struct verb verb_set = {
	.name = "set",
	.usage = "Usage: zkfs set [OPTION]... PATH DATA|-\n"
		 "Set the data of the znode that is the file or directory PATH on a mounted zkfs.\n"
		 "\n"
		 "      --version=N  only if it has this version (zkfs stat tells it)\n"
		 "  -h, --help       display this help and exit\n"
		 "\n"
		 "DATA - is standard input.\n"
		 "\n"
		 "Exit status is 0 if it was set, 1 if not, 2 for wrong usage, 3 if it has another\n"
		 "version.\n",
	.run = run_set,
};

/* --- txn --- */

static int run_txn(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct buf result = BUF_INIT;
	struct buf text = BUF_INIT;
	unsigned line;
	int option;
	int err = -EIO;
	char *root;

	while ((option = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		return option == 'h' ? verb_help(verb) : verb_misused(verb);
	if (argc - optind != 1) {
		verb_error(verb, "%s", argc == optind ? "missing mount" : "too many operands");
		return verb_misused(verb);
	}
	root = verb_mount(verb, argv[optind], NULL);
	if (root && verb_data(verb, "-", &text)) {
		err = verb_submit(root, &text, &result);
		if (result.size)
			(void)fwrite(result.data, 1, result.size, stdout);
		if (err && !result.size)
			verb_error(verb, "cannot make a transaction on '%s': %s", root,
				verb_reason(&result, err, &line));
	}
	free(root);
	buf_release(&text);
	buf_release(&result);
	if (verb_finish(verb) != EXIT_SUCCESS)
		return VERB_FAILED;
	return err ? VERB_FAILED : EXIT_SUCCESS;
}

const struct verb verb_txn = {
	.name = "txn",
	.usage = "Usage: zkfs txn MOUNT < FILE\n"
		 "Make all changes that standard input asks for in one transaction, or none, on the\n"
		 "mounted zkfs that MOUNT is or lies on, and print the results: 'ok PATH' for each,\n"
		 "or 'error LINE ERRNO STEP: WHY'.\n"
		 "\n"
		 "  check PATH [VERSION]\n"
		 "  create PATH DATA [ephemeral] [sequential]\n"
		 "  create PATH DATA container\n"
		 "  create PATH DATA ttl=MS [sequential]\n"
		 "  set PATH DATA [VERSION]\n"
		 "  delete PATH [VERSION]\n"
		 "\n"
		 "PATH is the znode's, below the mount's root. A word with blanks is written in\n"
		 "double quotes, with \\\" \\\\ \\n \\r \\t \\xHH.\n"
		 "\n"
		 "  -h, --help  display this help and exit\n"
		 "\n"
		 "Exit status is 0 if all was done, 1 if nothing was (or, with EIO, that cannot be\n"
		 "known), 2 for wrong usage.\n",
	.run = run_txn,
};
