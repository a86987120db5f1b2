/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=worker_attach,--wrap=worker_detach */
/* LDFLAGS: -Wl,--wrap=worker_awaits,--wrap=worker_disown */
/*
 * A disk as libxl sees it, state by state: for each state that it can be in,
 * and each thing that libxl's directory can say then, what the next state is,
 * what the worker is told, and what libxl reads. The table of guest_disk.c.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include <sys/resource.h>

#include "lib/model_store.h"
#include "lib/block_whole.h"

#include "monitor/guest_disk.h"

enum { DOMID = 5, DEVID = 51712, IMAGE_BYTES = 1 << 20 };

#define DIRECTORY "backend/virtio_disk/5/51712"
#define FAILS "fails" /* instead of a state: it cannot be read now */

static struct {
	struct loop loop;
	struct store store;
	struct guest_disk_host host;
	struct guest_disk gd;
	char file[64];
	unsigned int attached, detached, disowned;
	bool awaited; /* by the worker */
	bool adopts;  /* ... and then */
	int attach_fails;
	bool waits;             /* the worker's answer does */
	struct block_part part; /* what it has been given */
	char states[64];        /* directory */
	struct state_dir dir;
} rig;

void __wrap_worker_attach(struct worker *worker,
			  const struct worker_disk *disk);
void __wrap_worker_detach(struct worker *worker, uint64_t id);
bool __wrap_worker_awaits(const struct worker *worker, uint64_t id);
void __wrap_worker_disown(struct worker *worker, uint64_t id);

void __wrap_worker_attach(struct worker *worker, const struct worker_disk *disk)
{
	assert_null(worker);
	assert_int_equal(disk->id, DEVID);
	assert_string_equal(disk->name, "web/xvda");
	assert_true(disk->part->fd >= 0 && disk->part->sync_fd >= -1);
	assert_int_equal(disk->base, 0x2000000);
	assert_int_equal(disk->irq, 33);
	assert_int_equal(disk->state_fd >= 0, rig.host.states != NULL);
	assert_int_equal(disk->adopt, rig.adopts);
	rig.attached++;
	rig.part = *disk->part;
	disk->part->fd = -1;
	disk->part->sync_fd = -1;
}

void __wrap_worker_detach(struct worker *worker, uint64_t id)
{
	assert_null(worker);
	assert_int_equal(id, DEVID);
	rig.detached++;
}

bool __wrap_worker_awaits(const struct worker *worker, uint64_t id)
{
	assert_null(worker);
	return rig.awaited && id == DEVID;
}

void __wrap_worker_disown(struct worker *worker, uint64_t id)
{
	assert_null(worker);
	assert_int_equal(id, DEVID);
	/* Nothing of the process before may be in flight. */
	assert_int_equal(rig.gd.claim.fd, -1);
	rig.disowned++;
	rig.awaited = false;
}

static void changed(struct store *store)
{
	(void)store;
}

/* libxl's directory, in one go; with a state as libxl and we write them. */
static void say(const char *state)
{
	tool_write(DIRECTORY "/params", "%s", rig.file);
	tool_write(DIRECTORY "/dev", "xvda");
	tool_write(DIRECTORY "/mode", "w");
	tool_write(DIRECTORY "/base", "%u", 0x2000000);
	tool_write(DIRECTORY "/irq", "33");
	tool_write(DIRECTORY "/online", "1");
	tool_remove(DIRECTORY "/error");
	if (!state)
		tool_remove(DIRECTORY "/state");
	else if (strcmp(state, FAILS) != 0)
		tool_write(DIRECTORY "/state", "%s", state);
}

static bool is_asked(void)
{
	return rig.gd.state == GUEST_DISK_ATTACHING ||
	       rig.gd.state == GUEST_DISK_ADOPTING;
}

/* The worker answers, once. */
static void answer(void)
{
	if (rig.waits || !is_asked())
		return;
	if (rig.attach_fails == 0)
		rig.awaited = false;
	else
		block_part_close(&rig.part);
	guest_disk_attached(&rig.gd, rig.attach_fails,
			    rig.attach_fails ? "the worker cannot" : "");
}

