/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=nanosleep,--wrap=block_lock_holder */
/*
 * Whose an image is: beside QEMU's locks, over several nodes of one device, and
 * when it goes from one process to another.
 */
#define _GNU_SOURCE 1
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "lib/block_loop.h"

static char error[BLOCK_ERROR_MAX];

enum { READER, WRITER, LENDER };

static int open_path(struct block_image *image, const char *file, int how)
{
	const struct block_image_options options = {
		.file = file,
		.readonly = how == READER,
		.lends = how == LENDER,
	};

	error[0] = '\0';
	return whole_open(image, &options, error);
}

static int open_image(struct block_image *image, int how)
{
	return open_path(image, harness_path("image"), how);
}

/* It cannot be opened so, and that is told. */
static void check_in_use(const char *file, int how)
{
	struct block_image image;

	assert_int_equal(open_path(&image, file, how), -EAGAIN);
	assert_non_null(strstr(error, "already in use by"));
	assert_int_equal(image.fd, -1);
}

static void check_free(const char *file, int how)
{
	struct block_image image;

	assert_int_equal(open_path(&image, file, how), 0);
	assert_true(whole_claim(&image)->locked);
	whole_close(&image);
}

/* ---- QEMU ---- */

/* A process that has locked bytes of the image as QEMU does, for reading. */
static int foreign(const off_t *bytes, unsigned int n)
{
	int fd = open(harness_path("image"), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	for (unsigned int i = 0; i < n; i++) {
		struct flock lock = { .l_type = F_RDLCK,
				      .l_start = bytes[i],
				      .l_len = 1 };

		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	}
	return fd;
}

/* Whether QEMU would find that byte locked by somebody else. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

/* Whether QEMU could lock that byte, as it does: for reading. */
static bool is_lockable(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = byte, .l_len = 1 };

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	return lock.l_type == F_UNLCK;
}

static void test_beside_qemu(void **state)
{
	/* What QEMU's users lock, and which of ours may be beside them. */
	static const struct {
		off_t bytes[6];
		unsigned int n;
		bool reader, writer;
	} cases[] = {
		{ { 100, 101, 103, 201, 203 }, 5, false, false },
		{ { 100, 101, 203 }, 3, false, false }, /* share-rw=on */
		{ { 100, 201, 203 }, 3, true, false },  /* it reads */
		{ { 100 }, 1, true, true }, /* ... and bears writers */
		{ { 101 }, 1, false, false },
		{ { 103 }, 1, false, false },
		{ { 200 }, 1, false, false },
		{ { 201 }, 1, true, false },
		{ { 203 }, 1, true, true }, /* we do not resize */
		{ { 102, 104, 202, 204 }, 4, true, true },
	};

	(void)state;
	free(harness_create("image", 4096));
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = foreign(cases[i].bytes, cases[i].n);

		/* Each refusal takes its half second. */
		for (int how = READER; how <= WRITER; how++) {
			if (how == READER ? cases[i].reader : cases[i].writer)
				check_free(harness_path("image"), how);
			else
				check_in_use(harness_path("image"), how);
		}
		close(fd);
	}
	check_free(harness_path("image"), WRITER);
}

static void test_qemu_beside_us(void **state)
{
	struct block_image image;
	int fd;

	(void)state;
	free(harness_create("image", 4096));
	fd = open(harness_path("image"), O_RDWR | O_CLOEXEC);
	for (int how = READER; how <= LENDER; how++) {
		assert_int_equal(open_image(&image, how), 0);
		/* What it looks at: who does, and who denies. */
		assert_int_equal(is_locked(fd, 100), true);
		assert_int_equal(is_locked(fd, 101), how != READER);
		assert_int_equal(is_locked(fd, 103), false);
		assert_int_equal(is_locked(fd, 200), false);
		assert_int_equal(is_locked(fd, 201), true);
		assert_int_equal(is_locked(fd, 203), true);
		/* It may have its own bytes, and refuse by them. */
		for (off_t byte = 100; byte < 300; byte++)
			assert_true(is_lockable(fd, byte));
		/* Others lock a first byte, or all. */
		assert_true(is_locked(fd, 0));
		assert_int_equal(is_lockable(fd, 0), how == READER);
		assert_true(is_locked(fd, 5000));
		whole_close(&image);
	}
	for (off_t byte = 0; byte < 400; byte++)
		assert_false(is_locked(fd, byte));
	close(fd);
}

/* ---- from one to the next ---- */

static unsigned int pauses;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	pauses++;
	return __real_nanosleep(time, left);
}

