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
/* LDFLAGS: -Wl,--wrap=usleep */
/*
 * An IOREQ server that outlives its process, on a fake hypervisor that kills
 * before and after every call: the next process finds the server and knows of
 * each range, an access that was sent in any state of its slot is answered
 * exactly once and never as by no device, and what cannot be right is refused.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_server.h"

#include <limits.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ioreq_state kept;

/* Whoever waits for a process that ends: no test does. */
static unsigned int naps;

int __wrap_usleep(useconds_t us);

int __wrap_usleep(useconds_t us)
{
	assert_in_range(us, 1, 100000);
	naps++;
	return 0;
}

/* ---- processes ----------------------------------------------------------- */

/* A process with a server and no window. */
static void begin(unsigned int nvcpus)
{
	memset(&f, 0, sizeof(f));
	memset(&kept, 0, sizeof(kept));
	xen_start(nvcpus);
	assert_int_equal(loop_init(&f.loop), 0);
	f.state = &kept;
	f.window = window_at(BASE);
	f.other = window_at(OTHER);
}

static void add_windows(void)
{
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	assert_int_equal(ioreq_server_add(&f.server, &f.other), 0);
}

static void begin_with_windows(unsigned int nvcpus)
{
	begin(nvcpus);
	assert_int_equal(open_server(), 0);
	add_windows();
}

/* kill -9, and there is another process, which has adopted nothing yet. */
static void next_process(void)
{
	xen_process_dies();
	loop_finish(&f.loop);
	memset(&f, 0, sizeof(f));
	assert_int_equal(loop_init(&f.loop), 0);
	f.state = &kept;
	f.window = window_at(BASE);
	f.other = window_at(OTHER);
}

static int adopt(const char **why)
{
	set_invalidate();
	return ioreq_server_adopt(&f.server, &xen_fake, &f.loop, XEN_DOMID,
				  &kept, why);
}

static void adopted(void)
{
	const char *why = "";

	f.any_vcpu = true;
	if (adopt(&why))
		fail_msg("not adopted: %s", why);
	xen_check_slots();
}

/* All waiting ones are dealt with: the loop does nothing, and may sleep. */
static void is_quiet(void)
{
	assert_false(poll_server());
	assert_true(rest_server());
	xen_check_slots();
}

static void end(void)
{
	ioreq_server_close(&f.server);
	assert_true(ioreq_state_is_empty(&kept));
	assert_null(f.loop.pollers);
	loop_finish(&f.loop);
	xen_stop();
}

/* ---- slots --------------------------------------------------------------- */

enum kind {
	READ,
	WRITE,
	OTHER_READ,
	NOWHERE,
	INVALIDATE,
	KINDS,
};

static void send_access(unsigned int v, enum kind kind, unsigned int state)
{
	static const uint64_t addr[] = {
		[READ] = BASE + 0x60,      [WRITE] = BASE + 0x70,
		[OTHER_READ] = OTHER,      [NOWHERE] = BASE + 0x10000,
		[INVALIDATE] = UINT64_MAX,
	};

	if (state == STATE_IOREQ_NONE)
		return;
	xen_access(v, addr[kind], 4, kind != WRITE, 7);
	if (kind == INVALIDATE)
		xen.page[v].type = IOREQ_TYPE_INVALIDATE;
	/* As far as the process came. */
	xen.page[v].state = state & 15;
}

/* Whether a window's owner is to answer it. */
static bool waits(enum kind kind, unsigned int state)
{
	return kind < NOWHERE &&
	       (state == STATE_IOREQ_READY || state == STATE_IOREQ_INPROCESS);
}

static void answered_by_window(unsigned int v, enum kind kind)
{
	assert_int_equal(xen.vcpu[v].answers, 1);
	if (kind != WRITE)
		assert_int_equal(xen.page[v].data, 0x1122334455667788u);
}

/* Each state of a slot, for each kind of access; the windows are adopted. */
static void each_slot(void (*check)(enum kind kind, unsigned int state))
{
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int s = STATE_IOREQ_NONE; s <= STATE_IORESP_READY;
		     s++) {
			begin_with_windows(1);
			send_access(0, kind, s);
			next_process();
			adopted();
			assert_true(ioreq_server_awaits(&f.server, BASE));
			assert_true(ioreq_server_awaits(&f.server, OTHER));
			assert_false(ioreq_server_awaits(&f.server, 1));
			is_quiet();
			assert_int_equal(f.reads + f.writes, 0);
			assert_int_equal(xen.vcpu[0].answers,
					 s != STATE_IOREQ_NONE &&
						 !waits(kind, s));
			if (kind == INVALIDATE)
				assert_int_equal(
					f.invalidates,
					s == STATE_IOREQ_READY ||
						s == STATE_IOREQ_INPROCESS);
			check(kind, s);
			end();
		}
	}
}

