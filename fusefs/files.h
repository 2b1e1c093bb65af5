/* The open files: one struct file per open(2), with the version of the contents it reads and the bytes not saved yet. Knows
 * nothing of FUSE requests; file.c translates. Safe from any thread.
 *
 * Nothing an open file reads is torn between two versions. Most do without the kernel's page cache: each reads one version of
 * the contents, and a read from the start, or from its end on, looks for a newer one. Small files that are only read and have
 * been quiet for a while use the page cache, where a file is one page, filled by one read. What must fit together there is the
 * page and the size, and the kernel asks for them apart; so such a file reads the version whose size the kernel was told last
 * (files_told). */
#ifndef ZKFS_FUSEFS_FILES_H
#define ZKFS_FUSEFS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fuse_lowlevel.h>

#include "cache/cache.h"
#include "fusefs/inode.h"

struct file;
struct files;

/* Starts a thread, which saves what has been left unsaved for a while. NULL: errno says why. */
struct files *files_new(struct cache *cache, struct inodes *inodes, size_t max_data);

/* Ends the thread. */
void files_stop(struct files *files);

/* At the end, when nothing can be written any more: saves what was written to files that are still open, as files_save_below does,
 * but none that was only emptied so far, and waits for all saves, at most ms. What is lost is told to the log. */
void files_flush(struct files *files, int ms);

/* After files_stop and cache_stop. Files that the kernel never released go with it. NULL is fine. */
void files_free(struct files *files);

/* Opens what inode shows: info is its znode's. The file is held once; file_put gives it back. NULL: no memory.
 * With an inode that has no znode yet (INODE_UNBORN), info is that of files_unborn; or, with O_CREAT, of nothing, and then the
 * znode is made with the first save. */
struct file *file_open(struct files *files, const struct inode_view *inode, const struct node_info *info, int flags);

/* The open file that file_open's caller put into libfuse's info->fh. */
static inline struct file *file_of(const struct fuse_file_info *info)
{
	return (struct file *)(uintptr_t)info->fh; /* NOLINT(performance-no-int-to-ptr): libfuse keeps it so */
}

/* It was made to live as long as somebody has it open (held.h); so does whoever else opens the inode from now on. */
void file_hold(struct file *file);

/* The last descriptor of the open file is closed. True: the file is held, and nobody has the inode open any more. */
bool file_lets_go(struct file *file);

/* The kernel knows the open file by another name than the znode's: what is saved through it is told of as if others had done it. */
void file_tell_all(struct file *file);

/* The znode that it stands for. */
int64_t file_czxid(struct file *file);

/* The contents of the inode's open files that were saved last, held once for the caller. NULL: none is open. */
struct bytes *files_saved(struct files *files, fuse_ino_t inode);

/* Holds it once more. */
void file_get(struct file *file);

/* The last one frees, and drops what was not saved. */
void file_put(struct file *file);

/* Whether the kernel may keep its contents in the page cache. */
bool file_is_paged(const struct file *file);

/* Whether nobody else on this mount has the inode open. */
bool file_is_alone(const struct file *file);

/* The path of the znode, where it is now; valid while the file is held. */
const char *file_path(const struct file *file);

/* The contents as one piece, held once for the caller; NULL while something is unsaved (use file_read). */
struct bytes *file_contents(struct file *file);

/* Contents from offset on, at most size bytes, unsaved ones included, to `to`. Gives how many. */
size_t file_read(struct file *file, size_t offset, char *to, size_t size);

/* Whether a read at offset should see the newest contents, which are then to be given to file_renew. */
bool file_wants_newer(struct file *file, size_t offset);

/* The newest contents for a read at offset: taken when it reads from the start, or when what was read is the beginning of
 * them (somebody appended). Left alone when the znode is another by now (the file was removed; it stays readable). */
void file_renew(struct file *file, size_t offset, const struct node_info *info);

/* 0 or -errno: -EFBIG beyond max_data, -ENOMEM. Appending ignores offset. owner: who writes (the kernel's lock_owner; 0: not
 * known). After a write that failed the file is broken: nothing of what is unsaved is ever saved, and to save it is that error,
 * until it is cut to nothing. */
int file_write(struct file *file, uint64_t owner, size_t offset, bool is_append, const char *data, size_t size);
int file_cut(struct file *file, size_t size);

