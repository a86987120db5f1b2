/* SPDX-License-Identifier: MIT */
/*
 * Good vhost-user sessions in both ring layouts, with requests at random
 * against a shadow of the disk: data, stopping and going on at any place of the
 * ring, and that no page is written which is not in the log of dirty pages.
 */
#include "lib/vhost_peer.h"

#include "lib/model_ring.h"

enum {
	SLOTS = 8,            /* requests at a time */
	SLOT_BYTES = 0x10000, /* of memory */
	SLOT_SECTORS = 256,   /* of the disk: a slot's own */
	LEN_MAX = 64,         /* sectors */
	PAGE = 4096,
};

/* Where a slot's parts are; the data has pages of its own. */
enum { HEADER_AT = 0, STATUS_AT = 512, TABLE_AT = 1024, DATA_AT = PAGE };

struct request {
	uint32_t type, len;
	uint64_t sector, data;
	uint16_t head;
	bool done;
};

static struct model_memory memory;
static struct model_ring ring;
static struct request request[SLOTS];
static uint8_t shadow[SLOTS * SLOT_SECTORS * 512];
static uint32_t ring_flags; /* of SET_VRING_ADDR */
static const char *engine;

static uint32_t random_below(uint32_t n)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % n;
}

/* ---- requests ---- */

static uint64_t place(unsigned int slot)
{
	return PEER_GUEST + PEER_DATA_AT + slot * SLOT_BYTES;
}

static void fill(uint8_t *to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)random_below(256);
}

/* Make up a request and put it into the ring. */
static void offer(unsigned int slot)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,  VIRTIO_BLK_T_IN,  VIRTIO_BLK_T_IN,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
	};
	struct request *r = &request[slot];
	uint64_t at = place(slot);
	struct model_buf buf[3] = { { at + HEADER_AT, 16, false } };
	struct virtio_blk_header header;
	unsigned int n = 1;

	r->type = types[random_below(6)];
	r->len = 512 * (1 + random_below(LEN_MAX));
	r->sector = slot * SLOT_SECTORS +
		    random_below(SLOT_SECTORS - r->len / 512);
	r->data = at + DATA_AT + random_below(2 * PAGE);
	r->done = false;
	header = (struct virtio_blk_header){
		.type = r->type,
		.sector = r->type == VIRTIO_BLK_T_FLUSH ? 0 : r->sector,
	};
	memcpy(model_at(&memory, at + HEADER_AT, 16), &header, 16);
	*(uint8_t *)model_at(&memory, at + STATUS_AT, 1) = 0xee;
	if (r->type != VIRTIO_BLK_T_FLUSH)
		buf[n++] = (struct model_buf){ r->data, r->len,
					       r->type == VIRTIO_BLK_T_IN };
	if (r->type == VIRTIO_BLK_T_OUT)
		fill(model_at(&memory, r->data, r->len), r->len);
	buf[n++] = (struct model_buf){ at + STATUS_AT, 1, true };
	r->head = model_offer_mixed(&ring, buf, random_below(2) ? n : 0, n,
				    at + TABLE_AT);
}

/* Compare with the shadow, or change it. */
static void check_done(struct request *r, unsigned int slot)
{
	uint8_t *data = model_at(&memory, r->data, r->len);
	uint8_t *disk = shadow + r->sector * 512;

	assert_false(r->done);
	r->done = true;
	assert_int_equal(*(uint8_t *)model_at(&memory, place(slot) + STATUS_AT,
					      1),
			 VIRTIO_BLK_S_OK);
	if (r->type == VIRTIO_BLK_T_OUT)
		memcpy(disk, data, r->len);
	else if (r->type == VIRTIO_BLK_T_IN)
		assert_memory_equal(data, disk, r->len);
}

/* Take one used element, if there is one. */
static bool take(unsigned int n)
{
	struct vring_used_elem elem;

	if (!model_used(&ring, &elem))
		return false;
	for (unsigned int slot = 0; slot < n; slot++)
		if (request[slot].head == elem.id && !request[slot].done) {
			check_done(&request[slot], slot);
			return true;
		}
	fail_msg("id %u was not offered", elem.id);
	return false;
}

/* Turn until `left` of the `n` requests that were offered have been used. */
static void take_all(unsigned int left, unsigned int n)
{
	uint64_t until = clock_ns() + 5 * NS_PER_SECOND;

	while (left) {
		if (take(n)) {
			left--;
			continue;
		}
		turn();
		assert_true(clock_ns() < until);
	}
}

static unsigned int offer_some(void)
{
	unsigned int n = 1 + random_below(SLOTS);

	for (unsigned int slot = 0; slot < n; slot++)
		offer(slot);
	return n;
}

/* ---- the session ---- */

