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
#define BOTH (SANDBOX_XEN | SANDBOX_VHOST)

/* ---- what depends on arguments ---- */

static const uint32_t ioctls[] = {
	/*
	 * Xen's, which a front end has no need of: to notify; what a device
	 * model does; foreign memory, by two generations of a call; to bind, to
	 * unbind; the page of an ioreq server; libxenctrl's hypercalls; a
	 * question how the kernel refuses what it lacks.
	 */
	EVTCHN(4, 4),
	PRIVCMD(5, 16),
	PRIVCMD(4, 32),
	PRIVCMD(3, 24),
	EVTCHN(1, 8),
	EVTCHN(3, 4),
	PRIVCMD(7, 32),
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
#define IOCTLS_OF_XEN 9

static const struct call_filter_check ioctl_of_xen = { 1, UINT32_MAX, ioctls,
						       COUNT(ioctls) };
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
	{ __NR_ioctl, SANDBOX_VHOST, &ioctl_of_vhost },
	{ __NR_io_uring_enter, BOTH, NULL },
	{ __NR_read, BOTH, NULL },
	{ __NR_write, BOTH, NULL },
	{ __NR_epoll_pwait, BOTH, NULL },
#ifdef __NR_epoll_wait
	{ __NR_epoll_wait, BOTH, NULL },
#endif
#ifdef __NR_epoll_pwait2
	{ __NR_epoll_pwait2, BOTH, NULL },
#endif
	{ __NR_futex, BOTH, NULL },
	{ __NR_clock_gettime, BOTH, NULL },
	{ __NR_timerfd_settime, BOTH, NULL },
	{ __NR_io_submit, BOTH, NULL },
	{ __NR_io_getevents, BOTH, NULL },
	{ __NR_io_pgetevents, BOTH, NULL },
	{ __NR_preadv2, BOTH, NULL },
	{ __NR_pwritev2, BOTH, NULL },
	{ __NR_pread64, BOTH, NULL },
	{ __NR_pwrite64, BOTH, NULL },
	{ __NR_preadv, BOTH, NULL },
	{ __NR_pwritev, BOTH, NULL },
	{ __NR_readv, BOTH, NULL },
	{ __NR_writev, BOTH, NULL },
	{ __NR_fdatasync, BOTH, NULL },
	{ __NR_fsync, BOTH, NULL },
	{ __NR_fallocate, BOTH, NULL },
	{ __NR_mmap, BOTH, &not_both },
	{ __NR_munmap, BOTH, NULL },

	/* Loops. */
	{ __NR_epoll_create1, BOTH, NULL },
	{ __NR_epoll_ctl, BOTH, NULL },
	{ __NR_eventfd2, BOTH, NULL },
	{ __NR_timerfd_create, BOTH, NULL },
	{ __NR_signalfd4, BOTH, NULL },
	{ __NR_inotify_init1, BOTH, NULL },
	{ __NR_inotify_add_watch, BOTH, NULL },
	{ __NR_inotify_rm_watch, BOTH, NULL },
	{ __NR_ppoll, BOTH, NULL },
	{ __NR_pselect6, BOTH, NULL },
	{ __NR_pipe2, BOTH, NULL },

	/* Engines. */
	{ __NR_io_uring_setup, BOTH, NULL },
	{ __NR_io_uring_register, BOTH, &call_filter_ring_of_engine },
	{ __NR_io_setup, BOTH, NULL },
	{ __NR_io_destroy, BOTH, NULL },
	{ __NR_io_cancel, BOTH, NULL },

	/* Images, sockets' paths, state, /proc and /sys. */
	{ __NR_openat, BOTH, NULL },
	{ __NR_close, BOTH, NULL },
	{ __NR_fcntl, BOTH, NULL },
	{ __NR_flock, BOTH, NULL },
	{ __NR_fstat, BOTH, NULL },
	{ __NR_newfstatat, BOTH, NULL },
	{ __NR_statx, BOTH, NULL },
	{ __NR_fstatfs, BOTH, NULL },
	{ __NR_statfs, BOTH, NULL },
	{ __NR_faccessat, BOTH, NULL },
	{ __NR_faccessat2, BOTH, NULL },
	{ __NR_readlinkat, BOTH, NULL },
	{ __NR_name_to_handle_at, SANDBOX_VHOST, NULL },
	{ __NR_getdents64, BOTH, NULL },
	{ __NR_lseek, BOTH, NULL },
	{ __NR_fadvise64, BOTH, NULL },
	{ __NR_sync_file_range, BOTH, NULL },
	{ __NR_ftruncate, BOTH, NULL },
	{ __NR_unlinkat, BOTH, NULL },
	{ __NR_linkat, BOTH, NULL },
	{ __NR_renameat2, BOTH, NULL },
	{ __NR_mkdirat, BOTH, NULL },
	{ __NR_umask, BOTH, NULL },
	{ __NR_dup, BOTH, NULL },
	{ __NR_dup3, BOTH, NULL },

	/* Front ends; xenstored. */
	{ __NR_socket, BOTH, &local },
	{ __NR_socketpair, SANDBOX_XEN, &local },
	{ __NR_connect, BOTH, NULL },
	{ __NR_bind, BOTH, NULL },
	{ __NR_listen, SANDBOX_VHOST, NULL },
	{ __NR_accept4, SANDBOX_VHOST, NULL },
	{ __NR_sendmsg, BOTH, NULL },
	{ __NR_recvmsg, BOTH, NULL },
	{ __NR_sendto, BOTH, NULL },
	{ __NR_recvfrom, BOTH, NULL },
	{ __NR_getsockopt, BOTH, NULL },
	{ __NR_setsockopt, BOTH, NULL },
	{ __NR_getsockname, BOTH, NULL },
	{ __NR_getpeername, BOTH, NULL },
	{ __NR_shutdown, BOTH, NULL },

	/* Memory. */
	{ __NR_memfd_create, BOTH, NULL },
	{ __NR_mprotect, BOTH, &call_filter_not_executed },
	{ __NR_mremap, BOTH, NULL },
	{ __NR_madvise, BOTH, NULL },
	{ __NR_mlock, BOTH, NULL },
	{ __NR_munlock, BOTH, NULL },
	{ __NR_brk, BOTH, NULL },

	/* Threads and signals. (clone3: see base/call_filter.c.) */
	{ __NR_clone, BOTH, &of_process },
	{ __NR_clone3, BOTH, NULL },
	{ __NR_set_robust_list, BOTH, NULL },
	{ __NR_rseq, BOTH, NULL },
	{ __NR_sched_yield, BOTH, NULL },
	{ __NR_sched_getaffinity, BOTH, NULL },
	/* vhost_user/write_guard.c; a failed assertion. */
	{ __NR_tgkill, BOTH, &call_filter_to_us },
	{ __NR_rt_sigaction, BOTH, NULL },
	{ __NR_rt_sigprocmask, BOTH, NULL },
	{ __NR_rt_sigreturn, BOTH, NULL },
	{ __NR_sigaltstack, BOTH, NULL },
	{ __NR_restart_syscall, BOTH, NULL },
	{ __NR_exit, BOTH, NULL },
	{ __NR_exit_group, BOTH, NULL },

	/* Questions. */
	{ __NR_getpid, BOTH, NULL },
	{ __NR_gettid, BOTH, NULL },
	{ __NR_getuid, BOTH, NULL },
	{ __NR_geteuid, BOTH, NULL },
	{ __NR_getgid, BOTH, NULL },
	{ __NR_getegid, BOTH, NULL },
	{ __NR_prlimit64, BOTH, &own_limits },
	{ __NR_getrlimit, BOTH, NULL },
	{ __NR_getrandom, BOTH, NULL },
	{ __NR_uname, BOTH, NULL },
	{ __NR_sysinfo, BOTH, NULL },
	{ __NR_getcpu, BOTH, NULL },
	{ __NR_clock_getres, BOTH, NULL },
	{ __NR_clock_nanosleep, BOTH, NULL },
	{ __NR_nanosleep, BOTH, NULL },
	{ __NR_gettimeofday, BOTH, NULL },

#ifdef __x86_64__
	/* The older names of some of them, which libraries still use. */
	{ __NR_open, BOTH, NULL },
	{ __NR_stat, BOTH, NULL },
	{ __NR_lstat, BOTH, NULL },
	{ __NR_access, BOTH, NULL },
	{ __NR_readlink, BOTH, NULL },
	{ __NR_unlink, BOTH, NULL },
	{ __NR_link, BOTH, NULL },
	{ __NR_rename, BOTH, NULL },
	{ __NR_mkdir, BOTH, NULL },
	{ __NR_rmdir, BOTH, NULL },
	{ __NR_dup2, BOTH, NULL },
	{ __NR_poll, BOTH, NULL },
	{ __NR_select, BOTH, NULL },
	{ __NR_pipe, BOTH, NULL },
	{ __NR_time, BOTH, NULL },
	{ __NR_arch_prctl, BOTH, NULL },
#else
	{ __NR_renameat, BOTH, NULL },
#endif
};
const struct call_filter_list sandbox_list = { calls, COUNT(calls) };
