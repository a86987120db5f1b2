/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=nanosleep */
/*
 * An instance where a watcher runs: one that was given a number is for that
 * domain alone, as the watcher starts the next one. The whole program on a fake
 * host.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_guest.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "monitor/state_look.h"

static struct driver disk[2];

static struct {
	struct state_dir dir;
	int fd; /* as the watcher's lock; or -1 */
} watcher;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

/* Who waits for a lock tries as often, and sooner. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time;
	(void)left;
	sched_yield();
	return 0;
}

static void watch(void)
{
	char error[BLOCK_ERROR_MAX];

	assert_int_equal(state_dir_open(&watcher.dir, dom.states, error), 0);
	watcher.fd = state_look_claim(&watcher.dir);
	assert_true(watcher.fd >= 0);
}

static void watch_no_more(void)
{
	assert_int_equal(unlinkat(watcher.dir.root_fd, "watch", 0), 0);
	close(watcher.fd);
	state_dir_close(&watcher.dir);
}

static void start(const char *wanted)
{
	memset(&disk, 0, sizeof(disk));
	dom.wanted = wanted;
	start_disks(disk, 1);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_IN, 1), 0);
}

/* Xen and the toolstack take what it had when the program has seen its end. */
static void gone(void)
{
	destroy_domain();
	wait_until(logged("domain 5 is gone"));
	xs_lock();
	destroy_server();
	tool_remove("backend/virtio_disk/5");
	tool_remove("/local/domain/5");
	dom.exists = false;
	xs.introduced[DOMID] = false;
	xs_fire("@releaseDomain");
	xs_unlock();
}

/* By itself, as one that has nothing more to do. */
static void check_ends(void)
{
	assert_true(program_ended());
	watch_no_more();
	check_clean();
	remove_images(disk, 2);
}

static void test_number_ends_with_its_domain(void)
{
	watch();
	start("5");
	gone();
	check_ends();
	assert_int_equal(logged("it has not come back"), 0);
	assert_int_equal(logged("for there is a watcher"), 1);
}

/* The next domain is the watcher's matter, also where it is there at once. */
static void test_number_is_not_followed_by_name(void)
{
	watch();
	/* Then a domain is what xenstored knows. */
	dom.no_libxenctrl = true;
	start("5");
	xs_lock();
	tool_write("/local/domain/6/name", "web");
	tool_write("/local/domain/6/vm", "/vm/1");
	xs.introduced[DOMID + 1] = true;
	xs.introduced[DOMID] = false;
	xs_fire("@releaseDomain");
	xs_unlock();
	assert_true(program_ended());
	xs_lock();
	destroy_server();
	xs_unlock();
	watch_no_more();
	check_clean();
	remove_images(disk, 2);
	assert_int_equal(logged("serving domain 6"), 0);
}

static void test_number_of_nobody(void)
{
	watch();
	dom.wanted = "7";
	program_start();
	check_ends();
	assert_int_equal(logged("domain 7 is not there"), 1);
}

/* What xenstore does not tell now may be there: nobody else would serve it. */
static void test_number_that_cannot_be_read(void)
{
	watch();
	introduce(DOMID);
	tool_fail("/local/domain/5/name", EIO, 1);
	start("5");
	assert_int_equal(tool_failures(), 1);
	assert_int_equal(logged("is not there"), 0);
	gone();
	check_ends();
}

/* Whoever is second ends, and not as a failure: the guest is served. */
static void test_number_that_another_one_serves(void)
{
	struct state_dir other;
	char error[BLOCK_ERROR_MAX];

	watch();
	assert_int_equal(state_dir_open(&other, dom.states, error), 0);
	assert_int_equal(state_dir_take(&other, DOMID, "/vm/1", error), 0);
	introduce(DOMID);
	dom.wanted = "5";
	program_start();
	assert_true(program_ended());
	assert_int_equal(logged("is served by another instance"), 1);
	state_dir_remove(&other);
	state_dir_close(&other);
	watch_no_more();
	check_clean();
}

/*
 * Of another one that has died a worker may be left, in a store that hangs:
 * this one has failed, for the guest is served by nobody.
 */
static void test_number_that_a_dead_one_has_left(void)
{
	struct state_dir other;
	char error[BLOCK_ERROR_MAX];
	pid_t pid;
	int fd;

	watch();
	assert_int_equal(state_dir_open(&other, dom.states, error), 0);
	assert_int_equal(state_dir_take(&other, DOMID, "/vm/1", error), 0);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	fd = openat(other.fd, "pid", O_WRONLY | O_TRUNC);
	assert_true(dprintf(fd, "%d\n", (int)pid) > 0);
	close(fd);
	introduce(DOMID);
	dom.wanted = "5";
	program_start();
	assert_false(program_ended());
	assert_int_equal(logged("is served by another instance"), 0);
	state_dir_remove(&other);
	state_dir_close(&other);
	watch_no_more();
	check_clean();
}

static void test_name_is_followed(void)
{
	watch();
	start(NULL);
	shut_down_for_reboot();
	gone();
	wait_until(logged("waiting for it to come back"));
	introduce(DOMID + 1);
	attach(&disk[1], 0);
	drive(&disk[1], 0);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	ask_end();
	check_ends();
}

/* The file of a watcher that has ended is none. */
static void test_number_without_a_watcher(void)
{
	watch();
	close(watcher.fd);
	start("5");
	shut_down_for_reboot();
	gone();
	wait_until(logged("waiting for it to come back"));
	introduce(DOMID + 1);
	attach(&disk[1], 0);
	drive(&disk[1], 0);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	ask_end();
	assert_true(program_ended());
	watcher.fd = -1;
	watch_no_more();
	check_clean();
	remove_images(disk, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_number_ends_with_its_domain),
		host_test(test_number_is_not_followed_by_name),
		host_test(test_number_of_nobody),
		host_test(test_number_that_cannot_be_read),
		host_test(test_number_that_another_one_serves),
		host_test(test_number_that_a_dead_one_has_left),
		host_test(test_name_is_followed),
		host_test(test_number_without_a_watcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
