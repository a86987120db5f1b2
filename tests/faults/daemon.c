/* SPDX-License-Identifier: MIT */
/* The daemon, and what fails; see daemon.h. */
#include "daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "no seccomp filter for this machine"
#endif

/* What main() opens first of all (base/standard_fds.c). */
static const char first_file[] = "/dev/null";

/* The child tells its number of the filter's descriptor, we that we have it. */
struct meeting {
	int fd; /* atomic; -1: not yet */
	int go; /* atomic */
};

/* ---- the child ---- */

static int install_filter(int call)
{
	struct sock_filter all[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_filter one[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		/* openat() tells where main() begins. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)call, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { .len = 1, .filter = all };

	if (call != CALL_ALL)
		program = (struct sock_fprog){
			.len = sizeof(one) / sizeof(one[0]), .filter = one
		};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static _Noreturn void child(const struct daemon *d, struct meeting *meeting,
			    char *const argv[])
{
	char path[128];
	int log;

	snprintf(path, sizeof(path), "%s/log", d->directory);
	log = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	close(log);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (d->fault.call == CALL_ALLOCATE) {
		snprintf(path, sizeof(path), "%s/orders", d->directory);
		setenv("FAULTS_ORDERS", path, 1);
		setenv("LD_PRELOAD", d->alloc, 1);
	} else if (d->fault.call != CALL_NONE) {
		int fd = install_filter(d->fault.call);

		if (fd < 0)
			fd = -2;
		/* No system call from here on, for nobody answers yet. */
		__atomic_store_n(&meeting->fd, fd, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&meeting->go, __ATOMIC_SEQ_CST))
			continue;
	}
	execv(argv[0], argv);
	_exit(127);
}

/* ---- answering the filter ---- */

static bool is_first_file(const struct seccomp_notif *n)
{
	char path[sizeof(first_file)] = "";
	struct iovec here = { path, sizeof(path) };
	struct iovec there = { (void *)(uintptr_t)n->data.args[1],
			       sizeof(path) };

	return n->data.nr == SYS_openat &&
	       process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) ==
		       sizeof(path) &&
	       !memcmp(path, first_file, sizeof(path));
}

/* Of the process that calls: the daemon, or a child of it. */
static void name_of_fd(const struct seccomp_notif *call, char name[128])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%u/fd/%d", call->pid,
		 (int)call->data.args[0]);
	n = readlink(link, name, 127);
	name[n > 0 ? n : 0] = '\0';
}

static bool is_blocking(const struct seccomp_notif *call)
{
	unsigned int flags = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/fdinfo/%d", call->pid,
		 (int)call->data.args[0]);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "pos: %*u flags: %o", &flags) != 1)
			give_up(path);
		fclose(f);
	}
	return !(flags & O_NONBLOCK);
}

static enum call_kind kind_of_fd(const struct seccomp_notif *call)
{
	char name[128];

	name_of_fd(call, name);
	if (!strstr(name, "[eventfd]"))
		return OF_OTHER_FD;
	return is_blocking(call) ? OF_PEER_EVENTFD : OF_EVENTFD;
}