static void ended(void)
{
	block_part_close(&rig.part);
	guest_disk_ended(&rig.gd);
}

static void review(void)
{
	guest_disk_review(&rig.gd, false);
	answer();
}

static void start(void)
{
	char error[BLOCK_ERROR_MAX];
	int fd;

	memset(&rig, 0, sizeof(rig));
	rig.part.fd = -1;
	rig.part.sync_fd = -1;
	tool_start();
	assert_int_equal(loop_init(&rig.loop), 0);
	rig.store.changed = changed;
	assert_int_equal(store_open(&rig.store, &rig.loop), 0);
	strcpy(rig.file, "/tmp/guest-disk-XXXXXX");
	fd = mkstemp(rig.file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
	strcpy(rig.states, "/tmp/guest-disk-states-XXXXXX");
	assert_non_null(mkdtemp(rig.states));
	assert_int_equal(state_dir_open(&rig.dir, rig.states, error), 0);
	assert_int_equal(state_dir_take(&rig.dir, DOMID, "/vm/1", error), 0);
	rig.host = (struct guest_disk_host){
		.states = &rig.dir,
		.store = &rig.store,
		.loop = &rig.loop,
		.guest = "web",
		.vm = "/vm/1",
		.domid = DOMID,
	};
	guest_disk_init(&rig.gd, &rig.host, DEVID);
	assert_string_equal(rig.gd.path, DIRECTORY);
}

/* Whether there is a file of the disk's state. */
static bool has_state(void)
{
	uint64_t devid[STATE_DIR_DISKS_MAX];

	return state_dir_list(&rig.dir, devid) == 1 && devid[0] == DEVID;
}

static void finish(void)
{
	bool active = guest_disk_is_active(&rig.gd);

	assert_int_equal(active && rig.gd.state != GUEST_DISK_LEFT,
			 rig.gd.claim.fd >= 0);
	assert_int_equal(rig.gd.state_fd >= 0, rig.gd.claim.fd >= 0);
	assert_int_equal(active, has_state());
	guest_disk_finish(&rig.gd);
	assert_int_equal(rig.gd.state_fd, -1);
	block_part_close(&rig.part);
	state_dir_remove(&rig.dir);
	state_dir_close(&rig.dir);
	assert_int_equal(rmdir(rig.states), 0);
	store_close(&rig.store);
	loop_finish(&rig.loop);
	tool_stop();
	unlink(rig.file);
}

/* As another process has left it. */
static void bring_left(void)
{
	char error[BLOCK_ERROR_MAX];
	int fd = state_dir_open_disk(&rig.dir, DEVID, true, error);

	assert_true(fd >= 0);
	close(fd);
	say("2");
	rig.awaited = true;
	rig.adopts = true;
	guest_disk_init(&rig.gd, &rig.host, DEVID);
	assert_int_equal(rig.gd.state, GUEST_DISK_LEFT);
}

/* Bring the disk into a state, the way that it comes into it. */
static void bring(enum guest_disk_state state)
{
	if (state == GUEST_DISK_FOUND)
		return;
	if (state == GUEST_DISK_LEFT || state == GUEST_DISK_ADOPTING)
		bring_left();
	if (state == GUEST_DISK_LEFT)
		return;
	rig.waits = state == GUEST_DISK_ATTACHING ||
		    state == GUEST_DISK_ADOPTING;
	say(state == GUEST_DISK_FOREIGN || state == GUEST_DISK_ADOPTING ? "2" :
									  "1");
	if (state == GUEST_DISK_UNTOLD)
		tool_fail("transaction", EIO, 1);
	review();
	if (state == GUEST_DISK_CLOSING || state == GUEST_DISK_UNCLOSED ||
	    state == GUEST_DISK_SETTLED)
		guest_disk_detach(&rig.gd);
	if (state == GUEST_DISK_UNCLOSED)
		tool_fail("transaction", EIO, 1);
	if (state == GUEST_DISK_UNCLOSED || state == GUEST_DISK_SETTLED)
		ended();
	tool_fail("", EIO, 0);
	assert_int_equal(rig.gd.state, state);
}

struct row {
	enum guest_disk_state state;
	const char *says; /* NULL: there is no state */
	enum guest_disk_state next;
	const char *reads; /* what is there then */
};

#define FOUND GUEST_DISK_FOUND
#define LEFT GUEST_DISK_LEFT
#define ATTACHING GUEST_DISK_ATTACHING
#define ADOPTING GUEST_DISK_ADOPTING
#define UNTOLD GUEST_DISK_UNTOLD
#define SERVED GUEST_DISK_SERVED
#define CLOSING GUEST_DISK_CLOSING
#define UNCLOSED GUEST_DISK_UNCLOSED
#define SETTLED GUEST_DISK_SETTLED
#define FOREIGN GUEST_DISK_FOREIGN

static const struct row rows[] = {
	{ FOUND, NULL, SETTLED, NULL },
	{ FOUND, "1", SERVED, "2" },
	{ FOUND, "2", FOREIGN, "2" },
	{ FOUND, "5", SETTLED, "6" },
	{ FOUND, "6", SETTLED, "6" },
	{ FOUND, "x", FOREIGN, "x" },
	{ FOUND, "7", FOREIGN, "7" },
	{ FOUND, FAILS, FOUND, NULL },

	{ LEFT, NULL, SETTLED, NULL },
	{ LEFT, "1", SERVED, "2" },
	{ LEFT, "2", SERVED, "2" },
	{ LEFT, "5", SETTLED, "6" },
	{ LEFT, "6", SETTLED, "6" },
	{ LEFT, "x", SERVED, "x" },
	{ LEFT, "3", SERVED, "3" },
	{ LEFT, FAILS, LEFT, "2" },

	{ ATTACHING, NULL, ATTACHING, NULL },
	{ ATTACHING, "1", ATTACHING, "1" },
	{ ATTACHING, "2", ATTACHING, "2" },
	{ ATTACHING, "5", ATTACHING, "5" },
	{ ATTACHING, "6", ATTACHING, "6" },
	{ ATTACHING, "x", ATTACHING, "x" },
	{ ATTACHING, FAILS, ATTACHING, "1" },

	{ ADOPTING, NULL, ADOPTING, NULL },
	{ ADOPTING, "1", ADOPTING, "1" },
	{ ADOPTING, "2", ADOPTING, "2" },
	{ ADOPTING, "5", ADOPTING, "5" },
	{ ADOPTING, "6", ADOPTING, "6" },
	{ ADOPTING, "x", ADOPTING, "x" },
	{ ADOPTING, FAILS, ADOPTING, "2" },

	{ UNTOLD, NULL, CLOSING, NULL },
	{ UNTOLD, "1", SERVED, "2" },
	{ UNTOLD, "2", SERVED, "2" },
	{ UNTOLD, "5", CLOSING, "5" },
	{ UNTOLD, "6", CLOSING, "6" },
	{ UNTOLD, "x", SERVED, "x" },
	{ UNTOLD, FAILS, UNTOLD, "1" },

	{ SERVED, NULL, CLOSING, NULL },
	{ SERVED, "1", CLOSING, "1" },
	{ SERVED, "2", SERVED, "2" },
	{ SERVED, "5", CLOSING, "5" },
	{ SERVED, "6", CLOSING, "6" },
	{ SERVED, "x", SERVED, "x" },
	{ SERVED, FAILS, SERVED, "2" },

	{ CLOSING, NULL, CLOSING, NULL },
	{ CLOSING, "1", CLOSING, "1" },
	{ CLOSING, "2", CLOSING, "2" },
	{ CLOSING, "5", CLOSING, "5" },
	{ CLOSING, "6", CLOSING, "6" },
	{ CLOSING, "x", CLOSING, "x" },
	{ CLOSING, FAILS, CLOSING, "2" },

	{ UNCLOSED, NULL, SETTLED, NULL },
	{ UNCLOSED, "1", SERVED, "2" },
	{ UNCLOSED, "2", SETTLED, "6" },
	{ UNCLOSED, "5", SETTLED, "6" },
	{ UNCLOSED, "6", SETTLED, "6" },
	{ UNCLOSED, "x", SETTLED, "6" },
	{ UNCLOSED, FAILS, UNCLOSED, "2" },

	{ SETTLED, NULL, SETTLED, NULL },
	{ SETTLED, "1", SERVED, "2" },
	{ SETTLED, "2", SETTLED, "2" },
	{ SETTLED, "5", SETTLED, "6" },
	{ SETTLED, "6", SETTLED, "6" },
	{ SETTLED, "x", SETTLED, "x" },
	{ SETTLED, FAILS, SETTLED, "6" },

	{ FOREIGN, NULL, FOREIGN, NULL },
	{ FOREIGN, "1", SERVED, "2" },
	{ FOREIGN, "2", FOREIGN, "2" },
	{ FOREIGN, "5", FOREIGN, "5" },
	{ FOREIGN, "6", FOREIGN, "6" },
	{ FOREIGN, "x", FOREIGN, "x" },
	{ FOREIGN, FAILS, FOREIGN, "2" },
};

static void check_row(const struct row *row)
{
	unsigned int attached, detached;

	start();
	bring(row->state);
	say(row->says);
	attached = rig.attached;
	detached = rig.detached;
	if (row->says && !strcmp(row->says, FAILS))
		tool_fail("/state", EIO, 1);
	review();
	if (rig.gd.state != row->next ||
	    !tool_is(DIRECTORY "/state", row->reads))
		fail_msg("in state %d, told %s: now %d, not %d, or not %s",
			 row->state, row->says, rig.gd.state, row->next,
			 row->reads);
	assert_int_equal(rig.attached - attached,
			 row->state != UNTOLD && row->state != SERVED &&
				 row->next == SERVED);
	assert_int_equal(rig.detached - detached,
			 row->state != CLOSING && row->next == CLOSING);
	assert_int_equal(rig.disowned,
			 row->state == LEFT && row->next == SETTLED);
	finish();
}

static void test_each_state_and_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check_row(&rows[i]);
}

