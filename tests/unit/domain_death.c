/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=signals_open,--wrap=worker_local */
/* LDFLAGS: -Wl,--wrap=link_message_receive,--wrap=link_message_send */
/* LDFLAGS: -Wl,--wrap=block_image_open,--wrap=worker_lives_died */
/* LDFLAGS: -Wl,--wrap=shared_file_map,--wrap=munmap,--wrap=loop_arm */
/*
 * The worker of a guest dies, whatever it is doing, and the next one goes on:
 * the guest and the toolstack see nothing of it, no image is anybody else's
 * meanwhile, and no disk is said to be closed before nothing is in flight.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/block_whole.h"
#include "lib/model_again.h"
#include "lib/model_guest.h"
#include "lib/model_worker.h"
#include "link/message.h"
#include "monitor/worker_lives.h"

static struct driver disk[3];

/* ---- when a worker dies ---- */

enum when { BEFORE, AFTER };

static struct {
	bool armed; /* once; atomic */
	bool stays; /* each worker dies */
	uint32_t type;
	enum when when;
} death;

static bool is_due(uint32_t type, enum when when)
{
	bool armed = true;

	return __atomic_load_n(&death.armed, __ATOMIC_ACQUIRE) &&
	       death.type == type && death.when == when &&
	       (death.stays || __atomic_compare_exchange_n(
				       &death.armed, &armed, false, false,
				       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

/* Before it does what it is told, or before or after it answers so. */
static void dies(uint32_t type, enum when when)
{
	death.type = type;
	death.when = when;
	__atomic_store_n(&death.armed, true, __ATOMIC_RELEASE);
}

static bool has_died(void)
{
	return !__atomic_load_n(&death.armed, __ATOMIC_ACQUIRE);
}

/* One that stands still when it is told this, and does not die; or 0. */
static uint32_t hangs_at;

/* Ten seconds are as long; 0: as they are. Atomic. */
static uint64_t ten_seconds_ns;

static void make_impatient(uint64_t ns)
{
	__atomic_store_n(&ten_seconds_ns, ns, __ATOMIC_RELEASE);
}

void __wrap_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns);
void __real_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns);

void __wrap_loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t ns)
{
	uint64_t ten_ns = __atomic_load_n(&ten_seconds_ns, __ATOMIC_ACQUIRE);

	__real_loop_arm(loop, timer,
			ten_ns && ns == 10 * NS_PER_SECOND ? ten_ns : ns);
}

static _Noreturn void hang(int fds[LINK_FDS_MAX])
{
	hangs_at = 0;
	make_impatient(100 * NS_PER_MS);
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (;;) {
		usleep(200);
		worker_passes();
	}
}

/* Any worker was; atomic. */
static bool told_to_leave;

/* Of the message that a worker has got last; or -1. */
static __thread int state_fd = -1;

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

	worker_passes();
	r = __real_link_message_receive(fd, end, message, fds, why);
	if (r != 1 || end != LINK_TO_WORKER)
		return r;
	if (message->type == LINK_LEAVE)
		__atomic_store_n(&told_to_leave, true, __ATOMIC_RELEASE);
	state_fd = message->type == LINK_BEGIN && message->begin.kept ? fds[0] :
		   message->type == LINK_ATTACH && message->attach.kept ?
									fds[0] :
									-1;
	if (message->type == hangs_at)
		hang(fds);
	if (!is_due(message->type, BEFORE))
		return r;
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	worker_die();
}

int __wrap_link_message_send(int fd, const struct link_message *message,
			     const int *fds);
int __real_link_message_send(int fd, const struct link_message *message,
			     const int *fds);

/* One that says what it may not, and then nothing more until it is killed. */
static struct {
	uint32_t instead_of; /* once; or 0 */
	uint32_t type;
} lie;

static _Noreturn void lie_and_hang(int fd)
{
	struct link_message m;

	memset(&m, 0, sizeof(m));
	m.type = lie.type;
	lie.instead_of = 0;
	must(__real_link_message_send(fd, &m, NULL) == 0);
	if (state_fd >= 0)
		close(state_fd);
	for (;;) {
		usleep(200);
		worker_passes();
	}
}

/* With what the message had that is answered. */
static _Noreturn void die_answering(uint32_t type)
{
	if (type != LINK_ENDED && state_fd >= 0)
		close(state_fd);
	worker_die();
}

