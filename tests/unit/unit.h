/* What the unit test programs share. A program defines unit_suite(); unit.c has main(), which runs it with Check as the
 * environment says (CK_FORK, CK_VERBOSITY, CK_RUN_CASE, …: see Check's manual). */
#ifndef ZKFS_TESTS_UNIT_UNIT_H
#define ZKFS_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The program's tests. */
Suite *unit_suite(void);

/* Starts the random numbers of a test anew, from $ZKFS_TEST_SEED if set, else from the same seed always, and prints it. */
void unit_seed(const char *test);

/* The next random number, 0 to below bound (bound > 0). */
size_t unit_random(size_t bound);

/* Lets an allocation by the program fail: number 1 is the next one, 2 the one after that, and so on; those after it succeed.
 * (The linker puts us between everybody and malloc: see Makefile.) Nothing must be asserted until unit_end_failure() was
 * called, because Check's assertions allocate too. */
void unit_fail_allocation(int number);

/* From here on all allocations succeed. Whether the failure asked for has happened. */
bool unit_end_failure(void);

/* A copy in memory of exactly size bytes, so that a sanitizer sees a read behind its end. The caller frees it. */
char *unit_exact_copy(const void *data, size_t size);

#endif
