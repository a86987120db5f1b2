/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include "lib/block_fake.h"

unsigned char *store;

struct fake fake;

struct block_image image = {
	.fd = -1,
	.size = STORE_SIZE,
	.block_size = 512,
	.dio_align = 512,
	.dio_mem_align = 512,
	.direct = true,
};

static void fake_queue(struct block_engine *engine, struct block_request *req)
{
	(void)engine;
	assert_true(fake.nheld < MAX_DEPTH);
	fake.held[fake.nheld++] = req;
	if (fake.nheld > fake.max_held)
		fake.max_held = fake.nheld;
	/* As a real engine would, it uses its own fields. */
	req->done = 12345;
	req->engine_data = req;
}

static void fake_commit(struct block_engine *engine)
{
	(void)engine;
	fake.commits++;
	while (fake.at_once && fake.nheld)
		fake_complete(fake.nheld - 1, 0);
}

static struct block_request *fake_reap(struct block_engine *engine,
				       unsigned int max)
{
	struct block_request_list list = { .head = NULL };
	struct block_request *req;

	(void)engine;
	for (; max && (req = fake.ready); max--) {
		fake.ready = req->next;
		block_request_list_append(&list, req);
	}
	block_outbox_listen(&fake.outbox);
	block_outbox_take(&fake.outbox, &list, max);
	block_outbox_settle(&fake.outbox);
	return list.head;
}

static void fake_close(struct block_engine *engine)
{
	(void)engine;
	assert_int_equal(fake.nheld, 0);
	block_outbox_finish(&fake.outbox);
}

static const struct block_engine_kind fake_kind = { .name = "fake",
						    .batch = 1 };

static const struct block_engine_ops fake_ops = {
	.queue = fake_queue,
	.commit = fake_commit,
	.reap = fake_reap,
	.close = fake_close,
};

/* What a kernel would do for this request, with O_DIRECT's demands. */
static int fake_perform(struct block_request *req)
{
	unsigned char *at = store + req->offset;
	uint64_t sum = 0;
	uint32_t i;

	if (req->op == BLOCK_WRITE_ZEROES)
		memset(at, 0, req->length);
	if (req->op > BLOCK_WRITE)
		return req->op > BLOCK_WRITE_ZEROES ? -EINVAL : 0;
	if ((req->offset | req->length) % 512)
		return -EINVAL;
	assert_false(image.direct && (req->flags & BLOCK_UNPINNABLE));
	assert_int_equal(req->offset % image.dio_align, 0);
	for (i = 0; i < req->niov; i++) {
		assert_int_equal((uintptr_t)req->iov[i].base % 512, 0);
		assert_int_equal(req->iov[i].len % image.dio_align, 0);
		sum += req->iov[i].len;
		if (req->op == BLOCK_READ)
			memcpy(req->iov[i].base, at, req->iov[i].len);
		else
			memcpy(at, req->iov[i].base, req->iov[i].len);
		at += req->iov[i].len;
	}
	assert_int_equal(sum, req->length);
	return 0;
}

void fake_complete(unsigned int i, int error)
{
	struct block_request *req = fake.held[i];

	assert_true(i < fake.nheld);
	fake.nheld--;
	memmove(&fake.held[i], &fake.held[i + 1],
		(fake.nheld - i) * sizeof(fake.held[0]));
	req->result = error ? error : fake_perform(req);
	req->next = fake.ready;
	fake.ready = req;
}

struct block_engine *fake_open(void)
{
	fake = (struct fake){ .engine = { .kind = &fake_kind,
					  .ops = &fake_ops,
					  .image = &image,
					  .fd = -1 } };
	assert_int_equal(block_outbox_init(&fake.outbox), 0);
	fake.engine.outbox = &fake.outbox;
	return &fake.engine;
}

struct block_request make(enum block_op op, unsigned int flags, uint64_t offset,
			  struct virtio_iov *iov)
{
	return (struct block_request){
		.op = (uint8_t)op,
		.flags = (uint8_t)flags,
		.niov = 1,
		.offset = offset,
		.length = iov->len,
		.iov = iov,
	};
}

int fake_setup(void **state)
{
	if (harness_setup(state))
		return -1;
	store = malloc(STORE_SIZE);
	if (!store)
		return -1;
	harness_fill(store, STORE_SIZE);
	return 0;
}

int fake_teardown(void **state)
{
	free(store);
	return harness_teardown(state);
}
