/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_nr_vcpus */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_create_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_destroy_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_set_ioreq_server_state */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_map_io_range_to_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_unmap_io_range_from_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_set_irq_level */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_map_resource */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_unmap_resource */
/* LDFLAGS: -Wl,--wrap=xenevtchn_fd */
/* LDFLAGS: -Wl,--wrap=xenevtchn_bind_interdomain */
/* LDFLAGS: -Wl,--wrap=xenevtchn_unbind */
/* LDFLAGS: -Wl,--wrap=xenevtchn_notify */
/*
 * The IOREQ server on a fake hypervisor: each access is answered exactly once
 * and in the right order of states, waiting accesses wait, events are masked
 * until the loop rests, and whatever fails when it is opened leaves nothing
 * behind.
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_server.h"

static void test_open_and_close(void **state)
{
	(void)state;
	for (unsigned int n = 1; n <= 128; n += 127) {
		start(n);
		assert_int_equal(xen.nranges, 2);
		assert_int_equal(xen.range[0].first, BASE);
		assert_int_equal(xen.range[0].last, BASE + 0x1ff);
		finish();
	}
}

static void test_reads_and_writes(void **state)
{
	(void)state;
	start(1);
	for (uint32_t size = 1; size <= 8; size *= 2) {
		assert_int_equal(access_now(0, BASE + 0x70, size, true, 0),
				 0x1122334455667788u);
		assert_ptr_equal(f.last, &f.window);
		assert_int_equal(f.offset, 0x70);
		assert_int_equal(f.size, size);
		access_now(0, OTHER + 0x1f8, size, false, 0xabcdef);
		assert_ptr_equal(f.last, &f.other);
		assert_int_equal(f.offset, 0x1f8);
		assert_int_equal(f.value, 0xabcdef);
	}
	assert_int_equal(f.reads, 4);
	assert_int_equal(f.writes, 4);
	assert_int_equal(f.server.requests, 8);
	finish();
}

/* Where no window is, or not all of the access is in one. */
static void test_unknown_addresses(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t size;
	} cases[] = {
		{ 0, 4 },
		{ BASE - 1, 1 },
		{ BASE - 1, 4 },
		{ BASE + 0x1ff, 2 },
		{ BASE + 0x1fd, 4 },
		{ BASE + 0x200, 4 },
		{ BASE + 0x1f9, 8 },
		{ BASE, 0x201 },
		{ BASE, UINT32_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 3, 8 },
		{ OTHER - 4, 8 },
	};

	(void)state;
	start(1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(access_now(0, cases[i].addr, cases[i].size,
					    true, 0),
				 UINT64_MAX);
		access_now(0, cases[i].addr, cases[i].size, false, 1);
	}
	assert_int_equal(f.reads + f.writes, 0);
	finish();
}

/* What Xen on Arm never sends is answered as well. */
static void test_odd_requests(void **state)
{
	(void)state;
	start(1);
	for (unsigned int type = 0; type < 256; type++) {
		for (unsigned int pointer = 0; pointer < 2; pointer++) {
			unsigned int answers = xen.vcpu[0].answers;

			if (type == IOREQ_TYPE_INVALIDATE ||
			    (type == IOREQ_TYPE_COPY && !pointer))
				continue;
			xen_access(0, BASE, 4, true, 0);
			xen.page[0].type = (uint8_t)type;
			xen.page[0].data_is_ptr = pointer != 0;
			assert_true(poll_server());
			assert_int_equal(xen.vcpu[0].answers, answers + 1);
			assert_int_equal(xen.page[0].data, UINT64_MAX);
			assert_int_equal(xen.page[0].data_is_ptr, pointer);
		}
	}
	assert_int_equal(f.reads + f.writes + f.invalidates, 0);
	finish();
}

static void test_invalidate(void **state)
{
	(void)state;
	start(2);
	for (unsigned int i = 1; i <= 3; i++) {
		f.vcpu = 1;
		xen_access(1, ~UINT64_C(0), 8, i % 2, ~UINT64_C(0));
		xen.page[1].type = IOREQ_TYPE_INVALIDATE;
		assert_true(poll_server());
		assert_int_equal(f.invalidates, i);
		assert_int_equal(xen.vcpu[1].answers, i);
	}
	finish();
}

/* Only READY is for us. */
static void test_other_states(void **state)
{
	static const unsigned int states[] = { STATE_IOREQ_NONE,
					       STATE_IOREQ_INPROCESS,
					       STATE_IORESP_READY, 4, 15 };

	(void)state;
	start(1);
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		xen.page[0].state = states[i] & 15;
		assert_false(poll_server());
		assert_true(rest_server());
		assert_int_equal(xen.page[0].state, states[i]);
	}
	assert_int_equal(xen.vcpu[0].answers, 0);
	finish();
}

