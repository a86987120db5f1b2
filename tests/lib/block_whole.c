/* SPDX-License-Identifier: MIT */
#include "lib/test.h"

#include <unistd.h>

#include "lib/block_whole.h"

#include "block/sync.h"

static struct whole {
	const struct block_image *image; /* NULL: not used */
	struct block_claim claim;
} wholes[WHOLE_MAX];

static struct whole *find(const struct block_image *image)
{
	for (unsigned int i = 0; i < WHOLE_MAX; i++)
		if (wholes[i].image == image)
			return &wholes[i];
	return NULL;
}

int whole_open_claimed(struct block_image *image, struct block_claim *claim,
		       char error[BLOCK_ERROR_MAX])
{
	struct whole *whole = find(NULL);
	struct block_part part;
	int rc = block_claim_part(claim, &part, error);

	*image = (struct block_image){ .fd = -1 };
	if (rc == 0)
		rc = block_image_open(image, &part, error);
	if (rc) {
		block_claim_close(claim);
		return rc;
	}
	assert_non_null(whole);
	whole->image = image;
	whole->claim = *claim;
	return 0;
}

int whole_open(struct block_image *image,
	       const struct block_image_options *options,
	       char error[BLOCK_ERROR_MAX])
{
	struct block_claim claim;
	int rc = block_claim_open(&claim, options, error);

	*image = (struct block_image){ .fd = -1 };
	return rc ? rc : whole_open_claimed(image, &claim, error);
}

struct block_claim *whole_claim(const struct block_image *image)
{
	struct whole *whole = find(image);

	assert_non_null(whole);
	return &whole->claim;
}

void whole_close(struct block_image *image)
{
	struct whole *whole = find(image);

	block_image_close(image);
	if (!whole)
		return;
	block_claim_close(&whole->claim);
	whole->image = NULL;
}

void whole_kill(const struct block_image *image)
{
	struct whole *whole = find(image);

	assert_non_null(whole);
	if (image->sync && block_sync_fd(image->sync) >= 0)
		close(block_sync_fd(image->sync));
	close(image->fd);
	block_claim_close(&whole->claim);
	whole->image = NULL;
}

int whole_lock(struct block_image *image, char error[BLOCK_ERROR_MAX])
{
	struct block_claim *claim = whole_claim(image);
	int rc;

	if (claim->locked)
		return 0;
	rc = block_claim_lock(claim, claim->user.in_use, error);
	return rc ? rc : block_image_lock(image);
}

void whole_unlock(struct block_image *image)
{
	block_image_unlock(image);
	block_claim_unlock(whole_claim(image));
}
