/* Latency histograms that any thread adds to without a lock, and Prometheus' text format, version 0.0.4 (the pages "Exposition formats"
 * and "Metric and label naming" of its documentation). */
#ifndef ZKFS_CACHE_UTIL_METRICS_H
#define ZKFS_CACHE_UTIL_METRICS_H

#include <stdint.h>

#include "cache/util/buf.h"

enum { HISTOGRAM_BUCKETS = 19 }; /* the last has no bound */

/* Zeros are an empty one. */
struct histogram {
	_Atomic(uint64_t) buckets[HISTOGRAM_BUCKETS]; /* each alone, not those below it */
	_Atomic(uint64_t) sum;			      /* ns */
};

/* Any thread. */
void histogram_observe(struct histogram *histogram, uint64_t ns);

/* How often that was. */
uint64_t histogram_count(const struct histogram *histogram);

/* A queue that a thread works through. */
struct queue_view {
	size_t depth;  /* what waits, and what is being worked on */
	uint64_t lag;  /* ms that the oldest of it has been there */
	uint64_t done; /* ever */
	uint64_t lost; /* because there were too many */
};

/* The HELP and TYPE lines; before the samples of the family, which stand together. type: "counter", "gauge" or "histogram". help is
 * one line without backslashes. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/* One sample. labels: as they stand between braces (operation="read"), values without quotes, backslashes or line ends; NULL: none. */
void metrics_put(struct buf *out, const char *name, const char *labels, uint64_t value);
void metrics_put_seconds(struct buf *out, const char *name, const char *labels, uint64_t ns);

/* A family of one sample without labels. */
void metrics_put_alone(struct buf *out, const char *name, const char *type, const char *help, uint64_t value);

/* All samples of a histogram: its name with _bucket, _sum and _count. */
void metrics_put_histogram(struct buf *out, const char *name, const char *labels, const struct histogram *histogram);

#endif
