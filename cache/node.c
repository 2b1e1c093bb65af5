#include "cache/node.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Never freed: the reference is the program's. */
static struct listing none = { .refs = 1 };

struct listing *listing_of_none(void)
{
	return listing_get(&none);
}

struct listing *listing_get(struct listing *listing)
{
	if (listing)
		atomic_fetch_add_explicit(&listing->refs, 1, memory_order_relaxed);
	return listing;
}

void listing_put(struct listing *listing)
{
	if (listing && atomic_fetch_sub_explicit(&listing->refs, 1, memory_order_acq_rel) == 1)
		free(listing);
}

struct acl_list *acl_list_get(struct acl_list *acl)
{
	if (acl)
		atomic_fetch_add_explicit(&acl->refs, 1, memory_order_relaxed);
	return acl;
}

void acl_list_put(struct acl_list *acl)
{
	if (acl && atomic_fetch_sub_explicit(&acl->refs, 1, memory_order_acq_rel) == 1)
		free(acl);
}

void node_info_copy(struct node_info *to, const struct node_info *from)
{
	*to = *from;
	(void)bytes_get(to->data);
	(void)listing_get(to->children);
}

void node_info_release(struct node_info *info)
{
	bytes_put(info->data);
	listing_put(info->children);
	memset(info, 0, sizeof(*info));
}
