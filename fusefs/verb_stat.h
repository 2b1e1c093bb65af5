/* "zkfs stat": what ZooKeeper tells of a znode; "zkfs status": how a mount's session is. */
#ifndef ZKFS_FUSEFS_VERB_STAT_H
#define ZKFS_FUSEFS_VERB_STAT_H

#include "fusefs/verb.h"

extern const struct verb verb_stat;
extern const struct verb verb_status;

#endif
