/* The tree that everything is measured on: directories dNNNN of TREE_FANOUT files fNN each, with timing_fill()'s bytes in
 * them. run and witness.py know it as well. */
#pragma once

#define TREE_FANOUT 100

/* Longer than any path of the benchmark. */
#define TREE_PATH 512

/* How many directories hold so many files. */
int tree_directories(int files);

void tree_directory(char path[TREE_PATH], const char *top, int number);

void tree_file(char path[TREE_PATH], const char *top, int number);

/* The file to use in a round's number-th step: all over the tree, and not the same twice before all were used. */
void tree_pick(char path[TREE_PATH], const char *top, int number, int files);

/* What is made by the number-th step, and removed by a later one. */
void tree_new(char path[TREE_PATH], const char *directory, int number);