static void test_waiting(void **state)
{
	(void)state;
	start(3);
	f.wait = true;
	f.vcpu = 1;
	xen_access(1, BASE + 0x70, 4, false, 0);
	assert_true(poll_server());
	assert_int_equal(xen.vcpu[1].answers, 0);
	assert_int_equal(xen.page[1].state, STATE_IOREQ_INPROCESS);
	assert_false(poll_server());
	/* The others go on meanwhile, one of them waits too. */
	f.wait = false;
	access_now(0, BASE, 4, true, 0);
	f.wait = true;
	f.vcpu = 2;
	xen_access(2, OTHER, 4, false, 0);
	assert_true(poll_server());
	ioreq_server_release(&f.server, &f.window);
	assert_int_equal(xen.vcpu[1].answers, 1);
	assert_int_equal(xen.vcpu[2].answers, 0);
	ioreq_server_release(&f.server, &f.window);
	assert_int_equal(xen.vcpu[1].answers, 1);
	ioreq_server_release(&f.server, &f.other);
	assert_int_equal(xen.vcpu[2].answers, 1);
	assert_int_equal(f.writes, 2);
	finish();
}

/* A vCPU must not stand still for ever because its window went away. */
static void test_waiting_when_the_window_goes(void **state)
{
	(void)state;
	start(2);
	f.wait = true;
	for (f.vcpu = 0; f.vcpu < 2; f.vcpu++) {
		xen_access(f.vcpu, f.vcpu ? OTHER : BASE, 4, false, 0);
		assert_true(poll_server());
	}
	ioreq_server_remove(&f.server, &f.window);
	assert_int_equal(xen.vcpu[0].answers, 1);
	assert_int_equal(xen.vcpu[1].answers, 0);
	assert_int_equal(xen.nranges, 1);
	assert_int_equal(access_now(0, BASE, 4, true, 0), UINT64_MAX);
	ioreq_server_remove(&f.server, &f.window); /* twice is once */
	assert_int_equal(xen.nranges, 1);
	finish();
}

static void test_waiting_when_the_server_closes(void **state)
{
	(void)state;
	start(1);
	f.wait = true;
	f.vcpu = 0;
	xen_access(0, BASE, 4, false, 0);
	assert_true(poll_server());
	ioreq_server_close(&f.server);
	assert_int_equal(xen.vcpu[0].answers, 1);
	xen_check_clean();
	loop_finish(&f.loop);
	xen_stop();
}

static void test_many_vcpus_at_once(void **state)
{
	(void)state;
	start(128);
	for (unsigned int round = 1; round <= 3; round++) {
		for (unsigned int i = 0; i < 128; i++) {
			xen_access(i, i, 4, true, 0);
			assert_int_equal(xen.page[i].state, STATE_IOREQ_READY);
		}
		assert_true(poll_server());
		for (unsigned int i = 0; i < 128; i++)
			assert_int_equal(xen.vcpu[i].answers, round);
	}
	finish();
}

/* ---- events -------------------------------------------------------------- */

static void take_events(void)
{
	f.server.source.ready(&f.server.source, EPOLLIN);
}

static void test_events_stay_masked_until_rest(void **state)
{
	(void)state;
	start(2);
	access_now(0, BASE, 4, true, 0);
	take_events();
	assert_int_equal(xen_take_unmasked(), 0);
	access_now(1, BASE, 4, true, 0);
	take_events();
	access_now(0, BASE, 4, true, 0);
	assert_int_equal(xen_take_unmasked(), 0);
	assert_true(rest_server());
	assert_int_equal(xen_take_unmasked(), 2);
	/* Nothing to unmask: nothing is written. */
	take_events();
	assert_true(rest_server());
	xen_take_unmasked();
	assert_true(rest_server());
	assert_int_equal(xen_take_unmasked(), 0);
	finish();
}

/* An access that came while its event was masked is found by resting. */
static void test_access_while_resting(void **state)
{
	(void)state;
	start(2);
	access_now(0, BASE, 4, true, 0);
	take_events();
	f.vcpu = 0;
	xen_access(0, BASE, 4, true, 0);
	assert_false(rest_server());
	assert_int_equal(xen_take_unmasked(), 1);
	assert_true(poll_server());
	assert_int_equal(xen.vcpu[0].answers, 2);
	finish();
}

/* Who slept with a masked event would never hear of that vCPU again. */
static void test_unmasking_fails(void **state)
{
	struct model_log log;
	int fd, kept;

	(void)state;
	start(2);
	access_now(1, BASE, 4, true, 0);
	take_events();
	/* A descriptor that cannot be written to. */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	kept = dup(xen.fd[0]);
	assert_true(fd >= 0 && kept >= 0);
	assert_true(dup2(fd, xen.fd[0]) >= 0);
	log_begin(&log);
	for (int i = 0; i < 1000; i++)
		assert_false(rest_server());
	assert_in_range(log_end(&log), 1, LOG_BURST);
	assert_true(dup2(kept, xen.fd[0]) >= 0);
	close(kept);
	close(fd);
	assert_true(rest_server());
	assert_int_equal(xen_take_unmasked(), 1);
	finish();
}

