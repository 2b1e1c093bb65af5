/* Names of znodes as names of files and back (DESIGN.md section 2, "Names"). ".data" in every directory and ".zkfs" in the
 * mount's root are ours, so a real child of that name is shown with a "=" appended, one of the shape ".data=" likewise
 * becomes ".data==", and so on: one reversible escape. Pure. */
#ifndef ZKFS_FUSEFS_NAMES_H
#define ZKFS_FUSEFS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { NAMES_MAX = 1024 }; /* bytes of a name: FUSE_NAME_MAX of the kernel (fs/fuse/fuse_i.h) */

enum name_class {
	NAME_NODE,    /* a child znode */
	NAME_DATA,    /* ".data": the directory's own data */
	NAME_CONTROL, /* ".zkfs" in the root */
};

/* What a file name in a directory means. For NAME_NODE, *size is how many of its bytes are the znode's name (the escape only
 * ever appends, so the znode's name is a prefix). 0, -ENAMETOOLONG over NAMES_MAX, -EILSEQ for what ZooKeeper refuses
 * (PathUtils.validatePath: control characters U+0001-001F and U+007F-009F, surrogates, U+E000-F8FF, U+FFF0-FFFF; and
 * invalid UTF-8 and characters beyond the BMP), -EINVAL for an empty name, "." and "..", and one with a '/'. */
int name_parse(const char *name, bool in_root, enum name_class *class, size_t *size);

/* The file name of the znode name, for a listing. to has NAMES_MAX + 1 bytes. Gives its length, or -ENAMETOOLONG when it
 * does not fit, -EILSEQ when the znode's name cannot be a file's. */
int name_escape(const char *node, bool in_root, char *to);

#endif
