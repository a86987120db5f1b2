/* SPDX-License-Identifier: MIT */
/* What libxl does with the disk of the double's guest. */
#ifndef DOUBLE_TOOLSTACK_H
#define DOUBLE_TOOLSTACK_H

#include "program.h"

enum {
	TOOLSTACK_DOMID = 5,
	TOOLSTACK_DEVID = 51712,
	TOOLSTACK_BASE = 0x2000000,
	TOOLSTACK_IRQ = 33,
};

/* A node of the disk's directory; good for the next few calls. */
const char *toolstack_node(const char *name);

/* Its directory, in one go. */
void toolstack_offer(const char *image);

/* Until the node has the value; the program lives meanwhile. */
void toolstack_wait(struct program *p, const char *name, const char *value);

/* It is wanted no more: until it has ended. */
void toolstack_detach(struct program *p);

#endif
