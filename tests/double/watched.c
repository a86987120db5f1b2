/* SPDX-License-Identifier: MIT */
/*
 * watched KEY=VALUE...: the program as a watcher whose instances are its
 * children, on the double's host: a guest has its disk with nothing started
 * before, and goes on whoever is killed, the watcher or an instance. Then
 * `guests` come and go with one number, and leave nothing behind.
 *
 * Keys: program, libraries (of the double), states (--state-dir), directory (of
 * logs), image; guests.
 */
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "common.h"
#include "driver.h"
#include "host.h"
#include "program.h"
#include "rest.h"
#include "toolstack.h"
#include "virtio/mmio_wire.h"

/* So long a watcher with a guest sleeps without a break, if nothing happens. */
#define QUIET_NS (2 * NS_PER_SECOND)

/* More than the watcher may have of its own in the end. */
enum { MEMORY_SPARE_KB = 256 };

struct test {
	struct program program;
	struct driver driver;
	const char *image;
	unsigned int guests;
};

/* ---- looking ------------------------------------------------------------- */

static pid_t instance(void)
{
	program_reap();
	return program_instance("5");
}

#define wait_until(t, cond)                                                    \
	do {                                                                   \
		uint64_t until_ = clock_ns() + WAIT_NS;                        \
		while (!(cond)) {                                              \
			if (clock_ns() > until_)                               \
				die("%s:%d: waited in vain: %s, see %s/log.*", \
				    __FILE__, __LINE__, #cond,                 \
				    (t)->program.directory);                   \
			pause_ns(NS_PER_MS);                                   \
		}                                                              \
	} while (0)

/* Its log has the words, from its start on. */
static bool says(const struct test *t, const char *words)
{
	char path[256], line[512];
	bool found = false;
	FILE *f;

	program_log(&t->program, path, sizeof(path));
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, words) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* The vCPU stands still until somebody answers. */
static void check_served(struct test *t)
{
	if (driver_read(&t->driver, VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976 ||
	    !(driver_read(&t->driver, VIRTIO_MMIO_STATUS) &
	      VIRTIO_STATUS_DRIVER_OK))
		die("the disk is another one");
}

/* ---- the guest ----------------------------------------------------------- */

static void guest_comes(struct test *t)
{
	domain_create(TOOLSTACK_DOMID);
	toolstack_offer(t->image);
	toolstack_wait(&t->program, "state", "2");
}

static void guest_goes(struct test *t)
{
	domain_die(LIFE_DYING);
	domain_destroy();
	tool_remove("backend/virtio_disk/5");
	wait_until(t, !instance());
}

static void guest_begins(struct test *t)
{
	driver_init(&t->driver, 1, TOOLSTACK_BASE, TOOLSTACK_IRQ);
	driver_begin(&t->driver, UINT64_C(1) << 32);
	check_served(t);
}

/* ---- what happens -------------------------------------------------------- */

static void instance_dies(struct test *t)
{
	pid_t pid = instance();

	if (!pid)
		die("there is no instance");
	kill(pid, SIGKILL);
	wait_until(t, instance() && instance() != pid);
	check_served(t);
}

static void watcher_dies(struct test *t)
{
	pid_t pid = instance();

	program_kill(&t->program);
	check_served(t);
	program_start(&t->program);
	wait_until(t, says(t, "served already"));
	check_served(t);
	if (instance() != pid)
		die("the instance of the watcher before is process %d, and now "
		    "%d",
		    pid, instance());
}

/* Signals that are for who has disks: people send them to all of the name. */
static void watcher_hears(struct test *t)
{
	const int signals[] = { SIGUSR2, SIGRTMIN + 1, SIGRTMIN + 2, SIGHUP };

	for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		kill(t->program.pid, signals[i]);
	wait_until(t, says(t, "nothing to trace"));
	kill(t->program.pid, SIGUSR1);
	wait_until(t, says(t, "stats guests=1"));
	if (!program_lives(&t->program))
		die("a signal has ended the watcher");
}

static unsigned int descriptors(const struct test *t)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", t->program.pid);
	return rest_files(path);
}

/* How often any thread of it has gone to sleep. */
static unsigned int sleeps(const struct test *t)
{
	char path[64], line[256];
	unsigned int sum = 0, n;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", t->program.pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		char status[512];
		FILE *f;

		snprintf(status, sizeof(status), "%s/%s/status", path,
			 e->d_name);
		f = fopen(status, "re");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "voluntary_ctxt_switches: %u", &n) ==
			    1)
				sum += n;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static bool has_slept_on(const struct test *t)
{
	unsigned int before = sleeps(t);

	pause_ns(QUIET_NS);
	return before && sleeps(t) == before;
}

/* The second guest has shown what it needs. */
static void guests_come_and_go(struct test *t)
{
	unsigned int before = 0, kb = 0;

	for (unsigned int n = 0; n < t->guests; n++) {
		guest_comes(t);
		if (n % 4 == 0)
			guest_begins(t);
		guest_goes(t);
		if (n == 1) {
			before = descriptors(t);
			kb = rest_memory_kb(t->program.pid);
		}
	}
	wait_until(t, descriptors(t) <= before);
	printf("    a watcher of %u guests has %u descriptors, and %u KiB of "
	       "its own, after the second %u\n",
	       t->guests, before, rest_memory_kb(t->program.pid), kb);
	if (rest_memory_kb(t->program.pid) > kb + MEMORY_SPARE_KB)
		die("the watcher grows");
}

/* Its instance goes on, and ends with the guest. */
static void watcher_ends(struct test *t)
{
	pid_t pid;

	guest_comes(t);
	guest_begins(t);
	pid = instance();
	program_stop(&t->program);
	check_served(t);
	if (!pid || instance() != pid)
		die("the instance has ended with the watcher");
	guest_goes(t);
	/* The watcher's own file stays. */
	if (rest_files(t->program.state_dir) != 1)
		die("%s is not empty", t->program.state_dir);
}

int main(int argc, char **argv)
{
	static struct test t = { .program.watches = true, .guests = 20 };
	const struct key keys[] = {
		{ "program", NULL, &t.program.path },
		{ "libraries", NULL, &t.program.libraries },
		{ "states", NULL, &t.program.state_dir },
		{ "directory", NULL, &t.program.directory },
		{ "image", NULL, &t.image },
		{ "guests", &t.guests, NULL },
	};
	static char disk[64];

	signal(SIGPIPE, SIG_IGN);
	take_keys(keys, sizeof(keys) / sizeof(keys[0]), argc, argv);
	if (!t.program.path || !t.program.libraries || !t.program.state_dir ||
	    !t.program.directory || !t.image || t.guests < 2)
		die("watched: program=, libraries=, states=, directory=, "
		    "image= are needed");
	/* It comes to the instances. */
	snprintf(disk, sizeof(disk), "id=xvda,queues=1,queue-size=%u",
		 RING_SIZE);
	t.program.disk = disk;
	host_start(t.program.directory, 1 << 22);
	program_start(&t.program);
	guest_comes(&t);
	guest_begins(&t);
	watcher_hears(&t);
	instance_dies(&t);
	watcher_dies(&t);
	instance_dies(&t);
	wait_until(&t, has_slept_on(&t));
	guest_goes(&t);
	guests_come_and_go(&t);
	watcher_ends(&t);
	host_stop();
	return 0;
}
