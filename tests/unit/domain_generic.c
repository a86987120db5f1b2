/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=signals_open */
/*
 * Disks of lines virtio=[...], of which libxl says that they are virtio devices
 * and the guest's file which ones: the whole program on a fake host.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_again.h"
#include "lib/model_guest.h"

static struct driver disk;
static char file[] = "/tmp/domain-generic.XXXXXX";

static const char *generic(const char *name)
{
	static char path[4][XS_PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, XS_PATH_MAX, "backend/virtio/%u/0%s%s", dom.domid,
		 *name ? "/" : "", name);
	return p;
}

/* As libxl does, whose base is a hexadecimal number here. */
static void make_generic(const char *type)
{
	xs_lock();
	tool_write(generic("type"), "%s", type);
	tool_write(generic("transport"), "mmio");
	tool_write(generic("base"), "%#x", BASE);
	tool_write(generic("irq"), "%u", IRQ);
	tool_write(generic("grant_usage"), "0");
	tool_write(generic("online"), "1");
	tool_write(generic("state"), "1");
	xs_unlock();
}

/* A guest's file with a section of that name, which has the image. */
static void start(const char *name, const char *keys)
{
	int fd;

	memset(&disk, 0, sizeof(disk));
	make_image(&disk);
	strcpy(file + strlen(file) - 6, "XXXXXX");
	fd = mkstemp(file);
	must(fd >= 0 && dprintf(fd, "[disk %s]\nfile = %s\n%s", name, disk.file,
				keys) > 0);
	must(close(fd) == 0);
	dom.config = file;
	introduce(DOMID);
	program_start();
}

static void finish(void)
{
	ask_stop();
	assert_true(stopped());
	dom.config = NULL;
	unlink(file);
	unlink(disk.file);
}

static uint32_t offered(void)
{
	reg_write(0, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return reg_read(0, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void test_a_generic_device_is_served(void)
{
	start("virtio0", "");
	make_generic("virtio,device2");
	wait_until(tool_is(generic("state"), "2"));
	assert_int_equal(logged("web/virtio0: serving"), 1);
	assert_int_equal(logged("mode is"), 0);
	/* Nobody else says whether it may be written. */
	assert_false(offered() & 1u << VIRTIO_BLK_F_RO);
	drive(&disk, 0);
	assert_int_equal(request(&disk, VIRTIO_BLK_T_GET_ID, 0), 0);
	assert_memory_equal(request_at(&disk, 0) + BLOCK_BYTES, "virtio0", 8);
	xs_lock();
	tool_write(generic("online"), "0");
	tool_write(generic("state"), "5");
	xs_unlock();
	wait_until(tool_is(generic("state"), "6"));
	finish();
}

/* Its state is found again by the number that it has here. */
static void test_the_next_process_goes_on_with_it(void)
{
	dom.leaves = true;
	start("virtio0", "");
	make_generic("virtio,device2");
	wait_until(tool_is(generic("state"), "2"));
	drive(&disk, 0);
	ask_stop();
	assert_true(stopped());
	dom.leaves = false;
	forget_log();
	program_start();
	wait_until(logged("web/virtio0: going on with") == 1);
	assert_int_equal(request(&disk, VIRTIO_BLK_T_GET_ID, 0), 0);
	assert_memory_equal(request_at(&disk, 0) + BLOCK_BYTES, "virtio0", 8);
	finish();
}

static void test_its_file_makes_it_readonly(void)
{
	start("virtio0", "readonly = on\n");
	make_generic("virtio,device2");
	wait_until(tool_is(generic("state"), "2"));
	assert_true(offered() & 1u << VIRTIO_BLK_F_RO);
	finish();
}

/* Another kind, and one that nobody names: another back end has them. */
static void check_left_alone(const char *name, const char *type)
{
	start(name, "");
	wait_until(logged("serving domain") == 1);
	make_generic(type);
	a_while();
	assert_true(tool_is(generic("state"), "1"));
	assert_true(tool_is(generic("error"), NULL));
	/* What comes after it is looked at. */
	make_directory(1, disk.file);
	wait_until(tool_is(node(1, "state"), "2"));
	assert_true(tool_is(generic("state"), "1"));
	finish();
}

static void test_another_kind_of_device_is_left_alone(void)
{
	check_left_alone("virtio0", "virtio,device22");
}

static void test_a_device_that_nobody_names_is_left_alone(void)
{
	check_left_alone("virtio1", "virtio,device2");
}

/* Only what the files do not say is missing. */
static void test_one_without_an_image_is_refused(void)
{
	dom.disk_option[0] = "id=virtio0,queues=2";
	introduce(DOMID);
	program_start();
	make_generic("virtio,device2");
	wait_until(tool_is(generic("state"), NULL));
	assert_int_equal(logged("web/virtio0: file= is missing"), 1);
	ask_stop();
	assert_true(stopped());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_a_generic_device_is_served),
		host_test(test_the_next_process_goes_on_with_it),
		host_test(test_its_file_makes_it_readonly),
		host_test(test_another_kind_of_device_is_left_alone),
		host_test(test_a_device_that_nobody_names_is_left_alone),
		host_test(test_one_without_an_image_is_refused),
	};

	return cmocka_run_group_tests_name("domain: generic devices", tests,
					   NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
