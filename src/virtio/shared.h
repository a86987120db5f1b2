/* SPDX-License-Identifier: MIT */
/*
 * Access to memory that the guest writes at the same time.
 *
 * Each access happens exactly once: without this the compiler may load a value
 * a second time after it was checked. Ring positions go with acquire and
 * release; each user names the partner on the driver's side.
 */
#ifndef VIRTIO_SHARED_H
#define VIRTIO_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define shared_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define shared_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define shared_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define shared_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define shared_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/*
 * The compiler keeps the order of the stores before and after it: so does a
 * process that is killed, on whatever machine.
 */
#define shared_order() __asm__ __volatile__("" : : : "memory")

/*
 * Copy from guest memory. After the barrier the compiler cannot take a byte
 * from the source any more, so that what is checked is what is used.
 */
static inline void shared_copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	shared_order();
}

/* Copy to guest memory. */
static inline void shared_put(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
}

#endif
