/* SPDX-License-Identifier: MIT */
/*
 * Opening images: what is refused and with which words, locks, geometry, cache
 * modes. Block devices are tested on a loop device where the machine allows
 * one (root), else those tests are skipped.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <sys/wait.h>

#include "lib/block_loop.h"

static char error[BLOCK_ERROR_MAX];

static int open_as(struct block_image *image, struct block_image_options o)
{
	int rc;

	error[0] = '\0';
	rc = whole_open(image, &o, error);
	if (rc < 0) {
		assert_int_equal(image->fd, -1);
		/* Names the file and says something. */
		if (o.file)
			assert_memory_equal(error, o.file, strlen(o.file));
		assert_true(strstr(error, ": ") != NULL);
		assert_null(strchr(error, '\n'));
	}
	return rc;
}

static int open_file(struct block_image *image, const char *name, bool readonly)
{
	return open_as(image, (struct block_image_options){
				      .file = harness_path(name),
				      .readonly = readonly,
			      });
}

/* The open fails with `rc`, and the reason contains `words`. */
static void check_refused(struct block_image_options options, int rc,
			  const char *words)
{
	struct block_image image;

	assert_int_equal(open_as(&image, options), rc);
	if (!strstr(error, words))
		print_error("not \"%s\": %s\n", words, error);
	assert_non_null(strstr(error, words));
}

static void check_file_refused(const char *name, int rc, const char *words)
{
	check_refused(
		(struct block_image_options){
			.file = harness_path(name),
		},
		rc, words);
}

static void test_wrong_files(void **state)
{
	(void)state;
	check_file_refused("absent", -ENOENT, "no such file");
	check_file_refused(".", -EISDIR, "is a directory");
	assert_int_equal(mkfifo(harness_path("fifo"), 0600), 0);
	check_file_refused("fifo", -EINVAL, "is a fifo");
	check_refused((struct block_image_options){ .file = "/dev/null" },
		      -EINVAL, "is a character device");
	free(harness_create("empty", 0));
	check_file_refused("empty", -EINVAL, "is empty");
	free(harness_create("tiny", 511));
	check_file_refused("tiny", -EINVAL, "has 511 bytes");
}

static void test_long_name(void **state)
{
	char name[3000];
	struct block_image_options options = { .file = name };
	struct block_image image;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(whole_open(&image, &options, error), -ENAMETOOLONG);
	assert_non_null(strstr(error, "xxx: cannot be opened"));
}

static void test_permissions(void **state)
{
	bool root = geteuid() == 0;
	struct block_image image;
	pid_t child;
	int status;

	(void)state;
	free(harness_create("readable", 4096));
	free(harness_create("private", 4096));
	assert_int_equal(chmod(harness_path("readable"), 0444), 0);
	assert_int_equal(chmod(harness_path("private"), 0000), 0);
	assert_int_equal(chmod(harness_dir, 0755), 0);
	child = fork();
	if (child == 0) {
		/* Root may do all. */
		if (root && setuid(65534) < 0)
			_exit(1);
		check_file_refused("readable", -EACCES, "use readonly=on");
		check_file_refused("private", -EACCES, "permission denied");
		/* Another's file: its time of access is not ours to leave. */
		if (open_file(&image, "readable", true) ||
		    (root && (fcntl(image.fd, F_GETFL) & O_NOATIME)))
			_exit(2);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A guest's reads leave the file's time of access alone, if we may do that. */
static void test_atime(void **state)
{
	struct block_image image;

	(void)state;
	free(harness_create("readable", 4096));
	assert_int_equal(open_file(&image, "readable", true), 0);
	assert_true(fcntl(image.fd, F_GETFL) & O_NOATIME);
	whole_close(&image);
}

static void test_geometry(void **state)
{
	struct block_image image;

	(void)state;
	free(harness_create("odd", 10000));
	/* Its last bytes would be hidden. */
	check_file_refused("odd", -EINVAL,
			   "size 10000 is not a multiple of "
			   "block-size 512: make it one (truncate -s %512)");
	free(harness_create("whole", 9728));
	assert_int_equal(open_file(&image, "whole", false), 0);
	assert_int_equal(image.size, 9728);
	assert_int_equal(image.block_size, 512);
	assert_in_range(image.physical_block_size, 512, 4096);
	assert_false(image.is_block_device);
	whole_close(&image);
	assert_int_equal(image.fd, -1);
	whole_close(&image);

	check_refused(
		(struct block_image_options){
			.file = harness_path("whole"),
			.block_size = 4096,
		},
		-EINVAL,
		"size 9728 is not a multiple of block-size 4096: resize "
		"it, or use block-size=512");
	check_refused(
		(struct block_image_options){
			.file = harness_path("odd"),
			.block_size = 768,
		},
		-EINVAL, "block-size 768");
	check_refused(
		(struct block_image_options){
			.file = harness_path("odd"),
			.block_size = 8192,
		},
		-EINVAL, "block-size 8192");
	check_refused(
		(struct block_image_options){
			.file = harness_path("odd"),
			.block_size = 256,
		},
		-EINVAL, "block-size 256");

	free(harness_create("even", 12288));
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = harness_path("even"),
					 .block_size = 4096,
				 }),
			 0);
	assert_int_equal(image.size, 12288);
	assert_int_equal(image.block_size, 4096);
	assert_int_equal(image.physical_block_size, 4096);
	assert_int_equal(image.min_io_size, 4096);
	assert_int_equal(image.alignment_offset, 0);
	whole_close(&image);
}

