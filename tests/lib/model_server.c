/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_server.h"

struct fixture f;

static void check_under_way(void)
{
	xen_check_slots();
	if (!f.any_vcpu)
		assert_int_equal(xen.page[f.vcpu].state, STATE_IOREQ_INPROCESS);
}

static uint64_t window_read(struct ioreq_window *w, uint64_t offset,
			    unsigned int size)
{
	check_under_way();
	f.reads++;
	f.last = w;
	f.offset = offset;
	f.size = size;
	return 0x1122334455667788u;
}

static enum virtio_answer window_write(struct ioreq_window *w, uint64_t offset,
				       unsigned int size, uint64_t value)
{
	check_under_way();
	f.writes++;
	f.last = w;
	f.offset = offset;
	f.size = size;
	f.value = value;
	return f.wait ? VIRTIO_WAIT : VIRTIO_DONE;
}

static void invalidate(struct ioreq_server *server)
{
	assert_ptr_equal(server, &f.server);
	check_under_way();
	f.invalidates++;
}

struct ioreq_window window_at(uint64_t base)
{
	return (struct ioreq_window){ .id = base,
				      .base = base,
				      .bytes = 0x200,
				      .read = window_read,
				      .write = window_write };
}

void set_invalidate(void)
{
	f.server.invalidate = invalidate;
}

int open_server(void)
{
	set_invalidate();
	return ioreq_server_open(&f.server, &xen_fake, &f.loop, XEN_DOMID,
				 f.state);
}

void start(unsigned int nvcpus)
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

void finish(void)
{
	ioreq_server_close(&f.server);
	assert_null(f.loop.pollers);
	loop_finish(&f.loop);
	xen_stop();
}

bool poll_server(void)
{
	return f.server.poller.poll(&f.server.poller);
}

bool rest_server(void)
{
	return f.server.poller.rest(&f.server.poller);
}

uint64_t access_now(unsigned int vcpu, uint64_t addr, uint32_t size, bool read,
		    uint64_t data)
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
