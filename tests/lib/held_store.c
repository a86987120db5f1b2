/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "lib/test.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "lib/held_store.h"

enum {
	BUFFER_BYTES = HELD_BYTES + 65536,
	LOOK_MS = 2,
	AWAIT_MS = 30000,
};

/* Who closes it does not wait for what is held. */
#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1 << 5)
#endif
#define OPEN_FLAGS (FOPEN_DIRECT_IO | FOPEN_NOFLUSH)

struct held_control *held;

static int device;
static pid_t server;
static struct {
	uint32_t opcode;
	uint64_t unique, offset;
	uint32_t size;
	unsigned char data[HELD_BYTES];
} waiting[HELD_MAX];
static unsigned int nwaiting;

/* ---- its process ---- */

static void answer(uint64_t unique, int error, const void *data, size_t bytes)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + bytes),
		.error = -error,
		.unique = unique,
	};
	const struct iovec iov[] = { { &out, sizeof(out) },
				     { (void *)(uintptr_t)data, bytes } };

	/* Whoever asked may be gone. */
	if (writev(device, iov, bytes ? 2 : 1) < 0 && errno != ENOENT)
		_exit(1);
}

static void answer_attributes(uint64_t unique)
{
	const struct fuse_attr_out out = { .attr = { .ino = 1,
						     .size = HELD_BYTES,
						     .mode = S_IFREG | 0600,
						     .nlink = 1,
						     .blksize = 4096 } };

	answer(unique, 0, &out, sizeof(out));
}

static void answer_init(uint64_t unique, const struct fuse_init_in *in)
{
	const struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES),
		.max_background = HELD_MAX,
		.congestion_threshold = HELD_MAX,
		.max_write = HELD_BYTES,
		.max_pages = HELD_BYTES / 4096,
		.time_gran = 1,
	};

	answer(unique, 0, &out, sizeof(out));
}

static void do_one(unsigned int i)
{
	unsigned char *data = held->data + waiting[i].offset;
	struct fuse_write_out out = { .size = waiting[i].size };

	__atomic_add_fetch(&held->done, 1, __ATOMIC_SEQ_CST);
	switch (waiting[i].opcode) {
	case FUSE_READ:
		answer(waiting[i].unique, 0, data, waiting[i].size);
		break;
	case FUSE_WRITE:
		memcpy(data, waiting[i].data, waiting[i].size);
		answer(waiting[i].unique, 0, &out, sizeof(out));
		break;
	default:
		answer(waiting[i].unique, 0, NULL, 0);
	}
}

static void do_waiting(void)
{
	if (__atomic_load_n(&held->hold, __ATOMIC_SEQ_CST))
		return;
	for (unsigned int i = 0; i < nwaiting; i++)
		do_one(i);
	nwaiting = 0;
	__atomic_store_n(&held->held, 0, __ATOMIC_SEQ_CST);
}

/* One that is held if the test says so. */
static void keep(const struct fuse_in_header *h, uint64_t offset, uint32_t size,
		 const void *data)
{
	if (nwaiting == HELD_MAX || offset > HELD_BYTES ||
	    size > HELD_BYTES - offset)
		_exit(2);
	waiting[nwaiting].opcode = h->opcode;
	waiting[nwaiting].unique = h->unique;
	waiting[nwaiting].offset = offset;
	waiting[nwaiting].size = size;
	if (data)
		memcpy(waiting[nwaiting].data, data, size);
	nwaiting++;
	__atomic_store_n(&held->held, nwaiting, __ATOMIC_SEQ_CST);
	do_waiting();
}

static void serve(const struct fuse_in_header *h)
{
	const struct fuse_open_out out = { .open_flags = OPEN_FLAGS };
	const struct fuse_write_in *w = (const void *)(h + 1);
	const struct fuse_read_in *r = (const void *)(h + 1);

	switch (h->opcode) {
	case FUSE_INIT:
		answer_init(h->unique, (const void *)(h + 1));
		break;
	case FUSE_GETATTR:
		answer_attributes(h->unique);
		break;
	case FUSE_OPEN:
		__atomic_add_fetch(&held->opened, 1, __ATOMIC_SEQ_CST);
		answer(h->unique, 0, &out, sizeof(out));
		break;
	case FUSE_READ:
		keep(h, r->offset, r->size, NULL);
		break;
	case FUSE_WRITE:
		keep(h, w->offset, w->size, w + 1);
		break;
	case FUSE_FSYNC:
		keep(h, 0, 0, NULL);
		break;
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		answer(h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(h->unique, ENOSYS, NULL, 0);
	}
}

static _Noreturn void run(void)
{
	static char buffer[BUFFER_BYTES] __attribute__((aligned(4096)));
	struct pollfd p = { .fd = device, .events = POLLIN };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n;

		poll(&p, 1, LOOK_MS);
		do_waiting();
		n = read(device, buffer, sizeof(buffer));
		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			serve((const void *)buffer);
		else if (n >= 0 ||
			 (errno != EAGAIN && errno != EINTR && errno != ENOENT))
			_exit(0);
	}
}

/* ---- the test's ---- */

void held_start(void)
{
	char options[128];

	free(harness_create("held", 0));
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (device < 0)
		skip();
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100000,user_id=0,group_id=0", device);
	/* However this ends, no mount is left. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("held", harness_path("held"), "fuse", MS_NOSUID | MS_NODEV,
		  options)) {
		close(device);
		skip();
	}
	held = mmap(NULL, sizeof(*held), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(held, MAP_FAILED);
	server = fork();
	if (server == 0)
		run();
	assert_true(server > 0);
	close(device);
}

void held_hold(bool on)
{
	__atomic_store_n(&held->hold, on, __ATOMIC_SEQ_CST);
}

void held_await(unsigned int n)
{
	for (int ms = 0; ms < AWAIT_MS; ms++) {
		if (__atomic_load_n(&held->held, __ATOMIC_SEQ_CST) == n)
			return;
		usleep(1000);
	}
	fail_msg("%u requests are held, not %u", held->held, n);
}

int held_stop(void **state)
{
	(void)state;
	if (!held)
		return 0;
	/* Whoever still waits for it is told that it is gone. */
	umount2(harness_path("held"), MNT_DETACH);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	munmap(held, sizeof(*held));
	held = NULL;
	return 0;
}
