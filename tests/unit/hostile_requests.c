/* SPDX-License-Identifier: MIT */
/*
 * A table of hostile requests: chains that a ring may carry, and some that it
 * may not, whose contents are wrong. Each row is played direct and indirect, on
 * split and packed rings of 1, 2 and 256 entries, in whole memory, in memory of
 * small pieces and in windows.
 */
#include "lib/model_hostile.h"

struct request {
	const char *name;
	uint32_t type;
	uint64_t sector;
	int answer;
	uint32_t used;
	struct model_chain chain;
};

#define BUFS(...) ((const struct model_buf[]){ __VA_ARGS__ })
#define REQUEST(what, type, sector, answer, used, ...)              \
	{                                                           \
		what, type, sector, answer, used,                   \
		{                                                   \
			BUFS(__VA_ARGS__), COUNT(BUFS(__VA_ARGS__)) \
		}                                                   \
	}

#define R(addr, len)             \
	{                        \
		addr, len, false \
	}
#define W(addr, len)            \
	{                       \
		addr, len, true \
	}
#define H R(HDR, 16)
#define S W(STATUS, 1)

/* `n` bytes of data, both ways. A success tells all that was written. */
#define LENGTH(n, answer)                                                     \
	REQUEST("in, data of " #n, IN, 0, answer,                             \
		(answer) == OK || (n) == 0 ? (n) + 1 : 0, H, W(DATA, n), S),  \
		REQUEST("out, data of " #n, OUT, 0, answer, 1, H, R(DATA, n), \
			S)

static const struct request lengths[] = {
	LENGTH(0, OK),
	LENGTH(1, IOERR),
	LENGTH(2, IOERR),
	LENGTH(15, IOERR),
	LENGTH(16, IOERR),
	LENGTH(17, IOERR),
	LENGTH(255, IOERR),
	LENGTH(256, IOERR),
	LENGTH(511, IOERR),
	LENGTH(512, OK),
	LENGTH(513, IOERR),
	LENGTH(767, IOERR),
	LENGTH(1023, IOERR),
	LENGTH(1024, OK),
	LENGTH(1025, IOERR),
	LENGTH(1535, IOERR),
	LENGTH(1536, OK),
	LENGTH(4095, IOERR),
	LENGTH(4096, OK),
	LENGTH(4097, IOERR),
	LENGTH(32256, OK),
	LENGTH(32767, IOERR),
	LENGTH(32768, OK),
	LENGTH(32769, IOERR),
	LENGTH(33280, IOERR),
	LENGTH(65536, IOERR),
	LENGTH(98304, IOERR),
	LENGTH(114688, IOERR),
	LENGTH(114689, IOERR),
	LENGTH(0x02000000, IOERR),
	LENGTH(0x02000200, IOERR),
	LENGTH(0x7fffffff, IOERR),
	LENGTH(0x80000000, IOERR),
	LENGTH(0xfffffe00, IOERR),
	LENGTH(0xffffffee, IOERR),
	LENGTH(0xffffffef, RESET),
	LENGTH(0xffffffff, RESET),
};

/* `n` bytes at a sector; the disk has 64. */
#define AT(s, n, answer)                                                     \
	REQUEST("in of " #n " at sector " #s, IN, s, answer,                 \
		(answer) == OK || (n) == 0 ? (n) + 1 : 0, H, W(DATA, n), S), \
		REQUEST("out of " #n " at sector " #s, OUT, s, answer, 1, H, \
			R(DATA, n), S)

static const struct request sectors[] = {
	AT(1, 512, OK),
	AT(62, 512, OK),
	AT(63, 512, OK),
	AT(64, 512, IOERR),
	AT(65, 512, IOERR),
	AT(0x7fffffff, 512, IOERR),
	AT(0x80000000, 512, IOERR),
	AT(0xffffffff, 512, IOERR),
	AT(0x100000000, 512, IOERR),
	AT(0x100000001, 512, IOERR),
	AT(0x40000000000000, 512, IOERR),
	AT(0x7fffffffffffff, 512, IOERR),
	AT(0x80000000000000, 512, IOERR),
	AT(0x80000000000001, 512, IOERR),
	AT(0x7fffffffffffffff, 512, IOERR),
	AT(0x8000000000000000, 512, IOERR),
	AT(0xfffffffffffffffe, 512, IOERR),
	AT(0xffffffffffffffff, 512, IOERR),
	AT(62, 1024, OK),
	AT(63, 1024, IOERR),
	AT(64, 1024, IOERR),
	AT(0xfffffffffffffffe, 1024, IOERR),
	AT(0xffffffffffffffff, 1024, IOERR),
	AT(1, 32768, IOERR),
	AT(63, 32768, IOERR),
	AT(63, 0, OK),
	AT(64, 0, OK),
	AT(65, 0, IOERR),
	AT(0xffffffffffffffff, 0, IOERR),
};

