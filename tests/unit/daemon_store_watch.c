/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=preadv2,--wrap=log_line,--wrap=watcher_start,--wrap=watcher_call */
/*
 * A store that does not answer: which disk has it, since when, and that it goes
 * on, is told; one that is slow is not told of; nobody looks at idle disks.
 * The time is the test's, and the watcher a loop that the test turns.
 */
#include "lib/model_disk.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/watcher.h"
#include "disk/store_watch.h"

#define BEGIN (UINT64_C(1000) * NS_PER_SECOND)

/* ---- the log ---- */

static char line[256];
static unsigned int lines;

void __wrap_log_line(enum log_level level, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	if (level == LOG_LEVEL_DEBUG)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	lines++;
}

/* A look after so many seconds tells what begins with this, or nothing. */
static void look(unsigned int seconds, const char *wanted)
{
	unsigned int before = lines;

	store_watch_look(BEGIN + seconds * NS_PER_SECOND);
	assert_int_equal(lines - before, wanted ? 1 : 0);
	if (wanted)
		assert_memory_equal(line, wanted, strlen(wanted));
}

/* ---- the store ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool closed;
	unsigned int open_once; /* so many go on all the same */
} gate = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.change = PTHREAD_COND_INITIALIZER,
};

ssize_t __real_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags);

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t offset,
		       int flags)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.closed && !gate.open_once)
		pthread_cond_wait(&gate.change, &gate.lock);
	if (gate.open_once)
		gate.open_once--;
	pthread_mutex_unlock(&gate.lock);
	return __real_preadv2(fd, iov, n, offset, flags);
}

static void set_gate(bool closed, unsigned int open_once)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	gate.open_once = open_once;
	pthread_cond_broadcast(&gate.change);
	pthread_mutex_unlock(&gate.lock);
}

/* ---- the watcher ---- */

static struct loop watcher;
static int watcher_error;

int __wrap_watcher_start(struct loop **loop);
void __wrap_watcher_call(void (*call)(void *arg), void *arg);

int __wrap_watcher_start(struct loop **loop)
{
	*loop = &watcher;
	return watcher_error;
}

void __wrap_watcher_call(void (*call)(void *arg), void *arg)
{
	call(arg);
}

/* What was rung for it. */
static bool is_rung(void)
{
	struct epoll_event event;
	struct loop_source *source;

	if (epoll_wait(watcher.epoll_fd, &event, 1, 0) != 1)
		return false;
	source = event.data.ptr;
	source->ready(source, event.events);
	return true;
}

/* Its timer is due: false if it has none. */
static bool tick(void)
{
	struct loop_timer *timer = watcher.timers;

	if (!timer)
		return false;
	assert_null(timer->next);
	loop_disarm(&watcher, timer);
	timer->due(timer);
	return true;
}

static void setup(struct rig *rig, unsigned int disks)
{
	assert_int_equal(loop_init(&watcher), 0);
	rig_init(rig, "threads", disks);
	lines = 0;
}

static void teardown(struct rig *rig)
{
	set_gate(false, 0);
	rig_finish(rig);
	assert_null(watcher.timers);
	assert_false(is_rung());
	loop_finish(&watcher);
}

/* ---- tests ---- */

static void read_of(struct rig *rig, unsigned int disk, unsigned int slot)
{
	offer(rig, disk, slot, VIRTIO_BLK_T_IN, slot * 7);
	poll_once(rig, disk);
}

/* Told once, then more and more seldom; and the end of it. */
static void test_hangs(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	set_gate(true, 0);
	read_of(&rig, 0, 1);
	look(0, NULL);
	look(9, NULL);
	look(10, "test: the store has not answered 1 request for 10 s; one is "
		 "a read of 4096 bytes at 28672");
	look(12, NULL);
	look(19, NULL);
	look(20, "test: the store has not answered 1 request for 20 s; one is "
		 "a read of 4096 bytes at 28672");
	look(38, NULL);
	look(40, "test: the store has not answered 1 request for 40 s; one is "
		 "a read of 4096 bytes at 28672");
	look(79, NULL);
	set_gate(false, 0);
	run_until(&rig, 0, 1);
	look(81, "test: the store answers again, after 81 s");
	look(83, NULL);
	/* From the beginning again. */
	set_gate(true, 0);
	read_of(&rig, 0, 2);
	look(90, NULL);
	look(99, NULL);
	look(100, "test: the store has not answered 1 request for 10 s; one is "
		  "a read of 4096 bytes at 57344");
	teardown(&rig);
}

