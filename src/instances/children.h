/* SPDX-License-Identifier: MIT */
/* Instances that are child processes: of this program, with its options. */
#ifndef INSTANCES_CHILDREN_H
#define INSTANCES_CHILDREN_H

#include "instances/instance.h"

extern const struct instance_kind children;

#endif
