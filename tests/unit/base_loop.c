/* SPDX-License-Identifier: MIT */
/*
 * The event loop: removal of anything from any handler, timers in order,
 * pollers and their rest, deferred work, adaptive polling, and that an idle
 * loop sleeps.
 */
#include "lib/model_memory.h"

#include <dirent.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- descriptors --------------------------------------------------------- */

struct watched {
	struct loop_source source;
	struct loop *loop;
	unsigned int calls;
	struct watched *victim; /* removed by the handler; may be itself */
	bool quit;
};

static void watched_ready(struct loop_source *source, uint32_t events)
{
	struct watched *w = container_of(source, struct watched, source);
	uint64_t value;

	assert_int_equal(events, EPOLLIN);
	assert_int_equal(read(source->fd, &value, 8), 8);
	w->calls++;
	if (w->victim)
		loop_remove(w->loop, &w->victim->source);
	if (w->quit)
		loop_quit(w->loop);
}

static void watch(struct watched *w, struct loop *loop)
{
	memset(w, 0, sizeof(*w));
	w->source.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	w->source.ready = watched_ready;
	w->loop = loop;
	assert_true(w->source.fd >= 0);
	assert_int_equal(loop_add(loop, &w->source, EPOLLIN), 0);
}

struct quitter {
	struct loop_timer timer;
	struct loop *loop;
};

static void quit_due(struct loop_timer *timer)
{
	loop_quit(container_of(timer, struct quitter, timer)->loop);
}

static void run_for(struct loop *loop, uint64_t ns)
{
	struct quitter q = { { .due = quit_due }, loop };

	loop_arm(loop, &q.timer, ns);
	assert_int_equal(loop_run(loop), 0);
	loop_disarm(loop, &q.timer);
}

struct turns {
	struct loop_timer timer;
	struct loop *loop;
	unsigned int left;
};

static void turn_due(struct loop_timer *timer)
{
	struct turns *turns = container_of(timer, struct turns, timer);

	if (--turns->left)
		loop_arm(turns->loop, timer, NS_PER_MS);
	else
		loop_quit(turns->loop);
}

/*
 * So many turns, each of a millisecond at least, however busy the machine is.
 */
static void run_turns(struct loop *loop, unsigned int n)
{
	struct turns turns = { { .due = turn_due }, loop, n };

	loop_arm(loop, &turns.timer, NS_PER_MS);
	assert_int_equal(loop_run(loop), 0);
}

static void test_no_descriptor_leaks(void **state)
{
	unsigned int before = open_descriptors();
	struct loop loop;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(loop_init(&loop), 0);
		loop_finish(&loop);
	}
	loop_finish(&loop); /* once more does nothing */
	assert_int_equal(open_descriptors(), before);
}

static void test_descriptors_are_handled(void **state)
{
	struct loop loop;
	struct watched w[100]; /* more than one turn takes */

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 100; i++)
		watch(&w[i], &loop);
	run_turns(&loop, 20);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(w[i].calls, 1);
		loop_remove(&loop, &w[i].source);
		close(w[i].source.fd);
	}
	loop_finish(&loop);
}

/* Both are ready in one turn, and each removes the other: one is called. */
static void test_removed_by_another_handler(void **state)
{
	struct loop loop;
	struct watched w[2];

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 2; i++)
		watch(&w[i], &loop);
	w[0].victim = &w[1];
	w[1].victim = &w[0];
	run_turns(&loop, 10);
	assert_int_equal(w[0].calls + w[1].calls, 1);
	for (int i = 0; i < 2; i++)
		close(w[i].source.fd);
	loop_finish(&loop);
}

static void test_removed_by_itself(void **state)
{
	struct loop loop;
	struct watched w;
	uint64_t one = 1;

	(void)state;
	loop_init(&loop);
	watch(&w, &loop);
	w.victim = &w;
	run_turns(&loop, 5);
	assert_int_equal(write(w.source.fd, &one, 8), 8);
	run_turns(&loop, 5);
	assert_int_equal(w.calls, 1);
	/* Once removed it may come back. */
	w.victim = NULL;
	assert_int_equal(loop_add(&loop, &w.source, EPOLLIN), 0);
	run_turns(&loop, 5);
	assert_int_equal(w.calls, 2);
	loop_remove(&loop, &w.source);
	close(w.source.fd);
	loop_finish(&loop);
}

