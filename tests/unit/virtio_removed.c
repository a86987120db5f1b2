/* SPDX-License-Identifier: MIT */
/*
 * Ends that come while requests are under way: a device that is taken away from
 * its driver, queues that nobody needs any more, and a driver that goes over to
 * write-through.
 */
#include "lib/model_request.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WRITEBACK \
	(VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, writeback))

static const struct model_setup ranges = { .discard = true };

/* A write of a sector, popped and not completed. */
static struct block_request *under_way(struct model_blk *m, unsigned int queue,
				       uint32_t type, uint64_t *status)
{
	*status = model_request(m, queue, m->heap + queue * 4 * MODEL_PAGE,
				type, 1, 512);
	return virtio_blk_pop(&m->blk.queue[queue]);
}

/* A list of `n` ranges of zeroes, a sector each. */
static struct block_request *list_under_way(struct model_blk *m, unsigned int n,
					    uint64_t *status)
{
	const struct model_buf bufs[] = {
		{ m->heap, 16, false },
		{ m->heap + MODEL_PAGE,
		  n * (uint32_t)sizeof(struct virtio_blk_segment), false },
		{ m->heap + 100, 1, true },
	};

	model_header(m, m->heap, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	for (unsigned int i = 0; i < n; i++) {
		const struct virtio_blk_segment s = { i, 1, 0 };

		memcpy(model_at(&m->mem, bufs[1].addr + i * sizeof(s),
				sizeof(s)),
		       &s, sizeof(s));
	}
	*model_byte(m, m->heap + 100) = 0xee;
	*status = m->heap + 100;
	model_offer(&m->ring[0], bufs, 3);
	return virtio_blk_pop(&m->blk.queue[0]);
}

/* ---- a device that is removed ---- */

static void test_reads_as_no_device(void **state)
{
	struct model_blk m;

	(void)state;
	model_blk_start(&m, ranges);
	virtio_device_remove(&m.blk.dev);
	for (uint64_t at = 0; at < VIRTIO_MMIO_WINDOW_SIZE; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			assert_true(virtio_mmio_read(&m.blk.dev, at, size) ==
				    UINT64_MAX);
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

static void test_nothing_has_an_effect(void **state)
{
	static const uint32_t values[] = { 0, 1, 0x8f, UINT32_MAX };
	struct virtio_device_state before;
	struct virtio_blk_config config;
	struct model_blk m;

	(void)state;
	for (unsigned int legacy = 0; legacy < 2; legacy++) {
		model_blk_start(&m, (struct model_setup){ .legacy = legacy });
		virtio_device_remove(&m.blk.dev);
		before = *m.blk.dev.state;
		config = m.blk.state->config;
		for (uint64_t at = 0; at < VIRTIO_MMIO_WINDOW_SIZE; at++)
			for (size_t v = 0; v < COUNT(values); v++)
				for (unsigned int n = 1; n <= 8; n *= 2)
					assert_int_equal(virtio_mmio_write(
								 &m.blk.dev, at,
								 n, values[v]),
							 VIRTIO_DONE);
		assert_memory_equal(&before, m.blk.dev.state, sizeof(before));
		assert_memory_equal(&config, &m.blk.state->config,
				    sizeof(config));
		assert_false(virtio_blk_take_flush(&m.blk));
		model_blk_finish(&m);
	}
}

static void test_takes_no_chain(void **state)
{
	uint64_t status;
	struct model_blk m;

	(void)state;
	model_blk_start(&m, ranges);
	status = model_request(&m, 0, m.heap, VIRTIO_BLK_T_OUT, 1, 512);
	virtio_device_remove(&m.blk.dev);
	assert_false(virtio_device_live(&m.blk.dev));
	assert_int_equal(model_serve(&m, 0), 0);
	assert_int_equal(*model_byte(&m, status), 0xee);
	model_blk_finish(&m);
}

/* Who gives the memory to others waits for all queues; nobody else does. */
static void test_ends_wait(void **state)
{
	static const uint64_t ends[] = {
		VIRTIO_MMIO_STATUS,
		VIRTIO_MMIO_QUEUE_READY,
		VIRTIO_MMIO_QUEUE_RESET,
	};
	struct block_request *req[2];
	struct model_blk m;
	struct virtio_device *dev = &m.blk.dev;
	uint64_t status;

	(void)state;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int q = 0; q < 2; q++)
		req[q] = under_way(&m, q, VIRTIO_BLK_T_OUT, &status);
	virtio_device_remove(dev);
	for (unsigned int q = 0; q < 2; q++) {
		for (size_t i = 0; i < COUNT(ends); i++)
			assert_int_equal(model_set(dev, ends[i], 0),
					 VIRTIO_WAIT);
		assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_NOTIFY, 0),
				 VIRTIO_DONE);
		assert_false(virtio_device_settle(dev));
		model_run(&m, req[q]);
		virtqueue_publish(&m.blk.queue[q].vq);
	}
	assert_true(virtio_device_settle(dev));
	model_memory_check_idle(&m.mem);
	for (size_t i = 0; i < COUNT(ends); i++)
		assert_int_equal(model_set(dev, ends[i], 0), VIRTIO_DONE);
	model_blk_finish(&m);
}

