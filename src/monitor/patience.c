/* SPDX-License-Identifier: MIT */
/* Waiting for what will pass; see monitor/patience.h. */
#include "monitor/patience.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"

/* How long it is waited before that is said, and said again. */
#define SAY_NS NS_PER_SECOND
#define SAY_AGAIN_NS (10 * NS_PER_SECOND)

/*
 * Who else has the image goes, memory or descriptors get free. io_setup() says
 * EAGAIN while the contexts of a killed process are still being taken down.
 */
bool patience_helps(int error)
{
	return error == -EAGAIN || error == -EBUSY || error == -EINTR ||
	       error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
	       error == -ENOBUFS ||
	       /* Another image: a mistake, until the guest is ended. */
	       error == -ESTALE;
}

void patience_try(struct patience *p)
{
	uint64_t now = clock_ns();

	if (p->since_ns == 0)
		p->since_ns = now;
	p->how = BLOCK_IN_USE_ASK;
	if (now - p->since_ns < SAY_NS ||
	    (p->said_ns && now - p->said_ns < SAY_AGAIN_NS))
		return;
	p->said_ns = now;
	p->how = BLOCK_IN_USE_SAY;
}

void patience_say(const struct patience *p, const char *name, const char *why)
{
	if (p->how == BLOCK_IN_USE_SAY)
		log_warning("%s: the guest waits for it: %s", name, why);
	else
		log_debug("%s: %s", name, why);
}
