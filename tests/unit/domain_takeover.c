/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=signals_open,--wrap=nanosleep */
/*
 * A guest outlives the program, and the next one goes on with its disks: the
 * whole program on a fake host, again and again in one process. Whatever the
 * guest was doing is done once, and what the toolstack has done meanwhile is
 * found out.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include <dirent.h>
#include <sys/file.h>

#include "lib/block_whole.h"
#include "lib/model_again.h"
#include "lib/model_guest.h"
#include "virtio/state.h"
#include "xen/ioreq_state.h"

static struct driver disk[4];

/* The lock of another process is not waited for. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time;
	(void)left;
	return 0;
}

/* ---- one program and the next ---- */

/* The program ends, and leaves the guest. */
static void leave(void)
{
	ask_stop();
	assert_true(stopped());
	assert_int_equal(dom.events, 0);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.servers, 1);
	assert_true(dom.enabled);
	assert_true(logged("to the next process; the guest waits for it"));
	assert_int_equal(logged("closed"), 0);
	forget_log();
}

static void start(unsigned int disks)
{
	memset(disk, 0, sizeof(disk));
	dom.leaves = true;
	start_disks(disk, disks);
}

static void wait_going_on(unsigned int disks)
{
	wait_until(logged("going on with") == disks);
}

static void next(unsigned int disks)
{
	program_start();
	wait_going_on(disks);
}

/* The last one: its end takes the disks away. */
static void last(unsigned int disks)
{
	dom.leaves = false;
	next(disks);
}

static void finish(void)
{
	ask_stop();
	assert_true(stopped());
	check_clean();
	remove_images(disk, sizeof(disk) / sizeof(*disk));
}

/* ---- the guest ---- */

static void fill(unsigned int i, unsigned int slot, int byte)
{
	memset(request_at(&disk[i], slot) + BLOCK_BYTES, byte, BLOCK_BYTES);
}

static bool stored(unsigned int i, unsigned int block, int byte)
{
	uint8_t expected[BLOCK_BYTES], is[BLOCK_BYTES];
	int fd = open(disk[i].file, O_RDONLY | O_CLOEXEC);

	memset(expected, byte, sizeof(expected));
	must(pread(fd, is, sizeof(is), block * BLOCK_BYTES) == BLOCK_BYTES);
	close(fd);
	return !memcmp(is, expected, sizeof(is));
}

/* Write and read back, so that nobody can tell that the program is another. */
static void check_serves(unsigned int i, int byte)
{
	fill(i, 0, byte);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_OUT, 7), 0);
	fill(i, 0, 0);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 7), 0);
	assert_int_equal(request_at(&disk[i], 0)[BLOCK_BYTES], byte);
	assert_true(stored(i, 7, byte));
	assert_true(tool_is(node(i, "state"), "2"));
}

static unsigned int answers(void)
{
	unsigned int n;

	xs_lock();
	n = dom.answers;
	xs_unlock();
	return n;
}

static const char *state_file(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%u/%s", dom.states, dom.domid, name);
	return path;
}

static bool has_state(const char *name)
{
	return access(state_file(name), F_OK) == 0;
}

/* What the program waits for when it leaves is let go when it has begun to. */
static void leave_with_held(void)
{
	ask_stop();
	a_while();
	hold(false);
	assert_true(stopped());
	assert_true(dom.enabled);
	forget_log();
}

/* ---- in the middle of something ---- */

/*
 * Each disk has two writes and a read in flight. Whether this program or the
 * next one answers them nobody can tell; each is answered once.
 */