static void adopt_windows(enum kind kind, unsigned int state)
{
	unsigned int effects = waits(kind, state);

	add_windows();
	is_quiet();
	assert_int_equal(f.reads + f.writes, 0);
	ioreq_server_go_on(&f.server, &f.other);
	assert_int_equal(f.reads + f.writes, effects && kind == OTHER_READ);
	ioreq_server_go_on(&f.server, &f.window);
	assert_int_equal(f.reads + f.writes, effects);
	if (effects)
		answered_by_window(0, kind);
	assert_false(ioreq_server_awaits_any(&f.server));
	is_quiet();
	assert_int_equal(xen.vcpu[0].answers, state != STATE_IOREQ_NONE);
	assert_int_equal(access_now(0, OTHER, 4, true, 0), 0x1122334455667788u);
	assert_int_equal(xen.nranges, 2);
}

static void test_each_slot(void **state)
{
	(void)state;
	each_slot(adopt_windows);
}

/* The first one is disowned: as if there were no device, and only then. */
static void disown_window(enum kind kind, unsigned int state)
{
	assert_int_equal(ioreq_server_add(&f.server, &f.other), 0);
	ioreq_server_go_on(&f.server, &f.other);
	ioreq_server_disown(&f.server, 1); /* which there is not */
	assert_true(xen_has_range(BASE));
	ioreq_server_disown(&f.server, BASE);
	assert_false(xen_has_range(BASE));
	assert_true(xen_has_range(OTHER));
	is_quiet();
	assert_int_equal(xen.vcpu[0].answers, state != STATE_IOREQ_NONE);
	if (waits(kind, state) && kind == READ)
		assert_int_equal(xen.page[0].data, UINT64_MAX);
	if (waits(kind, state) && kind == OTHER_READ)
		answered_by_window(0, kind);
	assert_int_equal(access_now(0, BASE, 4, true, 0), UINT64_MAX);
	/* It may come again, as a new one. */
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	assert_int_equal(access_now(0, BASE, 4, true, 0), 0x1122334455667788u);
}

static void test_each_slot_disowned(void **state)
{
	(void)state;
	each_slot(disown_window);
}

/* The server ends, and nobody has come for the windows. */
static void nothing(enum kind kind, unsigned int state)
{
	(void)kind;
	(void)state;
}

static void test_each_slot_at_the_end(void **state)
{
	(void)state;
	each_slot(nothing);
}

/* Several at once; events of all, those of awaited windows in vain. */
static void test_many_vcpus(void **state)
{
	const unsigned int n = 128;
	unsigned int effects = 0;

	(void)state;
	begin_with_windows(n);
	for (unsigned int v = 0; v < n; v++) {
		send_access(v, v % KINDS, v / KINDS % 4);
		effects += waits(v % KINDS, v / KINDS % 4);
	}
	next_process();
	adopted();
	is_quiet();
	for (unsigned int v = 0; v < n; v++) {
		bool sent = v / KINDS % 4 != STATE_IOREQ_NONE;

		assert_int_equal(xen.vcpu[v].answers,
				 sent && !waits(v % KINDS, v / KINDS % 4));
		if (!sent)
			send_access(v, READ, STATE_IOREQ_READY);
		effects += !sent;
	}
	f.server.source.ready(&f.server.source, EPOLLIN);
	is_quiet();
	add_windows();
	ioreq_server_go_on(&f.server, &f.window);
	ioreq_server_go_on(&f.server, &f.other);
	for (unsigned int v = 0; v < n; v++)
		assert_int_equal(xen.vcpu[v].answers, 1);
	assert_int_equal(f.reads + f.writes, effects);
	is_quiet();
	end();
}

