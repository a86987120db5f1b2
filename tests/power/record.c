/* SPDX-License-Identifier: MIT */
/*
 * The recorder: a file whose every write, flush and discard is logged.
 *
 * It is a FUSE file system of one file, mounted on a file, that lives in
 * memory. It speaks to the kernel by /dev/fuse itself, so that it decides when
 * something has happened and what the log says of it:
 *
 *   write      held back for a moment now and then, so that several are under
 *              way where the kernel sends several; logged when it is done
 *   O_DSYNC    ... as FUA
 *   fsync      takes a while; logged at its end, since it means nothing before.
 *              It does not cover the writes that are done meanwhile: these are
 *              logged behind it
 *   fallocate  hole: a discard; zeroes: a write of zeroes
 *
 * But for those, the answer goes to the kernel after the entry is in the log
 * and counted: who has seen an answer finds its entries in the count.
 *
 * With lose=N the N-th fsync fails, with lose_each=N each N-th, or the next one
 * that has something to do. What was not stable is never going to be (the log
 * has a mark), although it is read as before: as Linux does it.
 *
 * The kernel sends an fsync after an O_DSYNC write that it waited for. That one
 * is the write's own and says nothing of others.
 *
 * Failure modes: what cannot be done ends the program, and with it the file:
 * whoever uses it sees errors, and the test fails. Ends when it is unmounted.
 *
 * usage: record FILE LOG PROGRESS [sectors=N] [hold=US] [sync=US] [lose=N]
 *		 [lose_each=N] [lose_write=N] [cached=1] [stall=MS] [seed=N]
 *		 [tear=N] [tear_for_good=1]
 *
 * stall=MS is for the first fsync. tear=N: before each N-th write its last
 * sector is logged alone, its second half as it was before; or the write itself
 * is logged like that.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define POWER_PROGRAM "record"
#include "power.h"

enum {
	PAGES_MAX = 256,
	BUFFER = (PAGES_MAX + 1) * 4096,
	HELD_MAX = 64,
	WRITERS_MAX = 64,
	DAY = 24 * 3600, /* seconds */
};

/* A write that is not done yet. */
struct held {
	uint64_t unique;
	uint64_t due; /* ns */
	uint64_t offset;
	uint32_t size;
	bool dsync;
	uint8_t *data;
};

/* A thread whose O_DSYNC write is done, and whose fsync may come. */
struct writer {
	uint32_t pid;
	uint64_t fh;
};

static unsigned int sectors = 4096, hold_us, sync_us, lose, lose_each,
		    lose_write, cached, stall_ms, seed = 1, tear, tear_for_good;
static int fuse_fd;
static uint8_t *disk;
static FILE *log_file;
static struct progress *progress;
static uint64_t random_state, fsyncs, writes, done, last_fh;
static struct held held[HELD_MAX];
static unsigned int nheld;
static unsigned int most_held, overtaken; /* for the last line */
static uint64_t unstable;                 /* writes since the last fsync */
static uint64_t fails_from; /* the fsync that is to fail; 0: none */
static struct writer writers[WRITERS_MAX];
static unsigned int next_writer;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the log ---- */

static void put(const void *bytes, size_t n)
{
	if (fwrite(bytes, 1, n, log_file) != n)
		die("the log", strerror(errno));
}

static void put_head(void)
{
	struct log_head head = { .magic = LOG_MAGIC,
				 .version = LOG_VERSION,
				 .entries = atomic_load(&progress->entries),
				 .sector_size = SECTOR };
	static const uint8_t rest[SECTOR - sizeof(head)];

	rewind(log_file);
	put(&head, sizeof(head));
	put(rest, sizeof(rest));
}

static void add_entry(uint64_t offset, uint64_t bytes, uint64_t flags,
		      const void *data, const char *mark)
{
	uint8_t text[SECTOR - sizeof(struct log_entry)] = { 0 };
	struct log_entry entry = { .sector = offset / SECTOR,
				   .sectors = bytes / SECTOR,
				   .flags = flags,
				   .mark_bytes = strlen(mark) };

	if (offset % SECTOR || bytes % SECTOR)
		die("a request", "not of whole sectors");
	memcpy(text, mark, strlen(mark));
	put(&entry, sizeof(entry));
	put(text, sizeof(text));
	if (data)
		put(data, bytes);
	atomic_fetch_add(&progress->entries, 1);
}

