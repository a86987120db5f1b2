/* SPDX-License-Identifier: MIT */
/*
 * The requests of a vhost-user front end that are about memory which it shares
 * with us: the guest's regions, the dirty log, the area of requests in flight;
 * see vhost_user/handlers.h.
 *
 * The table of regions changes while the queues' threads stand still; a region
 * is unmapped only when nothing is in flight, since the kernel may be writing
 * to it until then.
 */
#include "vhost_user/handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vhost_user/queues.h"
#include "vhost_user/takeover.h"

/* ---- regions ---- */

static const char *why_not_mapped(int r)
{
	switch (r) {
	case -EINVAL:
		return "it is empty, does not begin with a page, runs over, or "
		       "is not in a regular file";
	case -EREMOTE:
		return "its file is on a file system that the front end may "
		       "serve itself: use memfd, tmpfs, hugetlbfs or a disk";
	case -ENODATA:
		return "its file is too short";
	case -EEXIST:
		return "it overlaps another region";
	case -ENOSPC:
		return "too many regions";
	default:
		return strerror(-r);
	}
}

static int add_region(struct vhost_session *s, const struct vhost_region *new,
		      int fd)
{
	int r = regions_add(&s->regions, new, fd, s->wake_fd);

	if (r == 0)
		return 0;
	return vhost_session_wrong(s,
				   "region of 0x%" PRIx64 " bytes at 0x%" PRIx64
				   ": %s",
				   new->size, new->guest, why_not_mapped(r));
}

/*
 * Bits of the queues that run and have to go on. One that is disabled is
 * stopped with the memory, and starts again when it is enabled: until then the
 * front end may have taken its rings away, as when it unplugs memory.
 */
static uint32_t to_go_on(const struct vhost_session *s)
{
	uint32_t queues = vhost_queues_running(s);

	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		if (!s->vring[i].enabled)
			queues &= ~(1u << i);
	return queues;
}

/* Exchange all regions, and start the queues again that ran. */
static int exchange(struct vhost_session *s,
		    const struct vhost_mem_table *table, const int *fd)
{
	uint32_t needed = to_go_on(s);
	int r = 0;

	vhost_queues_stop(s);
	vhost_queues_hold(s);
	regions_clear(&s->regions);
	for (unsigned int i = 0; r == 0 && i < table->n; i++)
		r = add_region(s, &table->region[i], fd[i]);
	vhost_queues_release(s);
	if (r == 0)
		r = vhost_queues_start(s);
	if (r == 0 && (needed & ~vhost_queues_running(s)))
		r = vhost_session_wrong(s, "a running queue has lost its "
					   "rings");
	return r;
}

int vhost_set_mem_table(struct vhost_session *s, struct vhost_message *m)
{
	const struct vhost_mem_table *table = &m->payload.table;

	if (table->n > VHOST_TABLE_REGIONS_MAX || table->n != m->nfds ||
	    m->header.size !=
		    VHOST_MEM_TABLE_HEAD + table->n * sizeof(table->region[0]))
		return vhost_session_wrong(s,
					   "%" PRIu32 " regions in %" PRIu32
					   " bytes with %u descriptors",
					   table->n, m->header.size, m->nfds);
	return exchange(s, table, m->fd);
}

int vhost_get_max_mem_slots(struct vhost_session *s, struct vhost_message *m)
{
	(void)s;
	return vhost_message_number(m, VHOST_REGIONS_MAX);
}

int vhost_add_mem_reg(struct vhost_session *s, struct vhost_message *m)
{
	int r;

	vhost_queues_hold(s);
	r = add_region(s, &m->payload.reg.region, m->fd[0]);
	vhost_queues_release(s);
	return r ? r : vhost_queues_start(s);
}

/* Queues whose rings go with the region stay stopped. */
int vhost_rem_mem_reg(struct vhost_session *s, struct vhost_message *m)
{
	int r;

	vhost_queues_stop(s);
	vhost_queues_hold(s);
	r = regions_remove(&s->regions, &m->payload.reg.region);
	vhost_queues_release(s);
	return r ? vhost_session_wrong(s, "there is no such region") :
		   vhost_queues_start(s);
}

/* ---- dirty log ---- */

int vhost_set_log_base(struct vhost_session *s, struct vhost_message *m)
{
	const struct vhost_log *log = &m->payload.log;
	struct mapping map;
	int r;

	if (log->size < dirty_log_bytes(regions_last(&s->regions)))
		return vhost_session_wrong(s, "the log is too small");
	r = mapping_open(&map, m->fd[0], log->offset, log->size, s->wake_fd);
	if (r)
		return vhost_session_wrong(s, "the log cannot be mapped: %s",
					   why_not_mapped(r));
	vhost_queues_hold(s);
	mapping_close(&s->regions.log.map);
	s->regions.log.map = map;
	vhost_queues_update_log(s);
	vhost_queues_release(s);
	return vhost_message_number(m, 0);
}

/* ---- requests in flight ---- */

int vhost_get_inflight_fd(struct vhost_session *s, struct vhost_message *m)
{
	int fd = inflight_create(&m->payload.inflight, s->dev->nqueues,
				 s->dev->queue[0]->size_max);

	if (fd < 0)
		return vhost_session_wrong(
			s, "%u queue%s of %u: %s",
			m->payload.inflight.num_queues,
			log_plural(m->payload.inflight.num_queues),
			m->payload.inflight.queue_size, strerror(-fd));
	m->reply_fd = fd;
	return VHOST_ANSWER_REPLY;
}

int vhost_set_inflight_fd(struct vhost_session *s, struct vhost_message *m)
{
	int r;

	if (vhost_queues_running(s))
		return vhost_session_wrong(s, "queues are running");
	r = vhost_takeover_set_area(s, &m->payload.inflight, m->fd[0]);
	return r ? vhost_session_wrong(s, "the area cannot be mapped: %s",
				       why_not_mapped(r)) :
		   VHOST_ANSWER_OK;
}
