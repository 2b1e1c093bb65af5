/* Locks of files and directories: FUSE's requests onto cache/lock.h. A lock goes by the znode's path; that of a directory is flock(2)
 * on its ".data", for the kernel asks nobody when it is locked itself (fuse_dir_operations has no flock).
 *
 * Who holds locks is remembered, so that they are given up when the file is closed, at the path where they were taken, wherever the
 * file has been moved since; and so that who loses one, with the session, can be told: the open file is forfeit then (files.h).
 * Before a lock is had or given up, what is unsaved in the inode is saved; and when it is had, the kernel knows of every change
 * that was made under it before. */
#ifndef ZKFS_FUSEFS_FLOCK_H
#define ZKFS_FUSEFS_FLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <fuse_lowlevel.h>

#include "fusefs/mount.h"

struct file;
struct flocker;
struct flocks;

/* mount: borrowed. NULL: no memory. */
struct flocks *flocks_new(struct mount *mount);

/* When no requests come any more, and after cache_stop. NULL is fine. */
void flocks_free(struct flocks *flocks);

/* A locks_lost_cb, with the struct mount as its argument. */
struct lock_place;
void flocks_lost(const struct lock_place *place, pid_t pid, void *arg);

/* Whether somebody has fcntl(2) locks on the inode, or had: each close of it is to be told. */
bool flocks_has_records(struct flocks *flocks, fuse_ino_t number);

/* A descriptor of the inode is being closed by this owner (lock_owner): its fcntl(2) locks there go, as POSIX has it, which
 * flocks_give_up sees to once what the descriptor had unsaved is saved. NULL: there are none. */
struct flocker *flocks_close(struct flocks *flocks, fuse_ino_t number, uint64_t owner);
void flocks_give_up(struct flocks *flocks, struct flocker *flocker);

/* The open file is closed for good, and what it had unsaved is saved: what was locked through it goes. */
void flocks_released(struct flocks *flocks, const struct file *file);

#endif