/* ---- answers ---- */

static void answer(uint64_t unique, int error, const void *data, size_t bytes)
{
	struct fuse_out_header head = { .len = (uint32_t)(sizeof(head) + bytes),
					.error = error,
					.unique = unique };
	struct iovec iov[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = bytes },
	};

	/* Who asked may be gone. */
	if (writev(fuse_fd, iov, bytes ? 2 : 1) < 0 && errno != ENOENT &&
	    errno != ENODEV)
		die("/dev/fuse", strerror(errno));
}

static struct fuse_attr attributes(void)
{
	return (struct fuse_attr){ .ino = FUSE_ROOT_ID,
				   .size = (uint64_t)sectors * SECTOR,
				   .blocks = sectors,
				   .mode = S_IFREG | 0600,
				   .nlink = 1,
				   .blksize = 4096 };
}

static void answer_attributes(uint64_t unique)
{
	struct fuse_attr_out out = { .attr_valid = DAY, .attr = attributes() };

	answer(unique, 0, &out, sizeof(out));
}

static void answer_init(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.max_background = HELD_MAX,
		.congestion_threshold = HELD_MAX,
		.max_write = PAGES_MAX * 4096,
		.max_pages = PAGES_MAX,
		.time_gran = 1,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES |
				      FUSE_MAX_PAGES | FUSE_ASYNC_DIO |
				      (cached ? FUSE_WRITEBACK_CACHE : 0u)),
	};

	if (in->major != FUSE_KERNEL_VERSION || in->minor < 31)
		die("the kernel's FUSE", "too old: 7.31 is needed");
	answer(unique, 0, &out, sizeof(out));
}

/* A loop device takes the block's size for that of a discard. */
static void answer_statfs(uint64_t unique)
{
	struct fuse_statfs_out out = {
		.st = { .bsize = 4096, .frsize = 4096, .namelen = 255 },
	};

	answer(unique, 0, &out, sizeof(out));
}

static void answer_open(uint64_t unique)
{
	struct fuse_open_out out = { .fh = ++last_fh,
				     .open_flags = FOPEN_KEEP_CACHE };

	answer(unique, 0, &out, sizeof(out));
}

/* ---- what changes the disk ---- */

/* Whether [offset, + bytes) is of the disk; the answer if it is not. */
static bool is_inside(uint64_t unique, uint64_t offset, uint64_t bytes,
		      int error)
{
	uint64_t size = (uint64_t)sectors * SECTOR;

	if (offset <= size && bytes <= size - offset)
		return true;
	answer(unique, error, NULL, 0);
	return false;
}

/* The last sector with its second half as it was. */
static void log_torn(const struct held *w, const uint8_t old[SECTOR / 2])
{
	uint8_t *sector = w->data + w->size - SECTOR, new[SECTOR / 2];

	memcpy(new, sector + sizeof(new), sizeof(new));
	memcpy(sector + sizeof(new), old, sizeof(new));
	if (tear_for_good)
		return;
	add_entry(w->offset + w->size - SECTOR, SECTOR, 0, sector, "");
	memcpy(sector + sizeof(new), new, sizeof(new));
}

static void log_write(const struct held *w)
{
	unstable += !w->dsync;
	add_entry(w->offset, w->size, w->dsync ? LOG_FUA : 0, w->data, "");
	free(w->data);
}

static void answer_write(const struct held *w)
{
	struct fuse_write_out out = { .size = w->size };

	answer(w->unique, 0, &out, sizeof(out));
}

static void do_write(const struct held *w)
{
	struct held copy = *w;
	uint8_t old[SECTOR / 2];

	memcpy(old, disk + w->offset + w->size - sizeof(old), sizeof(old));
	memcpy(disk + w->offset, w->data, w->size);
	if (tear && ++done % tear == 0)
		log_torn(w, old);
	log_write(w);
	answer_write(&copy);
}

static struct held take_held(unsigned int i)
{
	struct held w = held[i];

	held[i] = held[--nheld];
	return w;
}

static void release(unsigned int i)
{
	struct held w = take_held(i);

	do_write(&w);
}

