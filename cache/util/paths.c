#include "cache/util/paths.h"

#include <stdlib.h>
#include <string.h>

struct paths_stem {
	struct table_link link;
	uint64_t hash; /* of path */
	size_t refs;   /* entries that begin with it */
	size_t size;
	char path[]; /* not terminated; empty for "/" */
};

static const struct paths_entry *entry_of(const struct table_link *link)
{
	return table_element(link, struct paths_entry, link);
}

static struct paths_stem *stem_of(const struct table_link *link)
{
	return table_element(link, struct paths_stem, link);
}

static const char *name_of(const struct paths *paths, const struct paths_entry *entry)
{
	return (const char *)entry + paths->name_at;
}

/* --- Hashes: FNV-1a, which goes on from a stem's to that of what is in it --- */

static const uint64_t hash_of_nothing = 0xcbf29ce484222325u;

static uint64_t hash_byte(uint64_t hash, char byte)
{
	return (hash ^ (unsigned char)byte) * 0x100000001b3u;
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = hash_byte(hash, bytes[i]);
	return hash;
}

static uint64_t hash_in(const struct paths_stem *stem, const char *name)
{
	uint64_t hash = hash_byte(stem->hash, '/');

	while (*name)
		hash = hash_byte(hash, *name++);
	return hash;
}

static uint64_t hash_entry(const struct table *table, const struct table_link *link)
{
	const struct paths *paths = table_element(table, struct paths, entries);
	const struct paths_entry *entry = entry_of(link);

	return hash_in(entry->stem, name_of(paths, entry));
}

static uint64_t hash_stem(const struct table *table, const struct table_link *link)
{
	(void)table;
	return stem_of(link)->hash;
}

uint64_t paths_hash(const char *path)
{
	return hash_bytes(hash_of_nothing, path, strlen(path));
}

uint64_t paths_hash_of(const struct paths *paths, const void *entry)
{
	return hash_entry(&paths->entries, entry);
}

/* --- Stems --- */

/* What comes before the last slash. */
static size_t stem_size(const char *path, size_t size)
{
	while (path[--size] != '/')
		;
	return size;
}

static bool is_path_of(const struct paths_stem *stem, const char *path, size_t size)
{
	return stem->size == size && memcmp(stem->path, path, size) == 0;
}

static struct paths_stem *find_stem(const struct paths *paths, const char *path, size_t size)
{
	uint64_t hash;
	struct table_link *link;

	if (size == 0)
		return paths->root;
	hash = hash_bytes(hash_of_nothing, path, size);
	link = table_chain(&paths->stems, hash);
	while (link && !(stem_of(link)->hash == hash && is_path_of(stem_of(link), path, size)))
		link = link->next;
	return link ? stem_of(link) : NULL;
}

static struct paths_stem *stem_new(const char *path, size_t size)
{
	struct paths_stem *stem = malloc(sizeof(*stem) + size);

	if (!stem)
		return NULL;
	stem->hash = hash_bytes(hash_of_nothing, path, size);
	stem->refs = 0;
	stem->size = size;
	memcpy(stem->path, path, size);
	return stem;
}

static struct paths_stem *get_stem(struct paths *paths, const char *path, size_t size)
{
	struct paths_stem *stem = find_stem(paths, path, size);

	if (!stem) {
		stem = stem_new(path, size);
		if (!stem)
			return NULL;
		table_add(&paths->stems, &stem->link);
		paths->bytes += sizeof(*stem) + size;
	}
	stem->refs++;
	return stem;
}

static void put_stem(struct paths *paths, struct paths_stem *stem)
{
	if (--stem->refs > 0 || stem == paths->root)
		return;
	table_remove(&paths->stems, &stem->link);
	paths->bytes -= sizeof(*stem) + stem->size;
	free(stem);
}

/* --- Entries --- */

