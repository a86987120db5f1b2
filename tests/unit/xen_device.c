/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_nr_vcpus */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_create_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_destroy_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_set_ioreq_server_state */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_map_io_range_to_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_unmap_io_range_from_ioreq_server */
/* LDFLAGS: -Wl,--wrap=xendevicemodel_set_irq_level */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_map_resource */
/* LDFLAGS: -Wl,--wrap=xenforeignmemory_unmap_resource */
/* LDFLAGS: -Wl,--wrap=xenevtchn_fd */
/* LDFLAGS: -Wl,--wrap=xenevtchn_bind_interdomain */
/* LDFLAGS: -Wl,--wrap=xenevtchn_unbind */
/* LDFLAGS: -Wl,--wrap=xenevtchn_notify */
/*
 * The virtio-mmio device in a guest of the fake hypervisor: its window, its
 * interrupt line, and that a reset holds the vCPU until it has happened.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_blk.h"
#include "lib/model_server.h"

#include <stdio.h>
#include <string.h>

#include "xen/device.h"

enum { DEVICE = MODEL_WINDOW, IRQ = MODEL_IRQ };

/* A guest of one vCPU, and in it a device whose driver is up. */
static const struct transport_ops *open_started(struct model_blk *m,
						struct xen_device *device)
{
	start(1);
	model_blk_start(m, (struct model_setup){ 0 });
	assert_int_equal(xen_device_open(device, &f.server, &m->blk.dev, 7,
					 DEVICE, IRQ),
			 0);
	return device->transport.ops;
}

static void test_device(void **state)
{
	struct model_blk m;
	struct xen_device device;
	const struct transport_ops *ops = open_started(&m, &device);

	(void)state;
	assert_int_equal(access_now(0, DEVICE, 4, true, 0), 0x74726976);
	ops->notify_queue(&device.transport, 0);
	assert_int_equal(xen.irq, IRQ);
	assert_int_equal(xen.irqs, 1);
	assert_int_equal(access_now(0, DEVICE + 0x60, 4, true, 0), 1);
	ops->notify_config(&device.transport);
	assert_int_equal(xen.irqs, 2);
	assert_int_equal(access_now(0, DEVICE + 0x60, 4, true, 0), 3);
	access_now(0, DEVICE + 0x64, 4, false, 3);
	assert_int_equal(access_now(0, DEVICE + 0x60, 4, true, 0), 0);
	xen_device_close(&device);
	assert_int_equal(access_now(0, DEVICE, 4, true, 0), UINT64_MAX);
	xen_device_close(&device);
	model_blk_finish(&m);
	finish();
}

/*
 * The line is an edge: a handler that finds no reason in the status lets it go,
 * and nobody raises it again. So the reason is there before.
 */
static void test_reason_before_interrupt(void **state)
{
	struct model_blk m;
	struct xen_device device;
	const struct transport_ops *ops = open_started(&m, &device);

	(void)state;
	xen.irq_status = &m.blk.dev.state->interrupt_status;
	ops->notify_queue(&device.transport, 0);
	assert_int_equal(xen.irq_status_seen, VIRTIO_MMIO_INT_USED);
	access_now(0, DEVICE + 0x64, 4, false, VIRTIO_MMIO_INT_USED);
	ops->notify_config(&device.transport);
	assert_int_equal(xen.irq_status_seen, VIRTIO_MMIO_INT_CONFIG);
	xen.irq_status = NULL;
	xen_device_close(&device);
	model_blk_finish(&m);
	finish();
}

static void take_names(const struct trace_ring *ring, char *names, size_t size)
{
	static struct trace_event event[TRACE_EVENTS];
	char text[TRACE_TEXT_MAX];
	unsigned int torn, n = trace_ring_read(ring, ring, event, &torn);
	size_t used = 0;

	names[0] = '\0';
	for (unsigned int i = 0; i < n; i++) {
		trace_text(text, &event[i]);
		used += (size_t)snprintf(names + used, size - used, "%s\n",
					 strchr(text, ' ') + 1);
		assert_true(used < size);
	}
}

/*
 * Accesses are noted by name, those that each request needs only while it is
 * traced, as are notifications.
 */
