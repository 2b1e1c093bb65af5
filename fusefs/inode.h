/* What the kernel was told of: inode numbers, and which znode each stands for. An inode is a znode as it was created (path and
 * czxid) seen as one kind of file, or a directory's own data (".data"). When a znode is removed and made again, or changes
 * its kind, the path gets another inode; the old one stays known, and dead, until the kernel forgets it.
 *
 * The number is a hash of all that, so it is the same on every mount and after every start, and a directory can be listed with
 * the numbers its entries will have; where two would have the same one, the later takes the next free. */
#ifndef ZKFS_FUSEFS_INODE_H
#define ZKFS_FUSEFS_INODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <fuse_lowlevel.h>

#include "cache/node.h"
#include "cache/util/table.h"
#include "fusefs/kind.h"

enum inode_type {
	INODE_NODE, /* a znode */
	INODE_DATA, /* the data of the znode, which is a directory, as its file ".data" */
};

/* The first number that a znode's inode can have, but for the root; those below are the control files' (virtual.h). */
enum { INODE_FIRST = 64 };

/* As a czxid: of a file that has been opened to be made and has no znode yet, for that is born with its contents (DESIGN.md
 * section 3). Its inode becomes that of the first znode that is a file at its path, ours or anybody's. */
#define INODE_UNBORN INT64_C(-1)

/* A copy of what is known of an inode. */
struct inode_view {
	fuse_ino_t number;
	enum inode_type type;
	enum kind kind; /* KIND_FILE for INODE_DATA */
	bool is_dead;
	int64_t czxid;
	char *path; /* the znode's; owned by the view */
};

struct inodes;

/* Knows the root. with_symlinks: files of that form are links, else files. NULL: no memory. */
struct inodes *inodes_new(bool with_symlinks);
void inodes_free(struct inodes *inodes);

/* 0, -ESTALE: no such inode, -ENOMEM. The view must be released. */
int inodes_look(struct inodes *inodes, fuse_ino_t number, struct inode_view *view);
void inode_view_release(struct inode_view *view);

/* Here and below, data is the znode's, which only matters where it may be a symlink's; NULL: it cannot be read. */

/* What the znode with this path and Stat is in this mount. */
enum kind inodes_kind(const struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data);

/* Whether what stat and data tell is still what the view shows. */
bool inodes_match(const struct inodes *inodes, const struct inode_view *view, const struct node_stat *stat,
	const struct bytes *data);

/* Whether the path is the mount's root. Pure. */
bool inode_path_is_root(const char *path);

/* The inode of the znode with this path and Stat, with one more lookup counted. 0: no memory. */
fuse_ino_t inodes_enter(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data);

/* The number that inodes_enter would give, without counting. */
fuse_ino_t inodes_number(struct inodes *inodes, enum inode_type type, const char *path, const struct node_stat *stat,
	const struct bytes *data);

/* How many the kernel knows. */
size_t inodes_count(struct inodes *inodes);

/* The znode at this path has been removed: its inodes are dead. (They also are when another is entered in their place.) */
void inodes_died(struct inodes *inodes, const char *path);

/* The inode of a file at this path that has no znode yet, a new one or one that is there, with one more lookup counted. 0: no memory. */
fuse_ino_t inodes_enter_unborn(struct inodes *inodes, const char *path);

/* The inode at this path that has no znode yet; is_lookup: with one more lookup counted. 0: there is none. */
fuse_ino_t inodes_unborn(struct inodes *inodes, const char *path, bool is_lookup);

/* Somebody else has made a znode at this path. Whether the kernel has told of its birth already, when it was opened here to be made. */
bool inodes_foretold(struct inodes *inodes, const char *path);

/* It has one now, created by this. No effect if that is known. */
void inodes_born(struct inodes *inodes, fuse_ino_t number, int64_t czxid);

/* It will never have one: it is dead. No effect on one that has. */
void inodes_abandon(struct inodes *inodes, fuse_ino_t number);

/* The names (unescaped) of the files without a znode in the directory at this path, in *list; the caller frees each and the
 * list. Gives how many; -ENOMEM. */
ssize_t inodes_unborn_in(struct inodes *inodes, const char *directory, char ***list);

/* Its znode, which was gone, has been made again at the same path, created by this: it stands for the new one. No effect on a
 * file that has had none yet. */
void inodes_reborn(struct inodes *inodes, fuse_ino_t number, int64_t czxid);

/* Which inodes, or what they become. */
struct inode_place {
	const char *path;
	enum inode_type type; /* INODE_NODE: the znode, and its data if it is a directory */
	int64_t czxid;
};

/* A znode was moved: its inodes, with the numbers that the kernel knows them by, stand for it at its new place. What stood there
 * is dead, whatever the czxid. Without memory they are dead instead. */
void inodes_moved(struct inodes *inodes, const struct inode_place *from, const struct inode_place *to);

/* --- Deaths that are to be announced (announce.h) --- */

/* Something that the announcer has in its queue, about one path. While it is there, what is done here to the same name, which the
 * kernel tells of at once, is noted. The members are inode.c's. */
struct inode_news {
	struct table_link link;
	char *path; /* NULL: it is of none, and nowhere known */
	bool is_birth, is_death;
	int64_t ended;	/* a birth: the czxid of what was removed here since; 0: nothing was */
	bool has_kind;	/* a change: it is known */
	enum kind kind; /* as what the znode was known before it */
};

