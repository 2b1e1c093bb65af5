/* "zkfs hold": an ephemeral znode for as long as a command runs. */
#ifndef ZKFS_FUSEFS_VERB_HOLD_H
#define ZKFS_FUSEFS_VERB_HOLD_H

#include "fusefs/verb.h"

extern const struct verb verb_hold;

#endif
