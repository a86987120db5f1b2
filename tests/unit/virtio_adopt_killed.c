/* SPDX-License-Identifier: MIT */
/*
 * A process may be killed while it answers for a device, at any instruction:
 * what it leaves can be adopted.
 *
 * A driver's life, from power-on to a reset, is played in a child process, one
 * machine instruction at a time. For every state that the device's area goes
 * through another process adopts a copy, together with the guest's memory of
 * that moment. It makes the access again that was not answered, as a transport
 * does; then the area is what it would have been, and the rest of the life goes
 * on as if nothing had happened.
 */
#include "lib/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/model_adopt.h"

enum {
	STEPS_MAX = 160,
	STATES_MAX = 4000,
	SECTORS_THEN = 40, /* of the store, after it has shrunk */
};

enum what {
	/* The device does: it can be killed there. */
	ACCESS,
	CONFIG, /* a write of one byte */
	SERVE,
	INTERRUPT,
	RESIZE,
	/* The driver does. */
	OFFER,
	TAKE,
	RENEW, /* the memory of a ring */
};

struct step {
	enum what what;
	unsigned int queue;
	uint32_t at; /* a register, or a place in the configuration */
	uint32_t value;
};

/* How far a child has got; shared with it. */
struct progress {
	unsigned int step;
	bool device; /* its own code is at work */
};

struct moment {
	unsigned int step;
	uint8_t *bytes; /* state, then guest memory */
};

struct life {
	struct model_blk m;
	size_t state_bytes;
	size_t guest_bytes; /* that are used */
	unsigned int nsteps;
	struct step step[STEPS_MAX];
	struct progress *progress;
	/* As it goes without a kill. */
	struct model_ring ring[STEPS_MAX][2]; /* before the step */
	struct virtio_state after[STEPS_MAX];
	uint32_t generation[STEPS_MAX];
	unsigned int nmoments;
	struct moment moment[STATES_MAX];
};

static struct life life; /* large */

/* ---- the steps ----------------------------------------------------------- */

static void add(enum what what, unsigned int queue, uint32_t at, uint32_t value)
{
	assert_true(life.nsteps < STEPS_MAX);
	life.step[life.nsteps++] = (struct step){ what, queue, at, value };
}

static void set(uint32_t at, uint32_t value)
{
	add(ACCESS, 0, at, value);
}

static void add_features(uint64_t features)
{
	for (uint32_t sel = 0; sel < 2; sel++) {
		set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, sel);
		set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
		set(VIRTIO_MMIO_DRIVER_FEATURES,
		    (uint32_t)(features >> 32 * sel));
	}
}

static void add_queue(unsigned int i)
{
	const struct model_ring *ring = &life.m.ring[i];
	const uint64_t address[] = { ring->desc_at, ring->avail_at,
				     ring->used_at };

	set(VIRTIO_MMIO_QUEUE_SEL, i);
	set(VIRTIO_MMIO_QUEUE_NUM, ring->size);
	if (life.m.setup.legacy) {
		set(VIRTIO_MMIO_QUEUE_ALIGN, MODEL_PAGE);
		set(VIRTIO_MMIO_QUEUE_PFN,
		    (uint32_t)(ring->desc_at / MODEL_PAGE));
		return;
	}
	for (uint32_t part = 0; part < 3; part++) {
		uint32_t at = VIRTIO_MMIO_QUEUE_DESC_LOW + part * 0x10;

		set(at, (uint32_t)address[part]);
		set(at + 4, (uint32_t)(address[part] >> 32));
	}
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void add_request(unsigned int queue)
{
	add(OFFER, queue, 0, 0);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	add(SERVE, queue, 0, 0);
	add(INTERRUPT, queue, 0, 0);
	add(TAKE, queue, 0, 0);
	set(VIRTIO_MMIO_INTERRUPT_ACK, 1);
}

/* A queue ends, by `at`, and begins again on fresh memory. */
static void add_end_of_queue(unsigned int queue, uint32_t at, uint32_t value)
{
	set(VIRTIO_MMIO_QUEUE_SEL, queue);
	set(at, value);
	add(RENEW, queue, 0, 0);
	add_queue(queue);
	add_request(queue);
}

static void add_start(uint64_t refused)
{
	bool legacy = life.m.setup.legacy;

	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, 1);
	set(VIRTIO_MMIO_STATUS, 3);
	if (legacy)
		set(VIRTIO_MMIO_GUEST_PAGE_SIZE, MODEL_PAGE);
	add_features(virtio_device_offered(&life.m.blk.dev) & ~refused);
	if (!legacy)
		set(VIRTIO_MMIO_STATUS, 11);
	for (unsigned int i = 0; i < 2; i++) {
		add(RENEW, i, 0, 0);
		add_queue(i);
	}
	set(VIRTIO_MMIO_STATUS, legacy ? 7 : 15);
}

