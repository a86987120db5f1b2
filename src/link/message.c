/* SPDX-License-Identifier: MIT */
/*
 * What a monitor and a worker say to each other; see link/message.h.
 *
 * There is a row for each type: who may receive it, its length, and what looks
 * at the rest. Nothing is looked at before its length is known to be right, and
 * nothing is used before all has been looked at.
 *
 * Failure modes: a message that is not as it has to be is none, and closes what
 * came with it. What to do about who has sent it is the caller's to decide.
 */
#include "link/message.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { ERRNO_MAX = 4095 };

struct row {
	enum link_type type;
	enum link_end end;
	size_t bytes;
	const char *(*fault)(const struct link_message *m);
};

static bool is_flag(unsigned int value)
{
	return value <= 1;
}

/* Ends in its array, and is followed by zeroes. */
static bool is_text(const char *text, size_t size)
{
	const char *end = memchr(text, '\0', size);

	if (!end)
		return false;
	for (; end < text + size; end++)
		if (*end)
			return false;
	return true;
}

static const char *result_fault(int32_t result, const char *error)
{
	if (result > 0 || result < -ERRNO_MAX)
		return "a result that is none";
	if (!is_text(error, LINK_ERROR_MAX))
		return "an error without an end";
	if ((result == 0) != (error[0] == '\0'))
		return "a result that its error does not go with";
	return NULL;
}

static const char *begin_fault(const struct link_message *m)
{
	return is_flag(m->begin.kept) ? NULL : "a flag that is none";
}

static const char *options_fault(const struct link_options *o)
{
	if (!is_flag(o->readonly) || !is_flag(o->packed) ||
	    !is_flag(o->legacy) || o->zero)
		return "a flag that is none";
	if (o->cache > BLOCK_CACHE_UNSAFE || o->discard > DISK_DISCARD_OFF)
		return "a choice that there is not";
	if (!o->queues || !o->queue_size)
		return "a number that is none";
	if (!is_text(o->engine, sizeof(o->engine)) ||
	    !is_text(o->serial, sizeof(o->serial)) ||
	    !is_text(o->id, sizeof(o->id)) || !o->engine[0])
		return "a text without an end";
	return NULL;
}

static const char *attach_fault(const struct link_message *m)
{
	const struct link_attach *a = &m->attach;
	const char *fault;

	if (!is_flag(a->kept) || !is_flag(a->adopt) || !is_flag(a->has_sync) ||
	    !is_flag(a->broken) || a->broken > a->adopt)
		return "a flag that is none";
	if (!is_text(a->name, sizeof(a->name)) || !a->name[0])
		return "a name without an end";
	fault = block_facts_fault(&a->facts);
	if (!fault && a->has_sync && !a->facts.has_file)
		fault = "a descriptor of no file";
	return fault ? fault : options_fault(&a->options);
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	while (n)
		if (bytes[--n])
			return false;
	return true;
}

static const char *open_fault(const struct link_message *m)
{
	const struct link_open *o = &m->open;
	const char *fault;

	if (!is_flag(o->has_sync) || !is_flag(o->locked) ||
	    !is_zero(o->zero, sizeof(o->zero)))
		return "a flag that is none";
	if (!is_text(o->name, sizeof(o->name)) || !o->name[0])
		return "a name without an end";
	fault = block_facts_fault(&o->facts);
	if (!fault && o->has_sync && !o->facts.has_file)
		fault = "a descriptor of no file";
	return fault ? fault : options_fault(&o->options);
}

static const char *listen_fault(const struct link_message *m)
{
	const struct link_listen *l = &m->listen;

	return is_text(l->where, sizeof(l->where)) ? NULL :
						     "a name without an end";
}

static const char *taken_fault(const struct link_message *m)
{
	const struct link_taken *t = &m->taken;

	if (t->result > 0 || t->result < -ERRNO_MAX || t->zero)
		return "a result that is none";
	return NULL;
}

static const char *opened_fault(const struct link_message *m)
{
	if (m->opened.zero)
		return "a flag that is none";
	return result_fault(m->opened.result, m->opened.error);
}

static const char *trace_fault(const struct link_message *m)
{
	const struct link_trace *t = &m->trace;

	return is_flag(t->on) && is_flag(t->has_area) &&
			       is_zero(t->zero, sizeof(t->zero)) ?
		       NULL :
		       "a flag that is none";
}

static const char *begun_fault(const struct link_message *m)
{
	const struct link_begun *b = &m->begun;

	if (b->nawaited > DISKS_MAX || (b->result && b->nawaited))
		return "a number of disks that cannot be";
	for (unsigned int i = 0; i < DISKS_MAX; i++) {
		if (i >= b->nawaited && b->awaited[i])
			return "a disk that is not counted";
		for (unsigned int k = 0; k < i && i < b->nawaited; k++)
			if (b->awaited[k] == b->awaited[i])
				return "a disk that is there twice";
	}
	return result_fault(b->result, b->error);
}

