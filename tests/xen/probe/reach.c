/* SPDX-License-Identifier: MIT */
/*
 * How far a worker reaches on a real Xen: what somebody tries who has taken one
 * over, on its own guest, on another one and on dom0.
 *
 * usage: reach OWN OTHER		the numbers of two domains that run
 *
 * It is linked with the program's own objects. Each attempt is a child, which
 * opens Xen's handles as a worker does, makes an IOREQ server in the domain
 * that is aimed at, so that there is something to reach for, and gives up what
 * it is to give up:
 *
 *	free		nothing: what is tried can be done at all
 *	restricted	Xen's handles serve the own guest alone
 *	confined	confine_enter(), all that a worker gives up
 *
 * and then it tries. A line for each attempt says what came of it. Status 1:
 * what must not be allowed was, or what has to be was not, without which the
 * rest would say nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/memory.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>

#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#include "worker/confine.h"
#include "worker/confine_list.h"
#include "xen/handles.h"

enum {
	PAGE = 4096,
	RAM_PFN = 0x40000, /* where a guest's memory begins on Arm */
	IRQ = 33,          /* of its first disk */
	RANGE = 0x20f0000, /* where it has none */
	PORTS_MAX = 128,
	FD_MAX = 64,
	DESCRIPTORS_MAX = 8, /* of one device */
	/* Of exit statuses, which are errnos else: */
	RESULTS_MAX = 120,
	CANNOT = 125,
	KILLED = 126, /* by the filter of calls */
};

enum mode { CONFINED, RESTRICTED, FREE, MODES };
enum target { OWN, OTHER, DOM0, TARGETS };

static const char *const mode_name[] = { "confined", "restricted", "free" };
static const char *const target_name[] = { "own", "other", "dom0" };

/*
 * Of the child that tries. Nobody else has handles: what is restricted is so
 * for all who share them.
 */
static struct xen_handles xen;
static int privcmds[DESCRIPTORS_MAX], evtchn = -1;
static unsigned int nprivcmds;
static int privcmd; /* the one that is tried */
static unsigned int domid[TARGETS];
static xen_pfn_t pfn[TARGETS];
static unsigned int aim; /* the domain */
static enum target at;   /* ... as it is called here */

/* What it has made in the domain; shared with who removes it. */
static struct {
	bool there;
	ioservid_t id;
	uint32_t port;
} * server;

static int result_of(int r)
{
	return r < 0 ? -(errno ? errno : EIO) : 0;
}

/* ---- memory ---- */

static int map(void)
{
	int error = 0;
	void *page = xenforeignmemory_map(
		xen.memory, aim, PROT_READ | PROT_WRITE, 1, &pfn[at], &error);

	if (page && !error)
		return 0;
	return error ? error : result_of(-1);
}

static void *room(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  privcmd, 0);

	return page == MAP_FAILED ? NULL : page;
}

static int map_batch(void)
{
	int error = 0;
	struct privcmd_mmapbatch_v2 batch = {
		.num = 1,
		.dom = (domid_t)aim,
		.addr = (uintptr_t)room(),
		.arr = &pfn[at],
		.err = &error,
	};

	if (!batch.addr || ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch))
		return result_of(-1);
	return error;
}

static int map_old_batch(void)
{
	xen_pfn_t frame = pfn[at];
	struct privcmd_mmapbatch batch = {
		.num = 1,
		.dom = (domid_t)aim,
		.addr = (uintptr_t)room(),
		.arr = &frame,
	};

	if (!batch.addr || ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH, &batch))
		return result_of(-1);
	return frame == pfn[at] ? 0 : -EFAULT;
}

static int map_range(void)
{
	struct privcmd_mmap_entry entry = {
		.va = (uintptr_t)room(),
		.mfn = pfn[at],
		.npages = 1,
	};
	struct privcmd_mmap all = { 1, (domid_t)aim, &entry };

	return result_of(entry.va ? ioctl(privcmd, IOCTL_PRIVCMD_MMAP, &all) :
				    -1);
}

