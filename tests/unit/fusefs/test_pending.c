#include "fusefs/pending.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { PATIENCE = 30, FOREVER = 600000 /* ms */ };

/* --- What libfuse would do --- */

struct fuse_req {
	struct mount *mount;
	struct fuse_ctx ctx;
	fuse_interrupt_func_t on_interrupt;
	void *interrupt_data;
	bool comes_late;   /* it is interrupted before anybody can know, */
	bool comes_beside; /* by another thread */
	bool was_early;	   /* answered inside fuse_req_interrupt_func, which still needs it */
	int told;	   /* what a reply gives back */
	int replies;
	char reply[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over replies and reply */
static pthread_cond_t replied = PTHREAD_COND_INITIALIZER;

static int note(fuse_req_t req, const char *reply)
{
	pthread_mutex_lock(&lock);
	req->replies++;
	(void)snprintf(req->reply, sizeof(req->reply), "%s", reply);
	pthread_cond_broadcast(&replied);
	pthread_mutex_unlock(&lock);
	return req->told;
}

static int count_replies(const struct fuse_req *req)
{
	int count;

	pthread_mutex_lock(&lock);
	count = req->replies;
	pthread_mutex_unlock(&lock);
	return count;
}

void *fuse_req_userdata(fuse_req_t req)
{
	return req->mount;
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
	return &req->ctx;
}

static void *interrupt_beside(void *arg)
{
	struct fuse_req *req = arg;

	req->on_interrupt(req, req->interrupt_data);
	return NULL;
}

void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
	int before = count_replies(req);
	pthread_t thread;

	req->on_interrupt = func;
	req->interrupt_data = data;
	if (req->comes_beside) {
		ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_beside, req), 0);
		pthread_join(thread, NULL);
	} else if (req->comes_late) {
		func(req, data);
	}
	req->was_early = count_replies(req) > before;
}

int fuse_reply_err(fuse_req_t req, int err)
{
	return note(req, err ? strerrorname_np(err) : "success");
}

int fuse_reply_attr(fuse_req_t req, const struct stat *attr, double attr_timeout)
{
	char reply[64];

	(void)snprintf(reply, sizeof(reply), "attr %lu %g", attr->st_ino, attr_timeout);
	return note(req, reply);
}

int fuse_reply_buf(fuse_req_t req, const char *buf, size_t size)
{
	char reply[64];

	(void)snprintf(reply, sizeof(reply), "data %.*s", (int)size, buf);
	return note(req, reply);
}

static void write_entry(char *to, size_t size, const char *kind, const struct fuse_entry_param *entry)
{
	(void)snprintf(to, size, "%s %lu %lu %g %g", kind, entry->ino, entry->attr.st_ino, entry->entry_timeout,
		entry->attr_timeout);
}

int fuse_reply_entry(fuse_req_t req, const struct fuse_entry_param *e)
{
	char reply[64];

	write_entry(reply, sizeof(reply), "entry", e);
	return note(req, reply);
}

int fuse_reply_create(fuse_req_t req, const struct fuse_entry_param *e, const struct fuse_file_info *fi)
{
	char reply[64];
	size_t size;

	write_entry(reply, sizeof(reply), "create", e);
	size = strlen(reply);
	(void)snprintf(reply + size, sizeof(reply) - size, " fh %lu", fi->fh);
	return note(req, reply);
}

int fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	char reply[64];

	(void)snprintf(reply, sizeof(reply), "open fh %lu", fi->fh);
	return note(req, reply);
}

int fuse_reply_lock(fuse_req_t req, const struct flock *found)
{
	char reply[64];

	(void)snprintf(reply, sizeof(reply), "lock %d %ld %ld %d", found->l_type, found->l_start, found->l_len,
		found->l_pid);
	return note(req, reply);
}

/* --- Requests --- */

static struct mount mount;
static struct fuse_req req;

static void start_waiting_for(int timeout)
{
	pendings_free(mount.pendings);
	mount.pendings = pendings_new(timeout);
	ck_assert_ptr_nonnull(mount.pendings);
}

