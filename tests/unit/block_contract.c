/* SPDX-License-Identifier: MIT */
/*
 * What callers and engines owe each other: whoever breaks it is told at once,
 * by the function that calls the verb.
 */
#include "lib/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/engine.h"

enum { DEPTH = 4 };

static struct block_image image = { .fd = -1 };
static struct block_request req[DEPTH + 1];

/* An engine that gives back all that it was given, whatever is asked for. */
static unsigned int held;
static int answer;

static void take(struct block_engine *engine, struct block_request *r)
{
	(void)engine;
	r->next = NULL;
	if (held)
		req[held - 1].next = r;
	held++;
}

static void start(struct block_engine *engine)
{
	(void)engine;
}

static struct block_request *give(struct block_engine *engine, unsigned int max)
{
	struct block_request *all = held ? req : NULL;

	(void)engine;
	(void)max;
	for (unsigned int i = 0; i < held; i++)
		req[i].result = answer;
	held = 0;
	return all;
}

static const struct block_engine_ops ops = { .queue = take,
					     .commit = start,
					     .reap = give };
static const struct block_engine_kind kind = { .name = "none" };
static struct block_engine engine;

static int setup(void **state)
{
	(void)state;
	engine = (struct block_engine){
		.kind = &kind, .ops = &ops, .image = &image, .depth = DEPTH
	};
	memset(req, 0, sizeof(req));
	held = 0;
	answer = 0;
	return 0;
}

static void queue(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		block_engine_queue(&engine, &req[i]);
	block_engine_commit(&engine);
}

/* Does this end the program? */
static bool aborts(void (*wrong)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		wrong();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void as_agreed(void)
{
	queue(DEPTH);
	answer = -EIO;
	block_engine_reap(&engine, DEPTH);
	queue(DEPTH);
	block_engine_reap(&engine, DEPTH);
}

static void unknown_operation(void)
{
	req[0].op = BLOCK_OPS;
	queue(1);
}

static void too_many_inside(void)
{
	queue(DEPTH + 1);
	block_engine_reap(&engine, DEPTH + 1);
}

static void more_than_asked_for(void)
{
	queue(DEPTH);
	block_engine_reap(&engine, DEPTH - 1);
}

static void bytes_for_a_result(void)
{
	queue(1);
	answer = 512;
	block_engine_reap(&engine, 1);
}

static void given_back_twice(void)
{
	queue(1);
	block_engine_reap(&engine, DEPTH);
	held = 1;
	block_engine_reap(&engine, DEPTH);
}

static void closed_in_flight(void)
{
	queue(1);
	block_engine_close(&engine);
}

static void test_contract(void **state)
{
	(void)state;
	assert_false(aborts(as_agreed));
	assert_true(aborts(unknown_operation));
	assert_true(aborts(too_many_inside));
	assert_true(aborts(more_than_asked_for));
	assert_true(aborts(bytes_for_a_result));
	assert_true(aborts(given_back_twice));
	assert_true(aborts(closed_in_flight));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_contract, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
