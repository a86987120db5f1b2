/* SPDX-License-Identifier: MIT */
/*
 * Tells, in dom0, where a guest and its disks stand: what of the daemon's state
 * files, of the IOREQ server's page and of the guest's rings does not agree.
 *
 *	ringlook /run/virtio-disk/DOMID
 *
 * For a guest that stands still: whether the device has not seen what the
 * driver made available, the driver not what the device has used, or a vCPU
 * waits for an answer. It looks only, at memory that others go on writing: a
 * busy disk shows differences as well. What cannot be read is said and passed
 * over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtio/queue.h"
#include "virtio/state.h"
#include "virtio/wire.h"
#include "xen/ioreq_slot.h"
#include "xen/ioreq_state.h"

enum {
	PAGE = 4096,
	RING_PAGES_MAX = 64, /* of one part of a ring */
	IOREQ_FRAME = 1,     /* XENMEM_resource_ioreq_server_frame_ioreq(0) */
};

/* linux/include/uapi/xen/privcmd.h, which no package has for programs. */
struct mmap_batch {
	unsigned int num;
	uint16_t dom;
	uint64_t addr;
	const uint64_t *frames;
	int *errors;
};

struct mmap_resource {
	uint16_t dom;
	uint32_t type;
	uint32_t id;
	uint32_t index;
	uint64_t num;
	uint64_t addr;
};

#define MMAP_BATCH _IOC(_IOC_NONE, 'P', 4, sizeof(struct mmap_batch))
#define MMAP_RESOURCE _IOC(_IOC_NONE, 'P', 7, sizeof(struct mmap_resource))

static int privcmd;
static uint16_t domid;

static void *room(size_t pages)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, privcmd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Guest memory, to be looked at; NULL if any of it cannot be. */
static const void *guest(uint64_t address, uint64_t bytes)
{
	size_t pages = (address % PAGE + bytes + PAGE - 1) / PAGE;
	uint64_t frames[RING_PAGES_MAX];
	int errors[RING_PAGES_MAX] = { 0 };
	uint8_t *p;

	if (pages > RING_PAGES_MAX)
		return NULL;
	for (size_t i = 0; i < pages; i++)
		frames[i] = address / PAGE + i;
	p = room(pages);
	struct mmap_batch batch = { .num = (unsigned int)pages,
				    .dom = domid,
				    .addr = (uintptr_t)p,
				    .frames = frames,
				    .errors = errors };
	if (!p || ioctl(privcmd, MMAP_BATCH, &batch))
		return NULL;
	for (size_t i = 0; i < pages; i++)
		if (errors[i])
			return NULL;
	return p + address % PAGE;
}

static const void *file(const char *path, size_t least)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size >= least)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd,
			 0);
	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		return p;
	printf("%s: cannot be read\n", path);
	return NULL;
}

static void show_slot(unsigned int vcpu, const struct ioreq_slot *slot)
{
	static const char *const state[] = { "free", "READY", "INPROCESS",
					     "RESP_READY" };
	unsigned int s = ioreq_slot_state(slot);

	printf("  vCPU %u: slot %s, the last %s at %#jx, port %u%s\n", vcpu,
	       s < 4 ? state[s] : "?",
	       slot->bits & IOREQ_SLOT_READ ? "read" : "write",
	       (uintmax_t)slot->addr, slot->vp_eport,
	       s == 0 ? "" : " <- it waits for an answer, or to be run");
}

static void show_server(const char *path)
{
	const struct ioreq_state *state = file(path, sizeof(*state));
	struct mmap_resource page = { .dom = domid, .num = 1 };

	if (!state || state->magic != IOREQ_STATE_MAGIC)
		return;
	printf("%s: IOREQ server %u, %u vCPUs\n", path, state->server,
	       state->nvcpus);
	page.id = state->server;
	page.index = IOREQ_FRAME;
	page.addr = (uintptr_t)room(1);
	if (!page.addr || ioctl(privcmd, MMAP_RESOURCE, &page)) {
		printf("  its page: %s\n", strerror(errno));
		return;
	}
	for (unsigned int i = 0; i < state->nvcpus && i < IOREQ_VCPUS_MAX; i++)
		show_slot(i, (const struct ioreq_slot *)page.addr + i);
}

static unsigned int in_flight(const struct virtq_inflight *in, uint16_t size)
{
	unsigned int n = 0;

	for (uint16_t i = 0; i < size; i++)
		n += in->desc[i].inflight != 0;
	return n;
}

static void show_split(const struct virtio_queue_state *qs,
		       const struct virtq_inflight *in, bool event_idx)
{
	const struct vring_bytes bytes = vring_bytes(qs->size, false);
	const uint16_t *avail = guest(qs->driver, bytes.driver);
	const uint16_t *used = guest(qs->device, bytes.device);
	unsigned int busy = in_flight(in, qs->size);
	uint16_t taken = (uint16_t)(in->used_idx + busy);
	uint16_t used_event, avail_event;

	if (!avail || !used) {
		printf("    its rings cannot be read\n");
		return;
	}
	/* Both: flags, index, the ring, and the other side's event index. */
	used_event = avail[2 + qs->size];
	avail_event = used[2 + 4 * qs->size];
	printf("    available %u, taken %u, in flight %u, used %u; "
	       "used_event %u, avail_event %u; flags %u, %u\n",
	       avail[1], taken, busy, used[1], used_event, avail_event,
	       avail[0], used[0]);
	if (avail[1] != taken)
		printf("    <- the device has not taken %u chains\n",
		       (uint16_t)(avail[1] - taken));
	if (event_idx && used_event != used[1])
		printf("    <- the driver may not have seen %u chains that are "
		       "used\n",
		       (uint16_t)(used[1] - used_event));
}

static void show_queue(const struct virtio_state *state, unsigned int i)
{
	const struct virtio_queue_state *qs = &state->device.queue[i];
	const uint8_t *in = (const uint8_t *)(state + 1) +
			    i * state->header.inflight_bytes;
	uint64_t features = state->device.in_force;

	if (!qs->ready || !qs->started || qs->size > VIRTQUEUE_SIZE_MAX)
		return;
	printf("  queue %u of %u:\n", i, qs->size);
	if (features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED))
		printf("    packed: not looked into\n");
	else
		show_split(qs, (const struct virtq_inflight *)(const void *)in,
			   features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX));
}

static void show_disk(const char *path)
{
	const struct virtio_state *state = file(path, sizeof(*state));
	const struct virtio_device_state *dev;

	if (!state)
		return;
	dev = &state->device;
	printf("%s: status %#x, interrupt status %u%s%s%s\n", path, dev->status,
	       dev->interrupt_status,
	       dev->interrupt_status ? " <- not acknowledged" : "",
	       dev->resetting || dev->stopping ? ", a reset waits" : "",
	       dev->removed ? ", removed" : "");
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		show_queue(state, i);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? strrchr(argv[1], '/') : NULL;
	DIR *folder = name ? opendir(argv[1]) : NULL;
	struct dirent *entry;

	if (!folder) {
		fprintf(stderr, "usage: ringlook /run/virtio-disk/DOMID\n");
		return 2;
	}
	domid = (uint16_t)atoi(name + 1);
	privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	while ((entry = readdir(folder))) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (strcmp(entry->d_name, "server") == 0)
			show_server(path);
		else if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			show_disk(path);
	}
	closedir(folder);
	return 0;
}
