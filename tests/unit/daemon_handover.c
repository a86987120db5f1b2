/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=fdatasync */
/*
 * A writable disk goes from one daemon to another and back: one writer at a
 * time, who finds what the other one wrote.
 */
#include "lib/model_daemon.h"

#include <pthread.h>

enum { IMAGE_BYTES = 1 << 20 };

static char image[128], path[2][128];

/*
 * What the store does with a flush, by the files that there are: "hang" until
 * it is removed, of which "hangs" tells; "fail".
 */
static bool there_is(const char *name)
{
	char file[128];

	model_path(file, sizeof(file), name);
	return access(file, F_OK) == 0;
}

static void make(const char *name)
{
	char file[128];

	model_path(file, sizeof(file), name);
	close(open(file, O_RDWR | O_CREAT, 0600));
}

static void take_away(const char *name)
{
	char file[128];

	model_path(file, sizeof(file), name);
	unlink(file);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	while (there_is("hang")) {
		make("hangs");
		usleep(1000);
	}
	if (there_is("fail")) {
		errno = EIO;
		return -1;
	}
	return __real_fdatasync(fd);
}

static int remove_folder(void **state)
{
	take_away("hangs");
	take_away("fail");
	return model_remove_folder(state);
}

static void start(struct daemon *d, unsigned int i, bool lends)
{
	struct options o = { .vhost = true, .vhost_fd = -1, .ndisks = 1 };

	model_path(path[i], sizeof(path[i]), i ? "there" : "here");
	model_image(image, sizeof(image), IMAGE_BYTES);
	o.vhost_socket = path[i];
	o.disk[0].file = image;
	o.disk[0].engine = "threads";
	o.disk[0].queues = 16;
	o.disk[0].queue_size = 1024;
	o.disk[0].cache = BLOCK_CACHE_WRITEBACK;
	o.disk[0].readonly = !lends;
	o.disk[0].iothreads = i;
	daemon_start(d, &o);
}

static void start_two(struct daemon d[2])
{
	char words[64];

	start(&d[0], 0, true);
	daemon_says(&d[0], " MiB, ");
	assert_int_equal(daemon_said(&d[0], "waits for"), 0);
	start(&d[1], 1, true);
	daemon_says(&d[1], " MiB, ");
	snprintf(words, sizeof(words), "another process (pid %ld)",
		 (long)d[0].pid);
	daemon_says(&d[1], "vhost-user: waits for a live migration");
	daemon_says(&d[1], words);
}

static void write_block(struct front *f, uint8_t byte)
{
	memset(f->memory + FRONT_DATA_AT, byte, 512);
	assert_int_equal(front_io(f, VIRTIO_BLK_T_OUT, 3, 512),
			 VIRTIO_BLK_S_OK);
}

static uint8_t read_block(struct front *f)
{
	memset(f->memory + FRONT_DATA_AT, 0, 512);
	assert_int_equal(front_io(f, VIRTIO_BLK_T_IN, 3, 512), VIRTIO_BLK_S_OK);
	return f->memory[FRONT_DATA_AT + 100];
}

/*
 * A front end of daemon `i` whose queue is refused, for the other one has it.
 */
static void check_refused(struct daemon d[2], unsigned int i)
{
	unsigned int n = daemon_said(&d[i], "a queue cannot start: ");
	char words[64];
	struct front f;

	snprintf(words, sizeof(words), "another process (pid %ld)",
		 (long)d[!i].pid);
	front_open(&f, path[i]);
	assert_false(front_start(&f));
	front_close(&f);
	daemon_says(&d[i], words);
	assert_int_equal(daemon_said(&d[i], "a queue cannot start: "), n + 1);
}

/* There, and back, as after one that failed there. */
static void test_migration(void **state)
{
	struct daemon d[2];
	struct front here, there;

	(void)state;
	start_two(d);
	front_open(&here, path[0]);
	assert_true(front_start(&here));
	write_block(&here, 1);
	check_refused(d, 1);

	front_stop(&here);
	front_open(&there, path[1]);
	assert_true(front_start(&there));
	daemon_says(&d[1], "vhost-user: has the lock of ");
	assert_int_equal(read_block(&there), 1);
	write_block(&there, 2);
	assert_false(front_start(&here));
	daemon_says(&d[0], "a queue cannot start: ");
	front_close(&here);

	front_stop(&there);
	front_open(&here, path[0]);
	assert_true(front_start(&here));
	assert_int_equal(read_block(&here), 2);
	front_close(&there);
	check_refused(d, 1);
	front_close(&here);
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
}

static struct {
	struct daemon *daemon; /* when it says that a queue waits ... */
	struct front *front;   /* this one stops */
} waiting;

static void *stop_then(void *arg)
{
	(void)arg;
	daemon_says(waiting.daemon, "a queue waits for the lock of ");
	front_stop(waiting.front);
	return NULL;
}

/* Who has the lock may be about to give it: the queue waits for that. */
static void test_queue_waits(void **state)
{
	struct daemon d[2];
	struct front here, there;
	pthread_t stopper;
	uint64_t begin_ns;

	(void)state;
	start_two(d);
	front_open(&here, path[0]);
	assert_true(front_start(&here));
	write_block(&here, 6);
	waiting.daemon = &d[1];
	waiting.front = &here;
	assert_int_equal(pthread_create(&stopper, NULL, stop_then, NULL), 0);
	front_open(&there, path[1]);
	begin_ns = clock_ns();
	/* Some seconds are its limit, which a loaded machine may pass. */
	while (!front_start(&there)) {
		assert_true(clock_ns() - begin_ns > 2 * NS_PER_SECOND);
		front_close(&there);
		front_open(&there, path[1]);
		begin_ns = clock_ns();
	}
	assert_int_equal(pthread_join(stopper, NULL), 0);
	assert_int_equal(read_block(&there), 6);
	front_close(&there);
	front_close(&here);
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
}

