#include "fusefs/options.h"

#include <dlfcn.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/acl.h"

#include "tests/unit/unit.h"

/* --- The machine, as a test wants it: these take the C library's place in this program --- */

static struct {
	int device_error; /* of opening /dev/fuse, */
	int device_fd;	  /* and what that gave */
	uid_t uid;
	const char *conf; /* what is in /etc/fuse.conf; NULL: there is none */
	const char *path; /* the path that statx() or access() fails for, */
	int stat_error, access_error;
} machine;

static char directory[] = "/tmp/zkfs-test-options-XXXXXX";
static char mountpoint[64], plain_file[64];

/* Not from <fcntl.h>, which may define it inline. */
int open(const char *path, int flags, ...);
int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t); /* garbage unless O_CREAT, and ignored then */
	va_end(args);
	if (strcmp(path, "/dev/fuse") != 0)
		return (int)syscall(SYS_open, path, flags, mode);
	errno = machine.device_error;
	machine.device_fd = machine.device_error ? -1 : dup(STDERR_FILENO);
	return machine.device_fd;
}

uid_t getuid(void)
{
	return machine.uid;
}

uid_t geteuid(void)
{
	return machine.uid;
}

int access(const char *path, int how)
{
	if (!machine.path || strcmp(path, machine.path) != 0 || !machine.access_error)
		return (int)syscall(SYS_access, path, how);
	errno = machine.access_error;
	return -1;
}

/* As the kernel: who asks for no attributes learns of no error, nor does who is content with what is cached. */
int statx(int fd, const char *path, int flags, unsigned mask, struct statx *to)
{
	bool asks = mask != 0 && (flags & AT_STATX_FORCE_SYNC);

	if (!machine.path || strcmp(path, machine.path) != 0 || !machine.stat_error || !asks)
		return (int)syscall(SYS_statx, fd, path, flags, mask, to);
	errno = machine.stat_error;
	return -1;
}

static void write_file(const char *path, const char *text, mode_t mode);

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *);
	char conf[64];

	*(void **)&real = dlsym(RTLD_NEXT, "fopen");
	if (strcmp(path, "/etc/fuse.conf") != 0)
		return real(path, mode);
	if (!machine.conf) {
		errno = ENOENT;
		return NULL;
	}
	(void)snprintf(conf, sizeof(conf), "%s/fuse.conf", directory);
	write_file(conf, machine.conf, 0600);
	return real(conf, mode);
}

/* --- Running it --- */

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_int_ge(fputs(text, out), 0);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

static struct options options;
static struct fuse_args args;
static enum options_outcome outcome;
static int status;
static int fail_allocation; /* the allocation that fails in the next run; 0: none */
static bool has_failed_allocation;
static char out_text[8192], err_text[8192];

static void setup(void)
{
	memset(&machine, 0, sizeof(machine));
	memset(&options, 0, sizeof(options));
	memset(&args, 0, sizeof(args));
	fail_allocation = 0;
	ck_assert_int_eq(unsetenv("ZKFS_SERVERS"), 0);
	memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(mountpoint, sizeof(mountpoint), "%s/mnt", directory);
	(void)snprintf(plain_file, sizeof(plain_file), "%s/file", directory);
	ck_assert_int_eq(mkdir(mountpoint, 0700), 0);
	write_file(plain_file, "", 0600);
}

static void teardown(void)
{
	char command[128];

	options_release(&options);
	fuse_opt_free_args(&args);
	ck_assert_int_eq(chdir("/"), 0);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	ck_assert_int_eq(system(command), 0);
}

/* Sends fd's output to a file; gives where it went before. */
static int redirect(int fd, FILE *to)
{
	int saved = dup(fd);

	ck_assert_int_ge(saved, 0);
	ck_assert_int_ge(dup2(fileno(to), fd), 0);
	return saved;
}

static void restore(int fd, int saved, FILE *from, char *text, size_t size)
{
	(void)dup2(saved, fd);
	(void)close(saved);
	rewind(from);
	text[fread(text, 1, size - 1, from)] = '\0';
	(void)fclose(from);
}

/* Runs options_parse on the words (the first one is the program's name), with what was left of the last run released. */
static void parse_words(char **words, const char *out_path)
{
	FILE *out = out_path ? fopen(out_path, "w+") : tmpfile();
	FILE *err = tmpfile();
	int saved_out, saved_err;

	options_release(&options);
	fuse_opt_free_args(&args);
	args = (struct fuse_args)FUSE_ARGS_INIT(0, NULL);
	while (words[args.argc])
		args.argc++;
	args.argv = words;
	ck_assert(out && err && fflush(stdout) == 0);
	saved_out = redirect(STDOUT_FILENO, out);
	saved_err = redirect(STDERR_FILENO, err);
	unit_fail_allocation(fail_allocation);
	outcome = options_parse(&options, &args, &status);
	has_failed_allocation = unit_end_failure();
	(void)fflush(stdout);
	clearerr(stdout);
	restore(STDOUT_FILENO, saved_out, out, out_text, sizeof(out_text));
	restore(STDERR_FILENO, saved_err, err, err_text, sizeof(err_text));
}

#define PARSE(...) parse_words((char *[]){ __VA_ARGS__, NULL }, NULL)
#define O(option) "-o", (char *)(option)

