/* SPDX-License-Identifier: MIT */
/* The library of xenstore, which is loaded when it is needed. */
#ifndef TOOLSTACK_LIBRARY_H
#define TOOLSTACK_LIBRARY_H

/* Before anything of it is called. 0, or a negative errno and a log line. */
int toolstack_library_load(void);

#endif
