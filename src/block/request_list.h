/* SPDX-License-Identifier: MIT */
/*
 * A first-in, first-out list of requests, linked by their `next`.
 *
 * Between queue() and reap() a request is on at most one list. The list is the
 * whole of an engine's bookkeeping for requests that the kernel does not hold.
 */
#ifndef BLOCK_REQUEST_LIST_H
#define BLOCK_REQUEST_LIST_H

#include <stddef.h>

#include "block/request.h"

struct block_request_list {
	struct block_request *head; /* NULL: empty */
	struct block_request *last; /* valid only while not empty */
};

static inline void block_request_list_append(struct block_request_list *list,
					     struct block_request *req)
{
	req->next = NULL;
	if (list->head)
		list->last->next = req;
	else
		list->head = req;
	list->last = req;
}

static inline struct block_request *
block_request_list_pop(struct block_request_list *list)
{
	struct block_request *req = list->head;

	if (req)
		list->head = req->next;
	return req;
}

/* Append all of `from` to `list` and leave `from` empty. */
static inline void block_request_list_splice(struct block_request_list *list,
					     struct block_request_list *from)
{
	if (!from->head)
		return;
	if (list->head)
		list->last->next = from->head;
	else
		list->head = from->head;
	list->last = from->last;
	from->head = NULL;
}

/* Move at most `max` requests from `from` to `list`; returns how many. */
static inline unsigned int
block_request_list_move(struct block_request_list *list,
			struct block_request_list *from, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && from->head) {
		block_request_list_append(list, block_request_list_pop(from));
		n++;
	}
	return n;
}

#endif