/* Who has other disks to serve asks again by itself. */
static void check_asked_once(const char *file, int rc, const char *words)
{
	struct block_image image;
	struct block_image_options options = { .file = file };

	pauses = 0;
	options.user.in_use = BLOCK_IN_USE_ASK;
	assert_int_equal(whole_open(&image, &options, error), rc);
	assert_int_equal(image.fd, -1);
	assert_non_null(strstr(error, words));
	assert_null(strstr(error, "of this process"));
	options.user.in_use = BLOCK_IN_USE_SAY;
	assert_int_equal(whole_open(&image, &options, error), rc);
	assert_int_equal(pauses, 0);
	assert_int_equal(strstr(error, "of this process") != NULL,
			 rc == -EAGAIN);
	options.user.in_use = BLOCK_IN_USE_WAIT;
	assert_int_equal(whole_open(&image, &options, error), rc);
	assert_true(pauses > 1);
}

static void test_in_use_is_told_at_once(void **state)
{
	char device[64];
	struct block_image first;
	int loop, fd;

	(void)state;
	free(harness_create("image", 4096));
	assert_int_equal(open_image(&first, WRITER), 0);
	check_asked_once(harness_path("image"), -EAGAIN, "already in use by");
	whole_close(&first);

	free(harness_create("disk", 1 << 20));
	loop = attach_loop("disk", device, sizeof(device), 512);
	fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	check_asked_once(device, -EBUSY, "is mounted or in use");
	close(fd);
	close(loop);
}

static int read_for(struct block_image *image, uint64_t owner, bool successor)
{
	const struct block_image_options options = {
		.file = harness_path("image"),
		.readonly = true,
		.user = {
			.in_use = BLOCK_IN_USE_SAY,
			.owner = owner,
			.successor = successor,
		},
	};

	return whole_open(image, &options, error);
}

/*
 * A reader shares the image with all others, and follows only the last request
 * of the process that read for the same disk before.
 */
static void test_successor_of_a_reader(void **state)
{
	struct block_image first, other, next;

	(void)state;
	free(harness_create("image", 4096));
	assert_int_equal(read_for(&first, 7, true), 0);
	assert_int_equal(read_for(&other, 8, true), 0);
	assert_int_equal(read_for(&next, 7, true), -EAGAIN);
	assert_non_null(strstr(error, "still read by requests of the process"));
	assert_int_equal(next.fd, -1);
	check_in_use(harness_path("image"), WRITER);
	/* Nobody else waits for anybody. */
	check_free(harness_path("image"), READER);
	assert_int_equal(read_for(&next, 7, false), 0);
	whole_close(&next);
	assert_int_equal(read_for(&next, 0, true), 0);
	whole_close(&next);
	whole_close(&first);
	assert_int_equal(read_for(&next, 7, true), 0);
	whole_close(&next);
	whole_close(&other);
	/* A writer is one that all wait for. */
	assert_int_equal(open_image(&first, WRITER), 0);
	assert_int_equal(read_for(&next, 7, true), -EAGAIN);
	assert_non_null(strstr(error, "already in use by"));
	whole_close(&first);
	check_free(harness_path("image"), WRITER);
}

static void test_lent(void **state)
{
	struct block_image first, second;
	char words[64];

	(void)state;
	free(harness_create("image", 4096));
	assert_int_equal(open_image(&first, LENDER), 0);
	assert_true(whole_claim(&first)->locked);
	assert_string_equal(error, "");
	/* It may be opened, and waits. */
	assert_int_equal(open_image(&second, LENDER), 0);
	assert_false(whole_claim(&second)->locked);
	assert_non_null(
		strstr(error, "already in use by another disk of this"));
	assert_int_equal(whole_lock(&second, error), -EAGAIN);
	/* All others do not wait. */
	check_in_use(harness_path("image"), READER);
	check_in_use(harness_path("image"), WRITER);

	whole_unlock(&first);
	assert_false(whole_claim(&first)->locked);
	assert_int_equal(whole_lock(&second, error), 0);
	assert_true(whole_claim(&second)->locked);
	assert_int_equal(whole_lock(&second, error), 0);
	snprintf(words, sizeof(words), "already in use by another disk");
	assert_int_equal(whole_lock(&first, error), -EAGAIN);
	assert_non_null(strstr(error, words));
	check_in_use(harness_path("image"), WRITER);

	/* Back again, as after a migration that failed. */
	whole_unlock(&second);
	assert_int_equal(whole_lock(&first, error), 0);
	whole_close(&first);
	whole_close(&second);
	check_free(harness_path("image"), WRITER);
}

/* An image that is closed while somebody looks for who has it; or NULL. */
static struct block_image *leaving;

