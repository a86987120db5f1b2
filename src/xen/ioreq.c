/* SPDX-License-Identifier: MIT */
/*
 * The IOREQ server; see xen/ioreq.h.
 *
 * Happy path of an access: Xen fills the vCPU's slot, sets it READY and sends
 * an event. We see READY (in the page itself while the loop polls, or woken by
 * the event), copy the slot, set INPROCESS, have the effect, set RESP_READY and
 * notify the same port. Every request is answered exactly once; a state that
 * goes backwards would make Xen crash the guest.
 *
 * Events are read in bulk and stay masked until the loop goes to sleep, so that
 * a busy loop costs no system call for them. Resting unmasks them first and
 * looks at the page afterwards: an access that comes in between is seen by the
 * look, a later one by its event.
 *
 * At the end of the server there must be nobody on the way to it. Unmapping the
 * ranges keeps out who has not chosen it yet, but not a vCPU that has and has
 * still to fill its slot, nor an INVALIDATE, which goes to every server.
 * Disabling does: Xen pauses the domain for that, so that each vCPU is either
 * standing in its slot or out of the code that fills it. The look at the slots
 * after that is the last one. What is not answered then never is: destroying
 * the server wakes nobody.
 *
 * Failure modes: what cannot be served is answered as a bus without a device
 * would (reads as ones), never left open: the vCPU stands still until then.
 */
#include "xen/ioreq.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "base/log.h"

/* struct ioreq of hvm/ioreq.h, with the state as a byte that can be atomic. */
struct ioreq_slot {
	uint64_t addr;
	uint64_t data;
	uint32_t count;
	uint32_t size;
	uint32_t vp_eport;
	uint16_t pad;
	uint8_t bits;
	uint8_t type;
};

_Static_assert(sizeof(struct ioreq_slot) == sizeof(struct ioreq),
	       "hvm/ioreq.h");

enum {
	/* HVM_IOREQSRV_BUFIOREQ_OFF of hvm/hvm_op.h, hidden from programs. */
	BUFIOREQ_OFF = 0,
	SLOT_STATE = 0x0f,
	SLOT_DATA_IS_PTR = 0x10,
	SLOT_READ = 0x20,
};

static uint8_t state_of(const struct ioreq_slot *slot)
{
	/*
	 * Pairs with Xen's barrier between filling the slot and setting it
	 * READY (ioreq_send).
	 */
	return __atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE) & SLOT_STATE;
}

static void set_state(struct ioreq_slot *slot, uint8_t state)
{
	uint8_t bits = __atomic_load_n(&slot->bits, __ATOMIC_RELAXED);

	/*
	 * Pairs with Xen's barrier between seeing RESP_READY and reading the
	 * data (wait_for_io).
	 */
	__atomic_store_n(&slot->bits, (bits & ~SLOT_STATE) | state,
			 __ATOMIC_RELEASE);
}

static void respond(struct ioreq_server *server, unsigned int i)
{
	set_state(&server->slots[i], STATE_IORESP_READY);
	server->requests++;
	if (xenevtchn_notify(server->xen->events, server->vcpu[i].port))
		log_error("domain %u: cannot notify vCPU %u: %s", server->domid,
			  i, strerror(errno));
}

static struct ioreq_window *find_window(struct ioreq_server *server,
					const struct ioreq_slot *req)
{
	for (struct ioreq_window *w = server->windows; w; w = w->next)
		if (req->addr >= w->base && req->addr - w->base < w->bytes &&
		    req->size <= w->bytes - (req->addr - w->base))
			return w;
	return NULL;
}

/* A copied access to a window: whether it can be answered now. */
static enum virtio_answer access_window(struct ioreq_window *w,
					struct ioreq_slot *slot,
					const struct ioreq_slot *req)
{
	uint64_t offset = req->addr - w->base;

	if (!(req->bits & SLOT_READ))
		return w->write(w, offset, req->size, req->data);
	slot->data = w->read(w, offset, req->size);
	return VIRTIO_DONE;
}

