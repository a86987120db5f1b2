/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_domain.h"

#define main program_main
#include "program/main.c"
#undef main
struct dom dom;

void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

void a_while(void)
{
	usleep(50000);
}

/* ---- the log ------------------------------------------------------------- */

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "# %d %s\n", level, line);
	xs_lock();
	memcpy(dom.line[dom.nlines++ % LINES_MAX], line, sizeof(line));
	xs_unlock();
}

unsigned int logged(const char *text)
{
	unsigned int n = 0;

	xs_lock();
	for (unsigned int i = 0; i < dom.nlines && i < LINES_MAX; i++)
		n += strstr(dom.line[i], text) != NULL;
	xs_unlock();
	return n;
}

void forget_log(void)
{
	xs_lock();
	dom.nlines = 0;
	xs_unlock();
}

/* ---- the store ----------------------------------------------------------- */

struct block_request *__wrap_block_engine_reap(struct block_engine *engine,
					       unsigned int max)
{
	if (dom.passes)
		dom.passes();
	if (__atomic_load_n(&dom.hold, __ATOMIC_ACQUIRE)) {
		if (engine->inflight)
			__atomic_store_n(&dom.held, true, __ATOMIC_RELEASE);
		return NULL;
	}
	return __real_block_engine_reap(engine, max);
}

void hold(bool on)
{
	__atomic_store_n(&dom.held, false, __ATOMIC_RELEASE);
	__atomic_store_n(&dom.hold, on, __ATOMIC_RELEASE);
	if (on)
		return;
	/* What is held has rung long ago: the loop wakes for something else. */
	xs_lock();
	xs_fire("@introduceDomain");
	xs_unlock();
}

/* A kick is answered before it is acted on. */
void wait_held(void)
{
	wait_until(__atomic_load_n(&dom.held, __ATOMIC_ACQUIRE));
}

/* ---- event channels ------------------------------------------------------ */

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger,
				 unsigned int flags)
{
	(void)logger;
	(void)flags;
	dom.events++;
	return (void *)&dom;
}

/* Its ports go with it; what they have to say is said to the next one. */
int xenevtchn_close(xenevtchn_handle *h)
{
	evtchn_port_t port;

	(void)h;
	xs_lock();
	dom.events--;
	for (unsigned int v = 0; v < VCPUS; v++)
		dom.vcpu[v].bound = false;
	while (read(dom.fd[0], &port, sizeof(port)) == sizeof(port))
		continue;
	take_unmasked();
	xs_unlock();
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	(void)h;
	return dom.fd[0];
}

void send_event(unsigned int v)
{
	evtchn_port_t port = LOCAL_PORT + v;

	if (!dom.vcpu[v].bound || dom.vcpu[v].masked) {
		dom.vcpu[v].pending = true;
		return;
	}
	dom.vcpu[v].pending = false;
	dom.vcpu[v].masked = true;
	must(write(dom.fd[1], &port, sizeof(port)) == sizeof(port));
}

void take_unmasked(void)
{
	evtchn_port_t port;

	while (read(dom.fd[1], &port, sizeof(port)) == sizeof(port)) {
		must(port >= LOCAL_PORT && port < LOCAL_PORT + VCPUS);
		dom.vcpu[port - LOCAL_PORT].masked = false;
		if (dom.vcpu[port - LOCAL_PORT].pending)
			send_event(port - LOCAL_PORT);
	}
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h,
						     uint32_t domid,
						     evtchn_port_t remote)
{
	unsigned int v = remote - REMOTE_PORT;

	(void)h;
	xs_lock();
	must(domid == dom.domid && dom.enabled && v < VCPUS &&
	     !dom.vcpu[v].bound);
	dom.vcpu[v].bound = true;
	dom.vcpu[v].masked = false;
	/* A fresh port is pending once. */
	send_event(v);
	xs_unlock();
	return (int)(LOCAL_PORT + v);
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int v = port - LOCAL_PORT;

	(void)h;
	xs_lock();
	must(v < VCPUS && dom.vcpu[v].bound);
	dom.vcpu[v].bound = false;
	xs_unlock();
	return 0;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	unsigned int v = port - LOCAL_PORT;

	(void)h;
	xs_lock();
	must(v < VCPUS && dom.vcpu[v].bound && dom.vcpu[v].busy);
	must(dom.page[v].state == STATE_IORESP_READY);
	dom.vcpu[v].value = dom.page[v].data;
	dom.page[v].state = STATE_IOREQ_NONE;
	dom.vcpu[v].busy = false;
	dom.answers++;
	xs_unlock();
	return 0;
}

