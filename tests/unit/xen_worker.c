/* SPDX-License-Identifier: MIT */
/* LDFLAGS: -Wl,--wrap=log_line,--wrap=block_engine_reap */
/* LDFLAGS: -Wl,--wrap=dlopen,--wrap=dlsym,--wrap=dlclose,--wrap=_exit */
/*
 * A worker that is killed, or leaves, and the next one that goes on with its
 * guest, on a fake host: what was in flight is done once, who waits goes on,
 * interrupts are raised, what the guest knows of its disks stays so, and what
 * cannot be adopted is refused without harm to the other disks.
 *
 * The process is a loop in a thread. Killing it leaves everything where it is
 * and gives back what the kernel would: its event channels, and its locks.
 */
#include "config.h"
#include "lib/model_memory.h"

#ifdef HAVE_XEN

#include "lib/model_guest.h"

#include "base/thread_loop.h"
#include "lib/model_image.h"
#include "virtio/queue.h"
#include "virtio/state.h"
#include "worker/xen_worker.h"
#include "xen/ioreq_state.h"

enum {
	DISKS = 2,
	LIVES_MAX = 64,
	WRITES = 5,
	CAREFUL = 3,         /* processes that may end soon in a row */
	STATE_BYTES = 16384, /* of a disk's state, and more */
};

/* One life of the process: the dead ones are still reached from here. */
struct life {
	struct thread_loop thread;
	struct xen_worker_owner owner;
	struct xen_worker *worker;
	struct block_image image[DISKS];
	unsigned int ended;
};

static struct life lives[LIVES_MAX], *life;
static struct driver disk[DISKS];
static struct disk_options options[DISKS];
static int server_fd, state_fd[DISKS];
static char error[BLOCK_ERROR_MAX];

void __wrap__exit(int status);

void __wrap__exit(int status)
{
	give_up("_exit(%d)", status);
}

/* ---- what the monitor does, in the process's thread ---------------------- */

static int lost; /* what an image begins with: its flush_error */

struct call {
	unsigned int disk;
	bool adopt;
	int fd;
	uint64_t base;
	int result;
};

static void call(void (*f)(void *arg), void *arg)
{
	thread_loop_call(&life->thread, f, arg);
}

static void ended(struct xen_worker_owner *owner, uint64_t id)
{
	struct life *l = container_of(owner, struct life, owner);

	whole_close(&l->image[id - DEVID]);
	__atomic_add_fetch(&l->ended, 1, __ATOMIC_RELEASE);
}

static void waits(struct xen_worker_owner *owner)
{
	(void)owner;
}

static const struct xen_worker_owner_ops owner_ops = {
	.ended = ended,
	.waits = waits,
};

static void do_begin(void *arg)
{
	struct call *c = arg;

	c->result = 0;
	if (!life->worker)
		c->result = xen_worker_open(&life->worker, &life->thread.loop,
					    &life->owner);
	if (c->result == 0)
		c->result = xen_worker_begin(life->worker, DOMID, c->fd, error);
}

static int begin_with(int fd)
{
	struct call c = { .fd = fd };

	if (!life->worker) {
		assert_int_equal(thread_loop_start(&life->thread, 0), 0);
		life->owner.ops = &owner_ops;
		for (int i = 0; i < DISKS; i++)
			life->image[i].fd = -1;
	}
	error[0] = '\0';
	call(do_begin, &c);
	return c.result;
}

static void begin(void)
{
	if (begin_with(server_fd))
		fail_msg("%s", error);
}

static void do_attach(void *arg)
{
	struct call *c = arg;
	struct block_image *image = &life->image[c->disk];
	const struct xen_worker_disk d = {
		.id = DEVID + c->disk,
		.name = "web/xvda",
		.image = image,
		.options = &options[c->disk],
		.base = c->base,
		.irq = IRQ + c->disk,
		.state_fd = c->fd,
		.adopt = c->adopt,
	};

	c->result = model_image_open(image, &options[c->disk], error);
	if (c->result)
		return;
	image->flush_error = lost;
	c->result = xen_worker_attach(life->worker, &d, error);
	if (c->result)
		whole_close(image);
}

