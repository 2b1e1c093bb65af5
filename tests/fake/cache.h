/* Stands in for cache/cache.c where nothing but cache_update is used: znodes in memory. An update goes the way of the true one
 * (read, compose, write under a version check or create, again if somebody was faster), at once or, once held, a step at a time as
 * the test says. Safe from any thread; holds no lock while it calls the edit's functions. */
#ifndef ZKFS_TESTS_FAKE_CACHE_H
#define ZKFS_TESTS_FAKE_CACHE_H

#include "cache/cache.h"

struct cache *fake_cache_new(void);

/* No update may be under way. */
void fake_cache_free(struct cache *cache);

/* What somebody else does. Creating one that is there makes it anew. */
void fake_cache_create(struct cache *cache, const char *path, const char *text);
void fake_cache_set(struct cache *cache, const char *path, const char *text);
void fake_cache_remove(struct cache *cache, const char *path);

/* The znode now; info must be released. False: there is none. */
bool fake_cache_look(struct cache *cache, const char *path, struct node_info *info);

/* From now on updates wait for fake_cache_step; false: no longer (those that wait still do). */
void fake_cache_hold(struct cache *cache, bool is_held);

/* Lets the oldest update that waits do one thing: read and compose, or write. False: none waits. */
bool fake_cache_step(struct cache *cache);

/* The next cache_update returns this. */
void fake_cache_refuse(struct cache *cache, int error);

/* The next write ends its update with this. */
void fake_cache_fail(struct cache *cache, int error);

/* Waits until so many updates have ended since the beginning, at most ms. Whether they have. */
bool fake_cache_await(struct cache *cache, int ended, int ms);

struct fake_cache_counts {
	int updates, composed, written, ended; /* ended: its edit's done has returned */
	int most_for_one;		       /* updates under way at once with the same edit.arg */
	struct cache_edit last;
};

struct fake_cache_counts fake_cache_counts(struct cache *cache);

#endif
