/* SPDX-License-Identifier: MIT */
/*
 * What two processes say to each other, where one of them means harm: messages
 * of any length, type and number of descriptors, with any value in them. One
 * that is not as it has to be is refused, and no descriptor is left of it.
 */
#include "lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/message.h"

static int end[2]; /* [0] receives */

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int begin(void **state)
{
	(void)state;
	return link_socket_pair(end);
}

static int finish(void **state)
{
	(void)state;
	if (end[0] >= 0)
		close(end[0]);
	if (end[1] >= 0)
		close(end[1]);
	return 0;
}

/* ---- one of each type ---- */

static struct link_message plain(uint32_t type)
{
	struct link_message m;

	memset(&m, 0, sizeof(m));
	m.type = type;
	return m;
}

static struct link_message attach_message(void)
{
	struct link_message m = plain(LINK_ATTACH);
	struct link_attach *a = &m.attach;

	a->id = 51712;
	a->base = 0x2000000;
	a->irq = 33;
	a->kept = 1;
	a->has_sync = 1;
	strcpy(a->name, "web/xvda");
	a->facts = (struct block_facts){
		.size = 1 << 20,
		.device = 1,
		.inode = 2,
		.block_size = 512,
		.physical_block_size = 4096,
		.store_block_size = 512,
		.dio_align = 512,
		.dio_mem_align = 512,
		.has_file = 1,
		.direct = 1,
		.name = "/images/web",
	};
	a->options.queues = 1;
	a->options.queue_size = 256;
	strcpy(a->options.engine, "auto");
	strcpy(a->options.serial, "serial");
	return m;
}

static struct link_message begin_message(void)
{
	struct link_message m = plain(LINK_BEGIN);

	m.begin.domid = 5;
	m.begin.kept = 1;
	return m;
}

static struct link_message begun_message(int32_t result)
{
	struct link_message m = plain(LINK_BEGUN);

	m.begun.result = result;
	if (result) {
		strcpy(m.begun.error, "it cannot");
		return m;
	}
	m.begun.nawaited = 2;
	m.begun.awaited[0] = 51712;
	m.begun.awaited[1] = 51728;
	return m;
}

static struct link_message attached_message(int32_t result)
{
	struct link_message m = plain(LINK_ATTACHED);

	m.attached.id = 51712;
	m.attached.result = result;
	if (result)
		strcpy(m.attached.error, "it cannot");
	return m;
}

static struct link_message open_message(void)
{
	const struct link_message attach = attach_message();
	struct link_message m = plain(LINK_OPEN);

	m.open.has_sync = 1;
	m.open.locked = 1;
	strcpy(m.open.name, "web");
	m.open.facts = attach.attach.facts;
	m.open.facts.lends = 1;
	m.open.options = attach.attach.options;
	m.open.options.iothreads = 4;
	return m;
}

static struct link_message listen_message(void)
{
	struct link_message m = plain(LINK_LISTEN);

	strcpy(m.listen.where, "/run/web.sock");
	return m;
}

static struct link_message taken_message(int32_t result)
{
	struct link_message m = plain(LINK_TAKEN);

	m.taken.result = result;
	return m;
}

static struct link_message opened_message(int32_t result)
{
	struct link_message m = plain(LINK_OPENED);

	m.opened.result = result;
	if (result)
		strcpy(m.opened.error, "it cannot");
	return m;
}

static struct link_message trace_message(uint8_t has_area)
{
	struct link_message m = plain(LINK_TRACE);

	m.trace.on = 1;
	m.trace.has_area = has_area;
	return m;
}

struct sample {
	struct link_message message;
	enum link_end to;
	size_t bytes;
};

enum { SAMPLES = 28 };

