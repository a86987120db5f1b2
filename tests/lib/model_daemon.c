/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/model_daemon.h"

#include "monitor/vhost_disk.h"
#include "worker/vhost_local.h"

static char model_folder[64];

int model_make_folder(void **state)
{
	(void)state;
	strcpy(model_folder, "/tmp/virtio-disk-daemon.XXXXXX");
	return mkdtemp(model_folder) ? 0 : -1;
}

int model_remove_folder(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/image", model_folder);
	unlink(path);
	return rmdir(model_folder);
}

void model_path(char *to, size_t size, const char *name)
{
	snprintf(to, size, "%s/%s", model_folder, name);
}

void model_image(char *to, size_t size, off_t bytes)
{
	int fd;

	model_path(to, size, "image");
	fd = open(to, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

/* ---- the daemon ---- */

static void daemon_limit(bool full)
{
	struct rlimit limit;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && !full)
		fd = 0;
	if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit))
		_exit(99);
	limit.rlim_cur = full ? (rlim_t)fd : limit.rlim_max;
	if (fd)
		close(fd);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		_exit(99);
}

static void daemon_ordered(struct loop_source *source, uint32_t events)
{
	struct daemon_self *self = container_of(source, struct daemon_self,
						control);
	char order = 0;

	(void)events;
	if (read(source->fd, &order, 1) != 1)
		_exit(98); /* the test has gone */
	if (order == DAEMON_QUIT)
		loop_quit(&self->loop);
	else if (order == DAEMON_ABANDON)
		vhost_disk_abandon();
	else if (order == DAEMON_FULL || order == DAEMON_ROOM)
		daemon_limit(order == DAEMON_FULL);
	else if (order == DAEMON_SLEEPS &&
		 write(source->fd, &self->loop.sleeps, 8) != 8)
		_exit(98);
	if (order == DAEMON_FULL || order == DAEMON_ROOM)
		if (write(source->fd, &order, 1) != 1)
			_exit(98);
}

static void daemon_run(const struct options *options, int control)
{
	struct daemon_self self = {
		.control = { .fd = control, .ready = daemon_ordered },
	};

	/* Nothing of it may outlive the test. */
	alarm(4 * MODEL_WAIT_S);
	if (loop_init(&self.loop) ||
	    loop_add(&self.loop, &self.control, EPOLLIN))
		_exit(97);
	_exit(vhost_disk_serve(&self.loop, options, vhost_local(&self.loop)));
}

