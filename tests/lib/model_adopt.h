/* SPDX-License-Identifier: MIT */
/*
 * A process that dies and one that goes on with its device: memory of the
 * driver and state stay, everything else is gone.
 */
#ifndef MODEL_ADOPT_H
#define MODEL_ADOPT_H

#include "lib/model_blk.h"

/* What was mapped is not any more. */
void model_forget_maps(struct model_memory *mem);

/* Adopt the state as it is now: as virtio_blk_adopt(). */
int model_adopt(struct model_blk *m, const char **why);

/* ... which is possible, and go on. */
void model_go_on(struct model_blk *m);

/* Do what a queue had in flight: how many requests. */
unsigned int model_do_again(struct model_blk *m, unsigned int queue);

#endif