static int map_resource(unsigned int type, unsigned int id, unsigned int frame)
{
	struct privcmd_mmap_resource resource = {
		.dom = (domid_t)aim,
		.type = type,
		.id = id,
		.idx = frame,
		.num = 1,
		.addr = (uintptr_t)room(),
	};

	if (!resource.addr)
		return result_of(-1);
	return result_of(
		ioctl(privcmd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource));
}

static int map_server(void)
{
	return map_resource(XENMEM_resource_ioreq_server, server->id,
			    XENMEM_resource_ioreq_server_frame_ioreq(0));
}

static int map_grants(void)
{
	return map_resource(XENMEM_resource_grant_table,
			    XENMEM_resource_grant_table_id_shared, 0);
}

/* ---- events ---- */

static int bind_event(void)
{
	int first = server->there ? (int)server->port : 1;
	int last = server->there ? first : PORTS_MAX;

	errno = 0;
	for (int port = first; port <= last; port++)
		if (xenevtchn_bind_interdomain(xen.events, aim,
					       (evtchn_port_t)port) >= 0)
			return 0;
	return result_of(-1);
}

static int offer_event(void)
{
	struct ioctl_evtchn_bind_unbound_port bind = { aim };

	return result_of(ioctl(evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &bind));
}

/* Those of others that this kernel has, whosever they are. */
static int notify(void)
{
	errno = 0;
	for (unsigned int port = 1; port <= PORTS_MAX; port++)
		if (xenevtchn_notify(xen.events, port) == 0)
			return 0;
	return result_of(-1);
}

/* ---- devices ---- */

static int raise_irq(void)
{
	return result_of(
		xendevicemodel_set_irq_level(xen.model, (domid_t)aim, IRQ, 1));
}

static int make_server(void)
{
	ioservid_t id;
	int r = xendevicemodel_create_ioreq_server(xen.model, (domid_t)aim, 0,
						   &id);

	if (r == 0)
		xendevicemodel_destroy_ioreq_server(xen.model, (domid_t)aim,
						    id);
	return result_of(r);
}

static int take_range(void)
{
	return result_of(xendevicemodel_map_io_range_to_ioreq_server(
		xen.model, (domid_t)aim, server->id, 1, RANGE, RANGE + 0x1ff));
}

static int enable_server(void)
{
	return result_of(xendevicemodel_set_ioreq_server_state(
		xen.model, (domid_t)aim, server->id, 1));
}

static int remove_server(void)
{
	return result_of(xendevicemodel_destroy_ioreq_server(
		xen.model, (domid_t)aim, server->id));
}

/* By the kernel's interface, past Xen's library. */
static int raise_irq_past_library(void)
{
	struct xen_dm_op op = {
		.op = XEN_DMOP_set_irq_level,
		.u.set_irq_level = { .irq = IRQ, .level = 1 },
	};
	privcmd_dm_op_buf_t buffer = { &op, sizeof(op) };
	privcmd_dm_op_t call = { (domid_t)aim, 1, &buffer };

	return result_of(ioctl(privcmd, IOCTL_PRIVCMD_DM_OP, &call));
}

/* ---- past all of it ---- */

/* One that asks for Xen's version: any other one would do as well. */
static int call_xen(void)
{
	privcmd_hypercall_t call = { .op = __HYPERVISOR_xen_version };

	return result_of(ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call));
}

static int restrict_memory_anew(void)
{
	domid_t to = (domid_t)aim;

	return result_of(ioctl(privcmd, IOCTL_PRIVCMD_RESTRICT, &to));
}

static int restrict_events_anew(void)
{
	struct ioctl_evtchn_restrict_domid to = { (domid_t)aim };

	return result_of(ioctl(evtchn, IOCTL_EVTCHN_RESTRICT_DOMID, &to));
}

static int open_memory_anew(void)
{
	return result_of(open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC));
}

static int open_events_anew(void)
{
	return result_of(open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC));
}

static int open_grants(void)
{
	return result_of(open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC));
}

/* ---- what is tried ---- */

enum {
	SERVES = 1,   /* a confined worker can do it to its own guest */
	CAN_BE = 2,   /* who gives up nothing can do it to another one */
	NEVER = 4,    /* who is restricted cannot, whatever it is aimed at */
	CONFINES = 8, /* ... nor is it the handles that keep it from it */
	BY_ANY = 16,  /* by each descriptor that libraries have opened */
};

