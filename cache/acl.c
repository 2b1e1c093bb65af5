#include "cache/acl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	char letter;
	int32_t bit;
} permissions[] = {
	{ 'c', 1 << 2 }, /* in the order of ZooKeeper's own text; ZOO_PERM_… are variables */
	{ 'd', 1 << 3 },
	{ 'r', 1 << 0 },
	{ 'w', 1 << 1 },
	{ 'a', 1 << 4 },
};

enum { PERMISSIONS = sizeof(permissions) / sizeof(permissions[0]), ALL_BITS = (1 << PERMISSIONS) - 1 };

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_control(char byte)
{
	return (unsigned char)byte < 0x20 || byte == 0x7f;
}

/* --- To text --- */

static void append_escaped(struct buf *out, const char *string, bool is_scheme)
{
	for (; *string; string++) {
		unsigned char byte = (unsigned char)*string;
		const char escaped[] = { '%', hex_digits[byte >> 4], hex_digits[byte & 0xf] };
		bool is_special = *string == '%' || *string == ',' || is_control(*string);

		if (is_special || (is_scheme && *string == ':'))
			(void)buf_append(out, escaped, sizeof(escaped));
		else
			(void)buf_append(out, string, 1);
	}
}

static void append_permissions(struct buf *out, int32_t bits)
{
	char number[16];

	if (bits & ~ALL_BITS) {
		int size = snprintf(number, sizeof(number), "0x%x", (unsigned)bits);

		(void)buf_append(out, number, (size_t)size);
		return;
	}
	for (int i = 0; i < PERMISSIONS; i++) {
		if (bits & permissions[i].bit)
			(void)buf_append(out, &permissions[i].letter, 1);
	}
}

void acl_format(const struct acl_list *acl, struct buf *out)
{
	for (uint32_t i = 0; i < acl->count; i++) {
		if (i > 0)
			(void)buf_append(out, ",", 1);
		append_escaped(out, acl->list[i].scheme, true);
		(void)buf_append(out, ":", 1);
		append_escaped(out, acl->list[i].id, false);
		(void)buf_append(out, ":", 1);
		append_permissions(out, acl->list[i].perms);
	}
}

/* --- From text --- */

/* A part of the text. */
struct part {
	const char *begin, *end;
};

struct complaint {
	char *reason;
	size_t size;
};

/* -EINVAL, with the part in quotes between what is said of it. */
static int complain(const struct complaint *to, const char *before, const struct part *part, const char *after)
{
	enum { SHOWN = 80 };
	char shown[4 * SHOWN + 4];
	size_t size = 0;
	const char *at = part->begin;

	for (; at < part->end && at - part->begin < SHOWN; at++) {
		bool is_plain = !is_control(*at) && (unsigned char)*at < 0x80;

		size += (size_t)snprintf(shown + size, sizeof(shown) - size, is_plain ? "%c" : "\\x%02x",
			(unsigned char)*at);
	}
	(void)snprintf(shown + size, sizeof(shown) - size, "%s", at < part->end ? "..." : "");
	(void)snprintf(to->reason, to->size, "%s'%s'%s", before, shown, after);
	return -EINVAL;
}

