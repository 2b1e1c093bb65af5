/* What is written to .zkfs/transaction: any bytes give steps or one clear error; the steps, written down, mean the same again. */
#include <errno.h>
#include <string.h>

#include "cache/util/bytes.h"
#include "fusefs/transaction.h"
#include "tests/fuzz/fuzz.h"

static void put(struct buf *out, const char *text)
{
	(void)buf_append(out, text, strlen(text));
}

static void put_step(struct buf *out, const struct write_step *step)
{
	char number[32];

	put(out, transaction_verb(step->verb));
	put(out, " ");
	transaction_put_word(out, step->path, strlen(step->path));
	if (step->verb == WRITE_CREATE || step->verb == WRITE_SET) {
		put(out, " ");
		transaction_put_word(out, step->data ? step->data->data : "", step->data ? step->data->size : 0);
	}
	if (step->verb != WRITE_CREATE) {
		(void)snprintf(number, sizeof(number), " %d", step->version);
		put(out, number);
	}
	if (step->mode == WRITE_EPHEMERAL)
		put(out, " ephemeral");
	if (step->mode == WRITE_CONTAINER)
		put(out, " container");
	if (step->ttl) {
		(void)snprintf(number, sizeof(number), " ttl=%lld", (long long)step->ttl);
		put(out, number);
	}
	if (step->is_sequential)
		put(out, " sequential");
	put(out, "\n");
}

static bool are_same_data(const struct bytes *a, const struct bytes *b)
{
	size_t size = a ? a->size : 0;

	return size == (b ? b->size : 0) && (size == 0 || memcmp(a->data, b->data, size) == 0);
}

static bool are_same(const struct write_step *a, const struct write_step *b)
{
	return a->verb == b->verb && a->mode == b->mode && a->is_sequential == b->is_sequential && a->ttl == b->ttl &&
		strcmp(a->path, b->path) == 0 && (a->verb == WRITE_CREATE || a->version == b->version) &&
		are_same_data(a->data, b->data);
}

static void check_again(const struct transaction *transaction)
{
	struct buf text = BUF_INIT;
	struct transaction_error error;
	struct transaction again;

	for (size_t i = 0; i < transaction->count; i++) {
		MUST(transaction->lines[i] >= 1 && transaction->steps[i].path[0] == '/');
		MUST(i == 0 || transaction->lines[i] > transaction->lines[i - 1]);
		MUST(transaction->count == 1 ||
			(transaction->steps[i].mode != WRITE_CONTAINER && !transaction->steps[i].ttl));
		put_step(&text, &transaction->steps[i]);
	}
	MUST(!text.failed);
	MUST(transaction_parse(text.data ? text.data : "", text.size, &again, &error) == 0);
	MUST(again.count == transaction->count);
	for (size_t i = 0; i < again.count; i++)
		MUST(are_same(&again.steps[i], &transaction->steps[i]));
	transaction_release(&again);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transaction transaction;
	struct transaction_error error;
	int err = transaction_parse((const char *)data, size, &transaction, &error);

	if (err) {
		MUST(err == -EINVAL && error.line >= 1);
		MUST(memchr(error.message, '\0', sizeof(error.message)) && is_one_line(error.message));
		return 0;
	}
	check_again(&transaction);
	transaction_release(&transaction);
	return 0;
}