static const struct attempt {
	const char *what;
	int (*try)(void);
	unsigned int flags;
} attempts[] = {
	{ "map memory", map, SERVES | CAN_BE },
	{ "map memory, by the kernel's call", map_batch,
	  SERVES | CAN_BE | BY_ANY },
	{ "map memory, by its older call", map_old_batch, CAN_BE | BY_ANY },
	{ "map memory, by its oldest call", map_range, BY_ANY },
	{ "map an IOREQ server's page", map_server, SERVES | CAN_BE | BY_ANY },
	{ "map the grant table", map_grants, BY_ANY },
	{ "bind an event channel", bind_event, SERVES | CAN_BE },
	{ "offer an event channel", offer_event, CAN_BE },
	{ "notify by channels of others", notify, NEVER },
	{ "raise an interrupt", raise_irq, SERVES | CAN_BE },
	{ "raise an interrupt, by the kernel's call", raise_irq_past_library,
	  SERVES | CAN_BE | BY_ANY },
	{ "make an IOREQ server", make_server, SERVES | CAN_BE },
	{ "take accesses to a device", take_range, SERVES | CAN_BE },
	{ "enable an IOREQ server", enable_server, SERVES | CAN_BE },
	{ "remove an IOREQ server", remove_server, SERVES | CAN_BE },
	{ "call Xen", call_xen, CAN_BE | NEVER | BY_ANY },
	{ "restrict the handle of memory anew", restrict_memory_anew,
	  CAN_BE | BY_ANY },
	{ "restrict the handle of events anew", restrict_events_anew, CAN_BE },
	{ "open memory anew", open_memory_anew, CAN_BE | NEVER | CONFINES },
	{ "open events anew", open_events_anew, CAN_BE | NEVER | CONFINES },
	{ "open the grants' device", open_grants, NEVER | CONFINES },
};

/* ---- one of them ---- */

static unsigned int descriptors_of(const char *file, int *fds)
{
	char name[64], path[PATH_MAX];
	unsigned int found = 0;

	for (int fd = 3; fd < FD_MAX && found < DESCRIPTORS_MAX; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, path, sizeof(path) - 1);
		if (n <= 0)
			continue;
		path[n] = '\0';
		if (strcmp(path, file) == 0)
			fds[found++] = fd;
	}
	return found;
}

/* Something of ours in the domain, before anything is given up. */
static void make_aim(void)
{
	void *page = NULL;
	xenforeignmemory_resource_handle *resource;

	memset(server, 0, sizeof(*server));
	if (xendevicemodel_create_ioreq_server(xen.model, (domid_t)aim, 0,
					       &server->id))
		return;
	resource = xenforeignmemory_map_resource(
		xen.memory, (domid_t)aim, XENMEM_resource_ioreq_server,
		server->id, XENMEM_resource_ioreq_server_frame_ioreq(0), 1,
		&page, PROT_READ | PROT_WRITE, 0);
	server->there = true;
	/* Its event channels are told then. */
	if (!resource || xendevicemodel_set_ioreq_server_state(
				 xen.model, (domid_t)aim, server->id, 1))
		return;
	server->port = ((shared_iopage_t *)page)->vcpu_ioreq[0].vp_eport;
	xenforeignmemory_unmap_resource(xen.memory, resource);
}

static int give_up(enum mode mode)
{
	const struct confine_settings settings = {
		.calls = CONFINE_ALL_OF_XEN,
		.id = domid[OWN],
		.restrict_handles = xen_handles_restrict,
		.domid = domid[OWN],
	};

	if (mode == RESTRICTED)
		return xen_handles_restrict(domid[OWN]);
	return mode == CONFINED ? confine_enter(&settings) : 0;
}

/* What was said by libraries is of no interest, and would be much. */
static void be_quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0 && !getenv("VERBOSE"))
		dup2(null, STDERR_FILENO);
}