static bool has_word_in_error(const char *word)
{
	return strstr(err_text, word) != NULL;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static void check_is_empty(void)
{
	ck_assert_ptr_null(options.servers.hosts);
	ck_assert_ptr_null(options.servers.chroot);
	ck_assert_ptr_null(options.mountpoint);
	ck_assert_ptr_null(options.acl);
	ck_assert_uint_eq(options.credentials.count, 0);
}

/* One line about what was found, no usage. */
static void check_wrong(int expected_status, const char *word)
{
	ck_assert_msg(outcome == OPTIONS_WRONG, "outcome %d, expected complaint of '%s'", outcome, word);
	ck_assert_int_eq(status, expected_status);
	ck_assert_msg(has_word_in_error(word), "no '%s' in '%s'", word, err_text);
	ck_assert_msg(strncmp(err_text, "zkfs: ", 6) == 0, "'%s'", err_text);
	ck_assert_msg(count_lines(err_text) == 1, "'%s'", err_text);
	ck_assert_str_eq(out_text, "");
	check_is_empty();
}

/* One line and where to find help. */
static void check_misused(const char *program, int expected_status, const char *word)
{
	char help[64];

	(void)snprintf(help, sizeof(help), "\nTry '%s --help' for more information.\n", program);
	ck_assert_msg(outcome == OPTIONS_WRONG, "outcome %d, expected complaint of '%s'", outcome, word);
	ck_assert_int_eq(status, expected_status);
	ck_assert_msg(has_word_in_error(word), "no '%s' in '%s'", word, err_text);
	ck_assert_msg(strncmp(err_text, "zkfs: ", 6) == 0, "'%s'", err_text);
	ck_assert_msg(has_word_in_error(help) && count_lines(err_text) == 2, "'%s'", err_text);
	ck_assert_str_eq(out_text, "");
	check_is_empty();
}

static void check_mounts(void)
{
	ck_assert_msg(outcome == OPTIONS_MOUNT, "outcome %d: %s", outcome, err_text);
	ck_assert_str_eq(err_text, "");
	ck_assert_str_eq(out_text, "");
}

/* Whether libfuse is given the option, as one of a list without escapes. */
static bool is_for_libfuse(const char *option)
{
	const char *at = args.argc == 3 ? args.argv[2] : "";
	size_t size = strlen(option);

	while ((at = strstr(at, option))) {
		if ((at == args.argv[2] || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
			return true;
		at += size;
	}
	return false;
}

static void check_libfuse_agrees(void)
{
	const struct fuse_lowlevel_ops ops = { .init = NULL };
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);

	ck_assert_ptr_nonnull(session);
	fuse_session_destroy(session);
}

/* --- Tests --- */

START_TEST(defaults)
{
	PARSE("zkfs", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "localhost:2181");
	ck_assert_str_eq(options.servers.chroot, "");
	ck_assert_str_eq(options.mountpoint, mountpoint);
	ck_assert(!options.foreground && !options.is_strict && !options.allow_other);
	ck_assert(!options.is_read_only && !options.is_fake && options.with_symlinks);
	ck_assert_int_eq(options.failure_status, 1);
	ck_assert_int_eq(options.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(options.session_timeout, 10000);
	ck_assert_int_eq(options.timeout, 10000);
	ck_assert_int_eq(options.ttl, 1000);
	ck_assert_uint_eq(options.cache_size, 64 << 20);
	ck_assert_uint_eq(options.max_data, 1000000);
	ck_assert_uint_eq(options.credentials.count, 0);
	ck_assert_int_eq(args.argc, 3);
	ck_assert_str_eq(args.argv[0], "zkfs");
	ck_assert_str_eq(args.argv[1], "-o");
	ck_assert_str_eq(args.argv[2], "fsname=localhost:2181,subtype=zkfs");
	check_libfuse_agrees();
}
END_TEST

START_TEST(operands)
{
	PARSE("zkfs");
	check_misused("zkfs", 2, "missing mount point");
	PARSE("/usr/bin/zkfs");
	check_misused("zkfs", 2, "missing mount point");
	PARSE("zkfs", "-f", O("ro"));
	check_misused("zkfs", 2, "missing mount point");
	PARSE("zkfs", "zk1:2181", mountpoint, "more");
	check_misused("zkfs", 2, "extra operand 'more'");
	PARSE("zkfs", "zk1:2181/app", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "zk1:2181");
	ck_assert_str_eq(options.servers.chroot, "/app");
	PARSE("zkfs", "zk1:2181", "-f", mountpoint, "-r");
	check_mounts();
	ck_assert(options.foreground && options.is_read_only);
	PARSE("zkfs", "-f", "--", mountpoint);
	check_mounts();
	PARSE("zkfs", "-f", O("ro"), "--", "zk1:2181", mountpoint);
	check_mounts();
	check_libfuse_agrees();
	PARSE("zkfs", "--", "-f");
	check_wrong(1, "'-f' does not exist");
	PARSE("zkfs", "-");
	check_wrong(1, "'-' does not exist");
}
END_TEST

/* "zkfs zk1:2181" forgot the mount point, it did not mean one. */
START_TEST(servers_alone_are_no_mountpoint)
{
	PARSE("zkfs", "zk1:2181");
	check_misused("zkfs", 2, "missing mount point after 'zk1:2181'");
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(mkdir("zk1:2181", 0700), 0);
	PARSE("zkfs", "zk1:2181");
	check_mounts();
}
END_TEST

START_TEST(letters)
{
	PARSE("zkfs", "-f", mountpoint);
	check_mounts();
	ck_assert(options.foreground && options.log_level == LOG_LEVEL_INFO);
	PARSE("zkfs", "-d", mountpoint);
	check_mounts();
	ck_assert(options.foreground && options.log_level == LOG_LEVEL_DEBUG);
	PARSE("zkfs", "-r", mountpoint);
	check_mounts();
	ck_assert(options.is_read_only && !is_for_libfuse("ro") && !options.foreground); /* readonly.h */
	PARSE("zkfs", "-fr", mountpoint);
	check_mounts();
	ck_assert(options.is_read_only && options.foreground);
	PARSE("zkfs", mountpoint, "-fx");
	check_misused("zkfs", 2, "invalid option -- 'x'");
	PARSE("zkfs", "--foreground", mountpoint);
	check_misused("zkfs", 2, "unrecognized option '--foreground'");
	PARSE("zkfs", mountpoint, "-o");
	check_misused("zkfs", 2, "option requires an argument -- 'o'");
}
END_TEST

/* mount(8)'s letters are not zkfs's. */
START_TEST(helper_letters_are_the_helpers)
{
	PARSE("zkfs", "-s", mountpoint);
	check_misused("zkfs", 2, "invalid option -- 's'");
	PARSE("zkfs", "-n", mountpoint);
	check_misused("zkfs", 2, "invalid option -- 'n'");
	PARSE("zkfs", "-v", mountpoint);
	check_misused("zkfs", 2, "invalid option -- 'v'");
	PARSE("zkfs", "-t", "zkfs", mountpoint);
	check_misused("zkfs", 2, "invalid option -- 't'");
	PARSE("zkfs", mountpoint, "-t");
	check_misused("zkfs", 2, "invalid option -- 't'");
}
END_TEST

START_TEST(helper_form)
{
	PARSE("/sbin/mount.zkfs", "zk1:2181", mountpoint, "-n", "-v", O("rw,nodev,_netdev,ttl=2"));
	check_mounts();
	ck_assert(!options.is_fake && !options.foreground && is_for_libfuse("nodev"));
	ck_assert_int_eq(options.failure_status, 32);
	ck_assert_int_eq(options.ttl, 2000);
	check_libfuse_agrees();
	PARSE("mount.zkfs", "zk1:2181", mountpoint, "-sfnv", "-t", "zkfs");
	check_mounts();
	ck_assert(options.is_fake && !options.foreground);
	PARSE("mount.zkfs", "zk1:2181", mountpoint, "-s", O("bogus,ttl=2"));
	check_mounts();
	ck_assert_int_eq(options.ttl, 2000);
}
END_TEST

START_TEST(helper_exit_statuses)
{
	PARSE("mount.zkfs");
	check_misused("mount.zkfs", 1, "missing mount point");
	PARSE("mount.zkfs", mountpoint);
	check_misused("mount.zkfs", 1, "missing mount point after");
	PARSE("mount.zkfs", "zk1:2181", mountpoint, O("bogus"));
	check_misused("mount.zkfs", 1, "'bogus'");
	PARSE("mount.zkfs", "zk1:2181", mountpoint, "-t");
	check_misused("mount.zkfs", 1, "option requires an argument -- 't'");
	PARSE("mount.zkfs", "zk1:2181", mountpoint, "-s", O("ttl=x"));
	check_wrong(1, "'x'");
	PARSE("mount.zkfs", "zk1", mountpoint);
	check_wrong(1, "'zk1' has no port");
	PARSE("mount.zkfs", "zk1:2181", plain_file);
	check_wrong(32, "not a directory");
}
END_TEST

START_TEST(help_is_answered)
{
	static const char *const expected[] = { "Usage: zkfs ", "acl=", "allow_other",
		"auth_file=", "cache_size=", "debug", "max_data=", "nosymlinks", "notify=", "ro, rw",
		"session_timeout=", "stale=", "strict", "timeout=", "ttl=", "ZKFS_SERVERS" };

	PARSE("zkfs", "--help");
	ck_assert_int_eq(outcome, OPTIONS_DONE);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(err_text, "");
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		ck_assert_msg(strstr(out_text, expected[i]) != NULL, "no '%s' in the help", expected[i]);
	PARSE("zkfs", "-h", "--bogus", O("ttl=x"));
	ck_assert_int_eq(outcome, OPTIONS_DONE);
	ck_assert_str_eq(err_text, "");
	PARSE("mount.zkfs", "-h");
	ck_assert_int_eq(outcome, OPTIONS_DONE);
	PARSE("zkfs", "--bogus", "--help");
	check_misused("zkfs", 2, "'--bogus'");
	check_is_empty();
}
END_TEST

START_TEST(version_is_answered)
{
	char expected[128];

	(void)snprintf(expected, sizeof(expected), "zkfs %s\nlibfuse %s\n", ZKFS_VERSION, fuse_pkgversion());
	PARSE("zkfs", "--version");
	ck_assert_int_eq(outcome, OPTIONS_DONE);
	ck_assert_str_eq(out_text, expected);
	PARSE("zkfs", "-V", mountpoint);
	ck_assert_int_eq(outcome, OPTIONS_DONE);
	ck_assert_str_eq(out_text, expected);
	ck_assert_str_eq(err_text, "");
}
END_TEST

START_TEST(an_answer_that_cannot_be_written_is_an_error)
{
	parse_words((char *[]){ "zkfs", "--help", NULL }, "/dev/full");
	check_wrong(1, "cannot write to standard output");
}
END_TEST

static size_t size_of(const char *field)
{
	return strcmp(field, "cache_size") == 0 ? options.cache_size : options.max_data;
}

/* Sizes that are right, in bytes. */
static const struct {
	const char *name, *text;
	size_t size;
} sizes[] = {
	{ "cache_size", "0", 0 },
	{ "cache_size", "1", 1 },
	{ "cache_size", "007", 7 },
	{ "cache_size", "1k", 1 << 10 },
	{ "cache_size", "1K", 1 << 10 },
	{ "cache_size", "3m", 3 << 20 },
	{ "cache_size", "3M", 3 << 20 },
	{ "cache_size", "2g", (size_t)2 << 30 },
	{ "cache_size", "2G", (size_t)2 << 30 },
	{ "cache_size", "100000000000", 100000000000 },
	{ "max_data", "1", 1 },
	{ "max_data", "1000k", 1024000 },
	{ "max_data", "1040000", 1040000 },
};

START_TEST(sizes_have_suffixes)
{
	char option[64];

	(void)snprintf(option, sizeof(option), "%s=%s", sizes[_i].name, sizes[_i].text);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	ck_assert_uint_eq(size_of(sizes[_i].name), sizes[_i].size);
	check_libfuse_agrees();
}
END_TEST

/* Times that are right, in milliseconds; all three take them. */
static const struct {
	const char *text;
	int ms;
} times[] = {
	{ "0.1", 100 },
	{ "0.5", 500 },
	{ "1", 1000 },
	{ "1.0", 1000 },
	{ "2.25", 2250 },
	{ "0010", 10000 },
	{ "3.9999", 4000 },
	{ "86400", 86400000 },
};

START_TEST(times_have_decimals)
{
	char option[128];
	const char *text = times[_i].text;

	(void)snprintf(option, sizeof(option), "timeout=%s,ttl=%s", text, text);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	ck_assert_int_eq(options.timeout, times[_i].ms);
	ck_assert_int_eq(options.ttl, times[_i].ms);
	ck_assert_int_eq(options.session_timeout, 10000);
	(void)snprintf(option, sizeof(option), "session_timeout=%s", text);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	ck_assert_int_eq(options.session_timeout, times[_i].ms);
	ck_assert_int_eq(options.timeout, times[_i].ms);
	ck_assert_int_eq(options.ttl, 1000);
}
END_TEST

static const struct {
	const char *name, *text;
} bad_values[] = {
	{ "cache_size", "" },
	{ "cache_size", "1x" },
	{ "cache_size", "-3" },
	{ "cache_size", "+3" },
	{ "cache_size", " 3" },
	{ "cache_size", "3 " },
	{ "cache_size", "M" },
	{ "cache_size", "64MB" },
	{ "cache_size", "64Mi" },
	{ "cache_size", "1T" },
	{ "cache_size", "1.5G" },
	{ "cache_size", "0x10" },
	{ "cache_size", "18446744073709551615" },
	{ "cache_size", "18446744073709551616" },
	{ "cache_size", "99999999999999999999999999" },
	{ "cache_size", "18014398509481984k" },
	{ "cache_size", "17179869184G" },
	{ "max_data", "" },
	{ "max_data", "0" },
	{ "max_data", "1040001" },
	{ "max_data", "1M" },
	{ "max_data", "1G" },
	{ "max_data", "-1" },
	{ "session_timeout", "" },
	{ "session_timeout", "0" },
	{ "session_timeout", "0.01" },
	{ "session_timeout", "86400.1" },
	{ "session_timeout", "-10" },
	{ "session_timeout", "10s" },
	{ "timeout", "" },
	{ "timeout", "0" },
	{ "timeout", "1x" },
	{ "timeout", "1.2.3" },
	{ "timeout", "." },
	{ "timeout", ".5" },
	{ "timeout", "1e3" },
	{ "timeout", "inf" },
	{ "timeout", "nan" },
	{ "timeout", "0x10" },
	{ "timeout", " 1" },
	{ "timeout", "99999999999999999999" },
	{ "ttl", "" },
	{ "ttl", "-3" },
	{ "ttl", "-0" },
	{ "ttl", "1 s" },
	{ "ttl", "86401" },
};

START_TEST(bad_values_are_named)
{
	char option[64], name[64], value[64];

	(void)snprintf(option, sizeof(option), "%s=%s", bad_values[_i].name, bad_values[_i].text);
	(void)snprintf(name, sizeof(name), "'%s'", bad_values[_i].name);
	(void)snprintf(value, sizeof(value), "'%s'", bad_values[_i].text);
	PARSE("zkfs", "zk1:2181", mountpoint, O(option));
	check_wrong(2, name);
	check_wrong(2, value);
}
END_TEST

START_TEST(ttl_may_be_none)
{
	PARSE("zkfs", mountpoint, O("ttl=0"));
	check_mounts();
	ck_assert_int_eq(options.ttl, 0);
}
END_TEST

START_TEST(the_last_one_wins)
{
	PARSE("zkfs", mountpoint, O("ttl=1,ttl=2"), O("ttl=3,ro"), O("rw"));
	check_mounts();
	ck_assert_int_eq(options.ttl, 3000);
	ck_assert(!options.is_read_only && !is_for_libfuse("ro"));
	PARSE("zkfs", mountpoint, O("rw,ro"));
	check_mounts();
	ck_assert(options.is_read_only && !is_for_libfuse("ro"));
	/* what counts is the last, so only it must be right */
	PARSE("zkfs", mountpoint, O("ttl=x,ttl=3"));
	check_mounts();
}
END_TEST

START_TEST(switches)
{
	PARSE("zkfs", mountpoint, O("strict,debug,nosymlinks"));
	check_mounts();
	ck_assert(options.is_strict && !options.foreground && !options.with_symlinks);
	ck_assert(!is_for_libfuse("nosymlinks"));
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
	ck_assert_msg(!is_for_libfuse("strict") && !is_for_libfuse("debug"), "%s", args.argv[2]);
	check_libfuse_agrees();
}
END_TEST

/* options, whether libfuse is to have it. */
static const struct {
	const char *option;
	bool is_passed;
} foreign[] = {
	{ "nodev", true },
	{ "dev", true },
	{ "nosuid", true },
	{ "suid", true },
	{ "noexec", true },
	{ "exec", true },
	{ "noatime", true },
	{ "atime", true },
	{ "sync", true },
	{ "async", true },
	{ "dirsync", true },
	{ "context=system_u:object_r:fusefs_t:s0", true },
	{ "fscontext=a", true },
	{ "defcontext=a", true },
	{ "rootcontext=a", true },
	{ "defaults", false },
	{ "relatime", false },
	{ "norelatime", false },
	{ "strictatime", false },
	{ "nostrictatime", false },
	{ "diratime", false },
	{ "nodiratime", false },
	{ "lazytime", false },
	{ "nolazytime", false },
	{ "iversion", false },
	{ "noiversion", false },
	{ "mand", false },
	{ "nomand", false },
	{ "silent", false },
	{ "loud", false },
	{ "_netdev", false },
	{ "auto", false },
	{ "noauto", false },
	{ "nofail", false },
	{ "user", false },
	{ "user=bob", false },
	{ "users", false },
	{ "nouser", false },
	{ "nousers", false },
	{ "owner", false },
	{ "noowner", false },
	{ "group", false },
	{ "nogroup", false },
	{ "comment=systemd.automount", false },
	{ "uhelper=udisks2", false },
	{ "helper=x", false },
	{ "x-systemd.automount", false },
	{ "x-systemd.requires=zookeeper.service", false },
	{ "X-mount.mkdir", false },
	{ "", false },
};

START_TEST(options_of_mount_and_fstab_are_accepted)
{
	const char *option = foreign[_i].option;

	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	if (*option)
		ck_assert_int_eq(is_for_libfuse(option), foreign[_i].is_passed);
	else
		ck_assert_str_eq(args.argv[2], "fsname=localhost:2181,subtype=zkfs");
	check_libfuse_agrees();
}
END_TEST

START_TEST(options_of_mount_combine)
{
	PARSE("zkfs", mountpoint, O("rw,noexec,nosuid,nodev,user,_netdev,,x-a=b,ttl=2,notify=invalidate,ro"));
	check_mounts();
	ck_assert_str_eq(args.argv[2], "noexec,nosuid,nodev,fsname=localhost:2181,subtype=zkfs,ro");
	check_libfuse_agrees();
	/* SELinux contexts have commas */
	PARSE("zkfs", mountpoint, O("context=a:s0:c1\\,c2"));
	check_mounts();
	ck_assert_str_eq(args.argv[2], "context=a:s0:c1\\,c2,fsname=localhost:2181,subtype=zkfs");
	check_libfuse_agrees();
}
END_TEST

START_TEST(unknown_options_are_refused)
{
	static const char *const unknown[] = { "bogus", "bogus=1", "Strict", "stric", "cache-size=1", "x",
		"nosymfollow", "ttl2=1", "--", "defaults2" };

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		PARSE("zkfs", mountpoint, O(unknown[i]));
		check_misused("zkfs", 2, unknown[i]);
	}
	PARSE("zkfs", mountpoint, O("ro,bogus,ttl=x"));
	check_misused("zkfs", 2, "'bogus'");
}
END_TEST

START_TEST(options_without_their_value_are_refused)
{
	static const char *const valued[] = { "acl", "auth_file", "cache_size", "max_data", "session_timeout",
		"timeout", "ttl", "context", "comment" };

	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		char expected[64];

		(void)snprintf(expected, sizeof(expected), "mount option '%s' needs a value", valued[i]);
		PARSE("zkfs", mountpoint, O(valued[i]));
		check_misused("zkfs", 2, expected);
	}
	PARSE("zkfs", mountpoint, O("auth_file="));
	check_wrong(2, "'auth_file' needs a file");
}
END_TEST

START_TEST(remount_is_refused)
{
	PARSE("zkfs", mountpoint, O("remount,ro"));
	check_wrong(2, "cannot remount");
}
END_TEST

START_TEST(servers_of_the_environment)
{
	ck_assert_int_eq(setenv("ZKFS_SERVERS", "a:1,b:2/app", 1), 0);
	PARSE("zkfs", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "a:1,b:2");
	ck_assert_str_eq(options.servers.chroot, "/app");
	PARSE("zkfs", "c:3", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "c:3");
	ck_assert_int_eq(setenv("ZKFS_SERVERS", "a", 1), 0);
	PARSE("zkfs", mountpoint);
	check_wrong(2, "$ZKFS_SERVERS: server 'a' has no port");
	PARSE("zkfs", "c:3", mountpoint);
	check_mounts();
	ck_assert_int_eq(setenv("ZKFS_SERVERS", "", 1), 0);
	PARSE("zkfs", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "localhost:2181");
}
END_TEST

START_TEST(bad_servers_are_named)
{
	PARSE("zkfs", "zk1", mountpoint);
	check_misused("zkfs", 2, "server 'zk1' has no port");
	PARSE("zkfs", "", mountpoint);
	check_wrong(2, "no server is named");
	PARSE("zkfs", "zk1:2181//", mountpoint);
	check_wrong(2, "'//'");
}
END_TEST

/* As typed, because mount(8) compares it with /etc/fstab's. */
START_TEST(source_is_as_typed)
{
	PARSE("zkfs", "a:1,[::1]:2/a\\b/", mountpoint);
	check_mounts();
	ck_assert_str_eq(options.servers.hosts, "a:1,::1:2");
	ck_assert_str_eq(args.argv[2], "fsname=a:1\\,[::1]:2/a\\\\b/,subtype=zkfs");
	check_libfuse_agrees();
}
END_TEST

START_TEST(auth_file_is_read)
{
	char file[64], option[128];

	(void)snprintf(file, sizeof(file), "%s/auth", directory);
	(void)snprintf(option, sizeof(option), "auth_file=%s", file);
	PARSE("zkfs", mountpoint, O(option));
	check_wrong(1, file);
	write_file(file, "digest bob:secret\n", 0644);
	PARSE("zkfs", mountpoint, O(option));
	check_wrong(1, "chmod 600");
	ck_assert_int_eq(chmod(file, 0600), 0);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	ck_assert_uint_eq(options.credentials.count, 1);
	ck_assert_str_eq(options.credentials.list[0].id, "bob:secret");
	ck_assert_msg(!strstr(args.argv[2], "auth"), "%s", args.argv[2]);
}
END_TEST

static void check_acl(const char *value, const char *expected)
{
	char file[64], option[256];
	struct buf text = BUF_INIT;

	(void)snprintf(file, sizeof(file), "%s/auth", directory);
	write_file(file, "digest bob:secret\n", 0600);
	(void)snprintf(option, sizeof(option), "auth_file=%s,acl=%s", file, value);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	if (options.acl)
		acl_format(options.acl, &text);
	ck_assert(buf_append(&text, "", 1));
	ck_assert_str_eq(text.data, expected);
	ck_assert_msg(!strstr(args.argv[2], "acl"), "%s", args.argv[2]);
	buf_release(&text);
}

START_TEST(acl_of_new_nodes)
{
	check_acl("open", "");
	check_acl("creator", "auth::cdrwa");
	check_acl("read", "auth::cdrwa,world:anyone:r");
	check_acl("world:anyone:r\\,digest:bob:H=:rw", "world:anyone:r,digest:bob:H=:rw");
	check_acl("creator,acl=open", "");
	PARSE("zkfs", mountpoint, O("acl=world:anyone:r"));
	check_mounts();
	ck_assert_ptr_nonnull(options.acl);
}
END_TEST

START_TEST(bad_acls_are_named)
{
	static const char *const bad[][2] = {
		{ "acl=", "'acl': it is empty" },
		{ "acl=everybody", "'acl': 'everybody' is not of the form SCHEME:ID:PERMISSIONS" },
		{ "acl=world:anyone:r\\,ip:::1:q", "'acl': 'q' are not permissions" },
		{ "acl=world:anybody:r", "'acl': 'world:anybody:r': the one id" },
		{ "acl=world:anyone:r\\,", "'acl': an entry is empty" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		PARSE("zkfs", mountpoint, O(bad[i][0]));
		check_wrong(2, bad[i][1]);
		check_is_empty();
	}
}
END_TEST

/* What ZooKeeper would refuse at every birth is refused at the start. */
START_TEST(an_acl_of_ours_needs_credentials)
{
	static const char *const values[] = { "acl=creator", "acl=read", "acl=world:anyone:r\\,auth::rw" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		PARSE("zkfs", mountpoint, O(values[i]));
		check_wrong(2, "needs credentials: name a file of them with 'auth_file'");
		check_is_empty();
	}
	PARSE("mount.zkfs", "zk1:2181", mountpoint, O(values[0]));
	check_wrong(1, "needs credentials");
}
END_TEST

/* A file name with a comma is escaped with a backslash, as everywhere in libfuse. */
START_TEST(values_may_be_escaped)
{
	char file[64], option[128];

	(void)snprintf(file, sizeof(file), "%s/a,b", directory);
	(void)snprintf(option, sizeof(option), "auth_file=%s/a\\,b,ro", directory);
	write_file(file, "digest bob:secret\n", 0600);
	PARSE("zkfs", mountpoint, O(option));
	check_mounts();
	ck_assert_uint_eq(options.credentials.count, 1);
	ck_assert(options.is_read_only);
}
END_TEST

START_TEST(mountpoint_is_made_absolute)
{
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(symlink("mnt", "link"), 0);
	PARSE("zkfs", "./link/../link/");
	check_mounts();
	ck_assert_str_eq(options.mountpoint, mountpoint);
}
END_TEST

START_TEST(mountpoint_may_have_contents)
{
	char inside[128];

	(void)snprintf(inside, sizeof(inside), "%s/x", mountpoint);
	write_file(inside, "", 0600);
	PARSE("zkfs", mountpoint);
	check_mounts();
}
END_TEST

START_TEST(wrong_mountpoints_are_refused)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/nothing", directory);
	PARSE("zkfs", path);
	check_wrong(1, "does not exist");
	check_wrong(1, path);
	PARSE("zkfs", plain_file);
	check_wrong(1, "not a directory");
	(void)snprintf(path, sizeof(path), "%s/x", plain_file);
	PARSE("zkfs", path);
	check_wrong(1, "Not a directory");
	PARSE("zkfs", "");
	check_wrong(1, "'' does not exist");
	PARSE("zkfs", "/proc");
	check_wrong(1, "something is mounted on '/proc' already");
	PARSE("zkfs", "/");
	check_wrong(1, "something is mounted on '/' already");
}
END_TEST

START_TEST(stale_mountpoint_tells_how_to_unmount)
{
	char expected[128];

	machine.path = mountpoint;
	machine.stat_error = ENOTCONN;
	(void)snprintf(expected, sizeof(expected), "'fusermount3 -u %s'", mountpoint);
	PARSE("zkfs", mountpoint);
	check_wrong(1, expected);
}
END_TEST

START_TEST(inaccessible_mountpoints_are_refused)
{
	machine.path = mountpoint;
	machine.stat_error = EACCES;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "Permission denied");
	machine.stat_error = ETIMEDOUT;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "timed out");
}
END_TEST

