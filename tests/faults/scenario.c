/* SPDX-License-Identifier: MIT */
/*
 * One life of the daemon; see scenario.h.
 *
 * What is right: a request that succeeds has done what it says; one that fails,
 * a session that ends and a process that ends have a line in the log. A fault
 * that comes once leaves nothing behind: the second front end, that comes after
 * it, is served, all sectors read as they may, and there are no more
 * descriptors than without it. But a disk that could not be flushed goes on
 * telling that. Nothing takes longer than LIMIT_MS. SIGTERM ends it.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "disk_model.h"
#include "faults.h"
#include "virtio/blk_wire.h"

enum {
	IMAGE_BYTES = MODEL_SECTORS * SECTOR,
	PART = CLIENT_DATA / SECTOR, /* sectors of a large request */
	SOON_MS = 500,
};

struct run {
	struct scenario *s;
	struct daemon daemon;
	struct client client;
	struct disk_model model;
	char image[128], log[128], socket[128];
	bool unflushed; /* a write or a flush has failed */
	bool over;      /* this front end need not go on */
};

static bool alive(void *arg)
{
	return daemon_lives(arg);
}

__attribute__((format(printf, 2, 3))) static void bad(struct run *r,
						      const char *format, ...)
{
	va_list args;

	r->over = true;
	if (*r->s->bad)
		return;
	va_start(args, format);
	vsnprintf(r->s->bad, sizeof(r->s->bad), format, args);
	va_end(args);
}

/* Whether that went well; else this front end is through. */
static bool went(struct run *r, enum outcome o)
{
	if (o == GOOD)
		return true;
	if (o == HANGS) {
		r->s->late = !*r->s->bad;
		bad(r, "hangs: %s", r->client.why);
	} else if (!daemon_injected(&r->daemon)) {
		bad(r, "without a fault: refused: %s", r->client.why);
	}
	r->s->hurt = true;
	r->over = true;
	return false;
}

/* ---- requests ---- */

struct write {
	unsigned int queue;
	uint64_t sector;
	size_t n;
	unsigned int generation;
};

static void offer_write(struct run *r, struct write *w, unsigned int queue,
			uint64_t sector, size_t n)
{
	*w = (struct write){ queue, sector, n, disk_model_next(&r->model) };
	disk_model_fill(client_offer(&r->client, queue, VIRTIO_BLK_T_OUT,
				     sector, n * SECTOR),
			sector, n, w->generation);
	/* Until it is answered. */
	disk_model_wrote(&r->model, sector, n, w->generation, false);
}

/* The status of a request that must not fail but for the fault. */
static bool succeeded(struct run *r, unsigned int queue, unsigned int i,
		      const char *what)
{
	uint8_t status = client_status(&r->client, queue, i);

	if (status == VIRTIO_BLK_S_OK)
		return true;
	r->s->hurt = true;
	if (status != VIRTIO_BLK_S_IOERR)
		bad(r, "%s: status %u", what, status);
	else if (!daemon_injected(&r->daemon))
		bad(r, "%s failed without a fault", what);
	return false;
}

static void end_write(struct run *r, const struct write *w, unsigned int i)
{
	if (succeeded(r, w->queue, i, "write"))
		disk_model_wrote(&r->model, w->sector, w->n, w->generation,
				 true);
	else
		r->unflushed = true;
}

/* `n` neighbours in one batch, each of `sectors`. */
static void write_row(struct run *r, unsigned int queue, uint64_t sector,
		      size_t sectors, unsigned int n)
{
	struct write w[CLIENT_SLOTS];

	if (r->over)
		return;
	for (unsigned int i = 0; i < n; i++)
		offer_write(r, &w[i], queue, sector + i * sectors, sectors);
	if (!went(r, client_wait(&r->client, queue)))
		return;
	for (unsigned int i = 0; i < n; i++)
		end_write(r, &w[i], i);
}

static void flush(struct run *r, unsigned int queue)
{
	if (r->over)
		return;
	client_offer(&r->client, queue, VIRTIO_BLK_T_FLUSH, 0, 0);
	if (went(r, client_wait(&r->client, queue)) &&
	    !succeeded(r, queue, 0, "flush"))
		r->unflushed = true;
}

