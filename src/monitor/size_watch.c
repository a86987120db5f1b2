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
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Changes come in bursts, and whoever makes them may not be done yet. */
#define SETTLE_NS (50 * NS_PER_MS)

/* The kernel's own uevents, not those that udev passes on. */
#define UEVENT_GROUP 1u

static struct {
	struct loop *loop;          /* NULL while no image is watched */
	struct loop_source files;   /* inotify; fd -1: none */
	struct loop_source devices; /* uevents; fd -1: none */
	struct loop_timer settle;
	struct size_watch *first;
} all;

void size_watch_look_at(struct size_watch *watch)
{
	struct block_claim *claim = watch->claim;
	uint64_t old, now;

	if (!claim)
		return;
	old = claim->facts.size;
	if (!block_claim_look(claim))
		return;
	now = claim->facts.size;
	if (now < old)
		log_warning("%s: the image has shrunk from %" PRIu64
			    " to %" PRIu64 " bytes; what the guest had behind "
			    "its end is lost",
			    watch->name, old, now);
	else
		log_info("%s: the image has grown from %" PRIu64 " to %" PRIu64
			 " bytes",
			 watch->name, old, now);
	watch->changed(watch);
}

void size_watch_look(void)
{
	for (struct size_watch *w = all.first; w; w = w->next)
		size_watch_look_at(w);
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
	if (!all.settle.armed)
		loop_arm(all.loop, &all.settle, SETTLE_NS);
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
	loop_remove(all.loop, source);
	close(source->fd);
	source->fd = -1;
}

static bool source_open(struct loop_source *source, int fd)
{
	source->fd = fd;
	source->ready = drain;
	if (fd < 0)
		return false;
	if (loop_add(all.loop, source, EPOLLIN) == 0)
		return true;
	close(fd);
	source->fd = -1;
	return false;
}

static void begin(struct loop *loop)
{
	all.loop = loop;
	all.files.fd = -1;
	all.devices.fd = -1;
	all.settle.due = settled;
}

static void end(void)
{
	loop_disarm(all.loop, &all.settle);
	source_close(&all.files);
	source_close(&all.devices);
	all.loop = NULL;
}

static bool watch_file(struct size_watch *watch)
{
	char path[32];

	if (all.files.fd < 0 &&
	    !source_open(&all.files, inotify_init1(IN_CLOEXEC | IN_NONBLOCK)))
		return false;
	/* The file that is open, whatever its name means by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", watch->claim->fd);
	watch->wd = inotify_add_watch(all.files.fd, path, IN_CLOSE_WRITE);
	return watch->wd >= 0;
}

static bool watch_device(struct size_watch *watch)
{
	watch->wd = -1;
	return all.devices.fd >= 0 || source_open(&all.devices, open_uevents());
}

void size_watch_add(struct size_watch *watch, struct block_claim *claim,
		    const char *name, struct loop *loop)
{
	bool ok;

	if (claim->fd < 0)
		return;
	if (!all.loop)
		begin(loop);
	watch->claim = claim;
	watch->name = name;
	ok = claim->facts.is_block_device ? watch_device(watch) :
					    watch_file(watch);
	if (!ok)
		log_info("%s: its size is not watched (%s); after a change, "
			 "send SIGHUP",
			 name, strerror(errno));
	watch->next = all.first;
	all.first = watch;
}

void size_watch_remove(struct size_watch *watch)
{
	struct size_watch **link = &all.first;

	while (*link && *link != watch)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = watch->next;
	/* Two disks of one read-only file share a watch. */
	if (watch->wd >= 0 && all.files.fd >= 0) {
		for (struct size_watch *w = all.first; w; w = w->next)
			if (w->wd == watch->wd)
				return;
		inotify_rm_watch(all.files.fd, watch->wd);
	}
	if (!all.first)
		end();
}