/* ---- the device model's calls -------------------------------------------- */

xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
					   unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (void *)&dom;
}

int xendevicemodel_close(xendevicemodel_handle *h)
{
	(void)h;
	return 0;
}

/* As Xen refuses any call about a domain that is not there. */
static bool no_domain(domid_t domid)
{
	if (dom.exists && domid == dom.domid)
		return false;
	errno = ESRCH;
	return true;
}

int xendevicemodel_nr_vcpus(xendevicemodel_handle *h, domid_t domid,
			    unsigned int *vcpus)
{
	(void)h;
	*vcpus = VCPUS;
	return no_domain(domid) ? -1 : 0;
}

int xendevicemodel_create_ioreq_server(xendevicemodel_handle *h, domid_t domid,
				       int bufioreq, ioservid_t *id)
{
	(void)h;
	(void)bufioreq;
	if (no_domain(domid))
		return -1;
	must(dom.servers++ == 0);
	*id = 0;
	return 0;
}

void happen(void (**what)(void))
{
	void (*f)(void) = *what;

	*what = NULL;
	if (f)
		f();
}

int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *h,
					  domid_t domid, ioservid_t id,
					  int enabled)
{
	(void)h;
	(void)id;
	if (no_domain(domid))
		return -1;
	xs_lock();
	must(dom.servers == 1);
	/* Xen pauses the domain: whoever was on the way has arrived. */
	if (!enabled)
		happen(&dom.on_disable);
	dom.enabled = enabled != 0;
	for (unsigned int v = 0; v < VCPUS; v++)
		dom.page[v].vp_eport = REMOTE_PORT + v;
	xs_unlock();
	return 0;
}

void destroy_server(void)
{
	dom.servers = 0;
	dom.enabled = false;
	dom.nranges = 0;
	for (unsigned int v = 0; v < VCPUS; v++)
		dom.vcpu[v].stuck = dom.vcpu[v].busy;
}

int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *h, domid_t domid,
					ioservid_t id)
{
	(void)h;
	(void)id;
	if (no_domain(domid))
		return -1;
	xs_lock();
	must(dom.servers == 1);
	destroy_server();
	xs_unlock();
	return 0;
}

int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *h,
						domid_t domid, ioservid_t id,
						int is_mmio, uint64_t start,
						uint64_t end)
{
	bool exists = false;

	(void)h;
	(void)id;
	if (no_domain(domid))
		return -1;
	xs_lock();
	happen(&dom.on_map);
	must(is_mmio && dom.servers == 1 && dom.nranges < RANGES_MAX);
	for (unsigned int i = 0; i < dom.nranges; i++)
		if (start <= dom.range[i].last && end >= dom.range[i].first)
			exists = true;
	if (!exists)
		dom.range[dom.nranges++] = (struct range){ start, end };
	xs_unlock();
	errno = EEXIST;
	return exists ? -1 : 0;
}

int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *h,
						    domid_t domid,
						    ioservid_t id, int is_mmio,
						    uint64_t start,
						    uint64_t end)
{
	int r = -1;

	(void)h;
	(void)id;
	(void)is_mmio;
	if (no_domain(domid))
		return -1;
	xs_lock();
	happen(&dom.on_unmap);
	for (unsigned int i = 0; i < dom.nranges; i++) {
		if (dom.range[i].first != start || dom.range[i].last != end)
			continue;
		dom.range[i] = dom.range[--dom.nranges];
		r = 0;
		break;
	}
	xs_unlock();
	must(r == 0);
	return r;
}

