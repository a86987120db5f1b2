/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=signals_open,--wrap=link_message_receive */
/* LDFLAGS: -Wl,--wrap=worker_server_end,--wrap=worker_lives_died */
/*
 * What happens while the worker is asked for something and has not answered:
 * the toolstack takes a disk away, the guest dies, the program is to end. The
 * whole program on a fake host; things happen while the worker talks to Xen,
 * and its answers are held back for a while. At last a worker that means harm.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_again.h"
#include "lib/model_guest.h"
#include "link/message.h"
#include "monitor/worker_lives.h"
#include "worker/server.h"

static struct driver disk[3];

/* ---- what the worker says ---- */

enum { HELD_LOOKS = 50 }; /* of the monitor, at what is held */

static struct {
	unsigned int held;       /* looks that find nothing yet; atomic */
	bool lies;               /* once; atomic */
	struct link_message lie; /* instead of what was said */
	bool deafens;            /* the worker, once it has begun ... */
	bool deaf;               /* ... until it is to leave */
} said;

int __wrap_link_message_receive(int fd, enum link_end end,
				struct link_message *message,
				int fds[LINK_FDS_MAX], const char **why);
int __real_link_message_receive(int fd, enum link_end end,
				struct link_message *message,
				int fds[LINK_FDS_MAX], const char **why);

int __wrap_link_message_receive(int fd, enum link_end end,
				struct link_message *message,
				int fds[LINK_FDS_MAX], const char **why)
{
	int r;

	if (end == LINK_TO_MONITOR &&
	    __atomic_load_n(&said.held, __ATOMIC_ACQUIRE)) {
		__atomic_sub_fetch(&said.held, 1, __ATOMIC_RELEASE);
		usleep(200);
		*why = NULL;
		return -EAGAIN;
	}
	if (end == LINK_TO_WORKER && said.deaf) {
		usleep(200);
		return -EAGAIN;
	}
	r = __real_link_message_receive(fd, end, message, fds, why);
	if (r == 1 && message->type == LINK_BEGIN)
		said.deaf = said.deafens;
	if (r == 1 && end == LINK_TO_MONITOR &&
	    __atomic_exchange_n(&said.lies, false, __ATOMIC_ACQ_REL))
		*message = said.lie;
	return r;
}

void __wrap_worker_server_end(struct worker_server *server);
void __real_worker_server_end(struct worker_server *server);

void __wrap_worker_server_end(struct worker_server *server)
{
	said.deaf = said.deafens = false;
	__real_worker_server_end(server);
}

/* Of workers: who dies has no next one. */
static bool no_more_lives;

enum worker_lives_next __wrap_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns,
						uint64_t *pause_ns);
enum worker_lives_next __real_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns,
						uint64_t *pause_ns);

enum worker_lives_next __wrap_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns,
						uint64_t *pause_ns)
{
	enum worker_lives_next next = __real_worker_lives_died(lives, now_ns,
							       pause_ns);

	return no_more_lives ? WORKER_LIVES_END : next;
}

/* From now on, so that other things are looked at before. */
static void hold_answers(void)
{
	__atomic_store_n(&said.held, HELD_LOOKS, __ATOMIC_RELEASE);
}

static void start(bool leaves)
{
	memset(disk, 0, sizeof(disk));
	dom.leaves = leaves;
	start_disks(disk, 1);
	make_image(&disk[1]);
	make_image(&disk[2]);
}

/* A second disk is asked for, and while the worker maps it: */
static void meanwhile(void (*happens)(void))
{
	hold_answers();
	dom.on_map = happens;
	make_directory(1, disk[1].file);
	wait_until(!__atomic_load_n(&dom.on_map, __ATOMIC_ACQUIRE));
}

static void check_serves(unsigned int i)
{
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 1), 0);
}

static void end(void)
{
	ask_stop();
	assert_true(stopped());
	check_clean();
	remove_images(disk, 3);
}

/* ---- a disk ---- */

static void happens_detach(void)
{
	ask_detach(1);
}

static void test_detach_while_attaching(void)
{
	start(false);
	meanwhile(happens_detach);
	wait_until(tool_is(node(1, "state"), "6"));
	assert_false(begin_access(0, register_of(1, 0), 4, true, 0));
	check_serves(0);
	end();
}

static void happens_removal(void)
{
	tool_remove(node(1, ""));
}

static void test_removal_while_attaching(void)
{
	start(false);
	meanwhile(happens_removal);
	wait_until(logged("xvdb: closed"));
	assert_false(begin_access(0, register_of(1, 0), 4, true, 0));
	assert_true(tool_is(node(1, "state"), NULL));
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1);
	check_serves(0);
	end();
}

/* Removed and made anew, of another image: libxl is told of that one. */
static void happens_another(void)
{
	tool_remove(node(1, ""));
	make_directory(1, disk[2].file);
}

