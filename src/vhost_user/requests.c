/* SPDX-License-Identifier: MIT */
/*
 * The requests of a vhost-user front end: one handler each, and the table of
 * what each has to look like.
 *
 * A handler gets a message whose size, number of descriptors and protocol
 * features are right; it checks the rest before it changes anything. Everything
 * about memory that the queues share with it happens while their threads stand
 * still, or, where the driver could notice, while nothing is in flight.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vhost_user/channel.h"
#include "vhost_user/queues.h"
#include "vhost_user/requests.h"
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

int vhost_reply_u64(struct vhost_message *m, uint64_t value)
{
	m->header.size = sizeof(m->payload.u64);
	m->payload.u64 = value;
	return VHOST_ANSWER_REPLY;
}

/* ---- features ---- */

static uint64_t offered(const struct vhost_session *s)
{
	return virtio_device_offered(s->dev) | VHOST_BIT(VHOST_F_LOG_ALL) |
	       VHOST_BIT(VHOST_F_PROTOCOL_FEATURES);
}

static int get_features(struct vhost_session *s, struct vhost_message *m)
{
	return vhost_reply_u64(m, offered(s));
}

static int set_features(struct vhost_session *s, struct vhost_message *m)
{
	uint64_t features = m->payload.u64;
	uint64_t changed = features ^ s->features;

	if (features & ~offered(s))
		return vhost_session_wrong(s,
					   "features 0x%" PRIx64
					   " were not offered",
					   features & ~offered(s));
	if (vhost_queues_running(s) && (changed & ~VHOST_BIT(VHOST_F_LOG_ALL)))
		return vhost_session_wrong(s, "queues are running");
	vhost_queues_hold(s);
	s->features = features;
	vhost_queues_update_log(s);
	vhost_queues_release(s);
	vhost_queues_check_log(s);
	/* Without this feature nobody will enable them. */
	if (!(features & VHOST_BIT(VHOST_F_PROTOCOL_FEATURES)))
		for (unsigned int i = 0; i < s->dev->nqueues; i++)
			s->vring[i].enabled = true;
	return VHOST_ANSWER_OK;
}

