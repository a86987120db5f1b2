/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor of the double, with one domain; see host.h.
 *
 * An access of a vCPU goes the way that it has in Xen: to the enabled server
 * that has the range, else it is a data abort. The vCPU stands still until its
 * slot says RESP_READY and the port was notified; a slot that goes backwards
 * crashes the guest. An event for a port that nobody is bound to is lost; a
 * port that is bound anew is pending once.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "host.h"

enum { REMOTE_PORT = 1000 };

/* ---- event channels ------------------------------------------------------ */

static void send_event(struct vcpu *v)
{
	if (!v->bound)
		return;
	if (v->masked) {
		v->pending = true;
		return;
	}
	v->pending = false;
	v->masked = true;
	/* Who has no room is dead: at most one for each vCPU is under way. */
	(void)!send(v->bound->fd, &v->local, sizeof(v->local),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

static struct vcpu *of_port(const struct peer *p, uint64_t port)
{
	for (unsigned int i = 0; i < HOST_VCPUS; i++)
		if (host.vcpu[i].bound == p && host.vcpu[i].local == port)
			return &host.vcpu[i];
	return NULL;
}

void domain_unmask(const struct peer *p, uint32_t port)
{
	struct vcpu *v = of_port(p, port);

	if (!v)
		return;
	v->masked = false;
	if (v->pending)
		send_event(v);
}

static int bind_port(struct peer *p, uint64_t remote, uint64_t *local)
{
	struct vcpu *v = &host.vcpu[remote - REMOTE_PORT];

	/* Who is dead holds no port, though nobody has told us yet. */
	host_bury(p);
	if (remote < REMOTE_PORT || remote >= REMOTE_PORT + HOST_VCPUS ||
	    !host.server.exists || v->bound)
		return EINVAL;
	v->bound = p;
	v->local = host.next_port++;
	v->masked = false;
	host.binds++;
	*local = v->local;
	/* What was sent while nobody was bound is lost. */
	send_event(v);
	return 0;
}

void domain_lost(const struct peer *p)
{
	for (unsigned int i = 0; i < HOST_VCPUS; i++)
		if (host.vcpu[i].bound == p)
			host.vcpu[i].bound = NULL;
}

/* ---- a vCPU and its slot ------------------------------------------------- */

/* Xen looks at the slot of a vCPU that was notified: wait_for_io(). */
static void look_at_slot(unsigned int i)
{
	struct vcpu *v = &host.vcpu[i];
	ioreq_t *slot = &host.server.page[i];
	uint8_t state = slot->state;

	if (!v->busy)
		return;
	if (state < v->state) {
		v->crash = true;
		host_notice();
		return;
	}
	v->state = state;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (state != STATE_IORESP_READY)
		return;
	v->value = slot->data;
	slot->state = STATE_IOREQ_NONE;
	v->busy = false;
	host.answers++;
	host_notice();
}

static int notify(const struct peer *p, uint64_t port)
{
	const struct vcpu *v = of_port(p, port);

	if (!v)
		return EINVAL;
	/* Of a server that was destroyed. */
	if (host.server.exists)
		look_at_slot((unsigned int)(v - host.vcpu));
	return 0;
}

static bool has_range(const struct server *s, uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < s->nranges; i++)
		if (first >= s->range[i].first && last <= s->range[i].last)
			return true;
	return false;
}

bool vcpu_begin(unsigned int i, uint64_t addr, uint32_t size, bool read,
		uint64_t data)
{
	struct server *s = &host.server;
	struct vcpu *v = &host.vcpu[i];
	bool found;
	ioreq_t *slot;

	host_lock();
	found = s->exists && s->enabled && has_range(s, addr, addr + size - 1);
	if (found) {
		slot = &s->page[i];
		if (v->busy || slot->state != STATE_IOREQ_NONE)
			die("vCPU %u: its slot is not free", i);
		*v = (struct vcpu){ .busy = true,
				    .bound = v->bound,
				    .local = v->local,
				    .masked = v->masked,
				    .pending = v->pending };
		slot->addr = addr;
		slot->data = data;
		slot->count = 1;
		slot->size = size;
		slot->data_is_ptr = 0;
		slot->dir = read;
		slot->df = 0;
		slot->type = IOREQ_TYPE_COPY;
		__atomic_thread_fence(__ATOMIC_RELEASE);
		slot->state = STATE_IOREQ_READY;
		v->state = STATE_IOREQ_READY;
		send_event(v);
	}
	host_unlock();
	return found;
}

bool vcpu_ended(unsigned int i, uint64_t *value)
{
	bool ended;

	host_lock();
	if (host.vcpu[i].crash)
		die("vCPU %u: Xen has crashed the guest: its slot went from "
		    "state %u to %u",
		    i, host.vcpu[i].state, host.server.page[i].state);
	ended = !host.vcpu[i].busy;
	if (ended && value)
		*value = host.vcpu[i].value;
	host_unlock();
	return ended;
}

uint64_t domain_irqs(unsigned int irq)
{
	uint64_t n;

	host_lock();
	n = host.irqs[irq];
	host_unlock();
	return n;
}

/* ---- the server ---------------------------------------------------------- */

static int create_server(uint64_t *id)
{
	struct server *s = &host.server;

	/* Xen has more of them; a domain of ours has one. */
	if (s->exists)
		die("a second IOREQ server was created");
	s->fd = memfd_create("ioreq", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, WIRE_PAGE))
		die("no memory for a page");
	s->page = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       s->fd, 0);
	if ((void *)s->page == MAP_FAILED)
		die("no memory for a page");
	for (unsigned int i = 0; i < HOST_VCPUS; i++)
		s->page[i].vp_eport = REMOTE_PORT + i;
	s->exists = true;
	s->id = host.next_id++;
	*id = s->id;
	return 0;
}

