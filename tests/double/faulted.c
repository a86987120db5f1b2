/* SPDX-License-Identifier: MIT */
/*
 * One life of the program under a Xen guest while something fails: what
 * tests/faults/main.c runs, on the host of kills.c. Two programs serve the
 * guest, one after the other; the fault is the first one's.
 *
 *	first	the disk is offered, a driver begins, requests; SIGHUP;
 *		SIGTERM leaves it - or, with keys that begin with "detach:",
 *		the disk and then the guest end
 *	second	goes on with what the first has left, wherever that has ended:
 *		all requests are done, others as well, and all ends
 *
 * What is right: a request that succeeds has done what it says. What fails, be
 * it a request, a disk that is refused or the program, has a line in the log.
 * A program that ends by itself does so with status 1, and the second goes on.
 * Nothing takes longer than LIMIT_MS. There are no more descriptors than before
 * the fault. In the end nothing is left of either.
 *
 * Where the program has said that it cannot leave the guest to another one, the
 * guest ends with the first. What is left of it in the directory of states is
 * swept up by whoever is started next.
 *
 * A notification or an interrupt that Xen does not deliver is nothing that the
 * program could do without: there the second has to. So it is where a
 * descriptor was not closed.
 */
#include "faults/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"
#include "faults/faults.h"
#include "load.h"
#include "program.h"
#include "rest.h"
#include "toolstack.h"

#define LIMIT_NS (LIMIT_MS * NS_PER_MS)
#define LOOK_NS (20 * NS_PER_MS)
#define DETACHES "detach:"

enum {
	IMAGE_BYTES = 1 << 20,
	QUEUES = 2,
	DEPTH = 8,
	REQUESTS = 40, /* of each part */
	RUN_MS = 60000,
};

struct life {
	struct scenario *s;
	struct daemon daemon;
	struct driver driver;
	struct load load;
	bool second;
	bool refused; /* the disk, by the first */
	bool lost;    /* the guest, with the first */
	uint64_t until;
	char image[160], states[160], log[160], disk[256];
};

/* ---- programs ------------------------------------------------------------ */

static void start(struct life *l, bool second)
{
	const char *const argv[] = { l->s->program, "--domain", "web",
				     "--state-dir", l->states,  "--disk",
				     l->disk,       NULL };

	l->second = second;
	l->daemon = (struct daemon){ .directory = l->s->directory,
				     .alloc = l->s->alloc };
	l->daemon.fault = l->s->fault;
	if (second || l->s->fault.call == CALL_XEN)
		l->daemon.fault = (struct fault){ .call = CALL_NONE };
	daemon_start(&l->daemon, (char *const *)(uintptr_t)argv);
	l->until = clock_ns() + LIMIT_NS;
}

static bool injected(const struct life *l)
{
	if (l->s->fault.call != CALL_XEN)
		return daemon_injected(&l->daemon);
	return host.fault.injected;
}

static void read_log(struct life *l)
{
	FILE *log = fopen(l->log, "re");
	char line[2048];

	while (log && fgets(line, sizeof(line), log)) {
		if (strstr(line, "cannot be taken over"))
			l->lost = true;
		if (strstr(line, "error: ") || strstr(line, "warning: "))
			l->s->log_told = true;
		if (strstr(line, "ssertion") || strstr(line, "Sanitizer") ||
		    strstr(line, "runtime error:") || strstr(line, "fatal"))
			die("log: %.200s", line);
	}
	if (log)
		fclose(log);
}

static void check_status(struct life *l, int status)
{
	/* It may not have begun to listen for it. */
	if (l->second && status == SIGTERM)
		return;
	if (WIFSIGNALED(status))
		die("killed by %s", strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) > 2)
		die("exit status %d", WEXITSTATUS(status));
	if (!WEXITSTATUS(status))
		return;
	if (l->second || !injected(l))
		die("exit status %d without a fault", WEXITSTATUS(status));
	l->s->hurt = true;
}

/* Who writes no log cannot be asked for a line in it. */
static bool is_log(const struct life *l)
{
	return l->s->fault.call == SYS_write && strstr(l->s->what, "/log");
}

