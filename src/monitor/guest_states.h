/* SPDX-License-Identifier: MIT */
/*
 * What of a guest's devices outlives the process (monitor/state_dir.h), and
 * what tells that guest from others of its number.
 */
#ifndef MONITOR_GUEST_STATES_H
#define MONITOR_GUEST_STATES_H

#include "monitor/state_dir.h"
#include "toolstack/domain.h"

struct guest_states {
	struct state_dir dir;
	struct domain *domain;
	char *vm; /* what tells the guest that has them; owned; or NULL */
};

/* Zeroes but for that may be closed. */
#define GUEST_STATES_CLOSED ((struct guest_states){ .dir = STATE_DIR_CLOSED })

/*
 * Open the directory, if that can be had, and remove what is left in it of
 * guests that are gone. The domain stays the caller's and has to stay.
 */
void guest_states_open(struct guest_states *states, const char *path,
		       struct domain *domain);
void guest_states_close(struct guest_states *states);

/*
 * Take those of the domain that was found. 0: also where it can have none,
 * which was said and state_dir_has_guest() tells. -EAGAIN: it is not known yet
 * whether it has any. Or another negative errno, logged, and it is not to be
 * served: -EBUSY, another process does; or something is lacking here.
 */
int guest_states_take(struct guest_states *states);

#endif