/* A driver that waits already goes on waiting. */
static void test_removed_during_a_reset(void **state)
{
	struct model_blk m;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	req = under_way(&m, 0, VIRTIO_BLK_T_OUT, &status);
	assert_int_equal(model_set(&m.blk.dev, VIRTIO_MMIO_STATUS, 0),
			 VIRTIO_WAIT);
	virtio_device_remove(&m.blk.dev);
	assert_false(virtio_device_settle(&m.blk.dev));
	model_run(&m, req);
	assert_true(virtio_device_settle(&m.blk.dev));
	assert_false(virtio_device_live(&m.blk.dev));
	model_memory_check_idle(&m.mem);
	model_blk_finish(&m);
}

/* ---- queues that nobody needs any more ---- */

static void end_status(struct virtio_device *dev)
{
	assert_int_equal(model_set(dev, VIRTIO_MMIO_STATUS, 0), VIRTIO_WAIT);
}

static void end_ready(struct virtio_device *dev)
{
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_READY, 0),
			 VIRTIO_WAIT);
}

static void end_queue_reset(struct virtio_device *dev)
{
	model_set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(model_set(dev, VIRTIO_MMIO_QUEUE_RESET, 1),
			 VIRTIO_WAIT);
}

/* A long list ends with the range under way, and its engine may end that. */
static void test_lists_end_early(void **state)
{
	static void (*const ends[])(struct virtio_device * dev) = {
		end_status,
		end_ready,
		end_queue_reset,
		virtio_device_remove,
		virtio_device_abandon,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		struct model_blk m;
		struct block_request *req, *other;
		uint64_t status, other_status;

		model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
		req = list_under_way(&m, 32, &status);
		other = under_way(&m, 1, VIRTIO_BLK_T_IN, &other_status);
		assert_false(*req->stop);
		ends[i](&m.blk.dev);
		assert_true(*req->stop);
		/* One queue's end is not another's. */
		assert_int_equal(virtqueue_is_abandoned(&m.blk.queue[1].vq),
				 ends[i] != end_ready &&
					 ends[i] != end_queue_reset);
		req->result = 0;
		model_move(&m, req);
		assert_true(virtio_blk_complete(req));
		assert_int_equal(m.ranges, 1);
		assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_IOERR);
		model_run(&m, other);
		model_blk_finish(&m);
	}
}

/* The last range has been done: that is a success. */
static void test_list_is_done_anyway(void **state)
{
	struct model_blk m;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	req = list_under_way(&m, 1, &status);
	end_status(&m.blk.dev);
	assert_true(virtio_blk_complete(req));
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_OK);
	model_blk_finish(&m);
}

/* A new start of the queue is not abandoned. */
static void test_new_start(void **state)
{
	struct model_blk m;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	virtio_device_abandon(&m.blk.dev);
	model_blk_restart(&m);
	req = list_under_way(&m, 8, &status);
	assert_false(*req->stop);
	model_run(&m, req);
	assert_int_equal(m.ranges, 8);
	model_blk_finish(&m);
}

