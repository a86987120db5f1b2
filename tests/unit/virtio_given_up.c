/* SPDX-License-Identifier: MIT */
/*
 * A device that processes end on is given up: it needs a reset, for each
 * process that follows, nothing of its rings is answered before that, and then
 * it is as new.
 */
#include "lib/model_adopt.h"

#include <string.h>

enum { UNTOUCHED = 0xff, NEEDS_RESET = VIRTIO_STATUS_NEEDS_RESET };

static struct virtio_state *area(struct model_blk *m)
{
	return m->state;
}

/* A read that the process has taken and has not answered. */
static uint64_t in_flight(struct model_blk *m, unsigned int queue)
{
	uint64_t status = model_request(m, queue, m->heap, VIRTIO_BLK_T_IN, 5,
					512);

	*model_byte(m, status) = UNTOUCHED;
	assert_non_null(virtio_blk_pop(&m->blk.queue[queue]));
	return status;
}

static void serves(struct model_blk *m)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t status = model_request(m, i, m->heap, VIRTIO_BLK_T_IN,
						3, 512);

		assert_int_equal(model_serve(m, i), 1);
		assert_int_equal(*model_byte(m, status), VIRTIO_BLK_S_OK);
	}
}

/* The next process adopts it, and gives it up. */
static void give_up(struct model_blk *m)
{
	const char *why = "";

	assert_int_equal(model_adopt(m, &why), 0);
	virtio_mmio_offer(&m->blk.dev, MODEL_WINDOW, MODEL_IRQ);
	virtio_device_give_up(&m->blk.dev);
	virtio_device_resume(&m->blk.dev);
}

static uint32_t status_of(struct model_blk *m)
{
	return (uint32_t)model_get(&m->blk.dev, VIRTIO_MMIO_STATUS);
}

/* Its registers answer, its driver is to be told, and no queue runs. */
static void check_given_up(struct model_blk *m, uint64_t status)
{
	struct virtio_device *dev = &m->blk.dev;
	struct vring_used_elem elem;

	assert_int_equal(status_of(m) & (NEEDS_RESET | VIRTIO_STATUS_DRIVER_OK),
			 NEEDS_RESET | VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(model_get(dev, VIRTIO_MMIO_DEVICE_ID), 2);
	assert_false(virtio_device_live(dev));
	assert_int_equal(m->mem.rings, 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(model_do_again(m, i), 0);
		assert_int_equal(model_serve(m, i), 0);
		assert_false(model_used(&m->ring[i], &elem));
	}
	assert_int_equal(*model_byte(m, status), UNTOUCHED);
}

static uint64_t start(struct model_blk *m, bool packed)
{
	uint64_t status;

	model_blk_start(m,
			(struct model_setup){ .nqueues = 2, .packed = packed });
	serves(m);
	for (unsigned int i = 0; i < 2; i++)
		while (model_used(&m->ring[i], &(struct vring_used_elem){ 0 }))
			continue;
	status = in_flight(m, 0);
	give_up(m);
	return status;
}

static void test_needs_reset(void **arg)
{
	struct model_blk m;
	uint64_t status = start(&m, *(bool *)*arg);

	assert_true(virtio_device_take_config_change(&m.blk.dev));
	check_given_up(&m, status);
	/* Nobody waits for what is never answered. */
	model_blk_restart(&m);
	assert_int_equal(status_of(&m) & NEEDS_RESET, 0);
	assert_int_equal(*model_byte(&m, status), UNTOUCHED);
	serves(&m);
	model_blk_finish(&m);
}

/* Which is not told of it. */
static void test_stays_for_the_next(void **arg)
{
	struct model_blk m;
	uint64_t status = start(&m, *(bool *)*arg);

	for (unsigned int i = 0; i < 3; i++) {
		model_go_on(&m);
		assert_true(virtio_device_take_config_change(&m.blk.dev));
		check_given_up(&m, status);
	}
	model_blk_restart(&m);
	model_go_on(&m);
	assert_false(virtio_device_is_given_up(&m.blk.dev));
	serves(&m);
	model_blk_finish(&m);
}

/* Who gave it up was killed between the two stores. */
static void test_half_given_up(void **arg)
{
	struct model_blk m;
	uint64_t status = start(&m, *(bool *)*arg);

	area(&m)->device.status &= ~(uint32_t)NEEDS_RESET;
	model_go_on(&m);
	check_given_up(&m, status);
	model_blk_finish(&m);
}

/* A driver that goes on all the same. */
static void test_without_a_reset(void **arg)
{
	struct model_blk m;
	uint64_t status = start(&m, *(bool *)*arg);
	struct virtio_device *dev = &m.blk.dev;

	model_set(dev, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_DRIVER_OK);
	check_given_up(&m, status);
	for (unsigned int i = 0; i < 2; i++) {
		model_set(dev, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
				 VIRTIO_DONE);
		assert_int_equal(model_get(dev, VIRTIO_MMIO_QUEUE_READY), 0);
		model_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	check_given_up(&m, status);
	model_blk_restart(&m);
	serves(&m);
	model_blk_finish(&m);
}

/* A chain of the same number is not blamed for those that were given up. */
static void test_deaths_are_forgotten(void **arg)
{
	struct model_blk m;
	struct block_request *req;

	start(&m, *(bool *)*arg);
	area(&m)->blk.resumed = 7;
	area(&m)->blk.alone = 1;
	area(&m)->blk.deaths = 3;
	model_go_on(&m);
	model_blk_restart(&m);
	assert_int_equal(virtio_blk_resumed(&m.blk), 1);
	in_flight(&m, 0);
	model_go_on(&m);
	assert_true(virtio_blk_repop_alone(&m.blk.queue[0], &req));
	assert_non_null(req);
	assert_int_equal(req->result, 0);
	model_run(&m, req);
	model_blk_finish(&m);
}

int main(void)
{
	static bool split = false, packed = true;
#define both(f)                                       \
	cmocka_unit_test_prestate(f, (void *)&split), \
		cmocka_unit_test_prestate(f, (void *)&packed)
	const struct CMUnitTest tests[] = {
		both(test_needs_reset),          both(test_stays_for_the_next),
		both(test_half_given_up),        both(test_without_a_reset),
		both(test_deaths_are_forgotten),
	};

	return cmocka_run_group_tests_name("virtio: given up", tests, NULL,
					   NULL);
}