static int attach_as(unsigned int i, bool adopt, uint64_t base)
{
	struct call c = {
		.disk = i,
		.adopt = adopt,
		.fd = state_fd[i],
		.base = base,
	};

	error[0] = '\0';
	call(do_attach, &c);
	return c.result;
}

static void attach_disk(unsigned int i, bool adopt)
{
	if (attach_as(i, adopt, BASE + i * 0x200))
		fail_msg("%s", error);
}

static void do_disown(void *arg)
{
	const struct call *c = arg;

	xen_worker_disown(life->worker, DEVID + c->disk);
}

static void disown(unsigned int i)
{
	struct call c = { .disk = i };

	call(do_disown, &c);
}

static void do_detach(void *arg)
{
	const struct call *c = arg;

	xen_worker_detach(life->worker, DEVID + c->disk);
}

static void detach_disk(unsigned int i)
{
	struct call c = { .disk = i };
	unsigned int n = life->ended;

	call(do_detach, &c);
	wait_until(__atomic_load_n(&life->ended, __ATOMIC_ACQUIRE) == n + 1);
}

static bool awaits(unsigned int i)
{
	return xen_worker_awaits(life->worker, DEVID + i);
}

static void do_leave(void *arg)
{
	(void)arg;
	xen_worker_leave(&life->worker);
}

static void do_close(void *arg)
{
	(void)arg;
	xen_worker_close(&life->worker);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* ---- lives --------------------------------------------------------------- */

static void end_life(void)
{
	thread_loop_stop(&life->thread);
	for (int i = 0; i < DISKS; i++)
		if (life->image[i].fd >= 0)
			whole_close(&life->image[i]);
	life++;
	assert_true(life < lives + LIVES_MAX);
}

/* kill -9. What its engines have begun has been done to the file. */
static void kill_process(void)
{
	thread_loop_stop(&life->thread);
	for (int i = 0; i < DISKS; i++)
		if (life->image[i].fd >= 0)
			whole_kill(&life->image[i]);
	xenevtchn_close((xenevtchn_handle *)&dom);
	dom.pages = 0;
	life++;
	assert_true(life < lives + LIVES_MAX);
}

static void leave_process(void)
{
	call(do_leave, NULL);
	end_life();
}

/* The last one ends in the ordinary way, and nothing is left. */
static void close_process(void)
{
	struct ioreq_state *state;

	call(do_close, NULL);
	end_life();
	assert_int_equal(dom.servers, 0);
	assert_int_equal(dom.nranges, 0);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.events, 0);
	state = mmap(NULL, sizeof(*state), PROT_READ, MAP_SHARED, server_fd, 0);
	assert_ptr_not_equal(state, MAP_FAILED);
	assert_true(ioreq_state_is_empty(state));
	munmap(state, sizeof(*state));
}

static void release(void)
{
	hold(false);
	/* What was held has rung long ago. */
	call(nothing, NULL);
}

static void setup(void)
{
	life = lives;
	lost = 0;
	dom.exists = true;
	dom.domid = DOMID;
	server_fd = memfd_create("server", MFD_CLOEXEC);
	for (unsigned int i = 0; i < DISKS; i++) {
		state_fd[i] = memfd_create("disk", MFD_CLOEXEC);
		make_image(&disk[i]);
		options[i] = (struct disk_options){
			.file = disk[i].file,
			.engine = "threads",
			.queues = 1,
			.queue_size = 64,
		};
	}
}

static void finish(void)
{
	remove_images(disk, DISKS);
	close(server_fd);
	for (unsigned int i = 0; i < DISKS; i++)
		close(state_fd[i]);
}

/* A guest that uses its disks. */
static void start(unsigned int disks)
{
	setup();
	begin();
	for (unsigned int i = 0; i < disks; i++) {
		attach_disk(i, false);
		drive(&disk[i], i);
		assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 0), 0);
	}
}

