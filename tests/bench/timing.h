/* Times one operation after the other, and says what they took. What the programs of the benchmark have in common. */
#pragma once

/* Bytes that each operation writes. */
#define TIMING_SIZE 100

/* The first few of a measurement open what is closed and load what is cold: they are done and not counted. */
#define TIMING_UNCOUNTED 100

/* Seconds of a clock that only moves forward, the same for all processes. */
double timing_now(void);

/* Contents that differ from one operation to the next. */
void timing_fill(char data[TIMING_SIZE], int number);

/* Prints "MEDIAN P99 MEAN" of count samples, in seconds; sorts them. */
void timing_print(double *took, int count);

/* Does one(0, arg), one(1, arg), …, TIMING_UNCOUNTED + count of them, and prints what the last count took. */
void timing_run(int count, void (*one)(int number, void *arg), void *arg);
