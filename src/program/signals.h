/* SPDX-License-Identifier: MIT */
/*
 * Signals: what they ask for is done in the loop, but the program can be ended
 * also where the loop stands still.
 */
#ifndef PROGRAM_SIGNALS_H
#define PROGRAM_SIGNALS_H

#include <stdbool.h>

#include "base/loop.h"

struct signals_owner_ops {
	void (*log_stats)(void); /* USR1 */
	void (*look)(void);      /* HUP: at the sizes of images */
	/* These may be NULL, of who has no disks. */
	void (*log_events)(void); /* USR2; see base/trace.h */
	void (*trace)(bool on);   /* RTMIN+1, RTMIN+2 */
	/*
	 * TERM or INT, again: end the process without waiting for requests in
	 * flight. Does not return. Called in the loop, or where that stands
	 * still by another thread.
	 */
	void (*abandon)(void);
};

/*
 * Ignore those that whatever is written to or read raises, where there is an
 * error code as well.
 */
void signals_ignore(void);

/*
 * Start to listen for signals; to be called before any other thread is made.
 * TERM and INT call loop_quit(), also one that came before loop_run(). Lasts
 * until the process ends. 0 or a negative errno.
 */
int signals_open(struct loop *loop, const struct signals_owner_ops *ops);

#endif
