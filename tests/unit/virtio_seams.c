/* SPDX-License-Identifier: MIT */
/*
 * What the core says and asks at its seams on the way: the used ring that was
 * written, a configuration change that is told once, room that is not there
 * when a queue is taken over.
 */
#include "lib/model_blk.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtio/transport.h"

/* A memory that counts what it is told of the used ring. */
struct telling {
	struct model_blk m;
	struct guest_memory_ops ops;
	const void *base;
	uint64_t len;
	unsigned int told;
	bool no_room;
};

static void written(struct guest_memory *gm, const void *base, uint64_t len)
{
	struct telling *t = (struct telling *)gm;

	t->base = base;
	t->len = len;
	t->told++;
}

static int map(struct guest_memory *gm, const struct guest_range *ranges,
	       unsigned int n, unsigned int readable, struct virtio_iov *iov,
	       unsigned int max, unsigned int *split)
{
	struct telling *t = (struct telling *)gm;

	if (t->no_room)
		return -EAGAIN;
	return model_map(gm, ranges, n, readable, iov, max, split);
}

static void start(struct telling *t, struct model_setup setup)
{
	memset(t, 0, sizeof(*t));
	model_blk_start(&t->m, setup);
	t->ops = model_memory_ops;
	t->ops.written = written;
	t->ops.map = map;
	t->m.mem.memory.ops = &t->ops;
}

/* Elements, index, flags and avail_event: each store into it is told. */
static void test_written_used_ring_is_told(void **state)
{
	const struct model_setup by_flag = {
		.refused = VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX),
	};
	struct telling t;
	struct virtqueue *q = &t.m.blk.queue[0].vq;

	(void)state;
	start(&t, by_flag);
	model_request(&t.m, 0, t.m.heap, VIRTIO_BLK_T_IN, 0, 512);
	assert_int_equal(model_serve(&t.m, 0), 1);
	assert_int_equal(t.told, 1);
	assert_ptr_equal(t.base, q->used);
	assert_int_equal(t.len, vring_used_bytes(q->size));
	virtqueue_publish(q);
	assert_int_equal(t.told, 1);
	virtqueue_notify_off(q);
	assert_int_equal(t.told, 2);
	virtqueue_notify_on(q);
	assert_int_equal(t.told, 3);
	model_blk_finish(&t.m);
}

static void test_config_change_is_told_once(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ 0 });
	assert_false(virtio_device_take_config_change(dev));
	virtio_device_needs_reset(dev);
	assert_true(virtio_device_config_changed(dev));
	assert_true(virtio_device_take_config_change(dev));
	assert_false(virtio_device_take_config_change(dev));
	/* It needs the reset already: there is nothing new to tell. */
	virtio_device_needs_reset(dev);
	assert_false(virtio_device_take_config_change(dev));
	model_blk_finish(&m);
}

/* By the device's own interface, which vhost-user uses without registers. */
static void test_queue_that_is_not_there(void **state)
{
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int queue = 2; queue < 40; queue++) {
		assert_int_equal(virtio_device_set_ready(dev, queue, true),
				 VIRTIO_DONE);
		assert_int_equal(virtio_device_set_ready(dev, queue, false),
				 VIRTIO_DONE);
		assert_int_equal(dev->state->stopping, 0);
	}
	assert_int_equal(model_get(dev, VIRTIO_MMIO_VENDOR_ID), 0x4b445658);
	model_blk_finish(&m);
}

/* Nothing will make room later: the request is ended without its status. */
static void test_taken_over_without_room(void **state)
{
	struct telling t;
	struct virtio_blk_queue *bq = &t.m.blk.queue[0];
	struct vring_used_elem elem;
	uint64_t status;

	(void)state;
	start(&t, (struct model_setup){ 0 });
	status = model_request(&t.m, 0, t.m.heap, VIRTIO_BLK_T_OUT, 0, 512);
	assert_non_null(virtio_blk_pop(bq));
	model_unmap(&t.m.mem.memory, bq->slots[t.m.ring[0].avail->ring[0]].iov,
		    t.m.mem.maps->n, t.m.mem.maps->split);
	/* The process that popped it is gone. */
	assert_int_equal(virtqueue_recover(&bq->vq), 1);
	t.no_room = true;
	assert_null(virtio_blk_repop(bq));
	t.no_room = false;
	virtqueue_publish(&bq->vq);
	assert_true(model_used(&t.m.ring[0], &elem));
	assert_int_equal(elem.len, 0);
	assert_int_equal(*model_byte(&t.m, status), 0xee);
	assert_int_equal(bq->vq.in_flight, 0);
	model_blk_finish(&t.m);
}