int __wrap_link_message_send(int fd, const struct link_message *message,
			     const int *fds)
{
	int r;

	if (message->type < LINK_BEGUN)
		return __real_link_message_send(fd, message, fds);
	worker_passes();
	if (message->type == lie.instead_of)
		lie_and_hang(fd);
	if (is_due(message->type, BEFORE))
		die_answering(message->type);
	r = __real_link_message_send(fd, message, fds);
	if (is_due(message->type, AFTER))
		die_answering(message->type);
	return r;
}

/* How long the guest waits for the next one; 0: as it is. */
static uint64_t pause_ns;

static struct {
	unsigned int in;            /* so many deaths: ... */
	struct worker_lives before; /* the last one, as it was */
	uint64_t now_ns;            /* ... and when that is said to be */
} patience_ends;

enum worker_lives_next __wrap_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns, uint64_t *ns);
enum worker_lives_next __real_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns, uint64_t *ns);

enum worker_lives_next __wrap_worker_lives_died(struct worker_lives *lives,
						uint64_t now_ns, uint64_t *ns)
{
	enum worker_lives_next next;

	if (__atomic_load_n(&ten_seconds_ns, __ATOMIC_ACQUIRE))
		make_impatient(NS_PER_SECOND);
	patience_ends.before = *lives;
	patience_ends.now_ns = now_ns;
	if (patience_ends.in && --patience_ends.in == 0) {
		lives->slow = WORKER_LIVES_SLOW;
		lives->next_ns = now_ns;
	}
	next = __real_worker_lives_died(lives, now_ns, ns);
	if (pause_ns)
		*ns = pause_ns;
	return next;
}

/* ---- the guest ---- */

static void prepare(bool leaves)
{
	static const char *const option[] = { "id=xvda,engine=threads",
					      "id=xvdb,engine=threads" };

	memset(disk, 0, sizeof(disk));
	dom.leaves = leaves;
	dom.passes = worker_passes;
	dom.disk_option[0] = option[0];
	dom.disk_option[1] = option[1];
}

static void start(unsigned int disks, bool leaves)
{
	prepare(leaves);
	start_disks(disk, disks);
}

static void finish(void)
{
	ask_stop();
	assert_true(stopped());
	for (unsigned int i = 0; i < 2; i++)
		if (!tool_is(node(i, "state"), NULL))
			assert_true(tool_is(node(i, "state"), "6"));
	check_clean();
	assert_int_equal(workers_gone(), workers_started());
	remove_images(disk, 3);
}

static void check_serves(unsigned int i, int byte)
{
	memset(request_at(&disk[i], 0) + BLOCK_BYTES, byte, BLOCK_BYTES);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_OUT, 7), 0);
	memset(request_at(&disk[i], 0) + BLOCK_BYTES, 0, BLOCK_BYTES);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 7), 0);
	assert_int_equal(request_at(&disk[i], 0)[BLOCK_BYTES], byte);
	assert_true(tool_is(node(i, "state"), "2"));
}

/* Whether somebody has the image, ourselves among them. */
static bool is_claimed(unsigned int i)
{
	struct block_image image;
	struct block_image_options options = { .file = disk[i].file };
	char error[BLOCK_ERROR_MAX];

	if (whole_open(&image, &options, error))
		return true;
	whole_close(&image);
	return false;
}

/* It goes when the worker has come to it. */
static void wait_no_window(unsigned int i)
{
	while (begin_access(0, register_of(i, 0), 4, true, 0)) {
		wait_until(answered(0));
		assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	}
}

/* A write that the store keeps. */
static void in_flight(unsigned int i)
{
	hold(true);
	memset(request_at(&disk[i], 1) + BLOCK_BYTES, 0x77, BLOCK_BYTES);
	offer(&disk[i], 1, VIRTIO_BLK_T_OUT, 3);
	kick(&disk[i]);
	wait_held();
}

static void wait_next(unsigned int n)
{
	wait_until(logged("going on with domain 5") == n);
}

/* ---- while it serves ---- */

static void test_idle(void)
{
	start(2, false);
	for (unsigned int n = 1; n <= 4; n++) {
		worker_kill();
		wait_until(logged("web/xvda: going on with") == n &&
			   logged("web/xvdb: going on with") == n);
		check_serves(0, (int)n);
		check_serves(1, 0x40 + (int)n);
		assert_int_equal(workers_started(), n + 1);
	}
	assert_int_equal(logged("of domain 5 has ended: killed by signal 9"),
			 4);
	assert_int_equal(logged("closed"), 0);
	finish();
}

static void test_requests_in_flight(void)
{
	unsigned int done;

	start(1, false);
	done = disk[0].done;
	in_flight(0);
	worker_kill();
	wait_until(logged("web/xvda: going on with"));
	hold(false);
	wait_until(take_used(&disk[0]) == done + 1);
	assert_int_equal(request_at(&disk[0], 1)[16], 0);
	check_serves(0, 0x21);
	finish();
}

