/* SPDX-License-Identifier: MIT */
/*
 * What a confined worker may ask of the kernel; see worker/confine_list.h.
 *
 * Made of what a worker was seen to call while disks of all engines came, were
 * served and went, and of what the C library, Xen's libraries or another
 * machine call for the same. No call has a path, but for one that is there for
 * the sake of its flag; none makes a socket or a process. Who adds a system
 * call to `disk`, `worker`, `xen`, `vhost_user`, `block` or `base` adds it
 * here.
 */
#include "worker/confine_list.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/call_filter_checks.h"

/* Of /dev/xen/privcmd and evtchn: number, and bytes of the argument. */
#define PRIVCMD(nr, size) _IOC(_IOC_NONE, 'P', nr, size)
#define EVTCHN(nr, size) _IOC(_IOC_NONE, 'E', nr, size)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what depends on arguments ---- */

/*
 * To notify; what a device model does; foreign memory; to bind and unbind; the
 * page of an ioreq server. Of block devices: to discard.
 */
static const uint32_t ioctls[] = {
	EVTCHN(4, 4), PRIVCMD(5, 16), PRIVCMD(4, 32), EVTCHN(1, 8),
	EVTCHN(3, 4), PRIVCMD(7, 32), BLKDISCARD,     BLKSECDISCARD,
};
#define IOCTLS_OF_XEN 6
static const struct call_filter_check ioctl_of_xen = { 1, UINT32_MAX, ioctls,
						       COUNT(ioctls) };
static const struct call_filter_check ioctl_of_vhost = {
	1, UINT32_MAX, ioctls + IOCTLS_OF_XEN, COUNT(ioctls) - IOCTLS_OF_XEN
};

/* Threads only, and none in a namespace of its own. */
#define NAMESPACES                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
static const uint32_t thread[] = { CLONE_THREAD };
static const struct call_filter_check of_process = { 0,
						     CLONE_THREAD | NAMESPACES,
						     thread, 1 };

/* How it is open; locks. Of a file that is shared with a front end: seals. */
static const uint32_t commands[] = {
	F_GETFL,     F_SETFL,     F_GETFD,     F_DUPFD_CLOEXEC,
	F_OFD_SETLK, F_OFD_GETLK, F_ADD_SEALS, F_GET_SEALS,
};
#define COMMANDS_OF_VHOST 2
static const struct call_filter_check command_of_xen = {
	1, UINT32_MAX, commands, COUNT(commands) - COMMANDS_OF_VHOST
};
static const struct call_filter_check command_of_vhost = { 1, UINT32_MAX,
							   commands,
							   COUNT(commands) };

/* fstat() of some C libraries. */
static const uint32_t empty_path[] = { AT_EMPTY_PATH };
static const struct call_filter_check of_descriptor = { 3, UINT32_MAX,
							empty_path, 1 };

/*
 * What a front end has sent: its kind, and who has it (vhost_user/peer_fd.c).
 */
static const uint32_t as_known[] = { AT_EMPTY_PATH | AT_STATX_DONT_SYNC };
static const struct call_filter_check known_of_descriptor = { 2, UINT32_MAX,
							      as_known, 1 };
static const struct call_filter_check handle_of_descriptor = { 4, UINT32_MAX,
							       empty_path, 1 };

/* Limits of ourselves. */
static const uint32_t zero[] = { 0 };
static const struct call_filter_check own_limits = { 0, UINT32_MAX, zero, 1 };

/* ---- the list ---- */

