/* SPDX-License-Identifier: MIT */
/*
 * Each register of the specification has a name: VIRTIO 1.3, tables 4.1 and
 * 4.2, which is the legacy interface.
 */
#include "lib/test.h"

#include <string.h>

#include "virtio/mmio.h"

static const struct {
	uint64_t offset;
	const char *name;
} registers[] = {
	{ 0x000, "MAGIC_VALUE" },
	{ 0x004, "VERSION" },
	{ 0x008, "DEVICE_ID" },
	{ 0x00c, "VENDOR_ID" },
	{ 0x010, "DEVICE_FEATURES" },
	{ 0x014, "DEVICE_FEATURES_SEL" },
	{ 0x020, "DRIVER_FEATURES" },
	{ 0x024, "DRIVER_FEATURES_SEL" },
	{ 0x028, "GUEST_PAGE_SIZE" },
	{ 0x030, "QUEUE_SEL" },
	{ 0x034, "QUEUE_NUM_MAX" },
	{ 0x038, "QUEUE_NUM" },
	{ 0x03c, "QUEUE_ALIGN" },
	{ 0x040, "QUEUE_PFN" },
	{ 0x044, "QUEUE_READY" },
	{ 0x050, "QUEUE_NOTIFY" },
	{ 0x060, "INTERRUPT_STATUS" },
	{ 0x064, "INTERRUPT_ACK" },
	{ 0x070, "STATUS" },
	{ 0x080, "QUEUE_DESC_LOW" },
	{ 0x084, "QUEUE_DESC_HIGH" },
	{ 0x090, "QUEUE_DRIVER_LOW" },
	{ 0x094, "QUEUE_DRIVER_HIGH" },
	{ 0x0a0, "QUEUE_DEVICE_LOW" },
	{ 0x0a4, "QUEUE_DEVICE_HIGH" },
	{ 0x0ac, "SHM_SEL" },
	{ 0x0b0, "SHM_LEN_LOW" },
	{ 0x0b4, "SHM_LEN_HIGH" },
	{ 0x0b8, "SHM_BASE_LOW" },
	{ 0x0bc, "SHM_BASE_HIGH" },
	{ 0x0c0, "QUEUE_RESET" },
	{ 0x0fc, "CONFIG_GENERATION" },
};

static const char *expected(uint64_t offset)
{
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (registers[i].offset == offset)
			return registers[i].name;
	return NULL;
}

static void test_all_registers(void **state)
{
	(void)state;
	for (uint64_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset++) {
		const char *name = virtio_mmio_name(offset);

		if (expected(offset))
			assert_string_equal(name, expected(offset));
		else
			assert_null(name);
	}
}

static void test_configuration(void **state)
{
	(void)state;
	assert_string_equal(virtio_mmio_name(0x100), "CONFIG");
	assert_string_equal(virtio_mmio_name(0x1ff), "CONFIG");
	assert_string_equal(virtio_mmio_name(UINT64_MAX), "CONFIG");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_registers),
		cmocka_unit_test(test_configuration),
	};

	return cmocka_run_group_tests_name("virtio_mmio_name", tests, NULL,
					   NULL);
}
