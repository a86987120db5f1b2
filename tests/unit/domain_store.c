/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/*
 * What the toolstack says in xenstore, in any order and at any time, and a
 * xenstore that fails: the whole program on a fake host. A guest that runs
 * loses its disk only to somebody who takes it away, and a directory that is
 * made anew is a new disk.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "config/command_line.h"
#include "lib/model_guest.h"

static struct driver disk[20];

static void start(unsigned int disks)
{
	memset(disk, 0, sizeof(disk));
	start_disks(disk, disks);
}

static void finish(void)
{
	end_program();
	remove_images(disk, sizeof(disk) / sizeof(*disk));
}

/* Something in the directory that means nothing: the program looks anew. */
static void stir(unsigned int i)
{
	tool_write(node(i, "stirred"), "1");
}

/* The program has looked since: at the list, in vain. */
static void wait_for_look(void)
{
	tool_fail("virtio_disk/5", EIO, 1);
	tool_write("backend/virtio_disk/5/stirred", "1");
	wait_until(tool_failures() == 1);
}

static void check_serves(unsigned int i)
{
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 1), 0);
	assert_int_equal(logged("closed"), 0);
}

static const int errors[] = { EIO, EINTR, EACCES, ENOMEM, ENOTCONN, EBADF };

/* One look that fails takes nothing away, whatever it was at. */
static void test_failed_look(void)
{
	static const char *const endings[] = {
		"/state",
		"/online",
		"virtio_disk/5",
	};

	start(1);
	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < sizeof(errors) / sizeof(*errors); k++) {
			tool_fail(endings[i], errors[k], 1);
			stir(0);
			wait_until(tool_failures() == 1);
			check_serves(0);
		}
	}
	assert_true(logged("does not answer"));
	/* What was missed is looked at again without being told. */
	tool_fail("/state", EIO, 1);
	ask_detach(0);
	wait_until(tool_is(node(0, "state"), "6"));
	finish();
}

/* Without libxenctrl xenstored is asked whether the domain is there. */
static void test_failed_look_at_domain(void)
{
	dom.no_libxenctrl = true;
	start(1);
	tool_fail("introduced", EIO, 1);
	stir(0);
	wait_until(tool_failures() == 1);
	check_serves(0);
	xs_lock();
	xs.introduced[DOMID] = false;
	xs_fire("@releaseDomain");
	xs_unlock();
	wait_until(logged("domain 5 is gone"));
	finish();
}

/* A node that cannot be read is not one that is absent. */
static void test_failed_read_of_new_disk(void)
{
	static const char *const endings[] = {
		"/mode",           "/params", "/dev",
		"/base",           "/irq",    "/grant_usage",
		"/discard-enable", "/online", "/state",
		"virtio_disk/5",
	};
	const uint32_t expected = 1u << VIRTIO_BLK_F_RO |
				  1u << VIRTIO_BLK_F_DISCARD;

	start(0);
	for (unsigned int i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		/* Once for the list alone, once in the disk's directory. */
		tool_fail(endings[i], EIO, 1);
		attach(&disk[i], i);
		reg_write(i, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
		assert_int_equal(reg_read(i, VIRTIO_MMIO_DEVICE_FEATURES) &
					 expected,
				 1u << VIRTIO_BLK_F_DISCARD);
	}
	finish();
}

/* Attach disk 0 with one node as told (NULL: absent); its offered features. */
static uint32_t features_with(const char *name, const char *value)
{
	uint32_t features;

	if (!disk[0].file[0])
		make_image(&disk[0]);
	xs_lock();
	make_directory(0, disk[0].file);
	if (value)
		tool_write(node(0, name), "%s", value);
	else
		tool_remove(node(0, name));
	xs_unlock();
	wait_until(tool_is(node(0, "state"), "2"));
	reg_write(0, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features = reg_read(0, VIRTIO_MMIO_DEVICE_FEATURES);
	detach(0);
	return features;
}

static void test_only_w_is_writable(void)
{
	static const char *const modes[] = {
		"r", NULL, "", "rw", "W", "w ", "wr", "ro", "1", "!",
	};
	const uint32_t ro = 1u << VIRTIO_BLK_F_RO;

	start(0);
	assert_int_equal(features_with("mode", "w") & ro, 0);
	assert_int_equal(logged("neither r nor w"), 0);
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(features_with("mode", modes[i]) & ro, ro);
		assert_int_equal(logged("neither r nor w"), i);
	}
	finish();
}

static void test_discard_enable(void)
{
	const uint32_t discard = 1u << VIRTIO_BLK_F_DISCARD;

	start(0);
	assert_int_equal(features_with("discard-enable", "1") & discard,
			 discard);
	/* As Xen's protocol has it. */
	assert_int_equal(features_with("discard-enable", NULL) & discard,
			 discard);
	assert_int_equal(features_with("discard-enable", "0") & discard, 0);
	assert_int_equal(features_with("discard-enable", "no") & discard, 0);
	assert_int_equal(features_with("discard-enable", "") & discard, 0);
	finish();
}

static void refused_with(const char *name, const char *value)
{
	xs_lock();
	make_directory(0, disk[0].file);
	if (value)
		tool_write(node(0, name), "%s", value);
	else
		tool_remove(node(0, name));
	xs_unlock();
	wait_until(tool_is(node(0, "state"), NULL));
	assert_false(tool_is(node(0, "error"), NULL));
	tool_remove(node(0, ""));
}

static void test_refused(void)
{
	start(0);
	make_image(&disk[0]);
	refused_with("grant_usage", "1");
	refused_with("grant_usage", "yes");
	refused_with("base", "");
	refused_with("irq", "0");
	refused_with("irq", "4294967296");
	refused_with("params", "/nonexistent/image");
	refused_with("params", "");
	refused_with("params", NULL);
	refused_with("base", NULL);
	attach(&disk[0], 0);
	finish();
}

/* A directory that is removed and made anew before the program looks at all. */
static void test_made_anew(void)
{
	start(1);
	memset(request_at(&disk[0], 0) + BLOCK_BYTES, 0x77, BLOCK_BYTES);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_OUT, 1), 0);
	make_image(&disk[1]);
	xs_lock();
	ask_detach(0);
	tool_remove(node(0, ""));
	make_directory(0, disk[1].file);
	xs_unlock();
	wait_until(tool_is(node(0, "state"), "2"));
	/* It is the other image. */
	drive(&disk[2], 0);
	assert_int_equal(request(&disk[2], VIRTIO_BLK_T_IN, 1), 0);
	assert_int_equal(request_at(&disk[2], 0)[BLOCK_BYTES], 0);
	finish();
}

