/* SPDX-License-Identifier: MIT */
/*
 * A front end that survives its back end; see client.h.
 *
 *	guest address 0x100000	queue 0: rings, then its slots
 *	then			queue 1
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "faults.h"
#include "vhost_user/wire.h"
#include "virtio/blk_wire.h"
#include "virtio/wire.h"

enum {
	BASE = 0x100000,
	RING = 32, /* entries: a chain of three for each slot */
	AVAIL = 0x1000,
	USED = 0x2000,
	SLOTS = 0x3000,
	SLOT = 4096 + CLIENT_DATA, /* header and status, data */
	QUEUE = SLOTS + CLIENT_SLOTS * SLOT,
	STATUS = 32, /* in a slot, behind the header */
	MEMORY = CLIENT_QUEUES * QUEUE,
};

static enum outcome refused(struct client *c, const char *what, int number)
{
	snprintf(c->why, sizeof(c->why), "%s %d", what, number);
	return REFUSED;
}

/* ---- messages ---- */

static bool send_message(struct client *c, uint32_t request, const void *body,
			 uint32_t size, int fd, bool need_reply)
{
	struct vhost_header header = {
		.request = request,
		.flags = VHOST_HEADER_VERSION |
			 (need_reply ? VHOST_HEADER_NEED_REPLY : 0),
		.size = size,
	};
	struct iovec iov[2] = { { &header, sizeof(header) },
				{ (void *)(uintptr_t)body, size } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	return sendmsg(c->sock, &msg, MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(header) + size);
}

/* Exactly `len` bytes, and a descriptor if one comes. */
static enum outcome receive(struct client *c, void *to, size_t len, int *fd)
{
	uint64_t end = now_ms() + LIMIT_MS;
	size_t got = 0;

	while (got < len) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = { (char *)to + got, len - got };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		struct pollfd p = { .fd = c->sock, .events = POLLIN };
		struct cmsghdr *cmsg;
		ssize_t n;

		if (now_ms() >= end)
			return HANGS;
		if (poll(&p, 1, (int)(end - now_ms())) <= 0)
			continue;
		n = recvmsg(c->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return REFUSED;
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && fd)
			memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
		got += (size_t)n;
	}
	return GOOD;
}

static enum outcome reply(struct client *c, uint32_t request, void *body,
			  uint32_t size, int *fd)
{
	struct vhost_header header;
	enum outcome o = receive(c, &header, sizeof(header), fd);

	if (o == GOOD && (header.request != request || header.size != size))
		give_up("a reply of another kind");
	if (o == GOOD)
		o = receive(c, body, size, fd);
	snprintf(c->why, sizeof(c->why), "request %u", request);
	return o;
}

static enum outcome ask(struct client *c, uint32_t request, uint64_t *value)
{
	if (!send_message(c, request, NULL, 0, -1, false))
		return refused(c, "request", (int)request);
	return reply(c, request, value, sizeof(*value), NULL);
}

/* Something that is acknowledged. */
static enum outcome set(struct client *c, uint32_t request, const void *body,
			uint32_t size, int fd)
{
	uint64_t ack = 1;
	enum outcome o;

	if (!send_message(c, request, body, size, fd, true))
		return refused(c, "request", (int)request);
	o = reply(c, request, &ack, sizeof(ack), NULL);
	return o == GOOD && ack ? refused(c, "request", (int)request) : o;
}

static enum outcome set_u64(struct client *c, uint32_t request, uint64_t value)
{
	return set(c, request, &value, sizeof(value), -1);
}

static enum outcome set_state(struct client *c, uint32_t request,
			      uint32_t index, uint32_t num)
{
	struct vhost_vring_state state = { .index = index, .num = num };

	return set(c, request, &state, sizeof(state), -1);
}

/* ---- negotiation ---- */

static enum outcome negotiate(struct client *c)
{
	const uint64_t wanted = VHOST_BIT(VHOST_PROTOCOL_F_MQ) |
				VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |
				VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) |
				VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) |
				VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	uint64_t features, protocol, queues;
	enum outcome o = ask(c, VHOST_GET_FEATURES, &features);

	if (o == GOOD)
		o = ask(c, VHOST_GET_PROTOCOL_FEATURES, &protocol);
	if (o)
		return o;
	protocol &= wanted;
	/* Not acknowledged: that is what is negotiated by it. */
	if (!send_message(c, VHOST_SET_PROTOCOL_FEATURES, &protocol,
			  sizeof(protocol), -1, false))
		return refused(c, "request", VHOST_SET_PROTOCOL_FEATURES);
	o = ask(c, VHOST_GET_QUEUE_NUM, &queues);
	if (o == GOOD)
		o = set(c, VHOST_SET_OWNER, NULL, 0, -1);
	if (o == GOOD)
		o = set_u64(c, VHOST_SET_FEATURES,
			    features & ~(VHOST_BIT(VHOST_F_LOG_ALL) |
					 VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) |
					 VIRTIO_FEATURE(VIRTIO_F_RING_PACKED)));
	return o;
}

