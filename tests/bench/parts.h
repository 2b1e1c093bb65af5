/* The parts of the bare program, one file each. All print seconds and see tests/bench/client.h for what fails. */
#pragma once

#include <stdbool.h>
#include <zookeeper/zookeeper.h>

/* walk.c: sees all of a tree, or limit znodes of it, window requests being in flight; the Stat of each (a program that wants to
 * know what is a directory needs it), its data as well if asked for, and the children of those whose Stat says that they have
 * some. Prints seconds, znodes and bytes seen. */
void walk(zhandle_t *zh, const char *top, int window, int limit, bool with_data);

/* requests.c: count requests of one kind. One by one: prints median, 99th percentile and mean of what one took; with more
 * in flight only the mean. */
enum request { REQUEST_EXISTS, REQUEST_GET, REQUEST_SET, REQUEST_CREATE, REQUEST_DELETE };
void requests(zhandle_t *zh, enum request request, const char *path, int count, int window, int files);

/* requests.c: makes or removes the tree of tests/bench/tree.h and its top. */
void make_tree(zhandle_t *zh, const char *top, int files);
void remove_tree(zhandle_t *zh, const char *top, int files);

/* lock.c: takes a lock that nobody else wants, and gives it back, count times: makes an ephemeral sequential node (or, in one transaction,
 * three, so that Kazoo and Curator can see it), lists the children, and removes what was made. Prints median, 99th percentile and
 * mean. */
void take_lock(zhandle_t *zh, const char *path, int count, bool is_threefold);

/* remote.c: how long it takes, from the moment at which a znode is set or made on this session, until somebody sees it who is
 * not this session. Print median, 99th percentile and mean of count times; or "none" as soon as it takes two seconds. */

/* The file on a mount, opened again and again, has the new data. */
void until_visible(zhandle_t *zh, const char *znode, const char *file, int count);
/* inotify says so to who watches the directory of the file. */
void until_modified(zhandle_t *zh, const char *znode, const char *file, int count);
/* inotify says so to who watches the directory, of which a new child is made. */
void until_created(zhandle_t *zh, const char *znode, const char *directory, int count);
/* A watch of another session fires; or that session has read the new data, too. */
void until_watched(zhandle_t *zh, zhandle_t *other, const char *znode, int count, bool with_data);
