/* SPDX-License-Identifier: MIT */
/*
 * Memory of a file: as long as it is said, whole before it is touched, there
 * for the next process, and nothing that is no file is taken for one.
 */
#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/shared_file.h"

enum { BYTES = 10000 };

static void test_stays(void **state)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	void *p, *q;

	(void)state;
	assert_int_equal(shared_file_make(fd, BYTES), 0);
	assert_int_equal(shared_file_map(&p, fd, BYTES), 0);
	memset(p, 0x5a, BYTES);
	assert_int_equal(shared_file_map(&q, fd, BYTES), 0);
	assert_memory_equal(p, q, BYTES);
	munmap(p, BYTES);
	memset(q, 0xa5, 1);
	munmap(q, BYTES);
	/* A part of it, and after its length has changed. */
	assert_int_equal(shared_file_make(fd, 2 * BYTES), 0);
	assert_int_equal(shared_file_map(&p, fd, BYTES), 0);
	assert_int_equal(*(uint8_t *)p, 0xa5);
	munmap(p, BYTES);
	close(fd);
}

static void test_too_short(void **state)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	void *p = &fd;

	(void)state;
	assert_int_equal(shared_file_map(&p, fd, 1), -ENODATA);
	assert_null(p);
	assert_int_equal(shared_file_make(fd, BYTES - 1), 0);
	assert_int_equal(shared_file_map(&p, fd, BYTES), -ENODATA);
	assert_int_equal(shared_file_map(&p, fd, BYTES - 1), 0);
	munmap(p, BYTES - 1);
	close(fd);
}

/* What has no memory yet gets it before it is touched. */
static void test_holes(void **state)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct stat file;
	void *p;

	(void)state;
	assert_int_equal(ftruncate(fd, BYTES), 0);
	assert_int_equal(shared_file_map(&p, fd, BYTES), 0);
	assert_int_equal(fstat(fd, &file), 0);
	assert_true(file.st_blocks * 512 >= BYTES);
	munmap(p, BYTES);
	close(fd);
}

static void test_no_file(void **state)
{
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	void *p = NULL;

	(void)state;
	assert_int_equal(shared_file_map(&p, dir, 1), -EINVAL);
	assert_int_equal(shared_file_map(&p, null, 1), -EINVAL);
	assert_int_equal(shared_file_map(&p, -1, 1), -EBADF);
	assert_int_equal(shared_file_make(-1, 1), -EBADF);
	assert_int_not_equal(shared_file_make(dir, 1), 0);
	assert_null(p);
	close(dir);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests_name("base_shared_file", tests, NULL,
					   NULL);
}
