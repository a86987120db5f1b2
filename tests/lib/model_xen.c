/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_xen.h"

struct model_xen xen;

const struct xen_handles xen_fake = {
	(void *)&xen,
	(void *)&xen,
	(void *)&xen,
};

static bool xen_call_fails(const void *handle)
{
	assert_ptr_equal(handle, &xen);
	if (++xen.calls != xen.fail_at)
		return false;
	errno = xen.fail_errno;
	return true;
}

/* ---- what is wrapped ----------------------------------------------------- */

int __wrap_xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid,
				   unsigned int *vcpus)
{
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	*vcpus = xen.nr_vcpus_says ? xen.nr_vcpus_says : xen.nvcpus;
	return 0;
}

int __wrap_xendevicemodel_create_ioreq_server(xendevicemodel_handle *h,
					      domid_t domid, int bufioreq,
					      ioservid_t *id)
{
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(bufioreq, 0);
	xen.servers++;
	*id = XEN_SERVER;
	return 0;
}

int __wrap_xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h,
					       domid_t domid, ioservid_t id)
{
	(void)h;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, XEN_SERVER);
	assert_int_equal(xen.servers, 1);
	xen.servers--;
	xen.enabled = 0;
	xen.nranges = 0;
	return 0;
}

int __wrap_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h,
						 domid_t domid, ioservid_t id,
						 int enabled)
{
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, XEN_SERVER);
	xen.enabled = enabled != 0;
	/* The ports are valid from now on. */
	for (unsigned int i = 0; i < xen.nvcpus; i++)
		xen.page[i].vp_eport = XEN_REMOTE_PORT + i;
	return 0;
}

int __wrap_xendevicemodel_map_io_range_to_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end)
{
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, XEN_SERVER);
	assert_int_equal(is_mmio, 1);
	assert_true(xen.nranges < XEN_RANGES_MAX);
	xen.range[xen.nranges++] = (struct model_range){ start, end };
	return 0;
}

int __wrap_xendevicemodel_unmap_io_range_from_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end)
{
	(void)h;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, XEN_SERVER);
	assert_int_equal(is_mmio, 1);
	for (unsigned int i = 0; i < xen.nranges; i++) {
		if (xen.range[i].first != start || xen.range[i].last != end)
			continue;
		xen.range[i] = xen.range[--xen.nranges];
		return 0;
	}
	fail_msg("a range that was not mapped is unmapped");
	return -1;
}

int __wrap_xendevicemodel_set_irq_level(xendevicemodel_handle *h, domid_t domid,
					uint32_t irq, unsigned int level)
{
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(level, 1);
	xen.irq = irq;
	xen.irqs++;
	return 0;
}

xenforeignmemory_resource_handle *__wrap_xenforeignmemory_map_resource(
	xenforeignmemory_handle *h, domid_t domid, unsigned int type,
	unsigned int id, unsigned long frame, unsigned long nr_frames,
	void **paddr, int prot, int flags)
{
	(void)flags;
	if (xen_call_fails(h))
		return NULL;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(type, XENMEM_resource_ioreq_server);
	assert_int_equal(id, XEN_SERVER);
	assert_int_equal(frame, 1);
	assert_int_equal(nr_frames, 1);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	xen.pages++;
	*paddr = xen.page;
	return (void *)&xen.pages;
}

int __wrap_xenforeignmemory_unmap_resource(
	xenforeignmemory_handle *h, xenforeignmemory_resource_handle *res)
{
	(void)h;
	assert_ptr_equal(res, &xen.pages);
	assert_int_equal(xen.pages, 1);
	xen.pages--;
	return 0;
}

int __wrap_xenevtchn_fd(xenevtchn_handle *h)
{
	assert_ptr_equal(h, &xen);
	return xen.fd[0];
}

