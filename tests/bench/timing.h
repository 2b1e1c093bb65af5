/* Times one operation after the other, and says what each took. What the programs of the benchmark have in common. */
#pragma once

/* Bytes that each operation writes. */
#define TIMING_SIZE 100

/* Seconds of a clock that only moves forward. */
double timing_now(void);

/* Contents that differ from one operation to the next. */
void timing_fill(char data[TIMING_SIZE], int number);

/* Does one(0, arg), one(1, arg), … and prints median and mean of what the last count of them took, in seconds. The first
 * few, which open what is closed and load what is cold, are not counted. */
void timing_print(int count, void (*one)(int number, void *arg), void *arg);