static void setup(void)
{
	mount = (struct mount){ .inodes = inodes_new(true) };
	start_waiting_for(FOREVER);
	req = (struct fuse_req){ .mount = &mount, .ctx.pid = gettid() };
}

static void teardown(void)
{
	ck_assert_uint_eq(pendings_count(mount.pendings), 0);
	pendings_free(mount.pendings);
	inodes_free(mount.inodes);
}

static struct pending *start(void)
{
	struct pending *pending = pending_start(&req);

	ck_assert_ptr_nonnull(pending);
	ck_assert(!req.was_early);
	return pending;
}

static void interrupt_it(void)
{
	req.on_interrupt(&req, req.interrupt_data);
}

static void check_waits(void)
{
	ck_assert_int_eq(count_replies(&req), 0);
	ck_assert_uint_eq(pendings_count(mount.pendings), 1);
}

static void check_reply(const char *reply)
{
	pthread_mutex_lock(&lock);
	if (req.replies != 1 || strcmp(req.reply, reply) != 0)
		ck_abort_msg("%d replies, the last '%s', not '%s'", req.replies, req.reply, reply);
	pthread_mutex_unlock(&lock);
}

static void await_reply(const char *reply)
{
	struct timespec until;
	int err = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	pthread_mutex_lock(&lock);
	while (req.replies == 0 && !err)
		err = pthread_cond_timedwait(&replied, &lock, &until);
	pthread_mutex_unlock(&lock);
	check_reply(reply);
}

static struct stat attr_of(const char *path)
{
	const struct node_stat stat = { .czxid = 10, .version = 1, .data_length = 5 };

	return (struct stat){ .st_ino = inodes_enter(mount.inodes, INODE_NODE, path, &stat, NULL) };
}

static bool is_known(const struct stat *attr)
{
	struct inode_view view;
	bool is = inodes_look(mount.inodes, attr->st_ino, &view) == 0;

	inode_view_release(&view);
	return is;
}

START_TEST(fails_and_succeeds)
{
	pending_fail(start(), -ENOENT);
	check_reply("ENOENT");
	req.replies = 0;
	pending_fail(start(), 0);
	check_reply("success");
}
END_TEST

START_TEST(counts_who_waits)
{
	struct fuse_req other = req;
	struct pending *first = start(), *second;

	ck_assert_uint_eq(pendings_count(mount.pendings), 1);
	second = pending_start(&other);
	ck_assert_uint_eq(pendings_count(mount.pendings), 2);
	pending_fail(first, 0);
	ck_assert_uint_eq(pendings_count(mount.pendings), 1);
	pending_fail(second, 0);
}
END_TEST

START_TEST(begins_empty_and_frees_what_it_was_given)
{
	struct pending *pending = start();

	ck_assert_ptr_eq(pending->mount, &mount);
	ck_assert_ptr_null(pending->path);
	ck_assert_ptr_null(pending->inode.path);
	ck_assert(!pending->flag);
	pending->path = strdup("/a"); /* a leak would be found by the sanitizer */
	pending->inode.path = strdup("/b");
	pending_fail(pending, 0);
}
END_TEST

START_TEST(replies_as_asked)
{
	struct stat attr = attr_of("/a");
	struct pending *pending = start();
	char expected[64];

	pending_reply_attr(pending, &attr, 5);
	(void)snprintf(expected, sizeof(expected), "attr %lu 5", attr.st_ino);
	check_reply(expected);

	req.replies = 0;
	ck_assert(pending_reply_data(start(), "hello", 5));
	check_reply("data hello");

	req.replies = 0;
	pending_reply_entry(start(), &attr, 5);
	(void)snprintf(expected, sizeof(expected), "entry %lu %lu 5 5", attr.st_ino, attr.st_ino);
	check_reply(expected);
	ck_assert(is_known(&attr));

	req.replies = 0;
	pending = start();
	pending->file.fh = 7;
	ck_assert(pending_reply_create(pending, &attr, 5));
	(void)snprintf(expected, sizeof(expected), "create %lu %lu 5 5 fh 7", attr.st_ino, attr.st_ino);
	check_reply(expected);
	ck_assert(is_known(&attr));

	req.replies = 0;
	pending = start();
	pending->file.fh = 8;
	ck_assert(pending_reply_open(pending));
	check_reply("open fh 8");
}
END_TEST

