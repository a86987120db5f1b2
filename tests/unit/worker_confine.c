/* SPDX-License-Identifier: MIT */
/*
 * A confined worker, tried from inside by what somebody would try who has taken
 * it over, and looked at from outside. Each try is a child that gives all up
 * and then says what it was answered; and what a worker does for its guest is
 * done.
 */
#include "lib/test.h"

#include "config.h"

#ifdef HAVE_XEN

#include "lib/block_harness.h"
#include "lib/call_tries.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <xentoolcore.h>
#include <xen/xen.h>

#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#include "base/log.h"
#include "base/shared_file.h"
#include "base/thread_loop.h"
#include "block/claim.h"
#include "block/part.h"
#include "worker/confine.h"
#include "worker/confine_list.h"
#include "worker/confine_place.h"
#include "xen/handles.h"

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum {
	DOMID = 7,
	CALLS = 470,         /* numbers that are tried */
	STEADY_MAX = 20,     /* calls while disks are served */
	LIST_MAX = 55,       /* calls that are allowed; more want a reason */
	VHOST_LIST_MAX = 65, /* ... sockets, and what front ends send */
	LANDLOCK_SCOPES = 6, /* the version that came with them */
};

static struct confine_settings settings = {
	.calls = CONFINE_ALL_OF_XEN,
	.id = CONFINE_UID_BASE + DOMID,
	.restrict_handles = xen_handles_restrict,
	.domid = DOMID,
};

/* ---- Xen's library ------------------------------------------------------- */

static struct {
	int domid; /* for which handles were restricted, or -1 */
	int error;
} xen = { .domid = -1 };

int xentoolcore_restrict_all(domid_t domid)
{
	xen.domid = domid;
	errno = xen.error;
	return xen.error ? -1 : 0;
}

/* ---- children ------------------------------------------------------------ */

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static int all(void)
{
	return confine_enter(&settings);
}

static int nothing(void)
{
	return 0;
}

static int in_worker(int (*call)(void))
{
	return tries_in_child(all, call);
}

static long landlock_version(void)
{
	return syscall(444, NULL, 0, 1);
}

/* ---- every number -------------------------------------------------------- */

static void test_every_call(void **state)
{
	(void)state;
	need_root();
	tries = (struct tries_list){ &confine_list, CONFINE_ALL_OF_XEN, CALLS };
	tries_check_all(in_worker, LIST_MAX);
}

/* Of front ends: there are no handles of Xen's. */
static void test_every_call_of_vhost(void **state)
{
	const struct confine_settings of_xen = settings;

	(void)state;
	need_root();
	settings = (struct confine_settings){
		.calls = CONFINE_ALL_OF_VHOST,
		.id = CONFINE_UID_OF_VHOST + (unsigned int)getpid(),
	};
	tries = (struct tries_list){ &confine_list, CONFINE_ALL_OF_VHOST,
				     CALLS };
	tries_check_all(in_worker, VHOST_LIST_MAX);
	settings = of_xen;
}

static void test_length(void **state)
{
	unsigned int steady = call_filter_size(&confine_list, CONFINE_STEADY);
	unsigned int change = call_filter_size(&confine_list, CONFINE_CHANGE);
	unsigned int engines = call_filter_size(&confine_list, CONFINE_ENGINES);

	(void)state;
	print_message("# %u steady, %u for changes, %u of other engines\n",
		      steady, change, engines);
	assert_in_range(steady, 1, STEADY_MAX);
	for (size_t i = 0; i < confine_list.ncalls; i++)
		for (size_t k = 0; k < i; k++)
			assert_true(confine_list.calls[i].nr !=
					    confine_list.calls[k].nr ||
				    !(confine_list.calls[i].who &
				      confine_list.calls[k].who));
}

/* ---- what is forbidden --------------------------------------------------- */

static int open_passwd(void)
{
	return errno_of(open("/etc/passwd", O_RDONLY));
}

static int open_own_memory(void)
{
	return errno_of(open("/proc/self/mem", O_RDWR));
}

static int stat_root(void)
{
	return errno_of(syscall(__NR_newfstatat, AT_FDCWD, "/", NULL, 0));
}