static void test_quit_in_a_handler(void **state)
{
	struct loop loop;
	struct watched w;

	(void)state;
	loop_init(&loop);
	watch(&w, &loop);
	w.quit = true;
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(w.calls, 1);
	loop_remove(&loop, &w.source);
	close(w.source.fd);
	loop_finish(&loop);
}

static void test_errors(void **state)
{
	struct loop loop;
	struct loop_source bad = { .fd = -1, .ready = watched_ready };

	(void)state;
	loop_init(&loop);
	assert_int_equal(loop_add(&loop, &bad, EPOLLIN), -EBADF);
	loop_remove(&loop, &bad);
	close(loop.epoll_fd);
	assert_int_equal(loop_run(&loop), -EBADF);
	loop.epoll_fd = -1;
	loop_finish(&loop);
}

/* ---- timers -------------------------------------------------------------- */

enum { TIMERS = 8 };

struct ticking {
	struct loop_timer timer;
	struct loop *loop;
	unsigned int *order; /* shared: how many were due so far */
	unsigned int at;     /* 1: the first of all */
	struct ticking *victim;
	unsigned int again; /* times to arm itself anew */
};

static void tick_due(struct loop_timer *timer)
{
	struct ticking *t = container_of(timer, struct ticking, timer);

	assert_false(timer->armed);
	assert_true(clock_ns() >= timer->at_ns);
	t->at = ++*t->order;
	if (t->victim)
		loop_disarm(t->loop, &t->victim->timer);
	if (t->again) {
		t->again--;
		loop_arm(t->loop, timer, NS_PER_MS);
	}
}

static void test_timers_in_order(void **state)
{
	static const uint64_t ms[TIMERS] = { 9, 3, 12, 1, 6, 15, 2, 7 };
	static const unsigned int order[TIMERS] = { 6, 3, 7, 1, 4, 8, 2, 5 };
	struct ticking t[TIMERS] = { 0 };
	unsigned int n = 0;
	struct loop loop;

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < TIMERS; i++) {
		t[i] = (struct ticking){
			{ .due = tick_due }, &loop, &n, 0, NULL, 0
		};
		loop_arm(&loop, &t[i].timer, ms[i] * NS_PER_MS);
		assert_true(t[i].timer.armed);
	}
	/* All are due when the loop looks at them. */
	usleep(20000);
	run_for(&loop, 5 * NS_PER_MS);
	for (int i = 0; i < TIMERS; i++)
		assert_int_equal(t[i].at, order[i]);
	loop_finish(&loop);
}

static void test_timers_disarmed_and_armed_anew(void **state)
{
	unsigned int n = 0;
	struct loop loop;
	struct ticking a = { { .due = tick_due }, &loop, &n, 0, NULL, 3 };
	struct ticking b = { { .due = tick_due }, &loop, &n, 0, NULL, 0 };
	struct ticking c = { { .due = tick_due }, &loop, &n, 0, &b, 0 };

	(void)state;
	loop_init(&loop);
	loop_arm(&loop, &b.timer, 4 * NS_PER_MS);
	loop_arm(&loop, &c.timer, 2 * NS_PER_MS);
	loop_arm(&loop, &a.timer, 3600 * NS_PER_SECOND);
	loop_arm(&loop, &a.timer, NS_PER_MS);
	run_turns(&loop, 30);
	assert_int_equal(b.at, 0);
	assert_int_equal(n, 5); /* a four times, c once */
	assert_false(a.timer.armed);
	loop_disarm(&loop, &a.timer); /* twice is once */
	assert_null(loop.timers);
	loop_finish(&loop);
}

/* ---- pollers ------------------------------------------------------------- */

struct poll_work {
	struct loop_poller poller;
	struct loop *loop;
	unsigned int polls, rests;
	unsigned int work;           /* polls that find work */
	unsigned int late_work;      /* rests that find work */
	struct poll_work *remove[2]; /* by the first poll, in this order */
	bool removed;
};

