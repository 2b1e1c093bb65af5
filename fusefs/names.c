#include "fusefs/names.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char DATA_NAME[] = ".data";
static const char CONTROL_NAME[] = ".zkfs";

/* The character at text as UTF-8 in its only form, at most three bytes long; gives how many. 0: it is none such (a NUL
 * byte inside a sequence is no continuation, so this never reads past the end of the string). */
static size_t decode(const char *text, uint32_t *character)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (byte[0] < 0x80) {
		*character = byte[0];
		return 1;
	}
	if (byte[0] >= 0xc2 && byte[0] <= 0xdf && (byte[1] & 0xc0) == 0x80) {
		*character = (byte[0] & 0x1fU) << 6 | (byte[1] & 0x3fU);
		return 2;
	}
	if ((byte[0] & 0xf0) == 0xe0 && (byte[1] & 0xc0) == 0x80 && (byte[2] & 0xc0) == 0x80) {
		*character = (byte[0] & 0x0fU) << 12 | (byte[1] & 0x3fU) << 6 | (byte[2] & 0x3fU);
		return *character >= 0x800 ? 3 : 0;
	}
	return 0;
}

/* PathUtils.validatePath; the surrogates lie between D800 and F8FF. */
static bool is_refused(uint32_t character)
{
	return character <= 0x1f || (character >= 0x7f && character <= 0x9f) ||
		(character >= 0xd800 && character <= 0xf8ff) || character >= 0xfff0;
}

static bool is_acceptable(const char *name)
{
	while (*name) {
		uint32_t character;
		size_t size = decode(name, &character);

		if (size == 0 || is_refused(character))
			return false;
		name += size;
	}
	return true;
}

static bool is_no_entry(const char *name)
{
	return !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/');
}

/* Whether name is reserved followed by any number of "=", which *escapes is set to. */
static bool is_form_of(const char *name, const char *reserved, size_t *escapes)
{
	size_t size = strlen(reserved);
	size_t count;

	if (strncmp(name, reserved, size) != 0)
		return false;
	count = strspn(name + size, "=");
	if (name[size + count] != '\0')
		return false;
	*escapes = count;
	return true;
}

int name_parse(const char *name, bool in_root, enum name_class *class, size_t *size)
{
	size_t escapes = 0;
	bool is_data = is_form_of(name, DATA_NAME, &escapes);
	bool is_control = !is_data && in_root && is_form_of(name, CONTROL_NAME, &escapes);

	*size = strnlen(name, NAMES_MAX + 1);
	if (*size > NAMES_MAX)
		return -ENAMETOOLONG;
	if (is_no_entry(name))
		return -EINVAL;
	if (!is_acceptable(name))
		return -EILSEQ;
	*class = NAME_NODE;
	if (escapes > 0)
		*size -= 1;
	else if (is_data)
		*class = NAME_DATA;
	else if (is_control)
		*class = NAME_CONTROL;
	return 0;
}

int name_escape(const char *node, bool in_root, char *to)
{
	size_t size = strnlen(node, NAMES_MAX + 1);
	size_t escapes;
	bool is_escaped;

	is_escaped = is_form_of(node, DATA_NAME, &escapes);
	is_escaped = is_escaped || (in_root && is_form_of(node, CONTROL_NAME, &escapes));
	if (size + is_escaped > NAMES_MAX)
		return -ENAMETOOLONG;
	if (is_no_entry(node) || !is_acceptable(node))
		return -EILSEQ;
	memcpy(to, node, size);
	if (is_escaped)
		to[size++] = '=';
	to[size] = '\0';
	return (int)size;
}