static unsigned int samples(struct sample s[SAMPLES])
{
	const size_t body = offsetof(struct link_message, begin);
	const size_t disk = body + sizeof(struct link_disk);
	const size_t begun = body + sizeof(struct link_begun);
	const size_t attached = body + sizeof(struct link_attached);
	const size_t taken = body + sizeof(struct link_taken);
	const size_t opened = body + sizeof(struct link_opened);
	const size_t trace = body + sizeof(struct link_trace);
	const struct sample all[SAMPLES] = {
		{ begin_message(), LINK_TO_WORKER,
		  body + sizeof(struct link_begin) },
		{ attach_message(), LINK_TO_WORKER,
		  body + sizeof(struct link_attach) },
		{ plain(LINK_DISOWN), LINK_TO_WORKER, disk },
		{ plain(LINK_RESIZE), LINK_TO_WORKER,
		  body + sizeof(struct link_resize) },
		{ plain(LINK_DETACH), LINK_TO_WORKER, disk },
		{ plain(LINK_LEAVE), LINK_TO_WORKER, body },
		{ plain(LINK_CLOSE), LINK_TO_WORKER, body },
		{ plain(LINK_LOG_STATS), LINK_TO_WORKER, body },
		{ begun_message(0), LINK_TO_MONITOR, begun },
		{ begun_message(-ENOMEM), LINK_TO_MONITOR, begun },
		{ attached_message(0), LINK_TO_MONITOR, attached },
		{ attached_message(-ENODEV), LINK_TO_MONITOR, attached },
		{ plain(LINK_ENDED), LINK_TO_MONITOR, disk },
		{ open_message(), LINK_TO_WORKER,
		  body + sizeof(struct link_open) },
		{ listen_message(), LINK_TO_WORKER,
		  body + sizeof(struct link_listen) },
		{ taken_message(0), LINK_TO_WORKER, taken },
		{ taken_message(-EAGAIN), LINK_TO_WORKER, taken },
		{ plain(LINK_GIVEN), LINK_TO_WORKER, body },
		{ opened_message(0), LINK_TO_MONITOR, opened },
		{ opened_message(-ENODEV), LINK_TO_MONITOR, opened },
		{ plain(LINK_TAKE), LINK_TO_MONITOR, body },
		{ plain(LINK_GIVE), LINK_TO_MONITOR, body },
		{ plain(LINK_FRONT_END), LINK_TO_WORKER, body },
		{ plain(LINK_FRONT_END_LEFT), LINK_TO_MONITOR, body },
		{ plain(LINK_PING), LINK_TO_WORKER, body },
		{ plain(LINK_PONG), LINK_TO_MONITOR, body },
		{ trace_message(0), LINK_TO_WORKER, trace },
		{ trace_message(1), LINK_TO_WORKER, trace },
	};

	memcpy(s, all, sizeof(all));
	return SAMPLES;
}

/* ---- sending anything ---- */

/* `nfds` of them; those are closed here. Whether it could be sent. */
static void send_bytes(const void *bytes, size_t n, unsigned int nfds)
{
	int fds[16];

	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nfds <= LINK_FDS_MAX) {
		assert_int_equal(link_socket_send(end[1], bytes, n, fds, nfds),
				 0);
	} else {
		char control[CMSG_SPACE(sizeof(fds))] = { 0 };
		struct iovec iov = { (void *)bytes, n };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = CMSG_SPACE(nfds * sizeof(int)),
		};
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
		assert_int_equal(sendmsg(end[1], &msg, 0), n);
	}
	for (unsigned int i = 0; i < nfds; i++)
		close(fds[i]);
}

static int receive(enum link_end to, struct link_message *m, int fds[3])
{
	const char *why;
	int r = link_message_receive(end[0], to, m, fds, &why);

	assert_int_equal(r == -EPROTO, why != NULL);
	return r;
}

static void refused(const void *bytes, size_t n, unsigned int nfds,
		    enum link_end to)
{
	unsigned int before = descriptors();
	struct link_message m;
	int fds[3];

	send_bytes(bytes, n, nfds);
	assert_int_equal(receive(to, &m, fds), -EPROTO);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(fds[i], -1);
	assert_int_equal(descriptors(), before);
	assert_int_equal(receive(to, &m, fds), -EAGAIN);
}

