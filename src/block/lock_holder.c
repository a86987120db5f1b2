/* SPDX-License-Identifier: MIT */
/*
 * Which process has locked a file; see lock_holder.h.
 *
 * The kernel does not say whose a lock of an open file description is, but
 * lists it with each descriptor that it belongs to, by device and inode. So
 * that of all processes is read, as far as we may. Their files are not looked
 * at: one may be on a file system that does not answer.
 *
 * A worker has locked the file as well, but to stop it is of no use: who has
 * the first byte, or all, is the one to be named.
 *
 * Failure: of what cannot be read nothing is known.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
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

/* What somebody has of the locks; more is better. */
enum holding { HOLDING_NONE, HOLDING_SOME, HOLDING_FIRST };

/* The lines of locks on `file`, of which others may begin at its first byte. */
static enum holding look_at_locks(const char *text, const char *file)
{
	enum holding found = HOLDING_NONE;
	const char *at = strstr(text, "\nlock:");

	for (at = at ? strstr(at, file) : NULL; at; at = strstr(at, file)) {
		at += strlen(file);
		if (strncmp(at, "0 ", 2) == 0)
			return HOLDING_FIRST;
		found = HOLDING_SOME;
	}
	return found;
}

/* Of a descriptor. */
static enum holding look_at_descriptor(int dir, const char *fd,
				       const char *file)
{
	char text[HOLDER_INFO_MAX];
	int info = openat(dir, fd, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (info < 0)
		return HOLDING_NONE;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = '\0';
	return look_at_locks(text, file);
}

/* Of the process, but for our descriptor `own`. */
static enum holding look_at_process(long pid, const char *file, int own)
{
	char path[64];
	struct dirent *entry;
	enum holding found = HOLDING_NONE;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%ld/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return HOLDING_NONE;
	while (found < HOLDING_FIRST && (entry = readdir(dir))) {
		enum holding one;

		if (pid == getpid() && read_number(entry->d_name) == own)
			continue;
		one = look_at_descriptor(dirfd(dir), entry->d_name, file);
		if (one > found)
			found = one;
	}
	closedir(dir);
	return found;
}

long block_lock_holder(int fd)
{
	enum holding most = HOLDING_NONE;
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
	while (most < HOLDING_FIRST && (entry = readdir(dir))) {
		long pid = read_number(entry->d_name);
		enum holding one = pid > 0 ? look_at_process(pid, file, fd) :
					     HOLDING_NONE;

		if (one > most) {
			most = one;
			holder = pid;
		}
	}
	closedir(dir);
	return holder;
}
