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
 * Who adopts a server finds a slot in any state. READY is an access as any
 * other. INPROCESS: the process before may have had its effect or not, so it
 * is had again, which the core is built for, and the answer is the only one.
 * RESP_READY: the notification may have been lost, so it is sent again; a vCPU
 * that had it looks at its slot and goes on sleeping or running. Whatever was
 * sent while nobody was bound to the ports is found by looking.
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
#include <xen/memory.h>

#include "base/log.h"
#include "xen/event_port.h"
#include "xen/ioreq_slot.h"

enum {
	/* HVM_IOREQSRV_BUFIOREQ_OFF of hvm/hvm_op.h, hidden from programs. */
	BUFIOREQ_OFF = 0,
};

static void notify(struct ioreq_server *server, unsigned int i)
{
	if (xenevtchn_notify(server->xen->events, server->vcpu[i].port))
		log_error("domain %u: cannot notify vCPU %u: %s", server->domid,
			  i, strerror(errno));
}

static void respond(struct ioreq_server *server, unsigned int i)
{
	ioreq_slot_set_state(&server->slots[i], STATE_IORESP_READY);
	server->requests++;
	notify(server, i);
}

static struct ioreq_window *find_window(struct ioreq_server *server,
					const struct ioreq_slot *req)
{
	for (struct ioreq_window *w = server->windows; w; w = w->next)
		if (ioreq_slot_is_within(req, w->base, w->bytes))
			return w;
	return NULL;
}

/* Whether the access is to a window whose owner has still to come. */
static bool is_awaited(const struct ioreq_server *server,
		       const struct ioreq_slot *req)
{
	for (unsigned int i = 0; server->awaited >> i; i++) {
		const struct ioreq_state_window *row =
			&server->state->window[i];

		if ((server->awaited >> i & 1) &&
		    ioreq_slot_is_for_window(req) &&
		    ioreq_slot_is_within(req, row->base, row->bytes))
			return true;
	}
	return false;
}

/* A copied access to a window: whether it can be answered now. */
static enum virtio_answer access_window(struct ioreq_window *w,
					struct ioreq_slot *slot,
					const struct ioreq_slot *req)
{
	uint64_t offset = req->addr - w->base;

	if (!(req->bits & IOREQ_SLOT_READ))
		return w->write(w, offset, req->size, req->data);
	slot->data = w->read(w, offset, req->size);
	return VIRTIO_DONE;
}

/* Whether there was anything to be done: not for an access that waits. */
static bool handle(struct ioreq_server *server, unsigned int i)
{
	struct ioreq_slot *slot = &server->slots[i];
	const struct ioreq_slot req = *slot;
	struct ioreq_window *w;

	if (server->awaited && is_awaited(server, &req))
		return false;
	w = find_window(server, &req);
	server->vcpu[i].left = false;
	ioreq_slot_set_state(slot, STATE_IOREQ_INPROCESS);
	if (req.type == IOREQ_TYPE_INVALIDATE) {
		server->invalidate(server);
	} else if (!w || !ioreq_slot_is_for_window(&req)) {
		if (req.bits & IOREQ_SLOT_READ)
			slot->data = UINT64_MAX;
	} else if (access_window(w, slot, &req) == VIRTIO_WAIT) {
		server->vcpu[i].waiting = w;
		return true;
	}
	respond(server, i);
	return true;
}

static bool server_poll(struct loop_poller *poller)
{
	struct ioreq_server *server = container_of(poller, struct ioreq_server,
						   poller);
	bool busy = false;

	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (ioreq_slot_state(&server->slots[i]) == STATE_IOREQ_READY)
			busy |= handle(server, i);
	return busy;
}

/* Whether the slot has an access that nobody has begun with, and may. */
static bool has_work(const struct ioreq_server *server, unsigned int i)
{
	struct ioreq_slot req;

	if (ioreq_slot_state(&server->slots[i]) != STATE_IOREQ_READY)
		return false;
	req = server->slots[i];
	return !is_awaited(server, &req);
}

