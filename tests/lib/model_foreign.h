/* SPDX-License-Identifier: MIT */
/*
 * Foreign memory for tests: a guest that is a memory file, of which any page
 * may be bad. Bad pages are not accessible, as they would be on Xen: touching
 * one kills the test. What is mapped is counted in /proc/self/maps. The program
 * has to be linked with --wrap for the three functions.
 */
#ifndef MODEL_FOREIGN_H
#define MODEL_FOREIGN_H

#include "lib/model_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "xen/mapcache.h"

enum {
	CHUNK = MAPCACHE_CHUNK_PAGES << MAPCACHE_PAGE_SHIFT,
	GUEST_CHUNKS = 12,
	GUEST_PAGES = GUEST_CHUNKS * MAPCACHE_CHUNK_PAGES,
	IOV_MAX_PIECES = 16,
};

struct guest {
	int fd;
	bool bad[GUEST_PAGES];
	unsigned int calls;      /* of map and map2 */
	unsigned int fail_at;    /* the call that fails as a whole; 0: none */
	unsigned int fail_calls; /* ... and so many from then on */
	int error;               /* why; 0: EFAULT */
	bool keep;               /* and leaves the address space as it was */
	bool steal;              /* and whose address space somebody takes */
	void *stolen;
};

extern struct guest guest;

extern xenforeignmemory_handle *const handle;

bool is_good(xen_pfn_t gfn);

void *__wrap_xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom,
				   void *addr, int prot, int flags, size_t n,
				   const xen_pfn_t gfn[], int errors[]);

void *__wrap_xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom,
				  int prot, size_t n, const xen_pfn_t gfn[],
				  int errors[]);

int __wrap_xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr,
				  size_t n);

/* Pages of the guest that this process has mapped. */
uint64_t mapped_pages(void);

#endif