/* Another user's mount refuses stat(), even to root. */
START_TEST(mount_that_lets_nobody_in_is_told_from_no_permission)
{
	machine.path = "/proc";
	machine.stat_error = EACCES;
	PARSE("zkfs", "/proc");
	check_wrong(1, "something is mounted on '/proc' already");
}
END_TEST

START_TEST(a_user_must_be_able_to_write_the_mountpoint)
{
	machine.path = mountpoint;
	machine.access_error = EACCES;
	PARSE("zkfs", mountpoint);
	check_mounts();
	machine.uid = 1000;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "Permission denied");
	machine.access_error = 0;
	PARSE("zkfs", mountpoint);
	check_mounts();
}
END_TEST

START_TEST(device_is_looked_at)
{
	PARSE("zkfs", mountpoint);
	check_mounts();
	ck_assert_int_ge(machine.device_fd, 0);
	ck_assert_int_lt(dup(machine.device_fd), 0); /* it was closed */
	machine.device_error = ENOENT;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "cannot open '/dev/fuse': No such file or directory");
	check_wrong(1, "modprobe fuse");
	machine.device_error = ENODEV;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "modprobe fuse");
	machine.device_error = EACCES;
	PARSE("zkfs", mountpoint);
	check_wrong(1, "cannot open '/dev/fuse': Permission denied (root can");
	machine.device_error = EPERM;
	PARSE("mount.zkfs", "zk1:2181", mountpoint);
	check_wrong(32, "cannot open '/dev/fuse': Operation not permitted\n");
}
END_TEST

