/* SPDX-License-Identifier: MIT */
/*
 * A front end; see front.h.
 *
 * The memory: for each queue a ring with its tables, the requests' heads and
 * status bytes, and the data. Slot i has the descriptors 4i to 4i+2: head,
 * data, status. There is one eventfd for the calls of all queues, for all of
 * them are looked at whenever there is one.
 *
 * Failure modes: a message that is not acknowledged, a device without what is
 * needed, a used element of no request, and nothing done for WAIT_SECONDS end
 * the program.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_user/wire.h"

#define POWER_PROGRAM "drive"
#include "front.h"
#include "power.h"

#define GUEST UINT64_C(0x40000000) /* where the guest has its memory */
#define BIT(n) (UINT64_C(1) << (n))

enum {
	WAIT_SECONDS = 60,
	RING = 4 * FRONT_DEPTH_MAX, /* descriptors */
	/* Of a queue's part of the memory: */
	AVAIL_AT = 0x1000,
	USED_AT = 0x2000,
	HEADS_AT = 0x3000, /* 64 bytes for each slot */
	DATA_AT = 0x4000,
	DATA = RUN_MAX * SECTOR,
	PART = DATA_AT + FRONT_DEPTH_MAX * DATA,
	MEMORY = FRONT_QUEUES_MAX * PART,
};

/* A request's head, the range of one without data, its status. */
struct slot_head {
	struct virtio_blk_outhdr out;
	struct virtio_blk_discard_write_zeroes range;
	uint8_t status;
};

_Static_assert(sizeof(struct slot_head) <= 64, "HEADS_AT");
_Static_assert(RING * sizeof(struct vring_desc) <= AVAIL_AT, "AVAIL_AT");

static uint8_t *part(const struct front *f, unsigned int queue)
{
	return f->memory + (size_t)queue * PART;
}

static struct slot_head *slot_head(const struct front *f, unsigned int queue,
				   unsigned int slot)
{
	return (void *)(part(f, queue) + HEADS_AT + 64 * slot);
}

uint8_t *front_data(const struct front *f, unsigned int queue,
		    unsigned int slot)
{
	return part(f, queue) + DATA_AT + (size_t)slot * DATA;
}

/* ---- messages ---- */

static void send_message(const struct front *f, uint32_t request,
			 uint32_t flags, const void *payload, uint32_t size,
			 int fd)
{
	struct vhost_header head = { .request = request,
				     .flags = VHOST_HEADER_VERSION | flags,
				     .size = size };
	struct iovec iov[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = size },
	};
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		struct cmsghdr *c = (void *)control;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(f->sock, &m, MSG_NOSIGNAL) !=
	    (ssize_t)(sizeof(head) + size))
		die("the socket", strerror(errno));
}

static void receive(const struct front *f, void *bytes, size_t n)
{
	if (n && recv(f->sock, bytes, n, MSG_WAITALL) != (ssize_t)n)
		die("the socket", "no reply");
}

static void receive_reply(const struct front *f, uint32_t request,
			  void *payload, uint32_t size)
{
	struct vhost_header head;

	receive(f, &head, sizeof(head));
	if (head.request != request || head.size != size)
		die("the socket", "another reply than expected");
	receive(f, payload, size);
}

/* Tell something, with a descriptor or -1: it is acknowledged. */
static void tell(const struct front *f, uint32_t request, const void *payload,
		 uint32_t size, int fd)
{
	uint64_t bad;

	send_message(f, request, VHOST_HEADER_NEED_REPLY, payload, size, fd);
	receive_reply(f, request, &bad, sizeof(bad));
	if (bad)
		die("a vhost-user message", "was refused");
}

static void tell_state(const struct front *f, uint32_t request,
		       unsigned int queue, unsigned int n)
{
	struct vhost_vring_state state = { .index = queue, .num = n };

	tell(f, request, &state, sizeof(state), -1);
}

static void tell_fd(const struct front *f, uint32_t request, unsigned int queue,
		    int fd)
{
	uint64_t index = queue;

	tell(f, request, &index, sizeof(index), fd);
}

static uint64_t ask_number(const struct front *f, uint32_t request)
{
	uint64_t n;

	send_message(f, request, 0, NULL, 0, -1);
	receive_reply(f, request, &n, sizeof(n));
	return n;
}

void front_ask(struct front *f)
{
	struct vhost_config c = { .size = sizeof(struct virtio_blk_config) };
	uint32_t size = VHOST_CONFIG_HEAD + c.size;

	send_message(f, VHOST_GET_CONFIG, 0, &c, size, -1);
	receive_reply(f, VHOST_GET_CONFIG, &c, size);
	memcpy(&f->sectors, c.bytes, sizeof(f->sectors));
}

void front_choose_mode(struct front *f, bool writeback)
{
	struct vhost_config c = {
		.offset = offsetof(struct virtio_blk_config, wce),
		.size = 1,
		.bytes = { writeback },
	};

	tell(f, VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + c.size, -1);
}

/* ---- start ---- */

static void negotiate(struct front *f, bool flushes)
{
	uint64_t protocol = BIT(VHOST_PROTOCOL_F_MQ) |
			    BIT(VHOST_PROTOCOL_F_REPLY_ACK) |
			    BIT(VHOST_PROTOCOL_F_CONFIG);
	uint64_t want = BIT(VIRTIO_F_VERSION_1) |
			BIT(VHOST_F_PROTOCOL_FEATURES) |
			BIT(VIRTIO_BLK_F_DISCARD) |
			BIT(VIRTIO_BLK_F_WRITE_ZEROES);

	if (flushes)
		want |= BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE);
	if (f->nqueues > 1)
		want |= BIT(VIRTIO_BLK_F_MQ);
	send_message(f, VHOST_SET_OWNER, 0, NULL, 0, -1);
	f->features = ask_number(f, VHOST_GET_FEATURES);
	if (want & ~f->features)
		die("the disk", "lacks a feature");
	if (protocol & ~ask_number(f, VHOST_GET_PROTOCOL_FEATURES))
		die("the disk", "lacks a protocol feature");
	send_message(f, VHOST_SET_PROTOCOL_FEATURES, 0, &protocol,
		     sizeof(protocol), -1);
	front_ask(f);
	tell(f, VHOST_SET_FEATURES, &want, sizeof(want), -1);
}

