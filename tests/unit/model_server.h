/* SPDX-License-Identifier: MIT */
/*
 * An IOREQ server on the fake hypervisor, with two windows that note what they
 * are asked for.
 */
#ifndef MODEL_SERVER_H
#define MODEL_SERVER_H

#include "model_xen.h"

#include "base/clock.h"
#include "base/loop.h"

enum { BASE = 0x2000000, OTHER = 0x2000400 }; /* of the windows */

struct fixture {
	struct loop loop;
	struct ioreq_server server;
	struct ioreq_window window, other;
	unsigned int reads, writes, invalidates;
	uint64_t offset, value;
	unsigned int size;
	struct ioreq_window *last;
	bool wait;         /* writes wait */
	unsigned int vcpu; /* whose access is under way */
};

static struct fixture f;

static inline uint64_t window_read(struct ioreq_window *w, uint64_t offset,
				   unsigned int size)
{
	assert_int_equal(xen.page[f.vcpu].state, STATE_IOREQ_INPROCESS);
	f.reads++;
	f.last = w;
	f.offset = offset;
	f.size = size;
	return 0x1122334455667788u;
}

static inline enum virtio_answer window_write(struct ioreq_window *w,
					      uint64_t offset,
					      unsigned int size, uint64_t value)
{
	assert_int_equal(xen.page[f.vcpu].state, STATE_IOREQ_INPROCESS);
	f.writes++;
	f.last = w;
	f.offset = offset;
	f.size = size;
	f.value = value;
	return f.wait ? VIRTIO_WAIT : VIRTIO_DONE;
}

static inline void invalidate(struct ioreq_server *server)
{
	assert_ptr_equal(server, &f.server);
	assert_int_equal(xen.page[f.vcpu].state, STATE_IOREQ_INPROCESS);
	f.invalidates++;
}

static inline struct ioreq_window window_at(uint64_t base)
{
	return (struct ioreq_window){ .base = base,
				      .bytes = 0x200,
				      .read = window_read,
				      .write = window_write };
}

static inline int open_server(void)
{
	f.server.invalidate = invalidate;
	return ioreq_server_open(&f.server, &xen_fake, &f.loop, XEN_DOMID);
}

static inline void start(unsigned int nvcpus)
{
	memset(&f, 0, sizeof(f));
	xen_start(nvcpus);
	assert_int_equal(loop_init(&f.loop), 0);
	f.window = window_at(BASE);
	f.other = window_at(OTHER);
	assert_int_equal(open_server(), 0);
	assert_int_equal(ioreq_server_add(&f.server, &f.window), 0);
	assert_int_equal(ioreq_server_add(&f.server, &f.other), 0);
}

static inline void finish(void)
{
	ioreq_server_close(&f.server);
	assert_null(f.loop.pollers);
	loop_finish(&f.loop);
	xen_stop();
}

static inline bool poll_server(void)
{
	return f.server.poller.poll(&f.server.poller);
}

static inline bool rest_server(void)
{
	return f.server.poller.rest(&f.server.poller);
}

/* An access of one vCPU that has to be answered at once. */
static inline uint64_t access_now(unsigned int vcpu, uint64_t addr,
				  uint32_t size, bool read, uint64_t data)
{
	unsigned int answers = xen.vcpu[vcpu].answers;

	f.vcpu = vcpu;
	xen_access(vcpu, addr, size, read, data);
	assert_true(poll_server());
	assert_int_equal(xen.vcpu[vcpu].answers, answers + 1);
	/* And once only. */
	assert_false(poll_server());
	assert_int_equal(xen.vcpu[vcpu].answers, answers + 1);
	return xen.page[vcpu].data;
}

#endif