static bool unmask(struct ioreq_server *server)
{
	size_t bytes = server->nmasked * sizeof(server->masked[0]);
	ssize_t n = write(xenevtchn_fd(server->xen->events), server->masked,
			  bytes);

	if (n == (ssize_t)bytes) {
		server->nmasked = 0;
		return true;
	}
	log_limited(&server->errors, LOG_LEVEL_ERROR,
		    "domain %u: cannot unmask event channels: %s",
		    server->domid, n < 0 ? strerror(errno) : "short");
	return false;
}

static bool server_rest(struct loop_poller *poller)
{
	struct ioreq_server *server = container_of(poller, struct ioreq_server,
						   poller);

	if (server->nmasked == 0)
		return true;
	/* Nobody would wake us for them: go on polling, and try again. */
	if (!unmask(server))
		return false;
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (has_work(server, i))
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

/* Of a server that is adopted the process before may have them still. */
static int bind_vcpus(struct ioreq_server *server, bool adopted)
{
	unsigned int tries = adopted ? EVENT_PORT_TRIES : 0;

	for (unsigned int i = 0; i < server->nvcpus; i++) {
		int port = event_port_bind(server->xen->events, server->domid,
					   server->slots[i].vp_eport, &tries);

		if (port < 0)
			return port;
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

/* 0 or a negative errno. */
static int map_page(struct ioreq_server *server)
{
	void *page = NULL;

	errno = 0;
	server->page = xenforeignmemory_map_resource(
		server->xen->memory, server->domid,
		XENMEM_resource_ioreq_server, server->id,
		XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &page,
		PROT_READ | PROT_WRITE, 0);
	if (!server->page)
		return errno ? -errno : -EIO;
	server->slots = page;
	return 0;
}

static int count_vcpus(struct ioreq_server *server)
{
	unsigned int nvcpus;

	if (xendevicemodel_nr_vcpus(server->xen->model, server->domid, &nvcpus))
		return failed(server, "learn the number of vCPUs");
	if (nvcpus > IOREQ_VCPUS_MAX) {
		log_error("domain %u has %u vCPUs; at most %d are supported",
			  server->domid, nvcpus, IOREQ_VCPUS_MAX);
		return -E2BIG;
	}
	server->nvcpus = nvcpus;
	return 0;
}

/* Also where it is enabled: then it stays so, and the ports as well. */
static int enable(struct ioreq_server *server, bool adopted)
{
	/* The ports in the page are valid only after this. */
	if (xendevicemodel_set_ioreq_server_state(server->xen->model,
						  server->domid, server->id, 1))
		return failed(server, "enable the IOREQ server");
	server->enabled = true;
	if (bind_vcpus(server, adopted))
		return failed(server, "bind the vCPUs' event channels");
	return 0;
}

static int create(struct ioreq_server *server)
{
	int r = count_vcpus(server);

	if (r)
		return r;
	if (xendevicemodel_create_ioreq_server(server->xen->model,
					       server->domid, BUFIOREQ_OFF,
					       &server->id))
		return failed(server, "create an IOREQ server");
	server->created = true;
	/* Before it is enabled: until then nobody misses it. */
	ioreq_state_begin(server->state, server->domid, server->id,
			  server->nvcpus);
	if (map_page(server))
		return failed(server, "map the IOREQ server's page");
	return enable(server, false);
}

static int watch(struct ioreq_server *server, struct loop *loop)
{
	int r;

	server->source = (struct loop_source){
		.fd = xenevtchn_fd(server->xen->events),
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

static void begin(struct ioreq_server *server, const struct xen_handles *xen,
		  domid_t domid, struct ioreq_state *state)
{
	assert(server->invalidate && !server->created);
	server->xen = xen;
	server->domid = domid;
	server->state = state ? state : &server->own;
	errno = 0;
}

int ioreq_server_open(struct ioreq_server *server,
		      const struct xen_handles *xen, struct loop *loop,
		      domid_t domid, struct ioreq_state *state)
{
	int r;

	begin(server, xen, domid, state);
	r = create(server);
	return r ? r : watch(server, loop);
}

/* ---- the server of another process --------------------------------------- */

/* Whether the slot has an access that was sent, or was left half done. */
static bool is_open(const struct ioreq_server *server, unsigned int i)
{
	return ioreq_slot_state(&server->slots[i]) == STATE_IOREQ_READY ||
	       server->vcpu[i].left;
}

/*
 * See to the slots that nobody awaits any more. READY ones as well: their event
 * may have been taken long ago.
 */
static void look_again(struct ioreq_server *server)
{
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (is_open(server, i))
			handle(server, i);
}

/* What the slots say of the process before. */
static void take_slots(struct ioreq_server *server)
{
	for (unsigned int i = 0; i < server->nvcpus; i++) {
		uint8_t state = ioreq_slot_state(&server->slots[i]);

		if (state == STATE_IOREQ_INPROCESS)
			server->vcpu[i].left = true;
		else if (state == STATE_IORESP_READY)
			notify(server, i);
	}
}

static void take_rows(struct ioreq_server *server)
{
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		if (server->state->window[i].used)
			server->awaited |= UINT32_C(1) << i;
}

/* What a machine may lack now and have later. */
static bool is_passing(int error)
{
	return error == -ENOMEM || error == -EAGAIN || error == -EINTR;
}

/* What Xen refuses is not to be taken for a state that makes no sense. */
static int of_xen(int error)
{
	return error == -EINVAL || error == -EOPNOTSUPP || error == -ENODATA ?
		       -EIO :
		       error;
}

static int find_server(struct ioreq_server *server, const char **why)
{
	int r = of_xen(count_vcpus(server));

	*why = "its domain cannot be asked";
	if (r)
		return r;
	r = ioreq_state_check(server->state, server->domid, server->nvcpus,
			      why);
	if (r)
		return r;
	server->id = (ioservid_t)server->state->server;
	r = map_page(server);
	*why = "there is no memory for the IOREQ server's page";
	if (r == 0 || is_passing(r))
		return r;
	*why = "its IOREQ server is gone";
	return -ENOENT;
}

int ioreq_server_adopt(struct ioreq_server *server,
		       const struct xen_handles *xen, struct loop *loop,
		       domid_t domid, struct ioreq_state *state,
		       const char **why)
{
	int r;

	begin(server, xen, domid, state);
	r = find_server(server, why);
	if (r == 0) {
		*why = "its IOREQ server cannot be gone on with";
		r = of_xen(enable(server, true));
	}
	if (r == 0)
		r = watch(server, loop);
	if (r) {
		ioreq_server_leave(server);
		return r;
	}
	server->created = true;
	take_rows(server);
	take_slots(server);
	look_again(server);
	return 0;
}

static void unbind(struct ioreq_server *server)
{
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (server->vcpu[i].bound)
			xenevtchn_unbind(server->xen->events,
					 server->vcpu[i].port);
	if (server->page)
		xenforeignmemory_unmap_resource(server->xen->memory,
						server->page);
}

static void unwatch(struct ioreq_server *server)
{
	if (!server->loop)
		return;
	loop_remove_poller(server->loop, &server->poller);
	loop_remove(server->loop, &server->source);
}

void ioreq_server_leave(struct ioreq_server *server)
{
	unwatch(server);
	unbind(server);
	memset(server, 0, sizeof(*server));
}

/* ---- the end ------------------------------------------------------------- */

/* Fails when the domain is gone already, and nothing is left to do. */
static void unmap_row(struct ioreq_server *server,
		      struct ioreq_state_window *row)
{
	xendevicemodel_unmap_io_range_from_ioreq_server(
		server->xen->model, server->domid, server->id, 1, row->base,
		row->base + row->bytes - 1);
	/* After it: the next process has to know of a range that is mapped. */
	ioreq_state_remove(row);
}

/* Nobody waits for a window of the process before. */
static void unmap_all(struct ioreq_server *server)
{
	server->windows = NULL;
	server->awaited = 0;
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		if (server->state->window[i].used)
			unmap_row(server, &server->state->window[i]);
}

void ioreq_server_end(struct ioreq_server *server)
{
	if (!server->enabled)
		return;
	unmap_all(server);
	/* Fails like that as well. */
	xendevicemodel_set_ioreq_server_state(server->xen->model, server->domid,
					      server->id, 0);
	server->enabled = false;
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (is_open(server, i) &&
		    !(server->in_flight &&
		      ioreq_slot_is_write(&server->slots[i])))
			handle(server, i);
}

void ioreq_server_close(struct ioreq_server *server)
{
	unwatch(server);
	ioreq_server_end(server);
	for (unsigned int i = 0; i < server->nvcpus; i++)
		if (server->vcpu[i].waiting)
			respond(server, i);
	unbind(server);
	if (server->created) {
		/* Before it: its number may be another server's after that. */
		ioreq_state_end(server->state);
		xendevicemodel_destroy_ioreq_server(server->xen->model,
						    server->domid, server->id);
	}
	memset(server, 0, sizeof(*server));
}

/* ---- windows ------------------------------------------------------------- */

static uint32_t bit_of(const struct ioreq_server *server,
		       const struct ioreq_state_window *row)
{
	return UINT32_C(1) << (row - server->state->window);
}

static bool row_awaited(const struct ioreq_server *server,
			const struct ioreq_state_window *row)
{
	return server->awaited & bit_of(server, row);
}

/* The row of a window, before its range is mapped. */
static int take_row(struct ioreq_server *server, struct ioreq_window *window)
{
	struct ioreq_state_window *row = ioreq_state_find(server->state,
							  window->id);

	if (!row)
		return ioreq_state_add(server->state, window->id, window->base,
				       window->bytes, &window->row);
	assert(row_awaited(server, row));
	window->row = row;
	return row->base == window->base && row->bytes == window->bytes ?
		       0 :
		       -EINVAL;
}

/* The process before has mapped it, or was killed before it came to that. */
static bool is_mapped_already(const struct ioreq_server *server,
			      const struct ioreq_window *window)
{
	return errno == EEXIST && row_awaited(server, window->row);
}

int ioreq_server_add(struct ioreq_server *server, struct ioreq_window *window)
{
	int r = take_row(server, window);

	if (r)
		return r;
	if (xendevicemodel_map_io_range_to_ioreq_server(
		    server->xen->model, server->domid, server->id, 1,
		    window->base, window->base + window->bytes - 1) &&
	    !is_mapped_already(server, window)) {
		r = -errno;
		if (!row_awaited(server, window->row))
			ioreq_state_remove(window->row);
		return r;
	}
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
	if (row_awaited(server, window->row))
		return;
	unmap_row(server, window->row);
	ioreq_server_release(server, window);
}

bool ioreq_server_awaits(const struct ioreq_server *server, uint64_t id)
{
	for (unsigned int i = 0; server->awaited >> i; i++)
		if ((server->awaited >> i & 1) &&
		    server->state->window[i].id == id)
			return true;
	return false;
}

unsigned int ioreq_server_awaited(const struct ioreq_server *server,
				  uint64_t id[IOREQ_WINDOWS_MAX])
{
	unsigned int n = 0;

	for (unsigned int i = 0; server->awaited >> i; i++)
		if (server->awaited >> i & 1)
			id[n++] = server->state->window[i].id;
	return n;
}

void ioreq_server_go_on(struct ioreq_server *server,
			struct ioreq_window *window)
{
	server->awaited &= ~bit_of(server, window->row);
	look_again(server);
}

void ioreq_server_disown(struct ioreq_server *server, uint64_t id)
{
	struct ioreq_state_window *row;

	if (!ioreq_server_awaits(server, id))
		return;
	row = ioreq_state_find(server->state, id);
	unmap_row(server, row);
	server->awaited &= ~bit_of(server, row);
	look_again(server);
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