/* The first one is through; what it has left is seen to by the second. */
static void end_first(struct life *l, bool kills)
{
	struct scenario *s = l->s;
	char kept[160];
	int status;

	s->injected = injected(l);
	if (kills)
		kill(l->daemon.pid, SIGKILL);
	status = daemon_reap(&l->daemon);
	if (!kills)
		check_status(l, status);
	if (s->fault.call == CALL_ALLOCATE)
		s->injected = l->daemon.injected;
	snprintf(s->what, sizeof(s->what), "%s", l->daemon.what);
	memcpy(s->counts, l->daemon.counts, sizeof(s->counts));
	if (s->fault.call == CALL_XEN)
		snprintf(s->what, sizeof(s->what), "(%u)", host.fault.call);
	s->hurt |= l->load.failed != 0;
	read_log(l);
	if (s->hurt && !s->log_told && !is_log(l))
		die("late: it fails without a line in the log");
	/* To be looked at. */
	snprintf(kept, sizeof(kept), "%s/log.first", s->directory);
	rename(l->log, kept);
	s->xen_calls = host.fault.seen;
	host_lock();
	host.fault.at = 0;
	host_unlock();
}

static void reap(void)
{
	uint64_t until = clock_ns() + LIMIT_NS;

	while (program_reap() || host_peers()) {
		if (clock_ns() > until)
			die("late: a process is left");
		pause_ns(NS_PER_MS);
	}
}

/* It ends with the program that could not keep it, as was said. */
static _Noreturn void end_guest(void)
{
	reap();
	domain_die(LIFE_DYING);
	domain_destroy();
	fflush(NULL);
	_exit(0);
}

static void next(struct life *l, bool kills)
{
	end_first(l, kills);
	if (l->lost)
		end_guest();
	/* Also its children. */
	while (program_reap())
		pause_ns(NS_PER_MS);
	start(l, true);
}

static bool log_has(const struct life *l, const char *text)
{
	FILE *log = fopen(l->log, "re");
	char line[512];
	bool has = false;

	while (log && !has && fgets(line, sizeof(line), log))
		has = strstr(line, text);
	if (log)
		fclose(log);
	return has;
}

/*
 * Its guest waits for ever, for Xen has not told it. Or what waits for the end
 * of a socket waits, which the kernel would have closed whatever it says.
 */
static bool may_hang(const struct life *l)
{
	if (l->second || !injected(l))
		return false;
	/* A call of the double's libraries is some system calls. */
	return l->s->fault.call == SYS_close ||
	       log_has(l, "cannot notify vCPU") ||
	       log_has(l, "cannot raise interrupt");
}

/* What the log says last. */
static void read_last_line(const struct life *l, char line[256])
{
	FILE *log = fopen(l->log, "re");

	line[0] = '\0';
	while (log && fgets(line, 256, log))
		continue;
	if (log)
		fclose(log);
}

/* While anything is waited for. */
static void watch(void *arg)
{
	struct life *l = arg;
	char line[256];

	if (l->daemon.orders)
		l->s->allocations = l->daemon.orders->count;
	if (!daemon_lives(&l->daemon)) {
		if (l->second) {
			read_last_line(l, line);
			die("the second one has ended: %s", line);
		}
		if (!injected(l))
			die("it has ended without a fault");
		next(l, false);
	}
	if (clock_ns() < l->until)
		return;
	if (!may_hang(l))
		die("late: %s hangs, %u requests under way",
		    l->second ? "the second" : "it", load_busy(&l->load));
	next(l, true);
}

/* Its end, which it was told of: whether it has come to it. */
static bool await_end(struct life *l)
{
	if (daemon_wait(&l->daemon, LIMIT_MS))
		return true;
	if (!may_hang(l))
		die("late: %s does not end",
		    l->second ? "the second" : "the first");
	return false;
}

/* ---- the guest ----------------------------------------------------------- */

/* So many requests, and until all are done. */
static void requests(struct life *l, uint64_t n)
{
	struct driver *d = &l->driver;

	n += l->load.begun;
	l->until = clock_ns() + LIMIT_NS;
	d->told = true;
	while (l->load.begun < n || load_busy(&l->load) ||
	       !driver_is_quiet(d)) {
		driver_step(d);
		if (d->told) {
			d->told = false;
			load_take(&l->load);
			if (l->load.begun < n)
				load_fill(&l->load);
			load_kick(&l->load);
			driver_step(d);
		}
		watch(l);
		driver_wait(d, LOOK_NS);
	}
}

