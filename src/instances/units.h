/* SPDX-License-Identifier: MIT */
/* Instances that are units of systemd: virtio-disk@DOMID.service. */
#ifndef INSTANCES_UNITS_H
#define INSTANCES_UNITS_H

#include "instances/instance.h"

extern const struct instance_kind units;

/* Whether systemd has started this host. */
bool units_can_be(void);

#endif
