/* SPDX-License-Identifier: MIT */
/*
 * RING_RESET: the driver resets one queue. It waits for what the queue has in
 * flight, leaves nothing of the queue and touches no other; and the queue comes
 * back as the driver wants it then.
 */
#include "lib/model_blk.h"

static enum virtio_answer reset_queue(struct model_blk *m, uint32_t queue)
{
	model_set(&m->blk.dev, VIRTIO_MMIO_QUEUE_SEL, queue);
	return model_set(&m->blk.dev, VIRTIO_MMIO_QUEUE_RESET, 1);
}

/* Of the selected queue. */
static void check_queue(struct model_blk *m, uint32_t ready, uint32_t reset)
{
	const struct virtio_device *dev = &m->blk.dev;

	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), ready);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_RESET), reset);
}

/* Nothing is left of what the driver wrote, nor of what the queue did. */
static void check_queue_defaults(struct model_blk *m, unsigned int queue)
{
	const struct virtio_queue_state fresh = {
		.size = m->setup.queue_size,
	};
	struct virtio_blk_queue *bq = &m->blk.queue[queue];

	assert_memory_equal(&m->blk.dev.state->queue[queue], &fresh,
			    sizeof(fresh));
	assert_false(virtqueue_pending(&bq->vq));
	assert_null(virtio_blk_pop(bq));
	assert_false(virtqueue_publish(&bq->vq));
}

/* Offer a request and take it, but do not answer it. */
static struct block_request *take(struct model_blk *m, unsigned int queue)
{
	struct block_request *req;

	model_request(m, queue, m->heap, VIRTIO_BLK_T_IN, 0, 512);
	req = virtio_blk_pop(&m->blk.queue[queue]);
	assert_non_null(req);
	return req;
}

/* A request from its offer to the driver's sight of the answer. */
static void serve_one(struct model_blk *m, unsigned int queue)
{
	struct vring_used_elem elem;

	model_request(m, queue, m->heap, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(model_serve(m, queue), 1);
	assert_true(model_used(&m->ring[queue], &elem));
	assert_int_equal(elem.len, 513);
}

static void waits(bool packed)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct block_request *req;

	model_blk_start(&m,
			(struct model_setup){ .nqueues = 2, .packed = packed });
	req = take(&m, 0);
	/* One that is not taken, and never will be. */
	model_request(&m, 0, m.heap + MODEL_PAGE, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(reset_queue(&m, 0), VIRTIO_WAIT);
	check_queue(&m, 1, 1);
	/* Nothing takes it back, and a second one waits as well. */
	model_set(dev, VIRTIO_MMIO_QUEUE_RESET, 0);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_NUM, 4);
	assert_int_equal(reset_queue(&m, 0), VIRTIO_WAIT);
	check_queue(&m, 1, 1);
	/* The other queue goes on. */
	serve_one(&m, 1);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 1);
	check_queue(&m, 1, 0);
	assert_false(virtio_device_settle(dev));
	assert_int_equal(m.mem.rings, 6);
	model_run(&m, req);
	virtqueue_publish(&m.blk.queue[0].vq);
	assert_true(virtio_device_settle(dev));
	assert_false(virtio_device_settle(dev));
	assert_int_equal(m.mem.rings, 3);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	check_queue(&m, 0, 0);
	check_queue_defaults(&m, 0);
	assert_true(virtio_device_live(dev));
	serve_one(&m, 1);
	model_blk_finish(&m);
}

static void test_waits(void **state)
{
	(void)state;
	waits(false);
	waits(true);
}

