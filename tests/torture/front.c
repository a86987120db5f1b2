/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user front end; see front.h.
 *
 * The first back end makes the in-flight area, all others are given it. The
 * queues of a driver that goes on start at positions that say nothing: what
 * counts is in the area. Nothing is kicked at a start: what is in the rings has
 * to be found there.
 */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common.h"

#define PROTOCOL_FEATURES                             \
	(VHOST_BIT(VHOST_PROTOCOL_F_MQ) |             \
	 VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |      \
	 VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) |         \
	 VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) | \
	 VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

enum {
	CONFIG_WRITEBACK = offsetof(struct virtio_blk_config, writeback),
	LOOK_US = 20000, /* between two looks while an answer is awaited */
};

/* ---- messages ---- */

struct message {
	struct vhost_header header;
	union vhost_payload payload;
} __attribute__((packed, aligned(8)));

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_bytes(struct front *f, const void *bytes, size_t len, int fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes,
			     .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	do
		n = sendmsg(f->sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (++f->messages == f->last_message && f->sent_last)
		f->sent_last(f->arg);
	return n == (ssize_t)len ? 0 : -1;
}

/* `fd`: one that came with it, or -1; NULL: none can. */
static int receive_bytes(struct front *f, void *to, size_t len, int *fd)
{
	union control control;
	struct iovec iov = { .iov_base = to, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t until = clock_ns() + WAIT_NS;
	ssize_t n;

	if (fd) {
		*fd = -1;
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
	}
	while ((n = recvmsg(f->sock, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC)) <
		       0 &&
	       (errno == EINTR || errno == EAGAIN)) {
		if (clock_ns() > until)
			die("no answer to a message");
		if (f->waits)
			f->waits(f->arg);
	}
	if (n > 0 && fd && CMSG_FIRSTHDR(&msg))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*fd));
	return n == (ssize_t)len ? 0 : -1;
}

static int receive(struct front *f, struct message *m, uint32_t request,
		   int *fd)
{
	if (receive_bytes(f, &m->header, sizeof(m->header), fd))
		return -1;
	if (m->header.request != request ||
	    m->header.flags != (VHOST_HEADER_VERSION | VHOST_HEADER_REPLY) ||
	    m->header.size > sizeof(m->payload))
		die("an answer to %u, flags 0x%x, %u bytes; to %u was expected",
		    m->header.request, m->header.flags, m->header.size,
		    request);
	return receive_bytes(f, &m->payload, m->header.size, NULL);
}

static int transmit(struct front *f, uint32_t request, uint32_t flags,
		    const void *payload, uint32_t size, int fd)
{
	struct message m = { .header = { request, VHOST_HEADER_VERSION | flags,
					 size } };

	if (size)
		memcpy(&m.payload, payload, size);
	return send_bytes(f, &m, sizeof(m.header) + size, fd);
}

/* One that has no reply of its own. */
static int tell(struct front *f, uint32_t request, const void *payload,
		uint32_t size, int fd, bool ack)
{
	struct message m;
	bool wait = ack || f->acks;

	if (transmit(f, request, wait ? VHOST_HEADER_NEED_REPLY : 0, payload,
		     size, fd))
		return -1;
	if (!wait)
		return 0;
	if (receive(f, &m, request, NULL))
		return -1;
	/* Where a queue cannot start yet the session is closed after it. */
	if (m.payload.u64)
		f->refused++;
	return m.payload.u64 ? -1 : 0;
}

static int tell_u64(struct front *f, uint32_t request, uint64_t value, int fd)
{
	return tell(f, request, &value, sizeof(value), fd, false);
}

static int tell_state(struct front *f, uint32_t request, unsigned int queue,
		      uint32_t num, bool ack)
{
	const struct vhost_vring_state s = { queue, num };

	return tell(f, request, &s, sizeof(s), -1, ack);
}

static int ask_u64(struct front *f, uint32_t request, uint64_t *value)
{
	struct message m;

	if (transmit(f, request, 0, NULL, 0, -1) ||
	    receive(f, &m, request, NULL))
		return -1;
	*value = m.payload.u64;
	return 0;
}

/* ---- the device ---- */