/* is_birth, is_death: what it is; with neither, a change of data. Until inodes_told, which must come (it does nothing for one of no
 * path). False: no memory. */
bool inodes_expect(struct inodes *inodes, struct inode_news *news, const char *path, bool is_birth, bool is_death);
void inodes_told(struct inodes *inodes, struct inode_news *news);

/* Where it is now: a directory may have been moved with all that is to be told of in it. The caller frees it. NULL: no memory. */
char *inodes_news_path(struct inodes *inodes, const struct inode_news *news);
bool inodes_news_is_at(struct inodes *inodes, const struct inode_news *news, const char *path);

/* Whether what was created by this (0: not known, it is gone) has been removed here meanwhile, so that nobody is to hear of its
 * birth any more. */
bool inodes_news_is_late(struct inodes *inodes, const struct inode_news *news, int64_t czxid);

/* A change of data: as what the znode was known before it, for data may change that; false: it was not known. */
bool inodes_news_kind(struct inodes *inodes, const struct inode_news *news, enum kind *kind);

/* It has been told of as this now. */
void inodes_kind_told(struct inodes *inodes, const struct inode_news *news, enum kind kind);

/* A directory is being moved, as inodes_moved will say of each znode: what is to be told of in it is there now. */
void inodes_moved_below(struct inodes *inodes, const char *from, const char *to);

/* Somebody else has removed the znode at this path: if an inode of it died, its death is to be announced, and *kind is what it was. */
void inodes_mourn(struct inodes *inodes, const char *path, enum kind *kind);

/* The znode at this path is of this kind now. An inode that stood for it as something else is dead, and that is to be announced.
 * False: there is none. */
bool inodes_mourn_kind(struct inodes *inodes, const char *path, enum kind now);

/* As inodes_enter, for the kernel alone: its birth is being announced. */
fuse_ino_t inodes_enter_announced(struct inodes *inodes, const char *path, const struct node_stat *stat,
	const struct bytes *data);

/* Its birth has been announced, or the kernel knows of it because it was made here. */
void inodes_announced(struct inodes *inodes, fuse_ino_t number);

/* Whether that is so of an inode of this znode. */
bool inodes_is_announced(struct inodes *inodes, const char *path, int64_t czxid);

/* All inodes of znodes that are not dead, or whose death nobody has told of or is about to tell of, in *list; the caller releases
 * each and frees the list. Gives how many; -ENOMEM. */
ssize_t inodes_living(struct inodes *inodes, struct inode_view **list);

/* Somebody else has removed its znode, and nobody has told of that: it is mourned, if the kernel still knows it. False: it was dead
 * already. */
bool inodes_lost(struct inodes *inodes, fuse_ino_t number);

/* Whether there is an inode at this path whose death is to be announced. */
bool inodes_is_mourned(struct inodes *inodes, const char *path);

/* The inode at this path whose death is to be announced, the oldest, with one more lookup counted. 0: there is none. */
fuse_ino_t inodes_mourned(struct inodes *inodes, const char *path, enum kind *kind);

/* The inode whose birth at this path was announced last is mourned, unless another is. If that is what stands there again by now, it
 * gets another inode. */
void inodes_mourn_announced(struct inodes *inodes, const char *path);

/* A dead inode for a znode that is gone and that the kernel did not know, as if it were mourned. 0: no memory. */
fuse_ino_t inodes_enter_dead(struct inodes *inodes, const char *path, enum kind kind);

/* The kernel knows of its death because it was removed here. */
void inodes_buried(struct inodes *inodes, fuse_ino_t number);

/* Its death has been announced. */
void inodes_death_told(struct inodes *inodes, fuse_ino_t number);

/* The czxid (INODE_UNBORN) of what stands at this path because it was made or moved there here, of which the kernel has told; 0:
 * nothing does. */
int64_t inodes_made_here(struct inodes *inodes, const char *path);

/* As inodes_child, whether the directory is dead or not. */
int inodes_child_of_dead(struct inodes *inodes, fuse_ino_t directory, const char *name, enum inode_type *type,
	char **path);

/* The kernel forgets count lookups. */
void inodes_forget(struct inodes *inodes, fuse_ino_t number, uint64_t count);

/* One inode that stands, or stood, for a path. */
struct inode_at {
	fuse_ino_t number;
	enum inode_type type;
	enum kind kind;
	bool is_dead;
	bool is_seen; /* inodes_enter has entered it */
};

/* All inodes known for the path, dead ones too, in *list, which the caller frees. Gives how many; -ENOMEM. */
ssize_t inodes_at(struct inodes *inodes, const char *path, struct inode_at **list);

/* Every path that inodes are known for, in *list; the caller frees each and the list. Gives how many; -ENOMEM. */
ssize_t inodes_paths(struct inodes *inodes, char ***list);

/* The znode's path for name in the directory, and what it is: *type INODE_DATA for ".data", when *path is the directory's own.
 * 0; -ESTALE, -ENOENT (the directory is dead), -ENOTDIR, -ENOMEM; of the name -EILSEQ, -ENAMETOOLONG, -EINVAL (see names.h), -EPERM for what is ours (anything in ".zkfs", too). *path
 * is the caller's. */
int inodes_child(struct inodes *inodes, fuse_ino_t directory, const char *name, enum inode_type *type, char **path);

#endif
