/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose */
/* LDFLAGS: -Wl,--wrap=signals_open */
/*
 * Two vCPUs that never stop: each sets disks up, has them read and write,
 * resets them, and pokes at any register, in a thread of its own, while the
 * toolstack attaches and detaches the disks in any order, the store is now and
 * then slow, and the program leaves all to the next one, or none does; then the
 * program or the domain ends. Every access is answered,
 * or is a fault where there is no disk; nothing of the program is left.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_again.h"
#include "lib/model_guest.h"

enum {
	DISKS = 3,
	ROUNDS = 100, /* of the toolstack */
	CHAINS = 4,   /* made available at a time */
};

static struct driver disk[DISKS];
static bool stop_vcpus;

struct vcpu_thread {
	pthread_t thread;
	unsigned int v;
	uint64_t random;
	uint64_t answers;
};

static bool stopping(void)
{
	return __atomic_load_n(&stop_vcpus, __ATOMIC_RELAXED);
}

/* One access; false: a fault. */
static bool poke(struct vcpu_thread *t, uint64_t addr, uint32_t size, bool read,
		 uint64_t value)
{
	if (!begin_access(t->v, addr, size, read, value)) {
		/* What is done about a fault takes a while. */
		usleep(500);
		return false;
	}
	wait_until(answered(t->v));
	t->answers++;
	return true;
}

static bool write_reg(struct vcpu_thread *t, unsigned int i, uint64_t offset,
		      uint32_t value)
{
	return poke(t, register_of(i, offset), 4, false, value);
}

/* Where the vCPU has its ring for a disk: not the same as the other one's. */
static uint64_t area_of(const struct vcpu_thread *t, unsigned int i)
{
	return MODEL_BASE + (t->v * DISKS + i) * (uint64_t)DISK_AREA;
}

/* Chains of one request each, in a split ring of RING_SIZE at `at`. */
static void lay_requests(struct vcpu_thread *t, uint64_t at)
{
	uint8_t *area = model_at(&dom.memory, at, DISK_AREA);
	struct vring_desc *desc = (void *)area;
	struct vring_avail *avail = (void *)(area + 4096);

	memset(area, 0, 3 * 4096);
	for (uint16_t i = 0; i < CHAINS; i++) {
		uint64_t data = at + DATA_AT + i * (uint64_t)SLOT_BYTES;
		bool in = model_random_below(&t->random, 2);
		const struct virtio_blk_header h = {
			.type = in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
			.sector = model_random_below(&t->random, 200) * 8,
		};

		memcpy(model_at(&dom.memory, data, 16), &h, sizeof(h));
		desc[3 * i] = (struct vring_desc){ data, 16, VRING_DESC_NEXT,
						   (uint16_t)(3 * i + 1) };
		desc[3 * i + 1] = (struct vring_desc){
			data + BLOCK_BYTES, BLOCK_BYTES,
			VRING_DESC_NEXT | (in ? VRING_DESC_WRITE : 0),
			(uint16_t)(3 * i + 2)
		};
		desc[3 * i + 2] = (struct vring_desc){ data + 16, 1,
						       VRING_DESC_WRITE, 0 };
		avail->ring[i] = 3 * i;
	}
	__atomic_store_n(&avail->idx, CHAINS, __ATOMIC_RELEASE);
}

/* From reset to a notification, as far as there is a disk. */
static void set_up(struct vcpu_thread *t, unsigned int i)
{
	const uint64_t at = area_of(t, i);
	const struct {
		uint64_t offset;
		uint32_t value;
	} writes[] = {
		{ VIRTIO_MMIO_STATUS, 0 },
		{ VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE },
		{ VIRTIO_MMIO_STATUS,
		  VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0 },
		{ VIRTIO_MMIO_DRIVER_FEATURES,
		  1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE },
		{ VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE |
					      VIRTIO_STATUS_DRIVER |
					      VIRTIO_STATUS_FEATURES_OK },
		{ VIRTIO_MMIO_QUEUE_SEL, 0 },
		{ VIRTIO_MMIO_QUEUE_NUM, RING_SIZE },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at },
		{ VIRTIO_MMIO_QUEUE_DRIVER_LOW, (uint32_t)at + 4096 },
		{ VIRTIO_MMIO_QUEUE_DEVICE_LOW, (uint32_t)at + 8192 },
		{ VIRTIO_MMIO_QUEUE_READY, 1 },
		{ VIRTIO_MMIO_STATUS,
		  VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			  VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK },
		{ VIRTIO_MMIO_QUEUE_NOTIFY, 0 },
	};

	for (size_t k = 0; k < sizeof(writes) / sizeof(*writes); k++) {
		/* The rings may be used until the reset has ended. */
		if (k == 1)
			lay_requests(t, at);
		if (!write_reg(t, i, writes[k].offset, writes[k].value))
			return;
	}
}