/* The caller was killed meanwhile: the kernel takes no reply. */
START_TEST(what_the_kernel_does_not_hear_is_taken_back)
{
	struct stat entered = attr_of("/a"), created = attr_of("/b");

	req.told = -ENOENT;
	pending_reply_entry(start(), &entered, 5);
	ck_assert(!is_known(&entered));
	ck_assert(!pending_reply_create(start(), &created, 5));
	ck_assert(!is_known(&created));
	ck_assert(!pending_reply_open(start()));
	ck_assert(!pending_reply_data(start(), "x", 1));
	ck_assert_int_eq(req.replies, 4);
}
END_TEST

START_TEST(lack_of_memory_is_the_answer)
{
	struct pending *pending;

	unit_fail_allocation(1);
	pending = pending_start(&req);
	ck_assert(unit_end_failure());
	ck_assert_ptr_null(pending);
	check_reply("ENOMEM");
}
END_TEST

/* --- Time --- */

/* However the completion ends what has been answered already, it says nothing more. */
static void complete_unheard(struct pending *pending, int way)
{
	struct stat attr = attr_of("/a");
	int before = count_replies(&req);

	if (way == 0)
		pending_fail(pending, -EIO);
	else if (way == 1)
		pending_reply_attr(pending, &attr, 5);
	else if (way == 2)
		ck_assert(!pending_reply_data(pending, "x", 1));
	else if (way == 3)
		pending_reply_entry(pending, &attr, 5);
	else if (way == 4)
		ck_assert(!pending_reply_create(pending, &attr, 5));
	else
		ck_assert(!pending_reply_open(pending));
	ck_assert_int_eq(count_replies(&req), before);
	ck_assert(is_known(&attr) == (way != 3 && way != 4));
}

START_TEST(nobody_waits_longer_than_the_timeout)
{
	struct pending *pending;

	start_waiting_for(20);
	pending = start();
	await_reply("ETIMEDOUT");
	ck_assert_uint_eq(pendings_count(mount.pendings), 1); /* its completion is still to come */
	complete_unheard(pending, _i);
}
END_TEST

/* A request that waits, and its end. Gives when it came. */
static int64_t wait_once(void)
{
	const struct timespec wait = { .tv_nsec = 300000000 };
	struct pending *pending = start();
	int64_t since = pending->since;

	(void)nanosleep(&wait, NULL);
	pending_fail(pending, -ENOENT);
	return since;
}

/* Of requests that the same thread makes one right after the other, if the first has waited. */
START_TEST(call_with_two_requests_has_one_timeout)
{
	enum { TIMEOUT = 20000, TRIES = 10 };
	struct pending *pending = NULL;
	struct fuse_req others;
	int64_t since = 0;

	start_waiting_for(TIMEOUT);
	for (int i = 0; i < TRIES && !(pending && pending->since == since); i++) { /* the machine may be slow */
		if (pending)
			pending_fail(pending, -ENOENT);
		since = wait_once();
		pending = start();
	}
	ck_assert_int_eq(pending->since, since);
	ck_assert_int_eq(pending->deadline, since + TIMEOUT);
	pending_fail(pending, -ENOENT);
	others = req;
	others.ctx.pid++;
	pending = pending_start(&others);
	ck_assert_int_eq(pending->deadline, pending->started + TIMEOUT);
	pending_fail(pending, -ENOENT);
}
END_TEST

