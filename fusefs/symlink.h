/* Symbolic links as CIFS (fs/smb/client/link.c, "mfsymlinks") and macOS keep them, after Minshall and French: a file of exactly
 * 1067 bytes,
 *
 *     XSym\n  LENGTH (4 digits)\n  MD5 of the target (32 lower-case hex digits)\n  target  [\n and spaces, as far as there is room]
 *
 * so that whoever knows the form sees the link, and everybody else a file. Pure. */
#ifndef ZKFS_FUSEFS_SYMLINK_H
#define ZKFS_FUSEFS_SYMLINK_H

#include <stdbool.h>
#include <stddef.h>

enum {
	SYMLINK_SIZE = 1067,	   /* of the whole file */
	SYMLINK_TARGET_MAX = 1024, /* bytes */
};

/* Writes the file that is a link to target (terminated): SYMLINK_SIZE bytes. 0; -ENAMETOOLONG; -ENOENT: it is empty. */
int symlink_encode(const char *target, char *out);

/* Whether these bytes are a link; *target is where its target begins in them (not terminated), and *target_size how long it is.
 * What follows the target is not looked at, as others do not. */
bool symlink_decode(const char *data, size_t size, const char **target, size_t *target_size);

#endif
