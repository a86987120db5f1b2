/* SPDX-License-Identifier: MIT */
/*
 * The double of Xen's libraries: libxendevicemodel, libxenforeignmemory,
 * libxenevtchn, libxentoolcore and libxenctrl, all in one file that has each of
 * their names; libxenstore is in library_store.c.
 *
 * Each handle is a connection to the host, which has all state and does what is
 * asked. What ends with a process, ends here as it does in Xen: the kernel
 * closes the connection, and the host takes event channels and watches away;
 * mappings end with the process; an IOREQ server stays.
 *
 * Failure: a system call that fails is the call's failure, as with the ioctls
 * of the real ones; the connection is of no use then, for the next answer would
 * be that of another question.
 */
#include "library.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/memory.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xentoolcore.h>

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle *all;

/* ---- a question and its answer ------------------------------------------- */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* By sendmsg(), which a worker that is confined may call. */
static int transmit(int sock, const struct wire_request *request)
{
	struct iovec iov = { (void *)(uintptr_t)request, sizeof(*request) };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*request) ? 0 : -1;
}

static int receive(int sock, struct wire_reply *reply, int *fd)
{
	union control control;
	struct iovec iov = { reply, sizeof(*reply) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.bytes);
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < (ssize_t)offsetof(struct wire_reply, text)) {
		if (n >= 0)
			errno = EPIPE;
		return -1;
	}
	if (CMSG_FIRSTHDR(&msg)) {
		int came;

		memcpy(&came, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(came));
		if (fd)
			*fd = came;
		else
			close(came);
	}
	return 0;
}

static int ask(struct handle *h, const struct wire_request *request,
	       struct wire_reply *reply, int *fd)
{
	int error;

	if (h->sock < 0) {
		errno = EBADF;
		return -1;
	}
	if (transmit(h->sock, request) == 0 && receive(h->sock, reply, fd) == 0)
		return 0;
	error = errno;
	close(h->sock);
	h->sock = -1;
	errno = error;
	return -1;
}

int handle_call(struct handle *h, const struct wire_request *request,
		struct wire_reply *reply, int *fd)
{
	struct wire_reply own;
	int r;

	if (!reply)
		reply = &own;
	pthread_mutex_lock(&h->lock);
	r = ask(h, request, reply, fd);
	pthread_mutex_unlock(&h->lock);
	if (r == 0 && reply->error) {
		errno = reply->error;
		r = -1;
	}
	return r;
}

static int connect_host(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *directory = getenv(WIRE_DIRECTORY);
	int sock;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s",
		 directory ? directory : "/nowhere", WIRE_SOCKET);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&sun, sizeof(sun))) {
		close(sock);
		return -1;
	}
	return sock;
}

struct handle *handle_open(enum wire_call call)
{
	struct wire_request request = { .call = call };
	struct handle *h = calloc(1, sizeof(*h));
	struct wire_reply reply;

	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	h->fd = -1;
	h->sock = connect_host();
	if (h->sock < 0 || handle_call(h, &request, &reply, &h->fd)) {
		handle_close(h);
		return NULL;
	}
	h->bytes = reply.value[0];
	return h;
}