static void poke_anywhere(struct vcpu_thread *t, unsigned int i)
{
	uint32_t size = 1u << model_random_below(&t->random, 4);
	uint64_t offset = model_random_below(&t->random, 0x200 / size) * size;

	poke(t, register_of(i, offset), size, model_random_below(&t->random, 2),
	     model_random(&t->random));
}

static void *vcpu_runs(void *arg)
{
	struct vcpu_thread *t = arg;

	while (!stopping()) {
		unsigned int i = model_random_below(&t->random, DISKS);

		switch (model_random_below(&t->random, 6)) {
		case 0:
		case 1:
			set_up(t, i);
			break;
		case 2:
			write_reg(t, i, VIRTIO_MMIO_STATUS, 0);
			break;
		case 3:
			poke(t, register_of(i, VIRTIO_MMIO_CONFIG + 32), 1,
			     false, model_random_below(&t->random, 2));
			break;
		case 4:
			write_reg(t, i, VIRTIO_MMIO_QUEUE_READY, 0);
			break;
		default:
			poke_anywhere(t, i);
		}
	}
	return NULL;
}

/* Attach or detach one disk, at times with the store held for a moment. */
static void change(unsigned int i, uint64_t *random)
{
	bool slow = model_random_below(random, 3) == 0;

	if (tool_is(node(i, "state"), NULL)) {
		make_directory(i, disk[i].file);
		if (model_random_below(random, 2))
			wait_until(tool_is(node(i, "state"), "2"));
		return;
	}
	hold(slow);
	usleep(model_random_below(random, 2000));
	ask_detach(i);
	if (slow)
		usleep(2000);
	hold(false);
	wait_until(tool_is(node(i, "state"), "6"));
	tool_remove(node(i, ""));
}

/* One program leaves the guest to the next; a disk may go in between. */
static void restart(unsigned int i, uint64_t *random)
{
	bool detaches = model_random_below(random, 3) == 0 &&
			tool_is(node(i, "state"), "2");

	ask_stop();
	assert_true(stopped());
	usleep(model_random_below(random, 2000));
	if (detaches)
		ask_detach(i);
	program_start();
	if (!detaches)
		return;
	wait_until(tool_is(node(i, "state"), "6"));
	tool_remove(node(i, ""));
}

static void run_toolstack(uint64_t random, bool restarts)
{
	dom.leaves = restarts;
	program_start();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int which = model_random_below(&random, DISKS);

		if (restarts && model_random_below(&random, 4) == 0)
			restart(which, &random);
		else
			change(which, &random);
	}
	if (!restarts)
		return;
	dom.leaves = false;
	restart(0, &random);
	/* It has found its guest when it ends a disk. */
	if (tool_is(node(0, "state"), NULL))
		change(0, &random);
	change(0, &random);
}

static void soak(void (*end)(void), uint64_t seed, bool restarts)
{
	struct vcpu_thread vcpu[VCPUS] = {
		{ .v = 0, .random = seed },
		{ .v = 1, .random = seed + 1 },
	};

	memset(disk, 0, sizeof(disk));
	stop_vcpus = false;
	introduce(DOMID);
	for (unsigned int i = 0; i < DISKS; i++)
		make_image(&disk[i]);
	for (unsigned int i = 0; i < VCPUS; i++)
		must(!pthread_create(&vcpu[i].thread, NULL, vcpu_runs,
				     &vcpu[i]));
	run_toolstack(seed + 2, restarts);
	end();
	__atomic_store_n(&stop_vcpus, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < VCPUS; i++) {
		must(!pthread_join(vcpu[i].thread, NULL));
		assert_true(vcpu[i].answers > 100);
	}
	check_clean();
	for (unsigned int i = 0; i < DISKS; i++)
		unlink(disk[i].file);
}

static void end_by_signal(void)
{
	ask_stop();
	assert_true(stopped());
}

static void end_by_destroy(void)
{
	destroy_domain();
	wait_until(logged("domain 5 is gone"));
	end_by_signal();
}

static void test_until_the_program_ends(void)
{
	soak(end_by_signal, 88172645463325252u, false);
}

static void test_until_the_domain_dies(void)
{
	soak(end_by_destroy, 1442695040888963407u, false);
}

static void test_over_many_programs(void)
{
	soak(end_by_signal, 2685821657736338717u, true);
}

static void test_over_many_programs_until_the_domain_dies(void)
{
	soak(end_by_destroy, 3202034522624059733u, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_until_the_program_ends),
		host_test(test_until_the_domain_dies),
		host_test(test_over_many_programs),
		host_test(test_over_many_programs_until_the_domain_dies),
	};

	return cmocka_run_group_tests_name("domain: soak", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