static void add_life(void)
{
	const uint32_t writeback = offsetof(struct virtio_blk_config,
					    writeback);

	add_start(0);
	add_request(0);
	add(CONFIG, 0, writeback, 0);
	add_request(1);
	add(CONFIG, 0, writeback, 1);
	add(RESIZE, 0, 0, SECTORS_THEN);
	if (life.m.setup.legacy) {
		add_end_of_queue(0, VIRTIO_MMIO_QUEUE_PFN, 0);
	} else {
		add_end_of_queue(0, VIRTIO_MMIO_QUEUE_READY, 0);
		add_end_of_queue(1, VIRTIO_MMIO_QUEUE_RESET, 1);
	}
	/* Without a flush the mode is another one by what was accepted. */
	add_start(VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH));
	add_request(1);
	set(VIRTIO_MMIO_STATUS, 0);
}

static bool is_device(const struct step *s)
{
	return s->what < OFFER;
}

static void take(struct model_blk *m, unsigned int queue)
{
	struct vring_used_elem elem;

	assert_true(model_used(&m->ring[queue], &elem));
	assert_int_equal(elem.len, 513);
	assert_false(model_used(&m->ring[queue], &elem));
	assert_int_equal(*model_byte(m, m->heap + 512 + 512), VIRTIO_BLK_S_OK);
}

static void do_step(struct model_blk *m, const struct step *s)
{
	struct virtio_device *dev = &m->blk.dev;

	switch (s->what) {
	case ACCESS:
		assert_int_equal(model_set(dev, s->at, s->value), VIRTIO_DONE);
		break;
	case CONFIG:
		virtio_mmio_write(dev, VIRTIO_MMIO_CONFIG + s->at, 1, s->value);
		break;
	case SERVE:
		model_serve(m, s->queue);
		break;
	case INTERRUPT:
		virtio_mmio_interrupt(dev, VIRTIO_MMIO_INT_USED);
		break;
	case RESIZE:
		virtio_blk_resize(&m->blk, s->value * UINT64_C(512));
		break;
	case OFFER:
		model_request(m, s->queue, m->heap, VIRTIO_BLK_T_IN, 3, 512);
		break;
	case TAKE:
		take(m, s->queue);
		break;
	case RENEW:
		model_ring_reset(&m->ring[s->queue], 0);
		break;
	}
}

/* ---- a life without a kill ----------------------------------------------- */

/* But for the generation, of which there may be one more. */
static struct virtio_state comparable(const void *state)
{
	struct virtio_state s;

	memcpy(&s, state, sizeof(s));
	s.device.config_generation = 0;
	return s;
}

static void power_on(struct model_blk *m)
{
	m->options.size = m->store_bytes;
	memset(m->mem.bytes, 0, life.guest_bytes);
	virtio_blk_init(&m->blk, &m->options, m->memory, m->state,
			&m->mem.memory);
	virtio_mmio_offer(&m->blk.dev, MODEL_WINDOW, MODEL_IRQ);
	for (unsigned int i = 0; i < 2; i++)
		model_ring_reset(&m->ring[i], 0);
}

static void live_through(void)
{
	struct model_blk *m = &life.m;

	for (unsigned int i = 0; i < life.nsteps; i++) {
		memcpy(life.ring[i], m->ring, sizeof(life.ring[i]));
		do_step(m, &life.step[i]);
		life.after[i] = comparable(m->state);
		life.generation[i] = m->blk.dev.state->config_generation;
	}
	model_memory_check_idle(&m->mem);
}

/* ---- every moment of a life ---------------------------------------------- */

/* Whether nothing has changed since the moment noted last. */
static bool is_noted(const struct model_blk *m)
{
	const struct moment *last;

	if (life.nmoments == 0)
		return false;
	last = &life.moment[life.nmoments - 1];
	return last->step == life.progress->step &&
	       !memcmp(last->bytes, m->state, life.state_bytes) &&
	       !memcmp(last->bytes + life.state_bytes, m->mem.bytes,
		       life.guest_bytes);
}