/* What is left stays noted, and is given to the next process. */
static void test_left_in_flight(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct model_blk m;
		struct virtqueue *vq = &m.blk.queue[0].vq;
		struct virtq_rings rings;
		struct virtq_chain chain;
		struct vring_used_elem elem;
		struct block_request *req;
		uint64_t status, features;
		uint16_t size;
		uint32_t base;

		model_blk_start(&m, (struct model_setup){ .packed = packed });
		vq->leaves = true;
		req = list_under_way(&m, 8, &status);
		/* That it failed is an answer, unless it was abandoned. */
		virtio_device_abandon(&m.blk.dev);
		req->result = 0;
		assert_true(virtio_blk_complete(req));
		assert_false(virtqueue_publish(vq));
		assert_false(model_used(&m.ring[0], &elem));
		assert_int_equal(*model_byte(&m, status), 0xee);
		assert_int_equal(vq->in_flight, 0);
		rings = vq->rings;
		size = vq->size;
		base = virtqueue_base(vq);
		features = virtio_device_features(&m.blk.dev);
		virtqueue_stop(vq);
		assert_int_equal(virtqueue_start(vq, &rings, size, features,
						 base, m.blk.dev.inflight[0]),
				 0);
		assert_int_equal(virtqueue_recover(vq), 1);
		assert_int_equal(virtqueue_repop(vq, &chain), 1);
		virtqueue_push(vq, chain.head, 0);
		virtqueue_publish(vq);
		assert_true(model_used(&m.ring[0], &elem));
		model_blk_finish(&m);
	}
}

/*
 * Another thread is about to abandon the queue, and of its two stores the one
 * behind is seen already. The area is shared, so what is in it says nothing.
 */
static void test_seen_half_abandoned(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct model_blk m;
		struct virtqueue *vq = &m.blk.queue[0].vq;
		struct block_request *req;
		uint64_t status;

		model_blk_start(&m, (struct model_setup){ .packed = packed });
		vq->leaves = true;
		req = list_under_way(&m, 8, &status);
		__atomic_store_n(&vq->stop, true, __ATOMIC_RELAXED);
		req->result = 0;
		assert_false(virtio_blk_complete(req));
		req->result = -ECANCELED;
		assert_false(virtio_blk_complete(req));
		virtqueue_abandon(vq);
		assert_true(__atomic_load_n(req->stop, __ATOMIC_RELAXED));
		req->result = -ECANCELED;
		assert_true(virtio_blk_complete(req));
		assert_int_equal(vq->in_flight, 0);
		assert_int_equal(*model_byte(&m, status), 0xee);
		model_blk_finish(&m);
	}
}

/* ... or only the one before: it stays noted all the same. */
static void test_seen_abandoned_before_stop(void **state)
{
	struct model_blk m;
	struct virtqueue *vq = &m.blk.queue[0].vq;
	struct vring_used_elem elem;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	vq->leaves = true;
	req = list_under_way(&m, 8, &status);
	__atomic_store_n(&vq->abandoned, true, __ATOMIC_RELAXED);
	req->result = 0;
	assert_true(virtio_blk_complete(req));
	virtqueue_publish(vq);
	assert_false(model_used(&m.ring[0], &elem));
	assert_int_equal(vq->in_flight, 0);
	assert_int_equal(*model_byte(&m, status), 0xee);
	model_blk_finish(&m);
}

/* A read or write behind the list, of the same queue. */
static struct block_request *behind(struct model_blk *m, uint64_t *status)
{
	*status = model_request(m, 0, m->heap + 8 * MODEL_PAGE, VIRTIO_BLK_T_IN,
				1, 512);
	return virtio_blk_pop(&m->blk.queue[0]);
}

/* The engine has stopped in the middle of a range: whether it goes on. */
static bool goes_on_after(struct block_request *req, int result)
{
	req->result = result;
	return !virtio_blk_complete(req);
}

/* As if it had not been popped: at the end of a range, and within one. */
static void test_given_back(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		const struct model_setup setup = { .packed = i & 1 };
		struct model_blk m;
		struct virtqueue *vq = &m.blk.queue[0].vq;
		struct vring_used_elem elem;
		struct block_request *req;
		uint64_t status;
		uint32_t base;

		model_blk_start(&m, setup);
		base = virtqueue_base(vq);
		req = list_under_way(&m, 8, &status);
		virtqueue_wind_up(vq);
		assert_true(__atomic_load_n(req->stop, __ATOMIC_RELAXED));
		assert_false(goes_on_after(req, i & 2 ? -ECANCELED : 0));
		assert_int_equal(vq->in_flight, 0);
		assert_false(virtqueue_publish(vq));
		assert_int_equal(*model_byte(&m, status), 0xee);
		assert_int_equal(virtqueue_base(vq), base);
		assert_null(m.mem.maps);
		/* The next one finds it in the ring. */
		req = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(req);
		assert_false(goes_on_after(req, -EIO));
		virtqueue_publish(vq);
		assert_true(model_used(&m.ring[0], &elem));
		model_blk_finish(&m);
	}
}

/*
 * What was popped after it has been answered: the ring cannot tell of it any
 * more, so it is finished.
 */