void daemon_start(struct daemon *d, const struct options *options)
{
	int control[2], log[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
	assert_int_equal(pipe2(log, O_CLOEXEC), 0);
	d->nsaid = 0;
	d->said[0] = '\0';
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (d->pid == 0) {
		dup2(log[1], STDERR_FILENO);
		close(log[0]);
		close(log[1]);
		close(control[0]);
		daemon_run(options, control[1]);
	}
	close(log[1]);
	close(control[1]);
	d->control = control[0];
	d->log = log[0];
}

/* Hear what it says: false when there is nothing for `ms`. */
static bool daemon_hear(struct daemon *d, int ms)
{
	struct pollfd p = { .fd = d->log, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return false;
	n = read(d->log, d->said + d->nsaid, sizeof(d->said) - 1 - d->nsaid);
	if (n <= 0)
		return false;
	d->nsaid += (size_t)n;
	d->said[d->nsaid] = '\0';
	return true;
}

void daemon_says(struct daemon *d, const char *text)
{
	uint64_t until = clock_ns() + MODEL_WAIT_S * NS_PER_SECOND;

	/* Of other things it may speak for ever. */
	while (!strstr(d->said, text))
		if (!daemon_hear(d, MODEL_WAIT_S * 1000) ||
		    clock_ns() > until) {
			print_error("no \"%s\" in:\n%s", text, d->said);
			fail();
		}
}

unsigned int daemon_said(struct daemon *d, const char *text)
{
	unsigned int n = 0;

	while (daemon_hear(d, 0))
		continue;
	for (const char *at = d->said; (at = strstr(at, text)); at++)
		n++;
	return n;
}

void daemon_order(struct daemon *d, enum daemon_order order)
{
	char c = (char)order;

	assert_int_equal(write(d->control, &c, 1), 1);
	if (order != DAEMON_FULL && order != DAEMON_ROOM)
		return;
	assert_int_equal(read(d->control, &c, 1), 1);
}

uint64_t daemon_sleeps(struct daemon *d)
{
	struct pollfd p = { .fd = d->control, .events = POLLIN };
	uint64_t n;

	daemon_order(d, DAEMON_SLEEPS);
	/* It may stand still where no order is heard. */
	assert_int_equal(poll(&p, 1, MODEL_WAIT_S * 1000), 1);
	assert_int_equal(read(d->control, &n, sizeof(n)), sizeof(n));
	return n;
}

int daemon_ended(struct daemon *d)
{
	uint64_t until = clock_ns() + MODEL_WAIT_S * NS_PER_SECOND;
	int status;

	while (waitpid(d->pid, &status, WNOHANG) != d->pid) {
		daemon_hear(d, 10);
		if (clock_ns() > until) {
			print_error("does not end; it said:\n%s", d->said);
			kill(d->pid, SIGKILL);
			fail();
		}
	}
	while (daemon_hear(d, 0))
		continue;
	close(d->control);
	close(d->log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void daemon_stop(struct daemon *d)
{
	daemon_order(d, DAEMON_QUIT);
	assert_int_equal(daemon_ended(d), 0);
}

void daemon_kill(struct daemon *d)
{
	kill(d->pid, SIGKILL);
	assert_int_equal(daemon_ended(d), 256 + SIGKILL);
}

/* ---- a front end ---- */

int model_connect(const char *path)
{
	struct timeval limit = { .tv_sec = MODEL_WAIT_S };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(sun.sun_path, path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

void front_send(struct front *f, uint32_t request, const void *payload,
		uint32_t size, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct vhost_header header = {
		request,
		VHOST_HEADER_VERSION | VHOST_HEADER_NEED_REPLY,
		size,
	};
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)payload, .iov_len = size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(f->sock, &msg, MSG_NOSIGNAL),
			 sizeof(header) + size);
}

bool front_reply(struct front *f, union vhost_payload *payload)
{
	struct vhost_header header;
	ssize_t n = recv(f->sock, &header, sizeof(header), MSG_WAITALL);

	if (n <= 0) {
		assert_true(n == 0 || errno == ECONNRESET);
		return false;
	}
	assert_int_equal(n, sizeof(header));
	memset(payload, 0, sizeof(*payload));
	n = recv(f->sock, payload, header.size, MSG_WAITALL);
	return n == (ssize_t)header.size;
}

uint64_t front_ask(struct front *f, uint32_t request, const void *payload,
		   uint32_t size, int fd)
{
	union vhost_payload answer;

	front_send(f, request, payload, size, fd);
	return front_reply(f, &answer) ? answer.u64 : UINT64_MAX;
}

static uint64_t front_number(struct front *f, uint32_t request, uint64_t n)
{
	return front_ask(f, request, &n, sizeof(n), -1);
}

static uint64_t front_state(struct front *f, uint32_t request, uint32_t num)
{
	const struct vhost_vring_state state = { .num = num };

	return front_ask(f, request, &state, sizeof(state), -1);
}

uint64_t front_capacity(struct front *f)
{
	struct vhost_config config = { .size = 8 };
	union vhost_payload answer;
	uint64_t n;

	front_send(f, VHOST_GET_CONFIG, &config, VHOST_CONFIG_HEAD + 8, -1);
	assert_true(front_reply(f, &answer));
	memcpy(&n, answer.config.bytes, 8);
	return n;
}

void front_open(struct front *f, const char *path)
{
	const struct vhost_mem_reg reg = {
		.region = { .guest = FRONT_GUEST,
			    .size = FRONT_MEMORY,
			    .user = FRONT_USER },
	};
	uint64_t features;

	f->sock = model_connect(path);
	f->memfd = memfd_create("front", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->memfd, FRONT_MEMORY), 0);
	f->memory = mmap(NULL, FRONT_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			 f->memfd, 0);
	assert_true(f->memory != MAP_FAILED);
	f->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->avail = 0;
	features = front_ask(f, VHOST_GET_PROTOCOL_FEATURES, NULL, 0, -1);
	assert_int_equal(front_number(f, VHOST_SET_PROTOCOL_FEATURES, features),
			 0);
	assert_int_equal(front_ask(f, VHOST_SET_OWNER, NULL, 0, -1), 0);
	features = front_ask(f, VHOST_GET_FEATURES, NULL, 0, -1);
	features &= ~(VHOST_BIT(VHOST_F_LOG_ALL) |
		      VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX));
	assert_int_equal(front_number(f, VHOST_SET_FEATURES, features), 0);
	assert_int_equal(front_ask(f, VHOST_ADD_MEM_REG, &reg, sizeof(reg),
				   f->memfd),
			 0);
	/* Who does not look at it goes on with what another one has said. */
	assert_true(front_capacity(f) != 0);
}

void front_close(struct front *f)
{
	close(f->sock);
	munmap(f->memory, FRONT_MEMORY);
	close(f->memfd);
	close(f->kick);
	close(f->call);
}

bool front_start(struct front *f)
{
	const struct vhost_vring_addr addr = {
		.desc = FRONT_USER,
		.avail = FRONT_USER + 0x1000,
		.used = FRONT_USER + 0x2000,
	};
	const uint64_t queue = 0;

	assert_int_equal(front_state(f, VHOST_SET_VRING_NUM, FRONT_RING), 0);
	assert_int_equal(front_state(f, VHOST_SET_VRING_BASE, f->avail), 0);
	assert_int_equal(
		front_ask(f, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), -1), 0);
	assert_int_equal(front_ask(f, VHOST_SET_VRING_CALL, &queue, 8, f->call),
			 0);
	if (front_ask(f, VHOST_SET_VRING_KICK, &queue, 8, f->kick))
		return false;
	return front_state(f, VHOST_SET_VRING_ENABLE, 1) == 0;
}

void front_stop(struct front *f)
{
	const struct vhost_vring_state state = { .index = 0 };
	union vhost_payload answer;

	front_send(f, VHOST_GET_VRING_BASE, &state, sizeof(state), -1);
	assert_true(front_reply(f, &answer));
	assert_int_equal(answer.state.num, f->avail);
}

void front_submit(struct front *f, uint32_t type, uint64_t sector,
		  uint32_t bytes)
{
	struct virtio_blk_header header = { .type = type, .sector = sector };
	struct vring_desc *d = (struct vring_desc *)f->memory;
	struct vring_avail *avail = (struct vring_avail *)(f->memory + 0x1000);
	const uint64_t one = 1;

	memcpy(f->memory + 0x3000, &header, sizeof(header));
	f->memory[0x4000] = 0xee;
	d[0] = (struct vring_desc){ FRONT_GUEST + 0x3000, sizeof(header),
				    VRING_DESC_NEXT, 1 };
	d[1] = (struct vring_desc){
		FRONT_GUEST + FRONT_DATA_AT,
		bytes,
		VRING_DESC_NEXT |
			(type == VIRTIO_BLK_T_IN ? VRING_DESC_WRITE : 0),
		2,
	};
	d[2] = (struct vring_desc){ FRONT_GUEST + 0x4000, 1, VRING_DESC_WRITE,
				    0 };
	avail->ring[f->avail++ % FRONT_RING] = 0;
	__atomic_store_n(&avail->idx, f->avail, __ATOMIC_RELEASE);
	assert_int_equal(write(f->kick, &one, 8), 8);
}

uint8_t front_io(struct front *f, uint32_t type, uint64_t sector,
		 uint32_t bytes)
{
	struct vring_used *used = (struct vring_used *)(f->memory + 0x2000);
	struct pollfd p = { .fd = f->call, .events = POLLIN };
	uint64_t n;

	front_submit(f, type, sector, bytes);
	while (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) != f->avail) {
		assert_int_equal(poll(&p, 1, MODEL_WAIT_S * 1000), 1);
		if (read(f->call, &n, 8) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	return f->memory[0x4000];
}
