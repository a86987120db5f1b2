/* SPDX-License-Identifier: MIT */
/*
 * The filter of system calls; see base/call_filter.h.
 *
 * Two of them. The first one refuses clone3 with ENOSYS, which is no news: its
 * flags are in memory, where no filter can look, and the C library then calls
 * clone, whose flags are in a register. The second one is the list, and logs
 * what it refuses. Of what both say the stricter holds.
 *
 * A call costs some 40 ns more, whatever the list is: since 5.11 the kernel
 * looks up in a table what is always allowed. Where an argument is looked at,
 * and before 5.11, both are walked, so that what the data path calls comes
 * first. An ioctl costs 80 ns more, 16 of them for there being two: one alone
 * would either log each thread that is started or nothing at all.
 *
 * Kernels before 5.16 also take speculation over stores from whoever has a
 * filter, for programs that run code of others. This one runs none.
 *
 * Failures: another machine than those that were tried, a kernel without the
 * filter, a unit that does not allow the call. Who calls this says so.
 */
#include "base/call_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__)
enum { MACHINE = AUDIT_ARCH_X86_64 };
/* Numbers from here on are those of its second set of calls. */
#define OTHER_CALLS 0x40000000u
#elif defined(__aarch64__) && !defined(__ILP32__) && !defined(__AARCH64EB__)
enum { MACHINE = AUDIT_ARCH_AARCH64 };
#define OTHER_CALLS UINT32_MAX
#else
enum { MACHINE = 0 };
#define OTHER_CALLS UINT32_MAX
#endif

/* Instructions of a filter. */
#define SIZE_MAX_INSNS 1024u

#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

struct filter {
	struct sock_filter insn[SIZE_MAX_INSNS];
	unsigned short n;
};

/* ---- making a filter ---- */

static void add(struct filter *f, uint16_t code, uint32_t k, unsigned int jt,
		unsigned int jf)
{
	if (f->n < SIZE_MAX_INSNS)
		f->insn[f->n] = (struct sock_filter){ code, (uint8_t)jt,
						      (uint8_t)jf, k };
	f->n++;
}

static void load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct filter *f, uint32_t action)
{
	add(f, BPF_RET | BPF_K, action, 0, 0);
}

/* If what was loaded is `value`, this action. */
static void answer_if(struct filter *f, uint32_t value, uint32_t action)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	answer(f, action);
}

/* The call's number is loaded before, and after if it is another one. */
static void answer_call(struct filter *f, const struct call_filter_call *call)
{
	const struct call_filter_check *check = call->check;

	if (!check) {
		answer_if(f, call->nr, SECCOMP_RET_ALLOW);
		return;
	}
	add(f, BPF_JMP | BPF_JEQ | BPF_K, call->nr, 0, 2 * check->nvalues + 3);
	/* Its low half; all machines that we know begin with it. */
	load(f, offsetof(struct seccomp_data, args[check->argument]));
	add(f, BPF_ALU | BPF_AND | BPF_K, check->mask, 0, 0);
	for (unsigned int i = 0; i < check->nvalues; i++)
		answer_if(f,
			  check->values[i] == CALL_FILTER_OWN_PID ?
				  (uint32_t)getpid() :
				  check->values[i],
			  SECCOMP_RET_ALLOW);
	answer(f, REFUSED(EPERM));
}

static void make_list(struct filter *f, const struct call_filter_list *list,
		      unsigned int who)
{
	load(f, offsetof(struct seccomp_data, arch));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)MACHINE, 1, 0);
	answer(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
	add(f, BPF_JMP | BPF_JGE | BPF_K, OTHER_CALLS, 0, 1);
	answer(f, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < list->ncalls; i++)
		if (list->calls[i].who & who)
			answer_call(f, &list->calls[i]);
	for (size_t i = 0; i < call_filter_nkilling; i++)
		answer_if(f, call_filter_killing[i], SECCOMP_RET_KILL_PROCESS);
	answer(f, REFUSED(EPERM));
}

static void make_quiet(struct filter *f)
{
	load(f, offsetof(struct seccomp_data, nr));
	answer_if(f, __NR_clone3, REFUSED(ENOSYS));
	answer(f, SECCOMP_RET_ALLOW);
}

/* ---- installing it ---- */

static int install(const struct filter *f, unsigned int flags)
{
	const struct sock_fprog program = {
		.len = f->n,
		.filter = (struct sock_filter *)f->insn,
	};
	long r;

	if (f->n > SIZE_MAX_INSNS)
		return -E2BIG;
	r = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
			    flags,
		    &program);
	/* Above 0: a thread that cannot have it. */
	return r < 0 ? -errno : r > 0 ? -ESRCH : 0;
}

int call_filter_install(const struct call_filter_list *list, unsigned int who)
{
	struct filter *f;
	int r;

	if (MACHINE == 0)
		return -EOPNOTSUPP;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	/* The quiet one first: the list has no call for another filter. */
	make_quiet(f);
	r = install(f, 0);
	if (r == 0) {
		f->n = 0;
		make_list(f, list, who);
		r = install(f, SECCOMP_FILTER_FLAG_LOG);
	}
	free(f);
	return r;
}

/* ---- what is in it ---- */

enum call_filter_verdict
call_filter_verdict(const struct call_filter_list *list, unsigned int who,
		    unsigned int nr)
{
	for (size_t i = 0; i < list->ncalls; i++)
		if (list->calls[i].nr == nr && (list->calls[i].who & who))
			return CALL_FILTER_ALLOWED;
	for (size_t i = 0; i < call_filter_nkilling; i++)
		if (call_filter_killing[i] == nr)
			return CALL_FILTER_KILLS;
	return CALL_FILTER_DENIED;
}

unsigned int call_filter_size(const struct call_filter_list *list,
			      unsigned int who)
{
	unsigned int n = 0;

	for (size_t i = 0; i < list->ncalls; i++)
		n += (list->calls[i].who & who) != 0;
	return n;
}
