/* "zkfs wait": waits until files are there, gone, changed or hold a text. */
#ifndef ZKFS_FUSEFS_VERB_WAIT_H
#define ZKFS_FUSEFS_VERB_WAIT_H

#include "fusefs/verb.h"

extern const struct verb verb_wait;

#endif
