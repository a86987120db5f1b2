/* SPDX-License-Identifier: MIT */
/*
 * What of an IOREQ server outlives the process that serves it, so that another
 * one finds the server, which Xen keeps, and knows whose windows it has: plain
 * memory of a fixed layout, of which nothing points anywhere.
 *
 * A process may be killed between any two stores and calls. So the magic is
 * stored last, when there is a server, and cleared before that is destroyed. A
 * window's row is there before its range is mapped and until it is unmapped:
 * a row may have no range, but no range is without a row.
 *
 * A change of any of this needs another IOREQ_STATE_VERSION.
 */
#ifndef XEN_IOREQ_STATE_H
#define XEN_IOREQ_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IOREQ_STATE_MAGIC UINT64_C(0x7165726f69726976) /* "virioreq" */

enum {
	IOREQ_STATE_VERSION = 1,
	IOREQ_WINDOWS_MAX = 16,
	IOREQ_WINDOW_BYTES_MAX = 4096,
	IOREQ_VCPUS_MAX = 128, /* slots of the one page that Xen shares */
};

struct ioreq_state_window {
	uint64_t id; /* of whose it is; no other used row has it */
	uint64_t base;
	uint64_t bytes;
	uint32_t used; /* stored last, cleared first; 0: the rest is nothing */
	uint32_t reserved;
};

struct ioreq_state {
	uint64_t magic; /* stored last */
	uint32_t version;
	uint32_t total_bytes;
	uint32_t domid;
	uint32_t server; /* Xen's id of it */
	uint32_t nvcpus;
	uint32_t reserved[9];
	struct ioreq_state_window window[IOREQ_WINDOWS_MAX];
};

_Static_assert(offsetof(struct ioreq_state, window) == 64, "state");
_Static_assert(sizeof(struct ioreq_state_window) == 32, "state");
_Static_assert(sizeof(struct ioreq_state) == 64 + 16 * 32, "state");

/* A server that was just created, without windows. What was there is lost. */
void ioreq_state_begin(struct ioreq_state *state, uint32_t domid,
		       uint32_t server, uint32_t nvcpus);

/* The server will be no more. */
void ioreq_state_end(struct ioreq_state *state);

/* Whether it never was a state, or is none any more. */
bool ioreq_state_is_empty(const struct ioreq_state *state);

/*
 * Whether all of a state that is not empty is possible, and of this domain. 0;
 * or -EOPNOTSUPP for another version, -EINVAL else, and a sentence in `why`.
 * Changes nothing.
 */
int ioreq_state_check(const struct ioreq_state *state, uint32_t domid,
		      uint32_t nvcpus, const char **why);

/* The used row of `id`, or NULL. */
struct ioreq_state_window *ioreq_state_find(struct ioreq_state *state,
					    uint64_t id);

/*
 * A used row for `id`, which has none: 0 and the row, -EEXIST if its range
 * meets that of another one, -ENOSPC.
 */
int ioreq_state_add(struct ioreq_state *state, uint64_t id, uint64_t base,
		    uint64_t bytes, struct ioreq_state_window **row);

void ioreq_state_remove(struct ioreq_state_window *row);

#endif
