/* SPDX-License-Identifier: MIT */
/*
 * Requests of a driver; see load.h.
 *
 * Writes and zeroings under way never overlap each other; reads may overlap
 * them. The data of a request is cut into parts by chance, its chain is in the
 * ring or in an indirect table.
 */
#include "load.h"

#include <inttypes.h>
#include <limits.h>

enum {
	HEAD_BYTES = 512,
	HEADER_AT = 0,
	RANGE_AT = 64,
	STATUS_AT = 128,
	TABLE_AT = 256,
	DATA_BYTES = LOAD_SECTORS_MAX * SECTOR,
	NO_STATUS = 0xee,
	PARTS_MAX = 3, /* of the data */
	PLACE_TRIES = 8,
	ZEROES_ALIGN = 8, /* sectors */
};

#define POISON UINT64_C(0xdeadbeefdeadbeef)

size_t load_bytes(unsigned int nqueues)
{
	return (size_t)nqueues * RING_SLOTS * (HEAD_BYTES + DATA_BYTES) + 4096;
}

uint64_t load_features(void)
{
	return VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
	       VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE) |
	       VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES) |
	       VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC);
}

void load_init(struct load *l, struct front *f, uint32_t nsectors,
	       uint64_t seed)
{
	size_t slots = (size_t)f->nqueues * RING_SLOTS;
	uint8_t *heads = front_data(f);
	uint8_t *data = heads + slots * HEAD_BYTES;

	*l = (struct load){ .front = f, .align = 1, .most = LOAD_SECTORS_MAX };
	/* Pages: some stores want aligned memory for direct I/O. */
	data += -(uintptr_t)data & 4095;
	oracle_init(&l->oracle, nsectors);
	chance_seed(&l->chance, seed);
	for (unsigned int i = 0; i < slots; i++) {
		struct load_request *r =
			&l->queue[i / RING_SLOTS].request[i % RING_SLOTS];

		r->head = heads + (size_t)i * HEAD_BYTES;
		r->data = data + (size_t)i * DATA_BYTES;
	}
	for (unsigned int q = 0; q < f->nqueues; q++)
		l->queue[q].depth = RING_SLOTS;
}

void load_finish(struct load *l)
{
	oracle_finish(&l->oracle);
}

/* ---- chains ---- */

