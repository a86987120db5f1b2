/* SPDX-License-Identifier: MIT */
/*
 * What of a disk's requests is noted in its trace: nothing while it is off but
 * what fails, each with what became of it while it is on, whenever that is
 * switched, with each engine.
 */
#include "lib/model_disk.h"

#include <string.h>

static struct trace_ring ring, copy[2];
static struct trace_event event[TRACE_EVENTS];
static unsigned int nevents;

static void begin(struct rig *rig, const char *engine)
{
	memset(&ring, 0, sizeof(ring));
	rig_init(rig, engine, 1);
	rig->end[0].disk.trace.ring = &ring;
}

static void trace(struct disk *disk, bool on)
{
	disk_set_trace(disk, on);
	disk_switch_trace(disk, 0);
}

/* All events so far, and no more of them the next time. */
static unsigned int take_events(void)
{
	unsigned int torn;

	trace_ring_copy(&copy[0], &ring);
	trace_ring_copy(&copy[1], &ring);
	nevents = trace_ring_read(&copy[0], &copy[1], event, &torn);
	assert_int_equal(torn, 0);
	memset(&ring, 0, sizeof(ring));
	return nevents;
}

static bool is(const struct trace_event *e, enum trace_kind kind,
	       const char *name, uint64_t block)
{
	return e->kind == kind && strcmp(e->name, name) == 0 &&
	       e->value == block * (BLOCK / 512);
}

static const struct trace_event *find(enum trace_kind kind, const char *name,
				      uint64_t block)
{
	for (unsigned int i = 0; i < nevents; i++)
		if (is(&event[i], kind, name, block))
			return &event[i];
	return NULL;
}

static const struct trace_event *must_find(enum trace_kind kind,
					   const char *name, uint64_t block)
{
	const struct trace_event *e = find(kind, name, block);

	assert_non_null(e);
	return e;
}

/* It began, and then it ended, with this status. */
static void check_request(const char *name, uint64_t block, uint64_t length,
			  unsigned int answered)
{
	const struct trace_event *b = must_find(TRACE_BEGIN, name, block);
	const struct trace_event *e = must_find(TRACE_END, name, block);

	assert_true(b < e);
	assert_int_equal(b->id, e->id);
	assert_int_equal(b->length, length);
	assert_int_equal(e->length, length);
	assert_int_equal(e->status, answered);
	assert_int_equal(e->queue, 0);
	assert_in_range(e->took_ns, 1, e->time_ns - b->time_ns);
}

static void requests_with(const char *engine)
{
	struct rig rig;
	struct disk *disk = &rig.end[0].disk;

	begin(&rig, engine);
	/* Off: nothing. */
	offer(&rig, 0, 0, VIRTIO_BLK_T_OUT, 3);
	run_until(&rig, 0, 1);
	assert_int_equal(take_events(), 0);
	trace(disk, true);
	trace(disk, true);
	offer(&rig, 0, 0, VIRTIO_BLK_T_OUT, 3);
	offer(&rig, 0, 1, VIRTIO_BLK_T_IN, 5);
	run_until(&rig, 0, 3);
	offer(&rig, 0, 0, VIRTIO_BLK_T_FLUSH, 0);
	run_until(&rig, 0, 4);
	assert_int_equal(take_events(), 6);
	check_request("write", 3, BLOCK, VIRTIO_BLK_S_OK);
	check_request("read", 5, BLOCK, VIRTIO_BLK_S_OK);
	check_request("flush", 0, 0, VIRTIO_BLK_S_OK);
	/* And off again. */
	trace(disk, false);
	offer(&rig, 0, 0, VIRTIO_BLK_T_OUT, 3);
	run_until(&rig, 0, 5);
	assert_int_equal(take_events(), 0);
	trace(disk, true);
	rig_finish(&rig);
}

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		print_message("# engine %s\n", engines[i]);
		requests_with(engines[i]);
	}
}

