/* SPDX-License-Identifier: MIT */
/*
 * The domain that is served; see toolstack/domain.h.
 *
 * Happy path: Xen itself tells, through libxenctrl, whether a domain lives;
 * xenstored knows its name.
 *
 * Failure modes: without libxenctrl xenstored is asked whether it knows the
 * domain. A question that fails has no answer, and the domain is taken to live
 * on. A xenstored that was started again knows no domain at all: it is not
 * believed that one is gone.
 */
#include "toolstack/domain.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xen/xen.h>

void domain_init(struct domain *domain, struct store *store, const char *wanted)
{
	memset(domain, 0, sizeof(*domain));
	domain->store = store;
	domain->wanted = wanted;
	domain->id = NO_DOMAIN;
	domain->former = NO_DOMAIN;
}

void domain_finish(struct domain *domain)
{
	xen_domctl_close(domain->ctl);
	free(domain->name);
	memset(domain, 0, sizeof(*domain));
}

static bool store_is_another(const struct domain *domain)
{
	return domain->store->connections != domain->connection;
}

static enum domain_life life_of(struct domain *domain, int id,
				enum domain_shutdown *reason)
{
	enum domain_life life = xen_domctl_life(domain->ctl, (uint32_t)id,
						reason);
	int known;

	if (life != DOMAIN_UNKNOWN)
		return life;
	known = store_has_domain(domain->store, (unsigned int)id);
	if (known > 0)
		return DOMAIN_RUNS;
	if (known < 0 || (id == domain->id && store_is_another(domain)))
		return DOMAIN_UNKNOWN;
	return DOMAIN_GONE;
}

enum domain_life domain_life(struct domain *domain,
			     enum domain_shutdown *reason)
{
	return life_of(domain, domain->id, reason);
}

bool domain_is_over(struct domain *domain)
{
	enum domain_shutdown reason;
	enum domain_life life = domain_life(domain, &reason);

	return life == DOMAIN_DYING || life == DOMAIN_GONE;
}

bool domain_may_run(struct domain *domain)
{
	enum domain_shutdown reason = DOMAIN_POWEROFF;
	enum domain_life life = domain_life(domain, &reason);

	return life == DOMAIN_RUNS || life == DOMAIN_UNKNOWN ||
	       (life == DOMAIN_SHUT_DOWN && reason == DOMAIN_SUSPEND);
}

bool domain_is_forgotten(const struct domain *domain)
{
	char *name;
	int r;

	if (!store_is_another(domain))
		return false;
	r = store_read(domain->store, &name, "/local/domain/%d/name",
		       domain->id);
	free(name);
	return r == -ENOENT;
}

/* A domain id, or NO_DOMAIN for what is none. */
static int parse_id(const char *text)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)*text))
		return NO_DOMAIN;
	n = strtol(text, &end, 10);
	return *end == '\0' && n < DOMID_FIRST_RESERVED ? (int)n : NO_DOMAIN;
}

bool domain_is_by_number(const struct domain *domain)
{
	return parse_id(domain->wanted) != NO_DOMAIN;
}

/*
 * The number of the one that is gone may be another one's by now, for who dies
 * does not live again. Of that only Xen is believed, where it can be asked:
 * xenstored knows a domain for a while that is dying.
 */
static bool lives(struct domain *domain, int id)
{
	enum domain_shutdown reason;
	enum domain_life life = id == domain->former && domain->ctl ?
					xen_domctl_life(domain->ctl,
							(uint32_t)id, &reason) :
					life_of(domain, id, &reason);

	return life == DOMAIN_RUNS || life == DOMAIN_SHUT_DOWN;
}

static bool has_name(struct domain *domain, int id, const char *name)
{
	char *other;
	bool has;

	if (store_read(domain->store, &other, "/local/domain/%d/name", id))
		return false;
	has = !strcmp(other, name);
	free(other);
	return has;
}

/* The newest living domain called `name`, or NO_DOMAIN. */
static int find_by_name(struct domain *domain, const char *name)
{
	unsigned int n;
	char **ids;
	int found = NO_DOMAIN;

	if (store_list(domain->store, &ids, &n, "/local/domain"))
		return NO_DOMAIN;
	for (unsigned int i = 0; i < n; i++) {
		int id = parse_id(ids[i]);

		if (id > found && has_name(domain, id, name) &&
		    lives(domain, id))
			found = id;
	}
	free(ids);
	return found;
}

static int find_by_id(struct domain *domain, int id)
{
	if (!lives(domain, id) || store_read(domain->store, &domain->name,
					     "/local/domain/%d/name", id))
		return NO_DOMAIN;
	return id;
}

bool domain_find(struct domain *domain)
{
	int id = domain->name ? NO_DOMAIN : parse_id(domain->wanted);

	if (id != NO_DOMAIN) {
		domain->id = find_by_id(domain, id);
	} else {
		domain->id = find_by_name(
			domain, domain->name ? domain->name : domain->wanted);
		if (domain->id != NO_DOMAIN && !domain->name)
			domain->name = strdup(domain->wanted);
	}
	domain->connection = domain->store->connections;
	return domain->id != NO_DOMAIN;
}

static int read_vm(struct domain *domain, int id, char **vm)
{
	return store_read(domain->store, vm, "/local/domain/%d/vm", id);
}

int domain_read_vm(struct domain *domain, char **vm)
{
	return read_vm(domain, domain->id, vm);
}

bool domain_is_gone(struct domain *domain, int id, const char *vm)
{
	enum domain_shutdown reason;
	/* Xen itself: a xenstored may have forgotten a domain that lives. */
	enum domain_life life = xen_domctl_life(domain->ctl, (uint32_t)id,
						&reason);
	char *now;
	bool gone;

	if (life == DOMAIN_GONE || life == DOMAIN_DYING)
		return true;
	if (read_vm(domain, id, &now))
		return false;
	gone = strcmp(now, vm) != 0;
	free(now);
	return gone;
}

void domain_forget(struct domain *domain)
{
	domain->former = domain->id;
	domain->id = NO_DOMAIN;
}
