/* SPDX-License-Identifier: MIT */
/*
 * What a worker is given of an image that a monitor has claimed: open file
 * descriptions that nobody else has, and what was found out about the image.
 * Made by block_claim_part(), used by block_image_open(); between the two it
 * may go to another process, the facts as the bytes that they are.
 */
#ifndef BLOCK_PART_H
#define BLOCK_PART_H

#include <stdint.h>

/* Longest text that a failure leaves, with its NUL. */
#define BLOCK_ERROR_MAX 512

/* Bytes of a name, with its NUL; of a longer one the end. */
#define BLOCK_NAME_MAX 256

/* Flags are 0 or 1. What is not used of the name is zeroes. */
struct block_facts {
	uint64_t size;       /* bytes, whole blocks of block_size */
	uint64_t device;     /* the file's identity, as stat(2) says it ... */
	uint64_t inode;      /* ... 0 without a file */
	uint64_t rdev;       /* ... and 0 of one that is no block device */
	uint32_t block_size; /* logical block that the device offers */
	uint32_t physical_block_size; /* of the store, >= block_size */
	uint32_t alignment_offset;    /* bytes to a physical block's start */
	uint32_t min_io_size; /* bytes that the store likes; 0: unknown */
	uint32_t opt_io_size;
	uint32_t discard_granularity; /* bytes; 0: cannot discard */
	uint32_t store_block_size;    /* what a device takes; may be larger */
	uint32_t dio_align;     /* offset and length, for O_DIRECT; else 1 */
	uint32_t dio_mem_align; /* memory, for O_DIRECT; else 1 */
	uint8_t has_file;       /* else there is nothing to open */
	uint8_t is_block_device;
	uint8_t readonly;
	uint8_t lends; /* its locks are given and taken while it is open */
	uint8_t can_secure_erase;
	uint8_t direct;        /* it is used with O_DIRECT */
	uint8_t write_waits;   /* ... where a write waits, asked to or not */
	uint8_t write_through; /* BLOCK_CACHE_WRITETHROUGH */
	uint8_t flush_is_noop; /* BLOCK_CACHE_UNSAFE */
	uint8_t zero;          /* so that there is no gap */
	/*
	 * The errno of what the kernel could not write back of a part before
	 * this one, which nobody may have been told; or 0.
	 */
	uint16_t lost;
	char name[BLOCK_NAME_MAX]; /* for messages; "" without a file */
};

_Static_assert(sizeof(struct block_facts) == 80 + BLOCK_NAME_MAX,
	       "the same bytes for whoever is told");

struct block_part {
	struct block_facts facts;
	int fd;      /* for data; -1 without a file */
	int sync_fd; /* for fdatasync; -1: readonly, or it could not be had */
};

/*
 * Whether facts that came from somewhere can be those of an image: NULL, or
 * what is wrong with them, for a sentence.
 */
const char *block_facts_fault(const struct block_facts *facts);

/* Close its descriptors, if it has any: they are -1 then. */
void block_part_close(struct block_part *part);

#endif
