/* SPDX-License-Identifier: MIT */
/*
 * What O_DIRECT asks of offsets, lengths and memory, for one open image.
 */
#ifndef BLOCK_DIO_H
#define BLOCK_DIO_H

#include <stdbool.h>

/*
 * Find out the alignment for an image that was opened, with O_DIRECT set on
 * `fd`. `sector` is a block device's logical block size, 0 for a file. False if
 * direct I/O does not work.
 */
bool block_dio_probe(int fd, unsigned int sector, unsigned int *align,
		     unsigned int *mem_align);

#endif
