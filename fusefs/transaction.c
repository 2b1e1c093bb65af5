#include "fusefs/transaction.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fusefs/names.h"

enum { WORDS_MAX = 8 }; /* of a line; more than any has */

struct word {
	char *text; /* of size bytes and a terminator, our own */
	size_t size;
	bool is_quoted;
};

/* A line being read. */
struct line {
	const char *next, *end;
	struct word words[WORDS_MAX];
	size_t count;
	struct transaction_error *error;
};

/* Gives -EINVAL, with one line as the message. */
__attribute__((format(printf, 2, 3))) static int wrong(struct transaction_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	/* A word of the text may be in it, with any bytes. */
	for (char *c = error->message; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return -EINVAL;
}

/* --- Words --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands behind a backslash: the byte, or -1. */
static int take_escape(struct line *line)
{
	static const char letters[] = "\"\\nrt";
	static const char bytes[] = "\"\\\n\r\t";
	const char *letter;
	int byte = -1;

	if (line->next == line->end)
		return -1;
	if (*line->next == 'x') {
		if (line->end - line->next < 3 || hex_digit(line->next[1]) < 0 || hex_digit(line->next[2]) < 0)
			return -1;
		byte = hex_digit(line->next[1]) * 16 + hex_digit(line->next[2]);
		line->next += 3;
		return byte;
	}
	letter = *line->next ? strchr(letters, *line->next) : NULL;
	if (letter) {
		byte = (unsigned char)bytes[letter - letters];
		line->next++;
	}
	return byte;
}

/* The word is no longer than what is left of the line. */
static int take_quoted(struct line *line, struct word *word)
{
	word->is_quoted = true;
	for (line->next++; line->next < line->end && *line->next != '"';) {
		int byte = (unsigned char)*line->next++;

		if (byte == '\\')
			byte = take_escape(line);
		if (byte < 0)
			return wrong(line->error, "not an escape: only \\\" \\\\ \\n \\r \\t \\xHH are");
		word->text[word->size++] = (char)byte;
	}
	if (line->next == line->end)
		return wrong(line->error, "the closing \" is missing");
	line->next++;
	if (line->next < line->end && !is_blank(*line->next))
		return wrong(line->error, "a blank is missing behind the closing \"");
	return 0;
}

static int take_bare(struct line *line, struct word *word)
{
	while (line->next < line->end && !is_blank(*line->next)) {
		char c = *line->next++;

		if (c == '"' || c == '\\' || c == '\0')
			return wrong(line->error, "a word with %s must be in quotes",
				c == '"'	    ? "a \""
					: c == '\\' ? "a \\"
						    : "a NUL byte");
		word->text[word->size++] = c;
	}
	return 0;
}

static int take_word(struct line *line)
{
	struct word *word = &line->words[line->count];
	int err;

	if (line->count == WORDS_MAX)
		return wrong(line->error, "too many words");
	/* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): the end is never before what comes next */
	word->text = malloc((size_t)(line->end - line->next) + 1);
	if (!word->text)
		return -ENOMEM;
	line->count++;
	err = *line->next == '"' ? take_quoted(line, word) : take_bare(line, word);
	word->text[word->size] = '\0';
	return err;
}

static int take_words(struct line *line)
{
	int err = 0;

	while (!err) {
		while (line->next < line->end && is_blank(*line->next))
			line->next++;
		if (line->next == line->end || (line->count == 0 && *line->next == '#'))
			break;
		err = take_word(line);
	}
	return err;
}

static void line_release(struct line *line)
{
	for (size_t i = 0; i < line->count; i++)
		free(line->words[i].text);
}

/* --- Steps --- */

static bool is_word(const struct word *word, const char *text)
{
	return !word->is_quoted && strcmp(word->text, text) == 0;
}

/* A path's component, of size bytes. */
static int check_name(const char *text, size_t size, struct transaction_error *error)
{
	enum name_class class;
	char name[NAMES_MAX + 1];
	size_t parsed;

	if (size > NAMES_MAX)
		return wrong(error, "a name in the path is longer than %d bytes", NAMES_MAX);
	memcpy(name, text, size);
	name[size] = '\0';
	switch (name_parse(name, false, &class, &parsed)) {
	case 0:
		return 0;
	case -EILSEQ:
		return wrong(error, "the path has a character that ZooKeeper refuses");
	default:
		return wrong(error, size ? "the path has a component . or .." : "the path has an empty component");
	}
}

static int check_path(const struct word *word, bool is_sequential, struct transaction_error *error)
{
	const char *next = word->text;
	int err = 0;

	if (strlen(word->text) != word->size)
		return wrong(error, "the path has a NUL byte");
	if (word->text[0] != '/')
		return wrong(error, "the path does not begin with /");
	if (word->size == 1)
		return 0;
	while (!err && *next) {
		size_t size = strcspn(++next, "/");

		if (size == 0 && *next == '\0' && is_sequential)
			break; /* the number alone is the name */
		err = check_name(next, size, error);
		next += size;
	}
	return err;
}

static int take_version(const struct word *word, int32_t *version, struct transaction_error *error)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(word->text, &end, 10);
	if (word->is_quoted || end == word->text || end != word->text + word->size || word->text[0] == '+' || errno ||
		number < INT32_MIN || number > INT32_MAX)
		return wrong(error, "not a version: '%.40s'", word->text);
	*version = (int32_t)number;
	return 0;
}