/* What came later than the first look is not counted. */
static void test_counts(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	set_gate(true, 0);
	read_of(&rig, 0, 1);
	read_of(&rig, 0, 3);
	look(0, NULL);
	look(8, NULL);
	read_of(&rig, 0, 5);
	look(14, "test: the store has not answered 2 requests for 14 s; one is "
		 "a read of 4096 bytes at 28672");
	teardown(&rig);
}

/* Something is in flight at each look, but never the same. */
static void test_slow(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	set_gate(true, 0);
	for (unsigned int i = 0; i < 5; i++) {
		read_of(&rig, 0, i);
		look(9 * i, NULL);
		set_gate(true, 1);
		run_until(&rig, 0, i + 1);
	}
	read_of(&rig, 0, 5);
	look(45, NULL);
	look(54, NULL);
	look(55, "test: the store has not answered 1 request for 10 s; one is "
		 "a read of 4096 bytes at 143360");
	teardown(&rig);
}

/* That others of its queue are answered does not matter. */
static void test_one_of_many(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	set_gate(true, 0);
	read_of(&rig, 0, 1);
	for (unsigned int i = 0; i < 4; i++) {
		look(3 * i, NULL);
		offer(&rig, 0, 2, VIRTIO_BLK_T_OUT, 3);
		run_until(&rig, 0, i + 1);
	}
	look(12, "test: the store has not answered 1 request for 12 s; one is "
		 "a read of 4096 bytes at 28672");
	teardown(&rig);
}

/* Another disk is not told of, and not held up. */
static void test_other_disk(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 2);
	snprintf(rig.end[0].disk.name, sizeof(rig.end[0].disk.name), "first");
	set_gate(true, 0);
	read_of(&rig, 0, 1);
	look(0, NULL);
	offer(&rig, 1, 2, VIRTIO_BLK_T_OUT, 3);
	run_until(&rig, 1, 1);
	look(8, NULL);
	offer(&rig, 1, 2, VIRTIO_BLK_T_OUT, 3);
	run_until(&rig, 1, 2);
	look(18, "first: the store has not answered 1 request for 18 s; one is "
		 "a read of 4096 bytes at 28672");
	set_gate(false, 0);
	run_until(&rig, 0, 1);
	look(20, "first: the store answers again, after 20 s");
	teardown(&rig);
}

/* Nobody looks at an idle disk, nor rings while somebody looks. */
static void test_sleeps(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	assert_false(is_rung());
	assert_false(tick());
	for (unsigned int round = 0; round < 3; round++) {
		read_of(&rig, 0, 1);
		assert_true(is_rung());
		read_of(&rig, 0, 2);
		assert_false(is_rung());
		run_until(&rig, 0, 2 * round + 2);
		assert_true(tick()); /* sees that something was answered */
		assert_true(tick()); /* sees nothing */
		assert_true(tick()); /* still nothing */
		assert_false(tick());
		assert_false(is_rung());
	}
	teardown(&rig);
}

/* A queue that has not seen yet that nobody looks is found all the same. */
static void test_falls_asleep(void **state)
{
	struct rig rig;

	(void)state;
	setup(&rig, 1);
	read_of(&rig, 0, 1);
	assert_true(is_rung());
	run_until(&rig, 0, 1);
	assert_true(tick());
	assert_true(tick());
	assert_true(store_watch_sleeps);
	/* As it is for one that read this a moment ago. */
	store_watch_sleeps = false;
	set_gate(true, 0);
	read_of(&rig, 0, 2);
	assert_false(is_rung());
	store_watch_sleeps = true;
	assert_true(tick());
	assert_false(store_watch_sleeps);
	assert_non_null(watcher.timers);
	set_gate(false, 0);
	run_until(&rig, 0, 2);
	teardown(&rig);
}

static void test_cannot_start(void **state)
{
	struct rig rig;
	struct block_image image;
	struct disk disk;
	struct disk_options options = { .engine = "threads",
					.queues = 1,
					.queue_size = RING };
	char error[BLOCK_ERROR_MAX] = "";

	(void)state;
	assert_int_equal(loop_init(&watcher), 0);
	rig_init(&rig, "threads", 0);
	make_file(&rig.end[0]);
	options.file = rig.end[0].file;
	watcher_error = -EAGAIN;
	assert_int_equal(model_disk_open(&disk, &image, &options,
					 &rig.mem.memory, error),
			 -EAGAIN);
	watcher_error = 0;
	assert_non_null(strstr(error, "cannot be watched"));
	unlink(options.file);
	rig_finish(&rig);
	loop_finish(&watcher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hangs),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_other_disk),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_falls_asleep),
		cmocka_unit_test(test_cannot_start),
	};

	return cmocka_run_group_tests_name("daemon_store_watch", tests, NULL,
					   NULL);
}
