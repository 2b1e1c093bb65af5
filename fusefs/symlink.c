#include "fusefs/symlink.h"

#include <errno.h>
#include <md5.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cache/cache.h"

static const char MAGIC[] = "XSym\n";

enum {
	MAGIC_SIZE = sizeof(MAGIC) - 1,
	LENGTH_DIGITS = 4,
	LENGTH_AT = MAGIC_SIZE,
	HASH_DIGITS = MD5_DIGEST_STRING_LENGTH - 1,
	HASH_AT = LENGTH_AT + LENGTH_DIGITS + 1,
	TARGET_AT = HASH_AT + HASH_DIGITS + 1,
};

_Static_assert(TARGET_AT + SYMLINK_TARGET_MAX == SYMLINK_SIZE, "the longest target fills the file");
_Static_assert((int)CACHE_CHILD_DATA == (int)SYMLINK_SIZE, "a listing keeps what a link may be");

int symlink_encode(const char *target, char *out)
{
	size_t size = strlen(target);
	char hash[MD5_DIGEST_STRING_LENGTH];
	char head[TARGET_AT + 1];

	if (size == 0)
		return -ENOENT;
	if (size > SYMLINK_TARGET_MAX)
		return -ENAMETOOLONG;
	(void)MD5Data((const uint8_t *)target, size, hash);
	(void)snprintf(head, sizeof(head), "%s%04u\n%s\n", MAGIC, (unsigned)size, hash);
	memset(out, ' ', SYMLINK_SIZE);
	memcpy(out, head, TARGET_AT);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a file, no string */
	memcpy(out + TARGET_AT, target, size);
	if (size < SYMLINK_TARGET_MAX)
		out[TARGET_AT + size] = '\n';
	return 0;
}

/* 0: it is no number, or 0. */
static size_t read_length(const char *digits)
{
	size_t length = 0;

	for (int i = 0; i < LENGTH_DIGITS; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
		length = length * 10 + (size_t)(digits[i] - '0');
	}
	return length;
}

bool symlink_decode(const char *data, size_t size, const char **target, size_t *target_size)
{
	char hash[MD5_DIGEST_STRING_LENGTH];
	size_t length;

	if (size != SYMLINK_SIZE || memcmp(data, MAGIC, MAGIC_SIZE) != 0)
		return false;
	length = read_length(data + LENGTH_AT);
	if (length == 0 || length > SYMLINK_TARGET_MAX || data[HASH_AT - 1] != '\n' || data[TARGET_AT - 1] != '\n' ||
		memchr(data + TARGET_AT, '\0', length))
		return false;
	(void)MD5Data((const uint8_t *)data + TARGET_AT, length, hash);
	if (memcmp(data + HASH_AT, hash, HASH_DIGITS) != 0)
		return false;
	*target = data + TARGET_AT;
	*target_size = length;
	return true;
}
