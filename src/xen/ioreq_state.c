/* SPDX-License-Identifier: MIT */
/*
 * What of an IOREQ server outlives its process; see xen/ioreq_state.h.
 *
 * Happy path: begun when the server is there, rows come and go, ended before
 * it is destroyed; or found by another process, checked, and gone on with.
 *
 * Failure: a state that nobody can have left who works as this does is refused
 * as a whole. Of a row that is not used nothing is looked at, for its owner may
 * have been killed while it was filled.
 */
#include "xen/ioreq_state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* As of virtio/shared.h: who is killed has made the stores in this order. */
#define order() __asm__ __volatile__("" : : : "memory")

static void store_used(struct ioreq_state_window *row, uint32_t used)
{
	order();
	__atomic_store_n(&row->used, used, __ATOMIC_RELEASE);
	order();
}

static void store_magic(struct ioreq_state *state, uint64_t magic)
{
	order();
	__atomic_store_n(&state->magic, magic, __ATOMIC_RELEASE);
	order();
}

void ioreq_state_begin(struct ioreq_state *state, uint32_t domid,
		       uint32_t server, uint32_t nvcpus)
{
	ioreq_state_end(state);
	memset(state, 0, sizeof(*state));
	state->version = IOREQ_STATE_VERSION;
	state->total_bytes = sizeof(*state);
	state->domid = domid;
	state->server = server;
	state->nvcpus = nvcpus;
	store_magic(state, IOREQ_STATE_MAGIC);
}

void ioreq_state_end(struct ioreq_state *state)
{
	store_magic(state, 0);
}

bool ioreq_state_is_empty(const struct ioreq_state *state)
{
	return state->magic == 0;
}

/* ---- rows ---------------------------------------------------------------- */

static bool meet(const struct ioreq_state_window *row, uint64_t base,
		 uint64_t bytes)
{
	return row->used && row->base < base + bytes &&
	       base < row->base + row->bytes;
}

static bool is_range(uint64_t base, uint64_t bytes)
{
	return bytes > 0 && bytes <= IOREQ_WINDOW_BYTES_MAX &&
	       base <= UINT64_MAX - bytes;
}

struct ioreq_state_window *ioreq_state_find(struct ioreq_state *state,
					    uint64_t id)
{
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		if (state->window[i].used && state->window[i].id == id)
			return &state->window[i];
	return NULL;
}

int ioreq_state_add(struct ioreq_state *state, uint64_t id, uint64_t base,
		    uint64_t bytes, struct ioreq_state_window **row)
{
	struct ioreq_state_window *free_row = NULL;

	assert(!ioreq_state_find(state, id));
	if (!is_range(base, bytes))
		return -EINVAL;
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++) {
		if (meet(&state->window[i], base, bytes))
			return -EEXIST;
		if (!state->window[i].used && !free_row)
			free_row = &state->window[i];
	}
	if (!free_row)
		return -ENOSPC;
	*free_row = (struct ioreq_state_window){ .id = id,
						 .base = base,
						 .bytes = bytes };
	store_used(free_row, 1);
	*row = free_row;
	return 0;
}

void ioreq_state_remove(struct ioreq_state_window *row)
{
	store_used(row, 0);
}

/* ---- is it possible? ----------------------------------------------------- */

static bool row_ok(const struct ioreq_state *state, unsigned int i)
{
	const struct ioreq_state_window *row = &state->window[i];

	if (row->used == 0)
		return true;
	if (row->used > 1 || row->reserved || !is_range(row->base, row->bytes))
		return false;
	for (unsigned int k = 0; k < i; k++)
		if (state->window[k].used &&
		    (state->window[k].id == row->id ||
		     meet(&state->window[k], row->base, row->bytes)))
			return false;
	return true;
}

static bool reserved_ok(const struct ioreq_state *state)
{
	for (size_t i = 0;
	     i < sizeof(state->reserved) / sizeof(state->reserved[0]); i++)
		if (state->reserved[i])
			return false;
	return true;
}

static bool rows_ok(const struct ioreq_state *state)
{
	for (unsigned int i = 0; i < IOREQ_WINDOWS_MAX; i++)
		if (!row_ok(state, i))
			return false;
	return true;
}

int ioreq_state_check(const struct ioreq_state *state, uint32_t domid,
		      uint32_t nvcpus, const char **why)
{
	*why = "it is none of this program";
	if (__atomic_load_n(&state->magic, __ATOMIC_ACQUIRE) !=
	    IOREQ_STATE_MAGIC)
		return -EINVAL;
	*why = "it is of another version of this program";
	if (state->version != IOREQ_STATE_VERSION)
		return -EOPNOTSUPP;
	*why = "its length is not that of its version";
	if (state->total_bytes != sizeof(*state) || !reserved_ok(state))
		return -EINVAL;
	*why = "it is of another domain";
	if (state->domid != domid)
		return -EINVAL;
	*why = "its domain had another number of vCPUs";
	if (state->nvcpus != nvcpus)
		return -EINVAL;
	*why = "its server has a number that Xen gives to none";
	if (state->server > UINT16_MAX)
		return -EINVAL;
	*why = "its windows cannot have been mapped";
	return rows_ok(state) ? 0 : -EINVAL;
}