static void test_accesses_are_noted(void **state)
{
	static struct trace_ring ring;
	struct trace trace = { .disk = "web/xvda", .ring = &ring };
	struct model_blk m;
	struct xen_device device;
	const struct transport_ops *ops = open_started(&m, &device);
	char names[1024];

	(void)state;
	device.trace = &trace;
	for (unsigned int i = 0; i < 2; i++) {
		access_now(0, DEVICE, 4, true, 0);
		access_now(0, DEVICE + 0x50, 4, false, 0);
		access_now(0, DEVICE + 0x18, 4, false, 7);
		ops->notify_queue(&device.transport, 0);
		access_now(0, DEVICE + 0x60, 4, true, 0);
		access_now(0, DEVICE + 0x64, 4, false, 1);
		access_now(0, DEVICE + 0x114, 4, true, 0);
		ops->notify_config(&device.transport);
		take_names(&ring, names, sizeof(names));
		assert_string_equal(
			names, i == 0 ? "register read MAGIC_VALUE=0x74726976\n"
					"register write +0x18=0x7\n"
					"register read CONFIG+0x14=0x200\n"
					"notify config\n" :
					"register read MAGIC_VALUE=0x74726976\n"
					"register write QUEUE_NOTIFY=0x0\n"
					"register write +0x18=0x7\n"
					"notify queue=0\n"
					"register read INTERRUPT_STATUS=0x3\n"
					"register write INTERRUPT_ACK=0x1\n"
					"register read CONFIG+0x14=0x200\n"
					"notify config\n");
		memset(&ring, 0, sizeof(ring));
		trace.on = true;
	}
	/* Also where the driver is not told of it. */
	trace.on = false;
	virtio_device_needs_reset(&m.blk.dev);
	access_now(0, DEVICE + 0x14, 4, false, 0);
	take_names(&ring, names, sizeof(names));
	assert_string_equal(names, "register write DEVICE_FEATURES_SEL=0x0\n"
				   "device needs reset\n");
	xen_device_close(&device);
	model_blk_finish(&m);
	finish();
}

/* What the transport adds to a device's offer. */
static void test_device_offer(void **state)
{
	const uint64_t added = VIRTIO_FEATURE(VIRTIO_F_NOTIFICATION_DATA) |
			       VIRTIO_FEATURE(VIRTIO_F_RING_RESET);
	struct model_blk m;
	struct xen_device device;

	(void)state;
	start(1);
	model_blk_init(&m, (struct model_setup){ 0 });
	/* The model's device has been offered already. */
	m.blk.dev.state->offered &= ~added;
	m.blk.dev.transport->kind = VIRTIO_STATE_NO_TRANSPORT;
	assert_int_equal(xen_device_open(&device, &f.server, &m.blk.dev, 7,
					 DEVICE, IRQ),
			 0);
	assert_int_equal(m.blk.dev.state->offered & added, added);
	xen_device_close(&device);
	/* To the driver of an adopted device the offer stays as it was. */
	m.blk.dev.state->offered &= ~added;
	assert_int_equal(xen_device_open(&device, &f.server, &m.blk.dev, 7,
					 DEVICE, IRQ),
			 0);
	assert_int_equal(m.blk.dev.state->offered & added, 0);
	xen_device_close(&device);
	/* It is where it was offered, and nowhere else. */
	assert_int_equal(xen_device_open(&device, &f.server, &m.blk.dev, 7,
					 DEVICE + 0x200, IRQ),
			 -EINVAL);
	xen_device_close(&device);
	assert_int_equal(xen_device_open(&device, &f.server, &m.blk.dev, 7,
					 DEVICE, IRQ + 1),
			 -EINVAL);
	xen_device_close(&device);
	assert_int_equal(xen.nranges, 2);
	model_blk_finish(&m);
	finish();
}

/* A reset with a request in flight holds the vCPU until stopped(). */
static void test_device_reset_waits(void **state)
{
	struct model_blk m;
	struct xen_device device;
	struct block_request *req;

	(void)state;
	start(2);
	model_blk_start(&m, (struct model_setup){ 0 });
	xen_device_open(&device, &f.server, &m.blk.dev, 7, DEVICE, IRQ);
	model_request(&m, 0, m.heap, VIRTIO_BLK_T_IN, 0, 512);
	req = virtio_blk_pop(&m.blk.queue[0]);
	assert_non_null(req);
	f.vcpu = 0;
	xen_access(0, DEVICE + 0x70, 4, false, 0);
	assert_true(poll_server());
	assert_int_equal(xen.vcpu[0].answers, 0);
	assert_int_not_equal(access_now(1, DEVICE + 0x70, 4, true, 0), 0);
	model_run(&m, req);
	assert_true(virtio_device_settle(&m.blk.dev));
	device.transport.ops->stopped(&device.transport);
	assert_int_equal(xen.vcpu[0].answers, 1);
	assert_int_equal(access_now(0, DEVICE + 0x70, 4, true, 0), 0);
	xen_device_close(&device);
	model_blk_finish(&m);
	finish();
}

/* A guest can make this happen as often as it likes, but not fill the log. */
static void test_interrupt_fails(void **state)
{
	struct model_blk m;
	struct xen_device device;
	struct model_log log;

	(void)state;
	start(1);
	model_blk_init(&m, (struct model_setup){ 0 });
	xen_device_open(&device, &f.server, &m.blk.dev, 7, DEVICE, IRQ);
	log_begin(&log);
	for (int i = 0; i < 1000; i++) {
		xen.fail_at = xen.calls + 1;
		xen.fail_errno = EINVAL;
		device.transport.ops->notify_queue(&device.transport, 0);
	}
	assert_in_range(log_end(&log), 1, LOG_BURST);
	assert_int_equal(device.interrupts, 1000);
	xen_device_close(&device);
	model_blk_finish(&m);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_reason_before_interrupt),
		cmocka_unit_test(test_device_offer),
		cmocka_unit_test(test_accesses_are_noted),
		cmocka_unit_test(test_device_reset_waits),
		cmocka_unit_test(test_interrupt_fails),
	};

	return cmocka_run_group_tests_name("xen_device", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