static void requests_in_flight(unsigned int disks)
{
	start(disks);
	for (unsigned int i = 0; i < disks; i++) {
		fill(i, 0, 0x20 + (int)i);
		assert_int_equal(request(&disk[i], VIRTIO_BLK_T_OUT, 1), 0);
	}
	hold(true);
	for (unsigned int i = 0; i < disks; i++) {
		fill(i, 0, 0x30 + (int)i);
		fill(i, 1, 0x40 + (int)i);
		fill(i, 2, 0);
		offer(&disk[i], 0, VIRTIO_BLK_T_OUT, 2);
		offer(&disk[i], 1, VIRTIO_BLK_T_OUT, 3);
		offer(&disk[i], 2, VIRTIO_BLK_T_IN, 1);
		kick(&disk[i]);
	}
	wait_held();
	leave_with_held();
	last(disks);
	for (unsigned int i = 0; i < disks; i++) {
		wait_until(take_used(&disk[i]) == 4);
		for (unsigned int slot = 0; slot < 3; slot++)
			assert_int_equal(request_at(&disk[i], slot)[16], 0);
		assert_int_equal(request_at(&disk[i], 2)[BLOCK_BYTES],
				 0x20 + i);
		assert_true(stored(i, 2, 0x30 + (int)i));
		assert_true(stored(i, 3, 0x40 + (int)i));
	}
	a_while();
	for (unsigned int i = 0; i < disks; i++) {
		assert_int_equal(take_used(&disk[i]), 4);
		check_serves(i, 0x50 + (int)i);
	}
	finish();
}

static void test_requests_of_one_disk(void)
{
	requests_in_flight(1);
}

static void test_requests_of_three_disks(void)
{
	requests_in_flight(3);
}

/* It stands still while nobody serves, and is let go once. */
static void test_access_while_nobody_serves(void)
{
	unsigned int before;

	start(2);
	leave();
	before = answers();
	assert_true(begin_access(0, register_of(0, VIRTIO_MMIO_MAGIC_VALUE), 4,
				 true, 0));
	fill(1, 0, 0x66);
	offer(&disk[1], 0, VIRTIO_BLK_T_OUT, 5);
	assert_true(begin_access(1, register_of(1, VIRTIO_MMIO_QUEUE_NOTIFY), 4,
				 false, 0));
	a_while();
	assert_false(answered(0) || answered(1));
	last(2);
	wait_until(answered(0) && answered(1));
	assert_int_equal((uint32_t)dom.vcpu[0].value, VIRTIO_MMIO_MAGIC);
	assert_int_equal(answers() - before, 2);
	wait_until(take_used(&disk[1]) == 1);
	assert_true(stored(1, 5, 0x66));
	check_serves(0, 0x11);
	check_serves(1, 0x22);
	finish();
}

/* A vCPU waits for a reset, and what that waits for is left to the next one. */
static void test_reset_that_waits(void)
{
	unsigned int before;

	start(1);
	hold(true);
	fill(0, 0, 0x5a);
	offer(&disk[0], 0, VIRTIO_BLK_T_OUT, 3);
	kick(&disk[0]);
	wait_held();
	before = answers();
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_STATUS), 4,
				 false, 0));
	a_while();
	leave_with_held();
	assert_false(answered(1));
	last(1);
	wait_until(answered(1));
	assert_int_equal(answers() - before, 1);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[0], 0);
	check_serves(0, 0x33);
	finish();
}

/* ... and is reset, although the disk has gone meanwhile. */
static void test_reset_that_waits_and_detach(void)
{
	start(2);
	hold(true);
	fill(0, 0, 0x5a);
	offer(&disk[0], 0, VIRTIO_BLK_T_OUT, 3);
	kick(&disk[0]);
	wait_held();
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_STATUS), 4,
				 false, 0));
	a_while();
	leave_with_held();
	ask_detach(0);
	last(1);
	wait_until(tool_is(node(0, "state"), "6"));
	wait_until(answered(1));
	check_serves(1, 0x33);
	finish();
}

/* ---- what the toolstack has done meanwhile ---- */