static void adopt(unsigned int disks)
{
	begin();
	for (unsigned int i = 0; i < disks; i++) {
		assert_true(awaits(i));
		attach_disk(i, true);
		assert_false(awaits(i));
	}
}

static void works(unsigned int i)
{
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_OUT, 1), 0);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_FLUSH, 0), 0);
	assert_int_equal(request(&disk[i], VIRTIO_BLK_T_IN, 1), 0);
}

static void end(void)
{
	close_process();
	finish();
}

/* ---- requests ------------------------------------------------------------ */

/* Some writes and a read, which the store keeps. */
static void in_flight(struct driver *d, uint8_t pattern)
{
	hold(true);
	for (unsigned int i = 1; i <= WRITES; i++) {
		memset(request_at(d, i) + BLOCK_BYTES, pattern + (int)i,
		       BLOCK_BYTES);
		offer(d, i, VIRTIO_BLK_T_OUT, i);
	}
	kick(d);
	wait_held();
}

static void all_done(struct driver *d, unsigned int before, uint8_t pattern)
{
	uint8_t block[BLOCK_BYTES];
	int fd = open(d->file, O_RDONLY | O_CLOEXEC);

	wait_until(take_used(d) == before + WRITES);
	a_while();
	assert_int_equal(take_used(d), before + WRITES);
	for (unsigned int i = 1; i <= WRITES; i++) {
		assert_int_equal(request_at(d, i)[16], VIRTIO_BLK_S_OK);
		assert_int_equal(pread(fd, block, sizeof(block),
				       i * BLOCK_BYTES),
				 sizeof(block));
		for (unsigned int k = 0; k < sizeof(block); k++)
			assert_int_equal(block[k], (uint8_t)(pattern + i));
	}
	close(fd);
}

/* What was in flight is done, and told, although nobody comes with a kick. */
static void test_requests_in_flight(void)
{
	unsigned int done, irqs;

	start(2);
	done = disk[0].done;
	in_flight(&disk[0], 0x10);
	kill_process();
	adopt(2);
	wait_held();
	irqs = dom.irqs;
	release();
	all_done(&disk[0], done, 0x10);
	wait_until(__atomic_load_n(&dom.irqs, __ATOMIC_RELAXED) > irqs);
	works(0);
	works(1);
	end();
}

/*
 * The used elements were there and the interrupt was not: it is raised as soon
 * as the disk is adopted.
 */