static bool polling_poll(struct loop_poller *poller)
{
	struct poll_work *p = container_of(poller, struct poll_work, poller);

	assert_false(p->removed);
	p->polls++;
	for (int i = 0; i < 2; i++) {
		if (!p->remove[i])
			continue;
		loop_remove_poller(p->loop, &p->remove[i]->poller);
		p->remove[i]->removed = true;
	}
	p->remove[0] = NULL;
	p->remove[1] = NULL;
	if (!p->work)
		return false;
	p->work--;
	return true;
}

static bool polling_rest(struct loop_poller *poller)
{
	struct poll_work *p = container_of(poller, struct poll_work, poller);

	assert_false(p->removed);
	p->rests++;
	if (!p->late_work)
		return true;
	p->late_work--;
	return false;
}

static void add_polling(struct poll_work *p, struct loop *loop)
{
	memset(p, 0, sizeof(*p));
	p->poller = (struct loop_poller){ .poll = polling_poll,
					  .rest = polling_rest };
	p->loop = loop;
	loop_add_poller(loop, &p->poller);
}

static void test_pollers(void **state)
{
	struct loop loop;
	struct poll_work p[2];

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 2; i++)
		add_polling(&p[i], &loop);
	p[0].work = 5;
	p[1].work = 9;
	p[0].late_work = 2;
	run_for(&loop, 10 * NS_PER_MS);
	/* Nine rounds with work, one without, two more after late work. */
	assert_int_equal(p[0].polls, 12 + loop.sleeps - 1);
	assert_int_equal(p[1].polls, 12 + loop.sleeps - 1);
	assert_int_equal(p[0].work + p[1].work + p[0].late_work, 0);
	/* The second is told to rest only when the first does. */
	assert_int_equal(p[0].rests, p[1].rests + 2);
	loop_remove_poller(&loop, &p[0].poller);
	loop_remove_poller(&loop, &p[0].poller);
	loop_remove_poller(&loop, &p[1].poller);
	assert_null(loop.pollers);
	loop_finish(&loop);
}

/* Poller `who` of three removes `first` and then `second` (-1: nobody). */
static void remove_while_polling(int who, int first, int second)
{
	struct loop loop;
	struct poll_work p[3];
	unsigned int left = 3;

	loop_init(&loop);
	for (int i = 0; i < 3; i++)
		add_polling(&p[i], &loop);
	p[who].remove[0] = &p[first];
	if (second >= 0)
		p[who].remove[1] = &p[second];
	run_for(&loop, NS_PER_MS);
	for (int i = 0; i < 3; i++) {
		left -= p[i].removed;
		loop_remove_poller(&loop, &p[i].poller);
		if (!p[i].removed)
			assert_true(p[i].polls > 0);
	}
	assert_int_equal(left, second >= 0 ? 1 : 2);
	loop_finish(&loop);
}

/* Any of them, by any of them, in any order: a removed one is not called. */
static void test_pollers_removed_by_pollers(void **state)
{
	(void)state;
	for (int who = 0; who < 3; who++) {
		for (int first = 0; first < 3; first++) {
			remove_while_polling(who, first, -1);
			for (int second = 0; second < 3; second++)
				if (second != first)
					remove_while_polling(who, first,
							     second);
		}
	}
}

/* ---- deferred work ------------------------------------------------------- */

/* Writes its letter; then perhaps takes another one back, or waits again. */
struct late {
	struct loop_deferred deferred;
	struct loop *loop;
	char *text;
	char letter;
	unsigned int again; /* times that it waits once more */
	struct late *victim;
	bool quit;
};

static void late_run(struct loop_deferred *deferred)
{
	struct late *l = container_of(deferred, struct late, deferred);

	assert_false(deferred->waits);
	l->text[strlen(l->text)] = l->letter;
	if (l->victim)
		loop_undefer(l->loop, &l->victim->deferred);
	if (l->again) {
		l->again--;
		loop_defer(l->loop, deferred);
	}
	if (l->quit)
		loop_quit(l->loop);
}

static void init_late(struct late *l, struct loop *loop, char *text, int i)
{
	memset(l, 0, sizeof(*l));
	l->deferred.run = late_run;
	l->loop = loop;
	l->text = text;
	l->letter = (char)('A' + i);
}

/* What is deferred by each kind of handler, whose letters are small. */
struct deferring {
	struct loop_poller poller;
	struct loop_timer timer;
	struct loop_source source;
	struct late late[4]; /* of poll, rest, descriptor, timer */
	bool polled, rested;
};

