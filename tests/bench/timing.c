#include "tests/bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNCOUNTED 100

double timing_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void timing_fill(char data[TIMING_SIZE], int number)
{
	memset(data, 'a' + number % 26, TIMING_SIZE);
}

static int compare(const void *one, const void *two)
{
	double a = *(const double *)one, b = *(const double *)two;

	return (a > b) - (a < b);
}

void timing_print(int count, void (*one)(int number, void *arg), void *arg)
{
	double *took = calloc((size_t)count, sizeof(*took));
	double sum = 0;

	if (!took)
		abort();
	for (int i = 0; i < UNCOUNTED; i++)
		one(i, arg);
	for (int i = 0; i < count; i++) {
		double begun = timing_now();

		one(UNCOUNTED + i, arg);
		took[i] = timing_now() - begun;
		sum += took[i];
	}
	qsort(took, (size_t)count, sizeof(*took), compare);
	printf("%.9f %.9f\n", took[count / 2], sum / count);
	free(took);
}
