/* SPDX-License-Identifier: MIT */
/*
 * What a test does to the host of model_domain.h: starts and ends the program,
 * attaches and detaches disks as libxl does, makes the vCPUs' accesses, and
 * drives disks through them.
 */
#ifndef MODEL_GUEST_H
#define MODEL_GUEST_H

#include "lib/model_domain.h"

#include <sys/prctl.h>
#include <sys/wait.h>

enum {
	DOMID = 5,
	DEVID = 51712, /* of the first disk; the others follow */
	IMAGE_BYTES = 1 << 20,
	RING_SIZE = 16,
	DISK_AREA = 128 << 10, /* of guest memory */
	DATA_AT = 64 << 10,    /* in it */
	SLOT_BYTES = 8192,     /* of a request: header, status, data */
	BLOCK_BYTES = 4096,
};

/* Xen hands the program an access; with the lock. */
void fill_slot(unsigned int v, uint8_t type, uint64_t addr, uint32_t size,
	       bool read, uint64_t data);

/* Whether a server answers for the address; if not, it is a data abort. */
bool begin_access(unsigned int v, uint64_t addr, uint32_t size, bool read,
		  uint64_t data);

bool answered(unsigned int v);

bool stuck(unsigned int v);

uint64_t register_of(unsigned int disk, uint64_t offset);

uint32_t reg_read(unsigned int disk, uint64_t offset);

void reg_write(unsigned int disk, uint64_t offset, uint32_t value);

/* Whether its registers read as no device. */
bool is_dead(unsigned int disk);

struct driver {
	unsigned int disk;
	struct model_ring ring;
	uint64_t data; /* guest address of its requests */
	unsigned int done;
	char file[64];
};

void negotiate(unsigned int disk);

/* Bring the disk up, as a driver that begins; its ring is made anew. */
void drive(struct driver *d, unsigned int disk);

uint8_t *request_at(const struct driver *d, unsigned int slot);

/* Make a request available; the data is at request_at() + BLOCK_BYTES. */
void offer(struct driver *d, unsigned int slot, uint32_t type, uint64_t block);

void kick(const struct driver *d);

unsigned int take_used(struct driver *d);

/* One request from beginning to end: its status. */
uint8_t request(struct driver *d, uint32_t type, uint64_t block);

/* A node of the disk's directory, for the calls of model_store.h. */
const char *node(unsigned int disk, const char *name);

void make_image(struct driver *d);

/* The program and a domain, with the first `n` disks attached and driven. */
void start_disks(struct driver *disk, unsigned int n);

/* An administrator removes what of the guest outlives the program. */
void remove_states(void);

/* Unlink the image of each of `n` disks that has one. */
void remove_images(const struct driver *disk, size_t n);

/* The directory of a new disk, in one go as libxl's transaction. */
void make_directory(unsigned int disk, const char *file);

void attach(struct driver *d, unsigned int disk);

/* libxl wants the disk to end; the program answers with state 6. */
void ask_detach(unsigned int disk);

void detach(unsigned int disk);

/* xenstore's part of a domain's beginning. */
void introduce(unsigned int domid);

/* The domain shuts down, for a reboot: until the program has seen it. */
void shut_down_for_reboot(void);

/* The domain dies; Xen takes what it had. */
void destroy_domain(void);

void program_start(void);

void ask_end(void);

/* Whether it ended well. */
bool program_ended(void);

/* Nothing may be left of what the program made. */
void check_clean(void);

void end_program(void);

/*
 * Run in a process of its own, for the program has one: what it does with
 * signals lasts until that ends. The status of the process.
 */
int in_child(void (*f)(void));

void run_host_test(void **state);

/* A test that is a function without parameters, on a host of its own. */
#define host_test(f)                                             \
	{                                                        \
#f, run_host_test, NULL, NULL, &(void (*)(void)) \
		{                                                \
			f                                        \
		}                                                \
	}

#endif
