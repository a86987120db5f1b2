/* SPDX-License-Identifier: MIT */
/*
 * The table of a front end's requests: what each has to look like, what it
 * waits for, and who handles it.
 */
#ifndef VHOST_USER_REQUESTS_H
#define VHOST_USER_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

struct vhost_message;
struct vhost_session;

struct vhost_request_kind {
	const char *name;
	/*
	 * Called once, when the message is as the rest of this struct says and
	 * the queues have drained: enum vhost_answer, or a negative errno with
	 * a reason.
	 */
	int (*handle)(struct vhost_session *s, struct vhost_message *m);
	/*
	 * Bits of the queues of which nothing may be in flight then, or NULL.
	 */
	uint32_t (*drains)(const struct vhost_session *s,
			   const struct vhost_message *m);
	bool abandons;     /* nobody needs what is in flight to be done */
	bool settles;      /* answered when the owner is quiet */
	bool replies;      /* its own way, so never acknowledged */
	uint16_t size_min; /* bytes of payload */
	uint16_t size_max;
	uint8_t fds_min;
	uint8_t fds_max;
	uint64_t needs; /* protocol features, negotiated before */
};

/* NULL for a number that is no request of a front end we know. */
const struct vhost_request_kind *vhost_request_kind(uint32_t request);

#endif
