/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_again.h"

#include <sys/eventfd.h>

#include "lib/model_guest.h"

static struct {
	struct loop *loop;
	struct loop_source source;
	int fd; /* the same, once it is watched; atomic */
} told = { .fd = -1 };

static void told_to_end(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	loop_quit(told.loop);
}

int __wrap_signals_open(struct loop *loop, const struct signals_owner_ops *ops)
{
	(void)ops;
	told.loop = loop;
	told.source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	told.source.ready = told_to_end;
	must(loop_add(loop, &told.source, EPOLLIN) == 0);
	__atomic_store_n(&told.fd, told.source.fd, __ATOMIC_RELEASE);
	return 0;
}

void ask_stop(void)
{
	const uint64_t one = 1;

	wait_until(__atomic_load_n(&told.fd, __ATOMIC_ACQUIRE) >= 0);
	must(write(told.fd, &one, sizeof(one)) == sizeof(one));
}

bool stopped(void)
{
	bool well = program_ended();

	close(told.fd);
	told.fd = -1;
	return well;
}