int xendevicemodel_set_irq_level(xendevicemodel_handle *h, domid_t domid,
				 uint32_t irq, unsigned int level)
{
	(void)h;
	if (no_domain(domid))
		return -1;
	must(irq >= IRQ && level == 1);
	__atomic_add_fetch(&dom.irqs, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- foreign memory ------------------------------------------------------ */

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
					       unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (void *)&dom;
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
	(void)h;
	return 0;
}

static void map_pages(uint8_t *at, size_t n, const xen_pfn_t *gfn, int *errors)
{
	const uint64_t first = MODEL_BASE / MODEL_PAGE;

	for (size_t i = 0; i < n; i++) {
		uint64_t page = gfn[i] - first;

		errors[i] = gfn[i] < first ||
					    page >= MEMORY_BYTES / MODEL_PAGE ?
				    -EINVAL :
				    0;
		if (errors[i] == 0)
			must(mmap(at + i * MODEL_PAGE, MODEL_PAGE,
				  PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, dom.memory_fd,
				  (off_t)(page * MODEL_PAGE)) != MAP_FAILED);
	}
}

void *xenforeignmemory_map2(xenforeignmemory_handle *h, uint32_t domid,
			    void *addr, int prot, int flags, size_t n,
			    const xen_pfn_t gfn[], int errors[])
{
	(void)h;
	(void)prot;
	if (no_domain((domid_t)domid))
		return NULL;
	addr = mmap(addr, n * MODEL_PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	must(addr != MAP_FAILED);
	map_pages(addr, n, gfn, errors);
	return addr;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t domid, int prot,
			   size_t n, const xen_pfn_t gfn[], int errors[])
{
	return xenforeignmemory_map2(h, domid, NULL, prot, 0, n, gfn, errors);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t n)
{
	(void)h;
	return munmap(addr, n * MODEL_PAGE);
}

xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *h, domid_t domid,
			      unsigned int type, unsigned int id,
			      unsigned long frame, unsigned long nr_frames,
			      void **paddr, int prot, int flags)
{
	void *page;

	(void)h;
	(void)id;
	(void)flags;
	if (no_domain(domid))
		return NULL;
	must(type == XENMEM_resource_ioreq_server && frame == 1 &&
	     nr_frames == 1);
	if (!dom.servers) {
		errno = ENOENT;
		return NULL;
	}
	if (dom.page_fails) {
		errno = dom.page_fails;
		dom.page_fails = 0;
		return NULL;
	}
	xs_lock();
	happen(&dom.on_page);
	xs_unlock();
	page = mmap(NULL, MODEL_PAGE, prot, MAP_SHARED, dom.page_fd, 0);
	must(page != MAP_FAILED);
	*paddr = page;
	dom.pages++;
	return page;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *h,
				    xenforeignmemory_resource_handle *res)
{
	(void)h;
	dom.pages--;
	return munmap(res, MODEL_PAGE);
}

/* ---- libxenctrl, which is looked for while the program runs -------------- */

static void *ctl_open(void *logger, void *dombuild, unsigned int flags)
{
	(void)logger;
	(void)dombuild;
	(void)flags;
	return &dom;
}

static int ctl_close(void *handle)
{
	(void)handle;
	return 0;
}

static int ctl_get(void *handle, uint32_t first, unsigned int max,
		   struct domain_info_head *info)
{
	int n = 0;

	(void)handle;
	(void)max;
	xs_lock();
	dom.looks++;
	if (dom.exists && first <= dom.domid) {
		info->domid = (uint16_t)dom.domid;
		info->flags = dom.life;
		n = 1;
	}
	xs_unlock();
	return n;
}

void *__wrap_dlopen(const char *name, int flags)
{
	if (!name || strncmp(name, "libxenctrl", 10))
		return __real_dlopen(name, flags);
	return dom.no_libxenctrl ? NULL : &dom;
}

void *__wrap_dlsym(void *library, const char *name)
{
	if (library != &dom)
		return __real_dlsym(library, name);
	if (!strcmp(name, "xc_interface_open"))
		return (void *)ctl_open;
	return !strcmp(name, "xc_interface_close") ? (void *)ctl_close :
						     (void *)ctl_get;
}

int __wrap_dlclose(void *library)
{
	return library == &dom ? 0 : __real_dlclose(library);
}
