/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose,--wrap=_exit */
/*
 * How disks, servers and domains end under a guest that goes on: the whole
 * program on a fake host. A vCPU that waits for a reset is answered when
 * nothing is in flight and not before; a disk that ends is dead at once; no
 * access stays without an answer, whenever it comes.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_guest.h"

static struct driver disk[20];

static void start(unsigned int disks)
{
	memset(disk, 0, sizeof(disk));
	start_disks(disk, disks);
}

static void finish(void)
{
	remove_images(disk, sizeof(disk) / sizeof(*disk));
}

/* A write that is in flight for as long as the store is held. */
static void write_held(struct driver *d)
{
	hold(true);
	memset(request_at(d, 0) + BLOCK_BYTES, 0x5a, BLOCK_BYTES);
	offer(d, 0, VIRTIO_BLK_T_OUT, 3);
	kick(d);
	wait_held();
}

static void begin_reset(unsigned int v, unsigned int i)
{
	assert_true(begin_access(v, register_of(i, VIRTIO_MMIO_STATUS), 4,
				 false, 0));
}

static void test_serves(void)
{
	start(2);
	for (unsigned int i = 0; i < 2; i++) {
		memset(request_at(&disk[i], 0) + BLOCK_BYTES, 0x11 * (int)i,
		       BLOCK_BYTES);
		assert_int_equal(request(&disk[i], VIRTIO_BLK_T_OUT, i), 0);
	}
	memset(request_at(&disk[1], 0) + BLOCK_BYTES, 0, BLOCK_BYTES);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	assert_int_equal(request_at(&disk[1], 0)[BLOCK_BYTES], 0x11);
	detach(0);
	assert_false(begin_access(0, register_of(0, 0), 4, true, 0));
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_FLUSH, 0), 0);
	end_program();
	finish();
}

/*
 * A vCPU waits for a reset while a write is in flight, and the disk or the
 * program is told to end: it must go on waiting. The other vCPU is answered all
 * the time, by a device that is gone.
 */
static void reset_waits(void (*ask)(void))
{
	start(2);
	write_held(&disk[0]);
	begin_reset(1, 0);
	a_while();
	assert_false(answered(1));
	ask();
	wait_until(is_dead(0));
	a_while();
	assert_false(answered(1));
	assert_true(is_dead(0));
	hold(false);
	wait_until(answered(1));
}

static void detach_first(void)
{
	ask_detach(0);
}

static void test_reset_waits_for_detach(void)
{
	reset_waits(detach_first);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	end_program();
	finish();
}

static void test_reset_waits_for_end(void)
{
	reset_waits(ask_end);
	assert_true(program_ended());
	check_clean();
	assert_true(tool_is(node(0, "state"), "6"));
	assert_true(tool_is(node(1, "state"), "6"));
	finish();
}

static void test_reset_waits_for_destroy(void)
{
	reset_waits(destroy_domain);
	wait_until(logged("domain 5 is gone"));
	end_program();
	finish();
}

/* Write the cache mode: false if there is no device any more. */
static bool toggle(unsigned int i, bool writeback)
{
	if (!begin_access(0, register_of(i, VIRTIO_MMIO_CONFIG + 32), 1, false,
			  writeback))
		return false;
	wait_until(answered(0));
	return true;
}

/* What a guest does to a disk that is closing has no effect at all. */
static void test_closing_disk_is_dead(void)
{
	start(1);
	write_held(&disk[0]);
	ask_detach(0);
	wait_until(is_dead(0));
	/* One vCPU wants to set it up again, the other one to read. */
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_STATUS), 4,
				 false, VIRTIO_STATUS_ACKNOWLEDGE));
	memset(request_at(&disk[0], 1), 0, SLOT_BYTES);
	offer(&disk[0], 1, VIRTIO_BLK_T_IN, 3);
	kick(&disk[0]);
	for (unsigned int i = 0; i < 4; i++)
		toggle(0, i % 2);
	hold(false);
	wait_until(tool_is(node(0, "state"), "6"));
	wait_until(answered(1));
	assert_int_equal(take_used(&disk[0]), 1);
	assert_int_equal(request_at(&disk[0], 0)[16], 0);
	assert_int_equal(request_at(&disk[0], 1)[16], 0xee);
	assert_int_equal(request_at(&disk[0], 1)[BLOCK_BYTES], 0);
	end_program();
	finish();
}

/* It toggles the cache mode for ever: each time there is something to flush. */
static void test_closes_under_a_busy_guest(void)
{
	uint64_t rounds = 0;

	start(1);
	ask_detach(0);
	while (toggle(0, rounds % 2))
		if (++rounds > 1000000)
			fail_msg("the guest keeps the disk");
	wait_until(tool_is(node(0, "state"), "6"));
	end_program();
	finish();
}