/* The kernel has them still: whoever adopts the disk waits for that. */
static void test_requests_outlive_it(void)
{
	start(2, false);
	in_flight(0);
	worker_holds(disk[0].file);
	worker_kill();
	wait_next(1);
	hold(false);
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	a_while();
	assert_int_equal(logged("web/xvda: going on with"), 0);
	assert_false(answered(0));
	assert_true(is_claimed(0));
	worker_holds(NULL);
	wait_until(logged("web/xvda: going on with"));
	wait_until(answered(0));
	wait_until(take_used(&disk[0]) == 1);
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	finish();
}

/* While there is no worker nobody else gets the image. */
static void test_image_is_kept(void)
{
	start(1, true);
	pause_ns = 3600 * NS_PER_SECOND;
	worker_kill();
	wait_until(logged("the next one begins in 3600 s") == 1);
	a_while();
	assert_true(is_claimed(0));
	assert_int_equal(workers_started(), 1);
	/* It waits for the next process as well as for the next worker. */
	ask_stop();
	assert_true(stopped());
	assert_int_equal(logged("left 1 disk of domain 5"), 1);
	assert_false(is_claimed(0));
	pause_ns = 0;
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("web/xvda: going on with"));
	check_serves(0, 0x21);
	finish();
}

/* The end of the program takes the disks away, with another worker. */
static void test_end_during_a_pause(void)
{
	start(1, false);
	pause_ns = 300 * NS_PER_MS;
	worker_kill();
	wait_until(logged("the next one begins in") == 1);
	finish();
	assert_int_equal(workers_started(), 2);
}

static void test_image_grows_meanwhile(void)
{
	start(1, false);
	pause_ns = 100 * NS_PER_MS;
	worker_kill();
	wait_until(logged("the next one begins in") == 1);
	must(!truncate(disk[0].file, 2 * IMAGE_BYTES));
	wait_until(logged("web/xvda: going on with"));
	wait_until(reg_read(0, VIRTIO_MMIO_CONFIG) == 2 * IMAGE_BYTES / 512);
	check_serves(0, 0x21);
	finish();
}

/* No next one before it is gone, however sure it is that it dies. */
static void test_next_one_waits_for_its_end(void)
{
	start(1, false);
	worker_hides(true);
	worker_kill();
	a_while();
	assert_int_equal(workers_started(), 1);
	worker_hides(false);
	wait_until(logged("web/xvda: going on with"));
	check_serves(0, 0x21);
	finish();
}

/* ---- while it is asked ---- */

struct moment {
	uint32_t type;
	enum when when;
};

static void test_begins_and_attaches(void)
{
	static const struct moment moments[] = {
		{ LINK_BEGIN, BEFORE },    { LINK_BEGUN, BEFORE },
		{ LINK_BEGUN, AFTER },     { LINK_ATTACH, BEFORE },
		{ LINK_ATTACHED, BEFORE }, { LINK_ATTACHED, AFTER },
	};

	prepare(false);
	make_image(&disk[0]);
	introduce(DOMID);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		dies(moments[i].type, moments[i].when);
		program_start();
		attach(&disk[0], 0);
		wait_until(has_died());
		drive(&disk[0], 0);
		check_serves(0, (int)i);
		ask_stop();
		assert_true(stopped());
		assert_true(tool_is(node(0, "state"), "6"));
		assert_int_equal(logged("closed"), i + 1);
		check_clean();
		assert_false(is_claimed(0));
		tool_remove(node(0, ""));
	}
	remove_images(disk, 1);
}

/* What another process has left. */
static void test_adopts(void)
{
	static const struct moment moments[] = {
		{ LINK_BEGIN, BEFORE },    { LINK_BEGUN, BEFORE },
		{ LINK_BEGUN, AFTER },     { LINK_ATTACH, BEFORE },
		{ LINK_ATTACHED, BEFORE }, { LINK_ATTACHED, AFTER },
	};

	start(1, true);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		ask_stop();
		assert_true(stopped());
		dies(moments[i].type, moments[i].when);
		program_start();
		wait_until(has_died());
		check_serves(0, (int)i);
	}
	assert_int_equal(logged("closed"), 0);
	ask_stop();
	assert_true(stopped());
	dom.leaves = false;
	program_start();
	finish();
}

/* It adopts a disk for the second time, and dies again. */
static void test_adopts_after_a_death(void)
{
	start(2, false);
	dies(LINK_ATTACHED, BEFORE);
	worker_kill();
	wait_until(has_died());
	wait_next(2);
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	assert_int_equal(workers_started(), 3);
	finish();
}

