/* SPDX-License-Identifier: MIT */
/*
 * The serial of a disk; see monitor/serial.h.
 *
 * Two disks of one guest should differ, and each be the same after a restart of
 * the instance, of the host, and of a rename. So a serial that nobody has given
 * is a hash of words about the image:
 *
 *	a file		its file system (the id that statfs(2) says) and inode
 *	a device	the first that it has of the UUID of a logical volume or
 *			RAID, the WWID or serial of a disk, the file behind a
 *			loop device and where it begins in that; and the
 *			number of a partition
 *	an id		which is longer than a serial
 *
 * Failure: a file system without an id has the numbers of its device, and so
 * has a device of which nothing is known. They may be others after a restart of
 * the host.
 */
#include "monitor/serial.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	WORDS_MAX = 1024,     /* bytes, what is hashed */
	PATH_MAX_BYTES = 512, /* of a file in sysfs */
};

/* FNV-1a, of 64 bits. */
static uint64_t hash(const char *words)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *words; words++)
		h = (h ^ (unsigned char)*words) * UINT64_C(0x100000001b3);
	return h;
}

/* The first line of a file; false if there is none. */
static bool read_line(char *line, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, line, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return line[strspn(line, " ")] != '\0';
}

void serial_device_words(char *words, size_t size, const char *sys,
			 dev_t device)
{
	static const char *const known_by[] = {
		"dm/uuid",     "dm/name",       "md/uuid", "wwid",
		"device/wwid", "device/serial", "serial",  "loop/backing_file",
	};
	char path[PATH_MAX_BYTES], value[PATH_MAX_BYTES], part[32] = "0";
	char offset[32];
	const char *disk = "";

	snprintf(path, sizeof(path), "%s/%u:%u/partition", sys, major(device),
		 minor(device));
	/* A partition's folder lies in that of its disk. */
	if (read_line(part, sizeof(part), path))
		disk = "/..";
	for (size_t i = 0; i < sizeof(known_by) / sizeof(known_by[0]); i++) {
		snprintf(path, sizeof(path), "%s/%u:%u%s/%s", sys,
			 major(device), minor(device), disk, known_by[i]);
		if (!read_line(value, sizeof(value), path))
			continue;
		snprintf(path, sizeof(path), "%s/%u:%u%s/loop/offset", sys,
			 major(device), minor(device), disk);
		/* What begins at 0 has always been without it. */
		if (!read_line(offset, sizeof(offset), path) ||
		    strcmp(offset, "0") == 0)
			offset[0] = '\0';
		snprintf(words, size, "%s %s %s%s%s", known_by[i], value, part,
			 offset[0] ? " " : "", offset);
		return;
	}
	snprintf(words, size, "device %u:%u", major(device), minor(device));
}

static void file_words(char *words, size_t size, int fd, const struct stat *st)
{
	struct statfs fs;
	uint64_t id = 0;

	if (fstatfs(fd, &fs) == 0)
		memcpy(&id, &fs.f_fsid,
		       sizeof(id) < sizeof(fs.f_fsid) ? sizeof(id) :
							sizeof(fs.f_fsid));
	if (id)
		snprintf(words, size, "file %016" PRIx64 " %ju", id,
			 (uintmax_t)st->st_ino);
	else
		snprintf(words, size, "file %u:%u %ju", major(st->st_dev),
			 minor(st->st_dev), (uintmax_t)st->st_ino);
}

/* False where there is no image. */
static bool image_words(char *words, size_t size,
			const struct block_claim *claim)
{
	struct stat st;

	if (claim->fd < 0 || fstat(claim->fd, &st))
		return false;
	if (S_ISBLK(st.st_mode))
		serial_device_words(words, size, "/sys/dev/block", st.st_rdev);
	else
		file_words(words, size, claim->fd, &st);
	return true;
}

void serial_of(char serial[SERIAL_MAX], const struct disk_options *options,
	       const struct block_claim *claim)
{
	const char *given = options->serial ? options->serial : options->id;
	char words[WORDS_MAX];

	/* xenstore may say so; it would be no serial at all. */
	if (given && !*given)
		given = NULL;
	if (!given && !image_words(words, sizeof(words), claim))
		given = "virtio-disk";
	if (given && strlen(given) < SERIAL_MAX) {
		snprintf(serial, SERIAL_MAX, "%s", given);
		return;
	}
	if (given)
		snprintf(words, sizeof(words), "id %s", given);
	snprintf(serial, SERIAL_MAX, "%016" PRIx64, hash(words));
}
