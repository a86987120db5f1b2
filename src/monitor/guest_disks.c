/* SPDX-License-Identifier: MIT */
/*
 * All disks of a guest; see monitor/guest_disks.h. A list is enough: it is gone
 * through when the toolstack has changed something.
 *
 * Failure: where the directories cannot be listed now, those that are served
 * are looked at all the same.
 */
#include "monitor/guest_disks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "monitor/disk_said.h"

unsigned int guest_disks_active(const struct guest_disks *disks)
{
	unsigned int n = 0;

	for (const struct guest_disk *gd = disks->first; gd; gd = gd->next)
		n += guest_disk_is_active(gd);
	return n;
}

unsigned int guest_disks_left(const struct guest_disks *disks)
{
	unsigned int n = 0;

	for (const struct guest_disk *gd = disks->first; gd; gd = gd->next)
		n += guest_disk_is_left(gd);
	return n;
}

static struct guest_disk *find(const struct guest_disks *disks, uint64_t devid)
{
	struct guest_disk *gd = disks->first;

	while (gd && gd->devid != devid)
		gd = gd->next;
	return gd;
}

/* One without memory for it is found at the next look, maybe. */
static struct guest_disk *add(struct guest_disks *disks, uint64_t devid)
{
	struct guest_disk **link = &disks->first;
	struct guest_disk *gd = calloc(1, sizeof(*gd));

	if (!gd) {
		/* To be looked at again, as what xenstore does not tell. */
		disks->host.store->trouble = ENOMEM;
		return NULL;
	}
	guest_disk_init(gd, &disks->host, devid);
	while (*link)
		link = &(*link)->next;
	*link = gd;
	return gd;
}

/* A disk that is not awaited no guest has seen, or it has ended. */
static void remove_others(const struct guest_disks *disks)
{
	const struct state_dir *states = disks->host.states;
	uint64_t devid[STATE_DIR_DISKS_MAX];
	unsigned int n = states ? state_dir_list(states, devid) : 0;

	for (unsigned int i = 0; i < n; i++)
		if (!worker_awaits(disks->host.worker, devid[i]))
			state_dir_remove_disk(states, devid[i]);
}

/*
 * Also those of which nobody else knows any more, neither directory nor file:
 * the guest may access them, and is let go by nobody but us.
 */
void guest_disks_find_left(struct guest_disks *disks)
{
	uint64_t devid[DISKS_MAX];
	unsigned int n = worker_awaited(disks->host.worker, devid);

	remove_others(disks);
	for (unsigned int i = 0; i < n; i++) {
		const struct guest_disk *gd = find(disks, devid[i]);

		if (!gd)
			add(disks, devid[i]);
		/* It has ended, and the worker died before it came to that. */
		else if (!guest_disk_is_active(gd))
			worker_disown(disks->host.worker, devid[i]);
	}
}

static void see(struct guest_disks *disks, uint64_t devid)
{
	struct guest_disk *gd = find(disks, devid);

	if (!gd)
		gd = add(disks, devid);
	if (gd)
		gd->seen = true;
}

/* Others than those that are named are another one's. */
static bool is_ours(const struct guest_disks *disks, uint64_t devid)
{
	char path[BACKEND_PATH_MAX];

	if (!disk_said_names_generic(disks->host.file, disks->host.overrides,
				     disks->host.noverrides, devid))
		return false;
	backend_path(path, disks->host.domid, devid);
	/* Of one that is not known now it is tried again. */
	return backend_is_disk(disks->host.store, path) > 0;
}

static void see_name(struct guest_disks *disks, const char *name, bool generic)
{
	uint64_t devid;

	if (backend_devid(&devid, name, generic) &&
	    (!generic || is_ours(disks, devid)))
		see(disks, devid);
}

/* Whether it is known which directories there are. */
static bool list(struct guest_disks *disks, bool generic)
{
	char path[BACKEND_PATH_MAX];
	unsigned int n;
	char **names;
	int r;

	backend_parent(path, disks->host.domid, generic);
	r = store_list(disks->host.store, &names, &n, "%s", path);
	for (unsigned int i = 0; i < n; i++)
		see_name(disks, names[i], generic);
	free(names);
	return r == 0 || r == -ENOENT;
}

/* Whether it is known which there are: those are `seen`. */
static bool list_all(struct guest_disks *disks)
{
	bool known;

	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		gd->seen = false;
	known = list(disks, false);
	if (guest_disks_wants_generic(disks))
		known &= list(disks, true);
	return known;
}

bool guest_disks_wants_generic(const struct guest_disks *disks)
{
	return disk_said_names_generic(disks->host.file, disks->host.overrides,
				       disks->host.noverrides, 0);
}

/* Those that are gone. */
static void forget_unseen(struct guest_disks *disks)
{
	struct guest_disk **link = &disks->first;

	while (*link) {
		struct guest_disk *gd = *link;

		if (gd->seen || guest_disk_is_active(gd)) {
			link = &gd->next;
			continue;
		}
		*link = gd->next;
		if (gd == disks->suspect)
			disks->suspect = NULL;
		guest_disk_finish(gd);
		free(gd);
	}
}

void guest_disks_review(struct guest_disks *disks)
{
	if (list_all(disks))
		forget_unseen(disks);
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		if (gd->seen || guest_disk_is_active(gd))
			guest_disk_review(gd, guest_disks_active(disks) >=
						      DISKS_MAX);
}

void guest_disks_take_up(struct guest_disks *disks)
{
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		guest_disk_take_up(gd);
}

void guest_disks_detach(struct guest_disks *disks)
{
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		guest_disk_detach(gd);
}

bool guest_disks_attached(struct guest_disks *disks, uint64_t devid, int result,
			  const char *error)
{
	struct guest_disk *gd = find(disks, devid);

	assert(gd);
	guest_disk_attached(gd, result, error);
	return guest_disk_is_left(gd);
}

void guest_disks_ended(struct guest_disks *disks, uint64_t devid)
{
	struct guest_disk *gd = find(disks, devid);

	assert(gd);
	guest_disk_ended(gd);
}

/* It does one after the other. */
static void note_suspect(struct guest_disks *disks)
{
	disks->suspect = NULL;
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		if (guest_disk_is_asked(gd) &&
		    (!disks->suspect ||
		     gd->asked_ns < disks->suspect->asked_ns))
			disks->suspect = gd;
}

void guest_disks_lost(struct guest_disks *disks)
{
	note_suspect(disks);
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		guest_disk_lost(gd);
}

void guest_disks_break(struct guest_disks *disks, bool all)
{
	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		if (all || !disks->suspect || gd == disks->suspect)
			guest_disk_break(gd);
}

bool guest_disks_were_reset(struct guest_disks *disks)
{
	bool any = false;

	for (struct guest_disk *gd = disks->first; gd; gd = gd->next)
		any |= guest_disk_was_reset(gd);
	return any;
}

void guest_disks_forget(struct guest_disks *disks)
{
	disks->suspect = NULL;
	while (disks->first) {
		struct guest_disk *gd = disks->first;

		disks->first = gd->next;
		guest_disk_finish(gd);
		free(gd);
	}
}
