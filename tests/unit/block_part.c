/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=fstat,--wrap=fstat64 */
/*
 * What a worker is given of an image: whose its descriptions are, who waits for
 * whom, and that what does not fit is refused.
 *
 * A worker that dies is a process that is killed while a store holds its
 * requests back.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/block_loop.h"
#include "lib/held_store.h"

enum { READER, WRITER, LENDER, USERS };
enum { AGAIN_MS = 30000 }; /* for what has to come */

static char error[BLOCK_ERROR_MAX];

static bool not_shown;

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstat64(int fd, struct stat64 *st);
int __wrap_fstat64(int fd, struct stat64 *st);

static bool shows(void)
{
	errno = EACCES;
	return !not_shown;
}

int __wrap_fstat(int fd, struct stat *st)
{
	return shows() ? __real_fstat(fd, st) : -1;
}

int __wrap_fstat64(int fd, struct stat64 *st)
{
	return shows() ? __real_fstat64(fd, st) : -1;
}

static int claim_for(struct block_claim *claim, const char *file, int how,
		     uint64_t owner, bool successor)
{
	const struct block_image_options options = {
		.file = file,
		.readonly = how == READER,
		.lends = how == LENDER,
		.user = {
			.in_use = BLOCK_IN_USE_ASK,
			.owner = owner,
			.successor = successor,
		},
	};

	error[0] = '\0';
	return block_claim_open(claim, &options, error);
}

static int claim_as(struct block_claim *claim, const char *file, int how)
{
	return claim_for(claim, file, how, 0, false);
}

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The part before may have something in flight; to ask costs no descriptor. */
static void check_busy(struct block_claim *claim)
{
	unsigned int n = count_descriptors();
	struct block_part part;

	assert_int_equal(block_claim_part(claim, &part, error), -EBUSY);
	assert_memory_equal(error, claim->file, strlen(claim->file));
	assert_non_null(strstr(error, "requests of the worker before"));
	assert_int_equal(part.fd, -1);
	assert_int_equal(part.sync_fd, -1);
	assert_int_equal(count_descriptors(), n);
}

/* The next user, in whatever process, finds it so. */
static void check_claims(const char *file, int how, int rc)
{
	struct block_claim claim;

	assert_int_equal(claim_as(&claim, file, how), rc);
	if (rc)
		assert_non_null(strstr(error, "already in use by"));
	block_claim_close(&claim);
}

/* ---- descriptions ---- */

