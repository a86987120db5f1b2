/* SPDX-License-Identifier: MIT */
/*
 * Which domains have disks; see toolstack/backend_list.h.
 *
 * A name counts only as the toolstack writes it: a decimal number without sign
 * and zeroes before it, of a domain that can be a guest. So no two names stand
 * for one domain, and none for a reserved number.
 *
 * Failure: a domain whose directory was left by a toolstack that has died is
 * known to xenstored no more, and not served.
 */
#include "toolstack/backend_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xen/xen.h>

#include "base/log.h"
#include "toolstack/backend.h"

/* A domain's number, or 0: dom0 is no guest. */
static unsigned int parse_domid(const char *name)
{
	unsigned int domid = 0;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return 0;
		domid = domid * 10 + (unsigned int)(*name - '0');
		if (domid >= DOMID_FIRST_RESERVED)
			return 0;
	}
	return domid;
}

static const char *parent_of(bool generic)
{
	return generic ? BACKEND_LIST_GENERIC_PATH : BACKEND_LIST_PATH;
}

int backend_list_domains(struct store *store, bool generic,
			 unsigned int **domids, unsigned int *n)
{
	static struct log_limit lines;
	char **names;
	unsigned int all;
	int r = store_list(store, &names, &all, "%s", parent_of(generic));

	*domids = NULL;
	*n = 0;
	if (r)
		return r == -ENOENT ? 0 : r;
	if (all > BACKEND_LIST_DOMAINS_MAX) {
		log_limited(
			&lines, LOG_LEVEL_WARNING,
			"more than %d domains have virtio disks: the others "
			"are not looked at",
			BACKEND_LIST_DOMAINS_MAX);
		all = BACKEND_LIST_DOMAINS_MAX;
	}
	*domids = calloc(all + 1, sizeof(**domids));
	for (unsigned int i = 0; *domids && i < all; i++) {
		(*domids)[*n] = parse_domid(names[i]);
		*n += (*domids)[*n] != 0;
	}
	free(names);
	return *domids ? 0 : -ENOMEM;
}

/* 1, 0, or a negative errno. */
static int is_to_be_served(struct store *store, bool generic,
			   unsigned int domid, const char *name)
{
	char path[STORE_PATH_MAX];
	int state, r;

	snprintf(path, sizeof(path), "%s/%u/%s", parent_of(generic), domid,
		 name);
	r = generic ? backend_is_disk(store, path) : 1;
	if (r != 1)
		return r;
	state = backend_state(store, path);
	/* One that was refused has none. */
	if (state == -ENOENT)
		return 0;
	return state < 0 ? state : state != XENBUS_CLOSED;
}

int backend_list_wants(struct store *store, bool generic, unsigned int domid)
{
	unsigned int n;
	char **names;
	int r = store_list(store, &names, &n, "%s/%u", parent_of(generic),
			   domid);

	if (r)
		return r == -ENOENT ? 0 : r;
	for (unsigned int i = 0; r == 0 && i < n; i++)
		r = is_to_be_served(store, generic, domid, names[i]);
	free(names);
	return r == 1 ? store_has_domain(store, domid) : r;
}
