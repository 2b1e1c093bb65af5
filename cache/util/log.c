#include "cache/util/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "cache/util/clock.h"

enum {
	BURST = 20,	 /* messages of a kind at once, */
	EACH_MS = 60000, /* and in the long run one in so much time */
	KINDS = 256,	 /* that are told apart */
};

/* The messages of one format. */
struct kind {
	const char *format;
	int64_t since; /* ms: up to when credit was given */
	int credit;
	unsigned left_out;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf, over the next */
static struct kind kinds[KINDS];

/* Atomic, because the threads run when the program goes to the background and its log to syslog. */
static _Atomic(int) max_level = LOG_LEVEL_INFO;
static _Atomic(bool) use_syslog;

void log_open(enum log_level level, bool to_syslog)
{
	if (to_syslog)
		openlog("zkfs", LOG_PID, LOG_DAEMON);
	max_level = (int)level;
	use_syslog = to_syslog;
}

bool log_is_on(enum log_level level)
{
	return (int)level <= max_level;
}

static void put(enum log_level level, const char *line)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

	if (use_syslog)
		syslog(priorities[level], "%s", line);
	else
		(void)fprintf(stderr, "zkfs: %s\n", line);
}

/* The format's place, taken for it if it has none. */
static struct kind *find_kind_locked(const char *format, int64_t now)
{
	size_t first = ((uintptr_t)format >> 2) % KINDS;
	size_t i = first;

	while (kinds[i].format && kinds[i].format != format) {
		i = (i + 1) % KINDS;
		if (i == first)
			return &kinds[i]; /* there are fewer messages than that in the program */
	}
	if (!kinds[i].format)
		kinds[i] = (struct kind){ .format = format, .credit = BURST, .since = now };
	return &kinds[i];
}

/* Whether the message may be said now; *left_out is how many like it were not, lately. */
static bool may_say(const char *format, unsigned *left_out)
{
	int64_t now = clock_now();
	struct kind *kind;
	int64_t earned;
	bool may;

	pthread_mutex_lock(&lock);
	kind = find_kind_locked(format, now);
	earned = (now - kind->since) / EACH_MS;
	kind->since += earned * EACH_MS;
	kind->credit = earned < BURST - kind->credit ? kind->credit + (int)earned : BURST;
	may = kind->credit > 0;
	kind->credit -= may ? 1 : 0;
	*left_out = may ? kind->left_out : 0;
	kind->left_out = may ? 0 : kind->left_out + 1;
	pthread_mutex_unlock(&lock);
	return may;
}

__attribute__((format(printf, 2, 0))) static void log_at(enum log_level level, const char *format, va_list args)
{
	unsigned left_out = 0;
	char line[1024];
	size_t size;

	if (!log_is_on(level) || (!log_is_on(LOG_LEVEL_DEBUG) && !may_say(format, &left_out)))
		return;
	(void)vsnprintf(line, sizeof(line), format, args);
	size = strlen(line);
	if (left_out)
		(void)snprintf(line + size, sizeof(line) - size, " (and %u more like this since the last)", left_out);
	put(level, line);
}

#define LOG_FUNCTION(name, level)            \
	void name(const char *format, ...)   \
	{                                    \
		va_list args;                \
		va_start(args, format);      \
		log_at(level, format, args); \
		va_end(args);                \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
