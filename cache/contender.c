#include "cache/contender.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 10 };

/* --- Names --- */

/* What a node has before its digits. A mutex of Curator's knows no shared locks: what ours is, its beginning tells. */
struct form {
	enum lock_order order;
	bool is_exclusive;
	const char *mark;
};

static const struct form directory_forms[] = {
	{ LOCK_ORDER_KAZOO, false, "__rlock__" },
	{ LOCK_ORDER_KAZOO, true, "__lock__" },
	{ LOCK_ORDER_MUTEX, false, "-lock-" },
	{ LOCK_ORDER_MUTEX, true, "-lock-" },
	{ LOCK_ORDER_READ_WRITE, false, "-__READ__" },
	{ LOCK_ORDER_READ_WRITE, true, "-__WRIT__" },
};

/* How it is in the names of others: "_c_UUID-lock-", "UUID__lock__", with whatever before it. */
static const struct form foreign_forms[] = {
	{ LOCK_ORDER_KAZOO, false, "__rlock__" },
	{ LOCK_ORDER_KAZOO, true, "__lock__" },
	{ LOCK_ORDER_MUTEX, true, "lock-" },
	{ LOCK_ORDER_READ_WRITE, false, "__READ__" },
	{ LOCK_ORDER_READ_WRITE, true, "__WRIT__" },
};

enum { DIRECTORY_FORMS = sizeof(directory_forms) / sizeof(directory_forms[0]) };
enum { FOREIGN_FORMS = sizeof(foreign_forms) / sizeof(foreign_forms[0]) };

size_t lock_nodes_of(enum lock_scope scope)
{
	return scope == LOCK_DIRECTORY ? LOCK_NODES_MAX : 1;
}

void lock_name(enum lock_scope scope, size_t index, const struct lock_node *what, char name[LOCK_NAME_MAX])
{
	const struct lock_id *id = &what->id;

	if (scope == LOCK_DIRECTORY)
		(void)snprintf(name, LOCK_NAME_MAX, "zkfs-%c-%016" PRIx64 ".%016" PRIx64 ".%08" PRIx32 "%s",
			what->is_exclusive ? 'w' : 'r', id->instance, id->owner, id->serial,
			directory_forms[2 * index + (what->is_exclusive ? 1 : 0)].mark);
	else
		(void)snprintf(name, LOCK_NAME_MAX,
			"%s-%c-%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64 ".%016" PRIx64 ".%08" PRIx32 "-",
			scope == LOCK_FLOCK ? "flock" : "fcntl", what->is_exclusive ? 'w' : 'r', what->first,
			what->last, id->instance, id->owner, id->serial);
}

void lock_name_with_number(enum lock_scope scope, size_t index, const struct lock_node *what, char name[LOCK_NAME_MAX])
{
	size_t size;

	lock_name(scope, index, what, name);
	size = strlen(name);
	(void)snprintf(name + size, LOCK_NAME_MAX - size, "%010" PRId32, (int32_t)what->number);
}

