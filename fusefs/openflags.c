#include "fusefs/openflags.h"

#include "fusefs/zkfs.h"

struct openflags openflags_of(int flags)
{
	bool is_ephemeral = flags & ZKFS_O_EPHEMERAL;

	return (struct openflags){
		.is_ephemeral = is_ephemeral,
		.is_sequential = flags & ZKFS_O_SEQUENTIAL,
		.is_held = is_ephemeral && (flags & ZKFS_O_HELD),
	};
}

bool openflags_are_special(struct openflags flags)
{
	return flags.is_ephemeral || flags.is_sequential;
}

bool openflags_want_new(int flags)
{
	return flags & ZKFS_O_EPHEMERAL;
}

int openflags_without(int flags)
{
	return flags & ~(O_TRUNC | O_EXCL | O_CREAT);
}
