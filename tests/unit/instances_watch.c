/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line */
/*
 * The watcher over a fake xenstore: each guest with disks has one instance, not
 * more, whoever comes, goes, dies or lies. The instances are processes
 * (lib/model_instance.h).
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_instance.h"
#include "lib/model_store.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "instances/watch.h"

enum { WAIT_S = 60, LOGS_MAX = 512, LOG_BYTES = 160 };

#define wait_until(cond)                                                \
	do {                                                            \
		uint64_t end_ = clock_ns() + WAIT_S * NS_PER_SECOND;    \
		while (!(cond)) {                                       \
			if (clock_ns() > end_)                          \
				fail_msg("line %d: waited in vain: %s", \
					 __LINE__, #cond);              \
			usleep(1000);                                   \
		}                                                       \
	} while (0)

/* ---- the log ---- */

static struct {
	pthread_mutex_t lock;
	char line[LOGS_MAX][LOG_BYTES];
	unsigned int n;
} logs = { .lock = PTHREAD_MUTEX_INITIALIZER };

void __wrap_log_line(enum log_level level, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	pthread_mutex_lock(&logs.lock);
	va_start(args, format);
	vsnprintf(logs.line[logs.n % LOGS_MAX], LOG_BYTES, format, args);
	va_end(args);
	print_message("# %s\n", logs.line[logs.n % LOGS_MAX]);
	logs.n++;
	pthread_mutex_unlock(&logs.lock);
}

static unsigned int logged(const char *text)
{
	unsigned int n = 0;

	pthread_mutex_lock(&logs.lock);
	for (unsigned int i = 0; i < logs.n && i < LOGS_MAX; i++)
		n += strstr(logs.line[i], text) != NULL;
	pthread_mutex_unlock(&logs.lock);
	return n;
}

/* ---- the watcher ---- */

static struct {
	struct options options;
	char *config; /* --config */
	struct loop loop;
	struct loop_source stop;
	pthread_t thread;
	bool runs;
	int status;
} watcher;

static void stop_ready(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	loop_quit(&watcher.loop);
}

static void *watch(void *arg)
{
	static char *const words[] = { NULL };

	(void)arg;
	watcher.status = watch_serve(&watcher.loop, &watcher.options, words);
	return NULL;
}

static void watcher_start(enum options_watch how)
{
	static char dir[64];

	snprintf(dir, sizeof(dir), "%s", model_instance_dir());
	watcher.options = (struct options){
		.watch = how,
		.state_dir = dir,
		.config = watcher.config,
	};
	assert_int_equal(loop_init(&watcher.loop), 0);
	watcher.stop.fd = eventfd(0, EFD_CLOEXEC);
	watcher.stop.ready = stop_ready;
	assert_int_equal(loop_add(&watcher.loop, &watcher.stop, EPOLLIN), 0);
	assert_int_equal(pthread_create(&watcher.thread, NULL, watch, NULL), 0);
	watcher.runs = true;
}

static void watcher_stop(void)
{
	const uint64_t one = 1;

	if (!watcher.runs)
		return;
	assert_int_equal(write(watcher.stop.fd, &one, sizeof(one)), 8);
	pthread_join(watcher.thread, NULL);
	close(watcher.stop.fd);
	loop_finish(&watcher.loop);
	watcher.runs = false;
	assert_int_equal(watcher.status, 0);
}

/* ---- the toolstack ---- */

static const char *vm_of(unsigned int domid, unsigned int life)
{
	static char vm[4][32];
	static unsigned int next;
	char *text = vm[next++ % 4];

	snprintf(text, 32, "/vm/%u-%u", domid, life);
	return text;
}

/* A guest with a disk that asks to be served. */
static void guest_comes(unsigned int domid, unsigned int life)
{
	char path[64];

	snprintf(path, sizeof(path), "vm.%u", domid);
	model_instance_put(path, vm_of(domid, life));
	xs_lock();
	xs.introduced[domid] = true;
	xs_fire("@introduceDomain");
	snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
	tool_write(path, "%s", vm_of(domid, life));
	snprintf(path, sizeof(path), "backend/virtio_disk/%u/51712/state",
		 domid);
	tool_write(path, "1");
	xs_unlock();
}