static const uint32_t types[LOAD_OPS] = {
	[LOAD_READ] = VIRTIO_BLK_T_IN,
	[LOAD_WRITE] = VIRTIO_BLK_T_OUT,
	[LOAD_FLUSH] = VIRTIO_BLK_T_FLUSH,
	[LOAD_ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
	[LOAD_DISCARD] = VIRTIO_BLK_T_DISCARD,
};

static struct ring_part part_of(const struct load *l, const void *at,
				uint32_t len, bool device_writes)
{
	return (struct ring_part){ front_guest(l->front, at), len,
				   device_writes };
}

/* Cut the data of a read or a write: how many parts. */
static unsigned int cut_data(struct load *l, const struct load_request *r,
			     struct ring_part *parts)
{
	bool reads = r->op == LOAD_READ;
	uint32_t at = 0;
	unsigned int n = 0;

	while (at < r->n) {
		uint32_t len = r->n - at;

		if (n + 1 < PARTS_MAX && chance_below(&l->chance, 2))
			len = 1 + chance_below(&l->chance, len);
		parts[n++] = part_of(l, r->data + (size_t)at * SECTOR,
				     len * SECTOR, reads);
		at += len;
	}
	return n;
}

static void set_range(struct load *l, const struct load_request *r)
{
	struct virtio_blk_segment s = { .sector = r->first,
					.num_sectors = r->n };

	if (r->op == LOAD_ZERO && chance_below(&l->chance, 2))
		s.flags = VIRTIO_BLK_SEGMENT_UNMAP;
	memcpy(r->head + RANGE_AT, &s, sizeof(s));
}

static unsigned int make_parts(struct load *l, const struct load_request *r,
			       struct ring_part *parts)
{
	struct virtio_blk_header header = { .type = types[r->op] };
	unsigned int n = 1;

	if (r->op == LOAD_READ || r->op == LOAD_WRITE)
		header.sector = r->first;
	memcpy(r->head + HEADER_AT, &header, sizeof(header));
	parts[0] = part_of(l, r->head + HEADER_AT, sizeof(header), false);
	if (r->op == LOAD_READ || r->op == LOAD_WRITE) {
		n += cut_data(l, r, parts + n);
	} else if (r->op != LOAD_FLUSH) {
		set_range(l, r);
		parts[n++] = part_of(l, r->head + RANGE_AT,
				     sizeof(struct virtio_blk_segment), false);
	}
	r->head[STATUS_AT] = NO_STATUS;
	parts[n++] = part_of(l, r->head + STATUS_AT, 1, true);
	return n;
}

/* ---- down ---- */

/* The oracle hears of it before the device does. */
static void announce(struct load *l, struct load_request *r, unsigned int queue)
{
	switch (r->op) {
	case LOAD_READ:
		for (uint32_t i = 0; i < r->n; i++)
			memcpy(r->data + (size_t)i * SECTOR,
			       &(uint64_t){ POISON }, 8);
		memcpy(r->since, l->oracle.acked + r->first,
		       r->n * sizeof(r->since[0]));
		break;
	case LOAD_WRITE:
		oracle_write(&l->oracle, r->first, r->n, r->data, r->number,
			     l->start << 8 | queue);
		break;
	case LOAD_ZERO:
	case LOAD_DISCARD:
		oracle_zero(&l->oracle, r->first, r->n);
		break;
	default:
		break;
	}
}

static int free_slot(const struct load_queue *q)
{
	for (unsigned int i = 0; q->busy < q->depth && i < q->depth; i++)
		if (!q->request[i].busy)
			return (int)i;
	return -1;
}

bool load_begin(struct load *l, unsigned int queue, enum load_op op,
		uint32_t first, uint32_t n)
{
	struct ring_part parts[RING_CHAIN_MAX];
	struct load_queue *q = &l->queue[queue];
	int slot = free_slot(q);
	struct load_request *r = slot < 0 ? NULL : &q->request[slot];
	bool indirect = chance_below(&l->chance, 2);
	uint8_t *table;

	if (!r || (op != LOAD_READ && op != LOAD_FLUSH &&
		   !oracle_is_free(&l->oracle, first, n)))
		return false;
	r->op = op;
	r->first = first;
	r->n = op == LOAD_FLUSH ? 0 : n;
	r->number = l->begun++;
	r->busy = true;
	q->busy++;
	announce(l, r, queue);
	n = make_parts(l, r, parts);
	table = indirect ? r->head + TABLE_AT : NULL;
	ring_add(&l->front->ring[queue], (unsigned int)slot, parts, n, table,
		 table ? front_guest(l->front, table) : 0);
	return true;
}

static enum load_op choose_op(struct load *l)
{
	uint32_t dice = chance_below(&l->chance, 100);

	if (dice < 35)
		return LOAD_READ;
	if (dice < 84)
		return LOAD_WRITE;
	if (dice < 90)
		return LOAD_FLUSH;
	return dice < 95 && l->discards ? LOAD_DISCARD : LOAD_ZERO;
}

/* Small ones most of the time: each size from 1 to the most, by its binary
 * logarithm.
 */
static uint32_t choose_length(struct load *l, uint32_t align)
{
	uint32_t most = l->most / align, n = 1;

	while (n < most && chance_below(&l->chance, 3))
		n *= 2;
	n += chance_below(&l->chance, n);
	return (n < most ? n : most) * align;
}

static void begin_any(struct load *l, unsigned int queue)
{
	for (unsigned int try = 0; try < PLACE_TRIES; try++) {
		enum load_op op = choose_op(l);
		uint32_t align = op == LOAD_ZERO || op == LOAD_DISCARD ?
					 ZEROES_ALIGN :
					 l->align;
		uint32_t n = choose_length(l, align);
		uint32_t places = (l->oracle.nsectors - n) / align + 1;
		uint32_t first = chance_below(&l->chance, places) * align;

		if (load_begin(l, queue, op, first, n))
			return;
	}
	load_begin(l, queue, LOAD_FLUSH, 0, 0);
}

void load_fill(struct load *l)
{
	for (unsigned int i = 0; i < l->front->nqueues; i++)
		while (l->queue[i].busy < l->queue[i].depth)
			begin_any(l, i);
}

void load_kick(struct load *l)
{
	for (unsigned int i = 0; i < l->front->nqueues; i++)
		if (ring_needs_kick(&l->front->ring[i]))
			front_kick(l->front, i);
}

/* ---- up ---- */

/* It says so, and its sectors have what it wrote or what they had. */
static bool has_failed(struct load *l, struct load_request *r, uint8_t status)
{
	bool unsupported = status == VIRTIO_BLK_S_UNSUPP &&
			   (r->op == LOAD_ZERO || r->op == LOAD_DISCARD);

	if (!l->may_fail || (status != VIRTIO_BLK_S_IOERR && !unsupported))
		return false;
	r->busy = false;
	l->failed += !unsupported;
	return true;
}

static void complete(struct load *l, struct load_request *r, uint32_t written)
{
	uint8_t status = __atomic_load_n(r->head + STATUS_AT, __ATOMIC_RELAXED);
	uint32_t expected = r->op == LOAD_READ ? r->n * SECTOR + 1 : 1;
	uint8_t good = r->op == LOAD_FLUSH ? l->flush_status : VIRTIO_BLK_S_OK;

	if (has_failed(l, r, status))
		return;
	if (status != good || written != expected)
		die("request %" PRIu64 " (kind %u, sectors %u to %u) has "
		    "status %u, %u bytes written",
		    r->number, r->op, r->first, r->first + r->n, status,
		    written);
	if (r->op == LOAD_READ)
		oracle_check(&l->oracle, r->first, r->n, r->data, r->since,
			     "a read");
	else if (r->op != LOAD_FLUSH)
		oracle_ack(&l->oracle, r->first, r->n);
	r->busy = false;
	l->completed++;
	l->counts[r->op]++;
}

static unsigned int take_queue(struct load *l, unsigned int i)
{
	struct ring *ring = &l->front->ring[i];
	struct load_queue *q = &l->queue[i];
	unsigned int n = 0;
	uint32_t written;
	int slot;

	while ((slot = ring_take(ring, &written)) >= 0) {
		complete(l, &q->request[slot], written);
		q->busy--;
		n++;
	}
	return n;
}

unsigned int load_take(struct load *l)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < l->front->nqueues; i++) {
		n += take_queue(l, i);
		ring_arm(&l->front->ring[i]);
		/* What came before it was armed. */
		n += take_queue(l, i);
	}
	return n;
}

unsigned int load_busy(const struct load *l)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < l->front->nqueues; i++)
		n += l->queue[i].busy;
	return n;
}

static void tell_request(const struct load_request *r, unsigned int queue,
			 unsigned int slot)
{
	fprintf(stderr,
		"    queue %u, slot %u: request %" PRIu64
		", kind %u, sectors %u to %u\n",
		queue, slot, r->number, r->op, r->first, r->first + r->n);
}

void load_tell(const struct load *l)
{
	for (unsigned int i = 0; i < l->front->nqueues; i++)
		for (unsigned int s = 0; s < RING_SLOTS; s++)
			if (l->queue[i].request[s].busy)
				tell_request(&l->queue[i].request[s], i, s);
}
