/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/*
 * What --disk says of a guest's disk lies over what the toolstack says, in
 * either direction: the whole program on a fake host.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_guest.h"

static struct driver disk;

static void start(const char *option, const char *second)
{
	memset(&disk, 0, sizeof(disk));
	make_image(&disk);
	dom.disk_option[0] = option;
	dom.disk_option[1] = second;
	introduce(DOMID);
	program_start();
}

static void finish(void)
{
	end_program();
	unlink(disk.file);
}

/* Serve the disk with one node as told: the features that it offers. */
static uint32_t features_with(const char *name, const char *value)
{
	uint32_t features;

	xs_lock();
	make_directory(0, disk.file);
	tool_write(node(0, name), "%s", value);
	xs_unlock();
	wait_until(tool_is(node(0, "state"), "2"));
	reg_write(0, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	features = reg_read(0, VIRTIO_MMIO_DEVICE_FEATURES);
	detach(0);
	return features;
}

static void check_readonly(const char *option, const char *mode, bool readonly)
{
	start(option, NULL);
	assert_int_equal(!!(features_with("mode", mode) &
			    1u << VIRTIO_BLK_F_RO),
			 readonly);
	/* What --disk says is no matter of the node's. */
	assert_int_equal(logged("neither r nor w"), *mode == '!' && readonly);
	finish();
}

static void test_readonly_by_disk_option(void)
{
	check_readonly("id=xvda,readonly=off", "r", false);
}

static void test_writable_mode_made_readonly(void)
{
	check_readonly("id=xvda,readonly=on", "w", true);
}

static void test_mode_without_sense_made_writable(void)
{
	check_readonly("id=xvda,readonly=off", "!", false);
}

/* Other keys, or another disk's. */
static void test_mode_that_nobody_speaks_about(void)
{
	check_readonly("id=xvda,cache=writeback", "r", true);
}

static void test_option_of_another_disk(void)
{
	check_readonly("id=xvdb,readonly=off", "r", true);
}

static void check_discard(const char *option, bool discards)
{
	start(option, NULL);
	assert_int_equal(!!(features_with("discard-enable", "0") &
			    1u << VIRTIO_BLK_F_DISCARD),
			 discards);
	finish();
}

static void test_discard_by_disk_option(void)
{
	check_discard("id=xvda,discard=auto", true);
}

static void test_discard_stays_forbidden(void)
{
	check_discard("id=xvda,queues=2", false);
}

/* The id only names the disk: what the guest reads is its vdev. */
static void test_serial_of_a_disk_named_by_devid(void)
{
	char option[40];

	snprintf(option, sizeof(option), "id=%u,cache=writeback", DEVID);
	start(option, NULL);
	attach(&disk, 0);
	drive(&disk, 0);
	assert_int_equal(request(&disk, VIRTIO_BLK_T_GET_ID, 0), 0);
	assert_memory_equal(request_at(&disk, 0) + BLOCK_BYTES, "xvda", 5);
	assert_int_equal(logged("web/xvda: serving"), 1);
	finish();
}

/* By its vdev and by its devid: neither is forgotten for the other. */
static void test_two_options_about_one_disk(void)
{
	char option[40];

	snprintf(option, sizeof(option), "id=%u,readonly=on", DEVID);
	start("id=xvda,readonly=off", option);
	make_directory(0, disk.file);
	wait_until(tool_is(node(0, "state"), NULL));
	assert_int_equal(logged("two --disk are about it, id=xvda and id="), 1);
	finish();
}

/* ---- files ---- */

static char file[] = "/tmp/domain-options.XXXXXX";

/* A guest's file that has `text` for the disk. */
static void start_with_file(const char *text, const char *option)
{
	int fd;

	strcpy(file + strlen(file) - 6, "XXXXXX");
	fd = mkstemp(file);
	must(fd >= 0 && dprintf(fd, "%s", text) == (int)strlen(text));
	must(close(fd) == 0);
	dom.config = file;
	start(option, NULL);
}

static void finish_with_file(void)
{
	finish();
	dom.config = NULL;
	unlink(file);
}

static void check_readonly_by_file(const char *text, const char *option,
				   const char *mode, bool readonly)
{
	start_with_file(text, option);
	assert_int_equal(!!(features_with("mode", mode) &
			    1u << VIRTIO_BLK_F_RO),
			 readonly);
	assert_int_equal(logged("readonly=off does not count"),
			 *mode == 'r' && readonly);
	finish_with_file();
}

static void test_readonly_by_file(void)
{
	check_readonly_by_file("[disk xvda]\nreadonly = on\n", NULL, "w", true);
}

static void test_a_file_does_not_open_for_writing(void)
{
	check_readonly_by_file("[disk xvda]\nreadonly = off\n", NULL, "r",
			       true);
}

static void test_the_line_counts_more_than_the_file(void)
{
	check_readonly_by_file("[disk xvda]\nreadonly = on\n",
			       "id=xvda,readonly=off", "w", false);
}

/* What was there at the start holds, also for a disk that comes later. */
static void test_a_file_is_read_once(void)
{
	start_with_file("[disk xvda]\nserial = of-file\n", NULL);
	wait_until(logged("serving domain") == 1);
	must(unlink(file) == 0);
	attach(&disk, 0);
	drive(&disk, 0);
	assert_int_equal(request(&disk, VIRTIO_BLK_T_GET_ID, 0), 0);
	assert_memory_equal(request_at(&disk, 0) + BLOCK_BYTES, "of-file", 8);
	finish_with_file();
}

/* What the two layers say together is checked, and told to libxl. */
static void test_layers_that_contradict_each_other(void)
{
	start("id=xvda,engine=null,size=1M", NULL);
	make_directory(0, disk.file);
	wait_until(tool_is(node(0, "state"), NULL));
	assert_int_equal(logged("file= and size= exclude each other"), 1);
	assert_false(tool_is(node(0, "error"), NULL));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_readonly_by_disk_option),
		host_test(test_writable_mode_made_readonly),
		host_test(test_mode_without_sense_made_writable),
		host_test(test_mode_that_nobody_speaks_about),
		host_test(test_option_of_another_disk),
		host_test(test_discard_by_disk_option),
		host_test(test_discard_stays_forbidden),
		host_test(test_serial_of_a_disk_named_by_devid),
		host_test(test_two_options_about_one_disk),
		host_test(test_readonly_by_file),
		host_test(test_a_file_does_not_open_for_writing),
		host_test(test_the_line_counts_more_than_the_file),
		host_test(test_a_file_is_read_once),
		host_test(test_layers_that_contradict_each_other),
	};

	return cmocka_run_group_tests_name("domain: options", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
