/* SPDX-License-Identifier: MIT */
/* The channel for requests of the back end to the front end. */
#ifndef VHOST_USER_CHANNEL_H
#define VHOST_USER_CHANNEL_H

#include "vhost_user/wire.h"

/*
 * Whether `fd` can be the channel of the session on `sock`: 0, -EINVAL if it is
 * no connected Unix stream socket, or -ELOOP if it is the front end's own end
 * of the session.
 */
int channel_check(int fd, int sock);

/*
 * Send a request that has no payload and wants no answer. Never blocks. 0 or a
 * negative errno.
 */
int channel_send(int fd, enum vhost_backend_request request);

#endif
