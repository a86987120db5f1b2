/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=io_uring_queue_init_params,--wrap=io_setup */
/*
 * The engine of a later queue is opened when the driver uses the queue, and
 * what was there for the first one may have run out: locked memory, the
 * system's AIO events, descriptors. Where the engine was not asked for by its
 * name, the queue gets the next best.
 */
#include "lib/model_disk.h"

#include <errno.h>
#include <libaio.h>
#include <liburing.h>

static int no_ring, no_aio; /* negative errnos */

int __real_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *params);
int __real_io_setup(int depth, io_context_t *context);
int __wrap_io_setup(int depth, io_context_t *context);

int __wrap_io_uring_queue_init_params(unsigned int entries,
				      struct io_uring *ring,
				      struct io_uring_params *params)
{
	return no_ring ?
		       no_ring :
		       __real_io_uring_queue_init_params(entries, ring, params);
}

int __wrap_io_setup(int depth, io_context_t *context)
{
	return no_aio ? no_aio : __real_io_setup(depth, context);
}

/* Serve queue 1 when there is not enough for its engine. */
static int later_queue(const char *engine, bool same)
{
	struct disk_options options = {
		.engine = engine,
		.queues = 2,
		.queue_size = RING,
	};
	char error[BLOCK_ERROR_MAX] = "";
	struct model_memory mem;
	struct loop loop;
	struct end e = { .transport.ops = &end_ops };
	struct disk *disk = &e.disk;
	int r;

	no_ring = no_aio = 0;
	assert_int_equal(loop_init(&loop), 0);
	model_memory_init(&mem, MEMORY);
	make_file(&e);
	options.file = e.file;
	if (model_disk_open(disk, &e.image, &options, &mem.memory, error))
		fail_msg("%s", error);
	assert_int_equal(disk_serve_queue(disk, 0, &loop, &e.transport), 0);
	no_ring = -ENOMEM;
	no_aio = -EAGAIN;
	r = disk_serve_queue(disk, 1, &loop, &e.transport);
	assert_int_equal(r == 0, disk->queue[1].engine != NULL);
	if (r == 0)
		assert_int_equal(!strcmp(disk->queue[0].engine->kind->name,
					 disk->queue[1].engine->kind->name),
				 same);
	model_disk_close(disk);
	unlink(e.file);
	loop_finish(&loop);
	model_memory_finish(&mem);
	return r;
}

static void test_falls_back(void **state)
{
	(void)state;
	assert_int_equal(later_queue("auto", false), 0);
	assert_int_equal(later_queue("threads", true), 0);
}

/* Asked for by its name it is that one or an error. */
static void test_by_name(void **state)
{
	(void)state;
	assert_int_equal(later_queue("io_uring", true), -ENOMEM);
	assert_int_equal(later_queue("libaio", true), -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_falls_back),
		cmocka_unit_test(test_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
