/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_worker.h"

#include <sys/eventfd.h>

#include "block/sync.h"
#include "config/keys.h"
#include "lib/model_domain.h"
#include "worker/server.h"

enum { WORKERS_MAX = 32, MAPS_MAX = 256, OPEN_MAX_FDS = 2 * DISKS_MAX };

/* Of a file, whose locks it holds. */
struct map {
	void *memory;
	size_t size;
};

struct life {
	struct worker_server_owner owner;
	struct worker_server *server;
	struct loop loop;
	struct loop_source killed; /* eventfd */
	pthread_t thread;
	int link;
	const struct block_image *image[DISKS_MAX];
	unsigned int nimages;
	struct map map[MAPS_MAX];
	unsigned int nmaps;
	bool dead;   /* it was killed; atomic */
	bool stands; /* ... and does nothing any more; atomic */
	bool buried; /* by somebody; atomic */
	bool over;   /* it is no more; atomic */
	const char *how;
};

static struct {
	struct worker_starter starter;
	struct loop *loop; /* the monitor's */
	struct loop_source gone;
	struct life *life[WORKERS_MAX]; /* the last one is the present one */
	unsigned int started, told;
	const char *holds; /* a file; atomic */
	bool hides;
	int in_flight[OPEN_MAX_FDS];
	unsigned int nin_flight;
} model;

static __thread struct life *me;

static struct life *present(void)
{
	return model.started ? model.life[model.started - 1] : NULL;
}

