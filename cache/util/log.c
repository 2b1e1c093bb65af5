#include "cache/util/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>

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

__attribute__((format(printf, 2, 0))) static void log_at(enum log_level level, const char *format, va_list args)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	char line[1024];

	if (!log_is_on(level))
		return;
	(void)vsnprintf(line, sizeof(line), format, args);
	if (use_syslog)
		syslog(priorities[level], "%s", line);
	else
		(void)fprintf(stderr, "zkfs: %s\n", line);
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
