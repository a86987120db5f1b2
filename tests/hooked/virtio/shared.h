/* SPDX-License-Identifier: MIT */
/*
 * Stands before src/virtio/shared.h where the core is built for a test that
 * wants to see each of its accesses to guest memory; see
 * tests/unit/hooked_reads.c, which has the functions. The core itself is
 * compiled as it is.
 */
#ifndef HOOKED_SHARED_H
#define HOOKED_SHARED_H

#include_next "virtio/shared.h"

uint64_t hooked_load(const void *p, size_t len);
void hooked_store(void *p, uint64_t value, size_t len);
void hooked_copy(void *to, const void *from, size_t len);
void hooked_put(void *to, const void *from, size_t len);

#undef shared_load
#undef shared_load_acquire
#undef shared_store
#undef shared_store_release
#define shared_load(p) ((__typeof__(*(p)))hooked_load((p), sizeof(*(p))))
#define shared_load_acquire(p) shared_load(p)
#define shared_store(p, v) hooked_store((p), (uint64_t)(v), sizeof(*(p)))
#define shared_store_release(p, v) shared_store((p), (v))
#define shared_copy hooked_copy
#define shared_put hooked_put

#endif