static bool is_waiting(unsigned int op)
{
	return (op & FUTEX_CMD_MASK) == FUTEX_WAIT ||
	       (op & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

static bool is_locking(unsigned int command)
{
	return command == F_OFD_SETLK || command == F_OFD_GETLK ||
	       command == F_SETLK || command == F_GETLK;
}

/* F_GETFL and F_GETFD do not fail. */
static bool is_setting(unsigned int command)
{
	return command == F_SETFL || command == F_DUPFD_CLOEXEC ||
	       command == F_DUPFD || command == F_ADD_SEALS ||
	       command == F_GET_SEALS;
}

static bool is_kind(const struct daemon *d, const struct seccomp_notif *n)
{
	unsigned int command = (unsigned int)n->data.args[1];

	switch (d->fault.kind) {
	case ANY_CALL:
		return true;
	case WAITING:
		return is_waiting(command);
	case LOCKING:
		return is_locking(command);
	case SETTING:
		return is_setting(command);
	case ADDING:
		return command != EPOLL_CTL_DEL;
	default:
		return kind_of_fd(n) == d->fault.kind;
	}
}

static void describe(struct daemon *d, const struct seccomp_notif *n)
{
	char name[128];

	name_of_fd(n, name);
	snprintf(d->what, sizeof(d->what), "(%#llx%s%s, %#llx, %#llx)",
		 (unsigned long long)n->data.args[0], *name ? " " : "", name,
		 (unsigned long long)n->data.args[1],
		 (unsigned long long)n->data.args[2]);
}

/* Whether this one is to fail. */
static bool is_due(struct daemon *d, const struct seccomp_notif *n)
{
	const struct fault *f = &d->fault;

	if (n->data.nr < 0 || n->data.nr >= CALLS_MAX)
		return false;
	d->begun = d->begun || is_first_file(n);
	if (!d->begun)
		return false;
	d->counts[n->data.nr]++;
	if (n->data.nr != f->call || !is_kind(d, n))
		return false;
	d->seen++;
	if (!f->k || d->seen < f->k || (d->seen > f->k && !f->stays))
		return false;
	if (d->seen == f->k)
		describe(d, n);
	return true;
}

static void *answer(void *arg)
{
	struct daemon *d = arg;
	struct pollfd p = { .fd = d->notify, .events = POLLIN };

	while (poll(&p, 1, -1) > 0 && (p.revents & POLLIN)) {
		struct seccomp_notif n = { 0 };
		struct seccomp_notif_resp r = { 0 };

		if (ioctl(d->notify, SECCOMP_IOCTL_NOTIF_RECV, &n))
			continue;
		r.id = n.id;
		if (is_due(d, &n)) {
			/* brk() says no by telling another address. */
			r.error = n.data.nr == SYS_brk ? 0 : -d->fault.error;
			__atomic_store_n(&d->injected, true, __ATOMIC_SEQ_CST);
		} else {
			r.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		}
		ioctl(d->notify, SECCOMP_IOCTL_NOTIF_SEND, &r);
	}
	return NULL;
}

/* ---- life ---- */

static void *shared_page(size_t bytes)
{
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		give_up("no memory");
	return page;
}

static void make_orders(struct daemon *d)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/orders", d->directory);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*d->orders)))
		give_up(path);
	d->orders = mmap(NULL, sizeof(*d->orders), PROT_READ | PROT_WRITE,
			 MAP_SHARED, fd, 0);
	if (d->orders == MAP_FAILED)
		give_up(path);
	close(fd);
	d->orders->fail_at = d->fault.k;
	d->orders->stays = d->fault.stays;
}

static void meet(struct daemon *d, struct meeting *meeting)
{
	int fd;

	while ((fd = __atomic_load_n(&meeting->fd, __ATOMIC_SEQ_CST)) == -1)
		sched_yield();
	if (fd >= 0)
		d->notify = (int)syscall(SYS_pidfd_getfd, d->pidfd, fd, 0);
	if (d->notify < 0 || pthread_create(&d->thread, NULL, answer, d))
		give_up("no seccomp filter that asks");
	__atomic_store_n(&meeting->go, 1, __ATOMIC_SEQ_CST);
}

void daemon_start(struct daemon *d, char *const argv[])
{
	struct meeting *meeting = shared_page(sizeof(*meeting));

	meeting->fd = -1;
	d->notify = -1;
	if (d->fault.call == CALL_ALLOCATE)
		make_orders(d);
	d->pid = fork();
	if (d->pid < 0)
		give_up("fork");
	if (d->pid == 0)
		child(d, meeting, argv);
	d->pidfd = (int)syscall(SYS_pidfd_open, d->pid, 0);
	if (d->pidfd < 0)
		give_up("pidfd_open");
	if (d->fault.call != CALL_ALLOCATE && d->fault.call != CALL_NONE)
		meet(d, meeting);
	munmap(meeting, sizeof(*meeting));
}

bool daemon_injected(const struct daemon *d)
{
	if (d->orders)
		return __atomic_load_n(&d->orders->failed, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&d->injected, __ATOMIC_SEQ_CST);
}

bool daemon_wait(const struct daemon *d, int ms)
{
	struct pollfd p = { .fd = d->pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

bool daemon_lives(const struct daemon *d)
{
	return !daemon_wait(d, 0);
}

unsigned int daemon_descriptors(const struct daemon *d)
{
	char path[64];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", d->pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

int daemon_reap(struct daemon *d)
{
	int status;

	kill(d->pid, SIGKILL);
	waitpid(d->pid, &status, 0);
	close(d->pidfd);
	if (d->notify >= 0) {
		pthread_join(d->thread, NULL);
		close(d->notify);
	}
	if (d->orders) {
		d->injected = d->orders->failed;
		snprintf(d->what, sizeof(d->what), "%s", d->orders->what);
		munmap(d->orders, sizeof(*d->orders));
		d->orders = NULL;
	}
	return status;
}
