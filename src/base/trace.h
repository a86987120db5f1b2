/* SPDX-License-Identifier: MIT */
/*
 * What has happened to a disk, for who looks for a fault.
 *
 * 1. There is a ring for each disk, of its last TRACE_EVENTS events: records of
 *    one size in memory that another process can read (base/trace_area.h).
 * 2. A writer takes a number for its event and the record that is its place,
 *    marks that as busy, fills it in, and marks it with the number: several
 *    threads may write, none waits. One that comes to a record in which another
 *    one is still busy leaves its event out.
 * 3. A reader copies the whole ring twice, and takes the records that are the
 *    same in both and not busy: what is torn is left out and counted. It
 *    believes nothing else: numbers, kinds and names are looked at.
 * 4. An event has its name with it ("STATUS", "read"), so that who reads it
 *    need not know what the transports know. Its text is one line.
 * 5. What does not come with each request is always noted: register accesses
 *    but for those that requests need, messages, errors, begin and end.
 *    Requests and notifications are where the trace is on; then each event is
 *    a line of the log as well, at once.
 * 6. The rings are logged when the worker dies or a signal asks for it, by the
 *    monitor; and that of a device that needs a reset, by the worker.
 *
 * Who has no ring, for want of memory, only has the lines.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TRACE_EVENTS = 1024,     /* of a ring, a power of two */
	TRACE_NAME_MAX = 24,     /* bytes of an event's name, with its NUL */
	TRACE_DISK_MAX = 64,     /* ... of a disk's */
	TRACE_TEXT_MAX = 208,    /* ... of an event's text */
	TRACE_STATUS_NONE = 255, /* a request that ends without an answer */
};

enum trace_kind {
	TRACE_READ = 1, /* of register `name`, at `id`: `value` */
	TRACE_WRITE,
	TRACE_BEGIN,   /* request `id` of `queue`; a `value` is its sector */
	TRACE_END,     /* ... with `status`, after `took_ns` */
	TRACE_NOTIFY,  /* the driver is: of `queue` */
	TRACE_CONFIG,  /* ... of its configuration */
	TRACE_KICK,    /* the driver notifies, other than by a register */
	TRACE_MESSAGE, /* of a front end, with `length` bytes */
	TRACE_DEVICE,  /* what becomes of the device */
	TRACE_ERROR,   /* of the store, `value` an errno; as TRACE_BEGIN */
	TRACE_KINDS,
};

struct trace_event {
	uint64_t time_ns; /* monotonic; filled in by trace_note() */
	uint64_t value;
	uint64_t length;
	uint64_t took_ns;
	uint8_t kind; /* enum trace_kind */
	uint8_t status;
	uint16_t queue;
	uint16_t id;
	char name[TRACE_NAME_MAX];
};

/* ---- a ring ---- */

enum { TRACE_WORDS = 8 }; /* of an event in a record */

struct trace_record {
	uint64_t number; /* of the event, from 1; shifted, and bit 0: busy */
	uint64_t word[TRACE_WORDS];
};

/* Zeroes are an empty one. */
struct trace_ring {
	uint64_t next; /* number of events so far */
	uint64_t zero[7];
	char disk[TRACE_DISK_MAX]; /* its name; or "": nobody's */
	struct trace_record record[TRACE_EVENTS];
};

/* Put an event; any thread. */
void trace_ring_put(struct trace_ring *ring, const struct trace_event *event);

/* Copy one that is in use, in the same process. */
void trace_ring_copy(struct trace_ring *to, const struct trace_ring *ring);

/*
 * The events in two copies of a ring, one made after the other, in their order:
 * how many. What could not be read in whole is counted in `torn`. Whatever is
 * in the copies, an event has a kind that there is and a name that ends and can
 * be printed.
 */
unsigned int trace_ring_read(const struct trace_ring *first,
			     const struct trace_ring *second,
			     struct trace_event event[TRACE_EVENTS],
			     unsigned int *torn);

/* The name of its disk, printable; at most TRACE_DISK_MAX bytes. */
void trace_ring_disk(char name[TRACE_DISK_MAX], const struct trace_ring *ring);

/* A line about it, without the disk's name. */
void trace_text(char text[TRACE_TEXT_MAX], const struct trace_event *event);

/* ---- of a disk ---- */

/* Zeroes but for the name are one that is off and has no ring. */
struct trace {
	const char *disk;        /* its name; not owned */
	struct trace_ring *ring; /* not owned; or NULL */
	bool on;                 /* atomic */
	bool needs_reset;        /* that was noted; atomic */
	uint64_t dumped_ns;      /* when; 0: not yet; atomic */
};

static inline bool trace_is_on(const struct trace *trace)
{
	return trace && __atomic_load_n(&trace->on, __ATOMIC_RELAXED);
}

/* Note an event, at this time; any thread. NULL is allowed. */
void trace_note(struct trace *trace, struct trace_event *event);

/*
 * The same, for events of some kinds. Of a register `name` may be NULL, then
 * the offset is told.
 */
void trace_access(struct trace *trace, enum trace_kind kind, const char *name,
		  uint64_t offset, uint64_t value);
void trace_notified(struct trace *trace, enum trace_kind kind,
		    unsigned int queue);
void trace_device(struct trace *trace, const char *what);
void trace_message(struct trace *trace, const char *name, uint64_t bytes);

/*
 * Whether the device needs a reset now: if that is new it is noted, and the end
 * of the ring is logged, but not often: the guest can cause it. Any thread.
 */
void trace_look_reset(struct trace *trace, bool needs_reset);

/*
 * Log the last events of a ring, `max` at most, of which there are two copies;
 * `why` it is.
 */
void trace_log(const struct trace_ring *first, const struct trace_ring *second,
	       const char *why, unsigned int max);

#endif
