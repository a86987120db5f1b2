/* SPDX-License-Identifier: MIT */
/*
 * Lines virtio=[...] of a guest: which of those devices are disks of ours, the
 * guest's file says, or --disk.
 */
#ifndef INSTANCES_GENERIC_H
#define INSTANCES_GENERIC_H

#include <stdbool.h>

#include "config/options.h"
#include "toolstack/store.h"

/* Whether anybody says so of the domain's guest. What is wrong is logged. */
bool generic_is_said(struct store *store, unsigned int domid,
		     const struct options *options);

#endif
