/* What is on the place to mount on already. */
#ifndef ZKFS_FUSEFS_MOUNTPOINT_H
#define ZKFS_FUSEFS_MOUNTPOINT_H

#include <stdbool.h>

/* Whether something is mounted there: anything but what systemd's automount units put there for us to mount on. */
bool mountpoint_is_taken(const char *path);

/* Unmounts what a zkfs that was killed has left there: a mount of ours, whose daemon is gone, with nothing mounted below it. 0: it
 * is gone, or there was none; -errno: there is, and the log says why it stays. Never touches a mount that lives, that
 * is another filesystem's, or another user's. Before any other thread exists. */
int mountpoint_clear(const char *path);

#endif