static bool is(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void ring(int fd)
{
	const uint64_t one = 1;

	must(write(fd, &one, sizeof(one)) == sizeof(one));
}

/* ---- the end of one ---- */

static void end(struct life *life, const char *how)
{
	life->how = how;
	__atomic_store_n(&life->over, true, __ATOMIC_RELEASE);
	if (!is(&model.hides))
		ring(model.gone.fd);
}

static bool is_held(int fd)
{
	const char *file = __atomic_load_n(&model.holds, __ATOMIC_ACQUIRE);
	struct stat a, b;

	return file && !stat(file, &a) && !fstat(fd, &b) &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void end_descriptor(int fd)
{
	if (fd < 0)
		return;
	if (is_held(fd))
		model.in_flight[model.nin_flight++] = fd;
	else
		close(fd);
}

/* It stands still: what its process had is no more. */
static void bury(struct life *life)
{
	/* The monitor kills what the test does, when it sees it die. */
	if (__atomic_exchange_n(&life->buried, true, __ATOMIC_ACQ_REL)) {
		wait_until(is(&life->over));
		return;
	}
	for (unsigned int i = 0; i < life->nimages; i++) {
		const struct block_image *image = life->image[i];

		if (image->fd < 0)
			continue;
		if (image->sync)
			end_descriptor(block_sync_fd(image->sync));
		end_descriptor(image->fd);
	}
	/* A thread of its own may look at it still. */
	for (unsigned int i = 0; i < life->nmaps; i++)
		must(mmap(life->map[i].memory, life->map[i].size, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			  0) != MAP_FAILED);
	close(life->link);
	if (dom.events)
		xenevtchn_close((xenevtchn_handle *)&dom);
	dom.pages = 0;
	end(life, "killed by signal 9 (Killed)");
}

static _Noreturn void stand_still(void)
{
	__atomic_store_n(&me->stands, true, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

_Noreturn void worker_die(void)
{
	struct life *life = me;

	__atomic_store_n(&life->dead, true, __ATOMIC_RELEASE);
	bury(life);
	stand_still();
}

void worker_passes(void)
{
	if (me && is(&me->dead))
		stand_still();
}

static void killed(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	worker_passes();
}

static void kill_life(struct life *life)
{
	if (is(&life->over))
		return;
	__atomic_store_n(&life->dead, true, __ATOMIC_RELEASE);
	ring(life->killed.fd);
	wait_until(is(&life->stands) || is(&life->over));
	if (!is(&life->over))
		bury(life);
}

void worker_kill(void)
{
	wait_until(present() && !is(&present()->over));
	kill_life(present());
}

void worker_holds(const char *file)
{
	__atomic_store_n(&model.holds, file, __ATOMIC_RELEASE);
	while (!file && model.nin_flight)
		close(model.in_flight[--model.nin_flight]);
}

void worker_hides(bool on)
{
	__atomic_store_n(&model.hides, on, __ATOMIC_RELEASE);
	if (!on)
		ring(model.gone.fd);
}

unsigned int workers_started(void)
{
	return __atomic_load_n(&model.started, __ATOMIC_ACQUIRE);
}

unsigned int workers_gone(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < workers_started(); i++)
		n += is(&model.life[i]->over);
	return n;
}

/* ---- its life ---- */

int __wrap_block_image_open(struct block_image *image, struct block_part *part,
			    char error[BLOCK_ERROR_MAX])
{
	int r = __real_block_image_open(image, part, error);

	if (r || !me)
		return r;
	for (unsigned int i = 0; i < me->nimages; i++)
		if (me->image[i] == image)
			return r;
	must(me->nimages < DISKS_MAX);
	me->image[me->nimages++] = image;
	return r;
}

int __wrap_shared_file_map(void **memory, int fd, size_t size)
{
	int r = __real_shared_file_map(memory, fd, size);

	if (r || !me)
		return r;
	must(me->nmaps < MAPS_MAX);
	me->map[me->nmaps++] = (struct map){ *memory, size };
	return r;
}

int __wrap_munmap(void *memory, size_t size)
{
	for (unsigned int i = 0; me && i < me->nmaps; i++) {
		if (me->map[i].memory != memory)
			continue;
		me->map[i] = me->map[--me->nmaps];
		break;
	}
	return __real_munmap(memory, size);
}

static void ended(struct worker_server_owner *owner)
{
	loop_quit(&container_of(owner, struct life, owner)->loop);
}

static void *live(void *arg)
{
	struct life *life = arg;

	me = life;
	life->owner.ended = ended;
	life->killed.ready = killed;
	life->killed.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(loop_init(&life->loop) == 0 &&
	     loop_add(&life->loop, &life->killed, EPOLLIN) == 0);
	if (worker_server_open(&life->server, &life->loop, life->link,
			       &life->owner)) {
		end(life, "exit status 1");
		return NULL;
	}
	must(loop_run(&life->loop) == 0);
	worker_server_free(&life->server);
	loop_finish(&life->loop);
	end(life, "exit status 0");
	return NULL;
}

static int start(struct worker_starter *starter, unsigned int domid, int fd)
{
	struct life *life = calloc(1, sizeof(*life));

	(void)starter;
	(void)domid;
	must(life && model.started < WORKERS_MAX);
	must(!present() || is(&present()->over));
	life->link = fd;
	model.life[model.started] = life;
	must(!pthread_create(&life->thread, NULL, live, life));
	__atomic_store_n(&model.started, model.started + 1, __ATOMIC_RELEASE);
	return 0;
}

static void kill_present(struct worker_starter *starter)
{
	(void)starter;
	kill_life(present());
}

static int wait_for_end(struct worker_starter *starter, uint64_t ns)
{
	(void)starter;
	(void)ns;
	wait_until(is(&present()->over));
	model.told = model.started;
	return 0;
}

static void abandon(struct worker_starter *starter)
{
	(void)starter;
}

static const struct worker_starter_ops ops = {
	.start = start,
	.kill = kill_present,
	.wait = wait_for_end,
	.abandon = abandon,
};

static void gone(struct loop_source *source, uint32_t events)
{
	uint64_t n;

	(void)events;
	must(read(source->fd, &n, sizeof(n)) == sizeof(n));
	if (model.told == model.started || !is(&present()->over))
		return;
	model.told = model.started;
	worker_starter_tell_gone(&model.starter, present()->how);
}

struct worker_starter *__wrap_worker_local(struct loop *loop)
{
	model.starter = (struct worker_starter){ .ops = &ops };
	model.loop = loop;
	/* That of the program before is closed with its loop, never read. */
	model.gone.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	model.gone.ready = gone;
	must(loop_add(loop, &model.gone, EPOLLIN) == 0);
	return &model.starter;
}
