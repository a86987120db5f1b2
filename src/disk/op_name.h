/* SPDX-License-Identifier: MIT */
/* What an operation of the store is called in the log. */
#ifndef DISK_OP_NAME_H
#define DISK_OP_NAME_H

#include "block/request.h"

static inline const char *op_name(unsigned int op)
{
	static const char *const names[BLOCK_OPS] = {
		[BLOCK_READ] = "read",
		[BLOCK_WRITE] = "write",
		[BLOCK_FLUSH] = "flush",
		[BLOCK_DISCARD] = "discard",
		[BLOCK_WRITE_ZEROES] = "write zeroes",
		[BLOCK_SECURE_ERASE] = "secure erase",
	};

	return op < BLOCK_OPS ? names[op] : "request";
}

#endif
