/* The order of start and stop: options, fork, cache, mount, loop, tear down. The parent stays until the mount is ready, so that
 * the exit status 0 means connected and mounted; libzookeeper's threads belong to the child alone. */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/lock.h"
#include "cache/util/log.h"
#include "fusefs/announce.h"
#include "fusefs/connection.h"
#include "fusefs/files.h"
#include "fusefs/flock.h"
#include "fusefs/held.h"
#include "fusefs/inode.h"
#include "fusefs/mount.h"
#include "fusefs/notify.h"
#include "fusefs/ops.h"
#include "fusefs/options.h"
#include "fusefs/pending.h"
#include "fusefs/readdir.h"
#include "fusefs/readonly.h"
#include "fusefs/requests.h"
#include "fusefs/service.h"
#include "fusefs/verbs.h"
#include "fusefs/virtual.h"

/* No handler waits, so a few threads serve any number of requests. */
enum { THREADS = 8, IDLE_THREADS = 4 };

/* A place to say that the mount is ready; -1 in the foreground. */
static int ready_fd = -1;

/* --- Two processes --- */

/* In the parent: gives the exit status once the child is ready or has ended. */
static int wait_for_child(pid_t child, int fd, int failure_status)
{
	char ready;
	int status = 0;

	if (read(fd, &ready, 1) == 1)
		return EXIT_SUCCESS;
	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		(void)fprintf(stderr, "zkfs: the daemon ended before it was ready\n");
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : failure_status;
}

/* -1: this is the child; go on. Otherwise the exit status of the parent. */
static int split(int failure_status)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		(void)fprintf(stderr, "zkfs: cannot start a daemon: %s\n", strerror(errno));
		return failure_status;
	}
	if (child > 0) {
		(void)close(fds[1]);
		return wait_for_child(child, fds[0], failure_status);
	}
	(void)close(fds[0]);
	ready_fd = fds[1];
	return -1;
}

/* From here on the terminal is no longer ours, and whoever waits for the mount may use it. */
static void tell_ready(const struct options *options)
{
	int null;

	log_open(options->log_level, !options->foreground);
	if (ready_fd < 0) {
		service_tell("READY=1");
		return;
	}
	(void)setsid(); /* not before: what waits on the mountpoint (autofs) lets the mount pass by its process group */
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			(void)close(null);
	}
	(void)!chdir("/"); /* so that the daemon keeps no other filesystem busy */
	(void)!write(ready_fd, "", 1);
	(void)close(ready_fd);
}

/* --- The end by a signal --- */

/* Takes SIGTERM, SIGINT and SIGHUP instead of libfuse's handlers: the notifier must have ended before the loop, for it may wait
 * for an answer that only the loop's threads can give. */
struct stopper {
	struct mount *mount;
	_Atomic(int) stage;
	pthread_t thread;
	pthread_t main_thread;
};

/* Before STAGE_MOUNTING there is nothing to end in order; whoever comes first of the stopper and the mount decides. */
enum { STAGE_STARTING, STAGE_MOUNTING, STAGE_SERVING, STAGE_STOPPED };

static sigset_t stop_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1); /* ours: the mount has ended by itself */
	return set;
}

static void on_wake(int number)
{
	(void)number;
}

static void *stopper_main(void *arg)
{
	const struct timespec while_ending = { .tv_nsec = 50 * 1000000L };
	struct stopper *stopper = arg;
	const sigset_t set = stop_signals();
	int number = 0;
	int starting = STAGE_STARTING;

	(void)sigwait(&set, &number);
	if (number != SIGUSR1 && atomic_compare_exchange_strong(&stopper->stage, &starting, STAGE_STOPPED))
		_exit(stopper->mount->options->failure_status);
	if (number != SIGUSR1) {
		announce_stop(stopper->mount->announce);
		notify_stop(stopper->mount->notify);
		fuse_session_exit(stopper->mount->session);
	}
	while (number != SIGUSR1) { /* out of sem_wait in fuse_session_loop_mt, which it may not have entered yet */
		if (stopper->stage == STAGE_SERVING)
			(void)pthread_kill(stopper->main_thread, SIGALRM);
		number = sigtimedwait(&set, NULL, &while_ending);
	}
	return NULL;
}

