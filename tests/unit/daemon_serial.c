/* SPDX-License-Identifier: MIT */
/*
 * Serials: what was given is taken, what was not is the same each time and
 * another for each image. A folder stands in for sysfs.
 */
#include "lib/model_memory.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "monitor/serial.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/serial-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file of the folder, with the folders above it. */
static void put(const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/'));
	     at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *words_of(unsigned int major, unsigned int minor)
{
	static char words[1024];

	serial_device_words(words, sizeof(words), folder,
			    makedev(major, minor));
	return words;
}

static void test_devices(void **state)
{
	char path[128];

	(void)state;
	assert_string_equal(words_of(8, 0), "device 8:0");
	put("8:0/device/wwid", "naa.5000c500a1b2c3d4\n");
	assert_string_equal(words_of(8, 0),
			    "device/wwid naa.5000c500a1b2c3d4 0");
	/* A disk's partition, by way of a link as in sysfs. */
	put("8:0/sda1/partition", "1\n");
	snprintf(path, sizeof(path), "%s/8:1", folder);
	assert_int_equal(symlink("8:0/sda1", path), 0);
	assert_string_equal(words_of(8, 1),
			    "device/wwid naa.5000c500a1b2c3d4 1");
	put("254:3/dm/name", "vg-web\n");
	assert_string_equal(words_of(254, 3), "dm/name vg-web 0");
	put("254:3/dm/uuid", "LVM-abc\n");
	assert_string_equal(words_of(254, 3), "dm/uuid LVM-abc 0");
	put("7:4/loop/backing_file", "/srv/web.img\n");
	assert_string_equal(words_of(7, 4), "loop/backing_file /srv/web.img 0");
	/* Several parts of a file are several disks. */
	put("7:4/loop/offset", "0\n");
	assert_string_equal(words_of(7, 4), "loop/backing_file /srv/web.img 0");
	put("7:4/loop/offset", "1048576\n");
	assert_string_equal(words_of(7, 4),
			    "loop/backing_file /srv/web.img 0 1048576");
	put("7:4/loop4p2/partition", "2\n");
	snprintf(path, sizeof(path), "%s/259:2", folder);
	assert_int_equal(symlink("7:4/loop4p2", path), 0);
	assert_string_equal(words_of(259, 2),
			    "loop/backing_file /srv/web.img 2 1048576");
	/* One that is empty is none. */
	put("252:0/serial", "\n");
	assert_string_equal(words_of(252, 0), "device 252:0");
	put("252:0/serial", "    \n");
	assert_string_equal(words_of(252, 0), "device 252:0");
}

static const char *serial(char *given, char *id, int fd)
{
	static char text[SERIAL_MAX];
	struct disk_options options = { .serial = given, .id = id };
	struct block_claim claim = { .fd = fd };

	memset(text, 'x', sizeof(text));
	serial_of(text, &options, &claim);
	return text;
}

static int open_file(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static void test_files(void **state)
{
	char first[SERIAL_MAX], from[128], to[128];
	int fd;

	(void)state;
	put("a.img", "");
	put("b.img", "");
	fd = open_file("a.img");
	strcpy(first, serial(NULL, NULL, fd));
	close(fd);
	assert_int_equal(strlen(first), 16);
	assert_int_equal(strspn(first, "0123456789abcdef"), 16);
	fd = open_file("b.img");
	assert_string_not_equal(serial(NULL, NULL, fd), first);
	close(fd);
	/* After a restart, a rename and a write it is what it was. */
	snprintf(from, sizeof(from), "%s/a.img", folder);
	snprintf(to, sizeof(to), "%s/c.img", folder);
	assert_int_equal(rename(from, to), 0);
	put("c.img", "text");
	fd = open_file("c.img");
	assert_string_equal(serial(NULL, NULL, fd), first);
	close(fd);
}

static void test_given(void **state)
{
	char none[] = "", id[] = "xvda", text[] = "12345678901234567890";
	char one[] = "a-name-that-is-longer-1",
	     two[] = "a-name-that-is-longer-2";
	char kept[SERIAL_MAX];

	(void)state;
	assert_string_equal(serial(text, id, -1), text);
	assert_string_equal(serial(NULL, id, -1), "xvda");
	assert_string_equal(serial(NULL, NULL, -1), "virtio-disk");
	assert_string_equal(serial(NULL, none, -1), "virtio-disk");
	/* Names that are alike for 20 bytes are not one serial. */
	strcpy(kept, serial(NULL, one, -1));
	assert_string_equal(serial(NULL, one, -1), kept);
	assert_string_not_equal(serial(NULL, two, -1), kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test(test_given),
	};

	return cmocka_run_group_tests_name("daemon_serial", tests, NULL, NULL);
}
