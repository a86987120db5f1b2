/* SPDX-License-Identifier: MIT */
/*
 * Signals that are about traces, of the monitor; whole groups of processes may
 * be sent them.
 */
#ifndef BASE_TRACE_SIGNALS_H
#define BASE_TRACE_SIGNALS_H

#include <signal.h>

#define TRACE_SIGNAL_LOG SIGUSR2 /* the last events */
#define TRACE_SIGNAL_ON (SIGRTMIN + 1)
#define TRACE_SIGNAL_OFF (SIGRTMIN + 2)

#endif