/* What comes of it: allowed, if it is by any of them. */
static int try_each(const struct attempt *a)
{
	int r = -ENOENT;

	for (unsigned int i = 0; i < nprivcmds && r; i++) {
		privcmd = privcmds[i];
		errno = 0;
		r = a->try();
	}
	return r;
}

static _Noreturn void try_in_child(const struct attempt *a, enum mode mode)
{
	int events[DESCRIPTORS_MAX], r;

	be_quiet();
	r = xen_handles_open(&xen);
	if (r)
		_exit(CANNOT);
	nprivcmds = descriptors_of("/dev/xen/privcmd", privcmds);
	if (!nprivcmds || descriptors_of("/dev/xen/evtchn", events) != 1)
		_exit(CANNOT);
	evtchn = events[0];
	privcmd = privcmds[0];
	make_aim();
	if (give_up(mode))
		_exit(CANNOT);
	errno = 0;
	r = a->flags & BY_ANY ? try_each(a) : a->try();
	_exit(r == 0 ? 0 : -r < RESULTS_MAX ? -r : EIO);
}

/* What it has left in the domain goes, whether it was reached or not. */
static _Noreturn void clean_up(void)
{
	be_quiet();
	if (xen_handles_open(&xen))
		_exit(CANNOT);
	if (server->there)
		xendevicemodel_destroy_ioreq_server(xen.model, (domid_t)aim,
						    server->id);
	_exit(0);
}

/* Of a child: its status, or KILLED. */
static int end_of(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "reach: no process\n");
		exit(2);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		fprintf(stderr, "reach: a worker cannot begin\n");
		exit(2);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static int result_in(const struct attempt *a, enum mode mode)
{
	int result;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		try_in_child(a, mode);
	result = end_of(pid);
	pid = fork();
	if (pid == 0)
		clean_up();
	end_of(pid);
	return result;
}

/* ---- all of them ---- */

static const char *text_of(int result)
{
	return result == 0      ? "ALLOWED" :
	       result == KILLED ? "the process is ended" :
				  strerror(result);
}

/* Whether it came out as it has to; also what is of no interest is. */
static bool is_right(const struct attempt *a, enum mode mode, int result)
{
	if (mode == FREE)
		return at != OTHER || !(a->flags & CAN_BE) || result == 0;
	if (mode == RESTRICTED && (a->flags & CONFINES))
		return true;
	if (at != OWN || (a->flags & NEVER))
		return result != 0;
	return !(a->flags & SERVES) || result == 0;
}

static unsigned int try_all(enum mode mode)
{
	unsigned int wrong = 0;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];

		printf("%-10s %-42s", mode_name[mode], a->what);
		for (at = OWN; at < TARGETS; at++) {
			int result;
			bool right;

			aim = domid[at];
			result = result_in(a, mode);
			right = is_right(a, mode, result);
			printf(" %s: %s%s%s", target_name[at], text_of(result),
			       right ? "" : " (WRONG)",
			       at + 1 < TARGETS ? ";" : "\n");
			wrong += !right;
		}
	}
	return wrong;
}

/* Of a page that is ours: dom0 has it where the kernel says. */
static xen_pfn_t own_pfn(void)
{
	uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
			      0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (page == MAP_FAILED || fd < 0)
		return 0;
	*page = 1;
	if (pread(fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / PAGE * sizeof(entry))) !=
	    sizeof(entry))
		entry = 0;
	close(fd);
	return entry & ((UINT64_C(1) << 55) - 1);
}

int main(int argc, char **argv)
{
	unsigned int wrong = 0;

	if (argc != 3)
		return 2;
	domid[OWN] = (unsigned int)atoi(argv[1]);
	domid[OTHER] = (unsigned int)atoi(argv[2]);
	pfn[OWN] = RAM_PFN;
	pfn[OTHER] = RAM_PFN;
	pfn[DOM0] = own_pfn();
	server = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server == MAP_FAILED || !domid[OWN] || !domid[OTHER])
		return 2;
	for (enum mode mode = CONFINED; mode < MODES; mode++)
		wrong += try_all(mode);
	printf("%zu attempts on three domains in three ways; %u not as they "
	       "have to be\n",
	       sizeof(attempts) / sizeof(attempts[0]), wrong);
	return wrong ? 1 : 0;
}