/* Who stands in it will do so for ever. */
static void destroy_server(void)
{
	struct server *s = &host.server;

	if (!s->exists)
		return;
	munmap(s->page, WIRE_PAGE);
	close(s->fd);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
	host_notice();
}

static int map_range(struct server *s, uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < s->nranges; i++)
		if (first <= s->range[i].last && last >= s->range[i].first)
			return EEXIST;
	if (s->nranges == HOST_RANGES_MAX)
		return EIO;
	s->range[s->nranges++] = (struct range){ first, last };
	return 0;
}

static int unmap_range(struct server *s, uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < s->nranges; i++) {
		if (s->range[i].first != first || s->range[i].last != last)
			continue;
		s->range[i] = s->range[--s->nranges];
		return 0;
	}
	return ENOENT;
}

static int server_answer(const struct wire_request *request, int *fd)
{
	struct server *s = &host.server;

	if (!s->exists || request->arg[0] != s->id)
		return ENOENT;
	switch (request->call) {
	case WIRE_DESTROY_SERVER:
		destroy_server();
		return 0;
	case WIRE_SERVER_STATE:
		s->enabled = request->arg[1];
		return 0;
	case WIRE_MAP_RANGE:
		return map_range(s, request->arg[1], request->arg[2]);
	case WIRE_UNMAP_RANGE:
		return unmap_range(s, request->arg[1], request->arg[2]);
	default:
		*fd = dup(s->fd);
		return 0;
	}
}

/* ---- what is asked ------------------------------------------------------- */

static int raise_irq(uint64_t irq, uint64_t level)
{
	if (irq >= HOST_IRQS)
		return EINVAL;
	/* It is an edge: going down says nothing. */
	if (level) {
		host.irqs[irq]++;
		host_notice();
	}
	return 0;
}

static int domain_call(const struct wire_request *request,
		       struct wire_reply *reply, int *fd)
{
	switch (request->call) {
	case WIRE_NR_VCPUS:
		reply->value[0] = HOST_VCPUS;
		return 0;
	case WIRE_CREATE_SERVER:
		return create_server(&reply->value[0]);
	case WIRE_IRQ:
		return raise_irq(request->arg[0], request->arg[1]);
	case WIRE_MAY_MAP:
		return 0;
	default:
		return server_answer(request, fd);
	}
}

static int domain_info(const struct wire_request *request,
		       struct wire_reply *reply)
{
	if (host.exists && request->domid <= host.domid) {
		reply->n = 1;
		reply->value[0] = host.domid;
		reply->value[1] = host.life;
	}
	return 0;
}

int domain_answer(struct peer *p, const struct wire_request *request,
		  struct wire_reply *reply, int *fd)
{
	bool known = host.exists && request->domid == host.domid;

	switch (request->call) {
	case WIRE_DOMAIN_INFO:
		return domain_info(request, reply);
	case WIRE_UNBIND:
		if (!of_port(p, request->arg[0]))
			return EINVAL;
		of_port(p, request->arg[0])->bound = NULL;
		return 0;
	case WIRE_NOTIFY:
		return notify(p, request->arg[0]);
	default:
		break;
	}
	if (p->restricted >= 0 && (int)request->domid != p->restricted)
		return EPERM;
	if (!known)
		return ESRCH;
	if (request->call == WIRE_BIND)
		return bind_port(p, request->arg[0], &reply->value[0]);
	return domain_call(request, reply, fd);
}

/* ---- life ---------------------------------------------------------------- */

void domain_create(unsigned int domid)
{
	char path[WIRE_PATH_MAX];

	host_lock();
	host.domid = domid;
	host.exists = true;
	host.life = 0;
	host.introduced = true;
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	tool_write(path, "web");
	snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
	tool_write(path, "/vm/00000000-0000-0000-0000-%012u", domid);
	store_fire("@introduceDomain");
	host_unlock();
}

void domain_die(uint32_t life)
{
	host_lock();
	host.life = life;
	store_fire("@releaseDomain");
	host_unlock();
}

void domain_destroy(void)
{
	char path[WIRE_PATH_MAX];

	host_lock();
	host.exists = false;
	host.introduced = false;
	destroy_server();
	memset(host.vcpu, 0, sizeof(host.vcpu));
	snprintf(path, sizeof(path), "/local/domain/%u", host.domid);
	tool_remove(path);
	store_fire("@releaseDomain");
	host_unlock();
}