xenevtchn_port_or_error_t
__wrap_xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
				  evtchn_port_t remote)
{
	unsigned int i = remote - XEN_REMOTE_PORT;

	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_true(xen.enabled);
	assert_true(i < xen.nvcpus && !xen.vcpu[i].bound);
	xen.vcpu[i].bound = true;
	return (int)(XEN_LOCAL_PORT + i);
}

int __wrap_xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int i = port - XEN_LOCAL_PORT;

	(void)h;
	assert_true(i < xen.nvcpus && xen.vcpu[i].bound);
	xen.vcpu[i].bound = false;
	return 0;
}

int __wrap_xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int i = port - XEN_LOCAL_PORT;

	(void)h;
	assert_true(i < xen.nvcpus && xen.vcpu[i].bound);
	/* The vCPU goes on and the slot is Xen's again. */
	assert_int_equal(xen.page[i].state, STATE_IORESP_READY);
	xen.page[i].state = STATE_IOREQ_NONE;
	xen.vcpu[i].answers++;
	return 0;
}

/* ---- the hypervisor's doings --------------------------------------------- */

void xen_start(unsigned int nvcpus)
{
	memset(&xen, 0, sizeof(xen));
	xen.nvcpus = nvcpus;
	xen.page = mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(xen.page, MAP_FAILED);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, xen.fd), 0);
}

void xen_check_clean(void)
{
	assert_int_equal(xen.servers, 0);
	assert_int_equal(xen.pages, 0);
	assert_int_equal(xen.nranges, 0);
	for (unsigned int i = 0; i < xen.nvcpus; i++)
		assert_false(xen.vcpu[i].bound);
}

void xen_stop(void)
{
	xen_check_clean();
	close(xen.fd[0]);
	close(xen.fd[1]);
	munmap(xen.page, MODEL_PAGE);
}

static void xen_send_event(unsigned int vcpu)
{
	evtchn_port_t port = XEN_LOCAL_PORT + vcpu;

	if (xen.vcpu[vcpu].masked) {
		xen.vcpu[vcpu].pending = true;
		return;
	}
	xen.vcpu[vcpu].masked = true;
	assert_int_equal(write(xen.fd[1], &port, sizeof(port)), sizeof(port));
}

unsigned int xen_take_unmasked(void)
{
	unsigned int n = 0;
	evtchn_port_t port;

	while (read(xen.fd[1], &port, sizeof(port)) == sizeof(port)) {
		struct model_vcpu *vcpu = &xen.vcpu[port - XEN_LOCAL_PORT];

		assert_true(vcpu->masked);
		vcpu->masked = false;
		n++;
		if (!vcpu->pending)
			continue;
		vcpu->pending = false;
		xen_send_event(port - XEN_LOCAL_PORT);
	}
	return n;
}

void xen_access(unsigned int vcpu, uint64_t addr, uint32_t size, bool read,
		uint64_t data)
{
	ioreq_t *req = &xen.page[vcpu];

	assert_int_equal(req->state, STATE_IOREQ_NONE);
	req->addr = addr;
	req->data = data;
	req->count = 1;
	req->size = size;
	req->data_is_ptr = 0;
	req->dir = read;
	req->df = 0;
	req->type = IOREQ_TYPE_COPY;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	req->state = STATE_IOREQ_READY;
	xen_send_event(vcpu);
}

/* ---- what was logged ----------------------------------------------------- */

void log_begin(struct model_log *log)
{
	log->saved = dup(STDERR_FILENO);
	log->fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(log->saved >= 0 && log->fd >= 0);
	assert_int_equal(dup2(log->fd, STDERR_FILENO), STDERR_FILENO);
}

unsigned int log_end(struct model_log *log)
{
	off_t n = lseek(log->fd, 0, SEEK_END);
	unsigned int lines = 0;
	char c;

	assert_int_equal(dup2(log->saved, STDERR_FILENO), STDERR_FILENO);
	while (n-- > 0)
		lines += pread(log->fd, &c, 1, n) == 1 && c == '\n';
	close(log->saved);
	close(log->fd);
	return lines;
}