static int stopper_start(struct stopper *stopper)
{
	const struct sigaction wake = { .sa_handler = on_wake };

	stopper->main_thread = pthread_self();
	(void)sigaction(SIGALRM, &wake, NULL);
	return -pthread_create(&stopper->thread, NULL, stopper_main, stopper);
}

static void stopper_end(struct stopper *stopper)
{
	(void)pthread_kill(stopper->thread, SIGUSR1);
	(void)pthread_join(stopper->thread, NULL);
}

/* --- The mount --- */

static int serve(struct mount *mount)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int err = -ENOMEM;

	if (!config)
		return err;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, THREADS);
	fuse_loop_cfg_set_idle_threads(config, IDLE_THREADS);
	err = fuse_session_loop_mt(mount->session, config);
	fuse_loop_cfg_destroy(config);
	if (err < 0)
		log_error("the connection to the kernel ended: %s", strerror(-err));
	return err;
}

static int mount_and_serve(struct mount *mount, struct stopper *stopper)
{
	int starting = STAGE_STARTING;
	int err;

	if (!atomic_compare_exchange_strong(&stopper->stage, &starting, STAGE_MOUNTING))
		(void)pause(); /* we are being ended */
	if (fuse_session_mount(mount->session, mount->options->mountpoint) < 0) {
		(void)fprintf(stderr, "zkfs: cannot mount at '%s'\n", mount->options->mountpoint);
		return mount->options->failure_status;
	}
	readonly_mark(mount->options);
	err = connection_allow_parallel(mount->session);
	if (!err)
		err = notify_start(mount->notify, mount->session, mount->files);
	if (!err && mount->announce)
		err = announce_start(mount->announce);
	if (!err && fuse_session_exited(mount->session))
		err = -EINTR; /* a signal while it was being mounted */
	if (!err) {
		stopper->stage = STAGE_SERVING;
		tell_ready(mount->options);
		err = serve(mount);
		if (mount->options->foreground)
			service_tell("STOPPING=1");
		files_flush(mount->files, mount->options->timeout);
	}
	announce_stop(mount->announce);
	notify_stop(mount->notify);
	fuse_session_unmount(mount->session);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_changed(enum cache_change change, const char *path, void *arg)
{
	const struct mount *mount = arg;

	if (change == CACHE_DELETED)
		holder_deleted(mount->holder, path);
	notify_changed(change, path, mount->notify);
}

static bool make_parts(struct mount *mount, struct fuse_args *args)
{
	const struct options *options = mount->options;
	struct cache_config config = {
		.servers = options->servers.hosts,
		.chroot = options->servers.chroot,
		.credentials = &options->credentials,
		.acl = options->acl,
		.session_timeout = options->session_timeout,
		.timeout = options->timeout,
		.ttl = options->ttl,
		.stale = options->stale,
		.size = options->cache_size,
		.with_access = options->allow_other,
		.changed = on_changed,
		.changed_arg = mount,
		.connected = holder_connected,
		.foreign = options->announces ? announce_foreign : NULL,
		.resumed = options->announces ? announce_resumed : NULL,
		.state_changed = virtual_state_changed,
		.state_arg = mount,
	};

	mount->session = fuse_session_new(args, &ops, sizeof(ops), mount);
	if (!mount->session)
		return false; /* libfuse has said why */
	mount->inodes = inodes_new(options->with_symlinks);
	mount->pendings = pendings_new(options->timeout);
	mount->directories = directories_new();
	mount->requests = requests_new();
	mount->virtuals = virtuals_new(mount);
	mount->notify = mount->inodes ? notify_new(mount->inodes) : NULL;
	mount->announce = options->announces ? announce_new(mount) : NULL;
	mount->holder = holder_new(mount);
	mount->flocks = flocks_new(mount);
	config.connected_arg = mount->holder;
	config.foreign_arg = mount->announce;
	if (mount->notify && mount->holder && mount->flocks && mount->requests && mount->virtuals &&
		(mount->announce || !options->announces))
		mount->cache = cache_new(&config);
	if (mount->cache) {
		cache_watch_locks(mount->cache, flocks_lost, mount);
		mount->files = files_new(mount->cache, mount->inodes, options->max_data);
	}
	if (mount->pendings && mount->directories && mount->files)
		return true;
	(void)fprintf(stderr, "zkfs: cannot start: %s\n", strerror(errno));
	return false;
}

/* Every request is answered by then: the cache's stop ends those that waited for it. */
static void free_parts(struct mount *mount)
{
	if (mount->files)
		files_stop(mount->files);
	if (mount->cache)
		cache_stop(mount->cache);
	pendings_free(mount->pendings); /* its thread may be answering yet */
	flocks_free(mount->flocks);
	files_free(mount->files);
	if (mount->session)
		fuse_session_destroy(mount->session);
	directories_free(mount->directories);
	virtuals_free(mount->virtuals);
	requests_free(mount->requests);
	cache_free(mount->cache);
	holder_free(mount->holder);
	announce_free(mount->announce);
	notify_free(mount->notify);
	inodes_free(mount->inodes);
}

/* Listings of large directories and what is needed to put them together come and go: they are to go back to the system, which
 * glibc ceases to do by itself once it has freed one of that size. What is smaller than any contents can be is not worth it. */
static void bound_memory(void)
{
	enum { LARGE = 1 << 20 };

	(void)mallopt(M_MMAP_THRESHOLD, LARGE);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

static int run(const struct options *options, struct fuse_args *args)
{
	struct mount mount = { .options = options, .uid = getuid(), .gid = getgid() };
	char reason[512] = "";
	int status = options->failure_status;
	struct stopper stopper = { .mount = &mount };

	if (stopper_start(&stopper) < 0)
		return status;
	if (make_parts(&mount, args)) {
		if (cache_start(mount.cache, reason, sizeof(reason)) == 0)
			status = mount_and_serve(&mount, &stopper);
		else
			(void)fprintf(stderr, "zkfs: %s\n", reason);
	}
	stopper_end(&stopper);
	free_parts(&mount);
	return status;
}

/* A place that is closed would be taken by whatever we open next, and written to as if it were the terminal. */
static void fill_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

/* With another's rights everything that a user can say here, servers, credentials, a mount point, would be done in that one's name. */
static bool is_set_uid(void)
{
	return getuid() != geteuid() || getgid() != getegid();
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct options options = { 0 };
	int status = EXIT_SUCCESS;
	enum options_outcome outcome;

	fill_standard_files();
	if (is_set_uid()) {
		(void)fprintf(stderr, "zkfs: must not be installed set-uid or set-gid; to mount, fusermount3 is\n");
		return EXIT_FAILURE;
	}
	if (verbs_has(argc, argv))
		return verbs_run(argc, argv);
	bound_memory();
	outcome = options_parse(&options, &args, &status);
	if (outcome == OPTIONS_MOUNT && !options.is_fake) {
		const sigset_t set = stop_signals();

		(void)signal(SIGPIPE, SIG_IGN);
		log_open(options.foreground ? options.log_level : LOG_LEVEL_ERROR, false);
		status = options.foreground ? -1 : split(options.failure_status);
		if (status < 0) {
			(void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* in every thread but the stopper */
			status = run(&options, &args);
		}
	}
	options_release(&options);
	fuse_opt_free_args(&args);
	return status;
}
