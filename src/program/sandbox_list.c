/* SPDX-License-Identifier: MIT */
/*
 * What the process may ask of the kernel; see program/sandbox.h.
 *
 * Made of what the tests of all engines and transports were seen to call, and
 * of its siblings: what another version of the C library, of Xen's libraries,
 * of a kernel without a vDSO, or the other machine calls for the same. It is
 * kept by what the code does, not by its names: who adds a call to the program
 * adds it here.
 */
#include "program/sandbox_list.h"

#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/call_filter_checks.h"

/* It came with Linux 5.9; older headers lack it. */
#ifndef BLKGETZONESZ
#define BLKGETZONESZ _IOR(0x12, 132, uint32_t)
#endif

/* Of /dev/xen/privcmd and evtchn: number, and bytes of the argument. */
#define PRIVCMD(nr, size) _IOC(_IOC_NONE, 'P', nr, size)
#define EVTCHN(nr, size) _IOC(_IOC_NONE, 'E', nr, size)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MONITORS (SANDBOX_MONITOR | SANDBOX_VHOST_MONITOR)
#define ALL (SANDBOX_XEN | SANDBOX_VHOST | MONITORS)
/* Who has a socket for front ends. */
#define FRONT_ENDS (SANDBOX_VHOST | SANDBOX_VHOST_MONITOR)
/* Who answers guests, and moves their data. */
#define WORKER (SANDBOX_XEN | SANDBOX_VHOST)

/* ---- what depends on arguments ---- */

static const uint32_t ioctls[] = {
	/*
	 * Xen's, which a front end has no need of: to notify; foreign memory,
	 * by two generations of a call; to bind, to unbind; the page of an
	 * ioreq server. A monitor has only those that follow: what a device
	 * model does, which libxenctrl asks for, and its hypercalls; a question
	 * how the kernel refuses what it lacks.
	 */
	EVTCHN(4, 4),
	PRIVCMD(4, 32),
	PRIVCMD(3, 24),
	EVTCHN(1, 8),
	EVTCHN(3, 4),
	PRIVCMD(7, 32),
	PRIVCMD(5, 16),
	PRIVCMD(0, 48),
	PRIVCMD(0xff, 0),
	/* Block devices, and whether the log is a terminal. */
	BLKDISCARD,
	BLKSECDISCARD,
	BLKGETSIZE64,
	BLKSSZGET,
	BLKPBSZGET,
	BLKIOMIN,
	BLKIOOPT,
	BLKALIGNOFF,
	BLKROGET,
	BLKGETZONESZ,
	TCGETS,
};
#define IOCTLS_OF_WORKER 6
#define IOCTLS_OF_XEN 9

static const struct call_filter_check ioctl_of_xen = { 1, UINT32_MAX, ioctls,
						       COUNT(ioctls) };
static const struct call_filter_check ioctl_of_monitor = {
	1, UINT32_MAX, ioctls + IOCTLS_OF_WORKER,
	COUNT(ioctls) - IOCTLS_OF_WORKER
};
static const struct call_filter_check ioctl_of_vhost = {
	1, UINT32_MAX, ioctls + IOCTLS_OF_XEN, COUNT(ioctls) - IOCTLS_OF_XEN
};

/* No memory is written to and executed, whatever comes between. */
static const uint32_t mapped[] = { 0, PROT_WRITE, PROT_EXEC };
static const struct call_filter_check not_both = { 2, PROT_WRITE | PROT_EXEC,
						   mapped, COUNT(mapped) };

/* No processes. */
static const uint32_t thread[] = { CLONE_THREAD };
static const struct call_filter_check of_process = { 0, CLONE_THREAD, thread,
						     1 };

/* Limits of ourselves. */
static const uint32_t zero[] = { 0 };
static const struct call_filter_check own_limits = { 0, UINT32_MAX, zero, 1 };

/* Front ends and xenstored; the kernel's news of devices. */
static const uint32_t families[] = { AF_UNIX, AF_NETLINK };
static const struct call_filter_check local = { 0, UINT32_MAX, families,
						COUNT(families) };

/* ---- the list ---- */