/* Types that were not offered or do not exist. */
#define TYPE(t)                                                      \
	REQUEST("type " #t, t, 0, UNSUPP, 1, H, S),                  \
		REQUEST("type " #t " with data", t, 0, UNSUPP, 0, H, \
			W(DATA, 512), S)

static const struct request types[] = {
	TYPE(2),
	TYPE(3),
	TYPE(5),
	TYPE(6),
	TYPE(7),
	TYPE(9),
	TYPE(10),
	TYPE(11),
	TYPE(12),
	TYPE(14),
	TYPE(15),
	TYPE(16),
	TYPE(17),
	TYPE(18),
	TYPE(20),
	TYPE(22),
	TYPE(24),
	TYPE(26),
	TYPE(27),
	TYPE(256),
	TYPE(0x10000),
	TYPE(0x80000000),
	TYPE(0x80000001),
	TYPE(0xffffffff),
	REQUEST("discard with a segment", 11, 0, UNSUPP, 1, H, R(DATA, 16), S),
	REQUEST("write zeroes of nothing", 13, 0, IOERR, 1, H, S),
	REQUEST("write zeroes, its list writable", 13, 0, IOERR, 0, H,
		W(DATA, 512), S),
	REQUEST("write zeroes with half a segment", 13, 0, IOERR, 1, H,
		R(DATA, 8), S),
	REQUEST("write zeroes with a segment and a byte", 13, 0, IOERR, 1, H,
		R(DATA, 17), S),
	REQUEST("write zeroes with a senseless segment", 13, 0, UNSUPP, 1, H,
		R(DATA, 16), S),
	REQUEST("write zeroes with 32 segments", 13, 0, UNSUPP, 1, H,
		R(DATA, 512), S),
	REQUEST("write zeroes with 33 segments", 13, 0, IOERR, 1, H,
		R(DATA, 528), S),
	REQUEST("write zeroes with 2 GiB of segments", 13, 0, IOERR, 1, H,
		R(DATA, 0x80000000), S),
	REQUEST("secure erase with a segment", 14, 0, UNSUPP, 1, H, R(DATA, 16),
		S),
	REQUEST("flush of a far sector", FLUSH, UINT64_MAX, OK, 1, H, S),
	REQUEST("flush with readable data", FLUSH, 0, OK, 1, H, R(DATA, 511),
		S),
	REQUEST("flush with writable data", FLUSH, 0, OK, 0, H, W(DATA, 512),
		S),
	REQUEST("flush with data outside memory", FLUSH, 0, IOERR, 0, H,
		W(DATA, 0x80000000), S),
};

/* GET_ID: the id has 20 bytes and no more are written. */
#define ID(n, used) \
	REQUEST("id, room for " #n, GET_ID, 0, OK, used, H, W(DATA, n), S)

static const struct request ids[] = {
	ID(0, 1),
	ID(1, 2),
	ID(7, 8),
	ID(15, 16),
	ID(18, 19),
	ID(19, 20),
	ID(20, 21),
	ID(21, 20),
	ID(32, 20),
	ID(512, 20),
	ID(32768, 20),
	REQUEST("id in bytes", GET_ID, 0, OK, 6, H, W(DATA, 1), W(DATA + 9, 1),
		W(DATA + 5, 1), W(DATA + 70, 1), W(DATA + 33, 1), S),
	REQUEST("id over the header", GET_ID, 0, OK, 21, H, W(HDR, 20), S),
	REQUEST("id of no status", GET_ID, 0, NONE, 0, H),
	REQUEST("id, room outside memory", GET_ID, 0, IOERR, 0, H, W(END, 20),
		S),
	REQUEST("id, room half outside", GET_ID, 0, IOERR, 0, H,
		W(END - 10, 20), S),
	REQUEST("id with readable data", GET_ID, 0, OK, 21, H, R(DATA, 512),
		W(DATA, 20), S),
	REQUEST("id of a far sector", GET_ID, UINT64_MAX, OK, 21, H,
		W(DATA, 20), S),
};

/* A header too short is none, whatever follows. */
#define SHORT(n)                                                           \
	REQUEST("header of " #n ", in", IN, 0, IOERR, 0, R(HDR, n),        \
		W(DATA, 512), S),                                          \
		REQUEST("header of " #n " and status", FLUSH, 0, IOERR, 1, \
			R(HDR, n), S)

static const struct request headers[] = {
	SHORT(0),
	SHORT(1),
	SHORT(2),
	SHORT(3),
	SHORT(4),
	SHORT(7),
	SHORT(8),
	SHORT(9),
	SHORT(12),
	SHORT(15),
	REQUEST("header of 17, in", IN, 0, OK, 513, R(HDR, 17), W(DATA, 512),
		S),
	REQUEST("header of 17, out 511", OUT, 0, OK, 1, R(HDR, 17),
		R(DATA, 511), S),
	REQUEST("header of 17, out 512", OUT, 0, IOERR, 1, R(HDR, 17),
		R(DATA, 512), S),
	REQUEST("header of 15, out 513", OUT, 0, OK, 1, R(HDR, 15),
		R(HDR + 15, 513), S),
	REQUEST("header of 15, out 512", OUT, 0, IOERR, 1, R(HDR, 15),
		R(HDR + 15, 512), S),
	REQUEST("header and data in one", OUT, 3, OK, 1, R(HDR, 528), S),
	REQUEST("header and short data in one", OUT, 3, IOERR, 1, R(HDR, 527),
		S),
	REQUEST("header of 8 and 8", IN, 0, OK, 513, R(HDR, 8), R(HDR + 8, 8),
		W(DATA, 512), S),
	REQUEST("header of 1 and 15", IN, 0, OK, 513, R(HDR, 1), R(HDR + 1, 15),
		W(DATA, 512), S),
	REQUEST("header of 15 and 1", IN, 0, OK, 513, R(HDR, 15),
		R(HDR + 15, 1), W(DATA, 512), S),
	REQUEST("header of 0 and 16", IN, 0, OK, 513, R(0, 0), H, W(DATA, 512),
		S),
	REQUEST("header of 7 and 8", IN, 0, IOERR, 0, R(HDR, 7), R(HDR + 7, 8),
		W(DATA, 512), S),
	REQUEST("header of single bytes", IN, 9, OK, 513, R(HDR, 1),
		R(HDR + 1, 1), R(HDR + 2, 1), R(HDR + 3, 1), R(HDR + 4, 1),
		R(HDR + 5, 1), R(HDR + 6, 1), R(HDR + 7, 1), R(HDR + 8, 1),
		R(HDR + 9, 1), R(HDR + 10, 1), R(HDR + 11, 1), R(HDR + 12, 1),
		R(HDR + 13, 1), R(HDR + 14, 1), R(HDR + 15, 1), W(DATA, 512),
		S),
	REQUEST("writable header", IN, 0, IOERR, 0, W(HDR, 16), W(DATA, 512),
		S),
	REQUEST("no header", IN, 0, IOERR, 0, W(DATA, 512), S),
	REQUEST("header of 2^31", OUT, 0, IOERR, 1, R(HDR, 0x80000000), S),
	REQUEST("header at an odd address", IN, 0, IOERR, 0, R(HDR + 1, 15),
		W(DATA, 512), S),
	REQUEST("header far too long", IN, 0, OK, 513, R(HDR, 8192),
		W(DATA, 512), S),
};

/* Runts: a part is missing, or all are. */
static const struct request runts[] = {
	REQUEST("header alone", IN, 0, NONE, 0, H),
	REQUEST("header alone, out", OUT, 0, NONE, 0, H),
	REQUEST("header alone, flush", FLUSH, 0, NONE, 0, H),
	REQUEST("half a header alone", IN, 0, NONE, 0, R(HDR, 8)),
	REQUEST("one readable byte", IN, 0, NONE, 0, R(HDR, 1)),
	REQUEST("one readable descriptor", OUT, 0, NONE, 0, R(HDR, 4096)),
	REQUEST("status alone", IN, 0, IOERR, 1, S),
	REQUEST("two writable bytes", IN, 0, IOERR, 0, W(STATUS, 2)),
	REQUEST("one writable descriptor", IN, 0, IOERR, 0, W(DATA, 513)),
	REQUEST("one descriptor outside memory", IN, 0, NONE, 0, W(END, 513)),
	REQUEST("one descriptor, half outside", IN, 0, NONE, 0,
		W(END - 512, 513)),
	REQUEST("one readable outside memory", IN, 0, NONE, 0, R(0, 16)),
	REQUEST("an empty readable", IN, 0, NONE, 0, R(HDR, 0)),
	REQUEST("an empty writable", IN, 0, NONE, 0, W(STATUS, 0)),
	REQUEST("empty ones only", IN, 0, NONE, 0, R(HDR, 0), W(DATA, 0),
		W(STATUS, 0)),
	REQUEST("empty ones at 0", IN, 0, NONE, 0, R(0, 0), W(0, 0)),
	REQUEST("header and an empty status", FLUSH, 0, NONE, 0, H,
		W(STATUS, 0)),
	REQUEST("header and data, no status", OUT, 0, NONE, 0, H, R(DATA, 512)),
};

static const struct request statuses[] = {
	REQUEST("status empty, so of the data", IN, 0, IOERR, 0, H,
		W(DATA, 512), W(STATUS, 0)),
	REQUEST("status in the data's descriptor", IN, 0, OK, 513, H,
		W(DATA, 513)),
	REQUEST("status takes a data byte", IN, 0, IOERR, 0, H, W(DATA, 512)),
	REQUEST("status of 2, 512 before", IN, 0, IOERR, 0, H, W(DATA, 512),
		W(STATUS, 2)),
	REQUEST("status of 2, 511 before", IN, 0, OK, 513, H, W(DATA, 511),
		W(STATUS, 2)),
	REQUEST("status of 513", IN, 0, OK, 513, H, W(STATUS, 513)),
	REQUEST("status of 514", IN, 0, IOERR, 0, H, W(STATUS, 514)),
	REQUEST("status of 2, out", OUT, 0, OK, 0, H, R(DATA, 512),
		W(STATUS, 2)),
	REQUEST("status of 4096, out", OUT, 0, OK, 0, H, R(DATA, 512),
		W(STATUS, 4096)),
	REQUEST("status of 2^31", OUT, 0, NONE, 0, H, R(DATA, 512),
		W(STATUS, 0x80000000)),
	REQUEST("status of 2^31, in", IN, 0, NONE, 0, H, W(DATA, 512),
		W(STATUS, 0x80000000)),
	REQUEST("status readable, out", OUT, 0, NONE, 0, H, R(DATA, 512),
		R(STATUS, 1)),
	REQUEST("status readable, in", IN, 0, RESET, 0, H, W(DATA, 512),
		R(STATUS, 1)),
	REQUEST("status at the very end", IN, 0, OK, 513, H, W(DATA, 512),
		W(END - 1, 1)),
	REQUEST("status half outside", OUT, 0, NONE, 0, H, R(DATA, 512),
		W(END - 1, 2)),
	REQUEST("status at the page's end", IN, 0, OK, 513, H, W(DATA, 512),
		W(STATUS + 4095, 1)),
	REQUEST("three of them", FLUSH, 0, OK, 0, H, S, W(STATUS + 1, 1),
		W(STATUS + 2, 1)),
	REQUEST("the same byte three times", FLUSH, 0, OK, 0, H, S, S, S),
};

/* Each part in turn where there is no memory of the guest. */
#define NOWHERE(addr)                                                        \
	REQUEST("header at " #addr, IN, 0, IOERR, 0, R(addr, 16),            \
		W(DATA, 512), S),                                            \
		REQUEST("data at " #addr, IN, 0, IOERR, 0, H, W(addr, 512),  \
			S),                                                  \
		REQUEST("data of a write at " #addr, OUT, 0, IOERR, 1, H,    \
			R(addr, 512), S),                                    \
		REQUEST("status at " #addr, IN, 0, NONE, 0, H, W(DATA, 512), \
			W(addr, 1))

/* 0x02000000: where Xen puts the registers of virtio-mmio devices on Arm. */
static const struct request addresses[] = {
	NOWHERE(0),
	NOWHERE(1),
	NOWHERE(0xfff),
	NOWHERE(0x02000000),
	NOWHERE(0x02000100),
	NOWHERE(0xfeff0000),
	NOWHERE(0x40000000 - 600),
	NOWHERE(END),
	NOWHERE(END + 1),
	NOWHERE(END + 4096),
	NOWHERE(UINT64_C(1) << 32),
	NOWHERE(UINT64_C(1) << 40),
	NOWHERE(HDR | UINT64_C(1) << 32),
	NOWHERE(HDR | UINT64_C(1) << 52),
	NOWHERE(HDR | UINT64_C(1) << 63),
	NOWHERE(UINT64_C(1) << 63),
	NOWHERE(UINT64_MAX - 511),
	NOWHERE(UINT64_MAX - 15),
	NOWHERE(UINT64_MAX - 1),
	NOWHERE(UINT64_MAX),
	REQUEST("header over the end", IN, 0, IOERR, 0, R(END - 15, 16),
		W(DATA, 512), S),
	REQUEST("data over the end", IN, 0, IOERR, 0, H, W(END - 511, 512), S),
	REQUEST("data over the end, out", OUT, 0, IOERR, 1, H,
		R(END - 511, 512), S),
	REQUEST("data over the beginning", IN, 0, IOERR, 0, H,
		W(MODEL_BASE - 1, 512), S),
	REQUEST("all over the end", IN, 0, NONE, 0, R(END - 8, 16),
		W(END - 8, 512), W(END - 8, 16)),
	REQUEST("nothing in memory", IN, 0, NONE, 0, R(0, 16), W(0, 512),
		W(0, 1)),
	REQUEST("one piece of many outside", IN, 0, IOERR, 0, H, W(DATA, 128),
		W(DATA, 128), W(END, 128), W(DATA, 128), S),
	REQUEST("the last piece outside", IN, 0, IOERR, 0, H, W(DATA, 256),
		W(DATA, 255), W(END, 1), S),
};

/* Buffers that lie over each other harm none but their owner. */
static const struct request overlaps[] = {
	REQUEST("data over the header", IN, 3, OK, 513, H, W(HDR, 512), S),
	REQUEST("status over the header", FLUSH, 0, OK, 1, H, W(HDR, 1)),
	REQUEST("status over the sector", IN, 3, OK, 513, H, W(DATA, 512),
		W(HDR + 8, 1)),
	REQUEST("status in the data", IN, 3, OK, 513, H, W(DATA, 512),
		W(DATA + 100, 1)),
	REQUEST("data twice at one place", IN, 3, OK, 1025, H, W(DATA, 512),
		W(DATA, 512), S),
	REQUEST("data shifted by one", IN, 3, OK, 1025, H, W(DATA, 512),
		W(DATA + 1, 512), S),
	REQUEST("written data is the header", OUT, 3, OK, 1, H, R(HDR, 512), S),
	REQUEST("written data ends in the status", OUT, 3, OK, 1, H,
		R(DATA, 512), W(DATA + 511, 1)),
	REQUEST("data over the table", IN, 3, OK, 513, H, W(TABLE, 512), S),
	REQUEST("status over the table", IN, 3, OK, 513, H, W(DATA, 512),
		W(TABLE, 1)),
};

/* Where empty descriptors may stand, and where no readable one may. */
static const struct request orders[] = {
	REQUEST("empty before the header", IN, 0, OK, 513, R(0, 0), H,
		W(DATA, 512), S),
	REQUEST("empty after the header", IN, 0, OK, 513, H, R(0, 0),
		W(DATA, 512), S),
	REQUEST("empty before the status", IN, 0, OK, 513, H, W(DATA, 512),
		W(0, 0), S),
	REQUEST("empty at the end", IN, 0, OK, 513, H, W(DATA, 512), S,
		W(0, 0)),
	REQUEST("empty everywhere", IN, 0, OK, 513, R(0, 0), H, R(1, 0),
		W(UINT64_MAX, 0), W(DATA, 512), W(END, 0), S, W(7, 0)),
	REQUEST("empty writable first", IN, 0, OK, 513, W(0, 0), H,
		W(DATA, 512), S),
	REQUEST("empty readable in the data", IN, 0, RESET, 0, H, W(DATA, 512),
		R(0, 0), S),
	REQUEST("empty readable last", IN, 0, RESET, 0, H, W(DATA, 512), S,
		R(0, 0)),
	REQUEST("header after the data", IN, 0, RESET, 0, W(DATA, 512), H, S),
	REQUEST("header last", IN, 0, RESET, 0, W(DATA, 512), S, H),
	REQUEST("header after the status", FLUSH, 0, RESET, 0, S, H),
	REQUEST("readable between data", IN, 0, RESET, 0, H, W(DATA, 256),
		R(DATA, 1), W(DATA, 256), S),
	REQUEST("readable after the status", IN, 0, RESET, 0, H, W(DATA, 512),
		S, R(DATA, 512)),
	REQUEST("turn and turn about", IN, 0, RESET, 0, H, S, R(DATA, 16), S,
		R(DATA, 16), S),
};

static const struct request readonly[] = {
	REQUEST("read-only: in", IN, 1, OK, 513, H, W(DATA, 512), S),
	REQUEST("read-only: out", OUT, 1, IOERR, 1, H, R(DATA, 512), S),
	REQUEST("read-only: out of nothing", OUT, 1, IOERR, 1, H, S),
	REQUEST("read-only: out of 511", OUT, 1, IOERR, 1, H, R(DATA, 511), S),
	REQUEST("read-only: out beyond", OUT, 64, IOERR, 1, H, R(DATA, 512), S),
	REQUEST("read-only: flush", FLUSH, 0, OK, 1, H, S),
	REQUEST("read-only: id", GET_ID, 0, OK, 21, H, W(DATA, 20), S),
	REQUEST("read-only: discard", 11, 0, IOERR, 1, H, R(DATA, 16), S),
	REQUEST("read-only: write zeroes", 13, 0, IOERR, 1, H, R(DATA, 16), S),
	REQUEST("read-only: secure erase", 14, 0, IOERR, 1, H, R(DATA, 16), S),
};

/* ---- long chains --------------------------------------------------------- */

struct long_chain {
	const char *name;
	unsigned int readable; /* descriptors of data after the header */
	unsigned int writable; /* of data before the status */
	uint32_t len;          /* of each */
	uint32_t type;
	int answer;
	uint32_t used;
};

static const struct long_chain long_chains[] = {
	{ "252 of 128, in", 0, 252, 128, IN, OK, 32257 },
	{ "252 of 128, out", 252, 0, 128, OUT, OK, 1 },
	{ "254 of 128, in", 0, 254, 128, IN, IOERR, 0 },
	{ "254 of 128, out", 254, 0, 128, OUT, IOERR, 1 },
	{ "254 bytes, in", 0, 254, 1, IN, IOERR, 0 },
	{ "254 bytes, out", 254, 0, 1, OUT, IOERR, 1 },
	{ "128 of 4, in", 0, 128, 4, IN, OK, 513 },
	{ "128 of 4, out", 128, 0, 4, OUT, OK, 1 },
	{ "64 of 513, in", 0, 64, 513, IN, IOERR, 0 },
	{ "254 empty ones", 0, 254, 0, IN, OK, 1 },
	{ "254 empty ones, out", 254, 0, 0, OUT, OK, 1 },
	{ "127 and 127, in", 127, 127, 64, IN, IOERR, 0 },
	{ "100 and 128, in", 100, 128, 4, IN, OK, 513 },
	{ "128 and 100, out", 128, 100, 4, OUT, OK, 0 },
	{ "32 MiB", 0, 32, 0x100000, IN, IOERR, 0 },
	{ "4 GiB less 64 KiB", 0, 255 - 1, 0x1000000, IN, IOERR, 0 },
	{ "4 GiB of 254", 0, 254, 0x1020409, IN, RESET, 0 },
	{ "4 GiB of 16", 0, 16, 0x10000000, IN, RESET, 0 },
	{ "4 GiB of 2", 0, 2, 0x80000000, IN, RESET, 0 },
	{ "4 GiB of 2, out", 2, 0, 0x80000000, OUT, RESET, 0 },
	{ "4 GiB, half and half", 1, 1, 0x80000000, OUT, RESET, 0 },
	{ "8 GiB", 0, 3, 0xaaaaaaaa, IN, RESET, 0 },
	{ "1 TiB", 0, 254, 0xffffffff, IN, RESET, 0 },
};

static struct model_chain make_long(const struct long_chain *from)
{
	static struct model_buf bufs[256];
	unsigned int n = 0, data = from->readable + from->writable;

	bufs[n++] = (struct model_buf)H;
	while (n <= data) {
		bufs[n] = (struct model_buf){ DATA, from->len,
					      n > from->readable };
		n++;
	}
	bufs[n++] = (struct model_buf)S;
	return (struct model_chain){ bufs, n };
}

/* ---- the play ------------------------------------------------------------ */

static void play(const struct request *row, bool direct)
{
	const struct model_chain *chain = &row->chain;
	struct model_blk *m = &hostile.m;
	uint8_t *status;
	uint16_t head;

	if (chain->n > (direct ? m->setup.ring_size : 256u))
		return;
	hostile_begin(row->name);
	memset(model_at(&m->mem, HDR, END - HDR), 0xee, END - HDR);
	model_header(m, HDR, row->type, row->sector);
	head = model_offer_mixed(&m->ring[0], chain->bufs,
				 direct ? chain->n : 0, chain->n, TABLE);
	status = hostile_status(chain);
	hostile_serve(head, chain, row->answer, row->used);
	if (row->answer < NONE) {
		assert_non_null(status);
		assert_int_equal(*status, row->answer);
	}
}

static void play_long(const struct long_chain *row, bool direct)
{
	const struct request request = {
		row->name, row->type, 0, row->answer, row->used, make_long(row),
	};

	play(&request, direct);
}

struct table {
	const struct request *rows;
	size_t n;
};

#define TABLE_OF(rows)            \
	{                         \
		rows, COUNT(rows) \
	}

static const struct table tables[] = {
	TABLE_OF(lengths),  TABLE_OF(sectors),   TABLE_OF(types),
	TABLE_OF(ids),      TABLE_OF(headers),   TABLE_OF(runts),
	TABLE_OF(statuses), TABLE_OF(addresses), TABLE_OF(overlaps),
	TABLE_OF(orders),
};

static unsigned int play_all(bool direct)
{
	unsigned int rows = 0;

	for (size_t t = 0; t < COUNT(tables); t++) {
		for (size_t i = 0; i < tables[t].n; i++)
			play(&tables[t].rows[i], direct);
		rows += (unsigned int)tables[t].n;
	}
	for (size_t i = 0; i < COUNT(long_chains); i++)
		play_long(&long_chains[i], direct);
	return rows + (unsigned int)COUNT(long_chains);
}

static unsigned int play_readonly(bool direct)
{
	for (size_t i = 0; i < COUNT(readonly); i++)
		play(&readonly[i], direct);
	return (unsigned int)COUNT(readonly);
}

static unsigned int stage(struct model_setup setup, bool direct, uint64_t piece)
{
	unsigned int rows;

	hostile_start(setup);
	hostile.m.mem.piece = piece;
	rows = play_all(direct);
	hostile_finish();
	setup.readonly = true;
	hostile_start(setup);
	hostile.m.mem.piece = piece;
	rows += play_readonly(direct);
	hostile_finish();
	return rows;
}

/* On every ring, direct and indirect, and in memory as it is or cut up. */
static void on_all_rings(struct model_setup setup)
{
	unsigned long before = hostile.played;
	unsigned int rows = 0;

	for (size_t i = 0; i < COUNT(hostile_sizes); i++) {
		setup.ring_size = hostile_sizes[i];
		rows = stage(setup, true, 0);
		assert_int_equal(stage(setup, false, 0), rows);
		stage(setup, true, 64);
		/* A table may fall into fewer pieces than data may. */
		stage(setup, false, 1000);
	}
	/* Those of hostile_rings and hostile_registers come on top. */
	assert_true(rows >= 400);
	print_message("# %u cases, played %lu times\n", rows,
		      hostile.played - before);
}

static void test_split(void **state)
{
	(void)state;
	on_all_rings((struct model_setup){ 0 });
}

static void test_split_in_windows(void **state)
{
	(void)state;
	on_all_rings((struct model_setup){ .windows = true });
}

static void test_packed(void **state)
{
	(void)state;
	on_all_rings((struct model_setup){ .packed = true });
}

static void test_packed_in_windows(void **state)
{
	(void)state;
	on_all_rings((struct model_setup){ .packed = true, .windows = true });
}

#define TEST(f) cmocka_unit_test_teardown(f, hostile_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_split),
		TEST(test_split_in_windows),
		TEST(test_packed),
		TEST(test_packed_in_windows),
	};

	return cmocka_run_group_tests_name("hostile_requests", tests, NULL,
					   NULL);
}