/* ZooKeeper keeps 40 bits of it, which is 34 years; 31 bits do. */
static int take_ttl(const char *text, struct write_step *step, struct transaction_error *error)
{
	size_t digits = strspn(text, "0123456789");

	step->ttl = digits && digits <= 10 && !text[digits] ? strtoll(text, NULL, 10) : 0;
	if (step->ttl <= 0 || step->ttl > INT32_MAX)
		return wrong(error, "not a time to live: '%.40s'", text);
	return 0;
}

/* What one step alone can have. */
static int check_kind(const struct write_step *step, struct transaction_error *error)
{
	if (step->mode == WRITE_CONTAINER && (step->is_sequential || step->ttl))
		return wrong(error, "a container can be neither sequential nor have a time to live");
	if (step->mode == WRITE_EPHEMERAL && step->ttl)
		return wrong(error, "what is ephemeral can have no time to live");
	return 0;
}

static int take_flag(const struct word *word, struct write_step *step, struct transaction_error *error)
{
	if (is_word(word, "sequential") && !step->is_sequential)
		step->is_sequential = true;
	else if (is_word(word, "ephemeral") && step->mode == WRITE_PERSISTENT)
		step->mode = WRITE_EPHEMERAL;
	else if (is_word(word, "container") && step->mode == WRITE_PERSISTENT)
		step->mode = WRITE_CONTAINER;
	else if (!word->is_quoted && strncmp(word->text, "ttl=", 4) == 0 && !step->ttl)
		return take_ttl(word->text + 4, step, error);
	else
		return wrong(error, "not a flag here: '%.40s'", word->text);
	return 0;
}

static const char *const verbs[] = {
	[WRITE_CREATE] = "create",
	[WRITE_SET] = "set",
	[WRITE_DELETE] = "delete",
	[WRITE_CHECK] = "check",
};

const char *transaction_verb(enum write_verb verb)
{
	return verbs[verb];
}

static int take_verb(const struct word *word, struct write_step *step, struct transaction_error *error)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (is_word(word, verbs[i])) {
			step->verb = (enum write_verb)i;
			return 0;
		}
	}
	return wrong(error, "neither check, create, set nor delete: '%.40s'", word->text);
}

/* What stands behind the path, and the data if there is some. */
static int take_rest(const struct line *line, size_t at, struct write_step *step)
{
	int err = 0;

	step->version = -1;
	if (step->verb != WRITE_CREATE) {
		if (line->count > at + 1)
			return wrong(line->error, "too many words");
		return line->count > at ? take_version(&line->words[at], &step->version, line->error) : 0;
	}
	for (; !err && at < line->count; at++)
		err = take_flag(&line->words[at], step, line->error);
	return err ? err : check_kind(step, line->error);
}