static bool is_state(const char *value)
{
	return tool_is(toolstack_node("state"), value);
}

static void await_state(struct life *l, const char *value)
{
	l->until = clock_ns() + LIMIT_NS;
	while (!is_state(value)) {
		watch(l);
		/* Refused: libxl gives up. */
		if (strcmp(value, "6") && is_state(NULL)) {
			if (l->second || !injected(l))
				die("the disk is refused without a fault");
			l->refused = true;
			l->s->hurt = true;
			return;
		}
		driver_wait(&l->driver, LOOK_NS);
	}
}

static void begin_driver(struct life *l)
{
	driver_begin(&l->driver, load_features() |
					 VIRTIO_FEATURE(VIRTIO_BLK_F_MQ) |
					 VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX));
}

/* Its own, and those of its children. */
static unsigned int descriptors_of_all(const struct life *l)
{
	unsigned int sum = daemon_descriptors(&l->daemon);
	pid_t children[8];
	unsigned int n = program_children(l->daemon.pid, children, 8);

	for (unsigned int i = 0; i < n; i++)
		sum += daemon_descriptors(
			&(struct daemon){ .pid = children[i] });
	return sum;
}

/* What it has open, when all is quiet. */
static void count_descriptors(struct life *l)
{
	struct scenario *s = l->s;
	uint64_t until = clock_ns() + 2 * NS_PER_SECOND;

	if (l->second || l->refused)
		return;
	if (!s->descriptors)
		pause_ns(200 * NS_PER_MS);
	do {
		s->left = descriptors_of_all(l);
		if (!s->descriptors || s->left <= s->descriptors)
			return;
		pause_ns(NS_PER_MS);
	} while (daemon_lives(&l->daemon) && clock_ns() < until);
	/*
	 * One that was not closed because we said so is not its fault; each of
	 * its processes may have it.
	 */
	if (s->fault.call == SYS_close && s->left <= s->descriptors + 3)
		return;
	if (daemon_lives(&l->daemon))
		die("%u descriptors instead of %u", s->left, s->descriptors);
}

/* ---- a life -------------------------------------------------------------- */

static void serve(struct life *l)
{
	toolstack_offer(l->image);
	await_state(l, "2");
	if (l->refused)
		return;
	begin_driver(l);
	requests(l, REQUESTS);
	if (!l->second)
		kill(l->daemon.pid, SIGHUP);
	requests(l, REQUESTS);
	count_descriptors(l);
}

static void detach(struct life *l)
{
	host_lock();
	tool_write(toolstack_node("online"), "0");
	tool_write(toolstack_node("state"), "5");
	host_unlock();
	await_state(l, "6");
	tool_remove(toolstack_node(""));
}

/* The disk, the guest, and with it the program. */
static void end_all(struct life *l)
{
	if (!l->refused)
		detach(l);
	else
		tool_remove(toolstack_node(""));
	domain_die(LIFE_DYING);
	domain_destroy();
	kill(l->daemon.pid, SIGTERM);
	await_end(l);
}

/* One that has no guest finds what another one could not remove. */
static void sweep(struct life *l)
{
	uint64_t until = clock_ns() + LIMIT_NS;

	start(l, true);
	while (rest_files(l->states)) {
		if (clock_ns() > until)
			die("%u files of state are left",
			    rest_files(l->states));
		pause_ns(NS_PER_MS);
	}
	daemon_reap(&l->daemon);
	reap();
}

static void check_nothing_left(struct life *l)
{
	reap();
	if (rest_files(l->states)) {
		if (!l->s->injected)
			die("files of state are left without a fault");
		sweep(l);
	}
	if (!l->refused && oracle_check_image(&l->load.oracle, l->image))
		die("the image is wrong");
}