static void test_null_image(void **state)
{
	struct block_image image;
	struct block_engine *engine;

	(void)state;
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .size = 999936,
				 }),
			 0);
	assert_int_equal(image.fd, -1);
	assert_int_equal(image.size, 999936);
	assert_false(image.direct);
	assert_int_equal(block_engine_open(&engine, "auto", &image, 4), 0);
	assert_string_equal(engine->kind->name, "null");
	block_engine_close(engine);
	assert_int_equal(block_engine_open(&engine, "threads", &image, 4),
			 -EINVAL);
	whole_close(&image);
	check_refused((struct block_image_options){ .size = 0 }, -EINVAL,
		      "is empty");
}

static void test_cache(void **state)
{
	static const char *const names[] = {
		"auto", "none", "writeback", "writethrough", "unsafe",
	};
	enum block_cache cache = BLOCK_CACHE_AUTO;
	struct block_image image;
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_int_equal(block_cache_parse(names[i], &cache), 0);
		assert_string_equal(block_cache_name(cache), names[i]);
	}
	assert_int_equal(block_cache_parse("direct", &cache), -EINVAL);

	free(harness_create("cache", 65536));
	harness_open_image(&image, "cache", BLOCK_CACHE_WRITEBACK);
	assert_false(image.direct || image.write_through ||
		     image.flush_is_noop);
	assert_int_equal(image.dio_align, 1);
	assert_false(fcntl(image.fd, F_GETFL) & (O_DIRECT | O_NONBLOCK));
	assert_true(fcntl(image.fd, F_GETFD) & FD_CLOEXEC);
	whole_close(&image);

	harness_open_image(&image, "cache", BLOCK_CACHE_WRITETHROUGH);
	assert_true(image.write_through);
	whole_close(&image);
	harness_open_image(&image, "cache", BLOCK_CACHE_UNSAFE);
	assert_true(image.flush_is_noop);
	whole_close(&image);

	harness_open_image(&image, "cache", BLOCK_CACHE_AUTO);
	assert_int_equal(!!(fcntl(image.fd, F_GETFL) & O_DIRECT), image.direct);
	if (image.direct)
		assert_in_range(image.dio_align, 1, image.block_size);
	whole_close(&image);
}

/* A file system without O_DIRECT, if there is one here (old tmpfs, proc). */
static void test_no_direct(void **state)
{
	const char *file = "/proc/self/maps";
	struct block_image image;

	(void)state;
	if (open_as(&image, (struct block_image_options){
				    .file = file,
				    .readonly = true,
				    .cache = BLOCK_CACHE_NONE,
			    }) == 0) {
		whole_close(&image);
		skip();
	}
	/* Empty by its size, before anything else. */
	assert_non_null(strstr(error, file));
}

/* Every pair of two users, in this process and in another one. */
static void test_locks(void **state)
{
	struct block_image first, second;
	int first_ro, second_ro, status;
	pid_t child;

	(void)state;
	free(harness_create("lock", 4096));
	for (first_ro = 0; first_ro < 2; first_ro++) {
		assert_int_equal(open_file(&first, "lock", first_ro), 0);
		for (second_ro = 0; second_ro < 2; second_ro++) {
			int rc = first_ro && second_ro ? 0 : -EAGAIN;

			assert_int_equal(open_file(&second, "lock", second_ro),
					 rc);
			assert_true(rc == 0 || strstr(error, "already in use"));
			whole_close(&second);
			child = fork();
			if (child == 0)
				_exit(open_file(&second, "lock", second_ro) !=
				      rc);
			assert_int_equal(waitpid(child, &status, 0), child);
			assert_int_equal(status, 0);
		}
		whole_close(&first);
	}
	/* Free again. */
	assert_int_equal(open_file(&first, "lock", false), 0);
	whole_close(&first);
}

