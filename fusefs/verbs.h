/* The verbs of the program, "zkfs VERB …": what file tools cannot say. They work through a mount alone. */
#ifndef ZKFS_FUSEFS_VERBS_H
#define ZKFS_FUSEFS_VERBS_H

#include <stdbool.h>

/* Whether the command line is a verb's rather than a mount's: its first word is exactly a verb's name. No server is called so (they
 * have a port). A mountpoint can be, but it comes last: a verb's name that is the whole command line and a directory's is that
 * directory, as no verb has nothing to work on. mount.zkfs has no verbs. */
bool verbs_has(int argc, char **argv);

/* Runs it, and gives the exit status. */
int verbs_run(int argc, char **argv);

#endif