static void close_all(const int fds[3])
{
	for (unsigned int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- whole messages ---- */

static void test_each_type(void **state)
{
	struct sample s[SAMPLES];
	unsigned int n = samples(s), before = descriptors();

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		unsigned int nfds = link_message_fds(&s[i].message);
		int given[3], fds[3];
		struct link_message m;

		for (unsigned int k = 0; k < nfds; k++)
			given[k] = open("/dev/null", O_RDWR | O_CLOEXEC);
		assert_int_equal(
			link_message_send(end[1], &s[i].message, given), 0);
		assert_int_equal(receive(s[i].to, &m, fds), 1);
		assert_memory_equal(&m, &s[i].message, s[i].bytes);
		for (unsigned int k = 0; k < 3; k++)
			assert_int_equal(fds[k] >= 0, k < nfds);
		for (unsigned int k = 0; k < nfds; k++) {
			assert_true(fcntl(fds[k], F_GETFD) & FD_CLOEXEC);
			close(given[k]);
		}
		close_all(fds);
	}
	assert_int_equal(descriptors(), before);
}

/* One that cannot be had is known from what was wrongly said. */
static void test_no_descriptor_is_left(void **state)
{
	const struct link_message m = plain(LINK_FRONT_END);
	struct rlimit limit, few;
	struct link_message got;
	int fds[LINK_FDS_MAX], zero = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 3;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(link_message_send(end[1], &m, &zero), 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, i ? &limit : &few),
				 0);
		assert_int_equal(receive(LINK_TO_WORKER, &got, fds),
				 i ? 1 : -EMFILE);
		assert_int_equal(fds[0] >= 0, i);
		close_all(fds);
	}
}

/* Each of them is none, cut off at any byte or with more behind it. */
static void test_each_length(void **state)
{
	struct sample s[SAMPLES];
	unsigned int n = samples(s);
	char bytes[sizeof(struct link_message) + 64] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		unsigned int nfds = link_message_fds(&s[i].message);

		memcpy(bytes, &s[i].message, sizeof(s[i].message));
		for (size_t k = 1; k <= s[i].bytes + 64; k++)
			if (k != s[i].bytes)
				refused(bytes, k, nfds, s[i].to);
	}
}

static void test_no_bytes_are_the_end(void **state)
{
	unsigned int before = descriptors();
	struct link_message m;
	int fds[3];

	(void)state;
	send_bytes("", 0, 3);
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 0);
	assert_int_equal(descriptors(), before);
}

static void test_each_number_of_descriptors(void **state)
{
	struct sample s[SAMPLES];
	unsigned int n = samples(s);

	(void)state;
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k <= 8; k++)
			if (k != link_message_fds(&s[i].message))
				refused(&s[i].message, s[i].bytes, k, s[i].to);
}

static void test_types_that_there_are_not(void **state)
{
	static const uint32_t types[] = { 0, 15, 100, 109, 1000, UINT32_MAX };
	struct sample s[SAMPLES];
	unsigned int n = samples(s);

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct link_message m = plain(types[i]);

		for (size_t k = 8; k <= sizeof(m); k += 8) {
			refused(&m, k, 0, LINK_TO_MONITOR);
			refused(&m, k, 0, LINK_TO_WORKER);
		}
	}
	/* What is said in the other direction. */
	for (unsigned int i = 0; i < n; i++)
		refused(&s[i].message, s[i].bytes,
			link_message_fds(&s[i].message),
			s[i].to == LINK_TO_WORKER ? LINK_TO_MONITOR :
						    LINK_TO_WORKER);
}

/* ---- what is in them ---- */

#define WRONG(make, change)                                               \
	do {                                                              \
		struct link_message m = make;                             \
		unsigned int nfds = link_message_fds(&m);                 \
		change;                                                   \
		for (unsigned int i_ = 0; i_ < SAMPLES; i_++)             \
			if (s[i_].message.type == m.type) {               \
				refused(&m, s[i_].bytes, nfds, s[i_].to); \
				break;                                    \
			}                                                 \
	} while (0)