static void test_detaches(void)
{
	static const struct moment moments[] = {
		{ LINK_DETACH, BEFORE },
		{ LINK_ENDED, BEFORE },
		{ LINK_ENDED, AFTER },
	};

	start(2, false);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		dies(moments[i].type, moments[i].when);
		ask_detach(1);
		wait_until(tool_is(node(1, "state"), "6"));
		wait_until(has_died());
		assert_false(is_claimed(1));
		wait_no_window(1);
		check_serves(0, (int)i);
		tool_remove(node(1, ""));
		attach(&disk[1], 1);
		drive(&disk[1], 1);
		check_serves(1, (int)i);
	}
	assert_int_equal(logged("web/xvdb: closed"), 3);
	finish();
}

/* It is to be detached, and its requests outlive the worker. */
static void test_closing_waits_for_requests(void)
{
	start(2, false);
	in_flight(0);
	ask_detach(0);
	wait_until(is_dead(0));
	worker_holds(disk[0].file);
	worker_kill();
	wait_next(1);
	hold(false);
	check_serves(1, 0x21);
	a_while();
	assert_true(tool_is(node(0, "state"), "5"));
	assert_true(is_claimed(0));
	worker_holds(NULL);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_false(is_claimed(0));
	wait_no_window(0);
	check_serves(1, 0x22);
	finish();
}

/* It would not end by itself: it is killed, and only then there is a next. */
static void test_liar(void)
{
	start(1, false);
	make_image(&disk[1]);
	lie.type = LINK_BEGUN;
	lie.instead_of = LINK_ATTACHED;
	make_directory(1, disk[1].file);
	wait_until(tool_is(node(1, "state"), "2"));
	assert_int_equal(logged("the worker of domain 5 has failed: it begins"),
			 1);
	assert_int_equal(workers_started(), 2);
	check_serves(0, 0x21);
	drive(&disk[1], 1);
	check_serves(1, 0x22);
	finish();
}

/* ---- it hangs ---- */

/*
 * It stands still, and would for ever: it is killed, and the next one goes on.
 */
static void test_hangs_attaching(void)
{
	uint64_t now;

	make_impatient(NS_PER_SECOND);
	start(1, false);
	now = clock_ns();
	make_image(&disk[1]);
	hangs_at = LINK_ATTACH;
	make_directory(1, disk[1].file);
	wait_until(logged("has failed: it was told something, and is silent"));
	wait_until(tool_is(node(1, "state"), "2"));
	drive(&disk[1], 1);
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	assert_int_equal(workers_started(), 2);
	/* As it has hung it counts as if it had died at once. */
	assert_true(patience_ends.now_ns < now);
	finish();
}

static void test_hangs_detaching(void)
{
	make_impatient(NS_PER_SECOND);
	start(2, false);
	hangs_at = LINK_DETACH;
	ask_detach(1);
	wait_until(logged("has failed: it was told something, and is silent"));
	wait_until(tool_is(node(1, "state"), "6"));
	wait_no_window(1);
	check_serves(0, 0x21);
	finish();
}

/* What needs no answer. */
static void test_hangs_resizing(void)
{
	int fd;

	make_impatient(NS_PER_SECOND);
	start(1, false);
	hangs_at = LINK_RESIZE;
	must(!truncate(disk[0].file, 2 * IMAGE_BYTES));
	/* Which is seen when who writes to it closes it. */
	fd = open(disk[0].file, O_WRONLY | O_CLOEXEC);
	must(fd >= 0 && !close(fd));
	wait_until(logged("has failed: it was told something, and is silent"));
	wait_until(reg_read(0, VIRTIO_MMIO_CONFIG) == 2 * IMAGE_BYTES / 512);
	check_serves(0, 0x21);
	finish();
}

/* A store that does not answer is none of its faults, whatever it is at. */
static void test_store_hangs(void)
{
	make_impatient(NS_PER_SECOND);
	start(2, false);
	in_flight(0);
	ask_detach(0);
	sleep(5);
	assert_true(tool_is(node(0, "state"), "5"));
	hold(false);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_int_equal(workers_started(), 1);
	finish();
}

/* ... nor while it does one request after the other, and does not listen. */
static void test_store_hangs_in_place(void)
{
	unsigned int n = 0;

	make_impatient(NS_PER_SECOND);
	start(1, false);
	in_flight(0);
	while (!logged("what is in flight is done one by one")) {
		worker_kill();
		n++;
		wait_until(logged("web/xvda: going on with") == n ||
			   logged("what is in flight is done one by one"));
	}
	/* It is asked, for it owes the answer to an attach. */
	sleep(6);
	assert_int_equal(workers_started(), n + 1);
	hold(false);
	wait_until(take_used(&disk[0]) == 1);
	check_serves(0, 0x21);
	assert_int_equal(logged("has failed"), 0);
	finish();
}

