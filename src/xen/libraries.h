/* SPDX-License-Identifier: MIT */
/* Xen's libraries, which are loaded when they are needed: base/library.h. */
#ifndef XEN_LIBRARIES_H
#define XEN_LIBRARIES_H

/* Before anything of them is called. 0, or a negative errno and a log line. */
int xen_libraries_load(void);

#endif
