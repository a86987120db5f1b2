/* SPDX-License-Identifier: MIT */
/*
 * Whether facts can be those of an image; see block/part.h.
 *
 * They may come over a socket, and what is computed from them indexes memory
 * and shifts. So each is held against what a claim could have measured, and
 * against the others; nothing is put right.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "block/part.h"
#include "limits.h"

static const char *flags_fault(const struct block_facts *f)
{
	const uint8_t flags[] = {
		f->has_file,    f->is_block_device,  f->readonly,
		f->lends,       f->can_secure_erase, f->direct,
		f->write_waits, f->write_through,    f->flush_is_noop,
	};

	for (size_t i = 0; i < sizeof(flags); i++)
		if (flags[i] > 1)
			return "a flag is neither 0 nor 1";
	if (f->zero)
		return "what is not used is not 0";
	if (f->direct + f->write_through + f->flush_is_noop > 1)
		return "it has two cache modes";
	if (f->write_waits && !f->direct)
		return "writes wait without O_DIRECT";
	if (f->readonly && f->lends)
		return "a reader lends";
	return NULL;
}

/* What there cannot be without a file. */
static const char *file_fault(const struct block_facts *f)
{
	if (f->is_block_device ? f->rdev == 0 : f->rdev != 0)
		return "the device's number is wrong";
	if (f->has_file)
		return f->name[0] ? NULL : "it has no name";
	if (f->device || f->inode || f->name[0])
		return "no file has an identity";
	if (f->is_block_device || f->lends || f->direct || f->write_through ||
	    f->flush_is_noop)
		return "no file has what only a file can have";
	return NULL;
}

static const char *name_fault(const struct block_facts *f)
{
	size_t length = strnlen(f->name, BLOCK_NAME_MAX);

	if (length == BLOCK_NAME_MAX)
		return "its name has no end";
	for (; length < BLOCK_NAME_MAX; length++)
		if (f->name[length])
			return "there is something behind its name";
	return NULL;
}

static const char *blocks_fault(const struct block_facts *f)
{
	if (!block_is_power(f->block_size, BLOCK_LOGICAL_MIN,
			    BLOCK_LOGICAL_MAX))
		return "its block size is wrong";
	if (!block_is_power(f->physical_block_size, f->block_size,
			    BLOCK_PHYSICAL_MAX))
		return "its physical block size is wrong";
	if (!block_is_power(f->store_block_size, BLOCK_LOGICAL_MIN,
			    BLOCK_PHYSICAL_MAX))
		return "the block size of its store is wrong";
	if (!block_is_hint(f->min_io_size) || !block_is_hint(f->opt_io_size))
		return "what its store likes is wrong";
	if (f->alignment_offset >= f->physical_block_size)
		return "its blocks begin behind the first one";
	if (f->size > INT64_MAX || f->size % f->block_size)
		return "its size is wrong";
	return NULL;
}

static const char *direct_fault(const struct block_facts *f)
{
	uint32_t max = f->direct ? BLOCK_ALIGN_MAX : 1;

	if (!block_is_power(f->dio_align, 1, max) ||
	    !block_is_power(f->dio_mem_align, 1, max))
		return "its alignment is wrong";
	return f->size % f->dio_align ? "its size is not aligned" : NULL;
}

static const char *ability_fault(const struct block_facts *f)
{
	uint32_t granularity = f->discard_granularity;

	if (granularity && (granularity < f->block_size ||
			    granularity > BLOCK_GRANULARITY_MAX))
		return "its unit to discard is wrong";
	if (f->readonly && f->has_file && granularity)
		return "a reader discards";
	if (f->can_secure_erase && (!f->is_block_device || f->readonly))
		return "it cannot be erased";
	return NULL;
}

static const char *lost_fault(const struct block_facts *f)
{
	if (f->lost > BLOCK_ERRNO_MAX)
		return "what was lost is no error";
	if (f->lost && (!f->has_file || f->readonly || f->write_through ||
			f->flush_is_noop))
		return "nothing can be lost of it";
	return NULL;
}

const char *block_facts_fault(const struct block_facts *facts)
{
	static const char *(*const checks[])(const struct block_facts *) = {
		flags_fault,  file_fault,    name_fault, blocks_fault,
		direct_fault, ability_fault, lost_fault,
	};
	const char *fault = NULL;

	for (size_t i = 0; !fault && i < sizeof(checks) / sizeof(checks[0]);
	     i++)
		fault = checks[i](facts);
	return fault;
}
