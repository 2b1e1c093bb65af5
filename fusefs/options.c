#include "fusefs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/acl.h"
#include "fusefs/mountpoint.h"

/* mount(8)'s are those of util-linux's libmount.h. */
enum {
	EXIT_FAILED = 1,
	EXIT_MISUSED = 2,
	MNT_EX_USAGE = 1,
	MNT_EX_FAIL = 32,
};

enum {
	DAY_MS = 24 * 60 * 60 * 1000,
	/* A packet of ZooKeeper's is 1 MiB (jute.maxbuffer), with the znode's path and ACL in it. */
	MAX_DATA_LIMIT = 1040000,
};

static const char DEFAULT_SERVERS[] = "localhost:2181";
static const char FUSE_DEVICE[] = "/dev/fuse";
static const char FUSE_CONF[] = "/etc/fuse.conf";

enum quantity_name { CACHE_SIZE, MAX_DATA, SESSION_TIMEOUT, TIMEOUT, TTL, QUANTITIES };

/* The command line as it was typed, before anything is made of it. */
struct words {
	const char *program;
	bool is_helper; /* mount.zkfs, called by mount(8) */
	bool is_foreground, is_fake, is_sloppy;
	int debug, strict, allow_other, read_only, no_symlinks; /* fuse_opt sets ints */
	char *quantities[QUANTITIES];
	char *acl;
	char *auth_file;
	char *notify;
	char *stale;
	char *mount_options; /* a list for libfuse */
	char *operands[2];
	unsigned operand_count;
	bool is_answered; /* --help or --version was */
	bool is_refused;  /* and the user has been told why */
};

/* What became of a step. The user has been told unless FINE. */
enum verdict {
	FINE,
	MISUSED, /* the command line is wrong */
	FAILED,	 /* what it names is */
};

enum { KEY_HELP, KEY_VERSION, KEY_MOUNT_OPTION, KEY_REMOUNT, KEY_TYPE };

#define VALUED(template, member)                            \
	{                                                   \
		template, offsetof(struct words, member), 0 \
	}
#define SWITCH(template, member, setting)                         \
	{                                                         \
		template, offsetof(struct words, member), setting \
	}
#define IGNORED(template) FUSE_OPT_KEY(template, FUSE_OPT_KEY_DISCARD)

