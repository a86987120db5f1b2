/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that cannot be mapped: at every map() of a request, for good or
 * for now. Each chain ends in exactly one used element, whatever happens, and
 * nothing stays mapped. Heads used twice, and requests taken over from another
 * process.
 */
#include "lib/model_adopt.h"
#include "lib/model_request.h"

#define IN VIRTIO_BLK_T_IN
#define OUT VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH
#define GET_ID VIRTIO_BLK_T_GET_ID

enum { NO_MEMORY = 0x1000 }; /* a guest address outside memory */

static uint8_t status_at(struct model_blk *m, uint64_t at)
{
	return *model_byte(m, at);
}

/* Exactly one used element has come: its length. */
static uint32_t one_used(struct model_blk *m, uint16_t head)
{
	struct vring_used_elem elem;

	assert_true(model_used(&m->ring[0], &elem));
	assert_int_equal(elem.id, head);
	assert_false(model_used(&m->ring[0], &elem));
	assert_null(m->mem.maps);
	return elem.len;
}

/* Each buffer of a request in turn is outside memory, wholly or partly. */
static void test_buffers_outside_memory(void **state)
{
	struct model_blk m;
	static const uint32_t types[] = { IN, OUT, FLUSH, GET_ID, 77 };

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (unsigned int i = 0; i < 5 * 4 * 3; i++) {
		uint32_t type = types[i % 5];
		struct model_buf bufs[] = {
			{ m.heap, 16, false },
			{ m.heap + MODEL_PAGE, 512, type != OUT },
			{ m.heap + 100, 1, true },
		};
		struct model_buf *bad = &bufs[i / 5 % 3];
		const struct model_chain chain = { bufs, 3 };
		uint64_t end = m.mem.base + m.mem.size;

		model_header(&m, m.heap, type, 0);
		if (i / 15 == 0)
			bad->addr = NO_MEMORY;
		else if (i / 15 == 1)
			bad->addr = end - bad->len + 1;
		else if (i / 15 == 2)
			bad->addr = UINT64_MAX - bad->len + 1;
		else
			bad->addr = m.mem.base - 1;
		model_try(&m, &chain, i % 4);
	}
	model_blk_finish(&m);
}

/* A status byte at the very end of memory, in a piece of its own or not. */
static void test_buffers_at_the_end_of_memory(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t status = 1; status <= 513; status += 512) {
		const struct model_buf bufs[] = {
			{ m.heap, 16, false },
			{ m.heap + MODEL_PAGE, 513 - status, true },
			{ m.mem.base + m.mem.size - status, status, true },
		};
		const struct model_chain chain = { bufs, 3 };

		model_header(&m, m.heap, IN, 1);
		model_try(&m, &chain, 3);
	}
	model_blk_finish(&m);
}

/* The k-th map() fails for good, for n calls: answered once, IOERR if any. */
static void fail_for_good(unsigned int k, unsigned int n, int error,
			  bool indirect)
{
	struct model_blk m;
	uint16_t head;
	uint32_t len;

	model_blk_start(&m, (struct model_setup){ 0 });
	for (uint32_t type = IN; type <= OUT; type++) {
		const struct model_buf bufs[] = {
			{ m.heap, 16, false },
			{ m.heap + MODEL_PAGE, 512, type == IN },
			{ m.heap + 100, 1, true },
		};
		uint8_t status;

		model_header(&m, m.heap, type, 1);
		*model_byte(&m, m.heap + 100) = 0xee;
		m.mem.calls = 0;
		m.mem.fail_at = k;
		m.mem.fail_calls = n;
		m.mem.fail_with = error;
		head = model_offer_mixed(&m.ring[0], bufs, indirect ? 0 : 3, 3,
					 m.heap + 2 * MODEL_PAGE);
		model_serve(&m, 0);
		if (indirect && k == 1) {
			/* Without its table the ring itself is wrong. */
			assert_false(virtio_device_live(&m.blk.dev));
			model_blk_restart(&m);
			continue;
		}
		len = one_used(&m, head);
		status = status_at(&m, m.heap + 100);
		assert_true(status == VIRTIO_BLK_S_OK ||
			    status == VIRTIO_BLK_S_IOERR || status == 0xee);
		/* The status alone is the writable part of a write. */
		assert_int_equal(len, status == 0xee ? 0 :
				      type == OUT    ? 1 :
				      status         ? 0 :
						       513);
	}
	model_blk_finish(&m);
}