/* A reset waited for requests in flight: it is made again, and waits again. */
static void test_waiting_write(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		begin_with_windows(2);
		f.wait = true;
		f.vcpu = 1;
		xen_access(1, BASE + 0x70, 4, false, 0);
		assert_true(poll_server());
		assert_int_equal(f.writes, 1);
		next_process();
		adopted();
		add_windows();
		is_quiet();
		f.wait = again;
		ioreq_server_go_on(&f.server, &f.window);
		assert_int_equal(f.writes, 1);
		assert_int_equal(xen.vcpu[1].answers, !again);
		is_quiet();
		ioreq_server_release(&f.server, &f.window);
		assert_int_equal(xen.vcpu[1].answers, 1);
		is_quiet();
		end();
	}
}

/* Left on purpose: nothing is undone, and the next one finds it all. */
static void test_leave(void **state)
{
	(void)state;
	begin_with_windows(3);
	f.wait = true;
	f.vcpu = 1;
	xen_access(1, BASE + 0x70, 4, false, 0);
	assert_true(poll_server());
	xen_access(2, OTHER, 4, true, 0);
	ioreq_server_leave(&f.server);
	assert_null(f.loop.pollers);
	assert_int_equal(xen.nranges, 2);
	assert_int_equal(xen.servers, 1);
	assert_int_equal(xen.enabled, 1);
	assert_int_equal(xen.pages, 0);
	for (unsigned int v = 0; v < 3; v++) {
		assert_false(xen.vcpu[v].bound);
		assert_int_equal(xen.vcpu[v].answers, 0);
	}
	next_process();
	adopted();
	add_windows();
	ioreq_server_go_on(&f.server, &f.window);
	ioreq_server_go_on(&f.server, &f.other);
	assert_int_equal(xen.vcpu[1].answers, 1);
	assert_int_equal(xen.vcpu[2].answers, 1);
	/* One that is left with windows that are still awaited, too. */
	next_process();
	adopted();
	assert_int_equal(ioreq_server_add(&f.server, &f.other), 0);
	ioreq_server_go_on(&f.server, &f.other);
	ioreq_server_leave(&f.server);
	next_process();
	adopted();
	assert_true(ioreq_server_awaits(&f.server, BASE));
	assert_true(ioreq_server_awaits(&f.server, OTHER));
	end();
}

/* ---- killed between any two calls ---------------------------------------- */

/* All that a server does in its life. */
static void live(void)
{
	assert_int_equal(open_server(), 0);
	add_windows();
	access_now(0, BASE, 4, true, 0);
	ioreq_server_remove(&f.server, &f.window);
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	ioreq_server_close(&f.server);
}

/* ... of the second one, which has adopted it. */
static void live_on(void)
{
	adopted();
	ioreq_server_disown(&f.server, OTHER);
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	ioreq_server_go_on(&f.server, &f.window);
	ioreq_server_leave(&f.server);
	adopted();
	ioreq_server_close(&f.server);
}

/* What is mapped is known. */
static void every_range_has_a_row(void)
{
	for (unsigned int i = 0; i < xen.nranges; i++) {
		bool found = false;

		for (unsigned int k = 0; k < IOREQ_WINDOWS_MAX; k++)
			found |= kept.window[k].used &&
				 kept.window[k].base == xen.range[i].first;
		if (!found)
			fail_msg("range %#lx is nobody's after step %u",
				 (unsigned long)xen.range[i].first, xen.steps);
	}
}

/* A vCPU that is on its way goes by the ranges that are mapped. */
static void access_somewhere(void)
{
	if (xen.page[0].state == STATE_IOREQ_NONE && xen_has_range(BASE))
		xen_access(0, BASE, 4, true, 0);
}

/* The process after: takes what is there, and all of it works. */
static void go_on_after_kill(void)
{
	bool accessed = xen.page[0].state != STATE_IOREQ_NONE &&
			xen.page[0].state != STATE_IORESP_READY;
	const char *why = "";
	int r = -ENOENT;

	f.any_vcpu = true;
	if (!ioreq_state_is_empty(&kept))
		r = adopt(&why);
	if (r != 0 && r != -ENOENT)
		fail_msg("not adopted after step %u: %s", xen.steps, why);
	if (r)
		assert_int_equal(open_server(), 0);
	is_quiet();
	if (accessed && xen_has_range(BASE))
		assert_int_equal(f.reads, 0);
	for (int i = 0; i < 2; i++) {
		struct ioreq_window *w = i ? &f.other : &f.window;
		bool awaited = ioreq_server_awaits(&f.server, w->id);

		assert_int_equal(ioreq_server_add(&f.server, w), 0);
		if (awaited)
			ioreq_server_go_on(&f.server, w);
		is_quiet();
	}
	if (xen.page[0].state != STATE_IOREQ_NONE)
		fail_msg("the vCPU stands still after step %u", xen.steps);
	assert_int_equal(access_now(0, OTHER, 4, true, 0), 0x1122334455667788u);
	assert_int_equal(access_now(0, BASE, 4, true, 0), 0x1122334455667788u);
}