static void test_not_given_back(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct model_blk m;
		struct virtqueue *vq = &m.blk.queue[0].vq;
		struct block_request *list, *read;
		uint64_t status, other;
		unsigned int n = 0;

		model_blk_start(&m, (struct model_setup){ .packed = packed });
		list = list_under_way(&m, 4, &status);
		read = behind(&m, &other);
		virtqueue_wind_up(vq);
		model_run(&m, read);
		/* The range that was stopped is done again, without a stop. */
		assert_true(goes_on_after(list, -ECANCELED));
		assert_int_equal(list->offset, 0);
		assert_false(__atomic_load_n(list->stop, __ATOMIC_RELAXED));
		while (goes_on_after(list, 0))
			n++;
		assert_int_equal(n, 3);
		assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_OK);
		model_blk_finish(&m);
	}
}

/* What can be is given back also where everything is given up. */
static void test_given_back_when_given_up(void **state)
{
	struct model_blk m;
	struct block_request *list;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	list = list_under_way(&m, 4, &status);
	virtqueue_wind_up(&m.blk.queue[0].vq);
	virtio_device_abandon(&m.blk.dev);
	assert_false(goes_on_after(list, -ECANCELED));
	assert_int_equal(m.blk.queue[0].vq.in_flight, 0);
	assert_int_equal(*model_byte(&m, status), 0xee);
	model_blk_finish(&m);
}

/* ... and anything else is finished, unless everything is given up then. */
static void test_given_up_while_wound_up(void **state)
{
	struct model_blk m;
	struct block_request *list, *read;
	uint64_t status, other;

	(void)state;
	model_blk_start(&m, ranges);
	list = list_under_way(&m, 4, &status);
	read = behind(&m, &other);
	virtqueue_wind_up(&m.blk.queue[0].vq);
	model_run(&m, read);
	assert_true(goes_on_after(list, -ECANCELED));
	virtio_device_abandon(&m.blk.dev);
	assert_true(__atomic_load_n(list->stop, __ATOMIC_RELAXED));
	assert_false(goes_on_after(list, -ECANCELED));
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_IOERR);
	model_blk_finish(&m);
}

/* All entries of the in-flight area are free, each of them once. */
static void all_are_free(const struct virtqueue *q)
{
	bool seen[16] = { false };
	uint16_t entry = q->free_head;

	assert_in_range(q->size, 1, 16);
	for (unsigned int i = 0; i < q->size; i++) {
		assert_true(entry < q->size && !seen[entry]);
		seen[entry] = true;
		entry = q->next[entry];
	}
}

/* The younger first, and then the older, which is the last one by then. */
static void test_row_is_given_back(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct model_blk m;
		struct virtqueue *vq = &m.blk.queue[0].vq;
		struct block_request *first, *a, *b;
		uint64_t status, other;
		uint32_t base;

		model_blk_start(&m, (struct model_setup){ .packed = packed,
							  .queue_size = 16 });
		/* Its entries of the in-flight area become free in between. */
		first = behind(&m, &other);
		a = list_under_way(&m, 4, &status);
		b = list_under_way(&m, 4, &status);
		virtqueue_wind_up(vq);
		assert_true(goes_on_after(a, 0));
		model_run(&m, first);
		virtqueue_publish(vq);
		base = virtqueue_base(vq);
		assert_false(goes_on_after(b, 0));
		assert_false(goes_on_after(a, 0));
		assert_int_equal(vq->in_flight, 0);
		assert_int_not_equal(virtqueue_base(vq), base);
		if (packed)
			all_are_free(vq);
		/* Both can be had again. */
		a = virtio_blk_pop(&m.blk.queue[0]);
		b = virtio_blk_pop(&m.blk.queue[0]);
		assert_non_null(a);
		assert_non_null(b);
		assert_int_equal(virtqueue_base(vq), base);
		virtqueue_abandon(vq);
		assert_false(goes_on_after(a, 0));
		assert_false(goes_on_after(b, 0));
		model_blk_finish(&m);
	}
}

static void test_failure_is_answered(void **state)
{
	struct model_blk m;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	m.blk.queue[0].vq.leaves = true;
	req = list_under_way(&m, 8, &status);
	virtio_device_abandon(&m.blk.dev);
	req->result = -EIO;
	assert_true(virtio_blk_complete(req));
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_IOERR);
	model_blk_finish(&m);
}

/* ---- going over to write-through ---- */