START_TEST(each_has_its_own_time)
{
	enum { COUNT = 10 };
	struct fuse_req reqs[COUNT];
	struct pending *pendings[COUNT];

	start_waiting_for(50);
	for (int i = 0; i < COUNT; i++) {
		reqs[i] = req;
		pendings[i] = pending_start(&reqs[i]);
		if (i % 2)
			pending_fail(pendings[i], 0);
	}
	for (int i = 0; i < COUNT; i += 2) {
		pthread_mutex_lock(&lock);
		while (reqs[i].replies == 0)
			pthread_cond_wait(&replied, &lock);
		pthread_mutex_unlock(&lock);
		pending_fail(pendings[i], 0);
	}
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(reqs[i].replies, 1);
		ck_assert_str_eq(reqs[i].reply, i % 2 ? "success" : "ETIMEDOUT");
	}
}
END_TEST

/* --- Interrupts --- */

START_TEST(unseen_caller_is_let_go_at_once)
{
	struct pending *pending;

	req.ctx.pid = 0;
	pending = start();
	check_waits();
	interrupt_it();
	check_reply("EINTR");
	interrupt_it();
	check_reply("EINTR");
	complete_unheard(pending, _i);
}
END_TEST

START_TEST(caller_with_a_handler_may_wait_a_little)
{
	struct pending *pending = start();

	interrupt_it();
	check_waits();
	interrupt_it();
	check_waits();
	pending_fail(pending, 0);
	check_reply("success");
}
END_TEST

START_TEST(caller_with_a_handler_waits_only_a_little)
{
	struct pending *pending = start();

	interrupt_it();
	check_waits();
	await_reply("EINTR");
	complete_unheard(pending, 5);
}
END_TEST

static void handle(int signal)
{
	(void)signal;
}

/* A process that is stopped, so that its signals stay pending. It handles SIGUSR1. */
static pid_t make_stopped(void)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)signal(SIGTERM, SIG_DFL);
		(void)signal(SIGUSR1, handle);
		(void)raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	return child;
}

static void end_child(pid_t child)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

START_TEST(dying_caller_is_let_go_at_once)
{
	struct pending *pending;

	req.ctx.pid = make_stopped();
	pending = start();
	ck_assert_int_eq(kill(req.ctx.pid, SIGTERM), 0);
	interrupt_it();
	check_reply("EINTR");
	end_child(req.ctx.pid);
	complete_unheard(pending, 0);
}
END_TEST

START_TEST(signal_that_does_not_kill_lets_the_caller_wait)
{
	struct pending *pending;

	req.ctx.pid = make_stopped();
	pending = start();
	ck_assert_int_eq(kill(req.ctx.pid, SIGWINCH), 0);
	ck_assert_int_eq(kill(req.ctx.pid, SIGUSR1), 0);
	interrupt_it();
	check_waits();
	end_child(req.ctx.pid);
	pending_fail(pending, 0);
	check_reply("success");
}
END_TEST

START_TEST(interrupt_after_the_answer_is_nothing)
{
	req.ctx.pid = 0;
	pending_fail(start(), 0);
	interrupt_it();
	check_reply("success");
}
END_TEST

/* libfuse uses the request after it has called us: was_early is checked in start(). */
START_TEST(interrupt_that_was_there_first)
{
	struct pending *pending;

	req.comes_late = true;
	req.comes_beside = _i;
	req.ctx.pid = 0;
	pending = start();
	check_reply("EINTR");
	complete_unheard(pending, 4);
}
END_TEST

START_TEST(interrupt_that_was_there_first_lets_wait_as_any)
{
	struct pending *pending;

	req.comes_late = true;
	req.comes_beside = _i;
	pending = start();
	check_waits();
	pending_fail(pending, 0);
	check_reply("success");
}
END_TEST

/* --- Those who wait as long as it takes --- */

static atomic_int let_gos;
static _Atomic(uint64_t) let_go_id;

static void let_go(struct mount *of, uint64_t id)
{
	ck_assert_ptr_eq(of, &mount);
	atomic_store(&let_go_id, id);
	atomic_fetch_add(&let_gos, 1);
}

static struct pending *start_patient(void)
{
	struct pending *pending;

