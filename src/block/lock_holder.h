/* SPDX-License-Identifier: MIT */
/* Which process has locked a file, for messages. */
#ifndef BLOCK_LOCK_HOLDER_H
#define BLOCK_LOCK_HOLDER_H

/*
 * The pid of a process that has the file which `fd` has open locked by another
 * descriptor of its own, the first byte of it if there is one; 0 if that cannot
 * be found out.
 */
long block_lock_holder(int fd);

#endif