/* Do what is due: when the next one is, from now on; false: there is none. */
static bool release_due(struct timespec *wait)
{
	uint64_t now = now_ns(), next = now + UINT64_C(1000000000);

	for (unsigned int i = nheld; i-- > 0;)
		if (held[i].due <= now)
			release(i);
	for (unsigned int i = 0; i < nheld; i++)
		if (held[i].due < next)
			next = held[i].due;
	*wait = (struct timespec){ .tv_nsec = (long)(next - now) % 1000000000 };
	return nheld > 0;
}

static void take_write(const struct fuse_in_header *head,
		       const struct fuse_write_in *in)
{
	struct held w = { .unique = head->unique,
			  .offset = in->offset,
			  .size = in->size,
			  .dsync = in->flags & O_DSYNC };

	if (!is_inside(w.unique, w.offset, w.size, -EFBIG))
		return;
	if (++writes == lose_write) {
		answer(w.unique, -EIO, NULL, 0);
		return;
	}
	w.data = malloc(w.size);
	if (!w.data)
		die("memory", strerror(errno));
	memcpy(w.data, in + 1, w.size);
	if (w.dsync)
		writers[next_writer++ % WRITERS_MAX] =
			(struct writer){ .pid = head->pid, .fh = in->fh };
	if (!hold_us || pick(&random_state, 2)) {
		do_write(&w);
		return;
	}
	if (nheld == HELD_MAX)
		release(0);
	w.due = now_ns() + pick(&random_state, hold_us) * UINT64_C(1000);
	held[nheld++] = w;
	if (nheld > most_held)
		most_held = nheld;
}

/* Is an fsync the kernel's end of an O_DSYNC write? That is over now. */
static bool is_of_a_write(const struct fuse_in_header *head,
			  const struct fuse_fsync_in *in)
{
	for (unsigned int i = 0; i < WRITERS_MAX; i++)
		if (writers[i].pid == head->pid && writers[i].fh == in->fh) {
			writers[i].fh = 0;
			return true;
		}
	return false;
}

/* Half of the time that an fsync takes. */
static void take_a_while(void)
{
	uint64_t us = sync_us ? pick(&random_state, sync_us) / 2 : 0;
	struct timespec t;

	if (!fsyncs)
		us += stall_ms * UINT64_C(500);
	t.tv_sec = (time_t)(us / 1000000);
	t.tv_nsec = (long)(us % 1000000) * 1000;
	nanosleep(&t, NULL);
}

/*
 * Do some writes that are held back without the log: they are put into `late`.
 * Not those with O_DSYNC, which mean something from their answer on.
 */
static unsigned int do_unlogged(struct held late[HELD_MAX])
{
	unsigned int n = 0;

	for (unsigned int i = nheld; i-- > 0;) {
		if (held[i].dsync || pick(&random_state, 2))
			continue;
		late[n] = take_held(i);
		memcpy(disk + late[n].offset, late[n].data, late[n].size);
		answer_write(&late[n++]);
	}
	return n;
}

/* Whether it is time to fail. Only where that does harm. */
static bool fails(void)
{
	if (!fails_from || fsyncs < fails_from || !unstable)
		return false;
	fails_from = lose_each ? fsyncs + lose_each : 0;
	return true;
}

static int end_fsync(void)
{
	bool failed;

	fsyncs++;
	failed = fails();
	unstable = 0;
	if (failed) {
		add_entry(0, 0, LOG_MARK, NULL, LOG_MARK_LOST);
		atomic_fetch_add(&progress->failures, 1);
		return -EIO;
	}
	add_entry(0, 0, LOG_FLUSH, NULL, "");
	atomic_fetch_add(&progress->flushes, 1);
	return 0;
}

static void take_fsync(const struct fuse_in_header *head,
		       const struct fuse_fsync_in *in)
{
	struct held late[HELD_MAX];
	unsigned int nlate;
	int r;

	if (is_of_a_write(head, in)) {
		answer(head->unique, 0, NULL, 0);
		return;
	}
	atomic_fetch_add(&progress->begun, 1);
	take_a_while();
	nlate = do_unlogged(late);
	take_a_while();
	r = end_fsync();
	overtaken += nlate;
	for (unsigned int i = 0; i < nlate; i++)
		log_write(&late[i]);
	answer(head->unique, r, NULL, 0);
}

