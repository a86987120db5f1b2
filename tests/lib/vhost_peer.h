/* SPDX-License-Identifier: MIT */
/*
 * A scripted vhost-user front end for the unit tests: it sits at the other end
 * of a socketpair, in the same process and thread as the session, whose loop
 * turns whenever the front end waits.
 */
#ifndef TESTS_VHOST_PEER_H
#define TESTS_VHOST_PEER_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/thread_loop.h"
#include "lib/model_image.h"
#include "worker/vhost_state.h"
#include "vhost_user/bus_guard.h"
#include "vhost_user/connection.h"
#include "vhost_user/queues.h"
#include "vhost_user/requests.h"
#include "vhost_user/takeover.h"

enum {
	PEER_QUEUES = 3,
	PEER_RING = 64, /* entries */
	PEER_MEMORY = 4 << 20,
	PEER_DISK = 8 << 20,
	/* Places in the memory. */
	PEER_RINGS_AT = 0x1000,  /* 0x4000 for each queue */
	PEER_DATA_AT = 0x100000, /* 64 KiB for each entry */
};

#define PEER_GUEST UINT64_C(0x40000000) /* guest address of the memory */
#define PEER_USER UINT64_C(0x7f0000000000)

struct peer {
	struct loop loop;
	struct block_image image;
	struct disk disk;
	struct queue_memory boot;
	struct vhost_connection connection;
	struct vhost_owner owner;
	struct thread_loop thread[PEER_QUEUES];
	struct thread_loop *thread_of[PEER_QUEUES];
	unsigned int closed; /* sessions so far */
	int may_start;       /* what it says to that */
	char file[32];

	int sock; /* the front end's end */
	int memfd;
	uint8_t *memory;
	int kick[PEER_QUEUES], call[PEER_QUEUES], err[PEER_QUEUES];
	uint16_t avail[PEER_QUEUES], used[PEER_QUEUES];
	unsigned int slot[PEER_QUEUES];
};

extern struct peer peer;
extern bool peer_packed;

struct turn {
	struct loop_timer timer;
	struct loop *loop;
};

/* Let the session's loop run for a moment. */
void turn_ns(uint64_t ns);

void turn(void);

bool peer_open(void);

void send_raw(const void *bytes, size_t len, const int *fds, unsigned int nfds);

void send_flags(uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int nfds);

void send_message(uint32_t request, const void *payload, uint32_t size,
		  const int *fds, unsigned int nfds);

/* The next reply: its payload's size, or -1 if the session has been closed. */
int receive_reply(struct vhost_message *m, int *fd);

/* Send and expect an acknowledgement: its number. */
uint64_t ask(uint32_t request, const void *payload, uint32_t size,
	     const int *fds, unsigned int nfds);

void ask_ok(uint32_t request, const void *payload, uint32_t size,
	    const int *fds, unsigned int nfds);

/* Turn until the session has answered the front end's end with its own. */
void expect_closed(void);

void ask_u64(uint32_t request, uint64_t value);

void ask_state(uint32_t request, uint32_t index, uint32_t num);

void ask_fd(uint32_t request, uint32_t index, int fd);

void negotiate(void);

struct vhost_region whole_memory(void);

void share_memory(void);

uint64_t ring_at(unsigned int queue);

struct vhost_vring_addr ring_addr(unsigned int queue, uint32_t flags);

struct vring_desc *ring_desc(unsigned int q);

struct vring_avail *ring_avail(unsigned int q);

struct vring_used *ring_used(unsigned int q);

/* All but that it is enabled. */
void set_up_rings(unsigned int q);

void set_up_queue(unsigned int q);

/* Start a queue where its driver has got with somebody else. */
void go_on(unsigned int q);

void set_up(void);

/* The cache mode, as the configuration tells it. */
uint8_t mode(void);

uint64_t set_config(uint32_t offset, uint32_t size, uint8_t value);

/* Ask for an in-flight area. */
struct vhost_inflight get_inflight(int *fd);

/* Stop a queue: where it stopped. */
uint32_t vring_base(unsigned int q);

/* Whether a log of dirty pages has the page of a guest address. */
bool log_has(const uint8_t *log, uint64_t guest);

/* Where request `slot` has header, status and data: offsets in the memory. */
uint64_t slot_at(unsigned int q, unsigned int slot);

uint8_t *slot_data(unsigned int q, unsigned int slot);

uint8_t slot_status(unsigned int q, unsigned int slot);

void kick(unsigned int q);

/* Put a request into the ring: 3 descriptors from 4 * slot on. */
void submit_at(unsigned int q, unsigned int slot, uint32_t type,
	       uint64_t sector, uint64_t data, uint32_t len);

void submit(unsigned int q, unsigned int slot, uint32_t type, uint64_t sector,
	    uint32_t len);

bool used_is(unsigned int q, uint16_t idx);

/* Turn until everything that was submitted has been used. */
void await(unsigned int q);

bool was_called(unsigned int q);

/* Write a pattern to a sector and read it back. */
void do_io(unsigned int q, uint64_t sector, uint8_t pattern);

/* Connect a front end. */
void connect_peer(void);

void disconnect_peer(void);

void make_file(void);

/* A device with its queues in `nthreads` threads, and a front end for it. */
void peer_start(const char *engine, unsigned int nthreads);

/*
 * Another process instead of the one so far: nothing is left but the file, and
 * what the front end has.
 */
void peer_restart(const char *engine);

void peer_end(void);

unsigned int count_fds(void);

/* Bytes of address space. */
uint64_t vm_size(void);

#endif