static void test_detached_while_nobody_serves(void)
{
	start(2);
	leave();
	assert_true(has_state("51712") && has_state("51713"));
	ask_detach(0);
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	last(1);
	wait_until(tool_is(node(0, "state"), "6"));
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	assert_false(has_state("51712"));
	assert_false(begin_access(0, register_of(0, 0), 4, true, 0));
	check_serves(1, 0x21);
	/* There may be another one in its place. */
	tool_remove(node(0, ""));
	attach(&disk[2], 0);
	drive(&disk[0], 0);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_IN, 1), 0);
	finish();
}

static void test_directory_removed_while_nobody_serves(void)
{
	start(2);
	leave();
	tool_remove(node(0, ""));
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	last(1);
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	wait_until(!has_state("51712"));
	assert_true(tool_is(node(0, "state"), NULL));
	check_serves(1, 0x21);
	finish();
}

/* Only the server's row tells of it; the guest is let go all the same. */
static void test_nothing_left_but_a_row(void)
{
	start(2);
	leave();
	tool_remove(node(0, ""));
	assert_int_equal(unlink(state_file("51712")), 0);
	assert_int_equal(unlink(state_file("51712.image")), 0);
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	last(1);
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	assert_false(begin_access(0, register_of(0, 0), 4, true, 0));
	check_serves(1, 0x21);
	finish();
}

/*
 * ... but not before the requests of the dead have ended, on the image that it
 * has had: nobody tells which that is.
 */
static void waits_for_the_image_before(void (*meanwhile)(void))
{
	struct block_image image;
	struct block_image_options options = { .file = disk[0].file };
	char error[BLOCK_ERROR_MAX];

	start(2);
	leave();
	assert_int_equal(whole_open(&image, &options, error), 0);
	meanwhile();
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	last(1);
	wait_until(logged("the guest waits for it: "));
	assert_false(answered(0));
	assert_true(has_state("51712"));
	whole_close(&image);
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	check_serves(1, 0x21);
}

static void remove_first(void)
{
	tool_remove(node(0, ""));
}

static void test_removed_with_an_image_in_use(void)
{
	waits_for_the_image_before(remove_first);
	wait_until(!has_state("51712.image"));
	assert_false(has_state("51712"));
	assert_true(tool_is(node(0, "state"), NULL));
	finish();
}

/* Another disk in its place begins after that. */
static void remake_first(void)
{
	make_image(&disk[2]);
	tool_remove(node(0, ""));
	make_directory(0, disk[2].file);
}

static void test_made_anew_with_an_image_in_use(void)
{
	waits_for_the_image_before(remake_first);
	wait_until(tool_is(node(0, "state"), "2"));
	drive(&disk[2], 0);
	assert_int_equal(request(&disk[2], VIRTIO_BLK_T_IN, 1), 0);
	finish();
}

/* A disk that was closing goes on doing so. */
static void test_left_while_closing(void)
{
	start(2);
	hold(true);
	fill(0, 0, 0x5a);
	offer(&disk[0], 0, VIRTIO_BLK_T_OUT, 3);
	kick(&disk[0]);
	wait_held();
	ask_detach(0);
	wait_until(is_dead(0));
	leave_with_held();
	assert_true(tool_is(node(0, "state"), "5"));
	last(1);
	wait_until(tool_is(node(0, "state"), "6"));
	assert_false(has_state("51712"));
	check_serves(1, 0x21);
	finish();
}

/* ... also where there is a new one in its place already. */
static void test_left_while_made_anew(void)
{
	start(2);
	hold(true);
	fill(0, 0, 0x5a);
	offer(&disk[0], 0, VIRTIO_BLK_T_OUT, 3);
	kick(&disk[0]);
	wait_held();
	make_image(&disk[2]);
	make_directory(0, disk[2].file);
	wait_until(is_dead(0));
	leave_with_held();
	dom.leaves = false;
	program_start();
	wait_until(tool_is(node(0, "state"), "2"));
	assert_int_equal(logged("going on with"), 1);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[2], 0);
	check_serves(1, 0x21);
	finish();
}

