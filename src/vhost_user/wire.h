/* SPDX-License-Identifier: MIT */
/*
 * Numbers and layouts of the vhost-user protocol, as QEMU's
 * docs/interop/vhost-user.rst tells them. Everything is in the byte order of
 * the machine.
 */
#ifndef VHOST_USER_WIRE_H
#define VHOST_USER_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* Requests of the front end. */
enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
	VHOST_REQUEST_END
};

/* Requests of the back end, on a channel of their own. */
enum vhost_backend_request {
	VHOST_BACKEND_CONFIG_CHANGE = 2,
};

/* Bits of the features that are vhost's, not the device's. */
enum vhost_feature_bit {
	VHOST_F_LOG_ALL = 26,
	VHOST_F_PROTOCOL_FEATURES = 30,
};

enum vhost_protocol_feature_bit {
	VHOST_PROTOCOL_F_MQ = 0,
	VHOST_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_PROTOCOL_F_CONFIG = 9,
	VHOST_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_PROTOCOL_F_STATUS = 16,
};

#define VHOST_BIT(bit) (UINT64_C(1) << (bit))

enum vhost_header_flag {
	VHOST_HEADER_VERSION_MASK = 3,
	VHOST_HEADER_VERSION = 1,
	VHOST_HEADER_REPLY = 1 << 2,
	VHOST_HEADER_NEED_REPLY = 1 << 3,
};

enum {
	VHOST_REGIONS_MAX = 256,     /* at a time, as we say */
	VHOST_TABLE_REGIONS_MAX = 8, /* of one SET_MEM_TABLE */
	VHOST_CONFIG_BYTES_MAX = 256,
	VHOST_FDS_MAX = VHOST_TABLE_REGIONS_MAX, /* with one message */
	VHOST_LOG_PAGE_SHIFT = 12, /* a bit of the dirty log: 4 KiB */
};

struct vhost_header {
	uint32_t request;
	uint32_t flags; /* enum vhost_header_flag */
	uint32_t size;  /* bytes of the payload that follows */
};

/* Of SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE. */
struct vhost_vring_state {
	uint32_t index;
	uint32_t num;
};

enum vhost_vring_flag {
	VHOST_VRING_LOG = 1, /* log writes to the used ring */
};

struct vhost_vring_addr {
	uint32_t index;
	uint32_t flags; /* enum vhost_vring_flag */
	uint64_t desc;  /* user addresses */
	uint64_t used;
	uint64_t avail;
	uint64_t log; /* guest address of the used ring */
};

/* The number of SET_VRING_KICK, _CALL and _ERR. */
enum vhost_vring_fd {
	VHOST_VRING_INDEX_MASK = 0xff,
	VHOST_VRING_NOFD = 1 << 8,
};

struct vhost_region {
	uint64_t guest;  /* guest address of the first byte */
	uint64_t size;   /* bytes */
	uint64_t user;   /* the front end's address of it */
	uint64_t offset; /* of it in the file, bytes */
};

struct vhost_mem_table {
	uint32_t n;
	uint32_t padding;
	struct vhost_region region[VHOST_TABLE_REGIONS_MAX];
};

struct vhost_mem_reg {
	uint64_t padding;
	struct vhost_region region;
};

struct vhost_log {
	uint64_t size;   /* bytes of the bitmap */
	uint64_t offset; /* of it in the file */
};

enum vhost_config_flag {
	VHOST_CONFIG_WRITABLE = 0, /* for fields that a driver may write */
	VHOST_CONFIG_MIGRATION = 1,
};

struct vhost_config {
	uint32_t offset;
	uint32_t size;  /* bytes in use of `bytes` */
	uint32_t flags; /* enum vhost_config_flag */
	uint8_t bytes[VHOST_CONFIG_BYTES_MAX];
};

struct vhost_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding; /* some peers send it, some do not */
};

#define VHOST_CONFIG_HEAD offsetof(struct vhost_config, bytes)
#define VHOST_MEM_TABLE_HEAD offsetof(struct vhost_mem_table, region)
#define VHOST_INFLIGHT_SHORT offsetof(struct vhost_inflight, padding)

union vhost_payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct vhost_mem_table table;
	struct vhost_mem_reg reg;
	struct vhost_log log;
	struct vhost_config config;
	struct vhost_inflight inflight;
};

_Static_assert(sizeof(struct vhost_header) == 12, "vhost-user");
_Static_assert(sizeof(struct vhost_vring_state) == 8, "vhost-user");
_Static_assert(sizeof(struct vhost_vring_addr) == 40, "vhost-user");
_Static_assert(sizeof(struct vhost_region) == 32, "vhost-user");
_Static_assert(sizeof(struct vhost_mem_table) == 264, "vhost-user");
_Static_assert(sizeof(struct vhost_mem_reg) == 40, "vhost-user");
_Static_assert(sizeof(struct vhost_log) == 16, "vhost-user");
_Static_assert(VHOST_CONFIG_HEAD == 12, "vhost-user");
_Static_assert(VHOST_INFLIGHT_SHORT == 20, "vhost-user");
_Static_assert(sizeof(struct vhost_inflight) == 24, "vhost-user");

#endif