static void test_made_anew_while_attaching(void)
{
	start(false);
	meanwhile(happens_another);
	wait_until(tool_is(node(1, "state"), "2"));
	assert_int_equal(logged("xvdb: closed"), 1);
	drive(&disk[1], 1);
	memset(request_at(&disk[1], 0) + BLOCK_BYTES, 0x77, BLOCK_BYTES);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_OUT, 1), 0);
	for (unsigned int i = 1; i < 3; i++) {
		int fd = open(disk[i].file, O_RDONLY | O_CLOEXEC);
		uint8_t byte;

		must(pread(fd, &byte, 1, BLOCK_BYTES) == 1);
		assert_int_equal(byte, i == 2 ? 0x77 : 0);
		close(fd);
	}
	end();
}

/* It has grown between the look at it and the answer. */
static void happens_growth(void)
{
	must(!truncate(disk[1].file, 2 * IMAGE_BYTES));
}

static void test_growth_while_attaching(void)
{
	start(false);
	meanwhile(happens_growth);
	wait_until(tool_is(node(1, "state"), "2"));
	a_while();
	/* Told or not: its watch begins when the worker was asked. */
	wait_until(reg_read(1, VIRTIO_MMIO_CONFIG) >= IMAGE_BYTES / 512);
	drive(&disk[1], 1);
	check_serves(1);
	end();
}

/* ---- the guest ---- */

static void test_death_while_attaching(void)
{
	start(false);
	meanwhile(destroy_domain);
	wait_until(logged("domain 5 is gone"));
	assert_int_equal(dom.servers, 0);
	assert_int_equal(logged("xvdb: closed"), 1);
	end();
}

/* ---- the program ---- */

static void test_end_while_attaching(void)
{
	start(false);
	meanwhile(ask_stop);
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	wait_until(!tool_is(node(1, "state"), "2"));
	check_clean();
	remove_images(disk, 3);
}

static void test_leave_while_attaching(void)
{
	start(true);
	meanwhile(ask_stop);
	assert_true(stopped());
	assert_int_equal(logged("to the next process"), 1);
	dom.leaves = false;
	program_start();
	wait_until(tool_is(node(1, "state"), "2"));
	drive(&disk[1], 1);
	check_serves(1);
	check_serves(0);
	end();
}

/* ---- taking over ---- */

static void leave(void)
{
	start(true);
	ask_stop();
	assert_true(stopped());
	forget_log();
}

static void take_over(bool leaves, void (*happens)(void))
{
	leave();
	hold_answers();
	dom.on_page = happens;
	dom.leaves = leaves;
	program_start();
}

static void test_leave_while_beginning(void)
{
	take_over(true, ask_stop);
	assert_true(stopped());
	assert_int_equal(logged("left 1 disk of domain 5"), 1);
	assert_int_equal(dom.servers, 1);
	assert_true(tool_is(node(0, "state"), "2"));
	dom.leaves = false;
	program_start();
	wait_until(logged("going on with"));
	check_serves(0);
	end();
}

static void test_end_while_beginning(void)
{
	take_over(false, ask_stop);
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, 3);
}

static void test_death_while_beginning(void)
{
	take_over(false, destroy_domain);
	wait_until(logged("domain 5 is gone"));
	assert_int_equal(dom.servers, 0);
	end();
}

static void happens_removal_of_left(void)
{
	tool_remove(node(0, ""));
}

static void test_removal_while_beginning(void)
{
	take_over(false, happens_removal_of_left);
	wait_until(dom.servers == 0);
	end();
}

static void happens_end_and_failure(void)
{
	dom.page_fails = ENOMEM;
	ask_stop();
}

/* What could not be begun with is left as it is. */
static void test_end_while_beginning_fails(void)
{
	take_over(false, happens_end_and_failure);
	dom.page_fails = ENOMEM;
	assert_false(stopped());
	assert_int_equal(dom.servers, 1);
	assert_true(tool_is(node(0, "state"), "2"));
	dom.on_page = NULL;
	forget_log();
	program_start();
	wait_until(logged("going on with"));
	check_serves(0);
	end();
}

/* ... and while the image of a disk that was left is adopted. */
static void adopting(bool leaves, void (*happens)(void))
{
	leave();
	dom.on_map = happens;
	dom.leaves = leaves;
	program_start();
}

static void test_leave_while_adopting(void)
{
	adopting(true, ask_stop);
	assert_true(stopped());
	assert_int_equal(dom.servers, 1);
	assert_true(tool_is(node(0, "state"), "2"));
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("going on with"));
	check_serves(0);
	end();
}

static void test_end_while_adopting(void)
{
	adopting(false, ask_stop);
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, 3);
}

static void happens_detach_of_left(void)
{
	ask_detach(0);
}

static void test_detach_while_adopting(void)
{
	adopting(false, happens_detach_of_left);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_int_equal(dom.servers, 0);
	end();
}

static void test_death_while_adopting(void)
{
	adopting(false, destroy_domain);
	wait_until(logged("domain 5 is gone"));
	assert_int_equal(dom.servers, 0);
	end();
}

