/* The text of an ACL (user.zk.acl, -o acl=): any bytes give an ACL whose own text means it again, or one clear line. */
#include <errno.h>
#include <string.h>

#include "cache/acl.h"
#include "tests/fuzz/fuzz.h"

static bool are_same(const struct acl_list *a, const struct acl_list *b)
{
	bool are = a->count == b->count;

	for (uint32_t i = 0; are && i < a->count; i++)
		are = a->list[i].perms == b->list[i].perms && strcmp(a->list[i].scheme, b->list[i].scheme) == 0 &&
			strcmp(a->list[i].id, b->list[i].id) == 0;
	return are;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[512] = "";
	struct acl_list *acl = NULL, *again = NULL;
	struct buf text = BUF_INIT;
	int err = acl_parse((const char *)data, size, &acl, reason, sizeof(reason));

	if (err) {
		MUST(err == -EINVAL && is_one_line(reason));
		return 0;
	}
	acl_format(acl, &text);
	MUST(!text.failed && text.size > 0);
	MUST(acl_parse(text.data, text.size, &again, reason, sizeof(reason)) == 0);
	MUST(are_same(acl, again) && acl_may_become(acl, again));
	acl_list_put(again);
	acl_list_put(acl);
	buf_release(&text);
	return 0;
}