/* ---- what the two sides of a seam owe each other ------------------------- */

/* An implementer that answers as the case says. */
static int answer, answer_split;

static int answer_map(struct guest_memory *gm, const struct guest_range *ranges,
		      unsigned int n, unsigned int readable,
		      struct virtio_iov *iov, unsigned int max,
		      unsigned int *split)
{
	(void)gm, (void)ranges, (void)n, (void)readable, (void)iov, (void)max;
	*split = (unsigned int)answer_split;
	return answer;
}

static void answer_unmap(struct guest_memory *gm, const struct virtio_iov *iov,
			 unsigned int n, unsigned int split)
{
	(void)gm, (void)iov, (void)n, (void)split;
}

static void notify_queue(struct transport *transport, unsigned int queue)
{
	(void)transport, (void)queue;
}

static const struct guest_memory_ops answer_ops = {
	.map = answer_map,
	.unmap = answer_unmap,
	.map_ring = model_map_ring,
	.unmap_ring = model_unmap_ring,
	.written = written,
};

static struct guest_memory answering = { .ops = &answer_ops };

static int map_with(unsigned int n, unsigned int readable, unsigned int max,
		    int pieces, int split)
{
	const struct guest_range ranges[2] = { { 0, 1 }, { 4096, 1 } };
	struct virtio_iov iov[4];
	unsigned int out;

	answer = pieces;
	answer_split = split;
	return guest_memory_map(&answering, ranges, n, readable, iov, max,
				&out);
}

static void use_map(int wrong)
{
	map_with(wrong == 1 ? 0 : 2, wrong == 2 ? 3 : wrong != 1,
		 wrong == 3 ? 0 : 4,
		 wrong == 4 ? 5 :
		 wrong == 5 ? 0 :
		 wrong == 6 ? -EINVAL :
			      2,
		 wrong == 7 ? 3 : 1);
}

static void use_others(int wrong)
{
	const struct transport_ops ops = { .notify_queue = notify_queue };
	struct transport transport = { &ops };
	struct virtio_iov iov[2] = { { iov, 1 }, { iov, 1 } };

	if (wrong == 1)
		guest_memory_unmap(&answering, iov, 0, 0);
	if (wrong == 2)
		guest_memory_unmap(&answering, iov, 1, 2);
	if (wrong == 3)
		guest_memory_map_ring(&answering, 0, 0);
	if (wrong == 4)
		guest_memory_unmap_ring(&answering, NULL, 16);
	if (wrong == 5)
		guest_memory_written(&answering, iov, 0);
	transport_notify_queue(&transport, wrong == 6 ? VIRTIO_QUEUES_MAX : 15);
	guest_memory_unmap(&answering, iov, 2, 1);
}

/* How a process ends that does so: 0, or the signal of an assertion. */
static int end_of(void (*use)(int wrong), int wrong)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		use(wrong);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_seams_assert_what_is_owed(void **state)
{
	(void)state;
	assert_int_equal(end_of(use_map, 0), 0);
	for (int wrong = 1; wrong <= 7; wrong++)
		assert_int_equal(end_of(use_map, wrong), SIGABRT);
	assert_int_equal(end_of(use_others, 0), 0);
	for (int wrong = 1; wrong <= 6; wrong++)
		assert_int_equal(end_of(use_others, wrong), SIGABRT);
	/* What an implementer may say. */
	assert_int_equal(map_with(2, 1, 4, -EFAULT, 9), -EFAULT);
	assert_int_equal(map_with(2, 1, 4, -E2BIG, 9), -E2BIG);
	assert_int_equal(map_with(2, 1, 4, -EAGAIN, 9), -EAGAIN);
	assert_int_equal(map_with(2, 2, 4, 4, 4), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_used_ring_is_told),
		cmocka_unit_test(test_config_change_is_told_once),
		cmocka_unit_test(test_queue_that_is_not_there),
		cmocka_unit_test(test_taken_over_without_room),
		cmocka_unit_test(test_seams_assert_what_is_owed),
	};

	return cmocka_run_group_tests_name("virtio_seams", tests, NULL, NULL);
}