/* Another disk in its place, while nobody served: the old one has ended. */
static void test_made_anew_while_nobody_served(void)
{
	start(2);
	leave();
	make_image(&disk[2]);
	make_directory(0, disk[2].file);
	dom.leaves = false;
	program_start();
	wait_until(tool_is(node(0, "state"), "2"));
	assert_int_equal(logged("going on with"), 1);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[2], 0);
	check_serves(1, 0x21);
	finish();
}

/* libxl does not know yet that it is served. */
static void test_left_untold(void)
{
	memset(disk, 0, sizeof(disk));
	dom.leaves = true;
	start_disks(disk, 1);
	make_image(&disk[1]);
	tool_fail("transaction", EIO, 1000000);
	make_directory(1, disk[1].file);
	wait_until(tool_failures() > 0);
	ask_stop();
	assert_true(stopped());
	forget_log();
	assert_true(tool_is(node(1, "state"), "1"));
	tool_fail("", EIO, 0);
	last(2);
	wait_until(tool_is(node(1, "state"), "2"));
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	finish();
}

static void gone(void)
{
	xs_lock();
	destroy_server();
	dom.exists = false;
	dom.life = 0;
	xs.introduced[dom.domid] = false;
	xs_unlock();
}

/* What is left of a domain that is no more goes with the next start. */
static void test_domain_dies_while_nobody_serves(void)
{
	start(1);
	leave();
	gone();
	tool_remove("backend/virtio_disk/5");
	tool_remove("/local/domain/5");
	assert_true(has_state("51712"));
	dom.leaves = false;
	program_start();
	wait_until(logged("waiting for domain web"));
	assert_false(has_state("server"));
	/* Its next life. */
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x21);
	finish();
}

/* A xenstored that has forgotten all is no reason to forget a guest as well. */
static void test_forgotten_guest_is_left_alone(void)
{
	start(1);
	leave();
	dom.no_libxenctrl = true;
	xs_lock();
	xs.introduced[DOMID] = false;
	xs_unlock();
	tool_remove("/local/domain/5");
	dom.leaves = false;
	program_start();
	wait_until(logged("waiting for domain web"));
	a_while();
	assert_true(has_state("51712"));
	introduce(DOMID);
	wait_going_on(1);
	check_serves(0, 0x21);
	finish();
}

/* Each call to xenstore fails in its turn, while the guest is gone on with. */
static void test_store_fails_meanwhile(void)
{
	unsigned int k = 0;

	start(2);
	do {
		leave();
		/* Of the watches the program is not done without. */
		tool_fail_later(4 + k, EIO, 1);
		next(2);
		check_serves(0, 0x20 + (int)k);
		check_serves(1, 0x60 + (int)k);
	} while (tool_failures() && ++k < 60);
	assert_in_range(k, 10, 59);
	tool_fail("", EIO, 0);
	leave();
	last(2);
	finish();
}

/* The number is another domain's by now, which has a server of its own. */
static void test_number_of_another_domain(void)
{
	start(1);
	leave();
	gone();
	tool_remove("backend/virtio_disk/5");
	introduce(DOMID);
	tool_write("/local/domain/5/vm", "/vm/2");
	make_image(&disk[1]);
	make_directory(0, disk[1].file);
	dom.leaves = false;
	program_start();
	wait_until(tool_is(node(0, "state"), "2"));
	assert_int_equal(logged("going on with"), 0);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[1], 0);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	finish();
}

/* A guest that was gone on with may be started anew as any other. */
static void test_reboot_after_takeover(void)
{
	start(1);
	leave();
	last(1);
	check_serves(0, 0x21);
	shut_down_for_reboot();
	destroy_domain();
	wait_until(logged("domain 5 is gone; waiting"));
	wait_until(!has_state("server"));
	gone();
	introduce(DOMID + 1);
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	check_serves(1, 0x22);
	finish();
}

