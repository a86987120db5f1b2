/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=pwritev2 */
/*
 * A store that hangs: the daemon waits for it, and ends if it is told to.
 */
#include "lib/model_daemon.h"

#include <sys/uio.h>

static char image[128], path[128];

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int niov, off_t offset,
			int flags);

/* Until the daemon has ended, or the test has removed the file "hang". */
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int niov, off_t offset,
			int flags)
{
	char hang[128], hangs[128];

	(void)flags;
	model_path(hang, sizeof(hang), "hang");
	model_path(hangs, sizeof(hangs), "hangs");
	while (access(hang, F_OK) == 0) {
		close(open(hangs, O_RDWR | O_CREAT, 0600));
		usleep(1000);
	}
	return pwritev(fd, iov, niov, offset);
}

static void start(struct daemon *d, unsigned int iothreads)
{
	struct options o = { .vhost = true, .vhost_fd = -1, .ndisks = 1 };

	model_path(path, sizeof(path), "s");
	model_image(image, sizeof(image), 1 << 20);
	o.vhost_socket = path;
	o.disk[0].file = image;
	o.disk[0].engine = "threads";
	o.disk[0].queues = 16;
	o.disk[0].queue_size = 1024;
	o.disk[0].iothreads = iothreads;
	daemon_start(d, &o);
	daemon_says(d, " MiB, ");
}

static void hang(bool on)
{
	char name[128];

	model_path(name, sizeof(name), "hang");
	if (on)
		close(open(name, O_RDWR | O_CREAT, 0600));
	else
		assert_int_equal(unlink(name), 0);
}

static void wait_until_it_hangs(void)
{
	uint64_t until = clock_ns() + MODEL_WAIT_S * NS_PER_SECOND;
	char name[128];

	model_path(name, sizeof(name), "hangs");
	while (access(name, F_OK)) {
		usleep(1000);
		assert_true(clock_ns() < until);
	}
}

static void hang_up(struct daemon *d, struct front *f, unsigned int iothreads)
{
	start(d, iothreads);
	front_open(f, path);
	assert_true(front_start(f));
	assert_int_equal(front_io(f, VIRTIO_BLK_T_OUT, 0, 512),
			 VIRTIO_BLK_S_OK);
	hang(true);
	front_submit(f, VIRTIO_BLK_T_OUT, 0, 512);
	wait_until_it_hangs();
	daemon_order(d, DAEMON_QUIT);
	daemon_says(d, "vhost-user: waiting for 1 request in flight; a second "
		       "signal gives them up");
}

static void check_abandons(unsigned int iothreads)
{
	struct daemon d;
	struct front f;

	hang_up(&d, &f, iothreads);
	/* It stays in its loop, where a signal is seen. */
	daemon_sleeps(&d);
	daemon_order(&d, DAEMON_ABANDON);
	assert_int_equal(daemon_ended(&d), 1);
	assert_int_equal(access(path, F_OK), -1);
	front_close(&f);
	hang(false);
}

static void test_abandons(void **state)
{
	(void)state;
	check_abandons(0);
}

static void test_abandons_threads(void **state)
{
	(void)state;
	check_abandons(2);
}

/* The store comes back: the request is answered before the end. */
static void test_waits(void **state)
{
	struct daemon d;
	struct front f;

	(void)state;
	hang_up(&d, &f, 0);
	daemon_sleeps(&d);
	hang(false);
	assert_int_equal(daemon_ended(&d), 0);
	assert_int_equal(f.memory[0x4000], VIRTIO_BLK_S_OK);
	front_close(&f);
}

static int remove_folder(void **state)
{
	char name[128];

	model_path(name, sizeof(name), "hangs");
	unlink(name);
	return model_remove_folder(state);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, model_make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_abandons),
		TEST(test_abandons_threads),
		TEST(test_waits),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
