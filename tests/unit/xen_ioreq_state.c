/* SPDX-License-Identifier: MIT */
/*
 * The state of an IOREQ server, of a process that is killed at any instruction:
 * what is there is a whole state with whole rows, or none.
 */
#include "config.h"
#include "lib/test.h"

#ifdef HAVE_XEN

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xen/ioreq_state.h"

enum { DOMID = 5, FIRST = 3, SECOND = 4, VCPUS = 2, BYTES = 0x200 };

/* Shared with the child that is killed. */
struct life {
	struct ioreq_state state;
	unsigned int step; /* what it does */
};

static struct life *life;

/* Each window has a place that follows from its id: a mix is seen. */
static uint64_t place_of(uint64_t id)
{
	return (id << 20) + id * BYTES;
}

static struct ioreq_state_window *add(uint64_t id)
{
	struct ioreq_state_window *row = NULL;

	assert_int_equal(ioreq_state_add(&life->state, id, place_of(id), BYTES,
					 &row),
			 0);
	return row;
}

static void live(void)
{
	struct ioreq_state_window *a;

	life->step = 1;
	ioreq_state_begin(&life->state, DOMID, FIRST, VCPUS);
	life->step = 2;
	a = add(0x12345);
	add(0x777);
	life->step = 3;
	ioreq_state_remove(a);
	/* In the same row. */
	assert_ptr_equal(add(0xabcdef), a);
	life->step = 4;
	ioreq_state_begin(&life->state, DOMID, SECOND, VCPUS);
	life->step = 5;
	add(0x12345);
	life->step = 6;
	ioreq_state_end(&life->state);
	life->step = 7;
}

static unsigned int rows(const struct ioreq_state *state)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++) {
		const struct ioreq_state_window *row = &state->window[i];

		if (!row->used)
			continue;
		assert_int_equal(row->base, place_of(row->id));
		assert_int_equal(row->bytes, BYTES);
		n++;
	}
	return n;
}

/* What the next process would find. */
static void look(void)
{
	const struct ioreq_state *state = &life->state;
	const char *why = "";

	if (ioreq_state_is_empty(state)) {
		/* Only before there is a server, and after. */
		assert_true(life->step <= 1 || life->step == 4 ||
			    life->step >= 6);
		return;
	}
	if (ioreq_state_check(state, DOMID, VCPUS, &why))
		fail_msg("killed in step %u: %s", life->step, why);
	if (life->step < 4)
		assert_int_equal(state->server, FIRST);
	if (life->step > 4)
		assert_int_equal(state->server, SECOND);
	if (life->step == 4 && state->server == SECOND)
		assert_int_equal(rows(state), 0);
	assert_in_range(rows(state), life->step == 3, 2);
}

static unsigned int single_step(void)
{
	pid_t child = fork();
	unsigned int n = 0;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(9);
		raise(SIGSTOP);
		live();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		look();
		n++;
		/* Anything but a step is the child's fault: let it die. */
		sig = sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL,
					(void *)(intptr_t)sig),
				 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return n;
}

static void test_killed_at_any_instruction(void **state)
{
	unsigned int n;

	(void)state;
	life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(life, MAP_FAILED);
	n = single_step();
	print_message("# %u instructions\n", n);
	assert_true(n > 1000);
	assert_int_equal(life->step, 7);
	assert_true(ioreq_state_is_empty(&life->state));
	munmap(life, sizeof(*life));
}

static void test_rows(void **state)
{
	struct ioreq_state s = { 0 };
	struct ioreq_state_window *row;

	(void)state;
	ioreq_state_begin(&s, DOMID, FIRST, VCPUS);
	assert_int_equal(ioreq_state_add(&s, 1, 0x1000, 0, &row), -EINVAL);
	assert_int_equal(ioreq_state_add(&s, 1, 0x1000,
					 IOREQ_WINDOW_BYTES_MAX + 1, &row),
			 -EINVAL);
	assert_int_equal(ioreq_state_add(&s, 1, UINT64_MAX - 1, 2, &row),
			 -EINVAL);
	assert_null(ioreq_state_find(&s, 1));
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		assert_int_equal(ioreq_state_add(&s, i, 0x1000 + i * 0x200,
						 0x200, &row),
				 0);
	assert_int_equal(ioreq_state_add(&s, 99, 0x100000, 0x200, &row),
			 -ENOSPC);
	ioreq_state_remove(ioreq_state_find(&s, 5));
	assert_null(ioreq_state_find(&s, 5));
	assert_int_equal(ioreq_state_add(&s, 5, 0x1000, 0x200, &row), -EEXIST);
	assert_int_equal(
		ioreq_state_add(&s, 5, 0x1000 + 5 * 0x200, 0x200, &row), 0);
	assert_ptr_equal(ioreq_state_find(&s, 5), row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_at_any_instruction),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("xen_ioreq_state", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