static const struct call_filter_call calls[] = {
	{ __NR_ioctl, CONFINE_XEN, &ioctl_of_xen },
	{ __NR_ioctl, CONFINE_VHOST, &ioctl_of_vhost },
	{ __NR_mmap, CONFINE_STEADY, &call_filter_not_executed },
	{ __NR_io_uring_enter, CONFINE_STEADY, NULL },
	{ __NR_read, CONFINE_STEADY, NULL },
	{ __NR_write, CONFINE_STEADY, NULL },
	{ __NR_epoll_pwait, CONFINE_STEADY, NULL },
#ifdef __NR_epoll_wait
	{ __NR_epoll_wait, CONFINE_STEADY, NULL },
#endif
	{ __NR_futex, CONFINE_STEADY, NULL },
	{ __NR_munmap, CONFINE_STEADY, NULL },
	{ __NR_fdatasync, CONFINE_STEADY, NULL },
	{ __NR_fallocate, CONFINE_STEADY, NULL },
	/* Zeroes where the store has no call for them. */
	{ __NR_pwritev2, CONFINE_STEADY, NULL },
	/* The link to the monitor. */
	{ __NR_sendmsg, CONFINE_STEADY, NULL },
	{ __NR_recvmsg, CONFINE_STEADY, NULL },
	/* Without a vDSO. */
	{ __NR_clock_gettime, CONFINE_STEADY, NULL },
	/* Who reads the log is slow; a drained disk. */
	{ __NR_ppoll, CONFINE_STEADY, NULL },
#ifdef __NR_poll
	{ __NR_poll, CONFINE_STEADY, NULL },
#endif
	{ __NR_restart_syscall, CONFINE_STEADY, NULL },
	{ __NR_rt_sigreturn, CONFINE_STEADY, NULL },
	{ __NR_exit_group, CONFINE_STEADY, NULL },

	/* Engines and loops. */
	{ __NR_io_uring_setup, CONFINE_CHANGE, NULL },
	{ __NR_io_uring_register, CONFINE_CHANGE, &call_filter_ring_of_engine },
	{ __NR_epoll_create1, CONFINE_CHANGE, NULL },
	{ __NR_epoll_ctl, CONFINE_CHANGE, NULL },
	{ __NR_eventfd2, CONFINE_CHANGE, NULL },
	{ __NR_close, CONFINE_CHANGE, NULL },
	/* A link over which nothing can be said. */
	{ __NR_shutdown, CONFINE_CHANGE, NULL },

	/* Files of state, which are descriptors; images. */
	{ __NR_fstat, CONFINE_CHANGE, NULL },
	{ __NR_newfstatat, CONFINE_CHANGE, &of_descriptor },
	{ __NR_ftruncate, CONFINE_CHANGE, NULL },
	{ __NR_pread64, CONFINE_CHANGE, NULL },
	{ __NR_fcntl, CONFINE_XEN, &command_of_xen },
	{ __NR_fcntl, CONFINE_VHOST, &command_of_vhost },

	/* Erasing what is dirty. */
	{ __NR_sync_file_range, CONFINE_CHANGE, NULL },

	/* Memory. */
	{ __NR_memfd_create, CONFINE_CHANGE, NULL },
	{ __NR_mprotect, CONFINE_CHANGE, &call_filter_not_executed },
	{ __NR_mremap, CONFINE_CHANGE, NULL },
	{ __NR_madvise, CONFINE_CHANGE, NULL },
	{ __NR_brk, CONFINE_CHANGE, NULL },

	/* Threads and signals. (clone3: see base/call_filter.c.) */
	{ __NR_clone, CONFINE_CHANGE, &of_process },
	{ __NR_clone3, CONFINE_CHANGE, NULL },
	{ __NR_set_robust_list, CONFINE_CHANGE, NULL },
	{ __NR_rseq, CONFINE_CHANGE, NULL },
	{ __NR_rt_sigprocmask, CONFINE_CHANGE, NULL },
	{ __NR_rt_sigaction, CONFINE_CHANGE, NULL },
	/* A failed assertion. */
	{ __NR_tgkill, CONFINE_CHANGE, &call_filter_to_us },
	{ __NR_getpid, CONFINE_CHANGE, NULL },
	{ __NR_gettid, CONFINE_CHANGE, NULL },
	{ __NR_exit, CONFINE_CHANGE, NULL },

	/* A page of the guest that Xen has to bring back; a full queue. */
	{ __NR_clock_nanosleep, CONFINE_CHANGE, NULL },

	{ __NR_io_submit, CONFINE_ENGINES, NULL },
	{ __NR_io_getevents, CONFINE_ENGINES, NULL },
	{ __NR_io_pgetevents, CONFINE_ENGINES, NULL },
	{ __NR_io_setup, CONFINE_ENGINES, NULL },
	{ __NR_io_destroy, CONFINE_ENGINES, NULL },
	{ __NR_preadv2, CONFINE_ENGINES | CONFINE_VHOST, NULL },

	/* Front ends: their sockets, and what they share. */
	{ __NR_getsockopt, CONFINE_VHOST, NULL },
	{ __NR_sendto, CONFINE_VHOST, NULL },
	{ __NR_recvfrom, CONFINE_VHOST, NULL },
	{ __NR_statx, CONFINE_VHOST, &known_of_descriptor },
	{ __NR_name_to_handle_at, CONFINE_VHOST, &handle_of_descriptor },
	{ __NR_fstatfs, CONFINE_VHOST, NULL },
	{ __NR_pwrite64, CONFINE_VHOST, NULL },
	{ __NR_prlimit64, CONFINE_VHOST, &own_limits },
	{ __NR_getrlimit, CONFINE_VHOST, NULL },
};
const struct call_filter_list confine_list = { calls, COUNT(calls) };
