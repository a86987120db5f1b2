/* SPDX-License-Identifier: MIT */
/*
 * The filter of system calls, tried from inside: each try is a child that
 * installs it, calls, and says what it was answered. Every number of a system
 * call is tried that is not on the list, and of those on it what their
 * arguments must not be.
 */
#include "lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#ifdef HAVE_XEN
#include <xen/xen.h>

#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>
#endif

#include "lib/call_tries.h"
#include "program/hardening.h"
#include "program/sandbox.h"

enum {
	CALLS = 461,    /* numbers that are tried */
	LIST_MAX = 135, /* calls that are allowed; more want a reason */
};

static bool has_filter;

static enum sandbox_for tried;

static int enter(void)
{
	hardening_begin();
	return sandbox_install(tried);
}

static int in_tried(int (*call)(void))
{
	return tries_in_child(enter, call);
}

/* In a child with the filter: the errno of `call`, 0, or TRIES_KILLED. */
static int in_sandbox(enum sandbox_for what, int (*call)(void))
{
	tried = what;
	return in_tried(call);
}

static int need_filter(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		hardening_begin();
		_exit(sandbox_install(SANDBOX_VHOST) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	has_filter = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return 0;
}

/* ---- every number -------------------------------------------------------- */

static void try_all(enum sandbox_for what)
{
	if (!has_filter)
		skip();
	tried = what;
	tries = (struct tries_list){ &sandbox_list, what, CALLS };
	tries_check_all(in_tried, LIST_MAX);
}

static void test_every_call_for_xen(void **state)
{
	(void)state;
	try_all(SANDBOX_XEN);
}

static void test_every_call_for_vhost(void **state)
{
	(void)state;
	try_all(SANDBOX_VHOST);
}

static void test_every_call_for_monitor(void **state)
{
	(void)state;
	try_all(SANDBOX_MONITOR);
}

static void test_every_call_for_vhost_monitor(void **state)
{
	(void)state;
	try_all(SANDBOX_VHOST_MONITOR);
}

/* What only a worker needs, which has a list of its own. */
static void test_lost_by_monitor(void **state)
{
	static const unsigned int lost[] = {
		__NR_io_uring_setup,
		__NR_io_uring_enter,
		__NR_io_uring_register,
		__NR_io_setup,
		__NR_io_submit,
		__NR_io_getevents,
		__NR_pwrite64,
		__NR_preadv2,
		__NR_pwritev2,
		__NR_fdatasync,
		__NR_fsync,
	};

	(void)state;
	if (!has_filter)
		skip();
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		tries_number = lost[i];
		assert_int_equal(in_sandbox(SANDBOX_MONITOR, tries_call_number),
				 EPERM);
		/* It notes whose its socket is. */
		if (lost[i] == __NR_pwrite64)
			continue;
		assert_int_equal(in_sandbox(SANDBOX_VHOST_MONITOR,
					    tries_call_number),
				 EPERM);
	}
	for (size_t i = 0; i < sandbox_list.ncalls; i++) {
		const struct call_filter_call *call = &sandbox_list.calls[i];

		/* And has nothing that is not one process's. */
		if (call->who & SANDBOX_MONITOR && call->nr != __NR_ioctl)
			assert_true(call->who & SANDBOX_XEN);
		if (call->who & SANDBOX_VHOST_MONITOR)
			assert_true(call->who & SANDBOX_VHOST);
	}
}

