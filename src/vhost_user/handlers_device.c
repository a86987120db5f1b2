/* SPDX-License-Identifier: MIT */
/*
 * The requests of a vhost-user front end that are about the device: features,
 * status, configuration, and the channel of our own requests; see
 * vhost_user/handlers.h.
 *
 * The queues' threads stand still while the configuration changes.
 */
#include "vhost_user/handlers.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vhost_user/channel.h"
#include "vhost_user/queues.h"
#include "vhost_user/takeover.h"

#define PROTOCOL_FEATURES                                  \
	(VHOST_BIT(VHOST_PROTOCOL_F_MQ) |                  \
	 VHOST_BIT(VHOST_PROTOCOL_F_LOG_SHMFD) |           \
	 VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |           \
	 VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) |         \
	 VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) |              \
	 VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) |      \
	 VHOST_BIT(VHOST_PROTOCOL_F_RESET_DEVICE) |        \
	 VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
	 VHOST_BIT(VHOST_PROTOCOL_F_STATUS))

/* ---- features ---- */

static uint64_t offered(const struct vhost_session *s)
{
	return virtio_device_offered(s->dev) | VHOST_BIT(VHOST_F_LOG_ALL) |
	       VHOST_BIT(VHOST_F_PROTOCOL_FEATURES);
}

int vhost_get_features(struct vhost_session *s, struct vhost_message *m)
{
	return vhost_message_number(m, offered(s));
}

int vhost_set_features(struct vhost_session *s, struct vhost_message *m)
{
	uint64_t features = m->payload.u64;
	uint64_t changed = features ^ virtio_device_accepted(s->dev);

	if (features & ~offered(s))
		return vhost_session_wrong(s,
					   "features 0x%" PRIx64
					   " were not offered",
					   features & ~offered(s));
	if (vhost_queues_running(s) && (changed & ~VHOST_BIT(VHOST_F_LOG_ALL)))
		return vhost_session_wrong(s, "queues are running");
	vhost_queues_hold(s);
	virtio_device_accept(s->dev, features);
	vhost_queues_update_log(s);
	vhost_queues_release(s);
	vhost_queues_check_log(s);
	/* Without this feature nobody will enable them. */
	if (!(features & VHOST_BIT(VHOST_F_PROTOCOL_FEATURES)))
		for (unsigned int i = 0; i < s->dev->nqueues; i++)
			s->vring[i].enabled = true;
	return VHOST_ANSWER_OK;
}

int vhost_get_protocol_features(struct vhost_session *s,
				struct vhost_message *m)
{
	(void)s;
	return vhost_message_number(m, PROTOCOL_FEATURES);
}

int vhost_set_protocol_features(struct vhost_session *s,
				struct vhost_message *m)
{
	if (m->payload.u64 & ~PROTOCOL_FEATURES)
		return vhost_session_wrong(s,
					   "protocol features 0x%" PRIx64
					   " were not offered",
					   m->payload.u64 & ~PROTOCOL_FEATURES);
	s->protocol = m->payload.u64;
	return VHOST_ANSWER_OK;
}

int vhost_get_queue_num(struct vhost_session *s, struct vhost_message *m)
{
	return vhost_message_number(m, s->dev->nqueues);
}

/* ---- device ---- */

/* Stop the queues for good: they start again with new kick descriptors. */
static void down(struct vhost_session *s)
{
	vhost_queues_stop(s);
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		vring_set_kick(&s->vring[i], -1);
	/* The next rings may be others; what it notes is of these. */
	vhost_takeover_set_area(s, NULL, -1);
	s->status = 0;
}

/* Nobody will go on with what is in flight: see the table of requests. */
int vhost_reset_device(struct vhost_session *s, struct vhost_message *m)
{
	(void)m;
	down(s);
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		struct vring *v = &s->vring[i];

		v->size = 0;
		v->base = 0;
		v->has_addr = false;
		v->enabled = false;
	}
	return VHOST_ANSWER_OK;
}

/*
 * With 0 the positions stay: QEMU 7.2 writes that also when it only stops the
 * device, and asks for the positions after it.
 */
int vhost_set_status(struct vhost_session *s, struct vhost_message *m)
{
	const uint8_t ours = VIRTIO_STATUS_NEEDS_RESET;

	if (m->payload.u64 > UINT8_MAX)
		return vhost_session_wrong(s, "status 0x%" PRIx64,
					   m->payload.u64);
	if (m->payload.u64 == 0)
		down(s);
	else
		s->status = (uint8_t)m->payload.u64 & (uint8_t)~ours;
	return VHOST_ANSWER_OK;
}

int vhost_get_status(struct vhost_session *s, struct vhost_message *m)
{
	uint32_t ours = virtio_device_wants_reset(s->dev) ?
				VIRTIO_STATUS_NEEDS_RESET :
				0;

	return vhost_message_number(m, s->status | ours);
}

/* Whether the message has the bytes that its configuration part tells of. */
static bool config_ok(const struct vhost_message *m)
{
	const struct vhost_config *c = &m->payload.config;

	return c->size && c->size <= sizeof(c->bytes) &&
	       c->offset <= sizeof(c->bytes) - c->size &&
	       m->header.size == VHOST_CONFIG_HEAD + c->size;
}

/* What lies behind the end of our configuration reads as 0. */
int vhost_get_config(struct vhost_session *s, struct vhost_message *m)
{
	struct vhost_config *c = &m->payload.config;
	uint8_t all[VHOST_CONFIG_BYTES_MAX] = { 0 };

	_Static_assert(sizeof(all) >= 96, "a device's configuration");
	if (!config_ok(m)) {
		m->header.size = 0; /* the protocol's way to say no */
		return VHOST_ANSWER_REPLY;
	}
	if (!s->config_read && !s->config_set && !s->known)
		s->owner->ops->begin(s->owner);
	s->config_read = true;
	memcpy(all, s->dev->config, s->dev->config_bytes);
	memcpy(c->bytes, all + c->offset, c->size);
	return VHOST_ANSWER_REPLY;
}

/* Whether the device's configuration has these bytes now. */
static bool config_is(const struct vhost_session *s,
		      const struct vhost_config *c)
{
	return c->offset <= s->dev->config_bytes &&
	       c->size <= s->dev->config_bytes - c->offset &&
	       !memcmp((const uint8_t *)s->dev->config + c->offset, c->bytes,
		       c->size);
}

/*
 * Refused where it has not the effect that was wanted. The queues' threads
 * stand still meanwhile, and find what they have to do for it when they go on.
 */
int vhost_set_config(struct vhost_session *s, struct vhost_message *m)
{
	const struct vhost_config *c = &m->payload.config;

	if (!config_ok(m))
		return vhost_session_wrong(s, "offset or size");
	vhost_queues_hold(s);
	virtio_device_config_write(s->dev, c->offset, c->bytes, c->size);
	vhost_queues_release(s);
	if (!config_is(s, c)) {
		log_limited(&s->limit.config, LOG_LEVEL_WARNING,
			    "%s: a change of %" PRIu32 " bytes at %" PRIu32
			    " of the configuration was refused",
			    s->name, c->size, c->offset);
		return VHOST_ANSWER_REFUSED;
	}
	s->config_set = true;
	vhost_takeover_keep(s);
	return VHOST_ANSWER_OK;
}

int vhost_set_backend_req_fd(struct vhost_session *s, struct vhost_message *m)
{
	if (channel_check(m->fd[0], m->sock))
		return vhost_session_wrong(s, "not a connected socket, or the "
					      "session's own");
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = vhost_message_take_fd(m, 0);
	return VHOST_ANSWER_OK;
}