/* It comes back with the number that it has had. */
static void test_reboot_with_the_same_number(void)
{
	start(1);
	destroy_domain();
	wait_until(logged("domain 5 is gone"));
	xs_lock();
	xs_fire("@releaseDomain");
	xs_unlock();
	/* It is dying still, and not taken for its successor. */
	a_while();
	assert_int_equal(logged("serving domain 5"), 1);
	gone();
	forget_log();
	tool_remove("backend/virtio_disk/5");
	introduce(DOMID);
	attach(&disk[1], 0);
	drive(&disk[1], 0);
	assert_int_equal(request(&disk[1], VIRTIO_BLK_T_IN, 1), 0);
	leave();
	last(1);
	finish();
}

/* Nobody waits for a guest that has shut down. */
static void test_shut_down_guest_is_not_left(void)
{
	start(1);
	xs_lock();
	dom.life = LIFE_SHUTDOWN;
	xs_unlock();
	ask_stop();
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	assert_int_equal(logged("to the next process"), 0);
	check_clean();
	remove_images(disk, 1);
}

static void set_life(uint32_t life)
{
	xs_lock();
	dom.life = life;
	xs_unlock();
}

/* One that is saved or migrated goes on where that fails, or was a copy. */
static void test_suspended_guest_is_left(void)
{
	start(1);
	set_life(LIFE_SUSPENDED);
	leave();
	set_life(0);
	next(1);
	check_serves(0, 0x21);
	/* Nor does it end for who comes while it is suspended. */
	set_life(LIFE_SUSPENDED);
	leave();
	last(1);
	set_life(0);
	check_serves(0, 0x22);
	finish();
}

static void test_detach_on_demand(void)
{
	start(2);
	leave();
	last(2);
	check_serves(1, 0x21);
	ask_stop();
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	assert_true(tool_is(node(1, "state"), "6"));
	check_clean();
	remove_images(disk, 2);
}

/* ---- images ---- */

/* Of two disks one cannot be had yet; its own guest waits, not the other's. */
static void test_image_in_use(void)
{
	struct block_image image;
	struct block_image_options options = { .file = disk[0].file };
	char error[BLOCK_ERROR_MAX];

	start(2);
	leave();
	assert_int_equal(whole_open(&image, &options, error), 0);
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_MAGIC_VALUE), 4,
				 true, 0));
	dom.leaves = false;
	program_start();
	wait_going_on(1);
	check_serves(1, 0x21);
	wait_until(logged("web/xvda: the guest waits for it: ") == 1);
	assert_int_equal(logged("already in use by"), 1);
	assert_int_equal(logged(disk[0].file), 1);
	check_serves(1, 0x22);
	assert_false(answered(1));
	assert_true(tool_is(node(0, "state"), "2"));
	whole_close(&image);
	wait_going_on(2);
	wait_until(answered(1));
	assert_int_equal((uint32_t)dom.vcpu[1].value, VIRTIO_MMIO_MAGIC);
	check_serves(0, 0x23);
	finish();
}

/* ... nor does it hold up the end, which leaves it as it was. */
static void test_left_again_with_an_image_in_use(void)
{
	struct block_image image;
	struct block_image_options options = { .file = disk[0].file };
	char error[BLOCK_ERROR_MAX];

	start(2);
	leave();
	assert_int_equal(whole_open(&image, &options, error), 0);
	next(1);
	leave();
	whole_close(&image);
	last(2);
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	finish();
}

/* To take it away before it is free could be seen in the guest's memory. */
static void test_detach_waits_for_an_image_in_use(void)
{
	struct block_image image;
	struct block_image_options options = { .file = disk[0].file };
	char error[BLOCK_ERROR_MAX];

	start(2);
	leave();
	assert_int_equal(whole_open(&image, &options, error), 0);
	last(1);
	ask_stop();
	wait_until(tool_is(node(1, "state"), "6"));
	a_while();
	assert_true(tool_is(node(0, "state"), "2"));
	assert_int_equal(dom.servers, 1);
	whole_close(&image);
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, 2);
}

