/* SPDX-License-Identifier: MIT */
/*
 * Everything that can fail, fails: each system call of the daemon with each
 * error that is plausible for it, each allocation; the k-th of a run for every
 * k until a run ends without the fault. See scenario.h for what is right.
 *
 * usage: faults PROGRAM ALLOC [--sample N] [--keys KEYS]... [--only NAME[:k]]
 *			       [--stays]
 *			       [--work DIRECTORY]
 *
 * ALLOC is the library of alloc.c.
 *
 * With --sample only the first, the middle and the last of each kind fail, each
 * with one of its errors: the N-th, modulo their number. With --stays all calls
 * from the k-th on fail. One line for each configuration and call.
 *
 * A run that took too long is made again, for other programs of the machine
 * may be why.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "scenario.h"

enum {
	ERRORS_MAX = 10,
	JOBS_PER_CPU = 4, /* for they mostly wait */
	JOBS_MAX = 16,
	CONFIGURATIONS_MAX = 8,
	K_MAX = 5000,
	AGAIN = 2, /* runs more of one that took too long */
};

struct kind {
	const char *name;
	int call;
	enum call_kind of;
	int errors[ERRORS_MAX]; /* ended by 0; none: it cannot fail */
};

#define CALL(name, of, ...)            \
	{                              \
#name, SYS_##name, of, \
		{                      \
			__VA_ARGS__    \
		}                      \
	}