/* The hexadecimal number of so many digits at the beginning of what is left. */
static bool take_hex(const char **text, int digits, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++, ++*text) {
		int c = (unsigned char)**text;

		if (!isdigit(c) && (c < 'a' || c > 'f'))
			return false;
		*value = *value * 16 + (uint64_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static bool take_text(const char **text, const char *expected)
{
	size_t size = strlen(expected);

	if (strncmp(*text, expected, size) != 0)
		return false;
	*text += size;
	return true;
}

static bool take_mode(const char **text, bool *is_exclusive)
{
	*is_exclusive = **text == 'w';
	return take_text(text, "w-") || take_text(text, "r-");
}

static bool take_id(const char **text, struct lock_id *id)
{
	uint64_t serial;
	bool is_id = take_hex(text, 16, &id->instance) && take_text(text, ".") && take_hex(text, 16, &id->owner) &&
		take_text(text, ".") && take_hex(text, 8, &serial) && id->instance;

	if (is_id)
		id->serial = (uint32_t)serial;
	return is_id;
}

static bool take_number(const char *text, uint32_t *number)
{
	uint64_t value = 0;

	if (strlen(text) != DIGITS)
		return false;
	for (int i = 0; i < DIGITS; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*number = (uint32_t)value;
	return value <= INT32_MAX;
}

static bool parse_file_node(const char *name, struct lock_node *node)
{
	bool is_flock = take_text(&name, "flock-");

	if (!is_flock && !take_text(&name, "fcntl-"))
		return false;
	node->order = is_flock ? LOCK_ORDER_FLOCK : LOCK_ORDER_RECORD;
	return take_mode(&name, &node->is_exclusive) && take_hex(&name, 16, &node->first) && take_text(&name, "-") &&
		take_hex(&name, 16, &node->last) && take_text(&name, "-") && take_id(&name, &node->id) &&
		take_text(&name, "-") && take_number(name, &node->number);
}

static bool parse_directory_node(const char *name, struct lock_node *node)
{
	if (!take_text(&name, "zkfs-") || !take_mode(&name, &node->is_exclusive) || !take_id(&name, &node->id))
		return false;
	for (size_t i = 0; i < DIRECTORY_FORMS; i++) {
		const struct form *form = &directory_forms[i];
		const char *rest = name;

		if (form->is_exclusive == node->is_exclusive && take_text(&rest, form->mark) &&
			take_number(rest, &node->number)) {
			node->order = form->order;
			return true;
		}
	}
	return false;
}

static bool parse_foreign_node(const char *name, struct lock_node *node)
{
	size_t size = strlen(name);

	if (size < DIGITS || !take_number(name + size - DIGITS, &node->number))
		return false;
	size -= DIGITS;
	for (size_t i = 0; i < FOREIGN_FORMS; i++) {
		const struct form *form = &foreign_forms[i];
		size_t mark = strlen(form->mark);

		if (size >= mark && memcmp(name + size - mark, form->mark, mark) == 0) {
			node->order = form->order;
			node->is_exclusive = form->is_exclusive;
			return true;
		}
	}
	return false;
}

bool lock_parse(const char *name, struct lock_node *node)
{
	*node = (struct lock_node){ .last = LOCK_END };
	if (parse_file_node(name, node))
		return true;
	*node = (struct lock_node){ .last = LOCK_END };
	if (parse_directory_node(name, node))
		return true;
	*node = (struct lock_node){ .last = LOCK_END };
	return parse_foreign_node(name, node);
}

bool lock_is_in_directory(const char *name)
{
	struct lock_node node = { .last = LOCK_END };

	return parse_directory_node(name, &node);
}

/* --- Who holds --- */

bool lock_conflicts(const struct lock_node *a, const struct lock_node *b)
{
	return a->order == b->order && (a->is_exclusive || b->is_exclusive) && a->first <= b->last &&
		b->first <= a->last;
}

bool lock_has_same_owner(const struct lock_node *a, const struct lock_node *b)
{
	return a->id.instance && a->id.instance == b->id.instance && a->id.owner == b->id.owner;
}

/* The lowest number of what the owner holds that this one waits for; UINT32_MAX: it does not. */
static uint32_t waits_for(const struct lock_node *other, const struct lock_node *held, size_t count)
{
	uint32_t lowest = UINT32_MAX;

	for (size_t i = 0; i < count; i++) {
		if (held[i].number < other->number && held[i].number < lowest && lock_conflicts(&held[i], other))
			lowest = held[i].number;
	}
	return lowest;
}

struct lock_verdict lock_judge(const struct lock_node *mine, const struct lock_node *held, size_t held_count,
	const struct lock_node *queue, size_t count)
{
	struct lock_verdict verdict = { .blocker = count, .rank = UINT32_MAX };

	for (size_t i = 0; i < count; i++) {
		const struct lock_node *other = &queue[i];
		uint32_t number;

		if (other->number >= mine->number || !lock_conflicts(other, mine) || lock_has_same_owner(other, mine))
			continue;
		number = waits_for(other, held, held_count);
		if (number < verdict.rank)
			verdict.rank = number;
		if (number == UINT32_MAX && (verdict.blocker == count || other->number > queue[verdict.blocker].number))
			verdict.blocker = i;
	}
	return verdict;
}
