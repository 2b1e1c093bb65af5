/* Names, in the root and elsewhere: whatever a program asks for is a child, one of our own files, or refused; and escaping is
 * reversible both ways. */
#include <errno.h>
#include <string.h>

#include "fusefs/names.h"
#include "tests/fuzz/fuzz.h"

static bool is_refusal(int err)
{
	return err == -ENAMETOOLONG || err == -EILSEQ || err == -EINVAL;
}

/* As a file's name: what it means is shown under that name. */
static void check_file(const char *name, bool in_root)
{
	char shown[NAMES_MAX + 1];
	enum name_class class;
	size_t size = 0;
	char *node;
	int err = name_parse(name, in_root, &class, &size);

	MUST(!err || is_refusal(err));
	if (err || class != NAME_NODE)
		return;
	MUST(size > 0 && size <= strlen(name));
	node = strndup(name, size);
	MUST(node);
	MUST(name_escape(node, in_root, shown) == (int)strlen(name) && strcmp(shown, name) == 0);
	free(node);
}

/* As a znode's: what it is shown as means it. */
static void check_node(const char *node, bool in_root)
{
	char shown[NAMES_MAX + 1];
	enum name_class class;
	size_t size = 0;
	int length = name_escape(node, in_root, shown);

	MUST(length > 0 || length == -ENAMETOOLONG || length == -EILSEQ);
	if (length < 0)
		return;
	MUST((size_t)length == strlen(shown));
	MUST(name_parse(shown, in_root, &class, &size) == 0 && class == NAME_NODE);
	MUST(size == strlen(node) && memcmp(shown, node, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = strndup((const char *)data, size);

	MUST(name);
	for (int in_root = 0; in_root < 2; in_root++) {
		check_file(name, in_root);
		check_node(name, in_root);
	}
	free(name);
	return 0;
}