/* Each is another one than the claim's, and opened for what it is used for. */
static void test_own_descriptions(void **state)
{
	struct block_claim claim;
	struct block_part part;

	(void)state;
	free(harness_create("image", 65536));
	for (int how = READER; how < USERS; how++) {
		assert_int_equal(claim_as(&claim, harness_path("image"), how),
				 0);
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		assert_int_equal(lseek(claim.fd, 512, SEEK_SET), 512);
		assert_int_equal(lseek(part.fd, 0, SEEK_CUR), 0);
		assert_int_equal(lseek(part.fd, 1024, SEEK_SET), 1024);
		assert_int_equal(part.sync_fd >= 0, how != READER);
		if (part.sync_fd >= 0)
			assert_int_equal(lseek(part.sync_fd, 0, SEEK_CUR), 0);
		assert_int_equal(fcntl(part.fd, F_GETFL) & O_ACCMODE,
				 how == READER ? O_RDONLY : O_RDWR);
		assert_int_equal(!!(fcntl(part.fd, F_GETFL) & O_DIRECT),
				 claim.facts.direct);
		assert_false(fcntl(part.fd, F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(part.fd, F_GETFD) & FD_CLOEXEC);
		block_part_close(&part);
		assert_int_equal(part.fd, -1);
		block_claim_close(&claim);
	}
}

/* What is opened once more is the file that was claimed, not its name. */
static void test_renamed(void **state)
{
	struct block_claim claim;
	struct block_part part;
	struct block_image image;
	char other[256];

	(void)state;
	free(harness_create("image", 65536));
	snprintf(other, sizeof(other), "%s", harness_path("other"));
	assert_int_equal(claim_as(&claim, harness_path("image"), WRITER), 0);
	assert_int_equal(rename(harness_path("image"), other), 0);
	free(harness_create("image", 65536));
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	assert_int_equal(block_image_open(&image, &part, error), 0);
	block_image_close(&image);
	/* Also one that has no name. */
	unlink(other);
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	assert_int_equal(block_image_open(&image, &part, error), 0);
	block_image_close(&image);
	block_claim_close(&claim);
}

/*
 * A file system of a user's shows its files to nobody else, and a worker may be
 * another one: what it has open it can use all the same.
 */
static void test_not_shown(void **state)
{
	struct block_claim claim;
	struct block_image image;
	struct block_part part;
	struct stat st;

	(void)state;
	free(harness_create("image", 65536));
	assert_int_equal(claim_as(&claim, harness_path("image"), WRITER), 0);
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	assert_int_equal(fstat(part.fd, &st), 0);
	not_shown = true;
	assert_int_equal(block_image_open(&image, &part, error), 0);
	not_shown = false;
	/* Which one it is was told. */
	assert_int_equal(image.store[0], st.st_dev);
	assert_int_equal(image.store[1], st.st_ino);
	block_image_close(&image);
	block_claim_close(&claim);
}

static void test_null_image(void **state)
{
	struct block_claim claim;
	struct block_part parts[2];
	struct block_image image;
	const struct block_image_options options = { .size = 8192 };

	(void)state;
	assert_int_equal(block_claim_open(&claim, &options, error), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(block_claim_part(&claim, &parts[i], error), 0);
		assert_int_equal(parts[i].fd, -1);
	}
	assert_int_equal(block_image_open(&image, &parts[0], error), 0);
	assert_int_equal(image.size, 8192);
	block_image_close(&image);
	block_claim_close(&claim);
}

/* The next part knows what its claim has learned. */
static void test_new_size(void **state)
{
	struct block_claim claim;
	struct block_part part;
	struct block_image image;

	(void)state;
	free(harness_create("image", 65536));
	assert_int_equal(claim_as(&claim, harness_path("image"), WRITER), 0);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(truncate(harness_path("image"), i * 131072),
				 0);
		assert_true(block_claim_look(&claim));
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		assert_int_equal(block_image_open(&image, &part, error), 0);
		assert_int_equal(image.size, i * 131072);
		block_image_close(&image);
	}
	/* Even if there is nothing any more. */
	assert_int_equal(truncate(harness_path("image"), 0), 0);
	assert_true(block_claim_look(&claim));
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	assert_int_equal(block_image_open(&image, &part, error), 0);
	block_image_close(&image);
	block_claim_close(&claim);
}

/* ---- who waits for whom ---- */

/* One at a time of each claim, and each of its descriptions counts. */
static void test_one_after_the_other(void **state)
{
	struct block_claim claim;
	struct block_part part, next;

	(void)state;
	free(harness_create("image", 65536));
	for (int how = READER; how < USERS; how++) {
		assert_int_equal(claim_as(&claim, harness_path("image"), how),
				 0);
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		check_busy(&claim);
		check_busy(&claim);
		close(part.fd);
		if (part.sync_fd >= 0) {
			check_busy(&claim);
			close(part.sync_fd);
		}
		assert_int_equal(block_claim_part(&claim, &next, error), 0);
		check_busy(&claim);
		block_part_close(&next);
		block_claim_close(&claim);
	}
}

/* Readers wait for themselves only. */
static void test_readers(void **state)
{
	struct block_claim one, two, next;
	struct block_part part, other;

	(void)state;
	free(harness_create("image", 65536));
	assert_int_equal(
		claim_for(&one, harness_path("image"), READER, 7, false), 0);
	assert_int_equal(
		claim_for(&two, harness_path("image"), READER, 8, false), 0);
	assert_int_equal(block_claim_part(&one, &part, error), 0);
	assert_int_equal(block_claim_part(&two, &other, error), 0);
	block_part_close(&other);
	assert_int_equal(block_claim_part(&two, &other, error), 0);
	check_busy(&one);
	block_part_close(&other);
	/* Another process follows the same disk when its part has gone. */
	block_claim_close(&one);
	assert_int_equal(claim_for(&next, harness_path("image"), READER, 7,
				   true),
			 -EAGAIN);
	assert_non_null(strstr(error, "still read by requests"));
	block_part_close(&part);
	assert_int_equal(
		claim_for(&next, harness_path("image"), READER, 7, true), 0);
	block_claim_close(&next);
	block_claim_close(&two);
	check_claims(harness_path("image"), WRITER, 0);
}