static void handle(struct ioreq_server *server, unsigned int i)
{
	struct ioreq_slot *slot = &server->slots[i];
	const struct ioreq_slot req = *slot;
	struct ioreq_window *w = find_window(server, &req);

	set_state(slot, STATE_IOREQ_INPROCESS);
	if (req.type == IOREQ_TYPE_INVALIDATE) {
		server->invalidate(server);
	} else if (req.type != IOREQ_TYPE_COPY || !w ||
		   (req.bits & SLOT_DATA_IS_PTR)) {
		if (req.bits & SLOT_READ)
			slot->data = UINT64_MAX;
	} else if (access_window(w, slot, &req) == VIRTIO_WAIT) {
		server->vcpu[i].waiting = w;
		return;
	}
	respond(server, i);
}

static bool server_poll(struct loop_poller *poller)
{
	struct ioreq_server *server = container_of(poller, struct ioreq_server,
						   poller);
	bool busy = false;

	for (unsigned int i = 0; i < server->nvcpus; i++) {
		if (state_of(&server->slots[i]) != STATE_IOREQ_READY)
			continue;
		handle(server, i);
		busy = true;
	}
	return busy;
}

static bool server_rest(struct loop_poller *poller)
{
	struct ioreq_server *server = container_of(poller, struct ioreq_server,
						   poller);
	size_t bytes = server->nmasked * sizeof(server->masked[0]);
	ssize_t n;

	if (server->nmasked == 0)
		return true;
	n = write(xenevtchn_fd(server->xen->events), server->masked, bytes);
	if (n != (ssize_t)bytes)
		log_error("domain %u: cannot unmask event channels: %s",
			  server->domid, n < 0 ? strerror(errno) : "short");
	server->nmasked = 0;
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (state_of(&server->slots[i]) == STATE_IOREQ_READY)
			return false;
	return true;
}

/* Take the events that are there; what they are about is in the page. */
static void events_ready(struct loop_source *source, uint32_t events)
{
	struct ioreq_server *server = container_of(source, struct ioreq_server,
						   source);
	size_t room = IOREQ_VCPUS_MAX - server->nmasked;
	ssize_t n;

	(void)events;
	if (room == 0)
		return;
	n = read(source->fd, &server->masked[server->nmasked],
		 room * sizeof(server->masked[0]));
	if (n > 0)
		server->nmasked += (unsigned int)n / sizeof(server->masked[0]);
}

static int bind_vcpus(struct ioreq_server *server)
{
	for (unsigned int i = 0; i < server->nvcpus; i++) {
		int port = xenevtchn_bind_interdomain(
			server->xen->events, server->domid,
			server->slots[i].vp_eport);

		if (port < 0)
			return -errno;
		server->vcpu[i].port = (evtchn_port_t)port;
		server->vcpu[i].bound = true;
	}
	return 0;
}

/* One line for the log: what failed, and why. */
static int failed(const struct ioreq_server *server, const char *what)
{
	int error = errno ? errno : EIO;

	log_error("domain %u: cannot %s: %s", server->domid, what,
		  xen_error(error));
	return -error;
}

static int create(struct ioreq_server *server)
{
	const struct xen_handles *xen = server->xen;
	unsigned int nvcpus;
	void *page = NULL;

	if (xendevicemodel_nr_vcpus(xen->model, server->domid, &nvcpus))
		return failed(server, "learn the number of vCPUs");
	if (nvcpus > IOREQ_VCPUS_MAX) {
		log_error("domain %u has %u vCPUs; at most %d are supported",
			  server->domid, nvcpus, IOREQ_VCPUS_MAX);
		return -E2BIG;
	}
	server->nvcpus = nvcpus;
	if (xendevicemodel_create_ioreq_server(xen->model, server->domid,
					       BUFIOREQ_OFF, &server->id))
		return failed(server, "create an IOREQ server");
	server->created = true;
	server->page = xenforeignmemory_map_resource(
		xen->memory, server->domid, XENMEM_resource_ioreq_server,
		server->id, XENMEM_resource_ioreq_server_frame_ioreq(0), 1,
		&page, PROT_READ | PROT_WRITE, 0);
	if (!server->page)
		return failed(server, "map the IOREQ server's page");
	server->slots = page;
	/* The ports in the page are valid only after this. */
	if (xendevicemodel_set_ioreq_server_state(xen->model, server->domid,
						  server->id, 1))
		return failed(server, "enable the IOREQ server");
	server->enabled = true;
	if (bind_vcpus(server))
		return failed(server, "bind the vCPUs' event channels");
	return 0;
}