static const struct {
	const char *conf;
	bool is_allowed;
} confs[] = {
	{ NULL, false },
	{ "", false },
	{ "#user_allow_other\n", false },
	{ "# user_allow_other\nmount_max = 100\n", false },
	{ "user_allow_others\n", false },
	{ "no_user_allow_other\n", false },
	{ "user_allow_other = 1\n", false },
	{ "user_allow\n", false },
	{ "user_allow_other\n", true },
	{ "user_allow_other", true },
	{ "mount_max = 100\n\n \tuser_allow_other \t# everybody\n", true },
	{ "user_allow_other# everybody\n", true },
};

START_TEST(allow_other_of_a_user_needs_the_configuration)
{
	machine.conf = confs[_i].conf;
	machine.uid = 1000;
	PARSE("zkfs", mountpoint, O("allow_other"));
	if (confs[_i].is_allowed)
		check_mounts();
	else
		check_wrong(1, "user_allow_other");
	PARSE("zkfs", mountpoint);
	check_mounts();
	machine.uid = 0;
	PARSE("zkfs", mountpoint, O("allow_other"));
	check_mounts();
}
END_TEST

START_TEST(allow_other_turns_permissions_on)
{
	PARSE("zkfs", mountpoint, O("allow_other"));
	check_mounts();
	ck_assert(options.allow_other);
	ck_assert(is_for_libfuse("allow_other"));
	ck_assert(is_for_libfuse("default_permissions"));
	check_libfuse_agrees();
	PARSE("zkfs", mountpoint);
	check_mounts();
	ck_assert(!is_for_libfuse("default_permissions"));
}
END_TEST

