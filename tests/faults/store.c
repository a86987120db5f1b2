/* SPDX-License-Identifier: MIT */
/*
 * A store that fails on demand: one file, served by FUSE in the kernel's own
 * protocol, over a file of ours.
 *
 * usage: store FILE MOUNTPOINT CONTROL
 *
 * The mounted file is MOUNTPOINT itself. CONTROL is a file of `struct
 * store_control` that others map: it says what happens to which request, and
 * counts. It ends with its standard input. Reads and writes go around the page
 * cache; it needs the right to mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store.h"

enum { TRANSFER_MAX = 1 << 20 };

static int fuse, image;
static volatile struct store_control *control;
static char buffer[TRANSFER_MAX + 4096] __attribute__((aligned(4096)));
static char data[TRANSFER_MAX] __attribute__((aligned(4096)));

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "store: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void reply(uint64_t unique, int error, const void *body, size_t n)
{
	struct fuse_out_header h = { .len = (uint32_t)(sizeof(h) + n),
				     .error = error,
				     .unique = unique };
	struct iovec iov[2] = { { &h, sizeof(h) },
				{ (void *)(uintptr_t)body, n } };

	/* One that was interrupted is not there any more. */
	if (writev(fuse, iov, 2) < 0 && errno != ENOENT)
		fail("reply");
}

static void reply_error(uint64_t unique, int error)
{
	reply(unique, -error, NULL, 0);
}

static struct fuse_attr attributes(void)
{
	struct stat st;

	if (fstat(image, &st))
		fail("fstat");
	return (struct fuse_attr){ .ino = 1,
				   .size = (uint64_t)st.st_size,
				   .blocks = (uint64_t)st.st_blocks,
				   .mode = S_IFREG | 0600,
				   .nlink = 1,
				   .blksize = 4096 };
}

/* ---- faults ---- */

/* What is to become of this request: 0, an errno, or a shorter length. */
static int fault_of(enum store_op op, uint32_t *length)
{
	volatile struct store_fault *f = &control->fault[op];
	unsigned int now;

	while (control->frozen)
		usleep(1000);
	now = ++control->seen[op];
	if (!f->at || now < f->at || (now > f->at && !f->every))
		return 0;
	if (f->every && (now - f->at) % f->every)
		return 0;
	control->failed[op]++;
	if (f->error)
		return f->error;
	if (length && f->shorter < *length)
		*length = f->shorter;
	return 0;
}

/* ---- requests ---- */

static void do_init(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = (FUSE_MAX_PAGES | FUSE_BIG_WRITES) & in->flags,
		.max_background = 64,
		.congestion_threshold = 64,
		.max_write = TRANSFER_MAX,
		.time_gran = 1,
		.max_pages = TRANSFER_MAX / 4096,
	};

	reply(unique, 0, &out, sizeof(out));
}

static void do_getattr(uint64_t unique)
{
	struct fuse_attr_out out = { .attr = attributes() };

	reply(unique, 0, &out, sizeof(out));
}

static void do_open(uint64_t unique)
{
	struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO };

	reply(unique, 0, &out, sizeof(out));
}

static void do_read(uint64_t unique, const struct fuse_read_in *in)
{
	uint32_t length = in->size;
	int error = fault_of(STORE_READ, &length);
	ssize_t n;

	if (error) {
		reply_error(unique, error);
		return;
	}
	n = pread(image, data, length, (off_t)in->offset);
	if (n < 0)
		reply_error(unique, errno);
	else
		reply(unique, 0, data, (size_t)n);
}

static void do_write(uint64_t unique, const struct fuse_write_in *in)
{
	struct fuse_write_out out = { .size = in->size };
	int error = fault_of(STORE_WRITE, &out.size);

	if (error)
		reply_error(unique, error);
	else if (pwrite(image, in + 1, out.size, (off_t)in->offset) !=
		 (ssize_t)out.size)
		reply_error(unique, EIO);
	else
		reply(unique, 0, &out, sizeof(out));
}

static void do_fsync(uint64_t unique)
{
	reply_error(unique, fault_of(STORE_FLUSH, NULL));
}

static void do_fallocate(uint64_t unique, const struct fuse_fallocate_in *in)
{
	int error = fault_of(STORE_DISCARD, NULL);

	if (!error && fallocate(image, (int)in->mode, (off_t)in->offset,
				(off_t)in->length))
		error = errno;
	reply_error(unique, error);
}

static void serve(const struct fuse_in_header *h)
{
	const void *in = h + 1;

	switch (h->opcode) {
	case FUSE_INIT:
		do_init(h->unique, in);
		break;
	case FUSE_GETATTR:
		do_getattr(h->unique);
		break;
	case FUSE_OPEN:
		do_open(h->unique);
		break;
	case FUSE_READ:
		do_read(h->unique, in);
		break;
	case FUSE_WRITE:
		do_write(h->unique, in);
		break;
	case FUSE_FSYNC:
		do_fsync(h->unique);
		break;
	case FUSE_FALLOCATE:
		do_fallocate(h->unique, in);
		break;
	case FUSE_RELEASE:
	case FUSE_FLUSH:
	case FUSE_ACCESS:
		reply_error(h->unique, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .bsize = 4096,
						       .namelen = 255 } };

		reply(h->unique, 0, &out, sizeof(out));
		break;
	}
	default:
		reply_error(h->unique, ENOSYS);
	}
}

/* ---- life ---- */

static void mount_at(const char *path)
{
	char options[128];

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		fail("/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100000,user_id=0,group_id=0,allow_other",
		 fuse);
	if (mount("store", path, "fuse", MS_NOSUID | MS_NODEV, options))
		fail("mount");
}

static void map_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, 0);
	if (control == MAP_FAILED)
		fail(path);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		fail("usage: store FILE MOUNTPOINT CONTROL");
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	if (image < 0)
		fail(argv[1]);
	map_control(argv[3]);
	mount_at(argv[2]);
	control->mounted = 1;
	for (;;) {
		struct pollfd p[] = { { .fd = fuse, .events = POLLIN },
				      { .fd = STDIN_FILENO,
					.events = POLLIN } };
		ssize_t n;

		if (poll(p, 2, -1) < 0 || p[1].revents)
			break;
		n = read(fuse, buffer, sizeof(buffer));
		if (n < 0 &&
		    (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			break;
		serve((const void *)buffer);
	}
	umount2(argv[2], MNT_DETACH);
	return 0;
}
