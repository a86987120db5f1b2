/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/*
 * A xenstore that fails at any point of an attach, a detach or a reboot: the
 * k-th call from there on, for each k that there is. Whatever it was, the disk
 * comes and goes, and its neighbour does not notice. Then steps in random
 * order.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_guest.h"

enum {
	CALLS_MAX = 45, /* more than an attach and a detach make */
	REBOOTS = 25,
	STEPS = 1000,
	CUTS = 6, /* of the connection, one after the other */
};

static const int errors[] = { EIO, ENOSPC, EAGAIN, EBADF };

static struct driver disk[3];

static void start(unsigned int disks)
{
	memset(disk, 0, sizeof(disk));
	start_disks(disk, disks);
}

static void finish(void)
{
	end_program();
	remove_images(disk, sizeof(disk) / sizeof(*disk));
}

static void check_serves(unsigned int i)
{
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 1), 0);
}

static void come_and_go(unsigned int k, int error)
{
	tool_fail_later(k, error, 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1);
	tool_fail_later(k, error, 1);
	detach(1);
	tool_fail("", error, 0);
	check_serves(0);
}

static void test_each_call_of_attach_and_detach(void)
{
	start(1);
	for (size_t e = 0; e < sizeof(errors) / sizeof(*errors); e++)
		for (unsigned int k = 0; k < CALLS_MAX; k++)
			come_and_go(k, errors[e]);
	finish();
}

/* Removed and made anew in one go, and three calls in a row fail. */
static void test_each_call_of_one_made_anew(void)
{
	start(1);
	for (unsigned int k = 0; k < CALLS_MAX; k++) {
		attach(&disk[1], 1);
		tool_fail_later(k, errors[k % 4], 3);
		xs_lock();
		ask_detach(1);
		tool_remove(node(1, ""));
		make_directory(1, disk[1].file);
		xs_unlock();
		wait_until(tool_is(node(1, "state"), "2"));
		drive(&disk[1], 1);
		check_serves(1);
		tool_fail("", EIO, 0);
		detach(1);
	}
	check_serves(0);
	finish();
}

/* The domain is no more: Xen and xenstore forget it, and what it had. */
static void forget_domain(unsigned int domid)
{
	char path[64];

	xs_lock();
	dom.exists = false;
	xs.introduced[domid] = false;
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	tool_remove(path);
	snprintf(path, sizeof(path), "backend/virtio_disk/%u", domid);
	tool_remove(path);
	destroy_server();
	xs_fire("@releaseDomain");
	xs_unlock();
}

static void reboot(bool slow)
{
	unsigned int domid = dom.domid;

	hold(slow);
	xs_lock();
	dom.life = LIFE_REBOOT;
	xs_fire("@releaseDomain");
	xs_unlock();
	destroy_domain();
	if (slow) {
		a_while();
		hold(false);
	}
	wait_until(dom.servers == 0);
	forget_domain(domid);
	introduce(domid + 1);
}

static void test_each_call_of_a_reboot(void)
{
	start(1);
	for (unsigned int k = 0; k < REBOOTS; k++) {
		tool_fail_later(k, errors[k % 4], 2);
		reboot(k % 3 == 0);
		attach(&disk[0], 0);
		drive(&disk[0], 0);
		check_serves(0);
		tool_fail("", EIO, 0);
	}
	finish();
}

/* More transactions in a row are lost than the program tries. */
static unsigned int conflicts;

static void conflict(void)
{
	if (conflicts == 0)
		return;
	conflicts--;
	/* Nobody watches it. */
	xs_put("/local/domain/0/other", "");
	xs.before_end = conflict;
}

static void arm_conflicts(void)
{
	conflicts = 8;
	xs.before_end = conflict;
}

static void test_somebody_is_always_faster(void)
{
	start(0);
	make_image(&disk[0]);
	xs_lock();
	arm_conflicts();
	make_directory(0, disk[0].file);
	xs_unlock();
	/* Looked at again without being told. */
	wait_until(tool_is(node(0, "state"), "2"));
	assert_int_equal(conflicts, 0);
	assert_int_equal(logged("cannot write to"), 1);
	xs_lock();
	arm_conflicts();
	ask_detach(0);
	xs_unlock();
	wait_until(tool_is(node(0, "state"), "6"));
	assert_int_equal(conflicts, 0);
	/* A disk that is refused is told so as well. */
	tool_remove(node(0, ""));
	xs_lock();
	arm_conflicts();
	make_directory(0, "/nonexistent/image");
	xs_unlock();
	wait_until(tool_is(node(0, "state"), NULL));
	assert_false(tool_is(node(0, "error"), NULL));
	finish();
}

/* A xenstored that takes each connection and drops it cannot fill the log. */
static void test_connection_comes_and_goes(void)
{
	uint64_t since = clock_ns();
	unsigned int lines, intervals;

	start(1);
	for (unsigned int i = 1; i <= CUTS; i++) {
		tool_cut();
		wait_until(__atomic_load_n(&xs.opened, __ATOMIC_RELAXED) > i);
	}
	check_serves(0);
	finish();
	lines = logged("xenstore is lost") + logged("to xenstore again");
	intervals = 1 + (unsigned int)((clock_ns() - since) / LOG_INTERVAL_NS);
	assert_in_range(lines, 2, LOG_BURST * intervals);
}

/* ---- any order ----------------------------------------------------------- */

static void step(uint64_t *random)
{
	unsigned int i = model_random_below(random, 3);

	switch (model_random_below(random, 11)) {
	case 0:
	case 1:
		make_directory(i, disk[i].file);
		break;
	case 2:
		ask_detach(i);
		break;
	case 3:
		tool_remove(node(i, ""));
		break;
	case 4:
		make_directory(i, "/nonexistent/image");
		break;
	case 5:
		hold(true);
		break;
	case 6:
		hold(false);
		break;
	case 7:
		tool_fail_later(model_random_below(random, 30),
				errors[model_random_below(random, 4)],
				1 + model_random_below(random, 4));
		break;
	case 8:
		tool_remove(node(i, "state"));
		break;
	case 9:
		tool_write(node(i, "online"), "0");
		break;
	default:
		usleep(model_random_below(random, 3000));
	}
}

static void test_any_order(void)
{
	uint64_t random = 88172645463325252u;

	start(0);
	for (unsigned int i = 0; i < 3; i++)
		make_image(&disk[i]);
	for (unsigned int n = 0; n < STEPS; n++) {
		step(&random);
		/* Whatever there is answers. */
		if (begin_access(0, register_of(0, VIRTIO_MMIO_MAGIC_VALUE), 4,
				 true, 0))
			wait_until(answered(0));
	}
	hold(false);
	tool_fail("", EIO, 0);
	for (unsigned int i = 0; i < 3; i++)
		tool_remove(node(i, ""));
	wait_until(dom.servers == 0);
	for (unsigned int i = 0; i < 3; i++) {
		attach(&disk[i], i);
		drive(&disk[i], i);
		check_serves(i);
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_each_call_of_attach_and_detach),
		host_test(test_each_call_of_one_made_anew),
		host_test(test_each_call_of_a_reboot),
		host_test(test_somebody_is_always_faster),
		host_test(test_connection_comes_and_goes),
		host_test(test_any_order),
	};

	return cmocka_run_group_tests_name("domain: failures", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