void handle_close(struct handle *h)
{
	int error = errno;

	if (h->sock >= 0)
		close(h->sock);
	if (h->fd >= 0)
		close(h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
	errno = error;
}

/* ---- handles that can be restricted -------------------------------------- */

static struct handle *open_listed(enum wire_call call)
{
	struct handle *h = handle_open(call);

	if (!h)
		return NULL;
	pthread_mutex_lock(&all_lock);
	h->next = all;
	all = h;
	pthread_mutex_unlock(&all_lock);
	return h;
}

static int close_listed(void *handle)
{
	struct handle *h = handle, **link = &all;

	if (!h)
		return 0;
	pthread_mutex_lock(&all_lock);
	while (*link != h)
		link = &(*link)->next;
	*link = h->next;
	pthread_mutex_unlock(&all_lock);
	handle_close(h);
	return 0;
}

int xentoolcore_restrict_all(domid_t domid)
{
	struct wire_request request = { .call = WIRE_RESTRICT, .domid = domid };
	int r = 0;

	pthread_mutex_lock(&all_lock);
	for (struct handle *h = all; r == 0 && h; h = h->next)
		r = handle_call(h, &request, NULL, NULL);
	pthread_mutex_unlock(&all_lock);
	return r;
}

/* ---- the device model's calls -------------------------------------------- */

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (void *)open_listed(WIRE_OPEN_MODEL);
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	return close_listed(h);
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid,
			    unsigned int *vcpus)
{
	struct wire_request request = { .call = WIRE_NR_VCPUS, .domid = domid };
	struct wire_reply reply;

	if (handle_call((void *)h, &request, &reply, NULL))
		return -1;
	*vcpus = (unsigned int)reply.value[0];
	return 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *h, domid_t domid,
				       int bufioreq, ioservid_t *id)
{
	struct wire_request request = { .call = WIRE_CREATE_SERVER,
					.domid = domid };
	struct wire_reply reply;

	(void)bufioreq;
	if (handle_call((void *)h, &request, &reply, NULL))
		return -1;
	*id = (ioservid_t)reply.value[0];
	return 0;
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h, domid_t domid,
					ioservid_t id)
{
	struct wire_request request = { .call = WIRE_DESTROY_SERVER,
					.domid = domid };

	request.arg[0] = id;
	return handle_call((void *)h, &request, NULL, NULL);
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h,
					  domid_t domid, ioservid_t id,
					  int enabled)
{
	struct wire_request request = { .call = WIRE_SERVER_STATE,
					.domid = domid };

	request.arg[0] = id;
	request.arg[1] = enabled != 0;
	return handle_call((void *)h, &request, NULL, NULL);
}

static int call_range(xendevicemodel_handle *h, enum wire_call call,
		      domid_t domid, ioservid_t id, int is_mmio, uint64_t start,
		      uint64_t end)
{
	struct wire_request request = { .call = call, .domid = domid };

	request.arg[0] = id;
	request.arg[1] = start;
	request.arg[2] = end;
	request.arg[3] = is_mmio != 0;
	return handle_call((void *)h, &request, NULL, NULL);
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *h,
						domid_t domid, ioservid_t id,
						int is_mmio, uint64_t start,
						uint64_t end)
{
	return call_range(h, WIRE_MAP_RANGE, domid, id, is_mmio, start, end);
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *h,
						    domid_t domid,
						    ioservid_t id, int is_mmio,
						    uint64_t start,
						    uint64_t end)
{
	return call_range(h, WIRE_UNMAP_RANGE, domid, id, is_mmio, start, end);
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *h, domid_t domid,
				 uint32_t irq, unsigned int level)
{
	struct wire_request request = { .call = WIRE_IRQ, .domid = domid };

	request.arg[0] = irq;
	request.arg[1] = level;
	return handle_call((void *)h, &request, NULL, NULL);
}

/* ---- foreign memory ------------------------------------------------------ */

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (void *)open_listed(WIRE_OPEN_MEMORY);
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	return close_listed(h);
}

static int is_guest(const struct handle *h, xen_pfn_t gfn)
{
	uint64_t first = WIRE_GUEST / WIRE_PAGE;

	return gfn >= first && gfn - first < h->bytes / WIRE_PAGE;
}

/* Pages that follow each other are one mapping. */
static size_t run_length(const struct handle *h, size_t n,
			 const xen_pfn_t gfn[])
{
	size_t i = 1;

	while (i < n && gfn[i] == gfn[0] + i && is_guest(h, gfn[i]))
		i++;
	return i;
}