/* A process that holds an ordinary POSIX lock is named. */
static void test_lock_pid(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], status;
	char byte, pid[32];
	pid_t child;

	(void)state;
	free(harness_create("posix", 4096));
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int fd = open(harness_path("posix"), O_RDWR);

		if (fcntl(fd, F_SETLK, &lock) < 0)
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(2);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(pid, sizeof(pid), "(pid %ld)", (long)child);
	check_file_refused("posix", -EAGAIN, pid);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(ready[0]);
	close(ready[1]);
}

/* The lock is free as soon as engine and image are closed, for each engine. */
static void test_lock_after_engine(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	const struct block_engine_kind *const *kind;
	struct block_engine *engine;
	struct block_image image;
	char memory[512];
	int fd;

	(void)state;
	free(harness_create("after", 4096));
	for (kind = block_engines; *kind; kind++) {
		harness_open_image(&image, "after", BLOCK_CACHE_WRITEBACK);
		if (block_engine_open(&engine, (*kind)->name, &image, 4)) {
			whole_close(&image);
			continue;
		}
		assert_int_equal(harness_transfer(engine, BLOCK_READ, 0, 0,
						  memory, 512),
				 0);
		block_engine_close(engine);
		whole_close(&image);
		fd = open(harness_path("after"), O_RDWR);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		close(fd);
	}
}

static void test_block_device(void **state)
{
	unsigned char *content = harness_create("disk", 1 << 20);
	unsigned char *memory = aligned_alloc(4096, 8192);
	struct block_image image, second;
	struct block_engine *engine;
	char device[64];
	int loop = attach_loop("disk", device, sizeof(device), 512);

	(void)state;
	assert_int_equal(
		open_as(&image, (struct block_image_options){ .file = device }),
		0);
	assert_true(image.is_block_device);
	assert_true(image.direct);
	assert_int_equal(image.size, 1 << 20);
	assert_int_equal(image.block_size, 512);
	/* Exclusive, by lock and by claim. */
	assert_int_equal(
		open_as(&second,
			(struct block_image_options){ .file = device }),
		-EAGAIN);
	assert_int_equal(open(device, O_RDONLY | O_EXCL), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(open_as(&second,
				 (struct block_image_options){
					 .file = device, .readonly = true }),
			 -EAGAIN);

	assert_int_equal(block_engine_open(&engine, "auto", &image, 4), 0);
	assert_int_equal(harness_transfer(engine, BLOCK_READ, BLOCK_UNPINNABLE,
					  512, memory + 1, 1024),
			 0);
	assert_memory_equal(memory + 1, content + 512, 1024);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_STABLE, 8192, 4096),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_MAY_UNMAP, 65536, 131072),
			 0);
	assert_int_equal(
		harness_command(engine, BLOCK_DISCARD, 0, 262144, 65536), 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	block_engine_close(engine);
	whole_close(&image);
	memset(content + 8192, 0, 4096);
	memset(content + 65536, 0, 131072);
	memset(content + 262144, 0, 65536);
	harness_check("disk", content, 1 << 20);

	close(loop);
	free(memory);
	free(content);
}

/* Zeroes for parts of blocks: exactly what was asked for. Discards do less. */
static void test_block_device_parts(void **state)
{
	unsigned char *content = harness_create("parts", 1 << 20);
	struct block_image image;
	struct block_engine *engine;
	char device[64];
	int loop = attach_loop("parts", device, sizeof(device), 4096);

	(void)state;
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = device,
					 .cache = BLOCK_CACHE_WRITEBACK }),
			 0);
	assert_int_equal(block_engine_open(&engine, "auto", &image, 4), 0);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES,
					 BLOCK_MAY_UNMAP | BLOCK_STABLE, 512,
					 9216),
			 0);
	memset(content + 512, 0, 9216);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 65536 + 512,
					 7680),
			 0);
	memset(content + 65536 + 4096, 0, 4096);
	assert_int_equal(harness_command(engine, BLOCK_DISCARD, 0, 512, 512),
			 0);
	assert_int_equal(harness_command(engine, BLOCK_FLUSH, 0, 0, 0), 0);
	block_engine_close(engine);
	whole_close(&image);
	harness_check("parts", content, 1 << 20);

	assert_int_equal(
		open_as(&image,
			(struct block_image_options){
				.file = device, .cache = BLOCK_CACHE_NONE }),
		0);
	assert_int_equal(block_engine_open(&engine, "auto", &image, 4), 0);
	assert_int_equal(harness_command(engine, BLOCK_WRITE_ZEROES, 0,
					 32768 + 512, 8192),
			 0);
	memset(content + 32768 + 512, 0, 8192);
	assert_int_equal(harness_command(engine, BLOCK_SECURE_ERASE, 0, 0,
					 4096),
			 -EOPNOTSUPP);
	block_engine_close(engine);
	whole_close(&image);
	harness_check("parts", content, 1 << 20);
	close(loop);
	free(content);
}