/* Also where its state says nothing of an end. */
static void test_offline_disk_is_detached(void **state)
{
	(void)state;
	start();
	bring(SERVED);
	tool_fail("/online", EIO, 1);
	tool_write(DIRECTORY "/online", "0");
	review();
	assert_int_equal(rig.gd.state, SERVED);
	review();
	assert_int_equal(rig.gd.state, CLOSING);
	/* It is told once, whoever else wants it to end. */
	guest_disk_detach(&rig.gd);
	assert_int_equal(rig.detached, 1);
	ended();
	finish();
}

static void check_refused(const char *words)
{
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.gd.claim.fd, -1);
	assert_true(tool_is(DIRECTORY "/state", NULL));
	assert_true(tool_is(DIRECTORY "/error", words));
}

static void test_refused_disk_is_told_and_closed(void **state)
{
	(void)state;
	start();
	say("1");
	rig.attach_fails = -EINVAL;
	review();
	check_refused("the worker cannot");
	assert_int_equal(rig.attached, 1);
	say("1");
	guest_disk_review(&rig.gd, true);
	check_refused("too many disks");
	assert_int_equal(rig.attached, 1);
	/* libxl asks once more, and now it can be had. */
	say("1");
	rig.attach_fails = 0;
	review();
	assert_int_equal(rig.gd.state, SERVED);
	finish();
}