static int open_local_socket(void)
{
	return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int open_socket(void)
{
	return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int trace_parent(void)
{
	return errno_of(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}

static int kill_parent(void)
{
	return errno_of(kill(getppid(), 0));
}

static pid_t parent;

static int signal_parent(void)
{
	return errno_of(syscall(__NR_tgkill, parent, parent, 0));
}

static int signal_us(void)
{
	return errno_of(syscall(__NR_tgkill, getpid(), gettid(), 0));
}

static int become_root(void)
{
	return errno_of(syscall(__NR_setuid, 0));
}

static int execute(void)
{
	char *const argv[] = { (char *)"true", NULL };

	return errno_of(execv("/bin/true", argv));
}

static int mount_something(void)
{
	return errno_of(mount("none", "/", "tmpfs", 0, NULL));
}

static int leave_namespace(void)
{
	return errno_of(unshare(CLONE_NEWNS));
}

static int map(int protection)
{
	return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED ?
		       errno :
		       0;
}

static int map_executable(void)
{
	return map(PROT_READ | PROT_EXEC);
}

static int map_plain(void)
{
	return map(PROT_READ | PROT_WRITE);
}

static int make_executable(void)
{
	return errno_of(mprotect((void *)((uintptr_t)&xen & ~4095ul), 4096,
				 PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int start_process(void)
{
	return errno_of(syscall(__NR_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static int start_process_anew(void)
{
	return errno_of(syscall(__NR_clone3, NULL, 0));
}

static int register_buffers(void)
{
	return errno_of(syscall(__NR_io_uring_register, -1,
				IORING_REGISTER_BUFFERS, NULL, 0));
}

static int set_owner(void)
{
	return errno_of(fcntl(0, F_SETOWN, getpid()));
}

static int type_into_terminal(void)
{
	return errno_of(ioctl(0, TIOCSTI, "x"));
}

static void test_forbidden(void **state)
{
	static const struct {
		int (*call)(void);
		int answer;
	} forbidden[] = {
		{ open_passwd, EPERM },
		{ open_own_memory, EPERM },
		{ stat_root, EPERM },
		{ open_local_socket, EPERM },
		{ open_socket, EPERM },
		{ trace_parent, TRIES_KILLED },
		{ kill_parent, EPERM },
		{ signal_parent, EPERM },
		{ signal_us, 0 },
		{ become_root, EPERM },
		{ execute, TRIES_KILLED },
		{ mount_something, TRIES_KILLED },
		{ leave_namespace, TRIES_KILLED },
		{ map_executable, EPERM },
		{ map_plain, 0 },
		{ make_executable, EPERM },
		{ start_process, EPERM },
		{ start_process_anew, ENOSYS },
		{ register_buffers, EPERM },
		{ set_owner, EPERM },
		{ type_into_terminal, EPERM },
	};

	(void)state;
	need_root();
	parent = getpid();
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int answer = in_worker(forbidden[i].call);

		if (answer != forbidden[i].answer)
			fail_msg("try %zu: %d instead of %d", i, answer,
				 forbidden[i].answer);
	}
}

static unsigned long request;

static int ask_device(void)
{
	return errno_of(ioctl(-1, request, 0));
}

static void test_ioctls(void **state)
{
	static const unsigned long allowed[] = {
		IOCTL_EVTCHN_BIND_INTERDOMAIN,
		IOCTL_EVTCHN_UNBIND,
		IOCTL_EVTCHN_NOTIFY,
		IOCTL_PRIVCMD_MMAPBATCH_V2,
		IOCTL_PRIVCMD_MMAP_RESOURCE,
		IOCTL_PRIVCMD_DM_OP,
		BLKDISCARD,
		BLKSECDISCARD,
	};
	static const unsigned long refused[] = {
		IOCTL_PRIVCMD_HYPERCALL,
		IOCTL_PRIVCMD_MMAP,
		IOCTL_PRIVCMD_RESTRICT,
		IOCTL_EVTCHN_RESET,
		IOCTL_EVTCHN_BIND_UNBOUND_PORT,
		IOCTL_EVTCHN_BIND_VIRQ,
		BLKRRPART,
		BLKROSET,
	};

	(void)state;
	need_root();
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		request = allowed[i];
		assert_int_equal(in_worker(ask_device), EBADF);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		request = refused[i];
		assert_int_equal(in_worker(ask_device), EPERM);
	}
}

/* ---- past the list, by a ring of one's own ------------------------------- */

#ifdef HAVE_LIBURING

static struct io_uring ring;

/* What a ring that nobody has restricted answers. */
static int by_ring(void (*prepare)(struct io_uring_sqe *sqe))
{
	struct io_uring_cqe *cqe;

	if (io_uring_queue_init(4, &ring, 0))
		return TRIES_BROKEN;
	prepare(io_uring_get_sqe(&ring));
	if (io_uring_submit_and_wait(&ring, 1) != 1 ||
	    io_uring_peek_cqe(&ring, &cqe))
		return TRIES_BROKEN;
	return cqe->res < 0 ? -cqe->res : 0;
}

static void prepare_open_passwd(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static int ring_open_passwd(void)
{
	return by_ring(prepare_open_passwd);
}

/* It is there, wherever the root is: who refuses it is Landlock. */
static void prepare_open_root(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
}

static int ring_open_root(void)
{
	return by_ring(prepare_open_root);
}

static int listening; /* a socket that others offer, and ... */
static int inherited; /* ... one that is connected to nobody */
static struct sockaddr_un place;
static socklen_t place_bytes;

static void prepare_connect(struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, inherited, (struct sockaddr *)&place,
			      place_bytes);
}

static int ring_connect(void)
{
	return by_ring(prepare_connect);
}

static void offer(const char *path, bool abstract)
{
	memset(&place, 0, sizeof(place));
	place.sun_family = AF_UNIX;
	snprintf(place.sun_path + abstract, sizeof(place.sun_path) - 1, "%s",
		 path);
	place_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				  abstract + strlen(path));
	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	inherited = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
		bind(listening, (struct sockaddr *)&place, place_bytes), 0);
	assert_int_equal(listen(listening, 1), 0);
	if (!abstract)
		chmod(path, 0777);
}

static void test_by_ring(void **state)
{
	char name[64];

	(void)state;
	need_root();
	if (io_uring_queue_init(4, &ring, 0))
		skip(); /* not to be had on this machine */
	io_uring_queue_exit(&ring);
	assert_int_equal(in_worker(ring_open_passwd), ENOENT);
	assert_int_equal(in_worker(ring_open_root), EACCES);
	offer(harness_path("socket"), false);
	assert_int_equal(tries_in_child(nothing, ring_connect), 0);
	close(inherited);
	inherited = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(in_worker(ring_connect), ENOENT);
	close(inherited);
	close(listening);
	snprintf(name, sizeof(name), "virtio-disk-test-%d", getpid());
	offer(name, true);
	/* The socket is of the network that the worker has left. */
	if (landlock_version() >= LANDLOCK_SCOPES)
		assert_int_equal(in_worker(ring_connect), EPERM);
	close(inherited);
	close(listening);
}

#endif

/* ---- each of the walls --------------------------------------------------- */

static int deny(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return confine_place_deny();
}

static int make_file(void)
{
	return errno_of(open("/virtio-disk-test", O_RDWR | O_CREAT, 0600));
}

static void test_landlock(void **state)
{
	(void)state;
	if (landlock_version() < 0)
		skip(); /* this kernel has none */
	assert_int_equal(tries_in_child(deny, open_passwd), EACCES);
	assert_int_equal(tries_in_child(deny, open_own_memory), EACCES);
	assert_int_equal(tries_in_child(deny, make_file), EACCES);
}

static int see_host(void)
{
	struct stat st;

	/* Nor by going up. */
	if (stat("/etc", &st) == 0 || stat("..", &st) ||
	    stat("../../etc", &st) == 0 || stat("/proc", &st) == 0)
		return TRIES_WRONG;
	return make_file() == EROFS ? open_passwd() : TRIES_WRONG;
}

static void test_empty_root(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(tries_in_child(confine_place_empty, see_host), ENOENT);
}

/* ---- who it is, seen from outside ---------------------------------------- */

static char text[8192];

static const char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

static const char *path_of(pid_t pid, const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path;
}

/* A confined child that waits until it is killed. */
static pid_t start_worker(bool (*before)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(TRIES_WAIT_S);
		if ((before && !before()) || confine_enter(&settings) ||
		    write(ready[1], "", 1) != 1)
			_exit(TRIES_BROKEN);
		while (read(ready[0], &byte, 0) == 0)
			syscall(__NR_futex, &listening, 0, listening, NULL);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_worker(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void assert_has(const char *what)
{
	if (!strstr(text, what))
		fail_msg("no '%s' in\n%s", what, text);
}

static void check_no_capabilities(void)
{
	assert_has("CapInh:\t0000000000000000\n");
	assert_has("CapPrm:\t0000000000000000\n");
	assert_has("CapEff:\t0000000000000000\n");
	assert_has("CapAmb:\t0000000000000000\n");
	assert_has("NoNewPrivs:\t1\n");
	assert_has("Seccomp:\t2\n");
}

static bool same_namespace(pid_t pid, const char *name)
{
	char ours[64] = "", its[64] = "";
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
	assert_true(readlink(path_of(pid, name), its, sizeof(its) - 1) > 0);
	return strcmp(ours, its) == 0;
}

static bool with_groups(void)
{
	static const gid_t groups[] = { 0, 6 };

	return setgroups(2, groups) == 0;
}

static void test_identity(void **state)
{
	const unsigned int uid = CONFINE_UID_BASE + DOMID;
	char line[128];
	struct stat st;
	pid_t pid;

	(void)state;
	need_root();
	pid = start_worker(with_groups);
	read_file(path_of(pid, "status"));
	snprintf(line, sizeof(line), "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid,
		 uid);
	assert_has(line);
	snprintf(line, sizeof(line), "Gid:\t%u\t%u\t%u\t%u\n", uid, uid, uid,
		 uid);
	assert_has(line);
	assert_has("Groups:\t \n");
	check_no_capabilities();
	assert_has("CapBnd:\t0000000000000000\n");
	/* Not dumpable: root's, although it is another one's process. */
	assert_int_equal(stat(path_of(pid, "mem"), &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_false(same_namespace(pid, "ns/mnt"));
	assert_false(same_namespace(pid, "ns/net"));
	assert_false(same_namespace(pid, "ns/ipc"));
	assert_false(same_namespace(pid, "ns/uts"));
	end_worker(pid);
}

/* At most `max`, and that by now. */
static void check_limit(const char *name, unsigned long max)
{
	const char *line = strstr(text, name);
	unsigned long soft, hard;

	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen(name), "%lu %lu", &soft, &hard),
			 2);
	assert_in_range(hard, 0, max);
	assert_int_equal(soft, hard);
}

static void test_limits(void **state)
{
	pid_t pid;

	(void)state;
	need_root();
	pid = start_worker(NULL);
	read_file(path_of(pid, "limits"));
	check_limit("Max core file size", 0);
	check_limit("Max msgqueue size", 0);
	check_limit("Max nice priority", 0);
	check_limit("Max realtime priority", 0);
	check_limit("Max open files", 4096);
	check_limit("Max processes", 8192);
	check_limit("Max locked memory", 64 << 20);
	end_worker(pid);
}

/* As in a unit that lets nobody change its user. */
static bool without_setuid(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(__NR_capget, &header, data))
		return false;
	data[0].effective &= ~(1u << CAP_SETUID);
	data[0].permitted &= ~(1u << CAP_SETUID);
	return syscall(__NR_capset, &header, data) == 0;
}

static void test_without_rights(void **state)
{
	pid_t pid;

	(void)state;
	need_root();
	pid = start_worker(without_setuid);
	read_file(path_of(pid, "status"));
	assert_has("Uid:\t0\t0\t0\t0\n");
	check_no_capabilities();
	end_worker(pid);
}

/* ---- settings ------------------------------------------------------------ */

static int enter(void)
{
	return -confine_enter(&settings);
}

static void test_users(void **state)
{
	const struct passwd *user;
	char line[128];
	pid_t pid;

	(void)state;
	need_root();
	settings.user = "no-such-user";
	assert_int_equal(tries_in_child(nothing, enter), ENOENT);
	settings.user = "root";
	assert_int_equal(tries_in_child(nothing, enter), EINVAL);
	user = getpwnam("nobody");
	assert_non_null(user);
	settings.user = "nobody";
	pid = start_worker(NULL);
	settings.user = NULL;
	read_file(path_of(pid, "status"));
	snprintf(line, sizeof(line), "Uid:\t%u\t%u\t%u\t%u\n", user->pw_uid,
		 user->pw_uid, user->pw_uid, user->pw_uid);
	assert_has(line);
	check_no_capabilities();
	end_worker(pid);
}

static void *wait_for_ever(void *arg)
{
	pause();
	return arg;
}

static int enter_with_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_for_ever, NULL))
		return TRIES_BROKEN;
	return enter();
}

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(tries_in_child(nothing, enter_with_thread), EBUSY);
}

static int check_domid(void)
{
	return xen.domid == DOMID ? 0 : TRIES_WRONG;
}

static void test_handles(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_worker(check_domid), 0);
	/* A kernel without the restriction: told, and no reason to end. */
	xen.error = ENOTTY;
	assert_int_equal(xen_handles_restrict(DOMID), -ENOTTY);
	assert_int_equal(in_worker(check_domid), 0);
	xen.error = 0;
}

/* ---- what it is there for ------------------------------------------------ */

static struct block_image image;
static struct block_part part;
static int state_fd;
static const char *engine_name;
static char *buffer;

enum {
	IMAGE_BYTES = 1 << 20,
	PIECE = 4096,
};

static int use(struct block_engine *engine)
{
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t at = (uint64_t)i * PIECE;

		memset(buffer, (int)i + 1, PIECE);
		if (harness_transfer(engine, BLOCK_WRITE, 0, at, buffer,
				     PIECE) ||
		    harness_command(engine, BLOCK_FLUSH, 0, 0, 0))
			return TRIES_WRONG;
		memset(buffer, 0, PIECE);
		if (harness_transfer(engine, BLOCK_READ, 0, at, buffer,
				     PIECE) ||
		    buffer[PIECE - 1] != (char)(i + 1))
			return TRIES_WRONG;
	}
	return harness_command(engine, BLOCK_WRITE_ZEROES, 0, 0, PIECE) ||
			       harness_command(engine, BLOCK_DISCARD, 0, PIECE,
					       PIECE) ?
		       TRIES_WRONG :
		       0;
}