static int get_config(struct front *f, uint32_t offset, uint32_t size, void *to)
{
	const struct vhost_config c = { .offset = offset, .size = size };
	struct message m;

	if (transmit(f, VHOST_GET_CONFIG, 0, &c, VHOST_CONFIG_HEAD + size,
		     -1) ||
	    receive(f, &m, VHOST_GET_CONFIG, NULL))
		return -1;
	if (m.header.size != VHOST_CONFIG_HEAD + size)
		die("the configuration cannot be read");
	memcpy(to, m.payload.config.bytes, size);
	return 0;
}

int front_get_mode(struct front *f, uint8_t *writeback)
{
	return get_config(f, CONFIG_WRITEBACK, 1, writeback);
}

int front_set_mode(struct front *f, uint8_t writeback)
{
	struct vhost_config c = { .offset = CONFIG_WRITEBACK, .size = 1 };

	c.bytes[0] = writeback;
	return tell(f, VHOST_SET_CONFIG, &c, VHOST_CONFIG_HEAD + 1, -1, true);
}

static int negotiate(struct front *f)
{
	uint64_t protocol, features, queues;

	if (ask_u64(f, VHOST_GET_FEATURES, &features) ||
	    ask_u64(f, VHOST_GET_PROTOCOL_FEATURES, &protocol))
		return -1;
	if ((features & f->features) != f->features ||
	    (protocol & PROTOCOL_FEATURES) != PROTOCOL_FEATURES)
		die("features 0x%llx and 0x%llx are not enough",
		    (unsigned long long)features, (unsigned long long)protocol);
	protocol = PROTOCOL_FEATURES;
	/* Nothing is acknowledged before this one. */
	if (transmit(f, VHOST_SET_PROTOCOL_FEATURES, 0, &protocol,
		     sizeof(protocol), -1) ||
	    ask_u64(f, VHOST_GET_QUEUE_NUM, &queues) ||
	    tell(f, VHOST_SET_OWNER, NULL, 0, -1, false))
		return -1;
	if (queues < f->nqueues)
		die("there are %llu queues", (unsigned long long)queues);
	return tell_u64(f, VHOST_SET_FEATURES, f->features, -1);
}

static int make_inflight(struct front *f)
{
	struct vhost_inflight want = { .num_queues = (uint16_t)f->nqueues,
				       .queue_size = RING_SIZE };
	struct message m;
	int fd = -1;

	if (transmit(f, VHOST_GET_INFLIGHT_FD, 0, &want, VHOST_INFLIGHT_SHORT,
		     -1) ||
	    receive(f, &m, VHOST_GET_INFLIGHT_FD, &fd))
		return -1;
	if (fd < 0)
		die("no in-flight area");
	f->inflight = m.payload.inflight;
	f->inflight.num_queues = want.num_queues;
	f->inflight.queue_size = want.queue_size;
	f->inflight_fd = fd;
	return 0;
}

static int share(struct front *f)
{
	const struct vhost_mem_reg reg = { .region = {
						   .guest = FRONT_GUEST,
						   .size = f->bytes,
						   .user = (uintptr_t)f->memory,
					   } };

	/* The first one: what the driver sees before it starts. */
	if (f->inflight_fd < 0 &&
	    (get_config(f, 0, sizeof(f->config), &f->config) ||
	     make_inflight(f)))
		return -1;
	if (tell(f, VHOST_SET_INFLIGHT_FD, &f->inflight, VHOST_INFLIGHT_SHORT,
		 f->inflight_fd, false))
		return -1;
	return tell(f, VHOST_ADD_MEM_REG, &reg, sizeof(reg), f->memfd, false);
}

static int start_queue(struct front *f, unsigned int q)
{
	uint64_t at = (uintptr_t)f->ring[q].memory;
	const struct vhost_vring_addr addr = {
		.index = q,
		.desc = at,
		.avail = at + RING_DRIVER_AT,
		.used = at + RING_DEVICE_AT,
	};

	if (tell_state(f, VHOST_SET_VRING_NUM, q, RING_SIZE, false) ||
	    tell_state(f, VHOST_SET_VRING_BASE, q, ring_base(&f->ring[q]),
		       false) ||
	    tell(f, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), -1, false) ||
	    tell_u64(f, VHOST_SET_VRING_KICK, q, f->kick[q]) ||
	    tell_u64(f, VHOST_SET_VRING_CALL, q, f->call[q]))
		return -1;
	return tell_state(f, VHOST_SET_VRING_ENABLE, q, 1, q + 1 == f->nqueues);
}

