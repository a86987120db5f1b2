/* SPDX-License-Identifier: MIT */
/*
 * Numbers and layouts of the block device. VIRTIO 1.3, section 5.2.
 */
#ifndef VIRTIO_BLK_WIRE_H
#define VIRTIO_BLK_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { VIRTIO_ID_BLOCK = 2 };

/* Feature bits, section 5.2.3. */
enum virtio_blk_feature_bit {
	VIRTIO_BLK_F_SIZE_MAX = 1,
	VIRTIO_BLK_F_SEG_MAX = 2,
	VIRTIO_BLK_F_GEOMETRY = 4,
	VIRTIO_BLK_F_RO = 5,
	VIRTIO_BLK_F_BLK_SIZE = 6,
	VIRTIO_BLK_F_FLUSH = 9,
	VIRTIO_BLK_F_TOPOLOGY = 10,
	VIRTIO_BLK_F_CONFIG_WCE = 11,
	VIRTIO_BLK_F_MQ = 12,
	VIRTIO_BLK_F_DISCARD = 13,
	VIRTIO_BLK_F_WRITE_ZEROES = 14,
	VIRTIO_BLK_F_LIFETIME = 15,
	VIRTIO_BLK_F_SECURE_ERASE = 16,
	VIRTIO_BLK_F_ZONED = 17,
};

/* Request types, section 5.2.6. */
enum virtio_blk_type {
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_FLUSH_OUT = 5, /* legacy: the same */
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_GET_LIFETIME = 10,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
	VIRTIO_BLK_T_SECURE_ERASE = 14,
	VIRTIO_BLK_T_ZONE_APPEND = 15,
	VIRTIO_BLK_T_ZONE_REPORT = 16,
	VIRTIO_BLK_T_ZONE_OPEN = 18,
	VIRTIO_BLK_T_ZONE_CLOSE = 20,
	VIRTIO_BLK_T_ZONE_FINISH = 22,
	VIRTIO_BLK_T_ZONE_RESET = 24,
	VIRTIO_BLK_T_ZONE_RESET_ALL = 26,
};

enum virtio_blk_status {
	VIRTIO_BLK_S_OK = 0,
	VIRTIO_BLK_S_IOERR = 1,
	VIRTIO_BLK_S_UNSUPP = 2,
};

enum {
	VIRTIO_BLK_SECTOR_SIZE = 512,
	VIRTIO_BLK_ID_BYTES = 20, /* answer of GET_ID */
};

struct virtio_blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector; /* in units of 512 bytes */
};

_Static_assert(sizeof(struct virtio_blk_header) == 16, "section 5.2.6");

/* A range of DISCARD, WRITE_ZEROES and SECURE_ERASE, section 5.2.6. */
struct virtio_blk_segment {
	uint64_t sector;
	uint32_t num_sectors;
	uint32_t flags;
};

enum virtio_blk_segment_flag {
	VIRTIO_BLK_SEGMENT_UNMAP = 1, /* of WRITE_ZEROES only */
};

_Static_assert(sizeof(struct virtio_blk_segment) == 16, "section 5.2.6");

/* Device configuration, section 5.2.4; packed by its own layout. */
struct virtio_blk_config {
	uint64_t capacity; /* sectors of 512 bytes */
	uint32_t size_max;
	uint32_t seg_max;
	uint16_t cylinders;
	uint8_t heads;
	uint8_t sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
	uint32_t max_secure_erase_sectors;
	uint32_t max_secure_erase_seg;
	uint32_t secure_erase_sector_alignment;
	uint8_t zoned[24];
};

_Static_assert(offsetof(struct virtio_blk_config, blk_size) == 20, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, max_write_zeroes_sectors) ==
		       48,
	       "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, max_secure_erase_sectors) ==
		       60,
	       "5.2.4");
_Static_assert(sizeof(struct virtio_blk_config) == 96, "5.2.4");

#endif