static void test_interrupt_raised(void)
{
	unsigned int irqs;

	start(2);
	reg_write(0, VIRTIO_MMIO_INTERRUPT_ACK, 3);
	kill_process();
	begin();
	irqs = dom.irqs;
	attach_disk(0, true);
	assert_true(dom.irqs > irqs);
	/* Used buffers and the configuration: what is lost of either. */
	assert_int_equal(reg_read(0, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	attach_disk(1, true);
	works(0);
	works(1);
	end();
}

/*
 * The driver acknowledged what it knew of when the process died: what it is
 * told of now is not among that.
 */
static void test_interrupt_after_acknowledgement(void)
{
	unsigned int irqs;

	start(1);
	kill_process();
	assert_true(begin_access(0, register_of(0, VIRTIO_MMIO_INTERRUPT_ACK),
				 4, false, 3));
	irqs = dom.irqs;
	adopt(1);
	wait_until(answered(0));
	assert_true(dom.irqs > irqs);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	works(0);
	end();
}

/* To a driver that has not come far nothing is raised. */
static void test_no_interrupt_before_the_driver(void)
{
	unsigned int irqs;

	setup();
	begin();
	attach_disk(0, false);
	negotiate(0);
	irqs = dom.irqs;
	kill_process();
	adopt(1);
	assert_int_equal(dom.irqs, irqs);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 11);
	drive(&disk[0], 0);
	works(0);
	end();
}

/* Accesses wait for their own disk, which is adopted sooner or later. */
static void test_accesses_wait(void)
{
	start(2);
	kill_process();
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	begin();
	assert_true(begin_access(1, register_of(1, 0), 4, true, 0));
	a_while();
	assert_false(answered(0) || answered(1));
	attach_disk(1, true);
	wait_until(answered(1));
	assert_int_equal(dom.vcpu[1].value, 0x74726976);
	a_while();
	assert_false(answered(0));
	attach_disk(0, true);
	wait_until(answered(0));
	assert_int_equal(dom.vcpu[0].value, 0x74726976);
	works(0);
	end();
}

/* A reset waited for what is in flight, which ends with the process. */
static void test_reset_interrupted(void)
{
	start(1);
	in_flight(&disk[0], 0x20);
	assert_true(begin_access(1, register_of(0, VIRTIO_MMIO_STATUS), 4,
				 false, 0));
	a_while();
	assert_false(answered(1));
	kill_process();
	hold(false);
	adopt(1);
	wait_until(answered(1));
	assert_int_equal(reg_read(0, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[0], 0);
	works(0);
	end();
}

/* ---- leaving ------------------------------------------------------------- */

static void *release_later(void *arg)
{
	(void)arg;
	a_while();
	hold(false);
	return NULL;
}

/* What is in flight ends; nothing else does, and nothing is answered. */
static void test_leave(void)
{
	unsigned int done;
	pthread_t thread;

	start(2);
	done = disk[0].done;
	in_flight(&disk[0], 0x30);
	assert_int_equal(pthread_create(&thread, NULL, release_later, NULL), 0);
	leave_process();
	pthread_join(thread, NULL);
	assert_int_equal(dom.servers, 1);
	assert_true(dom.enabled);
	assert_int_equal(dom.nranges, 2);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.events, 0);
	assert_true(begin_access(0, register_of(1, 0), 4, true, 0));
	adopt(2);
	all_done(&disk[0], done, 0x30);
	wait_until(answered(0));
	works(0);
	works(1);
	end();
}

static void *leave_now(void *arg)
{
	(void)arg;
	call(do_leave, NULL);
	return NULL;
}

/* In a hurry: nothing is undone either, also while the store is waited for. */
static void test_abandon(void)
{
	unsigned int done;
	pthread_t thread;

	start(2);
	done = disk[0].done;
	in_flight(&disk[0], 0x60);
	xen_worker_abandon(life->worker);
	assert_int_equal(logged("to the next process"), 1);
	assert_true(dom.enabled);
	assert_int_equal(dom.nranges, 2);
	kill_process();
	adopt(2);
	wait_held();
	assert_int_equal(pthread_create(&thread, NULL, leave_now, NULL), 0);
	a_while();
	xen_worker_abandon(life->worker);
	assert_int_equal(logged("to the next process"), 2);
	assert_true(dom.enabled);
	assert_int_equal(dom.nranges, 2);
	hold(false);
	pthread_join(thread, NULL);
	end_life();
	adopt(2);
	all_done(&disk[0], done, 0x60);
	works(0);
	works(1);
	end();
}

/* One that is being detached, and one that was never adopted. */
static void test_leave_what_ends(void)
{
	struct call c = { .disk = 0 };
	pthread_t thread;

	start(2);
	kill_process();
	begin();
	attach_disk(0, true);
	in_flight(&disk[0], 0x40);
	call(do_detach, &c);
	assert_int_equal(pthread_create(&thread, NULL, release_later, NULL), 0);
	leave_process();
	pthread_join(thread, NULL);
	begin();
	assert_true(awaits(0) && awaits(1));
	/* It was taken away from its driver, which does not get it back. */
	assert_int_equal(attach_as(0, true, BASE), -ENODEV);
	assert_true(awaits(0));
	disown(0);
	assert_false(begin_access(0, register_of(0, 0), 4, true, 0));
	attach_disk(1, true);
	works(1);
	end();
}

/* ---- what the guest knows stays so --------------------------------------- */

static struct virtio_state *map_state(unsigned int i)
{
	void *p = mmap(NULL, sizeof(struct virtio_state),
		       PROT_READ | PROT_WRITE, MAP_SHARED, state_fd[i], 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void unmap_state(struct virtio_state *state)
{
	munmap(state, sizeof(*state));
}

static void test_flush_error_stays(void)
{
	struct virtio_state *state;

	start(1);
	state = map_state(0);
	assert_int_equal(state->blk.flush_error, 0);
	kill_process();
	state->blk.flush_error = -ENOSPC;
	unmap_state(state);
	adopt(1);
	assert_int_equal(logged("could not flush"), 1);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_IN, 1), 0);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_FLUSH, 0),
			 VIRTIO_BLK_S_IOERR);
	end();
}

