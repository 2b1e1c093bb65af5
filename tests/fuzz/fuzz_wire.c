/* What a server sends: the first byte says which record is expected, the rest is the frame. A decoder takes it or says -EBADMSG, and
 * what it gives lies inside the frame. (In memory of exactly that size, so that the address sanitizer sees every byte too far.) */
#include <errno.h>
#include <string.h>

#include "cache/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_result(int err)
{
	MUST(err == 0 || err == -EBADMSG);
}

static void check_inside(const struct wire_in *all, const char *data, size_t size)
{
	MUST(data >= all->next && data <= all->end && size <= (size_t)(all->end - data));
}

/* Each takes from in, a copy of *all. */
static void take_frame_size(const struct wire_in *all, struct wire_in *in)
{
	enum { MAX = 1 << 20 };
	int64_t size = wire_frame_size(in->next, (size_t)(in->end - in->next), MAX);

	(void)all;
	MUST(size == -EBADMSG || (size >= 0 && size <= MAX + 4));
}

static void take_connect(const struct wire_in *all, struct wire_in *in)
{
	struct wire_session session;
	int err = wire_get_connect(in, &session);

	(void)all;
	check_result(err);
	MUST(err || (session.password_size >= 0 && session.password_size <= WIRE_PASSWORD_MAX));
}

static void take_header(const struct wire_in *all, struct wire_in *in)
{
	struct wire_header header;

	(void)all;
	check_result(wire_get_header(in, &header));
}

/* A GetDataResponse. */
static int take_data(const struct wire_in *all, struct wire_in *in)
{
	struct node_stat stat;
	const char *data = NULL;
	int32_t size = 0;
	int err = wire_get_buffer(in, &data, &size);

	check_result(err);
	if (err)
		return err;
	MUST(size >= -1);
	if (size > 0)
		check_inside(all, data, (size_t)size);
	err = wire_get_stat(in, &stat);
	check_result(err);
	return err;
}

static void take_node(const struct wire_in *all, struct wire_in *in)
{
	(void)take_data(all, in);
}

static void take_names(const struct wire_in *all, struct wire_in *in)
{
	struct listing *listing = NULL;
	int err = wire_get_names(in, &listing);

	(void)all;
	check_result(err);
	if (err)
		return;
	for (uint32_t i = 0; i < listing->count; i++) {
		const char *name = listing->names[i];

		MUST(*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	}
	listing_put(listing);
}

static void take_acl(const struct wire_in *all, struct wire_in *in)
{
	struct acl_list *acl = NULL;
	size_t length = 0;
	int err = wire_get_acl(in, &acl);

	check_result(err);
	if (err)
		return;
	for (uint32_t i = 0; i < acl->count; i++)
		length += strlen(acl->list[i].scheme) + strlen(acl->list[i].id);
	MUST(length <= (size_t)(all->end - all->next));
	acl_list_put(acl);
}

static void take_event(const struct wire_in *all, struct wire_in *in)
{
	int32_t type, state;
	const char *path = NULL;
	size_t size = 0;
	int err = wire_get_event(in, &type, &state, &path, &size);

	check_result(err);
	if (err || size == 0)
		return;
	check_inside(all, path, size);
	MUST(path[0] == '/' && !memchr(path, '\0', size));
}

static void take_multi(const struct wire_in *all, struct wire_in *in)
{
	int32_t error = 0;
	int result;

	do {
		const char *before = in->next;

		result = wire_get_multi_result(in, &error);
		MUST(result == 0 || result == 1 || result == -EBADMSG);
		MUST(result || in->next > before);
		if (result == 0 && error == 0 && take_data(all, in))
			return;
	} while (result == 0);
}

static void (*const takers[])(const struct wire_in *all, struct wire_in *in) = {
	take_frame_size,
	take_connect,
	take_header,
	take_node,
	take_names,
	take_acl,
	take_event,
	take_multi,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_in all, in;
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size - 1);
	MUST(copy || size == 1);
	if (size > 1)
		memcpy(copy, data + 1, size - 1);
	all = (struct wire_in){ copy, copy + size - 1 };
	in = all;
	takers[data[0] % (sizeof(takers) / sizeof(takers[0]))](&all, &in);
	MUST(in.next >= all.next && in.next <= all.end);
	free(copy);
	return 0;
}