/* ---- the toolstack, meanwhile ---- */

static void kill_hidden(void)
{
	worker_hides(true);
	worker_kill();
}

static void test_detach_meanwhile(void)
{
	start(2, false);
	kill_hidden();
	ask_detach(0);
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	a_while();
	assert_true(tool_is(node(0, "state"), "5"));
	worker_hides(false);
	wait_until(tool_is(node(0, "state"), "6"));
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	assert_false(is_claimed(0));
	check_serves(1, 0x21);
	finish();
}

/* It was told to let the guest go of a disk, and has not come to that. */
static void test_disowns(void)
{
	start(2, false);
	kill_hidden();
	ask_detach(0);
	dies(LINK_DISOWN, BEFORE);
	worker_hides(false);
	wait_until(has_died());
	wait_until(tool_is(node(0, "state"), "6"));
	wait_no_window(0);
	check_serves(1, 0x21);
	tool_remove(node(0, ""));
	attach(&disk[0], 0);
	drive(&disk[0], 0);
	check_serves(0, 0x22);
	finish();
}

static void test_removal_meanwhile(void)
{
	start(2, false);
	kill_hidden();
	tool_remove(node(0, ""));
	worker_hides(false);
	wait_until(logged("web/xvda: closed"));
	wait_no_window(0);
	assert_false(is_claimed(0));
	assert_true(tool_is(node(0, "state"), NULL));
	check_serves(1, 0x21);
	finish();
}

/* Another disk in its place: the old one has ended, and the new one is new. */
static void made_anew(const char *file)
{
	start(2, false);
	kill_hidden();
	tool_remove(node(0, ""));
	make_directory(0, file ? file : disk[0].file);
	worker_hides(false);
	wait_until(tool_is(node(0, "state"), "2"));
	assert_int_equal(logged("web/xvda: closed"), 1);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[0], 0);
	check_serves(0, 0x22);
	check_serves(1, 0x21);
	finish();
}

static void test_made_anew_meanwhile(void)
{
	made_anew(NULL);
}

static void test_another_image_meanwhile(void)
{
	static struct driver other;

	make_image(&other);
	made_anew(other.file);
	unlink(other.file);
}

static void test_new_disk_meanwhile(void)
{
	start(1, false);
	kill_hidden();
	make_image(&disk[1]);
	make_directory(1, disk[1].file);
	worker_hides(false);
	wait_until(tool_is(node(1, "state"), "2"));
	drive(&disk[1], 1);
	check_serves(1, 0x22);
	check_serves(0, 0x21);
	finish();
}

/* libxl does not know yet that it is served. */
static void test_untold(void)
{
	start(1, false);
	make_image(&disk[1]);
	tool_fail("transaction", EIO, 1000000);
	make_directory(1, disk[1].file);
	wait_until(tool_failures() > 0);
	worker_kill();
	wait_until(logged("web/xvdb: going on with"));
	assert_true(tool_is(node(1, "state"), "1"));
	tool_fail("", EIO, 0);
	xs_lock();
	xs_fire("@introduceDomain");
	xs_unlock();
	wait_until(tool_is(node(1, "state"), "2"));
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	finish();
}

/* ... nor will it be told of another one in its place. */
static void test_untold_and_made_anew(void)
{
	start(1, false);
	make_image(&disk[1]);
	make_image(&disk[2]);
	tool_fail("transaction", EIO, 1000000);
	make_directory(1, disk[1].file);
	wait_until(tool_failures() > 0);
	kill_hidden();
	tool_remove(node(1, ""));
	make_directory(1, disk[2].file);
	tool_fail("", EIO, 0);
	worker_hides(false);
	wait_until(tool_is(node(1, "state"), "2"));
	assert_int_equal(logged("web/xvdb: closed"), 1);
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
	finish();
}

/* ---- the guest is gone ---- */

static void gone(void)
{
	xs_lock();
	destroy_server();
	dom.exists = false;
	dom.life = 0;
	xs.introduced[dom.domid] = false;
	for (unsigned int v = 0; v < VCPUS; v++) {
		dom.vcpu[v].busy = false;
		dom.page[v].state = STATE_IOREQ_NONE;
	}
	xs_fire("@releaseDomain");
	xs_unlock();
}