/*
 * What a worker was told, and was killed before it noted it, whoever gives the
 * image knows; and from then on the state does.
 */
static void test_flush_error_is_noted(void)
{
	start(1);
	kill_process();
	lost = -ENOSPC;
	adopt(1);
	assert_int_equal(logged("could not flush"), 1);
	/* Also where nothing was flushed until then. */
	lost = 0;
	kill_process();
	adopt(1);
	assert_int_equal(request(&disk[0], VIRTIO_BLK_T_FLUSH, 0),
			 VIRTIO_BLK_S_IOERR);
	end();
}

/* Whatever is configured by now. */
static void test_other_options(void)
{
	start(1);
	kill_process();
	options[0].queues = 4;
	options[0].queue_size = 256;
	options[0].packed = true;
	options[0].discard = DISK_DISCARD_OFF;
	adopt(1);
	assert_int_equal(logged("started anew"), 1);
	reg_write(0, VIRTIO_MMIO_QUEUE_SEL, 0);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_QUEUE_NUM_MAX), 64);
	reg_write(0, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	works(0);
	kill_process();
	options[0].legacy = true;
	options[0].packed = false;
	adopt(1);
	assert_int_equal(logged("started anew"), 2);
	assert_int_equal(reg_read(0, VIRTIO_MMIO_VERSION), 2);
	works(0);
	/* Without a change there is nothing to say. */
	kill_process();
	options[0] = (struct disk_options){
		.file = disk[0].file,
		.engine = "auto",
		.queues = 1,
		.queue_size = 64,
	};
	adopt(1);
	assert_int_equal(logged("started anew"), 2);
	works(0);
	end();
}

/* ---- what is refused ----------------------------------------------------- */

/* Refused with a sentence; the disk is awaited as before. */
static void is_refused(unsigned int i, int why)
{
	assert_int_equal(attach_as(i, true, BASE + i * 0x200), why);
	assert_true(strlen(error) > 20);
	print_message("# %s\n", error);
	assert_true(awaits(i));
	assert_int_equal(dom.nranges, 2);
}

static void test_state_refused(void)
{
	struct virtio_state *state, good;
	struct stat file;

	start(2);
	kill_process();
	begin();
	attach_disk(1, true);
	state = map_state(0);
	good = *state;
	state->header.magic = 0;
	is_refused(0, -EINVAL);
	*state = good;
	state->header.version++;
	is_refused(0, -EOPNOTSUPP);
	*state = good;
	state->header.nqueues = 17;
	is_refused(0, -EINVAL);
	state->header.nqueues = 0;
	is_refused(0, -EINVAL);
	*state = good;
	state->header.queue_size_max = 63;
	is_refused(0, -EINVAL);
	state->header.queue_size_max = 2048;
	is_refused(0, -EINVAL);
	*state = good;
	state->header.layout = 3;
	is_refused(0, -EINVAL);
	state->header.layout = 4;
	is_refused(0, -EINVAL);
	*state = good;
	state->transport.base += 8;
	is_refused(0, -EINVAL);
	*state = good;
	state->transport.irq++;
	is_refused(0, -EINVAL);
	*state = good;
	/* As long as it says, or nothing is touched. */
	assert_int_equal(fstat(state_fd[0], &file), 0);
	for (off_t n = file.st_size - 1; n > 0; n -= 1 + n / 4) {
		assert_int_equal(ftruncate(state_fd[0], n), 0);
		is_refused(0, n < (off_t)sizeof(good) ? -EINVAL : -ENODATA);
	}
	assert_int_equal(ftruncate(state_fd[0], file.st_size), 0);
	*state = good;
	unmap_state(state);
	works(1);
	/* It was the last one that was missing. */
	attach_disk(0, true);
	assert_int_equal(reg_read(0, 0), 0x74726976);
	end();
}

