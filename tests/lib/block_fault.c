/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/block_fault.h"

int refuse_wait; /* submissions that are let through first */

int refuse_count; /* submissions that are refused then */

int refuse_error;

unsigned int short_to; /* bytes moved by a transfer, 0: all */

static int sync_error; /* of the next fdatasync */

int calls, stable, syncs;

struct block_image image;

struct block_engine *engine;

unsigned char *content;

unsigned char *memory;

/* Called one at a time, and looked at when the flush is reaped. */
int __wrap_fdatasync(int fd)
{
	syncs++;
	errno = sync_error;
	sync_error = 0;
	return errno ? -1 : __real_fdatasync(fd);
}

bool fault_refuses(void)
{
	calls++;
	if (refuse_wait > 0) {
		refuse_wait--;
		return false;
	}
	if (refuse_count == 0)
		return false;
	refuse_count--;
	return true;
}

void fault_open(const char *name, enum block_cache cache)
{
	refuse_wait = refuse_count = calls = stable = syncs = 0;
	short_to = sync_error = 0;
	content = harness_create("image", SIZE);
	memory = aligned_alloc(4096, SIZE);
	memset(memory, 0, SIZE);
	harness_open_image(&image, "image", cache);
	engine = harness_open_engine(name, &image, N);
}

void fault_close(void)
{
	harness_check_idle(engine);
	block_engine_close(engine);
	whole_close(&image);
	free(memory);
	free(content);
}

unsigned int do_many(enum block_op op, unsigned int count, int error)
{
	struct block_request *req = calloc(count, sizeof(*req)), *done;
	struct virtio_iov *iov = calloc(count, sizeof(*iov));
	unsigned int i, n = 0, failed = 0;

	for (i = 0; i < count; i++) {
		unsigned int at = (N - 1 - i % N) * BLOCK;

		iov[i] = (struct virtio_iov){ memory + at, BLOCK };
		req[i] = (struct block_request){
			.op = (uint8_t)op,
			.niov = 1,
			.length = BLOCK,
			.offset = at,
			.iov = &iov[i],
		};
		block_engine_queue(engine, &req[i]);
	}
	block_engine_commit(engine);
	while (n < count)
		for (done = harness_wait(engine); done; done = done->next) {
			n++;
			if (done->result) {
				assert_int_equal(done->result, error);
				failed++;
			}
		}
	free(iov);
	free(req);
	return failed;
}

unsigned int do_all(enum block_op op, int error)
{
	return do_many(op, N, error);
}

void check_all_good(void)
{
	assert_int_equal(do_all(BLOCK_READ, 0), 0);
	assert_memory_equal(memory, content, SIZE);
	harness_fill(memory, SIZE);
	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	harness_check("image", memory, SIZE);
	memcpy(content, memory, SIZE);
}

void check_short_pieces(void)
{
	struct virtio_iov iov[] = {
		{ memory, 1024 },
		{ memory + 1024, 4096 },
		{ memory + 5120, SIZE - 5120 },
	};
	struct block_request req = {
		.op = BLOCK_READ, .niov = 3, .length = SIZE, .iov = iov
	};

	memset(memory, 0, SIZE);
	assert_int_equal(harness_do(engine, &req), 0);
	assert_memory_equal(memory, content, SIZE);
}

void check_lasting_shortage(void)
{
	refuse_error = EAGAIN;
	refuse_count = 1000000;
	assert_int_equal(do_all(BLOCK_READ, -EIO), N);
	refuse_count = 0;
	check_all_good();
}

void check_flush(void)
{
	int direct = image.direct;

	assert_int_equal(do_all(BLOCK_WRITE, 0), 0);
	assert_int_equal(stable, 0);
	assert_int_equal(syncs, 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(harness_transfer(engine, BLOCK_WRITE, BLOCK_STABLE, 0,
					  memory, SIZE),
			 0);
	assert_int_equal(stable, direct);
	assert_int_equal(syncs, direct ? 1 : 2);
}

void check_sticky(const char *name)
{
	sync_error = ENOTCONN;
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), -EIO);
	harness_check_sticky(name, &image, engine);
}
