/* SPDX-License-Identifier: MIT */
/*
 * The log of dirty pages: a bitmap that the front end shares with us while it
 * migrates the guest. Marked after the write that it is about: the front end
 * clears a bit before it copies the page.
 */
#ifndef VHOST_USER_DIRTY_LOG_H
#define VHOST_USER_DIRTY_LOG_H

#include "vhost_user/mapping.h"

struct dirty_log {
	struct mapping map; /* bit n: page n of guest memory */
};

/* Mark [addr, addr + len); what lies behind the end of the log is left out. */
void dirty_log_mark(const struct dirty_log *log, uint64_t addr, uint64_t len);

/* Bytes of the smallest log that has a bit for address `last`. */
uint64_t dirty_log_bytes(uint64_t last);

#endif
