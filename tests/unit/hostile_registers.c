/* SPDX-License-Identifier: MIT */
/*
 * A table of hostile register sequences: the wrong order, values, sizes and
 * addresses. Each row begins with a device in a known state and tells what has
 * become of it; afterwards the device serves, if need be after a reset, and
 * another device serves in any case. Each row is played twice: the second time
 * the process is killed where it ends, with a request in flight if there can be
 * one, and another one goes on, which nobody may notice.
 */
#include "lib/model_adopt.h"
#include "lib/model_hostile.h"

/* Where a row begins. */
enum from {
	COLD, /* after power-on */
	HALF, /* FEATURES_OK; no queue is set up */
	RUN,  /* DRIVER_OK, both queues serve */
};

/* What a row comes to. */
enum to {
	IDLE,    /* not live, and asks for nothing */
	LIVE,    /* both queues serve */
	STOPPED, /* the second queue serves, the first is stopped */
	BROKEN,  /* NEEDS_RESET */
};

struct access {
	char what; /* 'r' or 'w' */
	unsigned int size;
	uint64_t at;
	uint64_t value; /* written, or to be read */
};

enum { ACCESSES_MAX = 12 };

struct register_case {
	const char *name;
	enum from from;
	enum to to;
	struct access access[ACCESSES_MAX];
};