long __real_block_lock_holder(int fd);
long __wrap_block_lock_holder(int fd);

long __wrap_block_lock_holder(int fd)
{
	if (leaving)
		whole_close(leaving);
	leaving = NULL;
	return __real_block_lock_holder(fd);
}

/* It is in use, then nobody has it who could have lent it. */
static void test_lent_until_the_look(void **state)
{
	struct block_image first, second;

	(void)state;
	free(harness_create("image", 4096));
	assert_int_equal(open_image(&first, LENDER), 0);
	leaving = &first;
	assert_int_equal(open_image(&second, LENDER), 0);
	assert_null(leaving);
	assert_true(whole_claim(&second)->locked);
	whole_close(&second);
}

/* Who never gives it away is not waited for. */
static void test_not_lent(void **state)
{
	struct block_image image;

	(void)state;
	free(harness_create("image", 4096));
	for (int how = READER; how <= WRITER; how++) {
		assert_int_equal(open_image(&image, how), 0);
		check_in_use(harness_path("image"), LENDER);
		whole_close(&image);
	}
	/* A reader does not lend, though it was asked to. */
	assert_int_equal(whole_open(&image,
				    &(struct block_image_options){
					    .file = harness_path("image"),
					    .readonly = true,
					    .lends = true,
				    },
				    error),
			 0);
	assert_false(image.lends);
	check_in_use(harness_path("image"), LENDER);
	whole_close(&image);
}

static void test_who(void **state)
{
	struct block_image image;
	int ready[2], status;
	char byte, pid[32];
	pid_t child;

	(void)state;
	free(harness_create("image", 4096));
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (open_image(&image, WRITER))
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(2);
		pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	check_in_use(harness_path("image"), WRITER);
	snprintf(pid, sizeof(pid), "(pid %ld)", (long)child);
	assert_non_null(strstr(error, pid));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(ready[0]);
}

/* ---- block devices ---- */

static bool is_claimed(const char *device)
{
	int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	else
		assert_int_equal(errno, EBUSY);
	return fd < 0;
}

static void test_device_is_lent(void **state)
{
	struct block_image first, second;
	char device[64];
	int loop, other;

	(void)state;
	free(harness_create("disk", 1 << 20));
	loop = attach_loop("disk", device, sizeof(device), 512);
	assert_int_equal(open_path(&first, device, LENDER), 0);
	assert_true(is_claimed(device));
	assert_int_equal(open_path(&second, device, LENDER), 0);
	assert_false(whole_claim(&second)->locked);
	whole_unlock(&first);
	assert_false(is_claimed(device));
	assert_int_equal(whole_lock(&second, error), 0);
	assert_true(is_claimed(device));
	whole_unlock(&second);
	/* Somebody else has come in between, as a mount does. */
	other = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(other >= 0);
	assert_int_equal(whole_lock(&first, error), -EBUSY);
	assert_non_null(strstr(error, "is mounted or in use"));
	assert_false(whole_claim(&first)->locked);
	close(other);
	/* The attempt has left no lock. */
	assert_int_equal(whole_lock(&second, error), 0);
	whole_close(&second);
	whole_close(&first);
	assert_false(is_claimed(device));
	close(loop);
}

/* Each node of a device has locks of its own; a device has one user. */
static void test_nodes(void **state)
{
	struct block_image image;
	char device[64], node[256];
	struct stat st;
	int loop;

	(void)state;
	free(harness_create("disk", 1 << 20));
	loop = attach_loop("disk", device, sizeof(device), 512);
	snprintf(node, sizeof(node), "%s", harness_path("node"));
	assert_int_equal(stat(device, &st), 0);
	if (mknod(node, S_IFBLK | 0600, st.st_rdev)) {
		close(loop);
		skip();
	}
	for (int how = READER; how <= WRITER; how++) {
		assert_int_equal(open_path(&image, device, how), 0);
		check_in_use(node, WRITER);
		if (how != READER)
			check_in_use(node, READER);
		else
			check_free(node, READER);
		whole_close(&image);
		assert_int_equal(open_path(&image, node, how), 0);
		check_in_use(device, WRITER);
		if (how != READER)
			check_in_use(device, READER);
		whole_close(&image);
	}
	check_free(node, WRITER);
	unlink(node);
	close(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_qemu),
		cmocka_unit_test(test_qemu_beside_us),
		cmocka_unit_test(test_in_use_is_told_at_once),
		cmocka_unit_test(test_successor_of_a_reader),
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_lent_until_the_look),
		cmocka_unit_test(test_not_lent),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_device_is_lent),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
