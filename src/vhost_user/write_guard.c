/* SPDX-License-Identifier: MIT */
/* Signalling eventfds of a peer; see vhost_user/write_guard.h. */
#include "vhost_user/write_guard.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

/* A write that takes longer than one, and may take two, is interrupted. */
#define TICK_NS (250 * NS_PER_MS)

/* ---- the guard's thread ---- */

/* Interrupt what has not ended since the last look: whether any was written. */
static bool look(struct write_guard *guard)
{
	bool any = false;

	for (struct guarded_write *w = guard->writes; w; w = w->next) {
		uint32_t count = __atomic_load_n(&w->count, __ATOMIC_SEQ_CST);

		if (count == w->seen && (count & 1))
			syscall(SYS_tgkill, getpid(),
				__atomic_load_n(&w->tid, __ATOMIC_RELAXED),
				SIGURG);
		any |= count != w->seen || (count & 1);
		w->seen = count;
	}
	return any;
}

static void wait_a_tick(struct write_guard *guard)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += (long)TICK_NS;
	if (at.tv_nsec >= (long)NS_PER_SECOND) {
		at.tv_nsec -= (long)NS_PER_SECOND;
		at.tv_sec++;
	}
	while (!guard->end &&
	       pthread_cond_timedwait(&guard->change, &guard->lock, &at) == 0)
		continue;
}

/* Until something is written. */
static void sleep_long(struct write_guard *guard)
{
	/*
	 * Before the look: pairs with the writer's count before its look at
	 * `asleep`. One of the two sees the other.
	 */
	__atomic_store_n(&guard->asleep, true, __ATOMIC_SEQ_CST);
	if (look(guard))
		__atomic_store_n(&guard->asleep, false, __ATOMIC_SEQ_CST);
	while (guard->asleep && !guard->end)
		pthread_cond_wait(&guard->change, &guard->lock);
}

static void *run(void *arg)
{
	struct write_guard *guard = arg;

	pthread_mutex_lock(&guard->lock);
	while (!guard->end) {
		wait_a_tick(guard);
		if (!look(guard))
			sleep_long(guard);
	}
	pthread_mutex_unlock(&guard->lock);
	return NULL;
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
	pthread_condattr_t attr;
	int r = install();

	if (r)
		return r;
	memset(guard, 0, sizeof(*guard));
	pthread_mutex_init(&guard->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&guard->change, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start(&guard->thread, run, guard);
	if (r == 0)
		return 0;
	pthread_cond_destroy(&guard->change);
	pthread_mutex_destroy(&guard->lock);
	return r;
}

void write_guard_stop(struct write_guard *guard)
{
	pthread_mutex_lock(&guard->lock);
	guard->end = true;
	pthread_cond_signal(&guard->change);
	pthread_mutex_unlock(&guard->lock);
	pthread_join(guard->thread, NULL);
	pthread_cond_destroy(&guard->change);
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
	pthread_mutex_lock(&guard->lock);
	__atomic_store_n(&guard->asleep, false, __ATOMIC_SEQ_CST);
	pthread_cond_signal(&guard->change);
	pthread_mutex_unlock(&guard->lock);
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
	__atomic_fetch_add(&w->count, 1, __ATOMIC_SEQ_CST);
	return ok;
}