static void defer_late(struct late *l, char letter)
{
	l->text[strlen(l->text)] = letter;
	loop_defer(l->loop, &l->deferred);
	/* Once is enough. */
	loop_defer(l->loop, &l->deferred);
}

static bool deferring_poll(struct loop_poller *poller)
{
	struct deferring *d = container_of(poller, struct deferring, poller);

	if (!d->polled)
		defer_late(&d->late[0], 'a');
	d->polled = true;
	return false;
}

static bool deferring_rest(struct loop_poller *poller)
{
	struct deferring *d = container_of(poller, struct deferring, poller);
	const uint64_t one = 1;

	if (!d->rested) {
		defer_late(&d->late[1], 'b');
		assert_int_equal(write(d->source.fd, &one, 8), 8);
	}
	d->rested = true;
	return true;
}

static void deferring_ready(struct loop_source *source, uint32_t events)
{
	struct deferring *d = container_of(source, struct deferring, source);
	uint64_t n;

	(void)events;
	assert_int_equal(read(source->fd, &n, 8), 8);
	defer_late(&d->late[2], 'c');
	loop_arm(d->late[3].loop, &d->timer, 0);
}

static void deferring_due(struct loop_timer *timer)
{
	struct deferring *d = container_of(timer, struct deferring, timer);

	defer_late(&d->late[3], 'd');
	/* The turn has its end all the same. */
	loop_quit(d->late[3].loop);
}

static void test_deferred_by_all_handlers(void **state)
{
	struct loop loop;
	char text[64] = "";
	struct deferring d = {
		.poller = { .poll = deferring_poll, .rest = deferring_rest },
		.timer.due = deferring_due,
		.source.ready = deferring_ready,
	};

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 4; i++)
		init_late(&d.late[i], &loop, text, i);
	d.source.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(loop_add(&loop, &d.source, EPOLLIN), 0);
	loop_add_poller(&loop, &d.poller);
	assert_int_equal(loop_run(&loop), 0);
	/*
	 * Each at the end of its turn. A timer of now may be due in the next.
	 */
	if (strcmp(text, "aAbBcCdD") != 0)
		assert_string_equal(text, "aAbBcdCD");
	loop_remove_poller(&loop, &d.poller);
	loop_remove(&loop, &d.source);
	close(d.source.fd);
	loop_finish(&loop);
}

/* In order, each once, none that was taken back, and never asleep before. */
static void test_deferred_order(void **state)
{
	struct loop loop;
	char text[64] = "";
	struct late l[5];

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 5; i++)
		init_late(&l[i], &loop, text, i);
	for (int i = 0; i < 4; i++)
		loop_defer(&loop, &l[i].deferred);
	loop_defer(&loop, &l[0].deferred);
	loop_undefer(&loop, &l[2].deferred);
	loop_undefer(&loop, &l[4].deferred); /* which never waited */
	/* One of the same turn is taken back, one waits once more. */
	l[0].victim = &l[1];
	l[3].again = 2;
	run_for(&loop, NS_PER_MS);
	assert_string_equal(text, "ADDD");
	/* It was not the timer's turn that they came with. */
	assert_int_equal(loop.sleeps, 1);
	assert_null(loop.deferred);
	assert_null(loop.due);
	loop_finish(&loop);
}

/* One that ends the loop does so after all of its turn had theirs. */
static void test_deferred_quits(void **state)
{
	struct loop loop;
	char text[64] = "";
	struct late l[2];

	(void)state;
	loop_init(&loop);
	for (int i = 0; i < 2; i++)
		init_late(&l[i], &loop, text, i);
	l[0].quit = true;
	loop_defer(&loop, &l[0].deferred);
	loop_defer(&loop, &l[1].deferred);
	assert_int_equal(loop_run(&loop), 0);
	assert_string_equal(text, "AB");
	assert_int_equal(loop.sleeps, 0);
	loop_finish(&loop);
}

/* ---- sleeping ------------------------------------------------------------ */

