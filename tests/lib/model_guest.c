/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include <dirent.h>

#include "lib/model_guest.h"

/* ---- a vCPU -------------------------------------------------------------- */

void fill_slot(unsigned int v, uint8_t type, uint64_t addr, uint32_t size,
	       bool read, uint64_t data)
{
	ioreq_t *req = &dom.page[v];

	must(req->state == STATE_IOREQ_NONE && !dom.vcpu[v].busy);
	dom.vcpu[v].busy = true;
	dom.vcpu[v].stuck = false;
	req->addr = addr;
	req->data = data;
	req->count = 1;
	req->size = size;
	req->data_is_ptr = 0;
	req->dir = read;
	req->df = 0;
	req->type = type;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	req->state = STATE_IOREQ_READY;
	send_event(v);
}

bool begin_access(unsigned int v, uint64_t addr, uint32_t size, bool read,
		  uint64_t data)
{
	bool found = false;

	xs_lock();
	take_unmasked();
	for (unsigned int i = 0; dom.enabled && i < dom.nranges; i++)
		found |= addr >= dom.range[i].first &&
			 addr + size - 1 <= dom.range[i].last;
	if (found)
		fill_slot(v, IOREQ_TYPE_COPY, addr, size, read, data);
	xs_unlock();
	return found;
}

bool answered(unsigned int v)
{
	bool done;

	xs_lock();
	take_unmasked();
	done = !dom.vcpu[v].busy;
	if (dom.vcpu[v].stuck)
		give_up("vCPU %u's access was never answered", v);
	xs_unlock();
	return done;
}

bool stuck(unsigned int v)
{
	bool is;

	xs_lock();
	is = dom.vcpu[v].stuck;
	xs_unlock();
	return is;
}

uint64_t register_of(unsigned int disk, uint64_t offset)
{
	return BASE + disk * UINT64_C(0x200) + offset;
}

uint32_t reg_read(unsigned int disk, uint64_t offset)
{
	assert_true(begin_access(0, register_of(disk, offset), 4, true, 0));
	wait_until(answered(0));
	return (uint32_t)dom.vcpu[0].value;
}

void reg_write(unsigned int disk, uint64_t offset, uint32_t value)
{
	assert_true(
		begin_access(0, register_of(disk, offset), 4, false, value));
	wait_until(answered(0));
}

bool is_dead(unsigned int disk)
{
	return reg_read(disk, VIRTIO_MMIO_MAGIC_VALUE) == UINT32_MAX &&
	       reg_read(disk, VIRTIO_MMIO_STATUS) == UINT32_MAX &&
	       reg_read(disk, VIRTIO_MMIO_CONFIG) == UINT32_MAX;
}

/* ---- a disk's driver ----------------------------------------------------- */

