/* SPDX-License-Identifier: MIT */
/*
 * A configuration file of any bytes: what is taken is within its limits, names
 * each disk once and says for each key which line it stands in, which is there;
 * what is refused says why.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_file.h"
#include "config/key_text.h"
#include "virtio/blk_wire.h"
#include "virtio/device.h"

static char path[32];
static int fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_abort_on_failure();
	fd = memfd_create("config", MFD_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0600))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return 0;
}

static unsigned int lines_of(const uint8_t *data, size_t size)
{
	unsigned int n = 1;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

/* What is dumped is what --disk takes. */
static void check_dump(const struct disk_options *o)
{
	char error[BLOCK_ERROR_MAX];
	struct disk_options again = { 0 };
	char *text = key_text_dump(o);

	assert_int_equal(keys_parse(&again, text, error), 0);
	assert_int_equal(again.given, o->given);
	free(text);
	keys_finish(&again);
}

static void check_disk(const struct config_disk *d, unsigned int lines)
{
	assert_in_range(d->section, 1, lines);
	for (unsigned int i = 0; i < KEYS; i++) {
		if (i == KEY_ID || !keys_is_given(&d->options, i))
			assert_int_equal(d->line[i], 0);
		else
			assert_in_range(d->line[i], d->section + 1, lines);
	}
	assert_true(d->options.queues <= VIRTIO_QUEUES_MAX);
	assert_true(d->options.queue_size <= VIRTQUEUE_SIZE_MAX);
	check_dump(&d->options);
}

static void check_file(const struct config_file *file, enum key_place place,
		       unsigned int lines)
{
	const unsigned int max = place == PLACE_GUEST ? DISKS_MAX : 1;

	assert_true(file->ndisks <= max);
	for (unsigned int i = 0; i < file->ndisks; i++) {
		const char *id = file->disk[i].options.id;

		check_disk(&file->disk[i], lines);
		assert_int_equal(id != NULL, place == PLACE_GUEST);
		for (unsigned int n = 0; id && n < i; n++)
			assert_string_not_equal(file->disk[n].options.id, id);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	enum key_place place = fuzz_u8(&in) & 1 ? PLACE_DEFAULTS : PLACE_GUEST;
	struct config_file file;
	int r;

	if (ftruncate(fd, 0) ||
	    pwrite(fd, in.at, in.left, 0) != (ssize_t)in.left)
		abort();
	r = config_file_read(&file, path, place);
	assert_true(r == 0 || r == -EINVAL);
	if (r == 0)
		check_file(&file, place, lines_of(in.at, in.left));
	config_file_finish(&file);
	return 0;
}
