/* The form of symbolic links. The bytes are tried as the file, and as the target of one: the sum in a file's third line is nothing a
 * fuzzer guesses. */
#include <errno.h>
#include <string.h>

#include "fusefs/symlink.h"
#include "tests/fuzz/fuzz.h"

static void check_file(const char *data, size_t size)
{
	const char *target = NULL;
	size_t target_size = 0;

	if (!symlink_decode(data, size, &target, &target_size))
		return;
	MUST(size == SYMLINK_SIZE && target_size > 0 && target_size <= SYMLINK_TARGET_MAX);
	MUST(target > data && target + target_size <= data + size);
}

static void check_target(const char *data, size_t size)
{
	char *text = strndup(data, size);
	char file[SYMLINK_SIZE];
	const char *target = NULL;
	size_t target_size = 0;
	int err;

	MUST(text);
	err = symlink_encode(text, file);
	MUST(!err || err == -ENAMETOOLONG || err == -ENOENT);
	MUST(!err == (*text && strlen(text) <= SYMLINK_TARGET_MAX));
	if (!err) {
		MUST(symlink_decode(file, sizeof(file), &target, &target_size));
		MUST(target_size == strlen(text) && memcmp(target, text, target_size) == 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_file((const char *)data, size);
	check_target((const char *)data, size);
	return 0;
}