/* ---- one that was left ---- */

/* The image is in use until this is closed. */
static void use_image(struct block_image *image)
{
	const struct block_image_options options = { .file = rig.file };
	char error[BLOCK_ERROR_MAX];

	assert_int_equal(whole_open(image, &options, error), 0);
}

/* Whatever is to become of the disk, what is in flight ends before. */
static void in_use(const char *says, enum guest_disk_state next,
		   const char *reads)
{
	struct block_image image;

	start();
	bring(LEFT);
	say(says);
	use_image(&image);
	for (int i = 0; i < 3; i++)
		review();
	assert_int_equal(rig.gd.state, LEFT);
	assert_true(guest_disk_is_active(&rig.gd));
	assert_int_equal(rig.attached + rig.disowned, 0);
	assert_true(tool_is(DIRECTORY "/state", says));
	whole_close(&image);
	review();
	assert_int_equal(rig.gd.state, next);
	assert_true(tool_is(DIRECTORY "/state", reads));
	finish();
}

static void test_left_disk_waits_for_its_image(void **state)
{
	(void)state;
	in_use("2", SERVED, "2");
	in_use("1", SERVED, "2");
	in_use("5", SETTLED, "6");
	in_use("6", SETTLED, "6");
}

/* A process was killed, and a request of its is under way in the kernel. */
static void request_outlives_process(const char *mode)
{
	int request;

	start();
	say("1");
	tool_write(DIRECTORY "/mode", "%s", mode);
	review();
	assert_int_equal(rig.gd.state, SERVED);
	request = dup(rig.part.fd);
	block_part_close(&rig.part);
	guest_disk_finish(&rig.gd);
	rig.awaited = true;
	rig.adopts = true;
	guest_disk_init(&rig.gd, &rig.host, DEVID);
	review();
	assert_int_equal(rig.gd.state, LEFT);
	close(request);
	review();
	assert_int_equal(rig.gd.state, SERVED);
	finish();
}

