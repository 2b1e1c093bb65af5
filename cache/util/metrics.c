#include "cache/util/metrics.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000u

static const uint64_t bounds[HISTOGRAM_BUCKETS - 1] = { /* ns */
	5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000,
	100000000, 200000000, 500000000, 1000000000, 5000000000
};

/* The same in s. */
static const char *const bound_labels[HISTOGRAM_BUCKETS] = { "0.000005", "0.00001", "0.00002", "0.00005", "0.0001",
	"0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "5", "+Inf" };

void histogram_observe(struct histogram *histogram, uint64_t ns)
{
	int bucket = 0;

	while (bucket < HISTOGRAM_BUCKETS - 1 && ns > bounds[bucket])
		bucket++;
	atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum, ns, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
	return count;
}

__attribute__((format(printf, 2, 3))) static void put(struct buf *out, const char *format, ...)
{
	char line[512];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof(line))
		out->failed = true; /* a line must not be cut */
	else
		(void)buf_append(out, line, (size_t)size);
}

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
	put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Of the name, what is appended to it, and the labels, of which one more may follow. */
static void put_name(struct buf *out, const char *name, const char *suffix, const char *labels, const char *bound)
{
	bool has_labels = labels || bound;

	put(out, "%s%s%s%s", name, suffix, has_labels ? "{" : "", labels ? labels : "");
	if (bound)
		put(out, "%sle=\"%s\"", labels ? "," : "", bound);
	put(out, "%s ", has_labels ? "}" : "");
}

static void put_seconds(struct buf *out, uint64_t ns)
{
	put(out, "%llu.%09llu\n", (unsigned long long)(ns / NS_PER_S), (unsigned long long)(ns % NS_PER_S));
}

void metrics_put(struct buf *out, const char *name, const char *labels, uint64_t value)
{
	put_name(out, name, "", labels, NULL);
	put(out, "%llu\n", (unsigned long long)value);
}

void metrics_put_seconds(struct buf *out, const char *name, const char *labels, uint64_t ns)
{
	put_name(out, name, "", labels, NULL);
	put_seconds(out, ns);
}

void metrics_put_alone(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	metrics_family(out, name, type, help);
	metrics_put(out, name, NULL, value);
}

void metrics_put_histogram(struct buf *out, const char *name, const char *labels, const struct histogram *histogram)
{
	uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
		put_name(out, name, "_bucket", labels, bound_labels[i]);
		put(out, "%llu\n", (unsigned long long)count);
	}
	put_name(out, name, "_sum", labels, NULL);
	put_seconds(out, sum);
	put_name(out, name, "_count", labels, NULL);
	put(out, "%llu\n", (unsigned long long)count);
}
