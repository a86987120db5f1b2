/* SPDX-License-Identifier: MIT */
/*
 * Sockets that systemd has opened and passes on (LISTEN_FDS).
 */
#ifndef BASE_LISTEN_FDS_H
#define BASE_LISTEN_FDS_H

#include <stdbool.h>

enum { LISTEN_FDS_START = 3 }; /* the first of them */

/* Whether one socket was passed to this process. */
bool listen_fds_has_one(void);

#endif