bool paths_init(struct paths *paths, size_t name_at)
{
	*paths =
		(struct paths){ .entries = TABLE_INIT(hash_entry), .stems = TABLE_INIT(hash_stem), .name_at = name_at };
	paths->root = stem_new("", 0);
	return paths->root != NULL;
}

void paths_release(struct paths *paths)
{
	table_release(&paths->entries);
	table_release(&paths->stems);
	free(paths->root);
	paths->root = NULL;
}

size_t paths_count(const struct paths *paths)
{
	return paths->entries.count;
}

size_t paths_name_size(const char *path)
{
	return strlen(strrchr(path, '/') + 1) + 1;
}

static struct paths_entry *find_from(const struct paths *paths, struct table_link *link, const char *path, size_t size)
{
	size_t stem = stem_size(path, size);
	const char *name = path + stem + 1;
	size_t name_size = size - stem - 1;

	for (; link; link = link->next) {
		struct paths_entry *entry = table_element(link, struct paths_entry, link);
		const char *its = name_of(paths, entry);

		if (strncmp(its, name, name_size) == 0 && its[name_size] == '\0' && is_path_of(entry->stem, path, stem))
			return entry;
	}
	return NULL;
}

void *paths_find(const struct paths *paths, const char *path, size_t size)
{
	return find_from(paths, table_chain(&paths->entries, hash_bytes(hash_of_nothing, path, size)), path, size);
}

/* From the link on, the first with the path of this entry. */
static void *find_same(const struct paths *paths, struct table_link *link, const struct paths_entry *entry)
{
	for (; link; link = link->next) {
		struct paths_entry *other = table_element(link, struct paths_entry, link);

		if (other->stem == entry->stem && strcmp(name_of(paths, other), name_of(paths, entry)) == 0)
			return other;
	}
	return NULL;
}

void *paths_next(const struct paths *paths, const void *entry)
{
	const struct paths_entry *before = entry;

	return find_same(paths, before->link.next, before);
}

void *paths_same(const struct paths *paths, const void *entry)
{
	return find_same(paths, table_chain(&paths->entries, paths_hash_of(paths, entry)), entry);
}

void *paths_find_parent(const struct paths *paths, const void *entry)
{
	const struct paths_entry *child = entry;

	if (child->stem != paths->root)
		return paths_find(paths, child->stem->path, child->stem->size);
	return *name_of(paths, child) ? paths_find(paths, "/", 1) : NULL;
}

bool paths_add(struct paths *paths, void *entry, const char *path)
{
	struct paths_entry *added = entry;
	size_t size = strlen(path);
	size_t stem = stem_size(path, size);

	added->stem = get_stem(paths, path, stem);
	if (!added->stem)
		return false;
	memcpy((char *)entry + paths->name_at, path + stem + 1, size - stem);
	table_add(&paths->entries, &added->link);
	return true;
}

void paths_remove(struct paths *paths, void *entry)
{
	struct paths_entry *removed = entry;

	table_remove(&paths->entries, &removed->link);
	put_stem(paths, removed->stem);
}

bool paths_is_in(const struct paths *paths, const void *entry, const char *directory)
{
	const struct paths_entry *child = entry;
	size_t size = strlen(directory);

	return *name_of(paths, child) && is_path_of(child->stem, directory, size == 1 ? 0 : size);
}

char *paths_path(const struct paths *paths, const void *entry)
{
	const struct paths_entry *its = entry;
	const char *name = name_of(paths, its);
	size_t stem = its->stem->size;
	size_t size = strlen(name) + 1;
	char *path = malloc(stem + 1 + size);

	if (!path)
		return NULL;
	memcpy(path, its->stem->path, stem);
	path[stem] = '/';
	memcpy(path + stem + 1, name, size);
	return path;
}

void *paths_first(const struct paths *paths)
{
	return table_first(&paths->entries);
}

void *paths_behind(const struct paths *paths, const void *entry)
{
	return table_next(&paths->entries, entry);
}
