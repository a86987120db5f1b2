/* SPDX-License-Identifier: MIT */
/*
 * The sentence that block_image_open() leaves when it fails.
 */
#ifndef BLOCK_EXPLAIN_H
#define BLOCK_EXPLAIN_H

#include "block/image.h"

/*
 * Write "FILE: text" into `error`; returns `rc`, a negative errno. A text that
 * is too long is cut.
 */
int block_explain(char error[BLOCK_ERROR_MAX], int rc, const char *file,
		  const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