/* Also a read may be under way, into memory that the guest reuses. */
static void test_request_outlives_process(void **state)
{
	(void)state;
	request_outlives_process("w");
	request_outlives_process("r");
}

/* Nor does the end of the program make it go sooner. */
static void test_left_disk_is_detached(void **state)
{
	struct block_image image;

	(void)state;
	start();
	bring(LEFT);
	use_image(&image);
	guest_disk_detach(&rig.gd);
	assert_int_equal(rig.gd.state, LEFT);
	assert_int_equal(rig.disowned, 0);
	whole_close(&image);
	guest_disk_take_up(&rig.gd);
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.disowned, 1);
	assert_true(tool_is(DIRECTORY "/state", "6"));
	finish();
}

static void test_left_disk_is_offline(void **state)
{
	(void)state;
	start();
	bring(LEFT);
	tool_write(DIRECTORY "/online", "0");
	review();
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.disowned, 1);
	assert_int_equal(rig.attached, 0);
	assert_true(tool_is(DIRECTORY "/state", "6"));
	finish();
}

static void check_lost(const char *words)
{
	review();
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.disowned, 1);
	assert_true(tool_is(DIRECTORY "/state", NULL));
	assert_true(tool_is(DIRECTORY "/error", words));
	assert_false(has_state());
	/* Its next life. */
	rig.adopts = false;
	rig.attach_fails = 0;
	tool_write(DIRECTORY "/params", "%s", rig.file);
	tool_write(DIRECTORY "/state", "1");
	review();
	assert_int_equal(rig.gd.state, SERVED);
	finish();
}

static void test_left_disk_is_lost(void **state)
{
	char words[XS_VALUE_MAX];

	(void)state;
	start();
	bring(LEFT);
	rig.attach_fails = -EINVAL;
	check_lost("the worker cannot");

	start();
	bring(LEFT);
	state_dir_remove_disk(&rig.dir, DEVID);
	snprintf(words, sizeof(words),
		 "%s/5/51712 cannot be opened: No such file or directory",
		 rig.states);
	check_lost(words);

	start();
	bring(LEFT);
	tool_write(DIRECTORY "/params", "/nowhere");
	check_lost("/nowhere: no such file: create it, or correct the path");
}

/* What is lacking now and may be there later takes no disk away. */
static void lacking(int error)
{
	start();
	bring(LEFT);
	rig.attach_fails = error;
	review();
	assert_int_equal(rig.gd.state, LEFT);
	assert_int_equal(rig.gd.claim.fd, -1);
	assert_int_equal(rig.disowned, 0);
	assert_true(has_state());
	assert_true(tool_is(DIRECTORY "/state", "2"));
	assert_true(tool_is(DIRECTORY "/error", NULL));
	rig.attach_fails = 0;
	review();
	assert_int_equal(rig.gd.state, SERVED);
	assert_int_equal(rig.attached, 2);
	finish();
}