static const struct call_filter_call calls[] = {
	/* The data path, and of that first what is looked at. */
	{ __NR_ioctl, SANDBOX_XEN, &ioctl_of_xen },
	{ __NR_ioctl, FRONT_ENDS, &ioctl_of_vhost },
	{ __NR_ioctl, SANDBOX_MONITOR, &ioctl_of_monitor },
	{ __NR_io_uring_enter, WORKER, NULL },
	{ __NR_read, ALL, NULL },
	{ __NR_write, ALL, NULL },
	{ __NR_epoll_pwait, ALL, NULL },
#ifdef __NR_epoll_wait
	{ __NR_epoll_wait, ALL, NULL },
#endif
#ifdef __NR_epoll_pwait2
	{ __NR_epoll_pwait2, ALL, NULL },
#endif
	{ __NR_futex, ALL, NULL },
	{ __NR_clock_gettime, ALL, NULL },
	{ __NR_timerfd_settime, WORKER, NULL },
	{ __NR_io_submit, WORKER, NULL },
	{ __NR_io_getevents, WORKER, NULL },
	{ __NR_io_pgetevents, WORKER, NULL },
	{ __NR_preadv2, WORKER, NULL },
	{ __NR_pwritev2, WORKER, NULL },
	{ __NR_pread64, ALL, NULL },
	{ __NR_pwrite64, WORKER | SANDBOX_VHOST_MONITOR, NULL },
	{ __NR_preadv, WORKER, NULL },
	{ __NR_pwritev, WORKER, NULL },
	{ __NR_readv, ALL, NULL },
	{ __NR_writev, ALL, NULL },
	{ __NR_fdatasync, WORKER, NULL },
	{ __NR_fsync, WORKER, NULL },
	{ __NR_fallocate, ALL, NULL },
	{ __NR_mmap, ALL, &not_both },
	{ __NR_munmap, ALL, NULL },

	/* Loops. */
	{ __NR_epoll_create1, ALL, NULL },
	{ __NR_epoll_ctl, ALL, NULL },
	{ __NR_eventfd2, ALL, NULL },
	{ __NR_timerfd_create, WORKER, NULL },
	{ __NR_signalfd4, WORKER, NULL },
	{ __NR_inotify_init1, ALL, NULL },
	{ __NR_inotify_add_watch, ALL, NULL },
	{ __NR_inotify_rm_watch, ALL, NULL },
	{ __NR_ppoll, ALL, NULL },
	{ __NR_pselect6, ALL, NULL },
	{ __NR_pipe2, ALL, NULL },

	/* Engines. */
	{ __NR_io_uring_setup, WORKER, NULL },
	{ __NR_io_uring_register, WORKER, &call_filter_ring_of_engine },
	{ __NR_io_setup, WORKER, NULL },
	{ __NR_io_destroy, WORKER, NULL },
	{ __NR_io_cancel, WORKER, NULL },

	/* Images, sockets' paths, state, /proc and /sys. */
	{ __NR_openat, ALL, NULL },
	{ __NR_close, ALL, NULL },
	{ __NR_fcntl, ALL, NULL },
	{ __NR_flock, ALL, NULL },
	{ __NR_fstat, ALL, NULL },
	{ __NR_newfstatat, ALL, NULL },
	{ __NR_statx, ALL, NULL },
	{ __NR_fstatfs, ALL, NULL },
	{ __NR_statfs, ALL, NULL },
	{ __NR_faccessat, ALL, NULL },
	{ __NR_faccessat2, ALL, NULL },
	{ __NR_readlinkat, ALL, NULL },
	{ __NR_name_to_handle_at, SANDBOX_VHOST, NULL },
	{ __NR_getdents64, ALL, NULL },
	{ __NR_lseek, ALL, NULL },
	{ __NR_fadvise64, ALL, NULL },
	{ __NR_sync_file_range, ALL, NULL },
	{ __NR_ftruncate, ALL, NULL },
	{ __NR_unlinkat, ALL, NULL },
	{ __NR_linkat, ALL, NULL },
	{ __NR_renameat2, ALL, NULL },
	{ __NR_mkdirat, ALL, NULL },
	{ __NR_umask, ALL, NULL },
	{ __NR_dup, ALL, NULL },
	{ __NR_dup3, ALL, NULL },

	/* Front ends; xenstored. */
	{ __NR_socket, ALL, &local },
	{ __NR_socketpair, ALL, &local },
	{ __NR_connect, ALL, NULL },
	{ __NR_bind, ALL, NULL },
	{ __NR_listen, FRONT_ENDS, NULL },
	{ __NR_accept4, FRONT_ENDS, NULL },
	{ __NR_sendmsg, ALL, NULL },
	{ __NR_recvmsg, ALL, NULL },
	{ __NR_sendto, ALL, NULL },
	{ __NR_recvfrom, ALL, NULL },
	{ __NR_getsockopt, ALL, NULL },
	{ __NR_setsockopt, ALL, NULL },
	{ __NR_getsockname, ALL, NULL },
	{ __NR_getpeername, ALL, NULL },
	{ __NR_shutdown, ALL, NULL },

	/* Memory. */
	{ __NR_memfd_create, ALL, NULL },
	{ __NR_mprotect, ALL, &call_filter_not_executed },
	{ __NR_mremap, ALL, NULL },
	{ __NR_madvise, ALL, NULL },
	{ __NR_mlock, ALL, NULL },
	{ __NR_munlock, ALL, NULL },
	{ __NR_brk, ALL, NULL },

	/* Threads and signals. (clone3: see base/call_filter.c.) */
	{ __NR_clone, ALL, &of_process },
	{ __NR_clone3, ALL, NULL },
	{ __NR_set_robust_list, ALL, NULL },
	{ __NR_rseq, ALL, NULL },
	{ __NR_sched_yield, ALL, NULL },
	{ __NR_sched_getaffinity, ALL, NULL },
	/* vhost_user/write_guard.c; a failed assertion. */
	{ __NR_tgkill, ALL, &call_filter_to_us },
	{ __NR_rt_sigaction, ALL, NULL },
	{ __NR_rt_sigprocmask, ALL, NULL },
	{ __NR_rt_sigreturn, ALL, NULL },
	{ __NR_sigaltstack, ALL, NULL },
	{ __NR_restart_syscall, ALL, NULL },
	{ __NR_exit, ALL, NULL },
	{ __NR_exit_group, ALL, NULL },

	/* Questions. */
	{ __NR_getpid, ALL, NULL },
	{ __NR_gettid, ALL, NULL },
	{ __NR_getuid, ALL, NULL },
	{ __NR_geteuid, ALL, NULL },
	{ __NR_getgid, ALL, NULL },
	{ __NR_getegid, ALL, NULL },
	{ __NR_prlimit64, ALL, &own_limits },
	{ __NR_getrlimit, ALL, NULL },
	{ __NR_getrandom, ALL, NULL },
	{ __NR_uname, ALL, NULL },
	{ __NR_sysinfo, ALL, NULL },
	{ __NR_getcpu, ALL, NULL },
	{ __NR_clock_getres, ALL, NULL },
	{ __NR_clock_nanosleep, ALL, NULL },
	{ __NR_nanosleep, ALL, NULL },
	{ __NR_gettimeofday, ALL, NULL },

#ifdef __x86_64__
	/* The older names of some of them, which libraries still use. */
	{ __NR_open, ALL, NULL },
	{ __NR_stat, ALL, NULL },
	{ __NR_lstat, ALL, NULL },
	{ __NR_access, ALL, NULL },
	{ __NR_readlink, ALL, NULL },
	{ __NR_unlink, ALL, NULL },
	{ __NR_link, ALL, NULL },
	{ __NR_rename, ALL, NULL },
	{ __NR_mkdir, ALL, NULL },
	{ __NR_rmdir, ALL, NULL },
	{ __NR_dup2, ALL, NULL },
	{ __NR_poll, ALL, NULL },
	{ __NR_select, ALL, NULL },
	{ __NR_pipe, ALL, NULL },
	{ __NR_time, ALL, NULL },
	{ __NR_arch_prctl, ALL, NULL },
#else
	{ __NR_renameat, ALL, NULL },
#endif
};
const struct call_filter_list sandbox_list = { calls, COUNT(calls) };