static enum outcome get_config(struct client *c)
{
	struct vhost_config config = { .size = 60 };
	uint32_t size = VHOST_CONFIG_HEAD + config.size;

	if (!send_message(c, VHOST_GET_CONFIG, &config, size, -1, false))
		return refused(c, "request", VHOST_GET_CONFIG);
	return reply(c, VHOST_GET_CONFIG, &config, size, NULL);
}

/* An area for what is in flight, and it is given back at once. */
static enum outcome share_inflight(struct client *c)
{
	struct vhost_inflight in = { .num_queues = CLIENT_QUEUES,
				     .queue_size = RING };
	int fd = -1;
	enum outcome o;

	if (!send_message(c, VHOST_GET_INFLIGHT_FD, &in, sizeof(in), -1, false))
		return refused(c, "request", VHOST_GET_INFLIGHT_FD);
	o = reply(c, VHOST_GET_INFLIGHT_FD, &in, sizeof(in), &fd);
	if (o)
		return o;
	if (fd < 0)
		return refused(c, "no area by request", VHOST_GET_INFLIGHT_FD);
	o = set(c, VHOST_SET_INFLIGHT_FD, &in, sizeof(in), fd);
	close(fd);
	return o;
}

static enum outcome share_memory(struct client *c)
{
	struct vhost_mem_reg reg = {
		.region = { .guest = BASE, .size = MEMORY, .user = BASE },
	};

	return set(c, VHOST_ADD_MEM_REG, &reg, sizeof(reg), c->memfd);
}

static enum outcome start_queue(struct client *c, unsigned int i)
{
	const uint64_t at = BASE + i * (uint64_t)QUEUE;
	const struct vhost_vring_addr addr = {
		.index = i, .desc = at, .avail = at + AVAIL, .used = at + USED
	};
	const uint64_t index = i;
	enum outcome o = set_state(c, VHOST_SET_VRING_NUM, i, RING);

	if (o == GOOD)
		o = set_state(c, VHOST_SET_VRING_BASE, i, 0);
	if (o == GOOD)
		o = set(c, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	if (o == GOOD)
		o = set(c, VHOST_SET_VRING_CALL, &index, sizeof(index),
			c->queue[i].call);
	if (o == GOOD)
		o = set(c, VHOST_SET_VRING_KICK, &index, sizeof(index),
			c->queue[i].kick);
	if (o == GOOD)
		o = set_state(c, VHOST_SET_VRING_ENABLE, i, 1);
	return o;
}

enum outcome client_start(struct client *c)
{
	enum outcome o = negotiate(c);

	if (o == GOOD)
		o = get_config(c);
	if (o == GOOD)
		o = share_inflight(c);
	if (o == GOOD)
		o = share_memory(c);
	for (unsigned int i = 0; o == GOOD && i < CLIENT_QUEUES; i++)
		o = start_queue(c, i);
	return o;
}

enum outcome client_stop(struct client *c)
{
	enum outcome o = GOOD;

	for (unsigned int i = 0; o == GOOD && i < CLIENT_QUEUES; i++) {
		struct vhost_vring_state state = { .index = i };

		if (!send_message(c, VHOST_GET_VRING_BASE, &state,
				  sizeof(state), -1, false))
			return refused(c, "request", VHOST_GET_VRING_BASE);
		o = reply(c, VHOST_GET_VRING_BASE, &state, sizeof(state), NULL);
	}
	return o;
}

/* ---- connection ---- */

enum outcome client_connect(struct client *c, const char *path,
			    bool (*alive)(void *arg), void *arg)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	uint64_t end = now_ms() + LIMIT_MS;

	memset(c, 0, sizeof(*c));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	c->memfd = memfd_create("guest", MFD_CLOEXEC);
	if (c->memfd < 0 || ftruncate(c->memfd, MEMORY))
		give_up("no memory for a guest");
	c->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			 c->memfd, 0);
	if (c->memory == MAP_FAILED)
		give_up("no memory for a guest");
	for (unsigned int i = 0; i < CLIENT_QUEUES; i++) {
		c->queue[i].kick = eventfd(0, EFD_CLOEXEC);
		c->queue[i].call = eventfd(0, EFD_CLOEXEC);
	}
	c->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(c->why, sizeof(c->why), "connect");
	while (connect(c->sock, (struct sockaddr *)&addr, sizeof(addr))) {
		if (!alive(arg))
			return REFUSED;
		if (now_ms() > end)
			return HANGS;
		usleep(300);
	}
	return GOOD;
}