/* Killed at step `k`: whether it was, before the end. */
static bool kill_at(void (*before)(void), void (*life)(void), unsigned int k,
		    bool after)
{
	begin(2);
	if (before)
		before();
	xen.die_at = xen.steps + k;
	xen.die_after = after;
	if (setjmp(xen.death) == 0)
		life();
	if (xen.steps < xen.die_at) {
		assert_true(ioreq_state_is_empty(&kept));
		loop_finish(&f.loop);
		xen_stop();
		return false;
	}
	/* The dead are forgotten without their loop being told. */
	xen.die_at = 0;
	every_range_has_a_row();
	xen_process_dies();
	access_somewhere();
	next_process();
	go_on_after_kill();
	end();
	assert_true(xen.orphans <= 1);
	return true;
}

static void kill_everywhere(void (*before)(void), void (*life)(void),
			    unsigned int least)
{
	unsigned int k = 1;

	for (int after = 0; after < 2; after++) {
		for (k = 1; kill_at(before, life, k, after); k++)
			continue;
		print_message("# %u steps\n", k - 1);
		assert_true(k > least);
	}
}

static void test_killed_at_each_call(void **state)
{
	(void)state;
	kill_everywhere(NULL, live, 15);
}

/* What the first process has left: windows, an access that is half done. */
static void left_behind(void)
{
	assert_int_equal(open_server(), 0);
	add_windows();
	send_access(0, READ, STATE_IOREQ_INPROCESS);
	xen_process_dies();
	loop_finish(&f.loop);
	memset(&f.server, 0, sizeof(f.server));
	assert_int_equal(loop_init(&f.loop), 0);
}

static void test_killed_while_adopting(void **state)
{
	(void)state;
	kill_everywhere(left_behind, live_on, 12);
}

/* ---- what fails ---------------------------------------------------------- */

/* Xen refuses a call of the adoption: nothing is changed, and it is possible */
static void test_each_call_fails(void **state)
{
	static const int errors[] = { EPERM, ENOMEM, ESRCH, EBUSY };
	unsigned int k = 1;
	int r;

	(void)state;
	do {
		struct ioreq_state before;
		const char *why = NULL;
		struct model_log log;

		begin_with_windows(3);
		send_access(0, READ, STATE_IOREQ_READY);
		send_access(1, WRITE, STATE_IOREQ_INPROCESS);
		next_process();
		before = kept;
		xen.fail_at = xen.calls + k;
		xen.fail_errno = errors[k % 4];
		log_begin(&log);
		r = adopt(&why);
		log_end(&log);
		xen.fail_at = 0;
		if (r) {
			/* Whatever it is that the page is not mapped for. */
			assert_int_equal(r, k == 2 ? -ENOENT : -xen.fail_errno);
			assert_true(strlen(why) > 10);
			assert_memory_equal(&before, &kept, sizeof(kept));
			assert_int_equal(xen.pages, 0);
			assert_int_equal(xen.nranges, 2);
			assert_int_equal(xen.servers, 1);
			assert_null(f.loop.pollers);
			for (unsigned int v = 0; v < 3; v++)
				assert_false(xen.vcpu[v].bound);
			adopted();
		}
		assert_int_equal(xen.vcpu[0].answers, 0);
		add_windows();
		f.any_vcpu = true;
		ioreq_server_go_on(&f.server, &f.window);
		assert_int_equal(xen.vcpu[0].answers, 1);
		assert_int_equal(xen.vcpu[1].answers, 1);
		end();
		k++;
	} while (r);
	assert_int_equal(k, 8); /* 3 calls, 3 vCPUs, and the success */
}

