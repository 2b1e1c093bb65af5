/* ACLs as text and back:
 *
 *     world:anyone:r,digest:bob:HASH=:cdrwa
 *
 * Entries are separated by ','; each is SCHEME:ID:PERMISSIONS, the scheme ending at the first ':' and the permissions beginning
 * behind the last, so that an id may hold ':' as it is. Permissions are any of the letters c (create), d (delete), r (read),
 * w (write), a (administer), or none; bits that have no letter make it a number, 0x…. What would be taken for something else is
 * written as in a URL, '%' and two hex digits: '%' and ',' and control characters anywhere, ':' in a scheme. (No backslashes:
 * shells and setfattr(1) have their own ideas of those.) Each text means one ACL, and each ACL that a server can hold has a text.
 * Pure. */
#ifndef ZKFS_CACHE_ACL_H
#define ZKFS_CACHE_ACL_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/node.h"
#include "cache/util/buf.h"

/* Appends the text, not terminated. A lack of memory is noted in out->failed. */
void acl_format(const struct acl_list *acl, struct buf *out);

/* The ACL that size bytes of text mean, in *acl, held once by the caller. 0; -ENOMEM; -EINVAL with one line in reason that names
 * the bad part, whatever bytes it has: also for what servers take but nobody can mean, a digest that is hidden. That the
 * scheme is known to the servers and takes the id shows when it is set. */
int acl_parse(const char *text, size_t size, struct acl_list **acl, char *reason, size_t reason_size);

/* Whether the server has hidden who this is ("digest:bob:x"), as it does from those who may not administer the znode
 * (FinalRequestProcessor). */
bool acl_is_hidden(const struct acl_entry *entry);

/* Whether an ACL that was set as `set` may be read as `got`: the server drops what is there twice, and puts the identities of
 * who sets it in place of the scheme "auth". */
bool acl_may_become(const struct acl_list *set, const struct acl_list *got);

#endif
