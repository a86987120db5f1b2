/* SPDX-License-Identifier: MIT */
/*
 * Surviving SIGBUS; see vhost_user/bus_guard.h.
 *
 * The ranges are a fixed table, since the handler may run in any thread at any
 * time: an entry is filled before its base is set and emptied base first. A
 * range is touched only between the two, so the handler sees a whole entry.
 */
#include "vhost_user/bus_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_user/wire.h"

enum {
	/* All regions of a session, its log, the next log, in-flight area. */
	GUARDS_MAX = VHOST_REGIONS_MAX + 3,
};

struct guard {
	uintptr_t base; /* 0: free */
	size_t len;
	size_t page;
	int wake_fd;
	bool torn;
};

static struct guard guards[GUARDS_MAX];

static struct guard *find(uintptr_t address)
{
	for (int i = 0; i < GUARDS_MAX; i++) {
		uintptr_t base = __atomic_load_n(&guards[i].base,
						 __ATOMIC_ACQUIRE);

		if (base && address >= base && address - base < guards[i].len)
			return &guards[i];
	}
	return NULL;
}

/* Put a page of our own at `address`: all of it is async-signal-safe. */
static bool patch(struct guard *guard, uintptr_t address)
{
	const uint64_t one = 1;
	void *page = (void *)(address & ~((uintptr_t)guard->page - 1));

	if (mmap(page, guard->page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	__atomic_store_n(&guard->torn, true, __ATOMIC_RELEASE);
	return write(guard->wake_fd, &one, sizeof(one)) == sizeof(one) ||
	       errno == EAGAIN;
}

static void on_bus(int signo, siginfo_t *info, void *context)
{
	struct guard *guard = find((uintptr_t)info->si_addr);
	int saved = errno;

	(void)context;
	/* Going back without a patch meets the same signal, then unhandled. */
	if (!guard || !patch(guard, (uintptr_t)info->si_addr))
		signal(signo, SIG_DFL);
	errno = saved;
}

int bus_guard_install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_bus,
		.sa_flags = SA_SIGINFO,
	};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

int bus_guard_add(void *base, size_t len, size_t page, int wake_fd)
{
	for (int i = 0; i < GUARDS_MAX; i++) {
		if (guards[i].base)
			continue;
		guards[i].len = len;
		guards[i].page = page;
		guards[i].wake_fd = wake_fd;
		guards[i].torn = false;
		__atomic_store_n(&guards[i].base, (uintptr_t)base,
				 __ATOMIC_RELEASE);
		return i;
	}
	return -ENOSPC;
}

void bus_guard_remove(int guard)
{
	__atomic_store_n(&guards[guard].base, 0, __ATOMIC_RELEASE);
}

bool bus_guard_torn(int guard)
{
	return __atomic_load_n(&guards[guard].torn, __ATOMIC_ACQUIRE);
}
