/* SPDX-License-Identifier: MIT */
/* What every test program and fixture includes first. */
#ifndef LIB_TEST_H
#define LIB_TEST_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
