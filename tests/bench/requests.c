#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/client.h"
#include "tests/bench/parts.h"
#include "tests/bench/timing.h"
#include "tests/bench/tree.h"

/* So many requests make a tree; libzookeeper's queue is no place for 100,000. */
#define WINDOW 256

struct series {
	zhandle_t *zh;
	enum request request;
	const char *path;
	int window, files;
};

static void create(zhandle_t *zh, const char *path, const char *data, int size)
{
	client_begin(WINDOW);
	client_sent(zoo_acreate(zh, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, client_on_string, NULL));
}

static void delete (zhandle_t *zh, const char *path)
{
	client_begin(WINDOW);
	client_sent(zoo_adelete(zh, path, -1, client_on_removed, NULL));
}

static int send_one(const struct series *series, int number)
{
	char data[TIMING_SIZE], path[TREE_PATH];

	timing_fill(data, number);
	if (series->request == REQUEST_EXISTS || series->request == REQUEST_GET)
		tree_pick(path, series->path, number, series->files);
	else
		tree_new(path, series->path, number);
	switch (series->request) {
	case REQUEST_EXISTS:
		return zoo_aexists(series->zh, path, 0, client_on_stat, NULL);
	case REQUEST_GET:
		return zoo_aget(series->zh, path, 0, client_on_data, NULL);
	case REQUEST_SET:
		return zoo_aset(series->zh, series->path, data, sizeof(data), -1, client_on_stat, NULL);
	case REQUEST_CREATE:
		return zoo_acreate(series->zh, path, data, sizeof(data), &ZOO_OPEN_ACL_UNSAFE, 0, client_on_string,
			NULL);
	case REQUEST_DELETE:
		return zoo_adelete(series->zh, path, -1, client_on_void, NULL);
	}
	abort();
}

static void one(int number, void *arg)
{
	const struct series *series = arg;

	client_begin(series->window);
	client_sent(send_one(series, number));
	if (series->window == 1)
		client_await();
}

void requests(zhandle_t *zh, enum request request, const char *path, int count, int window, int files)
{
	struct series series = { .zh = zh, .request = request, .path = path, .window = window, .files = files };
	double begun;

	if (window == 1) {
		timing_run(count, one, &series);
		return;
	}
	for (int i = 0; i < TIMING_UNCOUNTED; i++)
		one(i, &series);
	client_await();
	begun = timing_now();
	for (int i = 0; i < count; i++)
		one(TIMING_UNCOUNTED + i, &series);
	client_await();
	printf("%.9f\n", (timing_now() - begun) / count);
}

/* Requests of one session are done in order, so no child comes before its parent. */
void make_tree(zhandle_t *zh, const char *top, int files)
{
	char path[TREE_PATH], data[TIMING_SIZE];

	create(zh, top, NULL, -1);
	for (int i = 0; i < files; i++) {
		if (i % TREE_FANOUT == 0) {
			tree_directory(path, top, i / TREE_FANOUT);
			create(zh, path, NULL, -1);
		}
		tree_file(path, top, i);
		timing_fill(data, i);
		create(zh, path, data, sizeof(data));
	}
	client_await();
}

void remove_tree(zhandle_t *zh, const char *top, int files)
{
	char path[TREE_PATH];

	for (int i = 0; i < files; i++) {
		tree_file(path, top, i);
		delete (zh, path);
	}
	for (int i = 0; i < tree_directories(files); i++) {
		tree_directory(path, top, i);
		delete (zh, path);
	}
	delete (zh, top);
	client_await();
}