static int get_protocol_features(struct vhost_session *s,
				 struct vhost_message *m)
{
	(void)s;
	return vhost_reply_u64(m, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vhost_session *s,
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

static int get_queue_num(struct vhost_session *s, struct vhost_message *m)
{
	return vhost_reply_u64(m, s->dev->nqueues);
}

static int nothing(struct vhost_session *s, struct vhost_message *m)
{
	(void)s;
	(void)m;
	return VHOST_ANSWER_OK;
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

/*
 * The positions stay: QEMU 7.2 writes 0 also when it only stops the device, and
 * asks for the positions after that.
 */
static void status_0_drained(struct vhost_session *s)
{
	down(s);
	vhost_session_answer(s, VHOST_ANSWER_OK);
}

static void reset_drained(struct vhost_session *s)
{
	down(s);
	for (unsigned int i = 0; i < s->dev->nqueues; i++) {
		struct vring *v = &s->vring[i];

		v->size = 0;
		v->base = 0;
		v->has_addr = false;
		v->enabled = false;
	}
	vhost_session_answer(s, VHOST_ANSWER_OK);
}

static int reset_device(struct vhost_session *s, struct vhost_message *m)
{
	(void)m;
	/* The driver wants no answer, and nobody will go on with them. */
	for (unsigned int i = 0; i < s->dev->nqueues; i++)
		s->vring[i].vq->leaves = false;
	virtio_device_abandon(s->dev);
	vhost_session_drain(s, vhost_queues_running(s), reset_drained);
	return VHOST_ANSWER_LATER;
}

static int set_status(struct vhost_session *s, struct vhost_message *m)
{
	const uint8_t ours = VIRTIO_STATUS_NEEDS_RESET;

	if (m->payload.u64 > UINT8_MAX)
		return vhost_session_wrong(s, "status 0x%" PRIx64,
					   m->payload.u64);
	if (m->payload.u64 == 0) {
		vhost_session_drain(s, vhost_queues_running(s),
				    status_0_drained);
		return VHOST_ANSWER_LATER;
	}
	s->status = (uint8_t)m->payload.u64 & (uint8_t)~ours;
	return VHOST_ANSWER_OK;
}

static int get_status(struct vhost_session *s, struct vhost_message *m)
{
	uint32_t ours = virtio_device_wants_reset(s->dev) ?
				VIRTIO_STATUS_NEEDS_RESET :
				0;

	return vhost_reply_u64(m, s->status | ours);
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
static int get_config(struct vhost_session *s, struct vhost_message *m)
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
static int set_config(struct vhost_session *s, struct vhost_message *m)
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

static int set_backend_req_fd(struct vhost_session *s, struct vhost_message *m)
{
	if (channel_check(m->fd[0], s->socket.fd))
		return vhost_session_wrong(s, "not a connected socket, or the "
					      "session's own");
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = vhost_message_take_fd(m, 0);
	return VHOST_ANSWER_OK;
}

/* ---- the table ---- */

#define SIZE(type) .size_min = sizeof(type), .size_max = sizeof(type)
#define FDS(n) .fds_min = (n), .fds_max = (n)
#define NEEDS(bit) .needs = VHOST_BIT(VHOST_PROTOCOL_F_##bit)

static const struct vhost_request_kind kinds[VHOST_REQUEST_END] = {
	[VHOST_GET_FEATURES] = { "GET_FEATURES", get_features,
				 .replies = true },
	[VHOST_SET_FEATURES] = { "SET_FEATURES", set_features, SIZE(uint64_t) },
	[VHOST_SET_OWNER] = { "SET_OWNER", nothing },
	/* Deprecated; its meaning was never settled. */
	[VHOST_RESET_OWNER] = { "RESET_OWNER", nothing },
	[VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", vhost_set_mem_table,
				  .size_min = VHOST_MEM_TABLE_HEAD,
				  .size_max = sizeof(struct vhost_mem_table),
				  .fds_max = VHOST_TABLE_REGIONS_MAX },
	[VHOST_SET_LOG_BASE] = { "SET_LOG_BASE", vhost_set_log_base,
				 SIZE(struct vhost_log), FDS(1),
				 NEEDS(LOG_SHMFD), .replies = true },
	/* It would tell the front end that we have logged; nobody asks. */
	[VHOST_SET_LOG_FD] = { "SET_LOG_FD", nothing,
			       .size_max = sizeof(uint64_t), FDS(1) },
	[VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", vhost_set_vring_num,
				  SIZE(struct vhost_vring_state) },
	[VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR", vhost_set_vring_addr,
				   SIZE(struct vhost_vring_addr) },
	[VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", vhost_set_vring_base,
				   SIZE(struct vhost_vring_state) },
	[VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", vhost_get_vring_base,
				   SIZE(struct vhost_vring_state),
				   .replies = true },
	[VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", vhost_set_vring_kick,
				   SIZE(uint64_t), .fds_max = 1 },
	[VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", vhost_set_vring_call,
				   SIZE(uint64_t), .fds_max = 1 },
	[VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", vhost_set_vring_err,
				  SIZE(uint64_t), .fds_max = 1 },
	[VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES",
					  get_protocol_features,
					  .replies = true },
	[VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES",
					  set_protocol_features,
					  SIZE(uint64_t) },
	[VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", get_queue_num,
				  .replies = true },
	[VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", vhost_set_vring_enable,
				     SIZE(struct vhost_vring_state) },
	[VHOST_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", set_backend_req_fd,
				       FDS(1), NEEDS(BACKEND_REQ) },
	[VHOST_GET_CONFIG] = { "GET_CONFIG", get_config,
			       .size_min = VHOST_CONFIG_HEAD,
			       .size_max = sizeof(struct vhost_config),
			       NEEDS(CONFIG), .replies = true },
	[VHOST_SET_CONFIG] = { "SET_CONFIG", set_config,
			       .size_min = VHOST_CONFIG_HEAD,
			       .size_max = sizeof(struct vhost_config),
			       NEEDS(CONFIG) },
	[VHOST_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", vhost_get_inflight_fd,
				    .size_min = VHOST_INFLIGHT_SHORT,
				    .size_max = sizeof(struct vhost_inflight),
				    NEEDS(INFLIGHT_SHMFD), .replies = true },
	[VHOST_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", vhost_set_inflight_fd,
				    .size_min = VHOST_INFLIGHT_SHORT,
				    .size_max = sizeof(struct vhost_inflight),
				    FDS(1), NEEDS(INFLIGHT_SHMFD) },
	[VHOST_RESET_DEVICE] = { "RESET_DEVICE", reset_device },
	[VHOST_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS",
				      vhost_get_max_mem_slots,
				      NEEDS(CONFIGURE_MEM_SLOTS),
				      .replies = true },
	[VHOST_ADD_MEM_REG] = { "ADD_MEM_REG", vhost_add_mem_reg,
				SIZE(struct vhost_mem_reg), FDS(1),
				NEEDS(CONFIGURE_MEM_SLOTS) },
	/* Some send its descriptor, which is not needed. */
	[VHOST_REM_MEM_REG] = { "REM_MEM_REG", vhost_rem_mem_reg,
				SIZE(struct vhost_mem_reg), .fds_max = 1,
				NEEDS(CONFIGURE_MEM_SLOTS) },
	[VHOST_SET_STATUS] = { "SET_STATUS", set_status, SIZE(uint64_t),
			       NEEDS(STATUS) },
	[VHOST_GET_STATUS] = { "GET_STATUS", get_status, NEEDS(STATUS),
			       .replies = true },
};

const struct vhost_request_kind *vhost_request_kind(uint32_t request)
{
	if (request >= VHOST_REQUEST_END || !kinds[request].handle)
		return NULL;
	return &kinds[request];
}
