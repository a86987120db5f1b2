/* SPDX-License-Identifier: MIT */
/*
 * A file that holds writes back: a FUSE file system that is one file, which is
 * mounted on a file.
 *
 * While the test says so (store.h), each write, each zeroing and each flush
 * that begins waits for a while of its own before it is done. What comes after
 * the test has taken that back is done at once and overtakes them, as on a
 * device with a queue. A thread reads the requests; who waits has a thread of
 * its own. And where the test says so, flushes fail.
 *
 * usage: slow_store DATA FILE CONTROL direct|cached|writeback
 *
 *	direct		every open of the file is for direct I/O
 *	cached		the kernel's page cache, written through
 *	writeback	the kernel's page cache, written later
 *
 * What is written to FILE, the mount point, is in DATA in the end. Ends when it
 * is unmounted. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common.h"
#include "store.h"

enum {
	WRITE_MAX = 1 << 20,
	PAGES_MAX = WRITE_MAX / 4096,
	BUFFER_BYTES = WRITE_MAX + 65536,
	BACKGROUND_MAX = 256, /* requests at a time */
	TIMES_VALID_S = 3600,
};

static const char *const modes[] = { "direct", "cached", "writeback" };

static int device, file;
static unsigned int mode;
static struct store_control *control;

struct call {
	struct call *next;
	uint32_t wait_ms;
	bool held;
	struct fuse_in_header in;
	uint8_t body[];
};

/* ---- answers ---- */

static void answer(const struct call *c, int error, const void *data,
		   size_t bytes)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + (error ? 0 : bytes)),
		.error = error,
		.unique = c->in.unique,
	};
	const struct iovec iov[] = {
		{ &out, sizeof(out) },
		{ (void *)(uintptr_t)data, error ? 0 : bytes },
	};

	/* It is done; who hears of it may look at once. */
	if (c->held)
		__atomic_fetch_sub(&control->held, 1, __ATOMIC_SEQ_CST);
	/* Whoever asked may be dead. */
	if (writev(device, iov, bytes && !error ? 2 : 1) < 0 &&
	    errno != ENOENT && errno != ENODEV)
		die("slow_store: an answer to %u: %s", c->in.opcode,
		    strerror(errno));
}

static void answer_init(const struct call *c)
{
	const struct fuse_init_in *in = (const void *)c->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ?
				 in->minor :
				 FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ASYNC_DIO |
			 FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS,
		.max_background = BACKGROUND_MAX,
		.congestion_threshold = BACKGROUND_MAX,
		.max_write = WRITE_MAX,
		.time_gran = 1,
		.max_pages = PAGES_MAX,
	};

	if (mode == 2)
		out.flags |= FUSE_WRITEBACK_CACHE;
	out.flags &= in->flags;
	answer(c, 0, &out, sizeof(out));
}

static void answer_attr(const struct call *c)
{
	struct fuse_attr_out out = { .attr_valid = TIMES_VALID_S };
	struct stat st;

	if (fstat(file, &st)) {
		answer(c, -errno, NULL, 0);
		return;
	}
	out.attr = (struct fuse_attr){
		.ino = 1,
		.size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks,
		.mode = S_IFREG | 0600,
		.nlink = 1,
		.blksize = 4096,
	};
	answer(c, 0, &out, sizeof(out));
}

static void answer_open(const struct call *c)
{
	struct fuse_open_out out = { .open_flags = FOPEN_KEEP_CACHE };

	if (mode == 0)
		out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	answer(c, 0, &out, sizeof(out));
}

static void answer_read(const struct call *c)
{
	const struct fuse_read_in *in = (const void *)c->body;
	uint8_t *data = malloc(in->size);
	ssize_t n = data ? pread(file, data, in->size, (off_t)in->offset) : -1;

	if (n < 0)
		answer(c, -EIO, NULL, 0);
	else
		answer(c, 0, data, (size_t)n);
	free(data);
}

static void answer_write(const struct call *c)
{
	const struct fuse_write_in *in = (const void *)c->body;
	struct fuse_write_out out = { .size = in->size };
	ssize_t n = pwrite(file, in + 1, in->size, (off_t)in->offset);

	answer(c, n == (ssize_t)in->size ? 0 : -EIO, &out, sizeof(out));
}

