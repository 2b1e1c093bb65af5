/* What the flags of an open mean for the znode (zkfs.h says what programs may ask for). Pure. */
#ifndef ZKFS_FUSEFS_OPENFLAGS_H
#define ZKFS_FUSEFS_OPENFLAGS_H

#include <stdbool.h>

struct openflags {
	bool is_ephemeral;
	bool is_sequential;
	bool is_held; /* is_ephemeral, too */
};

/* Of a FUSE_CREATE with these flags of open(2). */
struct openflags openflags_of(int flags);

/* Whether something is to be made at once, and by this open alone. */
bool openflags_are_special(struct openflags flags);

/* Whether a FUSE_OPEN with these flags comes from somebody who wanted to make what is there already. */
bool openflags_want_new(int flags);

/* The flags as far as the open file is to know them, whose contents are nobody else's yet. */
int openflags_without(int flags);

#endif
