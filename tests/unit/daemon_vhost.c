/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=epoll_ctl */
/*
 * The vhost-user daemon as a whole: who is accepted, and who waits.
 */
#include "lib/model_daemon.h"

#include <sys/epoll.h>

enum { IMAGE_BYTES = 4 << 20 };

static char image[128], path[128];

static struct options options_of(const char *name)
{
	struct options o = { .vhost = true, .vhost_fd = -1, .ndisks = 1 };

	model_path(path, sizeof(path), name);
	model_image(image, sizeof(image), IMAGE_BYTES);
	o.vhost_socket = path;
	o.disk[0].file = image;
	o.disk[0].engine = "threads";
	o.disk[0].queues = 16;
	o.disk[0].queue_size = 1024;
	return o;
}

static void start_as(struct daemon *d, const struct options *o)
{
	daemon_start(d, o);
	daemon_says(d, " MiB, ");
}

static void start(struct daemon *d)
{
	const struct options o = options_of("s");

	start_as(d, &o);
}

static void test_serves(void **state)
{
	struct daemon d;
	struct front f;

	(void)state;
	start(&d);
	for (int i = 0; i < 2; i++) {
		front_open(&f, path);
		/* QEMU has one for each vCPU, whatever our CPUs are. */
		assert_int_equal(
			front_ask(&f, VHOST_GET_QUEUE_NUM, NULL, 0, -1), 16);
		assert_true(front_start(&f));
		memset(f.memory + FRONT_DATA_AT, 0x5a + i, 512);
		assert_int_equal(front_io(&f, VIRTIO_BLK_T_OUT, 1, 512),
				 VIRTIO_BLK_S_OK);
		memset(f.memory + FRONT_DATA_AT, 0, 512);
		assert_int_equal(front_io(&f, VIRTIO_BLK_T_IN, 1, 512),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(f.memory[FRONT_DATA_AT + 511], 0x5a + i);
		front_close(&f);
	}
	daemon_stop(&d);
}

/* The next one waits, that is said, and it is served then. */
static void test_second_front_end(void **state)
{
	struct daemon d;
	struct front first, second;
	uint64_t sleeps;
	int waiting;

	(void)state;
	start(&d);
	front_open(&first, path);
	waiting = model_connect(path);
	daemon_says(&d, "vhost-user: another front end waits until the present "
			"one has gone");
	/* It is told of once, not until it goes. */
	sleeps = daemon_sleeps(&d);
	usleep(100000);
	assert_in_range(daemon_sleeps(&d) - sleeps, 1, 10);
	close(waiting);
	/* One that has gone meanwhile is in nobody's way. */
	waiting = model_connect(path);
	front_close(&first);
	close(waiting);
	front_open(&second, path);
	assert_true(front_start(&second));
	front_close(&second);
	daemon_stop(&d);
}

/* Without a descriptor for the next front end the daemon rests and says so. */
static void test_no_descriptor(void **state)
{
	struct daemon d;
	struct front f;
	uint64_t sleeps;
	int waiting;

	(void)state;
	start(&d);
	daemon_order(&d, DAEMON_FULL);
	waiting = model_connect(path);
	daemon_says(&d, "a front end cannot be accepted: Too many open files: "
			"raise LimitNOFILE=");
	sleeps = daemon_sleeps(&d);
	/* Some attempts later. */
	usleep(2500000);
	assert_in_range(daemon_sleeps(&d) - sleeps, 1, 100);
	assert_int_equal(daemon_said(&d, "cannot be accepted"), 1);
	daemon_order(&d, DAEMON_ROOM);
	daemon_says(&d, "a front end has connected");
	close(waiting);
	front_open(&f, path);
	front_close(&f);
	daemon_stop(&d);
}

/* How many edges more cannot be watched for; shared with the daemon. */
static unsigned int *no_memory;

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && (event->events & EPOLLET) && no_memory &&
	    __atomic_load_n(no_memory, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_sub(no_memory, 1, __ATOMIC_SEQ_CST);
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

/* Where the next front end cannot be awaited, that is tried again. */
static void test_no_memory_to_listen(void **state)
{
	struct daemon d;
	struct front f;

	(void)state;
	no_memory = mmap(NULL, sizeof(*no_memory), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(no_memory, MAP_FAILED);
	start(&d);
	front_open(&f, path);
	__atomic_store_n(no_memory, 2, __ATOMIC_SEQ_CST);
	front_close(&f);
	daemon_says(&d, "a front end cannot be accepted: Cannot allocate");
	front_open(&f, path);
	assert_true(front_start(&f));
	front_close(&f);
	daemon_stop(&d);
	munmap(no_memory, sizeof(*no_memory));
	no_memory = NULL;
}

/* A limit that all queues do not fit into is told of at the start. */
static void test_few_descriptors(void **state)
{
	struct rlimit limit, few;
	struct daemon d;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	start(&d);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(daemon_said(&d, "a front end that uses all 16 queues "
					 "may need 114 more descriptors, and "),
			 1);
	daemon_stop(&d);
	if (limit.rlim_cur < 1024)
		return;
	start(&d);
	assert_int_equal(daemon_said(&d, "descriptors"), 0);
	daemon_stop(&d);
}

/* Two daemons that share a listener which waits in accept(). */
static void test_shared_listener(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct options o[2] = { options_of("s"), options_of("s") };
	struct daemon d[2];
	struct front f;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	strcpy(sun.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 8), 0);
	for (int i = 0; i < 2; i++) {
		o[i].vhost_socket = NULL;
		o[i].vhost_fd = fd;
		o[i].disk[0].readonly = true;
		start_as(&d[i], &o[i]);
	}
	/* Whoever else has it may have done that. */
	assert_int_equal(fcntl(fd, F_SETFL, O_RDWR), 0);
	for (int i = 0; i < 20; i++) {
		front_open(&f, path);
		/* Both have looked for it; neither waits for the next. */
		daemon_sleeps(&d[0]);
		daemon_sleeps(&d[1]);
		assert_int_equal(fcntl(fd, F_SETFL, O_RDWR), 0);
		front_close(&f);
	}
	daemon_stop(&d[0]);
	daemon_stop(&d[1]);
	close(fd);
	unlink(path);
}

#define TEST(name)                                               \
	cmocka_unit_test_setup_teardown(name, model_make_folder, \
					model_remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_serves),
		TEST(test_second_front_end),
		TEST(test_no_descriptor),
		TEST(test_few_descriptors),
		TEST(test_no_memory_to_listen),
		TEST(test_shared_listener),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
