/* SPDX-License-Identifier: MIT */
/* What this process writes to standard error meanwhile is a test's to read. */
#ifndef CAPTURED_H
#define CAPTURED_H

#include <stddef.h>

void capture(void);

/* As before; and what was written since capture(), as much as has room. */
const char *release_into(char *text, size_t size);

#endif