/* A page that cannot be mapped for want of memory is not gone. */
static void test_no_memory_for_the_page(void **state)
{
	const char *why = NULL;

	(void)state;
	begin_with_windows(1);
	next_process();
	xen.fail_at = xen.calls + 2;
	xen.fail_errno = ENOMEM;
	assert_int_equal(adopt(&why), -ENOMEM);
	adopted();
	end();
}

/* The process before has given its lock back, and its ports not yet. */
static void test_ports_are_waited_for(void **state)
{
	(void)state;
	begin_with_windows(3);
	send_access(1, NOWHERE, STATE_IOREQ_READY);
	next_process();
	naps = 0;
	xen.held = 100;
	adopted();
	assert_int_equal(xen.held, 0);
	assert_int_equal(naps, 100);
	assert_int_equal(xen.vcpu[1].answers, 1);
	end();
}

/* It does not: all is as it was, and not taken for a state that is wrong. */
static void test_ports_are_never_free(void **state)
{
	const char *why = NULL;
	struct ioreq_state before;
	struct model_log log;

	(void)state;
	begin_with_windows(3);
	next_process();
	before = kept;
	xen.held = UINT_MAX;
	log_begin(&log);
	assert_int_equal(adopt(&why), -EBUSY);
	assert_int_equal(log_end(&log), 1);
	assert_memory_equal(&before, &kept, sizeof(kept));
	assert_int_equal(xen.pages, 0);
	xen.held = 0;
	adopted();
	end();
}

static void test_refusal_is_not_of_the_state(void **state)
{
	static const int errors[] = { EINVAL, EOPNOTSUPP, ENODATA };
	/* The number of vCPUs; to enable it. */
	static const unsigned int calls[] = { 1, 3 };

	(void)state;
	begin_with_windows(1);
	for (unsigned int i = 0; i < 6; i++) {
		const char *why = NULL;

		next_process();
		xen.fail_at = xen.calls + calls[i % 2];
		xen.fail_errno = errors[i / 2];
		assert_int_equal(adopt(&why), -EIO);
	}
	next_process();
	adopted();
	end();
}

/* The server of the state is not there: a new one takes its place. */
static void test_gone(void **state)
{
	const char *why = NULL;

	(void)state;
	begin_with_windows(1);
	next_process();
	xen.servers = 0;
	xen.nranges = 0;
	xen.enabled = 0;
	assert_int_equal(adopt(&why), -ENOENT);
	assert_string_equal(why, "its IOREQ server is gone");
	assert_int_equal(open_server(), 0);
	assert_false(ioreq_server_awaits_any(&f.server));
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		assert_int_equal(kept.window[i].used, 0);
	add_windows();
	access_now(0, BASE, 4, true, 0);
	end();
}

/* ---- what is refused ----------------------------------------------------- */

/* Refused with a sentence, and nothing was done to Xen or the state. */
static void refused(int error)
{
	unsigned int steps = xen.steps;
	struct ioreq_state before = kept;
	const char *why = NULL;

	assert_int_equal(adopt(&why), error);
	assert_true(why && strlen(why) > 10);
	assert_memory_equal(&before, &kept, sizeof(kept));
	/* The number of vCPUs was asked for. */
	assert_true(xen.steps <= steps + 1);
	assert_null(f.loop.pollers);
}

/* Every bit of what has one right value. */
static void test_header_refused(void **state)
{
	const size_t version = offsetof(struct ioreq_state, version);
	const size_t server = offsetof(struct ioreq_state, server);

	(void)state;
	begin_with_windows(2);
	next_process();
	for (size_t bit = 0; bit < 8 * offsetof(struct ioreq_state, window);
	     bit++) {
		uint8_t *at = (uint8_t *)&kept + bit / 8;

		/* Another number is a server that there is not. */
		if (bit / 8 >= server && bit / 8 < server + 2)
			continue;
		*at ^= (uint8_t)(1u << bit % 8);
		refused(bit / 8 >= version && bit / 8 < version + 4 ?
				-EOPNOTSUPP :
				-EINVAL);
		*at ^= (uint8_t)(1u << bit % 8);
	}
	adopted();
	end();
}