/* Nor where its image cannot be opened for want of a number. */
static void lacking_descriptors(void)
{
	struct rlimit all, few;
	int lowest;

	start();
	bring(LEFT);
	lowest = dup(0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	review();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(rig.gd.state, LEFT);
	assert_int_equal(rig.disowned, 0);
	assert_true(has_state());
	review();
	assert_int_equal(rig.gd.state, SERVED);
	finish();
}

static void test_left_disk_waits_for_what_is_lacking(void **state)
{
	(void)state;
	lacking(-EAGAIN);
	lacking(-ENOMEM);
	lacking(-EMFILE);
	lacking(-ENFILE);
	lacking_descriptors();
}

/* The process before was about to end it. */
static void test_left_disk_was_closing(void **state)
{
	(void)state;
	start();
	bring(LEFT);
	rig.attach_fails = -ENODEV;
	review();
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.disowned, 1);
	assert_true(tool_is(DIRECTORY "/state", "6"));
	finish();

	/* ... since it was made anew. */
	start();
	bring(LEFT);
	say("1");
	rig.attach_fails = -ENODEV;
	review();
	assert_int_equal(rig.gd.state, SETTLED);
	assert_true(tool_is(DIRECTORY "/error", NULL));
	rig.attach_fails = 0;
	rig.adopts = false;
	review();
	assert_int_equal(rig.gd.state, SERVED);
	assert_true(tool_is(DIRECTORY "/state", "2"));
	finish();
}

/* ---- while the worker is asked ---- */

/* What it answers, when libxl has said `says` meanwhile. */
static void answered(enum guest_disk_state asked, const char *says, int result)
{
	start();
	bring(asked);
	say(says);
	review();
	assert_int_equal(rig.gd.state, asked);
	assert_true(guest_disk_is_active(&rig.gd));
	rig.waits = false;
	rig.attach_fails = result;
	answer();
}

/* The disk is there, and only then it is seen that it is not wanted. */
static void test_unwanted_while_asked(void **state)
{
	static const enum guest_disk_state asked[] = { ATTACHING, ADOPTING };
	static const char *const words[] = { NULL, "5", "6" };

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int k = 0; k < 3; k++) {
			answered(asked[i], words[k], 0);
			assert_true(tool_is(DIRECTORY "/state", words[k]));
			review();
			assert_int_equal(rig.gd.state, CLOSING);
			assert_int_equal(rig.detached, 1);
			assert_int_equal(rig.disowned, 0);
			ended();
			assert_int_equal(rig.gd.state, SETTLED);
			finish();
		}
}

static void test_refused_while_unwanted(void **state)
{
	(void)state;
	answered(ATTACHING, "5", -EINVAL);
	assert_int_equal(rig.gd.state, SETTLED);
	assert_true(tool_is(DIRECTORY "/state", "5"));
	review();
	assert_true(tool_is(DIRECTORY "/state", "6"));
	finish();
	answered(ATTACHING, NULL, -EINVAL);
	assert_int_equal(rig.gd.state, SETTLED);
	review();
	finish();
}

/* The end of the guest or of the program, which waits for the answer. */
static void test_detached_while_asked(void **state)
{
	static const enum guest_disk_state asked[] = { ATTACHING, ADOPTING };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		start();
		bring(asked[i]);
		guest_disk_detach(&rig.gd);
		guest_disk_detach(&rig.gd);
		assert_int_equal(rig.gd.state, asked[i]);
		assert_int_equal(rig.detached, 0);
		rig.waits = false;
		answer();
		assert_int_equal(rig.gd.state, CLOSING);
		assert_int_equal(rig.detached, 1);
		/* It was never said that it is served. */
		assert_true(tool_is(DIRECTORY "/state", i ? "2" : "1"));
		ended();
		finish();
	}
}

static void test_detached_while_asked_in_vain(void **state)
{
	(void)state;
	start();
	bring(ADOPTING);
	guest_disk_detach(&rig.gd);
	rig.waits = false;
	rig.attach_fails = -EAGAIN;
	answer();
	assert_int_equal(rig.gd.state, LEFT);
	assert_int_equal(rig.disowned, 0);
	/* It is not asked for again. */
	review();
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.attached, 1);
	assert_int_equal(rig.disowned, 1);
	assert_true(tool_is(DIRECTORY "/state", "6"));
	/* Another one in its place is wanted. */
	rig.adopts = false;
	rig.attach_fails = 0;
	say("1");
	review();
	assert_int_equal(rig.gd.state, SERVED);
	assert_int_equal(rig.detached, 0);
	finish();
}