#define ROW(name, from, to, ...)    \
	{                           \
		name, from, to,     \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define SET(reg, value)                          \
	{                                        \
		'w', 4, VIRTIO_MMIO_##reg, value \
	}
#define GET(reg, value)                          \
	{                                        \
		'r', 4, VIRTIO_MMIO_##reg, value \
	}
#define SETN(at, size, value)        \
	{                            \
		'w', size, at, value \
	}
#define GETN(at, size, value)        \
	{                            \
		'r', size, at, value \
	}

static const struct register_case statuses[] = {
	ROW("DRIVER_OK first", COLD, IDLE, SET(STATUS, 4), GET(STATUS, 0)),
	ROW("FEATURES_OK first", COLD, IDLE, SET(STATUS, 8), GET(STATUS, 0)),
	ROW("all bits at once", COLD, IDLE, SET(STATUS, 0xff),
	    GET(STATUS, 0x83)),
	ROW("all 32 bits at once", COLD, IDLE, SET(STATUS, 0xffffffff),
	    GET(STATUS, 0x83)),
	ROW("NEEDS_RESET by the driver", COLD, IDLE, SET(STATUS, 64),
	    GET(STATUS, 0)),
	ROW("bit 16 alone", COLD, IDLE, SET(STATUS, 16), GET(STATUS, 0)),
	ROW("bits above 8", COLD, IDLE, SET(STATUS, 3), SET(STATUS, 0xffffff00),
	    GET(STATUS, 0)),
	ROW("DRIVER_OK without FEATURES_OK", COLD, IDLE, SET(STATUS, 1),
	    SET(STATUS, 3), SET(STATUS, 7), GET(STATUS, 3)),
	ROW("no features", COLD, IDLE, SET(STATUS, 3), SET(STATUS, 11),
	    GET(STATUS, 3)),
	ROW("features without VERSION_1", COLD, IDLE, SET(STATUS, 3),
	    SET(DRIVER_FEATURES_SEL, 0), SET(DRIVER_FEATURES, 1u << 9),
	    SET(STATUS, 11), GET(STATUS, 3), SET(STATUS, 15), GET(STATUS, 3)),
	ROW("every feature there is", COLD, IDLE, SET(STATUS, 3),
	    SET(DRIVER_FEATURES_SEL, 0), SET(DRIVER_FEATURES, 0xffffffff),
	    SET(DRIVER_FEATURES_SEL, 1), SET(DRIVER_FEATURES, 0xffffffff),
	    SET(STATUS, 11), GET(STATUS, 3)),
	ROW("a third word of features", COLD, IDLE, SET(STATUS, 3),
	    SET(DRIVER_FEATURES_SEL, 2), SET(DRIVER_FEATURES, 0xffffffff),
	    SET(DRIVER_FEATURES_SEL, 33), SET(DRIVER_FEATURES, 1),
	    SET(STATUS, 11), GET(STATUS, 3)),
	ROW("a far word of features", COLD, IDLE,
	    SET(DEVICE_FEATURES_SEL, 0xffffffff), GET(DEVICE_FEATURES, 0),
	    SET(DEVICE_FEATURES_SEL, 2), GET(DEVICE_FEATURES, 0),
	    SET(DEVICE_FEATURES_SEL, 0x80000000), GET(DEVICE_FEATURES, 0)),
	ROW("FAILED while cold", COLD, IDLE, SET(STATUS, 128),
	    GET(STATUS, 128)),
	ROW("reset twice", RUN, IDLE, SET(STATUS, 0), SET(STATUS, 0),
	    GET(STATUS, 0)),
	ROW("reset by 0x100", RUN, IDLE, SET(STATUS, 0x100), GET(STATUS, 0)),
	ROW("reset half way", HALF, IDLE, SET(STATUS, 0), GET(STATUS, 0),
	    GET(QUEUE_READY, 0)),
	ROW("DRIVER_OK after a reset", RUN, IDLE, SET(STATUS, 0),
	    SET(STATUS, 15), GET(STATUS, 3)),
	ROW("FEATURES_OK taken back", RUN, LIVE, SET(STATUS, 7),
	    GET(STATUS, 15)),
	ROW("DRIVER_OK taken back", RUN, LIVE, SET(STATUS, 11),
	    GET(STATUS, 15)),
	ROW("all but one taken back", RUN, LIVE, SET(STATUS, 1),
	    GET(STATUS, 15)),
	ROW("NEEDS_RESET while it runs", RUN, LIVE, SET(STATUS, 64 + 15),
	    GET(STATUS, 15)),
	ROW("other features while it runs", RUN, LIVE,
	    SET(DRIVER_FEATURES_SEL, 1), SET(DRIVER_FEATURES, 0),
	    SET(DRIVER_FEATURES_SEL, 0), SET(DRIVER_FEATURES, 0),
	    SET(STATUS, 15)),
	ROW("every feature while it runs", RUN, LIVE,
	    SET(DRIVER_FEATURES_SEL, 1), SET(DRIVER_FEATURES, 0xffffffff),
	    SET(STATUS, 15), GET(STATUS, 15)),
	ROW("DRIVER_OK, no queue", HALF, LIVE, SET(STATUS, 15),
	    GET(STATUS, 15)),
};

/* B2, B3, P7: QueueSel is any number. */
#define NO_QUEUE(sel)                                                      \
	ROW("queue " #sel, RUN, LIVE, SET(QUEUE_SEL, sel),                 \
	    GET(QUEUE_NUM_MAX, 0), GET(QUEUE_READY, 0), SET(QUEUE_NUM, 8), \
	    SET(QUEUE_DESC_LOW, 0x40000000), SET(QUEUE_DESC_HIGH, 1),      \
	    SET(QUEUE_DRIVER_LOW, 1), SET(QUEUE_DEVICE_HIGH, 1),           \
	    SET(QUEUE_READY, 1), GET(QUEUE_READY, 0), SET(QUEUE_READY, 0), \
	    SET(QUEUE_RESET, 1)),                                          \
		ROW("cold, queue " #sel, COLD, IDLE, SET(QUEUE_SEL, sel),  \
		    SET(QUEUE_READY, 1), GET(QUEUE_READY, 0),              \
		    SET(QUEUE_READY, 0), SET(QUEUE_RESET, 1),              \
		    GET(QUEUE_RESET, 0))

/* B19: so is QueueNotify. */
#define NOTIFY(n)                                                          \
	ROW("notify " #n, RUN, LIVE, SET(QUEUE_NOTIFY, n)),                \
		ROW("cold, notify " #n, COLD, IDLE, SET(QUEUE_NOTIFY, n)), \
		ROW("half, notify " #n, HALF, IDLE, SET(QUEUE_NOTIFY, n))

static const struct register_case selections[] = {
	NO_QUEUE(2),
	NO_QUEUE(3),
	NO_QUEUE(15),
	NO_QUEUE(16),
	NO_QUEUE(17),
	NO_QUEUE(31),
	NO_QUEUE(32),
	NO_QUEUE(255),
	NO_QUEUE(256),
	NO_QUEUE(65535),
	NO_QUEUE(65536),
	NO_QUEUE(0x7fffffff),
	NO_QUEUE(0x80000000),
	NO_QUEUE(0xffffffff),
	NOTIFY(0),
	NOTIFY(1),
	NOTIFY(2),
	NOTIFY(15),
	NOTIFY(16),
	NOTIFY(31),
	NOTIFY(32),
	NOTIFY(33),
	NOTIFY(63),
	NOTIFY(64),
	NOTIFY(0x7fffffff),
	NOTIFY(0x80000000),
	NOTIFY(0xffffffff),
	NOTIFY(0x80050001),
	ROW("queue reset", RUN, STOPPED, SET(QUEUE_SEL, 0), SET(QUEUE_RESET, 1),
	    GET(QUEUE_RESET, 0), GET(QUEUE_READY, 0)),
	ROW("queue reset twice", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_RESET, 1), SET(QUEUE_RESET, 1), GET(QUEUE_RESET, 0)),
	ROW("queue reset by 0", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_RESET, 0), GET(QUEUE_READY, 1)),
	ROW("queue reset by 2", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_RESET, 2), GET(QUEUE_READY, 1)),
	ROW("queue reset, notified", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_RESET, 1), SET(QUEUE_NOTIFY, 0)),
	ROW("stopped, queue reset", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_RESET, 1), GET(QUEUE_READY, 0)),
	ROW("queue reset, ready, nothing set", RUN, BROKEN, SET(QUEUE_SEL, 0),
	    SET(QUEUE_RESET, 1), SET(QUEUE_READY, 1)),
	ROW("queue reset before DRIVER_OK", HALF, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 1), SET(QUEUE_RESET, 1), GET(QUEUE_READY, 0),
	    SET(STATUS, 15)),
	ROW("queue reset while cold", COLD, IDLE, SET(QUEUE_READY, 1),
	    SET(QUEUE_RESET, 1), GET(QUEUE_READY, 1), GET(QUEUE_RESET, 0)),
	/* B20. */
	ROW("ready twice", RUN, LIVE, SET(QUEUE_SEL, 0), SET(QUEUE_READY, 1),
	    SET(QUEUE_READY, 1), GET(QUEUE_READY, 1)),
	ROW("ready by 3", RUN, LIVE, SET(QUEUE_SEL, 0), SET(QUEUE_READY, 3),
	    GET(QUEUE_READY, 1)),
	ROW("ready by all ones", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0xffffffff), GET(QUEUE_READY, 1)),
	ROW("stopped by 2", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 2), GET(QUEUE_READY, 0)),
	ROW("stopped twice", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_READY, 0), GET(QUEUE_READY, 0)),
	ROW("stopped, notified", RUN, STOPPED, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_NOTIFY, 0)),
	ROW("stopped and ready", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_READY, 1)),
	/* B13. */
	ROW("stopped, ready at 0", RUN, BROKEN, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_DESC_LOW, 0), SET(QUEUE_READY, 1)),
	ROW("stopped, ready with 0 entries", RUN, BROKEN, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_NUM, 0), SET(QUEUE_READY, 1)),
	ROW("stopped, ready with 512", RUN, BROKEN, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 0), SET(QUEUE_NUM, 512), SET(QUEUE_READY, 1)),
	ROW("ready, nothing set", HALF, BROKEN, SET(QUEUE_SEL, 0),
	    SET(QUEUE_READY, 1), SET(STATUS, 15)),
	ROW("ready late, nothing set", HALF, BROKEN, SET(STATUS, 15),
	    SET(QUEUE_SEL, 0), SET(QUEUE_READY, 1)),
	ROW("ready while cold", COLD, IDLE, SET(QUEUE_READY, 1),
	    GET(QUEUE_READY, 1), SET(STATUS, 4), GET(STATUS, 0)),
	ROW("another size while ready", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_NUM, 0), SET(QUEUE_NUM, 0xffffffff), SET(QUEUE_NUM, 3)),
	ROW("other addresses while ready", RUN, LIVE, SET(QUEUE_SEL, 0),
	    SET(QUEUE_DESC_LOW, 1), SET(QUEUE_DESC_HIGH, 1),
	    SET(QUEUE_DRIVER_LOW, 1), SET(QUEUE_DRIVER_HIGH, 1),
	    SET(QUEUE_DEVICE_LOW, 1), SET(QUEUE_DEVICE_HIGH, 1)),
	ROW("acknowledge everything", RUN, LIVE, SET(INTERRUPT_ACK, 0xffffffff),
	    GET(INTERRUPT_STATUS, 0)),
	ROW("write the interrupt status", RUN, LIVE, SET(INTERRUPT_STATUS, 3),
	    GET(INTERRUPT_STATUS, 0)),
};

