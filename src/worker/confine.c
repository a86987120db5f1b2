/* SPDX-License-Identifier: MIT */
/*
 * A worker gives up what it does not need; see worker/confine.h.
 *
 * The order is that of what each step takes: names are looked up while there
 * are files, an empty root and a network are made while we may, capabilities
 * are taken from the set of those that can be had while we have them, and the
 * list of calls has none of the calls of the others.
 *
 * Not limited are the size of files, which is that of images, and addresses,
 * for guests' memory of any size is mapped.
 *
 * Failures: see worker/confine.h. What was given up before stays so.
 */
#include "worker/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "worker/confine_list.h"
#include "worker/confine_place.h"

/* For all disks with all their queues, and their threads. */
#define DESCRIPTORS_MAX 4096u
#define THREADS_MAX 8192u
/* Rings are locked memory in kernels before 5.12 and since 6.14. */
#define LOCKED_MAX_BYTES (64u << 20)
/* Capabilities have numbers below this. */
#define CAPABILITIES_MAX 64u
/* Bytes of all names of what may be kept. */
#define KEPT_MAX 320u

struct identity {
	uid_t uid;
	gid_t gid;
	bool own; /* nobody else has it */
};

struct limit {
	int resource;
	rlim_t max;
	bool by_user; /* what all processes of the user have is counted */
};

static const struct limit limits[] = {
	{ RLIMIT_CORE, 0, false },
	{ RLIMIT_MSGQUEUE, 0, false },
	{ RLIMIT_RTPRIO, 0, false },
	{ RLIMIT_NICE, 0, false },
	{ RLIMIT_NOFILE, DESCRIPTORS_MAX, false },
	{ RLIMIT_NPROC, THREADS_MAX, true },
	{ RLIMIT_MEMLOCK, LOCKED_MAX_BYTES, true },
};

/*
 * What we may not give up: that is what somebody decided who started us, as our
 * own unit does. For one line.
 */
static char kept[KEPT_MAX];

static void keep(const char *what)
{
	size_t n = strlen(kept);

	snprintf(kept + n, sizeof(kept) - n, "%s%s", n ? ", " : "", what);
}

/* Whether it was given up: `r` is 0 or a negative errno. */
static bool given_up(const char *what, int r)
{
	if (r == -EPERM)
		keep(what);
	else if (r)
		log_warning("the worker cannot give up %s: %s", what,
			    strerror(-r));
	return r == 0;
}

static int errno_of(long result)
{
	return result < 0 ? -errno : 0;
}

/*
 * Whether we have a right. What is refused by a unit's list of calls is a line
 * in the kernel's log each time; so nothing is tried that cannot be.
 */
static bool may(unsigned int capability)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(__NR_capget, &header, data) == 0 &&
	       data[capability / 32].effective & 1u << capability % 32;
}

/* ---- Xen's handles ---- */

static void restrict_handles(const struct confine_settings *settings)
{
	unsigned int domid = settings->domid;
	int r = settings->restrict_handles ? settings->restrict_handles(domid) :
					     0;

	if (r)
		log_warning("Xen's handles are not restricted to domain %u: "
			    "%s; who takes the worker over reaches all "
			    "domains%s",
			    domid, strerror(-r),
			    r == -ENOTTY ? ". This kernel's xen-privcmd or "
					   "xen-evtchn knows no restriction: "
					   "use a newer one" :
					   "");
}

/* ---- limits ---- */

static int lower(const struct limit *limit)
{
	struct rlimit now;

	if (getrlimit((unsigned int)limit->resource, &now))
		return -errno;
	if (now.rlim_max > limit->max)
		now.rlim_max = limit->max;
	/* All that is allowed: nothing here asks for it later. */
	now.rlim_cur = now.rlim_max;
	return errno_of(setrlimit((unsigned int)limit->resource, &now));
}

static void set_limits(const struct identity *identity)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (limits[i].by_user && !identity->own)
			continue;
		r = r ? r : lower(&limits[i]);
	}
	given_up("resources", r);
}

/* ---- who it is ---- */

static int look_up(struct identity *identity,
		   const struct confine_settings *settings)
{
	const struct passwd *user;

	if (!settings->user) {
		identity->uid = settings->id;
		identity->gid = settings->id;
		identity->own = true;
		return 0;
	}
	user = getpwnam(settings->user);
	if (!user || user->pw_uid == 0) {
		log_error("the worker cannot run as user %s: %s",
			  settings->user,
			  user ? "that is root; name another one" :
				 "there is none; make a system user");
		return user ? -EINVAL : -ENOENT;
	}
	identity->uid = user->pw_uid;
	identity->gid = user->pw_gid;
	identity->own = false;
	return 0;
}

/* Capabilities that a program could have again. */
static int drop_bounds(void)
{
	int r = errno_of(
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));

	for (unsigned long i = 0; i < CAPABILITIES_MAX; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) && r == 0)
			r = -errno;
	return r;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
		{ 0, 0, 0 },
	};

	return errno_of(syscall(__NR_capset, &header, none));
}

/* Groups first: who is another user may not change them. */
static int change_user(const struct identity *identity)
{
	if (!may(CAP_SETUID) || !may(CAP_SETGID))
		return -EPERM;
	if (setgroups(0, NULL) ||
	    setresgid(identity->gid, identity->gid, identity->gid) ||
	    setresuid(identity->uid, identity->uid, identity->uid))
		return -errno;
	return 0;
}

static void give_up_identity(const struct identity *identity)
{
	given_up("capabilities of the programs it would run", drop_bounds());
	given_up("its user", change_user(identity));
	if (!identity->own && getuid() != identity->uid)
		log_warning("the worker is not the user that --user names");
	given_up("capabilities", drop_capabilities());
	given_up("new privileges",
		 errno_of(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
	/* Another user is as fs.suid_dumpable says. */
	given_up("being traced", errno_of(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)));
}

/* ---- all of it ---- */

/* It does nothing, and is not allowed to one of several threads. */
static bool is_alone(void)
{
	return unshare(CLONE_THREAD) == 0 || errno != EINVAL;
}

int confine_enter(const struct confine_settings *settings)
{
	struct identity identity;
	bool no_files, admin;
	uid_t uid;
	int r;

	if (!is_alone()) {
		log_error("the worker cannot be confined: it has several "
			  "threads");
		return -EBUSY;
	}
	r = look_up(&identity, settings);
	if (r)
		return r;
	restrict_handles(settings);
	admin = may(CAP_SYS_ADMIN);
	given_up("the host's network, IPC and names",
		 admin ? confine_place_leave() : -EPERM);
	no_files = given_up("the host's mounts",
			    admin ? confine_place_empty() : -EPERM);
	set_limits(&identity);
	give_up_identity(&identity);
	uid = getuid();
	no_files |= given_up("files (Landlock)", confine_place_deny());
	no_files |=
		given_up("system calls",
			 call_filter_install(&confine_list, settings->calls));
	if (kept[0])
		log_info("the worker may not give up: %s", kept);
	if (!no_files) {
		log_error("the worker would reach the host's files, so it "
			  "serves nothing; use a kernel with Landlock or "
			  "seccomp, or --no-sandbox");
		return -EPERM;
	}
	log_debug("the worker is confined: user %u, %u system calls",
		  (unsigned int)uid,
		  call_filter_size(&confine_list, settings->calls));
	return 0;
}