static const struct kind kinds[] = {
	{ "an allocation", CALL_ALLOCATE, ANY_CALL, { ENOMEM } },
	{ "a call of Xen",
	  CALL_XEN,
	  ANY_CALL,
	  { ENOMEM, EIO, EACCES, EINVAL, EBUSY, EAGAIN, EINTR } },
	CALL(openat, ANY_CALL, EMFILE, ENFILE, ENOMEM, EACCES, EIO, EINTR),
	CALL(newfstatat, ANY_CALL, EIO, ENOMEM, EACCES),
	CALL(fstat, ANY_CALL, EIO, ENOMEM),
	CALL(fstatfs, ANY_CALL, EIO, EINTR, ENOSYS),
	CALL(statx, ANY_CALL, EIO, ENOMEM, ENOSYS),
	CALL(fcntl, LOCKING, EAGAIN, EACCES, EINTR, ENOLCK, EINVAL),
	CALL(fcntl, SETTING, EINVAL, EPERM, EMFILE),
	CALL(flock, ANY_CALL, EWOULDBLOCK, ENOLCK, EINTR),
	CALL(ioctl, ANY_CALL, ENOTTY, EINVAL, EIO, ENOMEM),
	CALL(lseek, ANY_CALL, EINVAL, ESPIPE),
	CALL(read, OF_EVENTFD, EAGAIN),
	CALL(read, OF_OTHER_FD, EIO, EINTR, EAGAIN),
	CALL(write, OF_PEER_EVENTFD, EINTR),
	CALL(write, OF_OTHER_FD, EIO, EINTR, EAGAIN, EPIPE, ENOSPC),
	CALL(pread64, ANY_CALL, EIO, EINTR, EAGAIN, EINVAL, ENOMEM),
	CALL(preadv2, ANY_CALL, EIO, EINTR, EAGAIN, EINVAL, ENOMEM, EOPNOTSUPP),
	CALL(pwrite64, ANY_CALL, EIO, EINTR, EAGAIN, EINVAL, ENOSPC, EDQUOT),
	CALL(pwritev2, ANY_CALL, EIO, EINTR, EAGAIN, EINVAL, ENOSPC, EDQUOT,
	     EFBIG, ENOMEM, EOPNOTSUPP),
	CALL(fdatasync, ANY_CALL, EIO, EINTR, ENOSPC, EDQUOT),
	CALL(fsync, ANY_CALL, EIO, EINTR, ENOSPC, EDQUOT),
	CALL(fallocate, ANY_CALL, EIO, EINTR, ENOSPC, EOPNOTSUPP, EPERM),
	CALL(fadvise64, ANY_CALL, EINVAL),
	CALL(ftruncate, ANY_CALL, EINTR, EIO, EINVAL, ENOMEM),
	CALL(close, ANY_CALL, EIO, EINTR),
	CALL(dup, ANY_CALL, EMFILE),
	CALL(dup3, ANY_CALL, EMFILE, EBUSY),
	CALL(linkat, ANY_CALL, EEXIST, EACCES, EIO, ENOSPC, EPERM, EROFS),
	CALL(unlinkat, ANY_CALL, EACCES, EIO, ENOENT, EROFS, EBUSY),
	CALL(renameat2, ANY_CALL, EACCES, EIO, ENOSPC, EROFS),
	CALL(fchmod, ANY_CALL, EPERM, EIO, EROFS),
	CALL(fchmodat, ANY_CALL, EPERM, EIO, EROFS),
	CALL(epoll_create1, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(epoll_ctl, ADDING, ENOMEM, ENOSPC),
	CALL(epoll_pwait, ANY_CALL, EINTR),
	CALL(ppoll, ANY_CALL, EINTR, ENOMEM),
	CALL(eventfd2, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(signalfd4, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(timer_create, ANY_CALL, EAGAIN, ENOMEM),
	CALL(timer_settime, ANY_CALL, EINVAL),
	CALL(inotify_init1, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(inotify_add_watch, ANY_CALL, ENOSPC, ENOMEM, EACCES),
	CALL(inotify_rm_watch, ANY_CALL, EINVAL),
	CALL(memfd_create, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(socket, ANY_CALL, EMFILE, ENFILE, ENOMEM, ENOBUFS, EAFNOSUPPORT,
	     EACCES),
	CALL(socketpair, ANY_CALL, EMFILE, ENFILE, ENOMEM),
	CALL(getdents64, ANY_CALL, EIO, ENOMEM, ENOENT),
	CALL(mkdirat, ANY_CALL, EACCES, EIO, ENOSPC, EROFS, ENOMEM),
	CALL(execve, ANY_CALL, EACCES, ENOMEM, ENOENT),
	CALL(execveat, ANY_CALL, EACCES, ENOMEM, ENOENT),
	/* They do not wait: see worker/nursery_process.c. */
	CALL(wait4, ANY_CALL, 0),
	CALL(waitid, ANY_CALL, 0),
	CALL(pipe2, ANY_CALL, EMFILE, ENFILE),
	/* What a worker gives up. */
	CALL(unshare, ANY_CALL, EPERM, ENOSPC, ENOMEM, EINVAL),
	CALL(mount, ANY_CALL, EPERM, EACCES, ENOMEM, EINVAL),
	CALL(umount2, ANY_CALL, EPERM, EBUSY, EINVAL),
	CALL(pivot_root, ANY_CALL, EPERM, EBUSY, EINVAL),
	CALL(chdir, ANY_CALL, EACCES, EIO),
	CALL(setgroups, ANY_CALL, EPERM, ENOMEM),
	CALL(setresgid, ANY_CALL, EPERM, EAGAIN),
	CALL(setresuid, ANY_CALL, EPERM, EAGAIN),
	CALL(capget, ANY_CALL, EPERM, EINVAL),
	CALL(capset, ANY_CALL, EPERM),
	CALL(close_range, ANY_CALL, EMFILE, ENOSYS),
	CALL(landlock_create_ruleset, ANY_CALL, ENOSYS, EOPNOTSUPP, EMFILE),
	CALL(landlock_restrict_self, ANY_CALL, EPERM, E2BIG),
	CALL(bind, ANY_CALL, EADDRINUSE, EACCES, ENOENT, EROFS, ENOSPC, ENOMEM,
	     EIO),
	CALL(listen, ANY_CALL, EADDRINUSE, EOPNOTSUPP),
	CALL(connect, ANY_CALL, ECONNREFUSED, EAGAIN, EINTR, EACCES),
	CALL(getsockopt, ANY_CALL, ENOBUFS, EINVAL),
	CALL(setsockopt, ANY_CALL, ENOBUFS, EINVAL),
	CALL(accept4, ANY_CALL, EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED,
	     EINTR, EPERM),
	CALL(recvmsg, ANY_CALL, EINTR, EAGAIN, ECONNRESET, ENOMEM),
	CALL(sendmsg, ANY_CALL, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOMEM,
	     ENOBUFS),
	CALL(shutdown, ANY_CALL, ENOTCONN),
	CALL(mmap, ANY_CALL, ENOMEM, EAGAIN),
	CALL(mremap, ANY_CALL, ENOMEM),
	CALL(mprotect, ANY_CALL, ENOMEM),
	CALL(munmap, ANY_CALL, ENOMEM),
	CALL(brk, ANY_CALL, ENOMEM),
	CALL(madvise, ANY_CALL, ENOMEM, EAGAIN),
	CALL(clone3, ANY_CALL, EAGAIN, ENOMEM, ENOSYS),
	CALL(clone, ANY_CALL, EAGAIN, ENOMEM, EPERM),
	CALL(prctl, ANY_CALL, EPERM, EINVAL),
	CALL(prlimit64, ANY_CALL, EPERM),
	CALL(seccomp, ANY_CALL, EACCES, EINVAL, ENOMEM, ENOSYS),
	CALL(getrandom, ANY_CALL, EINTR, ENOSYS),
	CALL(futex, WAITING, EINTR, EAGAIN),
	CALL(io_uring_setup, ANY_CALL, ENOSYS, EPERM, ENOMEM, EMFILE, ENFILE,
	     EINVAL),
	CALL(io_uring_register, ANY_CALL, EINVAL, ENOMEM, EMFILE, EBUSY),
	CALL(io_uring_enter, ANY_CALL, EAGAIN, EBUSY, EINTR, ENOMEM),
	CALL(io_setup, ANY_CALL, EAGAIN, ENOMEM, ENOSYS),
	CALL(io_submit, ANY_CALL, EAGAIN, EINTR, EINVAL),
	CALL(io_getevents, ANY_CALL, EINTR),
#ifdef __x86_64__
	CALL(epoll_wait, ANY_CALL, EINTR),
	CALL(poll, ANY_CALL, EINTR, ENOMEM),
	CALL(dup2, ANY_CALL, EMFILE, EBUSY),
	CALL(access, ANY_CALL, EACCES, EIO),
	CALL(unlink, ANY_CALL, EACCES, EIO, ENOENT, EROFS),
	CALL(link, ANY_CALL, EEXIST, EACCES, EIO, ENOSPC),
	CALL(rename, ANY_CALL, EACCES, EIO, ENOSPC),
	CALL(chmod, ANY_CALL, EPERM, EIO, EROFS),
	CALL(readlink, ANY_CALL, EACCES, EIO, ENOENT),
#endif
	/* These do not fail for arguments that are right. */
	CALL(exit, ANY_CALL, 0),
	CALL(exit_group, ANY_CALL, 0),
	CALL(getpid, ANY_CALL, 0),
	CALL(gettid, ANY_CALL, 0),
	CALL(geteuid, ANY_CALL, 0),
	CALL(getuid, ANY_CALL, 0),
	CALL(kill, ANY_CALL, 0),
	CALL(umask, ANY_CALL, 0),
	CALL(tgkill, ANY_CALL, 0),
	CALL(io_destroy, ANY_CALL, 0),
	CALL(sched_yield, ANY_CALL, 0),
	CALL(rt_sigaction, ANY_CALL, 0),
	CALL(rt_sigprocmask, ANY_CALL, 0),
	CALL(rt_sigreturn, ANY_CALL, 0),
	CALL(restart_syscall, ANY_CALL, 0),
	CALL(set_robust_list, ANY_CALL, 0),
	CALL(set_tid_address, ANY_CALL, 0),
	CALL(rseq, ANY_CALL, 0),
#ifdef __x86_64__
	CALL(arch_prctl, ANY_CALL, 0),
#endif
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* One for each error of a kind, for the workers. */
struct task {
	unsigned int configuration;
	unsigned int kind;
	int error;
	unsigned int calls; /* of a run without a fault */
};

struct tally {
	unsigned int cases, bad, hurt;
};

static struct {
	unsigned int next; /* task; atomic */
	unsigned int ntasks;
	struct task task[CONFIGURATIONS_MAX * KINDS * ERRORS_MAX];
	struct tally tally[CONFIGURATIONS_MAX][KINDS]; /* atomic */
} * shared;

static const char *configurations[CONFIGURATIONS_MAX] = {
	"engine=io_uring,cache=none",
	"engine=threads,cache=writeback,iothreads=2",
	"engine=libaio,cache=none",
	"engine=io_uring,cache=writethrough",
};

static unsigned int nconfigurations = 4;
static const char *program, *alloc, *only;
static unsigned int only_k;
static int sample = -1;
static bool stays;
static const char *work = ".";

void give_up(const char *what)
{
	fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void prepare(struct scenario *s, unsigned int configuration,
		    unsigned int worker)
{
	static char directory[96];

	snprintf(directory, sizeof(directory), "%s/%u", work, worker);
	if (mkdir(directory, 0700) && errno != EEXIST)
		give_up(directory);
	memset(s, 0, sizeof(*s));
	s->program = program;
	s->alloc = alloc;
	s->directory = directory;
	s->keys = configurations[configuration];
}

/* ---- runs with a fault ---- */

static void describe(const struct task *t, const struct scenario *s)
{
	const struct kind *kind = &kinds[t->kind];
	char line[1200];
	int n = snprintf(line, sizeof(line),
			 "    %s: %s%s, call %u of %s%s%s: %s\n",
			 configurations[t->configuration],
			 strerrorname_np(t->error), stays ? " for good" : "",
			 s->fault.k, kind->name, *s->what ? " " : "", s->what,
			 s->bad);

	/* One write, for there are several workers. */
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		give_up("standard output");
}

/* Whether there was such a call. */
static bool run_one(const struct task *t, struct scenario *s, unsigned int k)
{
	struct tally *tally = &shared->tally[t->configuration][t->kind];

	s->fault = (struct fault){ .call = kinds[t->kind].call,
				   .kind = kinds[t->kind].of,
				   .error = t->error,
				   .stays = stays,
				   .k = k };
	for (unsigned int i = 0; i <= AGAIN; i++) {
		scenario_run(s);
		if (!*s->bad || !s->late)
			break;
	}
	if (*s->bad)
		describe(t, s);
	if (!s->injected && !*s->bad)
		return false;
	__atomic_fetch_add(&tally->cases, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->bad, *s->bad ? 1 : 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&tally->hurt, s->hurt ? 1 : 0, __ATOMIC_RELAXED);
	return true;
}

static void run_task(const struct task *t, unsigned int worker,
		     unsigned int descriptors)
{
	struct scenario s;

	prepare(&s, t->configuration, worker);
	s.descriptors = descriptors;
	if (only_k) {
		run_one(t, &s, only_k);
	} else if (sample >= 0) {
		run_one(t, &s, 1);
		if (t->calls > 2)
			run_one(t, &s, (t->calls + 1) / 2);
		/* The last few may not be there each time. */
		if (t->calls > 1)
			run_one(t, &s, t->calls - t->calls / 8);
	} else {
		for (unsigned int k = 1; k < K_MAX && run_one(t, &s, k); k++)
			continue;
	}
}

static unsigned int descriptors_of[CONFIGURATIONS_MAX];

static _Noreturn void worker_main(unsigned int worker)
{
	unsigned int i;

	while ((i = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED)) <
	       shared->ntasks)
		run_task(&shared->task[i], worker,
			 descriptors_of[shared->task[i].configuration]);
	exit(0);
}

static bool run_workers(void)
{
	unsigned int n = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	bool ok = true;
	int status;

	fflush(stdout);
	for (unsigned int i = 0; i < JOBS_PER_CPU * n && i < JOBS_MAX; i++)
		if (fork() == 0)
			worker_main(i + 1);
	while (wait(&status) > 0)
		ok &= status == 0;
	return ok;
}

/* ---- what there is to do ---- */

static unsigned int errors_of(const struct kind *kind)
{
	unsigned int n = 0;

	while (n < ERRORS_MAX && kind->errors[n])
		n++;
	return n;
}

/*
 * What is tried again until it goes: for good it is a hang by nature, as it is
 * for who waits for a connection that nothing can be had for. A descriptor that
 * cannot be closed is left, and signals that cannot be read are not heard.
 */
static bool is_passing(const struct kind *kind, int error)
{
	return error == EINTR || error == EAGAIN || error == EBUSY ||
	       kind->call == SYS_accept4 || kind->call == SYS_epoll_ctl ||
	       kind->call == SYS_close || kind->call == SYS_read;
}

static void add_tasks(unsigned int configuration, unsigned int kind,
		      unsigned int calls)
{
	unsigned int n = errors_of(&kinds[kind]);

	if (only && strcmp(only, kinds[kind].name))
		return;
	for (unsigned int i = 0; i < n; i++)
		if ((sample < 0 || i == (unsigned int)sample % n) &&
		    !(stays && is_passing(&kinds[kind], kinds[kind].errors[i])))
			shared->task[shared->ntasks++] = (struct task){
				.configuration = configuration,
				.kind = kind,
				.error = kinds[kind].errors[i],
				.calls = calls,
			};
}

static bool is_known(int call)
{
	for (unsigned int i = 0; i < KINDS; i++)
		if (kinds[i].call == call)
			return true;
	return false;
}

/* A run without a fault tells which calls there are: false if it is bad. */
static bool look(unsigned int configuration)
{
	struct scenario s;
	bool ok = true;

	prepare(&s, configuration, 0);
	s.fault.call = CALL_ALL;
	scenario_run(&s);
	descriptors_of[configuration] = s.left;
	if (*s.bad) {
		printf("not ok %s, without a fault: %s\n", s.keys, s.bad);
		return false;
	}
	for (int call = 0; call < CALLS_MAX; call++)
		if (s.counts[call] && !is_known(call)) {
			printf("not ok system call %d is not in the table\n",
			       call);
			ok = false;
		}
	for (unsigned int i = 0; i < KINDS; i++)
		if (kinds[i].call >= 0 && s.counts[kinds[i].call])
			add_tasks(configuration, i, s.counts[kinds[i].call]);
	s.fault.call = CALL_ALLOCATE;
	scenario_run(&s);
	/* Some are opened late, which a slow run may not come to. */
	if (s.left > descriptors_of[configuration])
		descriptors_of[configuration] = s.left;
	add_tasks(configuration, 0, s.allocations);
	if (s.xen_calls)
		add_tasks(configuration, 1, s.xen_calls);
	return ok;
}

static void errors_text(const struct kind *kind, char text[256])
{
	size_t used = 0;
	unsigned int n = errors_of(kind);

	text[0] = '\0';
	for (unsigned int i = 0; i < n; i++)
		if (sample < 0 || i == (unsigned int)sample % n)
			used += (size_t)snprintf(
				text + used, 256 - used, "%s%s",
				used ? " " : "",
				strerrorname_np(kind->errors[i]));
}

static const char *kind_name(const struct kind *kind)
{
	static const char *const of[] = {
		[ANY_CALL] = "",
		[OF_EVENTFD] = " (eventfd)",
		[OF_PEER_EVENTFD] = " (call)",
		[OF_OTHER_FD] = "",
		[WAITING] = " (wait)",
		[LOCKING] = " (lock)",
		[SETTING] = " (set)",
		[ADDING] = " (add)",
	};
	static char name[64];

	snprintf(name, sizeof(name), "%s%s", kind->name, of[kind->of]);
	return name;
}

/* The table: the sum of the bad lines. */
static unsigned int report(unsigned int *good)
{
	unsigned int cases = 0, nbad = 0, lines = 0;
	char text[256];

	printf("%-20s %6s %6s %4s  %s\n", "", "cases", "seen", "bad", "errors");
	for (unsigned int i = 0; i < KINDS; i++) {
		struct tally sum = { 0 };

		for (unsigned int c = 0; c < nconfigurations; c++) {
			sum.cases += shared->tally[c][i].cases;
			sum.bad += shared->tally[c][i].bad;
			sum.hurt += shared->tally[c][i].hurt;
		}
		if (!sum.cases)
			continue;
		errors_text(&kinds[i], text);
		printf("%-20s %6u %6u %4u  %s\n", kind_name(&kinds[i]),
		       sum.cases, sum.hurt, sum.bad, text);
		printf("%s %s\n", sum.bad ? "not ok" : "ok",
		       kind_name(&kinds[i]));
		cases += sum.cases;
		nbad += sum.bad;
		lines += sum.bad != 0;
		*good += sum.bad == 0;
	}
	printf("%u cases, %u bad\n", cases, nbad);
	return lines;
}

static void parse(int argc, char **argv)
{
	bool given = false;
	char *colon;

	if (argc < 3)
		give_up("usage: faults PROGRAM ALLOC [OPTION]...");
	program = argv[1];
	alloc = argv[2];
	for (int i = 3; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--stays")) {
			stays = true;
			continue;
		}
		if (!strcmp(argv[i], "--sample")) {
			sample = atoi(value);
		} else if (!strcmp(argv[i], "--work")) {
			work = value;
		} else if (!strcmp(argv[i], "--only")) {
			only = value;
			colon = strchr(value, ':');
			if (colon) {
				*colon = '\0';
				only_k = (unsigned int)atoi(colon + 1);
			}
		} else if (!strcmp(argv[i], "--keys")) {
			if (!given)
				nconfigurations = 0;
			given = true;
			if (nconfigurations == CONFIGURATIONS_MAX)
				give_up("too many --keys");
			configurations[nconfigurations++] = value;
		} else {
			give_up(argv[i]);
		}
		i++;
	}
}

int main(int argc, char **argv)
{
	unsigned int good = 0, failed = 0;
	uint64_t begin = now_ms();

	parse(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		give_up("no memory");
	for (unsigned int i = 0; i < nconfigurations; i++)
		failed += !look(i);
	if (!run_workers()) {
		printf("not ok a worker of the test failed\n");
		failed++;
	}
	failed += report(&good);
	printf("%llu s\n", (unsigned long long)(now_ms() - begin) / 1000);
	printf("%u passed, %u failed\n", good, failed);
	return failed || !good;
}