/* Saves what is unsaved, in one transaction. Where it is merged with what is there and not all of that, it comes after what
 * became unsaved earlier in other open files of the inode, so that the bytes get there in the order of writing. done is called
 * once, before the call returns when there is nothing to save; 0 or -errno, of this file. After an error the bytes are dropped, or,
 * if keep, unsaved again for another try; but appended ones that may be there already (-EIO) are dropped in any case, for they
 * could be there twice, and if that was nobody's who could be told, the next call tells it. */
typedef void file_saved_cb(int error, void *arg);
void file_save(struct file *file, bool keep, file_saved_cb *done, void *arg);

/* Whether nothing was written yet: all that is unsaved is a truncation, or that the file was made. */
bool file_is_bare(struct file *file);

/* One of perhaps several descriptors of the open file is closed, by owner: saves as file_save does, unless it is not yet time.
 * That is so when it is a copy that some other process inherited (the owner is who wrote or closed first), or when nothing
 * was written yet and the owner has_copy, another descriptor of it: a shell's "echo x >file" opens, copies the descriptor,
 * closes the first and only then writes, and nobody is to see the file empty. What is put off is saved by a later close, or
 * by file_release. */
void file_close(struct file *file, uint64_t owner, bool has_copy, file_saved_cb *done, void *arg);

/* The last descriptor is closed; as file_save. */
void file_release(struct file *file, file_saved_cb *done, void *arg);

/* Calls done once nothing is unsaved in files of the inode that were released: whoever opens it next must find it. May wait a
 * moment for a release that is on its way. */
void files_settle(struct files *files, fuse_ino_t inode, file_saved_cb *done, void *arg);

/* The same for the znode at this path and all below it. */
void files_save_below(struct files *files, const char *path, file_saved_cb *done, void *arg);

/* Inodes have moved: their open files stand for the znodes at the new places. */
void files_follow(struct files *files);

/* Whether a save of one of its open files is under way. */
bool files_are_saving(struct files *files, fuse_ino_t inode);

/* Saves what is unsaved in any open file of the inode; as file_save that keeps. */
void files_save(struct files *files, fuse_ino_t inode, file_saved_cb *done, void *arg);

/* What an inode without a znode shows to who opens it too: the contents of the file that will make it. info must be released.
 * False: there is none, or no memory. */
bool files_unborn(struct files *files, fuse_ino_t inode, struct node_info *info);

/* The kernel is being told the attributes of this inode: its paged files read this version from now on. */
void files_told(struct files *files, fuse_ino_t inode, const struct node_info *info);

/* Whether the data has changed since it was last read, which is what POLLPRI says. The handle, which the file owns from now on
 * (NULL: none), is told when it does (fuse_lowlevel_notify_poll). */
bool file_poll(struct file *file, struct fuse_pollhandle *handle);

/* The data of this inode has changed, or its znode is gone; 0: any may have. To be called before its pages are taken back, and
 * files_wake_polls, which tells those that poll, after: then a read that the kernel answers by itself is an older one. */
void files_changed(struct files *files, fuse_ino_t inode);
void files_wake_polls(struct files *files, fuse_ino_t inode);

/* Whether the inode has paged files open, so that its size must not be told without files_told. */
bool files_are_paged(struct files *files, fuse_ino_t inode);

/* The znode of this inode was unlinked through this mount: what is unsaved in its open files has nowhere to go. */
void files_unlinked(struct files *files, fuse_ino_t inode);

/* The size of the contents as the newest writer on this mount sees them, while something is unsaved. False: nothing is. */
bool files_unsaved_size(struct files *files, fuse_ino_t inode, size_t *size);

/* Somebody has a lock now, and may read what others have written under theirs: the next read of each open file of the inode sees the
 * newest contents, wherever it reads. */
void files_refresh(struct files *files, fuse_ino_t inode);

/* The file's user relies on a lock that lives as long as this session: what is saved from now on is saved in it or not at all (-EIO),
 * so that nothing is written under a lock that another has by then. 0: not any more. */
void file_bind(struct file *file, int64_t session);

/* The lock that the file's user relied on is lost. From now on nothing is read from it or written to it (file_is_forfeit), and what is
 * unsaved is dropped: -EIO. */
void file_forfeit(struct file *file);
bool file_is_forfeit(struct file *file);

/* How many files are open, how many of them hold something unsaved, and how many saves are under way. */
struct files_view {
	size_t open, unsaved, saves;
};

void files_look(struct files *files, struct files_view *view);

/* The Stat of an inode that is open here, as last seen. False: it is not. */
bool files_last_stat(struct files *files, fuse_ino_t inode, struct node_stat *stat);

#endif
