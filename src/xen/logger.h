/* SPDX-License-Identifier: MIT */
/* What Xen's libraries have to say goes into our log. */
#ifndef XEN_LOGGER_H
#define XEN_LOGGER_H

#include <xentoollog.h>

/* For xen..._open(); not to be freed. */
xentoollog_logger *xen_logger(void);

#endif
