#include "fusefs/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fusefs/options.h"
#include "fusefs/transaction.h"

struct submission {
	struct transaction transaction;
	submit_cb *done;
	void *arg;
};

static void put_text(struct buf *out, const char *text)
{
	(void)buf_append(out, text, strlen(text));
}

static void put_place(struct buf *result, unsigned line, int error)
{
	const char *name = strerrorname_np(-error);
	char number[32];

	(void)snprintf(number, sizeof(number), "error %u ", line);
	put_text(result, number);
	put_text(result, name ? name : "EIO");
	put_text(result, " ");
}

void submit_put_error(struct buf *result, unsigned line, int error, const char *message)
{
	put_place(result, line, error);
	put_text(result, message);
	put_text(result, "\n");
}

static const char *reason_of(const struct write_step *step, int error)
{
	switch (error) {
	case -ENOENT:
		return step->verb == WRITE_CREATE ? "its parent is not there" : "it is not there";
	case -EEXIST:
		return "it is there already";
	case -EAGAIN:
		return "it has another version";
	case -ENOTEMPTY:
		return "it has children";
	case -ENOTDIR:
		return "its parent is ephemeral";
	case -EACCES:
		return "not permitted by the access control list";
	case -EOPNOTSUPP:
		return step->ttl ? "the servers have times to live turned off (zookeeper.extendedTypesEnabled)"
				 : "the servers do not know how to";
	case -EFBIG:
		return "the data is larger than max_data";
	default:
		return strerror(-error);
	}
}

static const char *reason_of_all(int error)
{
	switch (error) {
	case -E2BIG:
		return "the transaction is too large for one packet";
	case -EIO:
		return "whether it was made cannot be known";
	case -ETIMEDOUT:
		return "no server answers; it was not made";
	default:
		return strerror(-error);
	}
}

/* The failing step is named; step count: none is to blame. */
static void put_failure(struct buf *result, const struct transaction *transaction, size_t failed, int error)
{
	const struct write_step *step = &transaction->steps[failed];

	if (failed >= transaction->count) {
		submit_put_error(result, 0, error, reason_of_all(error));
		return;
	}
	put_place(result, transaction->lines[failed], error);
	put_text(result, transaction_verb(step->verb));
	put_text(result, " ");
	transaction_put_word(result, step->path, strlen(step->path));
	put_text(result, ": ");
	put_text(result, reason_of(step, error));
	put_text(result, "\n");
}

static void put_success(struct buf *result, const struct transaction *transaction, const char *const *made)
{
	for (size_t i = 0; i < transaction->count; i++) {
		const char *path = made && made[i] ? made[i] : transaction->steps[i].path;

		put_text(result, "ok ");
		transaction_put_word(result, path, strlen(path));
		put_text(result, "\n");
	}
}

static void end(struct submission *submission, int error, size_t failed, const char *const *made)
{
	struct buf result = BUF_INIT;

	if (error)
		put_failure(&result, &submission->transaction, failed, error);
	else
		put_success(&result, &submission->transaction, made);
	submission->done(error, &result, submission->arg);
	buf_release(&result);
	transaction_release(&submission->transaction);
	free(submission);
}

static void committed(const struct cache_outcome *outcome, void *arg)
{
	end(arg, outcome->error, outcome->failed, outcome->made);
}

/* The step whose data is too large; the count: none. */
static size_t find_too_large(const struct transaction *transaction, size_t max)
{
	size_t i = 0;

	while (i < transaction->count && !(transaction->steps[i].data && transaction->steps[i].data->size > max))
		i++;
	return i;
}

static void submit_steps(const struct mount *mount, struct submission *submission)
{
	const struct transaction *transaction = &submission->transaction;
	size_t too_large = find_too_large(transaction, mount->options->max_data);
	int err;

	if (transaction->count == 0 || too_large < transaction->count) {
		end(submission, transaction->count ? -EFBIG : 0, too_large, NULL);
		return;
	}
	err = cache_commit(mount->cache, transaction->steps, transaction->count, committed, submission);
	if (err)
		end(submission, err == -EFBIG ? -E2BIG : err, transaction->count, NULL);
}

void submit(const struct mount *mount, const char *text, size_t size, submit_cb *done, void *arg)
{
	struct submission *submission = calloc(1, sizeof(*submission));
	struct transaction_error wrong = { 0 };
	struct buf result = BUF_INIT;
	int err = -ENOMEM;

	if (submission) {
		submission->done = done;
		submission->arg = arg;
		err = transaction_parse(text, size, &submission->transaction, &wrong);
		if (!err) {
			submit_steps(mount, submission);
			return;
		}
	}
	free(submission);
	submit_put_error(&result, err == -EINVAL ? wrong.line : 0, err,
		err == -EINVAL ? wrong.message : strerror(-err));
	done(err, &result, arg);
	buf_release(&result);
}
