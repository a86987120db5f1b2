/* SPDX-License-Identifier: MIT */
/* A process that dies and one that goes on; see model_adopt.h. */
#include "lib/test.h"

#include "lib/model_adopt.h"

/* What was mapped is not any more. */
void model_forget_maps(struct model_memory *mem)
{
	while (mem->maps) {
		struct model_map *map = mem->maps;

		mem->maps = map->next;
		free(map);
	}
	mem->live = 0;
	mem->rings = 0;
}

/* Adopt the state as it is now: as virtio_blk_adopt(). */
int model_adopt(struct model_blk *m, const char **why)
{
	size_t bytes = virtio_blk_state_bytes(&m->options);
	int r;

	model_forget_maps(&m->mem);
	memset(&m->blk, MODEL_POISON, sizeof(m->blk));
	r = virtio_blk_adopt(&m->blk, &m->options, m->memory, m->state, bytes,
			     &m->mem.memory, why);
	memset(m->memory, MODEL_POISON, virtio_blk_memory_bytes(&m->options));
	return r;
}

/* ... which is possible, and go on. */
void model_go_on(struct model_blk *m)
{
	const char *why = "";

	if (model_adopt(m, &why))
		fail_msg("refused: %s", why);
	virtio_mmio_offer(&m->blk.dev, MODEL_WINDOW, MODEL_IRQ);
	virtio_device_resume(&m->blk.dev);
}

/* Do what a queue had in flight: how many requests. */
unsigned int model_do_again(struct model_blk *m, unsigned int queue)
{
	struct virtio_blk_queue *bq = &m->blk.queue[queue];
	struct block_request *req;
	unsigned int n = 0;

	while ((req = virtio_blk_repop(bq))) {
		model_run(m, req);
		n++;
	}
	virtqueue_publish(&bq->vq);
	return n;
}