/* There is nothing to begin with; but the images are in use. */
static void test_domain_is_gone_meanwhile(void)
{
	start(2, false);
	in_flight(0);
	worker_holds(disk[0].file);
	kill_hidden();
	gone();
	worker_hides(false);
	a_while();
	assert_int_equal(logged("domain 5 is gone"), 0);
	assert_true(is_claimed(0));
	hold(false);
	worker_holds(NULL);
	wait_until(logged("domain 5 is gone"));
	assert_int_equal(workers_started(), 1);
	assert_false(is_claimed(0) || is_claimed(1));
	assert_int_equal(logged("closed"), 2);
	finish();
}

/* ... or it waits for the next one, and need not any more. */
static void test_domain_is_gone_in_a_pause(void)
{
	start(1, false);
	pause_ns = 3600 * NS_PER_SECOND;
	worker_kill();
	wait_until(logged("the next one begins in 3600 s") == 1);
	gone();
	wait_until(logged("domain 5 is gone"));
	pause_ns = 0;
	assert_true(tool_is(node(0, "state"), "6"));
	assert_false(is_claimed(0));
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	assert_int_equal(workers_started(), 2);
	finish();
}

/* ... or it dies while the disks end, of a guest that is gone. */
static void test_leaving(void)
{
	start(1, false);
	in_flight(0);
	destroy_domain();
	wait_until(is_dead(0));
	worker_holds(disk[0].file);
	worker_kill();
	gone();
	a_while();
	assert_int_equal(logged("domain 5 is gone"), 0);
	assert_true(is_claimed(0));
	hold(false);
	worker_holds(NULL);
	wait_until(logged("domain 5 is gone"));
	assert_int_equal(workers_started(), 1);
	assert_true(tool_is(node(0, "state"), "6"));
	/* Its next life has another worker. */
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	assert_int_equal(workers_started(), 2);
	finish();
}

/* It has a worker for each life. */
static void test_reboot(void)
{
	start(1, false);
	shut_down_for_reboot();
	destroy_domain();
	wait_until(logged("domain 5 is gone; waiting"));
	wait_until(workers_gone() == 1);
	assert_int_equal(logged("has ended: killed"), 0);
	gone();
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	assert_int_equal(workers_started(), 2);
	finish();
}

/* ---- the program ends ---- */

static void test_ending(void)
{
	start(2, false);
	in_flight(0);
	ask_stop();
	wait_until(is_dead(0));
	worker_holds(disk[0].file);
	worker_kill();
	wait_next(1);
	wait_until(tool_is(node(1, "state"), "6"));
	a_while();
	assert_false(tool_is(node(0, "state"), "6"));
	hold(false);
	worker_holds(NULL);
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, 2);
}

/* While it leaves, and waits for what is in flight: the guest is left. */
static void leaving_to_next(void (*how)(void))
{
	start(1, true);
	in_flight(0);
	how();
	assert_true(stopped());
	assert_int_equal(logged("left 1 disk of domain 5"), 1);
	hold(false);
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("web/xvda: going on with"));
	wait_until(take_used(&disk[0]) == 1);
	check_serves(0, 0x21);
	finish();
}

static void stop_and_kill(void)
{
	ask_stop();
	wait_until(__atomic_load_n(&told_to_leave, __ATOMIC_ACQUIRE));
	worker_kill();
}

static void test_leaving_to_next(void)
{
	leaving_to_next(stop_and_kill);
}

static void stop_before_it_leaves(void)
{
	dies(LINK_LEAVE, BEFORE);
	ask_stop();
}

static void test_told_to_leave(void)
{
	leaving_to_next(stop_before_it_leaves);
}

static void test_told_to_close(void)
{
	start(1, false);
	dies(LINK_CLOSE, BEFORE);
	ask_stop();
	assert_true(stopped());
	assert_true(has_died());
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, 1);
}

/* ---- they die again and again ---- */

