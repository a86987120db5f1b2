/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that a hostile front end sends: what is taken for an eventfd and
 * for a file, and that none holds us up, not even one of a file system whose
 * server has stopped answering. That one needs root and /dev/fuse.
 */
#include "lib/vhost_peer.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "vhost_user/peer_fd.h"

static void eventfds_are_told_apart(void **state)
{
	static const int flags[] = { 0, EFD_NONBLOCK, EFD_SEMAPHORE };

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		const uint64_t full = UINT64_MAX - 1;
		int fd = eventfd(i, flags[i]);
		uint64_t n;

		assert_true(peer_fd_is_event(fd));
		/* Nothing was added or taken, and nothing waits. */
		if (i) {
			assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
			assert_int_equal(n, flags[i] == EFD_SEMAPHORE ? 1 : i);
		}
		while (i == 2 && peer_fd_is_event(fd) &&
		       read(fd, &n, sizeof(n)) > 0 && n == 0)
			continue;
		if (i < 2) {
			assert_int_equal(write(fd, &full, sizeof(full)), 8);
			assert_true(peer_fd_is_event(fd));
		}
		peer_fd_close(fd);
	}
}

static void not_eventfds(void **state)
{
	sigset_t none;
	int pipes[2];

	(void)state;
	sigemptyset(&none);
	assert_int_equal(pipe(pipes), 0);
	{
		const int other[] = {
			epoll_create1(0),
			timerfd_create(CLOCK_MONOTONIC, 0),
			signalfd(-1, &none, 0),
			inotify_init(),
			pipes[0],
			pipes[1],
			memfd_create("file", 0),
			socket(AF_UNIX, SOCK_STREAM, 0),
			open("/", O_RDONLY),
			open("/dev/null", O_RDWR),
			open("/dev/zero", O_RDWR),
		};

		for (unsigned int i = 0; i < sizeof(other) / sizeof(*other);
		     i++) {
			assert_true(other[i] >= 0);
			assert_false(peer_fd_is_event(other[i]));
			peer_fd_close(other[i]);
		}
	}
	assert_false(peer_fd_is_event(-1));
}

static void files_that_may_block(void **state)
{
	char name[] = "/var/tmp/vhost-test-XXXXXX";
	int memory = memfd_create("file", 0);
	int disk = mkstemp(name);
	int null = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(peer_fd_check_file(memory), 0);
	assert_int_equal(peer_fd_check_file(disk), 0);
	assert_int_equal(peer_fd_check_file(null), -EINVAL);
	assert_true(peer_fd_check_file(-1) < 0);
	peer_fd_close(memory);
	peer_fd_close(disk);
	peer_fd_close(null);
	unlink(name);
}

/* ---- a file system of the peer's ---- */

static struct {
	int dev;
	char dir[32];
	pthread_t thread;
	bool mute; /* atomic: it answers no more */
} server;

static void answer(uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + len),
		.error = error,
		.unique = unique,
	};
	const struct iovec iov[2] = {
		{ &head, sizeof(head) },
		{ (void *)body, len },
	};

	if (!__atomic_load_n(&server.mute, __ATOMIC_ACQUIRE))
		assert_true(writev(server.dev, iov, len ? 2 : 1) > 0);
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.size = PEER_MEMORY,
		.nlink = 1,
		.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666,
	};
}

static void serve_one(const struct fuse_in_header *in)
{
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_write = 4096,
	};
	const struct fuse_entry_out entry = {
		.nodeid = 2,
		.attr = attributes(2),
	};
	const struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };
	const struct fuse_open_out opened = { .fh = 1 };

	switch (in->opcode) {
	case FUSE_INIT:
		answer(in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(in->unique, 0, NULL, 0);
	}
}

static void *serve(void *arg)
{
	static char bytes[FUSE_MIN_READ_BUFFER + 8192];

	while (read(server.dev, bytes, sizeof(bytes)) > 0)
		serve_one((const struct fuse_in_header *)(void *)bytes);
	return arg;
}

