/* SPDX-License-Identifier: MIT */
/*
 * What a service manager is told of this process: that it is ready, how it
 * does, that it still goes round (sd_notify(3), without its library).
 *
 * Where there is no service manager, or it does not want to know, nothing
 * happens. Nobody waits for it.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include "base/loop.h"

enum { NOTIFY_STATUS_MAX = 256 }; /* bytes of a sentence, with its NUL */

/*
 * Find out whether anybody wants to know, and take the variables that say so
 * from the environment, so that no child believes them. From now on, if it is
 * wanted, a timer of `loop` says that it goes round. Once in a process.
 */
void notify_open(struct loop *loop);

/* What is asked for will be done from now on. Later calls say nothing. */
void notify_ready(void);

/* One sentence for people; the same one again is not sent. */
void notify_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