void client_close(struct client *c)
{
	close(c->sock);
	for (unsigned int i = 0; i < CLIENT_QUEUES; i++) {
		close(c->queue[i].kick);
		close(c->queue[i].call);
	}
	munmap(c->memory, MEMORY);
	close(c->memfd);
}

/* ---- requests ---- */

static uint8_t *slot(const struct client *c, unsigned int queue, unsigned int i)
{
	return c->memory + queue * (size_t)QUEUE + SLOTS + i * (size_t)SLOT;
}

/* A chain of header, data if any, status; it begins at entry 3 * slot. */
static void offer(struct client *c, unsigned int queue, uint64_t sector,
		  uint32_t type, size_t length)
{
	struct client_queue *q = &c->queue[queue];
	uint8_t *rings = c->memory + queue * (size_t)QUEUE;
	struct vring_desc *desc = (void *)rings;
	struct vring_avail *avail = (void *)(rings + AVAIL);
	unsigned int i = q->batch++;
	uint16_t head = (uint16_t)(3 * i);
	uint64_t at = BASE + (uint64_t)(slot(c, queue, i) - c->memory);
	struct virtio_blk_header header = { .type = type, .sector = sector };
	uint16_t into = type == VIRTIO_BLK_T_IN ? VRING_DESC_WRITE : 0;

	memcpy(slot(c, queue, i), &header, sizeof(header));
	slot(c, queue, i)[STATUS] = NOT_ANSWERED;
	desc[head] = (struct vring_desc){ at, sizeof(header), VRING_DESC_NEXT,
					  (uint16_t)(head + (length ? 1 : 2)) };
	desc[head + 1] = (struct vring_desc){ at + 4096, (uint32_t)length,
					      VRING_DESC_NEXT | into,
					      (uint16_t)(head + 2) };
	desc[head + 2] = (struct vring_desc){ at + STATUS, 1, VRING_DESC_WRITE,
					      0 };
	avail->ring[q->sent++ % RING] = head;
}

uint8_t *client_offer(struct client *c, unsigned int queue, uint32_t type,
		      uint64_t sector, size_t length)
{
	offer(c, queue, sector, type, length);
	return slot(c, queue, c->queue[queue].batch - 1) + 4096;
}

void client_offer_range(struct client *c, unsigned int queue, uint32_t type,
			uint64_t sector, uint32_t sectors, bool unmap)
{
	struct virtio_blk_segment range = { .sector = sector,
					    .num_sectors = sectors,
					    .flags = unmap };

	memcpy(client_offer(c, queue, type, 0, sizeof(range)), &range,
	       sizeof(range));
}

/* Until there is an event: false if the back end has hung up. */
static bool wait_call(struct client *c, const struct client_queue *q, int ms)
{
	struct pollfd p[] = { { .fd = q->call, .events = POLLIN },
			      { .fd = c->sock, .events = POLLIN } };
	eventfd_t n;

	poll(p, 2, ms);
	if (p[0].revents & POLLIN)
		eventfd_read(q->call, &n);
	else if (p[1].revents)
		return false;
	return true;
}

enum outcome client_wait(struct client *c, unsigned int queue)
{
	struct client_queue *q = &c->queue[queue];
	uint8_t *rings = c->memory + queue * (size_t)QUEUE;
	struct vring_avail *avail = (void *)(rings + AVAIL);
	const struct vring_used *used = (void *)(rings + USED);
	uint64_t end = now_ms() + LIMIT_MS;

	snprintf(c->why, sizeof(c->why), "%u requests of queue %u", q->batch,
		 queue);
	__atomic_store_n(&avail->idx, (uint16_t)q->sent, __ATOMIC_SEQ_CST);
	eventfd_write(q->kick, 1);
	q->batch = 0;
	do {
		if (now_ms() >= end)
			return HANGS;
		if (!wait_call(c, q, (int)(end - now_ms())))
			return REFUSED;
	} while (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) !=
		 (uint16_t)q->sent);
	return GOOD;
}

uint8_t client_status(const struct client *c, unsigned int queue,
		      unsigned int i)
{
	return slot(c, queue, i)[STATUS];
}

const uint8_t *client_data(const struct client *c, unsigned int queue,
			   unsigned int i)
{
	return slot(c, queue, i) + 4096;
}
