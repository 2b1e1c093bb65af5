/* "zkfs set": sets a znode's data; "zkfs txn": makes several changes in one transaction. */
#ifndef ZKFS_FUSEFS_VERB_SET_H
#define ZKFS_FUSEFS_VERB_SET_H

#include "fusefs/verb.h"

extern const struct verb verb_set;
extern const struct verb verb_txn;

#endif
