/* SPDX-License-Identifier: MIT */
/* The log of dirty pages; see vhost_user/dirty_log.h. */
#include "vhost_user/dirty_log.h"

#include "vhost_user/wire.h"

uint64_t dirty_log_bytes(uint64_t last)
{
	return (last >> VHOST_LOG_PAGE_SHIFT) / 8 + 1;
}

void dirty_log_mark(const struct dirty_log *log, uint64_t addr, uint64_t len)
{
	uint64_t page = addr >> VHOST_LOG_PAGE_SHIFT;
	uint64_t last;

	if (len == 0 || __builtin_add_overflow(addr, len - 1, &last))
		return;
	last >>= VHOST_LOG_PAGE_SHIFT;
	for (; page <= last && page / 8 < log->map.size; page++)
		/*
		 * The write before the bit. Pairs with the front end's exchange
		 * of the bits before it reads the page.
		 */
		__atomic_fetch_or(&log->map.data[page / 8],
				  (uint8_t)(1u << page % 8), __ATOMIC_SEQ_CST);
}
