/* SPDX-License-Identifier: MIT */
/*
 * Do one whole request with blocking system calls: what worker threads run.
 */
#ifndef BLOCK_PERFORM_H
#define BLOCK_PERFORM_H

#include "block/image.h"
#include "block/request.h"

/* Sets req->result. The request went through block_transfer_begin(). */
void block_perform(const struct block_image *image, struct block_request *req);

#endif
