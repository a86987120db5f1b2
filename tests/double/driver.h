/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk driver in the guest of the double, over virtio-mmio: what load.h
 * of tests/torture wants of a front end, by registers and interrupts.
 *
 * It is as a kernel's: it looks at its rings when an interrupt has come, and
 * only then, and after it has read and acknowledged why. vCPU 0 has the
 * interrupts, the others kick. A vCPU whose access nobody answers stands still,
 * and the driver with it, as far as it needs that one.
 */
#ifndef DOUBLE_DRIVER_H
#define DOUBLE_DRIVER_H

#include "front.h"
#include "host.h"

enum driver_op {
	DRIVER_IDLE,
	DRIVER_READS_STATUS,
	DRIVER_ACKNOWLEDGES,
	DRIVER_KICKS
};

struct driver {
	struct front front;
	uint64_t base;
	unsigned int irq;
	enum driver_op op[HOST_VCPUS];
	uint64_t irqs_seen;
	uint32_t kicks;    /* a bit for each queue */
	bool told;         /* of used buffers: the owner looks, and takes it */
	unsigned int seen; /* for host_wait() */
	unsigned int spurious;
	void (*waits)(void *arg); /* now and then while it begins; or NULL */
	void *arg;
};

/* For so many queues, with memory of the host's guest. */
void driver_init(struct driver *d, unsigned int nqueues, uint64_t base,
		 unsigned int irq);

/* From reset to DRIVER_OK; waits as long as it takes. The rings are empty. */
void driver_begin(struct driver *d, uint64_t features);

/* What can be gone on with: interrupts, kicks. */
void driver_step(struct driver *d);

/* Until anything happens, so long at most. */
void driver_wait(struct driver *d, uint64_t ns);

/* Whether no access is under way, or will be. */
bool driver_is_quiet(const struct driver *d);

uint32_t driver_read(struct driver *d, uint32_t reg);

#endif
