/* SPDX-License-Identifier: MIT */
/*
 * The domains that have virtio disks of this back end, as the toolstack lists
 * them: backend/virtio_disk/DOMID; or generic devices (toolstack/backend.h):
 * backend/virtio/DOMID. The names below are the toolstack's. What a guest can
 * write lies elsewhere, and is not read here.
 */
#ifndef TOOLSTACK_BACKEND_LIST_H
#define TOOLSTACK_BACKEND_LIST_H

#include "toolstack/store.h"

/* What is watched for changes of it. */
#define BACKEND_LIST_PATH "backend/virtio_disk"
#define BACKEND_LIST_GENERIC_PATH "backend/virtio"

enum { BACKEND_LIST_DOMAINS_MAX = 4096 }; /* those above are not seen */

/*
 * 0, the numbers in any order, each once and to be freed, and how many; none
 * where there is no such directory. Or a negative errno: that is not known now.
 */
int backend_list_domains(struct store *store, bool generic,
			 unsigned int **domids, unsigned int *n);

/*
 * Whether the domain lives and one of its disks is to be served, or was and has
 * not ended: 1 or 0, or a negative errno. Of the generic devices: one that can
 * be a disk.
 */
int backend_list_wants(struct store *store, bool generic, unsigned int domid);

#endif
