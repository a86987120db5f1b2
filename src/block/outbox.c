/* SPDX-License-Identifier: MIT */
/*
 * An engine's exit: eventfd and answered requests; see outbox.h.
 *
 * Failure modes: none after init. Reading an eventfd that was not rung yet
 * answers EAGAIN, which leaves the balance as it is: the ring is on its way
 * (the kernel and the workers ring after they have posted) and a later reap()
 * reads it.
 */
#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "outbox.h"

int block_outbox_init(struct block_outbox *outbox)
{
	*outbox = (struct block_outbox){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	pthread_mutex_init(&outbox->lock, NULL);
	return outbox->fd < 0 ? -errno : 0;
}

void block_outbox_finish(struct block_outbox *outbox)
{
	if (outbox->fd >= 0)
		close(outbox->fd);
	outbox->fd = -1;
	pthread_mutex_destroy(&outbox->lock);
}

static void ring_bell(struct block_outbox *outbox, uint64_t times)
{
	int rc = eventfd_write(outbox->fd, times);

	/* Cannot fail: nobody rings 2^64 times without being answered. */
	assert(rc == 0);
	(void)rc;
}

void block_outbox_announce(struct block_outbox *outbox)
{
	if (!outbox->answered.head || outbox->rung)
		return;
	outbox->rung = true;
	ring_bell(outbox, 1);
}

void block_outbox_nudge(struct block_outbox *outbox)
{
	outbox->balance++;
	ring_bell(outbox, 1);
}

void block_outbox_listen(struct block_outbox *outbox)
{
	eventfd_t rings;

	if (eventfd_read(outbox->fd, &rings) == 0)
		outbox->balance -= (int64_t)rings;
}

/*
 * It is rung under the lock: who has taken the request may close the eventfd,
 * and comes to that only after this thread is through with it.
 */
void block_outbox_post(struct block_outbox *outbox, struct block_request *req)
{
	bool first;

	pthread_mutex_lock(&outbox->lock);
	first = !outbox->posted.head;
	block_request_list_append(&outbox->posted, req);
	__atomic_store_n(&outbox->mail, true, __ATOMIC_RELEASE);
	if (first)
		ring_bell(outbox, 1);
	pthread_mutex_unlock(&outbox->lock);
}

static unsigned int take_mail(struct block_outbox *outbox,
			      struct block_request_list *list, unsigned int max)
{
	unsigned int n;

	pthread_mutex_lock(&outbox->lock);
	n = block_request_list_move(list, &outbox->posted, max);
	if (!outbox->posted.head) {
		__atomic_store_n(&outbox->mail, false, __ATOMIC_RELAXED);
		outbox->balance++;
	}
	pthread_mutex_unlock(&outbox->lock);
	return n;
}

unsigned int block_outbox_take(struct block_outbox *outbox,
			       struct block_request_list *list,
			       unsigned int max)
{
	unsigned int n = block_request_list_move(list, &outbox->answered, max);

	if (!outbox->answered.head && outbox->rung) {
		outbox->rung = false;
		outbox->balance++;
	}
	if (n < max && __atomic_load_n(&outbox->mail, __ATOMIC_ACQUIRE))
		n += take_mail(outbox, list, max - n);
	return n;
}

void block_outbox_settle(struct block_outbox *outbox)
{
	block_outbox_announce(outbox);
	if (outbox->balance < 0) {
		ring_bell(outbox, (uint64_t)-outbox->balance);
		outbox->balance = 0;
	}
}
