/* SPDX-License-Identifier: MIT */
/*
 * What O_DIRECT asks of offsets, lengths and memory.
 *
 * statx tells where kernel, file system and the headers that this was compiled
 * with know it. Else a block device asks for its logical block size, and a file
 * is found out by reading: with 512 bytes, else with 4096.
 *
 * Failure modes: an alignment of more than a page is not possible for the
 * bounce buffers and counts as no direct I/O; a probing read that fails for
 * another reason than alignment says nothing and counts likewise.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dio.h"
#include "limits.h"

static bool is_usable(unsigned int align)
{
	return block_is_power(align, 1, BLOCK_ALIGN_MAX);
}

enum dio_answer { DIO_UNKNOWN, DIO_YES, DIO_NO };

#ifdef STATX_DIOALIGN
static enum dio_answer ask_statx(int fd, unsigned int *align,
				 unsigned int *mem_align)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) < 0 ||
	    !(st.stx_mask & STATX_DIOALIGN))
		return DIO_UNKNOWN;
	*align = st.stx_dio_offset_align;
	*mem_align = st.stx_dio_mem_align;
	return is_usable(*align) && is_usable(*mem_align) ? DIO_YES : DIO_NO;
}
#else
static enum dio_answer ask_statx(int fd, unsigned int *align,
				 unsigned int *mem_align)
{
	(void)fd;
	(void)align;
	(void)mem_align;
	return DIO_UNKNOWN;
}
#endif

/* Does a read at the file's start work with memory aligned to `align` only? */
static bool try_read(int fd, unsigned int align)
{
	void *memory;
	ssize_t n;

	if (posix_memalign(&memory, (size_t)2 * BLOCK_ALIGN_MAX,
			   (size_t)3 * BLOCK_ALIGN_MAX))
		return false;
	do
		n = pread(fd, (char *)memory + align, align, 0);
	while (n < 0 && errno == EINTR);
	free(memory);
	return n >= 0;
}

bool block_dio_probe(int fd, unsigned int sector, unsigned int *align,
		     unsigned int *mem_align)
{
	enum dio_answer answer = ask_statx(fd, align, mem_align);

	if (answer != DIO_UNKNOWN)
		return answer == DIO_YES;
	if (sector)
		*align = sector;
	else if (try_read(fd, 512))
		*align = 512;
	else if (try_read(fd, 4096))
		*align = 4096;
	else
		return false;
	*mem_align = *align;
	return is_usable(*align);
}
