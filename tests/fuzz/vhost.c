/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user session: the input is what a front end sends, with descriptors
 * of every kind, and what its driver does to the memory that it shares. At the
 * end of each input the connection is closed, and everything of it is given up.
 */
#include "fuzz.h"

#include <sys/resource.h>

#include "lib/vhost_peer.h"

enum {
	FUZZ_FD_LIMIT = 128,
	FUZZ_FILE_MAX = 1 << 20,
	MESSAGES_MAX = 64,
};

static unsigned int open_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < FUZZ_FD_LIMIT; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/*
 * Whether there are as many again as there were: what may be slow to close is
 * closed by a thread, which may not have come to it yet.
 */
static bool fds_are(unsigned int wanted)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < 5000; i++) {
		if (open_fds() == wanted)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct rlimit few = { FUZZ_FD_LIMIT, FUZZ_FD_LIMIT };

	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	/* More than this at a time is a leak. */
	setrlimit(RLIMIT_NOFILE, &few);
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(bus_guard_install(), 0);
	peer_start("null", 0);
	disconnect_peer();
	return 0;
}

/* A descriptor to send; `*mine` is set where it has to be closed again. */
static int some_fd(struct fuzz_input *in, int *mine)
{
	uint8_t how = fuzz_u8(in);
	unsigned int q = (how >> 4) % PEER_QUEUES;

	*mine = -1;
	switch (how & 7) {
	case 0 ... 2:
		return peer.memfd;
	case 3:
		return peer.kick[q];
	case 4:
		return peer.call[q];
	case 5:
		return *mine = open("/dev/null", O_RDWR | O_CLOEXEC);
	case 6:
		return *mine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	default:
		*mine = memfd_create("fuzz", MFD_CLOEXEC);
		assert_true(*mine >= 0);
		assert_int_equal(ftruncate(*mine, fuzz_u32(in) % FUZZ_FILE_MAX),
				 0);
		return *mine;
	}
}

static void send_with_fds(struct fuzz_input *in, const void *bytes, size_t len,
			  unsigned int nfds)
{
	int fd[VHOST_FDS_MAX + 2], mine[VHOST_FDS_MAX + 2];

	for (unsigned int i = 0; i < nfds; i++)
		fd[i] = some_fd(in, &mine[i]);
	send_raw(bytes, len, fd, nfds);
	turn();
	for (unsigned int i = 0; i < nfds; i++) {
		/* It may be mapped by now: SIGBUS is survived. */
		if (mine[i] >= 0 && fuzz_u8(in) & 1 && ftruncate(mine[i], 0))
			errno = 0;
		if (mine[i] >= 0)
			close(mine[i]);
	}
}

/* A region that is the shared memory, nearly. */
static struct vhost_region region(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	struct vhost_region r = whole_memory();

	if (how & 1)
		r.size = fuzz_u32(in) & ~0xfffu;
	if (how & 2)
		r.guest += (uint64_t)fuzz_u16(in) << 12;
	if (how & 4)
		r.user += (uint64_t)fuzz_u16(in) << 12;
	if (how & 8)
		r.offset = (uint64_t)fuzz_u16(in) << 12;
	if (how & 16)
		r.guest = fuzz_u64(in);
	if (how & 32)
		r.size = fuzz_u64(in);
	return r;
}

/* The payload of a message of its kind. Returns its size. */
static uint32_t payload(struct fuzz_input *in, uint32_t request,
			union vhost_payload *p)
{
	unsigned int q = fuzz_below(in, PEER_QUEUES + 1);

	memset(p, 0, sizeof(*p));
	switch (request) {
	case VHOST_SET_MEM_TABLE:
		p->table.n = 1 + fuzz_below(in, 3);
		for (uint32_t i = 0; i < p->table.n; i++)
			p->table.region[i] = region(in);
		return (uint32_t)(VHOST_MEM_TABLE_HEAD +
				  p->table.n * sizeof(p->table.region[0]));
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		p->reg.region = region(in);
		return sizeof(p->reg);
	case VHOST_SET_VRING_ADDR:
		p->addr = ring_addr(q, fuzz_u8(in) & 1);
		if (fuzz_u8(in) & 1)
			p->addr.desc += fuzz_u32(in);
		return sizeof(p->addr);
	case VHOST_SET_VRING_NUM:
		p->state.index = q;
		p->state.num = 1u << (fuzz_u8(in) & 15);
		return sizeof(p->state);
	case VHOST_SET_VRING_BASE:
	case VHOST_GET_VRING_BASE:
	case VHOST_SET_VRING_ENABLE:
		p->state.index = q;
		p->state.num = fuzz_u8(in);
		return sizeof(p->state);
	case VHOST_SET_LOG_BASE:
		p->log.size = fuzz_u32(in);
		p->log.offset = (uint64_t)fuzz_u8(in) << 12;
		return sizeof(p->log);
	case VHOST_GET_CONFIG:
	case VHOST_SET_CONFIG:
		p->config.offset = fuzz_u8(in);
		p->config.size = fuzz_u8(in);
		return (uint32_t)VHOST_CONFIG_HEAD + p->config.size;
	case VHOST_GET_INFLIGHT_FD:
	case VHOST_SET_INFLIGHT_FD:
		p->inflight.mmap_size = fuzz_u16(in);
		p->inflight.num_queues = (uint16_t)fuzz_below(in, 5);
		p->inflight.queue_size = fuzz_u16(in);
		return sizeof(p->inflight);
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
		p->u64 = q | (fuzz_u8(in) & 1 ? VHOST_VRING_NOFD : 0);
		return sizeof(p->u64);
	case VHOST_GET_FEATURES:
	case VHOST_GET_PROTOCOL_FEATURES:
	case VHOST_GET_QUEUE_NUM:
	case VHOST_SET_OWNER:
	case VHOST_RESET_DEVICE:
		return 0;
	default:
		p->u64 = fuzz_u64(in);
		return sizeof(p->u64);
	}
}