/* Everything is wrong at first, and is put right in the order of the complaints. */
START_TEST(complaints_come_in_order)
{
	char *words[] = { "zkfs", "bad", plain_file, "extra", "-o", "ttl=x,auth_file=/nothing,allow_other", NULL };

	machine.device_error = EACCES;
	machine.uid = 1000;
	parse_words(words, NULL);
	check_misused("zkfs", 2, "extra operand");
	words[3] = "-f";
	parse_words(words, NULL);
	check_wrong(2, "'ttl'");
	words[5] = "auth_file=/nothing,allow_other";
	parse_words(words, NULL);
	check_misused("zkfs", 2, "'bad' has no port"); /* it may have been meant as a verb */
	words[1] = "zk1:2181";
	parse_words(words, NULL);
	check_wrong(1, "auth_file '/nothing'");
	words[5] = "allow_other";
	parse_words(words, NULL);
	check_wrong(1, "not a directory");
	words[2] = mountpoint;
	parse_words(words, NULL);
	check_wrong(1, "/dev/fuse");
	machine.device_error = 0;
	parse_words(words, NULL);
	check_wrong(1, "user_allow_other");
	machine.uid = 0;
	parse_words(words, NULL);
	check_mounts();
}
END_TEST

/* A command line that was already worked on, as fuse_opt leaves it, is on the heap. */
START_TEST(args_may_be_allocated)
{
	struct fuse_args allocated = FUSE_ARGS_INIT(0, NULL);

	ck_assert_int_eq(fuse_opt_add_arg(&allocated, "/usr/bin/zkfs"), 0);
	ck_assert_int_eq(fuse_opt_add_arg(&allocated, mountpoint), 0);
	ck_assert_int_eq(options_parse(&options, &allocated, &status), OPTIONS_MOUNT);
	ck_assert_str_eq(allocated.argv[0], "zkfs");
	fuse_opt_free_args(&allocated);
}
END_TEST

