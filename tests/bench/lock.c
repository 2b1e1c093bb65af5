#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/client.h"
#include "tests/bench/parts.h"
#include "tests/bench/timing.h"
#include "tests/bench/tree.h"

#define NODES 3

/* What Kazoo, Curator's mutex and Curator's read-write lock look for in a name. */
static const char *const names[NODES] = { "x-__lock__", "x-lock-", "x-__WRIT__" };

struct recipe {
	zhandle_t *zh;
	const char *path;
	int nodes;
	char made[NODES][TREE_PATH];
	int queue; /* length of it */
};

static void on_made(int rc, const char *path, const void *arg)
{
	if (rc == ZOK)
		(void)snprintf((char *)arg, TREE_PATH, "%s", path);
	client_answered(rc);
}

static void on_names(int rc, const struct String_vector *found, const void *arg)
{
	if (rc == ZOK)
		((struct recipe *)arg)->queue = found->count;
	client_answered(rc);
}

static void make_one(struct recipe *recipe)
{
	char path[TREE_PATH];

	(void)snprintf(path, sizeof(path), "%s/%s", recipe->path, names[0]);
	client_sent(zoo_acreate(recipe->zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_made,
		recipe->made[0]));
}

static void make_all(struct recipe *recipe, zoo_op_t ops[NODES], zoo_op_result_t results[NODES],
	char paths[NODES][TREE_PATH])
{
	for (int i = 0; i < NODES; i++) {
		(void)snprintf(paths[i], TREE_PATH, "%s/%s", recipe->path, names[i]);
		zoo_create_op_init(&ops[i], paths[i], "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL,
			recipe->made[i], TREE_PATH);
	}
	client_sent(zoo_amulti(recipe->zh, NODES, ops, results, client_on_void, NULL));
}

static void remove_all(struct recipe *recipe, zoo_op_t ops[NODES], zoo_op_result_t results[NODES])
{
	for (int i = 0; i < NODES; i++)
		zoo_delete_op_init(&ops[i], recipe->made[i], -1);
	client_sent(zoo_amulti(recipe->zh, NODES, ops, results, client_on_void, NULL));
}

static void one(int number, void *arg)
{
	struct recipe *recipe = arg;
	zoo_op_t ops[NODES];
	zoo_op_result_t results[NODES];
	char paths[NODES][TREE_PATH];

	(void)number;
	client_begin(1);
	if (recipe->nodes == 1)
		make_one(recipe);
	else
		make_all(recipe, ops, results, paths);
	client_begin(1);
	client_sent(zoo_aget_children(recipe->zh, recipe->path, 0, on_names, recipe));
	client_begin(1);
	if (recipe->queue != recipe->nodes) {
		(void)fprintf(stderr, "bare: '%s' has %d children\n", recipe->path, recipe->queue);
		exit(1);
	}
	if (recipe->nodes == 1)
		client_sent(zoo_adelete(recipe->zh, recipe->made[0], -1, client_on_void, NULL));
	else
		remove_all(recipe, ops, results);
	client_await();
}

void take_lock(zhandle_t *zh, const char *path, int count, bool is_threefold)
{
	struct recipe recipe = { .zh = zh, .path = path, .nodes = is_threefold ? NODES : 1 };

	timing_run(count, one, &recipe);
}
