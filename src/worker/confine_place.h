/* SPDX-License-Identifier: MIT */
/*
 * Where a confined worker is: in no file system, no network, and with no other
 * process's objects in reach; see worker/confine.h.
 */
#ifndef WORKER_CONFINE_PLACE_H
#define WORKER_CONFINE_PLACE_H

/* Leave the host's network, System V objects and names. 0 or a negative errno,
 * of the first that stays; the others are left all the same. */
int confine_place_leave(void);

/*
 * The root is an empty directory that cannot be written, and no mount of the
 * host is in reach. 0 or a negative errno: all is as before.
 */
int confine_place_empty(void);

/*
 * No file can be opened, made, renamed or removed, no TCP port be used, no
 * abstract socket and no process outside be reached; as far as the kernel's
 * Landlock goes. With no_new_privs. 0 or a negative errno; -ENOSYS,
 * -EOPNOTSUPP: there is none.
 */
int confine_place_deny(void);

#endif
