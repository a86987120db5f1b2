/* SPDX-License-Identifier: MIT */
/*
 * A guest's states; see monitor/guest_states.h.
 *
 * Failure modes: where there can be none the guest is served without, and is
 * lost with the process. One that another process serves, or for whose states
 * memory or descriptors are lacking, is not served.
 */
#include "monitor/guest_states.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

static void warn_of_none(const struct guest_states *states, const char *why)
{
	log_warning("%s: the guest's disks cannot be taken over by the next "
		    "process: %s",
		    states->domain->wanted, why);
}

static bool is_gone(void *arg, unsigned int domid, const char *vm)
{
	const struct guest_states *states = arg;

	return domain_is_gone(states->domain, (int)domid, vm);
}

void guest_states_open(struct guest_states *states, const char *path,
		       struct domain *domain)
{
	char error[BLOCK_ERROR_MAX];

	states->domain = domain;
	if (state_dir_open(&states->dir, path, error))
		warn_of_none(states, error);
	else
		state_dir_sweep(&states->dir, is_gone, states);
}

void guest_states_close(struct guest_states *states)
{
	state_dir_close(&states->dir);
	free(states->vm);
	states->vm = NULL;
}

/* Another process will have it, or find what is lacking here now. */
static bool is_final(int error)
{
	return error == -EBUSY || error == -ENOMEM || error == -EMFILE ||
	       error == -ENFILE;
}

int guest_states_take(struct guest_states *states)
{
	char error[BLOCK_ERROR_MAX];
	char *vm;
	int r;

	/* That was said when they were opened. */
	if (states->dir.root_fd < 0)
		return 0;
	r = domain_read_vm(states->domain, &vm);
	if (r == -ENOENT)
		warn_of_none(states, "xenstore has no uuid of it");
	if (r)
		return r == -ENOENT ? 0 : -EAGAIN;
	r = state_dir_take(&states->dir, (unsigned int)states->domain->id, vm,
			   error);
	free(states->vm);
	states->vm = vm;
	if (is_final(r)) {
		log_error("%s: %s", states->domain->wanted, error);
		return r;
	}
	if (r)
		warn_of_none(states, error);
	return 0;
}
