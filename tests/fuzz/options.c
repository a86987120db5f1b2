/* SPDX-License-Identifier: MIT */
/*
 * The command line: a disk's KEY=VALUE list, and whole command lines. What is
 * taken has to be within its limits.
 */
#include "fuzz.h"

#include <getopt.h>
#include <stdio.h>

#include "config/command_line.h"
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

/* The same text has the same effect, also on top of another. */
static void check_fill(const struct disk_options *d)
{
	struct disk_options copy = { 0 };

	disk_options_fill(&copy, d);
	check_disk(&copy);
	assert_int_equal(copy.queue_size, d->queue_size);
	assert_int_equal(copy.size, d->size);
	assert_int_equal(!copy.file, !d->file);
	disk_options_finish(&copy);
}

static void parse_disk(const char *text)
{
	char error[BLOCK_ERROR_MAX] = "";
	struct disk_options d = { 0 };
	int r = disk_options_parse(&d, text, error);

	assert_true(r == 0 || r == -22);
	assert_int_equal(r != 0, error[0] != '\0');
	assert_true(strnlen(error, sizeof(error)) < sizeof(error));
	if (r == 0) {
		check_disk(&d);
		check_fill(&d);
	}
	disk_options_finish(&d);
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
	r = options_parse(&options, argc, argv);
	assert_true(r == -1 || r == 0 || r == 2);
	if (r == -1) {
		assert_true(options.vhost || options.domain);
		assert_true(options.poll_max_us <= 100000);
		assert_true(options.ndisks <= DISKS_MAX);
		for (unsigned int i = 0; i < options.ndisks; i++)
			check_disk(&options.disk[i]);
	}
	options_finish(&options);
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
