/* SPDX-License-Identifier: MIT */
/*
 * The host that the double's libraries talk to: a thread that answers them, a
 * hypervisor with one domain (domain.c) and a xenstore (store.c). The test is
 * its toolstack and its vCPUs.
 *
 * All state is behind one lock. What is said of a program that was killed is
 * what the kernel says: its connections are closed.
 */
#ifndef DOUBLE_HOST_H
#define DOUBLE_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <xen/hvm/ioreq.h>

#include "wire.h"

enum {
	HOST_VCPUS = 4,
	HOST_RANGES_MAX = 32,
	HOST_WATCHES_MAX = 16,
	HOST_IRQS = 256,
	HOST_PATH_MAX = WIRE_PATH_MAX + 32, /* absolute */
	/* XEN_DOMINF_* and SHUTDOWN_* of Xen's public headers. */
	LIFE_DYING = 1 << 0,
	LIFE_SHUTDOWN = 1 << 2,
	LIFE_REBOOT = LIFE_SHUTDOWN | 1 << 16,
};

struct store_event {
	struct store_event *next;
	size_t bytes;
	char text[HOST_PATH_MAX + WIRE_PATH_MAX]; /* path, token */
};

struct store_node {
	struct store_node *next;
	char path[HOST_PATH_MAX];
	char value[WIRE_VALUE_MAX];
	bool remove; /* of what a transaction will do */
};

struct store_watch {
	char path[WIRE_PATH_MAX], token[WIRE_PATH_MAX];
};

/* A handle of a process: a connection. */
struct peer {
	struct peer *next;
	int sock;            /* its questions */
	int fd;              /* our end of its other descriptor; or -1 */
	bool opened;         /* it has said what it is */
	enum wire_call kind; /* WIRE_OPEN_* */
	pid_t pid;
	int restricted; /* to this domain; -1: to none */
	/* Of a store. */
	struct store_watch watch[HOST_WATCHES_MAX];
	unsigned int nwatches;
	struct store_event *events;
	bool transaction;
	unsigned int version;    /* ... of the store when it began */
	struct store_node *todo; /* ... what it will do, newest first */
};

struct vcpu {
	bool busy;     /* stands in an access */
	bool crash;    /* its slot went backwards: Xen crashes such a guest */
	uint8_t state; /* of its slot, as last seen */
	uint64_t value;
	struct peer *bound;
	uint32_t local; /* port */
	bool masked, pending;
};

struct range {
	uint64_t first, last;
};

struct server {
	bool exists, enabled;
	uint32_t id;
	int fd; /* of its page */
	ioreq_t *page;
	struct range range[HOST_RANGES_MAX];
	unsigned int nranges;
};

/* Which call of the program fails: the `at`-th. */
struct host_fault {
	unsigned int at; /* 0: none */
	int error;
	bool stays;
	unsigned int seen; /* calls so far */
	bool injected;
	enum wire_call call; /* that failed first */
};

struct host {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int changes; /* anything that the guest may look at */
	char directory[64];   /* of the socket */
	int listener, epoll;
	pthread_t thread;
	struct peer *peers;
	struct host_fault fault;
	/* The domain. */
	bool exists, introduced;
	unsigned int domid;
	uint32_t life; /* LIFE_* */
	int memory_fd;
	uint8_t *memory;
	size_t bytes;
	struct server server;
	uint32_t next_id, next_port;
	struct vcpu vcpu[HOST_VCPUS];
	uint64_t irqs[HOST_IRQS];
	uint64_t answers;   /* accesses */
	unsigned int binds; /* of ports, in all */
	/* The store. */
	struct store_node *nodes;
	unsigned int version; /* counts changes */
};

extern struct host host;

/* A socket in `directory`, and a domain with so much memory that is not yet. */
void host_start(const char *directory, size_t bytes);
void host_stop(void);

void host_lock(void);
void host_unlock(void);

/* Something has changed; with the lock. */
void host_notice(void);

/* Until there are other changes than `seen`, so long at most: how many now. */
unsigned int host_wait(unsigned int seen, uint64_t ns);

/* How many handles processes have; those that are dead have none. */
unsigned int host_peers(void);

/* Close the connections of who is dead, but of who asks; with the lock. */
void host_bury(const struct peer *who_asks);

/* ---- domain.c: all with the lock, but for what is the guest's ---- */

int domain_answer(struct peer *p, const struct wire_request *request,
		  struct wire_reply *reply, int *fd);
void domain_lost(const struct peer *p);
void domain_unmask(const struct peer *p, uint32_t port);

void domain_create(unsigned int domid);
void domain_die(uint32_t life);
/* With all that it has. */
void domain_destroy(void);

/* A vCPU begins an access: false if it is a data abort. */
bool vcpu_begin(unsigned int v, uint64_t addr, uint32_t size, bool read,
		uint64_t data);
/* Whether it has ended; `value` of a read. Dies of a guest that was crashed. */
bool vcpu_ended(unsigned int v, uint64_t *value);
uint64_t domain_irqs(unsigned int irq);

/* ---- store.c ---- */

int store_answer(struct peer *p, const struct wire_request *request,
		 struct wire_reply *reply);
void store_lost(struct peer *p);
/* With the lock. */
void store_fire(const char *path);
void store_finish(void);

/* The toolstack; without the lock or with it. */
void tool_write(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void tool_remove(const char *path);
/* NULL: it is not there. */
bool tool_is(const char *path, const char *value);

#endif
