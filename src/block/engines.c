/* SPDX-License-Identifier: MIT */
/*
 * The list of engines: the one place that knows what configure found. An engine
 * that is not configured is not compiled and not named here.
 */
#include "config.h"

#include "engines.h"

const struct block_engine_kind *const block_engines[] = {
#ifdef HAVE_LIBURING
	&block_engine_uring,
#endif
#ifdef HAVE_LIBAIO
	&block_engine_libaio,
#endif
	&block_engine_threads, &block_engine_null, NULL,
};