/* Requests that are under way when it is switched are not lost, nor told. */
static void test_switched_under_way(void **state)
{
	struct rig rig;
	struct disk *disk = &rig.end[0].disk;
	const struct trace_event *e;

	(void)state;
	begin(&rig, "threads");
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 5);
	poll_once(&rig, 0);
	trace(disk, true);
	assert_int_equal(disk->queue[0].engine->inflight, 1);
	run_until(&rig, 0, 1);
	assert_int_equal(take_events(), 1);
	e = must_find(TRACE_END, "read", 5);
	assert_int_equal(e->took_ns, 0);
	assert_int_equal(e->status, VIRTIO_BLK_S_OK);
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 6);
	poll_once(&rig, 0);
	trace(disk, false);
	run_until(&rig, 0, 2);
	assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(take_events(), 1);
	must_find(TRACE_BEGIN, "read", 6);
	assert_int_equal(disk_in_flight(disk), 0);
	rig_finish(&rig);
}

/* What the device answers at once, by what its header says. */
static void test_answered_at_once(void **state)
{
	struct rig rig;
	struct disk *disk = &rig.end[0].disk;
	const struct trace_event *e;

	(void)state;
	begin(&rig, "threads");
	trace(disk, true);
	offer(&rig, 0, 0, VIRTIO_BLK_T_GET_ID, 0);
	offer(&rig, 0, 1, VIRTIO_BLK_T_OUT, FILE_BYTES);
	offer(&rig, 0, 2, 99, 1);
	run_until(&rig, 0, 3);
	assert_int_equal(take_events(), 3);
	e = must_find(TRACE_END, "get-id", 0);
	assert_int_equal(e->status, VIRTIO_BLK_S_OK);
	assert_int_equal(e->length, BLOCK);
	e = must_find(TRACE_END, "write", FILE_BYTES);
	assert_int_equal(e->status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(e->length, BLOCK);
	e = must_find(TRACE_END, "0x63", 1);
	assert_int_equal(e->status, VIRTIO_BLK_S_UNSUPP);
	trace(disk, false);
	offer(&rig, 0, 0, VIRTIO_BLK_T_GET_ID, 0);
	run_until(&rig, 0, 4);
	assert_int_equal(take_events(), 0);
	rig_finish(&rig);
}

/* A failure of the store is noted in any case. */
static void test_failures(void **state)
{
	struct rig rig;
	const struct trace_event *e;

	(void)state;
	begin(&rig, "threads");
	assert_int_equal(truncate(rig.end[0].file, 8 * BLOCK), 0);
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 100);
	run_until(&rig, 0, 1);
	assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(take_events(), 1);
	e = must_find(TRACE_ERROR, "read", 100);
	assert_int_equal(e->took_ns, EIO);
	trace(&rig.end[0].disk, true);
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 100);
	run_until(&rig, 0, 2);
	assert_int_equal(take_events(), 3);
	check_request("read", 100, BLOCK, VIRTIO_BLK_S_IOERR);
	must_find(TRACE_ERROR, "read", 100);
	rig_finish(&rig);
}

/* A driver that breaks the rules of its ring. */
static void test_needs_reset(void **state)
{
	struct rig rig;
	struct end *e = &rig.end[0];

	(void)state;
	begin(&rig, "threads");
	offer(&rig, 0, 0, VIRTIO_BLK_T_IN, 1);
	e->ring.avail->idx = (uint16_t)(e->ring.avail->idx + 2 * RING);
	poll_once(&rig, 0);
	assert_true(virtio_device_wants_reset(&e->disk.blk.dev));
	assert_int_equal(e->changed, 1);
	assert_int_equal(take_events(), 1);
	assert_int_equal(event[0].kind, TRACE_DEVICE);
	assert_string_equal(event[0].name, "needs reset");
	rig_finish(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_switched_under_way),
		cmocka_unit_test(test_answered_at_once),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_needs_reset),
	};

	return cmocka_run_group_tests_name("disk_trace", tests, NULL, NULL);
}