START_TEST(memory_may_run_out)
{
	char *words[] = { "zkfs", "zk1:2181/app", mountpoint, "-o", NULL, NULL };
	char file[64], list[128];
	int number = 0;
	bool has_failed;

	(void)snprintf(file, sizeof(file), "%s/auth", directory);
	(void)snprintf(list, sizeof(list), "auth_file=%s,acl=read,nodev", file);
	words[4] = list;
	write_file(file, "digest bob:secret\n", 0600);
	do {
		fail_allocation = ++number;
		parse_words(words, NULL);
		has_failed = has_failed_allocation;
		if (has_failed)
			check_wrong(1, "memory");
	} while (has_failed);
	check_mounts();
	ck_assert_int_gt(number, 5);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

static void add_form_tests(TCase *tcase)
{
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, operands);
	tcase_add_test(tcase, servers_alone_are_no_mountpoint);
	tcase_add_test(tcase, letters);
	tcase_add_test(tcase, helper_letters_are_the_helpers);
	tcase_add_test(tcase, helper_form);
	tcase_add_test(tcase, helper_exit_statuses);
	tcase_add_test(tcase, help_is_answered);
	tcase_add_test(tcase, version_is_answered);
	tcase_add_test(tcase, an_answer_that_cannot_be_written_is_an_error);
	tcase_add_test(tcase, args_may_be_allocated);
	tcase_add_test(tcase, memory_may_run_out);
}