/* Whose directory was made anew meanwhile is not the one that is served. */
static void anew(enum guest_disk_state before, const char *name,
		 const char *value)
{
	start();
	bring(before);
	say("1");
	tool_write(DIRECTORY "/discard-enable", "1");
	tool_write(name, "%s", value);
	rig.waits = false;
	if (before == ATTACHING)
		answer();
	else
		review();
	assert_int_equal(rig.gd.state, CLOSING);
	assert_int_equal(rig.detached, 1);
	assert_true(tool_is(DIRECTORY "/state", "1"));
	ended();
	assert_int_equal(rig.gd.state, SETTLED);
	say("1");
	review();
	assert_int_equal(rig.gd.state, SERVED);
	assert_int_equal(rig.attached, 2);
	finish();
}

static void test_made_anew_while_asked(void **state)
{
	static const enum guest_disk_state before[] = { ATTACHING, UNTOLD };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		anew(before[i], DIRECTORY "/params", "/dev/null");
		anew(before[i], DIRECTORY "/dev", "xvdb");
		anew(before[i], DIRECTORY "/mode", "r");
		anew(before[i], DIRECTORY "/base", "4096");
		anew(before[i], DIRECTORY "/irq", "34");
		anew(before[i], DIRECTORY "/discard-enable", "0");
	}
	/* The same once more is what is served. */
	answered(ATTACHING, "1", 0);
	assert_int_equal(rig.gd.state, SERVED);
	assert_true(tool_is(DIRECTORY "/state", "2"));
	finish();
}

/* ---- the worker is gone ---- */

static const struct lost_row {
	enum guest_disk_state state;
	bool awaited; /* by the next one */
	const char *says;
	enum guest_disk_state next;
	const char *reads;
} lost_rows[] = {
	{ ATTACHING, true, "1", SERVED, "2" },
	{ ATTACHING, true, "5", SETTLED, "6" },
	{ ATTACHING, true, NULL, SETTLED, NULL },
	{ ATTACHING, false, "1", SERVED, "2" },
	{ ATTACHING, false, "5", SETTLED, "6" },
	{ ATTACHING, false, NULL, SETTLED, NULL },

	{ ADOPTING, true, "2", SERVED, "2" },
	{ ADOPTING, true, "5", SETTLED, "6" },
	{ ADOPTING, false, "2", SETTLED, NULL },
	{ ADOPTING, false, "5", SETTLED, "6" },

	{ UNTOLD, true, "1", SERVED, "2" },
	{ UNTOLD, true, "5", SETTLED, "6" },
	{ UNTOLD, false, "1", SETTLED, NULL },
	{ UNTOLD, false, "5", SETTLED, "6" },

	{ SERVED, true, "2", SERVED, "2" },
	{ SERVED, true, "1", CLOSING, "1" },
	{ SERVED, true, "5", SETTLED, "6" },
	{ SERVED, true, NULL, SETTLED, NULL },
	{ SERVED, false, "2", SETTLED, NULL },
	{ SERVED, false, "5", SETTLED, "6" },

	{ CLOSING, true, "5", SETTLED, "6" },
	{ CLOSING, true, "2", SETTLED, "6" },
	{ CLOSING, false, "5", SETTLED, "6" },
	{ CLOSING, false, NULL, SETTLED, NULL },
};

/* It is said meanwhile; and a request of the dead is in flight still. */
static void lose(const struct lost_row *row)
{
	unsigned int attached;

	start();
	bring(row->state);
	attached = rig.attached;
	say(row->says);
	guest_disk_lost(&rig.gd);
	assert_int_equal(rig.gd.state, LEFT);
	/* Once more before there was a next one. */
	guest_disk_lost(&rig.gd);
	assert_true(rig.gd.claim.fd >= 0);
	rig.waits = false;
	rig.awaited = row->awaited;
	rig.adopts = row->awaited;
	review();
	guest_disk_take_up(&rig.gd);
	assert_int_equal(rig.gd.state, LEFT);
	assert_true(rig.gd.claim.fd >= 0);
	assert_true(tool_is(DIRECTORY "/state", row->says));
	assert_int_equal(rig.attached, attached);
	assert_int_equal(rig.disowned, 0);
}