static const char *attached_fault(const struct link_message *m)
{
	if (m->attached.zero)
		return "a flag that is none";
	return result_fault(m->attached.result, m->attached.error);
}

#define BODY offsetof(struct link_message, begin)
#define BYTES(what) (BODY + sizeof(struct what))

static const struct row rows[] = {
	{ LINK_BEGIN, LINK_TO_WORKER, BYTES(link_begin), begin_fault },
	{ LINK_ATTACH, LINK_TO_WORKER, BYTES(link_attach), attach_fault },
	{ LINK_DISOWN, LINK_TO_WORKER, BYTES(link_disk), NULL },
	{ LINK_RESIZE, LINK_TO_WORKER, BYTES(link_resize), NULL },
	{ LINK_DETACH, LINK_TO_WORKER, BYTES(link_disk), NULL },
	{ LINK_LEAVE, LINK_TO_WORKER, BODY, NULL },
	{ LINK_CLOSE, LINK_TO_WORKER, BODY, NULL },
	{ LINK_LOG_STATS, LINK_TO_WORKER, BODY, NULL },
	{ LINK_PING, LINK_TO_WORKER, BODY, NULL },
	{ LINK_OPEN, LINK_TO_WORKER, BYTES(link_open), open_fault },
	{ LINK_LISTEN, LINK_TO_WORKER, BYTES(link_listen), listen_fault },
	{ LINK_TAKEN, LINK_TO_WORKER, BYTES(link_taken), taken_fault },
	{ LINK_GIVEN, LINK_TO_WORKER, BODY, NULL },
	{ LINK_FRONT_END, LINK_TO_WORKER, BODY, NULL },
	{ LINK_TRACE, LINK_TO_WORKER, BYTES(link_trace), trace_fault },
	{ LINK_BEGUN, LINK_TO_MONITOR, BYTES(link_begun), begun_fault },
	{ LINK_ATTACHED, LINK_TO_MONITOR, BYTES(link_attached),
	  attached_fault },
	{ LINK_ENDED, LINK_TO_MONITOR, BYTES(link_disk), NULL },
	{ LINK_PONG, LINK_TO_MONITOR, BODY, NULL },
	{ LINK_OPENED, LINK_TO_MONITOR, BYTES(link_opened), opened_fault },
	{ LINK_TAKE, LINK_TO_MONITOR, BODY, NULL },
	{ LINK_GIVE, LINK_TO_MONITOR, BODY, NULL },
	{ LINK_FRONT_END_LEFT, LINK_TO_MONITOR, BODY, NULL },
};

static const struct row *find(uint32_t type)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

unsigned int link_message_fds(const struct link_message *m)
{
	if (m->type == LINK_BEGIN)
		return m->begin.kept;
	if (m->type == LINK_ATTACH)
		return (unsigned int)m->attach.kept + m->attach.facts.has_file +
		       m->attach.has_sync;
	if (m->type == LINK_OPEN)
		return (unsigned int)m->open.facts.has_file + m->open.has_sync;
	if (m->type == LINK_TRACE)
		return m->trace.has_area;
	return m->type == LINK_FRONT_END;
}

const char *link_message_fault(const struct link_message *m, size_t bytes,
			       unsigned int nfds, enum link_end end)
{
	const struct row *row;
	const char *fault = NULL;

	if (bytes < BODY)
		return "no message";
	row = find(m->type);
	if (!row || row->end != end)
		return "a message of a type that there is not";
	if (bytes != row->bytes || m->zero)
		return "a message of another length";
	if (row->fault)
		fault = row->fault(m);
	if (!fault && nfds != link_message_fds(m))
		fault = "more or fewer descriptors than it has";
	return fault;
}

int link_message_send(int fd, const struct link_message *m, const int *fds)
{
	const struct row *row = find(m->type);

	assert(row);
	return link_socket_send(fd, m, row->bytes, fds, link_message_fds(m));
}

/* It goes into a log, and to a toolstack. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int link_message_receive(int fd, enum link_end end, struct link_message *m,
			 int fds[LINK_FDS_MAX], const char **why)
{
	unsigned int n;
	int r;

	memset(m, 0, sizeof(*m));
	for (unsigned int i = 0; i < LINK_FDS_MAX; i++)
		fds[i] = -1;
	r = link_socket_receive(fd, m, sizeof(*m), fds, &n);
	*why = r == -EPROTO ? "one that is cut off" : NULL;
	if (r <= 0)
		return r;
	*why = link_message_fault(m, (size_t)r, n, end);
	if (*why) {
		while (n) {
			close(fds[--n]);
			fds[n] = -1;
		}
		return -EPROTO;
	}
	if (m->type == LINK_BEGUN)
		clean(m->begun.error);
	if (m->type == LINK_ATTACHED)
		clean(m->attached.error);
	if (m->type == LINK_OPENED)
		clean(m->opened.error);
	return 1;
}
