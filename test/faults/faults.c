/* Faults of the operating system for the tests of failures: preloaded into a server of the tests' own (LD_PRELOAD).
 * Files in the directory of the environment variable CSP_FAULTS switch them on and off:
 *
 *   disk_full          files of tablespaces other than the server's own cannot grow
 *   training_library   holds the path of what is loaded in place of csp_train.so; the path of the real one is then in
 *                      the environment variable CSP_TRAINING_LIBRARY
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int path_of_switch(char *path, size_t size, const char *name)
{
	const char *directory = getenv("CSP_FAULTS");

	if (directory == NULL)
		return 0;
	snprintf(path, size, "%s/%s", directory, name);
	return access(path, F_OK) == 0;
}

/* Whether the disk is full for so many bytes at this place of a file. */
static int disk_is_full(int fd, off_t end)
{
	char path[4096], link[64];
	struct stat file;
	ssize_t length;

	if (!path_of_switch(path, sizeof path, "disk_full"))
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length <= 0)
		return 0;
	path[length] = '\0';
	return strstr(path, "/pg_tblspc/") != NULL && fstat(fd, &file) == 0 && end > file.st_size;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
	if (disk_is_full(fd, offset + (off_t)count))
	{
		errno = ENOSPC;
		return -1;
	}
	return REAL(pwrite)(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
	return pwrite(fd, bytes, count, (off_t)offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	if (disk_is_full(fd, offset + 1))
	{
		errno = ENOSPC;
		return -1;
	}
	return REAL(pwritev)(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	return pwritev(fd, parts, count, (off_t)offset);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	return disk_is_full(fd, offset + length) ? ENOSPC : REAL(posix_fallocate)(fd, offset, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	return posix_fallocate(fd, (off_t)offset, (off_t)length);
}

void *dlopen(const char *file, int mode)
{
	const char *name = "/csp_train.so";
	static char other[4096];
	char path[4096];
	FILE *contents;

	if (file != NULL && strlen(file) > strlen(name) && strcmp(file + strlen(file) - strlen(name), name) == 0 &&
		getenv("CSP_TRAINING_LIBRARY") == NULL && path_of_switch(path, sizeof path, "training_library") &&
		(contents = fopen(path, "r")) != NULL)
	{
		setenv("CSP_TRAINING_LIBRARY", file, 1);
		if (fgets(other, sizeof other, contents) != NULL)
			file = other;
		fclose(contents);
	}
	return REAL(dlopen)(file, mode);
}