/* Named here once more: no change of the list lets one of them in. */
static void test_forbidden(void **state)
{
	static const unsigned int killing[] = {
		__NR_execve,
		__NR_execveat,
		__NR_ptrace,
		__NR_process_vm_readv,
		__NR_process_vm_writev,
		__NR_init_module,
		__NR_finit_module,
		__NR_kexec_load,
		__NR_mount,
		__NR_umount2,
		__NR_pivot_root,
		__NR_bpf,
		__NR_perf_event_open,
		__NR_userfaultfd,
		__NR_keyctl,
		__NR_setns,
		__NR_unshare,
		__NR_chroot,
	};
	static const unsigned int refused[] = {
		__NR_kill,
		__NR_tkill,
		__NR_pidfd_open,
		__NR_pidfd_send_signal,
		__NR_setuid,
		__NR_setresuid,
		__NR_setgid,
		__NR_capset,
		__NR_prctl,
		__NR_seccomp,
		__NR_personality,
		__NR_mknodat,
		__NR_fchmod,
		__NR_fchmodat,
		__NR_fchownat,
		__NR_symlinkat,
		__NR_truncate,
		__NR_pkey_mprotect,
		__NR_shmat,
		__NR_kcmp,
		__NR_process_madvise,
		__NR_sched_setscheduler,
		__NR_socketpair,
	};

	(void)state;
	if (!has_filter)
		skip();
	for (size_t i = 0; i < sizeof(killing) / sizeof(killing[0]); i++) {
		tries_number = killing[i];
		assert_int_equal(in_sandbox(SANDBOX_XEN, tries_call_number),
				 TRIES_KILLED);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		tries_number = refused[i];
		assert_int_equal(in_sandbox(SANDBOX_XEN, tries_call_number),
				 EPERM);
	}
}

/* ---- by their arguments -------------------------------------------------- */

static int open_socket(void)
{
	return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int open_local_socket(void)
{
	return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int type_into_terminal(void)
{
	return errno_of(ioctl(0, TIOCSTI, "x"));
}

static int ask_device(void)
{
	uint64_t size;

	return errno_of(ioctl(-1, BLKGETSIZE64, &size));
}

static unsigned long request;

static int ask_xen(void)
{
	return errno_of(ioctl(-1, request, 0));
}

static void test_xen_ioctls(void **state)
{
#ifdef HAVE_XEN
	static const unsigned long of_xen[] = {
		IOCTL_EVTCHN_BIND_INTERDOMAIN, IOCTL_EVTCHN_UNBIND,
		IOCTL_EVTCHN_NOTIFY,           IOCTL_PRIVCMD_MMAPBATCH,
		IOCTL_PRIVCMD_MMAPBATCH_V2,    IOCTL_PRIVCMD_MMAP_RESOURCE,
		IOCTL_PRIVCMD_DM_OP,           IOCTL_PRIVCMD_HYPERCALL,
		IOCTL_PRIVCMD_UNIMPLEMENTED,
	};
	enum { OF_WORKER = 6 }; /* the first of them */

	if (!has_filter)
		skip();
	for (size_t i = 0; i < sizeof(of_xen) / sizeof(of_xen[0]); i++) {
		request = of_xen[i];
		assert_int_equal(in_sandbox(SANDBOX_XEN, ask_xen), EBADF);
		assert_int_equal(in_sandbox(SANDBOX_VHOST, ask_xen), EPERM);
		assert_int_equal(in_sandbox(SANDBOX_MONITOR, ask_xen),
				 i < OF_WORKER ? EPERM : EBADF);
	}
	request = IOCTL_EVTCHN_RESET;
	assert_int_equal(in_sandbox(SANDBOX_XEN, ask_xen), EPERM);
#else
	skip();
#endif
	(void)state;
}

static int register_buffers(void)
{
	/* IORING_REGISTER_BUFFERS */
	return errno_of(syscall(__NR_io_uring_register, -1, 0, NULL, 0));
}

static int register_files(void)
{
	/* IORING_REGISTER_FILES */
	return errno_of(syscall(__NR_io_uring_register, -1, 2, NULL, 0));
}

static int map_both(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ?
		       errno :
		       0;
}

static int make_executable(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return TRIES_BROKEN;
	return errno_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int start_process(void)
{
	return errno_of(syscall(__NR_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static int start_process_anew(void)
{
	return errno_of(syscall(__NR_clone3, NULL, 0));
}

static int signal_parent(void)
{
	return errno_of(syscall(__NR_tgkill, getppid(), getppid(), 0));
}

static int signal_us(void)
{
	return errno_of(syscall(__NR_tgkill, getpid(), gettid(), 0));
}

static int limit_parent(void)
{
	struct rlimit limit;

	return errno_of(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit));
}

static void test_arguments(void **state)
{
	(void)state;
	if (!has_filter)
		skip();
	assert_int_equal(in_sandbox(SANDBOX_XEN, open_socket), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, open_local_socket), 0);
	assert_int_equal(in_sandbox(SANDBOX_XEN, type_into_terminal), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, ask_device), EBADF);
	assert_int_equal(in_sandbox(SANDBOX_VHOST, ask_device), EBADF);
	assert_int_equal(in_sandbox(SANDBOX_XEN, register_buffers), EPERM);
	assert_int_not_equal(in_sandbox(SANDBOX_XEN, register_files), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, map_both), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, make_executable), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, start_process), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, start_process_anew), ENOSYS);
	assert_int_equal(in_sandbox(SANDBOX_XEN, signal_parent), EPERM);
	assert_int_equal(in_sandbox(SANDBOX_XEN, signal_us), 0);
	assert_int_equal(in_sandbox(SANDBOX_XEN, limit_parent), EPERM);
}

