/* SPDX-License-Identifier: MIT */
/* The driver; see driver.h. */
#include "driver.h"

#include "common.h"
#include "virtio/mmio_wire.h"

/* Between two looks while an access of the beginning is awaited. */
#define BEGIN_LOOK_NS (20 * NS_PER_MS)

#define STATUS_BITS (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)

/* ---- what the load wants of a front end ---------------------------------- */

uint8_t *front_data(const struct front *f)
{
	return f->memory + (size_t)f->nqueues * RING_BYTES;
}

uint64_t front_guest(const struct front *f, const void *at)
{
	return FRONT_GUEST + (uint64_t)((const uint8_t *)at - f->memory);
}

void front_kick(const struct front *f, unsigned int queue)
{
	struct driver *d = (struct driver *)(uintptr_t)f;

	d->kicks |= UINT32_C(1) << queue;
}

/* ---- one access after the other ------------------------------------------ */

static void begin(struct driver *d, unsigned int v, uint32_t reg, bool read,
		  uint32_t value)
{
	if (!vcpu_begin(v, d->base + reg, 4, read, value))
		die("vCPU %u: register 0x%x is a data abort", v, reg);
}

static uint32_t access(struct driver *d, uint32_t reg, bool read,
		       uint32_t value)
{
	uint64_t until = clock_ns() + WAIT_NS, answer;

	begin(d, 0, reg, read, value);
	while (!vcpu_ended(0, &answer)) {
		if (clock_ns() > until)
			die("register 0x%x is not answered", reg);
		if (d->waits)
			d->waits(d->arg);
		driver_wait(d, BEGIN_LOOK_NS);
	}
	return (uint32_t)answer;
}

uint32_t driver_read(struct driver *d, uint32_t reg)
{
	return access(d, reg, true, 0);
}

static void driver_write(struct driver *d, uint32_t reg, uint32_t value)
{
	access(d, reg, false, value);
}

/* ---- the beginning ------------------------------------------------------- */

void driver_init(struct driver *d, unsigned int nqueues, uint64_t base,
		 unsigned int irq)
{
	*d = (struct driver){ .base = base, .irq = irq };
	d->front.nqueues = nqueues;
	d->front.memory = host.memory;
}

static uint64_t offered(struct driver *d)
{
	uint64_t features;

	driver_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)driver_read(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	driver_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | driver_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void negotiate(struct driver *d, uint64_t features)
{
	if (features & ~offered(d))
		die("features 0x%llx are not offered",
		    (unsigned long long)(features & ~offered(d)));
	for (uint32_t sel = 0; sel < 2; sel++) {
		driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
		driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES,
			     (uint32_t)(features >> (32 * sel)));
	}
	driver_write(d, VIRTIO_MMIO_STATUS,
		     STATUS_BITS | VIRTIO_STATUS_FEATURES_OK);
	if (!(driver_read(d, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FEATURES_OK))
		die("the features are not taken");
}

static void write_address(struct driver *d, uint32_t reg, uint64_t address)
{
	driver_write(d, reg, (uint32_t)address);
	driver_write(d, reg + 4, (uint32_t)(address >> 32));
}

static void begin_queue(struct driver *d, unsigned int i, uint64_t features)
{
	uint8_t *memory = d->front.memory + (size_t)i * RING_BYTES;
	uint64_t at = front_guest(&d->front, memory);

	ring_init(&d->front.ring[i], memory,
		  features & VIRTIO_FEATURE(VIRTIO_F_RING_PACKED),
		  features & VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX));
	driver_write(d, VIRTIO_MMIO_QUEUE_SEL, i);
	if (driver_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX) < RING_SIZE)
		die("queue %u is too small", i);
	driver_write(d, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
	write_address(d, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
	write_address(d, VIRTIO_MMIO_QUEUE_DRIVER_LOW, at + RING_DRIVER_AT);
	write_address(d, VIRTIO_MMIO_QUEUE_DEVICE_LOW, at + RING_DEVICE_AT);
	driver_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

void driver_begin(struct driver *d, uint64_t features)
{
	features |= VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
	if (driver_read(d, VIRTIO_MMIO_MAGIC_VALUE) != VIRTIO_MMIO_MAGIC ||
	    driver_read(d, VIRTIO_MMIO_VERSION) != 2 ||
	    driver_read(d, VIRTIO_MMIO_DEVICE_ID) != 2)
		die("no block device of version 2");
	driver_write(d, VIRTIO_MMIO_STATUS, 0);
	driver_write(d, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
	driver_write(d, VIRTIO_MMIO_STATUS, STATUS_BITS);
	negotiate(d, features);
	for (unsigned int i = 0; i < d->front.nqueues; i++)
		begin_queue(d, i, features);
	driver_write(d, VIRTIO_MMIO_STATUS,
		     STATUS_BITS | VIRTIO_STATUS_FEATURES_OK |
			     VIRTIO_STATUS_DRIVER_OK);
	d->kicks = 0;
	d->told = false;
}

/* ---- interrupts and kicks ------------------------------------------------ */

static void end_op(struct driver *d, unsigned int v, uint32_t value)
{
	enum driver_op op = d->op[v];

	d->op[v] = DRIVER_IDLE;
	if (op == DRIVER_READS_STATUS && value) {
		begin(d, v, VIRTIO_MMIO_INTERRUPT_ACK, false, value);
		d->op[v] = DRIVER_ACKNOWLEDGES;
	} else if (op == DRIVER_READS_STATUS) {
		d->spurious++;
	} else if (op == DRIVER_ACKNOWLEDGES) {
		d->told = true;
	}
}

static void look_at_vcpus(struct driver *d)
{
	uint64_t value;

	for (unsigned int v = 0; v < HOST_VCPUS; v++)
		if (d->op[v] != DRIVER_IDLE && vcpu_ended(v, &value))
			end_op(d, v, (uint32_t)value);
}

static void take_interrupt(struct driver *d)
{
	uint64_t irqs = domain_irqs(d->irq);

	if (d->op[0] != DRIVER_IDLE || irqs == d->irqs_seen)
		return;
	d->irqs_seen = irqs;
	begin(d, 0, VIRTIO_MMIO_INTERRUPT_STATUS, true, 0);
	d->op[0] = DRIVER_READS_STATUS;
}

static void kick(struct driver *d)
{
	for (unsigned int i = 0; i < d->front.nqueues; i++) {
		unsigned int v = 1 + i % (HOST_VCPUS - 1);

		if (!(d->kicks >> i & 1) || d->op[v] != DRIVER_IDLE)
			continue;
		d->kicks &= ~(UINT32_C(1) << i);
		begin(d, v, VIRTIO_MMIO_QUEUE_NOTIFY, false, i);
		d->op[v] = DRIVER_KICKS;
	}
}

void driver_step(struct driver *d)
{
	look_at_vcpus(d);
	take_interrupt(d);
	kick(d);
}

void driver_wait(struct driver *d, uint64_t ns)
{
	d->seen = host_wait(d->seen, ns);
}

bool driver_is_quiet(const struct driver *d)
{
	for (unsigned int v = 0; v < HOST_VCPUS; v++)
		if (d->op[v] != DRIVER_IDLE)
			return false;
	return !d->kicks && domain_irqs(d->irq) == d->irqs_seen;
}