static void test_answers_that_make_no_sense(void **state)
{
	struct sample s[SAMPLES];

	(void)state;
	samples(s);
	WRONG(begun_message(0), m.zero = 1);
	WRONG(begun_message(0), m.begun.result = 1);
	WRONG(begun_message(-1), m.begun.result = -4096);
	WRONG(begun_message(-1), m.begun.result = INT32_MIN);
	WRONG(begun_message(-1), m.begun.result = 0);
	WRONG(begun_message(-1), m.begun.error[0] = '\0');
	WRONG(begun_message(-1),
	      memset(m.begun.error, 'x', sizeof(m.begun.error)));
	WRONG(begun_message(-1), m.begun.error[LINK_ERROR_MAX - 1] = 'x');
	WRONG(begun_message(-1), m.begun.nawaited = 1);
	WRONG(begun_message(0), m.begun.nawaited = 1);
	WRONG(begun_message(0), m.begun.nawaited = DISKS_MAX + 1);
	WRONG(begun_message(0), m.begun.nawaited = UINT32_MAX);
	WRONG(begun_message(0), m.begun.awaited[1] = 51712);
	WRONG(begun_message(0), m.begun.awaited[DISKS_MAX - 1] = 1);
	WRONG(attached_message(0), m.attached.zero = 1);
	WRONG(attached_message(0), m.attached.result = 5);
	WRONG(attached_message(0), m.attached.error[0] = 'x');
	WRONG(attached_message(-5), m.attached.error[0] = '\0');
	WRONG(attached_message(-5),
	      memset(m.attached.error, 'x', sizeof(m.attached.error)));
	WRONG(plain(LINK_ENDED), m.zero = UINT32_MAX);
	WRONG(opened_message(0), m.opened.zero = 1);
	WRONG(trace_message(1), m.trace.on = 2);
	WRONG(trace_message(1), m.trace.has_area = 255);
	WRONG(trace_message(0), m.trace.zero[5] = 1);
	WRONG(opened_message(0), m.opened.result = 5);
	WRONG(opened_message(0), m.opened.error[0] = 'x');
	WRONG(opened_message(-5), m.opened.error[0] = '\0');
	WRONG(opened_message(-5),
	      memset(m.opened.error, 'x', sizeof(m.opened.error)));
	WRONG(plain(LINK_TAKE), m.zero = 1);
	WRONG(plain(LINK_GIVE), m.zero = 1);
	WRONG(plain(LINK_FRONT_END_LEFT), m.zero = 1);
	WRONG(plain(LINK_PONG), m.zero = 1);
}

static void test_orders_that_make_no_sense(void **state)
{
	struct sample s[SAMPLES];

	(void)state;
	samples(s);
	WRONG(begin_message(), m.begin.kept = 2);
	WRONG(attach_message(), m.attach.kept = 2);
	WRONG(attach_message(), m.attach.adopt = 2);
	WRONG(attach_message(), m.attach.has_sync = 255);
	WRONG(attach_message(), m.attach.broken = 2);
	/* One that no guest knows has no driver to reset it. */
	WRONG(attach_message(), m.attach.broken = 1);
	WRONG(attach_message(), m.attach.name[0] = '\0');
	WRONG(attach_message(),
	      memset(m.attach.name, 'x', sizeof(m.attach.name)));
	WRONG(attach_message(), m.attach.facts.has_file = 2);
	WRONG(attach_message(), m.attach.facts.block_size = 3);
	WRONG(attach_message(), m.attach.options.readonly = 2);
	WRONG(attach_message(), m.attach.options.packed = 2);
	WRONG(attach_message(), m.attach.options.legacy = 2);
	WRONG(attach_message(), m.attach.options.cache = 77);
	WRONG(attach_message(), m.attach.options.discard = 77);
	WRONG(attach_message(), m.attach.options.queues = 0);
	WRONG(attach_message(), m.attach.options.queue_size = 0);
	WRONG(attach_message(), m.attach.options.engine[0] = '\0');
	WRONG(attach_message(), memset(m.attach.options.engine, 'x',
				       sizeof(m.attach.options.engine)));
	WRONG(attach_message(), memset(m.attach.options.serial, 'x',
				       sizeof(m.attach.options.serial)));
	WRONG(attach_message(),
	      memset(m.attach.options.id, 'x', sizeof(m.attach.options.id)));
	WRONG(open_message(), m.open.has_sync = 2);
	WRONG(open_message(), m.open.locked = 2);
	WRONG(open_message(), m.open.zero[5] = 1);
	WRONG(open_message(), m.open.name[0] = '\0');
	WRONG(open_message(), memset(m.open.name, 'x', sizeof(m.open.name)));
	WRONG(open_message(), m.open.facts.block_size = 3);
	WRONG(open_message(), m.open.options.queues = 0);
	WRONG(plain(LINK_FRONT_END), m.zero = 1);
	WRONG(plain(LINK_PING), m.zero = 1);
	WRONG(listen_message(),
	      memset(m.listen.where, 'x', sizeof(m.listen.where)));
	WRONG(taken_message(0), m.taken.result = 1);
	WRONG(taken_message(0), m.taken.result = -4096);
	WRONG(taken_message(0), m.taken.zero = 1);
}

