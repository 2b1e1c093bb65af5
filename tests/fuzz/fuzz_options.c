/* The command line: a word in each line, the program's name first. Any words give a mount, an answer, or a refusal with the exit
 * status that belongs to it. (What they name is looked at: files and mount points of this machine, nothing is changed.) */
#include <fuse_lowlevel.h>
#include <string.h>

#include "fusefs/options.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS_MAX = 16 };

static void split(char *text, struct fuse_args *args)
{
	char *word;

	while (args->argc < WORDS_MAX && (word = strsep(&text, "\n")))
		MUST(fuse_opt_add_arg(args, word) == 0);
}

static void check(const struct options *options, enum options_outcome outcome, int status)
{
	if (outcome == OPTIONS_WRONG) {
		MUST(status == 1 || status == 2 || status == 32);
	} else {
		MUST(status == 0);
	}
	if (outcome != OPTIONS_MOUNT) {
		MUST(!options->mountpoint && !options->servers.hosts && !options->credentials.list);
		return;
	}
	MUST(options->mountpoint[0] == '/' && *options->servers.hosts);
	MUST(options->session_timeout >= 100 && options->timeout >= 100 && options->ttl >= 0);
	MUST(options->max_data >= 1 && options->max_data < 0xfffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct options options;
	enum options_outcome outcome;
	int status = -1;

	MUST(text);
	split(text, &args);
	outcome = options_parse(&options, &args, &status);
	check(&options, outcome, status);
	options_release(&options);
	fuse_opt_free_args(&args);
	free(text);
	return 0;
}