static void test_map_fails_for_good(void **state)
{
	(void)state;
	for (unsigned int k = 1; k <= 4; k++) {
		for (unsigned int n = 1; n <= 4; n++) {
			fail_for_good(k, n, -EFAULT, false);
			fail_for_good(k, n, -EFAULT, true);
			fail_for_good(k, n, -E2BIG, false);
			fail_for_good(k, n, -E2BIG, true);
		}
	}
}

/* The k-th map() has no room now: the chain waits, and is answered later. */
static void test_map_fails_for_now(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int c = 0; c < 2 * 3 * 5; c++) {
		bool indirect = c % 2;
		uint64_t status;
		unsigned int tries = 0;
		uint16_t used = 0;

		model_blk_start(&m, (struct model_setup){ 0 });
		m.mem.fail_at = 1 + c / 2 % 3;
		m.mem.fail_calls = 1 + c / 6;
		m.mem.fail_with = -EAGAIN;
		for (unsigned int i = 0; i < 2; i++) {
			status = m.heap + 3 * MODEL_PAGE + i;
			const struct model_buf bufs[] = {
				{ m.heap, 16, false },
				{ m.heap + MODEL_PAGE, 512, true },
				{ status, 1, true },
			};

			model_header(&m, m.heap, IN, 1);
			*model_byte(&m, status) = 0xee;
			model_offer_mixed(&m.ring[0], bufs, indirect ? 0 : 3, 3,
					  m.heap + (4 + i) * MODEL_PAGE);
		}
		while (used < 2 && tries++ < 20) {
			model_serve(&m, 0);
			used = m.ring[0].used->idx;
			assert_int_equal(m.blk.queue[0].vq.starved, used < 2);
			assert_null(m.mem.maps);
		}
		assert_int_equal(used, 2);
		assert_true(virtio_device_live(&m.blk.dev));
		for (unsigned int i = 0; i < 2; i++) {
			status = m.heap + 3 * MODEL_PAGE + i;
			assert_int_equal(status_at(&m, status), 0);
		}
		model_blk_finish(&m);
	}
}

/* Room for two requests at a time; all are answered, in order, one by one. */
static void test_starvation(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];
	struct block_request *first = NULL, *second, *req;
	unsigned int done = 0;
	uint64_t status[8];

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 32 });
	m.mem.limit = 6;
	for (unsigned int i = 0; i < 8; i++)
		status[i] = model_request(&m, 0, m.heap + i * MODEL_PAGE, IN, i,
					  512);
	while (done < 8) {
		if (!first)
			first = virtio_blk_pop(bq);
		second = virtio_blk_pop(bq);
		assert_non_null(first);
		assert_int_equal(first->offset, done * 512);
		if (second) {
			assert_null(virtio_blk_pop(bq));
			assert_int_equal(bq->vq.starved, done < 6);
		}
		model_run(&m, first);
		virtqueue_publish(&bq->vq);
		assert_int_equal(m.ring[0].used->idx, ++done);
		first = second;
	}
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(status_at(&m, status[i]), VIRTIO_BLK_S_OK);
	req = virtio_blk_pop(bq);
	assert_null(req);
	assert_false(bq->vq.starved);
	model_blk_finish(&m);
}

/* More pieces than there can ever be room for: an error, no endless wait. */
static void test_too_many_pieces(void **state)
{
	struct model_blk m;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	m.mem.limit = 2;
	status = model_request(&m, 0, m.heap, IN, 0, 512);
	assert_int_equal(model_serve(&m, 0), 0);
	assert_int_equal(status_at(&m, status), VIRTIO_BLK_S_IOERR);
	assert_int_equal(m.ring[0].used->idx, 1);
	/* And more than a slot has entries for. */
	m.mem.limit = 0;
	m.mem.piece = 4;
	status = model_request(&m, 0, m.heap, IN, 0, 1024);
	assert_int_equal(model_serve(&m, 0), 0);
	assert_int_equal(status_at(&m, status), VIRTIO_BLK_S_IOERR);
	assert_int_equal(m.ring[0].used->idx, 2);
	model_blk_finish(&m);
}

/*
 * A bad chain whose status byte cannot be mapped for now: it has to wait, for
 * a driver that gets it back without a status takes an old byte for one.
 */
static void test_status_waits_for_room(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	model_request(&m, 0, m.heap, IN, 0, 512);
	req = virtio_blk_pop(bq);
	assert_non_null(req);
	m.mem.limit = m.mem.live;
	status = m.heap + MODEL_PAGE;
	*model_byte(&m, status) = 0;
	model_offer(&m.ring[0],
		    (struct model_buf[]){ { m.heap, 16, false },
					  { NO_MEMORY, 512, true },
					  { status, 1, true } },
		    3);
	assert_null(virtio_blk_pop(bq));
	model_run(&m, req);
	assert_null(virtio_blk_pop(bq));
	virtqueue_publish(&bq->vq);
	assert_int_equal(m.ring[0].used->idx, 2);
	assert_int_equal(status_at(&m, status), VIRTIO_BLK_S_IOERR);
	model_blk_finish(&m);
}

