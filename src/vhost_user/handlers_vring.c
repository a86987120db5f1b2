/* SPDX-License-Identifier: MIT */
/*
 * The requests of a vhost-user front end that are about one queue.
 *
 * A queue that runs keeps its size, position and rings: to change them it is
 * stopped before. Its event descriptors may be exchanged at any time.
 */
#include "vhost_user/handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vhost_user/queues.h"

/* The queue called `index`, or NULL with a reason. */
static struct vring *vring_of(struct vhost_session *s, uint64_t index)
{
	if (index < s->dev->nqueues)
		return &s->vring[index];
	vhost_session_wrong(s, "there is no queue %" PRIu64, index);
	return NULL;
}

/* As vring_of(), for a change that a running queue does not survive. */
static struct vring *stopped_vring_of(struct vhost_session *s, uint64_t index)
{
	struct vring *v = vring_of(s, index);

	if (!v || !v->running)
		return v;
	vhost_session_wrong(s, "queue %" PRIu64 " is running", index);
	return NULL;
}

int vhost_set_vring_num(struct vhost_session *s, struct vhost_message *m)
{
	uint32_t num = m->payload.state.num;
	struct vring *v = stopped_vring_of(s, m->payload.state.index);

	if (!v)
		return -EPROTO;
	if (num == 0 || num > v->vq->size_max ||
	    ((num & (num - 1)) && !vhost_session_packed(s)))
		return vhost_session_wrong(
			s,
			"a queue of %" PRIu32 " entries; "
			"%s up to %u is needed",
			num,
			vhost_session_packed(s) ? "a number" : "a power of two",
			v->vq->size_max);
	v->size = (uint16_t)num;
	return VHOST_ANSWER_OK;
}

static bool same_rings(const struct vhost_vring_addr *a,
		       const struct vhost_vring_addr *b)
{
	return a->desc == b->desc && a->avail == b->avail && a->used == b->used;
}

int vhost_set_vring_addr(struct vhost_session *s, struct vhost_message *m)
{
	const struct vhost_vring_addr *addr = &m->payload.addr;
	struct vring *v = vring_of(s, addr->index);
	uint64_t end;

	if (!v)
		return -EPROTO;
	if (addr->flags & ~(uint32_t)VHOST_VRING_LOG)
		return vhost_session_wrong(s, "flags 0x%" PRIx32, addr->flags);
	if (addr->desc % 16 || addr->avail % 2 || addr->used % 4 ||
	    __builtin_add_overflow(addr->log,
				   vring_used_bytes(VIRTQUEUE_SIZE_MAX), &end))
		return vhost_session_wrong(s,
					   "addresses of queue %u are not "
					   "aligned or run over",
					   addr->index);
	if (v->running && !same_rings(addr, &v->addr))
		return vhost_session_wrong(s, "queue %u is running",
					   addr->index);
	v->addr = *addr;
	v->has_addr = true;
	if (v->running) {
		vhost_queues_hold(s);
		v->memory.log_used = addr->flags & VHOST_VRING_LOG;
		v->memory.used_log = addr->log;
		vhost_queues_release(s);
	}
	return VHOST_ANSWER_OK;
}

int vhost_set_vring_base(struct vhost_session *s, struct vhost_message *m)
{
	struct vring *v = stopped_vring_of(s, m->payload.state.index);

	if (!v)
		return -EPROTO;
	if (m->payload.state.num > UINT16_MAX && !vhost_session_packed(s))
		return vhost_session_wrong(s, "base %" PRIu32,
					   m->payload.state.num);
	v->base = m->payload.state.num;
	return VHOST_ANSWER_OK;
}

/* With the answer for the last one the disk may go on elsewhere. */
int vhost_get_vring_base(struct vhost_session *s, struct vhost_message *m)
{
	struct vring *v = vring_of(s, m->payload.state.index);

	if (!v)
		return -EPROTO;
	vhost_queues_stop_one(s, v);
	/* It starts again only with a new one. */
	vring_set_kick(v, -1);
	m->payload.state.num = v->base;
	return VHOST_ANSWER_REPLY;
}

/*
 * Set an event descriptor as the message says; `needed` where we cannot do
 * without one.
 */
static int set_vring_fd(struct vhost_session *s, struct vhost_message *m,
			int (*set)(struct vring *v, int fd), bool needed)
{
	uint64_t n = m->payload.u64;
	struct vring *v = vring_of(s, n & VHOST_VRING_INDEX_MASK);
	int r;

	if (!v)
		return -EPROTO;
	if ((n & ~(uint64_t)(VHOST_VRING_INDEX_MASK | VHOST_VRING_NOFD)) ||
	    m->nfds != !(n & VHOST_VRING_NOFD))
		return vhost_session_wrong(s,
					   "0x%" PRIx64 " with %u descriptor%s",
					   n, m->nfds, log_plural(m->nfds));
	if (needed && m->nfds == 0)
		return vhost_session_wrong(s, "a queue without kicks cannot be "
					      "served");
	r = set(v, m->nfds ? vhost_message_take_fd(m, 0) : -1);
	if (r == -EINVAL)
		return vhost_session_wrong(s, "the descriptor is no eventfd");
	return r ? vhost_session_wrong(s, "%s", strerror(-r)) : VHOST_ANSWER_OK;
}

int vhost_set_vring_kick(struct vhost_session *s, struct vhost_message *m)
{
	int r = set_vring_fd(s, m, vring_set_kick, true);

	return r ? r : vhost_queues_start(s);
}

int vhost_set_vring_call(struct vhost_session *s, struct vhost_message *m)
{
	return set_vring_fd(s, m, vring_set_call, false);
}

int vhost_set_vring_err(struct vhost_session *s, struct vhost_message *m)
{
	return set_vring_fd(s, m, vring_set_err, false);
}

int vhost_set_vring_enable(struct vhost_session *s, struct vhost_message *m)
{
	struct vring *v = vring_of(s, m->payload.state.index);

	if (!v)
		return -EPROTO;
	if (m->payload.state.num > 1 ||
	    !vhost_session_has(s, VHOST_F_PROTOCOL_FEATURES))
		return vhost_session_wrong(s, "not 0 or 1, or its feature was "
					      "not negotiated");
	v->enabled = m->payload.state.num;
	vring_update_pause(v);
	return vhost_queues_start(s);
}
