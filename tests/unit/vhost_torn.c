/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=fdatasync */
/*
 * A front end truncates what it shares with us, and a thread that is not the
 * session's is the first to touch it: the one that flushes, which keeps in the
 * in-flight area that it has failed.
 */
#include "lib/vhost_peer.h"

static struct vhost_inflight area;
static int area_fd = -1;
static bool tears; /* fdatasync fails, with the area truncated meanwhile */

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	if (!__atomic_load_n(&tears, __ATOMIC_ACQUIRE))
		return __real_fdatasync(fd);
	if (ftruncate(area_fd, 0))
		return 0;
	errno = EIO;
	return -1;
}

/* An area of our making, in a file that the front end may truncate. */
static void give_own_area(void)
{
	uint8_t bytes[65536];
	int theirs;

	area = get_inflight(&theirs);
	assert_true(area.mmap_size <= sizeof(bytes));
	assert_int_equal(pread(theirs, bytes, area.mmap_size, 0),
			 area.mmap_size);
	close(theirs);
	area_fd = memfd_create("area", MFD_CLOEXEC);
	assert_true(area_fd >= 0);
	assert_int_equal(pwrite(area_fd, bytes, area.mmap_size, 0),
			 area.mmap_size);
	ask_ok(VHOST_SET_INFLIGHT_FD, &area, sizeof(area), &area_fd, 1);
}

static void start_with_area(void)
{
	negotiate();
	assert_int_equal(mode(), 1);
	share_memory();
	give_own_area();
	for (unsigned int q = 0; q < PEER_QUEUES; q++)
		set_up_queue(q);
}

static void flush_that_fails_meets_it(void **state)
{
	(void)state;
	/* The test runner has a handler of its own. */
	assert_int_equal(bus_guard_install(), 0);
	start_with_area();
	memset(slot_data(0, 0), 1, 4096);
	submit(0, 0, VIRTIO_BLK_T_OUT, 0, 4096);
	await(0);
	__atomic_store_n(&tears, true, __ATOMIC_RELEASE);
	submit(0, 1, VIRTIO_BLK_T_FLUSH, 0, 0);
	expect_closed();
	__atomic_store_n(&tears, false, __ATOMIC_RELEASE);
	assert_int_equal(block_image_flush_error(&peer.image), -EIO);
	/* The next front end is served. */
	close(peer.sock);
	connect_peer();
	set_up();
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 4096);
	await(0);
	assert_int_equal(slot_status(0, 0), VIRTIO_BLK_S_OK);
}

static int start(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("threads", 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	peer_end();
	close(area_fd);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flush_that_fails_meets_it,
						start, end),
	};

	return cmocka_run_group_tests_name("vhost_torn", tests, NULL, NULL);
}