static void take_fallocate(uint64_t unique, const struct fuse_fallocate_in *in)
{
	bool hole = in->mode & FALLOC_FL_PUNCH_HOLE;
	uint64_t flags = hole ? LOG_DISCARD : 0;

	if (!hole && !(in->mode & FALLOC_FL_ZERO_RANGE)) {
		answer(unique, -EOPNOTSUPP, NULL, 0);
		return;
	}
	/* Behind the end there is nothing to do: that is how one is asked. */
	if (!is_inside(unique, in->offset, in->length, 0))
		return;
	memset(disk + in->offset, 0, in->length);
	add_entry(in->offset, in->length, flags,
		  hole ? NULL : disk + in->offset, "");
	answer(unique, 0, NULL, 0);
}

static void take_read(uint64_t unique, const struct fuse_read_in *in)
{
	uint64_t size = (uint64_t)sectors * SECTOR, n = in->size;

	if (in->offset >= size)
		n = 0;
	else if (n > size - in->offset)
		n = size - in->offset;
	answer(unique, 0, disk + (n ? in->offset : 0), n);
}

/* ---- the file ---- */

static void take(const struct fuse_in_header *head)
{
	const void *in = head + 1;
	uint64_t unique = head->unique;

	switch (head->opcode) {
	case FUSE_INIT:
		answer_init(unique, in);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer_attributes(unique);
		break;
	case FUSE_STATFS:
		answer_statfs(unique);
		break;
	case FUSE_OPEN:
		answer_open(unique);
		break;
	case FUSE_READ:
		take_read(unique, in);
		break;
	case FUSE_WRITE:
		take_write(head, in);
		break;
	case FUSE_FSYNC:
		take_fsync(head, in);
		break;
	case FUSE_FALLOCATE:
		take_fallocate(unique, in);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(unique, -ENOSYS, NULL, 0);
	}
}

static void serve(void)
{
	static uint8_t buffer[BUFFER] __attribute__((aligned(8)));
	struct pollfd p = { .fd = fuse_fd, .events = POLLIN };

	for (;;) {
		struct timespec wait;
		bool any = release_due(&wait);
		int r = ppoll(&p, 1, any ? &wait : NULL, NULL);
		ssize_t n;

		if (r == 0 || (r < 0 && errno == EINTR))
			continue;
		n = read(fuse_fd, buffer, sizeof(buffer));
		if (n < 0 && errno == ENODEV)
			return;
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			die("/dev/fuse", strerror(errno));
		take((const struct fuse_in_header *)(const void *)buffer);
	}
}

static void mount_on(const char *file)
{
	char options[100];

	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse_fd < 0)
		die("FUSE is needed: /dev/fuse", strerror(errno));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=100600,user_id=0,group_id=0", fuse_fd);
	if (mount("record", file, "fuse", MS_NOSUID | MS_NODEV, options))
		die("FUSE is needed: mount", strerror(errno));
}

static void open_log(const char *path, const char *progress_path)
{
	int fd = open(progress_path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*progress)))
		die(progress_path, strerror(errno));
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	log_file = fopen(path, "w");
	if (progress == MAP_FAILED || !log_file)
		die(path, strerror(errno));
	close(fd);
	put_head();
}

int main(int argc, char **argv)
{
	static const struct number_key keys[] = {
		{ "sectors", &sectors },
		{ "hold", &hold_us },
		{ "sync", &sync_us },
		{ "stall", &stall_ms },
		{ "tear", &tear },
		{ "tear_for_good", &tear_for_good },
		{ "lose", &lose },
		{ "lose_each", &lose_each },
		{ "lose_write", &lose_write },
		{ "cached", &cached },
		{ "seed", &seed },
		{ NULL, NULL },
	};

	if (argc < 4)
		die("usage", "record FILE LOG PROGRESS [KEY=NUMBER]...");
	for (int i = 4; i < argc; i++)
		take_number(keys, argv[i]);
	random_state = seed;
	fails_from = lose ? lose : lose_each;
	disk = calloc(sectors, SECTOR);
	if (!disk || sectors > DISK_MAX)
		die("sectors", "too many");
	/* Not to be left behind by a test that is killed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_log(argv[2], argv[3]);
	mount_on(argv[1]);
	serve();
	put_head();
	if (fclose(log_file))
		die(argv[2], strerror(errno));
	printf("%llu writes, %u at a time, %llu fsyncs, %u writes done during "
	       "one\n",
	       (unsigned long long)writes, most_held,
	       (unsigned long long)fsyncs, overtaken);
	return 0;
}