static void late_read(void)
{
	fill_slot(1, IOREQ_TYPE_COPY, register_of(0, 0), 4, true, 0);
}

static void late_write(void)
{
	fill_slot(0, IOREQ_TYPE_COPY, register_of(0, VIRTIO_MMIO_QUEUE_NOTIFY),
		  4, false, 0);
}

static void late_invalidate(void)
{
	fill_slot(0, IOREQ_TYPE_INVALIDATE, UINT64_MAX, 8, false, UINT64_MAX);
}

/* Accesses that come at the last moments of the server are answered. */
static void last_moments(void (*ask)(void), void (*on_disable)(void))
{
	start(1);
	dom.on_unmap = late_read;
	dom.on_disable = on_disable;
	ask();
	wait_until(answered(0) && answered(1) && dom.servers == 0);
	assert_null(dom.on_unmap);
	assert_null(dom.on_disable);
	assert_int_equal((uint32_t)dom.vcpu[1].value, UINT32_MAX);
}

static void test_last_moments_of_detach(void)
{
	last_moments(detach_first, late_write);
	/* And there is a next server. */
	wait_until(tool_is(node(0, "state"), "6"));
	tool_remove(node(0, ""));
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	dom.on_disable = late_invalidate;
	end_program();
	finish();
}

static void test_last_moments_of_program(void)
{
	last_moments(ask_end, late_invalidate);
	assert_true(program_ended());
	check_clean();
	finish();
}

/* Of two disks one ends, under an access to it: the server goes on. */
static void test_late_access_to_one_of_two(void)
{
	start(2);
	dom.on_unmap = late_read;
	detach(0);
	wait_until(answered(1));
	assert_int_equal((uint32_t)dom.vcpu[1].value, UINT32_MAX);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	end_program();
	finish();
}

/* An attach that fails must not take down what a closing disk needs. */
static void test_failed_attach_while_closing(void)
{
	start(1);
	write_held(&disk[0]);
	ask_detach(0);
	wait_until(is_dead(0));
	make_directory(1, "/nonexistent/image");
	wait_until(tool_is(node(1, "state"), NULL));
	assert_true(is_dead(0));
	hold(false);
	wait_until(tool_is(node(0, "state"), "6"));
	wait_until(dom.servers == 0);
	end_program();
	finish();
}

/* With I/O in flight when the domain dies: its memory stays mapped for it. */
static void test_domain_dies_with_io(void)
{
	start(1);
	write_held(&disk[0]);
	destroy_domain();
	a_while();
	assert_int_equal(dom.servers, 1);
	assert_int_equal(logged("is gone"), 0);
	/* Xen forgets it while the store still writes. */
	xs_lock();
	destroy_server();
	dom.exists = false;
	xs.introduced[DOMID] = false;
	xs_unlock();
	hold(false);
	wait_until(logged("domain 5 is gone"));
	/* It comes back. */
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	end_program();
	finish();
}

/* One vCPU waits for its queue, the other one for the device; then it ends. */
static void both_wait(void (*ask)(void))
{
	start(2);
	write_held(&disk[0]);
	reg_write(0, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_QUEUE_READY), 4,
				 false, 0));
	a_while();
	assert_false(answered(1));
	assert_true(begin_access(0, register_of(0, VIRTIO_MMIO_STATUS), 4,
				 false, 0));
	ask();
	a_while();
	assert_false(answered(0) || answered(1));
	hold(false);
	wait_until(answered(0) && answered(1));
}

static void test_both_wait_for_detach(void)
{
	both_wait(detach_first);
	wait_until(tool_is(node(0, "state"), "6"));
	end_program();
	finish();
}

static void test_both_wait_for_end(void)
{
	both_wait(ask_end);
	assert_true(program_ended());
	check_clean();
	finish();
}

static void destroy_and_end(void)
{
	destroy_domain();
	a_while();
	ask_end();
}

static void test_both_wait_for_destroy_and_end(void)
{
	both_wait(destroy_and_end);
	assert_true(program_ended());
	check_clean();
	finish();
}

/* The guest's map changes while a read is under way: its data still arrives. */
static void test_invalidate_with_io(void)
{
	uint8_t *data;

	start(1);
	data = request_at(&disk[0], 0) + BLOCK_BYTES;
	memset(data, 0x42, BLOCK_BYTES);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_OUT, 3), 0);
	for (unsigned int n = 0; n < 20; n++) {
		unsigned int done = disk[0].done;

		hold(true);
		memset(data, 0, BLOCK_BYTES);
		offer(&disk[0], 0, VIRTIO_BLK_T_IN, 3);
		kick(&disk[0]);
		wait_held();
		xs_lock();
		take_unmasked();
		late_invalidate();
		xs_unlock();
		wait_until(answered(0));
		hold(false);
		wait_until(take_used(&disk[0]) == done + 1);
		assert_int_equal(data[0], 0x42);
		assert_int_equal(request_at(&disk[0], 0)[16], 0);
	}
	end_program();
	finish();
}