/* An open file there, or -1 where it cannot be mounted. */
static int open_served(void)
{
	char options[96], file[48];

	server.dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (server.dev < 0)
		return -1;
	strcpy(server.dir, "/tmp/vhost-fuse-XXXXXX");
	assert_non_null(mkdtemp(server.dir));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", server.dev);
	if (mount("test", server.dir, "fuse", 0, options)) {
		rmdir(server.dir);
		close(server.dev);
		server.dev = -1;
		return -1;
	}
	server.mute = false;
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	snprintf(file, sizeof(file), "%s/file", server.dir);
	return open(file, O_RDWR | O_CLOEXEC);
}

/* Whoever waits for the server gets an error. */
static void end_server(void)
{
	umount2(server.dir, MNT_FORCE | MNT_DETACH);
	pthread_join(server.thread, NULL);
	close(server.dev);
	server.dev = -1;
	rmdir(server.dir);
}

static void file_system_of_the_peer(void **state)
{
	const struct vhost_mem_reg reg = { .region = whole_memory() };
	struct vhost_mem_table table = { .n = 1 };
	const struct vhost_log log = { .size = 0x100000 };
	const struct vhost_inflight in = { 8192, 0, 1, 64, 0 };
	uint64_t began;
	int fd;

	(void)state;
	fd = open_served();
	if (fd < 0)
		skip();
	assert_int_equal(peer_fd_check_file(fd), -EREMOTE);
	__atomic_store_n(&server.mute, true, __ATOMIC_RELEASE);
	table.region[0] = whole_memory();
	log_set_level(LOG_LEVEL_ERROR);
	peer_start("null", 0);
	began = clock_ns();
	for (unsigned int i = 0; i < 5; i++) {
		negotiate();
		if (i == 0)
			send_message(VHOST_ADD_MEM_REG, &reg, sizeof(reg), &fd,
				     1);
		if (i == 1)
			send_message(VHOST_SET_MEM_TABLE, &table,
				     VHOST_MEM_TABLE_HEAD + 32, &fd, 1);
		if (i == 2)
			send_message(VHOST_SET_LOG_BASE, &log, sizeof(log), &fd,
				     1);
		if (i == 3)
			send_message(VHOST_SET_INFLIGHT_FD, &in, sizeof(in),
				     &fd, 1);
		if (i == 4)
			send_message(VHOST_SET_VRING_CALL, &(uint64_t){ 0 }, 8,
				     &fd, 1);
		expect_closed();
		close(peer.sock);
		connect_peer();
	}
	/* What comes behind too many of them is served all the same. */
	negotiate();
	share_memory();
	for (unsigned int i = 0; i < 10; i++)
		ask_ok(VHOST_SET_LOG_FD, NULL, 0, &fd, 1);
	set_up_queue(0);
	submit(0, 0, VIRTIO_BLK_T_IN, 0, 512);
	await(0);
	assert_true(clock_ns() - began < 30 * NS_PER_SECOND);
	peer_end();
	end_server();
	close(fd);
}

static int end(void **state)
{
	(void)state;
	if (server.dev > 0)
		end_server();
	return 0;
}

/* However many come at once: none is forgotten, though threads close them. */
static void many_at_once(void **state)
{
	enum { MANY = 400 };
	int fd[MANY];
	unsigned int open_ones = MANY;

	(void)state;
	for (unsigned int i = 0; i < MANY; i++) {
		fd[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		assert_true(fd[i] >= 0);
	}
	for (unsigned int i = 0; i < MANY; i++)
		peer_fd_close(fd[i]);
	for (unsigned int try = 0; open_ones && try < 5000; try++) {
		usleep(1000);
		open_ones = 0;
		for (unsigned int i = 0; i < MANY; i++)
			open_ones += fcntl(fd[i], F_GETFD) >= 0;
	}
	assert_int_equal(open_ones, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eventfds_are_told_apart),
		cmocka_unit_test(not_eventfds),
		cmocka_unit_test(files_that_may_block),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test_teardown(file_system_of_the_peer, end),
	};

	return cmocka_run_group_tests_name("vhost_peer_fd", tests, NULL, NULL);
}
