#include "fusefs/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SIGNAL_STATUS = 128, /* added to the number of the signal that ended the command */
	LOOK_AGAIN_MS = 20,  /* whether a group is gone, of which no news comes */
	DIE_MS = 2000,	     /* after SIGKILL: a process in a call that hangs does not end before that does */
};

/* Handed on. */
static const int handed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP };

int64_t supervise_now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_BOOTTIME, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* --- The command's process --- */

/* It ends when this process does, for then nobody looks after it. */
_Noreturn static void run_command(const struct supervised *supervised, const int go[2])
{
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)setpgid(0, 0);
	if (supervised->has_terminal)
		(void)tcsetpgrp(STDIN_FILENO, getpid()); /* SIGTTOU is blocked still */
	(void)close(go[1]);
	if (read(go[0], &byte, 1) != 1) /* this process has ended already */
		_exit(supervised->failed);
	(void)pthread_sigmask(SIG_SETMASK, &supervised->original, NULL);
	(void)execvp(supervised->command[0], supervised->command);
	verb_error(supervised->verb, "cannot run '%s': %s", supervised->command[0], strerror(errno));
	_exit(errno == ENOENT ? VERB_NOT_FOUND : VERB_CANNOT_RUN);
}

/* False: the user has been told. */
static bool begin(struct supervised *supervised)
{
	int go[2] = { -1, -1 };
	bool is_begun = pipe2(go, O_CLOEXEC) == 0;

	supervised->pid = is_begun ? fork() : -1;
	if (supervised->pid == 0)
		run_command(supervised, go);
	is_begun = supervised->pid > 0;
	if (is_begun) {
		(void)setpgid(supervised->pid, supervised->pid); /* whoever is first */
		if (supervised->begun)
			supervised->begun(supervised->arg, supervised->pid);
		(void)!write(go[1], "", 1);
	} else {
		verb_error(supervised->verb, "cannot start a process: %s", strerror(errno));
	}
	for (int i = 0; i < 2; i++) {
		if (go[i] >= 0)
			(void)close(go[i]);
	}
	return is_begun;
}

/* --- Its group --- */

static void give_terminal(const struct supervised *supervised, pid_t group)
{
	if (supervised->has_terminal)
		(void)tcsetpgrp(STDIN_FILENO, group);
}

/* One that is stopped takes it, too. */
static void signal_group(pid_t group, int signal)
{
	(void)kill(-group, signal);
	(void)kill(-group, SIGCONT);
}

/* Asks whether it may run on, and does what follows from it. */
static void consult(struct supervised *supervised)
{
	if (supervised->state == MAY_RUN && !supervised->may_run(supervised->arg, &supervised->when)) {
		supervised->state = IS_ENDED;
		if (supervised->when > supervise_now())
			signal_group(supervised->pid, SIGTERM);
	}
	if (supervised->state == IS_ENDED && supervised->when <= supervise_now()) {
		supervised->state = IS_KILLED;
		supervised->when = supervise_now() + DIE_MS;
		(void)kill(-supervised->pid, SIGKILL);
	}
}

/* The command was stopped, from the terminal or because we were to be: so are we, and it goes on when we do. */
static void stop_with(struct supervised *supervised)
{
	give_terminal(supervised, getpgrp());
	supervised->is_stopping = false;
	(void)kill(-supervised->pid, SIGSTOP); /* nobody would look after the rest of it */
	(void)raise(SIGSTOP);
	consult(supervised);
	give_terminal(supervised, supervised->pid);
	(void)kill(-supervised->pid, SIGCONT);
}

/* The exit status, or -1: it runs on. */
static int reap(struct supervised *supervised)
{
	int status;

	while (waitpid(supervised->pid, &status, WNOHANG | WUNTRACED) == supervised->pid) {
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return SIGNAL_STATUS + WTERMSIG(status);
		if (supervised->has_terminal || supervised->is_stopping)
			stop_with(supervised);
	}
	return -1;
}

/* Hands on what has come. */
static void hand_on(struct supervised *supervised)
{
	struct signalfd_siginfo info;

	while (read(supervised->signals, &info, sizeof(info)) == sizeof(info)) {
		int signal = (int)info.ssi_signo;

		if (signal == SIGCHLD || signal == SIGTTOU)
			continue;
		supervised->is_stopping |= signal == SIGTSTP;
		if (signal == SIGTERM || signal == SIGHUP)
			signal_group(supervised->pid, signal);
		else
			(void)kill(-supervised->pid, signal);
	}
}

/* --- Looking after it --- */

bool supervise_prepare(struct supervised *supervised)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handed_on) / sizeof(handed_on[0]); i++)
		(void)sigaddset(&set, handed_on[i]);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTTOU); /* of our own tcsetpgrp, from the background */
	(void)pthread_sigmask(SIG_BLOCK, &set, &supervised->original);
	supervised->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	supervised->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	supervised->has_terminal = isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
	supervised->state = MAY_RUN;
	supervised->when = -1;
	if (supervised->signals >= 0 && supervised->timer >= 0)
		return true;
	verb_error(supervised->verb, "cannot look after a command: %s", strerror(errno));
	return false;
}

static void wait_for_news(const struct supervised *supervised)
{
	struct pollfd waits[2 + SUPERVISE_NEWS] = { { .fd = supervised->signals, .events = POLLIN },
		{ .fd = supervised->timer, .events = POLLIN } };
	struct itimerspec timer = { 0 };
	int64_t when = supervised->when;

	if (when >= 0) {
		timer.it_value.tv_sec = when / 1000;
		timer.it_value.tv_nsec = when % 1000 * 1000000 + 1; /* zeros would be: never */
	}
	(void)timerfd_settime(supervised->timer, TFD_TIMER_ABSTIME, &timer, NULL);
	memcpy(&waits[2], supervised->news, sizeof(supervised->news));
	(void)poll(waits, supervised->state == MAY_RUN ? 2 + SUPERVISE_NEWS : 2, -1);
}

/* A group's number is not given out anew while somebody is in it, and numbers go round. */
static bool has_members(pid_t group)
{
	return kill(-group, 0) == 0 || errno == EPERM;
}

static void end_rest(pid_t group, int64_t kill_at)
{
	while (has_members(group) && supervise_now() < kill_at)
		(void)poll(NULL, 0, LOOK_AGAIN_MS);
	if (has_members(group))
		(void)kill(-group, SIGKILL);
}

void supervise_end(pid_t group, int64_t kill_at)
{
	signal_group(group, SIGTERM);
	end_rest(group, kill_at);
}

int supervise_run(struct supervised *supervised)
{
	int status;

	if (!begin(supervised))
		return supervised->failed;
	while ((status = reap(supervised)) < 0) {
		consult(supervised);
		if (supervised->state == IS_KILLED && supervised->when <= supervise_now()) {
			verb_error(supervised->verb, "'%s' does not end, for it is in a system call that does not",
				supervised->command[0]);
			break;
		}
		wait_for_news(supervised);
		hand_on(supervised);
	}
	/* The command itself has ended; what it has started in its group has as long. */
	if (supervised->state == IS_ENDED)
		end_rest(supervised->pid, supervised->when);
	give_terminal(supervised, getpgrp());
	return supervised->state == MAY_RUN ? status : SUPERVISE_ENDED;
}
