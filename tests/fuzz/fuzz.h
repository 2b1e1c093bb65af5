/* What the fuzz targets share. A target is one file that takes any bytes whatever and checks what must hold of the answer: a wrong
 * one is a crash, which libFuzzer (or AFL) keeps the input of. Built by "make fuzz". */
#ifndef ZKFS_TESTS_FUZZ_FUZZ_H
#define ZKFS_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls it for every input. Gives 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that no build leaves out. */
#define MUST(condition)                                                                                \
	do {                                                                                           \
		if (!(condition)) {                                                                    \
			(void)fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                       \
		}                                                                                      \
	} while (0)

/* Whether text can be shown to a user as one line. */
static inline bool is_one_line(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

#endif
