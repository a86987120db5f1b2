/* SPDX-License-Identifier: MIT */
/*
 * The device of a disk, made or adopted; see disk/disk_state.h.
 *
 * Happy path: the options become those of a device, its memory is mapped, and
 * the device is made in it. Or the head of the state in the file is read, which
 * says what the device has to look like, and it goes on with that.
 *
 * Failure: a state that is not whole, or none that this store can serve, is
 * refused with a sentence, and left as it is for who can make more of it.
 */
#include "disk/disk_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shared_file.h"

static void *map_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static struct virtio_blk_options
blk_options(const struct disk_state_setup *setup)
{
	const struct disk_options *options = setup->options;
	const struct block_image *image = setup->image;
	struct virtio_blk_options blk = {
		.size = image->size,
		.block_size = image->block_size,
		.readonly = image->readonly,
		.write_through = image->write_through,
		.discard = options->discard != DISK_DISCARD_OFF &&
			   image->discard_granularity,
		.secure_erase = options->discard != DISK_DISCARD_OFF &&
				image->can_secure_erase,
		.discard_granularity = image->discard_granularity,
		.physical_block_size = image->physical_block_size,
		.alignment_offset = image->alignment_offset,
		.min_io_size = image->min_io_size,
		.opt_io_size = image->opt_io_size,
		.nqueues = options->queues,
		.queue_size = (uint16_t)options->queue_size,
		.packed = options->packed,
		.legacy = options->legacy,
	};

	if (options->serial)
		memcpy(blk.serial, options->serial,
		       strnlen(options->serial, sizeof(blk.serial)));
	return blk;
}

/* The memory of a device; with that of its state if it has no file. */
static int map_all(struct disk_state *s, const struct virtio_blk_options *blk,
		   int fd)
{
	s->memory_bytes = virtio_blk_memory_bytes(blk);
	s->bytes = virtio_blk_state_bytes(blk);
	s->memory = map_memory(s->memory_bytes);
	if (!s->memory)
		return -ENOMEM;
	if (fd >= 0)
		return shared_file_map(&s->area, fd, s->bytes);
	s->area = map_memory(s->bytes);
	return s->area ? 0 : -ENOMEM;
}

/*
 * What the store has lost the kernel has told the process before, which has
 * noted it; or our image has begun with it (block/part.h), and whoever follows
 * has to know.
 */
static void take_flush_error(struct virtio_blk *device,
			     const struct disk_state_setup *setup)
{
	int error = block_image_flush_error(setup->image);

	if (error)
		virtio_blk_note_flush_error(device, error);
	error = virtio_blk_flush_error(device);
	if (error == 0)
		return;
	__atomic_store_n(&setup->image->inherited_error, error,
			 __ATOMIC_SEQ_CST);
	log_warning("%s: a process before this one could not flush what the "
		    "guest had written (%s): its flushes go on failing",
		    setup->name, strerror(-error));
}

int disk_state_make(struct disk_state *s, struct virtio_blk *device,
		    const struct disk_state_setup *setup,
		    char error[BLOCK_ERROR_MAX])
{
	const struct virtio_blk_options blk = blk_options(setup);
	int r = 0;

	if (setup->fd >= 0)
		r = shared_file_make(setup->fd, virtio_blk_state_bytes(&blk));
	if (r == 0)
		r = map_all(s, &blk, setup->fd);
	if (r) {
		snprintf(error, BLOCK_ERROR_MAX, "no memory for the device: %s",
			 strerror(-r));
		return r;
	}
	virtio_blk_init(device, &blk, s->memory, s->area, setup->mem);
	memcpy(device->state->store, setup->image->store,
	       sizeof(setup->image->store));
	take_flush_error(device, setup);
	return 0;
}

/* ---- the state of another process ---- */

static void log_other_shape(const char *name,
			    const struct virtio_blk_options *asked,
			    const struct virtio_blk_options *has)
{
	if (asked->nqueues == has->nqueues &&
	    asked->queue_size == has->queue_size &&
	    asked->packed == has->packed && asked->legacy == has->legacy)
		return;
	log_warning("%s: goes on as the guest knows it, with queues=%u "
		    "queue-size=%u packed=%s legacy=%s; what is configured now "
		    "takes effect when the guest is started anew",
		    name, has->nqueues, has->queue_size,
		    has->packed ? "on" : "off", has->legacy ? "on" : "off");
}

/*
 * What the guest has in its caches is of the image that it began with: another
 * one would be destroyed. 0 or -ESTALE.
 */
static int check_store(const struct virtio_state *state,
		       const struct block_image *image, const char **why)
{
	*why = "its image is not the file or device that the guest has had "
	       "until now: put that back";
	return memcmp(image->store, state->blk.store, sizeof(image->store)) ?
		       -ESTALE :
		       0;
}

/* The shape that the state in the file has: 0, or as disk_state_adopt(). */
static int read_shape(const struct disk_state_setup *setup,
		      struct virtio_blk_options *blk, const char **why)
{
	const struct virtio_blk_options asked = *blk;
	struct virtio_state state;
	ssize_t n = pread(setup->fd, &state, sizeof(state), 0);
	int r = n < 0 ? -errno : 0;

	*why = "its file cannot be read";
	if (r == 0)
		r = virtio_blk_take_shape(blk, &state, (size_t)n,
					  setup->image->discard_granularity,
					  setup->image->can_secure_erase, why);
	if (r == 0 && state.device.removed) {
		*why = "the disk was already taken away from the guest";
		return -ENODEV;
	}
	if (r == 0)
		r = check_store(&state, setup->image, why);
	if (r == 0)
		log_other_shape(setup->name, &asked, blk);
	return r;
}

int disk_state_adopt(struct disk_state *s, struct virtio_blk *device,
		     const struct disk_state_setup *setup,
		     char error[BLOCK_ERROR_MAX])
{
	struct virtio_blk_options blk = blk_options(setup);
	const char *why;
	int r = read_shape(setup, &blk, &why);

	if (r == 0) {
		r = map_all(s, &blk, setup->fd);
		why = r == -ENODATA ? "it is shorter than it says" :
				      strerror(-r);
	}
	if (r == 0)
		r = virtio_blk_adopt(device, &blk, s->memory, s->area, s->bytes,
				     setup->mem, &why);
	if (r) {
		snprintf(error, BLOCK_ERROR_MAX,
			 "the state that the process before has left cannot be "
			 "gone on with: %s; start the guest anew",
			 why);
		return r;
	}
	s->adopted = true;
	take_flush_error(device, setup);
	return 0;
}

void disk_state_unmap(struct disk_state *s)
{
	if (s->memory)
		munmap(s->memory, s->memory_bytes);
	if (s->area)
		munmap(s->area, s->bytes);
}