/* The claim may end before its part: whoever comes then waits for that. */
static void test_claim_ends_first(void **state)
{
	/* Who comes after whom. */
	static const int rc[USERS][USERS] = {
		{ 0, -EAGAIN, -EAGAIN },
		{ -EAGAIN, -EAGAIN, -EAGAIN },
		{ -EAGAIN, -EAGAIN, 0 },
	};
	struct block_claim claim;
	struct block_part part;

	(void)state;
	free(harness_create("image", 65536));
	for (int how = READER; how < USERS; how++) {
		assert_int_equal(claim_as(&claim, harness_path("image"), how),
				 0);
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		block_claim_close(&claim);
		for (int next = READER; next < USERS; next++)
			check_claims(harness_path("image"), next,
				     rc[how][next]);
		/* It is also enough that something is flushed. */
		close(part.fd);
		part.fd = -1;
		if (how == WRITER)
			for (int next = READER; next < USERS; next++)
				check_claims(harness_path("image"), next,
					     -EAGAIN);
		block_part_close(&part);
		check_claims(harness_path("image"), WRITER, 0);
	}
}

/* Whom to stop: who has the claim, not who works for it. */
static void test_who(void **state)
{
	struct block_claim claim, next;
	struct block_part part;
	char pid[32];
	pid_t child;

	(void)state;
	free(harness_create("image", 65536));
	assert_int_equal(claim_as(&claim, harness_path("image"), WRITER), 0);
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		block_part_close(&part);
		for (;;)
			pause();
	}
	block_claim_close(&claim);
	assert_int_equal(
		block_claim_open(&next,
				 &(struct block_image_options){
					 .file = harness_path("image"),
					 .user.in_use = BLOCK_IN_USE_SAY,
				 },
				 error),
		-EAGAIN);
	snprintf(pid, sizeof(pid), "(pid %ld)", (long)child);
	assert_non_null(strstr(error, pid));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	/* Nobody else is left to be named. */
	check_claims(harness_path("image"), WRITER, -EAGAIN);
	block_part_close(&part);
	check_claims(harness_path("image"), WRITER, 0);
}

static bool can_lock(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type == F_UNLCK;
}

/*
 * Others wait as well: QEMU, for its bytes, and whoever locks all of a file, as
 * earlier versions of this program.
 */
static void test_others_see_a_part(void **state)
{
	struct block_claim claim;
	struct block_part part;
	int fd;

	(void)state;
	free(harness_create("image", 65536));
	fd = open(harness_path("image"), O_RDWR | O_CLOEXEC);
	for (int how = READER; how < USERS; how++) {
		struct flock all = { .l_type = F_WRLCK };

		assert_int_equal(claim_as(&claim, harness_path("image"), how),
				 0);
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		block_claim_close(&claim);
		assert_int_equal(can_lock(fd, 100), false);
		assert_int_equal(can_lock(fd, 101), how == READER);
		assert_int_equal(can_lock(fd, 201), false);
		assert_int_equal(can_lock(fd, 203), false);
		assert_int_equal(can_lock(fd, 200), true);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), -1);
		all.l_type = F_RDLCK;
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &all),
				 how == READER ? 0 : -1);
		all.l_type = F_UNLCK;
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
		block_part_close(&part);
		for (off_t byte = 0; byte < 300; byte++)
			assert_true(can_lock(fd, byte));
	}
	close(fd);
}