	atomic_store(&let_gos, 0);
	pending = pending_start_patient(&req, let_go);
	ck_assert_ptr_nonnull(pending);
	ck_assert(!req.was_early);
	return pending;
}

static void check_let_go(int times, uint64_t id)
{
	ck_assert_int_eq(atomic_load(&let_gos), times);
	if (times)
		ck_assert_uint_eq(atomic_load(&let_go_id), id);
}

START_TEST(patience_has_no_end)
{
	struct fuse_req other = req;
	struct pending *patient, *pending;

	start_waiting_for(20);
	patient = start_patient();
	pending = pending_start(&other);
	pthread_mutex_lock(&lock);
	while (other.replies == 0)
		pthread_cond_wait(&replied, &lock);
	pthread_mutex_unlock(&lock);
	ck_assert_str_eq(other.reply, "ETIMEDOUT");
	pending_fail(pending, 0);
	check_waits();
	pending_waits(&mount, patient->id, let_go);
	check_let_go(0, 0);
	pending_fail(patient, 0);
	check_reply("success");
}
END_TEST

/* It may have been granted at the last moment: the completion says. */
START_TEST(interrupt_while_it_waits)
{
	struct pending *pending = start_patient();
	uint64_t id = pending->id;

	pending_waits(&mount, id, let_go);
	check_let_go(0, 0);
	interrupt_it();
	check_let_go(1, id);
	check_waits();
	if (_i)
		ck_assert(pending_tell(pending, 0));
	else
		pending_fail(pending, -EINTR);
	check_reply(_i ? "success" : "EINTR");
}
END_TEST

/* There was nothing to let go of then. */
START_TEST(interrupt_before_it_waits)
{
	struct pending *pending = start_patient();
	uint64_t id = pending->id;

	interrupt_it();
	check_waits();
	atomic_store(&let_gos, 0);
	pending_waits(&mount, id, let_go);
	check_let_go(1, id);
	check_waits();
	pending_fail(pending, -EINTR);
	check_reply("EINTR");
}
END_TEST

START_TEST(interrupt_that_was_there_before_patience)
{
	struct pending *pending;

	req.comes_late = true;
	req.comes_beside = _i;
	pending = start_patient();
	check_waits();
	atomic_store(&let_gos, 0);
	pending_waits(&mount, pending->id, let_go);
	check_let_go(1, pending->id);
	pending_fail(pending, -EINTR);
	check_reply("EINTR");
}
END_TEST

START_TEST(interrupt_after_patience)
{
	struct pending *pending = start_patient();
	uint64_t id = pending->id;

	pending_fail(pending, 0);
	interrupt_it();
	check_let_go(0, 0);
	pending_waits(&mount, id, let_go); /* nobody would know whether there was an interrupt */
	check_let_go(1, id);
	check_reply("success");
}
END_TEST

/* The caller is being killed: it does not wait for the completion, which learns that nobody was told. */
START_TEST(killed_while_patient)
{
	struct pending *pending;
	uint64_t id;

	req.ctx.pid = _i ? make_stopped() : 0;
	pending = start_patient();
	id = pending->id;
	if (_i)
		ck_assert_int_eq(kill(req.ctx.pid, SIGTERM), 0);
	interrupt_it();
	check_reply("EINTR");
	check_let_go(1, id);
	pending_waits(&mount, id, let_go);
	check_let_go(2, id);
	ck_assert_uint_eq(pendings_count(mount.pendings), 1);
	ck_assert(!pending_tell(pending, 0));
	check_reply("EINTR");
	if (_i)
		end_child(req.ctx.pid);
}
END_TEST

START_TEST(who_was_told)
{
	const struct flock obstacle = { .l_type = F_WRLCK, .l_start = 3, .l_len = 4, .l_pid = 5 };

	ck_assert(pending_tell(start(), 0));
	check_reply("success");
	req.replies = 0;
	req.told = -ENOENT;
	ck_assert(!pending_tell(start_patient(), 0));
	check_reply("success");
	req.replies = req.told = 0;
	pending_reply_lock(start(), &obstacle);
	check_reply("lock 1 3 4 5");
}
END_TEST

