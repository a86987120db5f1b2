/* SPDX-License-Identifier: MIT */
/*
 * Saying something over a link: what cannot be said ends the link for both of
 * its ends, for whoever waits for it would do so for ever.
 */
#ifndef LINK_SAY_H
#define LINK_SAY_H

#include "link/message.h"

/*
 * To a worker: as link_message_send(). NULL; or why not, and the worker is to
 * be given up. Where nobody is there, the end of the link tells that, after
 * what was said before.
 */
const char *link_say_to_worker(int fd, const struct link_message *message,
			       const int *fds);

/* To a monitor; if not, that is logged, and heard as the end of the link. */
void link_say_to_monitor(int fd, const struct link_message *message);

#endif