/* Writes that would do harm, were they of 32 bits and at the register. */
#define SIZES(reg, value)                                                    \
	ROW(#reg ", 0 bytes", RUN, LIVE, SETN(VIRTIO_MMIO_##reg, 0, value)), \
		ROW(#reg ", 1 byte", RUN, LIVE,                              \
		    SETN(VIRTIO_MMIO_##reg, 1, value)),                      \
		ROW(#reg ", 2 bytes", RUN, LIVE,                             \
		    SETN(VIRTIO_MMIO_##reg, 2, value)),                      \
		ROW(#reg ", 3 bytes", RUN, LIVE,                             \
		    SETN(VIRTIO_MMIO_##reg, 3, value)),                      \
		ROW(#reg ", 8 bytes", RUN, LIVE,                             \
		    SETN(VIRTIO_MMIO_##reg, 8, value)),                      \
		ROW(#reg ", 4 GiB above", RUN, LIVE,                         \
		    SETN(VIRTIO_MMIO_##reg | UINT64_C(1) << 32, 4, value)),  \
		ROW(#reg ", in the last half", RUN, LIVE,                    \
		    SETN(VIRTIO_MMIO_##reg | UINT64_C(1) << 63, 4, value)),  \
		ROW(#reg ", shifted", RUN, LIVE,                             \
		    SETN(VIRTIO_MMIO_##reg + 1, 4, value),                   \
		    SETN(VIRTIO_MMIO_##reg + 2, 4, value),                   \
		    SETN(VIRTIO_MMIO_##reg + 3, 4, value))

/* Writes to what cannot be written. */
#define READONLY(at)                                    \
	ROW("write at " #at, RUN, LIVE, SETN(at, 4, 0), \
	    SETN(at, 4, 0xffffffff), SETN(at, 1, 0xff), \
	    SETN(at, 8, UINT64_MAX))

static const struct register_case writes[] = {
	SIZES(STATUS, 0),         SIZES(QUEUE_READY, 0), SIZES(QUEUE_SEL, 7),
	SIZES(QUEUE_NOTIFY, 1),   SIZES(QUEUE_RESET, 1), READONLY(0x000),
	READONLY(0x004),          READONLY(0x008),       READONLY(0x00c),
	READONLY(0x010),          READONLY(0x018),       READONLY(0x034),
	READONLY(0x060),          READONLY(0x068),       READONLY(0x06c),
	READONLY(0x074),          READONLY(0x0b0),       READONLY(0x0b4),
	READONLY(0x0b8),          READONLY(0x0bc),       READONLY(0x0fc),
	READONLY(0x100),          READONLY(0x104),       READONLY(0x114),
	READONLY(0x15c),          READONLY(0x160),       READONLY(0x1fc),
	READONLY(0x200),          READONLY(0x1000),      READONLY(0xfffffffc),
	READONLY(UINT64_MAX - 3), READONLY(UINT64_MAX),
};

/* B1: nothing is read that is not the configuration. */
#define ZERO(at, size) \
	ROW("read " #size " at " #at, RUN, LIVE, GETN(at, size, 0))

static const struct register_case reads[] = {
	ROW("capacity", COLD, IDLE, GETN(0x100, 8, MODEL_SECTORS)),
	ROW("capacity unharmed", RUN, LIVE, SETN(0x100, 8, 1),
	    SETN(0x100, 4, 1), SETN(0x100, 1, 1),
	    GETN(0x100, 8, MODEL_SECTORS)),
	ZERO(0x100, 3),
	ZERO(0x100, 5),
	ZERO(0x100, 7),
	ZERO(0x100, 16),
	ZERO(0x100, 4096),
	ZERO(0x100, 0),
	ZERO(0x159, 8),
	ZERO(0x15d, 4),
	ZERO(0x15f, 2),
	ZERO(0x160, 1),
	ZERO(0x160, 8),
	ZERO(0x1ff, 1),
	ZERO(0x1ff, 8),
	ZERO(0x200, 1),
	ZERO(0x200, 8),
	ZERO(0x1000, 4),
	ZERO(0xffffffff, 1),
	ZERO(0x100000100, 8),
	ZERO(UINT64_MAX - 7, 8),
	ZERO(UINT64_MAX, 1),
	ZERO(UINT64_MAX, 8),
	ZERO(UINT64_C(1) << 63, 4),
	ZERO((UINT64_C(1) << 63) + 0x100, 8),
	ZERO(0x000, 1),
	ZERO(0x000, 2),
	ZERO(0x000, 8),
	ZERO(0x001, 4),
	ZERO(0x002, 4),
	ZERO(0x003, 1),
	ZERO(0x004, 8),
	ZERO(0x034, 2),
	ZERO(0x070, 1),
	ZERO(0x0fc, 8),
	ZERO(0x0fe, 4),
	ZERO(0x0ff, 4),
	ZERO(0x0ff, 2),
	ZERO(0x0ff, 8),
	ZERO(0x018, 4),
	ZERO(0x050, 4),
	ZERO(0x064, 4),
	ZERO(0x080, 4),
	ZERO(0x0c0, 4),
};

/* ---- the play ------------------------------------------------------------ */

static void begin_at(struct model_blk *m, enum from from)
{
	struct virtio_device *dev = &m->blk.dev;

	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_DONE);
	for (unsigned int i = 0; i < m->setup.nqueues; i++)
		model_ring_reset(&m->ring[i], 0);
	if (from == RUN)
		model_blk_drive(m);
	else if (from == HALF)
		assert_true(model_negotiate(dev, model_offered(dev)));
}

static void do_access(struct virtio_device *dev, const struct access *a)
{
	if (a->what == 'r')
		assert_int_equal(virtio_mmio_read(dev, a->at, a->size),
				 a->value);
	else
		assert_int_equal(virtio_mmio_write(dev, a->at, a->size,
						   a->value),
				 VIRTIO_DONE);
}

/* The device is as told, works as far as it can, and wholly after a reset. */
static void end_at(struct model_blk *m, enum to to)
{
	struct virtio_device *dev = &m->blk.dev;
	uint32_t status = model_get(dev, VIRTIO_MMIO_STATUS);

	assert_int_equal(virtio_device_live(dev), to == LIVE || to == STOPPED);
	assert_int_equal(!!(status & VIRTIO_STATUS_NEEDS_RESET), to == BROKEN);
	/* A queue that does not run does nothing, whatever the kicks. */
	model_serve(m, 0);
	model_serve(m, 1);
	model_compare(m);
	if (to == BROKEN) {
		hostile_end(true);
		return;
	}
	if (to == STOPPED)
		hostile_good(m, 1);
	if (to == LIVE && m->blk.queue[0].vq.running) {
		hostile_good(m, 0);
		hostile_good(m, 1);
	}
	model_blk_restart(m);
	hostile_good(m, 0);
	hostile_end(false);
}

/* All that a driver can read. */
static void read_all(const struct virtio_device *dev,
		     uint32_t value[VIRTIO_MMIO_WINDOW_SIZE])
{
	for (uint64_t at = 0; at < VIRTIO_MMIO_CONFIG; at += 4)
		value[at] = (uint32_t)virtio_mmio_read(dev, at, 4);
	for (uint64_t at = VIRTIO_MMIO_CONFIG; at < VIRTIO_MMIO_WINDOW_SIZE;
	     at++)
		value[at] = (uint32_t)virtio_mmio_read(dev, at, 1);
}

/* A request of the second queue, which is popped: the address of its status. */
static uint64_t leave_in_flight(struct model_blk *m)
{
	uint64_t status;

	status = model_request(m, 1, OTHER, IN, 7, 512);
	assert_non_null(virtio_blk_pop(&m->blk.queue[1]));
	return status;
}

/* Another process goes on. */
static void adopt(struct model_blk *m)
{
	static uint32_t before[VIRTIO_MMIO_WINDOW_SIZE];
	static uint32_t after[VIRTIO_MMIO_WINDOW_SIZE];
	const struct virtio_device *dev = &m->blk.dev;
	bool busy = virtio_device_takes(dev, 1) && m->blk.queue[1].vq.running;
	uint64_t status = busy ? leave_in_flight(m) : 0;
	struct vring_used_elem elem;

	read_all(dev, before);
	model_go_on(m);
	read_all(dev, after);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(model_do_again(m, 0), 0);
	assert_int_equal(model_do_again(m, 1), busy);
	if (!busy)
		return;
	assert_true(model_used(&m->ring[1], &elem));
	assert_int_equal(elem.len, 513);
	assert_int_equal(*model_byte(m, status), OK);
}

static void play(const struct register_case *row, bool killed)
{
	struct model_blk *m = &hostile.m;

	hostile_begin(row->name);
	begin_at(m, row->from);
	model_shadow(m);
	for (unsigned int i = 0; i < ACCESSES_MAX && row->access[i].what; i++)
		do_access(&m->blk.dev, &row->access[i]);
	if (killed) {
		adopt(m);
		model_shadow(m);
	}
	end_at(m, row->to);
}

static void play_table(const struct register_case *rows, size_t n)
{
	hostile_start((struct model_setup){ .ring_size = 256 });
	for (size_t i = 0; i < n; i++)
		for (int killed = 0; killed < 2; killed++)
			play(&rows[i], killed);
	hostile_finish();
	print_message("# %zu cases\n", n);
}

static void test_statuses(void **state)
{
	(void)state;
	play_table(statuses, COUNT(statuses));
}

static void test_selections(void **state)
{
	(void)state;
	play_table(selections, COUNT(selections));
}

static void test_writes(void **state)
{
	(void)state;
	play_table(writes, COUNT(writes));
}

static void test_reads(void **state)
{
	(void)state;
	play_table(reads, COUNT(reads));
}

/* ---- where the rings are ------------------------------------------------- */

enum part { DESC, DRIVER, DEVICE, SIZE };

struct ring_place {
	const char *name;
	enum part part;
	enum to to;
	uint64_t shift; /* added to the part's right place, or */
	uint64_t at;    /* the place; for SIZE the number of entries */
};

#define SHIFT(part, to, by)                               \
	{                                                 \
#part " shifted by " #by, part, to, by, 0 \
	}
#define PLACE(at)                                            \
	{ "DESC at " #at, DESC, BROKEN, 0, at },             \
		{ "DRIVER at " #at, DRIVER, BROKEN, 0, at }, \
	{                                                    \
		"DEVICE at " #at, DEVICE, BROKEN, 0, at      \
	}
#define ENTRIES(n, to)                        \
	{                                     \
#n " entries", SIZE, to, 0, n \
	}

static const struct ring_place places[] = {
	SHIFT(DESC, BROKEN, 1),
	SHIFT(DESC, BROKEN, 2),
	SHIFT(DESC, BROKEN, 4),
	SHIFT(DESC, BROKEN, 8),
	SHIFT(DESC, LIVE, 16),
	SHIFT(DESC, BROKEN, 17),
	SHIFT(DRIVER, BROKEN, 1),
	SHIFT(DRIVER, LIVE, 2),
	SHIFT(DRIVER, BROKEN, 3),
	SHIFT(DRIVER, LIVE, 4),
	SHIFT(DEVICE, BROKEN, 1),
	SHIFT(DEVICE, BROKEN, 2),
	SHIFT(DEVICE, BROKEN, 3),
	SHIFT(DEVICE, LIVE, 4),
	SHIFT(DEVICE, LIVE, 8),
	SHIFT(DESC, BROKEN, UINT64_C(1) << 32),
	SHIFT(DRIVER, BROKEN, UINT64_C(1) << 32),
	SHIFT(DEVICE, BROKEN, UINT64_C(1) << 32),
	SHIFT(DESC, BROKEN, UINT64_C(1) << 63),
	SHIFT(DRIVER, BROKEN, UINT64_C(1) << 63),
	SHIFT(DEVICE, BROKEN, UINT64_C(1) << 63),
	PLACE(16),
	PLACE(0x1000),
	PLACE(0x02000000),
	PLACE(MODEL_BASE - 16),
	PLACE(END - 16),
	PLACE(END),
	PLACE(END + 16),
	PLACE(UINT64_C(1) << 40),
	PLACE(UINT64_MAX - 15),
	PLACE(UINT64_MAX - 4095),
	PLACE(UINT64_MAX),
	ENTRIES(1, LIVE),
	ENTRIES(2, LIVE),
	ENTRIES(4, LIVE),
	ENTRIES(8, LIVE),
	ENTRIES(64, LIVE),
	ENTRIES(128, LIVE),
	ENTRIES(256, LIVE),
	ENTRIES(0, BROKEN),
	ENTRIES(3, BROKEN),
	ENTRIES(5, BROKEN),
	ENTRIES(6, BROKEN),
	ENTRIES(7, BROKEN),
	ENTRIES(100, BROKEN),
	ENTRIES(255, BROKEN),
	ENTRIES(257, BROKEN),
	ENTRIES(512, BROKEN),
	ENTRIES(1024, BROKEN),
	ENTRIES(32768, BROKEN),
	ENTRIES(65535, BROKEN),
	ENTRIES(65536, BROKEN),
	ENTRIES(65537, BROKEN),
	ENTRIES(65792, BROKEN),
	ENTRIES(0x80000000, BROKEN),
	ENTRIES(0x80000100, BROKEN),
	ENTRIES(0xffff0100, BROKEN),
	ENTRIES(0xffffffff, BROKEN),
};

static void play_place(const struct ring_place *row, bool killed)
{
	struct model_blk *m = &hostile.m;
	struct virtio_device *dev = &m->blk.dev;
	struct model_ring ring;
	uint64_t *address[] = { &ring.desc_at, &ring.avail_at, &ring.used_at };

	hostile_begin(row->name);
	begin_at(m, HALF);
	ring = m->ring[0];
	if (row->part != SIZE && row->shift)
		*address[row->part] += row->shift;
	else if (row->part != SIZE)
		*address[row->part] = row->at;
	model_set_queue(dev, 1, &m->ring[1]);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM,
		  row->part == SIZE ? (uint32_t)row->at : ring.size);
	model_write_addresses(dev, &ring);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	model_shadow(m);
	model_driver_ok(dev);
	if (killed) {
		adopt(m);
		model_shadow(m);
	}
	/* A ring that is elsewhere is not the driver's: it is left alone. */
	end_at(m, row->to == LIVE ? STOPPED : row->to);
}

static void test_places(void **state)
{
	(void)state;
	hostile_start((struct model_setup){ .ring_size = 256 });
	for (size_t i = 0; i < COUNT(places); i++)
		for (int killed = 0; killed < 2; killed++)
			play_place(&places[i], killed);
	hostile_finish();
	print_message("# %zu cases\n", COUNT(places));
}

static void test_count(void **state)
{
	(void)state;
	assert_true(COUNT(statuses) + COUNT(selections) + COUNT(writes) +
			    COUNT(reads) + COUNT(places) >=
		    250);
}

#define TEST(f) cmocka_unit_test_teardown(f, hostile_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_statuses), TEST(test_selections), TEST(test_writes),
		TEST(test_reads),    TEST(test_places),     TEST(test_count),
	};

	return cmocka_run_group_tests_name("hostile_registers", tests, NULL,
					   NULL);
}
