/* SPDX-License-Identifier: MIT */
/*
 * When a guest is looked at again although nothing has happened: what could not
 * be known, seldom; a disk that waits for its image, often at first.
 */
#ifndef MONITOR_GUEST_PACE_H
#define MONITOR_GUEST_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"

struct guest_pace {
	struct loop *loop;
	const char *domain; /* for the log; not owned */
	void (*due)(struct guest_pace *pace);
	struct loop_timer again;
	struct loop_timer take_up;
	uint64_t again_ns; /* how long it was armed for last; 0: it is not */
	uint64_t take_up_since_ns; /* ... is waited for; or 0 */
	int trouble;               /* errno of xenstore's last refusal, or 0 */
	struct log_limit errors;   /* of xenstore */
};

/* Of zeroes; `due` is called in `loop`. */
void guest_pace_init(struct guest_pace *pace, struct loop *loop,
		     const char *domain, void (*due)(struct guest_pace *pace));
void guest_pace_finish(struct guest_pace *pace);

/*
 * What could not be known is looked at again; `error` is why, or 0. Where there
 * is no news of the domain in xenstore (`forgotten`), only looking tells of its
 * end.
 */
void guest_pace_look(struct guest_pace *pace, int error, bool forgotten);

/* Whether there are disks that wait for their images. */
void guest_pace_take_up(struct guest_pace *pace, bool waits);

#endif
