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

#include <sys/mman.h>

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

static void make_file(const char *text)
{
	int fd;

	strcpy(file + strlen(file) - 6, "XXXXXX");
	fd = mkstemp(file);
	must(fd >= 0 && dprintf(fd, "%s", text) == (int)strlen(text));
	must(close(fd) == 0);
}

/* A guest's file that has `text` for the disk. */
static void start_with_file(const char *text, const char *option)
{
	make_file(text);
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

/* A guest that is named by its id, and has a file of its name. */
static char web_dir[32], web_file[64];

static void name_by_id(const char *text)
{
	FILE *to;

	strcpy(web_dir, "/tmp/domain-options-XXXXXX");
	must(mkdtemp(web_dir));
	snprintf(web_file, sizeof(web_file), "%s/web.conf", web_dir);
	to = fopen(web_file, "w");
	must(to && fputs(text, to) >= 0);
	must(fclose(to) == 0);
	dom.config = web_dir;
	dom.wanted = "5";
}

static void name_by_id_no_more(void)
{
	must(unlink(web_file) == 0 && rmdir(web_dir) == 0);
	dom.wanted = NULL;
	dom.config = NULL;
}

/* Of a guest that is named by its id the name is known when it is there. */
static void test_the_file_of_a_guest_that_is_named_by_its_id(void)
{
	name_by_id("[disk xvda]\nserial = of-web\n");
	start(NULL, NULL);
	attach(&disk, 0);
	drive(&disk, 0);
	assert_int_equal(request(&disk, VIRTIO_BLK_T_GET_ID, 0), 0);
	assert_memory_equal(request_at(&disk, 0) + BLOCK_BYTES, "of-web", 7);
	finish();
	name_by_id_no_more();
}

/* Nothing is served with a file that is wrong. */
static void test_a_wrong_file_of_a_guest_that_is_named_by_its_id(void)
{
	name_by_id("[disk xvda]\nseriel = x\n");
	memset(&disk, 0, sizeof(disk));
	make_image(&disk);
	introduce(DOMID);
	make_directory(0, disk.file);
	program_start();
	assert_false(program_ended());
	assert_int_equal(logged("web.conf:2: unknown key"), 1);
	assert_true(tool_is(node(0, "state"), "1"));
	name_by_id_no_more();
	unlink(disk.file);
}

/* ---- what would be served ---- */

/* What --show-config prints of `guest`, with the file of the test. */
static int show(const char *guest, const char *option, char *out, size_t room)
{
	static char name[] = "virtio-disk", show_config[] = "--show-config",
		    config[] = "--config", disk_option[] = "--disk";
	char *argv[] = { name, show_config, (char *)guest,  config,
			 file, disk_option, (char *)option, NULL };
	int saved = dup(1), fd = memfd_create("out", MFD_CLOEXEC), r;
	ssize_t n;

	fflush(stdout);
	must(saved >= 0 && fd >= 0 && dup2(fd, 1) == 1);
	optind = 0;
	r = program_main(option ? 7 : 5, argv);
	fflush(stdout);
	must(dup2(saved, 1) == 1);
	n = pread(fd, out, room - 1, 0);
	must(n >= 0);
	out[n] = '\0';
	close(saved);
	close(fd);
	return r;
}

/* Whether `text` has a line of that key and value, of whom it says so. */
static void says(const char *text, const char *key, const char *origin)
{
	const char *line = strstr(text, key);

	if (!line ||
	    !memmem(line, 1 + strcspn(line + 1, "\n"), origin, strlen(origin)))
		fail_msg("%s: %s is not in %s", key, origin, text);
}

static void test_what_would_be_served_is_shown(void)
{
	static const char text[] = "[disk xvda]\n"
				   "cache = unsafe\n"
				   "block-size =\n"
				   "[disk xvdz]\n"
				   "queues = 3\n";
	char out[8192], origin[80];

	make_file(text);
	/* It need not be there, and is not opened. */
	introduce(DOMID);
	make_directory(0, "/nowhere/a,b.img");
	assert_int_equal(show("web", "id=xvda,packed=on", out, sizeof(out)), 0);
	says(out, "; guest web: domain ", "");
	says(out, "\n[disk xvda]\n", "");
	says(out, "\nfile = /nowhere/a,b.img ", "params");
	says(out, "\nreadonly = off ", "/mode");
	snprintf(origin, sizeof(origin), " ; %s:2", file);
	says(out, "\ncache = unsafe ", origin);
	snprintf(origin, sizeof(origin), " ; %s:3: that of the store", file);
	says(out, "\nblock-size = ", origin);
	says(out, "\npacked = on ", " ; --disk");
	says(out, "\nqueues = 1 ", " ; default");
	says(out, "\n; serial: default, its vdev", "");
	says(out, "\n[disk xvdz]\n", "");
	snprintf(origin, sizeof(origin), " ; %s:5", file);
	says(out, "\nqueues = 3 ", origin);
	says(out, "\n; the toolstack says nothing of it, so", "");
	/* By its id, and nothing of it was touched. */
	assert_true(tool_is(node(0, "state"), "1"));
	snprintf(origin, sizeof(origin), "%u", DOMID);
	assert_int_equal(show(origin, NULL, out, sizeof(out)), 0);
	says(out, "; guest web: domain ", origin);
	says(out, "\npacked = off ", " ; default");
	unlink(file);
}

static void test_a_disk_that_would_be_refused_is_shown(void)
{
	char out[8192];

	make_file("[disk xvda]\nreadonly = off\n");
	introduce(DOMID);
	make_directory(0, "/nowhere");
	xs_lock();
	tool_write(node(0, "mode"), "r");
	tool_write(node(0, "irq"), "0");
	xs_unlock();
	assert_int_equal(show("web", NULL, out, sizeof(out)), 1);
	says(out, "\nreadonly = on ", "/mode");
	says(out, "readonly=off does not count", "toolstack says read-only");
	says(out, "; it would be refused: ", "no usable base and irq");
	unlink(file);
}

/* A guest that is not there yet. */
static void test_what_files_say_is_shown_without_a_guest(void)
{
	char out[8192], origin[80];

	make_file("[disk xvda]\nqueues = 2\n");
	assert_int_equal(show("web", "id=xvda,queue-size=8", out, sizeof(out)),
			 0);
	says(out, "; guest web is not there: ", "is not known");
	snprintf(origin, sizeof(origin), " ; %s:2", file);
	says(out, "\nqueues = 2 ", origin);
	says(out, "\nqueue-size = 8 ", " ; --disk");
	says(out, "\n; the toolstack says nothing of it yet", "");
	unlink(file);
	/* What is refused whatever the toolstack will say. */
	make_file("[disk xvda]\nlegacy = on\n");
	assert_int_equal(show("web", "id=xvda,packed=on", out, sizeof(out)), 1);
	says(out, "; it would be refused: ", "legacy=on and packed=on");
	unlink(file);
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
		host_test(test_the_file_of_a_guest_that_is_named_by_its_id),
		host_test(test_a_wrong_file_of_a_guest_that_is_named_by_its_id),
		host_test(test_what_would_be_served_is_shown),
		host_test(test_a_disk_that_would_be_refused_is_shown),
		host_test(test_what_files_say_is_shown_without_a_guest),
		host_test(test_layers_that_contradict_each_other),
	};

	return cmocka_run_group_tests_name("domain: options", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