/* A discard or a write of zeroes; the former may do nothing. */
static void zero(struct run *r, unsigned int queue, uint32_t type,
		 uint64_t sector, uint32_t n, bool unmap)
{
	bool discard = type == VIRTIO_BLK_T_DISCARD;

	if (r->over)
		return;
	client_offer_range(&r->client, queue, type, sector, n, unmap);
	disk_model_wrote(&r->model, sector, n, 0, false);
	if (!went(r, client_wait(&r->client, queue)))
		return;
	if (client_status(&r->client, queue, 0) == VIRTIO_BLK_S_UNSUPP)
		return;
	if (succeeded(r, queue, 0, discard ? "discard" : "zeroes"))
		disk_model_wrote(&r->model, sector, n, 0, !discard);
	else
		r->unflushed = true;
}

/* `n` neighbours in one batch. */
static void read_row(struct run *r, unsigned int queue, uint64_t sector,
		     size_t sectors, unsigned int n)
{
	uint64_t wrong;

	if (r->over)
		return;
	for (unsigned int i = 0; i < n; i++)
		memset(client_offer(&r->client, queue, VIRTIO_BLK_T_IN,
				    sector + i * sectors, sectors * SECTOR),
		       0xee, sectors * SECTOR);
	if (!went(r, client_wait(&r->client, queue)))
		return;
	for (unsigned int i = 0; i < n; i++)
		if (succeeded(r, queue, i, "read") &&
		    !disk_model_is(&r->model, client_data(&r->client, queue, i),
				   sector + i * sectors, sectors, &wrong))
			bad(r, "sector %llu is wrong",
			    (unsigned long long)wrong);
}

static void read_all(struct run *r, unsigned int queue)
{
	for (uint64_t at = 0; at < MODEL_SECTORS; at += 4 * PART)
		read_row(r, queue, at, PART, 4);
}

/* ---- front ends ---- */

static void first_requests(struct run *r)
{
	write_row(r, 0, 0, 8, 1);
	write_row(r, 1, PART, PART, 1);
	read_row(r, 0, 0, 8, 1);
	/* Neighbours, which are done as one; then a part of a block. */
	write_row(r, 0, 4 * PART, 16, 6);
	write_row(r, 1, 8 * PART + 3, 1, 1);
	flush(r, 1);
	zero(r, 0, VIRTIO_BLK_T_WRITE_ZEROES, 4 * PART, 24, true);
	zero(r, 1, VIRTIO_BLK_T_WRITE_ZEROES, PART, 16, false);
	write_row(r, 1, 6 * PART, 32, 2);
	zero(r, 1, VIRTIO_BLK_T_DISCARD, 6 * PART, 32, false);
	if (!r->over)
		kill(r->daemon.pid, SIGHUP);
	write_row(r, 0, 0, 8, 3);
	flush(r, 0);
	read_all(r, 1);
}

static void second_requests(struct run *r)
{
	read_all(r, 0);
	write_row(r, 1, 2 * PART, 64, 2);
	flush(r, 1);
	read_row(r, 0, 2 * PART, 64, 2);
}

/* One front end, which stops the queues if it `stops`. */
static void front_end(struct run *r, void (*requests)(struct run *), bool stops)
{
	struct client *c = &r->client;

	r->over = false;
	if (went(r, client_connect(c, r->socket, alive, &r->daemon)) &&
	    went(r, client_start(c))) {
		requests(r);
		if (stops && !r->over)
			went(r, client_stop(c));
	}
	client_close(c);
}

/* What the daemon has open when the front end is gone, soon. */
static void count_descriptors(struct run *r)
{
	struct scenario *s = r->s;
	uint64_t end = now_ms() + 2000;

	if (!s->descriptors)
		usleep(200000);
	do {
		if (!daemon_lives(&r->daemon))
			return;
		s->left = daemon_descriptors(&r->daemon);
		if (!s->descriptors || s->left <= s->descriptors)
			return;
		usleep(500);
	} while (now_ms() < end);
	/* One that was not closed because we said so is not its fault. */
	if (s->fault.call == SYS_close && s->left == s->descriptors + 1)
		return;
	if (daemon_lives(&r->daemon))
		bad(r, "%u descriptors instead of %u", s->left, s->descriptors);
}

/* Is this front end spared by the fault, since that has happened? */
static bool is_spared(const struct run *r)
{
	return daemon_injected(&r->daemon) && !r->daemon.fault.stays &&
	       daemon_lives(&r->daemon);
}

static void serve(struct run *r)
{
	bool spared, unflushed, hurt;

	front_end(r, first_requests, true);
	if (*r->s->bad || !daemon_lives(&r->daemon))
		return;
	spared = is_spared(r);
	unflushed = r->unflushed;
	hurt = r->s->hurt;
	r->s->hurt = false;
	front_end(r, second_requests, false);
	/* It may have been about to end for it, which is its right. */
	if (spared && r->s->hurt && !unflushed &&
	    !daemon_wait(&r->daemon, SOON_MS))
		bad(r, "a front end after the fault is not served: %s",
		    r->client.why);
	r->s->hurt |= hurt;
	if (!*r->s->bad)
		count_descriptors(r);
}

