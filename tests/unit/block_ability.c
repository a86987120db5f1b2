/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=ioctl,--wrap=fallocate,--wrap=fallocate64 */
/* LDFLAGS: -Wl,--wrap=sync_file_range */
/*
 * What stores say that they can do, and devices that this machine has not:
 * their answers to ioctl are scripted here. An ordinary file stands for the
 * device.
 */
#define _GNU_SOURCE 1
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "lib/block_harness.h"

#include "block/ability.h"
#include "block/perform.h"

enum { SIZE = 65536 };

/* How the "device" answers: 0 or an errno. */
static struct {
	int discard;
	int secure_erase;
	int fallocate;
	int64_t size;          /* of the file */
	uint32_t zone_sectors; /* 0: does not know the question */
	uint64_t range[2];     /* of the last discard or erase */
	unsigned int calls;    /* of them */
	unsigned long request;
	unsigned int dirty; /* erases that are refused for that */
	off_t written[2];   /* of the last range that began to be */
	unsigned int flags; /* ... and how */
} device;

static char error[BLOCK_ERROR_MAX];

static int answer(int value)
{
	errno = value;
	return value ? -1 : 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_sync_file_range(int fd, off_t offset, off_t bytes,
			   unsigned int flags);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	(void)fd;
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case BLKDISCARD:
	case BLKSECDISCARD:
		device.calls++;
		device.request = request;
		memcpy(device.range, arg, sizeof(device.range));
		if (request == BLKSECDISCARD && device.dirty)
			return answer(EBUSY);
		return answer(request == BLKDISCARD ? device.discard :
						      device.secure_erase);
	case BLKGETZONESZ:
		if (!device.zone_sectors)
			return answer(ENOTTY);
		memcpy(arg, &device.zone_sectors, sizeof(uint32_t));
		return 0;
	}
	return answer(ENOTTY);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	(void)mode;
	/* Never where there is something, and a range that there can be. */
	assert_true(offset >= device.size);
	assert_true(offset >= SIZE + (1 << 30));
	assert_true(len > 0);
	assert_true(len <= INT64_MAX - offset);
	device.calls++;
	return answer(device.fallocate);
}

/* As if what is dirty became so once more. */
int __wrap_sync_file_range(int fd, off_t offset, off_t bytes,
			   unsigned int flags)
{
	(void)fd;
	device.written[0] = offset;
	device.written[1] = bytes;
	device.flags |= flags;
	device.dirty -= device.dirty > 0;
	return 0;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	return __wrap_fallocate(fd, mode, offset, len);
}

static struct block_claim claim_of(bool is_block_device, bool readonly)
{
	return (struct block_claim){
		.fd = open(harness_path("store"), O_RDWR | O_CLOEXEC),
		.facts = {
			.size = SIZE,
			.block_size = 4096,
			.physical_block_size = 4096,
			.is_block_device = is_block_device,
			.readonly = readonly,
		},
	};
}

static int ask(struct block_claim *claim)
{
	int rc;

	device.calls = 0;
	error[0] = '\0';
	rc = block_ability(claim, "/dev/x", error);
	close(claim->fd);
	return rc;
}

/* A device that can do it complains of the range, which is none. */
static void test_device(void **state)
{
	static const struct {
		int answer;
		bool can;
	} cases[] = {
		{ EINVAL, true }, { EOPNOTSUPP, false }, { ENOTTY, false },
		{ EBADF, false }, { EPERM, false },      { 0, false },
	};

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		for (unsigned int j = 0; j < 6; j++) {
			struct block_claim claim = claim_of(true, false);

			device.discard = cases[i].answer;
			device.secure_erase = cases[j].answer;
			assert_int_equal(ask(&claim), 0);
			assert_int_equal(device.calls, 2);
			/* No device does half a sector. */
			assert_int_equal(device.range[0] % 512, 1);
			assert_int_equal(device.range[1] % 512, 1);
			/* The unit is not known here: a block. */
			assert_int_equal(claim.facts.discard_granularity,
					 cases[i].can ? 4096 : 0);
			assert_int_equal(claim.facts.can_secure_erase,
					 cases[j].can);
		}
	}
}

static void test_file(void **state)
{
	static const struct {
		int answer;
		bool can;
	} cases[] = {
		{ 0, true },
		{ EFBIG, true },
		{ EOPNOTSUPP, false },
		{ ENOSYS, false },
		{ EPERM, false },
		/* It punches inside only. */
		{ EINVAL, true },
		{ EIO, true },
		{ ENXIO, true },
		{ ERANGE, true },
		{ ENOSPC, true },
	};

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		struct block_claim claim = claim_of(false, false);

		device.fallocate = cases[i].answer;
		device.secure_erase = EINVAL;
		assert_int_equal(ask(&claim), 0);
		assert_int_equal(claim.facts.discard_granularity,
				 cases[i].can ? 4096 : 0);
		assert_false(claim.facts.can_secure_erase);
	}
}

/* However large it is, there is a range behind it that can be asked for. */
static void test_huge_file(void **state)
{
	static const uint64_t left[] = {
		511,
		512,
		1024,
		4095,
		4096,
		8192,
		1 << 30,
		(1 << 30) + 4096,
		INT64_C(1) << 31,
		INT64_C(1) << 32,
	};

	(void)state;
	device.fallocate = 0;
	for (unsigned int i = 0; i < 10; i++) {
		struct block_claim claim = claim_of(false, false);

		claim.facts.size = INT64_MAX - left[i];
		device.size = (int64_t)claim.facts.size;
		assert_int_equal(ask(&claim), 0);
		assert_int_equal(device.calls, 1);
		assert_int_equal(claim.facts.discard_granularity, 4096);
	}
	device.size = 0;
}