/* An earlier version, which has all in one descriptor, goes first. */
static void test_after_an_earlier_version(void **state)
{
	struct flock all = { .l_type = F_WRLCK };
	int fd;

	(void)state;
	free(harness_create("image", 65536));
	fd = open(harness_path("image"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	check_claims(harness_path("image"), READER, -EAGAIN);
	check_claims(harness_path("image"), WRITER, -EAGAIN);
	close(fd);
	check_claims(harness_path("image"), WRITER, 0);
}

/* What is lent is lent with its part. */
static void test_lent(void **state)
{
	struct block_claim one, two;
	struct block_part part;
	struct block_image image[2];

	(void)state;
	free(harness_create("image", 65536));
	assert_int_equal(claim_as(&one, harness_path("image"), LENDER), 0);
	assert_int_equal(block_claim_part(&one, &part, error), 0);
	assert_int_equal(block_image_open(&image[0], &part, error), 0);
	assert_int_equal(claim_as(&two, harness_path("image"), LENDER), 0);
	assert_false(two.locked);
	/* It waits with all that it needs. */
	assert_int_equal(block_claim_part(&two, &part, error), 0);
	assert_int_equal(block_image_open(&image[1], &part, error), 0);
	assert_int_equal(block_claim_lock(&two, BLOCK_IN_USE_ASK, error),
			 -EAGAIN);
	/* The order: a claim that is free is not enough. */
	block_claim_unlock(&one);
	assert_int_equal(block_claim_lock(&two, BLOCK_IN_USE_ASK, error),
			 -EAGAIN);
	block_image_unlock(&image[0]);
	assert_int_equal(block_claim_lock(&two, BLOCK_IN_USE_ASK, error), 0);
	assert_int_equal(block_image_lock(&image[1]), 0);
	assert_int_equal(block_image_lock(&image[0]), -EBUSY);
	check_busy(&two);
	block_image_close(&image[1]);
	block_claim_close(&two);
	assert_int_equal(block_claim_lock(&one, BLOCK_IN_USE_ASK, error), 0);
	assert_int_equal(block_image_lock(&image[0]), 0);
	block_image_close(&image[0]);
	block_claim_close(&one);
	check_claims(harness_path("image"), WRITER, 0);
}

/* A device's parts lock its node, and leave its claim alone. */
static void test_device(void **state)
{
	struct block_claim claim;
	struct block_part part;
	struct block_image image;
	char device[64];
	int loop;

	(void)state;
	free(harness_create("disk", 1 << 20));
	loop = attach_loop("disk", device, sizeof(device), 512);
	for (int how = READER; how <= WRITER; how++) {
		int fd;

		assert_int_equal(claim_as(&claim, device, how), 0);
		assert_int_equal(block_claim_part(&claim, &part, error), 0);
		assert_int_equal(block_image_open(&image, &part, error), 0);
		assert_true(image.is_block_device);
		check_busy(&claim);
		fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
		assert_int_equal(fd >= 0, how == READER);
		if (fd >= 0)
			close(fd);
		block_claim_close(&claim);
		check_claims(device, WRITER, -EAGAIN);
		block_image_close(&image);
		check_claims(device, WRITER, 0);
	}
	close(loop);
}

/* ---- a worker that is killed ---- */

enum { ALL = 4096 };

/* What it does before it dies: begin one request, and wait. */
static _Noreturn void work(struct block_part *part, const char *engine_name,
			   enum block_op op, int go)
{
	static unsigned char memory[ALL] __attribute__((aligned(4096)));
	struct virtio_iov iov = { .base = memory, .len = ALL };
	struct block_request req = { .op = (uint8_t)op };
	struct block_engine *engine;
	struct block_image image;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(memory, 0x5a, ALL);
	if (op != BLOCK_FLUSH) {
		req.niov = 1;
		req.iov = &iov;
		req.length = ALL;
	}
	if (read(go, &byte, 1) != 1 || block_image_open(&image, part, error) ||
	    block_engine_open(&engine, engine_name, &image, 4))
		_exit(1);
	block_engine_queue(engine, &req);
	block_engine_commit(engine);
	for (;;)
		pause();
}

/* A worker has the part, as over a socket, and nobody else has. */
static pid_t start_worker(struct block_claim *claim, const char *engine,
			  enum block_op op)
{
	struct block_part part;
	int go[2];
	pid_t child;

	assert_int_equal(block_claim_part(claim, &part, error), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	if (child == 0) {
		/* As by exec. */
		block_claim_close(claim);
		close(go[1]);
		work(&part, engine, op, go[0]);
	}
	block_part_close(&part);
	assert_int_equal(write(go[1], "", 1), 1);
	close(go[0]);
	close(go[1]);
	return child;
}

static void kill_worker(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
}

/* Until the kernel has dropped the part of the dead. */
static void await_part(struct block_claim *claim, struct block_part *part)
{
	int rc = -EBUSY;

	for (int ms = 0; rc == -EBUSY && ms < AGAIN_MS; ms++) {
		rc = block_claim_part(claim, part, error);
		if (rc == -EBUSY)
			usleep(1000);
	}
	assert_int_equal(rc, 0);
}

static bool is_written(void)
{
	for (int i = 0; i < ALL; i++)
		if (held->data[i] != 0x5a)
			return false;
	return true;
}

/*
 * The next part is not made before what the worker before had in flight has
 * ended, and nothing of it comes later.
 */
static void outlived(const char *engine, int how, enum block_op op)
{
	struct block_claim claim;
	struct block_part part;
	pid_t child;

	memset(held->data, 0, ALL);
	assert_int_equal(claim_as(&claim, harness_path("held"), how), 0);
	held->done = 0;
	held_hold(true);
	child = start_worker(&claim, engine, op);
	held_await(1);
	check_busy(&claim);
	kill_worker(child);
	for (int i = 0; i < 20; i++) {
		check_busy(&claim);
		usleep(5000);
	}
	assert_int_equal(held->done, 0);
	held_hold(false);
	await_part(&claim, &part);
	assert_int_equal(held->done, 1);
	assert_int_equal(is_written(), op == BLOCK_WRITE);
	block_part_close(&part);
	block_claim_close(&claim);
	waitpid(child, NULL, 0);
}

static const char *const engines[] = { "io_uring", "libaio", "threads" };

static bool has_engine(const char *name)
{
	struct block_image image;
	struct block_engine *engine;
	int rc;

	free(harness_create("image", 65536));
	harness_open_image(&image, "image", BLOCK_CACHE_AUTO);
	rc = block_engine_open(&engine, name, &image, 4);
	if (rc == 0)
		block_engine_close(engine);
	whole_close(&image);
	return rc == 0;
}

static void outlived_by_all(int how, enum block_op op)
{
	held_start();
	for (unsigned int i = 0; i < 3; i++)
		if (has_engine(engines[i]))
			outlived(engines[i], how, op);
}

static void test_write_outlives_worker(void **state)
{
	(void)state;
	outlived_by_all(WRITER, BLOCK_WRITE);
}

/* Into memory of the guest, which may use it for something else by then. */
static void test_read_outlives_worker(void **state)
{
	(void)state;
	outlived_by_all(READER, BLOCK_READ);
}

/* It may still write what the page cache has. */
static void test_flush_outlives_worker(void **state)
{
	(void)state;
	outlived_by_all(WRITER, BLOCK_FLUSH);
}

/* The claim has ended too: another process is the next one. */
static void test_write_outlives_both(void **state)
{
	struct block_claim claim, next;
	pid_t child;
	int rc;

	(void)state;
	held_start();
	memset(held->data, 0, ALL);
	assert_int_equal(claim_as(&claim, harness_path("held"), WRITER), 0);
	held->done = 0;
	held_hold(true);
	child = start_worker(&claim, "threads", BLOCK_WRITE);
	held_await(1);
	kill_worker(child);
	block_claim_close(&claim);
	check_claims(harness_path("held"), READER, -EAGAIN);
	check_claims(harness_path("held"), WRITER, -EAGAIN);
	assert_int_equal(held->done, 0);
	held_hold(false);
	rc = -EAGAIN;
	for (int ms = 0; rc == -EAGAIN && ms < AGAIN_MS; ms++) {
		rc = claim_as(&next, harness_path("held"), WRITER);
		usleep(rc == -EAGAIN ? 1000 : 0);
	}
	assert_int_equal(rc, 0);
	assert_true(is_written());
	block_claim_close(&next);
	waitpid(child, NULL, 0);
}

/* ---- a worker that was told, and told nobody ---- */

enum { SMALL_BYTES = 1 << 18, LARGE_BYTES = 1 << 20 };

/* A device that takes more than its store has room for; skips without mounts */
static int attach_full(char *device, size_t size)
{
	char dir[256], options[32];
	int fd, loop;

	snprintf(dir, sizeof(dir), "%s", harness_path("full"));
	snprintf(options, sizeof(options), "size=%d", SMALL_BYTES);
	mkdir(dir, 0700);
	/* However this ends, no mount is left. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("full", dir, "tmpfs", MS_NOSUID | MS_NODEV, options))
		skip();
	fd = open(harness_path("full/disk"), O_CREAT | O_RDWR | O_CLOEXEC,
		  0600);
	assert_int_equal(ftruncate(fd, LARGE_BYTES), 0);
	close(fd);
	loop = attach_loop("full/disk", device, size, 512);
	/* Detached already, once nobody has it open. */
	umount2(dir, MNT_DETACH);
	return loop;
}

static void claim_cached(struct block_claim *claim, const char *file,
			 enum block_cache cache)
{
	const struct block_image_options options = {
		.file = file,
		.cache = cache,
	};

	assert_int_equal(block_claim_open(claim, &options, error), 0);
}

/* What it has written is lost; it is told, and killed before it says so. */
static void lose_some(struct block_claim *claim)
{
	unsigned char *memory = calloc(1, LARGE_BYTES);
	struct block_part part;

	assert_non_null(memory);
	memset(memory, 0x5a, LARGE_BYTES);
	assert_int_equal(block_claim_part(claim, &part, error), 0);
	assert_int_equal(part.facts.lost, 0);
	assert_int_equal(pwrite(part.fd, memory, LARGE_BYTES, 0), LARGE_BYTES);
	assert_int_equal(fdatasync(part.sync_fd), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(fdatasync(part.sync_fd), 0);
	block_part_close(&part);
	free(memory);
}

static void check_lost(struct block_claim *claim, int lost)
{
	struct block_part part;
	struct block_image image;

	assert_int_equal(block_claim_part(claim, &part, error), 0);
	assert_int_equal(part.facts.lost, lost);
	assert_int_equal(block_image_open(&image, &part, error), 0);
	/* Nobody takes it back: it is not of one driver alone. */
	assert_int_equal(image.flush_error, -lost);
	block_image_close(&image);
}

/* All that come later are told, for one of them may die as well. */
static void test_loss_is_handed_on(void **state)
{
	struct block_claim claim;
	char device[64];
	int loop;

	(void)state;
	loop = attach_full(device, sizeof(device));
	claim_cached(&claim, device, BLOCK_CACHE_WRITEBACK);
	check_lost(&claim, 0);
	lose_some(&claim);
	check_lost(&claim, EIO);
	check_lost(&claim, EIO);
	block_claim_close(&claim);
	/* It is of a claim, and of its parts. */
	claim_cached(&claim, device, BLOCK_CACHE_WRITEBACK);
	check_lost(&claim, 0);
	check_lost(&claim, 0);
	block_claim_close(&claim);
	close(loop);
}

/* What was acknowledged was stable: the rest is done again. */
static void test_no_loss_of_stable_writes(void **state)
{
	struct block_claim claim;
	char device[64];
	int loop;

	(void)state;
	loop = attach_full(device, sizeof(device));
	claim_cached(&claim, device, BLOCK_CACHE_WRITETHROUGH);
	lose_some(&claim);
	check_lost(&claim, 0);
	block_claim_close(&claim);
	close(loop);
}

/* ---- what a worker is told ---- */

static struct block_claim told_claim;
static struct block_part told;

static void tell(int how)
{
	assert_int_equal(claim_as(&told_claim, harness_path("image"), how), 0);
	assert_int_equal(block_claim_part(&told_claim, &told, error), 0);
}

/* It is refused with these words, and no descriptor is left. */
static void check_refused(const char *words)
{
	unsigned int n = count_descriptors();
	struct block_image image;

	n -= (told.fd >= 0) + (told.sync_fd >= 0);
	assert_int_equal(block_image_open(&image, &told, error), -EPROTO);
	if (!strstr(error, words))
		print_error("not \"%s\": %s\n", words, error);
	assert_non_null(strstr(error, words));
	assert_int_equal(image.fd, -1);
	assert_int_equal(told.fd, -1);
	assert_int_equal(told.sync_fd, -1);
	assert_int_equal(count_descriptors(), n);
	block_claim_close(&told_claim);
}

/* A member of the facts that is not what it was. */
#define REFUSED(how, member, value, words)   \
	do {                                 \
		tell(how);                   \
		told.facts.member = (value); \
		check_refused(words);        \
	} while (0)

static void test_damaged_flags(void **state)
{
	const uint8_t more = 2;

	(void)state;
	free(harness_create("image", 65536));
	REFUSED(WRITER, has_file, more, "a flag is");
	REFUSED(WRITER, has_file, 0, "no file has an identity");
	REFUSED(WRITER, is_block_device, more, "a flag is");
	REFUSED(WRITER, is_block_device, 1, "the device's number is wrong");
	REFUSED(WRITER, rdev, 7, "the device's number is wrong");
	REFUSED(WRITER, readonly, more, "a flag is");
	REFUSED(WRITER, readonly, 1, "");
	REFUSED(READER, readonly, 0, "was not opened as it says");
	REFUSED(WRITER, lends, more, "a flag is");
	REFUSED(READER, lends, 1, "a reader lends");
	REFUSED(WRITER, can_secure_erase, more, "a flag is");
	REFUSED(WRITER, can_secure_erase, 1, "it cannot be erased");
	REFUSED(WRITER, direct, more, "a flag is");
	REFUSED(WRITER, write_waits, more, "a flag is");
	REFUSED(WRITER, write_through, more, "a flag is");
	REFUSED(WRITER, flush_is_noop, more, "a flag is");
	REFUSED(WRITER, zero, 1, "what is not used");
	REFUSED(WRITER, lost, 4096, "what was lost is no error");
	REFUSED(READER, lost, EIO, "nothing can be lost");
}

static void test_damaged_modes(void **state)
{
	const struct block_image_options options = {
		.file = harness_path("image"),
		.cache = BLOCK_CACHE_WRITEBACK,
	};
	struct block_image image;

	(void)state;
	free(harness_create("image", 65536));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(block_claim_open(&told_claim, &options, error),
				 0);
		assert_int_equal(block_claim_part(&told_claim, &told, error),
				 0);
		told.facts.direct = i == 0;
		told.facts.write_through = i == 1 || i == 3;
		told.facts.flush_is_noop = i == 1;
		told.facts.write_waits = i == 2;
		if (i == 0)
			check_refused("was not opened as it says");
		if (i == 1)
			check_refused("two cache modes");
		if (i == 2)
			check_refused("writes wait without O_DIRECT");
	}
	/* What can be is believed. */
	assert_int_equal(block_image_open(&image, &told, error), 0);
	assert_true(image.write_through);
	block_image_close(&image);
	block_claim_close(&told_claim);
}

static void test_damaged_numbers(void **state)
{
	(void)state;
	free(harness_create("image", 65536));
	REFUSED(WRITER, block_size, 0, "its block size");
	REFUSED(WRITER, block_size, 768, "its block size");
	REFUSED(WRITER, block_size, 256, "its block size");
	REFUSED(WRITER, block_size, 8192, "its block size");
	REFUSED(WRITER, physical_block_size, 0, "its physical block size");
	REFUSED(WRITER, physical_block_size, 256, "its physical block size");
	REFUSED(WRITER, physical_block_size, 5000, "its physical block size");
	REFUSED(WRITER, physical_block_size, 1 << 17, "its physical block");
	REFUSED(WRITER, store_block_size, 0, "the block size of its store");
	REFUSED(WRITER, store_block_size, 513, "the block size of its store");
	REFUSED(WRITER, store_block_size, 1u << 31, "the block size of its");
	REFUSED(WRITER, alignment_offset, told.facts.physical_block_size,
		"its blocks begin");
	REFUSED(WRITER, size, 65535, "its size is wrong");
	REFUSED(WRITER, size, UINT64_MAX - 511, "its size is wrong");
	REFUSED(WRITER, size, UINT64_C(1) << 63, "its size is wrong");
	REFUSED(WRITER, dio_align, 0, "its alignment is wrong");
	REFUSED(WRITER, dio_align, 3, "its alignment is wrong");
	REFUSED(WRITER, dio_align, 8192, "its alignment is wrong");
	REFUSED(WRITER, dio_mem_align, 0, "its alignment is wrong");
	REFUSED(WRITER, dio_mem_align, 8192, "its alignment is wrong");
	REFUSED(WRITER, discard_granularity, 1, "its unit to discard");
	REFUSED(WRITER, discard_granularity, UINT32_MAX, "its unit to discard");
	REFUSED(READER, discard_granularity, 4096, "a reader discards");
	REFUSED(WRITER, min_io_size, 511, "what its store likes");
	REFUSED(WRITER, opt_io_size, UINT32_MAX, "what its store likes");
}

static void test_damaged_identity(void **state)
{
	int fd;

	(void)state;
	free(harness_create("image", 65536));
	free(harness_create("other", 65536));
	REFUSED(WRITER, device, told.facts.device + 1, "of another file");
	REFUSED(WRITER, inode, told.facts.inode + 1, "of another file");
	REFUSED(WRITER, name[0], '\0', "it has no name");
	tell(WRITER);
	memset(told.facts.name, 'x', BLOCK_NAME_MAX);
	check_refused("its name has no end");
	tell(WRITER);
	memset(told.facts.name, 0, BLOCK_NAME_MAX);
	check_refused("it has no name");
	REFUSED(WRITER, name[BLOCK_NAME_MAX - 1], 'x', "behind its name");
	REFUSED(WRITER, name[BLOCK_NAME_MAX - 2], 'x', "behind its name");

	/* Descriptors: of another file, missing, opened otherwise. */
	tell(WRITER);
	fd = open(harness_path("other"), O_RDWR | O_CLOEXEC);
	close(told.fd);
	told.fd = fd;
	check_refused("its descriptor is of another file");
	tell(WRITER);
	fd = open(harness_path("other"), O_RDWR | O_CLOEXEC);
	close(told.sync_fd);
	told.sync_fd = fd;
	check_refused("for flushing is of another file");
	tell(WRITER);
	close(told.fd);
	told.fd = -1;
	check_refused("there is no descriptor");
	tell(WRITER);
	assert_int_equal(
		fcntl(told.fd, F_SETFL, fcntl(told.fd, F_GETFL) | O_APPEND), 0);
	check_refused("was not opened as it says");
	tell(WRITER);
	assert_int_equal(fcntl(told.sync_fd, F_SETFL, O_APPEND), 0);
	check_refused("for flushing was not opened as it says");
	tell(READER);
	told.sync_fd = open(harness_path("image"), O_RDONLY | O_CLOEXEC);
	check_refused("a reader has something to flush");
	tell(WRITER);
	close(told.fd);
	told.fd = open(harness_path("image"), O_PATH | O_CLOEXEC);
	check_refused("was not opened as it says");
}

/* Nothing of a file can be told of where there is none. */
static void test_damaged_null(void **state)
{
	const struct block_image_options options = { .size = 65536 };
	const struct block_facts none = { 0 };

	(void)state;
	free(harness_create("image", 65536));
	assert_non_null(block_facts_fault(&none));
	assert_int_equal(block_claim_open(&told_claim, &options, error), 0);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(block_claim_part(&told_claim, &told, error),
				 0);
		assert_null(block_facts_fault(&told.facts));
		told.facts.inode = i == 0;
		told.facts.device = i == 1;
		told.facts.direct = i == 2;
		told.facts.lends = i == 3;
		if (i == 4)
			told.fd = open(harness_path("image"), O_RDWR);
		told.facts.name[0] = i == 5 ? 'x' : '\0';
		check_refused(i == 4 ? "a descriptor of no file" :
				       "no file has");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_descriptions),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_not_shown),
		cmocka_unit_test(test_null_image),
		cmocka_unit_test(test_new_size),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_claim_ends_first),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_others_see_a_part),
		cmocka_unit_test(test_after_an_earlier_version),
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_device),
		cmocka_unit_test_teardown(test_write_outlives_worker,
					  held_stop),
		cmocka_unit_test_teardown(test_read_outlives_worker, held_stop),
		cmocka_unit_test_teardown(test_flush_outlives_worker,
					  held_stop),
		cmocka_unit_test_teardown(test_write_outlives_both, held_stop),
		cmocka_unit_test(test_loss_is_handed_on),
		cmocka_unit_test(test_no_loss_of_stable_writes),
		cmocka_unit_test(test_damaged_flags),
		cmocka_unit_test(test_damaged_modes),
		cmocka_unit_test(test_damaged_numbers),
		cmocka_unit_test(test_damaged_identity),
		cmocka_unit_test(test_damaged_null),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