static void test_idle_loop_sleeps(void **state)
{
	struct loop loop;
	struct poll_work p;
	struct watched w;
	uint64_t begin;

	(void)state;
	loop_init(&loop);
	loop.polling.max_ns = 32 * NS_PER_US;
	add_polling(&p, &loop);
	watch(&w, &loop);
	run_for(&loop, 5 * NS_PER_MS);
	loop.sleeps = 0;
	p.polls = 0;
	begin = clock_ns();
	run_for(&loop, 300 * NS_PER_MS);
	assert_true(clock_ns() - begin >= 300 * NS_PER_MS);
	/* One sleep, ended by the timer that ends this test. */
	assert_in_range(loop.sleeps, 1, 2);
	assert_in_range(p.polls, 1, 2000);
	loop_remove(&loop, &w.source);
	close(w.source.fd);
	loop_remove_poller(&loop, &p.poller);
	loop_finish(&loop);
}

/* Whether 30 times of work that comes at once are found by polling soon. */
static bool polls_for_soon_work(struct loop *loop, int fd)
{
	uint64_t one = 1;
	unsigned long before = loop->sleeps;

	loop->polling.ns = 0;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(loop_run(loop), 0);
		assert_int_equal(write(fd, &one, 8), 8);
	}
	/* Soon no sleep is begun any more. */
	return loop->polling.ns > 0 && loop->sleeps - before <= 20;
}

/*
 * Work that comes soon after falling asleep makes the loop poll longer. Where
 * others have the CPU meanwhile it does not come soon: that is another try.
 */
static void test_polling_adapts(void **state)
{
	struct loop loop;
	struct watched w;
	bool polls = false;

	(void)state;
	loop_init(&loop);
	loop.polling.max_ns = 100 * NS_PER_MS;
	watch(&w, &loop);
	w.quit = true;
	for (int i = 0; i < 50 && !polls; i++)
		polls = polls_for_soon_work(&loop, w.source.fd);
	assert_true(polls);
	assert_true(loop.sleeps > 0);
	/* And long sleeps make it fall to nothing. */
	loop.polling.max_ns = NS_PER_MS;
	loop_remove(&loop, &w.source);
	for (int i = 0; i < 20; i++)
		run_for(&loop, 2 * loop.polling.ns + 4 * NS_PER_MS);
	assert_int_equal(loop.polling.ns, 0);
	close(w.source.fd);
	loop_finish(&loop);
}

/* While pollers have work all the time, descriptors are looked at as well. */
static void test_busy_pollers_do_not_starve_others(void **state)
{
	struct loop loop;
	struct poll_work p;
	struct watched w;
	unsigned int n = 0;
	struct ticking t = { { .due = tick_due }, &loop, &n, 0, NULL, 0 };

	(void)state;
	loop_init(&loop);
	add_polling(&p, &loop);
	watch(&w, &loop);
	p.work = 20 * 1000 * 1000; /* not for ever: it may be in vain */
	loop_arm(&loop, &t.timer, NS_PER_MS);
	run_for(&loop, 5 * NS_PER_MS);
	assert_int_equal(w.calls, 1);
	assert_int_equal(n, 1);
	assert_int_equal(loop.sleeps, 0);
	loop_remove(&loop, &w.source);
	close(w.source.fd);
	loop_remove_poller(&loop, &p.poller);
	loop_finish(&loop);
}

/* ---- long rounds --------------------------------------------------------- */

/*
 * A poller each of whose rounds takes 2 ms, which is longer than descriptors
 * and timers may wait. In its third round both have something; it counts the
 * rounds from there on. No time is looked at but the loop's own.
 */
struct burning {
	struct loop_poller poller;
	struct loop *loop;
	struct watched *watched;
	struct ticking *ticking;
	unsigned int rounds, served_after, due_after;
	bool finds_late; /* its work when it is told to rest */
};

enum { BURNING_START = 3, BURNING_ROUNDS = 20 };

static void burn(struct burning *b)
{
	const uint64_t one = 1;
	uint64_t begin = clock_ns();

	if (b->watched->calls == 2 && !b->served_after)
		b->served_after = b->rounds - BURNING_START;
	if (*b->ticking->order && !b->due_after)
		b->due_after = b->rounds - BURNING_START;
	if (++b->rounds == BURNING_START) {
		assert_int_equal(write(b->watched->source.fd, &one, 8), 8);
		loop_arm(b->loop, &b->ticking->timer, 1);
	}
	if (b->rounds == BURNING_ROUNDS)
		loop_quit(b->loop);
	while (clock_ns() - begin < 2 * NS_PER_MS)
		continue;
}