/* A message that is nearly right. */
static void send_message_of(struct fuzz_input *in)
{
	struct {
		struct vhost_header header;
		union vhost_payload payload;
	} m;
	uint8_t how = fuzz_u8(in);

	m.header.request = fuzz_below(in, VHOST_REQUEST_END + 1);
	m.header.flags = VHOST_HEADER_VERSION | (how & VHOST_HEADER_NEED_REPLY);
	m.header.size = payload(in, m.header.request, &m.payload);
	send_with_fds(in, &m, sizeof(m.header) + m.header.size,
		      how & 0x80 ? fuzz_below(in, VHOST_FDS_MAX + 3) : how & 1);
}

static void send_noise(struct fuzz_input *in)
{
	uint8_t bytes[64];
	size_t n = 1 + fuzz_below(in, sizeof(bytes));

	fuzz_copy(in, bytes, n);
	send_with_fds(in, bytes, n, fuzz_u8(in) & 1);
}

static void good_set_up(struct fuzz_input *in)
{
	static const uint64_t protocol =
		VHOST_BIT(VHOST_PROTOCOL_F_MQ) |
		VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |
		VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) |
		VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) |
		VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) |
		VHOST_BIT(VHOST_PROTOCOL_F_LOG_SHMFD) |
		VHOST_BIT(VHOST_PROTOCOL_F_RESET_DEVICE) |
		VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	const struct vhost_mem_reg reg = { .region = whole_memory() };
	unsigned int q = fuzz_below(in, PEER_QUEUES);
	const struct vhost_vring_addr addr = ring_addr(q, 0);
	const struct vhost_vring_state num = { q, PEER_RING };
	const struct vhost_vring_state on = { q, 1 };
	const uint64_t queue = q;
	uint64_t features = peer.disk.blk.dev.state->offered |
			    VHOST_BIT(VHOST_F_PROTOCOL_FEATURES);

	memset(peer.memory + ring_at(q), 0, 0x3000);
	peer.avail[q] = 0;
	send_flags(VHOST_SET_PROTOCOL_FEATURES, 1, &protocol, 8, NULL, 0);
	send_flags(VHOST_SET_FEATURES, 1, &features, 8, NULL, 0);
	send_flags(VHOST_ADD_MEM_REG, 1, &reg, sizeof(reg), &peer.memfd, 1);
	send_flags(VHOST_SET_VRING_NUM, 1, &num, sizeof(num), NULL, 0);
	send_flags(VHOST_SET_VRING_ADDR, 1, &addr, sizeof(addr), NULL, 0);
	send_flags(VHOST_SET_VRING_KICK, 1, &queue, 8, &peer.kick[q], 1);
	send_flags(VHOST_SET_VRING_CALL, 1, &queue, 8, &peer.call[q], 1);
	send_flags(VHOST_SET_VRING_ENABLE, 1, &on, sizeof(on), NULL, 0);
	turn();
}

/* What the driver does to its rings. */
static void drive(struct fuzz_input *in)
{
	unsigned int q = fuzz_below(in, PEER_QUEUES);
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		submit(q, peer.slot[q]++, how >> 4 & 3, fuzz_u8(in),
		       512u * (how >> 6));
	if (how & 2)
		fuzz_copy(in, peer.memory + ring_at(q) + fuzz_u16(in) % 0x3000,
			  1u + fuzz_below(in, 16));
	if (how & 4)
		kick(q);
	turn();
}

/* Throw away what the session has answered. */
static void read_answers(void)
{
	uint8_t bytes[4096];

	while (peer.sock >= 0 &&
	       recv(peer.sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned int fds_before = open_fds();

	/* The same input has the same effect every time. */
	memset(peer.memory + PEER_RINGS_AT, 0, PEER_QUEUES * 0x4000);
	memset(peer.avail, 0, sizeof(peer.avail));
	memset(peer.slot, 0, sizeof(peer.slot));
	connect_peer();
	for (int i = 0; in.left && peer_open() && i < MESSAGES_MAX; i++) {
		switch (fuzz_u8(&in) % 8) {
		case 0:
			send_noise(&in);
			break;
		case 1:
			good_set_up(&in);
			break;
		case 2 ... 3:
			drive(&in);
			break;
		default:
			send_message_of(&in);
			break;
		}
		read_answers();
	}
	disconnect_peer();
	assert_int_equal(peer.connection.session.regions.n, 0);
	assert_int_equal(disk_in_flight(&peer.disk), 0);
	assert_true(fds_are(fds_before));
	return 0;
}