/* The same disk again and again, with its events in one wake-up. */
static void test_attached_again(void)
{
	start(1);
	for (unsigned int i = 0; i < 5; i++) {
		ask_detach(0);
		wait_until(tool_is(node(0, "state"), "6"));
		xs_lock();
		tool_remove(node(0, ""));
		make_directory(0, disk[0].file);
		xs_unlock();
		wait_until(tool_is(node(0, "state"), "2"));
		drive(&disk[0], 0);
		assert_int_equal(request(&disk[0], VIRTIO_BLK_T_IN, 1), 0);
	}
	finish();
}

/* A disk that ends before the program has looked at it, new and again. */
static void test_ends_before_it_begins(void)
{
	start(0);
	make_image(&disk[0]);
	for (unsigned int i = 0; i < 3; i++) {
		xs_lock();
		tool_remove(node(0, ""));
		make_directory(0, disk[0].file);
		ask_detach(0);
		xs_unlock();
		wait_until(tool_is(node(0, "state"), "6"));
	}
	assert_int_equal(logged("instance"), 0);
	tool_remove(node(0, ""));
	attach(&disk[0], 0);
	finish();
}

/* The directory is made anew while the old disk still waits for its I/O. */
static void test_made_anew_while_closing(void)
{
	start(1);
	make_image(&disk[1]);
	hold(true);
	offer(&disk[0], 0, VIRTIO_BLK_T_IN, 1);
	kick(&disk[0]);
	wait_held();
	ask_detach(0);
	wait_until(reg_read(0, VIRTIO_MMIO_MAGIC_VALUE) == UINT32_MAX);
	xs_lock();
	tool_remove(node(0, ""));
	make_directory(0, disk[1].file);
	xs_unlock();
	a_while();
	assert_true(tool_is(node(0, "state"), "1"));
	hold(false);
	wait_until(!tool_is(node(0, "state"), "1"));
	assert_true(tool_is(node(0, "state"), "2"));
	finish();
}

static void make_anew(void)
{
	tool_remove(node(0, ""));
	make_directory(0, disk[0].file);
}

static void take_away(void)
{
	tool_remove(node(0, ""));
}

/* Between the look and the answer. */
static void test_made_anew_before_answer(void)
{
	start(1);
	xs_lock();
	xs.before_end = make_anew;
	ask_detach(0);
	xs_unlock();
	wait_until(logged("closed") == 1);
	wait_until(tool_is(node(0, "state"), "2"));
	/* Nothing comes back that libxl has removed. */
	xs_lock();
	xs.before_end = take_away;
	ask_detach(0);
	xs_unlock();
	wait_until(logged("closed") == 2);
	wait_for_look();
	assert_true(tool_is(node(0, "state"), NULL));
	tool_remove(node(0, ""));
	xs_lock();
	xs.before_end = take_away;
	make_directory(0, disk[0].file);
	xs_unlock();
	wait_until(logged("closed") == 3);
	assert_true(tool_is(node(0, ""), NULL));
	finish();
}

