/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=eventfd_read */
/*
 * An engine whose eventfd is rung after what it was rung for has been
 * collected, by a worker, the kernel or the flushing thread: the ring is not
 * seen by the reap that collects. The disk is idle then, and has to sleep all
 * the same.
 */
#include "lib/model_disk.h"

#include <errno.h>
#include <sys/eventfd.h>

static bool late; /* the ring is not there yet */

int __real_eventfd_read(int fd, eventfd_t *value);
int __wrap_eventfd_read(int fd, eventfd_t *value);
int __wrap_eventfd_read(int fd, eventfd_t *value)
{
	if (!late)
		return __real_eventfd_read(fd, value);
	errno = EAGAIN;
	return -1;
}

static void sleeps_after(const char *engine, uint32_t type)
{
	struct rig rig;
	unsigned int n = 0;

	rig_init(&rig, engine, 1);
	for (unsigned int round = 0; round < 3; round++) {
		late = true;
		offer(&rig, 0, 0, type, 0);
		run_until(&rig, 0, n += 1);
		assert_int_equal(status(&rig, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(disk_in_flight(&rig.end[0].disk), 0);
		late = false;
		rig.loop.sleeps = 0;
		assert_false(run(&rig, 20 * NS_PER_MS));
		/* For the ring, and for the time. */
		assert_in_range(rig.loop.sleeps, 1, 3);
	}
	rig_finish(&rig);
}

static void test_idle_after_a_late_ring(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		print_message("# engine %s\n", engines[i]);
		sleeps_after(engines[i], VIRTIO_BLK_T_IN);
		sleeps_after(engines[i], VIRTIO_BLK_T_OUT);
		sleeps_after(engines[i], VIRTIO_BLK_T_FLUSH);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_after_a_late_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