void negotiate(unsigned int disk)
{
	const uint64_t features = VIRTIO_FEATURE(VIRTIO_F_VERSION_1) |
				  VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) |
				  VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);

	reg_write(disk, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
	reg_write(disk, VIRTIO_MMIO_STATUS,
		  VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	for (uint32_t sel = 0; sel < 2; sel++) {
		reg_write(disk, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
		reg_write(disk, VIRTIO_MMIO_DRIVER_FEATURES,
			  (uint32_t)(features >> (32 * sel)));
	}
	reg_write(disk, VIRTIO_MMIO_STATUS,
		  VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			  VIRTIO_STATUS_FEATURES_OK);
}

void drive(struct driver *d, unsigned int disk)
{
	const uint64_t at = MODEL_BASE + disk * (uint64_t)DISK_AREA;

	d->disk = disk;
	d->data = at + DATA_AT;
	d->done = 0;
	model_ring_init(&d->ring, &dom.memory, at, RING_SIZE);
	negotiate(disk);
	reg_write(disk, VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(disk, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
	reg_write(disk, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)d->ring.desc_at);
	reg_write(disk, VIRTIO_MMIO_QUEUE_DRIVER_LOW,
		  (uint32_t)d->ring.avail_at);
	reg_write(disk, VIRTIO_MMIO_QUEUE_DEVICE_LOW,
		  (uint32_t)d->ring.used_at);
	reg_write(disk, VIRTIO_MMIO_QUEUE_READY, 1);
	reg_write(disk, VIRTIO_MMIO_STATUS,
		  reg_read(disk, VIRTIO_MMIO_STATUS) | VIRTIO_STATUS_DRIVER_OK);
}

uint8_t *request_at(const struct driver *d, unsigned int slot)
{
	return model_at(&dom.memory, d->data + slot * (uint64_t)SLOT_BYTES,
			SLOT_BYTES);
}

void offer(struct driver *d, unsigned int slot, uint32_t type, uint64_t block)
{
	const uint64_t at = d->data + slot * (uint64_t)SLOT_BYTES;
	const struct virtio_blk_header h = {
		.type = type,
		.sector = block * (BLOCK_BYTES / 512),
	};
	const bool flush = type == VIRTIO_BLK_T_FLUSH;
	const struct model_buf bufs[] = {
		{ at, 16, false },
		{ at + BLOCK_BYTES, flush ? 0 : BLOCK_BYTES,
		  type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID },
		{ at + 16, 1, true },
	};
	uint8_t *p = request_at(d, slot);

	memcpy(p, &h, sizeof(h));
	p[16] = 0xee;
	model_offer(&d->ring, bufs, 3);
}

void kick(const struct driver *d)
{
	reg_write(d->disk, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

unsigned int take_used(struct driver *d)
{
	struct vring_used_elem elem;

	while (model_used(&d->ring, &elem))
		d->done++;
	return d->done;
}

uint8_t request(struct driver *d, uint32_t type, uint64_t block)
{
	unsigned int done = d->done;

	offer(d, 0, type, block);
	kick(d);
	wait_until(take_used(d) == done + 1);
	return request_at(d, 0)[16];
}

/* ---- the toolstack ------------------------------------------------------- */

const char *node(unsigned int disk, const char *name)
{
	static char path[4][XS_PATH_MAX];
	static unsigned int next;
	char *p = path[next++ % 4];

	snprintf(p, XS_PATH_MAX, "backend/virtio_disk/%u/%u%s%s", dom.domid,
		 DEVID + disk, *name ? "/" : "", name);
	return p;
}

void make_image(struct driver *d)
{
	/* In memory, if possible: no limit waits for somebody else's disk. */
	const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int fd;

	snprintf(d->file, sizeof(d->file), "%s/virtio-disk-XXXXXX", dir);
	fd = mkstemp(d->file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
	close(fd);
}

void make_directory(unsigned int disk, const char *file)
{
	xs_lock();
	tool_write(node(disk, "params"), "%s", file);
	tool_write(node(disk, "dev"), "xvd%c", 'a' + disk);
	tool_write(node(disk, "mode"), "w");
	tool_write(node(disk, "base"), "%u", BASE + disk * 0x200);
	tool_write(node(disk, "irq"), "%u", IRQ + disk);
	tool_write(node(disk, "grant_usage"), "0");
	tool_write(node(disk, "discard-enable"), "1");
	tool_write(node(disk, "online"), "1");
	tool_write(node(disk, "state"), "1");
	xs_unlock();
}

void attach(struct driver *d, unsigned int disk)
{
	if (!d->file[0])
		make_image(d);
	make_directory(disk, d->file);
	wait_until(tool_is(node(disk, "state"), "2"));
}

void ask_detach(unsigned int disk)
{
	xs_lock();
	tool_write(node(disk, "online"), "0");
	tool_write(node(disk, "state"), "5");
	xs_unlock();
}

void detach(unsigned int disk)
{
	ask_detach(disk);
	wait_until(tool_is(node(disk, "state"), "6"));
	tool_remove(node(disk, ""));
}

void introduce(unsigned int domid)
{
	char path[XS_PATH_MAX];

	xs_lock();
	dom.domid = domid;
	dom.exists = true;
	dom.life = 0;
	xs.introduced[domid] = true;
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	tool_write(path, "web");
	snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
	tool_write(path, "/vm/1");
	xs_fire("@introduceDomain");
	xs_unlock();
}

static unsigned int looks(void)
{
	unsigned int n;

	xs_lock();
	n = dom.looks;
	xs_unlock();
	return n;
}

void shut_down_for_reboot(void)
{
	unsigned int before;

	xs_lock();
	before = dom.looks;
	dom.life = LIFE_REBOOT;
	xs_fire("@releaseDomain");
	xs_unlock();
	wait_until(looks() != before);
}

void destroy_domain(void)
{
	xs_lock();
	dom.life = LIFE_DYING;
	xs_fire("@releaseDomain");
	xs_unlock();
}

/* ---- the program --------------------------------------------------------- */

static void *program_thread(void *unused)
{
	static char name[] = "virtio-disk", option[] = "--domain",
		    domain[] = "web", disk[] = "--disk",
		    foreground[] = "--foreground";
	static char config[] = "--config", state_dir[] = "--state-dir",
		    end[] = "--end", leave[] = "leave", detach[] = "detach";
	char *argv[15] = { name,
			   option,
			   dom.wanted ? (char *)dom.wanted : domain,
			   foreground,
			   state_dir,
			   (char *)dom.states,
			   end,
			   dom.leaves ? leave : detach };
	int argc = 8;

	(void)unused;
	optind = 0;
	for (int i = 0; i < 2 && dom.disk_option[i]; i++) {
		argv[argc++] = disk;
		argv[argc++] = (char *)dom.disk_option[i];
	}
	if (dom.config) {
		argv[argc++] = config;
		argv[argc++] = (char *)dom.config;
	}
	return (void *)(intptr_t)program_main(argc, argv);
}

void program_start(void)
{
	sigset_t set;

	/* Signals are the program's. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	must(pthread_create(&dom.program, NULL, program_thread, NULL) == 0);
	dom.running = true;
}

void ask_end(void)
{
	kill(getpid(), SIGTERM);
}

bool program_ended(void)
{
	struct timespec limit;
	void *status;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += WAIT_S;
	if (pthread_timedjoin_np(dom.program, &status, &limit))
		give_up("the program does not end");
	dom.running = false;
	return status == NULL;
}

void check_clean(void)
{
	assert_int_equal(dom.servers, 0);
	assert_int_equal(dom.pages, 0);
	assert_int_equal(dom.nranges, 0);
	assert_int_equal(dom.events, 0);
	assert_null(xs.client);
	/* Nor for the next one. */
	assert_true(rmdir(dom.states) == 0 && mkdir(dom.states, 0700) == 0);
	for (unsigned int v = 0; v < VCPUS; v++) {
		assert_false(dom.vcpu[v].bound);
		assert_false(dom.vcpu[v].busy);
	}
}

void end_program(void)
{
	ask_end();
	assert_true(program_ended());
	check_clean();
}

/* ---- a test's beginning and end ------------------------------------------ */

static char states[] = "/tmp/virtio-disk-states-XXXXXX";

static void host_start(void)
{
	struct model_memory *mem = &dom.memory;

	memset(&dom, 0, sizeof(dom));
	tool_start();
	dom.states = states;
	dom.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	dom.page_fd = memfd_create("ioreq", MFD_CLOEXEC);
	must(!ftruncate(dom.memory_fd, MEMORY_BYTES) &&
	     !ftruncate(dom.page_fd, MODEL_PAGE));
	mem->bytes = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED, dom.memory_fd, 0);
	dom.page = mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			dom.page_fd, 0);
	must(mem->bytes != MAP_FAILED && (void *)dom.page != MAP_FAILED);
	mem->base = MODEL_BASE;
	mem->size = MEMORY_BYTES;
	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			 dom.fd));
}

static void host_stop(void)
{
	must(!dom.running);
	munmap(dom.memory.bytes, MEMORY_BYTES);
	munmap(dom.page, MODEL_PAGE);
	close(dom.memory_fd);
	close(dom.page_fd);
	close(dom.fd[0]);
	close(dom.fd[1]);
	tool_stop();
}

int in_child(void (*f)(void))
{
	char remove[sizeof(states) + 16];
	int status;
	pid_t pid;

	/* It may end badly, and with a guest that waits for the next one. */
	strcpy(states + strlen(states) - 6, "XXXXXX");
	must(mkdtemp(states));
	fflush(NULL);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A failed assertion must not go on with the next test. */
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		host_start();
		f();
		host_stop();
		exit(0);
	}
	/* Its own waits have the limits. */
	must(waitpid(pid, &status, 0) == pid);
	snprintf(remove, sizeof(remove), "rm -rf %s", states);
	must(system(remove) == 0);
	return status;
}

void run_host_test(void **state)
{
	assert_int_equal(in_child(*(void (**)(void)) * state), 0);
}

void start_disks(struct driver *disk, unsigned int n)
{
	introduce(DOMID);
	program_start();
	for (unsigned int i = 0; i < n; i++) {
		attach(&disk[i], i);
		drive(&disk[i], i);
	}
}

void remove_states(void)
{
	char path[128], name[256];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%u", dom.states, dom.domid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		snprintf(name, sizeof(name), "%s/%.100s", path, e->d_name);
		unlink(name);
	}
	closedir(dir);
	assert_int_equal(rmdir(path), 0);
}

void remove_images(const struct driver *disk, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (disk[i].file[0])
			unlink(disk[i].file);
}
