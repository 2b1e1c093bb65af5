/* The text of a transaction (".zkfs/transaction"): one step in each line, as words with blanks (space, tab, CR) between them.
 *
 *     check PATH [VERSION]                             it is there, with this version
 *     create PATH DATA [ephemeral] [sequential]
 *     create PATH DATA container|ttl=MS [sequential]   only alone, and only with ttl sequential
 *     set PATH DATA [VERSION]
 *     delete PATH [VERSION]
 *
 * A word that begins with " ends with ", and may hold anything but a line's end, with \" \\ \n \r \t and \xHH (two hex digits) for
 * what could not be written otherwise. Any other word holds no blank, " or \. DATA is needed, "" is none. A VERSION is a decimal
 * number, -1 (or none) is any. A PATH is a znode's, "/" being the mount's root. Of what is created with sequential it may end with /.
 * Empty lines say nothing, and lines whose first word begins with # neither.
 *
 * Pure: takes any bytes whatever (it is fuzzed). */
#ifndef ZKFS_FUSEFS_TRANSACTION_H
#define ZKFS_FUSEFS_TRANSACTION_H

#include <stddef.h>

#include "cache/step.h"
#include "cache/util/buf.h"

struct transaction {
	size_t count;
	struct write_step *steps; /* their paths and data are the transaction's */
	unsigned *lines;	  /* by step: in which line it stands, from 1 */
};

/* What is wrong with a text. */
struct transaction_error {
	unsigned line;
	char message[128];
};

/* 0, and the transaction is the caller's to release; -EINVAL with *error; -ENOMEM. */
int transaction_parse(const char *text, size_t size, struct transaction *transaction, struct transaction_error *error);

/* NULL members are fine; empties it. */
void transaction_release(struct transaction *transaction);

/* What the step does, as its line's first word. */
const char *transaction_verb(enum write_verb verb);

/* Appends text as one word that transaction_parse takes back, quoted where it must be. */
void transaction_put_word(struct buf *out, const char *text, size_t size);

#endif