/* The head of a request in flight again: no second request in its slot. */
static void test_head_twice(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	status = model_request(&m, 0, m.heap, IN, 2, 512);
	req = virtio_blk_pop(bq);
	assert_non_null(req);
	model_avail(&m.ring[0], m.ring[0].avail->ring[0]);
	assert_null(virtio_blk_pop(bq));
	assert_false(virtio_device_live(&m.blk.dev));
	model_run(&m, req);
	virtqueue_publish(&bq->vq);
	assert_int_equal(m.ring[0].used->idx, 1);
	assert_int_equal(status_at(&m, status), VIRTIO_BLK_S_OK);
	model_blk_restart(&m);
	model_blk_finish(&m);
}

/* ---- taking over --------------------------------------------------------- */

static void test_requests_taken_over(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];
	struct block_request *req[3];
	uint64_t status[3];

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 16 });
	for (unsigned int i = 0; i < 3; i++) {
		status[i] = model_request(&m, 0, m.heap + i * MODEL_PAGE, IN, i,
					  512);
		req[i] = virtio_blk_pop(bq);
		assert_non_null(req[i]);
	}
	model_run(&m, req[1]);
	virtqueue_publish(&bq->vq);
	model_go_on(&m);
	assert_int_equal(bq->vq.in_flight, 2);
	for (unsigned int i = 0; i < 3; i += 2) {
		req[i] = virtio_blk_repop(bq);
		assert_non_null(req[i]);
		assert_int_equal(req[i]->offset, i * 512);
	}
	assert_null(virtio_blk_repop(bq));
	model_run(&m, req[2]);
	model_run(&m, req[0]);
	virtqueue_publish(&bq->vq);
	assert_int_equal(m.ring[0].used->idx, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(status_at(&m, status[i]), VIRTIO_BLK_S_OK);
	model_blk_finish(&m);
}

/* Taken over, but broken, unmappable or wrong by now. */
static void test_bad_requests_taken_over(void **state)
{
	struct model_blk m;
	struct virtio_blk_queue *bq = &m.blk.queue[0];
	uint64_t status[2];
	uint16_t head;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .queue_size = 16 });
	for (unsigned int i = 0; i < 2; i++) {
		status[i] = model_request(&m, 0, m.heap + i * MODEL_PAGE, IN, i,
					  512);
		assert_non_null(virtio_blk_pop(bq));
	}
	head = m.ring[0].avail->ring[0];
	m.ring[0].desc[m.ring[0].desc[head].next].addr = NO_MEMORY;
	model_go_on(&m);
	assert_int_equal(bq->vq.in_flight, 2);
	m.mem.fail_at = m.mem.calls + 3;
	m.mem.fail_calls = 1;
	m.mem.fail_with = -EAGAIN;
	assert_null(virtio_blk_repop(bq));
	virtqueue_publish(&bq->vq);
	assert_int_equal(m.ring[0].used->idx, 2);
	assert_int_equal(status_at(&m, status[0]), VIRTIO_BLK_S_IOERR);
	assert_int_equal(status_at(&m, status[1]), VIRTIO_BLK_S_IOERR);
	model_request(&m, 0, m.heap, IN, 0, 512);
	assert_non_null(virtio_blk_pop(bq));
	head = m.ring[0].avail->ring[2];
	m.ring[0].desc[head].next = 99;
	model_go_on(&m);
	assert_int_equal(bq->vq.in_flight, 1);
	assert_null(virtio_blk_repop(bq));
	assert_false(virtio_device_live(&m.blk.dev));
	assert_int_equal(bq->vq.in_flight, 0);
	model_blk_restart(&m);
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffers_outside_memory),
		cmocka_unit_test(test_buffers_at_the_end_of_memory),
		cmocka_unit_test(test_map_fails_for_good),
		cmocka_unit_test(test_map_fails_for_now),
		cmocka_unit_test(test_starvation),
		cmocka_unit_test(test_too_many_pieces),
		cmocka_unit_test(test_status_waits_for_room),
		cmocka_unit_test(test_head_twice),
		cmocka_unit_test(test_requests_taken_over),
		cmocka_unit_test(test_bad_requests_taken_over),
	};

	return cmocka_run_group_tests_name("virtio_blk_faults", tests, NULL,
					   NULL);
}
