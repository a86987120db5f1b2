/* SPDX-License-Identifier: MIT */
/*
 * Following the size of images; see monitor/size_watch.h.
 *
 * Happy path: somebody makes an image longer. For a file, closing it after that
 * is an inotify event: truncate(1), qemu-img and dd all do. Not IN_MODIFY, of
 * which every write of a guest would be one. For a block device the kernel
 * sends a uevent to all who listen. Either starts a short timer, and when that
 * is due all disks are looked at: the event says that there is news, not what.
 *
 * Failure modes: without inotify or uevents (too many instances, another
 * network name space, a file on a server) a change is not noticed by itself;
 * SIGHUP has the sizes looked at in any case.
 */
#include "monitor/size_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Changes come in bursts, and whoever makes them may not be done yet. */
#define SETTLE_NS (50 * NS_PER_MS)

/* The kernel's own uevents, not those that udev passes on. */
#define UEVENT_GROUP 1u

static struct size_watch {
	struct loop *loop;          /* NULL while no disk is watched */
	struct loop_source files;   /* inotify; fd -1: none */
	struct loop_source devices; /* uevents; fd -1: none */
	struct loop_timer settle;
	struct disk *disks;
} watch;

void size_watch_look(void)
{
	for (struct disk *disk = watch.disks; disk; disk = disk->next_watched)
		disk_look(disk);
}

static void settled(struct loop_timer *timer)
{
	(void)timer;
	size_watch_look();
}

/* News: what they are is not read. */
static void drain(struct loop_source *source, uint32_t events)
{
	char buffer[4096];
	ssize_t n;

	(void)events;
	do
		n = read(source->fd, buffer, sizeof(buffer));
	while (n > 0 || (n < 0 && (errno == EINTR || errno == ENOBUFS)));
	if (!watch.settle.armed)
		loop_arm(watch.loop, &watch.settle, SETTLE_NS);
}

static int open_uevents(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = UEVENT_GROUP,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 &&
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void source_close(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(watch.loop, source);
	close(source->fd);
	source->fd = -1;
}

static bool source_open(struct loop_source *source, int fd)
{
	source->fd = fd;
	source->ready = drain;
	if (fd < 0)
		return false;
	if (loop_add(watch.loop, source, EPOLLIN) == 0)
		return true;
	close(fd);
	source->fd = -1;
	return false;
}

static void begin(struct loop *loop)
{
	watch.loop = loop;
	watch.files.fd = -1;
	watch.devices.fd = -1;
	watch.settle.due = settled;
}

static void end(void)
{
	loop_disarm(watch.loop, &watch.settle);
	source_close(&watch.files);
	source_close(&watch.devices);
	watch.loop = NULL;
}

static bool watch_file(struct disk *disk)
{
	char path[32];

	if (watch.files.fd < 0 &&
	    !source_open(&watch.files, inotify_init1(IN_CLOEXEC | IN_NONBLOCK)))
		return false;
	/* The file that is open, whatever its name means by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk->image.fd);
	disk->watch = inotify_add_watch(watch.files.fd, path, IN_CLOSE_WRITE);
	return disk->watch >= 0;
}

static bool watch_device(struct disk *disk)
{
	disk->watch = -1;
	return watch.devices.fd >= 0 ||
	       source_open(&watch.devices, open_uevents());
}

void size_watch_add(struct disk *disk, struct loop *loop)
{
	bool ok;

	if (disk->image.fd < 0)
		return;
	if (!watch.loop)
		begin(loop);
	ok = disk->image.is_block_device ? watch_device(disk) :
					   watch_file(disk);
	if (!ok)
		log_info("%s: its size is not watched (%s); after a change, "
			 "send SIGHUP",
			 disk->name, strerror(errno));
	disk->next_watched = watch.disks;
	watch.disks = disk;
}

void size_watch_remove(struct disk *disk)
{
	struct disk **link = &watch.disks;

	while (*link && *link != disk)
		link = &(*link)->next_watched;
	if (!*link)
		return;
	*link = disk->next_watched;
	/* Two disks of one read-only file share a watch. */
	if (disk->watch >= 0 && watch.files.fd >= 0) {
		for (struct disk *d = watch.disks; d; d = d->next_watched)
			if (d->watch == disk->watch)
				return;
		inotify_rm_watch(watch.files.fd, disk->watch);
	}
	if (!watch.disks)
		end();
}