int ioreq_server_open(struct ioreq_server *server,
		      const struct xen_handles *xen, struct loop *loop,
		      domid_t domid)
{
	int r;

	assert(server->invalidate && !server->created);
	server->xen = xen;
	server->domid = domid;
	errno = 0;
	r = create(server);
	if (r)
		return r;
	server->source = (struct loop_source){
		.fd = xenevtchn_fd(xen->events),
		.ready = events_ready,
	};
	server->poller = (struct loop_poller){ .poll = server_poll,
					       .rest = server_rest };
	r = loop_add(loop, &server->source, EPOLLIN);
	if (r) {
		errno = -r;
		return failed(server, "watch the event channels");
	}
	server->loop = loop;
	loop_add_poller(loop, &server->poller);
	return 0;
}

/* Fails when the domain is gone already, and nothing is left to do. */
static void unmap_range(struct ioreq_server *server,
			const struct ioreq_window *window)
{
	xendevicemodel_unmap_io_range_from_ioreq_server(
		server->xen->model, server->domid, server->id, 1, window->base,
		window->base + window->bytes - 1);
}

/* Which may be a reset. */
static bool is_write(const struct ioreq_slot *slot)
{
	return slot->type == IOREQ_TYPE_COPY && !(slot->bits & SLOT_READ);
}

void ioreq_server_end(struct ioreq_server *server)
{
	if (!server->enabled)
		return;
	for (; server->windows; server->windows = server->windows->next)
		unmap_range(server, server->windows);
	/* Fails like that as well. */
	xendevicemodel_set_ioreq_server_state(server->xen->model, server->domid,
					      server->id, 0);
	server->enabled = false;
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (state_of(&server->slots[i]) == STATE_IOREQ_READY &&
		    !(server->in_flight && is_write(&server->slots[i])))
			handle(server, i);
}

void ioreq_server_close(struct ioreq_server *server)
{
	if (server->loop) {
		loop_remove_poller(server->loop, &server->poller);
		loop_remove(server->loop, &server->source);
	}
	ioreq_server_end(server);
	for (unsigned int i = 0; i < server->nvcpus; i++) {
		if (server->vcpu[i].waiting)
			respond(server, i);
		if (server->vcpu[i].bound)
			xenevtchn_unbind(server->xen->events,
					 server->vcpu[i].port);
	}
	if (server->page)
		xenforeignmemory_unmap_resource(server->xen->memory,
						server->page);
	if (server->created)
		xendevicemodel_destroy_ioreq_server(server->xen->model,
						    server->domid, server->id);
	memset(server, 0, sizeof(*server));
}

int ioreq_server_add(struct ioreq_server *server, struct ioreq_window *window)
{
	if (xendevicemodel_map_io_range_to_ioreq_server(
		    server->xen->model, server->domid, server->id, 1,
		    window->base, window->base + window->bytes - 1))
		return -errno;
	window->next = server->windows;
	server->windows = window;
	return 0;
}

void ioreq_server_remove(struct ioreq_server *server,
			 struct ioreq_window *window)
{
	struct ioreq_window **link = &server->windows;

	while (*link && *link != window)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = window->next;
	unmap_range(server, window);
	ioreq_server_release(server, window);
}

void ioreq_server_release(struct ioreq_server *server,
			  struct ioreq_window *window)
{
	for (unsigned int i = 0; i < server->nvcpus; i++) {
		if (server->vcpu[i].waiting != window)
			continue;
		server->vcpu[i].waiting = NULL;
		respond(server, i);
	}
}