struct runner {
	struct loop_timer timer;
	unsigned int left;
};

/* Every few ms one access, which the sleeping loop is to be woken by. */
static void next_access(struct loop_timer *timer)
{
	struct runner *r = container_of(timer, struct runner, timer);

	xen_take_unmasked();
	assert_int_equal(xen.page[0].state, STATE_IOREQ_NONE);
	if (r->left-- == 0) {
		loop_quit(&f.loop);
		return;
	}
	f.vcpu = 0;
	xen_access(0, BASE, 4, true, 0);
	loop_arm(&f.loop, timer, 2 * NS_PER_MS);
}

static void test_in_a_loop(void **state)
{
	struct runner r = { { .due = next_access }, 30 };

	(void)state;
	start(1);
	loop_arm(&f.loop, &r.timer, NS_PER_MS);
	assert_int_equal(loop_run(&f.loop), 0);
	assert_int_equal(xen.vcpu[0].answers, 30);
	assert_int_equal(f.reads, 30);
	/* A wake-up for the timer and one for the event, not more. */
	assert_in_range(f.loop.sleeps, 1, 100);
	finish();
}

/* ---- what fails ---------------------------------------------------------- */

static void test_each_call_fails(void **state)
{
	static const int errors[] = { EPERM, ENOSYS, ESRCH, EINVAL, ENOMEM };
	unsigned int k = 1;
	int r;

	(void)state;
	do {
		struct model_log log;

		memset(&f, 0, sizeof(f));
		xen_start(3);
		assert_int_equal(loop_init(&f.loop), 0);
		xen.fail_at = k;
		xen.fail_errno = errors[k % 5];
		log_begin(&log);
		r = open_server();
		ioreq_server_close(&f.server);
		assert_int_equal(log_end(&log), r ? 1 : 0);
		if (r)
			assert_int_equal(r, -errors[k % 5]);
		assert_null(f.loop.pollers);
		loop_finish(&f.loop);
		xen_stop();
		k++;
	} while (r);
	assert_int_equal(k, 9); /* 4 calls, 3 vCPUs, and the success */
}

static void test_loop_fails(void **state)
{
	struct model_log log;

	(void)state;
	memset(&f, 0, sizeof(f));
	xen_start(1);
	f.loop.epoll_fd = -1;
	log_begin(&log);
	assert_int_equal(open_server(), -EBADF);
	assert_int_equal(log_end(&log), 1);
	ioreq_server_close(&f.server);
	xen_stop();
}

static void test_too_many_vcpus(void **state)
{
	static const unsigned int counts[] = { 129, 4096, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct model_log log;

		memset(&f, 0, sizeof(f));
		xen_start(1);
		assert_int_equal(loop_init(&f.loop), 0);
		xen.nr_vcpus_says = counts[i];
		log_begin(&log);
		assert_int_equal(open_server(), -E2BIG);
		assert_int_equal(log_end(&log), 1);
		ioreq_server_close(&f.server);
		loop_finish(&f.loop);
		xen_stop();
	}
}

static void test_range_is_refused(void **state)
{
	struct ioreq_window third = window_at(0x3000000);

	(void)state;
	start(1);
	xen.fail_at = xen.calls + 1;
	xen.fail_errno = EEXIST;
	assert_int_equal(ioreq_server_add(&f.server, &third), -EEXIST);
	assert_int_equal(access_now(0, 0x3000000, 4, true, 0), UINT64_MAX);
	ioreq_server_remove(&f.server, &third);
	assert_int_equal(xen.nranges, 2);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_and_close),
		cmocka_unit_test(test_reads_and_writes),
		cmocka_unit_test(test_unknown_addresses),
		cmocka_unit_test(test_odd_requests),
		cmocka_unit_test(test_invalidate),
		cmocka_unit_test(test_other_states),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_waiting_when_the_window_goes),
		cmocka_unit_test(test_waiting_when_the_server_closes),
		cmocka_unit_test(test_many_vcpus_at_once),
		cmocka_unit_test(test_events_stay_masked_until_rest),
		cmocka_unit_test(test_access_while_resting),
		cmocka_unit_test(test_unmasking_fails),
		cmocka_unit_test(test_in_a_loop),
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_loop_fails),
		cmocka_unit_test(test_too_many_vcpus),
		cmocka_unit_test(test_range_is_refused),
	};

	return cmocka_run_group_tests_name("xen_ioreq", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