/* The file of its state, which was handed over. */
static int make_state(void)
{
	void *memory;

	if (shared_file_make(state_fd, PIECE) ||
	    shared_file_map(&memory, state_fd, PIECE))
		return TRIES_WRONG;
	munmap(memory, PIECE);
	return 0;
}

static int use_threads(void)
{
	struct thread_loop thread = { .running = false };
	int r = thread_loop_start(&thread, 0);

	if (r == 0)
		thread_loop_stop(&thread);
	return r ? TRIES_WRONG : 0;
}

/* A disk that is attached, used and detached, twice. */
static int serve(void)
{
	char error[BLOCK_ERROR_MAX];
	struct block_engine *engine;
	int r = log_detach() ? TRIES_WRONG : make_state();

	if (r == 0)
		r = use_threads();
	if (r || block_image_open(&image, &part, error))
		return TRIES_WRONG;
	for (unsigned int i = 0; i < 2 && r == 0; i++) {
		if (block_engine_open(&engine, engine_name, &image, 64))
			return TRIES_WRONG;
		r = use(engine);
		block_engine_close(engine);
	}
	block_image_close(&image);
	return r;
}

/* Whether this machine has the engine is asked outside. */
static void need_engine(const char *name)
{
	harness_open_image(&image, "image", BLOCK_CACHE_AUTO);
	block_engine_close(harness_open_engine(name, &image, 64));
	whole_close(&image);
}

