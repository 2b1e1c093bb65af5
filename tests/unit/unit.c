#include "tests/unit/unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;
static atomic_int until_failure;

void unit_seed(const char *test)
{
	const char *given = getenv("ZKFS_TEST_SEED");

	random_state = given ? strtoull(given, NULL, 0) : 20260101;
	printf("%s: ZKFS_TEST_SEED=%llu\n", test, (unsigned long long)random_state);
	(void)fflush(stdout); /* the test may crash */
}

/* SplitMix64 (Steele, Lea, Flood 2014): any seed will do. */
size_t unit_random(size_t bound)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (size_t)((z ^ (z >> 31)) % bound);
}

void unit_fail_allocation(int number)
{
	atomic_store(&until_failure, number);
}

bool unit_end_failure(void)
{
	return atomic_exchange(&until_failure, 0) < 0;
}

/* Counts down to 0, which is the failure, and stays at -1 to tell that it was. */
static bool fails_now(void)
{
	int left = atomic_load(&until_failure);

	while (left > 0) {
		int next = left == 1 ? -1 : left - 1;

		if (atomic_compare_exchange_weak(&until_failure, &left, next)) {
			errno = ENOMEM;
			return left == 1;
		}
	}
	return false;
}

/* The linker's --wrap=malloc makes every malloc() in the program __wrap_malloc(), and __real_malloc() the true one. */
#define WRAP(type, name, parameters, arguments)                      \
	type __real_##name parameters;                               \
	type __wrap_##name parameters;                               \
	type __wrap_##name parameters                                \
	{                                                            \
		return fails_now() ? NULL : __real_##name arguments; \
	}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size))
WRAP(char *, strdup, (const char *string), (string))
WRAP(char *, strndup, (const char *string, size_t size), (string, size))
/* NOLINTEND(bugprone-reserved-identifier) */

char *unit_exact_copy(const void *data, size_t size)
{
	char *copy = malloc(size);

	if (size)
		memcpy(copy, data, size);
	return copy;
}

int main(void)
{
	SRunner *runner = srunner_create(unit_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
