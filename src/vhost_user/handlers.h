/* SPDX-License-Identifier: MIT */
/*
 * The handlers of a front end's requests, one each. A handler gets a message
 * whose size, descriptors and protocol features are right, with nothing in
 * flight where the table of requests says so; it checks the rest before it
 * changes anything. Returns enum vhost_answer, or a negative errno with a
 * reason.
 *
 * Everything about memory that the queues share with it happens while their
 * threads stand still, or, where the driver could notice, while nothing is in
 * flight.
 */
#ifndef VHOST_USER_HANDLERS_H
#define VHOST_USER_HANDLERS_H

#include "vhost_user/message.h"
#include "vhost_user/session.h"

/* handlers_device.c: features, status, configuration */
int vhost_get_features(struct vhost_session *s, struct vhost_message *m);
int vhost_set_features(struct vhost_session *s, struct vhost_message *m);
int vhost_get_protocol_features(struct vhost_session *s,
				struct vhost_message *m);
int vhost_set_protocol_features(struct vhost_session *s,
				struct vhost_message *m);
int vhost_get_queue_num(struct vhost_session *s, struct vhost_message *m);
int vhost_reset_device(struct vhost_session *s, struct vhost_message *m);
int vhost_set_status(struct vhost_session *s, struct vhost_message *m);
int vhost_get_status(struct vhost_session *s, struct vhost_message *m);
int vhost_get_config(struct vhost_session *s, struct vhost_message *m);
int vhost_set_config(struct vhost_session *s, struct vhost_message *m);
int vhost_set_backend_req_fd(struct vhost_session *s, struct vhost_message *m);

/* handlers_memory.c: regions, dirty log, requests in flight */
int vhost_set_mem_table(struct vhost_session *s, struct vhost_message *m);
int vhost_get_max_mem_slots(struct vhost_session *s, struct vhost_message *m);
int vhost_add_mem_reg(struct vhost_session *s, struct vhost_message *m);
int vhost_rem_mem_reg(struct vhost_session *s, struct vhost_message *m);
int vhost_set_log_base(struct vhost_session *s, struct vhost_message *m);
int vhost_get_inflight_fd(struct vhost_session *s, struct vhost_message *m);
int vhost_set_inflight_fd(struct vhost_session *s, struct vhost_message *m);

/* handlers_vring.c: queues */
int vhost_set_vring_num(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_addr(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_base(struct vhost_session *s, struct vhost_message *m);
int vhost_get_vring_base(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_kick(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_call(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_err(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_enable(struct vhost_session *s, struct vhost_message *m);

#endif
