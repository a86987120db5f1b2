/* SPDX-License-Identifier: MIT */
/*
 * A disk ends while a request of its first queue waits for one of its last: the
 * two write the same block of the store.
 */
#include "lib/model_disk.h"

#include "block/gate.h"

enum { ALIGN = 4096 };

static void test_queues_wait_for_each_other(void **state)
{
	struct disk_options options = { .engine = "auto",
					.queues = 2,
					.queue_size = RING };
	uint8_t *memory = aligned_alloc(ALIGN, ALIGN);
	struct virtio_iov whole = { memory, ALIGN }, part = { memory, 512 };
	char error[BLOCK_ERROR_MAX] = "";
	struct end e = { .transport.ops = &end_ops };
	struct disk *disk = &e.disk;
	struct disk_queue *dq = disk->queue;
	struct model_memory mem;
	struct loop loop;

	(void)state;
	alarm(30);
	memset(memory, 0, ALIGN);
	assert_int_equal(loop_init(&loop), 0);
	model_memory_init(&mem, MEMORY);
	make_file(&e);
	options.file = e.file;
	if (model_disk_open(disk, &e.image, &options, &mem.memory, error))
		fail_msg("%s", error);
	if (!disk->image->direct) {
		model_disk_close(disk);
		skip();
	}
	/* As if the store's blocks were larger. */
	if (!disk->image->gate)
		assert_int_equal(block_gate_open(disk->image), 0);
	disk->image->dio_align = ALIGN;
	assert_int_equal(disk_serve(disk, &loop, &e.transport), 0);

	dq[1].flush = (struct block_request){
		.op = BLOCK_WRITE, .niov = 1, .length = ALIGN, .iov = &whole
	};
	dq[0].flush = (struct block_request){
		.op = BLOCK_WRITE, .niov = 1, .length = 512, .iov = &part
	};
	for (int i = 1; i >= 0; i--) {
		dq[i].flushing = true;
		block_engine_queue(dq[i].engine, &dq[i].flush);
		block_engine_commit(dq[i].engine);
	}
	disk_drain(disk);
	assert_false(dq[0].flushing || dq[1].flushing);
	assert_int_equal(dq[0].flush.result | dq[1].flush.result, 0);
	model_disk_close(disk);
	unlink(e.file);
	loop_finish(&loop);
	model_memory_finish(&mem);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