static void test_rows_refused(void **state)
{
	static const struct ioreq_state_window bad[] = {
		{ .id = 9, .base = 0x3000000, .bytes = 0x200, .used = 2 },
		{ .id = 9, .base = 0x3000000, .bytes = 0x200, .used = ~0u },
		{ 9, 0x3000000, 0x200, 1, 1 },
		{ 9, 0x3000000, 0, 1, 0 },
		{ 9, 0x3000000, IOREQ_WINDOW_BYTES_MAX + 1, 1, 0 },
		{ 9, 0x3000000, UINT64_MAX, 1, 0 },
		{ 9, UINT64_MAX, 1, 1, 0 },
		{ 9, UINT64_MAX - 0x1ff, 0x200, 1, 0 },
		{ BASE, 0x3000000, 0x200, 1, 0 }, /* twice */
		{ 9, BASE, 0x200, 1, 0 },
		{ 9, BASE + 0x1ff, 1, 1, 0 },
		{ 9, BASE - 0x1ff, 0x200, 1, 0 },
		{ 9, OTHER - 1, 0x300, 1, 0 },
	};

	(void)state;
	begin_with_windows(1);
	next_process();
	for (size_t i = 0; i < COUNT(bad); i++) {
		for (unsigned int row = 2; row < IOREQ_WINDOWS_MAX; row += 13) {
			kept.window[row] = bad[i];
			refused(-EINVAL);
			/* Of one that is not used nothing counts. */
			kept.window[row].used = 0;
			adopted();
			ioreq_server_leave(&f.server);
			next_process();
			memset(&kept.window[row], 0, sizeof(kept.window[row]));
		}
	}
	adopted();
	end();
}

static void test_windows_that_conflict(void **state)
{
	struct ioreq_window w[IOREQ_WINDOWS_MAX + 1];

	(void)state;
	begin(1);
	assert_int_equal(open_server(), 0);
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	for (size_t i = 0; i < COUNT(w); i++) {
		w[i] = window_at(BASE + 0x200 * (i + 1));
		assert_int_equal(ioreq_server_add(&f.server, &w[i]),
				 i + 1 < IOREQ_WINDOWS_MAX ? 0 : -ENOSPC);
	}
	ioreq_server_remove(&f.server, &w[3]);
	w[3].base--;
	assert_int_equal(ioreq_server_add(&f.server, &w[3]), -EEXIST);
	w[3].base++;
	/* What Xen says is taken is taken, but for what was ours. */
	xen.fail_at = xen.calls + 1;
	xen.fail_errno = EEXIST;
	assert_int_equal(ioreq_server_add(&f.server, &w[3]), -EEXIST);
	assert_int_equal(kept.window[4].used, 0);
	assert_int_equal(ioreq_server_add(&f.server, &w[3]), 0);
	end();
}

/* The row of a disk that has another place by now. */
static void test_window_elsewhere(void **state)
{
	struct ioreq_window moved;

	(void)state;
	begin_with_windows(1);
	next_process();
	adopted();
	moved = window_at(BASE);
	moved.base += 0x1000;
	assert_int_equal(ioreq_server_add(&f.server, &moved), -EINVAL);
	moved.base = BASE;
	moved.bytes = 0x100;
	assert_int_equal(ioreq_server_add(&f.server, &moved), -EINVAL);
	ioreq_server_remove(&f.server, &moved);
	assert_true(ioreq_server_awaits(&f.server, BASE));
	/* Added, and given up: it is awaited as before. */
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	send_access(0, READ, STATE_IOREQ_READY);
	ioreq_server_remove(&f.server, &f.window);
	is_quiet();
	assert_true(ioreq_server_awaits(&f.server, BASE));
	assert_true(xen_has_range(BASE));
	assert_int_equal(xen.vcpu[0].answers, 0);
	ioreq_server_disown(&f.server, BASE);
	assert_int_equal(xen.vcpu[0].answers, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_slot),
		cmocka_unit_test(test_each_slot_disowned),
		cmocka_unit_test(test_each_slot_at_the_end),
		cmocka_unit_test(test_many_vcpus),
		cmocka_unit_test(test_waiting_write),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_killed_at_each_call),
		cmocka_unit_test(test_killed_while_adopting),
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_no_memory_for_the_page),
		cmocka_unit_test(test_ports_are_waited_for),
		cmocka_unit_test(test_ports_are_never_free),
		cmocka_unit_test(test_refusal_is_not_of_the_state),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_header_refused),
		cmocka_unit_test(test_rows_refused),
		cmocka_unit_test(test_windows_that_conflict),
		cmocka_unit_test(test_window_elsewhere),
	};

	return cmocka_run_group_tests_name("xen_adopt", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
