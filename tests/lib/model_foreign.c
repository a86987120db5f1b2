/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_foreign.h"

struct guest guest;

xenforeignmemory_handle *const handle = (void *)&guest;

bool is_good(xen_pfn_t gfn)
{
	return gfn < GUEST_PAGES && !guest.bad[gfn];
}

/* Map what is good of gfn[0..n) to `at`, where nothing is accessible yet. */
static void map_good(uint8_t *at, size_t n, const xen_pfn_t *gfn, int *errors)
{
	for (size_t i = 0, run; i < n; i += run) {
		void *p;

		run = 1;
		errors[i] = is_good(gfn[i]) ? 0 : -EINVAL;
		if (errors[i])
			continue;
		while (i + run < n && is_good(gfn[i + run]) &&
		       gfn[i + run] == gfn[i] + run)
			errors[i + run++] = 0;
		p = mmap(at + i * MODEL_PAGE, run * MODEL_PAGE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 guest.fd, (off_t)(gfn[i] * MODEL_PAGE));
		assert_ptr_not_equal(p, MAP_FAILED);
	}
}

static bool call_fails(void)
{
	guest.calls++;
	errno = guest.error ? guest.error : EFAULT;
	return guest.fail_at && guest.calls >= guest.fail_at &&
	       guest.calls <= guest.fail_at + guest.fail_calls;
}

void *__wrap_xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom,
				   void *addr, int prot, int flags, size_t n,
				   const xen_pfn_t gfn[], int errors[])
{
	assert_ptr_equal(fmem, handle);
	assert_int_equal(dom, 7);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	assert_int_equal(flags, MAP_FIXED);
	if (call_fails()) {
		/*
		 * As the library does: what fails after its mmap() leaves a
		 * hole, and mmap() itself what was there.
		 */
		if (!guest.keep)
			munmap(addr, n * MODEL_PAGE);
		if (guest.steal)
			guest.stolen = mmap(
				addr, MODEL_PAGE, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		errno = guest.error ? guest.error : EFAULT;
		return NULL;
	}
	map_good(addr, n, gfn, errors);
	return addr;
}

void *__wrap_xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom,
				  int prot, size_t n, const xen_pfn_t gfn[],
				  int errors[])
{
	void *p;

	assert_ptr_equal(fmem, handle);
	assert_int_equal(dom, 7);
	assert_int_equal(prot, PROT_READ | PROT_WRITE);
	if (call_fails())
		return NULL;
	p = mmap(NULL, n * MODEL_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	map_good(p, n, gfn, errors);
	return p;
}

int __wrap_xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr,
				  size_t n)
{
	assert_ptr_equal(fmem, handle);
	return munmap(addr, n * MODEL_PAGE);
}

uint64_t mapped_pages(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	uint64_t pages = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t from, to;

		if (strstr(line, "memfd:fake-guest") &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2)
			pages += (to - from) / MODEL_PAGE;
	}
	fclose(maps);
	return pages;
}
