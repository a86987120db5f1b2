/* SPDX-License-Identifier: MIT */
/*
 * Allocations that fail, for LD_PRELOAD: the one that the orders name, from
 * the start of the program on. See daemon.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static struct alloc_orders *orders;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULTS_ORDERS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED,
		    fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		orders = page;
}

/* Whether this one fails. */
static int fails(const char *kind, size_t n, const void *caller)
{
	unsigned int now;

	if (!orders)
		return 0;
	now = __atomic_add_fetch(&orders->count, 1, __ATOMIC_SEQ_CST);
	if (!orders->fail_at || now < orders->fail_at ||
	    (now > orders->fail_at && !orders->stays))
		return 0;
	if (now == orders->fail_at)
		snprintf(orders->what, sizeof(orders->what), "%s(%zu) at %p",
			 kind, n, caller);
	__atomic_store_n(&orders->failed, 1, __ATOMIC_SEQ_CST);
	errno = ENOMEM;
	return 1;
}

#define HERE __builtin_return_address(0)

void *malloc(size_t n)
{
	return fails("malloc", n, HERE) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails("calloc", n * size, HERE) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails("realloc", n, HERE) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fails("aligned_alloc", n, HERE) ? NULL :
						 __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	if (fails("posix_memalign", n, HERE))
		return ENOMEM;
	*p = __libc_memalign(align, n);
	return *p ? 0 : ENOMEM;
}

char *strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = fails("strdup", n, HERE) ? NULL : __libc_malloc(n);

	return copy ? memcpy(copy, s, n) : NULL;
}
