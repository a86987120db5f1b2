/* SPDX-License-Identifier: MIT */
/*
 * A host for tests that run the whole program, main() and all, in a thread: a
 * hypervisor with a domain of two vCPUs, event channels, foreign memory and
 * libxenctrl here, xenstore and the toolstack in model_store.h. They are Xen's
 * libraries by their own names, so nothing of the program is replaced.
 *
 * The test is the toolstack and the vCPUs, step by step. An access of a vCPU
 * goes the way that it has in Xen: to the enabled server that has the range,
 * else it is a data abort. The vCPU stands still until it is answered; one that
 * still stands when the server is destroyed will do so for ever, which is what
 * stuck() tells. A program that ends may leave its server to the next one: Xen
 * keeps it, but for the event channels of the process. Every wait has a limit,
 * and one that is over ends the program.
 */
#ifndef MODEL_DOMAIN_H
#define MODEL_DOMAIN_H

#include "lib/model_store.h"
#include "lib/model_ring.h"

#include <dlfcn.h>
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <xen/hvm/ioreq.h>
#include <xen/memory.h>
#include <xenevtchn.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include "base/clock.h"
#include "base/log.h"
#include "block/engine.h"
#include "virtio/blk_wire.h"
#include "virtio/mmio_wire.h"

int program_main(int argc, char **argv);

enum {
	VCPUS = 2,
	MEMORY_BYTES = 8 << 20,
	BASE = 0x2000000, /* of the first disk's window */
	IRQ = 33,         /* of the first disk */
	RANGES_MAX = 32,
	REMOTE_PORT = 1000,
	LOCAL_PORT = 200,
	LINES_MAX = 256,
	LINE_BYTES = 256,
	WAIT_S = 20, /* a loaded machine is no failure */
	/* XEN_DOMINF_* and SHUTDOWN_* of Xen's public headers. */
	LIFE_DYING = 1 << 0,
	LIFE_SHUTDOWN = 1 << 2,
	LIFE_REBOOT = LIFE_SHUTDOWN | 1 << 16,
	LIFE_SUSPENDED = LIFE_SHUTDOWN | 2 << 16,
};

struct vcpu {
	bool busy;  /* an access is under way */
	bool stuck; /* ... and nobody will ever answer it */
	bool bound, masked, pending;
	uint64_t value; /* of the last answer */
};

struct range {
	uint64_t first, last;
};

struct dom {
	unsigned int domid;
	bool exists;
	uint32_t life; /* LIFE_* */
	bool no_libxenctrl;
	unsigned int looks; /* of the program, at how it does */
	int memory_fd, page_fd;
	struct model_memory memory; /* as the guest sees it */
	ioreq_t *page;              /* Xen's view of it */
	unsigned int servers, pages, events;
	bool enabled;
	struct vcpu vcpu[VCPUS];
	struct range range[RANGES_MAX];
	unsigned int nranges;
	int fd[2]; /* [0] is the program's event channels */
	unsigned int irqs;
	/* While a range is being unmapped, the server being disabled: once. */
	void (*on_unmap)(void);
	/* While a range or the server's page is mapped: once. */
	void (*on_map)(void);
	void (*on_page)(void);
	void (*on_disable)(void);
	void (*passes)(void); /* whoever asks the store; or NULL */
	int page_fails; /* errno of the next mapping of the server's page */
	bool hold;      /* the store answers nothing */
	bool held;      /* ... and a request is there that waits for it */
	char line[LINES_MAX][LINE_BYTES];
	unsigned int nlines;
	const char *disk_option[2]; /* --disk of the program; NULL: none */
	const char *config;         /* its --config; NULL: none */
	const char *states;         /* its --state-dir; made by the host */
	const char *wanted;         /* its --domain; NULL: web */
	bool leaves;                /* the disks, at its end */
	unsigned int answers;       /* of accesses, in all */
	pthread_t program;
	bool running;
};

extern struct dom dom;

/* The world is wrong: no test can go on. */
void give_up(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#define must(cond)                                                            \
	do {                                                                  \
		if (!(cond))                                                  \
			give_up("%s:%d: Xen: not so: %s", __FILE__, __LINE__, \
				#cond);                                       \
	} while (0)

#define wait_until(cond)                                                       \
	do {                                                                   \
		uint64_t end_ = clock_ns() + WAIT_S * NS_PER_SECOND;           \
		while (!(cond)) {                                              \
			if (clock_ns() > end_)                                 \
				give_up("%s:%d: waited in vain: %s", __FILE__, \
					__LINE__, #cond);                      \
			usleep(200);                                           \
		}                                                              \
	} while (0)

/* For what shall not happen: so long, and it is looked for after that. */
void a_while(void);

void __wrap_log_line(enum log_level level, const char *format, ...);

/* Lines with `text` in them, since they were forgotten last. */
unsigned int logged(const char *text);
void forget_log(void);

struct block_request *__wrap_block_engine_reap(struct block_engine *engine,
					       unsigned int max);
struct block_request *__real_block_engine_reap(struct block_engine *engine,
					       unsigned int max);

void hold(bool on);

/* What is to be done once, if anything: with the lock. */
void happen(void (**what)(void));

/* Until a request is there that is held. */
void wait_held(void);

void send_event(unsigned int v);

/* Take what the program unmasked; called where a vCPU looks. */
void take_unmasked(void);

/* Also with the domain's end. */
void destroy_server(void);

struct domain_info_head {
	uint16_t domid, pad;
	uint32_t flags;
};

void *__wrap_dlopen(const char *name, int flags);
void *__real_dlopen(const char *name, int flags);
void *__wrap_dlsym(void *library, const char *name);
void *__real_dlsym(void *library, const char *name);
int __wrap_dlclose(void *library);
int __real_dlclose(void *library);

#endif
