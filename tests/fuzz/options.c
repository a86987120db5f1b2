/* SPDX-License-Identifier: MIT */
/*
 * The command line: a disk's KEY=VALUE list, and whole command lines. What is
 * taken has to be within its limits, and what is dumped says the same again.
 */
#include "fuzz.h"

#include <getopt.h>
#include <stdio.h>

#include "config/key_text.h"
#include "config/command_line.h"
#include "config/layers.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

enum { ARGS_MAX = 24, TEXT_MAX = 512 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	return 0;
}

static bool power_of_two(unsigned int n)
{
	return n && (n & (n - 1)) == 0;
}

static void check_disk(const struct disk_options *d)
{
	if (d->serial)
		assert_true(strlen(d->serial) <= VIRTIO_BLK_ID_BYTES);
	if (d->file)
		assert_true(*d->file);
	if (d->id)
		assert_true(strlen(d->id) < DISK_NAME_MAX);
	if (d->queue_size) {
		assert_true(d->queue_size >= 2);
		assert_true(d->queue_size <= VIRTQUEUE_SIZE_MAX);
		assert_true(power_of_two(d->queue_size));
	}
	if (d->block_size) {
		assert_true(d->block_size >= 512 && d->block_size <= 4096);
		assert_true(power_of_two(d->block_size));
	}
	assert_true(d->queues <= VIRTIO_QUEUES_MAX);
	assert_true(d->iothreads <= VIRTIO_QUEUES_MAX);
}

/* What is dumped is taken, and is dumped as the same. */
static void check_dump(const struct disk_options *d)
{
	char error[BLOCK_ERROR_MAX];
	struct disk_options again = { 0 };
	char *text = key_text_dump(d), *second;

	assert_int_equal(keys_parse(&again, text, error), 0);
	assert_int_equal(again.given, d->given);
	second = key_text_dump(&again);
	assert_string_equal(text, second);
	free(text);
	free(second);
	keys_finish(&again);
}

/* On top of nothing the same keys have the same values, if they are right. */
static void check_settle(const struct disk_options *d, enum disk_front front)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options whole;

	if (layers_settle(&whole, &d, 1, front, error)) {
		assert_int_not_equal(error[0], '\0');
		keys_finish(&whole);
		return;
	}
	check_disk(&whole);
	check_dump(&whole);
	assert_true(whole.file || (whole.size && whole.size % 512 == 0));
	assert_true(whole.queues && whole.queue_size && whole.engine);
	assert_int_equal(whole.given & d->given, d->given);
	assert_int_equal(whole.size, d->size);
	assert_int_equal(whole.readonly, d->readonly);
	keys_finish(&whole);
}

static void parse_disk(const char *text)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options d = { 0 };
	int r = keys_parse(&d, text, error);

	assert_true(r == 0 || r == -22);
	assert_int_equal(r != 0, error[0] != '\0');
	assert_true(strnlen(error, sizeof(error)) < sizeof(error));
	if (r == 0) {
		check_disk(&d);
		check_dump(&d);
		check_settle(&d, DISK_FOR_XEN);
		check_settle(&d, DISK_FOR_VHOST);
	}
	keys_finish(&d);
}

/* Each line is an argument. */
static void parse_line(char *text)
{
	char *argv[ARGS_MAX + 2] = { (char *)"virtio-disk" };
	struct options options;
	char *save = NULL;
	int argc = 1;
	int r;

	for (char *arg = strtok_r(text, "\n", &save); arg && argc < ARGS_MAX;
	     arg = strtok_r(NULL, "\n", &save))
		argv[argc++] = arg;
	optind = 0;
	r = command_line_parse(&options, argc, argv);
	/* 1: a file that cannot be read. */
	assert_true(r >= -1 && r <= 2);
	if (r == -1) {
		assert_true(options.vhost || options.domain || options.worker ||
			    options.watch);
		assert_true(options.poll_max_us <= 100000);
		assert_true(options.ndisks <= DISKS_MAX);
		for (unsigned int i = 0; i < options.ndisks; i++)
			check_disk(&options.disk[i]);
	}
	command_line_finish(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	bool line = fuzz_u8(&in) & 1;
	char text[TEXT_MAX + 1];

	fuzz_copy(&in, text, TEXT_MAX);
	text[TEXT_MAX] = '\0';
	if (line)
		parse_line(text);
	else
		parse_disk(text);
	return 0;
}