static void answer_fallocate(const struct call *c)
{
	const struct fuse_fallocate_in *in = (const void *)c->body;
	int r = fallocate(file, (int)in->mode, (off_t)in->offset,
			  (off_t)in->length);

	answer(c, r ? -errno : 0, NULL, 0);
}

static void perform(const struct call *c)
{
	switch (c->in.opcode) {
	case FUSE_INIT:
		answer_init(c);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR: /* times only: nobody changes the size */
		answer_attr(c);
		break;
	case FUSE_OPEN:
		answer_open(c);
		break;
	case FUSE_READ:
		answer_read(c);
		break;
	case FUSE_WRITE:
		answer_write(c);
		break;
	case FUSE_FALLOCATE:
		answer_fallocate(c);
		break;
	case FUSE_FSYNC:
		answer(c, store_read(&control->fail) ? -EIO : 0, NULL, 0);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_ACCESS:
		answer(c, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* what is under way is done nevertheless */
		break;
	default:
		answer(c, -ENOSYS, NULL, 0);
	}
}

/* ---- holding back ---- */

static bool can_wait(uint32_t opcode)
{
	return opcode == FUSE_WRITE || opcode == FUSE_FALLOCATE ||
	       opcode == FUSE_FSYNC;
}

static void *wait_and_perform(void *arg)
{
	struct call *c = arg;

	pause_ns(c->wait_ms * NS_PER_MS);
	perform(c);
	free(c);
	return NULL;
}

static bool hold(struct call *c, struct chance *chance)
{
	uint32_t min = store_read(&control->min_ms);
	uint32_t max = store_read(&control->max_ms);
	pthread_attr_t attr;
	pthread_t thread;

	if (!can_wait(c->in.opcode) || !store_read(&control->hold))
		return false;
	c->wait_ms = min + chance_below(chance, max - min + 1);
	c->held = true;
	__atomic_fetch_add(&control->held, 1, __ATOMIC_SEQ_CST);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 65536);
	if (pthread_create(&thread, &attr, wait_and_perform, c))
		die("slow_store: no thread");
	pthread_attr_destroy(&attr);
	return true;
}

static void serve(void)
{
	uint8_t *buffer = malloc(BUFFER_BYTES);
	struct chance chance;
	ssize_t n;

	chance_seed(&chance, (uint64_t)getpid());
	while ((n = read(device, buffer, BUFFER_BYTES)) > 0 || errno == EINTR ||
	       errno == ENOENT || errno == EAGAIN) {
		struct call *c;

		if (n <= 0)
			continue;
		c = malloc(sizeof(*c) + (size_t)n);
		if (!c)
			die("slow_store: no memory");
		c->held = false;
		memcpy(&c->in, buffer, (size_t)n);
		if (c->in.opcode == FUSE_WRITE)
			__atomic_fetch_add(&control->writes, 1,
					   __ATOMIC_SEQ_CST);
		if (hold(c, &chance))
			continue;
		perform(c);
		free(c);
	}
	free(buffer);
}

/* ---- life ---- */

static void open_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	control = fd < 0 ? MAP_FAILED :
			   mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static void mount_on(const char *path)
{
	char options[128];

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		die("/dev/fuse: %s", strerror(errno));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100600,user_id=0,group_id=0", device);
	if (mount("slow_store", path, "fuse.slow_store", MS_NOSUID | MS_NODEV,
		  options))
		die("%s: cannot be mounted on: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc != 5)
		die("slow_store: DATA FILE CONTROL MODE");
	while (mode < 3 && strcmp(argv[4], modes[mode]) != 0)
		mode++;
	file = open(argv[1], O_RDWR | O_CLOEXEC);
	if (mode == 3 || file < 0)
		die("slow_store: %s or %s cannot be", argv[1], argv[4]);
	signal(SIGPIPE, SIG_IGN);
	open_control(argv[3]);
	mount_on(argv[2]);
	store_set(&control->ready, 1);
	serve();
	return 0;
}
