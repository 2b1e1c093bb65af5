/* "zkfs lock": runs a command while it has a lock, and ends it before anybody else can have that. */
#ifndef ZKFS_FUSEFS_VERB_LOCK_H
#define ZKFS_FUSEFS_VERB_LOCK_H

#include "fusefs/verb.h"

extern const struct verb verb_lock;

#endif
