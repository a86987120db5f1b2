/* SPDX-License-Identifier: MIT */
/*
 * Who wants to know of requests that are answered as they are popped is told
 * what their header says, however it is divided, and of those that have none.
 */
#include "lib/model_request.h"

static struct {
	unsigned int n;
	struct virtio_blk_answered what;
} told;

static void answered(void *arg, const struct virtio_blk_answered *what)
{
	assert_ptr_equal(arg, &told);
	told.n++;
	told.what = *what;
}

static void start(struct model_blk *m)
{
	model_blk_start(m, (struct model_setup){ .queue_size = 16 });
	m->blk.queue[0].answered = answered;
	m->blk.queue[0].answered_arg = &told;
	told.n = 0;
}

static void serve(struct model_blk *m, const struct model_buf *bufs,
		  unsigned int n)
{
	struct vring_used_elem elem;

	model_offer(&m->ring[0], bufs, n);
	model_serve(m, 0);
	assert_true(model_used(&m->ring[0], &elem));
}

static void check(uint32_t type, uint64_t sector, uint64_t bytes,
		  enum virtio_blk_status status)
{
	assert_true(told.what.is_known);
	assert_int_equal(told.what.type, type);
	assert_int_equal(told.what.sector, sector);
	assert_int_equal(told.what.bytes, bytes);
	assert_int_equal(told.what.status, status);
}

/* The header in two descriptors, or in one that the data begins in. */
static void test_header_at_any_place(void **state)
{
	struct model_blk m;

	(void)state;
	start(&m);
	for (uint32_t cut = 0; cut <= 40; cut++) {
		const struct model_buf bufs[] = {
			{ m.heap, cut, false },
			{ m.heap + cut, 16 + 512 - cut, false },
			{ m.heap + 2 * MODEL_PAGE, 1, true },
		};

		model_header(&m, m.heap, VIRTIO_BLK_T_OUT, UINT64_MAX / 512);
		serve(&m, bufs, 3);
		assert_int_equal(told.n, cut + 1);
		check(VIRTIO_BLK_T_OUT, UINT64_MAX / 512, 512,
		      VIRTIO_BLK_S_IOERR);
	}
	model_blk_finish(&m);
}

static void test_statuses(void **state)
{
	struct model_blk m;

	(void)state;
	start(&m);
	const struct model_buf bufs[] = {
		{ m.heap, 16, false },
		{ m.heap + MODEL_PAGE, 20, true },
		{ m.heap + 2 * MODEL_PAGE, 1, true },
	};

	model_header(&m, m.heap, 99, 7);
	serve(&m, bufs, 3);
	check(99, 7, 20, VIRTIO_BLK_S_UNSUPP);
	model_header(&m, m.heap, VIRTIO_BLK_T_GET_ID, 0);
	serve(&m, bufs, 3);
	check(VIRTIO_BLK_T_GET_ID, 0, 20, VIRTIO_BLK_S_OK);
	assert_int_equal(told.n, 2);
	/* One that goes to the engine is told by who has that. */
	model_header(&m, m.heap, VIRTIO_BLK_T_FLUSH, 0);
	model_offer(&m.ring[0], bufs, 3);
	model_serve(&m, 0);
	assert_int_equal(told.n, 2);
	model_blk_finish(&m);
}

static void test_no_header(void **state)
{
	struct model_blk m;

	(void)state;
	start(&m);
	const struct model_buf bufs[] = {
		{ m.heap, 15, false },
		{ m.heap + 2 * MODEL_PAGE, 1, true },
	};

	serve(&m, bufs, 2);
	assert_int_equal(told.n, 1);
	assert_false(told.what.is_known);
	assert_int_equal(told.what.status, VIRTIO_BLK_S_IOERR);
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_at_any_place),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_no_header),
	};

	return cmocka_run_group_tests_name("virtio_blk_answered", tests, NULL,
					   NULL);
}
