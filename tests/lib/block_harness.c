/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/block_harness.h"

char harness_dir[128];

int harness_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(harness_dir, sizeof(harness_dir), "%s/block-XXXXXX",
		 tmp && *tmp && strlen(tmp) < 100 ? tmp : "/tmp");
	alarm(HARNESS_TIMEOUT);
	return mkdtemp(harness_dir) ? 0 : -1;
}

int harness_teardown(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", harness_dir);
	return system(command);
}

const char *harness_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", harness_dir, name);
	return path;
}

uint32_t harness_random(void)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

void harness_fill(unsigned char *memory, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		memory[i] = (unsigned char)harness_random();
}

unsigned char *harness_create(const char *name, size_t size)
{
	unsigned char *content = malloc(size + 1);
	int fd = open(harness_path(name), O_CREAT | O_TRUNC | O_RDWR, 0600);

	assert_non_null(content);
	assert_true(fd >= 0);
	harness_fill(content, size);
	assert_int_equal(write(fd, content, size), size);
	/* So that a read is served from a clean page cache, at once. */
	assert_int_equal(fsync(fd), 0);
	close(fd);
	return content;
}

void harness_check(const char *name, const unsigned char *content, size_t size)
{
	unsigned char *now = malloc(size + 1);
	int fd = open(harness_path(name), O_RDONLY);

	assert_non_null(now);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, now, size + 1), size);
	assert_memory_equal(now, content, size);
	close(fd);
	free(now);
}

void harness_open_image(struct block_image *image, const char *name,
			enum block_cache cache)
{
	struct block_image_options options = {
		.file = harness_path(name),
		.cache = cache,
	};
	char error[BLOCK_ERROR_MAX] = "";
	int rc = whole_open(image, &options, error);

	if (rc)
		print_error("%s\n", error);
	assert_int_equal(rc, 0);
}

struct block_engine *harness_open_engine(const char *name,
					 struct block_image *image,
					 unsigned int depth)
{
	struct block_engine *engine = NULL;
	int rc = block_engine_open(&engine, name, image, depth);

	if (rc == -ENOSYS || rc == -EPERM || rc == -ENOENT) {
		whole_close(image);
		skip();
	}
	assert_int_equal(rc, 0);
	assert_string_equal(engine->kind->name, name);
	return engine;
}

bool harness_is_readable(struct block_engine *engine, int timeout)
{
	struct epoll_event event = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int rc;

	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, engine->fd, &event), 0);
	do
		rc = epoll_wait(ep, &event, 1, timeout);
	while (rc < 0 && errno == EINTR);
	assert_true(rc >= 0);
	close(ep);
	return rc == 1;
}

struct block_request *harness_wait(struct block_engine *engine)
{
	struct block_request *done = block_engine_reap(engine, HARNESS_MAX);

	if (done)
		return done;
	assert_true(harness_is_readable(engine, -1));
	return block_engine_reap(engine, HARNESS_MAX);
}

int harness_do(struct block_engine *engine, struct block_request *req)
{
	struct block_request *done = NULL;

	block_engine_queue(engine, req);
	block_engine_commit(engine);
	while (!done)
		done = harness_wait(engine);
	assert_ptr_equal(done, req);
	assert_null(done->next);
	return req->result;
}

int harness_transfer(struct block_engine *engine, enum block_op op,
		     unsigned int flags, uint64_t offset, void *memory,
		     size_t size)
{
	struct virtio_iov iov = { .base = memory, .len = size };
	struct block_request req = {
		.op = (uint8_t)op,
		.flags = (uint8_t)flags,
		.niov = 1,
		.offset = offset,
		.length = size,
		.iov = &iov,
	};

	return harness_do(engine, &req);
}

int harness_command(struct block_engine *engine, enum block_op op,
		    unsigned int flags, uint64_t offset, uint64_t length)
{
	struct block_request req = {
		.op = (uint8_t)op,
		.flags = (uint8_t)flags,
		.offset = offset,
		.length = length,
	};

	return harness_do(engine, &req);
}

void harness_check_sticky(const char *name, struct block_image *image,
			  struct block_engine *engine)
{
	struct block_engine *other = harness_open_engine(name, image, 4);
	struct block_engine *both[] = { engine, other };
	unsigned char *memory = aligned_alloc(4096, 4096);
	unsigned int i;

	memset(memory, 0, 4096);
	for (i = 0; i < 2; i++) {
		struct block_engine *e = both[i];

		assert_int_equal(harness_command(e, BLOCK_FLUSH, 0, 0, 0),
				 -EIO);
		assert_int_equal(harness_transfer(e, BLOCK_WRITE, BLOCK_STABLE,
						  0, memory, 4096),
				 -EIO);
		assert_int_equal(harness_command(e, BLOCK_WRITE_ZEROES,
						 BLOCK_STABLE, 0, 4096),
				 -EIO);
		assert_int_equal(harness_transfer(e, BLOCK_WRITE, 0, 0, memory,
						  4096),
				 0);
		assert_int_equal(
			harness_transfer(e, BLOCK_READ, 0, 0, memory, 4096), 0);
	}
	free(memory);
	block_engine_close(other);
}

void harness_check_idle(struct block_engine *engine)
{
	assert_int_equal(engine->inflight, 0);
	/* A ring of an event that was already collected is settled here. */
	assert_null(block_engine_reap(engine, HARNESS_MAX));
	assert_false(harness_is_readable(engine, 0));
}
