/* A command that a verb runs, in a process group of its own: signals are handed on to it, its exit status is ours, it stops and goes on
 * when we do, and when it may not run on, its whole group is ended. What has left the group is not found any more.
 *
 * Nothing here touches a mount, or waits for anything but the descriptors given. */
#ifndef ZKFS_FUSEFS_SUPERVISE_H
#define ZKFS_FUSEFS_SUPERVISE_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fusefs/verb.h"

enum { SUPERVISE_ENDED = -1, SUPERVISE_NEWS = 2 };

struct supervised {
	const struct verb *verb;
	char **command;
	/* Asked before the command is waited for, whenever one of news is readable (those without have the descriptor -1), when we
	 * have been stopped, and at *when (ms of supervise_now; -1: never) of the last time. False: the group is to be ended, by
	 * SIGTERM now and by SIGKILL at *when, or by that alone if it is then already. It has told the user; it is not asked again. */
	bool (*may_run)(void *arg, int64_t *when);
	struct pollfd news[SUPERVISE_NEWS];
	/* The command's process is there, and runs the command only once this has returned. May be NULL. */
	void (*begun)(void *arg, pid_t group);
	void *arg;
	int failed; /* exit status if no process can be made */

	/* The rest is supervise.c's. */
	sigset_t original; /* the signals that were blocked before */
	int signals, timer;
	bool has_terminal; /* the command is in its foreground */
	bool is_stopping;  /* we have been asked to stop, and so has it */
	pid_t pid;	   /* the command's, and its group's: nobody else's until it is reaped */
	int64_t when;
	enum { MAY_RUN, IS_ENDED, IS_KILLED } state;
};

/* ms, which go on while the machine sleeps. */
int64_t supervise_now(void);

/* From here on signals wait for the command, in all threads made later. False: the user has been told. */
bool supervise_prepare(struct supervised *supervised);

/* Runs the command until its end. Its exit status, as a shell has it; SUPERVISE_ENDED: its group was ended. */
int supervise_run(struct supervised *supervised);

/* Ends a group whose first process is gone or not ours: by SIGTERM, and what is left of it by then by SIGKILL. */
void supervise_end(pid_t group, int64_t kill_at);

#endif
