/* SPDX-License-Identifier: MIT */
/*
 * Flushing an image outside of any engine; see block/flush.h.
 */
#include "block/flush.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "block/request.h"
#include "outbox.h"
#include "sync.h"

struct block_flush {
	struct block_image *image;
	struct block_outbox outbox;
	struct block_request req;
	bool busy;
};

int block_flush_open(struct block_flush **flush, struct block_image *image)
{
	struct block_flush *f = calloc(1, sizeof(*f));
	int r = f ? block_outbox_init(&f->outbox) : -ENOMEM;

	if (r) {
		free(f);
		f = NULL;
	} else {
		f->image = image;
	}
	*flush = f;
	return r;
}

void block_flush_close(struct block_flush *flush)
{
	struct pollfd p;

	if (!flush)
		return;
	p = (struct pollfd){ .fd = flush->outbox.fd, .events = POLLIN };
	while (flush->busy && !block_flush_collect(flush))
		poll(&p, 1, -1);
	block_outbox_finish(&flush->outbox);
	free(flush);
}

int block_flush_fd(const struct block_flush *flush)
{
	return flush->outbox.fd;
}

void block_flush_start(struct block_flush *flush)
{
	struct block_image *image = flush->image;

	assert(!flush->busy && image->sync);
	flush->busy = true;
	flush->req = (struct block_request){ .op = BLOCK_FLUSH };
	flush->req.seen = __atomic_load_n(&image->failures, __ATOMIC_SEQ_CST);
	block_sync_submit(image->sync, &flush->outbox, &flush->req);
}

bool block_flush_collect(struct block_flush *flush)
{
	struct block_request_list list = { .head = NULL };

	block_outbox_listen(&flush->outbox);
	if (block_outbox_take(&flush->outbox, &list, 1))
		flush->busy = false;
	block_outbox_settle(&flush->outbox);
	return !flush->busy;
}

bool block_flush_is_busy(const struct block_flush *flush)
{
	return flush->busy;
}
