/* SPDX-License-Identifier: MIT */
/*
 * Static probes for bpftrace(8), perf(1) and gdb(1), where the build has found
 * <sys/sdt.h>; else nothing. Each is a nop and a note in the program that says
 * where its arguments are:
 *
 *	bpftrace -e 'usdt:/usr/sbin/virtio-disk:virtio_disk:request_end
 *		{ @[str(arg0), arg3] = count(); }'
 *
 *	request_begin	disk, queue, id, op, offset, length: it goes to the
 *			store
 *	request_end	disk, queue, id, op, result: it is answered, or left
 *	notification	disk, queue: the driver is notified; -1: configuration
 *	message		disk, name, bytes: a front end of vhost-user has sent it
 *	register_read	disk, offset, value
 *	register_write	disk, offset, value
 *
 * Who defines STAP_SDT_ARG_CONSTRAINT as `no` before, as the data path does,
 * has its arguments in memory, as members of structs: nothing is loaded for who
 * does not look.
 *
 * A disk is its name; op is enum block_op, a result 0 or a negative errno,
 * lengths are bytes. What the device answers by itself, such as GET_ID, never
 * goes to the store.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#include "config.h"

/* Who looks for faults in the source need not look at what they are made of. */
#if defined(HAVE_SYS_SDT_H) && !defined(__clang_analyzer__)

#include <sys/sdt.h>

#define PROBE2(name, a, b) DTRACE_PROBE2(virtio_disk, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(virtio_disk, name, a, b, c)
#define PROBE5(name, a, b, c, d, e) \
	DTRACE_PROBE5(virtio_disk, name, a, b, c, d, e)
#define PROBE6(name, a, b, c, d, e, f) \
	DTRACE_PROBE6(virtio_disk, name, a, b, c, d, e, f)

#else

/* Looked at by the compiler, and then nothing. */
#define PROBE2(name, a, b) ((void)(a), (void)(b))
#define PROBE3(name, a, b, c) (PROBE2(name, a, b), (void)(c))
#define PROBE5(name, a, b, c, d, e) (PROBE3(name, a, b, c), PROBE2(name, d, e))
#define PROBE6(name, a, b, c, d, e, f) \
	(PROBE3(name, a, b, c), PROBE3(name, d, e, f))

#endif

#endif
