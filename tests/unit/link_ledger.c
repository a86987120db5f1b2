/* SPDX-License-Identifier: MIT */
/*
 * What a worker may answer: a model of the ledger, and any answer at any time.
 */
#include "lib/test.h"

#include <string.h>

#include "lib/model_memory.h"
#include "link/ledger.h"

enum { IDS = DISKS_MAX + 3, STEPS = 200000 };

/* What is true, by the id: as the table at the head of ledger.c. */
static enum link_entry_state truth[IDS];

static struct link_message answer(uint32_t type, uint64_t id, int32_t result)
{
	struct link_message m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	if (type == LINK_BEGUN) {
		m.begun.result = result;
	} else if (type == LINK_ATTACHED) {
		m.attached.id = id;
		m.attached.result = result;
	} else {
		m.disk.id = id;
	}
	return m;
}

static bool takes(struct link_ledger *l, uint32_t type, uint64_t id,
		  int32_t result)
{
	struct link_message m = answer(type, id, result);

	return !link_ledger_answer(l, &m);
}

static void test_begin(void **state)
{
	struct link_ledger l = { 0 };
	struct link_message m = answer(LINK_BEGUN, 0, 0);

	(void)state;
	assert_false(takes(&l, LINK_BEGUN, 0, 0));
	assert_false(takes(&l, LINK_ATTACHED, 0, 0));
	assert_false(takes(&l, LINK_ENDED, 0, 0));
	assert_false(link_ledger_waits(&l));
	link_ledger_begin(&l);
	assert_true(link_ledger_waits(&l));
	assert_false(takes(&l, LINK_ATTACHED, 0, 0));
	m.begun.nawaited = 2;
	m.begun.awaited[0] = 3;
	m.begun.awaited[1] = 7;
	assert_null(link_ledger_answer(&l, &m));
	assert_true(link_ledger_awaits(&l, 3) && link_ledger_awaits(&l, 7));
	assert_false(link_ledger_awaits(&l, 0));
	assert_non_null(link_ledger_answer(&l, &m));
	/* One is refused, and adopted then; the other is disowned. */
	link_ledger_attach(&l, 3);
	assert_true(takes(&l, LINK_ATTACHED, 3, -11));
	assert_true(link_ledger_awaits(&l, 3));
	link_ledger_attach(&l, 3);
	assert_true(takes(&l, LINK_ATTACHED, 3, 0));
	assert_false(link_ledger_awaits(&l, 3));
	link_ledger_disown(&l, 7);
	assert_false(link_ledger_awaits(&l, 7));
	/* The next one begins with nothing. */
	link_ledger_begin(&l);
	assert_true(takes(&l, LINK_BEGUN, 0, -12));
	assert_false(takes(&l, LINK_ENDED, 3, 0));
}

static unsigned int in_use(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < IDS; i++)
		n += truth[i] != LINK_ENTRY_FREE;
	return n;
}

static bool owes(void)
{
	for (unsigned int i = 0; i < IDS; i++)
		if (truth[i] == LINK_ENTRY_ASKED ||
		    truth[i] == LINK_ENTRY_ENDING)
			return true;
	return false;
}

static void ask(struct link_ledger *l, unsigned int id)
{
	if (truth[id] == LINK_ENTRY_FREE && in_use() < DISKS_MAX) {
		link_ledger_attach(l, id);
		truth[id] = LINK_ENTRY_ASKED;
	} else if (truth[id] == LINK_ENTRY_ATTACHED) {
		link_ledger_detach(l, id);
		truth[id] = LINK_ENTRY_ENDING;
	}
}

static void answer_any(struct link_ledger *l, unsigned int id, bool attached,
		       bool fails)
{
	enum link_entry_state right = attached ? LINK_ENTRY_ASKED :
						 LINK_ENTRY_ENDING;

	assert_int_equal(takes(l, attached ? LINK_ATTACHED : LINK_ENDED, id,
			       fails ? -5 : 0),
			 truth[id] == right);
	if (truth[id] == right)
		truth[id] = attached && !fails ? LINK_ENTRY_ATTACHED :
						 LINK_ENTRY_FREE;
}

/* Whatever the worker says, only what it was asked for is taken, and once. */
static void test_any_answer(void **state)
{
	uint64_t random = 88172645463325252u;
	struct link_ledger l = { 0 };

	(void)state;
	link_ledger_begin(&l);
	assert_true(takes(&l, LINK_BEGUN, 0, 0));
	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int id = model_random_below(&random, IDS);

		if (model_random_below(&random, 3) == 0)
			ask(&l, id);
		else
			answer_any(&l, id, model_random_below(&random, 2),
				   model_random_below(&random, 2));
		assert_false(takes(&l, LINK_BEGUN, 0, 0));
		assert_false(takes(&l, LINK_DETACH, id, 0));
		assert_true(takes(&l, LINK_PONG, 0, 0));
		assert_int_equal(link_ledger_waits(&l), owes());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begin),
		cmocka_unit_test(test_any_answer),
	};

	return cmocka_run_group_tests_name("link_ledger", tests, NULL, NULL);
}
