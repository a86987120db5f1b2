/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets have in common: the input is a list of operations, so
 * that deep states are a few bytes away and a shortened input still means
 * something. An input that is used up gives zeroes.
 *
 * The targets stand on the models of the unit tests. Their assertions end the
 * process, which libFuzzer keeps the input of.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Once per process: a failed assertion is an abort with a stack trace. */
static inline void fuzz_abort_on_failure(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
}

static inline void fuzz_copy(struct fuzz_input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_copy(in, &v, sizeof(v));
	return v;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_copy(in, &v, sizeof(v));
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_copy(in, &v, sizeof(v));
	return v;
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v;

	fuzz_copy(in, &v, sizeof(v));
	return v;
}

/* A number below `limit`, of one byte of input if that can tell it. */
static inline uint32_t fuzz_below(struct fuzz_input *in, uint32_t limit)
{
	return (limit <= 256 ? fuzz_u8(in) : fuzz_u32(in)) % limit;
}

/* A guest address: mostly in [base, base + size), near its ends, or any. */
static inline uint64_t fuzz_address(struct fuzz_input *in, uint64_t base,
				    uint64_t size)
{
	uint8_t how = fuzz_u8(in);

	switch (how & 7) {
	case 0:
		return fuzz_u64(in);
	case 1:
		return base + size - fuzz_u8(in);
	case 2:
		return base - fuzz_u8(in);
	case 3:
		return base + fuzz_u16(in);
	default:
		return base + (uint64_t)fuzz_u16(in) * 16 % size;
	}
}

/* A length of a buffer: small, whole sectors, or any. */
static inline uint32_t fuzz_length(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	switch (how & 3) {
	case 0:
		return fuzz_u32(in);
	case 1:
		return 512u * (how >> 2);
	case 2:
		return 16u * (how >> 2);
	default:
		return how >> 2;
	}
}

#endif