static void guest_goes(unsigned int domid)
{
	char path[64];

	snprintf(path, sizeof(path), "vm.%u", domid);
	model_instance_take(path);
	xs_lock();
	snprintf(path, sizeof(path), "backend/virtio_disk/%u", domid);
	tool_remove(path);
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	tool_remove(path);
	xs.introduced[domid] = false;
	xs_fire("@releaseDomain");
	xs_unlock();
}

static bool is_served(unsigned int domid, unsigned int life)
{
	return model_instance_of(domid, vm_of(domid, life)) != 0;
}

/* What was written before is seen, and nothing came of it. */
static void wait_for_look(void)
{
	tool_fail("backend/virtio_disk", EIO, 1);
	tool_write("backend/virtio_disk/stirred", "1");
	wait_until(tool_failures() == 1);
	/* It looks again by itself. */
	tool_write("backend/virtio_disk/stirred", "2");
}

/* No child, and nobody who serves. */
static void check_all_gone(void)
{
	for (unsigned int domid = 1; domid < XS_DOMAINS_MAX; domid++)
		wait_until(!model_instance_of(domid, NULL));
	wait_until(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void begin(void)
{
	tool_start();
	model_instance_begin();
	logs.n = 0;
}

static void finish(void)
{
	watcher_stop();
	for (unsigned int domid = 1; domid < XS_DOMAINS_MAX; domid++)
		if (xs.introduced[domid])
			guest_goes(domid);
	for (unsigned int domid = 1; domid < XS_DOMAINS_MAX; domid++)
		wait_until(!model_instance_of(domid, NULL));
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	model_instance_end();
	tool_stop();
}

/* ---- children ---- */

static void test_two_guests(void **state)
{
	(void)state;
	begin();
	guest_comes(5, 1);
	watcher_start(OPTIONS_WATCH_CHILDREN);
	wait_until(is_served(5, 1));
	guest_comes(6, 1);
	wait_until(is_served(6, 1));
	assert_int_not_equal(model_instance_of(5, NULL),
			     model_instance_of(6, NULL));
	guest_goes(5);
	wait_until(!model_instance_of(5, NULL));
	wait_for_look();
	assert_true(is_served(6, 1));
	assert_int_equal(model_instance_starts(5), 1);
	assert_int_equal(model_instance_starts(6), 1);
	guest_goes(6);
	check_all_gone();
	finish();
}

/* Some are gone before anybody has looked, or while their process begins. */
static void test_ten_that_come_and_go(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	for (unsigned int life = 1; life <= 6; life++) {
		for (unsigned int domid = 1; domid <= 10; domid++)
			guest_comes(domid, life);
		for (unsigned int domid = 1; domid <= 10; domid += life % 3 + 1)
			guest_goes(domid);
		if (life % 2)
			usleep(20000);
		for (unsigned int domid = 1; domid <= 10; domid++)
			if (xs.introduced[domid] && life < 6)
				guest_goes(domid);
	}
	for (unsigned int domid = 1; domid <= 10; domid++)
		guest_comes(domid, 7);
	for (unsigned int domid = 1; domid <= 10; domid++)
		wait_until(is_served(domid, 7));
	for (unsigned int domid = 1; domid <= 10; domid++)
		guest_goes(domid);
	check_all_gone();
	finish();
}

/* In one go: no review has seen the number without a guest. */
static void test_number_of_another_guest(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	xs_lock();
	guest_goes(5);
	guest_comes(5, 2);
	xs_unlock();
	wait_until(is_served(5, 2));
	assert_int_equal(model_instance_starts(5), 2);
	finish();
}

static void test_next_watcher(void **state)
{
	pid_t pid;

	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	guest_comes(6, 1);
	wait_until(is_served(5, 1) && is_served(6, 1));
	pid = model_instance_of(5, NULL);
	watcher_stop();
	assert_int_equal(logged("the instances of 2 guests go on"), 1);
	/* One ends meanwhile. */
	guest_goes(6);
	wait_until(!model_instance_of(6, NULL));
	watcher_start(OPTIONS_WATCH_CHILDREN);
	wait_until(logged("served already") == 1);
	wait_for_look();
	assert_int_equal(model_instance_of(5, NULL), pid);
	assert_int_equal(model_instance_starts(5), 1);
	/* It is not the child of this one, which sees it die all the same. */
	kill(pid, SIGKILL);
	wait_until(model_instance_starts(5) == 2 && is_served(5, 1));
	assert_int_not_equal(model_instance_of(5, NULL), pid);
	finish();
}

static void test_child_that_dies(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	guest_comes(6, 1);
	wait_until(is_served(6, 1));
	for (unsigned int n = 1; n <= 3; n++) {
		wait_until(model_instance_starts(5) == n && is_served(5, 1));
		kill(model_instance_of(5, NULL), SIGKILL);
		wait_until(logged("killed by signal 9") == n);
	}
	wait_until(model_instance_starts(5) == 4 && is_served(5, 1));
	assert_int_equal(model_instance_starts(6), 1);
	finish();
}

/* As of a shell that ignores it: the kernel waits for each child itself. */
static void test_child_that_nobody_waits_for(void **state)
{
	(void)state;
	begin();
	signal(SIGCHLD, SIG_IGN);
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	kill(model_instance_of(5, NULL), SIGKILL);
	wait_until(model_instance_starts(5) == 2 && is_served(5, 1));
	signal(SIGCHLD, SIG_DFL);
	finish();
}

/* It is not tried again and again, unless the guest is another one. */
static void test_wrong_command_line(void **state)
{
	(void)state;
	begin();
	model_instance_put("status", "2");
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(logged("not started again") == 1);
	wait_for_look();
	assert_int_equal(model_instance_starts(5), 1);
	/* Nor is it said that there is one. */
	watcher_stop();
	assert_int_equal(logged("ending; the instance"), 0);
	watcher_start(OPTIONS_WATCH_CHILDREN);
	wait_until(logged("not started again") == 2);
	model_instance_take("status");
	guest_goes(5);
	wait_for_look();
	guest_comes(5, 2);
	wait_until(is_served(5, 2));
	finish();
}

/* ---- what is not a guest ---- */

/* Nothing is started for what only looks like a domain, or is another's. */
static void test_names_that_are_none(void **state)
{
	static const char *const paths[] = {
		"backend/virtio_disk/0/51712/state",
		"backend/virtio_disk/07/51712/state",
		"backend/virtio_disk/+7/51712/state",
		"backend/virtio_disk/7x/51712/state",
		"backend/virtio_disk/-7/51712/state",
		"backend/virtio_disk/0x7/51712/state",
		"backend/virtio_disk/32752/51712/state",
		"backend/virtio_disk/4294967303/51712/state",
		"backend/virtio_disk/18446744073709551623/51712/state",
		"backend/virtio_disk/web/51712/state",
		/* What the guest 8 can write. */
		"/local/domain/8/backend/virtio_disk/7/51712/state",
		"/local/domain/8/device/virtio_disk/51712/state",
		"/local/domain/8/data/backend/virtio_disk/7/51712/state",
		/* Another kind of disk. */
		"backend/vbd/7/51712/state",
	};

	(void)state;
	begin();
	xs.introduced[7] = true;
	model_instance_put("vm.7", vm_of(7, 1));
	watcher_start(OPTIONS_WATCH_CHILDREN);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		tool_write(paths[i], "1");
	tool_write("/local/domain/8/vm", "/local/domain/7");
	guest_comes(8, 1);
	wait_until(is_served(8, 1));
	wait_for_look();
	for (unsigned int domid = 0; domid < XS_DOMAINS_MAX; domid++)
		assert_int_equal(model_instance_starts(domid), domid == 8);
	finish();
}

/* What a toolstack has left; disks that have ended or are refused. */
static void test_domains_that_want_nothing(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	tool_write("backend/virtio_disk/9/51712/state", "2");
	xs.introduced[10] = true;
	tool_write("backend/virtio_disk/10/51712/state", "6");
	xs.introduced[11] = true;
	tool_write("backend/virtio_disk/11/51712/error", "no");
	xs.introduced[12] = true;
	tool_write("backend/virtio_disk/12", "%s", "");
	guest_comes(8, 1);
	wait_until(is_served(8, 1));
	wait_for_look();
	for (unsigned int domid = 9; domid <= 12; domid++)
		assert_int_equal(model_instance_starts(domid), 0);
	/* One more disk, which asks. */
	model_instance_put("vm.10", vm_of(10, 1));
	tool_write("/local/domain/10/vm", "%s", vm_of(10, 1));
	tool_write("backend/virtio_disk/10/51728/state", "1");
	wait_until(is_served(10, 1));
	finish();
}

/* ---- generic devices ---- */

/* A guest whose configuration has a line virtio=[...]. */
static void generic_comes(unsigned int domid, const char *name,
			  const char *type)
{
	char path[64];

	snprintf(path, sizeof(path), "vm.%u", domid);
	model_instance_put(path, vm_of(domid, 1));
	xs_lock();
	xs.introduced[domid] = true;
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	tool_write(path, "%s", name);
	snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
	tool_write(path, "%s", vm_of(domid, 1));
	snprintf(path, sizeof(path), "backend/virtio/%u/0/type", domid);
	tool_write(path, "%s", type);
	snprintf(path, sizeof(path), "backend/virtio/%u/0/state", domid);
	tool_write(path, "1");
	xs_unlock();
}

/* They are disks where the guest's file says so. */
static void test_generic_devices(void **state)
{
	char dir[64];

	(void)state;
	begin();
	model_instance_put("web.conf", "[disk virtio0]\nfile = /srv/web.img\n");
	model_instance_put("other.conf", "[disk xvda]\ncache = none\n");
	snprintf(dir, sizeof(dir), "%s", model_instance_dir());
	watcher.config = dir;
	watcher_start(OPTIONS_WATCH_CHILDREN);
	/* What cannot be read once says nothing of who the guest is. */
	tool_fail("5/name", EIO, 1);
	generic_comes(5, "web", "virtio,device2");
	wait_until(tool_failures() == 1 && is_served(5, 1));
	generic_comes(6, "web", "virtio,device22");
	generic_comes(7, "other", "virtio,device2");
	generic_comes(9, "../web", "virtio,device2");
	guest_comes(8, 1);
	wait_until(is_served(8, 1));
	wait_for_look();
	for (unsigned int domid = 5; domid < 10; domid++)
		assert_int_equal(model_instance_starts(domid),
				 domid == 5 || domid == 8);
	/* One that has a disk besides. */
	guest_comes(7, 1);
	wait_until(is_served(7, 1));
	xs_lock();
	tool_remove("backend/virtio");
	xs_unlock();
	guest_goes(5);
	wait_until(!model_instance_of(5, NULL));
	finish();
	watcher.config = NULL;
}

/* ---- the store ---- */

/* What cannot be read takes nothing away, and starts nothing twice. */
static void test_store_that_fails(void **state)
{
	static const char *const endings[] = { "backend/virtio_disk",
					       "virtio_disk/7", "state",
					       "introduced", "/vm" };

	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	for (unsigned int i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		tool_fail(endings[i], EIO, 1);
		guest_comes(6 + i, 1);
		wait_until(tool_failures() == 1 && is_served(6 + i, 1));
		guest_goes(6 + i);
		wait_until(!model_instance_of(6 + i, NULL));
	}
	wait_for_look();
	assert_int_equal(model_instance_starts(5), 1);
	finish();
}

static void test_store_that_goes_away(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	xs_lock();
	tool_cut();
	guest_comes(6, 1);
	xs_unlock();
	wait_until(is_served(6, 1));
	assert_int_equal(model_instance_starts(5), 1);
	finish();
}

static void test_second_watcher(void **state)
{
	struct options options = { .watch = OPTIONS_WATCH_CHILDREN };
	static char *const words[] = { NULL };
	char dir[64];
	struct loop loop;

	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_CHILDREN);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	snprintf(dir, sizeof(dir), "%s", model_instance_dir());
	options.state_dir = dir;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(watch_serve(&loop, &options, words), 1);
	loop_finish(&loop);
	assert_int_equal(logged("another watcher runs"), 1);
	finish();
}

/* ---- units ---- */

static void test_units(void **state)
{
	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_UNITS);
	for (unsigned int domid = 5; domid < 25; domid++)
		guest_comes(domid, 1);
	for (unsigned int domid = 5; domid < 25; domid++)
		wait_until(is_served(domid, 1));
	for (unsigned int domid = 5; domid < 25; domid++)
		guest_goes(domid);
	check_all_gone();
	finish();
}