enum { STILL_SERVED = 99, LEFT_BADLY }; /* exit statuses */

_Noreturn void __wrap__exit(int status);
_Noreturn void __real__exit(int status);

static ioreq_t *page_before; /* the process ended; shared with the test */

/* Whether accesses are sent here still, with nobody left to answer them. */
_Noreturn void __wrap__exit(int status)
{
	if (page_before)
		memcpy(page_before, dom.page, MODEL_PAGE);
	if (dom.enabled && dom.nranges && status == 1)
		status = STILL_SERVED;
	else if (dom.enabled || dom.nranges)
		status = LEFT_BADLY;
	__real__exit(status);
}

/* A reset that comes when the store has been given up. */
static void late_reset(void)
{
	fill_slot(0, IOREQ_TYPE_COPY, register_of(0, VIRTIO_MMIO_STATUS), 4,
		  false, 0);
}

/* Nothing of the guest outlives the program. */
static void start_without_states(void)
{
	dom.states = "/proc/nowhere";
	start(1);
	assert_int_equal(logged("cannot be taken over by the next process"), 1);
}

static void late_reset_when_given_up(void)
{
	start_without_states();
	finish();
	write_held(&disk[0]);
	ask_end();
	wait_until(is_dead(0));
	usleep(200000);
	dom.on_disable = late_reset;
	ask_end();
	program_ended();
}

static void give_up_on_store(void)
{
	start_without_states();
	finish();
	write_held(&disk[0]);
	begin_reset(1, 0);
	a_while();
	ask_end();
	wait_until(is_dead(0));
	/* Two that come together count as one. */
	usleep(200000);
	assert_false(answered(1));
	ask_end();
	program_ended();
}

/*
 * The store hangs, and the program is ended all the same. What it has in flight
 * may be written to the guest's memory at any time from then on: the vCPU that
 * waits for a reset must not be let go.
 */
static void abandons(void (*act)(void))
{
	int status;

	page_before = mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page_before, MAP_FAILED);
	status = in_child(act);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_abandon(void **state)
{
	(void)state;
	abandons(give_up_on_store);
	assert_int_equal(page_before[1].state, STATE_IOREQ_INPROCESS);
	munmap(page_before, MODEL_PAGE);
}

static void test_abandon_late_reset(void **state)
{
	(void)state;
	abandons(late_reset_when_given_up);
	/* Xen's vCPU must not have got an answer. */
	assert_int_not_equal(page_before[0].state, STATE_IOREQ_NONE);
	munmap(page_before, MODEL_PAGE);
}

/* The guest's next process has all of it: Xen is told nothing. */
static void give_up_and_leave(void)
{
	start(1);
	finish();
	write_held(&disk[0]);
	begin_reset(1, 0);
	a_while();
	ask_end();
	usleep(200000);
	assert_false(answered(1));
	ask_end();
	program_ended();
}

static void leave_and_give_up(void)
{
	dom.leaves = true;
	give_up_and_leave();
}

static void abandons_and_leaves(void (*act)(void))
{
	int status;

	page_before = mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page_before, MAP_FAILED);
	status = in_child(act);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STILL_SERVED);
	assert_int_equal(page_before[1].state, STATE_IOREQ_INPROCESS);
	munmap(page_before, MODEL_PAGE);
}

static void test_abandon_while_leaving(void **state)
{
	(void)state;
	abandons_and_leaves(leave_and_give_up);
}

/* What was to be taken away, and could not, is left. */
static void test_abandon_while_detaching(void **state)
{
	(void)state;
	abandons_and_leaves(give_up_and_leave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_serves),
		host_test(test_reset_waits_for_detach),
		host_test(test_reset_waits_for_end),
		host_test(test_reset_waits_for_destroy),
		host_test(test_closing_disk_is_dead),
		host_test(test_closes_under_a_busy_guest),
		host_test(test_last_moments_of_detach),
		host_test(test_last_moments_of_program),
		host_test(test_late_access_to_one_of_two),
		host_test(test_failed_attach_while_closing),
		host_test(test_domain_dies_with_io),
		host_test(test_both_wait_for_detach),
		host_test(test_both_wait_for_end),
		host_test(test_both_wait_for_destroy_and_end),
		host_test(test_invalidate_with_io),
		cmocka_unit_test(test_abandon),
		cmocka_unit_test(test_abandon_late_reset),
		cmocka_unit_test(test_abandon_while_leaving),
		cmocka_unit_test(test_abandon_while_detaching),
	};

	return cmocka_run_group_tests_name("domain: teardown", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