#ifdef __x86_64__
static int call_second_set(void)
{
	return errno_of(syscall(0x40000000 | __NR_getpid));
}

static void test_second_set(void **state)
{
	(void)state;
	if (!has_filter)
		skip();
	assert_int_equal(in_sandbox(SANDBOX_XEN, call_second_set),
			 TRIES_KILLED);
}
#endif

/* ---- threads ------------------------------------------------------------- */

static pthread_barrier_t installed;

static void *call_in_thread(void *arg)
{
	pthread_barrier_wait(&installed);
	*(int *)arg = errno_of(syscall(__NR_setuid, -1));
	return NULL;
}

/* Before and after: both have it, and a thread can be had at all. */
static int threads_before_and_after(void)
{
	pthread_t thread;
	int answer = 0;

	pthread_barrier_init(&installed, NULL, 1);
	if (pthread_create(&thread, NULL, call_in_thread, &answer) ||
	    pthread_join(thread, NULL))
		return TRIES_BROKEN - 1;
	return answer;
}

static void test_threads(void **state)
{
	int status, before = 0;
	pthread_t thread;
	pid_t pid;

	(void)state;
	if (!has_filter)
		skip();
	assert_int_equal(in_sandbox(SANDBOX_XEN, threads_before_and_after),
			 EPERM);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(TRIES_WAIT_S);
		hardening_begin();
		pthread_barrier_init(&installed, NULL, 2);
		if (pthread_create(&thread, NULL, call_in_thread, &before) ||
		    sandbox_install(SANDBOX_XEN))
			_exit(TRIES_BROKEN);
		pthread_barrier_wait(&installed);
		pthread_join(thread, NULL);
		_exit(before);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
}

/* ---- what is given up ---------------------------------------------------- */

static int give_up_all(void)
{
	static const int zero[] = { RLIMIT_CORE, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO,
				    RLIMIT_NICE };
	struct rlimit limit;

	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		if (getrlimit((unsigned int)zero[i], &limit) ||
		    limit.rlim_cur || limit.rlim_max)
			return (int)i + 1;
	return 0;
}

static void test_limits(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		hardening_begin();
		_exit(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ?
			      TRIES_BROKEN :
			      give_up_all());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_for_xen),
		cmocka_unit_test(test_every_call_for_vhost),
		cmocka_unit_test(test_every_call_for_monitor),
		cmocka_unit_test(test_every_call_for_vhost_monitor),
		cmocka_unit_test(test_lost_by_monitor),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_xen_ioctls),
		cmocka_unit_test(test_arguments),
#ifdef __x86_64__
		cmocka_unit_test(test_second_set),
#endif
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, need_filter, NULL);
}
