#include "fusefs/kind.h"

#include "fusefs/symlink.h"

/* Special owners that are no session's (EphemeralType.java). With a server id of 255, whose sessions begin with 0xff too, the
 * two zero bytes still tell a TTL: they are the high bits of a time in a session's id. */
static const uint64_t CONTAINER_OWNER = UINT64_C(0x8000000000000000);
static const uint64_t TTL_MASK = UINT64_C(0xffffff0000000000);
static const uint64_t TTL_OWNER = UINT64_C(0xff00000000000000);

enum owner kind_owner(const struct node_stat *stat)
{
	uint64_t owner = (uint64_t)stat->ephemeral_owner;

	if (owner == 0)
		return OWNER_NONE;
	if (owner == CONTAINER_OWNER)
		return OWNER_CONTAINER;
	return (owner & TTL_MASK) == TTL_OWNER ? OWNER_TTL : OWNER_SESSION;
}

/* The server computes cversion as 2 * creations - num_children: below 0 for nodes it made itself (/zookeeper) and once
 * the creations have passed 2^30. Likewise version wraps. So both are compared with 0 for being it or not. */
enum kind kind_of(const struct node_stat *stat, bool is_root)
{
	if (is_root || stat->num_children > 0 || stat->cversion != 0)
		return KIND_DIRECTORY;
	if (kind_owner(stat) == OWNER_SESSION || stat->data_length > 0)
		return KIND_FILE;
	return stat->version == 0 ? KIND_DIRECTORY : KIND_FILE;
}

enum kind kind_of_data(const struct node_stat *stat, const struct bytes *data, bool is_root)
{
	enum kind kind = kind_of(stat, is_root);
	const char *target;
	size_t size;

	if (kind == KIND_FILE && kind_owner(stat) != OWNER_SESSION && data &&
		symlink_decode(data->data, data->size, &target, &size))
		return KIND_SYMLINK;
	return kind;
}