static void live(struct life *l)
{
	bool detaches = !strncmp(l->s->keys, DETACHES, strlen(DETACHES));

	start(l, false);
	serve(l);
	if (detaches)
		end_all(l);
	if (!l->second) {
		if (!detaches)
			kill(l->daemon.pid, SIGTERM);
		end_first(l, !await_end(l));
		if (!detaches && l->lost)
			end_guest();
		if (!detaches)
			start(l, true);
	}
	if (!detaches) {
		/* What it may have failed for good is not the second's. */
		if (!l->refused)
			requests(l, REQUESTS);
		end_all(l);
	}
	if (l->second)
		check_status(l, daemon_reap(&l->daemon));
	check_nothing_left(l);
}

/* ---- a process for each -------------------------------------------------- */

static void make_files(struct life *l)
{
	const char *dir = l->s->directory, *keys = l->s->keys;
	char command[400];
	int fd;

	if (!strncmp(keys, DETACHES, strlen(DETACHES)))
		keys += strlen(DETACHES);
	snprintf(l->image, sizeof(l->image), "%s/image", dir);
	snprintf(l->log, sizeof(l->log), "%s/log", dir);
	snprintf(l->states, sizeof(l->states), "%s/states", dir);
	snprintf(l->disk, sizeof(l->disk), "id=xvda,queues=%u,queue-size=%u,%s",
		 QUEUES, RING_SIZE, keys);
	snprintf(command, sizeof(command), "rm -rf %s %s", l->states, l->image);
	if (system(command) || mkdir(l->states, 0700))
		die("%s: %s", l->states, strerror(errno));
	fd = open(l->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, IMAGE_BYTES))
		die("%s: %s", l->image, strerror(errno));
	close(fd);
}

static void set_libraries(const char *alloc)
{
	char libraries[256];
	const char *slash = strrchr(alloc, '/');

	snprintf(libraries, sizeof(libraries), "%.*s/lib",
		 slash ? (int)(slash - alloc) : 1, slash ? alloc : ".");
	setenv("LD_LIBRARY_PATH", libraries, 1);
}

static void live_in_child(struct scenario *s)
{
	size_t bytes = QUEUES * (size_t)RING_BYTES + load_bytes(QUEUES);
	static struct life l;

	l.s = s;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	make_files(&l);
	set_libraries(s->alloc);
	host_start(s->directory, (bytes + (1 << 21)) >> 20 << 20);
	if (s->fault.call == CALL_XEN)
		host.fault = (struct host_fault){ .at = s->fault.k,
						  .error = s->fault.error,
						  .stays = s->fault.stays };
	driver_init(&l.driver, QUEUES, TOOLSTACK_BASE, TOOLSTACK_IRQ);
	l.driver.waits = watch;
	l.driver.arg = &l;
	load_init(&l.load, &l.driver.front, IMAGE_BYTES / SECTOR, 1);
	l.load.may_fail = s->fault.k != 0;
	for (unsigned int q = 0; q < QUEUES; q++)
		l.load.queue[q].depth = DEPTH;
	domain_create(TOOLSTACK_DOMID);
	live(&l);
	load_finish(&l.load);
	host_stop();
	fflush(NULL);
	_exit(0);
}

/* What it has said last. */
static void read_bad(struct scenario *s, const char *out)
{
	FILE *f = fopen(out, "re");
	char line[400];

	snprintf(s->bad, sizeof(s->bad), "it has said nothing");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(s->bad, sizeof(s->bad), "%s",
			 line + strspn(line, " "));
	}
	if (f)
		fclose(f);
	s->late = !strncmp(s->bad, "late: ", 6);
}

static int wait_for(pid_t pid)
{
	uint64_t until = now_ms() + RUN_MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > until)
			kill(pid, SIGKILL);
		usleep(500);
	}
	return status;
}

void scenario_run(struct scenario *s)
{
	struct scenario *shared = mmap(NULL, sizeof(*shared),
				       PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char out[160];
	pid_t pid;

	if (shared == MAP_FAILED)
		give_up("no memory");
	snprintf(out, sizeof(out), "%s/out", s->directory);
	s->bad[0] = '\0';
	s->what[0] = '\0';
	s->late = s->injected = s->log_told = s->hurt = false;
	*shared = *s;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (fd < 0)
			give_up(out);
		dup2(fd, STDERR_FILENO);
		close(fd);
		live_in_child(shared);
	}
	if (wait_for(pid))
		read_bad(shared, out);
	*s = *shared;
	munmap(shared, sizeof(*shared));
}