/* A front end that goes takes no lock along, nor does one that was killed. */
static void test_gone(void **state)
{
	struct daemon d[2];
	struct front f;

	(void)state;
	start_two(d);
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	front_close(&f);
	/* It is another one's after half a second at most. */
	for (unsigned int i = 0; i < 3; i++) {
		front_open(&f, path[1]);
		assert_true(front_start(&f));
		write_block(&f, 3);
		front_close(&f);
		front_open(&f, path[0]);
		assert_true(front_start(&f));
		assert_int_equal(read_block(&f), 3);
		front_close(&f);
	}
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	daemon_kill(&d[0]);
	front_close(&f);
	front_open(&f, path[1]);
	assert_true(front_start(&f));
	front_close(&f);
	daemon_stop(&d[1]);
	/* What was killed. */
	take_away("here");
	take_away("here.lock");
}

static void wait_until_it_hangs(void)
{
	uint64_t until = clock_ns() + MODEL_WAIT_S * NS_PER_SECOND;

	while (!there_is("hangs")) {
		usleep(1000);
		assert_true(clock_ns() < until);
	}
}

/*
 * The device is given up while the image is still being flushed: who connects
 * then finds nobody, and not what is left of it.
 */
static void test_nobody_comes_at_the_end(void **state)
{
	struct daemon d;
	struct front f;

	(void)state;
	start(&d, 0, true);
	daemon_says(&d, " MiB, ");
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	write_block(&f, 5);
	make("hang");
	front_close(&f);
	wait_until_it_hangs();
	daemon_order(&d, DAEMON_QUIT);
	daemon_sleeps(&d);
	f.sock = model_connect(path[0]);
	front_send(&f, VHOST_GET_FEATURES, NULL, 0, -1);
	daemon_sleeps(&d);
	take_away("hang");
	assert_int_equal(daemon_ended(&d), 0);
	assert_int_equal(daemon_said(&d, "has connected"), 1);
	close(f.sock);
}

/* What is written is stable before the lock is free and that is answered. */
static void test_flushed_before(void **state)
{
	const struct vhost_vring_state first = { .index = 0 };
	union vhost_payload answer;
	struct daemon d[2];
	struct front f, other;

	(void)state;
	start_two(d);
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	write_block(&f, 4);
	make("hang");
	front_send(&f, VHOST_GET_VRING_BASE, &first, sizeof(first), -1);
	wait_until_it_hangs();
	/* The loop goes on meanwhile. */
	daemon_sleeps(&d[0]);
	assert_int_equal(recv(f.sock, &answer, 1, MSG_DONTWAIT), -1);
	check_refused(d, 1);
	assert_int_equal(recv(f.sock, &answer, 1, MSG_DONTWAIT), -1);
	take_away("hang");
	assert_true(front_reply(&f, &answer));
	assert_int_equal(answer.state.num, f.avail);
	front_open(&other, path[1]);
	assert_true(front_start(&other));
	front_close(&other);
	front_close(&f);
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
}

/* Lost writes do not go on elsewhere as if nothing had happened. */
static void test_flush_fails(void **state)
{
	struct daemon d[2];
	struct front f;

	(void)state;
	start_two(d);
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	write_block(&f, 5);
	make("fail");
	front_stop(&f);
	daemon_says(&d[0], "the disk cannot go on elsewhere");
	take_away("fail");
	check_refused(d, 1);
	/* Here it does, and the guest is told. */
	assert_true(front_start(&f));
	assert_int_equal(front_io(&f, VIRTIO_BLK_T_FLUSH, 0, 0),
			 VIRTIO_BLK_S_IOERR);
	front_close(&f);
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
}

/* The destination may have been opened before the image got its last size. */
static void test_new_size(void **state)
{
	struct daemon d[2];
	struct front f, other;

	(void)state;
	start_two(d);
	front_open(&f, path[0]);
	assert_true(front_start(&f));
	front_stop(&f);
	front_open(&other, path[1]);
	assert_int_equal(truncate(image, 2 * IMAGE_BYTES), 0);
	assert_true(front_start(&other));
	assert_int_equal(front_capacity(&other), 2 * IMAGE_BYTES / 512);
	front_close(&other);
	front_close(&f);
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
}

/* Only who may have it one day waits for it. */
static void test_reader_does_not_wait(void **state)
{
	struct daemon d[2];

	(void)state;
	start(&d[0], 0, true);
	daemon_says(&d[0], " MiB, ");
	start(&d[1], 1, false);
	assert_int_equal(daemon_ended(&d[1]), 1);
	assert_non_null(strstr(d[1].said, "already in use by another process"));
	daemon_stop(&d[0]);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, model_make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_migration),
		TEST(test_queue_waits),
		TEST(test_gone),
		TEST(test_flushed_before),
		TEST(test_flush_fails),
		TEST(test_new_size),
		TEST(test_reader_does_not_wait),
		TEST(test_nobody_comes_at_the_end),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