static void try_engine(const char *name)
{
	const struct block_image_options options = {
		.file = harness_path("image"),
	};
	char error[BLOCK_ERROR_MAX];
	struct block_claim claim;

	need_root();
	engine_name = name;
	free(harness_create("image", IMAGE_BYTES));
	need_engine(name);
	assert_int_equal(block_claim_open(&claim, &options, error), 0);
	assert_int_equal(block_claim_part(&claim, &part, error), 0);
	state_fd = memfd_create("state", MFD_CLOEXEC);
	assert_int_equal(posix_memalign((void **)&buffer, PIECE, PIECE), 0);
	assert_int_equal(in_worker(serve), 0);
	free(buffer);
	close(state_fd);
	block_part_close(&part);
	block_claim_close(&claim);
}

static void test_serves_by_io_uring(void **state)
{
	(void)state;
	try_engine("io_uring");
}

static void test_serves_by_libaio(void **state)
{
	(void)state;
	try_engine("libaio");
}

static void test_serves_by_threads(void **state)
{
	(void)state;
	try_engine("threads");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call),
		cmocka_unit_test(test_every_call_of_vhost),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_ioctls),
#ifdef HAVE_LIBURING
		cmocka_unit_test(test_by_ring),
#endif
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_empty_root),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_without_rights),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_serves_by_io_uring),
		cmocka_unit_test(test_serves_by_libaio),
		cmocka_unit_test(test_serves_by_threads),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}

#else
#include "lib/model_needs_xen.h"
#endif
