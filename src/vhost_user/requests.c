/* SPDX-License-Identifier: MIT */
/*
 * The table of a vhost-user front end's requests; see vhost_user/requests.h.
 *
 * A request that is not in it ends the session, as does a message that is not
 * as its row says.
 */
#include "vhost_user/requests.h"

#include <stddef.h>

#include "vhost_user/handlers.h"
#include "vhost_user/queues.h"

static int nothing(struct vhost_session *s, struct vhost_message *m)
{
	(void)s;
	(void)m;
	return VHOST_ANSWER_OK;
}

/* ---- what drains ---- */

static uint32_t running(const struct vhost_session *s,
			const struct vhost_message *m)
{
	(void)m;
	return vhost_queues_running(s);
}

static uint32_t running_for_reset(const struct vhost_session *s,
				  const struct vhost_message *m)
{
	return m->payload.u64 == 0 ? vhost_queues_running(s) : 0;
}

static uint32_t its_queue(const struct vhost_session *s,
			  const struct vhost_message *m)
{
	uint32_t index = m->payload.state.index;

	return index < s->dev->nqueues ? 1u << index : 0;
}

/* ---- the table ---- */

#define REQUEST(name, ...) [VHOST_##name] = { #name, __VA_ARGS__ }
#define SIZE(type) .size_min = sizeof(type), .size_max = sizeof(type)
#define SIZES(min, max) .size_min = (min), .size_max = (max)
#define FDS(n) .fds_min = (n), .fds_max = (n)
#define FDS_UP_TO(n) .fds_max = (n)
#define NEEDS(bit) .needs = VHOST_BIT(VHOST_PROTOCOL_F_##bit)
#define REPLIES .replies = true
#define DRAINS(what) .drains = (what)

static const struct vhost_request_kind kinds[VHOST_REQUEST_END] = {
	REQUEST(GET_FEATURES, vhost_get_features, REPLIES),
	REQUEST(SET_FEATURES, vhost_set_features, SIZE(uint64_t)),
	REQUEST(SET_OWNER, nothing),
	/* Deprecated; its meaning was never settled. */
	REQUEST(RESET_OWNER, nothing),
	REQUEST(SET_MEM_TABLE, vhost_set_mem_table,
		SIZES(VHOST_MEM_TABLE_HEAD, sizeof(struct vhost_mem_table)),
		FDS_UP_TO(VHOST_TABLE_REGIONS_MAX), DRAINS(running)),
	REQUEST(SET_LOG_BASE, vhost_set_log_base, SIZE(struct vhost_log),
		FDS(1), NEEDS(LOG_SHMFD), REPLIES),
	/* It would tell the front end that we have logged; nobody asks. */
	REQUEST(SET_LOG_FD, nothing, SIZES(0, sizeof(uint64_t)), FDS(1)),
	REQUEST(SET_VRING_NUM, vhost_set_vring_num,
		SIZE(struct vhost_vring_state)),
	REQUEST(SET_VRING_ADDR, vhost_set_vring_addr,
		SIZE(struct vhost_vring_addr)),
	REQUEST(SET_VRING_BASE, vhost_set_vring_base,
		SIZE(struct vhost_vring_state)),
	REQUEST(GET_VRING_BASE, vhost_get_vring_base,
		SIZE(struct vhost_vring_state), REPLIES, DRAINS(its_queue),
		.settles = true),
	REQUEST(SET_VRING_KICK, vhost_set_vring_kick, SIZE(uint64_t),
		FDS_UP_TO(1)),
	REQUEST(SET_VRING_CALL, vhost_set_vring_call, SIZE(uint64_t),
		FDS_UP_TO(1)),
	REQUEST(SET_VRING_ERR, vhost_set_vring_err, SIZE(uint64_t),
		FDS_UP_TO(1)),
	REQUEST(GET_PROTOCOL_FEATURES, vhost_get_protocol_features, REPLIES),
	REQUEST(SET_PROTOCOL_FEATURES, vhost_set_protocol_features,
		SIZE(uint64_t)),
	REQUEST(GET_QUEUE_NUM, vhost_get_queue_num, REPLIES),
	REQUEST(SET_VRING_ENABLE, vhost_set_vring_enable,
		SIZE(struct vhost_vring_state)),
	REQUEST(SET_BACKEND_REQ_FD, vhost_set_backend_req_fd, FDS(1),
		NEEDS(BACKEND_REQ)),
	REQUEST(GET_CONFIG, vhost_get_config,
		SIZES(VHOST_CONFIG_HEAD, sizeof(struct vhost_config)),
		NEEDS(CONFIG), REPLIES),
	REQUEST(SET_CONFIG, vhost_set_config,
		SIZES(VHOST_CONFIG_HEAD, sizeof(struct vhost_config)),
		NEEDS(CONFIG)),
	REQUEST(GET_INFLIGHT_FD, vhost_get_inflight_fd,
		SIZES(VHOST_INFLIGHT_SHORT, sizeof(struct vhost_inflight)),
		NEEDS(INFLIGHT_SHMFD), REPLIES),
	REQUEST(SET_INFLIGHT_FD, vhost_set_inflight_fd,
		SIZES(VHOST_INFLIGHT_SHORT, sizeof(struct vhost_inflight)),
		FDS(1), NEEDS(INFLIGHT_SHMFD)),
	REQUEST(RESET_DEVICE, vhost_reset_device, DRAINS(running),
		.abandons = true),
	REQUEST(GET_MAX_MEM_SLOTS, vhost_get_max_mem_slots,
		NEEDS(CONFIGURE_MEM_SLOTS), REPLIES),
	REQUEST(ADD_MEM_REG, vhost_add_mem_reg, SIZE(struct vhost_mem_reg),
		FDS(1), NEEDS(CONFIGURE_MEM_SLOTS)),
	/* Some send its descriptor, which is not needed. */
	REQUEST(REM_MEM_REG, vhost_rem_mem_reg, SIZE(struct vhost_mem_reg),
		FDS_UP_TO(1), NEEDS(CONFIGURE_MEM_SLOTS), DRAINS(running)),
	REQUEST(SET_STATUS, vhost_set_status, SIZE(uint64_t), NEEDS(STATUS),
		DRAINS(running_for_reset)),
	REQUEST(GET_STATUS, vhost_get_status, NEEDS(STATUS), REPLIES),
};

const struct vhost_request_kind *vhost_request_kind(uint32_t request)
{
	if (request >= VHOST_REQUEST_END || !kinds[request].handle)
		return NULL;
	return &kinds[request];
}
