/* SPDX-License-Identifier: MIT */
/*
 * The domain that is served: finding it by name or id, and whether it lives.
 * Its name outlives its id, so that it is found again after a reboot.
 */
#ifndef TOOLSTACK_DOMAIN_H
#define TOOLSTACK_DOMAIN_H

#include <stdbool.h>

#include "toolstack/domctl.h"
#include "toolstack/store.h"

enum { NO_DOMAIN = -1 };

struct domain {
	struct store *store;
	struct xen_domctl *ctl;
	const char *wanted;      /* name or id, as the administrator says it */
	char *name;              /* once known; owned */
	int id;                  /* or NO_DOMAIN */
	int former;              /* the last one that is gone, or NO_DOMAIN */
	unsigned int connection; /* to the store, when it was found */
};

void domain_init(struct domain *domain, struct store *store,
		 const char *wanted);
void domain_finish(struct domain *domain);

/* Whether a number was given, not a name. */
bool domain_is_by_number(const struct domain *domain);

/* Look for the domain. True if it is there: id and name are set. */
bool domain_find(struct domain *domain);

/*
 * What tells the domain that was found from others that have its number later:
 * 0 and a text, to be freed; -ENOENT: nothing does; else it is not known now.
 */
int domain_read_vm(struct domain *domain, char **vm);

/*
 * Whether a domain that domain_read_vm() told by `vm` is no more: there is none
 * of its number, or another one, or it is dying. What is not known says no.
 */
bool domain_is_gone(struct domain *domain, int id, const char *vm);

/* It is gone: the next domain_find() is for its successor. */
void domain_forget(struct domain *domain);

/* How the domain that was found does; as xen_domctl_life(). */
enum domain_life domain_life(struct domain *domain,
			     enum domain_shutdown *reason);

/* Whether it is dying or gone. What is not known says no. */
bool domain_is_over(struct domain *domain);

/*
 * Whether it runs, or may run once more. One that is being saved or migrated is
 * suspended meanwhile, and goes on where that fails, or where it was a copy.
 */
bool domain_may_run(struct domain *domain);

/*
 * Whether the store says nothing of the domain because it is another store than
 * the one in which it was found: xenstored has been started again, and has
 * forgotten everything.
 */
bool domain_is_forgotten(const struct domain *domain);

#endif