static void check_lost_row(const struct lost_row *row)
{
	lose(row);
	block_part_close(&rig.part);
	review();
	/* One that begins anew is another one from then on. */
	review();
	if (rig.gd.state != row->next ||
	    !tool_is(DIRECTORY "/state", row->reads))
		fail_msg("state %d is lost, %s awaited, told %s: now %d, not "
			 "%d, or not %s",
			 row->state, row->awaited ? "and" : "not", row->says,
			 rig.gd.state, row->next, row->reads);
	if (row->next == CLOSING)
		ended();
	finish();
}

static void test_lost_in_each_state(void **state)
{
	static const enum guest_disk_state others[] = { FOUND, LEFT, UNCLOSED,
							SETTLED, FOREIGN };

	(void)state;
	for (size_t i = 0; i < sizeof(lost_rows) / sizeof(*lost_rows); i++)
		check_lost_row(&lost_rows[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		start();
		bring(others[i]);
		guest_disk_lost(&rig.gd);
		assert_int_equal(rig.gd.state, others[i]);
		assert_int_equal(rig.gd.claim.fd, -1);
		finish();
	}
}

/* The next one dies as well, or cannot have it now: it is kept all the same. */
static void test_lost_again(void **state)
{
	static const struct lost_row row = { SERVED, true, "2", SERVED, "2" };

	(void)state;
	lose(&row);
	block_part_close(&rig.part);
	rig.waits = true;
	review();
	assert_int_equal(rig.gd.state, ADOPTING);
	guest_disk_lost(&rig.gd);
	assert_int_equal(rig.gd.state, LEFT);
	block_part_close(&rig.part);
	rig.waits = false;
	rig.attach_fails = -ENOMEM;
	review();
	assert_int_equal(rig.gd.state, LEFT);
	assert_true(rig.gd.claim.fd >= 0);
	rig.attach_fails = 0;
	review();
	assert_int_equal(rig.gd.state, SERVED);
	finish();
}

/* It is to end with the guest or the program, which is not forgotten. */
static void test_lost_and_detached(void **state)
{
	static const struct lost_row row = { SERVED, true, "2", SERVED, "2" };

	(void)state;
	lose(&row);
	guest_disk_detach(&rig.gd);
	assert_int_equal(rig.gd.state, LEFT);
	block_part_close(&rig.part);
	guest_disk_take_up(&rig.gd);
	assert_int_equal(rig.gd.state, SETTLED);
	assert_int_equal(rig.disowned, 1);
	assert_true(tool_is(DIRECTORY "/state", "6"));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_state_and_word),
		cmocka_unit_test(test_offline_disk_is_detached),
		cmocka_unit_test(test_refused_disk_is_told_and_closed),
		cmocka_unit_test(test_left_disk_waits_for_its_image),
		cmocka_unit_test(test_request_outlives_process),
		cmocka_unit_test(test_left_disk_is_detached),
		cmocka_unit_test(test_left_disk_is_offline),
		cmocka_unit_test(test_left_disk_is_lost),
		cmocka_unit_test(test_left_disk_waits_for_what_is_lacking),
		cmocka_unit_test(test_left_disk_was_closing),
		cmocka_unit_test(test_unwanted_while_asked),
		cmocka_unit_test(test_refused_while_unwanted),
		cmocka_unit_test(test_detached_while_asked),
		cmocka_unit_test(test_detached_while_asked_in_vain),
		cmocka_unit_test(test_made_anew_while_asked),
		cmocka_unit_test(test_lost_in_each_state),
		cmocka_unit_test(test_lost_again),
		cmocka_unit_test(test_lost_and_detached),
	};

	return cmocka_run_group_tests_name("monitor_guest_disk", tests, NULL,
					   NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
