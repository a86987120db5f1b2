/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine.
 *
 * queue() writes a submission entry, commit() gives all of them to the kernel
 * in one io_uring_enter, reap() reads the completion ring in shared memory.
 * DISCARD and WRITE_ZEROES go to a helper thread (see perform.c). The engine's
 * descriptor is an epoll instance over the ring and the outbox's eventfd: both
 * are readable by themselves, so nothing has to be read to quieten it, and the
 * nesting was measured to cost nothing that shows.
 *
 * The ring's flags: COOP_TASKRUN with TASKRUN_FLAG, so that a completion does
 * not interrupt this thread on another CPU; reap() enters the kernel when the
 * flag says that completions wait for that. Not DEFER_TASKRUN: with it the ring
 * is not woken for poll (epoll) when work waits to be run (seen on 6.18: lost
 * wake-ups), and with a registered eventfd instead it is slower than this,
 * by the read of the eventfd and the extra enter per batch. Not SINGLE_ISSUER:
 * it serves DEFER_TASKRUN, and alone would bind the ring to the thread that
 * opens it. A wait that such a completion ends returns EINTR, and the next
 * wait returns at once.
 *
 * The ring is started with restrictions: reads and writes on the one registered
 * file, for ever. So a subverted process can do nothing with it that
 * the image's descriptor does not allow. The file is registered, which saves
 * its lookup per request.
 *
 * The rings have a fixed size, for the kernel takes their memory at once and
 * most queues never have much in flight. What finds no entry waits in a list:
 * more than the completion ring holds is never in the kernel, so that it cannot
 * run over. For the same reason the helper threads are started by the first
 * request that they get; without them the image's flushing thread does it.
 *
 * io_uring_enter does not block: what would goes to the kernel's own threads,
 * as a write to a frozen file system does (kernels before 6.12 without the fix
 * for O_DIRECT writes stand still for it). Where a file system waits all the
 * same (image->write_waits), all writes are given to those threads.
 *
 * Failure modes of submission: what the kernel did not take stays in the
 * submission ring and goes with the next commit() or reap(). If nothing is in
 * flight that would cause one, the outbox is nudged. An error that is no
 * shortage, or a shortage that lasts, fails what is in the submission ring.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engines.h"
#include "outbox.h"
#include "sync.h"
#include "transfer.h"
#include "worker_pool.h"

/* Threads for what works on ranges without data: see perform.c. */
#define URING_HELPERS 2u
/* Entries of the rings: of one submission, and in the kernel at a time. */
#define URING_BATCH_MAX 64u
#define URING_INKERNEL_MAX 256u
/* Submissions refused in a row until they are failed. */
#define URING_REFUSALS_MAX 1000u
/* The image's index among the registered files. */
#define URING_FILE 0
/* Sets of flags to try. */
#define URING_SETUPS 2u

struct uring {
	struct block_engine engine;
	struct io_uring ring;
	bool ring_is_open;
	unsigned int inkernel; /* entries taken by the kernel, not completed */
	unsigned int refusals; /* submissions refused in a row */
	struct block_request_list waiting; /* for an entry */
	struct block_outbox outbox;
	struct block_worker_pool *pool;  /* NULL until it is needed */
	struct block_request_list aside; /* for the pool */
};

static struct uring *to_uring(struct block_engine *engine)
{
	return (struct uring *)engine;
}

/*
 * Submission.
 */

static void prepare_transfer(struct uring *u, struct io_uring_sqe *sqe,
			     const struct block_request *req)
{
	bool read = req->op == BLOCK_READ;
	struct block_transfer t;

	block_transfer_next(req, &t);
	if (t.niov == 0)
		io_uring_prep_rw(read ? IORING_OP_READ : IORING_OP_WRITE, sqe,
				 URING_FILE, t.base, t.len, t.offset);
	else
		io_uring_prep_rw(read ? IORING_OP_READV : IORING_OP_WRITEV, sqe,
				 URING_FILE, t.iov, t.niov, t.offset);
	if (block_transfer_is_dsync(u->engine.image, req))
		sqe->rw_flags = RWF_DSYNC;
}

/* A submission entry, or NULL if either ring would be full. */
static struct io_uring_sqe *take_entry(struct uring *u)
{
	if (u->inkernel + io_uring_sq_ready(&u->ring) ==
	    u->ring.cq.ring_entries)
		return NULL;
	return io_uring_get_sqe(&u->ring);
}

/* Write the submission entry for what is next of a request. */
static void write_entry(struct uring *u, struct io_uring_sqe *sqe,
			struct block_request *req)
{
	prepare_transfer(u, sqe, req);
	sqe->flags |= IOSQE_FIXED_FILE;
	if (u->engine.image->write_waits && req->op == BLOCK_WRITE)
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, req);
}

