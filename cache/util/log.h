/* Messages for whoever runs the daemon: standard error in the foreground, syslog behind a terminal. Safe from any thread.
 * Of messages of the same format, twenty come at once and then one a minute, which says how many were left out: an outage that
 * lasts must not fill a disk. With a debug log all are said. Wording as git's: lower case, no full stop, what failed first, the subject in single quotes. */
#ifndef ZKFS_CACHE_UTIL_LOG_H
#define ZKFS_CACHE_UTIL_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Messages above level are dropped. Before any other thread exists. Default: LOG_LEVEL_INFO, to standard error. */
void log_open(enum log_level level, bool to_syslog);

bool log_is_on(enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);

#endif
