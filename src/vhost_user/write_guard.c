/* SPDX-License-Identifier: MIT */
/* Signalling eventfds of a peer; see vhost_user/write_guard.h. */
#include "vhost_user/write_guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/watcher.h"

/* A write that takes longer than one, and may take two, is interrupted. */
#define TICK_NS (250 * NS_PER_MS)

/* ---- in the watcher's thread ---- */

/* Interrupt what has not ended since the last look: whether any was written. */
static bool look(struct write_guard *guard)
{
	bool any = false;

	pthread_mutex_lock(&guard->lock);
	for (struct guarded_write *w = guard->writes; w; w = w->next) {
		uint32_t count = __atomic_load_n(&w->count, __ATOMIC_SEQ_CST);

		if (count == w->seen && (count & 1))
			syscall(SYS_tgkill, getpid(),
				__atomic_load_n(&w->tid, __ATOMIC_RELAXED),
				SIGURG);
		any |= count != w->seen || (count & 1);
		w->seen = count;
	}
	pthread_mutex_unlock(&guard->lock);
	return any;
}

/* Is nothing written any more? Then the next write wakes us. */
static bool fall_asleep(struct write_guard *guard)
{
	/*
	 * Before the look: pairs with the writer's count before its look at
	 * `asleep`. One of the two sees the other.
	 */
	__atomic_store_n(&guard->asleep, true, __ATOMIC_SEQ_CST);
	if (!look(guard))
		return true;
	__atomic_store_n(&guard->asleep, false, __ATOMIC_SEQ_CST);
	return false;
}

static void ticked(struct loop_timer *timer)
{
	struct write_guard *guard = container_of(timer, struct write_guard,
						 tick);

	if (look(guard) || !fall_asleep(guard))
		loop_arm(guard->loop, timer, TICK_NS);
}

static void woken(struct loop_source *source, uint32_t events)
{
	struct write_guard *guard = container_of(source, struct write_guard,
						 wake);
	uint64_t n;

	(void)events;
	if (read(source->fd, &n, sizeof(n)) == sizeof(n))
		loop_arm(guard->loop, &guard->tick, TICK_NS);
}

static void end(void *arg)
{
	struct write_guard *guard = arg;

	loop_remove(guard->loop, &guard->wake);
	loop_disarm(guard->loop, &guard->tick);
}

/* ---- life ---- */

static void on_signal(int signo)
{
	(void)signo;
}

/* Without SA_RESTART: that the system call ends is all that is wanted. */
static int install(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGURG, &action, NULL) ? -errno : 0;
}

int write_guard_start(struct write_guard *guard)
{
	int r = install();

	if (r)
		return r;
	memset(guard, 0, sizeof(*guard));
	r = watcher_start(&guard->loop);
	if (r)
		return r;
	guard->asleep = true;
	guard->tick.due = ticked;
	guard->wake.ready = woken;
	guard->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guard->wake.fd < 0)
		return -errno;
	pthread_mutex_init(&guard->lock, NULL);
	r = loop_add(guard->loop, &guard->wake, EPOLLIN);
	if (r == 0)
		return 0;
	pthread_mutex_destroy(&guard->lock);
	close(guard->wake.fd);
	return r;
}

void write_guard_stop(struct write_guard *guard)
{
	watcher_call(end, guard);
	close(guard->wake.fd);
	pthread_mutex_destroy(&guard->lock);
}

void write_guard_add(struct write_guard *guard, struct guarded_write *w)
{
	pthread_mutex_lock(&guard->lock);
	w->guard = guard;
	w->next = guard->writes;
	guard->writes = w;
	pthread_mutex_unlock(&guard->lock);
}

/* ---- the writer ---- */

static pid_t own_tid(void)
{
	static __thread pid_t tid;

	if (!tid)
		tid = (pid_t)syscall(SYS_gettid);
	return tid;
}

static void wake(struct write_guard *guard)
{
	const uint64_t one = 1;

	/* Of several threads, one. */
	if (__atomic_exchange_n(&guard->asleep, false, __ATOMIC_SEQ_CST))
		while (write(guard->wake.fd, &one, sizeof(one)) < 0 &&
		       errno == EINTR)
			continue;
}

bool guarded_write_signal(struct guarded_write *w, int fd)
{
	const uint64_t one = 1;
	bool ok;

	__atomic_store_n(&w->tid, own_tid(), __ATOMIC_RELAXED);
	__atomic_fetch_add(&w->count, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->guard->asleep, __ATOMIC_SEQ_CST))
		wake(w->guard);
	/* A full counter that does not block is a signal already. */
	ok = write(fd, &one, sizeof(one)) == sizeof(one) || errno != EINTR;
	/* Nobody else counts; pairs with the load in look(). */
	__atomic_store_n(&w->count, w->count + 1, __ATOMIC_RELEASE);
	return ok;
}
