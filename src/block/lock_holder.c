/* SPDX-License-Identifier: MIT */
/*
 * Which process has locked a file; see lock_holder.h.
 *
 * The kernel does not say whose a lock of an open file description is, but lists
 * it with each descriptor that it belongs to. So the descriptors of all
 * processes are looked at, as far as we may.
 *
 * Failure: of what cannot be read nothing is known.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock_holder.h"

/* What the kernel says of a descriptor; locks come after a few lines. */
#define HOLDER_INFO_MAX 4096

/* Of a process or a descriptor; 0 for another name. */
static long holder_number(const char *name)
{
	return strtol(name, NULL, 10);
}

static bool holder_is_locked(long pid, const char *fd)
{
	char path[64], text[HOLDER_INFO_MAX];
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/%ld/fdinfo/%.16s", pid, fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return false;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "\nlock:") != NULL;
}

/* Whether the process has the file locked, but for our descriptor `own`. */
static bool holder_is(long pid, const struct stat *file, int own)
{
	char path[64];
	struct dirent *entry;
	struct stat st;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
			st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino &&
			(pid != getpid() || holder_number(entry->d_name) != own) &&
			holder_is_locked(pid, entry->d_name);
	closedir(dir);
	return found;
}

long block_lock_holder(int fd)
{
	struct dirent *entry;
	struct stat st;
	long holder = 0;
	DIR *dir;

	if (fstat(fd, &st))
		return 0;
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while (!holder && (entry = readdir(dir))) {
		long pid = holder_number(entry->d_name);

		if (pid > 0 && holder_is(pid, &st, fd))
			holder = pid;
	}
	closedir(dir);
	return holder;
}