/* 0, or -1 and errno. */
static int map_pages(struct handle *h, uint8_t *at, int prot, size_t n,
		     const xen_pfn_t gfn[], int errors[])
{
	for (size_t i = 0, run; i < n; i += run) {
		run = 1;
		errors[i] = -EINVAL;
		if (!is_guest(h, gfn[i]))
			continue;
		run = run_length(h, n - i, gfn + i);
		memset(errors + i, 0, run * sizeof(errors[0]));
		if (mmap(at + i * WIRE_PAGE, run * WIRE_PAGE, prot,
			 MAP_SHARED | MAP_FIXED, h->fd,
			 (off_t)(gfn[i] * WIRE_PAGE - WIRE_GUEST)) ==
		    MAP_FAILED)
			return -1;
	}
	return 0;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t domid,
			    void *addr, int prot, int flags, size_t n,
			    const xen_pfn_t gfn[], int errors[])
{
	struct wire_request request = { .call = WIRE_MAY_MAP, .domid = domid };
	struct handle *h = (void *)fmem;
	int error;

	if (handle_call(h, &request, NULL, NULL))
		return NULL;
	addr = mmap(addr, n * WIRE_PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (addr == MAP_FAILED)
		return NULL;
	if (map_pages(h, addr, prot, n, gfn, errors) == 0)
		return addr;
	error = errno;
	munmap(addr, n * WIRE_PAGE);
	errno = error;
	return NULL;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot,
			   size_t n, const xen_pfn_t gfn[], int errors[])
{
	return xenforeignmemory_map2(h, domid, NULL, prot, 0, n, gfn, errors);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t n)
{
	(void)h;
	return munmap(addr, n * WIRE_PAGE);
}

xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *h, domid_t domid,
			      unsigned int type, unsigned int id,
			      unsigned long frame, unsigned long nr_frames,
			      void **paddr, int prot, int flags)
{
	struct wire_request request = { .call = WIRE_MAP_PAGE, .domid = domid };
	int fd = -1, error;
	void *page;

	(void)flags;
	request.arg[0] = id;
	if (type != XENMEM_resource_ioreq_server ||
	    frame != XENMEM_resource_ioreq_server_frame_ioreq(0) ||
	    nr_frames != 1) {
		errno = EINVAL;
		return NULL;
	}
	if (handle_call((void *)h, &request, NULL, &fd))
		return NULL;
	page = mmap(*paddr, WIRE_PAGE, prot, MAP_SHARED, fd, 0);
	error = errno;
	close(fd);
	errno = error;
	if (page == MAP_FAILED)
		return NULL;
	*paddr = page;
	return page;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *h,
				    xenforeignmemory_resource_handle *res)
{
	(void)h;
	return munmap(res, WIRE_PAGE);
}

/* ---- event channels ------------------------------------------------------ */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (void *)open_listed(WIRE_OPEN_EVENTS);
}

int xenevtchn_close(xenevtchn_handle *h)
{
	return close_listed(h);
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return ((struct handle *)h)->fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h,
						     uint32_t domid,
						     evtchn_port_t remote)
{
	struct wire_request request = { .call = WIRE_BIND, .domid = domid };
	struct wire_reply reply;

	request.arg[0] = remote;
	if (handle_call((void *)h, &request, &reply, NULL))
		return -1;
	return (int)reply.value[0];
}

static int call_port(xenevtchn_handle *h, enum wire_call call,
		     evtchn_port_t port)
{
	struct wire_request request = { .call = call, .domid = 0 };

	request.arg[0] = port;
	return handle_call((void *)h, &request, NULL, NULL);
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	return call_port(h, WIRE_UNBIND, port);
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	return call_port(h, WIRE_NOTIFY, port);
}

/* ---- libxenctrl ---------------------------------------------------------- */

/* What the program knows of xc_domaininfo_t. */
struct domain_info {
	uint16_t domid, pad;
	uint32_t flags;
};

void *xc_interface_open(void *logger, void *dombuild, unsigned int flags);
int xc_interface_close(void *handle);
int xc_domain_getinfolist(void *handle, uint32_t first, unsigned int max,
			  struct domain_info *info);

void *xc_interface_open(void *logger, void *dombuild, unsigned int flags)
{
	(void)logger;
	(void)dombuild;
	(void)flags;
	return handle_open(WIRE_OPEN_CONTROL);
}

int xc_interface_close(void *handle)
{
	handle_close(handle);
	return 0;
}

int xc_domain_getinfolist(void *handle, uint32_t first, unsigned int max,
			  struct domain_info *info)
{
	struct wire_request request = { .call = WIRE_DOMAIN_INFO,
					.domid = first };
	struct wire_reply reply;

	if (max < 1 || handle_call(handle, &request, &reply, NULL))
		return -1;
	if (reply.n) {
		info->domid = (uint16_t)reply.value[0];
		info->flags = (uint32_t)reply.value[1];
	}
	return (int)reply.n;
}
