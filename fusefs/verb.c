#include "fusefs/verb.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fusefs/names.h"
#include "fusefs/transaction.h"

/* --- Messages and words --- */

void verb_error(const struct verb *verb, const char *format, ...)
{
	char *message;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&message, format, args);
	va_end(args);
	(void)fprintf(stderr, "zkfs %s: %s\n", verb->name, length < 0 ? strerror(ENOMEM) : message);
	if (length >= 0)
		free(message);
}

const char *verb_why(int error)
{
	switch (abs(error)) {
	case EILSEQ:
		return "ZooKeeper refuses a character in its name";
	case ENAMETOOLONG:
		return "its name or path is too long";
	case ENOTSUP:
		return "it is no znode";
	case ENODATA:
		return "it has not been saved yet";
	case ENOTCONN:
		return "the mount's daemon is gone";
	case ETIMEDOUT:
		return "no server answers";
	default:
		return strerror(abs(error));
	}
}

int verb_misused(const struct verb *verb)
{
	(void)fprintf(stderr, "Try 'zkfs %s --help' for more information.\n", verb->name);
	return VERB_MISUSED;
}

int verb_finish(const struct verb *verb)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	verb_error(verb, "cannot write to standard output: %s", strerror(errno));
	return VERB_FAILED;
}

int verb_help(const struct verb *verb)
{
	(void)fputs(verb->usage, stdout);
	return verb_finish(verb);
}

bool verb_number(const char *text, long long max, long long *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoll(text, &end, 10);
	return *end == '\0' && errno == 0 && *number <= max;
}

bool verb_seconds(const char *text, double *seconds)
{
	static const double longest = 1e9; /* beyond it there are no timers */
	char *end;

	if (!*text || text[strspn(text, "0123456789.")])
		return false;
	*seconds = strtod(text, &end);
	return *end == '\0' && end != text && *seconds <= longest;
}

/* To its end. 0 or -errno. */
static int read_all(int fd, struct buf *to)
{
	char piece[65536];
	ssize_t size;

	while ((size = read(fd, piece, sizeof(piece))) != 0) {
		if (size < 0 && errno != EINTR)
			return -errno;
		if (size > 0 && !buf_append(to, piece, (size_t)size))
			return -ENOMEM;
	}
	return 0;
}

bool verb_data(const struct verb *verb, const char *text, struct buf *data)
{
	int err = -ENOMEM;

	if (strcmp(text, "-") == 0)
		err = read_all(STDIN_FILENO, data);
	else if (buf_append(data, text, strlen(text)))
		err = 0;
	if (err)
		verb_error(verb, "cannot read standard input: %s", strerror(-err));
	return !err;
}

char **verb_command(const struct verb *verb, int argc, char **argv, int max)
{
	int separator = optind;

	while (separator < argc && strcmp(argv[separator], "--") != 0)
		separator++;
	if (optind == argc)
		verb_error(verb, "missing path");
	else if (separator >= argc - 1)
		verb_error(verb, "missing '--' and a command");
	else if (separator == optind || separator > optind + max)
		verb_error(verb, separator == optind ? "missing path" : "too many operands before '--'");
	else
		return argv + separator + 1;
	(void)verb_misused(verb);
	return NULL;
}

/* --- The mount --- */

/* Cuts the last component off, down to "/" or ".". False: there is nothing left to cut. */
static bool cut(char *path)
{
	char *end = path + strlen(path);

	while (end > path + 1 && end[-1] == '/')
		end--;
	*end = '\0';
	if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
		return false;
	while (end > path && end[-1] != '/')
		end--;
	while (end > path + 1 && end[-1] == '/')
		end--;
	if (end == path)
		*end++ = '.';
	*end = '\0';
	return true;
}

/* path has room for "." at least. -1: nothing of it can be reached. */
static int open_nearest(char *path)
{
	int fd;

	do
		fd = open(path, O_PATH | O_CLOEXEC);
	while (fd < 0 && cut(path));
	return fd;
}

/* In place: mountinfo writes blanks, tabs, newlines and backslashes as \ooo. */
static void unescape_octal(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The line's mountpoint, if it is that of the root of a zkfs with this device; of *line's. */
static char *match_mount(char *line, const char *device, bool *is_zkfs)
{
	enum { DEVICE = 2, ROOT, MOUNTPOINT, FIELDS };
	char *fields[FIELDS] = { NULL };
	char *rest = line;
	const char *type = strstr(line, " - fuse.zkfs ");

	for (int i = 0; i < FIELDS; i++)
		fields[i] = strsep(&rest, " ");
	if (!type || !fields[MOUNTPOINT] || strcmp(fields[DEVICE], device) != 0)
		return NULL;
	*is_zkfs = true;
	if (strcmp(fields[ROOT], "/") != 0)
		return NULL;
	unescape_octal(fields[MOUNTPOINT]);
	return fields[MOUNTPOINT];
}

static bool is_on(const char *path, const char *device)
{
	char number[32];
	struct statx stat;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stat) < 0)
		return false;
	(void)snprintf(number, sizeof(number), "%u:%u", stat.stx_dev_major, stat.stx_dev_minor);
	return strcmp(number, device) == 0;
}