/* A device that becomes longer, as logical volumes do. */
static void test_block_device_grows(void **state)
{
	struct block_image image;
	char device[64];
	int loop;

	(void)state;
	free(harness_create("grows", 1 << 20));
	loop = attach_loop("grows", device, sizeof(device), 512);
	assert_int_equal(
		open_as(&image, (struct block_image_options){ .file = device }),
		0);
	assert_false(block_claim_look(whole_claim(&image)));
	assert_int_equal(truncate(harness_path("grows"), 3 << 20), 0);
	assert_false(block_claim_look(whole_claim(&image)));
	assert_int_equal(ioctl(loop, LOOP_SET_CAPACITY), 0);
	assert_true(block_claim_look(whole_claim(&image)));
	assert_int_equal(whole_claim(&image)->facts.size, 3 << 20);
	assert_false(block_claim_look(whole_claim(&image)));
	whole_close(&image);
	close(loop);
}

/* A file's size: whole blocks of it. */
static void test_look(void **state)
{
	struct block_image image;

	(void)state;
	free(harness_create("look", 8192));
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = harness_path("look"),
					 .block_size = 4096 }),
			 0);
	assert_int_equal(truncate(harness_path("look"), 12287), 0);
	assert_false(block_claim_look(whole_claim(&image)));
	assert_int_equal(truncate(harness_path("look"), 12288 + 512), 0);
	assert_true(block_claim_look(whole_claim(&image)));
	assert_int_equal(whole_claim(&image)->facts.size, 12288);
	assert_int_equal(truncate(harness_path("look"), 100), 0);
	assert_true(block_claim_look(whole_claim(&image)));
	assert_int_equal(whole_claim(&image)->facts.size, 0);
	whole_close(&image);
	assert_int_equal(open_as(&image,
				 (struct block_image_options){ .size = 8192 }),
			 0);
	assert_false(block_claim_look(whole_claim(&image)));
	whole_close(&image);
}

static void test_block_device_4k(void **state)
{
	struct block_image image;
	char device[64];
	int loop, on = 1;

	(void)state;
	free(harness_create("disk4k", 1 << 20));
	loop = attach_loop("disk4k", device, sizeof(device), 4096);
	assert_int_equal(
		open_as(&image, (struct block_image_options){ .file = device }),
		0);
	assert_int_equal(image.block_size, 4096);
	assert_int_equal(image.dio_align, 4096);
	whole_close(&image);
	/* Smaller blocks: over the page cache, unless asked for otherwise. */
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = device, .block_size = 512 }),
			 0);
	assert_int_equal(image.block_size, 512);
	assert_int_equal(image.physical_block_size, 4096);
	assert_false(image.direct);
	assert_null(image.gate);
	whole_close(&image);
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = device,
					 .block_size = 512,
					 .cache = BLOCK_CACHE_NONE }),
			 0);
	assert_true(image.direct);
	assert_non_null(image.gate);
	whole_close(&image);

	assert_int_equal(ioctl(loop, BLKROSET, &on), 0);
	assert_true(open_as(&image, (struct block_image_options){
					    .file = device }) < 0);
	assert_non_null(strstr(error, "readonly=on"));
	assert_int_equal(open_as(&image,
				 (struct block_image_options){
					 .file = device, .readonly = true }),
			 0);
	whole_close(&image);
	/* The device keeps this otherwise, for whoever has it next. */
	on = 0;
	assert_int_equal(ioctl(loop, BLKROSET, &on), 0);
	close(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_atime),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_null_image),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_no_direct),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_lock_pid),
		cmocka_unit_test(test_lock_after_engine),
		cmocka_unit_test(test_block_device),
		cmocka_unit_test(test_block_device_4k),
		cmocka_unit_test(test_block_device_parts),
		cmocka_unit_test(test_block_device_grows),
		cmocka_unit_test(test_look),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