/* It comes back in another place with another size, at the first position. */
static void comes_back(bool packed)
{
	static const uint16_t sizes[] = { 4, 8, 4 };
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	model_blk_start(&m, (struct model_setup){ .packed = packed });
	for (unsigned int i = 0; i < 3; i++) {
		const uint64_t place = m.heap + (8 + 4 * i) * MODEL_PAGE;

		for (unsigned int n = 0; n < 5; n++)
			serve_one(&m, 0);
		assert_int_equal(reset_queue(&m, 0), VIRTIO_DONE);
		check_queue(&m, 0, 0);
		check_queue_defaults(&m, 0);
		model_memory_check_idle(&m.mem);
		model_ring_lay(&m.ring[0], &m.mem, place, sizes[i], packed);
		model_set_queue(dev, 0, &m.ring[0]);
		check_queue(&m, 1, 0);
		assert_int_equal(m.blk.queue[0].vq.size, sizes[i]);
	}
	serve_one(&m, 0);
	assert_true(virtio_device_live(dev));
	model_blk_finish(&m);
}

static void test_comes_back(void **state)
{
	(void)state;
	comes_back(false);
	comes_back(true);
}

static void test_not_negotiated(void **state)
{
	struct model_blk m;
	struct virtio_queue_state before;

	(void)state;
	model_blk_init(&m,
		       (struct model_setup){ .refused = VIRTIO_FEATURE(
						     VIRTIO_F_RING_RESET) });
	/* Offered is not enough. */
	model_set_queue(&m.blk.dev, 0, &m.ring[0]);
	assert_int_equal(reset_queue(&m, 0), VIRTIO_DONE);
	check_queue(&m, 1, 0);
	model_set(&m.blk.dev, VIRTIO_MMIO_STATUS, 0);
	model_blk_drive(&m);
	before = m.blk.dev.state->queue[0];
	assert_int_equal(reset_queue(&m, 0), VIRTIO_DONE);
	check_queue(&m, 1, 0);
	assert_memory_equal(&m.blk.dev.state->queue[0], &before,
			    sizeof(before));
	serve_one(&m, 0);
	model_blk_finish(&m);
}

/* The device's reset is the greater one, whichever comes first. */
static void test_device_reset(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	for (unsigned int queue_first = 0; queue_first < 2; queue_first++) {
		struct block_request *req;

		model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
		req = take(&m, 0);
		if (queue_first)
			assert_int_equal(reset_queue(&m, 0), VIRTIO_WAIT);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0),
				 VIRTIO_WAIT);
		assert_int_equal(reset_queue(&m, 0), VIRTIO_DONE);
		check_queue(&m, 1, queue_first);
		assert_int_equal(reset_queue(&m, 1), VIRTIO_DONE);
		check_queue(&m, 1, 0);
		model_run(&m, req);
		virtqueue_publish(&m.blk.queue[0].vq);
		assert_true(virtio_device_settle(dev));
		assert_int_equal(model_get(dev, VIRTIO_MMIO_STATUS), 0);
		for (uint32_t i = 0; i < 2; i++) {
			model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
			check_queue(&m, 0, 0);
		}
		model_memory_check_idle(&m.mem);
		model_blk_restart(&m);
		model_blk_finish(&m);
	}
}

/* A stop keeps what a reset forgets, also when both end together. */
static void test_stop_beside_it(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	struct virtio_queue_state before;
	struct block_request *req;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	before = dev->state->queue[0];
	req = take(&m, 0);
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_WAIT);
	check_queue(&m, 1, 0);
	/* It is quiet, but its end must not be that of the other one. */
	assert_int_equal(reset_queue(&m, 1), VIRTIO_WAIT);
	check_queue(&m, 1, 1);
	assert_false(virtio_device_settle(dev));
	model_run(&m, req);
	virtqueue_publish(&m.blk.queue[0].vq);
	assert_true(virtio_device_settle(dev));
	before.ready = 0;
	before.started = 0;
	assert_memory_equal(&dev->state->queue[0], &before, sizeof(before));
	check_queue_defaults(&m, 1);
	/* And the next stop is a stop only. */
	model_set_queue(dev, 1, &m.ring[1]);
	model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(dev->state->queue[1].desc, m.ring[1].desc_at);
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_not_negotiated),
		cmocka_unit_test(test_device_reset),
		cmocka_unit_test(test_stop_beside_it),
	};

	return cmocka_run_group_tests_name("virtio_queue_reset", tests, NULL,
					   NULL);
}