static void add_option_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, sizes_have_suffixes, 0, COUNT(sizes));
	tcase_add_loop_test(tcase, times_have_decimals, 0, COUNT(times));
	tcase_add_loop_test(tcase, bad_values_are_named, 0, COUNT(bad_values));
	tcase_add_test(tcase, ttl_may_be_none);
	tcase_add_test(tcase, the_last_one_wins);
	tcase_add_test(tcase, switches);
	tcase_add_loop_test(tcase, options_of_mount_and_fstab_are_accepted, 0, COUNT(foreign));
	tcase_add_test(tcase, options_of_mount_combine);
	tcase_add_test(tcase, unknown_options_are_refused);
	tcase_add_test(tcase, options_without_their_value_are_refused);
	tcase_add_test(tcase, remount_is_refused);
	tcase_add_test(tcase, values_may_be_escaped);
}

static void add_machine_tests(TCase *tcase)
{
	tcase_add_test(tcase, servers_of_the_environment);
	tcase_add_test(tcase, bad_servers_are_named);
	tcase_add_test(tcase, source_is_as_typed);
	tcase_add_test(tcase, auth_file_is_read);
	tcase_add_test(tcase, acl_of_new_nodes);
	tcase_add_test(tcase, bad_acls_are_named);
	tcase_add_test(tcase, an_acl_of_ours_needs_credentials);
	tcase_add_test(tcase, mountpoint_is_made_absolute);
	tcase_add_test(tcase, mountpoint_may_have_contents);
	tcase_add_test(tcase, wrong_mountpoints_are_refused);
	tcase_add_test(tcase, stale_mountpoint_tells_how_to_unmount);
	tcase_add_test(tcase, inaccessible_mountpoints_are_refused);
	tcase_add_test(tcase, mount_that_lets_nobody_in_is_told_from_no_permission);
	tcase_add_test(tcase, a_user_must_be_able_to_write_the_mountpoint);
	tcase_add_test(tcase, device_is_looked_at);
	tcase_add_loop_test(tcase, allow_other_of_a_user_needs_the_configuration, 0, COUNT(confs));
	tcase_add_test(tcase, allow_other_turns_permissions_on);
	tcase_add_test(tcase, complaints_come_in_order);
}

Suite *unit_suite(void)
{
	static const struct {
		const char *name;
		void (*add)(TCase *tcase);
	} cases[] = {
		{ "form", add_form_tests },
		{ "options", add_option_tests },
		{ "machine", add_machine_tests },
	};
	Suite *suite = suite_create("options");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		TCase *tcase = tcase_create(cases[i].name);

		tcase_add_checked_fixture(tcase, setup, teardown);
		cases[i].add(tcase);
		suite_add_tcase(suite, tcase);
	}
	return suite;
}