/* Letters (-f) are take_letters's, x-… is take_unknown's. */
static const struct fuse_opt rows[] = {
	FUSE_OPT_KEY("--help", KEY_HELP),
	FUSE_OPT_KEY("--version", KEY_VERSION),
	FUSE_OPT_KEY("-t ", KEY_TYPE),

	VALUED("acl=%s", acl),
	VALUED("auth_file=%s", auth_file),
	VALUED("notify=%s", notify),
	VALUED("stale=%s", stale),
	VALUED("cache_size=%s", quantities[CACHE_SIZE]),
	VALUED("max_data=%s", quantities[MAX_DATA]),
	VALUED("session_timeout=%s", quantities[SESSION_TIMEOUT]),
	VALUED("timeout=%s", quantities[TIMEOUT]),
	VALUED("ttl=%s", quantities[TTL]),
	SWITCH("allow_other", allow_other, 1),
	SWITCH("debug", debug, 1),
	SWITCH("nosymlinks", no_symlinks, 1),
	SWITCH("ro", read_only, 1),
	SWITCH("rw", read_only, 0),
	SWITCH("strict", strict, 1),

	/* mount(8)'s flags that libfuse 3.14 knows */
	FUSE_OPT_KEY("async", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("atime", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("context=", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("defcontext=", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("dev", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("dirsync", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("exec", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("fscontext=", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("noatime", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("nodev", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("noexec", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("nosuid", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("rootcontext=", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("suid", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("sync", KEY_MOUNT_OPTION),
	FUSE_OPT_KEY("remount", KEY_REMOUNT),

	/* its flags that mean nothing here: a znode has no access time, no set-uid version, no mandatory lock */
	IGNORED("defaults"),
	IGNORED("diratime"),
	IGNORED("iversion"),
	IGNORED("lazytime"),
	IGNORED("loud"),
	IGNORED("mand"),
	IGNORED("nodiratime"),
	IGNORED("noiversion"),
	IGNORED("nolazytime"),
	IGNORED("nomand"),
	IGNORED("norelatime"),
	IGNORED("nostrictatime"),
	IGNORED("relatime"),
	IGNORED("silent"),
	IGNORED("strictatime"),

	/* what is for whoever reads /etc/fstab */
	IGNORED("_netdev"),
	IGNORED("auto"),
	IGNORED("comment="),
	IGNORED("group"),
	IGNORED("helper="),
	IGNORED("noauto"),
	IGNORED("nofail"),
	IGNORED("nogroup"),
	IGNORED("noowner"),
	IGNORED("nouser"),
	IGNORED("nousers"),
	IGNORED("owner"),
	IGNORED("uhelper="),
	IGNORED("user"),
	IGNORED("user="),
	IGNORED("users"),
	FUSE_OPT_END,
};

/* --- Help and version --- */

static const char USAGE[] =
	"Usage: %s [OPTION]... [HOST:PORT[,HOST:PORT]...[/CHROOT]] MOUNTPOINT\n"
	"  or:  zkfs VERB [OPTION]... OPERAND...\n"
	"Mount an Apache ZooKeeper tree as a filesystem, or do with a mounted one what\n"
	"file tools cannot.\n"
	"\n"
	"Without servers, $ZKFS_SERVERS names them; without that, localhost:2181 is\n"
	"taken. Unmount with 'fusermount3 -u MOUNTPOINT'.\n"
	"\n"
	"  -f               stay in the foreground\n"
	"  -d               stay in the foreground and log everything, as -f -o debug\n"
	"  -r               mount read-only, as -o ro\n"
	"  -o OPTION[,OPTION]...\n"
	"                   mount options, see below\n"
	"  -h, --help       display this help and exit\n"
	"  -V, --version    output version information and exit\n"
	"\n"
	"Verbs ('zkfs VERB --help' tells more):\n"
	"  create           make a znode: ephemeral, sequential, container, with parents\n"
	"  hold             have an ephemeral znode for as long as a command runs\n"
	"  lock             run a command that has a lock, and end it before it has not\n"
	"  set              set a znode's data if it has a certain version\n"
	"  stat             show a znode's path and Stat\n"
	"  status           show how the session of a mount is\n"
	"  txn              make several changes in one transaction\n"
	"  wait             wait until files exist, are gone, have changed or hold a text\n"
	"\n"
	"Mount options:\n"
	"  acl=WHO          who may do what with new files: everybody everything (open,\n"
	"                     the default), only who has our credentials (creator),\n"
	"                     others read (read), or an ACL: SCHEME:ID:PERMISSIONS[\\,...]\n"
	"  allow_other      let other users in: they may read what everybody may\n"
	"  auth_file=FILE   credentials to show the servers, a line each:\n"
	"                     digest USER:PASSWORD\n"
	"  cache_size=SIZE  memory for cached znodes, default 64M\n"
	"  debug            log everything\n"
	"  max_data=SIZE    largest file that can be written, default 1000000,\n"
	"                     at most 1040000\n"
	"  nosymlinks       show symbolic links as the files that keep them\n"
	"  notify=HOW       tell inotify what others do (inotify, the default), or only\n"
	"                     take back what the kernel cached (invalidate)\n"
	"  ro, rw           read-only, or not (the default)\n"
	"  session_timeout=SECONDS\n"
	"                   ask for this session timeout, default 10\n"
	"  stale=WHEN       while no server answers, read what is cached: until the session\n"
	"                     would have expired (session, the default), never, forever\n"
	"  strict           refuse to change modes, owners, times and what is read-only\n"
	"                     in extended attributes instead of ignoring it\n"
	"  timeout=SECONDS  longest wait for a server, default session_timeout's\n"
	"  ttl=SECONDS      how long to trust what is cached where the servers cannot\n"
	"                     announce changes, default 1\n"
	"and those of mount(8), such as nodev, nosuid, noexec and _netdev.\n"
	"\n"
	"SIZE is a number of bytes; k, M or G after it means KiB, MiB or GiB. SECONDS\n"
	"may have decimals.\n"
	"\n"
	"Exit status is 0 once mounted, 1 if that failed, 2 for wrong usage.\n"
	"\n"
	"Full documentation: man zkfs\n";

static void print_usage(const struct words *words)
{
	(void)printf(USAGE, words->program);
}

static void print_version(void)
{
	(void)printf("zkfs %s\nlibfuse %s\n", ZKFS_VERSION, fuse_pkgversion());
}

/* --- The words --- */

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static enum verdict no_memory(void)
{
	log_error("no memory");
	return FAILED;
}

/* For wrong usage; a wrong value alone needs no help. */
static enum verdict try_help(const struct words *words)
{
	(void)fprintf(stderr, "Try '%s --help' for more information.\n", words->program);
	return MISUSED;
}

/* What fuse_opt's function gives when it is to stop. */
static int stop(bool *why)
{
	*why = true;
	return -1;
}

static int take_operand(struct words *words, const char *text)
{
	if (words->operand_count == 2) {
		log_error("extra operand '%s'", text);
		(void)try_help(words);
		return stop(&words->is_refused);
	}
	words->operands[words->operand_count] = strdup(text);
	return words->operands[words->operand_count++] ? 0 : -1;
}

static bool take_helper_letter(struct words *words, char letter)
{
	switch (letter) {
	case 'f':
		words->is_fake = true;
		return true;
	case 's':
		words->is_sloppy = true;
		return true;
	case 'n': /* there is no /etc/mtab to write */
	case 'v':
		return true;
	default:
		return false;
	}
}

static int take_letter(struct words *words, char letter)
{
	if (words->is_helper && take_helper_letter(words, letter))
		return 0;
	switch (letter) {
	case 'd':
		words->debug = 1;
		words->is_foreground = true;
		return 0;
	case 'f':
		words->is_foreground = true;
		return 0;
	case 'r':
		words->read_only = 1;
		return 0;
	case 'h':
		print_usage(words);
		return stop(&words->is_answered);
	case 'V':
		print_version();
		return stop(&words->is_answered);
	default:
		log_error("invalid option -- '%c'", letter);
		(void)try_help(words);
		return stop(&words->is_refused);
	}
}

static int take_letters(struct words *words, const char *letters)
{
	int err = 0;

	while (*letters && !err)
		err = take_letter(words, *letters++);
	return err;
}

/* Whether text is the name of an option, as a row has it, that takes a value. */
static bool is_valued(const char *text)
{
	size_t size = strlen(text);

	for (const struct fuse_opt *row = rows; row->templ; row++) {
		if (strncmp(row->templ, text, size) == 0 && row->templ[size] == '=')
			return true;
	}
	return false;
}

/* Whether text gives a value to an option that has none. */
static bool is_plain(const char *text)
{
	size_t size = strcspn(text, "=");

	for (const struct fuse_opt *row = rows; text[size] == '=' && row->templ; row++) {
		if (strncmp(row->templ, text, size) == 0 && row->templ[size] == '\0')
			return true;
	}
	return false;
}

static int take_unknown(struct words *words, const char *text)
{
	if (strcmp(text, "-") == 0)
		return take_operand(words, text);
	if (text[0] == '-' && text[1] != '-')
		return take_letters(words, text + 1);
	/* Nothing, as between two commas; and comments of fstab(5). */
	if (*text == '\0' || strncasecmp(text, "x-", 2) == 0)
		return 0;
	if (*text == '-')
		log_error("unrecognized option '%s'", text);
	else if (is_valued(text))
		log_error("mount option '%s' needs a value", text);
	else if (is_plain(text))
		log_error("mount option '%.*s' takes no value", (int)strcspn(text, "="), text);
	else if (words->is_sloppy)
		return 0;
	else
		log_error("unknown mount option '%s'", text);
	(void)try_help(words);
	return stop(&words->is_refused);
}

/* fuse_opt's function: 0 for what has been taken, -1 to stop. */
static int take_word(void *data, const char *text, int key, struct fuse_args *out)
{
	struct words *words = data;

	(void)out;
	switch (key) {
	case FUSE_OPT_KEY_NONOPT:
		return take_operand(words, text);
	case KEY_HELP:
		return take_letter(words, 'h');
	case KEY_VERSION:
		return take_letter(words, 'V');
	case KEY_MOUNT_OPTION:
		return fuse_opt_add_opt_escaped(&words->mount_options, text);
	case KEY_REMOUNT:
		log_error("cannot remount: unmount and mount again");
		return stop(&words->is_refused);
	case KEY_TYPE:
		return words->is_helper ? 0 : take_letter(words, 't');
	default:
		return take_unknown(words, text);
	}
}

static void ignore_log(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
}

/* libfuse's own words for what is wrong are not ours: only the last word can lack its argument. */
static enum verdict split(struct words *words, struct fuse_args *args)
{
	const char *last = args->argv[args->argc - 1];
	int err;

	fuse_set_log_func(ignore_log);
	err = fuse_opt_parse(args, words, rows, take_word);
	fuse_set_log_func(NULL);
	if (!err)
		words->program = last_component(args->argv[0]); /* the old one may be gone */
	if (!err || words->is_answered)
		return FINE;
	if (words->is_refused)
		return MISUSED;
	if (strcmp(last, "-o") != 0 && strcmp(last, "-t") != 0)
		return no_memory();
	if (last[1] == 't' && !words->is_helper)
		log_error("invalid option -- 't'");
	else
		log_error("option requires an argument -- '%c'", last[1]);
	return try_help(words);
}

static enum verdict check_operands(const struct words *words)
{
	if (words->operand_count == 0)
		log_error("missing mount point");
	else if (words->is_helper && words->operand_count == 1)
		log_error("missing mount point after '%s'", words->operands[0]);
	else
		return FINE;
	return try_help(words);
}

static void words_release(struct words *words)
{
	for (size_t i = 0; i < QUANTITIES; i++)
		free(words->quantities[i]);
	for (size_t i = 0; i < words->operand_count; i++)
		free(words->operands[i]);
	free(words->acl);
	free(words->auth_file);
	free(words->notify);
	free(words->stale);
	free(words->mount_options);
}

/* --- Their meaning --- */

/* "64M". False: it is no number, or it does not fit. */
static bool parse_bytes(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kKmMgG";
	const char *suffix;
	unsigned shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*bytes = strtoull(text, &end, 10); /* what does not fit is UINT64_MAX, which is beyond every maximum */
	if (*end) {
		suffix = strchr(suffixes, *end++);
		if (!suffix)
			return false;
		shift = 10 * (1 + (unsigned)(suffix - suffixes) / 2);
	}
	if (*end || *bytes > UINT64_MAX >> shift)
		return false;
	*bytes <<= shift;
	return true;
}

/* "2.5", to milliseconds. */
static bool parse_seconds(const char *text, uint64_t *ms)
{
	static const double limit = 1e9;
	double seconds;
	char *end;

	/* strtod knows infinities and hexadecimals, too */
	if (*text < '0' || *text > '9' || text[strspn(text, "0123456789.")])
		return false;
	seconds = strtod(text, &end);
	if (*end || seconds > limit)
		return false;
	*ms = (uint64_t)(seconds * 1000 + 0.5);
	return true;
}

static const struct quantity {
	const char *name;
	bool (*parse)(const char *text, uint64_t *value);
	const char *preset;
	uint64_t min, max;
	const char *wanted;
} quantities[QUANTITIES] = {
	[CACHE_SIZE] = { "cache_size", parse_bytes, "64M", 0, SIZE_MAX / 2, "a number of bytes such as 64M" },
	[MAX_DATA] = { "max_data", parse_bytes, "1000000", 1, MAX_DATA_LIMIT,
		"1 to 1040000 bytes, as a packet of ZooKeeper's holds 1 MiB" },
	[SESSION_TIMEOUT] = { "session_timeout", parse_seconds, "10", 100, DAY_MS, "0.1 to 86400 seconds" },
	[TIMEOUT] = { "timeout", parse_seconds, "10", 100, DAY_MS, "0.1 to 86400 seconds" },
	[TTL] = { "ttl", parse_seconds, "1", 0, DAY_MS, "0 to 86400 seconds" },
};

static enum verdict take_quantity(const struct quantity *quantity, const char *text, uint64_t *value)
{
	if (!text)
		return quantity->parse(quantity->preset, value) ? FINE : FAILED;
	if (quantity->parse(text, value) && *value >= quantity->min && *value <= quantity->max)
		return FINE;
	log_error("invalid value '%s' of option '%s': expected %s", text, quantity->name, quantity->wanted);
	return MISUSED;
}

/* A number of seconds that the kernel keeps; 0: there is none. */
static int kernel_seconds(const char *name)
{
	unsigned int seconds = 0;
	char path[64];
	FILE *in;

	(void)snprintf(path, sizeof(path), "/proc/sys/fs/fuse/%s", name);
	in = fopen(path, "re");
	if (!in)
		return 0; /* before Linux 6.15 */
	if (fscanf(in, "%u", &seconds) != 1 || seconds > DAY_MS / 1000)
		seconds = 0;
	(void)fclose(in);
	return (int)seconds;
}

/* If an answer takes longer than that, the kernel ends the mount (init_server_timeout in fs/fuse/inode.c). */
static void bound_timeout(struct options *options)
{
	enum { SPARE_MS = 2000 };
	int preset = kernel_seconds("default_request_timeout");
	int max = kernel_seconds("max_request_timeout");
	int limit = 1000 * (preset && (!max || preset < max) ? preset : max);
	int most = limit > 2 * SPARE_MS ? limit - SPARE_MS : limit / 2;

	if (!limit || options->timeout <= most)
		return;
	log_warning("calls wait for %g s at most, not %g: the kernel ends mounts that take %d s to answer",
		most / 1000.0, options->timeout / 1000.0, limit / 1000);
	options->timeout = most;
}

static enum verdict take_quantities(const struct words *words, struct options *options)
{
	uint64_t values[QUANTITIES];

	for (size_t i = 0; i < QUANTITIES; i++) {
		enum verdict verdict = take_quantity(&quantities[i], words->quantities[i], &values[i]);

		if (verdict)
			return verdict;
	}
	options->cache_size = (size_t)values[CACHE_SIZE];
	options->max_data = (size_t)values[MAX_DATA];
	options->session_timeout = (int)values[SESSION_TIMEOUT];
	options->timeout = (int)(words->quantities[TIMEOUT] ? values[TIMEOUT] : values[SESSION_TIMEOUT]);
	options->ttl = (int)values[TTL];
	bound_timeout(options);
	return FINE;
}

static void take_switches(const struct words *words, struct options *options)
{
	options->foreground = words->is_foreground;
	options->is_strict = words->strict;
	options->with_symlinks = !words->no_symlinks;
	options->allow_other = words->allow_other;
	options->is_read_only = words->read_only;
	options->is_fake = words->is_fake;
	options->failure_status = words->is_helper ? MNT_EX_FAIL : EXIT_FAILED;
	options->log_level = words->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

static enum verdict take_notify(const struct words *words, struct options *options)
{
	const char *how = words->notify ? words->notify : "inotify";

	options->announces = strcmp(how, "inotify") == 0;
	if (options->announces || strcmp(how, "invalidate") == 0)
		return FINE;
	log_error("invalid value '%s' of option 'notify': expected inotify or invalidate", how);
	return MISUSED;
}

static enum verdict take_stale(const struct words *words, struct options *options)
{
	static const char *const names[] = { [CACHE_STALE_SESSION] = "session",
		[CACHE_STALE_NEVER] = "never",
		[CACHE_STALE_FOREVER] = "forever" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(words->stale ? words->stale : "session", names[i]) == 0) {
			options->stale = (enum cache_stale)i;
			return FINE;
		}
	}
	log_error("invalid value '%s' of option 'stale': expected session, never or forever", words->stale);
	return MISUSED;
}

/* "open" needs none. */
static const char *acl_text(const char *value)
{
	static const struct {
		const char *name, *text;
	} named[] = { { "creator", "auth::cdrwa" }, { "read", "auth::cdrwa,world:anyone:r" } };

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (strcmp(value, named[i].name) == 0)
			return named[i].text;
	}
	return value;
}

static enum verdict take_acl(const struct words *words, struct options *options)
{
	char reason[512];
	const char *text;
	int err;

	if (!words->acl || strcmp(words->acl, "open") == 0)
		return FINE;
	text = acl_text(words->acl);
	err = acl_parse(text, strlen(text), &options->acl, reason, sizeof(reason));
	if (!err)
		return FINE;
	if (err == -ENOMEM)
		return no_memory();
	log_error("invalid value of option 'acl': %s; expected open, creator, read or an ACL", reason);
	return MISUSED;
}

static const char *servers_text(const struct words *words)
{
	const char *variable = getenv("ZKFS_SERVERS");

	if (words->operand_count == 2)
		return words->operands[0];
	return variable && *variable ? variable : DEFAULT_SERVERS;
}

/* It looks like a verb, but there is no such. */
static bool is_perhaps_verb(const struct words *words, const char *word)
{
	return !words->is_helper && *word >= 'a' && *word <= 'z' && !strpbrk(word, "/:,.");
}

static enum verdict take_servers(const struct words *words, struct options *options)
{
	char reason[512];
	int err = servers_parse(servers_text(words), &options->servers, reason, sizeof(reason));

	if (!err)
		return FINE;
	log_error("%s%s", words->operand_count == 2 ? "" : "$ZKFS_SERVERS: ", reason);
	if (words->operand_count == 2 && is_perhaps_verb(words, words->operands[0]))
		(void)try_help(words);
	return err == -ENOMEM ? FAILED : MISUSED;
}

/* --- What they name --- */

static enum verdict read_credentials(const struct words *words, struct options *options)
{
	char reason[512];

	if (!words->auth_file)
		return FINE;
	if (*words->auth_file == '\0') {
		log_error("mount option 'auth_file' needs a file");
		return MISUSED;
	}
	if (credentials_read(words->auth_file, &options->credentials, reason, sizeof(reason)) == 0)
		return FINE;
	log_error("%s", reason);
	return FAILED;
}

/* "auth" stands for those whose credentials we show: ZooKeeper would refuse each new znode if there were none. */
static enum verdict check_acl(const struct words *words, const struct options *options)
{
	for (uint32_t i = 0; options->acl && i < options->acl->count; i++) {
		if (strcmp(options->acl->list[i].scheme, "auth") == 0 && options->credentials.count == 0) {
			log_error("mount option 'acl=%s' needs credentials: name a file of them with 'auth_file'",
				words->acl);
			return MISUSED;
		}
	}
	return FINE;
}

/* The mode, or -errno. From the filesystem itself: the kernel still has what it cached of one whose daemon is gone. */
static int read_mode(const char *path, mode_t *mode)
{
	struct statx stat;

	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC, STATX_TYPE | STATX_MODE, &stat) < 0)
		return -errno;
	*mode = stat.stx_mode;
	return 0;
}

/* Says why nothing can be mounted on path, err and mode being what read_mode gave. FINE: it can. */
static enum verdict judge_mountpoint(const char *path, int err, mode_t mode)
{
	if (err == -ENOTCONN)
		log_error("the daemon of the mount on '%s' is gone: unmount it with 'fusermount3 -u %s' first", path,
			path);
	else if (err == -ENOENT)
		log_error("mount point '%s' does not exist", path);
	else if (mountpoint_is_taken(path))
		log_error("something is mounted on '%s' already", path);
	else if (err)
		log_error("cannot access mount point '%s': %s", path, strerror(-err));
	else if (!S_ISDIR(mode))
		log_error("mount point '%s' is not a directory", path);
	else if (geteuid() != 0 && access(path, W_OK) < 0) /* fusermount3 would refuse it */
		log_error("cannot mount on '%s': %s", path, strerror(errno));
	else
		return FINE;
	return FAILED;
}

static enum verdict check_mountpoint(const struct words *words, struct options *options)
{
	const char *given = words->operands[words->operand_count - 1];
	mode_t mode = 0;
	enum verdict verdict;
	int err;

	if (!words->is_fake && mountpoint_clear(given) < 0)
		return FAILED;
	err = read_mode(given, &mode);
	if (err == -ENOENT && words->operand_count == 1 && strchr(given, ':')) {
		log_error("missing mount point after '%s'", given);
		return try_help(words);
	}
	verdict = judge_mountpoint(given, err, mode);
	if (err == -ENOENT && words->operand_count == 1 && is_perhaps_verb(words, given))
		(void)try_help(words);
	if (verdict)
		return verdict;
	options->mountpoint = realpath(given, NULL);
	if (options->mountpoint)
		return FINE;
	log_error("cannot access mount point '%s': %s", given, strerror(errno));
	return FAILED;
}

static enum verdict check_device(void)
{
	int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	const char *advice = "";

	if (fd >= 0) {
		(void)close(fd);
		return FINE;
	}
	if (errno == EACCES)
		advice = " (root can give it to everybody with 'chmod 666 /dev/fuse')";
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		advice = " ('modprobe fuse' loads the kernel's part; a container must be given the device)";
	log_error("cannot open '%s': %s%s", FUSE_DEVICE, strerror(errno), advice);
	return FAILED;
}

/* Whether line is word, but for blanks and a comment. Changes line. */
static bool is_line_of(char *line, const char *word)
{
	char *end;

	line[strcspn(line, "#\n")] = '\0';
	line += strspn(line, " \t");
	end = line + strcspn(line, " \t");
	return end[strspn(end, " \t")] == '\0' && (size_t)(end - line) == strlen(word) &&
		strncmp(line, word, strlen(word)) == 0;
}

static bool has_line(const char *file, const char *word)
{
	FILE *in = fopen(file, "re");
	char line[256];
	bool has = false;

	if (!in)
		return false;
	while (!has && fgets(line, sizeof(line), in))
		has = is_line_of(line, word);
	(void)fclose(in);
	return has;
}

/* fusermount3 refuses it, too, but after we have connected. */
static enum verdict check_allow_other(const struct options *options)
{
	if (!options->allow_other || getuid() == 0 || has_line(FUSE_CONF, "user_allow_other"))
		return FINE;
	log_error("mount option 'allow_other' is root's alone unless '%s' has a line 'user_allow_other'", FUSE_CONF);
	return FAILED;
}

/* --- What is for libfuse --- */

/* As it was typed: mount(8) compares it with fstab's when it looks what is mounted already. */
static int add_source(char **list, const char *servers)
{
	char *option;
	int err;

	if (asprintf(&option, "fsname=%s", servers) < 0)
		return -1;
	err = fuse_opt_add_opt_escaped(list, option);
	free(option);
	return err;
}

static int add_options(char **list, const struct words *words, const struct options *options)
{
	if (add_source(list, servers_text(words)) < 0 || fuse_opt_add_opt(list, "subtype=zkfs") < 0)
		return -1;
	if (options->is_read_only && !options->announces && fuse_opt_add_opt(list, "ro") < 0) /* see readonly.h */
		return -1;
	return options->allow_other ? fuse_opt_add_opt(list, "allow_other,default_permissions") : 0;
}

static enum verdict replace_args(struct words *words, struct fuse_args *args, const struct options *options)
{
	struct fuse_args fresh = FUSE_ARGS_INIT(0, NULL);

	if (add_options(&words->mount_options, words, options) < 0 || fuse_opt_add_arg(&fresh, words->program) < 0 ||
		fuse_opt_add_arg(&fresh, "-o") < 0 || fuse_opt_add_arg(&fresh, words->mount_options) < 0) {
		fuse_opt_free_args(&fresh);
		return no_memory();
	}
	fuse_opt_free_args(args);
	*args = fresh;
	return FINE;
}

/* --- All of it --- */

/* In the order in which a user wants to be told. */
static enum verdict take_all(struct words *words, struct fuse_args *args, struct options *options)
{
	enum verdict verdict = split(words, args);

	if (verdict || words->is_answered)
		return verdict;
	take_switches(words, options);
	verdict = check_operands(words);
	if (!verdict)
		verdict = take_quantities(words, options);
	if (!verdict)
		verdict = take_notify(words, options);
	if (!verdict)
		verdict = take_stale(words, options);
	if (!verdict)
		verdict = take_acl(words, options);
	if (!verdict)
		verdict = take_servers(words, options);
	if (!verdict)
		verdict = read_credentials(words, options);
	if (!verdict)
		verdict = check_acl(words, options);
	if (!verdict)
		verdict = check_mountpoint(words, options);
	if (!verdict)
		verdict = check_device();
	if (!verdict)
		verdict = check_allow_other(options);
	return verdict ? verdict : replace_args(words, args, options);
}

static int exit_status(const struct words *words, enum verdict verdict)
{
	if (words->is_helper)
		return verdict == MISUSED ? MNT_EX_USAGE : MNT_EX_FAIL;
	return verdict == MISUSED ? EXIT_MISUSED : EXIT_FAILED;
}

/* The answer to --help may have had nowhere to go (a full disk, a closed pipe). */
static enum verdict finish_answer(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return FINE;
	log_error("cannot write to standard output: %s", strerror(errno));
	return FAILED;
}

enum options_outcome options_parse(struct options *options, struct fuse_args *args, int *status)
{
	const char *program = last_component(args->argv[0]);
	struct words words = { .program = program, .is_helper = strcmp(program, "mount.zkfs") == 0 };
	enum options_outcome outcome = OPTIONS_MOUNT;
	enum verdict verdict;

	memset(options, 0, sizeof(*options));
	*status = 0;
	verdict = take_all(&words, args, options);
	if (words.is_answered) {
		outcome = OPTIONS_DONE;
		verdict = finish_answer();
	}
	if (verdict) {
		outcome = OPTIONS_WRONG;
		*status = exit_status(&words, verdict);
	}
	if (outcome != OPTIONS_MOUNT)
		options_release(options);
	words_release(&words);
	return outcome;
}

void options_release(struct options *options)
{
	servers_release(&options->servers);
	credentials_release(&options->credentials);
	acl_list_put(options->acl);
	free(options->mountpoint);
	memset(options, 0, sizeof(*options));
}
