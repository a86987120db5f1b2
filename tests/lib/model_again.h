/* SPDX-License-Identifier: MIT */
/*
 * The program of model_guest.h again and again in one process. Signals are
 * listened to for the life of a process, so here each program is told otherwise
 * that it is to end: the test is linked with -Wl,--wrap=signals_open.
 */
#ifndef MODEL_AGAIN_H
#define MODEL_AGAIN_H

#include <stdbool.h>

#include "base/loop.h"
#include "program/signals.h"

int __wrap_signals_open(struct loop *loop, const struct signals_owner_ops *ops);

/* As by a signal. One that has just been started is waited for. */
void ask_stop(void);

/* Whether it ended well; then the next one may be started. */
bool stopped(void);

#endif