/* A store that is not written is not tried. */
static void test_readonly(void **state)
{
	(void)state;
	for (int is_device = 0; is_device < 2; is_device++) {
		struct block_claim claim = claim_of(is_device, true);

		device.discard = EINVAL;
		device.fallocate = 0;
		assert_int_equal(ask(&claim), 0);
		assert_int_equal(device.calls, 0);
		assert_int_equal(claim.facts.discard_granularity, 0);
	}
}

/* Clause 69: most writes would fail on it. */
static void test_host_managed(void **state)
{
	struct block_claim claim = claim_of(true, false);

	(void)state;
	device.zone_sectors = 524288;
	assert_int_equal(ask(&claim), -EINVAL);
	assert_non_null(
		strstr(error, "/dev/x: is a host-managed zoned device"));
	claim = claim_of(true, true);
	assert_int_equal(ask(&claim), -EINVAL);
	device.zone_sectors = 0;
	claim = claim_of(true, false);
	assert_int_equal(ask(&claim), 0);
}

/* What a worker has of the store. */
static struct block_image image_of(void)
{
	return (struct block_image){
		.fd = open(harness_path("store"), O_RDWR | O_CLOEXEC),
		.size = SIZE,
		.block_size = 4096,
		.is_block_device = true,
	};
}

static int perform(struct block_image *image, enum block_op op, uint64_t offset,
		   uint64_t length)
{
	struct block_request req = { .op = (uint8_t)op,
				     .offset = offset,
				     .length = length };

	device.calls = 0;
	block_perform(image, &req);
	return req.result;
}

/* A device discards whole blocks: less than was asked, never more. */
static void test_discard_of_parts(void **state)
{
	static const struct {
		uint64_t offset, length;
		uint64_t begin, end; /* equal: nothing is asked for */
	} cases[] = {
		{ 0, SIZE, 0, SIZE }, { 4096, 4096, 4096, 8192 },
		{ 512, 4096, 0, 0 },  { 512, 7680, 4096, 8192 },
		{ 512, 512, 0, 0 },   { 4096, 4608, 4096, 8192 },
		{ 3584, 512, 0, 0 },  { 3584, 4608, 4096, 8192 },
		{ 3584, 1024, 0, 0 },
	};
	struct block_image image = image_of();

	(void)state;
	device.discard = 0;
	for (unsigned int i = 0; i < 9; i++) {
		bool any = cases[i].begin != cases[i].end;

		assert_int_equal(perform(&image, BLOCK_DISCARD, cases[i].offset,
					 cases[i].length),
				 0);
		assert_int_equal(device.calls, any);
		if (!any)
			continue;
		assert_int_equal(device.request, BLKDISCARD);
		assert_int_equal(device.range[0], cases[i].begin);
		assert_int_equal(device.range[1],
				 cases[i].end - cases[i].begin);
	}
	device.discard = EOPNOTSUPP;
	assert_int_equal(perform(&image, BLOCK_DISCARD, 0, 4096), -EOPNOTSUPP);
	device.discard = EIO;
	assert_int_equal(perform(&image, BLOCK_DISCARD, 0, 4096), -EIO);
	close(image.fd);
}

/* Erasing is exact or an error. */
static void test_secure_erase(void **state)
{
	struct block_image image = image_of();

	(void)state;
	device.secure_erase = 0;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 0, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(device.calls, 0);
	image.can_secure_erase = true;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 512, 7680), 0);
	assert_int_equal(device.request, BLKSECDISCARD);
	assert_int_equal(device.range[0], 512);
	assert_int_equal(device.range[1], 7680);
	device.secure_erase = EINVAL;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 512, 512),
			 -EINVAL);
	device.secure_erase = EOPNOTSUPP;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 0, 4096),
			 -EOPNOTSUPP);
	close(image.fd);
}

/* A device refuses what its page cache has dirty; that is no failure. */
static void test_secure_erase_of_dirty(void **state)
{
	struct block_image image = image_of();

	(void)state;
	device.secure_erase = 0;
	device.calls = 0;
	device.dirty = 2;
	image.can_secure_erase = true;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 4096, 8192), 0);
	assert_int_equal(device.calls, 3);
	assert_int_equal(device.range[0], 4096);
	assert_int_equal(device.range[1], 8192);
	assert_int_equal(device.written[0], 4096);
	assert_int_equal(device.written[1], 8192);
	/* The report of a failure is for who flushes. */
	assert_int_equal(device.flags, SYNC_FILE_RANGE_WRITE);
	device.dirty = 1000;
	assert_int_equal(perform(&image, BLOCK_SECURE_ERASE, 4096, 8192),
			 -EBUSY);
	device.dirty = 0;
	close(image.fd);
}

static int setup(void **state)
{
	if (harness_setup(state))
		return -1;
	free(harness_create("store", SIZE));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_huge_file),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_host_managed),
		cmocka_unit_test(test_discard_of_parts),
		cmocka_unit_test(test_secure_erase),
		cmocka_unit_test(test_secure_erase_of_dirty),
	};

	return cmocka_run_group_tests(tests, setup, harness_teardown);
}