/* NULL: there is none that can be reached; *is_zkfs: but it is one. */
static char *find_root(const char *device, bool *is_zkfs)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	char *root = NULL;
	size_t capacity = 0;

	*is_zkfs = false;
	if (!in)
		return NULL;
	while (!root && getline(&line, &capacity, in) > 0) {
		const char *found = match_mount(line, device, is_zkfs);

		if (found && is_on(found, device)) /* nothing else is mounted over it */
			root = strdup(found);
	}
	free(line);
	(void)fclose(in);
	return root;
}

char *verb_mount(const struct verb *verb, const char *path, dev_t *device)
{
	char *nearest = malloc(strlen(path) + 2);
	char number[32] = "";
	char *root = NULL;
	bool is_zkfs = false;
	struct statx stat;
	int fd = -1;

	if (nearest) {
		memcpy(nearest, path, strlen(path) + 1);
		fd = open_nearest(nearest);
	}
	if (fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stat) == 0) {
		(void)snprintf(number, sizeof(number), "%u:%u", stat.stx_dev_major, stat.stx_dev_minor);
		root = find_root(number, &is_zkfs);
		if (device)
			*device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
	}
	if (fd >= 0)
		(void)close(fd);
	free(nearest);
	if (!root && is_zkfs)
		verb_error(verb, "the root of the mount that '%s' is on is mounted nowhere", path);
	else if (!root)
		verb_error(verb, "'%s' is not on a zkfs mount", path);
	return root;
}

/* --- Its control files --- */

int verb_open_control(const char *root, const char *name, int flags)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/.zkfs/%s", root, name) < 0)
		return -1;
	fd = open(path, flags | O_CLOEXEC);
	free(path);
	return fd;
}

int verb_read_control(const char *root, const char *name, struct buf *text)
{
	int fd = verb_open_control(root, name, O_RDONLY);
	int err;

	if (fd < 0)
		return -errno;
	err = read_all(fd, text);
	(void)close(fd);
	return err;
}

const char *verb_value(const struct buf *session, const char *key, size_t *size)
{
	const char *line = session->data;
	const char *end = line + session->size;
	size_t length = strlen(key);

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		newline = newline ? newline : end;
		if ((size_t)(newline - line) > length && memcmp(line, key, length) == 0 && line[length] == ' ') {
			*size = (size_t)(newline - line) - length - 1;
			return line + length + 1;
		}
		line = newline + 1;
	}
	return NULL;
}

int verb_submit(const char *root, const struct buf *text, struct buf *result)
{
	size_t written = 0;
	ssize_t size = 0;
	int err = 0;
	int fd;

	if (text->failed)
		return -ENOMEM;
	fd = verb_open_control(root, "transaction", O_RDWR);
	if (fd < 0)
		return -errno;
	while (written < text->size && size >= 0) {
		size = write(fd, text->data + written, text->size - written);
		written += size > 0 ? (size_t)size : 0;
	}
	if (fsync(fd) < 0) /* also tells that it could not be written */
		err = -errno;
	if (read_all(fd, result) < 0 && !err)
		err = -EIO;
	(void)close(fd);
	return err;
}

/* Behind the word, and the blank behind that. */
static char *skip_word(char *text)
{
	bool is_quoted = *text == '"';

	if (is_quoted)
		text++;
	while (*text && (is_quoted ? *text != '"' : *text != ' ')) {
		if (*text == '\\' && text[1])
			text++;
		text++;
	}
	while (*text && *text != ' ')
		text++;
	return *text ? text + 1 : text;
}

/* Why there is no result to be read. */
static const char *reason_alone(int error)
{
	return error == -ETIMEDOUT ? "no server answers: whether it was done cannot be known" : verb_why(error);
}

/* "error LINE ERRNO VERB PATH: why", or without VERB and PATH where LINE is 0. */
const char *verb_reason(struct buf *result, int error, unsigned *line)
{
	static const char beginning[] = "error ";
	char *text = result->data;
	char *end;

	*line = 0;
	if (!text || result->size < sizeof(beginning) || memcmp(text, beginning, sizeof(beginning) - 1) != 0)
		return reason_alone(error);
	end = memchr(text, '\n', result->size);
	if (!end)
		return reason_alone(error);
	*end = '\0';
	text += sizeof(beginning) - 1;
	*line = (unsigned)strtoul(text, NULL, 10);
	text = skip_word(skip_word(text));
	if (*line && error != -EINVAL)
		text = skip_word(skip_word(text));
	return text;
}