static int digit_of(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* How long the character of UTF-8 is that begins here; 0: there is none. Java reads what is none as U+FFFD: another id. */
static size_t character_size(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char mask, head;
		uint32_t least;
	} forms[] = { { 0x80, 0, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

	for (size_t size = 1; size <= 4; size++) {
		uint32_t code = at[0] & (unsigned char)~forms[size - 1].mask;

		if ((at[0] & forms[size - 1].mask) != forms[size - 1].head)
			continue;
		for (size_t i = 1; i < size; i++) {
			if (i >= left || (at[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (at[i] & 0x3f);
		}
		return code < forms[size - 1].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
	}
	return 0;
}

static bool is_utf8(const char *string, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t length = character_size((const unsigned char *)string + at, size - at);

		if (length == 0)
			return false;
		at += length;
	}
	return true;
}

/* Unescapes to *to, as a terminated string, and moves *to behind it. 0 or -EINVAL. */
static int take_string(const struct part *part, const struct complaint *complaint, char **to)
{
	const char *at = part->begin;
	const char *begin = *to;

	while (at < part->end) {
		char byte = *at;

		if (byte == '%') {
			int high = part->end - at > 2 ? digit_of(at[1]) : -1;
			int low = high >= 0 ? digit_of(at[2]) : -1;

			if (low < 0)
				return complain(complaint, "a '%' without two hex digits behind it: ", part, "");
			byte = (char)(high << 4 | low);
			at += 2;
		}
		if (byte == '\0')
			return complain(complaint, "a NUL byte: ", part, "");
		*(*to)++ = byte;
		at++;
	}
	if (!is_utf8(begin, (size_t)(*to - begin)))
		return complain(complaint, "not UTF-8: ", part, "");
	*(*to)++ = '\0';
	return 0;
}

static int32_t bit_of(char letter)
{
	for (int i = 0; i < PERMISSIONS; i++) {
		if (permissions[i].letter == letter)
			return permissions[i].bit;
	}
	return 0;
}

static int take_permissions(const struct part *part, const struct complaint *complaint, int32_t *bits)
{
	size_t size = (size_t)(part->end - part->begin);
	uint32_t number = 0;

	if (size > 2 && size <= 10 && memcmp(part->begin, "0x", 2) == 0) {
		for (const char *at = part->begin + 2; at < part->end; at++) {
			if (digit_of(*at) < 0)
				return complain(complaint, "", part, " is no number");
			number = number << 4 | (uint32_t)digit_of(*at);
		}
		*bits = (int32_t)number;
		return 0;
	}
	*bits = 0;
	for (const char *at = part->begin; at < part->end; at++) {
		if (!bit_of(*at))
			return complain(complaint, "", part, " are not permissions (of c, d, r, w and a)");
		*bits |= bit_of(*at);
	}
	return 0;
}

/* What no server would take. */
static int check_entry(const struct acl_entry *entry, const struct part *part, const struct complaint *complaint)
{
	const char *colon = strchr(entry->id, ':');

	if (!*entry->scheme)
		return complain(complaint, "", part, " has no scheme");
	if (strcmp(entry->scheme, "world") == 0 && strcmp(entry->id, "anyone") != 0)
		return complain(complaint, "", part, ": the one id of the scheme 'world' is 'anyone'");
	if (strcmp(entry->scheme, "digest") == 0 && (!colon || !colon[1]))
		return complain(complaint, "", part, ": an id of the scheme 'digest' is USER:HASH");
	if (acl_is_hidden(entry))
		return complain(complaint, "", part,
			": this is no hash, but what is shown instead to who may not know it");
	return 0;
}

static int take_entry(const struct part *part, const struct complaint *complaint, struct acl_entry *entry, char **to)
{
	size_t size = (size_t)(part->end - part->begin);
	const char *first = memchr(part->begin, ':', size);
	const char *last = memrchr(part->begin, ':', size);
	struct part scheme, id, bits;
	int err;

	if (size == 0)
		return complain(complaint, "an entry is empty: ", part, "");
	if (!first || !last || first == last)
		return complain(complaint, "", part, " is not of the form SCHEME:ID:PERMISSIONS");
	scheme = (struct part){ part->begin, first };
	id = (struct part){ first + 1, last };
	bits = (struct part){ last + 1, part->end };
	entry->scheme = *to;
	err = take_string(&scheme, complaint, to);
	entry->id = *to;
	if (!err)
		err = take_string(&id, complaint, to);
	if (!err)
		err = take_permissions(&bits, complaint, &entry->perms);
	return err ? err : check_entry(entry, part, complaint);
}

int acl_parse(const char *text, size_t size, struct acl_list **acl, char *reason, size_t reason_size)
{
	const struct complaint complaint = { reason, reason_size };
	const char *end = text + size;
	struct part part = { text, text };
	struct acl_list *made;
	uint32_t count = 1;
	char *to;
	int err = 0;

	if (size == 0) {
		(void)snprintf(reason, reason_size, "it is empty");
		return -EINVAL;
	}
	for (size_t i = 0; i < size; i++)
		count += text[i] == ',';
	/* Both strings of an entry are terminated where there was a ':' behind them. */
	made = malloc(sizeof(*made) + count * sizeof(made->list[0]) + size);
	if (!made)
		return -ENOMEM;
	atomic_init(&made->refs, 1);
	made->count = count;
	to = (char *)&made->list[count];
	for (uint32_t i = 0; !err && i < count; i++) {
		part.end = part.begin < end ? memchr(part.begin, ',', (size_t)(end - part.begin)) : end;
		if (!part.end)
			part.end = end;
		err = take_entry(&part, &complaint, &made->list[i], &to);
		part.begin = part.end < end ? part.end + 1 : end;
	}
	if (err)
		free(made);
	else
		*acl = made;
	return err;
}

/* --- Of ACLs --- */

bool acl_is_hidden(const struct acl_entry *entry)
{
	size_t size = strlen(entry->id);

	return strcmp(entry->scheme, "digest") == 0 && size >= 2 && strcmp(entry->id + size - 2, ":x") == 0;
}

static bool is_auth(const struct acl_entry *entry)
{
	return strcmp(entry->scheme, "auth") == 0;
}

static bool has_entry(const struct acl_list *acl, const struct acl_entry *entry)
{
	for (uint32_t i = 0; i < acl->count; i++) {
		if (acl->list[i].perms == entry->perms && strcmp(acl->list[i].scheme, entry->scheme) == 0 &&
			strcmp(acl->list[i].id, entry->id) == 0)
			return true;
	}
	return false;
}

static bool has_auth(const struct acl_list *acl, int32_t perms)
{
	for (uint32_t i = 0; i < acl->count; i++) {
		if (is_auth(&acl->list[i]) && acl->list[i].perms == perms)
			return true;
	}
	return false;
}

bool acl_may_become(const struct acl_list *set, const struct acl_list *got)
{
	for (uint32_t i = 0; i < set->count; i++) {
		if (!is_auth(&set->list[i]) && !has_entry(got, &set->list[i]))
			return false;
	}
	for (uint32_t i = 0; i < got->count; i++) {
		if (!has_entry(set, &got->list[i]) && !has_auth(set, got->list[i].perms))
			return false;
	}
	return true;
}
