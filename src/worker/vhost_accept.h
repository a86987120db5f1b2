/* SPDX-License-Identifier: MIT */
/* Accepting a front end on a listener that others may have as well. */
#ifndef WORKER_VHOST_ACCEPT_H
#define WORKER_VHOST_ACCEPT_H

/* Who connected, never waiting: -EAGAIN if there is nobody. Or an errno. */
int vhost_accept(int listener);

#endif