static bool needs_reset(unsigned int i)
{
	return reg_read(i, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

/* Whatever its driver offers, and has offered. */
static void check_answers_nothing(unsigned int i)
{
	assert_true(needs_reset(i));
	assert_int_equal(reg_read(i, VIRTIO_MMIO_DEVICE_ID), 2);
	kick(&disk[i]);
	a_while();
	assert_int_equal(take_used(&disk[i]), disk[i].done);
}

static void drive_anew(unsigned int i)
{
	reg_write(i, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(reg_read(i, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[i], i);
}

/* Nothing tells of which disk: none is served until it is reset. */
static void test_disks_need_reset(void)
{
	start(2, false);
	in_flight(0);
	patience_ends.in = 1;
	worker_kill();
	wait_until(logged("web/xvda: processes that serve it end") == 1 &&
		   logged("web/xvdb: processes that serve it end") == 1);
	hold(false);
	assert_true(reg_read(0, VIRTIO_MMIO_INTERRUPT_STATUS) &
		    VIRTIO_MMIO_INT_CONFIG);
	check_answers_nothing(0);
	check_answers_nothing(1);
	/* Nor does the next one serve them, which is not told. */
	worker_kill();
	wait_next(2);
	check_answers_nothing(0);
	for (unsigned int i = 0; i < 2; i++) {
		drive_anew(i);
		assert_false(needs_reset(i));
		check_serves(i, 0x21);
	}
	/* The deaths before are forgotten. */
	worker_kill();
	wait_next(3);
	assert_int_equal(patience_ends.before.breaks, 0);
	assert_int_equal(patience_ends.before.deaths, 0);
	check_serves(0, 0x22);
	check_serves(1, 0x23);
	finish();
}

/* Its end is that of any other, with what it has not answered. */
static void test_disk_that_needs_reset_ends(void)
{
	start(2, false);
	in_flight(0);
	patience_ends.in = 1;
	worker_kill();
	wait_until(logged("web/xvdb: processes that serve it end") == 1);
	ask_detach(0);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_false(is_claimed(0));
	wait_no_window(0);
	hold(false);
	/* Made anew it is a new one. */
	tool_remove(node(0, ""));
	attach(&disk[0], 0);
	drive(&disk[0], 0);
	check_serves(0, 0x21);
	check_answers_nothing(1);
	finish();
}

/* ... or it is known: what the worker was at. */
static void test_one_disk_needs_reset(void)
{
	start(2, false);
	patience_ends.in = 2;
	dies(LINK_ATTACH, BEFORE);
	worker_kill();
	wait_until(logged("web/xvda: processes that serve it end") == 1);
	assert_true(has_died());
	check_serves(1, 0x21);
	check_answers_nothing(0);
	assert_int_equal(logged("web/xvdb: processes that serve it end"), 0);
	/* They die on: so it was another one, or is none. */
	patience_ends.in = 1;
	worker_kill();
	wait_until(logged("web/xvdb: processes that serve it end") == 1);
	check_answers_nothing(1);
	drive_anew(0);
	drive_anew(1);
	check_serves(0, 0x22);
	check_serves(1, 0x23);
	finish();
}

/* One that no guest knows yet. */
static void test_new_disk_is_refused(void)
{
	start(1, false);
	make_image(&disk[1]);
	patience_ends.in = 1;
	dies(LINK_ATTACH, BEFORE);
	make_directory(1, disk[1].file);
	wait_until(logged("web/xvdb: workers die of it") == 1);
	assert_true(has_died());
	wait_until(!tool_is(node(1, "error"), NULL));
	assert_false(is_claimed(1));
	check_serves(0, 0x21);
	assert_false(needs_reset(0));
	/* libxl may try it once more. */
	tool_remove(node(1, ""));
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x22);
	finish();
}

/* Nothing helps: then the program ends, and the next one finds it as it is. */
static void test_end_of_patience(void)
{
	unsigned int n = 0;

	start(1, true);
	pause_ns = 1;
	while (!logged("worker after worker has died; ending")) {
		worker_kill();
		n++;
		wait_until(logged("going on with domain 5") == n ||
			   logged("worker after worker has died; ending"));
	}
	pause_ns = 0;
	assert_false(stopped());
	assert_in_range(n, 20, 30);
	assert_int_equal(logged("left 1 disk of domain 5"), 1);
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("web/xvda: going on with"));
	check_answers_nothing(0);
	drive_anew(0);
	check_serves(0, 0x21);
	finish();
}

/* ---- what cannot be gone on with ---- */

/* As the whole program, where nothing outlives it. */
static void test_without_states(void)
{
	prepare(true);
	dom.states = "/proc/nowhere";
	introduce(DOMID);
	program_start();
	attach(&disk[0], 0);
	drive(&disk[0], 0);
	worker_kill();
	assert_false(stopped());
	assert_int_equal(logged("to the next process;"), 0);
	assert_int_equal(workers_started(), 1);
	remove_images(disk, 1);
}

/* ... unless the guest has no disk, before the first one or after the last. */
static void test_without_states_and_disks(void)
{
	static const struct moment moments[] = {
		{ LINK_BEGIN, BEFORE },
		{ LINK_BEGUN, BEFORE },
		{ LINK_BEGUN, AFTER },
	};

	prepare(false);
	dom.states = "/proc/nowhere";
	introduce(DOMID);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
		dies(moments[i].type, moments[i].when);
		program_start();
		wait_until(logged("has ended: killed") == 2 * i + 1);
		attach(&disk[0], 0);
		drive(&disk[0], 0);
		check_serves(0, 0x21);
		ask_detach(0);
		wait_until(tool_is(node(0, "state"), "6"));
		tool_remove(node(0, ""));
		worker_kill();
		wait_until(logged("has ended: killed") == 2 * i + 2);
		attach(&disk[0], 0);
		drive(&disk[0], 0);
		check_serves(0, 0x22);
		ask_stop();
		assert_true(stopped());
		tool_remove(node(0, ""));
	}
	assert_int_equal(workers_started(), 3 * 3);
	remove_images(disk, 1);
}

/* The first one dies, and each that follows: not for ever. */
static void test_none_ever_begins(void)
{
	prepare(true);
	introduce(DOMID);
	pause_ns = 1;
	death.stays = true;
	dies(LINK_BEGIN, BEFORE);
	program_start();
	wait_until(logged("worker after worker has died; ending"));
	assert_false(stopped());
	assert_in_range(workers_started(), 20, 30);
	assert_int_equal(workers_gone(), workers_started());
}

/* The next worker needs none of their names, those of a later disk neither. */
static void test_states_were_removed(void)
{
	start(1, true);
	remove_states();
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	for (unsigned int n = 1; n <= 2; n++) {
		worker_kill();
		wait_next(n);
		check_serves(0, 0x20 + (int)n);
		check_serves(1, 0x30 + (int)n);
	}
	finish();
	assert_int_equal(logged("to the next process;"), 0);
}

/* The server is no more, whoever has destroyed it: so are the disks. */
static void test_server_is_gone(void)
{
	start(2, false);
	kill_hidden();
	ask_detach(1);
	xs_lock();
	destroy_server();
	xs_unlock();
	worker_hides(false);
	wait_until(tool_is(node(1, "state"), "6"));
	wait_until(tool_is(node(0, "state"), NULL));
	assert_false(tool_is(node(0, "error"), NULL));
	assert_int_equal(logged("web/xvda: cannot be taken over"), 1);
	assert_false(is_claimed(0) || is_claimed(1));
	/* libxl may begin anew. */
	tool_remove(node(0, ""));
	attach(&disk[0], 0);
	drive(&disk[0], 0);
	check_serves(0, 0x21);
	finish();
}

/* What cannot be had now is tried again with the next one. */
static void test_server_cannot_be_had_now(void)
{
	start(1, false);
	kill_hidden();
	dom.page_fails = ENOMEM;
	worker_hides(false);
	wait_until(logged("cannot be taken over") == 1);
	wait_until(logged("web/xvda: going on with"));
	check_serves(0, 0x21);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_idle),
		host_test(test_requests_in_flight),
		host_test(test_requests_outlive_it),
		host_test(test_image_is_kept),
		host_test(test_end_during_a_pause),
		host_test(test_image_grows_meanwhile),
		host_test(test_next_one_waits_for_its_end),
		host_test(test_begins_and_attaches),
		host_test(test_adopts),
		host_test(test_adopts_after_a_death),
		host_test(test_detaches),
		host_test(test_closing_waits_for_requests),
		host_test(test_liar),
		host_test(test_hangs_attaching),
		host_test(test_hangs_detaching),
		host_test(test_hangs_resizing),
		host_test(test_store_hangs),
		host_test(test_store_hangs_in_place),
		host_test(test_detach_meanwhile),
		host_test(test_disowns),
		host_test(test_removal_meanwhile),
		host_test(test_made_anew_meanwhile),
		host_test(test_another_image_meanwhile),
		host_test(test_new_disk_meanwhile),
		host_test(test_untold),
		host_test(test_untold_and_made_anew),
		host_test(test_domain_is_gone_meanwhile),
		host_test(test_domain_is_gone_in_a_pause),
		host_test(test_leaving),
		host_test(test_reboot),
		host_test(test_ending),
		host_test(test_leaving_to_next),
		host_test(test_told_to_leave),
		host_test(test_told_to_close),
		host_test(test_disks_need_reset),
		host_test(test_disk_that_needs_reset_ends),
		host_test(test_one_disk_needs_reset),
		host_test(test_new_disk_is_refused),
		host_test(test_end_of_patience),
		host_test(test_without_states),
		host_test(test_without_states_and_disks),
		host_test(test_none_ever_begins),
		host_test(test_states_were_removed),
		host_test(test_server_is_gone),
		host_test(test_server_cannot_be_had_now),
	};

	return cmocka_run_group_tests_name("domain: death", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
