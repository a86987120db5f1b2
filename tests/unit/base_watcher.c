/* SPDX-License-Identifier: MIT */
/*
 * The watcher: one thread for all who need it, which goes on while they stand
 * still, and takes no signals.
 */
#include "lib/model_memory.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/watcher.h"

enum { CALLERS = 4, CALLS = 200 };

static struct loop *started(void)
{
	struct loop *loop = NULL;

	assert_int_equal(watcher_start(&loop), 0);
	assert_non_null(loop);
	return loop;
}

static void who(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

static void test_one_thread(void **state)
{
	struct loop *loop = started();
	pthread_t first, second;

	(void)state;
	assert_ptr_equal(started(), loop);
	watcher_call(who, &first);
	watcher_call(who, &second);
	assert_true(pthread_equal(first, second));
	assert_false(pthread_equal(first, pthread_self()));
}

/* Called one after the other, so it needs no lock. */
static void count(void *arg)
{
	unsigned int *n = arg;

	*n += 1;
}

static void *call_often(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		watcher_call(count, arg);
	return NULL;
}

static void test_many_callers(void **state)
{
	pthread_t thread[CALLERS];
	unsigned int n = 0;

	(void)state;
	started();
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, call_often, &n), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(n, CALLERS * CALLS);
}

static void mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
}

/* What is meant for a loop, or for a handler of its thread. */
static void test_takes_no_signals(void **state)
{
	static const int not_its_own[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
					   SIGURG };
	sigset_t set;

	(void)state;
	started();
	watcher_call(mask, &set);
	for (size_t i = 0; i < sizeof(not_its_own) / sizeof(int); i++)
		assert_true(sigismember(&set, not_its_own[i]));
	/* But what it raises itself has its handler. */
	assert_false(sigismember(&set, SIGBUS));
}

struct standing {
	struct loop *loop;
	struct loop_source source;
	struct loop_timer timer;
	sem_t due;
};

static void standing_due(struct loop_timer *timer)
{
	sem_post(&container_of(timer, struct standing, timer)->due);
}

static void standing_ready(struct loop_source *source, uint32_t events)
{
	struct standing *s = container_of(source, struct standing, source);
	uint64_t n;

	(void)events;
	assert_int_equal(read(source->fd, &n, sizeof(n)), sizeof(n));
	loop_arm(s->loop, &s->timer, NS_PER_MS);
}

static void remove_standing(void *arg)
{
	struct standing *s = arg;

	loop_disarm(s->loop, &s->timer);
	loop_remove(s->loop, &s->source);
}

/*
 * This thread stands still; a descriptor and a timer are seen to all the same.
 */
static void test_goes_on(void **state)
{
	struct standing s = { .loop = started(),
			      .source.ready = standing_ready,
			      .timer.due = standing_due };

	(void)state;
	assert_int_equal(sem_init(&s.due, 0, 0), 0);
	s.source.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_add(s.loop, &s.source, EPOLLIN), 0);
	assert_int_equal(sem_wait(&s.due), 0);
	watcher_call(remove_standing, &s);
	close(s.source.fd);
	sem_destroy(&s.due);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_many_callers),
		cmocka_unit_test(test_takes_no_signals),
		cmocka_unit_test(test_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
