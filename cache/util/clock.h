/* The monotonic clock in milliseconds, and waiting by it. Safe from any thread. */
#ifndef ZKFS_CACHE_UTIL_CLOCK_H
#define ZKFS_CACHE_UTIL_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* ms since some moment that does not change. */
int64_t clock_now(void);

/* The moment ms of clock_now as pthread_cond_timedwait wants it, for a condition made by clock_init_condition. */
struct timespec clock_at(int64_t ms);

/* A condition whose timed waits are by this clock. */
void clock_init_condition(pthread_cond_t *condition);

#endif
