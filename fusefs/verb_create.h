/* "zkfs create": makes a znode, its data included, in one transaction. */
#ifndef ZKFS_FUSEFS_VERB_CREATE_H
#define ZKFS_FUSEFS_VERB_CREATE_H

#include "fusefs/verb.h"

extern const struct verb verb_create;

#endif
