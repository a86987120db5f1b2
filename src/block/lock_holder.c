/* SPDX-License-Identifier: MIT */
/*
 * Which process has locked a file; see lock_holder.h.
 *
 * The kernel does not say whose a lock of an open file description is, but
 * lists it with each descriptor that it belongs to, by device and inode. So
 * that of all processes is read, as far as we may. Their files are not looked
 * at: one may be on a file system that does not answer.
 *
 * Failure: of what cannot be read nothing is known.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lock_holder.h"

/* What the kernel says of a descriptor; locks come after a few lines. */
#define HOLDER_INFO_MAX 4096

/* How the kernel calls a file there. */
#define HOLDER_FILE_MAX 48

/* Of a process or a descriptor; 0 for another name. */
static long read_number(const char *name)
{
	return strtol(name, NULL, 10);
}

/* Whether a descriptor has a lock on `file`. */
static bool has_locked(int dir, const char *fd, const char *file)
{
	char text[HOLDER_INFO_MAX];
	const char *line;
	int info = openat(dir, fd, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (info < 0)
		return false;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nlock:");
	return line && strstr(line, file);
}

/* Whether the process has locked `file`, but for our descriptor `own`. */
static bool is_holder(long pid, const char *file, int own)
{
	char path[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = (pid != getpid() ||
			 read_number(entry->d_name) != own) &&
			has_locked(dirfd(dir), entry->d_name, file);
	closedir(dir);
	return found;
}

long block_lock_holder(int fd)
{
	char file[HOLDER_FILE_MAX];
	struct dirent *entry;
	struct stat st;
	long holder = 0;
	DIR *dir;

	if (fstat(fd, &st))
		return 0;
	snprintf(file, sizeof(file), " %02x:%02x:%ju ", major(st.st_dev),
		 minor(st.st_dev), (uintmax_t)st.st_ino);
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while (!holder && (entry = readdir(dir))) {
		long pid = read_number(entry->d_name);

		if (pid > 0 && is_holder(pid, file, fd))
			holder = pid;
	}
	closedir(dir);
	return holder;
}
