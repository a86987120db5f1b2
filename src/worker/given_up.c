/* SPDX-License-Identifier: MIT */
/*
 * What a monitor sees of the state of a disk; see worker/worker.h. The worker
 * may have been taken over by its guest: nothing follows from it but when the
 * next worker begins.
 */
#include "worker/worker.h"

#include <stddef.h>
#include <unistd.h>

#include "virtio/state.h"

bool worker_state_is_given_up(int state_fd)
{
	uint32_t given_up = 0;

	return pread(state_fd, &given_up, sizeof(given_up),
		     offsetof(struct virtio_state, device.given_up)) ==
		       sizeof(given_up) &&
	       given_up;
}
