/* SPDX-License-Identifier: MIT */
/*
 * The system calls that only who has been taken over asks for; see
 * base/call_filter.h.
 */
#include <sys/syscall.h>

#include "base/call_filter.h"

const uint16_t call_filter_killing[] = {
	/* Other programs, other processes. */
	__NR_execve,
	__NR_execveat,
	__NR_ptrace,
	__NR_process_vm_readv,
	__NR_process_vm_writev,
	__NR_pidfd_getfd,
	/* The kernel. */
	__NR_init_module,
	__NR_finit_module,
	__NR_delete_module,
	__NR_kexec_load,
	__NR_reboot,
	__NR_bpf,
	__NR_perf_event_open,
	__NR_userfaultfd,
	__NR_syslog,
#ifdef __NR_kexec_file_load
	__NR_kexec_file_load,
#endif
	/* The tree of files, and what a process sees of the host. */
	__NR_mount,
	__NR_umount2,
	__NR_pivot_root,
	__NR_chroot,
	__NR_unshare,
	__NR_setns,
	__NR_move_mount,
	__NR_open_tree,
	__NR_fsopen,
	__NR_fsconfig,
	__NR_fsmount,
	__NR_fspick,
	__NR_swapon,
	__NR_swapoff,
	__NR_acct,
	__NR_quotactl,
	__NR_open_by_handle_at,
	/* Keys; the clock and the name of the host. */
	__NR_add_key,
	__NR_request_key,
	__NR_keyctl,
	__NR_settimeofday,
	__NR_clock_settime,
	__NR_clock_adjtime,
	__NR_adjtimex,
	__NR_sethostname,
	__NR_setdomainname,
#ifdef __x86_64__
	__NR_iopl,
	__NR_ioperm,
	__NR_modify_ldt,
#endif
};
const size_t call_filter_nkilling = sizeof(call_filter_killing) /
				    sizeof(call_filter_killing[0]);