char *verb_made(const struct buf *result)
{
	struct transaction_error wrong;
	struct transaction parsed;
	struct buf text = BUF_INIT;
	const char *line = result->data;
	char *made = NULL;

	if (!line || result->size < 4)
		return NULL;
	for (const char *at = line; at + 1 < result->data + result->size; at++) {
		if (*at == '\n')
			line = at + 1;
	}
	if (strncmp(line, "ok ", 3) != 0)
		return NULL;
	/* "ok PATH" is written as "check PATH" is read. */
	(void)buf_append(&text, "check", 5);
	(void)buf_append(&text, line + 2, (size_t)(result->data + result->size - line) - 2);
	if (!text.failed && transaction_parse(text.data, text.size, &parsed, &wrong) == 0) {
		made = parsed.count ? strdup(parsed.steps[0].path) : NULL;
		transaction_release(&parsed);
	}
	buf_release(&text);
	return made;
}

/* --- Znodes --- */

int verb_znode(const char *path, char **znode)
{
	enum { ROOM = 65536 }; /* XATTR_SIZE_MAX */
	ssize_t size;

	*znode = malloc(ROOM + 1);
	if (!*znode)
		return -ENOMEM;
	size = getxattr(path, "user.zk.path", *znode, ROOM);
	if (size < 0) {
		int err = errno;

		free(*znode);
		*znode = NULL;
		return err ? -err : -EIO;
	}
	(*znode)[size] = '\0';
	return 0;
}

static int add_name(struct buf *znode, const char *name, bool is_prefix)
{
	bool is_first = znode->size == 1;
	size_t size = strlen(name);
	enum name_class class = NAME_NODE;
	int err = is_prefix ? 0 : name_parse(name, is_first, &class, &size);

	if (err || class != NAME_NODE)
		return err ? err : -EPERM;
	if (!is_first)
		(void)buf_append(znode, "/", 1);
	(void)buf_append(znode, name, size);
	return znode->failed ? -ENOMEM : 0;
}

/* Those of rest, which is changed. */
static int add_names(struct buf *znode, char *rest, bool is_prefix)
{
	int err = 0;

	while (!err && rest) {
		const char *name = strsep(&rest, "/");

		if ((*name && strcmp(name, ".") != 0) || (is_prefix && !rest))
			err = add_name(znode, name, is_prefix && !rest);
	}
	return err;
}

/* The znode of the nearest file above path that is there; *directory is changed to its path. */
static int find_nearest(char *directory, char **znode)
{
	int err;

	do
		err = verb_znode(directory, znode);
	while ((err == -ENOENT || err == -ENOTDIR) && cut(directory));
	return err;
}

int verb_new_znode(const char *path, bool is_prefix, char **znode, size_t *there)
{
	struct buf made = BUF_INIT;
	char *directory = malloc(strlen(path) + 2);
	char *rest = strdup(path);
	size_t length = strlen(path);
	char *above = NULL;
	int err = -ENOMEM;

	if (directory && rest) {
		while (!is_prefix && length > 1 && rest[length - 1] == '/')
			rest[--length] = '\0';
		memcpy(directory, rest, length + 1);
		if (!is_prefix || (length && rest[length - 1] != '/'))
			(void)cut(directory);
		err = length ? find_nearest(directory, &above) : -ENOENT;
	}
	if (!err && above) {
		bool has_dot = rest[0] == '.' && (rest[1] == '/' || rest[1] == '\0');
		size_t cut_off = strcmp(directory, ".") == 0 && !has_dot ? 0 : strlen(directory);

		(void)buf_append(&made, above, strlen(above));
		*there = made.size;
		cut_off += rest[cut_off] == '/';
		err = made.failed ? -ENOMEM : add_names(&made, rest + cut_off, is_prefix);
	}
	if (!err && !buf_append(&made, "", 1))
		err = -ENOMEM;
	if (err)
		buf_release(&made);
	*znode = made.data;
	free(above);
	free(rest);
	free(directory);
	return err;
}

char *verb_sibling(const char *path, const char *znode)
{
	const char *name = strrchr(znode, '/') + 1;
	bool in_root = name == znode + 1;
	size_t length = strlen(path);
	char escaped[NAMES_MAX + 1];
	char *made;

	while (length && path[length - 1] != '/')
		length--;
	if (name_escape(name, in_root, escaped) < 0)
		return strdup(znode); /* no file can have that name */
	return asprintf(&made, "%.*s%s", (int)length, path, escaped) < 0 ? NULL : made;
}
