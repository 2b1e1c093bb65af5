#include "tests/bench/tree.h"

#include <stdio.h>

/* A prime far from the sizes of trees, which are multiples of TREE_FANOUT. */
#define STRIDE 7919L

int tree_directories(int files)
{
	return (files + TREE_FANOUT - 1) / TREE_FANOUT;
}

void tree_directory(char path[TREE_PATH], const char *top, int number)
{
	(void)snprintf(path, TREE_PATH, "%s/d%04d", top, number);
}

void tree_file(char path[TREE_PATH], const char *top, int number)
{
	(void)snprintf(path, TREE_PATH, "%s/d%04d/f%02d", top, number / TREE_FANOUT, number % TREE_FANOUT);
}

void tree_pick(char path[TREE_PATH], const char *top, int number, int files)
{
	tree_file(path, top, (int)(number * STRIDE % files));
}

void tree_new(char path[TREE_PATH], const char *directory, int number)
{
	(void)snprintf(path, TREE_PATH, "%s/%06d", directory, number);
}