/* --- Everything at once --- */

enum { RACES = 3000 };

static struct fuse_req races[RACES];
static _Atomic(struct pending *) started[RACES];

static void *interrupt_all(void *arg)
{
	for (int i = 0; i < RACES; i++) {
		while (!atomic_load(&started[i]))
			sched_yield();
		races[i].on_interrupt(&races[i], races[i].interrupt_data);
	}
	return arg;
}

static void *complete_all(void *arg)
{
	for (int i = 0; i < RACES; i++) {
		struct pending *pending;

		while (!(pending = atomic_load(&started[i])))
			sched_yield();
		if (i % 16 == 0) {
			struct timespec short_time = { .tv_nsec = 500000 };

			(void)nanosleep(&short_time, NULL); /* about the timeout, for a race with it */
		}
		pending_fail(pending, 0);
	}
	return arg;
}

START_TEST(each_gets_one_reply)
{
	pthread_t interrupter, completer;

	memset(started, 0, sizeof(started));
	start_waiting_for(1);
	ck_assert_int_eq(pthread_create(&interrupter, NULL, interrupt_all, NULL), 0);
	ck_assert_int_eq(pthread_create(&completer, NULL, complete_all, NULL), 0);
	for (int i = 0; i < RACES; i++) {
		races[i] = (struct fuse_req){ .mount = &mount, .comes_late = i % 5 == 0 };
		atomic_store(&started[i],
			i % 2 == _i ? pending_start_patient(&races[i], let_go) : pending_start(&races[i]));
		ck_assert(!races[i].was_early);
	}
	pthread_join(interrupter, NULL);
	pthread_join(completer, NULL);
	start_waiting_for(FOREVER); /* the old thread has ended now */
	for (int i = 0; i < RACES; i++) {
		if (races[i].replies != 1)
			ck_abort_msg("%d replies", races[i].replies);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("pending");
	TCase *tcase = tcase_create("pending");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, fails_and_succeeds);
	tcase_add_test(tcase, counts_who_waits);
	tcase_add_test(tcase, begins_empty_and_frees_what_it_was_given);
	tcase_add_test(tcase, replies_as_asked);
	tcase_add_test(tcase, what_the_kernel_does_not_hear_is_taken_back);
	tcase_add_test(tcase, lack_of_memory_is_the_answer);
	tcase_add_loop_test(tcase, nobody_waits_longer_than_the_timeout, 0, 6);
	tcase_add_test(tcase, call_with_two_requests_has_one_timeout);
	tcase_add_test(tcase, each_has_its_own_time);
	tcase_add_loop_test(tcase, unseen_caller_is_let_go_at_once, 0, 6);
	tcase_add_test(tcase, caller_with_a_handler_may_wait_a_little);
	tcase_add_test(tcase, caller_with_a_handler_waits_only_a_little);
	tcase_add_test(tcase, dying_caller_is_let_go_at_once);
	tcase_add_test(tcase, signal_that_does_not_kill_lets_the_caller_wait);
	tcase_add_test(tcase, interrupt_after_the_answer_is_nothing);
	tcase_add_loop_test(tcase, interrupt_that_was_there_first, 0, 2);
	tcase_add_loop_test(tcase, interrupt_that_was_there_first_lets_wait_as_any, 0, 2);
	tcase_add_test(tcase, patience_has_no_end);
	tcase_add_loop_test(tcase, interrupt_while_it_waits, 0, 2);
	tcase_add_test(tcase, interrupt_before_it_waits);
	tcase_add_loop_test(tcase, interrupt_that_was_there_before_patience, 0, 2);
	tcase_add_test(tcase, interrupt_after_patience);
	tcase_add_loop_test(tcase, killed_while_patient, 0, 2);
	tcase_add_test(tcase, who_was_told);
	tcase_add_loop_test(tcase, each_gets_one_reply, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