/* Each of them would do nothing, and nobody would know. */
static void test_options_that_do_not_come_to_units(void **state)
{
	char dir[64];

	(void)state;
	begin();
	watcher_start(OPTIONS_WATCH_UNITS);
	wait_until(logged("waiting for guests"));
	assert_int_equal(logged("does not come to them"), 0);
	watcher_stop();
	snprintf(dir, sizeof(dir), "%s", model_instance_dir());
	watcher.config = dir;
	watcher_start(OPTIONS_WATCH_UNITS);
	wait_until(logged("say does not come to them") == 1);
	watcher.config = NULL;
	finish();
}

/* What systemd was told once is its own: who stops a unit wants it so. */
static void test_unit_that_is_stopped(void **state)
{
	(void)state;
	begin();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	watcher_start(OPTIONS_WATCH_UNITS);
	guest_comes(5, 1);
	wait_until(is_served(5, 1));
	watcher_stop();
	watcher_start(OPTIONS_WATCH_UNITS);
	wait_until(logged("served already") == 1);
	kill(model_instance_of(5, NULL), SIGKILL);
	wait_until(!model_instance_of(5, NULL));
	wait_for_look();
	assert_int_equal(model_instance_starts(5), 1);
	assert_int_equal(model_instance_bytes("asked"), 1);
	/* Another guest of that number is another matter. */
	xs_lock();
	guest_goes(5);
	guest_comes(5, 2);
	xs_unlock();
	wait_until(is_served(5, 2));
	finish();
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_systemd_that_refuses(void **state)
{
	(void)state;
	begin();
	model_instance_put("refused", "x");
	watcher_start(OPTIONS_WATCH_UNITS);
	guest_comes(5, 1);
	wait_until(model_instance_bytes("asked") >= 2);
	assert_true(logged("ended with status 1") >= 1);
	model_instance_take("refused");
	wait_until(is_served(5, 1));
	finish();
}

/* systemd has started it, or says so, and nobody serves. */
static void test_unit_that_does_not_serve(void **state)
{
	(void)state;
	begin();
	model_instance_put("status", "0");
	watcher_start(OPTIONS_WATCH_UNITS);
	guest_comes(5, 1);
	wait_until(model_instance_bytes("asked") >= 2);
	assert_int_equal(logged("does not serve it"), 1);
	assert_int_equal(logged("started its unit"), 1);
	model_instance_take("status");
	wait_until(is_served(5, 1));
	finish();
}

static void test_no_systemctl(void **state)
{
	char path[80], elsewhere[88];

	(void)state;
	begin();
	snprintf(path, sizeof(path), "%s/systemctl", model_instance_dir());
	snprintf(elsewhere, sizeof(elsewhere), "%s.away", path);
	assert_int_equal(rename(path, elsewhere), 0);
	setenv("PATH", model_instance_dir(), 1);
	watcher_start(OPTIONS_WATCH_UNITS);
	guest_comes(5, 1);
	wait_until(logged("systemctl cannot be executed") >= 2);
	assert_int_equal(rename(elsewhere, path), 0);
	wait_until(is_served(5, 1));
	setenv("PATH", "/usr/bin:/bin", 1);
	finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_guests),
		cmocka_unit_test(test_ten_that_come_and_go),
		cmocka_unit_test(test_number_of_another_guest),
		cmocka_unit_test(test_next_watcher),
		cmocka_unit_test(test_child_that_dies),
		cmocka_unit_test(test_child_that_nobody_waits_for),
		cmocka_unit_test(test_wrong_command_line),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_domains_that_want_nothing),
		cmocka_unit_test(test_generic_devices),
		cmocka_unit_test(test_store_that_fails),
		cmocka_unit_test(test_store_that_goes_away),
		cmocka_unit_test(test_second_watcher),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_options_that_do_not_come_to_units),
		cmocka_unit_test(test_unit_that_is_stopped),
		cmocka_unit_test(test_systemd_that_refuses),
		cmocka_unit_test(test_unit_that_does_not_serve),
		cmocka_unit_test(test_no_systemctl),
	};

	model_instance_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