static int take_step(const struct line *line, struct write_step *step)
{
	size_t at = 1;
	int err = take_verb(&line->words[0], step, line->error);
	bool has_data = step->verb == WRITE_CREATE || step->verb == WRITE_SET;

	if (!err && line->count < at + 1)
		return wrong(line->error, "%s needs a path", verbs[step->verb]);
	at++;
	if (!err && has_data && line->count < at + 1)
		return wrong(line->error, "%s needs data (\"\" for none)", verbs[step->verb]);
	if (!err)
		err = take_rest(line, has_data ? at + 1 : at, step);
	if (!err)
		err = check_path(&line->words[1], step->is_sequential, line->error);
	if (err)
		return err;
	if (has_data && line->words[at].size) {
		step->data = bytes_new(line->words[at].text, line->words[at].size);
		if (!step->data)
			return -ENOMEM;
	}
	step->path = strdup(line->words[1].text);
	return step->path ? 0 : -ENOMEM;
}

/* --- The text --- */

/* Room for one more step, which is empty. NULL: no memory. */
static struct write_step *add_step(struct transaction *transaction, size_t *capacity, unsigned line)
{
	if (transaction->count == *capacity) {
		size_t more = *capacity ? *capacity * 2 : 8;
		struct write_step *steps = reallocarray(transaction->steps, more, sizeof(*steps));
		unsigned *lines;

		if (!steps)
			return NULL;
		transaction->steps = steps;
		lines = reallocarray(transaction->lines, more, sizeof(*lines));
		if (!lines)
			return NULL;
		transaction->lines = lines;
		*capacity = more;
	}
	transaction->lines[transaction->count] = line;
	transaction->steps[transaction->count] = (struct write_step){ .verb = WRITE_CHECK };
	return &transaction->steps[transaction->count++];
}

static int take_line(struct transaction *transaction, size_t *capacity, struct line *line)
{
	int err = take_words(line);
	struct write_step *step;

	if (err || line->count == 0)
		return err;
	step = add_step(transaction, capacity, line->error->line);
	return step ? take_step(line, step) : -ENOMEM;
}

/* ZooKeeper's client library can put neither into a transaction. */
static int check_alone(const struct transaction *transaction, struct transaction_error *error)
{
	for (size_t i = 0; transaction->count > 1 && i < transaction->count; i++) {
		const struct write_step *step = &transaction->steps[i];

		error->line = transaction->lines[i];
		if (step->mode == WRITE_CONTAINER || step->ttl)
			return wrong(error, "a container, or what has a time to live, can only be created alone");
	}
	return 0;
}

int transaction_parse(const char *text, size_t size, struct transaction *transaction, struct transaction_error *error)
{
	const char *end = text + size;
	size_t capacity = 0;
	int err = 0;

	*transaction = (struct transaction){ 0 };
	*error = (struct transaction_error){ 0 };
	while (!err && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct line line = { .next = text, .end = newline ? newline : end, .error = error };

		error->line++;
		err = take_line(transaction, &capacity, &line);
		line_release(&line);
		text = newline ? newline + 1 : end;
	}
	if (!err)
		err = check_alone(transaction, error);
	if (err)
		transaction_release(transaction);
	return err;
}

void transaction_release(struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->count; i++) {
		free((char *)transaction->steps[i].path);
		bytes_put(transaction->steps[i].data);
	}
	free(transaction->steps);
	free(transaction->lines);
	*transaction = (struct transaction){ 0 };
}

static bool is_plain(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || text[i] == '"' || text[i] == '\\')
			return false;
	}
	return size > 0 && text[0] != '#';
}

void transaction_put_word(struct buf *out, const char *text, size_t size)
{
	if (is_plain(text, size)) {
		(void)buf_append(out, text, size);
		return;
	}
	(void)buf_append(out, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		char escape[8];
		int length = 1;

		if (c == '"' || c == '\\')
			length = snprintf(escape, sizeof(escape), "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			length = snprintf(escape, sizeof(escape), "\\x%02x", c);
		else
			escape[0] = (char)c;
		(void)buf_append(out, escape, (size_t)length);
	}
	(void)buf_append(out, "\"", 1);
}