static void prepare_entry(struct uring *u, struct block_request *req)
{
	struct io_uring_sqe *sqe = take_entry(u);

	if (sqe)
		write_entry(u, sqe, req);
	else
		block_request_list_append(&u->waiting, req);
}

static void prepare_waiting(struct uring *u)
{
	struct io_uring_sqe *sqe;

	while (u->waiting.head && (sqe = take_entry(u)))
		write_entry(u, sqe, block_request_list_pop(&u->waiting));
}

/* Take the entries that the kernel did not take back, and fail them. */
static void fail_unsubmitted(struct uring *u, int error)
{
	struct io_uring_sq *sq = &u->ring.sq;
	unsigned int head = io_uring_smp_load_acquire(sq->khead);
	unsigned int i;

	for (i = head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & sq->ring_mask];
		void *req = (void *)(uintptr_t)sqe->user_data;

		block_outbox_put(&u->outbox, req, error);
	}
	/* The kernel looks at the tail only when it is entered to submit. */
	sq->sqe_tail = head;
	sq->sqe_head = head;
	io_uring_smp_store_release(sq->ktail, head);
	u->refusals = 0;
}

static void refused(struct uring *u, int error)
{
	bool shortage = error == -EAGAIN || error == -EBUSY || error == -ENOMEM;

	if (!shortage || ++u->refusals > URING_REFUSALS_MAX)
		fail_unsubmitted(u, shortage ? -EIO : error);
	else if (u->inkernel == 0)
		block_outbox_nudge(&u->outbox);
}

static void submit_entries(struct uring *u)
{
	int rc;

	for (;;) {
		prepare_waiting(u);
		if (io_uring_sq_ready(&u->ring) == 0)
			return;
		rc = io_uring_submit(&u->ring);
		if (rc == -EINTR)
			continue;
		if (rc <= 0) {
			refused(u, rc ? rc : -EAGAIN);
			return;
		}
		u->inkernel += (unsigned int)rc;
		u->refusals = 0;
	}
}

static void queue_request(struct block_engine *engine,
			  struct block_request *req)
{
	struct uring *u = to_uring(engine);

	if (block_transfer_begin(u->engine.image, req))
		block_outbox_put(&u->outbox, req, req->result);
	else if (block_transfer_is_range(req))
		block_request_list_append(&u->aside, req);
	else
		prepare_entry(u, req);
}

static void commit_aside(struct uring *u)
{
	struct block_request *req;

	if (!u->pool)
		block_worker_pool_create(&u->pool, u->engine.image, &u->outbox,
					 URING_HELPERS);
	if (u->pool) {
		block_worker_pool_submit(u->pool, &u->aside);
		return;
	}
	while ((req = block_request_list_pop(&u->aside)))
		block_sync_perform(u->engine.image->sync, &u->outbox, req);
}

static void commit_queued(struct block_engine *engine)
{
	struct uring *u = to_uring(engine);

	submit_entries(u);
	if (u->aside.head)
		commit_aside(u);
	block_outbox_announce(&u->outbox);
}

/*
 * Completion.
 */

/* Run what the kernel could not post: deferred work, overflown completions. */
static void run_kernel_work(struct uring *u)
{
	unsigned int flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);

	if (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		io_uring_get_events(&u->ring);
}

static unsigned int take_completions(struct uring *u,
				     struct block_request_list *list,
				     unsigned int max)
{
	unsigned int head, seen = 0, n = 0;
	struct block_request *req;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		if (n == max)
			break;
		seen++;
		req = io_uring_cqe_get_data(cqe);
		if (block_transfer_advance(req, cqe->res)) {
			block_request_list_append(list, req);
			n++;
		} else {
			prepare_entry(u, req);
		}
	}
	io_uring_cq_advance(&u->ring, seen);
	assert(seen <= u->inkernel);
	u->inkernel -= seen;
	return n;
}

static void take_aside(struct uring *u, struct block_request_list *list,
		       unsigned int max)
{
	unsigned int n;

	block_outbox_listen(&u->outbox);
	n = u->pool ? block_worker_pool_take(u->pool, list, max) : 0;
	block_outbox_take(&u->outbox, list, max - n);
	block_outbox_settle(&u->outbox);
}