/* No line of a log is made by a worker, and no sequence for a terminal. */
static void test_error_is_one_line(void **state)
{
	struct link_message m = attached_message(-EIO), got;
	int fds[3];

	(void)state;
	strcpy(m.attached.error, "a\nb\033[2Jc\x7f\xc2\xab");
	assert_int_equal(link_message_send(end[1], &m, NULL), 0);
	assert_int_equal(receive(LINK_TO_MONITOR, &got, fds), 1);
	assert_string_equal(got.attached.error, "a?b?[2Jc?\xc2\xab");
}

/* ---- the socket ---- */

/* The other end closes: what it has sent is there, and then the end. */
static void test_peer_closes(void **state)
{
	struct link_message m = attached_message(0);
	int fds[3];

	(void)state;
	assert_int_equal(link_message_send(end[1], &m, NULL), 0);
	close(end[1]);
	end[1] = -1;
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 1);
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 0);
	m = begin_message();
	m.begin.kept = 0;
	assert_int_equal(link_message_send(end[0], &m, NULL), -EPIPE);
}

/* ... with something that it has not read: what it has said is heard still. */
static void test_peer_closes_unread(void **state)
{
	struct link_message m = plain(LINK_DETACH);
	int fds[3];

	(void)state;
	assert_int_equal(link_message_send(end[0], &m, NULL), 0);
	m = plain(LINK_ENDED);
	assert_int_equal(link_message_send(end[1], &m, NULL), 0);
	close(end[1]);
	end[1] = -1;
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 1);
	assert_int_equal(m.type, LINK_ENDED);
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 0);
}

/* Nobody reads: there is room for some, and nothing blocks. */
static void test_full_socket(void **state)
{
	struct link_message m = attached_message(0);
	unsigned int before, n = 0;
	int fds[3], r;

	(void)state;
	before = descriptors();
	while ((r = link_message_send(end[1], &m, NULL)) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n, DISKS_MAX, 100000);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), 1);
	assert_int_equal(receive(LINK_TO_MONITOR, &m, fds), -EAGAIN);
	m = attached_message(0);
	assert_int_equal(link_message_send(end[1], &m, NULL), 0);
	assert_int_equal(descriptors(), before);
}

#define in_link(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_link(test_each_type),
		in_link(test_no_descriptor_is_left),
		in_link(test_each_length),
		in_link(test_no_bytes_are_the_end),
		in_link(test_each_number_of_descriptors),
		in_link(test_types_that_there_are_not),
		in_link(test_answers_that_make_no_sense),
		in_link(test_orders_that_make_no_sense),
		in_link(test_error_is_one_line),
		in_link(test_peer_closes),
		in_link(test_peer_closes_unread),
		in_link(test_full_socket),
	};

	return cmocka_run_group_tests_name("link_message", tests, NULL, NULL);
}