static bool burning_poll(struct loop_poller *poller)
{
	struct burning *b = container_of(poller, struct burning, poller);

	if (b->finds_late)
		return false;
	burn(b);
	return true;
}

static bool burning_rest(struct loop_poller *poller)
{
	burn(container_of(poller, struct burning, poller));
	return false;
}

static void burning(bool finds_late, uint64_t poll_ns)
{
	unsigned int n = 0;
	struct loop loop;
	struct watched w;
	struct ticking t = { { .due = tick_due }, &loop, &n, 0, NULL, 0 };
	struct burning b = {
		.poller = { .poll = burning_poll, .rest = burning_rest },
		.loop = &loop,
		.watched = &w,
		.ticking = &t,
		.finds_late = finds_late,
	};

	loop_init(&loop);
	loop.polling.max_ns = poll_ns;
	loop.polling.ns = poll_ns;
	watch(&w, &loop);
	w.calls = 1;
	assert_int_equal(read(w.source.fd, &(uint64_t){ 0 }, 8), 8);
	loop_add_poller(&loop, &b.poller);
	assert_int_equal(loop_run(&loop), 0);
	assert_in_range(b.served_after, 1, 2);
	assert_in_range(b.due_after, 1, 2);
	assert_int_equal(loop.sleeps, 0);
	loop_remove(&loop, &w.source);
	close(w.source.fd);
	loop_finish(&loop);
}

static void test_long_rounds_do_not_starve_others(void **state)
{
	(void)state;
	burning(false, 0);
	burning(false, 100 * NS_PER_US);
	burning(true, 0);
	burning(true, 100 * NS_PER_US);
}

struct slow {
	struct loop_timer timer;
	struct loop_poller poller;
	struct loop *loop;
	unsigned int dues; /* since a poller was asked */
	unsigned int polls;
};

/* It is due again before it has returned. */
static void slow_due(struct loop_timer *timer)
{
	struct slow *s = container_of(timer, struct slow, timer);
	uint64_t until = clock_ns() + 10;

	assert_int_equal(s->dues++, 0);
	loop_arm(s->loop, timer, 1);
	while (clock_ns() < until)
		continue;
}

static bool slow_poll(struct loop_poller *poller)
{
	struct slow *s = container_of(poller, struct slow, poller);

	s->dues = 0;
	if (++s->polls == 100)
		loop_quit(s->loop);
	return false;
}

static bool slow_rest(struct loop_poller *poller)
{
	(void)poller;
	return true;
}

/* A timer that is always due leaves room for the pollers. */
static void test_timers_do_not_starve_pollers(void **state)
{
	struct loop loop;
	struct slow s = {
		.timer = { .due = slow_due },
		.loop = &loop,
		.poller = { .poll = slow_poll, .rest = slow_rest },
	};

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	loop_add_poller(&loop, &s.poller);
	loop_arm(&loop, &s.timer, 1);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(s.polls, 100);
	loop_disarm(&loop, &s.timer);
	loop_finish(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_descriptor_leaks),
		cmocka_unit_test(test_descriptors_are_handled),
		cmocka_unit_test(test_removed_by_another_handler),
		cmocka_unit_test(test_removed_by_itself),
		cmocka_unit_test(test_quit_in_a_handler),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_timers_in_order),
		cmocka_unit_test(test_timers_disarmed_and_armed_anew),
		cmocka_unit_test(test_pollers),
		cmocka_unit_test(test_pollers_removed_by_pollers),
		cmocka_unit_test(test_deferred_by_all_handlers),
		cmocka_unit_test(test_deferred_order),
		cmocka_unit_test(test_deferred_quits),
		cmocka_unit_test(test_idle_loop_sleeps),
		cmocka_unit_test(test_polling_adapts),
		cmocka_unit_test(test_busy_pollers_do_not_starve_others),
		cmocka_unit_test(test_long_rounds_do_not_starve_others),
		cmocka_unit_test(test_timers_do_not_starve_pollers),
	};

	return cmocka_run_group_tests_name("base_loop", tests, NULL, NULL);
}