static void share_memory(struct front *f)
{
	struct vhost_mem_table table = { .n = 1 };

	f->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (f->memory_fd < 0 || ftruncate(f->memory_fd, MEMORY))
		die("memory", strerror(errno));
	f->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			 f->memory_fd, 0);
	if (f->memory == MAP_FAILED)
		die("memory", strerror(errno));
	table.region[0] = (struct vhost_region){
		.guest = GUEST,
		.size = MEMORY,
		.user = (uintptr_t)f->memory,
	};
	tell(f, VHOST_SET_MEM_TABLE, &table,
	     VHOST_MEM_TABLE_HEAD + sizeof(table.region[0]), f->memory_fd);
}

static void start_queue(struct front *f, unsigned int queue)
{
	uintptr_t at = (uintptr_t)part(f, queue);
	struct vhost_vring_addr addr = {
		.index = queue,
		.desc = at,
		.avail = at + AVAIL_AT,
		.used = at + USED_AT,
	};

	f->kick[queue] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->kick[queue] < 0)
		die("an eventfd", strerror(errno));
	tell_state(f, VHOST_SET_VRING_NUM, queue, RING);
	tell_state(f, VHOST_SET_VRING_BASE, queue, 0);
	tell(f, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	tell_fd(f, VHOST_SET_VRING_CALL, queue, f->call);
	tell_fd(f, VHOST_SET_VRING_KICK, queue, f->kick[queue]);
	tell_state(f, VHOST_SET_VRING_ENABLE, queue, 1);
}

void front_connect(struct front *f, const char *path, unsigned int nqueues,
		   bool flushes)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = WAIT_SECONDS };

	memset(f, 0, sizeof(*f));
	f->nqueues = nqueues;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	f->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->sock < 0 ||
	    setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO, &limit,
		       sizeof(limit)) ||
	    connect(f->sock, (struct sockaddr *)&at, sizeof(at)))
		die(path, strerror(errno));
	f->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->call < 0)
		die("an eventfd", strerror(errno));
	negotiate(f, flushes);
	share_memory(f);
	for (unsigned int i = 0; i < nqueues; i++)
		start_queue(f, i);
}

/* ---- requests ---- */

static struct vring_desc describe(const struct front *f, const void *at,
				  uint32_t len, unsigned int flags,
				  unsigned int next)
{
	return (struct vring_desc){
		.addr = GUEST + (uint64_t)((const uint8_t *)at - f->memory),
		.len = len,
		.flags = (uint16_t)flags,
		.next = (uint16_t)next,
	};
}

void front_put(struct front *f, unsigned int queue, unsigned int slot,
	       uint32_t type, uint64_t sector, uint32_t sectors, bool unmap)
{
	struct slot_head *head = slot_head(f, queue, slot);
	struct vring_avail *avail = (void *)(part(f, queue) + AVAIL_AT);
	struct vring_desc *d = (void *)part(f, queue);
	unsigned int first = 4 * slot;

	head->out = (struct virtio_blk_outhdr){ .type = type };
	head->status = 0xff;
	d += first;
	d[0] = describe(f, &head->out, sizeof(head->out), VRING_DESC_F_NEXT,
			first + (sectors ? 1 : 2));
	if (type == VIRTIO_BLK_T_OUT) {
		head->out.sector = sector;
		d[1] = describe(f, front_data(f, queue, slot), sectors * SECTOR,
				VRING_DESC_F_NEXT, first + 2);
	} else if (sectors) {
		head->range = (struct virtio_blk_discard_write_zeroes){
			.sector = sector,
			.num_sectors = sectors,
			.flags = unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0,
		};
		d[1] = describe(f, &head->range, sizeof(head->range),
				VRING_DESC_F_NEXT, first + 2);
	}
	d[2] = describe(f, &head->status, 1, VRING_DESC_F_WRITE, 0);
	avail->ring[f->avail[queue]++ % RING] = (uint16_t)first;
	/* The device looks at the index first. */
	__atomic_store_n(&avail->idx, f->avail[queue], __ATOMIC_RELEASE);
}

void front_kick(const struct front *f, unsigned int queue)
{
	eventfd_write(f->kick[queue], 1);
}

bool front_take(struct front *f, unsigned int queue, unsigned int *slot,
		uint8_t *status)
{
	const struct vring_used *used = (void *)(part(f, queue) + USED_AT);
	uint32_t id;

	/* Before the element and the status, which the device wrote before. */
	if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == f->used[queue])
		return false;
	id = used->ring[f->used[queue]++ % RING].id;
	if (id % 4 || id / 4 >= FRONT_DEPTH_MAX)
		die("a used element", "of no request");
	*slot = id / 4;
	*status = slot_head(f, queue, *slot)->status;
	return true;
}

void front_wait(const struct front *f)
{
	struct pollfd p = { .fd = f->call, .events = POLLIN };
	eventfd_t n;

	if (poll(&p, 1, WAIT_SECONDS * 1000) <= 0)
		die("the disk", "does not answer");
	eventfd_read(f->call, &n);
}