static void note(void)
{
	const struct model_blk *m = &life.m;
	struct moment *now = &life.moment[life.nmoments];

	if (!life.progress->device || is_noted(m))
		return;
	assert_true(life.nmoments < STATES_MAX);
	now->step = life.progress->step;
	now->bytes = malloc(life.state_bytes + life.guest_bytes);
	assert_non_null(now->bytes);
	memcpy(now->bytes, m->state, life.state_bytes);
	memcpy(now->bytes + life.state_bytes, m->mem.bytes, life.guest_bytes);
	life.nmoments++;
}

static void live_in_child(void)
{
	for (unsigned int i = 0; i < life.nsteps; i++) {
		life.progress->step = i;
		life.progress->device = is_device(&life.step[i]);
		do_step(&life.m, &life.step[i]);
		life.progress->device = false;
	}
}

static void collect(void)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(9);
		raise(SIGSTOP);
		live_in_child();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	while (WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status);

		note();
		/* Anything but a step is the child's fault: let it die. */
		sig = sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL,
					(void *)(intptr_t)sig),
				 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- the process that goes on -------------------------------------------- */

/* The store has its size since before the device was told. */
static uint64_t size_at(unsigned int step)
{
	for (unsigned int i = 0; i <= step; i++)
		if (life.step[i].what == RESIZE)
			return life.step[i].value * UINT64_C(512);
	return life.m.store_bytes;
}

/* The state after step `i` is that of a life without a kill. */
static void check(unsigned int i, unsigned int killed)
{
	const struct virtio_state now = comparable(life.m.state);
	uint32_t generation = life.m.blk.dev.state->config_generation;

	if (memcmp(&now, &life.after[i], sizeof(now)))
		fail_msg("killed in step %u: another state after %u", killed,
			 i);
	if (generation < life.generation[i])
		fail_msg("killed in step %u: the configuration changed, its "
			 "generation did not",
			 killed);
}

static void go_on_from(const struct moment *at)
{
	struct model_blk *m = &life.m;

	memcpy(m->state, at->bytes, life.state_bytes);
	memcpy(m->mem.bytes, at->bytes + life.state_bytes, life.guest_bytes);
	memcpy(m->ring, life.ring[at->step], sizeof(m->ring));
	m->options.size = size_at(at->step);
	model_go_on(m);
	for (unsigned int i = 0; i < 2; i++)
		model_do_again(m, i);
	for (unsigned int i = at->step; i < life.nsteps; i++) {
		do_step(m, &life.step[i]);
		check(i, at->step);
	}
	model_memory_check_idle(&m->mem);
}

static void *share(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void begin(const struct model_setup *setup)
{
	struct model_blk *m = &life.m;

	memset(&life, 0, sizeof(life));
	model_blk_init(m, *setup);
	life.state_bytes = virtio_blk_state_bytes(&m->options);
	life.guest_bytes = m->heap - MODEL_BASE + MODEL_PAGE;
	life.progress = share(sizeof(*life.progress));
	free(m->state);
	m->state = share(life.state_bytes);
	power_on(m);
	add_life();
}

static void end(void)
{
	struct model_blk *m = &life.m;

	for (unsigned int i = 0; i < life.nmoments; i++)
		free(life.moment[i].bytes);
	virtio_device_stop(&m->blk.dev);
	munmap(m->state, life.state_bytes);
	munmap(life.progress, sizeof(*life.progress));
	/* What is finished is a device with a state of its own. */
	m->state = malloc(life.state_bytes);
	assert_non_null(m->state);
	virtio_blk_init(&m->blk, &m->options, m->memory, m->state,
			&m->mem.memory);
	model_blk_finish(m);
}

static void test_killed_at_every_instruction(void **state)
{
	begin(*state);
	live_through();
	power_on(&life.m);
	collect();
	print_message("# %u steps, %u moments\n", life.nsteps, life.nmoments);
	assert_true(life.nmoments > 2 * life.nsteps);
	for (unsigned int i = 0; i < life.nmoments; i++)
		go_on_from(&life.moment[i]);
	end();
}

static struct model_setup split = { .nqueues = 2, .pages = 16 };
static struct model_setup packed = { .nqueues = 2,
				     .pages = 16,
				     .packed = true };
static struct model_setup legacy = { .nqueues = 2,
				     .pages = 16,
				     .legacy = true };

#define TEST_ON(f, setup)                                   \
	{                                                   \
#f " (" #setup ")", f, NULL, NULL, &(setup) \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(test_killed_at_every_instruction, split),
		TEST_ON(test_killed_at_every_instruction, packed),
		TEST_ON(test_killed_at_every_instruction, legacy),
	};

	return cmocka_run_group_tests_name("virtio_adopt_killed", tests, NULL,
					   NULL);
}
