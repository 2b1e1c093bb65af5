/* Shows a directory (of tmpfs) through libfuse: what any filesystem in a process costs that has nothing to do but to answer.
 *
 *     nullfs DIRECTORY MOUNTPOINT
 *
 * stays in the foreground until it is unmounted or interrupted. It lets the kernel keep names, attributes and pages for ever,
 * for nobody else may change the directory meanwhile; only what the benchmark does is there.
 *
 * (libfuse's example passthrough_ll keeps a descriptor for each file, and looks each of them up in a list: not for 100,000.) */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOREVER 1e9

static const char *top;

/* Where libfuse's path lies. */
struct place {
	char path[4096];
};

static const char *within(struct place *place, const char *path)
{
	(void)snprintf(place->path, sizeof(place->path), "%s%s", top, path);
	return place->path;
}

static int or_errno(int result)
{
	return result < 0 ? -errno : result;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	/* As zkfs does: fusefs/connection.c. */
	connection->want |= connection->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	config->entry_timeout = config->attr_timeout = FOREVER;
	config->kernel_cache = config->hard_remove = 1;
	return NULL;
}

static int op_getattr(const char *path, struct stat *attr, struct fuse_file_info *file)
{
	struct place place;

	(void)file;
	return or_errno(lstat(within(&place, path), attr));
}

static int opened(int fd, struct fuse_file_info *file)
{
	file->fh = (uint64_t)fd;
	return fd < 0 ? -errno : 0;
}

static int op_open(const char *path, struct fuse_file_info *file)
{
	struct place place;

	return opened(open(within(&place, path), file->flags | O_CLOEXEC), file);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	struct place place;

	return opened(open(within(&place, path), file->flags | O_CREAT | O_CLOEXEC, mode), file);
}

static int op_read(const char *path, char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	return or_errno((int)pread((int)file->fh, data, size, offset));
}

static int op_write(const char *path, const char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)path;
	return or_errno((int)pwrite((int)file->fh, data, size, offset));
}

static int op_release(const char *path, struct fuse_file_info *file)
{
	(void)path;
	return or_errno(close((int)file->fh));
}

static int op_unlink(const char *path)
{
	struct place place;

	return or_errno(unlink(within(&place, path)));
}

static int op_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
	enum fuse_readdir_flags flags)
{
	struct place place;
	const struct dirent *found;
	DIR *dir = opendir(within(&place, path));

	(void)offset;
	(void)file;
	if (!dir)
		return -errno;
	while ((found = readdir(dir))) {
		struct stat attr = { .st_ino = found->d_ino, .st_mode = (mode_t)DTTOIF(found->d_type) };
		int is_plus =
			(flags & FUSE_READDIR_PLUS) && !fstatat(dirfd(dir), found->d_name, &attr, AT_SYMLINK_NOFOLLOW);

		if (fill(buf, found->d_name, &attr, 0, is_plus ? FUSE_FILL_DIR_PLUS : 0))
			break;
	}
	closedir(dir);
	return 0;
}

static const struct fuse_operations ops = {
	.init = op_init,
	.getattr = op_getattr,
	.open = op_open,
	.create = op_create,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.unlink = op_unlink,
	.readdir = op_readdir,
};

int main(int argc, char **argv)
{
	/* libfuse 3.14 complains of its own default. */
	char foreground[] = "-f", threads[] = "-omax_threads=10";
	char *args[] = { argv[0], foreground, threads, argc == 3 ? argv[2] : NULL, NULL };

	if (argc != 3) {
		(void)fprintf(stderr, "usage: nullfs DIRECTORY MOUNTPOINT\n");
		return 2;
	}
	top = argv[1];
	return fuse_main(4, args, &ops, NULL);
}
