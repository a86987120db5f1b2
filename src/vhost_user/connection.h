/* SPDX-License-Identifier: MIT */
/*
 * The connection of a vhost-user front end: it brings one message after the
 * other, each of which goes through the same stages once:
 *
 *	receive	piece by piece
 *	check	by the table of requests (vhost_user/requests.h)
 *	drain	where the table says so: its queues pause until nothing of them
 *		is in flight, for the driver must not see the change half done
 *	handle	one call of the table's handler, for the session
 *	settle	where the table says so: until the owner is quiet; and until
 *		he lets a queue start that could
 *	answer	as the handler has said
 *
 * Nothing of that blocks: no further message is read until this one is
 * answered, and the loop goes on. The end of a session is a drain as well, of
 * all queues.
 *
 * The struct lives as long as the device and serves one front end at a time.
 */
#ifndef VHOST_USER_CONNECTION_H
#define VHOST_USER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "vhost_user/message.h"
#include "vhost_user/session.h"

struct vhost_request_kind;

enum vhost_stage {
	VHOST_STAGE_RECEIVE, /* the next message; also where nobody is */
	VHOST_STAGE_DRAIN,   /* it waits for its queues */
	VHOST_STAGE_SETTLE,  /* it is handled; its answer waits */
	VHOST_STAGE_END,     /* the session ends: all queues drain */
};

enum vhost_watch {
	VHOST_WATCH_NOTHING,
	VHOST_WATCH_END, /* whether the front end goes */
	VHOST_WATCH_MESSAGES,
};

struct vhost_connection {
	struct loop *loop;
	struct loop_source wake;   /* the session has news */
	struct loop_source socket; /* fd -1: no front end */
	enum vhost_watch watch;    /* what the socket is watched for */
	bool deaf;                 /* it should be for messages, and cannot */

	enum vhost_stage stage;
	struct vhost_message message;
	const struct vhost_request_kind *kind; /* the message's */
	uint32_t queues;                       /* bits of those that drain */
	int answer;              /* enum vhost_answer, or a negative errno */
	bool gone;               /* nobody is there, or is heard any more */
	struct loop_timer stall; /* half a message has come */

	/* What a front end can make us say: none hides another. */
	struct {
		struct log_limit end, wrong;
	} limit;
	struct vhost_session session; /* last: large, most of it never used */
};

/*
 * Make a connection of zeroed memory, for a session as vhost_session_init() has
 * it, whose messages are handled in `loop`. 0 or a negative errno.
 */
int vhost_connection_init(struct vhost_connection *c, const char *name,
			  struct virtio_device *dev, struct vhost_owner *owner,
			  struct loop *loop,
			  struct thread_loop *const *threads);

/* Nobody is connected. */
void vhost_connection_finish(struct vhost_connection *c);

/* Talk to the front end on `fd`, owned from here on. 0 or a negative errno. */
int vhost_connection_open(struct vhost_connection *c, int fd);

bool vhost_connection_is_open(const struct vhost_connection *c);

/*
 * We end by ourselves: when the requests in flight are done, or left to whoever
 * serves the driver next; then owner's closed().
 */
void vhost_connection_close(struct vhost_connection *c);

#endif