/* ---- the end ---- */

static void check_image(struct run *r)
{
	static uint8_t data[IMAGE_BYTES];
	uint64_t wrong;
	int fd = open(r->image, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, data, sizeof(data), 0) != sizeof(data))
		give_up(r->image);
	close(fd);
	if (!disk_model_is(&r->model, data, 0, MODEL_SECTORS, &wrong))
		bad(r, "sector %llu of the image is wrong",
		    (unsigned long long)wrong);
}

static void read_log(struct run *r)
{
	char line[2048];
	FILE *log = fopen(r->log, "r");

	while (log && fgets(line, sizeof(line), log)) {
		if (strstr(line, "error: ") || strstr(line, "warning: "))
			r->s->log_told = true;
		/* This is a front end's doing, and nothing to warn of. */
		if (r->daemon.fault.error == ECONNRESET &&
		    strstr(line, "disconnected"))
			r->s->log_told = true;
		/* What else people get to see of a dying process. */
		if (strstr(line, "ssertion") || strstr(line, "Sanitizer") ||
		    strstr(line, "runtime error:") || strstr(line, "fatal"))
			bad(r, "log: %.200s", line);
	}
	if (log)
		fclose(log);
}

static void check_status(struct run *r, int status)
{
	if (WIFSIGNALED(status))
		bad(r, "killed by %s", strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) > 2)
		bad(r, "exit status %d", WEXITSTATUS(status));
	else if (WEXITSTATUS(status) && !daemon_injected(&r->daemon))
		bad(r, "exit status %d without a fault", WEXITSTATUS(status));
	if (!WIFSIGNALED(status) && WEXITSTATUS(status))
		r->s->hurt = true;
}

static void end(struct run *r)
{
	struct scenario *s = r->s;
	bool hangs;
	int status;

	kill(r->daemon.pid, SIGTERM);
	hangs = !daemon_wait(&r->daemon, LIMIT_MS);
	if (hangs) {
		s->late = !*s->bad;
		bad(r, "SIGTERM does not end it");
	}
	status = daemon_reap(&r->daemon);
	if (!hangs)
		check_status(r, status);
	check_image(r);
	read_log(r);
}

/* Who writes no log cannot be asked for a line in it. */
static bool is_log(const struct run *r)
{
	return r->daemon.fault.call == SYS_write &&
	       !strncmp(r->daemon.what, "(0x2 ", 5);
}

static void make_image(struct run *r)
{
	int fd;

	unlink(r->image);
	fd = open(r->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, IMAGE_BYTES))
		give_up(r->image);
	close(fd);
	disk_model_init(&r->model);
}

void scenario_run(struct scenario *s)
{
	static struct run r;
	char disk[256];
	char *const argv[] = { (char *)(uintptr_t)s->program,
			       "--foreground",
			       "--vhost-user",
			       r.socket,
			       "--disk",
			       disk,
			       NULL };

	memset(&r, 0, sizeof(r));
	r.s = s;
	r.daemon.directory = s->directory;
	r.daemon.alloc = s->alloc;
	r.daemon.fault = s->fault;
	snprintf(r.image, sizeof(r.image), "%s/image", s->directory);
	snprintf(r.log, sizeof(r.log), "%s/log", s->directory);
	snprintf(r.socket, sizeof(r.socket), "%s/socket", s->directory);
	snprintf(disk, sizeof(disk), "file=%s,queues=%u,%s", r.image,
		 CLIENT_QUEUES, s->keys);
	unlink(r.socket);
	make_image(&r);
	s->bad[0] = '\0';
	s->late = s->injected = s->log_told = s->hurt = false;
	daemon_start(&r.daemon, argv);
	serve(&r);
	if (r.daemon.orders)
		s->allocations = r.daemon.orders->count;
	end(&r);
	s->hurt |= r.unflushed;
	s->injected = daemon_injected(&r.daemon);
	snprintf(s->what, sizeof(s->what), "%s", r.daemon.what);
	memcpy(s->counts, r.daemon.counts, sizeof(s->counts));
	if (s->hurt && !s->log_told && !is_log(&r) && !*s->bad) {
		/* Its end waits for the log, but not for ever. */
		s->late = true;
		bad(&r, "it fails without a line in the log");
	}
}
