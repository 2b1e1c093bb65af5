/* What the parts of the bare program have in common: sessions, and asynchronous requests of which so many may be in flight.
 * Whatever fails ends the program with a message. */
#pragma once

#include <zookeeper/zookeeper.h>

/* Awaits the connection. */
zhandle_t *client_connect(const char *servers);

/* Before a request: waits until fewer than window are in flight, and counts this one. After it: what it returned. */
void client_begin(int window);
void client_sent(int rc);

/* A request's completion says what it was answered. */
void client_answered(int rc);

/* Until none is in flight. */
void client_await(void);

/* Completions that do nothing else; on_removed's does not mind if there was nothing to remove. */
void client_on_void(int rc, const void *arg);
void client_on_removed(int rc, const void *arg);
void client_on_stat(int rc, const struct Stat *stat, const void *arg);
void client_on_string(int rc, const char *path, const void *arg);
void client_on_data(int rc, const char *value, int len, const struct Stat *stat, const void *arg);
