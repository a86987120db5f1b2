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

void xen_check_slots(void)
{
	for (unsigned int i = 0; i < xen.nvcpus; i++) {
		assert_true(xen.page[i].state >= xen.vcpu[i].state);
		xen.vcpu[i].state = xen.page[i].state;
	}
}

/* Around each call: the process may die before it, or after. */
static void step_begins(void)
{
	xen_check_slots();
	xen.steps++;
	if (xen.steps == xen.die_at && !xen.die_after) {
		xen.died = true;
		longjmp(xen.death, 1);
	}
}

static void step_ends(void)
{
	if (xen.steps == xen.die_at && xen.die_after) {
		xen.died = true;
		longjmp(xen.death, 1);
	}
}

/* ---- what is wrapped ----------------------------------------------------- */

int __wrap_xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid,
				   unsigned int *vcpus)
{
	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	*vcpus = xen.nr_vcpus_says ? xen.nr_vcpus_says : xen.nvcpus;
	step_ends();
	return 0;
}

int __wrap_xendevicemodel_create_ioreq_server(xendevicemodel_handle *h,
					      domid_t domid, int bufioreq,
					      ioservid_t *id)
{
	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(bufioreq, 0);
	/* One that nobody knows of does no harm. */
	if (xen.servers) {
		assert_true(xen.died && !xen.enabled && !xen.nranges);
		xen.orphans++;
	}
	xen.servers = 1;
	xen.server = XEN_SERVER + xen.orphans;
	*id = (ioservid_t)xen.server;
	step_ends();
	return 0;
}

int __wrap_xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h,
					       domid_t domid, ioservid_t id)
{
	(void)h;
	step_begins();
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, xen.server);
	assert_int_equal(xen.servers, 1);
	xen.servers--;
	xen.enabled = 0;
	xen.nranges = 0;
	step_ends();
	return 0;
}

int __wrap_xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h,
						 domid_t domid, ioservid_t id,
						 int enabled)
{
	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, xen.server);
	xen.enabled = enabled != 0;
	/* The ports are valid from now on. */
	for (unsigned int i = 0; i < xen.nvcpus; i++)
		xen.page[i].vp_eport = XEN_REMOTE_PORT + i;
	step_ends();
	return 0;
}

int __wrap_xendevicemodel_map_io_range_to_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end)
{
	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, xen.server);
	assert_int_equal(is_mmio, 1);
	assert_true(xen.nranges < XEN_RANGES_MAX);
	for (unsigned int i = 0; i < xen.nranges; i++)
		if (start <= xen.range[i].last && end >= xen.range[i].first) {
			errno = EEXIST;
			return -1;
		}
	xen.range[xen.nranges++] = (struct model_range){ start, end };
	step_ends();
	return 0;
}

int __wrap_xendevicemodel_unmap_io_range_from_ioreq_server(
	xendevicemodel_handle *h, domid_t domid, ioservid_t id, int is_mmio,
	uint64_t start, uint64_t end)
{
	(void)h;
	step_begins();
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(id, xen.server);
	assert_int_equal(is_mmio, 1);
	for (unsigned int i = 0; i < xen.nranges; i++) {
		if (xen.range[i].first != start || xen.range[i].last != end)
			continue;
		xen.range[i] = xen.range[--xen.nranges];
		step_ends();
		return 0;
	}
	/* The row of one that has died may have no range. */
	if (!xen.died)
		fail_msg("a range that was not mapped is unmapped");
	errno = ENOENT;
	return -1;
}

int __wrap_xendevicemodel_set_irq_level(xendevicemodel_handle *h, domid_t domid,
					uint32_t irq, unsigned int level)
{
	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(level, 1);
	xen.irq = irq;
	xen.irqs++;
	if (xen.irq_status)
		xen.irq_status_seen = *xen.irq_status;
	return 0;
}

xenforeignmemory_resource_handle *__wrap_xenforeignmemory_map_resource(
	xenforeignmemory_handle *h, domid_t domid, unsigned int type,
	unsigned int id, unsigned long frame, unsigned long nr_frames,
	void **paddr, int prot, int flags)
{
	(void)flags;
	step_begins();
	if (xen_call_fails(h))
		return NULL;
	assert_int_equal(domid, XEN_DOMID);
	assert_int_equal(type, XENMEM_resource_ioreq_server);
	if (!xen.servers || id != xen.server) {
		errno = ENOENT;
		return NULL;
	}
	assert_int_equal(frame, 1);
	assert_int_equal(nr_frames, 1);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	xen.pages++;
	*paddr = xen.page;
	step_ends();
	return (void *)&xen.pages;
}

int __wrap_xenforeignmemory_unmap_resource(
	xenforeignmemory_handle *h, xenforeignmemory_resource_handle *res)
{
	(void)h;
	step_begins();
	assert_ptr_equal(res, &xen.pages);
	assert_int_equal(xen.pages, 1);
	xen.pages--;
	step_ends();
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

	step_begins();
	if (xen_call_fails(h))
		return -1;
	assert_int_equal(domid, XEN_DOMID);
	assert_true(xen.enabled);
	assert_true(i < xen.nvcpus && !xen.vcpu[i].bound);
	if (xen.held) {
		xen.held--;
		errno = EINVAL;
		return -1;
	}
	xen.vcpu[i].bound = true;
	step_ends();
	return (int)(XEN_LOCAL_PORT + i);
}

int __wrap_xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int i = port - XEN_LOCAL_PORT;

	(void)h;
	step_begins();
	assert_true(i < xen.nvcpus && xen.vcpu[i].bound);
	xen.vcpu[i].bound = false;
	step_ends();
	return 0;
}

int __wrap_xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int i = port - XEN_LOCAL_PORT;

	(void)h;
	step_begins();
	assert_true(i < xen.nvcpus && xen.vcpu[i].bound);
	/* The vCPU goes on and the slot is Xen's again. */
	assert_int_equal(xen.page[i].state, STATE_IORESP_READY);
	xen.page[i].state = STATE_IOREQ_NONE;
	xen.vcpu[i].state = STATE_IOREQ_NONE;
	xen.vcpu[i].answers++;
	step_ends();
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

void xen_process_dies(void)
{
	evtchn_port_t port;

	xen.died = true;
	xen.pages = 0;
	xen_check_slots();
	for (unsigned int i = 0; i < xen.nvcpus; i++) {
		xen.vcpu[i].bound = false;
		xen.vcpu[i].masked = false;
		xen.vcpu[i].pending = false;
	}
	for (unsigned int end = 0; end < 2; end++)
		while (read(xen.fd[end], &port, sizeof(port)) > 0)
			continue;
}

bool xen_has_range(uint64_t addr)
{
	for (unsigned int i = 0; xen.enabled && i < xen.nranges; i++)
		if (addr >= xen.range[i].first && addr <= xen.range[i].last)
			return true;
	return false;
}

static void xen_send_event(unsigned int vcpu)
{
	evtchn_port_t port = XEN_LOCAL_PORT + vcpu;

	/* To nobody, where the process is gone. */
	if (!xen.vcpu[vcpu].bound)
		return;
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
