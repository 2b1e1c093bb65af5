#include "tests/bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

void timing_print(double *took, int count)
{
	double sum = 0;

	qsort(took, (size_t)count, sizeof(*took), compare);
	for (int i = 0; i < count; i++)
		sum += took[i];
	printf("%.9f %.9f %.9f\n", took[count / 2], took[count * 99L / 100], sum / count);
}

void timing_run(int count, void (*one)(int number, void *arg), void *arg)
{
	double *took = calloc((size_t)count, sizeof(*took));

	if (!took)
		abort();
	for (int i = 0; i < TIMING_UNCOUNTED; i++)
		one(i, arg);
	for (int i = 0; i < count; i++) {
		double begun = timing_now();

		one(TIMING_UNCOUNTED + i, arg);
		took[i] = timing_now() - begun;
	}
	timing_print(took, count);
	free(took);
}