/*
 * A disk that is left is lost, and the program leaves before the worker has
 * come to it: the next one shall not wait for that disk, nor the guest.
 */
static void test_leave_while_disowned(void)
{
	start(true);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	ask_stop();
	assert_true(stopped());
	unlink(disk[1].file);
	said.deafens = true;
	program_start();
	wait_until(logged("xvdb: cannot be taken over"));
	ask_stop();
	assert_true(stopped());
	assert_false(begin_access(1, register_of(1, 0), 4, true, 0));
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("going on with"));
	check_serves(0);
	end();
}

/* ---- a worker that means harm ---- */

static void say_next(uint32_t type, uint64_t id)
{
	memset(&said.lie, 0, sizeof(said.lie));
	said.lie.type = type;
	said.lie.disk.id = id;
	__atomic_store_n(&said.lies, true, __ATOMIC_RELEASE);
}

/*
 * Instead of an answer it says that: it is killed, and the next one goes on
 * with what the guest has, and with what was asked.
 */
static void lies(uint32_t type, uint64_t id)
{
	start(false);
	say_next(type, id);
	make_directory(1, disk[1].file);
	wait_until(logged("web/xvda: going on with"));
	assert_int_equal(logged("the worker of domain 5 has failed: it "), 1);
	wait_until(tool_is(node(1, "state"), "2"));
	check_serves(0);
	drive(&disk[1], 1);
	check_serves(1);
	assert_int_equal(logged("closed"), 0);
	end();
}

static void test_ends_a_disk_that_is_served(void)
{
	lies(LINK_ENDED, DEVID);
}

static void test_ends_a_disk_that_attaches(void)
{
	lies(LINK_ENDED, DEVID + 1);
}

static void test_ends_a_disk_of_nobody(void)
{
	lies(LINK_ENDED, 12345);
}

static void test_attaches_a_disk_again(void)
{
	lies(LINK_ATTACHED, DEVID);
}

static void test_attaches_a_disk_of_nobody(void)
{
	lies(LINK_ATTACHED, UINT64_MAX);
}

static void test_begins_again(void)
{
	lies(LINK_BEGUN, 0);
}

/*
 * There is to be no next one: the guest is left to the next process, also where
 * the end of the program would take its disks.
 */
static void test_lies_for_the_last_time(void)
{
	start(false);
	no_more_lives = true;
	say_next(LINK_BEGUN, 0);
	make_directory(1, disk[1].file);
	assert_false(stopped());
	assert_int_equal(logged("worker after worker has died"), 1);
	assert_int_equal(logged("to the next process"), 1);
	assert_int_equal(dom.servers, 1);
	assert_true(tool_is(node(0, "state"), "2"));
	no_more_lives = false;
	forget_log();
	program_start();
	wait_until(logged("going on with"));
	wait_until(tool_is(node(1, "state"), "2"));
	check_serves(0);
	drive(&disk[1], 1);
	check_serves(1);
	end();
}

/* Nothing of the guest is kept: it is let go, for nobody goes on with it. */
static void test_lies_without_states(void)
{
	memset(disk, 0, sizeof(disk));
	dom.states = "/proc/nowhere";
	start_disks(disk, 1);
	make_image(&disk[1]);
	say_next(LINK_BEGUN, 0);
	make_directory(1, disk[1].file);
	assert_false(stopped());
	assert_int_equal(logged("to the next process;"), 0);
	assert_int_equal(dom.servers, 0);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.events, 0);
	remove_images(disk, 3);
}

static void test_lies_while_it_begins(void)
{
	leave();
	say_next(LINK_ENDED, DEVID);
	dom.leaves = false;
	program_start();
	wait_until(logged("web/xvda: going on with"));
	assert_int_equal(logged("the worker of domain 5 has failed: it "), 1);
	check_serves(0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_detach_while_attaching),
		host_test(test_removal_while_attaching),
		host_test(test_made_anew_while_attaching),
		host_test(test_growth_while_attaching),
		host_test(test_death_while_attaching),
		host_test(test_end_while_attaching),
		host_test(test_leave_while_attaching),
		host_test(test_leave_while_beginning),
		host_test(test_end_while_beginning),
		host_test(test_death_while_beginning),
		host_test(test_removal_while_beginning),
		host_test(test_end_while_beginning_fails),
		host_test(test_leave_while_adopting),
		host_test(test_end_while_adopting),
		host_test(test_detach_while_adopting),
		host_test(test_death_while_adopting),
		host_test(test_leave_while_disowned),
		host_test(test_ends_a_disk_that_is_served),
		host_test(test_ends_a_disk_that_attaches),
		host_test(test_ends_a_disk_of_nobody),
		host_test(test_attaches_a_disk_again),
		host_test(test_attaches_a_disk_of_nobody),
		host_test(test_begins_again),
		host_test(test_lies_for_the_last_time),
		host_test(test_lies_without_states),
		host_test(test_lies_while_it_begins),
	};

	return cmocka_run_group_tests_name("domain: asked", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