int front_begin(struct front *f)
{
	int r = negotiate(f);

	if (r == 0)
		r = share(f);
	for (unsigned int q = 0; r == 0 && q < f->nqueues; q++)
		r = start_queue(f, q);
	return r;
}

/* ---- the connection ---- */

int front_connect(struct front *f)
{
	const struct timeval limit = { .tv_usec = LOOK_US };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", f->path);
	f->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->sock < 0)
		die("socket: %s", strerror(errno));
	setsockopt(f->sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	f->messages = 0;
	if (connect(f->sock, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return 0;
	front_disconnect(f);
	return -1;
}

void front_disconnect(struct front *f)
{
	if (f->sock >= 0)
		close(f->sock);
	f->sock = -1;
}

bool front_is_left(const struct front *f)
{
	struct pollfd p = { .fd = f->sock, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

void front_kick(const struct front *f, unsigned int queue)
{
	const uint64_t one = 1;

	if (write(f->kick[queue], &one, sizeof(one)) < 0)
		die("kick: %s", strerror(errno));
}

void front_wait(const struct front *f, uint64_t ns)
{
	struct pollfd p[FRONT_QUEUES_MAX + 1];
	const struct timespec limit = { .tv_sec = (time_t)(ns / NS_PER_SECOND),
					.tv_nsec = (long)(ns % NS_PER_SECOND) };
	uint64_t n;

	for (unsigned int q = 0; q < f->nqueues; q++)
		p[q] = (struct pollfd){ .fd = f->call[q], .events = POLLIN };
	p[f->nqueues] = (struct pollfd){ .fd = f->sock, .events = POLLIN };
	if (ppoll(p, f->nqueues + 1, &limit, NULL) <= 0)
		return;
	for (unsigned int q = 0; q < f->nqueues; q++)
		if ((p[q].revents & POLLIN) &&
		    read(f->call[q], &n, sizeof(n)) < 0 && errno != EAGAIN)
			die("call: %s", strerror(errno));
}

/* ---- life ---- */

void front_init(struct front *f, const char *path, unsigned int nqueues,
		uint64_t features, size_t data_bytes)
{
	bool packed = features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED);
	bool event_idx = features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX);

	*f = (struct front){
		.path = path,
		.nqueues = nqueues,
		.features = features | VIRTIO_FEATURE(VIRTIO_F_VERSION_1) |
			    VHOST_BIT(VHOST_F_PROTOCOL_FEATURES),
		.sock = -1,
		.inflight_fd = -1,
		.bytes = (size_t)nqueues * RING_BYTES + data_bytes,
	};
	f->bytes = (f->bytes + 4095) & ~(size_t)4095;
	f->memfd = memfd_create("guest", MFD_CLOEXEC);
	if (f->memfd < 0 || ftruncate(f->memfd, (off_t)f->bytes))
		die("no memory for a guest: %s", strerror(errno));
	f->memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 f->memfd, 0);
	if (f->memory == MAP_FAILED)
		die("no memory for a guest: %s", strerror(errno));
	for (unsigned int q = 0; q < nqueues; q++) {
		ring_init(&f->ring[q], f->memory + (size_t)q * RING_BYTES,
			  packed, event_idx);
		f->kick[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		f->call[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
}

void front_finish(struct front *f)
{
	front_disconnect(f);
	for (unsigned int q = 0; q < f->nqueues; q++) {
		close(f->kick[q]);
		close(f->call[q]);
	}
	if (f->inflight_fd >= 0)
		close(f->inflight_fd);
	munmap(f->memory, f->bytes);
	close(f->memfd);
}

uint8_t *front_data(const struct front *f)
{
	return f->memory + (size_t)f->nqueues * RING_BYTES;
}

uint64_t front_guest(const struct front *f, const void *at)
{
	return FRONT_GUEST + (uint64_t)((const uint8_t *)at - f->memory);
}