static void give_addresses(void)
{
	const struct vhost_vring_addr addr = {
		.flags = ring_flags,
		.desc = ring.desc_at - PEER_GUEST + PEER_USER,
		.avail = ring.avail_at - PEER_GUEST + PEER_USER,
		.used = ring.used_at - PEER_GUEST + PEER_USER,
		.log = ring.used_at,
	};

	ask_ok(VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static void start_ring(uint32_t base)
{
	ask_state(VHOST_SET_VRING_NUM, 0, PEER_RING);
	ask_state(VHOST_SET_VRING_BASE, 0, base);
	give_addresses();
	ask_fd(VHOST_SET_VRING_KICK, 0, peer.kick[0]);
	ask_fd(VHOST_SET_VRING_CALL, 0, peer.call[0]);
	ask_state(VHOST_SET_VRING_ENABLE, 0, 1);
}

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start(engine, 0);
	negotiate();
	assert_int_equal(vhost_session_packed(&peer.connection.session),
			 peer_packed);
	share_memory();
	memset(shadow, 0, sizeof(shadow));
	memory = (struct model_memory){
		.bytes = peer.memory,
		.device = peer.memory,
		.base = PEER_GUEST,
		.size = PEER_MEMORY,
	};
	ring_flags = 0;
	model_ring_place(&ring, &memory, PEER_GUEST + PEER_RINGS_AT, PEER_RING,
			 peer_packed, PAGE);
	start_ring(model_ring_base(&ring, 0));
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	return 0;
}

static void moves_data(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 400; round++) {
		unsigned int n = offer_some();

		kick(0);
		take_all(n, n);
	}
}

/* It stops wherever it is, with all done that was taken, and goes on there. */
static void stops_anywhere(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 200; round++) {
		unsigned int left = offer_some(), n = left;
		uint32_t base;

		kick(0);
		if (random_below(2))
			turn();
		base = vring_base(0);
		while (take(n))
			left--;
		assert_int_equal(base, model_ring_base(&ring, ring.used_seen));
		/* What is left is done by the next one. */
		start_ring(base);
		kick(0);
		take_all(left, n);
	}
}

/* ---- dirty pages ---- */

static uint8_t *bits; /* the log */
static uint64_t bits_bytes;
static uint8_t before[PEER_MEMORY];

static void open_log(void)
{
	struct vhost_log log;
	int fd = memfd_create("log", MFD_CLOEXEC);

	bits_bytes = dirty_log_bytes(PEER_GUEST + PEER_MEMORY);
	log = (struct vhost_log){ .size = bits_bytes };
	assert_int_equal(ftruncate(fd, (off_t)bits_bytes), 0);
	bits = mmap(NULL, bits_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	ask_ok(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd, 1);
	close(fd);
}

/* As QEMU does it while the queues run. */
static void set_logging(bool on)
{
	uint64_t features = virtio_device_accepted(&peer.disk.blk.dev);

	features &= ~VHOST_BIT(VHOST_F_LOG_ALL);
	ask_u64(VHOST_SET_FEATURES,
		on ? features | VHOST_BIT(VHOST_F_LOG_ALL) : features);
	ring_flags = on ? VHOST_VRING_LOG : 0;
	give_addresses();
}

/* What the memory is before the device goes on. */
static void remember(void)
{
	memset(bits, 0, bits_bytes);
	memcpy(before, peer.memory, PEER_MEMORY);
}

/* How many pages the device has written since; each has to be in the log. */
static unsigned int check_log(void)
{
	unsigned int n = 0;

	for (uint64_t at = 0; at < PEER_MEMORY; at += PAGE) {
		if (!memcmp(before + at, peer.memory + at, PAGE))
			continue;
		if (!log_has(bits, PEER_GUEST + at))
			fail_msg("page 0x%llx was written unseen",
				 (unsigned long long)at);
		n++;
	}
	return n;
}

static void every_written_page_is_logged(void **state)
{
	unsigned int pages = 0;

	(void)state;
	open_log();
	set_logging(true);
	for (unsigned int round = 0; round < 300; round++) {
		unsigned int n = offer_some();

		remember();
		kick(0);
		take_all(n, n);
		/* Its idea of kicks is in the memory as well. */
		turn_ns(NS_PER_MS / 8);
		pages += check_log();
	}
	assert_true(pages > 300);
	munmap(bits, bits_bytes);
}

/* Requests that were under way when the logging began are in the log, too. */
static void logging_begins_under_load(void **state)
{
	(void)state;
	open_log();
	for (unsigned int round = 0; round < 100; round++) {
		unsigned int n = offer_some();

		kick(0);
		set_logging(true);
		remember();
		take_all(n, n);
		turn_ns(NS_PER_MS / 8);
		check_log();
		set_logging(false);
	}
	munmap(bits, bits_bytes);
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(moves_data, start, end),
		cmocka_unit_test_setup_teardown(stops_anywhere, start, end),
		cmocka_unit_test_setup_teardown(every_written_page_is_logged,
						start, end),
		cmocka_unit_test_setup_teardown(logging_begins_under_load,
						start, end),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = 0;

	for (unsigned int i = 0; i < 4; i++) {
		engine = i & 1 ? "threads" : "auto";
		peer_packed = i & 2;
		failed += run(peer_packed ? "packed" : "split");
	}
	return failed;
}
