/* SPDX-License-Identifier: MIT */
/*
 * The engines that may be linked in; engines.c lists those that are.
 */
#ifndef BLOCK_ENGINES_H
#define BLOCK_ENGINES_H

#include "block/engine.h"

extern const struct block_engine_kind block_engine_uring;
extern const struct block_engine_kind block_engine_libaio;
extern const struct block_engine_kind block_engine_threads;
extern const struct block_engine_kind block_engine_null;

#endif