/* State 6 could not be written: it is said later. */
static void test_answer_is_given_later(void)
{
	start(0);
	make_image(&disk[0]);
	tool_fail("transaction", EIO, 2);
	attach(&disk[0], 0);
	assert_int_equal(tool_failures(), 2);
	tool_fail("transaction", ENOSPC, 2);
	detach(0);
	assert_int_equal(tool_failures(), 2);
	assert_true(logged("cannot write to"));
	finish();
}

/* A guest's life has as many disks as it likes, one after the other. */
static void test_many_in_a_life(void)
{
	start(0);
	for (unsigned int i = 0; i < 20; i++) {
		attach(&disk[i], i);
		/* The first ones' directories stay for ever. */
		ask_detach(i);
		wait_until(tool_is(node(i, "state"), "6"));
		if (i >= 4)
			tool_remove(node(i, ""));
	}
	finish();
}

static void test_too_many_at_once(void)
{
	start(DISKS_MAX);
	for (unsigned int i = DISKS_MAX; i < DISKS_MAX + 2; i++) {
		make_image(&disk[i]);
		make_directory(i, disk[i].file);
		wait_until(tool_is(node(i, "state"), NULL));
		assert_false(tool_is(node(i, "error"), NULL));
	}
	for (unsigned int i = 0; i < 10; i++)
		wait_for_look();
	assert_int_equal(logged("more than 16 disks"), 2);
	assert_int_equal(logged("instance"), 0);
	for (unsigned int i = 0; i < DISKS_MAX; i++)
		check_serves(i);
	/* With one gone, there is room. */
	detach(3);
	tool_remove(node(DISKS_MAX, ""));
	attach(&disk[DISKS_MAX], DISKS_MAX);
	finish();
}

/* A directory of an earlier instance is spoken of once. */
static void test_of_another_instance(void)
{
	introduce(DOMID);
	memset(disk, 0, sizeof(disk));
	make_image(&disk[0]);
	xs_lock();
	make_directory(0, disk[0].file);
	tool_write(node(0, "state"), "2");
	xs_unlock();
	program_start();
	attach(&disk[1], 1);
	for (unsigned int i = 0; i < 10; i++)
		wait_for_look();
	assert_int_equal(logged("earlier instance"), 1);
	assert_true(tool_is(node(0, "state"), "2"));
	/* Nor is its end told by who does not know of it. */
	ask_detach(0);
	wait_for_look();
	a_while();
	assert_true(tool_is(node(0, "state"), "5"));
	finish();
}

/* xenstored goes away and comes back as it was. */
static void test_connection_lost(void)
{
	start(1);
	xs_lock();
	xs.down = true;
	tool_cut();
	xs_unlock();
	wait_until(logged("connection to xenstore is lost"));
	check_serves(0);
	/* Once a second it is tried again. */
	usleep(1200000);
	check_serves(0);
	assert_int_equal(logged("connection to xenstore is lost"), 1);
	xs_lock();
	xs.down = false;
	xs_unlock();
	wait_until(logged("connected to xenstore again"));
	check_serves(0);
	detach(0);
	attach(&disk[0], 0);
	finish();
}

/* xenstored was started anew, and knows nothing of anybody. */
static void lost_everything(void)
{
	start(1);
	xs_lock();
	tool_cut();
	xs_take("/local/domain");
	memset(xs.introduced, 0, sizeof(xs.introduced));
	xs_unlock();
	wait_until(logged("connected to xenstore again"));
	a_while();
	check_serves(0);
}

static void test_store_forgets(void)
{
	lost_everything();
	/* Xen knows: nobody says so, but it is looked at. */
	xs_lock();
	dom.life = LIFE_DYING;
	xs_unlock();
	wait_until(logged("domain 5 is gone"));
	finish();
}

static void test_store_forgets_without_libxenctrl(void)
{
	dom.no_libxenctrl = true;
	lost_everything();
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_failed_look),
		host_test(test_failed_look_at_domain),
		host_test(test_failed_read_of_new_disk),
		host_test(test_only_w_is_writable),
		host_test(test_discard_enable),
		host_test(test_refused),
		host_test(test_made_anew),
		host_test(test_attached_again),
		host_test(test_ends_before_it_begins),
		host_test(test_made_anew_while_closing),
		host_test(test_made_anew_before_answer),
		host_test(test_answer_is_given_later),
		host_test(test_many_in_a_life),
		host_test(test_too_many_at_once),
		host_test(test_of_another_instance),
		host_test(test_connection_lost),
		host_test(test_store_forgets),
		host_test(test_store_forgets_without_libxenctrl),
	};

	return cmocka_run_group_tests_name("domain: xenstore", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
