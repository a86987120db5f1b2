/* SPDX-License-Identifier: MIT */
/*
 * A request that ends each process which does it again is found, and the others
 * are done.
 */
#include "lib/model_adopt.h"

#include <errno.h>

enum {
	REQUESTS = 3,
	FIRST = 4, /* sector of the first request; the others follow */
	BAD = FIRST + 1,
	UNTOUCHED = 0xff,
	DEATHS = 3, /* before a request is not for the engine any more */
};

static uint64_t status[REQUESTS];

/* A device whose process has died with some reads in flight. */
static void start(struct model_blk *m, bool packed)
{
	model_blk_start(m, (struct model_setup){ .packed = packed,
						 .queue_size = 16 });
	for (unsigned int i = 0; i < REQUESTS; i++) {
		status[i] = model_request(m, 0, m->heap + i * MODEL_PAGE,
					  VIRTIO_BLK_T_IN, FIRST + i, 512);
		*model_byte(m, status[i]) = UNTOUCHED;
		assert_non_null(virtio_blk_pop(&m->blk.queue[0]));
	}
	model_go_on(m);
}

static struct block_request *next(struct model_blk *m)
{
	struct block_request *req;

	assert_true(virtio_blk_repop_alone(&m->blk.queue[0], &req));
	assert_non_null(req);
	return req;
}

/* To its end: answered, with this result, and shown. */
static void end_it(struct model_blk *m, struct block_request *req)
{
	if (req && req->result)
		assert_true(virtio_blk_complete(req));
	else if (req)
		model_run(m, req);
	virtqueue_publish(&m->blk.queue[0].vq);
	virtio_blk_alone_done(&m->blk);
}

static bool is_bad(const struct block_request *req)
{
	return req->offset == BAD * VIRTIO_BLK_SECTOR_SIZE;
}

/* A process that ends on one request: true if it came to the end of all. */
static bool live(struct model_blk *m, unsigned int *done)
{
	struct virtio_blk_queue *bq = &m->blk.queue[0];
	struct block_request *req;

	while (virtio_blk_repop_alone(bq, &req)) {
		if (req && is_bad(req) && req->result == 0)
			return false;
		end_it(m, req);
		++*done;
	}
	return true;
}

static void die(struct model_blk *m, unsigned int *done)
{
	for (unsigned int i = 0; i < DEATHS; i++) {
		assert_false(live(m, done));
		model_go_on(m);
	}
}

static void serves(struct model_blk *m)
{
	uint64_t at = model_request(m, 0, m->heap, VIRTIO_BLK_T_IN, 1, 512);

	assert_int_equal(model_serve(m, 0), 1);
	assert_int_equal(*model_byte(m, at), VIRTIO_BLK_S_OK);
}

static void all_used(struct model_blk *m)
{
	struct vring_used_elem elem;

	for (unsigned int i = 0; i < REQUESTS; i++)
		assert_true(model_used(&m->ring[0], &elem));
	assert_false(model_used(&m->ring[0], &elem));
}

/* ---- what ends a process ------------------------------------------------- */

/* As many processes as may, end on it; the next one answers it. */
static void test_bad_request(void **arg)
{
	struct model_blk m;
	unsigned int done = 0;

	start(&m, *(bool *)*arg);
	die(&m, &done);
	assert_int_equal(done, 1);
	assert_true(live(&m, &done));
	assert_int_equal(done, REQUESTS);
	all_used(&m);
	for (unsigned int i = 0; i < REQUESTS; i++)
		assert_int_equal(*model_byte(&m, status[i]),
				 FIRST + i == BAD ? VIRTIO_BLK_S_IOERR :
						    VIRTIO_BLK_S_OK);
	serves(&m);
	model_blk_finish(&m);
}

/* Processes that end before it is answered: by what the chain itself is. */
static void test_bad_chain(void **arg)
{
	struct model_blk m;
	struct block_request *req;
	unsigned int done = 0;

	start(&m, *(bool *)*arg);
	die(&m, &done);
	req = next(&m);
	assert_int_equal(req->result, -EIO);
	/* It ends on the answer as well: so it is not touched any more. */
	model_go_on(&m);
	assert_false(virtio_device_wants_reset(&m.blk.dev));
	assert_true(virtio_blk_repop_alone(&m.blk.queue[0], &req));
	assert_null(req);
	end_it(&m, NULL);
	assert_true(virtio_device_wants_reset(&m.blk.dev));
	/* Nor is what is behind it. */
	while (virtio_blk_repop_alone(&m.blk.queue[0], &req))
		assert_null(req);
	assert_int_equal(m.blk.queue[0].vq.in_flight, 0);
	assert_int_equal(*model_byte(&m, status[1]), UNTOUCHED);
	model_blk_restart(&m);
	serves(&m);
	model_blk_finish(&m);
}

/* Who ends between two requests is no reason to blame either. */
static void test_nobody_is_blamed(void **arg)
{
	struct model_blk m;
	unsigned int i;

	start(&m, *(bool *)*arg);
	for (i = 0; i < REQUESTS; i++) {
		struct block_request *req = next(&m);

		assert_int_equal(req->result, 0);
		end_it(&m, req);
		model_go_on(&m);
	}
	all_used(&m);
	for (i = 0; i < REQUESTS; i++)
		assert_int_equal(*model_byte(&m, status[i]), VIRTIO_BLK_S_OK);
	model_blk_finish(&m);
}

/* The same head of another queue is another chain. */
static void test_queues_are_told_apart(void **arg)
{
	struct model_blk m;
	struct block_request *req;

	(void)arg;
	model_blk_start(&m, (struct model_setup){ .nqueues = 2 });
	for (unsigned int q = 0; q < 2; q++) {
		model_request(&m, q, m.heap + q * MODEL_PAGE, VIRTIO_BLK_T_IN,
			      FIRST, 512);
		assert_non_null(virtio_blk_pop(&m.blk.queue[q]));
	}
	model_go_on(&m);
	assert_true(virtio_blk_repop_alone(&m.blk.queue[1], &req));
	model_go_on(&m);
	assert_true(virtio_blk_repop_alone(&m.blk.queue[0], &req));
	assert_int_equal(req->result, 0);
	model_run(&m, req);
	assert_int_equal(model_do_again(&m, 1), 1);
	model_blk_finish(&m);
}

/* ---- when one is careful ------------------------------------------------- */

static void test_processes_are_counted(void **arg)
{
	struct model_blk m;

	start(&m, *(bool *)*arg);
	for (unsigned int i = 1; i < 6; i++) {
		assert_int_equal(virtio_blk_resumed(&m.blk), i);
		model_go_on(&m);
	}
	virtio_blk_lasted(&m.blk);
	model_go_on(&m);
	assert_int_equal(virtio_blk_resumed(&m.blk), 1);
	model_do_again(&m, 0);
	model_blk_finish(&m);
}

static bool split = false, packed = true;

#define BOTH(test)                                       \
	cmocka_unit_test_prestate(test, (void *)&split), \
		cmocka_unit_test_prestate(test, (void *)&packed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_bad_request),
		BOTH(test_bad_chain),
		BOTH(test_nobody_is_blamed),
		BOTH(test_processes_are_counted),
		cmocka_unit_test(test_queues_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