static void write_through(struct model_blk *m)
{
	assert_int_equal(virtio_mmio_write(&m->blk.dev, WRITEBACK, 1, 0),
			 VIRTIO_DONE);
	assert_true(virtio_blk_take_flush(&m->blk));
}

/* What was under way is made stable before it is answered. */
static void test_writes_under_way(void **state)
{
	static const int results[] = { 0, -EIO };

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(results); i++) {
		const int result = results[i / 2];
		struct model_blk m;
		struct block_request *req;
		uint64_t status;

		model_blk_start(&m, ranges);
		req = i % 2 ? list_under_way(&m, 1, &status) :
			      under_way(&m, 0, VIRTIO_BLK_T_OUT, &status);
		assert_false(req->flags & BLOCK_STABLE);
		write_through(&m);
		req->result = 0;
		assert_false(virtio_blk_complete(req));
		assert_int_equal(req->op, BLOCK_FLUSH);
		model_check_block(&m, req);
		assert_int_equal(*model_byte(&m, status), 0xee);
		req->result = result;
		assert_true(virtio_blk_complete(req));
		assert_int_equal(*model_byte(&m, status),
				 result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
		model_blk_finish(&m);
	}
}

/* What cannot gain by it is not flushed. */
static void test_nothing_to_make_stable(void **state)
{
	struct model_blk m;
	struct block_request *req;
	uint64_t status;

	(void)state;
	model_blk_start(&m, ranges);
	req = under_way(&m, 0, VIRTIO_BLK_T_IN, &status);
	write_through(&m);
	assert_true(virtio_blk_complete(req));
	req = under_way(&m, 0, VIRTIO_BLK_T_OUT, &status);
	assert_true(req->flags & BLOCK_STABLE);
	assert_true(virtio_blk_complete(req));
	model_blk_finish(&m);
	model_blk_start(&m, ranges);
	req = under_way(&m, 0, VIRTIO_BLK_T_OUT, &status);
	write_through(&m);
	req->result = -ENOSPC;
	assert_true(virtio_blk_complete(req));
	assert_int_equal(*model_byte(&m, status), VIRTIO_BLK_S_IOERR);
	model_blk_finish(&m);
}

/* The mode can be told and set by who keeps it elsewhere. */
static void test_mode(void **state)
{
	struct model_blk m;

	(void)state;
	for (unsigned int through = 0; through < 2; through++) {
		model_blk_start(
			&m, (struct model_setup){ .write_through = through });
		assert_int_equal(virtio_blk_is_writeback(&m.blk), !through);
		virtio_blk_set_mode(&m.blk, VIRTIO_BLK_MODE_WRITE_THROUGH);
		assert_false(virtio_blk_is_writeback(&m.blk));
		/* The process before may not have come to its flush. */
		assert_int_equal(virtio_blk_take_flush(&m.blk), !through);
		virtio_blk_set_mode(&m.blk, VIRTIO_BLK_MODE_WRITEBACK);
		assert_true(virtio_blk_is_writeback(&m.blk));
		virtio_blk_set_mode(&m.blk, VIRTIO_BLK_MODE_START);
		assert_int_equal(virtio_blk_is_writeback(&m.blk), !through);
		virtio_mmio_write(&m.blk.dev, WRITEBACK, 1, 0);
		assert_false(virtio_blk_is_writeback(&m.blk));
		model_blk_restart(&m);
		assert_int_equal(virtio_blk_is_writeback(&m.blk), !through);
		assert_false(m.blk.switched);
		model_blk_finish(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_as_no_device),
		cmocka_unit_test(test_nothing_has_an_effect),
		cmocka_unit_test(test_takes_no_chain),
		cmocka_unit_test(test_ends_wait),
		cmocka_unit_test(test_removed_during_a_reset),
		cmocka_unit_test(test_lists_end_early),
		cmocka_unit_test(test_list_is_done_anyway),
		cmocka_unit_test(test_new_start),
		cmocka_unit_test(test_left_in_flight),
		cmocka_unit_test(test_seen_half_abandoned),
		cmocka_unit_test(test_seen_abandoned_before_stop),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_not_given_back),
		cmocka_unit_test(test_given_back_when_given_up),
		cmocka_unit_test(test_given_up_while_wound_up),
		cmocka_unit_test(test_row_is_given_back),
		cmocka_unit_test(test_failure_is_answered),
		cmocka_unit_test(test_writes_under_way),
		cmocka_unit_test(test_nothing_to_make_stable),
		cmocka_unit_test(test_mode),
	};

	return cmocka_run_group_tests_name("virtio_removed", tests, NULL, NULL);
}