static void check_lost(const char *why)
{
	wait_until(tool_is(node(0, "state"), NULL));
	assert_false(tool_is(node(0, "error"), NULL));
	assert_int_equal(logged("web/xvda: cannot be taken over"), 1);
	assert_int_equal(logged(why), 1);
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	assert_false(begin_access(0, register_of(0, 0), 4, true, 0));
	assert_false(has_state("51712"));
	check_serves(1, 0x21);
	finish();
}

static void leave_with_access(void)
{
	start(2);
	leave();
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
}

static void test_image_is_missing(void)
{
	leave_with_access();
	assert_int_equal(unlink(disk[0].file), 0);
	last(1);
	check_lost("no such file");
}

/* Another file by that name: the guest waits until its own is there again. */
static void test_image_is_another(void)
{
	char other[80], own[80];

	leave_with_access();
	snprintf(own, sizeof(own), "%s.own", disk[0].file);
	snprintf(other, sizeof(other), "%s.other", disk[0].file);
	assert_int_equal(rename(disk[0].file, own), 0);
	close(open(disk[0].file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(truncate(disk[0].file, IMAGE_BYTES), 0);
	last(1);
	wait_until(logged("is not the file or device") >= 1);
	assert_false(answered(0));
	assert_true(has_state("51712"));
	assert_int_equal(rename(disk[0].file, other), 0);
	assert_int_equal(rename(own, disk[0].file), 0);
	wait_until(answered(0));
	check_serves(0, 0x21);
	check_serves(1, 0x21);
	unlink(other);
	finish();
}

static void test_image_cannot_be_served(void)
{
	leave_with_access();
	assert_int_equal(truncate(disk[0].file, IMAGE_BYTES + 100), 0);
	last(1);
	check_lost("is not a multiple of block-size");
}

/* It has grown while nobody served. */
static void test_image_has_grown(void)
{
	start(1);
	leave();
	assert_int_equal(truncate(disk[0].file, IMAGE_BYTES * 2), 0);
	last(1);
	wait_until(reg_read(0, VIRTIO_MMIO_CONFIG) == IMAGE_BYTES * 2 / 512);
	check_serves(0, 0x21);
	finish();
}

/* ---- states ---- */

static void write_at(const char *name, off_t at, uint32_t value)
{
	int fd = open(state_file(name), O_RDWR | O_CLOEXEC);

	must(fd >= 0 && pwrite(fd, &value, sizeof(value), at) == sizeof(value));
	close(fd);
}

static void test_state_is_truncated(void)
{
	leave_with_access();
	assert_int_equal(truncate(state_file("51712"), 100), 0);
	last(1);
	check_lost("web/xvda: cannot be taken over");
}

static void test_state_is_of_another_version(void)
{
	leave_with_access();
	write_at("51712", offsetof(struct virtio_state_header, version), 77);
	last(1);
	check_lost("version");
}

static void test_state_is_missing(void)
{
	leave_with_access();
	assert_int_equal(unlink(state_file("51712")), 0);
	last(1);
	check_lost("51712 cannot be opened");
}

/* Nothing is touched, so that the version which left it can go on. */
static void test_server_is_of_another_version(void)
{
	leave_with_access();
	write_at("server", offsetof(struct ioreq_state, version), 77);
	program_start();
	wait_until(logged("what another process has left of domain 5 cannot"));
	wait_until(logged("belongs to another or an earlier instance") == 2);
	ask_stop();
	assert_true(stopped());
	assert_true(dom.enabled && !answered(0));
	assert_true(tool_is(node(0, "state"), "2"));
	write_at("server", offsetof(struct ioreq_state, version),
		 IOREQ_STATE_VERSION);
	forget_log();
	last(2);
	wait_until(answered(0));
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	finish();
}

/* What may be better the next time is left to the next time. */
static void test_server_cannot_be_had_now(void)
{
	leave_with_access();
	dom.page_fails = ENOMEM;
	program_start();
	assert_false(stopped());
	assert_int_equal(logged("what another process has left of domain 5"),
			 1);
	assert_true(dom.enabled && !answered(0));
	assert_true(tool_is(node(0, "state"), "2"));
	last(2);
	wait_until(answered(0));
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	finish();
}

/* Who waited for a next process would wait for ever. */
static void test_states_removed_under_it(void)
{
	start(1);
	remove_states();
	ask_stop();
	assert_true(stopped());
	assert_int_equal(logged("has been removed: no next process"), 1);
	assert_int_equal(logged("to the next process"), 0);
	assert_true(tool_is(node(0, "state"), "6"));
	check_clean();
	remove_images(disk, sizeof(disk) / sizeof(*disk));
}

/* A disk that is attached after that is served as the others are. */
static void test_attached_after_states_were_removed(void)
{
	start(1);
	remove_states();
	attach(&disk[1], 1);
	drive(&disk[1], 1);
	assert_int_equal(logged("which loses them with this one"), 1);
	check_serves(0, 0x21);
	check_serves(1, 0x22);
	detach(1);
	attach(&disk[2], 1);
	drive(&disk[2], 1);
	check_serves(0, 0x23);
	finish();
	assert_int_equal(logged("to the next process;"), 0);
	assert_true(tool_is(node(0, "state"), "6"));
	assert_true(tool_is(node(1, "state"), "6"));
}

/* It is gone, whoever has destroyed it: so are the disks. */
static void test_server_is_gone(void)
{
	start(2);
	leave();
	xs_lock();
	destroy_server();
	xs_unlock();
	dom.leaves = false;
	program_start();
	wait_until(logged("belongs to another or an earlier instance") == 2);
	assert_int_equal(logged("its IOREQ server is gone"), 1);
	assert_false(has_state("51712") || has_state("51713"));
	/* libxl may begin anew. */
	tool_write(node(0, "state"), "1");
	wait_until(tool_is(node(0, "state"), "2"));
	drive(&disk[0], 0);
	check_serves(0, 0x21);
	finish();
}

/* As if there were none of it: served, and taken away at the end. */
static void serves_without_states(const char *why)
{
	attach(&disk[0], 0);
	drive(&disk[0], 0);
	assert_int_equal(logged("cannot be taken over by the next process"), 1);
	assert_int_equal(logged(why), 1);
	check_serves(0, 0x21);
	ask_stop();
	assert_true(stopped());
	assert_true(tool_is(node(0, "state"), "6"));
	assert_int_equal(logged("to the next process;"), 0);
	remove_images(disk, 1);
}

static void begin_without_disks(void)
{
	memset(disk, 0, sizeof(disk));
	dom.leaves = true;
	introduce(DOMID);
}

static void test_no_directory(void)
{
	begin_without_disks();
	dom.states = "/proc/nowhere";
	program_start();
	serves_without_states("/proc/nowhere cannot be opened");
}

static void test_directory_of_another_owner(void)
{
	begin_without_disks();
	if (geteuid() != 0 || chown(dom.states, 65534, 65534)) {
		print_message("not root: nobody else's directory\n");
		return;
	}
	program_start();
	serves_without_states("belongs to somebody else");
}

static void test_no_uuid(void)
{
	begin_without_disks();
	tool_remove("/local/domain/5/vm");
	program_start();
	serves_without_states("has no uuid");
}

/* What is not known yet is asked again. */
static void test_uuid_is_not_known_yet(void)
{
	start(1);
	leave();
	tool_fail("/vm", EIO, 2);
	last(1);
	assert_int_equal(tool_failures(), 2);
	check_serves(0, 0x21);
	finish();
}

static void test_served_by_another_process(void)
{
	int fd;

	start(1);
	leave();
	fd = open(state_file("server"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	program_start();
	assert_false(stopped());
	assert_int_equal(logged("domain 5 is served by process"), 1);
	assert_true(dom.enabled);
	assert_true(tool_is(node(0, "state"), "2"));
	close(fd);
	last(1);
	check_serves(0, 0x21);
	finish();
}

/* ---- again and again ---- */

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

enum { ROUNDS = 20, DISKS = 3 };

static struct {
	pthread_t thread;
	bool stop;
	unsigned int done; /* requests */
} traffic;

/* A driver that never rests; each block says what was written last. */
static void *drive_on(void *unused)
{
	unsigned int n = 0;

	(void)unused;
	while (!__atomic_load_n(&traffic.stop, __ATOMIC_RELAXED)) {
		unsigned int i = n % DISKS, block = 10 + n % 7;

		fill(i, 0, (int)(n % 251));
		must(request(&disk[i], VIRTIO_BLK_T_OUT, block) == 0);
		fill(i, 0, 0);
		must(request(&disk[i], VIRTIO_BLK_T_IN, block) == 0);
		must(request_at(&disk[i], 0)[BLOCK_BYTES] == n % 251);
		__atomic_store_n(&traffic.done, ++n, __ATOMIC_RELEASE);
	}
	return NULL;
}

static unsigned int done(void)
{
	return __atomic_load_n(&traffic.done, __ATOMIC_ACQUIRE);
}

static void test_rounds_with_traffic(void)
{
	unsigned int before = 0;

	start(DISKS);
	memset(&traffic, 0, sizeof(traffic));
	must(!pthread_create(&traffic.thread, NULL, drive_on, NULL));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int so_far = done();

		wait_until(done() > so_far + 5);
		leave();
		if (round == 1)
			before = descriptors();
		else if (round > 1)
			assert_int_equal(descriptors(), before);
		next(DISKS);
	}
	__atomic_store_n(&traffic.stop, true, __ATOMIC_RELAXED);
	must(!pthread_join(traffic.thread, NULL));
	leave();
	last(DISKS);
	for (unsigned int i = 0; i < DISKS; i++)
		check_serves(i, 0x61 + (int)i);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_requests_of_one_disk),
		host_test(test_requests_of_three_disks),
		host_test(test_access_while_nobody_serves),
		host_test(test_reset_that_waits),
		host_test(test_reset_that_waits_and_detach),
		host_test(test_detached_while_nobody_serves),
		host_test(test_directory_removed_while_nobody_serves),
		host_test(test_nothing_left_but_a_row),
		host_test(test_removed_with_an_image_in_use),
		host_test(test_made_anew_with_an_image_in_use),
		host_test(test_left_while_closing),
		host_test(test_left_while_made_anew),
		host_test(test_made_anew_while_nobody_served),
		host_test(test_left_untold),
		host_test(test_domain_dies_while_nobody_serves),
		host_test(test_forgotten_guest_is_left_alone),
		host_test(test_store_fails_meanwhile),
		host_test(test_number_of_another_domain),
		host_test(test_reboot_after_takeover),
		host_test(test_reboot_with_the_same_number),
		host_test(test_shut_down_guest_is_not_left),
		host_test(test_suspended_guest_is_left),
		host_test(test_detach_on_demand),
		host_test(test_image_in_use),
		host_test(test_left_again_with_an_image_in_use),
		host_test(test_detach_waits_for_an_image_in_use),
		host_test(test_image_is_missing),
		host_test(test_image_is_another),
		host_test(test_image_cannot_be_served),
		host_test(test_image_has_grown),
		host_test(test_state_is_truncated),
		host_test(test_state_is_of_another_version),
		host_test(test_state_is_missing),
		host_test(test_server_is_of_another_version),
		host_test(test_server_cannot_be_had_now),
		host_test(test_states_removed_under_it),
		host_test(test_attached_after_states_were_removed),
		host_test(test_server_is_gone),
		host_test(test_no_directory),
		host_test(test_directory_of_another_owner),
		host_test(test_no_uuid),
		host_test(test_uuid_is_not_known_yet),
		host_test(test_served_by_another_process),
		host_test(test_rounds_with_traffic),
	};

	return cmocka_run_group_tests_name("domain: takeover", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
