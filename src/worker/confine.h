/* SPDX-License-Identifier: MIT */
/*
 * What a worker gives up before it looks at anything that a guest or a front
 * end has written: who takes it over has its own disks and memory, which it had
 * before, and nothing else.
 *
 *	handles		Xen's, if there are any, serve this guest alone
 *	place		mounts, network, System V objects and name of the host
 *			are none, or empty
 *	limits		no core files, no priorities; descriptors, threads and
 *			locked memory are bounded
 *	identity	a user of its own, no groups, no capabilities, no new
 *			privileges; nobody but root reads its memory
 *	files		none can be opened (Landlock), nor abstract sockets
 *			outside; no signals to others
 *	calls		those of worker/confine_list.h
 *
 * The user. By default it is number CONFINE_UID_BASE + domid, and the group of
 * the same number; of a worker that serves front ends it is
 * CONFINE_UID_OF_VHOST + its process. Two workers of different guests share
 * none: the limits count for each, and neither may signal or trace the other.
 * No file is owned by it, and none can become so: the worker makes no files.
 * The numbers from 0x70000000 on are between those that systemd gives to
 * containers and those that programs with signed numbers get wrong; no
 * distribution gives them to anybody. A user with a name is for who has rules
 * by users; several workers then share it, and threads and locked memory, which
 * are counted by user, are not bounded.
 *
 * Mounts and Landlock, both: Landlock (5.13) needs no rights and so works in a
 * unit without CAP_SYS_ADMIN, and refuses also where a way past the list of
 * calls is found; but it lets through stat() and a connection to a socket that
 * has a path. For those there is an empty root, where we may make one.
 *
 * What does not work is told in the log, all that we may not in one line, and
 * is no reason to end: a kernel or a unit that lacks one of these would
 * otherwise take the guest's disks away, and the others stand. Our own unit
 * lets neither user nor capabilities change. But for files: where neither root,
 * nor Landlock, nor list works, a worker that was taken over would have the
 * host's.
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#define CONFINE_UID_BASE 0x70000000u
/* No domain has a number that is as large. */
#define CONFINE_UID_OF_VHOST (CONFINE_UID_BASE + 0x10000u)

struct confine_settings {
	unsigned int calls; /* of worker/confine_list.h */
	unsigned int id;    /* of its user, if that has no name */
	const char *user;   /* whose name is looked up, or NULL: as above */
	/* Have Xen's handles, which are open, serve guest `domid`; or NULL. */
	int (*restrict_handles)(unsigned int domid);
	unsigned int domid;
};

/*
 * Give it all up, for good, in the process's only thread: before log_detach().
 * Xen's libraries are loaded and all handles open; images and state may come
 * later, as descriptors. A parent-death signal has to be set after this again.
 *
 * 0, or a negative errno, logged: serve nothing then. -ENOENT: there is no such
 * user; -EBUSY: there are other threads.
 */
int confine_enter(const struct confine_settings *settings);

#endif