/* The guest has lost it; the other one stays. */
static void test_disown(void)
{
	start(2);
	in_flight(&disk[0], 0x50);
	kill_process();
	hold(false);
	assert_true(begin_access(0, register_of(0, 0), 4, true, 0));
	begin();
	attach_disk(1, true);
	disown(0);
	wait_until(answered(0));
	assert_int_equal((uint32_t)dom.vcpu[0].value, UINT32_MAX);
	assert_int_equal(dom.nranges, 1);
	works(1);
	/* What is attached as a new one is disowned, if it was awaited. */
	kill_process();
	begin();
	attach_disk(0, false);
	assert_true(awaits(1));
	attach_disk(1, false);
	assert_int_equal(reg_read(1, VIRTIO_MMIO_STATUS), 0);
	drive(&disk[0], 0);
	drive(&disk[1], 1);
	works(0);
	works(1);
	end();
}

/* All are disowned: so is the server, and the next disk gets another. */
static void test_disown_all(void)
{
	start(2);
	kill_process();
	begin();
	disown(0);
	assert_int_equal(dom.servers, 1);
	disown(1);
	assert_int_equal(dom.servers, 0);
	attach_disk(0, true); /* which nobody has seen */
	drive(&disk[0], 0);
	works(0);
	detach_disk(0);
	assert_int_equal(dom.servers, 0);
	attach_disk(1, false);
	drive(&disk[1], 1);
	works(1);
	end();
}

static void server_refused(int why)
{
	unsigned int servers = dom.servers;

	assert_int_equal(begin_with(server_fd), why);
	assert_true(strlen(error) > 20);
	print_message("# %s\n", error);
	assert_false(awaits(0));
	assert_int_equal(dom.servers, servers);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.nranges, 2);
}

static void test_server_refused(void)
{
	struct ioreq_state *state, good;

	start(2);
	kill_process();
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED,
		     server_fd, 0);
	assert_ptr_not_equal(state, MAP_FAILED);
	good = *state;
	state->version++;
	server_refused(-EOPNOTSUPP);
	*state = good;
	state->domid++;
	server_refused(-EINVAL);
	*state = good;
	state->nvcpus++;
	server_refused(-EINVAL);
	*state = good;
	state->window[1].base = state->window[0].base;
	server_refused(-EINVAL);
	*state = good;
	assert_int_equal(ftruncate(server_fd, sizeof(good) - 1), 0);
	server_refused(-ENODATA);
	assert_int_equal(ftruncate(server_fd, sizeof(good)), 0);
	*state = good;
	munmap(state, sizeof(*state));
	/* Nothing is lost by the attempts. */
	adopt(2);
	works(0);
	works(1);
	end();
}

/* The server is gone, with what was known of it: all begins anew. */
static void test_server_gone(void)
{
	start(1);
	kill_process();
	xs_lock();
	destroy_server();
	xs_unlock();
	begin();
	assert_int_equal(logged("is gone"), 1);
	assert_false(awaits(0));
	attach_disk(0, true);
	drive(&disk[0], 0);
	works(0);
	kill_process();
	adopt(1);
	works(0);
	end();
}

/* Without files all is as long as the process. */
static void test_without_files(void)
{
	setup();
	assert_int_equal(begin_with(-1), 0);
	state_fd[0] = -1;
	attach_disk(0, false);
	drive(&disk[0], 0);
	works(0);
	detach_disk(0);
	assert_int_equal(dom.servers, 0);
	/* Another guest, which has one. */
	begin();
	attach_disk(1, false);
	drive(&disk[1], 1);
	works(1);
	end();
}