static struct block_request *reap_done(struct block_engine *engine,
				       unsigned int max)
{
	struct uring *u = to_uring(engine);
	struct block_request_list list = { .head = NULL };
	unsigned int n;

	run_kernel_work(u);
	n = take_completions(u, &list, max);
	if (!block_outbox_is_idle(&u->outbox) ||
	    (u->pool && block_worker_pool_is_ready(u->pool)))
		take_aside(u, &list, max - n);
	/*
	 * What has to be continued, or was refused before. After the outbox was
	 * read, because this may ring it for the next time.
	 */
	submit_entries(u);
	block_outbox_announce(&u->outbox);
	return list.head;
}

/*
 * Opening and closing.
 */

static int register_file(struct uring *u, unsigned int opcode, const void *arg,
			 unsigned int nargs)
{
	/* liburing 2.3 has no symbol for what is registered this way. */
	return syscall(__NR_io_uring_register, u->ring.ring_fd, opcode, arg,
		       nargs) < 0 ?
		       -errno :
		       0;
}

/* Restrict a ring that is not started to what this engine does. */
static int restrict_ring(struct uring *u)
{
	static const struct io_uring_restriction allowed[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP,
		  .sqe_op = IORING_OP_READ },
		{ .opcode = IORING_RESTRICTION_SQE_OP,
		  .sqe_op = IORING_OP_WRITE },
		{ .opcode = IORING_RESTRICTION_SQE_OP,
		  .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP,
		  .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		  .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_UNREGISTER_FILES },
		/* The last one is for such images only. */
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		  .sqe_flags = IOSQE_ASYNC },
	};
	unsigned int n = sizeof(allowed) / sizeof(allowed[0]);

	return register_file(u, IORING_REGISTER_RESTRICTIONS, allowed,
			     u->engine.image->write_waits ? n : n - 1);
}

static unsigned int smaller_of(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Set up the ring with the best flags that this kernel knows. */
static int open_ring(struct uring *u, unsigned int depth)
{
	static const unsigned int flags[URING_SETUPS] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED,
		IORING_SETUP_R_DISABLED,
	};
	struct io_uring_params params;
	unsigned int i;
	int rc = -EINVAL;

	/* -EINVAL says that the kernel does not know a flag. */
	for (i = 0; rc == -EINVAL && i < URING_SETUPS; i++) {
		params = (struct io_uring_params){
			.flags = flags[i] | IORING_SETUP_CQSIZE,
			.cq_entries = smaller_of(depth, URING_INKERNEL_MAX),
		};
		rc = io_uring_queue_init_params(
			smaller_of(depth, URING_BATCH_MAX), &u->ring, &params);
	}
	if (rc)
		return rc;
	u->ring_is_open = true;
	rc = io_uring_register_files(&u->ring, &u->engine.image->fd, 1);
	if (rc == 0)
		rc = restrict_ring(u);
	if (rc == 0)
		rc = register_file(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return rc;
}

static int open_fd(struct uring *u)
{
	struct epoll_event readable = { .events = EPOLLIN };

	u->engine.fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->engine.fd < 0 ||
	    epoll_ctl(u->engine.fd, EPOLL_CTL_ADD, u->ring.ring_fd, &readable) <
		    0 ||
	    epoll_ctl(u->engine.fd, EPOLL_CTL_ADD, u->outbox.fd, &readable) < 0)
		return -errno;
	return 0;
}

static void close_engine(struct block_engine *engine)
{
	struct uring *u = to_uring(engine);

	block_worker_pool_destroy(u->pool);
	if (u->engine.fd >= 0)
		close(u->engine.fd);
	if (u->ring_is_open) {
		/*
		 * Now, because the kernel frees a closed ring later: until then
		 * its reference to the file would keep the image locked.
		 */
		io_uring_unregister_files(&u->ring);
		io_uring_queue_exit(&u->ring);
	}
	block_outbox_finish(&u->outbox);
	free(u);
}

static const struct block_engine_ops uring_ops = {
	.queue = queue_request,
	.commit = commit_queued,
	.reap = reap_done,
	.close = close_engine,
};

static int open_engine(struct block_engine **engine,
		       const struct block_image *image, unsigned int depth)
{
	struct uring *u;
	int rc;

	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->engine.kind = &block_engine_uring;
	u->engine.ops = &uring_ops;
	u->engine.image = image;
	u->engine.fd = -1;
	u->engine.outbox = &u->outbox;
	rc = block_outbox_init(&u->outbox);
	if (rc == 0)
		rc = open_ring(u, depth);
	if (rc == 0)
		rc = open_fd(u);
	if (rc) {
		close_engine(&u->engine);
		return rc;
	}
	*engine = &u->engine;
	return 0;
}

const struct block_engine_kind block_engine_uring = {
	.name = "io_uring",
	.batch = 16,
	.open = open_engine,
};
