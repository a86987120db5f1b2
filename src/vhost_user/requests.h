/* SPDX-License-Identifier: MIT */
/* The handlers of a front end's requests that are not in requests.c itself. */
#ifndef VHOST_USER_REQUESTS_H
#define VHOST_USER_REQUESTS_H

#include "vhost_user/session.h"

/* The message becomes a reply with this number. */
int vhost_reply_u64(struct vhost_message *m, uint64_t value);

/* requests_memory.c: regions, dirty log, requests in flight */
int vhost_set_mem_table(struct vhost_session *s, struct vhost_message *m);
int vhost_get_max_mem_slots(struct vhost_session *s, struct vhost_message *m);
int vhost_add_mem_reg(struct vhost_session *s, struct vhost_message *m);
int vhost_rem_mem_reg(struct vhost_session *s, struct vhost_message *m);
int vhost_set_log_base(struct vhost_session *s, struct vhost_message *m);
int vhost_get_inflight_fd(struct vhost_session *s, struct vhost_message *m);
int vhost_set_inflight_fd(struct vhost_session *s, struct vhost_message *m);

/* requests_vring.c: queues */
int vhost_set_vring_num(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_addr(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_base(struct vhost_session *s, struct vhost_message *m);
int vhost_get_vring_base(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_kick(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_call(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_err(struct vhost_session *s, struct vhost_message *m);
int vhost_set_vring_enable(struct vhost_session *s, struct vhost_message *m);

#endif