/* ---- many deaths --------------------------------------------------------- */

static void test_killed_again_and_again(void)
{
	unsigned int rnd = 7;

	start(2);
	for (unsigned int round = 0; round < LIVES_MAX - 2; round++) {
		struct driver *d = &disk[round % 2];
		unsigned int done = d->done;

		in_flight(d, (uint8_t)(round * 8));
		rnd = rnd * 1103515245 + 12345;
		/* Some are killed while nobody has seen what was done. */
		if (rnd >> 16 & 1)
			hold(false);
		kill_process();
		/* After so many the next process waits for each request. */
		if (round >= CAREFUL)
			hold(false);
		adopt(2);
		release();
		all_done(d, done, (uint8_t)(round * 8));
	}
	works(0);
	works(1);
	end();
}

/* ---- a request that ends the process ------------------------------------- */

static struct virtio_state *state_of(unsigned int i)
{
	struct virtio_state *state = mmap(NULL, STATE_BYTES,
					  PROT_READ | PROT_WRITE, MAP_SHARED,
					  state_fd[i], 0);

	assert_ptr_not_equal(state, MAP_FAILED);
	return state;
}

/* `alone` of what the disk's first queue had popped first. */
static uint32_t first_in_flight(const struct virtio_state *state)
{
	const struct virtq_inflight *area = (const void *)(state + 1);
	uint32_t first = 0;

	for (uint32_t i = 0; i < area->desc_num; i++)
		if (area->desc[i].inflight &&
		    (first == 0 ||
		     area->desc[i].counter < area->desc[first - 1].counter))
			first = i + 1;
	assert_true(first);
	return first;
}

static void die_in_a_row(void)
{
	for (unsigned int i = 0; i < CAREFUL; i++) {
		kill_process();
		adopt(2);
		wait_held();
	}
	kill_process();
	hold(false);
}

/* One by one, where the last ones ended soon; and none of them is lost. */
static void test_one_by_one(void)
{
	unsigned int done;

	start(2);
	done = disk[0].done;
	in_flight(&disk[0], 0x30);
	die_in_a_row();
	adopt(2);
	assert_int_equal(logged("one by one"), 2);
	all_done(&disk[0], done, 0x30);
	works(0);
	works(1);
	end();
}

/* What the process before ended on is answered, the others are done. */
static void test_bad_request(void)
{
	struct virtio_state *state;
	unsigned int done;

	start(2);
	done = disk[0].done;
	in_flight(&disk[0], 0x40);
	die_in_a_row();
	state = state_of(0);
	state->blk.alone = first_in_flight(state);
	state->blk.deaths = 2;
	munmap(state, STATE_BYTES);
	adopt(2);
	wait_until(take_used(&disk[0]) == done + WRITES);
	assert_int_equal(request_at(&disk[0], 1)[16], VIRTIO_BLK_S_IOERR);
	for (unsigned int i = 2; i <= WRITES; i++)
		assert_int_equal(request_at(&disk[0], i)[16], VIRTIO_BLK_S_OK);
	assert_int_equal(logged("have ended on this request"), 1);
	works(0);
	works(1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_one_by_one),
		host_test(test_bad_request),
		host_test(test_requests_in_flight),
		host_test(test_interrupt_raised),
		host_test(test_interrupt_after_acknowledgement),
		host_test(test_no_interrupt_before_the_driver),
		host_test(test_accesses_wait),
		host_test(test_reset_interrupted),
		host_test(test_leave),
		host_test(test_abandon),
		host_test(test_leave_what_ends),
		host_test(test_flush_error_stays),
		host_test(test_flush_error_is_noted),
		host_test(test_other_options),
		host_test(test_state_refused),
		host_test(test_disown),
		host_test(test_disown_all),
		host_test(test_server_refused),
		host_test(test_server_gone),
		host_test(test_without_files),
		host_test(test_killed_again_and_again),
	};

	return cmocka_run_group_tests_name("xen_worker", tests, NULL, NULL);
}

#else
#include "lib/model_needs_xen.h"
#endif
